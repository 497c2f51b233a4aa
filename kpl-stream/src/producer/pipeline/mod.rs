//! The producer's pipeline without its input and output: no clock, no task, no socket.
//!
//! For whoever brings another runtime, and for tests: programs use [`Producer`](crate::Producer). A [`Pipeline`] is told what
//! happened and at what time, and says what to do: send this request, tell this record's outcome, wake me at that time.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use kpl_core::{HashKeyRange, RawRecord, Shard};
//! use kpl_stream::Options;
//! use kpl_stream::client::{StreamDescription, Written};
//! use kpl_stream::pipeline::{EncodedRecord, Output, Pipeline};
//!
//! let start = Instant::now();
//! let mut pipeline = Pipeline::<&str>::new(Options::default(), 7)?;
//! let stream = pipeline.open("clicks", start);
//! pipeline.push(stream, [(EncodedRecord::new(&RawRecord::new("anna", "some bytes"))?, "first")], start);
//!
//! let mut now = start;
//! let receipt = loop {
//!     match pipeline.poll(now) {
//!         Some(Output::ListShards { id, .. }) => {
//!             let shards = vec![Shard::new("shardId-000000000000", HashKeyRange::FULL)];
//!             pipeline.listed(id, Ok((shards, StreamDescription::default())), now);
//!         }
//!         Some(Output::PutRecords { id, entries, .. }) => {
//!             let written = Written { shard_id: "shardId-000000000000".into(), sequence_number: "49".into() };
//!             pipeline.answered(id, Ok(entries.iter().map(|_| Ok(written.clone())).collect()), now);
//!         }
//!         Some(Output::Resolved { handle: "first", outcome, .. }) => break outcome,
//!         Some(_) => {}
//!         None => now = pipeline.wake_at(now).unwrap_or(now + Duration::from_secs(1)),
//!     }
//! };
//! assert_eq!(receipt.unwrap().sequence_number(), "49");
//! assert!(now - start <= Duration::from_millis(100)); // record_max_buffered_time
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod judge;
mod lane;
mod limiter;
mod measures;
mod order;
mod record;
mod shards;
mod stream;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kpl_core::{SealedRecord, Shard};

pub use self::measures::{Measure, Metric};
pub use self::record::EncodedRecord;

use self::judge::Times;
use self::record::Held;
use self::shards::Mode;
use self::stream::{Entry, Stream};
use crate::client::{PutResult, RequestError, StreamDescription};
use crate::producer::options::{InvalidOption, Options};
use crate::producer::outcome::{Attempts, Failure, FailureReason, Receipt};

/// Pauses before another attempt: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Carries records to their streams. `H` is whatever the caller knows a record by; it comes back with the outcome.
#[derive(Debug)]
pub struct Pipeline<H> {
    options: Arc<Options>,
    streams: Vec<Stream<H>>,
    names: HashMap<Arc<str>, StreamId>,
    /// The stream that the next request is made for.
    turn: usize,
    in_flight: HashMap<RequestId, InFlight<H>>,
    listings: HashMap<RequestId, (StreamId, Instant)>,
    retries: BinaryHeap<Reverse<Retry<H>>>,
    next_request: u64,
    next_record: u64,
    flushes: Flushes,
    random: Rng,
    out: Out<H>,
}

/// A stream of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(usize);

/// A request of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// A flush of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlushId(u64);

/// What a pipeline wants done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<H> {
    /// Send these records, and tell [`Pipeline::answered`].
    PutRecords {
        /// The request.
        id: RequestId,
        /// The stream's name.
        stream: Arc<str>,
        /// The entries.
        entries: Vec<SealedRecord>,
    },
    /// List the open shards and describe the stream, and tell [`Pipeline::listed`].
    ListShards {
        /// The request.
        id: RequestId,
        /// The stream's name.
        stream: Arc<str>,
    },
    /// Nobody waits any more for the answer to this request.
    Cancel {
        /// The request.
        id: RequestId,
    },
    /// A record has its outcome.
    Resolved {
        /// The record's handle.
        handle: H,
        /// The record.
        record: EncodedRecord,
        /// What became of it.
        outcome: Result<Receipt, Failure>,
    },
    /// Everything that was accepted before this flush has its outcome.
    Flushed {
        /// The flush.
        id: FlushId,
    },
}

/// What is known of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamState {
    /// Its shards were not listed yet, or it does not exist yet: records wait, at most for their time to live.
    Unknown(Option<RequestError>),
    /// Its shards cannot be listed: records go one by one.
    Unpredicted(RequestError),
    /// Records are aggregated by shard.
    Predicted,
    /// The service ignores keys: records are aggregated without regard to shards.
    Auto,
}

