//! The service in memory, as a test of a program uses it.
#![forbid(unsafe_code)]

use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt as _;
use kpl_core::RawRecord;
use kpl_stream::client::{EntryError, ReadClient as _, RequestError};
use kpl_stream::reader::Start;
use kpl_stream::testing::{Kinesis, Stream};
use kpl_stream::{FailureReason, OnFailure, Producer, Reader, Received, StreamProducer, StreamState};
use kpl_testkit::raw;
use tokio::time::Instant;

async fn clicks(shards: usize) -> (Kinesis, Stream, Producer, StreamProducer<RawRecord>) {
    let kinesis = Kinesis::new();
    let stream = kinesis.create_stream("clicks", shards);
    let producer = Producer::builder().client(kinesis.clone()).build().unwrap();
    let clicks = producer.stream("clicks").await.unwrap();
    (kinesis, stream, producer, clicks)
}

/// Sends records with the keys `0` and so on, and waits for all.
async fn send(clicks: &StreamProducer<RawRecord>, count: usize) {
    let records = (0..count).map(|number| raw(&number.to_string(), "data"));
    for outcome in clicks.send_all(records).collect::<Vec<_>>().await {
        outcome.unwrap();
    }
}

async fn read(kinesis: &Kinesis) -> Vec<Received<RawRecord>> {
    let mut reader = Reader::builder()
        .client(kinesis.clone())
        .start(Start::TrimHorizon)
        .end_when_idle(Duration::from_secs(5))
        .build("clicks")
        .await
        .unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next().await {
        records.push(record.unwrap());
    }
    records
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_aggregated_in_the_streams_shards_and_can_be_read() {
    let (kinesis, stream, _producer, clicks) = clicks(4).await;
    send(&clicks, 100).await;
    assert_eq!(stream.values::<RawRecord>().unwrap().len(), 100);
    assert_eq!(stream.kinesis_records().len(), 4);
    assert_eq!(stream.put_requests(), 1);
    let received = stream.received::<RawRecord>().unwrap();
    assert!(received.iter().all(|record| record.shard_id().is_some()));
    assert_eq!(read(&kinesis).await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn streams_are_apart_and_others_are_not_found() {
    let (kinesis, stream, producer, clicks) = clicks(1).await;
    let orders = kinesis.create_stream("orders", 1);
    let sent = producer.stream("orders").await.unwrap().send(raw("a", "order")).await;
    sent.unwrap().await.unwrap();
    send(&clicks, 2).await;
    assert_eq!(stream.values::<RawRecord>().unwrap().len(), 2);
    assert_eq!(orders.values::<RawRecord>().unwrap().len(), 1);
    assert!(kinesis.stream("orders").is_some() && kinesis.stream("carts").is_none());
    let error = kinesis.list_shards("carts").await.unwrap_err();
    assert_eq!(&*error.code, "ResourceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn each_failure_is_what_its_name_says() {
    let (_kinesis, stream, _producer, clicks) = clicks(1).await;
    let outcome = async || clicks.send(raw("a", "data")).await.unwrap().await;

    stream.throttle(2);
    assert_eq!(outcome().await.unwrap().attempts().len(), 3);

    stream.fail_puts([RequestError::refused("InternalFailure", "500")]);
    assert_eq!(outcome().await.unwrap().attempts().len(), 2);

    let shard = stream.open_shards().remove(0);
    stream.fail_shard(&shard, EntryError::new("InternalFailure", "not now"));
    let expired = outcome().await.unwrap_err();
    assert!(matches!(expired.failure.reason, FailureReason::Expired(Some(_))));
    stream.fail_shard(&shard, None);

    stream.set_put_latency(Duration::from_secs(2));
    let begun = Instant::now();
    outcome().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(2));
    stream.set_put_latency(Duration::ZERO);

    let before = stream.values::<RawRecord>().unwrap().len();
    stream.lose_answers(1);
    assert!(outcome().await.unwrap().may_be_duplicated());
    assert_eq!(stream.values::<RawRecord>().unwrap().len(), before + 2);
}

#[tokio::test(start_paused = true)]
async fn without_listings_nothing_is_aggregated() {
    let kinesis = Kinesis::new();
    let stream = kinesis.create_stream("clicks", 1);
    stream.fail_listings(true);
    let producer = Producer::builder().client(kinesis).build().unwrap();
    let clicks = producer.stream("clicks").await.unwrap();
    send(&clicks, 10).await;
    let state = clicks.state().await.unwrap();
    assert!(matches!(state, StreamState::Unpredicted(_)), "{state:?}");
    assert_eq!(stream.kinesis_records().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_limited_shard_takes_a_thousand_records_a_second() {
    let kinesis = Kinesis::new();
    let stream = kinesis.create_stream("clicks", 1);
    stream.limit_shards(true);
    let producer = Producer::builder()
        .client(kinesis)
        .aggregation_enabled(false)
        .build()
        .unwrap();
    let begun = Instant::now();
    send(&producer.stream("clicks").await.unwrap(), 4000).await;
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(stream.values::<RawRecord>().unwrap().len(), 4000);
}

#[tokio::test(start_paused = true)]
async fn shards_split_and_merge_under_producers_and_readers() {
    let (kinesis, stream, _producer, clicks) = clicks(1).await;
    send(&clicks, 50).await;
    let [lower, upper] = stream.split_shard("shardId-000000000000");
    assert_eq!(stream.open_shards(), [lower.clone(), upper.clone()]);
    send(&clicks, 50).await;
    assert_eq!(stream.merge_shards(&upper, &lower), "shardId-000000000003");
    assert_eq!(stream.open_shards(), ["shardId-000000000003"]);
    send(&clicks, 50).await;
    let read = read(&kinesis).await;
    // Those that landed in a wrong shard were sent again.
    assert!(read.len() >= 150);
    assert_eq!(read.len(), stream.values::<RawRecord>().unwrap().len());
    assert_eq!(read.last().unwrap().shard_id(), Some("shardId-000000000003"));
}

#[tokio::test(start_paused = true)]
async fn a_reader_gets_what_a_test_writes() {
    let kinesis = Kinesis::new();
    let stream = kinesis.create_stream("clicks", 2);
    stream.write(&[raw("anna", "/basket"), raw("bob", "/help")]).unwrap();
    stream.write_bytes("carl", "not aggregated");
    stream.fail_reads([RequestError::refused(
        "ProvisionedThroughputExceededException",
        "slower",
    )]);
    stream.set_read_latency(Duration::from_millis(20));
    let reader = Reader::<RawRecord>::builder()
        .client(kinesis)
        .end_when_idle(Duration::from_secs(5));
    let keys = Mutex::new(Vec::new());
    let handled = reader
        .build("clicks")
        .await
        .unwrap()
        .for_each(|record: Received<RawRecord>| {
            keys.lock().unwrap().extend(record.partition_key().map(str::to_owned));
            async { Ok::<(), std::io::Error>(()) }
        })
        .on_failure(OnFailure::Stop)
        .run()
        .await;
    handled.unwrap();
    let mut keys = keys.into_inner().unwrap();
    keys.sort();
    assert_eq!(keys, ["anna", "bob", "carl"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_may_use_fan_out() {
    let (kinesis, _stream, _producer, clicks) = clicks(2).await;
    send(&clicks, 10).await;
    let mut reader = Reader::<RawRecord>::builder()
        .client(kinesis)
        .fan_out("billing")
        .end_when_idle(Duration::from_secs(5))
        .build("clicks")
        .await
        .unwrap();
    let mut count = 0;
    while let Some(record) = reader.next().await {
        record.unwrap();
        count += 1;
    }
    assert_eq!(count, 10);
}
