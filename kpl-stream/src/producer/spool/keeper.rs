//! The thread that owns the log: it stores what is accepted, hands it to the driver when there is room, and notes outcomes.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_spool::{AppendError, Cursor, Folder, Item, Log};
use tokio::sync::oneshot;

use super::entry::{EntryError, SpooledRecord, encode};
use super::gate::{Append, Gate, Step, Work};
use super::{SpoolError, Spooled};
use crate::clock;
use crate::producer::delivery::OutcomeSender;
use crate::producer::intake::{Intake, Message};
use crate::producer::metrics;
use crate::producer::outcome::{Failure, FailureReason};
use crate::producer::pipeline::{EncodedRecord, StreamId};

/// How much is read from the disk at once, in bytes.
const WINDOW: usize = 256 * 1024;

/// The pause after the disk has failed, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// After this many failures in a row, what cannot be read counts as damaged.
const READ_FAILURES: u32 = 12;

/// How many windows are read before what has arrived meanwhile is stored.
const WINDOWS: usize = 64;

/// How often a full log is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// The senders of outcomes of this many records are kept before those are removed that nothing waits for.
const SWEEP: usize = 1024;

pub(crate) struct Keeper<F: Folder> {
    log: Log<F>,
    gate: Arc<Gate>,
    intake: Arc<Intake>,
    /// How long records wait to be committed together.
    every: Duration,
    /// Records with lower numbers are of earlier processes.
    first_own: u64,
    /// Where the records begin that are on the disk only. If there is none, the driver has all of them.
    behind: Option<Cursor>,
    /// Those that were read and do not fit into memory yet.
    read: VecDeque<(u64, SpooledRecord)>,
    /// Where the outcomes of records that are on the disk only will be sent.
    senders: HashMap<u64, (Arc<str>, OutcomeSender)>,
    sweep_at: usize,
    /// What waits until the log has room.
    held_up: VecDeque<Step>,
    /// Records that cannot be decoded, as ranges from start to end. They stay: a later version of this crate may know them.
    undecodable: Vec<(u64, u64)>,
    streams: HashMap<Arc<str>, StreamId>,
    /// Those who wait until the records before a number have outcomes.
    flushes: Vec<(u64, oneshot::Sender<()>)>,
    /// Whether the driver has records or will get some that must not wait for others.
    hurries: bool,
    /// Set while the disk fails.
    trouble: Option<Trouble>,
    /// When reading goes on, if there is no reason before.
    read_at: Option<Instant>,
    /// How often reading has failed in a row.
    read_failures: u32,
    is_full: bool,
    /// How many records were damaged.
    lost: u64,
    buffer: Vec<u8>,
    /// Dropped last, when the folder is not locked any more.
    _ended: Ended,
}

/// The disk has failed.
struct Trouble {
    error: SpoolError,
    until: Instant,
    pause: Duration,
}

impl<F: Folder> fmt::Debug for Keeper<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("log", &self.log).finish_non_exhaustive()
    }
}

impl<F: Folder> Keeper<F> {
    pub(crate) fn new(log: Log<F>, gate: Arc<Gate>, intake: Arc<Intake>, every: Duration) -> Self {
        let keeper = Self {
            every,
            first_own: log.next_number(),
            behind: (log.pending() > 0).then(Cursor::default),
            log,
            _ended: Ended(Arc::clone(&gate)),
            gate,
            intake,
            read: VecDeque::new(),
            senders: HashMap::new(),
            sweep_at: SWEEP,
            held_up: VecDeque::new(),
            undecodable: Vec::new(),
            streams: HashMap::new(),
            flushes: Vec::new(),
            hurries: false,
            trouble: None,
            read_at: None,
            read_failures: 0,
            is_full: false,
            lost: 0,
            buffer: Vec::new(),
        };
        keeper.tell();
        keeper
    }

    /// Runs until the driver has ended and everything that was handed over is stored.
    pub(crate) fn run(mut self) {
        metrics::spool_opened();
        let mut not_before = Instant::now();
        // What is left of earlier processes is read at once.
        let mut until = self.behind.is_some().then_some(not_before);
        loop {
            let work = self.gate.take(not_before, until);
            let now = Instant::now();
            let ends = work.ends;
            self.work(work, now);
            if ends {
                return;
            }
            not_before = clock::after(now, self.every);
            until = self.wake_at(now);
        }
    }

