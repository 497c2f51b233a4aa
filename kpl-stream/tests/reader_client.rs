//! The reader with a hand-written client: situations that no local server produces. Time is tokio's, and passes at
//! once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use kpl_core::{FromKplRecord, Position, ReadError, Timestamp, UserRecord};
use kpl_stream::client::{IteratorStart, ReadClient, RequestError, StreamIdentity};
use kpl_stream::reader::{
    MemoryPositions, Positions, PositionsError, Reader, ReaderBuilder, ReaderError, ShardState, Start, StreamPositions,
};
use kpl_testkit::service::{Service, Shard, Stream, sequence_number as number};
use tokio::time::{Instant, sleep, timeout};

/// A line of UTF-8.
#[derive(Debug, PartialEq)]
struct Line(String);

impl<'de> FromKplRecord<'de> for Line {
    fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(record.data).map_err(|error| ReadError::new(error.to_string()))?;
        assert_ne!(text, "panic", "as the test wants it");
        Ok(Self(text.into()))
    }
}

fn service(shards: impl Into<Vec<Shard>>) -> Arc<Service> {
    Arc::new(Service::new(Stream::new(shards)))
}

fn reader(service: &Arc<Service>) -> ReaderBuilder<Line> {
    Reader::builder().client(Arc::clone(service) as Arc<dyn ReadClient>)
}

async fn built(builder: ReaderBuilder<Line>) -> Reader<Line> {
    builder.build("lines").await.unwrap()
}

/// Returns all lines that arrive, until none does for an hour.
async fn lines(reader: &mut Reader<Line>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Ok(Some(record)) = timeout(Duration::from_secs(3600), reader.next()).await {
        lines.push(record.unwrap().value.0);
    }
    lines
}

fn saved(states: &[(&str, ShardState)]) -> MemoryPositions {
    let positions = MemoryPositions::new();
    let states: BTreeMap<_, _> = states
        .iter()
        .map(|(id, state)| ((*id).to_owned(), state.clone()))
        .collect();
    let states = StreamPositions::new(None, states);
    let saved = futures_util::FutureExt::now_or_never(positions.save("lines", &states));
    saved.unwrap().unwrap();
    positions
}

fn after(index: usize) -> ShardState {
    ShardState::After(Position::new(&number(index), 0).unwrap())
}

fn refused(code: &str) -> Option<RequestError> {
    Some(RequestError::refused(code, "as the test wants it"))
}

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_is_renewed_after_the_last_record() {
    let service = service([Shard::new("a", &["0", "1", "2", "3"])]);
    let mut reader = built(reader(&service).max_records(2)).await;
    assert_eq!(reader.next().await.unwrap().unwrap().value, Line("0".into()));
    service.fail([refused("ExpiredIteratorException")]);
    assert_eq!(lines(&mut reader).await, ["1", "2", "3"]);
    let starts = service.state(|state| state.iterators.clone());
    let at = IteratorStart::AtSequenceNumber(number(1));
    assert_eq!(starts, [("a".into(), IteratorStart::TrimHorizon), ("a".into(), at)]);
}

/// The position Latest would skip the records that arrived since.
#[tokio::test(start_paused = true)]
async fn an_iterator_of_latest_that_expires_before_the_first_record_loses_nothing() {
    let service = service([Shard::new("a", &[])]);
    let mut reader = built(reader(&service).start(Start::Latest)).await;
    service.state(|state| state.stream.shards[0].push("new"));
    service.fail([refused("ExpiredIteratorException")]);
    assert_eq!(lines(&mut reader).await, ["new"]);
    let starts = service.state(|state| state.iterators.clone());
    assert!(matches!(
        &starts[..],
        [(_, IteratorStart::Latest), (_, IteratorStart::AtTimestamp(_))]
    ));
}

