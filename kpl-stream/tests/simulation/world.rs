//! The simulated time, and what happens in it.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::hash::{Hash as _, Hasher as _};
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kpl_core::{HashKey, RawRecord, SealedRecord, Shard};
use kpl_stream::client::{RequestError, StreamDescription};
use kpl_stream::pipeline::{FlushId, Output, Pipeline, RequestId, StreamId};
use kpl_stream::{EncodedRecord, Failure, Receipt};
use kpl_testkit::service::{Answer, Fate, Faults, Resharding, Stream};
use kpl_testkit::user_records;

use crate::claims;
use crate::plan::{Plan, StreamPlan, pick};

#[derive(Debug)]
enum Event {
    Send(usize),
    /// A request reaches the service, which carries it out.
    Arrive(RequestId, usize, Vec<SealedRecord>, Fate),
    Answer(RequestId, Answer),
    Listed(RequestId, Result<(Vec<Shard>, StreamDescription), RequestError>),
    Reshard,
    Jump(Duration),
    Flush,
    Abandon,
}

/// A record that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: usize,
    pub(crate) partition_key: String,
    pub(crate) explicit_hash_key: Option<HashKey>,
    pub(crate) data: Vec<u8>,
    pub(crate) poison: bool,
    pub(crate) at: Instant,
    pub(crate) outcome: Option<(Instant, Result<Receipt, Failure>)>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) records: u64,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    pub(crate) expired: u64,
    pub(crate) given_up: u64,
    pub(crate) retried: u64,
    pub(crate) duplicated: u64,
    pub(crate) wrong_shard: u64,
    pub(crate) requests: u64,
    pub(crate) kinesis_records: u64,
    pub(crate) timeouts: u64,
    pub(crate) splits: u64,
    pub(crate) merges: u64,
    pub(crate) flushes: u64,
    pub(crate) waited_for_room: u64,
    pub(crate) too_large: u64,
    pub(crate) virtual_seconds: u64,
    /// A hash of everything that happened.
    pub(crate) trace: u64,
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.refused += other.refused;
        self.expired += other.expired;
        self.given_up += other.given_up;
        self.retried += other.retried;
        self.duplicated += other.duplicated;
        self.wrong_shard += other.wrong_shard;
        self.requests += other.requests;
        self.kinesis_records += other.kinesis_records;
        self.timeouts += other.timeouts;
        self.splits += other.splits;
        self.merges += other.merges;
        self.flushes += other.flushes;
        self.waited_for_room += other.waited_for_room;
        self.too_large += other.too_large;
        self.virtual_seconds += other.virtual_seconds;
        self.trace ^= other.trace;
    }
}

impl Statistics {
    pub(crate) fn check_all_happened(&self) {
        let Self {
            delivered,
            refused,
            expired,
            given_up,
            retried,
            duplicated,
            wrong_shard,
            timeouts,
            splits,
            merges,
            flushes,
            waited_for_room,
            too_large,
            ..
        } = *self;
        for (name, count) in [
            ("delivered", delivered),
            ("refused", refused),
            ("expired", expired),
            ("given up", given_up),
            ("retried", retried),
            ("duplicated", duplicated),
            ("wrong shard", wrong_shard),
            ("time-outs", timeouts),
            ("splits", splits),
            ("merges", merges),
            ("flushes", flushes),
            ("waited for room", waited_for_room),
            ("too large", too_large),
        ] {
            assert!(count > 0, "nothing was {name}");
        }
    }
}

pub(crate) struct World {
    trace: bool,
    pub(crate) plan: Plan,
    rng: Rng,
    start: Instant,
    now: Instant,
    pipeline: Pipeline<usize>,
    ids: Vec<StreamId>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) accepted: Vec<Accepted>,
    events: BinaryHeap<Reverse<(Instant, u64)>>,
    payloads: BTreeMap<u64, Event>,
    next_event: u64,
    /// Records that wait for room.
    waiting: usize,
    under_way: usize,
    in_flight: HashSet<RequestId>,
    flushes: BTreeMap<FlushId, usize>,
    /// Nothing fails after this.
    calm_from: Instant,
    pub(crate) abandoned: bool,
    statistics: Statistics,
    hasher: DefaultHasher,
}

