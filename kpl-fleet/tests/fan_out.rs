//! A fleet that reads by enhanced fan-out, from a server that refuses GetRecords.

#![cfg(feature = "aws")]
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kpl_core::{FromKplRecord, ReadError, Received, UserRecord};
use kpl_fleet::{Checkpoint, Fleet, FleetError, LeaseStore as _, MemoryLeases, StopHandle};
use kpl_testkit::server::Server;
use kpl_testkit::{aggregate_into_one, raw};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const USERS: usize = 20;

/// A line of UTF-8.
struct Line(String);

impl<'de> FromKplRecord<'de> for Line {
    fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(record.data).map_err(|error| ReadError::new(error.to_string()))?;
        Ok(Self(text.into()))
    }
}

struct World {
    server: Server,
    leases: MemoryLeases,
}

struct Worker {
    stop: StopHandle,
    task: JoinHandle<Result<(), FleetError>>,
    handled: Arc<Mutex<Vec<String>>>,
}

impl World {
    async fn new() -> Self {
        let server = Server::builder().refuse("GetRecords").start().await;
        server.create_stream("lines", 4).await;
        let leases = MemoryLeases::new();
        Self { server, leases }
    }

    fn start(&self, name: &str) -> Worker {
        let builder = Fleet::<Line>::builder("app", "lines")
            .load_aws_config(self.server.config())
            .leases(self.leases.clone())
            .reader(|reader| reader.fan_out("fleet"))
            .worker(name)
            .failover(Duration::from_secs(15))
            .look_interval(Duration::from_millis(100))
            // A worker that is killed has made no checkpoint.
            .save_interval(Duration::from_secs(3600));
        let handled = Arc::new(Mutex::new(Vec::new()));
        let (stop, noted) = (builder.stop_handle(), Arc::clone(&handled));
        let run = builder.run(move |line: Received<Line>| {
            noted.lock().unwrap().push(line.value.0.clone());
            async { Ok::<_, Infallible>(()) }
        });
        let task = tokio::spawn(run);
        Worker { stop, task, handled }
    }

    /// Writes an aggregate of three records for each user, and returns the records.
    async fn put(&self, round: usize) -> BTreeSet<String> {
        let lines = |user: usize| (0..3).map(move |n| format!("{user} {}", 3 * round + n));
        let aggregates = (0..USERS).map(|user| {
            let key = format!("user-{user}");
            let records: Vec<_> = lines(user).map(|line| raw(&key, &line)).collect();
            aggregate_into_one(&records)
        });
        self.server.put("lines", aggregates).await;
        (0..USERS).flat_map(lines).collect()
    }

    /// Waits until the worker has this many of the four leases.
    async fn has(&self, worker: &str, count: usize) {
        until(&format!("{worker} has {count} leases"), async || {
            let leases = self.leases.leases().await.unwrap();
            leases
                .iter()
                .filter(|lease| lease.owner.as_deref() == Some(worker))
                .count()
                == count
        })
        .await;
    }
}

impl Worker {
    fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }

    async fn has_handled(&self, records: &BTreeSet<String>) {
        until("all is handled", async || {
            let handled: BTreeSet<_> = self.handled().into_iter().collect();
            handled.is_superset(records)
        })
        .await;
    }

    async fn stop(self) -> Vec<String> {
        self.stop.stop();
        timeout(Duration::from_secs(60), self.task)
            .await
            .expect("it ends")
            .unwrap()
            .unwrap();
        self.handled.lock().unwrap().clone()
    }
}

/// Waits for what must come at some time.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let comes = async {
        while !condition().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), comes)
        .await
        .unwrap_or_else(|_| panic!("not so: {what}"));
}

/// Fails unless the records are there once, those of each user in order.
fn once_in_order(handled: &[String], records: &BTreeSet<String>) {
    assert_eq!(handled.len(), records.len());
    assert_eq!(&handled.iter().cloned().collect::<BTreeSet<_>>(), records);
    let numbers = |user: usize| {
        let of_user = handled
            .iter()
            .filter_map(move |line| line.strip_prefix(&format!("{user} ")));
        of_user.map(|number| number.parse::<usize>().unwrap())
    };
    for user in 0..USERS {
        assert!(
            numbers(user).is_sorted(),
            "user {user}: {:?}",
            numbers(user).collect::<Vec<_>>()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_gives_up_is_read_on_by_another() {
    let world = World::new().await;
    let mut sent = world.put(0).await;
    let first = world.start("first");
    first.has_handled(&sent).await;
    world.has("first", 4).await;
    let handled = first.stop().await;
    once_in_order(&handled, &sent);

    // Nothing comes again, and what came when there was no worker is there.
    let mut new = world.put(1).await;
    let second = world.start("second");
    second.has_handled(&new).await;
    new.append(&mut world.put(2).await);
    second.has_handled(&new).await;
    let handled = second.stop().await;
    once_in_order(&handled, &new);
    sent.append(&mut new);

    let leases = world.leases.leases().await.unwrap();
    assert_eq!(leases.len(), 4);
    for lease in leases {
        assert_eq!(lease.owner, None);
        assert!(
            matches!(lease.checkpoint, Checkpoint::After(_)),
            "{:?}",
            lease.checkpoint
        );
    }
    // The workers of an application share one consumer.
    let sdk = world.server.sdk();
    let stream = sdk.describe_stream_summary().stream_name("lines").send().await.unwrap();
    let arn = stream.stream_description_summary.unwrap().stream_arn;
    let consumers = sdk.list_stream_consumers().stream_arn(arn).send().await.unwrap();
    let names: Vec<_> = consumers.consumers().iter().map(|each| each.consumer_name()).collect();
    assert_eq!(names, ["fleet"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_has_is_shared_and_taken_when_it_is_killed() {
    let world = World::new().await;
    let first = world.start("first");
    world.has("first", 4).await;
    let second = world.start("second");
    world.has("first", 2).await;
    world.has("second", 2).await;
    let sent = world.put(0).await;
    until("all is handled", async || {
        first.handled().len() + second.handled().len() >= sent.len()
    })
    .await;
    let (by_first, by_second) = (first.handled(), second.handled());
    assert!(!by_first.is_empty() && !by_second.is_empty());
    once_in_order(&[by_first.clone(), by_second].concat(), &sent);

    first.task.abort();
    let mut left = world.put(1).await;
    world.has("second", 4).await;
    left.extend(by_first);
    second.has_handled(&left).await;
    let handled = second.stop().await;
    let all: BTreeSet<_> = sent.union(&left).cloned().collect();
    once_in_order(&handled, &all);
}
