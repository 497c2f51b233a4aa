//! Transformation of records on their way through Firehose or Kinesis Data Analytics.
//!
//! Both require exactly one reply for each record id, but an aggregated record holds many user records. Its reply is
//! `Ok` with the data of all its user records that were kept, concatenated: end each with a newline if the consumer of
//! the data needs one. It is `Dropped` if none was kept. If one cannot be decoded, or if your function fails or panics for one,
//! the reply is `ProcessingFailed` with the data as it came, so that none of it is lost: Firehose
//! [keeps such records](https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-failure-handling.html)
//! apart from the others.
//!
//! Firehose itself deaggregates what it reads from a Kinesis stream
//! ([documentation](https://docs.aws.amazon.com/streams/latest/dev/kpl-with-firehose.html)); aggregates that are put into
//! it directly arrive as they are. A record that is put into it directly, outside an aggregate, does not have a
//! partition key.

use std::fmt;
use std::future::Future;

use data_encoding::BASE64;
use kpl_core::{ByteCount, FromKplRecordOwned, Received};
use kpl_handler::catch_panic;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::event::{Event, Payload};

/// The result of transforming a user record.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transformed {
    /// It is replaced by these bytes.
    Data(Vec<u8>),
    /// It is left out intentionally.
    Dropped,
}

impl fmt::Debug for Transformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => f.debug_tuple("Data").field(&ByteCount(data.len())).finish(),
            Self::Dropped => f.write_str("Dropped"),
        }
    }
}

impl From<Vec<u8>> for Transformed {
    fn from(data: Vec<u8>) -> Self {
        Self::Data(data)
    }
}

impl From<String> for Transformed {
    fn from(text: String) -> Self {
        Self::Data(text.into())
    }
}

/// The answer to a transformation event.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[non_exhaustive]
pub struct TransformResponse {
    /// One reply for each record.
    pub records: Vec<TransformReply>,
}

/// The reply to a record of a transformation event.
#[derive(Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TransformReply {
    /// The record's id.
    pub record_id: String,
    /// `Ok`, `Dropped` or `ProcessingFailed`.
    pub result: String,
    /// Base64 of the data that replaces the record's; if the record failed, its data as it came.
    pub data: String,
}

impl fmt::Debug for TransformReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformReply")
            .field("record_id", &self.record_id)
            .field("result", &self.result)
            .field("data", &ByteCount(self.data.len()))
            .finish()
    }
}

/// Calls a function with each user record of an event of Firehose or of Kinesis Data Analytics, in order, and returns the
/// answer to the event.
///
/// [Lambda](https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html) refuses answers larger than 6 MB.
///
/// ```
/// use kpl_lambda::{Event, Received, transform};
///
/// # #[derive(kpl::KplRecord)] struct Line { #[kpl(partition_key)] key: String, #[kpl(payload)] text: Vec<u8> }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), serde_json::Error> {
/// let event: Event = serde_json::from_str(r#"{
///     "invocationId": "1", "deliveryStreamArn": "arn:aws:firehose:eu-central-1:1:deliverystream/lines", "region": "eu-central-1",
///     "records": [{ "recordId": "a", "approximateArrivalTimestamp": 1700000000000, "data": "aGVsbG8=",
///         "kinesisRecordMetadata": { "shardId": "shardId-000000000000", "partitionKey": "abc", "sequenceNumber": "7",
///             "subsequenceNumber": "", "approximateArrivalTimestamp": 1700000000000 } }]
/// }"#)?;
/// let upper = |line: Received<Line>| async move {
///     let mut text = line.value.text.to_ascii_uppercase();
///     text.push(b'\n');
///     Ok::<_, std::convert::Infallible>(text)
/// };
/// let answer = transform::handle(&event, upper).await;
/// assert_eq!(answer.records[0].result, "Ok");
/// assert_eq!(answer.records[0].data, "SEVMTE8K");
/// # Ok(())
/// # }
/// ```
pub async fn handle<T, F, Fut, R, E>(event: &Event, f: F) -> TransformResponse
where
    T: FromKplRecordOwned,
    F: FnMut(Received<T>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Transformed>,
    E: Into<Error>,
{
    let replies = transform(&Batch::from(event), f).await;
    let records = event
        .records()
        .iter()
        .zip(replies)
        .map(|(record, reply)| TransformReply {
            record_id: record.record_id.clone().unwrap_or_default(),
            result: reply.result().into(),
            data: match (reply, &record.data) {
                (Reply::Data(data), _) => BASE64.encode(&data),
                (Reply::Dropped, _) => String::new(),
                (Reply::Failed, Ok(data)) => BASE64.encode(data),
                (Reply::Failed, Err(no_data)) => no_data.clone().into_input().unwrap_or_default(),
            },
        });
    TransformResponse {
        records: records.collect(),
    }
}

/// Serves Firehose or Kinesis Data Analytics with [`handle`] until the execution environment ends.
///
/// # Errors
///
/// Returns the error of [`lambda_runtime::run`] if the runtime API cannot be reached.
///
/// # Panics
///
/// Panics if the environment variables of the runtime are not set: outside Lambda and its emulators.
pub async fn run<T, F, Fut, R, E>(f: F) -> Result<(), Error>
where
    T: FromKplRecordOwned,
    F: Fn(Received<T>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Transformed>,
    E: Into<Error>,
{
    let f = &f;
    let serve =
        move |event: LambdaEvent<Payload>| async move { Ok::<_, Error>(handle(&event.payload.read()?, f).await) };
    lambda_runtime::run(service_fn(serve)).await
}

/// The reply to one record.
enum Reply {
    Data(Vec<u8>),
    Dropped,
    Failed,
}

impl Reply {
    const fn result(&self) -> &'static str {
        match self {
            Self::Data(_) => "Ok",
            Self::Dropped => "Dropped",
            Self::Failed => "ProcessingFailed",
        }
    }
}

async fn transform<T, F, Fut, R, E>(batch: &Batch<'_>, mut f: F) -> Vec<Reply>
where
    T: FromKplRecordOwned,
    F: FnMut(Received<T>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Transformed>,
    E: Into<Error>,
{
    let mut replies: Vec<Reply> = batch.kinesis_records().iter().map(|_| Reply::Dropped).collect();
    for item in batch.user_records::<T>() {
        let (index, sub_sequence_number) = match &item {
            Ok(received) => (received.kinesis_record_index(), received.sub_sequence_number()),
            Err(undecodable) => (undecodable.kinesis_record_index(), undecodable.sub_sequence_number()),
        };
        let Some(reply) = replies.get_mut(index) else {
            continue;
        };
        if matches!(reply, Reply::Failed) {
            continue;
        }
        let transformed = match item {
            Ok(received) => catch_panic(|| f(received)).await.map(Into::into),
            Err(undecodable) => Err(undecodable.into()),
        };
        match (transformed, &mut *reply) {
            (Ok(Transformed::Data(more)), Reply::Data(data)) => data.extend(more),
            (Ok(Transformed::Data(data)), _) => *reply = Reply::Data(data),
            (Ok(Transformed::Dropped), _) => {}
            (Err(error), _) => {
                tracing::error!(record_id = batch.event_id(index), sub_sequence_number, %error, "a user record failed");
                *reply = Reply::Failed;
            }
        }
    }
    replies
}
