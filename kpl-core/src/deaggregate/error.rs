//! Records that could not be delivered, and why.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::debug::ByteCount;
use crate::error::{ReadError, cut};
use crate::position::Position;
use crate::record::UserRecord;
use crate::wire::Malformed;

/// A record that could not be delivered: where it is, why, and its bytes.
///
/// It owns all of this, so it can leave the function that read the batch.
pub struct DeaggregateError(Box<DeaggregateErrorInner>);

struct DeaggregateErrorInner {
    kind: DeaggregateErrorKind,
    kinesis_record_index: usize,
    sequence_number: Option<String>,
    sub_sequence_number: u64,
    aggregated: bool,
    partition_key: Option<String>,
    data: Vec<u8>,
}

/// Why a record could not be delivered.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeaggregateErrorKind {
    /// The bytes carry the magic but are not a valid aggregate. [`DeaggregateError::data`] is all of them.
    Malformed(Malformed),
    /// The record refers to a partition key that the table does not have.
    PartitionKeyIndex {
        /// The index.
        index: u64,
        /// How many keys the table has.
        len: usize,
    },
    /// The record refers to an explicit hash key that the table does not have.
    ExplicitHashKeyIndex {
        /// The index.
        index: u64,
        /// How many keys the table has.
        len: usize,
    },
    /// The record's explicit hash key is not a number from 0 to 2^128-1.
    ExplicitHashKey {
        /// The string in the table, or its first 256 characters.
        text: String,
    },
    /// A value of the record's type could not be read from it.
    Read(ReadError),
    /// What was received in the place of a Kinesis record is not one: see
    /// [`Undecodable::unreadable`](crate::Undecodable::unreadable).
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}

impl DeaggregateError {
    #[cold]
    pub(super) fn new(record: &UserRecord<'_>, kind: DeaggregateErrorKind) -> Self {
        Self(Box::new(DeaggregateErrorInner {
            kind,
            kinesis_record_index: record.kinesis_record_index,
            sequence_number: record.kinesis_record.sequence_number.map(Into::into),
            sub_sequence_number: record.sub_sequence_number,
            aggregated: record.aggregated,
            partition_key: record.partition_key.map(cut),
            data: record.data.into(),
        }))
    }

    pub(crate) fn unreadable(
        kinesis_record_index: usize,
        sequence_number: Option<String>,
        partition_key: Option<&str>,
        data: Vec<u8>,
        reason: String,
    ) -> Self {
        Self(Box::new(DeaggregateErrorInner {
            kind: DeaggregateErrorKind::Unreadable { reason },
            kinesis_record_index,
            sequence_number,
            sub_sequence_number: 0,
            aggregated: false,
            partition_key: partition_key.map(cut),
            data,
        }))
    }

    /// Returns why the record could not be delivered.
    #[must_use]
    pub fn kind(&self) -> &DeaggregateErrorKind {
        &self.0.kind
    }

    /// Returns the index in the batch of the Kinesis record that this record is, or that contains it. The first is 0.
    #[must_use]
    pub fn kinesis_record_index(&self) -> usize {
        self.0.kinesis_record_index
    }

    /// Returns the sequence number of that Kinesis record, if it has one.
    #[must_use]
    pub fn sequence_number(&self) -> Option<&str> {
        self.0.sequence_number.as_deref()
    }

    /// Returns the record's index among the records of its aggregate, or 0 if it is not in one.
    #[must_use]
    pub fn sub_sequence_number(&self) -> u64 {
        self.0.sub_sequence_number
    }

    /// Returns whether the record was inside an aggregate.
    #[must_use]
    pub fn is_aggregated(&self) -> bool {
        self.0.aggregated
    }

    /// Returns the record's position in its shard, if its Kinesis record has a sequence number that consists of digits.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        Position::new(self.sequence_number()?, self.0.sub_sequence_number).ok()
    }

    /// Returns the record's partition key, if it is known. If it is longer than the service allows, which is possible
    /// only inside an aggregate, these are its first 256 characters.
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        self.0.partition_key.as_deref()
    }

    /// Returns the record's bytes: a user record's data, or a whole Kinesis record's.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.0.data
    }

    /// Returns the record's bytes without copying them.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.0.data
    }
}

impl fmt::Display for DeaggregateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        write!(f, "Kinesis record {}", inner.kinesis_record_index)?;
        if let Some(number) = &inner.sequence_number {
            write!(f, " (sequence number {number})")?;
        }
        if inner.aggregated {
            write!(f, ", user record {}", inner.sub_sequence_number)?;
        }
        f.write_str(": ")?;
        inner.kind.fmt(f)
    }
}

impl fmt::Debug for DeaggregateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeaggregateErrorInner {
            kind,
            kinesis_record_index,
            sequence_number,
            sub_sequence_number,
            aggregated,
            partition_key,
            data,
        } = &*self.0;
        f.debug_struct("DeaggregateError")
            .field("kind", kind)
            .field("kinesis_record_index", kinesis_record_index)
            .field("sequence_number", sequence_number)
            .field("sub_sequence_number", sub_sequence_number)
            .field("aggregated", aggregated)
            .field("partition_key", partition_key)
            .field("data", &ByteCount(data.len()))
            .finish()
    }
}

impl fmt::Display for DeaggregateErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) => write!(f, "it starts with the magic of an aggregate, but {reason}"),
            Self::PartitionKeyIndex { index, len } => {
                write!(
                    f,
                    "partition key index {index} is outside its table, which has {}",
                    Keys(*len)
                )
            }
            Self::ExplicitHashKeyIndex { index, len } => {
                write!(
                    f,
                    "explicit hash key index {index} is outside its table, which has {}",
                    Keys(*len)
                )
            }
            Self::ExplicitHashKey { text } => {
                write!(f, "explicit hash key {text:?} is not a number from 0 to 2^128-1")
            }
            Self::Read(error) => error.fmt(f),
            Self::Unreadable { reason } => f.write_str(reason),
        }
    }
}

/// The length of a key table.
struct Keys(usize);

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 key"),
            count => write!(f, "{count} keys"),
        }
    }
}

impl Error for DeaggregateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.kind {
            DeaggregateErrorKind::Read(error) => error.source(),
            _ => None,
        }
    }
}
