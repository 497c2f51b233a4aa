//! Looks into the folder of a spool, and changes nothing.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use kpl_spool::{Cursor, Directory, Folder as _, Item, Log, Options};
use kpl_stream::spool::{EntryError, SpooledRecord};

use super::line_of;
use crate::draw::{self, count, thousands};
use crate::forms::DataEncoding;
use crate::problems::{Location, Problems, Stop, tell};

/// How much is read at once, in bytes.
const WINDOW: usize = 1024 * 1024;

fn look_at(folder: &Path) -> Result<Directory, Stop> {
    Directory::look_at(folder).map_err(|error| Stop::Usage(error.to_string()))
}

/// Returns what is in a folder.
fn open(folder: &Path, directory: Directory) -> Result<Log<Directory>, Stop> {
    let mut options = Options::default();
    options.max_bytes = u64::MAX;
    Log::open(directory, options).map_err(|error| unread(folder, error))
}

fn unread(folder: &Path, error: impl Display) -> Stop {
    Stop::Usage(format!("{}: {error}", folder.display()))
}

pub(super) fn list(folder: &Path) -> Result<(), Stop> {
    let directory = look_at(folder)?;
    let mut segments = directory.list().map_err(|error| unread(folder, error))?;
    segments.sort_unstable();
    let log = open(folder, directory)?;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:<24}{:>14}", "without an outcome", thousands(log.pending()));
    let _ = writeln!(text, "{:<24}{:>14}", "bytes", thousands(log.bytes()));
    let _ = writeln!(text, "{:<24}{:>14}", "files", thousands(segments.len() as u64));
    for (name, bytes) in segments {
        let _ = writeln!(text, "  from {:<17}{:>14}", name.first, thousands(bytes));
    }
    draw::print(&text)
}

/// What is read.
enum Read {
    Record(SpooledRecord),
    Unreadable(u64, EntryError),
    Lost {
        numbers: std::ops::Range<u64>,
        segment: u64,
    },
}

/// Reads every record without an outcome.
fn each(folder: &Path, mut take: impl FnMut(Read) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut log = open(folder, look_at(folder)?)?;
    let mut cursor = Cursor::default();
    loop {
        let items = log.read(&mut cursor, WINDOW);
        let items = items.map_err(|error| unread(folder, error))?;
        if items.is_empty() {
            return Ok(());
        }
        for item in items {
            take(match item {
                Item::Lost { numbers, segment } => Read::Lost { numbers, segment },
                Item::Record { number, data } => match SpooledRecord::decode(&data) {
                    Ok(record) => Read::Record(record),
                    Err(error) => Read::Unreadable(number, error),
                },
            })?;
        }
    }
}

/// Reports what is damaged.
fn report(folder: &Path, read: &Read, problems: &mut Problems) -> Result<(), Stop> {
    let folder = folder.display().to_string();
    let location = Location {
        file: &folder,
        ..Location::default()
    };
    match read {
        Read::Record(_) => Ok(()),
        Read::Unreadable(number, error) => problems.left_out(location, format_args!("record {number}: {error}")),
        Read::Lost { numbers, segment } => {
            let lost = count(numbers.end - numbers.start, "record");
            problems.left_out(
                location,
                format_args!(
                    "{lost} from {} on, damaged in the file from {segment} on",
                    numbers.start
                ),
            )
        }
    }
}

pub(super) fn verify(folder: &Path, problems: &mut Problems) -> Result<(), Stop> {
    let mut streams: BTreeMap<Arc<str>, (u64, u64)> = BTreeMap::new();
    let mut damaged = 0;
    each(folder, |read| {
        report(folder, &read, problems)?;
        match read {
            Read::Record(SpooledRecord { stream, record }) => {
                let (records, bytes) = streams.entry(stream).or_default();
                *records += 1;
                *bytes += record.size() as u64;
            }
            Read::Unreadable(..) => damaged += 1,
            Read::Lost { numbers, .. } => damaged += numbers.end - numbers.start,
        }
        Ok(())
    })?;
    let mut text = String::new();
    let _ = writeln!(text, "{:>14}{:>16}  stream", "user records", "bytes");
    for (stream, (records, bytes)) in streams {
        let _ = writeln!(text, "{:>14}{:>16}  {stream}", thousands(records), thousands(bytes));
    }
    if damaged > 0 {
        let _ = writeln!(
            text,
            "{:>14}{:>16}  damaged, or of a later version",
            thousands(damaged),
            ""
        );
    }
    draw::print(&text)
}

pub(super) fn dump(
    folder: &Path,
    stream: Option<&str>,
    data: DataEncoding,
    problems: &mut Problems,
) -> Result<(), Stop> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut others: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    each(folder, |read| {
        report(folder, &read, problems)?;
        if let Read::Record(spooled) = read {
            if stream.is_some_and(|stream| *spooled.stream != *stream) {
                *others.entry(spooled.stream).or_default() += 1;
                return Ok(());
            }
            writeln!(out, "{}", line_of(&spooled.record, Some(data)))?;
        }
        Ok(())
    })?;
    out.flush()?;
    for (stream, records) in others {
        tell(format_args!("{} for {stream} left out", count(records, "user record")));
    }
    Ok(())
}
