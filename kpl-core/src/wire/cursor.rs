//! Reads protobuf field by field, and reports the position of every mistake.

use core::fmt;

use crate::debug::ByteCount;

/// How deeply groups may be nested in fields that are skipped, as in the protobuf libraries.
pub(super) const MAX_DEPTH: u32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireType {
    Varint,
    Fixed64,
    LengthDelimited,
    StartGroup,
    EndGroup,
    Fixed32,
}

/// A position in a message. `end` is the offset, in the whole aggregated record, of the byte after `rest`.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    end: usize,
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("rest", &ByteCount(self.rest.len()))
            .field("end", &self.end)
            .finish()
    }
}

/// A mistake and its offset, before it is known in which record and field it is.
pub(super) type Mistake = (usize, Problem);

impl<'a> Cursor<'a> {
    pub(super) const fn new(message: &'a [u8], start: usize) -> Self {
        Self {
            rest: message,
            end: start + message.len(),
        }
    }

    #[inline]
    pub(super) const fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    #[inline]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Advances to `rest`, a tail of what is left.
    #[inline]
    pub(super) const fn advance_to(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Mistake> {
        match self.rest {
            [byte @ 0..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [first, second @ 0..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(first & 0x7F) | u64::from(*second) << 7)
            }
            rest => {
                let (value, rest) = long_varint(rest).map_err(|problem| (self.offset(), problem))?;
                self.rest = rest;
                Ok(value)
            }
        }
    }

    /// Reads the number and wire type of the next field.
    #[inline]
    pub(super) fn field(&mut self) -> Result<(u32, WireType), Mistake> {
        let offset = self.offset();
        let key = u32::try_from(self.varint()?).map_err(|_| (offset, Problem::FieldNumber))?;
        let wire_type = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::LengthDelimited,
            3 => WireType::StartGroup,
            4 => WireType::EndGroup,
            5 => WireType::Fixed32,
            _ => return Err((offset, Problem::WireType)),
        };
        match key >> 3 {
            0 => Err((offset, Problem::FieldNumber)),
            number => Ok((number, wire_type)),
        }
    }

    /// Reads the bytes of a length-delimited field.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Mistake> {
        let offset = self.offset();
        let len = self.varint()?;
        let (bytes, rest) = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len))
            .ok_or((offset, Problem::PastTheEnd))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads the string of a length-delimited field.
    pub(super) fn text(&mut self) -> Result<&'a str, Mistake> {
        let bytes = self.bytes()?;
        let start = self.offset() - bytes.len();
        core::str::from_utf8(bytes).map_err(|error| (start + error.valid_up_to(), Problem::NotUtf8))
    }

    /// Skips an unknown field. `depth` is how many groups it may open.
    pub(super) fn skip(&mut self, (number, wire_type): (u32, WireType), depth: u32) -> Result<(), Mistake> {
        let offset = self.offset();
        if depth == 0 {
            return Err((offset, Problem::TooDeep));
        }
        match wire_type {
            WireType::Varint => self.varint().map(drop),
            WireType::LengthDelimited => self.bytes().map(drop),
            WireType::Fixed64 => self.fixed(8),
            WireType::Fixed32 => self.fixed(4),
            WireType::EndGroup => Err((offset, Problem::Group)),
            WireType::StartGroup => self.skip_group(number, depth),
        }
    }

    /// Skips what is left of a group of this number. `depth` is how many groups may be open, this one included.
    // Takes a call for 16 groups inside each other, as a call for each would take most of the time.
    pub(super) fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), Mistake> {
        let mut open = [number; 16];
        let most = depth.min(16);
        let mut count = 1_u32;
        while let Some(innermost) = count.checked_sub(1) {
            // What comes after this reads the same, but more slowly: a group in a group, or its end, with a number below 16.
            if let [tag @ 8..0x80, rest @ ..] = self.rest {
                let number = u32::from(tag >> 3);
                match tag & 7 {
                    3 if count < most => {
                        self.rest = rest;
                        if let Some(place) = open.get_mut(count as usize) {
                            *place = number;
                        }
                        count += 1;
                        continue;
                    }
                    4 if open.get(innermost as usize) == Some(&number) => {
                        self.rest = rest;
                        count = innermost;
                        continue;
                    }
                    _ => {}
                }
            }
            if self.is_empty() {
                return Err((self.offset(), Problem::Group));
            }
            let at = self.offset();
            match self.field()? {
                (inner, WireType::StartGroup) if count < most => {
                    if let Some(place) = open.get_mut(count as usize) {
                        *place = inner;
                    }
                    count += 1;
                }
                (end, WireType::EndGroup) if open.get(innermost as usize) == Some(&end) => count = innermost,
                (_, WireType::EndGroup) => return Err((at, Problem::Group)),
                inner => self.skip(inner, depth - count)?,
            }
        }
        Ok(())
    }

    fn fixed(&mut self, len: usize) -> Result<(), Mistake> {
        let past_the_end = (self.offset(), Problem::PastTheEnd);
        self.rest = self.rest.get(len..).ok_or(past_the_end)?;
        Ok(())
    }
}

