//! Unpacking the records of a stream into typed user records.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::AddAssign;

use crate::digest::{Digest, md5_many};
use crate::error::{self, DeaggregateError, DeaggregateErrorKind};
use crate::key::{HashKey, HashKeyRange};
use crate::record::{FromKplRecord, KinesisRecord, Position, UserRecord};
use crate::wire::{AggregatedRecord, Frame, NotAggregated, WireRecord, WireRecords};

/// Unpacks records of a stream into user records of a type.
///
/// Takes a batch as GetRecords or a Lambda event gives it: aggregated records and plain ones in any mixture. One bad
/// record never costs its neighbours: it is one error, and the next record follows.
///
/// ```
/// use kpl_core::{Aggregator, Deaggregator, KinesisRecord, RawRecord};
///
/// let mut aggregator = Aggregator::<RawRecord<'_>>::new();
/// aggregator.push(&RawRecord::new("abc", "one"))?;
/// aggregator.push(&RawRecord::new("def", "two"))?;
/// let sealed = aggregator.finish().unwrap();
///
/// let batch = [
///     KinesisRecord::new(&sealed.data).with_sequence_number("7"),
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
    /// # let mut aggregator = Aggregator::<RawRecord<'_>>::new();
    /// # aggregator.push(&RawRecord::new("abc", "one").with_explicit_hash_key(5))?;
    /// # aggregator.push(&RawRecord::new("abc", "two").with_explicit_hash_key(500))?;
    /// # let sealed = aggregator.finish().unwrap();
    /// # let batch = [KinesisRecord::from(&sealed)];
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
    /// For records of one shard. A Kinesis record without a sequence number is delivered.
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

    /// The user records of a batch, in order.
    ///
    /// The digests of the batch are computed together, in the lanes of the processor's vector registers.
    pub fn records<'a>(&self, batch: &'a [KinesisRecord<'a>]) -> Records<'a, T>
    where
        T: FromKplRecord<'a>,
    {
        Records {
            source: Source::new(self.options.clone(), batch, T::MALFORMED),
            marker: PhantomData,
        }
    }

    /// The user records of one Kinesis record, in order.
    pub fn record<'a>(&self, record: &'a KinesisRecord<'a>) -> Records<'a, T>
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
pub struct Received<'a, T> {
    /// The value.
    pub value: T,
    /// The user record that it was made of: keys, tags, payload, arrival time.
    pub record: UserRecord<'a>,
}

impl<T> Received<'_, T> {
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
        self.kinesis_records += other.kinesis_records;
        self.aggregated += other.aggregated;
        self.plain += other.plain;
        self.malformed += other.malformed;
        self.empty_aggregates += other.empty_aggregates;
        self.user_records += other.user_records;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.dropped += other.dropped;
        self.skipped += other.skipped;
    }
}

/// The user records of a batch: made by [`Deaggregator::records`].
#[must_use = "iterators are lazy"]
pub struct Records<'a, T> {
    source: Source<'a>,
    marker: PhantomData<fn() -> T>,
}

impl<'a, T> Records<'a, T> {
    /// What was seen so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.source.counts
    }

    /// The user records that the range filter left out since this was called last, if
    /// [`list_dropped`](Deaggregator::list_dropped) is on.
    pub fn take_dropped(&mut self) -> Vec<UserRecord<'a>> {
        core::mem::take(&mut self.source.dropped)
    }
}

impl<'a, T: FromKplRecord<'a>> Iterator for Records<'a, T> {
    type Item = Result<Received<'a, T>, DeaggregateError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let result = match self.source.next()? {
            Ok(record) => match T::from_user_record(&record) {
                Ok(value) => Ok(Received { value, record }),
                Err(error) => Err(self.source.error(&record, DeaggregateErrorKind::Read(error))),
            },
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => self.source.counts.delivered += 1,
            Err(_) => self.source.counts.failed += 1,
        }
        Some(result)
    }
}

impl<'a, T: FromKplRecord<'a>> core::iter::FusedIterator for Records<'a, T> {}

impl<T> fmt::Debug for Records<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("counts", &self.source.counts)
            .finish_non_exhaustive()
    }
}

/// The batch, untyped, and how far it was read.
struct Source<'a> {
    options: Options,
    malformed: MalformedPolicy,
    counts: Counts,
    dropped: Vec<UserRecord<'a>>,
    batch: &'a [KinesisRecord<'a>],
    /// How many of the batch were opened.
    opened: usize,
    digests: DigestWindow,
    current: Current<'a>,
}

