//! `kpl inspect`: what is where in one record.

mod anatomy;
mod drawing;

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use kpl_core::wire::MAGIC;

use self::anatomy::Anatomy;
use crate::args::{Inspect, ReportForm};
use crate::draw;
use crate::input::{self, BYTE_ORDER_MARK, Entry, MAX_RECORD, Sink};
use crate::output;
use crate::problems::{Place, Problems, Stop, tell};

pub(crate) fn run(options: &Inspect, problems: &mut Problems) -> Result<(), Stop> {
    problems.strict = options.strict;
    let path = options.file.clone().unwrap_or_else(|| PathBuf::from("-"));
    let mut wanted = Wanted {
        number: options.record,
        record: None,
        count: 0,
        problems,
    };
    let file = match find(&path, options.raw, &mut wanted) {
        Ok(file) => file,
        Err((file, Stop::Enough)) => file,
        Err((_, stop)) => return Err(stop),
    };
    let Some(entry) = wanted.record else {
        let count = draw::count(wanted.count, "record");
        let problem = match options.record {
            Some(number) => format!("{file}: there is no record {number} in it, but {count}"),
            None => format!("{file}: there is no record in it"),
        };
        // It may be in what could not be read.
        if problems.has_left_out() {
            tell(problem);
            return Err(Stop::Data);
        }
        return Err(Stop::Usage(problem));
    };
    let anatomy = Anatomy::of(&entry);
    match options.output {
        ReportForm::Text => draw::print(&drawing::draw(&anatomy, &entry, &file, options.limit))?,
        ReportForm::Json => output::document(&anatomy.to_json(&entry)?)?,
    }
    match &anatomy.malformed {
        Some(malformed) if options.strict => {
            tell(format_args!("{}: {}", entry.place(&file), malformed.reason));
            Err(Stop::Data)
        }
        _ => Ok(()),
    }
}

/// Reads until the wanted record was found. Gives the name of what was read.
fn find(path: &Path, raw: bool, wanted: &mut Wanted<'_>) -> Result<String, (String, Stop)> {
    let (name, mut reader) = input::open(path).map_err(|stop| (String::new(), stop))?;
    let result = if raw {
        input::read_raw(&name, reader, wanted)
    } else {
        let mut start = Vec::new();
        let place = Place {
            file: &name,
            line: None,
            record: None,
        };
        match reader.by_ref().take(4096).read_to_end(&mut start) {
            Err(error) => wanted.unreadable(place, &error.to_string()),
            Ok(_) if is_json(&start) => input::read_json(&name, Cursor::new(start).chain(reader), wanted),
            Ok(_) => read_bytes(&name, Cursor::new(start).chain(reader), wanted),
        }
    };
    match result {
        Ok(()) => Ok(name),
        Err(stop) => Err((name, stop)),
    }
}

fn is_json(start: &[u8]) -> bool {
    let start = start.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(start);
    matches!(start.trim_ascii_start(), [b'{' | b'[', ..])
}

/// Reads the bytes of a record, or base64 of them, which may be wrapped into lines.
fn read_bytes(name: &str, reader: impl Read, wanted: &mut Wanted<'_>) -> Result<(), Stop> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_RECORD as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Stop::Usage(format!("{name}: {error}")))?;
    let decoded = match bytes.starts_with(&MAGIC) {
        true => None,
        false => {
            let characters = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
            BASE64.decode(&characters.collect::<Vec<_>>()).ok()
        }
    };
    input::read_raw(name, Cursor::new(decoded.unwrap_or(bytes)), wanted)
}

/// Waits for the record that is to be drawn.
struct Wanted<'p> {
    /// Its number, if it has to be that one.
    number: Option<u64>,
    record: Option<Entry>,
    count: u64,
    problems: &'p mut Problems,
}

impl Sink for Wanted<'_> {
    fn batch(&mut self, _: &str, entries: &mut Vec<Entry>) -> Result<(), Stop> {
        for entry in entries.drain(..) {
            self.count = entry.number;
            let is_wanted = match self.number {
                Some(number) => entry.number == number,
                None => entry.data.starts_with(&MAGIC),
            };
            if is_wanted {
                self.record = Some(entry);
                return Err(Stop::Enough);
            }
            if self.number.is_none() && self.record.is_none() {
                self.record = Some(entry);
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, place: Place<'_>, problem: &str) -> Result<(), Stop> {
        self.problems.left_out(place, problem)
    }

    fn caught_up(&mut self) -> Result<(), Stop> {
        Ok(())
    }
}
