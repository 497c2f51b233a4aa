//! The records that were sent, until they have their outcomes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kpl_stream::{Delivery, DeliveryError, Receipt};
use tokio::task::coop::unconstrained;

use super::record::Record;

/// A record that was sent.
pub(super) struct Sent {
    /// Its line.
    pub(super) line: u64,
    /// How many bytes of the input it is.
    pub(super) size: u64,
    /// How many bytes its partition key and its data are.
    pub(super) bytes: usize,
    pub(super) delivery: Delivery<Record>,
}

/// What became of a record.
pub(super) struct Outcome {
    pub(super) line: u64,
    pub(super) size: u64,
    pub(super) bytes: usize,
    pub(super) result: Result<Receipt, DeliveryError<Record>>,
}

/// Outcomes of records of one file.
pub(super) struct Outcomes {
    pub(super) file: Arc<str>,
    pub(super) outcomes: Vec<Outcome>,
}

/// How many records without an outcome are looked at for others that have one, before those are left to [`Pending::sweep`].
const LOOK_AHEAD: usize = 32;

/// All of them. Those that were read together are looked at together: most of them have their outcomes at the same time.
#[derive(Default)]
pub(super) struct Pending {
    batches: FuturesUnordered<Batch>,
    len: usize,
}

impl Pending {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, file: Arc<str>, records: Vec<Sent>) {
        self.len += records.len();
        self.watch(Batch { file, records });
    }

    fn watch(&self, batch: Batch) {
        if !batch.records.is_empty() {
            self.batches.push(batch);
        }
    }

    /// Waits for the next outcomes. Returns `None` if no record is without one.
    pub(super) async fn next(&mut self) -> Option<Outcomes> {
        let (batch, outcomes) = self.batches.next().await?;
        self.len -= outcomes.len();
        let file = Arc::clone(&batch.file);
        self.watch(batch);
        Some(Outcomes { file, outcomes })
    }

    /// Returns the outcomes that [`next`](Self::next) does not wait for, because it waits for those of other records of their batches.
    pub(super) fn sweep(&mut self) -> Vec<Outcomes> {
        let mut swept = Vec::new();
        for batch in self.batches.iter_mut() {
            let outcomes = batch.take(1, usize::MAX, &mut Context::from_waker(Waker::noop()));
            if !outcomes.is_empty() {
                self.len -= outcomes.len();
                let file = Arc::clone(&batch.file);
                swept.push(Outcomes { file, outcomes });
            }
        }
        swept
    }
}

/// Records that were read together. Those that have their outcomes are removed, so that they do not take memory any longer.
struct Batch {
    file: Arc<str>,
    records: Vec<Sent>,
}

impl Batch {
    /// Removes the records that have their outcomes, except the first `skipped`, and looks at no more than `most` that do not. The
    /// first that is left wakes the task when it has its own.
    fn take(&mut self, skipped: usize, most: usize, context: &mut Context<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let (mut seen, mut without, mut is_watching) = (0, 0, skipped > 0);
        self.records.retain_mut(|sent| {
            seen += 1;
            if seen <= skipped || without > most {
                return true;
            }
            if is_watching && !sent.delivery.is_done() {
                without += 1;
                return true;
            }
            let Poll::Ready(result) = Pin::new(&mut unconstrained(&mut sent.delivery)).poll(context) else {
                is_watching = true;
                return true;
            };
            outcomes.push(Outcome {
                line: sent.line,
                size: sent.size,
                bytes: sent.bytes,
                result,
            });
            false
        });
        outcomes
    }
}

impl Future for Batch {
    type Output = (Self, Vec<Outcome>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcomes = self.take(0, LOOK_AHEAD, context);
        if outcomes.is_empty() {
            return Poll::Pending;
        }
        let rest = Self {
            file: Arc::clone(&self.file),
            records: std::mem::take(&mut self.records),
        };
        Poll::Ready((rest, outcomes))
    }
}
