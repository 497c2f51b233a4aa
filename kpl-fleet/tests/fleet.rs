//! Workers that share the shards of a stream in one process: who handles what, what happens when one ends, and what is in the
//! table then. The time is tokio's, and passes at once.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use kpl_core::{FromKplRecord, HashKeyRange, Position, ReadError, Received, Undecodable, UserRecord};
use kpl_fleet::{
    Changed, Checkpoint, Fleet, FleetBuilder, FleetError, ForEachError, Lease, LeaseStore, MemoryLeases, OnFailure,
    ShardRecords, Start, StoreError, StoreErrorKind, Update,
};
use kpl_testkit::service::{Service, Shard, Stream, sequence_number};
use kpl_testkit::{aggregate_into_one, raw};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// A line of UTF-8.
#[derive(Clone, Debug, PartialEq)]
struct Line(String);

impl<'de> FromKplRecord<'de> for Line {
    fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(record.data).map_err(|error| ReadError::new(error.to_string()))?;
        Ok(Self(text.into()))
    }
}

/// Who has handled what, and when.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<(String, String, Instant)>>>);

impl Notes {
    fn add(&self, who: &str, what: &str) {
        self.0.lock().unwrap().push((who.into(), what.into(), Instant::now()));
    }

    fn what(&self) -> Vec<String> {
        let notes = self.0.lock().unwrap();
        notes.iter().map(|(_, what, _)| what.clone()).collect()
    }

    fn by(&self, who: &str) -> Vec<String> {
        let notes = self.0.lock().unwrap();
        let notes = notes.iter().filter(|(by, _, _)| by == who);
        notes.map(|(_, what, _)| what.clone()).collect()
    }

    /// When something was handled last.
    fn when(&self, what: &str) -> Option<Instant> {
        let notes = self.0.lock().unwrap();
        let note = notes.iter().rev().find(|(_, other, _)| other == what);
        note.map(|(_, _, when)| *when)
    }
}

struct World {
    service: Arc<Service>,
    leases: MemoryLeases,
    notes: Notes,
}

impl World {
    fn new(shards: impl Into<Vec<Shard>>) -> Self {
        Self {
            service: Arc::new(Service::new(Stream::new(shards))),
            leases: MemoryLeases::new(),
            notes: Notes::default(),
        }
    }

    fn builder(&self, name: &str) -> FleetBuilder<Line> {
        self.with_leases(name, self.leases.clone())
    }

    fn with_leases(&self, name: &str, leases: impl LeaseStore) -> FleetBuilder<Line> {
        Fleet::builder("app", "lines")
            .client(Arc::clone(&self.service))
            .leases(leases)
            .worker(name)
    }

    /// Starts a worker that notes what it handles.
    fn start(&self, name: &'static str) -> Worker {
        let builder = self.builder(name);
        let (stop, notes) = (builder.stop_handle(), self.notes.clone());
        let run = builder.run(move |line: Received<Line>| {
            notes.add(name, &line.value.0);
            async { Ok::<_, Infallible>(()) }
        });
        let task = tokio::spawn(run);
        Worker { stop, task }
    }

    fn put(&self, shard: &str, text: &str) {
        self.service.state(|state| {
            let shard = state.stream.shards.iter_mut().find(|known| known.id == shard);
            shard.unwrap().push(text);
        });
    }

    async fn lease(&self, key: &str) -> Lease {
        let leases = self.leases.leases().await.unwrap();
        leases.into_iter().find(|lease| *lease.key == *key).unwrap()
    }

    async fn owners(&self) -> BTreeMap<String, usize> {
        let mut owners = BTreeMap::new();
        for lease in self.leases.leases().await.unwrap() {
            if let Some(owner) = lease.owner {
                *owners.entry(owner.to_string()).or_default() += 1;
            }
        }
        owners
    }
}

struct Worker {
    stop: kpl_fleet::StopHandle,
    task: JoinHandle<Result<(), FleetError>>,
}

impl Worker {
    async fn stop(self) -> Result<(), FleetError> {
        self.stop.stop();
        ended(self.task).await.unwrap()
    }
}

