//! The Kinesis records of an event, and the user records in them.

use std::time::Duration;

use aws_lambda_events::event::firehose::KinesisFirehoseEvent;
use aws_lambda_events::event::kinesis::{KinesisEncryptionType, KinesisEvent, KinesisTimeWindowEvent};
use kpl_core::{Deaggregator, EncryptionType, FromKplRecord, KinesisRecord, Origin, ReceivedRecords, Timestamp};

use crate::event::AnalyticsEvent;

/// The Kinesis records of an event, ready to be read. It borrows the event, and copies no data.
///
/// For functions that keep their own handler:
///
/// ```
/// use aws_lambda_events::event::kinesis::KinesisEvent;
/// use kpl_core::RawRecord;
/// use kpl_lambda::Batch;
///
/// fn keys(event: &KinesisEvent) -> Vec<String> {
///     let batch = Batch::from(event);
///     let records = batch.user_records::<RawRecord>();
///     // An error is one user record; its neighbours follow.
///     records.flatten().filter_map(|record| record.value.partition_key).collect()
/// }
/// # let event = serde_json::json!({ "Records": [{
/// #     "eventID": "shardId-000000000000:7", "eventSourceARN": "arn:aws:kinesis:eu-central-1:1:stream/clicks",
/// #     "kinesis": { "approximateArrivalTimestamp": 1.5, "data": "aGk=", "partitionKey": "abc", "sequenceNumber": "7" },
/// # }] });
/// # assert_eq!(keys(&serde_json::from_value(event)?), ["abc"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
pub struct Batch<'e> {
    records: Vec<KinesisRecord<'e>>,
    sources: Vec<Source<'e>>,
}

/// What an event says about a Kinesis record in addition to what [`KinesisRecord`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Source<'e> {
    pub(crate) event_id: Option<&'e str>,
    pub(crate) event_source_arn: Option<&'e str>,
    pub(crate) shard_id: Option<&'e str>,
    /// If the record was taken out of an aggregate before the event was built, as Firehose does: its index in that.
    pub(crate) sub_sequence_number: u64,
}

impl<'e> Batch<'e> {
    /// Returns the user records, in order, as values. All digests of the event are checked together.
    pub fn user_records<T: FromKplRecord<'e>>(
        &self,
    ) -> ReceivedRecords<'_, 'e, T, impl FnMut(Origin, usize) -> Origin> {
        self.user_records_by(&Deaggregator::new())
    }

    /// Returns the user records, read by a deaggregator with other options.
    pub fn user_records_by<T: FromKplRecord<'e>>(
        &self,
        deaggregator: &Deaggregator<T>,
    ) -> ReceivedRecords<'_, 'e, T, impl FnMut(Origin, usize) -> Origin + use<'_, 'e, T>> {
        let records = deaggregator.records(&self.records);
        records.into_received(|origin, index| self.complete(origin, index))
    }

    /// Returns the Kinesis records.
    #[must_use]
    pub fn kinesis_records(&self) -> &[KinesisRecord<'e>] {
        &self.records
    }

    pub(crate) fn sources(&self) -> &[Source<'e>] {
        &self.sources
    }

    /// Returns where the Kinesis record at `index` comes from, or `None` if the event has fewer records. The stream is the
    /// event source ARN: the ARN of the stream or of its consumer.
    #[must_use]
    pub fn origin(&self, index: usize) -> Option<Origin> {
        let record = self.records.get(index)?;
        Some(self.complete(Origin::of(record), index))
    }

    fn complete(&self, mut origin: Origin, index: usize) -> Origin {
        if let Some(source) = self.sources.get(index) {
            origin.stream = source.event_source_arn.map(Into::into);
            origin.shard_id = source.shard_id.map(Into::into);
            origin.sub_sequence_number = source.sub_sequence_number;
        }
        origin
    }

    /// Returns the event id of the Kinesis record at `index`, `SHARD:SEQUENCE`; for events of Firehose and Kinesis Data
    /// Analytics, its record id.
    #[must_use]
    pub fn event_id(&self, index: usize) -> Option<&'e str> {
        self.sources.get(index)?.event_id
    }
}

