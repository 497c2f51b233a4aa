//! Why an aggregator refuses a record.

use alloc::string::String;
use core::error::Error;
use core::fmt;

use crate::error::{CodecError, KeyError};
use crate::key::InvalidPartitionKey;

/// Why an aggregator did not accept a record. The aggregator is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum AggregateError {
    /// The record could not provide its keys.
    Key(KeyError),
    /// The record's partition key is empty or too long.
    PartitionKey(InvalidPartitionKey),
    /// The payload could not be written.
    Payload(CodecError),
    /// The record is larger than the maximum size, even on its own.
    TooLarge {
        /// The record's partition key.
        partition_key: String,
        /// How many bytes it would count towards the limit on its own: the data and the outer partition key.
        size: usize,
        /// The configured maximum size, in bytes.
        max_size: usize,
    },
}

impl fmt::Display for AggregateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::PartitionKey(error) => error.fmt(f),
            Self::Payload(error) => error.fmt(f),
            Self::TooLarge {
                partition_key,
                size,
                max_size,
            } => write!(
                f,
                "the record with the partition key {partition_key:?} is too large: on its own it counts {size} bytes (data and \
                 outer partition key), and max_size is {max_size}"
            ),
        }
    }
}

impl Error for AggregateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Key(error) => error.source(),
            Self::PartitionKey(error) => error.source(),
            Self::Payload(error) => error.source(),
            Self::TooLarge { .. } => None,
        }
    }
}

impl From<KeyError> for AggregateError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<InvalidPartitionKey> for AggregateError {
    fn from(error: InvalidPartitionKey) -> Self {
        Self::PartitionKey(error)
    }
}

impl From<CodecError> for AggregateError {
    fn from(error: CodecError) -> Self {
        Self::Payload(error)
    }
}
