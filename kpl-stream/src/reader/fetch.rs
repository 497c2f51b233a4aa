//! Reads one shard, from its start position to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::{Deaggregator, FromKplRecordOwned, KinesisRecord, Origin, Position, Received, Undecodable};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::budget::{self, Ask, DECODED_TOGETHER, Held};
use super::error::ReaderError;
use super::metrics::Metrics;
use super::positions::ShardState;
use super::requests::{EXPIRED_ITERATOR, Failures, INVALID_ARGUMENT, Requests};
use crate::client::{ErrorClass, Fetched, FetchedRecord, IteratorStart, RequestError, ShardDescription};
use crate::clock;

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

/// What the service delivers of a shard to all readers together
/// ([limits](https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html)).
const SHARD_BYTES_PER_SECOND: usize = 2 << 20;

/// How many records are sent to the reader at a time, at most.
const CHUNK: usize = 256;

pub(super) struct ShardTask {
    requests: Arc<Requests>,
    shard_id: Arc<str>,
    from: ShardState,
    /// An iterator that points at `from`, if there is one.
    iterator: Option<String>,
    ask: Ask,
    /// Whether the service has refused a request because records were read faster than it allows.
    was_too_fast: bool,
    /// When the last request that was answered was made, and the bytes of the records of its answer.
    last: Option<(Instant, usize)>,
    /// Since the last answer.
    failures: Failures,
    metrics: Metrics,
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

/// An answer to GetRecords.
struct Answer {
    fetched: Fetched,
    held: Held,
    /// When the request was made.
    asked: Instant,
    /// Whether the shard had no more records.
    is_up_to_date: bool,
}

impl ShardTask {
    pub(super) fn new(
        requests: Arc<Requests>,
        shard_id: Arc<str>,
        from: ShardState,
        latest_iterator: Option<String>,
    ) -> Self {
        requests.behind.set(&shard_id, None);
        Self {
            ask: match latest_iterator {
                Some(_) => Ask::NOTHING,
                None => Ask::ANYTHING,
            },
            was_too_fast: false,
            last: None,
            metrics: Metrics::new(&requests.stream, &shard_id),
            requests,
            shard_id,
            from,
            iterator: latest_iterator,
            failures: Failures::default(),
        }
    }

    pub(super) async fn run<T>(mut self, events: mpsc::Sender<Event<T>>)
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        let end = self.read(&events).await.unwrap_or_else(|end| end);
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

    async fn read<T>(&mut self, events: &mpsc::Sender<Event<T>>) -> Result<End, End>
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        loop {
            let iterator = match self.iterator.take() {
                Some(iterator) => iterator,
                None => self.new_iterator().await?,
            };
            let Some(answer) = self.fetch(&iterator).await? else {
                continue;
            };
            let Answer {
                fetched,
                held,
                asked,
                is_up_to_date,
            } = answer;
            let is_empty = fetched.records.is_empty();
            self.deliver(&fetched.records, held, events).await?;
            if let Some(position) = fetched.records.last().and_then(end_of) {
                self.from = ShardState::After(position);
            }
            match fetched.next_iterator {
                Some(iterator) => self.iterator = Some(iterator),
                None => return Ok(End::Children(fetched.child_shards)),
            }
            drop(fetched.records);
            if is_up_to_date && is_empty && self.requests.options.end_when_idle.is_some() {
                let shard_id = Arc::clone(&self.shard_id);
                send(events, Event::UpToDate { shard_id, asked }).await?;
            }
            match is_up_to_date {
                true => sleep_until(clock::after(asked, self.requests.options.poll_interval).into()).await,
                false => self.rest().await,
            }
        }
    }

