//! The requests that the producer and the reader make to the service, as traits, and the errors of the service.
//!
//! With the feature `aws`, [`AwsClient`](crate::aws::AwsClient) implements both traits. To send to another service, or
//! to test, implement [`WriteClient`] or [`ReadClient`] yourself.

mod identity;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use kpl_core::{
    ByteCount, EncryptionType, HashKeyRange, KinesisRecord, SealedRecord, SequenceNumber, Shard, Timestamp,
};

pub use self::identity::{InvalidStreamIdentity, StreamIdentity};

/// The requests that a producer makes to the service.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use futures_core::future::BoxFuture;
/// use kpl_core::{HashKeyRange, RawRecord, SealedRecord, Shard};
/// use kpl_stream::Producer;
/// use kpl_stream::client::{PutResult, RequestError, StreamDescription, WriteClient, Written};
///
/// /// A stream of one shard, in memory.
/// #[derive(Debug, Default)]
/// struct Memory {
///     records: Mutex<Vec<SealedRecord>>,
/// }
///
/// impl WriteClient for Memory {
///     fn put_records<'a>(
///         &'a self,
///         _stream: &'a str,
///         entries: Vec<SealedRecord>,
///     ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
///         let mut records = self.records.lock().unwrap();
///         let results = entries
///             .into_iter()
///             .map(|entry| {
///                 records.push(entry);
///                 Ok(Written::new("shardId-000000000000", records.len().to_string()))
///             })
///             .collect();
///         Box::pin(async { Ok(results) })
///     }
///
///     fn open_shards<'a>(&'a self, _stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
///         Box::pin(async { Ok(vec![Shard::new("shardId-000000000000", HashKeyRange::FULL)]) })
///     }
///
///     fn describe_stream<'a>(&'a self, _stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
///         Box::pin(async { Ok(StreamDescription::default()) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let memory = Arc::new(Memory::default());
/// let producer = Producer::builder().client(Arc::clone(&memory)).build()?;
/// let clicks = producer.stream("clicks").await?;
/// let receipt = clicks.send(RawRecord::new("anna", "some bytes")).await?.await?;
/// assert_eq!(receipt.sequence_number(), "1");
/// assert_eq!(memory.records.lock().unwrap().len(), 1);
/// # Ok(())
/// # }
/// ```
pub trait WriteClient: fmt::Debug + Send + Sync + 'static {
    /// Puts records into a stream with one PutRecords request. Returns one result for each entry, in the same order.
    ///
    /// Implementations must not retry: the producer retries, and records every attempt.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request failed as a whole. Its [`class`](RequestError::class) decides what the producer
    /// does next.
    fn put_records<'a>(
        &'a self,
        stream: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>>;

    /// Returns the open shards of a stream, from all pages of the list (ListShards with the filter `AT_LATEST`).
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the shards cannot be listed. The producer then sends records one by one.
    fn open_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>>;

    /// Returns the description of a stream (DescribeStreamSummary).
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the stream cannot be described. The producer then assumes that it distributes records by
    /// key.
    fn describe_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>>;
}

impl<C: WriteClient + ?Sized> WriteClient for Arc<C> {
    fn put_records<'a>(
        &'a self,
        stream: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        (**self).put_records(stream, entries)
    }

    fn open_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        (**self).open_shards(stream)
    }

    fn describe_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        (**self).describe_stream(stream)
    }
}

/// The result for one entry of a PutRecords request.
pub type PutResult = Result<Written, EntryError>;

/// Where the service wrote a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Written {
    /// The shard.
    pub shard_id: Arc<str>,
    /// The sequence number.
    pub sequence_number: Arc<str>,
}

impl Written {
    /// Creates the result for a record that was written, from its shard and its sequence number.
    pub fn new(shard_id: impl Into<Arc<str>>, sequence_number: impl Into<Arc<str>>) -> Self {
        Self {
            shard_id: shard_id.into(),
            sequence_number: sequence_number.into(),
        }
    }
}

/// Why the service did not write one entry of a request that it otherwise accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EntryError {
    /// The service's code, such as `ProvisionedThroughputExceededException`.
    pub code: Arc<str>,
    /// The service's message.
    pub message: Arc<str>,
}

impl EntryError {
    /// Creates an error from the service's code and message. Each is kept as one line of at most 300 characters.
    pub fn new(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self {
            code: one_line(code.into()),
            message: one_line(message.into()),
        }
    }
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_error(f, &self.code, &self.message)
    }
}

