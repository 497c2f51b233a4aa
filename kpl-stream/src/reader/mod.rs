//! Reads a stream in one process: all its shards, as typed user records, in order within each shard.
//!
//! If a fleet of machines is to share the shards of a stream, use the
//! [KCL](https://docs.aws.amazon.com/streams/latest/dev/kcl.html) or
//! [Lambda](https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html): a [`Reader`] does not coordinate with
//! others.
//!
//! ```no_run
//! use kpl::KplRecord;
//! use kpl_stream::reader::{Reader, ReaderError, Start};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize, KplRecord)]
//! #[kpl(codec = kpl::codec::Json)]
//! struct Click {
//!     #[kpl(partition_key)]
//!     user: String,
//!     url: String,
//! }
//!
//! # async fn read() -> Result<(), Box<dyn std::error::Error>> {
//! let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
//! let mut reader = Reader::<Click>::builder()
//!     .load_aws_config(&config)
//!     .start(Start::Latest)
//!     .build("clicks")
//!     .await?;
//! while let Some(record) = reader.next().await {
//!     match record {
//!         Ok(record) => {
//!             let position = record.position().ok_or("no sequence number")?;
//!             println!("{position}: {:?}", record.value);
//!         }
//!         Err(ReaderError::Record(error)) => eprintln!("{error}: {:?}", error.data()),
//!         Err(error) => return Err(error.into()),
//!     }
//!     reader.commit().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Or with a function for each record, and a loop that saves positions by itself: the module [`for_each`].
//!
//! # Two ways to receive records
//!
//! By default a reader asks each shard for records with GetRecords, in an empty shard once a second; the service allows
//! five requests per second and 2 MiB per second of each shard, for all such readers together. With
//! [`fan_out`](ReaderBuilder::fan_out) the service sends the records, sooner, and at a rate that other readers do not
//! reduce; that costs extra. Everything else is the same for both.
//!
//! # Shards
//!
//! Shards are read concurrently. After a split or a merge, a new shard is read once every parent that the service still
//! knows was read to its end and the consumer has all its records, so the records of a partition key keep their order.
//! Nothing is filtered by hash key range, so streams whose record distribution strategy is AUTO need no special
//! treatment.
//!
//! # Positions
//!
//! A position is saved when the consumer asks for it: [`Reader::commit`] covers all records that the consumer has, and
//! [`Reader::save`] covers one record and those before it in its shard. A reader that is built later with the same
//! [`Positions`] continues after it, even in the middle of an aggregate. Records that were read but not saved are read
//! again: delivery is at least once, and nothing is lost. [`FilePositions`] keeps positions in a file,
//! `DynamoPositions` (feature `dynamodb`) in a table that readers on other machines can use after this one, and
//! [`MemoryPositions`] until the program ends.
//!
//! * Positions are of one stream: its ARN and the time of its creation are saved with them. If another stream has the
//!   name, because it is in another account or was deleted and created anew, [`ReaderError::OtherStream`] says so, and
//!   [`reset_positions`](ReaderBuilder::reset_positions) discards the positions. This needs the permission
//!   `kinesis:DescribeStreamSummary`; without it only positions that cannot be of the stream are recognized.
//! * Each time, the states of all shards that changed are saved, including those of shards without a record yet. Such a
//!   shard will be read from its beginning, or, if the reader started at the latest record, from a minute before the
//!   reader was built: the minute allows for clocks that differ.
//! * A shard is saved as [ended](ShardState::Ended) once it was read to its end and its last record is saved.
//! * [`Start`] applies only if nothing was saved for the stream. In a stream with saved positions, a shard without one
//!   came into being later, and is read from its oldest record.
//! * If the service does not know the record of a saved position, because it was trimmed, its shard is read from its
//!   oldest record: the trimmed records are lost, and no others. The service trims records that are older than the stream's
//!   [retention period](https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html).
//!
//! # Failures
//!
//! A record that cannot be decoded is returned as an error that contains its bytes, and the next record follows. A
//! request that was throttled, failed, or was not answered in time is repeated until it succeeds, after pauses that
//! grow from 1 s to 30 s; each failure is logged as a `tracing` warning. A subscription that fails, or ends without an
//! event, counts as such a request; the next one continues after the last event that was received whole. If the service
//! refuses a request permanently, the reader ends, also when credentials have expired and cannot be renewed. With
//! [`give_up_after`](ReaderBuilder::give_up_after) it ends as well if requests have failed for that long.
//!
//! # Metrics
//!
//! A reader reports through the [`metrics`] facade, with the labels `StreamName` and `ShardId`, and with the
//! [KCL's names](https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-kcl.html) where it has them:
//!
//! | metric | kind | unit | meaning |
//! |---|---|---|---|
//! | `RecordsProcessed` | counter | | user records that were passed on to the consumer, errors included |
//! | `DataBytesProcessed` | counter | bytes | data of the Kinesis records that were received |
//! | `MillisBehindLatest` | gauge | milliseconds | how far the shard was behind its latest record, as its last answer or event said |
//! | `KinesisDataFetcher.getRecords.Time` | histogram | milliseconds | how long GetRecords took |
//! | `KinesisDataFetcher.getRecords.Failure` | counter | | GetRecords requests that failed, with the label `ErrorCode` |
//! | `SubscribeToShard.Failure` | counter | | SubscribeToShard requests and subscriptions that failed, with the label `ErrorCode` |
//!
//! [`metrics`]: https://docs.rs/metrics

