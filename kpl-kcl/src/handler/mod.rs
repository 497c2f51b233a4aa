//! Handlers: they call your function for the user records of a shard, and make the checkpoints.

mod delivery;
mod failed;
mod kind;
mod order;
mod records;

use std::fmt;
use std::future::Future;
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use kpl_core::{FromKplRecordOwned, Received, Undecodable};
use kpl_handler::{Concurrency, DeadLetters, Error, Failures, Hook, OnFailure};

use self::delivery::Checkpoints;
pub use self::failed::Failed;
use self::kind::{Kind, Options};
pub use self::kind::{PerBatch, PerRecord};
use crate::connection::Checkpointer;
use crate::error::RunError;
use crate::processor::{ShardProcessor, run_processor, serve};
use crate::protocol::{Delivery, Shard};

/// Handles the records of a shard with your function, and makes checkpoints that never pass what was not handled.
///
/// ```no_run
/// use kpl_kcl::{Concurrency, Failed, Handler, Received, RunError, Undecodable};
/// # #[derive(kpl::KplRecord)] struct Line { #[kpl(partition_key)] key: String, #[kpl(payload)] text: Vec<u8> }
/// # async fn store(_: Line) -> Result<(), std::io::Error> { Ok(()) }
/// # async fn keep(_: &[u8], _: String) -> Result<(), std::io::Error> { Ok(()) }
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), RunError> {
///     Handler::per_record(|line: Received<Line>| async move { store(line.value).await })
///         .concurrency(Concurrency::ByPartitionKey(16.try_into().unwrap()))
///         .retries(5)
///         .failed(|record: Failed| async move { keep(&record.data, record.error.to_string()).await })
///         .dead_letters(|record: Undecodable| async move { keep(record.data(), record.to_string()).await })
///         .run()
///         .await
/// }
/// ```
///
/// # Checkpoints
///
/// A checkpoint is the position of the last user record of which it and all before it are handled, sub-sequence number
/// included: the next process for the shard starts after it, also inside an aggregate. So delivery is at least once: a process
/// that is killed repeats what was handled after the last checkpoint, and nothing is left out.
///
/// One is made once [`checkpoint_after`](Self::checkpoint_after) records or [`checkpoint_interval`](Self::checkpoint_interval)
/// ask for it, when the daemon is told to stop, and at the end of the shard. Handling goes on meanwhile. Between two messages of
/// the daemon none can be made: with the daemon's property `callProcessRecordsEvenForEmptyRecordList = true` a message
/// comes at least every `idleTimeBetweenReadsInMillis`, also while the stream is quiet.
///
/// # Failures
///
/// | what happens | with [`OnFailure::Stop`] | with [`OnFailure::Continue`] |
/// |---|---|---|
/// | the function fails, and every [retry](Self::retries) | the record goes to [`failed`](Self::failed); without that, the process ends with the error | the record goes to `failed`; without that, it is logged and passed over |
/// | a record cannot be decoded | it goes to [`dead_letters`](Self::dead_letters); without them, the process ends with the error | it goes to `dead_letters`; without them, it is logged and passed over |
/// | `failed` or `dead_letters` fails | the process ends with the error | it is logged and passed over |
/// | the function panics | the process ends at once, without a checkpoint | the same |
///
/// Before the process ends with an error, the records before the failed one are handled, and a checkpoint is made of them. The
/// daemon ends with the process, so that whatever supervises it, and its alarms, learn of the failure. The next process starts at
/// the record that failed.
#[must_use = "a handler does nothing until it runs"]
pub struct Handler<T, K> {
    kind: K,
    options: Options,
    checkpoints: Checkpoints,
    shard_id: Option<Arc<str>>,
    marker: PhantomData<fn() -> T>,
}

impl<T, F> Handler<T, PerRecord<F>> {
    /// Creates a handler that calls `f` with each user record.
    pub fn per_record<Fut, E>(f: F) -> Self
    where
        T: FromKplRecordOwned,
        F: Fn(Received<T>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Error>,
    {
        Self::new(PerRecord::new(f))
    }

    /// Sets how many user records are handled concurrently: those of one delivery, whose size the daemon's property
    /// `maxRecords` bounds. The default is [`Concurrency::Sequential`].
    ///
    /// All of them run in one task: this helps functions that wait, not functions that compute. Other shards are handled by
    /// other processes.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.kind.concurrency = concurrency;
        self
    }
}

impl<T, F> Handler<T, PerBatch<F>> {
    /// Creates a handler that calls `f` with all user records of each delivery, in order, unless there are none.
    ///
    /// `f` returns [`Failures`], or `()` if all are done. If it returns an error, all of them have failed. With
    /// [`OnFailure::Stop`], it is not called with what comes after a record that cannot be decoded.
    pub fn per_batch<Fut, R, E>(f: F) -> Self
    where
        T: FromKplRecordOwned,
        F: Fn(Vec<Received<T>>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        R: Into<Failures>,
        E: Into<Error>,
    {
        Self::new(PerBatch::new(f))
    }
}

impl<T, K> Handler<T, K> {
    fn new(kind: K) -> Self {
        Self {
            kind,
            options: Options::default(),
            checkpoints: Checkpoints::default(),
            shard_id: None,
            marker: PhantomData,
        }
    }

    /// Sets what happens after a user record that failed and that nothing took. The default is [`OnFailure::Stop`]. See
    /// [the table](Self#failures).
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.options.on_failure = on_failure;
        self
    }

    /// Sets how many times more the function is called with records for which it fails, before they have failed. The default is
    /// 0. Their values are read again each time.
    ///
    /// Between the calls are pauses that grow from 100 ms to 5 s, with jitter, and each failure before the last is logged as
    /// a `tracing` warning. Records of the same partition key wait meanwhile; with [`per_batch`](Self::per_batch), those of the
    /// delivery that did not fail are done, whatever their key. Mind the daemon's property `timeoutInSeconds`,
    /// if it is set: a delivery must be handled within it.
    pub fn retries(mut self, count: u32) -> Self {
        self.options.retries = count;
        self
    }

    /// Passes user records that failed each time to your function: their data, the error and the place. Such a record is done
    /// when the function returns `Ok`, and has failed if it returns an error.
    pub fn failed<F, Fut, E>(mut self, f: F) -> Self
    where
        F: Fn(Failed) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        self.options.failed = Some(Hook::new(f));
        self
    }

    /// Passes records that cannot be decoded to your function: their raw bytes, the reason and the place. Such a record
    /// is done when the function returns `Ok`, and has failed if it returns an error.
    pub fn dead_letters<F, Fut, E>(mut self, f: F) -> Self
    where
        F: Fn(Undecodable) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        self.options.dead_letters = DeadLetters::new(f);
        self
    }

    /// Sets after how many records a checkpoint is made, if the [interval](Self::checkpoint_interval) is not over before. The
    /// default is 10,000: the next process repeats about as many at most after one that was killed, and those that were handled
    /// after the first that was not done. 0 counts as 1.
    pub fn checkpoint_after(mut self, records: u64) -> Self {
        self.checkpoints.after = records;
        self
    }

    /// Sets how long records that were handled may wait for a checkpoint. The default is 5 seconds: it is one write to the
    /// lease table, and the KCL writes there every 3 seconds anyway to keep the lease.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.checkpoints.interval = interval;
        self
    }
}

