//! `kpl aggregate`: packs JSON Lines into the entries of PutRecords.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use kpl_core::{Aggregator, DEFAULT_MAX_SIZE, HashKey, RawRecord, SealedRecord, ShardedAggregator};
use serde::Serialize;

use crate::forms::{DataEncoding, EntryForm, OuterKey, at_least_one, max_size, outer_key};
use crate::input::{Arrival, LineSink, each_line, reports};
use crate::output::{self, Lines};
use crate::problems::{Location, Problems, Stop, tell};
use crate::shards;
use crate::user_record_line::{self, Accident};

/// The limits of one PutRecords request.
const PUT_RECORDS_ENTRIES: u64 = 500;
const PUT_RECORDS_BYTES: u64 = 10 * 1024 * 1024;

/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LAMBDA_EVENT_BYTES: u64 = 6 * 1024 * 1024;

/// Pack JSON Lines into records for `aws kinesis put-records`
///
/// Reads {"PartitionKey", "ExplicitHashKey", "Data"}, one user record a line. ExplicitHashKey may be missing or null;
/// Data is base64, or what --data says, or any JSON but a string, which is the data as it is. It also reads what `kpl
/// deaggregate` and `kpl tail` write: "DataEncoding" takes precedence over --data, a partition key that is null is made
/// from the data, and other keys are ignored. Data that is an aggregated record, as this command writes it, is unpacked, and its user
/// records are packed anew; the data of lines with "Aggregated", which were unpacked before, stays as it is.
///
/// Writes {"Data", "PartitionKey", "ExplicitHashKey"}, the entries of PutRecords, or with `--as lambda-event` an event of
/// Lambda, to call a function with. A line that cannot be packed is
/// reported on standard error with its number, the reason and its text, and the next one follows.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kpl aggregate --data text --output array clicks.jsonl > records.json
  aws kinesis put-records --stream-name clicks --records file://records.json")]
pub(crate) struct Aggregate {
    /// The files to read; the default, and `-`, is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,

    /// How Data is encoded in the input if a line does not say it; the default is base64
    #[arg(long, value_enum, value_name = "FORM")]
    data: Option<DataEncoding>,

    /// What to write
    #[arg(long, visible_alias = "as", value_enum, default_value_t, value_name = "FORM")]
    output: EntryForm,

    /// The most bytes a record may take: its data and its partition key
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_SIZE, value_parser = max_size)]
    max_size: usize,

    /// The most user records in one record
    #[arg(long, value_name = "COUNT", value_parser = at_least_one)]
    max_count: Option<usize>,

    /// The partition key of aggregated records: that of their first user record, or always the same one
    #[arg(long, value_name = "first|fixed:TEXT", default_value = "first", value_parser = outer_key)]
    outer_key: OuterKey,

    /// Wrap a lone user record too, instead of writing it as it is
    #[arg(long)]
    wrap_single: bool,

    /// Never mix shards in a record: a file with the JSON of `aws kinesis list-shards`, or a number of shards of the same size
    #[arg(long, value_name = "FILE|COUNT", value_hint = ValueHint::FilePath)]
    shards: Option<PathBuf>,

    /// Stop at the first line that cannot be packed
    #[arg(long)]
    strict: bool,
}

impl Aggregate {
    pub(crate) fn run(&self, problems: &mut Problems) -> Result<(), Stop> {
        problems.strict = self.strict;
        let mut packing = Packing {
            packer: Packer::new(self)?,
            entries: Entries::new(self.output),
            data: self.data,
            accident: Accident::default(),
            problems,
        };
        let result = each_line(&self.files, &mut packing);
        // Even after an error, what was packed is written.
        for sealed in packing.packer.finish() {
            packing.entries.write(&sealed)?;
        }
        packing.entries.finish()?;
        result
    }
}

struct Packing<'p> {
    packer: Packer,
    entries: Entries,
    data: Option<DataEncoding>,
    accident: Accident,
    problems: &'p mut Problems,
}

impl LineSink for Packing<'_> {
    fn line(&mut self, location: Location<'_>, line: &[u8]) -> Result<(), Stop> {
        let Some(line) = user_record_line::text(line) else {
            return Ok(());
        };
        let read = match user_record_line::read(line, self.data) {
            Ok(read) => read,
            Err(problem) => return self.leave_out(location, &problem, &String::from_utf8_lossy(line)),
        };
        let Self {
            packer,
            entries,
            accident,
            problems,
            ..
        } = self;
        read.each(location, accident, |record| {
            let problem = match record.map(|record| (packer.push(&record), record)) {
                Ok((Ok(None), _)) => return Ok(()),
                Ok((Ok(Some(sealed)), _)) => return entries.write(&sealed),
                Ok((Err(error), record)) => format!("{error}: {}", user_record_line::write(&record, None)),
                Err(problem) => problem,
            };
            entries.flush()?;
            problems.left_out(location, problem)
        })
    }

    fn refuses(&self, start: &[u8]) -> Option<&'static str> {
        reports::not_lines(start)
    }

    fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop> {
        self.problems.left_out(location, problem)
    }

    fn caught_up(&mut self) -> Result<(), Stop> {
        self.entries.flush()
    }
}

