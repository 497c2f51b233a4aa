//! `kpl inspect`: shows what is where in one record.

mod anatomy;
mod cause;
mod drawing;
mod page;

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use kpl_core::wire::MAGIC;

use self::anatomy::Anatomy;
use crate::compression::Compression;
use crate::decompress::Decompress;
use crate::draw;
use crate::forms::ReportForm;
use crate::input::{self, BYTE_ORDER_MARK, Entry, MAX_RECORD, Sink, UserRecord, reports};
use crate::output;
use crate::problems::{Location, Problems, Stop, tell};

/// How many keys of each table and user records are drawn in text, and in a page.
const LINES: usize = 20;
const ROWS: usize = 1_000;

/// Draw one record: what is where in its bytes
///
/// Reads the bytes of a record, its base64 text, or any JSON that `kpl deaggregate` reads. From JSON it draws the first
/// record that is aggregated or malformed, or the one that --record selects. If the bytes are damaged, it draws what is
/// intact, and shows where they stop making sense.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aws kinesis get-records --shard-iterator $ITERATOR | kpl inspect --record 3
  kpl inspect --output html record.bin > record.html
  kpl inspect --output json record.bin | jq '.UserRecords[0]'")]
pub(crate) struct Inspect {
    /// The file to read; the default, and `-`, is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,

    /// The file is the bytes of one record, whatever it looks like
    #[arg(long)]
    raw: bool,

    /// Which record of JSON input to draw; the first is 1
    #[arg(long, value_name = "NUMBER", conflicts_with = "raw", value_parser = clap::value_parser!(u64).range(1..))]
    record: Option<u64>,

    #[command(flatten)]
    decompress: Decompress,

    /// The most keys and user records to draw; the default is 20, and 1,000 with --output html
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,

    /// How to write it; json has every key and user record
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    output: ReportForm,

    /// Exit with 1 if the record is malformed
    #[arg(long)]
    strict: bool,
}

impl Inspect {
    pub(crate) fn run(&self, problems: &mut Problems) -> Result<(), Stop> {
        problems.strict = self.strict;
        let path = self.file.clone().unwrap_or_else(|| PathBuf::from("-"));
        let mut wanted = Wanted {
            number: self.record,
            record: None,
            unpacked: None,
            count: 0,
            problems,
        };
        let file = match find(&path, self.raw, &mut wanted) {
            Ok(file) => file,
            Err((file, Stop::Enough)) => file,
            Err((_, stop)) => return Err(stop),
        };
        let Some(mut entry) = wanted.record else {
            let count = draw::count(wanted.count, "record");
            let problem = match self.record {
                Some(number) => format!("{file}: there is no record {number}, the input has {count}"),
                None => format!("{file}: there are no records in it"),
            };
            // The record may be in what could not be read.
            if problems.has_left_out() {
                tell(problem);
                return Err(Stop::Data);
            }
            return Err(Stop::Usage(problem));
        };
        let unpacked = wanted.unpacked;
        let compression = self.decompress(&mut entry, &file, problems)?;
        let mut anatomy = Anatomy::of(&entry.data, &self.decompress);
        if self.decompress.is_on() {
            for (number, record) in anatomy.user_records().enumerate() {
                if let Some(problem) = record.not_decompressed {
                    problems.unchanged(entry.full_location(&file, Some(number as u64)), problem)?;
                }
            }
        }
        if let Some(number) = unpacked {
            anatomy.cause = Some(cause::with_unpacked(number, anatomy.cause.take()));
        }
        match self.output {
            ReportForm::Text => {
                let limit = self.limit.unwrap_or(LINES);
                draw::print(&drawing::draw(&anatomy, &entry, compression, &file, limit))?;
            }
            ReportForm::Html => {
                let limit = self.limit.unwrap_or(ROWS);
                output::page(&page::page(&anatomy, &entry, compression, &file, limit))?;
            }
            ReportForm::Json => output::document(&anatomy.report(&entry, compression))?,
        }
        match &anatomy.malformed {
            Some(malformed) if self.strict => {
                tell(format_args!("{}: {}", entry.location(&file), malformed.reason));
                Err(Stop::Data)
            }
            _ => Ok(()),
        }
    }

