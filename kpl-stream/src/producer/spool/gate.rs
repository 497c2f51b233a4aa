//! Between senders, the driver and the thread that keeps the spool.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, oneshot, watch};

use super::{OnOutcome, SpoolError, SpoolOutcome, Spooled};
use crate::producer::delivery::OutcomeSender;
use crate::producer::outcome::{Failure, FailureReason, Receipt};
use crate::producer::pipeline::{EncodedRecord, StreamId};

/// A record that is to be stored.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) stream: Arc<str>,
    pub(crate) id: StreamId,
    pub(crate) record: EncodedRecord,
    /// Who waits for it to be stored. If none does, an error is its outcome.
    pub(crate) stored: Option<oneshot::Sender<Result<(), SpoolError>>>,
    pub(crate) outcome: OutcomeSender,
}

/// What the thread does in the order in which it was asked for.
#[derive(Debug)]
pub(crate) enum Step {
    Append(Append),
    /// Reply once everything that was appended before is stored, or was refused.
    Sync(oneshot::Sender<()>),
    /// Reply once everything that was appended before has its outcome.
    Flush(oneshot::Sender<()>),
}

/// What the thread has to do.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) steps: Vec<Step>,
    /// The numbers of the records that have outcomes.
    pub(crate) settled: Vec<u64>,
    /// The driver has ended.
    pub(crate) ends: bool,
}

impl Work {
    const fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.settled.is_empty()
    }
}

pub(crate) struct Gate {
    work: Mutex<Work>,
    wake: Condvar,
    /// Where the outcomes of records without a delivery go.
    on_outcome: Option<Arc<OnOutcome>>,
    /// Room in memory for records that are not stored yet.
    room: Semaphore,
    max_room: usize,
    records: AtomicU64,
    bytes: AtomicU64,
    is_full: AtomicBool,
    lost: AtomicU64,
    has_ended: watch::Sender<bool>,
}

/// No more records are accepted.
#[derive(Debug)]
pub(crate) struct Refused;

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("spooled", &self.spooled())
            .finish_non_exhaustive()
    }
}

impl Gate {
    /// Creates a gate with room for this many bytes of records that are not stored yet.
    pub(crate) fn new(max_room: usize, on_outcome: Option<Arc<OnOutcome>>) -> Self {
        Self {
            work: Mutex::default(),
            wake: Condvar::new(),
            on_outcome,
            room: Semaphore::new(max_room),
            max_room,
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            has_ended: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Work)) {
        let mut work = self.lock();
        let was_empty = work.is_empty();
        change(&mut work);
        drop(work);
        if was_empty {
            self.wake.notify_one();
        }
    }

    fn permits(&self, cost: u32) -> u32 {
        cost.min(u32::try_from(self.max_room).unwrap_or(u32::MAX))
    }

    /// Takes room for a record, once there is some.
    pub(crate) async fn reserve(&self, cost: u32) -> Result<(), Refused> {
        let permits = self.room.acquire_many(self.permits(cost)).await;
        permits.map_err(|_| Refused)?.forget();
        Ok(())
    }

    /// Takes room for a record if there is some, in memory and on the disk. Returns `Ok(false)` if there is not.
    pub(crate) fn try_reserve(&self, cost: u32) -> Result<bool, Refused> {
        use tokio::sync::TryAcquireError::{Closed, NoPermits};
        if self.is_full.load(Ordering::Relaxed) {
            return if self.room.is_closed() { Err(Refused) } else { Ok(false) };
        }
        match self.room.try_acquire_many(self.permits(cost)) {
            Ok(permits) => permits.forget(),
            Err(NoPermits) => return Ok(false),
            Err(Closed) => return Err(Refused),
        }
        Ok(true)
    }

    /// Returns the room of records.
    pub(crate) fn release(&self, costs: impl IntoIterator<Item = u32>) {
        let permits = costs.into_iter().map(|cost| self.permits(cost) as usize).sum();
        self.room.add_permits(permits);
    }

