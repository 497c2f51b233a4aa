//! `kpl put --spool`: everything that is read is stored, and sent from there.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kpl_stream::aws::AwsClient;
use kpl_stream::spool::SpoolError;
use kpl_stream::{EncodedRecord, OpenError, SendError, SendErrorKind, StreamProducer};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::reading::{self, Line, LineForm, Message};
use super::record::Record;
use super::{Put, location, tell_interrupted, text};
use crate::commands::spool::line_of;
use crate::commands::spool::sending::Sending;
use crate::interrupts::Interrupts;
use crate::problems::{Location, Problems, Stop, tell};

/// The pause before storing is tried again.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(mut options: Put, interrupts: Interrupts, problems: &mut Problems) -> Result<(), Stop> {
    let config = options.service.config_for_later(&options.stream).await?;
    let folder = options.folder.take();
    let input = reading::size(&options.files);
    let sending = Sending::start(folder, AwsClient::new(&config), input, |producer| options.set(producer))?;
    let unopened = |error: OpenError| Stop::Usage(error.to_string());
    let stream = sending
        .producer
        .stream_unchecked::<Record>(&options.stream)
        .await
        .map_err(unopened)?;
    let again = sending
        .producer
        .stream_unchecked(&options.stream)
        .await
        .map_err(unopened)?;
    let form = options.form();
    let mut input = reading::start(options.files, form.clone())?;
    let mut spooling = Spooling {
        sending,
        stream,
        again,
        form,
        file: "".into(),
        last: None,
        interrupts: interrupts.clone(),
        problems,
        unstored: VecDeque::new(),
    };
    let read = spooling.read(&mut input).await;
    // The reading thread can stop.
    drop(input);
    let stored = spooling.store_rest().await;
    let Spooling { mut sending, last, .. } = spooling;
    let ended = sending.end(options.wait, interrupts, problems).await;
    let result = match read {
        // Only a signal leads to this.
        Err(Stop::Enough) => {
            tell_interrupted(last.as_ref());
            Ok(())
        }
        read => read,
    };
    sending.finish(result.and(stored).and(ended))
}

struct Spooling<'p> {
    sending: Sending,
    stream: StreamProducer<Record>,
    /// The same, for what could not be stored at first.
    again: StreamProducer<EncodedRecord>,
    form: LineForm,
    /// The file that is being read.
    file: Arc<str>,
    /// The last line that was taken from the input.
    last: Option<(Arc<str>, u64)>,
    interrupts: Interrupts,
    problems: &'p mut Problems,
    /// What was handed over and could not be stored. Nothing is read until it is.
    unstored: VecDeque<EncodedRecord>,
}