impl std::error::Error for EntryError {}

/// The description of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StreamDescription {
    /// How the stream distributes records over its shards, if the service says so.
    pub distribution: Option<Distribution>,
}

impl StreamDescription {
    /// Creates the description of a stream with this record distribution.
    #[must_use]
    pub const fn new(distribution: Option<Distribution>) -> Self {
        Self { distribution }
    }
}

/// A stream's record distribution strategy
/// ([UpdateStreamRecordDistributionStrategy](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateStreamRecordDistributionStrategy.html)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Distribution {
    /// A record's keys decide which shard it goes to.
    UserPartitionKey,
    /// The service decides which shard a record goes to, and ignores its keys.
    Auto,
}

/// The requests that a reader makes to the service.
///
/// ```
/// use std::time::Duration;
/// use futures_core::future::BoxFuture;
/// use kpl_core::HashKeyRange;
/// use kpl_stream::client::{Fetched, FetchedRecord, IteratorStart, ReadClient, RequestError, ShardDescription};
///
/// /// A stream of one closed shard with two records: an iterator is the index of the next one.
/// #[derive(Debug)]
/// struct Two;
///
/// impl ReadClient for Two {
///     fn list_shards<'a>(&'a self, _stream: &'a str) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>> {
///         let shard = ShardDescription::new("shardId-000000000000", HashKeyRange::FULL).with_closed(true);
///         Box::pin(async { Ok(vec![shard]) })
///     }
///
///     fn get_shard_iterator<'a>(
///         &'a self,
///         _stream: &'a str,
///         _shard_id: &'a str,
///         start: IteratorStart,
///     ) -> BoxFuture<'a, Result<String, RequestError>> {
///         let index = match start {
///             IteratorStart::AtSequenceNumber(number) => number,
///             IteratorStart::Latest => "2".into(),
///             _ => "0".into(),
///         };
///         Box::pin(async { Ok(index) })
///     }
///
///     fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>> {
///         Box::pin(async move {
///             let invalid = |_| RequestError::refused("InvalidArgumentException", "not an iterator");
///             let first: usize = iterator.parse().map_err(invalid)?;
///             let end = (first + limit).min(2);
///             let record = |index: usize| {
///                 FetchedRecord::new("some bytes", index.to_string()).with_partition_key("anna")
///             };
///             let next = (end < 2).then(|| end.to_string());
///             Ok(Fetched::new((first..end).map(record).collect(), next).with_behind_latest(Duration::ZERO))
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), RequestError> {
/// let iterator = Two.get_shard_iterator("clicks", "shardId-000000000000", IteratorStart::TrimHorizon).await?;
/// let fetched = Two.get_records(&iterator, 10_000).await?;
/// assert_eq!(fetched.records.len(), 2);
/// assert_eq!(fetched.next_iterator, None); // the end of the shard
/// # Ok(())
/// # }
/// ```
pub trait ReadClient: fmt::Debug + Send + Sync + 'static {
    /// Returns all shards of a stream that the service still knows, whether open, closed or expired, from all pages of
    /// the list (ListShards without a filter).
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request failed. The reader repeats the request unless the error's class is final
    /// ([`ErrorClass::is_final`]). The same holds for the other methods.
    fn list_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>>;

    /// Returns an iterator over a shard (GetShardIterator).
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request failed.
    fn get_shard_iterator<'a>(
        &'a self,
        stream: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<String, RequestError>>;

    /// Returns the next records of a shard (GetRecords), at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request failed, with the code `ExpiredIteratorException` if the iterator has expired.
    fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>>;

    /// Returns which stream has this name now (DescribeStreamSummary), or `None` if the service cannot tell. Then the
    /// reader does not notice that saved positions are those of another stream of the same name. The default
    /// implementation returns `None`.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request failed. If the request is not permitted, the reader continues as after `None`.
    fn identify_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Option<StreamIdentity>, RequestError>> {
        let _ = stream;
        Box::pin(async { Ok(None) })
    }

    /// Returns the consumer that is registered under this name with the stream that has this ARN
    /// (DescribeStreamConsumer), or `None` if there is none. Only readers that use
    /// [`fan_out`](crate::reader::ReaderBuilder::fan_out) call this method and the two below.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request failed. The default implementation always returns an error of the class
    /// [`ErrorClass::Permanent`].
    fn describe_consumer<'a>(
        &'a self,
        stream_arn: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Consumer>, RequestError>> {
        let _ = (stream_arn, name);
        Box::pin(async { Err(RequestError::no_fan_out()) })
    }

    /// Registers a consumer with the stream that has this ARN (RegisterStreamConsumer).
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request failed, with the code `ResourceInUseException` if a consumer of this name exists
    /// already. The default implementation always returns an error of the class [`ErrorClass::Permanent`].
    fn register_consumer<'a>(
        &'a self,
        stream_arn: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Consumer, RequestError>> {
        let _ = (stream_arn, name);
        Box::pin(async { Err(RequestError::no_fan_out()) })
    }

    /// Subscribes a consumer, given its ARN, to a shard (SubscribeToShard).
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request failed. The default implementation always returns an error of the class
    /// [`ErrorClass::Permanent`].
    fn subscribe_to_shard<'a>(
        &'a self,
        consumer_arn: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, RequestError>> {
        let _ = (consumer_arn, shard_id, start);
        Box::pin(async { Err(RequestError::no_fan_out()) })
    }
}

