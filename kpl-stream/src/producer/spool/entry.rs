//! The bytes of a record in a spool.
//!
//! ```text
//! version: u8 = 1
//! flags: u8         1: it has an explicit hash key; 2: it is always sent in an aggregate
//! stream length: u16
//! key length: u16
//! tags: u16         how many there are
//! explicit hash key: u128, if it has one
//! each tag          length of its key: u32, length of its value: u32 (2^32-1: it has none), key, value
//! stream, partition key, payload
//! ```
//!
//! Numbers are little-endian. Checksums are those of the log.

use std::fmt;
use std::sync::Arc;

use kpl_core::{HashKey, Tags};

use crate::producer::pipeline::EncodedRecord;

const VERSION: u8 = 1;
const EXPLICIT_HASH_KEY: u8 = 1;
const ALWAYS_WRAPPED: u8 = 2;
const NO_VALUE: u32 = u32::MAX;

/// A user record in a spool, and the stream that it is for.
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_stream::EncodedRecord;
/// use kpl_stream::spool::SpooledRecord;
///
/// let record = EncodedRecord::new(&RawRecord::new("anna", "some bytes"))?;
/// let spooled = SpooledRecord { stream: "clicks".into(), record };
/// let mut bytes = Vec::new();
/// spooled.encode(&mut bytes)?;
/// let again = SpooledRecord::decode(&bytes)?;
/// assert_eq!(&*again.stream, "clicks");
/// assert_eq!(again.record.partition_key(), "anna");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpooledRecord {
    /// The stream's name or ARN, as it was opened.
    pub stream: Arc<str>,
    /// Its keys, its payload and its tags.
    pub record: EncodedRecord,
}

/// The bytes of a record in a spool cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryError {
    /// A later version of this crate wrote them.
    Version(u8),
    /// They are not those of a record.
    Invalid,
    /// A name, a key or the number of tags is too large for the format.
    TooLong,
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "it has version {version} of the format, which is not known here"),
            Self::Invalid => f.write_str("it is not a valid record"),
            Self::TooLong => f.write_str("its stream's name or its tags are too long for a spool"),
        }
    }
}

impl std::error::Error for EntryError {}

impl SpooledRecord {
    /// Adds the bytes of the record.
    ///
    /// # Errors
    ///
    /// [`EntryError::TooLong`] if the stream's name has more than 65,535 bytes, or if there are that many tags.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EntryError> {
        encode(&self.stream, &self.record, out)
    }

    /// Reads the bytes of a record.
    ///
    /// # Errors
    ///
    /// [`EntryError`] if they are not those of a record, or of a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut rest = Bytes(bytes);
        let [version] = rest.array()?;
        if version != VERSION {
            return Err(EntryError::Version(version));
        }
        let [flags] = rest.array()?;
        let [stream_len, key_len, tag_count] = [rest.array()?, rest.array()?, rest.array()?].map(u16::from_le_bytes);
        let explicit = match flags & EXPLICIT_HASH_KEY {
            0 => None,
            _ => Some(HashKey::new(u128::from_le_bytes(rest.array()?))),
        };
        let mut tags = Tags::default();
        for _ in 0..tag_count {
            let [key_len, value_len] = [rest.array()?, rest.array()?].map(u32::from_le_bytes);
            let key = rest.text(key_len as usize)?;
            let value = match value_len {
                NO_VALUE => None,
                len => Some(rest.text(len as usize)?),
            };
            tags.push(key, value);
        }
        let stream = rest.text(stream_len.into())?.into();
        let key = rest.text(key_len.into())?;
        let always_wrapped = flags & ALWAYS_WRAPPED != 0;
        let record = EncodedRecord::from_parts(key, explicit, tags, rest.0, always_wrapped);
        Ok(Self {
            stream,
            record: record.map_err(|_| EntryError::Invalid)?,
        })
    }
}

