//! Reads a stream in one process: all its shards, as typed user records, in order within each shard.
//!
//! A fleet that shares the shards of a stream among machines uses the
//! [KCL](https://docs.aws.amazon.com/streams/latest/dev/kcl.html) or
//! [Lambda](https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html); a [`Reader`] coordinates with nobody.
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
//!         Ok(record) => println!("{:?}: {:?}", record.position(), record.value),
//!         Err(ReaderError::Record(error)) => eprintln!("{error}: {:?}", error.data()),
//!         Err(error) => return Err(error.into()),
//!     }
//!     reader.commit().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Shards
//!
//! Shards are read side by side. After a split or a merge the new shards are read when every parent that the service
//! still knows was read to its end, and when the consumer has all its records: so the records of one partition key keep
//! their order. Nothing is filtered by hash key range, so streams whose record distribution strategy is AUTO are read
//! as they are.
//!
//! # Positions
//!
//! A position is saved when the consumer says so: [`Reader::commit`] for all that it has, or [`Reader::save`] for one
//! record and those before it in its shard. A reader that is built later with the same [`Positions`] goes on after it,
//! also in the middle of an aggregate. What was read and not saved is read again: at least once, never lost.
//! [`FilePositions`] keeps them in a file, [`MemoryPositions`] for the life of the program.
//!
//! * Each time, the states of all shards that changed are saved, those without a record included, which are to be read
//!   from their beginning, or from a minute before the reader was built if it started at the latest record: the minute
//!   is for clocks that differ.
//! * A shard is saved as [ended](ShardState::Ended) when it was read to its end and its last record is saved.
//! * [`Start`] counts only where nothing was saved for the stream. In a stream with saved positions, a shard without one
//!   came into being later, and is read from its oldest record on.
//! * If the record of a saved position is trimmed, its shard is read from its oldest record on, so what was trimmed is
//!   lost and nothing is given twice. What was trimmed is what is older than the stream's
//!   [retention period](https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html).
//!
//! # Failures
//!
//! A record that cannot be decoded is an error that has its bytes, and the next record follows. A request that was
//! throttled, failed, or was not answered in time is made again, after 1 s at first and 30 s at last, for as long as it takes;
//! each time is a warning of `tracing`. What the service refuses for good ends the reader.

mod builder;
mod error;
mod fetch;
mod file;
mod positions;
mod requests;
mod shards;

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use kpl_core::{FromKplRecordOwned, Origin, Position, Received};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use self::builder::{ReaderBuilder, Start};
pub use self::error::{PositionsError, ReaderError};
pub use self::file::FilePositions;
pub use self::positions::{InvalidShardState, MemoryPositions, Positions, ShardState};

use self::fetch::{Event, Item, ShardTask};
use self::requests::{Requests, backoff};
use self::shards::Shards;

/// Reads a stream: see [the module](self).
///
/// It reads ahead of the consumer in tasks of its own, as far as [`max_batches`](ReaderBuilder::max_batches) lets it, and
/// ends them when it is dropped.
pub struct Reader<T> {
    requests: Arc<Requests>,
    positions: Arc<dyn Positions>,
    shards: Shards,
    /// Iterators at the end of shards that were not read yet.
    iterators: BTreeMap<String, String>,
    events: mpsc::Receiver<Event<T>>,
    sender: mpsc::Sender<Event<T>>,
    tasks: JoinSet<()>,
    runtime: Handle,
    items: std::vec::IntoIter<Item<T>>,
    /// The last of `items` that the consumer has, if `shards` do not know it yet.
    given: Option<(Arc<Origin>, Option<Position>)>,
    /// That of the batch of which `items` are the last.
    permit: Option<OwnedSemaphorePermit>,
    /// Whether shards are being listed.
    listing: bool,
    /// How often in sequence they were listed without success.
    listed_in_vain: u32,
    over: bool,
}

impl<T> Reader<T> {
    /// Starts to build a reader.
    pub fn builder() -> ReaderBuilder<T, ()> {
        ReaderBuilder::new()
    }
}

