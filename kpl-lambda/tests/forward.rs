//! The example `forward` writing to a real Kinesis server, over HTTP.

#[path = "../examples/forward.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod example;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use example::Visit;
use kpl::{Deaggregator, KinesisRecord, SealedRecord, Shard};
use kpl_lambda::BoxFuture;
use kpl_stream::Producer;
use kpl_stream::aws::AwsClient;
use kpl_stream::client::{EntryError, PutResult, RequestError, StreamDescription, WriteClient};
use kpl_testkit::server::Server;
use serde_json::json;
use support::{Data, aggregate, event, failed, retry};

const TARGET: &str = "visits";

/// Returns one aggregate of clicks on these pages.
fn clicks(urls: &[&str]) -> Data {
    let payloads: Vec<_> = urls
        .iter()
        .map(|url| json!({ "user": "anna", "url": url }).to_string())
        .collect();
    let records: Vec<_> = payloads.iter().map(|payload| ("anna", payload)).collect();
    aggregate(&records)
}

/// Returns the data of the Kinesis records in the target stream.
async fn written(server: &Server) -> Vec<Vec<u8>> {
    let records = server.records(TARGET).await.into_iter();
    records.map(|record| record.data.into_inner()).collect()
}

fn visits(records: &[Vec<u8>]) -> Vec<Visit> {
    let batch: Vec<_> = records
        .iter()
        .map(|data| KinesisRecord::new(data).with_partition_key("x"))
        .collect();
    let mut visits: Vec<_> = Deaggregator::<Visit>::new()
        .records(&batch)
        .map(|visit| visit.unwrap().value)
        .collect();
    visits.sort();
    visits
}

fn visit(page: impl Into<String>) -> Visit {
    Visit {
        page: page.into(),
        user: "anna".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clicks_become_visits_in_few_kinesis_records() {
    let server = Server::start().await;
    server.create_stream(TARGET, 2).await;
    let producer = Producer::builder().load_aws_config(server.config()).build().unwrap();
    let handler = example::handler(producer, TARGET).await.unwrap();

    let urls: Vec<_> = (0..1000).map(|number| format!("/{number:04}?from=mail")).collect();
    let records: Vec<_> = urls
        .chunks(100)
        .map(|urls| clicks(&urls.iter().map(|url| &**url).collect::<Vec<_>>()))
        .collect();
    let response = handler.handle(&event(&records)).await.unwrap();
    assert!(failed(&response).is_empty());

    let records = written(&server).await;
    assert!(records.len() <= 10, "{} Kinesis records", records.len());
    let expected: Vec<_> = (0..1000).map(|number| visit(format!("/{number:04}"))).collect();
    assert_eq!(visits(&records), expected);
}

/// Refuses aggregates that contain this text, while it is told to.
#[derive(Debug)]
struct Refusing {
    client: AwsClient,
    refuse: Arc<AtomicBool>,
}

const REFUSED: &str = "/refused";

impl WriteClient for Refusing {
    fn put_records<'a>(
        &'a self,
        stream: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        Box::pin(async move {
            let has = |entry: &SealedRecord| entry.data.windows(REFUSED.len()).any(|text| text == REFUSED.as_bytes());
            let refuse = self.refuse.load(Ordering::SeqCst);
            let (refused, taken): (Vec<_>, Vec<_>) = entries
                .iter()
                .map(|entry| refuse && has(entry))
                .enumerate()
                .partition(|(_, refused)| *refused);
            let sent = taken
                .iter()
                .filter_map(|(index, _)| entries.get(*index).cloned())
                .collect::<Vec<_>>();
            let results = if sent.is_empty() {
                Vec::new()
            } else {
                self.client.put_records(stream, sent).await?
            };
            let error = EntryError::new("InternalFailure", "refused by the test");
            let refused = refused.into_iter().map(|(index, _)| (index, Err(error.clone())));
            let mut all: Vec<(usize, PutResult)> = taken
                .into_iter()
                .map(|(index, _)| index)
                .zip(results)
                .chain(refused)
                .collect();
            all.sort_by_key(|(index, _)| *index);
            Ok(all.into_iter().map(|(_, result)| result).collect())
        })
    }

    fn open_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        self.client.open_shards(stream)
    }

    fn describe_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        self.client.describe_stream(stream)
    }
}

/// Nothing is lost: if the target did not take a record, its Kinesis record fails, and the retry delivers it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_refuses_is_named_and_comes_with_the_retry() {
    let server = Server::start().await;
    server.create_stream(TARGET, 1).await;
    let refuse = Arc::new(AtomicBool::new(true));
    let client = Refusing {
        client: AwsClient::new(server.config()),
        refuse: Arc::clone(&refuse),
    };
    let producer = Producer::builder()
        .client(client)
        .aggregation_max_count(2)
        .record_ttl(Duration::from_secs(2))
        .build()
        .unwrap();
    let handler = example::handler(producer, TARGET).await.unwrap();
    let event = event(&[
        clicks(&["/a", "/b"]),
        clicks(&["/refused", "/d"]),
        clicks(&["/e", "/f"]),
    ]);
    let response = handler.handle(&event).await.unwrap();
    assert_eq!(failed(&response), ["101"]);
    assert_eq!(visits(&written(&server).await), ["/a", "/b", "/e", "/f"].map(visit));

    refuse.store(false, Ordering::SeqCst);
    let event = retry(&event, &response).unwrap();
    assert!(failed(&handler.handle(&event).await.unwrap()).is_empty());
    // Those after the failure came again with the retry, as Lambda does it.
    assert_eq!(
        visits(&written(&server).await),
        ["/a", "/b", "/d", "/e", "/e", "/f", "/f", "/refused"].map(visit)
    );
}

/// A record that the producer does not take is one failure, not the end of the batch.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_for_the_target_fails_alone() {
    let server = Server::start().await;
    server.create_stream(TARGET, 1).await;
    let producer = Producer::builder()
        .load_aws_config(server.config())
        .max_user_record_size(200)
        .build()
        .unwrap();
    let handler = example::handler(producer, TARGET).await.unwrap();
    let large = format!("/{}", "x".repeat(200));
    let event = event(&[clicks(&["/a"]), clicks(&["/b", &large, "/c"])]);
    assert_eq!(failed(&handler.handle(&event).await.unwrap()), ["101"]);
    assert_eq!(visits(&written(&server).await), ["/a", "/b", "/c"].map(visit));
}
