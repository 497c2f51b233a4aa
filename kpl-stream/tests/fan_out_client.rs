//! Enhanced fan-out with a hand-written client: situations that no local server produces. Time is tokio's, and passes at
//! once.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use kpl_core::{Position, RawRecord, Received, Timestamp};
use kpl_stream::client::{
    Consumer, Fetched, IteratorStart, ReadClient, RequestError, ShardDescription, StreamIdentity,
};
use kpl_stream::reader::{
    MemoryPositions, Positions as _, Reader, ReaderBuilder, ReaderError, ShardState, Start, StreamPositions,
};
use kpl_testkit::aggregate_into_one;
use kpl_testkit::service::{Event, Service, Shard, Stream, sequence_number as number};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::{Instant, sleep, timeout};

const CONSUMER: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/lines/consumer/one:1";
const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/lines";

fn service(shards: impl Into<Vec<Shard>>) -> Arc<Service> {
    Arc::new(Service::new(Stream::new(shards)))
}

fn reader(service: &Arc<Service>) -> ReaderBuilder<RawRecord> {
    let client = Arc::clone(service) as Arc<dyn ReadClient>;
    Reader::builder().client(client).fan_out(CONSUMER)
}

async fn built(builder: ReaderBuilder<RawRecord>) -> Reader<RawRecord> {
    builder.build("lines").await.unwrap()
}

fn text(record: &Received<RawRecord>) -> String {
    String::from_utf8(record.value.data.to_vec()).unwrap()
}

/// Returns all lines that arrive within this time.
async fn lines(reader: &mut Reader<RawRecord>, time: Duration) -> Vec<String> {
    let mut lines = Vec::new();
    let end = Instant::now() + time;
    while let Ok(Some(record)) = tokio::time::timeout_at(end, reader.next()).await {
        lines.push(text(&record.unwrap()));
    }
    lines
}

const MINUTE: Duration = Duration::from_secs(60);

fn saved(id: &str, state: ShardState) -> MemoryPositions {
    let positions = MemoryPositions::new();
    let states = StreamPositions::new(None, [(id.to_owned(), state)].into());
    positions.save("lines", &states).now_or_never().unwrap().unwrap();
    positions
}

fn after(index: usize, sub_sequence_number: u64) -> ShardState {
    ShardState::After(Position::new(&number(index), sub_sequence_number).unwrap())
}

fn refused(code: &str) -> RequestError {
    RequestError::refused(code, "as the test wants it")
}

fn lost() -> Event {
    Event::Failure(RequestError::unanswered("ConnectionLost", "as the test wants it"))
}

/// Returns when subscriptions were asked for, since this time, and their starts.
fn asked(service: &Service, since: Instant) -> Vec<(Duration, IteratorStart)> {
    let asked = service.state(|state| state.subscriptions.asked.clone());
    asked.into_iter().map(|(at, _, start)| (at - since, start)).collect()
}

fn in_order(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_renewed_before_it_ends_after_the_last_event() {
    let service = service([Shard::new("a", &["0"])]);
    let begin = Instant::now();
    let mut reader = built(reader(&service)).await;
    let writer = Arc::clone(&service);
    tokio::spawn(async move {
        for n in 1..1000 {
            sleep(Duration::from_secs(1)).await;
            writer.state(|state| state.stream.shards[0].push(n.to_string()));
        }
    });
    assert_eq!(lines(&mut reader, Duration::from_secs(1010)).await, in_order(1000));
    let asked = asked(&service, begin);
    assert_eq!(asked.len(), 4, "{asked:?}");
    for pair in asked.windows(2) {
        let seconds = (pair[1].0 - pair[0].0).as_secs();
        assert!((285..300).contains(&seconds), "{asked:?}");
        assert!(matches!(pair[1].1, IteratorStart::AfterSequenceNumber(_)), "{asked:?}");
    }
    assert_eq!(service.state(|state| state.fetches.len() + state.iterators.len()), 0);
}

/// The service is free to end a subscription earlier.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_ends_early_is_no_failure() {
    let service = service([Shard::new("a", &["0"])]);
    service.state(|state| state.subscriptions.time = Duration::from_secs(10));
    let mut reader = built(reader(&service).give_up_after(Duration::from_secs(1))).await;
    assert_eq!(lines(&mut reader, MINUTE).await, ["0"]);
    service.state(|state| state.stream.shards[0].push("1"));
    assert_eq!(lines(&mut reader, MINUTE).await, ["1"]);
    let count = asked(&service, Instant::now()).len();
    assert!((10..=12).contains(&count), "{count}");
}

