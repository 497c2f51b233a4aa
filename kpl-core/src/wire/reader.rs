//! Reads the protobuf bytes of an aggregated record without copying them.

use alloc::vec::Vec;
use core::fmt;
use core::mem::take;
use core::ops::Range;

use super::cursor::{Cursor, Field, InvalidBody, MAX_DEPTH, Mistake, Problem, WireType, long_varint};
use super::fields::{Part, part};
use super::keys::Keys;
use super::{Frame, MAGIC, NotAggregated, Tags};
use crate::debug::ByteCount;

/// The key tables and the user records of one aggregated record.
///
/// No matter how hostile the bytes, reading `n` of them takes linear time and at most 32 `n` bytes of memory, for the
/// key tables. User records take no memory.
///
/// ```
/// use kpl_core::wire::AggregatedRecord;
///
/// let mut bytes = vec![0xF3, 0x89, 0x9A, 0xC2]; // magic
/// bytes.extend(b"\x0A\x03abc\x1A\x06\x08\x00\x1A\x02hi"); // one key, one record
/// bytes.extend(kpl_core::digest::md5(&bytes[4..]));
///
/// let aggregate = AggregatedRecord::parse(&bytes)?;
/// assert_eq!(aggregate.partition_keys(), ["abc"]);
/// let record = aggregate.records().next().unwrap();
/// assert_eq!((record.partition_key_index, record.data), (0, &b"hi"[..]));
/// # Ok::<(), kpl_core::wire::NotAggregated>(())
/// ```
#[derive(Clone, Default)]
pub struct AggregatedRecord<'a> {
    partition_keys: Vec<&'a str>,
    explicit_hash_keys: Vec<&'a str>,
    /// Without the keys.
    contents: Contents<'a>,
}

impl fmt::Debug for AggregatedRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregatedRecord")
            .field("partition_keys", &self.partition_keys.len())
            .field("explicit_hash_keys", &self.explicit_hash_keys.len())
            .field("records", &self.len())
            .field("body", &ByteCount(self.contents.body.len()))
            .finish()
    }
}

impl<'a> AggregatedRecord<'a> {
    /// Reads one aggregated record: magic, protobuf bytes, digest.
    ///
    /// # Errors
    ///
    /// [`NotAggregated`] says why the bytes are a plain record instead.
    pub fn parse(data: &'a [u8]) -> Result<Self, NotAggregated> {
        Ok(Frame::new(data)?.open()?)
    }

    /// Returns the partition keys that records refer to by their index.
    #[must_use]
    pub fn partition_keys(&self) -> &[&'a str] {
        &self.partition_keys
    }

    /// Returns the explicit hash keys that records refer to by their index, as strings that have not been checked.
    #[must_use]
    pub fn explicit_hash_keys(&self) -> &[&'a str] {
        &self.explicit_hash_keys
    }

    /// Returns how many user records there are, which can be zero.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.contents.count
    }

    /// Returns whether there are no user records.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the user records, in their order. The first has the sub-sequence number 0.
    #[must_use]
    pub fn records(&self) -> WireRecords<'a> {
        self.contents.records()
    }
}

impl<'a> From<Contents<'a>> for AggregatedRecord<'a> {
    fn from(mut contents: Contents<'a>) -> Self {
        Self {
            partition_keys: take(&mut contents.partition_keys).into_texts(),
            explicit_hash_keys: take(&mut contents.explicit_hash_keys).into_texts(),
            contents: Contents {
                gaps: Vec::new(),
                ..contents
            },
        }
    }
}

/// What an [`AggregatedRecord`] has, with key tables that take less memory.
#[derive(Clone, Default)]
pub(crate) struct Contents<'a> {
    pub(crate) partition_keys: Keys<'a>,
    pub(crate) explicit_hash_keys: Keys<'a>,
    body: &'a [u8],
    /// From the first user record to the end of the last: where [`records`](Self::records) looks for them.
    occupied: Range<usize>,
    /// The places in there where at least [`GAP`] bytes are not user records.
    gaps: Vec<Range<usize>>,
    count: usize,
}

/// From this many bytes without a user record on, their place is kept, so that they are not read again to find the next record.
/// Usual aggregates have no such place between their records.
const GAP: usize = 32;

