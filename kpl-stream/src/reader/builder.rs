//! The options of a reader, and how it starts.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kpl_core::{FromKplRecordOwned, InvalidOption, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Reader;
use super::error::{PositionsError, ReaderError};
use super::positions::{MemoryPositions, Positions, ShardState, StreamPositions};
use super::requests::Requests;
use super::shards::Shards;
use super::single::ShardReaders;
use super::task::Latest;
use crate::client::{ErrorClass, ReadClient, ShardDescription, StreamIdentity};

/// Where a reader starts in a stream for which no position was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Start {
    /// At the oldest record of each shard.
    #[default]
    TrimHorizon,
    /// After the newest record of each shard: everything that is written after [`build`](ReaderBuilder::build) has
    /// returned is read. If a shard receives nothing and the reader cannot make requests for five minutes, the service
    /// forgets where the reader was; what was written to the shard in the minute before `build` returned is then read
    /// as well. With [`fan_out`](ReaderBuilder::fan_out) this happens if the first subscription to a shard fails before
    /// its first event.
    Latest,
    /// At the first record of each shard that arrived at or after this time. The service refuses a time in the future.
    At(SystemTime),
}

/// The options of a [`Reader`]. The defaults respect the service's limits of
/// [GetRecords](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html).
#[must_use = "a builder does nothing until it builds"]
pub struct ReaderBuilder<T, C = Arc<dyn ReadClient>> {
    client: C,
    positions: Arc<dyn Positions>,
    reset_positions: bool,
    start: Start,
    max_buffered_bytes: usize,
    /// The name or the ARN of the consumer for enhanced fan-out.
    consumer: Option<String>,
    options: Options,
    marker: PhantomData<fn() -> T>,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) poll_interval: Duration,
    pub(super) fetch_interval: Duration,
    pub(super) shard_bytes_per_second: Option<usize>,
    pub(super) max_records: usize,
    pub(super) request_timeout: Duration,
    pub(super) give_up_after: Duration,
    pub(super) end_when_idle: Option<Duration>,
}

impl<T> ReaderBuilder<T, ()> {
    pub(super) fn new() -> Self {
        Self {
            client: (),
            positions: Arc::new(MemoryPositions::new()),
            reset_positions: false,
            start: Start::default(),
            max_buffered_bytes: 64 << 20,
            consumer: None,
            options: Options {
                poll_interval: Duration::from_secs(1),
                fetch_interval: Duration::from_millis(200),
                shard_bytes_per_second: None,
                max_records: MAX_RECORDS,
                request_timeout: Duration::from_secs(30),
                give_up_after: Duration::MAX,
                end_when_idle: None,
            },
            marker: PhantomData,
        }
    }
}

impl<T, C> ReaderBuilder<T, C> {
    /// Sets the client: the AWS SDK, with the region, the credentials and the endpoint of `config`.
    #[cfg(feature = "aws")]
    #[cfg_attr(docsrs, doc(cfg(feature = "aws")))]
    pub fn load_aws_config(self, config: &aws_types::SdkConfig) -> ReaderBuilder<T> {
        self.client(crate::aws::AwsClient::new(config))
    }

    /// Sets a client of your own.
    pub fn client(self, client: impl ReadClient) -> ReaderBuilder<T> {
        ReaderBuilder {
            client: Arc::new(client),
            positions: self.positions,
            reset_positions: self.reset_positions,
            start: self.start,
            max_buffered_bytes: self.max_buffered_bytes,
            consumer: self.consumer,
            options: self.options,
            marker: PhantomData,
        }
    }

    /// Sets where to start if no position was saved for the stream. The default is [`Start::TrimHorizon`].
    pub const fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets where positions are kept. The default is [`MemoryPositions`], which are lost when the program ends.
    pub fn positions(mut self, positions: impl Positions) -> Self {
        self.positions = Arc::new(positions);
        self
    }

    /// Sets whether saved positions that are of another stream are discarded, so that the reader starts as if nothing
    /// had been saved. By default [`build`](ReaderBuilder::build) returns [`ReaderError::OtherStream`]. Positions of
    /// this stream are kept in any case.
    pub const fn reset_positions(mut self, reset: bool) -> Self {
        self.reset_positions = reset;
        self
    }

