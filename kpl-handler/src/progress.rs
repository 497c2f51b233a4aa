//! The user records of a batch that are not done.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{Error, OnFailure, Place};

/// The progress of a batch, such as an event of Lambda, shared by everything that is handled concurrently.
#[derive(Debug)]
pub struct Progress {
    on_failure: OnFailure,
    stopped: AtomicBool,
    /// The lowest sub-sequence number that is not done, for each Kinesis record that has one.
    lowest: Mutex<BTreeMap<usize, u64>>,
}

/// The records of a batch that are not done, by the index of the Kinesis record in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undone {
    /// The lowest sub-sequence number of each Kinesis record that is to be retried.
    pub lowest: BTreeMap<usize, u64>,
    /// The Kinesis records that a retry starts at: only the first of them if handling stopped there.
    pub reported: Vec<usize>,
}

impl Progress {
    /// Returns the progress of a batch of which nothing has failed.
    #[must_use]
    pub const fn new(on_failure: OnFailure) -> Self {
        Self {
            on_failure,
            stopped: AtomicBool::new(false),
            lowest: Mutex::new(BTreeMap::new()),
        }
    }

    /// Returns whether nothing more should be started.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Notes that a user record was not handled.
    pub fn undone(&self, place: &Place) {
        let mut lowest = self.lowest.lock().unwrap_or_else(PoisonError::into_inner);
        match lowest.entry(place.kinesis_record_index) {
            Entry::Vacant(entry) => drop(entry.insert(place.sub_sequence_number)),
            Entry::Occupied(mut entry) => {
                let lowest = place.sub_sequence_number.min(*entry.get());
                entry.insert(lowest);
            }
        }
    }

    /// Notes that a user record, or every record from it on, could not be handled, and reports it as a `tracing` event at
    /// level `ERROR`.
    pub fn failed(&self, place: &Place, error: &Error) {
        place.log_failure(error);
        self.undone(place);
        if self.on_failure == OnFailure::Stop {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    /// Returns what is not done.
    #[must_use]
    pub fn into_undone(self) -> Undone {
        let lowest = self.lowest.into_inner().unwrap_or_else(PoisonError::into_inner);
        let reported = match self.on_failure {
            OnFailure::Stop => lowest.keys().copied().take(1).collect(),
            OnFailure::Continue => lowest.keys().copied().collect(),
        };
        Undone { lowest, reported }
    }
}
