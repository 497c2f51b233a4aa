//! The bytes of a segment: a file of the log.
//!
//! ```text
//! segment  header, entry*
//! header   "kplspool", version: u32 = 1, CRC: u32 of these 12 bytes as an entry at offset 0
//! entry    kind and length: u32    the kind in the 2 highest bits, the length of the data in the others
//!          index: u32              the number of a record, less the first number of the segment; otherwise 0
//!          CRC of the data: u32
//!          CRC of the head: u32    of the 12 bytes before
//!          data
//! kind 0   a record
//! kind 1   outcomes: ranges of the numbers of records that have outcomes; each range is two u64, its start and its end
//! kind 2   all outcomes: the same, of all records that have any. The first entry of a segment
//! ```
//!
//! Numbers are little-endian. The file's name is the first number, in 20 decimal digits, `-`, a random number, the salt, in 16 hexadecimal
//! ones, and `.kplspool`. A CRC is CRC-32C of the first number, the salt, the offset of the entry in the file, each u64, and the bytes: so a
//! copy of an entry, for instance in the data of a record that is itself a spool, is not a valid entry at another place or in another
//! segment.

use std::io;
use std::ops::Range;

use crate::folder::{Segment, SegmentName};
use crate::settled::Numbers;

/// The size of the header of a segment, in bytes.
pub(crate) const HEADER: usize = 16;
/// The size of what is before the data of an entry, in bytes.
pub(crate) const HEAD: usize = 16;
/// How long the data of an entry may be, in bytes.
pub const MAX_DATA: usize = (1 << 30) - 1;

const MAGIC: &[u8; 8] = b"kplspool";
const VERSION: u32 = 1;

const RECORD: u32 = 0;
const OUTCOMES: u32 = 1;
const ALL_OUTCOMES: u32 = 2;

/// A larger buffer is not kept after a commit.
const KEPT: usize = 1024 * 1024;

/// How many bytes are read at once.
const CHUNK: usize = 128 * 1024;

/// Returns the CRC of bytes at a place.
fn crc(name: SegmentName, offset: u64, bytes: &[u8]) -> u32 {
    let mut place = [0; 24];
    for (part, number) in place.chunks_exact_mut(8).zip([name.first, name.salt, offset]) {
        part.copy_from_slice(&number.to_le_bytes());
    }
    crc32c::crc32c_append(crc32c::crc32c(&place), bytes)
}

/// Writes entries to a buffer that is to be written to a segment at an offset.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) name: SegmentName,
    /// The offset in the segment where the buffer begins.
    pub(crate) offset: u64,
    pub(crate) buffer: Vec<u8>,
}

impl Writer {
    /// Begins a segment: its header, and the outcomes of all records.
    pub(crate) fn begin(name: SegmentName, outcomes: &Numbers) -> Self {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        let sum = crc(name, 0, &header);
        header.extend_from_slice(&sum.to_le_bytes());
        let mut writer = Self {
            name,
            offset: 0,
            buffer: header,
        };
        writer.entry(ALL_OUTCOMES, 0, &bytes_of(outcomes));
        writer
    }

    /// Returns the offset after the buffer.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    pub(crate) fn record(&mut self, index: u32, data: &[u8]) {
        self.entry(RECORD, index, data);
    }

    pub(crate) fn outcomes(&mut self, outcomes: &Numbers) {
        self.entry(OUTCOMES, 0, &bytes_of(outcomes));
    }

    /// The buffer is in the segment.
    pub(crate) fn written(&mut self) {
        self.offset = self.end();
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
    }

    fn entry(&mut self, kind: u32, index: u32, data: &[u8]) {
        let offset = self.end();
        let mut head = [0; HEAD];
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        debug_assert!(data.len() <= MAX_DATA);
        let sums = ((kind << 30) | length, index, crc(self.name, offset + HEAD as u64, data));
        let (fields, sum) = head.split_at_mut(12);
        for (field, value) in fields.chunks_exact_mut(4).zip([sums.0, sums.1, sums.2]) {
            field.copy_from_slice(&value.to_le_bytes());
        }
        sum.copy_from_slice(&crc(self.name, offset, fields).to_le_bytes());
        self.buffer.extend_from_slice(&head);
        self.buffer.extend_from_slice(data);
    }
}

