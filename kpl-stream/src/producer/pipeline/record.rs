//! A user record on its way to the service.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::digest::{Digest, md5_each};
use kpl_core::{
    AggregateError, ByteCount, CodecError, HashKey, InvalidPartitionKey, KeyError, KplRecord, PartitionKey, Tags,
    TraceContext,
};

use crate::clock;
use crate::producer::options::Options;
use crate::producer::outcome::{AttemptError, FailedAttempts};

thread_local! {
    /// Reused for writing keys and payloads: once warm, this does not allocate.
    static BUFFERS: Cell<(String, Vec<u8>)> = const { Cell::new((String::new(), Vec::new())) };
}

/// A larger buffer is not kept.
const LARGEST_KEPT_BUFFER: usize = 64 * 1024;

/// A record that waits to be sent: its keys and its payload as bytes.
///
/// Its `Debug` output shows lengths, never keys or payloads.
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_stream::EncodedRecord;
///
/// let record = EncodedRecord::new(&RawRecord::new("anna", "some bytes"))?;
/// assert_eq!(record.partition_key(), "anna");
/// assert_eq!(record.data(), b"some bytes");
/// # Ok::<(), kpl_core::AggregateError>(())
/// ```
#[derive(Clone)]
pub struct EncodedRecord {
    /// The partition key, then the payload.
    bytes: Box<[u8]>,
    key_len: usize,
    /// The explicit hash key, or that of the partition key, or 0 while it is not known.
    hash_key: HashKey,
    origin: Origin,
    always_wrapped: bool,
    /// Whether an earlier process may have written it.
    pub(crate) maybe_written: bool,
    tags: Option<Box<Tags<'static>>>,
}

/// Where the hash key of a record comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Explicit,
    PartitionKey,
    /// It is that of the partition key, and was not computed yet.
    Unknown,
}

impl EncodedRecord {
    /// Encodes a record.
    ///
    /// # Errors
    ///
    /// [`AggregateError`] if its payload cannot be encoded, or its keys are not valid.
    pub fn new<T: KplRecord>(record: &T) -> Result<Self, AggregateError> {
        // Taken, not borrowed: the record's own code may itself send records.
        let (mut key_buffer, mut payload_buffer) = BUFFERS.take();
        let result = Self::write(record, &mut key_buffer, &mut payload_buffer);
        if payload_buffer.capacity() <= LARGEST_KEPT_BUFFER {
            key_buffer.clear();
            payload_buffer.clear();
            BUFFERS.set((key_buffer, payload_buffer));
        }
        result
    }

    fn write<T: KplRecord>(record: &T, key: &mut String, payload: &mut Vec<u8>) -> Result<Self, AggregateError> {
        let mut tags = Tags::default();
        record.tags(&mut tags)?;
        let explicit = record.explicit_hash_key()?;
        let key = record.partition_key(key)?;
        PartitionKey::new(key)?;
        let payload = record.payload(payload)?;
        let tags = (!tags.is_empty()).then(|| Box::new(tags.into_owned()));
        Ok(Self::checked(key, explicit, tags, payload, record.always_wrapped()))
    }

    /// Returns a record with a partition key that is valid.
    fn checked(
        key: &str,
        explicit: Option<HashKey>,
        tags: Option<Box<Tags<'static>>>,
        payload: &[u8],
        always_wrapped: bool,
    ) -> Self {
        Self {
            key_len: key.len(),
            bytes: joined(key, payload),
            hash_key: explicit.unwrap_or(HashKey::new(0)),
            origin: explicit.map_or(Origin::Unknown, |_| Origin::Explicit),
            always_wrapped,
            maybe_written: false,
            tags,
        }
    }

    /// Returns a record that was encoded before.
    pub(crate) fn from_parts(
        key: &str,
        explicit: Option<HashKey>,
        tags: Tags<'static>,
        payload: &[u8],
        always_wrapped: bool,
    ) -> Result<Self, InvalidPartitionKey> {
        PartitionKey::new(key)?;
        let tags = (!tags.is_empty()).then(|| Box::new(tags));
        Ok(Self::checked(key, explicit, tags, payload, always_wrapped))
    }

    /// Returns the partition key.
    #[must_use]
    pub fn partition_key(&self) -> &str {
        std::str::from_utf8(self.key()).unwrap_or_default()
    }

    /// Returns the explicit hash key, if it has one.
    #[must_use]
    pub fn explicit_hash_key(&self) -> Option<HashKey> {
        (self.origin == Origin::Explicit).then_some(self.hash_key)
    }