impl<'a> Contents<'a> {
    /// Reads other protobuf bytes, into the same memory. After an error the content must not be used.
    pub(super) fn read(&mut self, body: &'a [u8]) -> Result<(), InvalidBody> {
        self.partition_keys.clear(body);
        self.explicit_hash_keys.clear(body);
        self.body = body;
        self.occupied = body.len()..0;
        self.gaps.clear();
        self.count = 0;

        let mut cursor = Cursor::new(body, MAGIC.len());
        while let Some(&tag) = cursor.rest().first() {
            let before = cursor.rest();
            // What comes after this reads the same, but more slowly.
            match tag {
                0x1A => {
                    let (count, rest) = canonical_records(before);
                    if count > 0 {
                        self.found(count, before, rest);
                        cursor.advance_to(rest);
                    }
                }
                0x0A => {
                    while let Some((key, rest)) = short_key(cursor.rest(), 0x0A) {
                        self.partition_keys.push(key, rest);
                        cursor.advance_to(rest);
                    }
                }
                0x12 => {
                    while let Some((key, rest)) = short_key(cursor.rest(), 0x12) {
                        self.explicit_hash_keys.push(key, rest);
                        cursor.advance_to(rest);
                    }
                }
                _ => cursor.advance_to(after_others(before, UNKNOWN, MAX_DEPTH)),
            }
            if cursor.rest().len() < before.len() {
                continue;
            }
            match part(&mut cursor, self.count)? {
                Part::PartitionKey(key) => self.partition_keys.push(key, cursor.rest()),
                Part::ExplicitHashKey(key) => self.explicit_hash_keys.push(key, cursor.rest()),
                Part::UserRecord(_) => self.found(1, before, cursor.rest()),
                Part::Unknown => {}
            }
        }
        Ok(())
    }

    /// Notes that there are this many records between two places of the body.
    fn found(&mut self, count: usize, before: &[u8], after: &[u8]) {
        let start = self.body.len() - before.len();
        if self.count > 0 && start - self.occupied.end >= GAP {
            self.gaps.push(self.occupied.end..start);
        }
        self.count += count;
        self.occupied.start = self.occupied.start.min(start);
        self.occupied.end = self.body.len() - after.len();
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the user records, in their order.
    fn records(&self) -> WireRecords<'a> {
        self.records_in(self.occupied.clone())
    }

    /// Returns the user records of a stretch: those before the first gap, between two gaps, or after the last one.
    pub(crate) fn stretch(&self, index: usize) -> Option<WireRecords<'a>> {
        let start = match index.checked_sub(1) {
            None => self.occupied.start,
            Some(before) => self.gaps.get(before)?.end,
        };
        let end = self.gaps.get(index).map_or(self.occupied.end, |gap| gap.start);
        Some(self.records_in(start..end))
    }

    fn records_in(&self, range: Range<usize>) -> WireRecords<'a> {
        let start = MAGIC.len() + range.start;
        WireRecords::new(self.body.get(range).unwrap_or_default(), start)
    }
}

/// One user record as it is encoded: its data, and indexes into the key tables, which may be out of range.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WireRecord<'a> {
    /// The index in the partition-key table.
    pub partition_key_index: u64,
    /// The index in the explicit-hash-key table, if the record has one.
    pub explicit_hash_key_index: Option<u64>,
    /// The payload.
    pub data: &'a [u8],
    pub(crate) tags: &'a [u8],
}

impl fmt::Debug for WireRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireRecord")
            .field("partition_key_index", &self.partition_key_index)
            .field("explicit_hash_key_index", &self.explicit_hash_key_index)
            .field("data", &ByteCount(self.data.len()))
            .field("tags", &self.tags())
            .finish()
    }
}