    /// Returns the next records, or `None` if the iterator has expired.
    async fn fetch(&mut self, iterator: &str) -> Result<Option<Answer>, End> {
        const OPERATION: &str = "GetRecords";
        let requests = Arc::clone(&self.requests);
        let limit = self.ask.records(&requests.budget, requests.options.max_records);
        loop {
            let mut held = requests.budget.reserve(self.ask.cost()).await;
            let asked = clock::now();
            let error = match requests.limited(requests.client.get_records(iterator, limit)).await {
                Ok(fetched) => {
                    held.resize(budget::cost(&fetched));
                    return Ok(Some(self.take(fetched, held, asked, limit)));
                }
                Err(error) => error,
            };
            drop(held);
            self.metrics.failed(&error.code);
            let refused = |error| End::Refused {
                operation: OPERATION,
                error,
            };
            let has_expired = &*error.code == EXPIRED_ITERATOR;
            if error.class == ErrorClass::Throttled && !self.was_too_fast && self.last.is_some() {
                tracing::debug!(shard_id = &*self.shard_id, %error, "read more slowly from now on");
                self.was_too_fast = true;
                self.rest().await;
                continue;
            }
            let failures = &mut self.failures;
            if error.class.is_final() {
                return Err(refused(error));
            } else if has_expired && failures.are_none() {
                // The consumer took long. A new iterator that has expired as well is a failure.
                tracing::debug!(shard_id = &*self.shard_id, %error, "a new iterator");
                failures.note(asked);
            } else {
                let wait = requests.wait_after(error, failures, asked, Some(&self.shard_id), OPERATION);
                wait.await.map_err(refused)?;
            }
            if has_expired {
                requests.check_identity().await.map_err(End::Failed)?;
                return Ok(None);
            }
        }
    }

    /// Takes an answer, and what it says about the shard.
    fn take(&mut self, fetched: Fetched, held: Held, asked: Instant, limit: usize) -> Answer {
        let took = clock::now().saturating_duration_since(asked);
        let data_bytes = budget::data_bytes(&fetched);
        self.metrics.fetched(data_bytes, fetched.behind_latest, took);
        self.last = Some((asked, data_bytes));
        self.requests.behind.set(&self.shard_id, fetched.behind_latest);
        self.failures = Failures::default();
        let is_full = fetched.records.len() >= limit;
        let is_up_to_date = match fetched.behind_latest {
            // Some servers report that nothing is left to read when the answer was merely cut off at the limit.
            Some(behind) => behind.is_zero() && !is_full,
            None => fetched.records.is_empty(),
        };
        self.ask = self.ask.after(&fetched, !is_full && !is_up_to_date);
        Answer {
            fetched,
            held,
            asked,
            is_up_to_date,
        }
    }

    /// Waits until more may be read from a shard that has more records.
    async fn rest(&self) {
        let options = &self.requests.options;
        let Some((asked, bytes)) = self.last else { return };
        let rate = match options.shard_bytes_per_second {
            None if self.was_too_fast => Some(SHARD_BYTES_PER_SECOND),
            rate => rate,
        };
        let seconds = rate.map_or(0.0, |rate| bytes as f64 / rate as f64);
        let pause = options.fetch_interval.max(Duration::from_secs_f64(seconds));
        sleep_until(clock::after(asked, pause).into()).await;
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

    /// Sends the user records of an answer to the reader, in order, in chunks.
    async fn deliver<T>(
        &self,
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
        let mut received = deaggregator.records(&batch).into_received(complete).peekable();
        while let Some(item) = received.next() {
            let index = match &item {
                Ok(record) => record.kinesis_record_index(),
                Err(error) => error.kinesis_record_index(),
            };
            if last.replace(index) != Some(index) {
                bytes += records.get(index).map_or(0, |record| record.data.len());
            }
            items.push(item);
            if received.peek().is_none() {
                break;
            }
            if items.len() == CHUNK || bytes >= DECODED_TOGETHER {
                self.metrics.delivered(items.len());
                bytes = 0;
                let items = std::mem::take(&mut items);
                send(events, Event::Records { items, held: None }).await?;
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        self.metrics.delivered(items.len());
        let held = Some(held);
        send(events, Event::Records { items, held }).await
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
