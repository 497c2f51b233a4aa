//! `kpl stats`: counts the records of a stream, and what aggregation saves.

mod histogram;
mod hot;
mod keys;
mod load;
mod page;
mod report;

use std::path::PathBuf;

use clap::{Args, ValueHint};
use kpl_core::{Counts, Deaggregator, RawRecord, ShardMap, UserRecord};
use serde::Serialize;

use self::histogram::Histogram;
use self::keys::Keys;
use self::load::Loads;
use crate::cost::{Cost, Repacked};
use crate::decompress::Decompress;
use crate::draw;
use crate::forms::{ReportForm, max_size};
use crate::input::{self, Entry, Input, Sink};
use crate::output;
use crate::problems::{Location, Problems, Stop, tell};
use crate::shards;
use crate::user_records::{self, not_an_aggregate};

/// The sizes of records to compare with by default: the KPL's, and up to 1 MiB, the largest record of a stream that is
/// not configured for larger ones.
const MAX_SIZES: [usize; 4] = [51_200, 102_400, 256_000, 1_048_576];

/// How many aggregated records that mix shards are listed.
const MIXED_LISTED: usize = 5;

/// Count the records of a stream: what aggregation saves, and what larger records would save
///
/// Reads what `kpl deaggregate` reads. User records that it or `kpl tail` unpacked before are counted as such; which Kinesis records
/// they were in is not known then. To find out what records of another size would save, it repacks the user
/// records.
///
/// Memory does not grow with the input. Keys are counted exactly as long as there are at most 20,000 different ones;
/// beyond that, counts may be too low, and the table says by how much. For each --max-size one record is held in
/// memory, or with --shards one for each shard.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aws kinesis list-shards --stream-name clicks > shards.json
  kpl stats --shards shards.json records-*.json
  kpl stats --keys --shards 4 --output html records-*.json > stats.html")]
pub(crate) struct Stats {
    #[command(flatten)]
    input: Input,

    /// Count by shard, and warn about aggregated records that mix shards: a file with the JSON of `aws kinesis list-shards`, or
    /// a number of shards of the same size
    #[arg(long, value_name = "FILE|COUNT", value_hint = ValueHint::FilePath)]
    shards: Option<PathBuf>,

    /// Count what records of this size would save, instead of the default sizes; may be repeated
    #[arg(long, value_name = "BYTES", value_parser = max_size)]
    max_size: Vec<usize>,

    #[command(flatten)]
    decompress: Decompress,

    /// Find hot keys, and with --shards hot shards: their load, and what it costs if the hottest one is split
    #[arg(long)]
    keys: bool,

    /// How many keys to list
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    limit: usize,

    /// How to write it
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    output: ReportForm,

    /// Stop at the first record that is malformed or cannot be read
    #[arg(long)]
    strict: bool,
}

impl Stats {
    pub(crate) fn run(&self, problems: &mut Problems) -> Result<(), Stop> {
        problems.strict = self.strict;
        let shards = self.shards.as_deref().map(shards::load).transpose()?;
        let max_sizes = if self.max_size.is_empty() {
            &MAX_SIZES[..]
        } else {
            &self.max_size
        };
        let repacked = max_sizes
            .iter()
            .map(|&max_size| Repacked::new(max_size, shards.as_ref().map_or(1, ShardMap::len)))
            .collect::<Result<_, _>>()
            .map_err(|error| Stop::Usage(error.to_string()))?;
        let loads = shards.as_ref().filter(|_| self.keys).map(Loads::new).transpose();
        let mut stream = Stream {
            loads: loads.map_err(|error| Stop::Usage(error.to_string()))?,
            counts: Counts::default(),
            unpacked: 0,
            unreadable: 0,
            alone: Cost::default(),
            cost: Cost::default(),
            repacked,
            user_records: Histogram::default(),
            data_sizes: Histogram::default(),
            keys: Keys::default(),
            decompress: self.decompress.clone(),
            compressed: Compressed::default(),
            by_shard: vec![0; shards.as_ref().map_or(0, ShardMap::len)],
            shards,
            mixed: 0,
            mixed_listed: Vec::new(),
            problems,
        };
        input::read(&self.input, &mut stream)?;
        let report = report::Report::new(&stream, self.limit, self.keys);
        match self.output {
            ReportForm::Text => draw::print(&report.draw()),
            ReportForm::Json => output::document(&report),
            ReportForm::Html => output::page(&page::page(&report)),
        }
    }
}

