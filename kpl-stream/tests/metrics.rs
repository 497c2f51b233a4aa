//! What readers and producers report through the `metrics` facade.
#![forbid(unsafe_code)]

#[path = "common/scrape.rs"]
mod scrape;

use std::sync::Arc;
use std::time::Duration;

use kpl_core::RawRecord;
use kpl_stream::Producer;
use kpl_stream::client::{ReadClient, RequestError};
use kpl_stream::reader::Reader;
use kpl_testkit::aggregate_into_one;
use kpl_testkit::service::{Service, Shard, Stream};

/// Reads the stream to its end, and returns the metrics.
fn scraped(service: &Arc<Service>, max_records: usize) -> String {
    scrape::scraped(async {
        let mut reader = Reader::<RawRecord>::builder()
            .client(Arc::clone(service) as Arc<dyn ReadClient>)
            .max_records(max_records)
            .end_when_idle(Duration::from_secs(1))
            .build("clicks")
            .await
            .unwrap();
        while reader.next().await.transpose().unwrap().is_some() {}
    })
}

#[test]
fn records_bytes_requests_and_failures_are_counted_by_shard() {
    let records = ["one", "two", "three"].map(|data| RawRecord::new("key", data));
    let aggregate = aggregate_into_one(&records).data;
    let mut shards = [Shard::new("a", &["plain", "record"]), Shard::new("b", &[])];
    shards[0].push(&aggregate);
    let service = Arc::new(Service::new(Stream::new(shards)));
    service.state(|state| state.read_latency = Duration::from_millis(30));
    let scrape = scraped(&service, 2);
    let bytes = "plainrecord".len() + aggregate.len();
    for line in [
        "# HELP RecordsProcessed User records that were passed on\n".to_owned(),
        "# HELP MillisBehindLatest How far the last answer was behind the latest record of its shard\n".to_owned(),
        r#"RecordsProcessed{StreamName="clicks",ShardId="a"} 5"#.to_owned(),
        format!(r#"DataBytesProcessed{{StreamName="clicks",ShardId="a"}} {bytes}"#),
        r#"MillisBehindLatest{StreamName="clicks",ShardId="a"} 0"#.to_owned(),
        r#"MillisBehindLatest{StreamName="clicks",ShardId="b"} 0"#.to_owned(),
        r#"KinesisDataFetcher_getRecords_Time{StreamName="clicks",ShardId="b",quantile="1"} 30"#.to_owned(),
    ] {
        assert!(scrape.contains(&line), "{line} is not in\n{scrape}");
    }
    assert!(!scrape.contains("Failure"), "{scrape}");

    // The list, the iterator, and then the records.
    let service = Arc::new(Service::new(Stream::new([Shard::new("a", &["plain"])])));
    let throttled = RequestError::refused("ProvisionedThroughputExceededException", "");
    service.state(|state| state.failing_reads = vec![throttled.clone(), throttled].into());
    let scrape = scraped(&service, 10);
    let failures = r#"KinesisDataFetcher_getRecords_Failure{StreamName="clicks",ShardId="a",ErrorCode="ProvisionedThroughputExceededException"} 2"#;
    assert!(scrape.contains(failures), "{scrape}");
}

#[test]
fn producers_count_and_explain_what_they_count() {
    let service = Service::new(Stream::with_shards(1));
    let scrape = scrape::scraped(async {
        let producer = Producer::builder().client(service).build().unwrap();
        let stream = producer.stream::<RawRecord>("clicks").await.unwrap();
        for number in 0..5 {
            drop(stream.send(RawRecord::new(number.to_string(), "data")).await.unwrap());
        }
        producer.close(Duration::from_secs(30)).await.unwrap();
    });
    for line in [
        "# HELP UserRecordsPut User records that were written\n",
        "# HELP RequestTime Time that a PutRecords request took\n",
        "# HELP UserRecordsPending User records in memory that have no outcome yet\n",
        "UserRecordsReceived{StreamName=\"clicks\"} 5\n",
        "UserRecordsPending{StreamName=\"clicks\"} 0\n",
    ] {
        assert!(scrape.contains(line), "{line} is not in\n{scrape}");
    }
    // Each metric that is reported is explained.
    let explained: Vec<&str> = scrape.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
    for line in scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(
            explained.iter().any(|help| help.starts_with(&format!("{name} "))),
            "{name} in\n{scrape}"
        );
    }
}
