//! A Kinesis stream as a `Sink`.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::future::BoxFuture;
use futures_sink::Sink;
use kpl_core::KplRecord;

use super::StreamProducer;
use super::send_all::{SendAllError, Window};

impl<T: KplRecord> StreamProducer<T> {
    /// Returns a `Sink` that sends the records that are put into it.
    pub fn sink(&self) -> StreamSink<T>
    where
        T: Send + Sync + 'static,
    {
        StreamSink::new(self.clone())
    }
}

/// Sends the records that are put into it: the result of [`StreamProducer::sink`].
///
/// If a record fails, a later call returns its error; each call returns at most one. Flushing and closing wait for the
/// outcome of everything that was put in; closing does not close the producer.
#[must_use = "sinks do nothing unless they are polled"]
pub struct StreamSink<T> {
    window: Window<T>,
    flush: Option<BoxFuture<'static, ()>>,
}

impl<T: KplRecord + Send + Sync + 'static> StreamSink<T> {
    pub(crate) const fn new(producer: StreamProducer<T>) -> Self {
        Self {
            window: Window::new(producer),
            flush: None,
        }
    }

    /// Takes the outcomes that are ready. Returns the first error.
    fn take_outcomes(&mut self, context: &mut Context<'_>) -> Result<(), SendAllError<T>> {
        while let Poll::Ready(Some(outcome)) = self.window.poll_outcome(context) {
            outcome?;
        }
        Ok(())
    }
}

// Nothing in it is ever pinned.
impl<T> Unpin for StreamSink<T> {}

impl<T: KplRecord + Send + Sync + 'static> Sink<T> for StreamSink<T> {
    type Error = SendAllError<T>;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.take_outcomes(context)?;
        self.window.poll_room(context).map(Ok)
    }

    fn start_send(mut self: Pin<&mut Self>, record: T) -> Result<(), Self::Error> {
        self.window.send(record);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        while self.window.has_waiting() {
            self.take_outcomes(context)?;
            ready!(self.window.poll_room(context));
        }
        let producer = self.window.producer().producer().clone();
        let flush = self
            .flush
            .get_or_insert_with(|| Box::pin(async move { producer.flush().await }));
        ready!(flush.as_mut().poll(context));
        while let Some(outcome) = ready!(self.window.poll_outcome(context)) {
            outcome?;
        }
        self.flush = None;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_flush(context)
    }
}

impl<T> fmt::Debug for StreamSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSink").finish_non_exhaustive()
    }
}
