//! The simulated time, and what happens in it.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{Hash as _, Hasher as _};
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kpl_core::{HashKey, RawRecord, SealedRecord, Shard, ShardMap};
use kpl_stream::client::{PutResult, RequestError, StreamDescription};
use kpl_stream::pipeline::{FlushId, Output, Pipeline, RequestId, Resolved, StreamId};
use kpl_stream::{EncodedRecord, Failure, Receipt, StreamState};
use kpl_testkit::service::{Answer, Fate, Faults, Resharding, Stream};
use kpl_testkit::user_records;

use crate::claims;
use crate::plan::{OutageKind, Plan, StreamPlan, pick};
use crate::watch::Watch;

#[derive(Debug)]
enum Event {
    /// A producer and a number of records.
    Send(usize, usize),
    /// A request reaches the service, which carries it out.
    Arrive(usize, RequestId, usize, Vec<SealedRecord>, Fate),
    Answer(usize, RequestId, Answer),
    Listed(
        usize,
        RequestId,
        usize,
        Result<(Vec<Shard>, StreamDescription), RequestError>,
    ),
    Reshard,
    Jump(Duration),
    Flush(usize),
    /// The first producer gives up everything.
    Abandon,
}

/// A record that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) producer: usize,
    pub(crate) stream: usize,
    pub(crate) partition_key: String,
    pub(crate) explicit_hash_key: Option<HashKey>,
    pub(crate) data: Vec<u8>,
    pub(crate) poison: bool,
    pub(crate) at: Instant,
    pub(crate) outcome: Option<(Instant, Result<Receipt, Box<Failure>>)>,
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
    pub(crate) outages_survived: u64,
    pub(crate) expired_in_outage: u64,
    pub(crate) shared: u64,
    pub(crate) no_room: u64,
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
        self.outages_survived += other.outages_survived;
        self.expired_in_outage += other.expired_in_outage;
        self.shared += other.shared;
        self.no_room += other.no_room;
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
            outages_survived,
            expired_in_outage,
            shared,
            no_room,
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
            ("outages survived", outages_survived),
            ("expired in outage", expired_in_outage),
            ("shared", shared),
            ("no room", no_room),
            ("too large", too_large),
        ] {
            assert!(count > 0, "nothing was {name}");
        }
    }
}

/// A pipeline, and what is known about its work.
struct Producer {
    pipeline: Pipeline<usize>,
    ids: Vec<StreamId>,
    /// The last map of each stream's shards.
    maps: Vec<Option<ShardMap>>,
    watch: Watch,
    /// Records that wait for room.
    waiting: usize,
    under_way: usize,
    flushes: BTreeMap<FlushId, usize>,
    abandoned: bool,
}

impl Producer {
    fn is_idle(&self) -> bool {
        self.pipeline.pending() == 0 && self.waiting == 0
    }
}

