//! Packing typed records into aggregated records.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use crate::digest::{Digest, md5, md5_many};
use crate::error::{AggregateError, InvalidOption};
use crate::key::{HashKey, PartitionKey};
use crate::record::{KplRecord, RawRecord, SealedRecord};
use crate::shard::ShardMap;
use crate::sharded::ShardedAggregator;
use crate::wire::{MAGIC, Parts, Tags, Writer};

/// Packs many records of a type into few records of a stream.
///
/// Push records; whenever one does not fit any more, the aggregate that is full comes out and a new one starts. What
/// is left at the end comes out of [`finish`](Self::finish).
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
    /// The maximum size that aggregators have unless told otherwise, as the KPL: 51,200 bytes.
    pub const DEFAULT_MAX_SIZE: usize = 51_200;

    /// The largest maximum size: 10 MiB, the largest record of any stream.
    pub const LARGEST_MAX_SIZE: usize = 10 * 1024 * 1024;

    /// An aggregator with the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    /// Starts to make an aggregator with other options.
    #[must_use]
    pub fn builder() -> AggregatorBuilder<T> {
        AggregatorBuilder {
            options: Options::default(),
            marker: PhantomData,
        }
    }

    fn with_options(options: Options) -> Self {
        Self {
            buffers: Buffers::default(),
            packer: Packer::new(options),
            marker: PhantomData,
        }
    }

    /// Adds a user record of keys and bytes, whatever `T` is. As [`push`](Self::push).
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn push_raw(&mut self, record: &RawRecord<'_>) -> Result<Option<SealedRecord>, AggregateError> {
        Ok(self.push_raw_unsealed(record)?.map(UnsealedRecord::seal))
    }

    /// Adds a user record of keys and bytes, as [`push_unsealed`](Self::push_unsealed).
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn push_raw_unsealed(&mut self, record: &RawRecord<'_>) -> Result<Option<UnsealedRecord>, AggregateError> {
        let encoded = self.buffers.encode(record)?;
        self.packer.push(&encoded)
    }

    /// Takes what was pushed and did not come out yet. `None` if there is nothing: an empty aggregate is never made.
    ///
    /// The aggregator can be used again afterwards.
    pub fn finish(&mut self) -> Option<SealedRecord> {
        self.finish_unsealed().map(UnsealedRecord::seal)
    }

    /// As [`finish`](Self::finish), for [`seal_all`].
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
        Ok(self.push_unsealed(record)?.map(UnsealedRecord::seal))
    }

    /// As [`push`](Self::push), but the digest is not computed yet: many aggregates are sealed together by
    /// [`seal_all`] in a fraction of the time.
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
    /// whose type asks for it ([`KplRecord::always_wrapped`]). A raw record's explicit hash key does its work in the
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
    max_size: usize,
    max_count: usize,
    outer_partition_key: Option<PartitionKey<'static>>,
    wrap_single: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_size: Aggregator::<()>::DEFAULT_MAX_SIZE,
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
        check("max_size", self.max_size, 1, Aggregator::<()>::LARGEST_MAX_SIZE)?;
        check("max_count", self.max_count, 1, usize::MAX)?;
        Ok(self)
    }
}

/// Where a record is written before it is known to fit. Warm, they take no allocation.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    partition_key: String,
    payload: Vec<u8>,
    tags: Tags<'static>,
}

/// A user record as it will be pushed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded<'a> {
    pub(crate) parts: Parts<'a>,
    pub(crate) always_wrapped: bool,
}

impl Buffers {
    #[inline]
    pub(crate) fn encode<'a, T: KplRecord>(&'a mut self, record: &'a T) -> Result<Encoded<'a>, AggregateError> {
        self.partition_key.clear();
        self.payload.clear();
        self.tags.clear();
        record.tags(&mut self.tags)?;
        let partition_key = record.partition_key(&mut self.partition_key)?;
        PartitionKey::check(partition_key)?;
        Ok(Encoded {
            parts: Parts {
                partition_key,
                explicit_hash_key: record.explicit_hash_key()?,
                data: record.payload(&mut self.payload)?,
                tags: &self.tags,
            },
            always_wrapped: record.always_wrapped(),
        })
    }
}

