//! The thread that reads the input: a read may block for ever, and Ctrl-C must work all the same.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use kpl_core::RawRecord;
use tokio::sync::mpsc;

use super::key::{self, Key, Pointer};
use super::record::Record;
use super::rows::{self, RowKey};
use crate::compression::Compression;
use crate::forms::DataEncoding;
use crate::input::{LineSink, each_line, reports};
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

/// A line of the input: a record, or why it is not one, with its text.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) line: u64,
    /// How many bytes of the input it is.
    pub(super) size: u64,
    pub(super) record: Result<Record, String>,
}

#[derive(Debug)]
pub(super) enum Message {
    /// Lines of a file.
    Lines(Arc<str>, Vec<Line>),
    /// The input has ended, or cannot be read any further.
    End(Result<(), Stop>),
}

/// A message is full with this many lines, or this many bytes.
const MESSAGE_LINES: usize = 1024;
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
            form: Arc::new(form),
            file: "".into(),
            lines: Vec::new(),
            bytes: 0,
            accident: Accident::default(),
            sender,
        };
        let form = Arc::clone(&sink.form);
        let result = match &*form {
            LineForm::Rows(key) => rows::each_row(&files, key, &mut sink),
            _ => each_line(&files, &mut sink),
        };
        let result = sink.caught_up().and(result);
        // It fails only if the receiver is gone.
        let _ = sink.sender.blocking_send(Message::End(result));
    };
    thread::Builder::new()
        .name("input".into())
        .spawn(read)
        .map_err(|error| Stop::Usage(format!("cannot start a thread that reads the input: {error}")))?;
    Ok(receiver)
}

pub(super) struct Reading {
    form: Arc<LineForm>,
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
        record: Result<Record, String>,
    ) -> Result<(), Stop> {
        if *self.file != *location.file {
            self.caught_up()?;
            self.file = location.file.into();
        }
        self.bytes += match &record {
            Ok(record) => record.size(),
            Err(problem) => problem.len(),
        };
        self.lines.push(Line {
            line: location.line.unwrap_or_default(),
            size: size as u64,
            record,
        });
        if self.lines.len() >= MESSAGE_LINES || self.bytes >= MESSAGE_BYTES {
            return self.caught_up();
        }
        Ok(())
    }
}

impl Reading {
    /// Takes a JSON object.
    fn object(&mut self, location: Location<'_>, line: &[u8], text: &[u8], form: &ObjectForm) -> Result<(), Stop> {
        // With the line feed.
        let mut size = line.len() + 1;
        let record = match form {
            ObjectForm::Record(data) => match user_record_line::read(text, *data) {
                Ok(read) => {
                    let mut accident = std::mem::take(&mut self.accident);
                    // All of the line has its outcome when one of its user records has.
                    let result = read.each(location, &mut accident, |record| {
                        self.take(location, std::mem::take(&mut size), record.map(Record::from))
                    });
                    self.accident = accident;
                    return result;
                }
                Err(problem) => Err(problem),
            },
            ObjectForm::Field(pointer) => pointer.key(text),
            ObjectForm::Data(key) => key::check_object(text).map(|()| key.next().into()),
        };
        let record = match record {
            Ok(key) => Ok(Record::with_key_in(text, key)),
            Err(problem) => Err(format!("{problem}: {}", String::from_utf8_lossy(line))),
        };
        self.take(location, size, record)
    }
}

impl LineSink for Reading {
    fn line(&mut self, location: Location<'_>, line: &[u8]) -> Result<(), Stop> {
        let form = Arc::clone(&self.form);
        match &*form {
            LineForm::Plain(key) => {
                let record = RawRecord::new(key.next(), line.to_owned());
                // With the line feed.
                self.take(location, line.len() + 1, Ok(record.into()))
            }
            // Rows are not read as lines.
            LineForm::Rows(_) => Ok(()),
            LineForm::Json(form) => match user_record_line::text(line) {
                Some(text) => self.object(location, line, text, form),
                None => Ok(()),
            },
        }
    }

    fn refuses(&self, start: &[u8]) -> Option<&'static str> {
        match *self.form {
            LineForm::Json(ObjectForm::Record(_)) => reports::not_lines(start),
            _ => None,
        }
    }

    fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop> {
        self.take(location, 0, Err(problem.to_owned()))
    }

    fn caught_up(&mut self) -> Result<(), Stop> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(MESSAGE_LINES));
        let lines = Message::Lines(Arc::clone(&self.file), lines);
        self.sender.blocking_send(lines).map_err(|_| Stop::Enough)
    }
}
