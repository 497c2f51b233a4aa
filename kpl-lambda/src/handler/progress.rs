//! Which user records of an event are not done.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use lambda_runtime::Error;

use super::OnFailure;
use crate::place::Place;

/// Shared by all that is handled at the same time.
#[derive(Debug)]
pub struct Progress {
    on_failure: OnFailure,
    stopped: AtomicBool,
    /// The lowest sub-sequence number of each Kinesis record with one.
    lowest: Mutex<BTreeMap<usize, u64>>,
}

/// What is not done, by the place of the Kinesis record in the event.
#[derive(Debug)]
pub(super) struct Undone {
    /// The lowest sub-sequence number of each Kinesis record that is to be retried.
    pub(super) lowest: BTreeMap<usize, u64>,
    /// The Kinesis records that the answer names.
    pub(super) reported: Vec<usize>,
}

impl Progress {
    pub(super) const fn new(on_failure: OnFailure) -> Self {
        Self {
            on_failure,
            stopped: AtomicBool::new(false),
            lowest: Mutex::new(BTreeMap::new()),
        }
    }

    /// Whether nothing more is to be begun.
    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// A user record was not handled.
    pub(super) fn undone(&self, place: &Place) {
        let mut lowest = self.lowest.lock().unwrap_or_else(PoisonError::into_inner);
        match lowest.entry(place.index) {
            Entry::Vacant(entry) => drop(entry.insert(place.sub_sequence_number)),
            Entry::Occupied(mut entry) => {
                let lowest = place.sub_sequence_number.min(*entry.get());
                entry.insert(lowest);
            }
        }
    }

    /// A user record, or all from it on, could not be handled.
    pub(super) fn failed(&self, place: &Place, error: &Error) {
        let sub_sequence_number = place.sub_sequence_number;
        tracing::error!(event_id = place.origin.event_id(), sub_sequence_number, %error, "a user record failed");
        self.undone(place);
        if self.on_failure == OnFailure::Stop {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn into_undone(self) -> Undone {
        let lowest = self.lowest.into_inner().unwrap_or_else(PoisonError::into_inner);
        let reported = match self.on_failure {
            OnFailure::Stop => lowest.keys().copied().take(1).collect(),
            OnFailure::GoOn => lowest.keys().copied().collect(),
        };
        Undone { lowest, reported }
    }
}
