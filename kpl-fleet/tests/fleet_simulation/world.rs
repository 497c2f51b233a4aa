//! What happens in a seed: workers come and go, requests are lost, delayed and repeated, the stream grows and is resharded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kpl_core::Position;
use kpl_fleet::engine::{Engine, Handling, Loss, Options, Output, Stop, Updated};
use kpl_fleet::{Checkpoint, Lease, OwnerChange, Update};

use crate::stream::Stream;
use crate::table::{Process, Table};

const SECOND: u64 = 1_000_000;

/// What happened in all seeds. Everything must.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    counts: BTreeMap<&'static str, u64>,
}

const HAPPENS: [&str; 26] = [
    "added",
    "answer lost",
    "at timestamp",
    "balanced",
    "cap reached",
    "checkpoint",
    "children not named",
    "delayed",
    "ended",
    "given up",
    "given up gracefully",
    "killed",
    "latest",
    "lost because it was not renewed",
    "lost because it was taken",
    "merged",
    "partitioned",
    "refused",
    "removed",
    "repeated",
    "request lost",
    "same name",
    "split",
    "taken from one that is alive",
    "taken while vacant",
    "throttled",
];

impl Statistics {
    fn note(&mut self, what: &'static str) {
        debug_assert!(HAPPENS.contains(&what), "{what}");
        *self.counts.entry(what).or_default() += 1;
    }

    pub(crate) fn check_all_happened(&self) {
        for what in HAPPENS {
            assert!(self.counts.contains_key(what), "it never happens: {what}");
        }
    }
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }
}

#[derive(Debug)]
enum Event {
    Wake(Process),
    /// A request arrives at the table, and is answered then.
    Arrive(Process, Request, Option<u64>),
    Answer(Process, Answer),
    /// The records that are there are handled.
    Handle(Process, Handling),
    /// The handling has ended.
    HandlingEnded(Process, Handling),
    Put,
    Reshard,
    Kill(usize),
    Stop(usize),
    Start(usize),
    Partition(usize, u64),
    Throttle(u64),
    /// Nothing fails any more.
    Quiet,
    /// Every shard has a worker again.
    Settled,
    End,
}

#[derive(Clone, Debug)]
enum Request {
    Look(u64),
    List,
    Create(Lease),
    Update(u64, Update),
    Delete(Arc<str>, u64),
}

#[derive(Debug)]
enum Answer {
    Looked(Option<Vec<Lease>>),
    Listed(bool),
    Created(Arc<str>, bool),
    Updated(Arc<str>, u64, Updated),
    Nothing,
}

struct Worker {
    engine: Option<Engine>,
    incarnation: u64,
    name: Arc<str>,
    /// How fast its clock runs.
    rate: f64,
    /// When it was started.
    started: u64,
    runs: BTreeMap<Handling, Run>,
    wakes: Option<u64>,
    partitioned_until: u64,
}

/// The handling of a shard.
struct Run {
    next: u64,
    stopping: bool,
    /// It waits until this checkpoint is saved, and ends then.
    last: Option<Checkpoint>,
}

pub(crate) struct World {
    rng: Rng,
    trace: bool,
    statistics: Statistics,
    base: Instant,
    now: u64,
    number: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: BTreeMap<u64, Event>,
    stream: Stream,
    table: Table,
    workers: Vec<Worker>,
    initial: Checkpoint,
    failover: u64,
    max_leases: usize,
    /// How often a request meets a fault, in thousandths.
    faults: u64,
    throttled_until: u64,
    quiet: bool,
    at_this_time: u32,
    problem: Option<String>,
}

