//! What happened to a record: where it was written, or why it was not, and its attempts.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::{AggregateError, Position};

use super::spool::SpoolError;
use crate::client::{EntryError, RequestError, Written};
use crate::clock;

/// Where a record was written, and the attempts that it took.
#[derive(Clone, Debug)]
pub struct Receipt {
    // One exists for each record, so it is kept small.
    pub(super) landing: Arc<Landing>,
    failed: Option<Box<FailedAttempts>>,
    /// How many nanoseconds passed from the record's arrival until the attempt that succeeded.
    waited: u64,
    sub_sequence_number: u32,
    may_be_duplicated: bool,
}

/// What the user records of one Kinesis record share.
#[derive(Debug)]
pub(crate) struct Landing {
    pub(crate) stream: Arc<str>,
    pub(crate) written: Written,
    pub(crate) aggregated: bool,
    /// When the request was sent, and when its answer arrived.
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
}

impl Receipt {
    pub(crate) fn new(
        landing: Arc<Landing>,
        index: usize,
        waited: Duration,
        failed: Option<Box<FailedAttempts>>,
        may_be_duplicated: bool,
    ) -> Self {
        Self {
            failed,
            waited: u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX),
            sub_sequence_number: u32::try_from(index).unwrap_or(u32::MAX),
            may_be_duplicated,
            landing,
        }
    }

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
        self.sub_sequence_number as u64
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
        Position::new(self.sequence_number(), self.sub_sequence_number()).ok()
    }

    /// Returns the attempts, the successful one last.
    #[must_use]
    pub fn attempts(&self) -> Attempts<'_> {
        let Landing { started, ended, .. } = *self.landing;
        let waited = Duration::from_nanos(self.waited);
        Attempts {
            arrived: started.checked_sub(waited).unwrap_or(started),
            failed: self.failed.as_deref(),
            succeeded: Some((started, ended)),
        }
    }

    /// Returns whether readers may see the record more than once: an earlier attempt had no answer, or ended in a wrong
    /// shard.
    #[must_use]
    pub const fn may_be_duplicated(&self) -> bool {
        self.may_be_duplicated
    }
}

/// The attempts to write a record: how many there were, the errors by their codes, and the details of the first, of the
/// last that failed, and of the one that succeeded.
///
/// A record may be sent thousands of times while a stream does not work, so the attempts in between are only counted.
#[derive(Clone, Copy, Debug)]
pub struct Attempts<'a> {
    arrived: Instant,
    failed: Option<&'a FailedAttempts>,
    /// When the attempt that succeeded started and ended.
    succeeded: Option<(Instant, Instant)>,
}

/// What is remembered of attempts that failed.
#[derive(Clone, Debug)]
pub(crate) struct FailedAttempts {
    count: usize,
    first: FailedAttempt,
    /// If there was more than one: the last, and when the one before it ended.
    last: Option<(Instant, FailedAttempt)>,
    /// How often each code occurred, if there was more than one attempt.
    codes: Vec<(Arc<str>, usize)>,
}

#[derive(Clone, Debug)]
struct FailedAttempt {
    started: Instant,
    ended: Instant,
    error: Arc<AttemptError>,
}

/// Errors with further codes are counted under [`OTHER_CODES`].
const MAX_CODES: usize = 8;
const OTHER_CODES: &str = "Other";

impl FailedAttempts {
    /// Adds an attempt that failed.
    pub(crate) fn add(all: &mut Option<Box<Self>>, started: Instant, ended: Instant, error: &Arc<AttemptError>) {
        let attempt = FailedAttempt {
            started,
            ended,
            error: Arc::clone(error),
        };
        let Some(all) = all else {
            *all = Some(Box::new(Self {
                count: 1,
                first: attempt,
                last: None,
                codes: Vec::new(),
            }));
            return;
        };
        if all.codes.is_empty() {
            all.codes.reserve_exact(1);
            all.codes.push((Arc::clone(&all.first.error.code), 1));
        }
        all.count += 1;
        let is_known = |code: &str| all.codes.iter().any(|(known, _)| **known == *code);
        let code = if is_known(&error.code) || all.codes.len() < MAX_CODES {
            Arc::clone(&error.code)
        } else {
            OTHER_CODES.into()
        };
        match all.codes.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => all.codes.push((code, 1)),
        }
        let before = all.last.as_ref().map_or(all.first.ended, |(_, last)| last.ended);
        all.last = Some((before, attempt));
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn last_error(&self) -> Arc<AttemptError> {
        let last = self.last.as_ref().map_or(&self.first, |(_, last)| last);
        Arc::clone(&last.error)
    }
}

impl<'a> Attempts<'a> {
    /// Returns how many attempts there were.
    #[must_use]
    pub fn len(self) -> usize {
        self.failed.map_or(0, |failed| failed.count) + usize::from(self.succeeded.is_some())
    }

