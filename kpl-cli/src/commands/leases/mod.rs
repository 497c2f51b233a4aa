//! `kpl leases`: shows a lease table, and what is wrong with it.

mod report;
mod rows;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use kpl_fleet::table::{LeaseTable, TableLease};
use kpl_fleet::{Checkpoint, DynamoLeases, StoreError};
use kpl_stream::aws::AwsClient;
use kpl_stream::client::{IteratorStart, ReadClient, RequestError};
use tokio::time::{Instant, sleep};

use self::report::{Report, Wrong};
use crate::draw;
use crate::forms::positive_seconds;
use crate::interrupts::{self, Interrupts};
use crate::problems::{Problems, Stop};
use crate::service::Service;

/// Show who reads which shard of a stream and how far, and what is wrong
///
/// Reads the lease table of an application: one of the Kinesis Client Library (KCL) 2 or 3, or of kpl-fleet. It changes
/// nothing, and creates no table. With the stream, its shards are compared with the leases.
///
/// These are problems: a row that is not a valid lease, a lease of another stream, a shard that needs a lease and does
/// not have one, a lease whose shard is gone before it was read, a shard that was read before its parents, a lease
/// without an owner, a hand-over that is under way, unequal shares, and with --watch a lease that is not renewed. While
/// workers start or stop, some of them pass.
///
/// It needs dynamodb:DescribeTable and Scan (with --shared Query) on the table, GetItem on the table
/// APPLICATION-CoordinatorState, and for the stream kinesis:ListShards, with --lag GetShardIterator and GetRecords as
/// well.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kpl leases billing
  kpl leases billing clicks --lag --watch 5
  kpl leases billing --shared leases --output lines
  aws dynamodb scan --table-name billing | kpl leases --file -")]
pub(crate) struct Leases {
    /// The application: its name is that of the table
    #[arg(value_name = "APPLICATION", required_unless_present = "file")]
    application: Option<String>,

    /// The stream that it reads: its name or its ARN
    #[arg(value_name = "STREAM")]
    stream: Option<String>,

    /// Show a file instead of a table: the JSON of `aws dynamodb scan`, or `-` for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["application", "stream", "shared", "watch", "lag"])]
    file: Option<PathBuf>,

    /// The application's leases are in this table, which kpl-fleet shares among many applications
    #[arg(long, value_name = "TABLE")]
    shared: Option<String>,

    /// Look again after this long, to see which leases are renewed. Owners renew three times in the failover time, which
    /// is 10 seconds by default
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    watch: Option<Duration>,

    /// Ask how far each checkpoint is behind the latest record. That costs a GetShardIterator and a GetRecords request for
    /// each shard, of the five GetRecords per second that all readers of a shard have together
    #[arg(long, requires = "stream")]
    lag: bool,

    /// How to write it
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    output: Form,

    #[command(flatten)]
    service: Service,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Form {
    /// For people
    #[default]
    Text,
    /// JSON Lines: a line for each lease, and for each problem
    Lines,
}

impl Leases {
    pub(crate) fn run(self, problems: &mut Problems) -> Result<(), Stop> {
        let report = match &self.file {
            Some(path) => {
                let table =
                    rows::read(path).map_err(|problem| Stop::Usage(format!("{}: {problem}", path.display())))?;
                Report::new(&table, None, table.problems(None))
            }
            None => {
                let mut report = None;
                interrupts::run(|interrupts| look(&self, interrupts, &mut report))?;
                let Some(report) = report else {
                    return Ok(());
                };
                report
            }
        };
        if !report.wrong.is_empty() {
            problems.found();
        }
        match self.output {
            Form::Text => draw::print(&report.draw()),
            Form::Lines => report.write(),
        }
    }
}

async fn look(options: &Leases, mut interrupts: Interrupts, report: &mut Option<Report>) -> Result<(), Stop> {
    tokio::select! {
        found = ask(options) => *report = Some(found?),
        () = interrupts.times(1) => {}
    }
    Ok(())
}

async fn ask(options: &Leases) -> Result<Report, Stop> {
    let stream = options.stream.as_deref();
    let config = options.service.config(stream.unwrap_or_default()).await?;
    let application = options.application.clone().unwrap_or_default();
    let store = match &options.shared {
        Some(table) => DynamoLeases::shared(&config, table, application),
        None => DynamoLeases::new(&config, application),
    };
    let mut before = None;
    if let Some(pause) = options.watch {
        before = Some((store.read_table().await.map_err(refused)?, Instant::now()));
        sleep(pause).await;
    }
    let client = AwsClient::new(&config);
    // Right before the table: a shard that comes into being meanwhile would seem to lack a lease, or a lease its shard.
    let shards = match stream {
        Some(stream) => Some(
            client
                .list_shards(stream)
                .await
                .map_err(|error| Stop::Service(format!("stream {stream}: its shards cannot be listed: {error}")))?,
        ),
        None => None,
    };
    let table = store.read_table().await.map_err(refused)?;
    let before = before.as_ref().map(|(table, begin)| (table, begin.elapsed()));
    let mut report = Report::new(&table, before, table.problems(shards.as_deref()));
    if let Some(stream) = stream.filter(|_| options.lag) {
        add_lag(&client, stream, &table, &mut report).await;
    }
    Ok(report)
}

fn refused(error: StoreError) -> Stop {
    Stop::Service(error.to_string())
}

async fn add_lag(client: &AwsClient, stream: &str, table: &LeaseTable, report: &mut Report) {
    report.has_lag = true;
    for (row, lease) in report.rows.iter_mut().zip(&table.leases) {
        match lag(client, stream, lease).await {
            Ok(lag) => row.millis_behind_latest = lag.map(|lag| lag.as_millis() as u64),
            Err(error) => {
                let message = format!("it cannot be asked how far it is behind: {error}");
                report.wrong.push(Wrong::new("no-lag", row.lease_key.clone(), message));
            }
        }
    }
}

/// Returns how far a checkpoint is behind the latest record, if it is one that says so.
async fn lag(client: &AwsClient, stream: &str, row: &TableLease) -> Result<Option<Duration>, RequestError> {
    let start = match &row.lease.checkpoint {
        Checkpoint::TrimHorizon => IteratorStart::TrimHorizon,
        Checkpoint::After(position) => IteratorStart::AtSequenceNumber(position.sequence_number.to_string()),
        _ => return Ok(None),
    };
    let iterator = client.get_shard_iterator(stream, &row.lease.key, start).await?;
    Ok(client.get_records(&iterator, 1).await?.behind_latest)
}