impl<T: FromKplRecordOwned, K: Kind<T>> Handler<T, K> {
    /// Serves the daemon on standard input and output, until the daemon ends the process: see [`run_processor`].
    ///
    /// # Errors
    ///
    /// [`RunError::Handler`] if a record failed, unless failures are passed over; the others if the daemon cannot be talked
    /// with, or the last checkpoint of a shard cannot be made.
    pub async fn run(self) -> Result<(), RunError> {
        run_processor(self).await
    }

    /// Serves a daemon on other input and output, such as those of a test: see [`serve`].
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn serve(
        self,
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
    ) -> Result<(), RunError> {
        serve(self, input, output).await
    }
}

impl<T: FromKplRecordOwned, K: Kind<T>> ShardProcessor for Handler<T, K> {
    async fn initialize(&mut self, shard: &Shard) -> Result<(), Error> {
        self.shard_id = Some(shard.id.as_str().into());
        Ok(())
    }

    async fn process(&mut self, delivery: &Delivery<'_>, checkpointer: &mut Checkpointer<'_>) -> Result<(), Error> {
        delivery::process(self, delivery, checkpointer).await
    }

    async fn shutdown_requested(&mut self, checkpointer: &mut Checkpointer<'_>) -> Result<(), Error> {
        self.checkpoints.make(checkpointer).await
    }
}

impl<T, K: fmt::Debug> fmt::Debug for Handler<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("kind", &self.kind)
            .field("options", &self.options)
            .field("checkpoints", &self.checkpoints)
            .finish_non_exhaustive()
    }
}

/// Calls `f` with each user record of the shard, one after another, until the daemon ends the process. The process ends at the
/// first failure; [`Handler`] offers the alternatives.
///
/// # Errors
///
/// As [`Handler::run`].
pub async fn run<T, F, Fut, E>(f: F) -> Result<(), RunError>
where
    T: FromKplRecordOwned,
    F: Fn(Received<T>) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Error>,
{
    Handler::per_record(f).run().await
}
