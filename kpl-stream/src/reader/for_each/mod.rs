//! Calls a function for each record of a stream, and saves positions.
//!
//! The function is the same as in `kpl-lambda`, and so are the choices around it: how many records are handled at a time
//! ([`Concurrency`]), what happens after one that failed ([`OnFailure`]), and where records go that cannot be decoded.
//!
//! ```no_run
//! use kpl_stream::reader::{FilePositions, Reader};
//! use kpl_stream::{Concurrency, Received, Undecodable};
//! # #[derive(Clone, serde::Serialize, serde::Deserialize, kpl::KplRecord)] #[kpl(codec = kpl::codec::Json)]
//! # struct Click { #[kpl(partition_key)] user: String }
//! # async fn store(_: Click) -> Result<(), std::io::Error> { Ok(()) }
//! # async fn keep(_: &[u8], _: String) -> Result<(), std::io::Error> { Ok(()) }
//! # async fn stop() {}
//! # async fn run(client: impl kpl_stream::client::ReadClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
//! let reader = Reader::<Click>::builder()
//!     .client(client)
//!     .positions(FilePositions::new("positions.txt"))
//!     .build("clicks")
//!     .await?;
//! reader
//!     .for_each(|click: Received<Click>| async move { store(click.value).await })
//!     .concurrency(Concurrency::ByPartitionKey(16.try_into()?))
//!     .retries(5)
//!     .dead_letters(|record: Undecodable| async move { keep(record.data(), record.to_string()).await })
//!     .until(stop()) // SIGTERM or Ctrl-C, for example
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Reader::for_each_shard`] calls a function with all records of a shard that are at hand, for stores that take many at
//! once.
//!
//! # Positions
//!
//! What is saved never passes a record that was not handled. If records are handled concurrently, the first one of each
//! shard that is not finished bounds the shard's position. So a program that ends at any point, and starts again with the
//! same positions, handles everything that it had not handled, and those again that were finished after the last saved
//! position: delivery is at least once.
//!
//! Positions are saved when the loop starts, then once [`save_after`](ForEach::save_after) records can be saved or
//! [`save_interval`](ForEach::save_interval) has passed, and when the loop ends, whatever the reason. Handling goes on while
//! they are saved. If they cannot be saved, the loop ends with the error.
//!
//! # The end
//!
//! | because | not finished yet | result |
//! |---|---|---|
//! | the future of [`until`](ForEach::until) has completed | what is being handled is finished, what was not started is left | `Ok` |
//! | a record failed, with [`OnFailure::Stop`] | the same | [`ForEachError::Handler`], with the record's place |
//! | positions cannot be saved | the same | [`ForEachError::Reader`] |
//! | the function panics | the same | the panic goes on after positions were saved |
//! | the reader [ends when nothing arrives](crate::reader::ReaderBuilder::end_when_idle) | everything that was read is handled | `Ok` |
//! | the reader ends with an error, or a panic of `T`'s conversion | the same | [`ForEachError::Reader`], or the panic |
//!
//! If several things fail, the first one is the result, also if it fails after the loop was told to stop. If the future of
//! [`run`](ForEach::run) is dropped, handling is broken off and nothing more is saved.
//!
//! # Failures
//!
//! Every failure is reported as a `tracing` event at level `ERROR`. With [`OnFailure::Continue`] **that is all that remains
//! of the record**: nothing retries it, as Lambda does, and its position is saved as if it had been handled. Let the function
//! itself put such records somewhere, or be content with their loss. [`retries`](ForEach::retries) helps against failures
//! that pass.
//!
//! # Memory
//!
//! In addition to what the reader [buffers](crate::reader::ReaderBuilder::max_buffered_bytes), at most
//! [`max_unfinished`](ForEach::max_unfinished) records are in memory.

mod driver;
mod error;
mod kind;
mod lanes;
mod unfinished;

use std::fmt;
use std::future::{Future, pending};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::time::Duration;

use kpl_core::{FromKplRecordOwned, Received, Undecodable};
pub use kpl_handler::Place;
use kpl_handler::{Concurrency, DeadLetters, Error, Failures, OnFailure, ShardRecords};

pub use self::error::ForEachError;
pub use self::kind::{EachRecord, EachShard};
use self::kind::{Kind, Options, Retries};
use super::Reader;

/// A loop over the records of a stream: see [the module](self).
///
/// [`Reader::for_each`] and [`Reader::for_each_shard`] create it, and [`run`](Self::run) runs it.
#[must_use = "a loop does nothing until it runs"]
pub struct ForEach<T, K> {
    reader: Reader<T>,
    kind: K,
    options: Options,
    saving: Saving,
    max_unfinished: usize,
    until: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// When positions are saved.
#[derive(Clone, Copy, Debug)]
struct Saving {
    after: usize,
    interval: Duration,
}

impl<T> Reader<T> {
    /// Calls `f` with each record, and saves positions: see the module [`for_each`](self). It takes the reader, because
    /// records that are left when the loop ends are read again by a reader that is built later.
    ///
    /// ```no_run
    /// # use kpl_core::RawRecord;
    /// # use kpl_stream::reader::for_each::ForEachError;
    /// # use kpl_stream::{Reader, Received};
    /// # async fn run(reader: Reader<RawRecord>) -> Result<(), ForEachError> {
    /// reader
    ///     .for_each(|record: Received<RawRecord>| async move {
    ///         println!("{} bytes", record.value.data.len());
    ///         Ok::<_, std::convert::Infallible>(())
    ///     })
    ///     .run()
    ///     .await
    /// # }
    /// ```
    pub fn for_each<F, Fut, E>(self, f: F) -> ForEach<T, EachRecord<T, F>>
    where
        F: Fn(Received<T>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Error>,
    {
        ForEach::new(self, EachRecord::new(f))
    }

    /// Calls `f` with all records of one shard that are at hand, in order, again and again, and saves positions: see the
    /// module [`for_each`](self). Shards are handled side by side, each with one call at a time. Records of a shard wait
    /// until those of the shards that it came from are finished, so the records of a partition key keep their order.
    ///
    /// `f` returns [`Failures`], or `()` if all are done. If it returns an error, all of them have failed. Records that
    /// cannot be decoded go to the [`dead letters`](ForEach::dead_letters) before `f` is called with the others.
    ///
    /// ```no_run
    /// # use kpl_core::RawRecord;
    /// # use kpl_stream::reader::for_each::ForEachError;
    /// # use kpl_stream::{Reader, Received, ShardRecords};
    /// # async fn store(_: &[Received<RawRecord>]) -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn run(reader: Reader<RawRecord>) -> Result<(), ForEachError> {
    /// reader
    ///     .for_each_shard(|shard: ShardRecords<RawRecord>| async move { store(&shard.records).await })
    ///     .run()
    ///     .await
    /// # }
    /// ```
    pub fn for_each_shard<F, Fut, R, E>(self, f: F) -> ForEach<T, EachShard<F>>
    where
        F: Fn(ShardRecords<T>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        R: Into<Failures>,
        E: Into<Error>,
    {
        ForEach::new(self, EachShard::new(f))
    }
}

impl<T, F> ForEach<T, EachRecord<T, F>> {
    /// Sets how many records are handled concurrently. The default is [`Concurrency::Sequential`].
    ///
    /// All of them run in one task: this helps functions that wait, not functions that compute.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.kind.concurrency = concurrency;
        self
    }

    /// Sets how many times more the function is called with a record for which it fails, before the record has failed.
    /// The default is 0. The function is called with a clone each time but the last.
    ///
    /// Between the calls are pauses that grow from 100 ms to 5 s, with jitter, and each failure before the last is logged as
    /// a `tracing` warning. Records that must come after this one wait meanwhile. A record whose next call is due when the
    /// loop has stopped is left.
    pub fn retries(self, count: u32) -> Self
    where
        T: Clone,
    {
        self.retries_of_copies(count, Received::clone)
    }

    /// As [`retries`](Self::retries), with what copies a record: for those who do not know that `T` can be cloned.
    #[doc(hidden)]
    pub fn retries_of_copies(mut self, count: u32, copy: fn(&Received<T>) -> Received<T>) -> Self {
        self.kind.retries = Some(Retries { count, copy });
        self
    }
}

