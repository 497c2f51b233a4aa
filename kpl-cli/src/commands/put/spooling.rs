//! `kpl put --spool`: everything that is read is stored, and sent from there.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kpl_core::{KplRecord, RawRecord};
use kpl_stream::aws::AwsClient;
use kpl_stream::{EncodedRecord, OpenError, SendError, SendErrorKind, StreamProducer, StreamState};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::reading::{self, Line, LineForm, Message};
use super::record::Record;
use super::{Put, location, tell_interrupted, text};
use crate::commands::spool::sending::Sending;
use crate::interrupts::Interrupts;
use crate::problems::{Location, Problems, Stop, tell};
use crate::user_record_line;

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
    tokio::spawn(tell_state(stream.clone()));
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
        is_told: false,
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

/// Tells if the stream does not take records now: they are stored all the same.
async fn tell_state(stream: StreamProducer<Record>) {
    if let Ok(state @ (StreamState::Unpredicted(_) | StreamState::Unknown(_))) = stream.state().await {
        tell(format_args!("stream {}: {state}", stream.name()));
    }
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
    /// Whether it was told that nothing can be stored.
    is_told: bool,
}

impl Spooling<'_> {
    /// Stores what is read. Returns [`Stop::Enough`] if it was interrupted.
    async fn read(&mut self, input: &mut mpsc::Receiver<Message>) -> Result<(), Stop> {
        loop {
            tokio::select! {
                biased;
                () = self.interrupts.times(1) => return Err(Stop::Enough),
                () = self.sending.ticks() => self.sending.tick(self.problems)?,
                message = input.recv() => match message {
                    Some(Message::Lines(file, lines)) => {
                        self.file = file;
                        for line in lines {
                            self.line(line).await?;
                        }
                        for record in self.sending.returned() {
                            self.store_again(record).await?;
                        }
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
            Ok(record) => match self.store(&self.stream.clone(), record).await? {
                Ok(()) => None,
                Err(SendError { record, kind, .. }) => Some(format!("{kind}: {}", text(&self.form, &record))),
            },
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

    /// Stores a record, and waits until there is room, and as long as the disk fails.
    async fn store<T: KplRecord>(
        &mut self,
        stream: &StreamProducer<T>,
        record: T,
    ) -> Result<Result<(), SendError<T>>, Stop> {
        let mut stored = stream.try_spool(record);
        loop {
            let record = match stored {
                Err(SendError {
                    record,
                    kind: SendErrorKind::Full,
                    ..
                }) => record,
                Err(SendError {
                    record,
                    kind: SendErrorKind::Spool(error),
                    ..
                }) => {
                    if !std::mem::replace(&mut self.is_told, true) {
                        self.sending
                            .suspend(|| tell(format_args!("nothing is read until the spool can be written: {error}")));
                    }
                    tokio::select! {
                        () = self.interrupts.times(1) => {}
                        () = sleep(PAUSE) => {}
                    }
                    record
                }
                stored => {
                    self.is_told = false;
                    return Ok(stored);
                }
            };
            let mut storing = pin!(stream.spool(record));
            stored = loop {
                tokio::select! {
                    biased;
                    () = self.interrupts.times(1) => return Err(Stop::Enough),
                    stored = &mut storing => break stored,
                    () = self.sending.ticks() => self.sending.tick(self.problems)?,
                }
            };
        }
    }

    /// Stores a record that could not be stored before.
    async fn store_again(&mut self, record: EncodedRecord) -> Result<(), Stop> {
        // It is not lost if this one is interrupted.
        let copy = record.clone();
        match self.store(&self.again.clone(), record).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(SendError { record, kind, .. })) => self.give_up(&record, &kind),
            Err(stop) => {
                if let Err(SendError { record, kind, .. }) = self.again.spool(copy).await {
                    self.give_up(&record, &kind)?;
                }
                Err(stop)
            }
        }
    }

    fn give_up(&mut self, record: &EncodedRecord, kind: &SendErrorKind) -> Result<(), Stop> {
        let mut raw = RawRecord::new(record.partition_key(), record.data());
        raw.explicit_hash_key = record.explicit_hash_key();
        let problem = format!("{kind}: {}", user_record_line::write(&raw, None));
        self.sending.figures(|figures| figures.not_delivered += 1);
        self.sending
            .suspend(|| self.problems.not_delivered(Location::default(), problem))
    }

    /// Waits until everything that was read is stored. What cannot be stored is reported if it was interrupted.
    async fn store_rest(&mut self) -> Result<(), Stop> {
        let mut result = Ok(());
        loop {
            self.sending.producer.sync_spool().await;
            let returned = self.sending.returned();
            if returned.is_empty() {
                return result;
            }
            for record in returned {
                match self.store_again(record).await {
                    Err(Stop::Enough) => {}
                    stored => result = result.and(stored),
                }
            }
        }
    }
}
