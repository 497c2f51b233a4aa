//! What can happen to the data of a Kinesis record.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ::arbitrary::{Arbitrary, Result, Unstructured};

use crate::digest::md5;
use crate::wire::{AggregatedRecord, Frame, MAGIC, Tags, put_bytes, put_number};

/// A change to some bytes.
///
/// Every number is valid: a position beyond the end wraps around, and a length is limited by the end of the bytes.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// One bit is flipped.
    FlipBit {
        /// The index of the bit; 0 is the lowest bit of the first byte.
        bit: usize,
    },
    /// Only the first bytes are left.
    Truncate {
        /// How many bytes are left.
        len: usize,
    },
    /// Some bytes are removed.
    Remove {
        /// The index of the first of them.
        at: usize,
        /// How many there are.
        len: usize,
    },
    /// Some bytes are inserted.
    Insert {
        /// The index of the first of them.
        at: usize,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Some bytes are repeated.
    Repeat {
        /// The index of the first of them.
        at: usize,
        /// How many there are.
        len: usize,
    },
    /// All bytes are replaced by others.
    Replace {
        /// The new bytes.
        bytes: Vec<u8>,
    },
}

/// What happened to a Kinesis record on its way from the aggregator to the reader.
///
/// `user_record` is the index in the aggregate; an index beyond the last wraps around. Damage that requires an
/// aggregate does not change other bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The data changed: the digest is then wrong, unless the magic is gone or the record was not an aggregate.
    Data(Change),
    /// The protobuf bytes changed, and the digest is recomputed so that they are parsed.
    Body(Change),
    /// One user record's payload changed, and everything else is right, so that its codec reads it.
    Payload {
        /// Which user record.
        user_record: usize,
        /// What happened to its payload.
        change: Change,
    },
    /// One user record refers to another partition key, usually to one that does not exist.
    PartitionKeyIndex {
        /// Which user record.
        user_record: usize,
        /// The index.
        index: u64,
    },
    /// One user record refers to another explicit hash key, usually to one that does not exist.
    ExplicitHashKeyIndex {
        /// Which user record.
        user_record: usize,
        /// The index.
        index: u64,
    },
    /// One user record has an explicit hash key with this string, which is usually not a number.
    ExplicitHashKey {
        /// Which user record.
        user_record: usize,
        /// The string.
        text: String,
    },
    /// One user record does not have a payload, so the protobuf bytes do not parse although the digest matches.
    NoPayload {
        /// Which user record.
        user_record: usize,
    },
    /// The user records are gone, and the key tables are left.
    NoUserRecords,
    /// There is a field that readers do not know. This is harmless.
    UnknownField {
        /// Its content.
        bytes: Vec<u8>,
    },
    /// The record arrives without a partition key, as it may if the stream's record distribution strategy is AUTO.
    NoPartitionKey,
}

/// Which values a Kinesis record yields after it was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// The same values.
    None,
    /// The same values, except for one.
    UserRecord(usize),
    /// No user records.
    Empty,
    /// Unknown: nothing can be asserted.
    All,
}

impl Change {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        // Splits the bytes at a position. With a `room` of 1, the end is a position, too.
        let split = |at: usize, room: usize| bytes.split_at(at.checked_rem(bytes.len() + room).unwrap_or(0));
        match self {
            Self::FlipBit { bit } => {
                let mut bytes = bytes.to_vec();
                let at = (bit / 8).checked_rem(bytes.len()).unwrap_or(0);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
                bytes
            }
            Self::Truncate { len } => split(*len, 0).0.to_vec(),
            Self::Remove { at, len } => {
                let (before, after) = split(*at, 0);
                [before, after.get(*len..).unwrap_or_default()].concat()
            }
            Self::Insert { at, bytes } => {
                let (before, after) = split(*at, 1);
                [before, bytes, after].concat()
            }
            Self::Repeat { at, len } => {
                let (before, after) = split(*at, 0);
                let repeated = after.get(..*len).unwrap_or(after);
                [before, repeated, after].concat()
            }
            Self::Replace { bytes } => bytes.clone(),
        }
    }
}

