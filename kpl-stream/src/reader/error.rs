//! The errors of a reader.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kpl_core::{InvalidOption, Undecodable};

use crate::client::{RequestError, StreamIdentity};

/// The error of a store of positions, as the store returned it.
pub type PositionsError = Box<dyn std::error::Error + Send + Sync>;

/// Why a reader returned no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReaderError {
    /// A record cannot be decoded to a value. The reader continues with the next one.
    Record(Undecodable),
    /// The service refused a request permanently. The reader has ended.
    Request {
        /// The stream.
        stream: Arc<str>,
        /// The shard, if the request was about one.
        shard_id: Option<Arc<str>>,
        /// The service's name for the request.
        operation: &'static str,
        /// The service's answer.
        error: RequestError,
    },
    /// Requests have failed for longer than the reader [may try](super::ReaderBuilder::give_up_after). The reader has
    /// ended.
    GaveUp {
        /// The stream.
        stream: Arc<str>,
        /// The shard, if the requests were about one.
        shard_id: Option<Arc<str>>,
        /// The service's name for the requests.
        operation: &'static str,
        /// How long the reader may try.
        after: Duration,
        /// The last error.
        error: RequestError,
    },
    /// The saved positions are of another stream that has, or had, this name: it is in another account or region, or
    /// the stream was deleted and created anew. They say nothing about this one.
    /// [`reset_positions`](super::ReaderBuilder::reset_positions) discards them. If this happens while the stream is
    /// read, the reader has ended.
    OtherStream {
        /// The stream.
        stream: Arc<str>,
        /// Which stream the positions are of, if that is known.
        saved: Option<StreamIdentity>,
        /// Which stream has the name now, if that is known.
        found: Option<StreamIdentity>,
    },
    /// The store of positions failed.
    Positions {
        /// The stream.
        stream: Arc<str>,
        /// The operation that failed: to load or to save.
        operation: &'static str,
        /// The store's error.
        error: PositionsError,
    },
    /// An option is out of its range.
    Option(InvalidOption),
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
                write_place(f, stream, shard_id.as_deref())?;
                write!(f, ": {operation}: {error}")
            }
            Self::GaveUp {
                stream,
                shard_id,
                operation,
                after,
                error,
            } => {
                write_place(f, stream, shard_id.as_deref())?;
                write!(f, ": given up after {after:?}: {operation}: {error}")
            }
            Self::OtherStream { stream, saved, found } => {
                write!(f, "stream {stream}: the saved positions are of another stream, ")?;
                write_identity(f, saved.as_ref())?;
                f.write_str("; this is ")?;
                write_identity(f, found.as_ref())?;
                f.write_str("; reset_positions discards them")
            }
            Self::Positions {
                stream,
                operation,
                error,
            } => write!(f, "stream {stream}: positions, {operation}: {error}"),
            Self::Option(error) => error.fmt(f),
        }
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, stream: &str, shard_id: Option<&str>) -> fmt::Result {
    write!(f, "stream {stream}")?;
    match shard_id {
        Some(shard_id) => write!(f, ", shard {shard_id}"),
        None => Ok(()),
    }
}

fn write_identity(f: &mut fmt::Formatter<'_>, identity: Option<&StreamIdentity>) -> fmt::Result {
    let Some(StreamIdentity { arn, created_at }) = identity else {
        return f.write_str("one that is not known");
    };
    f.write_str(arn)?;
    match created_at {
        Some(created_at) => write!(f, " (created {created_at} seconds after 1970)"),
        None => Ok(()),
    }
}

impl std::error::Error for ReaderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Record(error) => error.source(),
            Self::Positions { error, .. } => error.source(),
            Self::Request { .. } | Self::GaveUp { .. } | Self::OtherStream { .. } | Self::Option(_) => None,
        }
    }
}

impl From<InvalidOption> for ReaderError {
    fn from(error: InvalidOption) -> Self {
        Self::Option(error)
    }
}
