//! Builds aggregators with options other than the default ones.

use core::fmt;
use core::marker::PhantomData;

use super::options::Options;
use super::{Aggregator, ShardedAggregator};
use crate::error::InvalidOption;
use crate::key::PartitionKey;
use crate::shard::ShardMap;

/// Sets the options of an [`Aggregator`] or a [`ShardedAggregator`].
///
/// ```
/// use kpl_core::{Aggregator, RawRecord};
///
/// let mut aggregator = Aggregator::builder().max_size(25_600).max_count(100).build()?;
/// aggregator.push(&RawRecord::new("abc", "some bytes"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct AggregatorBuilder<T> {
    pub(crate) options: Options,
    marker: PhantomData<fn(&T)>,
}

impl<T> Aggregator<T> {
    /// Returns a builder for an aggregator with other options than the default ones.
    pub fn builder() -> AggregatorBuilder<T> {
        AggregatorBuilder::default()
    }
}

impl<T> AggregatorBuilder<T> {
    /// Sets how many bytes a record may count at most towards the service's limit: data and outer partition key. The
    /// default is 51,200, the maximum 10 MiB.
    ///
    /// A user record that is larger on its own is refused.
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.options.max_size = bytes;
        self
    }

    /// Sets how many user records may be in one aggregate. The default is as many as fit.
    pub fn max_count(mut self, user_records: usize) -> Self {
        self.options.max_count = user_records;
        self
    }

    /// Sends every aggregate under this partition key, instead of its first user record's. (The KPL uses `"a"`.)
    ///
    /// The outer explicit hash key, which is always that of the first user record, selects the shard.
    pub fn outer_partition_key(mut self, key: PartitionKey<'_>) -> Self {
        self.options.outer_partition_key = Some(key.into_owned());
        self
    }

    /// Sets whether a record that is alone in its aggregate is wrapped nevertheless. By default it is sent raw under
    /// its own partition key, as the KPL does.
    ///
    /// Records are always wrapped if their data starts with the magic of an aggregate, if they have tags, or if their
    /// type asks for it ([`KplRecord::always_wrapped`](crate::KplRecord::always_wrapped)). The service uses the
    /// explicit hash key of a raw record, but readers do not receive it.
    pub fn wrap_single(mut self, wrap: bool) -> Self {
        self.options.wrap_single = wrap;
        self
    }

    /// Builds the aggregator.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] if an option is out of its range.
    pub fn build(self) -> Result<Aggregator<T>, InvalidOption> {
        Ok(Aggregator::with_options(self.options.check()?))
    }

    /// Builds an aggregator that never mixes shards.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] if an option is out of its range.
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

impl<T> PartialEq for AggregatorBuilder<T> {
    fn eq(&self, other: &Self) -> bool {
        self.options == other.options
    }
}

impl<T> Eq for AggregatorBuilder<T> {}

impl<T> fmt::Debug for AggregatorBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AggregatorBuilder").field(&self.options).finish()
    }
}
