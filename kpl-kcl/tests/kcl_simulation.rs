//! Handlers against a model of the daemon and of the KCL's checkpointer, which kills, throttles and takes leases away.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, PipeWriter, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use data_encoding::BASE64;
use fastrand::Rng;
use kpl_kcl::{Concurrency, Failed, Failures, Handler, OnFailure, Position, RawRecord, Received, RunError};
use serde_json::{Value, json};

/// A user record of the shard: its number is its data.
struct Record {
    key: String,
    sequence_number: String,
    sub_sequence_number: u64,
}

impl Record {
    fn position(&self) -> Position {
        Position::new(&self.sequence_number, self.sub_sequence_number).unwrap()
    }
}

/// What happened to the records.
#[derive(Default)]
struct Log {
    /// Handled, or taken by a function for those that failed, or passed over.
    done: BTreeSet<usize>,
    /// The last record of each key that was started by this process.
    last: BTreeMap<String, usize>,
    running: BTreeMap<String, usize>,
    in_this_process: BTreeSet<usize>,
    /// How many calls more fail for a record. `usize::MAX`: all.
    failures: BTreeMap<usize, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    PerRecord(Concurrency),
    PerBatch,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    how: How,
    on_failure: OnFailure,
    retries: u32,
    failed_letters: bool,
}

/// How the talk of the model with a process ended.
#[derive(Debug, PartialEq)]
enum Ended {
    ByDaemon,
    ByProcess,
    ShardEnd,
}

/// The daemon and the lease table.
struct Daemon {
    records: Arc<Vec<Record>>,
    log: Arc<Mutex<Log>>,
    rng: Rng,
    /// How many records the checkpoint says are done.
    checkpoint: usize,
    at_end: bool,
    calm: bool,
}

impl Daemon {
    /// Talks with one process, and asserts that it keeps to the protocol.
    fn talk(&mut self, mut to: PipeWriter, from: impl BufRead) -> Ended {
        let mut lines = from
            .lines()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let (number, sub) = match self.checkpoint.checked_sub(1).map(|last| &self.records[last]) {
            Some(record) => (record.sequence_number.as_str(), record.sub_sequence_number),
            None => ("TRIM_HORIZON", 0),
        };
        let initialize = json!({
            "action": "initialize", "shardId": "shardId-7", "sequenceNumber": number, "subSequenceNumber": sub,
        });
        let mut next = self.checkpoint;
        let mut lost = false;
        if self.say(&mut to, initialize).is_err() || !self.answered(&mut lines, &mut to, "initialize", next, &mut lost)
        {
            return Ended::ByProcess;
        }
        loop {
            if !self.calm && self.rng.u8(..20) == 0 {
                // The daemon is killed between two messages.
                return Ended::ByDaemon;
            }
            if lost {
                let _ = self.say(&mut to, json!({ "action": "leaseLost" }));
                self.answered(&mut lines, &mut to, "leaseLost", next, &mut lost);
                return Ended::ByDaemon;
            }
            let action = if next == self.records.len() {
                "shardEnded"
            } else if !self.calm && self.rng.u8(..15) == 0 {
                "shutdownRequested"
            } else {
                "processRecords"
            };
            let mut message = json!({ "action": action });
            if action == "processRecords" {
                let end = (next + self.rng.usize(0..12)).min(self.records.len());
                let records = self.records[next..end].iter().zip(next..).map(|(record, number)| {
                    json!({
                        "action": "record", "data": BASE64.encode(number.to_string().as_bytes()),
                        "partitionKey": record.key, "sequenceNumber": record.sequence_number,
                        "subSequenceNumber": record.sub_sequence_number, "approximateArrivalTimestamp": 1_700_000_000_000_u64,
                    })
                });
                message["records"] = records.collect();
                message["millisBehindLatest"] = json!(17);
                next = end;
            }
            if self.say(&mut to, message).is_err() {
                return Ended::ByProcess;
            }
            if !self.calm && self.rng.u8(..20) == 0 {
                // The daemon is killed while a message is answered.
                return Ended::ByDaemon;
            }
            if !self.answered(&mut lines, &mut to, action, next, &mut lost) {
                return Ended::ByProcess;
            }
            match action {
                "shardEnded" if !lost => {
                    assert!(self.at_end, "without a checkpoint at the end the children never start");
                    return Ended::ShardEnd;
                }
                "shutdownRequested" if !lost => {
                    let log = self.log.lock().unwrap();
                    let reached = (0..next).take_while(|number| log.done.contains(number)).count();
                    // Throttled checkpoints are made again, so it is not behind.
                    assert_eq!(self.checkpoint, reached.min(next), "a last checkpoint");
                    return Ended::ByDaemon;
                }
                _ => {}
            }
        }
    }

    fn say(&self, to: &mut PipeWriter, message: Value) -> std::io::Result<()> {
        writeln!(to, "{message}")
    }

