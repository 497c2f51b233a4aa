//! What the task of a shard does, however it receives the records.

use std::sync::Arc;
use std::time::Instant;

use kpl_core::{Deaggregator, FromKplRecordOwned, KinesisRecord, Origin, Position, Received, Undecodable};
use tokio::sync::mpsc;

use super::budget::{Ask, DECODED_TOGETHER, Held};
use super::error::ReaderError;
use super::fetch::Pace;
use super::metrics::Metrics;
use super::positions::ShardState;
use super::requests::{Failures, Requests};
use super::subscribe::Opened;
use crate::client::{ErrorClass, FetchedRecord, IteratorStart, RequestError, ShardDescription};

/// What the tasks of a reader report to it.
#[derive(Debug)]
pub(super) enum Event<T> {
    Records {
        items: Vec<Item<T>>,
        /// Sent with the last records of an answer.
        held: Option<Held>,
    },
    /// An answer to a request that was made at this time: the shard had no more records. Only told to readers that end
    /// when nothing arrives.
    UpToDate { shard_id: Arc<str>, asked: Instant },
    /// A shard was read to its end; these are its children, if the service named them.
    Ended {
        shard_id: Arc<str>,
        children: Vec<ShardDescription>,
    },
    /// The service no longer knows a shard: all its records are older than the retention period.
    Gone { shard_id: Arc<str> },
    /// All shards that the service knows now.
    Listed(Vec<ShardDescription>),
    /// Nothing more can be read.
    Failed(ReaderError),
}

/// A record, or why it cannot be decoded.
pub(super) type Item<T> = Result<Received<T>, Undecodable>;

/// How many records are sent to the reader at a time, at most.
const CHUNK: usize = 256;

/// Reads one shard, from its start position to its end.
pub(super) struct ShardTask {
    pub(super) requests: Arc<Requests>,
    pub(super) shard_id: Arc<str>,
    pub(super) from: ShardState,
    pub(super) ask: Ask,
    pub(super) pace: Pace,
    /// Since the last answer or event.
    pub(super) failures: Failures,
    pub(super) metrics: Metrics,
}

/// The end of a shard as it was when the reader was built.
#[derive(Debug)]
pub(super) enum Latest {
    Iterator(String),
    Subscription(Opened),
}

impl Latest {
    fn iterator(self) -> Option<String> {
        match self {
            Self::Iterator(iterator) => Some(iterator),
            Self::Subscription(_) => None,
        }
    }

    fn subscription(self) -> Option<Opened> {
        match self {
            Self::Subscription(opened) => Some(opened),
            Self::Iterator(_) => None,
        }
    }
}

/// The reader was dropped.
pub(super) struct Dropped;

pub(super) enum End {
    Children(Vec<ShardDescription>),
    Refused {
        operation: &'static str,
        error: RequestError,
    },
    Failed(ReaderError),
    Dropped,
}

impl From<Dropped> for End {
    fn from(_: Dropped) -> Self {
        Self::Dropped
    }
}

impl ShardTask {
    pub(super) fn new(requests: Arc<Requests>, shard_id: Arc<str>, from: ShardState) -> Self {
        requests.behind.set(&shard_id, None);
        Self {
            ask: Ask::ANYTHING,
            pace: Pace::default(),
            metrics: Metrics::new(&requests.stream, &shard_id),
            requests,
            shard_id,
            from,
            failures: Failures::default(),
        }
    }

