//! A user record on its way.

use std::cell::Cell;
use std::time::Instant;

use kpl_core::{AggregateError, CodecError, HashKey, KeyError, KplRecord, PartitionKey, Tags};

use crate::producer::outcome::Attempts;

thread_local! {
    /// Where keys and payloads are written. Warm, that takes no allocation.
    static BUFFERS: Cell<(String, Vec<u8>)> = const { Cell::new((String::new(), Vec::new())) };
}

/// A buffer that a large record needed is not kept.
const LARGEST_KEPT_BUFFER: usize = 64 * 1024;

/// A record as a pipeline takes it: keys and payload, written.
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_stream::pipeline::EncodedRecord;
///
/// let record = EncodedRecord::new(&RawRecord::new("anna", "some bytes"))?;
/// assert_eq!(record.partition_key(), "anna");
/// # Ok::<(), kpl_core::AggregateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EncodedRecord {
    /// The partition key, then the payload.
    bytes: Box<[u8]>,
    key_len: usize,
    hash_key: HashKey,
    explicit: bool,
    always_wrapped: bool,
    tags: Option<Box<Tags<'static>>>,
}

impl EncodedRecord {
    /// Writes a record.
    ///
    /// # Errors
    ///
    /// [`AggregateError`] if it cannot be written, or has no valid keys.
    pub fn new<T: KplRecord>(record: &T) -> Result<Self, AggregateError> {
        // Taken, not borrowed: the record's own code may send records as well.
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
        let checked = PartitionKey::new(key)?;
        let hash_key = explicit.unwrap_or_else(|| checked.hash_key());
        let payload = record.payload(payload)?;
        let mut bytes = Vec::with_capacity(key.len() + payload.len());
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(payload);
        Ok(Self {
            key_len: key.len(),
            bytes: bytes.into_boxed_slice(),
            hash_key,
            explicit: explicit.is_some(),
            always_wrapped: record.always_wrapped(),
            tags: (!tags.is_empty()).then(|| Box::new(tags.into_owned())),
        })
    }

    /// The partition key.
    #[must_use]
    pub fn partition_key(&self) -> &str {
        let key = self.bytes.get(..self.key_len).unwrap_or_default();
        std::str::from_utf8(key).unwrap_or_default()
    }

    /// The explicit hash key, if it has one.
    #[must_use]
    pub fn explicit_hash_key(&self) -> Option<HashKey> {
        self.explicit.then_some(self.hash_key)
    }

    /// The effective hash key.
    #[must_use]
    pub const fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    /// The payload.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.key_len..).unwrap_or_default()
    }

    /// The tags, if it has any.
    #[must_use]
    pub fn tags(&self) -> Option<&Tags<'static>> {
        self.tags.as_deref()
    }

    /// The partition key and the payload, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
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
        for (key, value) in self.tags.iter().flat_map(|tags| tags.iter()) {
            tags.push(key, value);
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

/// A record that the pipeline holds, and what it knows of it.
#[derive(Debug)]
pub(super) struct Held<H> {
    pub(super) record: EncodedRecord,
    pub(super) handle: H,
    /// The order of acceptance, over all streams.
    pub(super) number: u64,
    pub(super) expires: Instant,
    /// The flush that waits for it.
    pub(super) epoch: u64,
    pub(super) attempts: Attempts,
    /// An attempt may have written it although it counts as failed.
    pub(super) maybe_written: bool,
}
