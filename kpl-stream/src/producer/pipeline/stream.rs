//! One stream: where its records are, from acceptance to their outcome.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kpl_core::AggregateError;

use super::lane::{Lane, MAX_BYTES_PER_REQUEST};
use super::limiter::Limiter;
use super::pack::Packer;
use super::record::{EncodedRecord, Entry, Held, Times};
use super::request::Apart;
use super::request_size::RequestSize;
use super::schedule::Schedule;
use super::shards::{Mode, Shards};
use super::turn::Turn;
use super::waiting::{Waiting, insert};
use crate::client::Written;
use crate::clock;
use crate::producer::options::Options;
use crate::producer::outcome::{AttemptError, FailureReason};

/// How precisely times to live are enforced.
const SWEPT_AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// How many hash keys are computed together. More would hardly be faster.
const HASHED_TOGETHER: usize = 64;

#[derive(Debug)]
pub(super) struct Stream<H> {
    pub(super) name: Arc<str>,
    pub(super) options: Arc<Options>,
    pub(super) packer: Packer,
    pub(super) shards: Shards,
    /// The mode that the lanes were made for.
    routed: Mode,
    pub(super) lanes: Vec<Lane>,
    next_lane: u64,
    pub(super) waiting: Waiting<H>,
    /// When each lane should send something.
    pub(super) due: Schedule,
    /// When each lane that holds a complete Kinesis record may send it.
    pub(super) full: Schedule,
    /// How many complete Kinesis records wait in all lanes.
    full_count: usize,
    /// Records that were accepted before anything was known about the shards.
    unrouted: VecDeque<Held<H>>,
    /// Entries that were written to a shard that the map does not contain: the next map judges them.
    pub(super) unjudged: Vec<Unjudged<H>>,
    /// Parts of refused requests, each to be sent in a request of its own. The first is next.
    pub(super) apart: VecDeque<Apart<H>>,
    pub(super) request_size: RequestSize,
    /// Records without an outcome.
    pub(super) pending: usize,
    /// How many requests of one entry were refused since a request was accepted.
    pub(super) refusals: u32,
    pub(super) random: Rng,
    /// No record that waits arrived before this. `None` if none waits.
    oldest: Option<Instant>,
    swept: Instant,
}

#[derive(Debug)]
pub(super) struct Unjudged<H> {
    pub(super) entry: Entry<H>,
    pub(super) written: Written,
    pub(super) times: Times,
}

impl<H> Stream<H> {
    pub(super) fn new(name: Arc<str>, options: Arc<Options>, packer: Packer, random: Rng, now: Instant) -> Self {
        Self {
            name,
            packer,
            shards: Shards::new(now),
            routed: Mode::Waiting,
            lanes: Vec::new(),
            next_lane: 0,
            waiting: Waiting::new(options.ordered),
            due: Schedule::default(),
            full: Schedule::default(),
            full_count: 0,
            unrouted: VecDeque::new(),
            unjudged: Vec::new(),
            apart: VecDeque::new(),
            request_size: RequestSize::new(options.collection_max_size),
            pending: 0,
            refusals: 0,
            random,
            oldest: None,
            swept: now,
            options,
        }
    }

    /// Adds records to the lanes of their shards.
    pub(super) fn route_all(&mut self, records: &mut impl Iterator<Item = Held<H>>, turn: &mut Turn<'_, H>) {
        if !self.has_keys_to_hash() {
            return records.for_each(|held| self.route(held, turn));
        }
        let mut some: Vec<Held<H>> = Vec::new();
        loop {
            some.extend(records.by_ref().take(HASHED_TOGETHER));
            if some.is_empty() {
                return;
            }
            let lanes = self.lanes_for(&some);
            for (held, lane) in some.drain(..).zip(lanes) {
                self.route_to(lane, held, turn);
            }
        }
    }

    /// Adds a record to the lane of its shard, in the order of acceptance.
    pub(super) fn route(&mut self, held: Held<H>, turn: &mut Turn<'_, H>) {
        let lane = self.lane_for(&held);
        self.route_to(lane, held, turn);
    }

    fn route_to(&mut self, lane: usize, mut held: Held<H>, turn: &mut Turn<'_, H>) {
        // Most have just arrived.
        if held.arrived < turn.now && held.expires(&self.options) <= turn.now {
            return self.expire(held, turn);
        }
        self.oldest = Some(self.oldest.map_or(held.arrived, |oldest| oldest.min(held.arrived)));
        let state = self.lanes.get(lane).filter(|_| self.shards.mode() != Mode::Waiting);
        let Some(grows_at) = state.map(|state| state.grows_at) else {
            return insert(&mut self.unrouted, held);
        };
        held.lane = lane;
        let (is_new, size) = (held.failed.is_none(), held.record.size());
        self.waiting.push(held);
        // A newer record is not the next to go, so it changes nothing, unless there is enough now.
        let (bytes, count) = (self.waiting.bytes(lane), self.waiting.count(lane));
        if bytes <= size || bytes >= grows_at.bytes || count >= grows_at.records || !is_new {
            self.reschedule(lane, turn);
        }
    }

