//! The command line of `kpl put` and `kpl tail`.

use std::path::PathBuf;
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use clap::{Args as Group, ValueHint};
use kpl_core::{DEFAULT_MAX_SIZE, PartitionKey};
use kpl_stream::reader::Start;

use crate::args::{DataForm, InputForm, max_size};

/// Where the service is, and who asks.
#[derive(Debug, Group)]
pub(crate) struct Service {
    /// Ask this instead of the service's own address; AWS_ENDPOINT_URL does it as well
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) endpoint_url: Option<String>,

    /// The region; that of AWS_REGION or of the profile if there is none
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// A profile of the AWS CLI's configuration: its credentials, also where the environment has others
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

/// Put user records into a stream, aggregated
///
/// Reads JSON Lines, {"PartitionKey", "ExplicitHashKey", "Data"}, as `kpl aggregate` does, so that what `kpl deaggregate`
/// and `kpl tail` write can be put again; or with --lines plain lines, each one the data of a record.
///
/// Records are sent as the KPL sends them: packed by shard, and again if the service had no room. At the end it writes
/// how many were delivered, in how many Kinesis records and requests. A record that is not delivered goes to standard
/// error with its file, its line and its text, and the next one follows.
///
/// Ctrl-C ends the reading; what was read is sent, then come the figures. The second one gives up what has no outcome
/// yet: each such record goes to standard error.
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  kpl put clicks clicks.jsonl --data text
  tail -F access.log | kpl put logs --lines --partition-key $HOSTNAME")]
pub(crate) struct Put {
    /// The stream: its name or its ARN
    #[arg(value_name = "STREAM")]
    pub(crate) stream: String,

    /// What to read; standard input if there is none, or for `-`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// What Data is in the input
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) data: InputForm,

    /// Each line is the data of a record
    #[arg(long, conflicts_with = "data")]
    pub(crate) lines: bool,

    /// The partition key of every line; a random one for each if there is none
    #[arg(long, value_name = "KEY", requires = "lines", value_parser = partition_key)]
    pub(crate) partition_key: Option<String>,

    /// Records with the same partition key keep their order, at the cost of a round trip for each Kinesis record
    #[arg(long)]
    pub(crate) ordered: bool,

    /// The most bytes a Kinesis record with several user records may take: its data and its partition key
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_SIZE, value_parser = max_size)]
    pub(crate) max_size: usize,

    /// The most bytes of a user record: its data and its partition key. Streams take more than 1 MiB only if they are
    /// told to
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024, value_parser = max_size)]
    pub(crate) max_record_size: usize,

    /// How long a record may wait for others to travel with
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    pub(crate) buffer_time: u32,

    /// How long a record is tried
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = positive_seconds)]
    pub(crate) record_ttl: Duration,

    /// How much is sent to a shard, in percent of what it takes
    #[arg(long, value_name = "PERCENT", default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate_limit: u32,

    /// Stop at the first line that cannot be sent, and at the first record that is not delivered
    #[arg(long)]
    pub(crate) strict: bool,

    #[command(flatten)]
    pub(crate) service: Service,
}

/// Write the user records of a stream as they arrive, of all its shards
///
/// Writes what `kpl deaggregate` writes, with "ShardId" as well. The records of a shard come in their order; after a split
/// or a merge the new shards follow when the old ones are at their end.
///
/// With --positions it goes on where it ended the last time: no record is lost, and the last second may come again if it
/// did not end by itself. Ctrl-C ends it.
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  kpl tail clicks --data json
  kpl tail clicks --from 2026-11-25T09:00:00Z --idle 5 > clicks.jsonl
  kpl tail clicks --from trim-horizon --positions clicks.positions")]
pub(crate) struct Tail {
    /// The stream: its name or its ARN
    #[arg(value_name = "STREAM")]
    pub(crate) stream: String,

    /// Where to start: what comes from now on, the oldest record, or a time in RFC 3339 or in seconds since 1970
    #[arg(long, value_name = "latest|trim-horizon|TIME", default_value = "latest", value_parser = start)]
    pub(crate) from: Start,

    /// Go on at the positions that this file has of the stream, and save them there; --from counts if it has none
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) positions: Option<PathBuf>,

    /// End after so many user records
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// End when nothing came for so long
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    pub(crate) idle: Option<Duration>,

    /// How to write Data: as base64, or for reading. What is no text stays base64, what is no JSON stays text, and
    /// "DataEncoding" says so
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) data: DataForm,

    /// Stop at the first record that is malformed
    #[arg(long)]
    pub(crate) strict: bool,

    #[command(flatten)]
    pub(crate) service: Service,
}

fn partition_key(text: &str) -> Result<String, String> {
    match PartitionKey::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn positive_seconds(text: &str) -> Result<Duration, String> {
    match text.parse().map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) if !time.is_zero() => Ok(time),
        _ => Err("it is a number of seconds above 0".into()),
    }
}

fn start(text: &str) -> Result<Start, String> {
    match text {
        "latest" => return Ok(Start::Latest),
        "trim-horizon" => return Ok(Start::TrimHorizon),
        _ => {}
    }
    let time = DateTime::from_str(text, Format::EpochSeconds)
        .or_else(|_| DateTime::from_str(text, Format::DateTimeWithOffset))
        .map_err(|_| "it is `latest`, `trim-horizon`, or a time like 2026-11-25T09:00:00Z or 1795597200")?;
    u64::try_from(time.secs())
        .map(|seconds| Start::At(Duration::new(seconds, time.subsec_nanos())))
        .map_err(|_| "this is before 1970".into())
}