mod budget;
mod builder;
#[cfg(feature = "dynamodb")]
mod dynamo;
mod error;
mod fetch;
mod file;
pub mod for_each;
mod metrics;
mod positions;
mod progress;
mod requests;
mod shards;
mod single;
mod subscribe;
mod task;

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;
use kpl_core::{FromKplRecordOwned, Origin, Position, Received};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use self::builder::{ReaderBuilder, Start};
#[cfg(feature = "dynamodb")]
#[cfg_attr(docsrs, doc(cfg(feature = "dynamodb")))]
pub use self::dynamo::DynamoPositions;
pub use self::error::{PositionsError, ReaderError};
pub use self::file::FilePositions;
pub use self::positions::{InvalidShardState, MemoryPositions, Positions, ShardState, StreamPositions};
pub use self::progress::Progress;
#[doc(hidden)]
pub use self::single::{Children, ShardReaders};

use self::budget::Held;
use self::requests::{Requests, backoff};
use self::shards::Shards;
use self::task::{Event, Item, Latest, ShardTask};
use crate::clock;

/// Reads a stream; see [the module](self).
///
/// It reads ahead of the consumer in tasks of its own, up to
/// [`max_buffered_bytes`](ReaderBuilder::max_buffered_bytes), and ends them when it is dropped.
pub struct Reader<T> {
    requests: Arc<Requests>,
    positions: Arc<dyn Positions>,
    shards: Shards,
    /// The ends of shards that have not been read yet, as they were when the reader was built.
    latest: BTreeMap<String, Latest>,
    events: mpsc::Receiver<Event<T>>,
    sender: mpsc::Sender<Event<T>>,
    tasks: JoinSet<()>,
    runtime: Handle,
    items: std::vec::IntoIter<Item<T>>,
    /// The last of `items` that the consumer has, if `shards` has not recorded it yet: its Kinesis record, and its index in it.
    given: Option<(Arc<Origin>, u64)>,
    /// What is held for the answer whose last records are in `items`.
    held: Option<Held>,
    /// When the last records arrived.
    arrived: Instant,
    /// Whether shards are being listed.
    listing: bool,
    /// How many times in a row they were listed without success.
    listed_in_vain: u32,
    /// Where the children go of a shard that is read alone.
    children: Option<Children>,
    over: bool,
}

/// How many chunks of user records may wait for the consumer.
const MAX_EVENTS: usize = 4;

impl<T> Reader<T> {
    /// Returns a builder for a reader.
    pub fn builder() -> ReaderBuilder<T, ()> {
        ReaderBuilder::new()
    }
}