impl<'e> FromIterator<(Source<'e>, KinesisRecord<'e>)> for Batch<'e> {
    fn from_iter<I: IntoIterator<Item = (Source<'e>, KinesisRecord<'e>)>>(iter: I) -> Self {
        let (sources, records) = iter.into_iter().unzip();
        Self { records, sources }
    }
}

impl<'e> From<&'e KinesisEvent> for Batch<'e> {
    fn from(event: &'e KinesisEvent) -> Self {
        let records = event.records.iter().map(|record| {
            let event_id = record.event_id.as_deref();
            let source = Source {
                event_id,
                event_source_arn: record.event_source_arn.as_deref(),
                shard_id: event_id.and_then(|id| Some(id.split_once(':')?.0)),
                sub_sequence_number: 0,
            };
            let kinesis = &record.kinesis;
            let mut made = KinesisRecord::new(&kinesis.data);
            made.partition_key = some(&kinesis.partition_key);
            made.sequence_number = some(&kinesis.sequence_number);
            let time = &kinesis.approximate_arrival_timestamp;
            made.approximate_arrival = timestamp(time.timestamp(), time.timestamp_subsec_nanos());
            made.encryption_type = match kinesis.encryption_type {
                KinesisEncryptionType::None => Some(EncryptionType::None),
                KinesisEncryptionType::Kms => Some(EncryptionType::Kms),
                // Values that a later version of the service may send.
                _ => None,
            };
            (source, made)
        });
        records.collect()
    }
}

impl<'e> From<&'e KinesisTimeWindowEvent> for Batch<'e> {
    fn from(event: &'e KinesisTimeWindowEvent) -> Self {
        Self::from(&event.kinesis_event)
    }
}

impl<'e> From<&'e KinesisFirehoseEvent> for Batch<'e> {
    fn from(event: &'e KinesisFirehoseEvent) -> Self {
        let records = event.records.iter().map(|record| {
            let mut made = KinesisRecord::new(&record.data);
            let mut source = Source {
                event_id: record.record_id.as_deref(),
                event_source_arn: event.source_kinesis_stream_arn.as_deref(),
                ..Source::default()
            };
            let mut time = &record.approximate_arrival_timestamp;
            if let Some(metadata) = &record.kinesis_firehose_record_metadata {
                source.shard_id = metadata.shard_id.as_deref();
                source.sub_sequence_number = u64::try_from(metadata.subsequence_number).unwrap_or_default();
                made.partition_key = metadata.partition_key.as_deref().and_then(some);
                made.sequence_number = metadata.sequence_number.as_deref().and_then(some);
                time = &metadata.approximate_arrival_timestamp;
            }
            made.approximate_arrival = timestamp(time.timestamp(), time.timestamp_subsec_nanos());
            (source, made)
        });
        records.collect()
    }
}

impl<'e> From<&'e AnalyticsEvent> for Batch<'e> {
    fn from(event: &'e AnalyticsEvent) -> Self {
        let records = event.records.iter().map(|record| {
            let mut made = KinesisRecord::new(&record.data);
            let mut source = Source {
                event_id: Some(&record.record_id),
                event_source_arn: event.stream_arn.as_deref(),
                ..Source::default()
            };
            if let Some(metadata) = &record.kinesis_stream_record_metadata {
                source.shard_id = metadata.shard_id.as_deref();
                made.partition_key = metadata.partition_key.as_deref().and_then(some);
                made.sequence_number = metadata.sequence_number.as_deref().and_then(some);
                let arrival = metadata.approximate_arrival_timestamp.map(Duration::from_millis);
                made.approximate_arrival = arrival.map(Timestamp::from_unix_epoch);
            }
            (source, made)
        });
        records.collect()
    }
}

/// Events have empty strings in place of missing values.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn timestamp(seconds: i64, nanos: u32) -> Option<Timestamp> {
    let seconds = u64::try_from(seconds).ok()?;
    Some(Timestamp::from_unix_epoch(
        Duration::from_secs(seconds) + Duration::from_nanos(nanos.into()),
    ))
}
