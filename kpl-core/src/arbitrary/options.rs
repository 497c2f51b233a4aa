//! How an arbitrary batch is aggregated.

use ::arbitrary::{Arbitrary, Result, Unstructured};

use crate::{AggregatorBuilder, DEFAULT_MAX_SIZE, LARGEST_MAX_SIZE, PartitionKey};

/// The options of the aggregator that makes a batch, as [`AggregatorBuilder`] has them.
///
/// Arbitrary ones are the defaults or small limits, so that a few values make several Kinesis records.
///
/// ```
/// use kpl_core::arbitrary::Options;
///
/// let options = Options::default().max_count(3).wrap_single(true);
/// assert_eq!(options.max_count, 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// [`AggregatorBuilder::max_size`].
    pub max_size: usize,
    /// [`AggregatorBuilder::max_count`].
    pub max_count: usize,
    /// [`AggregatorBuilder::outer_partition_key`].
    pub outer_partition_key: Option<PartitionKey<'static>>,
    /// [`AggregatorBuilder::wrap_single`].
    pub wrap_single: bool,
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
    /// The same options with another [`max_size`](AggregatorBuilder::max_size).
    #[must_use]
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.max_size = bytes;
        self
    }

    /// The same options with another [`max_count`](AggregatorBuilder::max_count).
    #[must_use]
    pub fn max_count(mut self, user_records: usize) -> Self {
        self.max_count = user_records;
        self
    }

    /// The same options with an [`outer_partition_key`](AggregatorBuilder::outer_partition_key).
    #[must_use]
    pub fn outer_partition_key(mut self, key: PartitionKey<'_>) -> Self {
        self.outer_partition_key = Some(key.into_owned());
        self
    }

    /// The same options with another [`wrap_single`](AggregatorBuilder::wrap_single).
    #[must_use]
    pub fn wrap_single(mut self, wrap: bool) -> Self {
        self.wrap_single = wrap;
        self
    }

    /// Starts an aggregator with these options.
    #[must_use]
    pub fn builder<T>(&self) -> AggregatorBuilder<T> {
        let builder = AggregatorBuilder::default()
            .max_size(self.max_size)
            .max_count(self.max_count)
            .wrap_single(self.wrap_single);
        match &self.outer_partition_key {
            Some(key) => builder.outer_partition_key(key.clone()),
            None => builder,
        }
    }
}

impl Arbitrary<'_> for Options {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            max_size: match u.arbitrary::<u8>()? {
                0..=127 => DEFAULT_MAX_SIZE,
                128..=191 => u.int_in_range(30..=400)?,
                192..=223 => u.int_in_range(400..=4_000)?,
                224.. => LARGEST_MAX_SIZE,
            },
            max_count: match u.arbitrary::<u8>()? {
                0..=127 => usize::MAX,
                128.. => u.int_in_range(1..=5)?,
            },
            wrap_single: u.arbitrary()?,
            outer_partition_key: match u.arbitrary::<u8>()? {
                0..=191 => None,
                192.. => Some(u.arbitrary()?),
            },
        })
    }
}
