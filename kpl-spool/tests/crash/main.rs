//! Runs a log on a disk that fails and crashes at any call, with a seeded scheduler, and checks that what was committed is read until
//! it is settled.
//!
//! `KPL_SEEDS=100000` runs this many seeds; `KPL_SEED=17` runs only that one.
#![forbid(unsafe_code)]

mod disk;
#[path = "../../../kpl-stream/tests/common/seeds.rs"]
mod seeds;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use fastrand::Rng;
use kpl_spool::{AppendError, Cursor, Durability, Item, Log, Options};

use crate::disk::{Disk, Faults};
use crate::seeds::{number, run_seeds};

/// The number of seeds that plain `cargo test` runs.
const SEEDS: u64 = 500;

#[derive(Debug, Default)]
struct Statistics {
    sessions: u64,
    crashes: u64,
    accepted: u64,
    refused: u64,
    full: u64,
    failed_commits: u64,
    read: u64,
    read_again: u64,
    settled: u64,
    lost: u64,
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.crashes += other.crashes;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.full += other.full;
        self.failed_commits += other.failed_commits;
        self.read += other.read;
        self.read_again += other.read_again;
        self.settled += other.settled;
        self.lost += other.lost;
    }
}

/// What a record is in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// Not committed, or its commit failed: it may be there.
    Open,
    Accepted,
    /// Settled, and a commit has said so.
    Settled,
    /// Settled since the last commit: it may come again after a crash.
    SettledUnsaved,
}

struct Model {
    seed: u64,
    rng: Rng,
    disk: Disk,
    options: Options,
    records: BTreeMap<u64, (Vec<u8>, Fate)>,
    next_id: u64,
    statistics: Statistics,
}

