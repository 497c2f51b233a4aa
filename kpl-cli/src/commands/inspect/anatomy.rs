//! The parts of one record.

use std::ops::Range;

use data_encoding::BASE64;
use kpl_core::digest::md5;
use kpl_core::wire::{AggregatedRecord, DIGEST_LEN, Field, Frame, MAGIC, Malformed, NotAggregated, WireRecord};
use kpl_core::{Deaggregator, KinesisRecord};
use serde::{Serialize, Serializer};

use super::cause;
use crate::compression::Compression;
use crate::draw::hexadecimal;
use crate::input::Entry;

/// The parts of a record, and where they are: offsets count from its first byte.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Anatomy {
    pub(super) kind: Kind,
    pub(super) size: usize,
    pub(super) malformed: Option<Problem>,
    /// What the bytes of a plain record seem to be, if they are probably not meant as they are, and whether it was unpacked before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<String>,
    pub(super) digest: Option<Digest>,
    pub(super) partition_keys: Vec<TableKey>,
    pub(super) explicit_hash_keys: Vec<TableKey>,
    pub(super) user_records: Vec<UserRecord>,
    pub(super) bytes: Bytes,
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

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableKey {
    pub(super) offset: usize,
    pub(super) key: String,
    /// How many user records refer to it.
    pub(super) used_by: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserRecord {
    pub(super) offset: usize,
    /// Including the indexes of its keys, and lengths.
    pub(super) size: usize,
    pub(super) partition_key_index: u64,
    pub(super) explicit_hash_key_index: Option<u64>,
    pub(super) tags: Vec<(String, Option<String>)>,
    pub(super) data_size: usize,
    #[serde(serialize_with = "base64")]
    pub(super) data: Vec<u8>,
    /// Why its keys cannot be resolved, if they cannot.
    pub(super) malformed: Option<String>,
    /// What the data was compressed by, if it was decompressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compression: Option<Compression>,
}

fn base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(data))
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

/// The parts of one record, and what the input says about it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Report<'a> {
    partition_key: Option<&'a str>,
    sequence_number: Option<&'a str>,
    /// What the record was compressed by, if it was decompressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<Compression>,
    #[serde(flatten)]
    anatomy: &'a Anatomy,
}

impl Anatomy {
    pub(super) fn of(entry: &Entry) -> Self {
        let data = &entry.data[..];
        let size = data.len();
        match Frame::new(data) {
            Ok(frame) => Self::of_frame(&frame, size),
            Err(NotAggregated::Malformed(reason)) => Self {
                kind: Kind::Malformed,
                size,
                malformed: Some(problem(reason)),
                bytes: Bytes {
                    framing: MAGIC.len(),
                    unknown: size - MAGIC.len(),
                    ..Bytes::default()
                },
                ..Self::default()
            },
            Err(_) => Self {
                size,
                cause: cause::of(data),
                bytes: Bytes {
                    data: size,
                    ..Bytes::default()
                },
                ..Self::default()
            },
        }
    }

    fn of_frame(frame: &Frame<'_>, size: usize) -> Self {
        let body = frame.body();
        let computed = md5(body);
        let matches = computed == frame.digest();
        // Parsed with the right digest, so that a wrong one does not hide where the bytes stop making sense.
        let whole = sealed(body);
        let problem = match (AggregatedRecord::parse(&whole), matches) {
            (Ok(_), true) => None,
            (Ok(_), false) => Some(problem(Malformed::Digest)),
            (Err(NotAggregated::Malformed(reason)), _) => Some(problem(reason)),
            (Err(error), _) => Some(Problem::without_offset(error.to_string())),
        };
        let mut anatomy = Self {
            kind: if problem.is_none() {
                Kind::Aggregated
            } else {
                Kind::Malformed
            },
            size,
            digest: Some(Digest {
                offset: size - DIGEST_LEN,
                given: hexadecimal(&frame.digest()),
                computed: hexadecimal(&computed),
                matches,
            }),
            ..Self::default()
        };
        let end = anatomy.take_apart(frame, problem.as_ref());
        anatomy.bytes.unknown = size - DIGEST_LEN - end;
        anatomy.bytes.framing = size - anatomy.bytes.keys - anatomy.bytes.data - anatomy.bytes.unknown;
        anatomy.malformed = problem;
        anatomy
    }

