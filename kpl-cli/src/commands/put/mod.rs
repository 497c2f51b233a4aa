//! `kpl put`: puts lines into a stream.

pub(crate) mod client;
mod dry_run;
pub(crate) mod figures;
mod key;
mod pending;
mod reading;
mod record;
mod rows;
mod spooling;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueHint};
use kpl_core::DEFAULT_MAX_SIZE;
use kpl_stream::aws::AwsClient;
use kpl_stream::client::WriteClient;
use kpl_stream::{
    Delivery, DeliveryError, OpenErrorKind, Producer, ProducerBuilder, SendError, SendErrorKind, StreamProducer,
    StreamState,
};
use tokio::sync::mpsc;
use tokio::time::{Interval, interval};

use self::client::{Counters, CountingClient};
use self::dry_run::Nowhere;
use self::figures::{Figures, Progress};
use self::key::{Key, Pointer};
use self::pending::{Outcomes, Pending, Sent};
use self::reading::{Line, LineForm, Message, ObjectForm};
use self::record::Record;
use self::rows::RowKey;
use crate::commands::spool::sending::Folder;
use crate::forms::{DataEncoding, max_size, positive_seconds};
use crate::interrupts::{self, Interrupts};
use crate::problems::{Location, Problems, Stop, tell};
use crate::service::Service;
use crate::{log, shards, user_record_line};

/// Put user records into a stream, aggregated
///
/// Reads JSON Lines, {"PartitionKey", "ExplicitHashKey", "Data"}, as `kpl aggregate` does, so that what `kpl
/// deaggregate` and `kpl tail` write can be put again, and the user records in the aggregated records that `kpl aggregate` writes are
/// packed anew, by the shards of this stream. With --lines each line is the data of one record, with --key-field
/// or --key each JSON object, and with --csv each row.
///
/// Records are sent as the KPL sends them: packed by shard, and retried if the service throttles them. At the end it
/// writes how many were delivered, in how many Kinesis records and requests. A record that is not delivered is reported
/// on standard error with its file, its line, the reason and its text, and the next one follows.
///
/// Ctrl-C, SIGTERM and SIGHUP stop reading: what was read is sent, then the figures are written. A second one gives up on the records
/// that do not have an outcome yet: each of them is reported on standard error.
///
/// With --spool, everything that is read is on the disk before it is sent, and stays there until it is delivered: it survives `kill -9`,
/// reboots, and outages of any length. Nothing is read while it cannot be stored.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kpl put clicks clicks.jsonl --data text
  tail -F access.log | kpl put logs --lines --key fixed:$HOSTNAME
  kpl put clicks events.jsonl --key-field /user/id
  kpl put clicks events.csv --csv --key-column user
  kpl put clicks events.jsonl --key-field /user/id --dry-run
  journalctl -f -o cat | kpl put logs --lines --spool /var/lib/logs/spool")]
pub(crate) struct Put {
    /// The stream: its name or its ARN
    #[arg(value_name = "STREAM")]
    stream: String,

    /// The files to read; the default, and `-`, is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,

    /// How Data is encoded in the input if a line does not say it; the default is base64
    #[arg(long, value_enum, value_name = "FORM")]
    data: Option<DataEncoding>,

    /// Each line is the data of a record
    #[arg(long, conflicts_with = "data")]
    lines: bool,

    /// The input is CSV with a header, and each row is a record: its data is a JSON object with a string for each column
    #[arg(long, conflicts_with_all = ["data", "lines"])]
    csv: bool,

