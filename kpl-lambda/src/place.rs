//! Where a user record came from.

use std::sync::Arc;
use std::time::Duration;

use kpl_core::{EncryptionType, KinesisRecord, Position};

/// The Kinesis record that a user record is, or that it was in, as an event tells of it. One for all user records in it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    event_id: Option<String>,
    event_source_arn: Option<String>,
    shard_id: Option<String>,
    sequence_number: Option<String>,
    partition_key: Option<String>,
    approximate_arrival: Option<Duration>,
    encryption_type: Option<EncryptionType>,
}

/// What an event tells of a Kinesis record beside what [`KinesisRecord`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Source<'e> {
    pub(crate) event_id: Option<&'e str>,
    pub(crate) event_source_arn: Option<&'e str>,
    pub(crate) shard_id: Option<&'e str>,
    /// Of a record that was taken out of an aggregate before the event was made, as Firehose does: where it was in it.
    pub(crate) sub_sequence_number: u64,
}

impl Origin {
    pub(crate) fn new(source: &Source<'_>, record: &KinesisRecord<'_>) -> Self {
        Self {
            event_id: source.event_id.map(Into::into),
            event_source_arn: source.event_source_arn.map(Into::into),
            shard_id: source.shard_id.map(Into::into),
            sequence_number: record.sequence_number.map(Into::into),
            partition_key: record.partition_key.map(Into::into),
            approximate_arrival: record.approximate_arrival,
            encryption_type: record.encryption_type,
        }
    }

    /// The event id, `SHARD:SEQUENCE`: of a Kinesis event. In Firehose and Analytics events the record id.
    #[must_use]
    pub fn event_id(&self) -> Option<&str> {
        self.event_id.as_deref()
    }

    /// The ARN of the stream, or of its consumer.
    #[must_use]
    pub fn event_source_arn(&self) -> Option<&str> {
        self.event_source_arn.as_deref()
    }

    /// The shard.
    #[must_use]
    pub fn shard_id(&self) -> Option<&str> {
        self.shard_id.as_deref()
    }

    /// The sequence number, as the event has it: what a partial batch response names.
    #[must_use]
    pub fn sequence_number(&self) -> Option<&str> {
        self.sequence_number.as_deref()
    }

    /// The outer partition key: that of the Kinesis record.
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        self.partition_key.as_deref()
    }

    /// When it arrived at the stream: the time since the Unix epoch, in UTC.
    #[must_use]
    pub const fn approximate_arrival(&self) -> Option<Duration> {
        self.approximate_arrival
    }

    /// How the stream encrypts it.
    #[must_use]
    pub const fn encryption_type(&self) -> Option<EncryptionType> {
        self.encryption_type
    }
}

/// A user record's place: its Kinesis record, and where it is in that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) origin: Arc<Origin>,
    pub(crate) index: usize,
    pub(crate) sub_sequence_number: u64,
}

impl Place {
    /// The Kinesis record.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Which of the event's Kinesis records that is. The first is 0.
    #[must_use]
    pub const fn kinesis_record_index(&self) -> usize {
        self.index
    }

    /// The place among the user records of its aggregate; 0 if it is in none.
    #[must_use]
    pub const fn sub_sequence_number(&self) -> u64 {
        self.sub_sequence_number
    }

    /// Where it stands in its shard, if the event's sequence number is one.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        Position::new(self.origin.sequence_number()?, self.sub_sequence_number).ok()
    }
}
