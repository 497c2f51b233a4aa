//! Events from values, for tests of functions.

use kpl_core::{AggregateError, Aggregator, KplRecord};
use kpl_event::{Arrival, Record};
use serde_json::{Value, json};

use super::Event;

const ARN: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/test";

/// Builds an event of an event source mapping from values, to test a function with.
///
/// ```
/// use kpl_lambda::{BatchResponse, Error, EventBuilder, Handler, Received};
/// # #[derive(serde::Serialize, serde::Deserialize, kpl::KplRecord)] #[kpl(codec = kpl::codec::Json)]
/// # struct Click { #[kpl(partition_key)] user: String, url: String }
/// # fn click(user: &str, url: &str) -> Click { Click { user: user.into(), url: url.into() } }
///
/// async fn store(click: Received<Click>) -> Result<(), Error> {
///     if click.value.url.is_empty() { Err("a click on nothing".into()) } else { Ok(()) }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let event = EventBuilder::new()
///     .shard("shardId-000000000000", |shard| {
///         shard.aggregate([click("anna", "/basket"), click("bob", "/help")])?;
///         shard.record(&click("anna", ""))
///     })?
///     .build();
/// let answer = Handler::per_record(store).handle(&event).await?;
/// assert_eq!(answer.identifiers().collect::<Vec<_>>(), ["2"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct EventBuilder {
    records: Vec<Record>,
}

/// The records of a shard, for an [`EventBuilder`]. Their sequence numbers are 1, 2, 3 ..., throughout the event.
#[derive(Debug)]
pub struct ShardRecordsBuilder<'b> {
    shard_id: &'b str,
    records: &'b mut Vec<Record>,
}

impl EventBuilder {
    /// Returns a builder of an event without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds records of a shard. An event of Lambda has records of one shard only.
    ///
    /// # Errors
    ///
    /// Returns the error of the function.
    pub fn shard<E>(
        mut self,
        shard_id: &str,
        add: impl FnOnce(&mut ShardRecordsBuilder<'_>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let records = &mut self.records;
        add(&mut ShardRecordsBuilder { shard_id, records })?;
        Ok(self)
    }

    /// Returns the event.
    #[must_use]
    pub fn build(self) -> Event {
        self.records.into_iter().collect()
    }

    /// Returns the event as Lambda sends it: for a file that `cargo lambda invoke --data-file` sends.
    #[must_use]
    pub fn to_json(&self) -> String {
        let records: Value = self.records.iter().map(Record::to_lambda_json).collect();
        json!({ "Records": records }).to_string()
    }
}

impl ShardRecordsBuilder<'_> {
    /// Adds a value as a Kinesis record of its own.
    ///
    /// # Errors
    ///
    /// Returns the error of the aggregator if the value is not a valid record.
    pub fn record<T: KplRecord>(&mut self, value: &T) -> Result<(), AggregateError> {
        let mut aggregator = Aggregator::<T>::new();
        let full = aggregator.push(value)?;
        for sealed in full.into_iter().chain(aggregator.finish()) {
            self.kinesis_record(sealed.partition_key.as_str(), sealed.data);
        }
        Ok(())
    }

    /// Adds values as aggregated records: one, unless they are larger than one may be.
    ///
    /// # Errors
    ///
    /// Returns the error of the aggregator if a value is not a valid record.
    pub fn aggregate<T: KplRecord>(&mut self, values: impl IntoIterator<Item = T>) -> Result<(), AggregateError> {
        let mut aggregator = Aggregator::<T>::new();
        for value in values {
            if let Some(sealed) = aggregator.push(&value)? {
                self.kinesis_record(sealed.partition_key.as_str(), sealed.data);
            }
        }
        if let Some(sealed) = aggregator.finish() {
            self.kinesis_record(sealed.partition_key.as_str(), sealed.data);
        }
        Ok(())
    }

    /// Adds a Kinesis record with these bytes: one that is damaged, for example.
    pub fn kinesis_record(&mut self, partition_key: &str, data: impl Into<Vec<u8>>) {
        let number = (self.records.len() + 1).to_string();
        let mut record = Record::new(Ok(data.into()));
        record.partition_key = Some(partition_key.into());
        record.arrival = Some(Arrival::Seconds(1_700_000_000.0));
        record.event_id = Some(format!("{}:{number}", self.shard_id));
        record.event_source_arn = Some(ARN.into());
        record.sequence_number = Some(number);
        self.records.push(record);
    }
}
