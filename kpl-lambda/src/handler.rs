//! Handlers: they call your function for each user record, each event or each shard, and do everything around it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kpl_core::{FromKplRecordOwned, Origin, Received, Undecodable};
#[doc(inline)]
pub use kpl_handler::{Concurrency, OnFailure, PerBatch, PerRecord, PerShard, ShardRecords};
use kpl_handler::{DeadLetters, Failures, Kind, Place, Progress, Undone};
use lambda_runtime::{Error, LambdaEvent, service_fn};

use crate::answer::answer;
use crate::batch::Batch;
use crate::checkpoint::Checkpoints;
use crate::event::{BatchResponse, Event, EventKind, Payload};

/// Handles Kinesis events with your function, and reports which Kinesis records failed.
///
/// If a user record fails, its Kinesis record fails, and the answer contains its sequence number. Lambda then retries
/// from the [lowest one](https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html), so
/// user records before the failed one inside its aggregate are seen again, unless there are
/// [`checkpoints`](Self::checkpoints). Without `ReportBatchItemFailures` in the event source mapping, Lambda takes
/// every answer for a success, **and failed records are lost**.
///
/// Everything before the lowest sequence number in the answer is done. A function that panics fails the user record that it
/// was called with (or the batch, or the shard), like one that returns an error.
///
/// Every failure is reported as a `tracing` event at level `ERROR`: install a subscriber, such as
/// `lambda_runtime::tracing::init_default_subscriber`.
///
/// ```no_run
/// use kpl_lambda::{Concurrency, Error, Handler, MemoryCheckpoints, Received, Undecodable};
/// # #[derive(kpl::KplRecord)] struct Line { #[kpl(partition_key)] key: String, #[kpl(payload)] text: Vec<u8> }
/// # async fn store(_: Line) -> Result<(), std::io::Error> { Ok(()) }
/// # async fn keep(_: &[u8], _: String) -> Result<(), std::io::Error> { Ok(()) }
///
/// #[tokio::main]
/// async fn main() -> Result<(), Error> {
///     Handler::per_record(|line: Received<Line>| async move { store(line.value).await })
///         .concurrency(Concurrency::ByPartitionKey(16.try_into()?))
///         .checkpoints(MemoryCheckpoints::new())
///         .dead_letters(|record: Undecodable| async move { keep(record.data(), record.to_string()).await })
///         .run()
///         .await
/// }
/// ```
#[must_use = "a handler does nothing until it runs"]
pub struct Handler<T, K> {
    kind: K,
    dead_letters: DeadLetters,
    checkpoints: Option<Arc<dyn Checkpoints>>,
    deadline_margin: Duration,
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

    /// Sets what happens to the user records after one that failed. The default is [`OnFailure::Stop`].
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.kind = self.kind.on_failure(on_failure);
        self
    }

    /// Sets how many user records of an event are handled concurrently. The default is [`Concurrency::Sequential`].
    ///
    /// All of them run in the single task of the invocation: this helps functions that wait, not functions that
    /// compute.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.kind = self.kind.concurrency(concurrency);
        self
    }
}

impl<T, F> Handler<T, PerBatch<F>> {
    /// Creates a handler that calls `f` once with all user records of an event, in order. `f` is not called if there
    /// are none.
    ///
    /// `f` returns [`Failures`], or `()` if all are done. If it returns an error, all of them have failed.
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

impl<T, F> Handler<T, PerShard<F>> {
    /// Creates a handler that calls `f` once for each shard of an event, one shard after another, with the shard's user
    /// records in order. `f` is not called for a shard without user records. An event of an event source mapping
    /// contains records of one shard only.
    ///
    /// `f` returns [`Failures`], or `()` if all are done. If it returns an error, all records of the shard have failed.
    pub fn per_shard<Fut, R, E>(f: F) -> Self
    where
        T: FromKplRecordOwned,
        F: Fn(ShardRecords<T>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        R: Into<Failures>,
        E: Into<Error>,
    {
        Self::new(PerShard::new(f))
    }
}

impl<T, K> Handler<T, K> {
    fn new(kind: K) -> Self {
        Self {
            kind,
            dead_letters: DeadLetters::default(),
            checkpoints: None,
            deadline_margin: Duration::from_secs(1),
            marker: PhantomData,
        }
    }

    /// Passes records that cannot be decoded to your function: their raw bytes, the reason and the place. Such a record
    /// is done when the function returns `Ok`, and has failed if it returns an error.
    ///
    /// Without this, a record that cannot be decoded is a failure like any other: it blocks its shard until Lambda
    /// gives up on it, as the event source mapping's limits say.
    pub fn dead_letters<F, Fut, E>(mut self, f: F) -> Self
    where
        F: Fn(Undecodable) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        self.dead_letters = DeadLetters::new(f);
        self
    }

