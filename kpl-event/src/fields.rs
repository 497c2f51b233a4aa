//! The fields of one record, in every spelling in use.
//!
//! A value of the wrong type is kept as such and is not an error of JSON: only its field is lost, and reading continues
//! after it.

use std::fmt;

use data_encoding::BASE64;
use kpl_core::{EncryptionType, HashKey};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::foreign::{aggregate_inside, decode, of_array, of_object};
use crate::value::{Any, Odd, Text, Value};
use crate::{Arrival, NoData, Record, Sink, Unpacked};

/// What a key of an object means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The records of a document.
    Records,
    /// An object with more fields of the record.
    Nested,
    /// An object with what the stream knows about the record.
    Metadata,
    RecordId,
    Data,
    /// What the string under the key for data is, as `kpl` writes it.
    DataEncoding,
    /// Whether a user record was in an aggregated record: only those that `kpl` has unpacked say that.
    Aggregated,
    ExplicitHashKey,
    Compression,
    Malformed,
    /// A key that only a report of `kpl` has, which is not a record.
    Report(&'static str),
    PartitionKey,
    SequenceNumber,
    SubSequenceNumber,
    Arrival,
    EncryptionType,
    ShardId,
    EventId,
    EventSourceArn,
    /// The id of an SQS message.
    MessageId,
    /// A document as text, or as it is.
    Message,
    /// An SNS notification.
    Notification,
    /// The positions of the records that an invocation record is about.
    Positions,
    /// What an event says about its tumbling window.
    Window,
    Other,
}

impl Role {
    fn new(name: &str) -> Self {
        match name {
            "Records" | "records" => Self::Records,
            // An answer of SQS's ReceiveMessage.
            "Messages" => Self::Records,
            // Lambda events of Kinesis.
            "kinesis" => Self::Nested,
            // Transformation events: of Firehose, of Kinesis Analytics, and of the latter behind Firehose.
            "kinesisRecordMetadata" | "kinesisStreamRecordMetadata" | "kinesisFirehoseRecordMetadata" => Self::Metadata,
            "recordId" => Self::RecordId,
            "Data" | "data" => Self::Data,
            "DataEncoding" => Self::DataEncoding,
            "Aggregated" => Self::Aggregated,
            "ExplicitHashKey" => Self::ExplicitHashKey,
            "Compression" => Self::Compression,
            "Malformed" => Self::Malformed,
            "KinesisRecords" => Self::Report("kpl stats"),
            "ExplicitHashKeys" => Self::Report("kpl inspect"),
            "PartitionKey" | "partitionKey" => Self::PartitionKey,
            "SequenceNumber" | "sequenceNumber" => Self::SequenceNumber,
            "subsequenceNumber" | "subSequenceNumber" | "SubSequenceNumber" => Self::SubSequenceNumber,
            "ApproximateArrivalTimestamp" | "approximateArrivalTimestamp" => Self::Arrival,
            "EncryptionType" | "encryptionType" => Self::EncryptionType,
            "ShardId" | "shardId" => Self::ShardId,
            "eventID" => Self::EventId,
            "eventSourceARN" | "sourceKinesisStreamArn" | "streamArn" => Self::EventSourceArn,
            "messageId" => Self::MessageId,
            "body" | "Body" | "Message" | "payload" | "requestPayload" => Self::Message,
            "Sns" => Self::Notification,
            "KinesisBatchInfo" => Self::Positions,
            "window" | "state" | "isFinalInvokeForWindow" | "isWindowTerminatedEarly" => Self::Window,
            _ => Self::Other,
        }
    }
}

/// A key of an object: what it means, and its name if the value is kept under it.
pub(crate) struct Key {
    pub(crate) role: Role,
    pub(crate) name: Option<String>,
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
                let role = Role::new(name);
                let name = (role == Role::Window).then(|| name.to_owned());
                Ok(Key { role, name })
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// The fields of one record so far.
#[derive(Default)]
pub(crate) struct Fields {
    /// Whether values of the wrong type are kept.
    keep: bool,
    /// Whether data is read in the forms of other programs.
    reads_other_forms: bool,
    data: Option<Result<Vec<u8>, NoData>>,
    /// What the data is if it is not a string.
    data_kind: Option<&'static str>,
    /// The JSON of data that is not a string without escapes, if the sink has it.
    data_json: Option<Vec<u8>>,
    data_encoding: Option<String>,
    aggregated: Flag,
    explicit_hash_key: Scalar,
    compression: Option<String>,
    malformed: Option<String>,
    report: Option<&'static str>,
    partition_key: Scalar,
    sequence_number: Scalar,
    sub_sequence_number: Scalar,
    arrival: Scalar,
    /// When the record arrived in the stream: Firehose states its own time of arrival as well.
    stream_arrival: Scalar,
    encryption_type: Option<String>,
    shard_id: Option<String>,
    event_id: Option<String>,
    event_source_arn: Option<String>,
    record_id: Option<String>,
}

impl Fields {
    pub(crate) fn new(keep: bool, reads_other_forms: bool) -> Self {
        Self {
            keep,
            reads_other_forms,
            ..Self::default()
        }
    }

