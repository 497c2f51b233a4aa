//! Writing the protobuf bytes of an aggregated record, with their exact size known at every moment.

use alloc::vec::Vec;
use core::fmt::Write as _;
use core::hash::BuildHasher as _;
use core::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{DIGEST_LEN, MAGIC, Tags, WireRecords, varint_len};
use crate::key::HashKey;

/// What a user record is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) partition_key: &'a str,
    pub(crate) explicit_hash_key: Option<HashKey>,
    pub(crate) data: &'a [u8],
    pub(crate) tags: &'a Tags<'a>,
}

/// An aggregated record in the making: canonical order, both tables in first-seen order.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    partition_keys: KeyTable,
    explicit_hash_keys: KeyTable,
    records: Vec<u8>,
    count: usize,
}

/// Where a record goes, and what that costs: found by [`Writer::plan`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    partition_key: Slot,
    explicit_hash_key: Option<Slot>,
    /// The length of the `Record` message.
    inner: usize,
    /// How many bytes the record adds to the aggregated record.
    pub(crate) added: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            partition_keys: KeyTable::new(0x0A),
            explicit_hash_keys: KeyTable::new(0x12),
            records: Vec::new(),
            count: 0,
        }
    }
}

impl Writer {
    /// The size of an aggregated record without keys and records.
    pub(crate) const EMPTY_SIZE: usize = MAGIC.len() + DIGEST_LEN;

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The length of the aggregated record: magic, tables, records, digest.
    pub(crate) fn size(&self) -> usize {
        Self::EMPTY_SIZE + self.partition_keys.bytes.len() + self.explicit_hash_keys.bytes.len() + self.records.len()
    }

    /// The first record's partition key.
    pub(crate) fn first_partition_key(&self) -> &str {
        self.partition_keys.text(0).unwrap_or_default()
    }

    /// The last bytes of the records: the data of a record without tags that was pushed last.
    pub(crate) fn last_data(&self, len: usize) -> &[u8] {
        let start = self.records.len().saturating_sub(len);
        self.records.get(start..).unwrap_or_default()
    }

    /// What pushing a record will do.
    #[inline]
    pub(crate) fn plan(&self, parts: &Parts<'_>) -> Plan {
        let partition_key = self.partition_keys.find(parts.partition_key.as_bytes());
        let explicit_hash_key = parts
            .explicit_hash_key
            .map(|key| self.explicit_hash_keys.find(DecimalText::new(key).as_bytes()));
        let index_len = |slot: Slot| 1 + varint_len(slot.index as u64);
        let inner = index_len(partition_key)
            + explicit_hash_key.map_or(0, index_len)
            + field_len(parts.data.len())
            + parts.tags.encoded_len();
        Plan {
            partition_key,
            explicit_hash_key,
            inner,
            added: partition_key.added + explicit_hash_key.map_or(0, |slot| slot.added) + field_len(inner),
        }
    }

    /// The size of an aggregated record with nothing but this record.
    pub(crate) fn size_alone(parts: &Parts<'_>) -> usize {
        let explicit_hash_key = parts.explicit_hash_key.map(|key| DecimalText::new(key).len);
        let index = 2;
        let inner =
            index + explicit_hash_key.map_or(0, |_| index) + field_len(parts.data.len()) + parts.tags.encoded_len();
        let tables = field_len(parts.partition_key.len()) + explicit_hash_key.map_or(0, field_len);
        Self::EMPTY_SIZE + tables + field_len(inner)
    }

    /// Adds a record where a plan made since the last change says.
    #[inline]
    pub(crate) fn push(&mut self, parts: &Parts<'_>, plan: Plan) {
        self.partition_keys
            .put(parts.partition_key.as_bytes(), plan.partition_key);
        self.records.reserve(field_len(plan.inner));
        self.records.push(0x1A);
        put_varint(&mut self.records, plan.inner as u64);
        self.records.push(0x08);
        put_varint(&mut self.records, plan.partition_key.index as u64);
        if let (Some(slot), Some(key)) = (plan.explicit_hash_key, parts.explicit_hash_key) {
            self.explicit_hash_keys.put(DecimalText::new(key).as_bytes(), slot);
            self.records.push(0x10);
            put_varint(&mut self.records, slot.index as u64);
        }
        put_bytes(&mut self.records, 0x1A, parts.data);
        parts.tags.write(&mut self.records);
        self.count += 1;
    }

