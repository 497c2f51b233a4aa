//! The memory for records that are fetched, or fetched but not yet delivered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::client::FetchedRecord;

/// The most that one answer to GetRecords contains
/// ([GetRecords](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html)).
const LARGEST_ANSWER: usize = 10 << 20;
/// What an answer takes at least, and what a record takes beside its bytes.
const BYTES_PER_ANSWER: usize = 64 << 10;
const BYTES_PER_RECORD: usize = 256;
/// How many records are asked for until their size is known.
const FIRST_RECORDS: usize = 100;
/// About this many bytes of user records are decoded at a time.
pub(super) const DECODED_TOGETHER: usize = 128 << 10;

/// Bytes, shared by all requests of a reader.
#[derive(Debug)]
pub(super) struct Budget {
    most: usize,
    free: Semaphore,
    /// What answers took beyond what their requests had reserved, and what is not paid back yet.
    debt: Mutex<usize>,
}

/// A part of the budget. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            free: Semaphore::new(most),
            debt: Mutex::new(0),
        }
    }

    /// Waits for these bytes, or for the whole budget if it is smaller, so that one request can always be made.
    pub(super) async fn reserve(self: &Arc<Self>, bytes: usize) -> Held {
        let bytes = bytes.min(self.most);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        if let Ok(permit) = self.free.acquire_many(permits).await {
            permit.forget();
        }
        Held {
            budget: Arc::clone(self),
            bytes: permits as usize,
        }
    }

    fn debt(&self) -> MutexGuard<'_, usize> {
        self.debt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, bytes: usize) {
        let mut debt = self.debt();
        let paid = bytes.min(*debt);
        *debt -= paid;
        self.free.add_permits(bytes - paid);
    }

    fn take_more(&self, bytes: usize) {
        let mut debt = self.debt();
        *debt += bytes - self.free.forget_permits(bytes);
    }
}

impl Held {
    /// Holds this much instead. This does not wait for what is missing: later requests do.
    pub(super) fn resize(&mut self, bytes: usize) {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.budget.take_more(more),
            None => self.budget.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// What is asked of a shard next, as its answers so far suggest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// What the answer is expected to contain, in bytes.
    bytes: usize,
    /// The average size of a record in the last answer with records.
    record_size: Option<usize>,
}

impl Ask {
    /// For a shard about which nothing is known.
    pub(super) const ANYTHING: Self = Self {
        bytes: LARGEST_ANSWER,
        record_size: None,
    };
    /// For the first event of a subscription: what the
    /// [service sends](https://docs.aws.amazon.com/streams/latest/dev/enhanced-consumers.html) in a second.
    pub(super) const FIRST_EVENT: Self = Self {
        bytes: 2 << 20,
        record_size: None,
    };
    /// For a shard that is read up to its latest record.
    pub(super) const NOTHING: Self = Self {
        bytes: 0,
        record_size: None,
    };

    /// After an answer: as much again, and more if there is more. If the answer was cut off for its size, as much as an
    /// answer can have.
    pub(super) fn after(self, records: &[FetchedRecord], was_cut_off: bool) -> Self {
        let bytes = data_bytes(records);
        Self {
            bytes: match was_cut_off {
                true => LARGEST_ANSWER,
                false => bytes.saturating_mul(2).min(LARGEST_ANSWER),
            },
            record_size: bytes.checked_div(records.len()).or(self.record_size),
        }
    }

    /// Returns what the answer takes while it is received: its base64, first in the pieces that arrive, then copied into one. When it is
    /// decoded, the pieces are gone.
    pub(super) fn cost(self) -> usize {
        BYTES_PER_ANSWER + self.bytes / 3 * 8
    }

