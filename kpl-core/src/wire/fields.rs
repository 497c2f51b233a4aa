//! The fields of an aggregated record, one after the other: where they are and what is in them.

use core::iter::FusedIterator;
use core::ops::Range;

use super::cursor::{Cursor, Field, InvalidBody, MAX_DEPTH, Mistake, Problem, WireType};
use super::{Frame, MAGIC, WireRecord};

impl<'a> Frame<'a> {
    /// Returns each field of the protobuf bytes and its position, for tools that draw them: ranges that count from the
    /// first byte of the magic, and include the field's number and length.
    ///
    /// The digest is not checked, so this shows up to where damaged bytes are intact. The fields and the first error are
    /// those that [`AggregatedRecord::parse`](super::AggregatedRecord::parse) finds, but they take no memory.
    ///
    /// ```
    /// use kpl_core::wire::{Frame, Part};
    ///
    /// let mut bytes = vec![0xF3, 0x89, 0x9A, 0xC2]; // magic
    /// bytes.extend(b"\x0A\x03abc\x1A\x06\x08\x00\x1A\x02hi"); // one key, one record
    /// bytes.extend(kpl_core::digest::md5(&bytes[4..]));
    ///
    /// let fields = Frame::new(&bytes)?.fields().collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(fields[0], (Part::PartitionKey("abc"), 4..9));
    /// let (Part::UserRecord(record), range) = &fields[1] else { panic!() };
    /// assert_eq!((record.data, range.clone()), (&b"hi"[..], 9..17));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn fields(&self) -> Fields<'a> {
        Fields {
            cursor: Cursor::new(self.body(), MAGIC.len()),
            records: 0,
            failed: false,
        }
    }
}

/// What is in a field of an aggregated record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part<'a> {
    /// A key of the partition-key table.
    PartitionKey(&'a str),
    /// A key of the explicit-hash-key table, which may not be a valid hash key.
    ExplicitHashKey(&'a str),
    /// A user record.
    UserRecord(WireRecord<'a>),
    /// A field that the format does not have.
    Unknown,
}

/// An iterator over the fields of an aggregated record, returned by [`Frame::fields`]. An error is the last item.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    cursor: Cursor<'a>,
    /// How many user records have been read.
    records: usize,
    failed: bool,
}

/// Reads a field, after this many user records.
// Inlined, as `WireRecord::read` is.
#[inline(always)]
pub(super) fn part<'a>(cursor: &mut Cursor<'a>, records: usize) -> Result<Part<'a>, InvalidBody> {
    let outside = |field| {
        move |(offset, problem): Mistake| InvalidBody {
            offset,
            record: None,
            field,
            problem,
        }
    };
    match cursor.field().map_err(outside(Field::Unknown))? {
        (1, WireType::LengthDelimited) => {
            let key = cursor.text().map_err(outside(Field::PartitionKeyTable))?;
            Ok(Part::PartitionKey(key))
        }
        (2, WireType::LengthDelimited) => {
            let key = cursor.text().map_err(outside(Field::ExplicitHashKeyTable))?;
            Ok(Part::ExplicitHashKey(key))
        }
        (3, WireType::LengthDelimited) => {
            let message = cursor.bytes().map_err(outside(Field::Records))?;
            let start = cursor.offset() - message.len();
            let record = WireRecord::read(message, start).map_err(|(field, (offset, problem))| InvalidBody {
                offset,
                record: Some(records),
                field,
                problem,
            })?;
            Ok(Part::UserRecord(record))
        }
        (number @ 1..=3, _) => {
            let field = match number {
                1 => Field::PartitionKeyTable,
                2 => Field::ExplicitHashKeyTable,
                _ => Field::Records,
            };
            Err(outside(field)((cursor.offset(), Problem::WireType)))
        }
        unknown => {
            cursor.skip(unknown, MAX_DEPTH).map_err(outside(Field::Unknown))?;
            Ok(Part::Unknown)
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(Part<'a>, Range<usize>), InvalidBody>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.is_empty() {
            return None;
        }
        let start = self.cursor.offset();
        let part = part(&mut self.cursor, self.records);
        self.failed = part.is_err();
        self.records += usize::from(matches!(part, Ok(Part::UserRecord(_))));
        Some(part.map(|part| (part, start..self.cursor.offset())))
    }
}

