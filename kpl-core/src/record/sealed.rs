//! Records that are ready for PutRecords.

use alloc::vec::Vec;
use core::fmt;

use crate::debug::ByteCount;
use crate::key::{HashKey, PartitionKey};

/// A record that is ready for PutRecords: an aggregate, or the payload of a single user record.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealedRecord {
    /// The data.
    pub data: Vec<u8>,
    /// The outer partition key.
    pub partition_key: PartitionKey<'static>,
    /// The outer explicit hash key: the effective hash key of the first user record.
    pub explicit_hash_key: HashKey,
    /// How many user records are inside.
    pub user_records: usize,
    /// Whether the data is an aggregate. If not, it is the payload of one user record.
    pub aggregated: bool,
}

impl SealedRecord {
    /// Returns how many bytes the record counts towards the service's limits: the data and the partition key.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len() + self.partition_key.as_str().len()
    }
}

impl fmt::Debug for SealedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedRecord")
            .field("data", &ByteCount(self.data.len()))
            .field("partition_key", &self.partition_key)
            .field("explicit_hash_key", &self.explicit_hash_key)
            .field("user_records", &self.user_records)
            .field("aggregated", &self.aggregated)
            .finish()
    }
}