impl<'a> WireRecord<'a> {
    /// Reads a record of any form.
    // Inlined, because moving what it returns through memory takes as long as reading it.
    #[inline(always)]
    pub(super) fn read(message: &'a [u8], start: usize) -> Result<Self, (Field, Mistake)> {
        let mut cursor = Cursor::new(message, start);
        let (mut partition_key_index, mut explicit_hash_key_index, mut data) = (None, None, None);
        let mut tags: &[u8] = &[];
        while let [tag, after @ ..] = cursor.rest() {
            // What comes after this reads the same, but more slowly.
            let rest = match tag {
                0x08 => varint(after).map(|(index, rest)| {
                    partition_key_index = Some(index);
                    rest
                }),
                0x10 => varint(after).map(|(index, rest)| {
                    explicit_hash_key_index = Some(index);
                    rest
                }),
                0x1A => counted(after).map(|(bytes, rest)| {
                    data = Some(bytes);
                    rest
                }),
                0x22 => counted(after).filter(|(tag, _)| is_short_tag(tag)).map(|(_, rest)| {
                    tags = message;
                    rest
                }),
                UNKNOWN_IN_RECORD.. => {
                    let rest = after_others(cursor.rest(), UNKNOWN_IN_RECORD, MAX_DEPTH - 1);
                    Some(rest).filter(|rest| rest.len() <= after.len())
                }
                _ => None,
            };
            if let Some(rest) = rest {
                cursor.advance_to(rest);
                continue;
            }
            match cursor.field().map_err(in_field(Field::Unknown))? {
                (1, WireType::Varint) => {
                    let index = cursor.varint().map_err(in_field(Field::PartitionKeyIndex))?;
                    partition_key_index = Some(index);
                }
                (2, WireType::Varint) => {
                    let index = cursor.varint().map_err(in_field(Field::ExplicitHashKeyIndex))?;
                    explicit_hash_key_index = Some(index);
                }
                (3, WireType::LengthDelimited) => {
                    data = Some(cursor.bytes().map_err(in_field(Field::Data))?);
                }
                (4, WireType::LengthDelimited) => {
                    let tag = cursor.bytes().map_err(in_field(Field::Tags))?;
                    read_tag(tag, cursor.offset() - tag.len())?;
                    tags = message;
                }
                (number @ 1..=4, _) => {
                    let field = match number {
                        1 => Field::PartitionKeyIndex,
                        2 => Field::ExplicitHashKeyIndex,
                        3 => Field::Data,
                        _ => Field::Tags,
                    };
                    return Err((field, (cursor.offset(), Problem::WireType)));
                }
                unknown => cursor.skip(unknown, MAX_DEPTH - 1).map_err(in_field(Field::Unknown))?,
            }
        }
        let missing = |field| (field, (cursor.offset(), Problem::Missing));
        Ok(Self {
            partition_key_index: partition_key_index.ok_or_else(|| missing(Field::PartitionKeyIndex))?,
            explicit_hash_key_index,
            data: data.ok_or_else(|| missing(Field::Data))?,
            tags,
        })
    }

    /// Returns the record's tags. Nearly all records have none.
    #[must_use]
    pub const fn tags(&self) -> Tags<'a> {
        Tags::of_record(self.tags)
    }
}

/// Reads a `Tag` message.
pub(super) fn read_tag(tag: &[u8], start: usize) -> Result<(&str, Option<&str>), (Field, Mistake)> {
    let mut cursor = Cursor::new(tag, start);
    let (mut key, mut value) = (None, None);
    while !cursor.is_empty() {
        // What comes after this reads the same, but more slowly.
        if let Some((text, rest)) = short_key(cursor.rest(), 0x0A) {
            key = Some(text);
            cursor.advance_to(rest);
            continue;
        }
        if let Some((text, rest)) = short_key(cursor.rest(), 0x12) {
            value = Some(text);
            cursor.advance_to(rest);
            continue;
        }
        let rest = after_others(cursor.rest(), UNKNOWN, MAX_DEPTH - 2);
        if rest.len() < cursor.rest().len() {
            cursor.advance_to(rest);
            continue;
        }
        match cursor.field().map_err(in_field(Field::Tags))? {
            (1, WireType::LengthDelimited) => key = Some(cursor.text().map_err(in_field(Field::TagKey))?),
            (2, WireType::LengthDelimited) => value = Some(cursor.text().map_err(in_field(Field::TagValue))?),
            (1, _) => return Err((Field::TagKey, (cursor.offset(), Problem::WireType))),
            (2, _) => return Err((Field::TagValue, (cursor.offset(), Problem::WireType))),
            unknown => cursor.skip(unknown, MAX_DEPTH - 2).map_err(in_field(Field::Tags))?,
        }
    }
    match key {
        Some(key) => Ok((key, value)),
        None => Err((Field::TagKey, (cursor.offset(), Problem::Missing))),
    }
}

