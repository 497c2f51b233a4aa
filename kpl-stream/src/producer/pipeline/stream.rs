//! One stream: its records from acceptance to the request that they go in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::{AggregateError, SealedRecord, UnsealedRecord, seal_all};

use super::lane::{Lane, MAX_BYTES_PER_REQUEST, aggregator, pack_all};
use super::order::Order;
use super::record::Held;
use super::shards::{Mode, Shards};
use super::{Finished, Out};
use crate::producer::options::Options;
use crate::producer::outcome::{AttemptError, FailureReason};

/// How exact times to live are.
const SWEPT_AT_MOST_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Stream<H> {
    pub(super) name: Arc<str>,
    pub(super) options: Arc<Options>,
    pub(super) shards: Shards,
    lanes: Vec<Lane<H>>,
    /// The lane that the next request starts with.
    turn: usize,
    /// Records that came before anything was known of the shards.
    unrouted: VecDeque<Held<H>>,
    pub(super) order: Option<Order<H>>,
    /// Entries in a shard that the map does not know: the next map judges them.
    pub(super) unjudged: Vec<Unjudged<H>>,
    /// Entries of a refused request, to find the one that it was refused for.
    apart: VecDeque<Vec<Vec<Held<H>>>>,
    /// Records without an outcome.
    pub(super) pending: usize,
    /// Requests that were refused since one was taken.
    pub(super) refusals: u32,
    /// No record expires before this, or there is none.
    expires: Option<Instant>,
    swept: Instant,
}

/// An entry of a request that was sent.
#[derive(Debug)]
pub(super) struct Entry<H> {
    pub(super) records: Vec<Held<H>>,
    /// The shard that it was meant for, if that was predicted.
    pub(super) shard_id: Option<Arc<str>>,
    pub(super) aggregated: bool,
    pub(super) size: usize,
}

#[derive(Debug)]
pub(super) struct Unjudged<H> {
    pub(super) entry: Entry<H>,
    pub(super) written: crate::client::Written,
    pub(super) started: Instant,
    pub(super) ended: Instant,
}

/// A request in the making.
#[derive(Debug)]
pub(super) struct Request<H> {
    pub(super) sealed: Vec<SealedRecord>,
    pub(super) entries: Vec<Entry<H>>,
}

impl<H> Stream<H> {
    pub(super) fn new(name: Arc<str>, options: Arc<Options>, now: Instant) -> Self {
        Self {
            name,
            shards: Shards::new(now),
            lanes: Vec::new(),
            turn: 0,
            unrouted: VecDeque::new(),
            order: options.ordered.then(Order::default),
            unjudged: Vec::new(),
            apart: VecDeque::new(),
            pending: 0,
            refusals: 0,
            expires: None,
            swept: now,
            options,
        }
    }