/// The aggregate that is being read.
struct Current<'a> {
    kinesis_record: &'a KinesisRecord<'a>,
    aggregate: AggregatedRecord<'a>,
    records: WireRecords<'a>,
    next_sub: u64,
    /// User records up to this sub-sequence number are skipped.
    skip_to: Option<u64>,
    /// The whole aggregate is left out because of a stray.
    drop_all: bool,
    /// The hash keys of the partition keys, as far as they were needed.
    hash_keys: Vec<Option<HashKey>>,
}

impl<'a> Source<'a> {
    fn new(options: Options, batch: &'a [KinesisRecord<'a>], malformed: MalformedPolicy) -> Self {
        static NO_RECORD: KinesisRecord<'static> = KinesisRecord::EMPTY;
        Self {
            malformed: options.malformed.unwrap_or(malformed),
            options,
            counts: Counts::default(),
            dropped: Vec::new(),
            batch,
            opened: 0,
            digests: DigestWindow::default(),
            current: Current {
                kinesis_record: &NO_RECORD,
                aggregate: AggregatedRecord::default(),
                records: AggregatedRecord::default().records(),
                next_sub: 0,
                skip_to: None,
                drop_all: false,
                hash_keys: Vec::new(),
            },
        }
    }

    #[inline]
    fn next(&mut self) -> Option<Result<UserRecord<'a>, DeaggregateError>> {
        loop {
            while let Some(wire) = self.current.records.next() {
                if let Some(result) = self.user_record(wire) {
                    return Some(result);
                }
            }
            if let Some(result) = self.open_next()? {
                return Some(result);
            }
        }
    }

    /// A user record of the current aggregate, unless it is skipped or dropped.
    #[inline]
    fn user_record(&mut self, wire: WireRecord<'a>) -> Option<Result<UserRecord<'a>, DeaggregateError>> {
        let sub_sequence_number = self.current.next_sub;
        self.current.next_sub += 1;
        self.counts.user_records += 1;
        if self.current.skip_to.is_some_and(|last| sub_sequence_number <= last) {
            self.counts.skipped += 1;
            return None;
        }
        let mut record = UserRecord {
            kinesis_record: self.current.kinesis_record,
            partition_key: None,
            explicit_hash_key: None,
            data: wire.data,
            sub_sequence_number,
            aggregated: true,
            malformed: None,
            tags: wire.tags,
        };
        if let Err(kind) = self.current.aggregate.resolve(&wire, &mut record) {
            return Some(Err(self.error(&record, kind)));
        }
        if let Some(range) = self.options.range {
            let drop = match self.options.strays {
                StrayPolicy::Keep => false,
                StrayPolicy::DropStrays => self.current.is_stray(&wire, &record, range),
                StrayPolicy::DropAggregate => self.current.drop_all,
            };
            if drop {
                self.counts.dropped += 1;
                if self.options.list_dropped {
                    self.dropped.push(record);
                }
                return None;
            }
        }
        Some(Ok(record))
    }

    /// Opens the next Kinesis record. The inner `None` means that its user records, if any, come next.
    fn open_next(&mut self) -> Option<Option<Result<UserRecord<'a>, DeaggregateError>>> {
        let record = self.batch.get(self.opened)?;
        let opened = self.open(record);
        self.opened += 1;
        self.counts.kinesis_records += 1;
        let skip_to = self.skip_to(record);
        let reason = match opened {
            Ok(()) => {
                self.counts.aggregated += 1;
                let current = &mut self.current;
                self.counts.empty_aggregates += u64::from(current.aggregate.is_empty());
                current.kinesis_record = record;
                current.records = current.aggregate.records();
                current.next_sub = 0;
                current.skip_to = skip_to;
                current.hash_keys.clear();
                if let (Some(range), StrayPolicy::DropAggregate) = (self.options.range, self.options.strays) {
                    current.drop_all = current.has_stray(range);
                }
                return Some(None);
            }
            Err(NotAggregated::Plain) => {
                self.counts.plain += 1;
                None
            }
            Err(NotAggregated::Malformed(reason)) => {
                self.counts.malformed += 1;
                Some(reason)
            }
        };
        self.counts.user_records += 1;
        if skip_to.is_some() {
            self.counts.skipped += 1;
            return Some(None);
        }
        let mut user_record = UserRecord::plain(record);
        user_record.malformed = reason;
        Some(Some(match reason {
            Some(reason) if self.malformed == MalformedPolicy::Error => {
                Err(self.error(&user_record, DeaggregateErrorKind::Malformed(reason)))
            }
            _ => Ok(user_record),
        }))
    }

    fn open(&mut self, record: &'a KinesisRecord<'a>) -> Result<(), NotAggregated> {
        let frame = Frame::new(record.data)?;
        let digest = self.digests.get(self.batch, self.opened);
        Ok(frame.open_into(digest, &mut self.current.aggregate)?)
    }

    /// The last sub-sequence number of a Kinesis record that is skipped.
    fn skip_to(&self, record: &KinesisRecord<'_>) -> Option<u64> {
        let after = self.options.after.as_ref()?;
        let first = Position::new(record.sequence_number?, 0).ok()?;
        match first.sequence_number.cmp(&after.sequence_number) {
            core::cmp::Ordering::Less => Some(u64::MAX),
            core::cmp::Ordering::Equal => Some(after.sub_sequence_number),
            core::cmp::Ordering::Greater => None,
        }
    }

    #[cold]
    fn error(&self, record: &UserRecord<'_>, kind: DeaggregateErrorKind) -> DeaggregateError {
        DeaggregateError::new(self.opened.saturating_sub(1), record, kind)
    }
}

