//! serde's traits for keys, so that they can be fields of records.

use alloc::borrow::Cow;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::key::{HashKey, PartitionKey};

/// As text in the service's own form where the format is for people to read, else as a number: JSON numbers of 128
/// bits are misread by most programs.
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
        struct Text;

        impl Visitor<'_> for Text {
            type Value = HashKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a hash key in decimal digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<HashKey, E> {
                text.parse().map_err(E::custom)
            }
        }

        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Text)
        } else {
            u128::deserialize(deserializer).map(Self::new)
        }
    }
}

impl Serialize for PartitionKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Borrows nothing. Text that is no partition key is an error.
impl<'de> Deserialize<'de> for PartitionKey<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        PartitionKey::new(text.into_owned()).map_err(D::Error::custom)
    }
}
