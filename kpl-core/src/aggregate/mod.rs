//! Packing typed records into aggregated records.

mod builder;
mod error;
mod iter;
mod options;
mod pack;
mod seal;
mod sharded;

use core::fmt;
use core::marker::PhantomData;

pub use self::builder::AggregatorBuilder;
pub use self::error::AggregateError;
pub use self::iter::{Aggregate, AggregateSharded};
pub use self::options::{DEFAULT_MAX_SIZE, MAX_RECORD_SIZE};
pub use self::seal::{UnsealedRecord, seal_all};
pub use self::sharded::ShardedAggregator;

use self::options::Options;
use self::pack::{Buffers, Packer};
use crate::record::{KplRecord, SealedRecord};

/// Packs many records of a type into few records of a stream.
///
/// Push records: if one no longer fits, [`push`](Self::push) returns the full aggregate and starts a new one.
/// [`finish`](Self::finish) returns the last one. Keep everything that they return: it contains the pushed records. If
/// you have all records already, [`aggregate`](Self::aggregate) does all of this.
///
/// An aggregator of this type ignores shards. A reader that filters by hash key range, as the KCL does, drops
/// aggregates whose records belong to several shards: for streams of more than one shard use a [`ShardedAggregator`].
///
/// ```
/// use kpl_core::{Aggregator, RawRecord};
///
/// let mut aggregator = Aggregator::builder().max_size(200).build()?;
/// let mut sealed = Vec::new();
/// for number in 0..10 {
///     sealed.extend(aggregator.push(&RawRecord::new("abc", [number; 50]))?);
/// }
/// sealed.extend(aggregator.finish());
///
/// assert_eq!(sealed.len(), 4); // of 3, 3, 3 and 1 user records
/// assert!(sealed.iter().all(|record| record.size() <= 200));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Aggregator<T> {
    buffers: Buffers,
    packer: Packer,
    marker: PhantomData<fn(&T)>,
}

impl<T> Aggregator<T> {
    /// Returns an aggregator with the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    pub(super) fn with_options(options: Options) -> Self {
        Self {
            buffers: Buffers::default(),
            packer: Packer::new(options),
            marker: PhantomData,
        }
    }

    /// Returns the remaining aggregate, or `None` if nothing is held: empty aggregates are never built.
    ///
    /// The aggregator can be used again afterwards.
    #[must_use = "it holds user records that would be lost"]
    pub fn finish(&mut self) -> Option<SealedRecord> {
        self.finish_unsealed().map(UnsealedRecord::seal)
    }

    /// Does what [`finish`](Self::finish) does, without computing the digest: for [`seal_all`].
    #[must_use = "it holds user records that would be lost"]
    pub fn finish_unsealed(&mut self) -> Option<UnsealedRecord> {
        self.packer.take()
    }

    /// Returns how many user records are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.packer.count()
    }

    /// Returns how many bytes the record that [`finish`](Self::finish) would return now counts towards the service's
    /// limits: its data and its partition key. 0 if nothing is held.
    #[must_use]
    pub fn size(&self) -> usize {
        self.packer.size()
    }

    /// Returns the exact length in bytes of the data that [`finish`](Self::finish) would return now. 0 if nothing is
    /// held.
    #[must_use]
    pub fn data_size(&self) -> usize {
        self.packer.data_size()
    }

    /// Returns whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

impl<T: KplRecord> Aggregator<T> {
    /// Adds a record, and returns the aggregate that this completed, if any.
    ///
    /// An aggregate is complete when the record no longer fits, so that it starts the next aggregate, or when the
    /// maximum count is reached, so that the record is the last one in it.
    ///
    /// # Errors
    ///
    /// [`AggregateError`] if the record cannot be written, does not have valid keys or is too large on its own. The
    /// aggregator is then unchanged.
    pub fn push(&mut self, record: &T) -> Result<Option<SealedRecord>, AggregateError> {
        Ok(self.push_unsealed(record)?.map(UnsealedRecord::seal))
    }

    /// Does what [`push`](Self::push) does, without computing the digest: [`seal_all`] seals many aggregates together
    /// in a fraction of the time.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    #[inline]
    pub fn push_unsealed(&mut self, record: &T) -> Result<Option<UnsealedRecord>, AggregateError> {
        let encoded = self.buffers.encode(record)?;
        self.packer.push(&encoded)
    }
}

impl<T> Default for Aggregator<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The copy holds the same user records: if the output of both is sent, they are in the stream twice.
impl<T> Clone for Aggregator<T> {
    fn clone(&self) -> Self {
        Self {
            buffers: Buffers::default(),
            packer: self.packer.clone(),
            marker: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Aggregator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregator")
            .field("options", &self.packer.options)
            .field("count", &self.count())
            .field("size", &self.size())
            .finish()
    }
}