    /// Reads the value of a key.
    pub(crate) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        role: Role,
        map: &mut A,
        sink: &mut dyn Sink,
    ) -> Result<(), A::Error> {
        match role {
            Role::Data => {
                self.data_kind = None;
                sink.mark_value();
                let mut shape = Shape::Other;
                self.data = map.next_value_seed(Data(self, &mut shape))?;
                self.data_json = None;
                if self.reads_other_forms {
                    sink.value(&mut |json| self.data_json = shape.json(json).map(<[u8]>::to_vec));
                }
            }
            Role::Aggregated => self.aggregated = map.next_value()?,
            Role::ExplicitHashKey => self.explicit_hash_key = map.next_value()?,
            Role::Compression => self.compression = map.next_value_seed(Text)?,
            Role::Malformed => self.malformed = map.next_value_seed(Text)?,
            Role::Report(command) => {
                map.next_value::<IgnoredAny>()?;
                self.report = Some(command);
            }
            Role::DataEncoding => self.data_encoding = map.next_value_seed(Text)?,
            Role::PartitionKey => self.partition_key = map.next_value()?,
            Role::SequenceNumber => self.sequence_number = map.next_value()?,
            Role::SubSequenceNumber => self.sub_sequence_number = map.next_value()?,
            Role::Arrival => self.arrival = map.next_value()?,
            Role::EncryptionType => self.encryption_type = map.next_value_seed(Text)?,
            Role::ShardId => self.shard_id = map.next_value_seed(Text)?,
            Role::EventId => self.event_id = map.next_value_seed(Text)?,
            Role::EventSourceArn => self.event_source_arn = map.next_value_seed(Text)?,
            Role::RecordId => self.record_id = map.next_value_seed(Text)?,
            Role::Nested => map.next_value_seed(Nested(self, sink))?,
            Role::Metadata => {
                let outer = std::mem::take(&mut self.arrival);
                map.next_value_seed(Nested(self, sink))?;
                self.stream_arrival = std::mem::replace(&mut self.arrival, outer);
            }
            Role::Records
            | Role::MessageId
            | Role::Message
            | Role::Notification
            | Role::Positions
            | Role::Window
            | Role::Other => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    pub(crate) const fn has_data(&self) -> bool {
        self.data.is_some()
    }

    pub(crate) fn take_event_source_arn(&mut self) -> Option<String> {
        self.event_source_arn.take()
    }

    pub(crate) fn take_shard_id(&mut self) -> Option<String> {
        self.shard_id.take()
    }

    /// Returns the record. Without data it has this reason.
    pub(crate) fn finish(mut self, reason: NoData) -> Record {
        let reason = self.report.map_or(reason, |command| NoData::Report { command });
        let mut wrong = Vec::new();
        let unpacked = match self.aggregated {
            Flag::None => None,
            Flag::Is(aggregated) => Some(Unpacked {
                aggregated,
                explicit_hash_key: std::mem::take(&mut self.explicit_hash_key).hash_key(&mut wrong),
                compression: self.compression.take(),
                malformed: self.malformed.take(),
            }),
            Flag::Other(kind) => {
                wrong.push(format!("its Aggregated is {kind}, not a boolean"));
                None
            }
        };
        let data = self.decoded(unpacked.is_some(), reason, &mut wrong);
        let mut record = Record::new(data);
        record.unpacked = unpacked;
        record.partition_key = self.partition_key.text("partition key", &mut wrong);
        record.sequence_number = self.sequence_number.text("sequence number", &mut wrong);
        record.arrival = self.stream_arrival.or(self.arrival).arrival(&mut wrong);
        record.wrong_types = wrong;
        record.sub_sequence_number = self.sub_sequence_number.integer();
        record.encryption_type = match self.encryption_type.as_deref() {
            Some("NONE") => Some(EncryptionType::None),
            Some("KMS") => Some(EncryptionType::Kms),
            _ => None,
        };
        record.shard_id = self.shard_id;
        record.event_id = self.event_id;
        record.event_source_arn = self.event_source_arn;
        record.record_id = self.record_id;
        record
    }

    /// Returns the data, in the encoding that the record states.
    fn decoded(&mut self, is_unpacked: bool, reason: NoData, wrong: &mut Vec<String>) -> Result<Vec<u8>, NoData> {
        let json = self.data_json.take();
        match (self.data_encoding.as_deref(), self.data.take(), json) {
            (Some("json"), Some(_), Some(json)) => Ok(json),
            // Arrays are JSON, as everywhere where data may be JSON.
            (None, Some(Err(NoData::NotText { .. })), Some(json)) if is_unpacked => Ok(json),
            (None, Some(Ok(_)), Some(json)) if is_unpacked && self.data_kind == Some("an array") => Ok(json),
            (Some(_), Some(Ok(_)), _) if self.data_kind.is_some() => Err(NoData::NotText {
                kind: self.data_kind.unwrap_or_default(),
                json: None,
            }),
            (None | Some("base64"), Some(Err(NoData::NotBase64 { error, text })), _) if self.reads_other_forms => {
                decode(&text).ok_or(NoData::NotBase64 { error, text })
            }
            // What was unpacked is as it is.
            (None, Some(Ok(data)), _) if self.reads_other_forms && !is_unpacked => {
                Ok(aggregate_inside(&data).unwrap_or(data))
            }
            (Some("text"), Some(data), _) => text(data).map(String::into_bytes),
            (Some("json"), Some(data), _) => {
                text(data).map(|text| serde_json::Value::String(text).to_string().into_bytes())
            }
            (Some("json"), None, _) => Ok(b"null".to_vec()),
            (encoding, data, _) => {
                if let Some(other) = encoding.filter(|encoding| *encoding != "base64") {
                    wrong.push(format!("its DataEncoding is {other:?}, not base64, text or json"));
                }
                data.unwrap_or(Err(reason))
            }
        }
    }
}

/// What kind of value data is, as far as that decides where its JSON ends in what was read.
#[derive(Clone, Copy)]
enum Shape {
    /// A string of this many bytes.
    Text(usize),
    Number,
    Other,
}

impl Shape {
    /// Returns the JSON of a value in what was read after its key, unless it is that of a string without escapes.
    fn json(self, read: &[u8]) -> Option<&[u8]> {
        // A number ends where something else begins, so one byte more was read.
        let read = match self {
            Self::Number => read.split_last().map_or(read, |(_, rest)| rest),
            Self::Text(_) | Self::Other => read,
        };
        let json = read.trim_ascii_start().strip_prefix(b":")?.trim_ascii();
        match self {
            Self::Text(len) if json.len() == len + 2 => None,
            _ => Some(json),
        }
    }
}

/// A boolean.
#[derive(Default)]
enum Flag {
    #[default]
    None,
    Is(bool),
    Other(&'static str),
}

impl<'de> serde::Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(|value: Value<'_>| match value {
            Value::Null => Self::None,
            Value::Bool(flag) => Self::Is(flag),
            other => Self::Other(other.kind()),
        }))
    }
}