pub(crate) struct World {
    trace: bool,
    pub(crate) plan: Plan,
    rng: Rng,
    start: Instant,
    now: Instant,
    producers: Vec<Producer>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) accepted: Vec<Accepted>,
    events: BinaryHeap<Reverse<(Instant, u64)>>,
    payloads: BTreeMap<u64, Event>,
    next_event: u64,
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
        let streams: Vec<Stream> = plan.streams.iter().map(|plan| stream(plan, start)).collect();
        let producer = |number: usize| {
            let seed = seed + number as u64;
            let mut pipeline = Pipeline::new(plan.options.clone(), seed).expect("the options are valid");
            Producer {
                ids: (0..streams.len())
                    .map(|place| pipeline.open(&name(place), start))
                    .collect(),
                pipeline,
                maps: vec![None; streams.len()],
                watch: Watch::default(),
                waiting: 0,
                under_way: 0,
                flushes: BTreeMap::new(),
                abandoned: false,
            }
        };
        let producers = (0..plan.producers).map(producer).collect();
        let outage = plan.outage.map_or(Duration::ZERO, |outage| outage.to);
        if trace {
            println!("{plan:#?}");
        }
        let mut world = Self {
            trace,
            rng,
            start,
            now: start,
            producers,
            streams,
            accepted: Vec::new(),
            events: BinaryHeap::new(),
            payloads: BTreeMap::new(),
            next_event: 0,
            calm_from: start + plan.span.max(outage),
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
            let (at, producer) = (self.moment(), self.rng.usize(0..self.producers.len()));
            self.at(at, Event::Send(producer, burst));
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
            let (at, producer) = (self.moment(), self.rng.usize(0..self.producers.len()));
            self.at(at, Event::Flush(producer));
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
            let wakes = self
                .producers
                .iter()
                .map(|producer| producer.pipeline.wake_at(self.now));
            let wake = wakes.flatten().min();
            let pending: usize = self.producers.iter().map(|producer| producer.pipeline.pending()).sum();
            let event = self.events.peek().map(|Reverse((at, _))| *at);
            // Shards are listed forever; without records, this is nothing to wait for.
            let only_lists = self.payloads.values().all(|event| matches!(event, Event::Listed(..)));
            if self.producers.iter().all(Producer::is_idle) && only_lists {
                break;
            }
            let Some(next) = event.into_iter().chain(wake).min() else {
                break;
            };
            turns += 1;
            if turns > 1_000_000 {
                return Err(format!("it goes round in circles, {pending} records are pending"));
            }
            if next > self.now + Duration::from_secs(600) {
                return Err(format!(
                    "nothing happens for ten minutes, {pending} records are pending"
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
        if self.producers.iter().any(|producer| !producer.flushes.is_empty()) {
            return Err("a flush is not reported although no record is left".into());
        }
        claims::check(&self)?;
        self.count();
        Ok(self.statistics)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Send(place, count) => {
                let producer = &mut self.producers[place];
                producer.waiting += if producer.abandoned { 0 } else { count };
                self.send(place);
            }
            Event::Arrive(producer, id, stream, entries, fate) => {
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
                if faults.throttled == 0.0 {
                    let code = "ProvisionedThroughputExceededException";
                    let refused = |result: &PutResult| result.as_ref().is_err_and(|error| &*error.code == code);
                    self.statistics.no_room += answer.iter().flatten().filter(|result| refused(result)).count() as u64;
                }
                self.tell(format_args!("carried out {id:?}: {}", brief(&answer)));
                let Some(answer) = fate.deliver(answer, &mut self.rng) else {
                    return Ok(());
                };
                let at = self.now + Duration::from_millis(self.rng.u64(1..100));
                self.at(at, Event::Answer(producer, id, answer));
            }
            Event::Answer(place, id, answer) => {
                self.tell(format_args!("answered {id:?}: {}", brief(&answer)));
                let producer = &mut self.producers[place];
                let states = |producer: &Producer| producer.ids.iter().map(|id| producer.pipeline.state(*id)).collect();
                let before: Vec<StreamState> = states(producer);
                producer
                    .watch
                    .answer(id, Some(&answer), self.plan.options.record_ttl, self.now);
                producer.pipeline.answered(id, answer, self.now);
                let after: Vec<StreamState> = states(producer);
                for stream in (0..before.len()).filter(|stream| before[*stream] != after[*stream]) {
                    producer.watch.change(stream, self.now);
                }
            }
            Event::Listed(place, id, stream, answer) => {
                let text = answer
                    .as_ref()
                    .map(|(shards, _)| shards.len())
                    .map_err(ToString::to_string);
                self.tell(format_args!("listed {id:?}: {text:?}"));
                let producer = &mut self.producers[place];
                if let Ok((shards, _)) = &answer {
                    producer.maps[stream] = ShardMap::new(shards.clone()).ok();
                }
                producer.pipeline.listed(id, answer, self.now);
                producer.watch.change(stream, self.now);
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
            Event::Flush(place) => {
                self.statistics.flushes += 1;
                let producer = &mut self.producers[place];
                let id = producer.pipeline.flush(self.now);
                producer.flushes.insert(id, self.accepted.len());
                self.tell(format_args!("flush {id:?}"));
            }
            Event::Abandon => {
                self.tell(format_args!("everything is given up"));
                self.abandoned = true;
                let producer = &mut self.producers[0];
                producer.abandoned = true;
                producer.waiting = 0;
                producer.pipeline.abandon(self.now);
            }
        }
        Ok(())
    }

    /// Sends the waiting records, as long as there is room.
    fn send(&mut self, place: usize) {
        let producer = &mut self.producers[place];
        let room = self.plan.budget.saturating_sub(producer.under_way);
        let count = producer.waiting.min(room);
        self.statistics.waited_for_room += u64::from(count < producer.waiting);
        if producer.abandoned || count == 0 {
            return;
        }
        producer.waiting -= count;
        producer.under_way += count;
        let stream = self.rng.usize(0..self.streams.len());
        let mut batch = Vec::new();
        for _ in 0..count {
            let (record, accepted) = self.record(place, stream);
            let number = self.accepted.len();
            self.producers[place].watch.accept(number, stream, &record, self.now);
            batch.push((record, self.accepted.len()));
            self.accepted.push(accepted);
        }
        self.statistics.records += count as u64;
        self.tell(format_args!("send {count} to stream {stream}"));
        let producer = &mut self.producers[place];
        producer.pipeline.push(producer.ids[stream], batch, self.now);
    }

    fn record(&mut self, producer: usize, stream: usize) -> (EncodedRecord, Accepted) {
        let rng = &mut self.rng;
        let keys = *pick(rng, &[1, 3, 40]);
        let partition_key = format!("key-{producer}-{}", rng.usize(0..keys));
        let explicit_hash_key = (rng.u8(0..10) == 0).then(|| HashKey::new(rng.u128(..)));
        let poison = rng.f64() < self.plan.poison;
        let filler = match rng.u8(0..40) {
            10.. if self.plan.large => rng.usize(0..60_000),
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
            producer,
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

    /// Carries out what the pipelines want done.
    fn work(&mut self) -> Result<(), String> {
        for place in 0..self.producers.len() {
            self.work_of(place)?;
        }
        Ok(())
    }

    fn work_of(&mut self, place: usize) -> Result<(), String> {
        loop {
            while let Some(output) = self.producers[place].pipeline.poll(self.now) {
                self.carry_out(place, output)?;
            }
            let producer = &self.producers[place];
            let (pending, under_way) = (producer.pipeline.pending(), producer.under_way);
            if pending != under_way {
                return Err(format!(
                    "{pending} records are pending, and {under_way} have no outcome"
                ));
            }
            producer.watch.check_waiting(&self.plan.options, self.now)?;
            if producer.waiting == 0 || producer.abandoned || producer.under_way >= self.plan.budget {
                return Ok(());
            }
            self.send(place);
        }
    }

    fn resolved(&mut self, place: usize, resolved: Resolved<usize>) -> Result<(), String> {
        let Resolved { handle, outcome, .. } = resolved;
        let text = outcome
            .as_ref()
            .map(|receipt| receipt.position())
            .map_err(ToString::to_string);
        self.tell(format_args!("outcome of {handle}: {text:?}"));
        let now = self.now;
        let Some(accepted) = self.accepted.get_mut(handle) else {
            return Err(format!("record {handle} was never sent"));
        };
        self.producers[place].under_way -= 1;
        self.producers[place].watch.resolve(handle);
        if accepted.outcome.replace((now, outcome)).is_some() {
            return Err(format!("record {handle} has two outcomes"));
        }
        Ok(())
    }

    fn carry_out(&mut self, place: usize, output: Output<usize>) -> Result<(), String> {
        match output {
            Output::PutRecords { id, stream, entries } => {
                let stream = self.place(&stream);
                self.tell(format_args!(
                    "request {id:?} of {} entries for stream {stream}",
                    entries.len()
                ));
                self.statistics.requests += 1;
                self.statistics.kinesis_records += entries.len() as u64;
                let producer = &mut self.producers[place];
                let state = producer.pipeline.state(producer.ids[stream]);
                let is_aggregated = entries.iter().any(|entry| entry.user_records > 1);
                if is_aggregated && !matches!(state, StreamState::Predicted | StreamState::Auto) {
                    return Err("records are aggregated although shards are unknown".into());
                }
                let is_predicted = state == StreamState::Predicted;
                let map = producer.maps[stream].as_ref().filter(|_| is_predicted);
                let options = &self.plan.options;
                producer.watch.request(id, stream, &entries, map, options, self.now)?;
                claims::check_request(&entries, producer.watch.requests_in_flight(), options)?;
                self.travel(place, id, stream, entries);
            }
            Output::ListShards { id, stream } => {
                let stream = self.place(&stream);
                let fails = self.now < self.calm_from && self.rng.f64() < self.plan.faults.unlisted;
                let answer = if let Some(kind) = self.outage() {
                    Err(error_of(kind))
                } else if fails {
                    Err(RequestError::unanswered("InternalFailure", "500"))
                } else {
                    self.streams[stream].list(self.now)
                };
                let at = self.now + Duration::from_millis(self.rng.u64(1..300));
                self.at(at, Event::Listed(place, id, stream, answer));
            }
            Output::Cancel { id } => {
                self.tell(format_args!("cancelled {id:?}"));
                self.statistics.timeouts += 1;
                self.producers[place]
                    .watch
                    .answer(id, None, self.plan.options.record_ttl, self.now);
            }
            Output::Resolved(outcomes) => {
                for resolved in outcomes {
                    self.resolved(place, resolved)?;
                }
            }
            Output::Flushed { id } => {
                let flushes = &mut self.producers[place].flushes;
                let before = flushes.remove(&id).ok_or("a flush that was not asked for")?;
                if let Some(place) = self
                    .accepted
                    .iter()
                    .take(before)
                    .position(|record| record.producer == place && record.outcome.is_none())
                {
                    return Err(format!("flushed, but record {place} has no outcome"));
                }
            }
            other => return Err(format!("unknown output: {other:?}")),
        }
        Ok(())
    }

    /// Returns how every request fails now, if there is an outage.
    fn outage(&self) -> Option<OutageKind> {
        let outage = self.plan.outage?;
        let is_now = (self.start + outage.from..self.start + outage.to).contains(&self.now);
        is_now.then_some(outage.kind)
    }

    fn place(&self, name: &str) -> usize {
        (0..self.streams.len())
            .find(|place| self::name(*place) == name)
            .expect("it is one of ours")
    }

    /// Simulates a request on its way to the service.
    fn travel(&mut self, place: usize, id: RequestId, stream: usize, entries: Vec<SealedRecord>) {
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
        let fate = match self.outage() {
            Some(OutageKind::Unanswered) => Fate::Lost,
            Some(kind) => Fate::Failed(error_of(kind)),
            None => faults.fate(&mut self.rng),
        };
        match fate {
            Fate::Lost => return,
            Fate::Failed(error) => return self.at(self.now + delay, Event::Answer(place, id, Err(error))),
            Fate::Late => delay += self.plan.options.request_timeout,
            _ => {}
        }
        self.at(self.now + delay, Event::Arrive(place, id, stream, entries, fate));
    }

    fn count(&mut self) {
        use kpl_stream::FailureReason;
        let statistics = &mut self.statistics;
        let shared = self.producers.len() > 1;
        let outage = self
            .plan
            .outage
            .map(|outage| (self.start + outage.from, self.start + outage.to));
        for record in &self.accepted {
            let Some((at, outcome)) = &record.outcome else { continue };
            statistics.shared += u64::from(shared);
            if let Some((from, to)) = outage.filter(|(_, to)| record.at < *to) {
                statistics.outages_survived += u64::from(record.at > from && outcome.is_ok());
                statistics.expired_in_outage += u64::from(*at > from && *at < to && outcome.is_err());
            }
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
                    failure.attempts()
                }
            };
            statistics.retried += u64::from(attempts.len() > 1);
            statistics.wrong_shard += u64::from(attempts.error_counts().any(|(code, _)| code == "WrongShard"));
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
    stream.limit = plan.limit;
    stream
}

fn error_of(kind: OutageKind) -> RequestError {
    match kind {
        OutageKind::Unavailable => RequestError::unanswered("ServiceUnavailable", "503"),
        OutageKind::Throttled => RequestError::refused("ThrottlingException", "too many requests"),
        OutageKind::Unanswered => RequestError::timed_out(Duration::from_secs(1)),
        OutageKind::ExpiredCredentials => RequestError::refused("ExpiredTokenException", "expired"),
    }
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
