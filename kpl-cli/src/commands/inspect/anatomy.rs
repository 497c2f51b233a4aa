//! The parts of one record.

use std::borrow::Cow;
use std::ops::Range;

use data_encoding::BASE64;
use kpl_core::digest::md5;
use kpl_core::wire::{DIGEST_LEN, Fields, Frame, InvalidBody, MAGIC, Malformed, NotAggregated, Part, WireRecord};
use kpl_core::{DeaggregateErrorKind, HashKey, PartitionKey, Tags};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::cause;
use crate::compression::Compression;
use crate::decompress::{Decompress, NotDecompressed};
use crate::draw::hexadecimal;
use crate::input::Entry;

/// The parts of a record, and where they are: offsets count from its first byte.
///
/// A record can have millions of keys and user records, so they are read from its bytes anew each time they are asked for. What
/// is held beside the bytes are the references to keys, of four bytes each, and the places of keys that are not valid.
#[derive(Debug)]
pub(super) struct Anatomy<'a> {
    pub(super) data: &'a [u8],
    pub(super) kind: Kind,
    pub(super) malformed: Option<Problem>,
    /// What the bytes of a plain record seem to be, if they are probably not meant as they are, and whether it was unpacked before.
    pub(super) cause: Option<String>,
    pub(super) digest: Option<Digest>,
    pub(super) partition_keys: Table,
    pub(super) explicit_hash_keys: Table,
    /// The explicit hash keys that are referred to and are not valid: their indexes, and where they are.
    invalid_hash_keys: Vec<(u32, Range<u32>)>,
    /// How many user records there are.
    pub(super) user_records: usize,
    /// Whether user records refer to explicit hash keys, also to some that do not exist.
    pub(super) has_explicit_hash_keys: bool,
    pub(super) bytes: Bytes,
    frame: Option<Frame<'a>>,
    decompress: &'a Decompress,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// It does not carry the magic, so it is one user record.
    #[default]
    Plain,
    Aggregated,
    /// It carries the magic, but is not a valid aggregated record.
    Malformed,
}

/// What is wrong with a record, and where, if that is known.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Problem {
    pub(super) reason: String,
    pub(super) offset: Option<usize>,
    pub(super) user_record: Option<usize>,
    pub(super) field: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Digest {
    pub(super) offset: usize,
    pub(super) given: String,
    pub(super) computed: String,
    pub(super) matches: bool,
}

/// How many keys a table has, and which of them user records refer to.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) len: usize,
    /// The indexes that user records have, in order.
    references: Vec<u32>,
}

impl Table {
    fn refer(&mut self, index: u64) {
        if usize::try_from(index).is_ok_and(|index| index < self.len) {
            self.references.extend(u32::try_from(index));
        }
    }

    /// Returns how many user records refer to a key.
    fn uses(&self, index: u32) -> usize {
        let before = |end: bool| {
            self.references
                .partition_point(|&other| other < index || end && other == index)
        };
        before(true) - before(false)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableKey<'a> {
    pub(super) offset: usize,
    pub(super) key: &'a str,
    /// How many user records refer to it.
    pub(super) used_by: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserRecord<'a> {
    pub(super) offset: usize,
    /// Including the indexes of its keys, and lengths.
    pub(super) size: usize,
    pub(super) partition_key_index: u64,
    pub(super) explicit_hash_key_index: Option<u64>,
    #[serde(serialize_with = "pairs")]
    pub(super) tags: Tags<'a>,
    pub(super) data_size: usize,
    #[serde(serialize_with = "base64")]
    pub(super) data: Cow<'a, [u8]>,
    /// Why its keys cannot be resolved, if they cannot.
    pub(super) malformed: Option<String>,
    /// What the data was compressed by, if it was decompressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compression: Option<Compression>,
    /// Why it was not decompressed, though it is compressed.
    #[serde(skip)]
    pub(super) not_decompressed: Option<NotDecompressed>,
}

fn pairs<S: Serializer>(tags: &Tags<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(tags.iter())
}

fn base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&BASE64.encode_display(data))
}

/// Where the bytes go.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Bytes {
    pub(super) keys: usize,
    pub(super) data: usize,
    pub(super) framing: usize,
    /// After the byte where they stop making sense.
    pub(super) unknown: usize,
}

