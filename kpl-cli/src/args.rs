//! The command line.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use kpl_core::{DEFAULT_MAX_SIZE, HashKey, HashKeyRange, LARGEST_MAX_SIZE, PartitionKey, Position};

const EXIT_CODES: &str = "\
Exit codes:
  0  all of the input came out
  1  some of it did not, or --strict ended it at the first problem
  2  the command line is wrong, a file cannot be opened, or there are no credentials
  3  the service refused, or cannot be reached";

/// Unpacks, packs and shows Amazon Kinesis records in the aggregated format of the KPL.
#[derive(Debug, Parser)]
#[command(name = "kpl", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Deaggregate(Deaggregate),
    Aggregate(Aggregate),
    Inspect(Inspect),
    Stats(Stats),
    #[cfg(feature = "stream")]
    Put(crate::stream::Put),
    #[cfg(feature = "stream")]
    Tail(crate::stream::Tail),
    /// Write the completions of a shell to standard output
    #[command(after_help = "Example:\n  kpl completions bash > ~/.local/share/bash-completion/completions/kpl")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages into a directory
    #[command(after_help = "Example:\n  kpl man ~/.local/share/man/man1 && man kpl-deaggregate")]
    Man {
        /// The directory; it is made if there is none
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// What records are read from.
#[derive(Debug, Group)]
pub(crate) struct Input {
    /// What to read; standard input if there is none, or for `-`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Each input is the bytes of one record
    #[arg(long)]
    pub(crate) raw: bool,
}

/// Unpack records into user records, one JSON line each
///
/// Reads the JSON of `aws kinesis get-records`, Lambda events of Kinesis, Firehose and Kinesis Analytics
/// transformation events, and JSON Lines with one record an object: it sees by itself which it is, and they may be
/// mixed. With --raw it reads the bytes of one record.
///
/// Writes {"PartitionKey", "ExplicitHashKey", "SequenceNumber", "SubSequenceNumber", "Aggregated",
/// "ApproximateArrivalTimestamp", "Data"}, Data in base64. A record that carries the magic of an aggregated record but is
/// none, and a user record whose keys cannot be resolved, have "Malformed" with the reason as well.
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  aws kinesis get-records --shard-iterator $ITERATOR | kpl deaggregate
  kpl deaggregate --data json --after \"$SEQUENCE_NUMBER:41\" events.json")]
pub(crate) struct Deaggregate {
    #[command(flatten)]
    pub(crate) input: Input,

