//! Events built from aggregates, and what Lambda does with the answers.

#![allow(dead_code, reason = "each test file needs a part of it")]

use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use kpl::{FromKplRecord, ReadError, UserRecord};
use kpl_lambda::{BatchResponse, Event, Record};
use kpl_testkit::{aggregate_into_one, raw};
use serde_json::{Value, json};

pub(crate) const ARN: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/clicks";

/// A line of text: a payload that is not valid UTF-8 cannot be read as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) key: String,
    pub(crate) text: String,
}

impl FromKplRecord<'_> for Line {
    fn from_user_record(record: &UserRecord<'_>) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(record.data).map_err(|error| ReadError::new(error.to_string()))?;
        Ok(Self {
            key: record.partition_key.unwrap_or_default().into(),
            text: text.into(),
        })
    }
}

/// A Kinesis record: its data and its outer partition key.
pub(crate) type Data = (Vec<u8>, String);

/// Returns one aggregate of these records, by key and payload.
pub(crate) fn aggregate<D: AsRef<[u8]>>(records: &[(&str, D)]) -> Data {
    let raw: Vec<_> = records.iter().map(|(key, data)| raw(key, data)).collect();
    let sealed = aggregate_into_one(&raw);
    (sealed.data, sealed.partition_key.into_string())
}

pub(crate) fn record(shard: &str, sequence_number: &str, (data, key): &Data) -> Value {
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": key,
            "sequenceNumber": sequence_number,
            "data": BASE64.encode(data),
            "approximateArrivalTimestamp": 1_545_084_650.987,
            "encryptionType": "KMS",
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("{shard}:{sequence_number}"),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
        "awsRegion": "eu-central-1",
        "eventSourceARN": ARN,
    })
}

pub(crate) const SHARD: &str = "shardId-000000000006";

/// Returns an event of one shard, with the sequence numbers 100, 101, ...
pub(crate) fn event(records: &[Data]) -> Event {
    from_json(&json!({ "Records": numbered(records) }))
}

pub(crate) fn numbered(records: &[Data]) -> Vec<Value> {
    let numbers = 100..;
    records
        .iter()
        .zip(numbers)
        .map(|(data, number)| record(SHARD, &number.to_string(), data))
        .collect()
}

pub(crate) fn from_json<T: for<'de> serde::Deserialize<'de>>(json: &Value) -> T {
    serde_json::from_str(&json.to_string()).unwrap()
}

/// Returns the sequence numbers that an answer names.
pub(crate) fn failed(response: &BatchResponse) -> Vec<&str> {
    response.identifiers().collect()
}

/// Returns the event that Lambda's event source mapping sends after an answer, if any.
/// https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
pub(crate) fn retry(event: &Event, response: &BatchResponse) -> Option<Event> {
    let number = |text: &str| text.parse::<u128>().unwrap();
    let lowest = failed(response).into_iter().map(number).min()?;
    let is_again = |record: &&Record| number(record.sequence_number.as_deref().unwrap()) >= lowest;
    Some(event.records().iter().filter(is_again).cloned().collect())
}

/// What a handler was called with, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    /// Returns the calls since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Decodes base64.
pub(crate) fn bytes(base64: &Value) -> Vec<u8> {
    BASE64.decode(base64.as_str().unwrap().as_bytes()).unwrap()
}