impl Spooling<'_> {
    /// Stores what is read. Returns [`Stop::Enough`] if it was interrupted.
    async fn read(&mut self, input: &mut mpsc::Receiver<Message>) -> Result<(), Stop> {
        loop {
            tokio::select! {
                biased;
                () = self.interrupts.times(1) => return Err(Stop::Enough),
                () = self.sending.ticks() => {
                    self.sending.tick(self.problems)?;
                    self.store_again().await?;
                }
                message = input.recv() => match message {
                    Some(Message::Lines(file, lines)) => {
                        self.file = file;
                        for line in lines {
                            self.line(line).await?;
                        }
                        self.store_again().await?;
                    }
                    Some(Message::End(result)) => return result,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn line(&mut self, line: Line) -> Result<(), Stop> {
        let Line { line, size, record } = line;
        let problem = match record {
            Err(problem) => Some(problem),
            Ok(record) => self.hand_over(record).await?,
        };
        self.last = Some((Arc::clone(&self.file), line));
        self.sending.figures(|figures| {
            figures.finish(size);
            figures.left_out += u64::from(problem.is_some());
        });
        match problem {
            None => Ok(()),
            Some(problem) => {
                let location = location(&self.file, line);
                self.sending.suspend(|| self.problems.left_out(location, problem))
            }
        }
    }

    /// Hands over a record, and waits until there is room for it. Returns what is wrong with it.
    async fn hand_over(&mut self, record: Record) -> Result<Option<String>, Stop> {
        let problem = |form: &LineForm, SendError { record, kind, .. }| format!("{kind}: {}", text(form, &record));
        let record = match self.stream.try_spool(record) {
            Ok(()) => return Ok(None),
            Err(SendError {
                record,
                kind: SendErrorKind::Full,
                ..
            }) => record,
            Err(error) => return Ok(Some(problem(&self.form, error))),
        };
        let stream = self.stream.clone();
        let mut storing = pin!(stream.spool(record));
        let stored = loop {
            tokio::select! {
                biased;
                () = self.interrupts.times(1) => return Err(Stop::Enough),
                stored = &mut storing => break stored,
                () = self.sending.ticks() => self.sending.tick(self.problems)?,
            }
        };
        match stored {
            Err(SendError {
                record,
                kind: SendErrorKind::Spool(error),
                ..
            }) if may_pass(&error) => match EncodedRecord::new(&record) {
                Ok(record) => {
                    self.unstored.push_back(record);
                    Ok(None)
                }
                Err(error) => Ok(Some(format!("{error}: {}", text(&self.form, &record)))),
            },
            Err(error) => Ok(Some(problem(&self.form, error))),
            Ok(()) => Ok(None),
        }
    }

    /// Stores what was handed over and could not be stored, and waits as long as that takes.
    async fn store_again(&mut self) -> Result<(), Stop> {
        self.unstored.extend(self.sending.returned());
        let mut is_told = false;
        while let Some(record) = self.unstored.pop_front() {
            let stored = tokio::select! {
                biased;
                () = self.interrupts.times(1) => {
                    self.unstored.push_front(record);
                    return Err(Stop::Enough);
                }
                stored = self.again.spool(record.clone()) => stored,
            };
            match stored {
                Ok(()) => is_told = false,
                Err(SendError {
                    kind: SendErrorKind::Spool(error),
                    ..
                }) if may_pass(&error) => {
                    self.unstored.push_front(record);
                    if !std::mem::replace(&mut is_told, true) {
                        let text = format_args!("nothing is read until the spool can be written: {error}");
                        self.sending.suspend(|| tell(text));
                    }
                    tokio::select! {
                        () = self.interrupts.times(1) => return Err(Stop::Enough),
                        () = sleep(PAUSE) => {}
                    }
                    self.sending.tick(self.problems)?;
                }
                Err(SendError { kind, .. }) => self.give_up(&record, &kind)?,
            }
        }
        Ok(())
    }

    fn give_up(&mut self, record: &EncodedRecord, problem: &dyn Display) -> Result<(), Stop> {
        let problem = format!("{problem}: {}", line_of(record, None));
        self.sending.figures(|figures| figures.not_delivered += 1);
        let location = Location {
            file: &self.file,
            ..Location::default()
        };
        self.sending.suspend(|| self.problems.not_delivered(location, problem))
    }

    /// Waits until everything that was read is stored. After a signal, what cannot be stored at once is reported, and after another one
    /// also what waits for room.
    async fn store_rest(&mut self) -> Result<(), Stop> {
        let mut result = Ok(());
        let signals = 1 + u32::from(self.interrupts.any());
        loop {
            let producer = self.sending.producer.clone();
            let mut stored = pin!(producer.sync_spool());
            let is_stored = loop {
                tokio::select! {
                    biased;
                    () = self.interrupts.times(signals) => break false,
                    () = &mut stored => break true,
                    () = self.sending.ticks() => result = result.and(self.sending.tick(self.problems)),
                }
            };
            if is_stored && self.store_again().await.is_ok() && self.unstored.is_empty() {
                return result;
            }
            if self.interrupts.any() {
                break;
            }
        }
        let until = Instant::now() + PAUSE;
        for record in std::mem::take(&mut self.unstored) {
            let stored = tokio::select! {
                biased;
                stored = self.again.spool(record.clone()) => stored.map_err(|error| error.kind.to_string()),
                () = sleep_until(until) => Err("it was not stored".to_owned()),
            };
            if let Err(problem) = stored {
                result = result.and(self.give_up(&record, &problem));
            }
        }
        result
    }
}

/// Returns whether it is worth waiting: the error is not about the record.
fn may_pass(error: &SpoolError) -> bool {
    error.kind != ErrorKind::InvalidInput
}
