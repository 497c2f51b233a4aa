//! Handlers: your function for each user record, for each event, or for each shard, and all around it.

mod kind;
mod progress;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::Arc;

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_lambda_events::event::streams::KinesisEventResponse;
use kpl_core::{FromKplRecordOwned, Origin, Received, Undecodable};
use lambda_runtime::{Error, LambdaEvent, service_fn};

use self::kind::Kind;
pub use self::kind::{PerBatch, PerRecord, PerShard, ShardRecords};
use self::progress::{Place, Progress};
use crate::batch::Batch;
use crate::checkpoint::Checkpoints;
use crate::dead_letter::DeadLetters;
use crate::event::AnyKinesisEvent;
use crate::failures::Failures;

/// What happens to the user records behind one that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// They wait for the retry, which starts at the Kinesis record that failed. Those whose handling has begun are
    /// finished.
    #[default]
    Stop,
    /// They are handled now, and once more by the retry, which starts at the first Kinesis record that failed and takes
    /// all that follow it.
    Continue,
}

/// How many user records of an event are handled at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Concurrency {
    /// One after the other, in order.
    #[default]
    Sequential,
    /// Those of one partition key one after the other, in order, and so many partition keys at the same time. The values
    /// of the whole event are in memory.
    ByPartitionKey(NonZeroUsize),
    /// So many at the same time, in any order.
    All(NonZeroUsize),
}

/// Handles Kinesis events with a function of yours, and answers which Kinesis records failed.
///
/// A user record that fails fails its Kinesis record: its sequence number is in the answer. Lambda then retries from the
/// [lowest one](https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html), so user
/// records before the failed one inside its aggregate are seen again, unless there are [`checkpoints`](Self::checkpoints).
/// Without `ReportBatchItemFailures` in the event source mapping Lambda takes every answer for a success, **and failed
/// records are lost**.
///
/// Whatever fails is told by an event of `tracing` at the level `ERROR`: set a subscriber, such as
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
    marker: PhantomData<fn() -> T>,
}

impl<T, F> Handler<T, PerRecord<F>> {
    /// Calls `f` with each user record.
    pub fn per_record<Fut, E>(f: F) -> Self
    where
        T: FromKplRecordOwned,
        F: Fn(Received<T>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Error>,
    {
        Self::new(PerRecord::new(f))
    }

    /// What happens to the user records behind one that failed. The default is [`OnFailure::Stop`].
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.kind.on_failure = on_failure;
        self
    }

    /// How many user records of an event are handled at the same time. The default is [`Concurrency::Sequential`].
    ///
    /// All run in the one task of the invocation: this is for functions that wait, not for those that compute.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.kind.concurrency = concurrency;
        self
    }
}

impl<T, F> Handler<T, PerBatch<F>> {
    /// Calls `f` once with all user records of an event, in order. It is not called if there is none.
    ///
    /// It returns [`Failures`], or `()` if all are done. An error fails all of them.
    pub fn per_batch<Fut, R, E>(f: F) -> Self
    where
        T: FromKplRecordOwned,
        F: Fn(Vec<Received<T>>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        R: Into<Failures>,
        E: Into<Error>,
    {
        Self::new(PerBatch(f))
    }
}

impl<T, F> Handler<T, PerShard<F>> {
    /// Calls `f` once with the user records of each shard of an event, in order, one shard after the other. It is not
    /// called for a shard without any. An event of an event source mapping is of one shard.
    ///
    /// It returns [`Failures`], or `()` if all are done. An error fails all of the shard's.
    pub fn per_shard<Fut, R, E>(f: F) -> Self
    where
        T: FromKplRecordOwned,
        F: Fn(ShardRecords<T>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        R: Into<Failures>,
        E: Into<Error>,
    {
        Self::new(PerShard(f))
    }
}

impl<T, K> Handler<T, K> {
    fn new(kind: K) -> Self {
        Self {
            kind,
            dead_letters: DeadLetters::default(),
            checkpoints: None,
            marker: PhantomData,
        }
    }

    /// Hands records that cannot be decoded to a function of yours: their raw bytes, the reason and the place. Such a
    /// record is done when the function returns `Ok`, and has failed if it returns an error.
    ///
    /// Without it a record that cannot be decoded is a failure like any other: it holds up its shard until Lambda gives
    /// it up, by the event source mapping's limits.
    pub fn dead_letters<F, Fut, E>(mut self, f: F) -> Self
    where
        F: Fn(Undecodable) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Error>,
    {
        self.dead_letters = DeadLetters::new(f);
        self
    }

