//! The producer's pipeline without its input and output: no clock, no task, no socket.
//!
//! Not part of the stable API: it is public for the project's own benchmarks, simulation and fuzzing, and changes
//! without notice. Programs use [`Producer`](crate::Producer).
//!
//! A [`Pipeline`] is told what happened and when, and returns what to do: send this request, resolve this record, call
//! again at this time.
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
//! let resolved = loop {
//!     match pipeline.poll(now) {
//!         Some(Output::ListShards { id, .. }) => {
//!             let shards = vec![Shard::new("shardId-000000000000", HashKeyRange::FULL)];
//!             pipeline.listed(id, Ok((shards, StreamDescription::default())), now);
//!         }
//!         Some(Output::PutRecords { id, entries, .. }) => {
//!             let written = Written::new("shardId-000000000000", "49");
//!             pipeline.answered(id, Ok(entries.iter().map(|_| Ok(written.clone())).collect()), now);
//!         }
//!         Some(Output::Resolved(mut outcomes)) => break outcomes.next().expect("an outcome"),
//!         Some(_) => {}
//!         None => now = pipeline.wake_at(now).unwrap_or(now + Duration::from_secs(1)),
//!     }
//! };
//! assert_eq!(resolved.handle, "first");
//! assert_eq!(resolved.outcome.unwrap().sequence_number(), "49");
//! assert!(now - start <= Duration::from_millis(100)); // record_max_buffered_time
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod flushes;
mod judge;
mod lane;
mod limiter;
mod measures;
mod order;
mod output;
mod pack;
mod record;
mod request;
mod request_size;
mod schedule;
mod shards;
mod stream;
mod turn;
mod waiting;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;
use kpl_core::{InvalidOption, Shard};

pub use self::measures::{Measure, Metric};
pub use self::output::{FlushId, Outcomes, Output, RequestId, Resolved, StreamId, StreamState};
pub use self::record::EncodedRecord;

use self::flushes::Flushes;
use self::measures::Metric::{UserRecordsPending, UserRecordsReceived};
use self::pack::Packer;
use self::record::{Entry, Held, Times};
use self::request_size::Suspect;
use self::schedule::Schedule;
use self::shards::Mode;
use self::stream::Stream;
use self::turn::{Out, Turn};
use super::options::Options;
use super::outcome::{AttemptError, FailureReason};
use crate::client::{PutResult, RequestError, StreamDescription};
use crate::clock;

/// Carries records to their streams. `H` is the caller's handle for a record; it is returned with the outcome.
pub struct Pipeline<H> {
    options: Arc<Options>,
    packer: Packer,
    streams: Vec<Stream<H>>,
    names: HashMap<Arc<str>, StreamId>,
    /// When each stream has a request to send.
    requests: Schedule,
    /// When each stream has something else to do.
    timers: Schedule,
    /// The oldest request first.
    in_flight: BTreeMap<RequestId, InFlight<H>>,
    bytes_in_flight: usize,
    /// Whether the next request has to wait until there is less in flight.
    waits_for_room: bool,
    /// The oldest request first.
    listings: BTreeMap<RequestId, (StreamId, Instant)>,
    next_request: u64,
    next_record: u64,
    flushes: Flushes,
    random: Rng,
    /// Whether records are tried again if a request fails for a reason that is not theirs.
    keeps_trying: bool,
    out: Out<H>,
}

#[derive(Debug)]
struct InFlight<H> {
    stream: StreamId,
    entries: Vec<Entry<H>>,
    /// The refused request of which this one is a half, if that one may have been too large.
    suspect: Option<Arc<Suspect>>,
    started: Instant,
    bytes: usize,
}

/// While a request is under way, its records exist as packed bytes and, encoded once more, in the client's request
/// body: together about two and a half times their size. All of that may take a quarter of the budget.
const BUDGET_PER_BYTE_IN_FLIGHT: usize = 10;

