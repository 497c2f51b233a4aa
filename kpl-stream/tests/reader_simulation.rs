//! Readers that are restarted at any point, while shards split, merge and are trimmed, requests fail, iterators expire,
//! lists of shards are old and positions cannot be saved. Some readers ask for records, others subscribe, and their
//! subscriptions fail, end early or are silent. Time is tokio's, and passes at once.
//!
//! For every seed: per shard records come in order, after those of its parents; nothing is lost but what was trimmed;
//! a record comes again only if its position was not saved; and a reader of a stream at rest ends.
//!
//! `KPL_SEEDS=10000` runs this many seeds; `KPL_SEED=17` runs only that one.
#![forbid(unsafe_code)]

#[path = "common/seeds.rs"]
mod seeds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use futures_core::future::BoxFuture;
use kpl_core::{RawRecord, Received};
use kpl_stream::client::{ReadClient, RequestError};
use kpl_stream::reader::{
    MemoryPositions, Positions, PositionsError, Reader, ReaderError, ShardState, StreamPositions,
};
use kpl_testkit::aggregate_into_one;
use kpl_testkit::service::{Event, Service, Shard, Stream};
use tokio::time::{Instant, sleep, timeout};

use crate::seeds::{number, run_seeds};

/// The number of seeds that plain `cargo test` runs. CI runs more.
const SEEDS: u64 = 500;

const STREAM: &str = "clicks";

/// A user record: its Kinesis record's index in the shard, and its index in that.
type Place = (usize, u64);

/// Returns the index of the Kinesis record with this sequence number.
fn index_of(sequence_number: &str) -> usize {
    sequence_number.parse::<usize>().expect("digits") - 1000
}

/// Positions whose store fails now and then: before it has saved, or after.
#[derive(Clone, Debug)]
struct Unreliable {
    memory: MemoryPositions,
    rng: Arc<Mutex<Rng>>,
    /// How often it fails.
    chance: Arc<Mutex<f64>>,
}

impl Unreliable {
    fn fails(&self) -> bool {
        self.rng.lock().unwrap().f64() < *self.chance.lock().unwrap()
    }

    fn fail_if(fails: bool) -> Result<(), PositionsError> {
        if fails { Err("the store fails".into()) } else { Ok(()) }
    }
}

impl Positions for Unreliable {
    fn load<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>> {
        Box::pin(async move {
            Self::fail_if(self.fails())?;
            self.memory.load(stream).await
        })
    }

    fn save<'a>(
        &'a self,
        stream: &'a str,
        positions: &'a StreamPositions,
    ) -> BoxFuture<'a, Result<(), PositionsError>> {
        Box::pin(async move {
            Self::fail_if(self.fails())?;
            self.memory.save(stream, positions).await?;
            // It was saved, but the caller is not told so.
            Self::fail_if(self.fails())
        })
    }

    fn remove<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<(), PositionsError>> {
        self.memory.remove(stream)
    }
}

/// What can happen in a seed.
const EVENTS: [&str; 9] = [
    "records given",
    "records given again",
    "Kinesis records trimmed",
    "shards",
    "shards forgotten",
    "readers",
    "readers that resumed inside of an aggregate",
    "positions not saved",
    "subscriptions",
];

/// How often each of them happened.
type Statistics = BTreeMap<&'static str, usize>;

fn add(sum: &mut Statistics, other: Statistics) {
    for (event, count) in other {
        *sum.entry(event).or_default() += count;
    }
}

/// The user records of a shard, as they were written.
#[derive(Clone, Debug, Default)]
struct Written {
    /// How many user records each Kinesis record has.
    counts: Vec<u64>,
    trimmed: usize,
    parents: Vec<String>,
}

impl Written {
    /// Returns all user records that have not been trimmed.
    fn left(&self) -> impl Iterator<Item = Place> {
        let counts = self.counts.iter().copied().enumerate().skip(self.trimmed);
        counts.flat_map(|(index, count)| (0..count).map(move |sub| (index, sub)))
    }

