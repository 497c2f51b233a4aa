//! No quadratic: the pipeline's time for each item stays about the same, however many there are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kpl_core::{RawRecord, ShardMap};
use kpl_stream::client::{PutResult, StreamDescription, Written};
use kpl_stream::pipeline::{Output, Pipeline, RequestId, StreamId};
use kpl_stream::{EncodedRecord, Options};
use kpl_testkit::even_shards;

use crate::Result;
use crate::report::Report;

/// A measurement that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the service takes to answer, on the pipeline's clock.
const LATENCY: Duration = Duration::from_millis(5);

/// How much the pipeline's clock moves between groups of records.
const STEP: Duration = Duration::from_millis(1);

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    hot_key(report)?;
    let tables: [(&str, usize, Scenario); 4] = [
        ("streams, 10 records each", 10_000, streams),
        ("shards, 10 records each", 10_000, shards),
        ("distinct keys with `ordered`, 10 records each", 100_000, keys),
        ("flushes, each after a record", 1_000_000, flushes),
    ];
    for (name, size, scenario) in tables {
        table(name, size, scenario, report)?;
    }
    Ok(())
}

/// Measures one size. Returns `None` if it takes too long.
type Scenario = fn(usize) -> Result<Option<Duration>>;

/// Prints the time of `ordered` with one key beside that of records without order.
fn hot_key(report: &mut Report) -> Result<()> {
    const SIZES: [usize; 4] = [50_000, 100_000, 200_000, 1_000_000];
    let mut last = None;
    for size in SIZES {
        let unordered = one_key(size, false)?;
        let ordered = one_key(size, true)?;
        report.note(format_args!(
            "one key, {size:>9} records: {} ordered, {} unordered",
            show(ordered),
            show(unordered)
        ));
        last = ordered
            .zip(unordered)
            .map(|(ordered, unordered)| (size, ordered.div_duration_f64(unordered)));
        if last.is_none() {
            break;
        }
    }
    let name = "1,000,000 records of one key with `ordered`, of the unordered time";
    match last {
        Some((_, times)) => report.figure(name, format_args!("{times:.1} x"), "<= 3 x", times <= 3.0),
        None => report.figure(
            name,
            "not reached: a smaller size takes more than 20 s",
            "<= 3 x",
            false,
        ),
    }
    Ok(())
}

fn table(name: &str, size: usize, scenario: Scenario, report: &mut Report) -> Result<()> {
    let mut each = Vec::new();
    for size in [size / 100, size / 10, size] {
        let time = fastest(size, scenario)?;
        let item = time.map(|time| time.as_secs_f64() * 1e6 / size as f64);
        let shown = item.map_or_else(String::new, |item| format!(", {item:.2} us each"));
        report.note(format_args!("{size:>9} {name}: {}{shown}", show(time)));
        each.push(item);
        if time.is_none() {
            break;
        }
    }
    let name = format!("{size} {name}, of the time for each of a tenth");
    match each[..] {
        [_, Some(tenth), Some(all)] => {
            let times = all / tenth;
            report.figure(name, format_args!("{times:.1} x"), "<= 3 x", times <= 3.0);
        }
        _ => report.figure(name, "given up after 20 s", "<= 3 x", false),
    }
    Ok(())
}

/// Measures a size; several times if that is quick, because then chance matters.
fn fastest(size: usize, scenario: Scenario) -> Result<Option<Duration>> {
    let mut fastest = scenario(size)?;
    for _ in 0..2 {
        if fastest.is_some_and(|time| time < Duration::from_millis(500)) {
            fastest = fastest.min(scenario(size)?);
        }
    }
    Ok(fastest)
}

fn show(time: Option<Duration>) -> String {
    time.map_or_else(
        || "more than 20 s".into(),
        |time| format!("{:.3} s", time.as_secs_f64()),
    )
}

fn one_key(records: usize, ordered: bool) -> Result<Option<Duration>> {
    let mut run = Run::new(1, ordered)?;
    let stream = run.open("clicks");
    let records = encoded((0..records).map(|_| 7))?;
    run.carry(records.into_iter().map(|record| (stream, record)))
}

fn streams(count: usize) -> Result<Option<Duration>> {
    let mut run = Run::new(1, false)?;
    let records = encoded(0..10 * count)?;
    let names: Vec<String> = (0..count).map(|number| format!("stream-{number}")).collect();
    run.started = Instant::now();
    let streams: Vec<StreamId> = names.iter().map(|name| run.open(name)).collect();
    let records = records.into_iter().enumerate();
    run.carry(records.map(|(number, record)| (streams[number % count], record)))
}

fn shards(count: usize) -> Result<Option<Duration>> {
    let mut run = Run::new(count as u128, false)?;
    let stream = run.open("clicks");
    let records = encoded(0..10 * count)?;
    run.carry(records.into_iter().map(|record| (stream, record)))
}

