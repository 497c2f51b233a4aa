//! Keeps the order of the records of each partition key: a later one is never in flight while an earlier one is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::record::Held;
use super::waiting::insert;

/// The waiting records of a stream by partition key, and which keys have records in flight.
#[derive(Debug)]
pub(super) struct Order<H> {
    keys: HashMap<Arc<str>, Key<H>>,
    lanes: Vec<Ready>,
    /// The keys that wait for records in flight, by the number of their first waiting record.
    blocked: BTreeMap<u64, Arc<str>>,
}

/// The keys whose first waiting record may be sent and belongs to a certain lane, by the number of that record.
#[derive(Debug, Default)]
struct Ready {
    keys: BTreeMap<u64, Arc<str>>,
    bytes: usize,
}

#[derive(Debug)]
struct Key<H> {
    /// How many of its records are in flight.
    locked: usize,
    /// The others, in the order of acceptance.
    waiting: VecDeque<Held<H>>,
    bytes: usize,
    listed: Listed,
}

/// Where a key is listed, by the number of its first waiting record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Nowhere,
    Ready(usize, u64),
    Blocked(u64),
}

impl<H> Default for Key<H> {
    fn default() -> Self {
        Self {
            locked: 0,
            waiting: VecDeque::new(),
            bytes: 0,
            listed: Listed::Nowhere,
        }
    }
}

impl<H> Order<H> {
    pub(super) fn new(lanes: usize) -> Self {
        let mut order = Self {
            keys: HashMap::new(),
            lanes: Vec::new(),
            blocked: BTreeMap::new(),
        };
        order.set_lanes(lanes);
        order
    }

    /// Sets the number of lanes. All records must have been drained.
    pub(super) fn set_lanes(&mut self, lanes: usize) {
        self.lanes.clear();
        self.lanes.resize_with(lanes, Ready::default);
    }

    pub(super) fn push(&mut self, held: Held<H>) {
        let partition_key = held.record.partition_key();
        if !self.keys.contains_key(partition_key) {
            self.keys.insert(partition_key.into(), Key::default());
        }
        // The record moves into the map, so its key is looked up by the map's own copy.
        let Some((name, _)) = self.keys.get_key_value(partition_key) else {
            return;
        };
        let name = Arc::clone(name);
        self.change(&name, |key| {
            key.bytes += held.record.size();
            insert(&mut key.waiting, held);
        });
    }

    /// Returns the oldest record that a lane may send, and takes it out. Until it is locked or put back, only records of
    /// the same lane may follow it.
    pub(super) fn pop(&mut self, lane: usize) -> Option<Held<H>> {
        let ready = self.lanes.get_mut(lane)?;
        let (_, name) = ready.keys.pop_first()?;
        let key = self.keys.get_mut(&name)?;
        ready.bytes -= key.bytes;
        key.listed = Listed::Nowhere;
        let held = key.waiting.pop_front()?;
        key.bytes -= held.record.size();
        if let Some(next) = key.waiting.front().filter(|next| next.lane == lane) {
            key.listed = Listed::Ready(lane, next.number);
            ready.bytes += key.bytes;
            ready.keys.insert(next.number, name);
        }
        Some(held)
    }

    /// Notes that records which were popped are in flight from now on.
    pub(super) fn lock(&mut self, records: &[Held<H>]) {
        // Neighbours often have the same key.
        for alike in records.chunk_by(|one, other| one.record.partition_key() == other.record.partition_key()) {
            if let Some(name) = alike.first().and_then(|held| self.name_of(held.record.partition_key())) {
                self.change(&name, |key| key.locked += alike.len());
            }
        }
    }

    /// Notes that a record is no longer in flight. Returns the lane whose records may now be sent.
    pub(super) fn unlock(&mut self, partition_key: &str) -> Option<usize> {
        let name = self.name_of(partition_key)?;
        self.change(&name, |key| key.locked = key.locked.saturating_sub(1))
    }

    /// Notes that a record which was popped has an outcome. Returns the lane whose records may now be sent.
    pub(super) fn forget(&mut self, partition_key: &str) -> Option<usize> {
        let name = self.name_of(partition_key)?;
        self.change(&name, |_| ())
    }