    /// Returns the user record that follows this one, or the first, among those that have not been trimmed.
    fn after(&self, place: Option<Place>) -> Option<Place> {
        self.left().find(|left| place.is_none_or(|place| *left > place))
    }
}

struct World {
    rng: Rng,
    service: Arc<Service>,
    positions: Unreliable,
    /// The sizes of the aggregates that were written, by shard.
    counts: Arc<Mutex<BTreeMap<String, Vec<u64>>>>,
    /// What consumers have been given, by shard.
    given: BTreeMap<String, BTreeSet<Place>>,
    statistics: Statistics,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let shards = rng.u128(1..=3);
        let mut stream = Stream::with_shards(shards);
        let names_children = rng.bool();
        stream
            .shards
            .iter_mut()
            .for_each(|shard| shard.names_children = names_children);
        let positions = Unreliable {
            memory: MemoryPositions::new(),
            rng: Arc::new(Mutex::new(rng.fork())),
            chance: Arc::new(Mutex::new(if rng.bool() { 0.2 } else { 0.0 })),
        };
        Self {
            service: Arc::new(Service::new(stream)),
            positions,
            counts: Arc::default(),
            given: BTreeMap::new(),
            statistics: Statistics::default(),
            rng,
        }
    }

    /// Returns what was written to a shard, and what of it is left.
    fn written(&self, shard_id: &str) -> Written {
        let counts = self.counts.lock().unwrap().get(shard_id).cloned().unwrap_or_default();
        self.service.state(|state| {
            let shard = state
                .stream
                .shards
                .iter()
                .find(|shard| shard.id == shard_id)
                .expect("a shard");
            Written {
                counts,
                trimmed: shard.trimmed,
                parents: shard.parents.clone(),
            }
        })
    }

    async fn run(mut self) -> Result<Statistics, String> {
        let disturbance = Disturbance {
            rng: self.rng.fork(),
            service: Arc::clone(&self.service),
            counts: Arc::clone(&self.counts),
            trims: self.rng.bool(),
        };
        let disturbing = tokio::spawn(disturbance.run(self.rng.usize(20..80)));
        while !disturbing.is_finished() {
            self.consume(None).await?;
        }
        disturbing.await.map_err(|error| error.to_string())?;
        *self.positions.chance.lock().unwrap() = 0.0;
        self.service.state(|state| {
            state.failures.clear();
            state.subscriptions.events.clear();
            state.read_latency = Duration::ZERO;
        });
        let begin = Instant::now();
        let idle = Duration::from_secs(20);
        self.consume(Some(idle)).await?;
        if begin.elapsed() > Duration::from_secs(1200) {
            return Err(format!(
                "the reader of a stream at rest took {:?} to end",
                begin.elapsed()
            ));
        }
        self.check_complete()?;
        // All of it was saved.
        let given = self.statistics.get("records given").copied();
        self.consume(Some(idle)).await?;
        if self.statistics.get("records given").copied() != given {
            return Err("a reader was given something although everything had been saved".into());
        }
        let subscriptions = self.service.state(|state| state.subscriptions.asked.len());
        self.count("subscriptions", subscriptions);
        Ok(self.statistics)
    }

    /// Runs a reader: until it ends when it is idle, or for a random time.
    async fn consume(&mut self, idle: Option<Duration>) -> Result<(), String> {
        let mut builder = Reader::<RawRecord>::builder()
            .client(Arc::clone(&self.service) as Arc<dyn ReadClient>)
            .positions(self.positions.clone())
            .max_records(self.rng.usize(1..=4))
            .max_buffered_bytes([1, 1 << 20, 64 << 20][self.rng.usize(0..3)])
            .request_timeout(Duration::from_secs(5));
        if self.rng.bool() {
            builder = builder.fan_out("arn:aws:kinesis:us-east-1:123456789012:stream/clicks/consumer/one:1");
            let records = self.rng.usize(1..=4);
            self.service.state(|state| state.subscriptions.event_records = records);
        }
        if let Some(idle) = idle {
            builder = builder.end_when_idle(idle);
        }
        let mut reader = match builder.build(STREAM).await {
            Ok(reader) => reader,
            Err(ReaderError::Positions { .. }) => return Ok(()),
            Err(error) => return Err(format!("a reader cannot be built: {error}")),
        };
        self.count("readers", 1);
        let mut consumer = Consumer::new(self.positions.memory.load(STREAM).await.expect("it is in memory"));
        let steps = if idle.is_some() {
            usize::MAX
        } else {
            self.rng.usize(1..60)
        };
        let mut kept: Vec<Received<RawRecord>> = Vec::new();
        for _ in 0..steps {
            let patience = Duration::from_millis(self.rng.u64(1..20_000));
            let patience = if idle.is_some() {
                Duration::from_secs(3600)
            } else {
                patience
            };
            match timeout(patience, reader.next()).await {
                Ok(Some(Ok(record))) => {
                    self.give(&mut consumer, &record)?;
                    kept.push(record);
                }
                Ok(Some(Err(error))) => return Err(format!("the reader ended: {error}")),
                Ok(None) if idle.is_some() => break,
                Ok(None) => return Err("the reader ended without an error".into()),
                Err(_) if idle.is_some() => {
                    return Err(format!("the reader of a stream at rest does not end: {reader:?}"));
                }
                Err(_) => {}
            }
            if idle.is_some() {
                continue;
            }
            match self.rng.u8(0..10) {
                0 => self.count("positions not saved", (reader.commit().await.is_err()).into()),
                1 if !kept.is_empty() => {
                    let index = self.rng.usize(0..kept.len());
                    let saved = reader.save(&kept[index]).await;
                    self.count("positions not saved", (saved.is_err()).into());
                }
                2 => sleep(Duration::from_secs(self.rng.u64(0..400))).await,
                _ => {}
            }
        }
        if idle.is_some() || self.rng.bool() {
            self.count("positions not saved", (reader.commit().await.is_err()).into());
        }
        Ok(())
    }

    fn count(&mut self, event: &'static str, times: usize) {
        *self.statistics.entry(event).or_default() += times;
    }

    /// Checks a record that a consumer is given.
    fn give(&mut self, consumer: &mut Consumer, record: &Received<RawRecord>) -> Result<(), String> {
        let shard_id = record.shard_id().expect("a reader knows the shard");
        let place = (
            index_of(record.sequence_number().expect("a reader knows the number")),
            record.sub_sequence_number(),
        );
        let written = self.written(shard_id);
        let told = |problem: &str| Err(format!("{shard_id} {place:?}: {problem}"));
        if written.counts.get(place.0).is_none_or(|count| place.1 >= *count) {
            return told("it was never written");
        }
        let mut resumed_inside = false;
        let before = match consumer.last.get(shard_id) {
            Some(last) => Some(*last),
            None => {
                let given = self.given.entry(shard_id.to_owned()).or_default();
                match consumer.saved.shards.get(shard_id) {
                    Some(ShardState::Ended) => return told("its shard was saved as ended"),
                    Some(ShardState::After(position)) => {
                        let saved = (
                            index_of(position.sequence_number.as_str()),
                            position.sub_sequence_number,
                        );
                        if !given.contains(&saved) {
                            return told("the saved position was never given");
                        }
                        resumed_inside = place.0 == saved.0;
                        Some(saved)
                    }
                    _ => None,
                }
            }
        };
        if before.is_some_and(|before| place <= before) {
            return told(&format!("it comes after {before:?}"));
        }
        // Records that are not there any longer may have been there when it was fetched.
        if written.after(before).is_some_and(|next| next < place) {
            return told(&format!("{:?} was left out after {before:?}", written.after(before)));
        }
        if !consumer.last.contains_key(shard_id) {
            self.check_ancestors(&written.parents)
                .or_else(|problem| told(&problem))?;
        }
        consumer.last.insert(shard_id.to_owned(), place);
        let is_new = self.given.entry(shard_id.to_owned()).or_default().insert(place);
        self.count("readers that resumed inside of an aggregate", resumed_inside.into());
        self.count("records given", 1);
        self.count("records given again", (!is_new).into());
        Ok(())
    }

    /// Checks that everything in these shards and the ones before was given.
    fn check_ancestors(&self, parents: &[String]) -> Result<(), String> {
        for parent in parents {
            let written = self.written(parent);
            if let Some(missing) = self.missing(parent, &written) {
                return Err(format!("its ancestor {parent} still has {missing:?}"));
            }
            self.check_ancestors(&written.parents)?;
        }
        Ok(())
    }

    fn missing(&self, shard_id: &str, written: &Written) -> Option<Place> {
        let given = self.given.get(shard_id);
        written
            .left()
            .find(|place| given.is_none_or(|given| !given.contains(place)))
    }

    fn check_complete(&mut self) -> Result<(), String> {
        let shards = self.service.state(|state| state.stream.shards.clone());
        for shard in &shards {
            let written = self.written(&shard.id);
            if let Some(missing) = self.missing(&shard.id, &written) {
                return Err(format!("{} {missing:?} was never given", shard.id));
            }
            self.count("Kinesis records trimmed", shard.trimmed);
            self.count("shards forgotten", shard.forgotten.into());
        }
        self.count("shards", shards.len());
        Ok(())
    }
}