    /// Remembers how far inside an aggregate a failed invocation got, so that the retry continues after that. By
    /// default nothing is remembered.
    pub fn checkpoints(mut self, checkpoints: impl Checkpoints) -> Self {
        self.checkpoints = Some(Arc::new(checkpoints));
        self
    }

    /// Sets how long before the end of the invocation handling ends, so that the answer, which says what is not done, is
    /// there in time; otherwise Lambda ends the function and retries everything. The default is 1 second; it is never more
    /// than half of the time that the function has.
    ///
    /// From then on, no user record begins. What is running has half of this time left; then it is dropped, at its current
    /// `await`, and is not done.
    pub fn deadline_margin(mut self, margin: Duration) -> Self {
        self.deadline_margin = margin;
        self
    }
}

impl<T: FromKplRecordOwned, K: Kind<T>> Handler<T, K> {
    /// Handles one event, for functions that have their own `main`, and for tests.
    ///
    /// # Errors
    ///
    /// Returns a [`HandlerError`] if a checkpoint cannot be loaded or the event is a transformation, and nothing has been
    /// handled then; or if something failed and an answer could not say so. Let the invocation fail.
    pub async fn handle(&self, event: &Event) -> Result<BatchResponse, HandlerError> {
        self.handle_by(event, Progress::new(self.kind.on_failure())).await
    }

    /// Handles one event, and ends in time before the invocation does: at
    /// [`Context::deadline`](lambda_runtime::Context::deadline). See [`deadline_margin`](Self::deadline_margin). A deadline
    /// that has passed is not one.
    ///
    /// # Errors
    ///
    /// As those of [`handle`](Self::handle).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime of Tokio with timers, which `#[tokio::main]` is.
    pub async fn handle_until(&self, event: &Event, deadline: SystemTime) -> Result<BatchResponse, HandlerError> {
        let mut progress = Progress::new(self.kind.on_failure());
        let left = deadline.duration_since(SystemTime::now()).unwrap_or_default();
        let margin = self.deadline_margin.min(left / 2);
        if !left.is_zero()
            && let Some(begin_until) = Instant::now().checked_add(left - margin)
        {
            progress = progress.ending(begin_until, tokio::time::sleep(left - margin / 2));
        }
        self.handle_by(event, progress).await
    }

    async fn handle_by(&self, event: &Event, progress: Progress) -> Result<BatchResponse, HandlerError> {
        if event.kind() == EventKind::Transformation {
            return Err(HandlerError::Transformation);
        }
        let batch = Batch::from(event);
        let firsts = first_of_each_shard(&batch);
        let resumed = self.load(&batch, &firsts).await?;
        let items = batch.user_records::<T>().filter(|item| {
            let place = Place::of(item);
            let done = resumed.get(&place.kinesis_record_index);
            done.is_none_or(|done| place.sub_sequence_number > *done)
        });
        self.kind.process(items, &self.dead_letters, &progress).await;
        let undone = progress.into_undone();
        self.save(&batch, &resumed, &undone).await;
        answer(event, &batch, &undone)
    }

    /// Serves Lambda until the execution environment ends.
    ///
    /// # Errors
    ///
    /// Returns the error of [`lambda_runtime::run`] if the runtime API cannot be reached.
    ///
    /// # Panics
    ///
    /// Panics if the environment variables of the runtime are not set: outside Lambda and its emulators.
    pub async fn run(self) -> Result<(), Error> {
        let handler = &self;
        let handle = move |event: LambdaEvent<Payload>| async move {
            let LambdaEvent { payload, context, .. } = event;
            Ok::<_, Error>(handler.handle_until(&payload.read()?, context.deadline()).await?)
        };
        lambda_runtime::run(service_fn(handle)).await
    }

    async fn load(&self, batch: &Batch<'_>, firsts: &[usize]) -> Result<BTreeMap<usize, u64>, HandlerError> {
        let mut resumed = BTreeMap::new();
        let Some(checkpoints) = &self.checkpoints else {
            return Ok(resumed);
        };
        for index in firsts {
            let Some(origin) = identified(batch, *index) else {
                continue;
            };
            match checkpoints.load(&origin).await {
                Ok(Some(done)) => drop(resumed.insert(*index, done)),
                Ok(None) => {}
                Err(error) => {
                    let origin = Box::new(origin);
                    return Err(HandlerError::Checkpoint { origin, error });
                }
            }
        }
        Ok(resumed)
    }

