//! Between senders and the driver: a queue with room for a limited number of records and bytes.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};

use super::delivery::OutcomeSender;
use super::error::UndeliveredRecord;
use super::options::Options;
use super::pipeline::{EncodedRecord, StreamId, StreamState};

/// How many bytes of `max_buffered_bytes` each record takes besides its key, its payload and its tags: what the producer
/// and its [`Delivery`](crate::Delivery) store for it.
pub const BYTES_PER_RECORD: usize = 512;

/// What a producer holds: the records without an outcome, of all its streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Buffered {
    /// How many records there are.
    pub records: usize,
    /// Their size in bytes as `max_buffered_bytes` counts it: twice the key, the payload and the tags, because the
    /// `Delivery` keeps the record as it was sent, and [`BYTES_PER_RECORD`] for each record.
    pub bytes: usize,
}

pub(crate) struct Intake {
    queue: Mutex<Queue>,
    wake: Notify,
    bytes: Semaphore,
    records: Semaphore,
    max_bytes: usize,
    max_records: usize,
}

#[derive(Default)]
struct Queue {
    messages: Vec<Message>,
    /// The driver waits for the next message, whatever it is.
    asleep: bool,
    closed: bool,
}

pub(crate) enum Message {
    Record(StreamId, EncodedRecord, OutcomeSender),
    Open(String, oneshot::Sender<StreamId>),
    /// Answered once something is known about the stream.
    State(StreamId, oneshot::Sender<StreamState>),
    Flush(oneshot::Sender<()>),
    Abandon(oneshot::Sender<Vec<UndeliveredRecord>>),
}

/// Wake the driver early once this many messages are queued.
const MANY: usize = 256;

/// The driver takes everything that arrives within this time together.
pub(crate) const TOGETHER: Duration = Duration::from_millis(1);

/// The driver has ended.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}

impl Intake {
    /// Creates a queue. Part of the budget may be for records on their way into a spool.
    pub(crate) fn new(options: &Options, has_spool: bool) -> Self {
        // The rest is for requests under way.
        let quarters = if has_spool { 2 } else { 3 };
        let max_bytes = options.max_buffered_bytes / 4 * quarters;
        Self {
            queue: Mutex::default(),
            wake: Notify::new(),
            bytes: Semaphore::new(max_bytes),
            records: Semaphore::new(options.max_buffered_records),
            max_bytes,
            max_records: options.max_buffered_records,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how much of the budget a record takes: all of it, if it is larger.
    pub(crate) fn cost(&self, record: &EncodedRecord) -> u32 {
        let size = record.size().saturating_add(record.tags_len());
        let cost = size.saturating_mul(2).saturating_add(BYTES_PER_RECORD);
        u32::try_from(cost.min(self.max_bytes)).unwrap_or(u32::MAX)
    }

    /// Takes room for a record, once there is some.
    pub(crate) async fn reserve(&self, cost: u32) -> Result<(), Closed> {
        let record = self.records.acquire().await.map_err(|_| Closed)?;
        let bytes = self.bytes.acquire_many(cost).await.map_err(|_| Closed)?;
        record.forget();
        bytes.forget();
        Ok(())
    }

    /// Takes room for a record if there is some. Returns `Ok(false)` if there is not.
    pub(crate) fn try_reserve(&self, cost: u32) -> Result<bool, Closed> {
        use tokio::sync::TryAcquireError::{Closed as SemaphoreClosed, NoPermits};
        let record = match self.records.try_acquire() {
            Ok(permit) => permit,
            Err(NoPermits) => return Ok(false),
            Err(SemaphoreClosed) => return Err(Closed),
        };
        let bytes = match self.bytes.try_acquire_many(cost) {
            Ok(permit) => permit,
            Err(NoPermits) => return Ok(false),
            Err(SemaphoreClosed) => return Err(Closed),
        };
        record.forget();
        bytes.forget();
        Ok(true)
    }

    /// Returns room to the budget.
    pub(crate) fn release(&self, records: usize, bytes: usize) {
        self.records.add_permits(records);
        self.bytes.add_permits(bytes);
    }

    /// Returns to the budget the room of a record that was not handed to the driver.
    pub(crate) fn give_back(&self, message: &Message) {
        if let Message::Record(_, record, _) = message {
            self.release(1, self.cost(record) as usize);
        }
    }

    /// Returns how much of the budget is in use.
    pub(crate) fn in_use(&self) -> Buffered {
        Buffered {
            records: self.max_records.saturating_sub(self.records.available_permits()),
            bytes: self.max_bytes.saturating_sub(self.bytes.available_permits()),
        }
    }

    /// Hands a message to the driver. Returns it if the driver has ended.
    pub(crate) fn put(&self, message: Message) -> Result<(), Message> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(message);
        }
        let is_command = !matches!(message, Message::Record(..));
        queue.messages.push(message);
        let wake = queue.asleep || is_command || queue.messages.len() == MANY;
        queue.asleep &= !wake;
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Hands messages to the driver. Returns them if the driver has ended.
    pub(crate) fn put_all(&self, mut messages: Vec<Message>) -> Vec<Message> {
        let mut queue = self.lock();
        if queue.closed {
            return messages;
        }
        let before = queue.messages.len();
        queue.messages.append(&mut messages);
        let wake = queue.asleep || (before < MANY && queue.messages.len() >= MANY);
        queue.asleep &= !wake;
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
        messages
    }

    /// Stops accepting records; those in the queue stay.
    pub(crate) fn refuse_new(&self) {
        self.records.close();
        self.bytes.close();
    }

    /// Takes what is in the queue. If it is empty, the next message wakes the driver.
    pub(crate) fn take(&self, into: &mut Vec<Message>) {
        let mut queue = self.lock();
        std::mem::swap(&mut queue.messages, into);
        queue.asleep = into.is_empty();
    }

    /// Takes what is left in the queue: the driver is ending.
    pub(crate) fn close(&self) -> Vec<Message> {
        self.refuse_new();
        let mut queue = self.lock();
        queue.closed = true;
        std::mem::take(&mut queue.messages)
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}
