//! The producer with a server that refuses requests of more than about 2 MB.
#![cfg(feature = "aws")]
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_core::future::BoxFuture;
use futures_util::future::join_all;
use kpl_core::{RawRecord, SealedRecord, Shard};
use kpl_stream::Producer;
use kpl_stream::aws::AwsClient;
use kpl_stream::client::{ErrorClass, PutResult, RequestError, StreamDescription, WriteClient};
use kpl_testkit::server::Server;

/// Counts requests, and keeps the reasons why they were refused.
#[derive(Debug)]
struct Counting {
    client: AwsClient,
    requests: AtomicUsize,
    refused: Mutex<Vec<RequestError>>,
}

impl WriteClient for Counting {
    fn put_records<'a>(
        &'a self,
        stream: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        Box::pin(async move {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let answer = self.client.put_records(stream, entries).await;
            if let Err(error) = &answer {
                self.refused.lock().unwrap().push(error.clone());
            }
            answer
        })
    }

    fn open_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        self.client.open_shards(stream)
    }

    fn describe_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        self.client.describe_stream(stream)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_2_mb_refuses_a_handful_of_requests() {
    let server = Server::builder().body_limit(None).start().await;
    server.create_stream("events", 16).await;
    let client = Arc::new(Counting {
        client: AwsClient::new(server.config()),
        requests: AtomicUsize::new(0),
        refused: Mutex::default(),
    });
    let producer = Producer::builder().client(Arc::clone(&client)).build().unwrap();
    let events = producer.stream("events").await.unwrap();
    let mut deliveries = Vec::new();
    for round in 0..3 {
        // 6 MB.
        for number in 0..6000 {
            let record = RawRecord::new(format!("{round} {number}"), vec![b'.'; 1000]);
            deliveries.push(events.send(record).await.unwrap());
        }
        producer.flush().await;
    }
    let mut may_be_duplicated = false;
    for outcome in join_all(deliveries).await {
        may_be_duplicated |= outcome.unwrap().may_be_duplicated();
    }
    let failed = client.refused.lock().unwrap();
    // The server answers before it has read all, and closes the connection. A busy machine may lose the answer.
    let (refused, lost): (Vec<_>, Vec<_>) = failed.iter().partition(|error| error.class == ErrorClass::TooLarge);
    println!(
        "{} requests, {} refused, {} without an answer",
        client.requests.load(Ordering::Relaxed),
        refused.len(),
        lost.len()
    );
    assert!(!refused.is_empty(), "the server takes more than this test is about");
    assert!(refused.len() <= 6, "{} requests were refused", refused.len());
    assert!(lost.iter().all(|error| error.class == ErrorClass::Unknown), "{lost:?}");
    assert!(!may_be_duplicated || !lost.is_empty());
}
