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
    /// Room for what comes before the records, and the records.
    bytes: Vec<u8>,
    /// The length of that room: what the last aggregated record needed. If this one needs as much, which is usual
    /// with keys of one length, its records stay where they were written.
    room: usize,
    /// The length of the last aggregated record.
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
            bytes: Vec::new(),
            room: 0,
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
        Self::EMPTY_SIZE + self.partition_keys.bytes.len() + self.explicit_hash_keys.bytes.len() + self.records().len()
    }

    #[inline]
    fn records(&self) -> &[u8] {
        self.bytes.get(self.room..).unwrap_or_default()
    }

    /// Returns where to write the next record.
    #[inline]
    fn out(&mut self) -> &mut Vec<u8> {
        if self.bytes.is_empty() {
            self.start();
        }
        &mut self.bytes
    }

    #[cold]
    fn start(&mut self) {
        self.bytes.reserve(self.usual_len + self.usual_len / 16);
        self.bytes.resize(self.room, 0);
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
        let start = self.bytes.len().saturating_sub(len);
        self.bytes.get(start..).unwrap_or_default()
    }

    /// Plans what pushing a record will do.
    #[inline]
    pub(crate) fn plan(&self, parts: &Parts<'_>) -> Plan {
        let partition_key = self.partition_keys.find(parts.partition_key.as_bytes());
        let mut plan = Plan {
            partition_key,
            explicit_hash_key: None,
            inner: partition_key.index_len() + field_len(parts.data.len()) + parts.tags.encoded_len(),
            added: self.partition_keys.added(parts.partition_key.as_bytes(), partition_key),
        };
        if let Some(key) = parts.explicit_hash_key {
            let text = DecimalText::new(key);
            let slot = self.explicit_hash_keys.find(text.as_bytes());
            plan.inner += slot.index_len();
            plan.added += self.explicit_hash_keys.added(text.as_bytes(), slot);
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
    pub(crate) fn push(&mut self, parts: &Parts<'_>, plan: &Plan) {
        self.partition_keys
            .put(parts.partition_key.as_bytes(), plan.partition_key);
        if let Some((slot, text)) = &plan.explicit_hash_key {
            self.explicit_hash_keys.put(text.as_bytes(), *slot);
        }
        let records = self.out();
        put_number(records, 0x1A, plan.inner as u64);
        put_number(records, 0x08, plan.partition_key.index as u64);
        if let Some((slot, _)) = &plan.explicit_hash_key {
            put_number(records, 0x10, slot.index as u64);
        }
        put_bytes(records, 0x1A, parts.data);
        parts.tags.write(records);
        self.count += 1;
    }

    /// Adds a record without an explicit hash key and tags, and returns true, if the aggregated record then has at most
    /// `limit` bytes and the numbers in the record are below 2^14. That is what most records are, and done in fewer
    /// steps than [`plan`](Self::plan) and [`push`](Self::push).
    pub(crate) fn push_small(&mut self, partition_key: &str, data: &[u8], limit: usize) -> bool {
        let key = partition_key.as_bytes();
        let slot = self.partition_keys.find(key);
        let (index, index_len) = small_number(0x08, slot.index);
        let (data_len, data_len_len) = small_number(0x1A, data.len());
        let inner = index_len + data_len_len + data.len();
        let (start, start_len) = small_number(0x1A, inner);
        let added = self.partition_keys.added(key, slot) + start_len + inner;
        if slot.index >= 0x4000 || inner >= 0x4000 || self.size() + added > limit {
            return false;
        }
        self.partition_keys.put(key, slot);
        let records = self.out();
        let numbers = u128::from(index | data_len << (8 * index_len));
        let head = u128::from(start) | numbers << (8 * start_len);
        let end = records.len() + start_len + index_len + data_len_len;
        records.extend_from_slice(&head.to_le_bytes());
        records.truncate(end);
        records.extend_from_slice(data);
        self.count += 1;
        true
    }

    /// Calls `each` with the records that were pushed, in order.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Parts<'_>)) {
        for record in WireRecords::new(self.records(), 0) {
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
        let front = [&MAGIC[..], &self.partition_keys.bytes, &self.explicit_hash_keys.bytes];
        let front_len = front.iter().map(|part| part.len()).sum();
        let size = self.size();
        let mut bytes = if size > self.bytes.capacity() / 2 {
            // A buffer that is mostly used is returned itself.
            let mut bytes = core::mem::take(&mut self.bytes);
            bytes.reserve_exact(size.saturating_sub(bytes.len()));
            replace_room(&mut bytes, self.room, front_len);
            bytes
        } else {
            let mut copy = Vec::with_capacity(size);
            copy.resize(front_len, 0);
            copy.extend_from_slice(self.records());
            copy
        };
        let mut at = 0;
        for part in front {
            if let Some(place) = bytes.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
            at += part.len();
        }
        self.clear();
        self.room = front_len;
        self.usual_len = size;
        bytes
    }

    pub(crate) fn clear(&mut self) {
        self.partition_keys.clear();
        self.explicit_hash_keys.clear();
        self.bytes.clear();
        self.room = 0;
        self.count = 0;
    }
}

/// Moves what comes after the first `old` bytes, so that it comes after the first `new` bytes.
fn replace_room(bytes: &mut Vec<u8>, old: usize, new: usize) {
    let len = bytes.len();
    let end = len - old + new;
    bytes.resize(len.max(end), 0);
    bytes.copy_within(old..len, new);
    bytes.truncate(end);
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

/// Returns the tag of a field and a number below 2^14, encoded, the first byte lowest, and how many bytes these are.
#[inline]
const fn small_number(tag: u8, value: usize) -> (u64, usize) {
    let more = value >= 0x80;
    let value = value as u64;
    let varint = value & 0x7F | (more as u64) << 7 | (value >> 7) << 8;
    (varint << 8 | tag as u64, 2 + more as usize)
}

#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    put_number(out, tag, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A position in a [`KeyTable`].
#[derive(Clone, Copy, Debug)]
struct Slot {
    index: usize,
    hash: u64,
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

/// Returns whether two keys are the same. Keys of 8 to 32 bytes, as most are, are compared without a call.
#[inline]
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
        a.first_chunk::<N>() == b.first_chunk::<N>() && a.last_chunk::<N>() == b.last_chunk::<N>()
    }
    a.len() == b.len()
        && match a.len() {
            8..=16 => ends::<8>(a, b),
            17..=32 => ends::<16>(a, b),
            _ => a == b,
        }
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
        let same = |entry: &Entry| entry.hash == hash && same_bytes(entry.text(&self.bytes), key);
        let index = self
            .by_hash
            .find(hash, same)
            .map_or(self.entries.len(), |entry| entry.index);
        Slot { index, hash }
    }

    /// Returns how many bytes the table grows by when the slot that was found for a key is filled.
    #[inline]
    const fn added(&self, key: &[u8], slot: Slot) -> usize {
        if slot.index < self.entries.len() {
            0
        } else {
            field_len(key.len())
        }
    }

    /// Fills the slot that was found for a key, unless the key is already there.
    #[inline]
    fn put(&mut self, key: &[u8], slot: Slot) {
        if slot.index == self.entries.len() {
            self.append(key, slot.hash);
        }
    }

    fn append(&mut self, key: &[u8], hash: u64) {
        put_bytes(&mut self.bytes, self.field, key);
        let entry = Entry {
            index: self.entries.len(),
            hash,
            start: self.bytes.len() - key.len(),
            len: key.len(),
        };
        self.entries.push(entry);
        self.by_hash.insert_unique(hash, entry, |entry| entry.hash);
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

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn push(writer: &mut Writer, key: &str) {
        let parts = Parts {
            partition_key: key,
            explicit_hash_key: None,
            data: b"data",
            tags: &Tags::new(),
        };
        let plan = writer.plan(&parts);
        writer.push(&parts, &plan);
    }

    /// Otherwise each lone record that is sent raw after an aggregate with large tables would fill that much memory.
    #[test]
    fn a_writer_that_was_cleared_keeps_no_room_for_tables() {
        let mut writer = Writer::default();
        for number in 0..1000 {
            push(&mut writer, &format!("key {number}"));
        }
        writer.take();
        push(&mut writer, "alone");
        assert!(writer.bytes.len() > 8000, "room as large as the last tables");
        writer.clear();
        push(&mut writer, "alone");
        assert_eq!(writer.bytes.len(), writer.records().len());
    }
}
