//! Writes the protobuf bytes of an aggregated record, and always knows their exact size.

use alloc::vec::Vec;
use core::fmt::Write as _;
use core::hash::{BuildHasher as _, Hasher as _};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{DIGEST_LEN, MAGIC, Tags, WireRecords, varint_len};
use crate::key::HashKey;

/// The parts of a user record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) partition_key: &'a str,
    pub(crate) explicit_hash_key: Option<HashKey>,
    pub(crate) data: &'a [u8],
    pub(crate) tags: &'a Tags<'a>,
}

/// An aggregated record under construction: canonical order, both tables in first-seen order.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    partition_keys: KeyTable,
    explicit_hash_keys: KeyTable,
    records: Vec<u8>,
    /// The length of `records` when the last aggregated record was taken.
    usual_len: usize,
    count: usize,
}

/// Where a record will be written, and how many bytes that takes: the result of [`Writer::plan`].
#[derive(Debug)]
pub(crate) struct Plan {
    partition_key: Slot,
    explicit_hash_key: Option<(Slot, DecimalText)>,
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
            usual_len: 0,
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

    /// Returns the length of the aggregated record: magic, tables, records, digest.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        Self::EMPTY_SIZE + self.partition_keys.bytes.len() + self.explicit_hash_keys.bytes.len() + self.records.len()
    }

    /// Returns the length of the first record's partition key.
    #[inline]
    pub(crate) fn first_partition_key_len(&self) -> usize {
        self.partition_keys.entries.first().map_or(0, |entry| entry.len)
    }

    /// Returns the first record's partition key.
    pub(crate) fn first_partition_key(&self) -> &str {
        self.partition_keys.text(0).unwrap_or_default()
    }

    /// Returns the last bytes of the records: the data of the last record, if that has no tags.
    pub(crate) fn last_data(&self, len: usize) -> &[u8] {
        let start = self.records.len().saturating_sub(len);
        self.records.get(start..).unwrap_or_default()
    }

    /// Plans what pushing a record will do.
    #[inline]
    pub(crate) fn plan(&self, parts: &Parts<'_>) -> Plan {
        let partition_key = self.partition_keys.find(parts.partition_key.as_bytes());
        let mut plan = Plan {
            partition_key,
            explicit_hash_key: None,
            inner: partition_key.index_len() + field_len(parts.data.len()) + parts.tags.encoded_len(),
            added: partition_key.added,
        };
        if let Some(key) = parts.explicit_hash_key {
            let text = DecimalText::new(key);
            let slot = self.explicit_hash_keys.find(text.as_bytes());
            plan.inner += slot.index_len();
            plan.added += slot.added;
            plan.explicit_hash_key = Some((slot, text));
        }
        plan.added += field_len(plan.inner);
        plan
    }

    /// Returns the size of an aggregated record that contains only this record.
    #[inline]
    pub(crate) fn size_alone(parts: &Parts<'_>) -> usize {
        let explicit_hash_key = parts.explicit_hash_key.map(|key| DecimalText::new(key).len);
        let index = 2;
        let inner =
            index + explicit_hash_key.map_or(0, |_| index) + field_len(parts.data.len()) + parts.tags.encoded_len();
        let tables = field_len(parts.partition_key.len()) + explicit_hash_key.map_or(0, field_len);
        Self::EMPTY_SIZE + tables + field_len(inner)
    }

    /// Adds a record according to a plan that was made after the last change.
    #[inline]
    pub(crate) fn push(&mut self, parts: &Parts<'_>, plan: Plan) {
        self.partition_keys
            .put(parts.partition_key.as_bytes(), plan.partition_key);
        let records = &mut self.records;
        if records.capacity() == 0 {
            records.reserve(self.usual_len + self.usual_len / 16);
        }
        put_number(records, 0x1A, plan.inner as u64);
        put_number(records, 0x08, plan.partition_key.index as u64);
        if let Some((slot, text)) = plan.explicit_hash_key {
            self.explicit_hash_keys.put(text.as_bytes(), slot);
            put_number(records, 0x10, slot.index as u64);
        }
        put_bytes(records, 0x1A, parts.data);
        parts.tags.write(records);
        self.count += 1;
    }

    /// Calls `each` with the records that were pushed, in order.
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

    /// Returns the aggregated record without its digest, but with room for it. The writer is empty afterwards.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let head = [&MAGIC[..], &self.partition_keys.bytes, &self.explicit_hash_keys.bytes].concat();
        let mut bytes = if self.records.len() > self.records.capacity() / 2 {
            // A buffer that is mostly used is returned itself.
            self.usual_len = self.records.len();
            core::mem::take(&mut self.records)
        } else {
            let mut copy = Vec::with_capacity(self.size());
            copy.extend_from_slice(&self.records);
            copy
        };
        insert_front(&mut bytes, &head);
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