fn bytes_of(outcomes: &Numbers) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(outcomes.len() * 16);
    for range in outcomes.iter() {
        bytes.extend_from_slice(&range.start.to_le_bytes());
        bytes.extend_from_slice(&range.end.to_le_bytes());
    }
    bytes
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// What is in a segment at a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    Record {
        number: u64,
        data: &'a [u8],
    },
    Outcomes {
        /// Whether these are all of them.
        all: bool,
        ranges: Vec<Range<u64>>,
    },
    /// These bytes of the segment are not a valid entry. What follows is.
    Damaged(Range<u64>),
    /// From this offset to the end of the segment there is no valid entry.
    Torn(u64),
}

/// Why the header of a segment is not a valid one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderProblem {
    Damaged,
    /// Written by a later version.
    Version(u32),
}

/// Reads the entries of a segment, a chunk at a time.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) name: SegmentName,
    /// Where the next entry begins.
    pub(crate) offset: u64,
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte.
    start: u64,
    /// A segment that was said to end at the first of these ends at the second.
    short: Option<(u64, u64)>,
    /// Whether blocks that cannot be read are taken for others, which are not valid.
    pub(crate) passes_unreadable: bool,
}

struct Head {
    kind: u32,
    length: usize,
    index: u32,
    data_crc: u32,
}

impl Scan {
    pub(crate) fn new(name: SegmentName) -> Self {
        Self {
            name,
            offset: HEADER as u64,
            buffer: Vec::new(),
            start: 0,
            short: None,
            passes_unreadable: false,
        }
    }

    /// Returns what is wrong with the header.
    pub(crate) fn header(&mut self, segment: &mut dyn Segment, end: u64) -> io::Result<Option<HeaderProblem>> {
        let name = self.name;
        let bytes = self.bytes(segment, 0, HEADER, end)?;
        let (Some(fields), Some(sum)) = (bytes.get(..12), number_at(bytes, 12)) else {
            return Ok(Some(HeaderProblem::Damaged));
        };
        let is_ours = fields.starts_with(MAGIC) && sum == crc(name, 0, fields);
        Ok(match number_at(fields, 8).filter(|_| is_ours) {
            None => Some(HeaderProblem::Damaged),
            Some(VERSION) => None,
            Some(version) => Some(HeaderProblem::Version(version)),
        })
    }

