//! The thread that reads the input: a read may block for ever, and Ctrl-C must work all the same.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use kpl_core::RawRecord;
use tokio::sync::mpsc;

use super::key::{self, Key, Pointer};
use super::rows::{self, RowKey};
use crate::compression::Compression;
use crate::forms::DataEncoding;
use crate::input::{LineSink, each_line};
use crate::problems::{Location, Stop};
use crate::user_record_line::{self, Accident};

/// What the lines of the input are.
#[derive(Clone, Debug)]
pub(super) enum LineForm {
    /// JSON objects.
    Json(ObjectForm),
    /// The data of a record.
    Plain(Key),
    /// Rows of CSV.
    Rows(RowKey),
}

/// What a JSON object is.
#[derive(Clone, Debug)]
pub(super) enum ObjectForm {
    /// The keys and the data of a record, with Data in this form.
    Record(Option<DataEncoding>),
    /// The data of a record, with the partition key in a field.
    Field(Pointer),
    /// The data of a record.
    Data(Key),
}

/// Where a record comes from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) file: Arc<str>,
    pub(super) line: u64,
    /// How many bytes of the input it is.
    pub(super) size: u64,
}

impl Origin {
    pub(super) fn location(&self) -> Location<'_> {
        Location {
            file: &self.file,
            line: Some(self.line),
            ..Location::default()
        }
    }
}

/// A line of the input: a record, or why it is not one, with its text.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) origin: Origin,
    pub(super) record: Result<RawRecord, String>,
}

#[derive(Debug)]
pub(super) enum Message {
    Lines(Vec<Line>),
    /// The input has ended, or cannot be read any further.
    End(Result<(), Stop>),
}

/// A message is full with this many lines, or this many bytes.
const MESSAGE_LINES: usize = 256;
const MESSAGE_BYTES: usize = 256 * 1024;

/// How many messages may be queued.
const MESSAGES: usize = 4;

/// Returns the size of the input, or `None` if a part of it is compressed or not a file, so that nothing can be said about its
/// size.
pub(super) fn size(files: &[PathBuf]) -> Option<u64> {
    let sizes = files.iter().map(|file| {
        let metadata = fs::metadata(file).ok().filter(|_| file != Path::new("-"))?;
        (metadata.is_file() && !is_compressed(file)).then_some(metadata.len())
    });
    if files.is_empty() { None } else { sizes.sum() }
}

fn is_compressed(file: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(file).and_then(|file| file.take(4).read_to_end(&mut start));
    read.is_ok() && Compression::of_file(&start).is_some()
}

/// Starts the thread.
pub(super) fn start(files: Vec<PathBuf>, form: LineForm) -> Result<mpsc::Receiver<Message>, Stop> {
    let (sender, receiver) = mpsc::channel(MESSAGES);
    let read = move || {
        let mut sink = Reading {
            form,
            file: "".into(),
            lines: Vec::new(),
            bytes: 0,
            accident: Accident::default(),
            sender,
        };
        let result = match sink.form.clone() {
            LineForm::Rows(key) => rows::each_row(&files, &key, &mut sink),
            _ => each_line(&files, &mut sink),
        };
        let result = sink.caught_up().and(result);
        // It fails only if the receiver is gone.
        let _ = sink.sender.blocking_send(Message::End(result));
    };
    thread::Builder::new()
        .spawn(read)
        .map_err(|error| Stop::Usage(format!("cannot start a thread that reads the input: {error}")))?;
    Ok(receiver)
}

pub(super) struct Reading {
    form: LineForm,
    file: Arc<str>,
    lines: Vec<Line>,
    bytes: usize,
    accident: Accident,
    sender: mpsc::Sender<Message>,
}

impl Reading {
    pub(super) fn take(
        &mut self,
        location: Location<'_>,
        size: usize,
        record: Result<RawRecord, String>,
    ) -> Result<(), Stop> {
        if *self.file != *location.file {
            self.file = location.file.into();
        }
        self.bytes += match &record {
            Ok(record) => record.size(),
            Err(problem) => problem.len(),
        };
        let origin = Origin {
            file: Arc::clone(&self.file),
            line: location.line.unwrap_or_default(),
            size: size as u64,
        };
        self.lines.push(Line { origin, record });
        if self.lines.len() >= MESSAGE_LINES || self.bytes >= MESSAGE_BYTES {
            return self.caught_up();
        }
        Ok(())
    }
}

/// Reads a JSON object as a record.
fn object(
    form: &ObjectForm,
    location: Location<'_>,
    text: &[u8],
    accident: &mut Accident,
) -> Result<RawRecord, String> {
    let key = match form {
        ObjectForm::Record(data) => {
            let read = user_record_line::read(text, *data)?;
            accident.look(location, &read);
            return Ok(read.record);
        }
        ObjectForm::Field(pointer) => pointer.key(text)?,
        ObjectForm::Data(key) => {
            key::check_object(text)?;
            key.next()
        }
    };
    Ok(RawRecord::new(key, text.to_owned()))
}

impl LineSink for Reading {
    fn line(&mut self, location: Location<'_>, line: &[u8]) -> Result<(), Stop> {
        let record = match &self.form {
            LineForm::Plain(key) => Ok(RawRecord::new(key.next(), line.to_owned())),
            // Rows are not read as lines.
            LineForm::Rows(_) => return Ok(()),
            LineForm::Json(form) => {
                let Some(text) = user_record_line::text(line) else {
                    return Ok(());
                };
                let record = object(form, location, text, &mut self.accident);
                record.map_err(|problem| format!("{problem}: {}", String::from_utf8_lossy(line)))
            }
        };
        // With the line feed.
        self.take(location, line.len() + 1, record)
    }

    fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop> {
        self.take(location, 0, Err(problem.to_owned()))
    }

    fn caught_up(&mut self) -> Result<(), Stop> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let lines = Message::Lines(std::mem::take(&mut self.lines));
        self.sender.blocking_send(lines).map_err(|_| Stop::Enough)
    }
}