    /// Each line is a JSON object that is the data of a record as a whole, and this field has its partition key: a name, or a
    /// JSON pointer such as /user/id
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["data", "lines", "csv", "key"], value_parser = Pointer::parse)]
    key_field: Option<Pointer>,

    /// The column with the partition key
    #[arg(long, value_name = "COLUMN", requires = "csv", conflicts_with = "key")]
    key_column: Option<String>,

    /// The partition key of every record: a random one for each, which is the default of --lines and --csv, or always the
    /// same. Without these two, each line is a JSON object that is the data of a record as a whole
    #[arg(long, value_name = "random|fixed:TEXT", conflicts_with = "data", value_parser = Key::parse)]
    key: Option<Key>,

    /// Keep the order of records with the same partition key, at the cost of a round trip for each Kinesis record
    #[arg(long)]
    ordered: bool,

    /// The most bytes a Kinesis record with several user records may take: its data and its partition key
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_SIZE, value_parser = max_size)]
    max_size: usize,

    /// The most bytes of a user record: its data and its partition key. A stream takes more than 1 MiB only if it is
    /// configured to
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024, value_parser = max_size)]
    max_record_size: usize,

    /// How long a record may wait for others to be packed with
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    buffer_time: u32,

    /// How long to retry a record; the default is 30, and with --spool without end
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    record_ttl: Option<Duration>,

    /// How much to send to a shard, in percent of its limit
    #[arg(long, value_name = "PERCENT", default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RATE_LIMIT)))]
    rate_limit: u32,

    /// Do everything but send, and write what the records would become: how many Kinesis records and requests, of how many bytes.
    /// The service is not asked for anything
    #[arg(long, conflicts_with = "path")]
    dry_run: bool,

    /// The shards of the stream in a dry run, which has one otherwise: a file with the JSON of `aws kinesis list-shards`, or a
    /// number of shards of the same size
    #[arg(long, value_name = "FILE|COUNT", value_hint = ValueHint::FilePath, requires = "dry_run")]
    shards: Option<PathBuf>,

    /// Stop at the first line that cannot be sent, and at the first record that is not delivered
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    folder: Folder,

    /// Wait until everything in the folder is delivered. Otherwise it ends when everything that was read is stored, after at most 5
    /// seconds; the next run sends the rest
    #[arg(long, requires = "path")]
    wait: bool,

    #[command(flatten)]
    service: Service,
}

impl Put {
    pub(crate) fn run(self, problems: &mut Problems) -> Result<(), Stop> {
        problems.strict = self.strict;
        match self.folder.path {
            Some(_) => interrupts::run(|interrupts| spooling::run(self, interrupts, problems)),
            None => interrupts::run(|interrupts| run(self, interrupts, problems)),
        }
    }

    /// Sets the options of a producer.
    fn set<C>(&self, producer: ProducerBuilder<C>) -> ProducerBuilder<C> {
        let producer = producer
            .aggregation_max_size(self.max_size)
            .max_user_record_size(self.max_record_size)
            .record_max_buffered_time(Duration::from_millis(self.buffer_time.into()))
            .rate_limit(self.rate_limit)
            .ordered(self.ordered);
        match self.record_ttl {
            Some(record_ttl) => producer.record_ttl(record_ttl),
            None => producer,
        }
    }

    fn form(&self) -> LineForm {
        let key = self.key.clone();
        if self.lines {
            LineForm::Plain(key.unwrap_or(Key::Random))
        } else if self.csv {
            let other = || RowKey::Other(key.unwrap_or(Key::Random));
            LineForm::Rows(self.key_column.clone().map_or_else(other, RowKey::Column))
        } else if let Some(pointer) = self.key_field.clone() {
            LineForm::Json(ObjectForm::Field(pointer))
        } else {
            LineForm::Json(key.map_or(ObjectForm::Record(self.data), ObjectForm::Data))
        }
    }
}

async fn run(options: Put, mut interrupts: Interrupts, problems: &mut Problems) -> Result<(), Stop> {
    let sent = Arc::new(Counters::default());
    let client = CountingClient {
        client: client(&options).await?,
        sent: Arc::clone(&sent),
    };
    let mut producer = options.set(Producer::builder().client(client));
    if options.dry_run {
        producer = producer.rate_limit(MAX_RATE_LIMIT);
    }
    let producer = producer.build().map_err(|error| Stop::Usage(error.to_string()))?;
    let stream = tokio::select! {
        stream = open(&producer, &options.stream) => stream?,
        () = interrupts.times(1) => {
            tell(NOTHING);
            return Ok(());
        }
    };
    let progress = Progress::new();
    log::tell_warnings(progress.bar());
    let form = options.form();
    let mut putting = Putting {
        stream,
        pending: Pending::default(),
        file: "".into(),
        sent: Vec::new(),
        form: form.clone(),
        last: None,
        interrupts,
        problems,
        figures: Figures::new(sent, options.dry_run, reading::size(&options.files)),
        progress,
        ticks: interval(Progress::INTERVAL),
    };
    let mut input = reading::start(options.files, form)?;
    let result = putting.read(&mut input).await;
    // The reading thread can stop.
    drop(input);
    let drained = putting.drain().await;
    putting.progress.end();
    let result = match result {
        // Only a signal leads to this.
        Err(Stop::Enough) => {
            tell_interrupted(putting.last.as_ref());
            drained
        }
        result => result.and(drained),
    };
    let written = io::stdout().write_all(putting.figures.table().as_bytes());
    result?;
    Ok(written?)
}

