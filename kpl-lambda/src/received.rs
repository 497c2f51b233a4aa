//! What comes out of an event.

use std::fmt;
use std::time::Duration;

use kpl_core::{DeaggregateError, EncryptionType, HashKey, Position};

use crate::place::{Origin, Place};

/// A user record of an event, as a value of its type. It owns all that it tells; the value may borrow from the event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Received<T> {
    /// The value.
    pub value: T,
    pub(crate) place: Place,
    pub(crate) partition_key: Option<String>,
    pub(crate) explicit_hash_key: Option<HashKey>,
    pub(crate) aggregated: bool,
}

impl<T> Received<T> {
    /// Its place in the event.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The Kinesis record that it is, or that it was in.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.place.origin
    }

    /// The event id of the Kinesis record.
    #[must_use]
    pub fn event_id(&self) -> Option<&str> {
        self.origin().event_id()
    }

    /// The ARN of the stream, or of its consumer.
    #[must_use]
    pub fn event_source_arn(&self) -> Option<&str> {
        self.origin().event_source_arn()
    }

    /// The shard.
    #[must_use]
    pub fn shard_id(&self) -> Option<&str> {
        self.origin().shard_id()
    }

    /// Where it stands in its shard, sequence number and sub-sequence number, if the event's sequence number is one.
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
        self.origin().approximate_arrival()
    }

    /// How the stream encrypts the record.
    #[must_use]
    pub fn encryption_type(&self) -> Option<EncryptionType> {
        self.origin().encryption_type()
    }

    /// Whether it was inside an aggregate.
    #[must_use]
    pub const fn aggregated(&self) -> bool {
        self.aggregated
    }
}

/// A record of an event that cannot be read as a value: where it is, why, and its bytes.
#[derive(Debug)]
pub struct Undecodable {
    pub(crate) place: Place,
    pub(crate) error: DeaggregateError,
}

impl Undecodable {
    /// Its place in the event.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The record's bytes: a user record's data, or a whole Kinesis record's.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.error.data()
    }

    /// Why it cannot be read.
    #[must_use]
    pub const fn error(&self) -> &DeaggregateError {
        &self.error
    }

    /// Why it cannot be read, with the bytes.
    #[must_use]
    pub fn into_error(self) -> DeaggregateError {
        self.error
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(shard_id) = self.place.origin.shard_id() {
            write!(f, "shard {shard_id}, ")?;
        }
        self.error.fmt(f)
    }
}

impl std::error::Error for Undecodable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