impl<T, F> ForEach<T, EachShard<F>> {
    /// Sets how many shards are handled concurrently. The default is all.
    ///
    /// All of them run in one task: this helps functions that wait, not functions that compute.
    pub fn max_shards(mut self, limit: NonZeroUsize) -> Self {
        self.kind.limit = limit;
        self
    }
}

impl<T, K> ForEach<T, K> {
    fn new(reader: Reader<T>, kind: K) -> Self {
        Self {
            reader,
            kind,
            options: Options::default(),
            saving: Saving {
                after: 10_000,
                interval: Duration::from_secs(5),
            },
            max_unfinished: 1000,
            until: Box::pin(pending()),
        }
    }

    /// Sets what happens to the records after one that failed. The default is [`OnFailure::Stop`]: nothing more is
    /// started, what has been started is finished, and the loop ends with the error. With [`OnFailure::Continue`] the
    /// record that failed is [logged and passed over](self#failures).
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.options.on_failure = on_failure;
        self
    }

    /// Passes records that cannot be decoded to your function: their raw bytes, the reason and the place. Such a record
    /// is done when the function returns `Ok`, and has failed if it returns an error. Without this, a record that cannot
    /// be decoded is a failure like any other.
    pub fn dead_letters<F, Fut, E>(mut self, f: F) -> Self
    where
        F: Fn(Undecodable) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        self.options.dead_letters = DeadLetters::new(f);
        self
    }

    /// Sets after how many records positions are saved, if the [interval](Self::save_interval) is not over before. The
    /// default is 10,000: a program that is killed handles at most that many again, and those under way. 0 counts as 1.
    pub fn save_after(mut self, records: usize) -> Self {
        self.saving.after = records;
        self
    }

    /// Sets how long records that were handled may wait for their position to be saved. The default is 5 seconds: a write to
    /// the disk or to a table every 5 seconds costs next to nothing, and a program that is killed repeats little.
    pub fn save_interval(mut self, interval: Duration) -> Self {
        self.saving.interval = interval;
        self
    }

    /// Sets how many records may have been taken from the reader that are not finished, or come after one of their shard
    /// that is not. The default is 1,000; the limit of [`Concurrency`] counts if it is higher. At the limit nothing is taken
    /// until the first record of a shard is finished.
    ///
    /// This bounds the values in memory, and how many records of [`Reader::for_each_shard`] a call can have. Set it higher
    /// if a few partition keys have most of the records and the others are to be handled meanwhile, and lower if records
    /// are large.
    pub fn max_unfinished(mut self, records: NonZeroUsize) -> Self {
        self.max_unfinished = records.get();
        self
    }

    /// Stops when a future completes, whatever its output. What is being handled then is finished.
    pub fn until<S>(mut self, stop: S) -> Self
    where
        S: Future + Send + 'static,
    {
        self.until = Box::pin(async move { drop(stop.await) });
        self
    }
}

impl<T, K> ForEach<T, K>
where
    T: FromKplRecordOwned + Send + 'static,
    K: Kind<T>,
{
    /// Runs until the reader ends, a record fails or the loop is told to stop: see [the module](self#the-end).
    ///
    /// # Errors
    ///
    /// [`ForEachError::Handler`] if a record failed, unless failures are passed over. [`ForEachError::Reader`] if the reader
    /// ended with an error, or positions could not be saved.
    ///
    /// # Panics
    ///
    /// Panics if the function panics, or the code of `T` that converts a record to a value. What was handled before is
    /// saved.
    pub async fn run(self) -> Result<(), ForEachError> {
        driver::run(self).await
    }
}

impl<T, K: fmt::Debug> fmt::Debug for ForEach<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForEach")
            .field("reader", &self.reader)
            .field("kind", &self.kind)
            .field("options", &self.options)
            .field("saving", &self.saving)
            .field("max_unfinished", &self.max_unfinished)
            .finish_non_exhaustive()
    }
}
