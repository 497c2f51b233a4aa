//! Where a user record is, for those who have handed it over.

use std::fmt;
use std::sync::Arc;

use kpl_core::{Origin, Position, Received, Undecodable, UserRecord};

use crate::{Error, Item};

/// The place of a user record: what is left of it once it has been handed to a function.
///
/// ```
/// use kpl_core::{KinesisRecord, Origin, RawRecord, Received, UserRecord};
/// use kpl_handler::Place;
///
/// let record = UserRecord::new("abc", b"some bytes");
/// let origin = Origin::of(&KinesisRecord::new(b"").with_sequence_number("4950"));
/// let received = Received::new(RawRecord::from(&record), &record, origin);
/// assert_eq!(Place::of_received(&received).position(), Some("4950:0".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The Kinesis record that it is, or that contained it.
    pub origin: Arc<Origin>,
    /// The index of that Kinesis record in the batch that was read. The first is 0.
    pub kinesis_record_index: usize,
    /// Its index among the records of its aggregate, or 0 if it was not in one.
    pub sub_sequence_number: u64,
}

impl Place {
    /// Returns the place of a record, whether it can be decoded or not.
    #[must_use]
    pub fn of<T>(item: &Item<T>) -> Self {
        match item {
            Ok(received) => Self::of_received(received),
            Err(undecodable) => Self::of_undecodable(undecodable),
        }
    }

    /// Returns the place of a received record.
    #[must_use]
    pub fn of_received<T>(received: &Received<T>) -> Self {
        Self {
            origin: Arc::clone(received.origin()),
            kinesis_record_index: received.kinesis_record_index(),
            sub_sequence_number: received.sub_sequence_number(),
        }
    }

    /// Returns the place of a record that cannot be decoded.
    #[must_use]
    pub fn of_undecodable(undecodable: &Undecodable) -> Self {
        Self {
            origin: Arc::clone(undecodable.origin()),
            kinesis_record_index: undecodable.kinesis_record_index(),
            sub_sequence_number: undecodable.sub_sequence_number(),
        }
    }

    /// Returns the place of a user record that comes from this Kinesis record.
    #[must_use]
    pub fn of_user_record(record: &UserRecord<'_>, origin: Arc<Origin>) -> Self {
        Self {
            kinesis_record_index: record.kinesis_record_index,
            sub_sequence_number: origin.sub_sequence_number.saturating_add(record.sub_sequence_number),
            origin,
        }
    }

    /// Returns its position in its shard, if the Kinesis record has a sequence number that consists of digits.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        Position::new(self.origin.sequence_number.as_deref()?, self.sub_sequence_number).ok()
    }

    /// Reports that the record could not be handled, as a `tracing` event at level `ERROR`.
    pub fn log_failure(&self, error: &Error) {
        let Origin {
            stream,
            shard_id,
            sequence_number,
            ..
        } = &*self.origin;
        tracing::error!(
            stream = stream.as_deref(),
            shard_id = shard_id.as_deref(),
            sequence_number = sequence_number.as_deref(),
            sub_sequence_number = self.sub_sequence_number,
            %error,
            "a user record failed"
        );
    }

    /// Reports that the record could not be handled and is tried again, as a `tracing` event at level `WARN`.
    pub fn log_retry(&self, error: &Error) {
        tracing::warn!(
            shard_id = self.origin.shard_id.as_deref(),
            sequence_number = self.origin.sequence_number.as_deref(),
            sub_sequence_number = self.sub_sequence_number,
            %error,
            "a user record is tried again"
        );
    }
}

/// What is known of the stream and the shard, and the position: `stream clicks, shard shardId-000000000000, position 4950:3`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stream) = &self.origin.stream {
            write!(f, "stream {stream}, ")?;
        }
        if let Some(shard_id) = &self.origin.shard_id {
            write!(f, "shard {shard_id}, ")?;
        }
        let number = self.origin.sequence_number.as_deref().unwrap_or("unknown");
        write!(f, "position {number}:{}", self.sub_sequence_number)
    }
}
