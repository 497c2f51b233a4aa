//! The producer stays within its budget whatever the service does, and loses nothing when it ends.
#![forbid(unsafe_code)]

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use kpl_core::RawRecord;
use kpl_stream::client::{Fetched, FetchedRecord};
use kpl_stream::{
    BYTES_PER_RECORD, Buffered, FailureReason, Producer, ProducerBuilder, SendErrorKind, StreamProducer, blocking,
};
use kpl_testkit::service::{Service, Stream, sequence_number};

/// Returns a service that answers this many requests, and no more.
fn service(answers: usize) -> Service {
    let service = Service::new(Stream::with_shards(1));
    service.state(|state| state.puts = answers);
    service
}

fn written(service: &Service) -> usize {
    service.state(|state| state.user_records)
}

fn builder(answers: usize) -> ProducerBuilder {
    Producer::builder()
        .client(service(answers))
        .record_max_buffered_time(Duration::from_millis(1))
        .rate_limit(100_000)
}

fn record(number: usize) -> RawRecord {
    RawRecord::new("key", number.to_string().into_bytes())
}

async fn open(producer: &Producer) -> StreamProducer<RawRecord> {
    producer.stream("clicks").await.unwrap()
}

#[tokio::test]
async fn a_stalled_service_stops_the_senders() {
    let producer = builder(0).max_buffered_records(100).build().unwrap();
    let clicks = open(&producer).await;
    let mut deliveries = Vec::new();
    for number in 0..100 {
        deliveries.push(clicks.send(record(number)).await.unwrap());
    }
    let refused = clicks.try_send(record(100)).unwrap_err();
    assert!(matches!(refused.kind, SendErrorKind::Full), "{refused:?}");
    assert_eq!(refused.record, record(100));
    let waits = tokio::time::timeout(Duration::from_millis(200), clicks.send(record(101))).await;
    assert!(waits.is_err(), "it was accepted beyond the budget");
    assert_eq!(producer.buffered().records, 100);
    assert!(deliveries.iter().all(|delivery| !delivery.is_done()));
}

#[tokio::test]
async fn tags_are_in_the_budget() {
    let producer = builder(0).build().unwrap();
    let clicks = open(&producer).await;
    let tagged = RawRecord::new("key", "data")
        .with_tag("t", Some(&"v".repeat(5_000)))
        .with_tag("u", None);
    let _delivery = clicks.send(tagged).await.unwrap();
    let bytes = producer.buffered().bytes;
    assert_eq!(bytes, 2 * (3 + 4 + 1 + 5_000 + 1) + BYTES_PER_RECORD);
}

#[tokio::test]
async fn bytes_have_a_budget_too() {
    let producer = builder(0)
        .max_user_record_size(10_000)
        .max_buffered_bytes(130_000)
        .build()
        .unwrap();
    let clicks = open(&producer).await;
    let big = || RawRecord::new("key", vec![b'.'; 9_000]);
    let mut accepted = Vec::new();
    let error = loop {
        match clicks.try_send(big()) {
            Ok(delivery) => accepted.push(delivery),
            Err(error) => break error,
        }
        assert!(accepted.len() < 100, "they were accepted beyond the budget");
    };
    assert!(matches!(error.kind, SendErrorKind::Full), "{error:?}");
    assert_eq!(accepted.len(), 5);
    let buffered = producer.buffered();
    assert_eq!(
        (buffered.records, buffered.bytes),
        (5, 5 * (2 * 9_003 + BYTES_PER_RECORD))
    );
    let too_large = clicks.send(RawRecord::new("key", vec![b'.'; 9_998])).await.unwrap_err();
    assert!(
        matches!(
            too_large.kind,
            SendErrorKind::TooLarge {
                size: 10_001,
                max_size: 10_000
            }
        ),
        "{too_large:?}"
    );
    assert_eq!(too_large.record.data.len(), 9_998);
}