    /// Returns the lane that a record belongs to, if there are any.
    pub(super) fn lane_for(&self, held: &Held<H>) -> usize {
        match self.shards.mode() {
            Mode::Predicted => self.shards.index_with(|| held.record.hash_key()),
            Mode::Waiting | Mode::Unpredicted | Mode::Auto => 0,
        }
    }

    /// Returns the lanes that records belong to.
    fn lanes_for(&self, records: &[Held<H>]) -> Vec<usize> {
        if !self.has_keys_to_hash() {
            return vec![0; records.len()];
        }
        let hash_keys = EncodedRecord::hash_keys(records.iter().map(|held| &held.record));
        let lane = |hash_key| self.shards.index_with(|| hash_key);
        hash_keys.into_iter().map(lane).collect()
    }

    /// Returns whether the lane of a record depends on its key.
    fn has_keys_to_hash(&self) -> bool {
        self.lanes.len() > 1 && self.shards.mode() == Mode::Predicted
    }

    /// Returns when a record should be sent. One that was sent before, or that a flush waits for, does not wait for
    /// others to be sent with.
    pub(super) fn due_at(&self, held: &Held<H>, turn: &Turn<'_, H>) -> Instant {
        if held.failed.is_some() || held.flush < turn.next_flush {
            held.arrived
        } else {
            clock::after(held.arrived, self.options.record_max_buffered_time)
        }
    }

    /// Finds out anew when a lane wants to send something.
    pub(super) fn reschedule(&mut self, lane: usize, turn: &Turn<'_, H>) {
        let (bytes, complete) = (self.waiting.bytes(lane), self.packer.full_size());
        let full = self.packer.count_full(bytes, self.waiting.count(lane));
        let due = self.waiting.front(lane).map(|front| {
            if bytes >= MAX_BYTES_PER_REQUEST.max(complete) {
                front.arrived
            } else {
                self.due_at(front, turn)
            }
        });
        let Some(state) = self.lanes.get_mut(lane) else { return };
        self.full_count = self.full_count + full - state.full;
        state.full = full;
        state.grows_at = self.packer.next_full(full);
        if bytes < MAX_BYTES_PER_REQUEST {
            state.grows_at.bytes = state.grows_at.bytes.min(MAX_BYTES_PER_REQUEST);
        }
        let free = state.free_at();
        self.due.set(lane, due.zip(free).map(|(due, free)| due.max(free)));
        self.full.set(lane, free.filter(|_| full > 0));
    }

    /// Returns whether the lanes together hold enough for a request, so that it is sent before it is due.
    pub(super) fn has_enough(&self) -> bool {
        self.full_count >= self.options.collection_max_count
            || self.full_count.saturating_mul(self.packer.full_size()) >= self.request_size.limit()
    }

    /// Fails a record with an error that should have been ruled out when the record was accepted.
    pub(super) fn refuse(&mut self, held: Held<H>, error: &AggregateError, turn: &mut Turn<'_, H>) {
        self.fail(held, FailureReason::Refused(Arc::new(error.into())), turn);
    }

    fn expire(&mut self, held: Held<H>, turn: &mut Turn<'_, H>) {
        let last = held.failed.as_ref().map(|failed| failed.last_error());
        let listing = || self.shards.failed.clone().map(|error| Arc::new(error.into()));
        let reason = FailureReason::Expired(last.or_else(listing));
        self.fail(held, reason, turn);
    }

    /// Fails a record that is not in flight.
    fn fail(&mut self, held: Held<H>, reason: FailureReason, turn: &mut Turn<'_, H>) {
        let lane = self.waiting.forget(&held);
        turn.fail(&self.name, held, reason);
        if let Some(lane) = lane {
            self.reschedule(lane, turn);
        }
    }

    /// Fails a record that is in flight.
    pub(super) fn fail_in_flight(&mut self, held: Held<H>, reason: FailureReason, turn: &mut Turn<'_, H>) {
        self.land(&held, turn);
        turn.fail(&self.name, held, reason);
    }

    /// Notes that a record is no longer in flight: the next ones of its key may be sent.
    pub(super) fn land(&mut self, held: &Held<H>, turn: &Turn<'_, H>) {
        if let Some(lane) = self.waiting.unlock(held) {
            self.reschedule(lane, turn);
        }
    }

    /// Takes back records that were in flight, to be sent again before all later ones.
    pub(super) fn come_back(&mut self, records: Vec<Held<H>>, turn: &mut Turn<'_, H>) {
        let lanes = self.lanes_for(&records);
        // The newest first, so that each goes to the front.
        for (held, lane) in records.into_iter().zip(lanes).rev() {
            let waited = self.waiting.unlock(&held);
            self.route_to(lane, held, turn);
            // Its key may have been next in another lane until it came back.
            if let Some(waited) = waited {
                self.reschedule(waited, turn);
            }
        }
    }