/// What is known about the records of a stream so far.
struct Stream<'p> {
    counts: Counts,
    /// How many of the user records were unpacked before they were read: what they were in is not known.
    unpacked: u64,
    /// How many values in the input are not valid records.
    unreadable: u64,
    /// What the user records would cost if each of them were sent alone.
    alone: Cost,
    /// What the records cost as they are.
    cost: Cost,
    repacked: Vec<Repacked>,
    /// How many user records are in each record.
    user_records: Histogram,
    data_sizes: Histogram,
    keys: Keys,
    decompress: Decompress,
    compressed: Compressed,
    shards: Option<ShardMap>,
    /// Only with `--keys`.
    loads: Option<Loads>,
    /// How many user records belong to each shard.
    by_shard: Vec<u64>,
    /// How many aggregated records have user records of several shards.
    mixed: u64,
    mixed_listed: Vec<Mixed>,
    problems: &'p mut Problems,
}

/// The data that `--decompress` decompressed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Compressed {
    user_records: u64,
    bytes: u64,
    decompressed_bytes: u64,
}

/// An aggregated record with user records of several shards.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Mixed {
    location: String,
    sequence_number: Option<String>,
    /// The identifiers of two of them.
    shards: [String; 2],
}

/// What is known about the user records in one record.
#[derive(Clone, Default)]
struct Inside {
    user_records: u64,
    shard: Option<usize>,
    other_shard: Option<usize>,
}

impl Sink for Stream<'_> {
    fn batch(&mut self, file: &str, entries: &mut Vec<Entry>) -> Result<(), Stop> {
        let mut insides = vec![Inside::default(); entries.len()];
        let mut ended = 0;
        let counts = user_records::each(&Deaggregator::new(), entries, |index, entry, record| {
            self.end_records(entries.get(ended..index).unwrap_or_default());
            ended = index;
            let Some(inside) = insides.get_mut(index) else {
                return Ok(());
            };
            inside.user_records += 1;
            match record {
                Ok(record) => self.count(file, entry, record, inside),
                Err(error) => {
                    self.alone.add(error.data().len() as u64);
                    self.data_sizes.add(error.data().len() as u64);
                    self.decompress(file, entry, Some(error.sub_sequence_number()), error.data())?;
                    let location = entry.full_location(file, Some(error.sub_sequence_number()));
                    self.problems.marked(location, error.kind())
                }
            }
        })?;
        self.end_records(entries.get(ended..).unwrap_or_default());
        self.counts += counts;
        for (entry, inside) in entries.iter().zip(&insides) {
            self.record(file, entry, inside);
        }
        Ok(())
    }

    fn user_record(&mut self, file: &str, record: input::UserRecord) -> Result<(), Stop> {
        let location = record.location(file);
        if self.unpacked == 0 {
            tell(format_args!(
                "{location}: this is a user record that was unpacked before; such records are counted, and the Kinesis records that \
                 they were in are not"
            ));
        }
        self.unpacked += 1;
        self.counts.user_records += 1;
        let (entry, unpacked) = (&record.entry, &record.unpacked);
        if let Some(reason) = &unpacked.malformed {
            self.problems.marked(location, reason)?;
            self.counts.failed += u64::from(unpacked.aggregated);
        }
        let mut user_record = UserRecord::from(entry.kinesis_record());
        user_record.explicit_hash_key = unpacked.explicit_hash_key;
        user_record.aggregated = unpacked.aggregated;
        user_record.sub_sequence_number = record.sub_sequence_number;
        self.count(file, entry, &user_record, &mut Inside::default())
    }

    fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop> {
        self.unreadable += 1;
        self.problems.left_out(location, problem)
    }

    fn caught_up(&mut self) -> Result<(), Stop> {
        Ok(())
    }
}