impl<C: ReadClient + ?Sized> ReadClient for Arc<C> {
    fn list_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>> {
        (**self).list_shards(stream)
    }

    fn get_shard_iterator<'a>(
        &'a self,
        stream: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<String, RequestError>> {
        (**self).get_shard_iterator(stream, shard_id, start)
    }

    fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>> {
        (**self).get_records(iterator, limit)
    }

    fn identify_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Option<StreamIdentity>, RequestError>> {
        (**self).identify_stream(stream)
    }

    fn describe_consumer<'a>(
        &'a self,
        stream_arn: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Consumer>, RequestError>> {
        (**self).describe_consumer(stream_arn, name)
    }

    fn register_consumer<'a>(
        &'a self,
        stream_arn: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Consumer, RequestError>> {
        (**self).register_consumer(stream_arn, name)
    }

    fn subscribe_to_shard<'a>(
        &'a self,
        consumer_arn: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, RequestError>> {
        (**self).subscribe_to_shard(consumer_arn, shard_id, start)
    }
}

/// A subscription to a shard. It ends when it is dropped.
///
/// ```
/// use futures_core::future::BoxFuture;
/// use kpl_stream::client::{FetchedRecord, RequestError, Subscription, SubscriptionEvent};
///
/// /// A subscription that brings one record, and ends.
/// #[derive(Debug)]
/// struct One(Option<FetchedRecord>);
///
/// impl Subscription for One {
///     fn next(&mut self) -> BoxFuture<'_, Result<Option<SubscriptionEvent>, RequestError>> {
///         let event = self.0.take().map(|record| {
///             let continuation = record.sequence_number.clone();
///             SubscriptionEvent::new(vec![record], Some(continuation))
///         });
///         Box::pin(async { Ok(event) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), RequestError> {
/// let mut one = One(Some(FetchedRecord::new("some bytes", "49")));
/// let event = one.next().await?.unwrap();
/// assert_eq!(event.continuation.as_deref(), Some("49"));
/// assert!(one.next().await?.is_none());
/// # Ok(())
/// # }
/// ```
pub trait Subscription: fmt::Debug + Send + Sync + 'static {
    /// Waits for the next event, however long that takes, and returns it, or `None` if the service has ended the
    /// subscription. An event that did not arrive whole is not returned.
    ///
    /// If the reader drops the future, it drops the subscription as well, so the state of the subscription does not
    /// matter then.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the subscription failed. The reader does not use it again.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SubscriptionEvent>, RequestError>>;
}

/// An event of a subscription to a shard
/// ([SubscribeToShardEvent](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShardEvent.html)).
///
/// Its `Debug` output shows how many records there are, never their data.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SubscriptionEvent {
    /// The records. There may be none.
    pub records: Vec<FetchedRecord>,
    /// The sequence number after which to subscribe again, or `None` if the shard is closed and this was its end.
    pub continuation: Option<String>,
    /// How far the last record is behind the shard's newest one, if the service says so.
    pub behind_latest: Option<Duration>,
    /// The shards that follow this one, if it ended and the service names them.
    pub child_shards: Vec<ShardDescription>,
}

impl SubscriptionEvent {
    /// Creates an event from its records and the sequence number to continue after, if the shard has not ended.
    #[must_use]
    pub const fn new(records: Vec<FetchedRecord>, continuation: Option<String>) -> Self {
        Self {
            records,
            continuation,
            behind_latest: None,
            child_shards: Vec::new(),
        }
    }