#[derive(Debug)]
struct InFlight<H> {
    stream: StreamId,
    entries: Vec<Entry<H>>,
    started: Instant,
}

#[derive(Debug)]
struct Retry<H> {
    at: Instant,
    number: u64,
    stream: StreamId,
    records: Vec<Held<H>>,
}

impl<H> Retry<H> {
    const fn order(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl<H> PartialEq for Retry<H> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<H> Eq for Retry<H> {}

impl<H> PartialOrd for Retry<H> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<H> Ord for Retry<H> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

/// What streams give while they work.
#[derive(Debug)]
struct Out<H> {
    outputs: VecDeque<Output<H>>,
    measures: Option<Vec<Measure>>,
    /// Records to try again, and since when.
    retries: Vec<(Vec<Held<H>>, Instant)>,
    /// Keys whose waiting records may be let in.
    let_in: Vec<Box<str>>,
    /// Of every outcome, the flush that waits for it.
    resolved: Vec<u64>,
}

/// What is left of a record that has its outcome.
#[derive(Debug)]
struct Finished {
    /// Only where order is kept.
    partition_key: Option<Box<str>>,
}

impl<H> Out<H> {
    const fn new() -> Self {
        Self {
            outputs: VecDeque::new(),
            measures: None,
            retries: Vec::new(),
            let_in: Vec::new(),
            resolved: Vec::new(),
        }
    }

    fn resolve(&mut self, held: Held<H>, outcome: Result<Receipt, Failure>, ordered: bool) -> Finished {
        self.resolved.push(held.epoch);
        let partition_key = ordered.then(|| held.record.partition_key().into());
        self.outputs.push_back(Output::Resolved {
            handle: held.handle,
            record: held.record,
            outcome,
        });
        Finished { partition_key }
    }

    fn fail(&mut self, stream: &Arc<str>, mut held: Held<H>, reason: FailureReason) -> Finished {
        if matches!(reason, FailureReason::Expired(_)) {
            self.measure(Metric::UserRecordExpired, stream, None, None, 1.0);
        }
        let failure = Failure {
            stream: Arc::clone(stream),
            reason,
            attempts: std::mem::replace(&mut held.attempts, Attempts::none(held.expires)),
            may_have_been_written: held.maybe_written,
        };
        self.resolve(held, Err(failure), true)
    }

    fn retry(&mut self, records: Vec<Held<H>>, now: Instant) {
        if !records.is_empty() {
            self.retries.push((records, now));
        }
    }

    fn measure(
        &mut self,
        metric: Metric,
        stream: &Arc<str>,
        shard: Option<&Arc<str>>,
        code: Option<&Arc<str>>,
        value: f64,
    ) {
        self.measure_many(metric, stream, shard, code, value, 1);
    }

    fn measure_many(
        &mut self,
        metric: Metric,
        stream: &Arc<str>,
        shard: Option<&Arc<str>>,
        code: Option<&Arc<str>>,
        value: f64,
        times: usize,
    ) {
        let Some(measures) = &mut self.measures else { return };
        measures.push(Measure {
            metric,
            stream: Arc::clone(stream),
            shard_id: shard.cloned(),
            code: code.cloned(),
            value,
            times,
        });
    }

    fn measure_written(&mut self, stream: &Arc<str>, shard: &Arc<str>, entry: &Entry<H>, times: Times) {
        if self.measures.is_none() {
            return;
        }
        let user_records = entry.records.len();
        let data: usize = entry.records.iter().map(|held| held.record.data().len()).sum();
        let counts = [
            (Metric::UserRecordsPut, user_records),
            (Metric::UserRecordsDataPut, data),
            (Metric::KinesisRecordsPut, 1),
            (Metric::KinesisRecordsDataPut, entry.size),
            (Metric::UserRecordsPerKinesisRecord, user_records),
        ];
        for (metric, value) in counts {
            self.measure(metric, stream, Some(shard), None, value as f64);
        }
        // Neighbours mostly have the same values: one measure for all of them.
        let buffered = |held: &Held<H>| {
            let waited = times.started.saturating_duration_since(held.attempts.arrived);
            (held.attempts.len(), waited.as_millis())
        };
        for alike in entry.records.chunk_by(|one, other| buffered(one) == buffered(other)) {
            let Some((retries, millis)) = alike.first().map(buffered) else {
                continue;
            };
            self.measure_many(
                Metric::RetriesPerRecord,
                stream,
                Some(shard),
                None,
                retries as f64,
                alike.len(),
            );
            self.measure_many(
                Metric::BufferingTime,
                stream,
                Some(shard),
                None,
                millis as f64,
                alike.len(),
            );
        }
    }
}

/// Flushes that were asked for, and what they wait for.
#[derive(Debug)]
struct Flushes {
    /// Accepted records are counted under the flush that comes next.
    next: u64,
    /// Records without an outcome, for each flush from the oldest on; the last is the one that comes next.
    pending: VecDeque<usize>,
}

impl Flushes {
    fn oldest(&self) -> u64 {
        self.next + 1 - self.pending.len() as u64
    }

    fn count(&mut self, epoch: u64) -> Option<&mut usize> {
        let place = epoch.checked_sub(self.oldest())?;
        self.pending.get_mut(usize::try_from(place).ok()?)
    }

    fn pending(&self) -> usize {
        self.pending.iter().sum()
    }
}

impl<H> Pipeline<H> {
    /// A pipeline without streams. The seed decides about the lengths of pauses.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] if an option has a value that it cannot have.
    pub fn new(options: Options, seed: u64) -> Result<Self, InvalidOption> {
        options.check()?;
        Ok(Self {
            options: Arc::new(options),
            streams: Vec::new(),
            names: HashMap::new(),
            turn: 0,
            in_flight: HashMap::new(),
            listings: HashMap::new(),
            retries: BinaryHeap::new(),
            next_request: 0,
            next_record: 0,
            flushes: Flushes {
                next: 0,
                pending: VecDeque::from([0]),
            },
            random: Rng::with_seed(seed),
            out: Out::new(),
        })
    }

    /// Starts with a stream, or finds the one of that name.
    pub fn open(&mut self, name: &str, now: Instant) -> StreamId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let id = StreamId(self.streams.len());
        let name: Arc<str> = name.into();
        self.streams
            .push(Stream::new(Arc::clone(&name), Arc::clone(&self.options), now));
        self.names.insert(name, id);
        id
    }

    /// What is known of a stream.
    #[must_use]
    pub fn state(&self, stream: StreamId) -> StreamState {
        let Some(stream) = self.streams.get(stream.0) else {
            return StreamState::Unknown(None);
        };
        match (stream.shards.mode(), &stream.shards.failed) {
            (Mode::Auto, _) => StreamState::Auto,
            (Mode::Predicted, _) => StreamState::Predicted,
            (Mode::Unpredicted, Some(error)) => StreamState::Unpredicted(error.clone()),
            (_, error) => StreamState::Unknown(error.clone()),
        }
    }

    /// Accepts records for a stream: each will have exactly one outcome.
    pub fn push(&mut self, stream: StreamId, records: impl IntoIterator<Item = (EncodedRecord, H)>, now: Instant) {
        let Some(state) = self.streams.get_mut(stream.0) else {
            return;
        };
        let (expires, due) = (
            now + self.options.record_ttl,
            now + self.options.record_max_buffered_time,
        );
        let epoch = self.flushes.next;
        let mut count = 0;
        for (record, handle) in records {
            let held = Held {
                record,
                handle,
                number: self.next_record,
                expires,
                epoch,
                attempts: Attempts::none(now),
                maybe_written: false,
            };
            self.next_record += 1;
            count += 1;
            state.route(held, due, now, &mut self.out);
        }
        if let Some(pending) = self.flushes.count(epoch) {
            *pending += count;
        }
        state.let_in_all(now, &mut self.out);
        let name = Arc::clone(&state.name);
        self.out
            .measure(Metric::UserRecordsReceived, &name, None, None, count as f64);
        self.settle(stream, now);
    }

    /// Takes the answer to [`Output::PutRecords`]. One that nobody waits for any more is passed over.
    pub fn answered(&mut self, id: RequestId, answer: Result<Vec<PutResult>, RequestError>, now: Instant) {
        let Some(request) = self.in_flight.remove(&id) else {
            return;
        };
        let stream = request.stream;
        let Some(state) = self.streams.get_mut(stream.0) else {
            return;
        };
        let user_records: usize = request.entries.iter().map(|entry| entry.records.len()).sum();
        let millis = now.saturating_duration_since(request.started).as_secs_f64() * 1000.0;
        let name = Arc::clone(&state.name);
        let per_request = [
            (Metric::RequestTime, millis),
            (Metric::KinesisRecordsPerPutRecordsRequest, request.entries.len() as f64),
            (Metric::UserRecordsPerPutRecordsRequest, user_records as f64),
        ];
        for (metric, value) in per_request {
            self.out.measure(metric, &name, None, None, value);
        }
        let mode = state.shards.mode();
        state.judge(request, answer, now, &mut self.out);
        if state.shards.mode() != mode {
            state.route_anew(now + self.options.record_max_buffered_time / 2, now, &mut self.out);
        }
        self.settle(stream, now);
    }

    /// Takes the answer to [`Output::ListShards`].
    pub fn listed(
        &mut self,
        id: RequestId,
        answer: Result<(Vec<Shard>, StreamDescription), RequestError>,
        now: Instant,
    ) {
        let Some((stream, _)) = self.listings.remove(&id) else {
            return;
        };
        let Some(state) = self.streams.get_mut(stream.0) else {
            return;
        };
        if let Err(error) = &answer {
            tracing::warn!(stream = %state.name, %error, "shards cannot be listed");
        }
        let interval = self.options.shard_refresh_interval;
        if state.shards.listed(answer, now, interval, &mut self.random) {
            // Somebody waits for a flush: then nothing waits for others.
            let is_hurried = self.flushes.pending.len() > 1;
            let patience = if is_hurried {
                Duration::ZERO
            } else {
                self.options.record_max_buffered_time / 2
            };
            state.route_anew(now + patience, now, &mut self.out);
        }
        state.judge_unjudged(now, &mut self.out);
        self.settle(stream, now);
    }

    /// Asks for [`Output::Flushed`], when everything that was accepted before has its outcome. Nothing of that waits for
    /// more records any longer.
    pub fn flush(&mut self, now: Instant) -> FlushId {
        let id = FlushId(self.flushes.next);
        self.flushes.next += 1;
        self.flushes.pending.push_back(0);
        for stream in &mut self.streams {
            stream.hurry(now);
        }
        self.tell_flushed();
        id
    }

    /// Gives up everything: each record that has no outcome yet fails as closed.
    pub fn abandon(&mut self) {
        let requests = std::mem::take(&mut self.in_flight);
        let retries = std::mem::take(&mut self.retries);
        let mut records = Vec::new();
        for (id, request) in requests {
            self.out.outputs.push_back(Output::Cancel { id });
            records.extend(
                request
                    .entries
                    .into_iter()
                    .flat_map(|entry| entry.records)
                    .map(|mut held| {
                        held.maybe_written = true;
                        (request.stream, held)
                    }),
            );
        }
        for Reverse(retry) in retries {
            records.extend(retry.records.into_iter().map(|held| (retry.stream, held)));
        }
        for (place, stream) in self.streams.iter_mut().enumerate() {
            records.extend(stream.drain().into_iter().map(|held| (StreamId(place), held)));
        }
        records.sort_by_key(|(_, held)| held.number);
        for (stream, held) in records {
            if let Some(stream) = self.streams.get(stream.0) {
                self.out.fail(&stream.name, held, FailureReason::Closed);
            }
        }
        for stream in &mut self.streams {
            stream.pending = 0;
        }
        self.count_resolved();
    }

    /// What to do now. Ask until there is nothing more.
    pub fn poll(&mut self, now: Instant) -> Option<Output<H>> {
        if self.out.outputs.is_empty() {
            self.advance(now);
        }
        self.out.outputs.pop_front()
    }

    /// When to ask again, if nothing happens before. In the past: at once.
    #[must_use]
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        if !self.out.outputs.is_empty() {
            return Some(now);
        }
        let connection = self.in_flight.len() < self.options.max_connections;
        let streams = self.streams.iter().filter_map(|stream| stream.wake_at(connection, now));
        let retry = self.retries.peek().map(|Reverse(retry)| retry.at);
        let started = self.in_flight.values().map(|request| request.started);
        let listings = self.listings.values().map(|(_, started)| *started);
        let timeout = started
            .chain(listings)
            .min()
            .map(|started| started + self.options.request_timeout);
        streams.chain(retry).chain(timeout).min()
    }