impl Stream<'_> {
    fn count(&mut self, file: &str, entry: &Entry, record: &UserRecord<'_>, inside: &mut Inside) -> Result<(), Stop> {
        if let Some(reason) = record.malformed {
            let location = entry.full_location(file, None);
            self.problems.marked(location, not_an_aggregate(reason))?;
        }
        let key = record.partition_key.unwrap_or_default();
        self.alone.add((record.data.len() + key.len()) as u64);
        self.data_sizes.add(record.data.len() as u64);
        let user_record = record.aggregated.then_some(record.sub_sequence_number);
        self.decompress(file, entry, user_record, record.data)?;
        let mut raw = RawRecord::new(key, record.data);
        raw.explicit_hash_key = record.explicit_hash_key;
        if record.partition_key.is_some() {
            self.keys.add(key, record.explicit_hash_key, raw.size() as u64);
        }
        let shard = self.shards.as_ref().and_then(|shards| {
            let hash_key = record.effective_hash_key()?;
            Some((shards.index_of(hash_key), hash_key))
        });
        let loads = self.loads.as_mut().filter(|_| self.unpacked == 0);
        if let (Some(loads), Some((shard, hash_key))) = (loads, shard) {
            loads.user_record(shard, hash_key, &raw);
        }
        let shard = shard.map(|(shard, _)| shard);
        if let Some(shard) = shard {
            if let Some(count) = self.by_shard.get_mut(shard) {
                *count += 1;
            }
            match inside.shard {
                None => inside.shard = Some(shard),
                Some(first) if first != shard => inside.other_shard = Some(shard),
                Some(_) => {}
            }
        }
        for repacked in &mut self.repacked {
            repacked.add(&raw, shard.unwrap_or_default());
        }
        Ok(())
    }

    /// Counts the load of Kinesis records whose user records were counted.
    fn end_records(&mut self, entries: &[Entry]) {
        if let (Some(loads), Some(shards)) = (&mut self.loads, &self.shards) {
            entries.iter().for_each(|entry| loads.record(shards, entry));
        }
    }

    /// Counts what the data is if it is decompressed.
    fn decompress(&mut self, file: &str, entry: &Entry, user_record: Option<u64>, data: &[u8]) -> Result<(), Stop> {
        match self.decompress.apply(data) {
            Ok(plain) if plain.compression.is_some() => {
                self.compressed.user_records += 1;
                self.compressed.bytes += data.len() as u64;
                self.compressed.decompressed_bytes += plain.data.len() as u64;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(problem) => {
                let location = entry.full_location(file, user_record);
                self.problems.unchanged(location, problem)
            }
        }
    }

    fn record(&mut self, file: &str, entry: &Entry, inside: &Inside) {
        let key = entry.partition_key.as_deref().unwrap_or_default();
        self.cost.add((entry.data.len() + key.len()) as u64);
        self.user_records.add(inside.user_records);
        let (Some(shards), Some(one), Some(other)) = (&self.shards, inside.shard, inside.other_shard) else {
            return;
        };
        self.mixed += 1;
        if self.mixed_listed.len() < MIXED_LISTED {
            let mut ids = shards.shards().map(|shard| shard.id.as_str());
            let (low, high) = (one.min(other), one.max(other));
            let low_id = ids.by_ref().nth(low).unwrap_or_default();
            let high_id = ids.nth(high - low - 1).unwrap_or_default();
            self.mixed_listed.push(Mixed {
                location: entry.location(file).to_string(),
                sequence_number: entry.sequence_number.clone(),
                shards: [low_id.to_owned(), high_id.to_owned()],
            });
        }
    }
}
