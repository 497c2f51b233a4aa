//! The aggregate that is being read: its user records, their keys, and whether they are strays.

use alloc::vec::Vec;

use super::DeaggregateErrorKind;
use crate::digest::Digest;
use crate::error::cut;
use crate::key::{HashKey, HashKeyRange};
use crate::record::{KinesisRecord, UserRecord};
use crate::wire::{Contents, Found, Frame, Keys, Malformed, WireRecord, WireRecords};

#[derive(Default)]
pub(super) struct Opened<'a> {
    aggregate: Contents<'a>,
    /// The explicit hash keys that are kept as texts, as numbers; `None` where one is not a valid number.
    explicit_hash_keys: Vec<Option<HashKey>>,
    /// The hash keys of the partition keys, computed when they are first needed.
    hash_keys: Vec<Option<HashKey>>,
    rest: Option<Rest<'a>>,
}

/// The user records that have not been read yet.
struct Rest<'a> {
    kinesis_record: KinesisRecord<'a>,
    kinesis_record_index: usize,
    /// Those of a stretch of the aggregate.
    records: WireRecords<'a>,
    /// The index of the next stretch.
    next_stretch: usize,
    next_sub_sequence_number: u64,
}

impl<'a> Opened<'a> {
    /// Opens another aggregate. After an error, no user records are left to read.
    pub(super) fn open(
        &mut self,
        record: &KinesisRecord<'a>,
        index: usize,
        frame: &Frame<'a>,
        digest: Digest,
    ) -> Result<(), Malformed> {
        self.rest = None;
        frame.open_into(digest, &mut self.aggregate)?;
        let explicit_hash_keys = self.aggregate.explicit_hash_keys.texts().iter();
        self.explicit_hash_keys.clear();
        self.explicit_hash_keys
            .extend(explicit_hash_keys.map(|text| HashKey::parse_lenient(text)));
        self.hash_keys.clear();
        self.rest = self.aggregate.stretch(0).map(|records| Rest {
            kinesis_record: *record,
            kinesis_record_index: index,
            records,
            next_stretch: 1,
            next_sub_sequence_number: 0,
        });
        Ok(())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.aggregate.is_empty()
    }

