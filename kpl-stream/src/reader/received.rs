//! What a reader gives.

use std::sync::Arc;
use std::time::Duration;

use kpl_core::{EncryptionType, HashKey, KinesisRecord, Position, SequenceNumber};

/// A user record of a stream, as a value of its type. It owns all that it tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Received<T> {
    /// The value.
    pub value: T,
    pub(super) place: Place,
    pub(super) partition_key: Option<String>,
    pub(super) explicit_hash_key: Option<HashKey>,
    pub(super) aggregated: bool,
}

impl<T> Received<T> {
    /// The stream, as the reader's builder was told it.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.place.source.stream
    }

    /// The shard.
    #[must_use]
    pub fn shard_id(&self) -> &str {
        &self.place.source.shard_id
    }

    /// Where the record stands in its shard. `None` only if the client gave a sequence number that is not made of
    /// digits.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.place.position()
    }

    /// The partition key. Streams whose record distribution strategy is AUTO may give none.
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        self.partition_key.as_deref()
    }

    /// The explicit hash key, if it travelled: only records inside an aggregate can have one.
    #[must_use]
    pub const fn explicit_hash_key(&self) -> Option<HashKey> {
        self.explicit_hash_key
    }

    /// When the Kinesis record arrived at the stream: the time since the Unix epoch, in UTC.
    #[must_use]
    pub fn approximate_arrival(&self) -> Option<Duration> {
        self.place.source.approximate_arrival
    }

    /// How the stream encrypts the record.
    #[must_use]
    pub fn encryption_type(&self) -> Option<EncryptionType> {
        self.place.source.encryption_type
    }

    /// Whether it was inside an aggregate.
    #[must_use]
    pub const fn aggregated(&self) -> bool {
        self.aggregated
    }
}

/// Where a user record came from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) source: Arc<Source>,
    pub(super) sub_sequence_number: u64,
}

impl Place {
    pub(super) fn position(&self) -> Option<Position> {
        let number = self.source.sequence_number.as_ref()?;
        Position::new(number.as_str(), self.sub_sequence_number).ok()
    }
}

/// The Kinesis record: one for all user records in it.
#[derive(Debug, PartialEq)]
pub(super) struct Source {
    pub(super) stream: Arc<str>,
    pub(super) shard_id: Arc<str>,
    sequence_number: Option<SequenceNumber>,
    approximate_arrival: Option<Duration>,
    encryption_type: Option<EncryptionType>,
}

impl Source {
    pub(super) fn new(stream: &Arc<str>, shard_id: &Arc<str>, record: &KinesisRecord<'_>) -> Self {
        Self {
            stream: Arc::clone(stream),
            shard_id: Arc::clone(shard_id),
            sequence_number: record
                .sequence_number
                .and_then(|number| SequenceNumber::new(number).ok()),
            approximate_arrival: record.approximate_arrival,
            encryption_type: record.encryption_type,
        }
    }
}
