//! A stream of the service in memory: what is in it, and what fails.

use std::time::Duration;

use fastrand::Rng;
use kpl_core::{
    AggregateError, Aggregator, Deaggregator, FromKplRecord, HashKey, KinesisRecord, KplRecord, Received, SealedRecord,
    ShardMap, Undecodable,
};

use super::model::{self, Faults, Limit, Service};
use crate::client::{EntryError, FetchedRecord, RequestError, StreamIdentity};

/// A stream of [`Kinesis`](super::Kinesis): what was written to it, its shards, and what its next requests do.
/// Clones are the same stream.
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_stream::client::RequestError;
/// use kpl_stream::testing::Kinesis;
/// use kpl_stream::{FailureReason, Producer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kinesis = Kinesis::new();
/// let stream = kinesis.create_stream("clicks", 1);
/// let producer = Producer::builder().client(kinesis).build()?;
/// let clicks = producer.stream("clicks").await?;
///
/// // A request whose answer is lost: the record is in the stream twice, and the receipt says that it may be.
/// stream.lose_answers(1);
/// let receipt = clicks.send(RawRecord::new("anna", "/basket")).await?.await?;
/// assert!(receipt.may_be_duplicated());
/// assert_eq!(stream.values::<RawRecord>()?.len(), 2);
///
/// // An error that no retry can mend.
/// stream.fail_puts([RequestError::refused("AccessDeniedException", "not authorized")]);
/// let error = clicks.send(RawRecord::new("anna", "/help")).await?.await.unwrap_err();
/// assert!(matches!(error.failure.reason, FailureReason::Refused(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    pub(super) service: Service,
}