#[tokio::test]
async fn room_comes_back_with_the_outcomes() {
    let producer = builder(usize::MAX).max_buffered_records(10).build().unwrap();
    let clicks = open(&producer).await;
    let outcomes: Vec<_> = clicks.send_all((0..1000).map(record)).collect().await;
    assert_eq!(outcomes.len(), 1000);
    for outcome in outcomes {
        assert_eq!(outcome.unwrap().shard_id(), "shardId-000000000000");
    }
    assert_eq!(producer.buffered(), Buffered::default());
}

#[tokio::test]
async fn the_records_of_a_stream_are_sent_in_their_order() {
    let service = service(usize::MAX);
    let producer = Producer::builder().client(service.clone()).build().unwrap();
    let clicks = open(&producer).await;
    let outcomes: Vec<_> = clicks.send_all_from(stream::iter((0..100).map(record))).collect().await;
    assert_eq!(outcomes.len(), 100);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(written(&service), 100);
}

#[tokio::test]
async fn a_record_after_a_pause_is_taken_at_once() {
    let producer = builder(usize::MAX).build().unwrap();
    let clicks = open(&producer).await;
    for number in 0..5 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let delivery = clicks.send(record(number)).await.unwrap();
        let outcome = tokio::time::timeout(Duration::from_secs(20), delivery).await;
        outcome.expect("the driver sleeps").unwrap();
    }
}

