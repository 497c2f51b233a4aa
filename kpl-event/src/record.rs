//! A record as it was read.

use std::fmt;
use std::sync::Arc;

use data_encoding::{BASE64, DecodeError};
use kpl_core::{EncryptionType, HashKey};
use serde_json::json;

use crate::Arrival;

/// What was read in the place of a record. A value that is missing, null or of the wrong type is `None`.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The data, or why there is none.
    pub data: Result<Vec<u8>, NoData>,
    /// The partition key.
    pub partition_key: Option<String>,
    /// The sequence number.
    pub sequence_number: Option<String>,
    /// The index in its aggregate, if it was taken out of one before, as Firehose does.
    pub sub_sequence_number: Option<u64>,
    /// When it arrived at the stream.
    pub arrival: Option<Arrival>,
    /// How the stream encrypts it.
    pub encryption_type: Option<EncryptionType>,
    /// The shard, as the record states it.
    pub shard_id: Option<String>,
    /// The event id, `SHARD:SEQUENCE`.
    pub event_id: Option<String>,
    /// The ARN of the stream, or of its consumer.
    pub event_source_arn: Option<String>,
    /// The record id of a transformation event.
    pub record_id: Option<String>,
    /// The id of the SQS message that contained it.
    pub message_id: Option<Arc<str>>,
    /// What `kpl` says about the user record, if it has unpacked it.
    pub unpacked: Option<Unpacked>,
    /// What is wrong with each field that has a value of the wrong type.
    pub wrong_types: Vec<String>,
}

impl Record {
    /// Returns a record with this data and nothing else.
    #[must_use]
    pub const fn new(data: Result<Vec<u8>, NoData>) -> Self {
        Self {
            data,
            partition_key: None,
            sequence_number: None,
            sub_sequence_number: None,
            arrival: None,
            encryption_type: None,
            shard_id: None,
            event_id: None,
            event_source_arn: None,
            record_id: None,
            message_id: None,
            unpacked: None,
            wrong_types: Vec::new(),
        }
    }

    /// Returns the record as it is in an event of an event source mapping of
    /// [Lambda](https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html): an element of `Records`.
    ///
    /// ```
    /// use kpl_event::Record;
    ///
    /// let mut record = Record::new(Ok(b"hello".into()));
    /// record.sequence_number = Some("7".into());
    /// let json = record.to_lambda_json();
    /// assert_eq!(json["kinesis"]["data"], "aGVsbG8=");
    /// assert_eq!(json["kinesis"]["sequenceNumber"], "7");
    /// ```
    #[must_use]
    pub fn to_lambda_json(&self) -> serde_json::Value {
        let arrival = match &self.arrival {
            Some(Arrival::Seconds(seconds)) => json!(seconds),
            Some(Arrival::Text(text)) => json!(text),
            None => json!(null),
        };
        let encryption_type = match self.encryption_type {
            Some(EncryptionType::Kms) => "KMS",
            _ => "NONE",
        };
        // `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`
        let arn = self.event_source_arn.as_deref().unwrap_or_default();
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": self.partition_key,
                "sequenceNumber": self.sequence_number,
                "data": BASE64.encode(self.data.as_deref().unwrap_or_default()),
                "approximateArrivalTimestamp": arrival,
                "encryptionType": encryption_type,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": self.event_id,
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/test",
            "awsRegion": arn.split(':').nth(3),
            "eventSourceARN": self.event_source_arn,
        })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Record");
        match &self.data {
            Ok(data) => debug.field("data", &format_args!("{} bytes", data.len())),
            Err(no_data) => debug.field("data", no_data),
        };
        debug
            .field("partition_key", &self.partition_key)
            .field("sequence_number", &self.sequence_number)
            .field("event_id", &self.event_id)
            .field("message_id", &self.message_id)
            .field("wrong_types", &self.wrong_types)
            .finish_non_exhaustive()
    }
}

/// What `kpl deaggregate` and `kpl tail` write of a user record besides what every record has. Its data is not an aggregated record that
/// is to be unpacked, whatever it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unpacked {
    /// Whether it was in an aggregated record.
    pub aggregated: bool,
    /// The explicit hash key.
    pub explicit_hash_key: Option<HashKey>,
    /// What the data was compressed by before it was written.
    pub compression: Option<String>,
    /// Why it was malformed, if it was.
    pub malformed: Option<String>,
}

/// Why a record does not have data.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum NoData {
    /// It is an object without any of the keys that data is under.
    Missing,
    /// Its data is not base64.
    NotBase64 {
        /// The error.
        error: DecodeError,
        /// The string.
        text: String,
    },
    /// Its data is not a string.
    NotText {
        /// What it is.
        kind: &'static str,
        /// The value as JSON, if values are [kept](crate::Sink::keeps_values).
        json: Option<String>,
    },
    /// It is not even an object.
    NotARecord {
        /// What it is.
        kind: &'static str,
        /// The value as JSON, if values are [kept](crate::Sink::keeps_values).
        json: Option<String>,
    },
    /// The value of the key for the records is not an array.
    NotAnArray {
        /// What it is.
        kind: &'static str,
        /// The value as JSON, if values are [kept](crate::Sink::keeps_values).
        json: Option<String>,
    },
    /// It is a message whose text is not JSON.
    NotJson {
        /// The message of the error.
        error: String,
        /// The text.
        text: String,
    },
    /// It is a message in a message, and so on, more often than is sensible.
    TooDeep {
        /// The text.
        text: String,
    },
    /// It is an invocation record of Lambda without the event: a destination other than Amazon S3 receives the positions
    /// of the records only.
    PositionsOnly,
    /// It is what a command of `kpl` writes for programs, not a record.
    Report {
        /// The command.
        command: &'static str,
    },
}

impl NoData {
    /// Returns the input in place of the data, as far as it was kept.
    #[must_use]
    pub fn into_input(self) -> Option<String> {
        match self {
            Self::Missing | Self::PositionsOnly | Self::Report { .. } => None,
            Self::NotBase64 { text, .. } | Self::NotJson { text, .. } | Self::TooDeep { text } => Some(text),
            Self::NotText { json, .. } | Self::NotARecord { json, .. } | Self::NotAnArray { json, .. } => json,
        }
    }
}

impl fmt::Display for NoData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it does not have a Data, data or kinesis.data key"),
            Self::NotBase64 { error, .. } => write!(f, "its data is not base64: {error}"),
            Self::NotText { kind, .. } => write!(f, "its data is {kind}, not a base64 string"),
            Self::NotARecord { kind, .. } => write!(f, "{kind} is not a record"),
            Self::NotAnArray { kind, .. } => write!(f, "its Records key is {kind}, not an array"),
            Self::NotJson { error, .. } => write!(f, "it is a message whose text is not valid JSON: {error}"),
            Self::TooDeep { .. } => f.write_str("it is a message in a message, too deep"),
            Self::Report { command } => {
                write!(f, "it is what `{command} --output json` writes: a report, not a record")
            }
            Self::PositionsOnly => f.write_str(
                "it is an invocation record with the positions of records, not their data: only destinations in Amazon S3 \
                 receive that",
            ),
        }
    }
}

impl fmt::Debug for NoData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoData({self})")
    }
}

impl std::error::Error for NoData {}
