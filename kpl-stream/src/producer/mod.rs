//! The producer and its typed handles.

pub mod blocking;
mod builder;
mod channel;
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
pub mod spool;

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use kpl_core::{InvalidOption, KplRecord};
use kpl_spool::Directory;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use self::builder::ProducerBuilder;
pub use self::delivery::{Delivery, DeliveryError};
pub use self::error::{CloseError, OpenError, OpenErrorKind, SendError, SendErrorKind, UndeliveredRecord};
pub use self::intake::{BYTES_PER_RECORD, Buffered};
pub use self::options::Options;
pub use self::outcome::{Attempt, AttemptError, Attempts, Failure, FailureReason, Receipt};
pub use self::pipeline::{EncodedRecord, StreamState};
pub use self::send_all::{SendAll, SendAllError};
pub use self::sink::StreamSink;

use self::delivery::OutcomeSender;
use self::driver::Driver;
use self::intake::{Intake, Message, Refused};
use self::pipeline::{Pipeline, StreamId};
use self::spool::{Append, Gate, Keeper, Spool, SpoolError, Spooled};
use crate::client::{ErrorClass, WriteClient};

/// Sends records to any number of streams, with one memory budget, shared connections, and a typed handle for each
/// stream.
///
/// Cloning it is cheap. It runs until [`close`](Self::close) is called or the last of its clones and handles is
/// dropped. Then every record without an outcome fails as closed, and its [`Delivery`] returns the record. With a
/// [`spool`], these records stay there for the next producer.
///
/// A process that forks must build a new producer in the child. The child has a copy of the parent's producer, but not
/// the threads that run it: it accepts records until its budget is used up, and none of them ever has an outcome. `send`,
/// `flush` and `close` may wait forever. The parent's producer is not affected.
#[derive(Clone, Debug)]
pub struct Producer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    client: Arc<dyn WriteClient>,
    intake: Arc<Intake>,
    /// Set until the first stream is opened; from then on the pipeline runs on the caller's runtime.
    idle: Mutex<Option<Idle>>,
    spool: Option<Arc<Gate>>,
}

/// What will run.
#[derive(Debug)]
struct Idle {
    pipeline: Pipeline<OutcomeSender>,
    keeper: Option<Keeper<Directory>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The driver ends by itself. If it never ran, there is nothing to end.
        let (reply, _) = oneshot::channel();
        let _ = self.intake.put(Message::Abandon(reply));
    }
}

