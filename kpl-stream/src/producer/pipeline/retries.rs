//! Records that wait for another attempt.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

use super::output::StreamId;
use super::record::Held;

#[derive(Debug)]
pub(super) struct Retries<H> {
    heap: BinaryHeap<Reverse<Retry<H>>>,
    next_number: u64,
}

#[derive(Debug)]
pub(super) struct Retry<H> {
    at: Instant,
    /// If two are due at the same moment, the older one is first.
    number: u64,
    pub(super) stream: StreamId,
    pub(super) records: Vec<Held<H>>,
}

impl<H> Retries<H> {
    pub(super) const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            next_number: 0,
        }
    }

    pub(super) fn push(&mut self, at: Instant, stream: StreamId, records: Vec<Held<H>>) {
        self.heap.push(Reverse(Retry {
            at,
            number: self.next_number,
            stream,
            records,
        }));
        self.next_number += 1;
    }

    /// Returns when the next one is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(retry)| retry.at)
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<Retry<H>> {
        if self.next_at().is_none_or(|at| at > now) {
            return None;
        }
        self.heap.pop().map(|Reverse(retry)| retry)
    }

    /// Takes out all of them, in no particular order.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Retry<H>> + use<H> {
        std::mem::take(&mut self.heap).into_iter().map(|Reverse(retry)| retry)
    }
}

impl<H> Retry<H> {
    const fn key(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl<H> PartialEq for Retry<H> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<H> Eq for Retry<H> {}

impl<H> PartialOrd for Retry<H> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<H> Ord for Retry<H> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