    /// Remembers how far inside an aggregate a failed invocation got, so that the retry goes on behind it. The default is
    /// not to.
    pub fn checkpoints(mut self, checkpoints: impl Checkpoints) -> Self {
        self.checkpoints = Some(Arc::new(checkpoints));
        self
    }
}

impl<T: FromKplRecordOwned, K: Kind<T>> Handler<T, K> {
    /// Handles one event: for functions that keep their own `main`.
    ///
    /// # Errors
    ///
    /// [`HandlerError`] if a checkpoint cannot be loaded. Nothing was handled then: let the invocation fail.
    pub async fn handle(&self, event: &KinesisEvent) -> Result<KinesisEventResponse, HandlerError> {
        let batch = Batch::from(event);
        let firsts = first_of_each_shard(&batch);
        let resumed = self.load(&batch, &firsts).await?;
        let progress = Progress::new(self.kind.on_failure(), &batch);
        let items = batch.user_records::<T>().filter(|item| {
            let place = Place::of(item);
            let done = resumed.get(&place.index);
            done.is_none_or(|done| place.sub_sequence_number > *done)
        });
        self.kind.process(items, &self.dead_letters, &progress).await;
        let undone = progress.into_undone();
        self.save(&batch, &resumed, &undone).await;

        let mut response = KinesisEventResponse::default();
        // One without a sequence number gives an empty identifier, with which Lambda retries the whole batch.
        response.set_failures(undone.reported.iter().map(|index| {
            let record = batch.kinesis_records().get(*index);
            record.and_then(|record| record.sequence_number).unwrap_or_default()
        }));
        Ok(response)
    }

    /// Serves Lambda until the execution environment ends.
    ///
    /// # Errors
    ///
    /// What [`lambda_runtime::run`] gives: the runtime API cannot be reached.
    ///
    /// # Panics
    ///
    /// Outside of Lambda, and of what plays its part: if the environment variables of the runtime are not there.
    pub async fn run(self) -> Result<(), Error> {
        let handler = &self;
        let handle = move |event: LambdaEvent<AnyKinesisEvent>| async move {
            Ok::<_, Error>(handler.handle(&event.payload.0).await?)
        };
        lambda_runtime::run(service_fn(handle)).await
    }

    async fn load(&self, batch: &Batch<'_>, firsts: &[usize]) -> Result<BTreeMap<usize, u64>, HandlerError> {
        let mut resumed = BTreeMap::new();
        let Some(checkpoints) = &self.checkpoints else {
            return Ok(resumed);
        };
        for index in firsts {
            let Some(origin) = batch.origin(*index) else { continue };
            match checkpoints.load(&origin).await {
                Ok(Some(done)) => drop(resumed.insert(*index, done)),
                Ok(None) => {}
                Err(error) => return Err(HandlerError::Checkpoint { origin, error }),
            }
        }
        Ok(resumed)
    }

    /// What a retry needs to go on inside an aggregate, and nothing of what is past.
    async fn save(&self, batch: &Batch<'_>, resumed: &BTreeMap<usize, u64>, undone: &progress::Undone) {
        let Some(checkpoints) = &self.checkpoints else {
            return;
        };
        for index in resumed.keys().filter(|index| !undone.lowest.contains_key(index)) {
            if let Some(origin) = batch.origin(*index)
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
            if let Some(origin) = batch.origin(index)
                && let Err(error) = checkpoints.save(&origin, reached).await
            {
                tracing::warn!(event_id = batch.event_id(index), %error, "a checkpoint was not saved");
            }
        }
    }
}

/// The first Kinesis record of each shard.
fn first_of_each_shard(batch: &Batch<'_>) -> Vec<usize> {
    lowest_of(batch, 0..batch.sources().len())
}

/// The first undone Kinesis record of each shard.
fn lowest_of_each_shard(batch: &Batch<'_>, undone: &BTreeMap<usize, u64>) -> Vec<usize> {
    lowest_of(batch, undone.keys().copied())
}

fn lowest_of(batch: &Batch<'_>, indexes: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut shards = HashSet::new();
    let new = |index: &usize| {
        let source = batch.sources().get(*index);
        source.is_some_and(|source| shards.insert((source.event_source_arn, source.shard_id)))
    };
    indexes.filter(new).collect()
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

/// Calls `f` with each user record of each event that Lambda sends, one after the other, until the execution environment
/// ends. It stops at the first failure; [`Handler`] has the other ways.
///
/// # Errors
///
/// What [`lambda_runtime::run`] gives: the runtime API cannot be reached.
///
/// # Panics
///
/// Outside of Lambda, and of what plays its part: if the environment variables of the runtime are not there.
pub async fn run<T, F, Fut, E>(f: F) -> Result<(), Error>
where
    T: FromKplRecordOwned,
    F: Fn(Received<T>) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Error>,
{
    Handler::per_record(f).run().await
}

/// Why an event was not handled at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandlerError {
    /// A checkpoint could not be loaded.
    Checkpoint {
        /// The Kinesis record that it would be of.
        origin: Origin,
        /// What the store says.
        error: Error,
    },
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
        }
    }
}

impl std::error::Error for HandlerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Checkpoint { error, .. } => Some(&**error),
        }
    }
}
