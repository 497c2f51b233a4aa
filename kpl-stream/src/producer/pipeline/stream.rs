//! One stream: its records from acceptance to the request that contains them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::{AggregateError, SealedRecord, UnsealedRecord, seal_all};

use super::lane::{Aggregators, Lane, MAX_BYTES_PER_REQUEST, pack_all};
use super::order::Order;
use super::record::{Entry, Held, Times};
use super::request_size::{RequestSize, Suspect};
use super::shards::{Mode, Shards};
use super::turn::Turn;
use crate::client::Written;
use crate::producer::options::Options;
use crate::producer::outcome::{AttemptError, FailureReason};

/// How precisely times to live are enforced.
const SWEPT_AT_MOST_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Stream<H> {
    pub(super) name: Arc<str>,
    pub(super) options: Arc<Options>,
    aggregators: Arc<Aggregators>,
    pub(super) shards: Shards,
    lanes: Vec<Lane<H>>,
    /// The lane that the next request starts with.
    first_lane: usize,
    /// Records that were accepted before anything was known about the shards.
    unrouted: VecDeque<Held<H>>,
    pub(super) order: Option<Order<H>>,
    /// Entries that were written to a shard that the map does not contain: the next map judges them.
    pub(super) unjudged: Vec<Unjudged<H>>,
    /// Parts of refused requests, each to be sent in a request of its own. The first is next.
    apart: VecDeque<Apart<H>>,
    pub(super) request_size: RequestSize,
    /// Records without an outcome.
    pub(super) pending: usize,
    /// How many requests of one entry were refused since a request was accepted.
    pub(super) refusals: u32,
    /// No record expires before this. `None` if there is no record.
    expires: Option<Instant>,
    swept: Instant,
}

#[derive(Debug)]
pub(super) struct Unjudged<H> {
    pub(super) entry: Entry<H>,
    pub(super) written: Written,
    pub(super) times: Times,
}

/// The records of some entries of a refused request.
#[derive(Debug)]
pub(super) struct Apart<H> {
    pub(super) groups: Vec<Vec<Held<H>>>,
    pub(super) suspect: Option<Arc<Suspect>>,
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub(super) struct Request<H> {
    pub(super) sealed: Vec<SealedRecord>,
    pub(super) entries: Vec<Entry<H>>,
    pub(super) suspect: Option<Arc<Suspect>>,
}

impl<H> Stream<H> {
    pub(super) fn new(name: Arc<str>, options: Arc<Options>, aggregators: Arc<Aggregators>, now: Instant) -> Self {
        Self {
            name,
            shards: Shards::new(now),
            lanes: Vec::new(),
            first_lane: 0,
            unrouted: VecDeque::new(),
            order: options.ordered.then(Order::default),
            unjudged: Vec::new(),
            apart: VecDeque::new(),
            request_size: RequestSize::new(options.collection_max_size),
            pending: 0,
            refusals: 0,
            expires: None,
            swept: now,
            aggregators,
            options,
        }
    }

    /// Routes a record to the aggregate of its shard, where it may wait for others for `wait`.
    pub(super) fn route(&mut self, held: Held<H>, wait: Duration, turn: &mut Turn<'_, H>) {
        if held.expires <= turn.now {
            return self.expire(held, turn);
        }
        let due = turn.due(&held, wait);
        self.expires = Some(self.expires.map_or(held.expires, |expires| expires.min(held.expires)));
        let index = match self.shards.mode() {
            Mode::Waiting => {
                self.unrouted.push_back(held);
                return;
            }
            Mode::Unpredicted | Mode::Auto => 0,
            Mode::Predicted => self.shards.index_of(held.record.hash_key()),
        };
        let Some(lane) = self.lanes.get_mut(index) else {
            self.unrouted.push_back(held);
            return;
        };
        let mut refused = Vec::new();
        match &mut self.order {
            None => lane.push(held, due, &mut refused, |_| ()),
            Some(order) => {
                if is_large(&held, &self.options) {
                    // It is sent alone, and must not overtake what is in the open aggregate.
                    lane.seal_open(|records| records.iter().for_each(|held| order.lock(held)));
                }
                if let Some(held) = order.enter(held, index) {
                    let mut got_full = false;
                    lane.push(held, due, &mut refused, |records| {
                        got_full = true;
                        records.iter().for_each(|held| order.lock(held));
                    });
                    if got_full
                        && lane
                            .open()
                            .is_some_and(|last| order.is_locked(last.record.partition_key()))
                    {
                        lane.take_back().into_iter().for_each(|held| order.back(held));
                    }
                }
            }
        }
        for (held, error) in refused {
            self.refuse(held, &error, turn);
        }
    }