impl<T: FromKplRecordOwned + Send + 'static> Reader<T> {
    fn new(
        requests: Arc<Requests>,
        positions: Arc<dyn Positions>,
        shards: Shards,
        iterators: BTreeMap<String, String>,
        max_batches: usize,
    ) -> Self {
        let (sender, events) = mpsc::channel(max_batches);
        let mut reader = Self {
            requests,
            positions,
            shards,
            iterators,
            events,
            sender,
            tasks: JoinSet::new(),
            runtime: Handle::current(),
            items: Vec::new().into_iter(),
            given: None,
            permit: None,
            listing: false,
            listed_in_vain: 0,
            over: false,
        };
        reader.go_on();
        reader
    }

    /// The next record. It waits for one as long as it takes; `None` comes only after an error that is not about a record.
    ///
    /// It can be dropped and called again: nothing is lost.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Record`] if the record cannot be decoded: the next one follows. [`ReaderError::Request`] if the
    /// service refused: this was the end.
    ///
    /// # Panics
    ///
    /// If the code of `T` that makes a value of a record does.
    pub async fn next(&mut self) -> Option<Result<Received<T>, ReaderError>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Saves that the consumer is done with all records that it was given, errors included.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Positions`] if the store fails. The reader goes on, and the next call saves it.
    pub async fn commit(&mut self) -> Result<(), ReaderError> {
        self.note_given();
        self.shards.finish_all();
        self.save_states().await
    }

    /// Saves that the consumer is done with a record that this reader returned, and with those before it in its shard. If the
    /// record's value was given away, [`Received::into_parts`] left a record to save.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
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
        let saved = self.positions.save(stream, &states).await;
        saved.map_err(|error| ReaderError::Positions {
            stream: Arc::clone(stream),
            operation: "save",
            error,
        })?;
        self.shards.all_saved();
        Ok(())
    }

    fn note_given(&mut self) {
        if let Some((origin, position)) = self.given.take() {
            self.shards
                .give(origin.shard_id.as_deref().unwrap_or_default(), position);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Received<T>, ReaderError>>> {
        loop {
            if let Some(item) = self.items.next() {
                self.given = Some(match &item {
                    Ok(record) => (Arc::clone(record.origin()), record.position()),
                    Err(error) => (Arc::clone(error.origin()), error.position()),
                });
                return Poll::Ready(Some(item.map_err(ReaderError::Record)));
            }
            self.note_given();
            self.permit = None;
            if self.over {
                return Poll::Ready(None);
            }
            self.watch_tasks(cx);
            match ready!(self.events.poll_recv(cx)) {
                Some(Event::Records { items, permit }) => {
                    self.items = items.into_iter();
                    self.permit = permit;
                }
                Some(Event::Ended { shard_id, children }) => {
                    self.shards.end(&shard_id);
                    self.shards.add_new(children);
                    self.go_on();
                }
                Some(Event::Gone { shard_id }) => {
                    self.shards.forget(&shard_id);
                    self.go_on();
                }
                Some(Event::Listed(shards)) => {
                    self.listing = false;
                    self.shards.add_new(shards);
                    self.go_on();
                }
                Some(Event::Failed(error)) => {
                    self.over = true;
                    self.tasks.abort_all();
                    return Poll::Ready(Some(Err(error)));
                }
                // Never: `sender` is here.
                None => self.over = true,
            }
        }
    }

    /// Panics if a task did: the shard of it would be silent otherwise.
    fn watch_tasks(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next(cx) {
            match ended {
                Err(error) if error.is_panic() => {
                    self.over = true;
                    self.tasks.abort_all();
                    resume_unwind(error.into_panic());
                }
                _ => {}
            }
        }
    }

    /// Reads the shards whose turn it is, and looks for those that are not known.
    fn go_on(&mut self) {
        for (shard_id, from) in self.shards.take_ready() {
            let task = ShardTask {
                requests: Arc::clone(&self.requests),
                iterator: self.iterators.remove(&*shard_id),
                shard_id,
                from,
            };
            self.tasks.spawn_on(task.run(self.sender.clone()), &self.runtime);
        }
        if !self.shards.lacks_children() {
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
            // It fails only if there is no reader any more.
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