pub(super) fn encode(stream: &str, record: &EncodedRecord, out: &mut Vec<u8>) -> Result<(), EntryError> {
    let short = |len: usize| u16::try_from(len).map_err(|_| EntryError::TooLong);
    let key = record.partition_key();
    let lengths = [
        short(stream.len())?,
        short(key.len())?,
        short(record.tags().map_or(0, |tags| tags.iter().count()))?,
    ];
    let explicit = record.explicit_hash_key();
    let flags = match explicit {
        Some(_) => EXPLICIT_HASH_KEY,
        None => 0,
    } | match record.is_always_wrapped() {
        true => ALWAYS_WRAPPED,
        false => 0,
    };
    out.extend_from_slice(&[VERSION, flags]);
    for length in lengths {
        out.extend_from_slice(&length.to_le_bytes());
    }
    if let Some(explicit) = explicit {
        out.extend_from_slice(&explicit.value().to_le_bytes());
    }
    for (key, value) in record.tags().into_iter().flat_map(Tags::iter) {
        // A record is at most 10 MiB: its tags are shorter than 4 GiB.
        let len = |text: &str| u32::try_from(text.len()).map_err(|_| EntryError::TooLong);
        out.extend_from_slice(&len(key)?.to_le_bytes());
        out.extend_from_slice(&value.map_or(Ok(NO_VALUE), len)?.to_le_bytes());
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(value.unwrap_or_default().as_bytes());
    }
    out.extend_from_slice(stream.as_bytes());
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(record.data());
    Ok(())
}

/// Bytes that are being read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], EntryError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(EntryError::Invalid)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], EntryError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(EntryError::Invalid)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn text(&mut self, len: usize) -> Result<&'a str, EntryError> {
        std::str::from_utf8(self.take(len)?).map_err(|_| EntryError::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that an entry keeps.
    type Parts = (
        String,
        String,
        Option<u128>,
        Vec<(String, Option<String>)>,
        Vec<u8>,
        bool,
    );

    fn spooled((stream, key, explicit, tags, data, wrapped): Parts) -> SpooledRecord {
        let tags: Tags<'static> = tags.iter().map(|(key, value)| (&**key, value.as_deref())).collect();
        let record = EncodedRecord::from_parts(&key, explicit.map(HashKey::new), tags, &data, wrapped);
        SpooledRecord {
            stream: stream.into(),
            record: record.unwrap(),
        }
    }

    fn parts(of: &SpooledRecord) -> Parts {
        let SpooledRecord { stream, record } = of;
        let tags = record.tags().into_iter().flat_map(Tags::iter);
        (
            stream.to_string(),
            record.partition_key().into(),
            record.explicit_hash_key().map(HashKey::value),
            tags.map(|(key, value)| (key.into(), value.map(Into::into))).collect(),
            record.data().to_vec(),
            record.is_always_wrapped(),
        )
    }

    proptest! {
        #[test]
        fn a_record_comes_back_whole(parts_before in any::<(String, String, Option<u128>, Vec<(String, Option<String>)>, Vec<u8>, bool)>()) {
            let mut parts_before = parts_before;
            parts_before.1 = parts_before.1.chars().take(255).chain(['k']).collect();
            let record = spooled(parts_before.clone());
            let mut bytes = Vec::new();
            record.encode(&mut bytes).unwrap();
            let again = SpooledRecord::decode(&bytes).unwrap();
            prop_assert_eq!(parts(&again), parts_before);
            prop_assert_eq!(again.record.hash_key(), record.record.hash_key());
            // Of anything that was cut off, there is an error or a shorter payload.
            for len in 0..bytes.len() - record.record.data().len() {
                prop_assert_eq!(SpooledRecord::decode(&bytes[..len]).unwrap_err(), EntryError::Invalid);
            }
        }

        #[test]
        fn any_bytes_are_a_record_or_an_error(bytes in any::<Vec<u8>>()) {
            let _ = SpooledRecord::decode(&bytes);
            let _ = SpooledRecord::decode(&[&[VERSION], &*bytes].concat());
        }
    }

    #[test]
    fn records_of_later_versions_are_told_apart() {
        assert_eq!(SpooledRecord::decode(&[2, 0]).unwrap_err(), EntryError::Version(2));
        let record = spooled(("s".repeat(65_536), "k".into(), None, vec![], vec![], false));
        assert_eq!(record.encode(&mut Vec::new()).unwrap_err(), EntryError::TooLong);
    }
}
