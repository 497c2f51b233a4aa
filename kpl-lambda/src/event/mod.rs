//! Events as they come, and the answers to them.

mod builder;
mod response;
mod window;

use kpl_event::{Outline, Record, Sink, Stopped};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use self::builder::{EventBuilder, ShardRecordsBuilder};
pub use self::response::{BatchItemFailure, BatchResponse};
pub use self::window::{Window, WindowResponse};

/// An event with Kinesis records, whatever sent it.
///
/// It is read with serde from each of these: an event of an event source mapping, with or without a tumbling window; the
/// array of EventBridge Pipes; a transformation event of Firehose or of Kinesis Data Analytics; and, in messages of SQS, in
/// notifications of SNS or as it is, an invocation record that was sent to an on-failure destination.
///
/// Odd values never cost more than they must: a field that is missing, `null` or of another type is missing, a time may be
/// in seconds, milliseconds or ISO 8601, and a record that cannot be read at all is an
/// [`Undecodable`](kpl_core::Undecodable) in its place.
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_lambda::{Batch, Event, EventKind};
///
/// let event: Event = serde_json::from_str(r#"{ "Records": [
///     { "kinesis": { "approximateArrivalTimestamp": "then", "data": "aGk=", "partitionKey": null, "sequenceNumber": "7" } },
///     { "kinesis": { "data": ["hi"], "sequenceNumber": "8" } }
/// ] }"#)?;
/// assert_eq!(event.kind(), EventKind::Stream);
/// let batch = Batch::from(&event);
/// let mut records = batch.user_records::<RawRecord>();
/// assert_eq!(records.next().unwrap()?.value.data, b"hi");
/// let unreadable = records.next().unwrap().unwrap_err();
/// assert_eq!(unreadable.sequence_number(), Some("8"));
/// assert_eq!(unreadable.data(), br#"["hi"]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    records: Vec<Record>,
    outline: Outline,
}

/// What sent an event, and what the answer to it is therefore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// An event source mapping of Kinesis. The answer has
    /// [sequence numbers](https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html).
    Stream,
    /// EventBridge Pipes. The answer has
    /// [event ids](https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html).
    Pipe,
    /// An event source mapping of SQS. The answer has
    /// [message ids](https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
    Queue,
    /// A notification of SNS, an invocation record as it is, or anything else that is neither an array nor has a key for
    /// records. Nothing reads an answer: what fails fails the invocation.
    Copy,
    /// Firehose or Kinesis Data Analytics, which [`transform`](crate::transform) answers.
    Transformation,
}

impl Event {
    /// Returns the records, and what is in the place of one.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Returns what sent the event.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        let any = |is: fn(&Record) -> bool| self.records.iter().any(is);
        let Outline {
            is_array,
            has_records,
            is_wrapped,
            ..
        } = self.outline;
        if is_wrapped || !(is_array || has_records) {
            EventKind::Copy
        } else if any(|record| record.message_id.is_some()) {
            EventKind::Queue
        } else if any(|record| record.record_id.is_some()) {
            EventKind::Transformation
        } else if is_array {
            EventKind::Pipe
        } else {
            EventKind::Stream
        }
    }

    /// Returns the tumbling window that the event is of, if it is of one.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        Window::read(&self.outline.window)
    }

    pub(crate) fn stream_arn(&self) -> Option<&str> {
        self.outline.stream_arn.as_deref()
    }

    pub(crate) fn shard_id(&self) -> Option<&str> {
        self.outline.shard_id.as_deref()
    }
}

/// An event of an event source mapping, without records.
impl Default for Event {
    fn default() -> Self {
        Self::from_iter([])
    }
}

/// An event of an event source mapping.
impl FromIterator<Record> for Event {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut outline = Outline::default();
        outline.has_records = true;
        Self {
            records: records.into_iter().collect(),
            outline,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Records(Vec<Record>);

        impl Sink for Records {
            fn record(&mut self, _: u64, record: Record) -> Result<(), Stopped> {
                self.0.push(record);
                Ok(())
            }

            fn keeps_values(&self) -> bool {
                true
            }
        }

        let mut records = Records(Vec::new());
        let outline = kpl_event::read(&mut records, deserializer)?;
        Ok(Self {
            records: records.0,
            outline,
        })
    }
}

/// An event that is not read yet. The runtime's own deserializer wraps each value to know its path: events are read
/// without it, which makes a function smaller and faster.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Payload(Box<RawValue>);

impl Payload {
    pub(crate) fn read(self) -> Result<Event, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}