fn id_of(data: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*data.first_chunk()?))
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut options = Options::default();
        options.durability = if rng.u8(..4) == 0 {
            Durability::Written
        } else {
            Durability::Synced
        };
        options.segment_bytes = [200, 2_000, 20_000][rng.usize(..3)];
        options.max_bytes = [4_000, 40_000, 1_000_000][rng.usize(..3)];
        Self {
            seed,
            disk: Disk::new(rng.u64(..)),
            rng,
            options,
            records: BTreeMap::new(),
            next_id: 0,
            statistics: Statistics::default(),
        }
    }

    fn run(mut self) -> Result<Statistics, String> {
        for _ in 0..self.rng.usize(2..12) {
            self.statistics.sessions += 1;
            self.choose_faults();
            let result = self.session();
            result.map_err(|problem| {
                let seed = self.seed;
                format!("seed {seed}: {problem}\nreplay it: KPL_SEED={seed} cargo test -p kpl-spool --test crash")
            })?;
        }
        self.disk.set(Faults::default(), None);
        self.everything_is_there()
            .map_err(|problem| format!("seed {}, at the end: {problem}", self.seed))?;
        Ok(self.statistics)
    }

    fn choose_faults(&mut self) {
        let rng = &mut self.rng;
        let mut chance = |most: u32| if rng.bool() { 0 } else { rng.u32(..most) };
        let faults = Faults {
            create: chance(300),
            write: chance(100),
            sync: chance(100),
            remove: chance(300),
            read: chance(50),
        };
        let left = (self.rng.u8(..3) > 0).then(|| self.rng.u64(1..200));
        self.disk.set(faults, left);
    }

    /// A process opens the log, uses it, and ends, at the latest when the machine stops.
    fn session(&mut self) -> Result<(), String> {
        let log = Log::open(self.disk.clone(), self.options.clone());
        let outcome = match log {
            Ok(mut log) => self.use_log(&mut log),
            // Faults when reading.
            Err(kpl_spool::OpenError::Io(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        let crashes = self.disk.has_stopped() || self.rng.u8(..4) == 0;
        if crashes {
            self.statistics.crashes += 1;
            self.disk.crash();
        }
        let is_kept = !crashes || self.options.durability == Durability::Synced;
        for (_, fate) in self.records.values_mut() {
            match fate {
                Fate::SettledUnsaved => *fate = Fate::Open,
                Fate::Accepted | Fate::Settled if !is_kept => *fate = Fate::Open,
                _ => {}
            }
        }
        outcome
    }

    fn use_log(&mut self, log: &mut Log<Disk>) -> Result<(), String> {
        let mut cursor = Cursor::default();
        let mut uncommitted = Vec::new();
        let mut unsettled = Vec::new();
        let mut last = None;
        let mut seen = BTreeSet::new();
        for _ in 0..self.rng.usize(1..150) {
            if self.disk.has_stopped() {
                return Ok(());
            }
            match self.rng.u8(..10) {
                0..4 => self.append(log, &mut uncommitted)?,
                4..6 => self.commit(log, &mut uncommitted)?,
                6..8 => {
                    let max = self.rng.usize(1..5_000);
                    let Ok(items) = log.read(&mut cursor, max) else {
                        continue;
                    };
                    let is_end = items.is_empty();
                    for item in items {
                        let before = unsettled.len();
                        self.check(item, &mut last, &mut unsettled)?;
                        seen.extend(unsettled[before..].iter().map(|(_, id)| *id));
                    }
                    let is_missed =
                        |(id, (_, fate)): (&u64, &(Vec<u8>, Fate))| *fate == Fate::Accepted && !seen.contains(id);
                    if is_end && self.records.iter().any(is_missed) {
                        return Err("there is nothing more to read, and an accepted record was not read".into());
                    }
                }
                _ => {
                    self.rng.shuffle(&mut unsettled);
                    let count = self.rng.usize(..=unsettled.len());
                    for (number, id) in unsettled.drain(..count) {
                        log.settle(number);
                        self.statistics.settled += 1;
                        self.set(id, Fate::SettledUnsaved);
                    }
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, id: u64, to: Fate) {
        if let Some((_, fate)) = self.records.get_mut(&id) {
            *fate = to;
        }
    }

    fn append(&mut self, log: &mut Log<Disk>, uncommitted: &mut Vec<(u64, u64)>) -> Result<(), String> {
        let longest = [20, 200, 3_000][self.rng.usize(..3)];
        let mut data = vec![self.rng.u8(..); self.rng.usize(8..longest)];
        data[..8].copy_from_slice(&self.next_id.to_le_bytes());
        match log.append(&data) {
            Ok(number) => {
                uncommitted.push((number, self.next_id));
                self.records.insert(self.next_id, (data, Fate::Open));
                self.next_id += 1;
            }
            Err(AppendError::Full) => {
                self.statistics.full += 1;
                if log.pending() == 0 {
                    return Err("the log is full of nothing".into());
                }
            }
            Err(error) => return Err(error.to_string()),
        }
        let most = self.options.max_bytes + self.options.max_bytes / 2 + 20_000;
        if log.bytes() > most {
            return Err(format!("{} bytes in the log, {:?}", log.bytes(), self.options));
        }
        Ok(())
    }

    fn commit(&mut self, log: &mut Log<Disk>, uncommitted: &mut Vec<(u64, u64)>) -> Result<(), String> {
        match log.commit() {
            Ok(()) => {
                for (_, id) in uncommitted.drain(..) {
                    self.statistics.accepted += 1;
                    self.set(id, Fate::Accepted);
                }
                for (_, fate) in self.records.values_mut() {
                    if *fate == Fate::SettledUnsaved {
                        *fate = Fate::Settled;
                    }
                }
            }
            Err(error) => {
                self.statistics.failed_commits += 1;
                let numbers: Vec<u64> = uncommitted.iter().map(|(number, _)| *number).collect();
                if !error.numbers.clone().eq(numbers.iter().copied()) {
                    return Err(format!("{:?} were refused, {numbers:?} uncommitted", error.numbers));
                }
                self.statistics.refused += numbers.len() as u64;
                uncommitted.clear();
            }
        }
        Ok(())
    }

    fn check(&mut self, item: Item, last: &mut Option<u64>, unsettled: &mut Vec<(u64, u64)>) -> Result<(), String> {
        let (number, data) = match item {
            Item::Record { number, data } => (number, data),
            Item::Lost { numbers, .. } => {
                self.statistics.lost += numbers.end - numbers.start;
                return Ok(());
            }
        };
        if last.is_some_and(|last| last >= number) {
            return Err(format!("{number} is read after {last:?}"));
        }
        *last = Some(number);
        let id = id_of(&data).ok_or("a short record")?;
        let (expected, fate) = self.records.get(&id).ok_or("a record that was not appended")?;
        if *expected != data {
            return Err(format!("record {id} has changed"));
        }
        if *fate == Fate::Settled || *fate == Fate::SettledUnsaved {
            return Err(format!("record {id}, number {number}, is read after it was settled"));
        }
        self.statistics.read += 1;
        unsettled.push((number, id));
        Ok(())
    }

    /// Everything that was accepted and not settled can be read, in order.
    fn everything_is_there(&mut self) -> Result<(), String> {
        let mut log = Log::open(self.disk.clone(), self.options.clone()).map_err(|error| error.to_string())?;
        let (mut cursor, mut last, mut unsettled) = (Cursor::default(), None, Vec::new());
        loop {
            let items = log.read(&mut cursor, 1_000).map_err(|error| error.to_string())?;
            if items.is_empty() {
                break;
            }
            for item in items {
                self.check(item, &mut last, &mut unsettled)?;
            }
        }
        let there: BTreeSet<u64> = unsettled.iter().map(|(_, id)| *id).collect();
        for (id, (_, fate)) in &self.records {
            if *fate == Fate::Accepted && !there.contains(id) {
                return Err(format!("record {id} was accepted and is lost"));
            }
        }
        let order: Vec<u64> = unsettled.iter().map(|(_, id)| *id).collect();
        if !order.is_sorted() {
            return Err(format!("out of order: {order:?}"));
        }
        self.statistics.read_again += there.len() as u64;
        for (number, _) in &unsettled {
            log.settle(*number);
        }
        log.commit().map_err(|error| error.to_string())?;
        if log.pending() > 0 {
            return Err(format!("{} are pending at the end", log.pending()));
        }
        Ok(())
    }
}

#[test]
fn what_was_committed_is_there() {
    if let Some(seed) = number("KPL_SEED") {
        match Model::new(seed).run() {
            Ok(statistics) => println!("{statistics:#?}"),
            Err(problem) => panic!("{problem}"),
        }
        return;
    }
    let (seeds, sum) = run_seeds(
        SEEDS,
        |seed| Model::new(seed).run(),
        |sum, statistics| *sum += statistics,
    );
    println!("{seeds} seeds: {sum:#?}");
    if seeds >= SEEDS {
        for (count, what) in [
            (sum.crashes, "crashes"),
            (sum.accepted, "accepted"),
            (sum.refused, "refused"),
            (sum.full, "full"),
            (sum.failed_commits, "failed commits"),
            (sum.read, "read"),
            (sum.read_again, "read again"),
            (sum.settled, "settled"),
        ] {
            assert!(count > 0, "never {what}");
        }
    }
}
