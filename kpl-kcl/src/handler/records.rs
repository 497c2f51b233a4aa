//! The user records of a delivery, each with its origin.

use std::sync::{Arc, Mutex, PoisonError};

use kpl_core::{Origin, UserRecord};

use crate::protocol::Delivery;

/// The user records of a delivery, each with its origin. Those of an aggregate share one.
pub(super) struct Records<'d> {
    delivery: &'d Delivery<'d>,
    shard_id: Option<&'d Arc<str>>,
    /// The last sequence number that was looked up, and its origin.
    last: Mutex<Option<(&'d str, Arc<Origin>)>>,
}

impl<'d> Records<'d> {
    pub(super) const fn new(delivery: &'d Delivery<'d>, shard_id: Option<&'d Arc<str>>) -> Self {
        Self {
            delivery,
            shard_id,
            last: Mutex::new(None),
        }
    }

    pub(super) const fn delivery(&self) -> &'d Delivery<'d> {
        self.delivery
    }

    pub(super) fn get(&self, index: usize) -> Option<(UserRecord<'d>, Arc<Origin>)> {
        let record = self.delivery.get(index)?;
        let number = record.kinesis_record.sequence_number.unwrap_or_default();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, origin)) = last.as_ref().filter(|(last, _)| *last == number) {
            return Some((record, Arc::clone(origin)));
        }
        let mut origin = Origin::of(&record.kinesis_record);
        // The KCL passes on the partition key of the user record only.
        origin.partition_key = None;
        origin.shard_id = self.shard_id.cloned();
        let origin = Arc::new(origin);
        *last = Some((number, Arc::clone(&origin)));
        Some((record, origin))
    }
}
