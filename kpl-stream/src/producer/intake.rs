//! Between senders and the driver: a queue with room for a limited number of records and bytes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::channel::Receiver;
use super::delivery::{self, OutcomeSender};
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
    max_bytes: usize,
    max_records: usize,
}

struct Queue {
    messages: Vec<Message>,
    /// The driver waits for the next message, whatever it is.
    asleep: bool,
    /// What is left of the budget.
    records: usize,
    bytes: usize,
    /// Those that wait for room, and how much they need. The first is the next to get some.
    waiting: VecDeque<Waiting>,
    /// No more records are accepted.
    refuses: bool,
    /// The driver has ended.
    closed: bool,
}

/// How much room it needs, and how it learns that it has it.
type Waiting = (u32, oneshot::Sender<()>);

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

/// No more records are accepted.
#[derive(Debug)]
pub(crate) struct Closed;

/// Why a record was not accepted.
#[derive(Debug)]
pub(crate) enum Refused {
    Full,
    Closed,
}

impl Queue {
    /// Takes room for a record if there is some, and no earlier one waits for it.
    #[inline]
    fn try_reserve(&mut self, cost: u32) -> Result<bool, Closed> {
        if self.refuses {
            return Err(Closed);
        }
        Ok(self.waiting.is_empty() && self.take_room(cost))
    }

    #[inline]
    fn take_room(&mut self, cost: u32) -> bool {
        let left = self.records.checked_sub(1).zip(self.bytes.checked_sub(cost as usize));
        if let Some((records, bytes)) = left {
            (self.records, self.bytes) = (records, bytes);
        }
        left.is_some()
    }

    /// Adds one that waits. Returns those that have given up, if it was time to look for them: they are to be dropped without the lock.
    fn wait(&mut self, cost: u32) -> (oneshot::Receiver<()>, VecDeque<Waiting>) {
        let (grant, granted) = oneshot::channel();
        let mut gone = VecDeque::new();
        // Before it grows: those behind one that waits stay in it until then.
        if self.waiting.len() == self.waiting.capacity() {
            let all = std::mem::take(&mut self.waiting).into_iter();
            (gone, self.waiting) = all.partition(|(_, grant)| grant.is_closed());
            self.waiting.reserve(self.waiting.len() + 1);
        }
        self.waiting.push_back((cost, grant));
        (granted, gone)
    }

    /// Takes room for those that wait, as long as there is some. Returns what was taken for each, and those that have given up.
    fn grant(&mut self) -> Vec<(Option<u32>, oneshot::Sender<()>)> {
        let mut granted = Vec::new();
        while let Some((cost, grant)) = self.waiting.front() {
            let cost = *cost;
            let taken = match grant.is_closed() {
                true => None,
                false if self.take_room(cost) => Some(cost),
                false => break,
            };
            granted.extend(self.waiting.pop_front().map(|(_, grant)| (taken, grant)));
        }
        granted
    }
}