impl<H> Pipeline<H> {
    /// Creates a pipeline without streams. The seed determines the lengths of pauses.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] if an option is out of its range.
    pub fn new(options: Options, seed: u64) -> Result<Self, InvalidOption> {
        options.check()?;
        Ok(Self {
            packer: Packer::new(&options)?,
            options: Arc::new(options),
            streams: Vec::new(),
            names: HashMap::new(),
            requests: Schedule::default(),
            timers: Schedule::default(),
            in_flight: BTreeMap::new(),
            bytes_in_flight: 0,
            waits_for_room: false,
            listings: BTreeMap::new(),
            next_request: 0,
            next_record: 0,
            flushes: Flushes::new(),
            random: Rng::with_seed(seed),
            keeps_trying: false,
            out: Out::new(),
        })
    }

    /// From now on, a request that fails as a whole for a reason that may pass does not fail its records: there are no valid credentials, it
    /// is not allowed, or the stream does not exist.
    pub fn keep_trying(&mut self) {
        self.keeps_trying = true;
    }

    /// Opens a stream, or returns the one that was already opened with that name. If that one was not found, or no request
    /// could be made, its shards are listed again: until there is an answer, nothing is known about it.
    pub fn open(&mut self, name: &str, now: Instant) -> StreamId {
        if let Some(id) = self.names.get(name).copied() {
            if let Some(stream) = self.streams.get_mut(id.0) {
                stream.shards.open_again(now);
                stream.follow_mode(&mut Turn::new(now, &self.flushes, &mut self.out));
                self.settle(id, now);
            }
            return id;
        }
        let id = StreamId(self.streams.len());
        let name: Arc<str> = name.into();
        let (options, packer) = (Arc::clone(&self.options), self.packer.clone());
        self.streams
            .push(Stream::new(Arc::clone(&name), options, packer, self.random.fork(), now));
        self.names.insert(name, id);
        self.reschedule(id, now);
        id
    }

    /// Returns what is known about a stream.
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

    /// Accepts records for a stream. Each of them will have exactly one outcome.
    pub fn push(&mut self, stream: StreamId, records: impl IntoIterator<Item = (EncodedRecord, H)>, now: Instant) {
        let Some(state) = self.streams.get_mut(stream.0) else {
            return;
        };
        let mut turn = Turn::new(now, &self.flushes, &mut self.out);
        let mut count = 0;
        let flush = self.flushes.next();
        let mut held = records.into_iter().map(|(record, handle)| {
            let number = self.next_record;
            self.next_record += 1;
            count += 1;
            Held {
                record,
                handle,
                number,
                arrived: now,
                flush,
                lane: 0,
                failed: None,
            }
        });
        state.route_all(&mut held, &mut turn);
        turn.out.measures.add(UserRecordsReceived, &state.name, count as f64);
        state.pending += count;
        self.flushes.accepted(count);
        self.settle(stream, now);
    }

    /// Takes the answer to [`Output::PutRecords`]. An answer that is no longer needed is ignored.
    pub fn answered(&mut self, id: RequestId, answer: Result<Vec<PutResult>, RequestError>, now: Instant) {
        let Some(request) = self.in_flight.remove(&id) else {
            return;
        };
        let stream = request.stream;
        self.bytes_in_flight -= request.bytes;
        self.waits_for_room = false;
        let Some(state) = self.streams.get_mut(stream.0) else {
            return;
        };
        let times = Times {
            started: request.started,
            ended: now,
        };
        let mut turn = Turn::new(now, &self.flushes, &mut self.out);
        turn.out.measures.answered(&state.name, &request.entries, times);
        let answer = match answer {
            Err(error) if self.keeps_trying => Err(state.may_pass(error, now)),
            answer => answer,
        };
        state.judge(request, answer, times, &mut turn);
        state.follow_mode(&mut turn);
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
        let told = state.shards.failed.as_ref().map(|error| error.class.is_final());
        let mut turn = Turn::new(now, &self.flushes, &mut self.out);
        let interval = self.options.shard_refresh_interval;
        if state.shards.listed(answer, now, interval, &mut self.random) {
            state.route_anew(&mut turn);
        }
        state.judge_unjudged(&mut turn);
        state.follow_mode(&mut turn);
        self.settle(stream, now);
        self.tell_of_listing(stream, told);
    }