    /// Sends a record on its way: to the aggregate of its shard.
    pub(super) fn route(&mut self, held: Held<H>, due: Instant, now: Instant, out: &mut Out<H>) {
        if held.expires <= now {
            return self.expire(held, out);
        }
        self.expires = Some(self.expires.map_or(held.expires, |expires| expires.min(held.expires)));
        let place = match self.shards.mode() {
            Mode::Waiting => {
                self.unrouted.push_back(held);
                return;
            }
            Mode::Unpredicted | Mode::Auto => 0,
            Mode::Predicted => self.shards.index_of(held.record.hash_key()),
        };
        let Some(lane) = self.lanes.get_mut(place) else {
            self.unrouted.push_back(held);
            return;
        };
        let mut refused = Vec::new();
        match &mut self.order {
            None => lane.push(held, due, &mut refused, |_| ()),
            Some(order) => {
                if is_large(&held, &self.options) {
                    // It goes alone, and must not overtake what is in the open aggregate.
                    lane.seal_open(|records| records.iter().for_each(|held| order.lock(held)));
                }
                if let Some(held) = order.enter(held, place) {
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
            self.refuse(held, &error, out);
        }
    }

    /// An error that was ruled out when the record was accepted.
    fn refuse(&mut self, held: Held<H>, error: &AggregateError, out: &mut Out<H>) {
        if let Some(order) = &mut self.order {
            order.leave_open(held.record.partition_key());
        }
        let finished = out.fail(&self.name, held, FailureReason::Refused(Arc::new(unpackable(error))));
        self.finish(finished, out);
    }

    fn expire(&mut self, held: Held<H>, out: &mut Out<H>) {
        let last = held.attempts.last.as_ref().and_then(|attempt| attempt.error.clone());
        let listing = self.shards.failed.as_ref().map(|error| {
            Arc::new(AttemptError {
                code: error.code.clone(),
                message: error.message.clone(),
            })
        });
        let finished = out.fail(&self.name, held, FailureReason::Expired(last.or(listing)));
        self.finish(finished, out);
    }

    /// A record that was locked has an outcome: the next ones of its key may go.
    pub(super) fn finish_locked(&mut self, finished: Finished, now: Instant, out: &mut Out<H>) {
        let Some(order) = &mut self.order else { return };
        let Some(partition_key) = &finished.partition_key else {
            return;
        };
        order.unlock(partition_key);
        self.let_in(partition_key, now, out);
    }

    fn finish(&mut self, finished: Finished, out: &mut Out<H>) {
        // Records that are not locked hold nobody back, but those behind them may be the first now.
        if let Some(partition_key) = finished.partition_key
            && self.order.is_some()
        {
            out.let_in.push(partition_key);
        }
    }

    fn let_in(&mut self, partition_key: &str, now: Instant, out: &mut Out<H>) {
        while let Some(held) = self.order.as_mut().and_then(|order| order.next(partition_key)) {
            let number = held.number;
            self.route(held, now + self.options.record_max_buffered_time / 2, now, out);
            // It went to wait again, in its old place.
            let waits = |order: &Order<H>| order.waits(partition_key, number);
            if self.order.as_ref().is_some_and(waits) {
                break;
            }
        }
    }

    /// Lets in those that waited for records which expired.
    pub(super) fn let_in_all(&mut self, now: Instant, out: &mut Out<H>) {
        while let Some(partition_key) = out.let_in.pop() {
            self.let_in(&partition_key, now, out);
        }
    }

    /// Records come back for another attempt.
    pub(super) fn come_back(&mut self, records: Vec<Held<H>>, due: Instant, now: Instant, out: &mut Out<H>) {
        let mut keys = Vec::new();
        if let Some(order) = &mut self.order {
            for held in &records {
                order.unlock(held.record.partition_key());
                keys.push(held.record.partition_key().into());
            }
        }
        for held in records {
            self.route(held, due, now, out);
        }
        out.let_in.extend(keys);
        self.let_in_all(now, out);
    }

    /// The shards are others now: what is not on its way finds its place anew.
    pub(super) fn route_anew(&mut self, due: Instant, now: Instant, out: &mut Out<H>) {
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
            .map(|id| Lane::new(id, &self.options, mode != Mode::Unpredicted, rate, now))
            .collect();
        let mut before = std::mem::replace(&mut self.lanes, lanes);
        // A shard that stays keeps what was learned of its limits.
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
            self.route(held, due, now, out);
        }
        self.let_in_all(now, out);
    }

    fn dissolve(&mut self, lane: &mut Lane<H>) -> Vec<Held<H>> {
        let locked = lane.full_records();
        let records: Vec<Held<H>> = lane.dissolve().collect();
        if let Some(order) = &mut self.order {
            for (place, held) in records.iter().enumerate() {
                if place < locked {
                    order.unlock(held.record.partition_key());
                } else {
                    order.leave_open(held.record.partition_key());
                }
            }
        }
        records
    }

    /// Gives up the records whose time is over.
    pub(super) fn sweep(&mut self, now: Instant, out: &mut Out<H>) {
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
            self.expire(held, out);
        }
        let mut lanes = std::mem::take(&mut self.lanes);
        let mut again = Vec::new();
        for lane in lanes.iter_mut().filter(|lane| lane.held().any(is_over)) {
            let due = lane.wants_at(now).unwrap_or(now);
            again.extend(self.dissolve(lane).into_iter().map(|held| (held, due)));
        }
        self.lanes = lanes;
        for (held, due) in again {
            self.route(held, due, now, out);
        }
        self.let_in_all(now, out);
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

    /// Everything should go now.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.lanes.iter_mut().for_each(|lane| lane.hurry(now));
    }

    /// Slows down the shard that had no room.
    pub(super) fn throttled(&mut self, shard_id: Option<&Arc<str>>, now: Instant) {
        for lane in &mut self.lanes {
            if lane.shard_id.as_ref() == shard_id {
                lane.limiter.throttled(now);
            }
        }
    }