impl<T: FromKplRecordOwned + Send + 'static> Reader<T> {
    fn new(
        requests: Arc<Requests>,
        positions: Arc<dyn Positions>,
        shards: Shards,
        latest: BTreeMap<String, Latest>,
        children: Option<Children>,
    ) -> Self {
        let (sender, events) = mpsc::channel(MAX_EVENTS);
        let mut reader = Self {
            requests,
            positions,
            shards,
            latest,
            events,
            sender,
            tasks: JoinSet::new(),
            runtime: Handle::current(),
            items: Vec::new().into_iter(),
            given: None,
            held: None,
            arrived: clock::now(),
            listing: false,
            listed_in_vain: 0,
            children,
            over: false,
        };
        reader.go_on();
        reader
    }

    /// Returns the next record, and waits for it as long as it takes. Returns `None` after an error that is not about a
    /// record, or if the reader [ends when nothing arrives](ReaderBuilder::end_when_idle).
    ///
    /// The future can be dropped and the method called again: nothing is lost.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Record`] if the record cannot be decoded: the next record follows. [`ReaderError::Request`] if
    /// the service refused a request permanently, [`ReaderError::GaveUp`] if requests failed for too long, and
    /// [`ReaderError::OtherStream`] if the stream was deleted and created anew: the reader has ended.
    ///
    /// # Panics
    ///
    /// Panics if the code of `T` that converts a record to a value panics.
    pub async fn next(&mut self) -> Option<Result<Received<T>, ReaderError>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Returns how many shards are being read, and how far they are behind.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.requests.behind.progress()
    }

    /// Saves that the consumer is done with all records that it received, errors included.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Positions`] if the store fails. The reader continues, and the next call saves the same positions.
    pub async fn commit(&mut self) -> Result<(), ReaderError> {
        self.note_given();
        self.shards.finish_all();
        self.save_states().await
    }

    /// Saves that the consumer is done with a record that this reader returned, and with those before it in its shard.
    /// If you move the value out of the record, [`Received::into_parts`] leaves a record that can be saved.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Self::commit).
    pub async fn save<U>(&mut self, record: &Received<U>) -> Result<(), ReaderError> {
        self.note_given();
        self.shards
            .finish(record.shard_id().unwrap_or_default(), record.position());
        self.save_states().await
    }

    async fn save_states(&mut self) -> Result<(), ReaderError> {
        let states = self.shards.unsaved();
        if states.is_empty() {
            return Ok(());
        }
        let stream = &self.requests.stream;
        let positions = StreamPositions::new(self.requests.identity.clone(), states);
        let saved = self.positions.save(stream, &positions).await;
        saved.map_err(|error| ReaderError::Positions {
            stream: Arc::clone(stream),
            operation: "save",
            error,
        })?;
        self.shards.all_saved();
        Ok(())
    }

    fn note_given(&mut self) {
        if let Some((origin, sub_sequence_number)) = self.given.take() {
            let sequence_number = origin.sequence_number.as_deref();
            let position = sequence_number.and_then(|number| Position::new(number, sub_sequence_number).ok());
            self.shards
                .give(origin.shard_id.as_deref().unwrap_or_default(), position);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Received<T>, ReaderError>>> {
        loop {
            if let Some(item) = self.items.next() {
                let (origin, sub_sequence_number) = match &item {
                    Ok(record) => (record.origin(), record.sub_sequence_number()),
                    Err(error) => (error.origin(), error.sub_sequence_number()),
                };
                match &mut self.given {
                    Some((given, number)) if Arc::ptr_eq(given, origin) => *number = sub_sequence_number,
                    given => *given = Some((Arc::clone(origin), sub_sequence_number)),
                }
                return Poll::Ready(Some(item.map_err(ReaderError::Record)));
            }
            self.note_given();
            self.held = None;
            if self.is_idle() {
                self.end();
            }
            if self.over {
                return Poll::Ready(None);
            }
            self.watch_tasks(cx);
            match ready!(self.events.poll_recv(cx)) {
                Some(Event::Records { items, held }) => {
                    self.arrived = clock::now();
                    self.items = items.into_iter();
                    self.held = held;
                }
                Some(Event::UpToDate { shard_id, asked }) => self.shards.is_up_to_date(&shard_id, asked),
                Some(Event::Ended { shard_id, children }) => {
                    self.shards.end(&shard_id);
                    match &self.children {
                        Some(slot) => {
                            slot.set(children);
                            self.end();
                        }
                        None => {
                            self.shards.add_children(children);
                            self.go_on();
                        }
                    }
                }
                Some(Event::Gone { shard_id }) => {
                    self.shards.forget(&shard_id);
                    match self.children {
                        Some(_) => self.end(),
                        None => self.go_on(),
                    }
                }
                Some(Event::Listed(shards)) => {
                    self.listing = false;
                    self.shards.add_listed(shards);
                    self.go_on();
                }
                Some(Event::Failed(error)) => {
                    self.end();
                    return Poll::Ready(Some(Err(error)));
                }
                // Cannot happen: `self.sender` keeps the channel open.
                None => self.over = true,
            }
        }
    }

    /// Returns whether nothing has arrived for so long that the reader ends.
    fn is_idle(&self) -> bool {
        let Some(idle) = self.requests.options.end_when_idle else {
            return false;
        };
        self.shards.are_up_to_date(clock::after(self.arrived, idle)) && !self.shards.are_incomplete()
    }

    fn end(&mut self) {
        self.over = true;
        self.tasks.abort_all();
    }

    /// Panics if a task panicked: otherwise its shard would silently stop.
    fn watch_tasks(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next(cx) {
            match ended {
                Err(error) if error.is_panic() => {
                    self.end();
                    resume_unwind(error.into_panic());
                }
                _ => {}
            }
        }
    }

    /// Starts to read the shards whose turn it is, and lists shards if some that belong to known ones are not known.
    fn go_on(&mut self) {
        for (shard_id, from) in self.shards.take_ready() {
            let latest = self.latest.remove(&*shard_id);
            let task = ShardTask::new(Arc::clone(&self.requests), shard_id, from);
            self.tasks
                .spawn_on(task.run(latest, self.sender.clone()), &self.runtime);
        }
        if self.children.is_some() || !self.shards.are_incomplete() {
            self.listed_in_vain = 0;
        } else if !self.listing {
            self.listing = true;
            self.list();
        }
    }

    fn list(&mut self) {
        let delay = match self.listed_in_vain {
            0 => None,
            failures => Some(backoff(failures - 1)),
        };
        self.listed_in_vain = self.listed_in_vain.saturating_add(1);
        let (requests, sender) = (Arc::clone(&self.requests), self.sender.clone());
        let list = async move {
            if let Some(delay) = delay {
                sleep(delay).await;
            }
            let event = match requests.list_shards().await {
                Ok(shards) => Event::Listed(shards),
                Err(error) => Event::Failed(error),
            };
            // This fails only if the reader was dropped.
            drop(sender.send(event).await);
        };
        self.tasks.spawn_on(list, &self.runtime);
    }
}

impl<T: FromKplRecordOwned + Send + 'static> Stream for Reader<T> {
    type Item = Result<Received<T>, ReaderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl<T> Unpin for Reader<T> {}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("stream", &self.requests.stream)
            .field("options", &self.requests.options)
            .field("shards", &self.shards)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