fn in_field(field: Field) -> impl Fn(Mistake) -> (Field, Mistake) {
    move |mistake| (field, mistake)
}

/// Returns the record at the start of the bytes if it is in canonical order and does not have tags.
/// [`WireRecord::read`] would read the same, but more slowly.
#[inline]
fn canonical_record(bytes: &[u8]) -> Option<(WireRecord<'_>, &[u8])> {
    short_record(bytes).or_else(|| long_record(bytes))
}

/// Returns how many canonical records are at the start of the bytes, and what comes after them.
fn canonical_records(bytes: &[u8]) -> (usize, &[u8]) {
    let (mut count, mut rest) = short_records(bytes);
    while let Some((_, after)) = long_record(rest) {
        let (more, after) = short_records(after);
        count += 1 + more;
        rest = after;
    }
    (count, rest)
}

/// Reads a key of less than 128 bytes at the start of the bytes, after this tag. [`part`] would read the same, but more slowly.
#[inline]
fn short_key(bytes: &[u8], tag: u8) -> Option<(&str, &[u8])> {
    let [first, len @ 0..0x80, rest @ ..] = bytes else {
        return None;
    };
    if *first != tag {
        return None;
    }
    let (key, rest) = rest.split_at_checked(usize::from(*len))?;
    Some((text(key)?, rest))
}

#[inline]
fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.is_empty() {
        return Some("");
    }
    core::str::from_utf8(bytes).ok()
}

/// Returns whether a `Tag` message is a short key, or a short key and a short value. [`read_tag`] would find nothing wrong.
#[inline]
fn is_short_tag(tag: &[u8]) -> bool {
    match short_key(tag, 0x0A) {
        Some((_, [])) => true,
        Some((_, rest)) => short_key(rest, 0x12).is_some_and(|(_, rest)| rest.is_empty()),
        None => false,
    }
}

/// The tag of a field whose number is not one of the format's: this or a larger one.
const UNKNOWN: u8 = 4 << 3;

/// The same in a user record.
const UNKNOWN_IN_RECORD: u8 = 5 << 3;

/// The tag of any field.
const ANY: u8 = 1 << 3;

/// Returns what comes after the fields at the start of the bytes whose tags are at least `from`, and not a user record's. `depth`
/// is how many groups they may open. [`Cursor::skip`] would skip the same, but more slowly.
fn after_others(mut bytes: &[u8], from: u8, depth: u32) -> &[u8] {
    while let Some((tag, rest)) = varint(bytes)
        && let Ok(tag) = u32::try_from(tag)
        && tag >= u32::from(from)
        && tag >> 3 != 3
    {
        let after = match tag & 7 {
            0 => varint(rest).map(|(_, after)| after),
            1 => rest.get(8..),
            2 => counted(rest).map(|(_, after)| after),
            3 => match rest {
                [end @ ..0x80, after @ ..] if u32::from(*end) == tag + 1 => Some(after),
                _ => {
                    let mut group = Cursor::new(rest, 0);
                    group.skip_group(tag >> 3, depth).ok().map(|()| group.rest())
                }
            },
            5 => rest.get(4..),
            _ => None,
        };
        match after {
            Some(after) => bytes = after,
            None => break,
        }
    }
    bytes
}

/// Returns how many short records are at the start of the bytes, and what comes after them.
fn short_records(mut bytes: &[u8]) -> (usize, &[u8]) {
    let mut count = 0;
    while let Some((_, rest)) = short_record(bytes) {
        bytes = rest;
        count += 1;
    }
    (count, bytes)
}

/// Reads a canonical record of less than 128 bytes, without an explicit hash key and with a partition key index of one
/// or two bytes.
///
/// Eight bytes contain everything that comes before its data, and are examined together.
#[inline]
fn short_record(bytes: &[u8]) -> Option<(WireRecord<'_>, &[u8])> {
    let head = u64::from_le_bytes(*bytes.first_chunk()?);
    let byte = |place: u32| usize::from(((head >> (8 * place)) & 0x7F) as u8);
    let (partition_key_index, data_len, start) = if head & 0x80FF_80FF_80FF == 0x001A_0008_001A {
        (byte(3), byte(5), 6)
    } else if head & 0x80_FF80_80FF_80FF == 0x00_1A00_8008_001A {
        (byte(3) | byte(4) << 7, byte(6), 7)
    } else {
        return None;
    };
    let message_len = byte(1);
    if message_len + 2 != data_len + start {
        return None;
    }
    let (record, rest) = bytes.split_at_checked(message_len + 2)?;
    let record = WireRecord {
        partition_key_index: partition_key_index as u64,
        explicit_hash_key_index: None,
        data: record.get(start..)?,
        tags: &[],
    };
    Some((record, rest))
}