/// Returns the service, or in a dry run what takes its place.
async fn client(options: &Put) -> Result<Arc<dyn WriteClient>, Stop> {
    if !options.dry_run {
        let config = options.service.config(&options.stream).await?;
        return Ok(Arc::new(AwsClient::new(&config)));
    }
    let shards = match &options.shards {
        Some(file) => shards::load(file)?,
        None => dry_run::one_shard().map_err(|error| Stop::Usage(error.to_string()))?,
    };
    tell("a dry run: nothing is sent");
    Ok(Arc::new(Nowhere::new(shards)))
}

/// The highest rate that the producer takes, in percent of what a shard takes.
const MAX_RATE_LIMIT: u32 = 1_000_000;

const NOTHING: &str = "interrupted before the first record";

async fn open(producer: &Producer, name: &str) -> Result<StreamProducer<Record>, Stop> {
    let stream = producer.stream(name).await.map_err(|error| match error.kind {
        OpenErrorKind::Configuration(_) => Stop::Usage(error.to_string()),
        _ => Stop::Service(error.to_string()),
    })?;
    if let Ok(state @ StreamState::Unpredicted(_)) = stream.state().await {
        tell(format_args!("stream {name}: {state}"));
    }
    Ok(stream)
}

fn tell_interrupted(last: Option<&(Arc<str>, u64)>) {
    match last {
        Some((file, line)) => tell(format_args!("interrupted after {}", location(file, *line))),
        None => tell(NOTHING),
    }
}

/// Returns a record as it was in the input.
fn text(form: &LineForm, record: &Record) -> String {
    match form {
        LineForm::Json(ObjectForm::Record(data)) => user_record_line::write(record.raw(), *data),
        _ => String::from_utf8_lossy(record.data()).into_owned(),
    }
}

/// A line of a file.
fn location(file: &str, line: u64) -> Location<'_> {
    Location {
        file,
        line: Some(line),
        ..Location::default()
    }
}

struct Putting<'p> {
    stream: StreamProducer<Record>,
    pending: Pending,
    /// The file that is being read, and its records that were sent and are not pending yet.
    file: Arc<str>,
    sent: Vec<Sent>,
    form: LineForm,
    /// The last line that was taken from the input.
    last: Option<(Arc<str>, u64)>,
    interrupts: Interrupts,
    problems: &'p mut Problems,
    figures: Figures,
    progress: Progress,
    ticks: Interval,
}