    /// Receives records by [enhanced fan-out](https://docs.aws.amazon.com/streams/latest/dev/enhanced-consumers.html)
    /// instead of asking for them: the service sends what arrives, and every consumer has 2 MiB per second and shard of
    /// its own. It costs extra, by the hour for each consumer and shard, and by the amount of data
    /// ([prices](https://aws.amazon.com/kinesis/data-streams/pricing/)).
    ///
    /// `consumer` is the name of a consumer or its ARN. If the stream does not have a consumer of this name, `build`
    /// registers one, and waits until it is active. It stays registered, and costs, until you
    /// [deregister](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DeregisterStreamConsumer.html) it. An
    /// ARN is used as it is.
    ///
    /// * Each reader needs a consumer of its own: of two subscriptions of one consumer to a shard, the later
    ///   [ends the earlier](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html), so that
    ///   two readers interrupt each other every few seconds. A stream has at most
    ///   [20 consumers](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html), or 50
    ///   if it is of On-demand Advantage.
    /// * The permissions are `kinesis:SubscribeToShard` and `kinesis:ListShards`, and for a name also
    ///   `kinesis:DescribeStreamConsumer`, `kinesis:RegisterStreamConsumer` unless the consumer exists, and
    ///   `kinesis:DescribeStreamSummary` unless the stream is named by its ARN.
    /// * A subscription is renewed before the service ends it after 5 minutes, at the earliest 5 seconds after it
    ///   began, because the service refuses to do so before. It has failed if nothing is received for a minute: the
    ///   service sends events without records as well.
    /// * The options that are about GetRecords do not have an effect: [`poll_interval`](Self::poll_interval),
    ///   [`fetch_interval`](Self::fetch_interval), [`shard_bytes_per_second`](Self::shard_bytes_per_second) and
    ///   [`max_records`](Self::max_records).
    ///
    /// If the consumer cannot be found or registered, `build` returns [`ReaderError::Request`] with the operation: there
    /// is no permission, the client does not support it, or a limit is reached (`LimitExceededException`: there are too
    /// many consumers, five are being created, or there were more than five requests within a second). The reader never
    /// polls instead.
    ///
    /// ```no_run
    /// use kpl_core::RawRecord;
    /// use kpl_stream::reader::{Reader, ReaderError};
    ///
    /// # async fn read() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    /// let builder = Reader::<RawRecord>::builder().load_aws_config(&config);
    /// let mut reader = match builder.fan_out("fraud-detection").build("clicks").await {
    ///     Err(ReaderError::Request { operation, error, .. }) => {
    ///         return Err(format!("no enhanced fan-out: {operation}: {error}").into());
    ///     }
    ///     reader => reader?,
    /// };
    /// while let Some(record) = reader.next().await {
    ///     println!("{:?}", record?.value);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn fan_out(mut self, consumer: impl Into<String>) -> Self {
        self.consumer = Some(consumer.into());
        self
    }

    /// Sets how long to wait after one GetRecords before the next, in a shard without new records. The default is one
    /// second.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.options.poll_interval = interval;
        self
    }

    /// Sets how long to wait at least after one GetRecords before the next, in a shard with more records. The default
    /// is 200 ms: the service allows five requests per second and shard, for all readers together.
    pub const fn fetch_interval(mut self, interval: Duration) -> Self {
        self.options.fetch_interval = interval;
        self
    }

    /// Sets how many bytes per second are read from a shard, on average. The minimum is 1. By default the reader is as
    /// fast as the service lets it, and once a request was refused for that, it reads 2 MiB per second, which is what
    /// the service delivers to all readers together.
    pub const fn shard_bytes_per_second(mut self, bytes: usize) -> Self {
        self.options.shard_bytes_per_second = Some(bytes);
        self
    }

    /// Sets how many Kinesis records one GetRecords returns, at most. From 1 to 10,000, which is the default.
    pub const fn max_records(mut self, records: usize) -> Self {
        self.options.max_records = records;
        self
    }

    /// Sets how many bytes may be taken by requests under way and by records that were fetched but not yet delivered
    /// to the consumer, for all shards together. The default is 64 MiB; the minimum is 1. One request is always made.
    ///
    /// A request counts for 8/3 of what its answer is expected to contain: its base64, which the SDK receives in pieces and
    /// copies into one. That is at most 10 MiB, so a reader of hundreds of shards that all have to catch up is faster with
    /// more. What the values of user records take beside their bytes is not counted: they are decoded at most 256 at a
    /// time. The first request of a shard asks for at most 100 records, later ones for as many as there is room for.
    ///
    /// With [`fan_out`](Self::fan_out), no event is taken from a connection before there is room for one. What the
    /// client has received before it is taken, at most what the windows of its connections allow, is not counted.
    pub const fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.max_buffered_bytes = bytes;
        self
    }

    /// Sets when to end if requests fail: after a request has failed again and again for this long,
    /// [`Reader::next`](super::Reader::next) and [`build`](ReaderBuilder::build) return [`ReaderError::GaveUp`]. By
    /// default a reader never gives up. What the service refuses permanently ends it in any case, at once.
    pub const fn give_up_after(mut self, limit: Duration) -> Self {
        self.options.give_up_after = limit;
        self
    }

    /// Ends the reader when nothing has arrived for this long: [`Reader::next`](super::Reader::next) then returns
    /// `None`. That counts only once every shard was read to its latest record, and only on the strength of requests
    /// that were made after this time had passed. By default a reader waits for records without end.
    ///
    /// With [`fan_out`](Self::fan_out), subscriptions are such requests, and are renewed as often as this time says, at
    /// most every 5 seconds: the reader ends up to that much later.
    pub const fn end_when_idle(mut self, idle: Duration) -> Self {
        self.options.end_when_idle = Some(idle);
        self
    }

    /// Sets how long a request may take before it is repeated. The default is 30 seconds. It does not limit how long a
    /// subscription lasts.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.options.request_timeout = timeout;
        self
    }
}