/// Returns the string that was read as data. Only one base64 of some bytes is taken, so it comes back from them.
fn text(data: Result<Vec<u8>, NoData>) -> Result<String, NoData> {
    match data {
        Ok(data) => Ok(BASE64.encode(&data)),
        Err(NoData::NotBase64 { text, .. }) => Ok(text),
        Err(other) => Err(other),
    }
}

/// Base64, decoded without a copy of the string.
struct Data<'f>(&'f mut Fields, &'f mut Shape);

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = Option<Result<Vec<u8>, NoData>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Data<'_> {
    fn odd<E>(Odd { kind, json }: Odd) -> Result<Option<Result<Vec<u8>, NoData>>, E> {
        Ok(Some(Err(NoData::NotText { kind, json })))
    }

    /// Takes the bytes of a value that is not a string, if it is bytes.
    fn bytes<E>(self, bytes: Option<Vec<u8>>, kind: &'static str) -> Result<Option<Result<Vec<u8>, NoData>>, E> {
        self.0.data_kind = Some(kind);
        Ok(Some(bytes.ok_or(NoData::NotText { kind, json: None })))
    }
}

impl<'de> Visitor<'de> for Data<'_> {
    type Value = Option<Result<Vec<u8>, NoData>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        *self.1 = Shape::Text(text.len());
        Ok(Some(BASE64.decode(text.as_bytes()).map_err(|error| {
            NoData::NotBase64 {
                error,
                text: text.into(),
            }
        })))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Self::odd(Odd::of(&Value::Bool(value), self.0.keep))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        *self.1 = Shape::Number;
        Self::odd(Odd::of(&Value::Integer(number), self.0.keep))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        *self.1 = Shape::Number;
        Self::odd(Odd::of(&Value::Number(number as f64), self.0.keep))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        *self.1 = Shape::Number;
        Self::odd(Odd::of(&Value::Number(number), self.0.keep))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        if self.0.reads_other_forms {
            return self.bytes(of_array(seq)?, "an array");
        }
        Self::odd(Odd::array(seq, self.0.keep)?)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        if self.0.reads_other_forms {
            return self.bytes(of_object(map)?, "an object");
        }
        Self::odd(Odd::object(map, self.0.keep)?)
    }
}

