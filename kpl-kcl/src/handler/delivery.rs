//! Handles a delivery, and makes checkpoints while it is handled.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use kpl_core::{FromKplRecordOwned, Origin, Position, UserRecord};
use kpl_handler::{Concurrency, Error, OnFailure, Place};
use tokio::time::{Instant, sleep_until};

use super::Handler;
use super::kind::{Kind, NotDone, Records};
use super::order::{Order, Turn};
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
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            after: 10_000,
            interval: Duration::from_secs(5),
            reached: None,
            unsaved: 0,
            since: None,
        }
    }
}

impl Checkpoints {
    /// Notes that all user records up to a position are handled, `more` of them since the last note.
    fn reached(&mut self, position: Option<Position>, more: u64) {
        if let Some(position) = position {
            self.reached = Some(position);
            self.unsaved += more;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Returns when the next checkpoint is due, if there is something to say.
    fn due(&self) -> Option<Instant> {
        let since = self.since?;
        match self.unsaved >= self.after.max(1) {
            true => Some(since),
            false => since.checked_add(self.interval),
        }
    }

    fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    /// Makes a checkpoint, if there is something to say.
    pub(super) async fn make(&mut self, checkpointer: &mut Checkpointer<'_>) -> Result<(), Error> {
        let Some(position) = self.reached.clone() else {
            return Ok(());
        };
        (self.unsaved, self.since) = (0, None);
        match checkpointer.checkpoint(&position).await {
            Ok(()) => {
                tracing::debug!(%position, "a checkpoint was made");
                self.reached = None;
                Ok(())
            }
            // Those that follow may succeed: what they say includes this.
            Err(error @ (CheckpointError::TryAgain(_) | CheckpointError::NotNow | CheckpointError::Other(_))) => {
                tracing::error!(%position, %error, "a checkpoint was not made");
                self.since = Some(Instant::now());
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What is known of the user records of a delivery.
struct Work<'d> {
    delivery: &'d Delivery<'d>,
    on_failure: OnFailure,
    /// Whether each of them is done.
    done: Vec<bool>,
    /// How many are done, with all before them.
    reached: usize,
    /// How many of these the checkpoints know.
    noted: usize,
    /// The first that failed, and why.
    failure: Option<(usize, Failure)>,
}

enum Failure {
    Error(Error),
    Panic(String),
}

/// A call that has ended.
struct Called {
    turn: Turn,
    result: Result<Vec<NotDone>, Box<dyn Any + Send>>,
}

impl<'d> Work<'d> {
    fn new(delivery: &'d Delivery<'d>, on_failure: OnFailure) -> Self {
        Self {
            delivery,
            on_failure,
            done: vec![false; delivery.len()],
            reached: 0,
            noted: 0,
            failure: None,
        }
    }

    /// Returns the index from which on nothing is started.
    fn end(&self) -> usize {
        match &self.failure {
            Some((_, Failure::Panic(_))) => 0,
            Some((index, Failure::Error(_))) => *index,
            None => self.delivery.len(),
        }
    }

    /// Notes the result of a call.
    fn ended(&mut self, turn: &Turn, result: Result<Vec<NotDone>, Box<dyn Any + Send>>, shard_id: Option<&Arc<str>>) {
        let not_done = match result {
            Ok(not_done) => not_done,
            Err(panic) => {
                let message = panic.downcast_ref::<String>().map(String::as_str);
                let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
                self.failed(turn.records.start, Failure::Panic(message.to_owned()));
                return;
            }
        };
        if let Some(done) = self.done.get_mut(turn.records.clone()) {
            done.fill(true);
        }
        for NotDone { indexes, error } in not_done {
            if let Some(error) = &error {
                for index in &indexes {
                    self.place(*index, shard_id).log_failure(error);
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
        self.reached += done.iter().take_while(|done| **done).count();
    }

    fn failed(&mut self, index: usize, failure: Failure) {
        let is_first = |(first, of): &(usize, Failure)| index < *first && !matches!(of, Failure::Panic(_));
        if self.failure.as_ref().is_none_or(is_first) || matches!(failure, Failure::Panic(_)) {
            self.failure = Some((index, failure));
        }
    }

    /// Tells the checkpoints what is done.
    fn note(&mut self, checkpoints: &mut Checkpoints) {
        if let Some(last) = self.reached.checked_sub(1).filter(|_| self.reached > self.noted) {
            checkpoints.reached(self.delivery.position(last), (self.reached - self.noted) as u64);
            self.noted = self.reached;
        }
    }

    fn place(&self, index: usize, shard_id: Option<&Arc<str>>) -> Place {
        let record = self
            .delivery
            .iter()
            .nth(index)
            .unwrap_or_else(|| UserRecord::new("", b""));
        let origin = origin(&record, shard_id);
        Place::of_user_record(&record, origin)
    }
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
        on_failure,
        checkpoints,
        shard_id,
        ..
    } = handler;
    let shard_id = shard_id.as_ref();
    let end = AtomicUsize::new(delivery.len());
    let calls = match kind.concurrency() {
        Concurrency::ByPartitionKey(limit) | Concurrency::All(limit) => limit.get(),
        _ => 1,
    };
    let mut order = Order::new(delivery, kind.concurrency(), kind.records_per_call());
    let mut work = Work::new(delivery, *on_failure);
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < calls
            && let Some(turn) = order.next(work.end())
        {
            let records = records(delivery, &turn, shard_id);
            running.push(call(turn, kind.call(records, options, &end)));
        }
        if running.is_empty() || matches!(work.failure, Some((_, Failure::Panic(_)))) {
            break;
        }
        let due = checkpoints.due();
        tokio::select! {
            biased;
            Some(Called { turn, result }) = running.next() => {
                work.ended(&turn, result, shard_id);
                order.ended(&turn);
                end.store(work.end(), Ordering::Relaxed);
                work.note(checkpoints);
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        if checkpoints.is_due() {
            let mut saving = pin!(checkpoints.make(checkpointer));
            loop {
                tokio::select! {
                    biased;
                    saved = &mut saving => break saved?,
                    Some(Called { turn, result }) = running.next() => {
                        work.ended(&turn, result, shard_id);
                        order.ended(&turn);
                        end.store(work.end(), Ordering::Relaxed);
                    }
                }
            }
        }
    }
    drop(running);
    work.note(checkpoints);
    let Some((index, failure)) = work.failure.take() else {
        if checkpoints.is_due() || checkpointer.is_hurried() {
            checkpoints.make(checkpointer).await?;
        }
        return Ok(());
    };
    let place = work.place(index, shard_id);
    let error = match failure {
        Failure::Panic(message) => format!("the function panicked: {message}").into(),
        Failure::Error(error) => {
            if let Err(error) = checkpoints.make(checkpointer).await {
                tracing::error!(%error, "no checkpoint was made before the failure");
            }
            error
        }
    };
    Err(RunError::Handler { place, error }.into())
}

async fn call(turn: Turn, call: impl Future<Output = Vec<NotDone>>) -> Called {
    // Nothing that the future leaves behind is used after a panic: the process ends.
    let result = AssertUnwindSafe(call).catch_unwind().await;
    Called { turn, result }
}

/// Returns the records of a turn, each with its origin.
fn records<'d>(delivery: &'d Delivery<'_>, turn: &Turn, shard_id: Option<&Arc<str>>) -> Records<'d> {
    let records = delivery.iter().skip(turn.records.start).take(turn.records.len());
    records.map(|record| (record, origin(&record, shard_id))).collect()
}

fn origin(record: &UserRecord<'_>, shard_id: Option<&Arc<str>>) -> Arc<Origin> {
    let mut origin = Origin::of(&record.kinesis_record);
    // The KCL passes on the partition key of the user record only.
    origin.partition_key = None;
    origin.shard_id = shard_id.cloned();
    origin.into()
}
