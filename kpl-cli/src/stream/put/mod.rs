//! `kpl put`: lines into a stream.

mod client;
mod figures;
mod reading;

use std::io::{self, Write as _};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kpl_core::RawRecord;
use kpl_stream::aws::AwsClient;
use kpl_stream::client::ErrorClass;
use kpl_stream::{Delivery, DeliveryError, Producer, Receipt, SendError, SendErrorKind, StreamProducer, StreamState};
use tokio::sync::mpsc;
use tokio::time::{Interval, interval};

use self::client::{CountingClient, Sent};
use self::figures::{Figures, Progress};
use self::reading::{Form, Line, Message, Origin};
use super::args::Put;
use super::interrupts::Interrupts;
use super::log;
use crate::problems::{Problems, Stop, tell};
use crate::user_record_line;

pub(super) async fn run(options: Put, mut interrupts: Interrupts, problems: &mut Problems) -> Result<(), Stop> {
    let config = options.service.config().await?;
    let sent = Arc::new(Sent::default());
    let client = CountingClient {
        client: AwsClient::new(&config),
        sent: Arc::clone(&sent),
    };
    let producer = Producer::builder()
        .client(client)
        .aggregation_max_size(options.max_size)
        .max_user_record_size(options.max_record_size)
        .record_max_buffered_time(Duration::from_millis(options.buffer_time.into()))
        .record_ttl(options.record_ttl)
        .rate_limit(options.rate_limit)
        .ordered(options.ordered)
        .build()
        .map_err(|error| Stop::Usage(error.to_string()))?;
    let stream = tokio::select! {
        stream = open(&producer, &options.stream) => stream?,
        () = interrupts.pressed(1) => {
            tell(NOTHING);
            return Ok(());
        }
    };
    let progress = Progress::new();
    log::tell_warnings(progress.bar());
    let form = if options.lines {
        Form::Plain(options.partition_key)
    } else {
        Form::Json(options.data)
    };
    let mut putting = Putting {
        stream,
        pending: FuturesUnordered::new(),
        form: form.clone(),
        last: None,
        interrupts,
        problems,
        figures: Figures::new(sent),
        progress,
        ticks: interval(Progress::INTERVAL),
    };
    let mut input = reading::start(options.files, form)?;
    let result = putting.read(&mut input).await;
    // Whoever reads need not go on.
    drop(input);
    let drained = putting.drain().await;
    putting.progress.end();
    let result = match result {
        // Only Ctrl-C is enough.
        Err(Stop::Enough) => {
            match &putting.last {
                Some(origin) => tell(format_args!("interrupted after {}", origin.place())),
                None => tell(NOTHING),
            }
            drained
        }
        result => result.and(drained),
    };
    let written = io::stdout().write_all(putting.figures.table().as_bytes());
    result?;
    Ok(written?)
}

const NOTHING: &str = "interrupted before the first record";

async fn open(producer: &Producer, name: &str) -> Result<StreamProducer<RawRecord<'static>>, Stop> {
    let stream = producer.stream(name).await;
    let stream = stream.map_err(|error| Stop::Service(error.to_string()))?;
    match stream.state().await {
        // Records would wait for what cannot come.
        Ok(StreamState::Unknown(Some(error))) if error.class == ErrorClass::Permanent => {
            Err(Stop::Service(format!("stream {name}: {error}")))
        }
        _ => Ok(stream),
    }
}

/// A record that was sent.
struct Pending {
    origin: Origin,
    bytes: usize,
    delivery: Delivery<RawRecord<'static>>,
}

/// What became of it.
struct Outcome {
    origin: Origin,
    bytes: usize,
    result: Result<Receipt, DeliveryError<RawRecord<'static>>>,
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let result = ready!(Pin::new(&mut self.delivery).poll(context));
        Poll::Ready(Outcome {
            origin: self.origin.clone(),
            bytes: self.bytes,
            result,
        })
    }
}

