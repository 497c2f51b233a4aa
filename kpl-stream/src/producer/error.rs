//! Errors that come before a record is accepted, and at the end.

use std::fmt;

use kpl_core::AggregateError;

use super::intake::Unsent;
use super::options::InvalidOption;
use crate::client::RequestError;

/// A record that was not accepted: the record itself, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct SendError<T> {
    /// The record.
    pub record: T,
    /// Why.
    pub kind: SendErrorKind,
}

/// Why a record was not accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// It cannot be written, or has no valid keys.
    Record(AggregateError),
    /// Its key and its payload are larger than `max_user_record_size`.
    TooLarge {
        /// Their size in bytes.
        size: usize,
        /// `max_user_record_size`.
        max_size: usize,
    },
    /// There is no room now: only [`try_send`](crate::StreamProducer::try_send) says so, others wait.
    Full,
    /// The producer is closed.
    Closed,
}

impl fmt::Display for SendErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::TooLarge { size, max_size } => {
                write!(
                    f,
                    "the record takes {size} bytes (partition key and payload), and max_user_record_size is {max_size}"
                )
            }
            Self::Full => f.write_str("the producer has no room for the record now"),
            Self::Closed => f.write_str("the producer is closed"),
        }
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<T: fmt::Debug> std::error::Error for SendError<T> {}

/// Why a stream cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// An option of the producer has a value that it cannot have.
    Option(InvalidOption),
    /// There is no such stream.
    NotFound(RequestError),
    /// The producer is closed.
    Closed,
    /// There is no tokio runtime here for the producer to run on.
    NoRuntime,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::NotFound(error) => write!(f, "the stream does not exist: {error}"),
            Self::Closed => f.write_str("the producer is closed"),
            Self::NoRuntime => f.write_str("the producer needs a tokio runtime, and is not called inside one"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<InvalidOption> for OpenError {
    fn from(error: InvalidOption) -> Self {
        Self::Option(error)
    }
}

/// A producer that was closed before every record had an outcome.
///
/// The deliveries of these records resolved to errors that carry the records as they were sent; here they are as bytes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CloseError {
    /// The records without an outcome, in the order of acceptance.
    pub unsent: Vec<Unsent>,
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records had no outcome in time", self.unsent.len())
    }
}

impl std::error::Error for CloseError {}