impl Packing<'_> {
    fn leave_out(&mut self, location: Location<'_>, problem: &str, text: &str) -> Result<(), Stop> {
        self.entries.flush()?;
        self.problems.left_out(location, format_args!("{problem}: {text}"))
    }
}

/// Packs with or without a shard map.
enum Packer {
    Plain(Box<Aggregator<RawRecord>>),
    Sharded(Box<ShardedAggregator<RawRecord>>),
}

impl Packer {
    fn new(options: &Aggregate) -> Result<Self, Stop> {
        let mut builder = Aggregator::builder()
            .max_size(options.max_size)
            .wrap_single(options.wrap_single);
        if let Some(count) = options.max_count {
            builder = builder.max_count(count);
        }
        if let OuterKey::Fixed(key) = &options.outer_key {
            builder = builder.outer_partition_key(key.clone());
        }
        let packer = match &options.shards {
            None => builder.build().map(|plain| Self::Plain(Box::new(plain))),
            Some(path) => {
                let shards = shards::load(path)?;
                builder
                    .build_sharded(shards)
                    .map(|sharded| Self::Sharded(Box::new(sharded)))
            }
        };
        packer.map_err(|error| Stop::Usage(error.to_string()))
    }

    fn push(&mut self, record: &RawRecord) -> Result<Option<SealedRecord>, kpl_core::AggregateError> {
        match self {
            Self::Plain(aggregator) => aggregator.push(record),
            Self::Sharded(aggregator) => aggregator.push(record),
        }
    }

    fn finish(&mut self) -> Vec<SealedRecord> {
        match self {
            Self::Plain(aggregator) => aggregator.finish().into_iter().collect(),
            Self::Sharded(aggregator) => aggregator.finish(),
        }
    }
}

/// An entry of PutRecords.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(serialize_with = "output::base64")]
    data: &'a [u8],
    partition_key: &'a str,
    explicit_hash_key: HashKey,
}

/// Returns the record as Lambda would receive it from a stream of one shard.
fn lambda_record(sealed: &SealedRecord, number: u64) -> kpl_event::Record {
    let number = number.to_string();
    let mut record = kpl_event::Record::new(Ok(sealed.data.clone()));
    record.partition_key = Some(sealed.partition_key.as_str().into());
    record.arrival = Some(Arrival::Seconds(1_700_000_000.0));
    record.event_id = Some(format!("shardId-000000000000:{number}"));
    record.event_source_arn = Some("arn:aws:kinesis:eu-central-1:123456789012:stream/test".into());
    record.sequence_number = Some(number);
    record
}

/// Writes the entries.
struct Entries {
    lines: Lines,
    form: EntryForm,
    count: u64,
    bytes: u64,
}

impl Entries {
    fn new(form: EntryForm) -> Self {
        Self {
            lines: Lines::new(),
            form,
            count: 0,
            bytes: 0,
        }
    }

    fn write(&mut self, sealed: &SealedRecord) -> Result<(), Stop> {
        let is_array = self.form == EntryForm::Array;
        match self.form {
            EntryForm::Lines => {}
            _ if self.count > 0 => self.lines.text(",\n")?,
            EntryForm::Array => self.lines.text("[\n")?,
            EntryForm::LambdaEvent => self.lines.text("{\"Records\":[\n")?,
        }
        self.count += 1;
        self.bytes += sealed.size() as u64;
        if self.form == EntryForm::LambdaEvent {
            return self.lines.value(&lambda_record(sealed, self.count).to_lambda_json());
        }
        let entry = Entry {
            data: &sealed.data,
            partition_key: sealed.partition_key.as_str(),
            explicit_hash_key: sealed.explicit_hash_key,
        };
        if is_array {
            self.lines.value(&entry)
        } else {
            self.lines.line(&entry)
        }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.lines.flush()
    }

    fn finish(&mut self) -> Result<(), Stop> {
        if self.form == EntryForm::LambdaEvent {
            self.lines.text(if self.count == 0 {
                "{\"Records\":[]}\n"
            } else {
                "\n]}\n"
            })?;
            if self.bytes > LAMBDA_EVENT_BYTES * 3 / 4 {
                tell("this event is larger than 6 MB, the most that Lambda takes");
            }
        }
        if self.form == EntryForm::Array {
            self.lines.text(if self.count == 0 { "[]\n" } else { "\n]\n" })?;
            if self.count > PUT_RECORDS_ENTRIES || self.bytes > PUT_RECORDS_BYTES {
                let (count, mebibytes) = (self.count, self.bytes as f64 / (1024.0 * 1024.0));
                tell(format_args!(
                    "these are {count} entries and {mebibytes:.1} MiB; put-records takes at most 500 entries and 10 MiB \
                     at a time"
                ));
            }
        }
        self.flush()
    }
}
