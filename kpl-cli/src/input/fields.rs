//! The fields of one record, in every spelling in use.
//!
//! A value of the wrong type is kept as such and is not an error of JSON: only its record is lost, and reading
//! continues after it.

use std::borrow::Cow;
use std::fmt;

use data_encoding::{BASE64, DecodeError};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Entry;

/// When a record arrived, as the input states it: the string of the AWS CLI, or seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arrival {
    Text(String),
    Seconds(f64),
}

/// What a key of an object means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The records of a document.
    Records,
    /// An object with more fields of the record.
    Nested,
    /// An object with what the stream knows about the record.
    Metadata,
    RecordId,
    Data,
    PartitionKey,
    SequenceNumber,
    Arrival,
    Other,
}

impl Role {
    fn new(name: &str) -> Self {
        match name {
            "Records" | "records" => Self::Records,
            // Lambda events of Kinesis.
            "kinesis" => Self::Nested,
            // Transformation events: of Firehose, of Kinesis Analytics, and of the latter behind Firehose.
            "kinesisRecordMetadata" | "kinesisStreamRecordMetadata" | "kinesisFirehoseRecordMetadata" => Self::Metadata,
            "recordId" => Self::RecordId,
            "Data" | "data" => Self::Data,
            "PartitionKey" | "partitionKey" => Self::PartitionKey,
            "SequenceNumber" | "sequenceNumber" => Self::SequenceNumber,
            "ApproximateArrivalTimestamp" | "approximateArrivalTimestamp" => Self::Arrival,
            _ => Self::Other,
        }
    }
}

impl<'de> serde::Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Role;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Role, E> {
                Ok(Role::new(name))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// The fields of one record so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    data: Option<Result<Vec<u8>, NoData>>,
    partition_key: Scalar,
    sequence_number: Scalar,
    arrival: Scalar,
    /// When the record arrived in the stream: Firehose states its own time of arrival as well.
    stream_arrival: Scalar,
    /// Whether times are in milliseconds, as in transformation events.
    milliseconds: bool,
}

#[derive(Debug)]
enum NoData {
    NotBase64(DecodeError),
    NotText(&'static str),
}

impl Fields {
    /// Reads the value of a key.
    pub(super) fn read<'de, A: MapAccess<'de>>(&mut self, key: Role, map: &mut A) -> Result<(), A::Error> {
        match key {
            Role::Data => self.data = map.next_value_seed(Data)?,
            Role::PartitionKey => self.partition_key = map.next_value()?,
            Role::SequenceNumber => self.sequence_number = map.next_value()?,
            Role::Arrival => self.arrival = map.next_value()?,
            Role::Nested => map.next_value_seed(Nested(self))?,
            Role::Metadata => {
                let outer = std::mem::take(&mut self.arrival);
                map.next_value_seed(Nested(self))?;
                self.stream_arrival = std::mem::replace(&mut self.arrival, outer);
                self.milliseconds = true;
            }
            Role::RecordId => {
                self.milliseconds = true;
                map.next_value::<IgnoredAny>()?;
            }
            Role::Records | Role::Other => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    pub(super) fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// Returns the record, or why it is not valid.
    pub(super) fn finish(self) -> Result<Entry, Cow<'static, str>> {
        let data = match self.data {
            Some(Ok(data)) => data,
            Some(Err(NoData::NotBase64(error))) => return Err(format!("its data is not base64: {error}").into()),
            Some(Err(NoData::NotText(kind))) => return Err(format!("its data is {kind}, not a base64 string").into()),
            None => return Err("it does not have a Data, data or kinesis.data key".into()),
        };
        let milliseconds = self.milliseconds;
        Ok(Entry {
            data,
            partition_key: self.partition_key.text("partition key")?,
            sequence_number: self.sequence_number.text("sequence number")?,
            arrival: self.stream_arrival.or(self.arrival).arrival(milliseconds)?,
            ..Entry::default()
        })
    }
}

/// Base64, decoded without a copy of the string.
struct Data;

impl<'de> DeserializeSeed<'de> for Data {
    type Value = Option<Result<Vec<u8>, NoData>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(Any(|value: Value<'_>| match value {
            Value::Null => None,
            Value::Text(text) => Some(BASE64.decode(text.as_bytes()).map_err(NoData::NotBase64)),
            other => Some(Err(NoData::NotText(other.kind()))),
        }))
    }
}

/// A string or a number.
#[derive(Debug, Default)]
enum Scalar {
    #[default]
    None,
    Text(String),
    Number(f64),
    Other(&'static str),
}

impl Scalar {
    fn or(self, other: Self) -> Self {
        if let Self::None = self { other } else { self }
    }

    fn text(self, name: &str) -> Result<Option<String>, String> {
        match self {
            Self::None => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Number(_) => Err(format!("its {name} is a number, not a string")),
            Self::Other(kind) => Err(format!("its {name} is {kind}, not a string")),
        }
    }

    fn arrival(self, milliseconds: bool) -> Result<Option<Arrival>, String> {
        match self {
            Self::None => Ok(None),
            Self::Text(text) => Ok(Some(Arrival::Text(text))),
            Self::Number(number) if milliseconds => Ok(Some(Arrival::Seconds(number / 1000.0))),
            Self::Number(number) => Ok(Some(Arrival::Seconds(number))),
            Self::Other(kind) => Err(format!("its time of arrival is {kind}, not a string or a number")),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(|value: Value<'_>| match value {
            Value::Null => Self::None,
            Value::Text(text) => Self::Text(text.into()),
            Value::Number(number) => Self::Number(number),
            other => Self::Other(other.kind()),
        }))
    }
}

/// An object with more fields of the record. Any other value is skipped, and the fields are missing.
struct Nested<'f>(&'f mut Fields);

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        struct Object<'f>(&'f mut Fields);

        impl<'de> Visitor<'de> for Object<'_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(key) = map.next_key::<Role>()? {
                    match key {
                        Role::Nested | Role::Metadata | Role::RecordId => map.next_value::<IgnoredAny>().map(drop)?,
                        key => self.0.read(key, &mut map)?,
                    }
                }
                Ok(())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(())
            }

            fn visit_unit<E: Error>(self) -> Result<(), E> {
                Ok(())
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
                Ok(())
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
                Ok(())
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
                Ok(())
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
                Ok(())
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
                Ok(())
            }
        }

        deserializer.deserialize_any(Object(self.0))
    }
}

/// A value of any type, in as much detail as the fields of a record need.
enum Value<'a> {
    Null,
    Bool,
    Number(f64),
    Text(&'a str),
    Array,
    Object,
}

impl Value<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// Accepts every value, and passes on what it is.
struct Any<F>(F);

impl<'de, T, F: FnOnce(Value<'_>) -> T> Visitor<'de> for Any<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(self.0(Value::Null))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Ok(self.0(Value::Bool))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        Ok(self.0(Value::Number(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(self.0(Value::Text(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.0(Value::Array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.0(Value::Object))
    }
}