    /// Reads the shard from `latest`, if there is one, and otherwise from its start position.
    pub(super) async fn run<T>(mut self, latest: Option<Latest>, events: mpsc::Sender<Event<T>>)
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        let read = match self.requests.consumer.clone() {
            Some(consumer) => {
                let subscription = latest.and_then(Latest::subscription);
                self.subscribe_to_the_end(consumer, subscription, &events).await
            }
            None => self.fetch_to_the_end(latest.and_then(Latest::iterator), &events).await,
        };
        let end = read.unwrap_or_else(|end| end);
        self.requests.behind.remove(&self.shard_id);
        let shard_id = Arc::clone(&self.shard_id);
        let event = match end {
            End::Children(children) => Event::Ended { shard_id, children },
            End::Refused { operation, error } => self.refused(operation, error).await,
            End::Failed(error) => Event::Failed(error),
            End::Dropped => return,
        };
        // This fails only if the reader was dropped.
        drop(events.send(event).await);
    }

    /// Sends the user records of an answer or an event to the reader, in order, in chunks, and notes that they were.
    pub(super) async fn deliver<T>(
        &mut self,
        records: &[FetchedRecord],
        held: Held,
        events: &mpsc::Sender<Event<T>>,
    ) -> Result<(), Dropped>
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        let batch: Vec<KinesisRecord<'_>> = records.iter().map(KinesisRecord::from).collect();
        let mut deaggregator = Deaggregator::<T>::new();
        if let ShardState::After(position) = &self.from {
            deaggregator = deaggregator.after(position.clone());
        }
        let complete = |origin: Origin, _| {
            origin
                .with_stream(Arc::clone(&self.requests.stream))
                .with_shard_id(Arc::clone(&self.shard_id))
        };
        let mut items: Vec<Item<T>> = Vec::new();
        // The bytes of the Kinesis records that `items` are from, and the index of the last one.
        let (mut bytes, mut last) = (0, None);
        for item in deaggregator.records(&batch).into_received(complete) {
            if items.len() == CHUNK || bytes >= DECODED_TOGETHER {
                self.metrics.delivered(items.len());
                bytes = 0;
                let items = std::mem::replace(&mut items, Vec::with_capacity(CHUNK));
                send(events, Event::Records { items, held: None }).await?;
            }
            let index = match &item {
                Ok(record) => record.kinesis_record_index(),
                Err(error) => error.kinesis_record_index(),
            };
            if last.replace(index) != Some(index) {
                bytes += records.get(index).map_or(0, |record| record.data.len());
            }
            items.push(item);
        }
        if !items.is_empty() {
            self.metrics.delivered(items.len());
            let held = Some(held);
            send(events, Event::Records { items, held }).await?;
        }
        if let Some(position) = records.last().and_then(end_of) {
            self.from = ShardState::After(position);
        }
        Ok(())
    }

    /// Tells the reader that the shard had no more records when this request was made, if that matters to it.
    pub(super) async fn is_up_to_date<T>(
        &self,
        asked: Instant,
        events: &mpsc::Sender<Event<T>>,
    ) -> Result<(), Dropped> {
        if self.requests.options.end_when_idle.is_none() {
            return Ok(());
        }
        let shard_id = Arc::clone(&self.shard_id);
        send(events, Event::UpToDate { shard_id, asked }).await
    }

    /// Returns where an iterator or a subscription starts.
    pub(super) fn start(&self) -> IteratorStart {
        match &self.from {
            ShardState::TrimHorizon | ShardState::Ended => IteratorStart::TrimHorizon,
            ShardState::AtTimestamp(time) => IteratorStart::AtTimestamp(*time),
            // At, not after: the record may be an aggregate that was delivered in part. That part is skipped later.
            ShardState::After(position) => IteratorStart::AtSequenceNumber(position.sequence_number.as_str().into()),
        }
    }

    /// Starts at the oldest record if the service does not know the start position. Returns whether that is another one.
    pub(super) async fn start_over(&mut self, error: &RequestError) -> Result<bool, End> {
        let ShardState::After(position) = &self.from else {
            return Ok(false);
        };
        self.requests.check_identity().await.map_err(End::Failed)?;
        tracing::warn!(shard_id = &*self.shard_id, %position, %error, "from the oldest record on");
        // The position says nothing about the records that follow.
        self.from = ShardState::TrimHorizon;
        Ok(true)
    }

    /// Returns the event for a request that was refused permanently.
    async fn refused<T>(&self, operation: &'static str, error: RequestError) -> Event<T> {
        let shard_id = Arc::clone(&self.shard_id);
        if error.class == ErrorClass::NotFound {
            match self.requests.list_shards().await {
                Ok(shards) if shards.iter().all(|shard| *shard.id != *self.shard_id) => {
                    if let Err(error) = self.requests.check_identity().await {
                        return Event::Failed(error);
                    }
                    tracing::warn!(shard_id = &*self.shard_id, %error, "the shard is known no longer");
                    return Event::Gone { shard_id };
                }
                Ok(_) => {}
                Err(error) => return Event::Failed(error),
            }
        }
        Event::Failed(self.requests.refused(Some(&shard_id), operation, error))
    }
}

async fn send<T>(events: &mpsc::Sender<Event<T>>, event: Event<T>) -> Result<(), Dropped> {
    events.send(event).await.map_err(|_| Dropped)
}

/// Returns the position after all user records of a Kinesis record.
fn end_of(record: &FetchedRecord) -> Option<Position> {
    Position::new(&record.sequence_number, u64::MAX).ok()
}
