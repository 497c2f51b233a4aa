//! Packing typed records into aggregated records.

mod builder;
mod pack;
mod seal;
mod sealed;
mod sharded;

use core::fmt;
use core::marker::PhantomData;

pub use self::builder::{AggregatorBuilder, DEFAULT_MAX_SIZE, LARGEST_MAX_SIZE};
pub use self::seal::{UnsealedRecord, seal_all};
pub use self::sealed::Sealed;
pub use self::sharded::ShardedAggregator;

use self::builder::Options;
use self::pack::{Buffers, Packer};
use crate::error::AggregateError;
use crate::record::{KplRecord, SealedRecord};

/// Packs many records of a type into few records of a stream.
///
/// Push records; whenever one does not fit any more, the aggregate that is full comes out and a new one starts. What
/// is left at the end comes out of [`finish`](Self::finish). Keep all that comes out: it holds what was pushed.
/// [`aggregate`](Self::aggregate) does the three for whoever has all records at hand.
///
/// One aggregator makes aggregates without regard to shards. A reader that filters by hash key range, as the KCL
/// does, drops aggregates whose records belong to several shards: for streams of more than one shard use a
/// [`ShardedAggregator`].
///
/// ```
/// use kpl_core::{Aggregator, RawRecord};
///
/// let mut aggregator = Aggregator::<RawRecord<'_>>::builder().max_size(200).build()?;
/// let mut sealed = Vec::new();
/// for number in 0..10 {
///     sealed.extend(aggregator.push(&RawRecord::from_parts("abc", vec![number; 50]))?);
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
    /// An aggregator with the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    /// Starts to make an aggregator with other options.
    #[must_use]
    pub fn builder() -> AggregatorBuilder<T> {
        AggregatorBuilder::default()
    }

    fn with_options(options: Options) -> Self {
        Self {
            buffers: Buffers::default(),
            packer: Packer::new(options),
            marker: PhantomData,
        }
    }

    /// Adds a record of any type: another one than `T`, or `T` with another lifetime, such as a view of what is only
    /// borrowed for a moment. As [`push`](Self::push).
    ///
    /// ```
    /// use kpl_core::{Aggregator, RawRecord};
    ///
    /// let mut aggregator = Aggregator::<RawRecord<'_>>::new();
    /// let mut to_send = Vec::new();
    /// for number in 0..3 {
    ///     let text = format!("record {number}");
    ///     to_send.extend(aggregator.push_as(&RawRecord::new("abc", &text))?); // `text` ends here
    /// }
    /// to_send.extend(aggregator.finish());
    /// # assert_eq!(to_send.len(), 1);
    /// # Ok::<(), kpl_core::AggregateError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn push_as<R: KplRecord>(&mut self, record: &R) -> Result<Option<SealedRecord>, AggregateError> {
        Ok(self.push_as_unsealed(record)?.map(UnsealedRecord::seal))
    }

    /// Adds a record of any type, as [`push_unsealed`](Self::push_unsealed).
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    #[inline]
    pub fn push_as_unsealed<R: KplRecord>(&mut self, record: &R) -> Result<Option<UnsealedRecord>, AggregateError> {
        let encoded = self.buffers.encode(record)?;
        self.packer.push(&encoded)
    }

    /// Takes what was pushed and did not come out yet. `None` if there is nothing: an empty aggregate is never made.
    ///
    /// The aggregator can be used again afterwards.
    #[must_use = "it holds user records that would be lost"]
    pub fn finish(&mut self) -> Option<SealedRecord> {
        self.finish_unsealed().map(UnsealedRecord::seal)
    }

    /// As [`finish`](Self::finish), for [`seal_all`].
    #[must_use = "it holds user records that would be lost"]
    pub fn finish_unsealed(&mut self) -> Option<UnsealedRecord> {
        self.packer.take()
    }

    /// How many user records are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.packer.count()
    }

    /// What the record that [`finish`](Self::finish) would give now counts towards the service's limits: its data and
    /// its partition key, in bytes. 0 if nothing is held.
    #[must_use]
    pub fn size(&self) -> usize {
        self.packer.size()
    }

    /// The length of the data that [`finish`](Self::finish) would give now, exact, in bytes. 0 if nothing is held.
    #[must_use]
    pub fn data_size(&self) -> usize {
        self.packer.data_size()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

impl<T: KplRecord> Aggregator<T> {
    /// Adds a record. If an aggregate got full by it, that comes out.
    ///
    /// Full means: the record does not fit any more (then it starts the next aggregate), or the maximum count is
    /// reached (then it is the last of this one).
    ///
    /// # Errors
    ///
    /// [`AggregateError`] if the record cannot be written, has no valid keys or is too large on its own. The
    /// aggregator is then as it was before.
    pub fn push(&mut self, record: &T) -> Result<Option<SealedRecord>, AggregateError> {
        self.push_as(record)
    }

    /// As [`push`](Self::push), but the digest is not computed yet: many aggregates are sealed together by
    /// [`seal_all`] in a fraction of the time.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    #[inline]
    pub fn push_unsealed(&mut self, record: &T) -> Result<Option<UnsealedRecord>, AggregateError> {
        self.push_as_unsealed(record)
    }

    /// Packs all these values, and what was pushed before: an iterator over the records for the stream, the last one
    /// included.
    ///
    /// A value that is refused is an error in its place, and the next values follow: [`Sealed::taken`] tells which
    /// one it was. What was packed when the iterator is dropped half-way stays in the aggregator.
    ///
    /// ```
    /// use kpl_core::{Aggregator, RawRecord};
    ///
    /// let lines = [RawRecord::new("abc", "one"), RawRecord::new("abc", "two")];
    /// for sealed in Aggregator::<RawRecord<'_>>::new().aggregate(&lines) {
    ///     let sealed = sealed?;
    ///     println!("{} bytes under {}", sealed.data.len(), sealed.partition_key);
    /// }
    /// # Ok::<(), kpl_core::AggregateError>(())
    /// ```
    pub fn aggregate<'v, I>(&mut self, values: I) -> Sealed<'_, T, I::IntoIter>
    where
        I: IntoIterator<Item = &'v T>,
        T: 'v,
    {
        Sealed::new(self, values.into_iter())
    }
}

impl<T> Default for Aggregator<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The copy holds the same user records: what comes out of both is in the stream twice.
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