/// What one reader has given.
struct Consumer {
    /// What was saved when the reader was built.
    saved: StreamPositions,
    /// The last record of each shard.
    last: BTreeMap<String, Place>,
}

impl Consumer {
    fn new(saved: StreamPositions) -> Self {
        Self {
            saved,
            last: BTreeMap::new(),
        }
    }
}

/// Writes to the stream, changes its shards, and lets requests fail.
struct Disturbance {
    rng: Rng,
    service: Arc<Service>,
    counts: Arc<Mutex<BTreeMap<String, Vec<u64>>>>,
    trims: bool,
}

impl Disturbance {
    async fn run(mut self, steps: usize) {
        let records = [
            RawRecord::new("k", "one"),
            RawRecord::new("l", "two"),
            RawRecord::new("k", "three"),
        ];
        let aggregates: Vec<Vec<u8>> = (0..=records.len())
            .map(|count| match count {
                0 => b"plain".to_vec(),
                _ => aggregate_into_one(&records[..count]).data,
            })
            .collect();
        for _ in 0..steps {
            sleep(Duration::from_millis(self.rng.u64(1..4_000))).await;
            match self.rng.u8(0..20) {
                0..10 => self.write(&aggregates),
                10..12 => {
                    let rng = &mut self.rng;
                    self.service.state(|state| state.stream.reshard(rng));
                }
                12 => self.list_late(),
                13 if self.trims => self.trim(),
                14 => {
                    let latency = Duration::from_millis(self.rng.u64(0..3_000));
                    self.service.state(|state| state.read_latency = latency);
                }
                15 | 16 => {
                    let events: Vec<_> = (0..self.rng.usize(1..6)).map(|_| self.event()).collect();
                    self.service.state(|state| state.subscriptions.events.extend(events));
                }
                _ => {
                    let failures: Vec<_> = (0..self.rng.usize(1..6)).map(|_| self.failure()).collect();
                    self.service.fail(failures);
                }
            }
        }
    }