    /// When this stream has something to do, besides requests if there is no connection for them.
    pub(super) fn wake_at(&self, connection: bool, now: Instant) -> Option<Instant> {
        let request = if connection { self.request_at(now) } else { None };
        [request, self.next_sweep(), self.shards.next_listing()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the next request should be made.
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
        let enough = count >= self.options.collection_max_count || bytes >= self.options.collection_max_size;
        if enough { at.into_iter().chain(free).min() } else { at }
    }

    pub(super) fn set_apart(&mut self, groups: Vec<Vec<Held<H>>>) {
        self.apart.push_back(groups);
    }

    /// The next request, if it is time for one.
    pub(super) fn request(&mut self, now: Instant, out: &mut Out<H>) -> Option<Request<H>> {
        if let Some(groups) = self.apart.pop_front() {
            return self.request_apart(groups, now, out);
        }
        if self.request_at(now).is_none_or(|at| at > now) {
            return None;
        }
        let (mut room, mut unsealed, mut entries) = (self.options.collection_max_size, Vec::new(), Vec::new());
        let lanes = self.lanes.len();
        for place in (self.turn..lanes).chain(0..self.turn.min(lanes)) {
            let Some(lane) = self.lanes.get_mut(place) else {
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
                // A record that is larger than a request should be goes alone.
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
            self.turn = place + 1;
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
        })
    }

    /// A request of its own for some entries of one that was refused.
    fn request_apart(&mut self, groups: Vec<Vec<Held<H>>>, now: Instant, out: &mut Out<H>) -> Option<Request<H>> {
        let mode = self.shards.mode();
        let mut packer = aggregator(&self.options, mode == Mode::Predicted || mode == Mode::Auto);
        let (mut unsealed, mut entries, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups {
            let mut by_lane: Vec<(usize, Vec<Held<H>>)> = Vec::new();
            for held in group {
                let lane = if mode == Mode::Predicted {
                    self.shards.index_of(held.record.hash_key())
                } else {
                    0
                };
                match by_lane.iter_mut().find(|(place, _)| *place == lane) {
                    Some((_, records)) => records.push(held),
                    None => by_lane.push((lane, vec![held])),
                }
            }
            for (place, records) in by_lane {
                for (packed, records) in pack_all(&mut packer, records, &mut refused) {
                    let lane = self.lanes.get_mut(place);
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
            self.refuse_locked(held, &error, now, out);
        }
        // With other shards than before there may be more of them, and they may be larger.
        let fit = self.fit(&entries);
        unsealed.truncate(fit);
        let rest = entries.split_off(fit);
        if !rest.is_empty() {
            self.apart
                .push_front(rest.into_iter().map(|entry| entry.records).collect());
        }
        (!entries.is_empty()).then(|| Request {
            sealed: seal_all(unsealed),
            entries,
        })
    }

    /// How many of these entries one request takes: at least the first.
    fn fit(&self, entries: &[Entry<H>]) -> usize {
        let mut size = 0;
        let fitting = entries
            .iter()
            .take(self.options.collection_max_count)
            .take_while(|entry| {
                let is_first = size == 0;
                size += entry.size;
                is_first || size <= self.options.collection_max_size
            });
        fitting.count()
    }

    fn refuse_locked(&mut self, held: Held<H>, error: &AggregateError, now: Instant, out: &mut Out<H>) {
        let finished = out.fail(&self.name, held, FailureReason::Refused(Arc::new(unpackable(error))));
        self.finish_locked(finished, now, out);
    }

    /// Takes everything out that is not in a request.
    pub(super) fn drain(&mut self) -> Vec<Held<H>> {
        let mut records: Vec<Held<H>> = self.lanes.iter_mut().flat_map(Lane::dissolve).collect();
        records.extend(self.unrouted.drain(..));
        records.extend(self.apart.drain(..).flatten().flatten());
        records.extend(self.unjudged.drain(..).flat_map(|unjudged| {
            let mut records = unjudged.entry.records;
            records.iter_mut().for_each(|held| held.maybe_written = true);
            records
        }));
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

fn unpackable(error: &AggregateError) -> AttemptError {
    AttemptError {
        code: "AggregateError".into(),
        message: error.to_string().into(),
    }
}

/// Whether a record may be too large for an aggregate: framing takes less than this.
fn is_large<H>(held: &Held<H>, options: &Options) -> bool {
    held.record.size() + 2048 > options.aggregation_max_size
}