/// `ResourceInUseException` would be the answer to one that is sooner than 5 seconds after the last.
#[tokio::test(start_paused = true)]
async fn subscriptions_without_an_event_are_made_more_and_more_rarely() {
    for event in [Event::End, Event::Silence, lost()] {
        let service = service([Shard::new("a", &["0"])]);
        service.state(|state| state.subscriptions.events = vec![event.clone(); 1000].into());
        let begin = Instant::now();
        let mut reader = built(reader(&service)).await;
        assert!(lines(&mut reader, 60 * MINUTE).await.is_empty());
        let asked = asked(&service, begin);
        for pair in asked.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= Duration::from_secs(5), "{event:?}: {asked:?}");
        }
        let last = asked.len() - 1;
        assert!(
            asked[last].0 - asked[last - 1].0 >= Duration::from_secs(15),
            "{event:?}"
        );
        assert!(asked.len() < 60 * 60 / 15 + 10, "{event:?}: {}", asked.len());
        assert!(asked.iter().all(|(_, start)| *start == IteratorStart::TrimHorizon));
        service.state(|state| state.subscriptions.events.clear());
        assert_eq!(lines(&mut reader, 2 * MINUTE).await, ["0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_the_middle_continues_after_the_last_whole_event() {
    let failures = [
        lost(),
        Event::Failure(refused("InternalFailureException")),
        Event::Failure(refused("ResourceInUseException")),
        Event::Failure(refused("KMSThrottlingException")),
        Event::Silence,
        Event::End,
    ];
    let data = in_order(20);
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    let service = service([Shard::new("a", &data)]);
    service.state(|state| {
        state.subscriptions.event_records = 2;
        let failures = failures.into_iter();
        state.subscriptions.events = failures.flat_map(|event| [Event::Comes, event]).collect();
    });
    let begin = Instant::now();
    let mut reader = built(reader(&service)).await;
    assert_eq!(lines(&mut reader, 3 * MINUTE).await, in_order(20));
    let starts: Vec<_> = asked(&service, begin).into_iter().map(|(_, start)| start).collect();
    let expected: Vec<_> = (0..7)
        .map(|n| match n {
            0 => IteratorStart::TrimHorizon,
            n => IteratorStart::AfterSequenceNumber(number(2 * n - 1)),
        })
        .collect();
    assert_eq!(starts, expected);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_is_made_again_at_most_once_a_second() {
    let service = service([Shard::new("a", &["0"])]);
    let mut reader = built(reader(&service).request_timeout(Duration::from_secs(3))).await;
    service.fail((0..4).map(|_| Some(refused("LimitExceededException"))));
    service.fail([None, Some(refused("ResourceInUseException"))]);
    let begin = Instant::now();
    assert_eq!(lines(&mut reader, 2 * MINUTE).await, ["0"]);
    let asked = asked(&service, begin);
    assert_eq!(asked.len(), 7, "{asked:?}");
    for pair in asked.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_secs(1), "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_gives_up_when_it_may() {
    let limit = Duration::from_secs(60);
    for event in [Some(Event::End), Some(Event::Silence), Some(lost()), None] {
        let service = service([Shard::new("a", &["0"])]);
        let mut reader = built(reader(&service).give_up_after(limit)).await;
        match &event {
            Some(event) => {
                let events = [vec![Event::Comes], vec![event.clone(); 100]].concat();
                service.state(|state| state.subscriptions.events = events.into());
            }
            None => service.fail((0..100).map(|_| Some(refused("InternalFailure")))),
        }
        let begin = Instant::now();
        let mut last = reader.next().await.unwrap();
        if event.is_some() {
            assert_eq!(text(&last.unwrap()), "0");
            last = reader.next().await.unwrap();
        }
        let error = last.unwrap_err();
        assert!(
            matches!(
                &error,
                ReaderError::GaveUp {
                    operation: "SubscribeToShard",
                    shard_id: Some(_),
                    ..
                }
            ),
            "{event:?}: {error}"
        );
        assert!((60..130).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        assert!(reader.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_permanently_ends_the_reader() {
    for code in ["AccessDeniedException", "KMSDisabledException"] {
        let service = service([Shard::new("a", &["0"])]);
        service.state(|state| {
            let failure = Event::Failure(refused(code));
            state.subscriptions.events = [Event::Comes, failure].into();
        });
        let mut reader = built(reader(&service)).await;
        assert_eq!(text(&reader.next().await.unwrap().unwrap()), "0");
        let error = reader.next().await.unwrap().unwrap_err();
        let told = format!("stream lines, shard a: SubscribeToShard: {code}: as the test wants it");
        assert_eq!(error.to_string(), told);
        assert!(reader.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_known_no_longer_is_left_out() {
    let service = service([Shard::new("a", &["0"]).closed(), Shard::new("b", &["1"]).of(&["a"])]);
    let mut reader = built(reader(&service).positions(saved("a", after(0, 0)))).await;
    service.state(|state| drop(state.stream.shards.remove(0)));
    assert_eq!(lines(&mut reader, MINUTE).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn children_come_after_both_parents_whether_they_are_named_or_listed() {
    for names_children in [false, true] {
        let mut shards = [
            Shard::new("a", &["0", "1"]).closed(),
            Shard::new("b", &["2"]).closed(),
            Shard::new("c", &["3"]).of(&["a", "b"]),
        ];
        shards
            .iter_mut()
            .for_each(|shard| shard.names_children = names_children);
        let service = service(shards);
        service.state(|state| state.subscriptions.event_records = 1);
        if names_children {
            service.state(|state| state.stale_listings = usize::MAX);
        }
        let mut reader = built(reader(&service)).await;
        let mut read = lines(&mut reader, MINUTE).await;
        assert_eq!(read.pop().unwrap(), "3");
        read.sort();
        assert_eq!(read, ["0", "1", "2"]);
        let asked = service.state(|state| state.subscriptions.asked.len());
        assert_eq!(asked, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn every_start_position_is_used() {
    let aggregate = aggregate_into_one(&[
        RawRecord::new("k", "x"),
        RawRecord::new("k", "y"),
        RawRecord::new("k", "z"),
    ]);
    let mut shard = Shard::new("a", &["0"]);
    shard.push(&aggregate.data);
    shard.push("1");
    let service = service([shard]);
    let time = Timestamp::from_unix_epoch(Duration::from_secs(1_000_000_000));
    let first = async |builder: ReaderBuilder<RawRecord>| {
        service.state(|state| state.subscriptions.asked.clear());
        sleep(MINUTE).await;
        let mut reader = built(builder).await;
        let lines = lines(&mut reader, MINUTE).await.concat();
        let starts: Vec<_> = asked(&service, Instant::now())
            .into_iter()
            .map(|asked| asked.1)
            .collect();
        assert_eq!(starts.len(), 1);
        (lines, starts[0].clone())
    };
    let all = "0xyz1".to_owned();
    assert_eq!(first(reader(&service)).await, (all.clone(), IteratorStart::TrimHorizon));
    let at = reader(&service).start(Start::At(std::time::UNIX_EPOCH + time.since_unix_epoch()));
    assert_eq!(first(at).await, (all, IteratorStart::AtTimestamp(time)));
    let latest = reader(&service).start(Start::Latest);
    assert_eq!(first(latest).await, (String::new(), IteratorStart::Latest));
    // The aggregate is sent again, and its first two records are skipped.
    let inside = reader(&service).positions(saved("a", after(1, 1)));
    let at = IteratorStart::AtSequenceNumber(number(1));
    assert_eq!(first(inside).await, ("z1".into(), at));
}

#[tokio::test(start_paused = true)]
async fn what_is_written_after_a_reader_of_the_latest_was_built_is_read_even_if_the_subscription_fails_at_once() {
    for event in [Event::Comes, lost()] {
        let service = service([Shard::new("a", &["old"])]);
        service.state(|state| state.subscriptions.events = [event.clone()].into());
        let mut reader = built(reader(&service).start(Start::Latest)).await;
        service.state(|state| state.stream.shards[0].push("new"));
        let read = lines(&mut reader, MINUTE).await;
        match event {
            Event::Comes => assert_eq!(read, ["new"]),
            // From a minute before; the fake does not know the times of its records.
            _ => assert_eq!(read, ["old", "new"]),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_not_known_continues_at_the_oldest_record() {
    let mut shard = Shard::new("a", &["0", "1", "2", "3"]);
    shard.trimmed = 2;
    let service = service([shard]);
    let mut reader = built(reader(&service).positions(saved("a", after(0, 0)))).await;
    assert_eq!(lines(&mut reader, MINUTE).await, ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_continuation_that_is_not_known_continues_at_the_last_record() {
    let service = service([Shard::new("a", &["0", "1", "2", "3"])]);
    service.state(|state| {
        state.subscriptions.event_records = 2;
        state.subscriptions.events = [Event::Comes, Event::End].into();
    });
    let begin = Instant::now();
    let mut reader = built(reader(&service)).await;
    assert_eq!(text(&reader.next().await.unwrap().unwrap()), "0");
    service.fail([Some(refused("InvalidArgumentException"))]);
    assert_eq!(lines(&mut reader, MINUTE).await, ["1", "2", "3"]);
    let starts: Vec<_> = asked(&service, begin).into_iter().map(|asked| asked.1).collect();
    let expected = [
        IteratorStart::TrimHorizon,
        IteratorStart::AfterSequenceNumber(number(1)),
        IteratorStart::AtSequenceNumber(number(1)),
    ];
    assert_eq!(starts, expected);
}

/// The connection is not read, and the service ends the subscription meanwhile.
#[tokio::test(start_paused = true)]
async fn a_slow_consumer_loses_nothing_and_bounds_what_is_held() {
    const MIB: usize = 1 << 20;
    for budget in [1, 8 * MIB] {
        let shards: Vec<Shard> = (0..10)
            .map(|id| {
                let mut shard = Shard::new(&format!("{id}"), &[]);
                (0..5).for_each(|n| shard.push([vec![b'x'; MIB], vec![n]].concat()));
                shard
            })
            .collect();
        let service = service(shards);
        service.state(|state| state.subscriptions.event_records = 1);
        let mut reader = built(reader(&service).max_buffered_bytes(budget)).await;
        let mut read = std::collections::BTreeMap::<String, Vec<u8>>::new();
        for _ in 0..50 {
            sleep(Duration::from_secs(100)).await;
            let record = reader.next().await.unwrap().unwrap();
            let shard_id = record.shard_id().unwrap().to_owned();
            read.entry(shard_id)
                .or_default()
                .push(*record.value.data.last().unwrap());
        }
        assert!(read.values().all(|numbers| numbers == &[0, 1, 2, 3, 4]), "{read:?}");
        assert_eq!(read.len(), 10);
        assert!(timeout(MINUTE, reader.next()).await.is_err());
    }
}

/// Shards in which nothing arrives do not hold memory that others need.
#[tokio::test(start_paused = true)]
async fn silent_shards_do_not_keep_others_from_being_read() {
    let service = service([
        Shard::new("a", &[]),
        Shard::new("b", &[]),
        Shard::new("c", &["0", "1", "2"]),
    ]);
    service.state(|state| {
        state.subscriptions.event_interval = Duration::from_secs(30);
        state.subscriptions.event_records = 1;
    });
    let mut reader = built(reader(&service).max_buffered_bytes(1)).await;
    assert_eq!(lines(&mut reader, Duration::from_secs(100)).await, ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_ends_when_nothing_has_arrived_for_long() {
    let service = service([Shard::new("a", &["0", "1"]), Shard::new("b", &[])]);
    let idle = Duration::from_secs(8);
    let mut reader = built(reader(&service).end_when_idle(idle)).await;
    let writer = Arc::clone(&service);
    let begin = Instant::now();
    tokio::spawn(async move {
        for n in 2..7 {
            sleep(Duration::from_secs(7)).await;
            writer.state(|state| state.stream.shards[1].push(n.to_string()));
        }
    });
    assert_eq!(lines(&mut reader, MINUTE * 10).await, in_order(7));
    assert!(reader.next().await.is_none());
    let seconds = begin.elapsed().as_secs();
    assert!((35 + 8..35 + 8 + 9).contains(&seconds), "{seconds}");
}

/// Events without records may be old when they are looked at.
#[tokio::test(start_paused = true)]
async fn only_a_new_subscription_tells_that_nothing_has_arrived() {
    let service = service([Shard::new("a", &["0"])]);
    service.state(|state| state.subscriptions.events = [Event::Comes, Event::Comes, Event::Silence].into());
    let mut reader = built(reader(&service).end_when_idle(Duration::from_secs(2))).await;
    let begin = Instant::now();
    assert_eq!(lines(&mut reader, MINUTE * 10).await, ["0"]);
    assert!(begin.elapsed() >= Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(asked(&service, begin).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn how_far_a_reader_is_behind_is_told() {
    let service = service([Shard::new("a", &["0", "1", "2"]), Shard::new("b", &[])]);
    service.state(|state| state.subscriptions.event_records = 1);
    let mut reader = built(reader(&service)).await;
    assert_eq!((reader.progress().shards, reader.progress().behind_latest), (2, None));
    reader.next().await.unwrap().unwrap();
    assert_eq!(lines(&mut reader, MINUTE).await.len(), 2);
    let progress = reader.progress();
    assert_eq!((progress.shards, progress.behind_latest), (2, Some(Duration::ZERO)));
}

#[tokio::test(start_paused = true)]
async fn what_is_measured_is_as_with_get_records() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let service = service([Shard::new("a", &["0", "12"])]);
    service.state(|state| state.subscriptions.events = [Event::Comes, lost()].into());
    let mut reader = built(reader(&service)).await;
    service.fail([Some(refused("LimitExceededException"))]);
    assert_eq!(lines(&mut reader, MINUTE).await, ["0", "12"]);
    let measured = recorder.handle().render();
    let labels = "StreamName=\"lines\",ShardId=\"a\"";
    for line in [
        format!("RecordsProcessed{{{labels}}} 2"),
        format!("DataBytesProcessed{{{labels}}} 3"),
        format!("MillisBehindLatest{{{labels}}} 0"),
        format!("SubscribeToShard_Failure{{{labels},ErrorCode=\"LimitExceededException\"}} 1"),
        format!("SubscribeToShard_Failure{{{labels},ErrorCode=\"ConnectionLost\"}} 1"),
    ] {
        assert!(measured.lines().any(|measured| measured == line), "{line}: {measured}");
    }
}

fn named(service: &Arc<Service>) -> ReaderBuilder<RawRecord> {
    let client = Arc::clone(service) as Arc<dyn ReadClient>;
    service.state(|state| state.stream.identity = Some(StreamIdentity::new(STREAM)));
    Reader::builder().client(client).fan_out("one")
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_registered_once_and_awaited() {
    let service = service([Shard::new("a", &["0"])]);
    let begin = Instant::now();
    let mut reader = built(named(&service)).await;
    assert!(begin.elapsed() > Duration::from_millis(900), "{:?}", begin.elapsed());
    assert_eq!(lines(&mut reader, MINUTE).await, ["0"]);
    let consumers = service.state(|state| state.consumers.clone());
    assert_eq!(consumers["one"], Consumer::new(CONSUMER, true));
    let begin = Instant::now();
    drop(built(named(&service)).await);
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

/// The answer to the request that registered it was lost, or another process was faster.
#[tokio::test(start_paused = true)]
async fn a_consumer_that_exists_after_all_is_found() {
    let service = service([Shard::new("a", &["0"])]);
    service.state(|state| {
        let exists = refused("ResourceInUseException");
        state.refused.insert("RegisterStreamConsumer", exists);
    });
    let other = Arc::clone(&service);
    tokio::spawn(async move {
        sleep(Duration::from_secs(3)).await;
        other.state(|state| state.consumers.insert("one".into(), Consumer::new(CONSUMER, false)));
    });
    let mut reader = built(named(&service)).await;
    assert_eq!(lines(&mut reader, MINUTE).await, ["0"]);
}

/// A client that has only what a reader needs that asks for records.
#[derive(Debug)]
struct Asking(Arc<Service>);

impl ReadClient for Asking {
    fn list_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>> {
        self.0.list_shards(stream)
    }

    fn get_shard_iterator<'a>(
        &'a self,
        stream: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<String, RequestError>> {
        self.0.get_shard_iterator(stream, shard_id, start)
    }

    fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>> {
        self.0.get_records(iterator, limit)
    }
}

/// Returns the error with which a reader cannot be built.
async fn told(builder: ReaderBuilder<RawRecord>, stream: &str) -> String {
    let built = timeout(MINUTE, builder.build(stream)).await;
    let error = built.expect("it is told at once").unwrap_err();
    assert!(matches!(error, ReaderError::Request { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn the_operation_is_named_without_which_there_is_no_fan_out() {
    for (operation, code) in [
        ("DescribeStreamConsumer", "AccessDeniedException"),
        ("RegisterStreamConsumer", "AccessDeniedException"),
        ("RegisterStreamConsumer", "LimitExceededException"),
    ] {
        let service = service([Shard::new("a", &["0"])]);
        service.state(|state| state.refused.insert(operation, refused(code)));
        let expected = format!("stream lines: {operation}: {code}: as the test wants it");
        assert_eq!(told(named(&service), "lines").await, expected);
        assert_eq!(service.state(|state| state.fetches.len()), 0);
    }

    let unknown = service([Shard::new("a", &["0"])]);
    let builder = || reader(&unknown).fan_out("one");
    let error = told(builder(), "lines").await;
    assert!(
        error.starts_with("stream lines: DescribeStreamSummary: NoStreamArn: "),
        "{error}"
    );
    let mut reader = builder().build(STREAM).await.unwrap();
    assert_eq!(lines(&mut reader, MINUTE).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_can_only_ask_says_so() {
    let service = service([Shard::new("a", &["0"])]);
    let builder = |consumer: &str| Reader::builder().client(Asking(Arc::clone(&service))).fan_out(consumer);
    let not_supported = "NotSupported: this client does not support enhanced fan-out";
    assert_eq!(
        told(builder("one"), STREAM).await,
        format!("stream {STREAM}: DescribeStreamConsumer: {not_supported}")
    );
    let expected = format!("stream {STREAM}, shard a: SubscribeToShard: {not_supported}");
    assert_eq!(told(builder(CONSUMER).start(Start::Latest), STREAM).await, expected);
    let mut reader = builder(CONSUMER).build(STREAM).await.unwrap();
    let error = reader.next().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), expected);
}