impl Damage {
    /// Returns the damaged data, and what that means for the values inside.
    pub(super) fn apply(&self, data: &[u8]) -> (Vec<u8>, Harm) {
        let aggregate = AggregatedRecord::parse(data);
        match self {
            Self::Data(change) => return (change.apply(data), Harm::All),
            Self::Body(change) => {
                // If the bytes are not an aggregate, all of them are the body.
                let body = Frame::new(data).map_or(data, |frame| frame.body());
                return (seal(&change.apply(body)), Harm::All);
            }
            // If the bytes are not an aggregate, all of them are the payload.
            Self::Payload { change, .. } if aggregate.is_err() => return (change.apply(data), Harm::All),
            Self::NoPartitionKey => {
                let harm = if aggregate.is_ok() { Harm::None } else { Harm::All };
                return (data.to_vec(), harm);
            }
            _ => {}
        }
        let Ok(aggregate) = aggregate else {
            return (data.to_vec(), Harm::None);
        };
        let mut message = Message::of(&aggregate);
        let harm = self.edit(&mut message);
        (seal(&message.encode()), harm)
    }

    fn edit<'a>(&'a self, message: &mut Message<'a>) -> Harm {
        match self {
            Self::Payload { user_record, change } => message.edit(*user_record, |record| {
                record.data = Some(change.apply(record.data.as_deref().unwrap_or_default()).into());
            }),
            Self::PartitionKeyIndex { user_record, index } => {
                message.edit(*user_record, |record| record.partition_key_index = *index)
            }
            Self::ExplicitHashKeyIndex { user_record, index } => {
                message.edit(*user_record, |record| record.explicit_hash_key_index = Some(*index))
            }
            Self::ExplicitHashKey { user_record, text } => {
                message.explicit_hash_keys.push(text);
                let last = message.explicit_hash_keys.len() as u64 - 1;
                message.edit(*user_record, |record| record.explicit_hash_key_index = Some(last))
            }
            Self::NoPayload { user_record } => {
                message.edit(*user_record, |record| record.data = None);
                Harm::All
            }
            Self::NoUserRecords => {
                message.records.clear();
                Harm::Empty
            }
            Self::UnknownField { bytes } => {
                message.unknown = bytes;
                Harm::None
            }
            Self::Data(_) | Self::Body(_) | Self::NoPartitionKey => Harm::None,
        }
    }
}

/// Returns an aggregated record with these protobuf bytes.
fn seal(body: &[u8]) -> Vec<u8> {
    [&MAGIC, body, &md5(body)].concat()
}

/// The content of an aggregated record, to be changed and written again.
struct Message<'a> {
    partition_keys: Vec<&'a str>,
    explicit_hash_keys: Vec<&'a str>,
    records: Vec<Record<'a>>,
    unknown: &'a [u8],
}

struct Record<'a> {
    partition_key_index: u64,
    explicit_hash_key_index: Option<u64>,
    data: Option<Cow<'a, [u8]>>,
    tags: Tags<'a>,
}

impl<'a> Message<'a> {
    fn of(aggregate: &AggregatedRecord<'a>) -> Self {
        let records = aggregate.records().map(|record| Record {
            partition_key_index: record.partition_key_index,
            explicit_hash_key_index: record.explicit_hash_key_index,
            data: Some(record.data.into()),
            tags: record.tags(),
        });
        Self {
            partition_keys: aggregate.partition_keys().to_vec(),
            explicit_hash_keys: aggregate.explicit_hash_keys().to_vec(),
            records: records.collect(),
            unknown: &[],
        }
    }

