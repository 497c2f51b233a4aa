//! Input with one user record a line.

use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use super::reports::START;
use super::{BYTE_ORDER_MARK, MAX_RECORD, decompressed, each_file, too_long};
use crate::problems::{Location, Stop};

/// Takes the lines that are read.
pub(crate) trait LineSink {
    /// Takes the next line, without its end.
    fn line(&mut self, location: Location<'_>, line: &[u8]) -> Result<(), Stop>;

    /// Says why a file is not read that starts like this. The default reads every file.
    fn refuses(&self, start: &[u8]) -> Option<&'static str> {
        let _ = start;
        None
    }

    /// Takes note of a line that is too long, or of a failure to read.
    fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop>;

    /// Everything read so far has been passed on, and more may come much later.
    fn caught_up(&mut self) -> Result<(), Stop>;
}

/// Reads the lines of one file after the other, or of standard input if the list is empty.
pub(crate) fn each_line(files: &[PathBuf], sink: &mut dyn LineSink) -> Result<(), Stop> {
    each_file(files, |file, reader| match decompressed(reader) {
        Ok(reader) => lines_of(file, reader, sink),
        Err(error) => sink.unreadable(
            Location {
                file,
                ..Location::default()
            },
            &error.to_string(),
        ),
    })
}

fn lines_of(file: &str, reader: impl Read, sink: &mut dyn LineSink) -> Result<(), Stop> {
    let mut reader = BufReader::with_capacity(256 * 1024, reader);
    let mut text = Vec::new();
    sink.caught_up()?;
    let first = Location {
        file,
        line: Some(1),
        ..Location::default()
    };
    let start = match start_of(&mut reader) {
        Ok(start) => start,
        Err(error) => return sink.unreadable(first, &error.to_string()),
    };
    if let Some(problem) = sink.refuses(start.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(&start)) {
        return sink.unreadable(first, problem);
    }
    let mut reader = BufReader::with_capacity(256 * 1024, io::Cursor::new(start).chain(reader));
    for number in 1.. {
        text.clear();
        // The next read may wait for a long time.
        if reader.buffer().is_empty() {
            sink.caught_up()?;
        }
        let location = Location {
            file,
            line: Some(number),
            ..Location::default()
        };
        match reader.by_ref().take(MAX_RECORD as u64).read_until(b'\n', &mut text) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return sink.unreadable(location, &error.to_string()),
        }
        if text.len() == MAX_RECORD && !text.ends_with(b"\n") {
            sink.unreadable(location, &too_long(MAX_RECORD))?;
            if !skip_line(&mut reader) {
                break;
            }
            continue;
        }
        let line = match number {
            1 => text.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(&text),
            _ => &text,
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        sink.line(location, line.strip_suffix(b"\r").unwrap_or(line))?;
    }
    Ok(())
}

/// Returns the first line, as far as it shows what the input is, or more of it, if that is an opening brace: an object is in one line.
fn start_of(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    loop {
        let len = start.len();
        let left = START.saturating_sub(len) as u64;
        let read = reader.by_ref().take(left).read_until(b'\n', &mut start)?;
        let text = start.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(&start).trim_ascii();
        if read == 0
            || !(matches!(text, b"" | b"[") || text.starts_with(b"{\n") || text.starts_with(b"{\r") || text == b"{")
        {
            return Ok(start);
        }
    }
}

/// Skips the rest of a line. Returns whether the input goes on.
fn skip_line(reader: &mut impl std::io::BufRead) -> bool {
    reader.skip_until(b'\n').is_ok_and(|skipped| skipped > 0)
}