/// Returns the output of a future that must not take long.
async fn ended<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(120), future)
        .await
        .expect("it does not end")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn after(index: usize, sub_sequence_number: u64) -> Checkpoint {
    Checkpoint::After(Position::new(&sequence_number(index), sub_sequence_number).unwrap())
}

fn open(count: usize) -> Vec<Shard> {
    (0..count)
        .map(|n| Shard::new(&format!("s{n}"), &[&format!("{n}")]))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn workers_share_shards_and_give_them_up_at_once() {
    let world = World::new(open(6));
    let first = world.start("one");
    sleep(seconds(5)).await;
    assert_eq!(world.owners().await, [("one".into(), 6)].into());
    let second = world.start("two");
    sleep(seconds(20)).await;
    assert_eq!(world.owners().await, [("one".into(), 3), ("two".into(), 3)].into());
    let mut what = world.notes.what();
    what.sort();
    what.dedup();
    assert_eq!(what, ["0", "1", "2", "3", "4", "5"]);

    first.stop().await.unwrap();
    let stopped = Instant::now();
    assert_eq!(world.owners().await, [("two".into(), 3)].into());
    (0..6).for_each(|n| world.put(&format!("s{n}"), &format!("again {n}")));
    sleep(seconds(2)).await;
    assert_eq!(world.owners().await, [("two".into(), 6)].into());
    sleep(seconds(2)).await;
    for n in 0..6 {
        let when = world.notes.when(&format!("again {n}")).unwrap();
        assert!(when - stopped < seconds(3), "{:?}", when - stopped);
    }
    second.stop().await.unwrap();
    assert_eq!(world.owners().await, BTreeMap::new());
    for n in 0..6 {
        assert_eq!(world.lease(&format!("s{n}")).await.checkpoint, after(1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_worker_had_is_taken_after_the_failover_time() {
    let world = World::new(open(4));
    let first = world.start("one");
    sleep(seconds(5)).await;
    let second = world.start("two");
    sleep(seconds(20)).await;
    first.task.abort();
    let killed = Instant::now();
    (0..4).for_each(|n| world.put(&format!("s{n}"), &format!("again {n}")));
    // The last renewal was up to a third of the failover time before.
    sleep(seconds(6)).await;
    assert_eq!(world.owners().await["one"], 2);
    sleep(seconds(6)).await;
    assert_eq!(world.owners().await, [("two".into(), 4)].into());
    sleep(seconds(2)).await;
    for n in 0..4 {
        let when = world.notes.when(&format!("again {n}")).unwrap();
        assert!(when - killed <= seconds(12 + 1), "{:?}", when - killed);
    }
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn children_come_after_their_parents_and_ended_leases_go() {
    let world = World::new([
        Shard::new("a", &["0", "1"]).closed(),
        Shard::new("b", &["2"]).closed(),
        Shard::new("c", &["3"]).closed().of(&["a", "b"]),
        Shard::new("d", &["4"]).of(&["c"]),
        Shard::new("e", &["5"]).of(&["c"]),
    ]);
    let worker = world.start("one");
    sleep(seconds(20)).await;
    let mut what = world.notes.what();
    what[..3].sort();
    what[4..].sort();
    assert_eq!(what, ["0", "1", "2", "3", "4", "5"]);
    for ended in ["a", "b", "c"] {
        let lease = world.lease(ended).await;
        assert_eq!((lease.checkpoint, lease.owner), (Checkpoint::Ended, None), "{ended}");
    }
    assert_eq!(world.lease("c").await.parents, ["a", "b"]);
    // Those of the parents first.
    sleep(seconds(600)).await;
    let left = world.leases.leases().await.unwrap();
    let left: Vec<_> = left.iter().map(|lease| &*lease.key).collect();
    assert_eq!(left, ["d", "e"]);
    assert_eq!(world.notes.what().len(), 6);
    worker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_goes_on_within_an_aggregate_after_one_that_failed() {
    let mut shard = Shard::new("a", &["0"]);
    shard.push(aggregate_into_one(&[raw("k", "1"), raw("k", "2"), raw("k", "3")]).data);
    shard.push("4");
    let world = World::new([shard]);
    for (bad, expected, handled) in [
        (Some("2"), after(1, 0), &["0", "1", "2"][..]),
        (Some("2"), after(1, 0), &["2"]),
    ] {
        let notes = Notes::default();
        let noted = notes.clone();
        let run = world.builder("one").run(move |line: Received<Line>| {
            noted.add("one", &line.value.0);
            let is_bad = Some(&*line.value.0) == bad;
            async move { if is_bad { Err("bad") } else { Ok(()) } }
        });
        let error = ended(run).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "a user record failed (stream lines, shard a, position 1001:1): bad"
        );
        assert!(matches!(error, FleetError::Shard(ForEachError::Handler { .. })));
        assert_eq!(notes.what(), handled);
        let lease = world.lease("a").await;
        assert_eq!((lease.checkpoint, lease.owner), (expected, None));
    }
    let worker = world.start("one");
    sleep(seconds(10)).await;
    assert_eq!(world.notes.what(), ["2", "3", "4"]);
    worker.stop().await.unwrap();
    assert_eq!(world.lease("a").await.checkpoint, after(2, 0));
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_passed_over_and_dead_letters_taken() {
    let mut shard = Shard::new("a", &["0"]);
    shard.push([0xff]);
    shard.push("1");
    shard.push("2");
    let world = World::new([shard]);
    let (notes, letters) = (world.notes.clone(), world.notes.clone());
    let builder = world.builder("one").on_failure(OnFailure::Continue);
    let builder = builder.dead_letters(move |record: Undecodable| {
        letters.add("letters", &format!("{:?}", record.data()));
        async { Ok::<_, Infallible>(()) }
    });
    let stop = builder.stop_handle();
    let fleet = builder.per_record(move |line: Received<Line>| {
        notes.add("one", &line.value.0);
        async move { if line.value.0 == "1" { Err("bad") } else { Ok(()) } }
    });
    let task = tokio::spawn(fleet.retries(2).run());
    sleep(seconds(20)).await;
    assert_eq!(world.notes.what(), ["0", "[255]", "1", "1", "1", "2"]);
    stop.stop();
    ended(task).await.unwrap().unwrap();
    assert_eq!(world.lease("a").await.checkpoint, after(3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shard_at_once() {
    let world = World::new([Shard::new("a", &["0", "1", "2"])]);
    let notes = world.notes.clone();
    let builder = world.builder("one").until(sleep(seconds(10)));
    let fleet = builder.per_shard(move |shard: ShardRecords<Line>| {
        let texts: Vec<_> = shard.records.iter().map(|line| &*line.value.0).collect();
        notes.add("one", &texts.join(" "));
        async { Ok::<_, Infallible>(()) }
    });
    ended(fleet.run()).await.unwrap();
    assert_eq!(world.notes.what(), ["0 1 2"]);
    assert_eq!(world.lease("a").await.checkpoint, after(2, 0));
}

/// What is being handled is finished before the lease is given up, and renewed until then.
#[tokio::test(start_paused = true)]
async fn a_slow_record_is_finished_before_the_lease_is_given_up() {
    let world = World::new([Shard::new("a", &["0", "1"])]);
    let notes = world.notes.clone();
    let builder = world.builder("one");
    let stop = builder.stop_handle();
    let run = builder.run(move |line: Received<Line>| {
        let notes = notes.clone();
        async move {
            sleep(seconds(60)).await;
            notes.add("one", &line.value.0);
            Ok::<_, Infallible>(())
        }
    });
    let task = tokio::spawn(run);
    sleep(seconds(10)).await;
    let other = world.start("two");
    sleep(seconds(10)).await;
    stop.stop();
    ended(task).await.unwrap().unwrap();
    assert_eq!(world.notes.what(), ["0"]);
    sleep(seconds(3)).await;
    assert_eq!(world.notes.by("two"), ["1"]);
    other.stop().await.unwrap();
}

/// A store whose answers a test can lose: the requests are carried out.
#[derive(Clone, Debug)]
struct Unanswered {
    leases: MemoryLeases,
    error: Arc<Mutex<Option<StoreError>>>,
}

impl Unanswered {
    fn new(leases: &MemoryLeases) -> Self {
        let (leases, error) = (leases.clone(), Arc::default());
        Self { leases, error }
    }

    fn or<'a, R>(&self, request: BoxFuture<'a, Result<R, StoreError>>) -> BoxFuture<'a, Result<R, StoreError>>
    where
        R: Send + 'a,
    {
        match self.error.lock().unwrap().clone() {
            Some(error) => Box::pin(async { Err(error) }),
            None => request,
        }
    }
}

impl LeaseStore for Unanswered {
    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.or(self.leases.prepare())
    }

    fn leases(&self) -> BoxFuture<'_, Result<Vec<Lease>, StoreError>> {
        self.or(self.leases.leases())
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or(self.leases.create(lease))
    }

    fn update<'a>(&'a self, update: &'a Update) -> BoxFuture<'a, Result<Changed, StoreError>> {
        self.or(self.leases.update(update))
    }

    fn delete<'a>(&'a self, key: &'a str, counter: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or(self.leases.delete(key, counter))
    }
}

/// It cannot make a checkpoint, and must not handle what another worker handles.
#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_renew_its_leases_stops_handling_them_before_another_takes_them() {
    let world = World::new([Shard::new("a", &["0"])]);
    let store = Unanswered::new(&world.leases);
    let notes = world.notes.clone();
    let builder = world.with_leases("one", store.clone());
    let stop = builder.stop_handle();
    let run = builder.run(move |line: Received<Line>| {
        let notes = notes.clone();
        async move {
            if line.value.0 == "0" {
                return Ok::<_, Infallible>(());
            }
            loop {
                notes.add("one", "goes on");
                sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let task = tokio::spawn(run);
    sleep(seconds(10)).await;
    let second = world.start("two");
    sleep(seconds(10)).await;
    world.put("a", "1");
    sleep(seconds(2)).await;
    *store.error.lock().unwrap() = Some(StoreError::passing("no network"));
    sleep(seconds(30)).await;
    assert_eq!(world.notes.by("two"), ["1"]);
    let (last, taken) = (world.notes.when("goes on").unwrap(), world.notes.when("1").unwrap());
    assert!(last < taken, "{:?}", last - taken);
    // Its last renewal was carried out without its knowledge.
    assert!(taken - last < seconds(6), "{:?}", taken - last);
    stop.stop();
    ended(task).await.unwrap().unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_lease_another_one_takes_stops_at_its_next_look() {
    let world = World::new([Shard::new("a", &["0"])]);
    let notes = world.notes.clone();
    let builder = world.builder("one");
    let stop = builder.stop_handle();
    let task = tokio::spawn(builder.run(move |_: Received<Line>| {
        let notes = notes.clone();
        async move {
            loop {
                notes.add("one", "goes on");
                sleep(Duration::from_millis(10)).await;
            }
            #[expect(unreachable_code, reason = "for its type")]
            Ok::<_, Infallible>(())
        }
    }));
    sleep(seconds(5)).await;
    let lease = world.lease("a").await;
    let mut update = Update::new(&lease);
    update.owner = kpl_fleet::OwnerChange::Take("java".into());
    assert_eq!(world.leases.update(&update).await.unwrap(), Changed::Done);
    let taken = Instant::now();
    sleep(seconds(5)).await;
    assert!(world.notes.when("goes on").unwrap() - taken <= seconds(1));
    let lease = world.lease("a").await;
    assert_eq!((lease.owner.as_deref(), lease.owner_switches), (Some("java"), 1));
    stop.stop();
    ended(task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_no_retry_mends_ends_the_worker_and_gives_up_its_leases() {
    let world = World::new(open(2));
    let store = Unanswered::new(&world.leases);
    let run = |store: Unanswered| {
        let builder = world.with_leases("one", store);
        builder.run(|_: Received<Line>| async { Ok::<_, Infallible>(()) })
    };
    *store.error.lock().unwrap() = Some(StoreError::permanent("denied"));
    let error = ended(run(store.clone())).await.unwrap_err();
    assert_eq!(error.to_string(), "denied");
    *store.error.lock().unwrap() = None;
    let task = tokio::spawn(run(store.clone()));
    sleep(seconds(5)).await;
    *store.error.lock().unwrap() = Some(StoreError::permanent("denied"));
    let error = ended(task).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, FleetError::Leases(error) if error.kind == StoreErrorKind::Final),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_leases_of_another_stream_end_the_worker_before_anything_is_handled() {
    let world = World::new(open(2));
    world.put("s0", "1");
    let mut other = Lease::new("s1", after(3, 0));
    other.range = Some(HashKeyRange::new(0.into(), 9.into()).unwrap());
    world.leases.create(&other).await.unwrap();
    let error = ended(world.start("one").task).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, FleetError::OtherStream { shard_id, .. } if &**shard_id == "s1"),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("the lease has the hash keys 0 to 9, and the shard "),
        "{error}"
    );
    assert!(world.notes.what().is_empty());
    assert_eq!(world.leases.leases().await.unwrap(), [other]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_when_the_leases_are_given_up() {
    let world = World::new(open(2));
    let run = world.builder("one").run(|line: Received<Line>| async move {
        assert_ne!(line.value.0, "1", "as the test wants it");
        Ok::<_, Infallible>(())
    });
    let panic = ended(tokio::spawn(run)).await.unwrap_err();
    assert!(panic.is_panic());
    assert_eq!(world.owners().await, BTreeMap::new());
    assert_eq!(world.lease("s0").await.checkpoint, after(0, 0));
    assert_eq!(world.lease("s1").await.checkpoint, Checkpoint::TrimHorizon);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_starts_at_the_latest_record_handles_what_comes_then() {
    let world = World::new([Shard::new("old", &["0"]).closed(), Shard::new("a", &["1"]).of(&["old"])]);
    let notes = world.notes.clone();
    let builder = world.builder("one").start(Start::Latest);
    let stop = builder.stop_handle();
    let task = tokio::spawn(builder.run(move |line: Received<Line>| {
        notes.add("one", &line.value.0);
        async { Ok::<_, Infallible>(()) }
    }));
    sleep(seconds(5)).await;
    assert_eq!(world.lease("a").await.checkpoint, Checkpoint::Latest);
    world.put("a", "2");
    sleep(seconds(5)).await;
    assert_eq!(world.notes.what(), ["2"]);
    stop.stop();
    ended(task).await.unwrap().unwrap();
    assert_eq!(world.lease("a").await.checkpoint, after(1, 0));
    assert_eq!(world.leases.leases().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_told_to_stop_before_it_has_started_ends() {
    let world = World::new(open(1));
    world.service.fail((0..100).map(|_| None));
    let builder = world.builder("one").until(sleep(seconds(40)));
    let begin = Instant::now();
    ended(builder.run(|_: Received<Line>| async { Ok::<_, Infallible>(()) }))
        .await
        .unwrap();
    assert_eq!(begin.elapsed(), seconds(40));
}

#[tokio::test(start_paused = true)]
async fn options_out_of_their_range_are_errors() {
    let world = World::new(open(1));
    let builders = [
        (world.builder("one").failover(Duration::from_millis(999)), "failover"),
        (world.builder("one").look_interval(Duration::ZERO), "look_interval"),
        (world.builder("one").look_interval(seconds(11)), "look_interval"),
        (
            world.builder("one").reader(|reader| reader.max_records(0)),
            "max_records",
        ),
        (
            Fleet::builder("", "lines")
                .client(Arc::clone(&world.service))
                .leases(MemoryLeases::new()),
            "application",
        ),
    ];
    for (builder, option) in builders {
        let result = builder
            .run(|_: Received<Line>| pending::<Result<(), Infallible>>())
            .await;
        assert!(
            matches!(&result, Err(FleetError::Option(error)) if error.option == option),
            "{option}: {result:?}"
        );
    }
    let builder = world.builder("one").max_leases(NonZeroUsize::MIN).until(async {});
    builder
        .run(|_: Received<Line>| pending::<Result<(), Infallible>>())
        .await
        .unwrap();
}