/// One aggregate in the making, and the rules of when it is full and how it goes out.
#[derive(Clone, Debug)]
pub(crate) struct Packer {
    options: Options,
    writer: Writer,
    /// The explicit hash key of the first record.
    first_explicit: Option<HashKey>,
    /// The length of the first record's data, if that would be sent raw were it to stay alone.
    raw_len: Option<usize>,
    /// Whether a record is held that must be wrapped even when alone.
    always_wrapped: bool,
}

impl Packer {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            writer: Writer::default(),
            first_explicit: None,
            raw_len: None,
            always_wrapped: false,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, record: &Encoded<'_>) -> Result<Option<UnsealedRecord>, AggregateError> {
        self.check_alone(record)?;
        Ok(self.add(record))
    }

    /// Whether a record is small enough on its own. It must be, whatever is held: it may have to go out alone.
    #[inline]
    pub(crate) fn check_alone(&self, record: &Encoded<'_>) -> Result<(), AggregateError> {
        // Framing, an explicit hash key, and an outer partition key of 256 characters take less than this.
        const MORE_THAN_ALL_ELSE: usize = 2048;
        let parts = &record.parts;
        let rough = parts.data.len() + parts.partition_key.len() + MORE_THAN_ALL_ELSE;
        if rough <= self.options.max_size && parts.tags.is_empty() {
            return Ok(());
        }
        self.check_alone_exactly(record)
    }

    fn check_alone_exactly(&self, record: &Encoded<'_>) -> Result<(), AggregateError> {
        let own_key = record.parts.partition_key;
        let size = if self.may_be_raw(record) {
            record.parts.data.len() + own_key.len()
        } else {
            let outer_key = self.options.outer_partition_key.as_ref();
            Writer::size_alone(&record.parts) + outer_key.map_or(own_key, PartitionKey::as_str).len()
        };
        let max_size = self.options.max_size;
        if size > max_size {
            return Err(AggregateError::TooLarge { size, max_size });
        }
        Ok(())
    }

    /// Adds a record that passed [`check_alone`](Self::check_alone). If an aggregate got full by it, that comes out.
    #[inline]
    pub(crate) fn add(&mut self, record: &Encoded<'_>) -> Option<UnsealedRecord> {
        let parts = &record.parts;
        let mut full = None;
        let mut plan = self.writer.plan(parts);
        if !self.is_empty() && self.writer.size() + plan.added + self.outer_key_len() > self.options.max_size {
            full = self.take();
            plan = self.writer.plan(parts);
        }
        if self.is_empty() {
            self.first_explicit = parts.explicit_hash_key;
            self.raw_len = self.may_be_raw(record).then_some(parts.data.len());
            self.always_wrapped = false;
        }
        self.always_wrapped |= record.always_wrapped;
        self.writer.push(parts, plan);
        if self.writer.count() >= self.options.max_count {
            full = self.take();
        }
        full
    }

    /// Gives what is held, record by record.
    pub(crate) fn for_each_record(&self, mut each: impl FnMut(Encoded<'_>)) {
        self.writer.for_each(|parts| {
            each(Encoded {
                parts,
                always_wrapped: self.always_wrapped,
            });
        });
    }

    #[inline]
    fn may_be_raw(&self, record: &Encoded<'_>) -> bool {
        let Encoded { parts, always_wrapped } = record;
        !(self.options.wrap_single || *always_wrapped || !parts.tags.is_empty() || parts.data.starts_with(&MAGIC))
    }

    /// The length of the data that would be sent raw now.
    fn raw_len(&self) -> Option<usize> {
        self.raw_len.filter(|_| self.writer.count() == 1)
    }

    pub(crate) const fn count(&self) -> usize {
        self.writer.count()
    }

    fn is_empty(&self) -> bool {
        self.writer.count() == 0
    }

    fn data_size(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        self.raw_len().unwrap_or_else(|| self.writer.size())
    }

    pub(crate) fn size(&self) -> usize {
        match self.data_size() {
            _ if self.is_empty() => 0,
            size if self.raw_len().is_some() => size + self.writer.first_partition_key_len(),
            size => size + self.outer_key_len(),
        }
    }

    /// The length of the partition key that an aggregate goes out under.
    #[inline]
    fn outer_key_len(&self) -> usize {
        match &self.options.outer_partition_key {
            Some(key) => key.as_str().len(),
            None => self.writer.first_partition_key_len(),
        }
    }

    /// Takes what is held.
    #[cold]
    pub(crate) fn take(&mut self) -> Option<UnsealedRecord> {
        let first = PartitionKey::new(self.writer.first_partition_key()).ok()?.into_owned();
        let raw_len = self.raw_len();
        let user_records = self.writer.count();
        let effective = match self.first_explicit {
            Some(key) => Effective::Explicit(key),
            None => Effective::OfPartitionKey(first.clone()),
        };
        let (data, partition_key) = match raw_len {
            Some(len) => {
                let data = self.writer.last_data(len).to_vec();
                self.writer.clear();
                (data, first)
            }
            None => (
                self.writer.take(),
                self.options.outer_partition_key.clone().unwrap_or(first),
            ),
        };
        Some(UnsealedRecord {
            data,
            partition_key,
            effective,
            user_records,
            aggregated: raw_len.is_none(),
        })
    }
}

