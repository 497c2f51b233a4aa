//! What the producer and the reader ask of the service, and the errors that it answers with.
//!
//! With the feature `aws` the AWS SDK does it: [`AwsClient`](crate::aws::AwsClient). Another service, or a test, implements
//! the traits itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use kpl_core::{EncryptionType, HashKeyRange, KinesisRecord, SealedRecord, Shard};

/// What a producer needs of the service.
pub trait WriteClient: fmt::Debug + Send + Sync + 'static {
    /// Puts records into a stream: one PutRecords request. The answer has one result for each entry, in their order.
    ///
    /// It must not retry by itself: the producer does, and counts.
    fn put_records<'a>(
        &'a self,
        stream: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>>;

    /// The open shards of a stream, all pages of them (ListShards with the filter `AT_LATEST`).
    fn open_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>>;

    /// What is known of a stream (DescribeStreamSummary).
    fn describe_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>>;
}

/// What became of one entry of a PutRecords request.
pub type PutResult = Result<Written, EntryError>;

/// Where the service wrote a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Written {
    /// The shard.
    pub shard_id: Arc<str>,
    /// The sequence number.
    pub sequence_number: Arc<str>,
}

/// Why the service did not write one entry of a request that it took.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryError {
    /// The service's code, such as `ProvisionedThroughputExceededException`.
    pub code: Arc<str>,
    /// The service's text.
    pub message: Arc<str>,
}

/// What is known of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StreamDescription {
    /// How the stream distributes records over its shards, if the service says so.
    pub distribution: Option<Distribution>,
}

impl StreamDescription {
    /// A stream that distributes its records so.
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
    /// Keys decide about the shard.
    UserPartitionKey,
    /// The service decides, and ignores keys.
    Auto,
}

/// What a reader needs of the service.
pub trait ReadClient: fmt::Debug + Send + Sync + 'static {
    /// Shards of a stream, all pages of them (ListShards).
    fn list_shards<'a>(
        &'a self,
        stream: &'a str,
        filter: ShardFilter,
    ) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>>;

    /// An iterator over a shard (GetShardIterator).
    fn get_shard_iterator<'a>(
        &'a self,
        stream: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<String, RequestError>>;

    /// The next records of a shard (GetRecords), at most `limit` of them.
    fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>>;
}

/// Which shards to list
/// ([ShardFilter](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ShardFilter.html)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShardFilter {
    /// Every shard that the service still knows, expired ones included: no filter.
    All,
    /// Those that are open.
    AtLatest,
    /// Those whose records are within the retention period, open or closed.
    FromTrimHorizon,
    /// Those that were open at a time, and all since: the time since the Unix epoch, in UTC.
    FromTimestamp(Duration),
}

/// A shard, open or closed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ShardDescription {
    /// The shard's id.
    pub id: String,
    /// The hash keys that it owns.
    pub range: HashKeyRange,
    /// The shards that it came from: one after a split, two after a merge. They may be known no longer.
    pub parents: Vec<String>,
    /// Whether it takes no more records.
    pub closed: bool,
}

impl ShardDescription {
    /// An open shard without parents.
    pub fn new(id: impl Into<String>, range: HashKeyRange) -> Self {
        Self {
            id: id.into(),
            range,
            parents: Vec::new(),
            closed: false,
        }
    }

    /// The same shard with one parent more.
    #[must_use]
    pub fn with_parent(mut self, id: impl Into<String>) -> Self {
        self.parents.push(id.into());
        self
    }

    /// The same shard, closed or not.
    #[must_use]
    pub fn with_closed(mut self, closed: bool) -> Self {
        self.closed = closed;
        self
    }
}

/// Where an iterator starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IteratorStart {
    /// After the newest record.
    Latest,
    /// At the oldest record.
    TrimHorizon,
    /// At the first record that arrived at or after a time since the Unix epoch, in UTC.
    AtTimestamp(Duration),
    /// At the record with this sequence number.
    AtSequenceNumber(String),
    /// After the record with this sequence number.
    AfterSequenceNumber(String),
}

/// What GetRecords gives.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The records.
    pub records: Vec<FetchedRecord>,
    /// The iterator to go on with. `None`: the shard is closed, and this was its end.
    pub next_iterator: Option<String>,
    /// How far the last record is behind the newest one of the shard, if the service says so.
    pub behind_latest: Option<Duration>,
    /// The shards that follow this one, where it ended and the service says so.
    pub child_shards: Vec<ShardDescription>,
}

/// A record as GetRecords gives it, owned.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FetchedRecord {
    /// The data.
    pub data: Vec<u8>,
    /// The partition key. Streams that distribute records by themselves may have none.
    pub partition_key: Option<String>,
    /// The sequence number.
    pub sequence_number: String,
    /// When the record arrived: the time since the Unix epoch, in UTC.
    pub approximate_arrival: Option<Duration>,
    /// How the stream encrypts the record.
    pub encryption_type: Option<EncryptionType>,
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

/// A request that failed as a whole.
///
/// ```
/// use kpl_stream::client::{ErrorClass, RequestError};
///
/// let error = RequestError::refused("ResourceNotFoundException", "Stream clicks not found");
/// assert_eq!(error.class, ErrorClass::Permanent);
/// assert_eq!(RequestError::unanswered("timeout", "no answer within 6 s").class, ErrorClass::Unknown);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RequestError {
    /// The service's code, or a word for why there was no answer.
    pub code: Arc<str>,
    /// The service's text, or that of whatever failed.
    pub message: Arc<str>,
    /// What follows from it.
    pub class: ErrorClass,
}

impl RequestError {
    /// The service refused the request with a code: nothing was written.
    pub fn refused(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        let code = code.into();
        Self {
            class: ErrorClass::of_code(&code),
            code,
            message: message.into(),
        }
    }

    /// The request did not reach the service: nothing was written.
    pub fn not_sent(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            class: ErrorClass::Transient,
        }
    }

    /// Nobody knows whether the request was carried out.
    pub fn unanswered(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            class: ErrorClass::Unknown,
        }
    }

    /// The request itself makes no sense and was not sent, as when there are no credentials.
    pub fn permanent(code: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            class: ErrorClass::Permanent,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for RequestError {}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// It would fail again: invalid, not allowed, no such stream.
    Permanent,
    /// Nothing was written because of a limit: later and more slowly it may succeed.
    Throttled,
    /// Nothing was written: later it may succeed.
    Transient,
    /// It may have been written, or not.
    Unknown,
}

impl ErrorClass {
    /// What follows from a code that the service answered with.
    ///
    /// What is written of codes is in
    /// [PutRecords](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html) and in
    /// [Common Errors](https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html). A code that is not known
    /// is taken as transient: a record is given up at the end of its time to live then, not before.
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
            "AccessDeniedException"
            | "AccessDenied"
            | "InvalidArgumentException"
            | "InvalidClientTokenId"
            | "IncompleteSignature"
            | "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException"
            | "KMSOptInRequired"
            | "MalformedHttpRequestException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "NotAuthorized"
            | "OptInRequired"
            | "ResourceNotFoundException"
            | "SerializationException"
            | "UnknownOperationException"
            | "UnrecognizedClientException"
            | "ValidationError"
            | "ValidationException" => Self::Permanent,
            _ => Self::Transient,
        }
    }
}