impl Producer {
    fn new(options: Options, client: Arc<dyn WriteClient>, spool: Option<Spool>) -> Result<Self, InvalidOption> {
        let mut pipeline = Pipeline::new(options.clone(), fastrand::u64(..))?;
        let intake = Arc::new(Intake::new(&options, spool.is_some()));
        let (mut keeper, mut gate) = (None, None);
        if let Some(spool) = spool {
            // Two records, with the longest names.
            let least = 2 * (options.max_user_record_size as u64 + (1 << 16));
            let max_bytes = spool.max_bytes();
            if max_bytes < least {
                let range = format_args!("at least {least}, for records of max_user_record_size");
                return Err(InvalidOption::new(
                    "max_bytes of the spool",
                    format_args!("{max_bytes}"),
                    range,
                ));
            }
            let log = spool
                .take()
                .ok_or_else(|| InvalidOption::new("spool", format_args!("in use"), "that of no other producer"))?;
            pipeline.keep_trying();
            let made = Arc::new(Gate::new(options.max_buffered_bytes / 4, spool.on_outcome()));
            keeper = Some(Keeper::new(log, Arc::clone(&made), Arc::clone(&intake), spool.every()));
            gate = Some(made);
        }
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                intake,
                idle: Mutex::new(Some(Idle { pipeline, keeper })),
                options,
                spool: gate,
            }),
        })
    }

    /// Opens a stream, by its name or its ARN, and waits until its shards are known.
    ///
    /// A stream whose shards cannot be listed is opened all the same, because the permission to list them may be missing
    /// while records are accepted, and a service that cannot be reached now may be reached later. Until they can be
    /// listed, its records are sent one by one, not aggregated: [`state`](StreamProducer::state) says so, and a warning is
    /// logged once.
    ///
    /// So this also succeeds if no connection can be made, for example because the certificate of the endpoint is not
    /// trusted. The error in `state` and in the warning then has the code `DispatchFailure` and a message that begins
    /// with `cannot connect to`. Records wait until they expire. A program that must not start in this case can match
    /// [`StreamState::Unpredicted`].
    ///
    /// If opening a stream failed, it may be opened again: its shards are then listed anew, at most once a second.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the stream does not exist, if no retry can help because there is no region, there are no valid
    /// credentials or the endpoint is not a valid URL, if the producer is closed, or if this is called outside of a tokio
    /// runtime.
    ///
    /// ```
    /// use kpl_core::RawRecord;
    /// use kpl_stream::{OpenErrorKind, Producer};
    ///
    /// # #[cfg(feature = "aws")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = aws_config::SdkConfig::builder().build(); // without a region
    /// let producer = Producer::builder().load_aws_config(&config).build()?;
    /// let error = producer.stream::<RawRecord>("clicks").await.unwrap_err();
    /// assert!(matches!(error.kind, OpenErrorKind::Configuration(_)));
    /// assert!(error.to_string().contains("set AWS_REGION"));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "aws"))]
    /// # fn main() {}
    /// ```
    pub async fn stream<T: KplRecord>(&self, name: &str) -> Result<StreamProducer<T>, OpenError> {
        let stream = self.stream_unchecked(name).await?;
        match stream.state().await? {
            StreamState::Unknown(Some(error)) if error.class == ErrorClass::NotFound => {
                Err(stream.open_error(OpenErrorKind::NotFound(error)))
            }
            StreamState::Unpredicted(error) if error.class == ErrorClass::Configuration => {
                Err(stream.open_error(OpenErrorKind::Configuration(error)))
            }
            _ => Ok(stream),
        }
    }

    /// Opens a stream that may not exist yet. Until it does, records wait, at most for their time to live.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the producer is closed, or if this is called outside of a tokio runtime.
    pub async fn stream_unchecked<T: KplRecord>(&self, name: &str) -> Result<StreamProducer<T>, OpenError> {
        let error = |kind| OpenError {
            stream: name.into(),
            kind,
        };
        self.start().map_err(error)?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Open(name.to_owned(), reply);
        let closed = || error(OpenErrorKind::Closed);
        self.shared.intake.put(message).map_err(|_| closed())?;
        Ok(StreamProducer {
            id: answer.await.map_err(|_| closed())?,
            name: name.into(),
            producer: self.clone(),
            marker: PhantomData,
        })
    }

    fn start(&self) -> Result<(), OpenErrorKind> {
        let mut idle = self.idle();
        if idle.is_some() {
            let runtime = Handle::try_current().map_err(|_| OpenErrorKind::NoRuntime)?;
            let (client, intake) = (Arc::clone(&self.shared.client), Arc::clone(&self.shared.intake));
            if let Some(Idle { pipeline, keeper }) = idle.take() {
                metrics::describe();
                // If the thread cannot be started, the driver ends when it is dropped.
                let driver = Driver::new(pipeline, client, intake, self.shared.spool.clone());
                if let Some(keeper) = keeper {
                    let thread = thread::Builder::new().name("kpl-spool".into());
                    thread
                        .spawn(|| keeper.run())
                        .map_err(|error| OpenErrorKind::Spool(error.into()))?;
                }
                runtime.spawn(driver.run());
            }
        }
        Ok(())
    }

    /// Waits until every record that was accepted before has its outcome. Meanwhile, those records do not wait to be
    /// sent together with others.
    ///
    /// With a spool, this includes the records that earlier processes have left.
    pub async fn flush(&self) {
        if let Some(spool) = &self.shared.spool {
            // Without a runtime, or if it was closed, nothing can be waited for.
            if self.start().is_ok() {
                spool.flush().await;
            }
            return;
        }
        let (reply, answer) = oneshot::channel();
        if self.shared.intake.put(Message::Flush(reply)).is_ok() && self.is_started() {
            // An error means that the producer was closed, so everything has its outcome.
            let _ = answer.await;
        }
    }

    /// Waits until every record that was accepted before is in the [spool](crate::spool), or was refused because it could not be
    /// stored. Returns at once without a spool.
    ///
    /// [`send`](StreamProducer::send) and [`spool`](StreamProducer::spool) have waited for that already.
    pub async fn sync_spool(&self) {
        if let Some(spool) = &self.shared.spool
            && self.is_started()
        {
            spool.sync().await;
        }
    }

    /// Returns what was in the [spool](crate::spool) a moment ago, or `None` without a spool.
    #[must_use]
    pub fn spooled(&self) -> Option<Spooled> {
        self.shared.spool.as_ref().map(|spool| spool.spooled())
    }

    /// Stops accepting records, and waits until those that were accepted have their outcomes, at most for `timeout`.
    ///
    /// With a spool, the records without an outcome stay there, and the next producer that opens it sends them.
    ///
    /// # Errors
    ///
    /// [`CloseError`] with the records that did not have an outcome in time, or with their number if they are in a spool. Their
    /// deliveries resolve to errors as well.
    pub async fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        if let Some(spool) = &self.shared.spool {
            return self.close_spool(spool, timeout).await;
        }
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
            Ok(undelivered) if !undelivered.is_empty() => Err(CloseError {
                undelivered,
                spooled: 0,
            }),
            _ => Ok(()),
        }
    }

    async fn close_spool(&self, spool: &Gate, timeout: Duration) -> Result<(), CloseError> {
        spool.refuse_new();
        // Also if nothing was sent: earlier processes may have left records. Without a runtime, they stay.
        if self.start().is_ok() {
            let _ = tokio::time::timeout(timeout, spool.flush()).await;
            let (reply, answer) = oneshot::channel();
            if self.shared.intake.put(Message::Abandon(reply)).is_ok() {
                let _ = answer.await;
            }
            spool.ended().await;
        }
        match spool.spooled().records {
            0 => Ok(()),
            spooled => Err(CloseError {
                undelivered: Vec::new(),
                spooled,
            }),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Option<Idle>> {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_started(&self) -> bool {
        self.idle().is_none()
    }

    /// Returns how much of the budget is in use by records without an outcome. The room that a record takes becomes
    /// free a moment after its [`Delivery`] has the outcome.
    #[must_use]
    pub fn buffered(&self) -> Buffered {
        self.shared.intake.in_use()
    }

    /// Returns the options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }
}

/// Sends records of one type to one stream of a [`Producer`]. Cloning it is cheap.
pub struct StreamProducer<T> {
    id: StreamId,
    name: Arc<str>,
    producer: Producer,
    marker: PhantomData<fn(&T)>,
}

impl<T> StreamProducer<T> {
    /// Returns the stream's name or ARN, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the producer.
    #[must_use]
    pub const fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Returns what is known about the stream, once its shards have been listed or could not be listed.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the producer is closed.
    pub async fn state(&self) -> Result<StreamState, OpenError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::State(self.id, reply);
        let closed = || self.open_error(OpenErrorKind::Closed);
        self.producer.shared.intake.put(message).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())
    }

    fn open_error(&self, kind: OpenErrorKind) -> OpenError {
        OpenError {
            stream: Arc::clone(&self.name),
            kind,
        }
    }
}