/// A record that only lacks its digest.
///
/// ```
/// use kpl_core::{Aggregator, RawRecord, seal_all};
///
/// let mut aggregator = Aggregator::<RawRecord<'_>>::builder().max_count(100).build()?;
/// let mut unsealed = Vec::new();
/// for number in 0..1000 {
///     let text = format!("record {number}");
///     unsealed.extend(aggregator.push_raw_unsealed(&RawRecord::new("abc", &text))?);
/// }
/// unsealed.extend(aggregator.finish_unsealed());
/// let sealed = seal_all(unsealed);
/// assert_eq!(sealed.len(), 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it holds user records that would be lost"]
pub struct UnsealedRecord {
    data: Vec<u8>,
    partition_key: PartitionKey<'static>,
    effective: Effective,
    user_records: usize,
    aggregated: bool,
}

/// What the outer explicit hash key is made of.
#[derive(Clone, Debug)]
enum Effective {
    Explicit(HashKey),
    OfPartitionKey(PartitionKey<'static>),
}

impl UnsealedRecord {
    /// Computes the digest of this record alone.
    pub fn seal(self) -> SealedRecord {
        let digest = if self.aggregated {
            md5(self.body())
        } else {
            Digest::default()
        };
        self.seal_with(digest)
    }

    /// What the digest is computed of, if there is one.
    fn body(&self) -> &[u8] {
        let aggregate = if self.aggregated { &self.data[..] } else { &[] };
        aggregate.strip_prefix(&MAGIC).unwrap_or_default()
    }

    fn seal_with(mut self, digest: Digest) -> SealedRecord {
        if self.aggregated {
            self.data.extend_from_slice(&digest);
        }
        SealedRecord {
            data: self.data,
            explicit_hash_key: match self.effective {
                Effective::Explicit(key) => key,
                Effective::OfPartitionKey(key) => key.hash_key(),
            },
            partition_key: self.partition_key,
            user_records: self.user_records,
            aggregated: self.aggregated,
        }
    }

    /// How many user records are inside.
    #[must_use]
    pub const fn user_records(&self) -> usize {
        self.user_records
    }
}

/// Computes the digests of many records together, in the lanes of the processor's vector registers.
///
/// Gives what [`UnsealedRecord::seal`] gives for each, in the same order, in a fraction of the time.
pub fn seal_all(records: impl IntoIterator<Item = UnsealedRecord>) -> Vec<SealedRecord> {
    let mut records = records.into_iter();
    let mut sealed = Vec::with_capacity(records.size_hint().0);
    let mut group = Vec::new();
    loop {
        group.extend(records.by_ref().take(SEALED_TOGETHER));
        if group.is_empty() {
            return sealed;
        }
        let mut bodies: [&[u8]; SEALED_TOGETHER] = [&[]; SEALED_TOGETHER];
        for (body, record) in bodies.iter_mut().zip(&group) {
            *body = record.body();
        }
        let mut digests = [Digest::default(); SEALED_TOGETHER];
        md5_many(&bodies, &mut digests);
        sealed.extend(group.drain(..).zip(digests).map(|(record, digest)| record.seal_with(digest)));
    }
}

/// Twice as many as the widest registers have lanes: few enough that what was just packed is still in the cache.
const SEALED_TOGETHER: usize = 32;
