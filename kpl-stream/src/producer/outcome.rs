//! What happened to a record: where it was written, or why it was not, and every attempt.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::{AggregateError, Position};

use crate::client::{EntryError, RequestError, Written};

/// Where a record was written, and every attempt that it took.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub(crate) landing: Arc<Landing>,
    pub(crate) sub_sequence_number: u64,
    pub(crate) attempts: Attempts,
    pub(crate) may_be_duplicated: bool,
}

/// What the user records of one Kinesis record share.
#[derive(Debug)]
pub(crate) struct Landing {
    pub(crate) stream: Arc<str>,
    pub(crate) written: Written,
    pub(crate) aggregated: bool,
}

impl Receipt {
    /// Returns the stream's name or ARN, as it was opened.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.landing.stream
    }

    /// Returns the id of the shard.
    #[must_use]
    pub fn shard_id(&self) -> &str {
        &self.landing.written.shard_id
    }

    /// Returns the sequence number of the Kinesis record that holds this record.
    #[must_use]
    pub fn sequence_number(&self) -> &str {
        &self.landing.written.sequence_number
    }

    /// Returns the index of the record in its aggregate, or 0 if it is not in one.
    #[must_use]
    pub const fn sub_sequence_number(&self) -> u64 {
        self.sub_sequence_number
    }

    /// Returns whether the record is part of an aggregate.
    #[must_use]
    pub fn is_aggregated(&self) -> bool {
        self.landing.aggregated
    }

    /// Returns the record's position in its shard, as a reader reports it, or `None` if the service returned a sequence
    /// number that is not a number.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        Position::new(self.sequence_number(), self.sub_sequence_number).ok()
    }

    /// Returns every attempt, the successful one last.
    #[must_use]
    pub const fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Returns whether readers may see the record more than once: an earlier attempt had no answer, or ended in a wrong
    /// shard.
    #[must_use]
    pub const fn may_be_duplicated(&self) -> bool {
        self.may_be_duplicated
    }
}

/// The attempts to write a record.
#[derive(Clone, Debug)]
pub struct Attempts {
    pub(crate) arrived: Instant,
    /// `None` for most records. The vector is boxed so that this takes one word.
    #[expect(clippy::box_collection, reason = "every record has one, and almost all are empty")]
    pub(crate) earlier: Option<Box<Vec<RawAttempt>>>,
    pub(crate) last: Option<RawAttempt>,
}

#[derive(Clone, Debug)]
pub(crate) struct RawAttempt {
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    pub(crate) error: Option<Arc<AttemptError>>,
}

impl Attempts {
    pub(crate) const fn none(arrived: Instant) -> Self {
        Self {
            arrived,
            earlier: None,
            last: None,
        }
    }

    pub(crate) fn push(&mut self, attempt: RawAttempt) {
        if let Some(last) = self.last.replace(attempt) {
            self.earlier.get_or_insert_default().push(last);
        }
    }

    /// Returns how many attempts there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.earlier.as_ref().map_or(0, |earlier| earlier.len()) + usize::from(self.last.is_some())
    }

    /// Returns whether there was no attempt: the record was never sent.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Returns the attempts in their order.
    pub fn iter(&self) -> impl Iterator<Item = Attempt<'_>> {
        let mut before = self.arrived;
        let earlier = self.earlier.iter().flat_map(|earlier| earlier.iter());
        earlier.chain(&self.last).map(move |attempt| {
            let delay = attempt.started.saturating_duration_since(before);
            before = attempt.ended;
            Attempt {
                delay,
                duration: attempt.ended.saturating_duration_since(attempt.started),
                error: attempt.error.as_deref(),
            }
        })
    }
}

/// One attempt to write a record.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// How long the record waited for this attempt, since it arrived or since the previous attempt ended.
    pub delay: Duration,
    /// How long the service took to answer.
    pub duration: Duration,
    /// Why it failed, if it did.
    pub error: Option<&'a AttemptError>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AttemptError {
    /// The service's code, or one of the producer's own: `WrongShard`, `RequestTimeout`, `RecordCountMismatch`,
    /// `Closed`.
    pub code: Arc<str>,
    /// The message that came with it.
    pub message: Arc<str>,
}

impl AttemptError {
    /// Creates the error of an attempt that was under way when the producer closed.
    pub(crate) fn closed() -> Self {
        Self {
            code: "Closed".into(),
            message: "the producer was closed before the outcome was known".into(),
        }
    }
}

impl From<EntryError> for AttemptError {
    fn from(error: EntryError) -> Self {
        Self {
            code: error.code,
            message: error.message,
        }
    }
}

impl From<RequestError> for AttemptError {
    fn from(error: RequestError) -> Self {
        Self {
            code: error.code,
            message: error.message,
        }
    }
}

impl From<&AggregateError> for AttemptError {
    fn from(error: &AggregateError) -> Self {
        Self {
            code: "AggregateError".into(),
            message: error.to_string().into(),
        }
    }
}

impl std::error::Error for AttemptError {}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Why a record was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// The service refused it permanently. The error is that of the last attempt.
    Refused(Arc<AttemptError>),
    /// The service had no room for it, and `fail_if_throttled` is set.
    Throttled(Arc<AttemptError>),
    /// Its time to live ended before it was written. The error is that of the last attempt, or, if there was none, says
    /// why.
    Expired(Option<Arc<AttemptError>>),
    /// The producer was closed or dropped before the record had an outcome.
    Closed,
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "the service refused it: {error}"),
            Self::Throttled(error) => write!(f, "the stream has no room for it: {error}"),
            Self::Expired(None) => f.write_str("its time to live ended before it was sent"),
            Self::Expired(Some(error)) => write!(f, "its time to live ended; the last error was {error}"),
            Self::Closed => f.write_str("the producer was closed before it had an outcome"),
        }
    }
}

/// What happened to a record that was not delivered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The stream.
    pub stream: Arc<str>,
    /// The reason.
    pub reason: FailureReason,
    /// Every attempt.
    pub attempts: Attempts,
    /// Whether it may have been written to the stream nevertheless: an attempt had no answer, or ended in a wrong
    /// shard.
    pub may_have_been_written: bool,
}

impl Failure {
    /// Creates the failure of a record for which the producer ended without an outcome, which happens only if it
    /// panicked.
    pub(crate) fn lost() -> Self {
        Self {
            stream: "unknown".into(),
            reason: FailureReason::Closed,
            attempts: Attempts::none(Instant::now()),
            may_have_been_written: true,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream,
            reason,
            attempts,
            ..
        } = self;
        let count = attempts.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(
            f,
            "a record for stream {stream} was not delivered after {count} attempt{plural}: {reason}"
        )?;
        if self.may_have_been_written {
            f.write_str(" (but it may have been written)")?;
        }
        Ok(())
    }
}
