//! The producer for programs without async.
//!
//! ```no_run
//! use std::time::Duration;
//! use kpl_core::RawRecord;
//! use kpl_stream::blocking;
//!
//! let producer = blocking::Producer::start(async {
//!     let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
//!     kpl_stream::Producer::builder().load_aws_config(&config)
//! })?;
//! let clicks = producer.stream::<RawRecord>("clicks")?;
//! let delivery = clicks.send(RawRecord::new("anna", "some bytes"))?;
//! println!("{}", delivery.wait()?.shard_id());
//! producer.close(Duration::from_secs(30))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kpl_core::{InvalidOption, KplRecord};
use tokio::runtime::{Builder, Handle, Runtime};

use super::builder::ProducerBuilder;
use super::delivery::DeliveryError;
use super::error::{CloseError, OpenError, SendError};
use super::outcome::Receipt;

/// A [`Producer`](crate::Producer) with a thread of its own, whose methods block until they are done.
///
/// # Panics
///
/// Methods that block panic if they are called inside async code, where they would block other tasks:
/// [`start`](Self::start), [`stream`](Self::stream), [`flush`](Self::flush), [`close`](Self::close),
/// [`sync_spool`](Self::sync_spool), [`StreamProducer::send`], [`StreamProducer::spool`] and [`Delivery::wait`]. Inside
/// tokio, call them in `spawn_blocking`, or use [`as_async`](Self::as_async).
#[derive(Clone, Debug)]
pub struct Producer {
    producer: crate::Producer,
    runtime: Arc<Background>,
}

#[derive(Debug)]
struct Background {
    handle: Handle,
    /// Taken when the producer is dropped: the runtime ends without waiting, so that it may be dropped anywhere.
    runtime: Option<Runtime>,
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why a blocking producer did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An option is out of its range.
    Option(InvalidOption),
    /// The operating system refused to start a thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "the producer's thread cannot be started: {error}"),
        }
    }
}

impl Error for StartError {}

impl Producer {
    /// Starts the thread, and builds the producer on it.
    ///
    /// # Errors
    ///
    /// [`StartError`] if an option is out of its range, or if the operating system refuses to start a thread.
    pub fn start(builder: impl Future<Output = ProducerBuilder>) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kpl-stream")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let builder = runtime.block_on(builder);
        Ok(Self {
            producer: builder.build().map_err(StartError::Option)?,
            runtime: Arc::new(Background {
                handle: runtime.handle().clone(),
                runtime: Some(runtime),
            }),
        })
    }

    /// Opens a stream, as [`Producer::stream`](crate::Producer::stream) does.
    ///
    /// # Errors
    ///
    /// Those of [`Producer::stream`](crate::Producer::stream).
    pub fn stream<T: KplRecord>(&self, name: &str) -> Result<StreamProducer<T>, OpenError> {
        Ok(StreamProducer {
            stream: self.runtime.handle.block_on(self.producer.stream(name))?,
            runtime: Arc::clone(&self.runtime),
        })
    }

    /// Waits until every record that was accepted before has its outcome, as
    /// [`Producer::flush`](crate::Producer::flush) does.
    pub fn flush(&self) {
        self.runtime.handle.block_on(self.producer.flush());
    }

    /// Waits until every record that was accepted before is in the spool, as
    /// [`Producer::sync_spool`](crate::Producer::sync_spool) does.
    pub fn sync_spool(&self) {
        self.runtime.handle.block_on(self.producer.sync_spool());
    }

    /// Closes the producer, as [`Producer::close`](crate::Producer::close) does.
    ///
    /// # Errors
    ///
    /// Those of [`Producer::close`](crate::Producer::close).
    pub fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        self.runtime.handle.block_on(self.producer.close(timeout))
    }

    /// Returns the async producer, for its other methods.
    #[must_use]
    pub const fn as_async(&self) -> &crate::Producer {
        &self.producer
    }
}

/// A [`StreamProducer`](crate::StreamProducer) whose methods block.
#[derive(Debug)]
pub struct StreamProducer<T> {
    stream: crate::StreamProducer<T>,
    runtime: Arc<Background>,
}

impl<T> Clone for StreamProducer<T> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            runtime: Arc::clone(&self.runtime),
        }
    }
}

impl<T: KplRecord> StreamProducer<T> {
    /// Sends a record, as [`StreamProducer::send`](crate::StreamProducer::send) does: waits for room, but not for the
    /// service.
    ///
    /// # Errors
    ///
    /// Those of [`StreamProducer::send`](crate::StreamProducer::send).
    pub fn send(&self, record: T) -> Result<Delivery<T>, SendError<T>> {
        let sent = self.runtime.handle.block_on(self.stream.send(record));
        sent.map(|delivery| self.delivery(delivery))
    }

    /// Sends a record if there is room for it now, as [`StreamProducer::try_send`](crate::StreamProducer::try_send)
    /// does. It never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`StreamProducer::try_send`](crate::StreamProducer::try_send).
    pub fn try_send(&self, record: T) -> Result<Delivery<T>, SendError<T>> {
        let sent = self.stream.try_send(record);
        sent.map(|delivery| self.delivery(delivery))
    }

    /// Stores a record in the spool, as [`StreamProducer::spool`](crate::StreamProducer::spool) does.
    ///
    /// # Errors
    ///
    /// Those of [`StreamProducer::spool`](crate::StreamProducer::spool).
    pub fn spool(&self, record: T) -> Result<(), SendError<T>> {
        self.runtime.handle.block_on(self.stream.spool(record))
    }

    /// Stores a record in the spool if there is room for it now, as [`StreamProducer::try_spool`](crate::StreamProducer::try_spool) does.
    /// It never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`StreamProducer::try_spool`](crate::StreamProducer::try_spool).
    pub fn try_spool(&self, record: T) -> Result<(), SendError<T>> {
        self.stream.try_spool(record)
    }

    fn delivery(&self, delivery: crate::Delivery<T>) -> Delivery<T> {
        Delivery {
            delivery,
            runtime: Arc::clone(&self.runtime),
        }
    }
}

/// The future outcome of a record.
#[derive(Debug)]
#[must_use = "only a delivery reports a failure and returns the record"]
pub struct Delivery<T> {
    delivery: crate::Delivery<T>,
    runtime: Arc<Background>,
}

impl<T> Delivery<T> {
    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// [`DeliveryError`] with the record, if it was not delivered.
    pub fn wait(self) -> Result<Receipt, DeliveryError<T>> {
        self.runtime.handle.block_on(self.delivery)
    }

    /// Returns whether there is an outcome already.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.delivery.is_done()
    }
}