impl<T: KplRecord> StreamProducer<T> {
    /// Sends a record. It waits for room, but not for the service; the outcome comes from the [`Delivery`].
    ///
    /// If the future is dropped while it waits for room, the record is not sent.
    ///
    /// With a [spool](crate::spool), it also waits until the record is stored. If the future is dropped while it waits for that, the record
    /// may be sent.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the record, if its payload cannot be encoded, its keys are not valid, it is larger than
    /// `max_user_record_size`, it cannot be stored in the spool, or the producer is closed.
    pub async fn send(&self, record: T) -> Result<Delivery<T>, SendError<T>> {
        // Other tasks get their turn as well, the driver among them.
        tokio::task::consume_budget().await;
        let encoded = match self.encode(&record) {
            Ok(encoded) => encoded,
            Err(kind) => return Err(SendError { record, kind }),
        };
        if let Some(spool) = &self.producer.shared.spool {
            let (sender, receiver) = delivery::channel();
            // If this future is dropped while the record is stored, a failure is logged.
            let delivery = Delivery::new((), receiver);
            return match self.store(spool, encoded, sender).await {
                Ok(()) => Ok(delivery.with_record(record)),
                Err(kind) => Err(SendError { record, kind }),
            };
        }
        let intake = &self.producer.shared.intake;
        match intake.try_put(self.id, encoded) {
            Ok(receiver) => Ok(Delivery::new(record, receiver)),
            Err((Refused::Closed, _)) => Err(closed(record)),
            Err((Refused::Full, encoded)) => match intake.reserve(intake.cost(&encoded)).await {
                Ok(()) => self.put(record, encoded),
                Err(_) => Err(closed(record)),
            },
        }
    }

    /// Sends a record if there is room for it now.
    ///
    /// With a [spool](crate::spool), the record is stored a moment later: [`sync_spool`](Producer::sync_spool) waits for that. If it cannot
    /// be stored, its outcome is [`FailureReason::NotStored`].
    ///
    /// # Errors
    ///
    /// [`SendError`] with the record, if there is no room, and in all cases in which [`send`](Self::send) returns one.
    pub fn try_send(&self, record: T) -> Result<Delivery<T>, SendError<T>> {
        let encoded = match self.encode(&record) {
            Ok(encoded) => encoded,
            Err(kind) => return Err(SendError { record, kind }),
        };
        if let Some(spool) = &self.producer.shared.spool {
            let (sender, receiver) = delivery::channel();
            return match self.try_store(spool, encoded, sender) {
                Ok(()) => Ok(Delivery::new(record, receiver)),
                Err(kind) => Err(SendError { record, kind }),
            };
        }
        match self.producer.shared.intake.try_put(self.id, encoded) {
            Ok(receiver) => Ok(Delivery::new(record, receiver)),
            Err((Refused::Full, _)) => Err(SendError {
                record,
                kind: SendErrorKind::Full,
            }),
            Err((Refused::Closed, _)) => Err(closed(record)),
        }
    }