impl Putting<'_> {
    /// Sends what is read. Returns [`Stop::Enough`] if it was interrupted.
    async fn read(&mut self, input: &mut mpsc::Receiver<Message>) -> Result<(), Stop> {
        loop {
            tokio::select! {
                biased;
                () = self.interrupts.times(1) => return Err(Stop::Enough),
                Some(outcomes) = self.pending.next() => self.finish(outcomes)?,
                _ = self.ticks.tick() => self.tick()?,
                message = input.recv() => match message {
                    Some(Message::Lines(file, lines)) => {
                        self.sent.reserve(lines.len());
                        self.file = file;
                        for line in lines {
                            self.line(line).await?;
                        }
                        self.wait_for_sent();
                    }
                    Some(Message::End(result)) => return result,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Waits for the outcomes of what was sent, from now on.
    fn wait_for_sent(&mut self) {
        if !self.sent.is_empty() {
            self.pending
                .push(Arc::clone(&self.file), std::mem::take(&mut self.sent));
        }
    }

    /// Notes which line was taken last.
    fn note(&mut self, line: u64) {
        match &mut self.last {
            Some((file, last)) if Arc::ptr_eq(file, &self.file) => *last = line,
            last => *last = Some((Arc::clone(&self.file), line)),
        }
    }

    async fn line(&mut self, line: Line) -> Result<(), Stop> {
        let Line { line, size, record } = line;
        let record = match record {
            Ok(record) => record,
            Err(problem) => return self.leave_out(line, size, &problem),
        };
        let bytes = record.size();
        let sent = match self.stream.try_send(record) {
            Err(SendError {
                record,
                kind: SendErrorKind::Full,
                ..
            }) => self.send(record).await?,
            sent => sent,
        };
        match sent {
            Ok(delivery) => {
                self.note(line);
                self.sent.push(Sent {
                    line,
                    size,
                    bytes,
                    delivery,
                });
                Ok(())
            }
            Err(SendError { record, kind, .. }) => {
                let text = text(&self.form, &record);
                self.leave_out(line, size, &format!("{kind}: {text}"))
            }
        }
    }

    /// Waits for room for a record, and sends it.
    async fn send(&mut self, record: Record) -> Result<Sending, Stop> {
        let stream = self.stream.clone();
        let mut sending = pin!(stream.send(record));
        loop {
            tokio::select! {
                biased;
                () = self.interrupts.times(1) => return Err(Stop::Enough),
                sent = &mut sending => return Ok(sent),
                Some(outcomes) = self.pending.next() => self.finish(outcomes)?,
                _ = self.ticks.tick() => self.tick()?,
            }
        }
    }

    /// Waits for every outcome. A second signal gives up on those that are missing.
    async fn drain(&mut self) -> Result<(), Stop> {
        let producer = self.stream.producer().clone();
        let mut flush = pin!(producer.flush());
        let (mut flushed, mut given_up) = (false, false);
        let mut result = Ok(());
        self.wait_for_sent();
        while self.pending.len() > 0 {
            tokio::select! {
                biased;
                () = self.interrupts.times(2), if !given_up => {
                    given_up = true;
                    // Its error only repeats the records of `pending`.
                    drop(producer.close(Duration::ZERO).await);
                }
                Some(outcomes) = self.pending.next() => result = result.and(self.finish(outcomes)),
                () = &mut flush, if !flushed => flushed = true,
                _ = self.ticks.tick() => result = result.and(self.tick()),
            }
        }
        result
    }

    /// Counts outcomes, and reports the records that were not delivered. Returns the first reason to stop.
    fn finish(&mut self, outcomes: Outcomes) -> Result<(), Stop> {
        let mut finished = Ok(());
        for outcome in outcomes.outcomes {
            self.figures.finish(outcome.size);
            match outcome.result {
                Ok(receipt) => self.figures.deliver(&receipt, outcome.bytes),
                Err(DeliveryError { record, failure, .. }) => {
                    self.figures.give_up(&failure);
                    let problem = format!("{failure}: {}", text(&self.form, &record));
                    let location = location(&outcomes.file, outcome.line);
                    let told = self.progress.suspend(|| self.problems.not_delivered(location, problem));
                    finished = finished.and(told);
                }
            }
        }
        finished
    }

    fn leave_out(&mut self, line: u64, size: u64, problem: &str) -> Result<(), Stop> {
        self.figures.left_out += 1;
        self.figures.finish(size);
        self.note(line);
        let location = location(&self.file, line);
        self.progress.suspend(|| self.problems.left_out(location, problem))
    }

    /// Counts the outcomes that nothing waits for, and shows the progress.
    fn tick(&mut self) -> Result<(), Stop> {
        let mut result = Ok(());
        for outcomes in self.pending.sweep() {
            result = result.and(self.finish(outcomes));
        }
        self.progress.draw(&self.figures, self.pending.len());
        result
    }
}

type Sending = Result<Delivery<Record>, SendError<Record>>;