impl<'a> Anatomy<'a> {
    /// Returns the parts of these bytes. The data of user records is decompressed if it is to be.
    pub(super) fn of(data: &'a [u8], decompress: &'a Decompress) -> Self {
        let mut anatomy = Self {
            data,
            kind: Kind::Plain,
            malformed: None,
            cause: None,
            digest: None,
            partition_keys: Table::default(),
            explicit_hash_keys: Table::default(),
            invalid_hash_keys: Vec::new(),
            user_records: 0,
            has_explicit_hash_keys: false,
            bytes: Bytes::default(),
            frame: None,
            decompress,
        };
        match Frame::new(data) {
            Ok(frame) => anatomy.take_apart(frame),
            Err(NotAggregated::Malformed(reason)) => {
                anatomy.kind = Kind::Malformed;
                anatomy.malformed = Some(Problem::without_offset(reason.to_string()));
                anatomy.bytes.framing = MAGIC.len();
                anatomy.bytes.unknown = data.len() - MAGIC.len();
            }
            Err(_) => {
                anatomy.cause = cause::of(data);
                anatomy.bytes.data = data.len();
            }
        }
        anatomy
    }

    fn take_apart(&mut self, frame: Frame<'a>) {
        let computed = md5(frame.body());
        let matches = computed == frame.digest();
        let (size, mut end, mut explicit) = (self.data.len(), MAGIC.len(), 0);
        for field in frame.fields() {
            let (part, range) = match field {
                Ok(field) => field,
                // A wrong digest does not hide where the bytes stop making sense.
                Err(error) => {
                    self.malformed = Some(error.into());
                    break;
                }
            };
            end = range.end;
            match part {
                Part::PartitionKey(key) => {
                    self.partition_keys.len += 1;
                    self.bytes.keys += key.len();
                }
                Part::ExplicitHashKey(key) => {
                    self.explicit_hash_keys.len += 1;
                    self.bytes.keys += key.len();
                }
                Part::UserRecord(record) => {
                    self.user_records += 1;
                    explicit += usize::from(record.explicit_hash_key_index.is_some());
                    self.bytes.data += record.data.len();
                }
                _ => {}
            }
        }
        if self.malformed.is_none() && !matches {
            self.malformed = Some(Problem::without_offset(Malformed::Digest.to_string()));
        }
        self.kind = match self.malformed {
            None => Kind::Aggregated,
            Some(_) => Kind::Malformed,
        };
        self.digest = Some(Digest {
            offset: size - DIGEST_LEN,
            given: hexadecimal(&frame.digest()),
            computed: hexadecimal(&computed),
            matches,
        });
        self.bytes.unknown = size - DIGEST_LEN - end;
        self.bytes.framing = size - self.bytes.keys - self.bytes.data - self.bytes.unknown;
        self.has_explicit_hash_keys = explicit > 0;
        self.frame = Some(frame);
        self.count_references(explicit);
    }

    /// Counts how many user records refer to each key, and finds the keys that they cannot refer to.
    fn count_references(&mut self, explicit: usize) {
        self.partition_keys.references.reserve_exact(self.user_records);
        self.explicit_hash_keys.references.reserve_exact(explicit);
        for (part, _) in fields(self.frame) {
            if let Part::UserRecord(record) = part {
                self.partition_keys.refer(record.partition_key_index);
                if let Some(index) = record.explicit_hash_key_index {
                    self.explicit_hash_keys.refer(index);
                }
            }
        }
        self.partition_keys.references.sort_unstable();
        self.explicit_hash_keys.references.sort_unstable();
        let keys = fields(self.frame).filter_map(|(part, range)| match part {
            Part::ExplicitHashKey(key) => Some((key, range)),
            _ => None,
        });
        for ((key, range), index) in keys.zip(0..) {
            if HashKey::parse_lenient(key).is_none() && self.explicit_hash_keys.uses(index) > 0 {
                let places = [range.end - key.len(), range.end].map(u32::try_from);
                if let [Ok(start), Ok(end)] = places {
                    self.invalid_hash_keys.push((index, start..end));
                }
            }
        }
    }

    /// Returns all that is intact, and where it is.
    pub(super) fn fields(&self) -> impl Iterator<Item = (Part<'a>, Range<usize>)> + use<'a> {
        fields(self.frame)
    }

    pub(super) fn partition_keys(&self) -> impl Iterator<Item = TableKey<'a>> {
        self.table_keys(&self.partition_keys, |part| match part {
            Part::PartitionKey(key) => Some(key),
            _ => None,
        })
    }

