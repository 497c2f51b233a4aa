//! serde's traits for keys, ranges, positions and times, so that they can be fields of records and be stored.

use alloc::string::ToString as _;
use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;
use core::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::key::{HashKey, HashKeyRange, PartitionKey};
use crate::position::{Position, SequenceNumber};
use crate::timestamp::Timestamp;

/// Parses a value from a string.
struct Parse<T>(&'static str, PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Parse<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

fn parse<'de, T, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Parse(expected, PhantomData))
}

/// Serializes as a string in the service's own form if the format is human-readable, otherwise as a number: most
/// programs misread JSON numbers of 128 bits.
impl Serialize for HashKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.value().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            parse(deserializer, "a hash key in decimal digits")
        } else {
            u128::deserialize(deserializer).map(Self::new)
        }
    }
}

/// Serializes as `START..=END` if the format is human-readable, otherwise as two numbers.
impl Serialize for HashKeyRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (self.start(), self.end()).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for HashKeyRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            parse(deserializer, "a hash key range, START..=END")
        } else {
            let (start, end) = Deserialize::deserialize(deserializer)?;
            Self::new(start, end).map_err(D::Error::custom)
        }
    }
}

impl Serialize for PartitionKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Deserializes without borrowing. A string that is not a valid partition key is an error.
impl<'de> Deserialize<'de> for PartitionKey<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(deserializer, "a partition key")
    }
}

/// Serializes as a string of decimal digits.
impl Serialize for SequenceNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SequenceNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(deserializer, "a sequence number in decimal digits")
    }
}

/// Serializes as the string `SEQUENCE:SUB`.
impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(deserializer, "a position, SEQUENCE:SUB")
    }
}

/// Serializes as a string of seconds if the format is human-readable, otherwise as a [`Duration`].
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.since_unix_epoch().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            parse(deserializer, "seconds since the Unix epoch")
        } else {
            Duration::deserialize(deserializer).map(Self::from_unix_epoch)
        }
    }
}