    /// Changes one user record, if there is one.
    fn edit(&mut self, user_record: usize, edit: impl FnOnce(&mut Record<'a>)) -> Harm {
        let place = user_record.checked_rem(self.records.len()).unwrap_or(0);
        match self.records.get_mut(place) {
            Some(record) => {
                edit(record);
                Harm::UserRecord(place)
            }
            None => Harm::None,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for key in &self.partition_keys {
            put_bytes(&mut out, 0x0A, key.as_bytes());
        }
        for key in &self.explicit_hash_keys {
            put_bytes(&mut out, 0x12, key.as_bytes());
        }
        for record in &self.records {
            let mut inner = Vec::new();
            put_number(&mut inner, 0x08, record.partition_key_index);
            if let Some(index) = record.explicit_hash_key_index {
                put_number(&mut inner, 0x10, index);
            }
            if let Some(data) = &record.data {
                put_bytes(&mut inner, 0x1A, data);
            }
            record.tags.write(&mut inner);
            put_bytes(&mut out, 0x1A, &inner);
        }
        if !self.unknown.is_empty() {
            put_bytes(&mut out, 0x7A, self.unknown);
        }
        out
    }
}

/// Shows bytes as escaped text, so that a finding is readable.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlipBit { bit } => f.debug_struct("FlipBit").field("bit", bit).finish(),
            Self::Truncate { len } => f.debug_struct("Truncate").field("len", len).finish(),
            Self::Remove { at, len } => f.debug_struct("Remove").field("at", at).field("len", len).finish(),
            Self::Insert { at, bytes } => write!(f, "Insert {{ at: {at}, bytes: b\"{}\" }}", bytes.escape_ascii()),
            Self::Repeat { at, len } => f.debug_struct("Repeat").field("at", at).field("len", len).finish(),
            Self::Replace { bytes } => write!(f, "Replace {{ bytes: b\"{}\" }}", bytes.escape_ascii()),
        }
    }
}

/// Returns a few bytes.
fn some_bytes(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let len = usize::from(u.arbitrary::<u8>()?) % 40;
    Ok(u.bytes(len.min(u.len()))?.to_vec())
}

impl Arbitrary<'_> for Change {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let kind: u8 = u.arbitrary()?;
        let at = usize::from(u.arbitrary::<u16>()?);
        Ok(match kind % 6 {
            0 => Self::FlipBit { bit: at },
            1 => Self::Truncate { len: at },
            2 => Self::Remove {
                at,
                len: 1 + usize::from(u.arbitrary::<u8>()?),
            },
            3 => Self::Insert {
                at,
                bytes: some_bytes(u)?,
            },
            4 => Self::Repeat {
                at,
                len: 1 + usize::from(u.arbitrary::<u8>()?),
            },
            _ => Self::Replace { bytes: some_bytes(u)? },
        })
    }
}

/// Returns an index that is usually outside its table.
fn index(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.arbitrary()? {
        small @ 0..=200 => small.into(),
        201..=220 => u64::MAX,
        221..=240 => 1 << 31,
        241_u8.. => u.arbitrary()?,
    })
}

impl Arbitrary<'_> for Damage {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let kind: u8 = u.arbitrary()?;
        let mut user_record = || u.arbitrary::<u8>().map(usize::from);
        Ok(match kind % 16 {
            0..=2 => Self::Data(u.arbitrary()?),
            3..=5 => Self::Body(u.arbitrary()?),
            6..=8 => Self::Payload {
                user_record: user_record()?,
                change: u.arbitrary()?,
            },
            9 => Self::PartitionKeyIndex {
                user_record: user_record()?,
                index: index(u)?,
            },
            10 => Self::ExplicitHashKeyIndex {
                user_record: user_record()?,
                index: index(u)?,
            },
            11 => {
                const OFTEN: &[&str] = &["", "x", "-1", "+7", "007", "340282366920938463463374607431768211456"];
                let user_record = user_record()?;
                let text = match u.arbitrary::<u8>()? {
                    0..=127 => (*u.choose(OFTEN)?).into(),
                    _ => u.arbitrary()?,
                };
                Self::ExplicitHashKey { user_record, text }
            }
            12 => Self::NoPayload {
                user_record: user_record()?,
            },
            13 => Self::NoUserRecords,
            14 => Self::UnknownField { bytes: some_bytes(u)? },
            _ => Self::NoPartitionKey,
        })
    }
}
