//! What a pipeline wants done, and the ids of streams, requests and flushes.

use std::fmt;
use std::sync::Arc;

use kpl_core::SealedRecord;

use super::record::EncodedRecord;
use crate::client::{ErrorClass, RequestError};
use crate::producer::outcome::{Failure, Receipt};

/// Identifies a stream of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub(super) usize);

/// Identifies a request of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// Identifies a flush of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlushId(pub(super) u64);

/// What a pipeline wants done. Its `Debug` output shows counts and lengths, never payloads.
#[non_exhaustive]
pub enum Output<H> {
    /// Send these records, then call [`Pipeline::answered`](super::Pipeline::answered).
    PutRecords {
        /// The request.
        id: RequestId,
        /// The stream's name.
        stream: Arc<str>,
        /// The entries.
        entries: Vec<SealedRecord>,
    },
    /// List the open shards and describe the stream, then call [`Pipeline::listed`](super::Pipeline::listed).
    ListShards {
        /// The request.
        id: RequestId,
        /// The stream's name.
        stream: Arc<str>,
    },
    /// The answer to this request is no longer needed.
    Cancel {
        /// The request.
        id: RequestId,
    },
    /// A record has its outcome.
    Resolved {
        /// The record's handle.
        handle: H,
        /// The record.
        record: EncodedRecord,
        /// What became of it.
        outcome: Result<Receipt, Failure>,
    },
    /// Everything that was accepted before this flush has its outcome.
    Flushed {
        /// The flush.
        id: FlushId,
    },
}

impl<H: fmt::Debug> fmt::Debug for Output<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutRecords { id, stream, entries } => f
                .debug_struct("PutRecords")
                .field("id", id)
                .field("stream", stream)
                .field("entries", &format_args!("{} entries", entries.len()))
                .finish(),
            Self::ListShards { id, stream } => f
                .debug_struct("ListShards")
                .field("id", id)
                .field("stream", stream)
                .finish(),
            Self::Cancel { id } => f.debug_struct("Cancel").field("id", id).finish(),
            Self::Resolved {
                handle,
                record,
                outcome,
            } => f
                .debug_struct("Resolved")
                .field("handle", handle)
                .field("record", record)
                .field("outcome", outcome)
                .finish(),
            Self::Flushed { id } => f.debug_struct("Flushed").field("id", id).finish(),
        }
    }
}

/// What is known about a stream. Its `Display` output is what follows for records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamState {
    /// Its shards have not been listed yet, or it does not exist yet: records wait, at most for their time to live.
    Unknown(Option<RequestError>),
    /// Its shards cannot be listed: records are sent one by one.
    Unpredicted(RequestError),
    /// Records are aggregated by shard.
    Predicted,
    /// The service ignores keys: records are aggregated without regard to shards.
    Auto,
}

impl fmt::Display for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(None) => f.write_str("its shards have not been listed yet: records wait"),
            Self::Unknown(Some(error)) => write!(f, "it does not exist yet, and records wait for it: {error}"),
            Self::Unpredicted(error) if error.class == ErrorClass::Configuration => {
                write!(f, "no request can be made: {error}")
            }
            Self::Unpredicted(error) => {
                f.write_str("its shards cannot be listed, so records are sent one by one, not aggregated")?;
                if matches!(&*error.code, "AccessDeniedException" | "AccessDenied") {
                    f.write_str(" (grant kinesis:ListShards)")?;
                }
                write!(f, ": {error}")
            }
            Self::Predicted => f.write_str("records are aggregated by shard"),
            Self::Auto => f.write_str("the service ignores keys: records are aggregated without regard to shards"),
        }
    }
}
