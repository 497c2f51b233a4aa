//! Attacks on a producer, which must keep its promises all the same: each accepted record has exactly one outcome, a failure returns the record, what is reported as delivered is in the stream, and the budget comes back.
#![cfg(feature = "aws")]
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use kpl_core::{
    CodecError, Deaggregator, HashKeyRange, KeyError, KinesisRecord, KplRecord, RawRecord, SealedRecord, Shard,
    StrayPolicy,
};
use kpl_stream::aws::AwsClient;
use kpl_stream::client::{PutResult, RequestError, StreamDescription, WriteClient, Written};
use kpl_stream::reader::{Reader, Start};
use kpl_stream::{
    Buffered, Delivery, DeliveryError, FailureReason, Producer, ProducerBuilder, Receipt, SendErrorKind,
    StreamProducer, StreamState,
};
use kpl_testkit::even_shards;
use kpl_testkit::log::Log;
use kpl_testkit::server::Server;
use kpl_testkit::service::{Service, Stream};
use kpl_testkit::throttling::ThrottlingServer;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tracing::Level;

mod common;

type Outcome = Result<Receipt, DeliveryError<RawRecord>>;

/// Far more than any of these tests takes.
const GENEROUS: Duration = Duration::from_secs(120);

async fn within<F: Future>(limit: Duration, work: F) -> F::Output {
    tokio::time::timeout(limit, work).await.expect("it hangs")
}

fn record(number: usize) -> RawRecord {
    RawRecord::new(format!("key-{number}"), number.to_string().into_bytes())
}

async fn open(producer: &Producer) -> StreamProducer<RawRecord> {
    producer.stream("clicks").await.unwrap()
}

async fn send(stream: &StreamProducer<RawRecord>, numbers: std::ops::Range<usize>) -> Vec<Delivery<RawRecord>> {
    let mut deliveries = Vec::new();
    for number in numbers {
        deliveries.push(stream.send(record(number)).await.unwrap());
    }
    deliveries
}

/// Waits until the budget is back, which happens a moment after the last outcome.
async fn nothing_is_buffered(producer: &Producer) {
    for _ in 0..1000 {
        if producer.buffered() == Buffered::default() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{:?} is left", producer.buffered());
}

/// Waits for all outcomes, each of which must be that of its record. Then nothing is buffered.
async fn outcomes(producer: &Producer, deliveries: Vec<Delivery<RawRecord>>) -> Vec<Outcome> {
    let outcomes = join_all(deliveries).await;
    nothing_is_buffered(producer).await;
    outcomes
}

fn all_delivered(outcomes: &[Outcome]) {
    for outcome in outcomes {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// Asserts that each record, numbered from `first`, was given back.
fn all_given_back(outcomes: Vec<Outcome>, first: usize, is_reason: impl Fn(&FailureReason) -> bool) {
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let error = outcome.unwrap_err();
        assert_eq!(error.record, record(first + number));
        assert!(is_reason(&error.failure.reason), "{error:?}");
    }
}

fn service(shards: u128) -> Service {
    Service::new(Stream::with_shards(shards))
}

/// Returns the data of everything that a reader finds.
async fn read(server: &Server, stream: &str) -> BTreeSet<Vec<u8>> {
    let records = common::read::<RawRecord>(server, stream).await;
    records.into_iter().map(|record| record.value.data).collect()
}

/// Asserts that all of these records are among those that were found.
fn all_found(found: &BTreeSet<Vec<u8>>, numbers: std::ops::Range<usize>) {
    let is_missing = |number: &usize| !found.contains(number.to_string().as_bytes());
    let missing = numbers.filter(is_missing).count();
    assert_eq!(
        missing, 0,
        "of those that were reported as delivered, a reader drops these"
    );
}

/// A record's number, and its delivery.
type Sent = (usize, Delivery<RawRecord>);

/// Sends from four tasks until it is told to stop.
struct Senders {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Sent>>>,
}

impl Senders {
    fn start(stream: &StreamProducer<RawRecord>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..4).map(|task| {
            let (stream, stop) = (stream.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut sent = Vec::new();
                for number in (task * 1_000_000).. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    sent.push((number, stream.send(record(number)).await.unwrap()));
                    if number % 5 == 0 {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
                sent
            })
        });
        Self {
            tasks: tasks.collect(),
            stop,
        }
    }

    /// Returns the numbers of the records that were sent, and their outcomes.
    async fn stop(self) -> Vec<(usize, Outcome)> {
        self.stop.store(true, Ordering::Relaxed);
        let mut outcomes = Vec::new();
        for task in self.tasks {
            for (number, delivery) in task.await.unwrap() {
                outcomes.push((number, delivery.await));
            }
        }
        outcomes
    }
}

/// A client that calls functions.
struct Functions<P, L> {
    put: P,
    list: L,
}

impl<P, L> fmt::Debug for Functions<P, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions").finish_non_exhaustive()
    }
}