    fn write(&mut self, aggregates: &[Vec<u8>]) {
        let rng = &mut self.rng;
        let (shard_id, counts) = self.service.state(|state| {
            let open: Vec<usize> = (0..state.stream.shards.len())
                .filter(|shard| !state.stream.shards[*shard].closed)
                .collect();
            let shard = &mut state.stream.shards[open[rng.usize(0..open.len())]];
            let counts: Vec<u64> = (0..rng.usize(1..6))
                .map(|_| {
                    let count = rng.usize(0..aggregates.len());
                    shard.push(&aggregates[count]);
                    count.max(1) as u64
                })
                .collect();
            (shard.id.clone(), counts)
        });
        self.counts.lock().unwrap().entry(shard_id).or_default().extend(counts);
    }

    /// Lets some lists be older than the shards. They are never so old that other shards have been forgotten since.
    fn list_late(&mut self) {
        let rng = &mut self.rng;
        self.service.state(|state| {
            if state.stream.shards.iter().all(|shard| !shard.forgotten) {
                state.stale_listings += rng.usize(1..4);
            }
        });
    }

    /// Trims some records of a shard, and forgets it if it is closed and empty.
    fn trim(&mut self) {
        let rng = &mut self.rng;
        self.service.state(|state| {
            let shards = &mut state.stream.shards;
            let shard = rng.usize(0..shards.len());
            let ancestors = ancestors(shards, shard);
            let has_older = ancestors
                .iter()
                .any(|older| shards[*older].trimmed < shards[*older].records.len());
            let is_oldest = ancestors.iter().all(|older| shards[*older].forgotten);
            // Records of a shard are younger than those of its parents.
            if has_older {
                return;
            }
            let shard = &mut shards[shard];
            shard.trimmed += rng.usize(0..=shard.records.len() - shard.trimmed);
            let is_over = is_oldest && shard.closed && shard.trimmed == shard.records.len();
            shard.forgotten |= is_over && state.stale_listings == 0 && rng.bool();
        });
    }