    /// Returns whether there was no attempt: the record was never sent.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.failed.is_none() && self.succeeded.is_none()
    }

    /// Returns the attempts in their order. If more than two failed, those between the first and the last are left
    /// out; [`len`](Self::len) and [`error_counts`](Self::error_counts) include them.
    pub fn iter(self) -> impl Iterator<Item = Attempt<'a>> {
        let attempt = |before: Instant, started: Instant, ended: Instant, error| Attempt {
            delay: started.saturating_duration_since(before),
            duration: ended.saturating_duration_since(started),
            error,
        };
        let first = self.failed.map(|failed| (self.arrived, &failed.first));
        let last = self.failed.and_then(|failed| failed.last.as_ref());
        let last = last.map(|(before, last)| (*before, last));
        let ended = last.or(first).map_or(self.arrived, |(_, attempt)| attempt.ended);
        let failed = first
            .into_iter()
            .chain(last)
            .map(move |(before, failed)| attempt(before, failed.started, failed.ended, Some(&*failed.error)));
        failed.chain(
            self.succeeded
                .map(|(started, finished)| attempt(ended, started, finished, None)),
        )
    }

    /// Returns the codes of the errors, and how many attempts failed with each of them. After the eighth code, all
    /// further ones are counted together as `Other`.
    pub fn error_counts(self) -> impl Iterator<Item = (&'a str, usize)> {
        let only = self.failed.filter(|failed| failed.codes.is_empty());
        let only = only.map(|failed| (&*failed.first.error.code, failed.count));
        let all = self.failed.into_iter().flat_map(|failed| &failed.codes);
        only.into_iter().chain(all.map(|(code, count)| (&**code, *count)))
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
    /// The service's code, or one of the producer's own: `WrongShard`, `RequestTimeout`, `RecordCountMismatch` or
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
    /// The client's configuration allows no request, for example because there are no credentials. The error says what
    /// to set.
    Configuration(Arc<AttemptError>),
    /// The service had no room for it, and `fail_if_throttled` is set.
    Throttled(Arc<AttemptError>),
    /// Its time to live ended before it was written. The error is that of the last attempt, or says why there was none.
    Expired(Option<Arc<AttemptError>>),
    /// The producer was closed or dropped before the record had an outcome.
    Closed,
    /// The producer was closed or dropped before the record had an outcome, and the record is in the [spool](crate::spool): the next
    /// producer that opens it sends it.
    Spooled,
    /// It could not be stored in the [spool](crate::spool), and was not sent.
    NotStored(SpoolError),
    /// It was damaged on the disk before it could be sent from the [spool](crate::spool).
    Damaged,
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "the service refused it: {error}"),
            Self::Configuration(error) => write!(f, "no request can be made: {error}"),
            Self::Throttled(error) => write!(f, "the stream has no room for it: {error}"),
            Self::Expired(None) => f.write_str("its time to live ended before it was sent"),
            Self::Expired(Some(error)) => write!(f, "its time to live ended; the last error was {error}"),
            Self::Closed => f.write_str("the producer was closed before it had an outcome"),
            Self::Spooled => f.write_str("the producer was closed before it had an outcome, and it stays in the spool"),
            Self::NotStored(error) => write!(f, "it could not be stored in the spool: {error}"),
            Self::Damaged => f.write_str("it was damaged in the spool"),
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
    /// Whether it may have been written to the stream nevertheless: an attempt had no answer, or ended in a wrong
    /// shard.
    pub may_have_been_written: bool,
    pub(crate) arrived: Instant,
    pub(crate) failed: Option<Box<FailedAttempts>>,
}

impl Failure {
    /// Creates the failure of a record for which the producer ended without an outcome, which happens only if it
    /// panicked.
    pub(crate) fn lost() -> Self {
        Self {
            stream: "unknown".into(),
            reason: FailureReason::Closed,
            may_have_been_written: true,
            arrived: clock::now(),
            failed: None,
        }
    }

    /// Returns the attempts, all of which failed.
    #[must_use]
    pub fn attempts(&self) -> Attempts<'_> {
        Attempts {
            arrived: self.arrived,
            failed: self.failed.as_deref(),
            succeeded: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, reason, .. } = self;
        let count = self.attempts().len();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_attempts_the_first_the_last_and_the_codes_are_kept() {
        let arrived = Instant::now();
        let at = |seconds| arrived + Duration::from_secs(seconds);
        let mut failed = None;
        for number in 0..10_000 {
            let code = if number % 4 == 0 { "Sometimes" } else { "Often" };
            let error = AttemptError {
                code: code.into(),
                message: number.to_string().into(),
            };
            FailedAttempts::add(&mut failed, at(10 * number + 3), at(10 * number + 5), &Arc::new(error));
        }
        let landing = Landing {
            stream: "clicks".into(),
            written: Written::new("shardId-000000000000", "49"),
            aggregated: true,
            started: at(100_000),
            ended: at(100_001),
        };
        let receipt = Receipt::new(Arc::new(landing), 0, Duration::from_secs(100_000), failed, false);
        let attempts = receipt.attempts();
        assert_eq!(attempts.len(), 10_001);
        let kept: Vec<_> = attempts
            .iter()
            .map(|attempt| {
                let message = attempt.error.map(|error| &*error.message);
                (attempt.delay.as_secs(), attempt.duration.as_secs(), message)
            })
            .collect();
        assert_eq!(kept, [(3, 2, Some("0")), (8, 2, Some("9999")), (5, 1, None)]);
        let counts: Vec<_> = attempts.error_counts().collect();
        assert_eq!(counts, [("Sometimes", 2_500), ("Often", 7_500)]);
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn an_outcome_is_small() {
        assert_eq!(size_of::<Result<Receipt, Box<Failure>>>(), 32);
    }

    #[test]
    fn the_number_of_codes_is_bounded() {
        let now = Instant::now();
        let mut failed = None;
        for number in 0..100 {
            let error = AttemptError {
                code: format!("Code{number}").into(),
                message: "".into(),
            };
            FailedAttempts::add(&mut failed, now, now, &Arc::new(error));
        }
        let failure = Failure {
            failed,
            ..Failure::lost()
        };
        let counts: Vec<_> = failure.attempts().error_counts().collect();
        assert_eq!(counts.len(), 9);
        assert_eq!(counts.last(), Some(&("Other", 92)));
    }
}
