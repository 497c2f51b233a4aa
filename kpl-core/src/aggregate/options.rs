//! The options of aggregators, and their valid values.

use crate::error::InvalidOption;
use crate::key::PartitionKey;

/// The default maximum size of aggregates, that of the KPL's `aggregation_max_size`: 51,200 bytes.
pub const DEFAULT_MAX_SIZE: usize = 51_200;

/// The largest record of any stream, which is the largest maximum size of aggregates: 10 MiB
/// ([PutRecords](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html)).
pub const MAX_RECORD_SIZE: usize = 10 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(super) max_size: usize,
    pub(super) max_count: usize,
    pub(super) outer_partition_key: Option<PartitionKey<'static>>,
    pub(super) wrap_single: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_size: DEFAULT_MAX_SIZE,
            max_count: usize::MAX,
            outer_partition_key: None,
            wrap_single: false,
        }
    }
}

impl Options {
    pub(super) fn check(self) -> Result<Self, InvalidOption> {
        InvalidOption::check("max_size", self.max_size, 1..=MAX_RECORD_SIZE)?;
        InvalidOption::check("max_count", self.max_count, 1..=usize::MAX)?;
        Ok(self)
    }
}