    /// Logs that shards cannot be listed: as a warning once, until they can be listed again. `told` is whether the
    /// previous error, if there was one, was final.
    fn tell_of_listing(&self, id: StreamId, told: Option<bool>) {
        let Some(stream) = self.streams.get(id.0) else {
            return;
        };
        let Some(error) = &stream.shards.failed else {
            return;
        };
        if told == Some(error.class.is_final()) {
            tracing::debug!(stream = %stream.name, %error, "shards cannot be listed");
            return;
        }
        match self.state(id) {
            StreamState::Predicted | StreamState::Auto => {
                tracing::warn!(stream = %stream.name, %error, "shards cannot be listed: the last list is used");
            }
            state => tracing::warn!(stream = %stream.name, "{state}"),
        }
    }

    /// Requests [`Output::Flushed`] for when everything that was accepted before has its outcome. None of those records
    /// waits for others any longer.
    pub fn flush(&mut self, now: Instant) -> FlushId {
        let id = self.flushes.start();
        let streams: Vec<usize> = self.requests.all().collect();
        for index in streams {
            if let Some(stream) = self.streams.get_mut(index) {
                stream.hurry(&Turn::new(now, &self.flushes, &mut self.out));
            }
            self.reschedule(StreamId(index), now);
        }
        self.report_flushed();
        id
    }

    /// Gives up everything: each record that does not have an outcome yet fails as closed. If a record is in a request,
    /// its outcome includes that attempt, with the error `Closed`.
    pub fn abandon(&mut self, now: Instant) {
        let closed = Arc::new(AttemptError::closed());
        let mut records = Vec::new();
        self.bytes_in_flight = 0;
        self.waits_for_room = false;
        for (id, request) in std::mem::take(&mut self.in_flight) {
            self.out.outputs.push_back(Output::Cancel { id });
            let times = Times {
                started: request.started,
                ended: now,
            };
            for mut held in request.entries.into_iter().flat_map(|entry| entry.records) {
                held.give_up_in_flight(times, &closed);
                records.push((request.stream, held));
            }
        }
        for (index, stream) in self.streams.iter_mut().enumerate() {
            records.extend(stream.drain(&closed).into_iter().map(|held| (StreamId(index), held)));
            stream.pending = 0;
        }
        records.sort_by_key(|(_, held)| held.number);
        let mut turn = Turn::new(now, &self.flushes, &mut self.out);
        for (stream, held) in records {
            if let Some(stream) = self.streams.get(stream.0) {
                turn.fail(&stream.name, held, FailureReason::Closed);
            }
        }
        self.count_resolved();
        for index in 0..self.streams.len() {
            self.reschedule(StreamId(index), now);
        }
    }

    /// Returns what to do now. Call it until it returns `None`: after each call of another method, and when
    /// [`wake_at`](Self::wake_at) says so.
    pub fn poll(&mut self, now: Instant) -> Option<Output<H>> {
        if self.out.outputs.is_empty() {
            self.advance(now);
        }
        self.out.outputs.pop_front()
    }