    /// How many records have no outcome yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.flushes.pending()
    }

    /// Takes what was measured since this was called last: nothing the first time, because nobody may ever ask.
    pub fn take_measures(&mut self) -> Vec<Measure> {
        self.out.measures.replace(Vec::new()).unwrap_or_default()
    }

    fn advance(&mut self, now: Instant) {
        self.time_out(now);
        while self.retries.peek().is_some_and(|Reverse(retry)| retry.at <= now) {
            let Some(Reverse(retry)) = self.retries.pop() else {
                break;
            };
            self.come_back(retry, now);
        }
        for place in 0..self.streams.len() {
            if let Some(stream) = self.streams.get_mut(place) {
                stream.sweep(now, &mut self.out);
                if stream.shards.start_listing(now) {
                    let id = self.next_id();
                    self.listings.insert(id, (StreamId(place), now));
                    if let Some(stream) = self.streams.get(place) {
                        let stream = Arc::clone(&stream.name);
                        self.out.outputs.push_back(Output::ListShards { id, stream });
                    }
                }
            }
            self.settle(StreamId(place), now);
        }
        self.make_requests(now);
    }

    fn come_back(&mut self, retry: Retry<H>, now: Instant) {
        let Retry { stream, records, .. } = retry;
        // Somebody waits for it: then it does not wait for others.
        let is_hurried = records.first().is_some_and(|held| held.epoch < self.flushes.next);
        let patience = if is_hurried {
            Duration::ZERO
        } else {
            self.options.record_max_buffered_time / 2
        };
        if let Some(state) = self.streams.get_mut(stream.0) {
            state.come_back(records, now + patience, now, &mut self.out);
        }
        self.settle(stream, now);
    }

    fn make_requests(&mut self, now: Instant) {
        let mut idle = 0;
        while self.in_flight.len() < self.options.max_connections && idle < self.streams.len() {
            let place = self.turn % self.streams.len();
            self.turn = place + 1;
            let Some(stream) = self.streams.get_mut(place) else {
                return;
            };
            let Some(request) = stream.request(now, &mut self.out) else {
                idle += 1;
                continue;
            };
            idle = 0;
            let name = Arc::clone(&stream.name);
            let id = self.next_id();
            self.out.outputs.push_back(Output::PutRecords {
                id,
                stream: name,
                entries: request.sealed,
            });
            let in_flight = InFlight {
                stream: StreamId(place),
                entries: request.entries,
                started: now,
            };
            self.in_flight.insert(id, in_flight);
        }
    }

    fn next_id(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    fn time_out(&mut self, now: Instant) {
        let timeout = self.options.request_timeout;
        let is_late = |started: Instant| started + timeout <= now;
        let error = || RequestError::unanswered("RequestTimeout", format!("no answer within {timeout:?}"));
        let requests = self.in_flight.iter().filter(|(_, request)| is_late(request.started));
        let mut late: Vec<RequestId> = requests.map(|(id, _)| *id).collect();
        late.sort_unstable();
        for id in late {
            self.out.outputs.push_back(Output::Cancel { id });
            self.answered(id, Err(error()), now);
        }
        let listings = self.listings.iter().filter(|(_, (_, started))| is_late(*started));
        let mut late: Vec<RequestId> = listings.map(|(id, _)| *id).collect();
        late.sort_unstable();
        for id in late {
            self.out.outputs.push_back(Output::Cancel { id });
            self.listed(id, Err(error()), now);
        }
    }

    /// Takes up what a stream gave besides outputs.
    fn settle(&mut self, stream: StreamId, now: Instant) {
        for (records, failed) in std::mem::take(&mut self.out.retries) {
            let attempts = records.iter().map(|held| held.attempts.len()).min().unwrap_or(1);
            let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
            let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
            let pause = pause.mul_f64(0.5 + 0.5 * self.random.f64());
            let expires = records.iter().map(|held| held.expires).min().unwrap_or(now);
            let number = self.next_id().0;
            self.retries.push(Reverse(Retry {
                at: (failed + pause).min(expires),
                number,
                stream,
                records,
            }));
        }
        if let (Some(state), 1..) = (self.streams.get_mut(stream.0), self.out.resolved.len()) {
            state.pending = state.pending.saturating_sub(self.out.resolved.len());
            let (name, pending) = (Arc::clone(&state.name), state.pending as f64);
            self.out.measure(Metric::UserRecordsPending, &name, None, None, pending);
        }
        self.count_resolved();
    }

    fn count_resolved(&mut self) {
        for epoch in std::mem::take(&mut self.out.resolved) {
            if let Some(pending) = self.flushes.count(epoch) {
                *pending = pending.saturating_sub(1);
            }
        }
        self.tell_flushed();
    }

    fn tell_flushed(&mut self) {
        while self.flushes.pending.len() > 1 && self.flushes.pending.front() == Some(&0) {
            let id = FlushId(self.flushes.oldest());
            self.flushes.pending.pop_front();
            self.out.outputs.push_back(Output::Flushed { id });
        }
    }
}
