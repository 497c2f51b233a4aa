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

use aws_lambda_events::encodings::Base64Data;
use aws_lambda_events::event::firehose::{
    KinesisFirehoseEvent, KinesisFirehoseResponse, KinesisFirehoseResponseRecord,
};
use kpl_core::{ByteCount, FromKplRecordOwned, Received};
use kpl_handler::catch_panic;
use lambda_runtime::{Error, LambdaEvent, service_fn};

use crate::batch::Batch;
use crate::event::{AnalyticsEvent, AnalyticsReply, AnalyticsResponse};

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

/// Calls a function with each user record of a Firehose event, in order, and returns the reply to the event.
///
/// [Lambda](https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html) refuses replies larger than 6 MB.
///
/// ```
/// use aws_lambda_events::event::firehose::KinesisFirehoseEvent;
/// use kpl_lambda::{Received, transform};
///
/// # #[derive(kpl::KplRecord)] struct Line { #[kpl(partition_key)] key: String, #[kpl(payload)] text: Vec<u8> }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), serde_json::Error> {
/// let event: KinesisFirehoseEvent = serde_json::from_str(r#"{
///     "invocationId": "1", "deliveryStreamArn": "arn:aws:firehose:eu-central-1:1:deliverystream/lines", "region": "eu-central-1",
///     "records": [{ "recordId": "a", "approximateArrivalTimestamp": 1700000000000, "data": "aGVsbG8=",
///         "kinesisRecordMetadata": { "shardId": "shardId-000000000000", "partitionKey": "abc", "sequenceNumber": "7",
///             "subsequenceNumber": 0, "approximateArrivalTimestamp": 1700000000000 } }]
/// }"#)?;
/// let upper = |line: Received<Line>| async move {
///     let mut text = line.value.text.to_ascii_uppercase();
///     text.push(b'\n');
///     Ok::<_, std::convert::Infallible>(text)
/// };
/// let reply = transform::firehose(&event, upper).await;
/// assert_eq!(reply.records[0].result.as_deref(), Some("Ok"));
/// assert_eq!(*reply.records[0].data, b"HELLO\n");
/// # Ok(())
/// # }
/// ```
pub async fn firehose<T, F, Fut, R, E>(event: &KinesisFirehoseEvent, f: F) -> KinesisFirehoseResponse
where
    T: FromKplRecordOwned,
    F: FnMut(Received<T>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Transformed>,
    E: Into<Error>,
{
    let replies = transform(&Batch::from(event), f).await;
    let mut response = KinesisFirehoseResponse::default();
    response.records = event
        .records
        .iter()
        .zip(replies)
        .map(|(record, reply)| {
            let mut made = KinesisFirehoseResponseRecord::default();
            made.record_id.clone_from(&record.record_id);
            made.result = Some(reply.result().into());
            made.data = reply.data(&record.data);
            made
        })
        .collect();
    response
}

/// Serves Firehose with [`firehose`] until the execution environment ends.
///
/// # Errors
///
/// Returns the error of [`lambda_runtime::run`] if the runtime API cannot be reached.
pub async fn run_firehose<T, F, Fut, R, E>(f: F) -> Result<(), Error>
where
    T: FromKplRecordOwned,
    F: Fn(Received<T>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Transformed>,
    E: Into<Error>,
{
    let f = &f;
    let handle = move |event: LambdaEvent<KinesisFirehoseEvent>| async move {
        Ok::<_, Error>(firehose(&event.payload, f).await)
    };
    lambda_runtime::run(service_fn(handle)).await
}

/// Calls a function with each user record of a Kinesis Data Analytics event, in order, and returns the reply to the
/// event.
pub async fn analytics<T, F, Fut, R, E>(event: &AnalyticsEvent, f: F) -> AnalyticsResponse
where
    T: FromKplRecordOwned,
    F: FnMut(Received<T>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Transformed>,
    E: Into<Error>,
{
    let replies = transform(&Batch::from(event), f).await;
    let records = event.records.iter().zip(replies).map(|(record, reply)| AnalyticsReply {
        record_id: record.record_id.clone(),
        result: reply.result().into(),
        data: reply.data(&record.data),
    });
    AnalyticsResponse {
        records: records.collect(),
    }
}

/// Serves Kinesis Data Analytics with [`analytics`] until the execution environment ends.
///
/// # Errors
///
/// Returns the error of [`lambda_runtime::run`] if the runtime API cannot be reached.
pub async fn run_analytics<T, F, Fut, R, E>(f: F) -> Result<(), Error>
where
    T: FromKplRecordOwned,
    F: Fn(Received<T>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Transformed>,
    E: Into<Error>,
{
    let f = &f;
    let handle =
        move |event: LambdaEvent<AnalyticsEvent>| async move { Ok::<_, Error>(analytics(&event.payload, f).await) };
    lambda_runtime::run(service_fn(handle)).await
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

    fn data(self, original: &[u8]) -> Base64Data {
        let mut data = Base64Data::default();
        data.0 = match self {
            Self::Data(data) => data,
            Self::Dropped => Vec::new(),
            Self::Failed => original.into(),
        };
        data
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