    /// Returns the same event, with how far its last record is behind the shard's newest one.
    #[must_use]
    pub const fn with_behind_latest(mut self, behind_latest: Duration) -> Self {
        self.behind_latest = Some(behind_latest);
        self
    }

    /// Returns the same event, with the shards that follow this one.
    #[must_use]
    pub fn with_child_shards(mut self, child_shards: Vec<ShardDescription>) -> Self {
        self.child_shards = child_shards;
        self
    }
}

impl fmt::Debug for SubscriptionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionEvent")
            .field("records", &format_args!("{} records", self.records.len()))
            .field("continuation", &self.continuation)
            .field("behind_latest", &self.behind_latest)
            .field("child_shards", &self.child_shards)
            .finish()
    }
}

/// A consumer that is registered with a stream, for enhanced fan-out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Consumer {
    /// The consumer's ARN.
    pub arn: String,
    /// Whether it can subscribe to shards. While it is being created or deleted, it cannot.
    pub active: bool,
}

impl Consumer {
    /// Creates a consumer from its ARN and whether it can subscribe to shards.
    pub fn new(arn: impl Into<String>, active: bool) -> Self {
        let arn = arn.into();
        Self { arn, active }
    }
}

/// A shard, open or closed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ShardDescription {
    /// The shard's id.
    pub id: String,
    /// The range of hash keys that it owns.
    pub range: HashKeyRange,
    /// The shards that it came from: one after a split, two after a merge. The service may have forgotten them.
    pub parents: Vec<String>,
    /// Whether it no longer accepts records.
    pub closed: bool,
    /// The lowest sequence number that it can have assigned, if the service says so.
    pub first_sequence_number: Option<SequenceNumber>,
}

impl ShardDescription {
    /// Creates the description of an open shard without parents.
    pub fn new(id: impl Into<String>, range: HashKeyRange) -> Self {
        Self {
            id: id.into(),
            range,
            parents: Vec::new(),
            closed: false,
            first_sequence_number: None,
        }
    }

    /// Returns the same shard with one more parent.
    #[must_use]
    pub fn with_parent(mut self, id: impl Into<String>) -> Self {
        self.parents.push(id.into());
        self
    }

    /// Returns the same shard, closed or not.
    #[must_use]
    pub fn with_closed(mut self, closed: bool) -> Self {
        self.closed = closed;
        self
    }

    /// Returns the same shard, with the lowest sequence number that it can have assigned.
    #[must_use]
    pub fn with_first_sequence_number(mut self, number: SequenceNumber) -> Self {
        self.first_sequence_number = Some(number);
        self
    }
}

/// Where an iterator or a subscription starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IteratorStart {
    /// After the newest record.
    Latest,
    /// At the oldest record.
    TrimHorizon,
    /// At the first record that arrived at or after this time.
    AtTimestamp(Timestamp),
    /// At the record with this sequence number.
    AtSequenceNumber(String),
    /// After the record with this sequence number. Only subscriptions start there.
    AfterSequenceNumber(String),
}

/// An answer to GetRecords.
///
/// Its `Debug` output shows how many records there are, never their data.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Fetched {
    /// The records.
    pub records: Vec<FetchedRecord>,
    /// The iterator to continue with, or `None` if the shard is closed and this was its end.
    pub next_iterator: Option<String>,
    /// How far the last record is behind the shard's newest one, if the service says so.
    pub behind_latest: Option<Duration>,
    /// The shards that follow this one, if it ended here and the service names them.
    pub child_shards: Vec<ShardDescription>,
}

impl Fetched {
    /// Creates an answer from its records and the iterator to continue with, if the shard has not ended.
    #[must_use]
    pub const fn new(records: Vec<FetchedRecord>, next_iterator: Option<String>) -> Self {
        Self {
            records,
            next_iterator,
            behind_latest: None,
            child_shards: Vec::new(),
        }
    }

    /// Returns the same answer, with how far its last record is behind the shard's newest one.
    #[must_use]
    pub const fn with_behind_latest(mut self, behind_latest: Duration) -> Self {
        self.behind_latest = Some(behind_latest);
        self
    }

    /// Returns the same answer, with the shards that follow this one.
    #[must_use]
    pub fn with_child_shards(mut self, child_shards: Vec<ShardDescription>) -> Self {
        self.child_shards = child_shards;
        self
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("records", &format_args!("{} records", self.records.len()))
            .field("next_iterator", &self.next_iterator)
            .field("behind_latest", &self.behind_latest)
            .field("child_shards", &self.child_shards)
            .finish()
    }
}