/// Reads a varint, and returns what comes after it.
#[cold]
pub(super) fn long_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Problem> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7F);
        if place == 9 && byte > 1 {
            break;
        }
        value |= bits << (7 * place);
        if byte < 0x80 {
            return Ok((value, bytes.get(place + 1..).unwrap_or_default()));
        }
    }
    Err(if bytes.len() < 10 {
        Problem::PastTheEnd
    } else {
        Problem::LongVarint
    })
}

/// The fields of the format, for errors that name one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// `AggregatedRecord.partition_key_table`
    PartitionKeyTable,
    /// `AggregatedRecord.explicit_hash_key_table`
    ExplicitHashKeyTable,
    /// `AggregatedRecord.records`
    Records,
    /// `Record.partition_key_index`
    PartitionKeyIndex,
    /// `Record.explicit_hash_key_index`
    ExplicitHashKeyIndex,
    /// `Record.data`
    Data,
    /// `Record.tags`
    Tags,
    /// `Tag.key`
    TagKey,
    /// `Tag.value`
    TagValue,
    /// A field that the format does not have, or the number of a field.
    Unknown,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PartitionKeyTable => "partition_key_table",
            Self::ExplicitHashKeyTable => "explicit_hash_key_table",
            Self::Records => "records",
            Self::PartitionKeyIndex => "partition_key_index",
            Self::ExplicitHashKeyIndex => "explicit_hash_key_index",
            Self::Data => "data",
            Self::Tags => "tags",
            Self::TagKey => "tag key",
            Self::TagValue => "tag value",
            Self::Unknown => "unknown",
        })
    }
}

/// The kind of mistake in the protobuf bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// A varint, a fixed-size number, or a declared length reaches past the end of its message.
    PastTheEnd,
    /// A varint of more than 10 bytes or 64 bits.
    LongVarint,
    /// A field number of 0 or above 2^29-1.
    FieldNumber,
    /// A wire type that does not exist, or that is not the one of this field.
    WireType,
    /// A group that does not close, or closes without having been opened.
    Group,
    /// Groups nested more than 100 deep.
    TooDeep,
    /// A string that is not valid UTF-8.
    NotUtf8,
    /// A required field is missing.
    Missing,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PastTheEnd => "it reaches past the end of its message",
            Self::LongVarint => "the varint is too long",
            Self::FieldNumber => "the field number is out of range",
            Self::WireType => "the wire type is wrong",
            Self::Group => "the group does not match",
            Self::TooDeep => "groups are nested too deep",
            Self::NotUtf8 => "the text is not UTF-8",
            Self::Missing => "the required field is missing",
        })
    }
}

/// Where and why the protobuf bytes of an aggregated record do not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct InvalidBody {
    /// The offset of the mistake from the first byte of the magic.
    pub offset: usize,
    /// The index of the user record that contains it, if it is in one.
    pub record: Option<usize>,
    /// The field that contains it.
    pub field: Field,
    /// The kind of mistake.
    pub problem: Problem,
}

impl fmt::Display for InvalidBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(record) = self.record {
            write!(f, "record {record}, ")?;
        }
        write!(f, "field {}: {}, at byte {}", self.field, self.problem, self.offset)
    }
}

impl core::error::Error for InvalidBody {}