    /// How to write Data: as base64, or for reading. What is no text stays base64, what is no JSON stays text, and
    /// "DataEncoding" says so
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) data: DataForm,

    /// Filter by hash key, as a reader of one shard does; both ends are inclusive
    #[arg(long, value_name = "START..=END", value_parser = hash_key_range)]
    pub(crate) range: Option<HashKeyRange>,

    /// What happens to user records of aggregated records that are outside --range
    #[arg(long, value_enum, default_value_t, requires = "range", value_name = "POLICY")]
    pub(crate) stray: Stray,

    /// Resume: leave out what stands at or before this position of the shard
    #[arg(long, value_name = "SEQUENCE:SUB")]
    pub(crate) after: Option<Position>,

    /// Stop at the first record that is malformed or cannot be read
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataForm {
    /// The exact bytes
    #[default]
    Base64,
    /// The text
    Text,
    /// The JSON, nested
    Json,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Stray {
    /// One outside leaves out its whole aggregated record, as the KCL does
    DropAggregate,
    /// They are left out
    #[default]
    Drop,
    /// They are delivered
    Keep,
}

/// Pack JSON Lines into records for `aws kinesis put-records`
///
/// Reads {"PartitionKey", "ExplicitHashKey", "Data"}, one user record a line: Data is base64 and ExplicitHashKey may be
/// missing or null. What `kpl deaggregate` writes is read, so "DataEncoding" goes before --data; other keys are passed
/// over.
///
/// Writes {"Data", "PartitionKey", "ExplicitHashKey"}, the entries of PutRecords. A line that cannot be packed goes to
/// standard error with its number and its text, and the next one follows.
#[derive(Debug, Group)]
#[command(after_help = "\
Example:
  kpl aggregate --shards shards.json --output array lines.jsonl > records.json
  aws kinesis put-records --stream-name clicks --records file://records.json")]
pub(crate) struct Aggregate {
    /// What to read; standard input if there is none, or for `-`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// What Data is in the input
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) data: InputForm,

    /// What to write
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: EntryForm,

    /// The most bytes a record may take: its data and its partition key
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_SIZE, value_parser = max_size)]
    pub(crate) max_size: usize,

    /// The most user records in one record
    #[arg(long, value_name = "COUNT", value_parser = at_least_one)]
    pub(crate) max_count: Option<usize>,

    /// The partition key of aggregated records: that of the first user record inside, or always the same
    #[arg(long, value_name = "first|fixed:TEXT", default_value = "first", value_parser = outer_key)]
    pub(crate) outer_key: OuterKey,

    /// Wrap a user record that is alone as well, instead of writing it as it is
    #[arg(long)]
    pub(crate) wrap_single: bool,

    /// Never mix shards in a record: the JSON of `aws kinesis list-shards`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) shards: Option<PathBuf>,

    /// Stop at the first line that cannot be packed
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum InputForm {
    /// Base64 of the bytes
    #[default]
    Base64,
    /// The text itself
    Text,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EntryForm {
    /// JSON Lines, one entry each
    #[default]
    Lines,
    /// One JSON array
    Array,
}

#[derive(Clone, Debug)]
pub(crate) enum OuterKey {
    First,
    Fixed(PartitionKey<'static>),
}

/// Draw one record: what is where in its bytes
///
/// Reads the bytes of a record, its base64 text, or any JSON that `kpl deaggregate` reads; of that it draws the first
/// record that is aggregated or malformed, or the one that --record names. Of damaged bytes it draws what is in one
/// piece, and where they stop making sense.
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  aws kinesis get-records --shard-iterator $ITERATOR | kpl inspect --record 3
  kpl inspect --output json record.bin | jq '.UserRecords[0]'")]
pub(crate) struct Inspect {
    /// What to read; standard input if there is none, or for `-`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,

    /// The input is the bytes of one record, whatever it looks like
    #[arg(long)]
    pub(crate) raw: bool,

    /// Which record of JSON input to draw; the first is 1
    #[arg(long, value_name = "NUMBER", conflicts_with = "raw", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) record: Option<u64>,

    /// How many keys and user records to draw at most
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) limit: usize,

    /// What to write; json has every key and user record
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: ReportForm,

    /// Exit with 1 if the record is malformed
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportForm {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Count a stream's records: what aggregation saves, and what more of it would
///
/// Reads what `kpl deaggregate` reads. To tell what records of another size would save, it packs the user records anew.
///
/// Memory does not grow with the input: keys are counted exactly as long as there are no more than 10,000 different ones;
/// beyond that counts may be too low, and the table says by how much. For each --max-size one record is held, or with
/// --shards one for each shard.
#[derive(Debug, Group)]
#[command(after_help = "\
Example:
  aws kinesis list-shards --stream-name clicks > shards.json
  kpl stats --shards shards.json records-*.json")]
pub(crate) struct Stats {
    #[command(flatten)]
    pub(crate) input: Input,

    /// Warn of aggregated records that mix shards: the JSON of `aws kinesis list-shards`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) shards: Option<PathBuf>,

    /// Count what records of this size would save, instead of the usual sizes; may be repeated
    #[arg(long, value_name = "BYTES", value_parser = max_size)]
    pub(crate) max_size: Vec<usize>,

    /// How many keys to list
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) keys: usize,

    /// What to write
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: ReportForm,

    /// Stop at the first record that is malformed or cannot be read
    #[arg(long)]
    pub(crate) strict: bool,
}

fn hash_key_range(text: &str) -> Result<HashKeyRange, String> {
    let (start, end) = text.split_once("..=").ok_or("a range is START..=END")?;
    let hash_key = |text: &str| text.trim().parse::<HashKey>().map_err(|error| error.to_string());
    HashKeyRange::new(hash_key(start)?, hash_key(end)?).map_err(|error| error.to_string())
}

pub(crate) fn max_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes @ 1..=LARGEST_MAX_SIZE) => Ok(bytes),
        _ => Err(format!("a size is from 1 to {LARGEST_MAX_SIZE} bytes")),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err("a count is 1 or more".into()),
    }
}

fn outer_key(text: &str) -> Result<OuterKey, String> {
    match text.split_once(':') {
        None if text == "first" => Ok(OuterKey::First),
        Some(("fixed", key)) => PartitionKey::new(key.to_owned())
            .map(OuterKey::Fixed)
            .map_err(|error| error.to_string()),
        _ => Err("it is `first`, or `fixed:` and a partition key".into()),
    }
}
