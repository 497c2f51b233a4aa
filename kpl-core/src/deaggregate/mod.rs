//! Unpacking the records of a stream into typed user records.

mod batch;
mod digests;
mod opened;

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::AddAssign;

use crate::error::{DeaggregateError, DeaggregateErrorKind};
use crate::key::HashKeyRange;
use crate::position::Position;
use crate::record::{FromKplRecord, KinesisRecord, UserRecord};

use self::batch::Batch;

/// Unpacks records of a stream into user records of a type.
///
/// Takes a batch as GetRecords or a Lambda event gives it: aggregated records and plain ones in any mixture. One bad
/// record never costs its neighbours: it is one error, and the next record follows.
///
/// However hostile the bytes, reading `n` of them takes linear time, and at most 48 `n` bytes of memory and 4 KiB: for
/// the key tables, nothing for user records. An error owns its data and at most 4 KiB, and what
/// [`list_dropped`](Self::list_dropped) keeps is one [`UserRecord`] each.
///
/// ```
/// use kpl_core::{Aggregator, Deaggregator, KinesisRecord, RawRecord};
///
/// let two = [RawRecord::new("abc", "one"), RawRecord::new("def", "two")];
/// let sealed: Vec<_> = Aggregator::new().aggregate(&two).collect::<Result<_, _>>()?;
///
/// let batch = [
///     KinesisRecord::new(&sealed[0].data).with_sequence_number("7"),
///     KinesisRecord::new(b"a plain record").with_partition_key("xyz").with_sequence_number("8"),
/// ];
/// for record in Deaggregator::<RawRecord<'_>>::new().records(&batch) {
///     let record = record?;
///     println!("{}: {:?}", record.position().unwrap(), record.value.data);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Deaggregator<T> {
    options: Options,
    marker: PhantomData<fn() -> T>,
}

#[derive(Clone, Debug, Default)]
struct Options {
    range: Option<HashKeyRange>,
    strays: StrayPolicy,
    list_dropped: bool,
    after: Option<Position>,
    malformed: Option<MalformedPolicy>,
}

/// What happens to the user records of an aggregate that are outside the hash key range.
///
/// Records whose keys cannot be resolved are errors under every policy, and Kinesis records that are no aggregates
/// are delivered under every policy, as the KCL does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum StrayPolicy {
    /// They are delivered.
    #[default]
    Keep,
    /// They are left out, and the others are delivered.
    DropStrays,
    /// If there is one, the whole aggregate is left out. This is what the KCL does.
    DropAggregate,
}

/// What happens to bytes that carry the magic but are not a valid aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MalformedPolicy {
    /// They are one plain record, [marked with the reason](UserRecord::malformed). The default for
    /// [`RawRecord`](crate::RawRecord).
    Deliver,
    /// They are an error that carries the bytes and the reason, so that a codec never guesses at them. The default
    /// for other types.
    Error,
}

impl<T> Deaggregator<T> {
    /// A deaggregator that delivers everything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            options: Options::default(),
            marker: PhantomData,
        }
    }

    /// Filters by hash key range: what happens to user records of aggregates that are outside `range`.
    ///
    /// Not for streams whose record distribution strategy is AUTO: there keys say nothing about shards.
    ///
    /// ```
    /// # use kpl_core::{Aggregator, Deaggregator, HashKeyRange, KinesisRecord, RawRecord, StrayPolicy};
    /// # let inside = RawRecord::new("abc", "one").with_explicit_hash_key(5);
    /// # let outside = RawRecord::new("abc", "two").with_explicit_hash_key(500);
    /// # let sealed: Vec<_> = Aggregator::new().aggregate(&[inside, outside]).collect::<Result<_, _>>()?;
    /// # let batch = [KinesisRecord::from(&sealed[0])];
    /// let shard = HashKeyRange::try_from(0..=99)?;
    /// let mut records = Deaggregator::<RawRecord<'_>>::new().range(shard, StrayPolicy::DropStrays).records(&batch);
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

    /// Keeps a list of the user records that the range filter leaves out: see [`Records::take_dropped`].
    #[must_use]
    pub fn list_dropped(mut self, list: bool) -> Self {
        self.options.list_dropped = list;
        self
    }

    /// Resumes: leaves out all that stands at or before `position`, also in the middle of an aggregate.
    ///
    /// For records of one shard. A Kinesis record without a sequence number, or with one that is not made of digits, is
    /// delivered.
    #[must_use]
    pub fn after(mut self, position: Position) -> Self {
        self.options.after = Some(position);
        self
    }

    /// What happens to bytes that carry the magic but are not a valid aggregate, instead of
    /// [what `T` says](FromKplRecord::MALFORMED).
    #[must_use]
    pub fn malformed(mut self, policy: MalformedPolicy) -> Self {
        self.options.malformed = Some(policy);
        self
    }

    /// The user records of a batch, in order. Values that borrow do so from the data of the batch's records, not from
    /// the slice.
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

    /// The user records of one Kinesis record, in order.
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