    /// Stores a record in the [spool](crate::spool), from where it is sent. Its outcome goes to the function of
    /// [`on_outcome`](crate::spool::SpoolOptions::on_outcome), also if another process sends it.
    ///
    /// If the future is dropped, the record may be sent.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the record, if the producer has no spool, and in all cases in which [`send`](Self::send) returns one.
    pub async fn spool(&self, record: T) -> Result<(), SendError<T>> {
        let stored = match (self.encode(&record), &self.producer.shared.spool) {
            (Err(kind), _) => Err(kind),
            (_, None) => Err(SendErrorKind::NoSpool),
            (Ok(encoded), Some(spool)) => self.store(spool, encoded, OutcomeSender::default()).await,
        };
        stored.map_err(|kind| SendError { record, kind })
    }

    /// Does the same as [`spool`](Self::spool) if there is room for the record now, but does not wait until the record
    /// is stored: [`sync_spool`](Producer::sync_spool) waits for that. If it cannot be stored, its outcome is
    /// [`FailureReason::NotStored`].
    ///
    /// # Errors
    ///
    /// [`SendError`] with the record, if there is no room, and in all cases in which [`spool`](Self::spool) returns one.
    pub fn try_spool(&self, record: T) -> Result<(), SendError<T>> {
        let stored = match (self.encode(&record), &self.producer.shared.spool) {
            (Err(kind), _) => Err(kind),
            (_, None) => Err(SendErrorKind::NoSpool),
            (Ok(encoded), Some(spool)) => self.try_store(spool, encoded, OutcomeSender::default()),
        };
        stored.map_err(|kind| SendError { record, kind })
    }

    /// Stores a record in the spool, and waits until it is there.
    async fn store(&self, spool: &Gate, record: EncodedRecord, outcome: OutcomeSender) -> Result<(), SendErrorKind> {
        let cost = self.producer.shared.intake.cost(&record);
        spool.reserve(cost).await.map_err(|_| SendErrorKind::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.append(spool, record, Some(reply), outcome)?;
        match answer.await {
            Ok(stored) => stored.map_err(SendErrorKind::Spool),
            Err(_) => Err(SendErrorKind::Closed),
        }
    }

    fn try_store(&self, spool: &Gate, record: EncodedRecord, outcome: OutcomeSender) -> Result<(), SendErrorKind> {
        match spool.try_reserve(self.producer.shared.intake.cost(&record)) {
            Ok(true) => self.append(spool, record, None, outcome),
            Ok(false) => Err(SendErrorKind::Full),
            Err(_) => Err(SendErrorKind::Closed),
        }
    }

    fn append(
        &self,
        spool: &Gate,
        record: EncodedRecord,
        stored: Option<oneshot::Sender<Result<(), SpoolError>>>,
        outcome: OutcomeSender,
    ) -> Result<(), SendErrorKind> {
        let cost = self.producer.shared.intake.cost(&record);
        let append = Append {
            stream: Arc::clone(&self.name),
            id: self.id,
            record,
            stored,
            outcome,
        };
        spool.append(append).map_err(|_| {
            spool.release([cost]);
            SendErrorKind::Closed
        })
    }

    fn encode(&self, record: &T) -> Result<EncodedRecord, SendErrorKind> {
        let encoded = EncodedRecord::new(record).map_err(SendErrorKind::Record)?;
        #[cfg(feature = "trace")]
        let encoded = match self
            .producer
            .shared
            .options
            .trace_context
            .then(kpl_handler::trace::current)
        {
            Some(Some(context)) => encoded.with_trace_context(&context),
            _ => encoded,
        };
        let (size, max_size) = (encoded.size(), self.producer.shared.options.max_user_record_size);
        if size > max_size {
            return Err(SendErrorKind::TooLarge { size, max_size });
        }
        Ok(encoded)
    }

    /// Hands over a record for which there is room.
    fn put(&self, record: T, encoded: EncodedRecord) -> Result<Delivery<T>, SendError<T>> {
        let (sender, receiver) = delivery::channel();
        let message = Message::Record(self.id, encoded, sender);
        match self.producer.shared.intake.put(message) {
            Ok(()) => Ok(Delivery::new(record, receiver)),
            Err(refused) => {
                self.producer.shared.intake.give_back(&refused);
                Err(closed(record))
            }
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