struct Putting<'p> {
    stream: StreamProducer<RawRecord<'static>>,
    pending: FuturesUnordered<Pending>,
    form: Form,
    /// The last line that was taken.
    last: Option<Origin>,
    interrupts: Interrupts,
    problems: &'p mut Problems,
    figures: Figures,
    progress: Progress,
    ticks: Interval,
}

impl Putting<'_> {
    /// Sends what is read. [`Stop::Enough`]: it was interrupted.
    async fn read(&mut self, input: &mut mpsc::Receiver<Message>) -> Result<(), Stop> {
        loop {
            tokio::select! {
                biased;
                () = self.interrupts.pressed(1) => return Err(Stop::Enough),
                Some(outcome) = self.pending.next() => self.finish(outcome)?,
                _ = self.ticks.tick() => self.draw(),
                message = input.recv() => match message {
                    Some(Message::Lines(lines)) => {
                        for line in lines {
                            self.line(line).await?;
                        }
                    }
                    Some(Message::End(result)) => return result,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn line(&mut self, line: Line) -> Result<(), Stop> {
        let Line { origin, record } = line;
        let record = match record {
            Ok(record) => record,
            Err(problem) => return self.leave_out(origin, &problem),
        };
        let bytes = record.data.len() + record.partition_key.len();
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
                self.last = Some(origin.clone());
                self.pending.push(Pending {
                    origin,
                    bytes,
                    delivery,
                });
                Ok(())
            }
            Err(SendError { record, kind, .. }) => {
                let text = self.text(&record);
                self.leave_out(origin, &format!("{kind}: {text}"))
            }
        }
    }

    /// Sends a record when there is room for it.
    async fn send(&mut self, record: RawRecord<'static>) -> Result<Sending, Stop> {
        let stream = self.stream.clone();
        let mut sending = pin!(stream.send(record));
        loop {
            tokio::select! {
                biased;
                () = self.interrupts.pressed(1) => return Err(Stop::Enough),
                sent = &mut sending => return Ok(sent),
                Some(outcome) = self.pending.next() => self.finish(outcome)?,
                _ = self.ticks.tick() => self.draw(),
            }
        }
    }

    /// Waits for every outcome. Ctrl-C for the second time gives up those that are not there.
    async fn drain(&mut self) -> Result<(), Stop> {
        let producer = self.stream.producer().clone();
        let mut flush = pin!(producer.flush());
        let (mut flushed, mut given_up) = (false, false);
        let mut result = Ok(());
        while !self.pending.is_empty() {
            tokio::select! {
                biased;
                () = self.interrupts.pressed(2), if !given_up => {
                    given_up = true;
                    // Its error has the records that `pending` has as well.
                    drop(producer.close(Duration::ZERO).await);
                }
                Some(outcome) = self.pending.next() => result = result.and(self.finish(outcome)),
                () = &mut flush, if !flushed => flushed = true,
                _ = self.ticks.tick() => self.draw(),
            }
        }
        result
    }

    fn finish(&mut self, outcome: Outcome) -> Result<(), Stop> {
        match outcome.result {
            Ok(receipt) => {
                self.figures.deliver(&receipt, outcome.bytes);
                Ok(())
            }
            Err(DeliveryError { record, failure, .. }) => {
                self.figures.not_delivered += 1;
                let problem = format!("{failure}: {}", self.text(&record));
                let place = outcome.origin.place();
                self.progress.suspend(|| self.problems.not_delivered(place, problem))
            }
        }
    }

    fn leave_out(&mut self, origin: Origin, problem: &str) -> Result<(), Stop> {
        self.figures.left_out += 1;
        let place = origin.place();
        let result = self.progress.suspend(|| self.problems.left_out(place, problem));
        self.last = Some(origin);
        result
    }

    /// A record as it was in the input.
    fn text(&self, record: &RawRecord<'_>) -> String {
        match self.form {
            Form::Plain(_) => String::from_utf8_lossy(&record.data).into_owned(),
            Form::Json(data) => user_record_line::write(record, data),
        }
    }

    fn draw(&self) {
        self.progress.draw(&self.figures, self.pending.len());
    }
}

type Sending = Result<Delivery<RawRecord<'static>>, SendError<RawRecord<'static>>>;