impl World {
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::new(&mut rng);
        let start = Instant::now();
        let mut pipeline = Pipeline::new(plan.options.clone(), seed).expect("the options are valid");
        let streams: Vec<Stream> = plan.streams.iter().map(|plan| stream(plan, start)).collect();
        let ids = (0..streams.len())
            .map(|place| pipeline.open(&name(place), start))
            .collect();
        if trace {
            println!("{plan:#?}");
        }
        let mut world = Self {
            trace,
            rng,
            start,
            now: start,
            pipeline,
            ids,
            streams,
            accepted: Vec::new(),
            events: BinaryHeap::new(),
            payloads: BTreeMap::new(),
            next_event: 0,
            waiting: 0,
            under_way: 0,
            in_flight: HashSet::new(),
            flushes: BTreeMap::new(),
            calm_from: start + plan.span,
            abandoned: false,
            statistics: Statistics::default(),
            hasher: DefaultHasher::new(),
            plan,
        };
        world.schedule();
        world
    }

    fn schedule(&mut self) {
        let mut left = self.plan.records;
        while left > 0 {
            let burst = self.rng.usize(1..=left.min(60));
            left -= burst;
            let at = self.moment();
            self.at(at, Event::Send(burst));
        }
        for _ in 0..self.plan.reshardings {
            let at = self.moment();
            self.at(at, Event::Reshard);
        }
        for _ in 0..self.plan.jumps {
            let (at, by) = (self.moment(), Duration::from_millis(self.rng.u64(100..40_000)));
            self.at(at, Event::Jump(by));
        }
        for _ in 0..self.rng.usize(0..4) {
            let at = self.moment();
            self.at(at, Event::Flush);
        }
        if let Some(after) = self.plan.abandoned {
            self.at(self.start + after, Event::Abandon);
        }
    }

    fn moment(&mut self) -> Instant {
        self.start + Duration::from_millis(self.rng.u64(0..=self.plan.span.as_millis() as u64))
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse((at, self.next_event)));
        self.payloads.insert(self.next_event, event);
    }

    fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        let millis = (self.now - self.start).as_micros();
        let text = format!("{millis:>12} {what}");
        text.hash(&mut self.hasher);
        if self.trace {
            println!("{text}");
        }
    }

    pub(crate) fn run(mut self) -> Result<Statistics, String> {
        let mut turns = 0_u64;
        loop {
            self.work()?;
            let wake = self.pipeline.wake_at(self.now);
            let event = self.events.peek().map(|Reverse((at, _))| *at);
            // Shards are listed forever; without records, this is nothing to wait for.
            let only_lists = self.payloads.values().all(|event| matches!(event, Event::Listed(..)));
            if self.pipeline.pending() == 0 && self.waiting == 0 && only_lists {
                break;
            }
            let Some(next) = event.into_iter().chain(wake).min() else {
                break;
            };
            turns += 1;
            if turns > 1_000_000 {
                return Err(format!(
                    "it goes round in circles, {} records are pending",
                    self.pipeline.pending()
                ));
            }
            if next > self.now + Duration::from_secs(600) {
                return Err(format!(
                    "nothing happens for ten minutes, {} records are pending",
                    self.pipeline.pending()
                ));
            }
            self.now = self.now.max(next);
            while self.events.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
                let Some(Reverse((_, number))) = self.events.pop() else {
                    break;
                };
                if let Some(event) = self.payloads.remove(&number) {
                    self.happen(event)?;
                }
            }
        }
        claims::check(&self)?;
        self.count();
        Ok(self.statistics)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Send(count) => {
                self.waiting += if self.abandoned { 0 } else { count };
                self.send();
            }
            Event::Arrive(id, stream, entries, fate) => {
                let faults = if self.now < self.calm_from {
                    self.plan.faults
                } else {
                    Faults::default()
                };
                let size: usize = entries.iter().map(SealedRecord::size).sum();
                let over = self.plan.body_limit.filter(|limit| size > limit.bytes);
                self.statistics.too_large += u64::from(over.is_some());
                let answer = if let Some(limit) = over {
                    Err(if limit.says_so {
                        RequestError::too_large("HTTP 413", "too large")
                    } else {
                        RequestError::refused("SerializationException", "something is wrong")
                    })
                } else if entries.iter().any(is_poisoned) {
                    Err(RequestError::refused(
                        "InvalidArgumentException",
                        "one of them is poison",
                    ))
                } else {
                    self.streams[stream].put(&entries, &faults, &mut self.rng, self.now)
                };
                self.tell(format_args!("carried out {id:?}: {}", brief(&answer)));
                let Some(answer) = fate.deliver(answer, &mut self.rng) else {
                    return Ok(());
                };
                let at = self.now + Duration::from_millis(self.rng.u64(1..100));
                self.at(at, Event::Answer(id, answer));
            }
            Event::Answer(id, answer) => {
                self.tell(format_args!("answered {id:?}: {}", brief(&answer)));
                self.in_flight.remove(&id);
                self.pipeline.answered(id, answer, self.now);
            }
            Event::Listed(id, answer) => {
                let text = answer
                    .as_ref()
                    .map(|(shards, _)| shards.len())
                    .map_err(ToString::to_string);
                self.tell(format_args!("listed {id:?}: {text:?}"));
                self.pipeline.listed(id, answer, self.now);
            }
            Event::Reshard => {
                let stream = self.rng.usize(0..self.streams.len());
                let what = self.streams[stream].reshard(&mut self.rng);
                self.statistics.splits += u64::from(what == Resharding::Split);
                self.statistics.merges += u64::from(what == Resharding::Merge);
                self.tell(format_args!("{what:?} in stream {stream}"));
            }
            Event::Jump(by) => {
                self.tell(format_args!("the clock jumps by {by:?}"));
                self.now += by;
            }
            Event::Flush => {
                self.statistics.flushes += 1;
                let id = self.pipeline.flush(self.now);
                self.tell(format_args!("flush {id:?}"));
                self.flushes.insert(id, self.accepted.len());
            }
            Event::Abandon => {
                self.tell(format_args!("everything is given up"));
                self.abandoned = true;
                self.waiting = 0;
                self.pipeline.abandon(self.now);
            }
        }
        Ok(())
    }

    /// Sends the waiting records, as long as there is room.
    fn send(&mut self) {
        let room = self.plan.budget.saturating_sub(self.under_way);
        let count = self.waiting.min(room);
        self.statistics.waited_for_room += u64::from(count < self.waiting);
        if self.abandoned || count == 0 {
            return;
        }
        self.waiting -= count;
        let stream = self.rng.usize(0..self.streams.len());
        let mut batch = Vec::new();
        for _ in 0..count {
            let (record, accepted) = self.record(stream);
            batch.push((record, self.accepted.len()));
            self.accepted.push(accepted);
        }
        self.under_way += count;
        self.statistics.records += count as u64;
        self.tell(format_args!("send {count} to stream {stream}"));
        self.pipeline.push(self.ids[stream], batch, self.now);
    }

    fn record(&mut self, stream: usize) -> (EncodedRecord, Accepted) {
        let rng = &mut self.rng;
        let keys = *pick(rng, &[1, 3, 40]);
        let partition_key = format!("key-{}", rng.usize(0..keys));
        let explicit_hash_key = (rng.u8(0..10) == 0).then(|| HashKey::new(rng.u128(..)));
        let poison = rng.f64() < self.plan.poison;
        let filler = match rng.u8(0..40) {
            0 => rng.usize(0..60_000),
            1..5 => 0,
            _ => rng.usize(0..400),
        };
        let mut data = Vec::with_capacity(filler + 9);
        data.extend_from_slice(&(self.accepted.len() as u64).to_be_bytes());
        data.push(u8::from(poison));
        data.resize(filler + 9, b'.');
        let mut raw = RawRecord::new(partition_key.clone(), data.clone());
        if let Some(key) = explicit_hash_key {
            raw = raw.with_explicit_hash_key(key);
        }
        if rng.u8(0..20) == 0 {
            raw = raw.with_tag("kind", Some("simulated"));
        }
        let record = EncodedRecord::new(&raw).expect("it is a good record");
        let accepted = Accepted {
            stream,
            partition_key,
            explicit_hash_key,
            data,
            poison,
            at: self.now,
            outcome: None,
        };
        (record, accepted)
    }

    /// Carries out what the pipeline wants done.
    fn work(&mut self) -> Result<(), String> {
        loop {
            while let Some(output) = self.pipeline.poll(self.now) {
                self.carry_out(output)?;
            }
            if self.pipeline.pending() != self.under_way {
                return Err(format!(
                    "{} records are pending, and {} have no outcome",
                    self.pipeline.pending(),
                    self.under_way
                ));
            }
            if self.waiting == 0 || self.abandoned || self.under_way >= self.plan.budget {
                return Ok(());
            }
            self.send();
        }
    }

    fn carry_out(&mut self, output: Output<usize>) -> Result<(), String> {
        match output {
            Output::PutRecords { id, stream, entries } => {
                let stream = self.place(&stream);
                self.tell(format_args!(
                    "request {id:?} of {} entries for stream {stream}",
                    entries.len()
                ));
                self.statistics.requests += 1;
                self.statistics.kinesis_records += entries.len() as u64;
                self.in_flight.insert(id);
                claims::check_request(&entries, self.in_flight.len(), &self.plan.options)?;
                self.travel(id, stream, entries);
            }
            Output::ListShards { id, stream } => {
                let stream = self.place(&stream);
                let fails = self.now < self.calm_from && self.rng.f64() < self.plan.faults.unlisted;
                let answer = if fails {
                    Err(RequestError::unanswered("InternalFailure", "500"))
                } else {
                    self.streams[stream].list(self.now)
                };
                let at = self.now + Duration::from_millis(self.rng.u64(1..300));
                self.at(at, Event::Listed(id, answer));
            }
            Output::Cancel { id } => {
                self.tell(format_args!("cancelled {id:?}"));
                self.statistics.timeouts += 1;
                self.in_flight.remove(&id);
            }
            Output::Resolved { handle, outcome, .. } => {
                let text = outcome
                    .as_ref()
                    .map(|receipt| receipt.position())
                    .map_err(ToString::to_string);
                self.tell(format_args!("outcome of {handle}: {text:?}"));
                let now = self.now;
                let Some(accepted) = self.accepted.get_mut(handle) else {
                    return Err(format!("record {handle} was never sent"));
                };
                self.under_way -= 1;
                if accepted.outcome.replace((now, outcome)).is_some() {
                    return Err(format!("record {handle} has two outcomes"));
                }
            }
            Output::Flushed { id } => {
                let before = self.flushes.remove(&id).ok_or("a flush that nobody asked for")?;
                if let Some(place) = self
                    .accepted
                    .iter()
                    .take(before)
                    .position(|record| record.outcome.is_none())
                {
                    return Err(format!("flushed, but record {place} has no outcome"));
                }
            }
            other => return Err(format!("unknown output: {other:?}")),
        }
        Ok(())
    }

    fn place(&self, name: &str) -> usize {
        (0..self.streams.len())
            .find(|place| self::name(*place) == name)
            .expect("it is one of ours")
    }

    /// Simulates a request on its way to the service.
    fn travel(&mut self, id: RequestId, stream: usize, entries: Vec<SealedRecord>) {
        let faults = if self.now < self.calm_from {
            self.plan.faults
        } else {
            Faults::default()
        };
        let mut delay = Duration::from_millis(self.rng.u64(1..150));
        if let Some((from, time)) = self.plan.stalled {
            let (from, to) = (self.start + from, self.start + from + time);
            if (from..to).contains(&self.now) {
                delay += to - self.now;
            }
        }
        let fate = faults.fate(&mut self.rng);
        match fate {
            Fate::Lost => return,
            Fate::Failed(error) => return self.at(self.now + delay, Event::Answer(id, Err(error))),
            Fate::Late => delay += self.plan.options.request_timeout,
            _ => {}
        }
        self.at(self.now + delay, Event::Arrive(id, stream, entries, fate));
    }

    fn count(&mut self) {
        use kpl_stream::FailureReason;
        let statistics = &mut self.statistics;
        for (_, outcome) in self.accepted.iter().filter_map(|record| record.outcome.as_ref()) {
            let attempts = match outcome {
                Ok(receipt) => {
                    statistics.delivered += 1;
                    statistics.duplicated += u64::from(receipt.may_be_duplicated());
                    receipt.attempts()
                }
                Err(failure) => {
                    statistics.failed += 1;
                    match failure.reason {
                        FailureReason::Refused(_) => statistics.refused += 1,
                        FailureReason::Expired(_) => statistics.expired += 1,
                        FailureReason::Closed => statistics.given_up += 1,
                        _ => {}
                    }
                    &failure.attempts
                }
            };
            statistics.retried += u64::from(attempts.len() > 1);
            let wrong =
                |attempt: kpl_stream::Attempt<'_>| attempt.error.is_some_and(|error| &*error.code == "WrongShard");
            statistics.wrong_shard += u64::from(attempts.iter().any(wrong));
        }
        statistics.virtual_seconds += (self.now - self.start).as_secs();
        statistics.trace = self.hasher.finish();
    }
}

fn name(place: usize) -> String {
    format!("stream-{place}")
}

fn stream(plan: &StreamPlan, start: Instant) -> Stream {
    let mut stream = Stream::with_shards(plan.shards as u128);
    stream.auto = plan.auto;
    stream.described = plan.described;
    stream.exists_from = Some(start + plan.exists_from);
    stream.unlistable = plan.unlistable;
    stream
}

fn is_poisoned(entry: &SealedRecord) -> bool {
    user_records(&entry.data, "-").iter().any(|record| record.data[8] == 1)
}

fn brief(answer: &Answer) -> String {
    match answer {
        Ok(results) => format!(
            "{} written of {}",
            results.iter().filter(|result| result.is_ok()).count(),
            results.len()
        ),
        Err(error) => error.to_string(),
    }
}
