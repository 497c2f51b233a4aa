//! What can be wrong with a line, and with a checkpoint.

use std::fmt;

use kpl_core::Position;

/// A line that this crate cannot take, or a call that the protocol does not allow now.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A line of the daemon is not JSON, or not an object of the protocol.
    Line {
        /// The line, or its first 256 characters.
        line: String,
        /// Why.
        error: serde_json::Error,
    },
    /// A field is missing from a message, or is not valid.
    Field {
        /// The field.
        field: &'static str,
        /// The index of the record that it is a field of, if it is.
        record: Option<usize>,
    },
    /// A message names an action that this crate does not know.
    Action {
        /// The action, or its first 256 characters.
        action: String,
    },
    /// A message came at a time at which the daemon does not send it.
    Unexpected {
        /// The action of the message.
        action: &'static str,
        /// The action of the message that has not been answered yet, if there is one.
        unanswered: Option<&'static str>,
    },
    /// There is no message to answer, or a checkpoint has not been answered yet.
    NothingToAnswer,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, error } => write!(
                f,
                "the daemon sent a line that is not a valid message: {error}: {line:?}"
            ),
            Self::Field { field, record: None } => write!(f, "{field:?} of a message is missing or not valid"),
            Self::Field {
                field,
                record: Some(index),
            } => write!(f, "{field:?} of record {index} of a message is not valid"),
            Self::Action { action } => write!(f, "the daemon sent a message with the unknown action {action:?}"),
            Self::Unexpected {
                action,
                unanswered: Some(unanswered),
            } => write!(f, "the daemon sent {action:?} before {unanswered:?} was answered"),
            Self::Unexpected {
                action,
                unanswered: None,
            } => write!(f, "the daemon sent {action:?} at the wrong time"),
            Self::NothingToAnswer => f.write_str("no message of the daemon can be answered now"),
        }
    }
}

impl std::error::Error for ProtocolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Line { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why a checkpoint was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The lease table or something else that the KCL depends on is overloaded or fails: try again later. It holds the simple
    /// name of the exception, `ThrottlingException` or `KinesisClientLibDependencyException`.
    TryAgain(String),
    /// The lease is lost: another worker has the shard, and stops this one.
    LeaseLost,
    /// No checkpoint can be made now: not while the process is initialized, nor after the lease was lost, nor without
    /// a lease table.
    NotNow,
    /// The position is not within what was delivered and not checkpointed yet; at the end of a shard, it is not the end.
    OutOfRange {
        /// The position, or `None` if it was the end.
        position: Option<Position>,
    },
    /// Another exception. It holds its simple name.
    Other(String),
    /// The daemon is gone.
    Ended,
}

impl CheckpointError {
    pub(super) fn of_exception(name: &str) -> Self {
        match name {
            "ThrottlingException" | "KinesisClientLibDependencyException" => Self::TryAgain(name.to_owned()),
            "ShutdownException" => Self::LeaseLost,
            "InvalidStateException" => Self::NotNow,
            "IllegalArgumentException" => Self::OutOfRange { position: None },
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TryAgain(exception) => write!(f, "the lease table cannot take a checkpoint now ({exception})"),
            Self::LeaseLost => f.write_str("the lease of the shard is lost (ShutdownException)"),
            Self::NotNow => f.write_str("no checkpoint can be made now (InvalidStateException)"),
            Self::OutOfRange {
                position: Some(position),
            } => {
                write!(
                    f,
                    "no checkpoint can be made at {position}, which was not delivered or is before the last checkpoint"
                )
            }
            Self::OutOfRange { position: None } => {
                f.write_str("the position of a checkpoint is out of range (IllegalArgumentException)")
            }
            Self::Other(exception) => write!(f, "a checkpoint failed: {exception}"),
            Self::Ended => f.write_str("the daemon is gone"),
        }
    }
}

impl std::error::Error for CheckpointError {}
