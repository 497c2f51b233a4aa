//! Sends many records, and returns their outcomes in order.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use kpl_core::KplRecord;

use super::StreamProducer;
use super::delivery::{Delivery, DeliveryError};
use super::error::{SendError, SendErrorKind};
use super::outcome::Receipt;

/// A record that was not accepted, or not delivered. Its `Debug` output does not show the record.
#[non_exhaustive]
pub enum SendAllError<T> {
    /// The record was not accepted.
    NotAccepted(SendError<T>),
    /// The record was accepted, but not delivered.
    NotDelivered(DeliveryError<T>),
}

impl<T> SendAllError<T> {
    /// Returns the record.
    #[must_use]
    pub fn into_record(self) -> T {
        match self {
            Self::NotAccepted(error) => error.record,
            Self::NotDelivered(error) => error.record,
        }
    }
}

impl<T> fmt::Display for SendAllError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAccepted(error) => error.fmt(f),
            Self::NotDelivered(error) => error.fmt(f),
        }
    }
}

impl<T> fmt::Debug for SendAllError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAccepted(error) => f.debug_tuple("NotAccepted").field(error).finish(),
            Self::NotDelivered(error) => f.debug_tuple("NotDelivered").field(error).finish(),
        }
    }
}

impl<T> std::error::Error for SendAllError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotAccepted(error) => error.source(),
            Self::NotDelivered(error) => error.source(),
        }
    }
}

impl<T: KplRecord> StreamProducer<T> {
    /// Sends records while the result is polled, and returns their outcomes in the order of the records. It waits if
    /// there is no room; at most `max_buffered_records` records are in flight. With a [spool](crate::spool), there is room for records as
    /// long as the disk has some, so this option is what bounds the memory of records that wait for their outcomes here.
    ///
    /// ```
    /// # async fn example(clicks: kpl_stream::StreamProducer<kpl_core::RawRecord>) {
    /// use futures_util::StreamExt as _;
    /// use kpl_core::RawRecord;
    ///
    /// let records = (0..1000).map(|number| RawRecord::new(format!("key {number}"), b"some bytes".to_vec()));
    /// let mut outcomes = clicks.send_all(records);
    /// while let Some(outcome) = outcomes.next().await {
    ///     match outcome {
    ///         Ok(receipt) => println!("{}", receipt.sequence_number()),
    ///         Err(error) => {
    ///             eprintln!("{error}");
    ///             let record = error.into_record(); // for another try
    ///         }
    ///     }
    /// }
    /// # }
    /// ```
    pub fn send_all<I>(&self, records: I) -> SendAll<T, impl Stream<Item = T> + use<I, T>>
    where
        I: IntoIterator<Item = T>,
        T: Send + Sync + 'static,
    {
        SendAll::new(self.clone(), Iter(records.into_iter()))
    }

    /// Sends the records of a [`Stream`], as [`send_all`](Self::send_all) sends those of an iterator.
    ///
    /// ```
    /// # async fn example(clicks: kpl_stream::StreamProducer<kpl_core::RawRecord>) {
    /// use futures_util::{StreamExt as _, stream};
    /// use kpl_core::RawRecord;
    ///
    /// let records = stream::iter(["one", "two"]).map(|data| RawRecord::new("key", data));
    /// let mut outcomes = clicks.send_all_from(records);
    /// while let Some(outcome) = outcomes.next().await {
    ///     match outcome {
    ///         Ok(receipt) => println!("shard {}, {}", receipt.shard_id(), receipt.sequence_number()),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn send_all_from<S>(&self, records: S) -> SendAll<T, S>
    where
        S: Stream<Item = T>,
        T: Send + Sync + 'static,
    {
        SendAll::new(self.clone(), records)
    }
}

/// Lets other tasks run after this many records.
const TAKEN_AT_ONCE: usize = 512;

/// A record that was sent, or failed to be.
#[derive(Debug)]
pub(crate) enum Sent<T> {
    Accepted(Delivery<T>),
    NotAccepted(SendError<T>),
}

/// The records in flight, in their order, and the one that waits for room.
pub(crate) struct Window<T> {
    producer: StreamProducer<T>,
    sent: VecDeque<Sent<T>>,
    /// A record for which there was no room at first.
    waiting: Option<BoxFuture<'static, Result<Delivery<T>, SendError<T>>>>,
}