#[tokio::test]
async fn closing_in_time_delivers_everything() {
    let producer = builder(usize::MAX)
        .record_max_buffered_time(Duration::from_secs(20))
        .build()
        .unwrap();
    let clicks = open(&producer).await;
    let delivery = clicks.send(record(1)).await.unwrap();
    producer.close(Duration::from_secs(10)).await.unwrap();
    assert_eq!(delivery.await.unwrap().sequence_number(), sequence_number(0));
    let closed = clicks.send(record(2)).await.unwrap_err();
    assert!(matches!(closed.kind, SendErrorKind::Closed), "{closed:?}");
    assert_eq!(closed.record, record(2));
    producer.close(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn closing_too_early_gives_the_records_back() {
    let producer = builder(0).build().unwrap();
    let clicks = open(&producer).await;
    let deliveries = [
        clicks.send(record(1)).await.unwrap(),
        clicks.send(record(2)).await.unwrap(),
    ];
    let error = producer.close(Duration::from_millis(100)).await.unwrap_err();
    let data: Vec<&[u8]> = error
        .undelivered
        .iter()
        .map(|undelivered| undelivered.record.data())
        .collect();
    assert_eq!(data, [b"1", b"2"]);
    assert!(
        error
            .undelivered
            .iter()
            .all(|undelivered| &*undelivered.stream == "clicks" && undelivered.may_have_been_written)
    );
    for (number, delivery) in (1..).zip(deliveries) {
        let error = delivery.await.unwrap_err();
        assert_eq!(error.failure.reason, FailureReason::Closed);
        assert_eq!(error.record, record(number));
    }
}

#[tokio::test]
async fn a_dropped_producer_gives_the_records_back() {
    let producer = builder(0).build().unwrap();
    let clicks = open(&producer).await;
    let delivery = clicks.send(record(1)).await.unwrap();
    drop((producer, clicks));
    let error = delivery.await.unwrap_err();
    assert_eq!(error.failure.reason, FailureReason::Closed);
    assert_eq!(error.record, record(1));
}

#[test]
fn a_runtime_that_ends_gives_the_records_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let producer = builder(0).build().unwrap();
    let (clicks, delivery) = runtime.block_on(async {
        let clicks = open(&producer).await;
        let delivery = clicks.send(record(1)).await.unwrap();
        (clicks, delivery)
    });
    drop(runtime);
    let after = clicks.try_send(record(2)).unwrap_err();
    assert!(matches!(after.kind, SendErrorKind::Closed), "{after:?}");
    let other = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(other.block_on(delivery).unwrap_err().record, record(1));
}

#[tokio::test]
async fn a_flush_waits_for_all_before_it() {
    let service = service(usize::MAX);
    let producer = Producer::builder()
        .client(service.clone())
        .record_max_buffered_time(Duration::from_secs(20))
        .build()
        .unwrap();
    let clicks = open(&producer).await;
    let mut deliveries = Vec::new();
    for number in 0..1000 {
        deliveries.push(clicks.send(record(number)).await.unwrap());
    }
    producer.flush().await;
    assert!(deliveries.iter().all(kpl_stream::Delivery::is_done));
    assert_eq!(written(&service), 1000);
}

#[tokio::test]
#[expect(clippy::result_large_err, reason = "the error gives the record back")]
async fn a_sink_sends_and_flushes() {
    let service = service(usize::MAX);
    let producer = Producer::builder()
        .client(service.clone())
        .max_buffered_records(50)
        .build()
        .unwrap();
    let mut sink = open(&producer).await.sink();
    let mut records = stream::iter((0..500).map(|number| Ok(record(number))));
    sink.send_all(&mut records).await.unwrap();
    assert_eq!(written(&service), 500);
    let error = sink.send(RawRecord::new("", "no key")).await.unwrap_err();
    assert_eq!(error.into_record(), RawRecord::new("", "no key"));
}

#[test]
fn programs_without_async_send_too() {
    let producer = blocking::Producer::start(async { builder(usize::MAX) }).unwrap();
    let clicks = producer.stream("clicks").unwrap();
    let deliveries: Vec<_> = (0..100).map(|number| clicks.send(record(number)).unwrap()).collect();
    for delivery in deliveries {
        assert_eq!(delivery.wait().unwrap().stream(), "clicks");
    }
    producer.flush();
    producer.close(Duration::from_secs(5)).unwrap();
}

#[test]
fn options_are_checked_when_the_producer_is_built() {
    let messages = [
        builder(1).collection_max_count(501).build(),
        builder(1).max_connections(0).build(),
        builder(1).aggregation_max_count(0).build(),
        builder(1).record_ttl(Duration::ZERO).build(),
    ]
    .map(|built| built.unwrap_err().to_string());
    assert_eq!(
        messages,
        [
            "collection_max_count is 501, but must be from 1 to 500",
            "max_connections is 0, but must be from 1 to 10000",
            "aggregation_max_count is 0, but must be at least 1",
            "record_ttl is 0ns, but must be longer than zero",
        ]
    );
    let error = blocking::Producer::start(async { builder(1).rate_limit(0) }).unwrap_err();
    assert_eq!(error.to_string(), "rate_limit is 0, but must be from 1 to 1000000");
}

#[tokio::test]
async fn debug_shows_no_payloads() {
    let producer = builder(0).build().unwrap();
    let clicks = open(&producer).await;
    let payload = || RawRecord::new("key", vec![b'#'; 1024]);
    let deliveries = join_all((0..1000).map(|_| clicks.send(payload()))).await;
    let delivery = deliveries.into_iter().next_back().unwrap().unwrap();
    let mut texts = vec![format!("{producer:?}"), format!("{clicks:?}"), format!("{delivery:?}")];
    let error = producer.close(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.undelivered.len(), 1000);
    assert_eq!(
        format!("{error:?}"),
        "CloseError { undelivered: 1000 records, spooled: 0 }"
    );
    texts.extend([
        format!("{:?}", error.undelivered[0]),
        format!("{:?}", delivery.await.unwrap_err()),
    ]);
    texts.push(format!("{:?}", clicks.send(payload()).await.unwrap_err()));
    let mut outcomes = clicks.send_all([payload()]);
    texts.push(format!("{outcomes:?}"));
    texts.push(format!("{:?}", outcomes.next().await.unwrap().unwrap_err()));
    let fetched = FetchedRecord::new(vec![b'#'; 1 << 20], "49");
    texts.push(format!("{fetched:?}"));
    texts.push(format!("{:?}", Fetched::new(vec![fetched], None)));
    for text in texts {
        assert!(
            text.len() < 1000 && !text.contains("35, 35") && !text.contains("##"),
            "{text}"
        );
    }
}