    /// Adds all fields before the first mistake. Returns the offset at which the last of them ends.
    fn take_apart(&mut self, frame: &Frame<'_>, mistake: Option<&Problem>) -> usize {
        let mistake_offset = mistake.and_then(|mistake| mistake.offset).unwrap_or(usize::MAX);
        let mut records_left = mistake.and_then(|mistake| mistake.user_record).unwrap_or(usize::MAX);
        let is_intact = |(field, range): &(Field, Range<usize>)| {
            if *field != Field::Records {
                return range.end <= mistake_offset;
            }
            let is_before = records_left > 0 && range.end <= mistake_offset;
            records_left = records_left.saturating_sub(1);
            is_before
        };
        let fields: Vec<_> = frame.fields().map_while(Result::ok).take_while(is_intact).collect();
        let end = fields.last().map_or(MAGIC.len(), |(_, range)| range.end);
        let intact = sealed(frame.body().get(..end - MAGIC.len()).unwrap_or_default());
        // If there is nothing before the mistake, this is too short to be an aggregated record.
        let Ok(aggregate) = AggregatedRecord::parse(&intact) else {
            return MAGIC.len();
        };
        let mut partition_keys = aggregate.partition_keys().iter();
        let mut explicit_hash_keys = aggregate.explicit_hash_keys().iter();
        let mut records = aggregate.records();
        for (field, range) in fields {
            match field {
                Field::PartitionKeyTable => self
                    .partition_keys
                    .extend(table_key(partition_keys.next(), range.start)),
                Field::ExplicitHashKeyTable => {
                    self.explicit_hash_keys
                        .extend(table_key(explicit_hash_keys.next(), range.start));
                }
                Field::Records => {
                    self.user_records
                        .extend(records.next().map(|record| user_record(&record, range)));
                }
                _ => {}
            }
        }
        for record in &mut self.user_records {
            count_use(&mut self.partition_keys, Some(record.partition_key_index));
            count_use(&mut self.explicit_hash_keys, record.explicit_hash_key_index);
        }
        self.mark_unresolved(&intact);
        let keys = self.partition_keys.iter().chain(&self.explicit_hash_keys);
        self.bytes.keys = keys.map(|key| key.key.len()).sum();
        self.bytes.data = self.user_records.iter().map(|record| record.data_size).sum();
        end
    }

    /// Marks the user records whose keys cannot be resolved.
    fn mark_unresolved(&mut self, intact: &[u8]) {
        let record = KinesisRecord::new(intact);
        for error in Deaggregator::<kpl_core::UserRecord<'_>>::new()
            .record(&record)
            .filter_map(Result::err)
        {
            let index = usize::try_from(error.sub_sequence_number()).unwrap_or(usize::MAX);
            if let Some(record) = self.user_records.get_mut(index) {
                record.malformed = Some(error.kind().to_string());
            }
        }
    }

    /// Returns what `--output json` writes.
    pub(super) fn report<'a>(&'a self, entry: &'a Entry, compression: Option<Compression>) -> Report<'a> {
        Report {
            partition_key: entry.partition_key.as_deref(),
            sequence_number: entry.sequence_number.as_deref(),
            compression,
            anatomy: self,
        }
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

fn problem(reason: Malformed) -> Problem {
    match reason {
        Malformed::Body(body) => Problem {
            reason: body.problem.to_string(),
            offset: Some(body.offset),
            user_record: body.record,
            field: Some(body.field.to_string()),
        },
        other => Problem::without_offset(other.to_string()),
    }
}

/// Returns an aggregated record with this body.
fn sealed(body: &[u8]) -> Vec<u8> {
    [&MAGIC[..], body, &md5(body)].concat()
}

fn table_key(key: Option<&&str>, offset: usize) -> Option<TableKey> {
    let key = (*key?).to_owned();
    Some(TableKey {
        offset,
        key,
        used_by: 0,
    })
}

fn user_record(record: &WireRecord<'_>, range: Range<usize>) -> UserRecord {
    let tags = record.tags();
    UserRecord {
        offset: range.start,
        size: range.len(),
        partition_key_index: record.partition_key_index,
        explicit_hash_key_index: record.explicit_hash_key_index,
        tags: tags
            .iter()
            .map(|(key, value)| (key.to_owned(), value.map(str::to_owned)))
            .collect(),
        data_size: record.data.len(),
        data: record.data.to_vec(),
        malformed: None,
        compression: None,
    }
}

fn count_use(table: &mut [TableKey], index: Option<u64>) {
    let index = index.and_then(|index| usize::try_from(index).ok());
    if let Some(key) = index.and_then(|index| table.get_mut(index)) {
        key.used_by += 1;
    }
}