impl Stream {
    pub(super) fn new(name: &str, shards: usize) -> Self {
        assert!(shards > 0, "a stream has shards");
        let mut stream = model::Stream::with_shards(shards as u128);
        stream.described = true;
        let arn = format!("arn:aws:kinesis:us-east-1:123456789012:stream/{name}");
        stream.identity = Some(StreamIdentity::new(arn));
        for shard in &mut stream.shards {
            shard.names_children = true;
        }
        Self {
            service: Service::new(stream),
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn model(&self) -> &Service {
        &self.service
    }

    /// Returns the values of all user records, deaggregated: shard by shard, and in each in the order in which they were
    /// written. A record that was written twice is there twice.
    ///
    /// # Errors
    ///
    /// [`Undecodable`] for the first record that is not a valid value.
    pub fn values<T>(&self) -> Result<Vec<T>, Undecodable>
    where
        T: for<'a> FromKplRecord<'a>,
    {
        Ok(self.received()?.into_iter().map(|record| record.value).collect())
    }

    /// Returns what [`values`](Self::values) returns, with everything that a reader knows about each record: keys, tags,
    /// position, shard.
    ///
    /// ```
    /// use kpl_core::RawRecord;
    /// use kpl_stream::testing::Kinesis;
    ///
    /// let stream = Kinesis::new().create_stream("clicks", 1);
    /// stream.write(&[RawRecord::new("anna", "/basket"), RawRecord::new("bob", "/help")])?;
    /// let received = stream.received::<RawRecord>()?;
    /// assert_eq!(received[1].partition_key(), Some("bob"));
    /// assert_eq!(received[1].position(), Some("1000:1".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Undecodable`] for the first record that is not a valid value.
    pub fn received<T>(&self) -> Result<Vec<Received<T>>, Undecodable>
    where
        T: for<'a> FromKplRecord<'a>,
    {
        let mut received = Vec::new();
        for shard in self.service.state(|state| state.stream.shards.clone()) {
            let batch: Vec<_> = shard.records.iter().map(as_kinesis_record).collect();
            let records = Deaggregator::<T>::new().records(&batch);
            for record in records.into_received(|origin, _| origin.with_shard_id(shard.id.as_str())) {
                received.push(record?);
            }
        }
        Ok(received)
    }

    /// Returns the Kinesis records, aggregated as they were written, in the same order.
    #[must_use]
    pub fn kinesis_records(&self) -> Vec<FetchedRecord> {
        let shards = self.service.state(|state| state.stream.shards.clone());
        shards.into_iter().flat_map(|shard| shard.records).collect()
    }

    /// Returns how many PutRecords requests were made, with those that failed.
    #[must_use]
    pub fn put_requests(&self) -> usize {
        self.service.state(|state| state.put_requests)
    }

    /// Writes values for a reader, as a producer does: aggregated, each to its shard.
    ///
    /// # Errors
    ///
    /// [`AggregateError`] if a value cannot be written. Nothing is written then.
    pub fn write<T: KplRecord>(&self, values: &[T]) -> Result<(), AggregateError> {
        self.service.state(|state| {
            let open = state.stream.open();
            let shards = open.iter().filter_map(|index| state.stream.shards.get(*index));
            let shards: Vec<_> = shards
                .map(|shard| kpl_core::Shard::new(shard.id.as_str(), shard.range))
                .collect();
            let mut sealed = Vec::new();
            match ShardMap::new(shards).map(|shards| Aggregator::builder().build_sharded(shards)) {
                Ok(Ok(mut aggregator)) => {
                    for value in values {
                        sealed.extend(aggregator.push(value)?);
                    }
                    sealed.extend(aggregator.finish());
                }
                other => unreachable!("the open shards own all hash keys: {other:?}"),
            }
            sealed.iter().for_each(|record| put(&mut state.stream, record));
            Ok(())
        })
    }

    /// Writes one Kinesis record with any bytes, such as a damaged aggregate, for a reader. Nothing checks the key.
    pub fn write_bytes(&self, partition_key: &str, data: impl Into<Vec<u8>>) {
        let key = HashKey::of_partition_key(partition_key);
        self.service.state(|state| {
            let shard = state.stream.shard_for(key, &mut Rng::with_seed(0));
            shard.write(Some(partition_key.to_owned()), data.into());
        });
    }

    /// Returns the ids of the open shards, ordered by their hash keys.
    #[must_use]
    pub fn open_shards(&self) -> Vec<String> {
        self.service.state(|state| {
            let open = state.stream.open().into_iter();
            open.filter_map(|index| state.stream.shards.get(index).map(|shard| shard.id.clone()))
                .collect()
        })
    }

    /// Splits an open shard in the middle of its hash keys, as SplitShard does, and returns the ids of the two new
    /// shards.
    ///
    /// # Panics
    ///
    /// If there is no open shard with this id.
    pub fn split_shard(&self, id: &str) -> [String; 2] {
        self.service.state(|state| {
            let index = open_index(&state.stream, id);
            let shards = &state.stream.shards;
            let range = shards
                .get(index)
                .map_or(kpl_core::HashKeyRange::FULL, |shard| shard.range);
            let (start, end) = (range.start().value(), range.end().value());
            state.stream.split(index, start + (end - start) / 2 + 1);
            let count = state.stream.shards.len();
            [count - 2, count - 1].map(shard_id)
        })
    }

    /// Merges two open shards whose hash keys are neighbours, as MergeShards does, and returns the id of the new shard.
    ///
    /// # Panics
    ///
    /// If there are no such open shards, or they are not neighbours.
    #[allow(clippy::panic, reason = "only tests use it")]
    pub fn merge_shards(&self, id: &str, adjacent_id: &str) -> String {
        self.service.state(|state| {
            let open = state.stream.open();
            let place = |id| {
                let index = open_index(&state.stream, id);
                open.iter().position(|open| *open == index)
            };
            match (place(id), place(adjacent_id)) {
                (Some(one), Some(other)) if one.abs_diff(other) == 1 => {
                    let first = one.min(other);
                    if let [one, other, ..] = open.get(first..).unwrap_or_default() {
                        state.stream.merge(*one, *other);
                    }
                }
                _ => panic!("{id} and {adjacent_id} are not neighbours"),
            }
            shard_id(state.stream.shards.len() - 1)
        })
    }

    /// Refuses the next `records` Kinesis records with `ProvisionedThroughputExceededException`, whatever requests they are
    /// in. Replaces the number of an earlier call.
    pub fn throttle(&self, records: usize) {
        self.service.state(|state| state.stream.refused = records);
    }

    /// Sets whether each shard is limited to 1,000 records and 1 MiB a second, as the service limits it
    /// ([limits](https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html)).
    pub fn limit_shards(&self, limited: bool) {
        self.service
            .state(|state| state.stream.limit = limited.then_some(Limit::TokenBucket));
    }

    /// Refuses every record for a shard with this error, until it is called with `None`.
    ///
    /// # Panics
    ///
    /// If there is no open shard with this id.
    pub fn fail_shard(&self, id: &str, error: impl Into<Option<EntryError>>) {
        let error = error.into();
        self.service.state(|state| {
            let index = open_index(&state.stream, id);
            if let Some(shard) = state.stream.shards.get_mut(index) {
                shard.error = error;
            }
        });
    }

    /// Fails the next PutRecords requests as a whole, one for each error. Nothing of them is written. Adds to the
    /// errors of earlier calls.
    pub fn fail_puts(&self, errors: impl IntoIterator<Item = RequestError>) {
        self.service.state(|state| state.failing_puts.extend(errors));
    }

    /// Carries out the next `requests` PutRecords requests, but loses their answers: the producer cannot know whether the
    /// records were written. Replaces the number of an earlier call.
    pub fn lose_answers(&self, requests: usize) {
        self.service.state(|state| state.cut_answers = requests);
    }

    /// Sets whether producers' requests that list the shards or describe the stream fail. While the shards cannot be listed,
    /// nothing is aggregated.
    pub fn fail_listings(&self, failing: bool) {
        let unlisted = if failing { 1.0 } else { 0.0 };
        self.service.state(|state| {
            state.faults = Faults {
                unlisted,
                ..state.faults
            };
        });
    }

    /// Fails the next requests of readers, one for each error: ListShards, GetShardIterator, GetRecords and those of enhanced
    /// fan-out. Identifying the stream does not fail. Adds to the errors of earlier calls.
    pub fn fail_reads(&self, errors: impl IntoIterator<Item = RequestError>) {
        self.service.fail(errors.into_iter().map(Some));
    }

    /// Sets how long a PutRecords request takes. By default no time.
    ///
    /// The records are written when the request begins, so a request that takes longer than the producer's
    /// `request_timeout` is one whose answer is lost.
    pub fn set_put_latency(&self, latency: Duration) {
        self.service.state(|state| state.latency = latency);
    }

    /// Sets how long a GetRecords request takes. By default no time.
    pub fn set_read_latency(&self, latency: Duration) {
        self.service.state(|state| state.read_latency = latency);
    }
}

fn put(stream: &mut model::Stream, record: &SealedRecord) {
    let shard = stream.shard_for(record.explicit_hash_key, &mut Rng::with_seed(0));
    shard.write(Some(record.partition_key.as_str().to_owned()), record.data.clone());
}

fn as_kinesis_record(record: &FetchedRecord) -> KinesisRecord<'_> {
    let mut kinesis_record = KinesisRecord::new(&record.data).with_sequence_number(&record.sequence_number);
    kinesis_record.partition_key = record.partition_key.as_deref();
    kinesis_record
}

fn shard_id(index: usize) -> String {
    format!("shardId-{index:012}")
}

/// Returns the index of the open shard with this id.
#[allow(clippy::panic, reason = "only tests use it")]
fn open_index(stream: &model::Stream, id: &str) -> usize {
    let open = stream.open().into_iter();
    let mut found = open.filter(|index| stream.shards.get(*index).is_some_and(|shard| shard.id == id));
    found.next().unwrap_or_else(|| panic!("there is no open shard {id}"))
}
