//! Loops over a stream that call a function: order, positions, failures, and how they end. Most of them with a client whose
//! time is tokio's, and passes at once.

#[path = "common/seeds.rs"]
mod seeds;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use futures_core::future::BoxFuture;
use kpl_core::{FromKplRecord, Position, ReadError, Received, Undecodable, UserRecord};
use kpl_stream::client::{ReadClient, RequestError};
use kpl_stream::reader::for_each::ForEachError;
use kpl_stream::reader::{
    MemoryPositions, Positions, PositionsError, Reader, ReaderBuilder, ReaderError, ShardState, StreamPositions,
};
use kpl_stream::{Concurrency, Failures, OnFailure, ShardRecords};
use kpl_testkit::log::Log;
use kpl_testkit::service::{Service, Shard, Stream, sequence_number};
use kpl_testkit::{aggregate_into_one, raw};
use tokio::time::{Instant, sleep};

use crate::seeds::{number, run_seeds};

/// A line of UTF-8. It cannot be cloned.
#[derive(Debug, PartialEq)]
struct Line(String);

impl<'de> FromKplRecord<'de> for Line {
    fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(record.data).map_err(|error| ReadError::new(error.to_string()))?;
        assert_ne!(text, "panic", "as the test wants it");
        Ok(Self(text.into()))
    }
}

/// Texts in the order in which something happened to them.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Positions in memory, which fail as often as the test wants, and count what is saved.
#[derive(Clone, Debug, Default)]
struct Store {
    memory: MemoryPositions,
    saves: Arc<Mutex<usize>>,
    /// How many more saves succeed.
    left: Arc<Mutex<Option<usize>>>,
}

impl Store {
    fn fail_after(&self, saves: usize) {
        *self.left.lock().unwrap() = Some(saves);
    }

    fn saves(&self) -> usize {
        *self.saves.lock().unwrap()
    }

    async fn saved(&self, shard_id: &str) -> ShardState {
        self.memory.load("lines").await.unwrap().shards[shard_id].clone()
    }
}

impl Positions for Store {
    fn load<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>> {
        self.memory.load(stream)
    }

    fn save<'a>(
        &'a self,
        stream: &'a str,
        positions: &'a StreamPositions,
    ) -> BoxFuture<'a, Result<(), PositionsError>> {
        if let Some(left) = &mut *self.left.lock().unwrap() {
            let Some(rest) = left.checked_sub(1) else {
                return Box::pin(async { Err("the table is gone".into()) });
            };
            *left = rest;
        }
        *self.saves.lock().unwrap() += 1;
        self.memory.save(stream, positions)
    }

    fn remove<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<(), PositionsError>> {
        self.memory.remove(stream)
    }
}

fn service(shards: impl Into<Vec<Shard>>) -> Arc<Service> {
    Arc::new(Service::new(Stream::new(shards)))
}

fn reader(service: &Arc<Service>, positions: &Store) -> ReaderBuilder<Line> {
    Reader::builder()
        .client(Arc::clone(service) as Arc<dyn ReadClient>)
        .positions(positions.clone())
}

/// Returns a reader that ends when it has read everything.
async fn ending(service: &Arc<Service>, positions: &Store) -> Reader<Line> {
    let builder = reader(service, positions).end_when_idle(Duration::from_secs(10));
    builder.build("lines").await.unwrap()
}

/// Returns a shard whose records have the first character of their text as their partition key.
fn keyed(id: &str, texts: &[&str]) -> Shard {
    let mut shard = Shard::new(id, texts);
    for (record, text) in shard.records.iter_mut().zip(texts) {
        record.partition_key = Some(text[..1].into());
    }
    shard
}

fn after(index: usize, sub_sequence_number: u64) -> ShardState {
    ShardState::After(Position::new(&sequence_number(index), sub_sequence_number).unwrap())
}

fn at_most(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap()
}

/// Returns the place that an error names: the index of the Kinesis record, and the index in that.
fn place_of(error: &ForEachError) -> (usize, u64) {
    let ForEachError::Handler { place, .. } = error else {
        panic!("{error:?}");
    };
    let position = place.position().unwrap();
    (
        index_of(position.sequence_number.as_str()),
        position.sub_sequence_number,
    )
}

fn index_of(sequence_number: &str) -> usize {
    sequence_number.parse::<usize>().unwrap() - 1000
}

