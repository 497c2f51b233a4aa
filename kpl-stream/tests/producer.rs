//! The producer with a real server.

#![cfg(feature = "aws")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kpl::KplRecord;
use kpl_stream::{
    Buffered, Delivery, FailureReason, OpenErrorKind, Producer, ProducerBuilder, Receipt, SendErrorKind, StreamProducer,
};
use kpl_testkit::server::{Server, ServerBuilder};
use serde::{Deserialize, Serialize};

mod common;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Event {
    #[kpl(partition_key)]
    key: String,
    n: u32,
    text: String,
}

fn event(n: u32) -> Event {
    sized(n, 60)
}

fn sized(n: u32, len: usize) -> Event {
    Event {
        key: format!("key-{}", n % 997),
        n,
        text: "x".repeat(len),
    }
}

/// Where a record is: shard, sequence number and sub-sequence number.
type Place = (String, String, u64);

fn place(receipt: &Receipt) -> Place {
    let (shard_id, sequence_number) = (receipt.shard_id().to_owned(), receipt.sequence_number().to_owned());
    (shard_id, sequence_number, receipt.sub_sequence_number())
}

fn producer(server: &Server) -> ProducerBuilder {
    Producer::builder().load_aws_config(server.config())
}

/// Creates a stream with this many shards, and returns a producer for it.
async fn open(server: &Server, builder: ProducerBuilder, shards: i32) -> StreamProducer<Event> {
    server.create_stream("events", shards).await;
    builder.build().unwrap().stream("events").await.unwrap()
}

async fn send(stream: &StreamProducer<Event>, events: impl IntoIterator<Item = Event>) -> Vec<Delivery<Event>> {
    let mut deliveries = Vec::new();
    for event in events {
        deliveries.push(stream.send(event).await.unwrap());
    }
    deliveries
}

async fn receipts(deliveries: Vec<Delivery<Event>>) -> Vec<Receipt> {
    join_all(deliveries).await.into_iter().map(Result::unwrap).collect()
}

/// Returns everything that a reader finds, and where.
async fn read(server: &Server, stream: &str) -> Vec<(Place, Event)> {
    let records = common::read::<Event>(server, stream).await.into_iter();
    let with_place = records.map(|record| {
        let (shard_id, sequence_number) = (record.shard_id().unwrap(), record.sequence_number().unwrap());
        let place = (shard_id.into(), sequence_number.into(), record.sub_sequence_number());
        (place, record.value)
    });
    with_place.collect()
}

