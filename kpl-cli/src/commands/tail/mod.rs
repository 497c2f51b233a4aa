//! `kpl tail`: writes a stream as lines.

mod filter;
mod shards;
pub(crate) mod start;
mod status;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use futures_util::FutureExt as _;
use kpl_core::{FromKplRecord, MalformedPolicy, ReadError, UserRecord};
use kpl_stream::aws::AwsClient;
use kpl_stream::client::ErrorClass;
use kpl_stream::reader::{FilePositions, Reader, ReaderError, Start};
use kpl_stream::{Origin, Received, Undecodable};
use tokio::time::timeout;

use crate::compression::Compression;
use crate::decompress::{Decompress, Plain};
use crate::forms::{DataForm, positive_bytes, positive_seconds};
use crate::input::Arrival;
use crate::interrupts::{self, Interrupts};
use crate::output::{Data, Lines, Unpacked};
use crate::problems::{Location, Problems, Stop};
use crate::service::Service;
use crate::user_records::{not_an_aggregate, reason_with_key};
use crate::{log, pipe};

use self::filter::Filter;
use self::status::Status;

/// Write the user records of all shards of a stream as they arrive
///
/// Writes what `kpl deaggregate` writes, and "ShardId". The records of a shard come in order; after a split or a
/// merge, the new shards are read once the old ones have been read to their end.
///
/// With --positions it resumes where it ended the last time: no record is lost, but the records of the last second may
/// come again if it was killed. Ctrl-C, SIGTERM and SIGHUP end it. On a terminal, standard error shows how far it is; elsewhere one line
/// says what is read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kpl tail clicks --data json
  kpl tail clicks --from 5m --key anna --grep '/basket|/pay'
  kpl tail logs --decompress --data json
  kpl tail clicks --from 2026-11-25T09:00 --idle 5 > clicks.jsonl
  kpl tail clicks --from trim-horizon --positions clicks.positions")]
pub(crate) struct Tail {
    /// The stream: its name or its ARN
    #[arg(value_name = "STREAM")]
    stream: String,

    /// Where to start: at records that arrive from now on, at the oldest record, so long ago (5m, 2h, 3d), or at a time:
    /// 2026-11-25, 2026-11-25T09:00 (in UTC), with an offset as in RFC 3339, or in seconds since 1970
    #[arg(long, value_name = "latest|trim-horizon|AGO|TIME", default_value = "latest", value_parser = start::Values, hide_possible_values = true)]
    from: Start,

    /// Read only this shard, and those that it is split or merged into: its ID or its number. It can be given several
    /// times
    #[arg(long = "shard", value_name = "SHARD", conflicts_with = "positions")]
    shards: Vec<String>,

    #[command(flatten)]
    filter: Filter,

    /// Resume at the positions of the stream in this file, and save them there; --from is used if it does not have any
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    positions: Option<PathBuf>,

    /// End after this many user records
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Start over if the positions in the file are of another stream of this name, or of one that was deleted and
    /// created anew. Otherwise they are an error
    #[arg(long, requires = "positions")]
    reset_positions: bool,

    /// End when nothing arrives for this long, after all shards were read to their latest record
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    idle: Option<Duration>,

    /// End with an error when requests have failed for this long. What the service refuses permanently is an error at
    /// once
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = positive_seconds)]
    give_up_after: Duration,

    /// The most bytes that may be fetched, or wait to be written
    #[arg(long, value_name = "BYTES", default_value_t = 48 << 20, value_parser = positive_bytes)]
    max_buffered_bytes: usize,

    /// How to write Data. Data that is not valid text stays base64, text that is not valid JSON stays text, and
    /// "DataEncoding" says so
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    data: DataForm,

    #[command(flatten)]
    decompress: Decompress,

    /// Stop at the first record that is malformed
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    service: Service,
}

/// How many threads fetch and decode what another one writes. It takes them about the same time, and the allocator keeps free memory for each
/// thread.
const FETCHING_THREADS: usize = 1;

/// The data of a user record. Its keys are in [`Received`].
struct Payload(Vec<u8>);

impl FromKplRecord<'_> for Payload {
    const MALFORMED: MalformedPolicy = MalformedPolicy::Deliver;

    fn from_user_record(record: &UserRecord<'_>) -> Result<Self, ReadError> {
        Ok(Self(record.data.to_owned()))
    }
}

impl Tail {
    pub(crate) fn run(self, problems: &mut Problems) -> Result<(), Stop> {
        problems.strict = self.strict;
        interrupts::run_with_threads(FETCHING_THREADS, |interrupts| run(self, interrupts, problems))
    }
}

async fn run(options: Tail, mut interrupts: Interrupts, problems: &mut Problems) -> Result<(), Stop> {
    let mut status = Status::new(&options.stream);
    log::tell_warnings(status.bar());
    let mut reader = tokio::select! {
        reader = open(&options) => reader?,
        () = interrupts.times(1) => return Ok(()),
    };
    status.begin(&reader.progress());
    let mut tailing = Tailing {
        data: options.data,
        decompress: options.decompress.clone(),
        lines: Lines::new(),
        problems,
    };
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 && !interrupts.any() {
        let next = match reader.next().now_or_never() {
            Some(next) => next,
            // The next record may take a long time.
            None => {
                status.clear();
                tailing.lines.flush()?;
                reader.commit().await.map_err(stop)?;
                tokio::select! {
                    biased;
                    () = interrupts.times(1) => break,
                    next = next(&mut reader, &mut status) => next,
                    () = pipe::closed() => return Ok(()),
                }
            }
        };
        status.user_records += 1;
        match next {
            Some(Ok(record)) => {
                let user_record = record.is_aggregated().then_some(record.sub_sequence_number());
                let plain = tailing.plain(record.origin(), user_record, &record.value.0)?;
                if !options.filter.takes(record.partition_key(), &plain.data) {
                    continue;
                }
                tailing.deliver(&record, &plain)?;
            }
            Some(Err(ReaderError::Record(error))) => {
                let user_record = Some(error.sub_sequence_number());
                let plain = tailing.plain(error.origin(), user_record, error.data())?;
                if !options.filter.takes(error.partition_key(), &plain.data) {
                    continue;
                }
                tailing.deliver_without_keys(&error, &plain)?;
            }
            Some(Err(error)) => {
                tailing.lines.flush()?;
                return Err(stop(error));
            }
            None => break,
        }
        left -= 1;
    }
    tailing.lines.flush()?;
    reader.commit().await.map_err(stop)
}

