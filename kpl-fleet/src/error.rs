//! Why a worker ended.

use std::fmt;
use std::sync::Arc;

use kpl_core::InvalidOption;
use kpl_stream::reader::ReaderError;
use kpl_stream::reader::for_each::ForEachError;

use crate::store::StoreError;

/// Why a worker ended before it was told to. Its checkpoints are made and its leases given up, if that was possible.
#[derive(Debug)]
#[non_exhaustive]
pub enum FleetError {
    /// A record failed, or could not be decoded and was not taken as a dead letter, or a shard cannot be read. It was the first
    /// thing that failed.
    Shard(ForEachError),
    /// The leases cannot be read or changed, or workers of the KCL 3 share them in a way that this worker cannot join.
    Leases(StoreError),
    /// The leases are of another stream: the application's name is used for that one, or the stream was deleted and created anew.
    /// If it is so when the worker starts, nothing is handled.
    ///
    /// Choose another name for the application. If the stream was created anew, you can also stop all workers and delete the
    /// table; then all shards are read from the start position.
    OtherStream {
        /// A shard of this stream, whose lease is of another shard with the same id.
        shard_id: Arc<str>,
        /// What the lease has, and what the shard has.
        difference: String,
    },
    /// An option is out of its range.
    Option(InvalidOption),
}

impl fmt::Display for FleetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard(error) => error.fmt(f),
            Self::Leases(error) => error.fmt(f),
            Self::OtherStream { shard_id, difference } => write!(
                f,
                "the leases are of another stream, or of one that was deleted and created anew: shard {shard_id}: {difference}; choose \
                 another name for the application, or stop all its workers and delete its table; to read a shard from its oldest record \
                 on, set its checkpoint to TRIM_HORIZON"
            ),
            Self::Option(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FleetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Shard(error) => error.source(),
            Self::Leases(_) | Self::OtherStream { .. } | Self::Option(_) => None,
        }
    }
}

impl From<ReaderError> for FleetError {
    fn from(error: ReaderError) -> Self {
        match error {
            ReaderError::Option(error) => Self::Option(error),
            error => Self::Shard(error.into()),
        }
    }
}

impl From<StoreError> for FleetError {
    fn from(error: StoreError) -> Self {
        Self::Leases(error)
    }
}

impl From<InvalidOption> for FleetError {
    fn from(error: InvalidOption) -> Self {
        Self::Option(error)
    }
}