impl FusedIterator for Fields<'_> {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::wire::{AggregatedRecord, Contents, DIGEST_LEN};

    fn sealed(body: &[u8]) -> Vec<u8> {
        [&MAGIC, body, &crate::digest::md5(body)].concat()
    }

    #[test]
    fn an_error_is_the_last() {
        let bytes = sealed(b"\x0A\x01a\x1A\x04\x08\x00\x1A\x00\x1A\x02\x08\x00\x0A\x01a");
        let fields: Vec<_> = Frame::new(&bytes).unwrap().fields().collect();
        assert_eq!(fields[0], Ok((Part::PartitionKey("a"), 4..7)));
        let (Part::UserRecord(record), range) = fields[1].clone().unwrap() else {
            panic!("{fields:?}")
        };
        assert_eq!((record.data, range), (&b""[..], 7..13));
        let error = fields[2].clone().unwrap_err();
        assert_eq!((fields.len(), error.offset, error.record), (3, 17, Some(1)));
        assert_eq!((error.field, error.problem), (Field::Data, Problem::Missing));
    }

    /// Fields that come again and again.
    const AGAIN: &[&[u8]] = &[
        b"\x0A\0",
        b"\x12\0",
        b"\x53\x54",
        b"\x53\x5B\x5C\x54",
        b"\x50\x01",
        b"\x52\0",
        b"\x0A\x01a",
        b"\x0A\0\x12\0",
        b"\x0A\x80\0",
        b"\x83\x01\x84\x01",
        b"\x1A\x04\x1A\0\x08\0",
    ];

    /// Fields of the format, and bytes that are nearly some.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![
            4 => (select(AGAIN), 1..50_usize).prop_map(|(field, count)| field.repeat(count)),
            4 => "[a-c]{0,3}".prop_map(|key| [&[0x0A, key.len() as u8], key.as_bytes()].concat()),
            2 => "[0-9x]{0,3}".prop_map(|key| [&[0x12, key.len() as u8], key.as_bytes()].concat()),
            4 => (0_u8..4, any::<bool>()).prop_map(|(index, long)| match long {
                false => [0x1A, 0x04, 0x08, index, 0x1A, 0x00].to_vec(),
                true => [0x1A, 0x0B, 0x08, index, 0x10, index, 0x1A, 0x00, 0x22, 0x03, 0x0A, 0x01, 0x61].to_vec(),
            }),
            1 => Just(b"\x22\x02hi".to_vec()),
            2 => proptest::collection::vec(0_u8..40, 1..8),
        ];
        proptest::collection::vec(field, 1..12).prop_map(|fields| fields.concat())
    }

    proptest! {
        #[test]
        fn the_fields_are_those_of_the_parsed_record(body in body()) {
            let bytes = sealed(&body);
            let fields: Vec<_> = Frame::new(&bytes).unwrap().fields().collect();
            let mut end = MAGIC.len();
            for (_, range) in fields.iter().flatten() {
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > end);
                end = range.end;
            }
            let mut contents = Contents::default();
            let error = contents.read(&body).err();
            prop_assert_eq!(fields.iter().find_map(|field| field.clone().err()), error);
            if error.is_some() {
                return Ok(());
            }
            prop_assert_eq!(end, bytes.len() - DIGEST_LEN);
            let parsed = AggregatedRecord::from(contents);
            let parts = || fields.iter().flatten().map(|(part, _)| *part);
            let keys: Vec<_> = parts().filter_map(|part| match part { Part::PartitionKey(key) => Some(key), _ => None }).collect();
            prop_assert_eq!(keys, parsed.partition_keys());
            let keys: Vec<_> = parts().filter_map(|part| match part { Part::ExplicitHashKey(key) => Some(key), _ => None }).collect();
            prop_assert_eq!(keys, parsed.explicit_hash_keys());
            let records: Vec<_> = parts().filter_map(|part| match part { Part::UserRecord(record) => Some(record), _ => None }).collect();
            prop_assert!(records.into_iter().eq(parsed.records()));
        }
    }
}