impl<T: KplRecord + Send + Sync + 'static> Window<T> {
    pub(crate) const fn new(producer: StreamProducer<T>) -> Self {
        Self {
            producer,
            sent: VecDeque::new(),
            waiting: None,
        }
    }

    pub(crate) const fn producer(&self) -> &StreamProducer<T> {
        &self.producer
    }

    /// Returns ready if another record may be sent: none waits for room, and not too many are in flight.
    pub(crate) fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = &mut self.waiting {
            let Poll::Ready(result) = waiting.as_mut().poll(context) else {
                return Poll::Pending;
            };
            self.waiting = None;
            self.sent
                .push_back(result.map_or_else(Sent::NotAccepted, Sent::Accepted));
        }
        if self.sent.len() < self.producer.producer().options().max_buffered_records {
            Poll::Ready(())
        } else {
            // The task that takes the outcomes wakes this one.
            Poll::Pending
        }
    }

    pub(crate) fn send(&mut self, record: T) {
        match self.producer.try_send(record) {
            Ok(delivery) => self.sent.push_back(Sent::Accepted(delivery)),
            Err(SendError {
                record,
                kind: SendErrorKind::Full,
            }) => {
                let producer = self.producer.clone();
                self.waiting = Some(Box::pin(async move { producer.send(record).await }));
            }
            Err(error) => self.sent.push_back(Sent::NotAccepted(error)),
        }
    }

    /// Returns the outcome of the oldest record, or `None` if none is in flight; one may still be waiting for room.
    pub(crate) fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Receipt, SendAllError<T>>>> {
        let outcome = match self.sent.front_mut() {
            None => return Poll::Ready(None),
            Some(Sent::NotAccepted(_)) => None,
            Some(Sent::Accepted(delivery)) => match Pin::new(delivery).poll(context) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => return Poll::Pending,
            },
        };
        let oldest = self.sent.pop_front();
        Poll::Ready(match (outcome, oldest) {
            (Some(outcome), _) => Some(outcome.map_err(SendAllError::NotDelivered)),
            (None, Some(Sent::NotAccepted(error))) => Some(Err(SendAllError::NotAccepted(error))),
            (None, _) => None,
        })
    }

    pub(crate) const fn has_waiting(&self) -> bool {
        self.waiting.is_some()
    }
}

/// Sends records while it is polled, and returns their outcomes in the order of the records: the result of
/// [`send_all`](StreamProducer::send_all) and [`send_all_from`](StreamProducer::send_all_from).
#[must_use = "nothing is sent unless it is polled"]
pub struct SendAll<T, S> {
    window: Window<T>,
    records: Pin<Box<S>>,
    ended: bool,
}

impl<T: KplRecord + Send + Sync + 'static, S: Stream<Item = T>> SendAll<T, S> {
    pub(crate) fn new(producer: StreamProducer<T>, records: S) -> Self {
        Self {
            window: Window::new(producer),
            records: Box::pin(records),
            ended: false,
        }
    }

    fn take_in(&mut self, context: &mut Context<'_>) {
        for _ in 0..TAKEN_AT_ONCE {
            if self.window.poll_room(context).is_pending() || self.ended {
                return;
            }
            match self.records.as_mut().poll_next(context) {
                Poll::Ready(Some(record)) => self.window.send(record),
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => return,
            }
        }
        context.waker().wake_by_ref();
    }
}

// Records and window are never pinned; the source is boxed.
impl<T, S> Unpin for SendAll<T, S> {}

impl<T: KplRecord + Send + Sync + 'static, S: Stream<Item = T>> Stream for SendAll<T, S> {
    type Item = Result<Receipt, SendAllError<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.take_in(context);
        match self.window.poll_outcome(context) {
            Poll::Ready(None) if !self.ended || self.window.has_waiting() => Poll::Pending,
            outcome => outcome,
        }
    }
}

impl<T, S> fmt::Debug for SendAll<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAll")
            .field("producer", &self.window.producer)
            .field("under_way", &self.window.sent.len())
            .finish_non_exhaustive()
    }
}

/// An iterator as a stream.
struct Iter<I>(I);

impl<I> Unpin for Iter<I> {}

impl<I: Iterator> Stream for Iter<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}