    /// Returns how long records wait for others if they have waited before.
    pub(super) fn shorter_wait(&self) -> Duration {
        self.options.record_max_buffered_time / 2
    }

    /// Fails a record with an error that should have been ruled out when the record was accepted.
    fn refuse(&mut self, held: Held<H>, error: &AggregateError, turn: &mut Turn<'_, H>) {
        if let Some(order) = &mut self.order {
            order.leave_open(held.record.partition_key());
        }
        self.fail(held, FailureReason::Refused(Arc::new(error.into())), turn);
    }

    fn expire(&mut self, held: Held<H>, turn: &mut Turn<'_, H>) {
        let last = held.attempts.last.as_ref().and_then(|attempt| attempt.error.clone());
        let listing = || self.shards.failed.clone().map(|error| Arc::new(error.into()));
        let reason = FailureReason::Expired(last.or_else(listing));
        self.fail(held, reason, turn);
    }

    /// Fails a record that is not locked. It holds back no other, but a record behind it may now be the first.
    fn fail(&mut self, held: Held<H>, reason: FailureReason, turn: &mut Turn<'_, H>) {
        let partition_key = self.key_if_ordered(&held);
        turn.fail(&self.name, held, reason);
        turn.out.let_in.extend(partition_key);
    }

    /// Fails a record that is locked.
    pub(super) fn fail_locked(&mut self, held: Held<H>, reason: FailureReason, turn: &mut Turn<'_, H>) {
        let partition_key = self.key_if_ordered(&held);
        turn.fail(&self.name, held, reason);
        self.unlock(partition_key, turn);
    }

    /// Returns the partition key, if order is kept.
    pub(super) fn key_if_ordered(&self, held: &Held<H>) -> Option<Box<str>> {
        self.order.is_some().then(|| held.record.partition_key().into())
    }

    /// Notes that a locked record has an outcome: the next ones of its key may be sent.
    pub(super) fn unlock(&mut self, partition_key: Option<Box<str>>, turn: &mut Turn<'_, H>) {
        if let (Some(order), Some(partition_key)) = (&mut self.order, &partition_key) {
            order.unlock(partition_key);
            self.let_in(partition_key, turn);
        }
    }

    fn let_in(&mut self, partition_key: &str, turn: &mut Turn<'_, H>) {
        while let Some(held) = self.order.as_mut().and_then(|order| order.next(partition_key)) {
            let number = held.number;
            self.route(held, self.shorter_wait(), turn);
            // It is waiting again, in its old place.
            let waits = |order: &Order<H>| order.waits(partition_key, number);
            if self.order.as_ref().is_some_and(waits) {
                break;
            }
        }
    }

    /// Lets in the records that waited for others that expired.
    pub(super) fn let_in_all(&mut self, turn: &mut Turn<'_, H>) {
        while let Some(partition_key) = turn.out.let_in.pop() {
            self.let_in(&partition_key, turn);
        }
    }

    /// Takes records back for another attempt; they may wait for others for `wait`.
    pub(super) fn come_back(&mut self, records: Vec<Held<H>>, wait: Duration, turn: &mut Turn<'_, H>) {
        let mut keys = Vec::new();
        if let Some(order) = &mut self.order {
            for held in &records {
                order.unlock(held.record.partition_key());
                keys.push(held.record.partition_key().into());
            }
        }
        for held in records {
            self.route(held, wait, turn);
        }
        turn.out.let_in.extend(keys);
        self.let_in_all(turn);
    }

    /// Routes all records that are not in flight again: the shard map changed.
    pub(super) fn route_anew(&mut self, turn: &mut Turn<'_, H>) {
        let rate = f64::from(self.options.rate_limit) / 100.0;
        let mode = self.shards.mode();
        let ids: Vec<Option<Arc<str>>> = match mode {
            Mode::Waiting => Vec::new(),
            Mode::Unpredicted | Mode::Auto => vec![None],
            Mode::Predicted => self.shards.ids().iter().cloned().map(Some).collect(),
        };
        let rate = if mode == Mode::Auto {
            rate * self.shards.ids().len() as f64
        } else {
            rate
        };
        let lanes = ids
            .into_iter()
            .map(|id| Lane::new(id, &self.aggregators, mode, rate, turn.now))
            .collect();
        let mut before = std::mem::replace(&mut self.lanes, lanes);
        // A shard that stays keeps what was learned about its limits.
        for lane in &mut self.lanes {
            if let Some(same) = before
                .iter()
                .find(|other| other.shard_id == lane.shard_id && lane.shard_id.is_some())
            {
                lane.limiter = same.limiter.clone();
            }
        }
        let mut records: Vec<Held<H>> = Vec::new();
        for lane in &mut before {
            records.extend(self.dissolve(lane));
        }
        records.extend(self.unrouted.drain(..));
        records.sort_by_key(|held| held.number);
        for held in records {
            self.route(held, self.shorter_wait(), turn);
        }
        self.let_in_all(turn);
    }

