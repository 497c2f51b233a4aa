//! The errors of sending a record, of opening a stream, and of closing the producer.

use std::fmt;
use std::sync::Arc;

use kpl_core::AggregateError;

use super::pipeline::EncodedRecord;
use super::spool::SpoolError;
use crate::client::RequestError;

/// A record that was not accepted: the record itself, and the reason.
///
/// Its `Debug` output does not show the record.
#[non_exhaustive]
pub struct SendError<T> {
    /// The record.
    pub record: T,
    /// The reason.
    pub kind: SendErrorKind,
}

/// Why a record was not accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// Its payload cannot be encoded, or its keys are not valid.
    Record(AggregateError),
    /// Its key and its payload together are larger than `max_user_record_size`.
    TooLarge {
        /// Their size in bytes.
        size: usize,
        /// `max_user_record_size`.
        max_size: usize,
    },
    /// There is no room now. Only [`try_send`](crate::StreamProducer::try_send) and [`try_spool`](crate::StreamProducer::try_spool) return
    /// this; the other methods wait.
    Full,
    /// It could not be stored in the [spool](crate::spool), so it was not accepted.
    Spool(SpoolError),
    /// The producer has no [spool](crate::spool). Only [`spool`](crate::StreamProducer::spool) and
    /// [`try_spool`](crate::StreamProducer::try_spool) return this.
    NoSpool,
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
                    "the record takes {size} bytes (partition key and payload), but max_user_record_size is {max_size}"
                )
            }
            Self::Full => f.write_str("the producer has no room for the record now"),
            Self::Spool(error) => write!(f, "the record cannot be stored in the spool: {error}"),
            Self::NoSpool => f.write_str("the producer has no spool"),
            Self::Closed => f.write_str("the producer is closed"),
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<T> std::error::Error for SendError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            SendErrorKind::Record(error) => error.source(),
            SendErrorKind::Spool(error) => Some(error),
            _ => None,
        }
    }
}

/// A stream cannot be opened: which one, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenError {
    /// The stream's name or ARN, as it was given.
    pub stream: Arc<str>,
    /// The reason.
    pub kind: OpenErrorKind,
}

/// Why a stream cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// The stream does not exist. The error is the service's.
    NotFound(RequestError),
    /// The client's configuration allows no request: there is no region, there are no valid credentials, or the
    /// endpoint is not a valid URL. The error says what to set.
    Configuration(RequestError),
    /// The producer is closed.
    Closed,
    /// The method was called outside of a tokio runtime, which the producer requires.
    NoRuntime,
    /// The thread that keeps the spool cannot be started.
    Spool(SpoolError),
}

impl fmt::Display for OpenErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(error) => write!(f, "the stream does not exist: {error}"),
            Self::Configuration(error) => error.fmt(f),
            Self::Closed => f.write_str("the producer is closed"),
            Self::Spool(error) => write!(f, "the thread that keeps the spool cannot be started: {error}"),
            Self::NoRuntime => f.write_str("the producer needs a tokio runtime, but was called outside of one"),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}: {}", self.stream, self.kind)
    }
}

impl std::error::Error for OpenError {}

/// A producer was closed before every record had an outcome.
///
/// The deliveries of these records resolve to errors that contain the records as they were sent; this error contains
/// them as bytes. Its `Debug` output shows how many there are.
#[derive(Clone)]
#[non_exhaustive]
pub struct CloseError {
    /// The records without an outcome, in the order of acceptance. With a spool, this is empty: the records are in the
    /// spool, and those that were waiting because it was full have failed as closed.
    pub undelivered: Vec<UndeliveredRecord>,
    /// How many records without an outcome are in the spool. The next producer that opens it sends them.
    pub spooled: u64,
}

impl fmt::Debug for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseError")
            .field("undelivered", &format_args!("{} records", self.undelivered.len()))
            .field("spooled", &self.spooled)
            .finish()
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.undelivered.len(), self.spooled) {
            (0, 1) => f.write_str("1 record had no outcome in time, and stays in the spool"),
            (0, count) => write!(f, "{count} records had no outcome in time, and stay in the spool"),
            (1, _) => f.write_str("1 record had no outcome in time"),
            (count, _) => write!(f, "{count} records had no outcome in time"),
        }
    }
}

impl std::error::Error for CloseError {}

/// A record that did not have an outcome when its producer was closed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UndeliveredRecord {
    /// Its stream.
    pub stream: Arc<str>,
    /// Its keys and its payload.
    pub record: EncodedRecord,
    /// Whether it may have been written to the stream nevertheless.
    pub may_have_been_written: bool,
}
