//! The records of a stream that wait to be sent, by lane: the oldest is always the next.

use std::collections::VecDeque;

use super::order::Order;
use super::pack::Source;
use super::record::Held;

#[derive(Debug)]
pub(super) enum Waiting<H> {
    /// In the order of acceptance.
    Unordered(Vec<Queue<H>>),
    /// In the order of acceptance, except that records wait for earlier ones with the same partition key.
    Ordered(Order<H>),
}

#[derive(Debug)]
pub(super) struct Queue<H> {
    records: VecDeque<Held<H>>,
    bytes: usize,
}

impl<H> Default for Queue<H> {
    fn default() -> Self {
        Self {
            records: VecDeque::new(),
            bytes: 0,
        }
    }
}

/// A queue without records gives its memory back if it had more room than for this many.
const KEPT_ROOM: usize = 64;

impl<H> Waiting<H> {
    pub(super) fn new(ordered: bool) -> Self {
        if ordered {
            Self::Ordered(Order::new(0))
        } else {
            Self::Unordered(Vec::new())
        }
    }

    /// Sets the number of lanes. All records must have been drained.
    pub(super) fn set_lanes(&mut self, lanes: usize) {
        match self {
            Self::Unordered(queues) => {
                queues.clear();
                queues.resize_with(lanes, Queue::default);
            }
            Self::Ordered(order) => order.set_lanes(lanes),
        }
    }

    /// Adds a record to its lane.
    pub(super) fn push(&mut self, held: Held<H>) {
        match self {
            Self::Unordered(queues) => {
                if let Some(queue) = queues.get_mut(held.lane) {
                    queue.bytes += held.record.size();
                    insert(&mut queue.records, held);
                }
            }
            Self::Ordered(order) => order.push(held),
        }
    }

    /// Notes that records which were taken out are in flight from now on.
    pub(super) fn lock(&mut self, records: &[Held<H>]) {
        if let Self::Ordered(order) = self {
            order.lock(records);
        }
    }

    /// Notes that a record is no longer in flight. Returns the lane whose records may now be sent.
    pub(super) fn unlock(&mut self, held: &Held<H>) -> Option<usize> {
        match self {
            Self::Unordered(_) => None,
            Self::Ordered(order) => order.unlock(held.record.partition_key()),
        }
    }

    /// Notes that a record that was taken out, and was not in flight, has an outcome. Returns the lane whose records
    /// may now be sent.
    pub(super) fn forget(&mut self, held: &Held<H>) -> Option<usize> {
        match self {
            Self::Unordered(_) => None,
            Self::Ordered(order) => order.forget(held.record.partition_key()),
        }
    }

    /// Returns the oldest record that a lane may send.
    pub(super) fn front(&self, lane: usize) -> Option<&Held<H>> {
        match self {
            Self::Unordered(queues) => queues.get(lane)?.records.front(),
            Self::Ordered(order) => order.front(lane),
        }
    }

    /// Returns the size of the records that a lane may send.
    pub(super) fn bytes(&self, lane: usize) -> usize {
        match self {
            Self::Unordered(queues) => queues.get(lane).map_or(0, |queue| queue.bytes),
            Self::Ordered(order) => order.bytes(lane),
        }
    }

    /// Returns how many records a lane may send, or at least how many Kinesis records.
    pub(super) fn count(&self, lane: usize) -> usize {
        match self {
            Self::Unordered(queues) => queues.get(lane).map_or(0, |queue| queue.records.len()),
            Self::Ordered(order) => order.ready_keys(lane),
        }
    }

    /// Returns the oldest of all.
    pub(super) fn oldest(&self) -> Option<&Held<H>> {
        match self {
            Self::Unordered(queues) => {
                let fronts = queues.iter().filter_map(|queue| queue.records.front());
                fronts.min_by_key(|held| held.number)
            }
            Self::Ordered(order) => order.fronts().min_by_key(|held| held.number),
        }
    }

    /// Takes out the records that `test` selects. It selects every record that is older than one that it selects.
    pub(super) fn take_oldest(&mut self, test: impl Fn(&Held<H>) -> bool) -> Vec<Held<H>> {
        match self {
            Self::Unordered(queues) => {
                let mut taken = Vec::new();
                for queue in queues {
                    while queue.records.front().is_some_and(&test) {
                        taken.extend(queue.pop());
                    }
                }
                taken.sort_unstable_by_key(|held| held.number);
                taken
            }
            Self::Ordered(order) => order.take_oldest(test),
        }
    }

    /// Takes out all records, in the order of acceptance.
    pub(super) fn drain(&mut self) -> Vec<Held<H>> {
        match self {
            Self::Unordered(queues) => {
                let queues = queues.iter_mut().map(std::mem::take);
                let mut records: Vec<_> = queues.flat_map(|queue| queue.records).collect();
                records.sort_unstable_by_key(|held| held.number);
                records
            }
            Self::Ordered(order) => order.drain(),
        }
    }
}

impl<H> Queue<H> {
    fn pop(&mut self) -> Option<Held<H>> {
        let held = self.records.pop_front()?;
        self.bytes -= held.record.size();
        self.shrink();
        Some(held)
    }

    fn pop_while(&mut self, mut wants: impl FnMut(&Held<H>) -> bool, into: &mut Vec<Held<H>>) {
        let mut bytes = 0;
        let wants = |held: &Held<H>| {
            let is_wanted = wants(held);
            bytes += if is_wanted { held.record.size() } else { 0 };
            is_wanted
        };
        self.records.pop_while(wants, into);
        self.bytes -= bytes;
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.records.is_empty() && self.records.capacity() > KEPT_ROOM {
            self.records = VecDeque::new();
        }
    }
}

/// Adds a record to others in the order of acceptance. It is fast if the record is newer or older than most of them.
pub(super) fn insert<H>(records: &mut VecDeque<Held<H>>, held: Held<H>) {
    if records.back().is_none_or(|last| last.number < held.number) {
        records.push_back(held);
    } else {
        let index = records.partition_point(|other| other.number < held.number);
        records.insert(index, held);
    }
}

/// One lane's waiting records.
pub(super) struct OfLane<'a, H> {
    pub(super) waiting: &'a mut Waiting<H>,
    pub(super) lane: usize,
}

impl<H> Source<H> for OfLane<'_, H> {
    fn count(&self) -> usize {
        self.waiting.count(self.lane)
    }

    fn pop(&mut self) -> Option<Held<H>> {
        match self.waiting {
            Waiting::Unordered(queues) => queues.get_mut(self.lane)?.pop(),
            Waiting::Ordered(order) => order.pop(self.lane),
        }
    }

    fn pop_while(&mut self, mut wants: impl FnMut(&Held<H>) -> bool, into: &mut Vec<Held<H>>) {
        match self.waiting {
            Waiting::Unordered(queues) => {
                if let Some(queue) = queues.get_mut(self.lane) {
                    queue.pop_while(wants, into);
                }
            }
            Waiting::Ordered(order) => {
                while order.front(self.lane).is_some_and(&mut wants) {
                    into.extend(order.pop(self.lane));
                }
            }
        }
    }
}