impl<T> ReaderBuilder<T> {
    /// Starts to read a stream, given its name, or its ARN if the client accepts one.
    ///
    /// It loads the positions, lists the shards and finds where to start. If the service cannot answer now, it waits, by
    /// default without a limit ([`give_up_after`](ReaderBuilder::give_up_after)); drop the future to give up.
    ///
    /// # Errors
    ///
    /// [`ReaderError`] if an option is out of its range, the positions cannot be loaded, or the service refuses a
    /// request, for example because the stream does not exist or access is denied.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime with time enabled.
    pub async fn build(self, stream: impl Into<String>) -> Result<Reader<T>, ReaderError>
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        let (requests, listed) = self.requests(stream.into().into()).await?;
        let mut saved = load(&requests, &*self.positions).await?;
        if is_of_another(&saved, requests.identity.as_ref(), &listed) {
            let stream = Arc::clone(&requests.stream);
            if !self.reset_positions {
                return Err(ReaderError::OtherStream {
                    stream,
                    saved: saved.identity,
                    found: requests.identity.clone(),
                });
            }
            tracing::warn!(stream = &*stream, "positions of another stream are discarded");
            let removed = self.positions.remove(&stream).await;
            removed.map_err(|error| positions_error(&requests, "remove", error))?;
            saved = StreamPositions::default();
        }
        let before = Timestamp::from(SystemTime::now() - CLOCKS_DIFFER);
        let is_new = saved.shards.is_empty();
        let mut latest = Vec::new();
        let mut shards = Shards::new(saved.shards);
        for description in listed {
            let start = match self.start {
                // The shard came into being after all those that were saved.
                _ if !is_new => ShardState::TrimHorizon,
                Start::TrimHorizon => ShardState::TrimHorizon,
                Start::At(time) => ShardState::AtTimestamp(time.into()),
                Start::Latest if description.closed => ShardState::Ended,
                Start::Latest => {
                    latest.push(description.id.clone());
                    ShardState::AtTimestamp(before)
                }
            };
            shards.add(description, start);
        }
        let latest = self::latest(&requests, latest).await?;
        Ok(Reader::new(requests, self.positions, shards, latest, None))
    }
}