    /// Returns when there is something to do although nothing arrives.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let trouble = self.trouble.as_ref().map(|trouble| trouble.until);
        let full = (!self.held_up.is_empty()).then(|| now + FULL_PAUSE);
        [trouble, full, self.read_at].into_iter().flatten().min()
    }

    fn work(&mut self, work: Work, now: Instant) {
        // Neighbours often have their outcomes together.
        for run in work.settled.chunk_by(|one, next| one + 1 == *next) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                self.log.settle_range(*first..last + 1);
            }
        }
        self.held_up.extend(work.steps);
        if work.ends {
            // There is no other time to try it again.
            self.trouble = None;
        }
        self.store(now);
        self.read_back(now);
        if std::mem::take(&mut self.hurries) {
            // So that records do not wait for others. When they have outcomes is known otherwise.
            let (reply, _) = oneshot::channel();
            let _ = self.intake.put(Message::Flush(reply));
        }
        self.report_flushed();
        self.tell();
    }

    /// Stores what was handed over, as far as there is room, and passes on what is stored.
    fn store(&mut self, now: Instant) {
        let trouble = self.trouble.as_ref().filter(|trouble| now < trouble.until);
        let trouble = trouble.map(|trouble| trouble.error.clone());
        let start = self.log.end();
        let mut stored = Vec::with_capacity(self.held_up.len());
        let mut syncs = Vec::new();
        let mut is_full = false;
        while let Some(step) = self.held_up.pop_front() {
            let append = match step {
                Step::Append(append) => append,
                Step::Sync(reply) => {
                    syncs.push(reply);
                    continue;
                }
                Step::Flush(reply) => {
                    self.flushes.push((self.log.next_number(), reply));
                    self.hurries = true;
                    continue;
                }
            };
            if let Some(error) = &trouble {
                self.refuse(append, error);
                continue;
            }
            self.buffer.clear();
            let entry = encode(&append.stream, &append.record, &mut self.buffer).map_err(|error| error.to_string());
            match entry.map(|()| self.log.append(&self.buffer)) {
                Ok(Ok(number)) => stored.push((number, append)),
                Ok(Err(AppendError::Full)) => {
                    self.held_up.push_front(Step::Append(append));
                    is_full = true;
                    break;
                }
                Ok(Err(error)) => self.refuse(append, &invalid(error.to_string())),
                Err(error) => self.refuse(append, &invalid(error)),
            }
        }
        // Records that a flush waits for are what fills it: they wait for others no longer.
        self.hurries |= is_full && self.held_up.iter().any(|step| matches!(step, Step::Flush(_)));
        if is_full && !self.is_full {
            tracing::warn!(
                bytes = self.log.bytes(),
                "the spool is full: records wait until others have outcomes"
            );
        }
        self.is_full = is_full;
        if trouble.is_none() {
            self.commit(stored, start, now);
        }
        if !syncs.is_empty() {
            // Who waited sees what is stored.
            self.tell();
        }
        for reply in syncs {
            // The receiver may have stopped waiting, here and below.
            let _ = reply.send(());
        }
    }

    /// Commits what was appended, and passes it on.
    fn commit(&mut self, stored: Vec<(u64, Append)>, start: Cursor, now: Instant) {
        match self.log.commit() {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    tracing::info!("the spool can be written again");
                }
                self.pass_on(stored, start);
            }
            Err(error) => {
                let error = SpoolError::from(error.error);
                self.failed(error.clone(), now);
                for (_, append) in stored {
                    self.refuse(append, &error);
                }
            }
        }
    }

    fn failed(&mut self, error: SpoolError, now: Instant) {
        metrics::spool_failed();
        let pause = match &self.trouble {
            None => PAUSES.0,
            Some(trouble) => (trouble.pause * 2).min(PAUSES.1),
        };
        if self.trouble.is_none() {
            tracing::error!(%error, "the spool cannot be written: records are refused");
        }
        self.trouble = Some(Trouble {
            error,
            until: now + pause,
            pause,
        });
    }

    /// Reports that a record was not stored.
    fn refuse(&self, append: Append, error: &SpoolError) {
        self.gate.release([self.intake.cost(&append.record)]);
        match append.stored {
            Some(stored) => drop(stored.send(Err(error.clone()))),
            None => {
                let reason = FailureReason::NotStored(error.clone());
                self.fail(append.outcome, append.stream, append.record, reason);
            }
        }
    }

    fn fail(&self, outcome: OutcomeSender, stream: Arc<str>, record: EncodedRecord, reason: FailureReason) {
        if let Some(outcome) = outcome.complete(Err(failure(stream, reason))) {
            self.gate.report(record, outcome);
        }
    }

    /// Tells that records are stored, and hands them to the driver unless older ones wait for room.
    fn pass_on(&mut self, stored: Vec<(u64, Append)>, mut start: Cursor) {
        let costs = stored.iter().map(|(_, append)| self.intake.cost(&append.record));
        self.gate.release(costs);
        let mut messages = Vec::with_capacity(stored.len());
        let mut first_behind = None;
        for (number, append) in stored {
            let Append {
                stream,
                id,
                record,
                stored,
                outcome,
            } = append;
            if let Some(stored) = stored {
                let _ = stored.send(Ok(()));
            }
            if self.streams.get(&stream) != Some(&id) {
                self.streams.insert(Arc::clone(&stream), id);
            }
            let is_next = self.behind.is_none() && first_behind.is_none();
            if is_next && matches!(self.intake.try_reserve(self.intake.cost(&record)), Ok(true)) {
                messages.push(Message::Record(id, record, outcome.of(number)));
            } else {
                first_behind.get_or_insert(number);
                self.keep_sender(number, stream, outcome);
            }
        }
        if let (None, Some(number)) = (&self.behind, first_behind) {
            start.skip_to(number);
            self.behind = Some(start);
        }
        self.hand_over(messages);
    }

    /// Keeps the sender of an outcome, if anything waits for it.
    fn keep_sender(&mut self, number: u64, stream: Arc<str>, outcome: OutcomeSender) {
        if outcome.is_awaited() {
            self.senders.insert(number, (stream, outcome));
            if self.senders.len() >= self.sweep_at {
                self.senders.retain(|_, (_, outcome)| outcome.is_awaited());
                self.sweep_at = (self.senders.len() * 2).max(SWEEP);
            }
        }
    }

    fn hand_over(&mut self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        self.hurries |= !self.flushes.is_empty();
        for message in self.intake.put_all(messages) {
            self.intake.give_back(&message);
            if let Message::Record(id, record, outcome) = message {
                let stream = self.streams.iter().find(|(_, other)| **other == id);
                let stream = stream.map_or_else(|| "".into(), |(stream, _)| Arc::clone(stream));
                self.fail(outcome, stream, record, FailureReason::Spooled);
            }
        }
    }

    /// Hands records that are on the disk only to the driver, as long as there is room.
    fn read_back(&mut self, now: Instant) {
        if self.read_at.is_some_and(|at| now < at) {
            return;
        }
        self.read_at = None;
        let mut messages = Vec::new();
        for _ in 0..WINDOWS {
            while let Some((number, spooled)) = self.read.pop_front() {
                let Ok(true) = self.intake.try_reserve(self.intake.cost(&spooled.record)) else {
                    self.read.push_front((number, spooled));
                    return self.hand_over(messages);
                };
                let Some(id) = self.stream(&spooled.stream) else {
                    // The driver has ended.
                    return self.hand_over(messages);
                };
                let outcome = self.senders.remove(&number).map(|(_, outcome)| outcome);
                messages.push(Message::Record(
                    id,
                    spooled.record,
                    outcome.unwrap_or_default().of(number),
                ));
            }
            self.hand_over(std::mem::take(&mut messages));
            if self.behind.is_none() || self.read_at.is_some() {
                return;
            }
            self.read_window(now);
        }
        self.read_at = Some(now);
    }

    fn stream(&mut self, name: &Arc<str>) -> Option<StreamId> {
        if let Some(id) = self.streams.get(name) {
            return Some(*id);
        }
        let (reply, answer) = oneshot::channel();
        self.intake.put(Message::Open(name.to_string(), reply)).ok()?;
        let id = answer.blocking_recv().ok()?;
        self.streams.insert(Arc::clone(name), id);
        Some(id)
    }

    /// Reads some records that are on the disk only. If there are none, the driver has everything.
    fn read_window(&mut self, now: Instant) {
        let Some(cursor) = &mut self.behind else {
            return;
        };
        let items = match self.log.read(cursor, WINDOW) {
            Ok(items) => items,
            Err(error) => {
                metrics::spool_failed();
                self.read_failures += 1;
                if self.read_failures < READ_FAILURES {
                    tracing::error!(%error, "the spool cannot be read: it is tried again in {} s", PAUSES.1.as_secs());
                } else {
                    tracing::error!(%error, "the spool cannot be read: the records there are given up");
                    cursor.pass_unreadable();
                }
                self.read_at = Some(now + PAUSES.1);
                return;
            }
        };
        self.read_failures = 0;
        if items.is_empty() {
            self.behind = None;
        }
        for item in items {
            match item {
                Item::Record { number, data } => match SpooledRecord::decode(&data) {
                    Ok(mut spooled) => {
                        spooled.record.maybe_written = number < self.first_own;
                        self.read.push_back((number, spooled));
                    }
                    Err(error) => self.leave(number, &error),
                },
                Item::Lost { numbers, segment } => {
                    let count = numbers.end - numbers.start;
                    self.lost += count;
                    metrics::spool_lost(count);
                    tracing::error!(segment, records = count, "the spool is damaged: records are lost");
                    for number in numbers {
                        if let Some((stream, outcome)) = self.senders.remove(&number) {
                            drop(outcome.complete(Err(failure(stream, FailureReason::Damaged))));
                        }
                    }
                }
            }
        }
    }

    /// Leaves a record where it is.
    fn leave(&mut self, number: u64, error: &EntryError) {
        match self.undecodable.last_mut() {
            Some((_, end)) if *end == number => *end += 1,
            _ => {
                tracing::error!(number, %error, "a record of the spool cannot be decoded: it stays");
                self.undecodable.push((number, number + 1));
            }
        }
    }

    fn report_flushed(&mut self) {
        let mut first = self.log.first_pending(0);
        for (start, end) in &self.undecodable {
            if *start <= first && first < *end {
                first = self.log.first_pending(*end);
            }
        }
        for (number, reply) in std::mem::take(&mut self.flushes) {
            if number <= first {
                let _ = reply.send(());
            } else if !reply.is_closed() {
                self.flushes.push((number, reply));
            }
        }
    }

    fn tell(&self) {
        let spooled = Spooled {
            records: self.log.pending(),
            bytes: self.log.bytes(),
            is_full: self.is_full,
            lost: self.lost,
        };
        metrics::spooled(spooled);
        self.gate.tell(spooled);
    }
}

