//! The options of aggregators.

use core::fmt;
use core::marker::PhantomData;

use super::{Aggregator, ShardedAggregator};
use crate::error::InvalidOption;
use crate::key::PartitionKey;
use crate::shard::ShardMap;

/// The maximum size that aggregators have unless told otherwise, as the KPL's `aggregation_max_size`: 51,200 bytes.
pub const DEFAULT_MAX_SIZE: usize = 51_200;

/// The largest maximum size: 10 MiB, the largest record of any stream
/// ([PutRecords](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html)).
pub const LARGEST_MAX_SIZE: usize = 10 * 1024 * 1024;

/// Sets the options of an [`Aggregator`] or a [`ShardedAggregator`].
pub struct AggregatorBuilder<T> {
    options: Options,
    marker: PhantomData<fn(&T)>,
}

impl<T> AggregatorBuilder<T> {
    /// The most bytes that a record may count towards the service's limit: data and outer partition key. Default
    /// 51,200, at most 10 MiB.
    ///
    /// A user record that is larger on its own is refused.
    #[must_use]
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.options.max_size = bytes;
        self
    }

    /// The most user records in one aggregate. Default: as many as fit.
    #[must_use]
    pub fn max_count(mut self, user_records: usize) -> Self {
        self.options.max_count = user_records;
        self
    }

    /// Puts every aggregate under this partition key, instead of its first user record's. (The KPL uses `"a"`.)
    ///
    /// The shard is decided by the outer explicit hash key, which is always that of the first user record.
    #[must_use]
    pub fn outer_partition_key(mut self, key: PartitionKey<'_>) -> Self {
        self.options.outer_partition_key = Some(key.into_owned());
        self
    }

    /// Whether a record that is alone in its aggregate is wrapped all the same. Default: no, it is sent raw under its
    /// own partition key, as the KPL does.
    ///
    /// Wrapped in any case: a record whose data starts with the magic of an aggregate, one that has tags, and one
    /// whose type asks for it ([`KplRecord::always_wrapped`](crate::KplRecord::always_wrapped)). A raw record's explicit hash key does its work in the
    /// stream, but readers do not get it.
    #[must_use]
    pub fn wrap_single(mut self, wrap: bool) -> Self {
        self.options.wrap_single = wrap;
        self
    }

    /// Makes the aggregator.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] if an option has a value that it cannot have.
    pub fn build(self) -> Result<Aggregator<T>, InvalidOption> {
        Ok(Aggregator::with_options(self.options.check()?))
    }

    /// Makes an aggregator that keeps shards apart.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] if an option has a value that it cannot have.
    pub fn build_sharded(self, shards: ShardMap) -> Result<ShardedAggregator<T>, InvalidOption> {
        Ok(ShardedAggregator::with_options(self.options.check()?, shards))
    }
}

impl<T> Default for AggregatorBuilder<T> {
    fn default() -> Self {
        Self {
            options: Options::default(),
            marker: PhantomData,
        }
    }
}

impl<T> Clone for AggregatorBuilder<T> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            marker: PhantomData,
        }
    }
}

impl<T> fmt::Debug for AggregatorBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AggregatorBuilder").field(&self.options).finish()
    }
}

#[derive(Clone, Debug)]
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
    fn check(self) -> Result<Self, InvalidOption> {
        let check = |option, value, min, max| match value {
            value if (min..=max).contains(&value) => Ok(()),
            value => Err(InvalidOption {
                option,
                value,
                min,
                max,
            }),
        };
        check("max_size", self.max_size, 1, LARGEST_MAX_SIZE)?;
        check("max_count", self.max_count, 1, usize::MAX)?;
        Ok(self)
    }
}