#[tokio::test(start_paused = true)]
async fn requests_that_may_succeed_later_are_made_again_more_and_more_slowly() {
    let service = service([Shard::new("a", &["0"])]);
    service.fail((0..3).map(|_| refused("ThrottlingException")));
    let begin = Instant::now();
    let mut reader = built(reader(&service)).await;
    // At least half of 1, 1.5 and 2.25 seconds.
    assert!(begin.elapsed() > Duration::from_millis(2370), "{:?}", begin.elapsed());

    service.fail((0..20).map(|_| refused("ProvisionedThroughputExceededException")));
    service.fail([Some(RequestError::unanswered("InternalFailure", ""))]);
    let begin = Instant::now();
    assert_eq!(reader.next().await.unwrap().unwrap().value, Line("0".into()));
    let (least, most) = (Duration::from_secs(12 * 15), Duration::from_secs(80 + 12 * 30));
    assert!((least..most).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn requests_without_an_answer_are_made_again() {
    let service = service([Shard::new("a", &["0"])]);
    service.fail([None, None, None]);
    let begin = Instant::now();
    let mut reader = built(reader(&service).request_timeout(Duration::from_secs(7))).await;
    assert_eq!(lines(&mut reader).await, ["0"]);
    assert!(begin.elapsed() > Duration::from_secs(3 * 7));
    assert_eq!(service.state(|state| state.listings), 1);
}

#[tokio::test(start_paused = true)]
async fn children_that_the_service_tells_of_are_not_looked_for() {
    let mut parent = Shard::new("a", &["0", "1"]).closed();
    parent.names_children = true;
    let children = ["b", "c"].map(|id| Shard::new(id, &["2"]).of(&["a"]));
    let service = service([parent]);
    let mut reader = built(reader(&service)).await;
    service.state(|state| state.stream.shards.extend(children));
    assert_eq!(lines(&mut reader).await, ["0", "1", "2", "2"]);
    assert_eq!(service.state(|state| state.listings), 1);
}

#[tokio::test(start_paused = true)]
async fn children_that_are_not_listed_yet_are_looked_for_until_they_are() {
    let service = service([
        Shard::new("a", &["0"]).closed(),
        Shard::new("b", &["1"]).closed().of(&["a"]),
        Shard::new("c", &["2"]).of(&["b"]),
    ]);
    service.state(|state| state.stale_listings = 5);
    let mut reader = built(reader(&service)).await;
    assert_eq!(lines(&mut reader).await, ["0", "1", "2"]);
    assert_eq!(service.state(|state| state.listings), 6);
}

/// "b" ends first, and names its child, whose other parent came into being while "a" was read.
#[tokio::test(start_paused = true)]
async fn a_child_waits_for_a_parent_that_was_not_known() {
    let mut one = Shard::new("b", &["1"]).closed();
    one.names_children = true;
    let service = service([Shard::new("a", &["0"]), one]);
    let mut reader = built(reader(&service).start(Start::TrimHorizon).max_records(1)).await;
    service.state(|state| {
        state.stream.shards[0].push("2");
        state.stream.shards[0].push("3");
        state.stream.shards[0].closed = true;
        let children = [
            Shard::new("c", &["4"]).closed().of(&["a"]),
            Shard::new("d", &["5"]).of(&["b", "c"]),
        ];
        state.stream.shards.extend(children);
    });
    let mut read = lines(&mut reader).await;
    read.retain(|line| line != "1");
    assert_eq!(read, ["0", "2", "3", "4", "5"]);
}

/// The list of shards can be older than the positions.
#[tokio::test(start_paused = true)]
async fn a_shard_that_is_listed_late_is_read_from_its_saved_position() {
    let service = service([
        Shard::new("a", &["0"]).closed(),
        Shard::new("b", &["1", "2", "3"]).of(&["a"]),
        Shard::new("c", &["4"]).closed().of(&["a"]),
        Shard::new("d", &["5"]).of(&["c"]),
    ]);
    service.state(|state| state.stale_listings = 2);
    let positions = saved(&[("a", ShardState::Ended), ("b", after(1)), ("c", ShardState::Ended)]);
    let mut reader = built(reader(&service).positions(positions)).await;
    let mut read = lines(&mut reader).await;
    read.sort();
    assert_eq!(read, ["3", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_waits_until_the_consumer_has_all_records_of_both_parents() {
    let service = service([
        Shard::new("a", &["0", "1"]).closed(),
        Shard::new("b", &["2", "3"]).closed(),
        Shard::new("c", &["4"]).of(&["a", "b"]),
    ]);
    let mut reader = built(reader(&service)).await;
    for _ in 0..4 {
        sleep(Duration::from_secs(60)).await;
        let asked = service.state(|state| state.iterators.iter().any(|(id, _)| id == "c"));
        assert!(!asked);
        assert_ne!(reader.next().await.unwrap().unwrap().shard_id(), Some("c"));
    }
    assert_eq!(lines(&mut reader).await, ["4"]);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_trimmed_goes_on_at_the_oldest_record() {
    let mut shard = Shard::new("a", &["0", "1", "2", "3"]);
    shard.trimmed = 2;
    let service = service([shard]);
    let mut reader = built(reader(&service).positions(saved(&[("a", after(0))]))).await;
    assert_eq!(lines(&mut reader).await, ["2", "3"]);
}

/// A position that is after all records of its shard, as one of another stream can be.
#[tokio::test(start_paused = true)]
async fn a_position_that_is_not_one_of_the_shard_hides_no_records() {
    let service = service([Shard::new("a", &["0", "1"])]);
    let mut reader = built(reader(&service).positions(saved(&[("a", after(7))]))).await;
    service.fail([refused("InvalidArgumentException")]);
    assert_eq!(lines(&mut reader).await, ["0", "1"]);
}

fn created_at(seconds: u64) -> Option<StreamIdentity> {
    let created_at = Timestamp::from_unix_epoch(Duration::from_secs(seconds));
    Some(StreamIdentity::new("arn:aws:kinesis:us-east-1:123456789012:stream/lines").with_created_at(created_at))
}

/// Whatever shows it first: the new stream has shards with the same ids.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_replaced_while_it_is_read_ends_the_reader() {
    for code in [
        "ExpiredIteratorException",
        "InvalidArgumentException",
        "ResourceNotFoundException",
    ] {
        let service = service([Shard::new("a", &["0"])]);
        service.state(|state| state.stream.identity = created_at(1));
        let mut reader = built(reader(&service)).await;
        assert_eq!(reader.next().await.unwrap().unwrap().value, Line("0".into()));
        service.state(|state| {
            state.stream.identity = created_at(2);
            state.stream.shards = vec![Shard::new("b", &["1"])];
        });
        service.fail([refused(code)]);
        let error = reader.next().await.unwrap().unwrap_err();
        match code {
            "InvalidArgumentException" => assert!(matches!(error, ReaderError::Request { .. }), "{error}"),
            _ => assert!(matches!(error, ReaderError::OtherStream { .. }), "{code}: {error}"),
        }
        assert!(reader.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_was_read_to_its_end_and_is_open_is_one_of_another_stream() {
    let service = service([Shard::new("a", &["0"])]);
    let positions = saved(&[("a", ShardState::Ended)]);
    let error = reader(&service)
        .positions(positions.clone())
        .build("lines")
        .await
        .unwrap_err();
    assert!(matches!(error, ReaderError::OtherStream { saved: None, .. }), "{error}");
    let mut reader = built(reader(&service).positions(positions).reset_positions(true)).await;
    assert_eq!(lines(&mut reader).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn a_position_before_the_first_number_of_its_shard_is_one_of_another_stream() {
    let service = service([Shard::new("a", &["0"])]);
    let before = ShardState::After(Position::new("999", 0).unwrap());
    let positions = saved(&[("a", before)]);
    let error = reader(&service).positions(positions).build("lines").await.unwrap_err();
    assert!(matches!(error, ReaderError::OtherStream { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn positions_that_were_saved_without_an_identity_are_used_and_get_it() {
    let service = service([Shard::new("a", &["0", "1"])]);
    service.state(|state| state.stream.identity = created_at(1));
    let positions = saved(&[("a", after(0))]);
    let mut first = built(reader(&service).positions(positions.clone())).await;
    assert_eq!(lines(&mut first).await, ["1"]);
    first.commit().await.unwrap();
    assert_eq!(positions.load("lines").await.unwrap().identity, created_at(1));
    service.state(|state| state.stream.identity = created_at(2));
    let error = reader(&service).positions(positions).build("lines").await.unwrap_err();
    assert!(matches!(error, ReaderError::OtherStream { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_trimmed_with_all_its_records_is_left_out() {
    let service = service([Shard::new("a", &["0"]).closed(), Shard::new("b", &["1"]).of(&["a"])]);
    let mut reader = built(reader(&service).positions(saved(&[("a", after(0))]))).await;
    service.state(|state| drop(state.stream.shards.remove(0)));
    assert_eq!(lines(&mut reader).await, ["1"]);
    let (asked, fetches) = service.state(|state| (state.iterators.clone(), state.fetches.clone()));
    assert_eq!(asked[0].0, "a");
    assert!(fetches.iter().all(|(_, id, _)| id == "b"));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_came_into_being_between_two_readers_is_read_from_its_first_record() {
    // The service has forgotten "b", the child of "a".
    let service = service([Shard::new("a", &["0"]).closed(), Shard::new("c", &["1"]).of(&["b"])]);
    let positions = saved(&[("a", ShardState::Ended)]);
    let mut reader = built(reader(&service).start(Start::Latest).positions(positions)).await;
    assert_eq!(lines(&mut reader).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn an_ended_shard_is_saved_as_ended_when_its_last_record_is() {
    let service = service([Shard::new("a", &["0", "1"]).closed(), Shard::new("b", &[]).of(&["a"])]);
    let positions = MemoryPositions::new();
    let mut reader = built(reader(&service).positions(positions.clone())).await;
    let first = reader.next().await.unwrap().unwrap();
    let last = reader.next().await.unwrap().unwrap();
    assert!(lines(&mut reader).await.is_empty());
    reader.save(&first).await.unwrap();
    assert_eq!(positions.load("lines").await.unwrap().shards["a"], after(0));
    reader.save(&last).await.unwrap();
    let states = positions.load("lines").await.unwrap().shards;
    assert_eq!(
        (&states["a"], &states["b"]),
        (&ShardState::Ended, &ShardState::TrimHorizon)
    );
    // Saving an earlier record does not move the position back.
    reader.save(&first).await.unwrap();
    assert_eq!(positions.load("lines").await.unwrap().shards, states);
}

/// Returns when records of a shard were requested, and how many were returned.
fn fetches(service: &Service, shard_id: &str) -> Vec<(Instant, usize)> {
    let all = service.state(|state| state.fetches.clone());
    let of_shard = all.into_iter().filter(|(_, of, _)| of == shard_id);
    of_shard.map(|(at, _, count)| (at, count)).collect()
}

#[tokio::test(start_paused = true)]
async fn requests_keep_to_the_limits_of_a_shard() {
    let large = "x".repeat(1 << 20).leak();
    let service = service([
        Shard::new("many", &["0", "1", "2", "3", "4", "5"]),
        Shard::new("large", &[large, large, large]),
    ]);
    let builder = reader(&service).max_records(1).shard_bytes_per_second(2 << 20);
    let mut reader = built(builder).await;
    let read = async { while reader.next().await.is_some() {} };
    assert!(timeout(Duration::from_secs(60), read).await.is_err());
    for (id, gap) in [("many", 200), ("large", 500)] {
        let of_shard = fetches(&service, id);
        for pair in of_shard.windows(2) {
            let gap = if pair[1].1 > 0 { gap } else { 200 };
            assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(gap), "{pair:?}");
        }
        let caught_up = of_shard.iter().filter(|(_, count)| *count == 0).count();
        assert!((55..=60).contains(&caught_up), "{id}: {caught_up}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_read_as_fast_as_the_service_lets_it() {
    let large: &str = "x".repeat(1 << 20).leak();
    let service = service([Shard::new("a", &[large; 12])]);
    let mut reader = built(reader(&service).max_records(4)).await;
    assert_eq!(reader.next().await.unwrap().unwrap().value.0.len(), 1 << 20);
    sleep(Duration::from_secs(1)).await;
    let quick = fetches(&service, "a");
    assert!(
        quick.len() >= 2 && quick[1].0 - quick[0].0 < Duration::from_millis(250),
        "{quick:?}"
    );

    // Once it was too fast, four records of 1 MiB take two seconds.
    service.fail([refused("ProvisionedThroughputExceededException")]);
    let rest = async { while reader.next().await.is_some() {} };
    assert!(timeout(Duration::from_secs(60), rest).await.is_err());
    service.state(|state| {
        state.fetches.clear();
        (0..12).for_each(|_| state.stream.shards[0].push(large.as_bytes()));
    });
    let rest = async { while reader.next().await.is_some() {} };
    assert!(timeout(Duration::from_secs(60), rest).await.is_err());
    let slow: Vec<_> = fetches(&service, "a")
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(slow.len(), 3);
    for pair in slow.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_secs(2), "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_fetched_than_the_consumer_lets_it() {
    const MIB: usize = 1 << 20;
    let large = "x".repeat(MIB).leak();
    let shards: Vec<_> = (0..20)
        .map(|id| Shard::new(&format!("{id:02}"), &[large, large, large, large]))
        .collect();
    let service = service(shards);
    for budget in [1, 8 * MIB, 80 * MIB] {
        service.state(|state| state.fetches.clear());
        let mut reader = built(reader(&service).max_records(2).max_buffered_bytes(budget)).await;
        let fetched = || service.state(|state| state.fetches.iter().map(|(_, _, count)| count).sum::<usize>());
        // An answer of two records, which holds as much again while it is decoded. One answer is always possible.
        let most = (budget / (3 * MIB)).max(1) * 2;
        sleep(Duration::from_secs(600)).await;
        assert!((1..=most).contains(&fetched()), "{budget}: {}", fetched());
        for consumed in 1..=80 {
            reader.next().await.unwrap().unwrap();
            sleep(Duration::from_secs(10)).await;
            assert!(fetched() <= consumed + most + 1, "{budget}, {consumed}: {}", fetched());
        }
        assert_eq!(fetched(), 80);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_ends_when_nothing_has_arrived_for_long() {
    let service = service([Shard::new("a", &["0", "1"]), Shard::new("b", &[])]);
    let mut reader = built(reader(&service).end_when_idle(Duration::from_secs(5))).await;
    let begin = Instant::now();
    assert_eq!(lines(&mut reader).await, ["0", "1"]);
    assert!(reader.next().await.is_none());
    assert!((5..8).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());

    // What arrives meanwhile starts the time anew.
    let writer = Arc::clone(&service);
    tokio::spawn(async move {
        for n in 2..5 {
            sleep(Duration::from_secs(4)).await;
            writer.state(|state| state.stream.shards[1].push(n.to_string()));
        }
    });
    let mut reader = built(
        self::reader(&service)
            .start(Start::Latest)
            .end_when_idle(Duration::from_secs(5)),
    )
    .await;
    assert_eq!(lines(&mut reader).await, ["2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_behind_is_not_idle() {
    // Answers take longer than the reader waits.
    let slow = service([Shard::new("a", &["0", "1", "2"])]);
    slow.state(|state| state.read_latency = Duration::from_secs(3));
    let mut slow = built(reader(&slow).max_records(1).end_when_idle(Duration::from_secs(2))).await;
    assert_eq!(lines(&mut slow).await, ["0", "1", "2"]);

    // Every request fails, or has no answer, for a while.
    let failing = service([Shard::new("a", &["0"]), Shard::new("b", &[])]);
    let mut reader = built(self::reader(&failing).end_when_idle(Duration::from_secs(2))).await;
    failing.fail((0..6).map(|n| (n % 2 == 0).then(|| RequestError::refused("ThrottlingException", ""))));
    assert_eq!(lines(&mut reader).await, ["0"]);

    // A shard has ended whose children are not listed yet.
    let ended = service([Shard::new("a", &["0"]).closed(), Shard::new("b", &["1"]).of(&["a"])]);
    ended.state(|state| state.stale_listings = 6);
    let mut reader = built(self::reader(&ended).end_when_idle(Duration::from_secs(2))).await;
    assert_eq!(lines(&mut reader).await, ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_cannot_read_gives_up_when_it_may() {
    let service = service([Shard::new("a", &["0", "1"]), Shard::new("b", &[])]);
    let limit = Duration::from_secs(60);
    let builder = || reader(&service).max_records(1).give_up_after(limit);
    let fail = |failures: usize| service.fail((0..failures).map(|_| refused("ThrottlingException")));

    fail(100);
    let begin = Instant::now();
    let error = builder().build("lines").await.unwrap_err();
    assert!(
        matches!(
            &error,
            ReaderError::GaveUp {
                shard_id: None,
                operation: "ListShards",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(begin.elapsed().as_secs(), 60);
    let told = "stream lines: given up after 60s: ListShards: ThrottlingException: as the test wants it";
    assert_eq!(error.to_string(), told);

    service.state(|state| state.failures.clear());
    let mut reader = built(builder()).await;
    assert_eq!(reader.next().await.unwrap().unwrap().value, Line("0".into()));
    // Failures that do not last do not count, however many there are.
    for _ in 0..3 {
        fail(4);
        drop(timeout(Duration::from_secs(40), reader.next()).await);
        service.state(|state| state.stream.shards[0].push("more"));
    }
    service.fail((0..100).map(|_| None));
    let mut last = reader.next().await.unwrap();
    while last.is_ok() {
        last = reader.next().await.unwrap();
    }
    assert!(
        matches!(
            last,
            Err(ReaderError::GaveUp {
                operation: "GetRecords",
                ..
            })
        ),
        "{last:?}"
    );
    assert!(reader.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn iterators_that_always_expire_are_a_failure() {
    let service = service([Shard::new("a", &["0"])]);
    let mut reader = built(reader(&service).give_up_after(Duration::from_secs(60))).await;
    // A new iterator after each.
    service.fail((0..100).flat_map(|_| [refused("ExpiredIteratorException")]));
    let error = reader.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ReaderError::GaveUp { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn how_far_a_reader_is_behind_is_told() {
    let service = service([Shard::new("a", &["0", "1", "2"]), Shard::new("b", &[])]);
    let mut reader = built(reader(&service).max_records(1).max_buffered_bytes(1)).await;
    assert_eq!((reader.progress().shards, reader.progress().behind_latest), (2, None));
    reader.next().await.unwrap().unwrap();
    assert!(lines(&mut reader).await.len() == 2);
    assert_eq!(
        (reader.progress().shards, reader.progress().behind_latest),
        (2, Some(Duration::ZERO))
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_dropped_asks_no_more() {
    let service = service([Shard::new("a", &["0"]), Shard::new("b", &["1"]).closed()]);
    let mut reader = built(reader(&service)).await;
    reader.next().await.unwrap().unwrap();
    reader.next().await.unwrap().unwrap();
    drop(timeout(Duration::from_secs(60), reader.next()).await);
    assert!(Arc::strong_count(&service) > 1);
    drop(reader);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&service), 1);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "as the test wants it")]
async fn a_type_that_panics_does_so_where_records_are_taken() {
    let service = service([Shard::new("a", &["panic"]), Shard::new("b", &[])]);
    let mut reader = built(reader(&service)).await;
    drop(timeout(Duration::from_secs(60), reader.next()).await);
}

#[tokio::test(start_paused = true)]
async fn options_out_of_range_are_named() {
    let service = service([]);
    let refused = async |builder: ReaderBuilder<Line>| builder.build("lines").await.unwrap_err().to_string();
    assert_eq!(
        refused(reader(&service).max_records(10_001)).await,
        "max_records is 10001, but must be from 1 to 10000"
    );
    assert!(
        refused(reader(&service).max_buffered_bytes(0))
            .await
            .starts_with("max_buffered_bytes is 0")
    );
    assert!(
        refused(reader(&service).shard_bytes_per_second(0))
            .await
            .starts_with("shard_bytes_per_second is 0")
    );
}

/// Fails while the test wants it to.
#[derive(Debug, Default)]
struct Failing {
    fails: Arc<AtomicBool>,
    memory: MemoryPositions,
}

impl Failing {
    fn check(&self) -> Result<(), PositionsError> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err("the disk is full".into()),
            false => Ok(()),
        }
    }
}

impl Positions for Failing {
    fn load<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>> {
        Box::pin(async move {
            self.check()?;
            self.memory.load(stream).await
        })
    }

    fn save<'a>(
        &'a self,
        stream: &'a str,
        positions: &'a StreamPositions,
    ) -> BoxFuture<'a, Result<(), PositionsError>> {
        Box::pin(async move {
            self.check()?;
            self.memory.save(stream, positions).await
        })
    }

    fn remove<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<(), PositionsError>> {
        Box::pin(async move {
            self.check()?;
            self.memory.remove(stream).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_store_of_positions_refuses_is_told_and_saved_the_next_time() {
    let service = service([Shard::new("a", &["0", "1"])]);
    let positions = Failing::default();
    let (fails, memory) = (Arc::clone(&positions.fails), positions.memory.clone());
    let mut first = built(reader(&service).positions(positions)).await;
    first.next().await.unwrap().unwrap();
    fails.store(true, Ordering::SeqCst);
    let error = first.commit().await.unwrap_err();
    assert_eq!(error.to_string(), "stream lines: positions, save: the disk is full");
    fails.store(false, Ordering::SeqCst);
    first.commit().await.unwrap();
    assert_eq!(memory.load("lines").await.unwrap().shards["a"], after(0));

    let positions = Failing::default();
    positions.fails.store(true, Ordering::SeqCst);
    let error = reader(&service).positions(positions).build("lines").await.unwrap_err();
    assert!(
        matches!(error, ReaderError::Positions { operation: "load", .. }),
        "{error}"
    );
}