impl<T> ReaderBuilder<T> {
    /// Starts to read single shards of a stream, which the caller chooses: see [`ShardReaders`]. The positions and the start of
    /// the builder have no effect.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    #[doc(hidden)]
    pub async fn build_single(self, stream: impl Into<String>) -> Result<ShardReaders<T>, ReaderError>
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        let (requests, _) = self.requests(stream.into().into()).await?;
        Ok(ShardReaders::new(requests))
    }

    /// Returns what makes requests about a stream, and all its shards.
    async fn requests(&self, stream: Arc<str>) -> Result<(Arc<Requests>, Vec<ShardDescription>), ReaderError> {
        let Options {
            max_records,
            shard_bytes_per_second,
            ..
        } = self.options;
        super::metrics::describe();
        InvalidOption::check("max_records", max_records, 1..=MAX_RECORDS)?;
        InvalidOption::check(
            "shard_bytes_per_second",
            shard_bytes_per_second.unwrap_or(1),
            1..=usize::MAX,
        )?;
        InvalidOption::check(
            "max_buffered_bytes",
            self.max_buffered_bytes,
            1..=Semaphore::MAX_PERMITS,
        )?;
        let client = Arc::clone(&self.client);
        let mut requests = Requests::new(client, stream, self.options.clone(), self.max_buffered_bytes);
        let listed = requests.list_shards().await?;
        requests.identity = requests.identify().await?;
        if let Some(consumer) = &self.consumer {
            requests.consumer = Some(requests.active_consumer(consumer).await?);
        }
        Ok((Arc::new(requests), listed))
    }
}

async fn load(requests: &Requests, positions: &dyn Positions) -> Result<StreamPositions, ReaderError> {
    let saved = positions.load(&requests.stream).await;
    saved.map_err(|error| positions_error(requests, "load", error))
}

fn positions_error(requests: &Requests, operation: &'static str, error: PositionsError) -> ReaderError {
    ReaderError::Positions {
        stream: Arc::clone(&requests.stream),
        operation,
        error,
    }
}

/// Returns whether the positions are of another stream: its identity tells, or, if that is not known, a shard that can
/// never have been where its position is.
fn is_of_another(saved: &StreamPositions, found: Option<&StreamIdentity>, shards: &[ShardDescription]) -> bool {
    if let Some((saved, found)) = saved.identity.as_ref().zip(found) {
        return saved.differs_from(found);
    }
    shards.iter().any(|shard| match saved.shards.get(&shard.id) {
        Some(ShardState::Ended) => !shard.closed,
        Some(ShardState::After(position)) => {
            let first = shard.first_sequence_number.as_ref();
            first.is_some_and(|first| position.sequence_number < *first)
        }
        _ => false,
    })
}

/// Returns what points at the ends of shards now. What was written later comes after it.
async fn latest(requests: &Arc<Requests>, shard_ids: Vec<String>) -> Result<BTreeMap<String, Latest>, ReaderError> {
    let mut tasks = JoinSet::new();
    for shard_id in shard_ids {
        let requests = Arc::clone(requests);
        tasks.spawn(async move {
            let latest = requests.latest(&shard_id).await;
            (shard_id, latest)
        });
    }
    let mut found = BTreeMap::new();
    for (shard_id, latest) in tasks.join_all().await {
        match latest {
            Ok(latest) => drop(found.insert(shard_id, latest)),
            Err(ReaderError::Request { error, .. }) if error.class == ErrorClass::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The most records that the service returns in one answer.
const MAX_RECORDS: usize = 10_000;

/// How far this machine's clock may be ahead of the service's.
pub(super) const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

impl<T, C: fmt::Debug> fmt::Debug for ReaderBuilder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderBuilder")
            .field("client", &self.client)
            .field("positions", &self.positions)
            .field("start", &self.start)
            .field("max_buffered_bytes", &self.max_buffered_bytes)
            .field("consumer", &self.consumer)
            .field("options", &self.options)
            .finish()
    }
}
