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
//! let clicks = producer.stream::<RawRecord<'static>>("clicks")?;
//! let delivery = clicks.send(RawRecord::new("anna", "some bytes"))?;
//! println!("{}", delivery.wait()?.shard_id());
//! producer.close(Duration::from_secs(30))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kpl_core::KplRecord;
use tokio::runtime::{Builder, Runtime};

use super::builder::ProducerBuilder;
use super::delivery::DeliveryError;
use super::error::{CloseError, OpenError, SendError};
use super::outcome::Receipt;

/// A [`Producer`](crate::Producer) with a thread of its own. Its methods wait: call them outside of async code.
#[derive(Clone, Debug)]
pub struct Producer {
    producer: crate::Producer,
    runtime: Arc<Background>,
}

/// Ends without waiting, so that it may be dropped anywhere.
#[derive(Debug)]
struct Background(Option<Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Background {
    fn wait<F: Future>(&self, future: F) -> F::Output {
        // For timers; the waiting itself needs no runtime.
        let _context = self.0.as_ref().map(Runtime::enter);
        pollster::block_on(future)
    }
}

impl Producer {
    /// Starts the thread, and makes the producer on it.
    ///
    /// # Errors
    ///
    /// That of the operating system, if there can be no further thread.
    pub fn start(builder: impl Future<Output = ProducerBuilder>) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kpl-stream")
            .enable_all()
            .build()?;
        let runtime = Background(Some(runtime));
        Ok(Self {
            producer: runtime.wait(builder).build(),
            runtime: Arc::new(runtime),
        })
    }

    /// As [`Producer::stream`](crate::Producer::stream).
    ///
    /// # Errors
    ///
    /// Those of [`Producer::stream`](crate::Producer::stream).
    pub fn stream<T: KplRecord>(&self, name: &str) -> Result<StreamProducer<T>, OpenError> {
        Ok(StreamProducer {
            stream: self.runtime.wait(self.producer.stream(name))?,
            runtime: Arc::clone(&self.runtime),
        })
    }

    /// As [`Producer::flush`](crate::Producer::flush).
    pub fn flush(&self) {
        self.runtime.wait(self.producer.flush());
    }

    /// As [`Producer::close`](crate::Producer::close).
    ///
    /// # Errors
    ///
    /// Those of [`Producer::close`](crate::Producer::close).
    pub fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        self.runtime.wait(self.producer.close(timeout))
    }

    /// The producer itself, for its other methods.
    #[must_use]
    pub const fn as_async(&self) -> &crate::Producer {
        &self.producer
    }
}

/// A [`StreamProducer`](crate::StreamProducer) whose methods wait.
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
    /// As [`StreamProducer::send`](crate::StreamProducer::send): waits for room, not for the service.
    ///
    /// # Errors
    ///
    /// Those of [`StreamProducer::send`](crate::StreamProducer::send).
    pub fn send(&self, record: T) -> Result<Delivery<T>, SendError<T>> {
        self.runtime.wait(self.stream.send(record)).map(Delivery)
    }

    /// As [`StreamProducer::try_send`](crate::StreamProducer::try_send): does not wait.
    ///
    /// # Errors
    ///
    /// Those of [`StreamProducer::try_send`](crate::StreamProducer::try_send).
    pub fn try_send(&self, record: T) -> Result<Delivery<T>, SendError<T>> {
        self.stream.try_send(record).map(Delivery)
    }
}

/// The outcome of a record to come.
#[derive(Debug)]
#[must_use = "a failure is told here, and only here the record comes back"]
pub struct Delivery<T>(crate::Delivery<T>);

impl<T> Delivery<T> {
    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// [`DeliveryError`] with the record, if it was not delivered.
    pub fn wait(self) -> Result<Receipt, DeliveryError<T>> {
        pollster::block_on(self.0)
    }

    /// Whether there is an outcome already.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }
}