impl<F: Folder> Drop for Keeper<F> {
    fn drop(&mut self) {
        // Also after a panic, and if it never ran.
        self.gate.end();
        let now = Instant::now();
        self.held_up.extend(self.gate.take(now, None).steps);
        for step in std::mem::take(&mut self.held_up) {
            if let Step::Append(append) = step
                && append.stored.is_none()
            {
                self.fail(append.outcome, append.stream, append.record, FailureReason::Closed);
            }
        }
        for (_, (stream, outcome)) in std::mem::take(&mut self.senders) {
            drop(outcome.complete(Err(failure(stream, FailureReason::Spooled))));
        }
        self.tell();
    }
}

/// Tells that the thread has ended, also after a panic.
struct Ended(Arc<Gate>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.has_ended();
    }
}

fn failure(stream: Arc<str>, reason: FailureReason) -> Box<Failure> {
    Box::new(Failure {
        stream,
        reason,
        may_have_been_written: false,
        arrived: clock::now(),
        failed: None,
    })
}

fn invalid(message: String) -> SpoolError {
    SpoolError {
        kind: std::io::ErrorKind::InvalidInput,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::io;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, Ordering};

    use fastrand::Rng;
    use kpl_core::RawRecord;
    use kpl_spool::{Directory, Options as LogOptions, Segment, SegmentName};

    use super::*;
    use crate::producer::channel::Receiver;
    use crate::producer::delivery;
    use crate::producer::options::Options;
    use crate::producer::pipeline::Pipeline;

    /// A folder whose disk fails while it is told to.
    #[derive(Debug)]
    struct Flaky {
        folder: Directory,
        fails: Arc<AtomicBool>,
    }

    #[derive(Debug)]
    struct FlakySegment {
        segment: Box<dyn Segment>,
        fails: Arc<AtomicBool>,
    }

    fn fail(fails: &AtomicBool) -> io::Result<()> {
        match fails.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the disk fails")),
            false => Ok(()),
        }
    }

    impl Folder for Flaky {
        fn list(&self) -> io::Result<Vec<(SegmentName, u64)>> {
            self.folder.list()
        }

        fn create(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
            fail(&self.fails)?;
            let segment = self.folder.create(name)?;
            let fails = Arc::clone(&self.fails);
            Ok(Box::new(FlakySegment { segment, fails }))
        }

        fn open(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
            fail(&self.fails)?;
            self.folder.open(name)
        }

        fn remove(&self, name: SegmentName) -> io::Result<()> {
            fail(&self.fails)?;
            self.folder.remove(name)
        }

        fn sync(&self) -> io::Result<()> {
            fail(&self.fails)
        }
    }

    impl Segment for FlakySegment {
        fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.segment.read_at(buffer, offset)
        }

        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            // A write that fails may have written a part.
            let written = if fail(&self.fails).is_ok() {
                bytes.len()
            } else {
                bytes.len() / 2
            };
            self.segment.append(bytes.get(..written).unwrap_or_default())?;
            fail(&self.fails)
        }

        fn sync(&mut self) -> io::Result<()> {
            fail(&self.fails)
        }

        fn size(&self) -> io::Result<u64> {
            self.segment.size()
        }
    }

    /// What a keeper is tested with.
    struct World {
        path: PathBuf,
        fails: Arc<AtomicBool>,
        keeper: Keeper<Flaky>,
        gate: Arc<Gate>,
        intake: Arc<Intake>,
        stream: StreamId,
        now: Instant,
        next: u64,
        /// Who waits for a record to be stored.
        asked: Vec<(u64, oneshot::Receiver<Result<(), SpoolError>>)>,
        accepted: BTreeSet<u64>,
        refused: BTreeSet<u64>,
        /// What the driver has: the number in the log, and the record's own.
        held: BTreeMap<u64, u64>,
        handed_over: Vec<u64>,
        deliveries: Vec<Receiver>,
    }

    impl World {
        fn new(seed: u64) -> Self {
            let path = std::env::temp_dir().join(format!("kpl-keeper-{}-{seed}", std::process::id()));
            let options = Options {
                max_user_record_size: 1000,
                max_buffered_bytes: 40_000,
                ..Options::default()
            };
            let mut log = LogOptions::default();
            log.max_bytes = 6000;
            let fails = Arc::new(AtomicBool::new(false));
            let folder = Flaky {
                folder: Directory::open(&path).unwrap(),
                fails: Arc::clone(&fails),
            };
            let intake = Arc::new(Intake::new(&options, true));
            let gate = Arc::new(Gate::new(options.max_buffered_bytes / 4, None));
            let log = Log::open(folder, log).unwrap();
            let now = Instant::now();
            Self {
                path,
                fails,
                keeper: Keeper::new(log, Arc::clone(&gate), Arc::clone(&intake), Duration::ZERO),
                gate,
                intake,
                stream: Pipeline::<()>::new(options, 0).unwrap().open("clicks", now),
                now,
                next: 0,
                asked: Vec::new(),
                accepted: BTreeSet::new(),
                refused: BTreeSet::new(),
                held: BTreeMap::new(),
                handed_over: Vec::new(),
                deliveries: Vec::new(),
            }
        }

        fn append(&mut self, rng: &mut Rng) -> Option<Step> {
            let record = RawRecord::new(self.next.to_string(), vec![b'.'; rng.usize(..200)]);
            let record = EncodedRecord::new(&record).unwrap();
            if !matches!(self.gate.try_reserve(self.intake.cost(&record)), Ok(true)) {
                return None;
            }
            let (reply, asked) = oneshot::channel();
            let (outcome, delivery) = delivery::channel();
            self.deliveries.push(delivery);
            self.asked.push((self.next, asked));
            self.next += 1;
            Some(Step::Append(Append {
                stream: "clicks".into(),
                id: self.stream,
                record,
                stored: Some(reply),
                outcome,
            }))
        }

        /// Does what the driver does: takes records, and reports outcomes.
        fn drive(&mut self, rng: &mut Rng) -> Vec<u64> {
            let mut messages = Vec::new();
            self.intake.take(&mut messages);
            for message in messages {
                if let Message::Record(_, record, outcome) = message {
                    let number = record.partition_key().parse().unwrap();
                    self.handed_over.push(number);
                    self.held.insert(outcome.spooled().unwrap(), number);
                    self.intake.release(1, self.intake.cost(&record) as usize);
                }
            }
            let mut settled: Vec<u64> = self.held.keys().copied().filter(|_| rng.bool()).collect();
            rng.shuffle(&mut settled);
            settled
        }

        fn step(&mut self, rng: &mut Rng) {
            self.now += Duration::from_millis(rng.u64(..200));
            self.fails.store(rng.u8(..4) == 0, Ordering::Relaxed);
            let steps = (0..rng.usize(..10)).filter_map(|_| self.append(rng)).collect();
            let settled = if rng.bool() { self.drive(rng) } else { Vec::new() };
            self.held.retain(|number, _| !settled.contains(number));
            let work = Work {
                steps,
                settled,
                ends: false,
            };
            self.keeper.work(work, self.now);
            self.hear();
        }

        /// Hears which records are stored, and which are not.
        fn hear(&mut self) {
            let (accepted, refused) = (&mut self.accepted, &mut self.refused);
            self.asked.retain_mut(|(number, asked)| {
                match asked.try_recv() {
                    Ok(Ok(())) => accepted.insert(*number),
                    Ok(Err(_)) => refused.insert(*number),
                    Err(_) => return true,
                };
                false
            });
        }
    }

    /// With a disk that fails now and then, and a small log and little memory, both full again and again.
    #[test]
    fn what_is_accepted_is_handed_over_once_and_in_order_or_is_in_the_log() {
        let (mut count, mut refused) = (0, 0);
        for seed in 0..100 {
            let mut rng = Rng::with_seed(seed);
            let mut world = World::new(seed);
            for _ in 0..rng.usize(..200) {
                world.step(&mut rng);
            }
            let still_held: BTreeSet<u64> = world.held.values().copied().collect();
            let World {
                path,
                keeper,
                accepted,
                handed_over,
                ..
            } = world;
            (count, refused) = (count + accepted.len(), refused + world.refused.len());
            drop(keeper);

            assert!(
                handed_over.is_sorted_by(|one, next| one < next),
                "seed {seed}: {handed_over:?}"
            );
            let handed_over: BTreeSet<u64> = handed_over.into_iter().collect();
            assert!(handed_over.is_subset(&accepted), "seed {seed}");
            let mut log = Log::open(Directory::open(&path).unwrap(), LogOptions::default()).unwrap();
            let mut left = BTreeSet::new();
            let mut cursor = Cursor::default();
            loop {
                let items = log.read(&mut cursor, 10_000).unwrap();
                if items.is_empty() {
                    break;
                }
                for item in items {
                    let Item::Record { data, .. } = item else {
                        panic!("seed {seed}: {item:?}");
                    };
                    let record = SpooledRecord::decode(&data).unwrap().record;
                    left.insert(record.partition_key().parse::<u64>().unwrap());
                }
            }
            let waiting: BTreeSet<u64> = accepted.difference(&handed_over).copied().collect();
            assert!(waiting.is_subset(&left), "seed {seed}: {waiting:?} are not in {left:?}");
            assert!(
                still_held.is_subset(&left),
                "seed {seed}: {still_held:?} are not in {left:?}"
            );
            std::fs::remove_dir_all(path).unwrap();
        }
        assert!(
            count > 10_000 && refused > 1000,
            "{count} were accepted, {refused} refused"
        );
    }
}