    fn dissolve(&mut self, lane: &mut Lane<H>) -> Vec<Held<H>> {
        let locked = lane.full_records();
        let records: Vec<Held<H>> = lane.dissolve().collect();
        if let Some(order) = &mut self.order {
            for (index, held) in records.iter().enumerate() {
                if index < locked {
                    order.unlock(held.record.partition_key());
                } else {
                    order.leave_open(held.record.partition_key());
                }
            }
        }
        records
    }

    /// Gives up the records whose time to live has ended.
    pub(super) fn sweep(&mut self, turn: &mut Turn<'_, H>) {
        let now = turn.now;
        if self.next_sweep().is_none_or(|at| at > now) {
            return;
        }
        self.swept = now;
        let is_over = |held: &Held<H>| held.expires <= now;
        let (over, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unrouted).into_iter().partition(is_over);
        self.unrouted = stay.into();
        let waiting = self
            .order
            .as_mut()
            .map_or_else(Vec::new, |order| order.take_waiting(is_over));
        for held in over.into_iter().chain(waiting) {
            self.expire(held, turn);
        }
        let mut lanes = std::mem::take(&mut self.lanes);
        let mut again = Vec::new();
        for lane in lanes.iter_mut().filter(|lane| lane.held().any(is_over)) {
            let due = lane.wants_at(now).unwrap_or(now);
            let wait = due.saturating_duration_since(now);
            again.extend(self.dissolve(lane).into_iter().map(|held| (held, wait)));
        }
        self.lanes = lanes;
        for (held, wait) in again {
            self.route(held, wait, turn);
        }
        self.let_in_all(turn);
        let waiting = self.order.iter().flat_map(Order::waiting);
        let held = self
            .lanes
            .iter()
            .flat_map(Lane::held)
            .chain(&self.unrouted)
            .chain(waiting);
        self.expires = held.map(|held| held.expires).min();
    }

    fn next_sweep(&self) -> Option<Instant> {
        Some(self.expires?.max(self.swept + SWEPT_AT_MOST_EVERY))
    }

    /// Makes everything due now.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.lanes.iter_mut().for_each(|lane| lane.hurry(now));
    }

    /// Slows down the lane of a shard that had no room.
    pub(super) fn throttled(&mut self, shard_id: Option<&Arc<str>>, now: Instant) {
        for lane in &mut self.lanes {
            if lane.shard_id.as_ref() == shard_id {
                lane.limiter.throttled(now);
            }
        }
    }