/// A record from an answer to GetRecords, owned.
///
/// Its `Debug` output shows how long the data is, never the data itself.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FetchedRecord {
    /// The data.
    pub data: Vec<u8>,
    /// The partition key. Records of streams that distribute records by themselves may not have one.
    pub partition_key: Option<String>,
    /// The sequence number.
    pub sequence_number: String,
    /// When the record arrived.
    pub approximate_arrival: Option<Timestamp>,
    /// How the stream encrypts the record.
    pub encryption_type: Option<EncryptionType>,
}

impl FetchedRecord {
    /// Creates a record from its data and its sequence number.
    pub fn new(data: impl Into<Vec<u8>>, sequence_number: impl Into<String>) -> Self {
        Self {
            data: data.into(),
            sequence_number: sequence_number.into(),
            ..Self::default()
        }
    }

    /// Returns the same record, with a partition key.
    #[must_use]
    pub fn with_partition_key(mut self, partition_key: impl Into<String>) -> Self {
        self.partition_key = Some(partition_key.into());
        self
    }
}

impl fmt::Debug for FetchedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedRecord")
            .field("sequence_number", &self.sequence_number)
            .field("data", &ByteCount(self.data.len()))
            .field("approximate_arrival", &self.approximate_arrival)
            .field("encryption_type", &self.encryption_type)
            .finish_non_exhaustive()
    }
}

impl<'a> From<&'a FetchedRecord> for KinesisRecord<'a> {
    fn from(record: &'a FetchedRecord) -> Self {
        let mut kinesis_record = Self::new(&record.data).with_sequence_number(&record.sequence_number);
        kinesis_record.partition_key = record.partition_key.as_deref();
        kinesis_record.approximate_arrival = record.approximate_arrival;
        kinesis_record.encryption_type = record.encryption_type;
        kinesis_record
    }
}

/// A request that failed as a whole. Its code and its message are one line each, of at most 300 characters: longer ones
/// are cut, and line breaks and other control characters become spaces.
///
/// ```
/// use kpl_stream::client::{ErrorClass, RequestError};
///
/// let error = RequestError::refused("AccessDeniedException", "not authorized to perform kinesis:PutRecords");
/// assert_eq!(error.class, ErrorClass::Permanent);
/// assert_eq!(RequestError::unanswered("ResponseError", "connection reset").class, ErrorClass::Unknown);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RequestError {
    /// The service's code, or a word for why there was no answer.
    pub code: Arc<str>,
    /// The service's message, or the message of the error that prevented an answer.
    pub message: Arc<str>,
    /// What the caller can do about it.
    pub class: ErrorClass,
}

impl RequestError {
    fn new(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>, class: ErrorClass) -> Self {
        Self {
            code: one_line(code.into()),
            message: one_line(message.into()),
            class,
        }
    }

    /// Creates the error of a request that the service refused with a code: nothing was written. The code decides the
    /// class ([`ErrorClass::of_code`]).
    pub fn refused(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        let code = code.into();
        let class = ErrorClass::of_code(&code);
        Self::new(code, message, class)
    }

    /// Creates the error of a request that was refused for its size, for example with the HTTP status 413: nothing was
    /// written.
    pub fn too_large(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self::new(code, message, ErrorClass::TooLarge)
    }

    /// Creates the error of a request that did not reach the service: nothing was written.
    pub fn not_sent(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self::new(code, message, ErrorClass::Transient)
    }

    /// Creates the error of a request that may or may not have been carried out.
    pub fn unanswered(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self::new(code, message, ErrorClass::Unknown)
    }

    /// Creates the error of a request that was not answered in time: `RequestTimeout`.
    #[must_use]
    pub fn timed_out(limit: Duration) -> Self {
        Self::unanswered(REQUEST_TIMEOUT, format!("no answer within {limit:?}"))
    }

    /// Creates the error of a client whose configuration allows no request, for example because there are no
    /// credentials. The message says what to set.
    pub fn configuration(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self::new(code, message, ErrorClass::Configuration)
    }

    fn no_fan_out() -> Self {
        Self::permanent("NotSupported", "this client does not support enhanced fan-out")
    }

    /// Creates the error of a request that cannot be sent as it is.
    pub fn permanent(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self::new(code, message, ErrorClass::Permanent)
    }
}

/// The code of requests that were not answered in time.
pub(crate) const REQUEST_TIMEOUT: &str = "RequestTimeout";

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_error(f, &self.code, &self.message)
    }
}

