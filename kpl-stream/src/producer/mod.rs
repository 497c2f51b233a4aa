//! The producer and its typed handles.

pub mod blocking;
mod builder;
mod delivery;
mod driver;
mod error;
mod intake;
mod metrics;
mod options;
mod outcome;
pub mod pipeline;
mod send_all;
mod sink;

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kpl_core::KplRecord;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use self::builder::ProducerBuilder;
pub use self::delivery::{Delivery, DeliveryError};
pub use self::error::{CloseError, OpenError, SendError, SendErrorKind};
pub use self::intake::{OVERHEAD, Unsent};
pub use self::options::{InvalidOption, Options};
pub use self::outcome::{Attempt, AttemptError, Attempts, Failure, FailureReason, Receipt};
pub use self::pipeline::{EncodedRecord, StreamState};
pub use self::send_all::{Iter, SendAll, SendAllError};
pub use self::sink::StreamSink;

use self::delivery::Cell;
use self::driver::Driver;
use self::intake::{Intake, Message};
use self::pipeline::{Pipeline, StreamId};
use crate::client::WriteClient;

/// Sends records to any number of streams: one budget of memory, shared connections, a typed handle for each stream.
///
/// Cheap to clone. It works until [`close`](Self::close), or until the last of its clones and handles is dropped: then
/// whatever has no outcome fails as closed, and each [`Delivery`] gives its record back.
#[derive(Clone, Debug)]
pub struct Producer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    client: Arc<dyn WriteClient>,
    intake: Arc<Intake>,
    /// It starts with the first stream, on the runtime of whoever opens that.
    started: Mutex<bool>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The driver ends itself. If it never ran there is nothing to end.
        let (reply, _) = oneshot::channel();
        let _ = self.intake.put(Message::Abandon(reply));
    }
}

impl Producer {
    pub(crate) fn new(options: Options, client: Arc<dyn WriteClient>) -> Self {
        let intake = Arc::new(Intake::new(&options));
        Self {
            shared: Arc::new(Shared {
                options,
                client,
                intake,
                started: Mutex::new(false),
            }),
        }
    }

    /// Opens a stream, by its name or its ARN: waits until its shards are known.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the stream does not exist, if an option has a value that it cannot have, or if the producer is closed.
    /// A stream whose shards may not be listed is opened all the same: its records go one by one.
    pub async fn stream<T: KplRecord>(&self, name: &str) -> Result<StreamProducer<T>, OpenError> {
        let stream = self.stream_unchecked(name).await?;
        match stream.state().await? {
            StreamState::Unknown(Some(error)) if &*error.code == "ResourceNotFoundException" => {
                Err(OpenError::NotFound(error))
            }
            _ => Ok(stream),
        }
    }

    /// Opens a stream that may not exist yet: records wait for it, at most for their time to live.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if an option has a value that it cannot have, or if the producer is closed.
    pub async fn stream_unchecked<T: KplRecord>(&self, name: &str) -> Result<StreamProducer<T>, OpenError> {
        self.start()?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Open(name.to_owned(), reply);
        self.shared.intake.put(message).map_err(|_| OpenError::Closed)?;
        Ok(StreamProducer {
            id: answer.await.map_err(|_| OpenError::Closed)?,
            name: name.into(),
            producer: self.clone(),
            marker: PhantomData,
        })
    }

    fn start(&self) -> Result<(), OpenError> {
        let shared = &self.shared;
        let mut started = shared.started.lock().unwrap_or_else(PoisonError::into_inner);
        if !*started {
            let pipeline = Pipeline::new(shared.options.clone(), fastrand::u64(..))?;
            let runtime = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
            let driver = Driver::new(pipeline, Arc::clone(&shared.client), Arc::clone(&shared.intake));
            runtime.spawn(driver.run());
            *started = true;
        }
        Ok(())
    }

    /// Waits until every record that was accepted before has its outcome. Records do not wait for others any longer meanwhile.
    pub async fn flush(&self) {
        let (reply, answer) = oneshot::channel();
        if self.shared.intake.put(Message::Flush(reply)).is_ok() && self.is_started() {
            // An error: the producer was closed, and so everything has its outcome.
            let _ = answer.await;
        }
    }