    /// Decompresses a record, if it is to be and it is compressed. Returns what it was compressed by.
    fn decompress(&self, entry: &mut Entry, file: &str, problems: &mut Problems) -> Result<Option<Compression>, Stop> {
        match self.decompress.apply(&entry.data) {
            Ok(plain) => {
                let compression = plain.compression;
                if compression.is_some() {
                    entry.data = plain.data.into_owned();
                }
                Ok(compression)
            }
            Err(problem) => {
                problems.unchanged(entry.full_location(file, None), problem)?;
                Ok(None)
            }
        }
    }
}

/// Reads until the wanted record is found. Returns the name of the input.
fn find(path: &Path, raw: bool, wanted: &mut Wanted<'_>) -> Result<String, (String, Stop)> {
    let (name, reader) = input::open(path).map_err(|stop| (String::new(), stop))?;
    let result = if raw {
        input::read_raw(&name, reader, wanted)
    } else {
        find_in(&name, reader, wanted)
    };
    match result {
        Ok(()) => Ok(name),
        Err(stop) => Err((name, stop)),
    }
}

fn find_in(file: &str, reader: Box<dyn Read>, wanted: &mut Wanted<'_>) -> Result<(), Stop> {
    let location = Location {
        file,
        ..Location::default()
    };
    let mut start = Vec::new();
    let read = input::decompressed(reader).and_then(|mut reader| {
        reader.by_ref().take(4096).read_to_end(&mut start)?;
        Ok(reader)
    });
    match read {
        Err(error) => wanted.unreadable(location, &error.to_string()),
        Ok(reader) if is_json(&start) => input::read_json(file, Cursor::new(start).chain(reader), wanted),
        Ok(reader) => match reports::for_people(&start) {
            Some(problem) => wanted.unreadable(location, problem),
            None => read_bytes(file, Cursor::new(start).chain(reader), wanted),
        },
    }
}

fn is_json(start: &[u8]) -> bool {
    let start = start.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(start);
    matches!(start.trim_ascii_start(), [b'{' | b'[', ..])
}

/// Reads the bytes of a record, or their base64, which may be wrapped into lines.
fn read_bytes(name: &str, reader: impl Read, wanted: &mut Wanted<'_>) -> Result<(), Stop> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_RECORD as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Stop::Usage(format!("{name}: {error}")))?;
    let decoded = match bytes.starts_with(&MAGIC) {
        true => None,
        false => str::from_utf8(&bytes).ok().and_then(kpl_event::decode),
    };
    input::read_raw(name, Cursor::new(decoded.unwrap_or(bytes)), wanted)
}

/// Waits for the record that is to be drawn.
struct Wanted<'p> {
    /// Its number, if that was given.
    number: Option<u64>,
    record: Option<Entry>,
    /// Its sub-sequence number, if it was unpacked before.
    unpacked: Option<u64>,
    count: u64,
    problems: &'p mut Problems,
}

impl Wanted<'_> {
    /// Looks at a record, or at a user record that was unpacked from an aggregated record before.
    fn look(&mut self, entry: Entry, unpacked: Option<u64>) -> Result<(), Stop> {
        self.count = entry.number;
        let is_wanted = match self.number {
            Some(number) => entry.number == number,
            None => entry.data.starts_with(&MAGIC),
        };
        if is_wanted || (self.number.is_none() && self.record.is_none()) {
            self.record = Some(entry);
            self.unpacked = unpacked;
        }
        if is_wanted { Err(Stop::Enough) } else { Ok(()) }
    }
}

impl Sink for Wanted<'_> {
    fn batch(&mut self, _: &str, entries: &mut Vec<Entry>) -> Result<(), Stop> {
        entries.drain(..).try_for_each(|entry| self.look(entry, None))
    }

    fn user_record(&mut self, _: &str, record: UserRecord) -> Result<(), Stop> {
        let unpacked = record.unpacked.aggregated.then_some(record.sub_sequence_number);
        self.look(record.entry, unpacked)
    }

    fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop> {
        self.problems.left_out(location, problem)
    }

    fn caught_up(&mut self) -> Result<(), Stop> {
        Ok(())
    }
}