/// Waits for the next record, and shows the status meanwhile.
async fn next(reader: &mut Reader<Payload>, status: &mut Status) -> Option<Result<Received<Payload>, ReaderError>> {
    loop {
        if let Ok(next) = timeout(Status::INTERVAL, reader.next()).await {
            status.clear();
            return next;
        }
        status.draw(&reader.progress());
    }
}

async fn open(options: &Tail) -> Result<Reader<Payload>, Stop> {
    let config = options.service.config(&options.stream).await?;
    let client = shards::client(AwsClient::new(&config), &options.stream, &options.shards).await?;
    let mut builder = Reader::builder()
        .client(client)
        .start(options.from)
        .reset_positions(options.reset_positions)
        .give_up_after(options.give_up_after)
        .max_buffered_bytes(options.max_buffered_bytes);
    if let Some(idle) = options.idle {
        builder = builder.end_when_idle(idle);
    }
    if let Some(file) = &options.positions {
        builder = builder.positions(FilePositions::new(file));
    }
    builder.build(&options.stream).await.map_err(stop)
}

pub(crate) fn stop(error: ReaderError) -> Stop {
    match error {
        ReaderError::Request { error: ref cause, .. } if cause.class != ErrorClass::Configuration => {
            Stop::Service(error.to_string())
        }
        ReaderError::GaveUp { .. } => Stop::Service(error.to_string()),
        // The option has another form here.
        ReaderError::OtherStream { .. } => {
            Stop::Usage(error.to_string().replace("; reset_positions", "; --reset-positions"))
        }
        error => Stop::Usage(error.to_string()),
    }
}

struct Tailing<'p> {
    data: DataForm,
    decompress: Decompress,
    lines: Lines,
    problems: &'p mut Problems,
}

impl Tailing<'_> {
    fn deliver(&mut self, record: &Received<Payload>, plain: &Plain<'_>) -> Result<(), Stop> {
        if let Some(reason) = record.malformed() {
            self.marked(record.origin(), None, &not_an_aggregate(reason))?;
        }
        let arrival = record.approximate_arrival();
        let arrival = arrival.map(|arrival| Arrival::Seconds(arrival.since_unix_epoch().as_secs_f64()));
        let (data, data_encoding) = Data::new(&plain.data, self.data);
        self.lines.unpacked(&Unpacked {
            partition_key: record.partition_key(),
            explicit_hash_key: record.explicit_hash_key(),
            sequence_number: record.sequence_number(),
            sub_sequence_number: record.sub_sequence_number(),
            aggregated: record.is_aggregated(),
            arrival: arrival.as_ref(),
            shard_id: record.shard_id(),
            data,
            data_encoding,
            compression: plain.compression.map(Compression::name),
            malformed: record.malformed().map(|reason| reason.to_string()).as_deref(),
        })
    }

    fn deliver_without_keys(&mut self, record: &Undecodable, plain: &Plain<'_>) -> Result<(), Stop> {
        let sub_sequence_number = record.sub_sequence_number();
        self.marked(record.origin(), Some(sub_sequence_number), &record.reason().to_string())?;
        let (data, data_encoding) = Data::new(&plain.data, self.data);
        self.lines.unpacked(&Unpacked {
            partition_key: None,
            explicit_hash_key: None,
            sequence_number: record.sequence_number(),
            sub_sequence_number,
            aggregated: true,
            arrival: None,
            shard_id: record.shard_id(),
            data,
            data_encoding,
            compression: plain.compression.map(Compression::name),
            malformed: Some(&reason_with_key(record.reason(), record.partition_key())),
        })
    }

    fn marked(&mut self, origin: &Origin, user_record: Option<u64>, problem: &str) -> Result<(), Stop> {
        if !self.problems.strict {
            return Ok(());
        }
        self.lines.flush()?;
        self.problems
            .marked(location(origin, user_record, &shard(origin)), problem)
    }

    /// Returns data as it is to be written.
    fn plain<'d>(&mut self, origin: &Origin, user_record: Option<u64>, data: &'d [u8]) -> Result<Plain<'d>, Stop> {
        self.decompress.apply(data).or_else(|problem| {
            self.lines.flush()?;
            self.problems
                .unchanged(location(origin, user_record, &shard(origin)), problem)?;
            Ok(data.into())
        })
    }
}

/// Names the shard of a record.
pub(crate) fn shard(origin: &Origin) -> String {
    let stream = origin.stream.as_deref().unwrap_or_default();
    let shard_id = origin.shard_id.as_deref().unwrap_or_default();
    format!("stream {stream}, shard {shard_id}")
}

pub(crate) fn location<'a>(origin: &'a Origin, user_record: Option<u64>, shard: &'a str) -> Location<'a> {
    Location {
        file: shard,
        sequence_number: origin.sequence_number.as_deref(),
        user_record,
        ..Location::default()
    }
}
