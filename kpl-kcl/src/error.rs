//! Why a process ended before the daemon ended it.

use std::{fmt, io};

use kpl_handler::{Error, Place};

use crate::protocol::{CheckpointError, ProtocolError};

/// Why a process ended before the daemon ended it. The daemon ends as well then, and no checkpoint has passed what was not
/// handled.
#[non_exhaustive]
pub enum RunError {
    /// A user record could not be handled, or could not be decoded and was not taken as a dead letter.
    Handler {
        /// Where the record is: its origin and its sub-sequence number.
        place: Place,
        /// The error of the function, or the [`Undecodable`](kpl_core::Undecodable) itself.
        error: Error,
    },
    /// A [`ShardProcessor`](crate::ShardProcessor) returned an error.
    Processor(Error),
    /// A checkpoint could not be made where one must be.
    Checkpoint(CheckpointError),
    /// The daemon does not keep to the protocol, or sent what this crate does not know.
    Protocol(ProtocolError),
    /// Standard input cannot be read.
    Input(io::Error),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler { place, error } => write!(f, "a user record failed ({place}): {error}"),
            Self::Processor(error) => error.fmt(f),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
            Self::Input(error) => write!(f, "cannot read the messages of the daemon: {error}"),
            Self::Output(error) => write!(f, "cannot answer the daemon: {error}"),
        }
    }
}

/// As `Display`, because a `main` that returns the error shows it so.
impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Handler { error, .. } => Some(&**error),
            Self::Processor(error) => error.source(),
            Self::Checkpoint(error) => error.source(),
            Self::Protocol(error) => error.source(),
            Self::Input(error) | Self::Output(error) => Some(error),
        }
    }
}

impl From<ProtocolError> for RunError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<CheckpointError> for RunError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}