    /// Gives the records that were pushed, in their order.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Parts<'_>)) {
        for record in WireRecords::new(&self.records, 0) {
            let explicit = record.explicit_hash_key_index;
            each(Parts {
                partition_key: self.partition_keys.text(record.partition_key_index).unwrap_or_default(),
                explicit_hash_key: explicit.and_then(|index| self.explicit_hash_keys.text(index)?.parse().ok()),
                data: record.data,
                tags: &record.tags(),
            });
        }
    }

    /// The aggregated record but for its digest, with room for it. The writer is empty afterwards.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.partition_keys.bytes);
        bytes.extend_from_slice(&self.explicit_hash_keys.bytes);
        bytes.extend_from_slice(&self.records);
        self.clear();
        bytes
    }

    pub(crate) fn clear(&mut self) {
        self.partition_keys.clear();
        self.explicit_hash_keys.clear();
        self.records.clear();
        self.count = 0;
    }
}

/// The bytes of a length-delimited field with a tag of one byte.
const fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A place in a [`KeyTable`], and how many bytes the table grows by when the place is filled.
#[derive(Clone, Copy, Debug)]
struct Slot {
    index: usize,
    hash: u64,
    added: usize,
}

/// A table that holds each key once, in first-seen order, already in its written form.
#[derive(Clone, Debug)]
struct KeyTable {
    field: u8,
    bytes: Vec<u8>,
    /// Where in `bytes` each key is.
    keys: Vec<Range<usize>>,
    /// Indexes into `keys`, by the hash of the key.
    by_hash: HashTable<usize>,
    hasher: DefaultHashBuilder,
    /// The index that was found or put last: records of one key often come together.
    last: usize,
}

impl KeyTable {
    fn new(field: u8) -> Self {
        Self {
            field,
            bytes: Vec::new(),
            keys: Vec::new(),
            by_hash: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            last: 0,
        }
    }

    #[inline]
    fn get(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.keys.get(index)?.clone())
    }

    fn text(&self, index: u64) -> Option<&str> {
        let key = self.get(usize::try_from(index).ok()?)?;
        core::str::from_utf8(key).ok()
    }

    #[inline]
    fn find(&self, key: &[u8]) -> Slot {
        let known = |index, hash| Slot { index, hash, added: 0 };
        if self.get(self.last) == Some(key) {
            return known(self.last, 0);
        }
        let hash = self.hasher.hash_one(key);
        match self.by_hash.find(hash, |&index| self.get(index) == Some(key)) {
            Some(&index) => known(index, hash),
            None => Slot {
                index: self.keys.len(),
                hash,
                added: field_len(key.len()),
            },
        }
    }

    /// Fills the place that was found for a key, unless the key is there already.
    #[inline]
    fn put(&mut self, key: &[u8], slot: Slot) {
        self.last = slot.index;
        if slot.index < self.keys.len() {
            return;
        }
        put_bytes(&mut self.bytes, self.field, key);
        let end = self.bytes.len();
        self.keys.push(end - key.len()..end);
        let Self {
            bytes,
            keys,
            by_hash,
            hasher,
            ..
        } = self;
        by_hash.insert_unique(slot.hash, slot.index, |&index| {
            let key = keys.get(index).and_then(|range| bytes.get(range.clone()));
            hasher.hash_one(key.unwrap_or_default())
        });
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.keys.clear();
        self.by_hash.clear();
        self.last = 0;
    }
}

/// A hash key in the form in which it is written.
struct DecimalText {
    digits: [u8; 39],
    len: usize,
}

impl DecimalText {
    fn new(key: HashKey) -> Self {
        let mut text = Self {
            digits: [0; 39],
            len: 0,
        };
        let written = write!(text, "{key}");
        debug_assert!(written.is_ok(), "u128 has at most 39 digits");
        text
    }

    fn as_bytes(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }
}

impl core::fmt::Write for DecimalText {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        let room = self.digits.get_mut(self.len..end).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