    /// Returns the next user record with its keys, if there is one, it is in canonical form, and its keys can be
    /// resolved.
    #[inline]
    pub(super) fn next_usual(&mut self) -> Option<UserRecord<'a>> {
        let (wire, records) = self.rest.as_ref()?.records.usual()?;
        self.deliver(&wire, records)
    }

    /// Does what [`next_usual`](Self::next_usual) does, for a record in any form and behind any other fields.
    #[inline]
    pub(super) fn next_unusual(&mut self) -> Option<UserRecord<'a>> {
        let (wire, records) = self.rest.as_ref()?.records.unusual()?;
        self.deliver(&wire, records)
    }

    /// Returns a user record with its keys and goes on to `records`, if its keys can be resolved.
    // Inlined, as `WireRecord::read` is: moving records through memory takes more time than reading them.
    #[inline(always)]
    fn deliver(&mut self, wire: &WireRecord<'a>, records: WireRecords<'a>) -> Option<UserRecord<'a>> {
        let rest = self.rest.as_mut()?;
        let partition_key = Some(self.aggregate.partition_keys.get(wire.partition_key_index)?);
        let explicit_hash_key = match wire.explicit_hash_key_index {
            Some(index) => Some(number(
                &self.aggregate.explicit_hash_keys,
                &self.explicit_hash_keys,
                index,
            )??),
            None => None,
        };
        let sub_sequence_number = rest.next_sub_sequence_number;
        rest.next_sub_sequence_number += 1;
        rest.records = records;
        Some(UserRecord {
            partition_key,
            explicit_hash_key,
            ..UserRecord::inner(
                rest.kinesis_record,
                rest.kinesis_record_index,
                wire,
                sub_sequence_number,
            )
        })
    }

    /// Returns the next user record, without its keys.
    #[inline]
    pub(super) fn next(&mut self) -> Option<(WireRecord<'a>, UserRecord<'a>)> {
        let rest = self.rest.as_mut()?;
        let wire = loop {
            if let Some(wire) = rest.records.next() {
                break wire;
            }
            let Some(records) = self.aggregate.stretch(rest.next_stretch) else {
                self.rest = None;
                return None;
            };
            rest.records = records;
            rest.next_stretch += 1;
        };
        let record = UserRecord::inner(
            rest.kinesis_record,
            rest.kinesis_record_index,
            &wire,
            rest.next_sub_sequence_number,
        );
        rest.next_sub_sequence_number += 1;
        Some((wire, record))
    }

    /// Looks up the keys of a user record.
    #[inline]
    pub(super) fn resolve(
        &self,
        wire: &WireRecord<'a>,
        record: &mut UserRecord<'a>,
    ) -> Result<(), DeaggregateErrorKind> {
        let index = wire.partition_key_index;
        let partition_keys = &self.aggregate.partition_keys;
        record.partition_key = partition_keys.get(index);
        if record.partition_key.is_none() {
            let len = partition_keys.len();
            return Err(DeaggregateErrorKind::PartitionKeyIndex { index, len });
        }
        if let Some(index) = wire.explicit_hash_key_index {
            record.explicit_hash_key = self.explicit_hash_key(index)?;
        }
        Ok(())
    }

    fn explicit_hash_key(&self, index: u64) -> Result<Option<HashKey>, DeaggregateErrorKind> {
        let texts = &self.aggregate.explicit_hash_keys;
        match number(texts, &self.explicit_hash_keys, index) {
            Some(None) => Err(DeaggregateErrorKind::ExplicitHashKey {
                text: texts.get(index).map_or_else(Default::default, cut),
            }),
            Some(key) => Ok(key),
            None => Err(DeaggregateErrorKind::ExplicitHashKeyIndex {
                index,
                len: texts.len(),
            }),
        }
    }

    /// Returns whether any user record whose keys can be resolved is outside the range.
    pub(super) fn has_stray(&mut self, range: HashKeyRange) -> bool {
        let Some(rest) = &self.rest else {
            return false;
        };
        let (kinesis_record, index) = (rest.kinesis_record, rest.kinesis_record_index);
        let mut stretch = 0;
        while let Some(mut records) = self.aggregate.stretch(stretch) {
            let has_stray = records.any(|wire| {
                let mut record = UserRecord::inner(kinesis_record, index, &wire, 0);
                self.resolve(&wire, &mut record).is_ok() && self.is_stray(&wire, &record, range)
            });
            if has_stray {
                return true;
            }
            stretch += 1;
        }
        false
    }

    /// Returns whether a user record whose keys were looked up is outside the range.
    pub(super) fn is_stray(&mut self, wire: &WireRecord<'_>, record: &UserRecord<'_>, range: HashKeyRange) -> bool {
        let key = record.explicit_hash_key.or_else(|| self.hash_key(wire, record));
        key.is_some_and(|key| !range.contains(key))
    }

    /// Returns the hash key of a record's partition key, which is computed once for each key.
    fn hash_key(&mut self, wire: &WireRecord<'_>, record: &UserRecord<'_>) -> Option<HashKey> {
        self.hash_keys.resize(self.aggregate.partition_keys.len(), None);
        let known = self
            .hash_keys
            .get_mut(usize::try_from(wire.partition_key_index).ok()?)?;
        Some(*known.get_or_insert_with(|| HashKey::of_partition_key(record.partition_key.unwrap_or_default())))
    }
}

/// Returns the explicit hash key with this index, or `None` in its place if it is not a valid number.
#[inline]
fn number(texts: &Keys<'_>, numbers: &[Option<HashKey>], index: u64) -> Option<Option<HashKey>> {
    match texts.find(index)? {
        Found::Kept(place) => numbers.get(place).copied(),
        Found::Short(text) => Some(HashKey::parse_lenient(text)),
    }
}