    /// Routes records again if answers showed that they find their shards in another way.
    pub(super) fn follow_mode(&mut self, turn: &mut Turn<'_, H>) {
        if self.shards.mode() != self.routed {
            self.route_anew(turn);
        }
    }

    /// Routes all records that are not in flight again: the shard map changed.
    pub(super) fn route_anew(&mut self, turn: &mut Turn<'_, H>) {
        let rate = f64::from(self.options.rate_limit) / 100.0;
        let mode = self.shards.mode();
        self.routed = mode;
        self.packer.set_mode(mode);
        let ids: Vec<Option<Arc<str>>> = match mode {
            Mode::Waiting => Vec::new(),
            Mode::Unpredicted | Mode::Auto => vec![None],
            Mode::Predicted => self.shards.ids().iter().cloned().map(Some).collect(),
        };
        let shards = if mode == Mode::Auto { self.shards.ids().len() } else { 1 };
        let lane = |(number, id)| Lane::new(number, id, Limiter::new(rate, shards as f64, turn.now));
        let lanes: Vec<Lane> = (self.next_lane..).zip(ids).map(lane).collect();
        self.next_lane += lanes.len() as u64;
        let mut records = self.waiting.drain();
        self.waiting.set_lanes(lanes.len());
        // A shard that stays keeps what was learned about it.
        for before in std::mem::replace(&mut self.lanes, lanes) {
            let lane = before.shard_id.as_ref().and_then(|id| self.shards.place_of(id));
            let lane = lane.and_then(|lane| self.lanes.get_mut(lane));
            if let Some(lane) = lane.filter(|lane| lane.shard_id == before.shard_id) {
                lane.succeed(before);
            }
        }
        (self.due, self.full, self.full_count) = (Schedule::default(), Schedule::default(), 0);
        records.extend(self.unrouted.drain(..));
        records.sort_unstable_by_key(|held| held.number);
        self.route_all(&mut records.into_iter(), turn);
    }

    /// Returns the lane that an entry was sent through, if it is still there.
    pub(super) fn lane_of(&self, entry: &Entry<H>) -> Option<usize> {
        let place = entry.shard_id.as_ref().map_or(Some(0), |id| self.shards.place_of(id))?;
        let lane = self.lanes.get(place)?;
        (Some(lane.number) == entry.lane).then_some(place)
    }

    /// Gives up the records whose time to live has ended.
    pub(super) fn sweep(&mut self, turn: &mut Turn<'_, H>) {
        let now = turn.now;
        if self.next_sweep().is_none_or(|at| at > now) {
            return;
        }
        self.swept = now;
        let options = Arc::clone(&self.options);
        let is_over = |held: &Held<H>| held.expires(&options) <= now;
        let mut over = Vec::new();
        while self.unrouted.front().is_some_and(is_over) {
            over.extend(self.unrouted.pop_front());
        }
        over.extend(self.waiting.take_oldest(is_over));
        if !over.is_empty() {
            for held in over {
                self.expire(held, turn);
            }
            for lane in 0..self.lanes.len() {
                self.reschedule(lane, turn);
            }
        }
        let oldest = self.waiting.oldest().into_iter().chain(self.unrouted.front());
        self.oldest = oldest.map(|held| held.arrived).min();
    }

    fn next_sweep(&self) -> Option<Instant> {
        let expires = clock::after(self.oldest?, self.options.record_ttl);
        Some(expires.max(self.swept + SWEPT_AT_MOST_EVERY))
    }

    /// Makes everything due that a flush waits for.
    pub(super) fn hurry(&mut self, turn: &Turn<'_, H>) {
        let lanes: Vec<usize> = self.due.later(turn.now).collect();
        for lane in lanes {
            self.reschedule(lane, turn);
        }
    }

    /// Returns when this stream has something to do other than to send a request.
    pub(super) fn timer_at(&self) -> Option<Instant> {
        self.next_sweep().into_iter().chain(self.shards.next_listing()).min()
    }

    /// Takes out everything that is not in a request.
    pub(super) fn drain(&mut self, closed: &Arc<AttemptError>) -> Vec<Held<H>> {
        let mut records = self.waiting.drain();
        records.extend(self.unrouted.drain(..));
        records.extend(self.apart.drain(..).flat_map(|apart| apart.groups).flatten());
        for unjudged in self.unjudged.drain(..) {
            records.extend(unjudged.entry.records.into_iter().map(|mut held| {
                held.give_up_in_flight(unjudged.times, closed);
                held
            }));
        }
        (self.due, self.full, self.full_count) = (Schedule::default(), Schedule::default(), 0);
        self.lanes.iter_mut().for_each(|lane| lane.full = 0);
        records
    }
}
