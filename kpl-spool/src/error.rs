//! What goes wrong.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;

/// A log could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// A segment was written by a later version of this crate.
    Version {
        /// The first number of the segment, with which its name begins.
        segment: u64,
        /// The version of its format.
        version: u32,
    },
    /// The folder or a segment could not be read.
    Io(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { segment, version } => {
                write!(
                    f,
                    "segment {segment} has version {version} of the format, which is not known here"
                )
            }
            Self::Io(error) => write!(f, "the folder cannot be read: {error}"),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Version { .. } => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A record was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// The log is full until other records have outcomes.
    Full,
    /// It is larger than the log may be.
    TooLarge {
        /// The size of the record in the log, in bytes.
        size: u64,
        /// The most there may be.
        limit: u64,
    },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the log is full"),
            Self::TooLarge { size, limit } => {
                write!(f, "the record takes {size} bytes, and the log at most {limit}")
            }
        }
    }
}

impl Error for AppendError {}

/// Records were not written.
#[derive(Debug)]
#[non_exhaustive]
pub struct CommitError {
    /// What failed.
    pub error: io::Error,
    /// The numbers of the records that are not in the log.
    pub numbers: Range<u64>,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.numbers.end - self.numbers.start {
            0 => write!(f, "outcomes were not written: {}", self.error),
            1 => write!(f, "1 record was not written: {}", self.error),
            count => write!(f, "{count} records were not written: {}", self.error),
        }
    }
}

impl Error for CommitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
