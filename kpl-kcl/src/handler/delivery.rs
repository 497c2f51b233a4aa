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
    shard_id: Option<&'d Arc<str>>,
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
    Panic(String),
}

/// A call that has ended.
struct Called {
    turn: Turn,
    result: Result<Vec<NotDone>, Box<dyn Any + Send>>,
}

impl<'d> Work<'d> {
    fn new(delivery: &'d Delivery<'d>, shard_id: Option<&'d Arc<str>>, on_failure: OnFailure) -> Self {
        Self {
            delivery,
            shard_id,
            on_failure,
            done: vec![false; delivery.len()],
            reached: 0,
            failure: None,
        }
    }

    /// Returns the index from which on nothing is started.
    fn end(&self) -> usize {
        match &self.failure {
            Some((_, Failure::Panic(_))) => 0,
            Some((place, Failure::Error(_))) => place.kinesis_record_index,
            None => self.delivery.len(),
        }
    }

    /// Notes the result of a call. Returns how many records more are done, with all before them.
    fn ended(&mut self, turn: &Turn, result: Result<Vec<NotDone>, Box<dyn Any + Send>>) -> usize {
        let not_done = match result {
            Ok(not_done) => not_done,
            Err(panic) => {
                let message = panic.downcast_ref::<String>().map(String::as_str);
                let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
                self.failed(turn.records.start, Failure::Panic(message.to_owned()));
                return 0;
            }
        };
        if let Some(done) = self.done.get_mut(turn.records.clone()) {
            done.fill(true);
        }
        for NotDone { indexes, error } in not_done {
            if let Some(error) = &error {
                for place in indexes.iter().filter_map(|index| self.place(*index)) {
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
        self.delivery.position(self.reached.checked_sub(1)?)
    }

    fn place(&self, index: usize) -> Option<Place> {
        let record = self.delivery.get(index)?;
        let origin = Origins::new(self.shard_id).of(&record);
        Some(Place::of_user_record(&record, origin))
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
    let mut origins = Origins::new(shard_id);
    let end = AtomicUsize::new(delivery.len());
    let calls = match kind.concurrency() {
        Concurrency::ByPartitionKey(limit) | Concurrency::All(limit) => limit.get(),
        _ => 1,
    };
    let mut order = Order::new(delivery, kind.concurrency(), kind.records_per_call());
    let mut work = Work::new(delivery, shard_id, *on_failure);
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < calls
            && let Some(turn) = order.next(work.end())
        {
            let records = origins.records(delivery, &turn);
            running.push(call(turn, kind.call(records, options, &end)));
        }
        if running.is_empty() || matches!(work.failure, Some((_, Failure::Panic(_)))) {
            break;
        }
        let mut ended = |work: &mut Work<'_>, Called { turn, result }| {
            order.ended(&turn);
            let more = work.ended(&turn, result);
            end.store(work.end(), Ordering::Relaxed);
            more
        };
        let due = checkpoints.due();
        tokio::select! {
            biased;
            Some(called) = running.next() => checkpoints.handled(ended(&mut work, called)),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        if checkpoints.is_due() {
            checkpoints.reached = work.reached().or(checkpoints.reached.take());
            let mut more = 0;
            let saved = {
                let mut saving = pin!(checkpoints.make(checkpointer));
                loop {
                    tokio::select! {
                        biased;
                        saved = &mut saving => break saved,
                        Some(called) = running.next() => more += ended(&mut work, called),
                    }
                }
            };
            checkpoints.handled(more);
            saved?;
        }
    }
    drop(running);
    checkpoints.reached = work.reached().or(checkpoints.reached.take());
    let Some((place, failure)) = work.failure.take() else {
        if checkpoints.is_due() || checkpointer.is_hurried() {
            checkpoints.make(checkpointer).await?;
        }
        return Ok(());
    };
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

/// The origins of records. Those of an aggregate share one.
struct Origins<'d> {
    shard_id: Option<&'d Arc<str>>,
    /// The last sequence number, and its origin.
    last: Option<(&'d str, Arc<Origin>)>,
}

impl<'d> Origins<'d> {
    const fn new(shard_id: Option<&'d Arc<str>>) -> Self {
        Self { shard_id, last: None }
    }

    /// Returns the records of a turn, each with its origin.
    fn records(&mut self, delivery: &'d Delivery<'_>, turn: &Turn) -> Records<'d> {
        let records = turn.records.clone().filter_map(|index| delivery.get(index));
        records.map(|record| (record, self.of(&record))).collect()
    }

    fn of(&mut self, record: &UserRecord<'d>) -> Arc<Origin> {
        let number = record.kinesis_record.sequence_number.unwrap_or_default();
        match &self.last {
            Some((last, origin)) if *last == number => Arc::clone(origin),
            _ => {
                let mut origin = Origin::of(&record.kinesis_record);
                // The KCL passes on the partition key of the user record only.
                origin.partition_key = None;
                origin.shard_id = self.shard_id.cloned();
                let origin = Arc::new(origin);
                self.last = Some((number, Arc::clone(&origin)));
                origin
            }
        }
    }
}
