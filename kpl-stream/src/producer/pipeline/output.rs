//! What a pipeline wants done, and the ids of streams, requests and flushes.

use std::fmt;
use std::iter::Enumerate;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec;

use kpl_core::SealedRecord;

use super::record::{EncodedRecord, Held};
use crate::client::{ErrorClass, RequestError};
use crate::producer::outcome::{Failure, Landing, Receipt};

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
    /// Records have their outcomes: those that were written as one Kinesis record, or a single one.
    Resolved(Outcomes<H>),
    /// Everything that was accepted before this flush has its outcome.
    Flushed {
        /// The flush.
        id: FlushId,
    },
}

impl<H> fmt::Debug for Output<H> {
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
            Self::Resolved(outcomes) => f.debug_tuple("Resolved").field(outcomes).finish(),
            Self::Flushed { id } => f.debug_struct("Flushed").field("id", id).finish(),
        }
    }
}

/// A record and its outcome.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resolved<H> {
    /// The record's handle.
    pub handle: H,
    /// The record.
    pub record: EncodedRecord,
    /// What became of it.
    pub outcome: Result<Receipt, Box<Failure>>,
}

/// The outcomes of records, in the order of the records.
#[must_use = "dropping it drops the handles of records"]
pub struct Outcomes<H>(Kind<H>);

enum Kind<H> {
    Written {
        records: Enumerate<vec::IntoIter<Held<H>>>,
        first: usize,
        landing: Arc<Landing>,
        /// When the record before arrived, and how long it waited: usually the same as the next one.
        waited: (Instant, Duration),
    },
    Failed(Option<Resolved<H>>),
}

impl<H> Outcomes<H> {
    /// Returns the outcomes of records that were written, the first as this user record of its Kinesis record.
    pub(super) fn written(records: Vec<Held<H>>, first: usize, landing: Arc<Landing>) -> Self {
        Self(Kind::Written {
            records: records.into_iter().enumerate(),
            first,
            waited: (landing.started, Duration::ZERO),
            landing,
        })
    }

    pub(super) fn failed(held: Held<H>, failure: Failure) -> Self {
        Self(Kind::Failed(Some(Resolved {
            handle: held.handle,
            record: held.record,
            outcome: Err(Box::new(failure)),
        })))
    }
}

impl<H> Iterator for Outcomes<H> {
    type Item = Resolved<H>;

    fn next(&mut self) -> Option<Resolved<H>> {
        match &mut self.0 {
            Kind::Written {
                records,
                first,
                landing,
                waited,
            } => {
                let (index, held) = records.next()?;
                if waited.0 != held.arrived {
                    *waited = (held.arrived, landing.started.saturating_duration_since(held.arrived));
                }
                let is_doubtful = held.record.maybe_written;
                let receipt = Receipt::new(Arc::clone(landing), *first + index, waited.1, held.failed, is_doubtful);
                Some(Resolved {
                    handle: held.handle,
                    record: held.record,
                    outcome: Ok(receipt),
                })
            }
            Kind::Failed(failed) => failed.take(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Kind::Written { records, .. } => records.size_hint(),
            Kind::Failed(failed) => (failed.iter().len(), Some(failed.iter().len())),
        }
    }
}

impl<H> ExactSizeIterator for Outcomes<H> {}

impl<H> fmt::Debug for Outcomes<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Written { records, landing, .. } => f
                .debug_struct("Outcomes")
                .field("written", &records.len())
                .field("landing", landing)
                .finish(),
            Kind::Failed(failed) => f
                .debug_struct("Outcomes")
                .field("failed", &failed.iter().len())
                .finish(),
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