/// A string or a number.
#[derive(Default)]
enum Scalar {
    #[default]
    None,
    Text(String),
    Integer(u64),
    Number(f64),
    Other(&'static str),
}

impl Scalar {
    fn or(self, other: Self) -> Self {
        if let Self::None = self { other } else { self }
    }

    fn text(self, name: &str, wrong: &mut Vec<String>) -> Option<String> {
        let (kind, text) = match self {
            Self::None => return None,
            Self::Text(text) => return Some(text),
            Self::Integer(number) => ("a number", Some(number.to_string())),
            Self::Number(_) => ("a number", None),
            Self::Other(kind) => (kind, None),
        };
        wrong.push(format!("its {name} is {kind}, not a string"));
        text
    }

    fn hash_key(self, wrong: &mut Vec<String>) -> Option<HashKey> {
        let text = match self {
            Self::None => return None,
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Number(_) => {
                wrong.push(
                    "its ExplicitHashKey is a number that JSON does not keep exactly: write it as a string".into(),
                );
                return None;
            }
            Self::Other(kind) => {
                wrong.push(format!("its ExplicitHashKey is {kind}, not a string"));
                return None;
            }
        };
        let key = text
            .parse()
            .map_err(|error| wrong.push(format!("its ExplicitHashKey: {error}")));
        key.ok()
    }

    fn integer(self) -> Option<u64> {
        match self {
            Self::Integer(number) => Some(number),
            Self::Text(text) => text.parse().ok(),
            Self::None | Self::Number(_) | Self::Other(_) => None,
        }
    }

    fn arrival(self, wrong: &mut Vec<String>) -> Option<Arrival> {
        match self {
            Self::None => None,
            Self::Text(text) => Some(Arrival::Text(text)),
            Self::Integer(number) => Some(Arrival::from_number(number as f64)),
            Self::Number(number) => Some(Arrival::from_number(number)),
            Self::Other(kind) => {
                wrong.push(format!("its time of arrival is {kind}, not a string or a number"));
                None
            }
        }
    }
}

impl<'de> serde::Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(|value: Value<'_>| match value {
            Value::Null => Self::None,
            Value::Text(text) => Self::Text(text.into()),
            Value::Integer(number) => Self::Integer(number),
            Value::Number(number) => Self::Number(number),
            other => Self::Other(other.kind()),
        }))
    }
}

/// An object with more fields of the record. Any other value is skipped, and the fields are missing.
struct Nested<'f, 's>(&'f mut Fields, &'f mut (dyn Sink + 's));

impl<'de> DeserializeSeed<'de> for Nested<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        struct Object<'f, 's>(&'f mut Fields, &'f mut (dyn Sink + 's));

        impl<'de> Visitor<'de> for Object<'_, '_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(key) = map.next_key::<Key>()? {
                    match key.role {
                        Role::Nested | Role::Metadata | Role::RecordId => map.next_value::<IgnoredAny>().map(drop)?,
                        role => self.0.read(role, &mut map, self.1)?,
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

        deserializer.deserialize_any(Object(self.0, self.1))
    }
}
