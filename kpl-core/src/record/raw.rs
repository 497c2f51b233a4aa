//! Raw records: user records whose payload is their own bytes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{FromKplRecord, KplRecord, MalformedPolicy, UserRecord};
use crate::debug::ByteCount;
use crate::error::{CodecError, KeyError, ReadError};
use crate::key::HashKey;
use crate::wire::Tags;

/// A user record whose payload is its own bytes: for programs that do not know, or do not need to know, what is inside.
///
/// It owns its key and its bytes. [`UserRecord`] is its counterpart that borrows them.
///
/// A program that forwards records and must keep every explicit hash key should set
/// [`wrap_single`](crate::AggregatorBuilder::wrap_single): the service uses the explicit hash key of a lone record that
/// is sent raw, but readers do not receive it.
///
/// ```
/// use kpl_core::{Aggregator, Deaggregator, KinesisRecord, RawRecord};
///
/// let mut aggregator = Aggregator::new();
/// for line in ["one", "two"] {
///     aggregator.push(&RawRecord::new("abc", line).with_explicit_hash_key(7))?;
/// }
/// let sealed = aggregator.finish().ok_or("nothing was pushed")?;
///
/// let data: Vec<_> = Deaggregator::<RawRecord>::new()
///     .records(&[KinesisRecord::from(&sealed)])
///     .map(|record| Ok(record?.value.data))
///     .collect::<Result<_, kpl_core::DeaggregateError>>()?;
/// assert_eq!(data, [b"one", b"two"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RawRecord {
    /// The partition key. Records of streams whose record distribution strategy is AUTO may not have one; an aggregator
    /// refuses a record without one.
    pub partition_key: Option<String>,
    /// The explicit hash key.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: Vec<u8>,
    /// The tags.
    pub tags: Tags<'static>,
}

impl RawRecord {
    /// Returns a record with this partition key and these bytes.
    pub fn new(partition_key: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Self {
            partition_key: Some(partition_key.into()),
            data: data.into(),
            ..Self::default()
        }
    }

    /// Returns the length of the partition key and the payload together, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.partition_key.as_ref().map_or(0, String::len) + self.data.len()
    }

    /// Returns the same record with an explicit hash key.
    #[must_use]
    pub fn with_explicit_hash_key(mut self, key: impl Into<HashKey>) -> Self {
        self.explicit_hash_key = Some(key.into());
        self
    }

    /// Returns the same record with one more tag.
    #[must_use]
    pub fn with_tag(mut self, key: &str, value: Option<&str>) -> Self {
        self.tags.push(key, value);
        self
    }
}

impl From<&UserRecord<'_>> for RawRecord {
    fn from(record: &UserRecord<'_>) -> Self {
        Self {
            partition_key: record.partition_key.map(Into::into),
            explicit_hash_key: record.explicit_hash_key,
            data: record.data.into(),
            tags: record.tags().into_owned(),
        }
    }
}

impl KplRecord for RawRecord {
    #[inline]
    fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, KeyError> {
        self.partition_key.as_deref().ok_or(KeyError::Missing)
    }

    #[inline]
    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(self.explicit_hash_key)
    }

    #[inline]
    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        if !self.tags.is_empty() {
            tags.append(&self.tags);
        }
        Ok(())
    }

    #[inline]
    fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        Ok(&self.data)
    }
}

impl FromKplRecord<'_> for RawRecord {
    const MALFORMED: MalformedPolicy = MalformedPolicy::Deliver;

    fn from_user_record(record: &UserRecord<'_>) -> Result<Self, ReadError> {
        Ok(record.into())
    }
}

impl fmt::Debug for RawRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRecord")
            .field("partition_key", &self.partition_key)
            .field("explicit_hash_key", &self.explicit_hash_key)
            .field("data", &ByteCount(self.data.len()))
            .field("tags", &self.tags)
            .finish()
    }
}
