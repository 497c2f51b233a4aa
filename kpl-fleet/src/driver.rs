//! Runs an engine: makes its requests, starts and ends the handling of shards, and passes checkpoints on.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kpl_core::{FromKplRecordOwned, Timestamp};
use kpl_handler::Backoff;
use kpl_stream::client::ShardDescription;
use kpl_stream::reader::for_each::ForEachError;
use kpl_stream::reader::{Children, Positions, ReaderError, ShardReaders, ShardState};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{sleep, sleep_until, timeout};

use crate::checkpoints::{Asked, Checkpoints, Lost};
use crate::engine::{Engine, Handling, Output, Stop, Updated};
use crate::error::FleetError;
use crate::kind::{Kind, Options};
use crate::lease::{Checkpoint, Lease, OwnerChange, Update};
use crate::metrics::Metrics;
use crate::store::{Changed, LeaseStore, StoreError, StoreErrorKind};

/// What a worker has beside its engine.
pub(crate) struct Worker<T, K> {
    pub(crate) engine: Engine,
    pub(crate) leases: Arc<dyn LeaseStore>,
    pub(crate) readers: Arc<ShardReaders<T>>,
    pub(crate) kind: Arc<K>,
    pub(crate) metrics: Metrics,
    pub(crate) options: Options,
    /// Where shards are read whose leases say that this is a matter of options.
    pub(crate) start_time: Option<Timestamp>,
    /// How long a request to the store may take.
    pub(crate) timeout: Duration,
    /// Set when the worker is to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

/// The answer to a request.
enum Answer {
    Looked(Result<Vec<Lease>, StoreError>),
    Listed(Result<Vec<ShardDescription>, ReaderError>),
    NotListed,
    Created(Arc<str>, Result<(), StoreError>),
    Updated(u64, Update, Result<Changed, StoreError>),
    Deleted(Result<(), StoreError>),
}

/// The handling of a shard that is under way.
struct Run {
    stop: watch::Sender<bool>,
    task: AbortHandle,
    /// Checkpoints that are not in the table yet.
    waiting: Vec<(Checkpoint, oneshot::Sender<()>)>,
}

/// Why the worker ends, unless it was told to.
enum End {
    Failed(FleetError),
    Panicked(Box<dyn Any + Send>),
}

struct Driver<T, K> {
    worker: Worker<T, K>,
    requests: FuturesUnordered<BoxFuture<'static, Answer>>,
    tasks: JoinSet<Result<(), FleetError>>,
    handlings: HashMap<Id, Handling>,
    runs: BTreeMap<Handling, Run>,
    asked: mpsc::UnboundedSender<Asked>,
    end: Option<End>,
}

/// Makes a store ready, as soon as it answers.
pub(crate) async fn prepare(leases: &dyn LeaseStore) -> Result<(), StoreError> {
    let mut failures = 0;
    loop {
        match leases.prepare().await {
            Err(error) if error.kind == StoreErrorKind::Passing => {
                tracing::warn!(%error, "the leases cannot be read, and are tried again");
                sleep(Backoff::READS.pause(failures, fastrand::f64())).await;
                failures = failures.saturating_add(1);
            }
            prepared => return prepared,
        }
    }
}

pub(crate) async fn run<T, K>(worker: Worker<T, K>) -> Result<(), FleetError>
where
    T: FromKplRecordOwned + Send + 'static,
    K: Kind<T>,
{
    let (sender, mut asked) = mpsc::unbounded_channel();
    let mut stop = worker.stop.clone();
    let mut driver = Driver {
        worker,
        requests: FuturesUnordered::new(),
        tasks: JoinSet::new(),
        handlings: HashMap::new(),
        runs: BTreeMap::new(),
        asked: sender,
        end: None,
    };
    let mut stopping = false;
    loop {
        while let Some(output) = driver.worker.engine.poll(now()) {
            driver.carry_out(output);
        }
        if driver.worker.engine.has_stopped() {
            break;
        }
        let wake_at = driver.worker.engine.wake_at();
        tokio::select! {
            biased;
            Some(ended) = driver.tasks.join_next_with_id() => driver.handling_ended(ended),
            Some(answer) = driver.requests.next() => driver.answered(answer),
            Some(asked) = asked.recv() => driver.checkpoint(asked),
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                driver.worker.engine.stop();
            }
            () = sleep_until(wake_at.unwrap_or_else(now).into()), if wake_at.is_some() => {}
        }
    }
    match driver.end {
        None => Ok(()),
        Some(End::Failed(error)) => Err(error),
        Some(End::Panicked(panic)) => resume_unwind(panic),
    }
}