fn keys(count: usize) -> Result<Option<Duration>> {
    let mut run = Run::new(4, true)?;
    let stream = run.open("clicks");
    let records = encoded((0..10 * count).map(|number| number % count))?;
    run.carry(records.into_iter().map(|record| (stream, record)))
}

fn flushes(count: usize) -> Result<Option<Duration>> {
    let mut run = Run::new(4, false)?;
    let stream = run.open("clicks");
    run.flush = true;
    let records = encoded(0..count)?;
    run.carry(records.into_iter().map(|record| (stream, record)))
}

/// Encodes a record for each of these keys.
fn encoded(keys: impl Iterator<Item = usize>) -> Result<Vec<EncodedRecord>> {
    let record = |key: usize| EncodedRecord::new(&RawRecord::new(key.to_string(), vec![b'.'; 50]));
    Ok(keys.map(record).collect::<std::result::Result<_, _>>()?)
}

/// A pipeline and a service that answers after some time, on a clock of their own.
struct Run {
    pipeline: Pipeline<()>,
    shards: ShardMap,
    written: Vec<Written>,
    answers: VecDeque<(Instant, RequestId, Vec<PutResult>)>,
    now: Instant,
    /// When the measurement started, by the real clock.
    started: Instant,
    /// Whether each record is flushed.
    flush: bool,
    resolved: usize,
    flushed: usize,
}

impl Run {
    fn new(shards: u128, ordered: bool) -> Result<Self> {
        let mut options = Options::default();
        options.ordered = ordered;
        options.record_ttl = Duration::from_secs(24 * 3600);
        // The pipeline is to be the limit.
        options.rate_limit = 1_000_000;
        let shards = ShardMap::new(even_shards(shards))?;
        let written = shards.shards().map(|shard| Written::new(&*shard.id, "4966")).collect();
        Ok(Self {
            pipeline: Pipeline::new(options, 1)?,
            shards,
            written,
            answers: VecDeque::new(),
            now: Instant::now(),
            started: Instant::now(),
            flush: false,
            resolved: 0,
            flushed: 0,
        })
    }

    fn open(&mut self, name: &str) -> StreamId {
        self.started = Instant::now();
        self.pipeline.open(name, self.now)
    }

    /// Carries records from their arrival, 1,000 at a time, to their outcomes. Returns how long it took by the real clock,
    /// or `None` if it takes too long.
    fn carry(&mut self, records: impl ExactSizeIterator<Item = (StreamId, EncodedRecord)>) -> Result<Option<Duration>> {
        let count = records.len();
        self.started = self.started.max(Instant::now() - PATIENCE);
        let mut records = records.peekable();
        while records.peek().is_some() {
            for (stream, record) in records.by_ref().take(1000) {
                self.pipeline.push(stream, [(record, ())], self.now);
                if self.flush {
                    self.pipeline.flush(self.now);
                }
            }
            self.poll();
            self.answer(self.now + STEP);
            if self.is_late() {
                return Ok(None);
            }
        }
        while self.resolved < count {
            self.poll();
            if self.resolved == count {
                break;
            }
            let answer = self.answers.front().map(|(at, ..)| *at);
            let next = self.pipeline.wake_at(self.now).into_iter().chain(answer).min();
            let next = next.ok_or("nothing is left to do, and records have no outcome")?;
            self.answer(next.max(self.now + Duration::from_micros(1)));
            if self.is_late() {
                return Ok(None);
            }
        }
        if self.flush && self.flushed != count {
            return Err("a flush has not ended".into());
        }
        Ok(Some(self.started.elapsed()))
    }

    fn is_late(&self) -> bool {
        self.started.elapsed() > PATIENCE
    }

    fn poll(&mut self) {
        while let Some(output) = self.pipeline.poll(self.now) {
            match output {
                Output::ListShards { id, .. } => {
                    let shards = self.shards.shards().cloned().collect();
                    self.pipeline
                        .listed(id, Ok((shards, StreamDescription::default())), self.now);
                }
                Output::PutRecords { id, entries, .. } => {
                    let written = |entry: &kpl_core::SealedRecord| {
                        Ok(self.written[self.shards.index_of(entry.explicit_hash_key)].clone())
                    };
                    let results = entries.iter().map(written).collect();
                    self.answers.push_back((self.now + LATENCY, id, results));
                }
                Output::Resolved(outcomes) => self.resolved += outcomes.len(),
                Output::Flushed { .. } => self.flushed += 1,
                _ => {}
            }
        }
    }

    /// Moves the clock, and answers what is due by then.
    fn answer(&mut self, now: Instant) {
        self.now = now;
        while let Some((_, id, results)) = self.answers.pop_front_if(|(at, ..)| *at <= now) {
            self.pipeline.answered(id, Ok(results), now);
        }
    }
}
