//! Events of Kinesis Data Analytics, and the replies to them.

use aws_lambda_events::encodings::Base64Data;
use serde::{Deserialize, Serialize};

/// What Kinesis Data Analytics sends to a function that
/// [preprocesses](https://docs.aws.amazon.com/kinesisanalytics/latest/dev/lambda-preprocessing-data-model.html) its
/// records.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AnalyticsEvent {
    /// The id of the invocation.
    pub invocation_id: Option<String>,
    /// The ARN of the application.
    pub application_arn: Option<String>,
    /// The ARN of the stream that the records come from.
    pub stream_arn: Option<String>,
    /// The records.
    pub records: Vec<AnalyticsRecord>,
}

/// A record of an [`AnalyticsEvent`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AnalyticsRecord {
    /// The id that the reply must have.
    pub record_id: String,
    /// For a record from a Kinesis stream, its place in that stream.
    pub kinesis_stream_record_metadata: Option<AnalyticsRecordMetadata>,
    /// The data.
    pub data: Base64Data,
}

/// The place of a record of an [`AnalyticsEvent`] in its stream.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AnalyticsRecordMetadata {
    /// The sequence number.
    pub sequence_number: Option<String>,
    /// The partition key.
    pub partition_key: Option<String>,
    /// The shard.
    pub shard_id: Option<String>,
    /// When it arrived at the stream, in milliseconds since the Unix epoch.
    pub approximate_arrival_timestamp: Option<u64>,
}

/// The reply to an [`AnalyticsEvent`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[non_exhaustive]
pub struct AnalyticsResponse {
    /// One reply for each record.
    pub records: Vec<AnalyticsReply>,
}

/// The reply to an [`AnalyticsRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AnalyticsReply {
    /// The record's id.
    pub record_id: String,
    /// `Ok`, `Dropped` or `ProcessingFailed`.
    pub result: String,
    /// The data that replaces the record's; if the record failed, its data as it came.
    pub data: Base64Data,
}