/// The clock: tokio's, so that tests can pause it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl<T, K> Driver<T, K>
where
    T: FromKplRecordOwned + Send + 'static,
    K: Kind<T>,
{
    fn carry_out(&mut self, output: Output) {
        let store = Arc::clone(&self.worker.leases);
        let limit = self.worker.timeout;
        match output {
            Output::Look => self.request(async move { Answer::Looked(limited(limit, store.leases()).await) }),
            Output::List => {
                let readers = Arc::clone(&self.worker.readers);
                self.request(async move {
                    match timeout(LIST_TIMEOUT, readers.list()).await {
                        Ok(listed) => Answer::Listed(listed),
                        Err(_) => Answer::NotListed,
                    }
                });
            }
            Output::Create(lease) => {
                tracing::info!(shard_id = &*lease.key, checkpoint = %lease.checkpoint, "a lease is added");
                self.request(async move {
                    let created = limited(limit, store.create(&lease)).await;
                    Answer::Created(lease.key, created)
                });
            }
            Output::Update(number, update) => self.request(async move {
                let changed = limited(limit, store.update(&update)).await;
                Answer::Updated(number, update, changed)
            }),
            Output::Delete(key, counter) => {
                tracing::info!(shard_id = &*key, "a lease is no longer needed and is removed");
                self.request(async move { Answer::Deleted(limited(limit, store.delete(&key, counter)).await) });
            }
            Output::OtherStream(other) => self.end(End::Failed(FleetError::OtherStream {
                shard_id: other.key,
                difference: other.difference,
            })),
            Output::Start(handling, checkpoint) => self.start(handling, checkpoint),
            Output::Stop(handling, how) => self.stop(&handling, how),
            Output::Saved(handling, checkpoint) => {
                if let Some(run) = self.runs.get_mut(&handling) {
                    for (_, saved) in run.waiting.extract_if(.., |(waiting, _)| *waiting <= checkpoint) {
                        // It fails if the handling has ended.
                        let _ = saved.send(());
                    }
                }
            }
        }
    }

    fn request(&self, request: impl Future<Output = Answer> + Send + 'static) {
        self.requests.push(Box::pin(request));
    }

    fn start(&mut self, handling: Handling, checkpoint: Checkpoint) {
        tracing::info!(shard_id = &*handling.key, %checkpoint, "the lease is taken");
        let (stop, stopped) = watch::channel(false);
        let from = self.start_state(&handling, checkpoint);
        let children = Children::default();
        let checkpoints: Arc<dyn Positions> = Arc::new(Checkpoints {
            handling: handling.clone(),
            children: children.clone(),
            asked: self.asked.clone(),
        });
        let (readers, kind) = (Arc::clone(&self.worker.readers), Arc::clone(&self.worker.kind));
        let (options, key) = (self.worker.options.clone(), Arc::clone(&handling.key));
        let task = self.tasks.spawn(async move {
            let mut until = stopped.clone();
            let reader = tokio::select! {
                reader = readers.read(&key, from, checkpoints, children) => reader?,
                _ = until.wait_for(|stop| *stop) => return Ok(()),
            };
            let handled = kind.handle(reader, &options, stopped).await;
            handled.or_else(failure)
        });
        self.handlings.insert(task.id(), handling.clone());
        let waiting = Vec::new();
        self.runs.insert(handling, Run { stop, task, waiting });
        self.worker.metrics.holds(self.runs.len());
    }

    /// Returns where a shard is read from, or `None` for its newest record.
    fn start_state(&self, handling: &Handling, checkpoint: Checkpoint) -> Option<ShardState> {
        match checkpoint {
            Checkpoint::Latest => None,
            Checkpoint::After(position) => Some(ShardState::After(position)),
            Checkpoint::AtTimestamp => match self.worker.start_time {
                Some(time) => Some(ShardState::AtTimestamp(time)),
                None => {
                    tracing::warn!(
                        shard_id = &*handling.key,
                        "the lease says AT_TIMESTAMP, and no time is set: from the oldest record on"
                    );
                    Some(ShardState::TrimHorizon)
                }
            },
            Checkpoint::TrimHorizon | Checkpoint::Ended => Some(ShardState::TrimHorizon),
        }
    }

    fn stop(&mut self, handling: &Handling, how: Stop) {
        let Some(run) = self.runs.get_mut(handling) else {
            return;
        };
        match how {
            Stop::Gracefully => drop(run.stop.send(true)),
            Stop::AtOnce(loss) => {
                tracing::warn!(shard_id = &*handling.key, ?loss, "the lease is lost");
                self.worker.metrics.lost(loss);
                run.waiting.clear();
                run.task.abort();
            }
        }
    }

    fn checkpoint(&mut self, asked: Asked) {
        let Asked {
            handling,
            checkpoint,
            children,
            saved,
        } = asked;
        let Some(run) = self.runs.get_mut(&handling) else {
            return;
        };
        run.waiting.push((checkpoint.clone(), saved));
        match checkpoint {
            Checkpoint::Ended => self.worker.engine.shard_ended(now(), &handling, &children),
            checkpoint => self.worker.engine.checkpoint(&handling, checkpoint),
        }
    }

    fn handling_ended(&mut self, ended: Result<(Id, Result<(), FleetError>), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        if let Some(handling) = self.handlings.remove(&id) {
            self.runs.remove(&handling);
            self.worker.metrics.holds(self.runs.len());
            self.worker.readers.forget(&handling.key);
            self.worker.engine.handling_ended(&handling);
        }
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((_, Err(error))) => self.end(End::Failed(error)),
            Err(error) if error.is_panic() => self.end(End::Panicked(error.into_panic())),
            Err(_) => {}
        }
    }

    /// Stops the worker, for the first reason that there is.
    fn end(&mut self, end: End) {
        if let (End::Failed(error), Some(_)) = (&end, &self.end) {
            tracing::error!(%error, "while the worker was ending");
        }
        self.end.get_or_insert(end);
        self.worker.engine.stop();
    }

    fn answered(&mut self, answer: Answer) {
        let now = now();
        match answer {
            Answer::Looked(looked) => {
                let leases = self.checked("to read the leases", looked);
                self.worker.engine.looked(now, leases);
            }
            Answer::Listed(Ok(shards)) => self.worker.engine.listed(now, Some(shards)),
            Answer::Listed(Err(error)) => {
                self.worker.engine.listed(now, None);
                self.end(End::Failed(error.into()));
            }
            Answer::NotListed => self.worker.engine.listed(now, None),
            Answer::Created(key, created) => {
                let is_there = self.checked("to add a lease", created).is_some();
                self.worker.engine.created(now, &key, is_there);
            }
            Answer::Updated(number, update, changed) => {
                self.measure(&update, &changed);
                let updated = match self.checked("to change a lease", changed) {
                    Some(Changed::Done) => Updated::Done,
                    Some(Changed::Refused(lease)) => Updated::Refused(lease),
                    None => Updated::Unknown,
                };
                self.worker.engine.updated(now, &update.key, number, updated);
            }
            Answer::Deleted(deleted) => drop(self.checked("to remove a lease", deleted)),
        }
    }

    fn measure(&self, update: &Update, changed: &Result<Changed, StoreError>) {
        let metrics = &self.worker.metrics;
        match (changed, &update.owner) {
            (Ok(Changed::Done), OwnerChange::Take(_)) => metrics.taken(),
            (Err(_), _) if update.checkpoint.is_some() => metrics.checkpoint_failed(),
            (Err(_), OwnerChange::Keep) => metrics.renewal_failed(),
            _ => {}
        }
    }

    /// Returns what the store answered, and reports it if it has failed.
    fn checked<R>(&mut self, what: &'static str, result: Result<R, StoreError>) -> Option<R> {
        match result {
            Ok(answer) => Some(answer),
            Err(error) if error.kind == StoreErrorKind::Passing => {
                tracing::warn!(%error, "failed {what}, and is tried again");
                None
            }
            Err(error) => {
                self.end(End::Failed(error.into()));
                None
            }
        }
    }
}

/// Returns what ends the worker. That a lease was lost does not.
fn failure(error: ForEachError) -> Result<(), FleetError> {
    match error {
        ForEachError::Reader(ReaderError::Positions { error, .. }) if error.is::<Lost>() => Ok(()),
        error => Err(FleetError::Shard(error)),
    }
}

/// Makes a request to the store with a time-out.
async fn limited<R>(limit: Duration, request: impl Future<Output = Result<R, StoreError>>) -> Result<R, StoreError> {
    let answer = timeout(limit, request).await;
    answer.unwrap_or_else(|_| Err(StoreError::passing(format!("no answer within {limit:?}"))))
}

/// How long the shards of the stream may be listed, with all attempts.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
