//! A user record on its way to the service.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::digest::md5_each;
use kpl_core::{
    AggregateError, ByteCount, CodecError, HashKey, InvalidPartitionKey, KeyError, KplRecord, PartitionKey, Tags,
    TraceContext,
};

use crate::clock;
use crate::producer::options::Options;
use crate::producer::outcome::{AttemptError, FailedAttempts};

thread_local! {
    /// Reused for writing keys and payloads: once warm, this does not allocate.
    static BUFFERS: RefCell<(String, Vec<u8>)> = const { RefCell::new((String::new(), Vec::new())) };
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
    key_len: u32,
    /// Apart, because most records have nothing of it, and each record moves from stage to stage.
    rare: Option<Box<Rare>>,
    always_wrapped: bool,
    /// Whether an attempt may have written it, in this process or an earlier one, although it counts as failed.
    pub(crate) maybe_written: bool,
}

#[derive(Clone, Default)]
struct Rare {
    explicit_hash_key: Option<HashKey>,
    tags: Tags<'static>,
}

impl EncodedRecord {
    /// Encodes a record.
    ///
    /// # Errors
    ///
    /// [`AggregateError`] if its payload cannot be encoded, or its keys are not valid.
    pub fn new<T: KplRecord>(record: &T) -> Result<Self, AggregateError> {
        let kept = BUFFERS.try_with(|buffers| {
            let mut buffers = buffers.try_borrow_mut().ok()?;
            let (key, payload) = &mut *buffers;
            // They hold what was written for the record before.
            key.clear();
            payload.clear();
            let result = Self::write(record, key, payload);
            if key.capacity().max(payload.capacity()) > LARGEST_KEPT_BUFFER {
                *buffers = Default::default();
            }
            Some(result)
        });
        match kept {
            Ok(Some(result)) => result,
            _ => Self::with_own_buffers(record),
        }
    }

    /// Encodes a record while another is being encoded, because the code of that one sends records, or while the thread ends.
    #[cold]
    fn with_own_buffers<T: KplRecord>(record: &T) -> Result<Self, AggregateError> {
        Self::write(record, &mut String::new(), &mut Vec::new())
    }

    #[inline]
    fn write<T: KplRecord>(record: &T, key: &mut String, payload: &mut Vec<u8>) -> Result<Self, AggregateError> {
        let mut tags = Tags::default();
        record.tags(&mut tags)?;
        let explicit = record.explicit_hash_key()?;
        let key = record.partition_key(key)?;
        PartitionKey::new(key)?;
        let payload = record.payload(payload)?;
        Ok(Self::checked(key, explicit, tags, payload, record.always_wrapped()))
    }

    /// Returns a record with a partition key that is valid.
    #[inline]
    fn checked(
        key: &str,
        explicit_hash_key: Option<HashKey>,
        tags: Tags<'_>,
        payload: &[u8],
        always_wrapped: bool,
    ) -> Self {
        let is_usual = explicit_hash_key.is_none() && tags.is_empty();
        let rare = (!is_usual).then(|| {
            Box::new(Rare {
                explicit_hash_key,
                tags: tags.into_owned(),
            })
        });
        Self {
            key_len: u32::try_from(key.len()).unwrap_or(u32::MAX),
            bytes: joined(key, payload),
            rare,
            always_wrapped,
            maybe_written: false,
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
        self.rare.as_ref()?.explicit_hash_key
    }

    /// Returns the effective hash key: the explicit one, or the MD5 of the partition key, which each call computes.
    #[must_use]
    pub fn hash_key(&self) -> HashKey {
        self.explicit_hash_key()
            .unwrap_or_else(|| HashKey::of_partition_key(self.partition_key()))
    }

    /// Returns the hash keys of records, computed together: that takes a fraction of the time.
    pub(crate) fn hash_keys<'r>(records: impl Iterator<Item = &'r Self> + Clone) -> Vec<HashKey> {
        let explicit = |record: &Self| record.explicit_hash_key();
        let mut hash_keys: Vec<HashKey> = records
            .clone()
            .map(|record| explicit(record).unwrap_or(HashKey::new(0)))
            .collect();
        let (keys, mut places): (Vec<&[u8]>, Vec<&mut HashKey>) = records
            .zip(&mut hash_keys)
            .filter(|(record, _)| explicit(record).is_none())
            .map(|(record, place)| (record.key(), place))
            .unzip();
        md5_each(keys, |index, digest| {
            if let Some(place) = places.get_mut(index) {
                **place = digest.into();
            }
        });
        hash_keys
    }

    fn key(&self) -> &[u8] {
        self.bytes.get(..self.key_len as usize).unwrap_or_default()
    }

    /// Returns the payload.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.key_len as usize..).unwrap_or_default()
    }

    /// Returns the tags, if it has any.
    #[must_use]
    pub fn tags(&self) -> Option<&Tags<'static>> {
        self.rare
            .as_ref()
            .map(|rare| &rare.tags)
            .filter(|tags| !tags.is_empty())
    }

    /// Returns the size of the tags, in bytes: of their keys and values.
    #[inline]
    pub(crate) fn tags_len(&self) -> usize {
        let tags = self.rare.iter().flat_map(|rare| rare.tags.iter());
        tags.map(|(key, value)| key.len() + value.map_or(0, str::len)).sum()
    }

    /// Returns the same record in a trace, unless its tags already have one.
    #[must_use]
    pub fn with_trace_context(mut self, context: &TraceContext) -> Self {
        context.add_to(&mut self.rare.get_or_insert_default().tags);
        self
    }

    pub(crate) const fn is_always_wrapped(&self) -> bool {
        self.always_wrapped
    }

    /// Returns the size of the partition key and the payload, in bytes.
    #[must_use]
    #[inline]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

#[inline]
fn joined(key: &str, payload: &[u8]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(key.len() + payload.len());
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(payload);
    bytes.into_boxed_slice()
}

impl fmt::Debug for EncodedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedRecord")
            .field("partition_key", &ByteCount(self.key().len()))
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
        if let Some(rare) = &self.rare {
            tags.extend(&rare.tags);
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
        self.record.maybe_written = true;
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

#[cfg(test)]
mod tests {
    use kpl_core::RawRecord;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hash_keys_that_are_computed_together_are_those_of_each(
            keys in prop::collection::vec(("[a-zé]{1,80}", prop::option::of(any::<u128>())), 0..130)
        ) {
            let record = |(key, explicit): (String, Option<u128>)| {
                let raw = RawRecord::new(key, "");
                let raw = match explicit {
                    Some(explicit) => raw.with_explicit_hash_key(HashKey::new(explicit)),
                    None => raw,
                };
                EncodedRecord::new(&raw).unwrap()
            };
            let records: Vec<_> = keys.into_iter().map(record).collect();
            let each: Vec<_> = records.iter().map(EncodedRecord::hash_key).collect();
            prop_assert_eq!(EncodedRecord::hash_keys(records.iter()), each);
        }
    }
}