impl<P, L> WriteClient for Functions<P, L>
where
    P: Fn(&[SealedRecord]) -> Vec<PutResult> + Send + Sync + 'static,
    L: Fn() -> Vec<Shard> + Send + Sync + 'static,
{
    fn put_records<'a>(
        &'a self,
        _: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        Box::pin(async move { Ok((self.put)(&entries)) })
    }

    fn open_shards<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        Box::pin(async { Ok((self.list)()) })
    }

    fn describe_stream<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        Box::pin(async { Ok(StreamDescription::default()) })
    }
}

fn written(entries: &[SealedRecord], shard_id: &str) -> Vec<PutResult> {
    entries.iter().map(|_| Ok(Written::new(shard_id, "49"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn splits_and_merges_back_to_back() {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    let producer = Producer::builder().load_aws_config(server.config()).build().unwrap();
    let senders = Senders::start(&open(&producer).await);

    let client = AwsClient::new(server.config());
    let mut reshardings = 0;
    let storm = async {
        let end = tokio::time::Instant::now() + Duration::from_secs(4);
        while tokio::time::Instant::now() < end {
            let mut shards = client.open_shards("clicks").await.unwrap();
            shards.sort_by_key(|shard| shard.range.start());
            match &shards[..] {
                [first, second, _, ..] => server.merge("clicks", &first.id, &second.id).await,
                [first, ..] => server.split("clicks", &first.id).await,
                [] => panic!("there is no shard"),
            }
            reshardings += 1;
        }
    };
    within(GENEROUS, storm).await;
    assert!(reshardings > 20, "{reshardings}");
    let outcomes = within(GENEROUS, senders.stop()).await;
    nothing_is_buffered(&producer).await;
    let found = read(&server, "clicks").await;
    for (number, outcome) in &outcomes {
        assert!(outcome.is_ok(), "{outcome:?}");
        assert!(found.contains(number.to_string().as_bytes()), "{number} is not there");
    }
    assert!(outcomes.len() > 1000, "{}", outcomes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_deleted_and_created_anew() {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    let producer = Producer::builder().load_aws_config(server.config()).build().unwrap();
    let stream = open(&producer).await;
    let senders = Senders::start(&stream);
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.sdk().delete_stream().stream_name("clicks").send().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.create_stream("clicks", 5).await;
    // These are sent to the stream that exists now.
    let later = send(&stream, 10_000_000..10_002_000).await;
    let later = within(GENEROUS, join_all(later)).await;
    all_delivered(&later);
    for (number, outcome) in within(GENEROUS, senders.stop()).await {
        if let Err(error) = outcome {
            assert_eq!(error.record, record(number));
        }
    }
    nothing_is_buffered(&producer).await;
    let found = read(&server, "clicks").await;
    all_found(&found, 10_000_000..10_002_000);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_replaced_by_one_whose_shards_have_the_same_ids() {
    let service = service(2);
    let producer = Producer::builder().client(service.clone()).build().unwrap();
    let stream = open(&producer).await;
    let deliveries = send(&stream, 0..100).await;
    all_delivered(&within(GENEROUS, outcomes(&producer, deliveries)).await);
    service.state(|state| state.stream = Stream::with_shards(5));
    // The answers to the first request show that the shards are others. Some of its aggregates can be lost.
    for round in 0..10 {
        let deliveries = send(&stream, round * 1000..(round + 1) * 1000).await;
        all_delivered(&within(GENEROUS, outcomes(&producer, deliveries)).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let mut found = BTreeSet::new();
    for shard in service.state(|state| state.stream.shards.clone()) {
        let deaggregator = Deaggregator::<RawRecord>::new().range(shard.range, StrayPolicy::DropAggregate);
        let batch: Vec<KinesisRecord<'_>> = shard.records.iter().map(KinesisRecord::from).collect();
        found.extend(deaggregator.records(&batch).map(|record| record.unwrap().value.data));
    }
    all_found(&found, 1000..10_000);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_streams() {
    let service = service(2);
    let producer = Producer::builder().client(service.clone()).build().unwrap();
    let work = async {
        let names: Vec<String> = (0..10_000).map(|number| format!("stream-{number}")).collect();
        let streams = join_all(names.iter().map(|name| producer.stream::<RawRecord>(name))).await;
        let mut deliveries = Vec::new();
        for number in 0..3 {
            for stream in &streams {
                deliveries.push(stream.as_ref().unwrap().send(record(number)).await.unwrap());
            }
        }
        all_delivered(&outcomes(&producer, deliveries).await);
    };
    within(GENEROUS, work).await;
    assert_eq!(service.state(|state| state.user_records), 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_any_size() {
    const MIB: usize = 1 << 20;
    let server = ThrottlingServer::start();
    server.create_stream("clicks", 2, None);
    let aggregate = 51_200;
    for (limit, sizes) in [
        (MIB, vec![1, 2, aggregate - 1, aggregate, aggregate + 1, MIB - 1, MIB]),
        (10 * MIB, vec![1, aggregate + 1, MIB + 1, 10 * MIB - 1, 10 * MIB]),
    ] {
        let producer = Producer::builder()
            .load_aws_config(&server.config("key").await)
            .max_user_record_size(limit)
            .rate_limit(100_000)
            .request_timeout(Duration::from_secs(60))
            .record_ttl(GENEROUS)
            .build()
            .unwrap();
        let stream = open(&producer).await;
        // The key takes one byte.
        let sized = |size: usize| RawRecord::new("k", vec![b'.'; size - 1]);
        let before = server.counts("clicks").totals().accepted_bytes;
        let work = async {
            let mut deliveries = Vec::new();
            for size in &sizes {
                deliveries.push(stream.send(sized(*size)).await.unwrap());
            }
            let error = stream.send(sized(limit + 1)).await.unwrap_err();
            assert!(
                matches!(error.kind, SendErrorKind::TooLarge { size, max_size } if (size, max_size) == (limit + 1, limit))
            );
            assert_eq!(error.record.data.len(), limit);
            all_delivered(&outcomes(&producer, deliveries).await);
        };
        within(GENEROUS, work).await;
        let accepted = server.counts("clicks").totals().accepted_bytes - before;
        assert!(accepted >= sizes.iter().sum::<usize>() as u64, "{accepted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_senders() {
    let server = ThrottlingServer::start();
    server.create_stream("clicks", 4, None);
    let config = server.config("key").await;
    let producer = Producer::builder().load_aws_config(&config).build().unwrap();
    let stream = open(&producer).await;
    let senders = (0..1000).map(|sender| {
        let stream = stream.clone();
        tokio::spawn(async move {
            for number in 0..5 {
                stream.send(record(sender * 5 + number)).await.unwrap().await.unwrap();
            }
        })
    });
    for sender in within(GENEROUS, join_all(senders)).await {
        sender.unwrap();
    }
    nothing_is_buffered(&producer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_flushes() {
    let server = ThrottlingServer::start();
    server.create_stream("clicks", 2, None);
    let config = server.config("key").await;
    let producer = Producer::builder().load_aws_config(&config).build().unwrap();
    let senders = Senders::start(&open(&producer).await);
    let flushes = (0..10).map(|task| {
        let producer = producer.clone();
        tokio::spawn(async move {
            let mut flushes = Vec::new();
            for number in 0..1000 {
                let mut flush = Box::pin({
                    let producer = producer.clone();
                    async move { producer.flush().await }
                });
                if (number + task) % 3 == 0 {
                    // It is dropped before it completes.
                    let _ = (&mut flush).now_or_never();
                } else {
                    flushes.push(flush);
                }
                if number % 100 == 0 {
                    join_all(std::mem::take(&mut flushes)).await;
                }
            }
            join_all(flushes).await;
        })
    });
    for task in within(GENEROUS, join_all(flushes)).await {
        task.unwrap();
    }
    for (_, outcome) in within(GENEROUS, senders.stop()).await {
        outcome.unwrap();
    }
    nothing_is_buffered(&producer).await;
    within(GENEROUS, producer.close(Duration::from_secs(10))).await.unwrap();
}

/// A record whose payload does something else.
struct Trap<F>(F);

impl<F: Fn()> KplRecord for Trap<F> {
    fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, KeyError> {
        Ok("trap")
    }

    fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        (self.0)();
        buffer.extend_from_slice(b"trap");
        Ok(buffer)
    }
}

#[tokio::test]
async fn a_payload_that_panics() {
    let service = service(1);
    let producer = Producer::builder().client(service.clone()).build().unwrap();
    let traps = producer.stream("clicks").await.unwrap();
    for _ in 0..10 {
        let bomb = || panic!("a payload panics");
        let traps: StreamProducer<Trap<_>> = producer.stream("clicks").await.unwrap();
        let caught = std::panic::AssertUnwindSafe(traps.send(Trap(bomb)))
            .catch_unwind()
            .await;
        assert!(caught.is_err());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| traps.try_send(Trap(bomb)).is_ok()));
        assert!(caught.is_err());
        assert_eq!(producer.buffered(), Buffered::default());
    }
    let delivery = traps.send(record(1)).await.unwrap();
    all_delivered(&within(GENEROUS, outcomes(&producer, vec![delivery])).await);
    assert_eq!(service.state(|state| state.user_records), 1);
}

#[tokio::test]
async fn a_payload_that_sends() {
    let service = service(1);
    let producer = Producer::builder().client(service.clone()).build().unwrap();
    let stream = open(&producer).await;
    let inner = Arc::new(Mutex::new(Vec::new()));
    let trap = Trap(|| {
        let sent = stream.try_send(record(1)).unwrap();
        inner.lock().unwrap().push(sent);
        let sent = stream.send(record(2)).now_or_never().unwrap().unwrap();
        inner.lock().unwrap().push(sent);
    });
    let traps = producer.stream("clicks").await.unwrap();
    within(GENEROUS, async {
        assert!(traps.send(trap).await.unwrap().await.is_ok())
    })
    .await;
    let sent = std::mem::take(&mut *inner.lock().unwrap());
    assert!(!sent.is_empty());
    all_delivered(&within(GENEROUS, outcomes(&producer, sent)).await);
}

/// What is dropped while records are in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dropped {
    Producer,
    Runtime,
    ProducerThenRuntime,
    RuntimeThenProducer,
}

#[test]
fn everything_is_dropped_with_records_in_flight() {
    const ALL: [Dropped; 4] = [
        Dropped::Producer,
        Dropped::Runtime,
        Dropped::ProducerThenRuntime,
        Dropped::RuntimeThenProducer,
    ];
    for dropped in ALL {
        for keeps_deliveries in [true, false] {
            let logged = Log::of(Level::ERROR, || drop_all(dropped, keeps_deliveries));
            assert_eq!(logged.len(), if keeps_deliveries { 0 } else { 150 }, "{dropped:?}");
        }
    }
}

fn drop_all(dropped: Dropped, keeps_deliveries: bool) {
    let runtime = || -> Runtime { Builder::new_current_thread().enable_all().build().unwrap() };
    let service = service(2);
    service.state(|state| state.puts = 0);
    let first = runtime();
    let builder = Producer::builder().client(service);
    let producer = builder
        .record_max_buffered_time(Duration::from_millis(20))
        .build()
        .unwrap();
    let (stream, mut deliveries) = first.block_on(async {
        let stream = open(&producer).await;
        let mut deliveries = send(&stream, 0..50).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        // These are buffered, and the last ones are still in the queue.
        deliveries.extend(send(&stream, 50..100).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
        deliveries.extend(send(&stream, 100..150).await);
        (stream, deliveries)
    });
    if !keeps_deliveries {
        deliveries.clear();
    }
    match dropped {
        Dropped::Producer => {
            drop((producer, stream));
            first.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
        }
        Dropped::Runtime => {
            drop(first);
            assert_eq!(producer.buffered(), Buffered::default());
            let error = stream.try_send(record(1)).unwrap_err();
            assert!(matches!(error.kind, SendErrorKind::Closed), "{error:?}");
            assert_eq!(producer.buffered(), Buffered::default());
        }
        Dropped::ProducerThenRuntime => {
            drop((producer, stream));
            drop(first);
        }
        Dropped::RuntimeThenProducer => {
            drop(first);
            drop((producer, stream));
        }
    }
    let outcomes = runtime().block_on(within(Duration::from_secs(10), join_all(deliveries)));
    all_given_back(outcomes, 0, |reason| *reason == FailureReason::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_clock_jumps_while_requests_are_in_flight() {
    let service = service(2);
    let producer = Producer::builder().client(service.clone()).build().unwrap();
    let stream = open(&producer).await;
    for round in 0..3 {
        service.state(|state| state.puts = 0);
        let deliveries = send(&stream, 0..500).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::time::advance(Duration::from_secs(3600 * 5)).await;
        let deliveries = outcomes(&producer, deliveries);
        let expired = within(Duration::from_secs(1), deliveries).await;
        all_given_back(expired, 0, |reason| matches!(reason, FailureReason::Expired(_)));
        service.state(|state| state.puts = usize::MAX);
        let deliveries = send(&stream, 0..500).await;
        all_delivered(&within(Duration::from_secs(36), outcomes(&producer, deliveries)).await);
        assert_eq!(service.state(|state| state.user_records), (round + 1) * 500);
    }
}

#[tokio::test(start_paused = true)]
async fn durations_of_any_length() {
    let longest = [
        Duration::MAX,
        Duration::from_secs(u64::MAX / 2),
        Duration::from_secs(i64::MAX as u64 - 1),
    ];
    for long in longest.into_iter().chain([Duration::from_nanos(1)]) {
        let options: [fn(ProducerBuilder, Duration) -> ProducerBuilder; 4] = [
            ProducerBuilder::record_ttl,
            ProducerBuilder::request_timeout,
            ProducerBuilder::record_max_buffered_time,
            ProducerBuilder::shard_refresh_interval,
        ];
        let all = options.map(|option| vec![option]).into_iter().chain([options.to_vec()]);
        for options in all {
            let service = service(2);
            let builder = Producer::builder().client(service.clone());
            let builder = options
                .into_iter()
                .fold(builder, |builder, option| option(builder, long));
            let producer = builder.build().unwrap();
            let stream = open(&producer).await;
            let deliveries = send(&stream, 0..10).await;
            within(Duration::from_secs(60), producer.flush()).await;
            for (number, outcome) in outcomes(&producer, deliveries).await.into_iter().enumerate() {
                // A time to live of a nanosecond ends before anything is sent.
                match outcome {
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(long, Duration::from_nanos(1), "{error:?}");
                        assert_eq!(error.record, record(number));
                    }
                }
            }
            // A failed attempt, and one that is under way.
            service.state(|state| state.faults.throttled = 1.0);
            let mut deliveries = send(&stream, 0..10).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            service.state(|state| (state.faults.throttled, state.puts) = (0.0, 0));
            deliveries.extend(send(&stream, 10..20).await);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let closed = tokio::spawn({
                let producer = producer.clone();
                async move { producer.close(long).await }
            });
            tokio::time::sleep(Duration::from_secs(3600)).await;
            drop((stream, producer));
            if long > GENEROUS && !closed.is_finished() {
                closed.abort();
            }
            drop(closed.await);
            within(Duration::from_secs(60), join_all(deliveries)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_with_durations_of_any_length() {
    let service = service(1);
    service.state(|state| ["a", "b"].map(|data| state.stream.shards[0].push(data)));
    let mut reader = Reader::<RawRecord>::builder()
        .client(Arc::new(service.clone()))
        .poll_interval(Duration::MAX)
        .fetch_interval(Duration::MAX)
        .request_timeout(Duration::MAX)
        .start(Start::TrimHorizon)
        .build("clicks")
        .await
        .unwrap();
    for data in ["a", "b"] {
        let received = within(GENEROUS, reader.next()).await.unwrap().unwrap();
        assert_eq!(received.value.data, data.as_bytes());
    }
    assert!(
        tokio::time::timeout(Duration::from_secs(3600), reader.next())
            .await
            .is_err()
    );
}

/// The answer comes while the clock jumps: the request may have timed out before.
#[tokio::test(start_paused = true)]
async fn the_clock_jumps_over_an_answer() {
    let server = service(2);
    server.state(|state| state.latency = Duration::from_secs(1));
    for jump in [
        Duration::from_millis(1),
        Duration::from_secs(7),
        Duration::from_secs(29),
        Duration::from_secs(7200),
    ] {
        let producer = Producer::builder().client(server.clone()).build().unwrap();
        let stream = open(&producer).await;
        let deliveries = send(&stream, 0..500).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::time::advance(jump).await;
        for (number, outcome) in within(Duration::from_secs(36), outcomes(&producer, deliveries))
            .await
            .into_iter()
            .enumerate()
        {
            if let Err(error) = outcome {
                assert!(jump > Duration::from_secs(3600), "{error:?}");
                assert_eq!(error.record, record(number));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sends_dropped_while_they_wait_for_room() {
    for has_many_records in [true, false] {
        let service = service(2);
        service.state(|state| state.puts = 0);
        let builder = Producer::builder()
            .client(service.clone())
            .record_ttl(Duration::from_secs(3600));
        let (builder, count) = if has_many_records {
            (builder.max_buffered_records(10), 10)
        } else {
            (builder.max_user_record_size(1000).max_buffered_bytes(10_000), 14)
        };
        let producer = builder.build().unwrap();
        let stream = open(&producer).await;
        let mut deliveries = Vec::new();
        while let Ok(delivery) = stream.try_send(record(deliveries.len())) {
            deliveries.push(delivery);
        }
        assert_eq!(deliveries.len(), count);
        for number in 0..10_000 {
            let waits = stream.send(record(number));
            if number % 100 == 0 {
                assert!(tokio::time::timeout(Duration::from_millis(1), waits).await.is_err());
            } else {
                assert!(waits.now_or_never().is_none());
            }
        }
        assert_eq!(producer.buffered().records, count);
        // Some are dropped just when there is room.
        let mut waiting: Vec<_> = (0..100).map(|number| Box::pin(stream.send(record(number)))).collect();
        for send in &mut waiting {
            assert!(send.now_or_never().is_none());
        }
        service.state(|state| state.puts = usize::MAX);
        all_delivered(&within(Duration::from_secs(60), join_all(deliveries)).await);
        drop(waiting);
        nothing_is_buffered(&producer).await;
        assert_eq!(service.state(|state| state.user_records), count);
        all_delivered(
            &within(
                Duration::from_secs(60),
                outcomes(&producer, vec![stream.send(record(0)).await.unwrap()]),
            )
            .await,
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_panics() {
    let (puts, listings) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let panics_until = |calls: Arc<AtomicUsize>, end: usize| {
        move || assert!(calls.fetch_add(1, Ordering::Relaxed) >= end, "a client panics")
    };
    let (put, list) = (
        panics_until(Arc::clone(&puts), 3),
        panics_until(Arc::clone(&listings), 3),
    );
    let client = Functions {
        put: move |entries: &[SealedRecord]| {
            put();
            written(entries, "shardId-000000000000")
        },
        list: move || {
            list();
            even_shards(1)
        },
    };
    let producer = Producer::builder().client(client).build().unwrap();
    let stream = open(&producer).await;
    assert!(matches!(stream.state().await.unwrap(), StreamState::Unpredicted(_)));
    let deliveries = send(&stream, 0..100).await;
    let delivered = within(Duration::from_secs(36), outcomes(&producer, deliveries)).await;
    all_delivered(&delivered);
    let receipts: Vec<Receipt> = delivered.into_iter().flatten().collect();
    // Whether a client that panicked had sent its request is not known.
    assert!(receipts.iter().any(Receipt::may_be_duplicated));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(stream.state().await.unwrap(), StreamState::Predicted);

    let client = Functions {
        put: |_: &[SealedRecord]| panic!("a client panics"),
        list: || even_shards(1),
    };
    let producer = Producer::builder().client(client).build().unwrap();
    let stream = open(&producer).await;
    let deliveries = send(&stream, 0..100).await;
    let failed = within(Duration::from_secs(36), outcomes(&producer, deliveries)).await;
    all_given_back(
        failed,
        0,
        |reason| matches!(reason, FailureReason::Expired(Some(error)) if &*error.code == "ClientPanicked"),
    );
}

#[tokio::test(start_paused = true)]
async fn shards_of_any_kind() {
    let shard =
        |id: &str, range: std::ops::RangeInclusive<u128>| Shard::new(id, HashKeyRange::try_from(range).unwrap());
    let (long, half) = ("s".repeat(10_000), u128::MAX / 2);
    let lists = [
        ("thousands", even_shards(5000), true),
        ("none", Vec::new(), false),
        (
            "an overlap",
            vec![shard("a", 0..=half + 9), shard("b", half..=u128::MAX)],
            false,
        ),
        (
            "a gap",
            vec![shard("a", 0..=half), shard("b", half + 9..=u128::MAX)],
            false,
        ),
        ("no end", vec![shard("a", 0..=half)], false),
        (
            "the same one twice",
            vec![shard("a", 0..=u128::MAX), shard("a", 0..=u128::MAX)],
            false,
        ),
        (
            "one id twice",
            vec![shard("a", 0..=half), shard("a", half + 1..=u128::MAX)],
            true,
        ),
        ("a long id", vec![shard(&long, 0..=u128::MAX)], true),
        ("no id", vec![shard("", 0..=u128::MAX)], true),
    ];
    for (name, shards, is_valid) in lists {
        for throttled in [0.0, 0.5] {
            let (listed, known) = (shards.clone(), shards.clone());
            let random = Mutex::new(fastrand::Rng::with_seed(1));
            let client = Functions {
                put: move |entries: &[SealedRecord]| {
                    let results = entries.iter().map(|entry| {
                        if random.lock().unwrap().f64() < throttled {
                            let code = "ProvisionedThroughputExceededException";
                            return Err(kpl_stream::client::EntryError::new(code, "not now"));
                        }
                        let owner = known.iter().find(|shard| shard.range.contains(entry.explicit_hash_key));
                        Ok(Written::new(
                            owner.map_or("unheard-of", |shard| &shard.id),
                            "9".repeat(10_000),
                        ))
                    });
                    results.collect()
                },
                list: move || listed.clone(),
            };
            let builder = Producer::builder().client(client).record_ttl(GENEROUS);
            let producer = builder.build().unwrap();
            let stream = open(&producer).await;
            let state = stream.state().await.unwrap();
            assert_eq!(state == StreamState::Predicted, is_valid, "{name}: {state}");
            let deliveries = send(&stream, 0..1000).await;
            all_delivered(&within(GENEROUS, outcomes(&producer, deliveries)).await);
        }
    }
}
