//! Unpacking the records of a stream into typed user records.

mod batch;
mod counts;
mod digests;
mod error;
mod opened;
mod options;

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

pub use self::counts::Counts;
pub use self::error::{DeaggregateError, DeaggregateErrorKind};
pub use self::options::StrayPolicy;

use self::batch::Batch;
use self::options::Options;
use crate::key::HashKeyRange;
use crate::position::Position;
use crate::record::{FromKplRecord, KinesisRecord, MalformedPolicy, UserRecord};

/// Unpacks records of a stream into user records of a type.
///
/// It takes a batch as GetRecords returns it or a Lambda event holds it: any mixture of aggregated and plain records. A
/// bad record never affects its neighbours: it is one error, and the next record follows.
///
/// No matter how hostile the bytes, reading `n` of them takes linear time and at most 48 `n` bytes plus 4 KiB of
/// memory, for the key tables. User records take no memory. An error owns its data and at most 4 KiB, and
/// [`list_dropped`](Self::list_dropped) keeps one [`UserRecord`] for each record that is dropped.
///
/// ```
/// use kpl_core::{Aggregator, Deaggregator, KinesisRecord, RawRecord};
///
/// let two = [RawRecord::new("abc", "one"), RawRecord::new("def", "two")];
/// let sealed: Vec<_> = Aggregator::<RawRecord>::new().aggregate(&two).collect::<Result<_, _>>()?;
///
/// let batch = [
///     KinesisRecord::new(&sealed[0].data).with_sequence_number("7"),
///     KinesisRecord::new(b"a plain record").with_partition_key("xyz").with_sequence_number("8"),
/// ];
/// for record in Deaggregator::<RawRecord>::new().records(&batch) {
///     let record = record?;
///     println!("{}: {:?}", record.position().unwrap(), record.value.data);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Deaggregator<T> {
    options: Options,
    marker: PhantomData<fn() -> T>,
}

impl<T> Deaggregator<T> {
    /// Returns a deaggregator that delivers everything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            options: Options::default(),
            marker: PhantomData,
        }
    }

    /// Filters by hash key range, and sets what happens to user records of aggregates that are outside `range`.
    ///
    /// Do not use it for streams whose record distribution strategy is AUTO: keys say nothing about shards there.
    ///
    /// ```
    /// # use kpl_core::{Aggregator, Deaggregator, HashKeyRange, KinesisRecord, RawRecord, StrayPolicy};
    /// # let inside = RawRecord::new("abc", "one").with_explicit_hash_key(5);
    /// # let outside = RawRecord::new("abc", "two").with_explicit_hash_key(500);
    /// # let sealed: Vec<_> = Aggregator::<RawRecord>::new().aggregate(&[inside, outside]).collect::<Result<_, _>>()?;
    /// # let batch = [KinesisRecord::from(&sealed[0])];
    /// let shard = HashKeyRange::try_from(0..=99)?;
    /// let mut records = Deaggregator::<RawRecord>::new().range(shard, StrayPolicy::DropStrays).records(&batch);
    /// assert_eq!(records.by_ref().count(), 1);
    /// assert_eq!(records.counts().dropped, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn range(mut self, range: HashKeyRange, strays: StrayPolicy) -> Self {
        self.options.range = Some(range);
        self.options.strays = strays;
        self
    }

    /// Sets whether the user records that the range filter leaves out are kept in a list: see
    /// [`Records::take_dropped`].
    #[must_use]
    pub fn list_dropped(mut self, list: bool) -> Self {
        self.options.list_dropped = list;
        self
    }

    /// Resumes after a position: leaves out everything at or before `position`, even in the middle of an aggregate.
    ///
    /// All records must be of one shard. A Kinesis record is delivered if it does not have a sequence number, or if its
    /// sequence number does not consist of digits.
    #[must_use]
    pub fn after(mut self, position: Position) -> Self {
        self.options.after = Some(position);
        self
    }

    /// Sets what happens to bytes that carry the magic but are not a valid aggregate. By default
    /// [`T` decides](FromKplRecord::MALFORMED).
    #[must_use]
    pub fn malformed(mut self, policy: MalformedPolicy) -> Self {
        self.options.malformed = Some(policy);
        self
    }

    /// Returns the user records of a batch, in order. Values that borrow do so from the data of the batch's records,
    /// not from the slice.
    ///
    /// The digests of the batch are computed together, in the lanes of the processor's vector registers.
    pub fn records<'b, 'a>(&self, batch: &'b [KinesisRecord<'a>]) -> Records<'b, 'a, T>
    where
        T: FromKplRecord<'a>,
    {
        Records {
            batch: Batch::new(self.options.clone(), batch, T::MALFORMED),
            marker: PhantomData,
        }
    }

    /// Returns the user records of one Kinesis record, in order.
    pub fn record<'b, 'a>(&self, record: &'b KinesisRecord<'a>) -> Records<'b, 'a, T>
    where
        T: FromKplRecord<'a>,
    {
        self.records(core::slice::from_ref(record))
    }
}

impl<T> Default for Deaggregator<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Deaggregator<T> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            marker: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Deaggregator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deaggregator").field(&self.options).finish()
    }
}

/// A user record as a value of its type, with everything that is known about it: the item of [`Records`].
///
/// [`Received`](crate::Received) is its counterpart that owns all of its data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Deaggregated<'a, T> {
    /// The value.
    pub value: T,
    /// The user record that it was read from: keys, tags, payload, arrival time.
    pub record: UserRecord<'a>,
}

impl<'a, T> Deaggregated<'a, T> {
    /// Returns the record's partition key.
    #[must_use]
    pub const fn partition_key(&self) -> Option<&'a str> {
        self.record.partition_key
    }

    /// Returns the record's position in its shard, if its Kinesis record has a sequence number that consists of digits.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.record.position()
    }
}

/// An iterator over the user records of a batch, returned by [`Deaggregator::records`].
#[must_use = "iterators are lazy"]
pub struct Records<'b, 'a, T> {
    batch: Batch<'b, 'a>,
    marker: PhantomData<fn() -> T>,
}

impl<'b, 'a, T> Records<'b, 'a, T> {
    /// Returns the counts so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        let mut counts = self.batch.counts;
        counts.user_records = counts.delivered + counts.failed + counts.dropped + counts.skipped;
        counts
    }

    pub(crate) const fn batch(&self) -> &'b [KinesisRecord<'a>] {
        self.batch.batch
    }

    /// Returns the user records that the range filter left out since the last call, if
    /// [`list_dropped`](Deaggregator::list_dropped) is on.
    pub fn take_dropped(&mut self) -> Vec<UserRecord<'a>> {
        core::mem::take(&mut self.batch.dropped)
    }
}

impl<'b, 'a, T: FromKplRecord<'a>> Iterator for Records<'b, 'a, T> {
    type Item = Result<Deaggregated<'a, T>, DeaggregateError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.batch.next_usual() {
            Some(record) => record,
            None => match self.batch.next()? {
                Ok(record) => record,
                Err(error) => {
                    self.batch.counts.failed += 1;
                    return Some(Err(error));
                }
            },
        };
        Some(match T::from_user_record(&record) {
            Ok(value) => {
                self.batch.counts.delivered += 1;
                Ok(Deaggregated { value, record })
            }
            Err(error) => {
                self.batch.counts.failed += 1;
                Err(DeaggregateError::new(&record, DeaggregateErrorKind::Read(error)))
            }
        })
    }
}

impl<'a, T: FromKplRecord<'a>> core::iter::FusedIterator for Records<'_, 'a, T> {}

impl<T> fmt::Debug for Records<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