#[tokio::test(start_paused = true)]
async fn one_after_another_until_the_reader_ends() {
    let service = service([
        Shard::new("a", &["0", "1", "2"]).closed(),
        Shard::new("b", &["3", "4"]).of(&["a"]),
    ]);
    let (notes, store) = (Notes::default(), Store::default());
    let handled = ending(&service, &store).await.for_each(async |line: Received<Line>| {
        notes.add(format!("{} begins", line.value.0));
        sleep(Duration::from_secs(1)).await;
        notes.add(format!("{} ends", line.value.0));
        Ok::<_, Infallible>(())
    });
    handled.run().await.unwrap();
    let order: Vec<_> = (0..5)
        .flat_map(|n| [format!("{n} begins"), format!("{n} ends")])
        .collect();
    assert_eq!(notes.take(), order);
    assert_eq!(store.saved("a").await, ShardState::Ended);
    assert_eq!(store.saved("b").await, after(1, 0));
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_what_was_asked_for() {
    let texts: Vec<_> = (0..60).map(|n| format!("{}{n}", ["x", "y", "z"][n % 3])).collect();
    let texts: Vec<_> = texts.iter().map(|text| &**text).collect();
    for (concurrency, most) in [
        (Concurrency::Sequential, 1),
        (Concurrency::All(at_most(7)), 7),
        (Concurrency::ByPartitionKey(at_most(2)), 2),
        (Concurrency::ByPartitionKey(at_most(9)), 3),
    ] {
        let service = service([keyed("a", &texts)]);
        let running = Mutex::new((0, 0));
        let started = Notes::default();
        let each = ending(&service, &Store::default()).await;
        let each = each.for_each(async |line: Received<Line>| {
            {
                let (now, peak) = &mut *running.lock().unwrap();
                *now += 1;
                *peak = (*peak).max(*now);
            }
            started.add(line.value.0);
            sleep(Duration::from_millis(fastrand::u64(1..100))).await;
            running.lock().unwrap().0 -= 1;
            Ok::<_, Infallible>(())
        });
        each.concurrency(concurrency).run().await.unwrap();
        assert_eq!(*running.lock().unwrap(), (0, most), "{concurrency:?}");
        let started = started.take();
        assert_eq!(started.len(), 60);
        for key in ["x", "y", "z"] {
            let of = |texts: &[String]| {
                texts
                    .iter()
                    .filter(|text| text.starts_with(key))
                    .cloned()
                    .collect::<Vec<_>>()
            };
            let written: Vec<String> = texts.iter().copied().map(Into::into).collect();
            assert_eq!(of(&started), of(&written), "{concurrency:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_at_once_side_by_side_and_children_after_their_parents() {
    let service = service([
        Shard::new("a", &["0", "1", "2"]).closed(),
        Shard::new("b", &["3", "4"]),
        Shard::new("empty", &[]).closed().of(&["a"]),
        Shard::new("child", &["5"]).of(&["empty"]),
    ]);
    let (notes, store) = (Notes::default(), Store::default());
    let begin = Instant::now();
    let each = ending(&service, &store)
        .await
        .for_each_shard(async |shard: ShardRecords<Line>| {
            let texts: Vec<_> = shard.records.iter().map(|line| &*line.value.0).collect();
            assert_eq!(shard.stream.as_deref(), Some("lines"));
            notes.add(format!("{} {}", shard.shard_id.unwrap(), texts.join(" ")));
            sleep(Duration::from_secs(8)).await;
            Ok::<_, Infallible>(())
        });
    each.run().await.unwrap();
    let mut first = notes.take();
    assert_eq!(first.pop().as_deref(), Some("child 5"));
    first.sort();
    assert_eq!(first, ["a 0 1 2", "b 3 4"]);
    // Two calls one after another, and what it takes until the reader is idle.
    let calls = Duration::from_secs(8 * 2)..Duration::from_secs(8 * 3);
    assert!(calls.contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert_eq!(store.saved("empty").await, ShardState::Ended);
    assert_eq!(store.saved("child").await, after(0, 0));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_shards_at_a_time() {
    let service = service([
        Shard::new("a", &["0"]),
        Shard::new("b", &["1"]),
        Shard::new("c", &["2"]),
    ]);
    let running = Mutex::new(0);
    let each = ending(&service, &Store::default())
        .await
        .for_each_shard(async |_: ShardRecords<Line>| {
            *running.lock().unwrap() += 1;
            assert!(*running.lock().unwrap() <= 2);
            sleep(Duration::from_secs(1)).await;
            *running.lock().unwrap() -= 1;
            Ok::<_, Infallible>(())
        });
    each.max_shards(at_most(2)).run().await.unwrap();
}

/// In the middle of an aggregate.
#[tokio::test(start_paused = true)]
async fn a_failure_stops_and_the_next_loop_starts_at_it() {
    let mut shard = Shard::new("a", &["0"]);
    shard.push(aggregate_into_one(&[raw("k", "1"), raw("k", "2"), raw("k", "3")]).data);
    shard.push("4");
    let service = service([shard]);
    let (notes, store) = (Notes::default(), Store::default());
    for (bad, expected, handled) in [
        (Some("2"), after(1, 0), &["0", "1", "2"][..]),
        (Some("2"), after(1, 0), &["2"]),
        (None, after(2, 0), &["2", "3", "4"]),
    ] {
        let each = ending(&service, &store).await.for_each(async |line: Received<Line>| {
            notes.add(&*line.value.0);
            if Some(&*line.value.0) == bad {
                Err("bad")
            } else {
                Ok(())
            }
        });
        let result = each.run().await;
        assert_eq!(notes.take(), handled);
        assert_eq!(store.saved("a").await, expected);
        let Err(error) = result else {
            assert_eq!(bad, None);
            continue;
        };
        assert_eq!(place_of(&error), (1, 1));
        let text = "a user record failed (stream lines, shard a, position 1001:1): bad";
        assert_eq!(error.to_string(), text);
    }
}

/// What is running is finished, and what comes after the failed one is handled again.
#[tokio::test(start_paused = true)]
async fn a_failure_lets_finish_what_is_running() {
    let service = service([Shard::new("a", &["0", "1", "2", "3", "4"])]);
    let (notes, store) = (Notes::default(), Store::default());
    let each = ending(&service, &store).await.for_each(async |line: Received<Line>| {
        if line.value.0 == "1" {
            return Err("bad");
        }
        sleep(Duration::from_secs(60)).await;
        notes.add(line.value.0);
        Ok(())
    });
    let error = each.concurrency(Concurrency::All(at_most(3))).run().await.unwrap_err();
    assert_eq!(place_of(&error), (1, 0));
    assert_eq!(notes.take(), ["0", "2"]);
    assert_eq!(store.saved("a").await, after(0, 0));
}

#[tokio::test(start_paused = true)]
async fn going_on_passes_over_what_failed_and_logs_it() {
    let service = service([Shard::new("a", &["0", "1", "2"])]);
    let (notes, store) = (Notes::default(), Store::default());
    let log = Log::new(tracing::Level::ERROR);
    let guard = tracing::subscriber::set_default(log.clone());
    let each = ending(&service, &store).await.for_each(async |line: Received<Line>| {
        notes.add(&*line.value.0);
        if line.value.0 == "1" { Err("bad") } else { Ok(()) }
    });
    each.on_failure(OnFailure::Continue).run().await.unwrap();
    drop(guard);
    assert_eq!(notes.take(), ["0", "1", "2"]);
    assert_eq!(store.saved("a").await, after(2, 0));
    assert_eq!(log.messages(), ["a user record failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_shard_names_what_failed() {
    let service = service([Shard::new("a", &["0", "1", "2", "3"])]);
    let store = Store::default();
    for (on_failure, expected) in [(OnFailure::Stop, after(1, 0)), (OnFailure::Continue, after(3, 0))] {
        let each = ending(&service, &store)
            .await
            .for_each_shard(async |shard: ShardRecords<Line>| {
                let mut failures = Failures::none();
                let bad = shard.records.iter().filter(|line| ["3", "2"].contains(&&*line.value.0));
                bad.rev().for_each(|line| failures.add(line));
                Ok::<_, Infallible>(failures)
            });
        let result = each.on_failure(on_failure).run().await;
        assert_eq!(store.saved("a").await, expected);
        if let Err(error) = &result {
            assert_eq!(place_of(error), (2, 0));
        }
        assert_eq!(result.is_err(), on_failure == OnFailure::Stop);
    }
    // An error is about all of them.
    let store = Store::default();
    let each = ending(&service, &store)
        .await
        .for_each_shard(async |_: ShardRecords<Line>| Err::<(), _>("no"));
    assert_eq!(place_of(&each.run().await.unwrap_err()), (0, 0));
    assert_eq!(store.saved("a").await, ShardState::TrimHorizon);
}

fn with_poison() -> Arc<Service> {
    let mut shard = Shard::new("a", &["0"]);
    shard.push(b"\xFF");
    shard.push("2");
    service([shard])
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_handed_over() {
    for per_shard in [false, true] {
        let service = with_poison();
        let (notes, store, letters) = (Notes::default(), Store::default(), Notes::default());
        let keep = letters.clone();
        let hook = move |letter: Undecodable| {
            let keep = keep.clone();
            async move {
                keep.add(format!("{:?} {}", letter.data(), letter.position().unwrap()));
                Ok::<_, Infallible>(())
            }
        };
        let reader = ending(&service, &store).await;
        if per_shard {
            let each = reader.for_each_shard(async |shard: ShardRecords<Line>| {
                shard.records.iter().for_each(|line| notes.add(&*line.value.0));
                Ok::<_, Infallible>(())
            });
            each.dead_letters(hook).run().await.unwrap();
        } else {
            let each = reader.for_each(async |line: Received<Line>| {
                notes.add(line.value.0);
                Ok::<_, Infallible>(())
            });
            each.dead_letters(hook).run().await.unwrap();
        }
        assert_eq!(notes.take(), ["0", "2"]);
        assert_eq!(letters.take(), ["[255] 1001:0"]);
        assert_eq!(store.saved("a").await, after(2, 0));
    }
}

/// Also if there is a hook, which fails.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_nobody_takes_is_a_failure() {
    for has_hook in [false, true] {
        for per_shard in [false, true] {
            let service = with_poison();
            let (notes, store) = (Notes::default(), Store::default());
            let hook = async |_: Undecodable| Err::<(), _>("the queue is down");
            let hook = move |letter| -> BoxFuture<'static, Result<(), &str>> { Box::pin(hook(letter)) };
            let reader = ending(&service, &store).await;
            let result = if per_shard {
                let each = reader.for_each_shard(async |shard: ShardRecords<Line>| {
                    shard.records.iter().for_each(|line| notes.add(&*line.value.0));
                    Ok::<_, Infallible>(())
                });
                let each = if has_hook { each.dead_letters(hook) } else { each };
                each.run().await
            } else {
                let each = reader.for_each(async |line: Received<Line>| {
                    notes.add(line.value.0);
                    Ok::<_, Infallible>(())
                });
                let each = if has_hook { each.dead_letters(hook) } else { each };
                each.run().await
            };
            assert_eq!(notes.take(), ["0"], "{has_hook} {per_shard}");
            let error = result.unwrap_err();
            assert_eq!(place_of(&error), (1, 0));
            assert_eq!(error.to_string().contains("the queue is down"), has_hook, "{error}");
            assert_eq!(store.saved("a").await, after(0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_it_finishes_what_is_running() {
    let service = service([keyed("a", &["x0", "y1", "x2", "y3"])]);
    let (notes, store) = (Notes::default(), Store::default());
    let each = ending(&service, &store).await.for_each(async |line: Received<Line>| {
        sleep(Duration::from_secs(10)).await;
        notes.add(line.value.0);
        Ok::<_, Infallible>(())
    });
    let each = each.concurrency(Concurrency::ByPartitionKey(at_most(4)));
    each.until(sleep(Duration::from_secs(5))).run().await.unwrap();
    assert_eq!(notes.take(), ["x0", "y1"]);
    assert_eq!(store.saved("a").await, after(1, 0));
    // Without anything to do as well.
    let service = self::service([Shard::new("a", &[])]);
    let reader = reader(&service, &Store::default()).build("lines").await.unwrap();
    let each = reader.for_each(async |_: Received<Line>| Ok::<_, Infallible>(()));
    each.until(sleep(Duration::from_secs(5))).run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_reader_comes_after_what_it_has_read() {
    let service = service([Shard::new("a", &["0", "1", "2", "3"])]);
    let (notes, store) = (Notes::default(), Store::default());
    let reader = reader(&service, &store).max_records(2).build("lines").await.unwrap();
    let failing = Arc::clone(&service);
    let each = reader.for_each(|line: Received<Line>| {
        if line.value.0 == "0" {
            failing.fail([Some(RequestError::refused(
                "AccessDeniedException",
                "as the test wants it",
            ))]);
        }
        let notes = &notes;
        async move {
            sleep(Duration::from_secs(10)).await;
            notes.add(line.value.0);
            Ok::<_, Infallible>(())
        }
    });
    let error = each
        .concurrency(Concurrency::ByPartitionKey(at_most(1)))
        .run()
        .await
        .unwrap_err();
    assert!(
        matches!(error, ForEachError::Reader(ReaderError::Request { .. })),
        "{error}"
    );
    assert_eq!(notes.take(), ["0", "1"]);
    assert_eq!(store.saved("a").await, after(1, 0));
}

#[tokio::test(start_paused = true)]
async fn positions_that_cannot_be_saved_end_the_loop() {
    for saves in [0, 1, 3] {
        let service = service([Shard::new("a", &["0", "1", "2", "3", "4"])]);
        let (notes, store) = (Notes::default(), Store::default());
        store.fail_after(saves);
        let each = ending(&service, &store).await.for_each(async |line: Received<Line>| {
            notes.add(line.value.0);
            Ok::<_, Infallible>(())
        });
        let error = each.save_after(1).run().await.unwrap_err();
        assert!(error.to_string().ends_with("save: the table is gone"), "{error}");
        assert!(matches!(error, ForEachError::Reader(ReaderError::Positions { .. })));
        // One save is that of the start. The next record is handled while a position is saved.
        assert_eq!(notes.take().len(), [0, 2, 2, 4][saves]);
    }
}

#[tokio::test(start_paused = true)]
async fn positions_are_saved_after_so_many_records_or_so_much_time() {
    let texts = ["0"; 20];
    let pause = Duration::from_secs(1);
    for (after, interval, saves) in [
        (1, Duration::MAX, 20),
        (0, Duration::MAX, 20),
        (10, Duration::MAX, 2),
        (3, Duration::MAX, 7),
        (usize::MAX, Duration::MAX, 1),
        (usize::MAX, Duration::from_secs(5), 4),
        (usize::MAX, Duration::ZERO, 20),
    ] {
        let (service, store) = (service([Shard::new("a", &texts)]), Store::default());
        let each = ending(&service, &store).await.for_each(async |_: Received<Line>| {
            sleep(pause).await;
            Ok::<_, Infallible>(())
        });
        each.save_after(after).save_interval(interval).run().await.unwrap();
        // One more at the start.
        assert_eq!(store.saves(), saves + 1, "{after} {interval:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_after_positions_were_saved() {
    let service = service([Shard::new("a", &["0", "1", "2", "3"])]);
    let (notes, store) = (Notes::default(), Store::default());
    let each = ending(&service, &store).await.for_each({
        let notes = notes.clone();
        move |line: Received<Line>| {
            let notes = notes.clone();
            async move {
                assert_ne!(line.value.0, "1", "as the test wants it");
                sleep(Duration::from_secs(1)).await;
                notes.add(line.value.0);
                Ok::<_, Infallible>(())
            }
        }
    });
    let run = each.concurrency(Concurrency::All(at_most(3))).run();
    let panic = tokio::spawn(run).await.unwrap_err();
    assert!(panic.is_panic());
    assert_eq!(notes.take(), ["0", "2"]);
    assert_eq!(store.saved("a").await, after(0, 0));
}

/// It is the reader that panics.
#[tokio::test(start_paused = true)]
async fn a_panic_of_the_conversion_goes_on_after_positions_were_saved() {
    let service = service([Shard::new("a", &["0"])]);
    let store = Store::default();
    let reader = ending(&service, &store).await;
    let writing = Arc::clone(&service);
    let each = reader.for_each(move |_: Received<Line>| {
        writing.state(|state| state.stream.shards[0].push("panic"));
        async { Ok::<_, Infallible>(()) }
    });
    let panic = tokio::spawn(each.save_interval(Duration::MAX).run()).await.unwrap_err();
    assert!(panic.is_panic());
    assert_eq!(store.saved("a").await, after(0, 0));
}

/// A line that can be cloned.
#[derive(Clone)]
struct Copied(String);

impl<'de> FromKplRecord<'de> for Copied {
    fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
        Line::from_user_record(record).map(|line| Self(line.0))
    }
}

async fn copied(service: &Arc<Service>, positions: &Store) -> Reader<Copied> {
    Reader::builder()
        .client(Arc::clone(service) as Arc<dyn ReadClient>)
        .positions(positions.clone())
        .end_when_idle(Duration::from_secs(10))
        .build("lines")
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_record_is_tried_again_so_many_times() {
    for (retries, succeeds) in [(2, false), (3, true), (9, true)] {
        let service = service([Shard::new("a", &["0", "1"])]);
        let (notes, store) = (Notes::default(), Store::default());
        let begin = Instant::now();
        let left = Mutex::new(3);
        let each = copied(&service, &store).await.for_each(async |line: Received<Copied>| {
            notes.add(line.value.0.clone());
            let mut left = left.lock().unwrap();
            if line.value.0 == "0" && *left > 0 {
                *left -= 1;
                return Err("not yet");
            }
            Ok(())
        });
        let result = each.retries(retries).run().await;
        assert_eq!(result.is_ok(), succeeds);
        let expected = if succeeds {
            &["0", "0", "0", "0", "1"][..]
        } else {
            &["0", "0", "0"]
        };
        assert_eq!(notes.take(), expected);
        // At least half of 100 and 200 ms.
        assert!(begin.elapsed() > Duration::from_millis(150));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_waits_for_its_retry_is_left_when_the_loop_stops() {
    for on_failure in [OnFailure::Stop, OnFailure::Continue] {
        let service = service([Shard::new("a", &["0", "1"])]);
        let store = Store::default();
        let begin = Instant::now();
        let each = copied(&service, &store).await.for_each(
            async |line: Received<Copied>| {
                if line.value.0 == "1" { Err("never") } else { Ok(()) }
            },
        );
        let each = each.retries(u32::MAX).on_failure(on_failure);
        each.until(sleep(Duration::from_secs(100))).run().await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(106));
        assert_eq!(store.saved("a").await, after(0, 0));
    }
}

/// A slow record does not let the others run on without end.
#[tokio::test(start_paused = true)]
async fn only_so_many_records_are_unfinished() {
    let texts = ["0"; 100];
    let service = service([Shard::new("a", &texts)]);
    let handled = Mutex::new(0);
    let each = ending(&service, &Store::default())
        .await
        .for_each(async |line: Received<Line>| {
            if line.position() == Position::new(&sequence_number(0), 0).ok() {
                sleep(Duration::from_secs(60)).await;
                assert_eq!(*handled.lock().unwrap(), 29);
            }
            *handled.lock().unwrap() += 1;
            Ok::<_, Infallible>(())
        });
    let each = each
        .concurrency(Concurrency::All(at_most(5)))
        .max_unfinished(at_most(30));
    each.run().await.unwrap();
    assert_eq!(handled.into_inner().unwrap(), 100);
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn with_a_real_server() {
    let server = kpl_testkit::server::Server::start().await;
    server.create_stream("lines", 2).await;
    let keys = ["a", "b", "c", "d", "e", "f"];
    let sealed = keys.map(|key| {
        let records: Vec<_> = (0..50).map(|n| raw(key, format!("{key}{n:02}"))).collect();
        aggregate_into_one(&records)
    });
    server.put("lines", sealed).await;
    let notes = Notes::default();
    let store = Store::default();
    for expected in [6 * 50, 0] {
        let builder = Reader::<Line>::builder()
            .load_aws_config(server.config())
            .positions(store.clone())
            .poll_interval(Duration::from_millis(20))
            .fetch_interval(Duration::from_millis(5))
            .end_when_idle(Duration::from_millis(500));
        let reader = builder.build("lines").await.unwrap();
        let seen = notes.clone();
        let each = reader.for_each(move |line: Received<Line>| {
            let seen = seen.clone();
            async move {
                seen.add(line.value.0);
                Ok::<_, Infallible>(())
            }
        });
        let run = each.concurrency(Concurrency::ByPartitionKey(at_most(4))).run();
        tokio::spawn(run).await.unwrap().unwrap();
        let handled = notes.take();
        assert_eq!(handled.len(), expected);
        for key in keys {
            let of_key = handled.iter().filter(|line| line.starts_with(key));
            assert!(of_key.is_sorted());
        }
    }
}

/// What happened in a seed.
#[derive(Clone, Copy, Debug, Default)]
struct Statistics {
    loops: usize,
    handled: usize,
    again: usize,
    failed: usize,
    saves: usize,
    told: usize,
}

impl Statistics {
    fn add(&mut self, other: Self) {
        let Self {
            loops,
            handled,
            again,
            failed,
            saves,
            told,
        } = other;
        self.loops += loops;
        self.handled += handled;
        self.again += again;
        self.failed += failed;
        self.saves += saves;
        self.told += told;
    }
}

/// A user record: its shard, its Kinesis record's index in that, and its index in that.
type Place = (String, usize, u64);

/// What functions were called with, by all loops of a seed.
#[derive(Debug)]
struct World {
    rng: Rng,
    /// All user records.
    written: BTreeSet<Place>,
    /// Those that may be saved: handled, passed over, or taken as dead letters.
    done: BTreeSet<Place>,
    /// Up to where each shard is saved.
    saved: BTreeMap<String, ShardState>,
    /// What runs now, by what must be handled one after another; with the last text.
    lanes: BTreeMap<String, (bool, String)>,
    running: usize,
    statistics: Statistics,
    problem: Option<String>,
}

impl World {
    fn is_saved(&self, (shard_id, index, sub): &Place) -> bool {
        match self.saved.get(shard_id) {
            Some(ShardState::After(position)) => {
                let saved = (
                    index_of(position.sequence_number.as_str()),
                    position.sub_sequence_number,
                );
                (*index, *sub) <= saved
            }
            Some(ShardState::Ended) => true,
            _ => false,
        }
    }

    fn fail(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    /// Notes that records are done, if they may be saved.
    fn finish(&mut self, places: &[Place], on_failure: OnFailure, failed: bool) {
        self.statistics.handled += places.len();
        self.statistics.failed += if failed { places.len() } else { 0 };
        if !failed || on_failure == OnFailure::Continue {
            self.done.extend(places.iter().cloned());
        }
    }
}

#[derive(Clone, Debug)]
struct Checked {
    world: Arc<Mutex<World>>,
    memory: MemoryPositions,
}

impl Checked {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    async fn pause(&self) {
        let millis = {
            let mut world = self.world();
            if world.rng.bool() { 0 } else { world.rng.u64(0..2000) }
        };
        sleep(Duration::from_millis(millis)).await;
    }

    /// What a function does with records that must come after the others of their lanes.
    async fn handle(
        &self,
        records: &[(Place, String, String)],
        on_failure: OnFailure,
        limit: usize,
    ) -> Result<(), String> {
        let places: Vec<Place> = records.iter().map(|(place, ..)| place.clone()).collect();
        {
            let mut world = self.world();
            world.running += 1;
            if world.running > limit {
                world.fail(format!("{} at a time", limit + 1));
            }
            for (place, lane, text) in records {
                if world.is_saved(place) {
                    world.fail(format!("{place:?} was saved, and is handled again"));
                }
                world.statistics.again += usize::from(world.done.contains(place));
                let (runs, last) = world.lanes.entry(lane.clone()).or_default();
                let (ran, before) = (std::mem::replace(runs, true), std::mem::replace(last, text.clone()));
                // The records of a call are in order.
                if before >= *text || (ran && records.len() == 1) {
                    world.fail(format!("{place:?}: {text} after {before}, which runs: {ran}"));
                }
            }
        }
        self.pause().await;
        let mut world = self.world();
        world.running -= 1;
        for (_, lane, _) in records {
            if let Some((runs, _)) = world.lanes.get_mut(lane) {
                *runs = false;
            }
        }
        let fails = world.rng.f64() < 0.03;
        world.finish(&places, on_failure, fails);
        if fails { Err("bad".into()) } else { Ok(()) }
    }
}

impl Positions for Checked {
    fn load<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>> {
        self.memory.load(stream)
    }

    fn save<'a>(
        &'a self,
        stream: &'a str,
        positions: &'a StreamPositions,
    ) -> BoxFuture<'a, Result<(), PositionsError>> {
        Box::pin(async move {
            {
                let mut world = self.world();
                world.statistics.saves += 1;
                world.saved.extend(positions.shards.clone());
                let ahead = world
                    .written
                    .difference(&world.done)
                    .find(|place| world.is_saved(place));
                if let Some(ahead) = ahead.cloned() {
                    world.fail(format!("{ahead:?} is saved, and was not handled"));
                }
            }
            self.memory.save(stream, positions).await?;
            self.pause().await;
            Ok(())
        })
    }

    fn remove<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), PositionsError>> {
        unreachable!("nothing is reset")
    }
}

/// Returns two trees of shards, each of which is split and merged again, with records whose texts grow.
fn trees(rng: &mut Rng) -> (Vec<Shard>, BTreeSet<Place>) {
    let mut shards = Vec::new();
    let mut text = 0;
    for tree in 0..rng.usize(1..3) {
        let id = |name: &str| format!("{tree}-{name}");
        for (name, parents, keys) in [
            ("root", &[][..], &["p", "q", "r", "s"][..]),
            ("left", &["root"], &["p", "q"]),
            ("right", &["root"], &["r", "s"]),
            ("merged", &["left", "right"], &["p", "q", "r", "s"]),
        ] {
            let mut shard = Shard::new(&id(name), &[]);
            shard.parents = parents.iter().map(|name| id(name)).collect();
            shard.closed = name != "merged";
            for _ in 0..rng.usize(0..12) {
                let records: Vec<_> = (0..rng.usize(1..4))
                    .map(|_| {
                        text += 1;
                        let key = format!("{tree}-{}", keys[rng.usize(0..keys.len())]);
                        let poison = rng.f64() < 0.03;
                        let data = if poison {
                            vec![0xFF]
                        } else {
                            format!("{text:06}").into_bytes()
                        };
                        raw(&key, data)
                    })
                    .collect();
                let sealed = aggregate_into_one(&records);
                shard.push(sealed.data);
                if let Some(record) = shard.records.last_mut() {
                    record.partition_key = Some(sealed.partition_key.into_string());
                }
            }
            shards.push(shard);
        }
    }
    let mut written = BTreeSet::new();
    for shard in &shards {
        for (index, record) in shard.records.iter().enumerate() {
            let key = record.partition_key.as_deref().unwrap_or_default();
            let count = kpl_testkit::user_records(&record.data, key).len();
            written.extend((0..count).map(|sub| (shard.id.clone(), index, sub as u64)));
        }
    }
    (shards, written)
}

fn place<U>(record: &Received<U>) -> Place {
    let index = index_of(record.sequence_number().unwrap());
    (record.shard_id().unwrap().into(), index, record.sub_sequence_number())
}

/// Runs one loop with random options.
async fn run_once(service: &Arc<Service>, checked: &Checked) -> Result<(), ForEachError> {
    let (mut rng, seen) = (checked.world().rng.fork(), checked.clone());
    checked.world().lanes.clear();
    let reader = Reader::<Line>::builder()
        .client(Arc::clone(service) as Arc<dyn ReadClient>)
        .positions(checked.clone())
        .max_records(rng.usize(1..=5))
        .end_when_idle(Duration::from_secs(10))
        .build("lines")
        .await?;
    let on_failure = if rng.bool() {
        OnFailure::Stop
    } else {
        OnFailure::Continue
    };
    let limit = rng.usize(1..6);
    let concurrency = match rng.usize(0..3) {
        0 => Concurrency::Sequential,
        1 => Concurrency::All(at_most(limit)),
        _ => Concurrency::ByPartitionKey(at_most(limit)),
    };
    let letters = checked.clone();
    let hook = move |letter: Undecodable| {
        let letters = letters.clone();
        async move {
            letters.pause().await;
            let mut world = letters.world();
            let fails = world.rng.f64() < 0.2;
            let index = index_of(letter.sequence_number().unwrap());
            let place = (letter.shard_id().unwrap().into(), index, letter.sub_sequence_number());
            world.finish(&[place], on_failure, fails);
            if fails { Err("no room") } else { Ok(()) }
        }
    };
    let (after, interval) = (rng.usize(0..20), Duration::from_millis(rng.u64(0..5000)));
    let until: BoxFuture<'static, ()> = if rng.f64() < 0.2 {
        let (told, millis) = (checked.clone(), rng.u64(0..20_000));
        Box::pin(async move {
            sleep(Duration::from_millis(millis)).await;
            told.world().statistics.told += 1;
        })
    } else {
        Box::pin(std::future::pending())
    };
    if rng.f64() < 0.3 {
        let each = reader.for_each_shard(async |shard: ShardRecords<Line>| {
            let of = |line: &Received<Line>| (place(line), line.partition_key().unwrap().into(), line.value.0.clone());
            let records: Vec<_> = shard.records.iter().map(of).collect();
            seen.handle(&records, on_failure, limit).await
        });
        let each = each
            .max_shards(at_most(limit))
            .max_unfinished(at_most(rng.usize(1..30)));
        let each = each.on_failure(on_failure).dead_letters(hook).until(until);
        return each.save_after(after).save_interval(interval).run().await;
    }
    let most = if concurrency == Concurrency::Sequential {
        1
    } else {
        limit
    };
    let each = reader.for_each(async |line: Received<Line>| {
        let lane = match concurrency {
            Concurrency::Sequential => line.shard_id().map(Into::into),
            Concurrency::ByPartitionKey(_) => line.partition_key().map(Into::into),
            _ => Some(line.value.0.clone()),
        };
        let record = (place(&line), lane.unwrap(), line.value.0);
        seen.handle(&[record], on_failure, most).await
    });
    let each = each.concurrency(concurrency).max_unfinished(at_most(rng.usize(1..30)));
    let each = each.on_failure(on_failure).dead_letters(hook).until(until);
    each.save_after(after).save_interval(interval).run().await
}

/// Runs loops until everything is saved.
async fn run_seed(seed: u64) -> Result<Statistics, String> {
    let mut rng = Rng::with_seed(seed);
    let (shards, written) = trees(&mut rng);
    let service = service(shards);
    let world = World {
        rng,
        written,
        done: BTreeSet::new(),
        saved: BTreeMap::new(),
        lanes: BTreeMap::new(),
        running: 0,
        statistics: Statistics::default(),
        problem: None,
    };
    let checked = Checked {
        world: Arc::new(Mutex::new(world)),
        memory: MemoryPositions::new(),
    };
    for loops in 0.. {
        checked.world().statistics.loops += 1;
        let result = run_once(&service, &checked).await;
        let world = checked.world();
        if let Some(problem) = &world.problem {
            return Err(format!("seed {seed}: {problem}"));
        }
        if world.running > 0 {
            return Err(format!("seed {seed}: {} calls were not finished", world.running));
        }
        match result {
            Err(ForEachError::Handler { .. }) | Ok(()) => {}
            Err(error) => return Err(format!("seed {seed}: {error}")),
        }
        if world.written.iter().all(|place| world.is_saved(place)) {
            return Ok(world.statistics);
        }
        if loops > 1000 {
            return Err(format!("seed {seed}: no end"));
        }
    }
    unreachable!()
}

/// With random trees of shards, durations, failures and options: no position that is saved is ahead of what was handled, also
/// when the loop starts again and again; nothing that is saved is handled again; order is kept; and there is an end.
#[test]
fn positions_are_never_ahead_of_what_was_handled() {
    let run = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run_seed(seed))
    };
    if let Some(seed) = number("KPL_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let (seeds, sum) = run_seeds(300, run, Statistics::add);
    println!("{seeds} seeds: {sum:?}");
    assert!(sum.again > 0 && sum.failed > 0 && sum.told > 0, "{sum:?}");
}