    /// Accepts no more records, and waits for the outcome of those that were accepted, at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`CloseError`] with the records that had no outcome in time. Their deliveries resolve to errors as well.
    pub async fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        self.shared.intake.refuse_new();
        if !self.is_started() {
            self.shared.intake.close();
            return Ok(());
        }
        let _ = tokio::time::timeout(timeout, self.flush()).await;
        let (reply, answer) = oneshot::channel();
        if self.shared.intake.put(Message::Abandon(reply)).is_err() {
            return Ok(());
        }
        match answer.await {
            Ok(unsent) if !unsent.is_empty() => Err(CloseError { unsent }),
            _ => Ok(()),
        }
    }

    fn is_started(&self) -> bool {
        *self.shared.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records have no outcome yet, and their bytes as the budget counts them: key and payload, and
    /// [`OVERHEAD`](crate::OVERHEAD) each.
    #[must_use]
    pub fn buffered(&self) -> (usize, usize) {
        self.shared.intake.in_use()
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }
}

/// Sends records of a type to one stream of a [`Producer`]. Cheap to clone.
pub struct StreamProducer<T> {
    id: StreamId,
    name: Arc<str>,
    producer: Producer,
    marker: PhantomData<fn(&T)>,
}

impl<T> StreamProducer<T> {
    /// The stream's name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The producer.
    #[must_use]
    pub const fn producer(&self) -> &Producer {
        &self.producer
    }

    /// What is known of the stream: waits until something is.
    ///
    /// # Errors
    ///
    /// [`OpenError::Closed`] if the producer is closed.
    pub async fn state(&self) -> Result<StreamState, OpenError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::State(self.id, reply);
        self.producer
            .shared
            .intake
            .put(message)
            .map_err(|_| OpenError::Closed)?;
        answer.await.map_err(|_| OpenError::Closed)
    }
}

impl<T: KplRecord> StreamProducer<T> {
    /// Sends a record: waits for room, not for the service. The outcome comes from the [`Delivery`].
    ///
    /// A record whose future is dropped while it waits for room is not sent.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the record, if it cannot be written, is too large, or if the producer is closed.
    pub async fn send(&self, record: T) -> Result<Delivery<T>, SendError<T>> {
        let encoded = match self.encode(&record) {
            Ok(encoded) => encoded,
            Err(kind) => return Err(SendError { record, kind }),
        };
        match self.producer.shared.intake.reserve(Intake::cost(&encoded)).await {
            Ok(()) => self.put(record, encoded),
            Err(_) => Err(closed(record)),
        }
    }

    /// Sends a record if there is room for it now.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the record, if there is no room, and where [`send`](Self::send) gives one.
    pub fn try_send(&self, record: T) -> Result<Delivery<T>, SendError<T>> {
        let encoded = match self.encode(&record) {
            Ok(encoded) => encoded,
            Err(kind) => return Err(SendError { record, kind }),
        };
        match self.producer.shared.intake.try_reserve(Intake::cost(&encoded)) {
            Ok(true) => self.put(record, encoded),
            Ok(false) => Err(SendError {
                record,
                kind: SendErrorKind::Full,
            }),
            Err(_) => Err(closed(record)),
        }
    }

    fn encode(&self, record: &T) -> Result<EncodedRecord, SendErrorKind> {
        let encoded = EncodedRecord::new(record).map_err(SendErrorKind::Record)?;
        let (size, max_size) = (encoded.size(), self.producer.shared.options.max_user_record_size);
        if size > max_size {
            return Err(SendErrorKind::TooLarge { size, max_size });
        }
        Ok(encoded)
    }

    fn put(&self, record: T, encoded: EncodedRecord) -> Result<Delivery<T>, SendError<T>> {
        let cell = Arc::new(Cell::default());
        let message = Message::Record(self.id, encoded, Arc::clone(&cell));
        match self.producer.shared.intake.put(message) {
            Ok(()) => Ok(Delivery::new(record, cell)),
            Err(_) => Err(closed(record)),
        }
    }
}

const fn closed<T>(record: T) -> SendError<T> {
    SendError {
        record,
        kind: SendErrorKind::Closed,
    }
}

impl<T> Clone for StreamProducer<T> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            name: Arc::clone(&self.name),
            producer: self.producer.clone(),
            marker: PhantomData,
        }
    }
}

impl<T> fmt::Debug for StreamProducer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamProducer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