    /// Reads lines until the status, and makes checkpoints. Returns `false` if the process ended.
    fn answered(
        &mut self,
        lines: &mut impl Iterator<Item = Value>,
        to: &mut PipeWriter,
        action: &str,
        delivered: usize,
        lost: &mut bool,
    ) -> bool {
        let mut throttled = 0;
        for line in lines {
            if line["action"] == "status" {
                assert_eq!(line, json!({ "action": "status", "responseFor": action }));
                return true;
            }
            assert_eq!(line["action"], "checkpoint");
            assert!(!*lost, "a checkpoint after the lease was lost");
            assert!(
                !["initialize", "leaseLost"].contains(&action),
                "a checkpoint at {action}"
            );
            let error = match self.rng.u8(..10) {
                0 | 1 if !self.calm && throttled < 3 => {
                    throttled += 1;
                    Some("ThrottlingException")
                }
                2 if !self.calm && self.rng.u8(..4) == 0 => {
                    *lost = true;
                    Some("ShutdownException")
                }
                _ => None,
            };
            if error.is_none() {
                let checkpoint = match line["sequenceNumber"].as_str() {
                    None => {
                        assert_eq!(action, "shardEnded");
                        self.at_end = true;
                        delivered
                    }
                    Some(number) => {
                        let position = Position::new(number, line["subSequenceNumber"].as_u64().unwrap()).unwrap();
                        let at = self.records.iter().position(|record| record.position() == position);
                        at.expect("the position of a record") + 1
                    }
                };
                assert!(self.checkpoint <= checkpoint && checkpoint <= delivered, "out of range");
                let log = self.log.lock().unwrap();
                assert!(
                    (0..checkpoint).all(|number| log.done.contains(&number)),
                    "it passes what was not handled"
                );
                self.checkpoint = checkpoint;
            }
            let mut answer = line.clone();
            answer["error"] = json!(error);
            if self.say(to, answer).is_err() {
                return false;
            }
        }
        false
    }
}

/// What a handler does with a record: fails as often as the log says.
async fn handle(record: &Received<RawRecord>, log: &Mutex<Log>, case: Case, yields: u8) -> Result<(), String> {
    let number: usize = String::from_utf8(record.value.data.clone()).unwrap().parse().unwrap();
    let key = record.partition_key().unwrap().to_owned();
    {
        let mut log = log.lock().unwrap();
        assert_eq!(record.shard_id(), Some("shardId-7"));
        // A batch is handed over in order. Those records of it that failed are handed over once more.
        let is_ordered = match case.how {
            How::PerRecord(concurrency) => !matches!(concurrency, Concurrency::All(_)),
            How::PerBatch => case.retries == 0,
        };
        if is_ordered {
            let last = log.last.insert(key.clone(), number);
            assert!(
                last.is_none_or(|last| last <= number),
                "{number} of key {key} after {last:?}"
            );
            let beside = log.running.insert(key.clone(), number);
            assert_eq!(beside, None, "two records of key {key} at the same time");
        }
    }
    for _ in 0..yields {
        tokio::task::yield_now().await;
    }
    let mut log = log.lock().unwrap();
    log.running.remove(&key);
    if let Some(failures) = log.failures.get_mut(&number).filter(|failures| **failures > 0) {
        *failures = if *failures == usize::MAX {
            usize::MAX
        } else {
            *failures - 1
        };
        let gives_up = case.retries == 0 && case.on_failure == OnFailure::Continue && !case.failed_letters;
        if gives_up {
            log.done.insert(number);
        }
        return Err(format!("record {number} fails"));
    }
    assert!(
        log.in_this_process.insert(number) || case.how == How::PerBatch,
        "{number} was handled twice"
    );
    log.done.insert(number);
    Ok(())
}

fn handler_of(
    case: Case,
    log: &Arc<Mutex<Log>>,
    mut rng: Rng,
) -> Box<dyn FnOnce(std::io::PipeReader, PipeWriter) -> Result<(), RunError>> {
    let (after, seconds) = (rng.u64(1..8), rng.u64(1..5));
    let interval = std::time::Duration::from_secs(seconds);
    let rng = Mutex::new(rng);
    let kept = Arc::clone(log);
    let failed = move |failed: Failed| {
        let kept = Arc::clone(&kept);
        async move {
            let number = String::from_utf8(failed.data).unwrap().parse().unwrap();
            kept.lock().unwrap().done.insert(number);
            Ok::<_, String>(())
        }
    };
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let log = Arc::clone(log);
    match case.how {
        How::PerRecord(concurrency) => Box::new(move |input, output| {
            let handler = Handler::per_record(|record: Received<RawRecord>| {
                let (log, yields) = (Arc::clone(&log), rng.lock().unwrap().u8(0..4));
                async move { handle(&record, &log, case, yields).await }
            });
            let handler = handler
                .concurrency(concurrency)
                .on_failure(case.on_failure)
                .retries(case.retries);
            let handler = handler.checkpoint_after(after).checkpoint_interval(interval);
            match case.failed_letters {
                true => runtime().block_on(handler.failed(failed).serve(input, output)),
                false => runtime().block_on(handler.serve(input, output)),
            }
        }),
        How::PerBatch => Box::new(move |input, output| {
            let handler = Handler::per_batch(|records: Vec<Received<RawRecord>>| {
                let log = Arc::clone(&log);
                async move {
                    let mut failures = Failures::none();
                    for record in &records {
                        if handle(record, &log, case, 0).await.is_err() {
                            failures.add(record);
                        }
                    }
                    Ok::<_, String>(failures)
                }
            });
            let handler = handler.on_failure(case.on_failure).retries(case.retries);
            let handler = handler.checkpoint_after(after).checkpoint_interval(interval);
            match case.failed_letters {
                true => runtime().block_on(handler.failed(failed).serve(input, output)),
                false => runtime().block_on(handler.serve(input, output)),
            }
        }),
    }
}

