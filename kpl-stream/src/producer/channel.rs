//! Channels for one outcome each, which are allocated in blocks: an allocation for each record would take longer than all the rest of a
//! channel.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::mem::replace;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::outcome::{Failure, Receipt};

pub(crate) type Outcome = Result<Receipt, Box<Failure>>;

/// How many channels are allocated together. A block takes memory until the last of them is dropped, so there are only a few in it.
const TOGETHER: usize = 8;

thread_local! {
    /// The block that the next channel of this thread is from, and its place there.
    static NEXT: Cell<Option<Place>> = const { Cell::new(None) };
}

#[derive(Default)]
struct Block([Mutex<State>; TOGETHER]);

#[derive(Default)]
enum State {
    #[default]
    Empty,
    Awaited(Waker),
    Sent(Outcome),
    /// The outcome was received, or one of the two sides was dropped before.
    Ended,
}

/// A place in a block.
#[derive(Default)]
struct Place {
    block: Arc<Block>,
    index: u8,
}

impl Place {
    #[expect(clippy::indexing_slicing, reason = "the remainder is less than the length")]
    #[inline]
    fn state(&self) -> MutexGuard<'_, State> {
        let Block(states) = &*self.block;
        let state = &states[usize::from(self.index) % TOGETHER];
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn next() -> Self {
        // While a thread ends, its own block may be gone.
        let next = NEXT.try_with(Cell::take).ok().flatten().unwrap_or_default();
        if usize::from(next.index) + 1 < TOGETHER {
            let block = Arc::clone(&next.block);
            let index = next.index + 1;
            let _ = NEXT.try_with(|place| place.set(Some(Self { block, index })));
        }
        next
    }
}

/// The side of the producer. The default has no other side.
#[derive(Default)]
pub(crate) struct Sender(Option<Place>);

/// The side of the delivery, until it has received the outcome.
pub(crate) struct Receiver(Option<Place>);

/// The sender was dropped without an outcome, or the outcome was received before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost;

#[inline]
pub(crate) fn channel() -> (Sender, Receiver) {
    let Place { block, index } = Place::next();
    let other = Arc::clone(&block);
    (
        Sender(Some(Place { block, index })),
        Receiver(Some(Place { block: other, index })),
    )
}

impl Sender {
    /// Sends the outcome. Returns it if the receiver was dropped.
    pub(crate) fn send(mut self, outcome: Outcome) -> Result<(), Outcome> {
        let Some(place) = self.0.take() else {
            return Err(outcome);
        };
        let mut state = place.state();
        if matches!(*state, State::Ended) {
            return Err(outcome);
        }
        let before = replace(&mut *state, State::Sent(outcome));
        drop(state);
        if let State::Awaited(waker) = before {
            waker.wake();
        }
        Ok(())
    }

    pub(crate) const fn has_receiver(&self) -> bool {
        self.0.is_some()
    }

    /// Returns whether the receiver was dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|place| matches!(*place.state(), State::Ended))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let Some(place) = &self.0 else { return };
        let before = replace(&mut *place.state(), State::Ended);
        if let State::Awaited(waker) = before {
            waker.wake();
        }
    }
}

impl Receiver {
    /// Returns whether the outcome was sent, and was not received.
    pub(crate) fn has_outcome(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|place| matches!(*place.state(), State::Sent(_)))
    }

    /// Returns the outcome if it was sent. From here on, the sender knows that it is not awaited.
    pub(crate) fn close(&mut self) -> Option<Outcome> {
        let place = self.0.take()?;
        let before = replace(&mut *place.state(), State::Ended);
        match before {
            State::Sent(outcome) => Some(outcome),
            _ => None,
        }
    }
}

impl Future for Receiver {
    type Output = Result<Outcome, Lost>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(place) = &self.0 else {
            return Poll::Ready(Err(Lost));
        };
        let mut state = place.state();
        let outcome = match &mut *state {
            State::Awaited(waker) if waker.will_wake(context.waker()) => return Poll::Pending,
            State::Awaited(_) | State::Empty => {
                let before = replace(&mut *state, State::Awaited(context.waker().clone()));
                drop(state);
                drop(before);
                return Poll::Pending;
            }
            State::Sent(_) | State::Ended => replace(&mut *state, State::Ended),
        };
        drop(state);
        self.0 = None;
        match outcome {
            State::Sent(outcome) => Poll::Ready(Ok(outcome)),
            _ => Poll::Ready(Err(Lost)),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::runtime::Builder;

    use super::*;

    fn some() -> Outcome {
        Err(Box::new(Failure::lost()))
    }

    fn poll(receiver: &mut Receiver) -> Poll<Result<bool, Lost>> {
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(receiver)
            .poll(&mut context)
            .map(|outcome| outcome.map(|outcome| outcome.is_err()))
    }

    #[test]
    fn each_channel_has_a_place_of_its_own() {
        let channels: Vec<_> = (0..3 * TOGETHER).map(|_| channel()).collect();
        let (senders, mut receivers): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
        for (index, sender) in senders.into_iter().enumerate() {
            assert!(!receivers[index].has_outcome());
            assert!(poll(&mut receivers[index]).is_pending());
            match index % 3 {
                0 => assert!(sender.send(some()).is_ok()),
                1 => drop(sender),
                _ => {
                    assert!(receivers[index].close().is_none() && sender.is_closed());
                    assert!(sender.send(some()).is_err());
                }
            }
        }
        for (index, receiver) in receivers.iter_mut().enumerate() {
            let expected = if index % 3 == 0 { Ok(true) } else { Err(Lost) };
            assert_eq!(receiver.has_outcome(), expected.is_ok());
            assert_eq!(poll(receiver), Poll::Ready(expected));
            assert_eq!(poll(receiver), Poll::Ready(Err(Lost)));
        }
    }

    #[test]
    fn a_receiver_that_waits_is_woken_on_another_thread() {
        for is_sent in [true, false] {
            let (sender, receiver) = channel();
            let waiting = thread::spawn(move || {
                let runtime = Builder::new_current_thread().build().unwrap();
                runtime.block_on(receiver)
            });
            if is_sent {
                sender.send(some()).unwrap();
            } else {
                drop(sender);
            }
            assert_eq!(waiting.join().unwrap().is_ok(), is_sent);
        }
    }

    #[test]
    fn a_receiver_that_is_dropped_closes_its_channel() {
        let (sender, receiver) = channel();
        drop(receiver);
        assert!(sender.is_closed());
        assert!(sender.send(some()).is_err());
    }

    #[test]
    fn a_block_is_freed_with_its_last_channel() {
        let channels: Vec<_> = (0..=2 * TOGETHER).map(|_| channel()).collect();
        let blocks: Vec<_> = channels
            .iter()
            .map(|(_, receiver)| Arc::downgrade(&receiver.0.as_ref().unwrap().block))
            .collect();
        drop(channels);
        let alive = blocks.iter().filter(|block| block.strong_count() > 0).count();
        assert!(alive < TOGETHER, "{alive}"); // those of the block that the next channel is from
    }
}