    /// Returns the next entry before `end`, up to where the segment has been written.
    pub(crate) fn next<'a>(&'a mut self, segment: &mut dyn Segment, end: u64) -> io::Result<Option<Entry<'a>>> {
        if self.offset >= end {
            return Ok(None);
        }
        let offset = self.offset;
        let Some(head) = self.valid(segment, offset, end)? else {
            let next = self.resynchronize(segment, end)?;
            self.offset = next.unwrap_or(end);
            return Ok(Some(match next {
                Some(next) => Entry::Damaged(offset..next),
                None => Entry::Torn(offset),
            }));
        };
        let from = offset + HEAD as u64;
        self.offset = from + head.length as u64;
        let name = self.name;
        let data = self.bytes(segment, from, head.length, end)?;
        Ok(Some(match head.kind {
            RECORD => Entry::Record {
                number: name.first.saturating_add(u64::from(head.index)),
                data,
            },
            kind => Entry::Outcomes {
                all: kind == ALL_OUTCOMES,
                ranges: data
                    .chunks_exact(16)
                    .filter_map(|range| {
                        let (start, end) = (range.first_chunk()?, range.last_chunk()?);
                        Some(u64::from_le_bytes(*start)..u64::from_le_bytes(*end))
                    })
                    .collect(),
            },
        }))
    }

    /// Returns where the next valid entry begins after the one at `self.offset`, which is not valid.
    fn resynchronize(&mut self, segment: &mut dyn Segment, end: u64) -> io::Result<Option<u64>> {
        // If only the data is damaged, the next entry is right after it.
        if let Some(head) = self.head(segment, self.offset, end)? {
            let next = self.offset + (HEAD + head.length) as u64;
            if next < end && self.valid(segment, next, end)?.is_some() {
                return Ok(Some(next));
            }
        }
        let mut offset = self.offset + 1;
        while offset + HEAD as u64 <= end {
            if self.valid(segment, offset, end)?.is_some() {
                return Ok(Some(offset));
            }
            offset += 1;
        }
        Ok(None)
    }

    /// Returns the head at an offset, if the whole entry is valid.
    fn valid(&mut self, segment: &mut dyn Segment, offset: u64, end: u64) -> io::Result<Option<Head>> {
        let Some(head) = self.head(segment, offset, end)? else {
            return Ok(None);
        };
        let from = offset + HEAD as u64;
        let name = self.name;
        let data = self.bytes(segment, from, head.length, end)?;
        let is_valid = data.len() == head.length && crc(name, from, data) == head.data_crc;
        Ok(is_valid.then_some(head))
    }

    /// Returns the head at an offset, if that is valid.
    fn head(&mut self, segment: &mut dyn Segment, offset: u64, end: u64) -> io::Result<Option<Head>> {
        let name = self.name;
        let bytes = self.bytes(segment, offset, HEAD, end)?;
        let read = |at| number_at(bytes, at);
        let (Some(fields), Some(kind_and_length), Some(index), Some(data_crc), Some(sum)) =
            (bytes.get(..12), read(0), read(4), read(8), read(12))
        else {
            return Ok(None);
        };
        let kind = kind_and_length >> 30;
        let length = (kind_and_length & (u32::MAX >> 2)) as usize;
        let is_plausible = kind <= ALL_OUTCOMES
            && (kind == RECORD || length.is_multiple_of(16))
            && offset + (HEAD + length) as u64 <= end
            && sum == crc(name, offset, fields);
        Ok(is_plausible.then_some(Head {
            kind,
            length,
            index,
            data_crc,
        }))
    }

    /// Returns these bytes of the segment, fewer at its end.
    fn bytes(&mut self, segment: &mut dyn Segment, offset: u64, length: usize, end: u64) -> io::Result<&[u8]> {
        let stated = end;
        let end = self
            .short
            .filter(|(of, _)| *of == stated)
            .map_or(stated, |(_, end)| end);
        let most = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(most);
        let is_here = offset >= self.start && offset + length as u64 <= self.start + self.buffer.len() as u64;
        if !is_here {
            let wanted = length.max(CHUNK).min(most);
            let kept = self.tail_from(offset);
            self.buffer.drain(..self.buffer.len() - kept);
            // What was once long is not kept.
            self.buffer.shrink_to(wanted.max(kept));
            self.start = offset;
            self.buffer.resize(wanted, 0);
            let rest = self.buffer.get_mut(kept..).unwrap_or_default();
            let read = match segment.read_at(rest, offset + kept as u64) {
                Err(_) if self.passes_unreadable => read_blocks(segment, rest, offset + kept as u64),
                read => read,
            };
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    self.buffer.truncate(kept);
                    return Err(error);
                }
            };
            if kept + read < wanted {
                self.short = Some((stated, offset + (kept + read) as u64));
            }
            self.buffer.truncate(kept + read);
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let rest = self.buffer.get(from..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest))
    }

    /// Returns how many bytes of the buffer are those from an offset on.
    fn tail_from(&self, offset: u64) -> usize {
        let end = self.start + self.buffer.len() as u64;
        match offset >= self.start && offset < end {
            true => usize::try_from(end - offset).unwrap_or(0),
            false => 0,
        }
    }
}

/// The size of the blocks that a disk reads as a whole, in bytes.
const BLOCK: u64 = 4096;

/// Reads block by block. What cannot be read is zeros, which are not a valid entry.
fn read_blocks(segment: &mut dyn Segment, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        let at = offset + read as u64;
        let in_block = usize::try_from(BLOCK - at % BLOCK)
            .unwrap_or(rest.len())
            .min(rest.len());
        let (block, _) = rest.split_at_mut(in_block);
        match segment.read_at(block, at) {
            Ok(count) if count == in_block => {}
            Ok(count) => return Ok(read + count),
            Err(_) => block.fill(0),
        }
        read += in_block;
    }
    Ok(read)
}
