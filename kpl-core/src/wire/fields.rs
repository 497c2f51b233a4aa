//! Where the fields of an aggregated record are.

use core::iter::FusedIterator;
use core::ops::Range;

use super::cursor::{Cursor, MAX_DEPTH, Mistake, WireType};
use super::{Field, Frame, InvalidBody, MAGIC};

impl<'a> Frame<'a> {
    /// Returns the position of each field of the protobuf bytes, for tools that draw them: ranges that count from the
    /// first byte of the magic, and include the field's number and length.
    ///
    /// Neither the digest nor the content of the fields is checked, so this shows up to where damaged bytes are intact.
    ///
    /// ```
    /// use kpl_core::wire::{Field, Frame};
    ///
    /// let mut bytes = vec![0xF3, 0x89, 0x9A, 0xC2]; // magic
    /// bytes.extend(b"\x0A\x03abc\x1A\x06\x08\x00\x1A\x02hi"); // one key, one record
    /// bytes.extend(kpl_core::digest::md5(&bytes[4..]));
    ///
    /// let fields = Frame::new(&bytes)?.fields().collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(fields, [(Field::PartitionKeyTable, 4..9), (Field::Records, 9..17)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn fields(&self) -> Fields<'a> {
        Fields {
            cursor: Cursor::new(self.body(), MAGIC.len()),
            failed: false,
        }
    }
}

/// An iterator over the positions of an aggregated record's fields, returned by [`Frame::fields`]. An error is the last
/// item.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    cursor: Cursor<'a>,
    failed: bool,
}

impl Fields<'_> {
    fn read(&mut self) -> Result<(Field, Range<usize>), (Field, Mistake)> {
        let start = self.cursor.offset();
        let key = self.cursor.field().map_err(|mistake| (Field::Unknown, mistake))?;
        let field = match key {
            (1, WireType::LengthDelimited) => Field::PartitionKeyTable,
            (2, WireType::LengthDelimited) => Field::ExplicitHashKeyTable,
            (3, WireType::LengthDelimited) => Field::Records,
            _ => Field::Unknown,
        };
        self.cursor.skip(key, MAX_DEPTH).map_err(|mistake| (field, mistake))?;
        Ok((field, start..self.cursor.offset()))
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(Field, Range<usize>), InvalidBody>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.is_empty() {
            return None;
        }
        let result = self.read();
        self.failed = result.is_err();
        Some(result.map_err(|(field, (offset, problem))| InvalidBody {
            offset,
            record: None,
            field,
            problem,
        }))
    }
}

impl FusedIterator for Fields<'_> {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::{AggregatedRecord, DIGEST_LEN};

    fn fields(body: &[u8]) -> Vec<Result<(Field, Range<usize>), InvalidBody>> {
        let bytes = [&MAGIC, body, &[0; DIGEST_LEN]].concat();
        Frame::new(&bytes).map_or_else(|_| Vec::new(), |frame| frame.fields().collect())
    }

    #[test]
    fn an_error_is_the_last() {
        let fields = fields(b"\x0A\x01a\x1A\x00\x1A\x7F\x0A\x01a");
        assert_eq!(
            fields[..2],
            [Ok((Field::PartitionKeyTable, 4..7)), Ok((Field::Records, 7..9))]
        );
        let error = fields[2].clone().unwrap_err();
        assert_eq!((fields.len(), error.offset, error.field), (3, 10, Field::Records));
    }

    proptest! {
        #[test]
        fn fields_follow_each_other_without_gaps(body in proptest::collection::vec(0_u8..32, 1..60)) {
            let mut end = MAGIC.len();
            for field in fields(&body).into_iter().map_while(Result::ok) {
                prop_assert_eq!(field.1.start, end);
                prop_assert!(field.1.end > end);
                end = field.1.end;
            }
            prop_assert!(end <= MAGIC.len() + body.len());
        }

        #[test]
        fn a_valid_aggregate_is_fields_to_its_end(keys in proptest::collection::vec("[a-c]{0,3}", 0..5), records in 1_usize..5) {
            let mut body = Vec::new();
            for key in &keys {
                body.extend([0x0A, key.len() as u8]);
                body.extend(key.as_bytes());
            }
            body.extend(b"\x1A\x04\x08\x00\x1A\x00".repeat(records));
            let bytes = [&MAGIC, &body[..], &crate::digest::md5(&body)].concat();
            let aggregate = AggregatedRecord::parse(&bytes).unwrap();
            let fields: Vec<_> = Frame::new(&bytes).unwrap().fields().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(fields.last().unwrap().1.end, bytes.len() - DIGEST_LEN);
            let count = |wanted| fields.iter().filter(|(field, _)| *field == wanted).count();
            prop_assert_eq!(count(Field::Records), aggregate.len());
            prop_assert_eq!(count(Field::PartitionKeyTable), aggregate.partition_keys().len());
        }
    }
}
