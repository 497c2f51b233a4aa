//! Keeps the order of the records of each partition key: a later one is never in flight while an earlier one is.

use std::collections::{HashMap, VecDeque};

use super::record::Held;

/// What is in flight for each partition key, and what waits for it.
#[derive(Debug)]
pub(super) struct Order<H> {
    keys: HashMap<Box<str>, Key<H>>,
}

#[derive(Debug)]
struct Key<H> {
    /// Records in full aggregates, in requests, or waiting for another attempt.
    locked: usize,
    /// The lane whose open aggregate contains the other records, and how many there are.
    open: Option<(usize, usize)>,
    /// Records that must wait, in the order of acceptance.
    waiting: VecDeque<Held<H>>,
}

impl<H> Default for Order<H> {
    fn default() -> Self {
        Self { keys: HashMap::new() }
    }
}

impl<H> Default for Key<H> {
    fn default() -> Self {
        Self {
            locked: 0,
            open: None,
            waiting: VecDeque::new(),
        }
    }
}

impl<H> Order<H> {
    fn key(&mut self, text: &str) -> &mut Key<H> {
        self.keys.entry(text.into()).or_default()
    }

    /// Returns the record if it may enter the open aggregate of a lane now. If not, it waits here.
    pub(super) fn enter(&mut self, held: Held<H>, lane: usize) -> Option<Held<H>> {
        let key = self.key(held.record.partition_key());
        let elsewhere = key.open.is_some_and(|(open, _)| open != lane);
        let behind = key.waiting.front().is_some_and(|first| first.number < held.number);
        if key.locked > 0 || elsewhere || behind {
            key.wait(held);
            return None;
        }
        key.open = Some((lane, key.open.map_or(0, |(_, count)| count) + 1));
        Some(held)
    }

    /// Takes back a record that entered: its aggregate became full without it, and contains an earlier record of its
    /// key.
    pub(super) fn back(&mut self, held: Held<H>) {
        let key = self.key(held.record.partition_key());
        key.leave_open();
        key.wait(held);
    }

    /// Returns whether records of this key are in flight.
    pub(super) fn is_locked(&self, partition_key: &str) -> bool {
        self.keys.get(partition_key).is_some_and(|key| key.locked > 0)
    }

    /// Notes that the aggregate that contains a record was closed.
    pub(super) fn lock(&mut self, held: &Held<H>) {
        let key = self.key(held.record.partition_key());
        key.leave_open();
        key.locked += 1;
    }

    /// Notes that a record has an outcome, or will enter again.
    pub(super) fn unlock(&mut self, partition_key: &str) {
        let key = self.key(partition_key);
        key.locked = key.locked.saturating_sub(1);
    }

    /// Notes that a record left an open aggregate.
    pub(super) fn leave_open(&mut self, partition_key: &str) {
        self.key(partition_key).leave_open();
    }

    /// Returns the next record of a key, if it no longer has to wait.
    pub(super) fn next(&mut self, partition_key: &str) -> Option<Held<H>> {
        let key = self.keys.get_mut(partition_key)?;
        let next = if key.locked == 0 { key.waiting.pop_front() } else { None };
        if next.is_none() && key.locked == 0 && key.open.is_none() && key.waiting.is_empty() {
            self.keys.remove(partition_key);
        }
        next
    }

    /// Removes and returns the waiting records that `test` selects.
    pub(super) fn take_waiting(&mut self, mut test: impl FnMut(&Held<H>) -> bool) -> Vec<Held<H>> {
        let mut taken = Vec::new();
        for key in self.keys.values_mut() {
            let (out, stay) = std::mem::take(&mut key.waiting).into_iter().partition(&mut test);
            key.waiting = stay;
            let out: VecDeque<_> = out;
            taken.extend(out);
        }
        // The map is not ordered.
        taken.sort_by_key(|held| held.number);
        taken
    }

    /// Returns whether this record is waiting.
    pub(super) fn waits(&self, partition_key: &str, number: u64) -> bool {
        self.keys
            .get(partition_key)
            .is_some_and(|key| key.waiting.iter().any(|held| held.number == number))
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Held<H>> {
        self.keys.values().flat_map(|key| &key.waiting)
    }
}

impl<H> Key<H> {
    fn wait(&mut self, held: Held<H>) {
        let index = self.waiting.partition_point(|other| other.number < held.number);
        self.waiting.insert(index, held);
    }

    fn leave_open(&mut self) {
        self.open = self
            .open
            .and_then(|(lane, count)| (count > 1).then_some((lane, count - 1)));
    }
}
