//! What a sender holds until its record has an outcome.

use std::fmt;
use std::future::Future;
use std::num::NonZero;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::task::coop::cooperative;

use super::channel::{self, Outcome, Receiver};
use super::outcome::{Failure, FailureReason, Receipt};

/// The future outcome of a record: await it, or drop it if you do not need to know.
///
/// If a delivery is dropped before it has returned the outcome, a failure is logged as a `tracing` event at the level
/// `ERROR`.
#[must_use = "only a delivery reports a failure and returns the record"]
pub struct Delivery<T> {
    /// `None` after the outcome was returned.
    pending: Option<(T, Receiver)>,
}

/// Where the pipeline sends an outcome. The default is that of a record that has no delivery.
#[derive(Debug, Default)]
pub(crate) struct OutcomeSender {
    sender: channel::Sender,
    /// One more than the number of the record in the spool.
    spooled: Option<NonZero<u64>>,
}

#[inline]
pub(crate) fn channel() -> (OutcomeSender, Receiver) {
    let (sender, receiver) = channel::channel();
    let sender = OutcomeSender { sender, spooled: None };
    (sender, receiver)
}

impl OutcomeSender {
    /// Returns the same for a record that has this number in the spool.
    pub(crate) fn of(self, number: u64) -> Self {
        Self {
            spooled: Some(NonZero::<u64>::MIN.saturating_add(number)),
            sender: self.sender,
        }
    }

    /// Returns the number of the record in the spool, or `None` if it is not in one.
    pub(crate) fn spooled(&self) -> Option<u64> {
        self.spooled.map(|after| after.get() - 1)
    }

    /// Returns whether a delivery waits for the outcome.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends the outcome to the delivery. Returns it if the record is in the spool and has none.
    pub(crate) fn complete(self, outcome: Outcome) -> Option<Outcome> {
        if !self.sender.has_receiver() {
            return Some(outcome);
        }
        match self.sender.send(outcome) {
            Err(outcome) if self.spooled.is_some() => return Some(outcome),
            Err(Err(failure)) => log_unseen(&failure),
            _ => {}
        }
        None
    }
}

fn log_unseen(failure: &Failure) {
    tracing::error!(stream = %failure.stream, "{failure}, and its delivery was dropped");
}

impl<T> Delivery<T> {
    pub(crate) const fn new(record: T, receiver: Receiver) -> Self {
        Self {
            pending: Some((record, receiver)),
        }
    }

    /// Returns the delivery of the same record, with a value that is returned instead.
    pub(crate) fn with_record<U>(mut self, record: U) -> Delivery<U> {
        let pending = self.pending.take();
        Delivery {
            pending: pending.map(|(_, receiver)| (record, receiver)),
        }
    }

    /// Returns whether there is an outcome already, so that awaiting it takes no time.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|(_, receiver)| receiver.has_outcome())
    }
}

impl<T> Drop for Delivery<T> {
    fn drop(&mut self) {
        if let Some((_, receiver)) = &mut self.pending {
            // From here on, the sender logs a failure itself.
            match receiver.close() {
                Some(Err(failure)) if failure.reason != FailureReason::Spooled => log_unseen(&failure),
                _ => {}
            }
        }
    }
}

// The record is never pinned.
impl<T> Unpin for Delivery<T> {}

impl<T> Future for Delivery<T> {
    type Output = Result<Receipt, DeliveryError<T>>;

    /// Returns the outcome once; polling again never completes.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((_, receiver)) = &mut self.pending else {
            return Poll::Pending;
        };
        // Other tasks run now and then while many of them are awaited.
        let outcome = ready!(Pin::new(&mut cooperative(receiver)).poll(context));
        let outcome = outcome.unwrap_or_else(|_| Err(Box::new(Failure::lost())));
        match (outcome, self.pending.take()) {
            (Err(failure), Some((record, _))) => Poll::Ready(Err(DeliveryError { record, failure })),
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

/// A record that was accepted but not delivered: the record itself, the reason, and its attempts.
///
/// Its `Debug` output does not show the record.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeliveryError<T> {
    /// The record.
    pub record: T,
    /// What happened to it.
    pub failure: Box<Failure>,
}

impl<T> fmt::Debug for DeliveryError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryError")
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for DeliveryError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl<T> std::error::Error for DeliveryError<T> {}

#[cfg(test)]
mod tests {
    use kpl_testkit::log::Log;
    use tracing::Level;

    use super::*;

    fn errors_of(work: impl FnOnce()) -> usize {
        Log::of(Level::ERROR, work).len()
    }

    #[test]
    fn a_failure_is_either_returned_or_logged() {
        let dropped_before = errors_of(|| {
            let (sender, receiver) = channel();
            drop(Delivery::new("record", receiver));
            sender.complete(Err(Box::new(Failure::lost())));
        });
        assert_eq!(dropped_before, 1);
        let dropped_after = errors_of(|| {
            let (sender, receiver) = channel();
            let delivery = Delivery::new("record", receiver);
            sender.complete(Err(Box::new(Failure::lost())));
            assert!(delivery.is_done());
            drop(delivery);
        });
        assert_eq!(dropped_after, 1);
        let returned = errors_of(|| {
            let (sender, receiver) = channel();
            let mut delivery = Delivery::new("record", receiver);
            assert!(!delivery.is_done());
            sender.complete(Err(Box::new(Failure::lost())));
            let mut context = Context::from_waker(std::task::Waker::noop());
            let Poll::Ready(Err(error)) = Pin::new(&mut delivery).poll(&mut context) else {
                panic!("it is not ready");
            };
            assert_eq!(error.record, "record");
            assert!(Pin::new(&mut delivery).poll(&mut context).is_pending());
        });
        assert_eq!(returned, 0);
    }

    #[test]
    fn a_delivery_without_a_producer_fails() {
        let (sender, receiver) = channel();
        let mut delivery = Delivery::new("record", receiver);
        drop(sender);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Err(error)) = Pin::new(&mut delivery).poll(&mut context) else {
            panic!("it is not ready");
        };
        assert!(error.failure.may_have_been_written);
    }
}