/// Puts `head` before what is in `bytes`, and leaves room for a digest.
fn insert_front(bytes: &mut Vec<u8>, head: &[u8]) {
    let len = bytes.len();
    bytes.reserve_exact(head.len() + DIGEST_LEN);
    bytes.resize(len + head.len(), 0);
    bytes.copy_within(..len, head.len());
    if let Some((front, _)) = bytes.split_at_mut_checked(head.len()) {
        front.copy_from_slice(head);
    }
}

/// Returns the length of a length-delimited field whose tag takes one byte.
#[inline]
pub(super) const fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Appends the tag of a field, and a varint.
#[inline]
pub(crate) fn put_number(out: &mut Vec<u8>, tag: u8, value: u64) {
    let [low, next, ..] = value.to_le_bytes();
    match value {
        0..0x80 => out.extend_from_slice(&[tag, low]),
        0x80..0x4000 => out.extend_from_slice(&[tag, low | 0x80, next << 1 | low >> 7]),
        _ => put_large_number(out, tag, value),
    }
}

fn put_large_number(out: &mut Vec<u8>, tag: u8, mut value: u64) {
    out.push(tag);
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    put_number(out, tag, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A position in a [`KeyTable`], and how many bytes the table grows by when it is filled.
#[derive(Clone, Copy, Debug)]
struct Slot {
    index: usize,
    hash: u64,
    added: usize,
}

impl Slot {
    /// Returns the length of the field that contains the index.
    #[inline]
    const fn index_len(self) -> usize {
        1 + varint_len(self.index as u64)
    }
}

/// A table that contains each key once, in first-seen order, already encoded.
#[derive(Clone, Debug)]
struct KeyTable {
    field: u8,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    by_hash: HashTable<Entry>,
    hasher: DefaultHashBuilder,
}

/// A key of a [`KeyTable`]: where its string starts, and its length.
#[derive(Clone, Copy, Debug)]
struct Entry {
    index: usize,
    hash: u64,
    start: usize,
    len: usize,
}

impl Entry {
    #[inline]
    fn text(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl KeyTable {
    fn new(field: u8) -> Self {
        Self {
            field,
            bytes: Vec::new(),
            entries: Vec::new(),
            by_hash: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    fn text(&self, index: u64) -> Option<&str> {
        let entry = self.entries.get(usize::try_from(index).ok()?)?;
        core::str::from_utf8(entry.text(&self.bytes)).ok()
    }

    #[inline]
    fn find(&self, key: &[u8]) -> Slot {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        let hash = hasher.finish();
        let same = |entry: &Entry| entry.hash == hash && entry.text(&self.bytes) == key;
        match self.by_hash.find(hash, same) {
            Some(entry) => Slot {
                index: entry.index,
                hash,
                added: 0,
            },
            None => Slot {
                index: self.entries.len(),
                hash,
                added: field_len(key.len()),
            },
        }
    }

    /// Fills the slot that was found for a key, unless the key is already there.
    #[inline]
    fn put(&mut self, key: &[u8], slot: Slot) {
        if slot.index < self.entries.len() {
            return;
        }
        put_bytes(&mut self.bytes, self.field, key);
        let entry = Entry {
            index: slot.index,
            hash: slot.hash,
            start: self.bytes.len() - key.len(),
            len: key.len(),
        };
        self.entries.push(entry);
        self.by_hash.insert_unique(entry.hash, entry, |entry| entry.hash);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.by_hash.clear();
    }
}

/// A hash key in its encoded form.
#[derive(Debug)]
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