    /// Saves what a retry needs to continue inside an aggregate, and clears the entries that are no longer needed.
    async fn save(&self, batch: &Batch<'_>, resumed: &BTreeMap<usize, u64>, undone: &Undone) {
        let Some(checkpoints) = &self.checkpoints else {
            return;
        };
        for index in resumed.keys().filter(|index| !undone.lowest.contains_key(index)) {
            if let Some(origin) = identified(batch, *index)
                && let Err(error) = checkpoints.clear(&origin).await
            {
                tracing::warn!(event_id = batch.event_id(*index), %error, "a checkpoint was not cleared");
            }
        }
        for index in lowest_of_each_shard(batch, &undone.lowest) {
            let reached = undone.lowest.get(&index).and_then(|sub| sub.checked_sub(1));
            let Some(reached) = reached.filter(|reached| resumed.get(&index) != Some(reached)) else {
                continue;
            };
            if let Some(origin) = identified(batch, index)
                && let Err(error) = checkpoints.save(&origin, reached).await
            {
                tracing::warn!(event_id = batch.event_id(index), %error, "a checkpoint was not saved");
            }
        }
    }
}

/// Returns where a Kinesis record comes from, if it can be told from all others.
fn identified(batch: &Batch<'_>, index: usize) -> Option<Origin> {
    batch.origin(index).filter(|origin| origin.sequence_number.is_some())
}

/// Returns the index of the first Kinesis record of each shard.
fn first_of_each_shard(batch: &Batch<'_>) -> Vec<usize> {
    lowest_of(batch, 0..batch.kinesis_records().len())
}

/// Returns the index of the first undone Kinesis record of each shard.
fn lowest_of_each_shard(batch: &Batch<'_>, undone: &BTreeMap<usize, u64>) -> Vec<usize> {
    lowest_of(batch, undone.keys().copied())
}

fn lowest_of(batch: &Batch<'_>, indexes: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut shards = HashSet::new();
    indexes.filter(|index| shards.insert(batch.shard(*index))).collect()
}

impl<T, K: fmt::Debug> fmt::Debug for Handler<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("kind", &self.kind)
            .field("dead_letters", &self.dead_letters)
            .field("checkpoints", &self.checkpoints)
            .finish_non_exhaustive()
    }
}

/// Calls `f` with each user record of each event that Lambda sends, one after another, until the execution environment
/// ends. The handling of an event stops at its first failure; [`Handler`] offers the alternatives.
///
/// # Errors
///
/// Returns the error of [`lambda_runtime::run`] if the runtime API cannot be reached.
///
/// # Panics
///
/// Panics if the environment variables of the runtime are not set: outside Lambda and its emulators.
pub async fn run<T, F, Fut, E>(f: F) -> Result<(), Error>
where
    T: FromKplRecordOwned,
    F: Fn(Received<T>) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Error>,
{
    Handler::per_record(f).run().await
}

/// Why an event is not answered: the invocation must fail.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandlerError {
    /// A checkpoint could not be loaded.
    Checkpoint {
        /// The Kinesis record whose checkpoint it is.
        origin: Box<Origin>,
        /// The error of the store.
        error: Error,
    },
    /// Something failed, and no answer could say so: nothing reads one, or a record does not have the identifier that it
    /// would be named by.
    Failed {
        /// What sent the event.
        kind: EventKind,
        /// How many Kinesis records are not done.
        kinesis_records: usize,
    },
    /// The event is one of Firehose or of Kinesis Data Analytics, which expect other answers: use
    /// [`transform`](crate::transform). Nothing was handled.
    Transformation,
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint { origin, error } => {
                f.write_str("the checkpoint of a Kinesis record cannot be loaded (")?;
                if let Some(shard_id) = &origin.shard_id {
                    write!(f, "shard {shard_id}, ")?;
                }
                let number = origin.sequence_number.as_deref().unwrap_or("unknown");
                write!(f, "sequence number {number}): {error}")
            }
            Self::Failed { kind, kinesis_records } => {
                let records = if *kinesis_records == 1 {
                    "record is"
                } else {
                    "records are"
                };
                write!(f, "{kinesis_records} Kinesis {records} not done, and ")?;
                f.write_str(match kind {
                    EventKind::Copy => "nothing reads an answer that says so",
                    _ => "cannot be named, as identifiers are missing",
                })
            }
            Self::Transformation => f.write_str(
                "this is an event of Firehose or of Kinesis Data Analytics, which kpl_lambda::transform answers",
            ),
        }
    }
}

impl std::error::Error for HandlerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Checkpoint { error, .. } => Some(&**error),
            Self::Failed { .. } | Self::Transformation => None,
        }
    }
}