/// The place of a sender among those that wait. If it gives up, the next ones get the room, also what it was granted already.
struct Granted<'a> {
    intake: &'a Intake,
    cost: u32,
    granted: oneshot::Receiver<()>,
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        self.granted.close();
        match self.granted.try_recv() {
            Ok(()) => self.intake.release(1, self.cost as usize),
            Err(_) => self.intake.release(0, 0),
        }
    }
}

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
            queue: Mutex::new(Queue {
                messages: Vec::new(),
                asleep: false,
                records: options.max_buffered_records,
                bytes: max_bytes,
                waiting: VecDeque::new(),
                refuses: false,
                closed: false,
            }),
            wake: Notify::new(),
            max_bytes,
            max_records: options.max_buffered_records,
        }
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how much of the budget a record takes: all of it, if it is larger.
    #[inline]
    pub(crate) fn cost(&self, record: &EncodedRecord) -> u32 {
        let size = record.size().saturating_add(record.tags_len());
        let cost = size.saturating_mul(2).saturating_add(BYTES_PER_RECORD);
        u32::try_from(cost.min(self.max_bytes)).unwrap_or(u32::MAX)
    }

    /// Takes room for a record, once there is some, in the order of these calls.
    pub(crate) async fn reserve(&self, cost: u32) -> Result<(), Closed> {
        let granted = {
            let mut queue = self.lock();
            if queue.try_reserve(cost)? {
                return Ok(());
            }
            let (granted, gone) = queue.wait(cost);
            drop(queue);
            drop(gone);
            granted
        };
        let mut room = Granted {
            intake: self,
            cost,
            granted,
        };
        (&mut room.granted).await.map_err(|_| Closed)
    }

    /// Takes room for a record if there is some. Returns `Ok(false)` if there is not.
    pub(crate) fn try_reserve(&self, cost: u32) -> Result<bool, Closed> {
        self.lock().try_reserve(cost)
    }

    /// Returns room to the budget.
    pub(crate) fn release(&self, mut records: usize, mut bytes: usize) {
        loop {
            let mut queue = self.lock();
            queue.records += std::mem::take(&mut records);
            queue.bytes += std::mem::take(&mut bytes);
            let granted = queue.grant();
            drop(queue);
            for (taken, grant) in granted {
                if let (Err(()), Some(cost)) = (grant.send(()), taken) {
                    records += 1;
                    bytes += cost as usize;
                }
            }
            if records == 0 {
                return;
            }
        }
    }

    /// Returns to the budget the room of a record that was not handed to the driver.
    pub(crate) fn give_back(&self, message: &Message) {
        if let Message::Record(_, record, _) = message {
            self.release(1, self.cost(record) as usize);
        }
    }

    /// Returns how much of the budget is in use.
    pub(crate) fn in_use(&self) -> Buffered {
        let queue = self.lock();
        Buffered {
            records: self.max_records.saturating_sub(queue.records),
            bytes: self.max_bytes.saturating_sub(queue.bytes),
        }
    }

    /// Takes room for a record if there is some, and hands it to the driver. Returns where its outcome arrives, or the record if it is not
    /// accepted.
    #[inline]
    pub(crate) fn try_put(
        &self,
        stream: StreamId,
        record: EncodedRecord,
    ) -> Result<Receiver, (Refused, EncodedRecord)> {
        let cost = self.cost(&record);
        let mut queue = self.lock();
        match queue.try_reserve(cost) {
            Ok(true) => {}
            Ok(false) => return Err((Refused::Full, record)),
            Err(Closed) => return Err((Refused::Closed, record)),
        }
        let (sender, receiver) = delivery::channel();
        self.add(queue, false, |messages| {
            messages.push(Message::Record(stream, record, sender))
        });
        Ok(receiver)
    }

    /// Hands a message to the driver. Returns it if the driver has ended, or if it is a record and no more are accepted.
    pub(crate) fn put(&self, message: Message) -> Result<(), Message> {
        let queue = self.lock();
        let is_record = matches!(message, Message::Record(..));
        if queue.closed || (queue.refuses && is_record) {
            return Err(message);
        }
        self.add(queue, !is_record, |messages| messages.push(message));
        Ok(())
    }

    /// Hands messages to the driver. Returns them if the driver has ended.
    pub(crate) fn put_all(&self, mut messages: Vec<Message>) -> Vec<Message> {
        let queue = self.lock();
        if queue.closed {
            return messages;
        }
        self.add(queue, false, |queued| queued.append(&mut messages));
        messages
    }

    /// Adds to the messages, and wakes the driver if it waits for them, if there are many, or if one is a command.
    #[inline]
    fn add(&self, mut queue: MutexGuard<'_, Queue>, is_command: bool, add: impl FnOnce(&mut Vec<Message>)) {
        let before = queue.messages.len();
        add(&mut queue.messages);
        let wake = queue.asleep || is_command || (before < MANY && queue.messages.len() >= MANY);
        queue.asleep &= !wake;
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Stops accepting records; those in the queue stay.
    pub(crate) fn refuse_new(&self) {
        let mut queue = self.lock();
        queue.refuses = true;
        // Those that wait learn it when their senders are dropped, which wakes them.
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        drop(waiting);
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

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::producer::pipeline::Pipeline;

    const COST: u32 = 1_000;

    /// Room for three records of [`COST`].
    fn intake() -> Intake {
        let options = Options {
            max_buffered_bytes: 4_000,
            ..Options::default()
        };
        Intake::new(&options, false)
    }

    fn poll(reserve: Pin<&mut impl Future<Output = Result<(), Closed>>>) -> Option<bool> {
        match reserve.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result.is_ok()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn those_that_wait_get_room_in_their_order() {
        let intake = intake();
        assert!(intake.try_reserve(2 * COST).unwrap());
        let mut large = pin!(intake.reserve(2 * COST));
        let mut small = pin!(intake.reserve(COST));
        assert_eq!((poll(large.as_mut()), poll(small.as_mut())), (None, None));
        assert!(
            !intake.try_reserve(COST).unwrap(),
            "there is room, but others wait for it"
        );
        intake.release(1, 2 * COST as usize);
        assert_eq!((poll(small.as_mut()), poll(large.as_mut())), (Some(true), Some(true)));
        assert_eq!(intake.in_use().bytes, 3 * COST as usize);
    }

    #[test]
    fn one_that_gives_up_takes_no_room() {
        let intake = intake();
        assert!(intake.try_reserve(3 * COST).unwrap());
        {
            let mut granted = Box::pin(intake.reserve(COST));
            let mut waiting = Box::pin(intake.reserve(COST));
            let mut next = pin!(intake.reserve(2 * COST));
            assert_eq!(poll(granted.as_mut()), None);
            assert_eq!(poll(waiting.as_mut()), None);
            assert_eq!(poll(next.as_mut()), None);
            drop(waiting);
            intake.release(1, 3 * COST as usize);
            drop(granted);
            assert_eq!(poll(next), Some(true));
        }
        assert_eq!(intake.in_use().bytes, 2 * COST as usize);
        assert_eq!(intake.in_use().records, 1);
    }

    #[test]
    fn one_that_gives_up_lets_the_next_through() {
        let intake = intake();
        assert!(intake.try_reserve(COST).unwrap());
        let mut large = Box::pin(intake.reserve(3 * COST));
        let mut small = pin!(intake.reserve(COST));
        assert_eq!((poll(large.as_mut()), poll(small.as_mut())), (None, None));
        drop(large);
        assert_eq!(poll(small), Some(true));
        assert!(intake.try_reserve(COST).unwrap());
    }

    #[test]
    fn room_that_was_granted_is_of_no_use_once_it_closes() {
        let intake = intake();
        assert!(intake.try_reserve(3 * COST).unwrap());
        let record = EncodedRecord::new(&kpl_core::RawRecord::new("key", vec![b'.'; 100])).unwrap();
        let stream = Pipeline::<()>::new(Options::default(), 1)
            .unwrap()
            .open("clicks", std::time::Instant::now());
        let cost = intake.cost(&record);
        let mut waiting = pin!(intake.reserve(cost));
        assert_eq!(poll(waiting.as_mut()), None);
        intake.release(1, 3 * COST as usize);
        intake.refuse_new();
        assert_eq!(poll(waiting), Some(true));
        let refused = intake.put(Message::Record(stream, record, OutcomeSender::default()));
        intake.give_back(&refused.unwrap_err());
        assert_eq!(intake.in_use(), Buffered::default());
    }

    #[test]
    fn those_that_gave_up_take_no_memory() {
        let intake = intake();
        assert!(intake.try_reserve(3 * COST).unwrap());
        let mut first = pin!(intake.reserve(COST));
        assert_eq!(poll(first.as_mut()), None);
        for _ in 0..10_000 {
            assert_eq!(poll(pin!(intake.reserve(COST))), None);
        }
        assert!(intake.lock().waiting.capacity() < 100);
    }

    #[test]
    fn closing_wakes_those_that_wait() {
        let intake = intake();
        assert!(intake.try_reserve(3 * COST).unwrap());
        let mut waiting = pin!(intake.reserve(COST));
        assert_eq!(poll(waiting.as_mut()), None);
        intake.refuse_new();
        assert_eq!(poll(waiting), Some(false));
        assert!(intake.try_reserve(COST).is_err());
    }
}
