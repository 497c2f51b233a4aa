//! Reads one shard, from its start position to its end.

use std::sync::Arc;
use std::time::Duration;

use kpl_core::{Deaggregator, FromKplRecordOwned, KinesisRecord, Origin, Position, Received, Undecodable};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{sleep, sleep_until};

use super::error::ReaderError;
use super::positions::ShardState;
use super::requests::{EXPIRED_ITERATOR, INVALID_ARGUMENT, Requests};
use crate::client::{ErrorClass, Fetched, FetchedRecord, IteratorStart, RequestError, ShardDescription};
use crate::clock;

/// What the tasks of a reader report to it.
#[derive(Debug)]
pub(super) enum Event<T> {
    Records {
        items: Vec<Item<T>>,
        /// Sent with the last records of a batch.
        permit: Option<OwnedSemaphorePermit>,
    },
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

/// How many records are sent to the reader at a time.
const CHUNK: usize = 256;

pub(super) struct ShardTask {
    pub(super) requests: Arc<Requests>,
    pub(super) shard_id: Arc<str>,
    pub(super) from: ShardState,
    /// An iterator that points at `from`, if there is one.
    pub(super) iterator: Option<String>,
}

/// The reader was dropped.
struct Dropped;

enum End {
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
    pub(super) async fn run<T>(mut self, events: mpsc::Sender<Event<T>>)
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        let end = self.read(&events).await;
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

    async fn read<T>(&mut self, events: &mpsc::Sender<Event<T>>) -> End
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        loop {
            let iterator = match self.iterator.take() {
                Some(iterator) => iterator,
                None => match self.new_iterator().await {
                    Ok(iterator) => iterator,
                    Err(end) => return end,
                },
            };
            let started = clock::now();
            let (fetched, permit) = match self.fetch(&iterator).await {
                Ok(fetched) => fetched,
                Err(error) if &*error.code == EXPIRED_ITERATOR => {
                    tracing::debug!(shard_id = &*self.shard_id, %error, "a new iterator");
                    if let Err(error) = self.requests.check_identity().await {
                        return End::Failed(error);
                    }
                    sleep(self.requests.options.fetch_interval).await;
                    continue;
                }
                Err(error) => {
                    let operation = "GetRecords";
                    return End::Refused { operation, error };
                }
            };
            let next = clock::after(started, self.pause(&fetched));
            let Fetched {
                records,
                next_iterator,
                child_shards,
                ..
            } = fetched;
            if let Err(Dropped) = self.deliver(&records, permit, events).await {
                return End::Dropped;
            }
            if let Some(position) = records.last().and_then(end_of) {
                self.from = ShardState::After(position);
            }
            drop(records);
            match next_iterator {
                Some(iterator) => self.iterator = Some(iterator),
                None => return End::Children(child_shards),
            }
            sleep_until(next.into()).await;
        }
    }

    async fn fetch(&self, iterator: &str) -> Result<(Fetched, Option<OwnedSemaphorePermit>), RequestError> {
        let Requests {
            client,
            options,
            batches,
            ..
        } = &*self.requests;
        let fetch = || async {
            let permit = Arc::clone(batches).acquire_owned().await.ok();
            let fetch = client.get_records(iterator, options.max_records);
            Ok((self.requests.limited(fetch).await?, permit))
        };
        self.requests.retried(Some(&self.shard_id), "GetRecords", fetch).await
    }

    /// Returns how long to wait after one GetRecords before the next.
    fn pause(&self, fetched: &Fetched) -> Duration {
        let options = &self.requests.options;
        // Some servers report that nothing is left to read when the answer was merely cut off at the limit.
        let full = fetched.records.len() >= options.max_records;
        let caught_up = match fetched.behind_latest {
            Some(behind) => behind.is_zero() && !full,
            None => fetched.records.is_empty(),
        };
        if caught_up {
            return options.poll_interval;
        }
        let bytes: usize = fetched.records.iter().map(|record| record.data.len()).sum();
        let seconds = bytes as f64 / options.shard_bytes_per_second as f64;
        options.fetch_interval.max(Duration::from_secs_f64(seconds))
    }

    async fn new_iterator(&mut self) -> Result<String, End> {
        let start = match &self.from {
            ShardState::TrimHorizon | ShardState::Ended => IteratorStart::TrimHorizon,
            ShardState::AtTimestamp(time) => IteratorStart::AtTimestamp(*time),
            // At, not after: the record may be an aggregate that was delivered in part. That part is skipped later.
            ShardState::After(position) => IteratorStart::AtSequenceNumber(position.sequence_number.as_str().into()),
        };
        let refused = |error| End::Refused {
            operation: "GetShardIterator",
            error,
        };
        match (self.requests.shard_iterator(&self.shard_id, start).await, &self.from) {
            (Err(error), ShardState::After(position)) if &*error.code == INVALID_ARGUMENT => {
                self.requests.check_identity().await.map_err(End::Failed)?;
                tracing::warn!(shard_id = &*self.shard_id, %position, %error, "from the oldest record on");
                // The position says nothing about the records that follow.
                self.from = ShardState::TrimHorizon;
                let oldest = self.requests.shard_iterator(&self.shard_id, IteratorStart::TrimHorizon);
                oldest.await.map_err(refused)
            }
            (iterator, _) => iterator.map_err(refused),
        }
    }

    /// Sends the user records of a batch to the reader, in order, in chunks.
    async fn deliver<T>(
        &self,
        records: &[FetchedRecord],
        permit: Option<OwnedSemaphorePermit>,
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
        let mut items = Vec::new();
        for item in deaggregator.records(&batch).into_received(complete) {
            items.push(item);
            if items.len() == CHUNK {
                let items = std::mem::take(&mut items);
                let permit = None;
                events
                    .send(Event::Records { items, permit })
                    .await
                    .map_err(|_| Dropped)?;
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        events.send(Event::Records { items, permit }).await.map_err(|_| Dropped)
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

/// Returns the position after all user records of a Kinesis record.
fn end_of(record: &FetchedRecord) -> Option<Position> {
    Position::new(&record.sequence_number, u64::MAX).ok()
}
