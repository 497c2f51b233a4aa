//! The user records of an event that are not done.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use kpl_core::{Received, Undecodable};
use lambda_runtime::Error;

use super::OnFailure;
use crate::batch::Batch;

/// The place of a user record in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The index of its Kinesis record.
    pub(super) index: usize,
    pub(super) sub_sequence_number: u64,
}

impl Place {
    pub(super) fn of<T>(item: &Result<Received<T>, Undecodable>) -> Self {
        match item {
            Ok(received) => Self::of_received(received),
            Err(undecodable) => Self::of_undecodable(undecodable),
        }
    }

    pub(super) fn of_received<T>(received: &Received<T>) -> Self {
        Self {
            index: received.kinesis_record_index(),
            sub_sequence_number: received.sub_sequence_number(),
        }
    }

    pub(super) fn of_undecodable(undecodable: &Undecodable) -> Self {
        Self {
            index: undecodable.kinesis_record_index(),
            sub_sequence_number: undecodable.sub_sequence_number(),
        }
    }
}

/// The progress of an event, shared by everything that is handled concurrently.
#[derive(Debug)]
pub struct Progress<'e> {
    on_failure: OnFailure,
    batch: &'e Batch<'e>,
    stopped: AtomicBool,
    /// The lowest sub-sequence number that is not done, for each Kinesis record that has one.
    lowest: Mutex<BTreeMap<usize, u64>>,
}

/// The records that are not done, by the index of the Kinesis record in the event.
#[derive(Debug)]
pub(super) struct Undone {
    /// The lowest sub-sequence number of each Kinesis record that is to be retried.
    pub(super) lowest: BTreeMap<usize, u64>,
    /// The Kinesis records that the answer names.
    pub(super) reported: Vec<usize>,
}

impl<'e> Progress<'e> {
    pub(super) const fn new(on_failure: OnFailure, batch: &'e Batch<'e>) -> Self {
        Self {
            on_failure,
            batch,
            stopped: AtomicBool::new(false),
            lowest: Mutex::new(BTreeMap::new()),
        }
    }

    /// Returns whether nothing more should be started.
    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Notes that a user record was not handled.
    pub(super) fn undone(&self, place: Place) {
        let mut lowest = self.lowest.lock().unwrap_or_else(PoisonError::into_inner);
        match lowest.entry(place.index) {
            Entry::Vacant(entry) => drop(entry.insert(place.sub_sequence_number)),
            Entry::Occupied(mut entry) => {
                let lowest = place.sub_sequence_number.min(*entry.get());
                entry.insert(lowest);
            }
        }
    }

    /// Notes that a user record, or every record from it on, could not be handled.
    pub(super) fn failed(&self, place: Place, error: &Error) {
        let Place {
            index,
            sub_sequence_number,
        } = place;
        let event_id = self.batch.event_id(index);
        tracing::error!(event_id, sub_sequence_number, %error, "a user record failed");
        self.undone(place);
        if self.on_failure == OnFailure::Stop {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn into_undone(self) -> Undone {
        let lowest = self.lowest.into_inner().unwrap_or_else(PoisonError::into_inner);
        let reported = match self.on_failure {
            OnFailure::Stop => lowest.keys().copied().take(1).collect(),
            OnFailure::Continue => lowest.keys().copied().collect(),
        };
        Undone { lowest, reported }
    }
}