impl World {
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let is_large = rng.u8(..40) == 0;
        let (workers, shards) = match is_large {
            true => (20, 100),
            false => (rng.usize(1..6), rng.u128(1..9)),
        };
        let initial = [Checkpoint::TrimHorizon, Checkpoint::AtTimestamp, Checkpoint::Latest];
        let initial = initial[rng.usize(..3)].clone();
        let failover = rng.u64(3..=10) * SECOND;
        let mut world = Self {
            trace,
            statistics: Statistics::default(),
            base: Instant::now() + Duration::from_secs(1000),
            now: 0,
            number: 0,
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            stream: Stream::new(shards),
            table: Table::default(),
            workers: Vec::new(),
            initial,
            failover,
            max_leases: if rng.u8(..5) == 0 { rng.usize(1..8) } else { usize::MAX },
            faults: if rng.bool() { rng.u64(..300) } else { rng.u64(..30) },
            throttled_until: 0,
            quiet: false,
            at_this_time: 0,
            problem: None,
            rng,
        };
        world.plan(workers, is_large);
        world
    }

    fn plan(&mut self, workers: usize, is_large: bool) {
        // What was before the fleet.
        for _ in 0..self.rng.usize(..4) {
            self.reshard();
            self.stream.put(&mut self.rng);
        }
        match self.initial {
            Checkpoint::Latest => self.statistics.note("latest"),
            Checkpoint::AtTimestamp => self.statistics.note("at timestamp"),
            _ => {}
        }
        let span = self.rng.u64(20..if is_large { 60 } else { 120 }) * SECOND;
        for number in 0..workers {
            self.workers.push(Worker {
                engine: None,
                incarnation: 0,
                name: "".into(),
                rate: 0.98 + 0.04 * self.rng.f64(),
                started: 0,
                runs: BTreeMap::new(),
                wakes: None,
                partitioned_until: 0,
            });
            let start = if self.rng.bool() { 0 } else { self.rng.u64(..span / 2) };
            self.at(start, Event::Start(number));
        }
        for _ in 0..self.rng.u64(..=2 * workers as u64 + 2) {
            let (at, worker) = (self.rng.u64(..span), self.rng.usize(..workers));
            let event = match self.rng.u8(..6) {
                0 | 1 => Event::Kill(worker),
                2 => Event::Stop(worker),
                3 => Event::Throttle(at + self.rng.u64(..2 * self.failover)),
                _ => Event::Partition(worker, at + self.rng.u64(..3 * self.failover)),
            };
            self.at(at, event);
        }
        for _ in 0..self.rng.usize(..8) {
            let at = self.rng.u64(..span);
            self.at(at, Event::Reshard);
        }
        self.at(0, Event::Put);
        self.at(span, Event::Quiet);
        // Slow stops and long pauses of what began before; then the failover time by the slowest clock, and some looks.
        let settled = span + 12 * SECOND + self.failover * 11 / 10 * 2 + 6 * SECOND;
        self.at(settled, Event::Settled);
        let rest = if is_large { 120 } else { 60 } + self.rng.u64(..8) * self.rng.u64(..60);
        self.at(settled + rest * SECOND, Event::End);
    }

    fn at(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.events.push(Reverse((time, self.number)));
        self.waiting.insert(self.number, event);
    }

    fn after(&mut self, micros: u64, event: Event) {
        self.at(self.now + micros, event);
    }

    fn tell(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>12.6} {}", self.now as f64 / 1e6, text());
        }
    }

    fn fail(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    pub(crate) fn run(mut self) -> Result<Statistics, String> {
        while let Some(Reverse((time, number))) = self.events.pop() {
            self.at_this_time = if time == self.now { self.at_this_time + 1 } else { 0 };
            if self.at_this_time > 20_000 {
                self.fail("it runs in a circle".into());
            }
            self.now = time;
            let Some(event) = self.waiting.remove(&number) else {
                continue;
            };
            let is_end = matches!(event, Event::End);
            self.happen(event);
            if let Some(problem) = self.problem {
                return Err(format!("at {:.6}: {problem}", self.now as f64 / 1e6));
            }
            if is_end {
                break;
            }
        }
        Ok(self.statistics)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake((worker, incarnation)) => {
                if self.workers[worker].incarnation == incarnation && self.workers[worker].wakes == Some(self.now) {
                    self.workers[worker].wakes = None;
                    self.drive(worker);
                }
            }
            Event::Arrive(sender, request, answered) => self.arrive(sender, request, answered),
            Event::Answer((worker, incarnation), answer) => {
                if self.workers[worker].incarnation == incarnation {
                    self.answer(worker, answer);
                }
            }
            Event::Handle((worker, incarnation), handling) => {
                if self.workers[worker].incarnation == incarnation {
                    self.handle(worker, handling);
                }
            }
            Event::HandlingEnded((worker, incarnation), handling) => {
                if self.workers[worker].incarnation == incarnation {
                    self.workers[worker].runs.remove(&handling);
                    self.engine(worker, |engine, _| engine.handling_ended(&handling));
                }
            }
            Event::Put => {
                self.stream.put(&mut self.rng);
                if !self.quiet {
                    self.after(SECOND, Event::Put);
                }
            }
            Event::Reshard => self.reshard(),
            Event::Kill(worker) => {
                if self.workers[worker].engine.take().is_some() {
                    self.statistics.note("killed");
                    self.tell(|| format!("worker {worker} is killed"));
                    self.end(worker);
                }
            }
            Event::Stop(worker) => {
                self.tell(|| format!("worker {worker} is told to stop"));
                self.engine(worker, |engine, _| engine.stop());
            }
            Event::Start(worker) => self.start(worker),
            Event::Partition(worker, until) => {
                self.statistics.note("partitioned");
                self.workers[worker].partitioned_until = until;
            }
            Event::Throttle(until) => self.throttled_until = until,
            Event::Quiet => {
                self.tell(|| "nothing fails any more".into());
                self.quiet = true;
                self.throttled_until = 0;
                self.workers.iter_mut().for_each(|worker| worker.partitioned_until = 0);
                if self.workers.iter().all(|worker| worker.engine.is_none()) {
                    self.start(0);
                }
            }
            Event::Settled => self.check_owners(),
            Event::End => {
                self.check_owners();
                self.check_end();
            }
        }
    }

    fn end(&mut self, worker: usize) {
        self.workers[worker].incarnation += 1;
        self.workers[worker].runs.clear();
        if self.quiet && self.workers.iter().all(|worker| worker.engine.is_none()) {
            // It was told to stop before.
            self.after(0, Event::Start(worker));
        } else if !self.quiet && self.rng.u8(..4) > 0 {
            let pause = self.rng.u64(..3 * self.failover);
            self.after(pause, Event::Start(worker));
        }
    }

    fn start(&mut self, worker: usize) {
        if self.workers[worker].engine.is_some() {
            return;
        }
        let has_name = !self.workers[worker].name.is_empty();
        if has_name && self.rng.u8(..4) == 0 {
            self.statistics.note("same name");
        } else {
            self.workers[worker].name = format!("worker-{worker}-{}", self.workers[worker].incarnation).into();
        }
        let mut options = Options::new(Arc::clone(&self.workers[worker].name), self.initial.clone());
        options.failover = Duration::from_micros(self.failover);
        options.list_interval = Duration::from_secs(15);
        options.max_leases = self.max_leases;
        options.max_steals = 1 + worker % 3;
        options.seed = self.rng.u64(..);
        self.tell(|| format!("worker {worker} starts as {}", options.worker));
        self.workers[worker].started = self.now;
        self.workers[worker].wakes = None;
        let now = self.local(worker);
        self.workers[worker].engine = Some(Engine::new(options, now));
        self.drive(worker);
    }

    fn reshard(&mut self) {
        if self.rng.bool() {
            self.stream.split(&mut self.rng);
            self.statistics.note("split");
        } else if self.stream.merge(&mut self.rng) {
            self.statistics.note("merged");
        }
    }

    /// Returns the time by the clock of a worker.
    fn local(&self, worker: usize) -> Instant {
        let worker = &self.workers[worker];
        self.base + Duration::from_micros(((self.now - worker.started) as f64 * worker.rate).round() as u64)
    }

    fn engine(&mut self, worker: usize, call: impl FnOnce(&mut Engine, Instant)) {
        let now = self.local(worker);
        if let Some(engine) = &mut self.workers[worker].engine {
            call(engine, now);
            self.drive(worker);
        }
    }

    /// Does what an engine wants, and notes when it wants to be called again.
    fn drive(&mut self, worker: usize) {
        let now = self.local(worker);
        while let Some(output) = self.workers[worker].engine.as_mut().and_then(|engine| engine.poll(now)) {
            self.tell(|| format!("worker {worker}: {output:?}"));
            self.take_output(worker, output);
            if self.problem.is_some() {
                return;
            }
        }
        let Some(engine) = &self.workers[worker].engine else {
            return;
        };
        if engine.has_stopped() {
            self.tell(|| format!("worker {worker} has stopped"));
            self.statistics.note("given up gracefully");
            self.workers[worker].engine = None;
            self.end(worker);
            return;
        }
        let Some(at) = engine.wake_at() else {
            return;
        };
        let local = at.saturating_duration_since(self.base).as_micros() as f64 / self.workers[worker].rate;
        let at = (self.workers[worker].started + local.ceil() as u64 + 1).max(self.now);
        if self.workers[worker]
            .wakes
            .is_none_or(|wakes| at < wakes || wakes < self.now)
        {
            self.workers[worker].wakes = Some(at);
            let process = self.process(worker);
            self.at(at, Event::Wake(process));
        }
    }

    fn process(&self, worker: usize) -> Process {
        (worker, self.workers[worker].incarnation)
    }

    fn take_output(&mut self, worker: usize, output: Output) {
        match output {
            Output::Look => {
                let stale = self.rng.u64(..800_000) * u64::from(self.rng.bool());
                self.send(worker, Request::Look(stale));
            }
            Output::List => self.send(worker, Request::List),
            Output::Create(lease) => self.send(worker, Request::Create(lease)),
            Output::Update(number, update) => self.send(worker, Request::Update(number, update)),
            Output::Delete(key, counter) => self.send(worker, Request::Delete(key, counter)),
            Output::Start(handling, checkpoint) => self.start_run(worker, handling, &checkpoint),
            Output::Stop(handling, Stop::Gracefully) => {
                if let Some(run) = self.workers[worker].runs.get_mut(&handling) {
                    run.stopping = true;
                }
            }
            Output::Stop(handling, Stop::AtOnce(loss)) => {
                self.statistics.note(match loss {
                    Loss::Taken => "lost because it was taken",
                    Loss::NotRenewed => "lost because it was not renewed",
                    _ => unreachable!(),
                });
                self.workers[worker].runs.remove(&handling);
                let pause = self.rng.u64(..100_000);
                let process = self.process(worker);
                self.after(pause, Event::HandlingEnded(process, handling));
            }
            Output::Saved(handling, checkpoint) => {
                let process = self.process(worker);
                let run = self.workers[worker].runs.get(&handling);
                let Some(row) = self.table.rows.get(&handling.key) else {
                    return self.fail(format!("{} is not in the table", handling.key));
                };
                if row.lease.checkpoint < checkpoint {
                    return self.fail(format!("{checkpoint} of {} is not saved", handling.key));
                }
                if run.is_some_and(|run| run.last.as_ref().is_some_and(|last| *last <= checkpoint)) {
                    self.after(1000, Event::HandlingEnded(process, handling));
                }
            }
            Output::OtherStream(other) => {
                self.fail(format!("{}: {}: it is this stream's", other.key, other.difference));
            }
            _ => unreachable!(),
        }
    }

    fn start_run(&mut self, worker: usize, handling: Handling, checkpoint: &Checkpoint) {
        let key = &handling.key;
        if self.workers[worker].runs.keys().any(|other| other.key == *key) {
            return self.fail(format!("{key} is handled twice by worker {worker}"));
        }
        let parents = self.stream.shards[key].parents.iter();
        let is_first = |parent: &&Arc<str>| !self.stream.shards[*parent].is_done() && !self.table.is_late(parent, key);
        if let Some(parent) = parents.clone().find(is_first) {
            return self.fail(format!("{key} is handled before {parent}"));
        }
        if *checkpoint == Checkpoint::Latest && self.table.has_had_ancestors(key, &self.stream) {
            return self.fail(format!("{key} is read from its latest record on"));
        }
        let shard = self.stream.shards.get_mut(key).unwrap();
        let next = match checkpoint {
            Checkpoint::TrimHorizon | Checkpoint::AtTimestamp => 1,
            Checkpoint::Latest => {
                shard.handled = shard.records;
                shard.records + 1
            }
            Checkpoint::After(position) => position.sequence_number.as_str().parse::<u64>().unwrap() + 1,
            _ => return self.fail(format!("{key} is handled after its end")),
        };
        let run = Run {
            next,
            stopping: false,
            last: None,
        };
        self.workers[worker].runs.insert(handling.clone(), run);
        let runs = self.workers[worker].runs.values();
        let runs = runs.filter(|run| run.last != Some(Checkpoint::Ended)).count();
        if runs > self.max_leases {
            return self.fail(format!("worker {worker} handles {runs} shards"));
        }
        if runs == self.max_leases {
            self.statistics.note("cap reached");
        }
        let process = self.process(worker);
        self.after(10_000, Event::Handle(process, handling));
    }

    fn handle(&mut self, worker: usize, handling: Handling) {
        let process = self.process(worker);
        let Some(run) = self.workers[worker].runs.get_mut(&handling) else {
            return;
        };
        if run.last.is_some() {
            return;
        }
        let shard = self.stream.shards.get_mut(&handling.key).unwrap();
        if run.next > shard.handled + 1 {
            let problem = format!(
                "{}: {} is handled, and {} was not",
                handling.key,
                run.next,
                shard.handled + 1
            );
            return self.fail(problem);
        }
        let at_once = if self.quiet { 50 } else { 5 };
        let last = shard.records.min(run.next + self.rng.u64(1..=at_once) - 1);
        let is_end = shard.closed && last == shard.records;
        let before = run.next;
        run.next = run.next.max(last + 1);
        shard.handled = shard.handled.max(run.next - 1);
        let reached = (run.next > 1).then(|| Checkpoint::After(Position::new(&(run.next - 1).to_string(), 0).unwrap()));
        let is_idle = run.next == before;
        if run.stopping {
            // A graceful end may take a while.
            let slow = if self.rng.u8(..10) == 0 {
                10 * SECOND
            } else {
                SECOND / 2
            };
            if self.rng.u64(..slow) > 200_000 && !self.quiet {
                return self.after(200_000, Event::Handle(process, handling));
            }
            run.last = reached.clone();
            match reached {
                Some(reached) => self.engine(worker, |engine, _| engine.checkpoint(&handling, reached)),
                None => self.after(1000, Event::HandlingEnded(process, handling)),
            }
        } else if is_end {
            run.last = Some(Checkpoint::Ended);
            let mut children = shard.children.clone();
            if self.rng.u8(..5) == 0 {
                self.statistics.note("children not named");
                children.clear();
            }
            let children: Vec<_> = children.iter().map(|child| self.stream.describe(child)).collect();
            self.engine(worker, |engine, now| engine.shard_ended(now, &handling, &children));
        } else {
            if let Some(reached) = reached
                && (self.rng.u8(..4) == 0 || is_idle)
            {
                self.statistics.note("checkpoint");
                let handling = handling.clone();
                self.engine(worker, |engine, _| engine.checkpoint(&handling, reached));
            }
            let pause = if is_idle { SECOND } else { self.rng.u64(50_000..400_000) };
            self.after(pause, Event::Handle(process, handling));
        }
    }

    /// Sends a request, which may be lost, delayed or repeated, as its answer may.
    fn send(&mut self, worker: usize, request: Request) {
        let process = self.process(worker);
        let timeout = self.failover / 4;
        let is_partitioned = self.workers[worker].partitioned_until > self.now;
        let is_faulty = !self.quiet && self.rng.u64(..1000) < self.faults;
        let failed = match &request {
            Request::Look(_) => Answer::Looked(None),
            Request::List => Answer::Listed(false),
            Request::Create(lease) => Answer::Created(Arc::clone(&lease.key), false),
            Request::Update(number, update) => Answer::Updated(Arc::clone(&update.key), *number, Updated::Unknown),
            Request::Delete(..) => Answer::Nothing,
        };
        let (there, back) = (self.rng.u64(1000..40_000), self.rng.u64(1000..40_000));
        let is_throttled =
            self.throttled_until > self.now && self.rng.u8(..10) < 7 && !matches!(request, Request::List);
        if is_throttled {
            self.statistics.note("throttled");
            return self.after(there + back, Event::Answer(process, failed));
        }
        match (is_partitioned, if is_faulty { self.rng.u8(..4) } else { 9 }) {
            (true, _) | (_, 0 | 1) => {
                if self.rng.bool() {
                    self.statistics.note("request lost");
                } else {
                    self.statistics.note("answer lost");
                    self.after(there, Event::Arrive(process, request, None));
                }
                self.after(timeout, Event::Answer(process, failed));
            }
            (_, 2) => {
                self.statistics.note("delayed");
                let delay = timeout + self.rng.u64(..2 * self.failover);
                self.after(delay, Event::Arrive(process, request, None));
                self.after(timeout, Event::Answer(process, failed));
            }
            (_, 3) => {
                self.statistics.note("repeated");
                self.after(there, Event::Arrive(process, request.clone(), None));
                self.after(there + back, Event::Arrive(process, request, Some(back)));
            }
            _ => self.after(there, Event::Arrive(process, request, Some(back))),
        }
    }

    fn arrive(&mut self, sender: Process, request: Request, answered: Option<u64>) {
        let answer = match request {
            Request::Look(stale) => Answer::Looked(Some(self.table.look(self.now.saturating_sub(stale)))),
            Request::List => Answer::Listed(true),
            Request::Create(lease) => {
                let is_new = !self.table.rows.contains_key(&lease.key);
                if let Err(problem) = self.table.create(&lease, self.now, &mut self.stream) {
                    return self.fail(problem);
                }
                if is_new {
                    self.statistics.note("added");
                    self.tell(|| format!("{} is in the table, {}", lease.key, lease.checkpoint));
                }
                Answer::Created(lease.key, true)
            }
            Request::Update(number, update) => match self.update(sender, &update) {
                Ok(updated) => Answer::Updated(update.key, number, updated),
                Err(problem) => return self.fail(problem),
            },
            Request::Delete(key, counter) => {
                match self.table.delete(&key, counter, &self.stream) {
                    Ok(true) => self.statistics.note("removed"),
                    Ok(false) => {}
                    Err(problem) => return self.fail(problem),
                }
                Answer::Nothing
            }
        };
        if let Some(back) = answered {
            self.after(back, Event::Answer(sender, answer));
        }
    }

    fn update(&mut self, sender: Process, update: &Update) -> Result<Updated, String> {
        let before = self.table.rows.get(&update.key);
        let (before, changed) = before.map_or((None, 0), |row| (row.taker, row.changed));
        let updated = self.table.update(update, sender, self.now, &self.stream)?;
        if updated != Updated::Done {
            self.statistics.note("refused");
            return Ok(updated);
        }
        self.tell(|| format!("worker {} has changed {}: {update:?}", sender.0, update.key));
        if update.checkpoint == Some(Checkpoint::Ended) {
            self.statistics.note("ended");
        }
        match update.owner {
            OwnerChange::Remove => self.statistics.note("given up"),
            OwnerChange::Take(_) => {
                self.statistics.note(match before {
                    Some((worker, incarnation)) if self.process(worker) == (worker, incarnation) => {
                        "taken from one that is alive"
                    }
                    _ => "taken while vacant",
                });
                self.check_take(sender, before, changed, update)?;
            }
            _ => {}
        }
        Ok(updated)
    }

    fn check_take(
        &mut self,
        sender: Process,
        before: Option<Process>,
        changed: u64,
        update: &Update,
    ) -> Result<(), String> {
        if let Some((worker, incarnation)) = before
            && before != Some(sender)
            && self.process(worker) == (worker, incarnation)
            && self.now - changed >= self.failover
            && self.workers[worker]
                .runs
                .keys()
                .any(|handling| handling.key == update.key)
        {
            return Err(format!(
                "{} stood still, and is still handled by worker {worker}",
                update.key
            ));
        }
        Ok(())
    }

    fn answer(&mut self, worker: usize, answer: Answer) {
        let shards = matches!(answer, Answer::Listed(true)).then(|| self.stream.list());
        self.engine(worker, |engine, now| match answer {
            Answer::Looked(leases) => engine.looked(now, leases),
            Answer::Listed(_) => engine.listed(now, shards),
            Answer::Created(key, is_there) => engine.created(now, &key, is_there),
            Answer::Updated(key, number, updated) => engine.updated(now, &key, number, updated),
            Answer::Nothing => {}
        });
    }

    /// Every shard that can be read is read by a worker that is alive, unless they have as many as they may.
    fn check_owners(&mut self) {
        let alive = self.workers.iter().filter(|worker| worker.engine.is_some()).count();
        let readable = self.table.rows.values().filter(|row| {
            let is_over = |parent: &Arc<str>| self.table.rows.get(parent).is_none_or(|row| row.lease.is_ended());
            // Since a few seconds.
            let parents = self.stream.shards[&row.lease.key].parents.iter();
            !row.lease.is_ended() && parents.clone().all(is_over)
        });
        let mut counts = vec![0; self.workers.len()];
        let mut problem = None;
        let mut count = 0;
        for row in readable {
            count += 1;
            let taker = row.taker.filter(|taker| self.process(taker.0) == *taker);
            let is_handled = |taker: &Process| {
                let runs = &self.workers[taker.0].runs;
                runs.keys().any(|handling| handling.key == row.lease.key)
            };
            match taker.filter(is_handled) {
                Some((worker, _)) => counts[worker] += 1,
                // It was added, given up or taken only now.
                None if self.now - row.changed < 5 * SECOND => {}
                None => problem = Some(format!("{} is not handled", row.lease.key)),
            }
        }
        if count > alive.saturating_mul(self.max_leases) {
            return;
        }
        if let Some(problem) = problem {
            self.fail(problem);
        }
    }

    fn check_end(&mut self) {
        let alive: Vec<usize> = (0..self.workers.len())
            .filter(|worker| self.workers[*worker].engine.is_some())
            .collect();
        if self.max_leases < usize::MAX {
            return;
        }
        for (id, shard) in &self.stream.shards {
            let row = self.table.rows.get(id);
            let problem = if shard.handled < shard.records {
                format!("{id}: {} of {} records are handled", shard.handled, shard.records)
            } else if shard.closed && row.is_some_and(|row| !row.lease.is_ended()) {
                format!("{id} has not ended")
            } else if !shard.closed && row.is_none() {
                format!("{id} has no lease")
            } else {
                continue;
            };
            return self.fail(problem);
        }
        let counts = alive.iter().map(|worker| self.workers[*worker].runs.len());
        let (least, most) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
        if most > least + 1 {
            return self.fail(format!("one worker has {most} leases, and another {least}"));
        }
        self.statistics.note("balanced");
    }
}