    /// Returns the effective hash key: the explicit one, or the MD5 of the partition key, which each call computes until the producer has
    /// stored it.
    #[must_use]
    pub fn hash_key(&self) -> HashKey {
        match self.origin {
            Origin::Explicit | Origin::PartitionKey => self.hash_key,
            Origin::Unknown => HashKey::of_partition_key(self.partition_key()),
        }
    }

    /// Computes the hash keys of records that have none yet, together: that takes a fraction of the time.
    pub(crate) fn compute_hash_keys<'r>(records: impl Iterator<Item = &'r mut Self>) {
        let mut records: Vec<&mut Self> = records.filter(|record| record.origin == Origin::Unknown).collect();
        let mut digests = vec![Digest::default(); records.len()];
        let keys = records.iter().map(|record| record.key());
        md5_each(keys, |index, digest| {
            if let Some(place) = digests.get_mut(index) {
                *place = digest;
            }
        });
        for (record, digest) in records.iter_mut().zip(digests) {
            record.hash_key = digest.into();
            record.origin = Origin::PartitionKey;
        }
    }

    fn key(&self) -> &[u8] {
        self.bytes.get(..self.key_len).unwrap_or_default()
    }

    /// Returns the payload.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.key_len..).unwrap_or_default()
    }

    /// Returns the tags, if it has any.
    #[must_use]
    pub fn tags(&self) -> Option<&Tags<'static>> {
        self.tags.as_deref()
    }

    /// Returns the size of the tags, in bytes: of their keys and values.
    pub(crate) fn tags_len(&self) -> usize {
        let tags = self.tags.iter().flat_map(|tags| tags.iter());
        tags.map(|(key, value)| key.len() + value.map_or(0, str::len)).sum()
    }

    /// Returns the same record in a trace, unless its tags already have one.
    #[must_use]
    pub fn with_trace_context(mut self, context: &TraceContext) -> Self {
        context.add_to(self.tags.get_or_insert_default());
        self
    }

    pub(crate) const fn is_always_wrapped(&self) -> bool {
        self.always_wrapped
    }

    /// Returns the size of the partition key and the payload, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

fn joined(key: &str, payload: &[u8]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(key.len() + payload.len());
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(payload);
    bytes.into_boxed_slice()
}

impl fmt::Debug for EncodedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedRecord")
            .field("partition_key", &ByteCount(self.key_len))
            .field("data", &ByteCount(self.data().len()))
            .finish_non_exhaustive()
    }
}

impl KplRecord for EncodedRecord {
    fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, KeyError> {
        Ok(self.partition_key())
    }

    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(self.explicit_hash_key())
    }

    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        if let Some(own) = &self.tags {
            tags.extend(&**own);
        }
        Ok(())
    }

    fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        Ok(self.data())
    }

    fn always_wrapped(&self) -> bool {
        self.always_wrapped
    }
}

/// A record that the pipeline holds, and what it knows about it.
#[derive(Debug)]
pub(super) struct Held<H> {
    pub(super) record: EncodedRecord,
    pub(super) handle: H,
    /// The record's number in the order of acceptance, across all streams.
    pub(super) number: u64,
    pub(super) arrived: Instant,
    /// The flush that waits for it.
    pub(super) flush: u64,
    /// The lane that it waits in.
    pub(super) lane: usize,
    pub(super) failed: Option<Box<FailedAttempts>>,
    /// Whether an attempt may have written it although it counts as failed.
    pub(super) maybe_written: bool,
}

impl<H> Held<H> {
    /// Returns when its time to live ends.
    pub(super) fn expires(&self, options: &Options) -> Instant {
        clock::after(self.arrived, options.record_ttl)
    }

    /// Notes that an attempt failed.
    pub(super) fn attempt_failed(&mut self, times: Times, error: &Arc<AttemptError>) {
        FailedAttempts::add(&mut self.failed, times.started, times.ended, error);
    }

    /// Fails the attempt that is under way: the producer closes while the record is in a request.
    pub(super) fn give_up_in_flight(&mut self, times: Times, error: &Arc<AttemptError>) {
        self.attempt_failed(times, error);
        self.maybe_written = true;
    }
}

/// An entry of a request.
#[derive(Debug)]
pub(super) struct Entry<H> {
    pub(super) records: Vec<Held<H>>,
    /// The shard that it was meant for, if that was predicted.
    pub(super) shard_id: Option<Arc<str>>,
    /// The number of the lane that it was sent through.
    pub(super) lane: Option<u64>,
    pub(super) aggregated: bool,
    pub(super) size: usize,
}

/// When a request was sent, and when its answer arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) started: Instant,
    pub(super) ended: Instant,
}

impl Times {
    pub(super) fn duration(self) -> Duration {
        self.ended.saturating_duration_since(self.started)
    }
}