/// Reads a canonical record of any length.
#[inline]
fn long_record(bytes: &[u8]) -> Option<(WireRecord<'_>, &[u8])> {
    let (message, rest) = counted(bytes.strip_prefix(&[0x1A])?)?;
    let (partition_key_index, mut message) = varint(message.strip_prefix(&[0x08])?)?;
    let mut explicit_hash_key_index = None;
    if let [0x10, after @ ..] = message {
        let (index, after) = varint(after)?;
        explicit_hash_key_index = Some(index);
        message = after;
    }
    let (data, after) = counted(message.strip_prefix(&[0x1A])?)?;
    if !after.is_empty() {
        return None;
    }
    let record = WireRecord {
        partition_key_index,
        explicit_hash_key_index,
        data,
        tags: &[],
    };
    Some((record, rest))
}

/// Reads the tag and the content of a length-delimited field, and returns what comes after it.
#[inline]
fn delimited(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (tag, rest) = varint(bytes)?;
    let (content, rest) = counted(rest).filter(|_| tag & 7 == 2)?;
    Some((tag, content, rest))
}

/// Reads as many bytes as the varint before them says, and returns what comes after them.
#[inline]
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

/// Reads a varint, and returns what comes after it.
#[inline]
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let part = |byte: &u8, place: u32| u64::from(byte & 0x7F) << (7 * place);
    match bytes {
        [a @ 0..0x80, rest @ ..] => Some((part(a, 0), rest)),
        [a, b @ 0..0x80, rest @ ..] => Some((part(a, 0) | part(b, 1), rest)),
        [a, b, c @ 0..0x80, rest @ ..] => Some((part(a, 0) | part(b, 1) | part(c, 2), rest)),
        _ => long_varint(bytes).ok(),
    }
}

/// An iterator over the user records of an [`AggregatedRecord`].
#[derive(Clone, Debug)]
pub struct WireRecords<'a> {
    cursor: Cursor<'a>,
}

impl<'a> WireRecords<'a> {
    /// Returns the records in bytes that were read completely before, or written here.
    pub(super) const fn new(message: &'a [u8], start: usize) -> Self {
        Self {
            cursor: Cursor::new(message, start),
        }
    }

    /// Returns the next record if it is in canonical form, and what comes after it.
    #[inline]
    pub(crate) fn usual(&self) -> Option<(WireRecord<'a>, Self)> {
        let (record, rest) = canonical_record(self.cursor.rest())?;
        let mut after = self.clone();
        after.cursor.advance_to(rest);
        Some((record, after))
    }

    /// Returns the next record in any form, if there is one, and what comes after it.
    // No field in these bytes can fail: they were read completely before, or written here. Inlined, as `WireRecord::read` is.
    #[inline(always)]
    pub(crate) fn unusual(&self) -> Option<(WireRecord<'a>, Self)> {
        let bytes = after_others(self.cursor.rest(), ANY, MAX_DEPTH);
        let mut after = self.clone();
        if let Some((record, rest)) = short_record(bytes) {
            after.cursor.advance_to(rest);
            return Some((record, after));
        }
        let (_, message, rest) = delimited(bytes)?;
        let record = WireRecord::read(message, 0).ok()?;
        after.cursor.advance_to(rest);
        Some((record, after))
    }

    #[inline(never)]
    fn next_unusual(&mut self) -> Option<WireRecord<'a>> {
        let (record, after) = self.unusual()?;
        *self = after;
        Some(record)
    }
}

impl<'a> Iterator for WireRecords<'a> {
    type Item = WireRecord<'a>;

    #[inline]
    fn next(&mut self) -> Option<WireRecord<'a>> {
        if let Some((record, after)) = self.usual() {
            *self = after;
            return Some(record);
        }
        self.next_unusual()
    }
}

#[cfg(test)]
mod tests;
