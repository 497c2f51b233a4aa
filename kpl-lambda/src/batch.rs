//! The Kinesis records of an event, and the user records in them.

use kpl_core::{Deaggregator, FromKplRecord, KinesisRecord, Origin, SequenceNumber, Undecodable};
use kpl_event::{Arrival, Record};

use crate::event::Event;
use crate::records::UserRecords;

/// The Kinesis records of an event, ready to be read. It borrows the event, and copies no data.
///
/// For functions that keep their own handler:
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_lambda::{Batch, Event};
///
/// fn keys(event: &Event) -> Vec<String> {
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
    event: &'e Event,
    records: Vec<KinesisRecord<'e>>,
}

impl<'e> From<&'e Event> for Batch<'e> {
    fn from(event: &'e Event) -> Self {
        let records = event.records().iter().map(|record| {
            let mut made = KinesisRecord::new(record.data.as_deref().unwrap_or_default());
            made.partition_key = some(record.partition_key.as_deref());
            made.sequence_number = sequence_number(record);
            made.approximate_arrival = record.arrival.as_ref().and_then(Arrival::timestamp);
            made.encryption_type = record.encryption_type;
            made
        });
        Self {
            event,
            records: records.collect(),
        }
    }
}

impl<'e> Batch<'e> {
    /// Returns the user records, in order, as values. All digests of the event are checked together.
    pub fn user_records<T: FromKplRecord<'e>>(&self) -> UserRecords<'_, 'e, T> {
        self.user_records_by(&Deaggregator::new())
    }

    /// Returns the user records, read by a deaggregator with other options.
    pub fn user_records_by<T: FromKplRecord<'e>>(&self, deaggregator: &Deaggregator<T>) -> UserRecords<'_, 'e, T> {
        let records = deaggregator.records(&self.records);
        let complete = |origin, index| self.complete(origin, index);
        UserRecords::new(records.into_received(Box::new(complete)), self.unreadable())
    }

    /// Returns what is in the place of a record and cannot be read as one.
    fn unreadable(&self) -> Vec<Undecodable> {
        let records = self.event.records().iter().enumerate();
        let unreadable = records.filter_map(|(index, record)| {
            let no_data = record.data.as_ref().err()?;
            let origin = self.origin(index)?;
            let input = no_data.clone().into_input().unwrap_or_default();
            Some(Undecodable::unreadable(
                origin,
                index,
                input.into_bytes(),
                no_data.to_string(),
            ))
        });
        unreadable.collect()
    }

    /// Returns the Kinesis records. One that cannot be read is empty.
    #[must_use]
    pub fn kinesis_records(&self) -> &[KinesisRecord<'e>] {
        &self.records
    }

    /// Returns where the Kinesis record at `index` comes from, or `None` if the event has fewer records. The stream is the
    /// event source ARN: the ARN of the stream or of its consumer.
    #[must_use]
    pub fn origin(&self, index: usize) -> Option<Origin> {
        let record = self.records.get(index)?;
        Some(self.complete(Origin::of(record), index))
    }

    fn complete(&self, mut origin: Origin, index: usize) -> Origin {
        let (stream, shard_id) = self.shard(index);
        origin.stream = stream.map(Into::into);
        origin.shard_id = shard_id.map(Into::into);
        let record = self.event.records().get(index);
        origin.sub_sequence_number = record.and_then(|record| record.sub_sequence_number).unwrap_or_default();
        origin
    }

    /// Returns the stream and the shard of the Kinesis record at `index`.
    pub(crate) fn shard(&self, index: usize) -> (Option<&'e str>, Option<&'e str>) {
        let Some(record) = self.event.records().get(index) else {
            return (None, None);
        };
        let stream = some(record.event_source_arn.as_deref()).or(self.event.stream_arn());
        let of_id = record.event_id.as_deref().and_then(|id| Some(id.split_once(':')?.0));
        let shard_id = some(record.shard_id.as_deref()).or(of_id).or(self.event.shard_id());
        (stream, shard_id)
    }

    /// Returns the event id of the Kinesis record at `index`, `SHARD:SEQUENCE`; for events of Firehose and Kinesis Data
    /// Analytics, its record id.
    #[must_use]
    pub fn event_id(&self, index: usize) -> Option<&'e str> {
        let record = self.event.records().get(index)?;
        record.event_id.as_deref().or(record.record_id.as_deref())
    }
}

/// Returns the sequence number of a record, which its event id ends with.
fn sequence_number(record: &Record) -> Option<&str> {
    some(record.sequence_number.as_deref()).or_else(|| {
        let (_, number) = record.event_id.as_deref()?.split_once(':')?;
        SequenceNumber::new(number).is_ok().then_some(number)
    })
}

/// Events have empty strings in place of missing values.
fn some(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}
