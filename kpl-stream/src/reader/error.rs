//! What a reader fails at.

use std::fmt;
use std::sync::Arc;

use kpl_core::{DeaggregateError, Position};

use super::received::Place;
use crate::client::RequestError;

/// The error of a store of positions, as the store has it.
pub type PositionsError = Box<dyn std::error::Error + Send + Sync>;

/// Why a reader gave no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReaderError {
    /// A record that cannot be read as a value. The reader goes on with the next one.
    Record(RecordError),
    /// The service refused a request for good. The reader is at its end.
    Request {
        /// The stream.
        stream: Arc<str>,
        /// The shard, if the request was about one.
        shard_id: Option<Arc<str>>,
        /// The service's name of the request.
        operation: &'static str,
        /// What it answered.
        error: RequestError,
    },
    /// The store of positions failed.
    Positions {
        /// The stream.
        stream: Arc<str>,
        /// Whether it should load or save.
        operation: &'static str,
        /// What the store says.
        error: PositionsError,
    },
    /// An option has a value that it cannot have.
    Option {
        /// The option's name.
        option: &'static str,
        /// The value that it was set to.
        value: usize,
        /// The lowest value that it can have.
        min: usize,
        /// The highest value that it can have.
        max: usize,
    },
    /// The builder was given no client.
    NoClient,
}

impl fmt::Display for ReaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::Request {
                stream,
                shard_id,
                operation,
                error,
            } => {
                write!(f, "stream {stream}")?;
                if let Some(shard_id) = shard_id {
                    write!(f, ", shard {shard_id}")?;
                }
                write!(f, ": {operation}: {error}")
            }
            Self::Positions {
                stream,
                operation,
                error,
            } => write!(f, "stream {stream}: positions, {operation}: {error}"),
            Self::Option {
                option,
                value,
                min,
                max,
            } => write!(f, "{option} is {value}, and must be from {min} to {max}"),
            Self::NoClient => f.write_str("the reader has no client: set `client` or `load_aws_config`"),
        }
    }
}

impl std::error::Error for ReaderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Record(error) => error.source(),
            Self::Positions { error, .. } => error.source(),
            Self::Request { .. } | Self::Option { .. } | Self::NoClient => None,
        }
    }
}

/// A record that cannot be read as a value: where it is, why, and its bytes.
#[derive(Debug)]
pub struct RecordError {
    pub(super) place: Place,
    pub(super) error: DeaggregateError,
}

impl RecordError {
    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.place.source.stream
    }

    /// The shard.
    #[must_use]
    pub fn shard_id(&self) -> &str {
        &self.place.source.shard_id
    }

    /// Where the record stands in its shard. `None` only if the client gave a sequence number that is not made of
    /// digits.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.place.position()
    }

    /// The record's bytes: a user record's data, or a whole Kinesis record's.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.error.data()
    }

    /// Why it cannot be read. The index in it counts within one answer of the service.
    #[must_use]
    pub const fn error(&self) -> &DeaggregateError {
        &self.error
    }

    /// Why it cannot be read, with the bytes.
    #[must_use]
    pub fn into_error(self) -> DeaggregateError {
        self.error
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}, shard {}: {}", self.stream(), self.shard_id(), self.error)
    }
}

impl std::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