    fn event(&mut self) -> Event {
        match self.rng.u8(0..6) {
            0 => Event::Silence,
            1 => Event::End,
            2 => Event::Failure(RequestError::refused("ResourceInUseException", "as the seed wants it")),
            3 => Event::Failure(RequestError::unanswered("ConnectionLost", "as the seed wants it")),
            _ => Event::Comes,
        }
    }

    fn failure(&mut self) -> Option<RequestError> {
        let refused = |code| Some(RequestError::refused(code, "as the seed wants it"));
        match self.rng.u8(0..5) {
            0 => None,
            1 => refused("ProvisionedThroughputExceededException"),
            2 | 3 => refused("ExpiredIteratorException"),
            _ => Some(RequestError::unanswered("InternalFailure", "as the seed wants it")),
        }
    }
}

/// Returns the indexes of all shards that a shard came from, through others or not.
fn ancestors(shards: &[Shard], shard: usize) -> Vec<usize> {
    let parents = shards[shard].parents.iter();
    let parents = parents.filter_map(|parent| shards.iter().position(|other| other.id == *parent));
    parents
        .flat_map(|parent| [vec![parent], ancestors(shards, parent)].concat())
        .collect()
}

fn run(seed: u64) -> Result<Statistics, String> {
    // The pauses between attempts are random as well.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let result = runtime.block_on(World::new(seed).run());
    let replay = "replay it: KPL_SEED";
    result.map_err(|problem| {
        format!(
            "seed {seed}: {problem}\n{replay}={seed} cargo test -p kpl-stream --test reader_simulation -- --nocapture"
        )
    })
}

#[test]
fn every_claim_holds_for_every_seed() {
    if let Some(seed) = number("KPL_SEED") {
        println!("{:#?}", run(seed).unwrap_or_else(|problem| panic!("{problem}")));
        return;
    }
    let (seeds, sum) = run_seeds(SEEDS, run, add);
    println!("{seeds} seeds: {sum:#?}");
    if seeds >= SEEDS {
        // What never happens is not tested.
        for event in EVENTS {
            assert!(
                sum.get(event).is_some_and(|count| *count as u64 > seeds / 200),
                "{event}: {sum:#?}"
            );
        }
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
