//! Handles a delivery, and makes checkpoints while it is handled.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use kpl_core::{FromKplRecordOwned, Position};
use kpl_handler::{Concurrency, Error, OnFailure, Place, catch_panic};
use tokio::time::{Instant, sleep_until};

use super::Handler;
use super::kind::{Kind, NotDone, Options};
use super::order::{Order, Turn};
use super::records::Records;
use crate::connection::Checkpointer;
use crate::error::RunError;
use crate::protocol::{CheckpointError, Delivery};

/// When checkpoints are made, and what the next one will say.
#[derive(Debug)]
pub(super) struct Checkpoints {
    pub(super) after: u64,
    pub(super) interval: Duration,
    /// The last user record of which it and all before it are handled, unless a checkpoint says so already.
    reached: Option<Position>,
    /// How many user records were handled since the last checkpoint.
    unsaved: u64,
    /// When the first of them was handled.
    since: Option<Instant>,
    /// Until when no other is tried after one that was refused.
    refused_until: Option<Instant>,
}

/// The pause after a checkpoint that the KCL refused.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(1);

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            after: 10_000,
            interval: Duration::from_secs(5),
            reached: None,
            unsaved: 0,
            since: None,
            refused_until: None,
        }
    }
}

impl Checkpoints {
    /// Notes that more user records are handled, with all before them.
    fn handled(&mut self, more: usize) {
        if more > 0 {
            self.unsaved += more as u64;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Returns when the next checkpoint is due, if there is something to say.
    fn due(&self) -> Option<Instant> {
        let since = self.since?;
        let due = match self.unsaved >= self.after.max(1) {
            true => since,
            false => since.checked_add(self.interval)?,
        };
        Some(self.refused_until.map_or(due, |until| due.max(until)))
    }

    fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    /// Makes a checkpoint, if there is something to say.
    pub(super) async fn make(&mut self, checkpointer: &mut Checkpointer<'_>) -> Result<(), Error> {
        let Some(position) = self.start() else {
            return Ok(());
        };
        let made = checkpointer.checkpoint(&position).await;
        self.made(&position, made)
    }

    /// Returns what the checkpoint says that is made now, if there is something to say.
    fn start(&mut self) -> Option<Position> {
        (self.unsaved, self.since) = (0, None);
        self.reached.take()
    }

    /// Notes the answer to that checkpoint.
    fn made(&mut self, position: &Position, made: Result<(), CheckpointError>) -> Result<(), Error> {
        match made {
            Ok(()) => {
                tracing::debug!(%position, "a checkpoint was made");
                self.refused_until = None;
                Ok(())
            }
            // Those that follow may succeed: what they say includes this.
            Err(error @ (CheckpointError::TryAgain(_) | CheckpointError::NotNow | CheckpointError::Other(_))) => {
                tracing::error!(%position, %error, "a checkpoint was not made");
                self.reached.get_or_insert_with(|| position.clone());
                self.since.get_or_insert_with(Instant::now);
                self.refused_until = Instant::now().checked_add(PAUSE_AFTER_REFUSAL);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What is known of the user records of a delivery.
struct Work<'d> {
    records: &'d Records<'d>,
    on_failure: OnFailure,
    /// Whether each of them is done.
    done: Vec<bool>,
    /// How many are done, with all before them.
    reached: usize,
    /// The first that failed, and why.
    failure: Option<(Place, Failure)>,
}

enum Failure {
    Error(Error),
    Panic(Error),
}

impl<'d> Work<'d> {
    fn new(records: &'d Records<'d>, on_failure: OnFailure) -> Self {
        Self {
            records,
            on_failure,
            done: vec![false; records.delivery().len()],
            reached: 0,
            failure: None,
        }
    }

    /// Returns the index from which on nothing is started.
    fn end(&self) -> usize {
        match &self.failure {
            Some((_, Failure::Panic(_))) => 0,
            Some((place, Failure::Error(_))) => place.kinesis_record_index,
            None => self.done.len(),
        }
    }

    /// Notes the result of a call, which is an error only if it panicked. Returns how many records more are done, with all before them.
    fn ended(&mut self, turn: &Turn, result: Result<Vec<NotDone>, Error>) -> usize {
        let not_done = match result {
            Ok(not_done) => not_done,
            Err(panic) => {
                self.failed(turn.records.start, Failure::Panic(panic));
                return 0;
            }
        };
        if let Some(done) = self.done.get_mut(turn.records.clone()) {
            done.fill(true);
        }
        for NotDone { indexes, error } in not_done {
            if let Some(error) = &error {
                // Passed over, the log is all that remains of them. Otherwise the first stands for those that failed together.
                let logged = match self.on_failure {
                    OnFailure::Continue => indexes.len(),
                    _ => 1,
                };
                for place in indexes.iter().take(logged).filter_map(|index| self.place(*index)) {
                    place.log_failure(error);
                }
                if self.on_failure == OnFailure::Continue {
                    continue;
                }
            }
            for index in &indexes {
                if let Some(done) = self.done.get_mut(*index) {
                    *done = false;
                }
            }
            if let (Some(error), Some(first)) = (error, indexes.first()) {
                self.failed(*first, Failure::Error(error));
            }
        }
        let done = self.done.get(self.reached..).unwrap_or_default();
        let more = done.iter().take_while(|done| **done).count();
        self.reached += more;
        more
    }

    fn failed(&mut self, index: usize, failure: Failure) {
        let is_first = match (&self.failure, &failure) {
            (None, _) | (_, Failure::Panic(_)) => true,
            (Some((_, Failure::Panic(_))), _) => false,
            (Some((first, _)), _) => index < first.kinesis_record_index,
        };
        if is_first && let Some(place) = self.place(index) {
            self.failure = Some((place, failure));
        }
    }

    /// Returns the last user record of which it and all before it are done.
    fn reached(&self) -> Option<Position> {
        self.records.delivery().position(self.reached.checked_sub(1)?)
    }

    fn place(&self, index: usize) -> Option<Place> {
        let (record, origin) = self.records.get(index)?;
        Some(Place::of_user_record(&record, origin))
    }

    fn panicked(&self) -> bool {
        matches!(self.failure, Some((_, Failure::Panic(_))))
    }
}

/// What the calls of a delivery share.
struct Shared<'d> {
    order: Order,
    work: Work<'d>,
    checkpoints: &'d mut Checkpoints,
}

impl Shared<'_> {
    fn next(&mut self) -> Option<Turn> {
        self.order.next(self.work.end())
    }

    /// Notes the result of a call. Returns whether a checkpoint is due, or has got a time at which it is.
    fn ended(&mut self, turn: &Turn, result: Result<Vec<NotDone>, Error>) -> bool {
        self.order.ended(turn);
        let had_time = self.checkpoints.since.is_some();
        let more = self.work.ended(turn, result);
        self.checkpoints.handled(more);
        (!had_time && self.checkpoints.since.is_some()) || self.checkpoints.is_due()
    }

    /// Returns what the checkpoint says that is due, if one is.
    fn start_checkpoint(&mut self) -> Option<Position> {
        self.note_reached();
        self.checkpoints.is_due().then(|| self.checkpoints.start())?
    }

    fn note_reached(&mut self) {
        if self.checkpoints.unsaved > 0
            && let Some(position) = self.work.reached()
        {
            self.checkpoints.reached = Some(position);
        }
    }
}

fn lock<'s, 'd>(shared: &'s Mutex<Shared<'d>>) -> MutexGuard<'s, Shared<'d>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn process<T, K>(
    handler: &mut Handler<T, K>,
    delivery: &Delivery<'_>,
    checkpointer: &mut Checkpointer<'_>,
) -> Result<(), Error>
where
    T: FromKplRecordOwned,
    K: Kind<T>,
{
    let Handler {
        kind,
        options,
        checkpoints,
        shard_id,
        ..
    } = handler;
    let concurrency = kind.concurrency();
    let calls = match concurrency {
        Concurrency::ByPartitionKey(limit) | Concurrency::All(limit) => limit.get(),
        _ => 1,
    };
    let records = Records::new(delivery, shard_id.as_ref());
    let order = Order::new(delivery, concurrency, kind.records_per_call());
    let width = order.width().min(calls);
    let shared = Mutex::new(Shared {
        order,
        work: Work::new(&records, options.on_failure),
        checkpoints,
    });
    // Lanes only become fewer: what follows replaces workers, and needs no more of them.
    let mut workers: FuturesUnordered<_> = (0..width).map(|_| work_off(kind, options, &records, &shared)).collect();
    while !workers.is_empty() && !lock(&shared).work.panicked() {
        let due = lock(&shared).checkpoints.due();
        tokio::select! {
            biased;
            Some(worker) = workers.next() => if worker.is_continue() {
                workers.push(work_off(kind, options, &records, &shared));
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        let Some(position) = lock(&shared).start_checkpoint() else {
            continue;
        };
        let mut making = pin!(checkpointer.checkpoint(&position));
        let made = loop {
            if lock(&shared).work.panicked() {
                break None;
            }
            tokio::select! {
                biased;
                made = &mut making => break Some(made),
                Some(worker) = workers.next() => if worker.is_continue() {
                    workers.push(work_off(kind, options, &records, &shared));
                },
            }
        };
        if let Some(made) = made {
            lock(&shared).checkpoints.made(&position, made)?;
        }
    }
    drop(workers);
    let mut shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    shared.note_reached();
    let Shared {
        mut work, checkpoints, ..
    } = shared;
    let Some((place, failure)) = work.failure.take() else {
        if checkpoints.is_due() || checkpointer.is_hurried() {
            checkpoints.make(checkpointer).await?;
        }
        return Ok(());
    };
    let error = match failure {
        Failure::Panic(error) => error,
        Failure::Error(error) => {
            if let Err(error) = checkpoints.make(checkpointer).await {
                tracing::error!(%error, "no checkpoint was made before the failure");
            }
            error
        }
    };
    Err(RunError::Handler { place, error }.into())
}

/// Makes calls, one after another, until nothing is left that may start, or there is something to be done about a checkpoint.
async fn work_off<T, K: Kind<T>>(
    kind: &K,
    options: &Options,
    records: &Records<'_>,
    shared: &Mutex<Shared<'_>>,
) -> ControlFlow<()> {
    loop {
        let Some(turn) = lock(shared).next() else {
            return ControlFlow::Break(());
        };
        let may_retry = |index| index < lock(shared).work.end();
        let call = kind.call(records, turn.records.clone(), options, may_retry);
        let result = catch_panic(|| call.map(Ok::<_, Error>)).await;
        if lock(shared).ended(&turn, result) {
            return ControlFlow::Continue(());
        }
    }
}