fn numbers(read: &[(Place, Event)]) -> Vec<u32> {
    let mut numbers: Vec<u32> = read.iter().map(|(_, event)| event.n).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_say_where_get_records_finds_the_records() {
    let server = Server::start().await;
    let stream = open(&server, producer(&server), 3).await;
    let receipts = receipts(send(&stream, (0..2000).map(event)).await).await;

    let expected: BTreeMap<Place, Event> = receipts.iter().map(place).zip((0..2000).map(event)).collect();
    let found = read(&server, "events").await;
    assert_eq!(found.len(), 2000);
    assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected);

    let kinesis_records: BTreeSet<_> = receipts.iter().map(Receipt::sequence_number).collect();
    assert!(kinesis_records.len() < 100, "{} Kinesis records", kinesis_records.len());
    for receipt in &receipts {
        assert_eq!(receipt.stream(), "events");
        assert!(receipt.is_aggregated());
        assert!(!receipt.may_be_duplicated());
        let attempts: Vec<_> = receipt.attempts().iter().collect();
        assert_eq!(attempts.len(), 1);
        assert!(attempts[0].error.is_none());
        assert!(attempts[0].duration > Duration::ZERO);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_share_a_producer() {
    let server = Server::start().await;
    let names: Vec<String> = (0..12).map(|n| format!("stream-{n}")).collect();
    let shared = producer(&server).build().unwrap();
    let mut streams = Vec::new();
    for (shards, name) in (1..).zip(&names) {
        server.create_stream(name, shards).await;
        streams.push(shared.stream::<Event>(name).await.unwrap());
    }
    // Alternating: neighbours go to different streams.
    let mut deliveries = Vec::new();
    for n in 0..2400 {
        deliveries.push(streams[n as usize % 12].send(event(n)).await.unwrap());
    }
    let receipts = receipts(deliveries).await;

    for (stream, name) in (0..).zip(&names) {
        let expected: Vec<u32> = (0..2400).filter(|n| n % 12 == stream).collect();
        assert_eq!(numbers(&read(&server, name).await), expected);
        for n in expected {
            assert_eq!(receipts[n as usize].stream(), name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_does_not_exist_is_told_when_it_is_opened() {
    let server = Server::start().await;
    let error = producer(&server)
        .build()
        .unwrap()
        .stream::<Event>("none")
        .await
        .unwrap_err();
    assert!(matches!(&error.kind, OpenErrorKind::NotFound(error) if &*error.code == "ResourceNotFoundException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_wait_for_a_stream_that_does_not_exist_yet() {
    let server = Server::start().await;
    let stream = producer(&server)
        .build()
        .unwrap()
        .stream_unchecked("events")
        .await
        .unwrap();
    let deliveries = send(&stream, (0..100).map(event)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!deliveries[0].is_done());
    server.create_stream("events", 2).await;
    receipts(deliveries).await;
    assert_eq!(numbers(&read(&server, "events").await), Vec::from_iter(0..100));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_for_a_stream_that_never_comes_expire_and_say_why() {
    let server = Server::start().await;
    let builder = producer(&server).record_ttl(Duration::from_millis(300));
    let stream = builder.build().unwrap().stream_unchecked("events").await.unwrap();
    let delivery = stream.send(event(7)).await.unwrap();
    let error = delivery.await.unwrap_err();
    assert_eq!(error.record, event(7));
    assert!(error.failure.attempts().is_empty());
    assert!(!error.failure.may_have_been_written);
    let FailureReason::Expired(Some(why)) = error.failure.reason else {
        panic!("{:?}", error.failure);
    };
    assert_eq!(&*why.code, "ResourceNotFoundException");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_deleted_fails_at_once_and_gives_records_back() {
    let server = Server::start().await;
    let stream = open(&server, producer(&server), 2).await;
    receipts(send(&stream, [event(0)]).await).await;
    let delete = server.sdk().delete_stream().stream_name("events");
    delete.send().await.unwrap();
    while server
        .sdk()
        .describe_stream_summary()
        .stream_name("events")
        .send()
        .await
        .is_ok()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = stream.send(event(1)).await.unwrap().await.unwrap_err();
    assert_eq!(error.record, event(1));
    let FailureReason::Refused(why) = error.failure.reason else {
        panic!("{:?}", error.failure);
    };
    assert_eq!(&*why.code, "ResourceNotFoundException");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_record_fails_that_the_service_refuses_a_request_for() {
    let server = Server::start().await;
    // The server accepts at most 1 MiB.
    let builder = producer(&server).max_user_record_size(2 * 1024 * 1024);
    let stream = open(&server, builder, 4).await;
    let large = sized(1000, 1_200_000);
    let mut deliveries = send(&stream, (0..300).map(event)).await;
    let refused = stream.send(large.clone()).await.unwrap();
    deliveries.extend(send(&stream, (300..600).map(event)).await);
    stream.producer().flush().await;

    let error = refused.await.unwrap_err();
    assert_eq!(error.record, large);
    assert!(!error.failure.may_have_been_written);
    let FailureReason::Refused(why) = &error.failure.reason else {
        panic!("{:?}", error.failure);
    };
    assert_eq!(&*why.code, "ValidationException");
    receipts(deliveries).await;
    assert_eq!(numbers(&read(&server, "events").await), Vec::from_iter(0..600));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_too_large_come_back_before_they_are_accepted() {
    let server = Server::start().await;
    let stream = open(&server, producer(&server).max_user_record_size(1000), 1).await;
    let error = stream.send(sized(1, 1000)).await.unwrap_err();
    assert_eq!(error.record, sized(1, 1000));
    assert!(matches!(error.kind, SendErrorKind::TooLarge { max_size: 1000, size } if size > 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn try_send_gives_the_record_back_where_there_is_no_room() {
    let server = Server::start().await;
    let builder = producer(&server).max_buffered_records(3).record_max_buffered_time(LONG);
    let stream = open(&server, builder, 1).await;
    let mut deliveries: Vec<_> = (0..3).map(|n| stream.try_send(event(n)).unwrap()).collect();
    assert_eq!(stream.producer().buffered().records, 3);
    let error = stream.try_send(event(3)).unwrap_err();
    assert!(matches!(error.kind, SendErrorKind::Full));
    assert_eq!(error.record, event(3));

    // `send` waits for room, which there is once the others were written.
    let waiting = stream.send(error.record);
    let (sent, ()) = tokio::join!(waiting, stream.producer().flush());
    deliveries.push(sent.unwrap());
    stream.producer().flush().await;
    assert_eq!(stream.producer().buffered(), Buffered::default());
    receipts(deliveries).await;
    assert_eq!(numbers(&read(&server, "events").await), [0, 1, 2, 3]);
}

/// Longer than any test.
const LONG: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn flush_waits_for_all_outcomes_and_for_nothing_else() {
    let server = Server::start().await;
    let stream = open(&server, producer(&server).record_max_buffered_time(LONG), 2).await;
    let started = Instant::now();
    let deliveries = send(&stream, (0..500).map(event)).await;
    assert!(deliveries.iter().all(|delivery| !delivery.is_done()));
    stream.producer().flush().await;
    assert!(deliveries.iter().all(Delivery::is_done));
    assert!(started.elapsed() < LONG / 2);
    assert_eq!(numbers(&read(&server, "events").await), Vec::from_iter(0..500));
    // There is nothing to wait for.
    stream.producer().flush().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_is_closed_in_time_has_written_everything() {
    let server = Server::start().await;
    let stream = open(&server, producer(&server).record_max_buffered_time(LONG), 2).await;
    let deliveries = send(&stream, (0..500).map(event)).await;
    stream.producer().close(LONG).await.unwrap();
    assert!(deliveries.iter().all(Delivery::is_done));
    receipts(deliveries).await;
    assert_eq!(numbers(&read(&server, "events").await), Vec::from_iter(0..500));

    let error = stream.send(event(500)).await.unwrap_err();
    assert!(matches!(error.kind, SendErrorKind::Closed));
    assert_eq!(error.record, event(500));
    assert!(matches!(
        stream.try_send(event(501)).unwrap_err().kind,
        SendErrorKind::Closed
    ));
    let other = stream.producer().stream::<Event>("events").await;
    assert_eq!(other.unwrap_err().to_string(), "stream events: the producer is closed");
    stream.producer().close(LONG).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_is_closed_too_early_gives_back_what_has_no_outcome() {
    // A shard accepts 1 MiB per second: this is more.
    let server = limited().start().await;
    let stream = open(&server, producer(&server), 1).await;
    let mut deliveries = send(&stream, (0..500).map(|n| sized(n, 1000))).await;
    stream.producer().flush().await;
    deliveries.extend(send(&stream, (500..6000).map(|n| sized(n, 1000))).await);
    let error = stream.producer().close(Duration::from_millis(300)).await.unwrap_err();

    let (mut written, mut given_back, mut unknown) = (Vec::new(), Vec::new(), 0);
    for delivery in deliveries {
        assert!(delivery.is_done());
        match delivery.await {
            Ok(receipt) => written.push(place(&receipt)),
            Err(error) => {
                assert_eq!(error.failure.reason, FailureReason::Closed);
                unknown += u32::from(error.failure.may_have_been_written);
                given_back.push(error.record);
            }
        }
    }
    assert!(!written.is_empty());
    assert_eq!(written.len() + given_back.len(), 6000);
    let listed: Vec<(&str, &[u8])> = error
        .undelivered
        .iter()
        .map(|undelivered| (&*undelivered.stream, undelivered.record.data()))
        .collect();
    let payloads: Vec<Vec<u8>> = given_back.iter().map(payload).collect();
    assert_eq!(
        listed,
        payloads
            .iter()
            .map(|payload| ("events", &payload[..]))
            .collect::<Vec<_>>()
    );

    // Every record with a receipt is there, and none that was certainly not written.
    let found: BTreeMap<Place, Event> = read(&server, "events").await.into_iter().collect();
    assert!(written.iter().all(|place| found.contains_key(place)));
    assert!(found.len() <= written.len() + unknown as usize);
}

fn payload(event: &Event) -> Vec<u8> {
    event.payload(&mut Vec::new()).unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_is_dropped_gives_back_what_has_no_outcome() {
    let server = Server::start().await;
    let stream = open(&server, producer(&server).record_max_buffered_time(LONG), 1).await;
    let deliveries = send(&stream, (0..500).map(event)).await;
    drop(stream);
    for (n, delivery) in (0..).zip(deliveries) {
        let error = tokio::time::timeout(LONG, delivery).await.unwrap().unwrap_err();
        assert_eq!(error.failure.reason, FailureReason::Closed);
        assert!(!error.failure.may_have_been_written);
        assert_eq!(error.record, event(n));
    }
    assert!(read(&server, "events").await.is_empty());
}

/// Returns a server with the service's limits: a shard accepts 1,000 records and 1 MiB per second.
fn limited() -> ServerBuilder {
    Server::builder().enforce_limits()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_key_keep_their_order_through_limits_and_a_split() {
    let server = limited().start().await;
    let builder = producer(&server).ordered(true).record_ttl(Duration::from_secs(60));
    let stream = open(&server, builder, 1).await;
    let sender = stream.clone();
    let sent = tokio::spawn(async move { send(&sender, (0..3000).map(|n| sized(n, 1000))).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.split("events", "shardId-000000000000").await;
    receipts(sent.await.unwrap()).await;

    // Parents before children.
    let mut last: BTreeMap<String, u32> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (_, event) in read(&server, "events").await {
        if seen.insert(event.n) {
            let before = last.insert(event.key.clone(), event.n);
            assert!(before.is_none_or(|before| before < event.n), "{before:?} {}", event.n);
        }
    }
    assert_eq!(seen, (0..3000).collect());
}

const MANY: u32 = 100_000;

fn wide(n: u32) -> Event {
    sized(n, 150)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_shards_are_split_and_merged_and_have_no_room() {
    let server = limited().start().await;
    let builder = producer(&server).record_ttl(Duration::from_secs(120)).rate_limit(1000);
    let stream = open(&server, builder, 1).await;
    let sending: Vec<_> = (0..4)
        .map(|task| {
            let stream = stream.clone();
            tokio::spawn(async move { send(&stream, (0..MANY).filter(|n| n % 4 == task).map(wide)).await })
        })
        .collect();
    // 0 splits into 1 and 2; 1 splits into 3 and 4; 4 and 2 merge into 5; 5 splits into 6 and 7.
    let pause = || tokio::time::sleep(Duration::from_millis(700));
    pause().await;
    server.split("events", "shardId-000000000000").await;
    pause().await;
    server.split("events", "shardId-000000000001").await;
    pause().await;
    server
        .merge("events", "shardId-000000000004", "shardId-000000000002")
        .await;
    pause().await;
    server.split("events", "shardId-000000000005").await;
    assert!(
        stream.producer().buffered().records > 0,
        "all was written before the last split"
    );

    let mut receipts_by_number = BTreeMap::new();
    for (task, sent) in (0..4).zip(sending) {
        let numbers = (0..MANY).filter(|n| n % 4 == task);
        receipts_by_number.extend(numbers.zip(receipts(sent.await.unwrap()).await));
    }
    let code = |code| {
        let attempts = receipts_by_number
            .values()
            .flat_map(|receipt| receipt.attempts().error_counts());
        attempts
            .filter(|(of, _)| *of == code)
            .map(|(_, count)| count)
            .sum::<usize>()
    };
    assert!(code("ProvisionedThroughputExceededException") > 0);
    assert!(code("WrongShard") > 0);

    let mut found: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    for (place, read) in read(&server, "events").await {
        assert_eq!(read, wide(read.n));
        found.entry(read.n).or_default().push(place);
    }
    assert_eq!(found.len(), MANY as usize);
    for (n, receipt) in &receipts_by_number {
        assert!(found[n].contains(&place(receipt)), "{n} is not where its receipt says");
        assert!(
            found[n].len() == 1 || receipt.may_be_duplicated(),
            "{n} is there {} times",
            found[n].len()
        );
    }
}