    fn name_of(&self, partition_key: &str) -> Option<Arc<str>> {
        self.keys.get_key_value(partition_key).map(|(name, _)| Arc::clone(name))
    }

    /// Changes a key, and lists it where it now belongs. Returns the lane in which it is ready.
    fn change(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Key<H>)) -> Option<usize> {
        let key = self.keys.get_mut(name)?;
        let bytes = key.bytes;
        change(key);
        let listed = match key.waiting.front() {
            None => Listed::Nowhere,
            Some(first) if key.locked == 0 => Listed::Ready(first.lane, first.number),
            Some(first) => Listed::Blocked(first.number),
        };
        let before = std::mem::replace(&mut key.listed, listed);
        let (now, is_done) = (key.bytes, key.locked == 0 && key.waiting.is_empty());
        match before {
            Listed::Ready(lane, number) => {
                if let Some(ready) = self.lanes.get_mut(lane) {
                    ready.bytes = ready.bytes.saturating_sub(bytes);
                    if before != listed {
                        ready.keys.remove(&number);
                    }
                }
            }
            Listed::Blocked(number) if before != listed => drop(self.blocked.remove(&number)),
            Listed::Blocked(_) | Listed::Nowhere => {}
        }
        match listed {
            Listed::Ready(lane, number) => {
                if let Some(ready) = self.lanes.get_mut(lane) {
                    ready.bytes += now;
                    if before != listed {
                        ready.keys.insert(number, Arc::clone(name));
                    }
                }
                return Some(lane);
            }
            Listed::Blocked(number) if before != listed => drop(self.blocked.insert(number, Arc::clone(name))),
            Listed::Blocked(_) | Listed::Nowhere => {}
        }
        if is_done {
            self.keys.remove(name);
        }
        None
    }

    /// Returns the oldest record that a lane may send.
    pub(super) fn front(&self, lane: usize) -> Option<&Held<H>> {
        let (_, name) = self.lanes.get(lane)?.keys.first_key_value()?;
        self.first_of(name)
    }

    fn first_of(&self, name: &str) -> Option<&Held<H>> {
        self.keys.get(name)?.waiting.front()
    }

    /// Returns the size of the records that a lane may send.
    pub(super) fn bytes(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |ready| ready.bytes)
    }

    /// Returns how many keys have records that a lane may send.
    pub(super) fn ready_keys(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |ready| ready.keys.len())
    }

    /// Returns the oldest waiting record of each lane, and of the keys that wait for records in flight.
    pub(super) fn fronts(&self) -> impl Iterator<Item = &Held<H>> {
        let ready = self.lanes.iter().map(|ready| &ready.keys);
        let lists = ready.chain([&self.blocked]);
        lists.filter_map(|list| self.first_of(list.first_key_value()?.1))
    }

    /// Takes out the records that `test` selects. It selects every record that is older than one that it selects.
    pub(super) fn take_oldest(&mut self, test: impl Fn(&Held<H>) -> bool) -> Vec<Held<H>> {
        let mut taken = Vec::new();
        let mut list = 0;
        while list <= self.lanes.len() {
            let keys = self.lanes.get(list).map_or(&self.blocked, |ready| &ready.keys);
            let name = keys.first_key_value().map(|(_, name)| Arc::clone(name));
            let Some(name) = name.filter(|name| self.first_of(name).is_some_and(&test)) else {
                list += 1;
                continue;
            };
            // All of the key's: its next record may belong to a lane that was looked at before.
            self.change(&name, |key| {
                while let Some(held) = key.waiting.pop_front_if(|held| test(held)) {
                    key.bytes -= held.record.size();
                    taken.push(held);
                }
            });
        }
        taken.sort_unstable_by_key(|held| held.number);
        taken
    }

    /// Takes out all waiting records. Which keys are in flight stays known.
    pub(super) fn drain(&mut self) -> Vec<Held<H>> {
        self.blocked.clear();
        self.set_lanes(self.lanes.len());
        let mut records = Vec::new();
        for key in self.keys.values_mut() {
            records.extend(key.waiting.drain(..));
            key.bytes = 0;
            key.listed = Listed::Nowhere;
        }
        self.keys.retain(|_, key| key.locked > 0);
        records.sort_unstable_by_key(|held| held.number);
        records
    }
}