    /// Returns when this stream has something to do. Requests count only if there is a connection for them.
    pub(super) fn wake_at(&self, connection: bool, now: Instant) -> Option<Instant> {
        let request = if connection { self.request_at(now) } else { None };
        [request, self.next_sweep(), self.shards.next_listing()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns when the next request should be sent.
    fn request_at(&self, now: Instant) -> Option<Instant> {
        if !self.apart.is_empty() {
            return Some(now);
        }
        let (mut count, mut bytes) = (0, 0);
        let (mut at, mut free): (Option<Instant>, Option<Instant>) = (None, None);
        for lane in &self.lanes {
            let full = lane.full();
            count += full.0;
            bytes += full.1;
            at = at.into_iter().chain(lane.wants_at(now)).min();
            if full.0 > 0 {
                free = free.into_iter().chain([lane.limiter.free_at()]).min();
            }
        }
        let enough = count >= self.options.collection_max_count || bytes >= self.request_size.limit();
        if enough { at.into_iter().chain(free).min() } else { at }
    }

    /// Sends these parts of a refused request next, in this order.
    pub(super) fn set_apart(&mut self, parts: Vec<Apart<H>>) {
        for part in parts.into_iter().rev() {
            self.apart.push_front(part);
        }
    }

    /// Returns the next request, if it is time for one.
    pub(super) fn request(&mut self, turn: &mut Turn<'_, H>) -> Option<Request<H>> {
        let now = turn.now;
        self.request_size.grow(now);
        if let Some(apart) = self.apart.pop_front() {
            return self.request_apart(apart, turn);
        }
        if self.request_at(now).is_none_or(|at| at > now) {
            return None;
        }
        let (mut room, mut unsealed, mut entries) = (self.request_size.limit(), Vec::new(), Vec::new());
        let lanes = self.lanes.len();
        for index in (self.first_lane..lanes).chain(0..self.first_lane.min(lanes)) {
            let Some(lane) = self.lanes.get_mut(index) else {
                continue;
            };
            let mut of_lane = 0;
            while entries.len() < self.options.collection_max_count && of_lane < MAX_BYTES_PER_REQUEST {
                if lane.is_open_due(now) && lane.full().0 == 0 && lane.limiter.free_at() <= now {
                    lane.seal_open(|records| {
                        if let Some(order) = &mut self.order {
                            records.iter().for_each(|held| order.lock(held));
                        }
                    });
                }
                // A record that is larger than a request should be is sent alone.
                let room_now = if entries.is_empty() { usize::MAX } else { room };
                let Some(packed) = lane.take_full(room_now, now) else {
                    break;
                };
                let size = packed.unsealed.size();
                room = room.saturating_sub(size);
                of_lane += size;
                entries.push(entry(lane.shard_id.clone(), &packed.unsealed, packed.records));
                unsealed.push(packed.unsealed);
            }
            self.first_lane = index + 1;
            if entries.len() >= self.options.collection_max_count || room == 0 {
                break;
            }
        }
        if entries.is_empty() {
            return None;
        }
        Some(Request {
            sealed: seal_all(unsealed),
            entries,
            suspect: None,
        })
    }

    /// Returns a request for a part of a refused one.
    fn request_apart(&mut self, apart: Apart<H>, turn: &mut Turn<'_, H>) -> Option<Request<H>> {
        let Apart { groups, mut suspect } = apart;
        let mode = self.shards.mode();
        let mut packer = self.aggregators.empty(mode);
        let (mut unsealed, mut entries, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups {
            let mut by_lane: Vec<(usize, Vec<Held<H>>)> = Vec::new();
            for held in group {
                let lane = if mode == Mode::Predicted {
                    self.shards.index_of(held.record.hash_key())
                } else {
                    0
                };
                match by_lane.iter_mut().find(|(index, _)| *index == lane) {
                    Some((_, records)) => records.push(held),
                    None => by_lane.push((lane, vec![held])),
                }
            }
            for (index, records) in by_lane {
                for (packed, records) in pack_all(&mut packer, &self.aggregators, records, &mut refused) {
                    let lane = self.lanes.get_mut(index);
                    let shard_id = lane.as_ref().and_then(|lane| lane.shard_id.clone());
                    if let Some(lane) = lane {
                        lane.limiter.force(packed.size());
                    }
                    entries.push(entry(shard_id, &packed, records));
                    unsealed.push(packed);
                }
            }
        }
        for (held, error) in refused {
            self.fail_locked(held, FailureReason::Refused(Arc::new((&error).into())), turn);
        }
        // If the shards changed, there may be more entries, and they may be larger.
        let fit = self.fit(&entries);
        unsealed.truncate(fit);
        let rest = entries.split_off(fit);
        if !rest.is_empty() {
            suspect = None;
            self.apart.push_front(Apart {
                groups: rest.into_iter().map(|entry| entry.records).collect(),
                suspect: None,
            });
        }
        (!entries.is_empty()).then(|| Request {
            sealed: seal_all(unsealed),
            entries,
            suspect,
        })
    }

    /// Returns how many of these entries fit in one request: at least the first.
    fn fit(&self, entries: &[Entry<H>]) -> usize {
        let mut size = 0;
        let fitting = entries
            .iter()
            .take(self.options.collection_max_count)
            .take_while(|entry| {
                let is_first = size == 0;
                size += entry.size;
                is_first || size <= self.request_size.limit()
            });
        fitting.count()
    }

    /// Takes out everything that is not in a request.
    pub(super) fn drain(&mut self, closed: &Arc<AttemptError>) -> Vec<Held<H>> {
        let mut records: Vec<Held<H>> = self.lanes.iter_mut().flat_map(Lane::dissolve).collect();
        records.extend(self.unrouted.drain(..));
        records.extend(self.apart.drain(..).flat_map(|apart| apart.groups).flatten());
        for unjudged in self.unjudged.drain(..) {
            records.extend(unjudged.entry.records.into_iter().map(|mut held| {
                held.give_up_in_flight(unjudged.times, closed);
                held
            }));
        }
        if let Some(order) = &mut self.order {
            records.extend(order.take_waiting(|_| true));
        }
        records
    }
}

fn entry<H>(shard_id: Option<Arc<str>>, unsealed: &UnsealedRecord, records: Vec<Held<H>>) -> Entry<H> {
    Entry {
        shard_id,
        aggregated: unsealed.is_aggregated(),
        size: unsealed.size(),
        records,
    }
}

/// Returns whether a record may be too large for an aggregate: framing takes less than this margin.
fn is_large<H>(held: &Held<H>, options: &Options) -> bool {
    held.record.size() + 2048 > options.aggregation_max_size
}
