//! The records that are sent.

use std::borrow::Cow;
use std::ops::Range;

use kpl_core::{CodecError, HashKey, KeyError, KplRecord, RawRecord, Tags};

/// A user record. The service does not return explicit hash keys, so one that has such a key is always in an aggregated record.
#[derive(Debug)]
pub(super) struct Record {
    record: RawRecord,
    /// Where the partition key is in the data, if the record does not have one of its own.
    key: Range<usize>,
}

impl Record {
    /// Returns a record whose partition key may be a part of its data.
    pub(super) fn with_key_in(data: &[u8], key: Cow<'_, str>) -> Self {
        let start = match &key {
            // Both are addresses; elsewhere the difference does not lead to the key.
            Cow::Borrowed(key) => key.as_ptr().addr().checked_sub(data.as_ptr().addr()),
            Cow::Owned(_) => None,
        };
        let range = start.map(|start| start..start.saturating_add(key.len()));
        match range.filter(|range| data.get(range.clone()) == Some(key.as_bytes())) {
            Some(range) => {
                let mut record = RawRecord::new("", data);
                record.partition_key = None;
                Self { record, key: range }
            }
            None => RawRecord::new(key, data).into(),
        }
    }

    /// Returns the size of its partition key and its data.
    pub(super) fn size(&self) -> usize {
        self.key.len() + self.record.size()
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.record.data
    }

    /// Returns it with a partition key of its own, or without one if that is in its data.
    pub(super) const fn raw(&self) -> &RawRecord {
        &self.record
    }
}

impl From<RawRecord> for Record {
    fn from(record: RawRecord) -> Self {
        Self { record, key: 0..0 }
    }
}

impl KplRecord for Record {
    #[inline]
    fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError> {
        if self.record.partition_key.is_some() {
            return self.record.partition_key(buffer);
        }
        let key = self.record.data.get(self.key.clone());
        key.and_then(|key| str::from_utf8(key).ok()).ok_or(KeyError::Missing)
    }

    #[inline]
    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        self.record.explicit_hash_key()
    }

    #[inline]
    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        self.record.tags(tags)
    }

    #[inline]
    fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        Ok(&self.record.data)
    }

    #[inline]
    fn always_wrapped(&self) -> bool {
        self.record.explicit_hash_key.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(record: &Record) -> String {
        record.partition_key(&mut String::new()).unwrap().to_owned()
    }

    #[test]
    fn the_key_is_what_it_was_wherever_it_is() {
        let data = r#"{"user":"anna"}"#;
        let within = Record::with_key_in(data.as_bytes(), data[9..13].into());
        let other = data.to_owned();
        let outside = Record::with_key_in(data.as_bytes(), other[9..13].into());
        let owned = Record::with_key_in(data.as_bytes(), "anna".to_owned().into());
        for record in [&within, &outside, &owned] {
            assert_eq!((key(record).as_str(), record.data()), ("anna", data.as_bytes()));
            assert_eq!(record.size(), 4 + data.len());
        }
        assert_eq!(within.raw().partition_key, None);
        let empty = Record::with_key_in(data.as_bytes(), data[9..9].into());
        assert_eq!((key(&empty).as_str(), empty.size()), ("", data.len()));
    }
}
