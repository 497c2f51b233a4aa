//! The flushes that were requested, and what they wait for.

use std::collections::VecDeque;

use super::output::FlushId;

#[derive(Debug)]
pub(super) struct Flushes {
    /// The next flush: accepted records are counted under it.
    next: u64,
    /// The numbers of records without an outcome, for each flush from the oldest on; the last entry is the next flush.
    pending: VecDeque<usize>,
    /// Their sum.
    all: usize,
}

impl Flushes {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            pending: VecDeque::from([0]),
            all: 0,
        }
    }

    /// Returns the next flush. Records of an earlier one are waited for.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Starts a flush.
    pub(super) fn start(&mut self) -> FlushId {
        let id = FlushId(self.next);
        self.next += 1;
        self.pending.push_back(0);
        id
    }

    /// Counts records that were accepted, and that the next flush waits for.
    pub(super) fn accepted(&mut self, count: usize) {
        if let Some(pending) = self.pending.back_mut() {
            *pending += count;
            self.all += count;
        }
    }

    /// Notes that this many records that this flush waits for have their outcomes.
    pub(super) fn resolved(&mut self, flush: u64, count: usize) {
        let index = flush.checked_sub(self.oldest());
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(pending) = index.and_then(|index| self.pending.get_mut(index)) {
            *pending = pending.saturating_sub(count);
            self.all = self.all.saturating_sub(count);
        }
    }

    /// Returns the oldest flush and removes it, if it waits for nothing more.
    pub(super) fn take_done(&mut self) -> Option<FlushId> {
        if self.pending.len() > 1 && self.pending.front() == Some(&0) {
            let id = FlushId(self.oldest());
            self.pending.pop_front();
            return Some(id);
        }
        None
    }

    /// Returns how many records do not have an outcome.
    pub(super) const fn pending(&self) -> usize {
        self.all
    }

    fn oldest(&self) -> u64 {
        self.next + 1 - self.pending.len() as u64
    }
}