    /// Returns how many records to ask for, so that the answer of a server that does not limit its size fits into this
    /// budget as well.
    pub(super) fn records(self, budget: &Budget, most: usize) -> usize {
        let Some(record_size) = self.record_size else {
            return FIRST_RECORDS.min(most);
        };
        let room = budget.most.saturating_sub(BYTES_PER_ANSWER) / 8 * 3;
        let bytes = room.min(LARGEST_ANSWER);
        (bytes / (record_size + BYTES_PER_RECORD)).clamp(1, most)
    }
}

/// Returns the bytes of the records of an answer or an event, without those of their keys and numbers.
pub(super) fn data_bytes(records: &[FetchedRecord]) -> usize {
    records.iter().map(|record| record.data.len()).sum()
}

/// Returns what an answer or an event takes until its last user record is delivered: its records, and those that are being decoded.
pub(super) fn cost(records: &[FetchedRecord]) -> usize {
    let largest = records.iter().map(|record| record.data.len()).max().unwrap_or(0);
    let data = data_bytes(records);
    data + records.len() * BYTES_PER_RECORD + largest + data.min(DECODED_TOGETHER)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn reserve(budget: &Arc<Budget>, bytes: usize) -> Option<Held> {
        budget.reserve(bytes).now_or_never()
    }

    #[test]
    fn what_is_held_is_given_back() {
        let budget = Arc::new(Budget::new(100));
        let first = reserve(&budget, 60).unwrap();
        assert!(reserve(&budget, 41).is_none());
        let second = reserve(&budget, 40).unwrap();
        drop(first);
        drop(reserve(&budget, 60).unwrap());
        drop(second);
        // One request can always be made.
        assert_eq!(reserve(&budget, 1000).unwrap().bytes, 100);
        assert_eq!(budget.free.available_permits(), 100);
    }

    #[test]
    fn what_an_answer_takes_beyond_what_was_reserved_is_paid_back_first() {
        let budget = Arc::new(Budget::new(100));
        let mut large = reserve(&budget, 10).unwrap();
        let other = reserve(&budget, 50).unwrap();
        large.resize(300);
        assert_eq!((budget.free.available_permits(), *budget.debt()), (0, 250));
        drop(other);
        assert!(reserve(&budget, 1).is_none());
        large.resize(60);
        assert_eq!((budget.free.available_permits(), *budget.debt()), (40, 0));
        drop(large);
        assert_eq!(budget.free.available_permits(), 100);
    }

    #[test]
    fn as_many_records_are_asked_for_as_there_is_room_for() {
        let answer = |count: usize, size: usize| -> Vec<FetchedRecord> {
            (0..count).map(|_| FetchedRecord::new(vec![0; size], "1")).collect()
        };
        let (small, large) = (Budget::new(1 << 20), Budget::new(64 << 20));
        assert_eq!(Ask::ANYTHING.records(&large, 10_000), 100);
        assert_eq!(Ask::ANYTHING.records(&large, 7), 7);
        let ask = Ask::ANYTHING.after(&answer(100, 100), false);
        assert_eq!((ask.bytes, ask.records(&large, 10_000)), (20_000, 10_000));
        assert_eq!(ask.records(&small, 10_000), 1035);
        let ask = ask.after(&answer(200, 51_200), true);
        assert_eq!((ask.bytes, ask.records(&large, 10_000)), (LARGEST_ANSWER, 203));
        assert_eq!(ask.records(&small, 10_000), 7);
        // An answer without records does not say how large they are.
        let ask = ask.after(&answer(0, 0), false);
        assert_eq!((ask.bytes, ask.records(&large, 10_000)), (0, 203));
        assert_eq!(ask.records(&Budget::new(1), 10_000), 1);
    }

    #[test]
    fn costs_cover_what_an_answer_has() {
        let record = |len: usize| FetchedRecord::new(vec![0; len], "1");
        let small = (0..1000).map(|_| record(10)).collect::<Vec<_>>();
        assert_eq!(cost(&small), 10_000 + 256_000 + 10 + 10_000);
        let large = [record(5 << 20), record(5 << 20)];
        assert_eq!(cost(&large), (15 << 20) + 512 + DECODED_TOGETHER);
        assert!(Ask::ANYTHING.cost() > 27_000_000);
        assert_eq!(cost(&[]), 0);
    }
}