    pub(super) fn explicit_hash_keys(&self) -> impl Iterator<Item = TableKey<'a>> {
        self.table_keys(&self.explicit_hash_keys, |part| match part {
            Part::ExplicitHashKey(key) => Some(key),
            _ => None,
        })
    }

    /// Returns the keys of a table, which are those that `key` returns.
    fn table_keys<'t>(
        &'t self,
        table: &'t Table,
        key: impl Fn(Part<'a>) -> Option<&'a str>,
    ) -> impl Iterator<Item = TableKey<'a>> {
        let keys = self
            .fields()
            .filter_map(move |(part, range)| Some((key(part)?, range.start)));
        keys.zip(0..).map(|((key, offset), index)| TableKey {
            offset,
            key,
            used_by: table.uses(index),
        })
    }

    /// Returns the user records. Together, their data takes at most as many bytes decompressed as that of one record may.
    pub(super) fn user_records(&self) -> impl Iterator<Item = UserRecord<'a>> {
        let mut left = self.decompress.limit();
        let records = self.fields().filter_map(|(part, range)| match part {
            Part::UserRecord(record) => Some((record, range)),
            _ => None,
        });
        records.map(move |(record, range)| {
            let mut user_record = UserRecord {
                offset: range.start,
                size: range.len(),
                partition_key_index: record.partition_key_index,
                explicit_hash_key_index: record.explicit_hash_key_index,
                tags: record.tags(),
                data_size: record.data.len(),
                data: record.data.into(),
                malformed: self.unresolved(&record).map(|kind| kind.to_string()),
                compression: None,
                not_decompressed: None,
            };
            match self.decompress.apply_within(left, record.data) {
                Ok(plain) if plain.compression.is_some() => {
                    left -= plain.data.len();
                    user_record.compression = plain.compression;
                    user_record.data = plain.data;
                }
                Ok(_) => {}
                Err(problem) => user_record.not_decompressed = Some(problem),
            }
            user_record
        })
    }

    /// Returns why the keys of a user record cannot be resolved, if they cannot.
    fn unresolved(&self, record: &WireRecord<'_>) -> Option<DeaggregateErrorKind> {
        let is_outside = |index: u64, len| usize::try_from(index).map_or(true, |index| index >= len);
        let (index, len) = (record.partition_key_index, self.partition_keys.len);
        if is_outside(index, len) {
            return Some(DeaggregateErrorKind::PartitionKeyIndex { index, len });
        }
        let (index, len) = (record.explicit_hash_key_index?, self.explicit_hash_keys.len);
        if is_outside(index, len) {
            return Some(DeaggregateErrorKind::ExplicitHashKeyIndex { index, len });
        }
        let invalid = &self.invalid_hash_keys;
        let found = invalid.binary_search_by_key(&index, |(index, _)| u64::from(*index));
        let (_, range) = invalid.get(found.ok()?)?;
        let key = self.data.get(range.start as usize..range.end as usize)?;
        let key = String::from_utf8_lossy(key);
        Some(DeaggregateErrorKind::ExplicitHashKey {
            text: key.chars().take(PartitionKey::MAX_CHARACTERS).collect(),
        })
    }

    /// Returns what `--output json` writes.
    pub(super) fn report<'r>(&'r self, entry: &'r Entry, compression: Option<Compression>) -> Report<'r> {
        Report {
            entry,
            compression,
            anatomy: self,
        }
    }
}

/// Returns the fields before the first mistake.
fn fields(frame: Option<Frame<'_>>) -> impl Iterator<Item = (Part<'_>, Range<usize>)> {
    let fields = frame.as_ref().map(Frame::fields).into_iter();
    fields.flat_map(|fields: Fields<'_>| fields.map_while(Result::ok))
}

/// The parts of one record, and what the input says about it.
#[derive(Debug)]
pub(super) struct Report<'r> {
    entry: &'r Entry,
    /// What the record was compressed by, if it was decompressed.
    compression: Option<Compression>,
    anatomy: &'r Anatomy<'r>,
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let anatomy = self.anatomy;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("PartitionKey", &self.entry.partition_key)?;
        map.serialize_entry("SequenceNumber", &self.entry.sequence_number)?;
        if let Some(compression) = &self.compression {
            map.serialize_entry("Compression", compression)?;
        }
        map.serialize_entry("Kind", &anatomy.kind)?;
        map.serialize_entry("Size", &anatomy.data.len())?;
        map.serialize_entry("Malformed", &anatomy.malformed)?;
        if let Some(cause) = &anatomy.cause {
            map.serialize_entry("Cause", cause)?;
        }
        map.serialize_entry("Digest", &anatomy.digest)?;
        map.serialize_entry("PartitionKeys", &Each(|| anatomy.partition_keys()))?;
        map.serialize_entry("ExplicitHashKeys", &Each(|| anatomy.explicit_hash_keys()))?;
        map.serialize_entry("UserRecords", &Each(|| anatomy.user_records()))?;
        map.serialize_entry("Bytes", &anatomy.bytes)?;
        map.end()
    }
}

/// An array of items that are never all in memory.
struct Each<F>(F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

impl Problem {
    fn without_offset(reason: String) -> Self {
        Self {
            reason,
            offset: None,
            user_record: None,
            field: None,
        }
    }
}

impl From<InvalidBody> for Problem {
    fn from(body: InvalidBody) -> Self {
        Self {
            reason: body.problem.to_string(),
            offset: Some(body.offset),
            user_record: body.record,
            field: Some(body.field.to_string()),
        }
    }
}
