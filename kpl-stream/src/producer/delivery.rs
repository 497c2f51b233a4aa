//! What a sender holds until its record has an outcome.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::outcome::{Failure, Receipt};

/// The outcome of a record to come: wait for it, or drop it if you do not want to know.
///
/// Of a failure that nobody waits for there is an event of `tracing` at the level `ERROR`.
#[must_use = "a failure is told here, and only here the record comes back"]
pub struct Delivery<T> {
    /// Nothing after the outcome was given.
    record: Option<T>,
    cell: Arc<Cell>,
}

/// Where the pipeline leaves an outcome.
#[derive(Debug, Default)]
pub(crate) struct Cell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    outcome: Option<Result<Receipt, Failure>>,
    waker: Option<Waker>,
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn complete(self: Arc<Self>, outcome: Result<Receipt, Failure>) {
        if let (Err(failure), 1) = (&outcome, Arc::strong_count(&self)) {
            tracing::error!(stream = %failure.stream, "{failure}, and nobody waits for its outcome");
            return;
        }
        let waker = {
            let mut state = self.lock();
            state.outcome = Some(outcome);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Delivery<T> {
    pub(crate) const fn new(record: T, cell: Arc<Cell>) -> Self {
        Self {
            record: Some(record),
            cell,
        }
    }

    /// Whether there is an outcome already, so that waiting takes no time.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.cell.lock().outcome.is_some()
    }
}

// The record is never pinned.
impl<T> Unpin for Delivery<T> {}

impl<T> Future for Delivery<T> {
    type Output = Result<Receipt, DeliveryError<T>>;

    /// Ready once: afterwards it is pending for ever.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.cell.lock();
        let Some(outcome) = state.outcome.take() else {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        drop(state);
        match (outcome, self.record.take()) {
            (Err(failure), Some(record)) => Poll::Ready(Err(DeliveryError {
                record,
                failure: Box::new(failure),
            })),
            (Ok(receipt), _) => Poll::Ready(Ok(receipt)),
            (Err(_), None) => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("is_done", &self.is_done())
            .finish_non_exhaustive()
    }
}

/// A record that was accepted and not delivered: the record itself, why, and every attempt.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeliveryError<T> {
    /// The record.
    pub record: T,
    /// What became of it.
    pub failure: Box<Failure>,
}

impl<T> fmt::Display for DeliveryError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl<T: fmt::Debug> std::error::Error for DeliveryError<T> {}
