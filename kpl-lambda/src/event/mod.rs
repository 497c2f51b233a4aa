//! Events as Lambda sends them, where the types of `aws_lambda_events` are missing or too strict.

mod analytics;
mod window;

use aws_lambda_events::encodings::{Base64Data, SecondTimestamp};
use aws_lambda_events::event::kinesis::{KinesisEncryptionType, KinesisEvent, KinesisEventRecord};
use serde::Deserialize;

pub use self::analytics::{
    AnalyticsEvent, AnalyticsRecord, AnalyticsRecordMetadata, AnalyticsReply, AnalyticsResponse,
};
pub use self::window::WindowResponse;

/// A [`KinesisEvent`] whose records may have `null` as their partition key.
///
/// The records of a stream whose record distribution strategy is AUTO
/// [may](https://docs.aws.amazon.com/streams/latest/dev/service-managed-pk-integrations-lambda.html), and [`KinesisEvent`]
/// alone then refuses the whole event: no retry gets past it. [`Handler::run`](crate::Handler::run) uses this type. For
/// functions with a `main` of their own:
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_lambda::{AnyKinesisEvent, Batch};
///
/// let AnyKinesisEvent(event) = serde_json::from_str(r#"{ "Records": [{ "kinesis": {
///     "approximateArrivalTimestamp": 1.5, "data": "aGk=", "partitionKey": null, "sequenceNumber": "7"
/// } }] }"#)?;
/// let record = Batch::from(&event).user_records::<RawRecord>().next().unwrap()?;
/// assert_eq!(record.partition_key(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "Event")]
pub struct AnyKinesisEvent(
    /// The event, with an empty string in place of a missing partition key.
    pub KinesisEvent,
);

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    aws_region: Option<String>,
    #[serde(rename = "eventID")]
    event_id: Option<String>,
    event_name: Option<String>,
    event_source: Option<String>,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: Option<String>,
    event_version: Option<String>,
    invoke_identity_arn: Option<String>,
    kinesis: Kinesis,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kinesis {
    approximate_arrival_timestamp: SecondTimestamp,
    data: Base64Data,
    encryption_type: Option<KinesisEncryptionType>,
    partition_key: Option<String>,
    sequence_number: Option<String>,
    kinesis_schema_version: Option<String>,
}

impl From<Event> for AnyKinesisEvent {
    fn from(event: Event) -> Self {
        let mut made = KinesisEvent::default();
        made.records = event.records.into_iter().map(Into::into).collect();
        Self(made)
    }
}

impl From<Record> for KinesisEventRecord {
    fn from(record: Record) -> Self {
        let mut made = Self::default();
        made.aws_region = record.aws_region;
        made.event_id = record.event_id;
        made.event_name = record.event_name;
        made.event_source = record.event_source;
        made.event_source_arn = record.event_source_arn;
        made.event_version = record.event_version;
        made.invoke_identity_arn = record.invoke_identity_arn;
        let kinesis = &mut made.kinesis;
        kinesis.approximate_arrival_timestamp = record.kinesis.approximate_arrival_timestamp;
        kinesis.data = record.kinesis.data;
        kinesis.encryption_type = record.kinesis.encryption_type.unwrap_or_default();
        kinesis.partition_key = record.kinesis.partition_key.unwrap_or_default();
        kinesis.sequence_number = record.kinesis.sequence_number.unwrap_or_default();
        kinesis.kinesis_schema_version = record.kinesis.kinesis_schema_version;
        made
    }
}