    /// Returns when to call [`poll`](Self::poll) again if nothing happens before. A time in the past means now.
    #[must_use]
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        if !self.out.outputs.is_empty() {
            return Some(now);
        }
        let request = if self.has_connection() {
            self.requests.first()
        } else {
            None
        };
        let wanted = [request, self.timers.first()].into_iter().flatten().map(|(at, _)| at);
        let request = self.in_flight.first_key_value().map(|(_, request)| request.started);
        let listing = self.listings.first_key_value().map(|(_, (_, started))| *started);
        let oldest = request.into_iter().chain(listing).min();
        let timeout = oldest.map(|started| clock::after(started, self.options.request_timeout));
        wanted.chain(timeout).min()
    }

    /// Returns how many records do not have an outcome yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.flushes.pending()
    }

    /// Returns what was measured since the last call. The first call returns nothing, since nothing is kept before it.
    pub fn take_measures(&mut self) -> Vec<Measure> {
        self.out.measures.take()
    }

    fn advance(&mut self, now: Instant) {
        self.time_out(now);
        let streams: Vec<usize> = self.timers.due(now).collect();
        for index in streams {
            if let Some(stream) = self.streams.get_mut(index) {
                let mut turn = Turn::new(now, &self.flushes, &mut self.out);
                stream.sweep(&mut turn);
                if stream.shards.start_listing(now) {
                    let stream = Arc::clone(&stream.name);
                    let id = self.next_id();
                    self.listings.insert(id, (StreamId(index), now));
                    self.out.outputs.push_back(Output::ListShards { id, stream });
                }
            }
            self.settle(StreamId(index), now);
        }
        self.make_requests(now);
    }

    fn has_connection(&self) -> bool {
        self.in_flight.len() < self.options.max_connections && !self.waits_for_room
    }

    /// Makes requests: the stream that has waited longest is the first.
    fn make_requests(&mut self, now: Instant) {
        let most = (self.options.max_buffered_bytes / BUDGET_PER_BYTE_IN_FLIGHT).max(1);
        while self.has_connection()
            && let Some(first) = self.requests.first().filter(|(at, _)| *at <= now)
        {
            let (_, index) = first;
            let Some(stream) = self.streams.get_mut(index) else {
                return;
            };
            let mut turn = Turn::new(now, &self.flushes, &mut self.out);
            let room = most.saturating_sub(self.bytes_in_flight);
            let request = stream.request(room, self.in_flight.is_empty(), &mut turn);
            let name = Arc::clone(&stream.name);
            self.settle(StreamId(index), now);
            let Some(request) = request else {
                if self.requests.first() != Some(first) {
                    // It had nothing to send after all.
                    continue;
                }
                // It needs more room than there is, or none of its records can be packed.
                self.waits_for_room = !self.in_flight.is_empty();
                return;
            };
            let id = self.next_id();
            let bytes = request.entries.iter().map(|entry| entry.size).sum();
            self.bytes_in_flight += bytes;
            self.out.outputs.push_back(Output::PutRecords {
                id,
                stream: name,
                entries: request.sealed,
            });
            let in_flight = InFlight {
                stream: StreamId(index),
                entries: request.entries,
                suspect: request.suspect,
                started: now,
                bytes,
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
        let is_late = |started: Instant| clock::after(started, timeout) <= now;
        while let Some((id, _)) = self
            .in_flight
            .first_key_value()
            .filter(|(_, request)| is_late(request.started))
        {
            let id = *id;
            self.out.outputs.push_back(Output::Cancel { id });
            self.answered(id, Err(RequestError::timed_out(timeout)), now);
        }
        while let Some((id, _)) = self
            .listings
            .first_key_value()
            .filter(|(_, (_, started))| is_late(*started))
        {
            let id = *id;
            self.out.outputs.push_back(Output::Cancel { id });
            self.listed(id, Err(RequestError::timed_out(timeout)), now);
        }
    }

    /// Processes the results of a stream's turn, except for its outputs.
    fn settle(&mut self, stream: StreamId, now: Instant) {
        let resolved = self.out.resolved.iter().map(|(_, count)| count).sum();
        if let (Some(state), 1..) = (self.streams.get_mut(stream.0), resolved) {
            state.pending = state.pending.saturating_sub(resolved);
            let pending = state.pending as f64;
            self.out.measures.add(UserRecordsPending, &state.name, pending);
        }
        self.count_resolved();
        self.reschedule(stream, now);
    }

    /// Finds out anew when a stream has something to do.
    fn reschedule(&mut self, stream: StreamId, now: Instant) {
        if let Some(state) = self.streams.get(stream.0) {
            self.requests.set(stream.0, state.request_at(now));
            self.timers.set(stream.0, state.timer_at());
        }
    }

    fn count_resolved(&mut self) {
        for (flush, count) in self.out.resolved.drain(..) {
            self.flushes.resolved(flush, count);
        }
        self.report_flushed();
    }

    fn report_flushed(&mut self) {
        while let Some(id) = self.flushes.take_done() {
            self.out.outputs.push_back(Output::Flushed { id });
        }
    }
}

impl<H> fmt::Debug for Pipeline<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("streams", &self.names)
            .field("pending", &self.pending())
            .field("in_flight", &self.in_flight.len())
            .finish_non_exhaustive()
    }
}