/// A user record as a value of its type, with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Received<'b, 'a, T> {
    /// The value.
    pub value: T,
    /// The user record that it was made of: keys, tags, payload, arrival time.
    pub record: UserRecord<'b, 'a>,
}

impl<'a, T> Received<'_, 'a, T> {
    /// The record's partition key.
    #[must_use]
    pub const fn partition_key(&self) -> Option<&'a str> {
        self.record.partition_key
    }

    /// Where the record stands in its shard, if its Kinesis record has a sequence number that is one.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.record.position()
    }
}

/// What a deaggregator saw, and what it did with it.
///
/// `user_records` is the sum of `delivered`, `failed`, `dropped` and `skipped`.
///
/// ```
/// # use kpl_core::{Deaggregator, KinesisRecord, RawRecord};
/// let batch = [KinesisRecord::new(b"one"), KinesisRecord::new(b"two")];
/// let mut records = Deaggregator::<RawRecord<'_>>::new().records(&batch);
/// records.by_ref().for_each(drop);
/// assert_eq!(records.counts().plain, 2);
/// assert_eq!(records.counts().delivered, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Kinesis records seen: `aggregated`, `plain` and `malformed` together.
    pub kinesis_records: u64,
    /// Kinesis records that are aggregates.
    pub aggregated: u64,
    /// Kinesis records that are one user record each.
    pub plain: u64,
    /// Kinesis records that carry the magic but are no valid aggregates.
    pub malformed: u64,
    /// Aggregates without a single user record.
    pub empty_aggregates: u64,
    /// User records seen.
    pub user_records: u64,
    /// User records delivered as values.
    pub delivered: u64,
    /// User records delivered as errors.
    pub failed: u64,
    /// User records left out by the hash key range.
    pub dropped: u64,
    /// User records left out because they stand before the position to resume after.
    pub skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Self {
            kinesis_records,
            aggregated,
            plain,
            malformed,
            empty_aggregates,
            user_records,
            delivered,
            failed,
            dropped,
            skipped,
        } = other;
        self.kinesis_records += kinesis_records;
        self.aggregated += aggregated;
        self.plain += plain;
        self.malformed += malformed;
        self.empty_aggregates += empty_aggregates;
        self.user_records += user_records;
        self.delivered += delivered;
        self.failed += failed;
        self.dropped += dropped;
        self.skipped += skipped;
    }
}

/// The user records of a batch: made by [`Deaggregator::records`].
#[must_use = "iterators are lazy"]
pub struct Records<'b, 'a, T> {
    batch: Batch<'b, 'a>,
    marker: PhantomData<fn() -> T>,
}

impl<'b, 'a, T> Records<'b, 'a, T> {
    /// What was seen so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        let mut counts = self.batch.counts;
        counts.user_records = counts.delivered + counts.failed + counts.dropped + counts.skipped;
        counts
    }

    /// The user records that the range filter left out since this was called last, if
    /// [`list_dropped`](Deaggregator::list_dropped) is on.
    pub fn take_dropped(&mut self) -> Vec<UserRecord<'b, 'a>> {
        core::mem::take(&mut self.batch.dropped)
    }
}

impl<'b, 'a, T: FromKplRecord<'a>> Iterator for Records<'b, 'a, T> {
    type Item = Result<Received<'b, 'a, T>, DeaggregateError>;

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
                Ok(Received { value, record })
            }
            Err(error) => {
                self.batch.counts.failed += 1;
                Err(self.batch.error(&record, DeaggregateErrorKind::Read(error)))
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