fn simulate(seed: u64, case: Case) {
    let mut rng = Rng::with_seed(seed);
    let mut records = Vec::new();
    for kinesis_record in 0..rng.u64(1..15) {
        for sub_sequence_number in 0..rng.u64(1..8) {
            records.push(Record {
                key: format!("k{}", rng.u8(0..4)),
                sequence_number: (4950 + 7 * kinesis_record).to_string(),
                sub_sequence_number,
            });
        }
    }
    let records = Arc::new(records);
    let log = Arc::new(Mutex::new(Log::default()));
    for number in 0..records.len() {
        if rng.u8(..8) == 0 {
            let failures = if rng.bool() { usize::MAX } else { rng.usize(1..4) };
            log.lock().unwrap().failures.insert(number, failures);
        }
    }
    let mut daemon = Daemon {
        records: Arc::clone(&records),
        log: Arc::clone(&log),
        rng: rng.fork(),
        checkpoint: 0,
        at_end: false,
        calm: false,
    };
    let mut processes = 0;
    while !daemon.at_end {
        processes += 1;
        daemon.calm = processes > 20;
        assert!(processes < 200, "seed {seed}, {case:?}: no end");
        {
            let mut log = log.lock().unwrap();
            (log.last, log.running, log.in_this_process) = Default::default();
        }
        let before = daemon.checkpoint;
        let (input, to) = std::io::pipe().unwrap();
        let (from, output) = std::io::pipe().unwrap();
        let (process_log, process_rng) = (Arc::clone(&log), rng.fork());
        let process = thread::spawn(move || handler_of(case, &process_log, process_rng)(input, output));
        let ended = daemon.talk(to, BufReader::new(from));
        let result = process.join().unwrap_or_else(|_| panic!("seed {seed}, {case:?}"));
        match (&ended, result) {
            (Ended::ByProcess, Err(RunError::Handler { place, error })) => {
                assert!(
                    error.to_string().ends_with("fails") || case.how == How::PerBatch,
                    "seed {seed}, {case:?}: {error}"
                );
                assert_eq!(case.on_failure, OnFailure::Stop, "seed {seed}, {case:?}");
                let position = place.position().unwrap();
                let number = records.iter().position(|record| record.position() == position).unwrap();
                assert!(before <= number, "seed {seed}, {case:?}");
                let mut log = log.lock().unwrap();
                assert!(
                    !log.done.contains(&number) || daemon.checkpoint <= number,
                    "seed {seed}, {case:?}"
                );
                if daemon.calm {
                    // Everything before the record that failed was handled, and the checkpoint says so.
                    assert_eq!(daemon.checkpoint, number, "seed {seed}, {case:?}");
                }
                // It is mended, after some processes.
                if processes % 3 == 0 {
                    log.failures.remove(&number);
                }
            }
            (Ended::ByProcess, result) => panic!("seed {seed}, {case:?}: {result:?}"),
            (_, result) => {
                if let Err(error) = result {
                    // It failed while the daemon was killed.
                    assert!(
                        matches!(error, RunError::Handler { .. }),
                        "seed {seed}, {case:?}: {error}"
                    );
                }
            }
        }
    }
    let log = log.lock().unwrap();
    assert!(
        (0..records.len()).all(|number| log.done.contains(&number)),
        "seed {seed}, {case:?}"
    );
}

#[test]
fn whatever_happens_nothing_is_lost_and_no_checkpoint_passes_what_was_not_handled() {
    let seeds = std::env::var("KPL_SEEDS").map_or(2, |seeds| seeds.parse().unwrap());
    let two = 2.try_into().unwrap();
    let hows = [
        How::PerRecord(Concurrency::Sequential),
        How::PerRecord(Concurrency::ByPartitionKey(two)),
        How::PerRecord(Concurrency::ByPartitionKey(1.try_into().unwrap())),
        How::PerRecord(Concurrency::All(3.try_into().unwrap())),
        How::PerBatch,
    ];
    for seed in 0..seeds {
        for how in hows {
            for on_failure in [OnFailure::Stop, OnFailure::Continue] {
                // With retries, only the log tells which ones are passed over.
                let retries: &[u32] = if on_failure == OnFailure::Stop { &[0, 2] } else { &[0] };
                for &retries in retries {
                    for failed_letters in [false, true] {
                        let case = Case {
                            how,
                            on_failure,
                            retries,
                            failed_letters,
                        };
                        simulate(seed, case);
                    }
                }
            }
        }
    }
}