    /// Hands over a record for which there is room.
    pub(crate) fn append(&self, append: Append) -> Result<(), Refused> {
        let mut accepted = Ok(());
        self.change(|work| match work.ends {
            true => accepted = Err(Refused),
            false => work.steps.push(Step::Append(append)),
        });
        accepted
    }

    /// These records have outcomes, and the room that they took in memory is free.
    pub(crate) fn settle(&self, numbers: &mut Vec<u64>) {
        self.change(|work| work.settled.append(numbers));
    }

    /// Waits until everything that was handed over before is stored, or was not.
    pub(crate) async fn sync(&self) {
        self.wait(Step::Sync).await;
    }

    /// Waits until everything that was handed over before has its outcome, or the driver has ended.
    pub(crate) async fn flush(&self) {
        self.wait(Step::Flush).await;
    }

    async fn wait(&self, step: impl FnOnce(oneshot::Sender<()>) -> Step) {
        let (reply, answer) = oneshot::channel();
        let mut ends = false;
        self.change(|work| {
            ends = work.ends;
            if !ends {
                work.steps.push(step(reply));
            }
        });
        if ends || answer.await.is_err() {
            self.ended().await;
        }
    }

    /// Refuses records from now on; those that were handed over stay.
    pub(crate) fn refuse_new(&self) {
        self.room.close();
    }

    /// The driver has ended: the thread stores what was handed over, and ends.
    pub(crate) fn end(&self) {
        self.refuse_new();
        self.lock().ends = true;
        self.wake.notify_one();
    }

    /// Waits until the thread has ended.
    pub(crate) async fn ended(&self) {
        // The sender is in `self`, so this does not fail.
        let _ = self.has_ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Waits for work, at most until `until`, and takes it. Takes none before `not_before`, unless the driver has ended.
    pub(super) fn take(&self, not_before: Instant, until: Option<Instant>) -> Work {
        let mut work = self.lock();
        while !work.ends {
            let now = Instant::now();
            let is_due = !work.is_empty() || until.is_some_and(|until| until <= now);
            if is_due && not_before <= now {
                break;
            }
            let wake = if is_due {
                Some(not_before)
            } else {
                until.map(|until| until.max(not_before))
            };
            work = match wake {
                None => self.wake.wait(work).unwrap_or_else(PoisonError::into_inner),
                Some(wake) => {
                    let pause = wake.saturating_duration_since(now);
                    self.wake
                        .wait_timeout(work, pause)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        let ends = work.ends;
        let taken = std::mem::take(&mut *work);
        work.ends = ends;
        taken
    }

    /// Reports the outcome of a record that has no delivery.
    pub(crate) fn report(&self, record: EncodedRecord, result: Result<Receipt, Box<Failure>>) {
        let stream = match &result {
            // The next process will know.
            Err(failure) if failure.reason == FailureReason::Spooled => return,
            Err(failure) => Arc::clone(&failure.stream),
            Ok(receipt) => Arc::clone(&receipt.landing.stream),
        };
        match (&self.on_outcome, result) {
            (Some(function), result) => {
                let result = result.map_err(|failure| *failure);
                let outcome = SpoolOutcome { stream, record, result };
                if catch_unwind(AssertUnwindSafe(|| function(outcome))).is_err() {
                    tracing::error!("the function for outcomes of the spool panicked");
                }
            }
            (None, Err(failure)) => tracing::error!(%stream, "{failure}"),
            (None, Ok(_)) => {}
        }
    }

    pub(super) fn tell(&self, spooled: Spooled) {
        self.records.store(spooled.records, Ordering::Relaxed);
        self.bytes.store(spooled.bytes, Ordering::Relaxed);
        self.is_full.store(spooled.is_full, Ordering::Relaxed);
        self.lost.store(spooled.lost, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self) {
        self.has_ended.send_replace(true);
    }

    pub(crate) fn spooled(&self) -> Spooled {
        Spooled {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            is_full: self.is_full.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }
}