impl std::error::Error for RequestError {}

/// The most characters of a code or a message. The service's own are shorter; a proxy's may be pages.
const MAX_LINE: usize = 300;

/// Returns the text as one line that is not too long for a log.
fn one_line(text: Arc<str>) -> Arc<str> {
    // A character may take several bytes, so this is never too few.
    if text.len() <= MAX_LINE && !text.contains(char::is_control) {
        return text;
    }
    let printable = text.replace(char::is_control, " ");
    let printable = printable.trim();
    if printable.chars().count() <= MAX_LINE {
        return printable.into();
    }
    let cut: String = printable.chars().take(MAX_LINE - 1).chain(['…']).collect();
    cut.into()
}

fn write_error(f: &mut fmt::Formatter<'_>, code: &str, message: &str) -> fmt::Result {
    f.write_str(code)?;
    if !message.is_empty() {
        write!(f, ": {message}")?;
    }
    Ok(())
}

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Every request would fail: the client has no region, no valid credentials, or no valid endpoint. Nothing was
    /// written.
    Configuration,
    /// The same request would fail again: it is invalid or not allowed.
    Permanent,
    /// The stream, or something else that the request names, does not exist.
    NotFound,
    /// The request is too large: nothing was written, and a smaller one may succeed.
    TooLarge,
    /// Nothing was written because of a limit: the request may succeed later, at a lower rate.
    Throttled,
    /// Nothing was written: the request may succeed later.
    Transient,
    /// The request may or may not have been carried out.
    Unknown,
}

impl ErrorClass {
    /// Returns the class of a code that the service answered with.
    ///
    /// The codes are those of [PutRecords](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html)
    /// and of [Common Errors](https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html). An unknown
    /// code counts as transient: its records fail at the end of their time to live, not before. `RequestExpired` and
    /// `InvalidSignatureException` count as transient as well, because they may mean that clocks differ, which the AWS
    /// SDK corrects with the next request. The latter may also mean a wrong secret access key.
    #[must_use]
    pub fn of_code(code: &str) -> Self {
        match code {
            "ProvisionedThroughputExceededException"
            | "LimitExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "KMSThrottlingException" => Self::Throttled,
            "ResourceNotFoundException" => Self::NotFound,
            // The credentials, not what they permit.
            "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "UnrecognizedClientException" => Self::Configuration,
            "AccessDeniedException"
            | "AccessDenied"
            | "InvalidArgumentException"
            | "IncompleteSignature"
            | "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException"
            | "KMSOptInRequired"
            | "MalformedHttpRequestException"
            | "NotAuthorized"
            | "OptInRequired"
            | "SerializationException"
            | "UnknownOperationException"
            | "ValidationError"
            | "ValidationException" => Self::Permanent,
            _ => Self::Transient,
        }
    }

    /// Returns whether the same request would fail again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Configuration | Self::Permanent | Self::NotFound | Self::TooLarge => true,
            Self::Throttled | Self::Transient | Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_messages_are_one_short_line() {
        let page = format!("<html>\r\n<title>503\u{7} Service</title>\n{}", "ä".repeat(5000));
        let errors = [
            RequestError::refused("Code\nwith break", page.as_str()).to_string(),
            EntryError::new("Code", page.as_str()).to_string(),
        ];
        for error in errors {
            assert!(!error.contains(char::is_control), "{error}");
            assert!(error.chars().count() <= 320 && error.ends_with("ä…"), "{error}");
        }
        let exact: Arc<str> = "ä".repeat(MAX_LINE).into();
        assert_eq!(one_line(Arc::clone(&exact)).chars().count(), MAX_LINE);
        assert_eq!(
            RequestError::refused("Code", "two\nlines\n").to_string(),
            "Code: two lines"
        );
        assert_eq!(EntryError::new("InternalFailure", "").to_string(), "InternalFailure");
    }

    #[test]
    fn wrong_credentials_are_a_matter_of_configuration_and_skewed_clocks_are_not() {
        for code in ["UnrecognizedClientException", "InvalidClientTokenId"] {
            assert_eq!(ErrorClass::of_code(code), ErrorClass::Configuration);
        }
        assert!(ErrorClass::Configuration.is_final());
        for code in ["RequestExpired", "InvalidSignatureException", "ExpiredTokenException"] {
            assert_eq!(ErrorClass::of_code(code), ErrorClass::Transient);
        }
        assert_eq!(ErrorClass::of_code("AccessDeniedException"), ErrorClass::Permanent);
    }
}