impl<'a> Current<'a> {
    /// Whether any record whose keys can be resolved is outside the range.
    fn has_stray(&mut self, range: HashKeyRange) -> bool {
        self.aggregate.records().any(|wire| {
            let mut record = UserRecord::plain(self.kinesis_record);
            self.aggregate.resolve(&wire, &mut record).is_ok() && self.is_stray(&wire, &record, range)
        })
    }

    fn is_stray(&mut self, wire: &WireRecord<'_>, record: &UserRecord<'_>, range: HashKeyRange) -> bool {
        let key = record.explicit_hash_key.or_else(|| self.hash_key(wire, record));
        key.is_some_and(|key| !range.contains(key))
    }

    /// The hash key of a record's partition key, computed once for each key.
    fn hash_key(&mut self, wire: &WireRecord<'_>, record: &UserRecord<'_>) -> Option<HashKey> {
        self.hash_keys.resize(self.aggregate.partition_keys().len(), None);
        let known = self
            .hash_keys
            .get_mut(usize::try_from(wire.partition_key_index).ok()?)?;
        Some(*known.get_or_insert_with(|| HashKey::of_partition_key(record.partition_key.unwrap_or_default())))
    }
}

impl<'a> AggregatedRecord<'a> {
    /// Looks up the keys of a record.
    #[inline]
    fn resolve(&self, wire: &WireRecord<'a>, record: &mut UserRecord<'a>) -> Result<(), DeaggregateErrorKind> {
        let key = lookup(self.partition_keys(), wire.partition_key_index)
            .map_err(|(index, len)| DeaggregateErrorKind::PartitionKeyIndex { index, len })?;
        record.partition_key = Some(key);
        if let Some(index) = wire.explicit_hash_key_index {
            let text = lookup(self.explicit_hash_keys(), index)
                .map_err(|(index, len)| DeaggregateErrorKind::ExplicitHashKeyIndex { index, len })?;
            let key = HashKey::parse_lenient(text);
            record.explicit_hash_key =
                Some(key.ok_or_else(|| DeaggregateErrorKind::ExplicitHashKey { text: error::cut(text) })?);
        }
        Ok(())
    }
}

#[inline]
fn lookup<'a>(table: &[&'a str], index: u64) -> Result<&'a str, (u64, usize)> {
    let entry = usize::try_from(index).ok().and_then(|index| table.get(index));
    entry.copied().ok_or((index, table.len()))
}

/// The digests of the next few records of a batch, computed together.
#[derive(Default)]
struct DigestWindow {
    /// The place in the batch of the first digest.
    start: usize,
    digests: Vec<Digest>,
}

impl DigestWindow {
    /// So many records are looked at together: enough to fill the widest lanes a few times over.
    const RECORDS: usize = 32;

    /// The digest of the protobuf bytes of the record at `index`, which has a frame.
    fn get(&mut self, batch: &[KinesisRecord<'_>], index: usize) -> Digest {
        let held = index.checked_sub(self.start).and_then(|index| self.digests.get(index));
        match held {
            Some(digest) => *digest,
            None => self.compute(batch, index),
        }
    }

    fn compute(&mut self, batch: &[KinesisRecord<'_>], index: usize) -> Digest {
        let mut bodies: [&[u8]; Self::RECORDS] = [&[]; Self::RECORDS];
        let window = batch.iter().skip(index).take(Self::RECORDS);
        let mut len = 0;
        for (body, record) in bodies.iter_mut().zip(window) {
            *body = Frame::new(record.data).map_or(&[][..], |frame| frame.body());
            len += 1;
        }
        self.start = index;
        self.digests.clear();
        self.digests.resize(len, Digest::default());
        md5_many(bodies.get(..len).unwrap_or_default(), &mut self.digests);
        self.digests.first().copied().unwrap_or_default()
    }
}
