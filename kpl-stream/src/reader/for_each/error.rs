//! Why a loop over a stream ended.

use std::fmt;

use kpl_handler::{Error, Place};

use crate::reader::ReaderError;

/// Why [`ForEach::run`](super::ForEach::run) ended before its time. The positions of what was handled are saved, unless the
/// error says that this failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ForEachError {
    /// A record could not be handled, or could not be decoded and was not taken as a dead letter. It was the first one
    /// that failed.
    Handler {
        /// Where the record is: its origin and its sub-sequence number.
        place: Place,
        /// The error of the function, or the [`Undecodable`](kpl_core::Undecodable) itself.
        error: Error,
    },
    /// The reader ended with an error, or a position could not be saved.
    Reader(ReaderError),
}

impl fmt::Display for ForEachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler { place, error } => write!(f, "a user record failed ({place}): {error}"),
            Self::Reader(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ForEachError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Handler { error, .. } => Some(&**error),
            Self::Reader(error) => error.source(),
        }
    }
}

impl From<ReaderError> for ForEachError {
    fn from(error: ReaderError) -> Self {
        Self::Reader(error)
    }
}
