//! The Kinesis records of an event, and the user records in them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::firehose::KinesisFirehoseEvent;
use aws_lambda_events::event::kinesis::{KinesisEncryptionType, KinesisEvent, KinesisTimeWindowEvent};
use kpl_core::{Deaggregator, EncryptionType, FromKplRecord, KinesisRecord, Records};

use crate::place::{Origin, Place, Source};
use crate::received::{Received, Undecodable};
use crate::transform::AnalyticsEvent;

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
///     let records = batch.user_records::<RawRecord<'_>>();
///     // An error is one user record; its neighbours follow.
///     records.flatten().map(|record| record.value.partition_key.into_owned()).collect()
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

impl<'e> Batch<'e> {
    /// The user records, in order, as values. All digests of the event are checked together.
    pub fn user_records<T: FromKplRecord<'e>>(&self) -> UserRecords<'_, 'e, T> {
        self.user_records_by(&Deaggregator::new())
    }

    /// The user records that a deaggregator with options gives.
    pub fn user_records_by<T: FromKplRecord<'e>>(&self, deaggregator: &Deaggregator<T>) -> UserRecords<'_, 'e, T> {
        UserRecords {
            batch: self,
            records: deaggregator.records(&self.records),
            index: 0,
            origin: None,
        }
    }

    /// The Kinesis records.
    #[must_use]
    pub fn kinesis_records(&self) -> &[KinesisRecord<'e>] {
        &self.records
    }

    pub(crate) fn sources(&self) -> &[Source<'e>] {
        &self.sources
    }

    /// All that the event tells of one of the Kinesis records.
    #[must_use]
    pub fn origin(&self, index: usize) -> Option<Origin> {
        Some(Origin::new(self.sources.get(index)?, self.records.get(index)?))
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
            made.approximate_arrival = since_epoch(time.timestamp(), time.timestamp_subsec_nanos());
            made.encryption_type = match kinesis.encryption_type {
                KinesisEncryptionType::None => Some(EncryptionType::None),
                KinesisEncryptionType::Kms => Some(EncryptionType::Kms),
                // What a later version of the service may have.
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
            made.approximate_arrival = since_epoch(time.timestamp(), time.timestamp_subsec_nanos());
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
                made.approximate_arrival = metadata.approximate_arrival_timestamp.map(Duration::from_millis);
            }
            (source, made)
        });
        records.collect()
    }
}

/// Events have empty texts for what is not there.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn since_epoch(seconds: i64, nanos: u32) -> Option<Duration> {
    Some(Duration::new(u64::try_from(seconds).ok()?, nanos))
}

/// The user records of an event: made by [`Batch::user_records`].
#[must_use = "iterators are lazy"]
pub struct UserRecords<'b, 'e, T> {
    batch: &'b Batch<'e>,
    records: Records<'b, 'e, T>,
    index: usize,
    /// That of the Kinesis record at `index`.
    origin: Option<Arc<Origin>>,
}

impl<T> UserRecords<'_, '_, T> {
    /// What was seen so far.
    #[must_use]
    pub const fn counts(&self) -> kpl_core::Counts {
        self.records.counts()
    }

    fn place(&mut self, index: usize, sub_sequence_number: u64) -> Place {
        if index != self.index {
            self.origin = None;
            self.index = index;
        }
        let batch = self.batch;
        let before = batch.sources.get(index).map_or(0, |source| source.sub_sequence_number);
        let origin = self
            .origin
            .get_or_insert_with(|| Arc::new(batch.origin(index).unwrap_or_default()));
        Place {
            origin: Arc::clone(origin),
            index,
            sub_sequence_number: before.saturating_add(sub_sequence_number),
        }
    }

    /// Which of the batch's Kinesis records this is. It is the one of last time, or one that follows.
    fn index_of(&self, record: &KinesisRecord<'_>) -> usize {
        let rest = self.batch.records.get(self.index..).unwrap_or_default();
        let further = rest.iter().position(|of_batch| std::ptr::eq(of_batch, record));
        self.index + further.unwrap_or_default()
    }
}

impl<'e, T: FromKplRecord<'e>> Iterator for UserRecords<'_, 'e, T> {
    type Item = Result<Received<T>, Undecodable>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.records.next()? {
            Ok(kpl_core::Received { value, record, .. }) => Ok(Received {
                value,
                place: self.place(self.index_of(record.kinesis_record), record.sub_sequence_number),
                partition_key: record.partition_key.map(Into::into),
                explicit_hash_key: record.explicit_hash_key,
                aggregated: record.aggregated,
            }),
            Err(error) => Err(Undecodable {
                place: self.place(error.kinesis_record_index(), error.sub_sequence_number()),
                error,
            }),
        })
    }
}

impl<T> fmt::Debug for UserRecords<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecords")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
