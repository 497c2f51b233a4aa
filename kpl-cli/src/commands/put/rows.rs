//! The rows of CSV, each as a JSON object.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::path::PathBuf;

use csv::{ByteRecord, StringRecord};
use kpl_core::RawRecord;

use super::key::Key;
use crate::draw::count;
use crate::input::{BYTE_ORDER_MARK, LineSink as _, MAX_RECORD, decompressed, each_file, too_long};
use crate::problems::{Location, Stop};

use super::reading::Reading;
use super::record::Record;

/// Where the partition key of a row comes from.
#[derive(Clone, Debug)]
pub(super) enum RowKey {
    Column(String),
    Other(Key),
}

/// Reads the rows of one file after the other. Each has a header of its own.
pub(super) fn each_row(files: &[PathBuf], key: &RowKey, sink: &mut Reading) -> Result<(), Stop> {
    each_file(files, |file, reader| {
        match decompressed(reader).and_then(without_mark) {
            Ok(reader) => rows_of(file, reader, key, sink),
            Err(error) => sink.unreadable(at(file, 1), &error.to_string()),
        }
    })
}

/// Skips the byte order mark. The crate csv does that only if it gets all of it at once.
fn without_mark(mut reader: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    while start.len() < BYTE_ORDER_MARK.len()
        && BYTE_ORDER_MARK.starts_with(&start)
        && reader.by_ref().take(1).read_to_end(&mut start)? > 0
    {}
    if start == BYTE_ORDER_MARK {
        start.clear();
    }
    Ok(Box::new(io::Cursor::new(start).chain(reader)))
}

fn at(file: &str, line: u64) -> Location<'_> {
    Location {
        file,
        line: Some(line),
        ..Location::default()
    }
}

fn rows_of(file: &str, reader: Box<dyn Read>, key: &RowKey, sink: &mut Reading) -> Result<(), Stop> {
    let shared = Shared {
        sink: RefCell::new(sink),
        left: Cell::new(MAX_RECORD),
        stop: Cell::new(None),
        chunk: RefCell::default(),
    };
    let bytes = Bytes {
        reader,
        shared: &shared,
    };
    let mut rows = csv::ReaderBuilder::new()
        .flexible(true)
        .buffer_capacity(256 * 1024)
        .from_reader(bytes);
    let unreadable = |line: u64, problem: &str| match shared.stop.take() {
        Some(stop) => Err(stop),
        None => shared.sink.borrow_mut().unreadable(at(file, line), problem),
    };
    let header = match rows.headers() {
        Ok(header) => Header::new(file, header, key)?,
        Err(error) => return unreadable(1, &format!("{}; the rest is not read", describe(error))),
    };
    let mut row = ByteRecord::new();
    loop {
        let start = rows.position().clone();
        shared.left.set(MAX_RECORD);
        match rows.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return unreadable(start.line(), &format!("{}; the rest is not read", describe(error))),
        }
        let end = rows.position();
        let line = shared.line_of(&row, end);
        let size = end.byte() - start.byte();
        let record = header.record(&row).map_err(|problem| {
            let fields: Vec<_> = row.iter().map(String::from_utf8_lossy).collect();
            format!("{problem}: {}", fields.join(","))
        });
        shared
            .sink
            .borrow_mut()
            .take(at(file, line), size as usize, record.map(Record::from))?;
    }
}

fn describe(error: csv::Error) -> String {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        csv::ErrorKind::Utf8 { .. } => "its header is not UTF-8".into(),
        other => format!("it is not valid CSV: {other:?}"),
    }
}

/// What is known of the columns.
struct Header {
    /// The names, as they are written before each value.
    names: Vec<String>,
    key: KeyOf,
}

enum KeyOf {
    Column(usize),
    Other(Key),
}

impl Header {
    fn new(file: &str, header: &StringRecord, key: &RowKey) -> Result<Self, Stop> {
        let mut sorted: Vec<_> = header.iter().collect();
        sorted.sort_unstable();
        if let Some(name) = sorted
            .windows(2)
            .find_map(|two| (two.first() == two.last()).then(|| two.first()))
        {
            let name = name.copied().unwrap_or_default();
            return Err(Stop::Usage(format!("{file}: there are two columns {name:?}")));
        }
        let key = match key {
            RowKey::Other(key) => KeyOf::Other(key.clone()),
            // An empty file.
            RowKey::Column(_) if header.is_empty() => KeyOf::Column(0),
            RowKey::Column(name) => {
                let index = header.iter().position(|column| column == name);
                KeyOf::Column(index.ok_or_else(|| {
                    let columns: Vec<_> = header.iter().collect();
                    Stop::Usage(format!(
                        "{file}: there is no column {name:?}; the columns are {}",
                        columns.join(", ")
                    ))
                })?)
            }
        };
        let names = header.iter().map(|name| format!("{}:", json(name))).collect();
        Ok(Self { names, key })
    }

    /// Returns a row as a record, whose data is an object with a string for each column.
    fn record(&self, row: &ByteRecord) -> Result<RawRecord, String> {
        if row.len() != self.names.len() {
            let (fields, columns) = (count(row.len() as u64, "field"), self.names.len());
            return Err(format!("it has {fields}, and the header has {columns}"));
        }
        let mut object = String::with_capacity(row.as_slice().len() + self.names.len() * 16);
        let mut key = None;
        for (index, (name, field)) in self.names.iter().zip(row).enumerate() {
            let field = str::from_utf8(field).map_err(|_| format!("its field {} is not UTF-8", index + 1))?;
            if matches!(self.key, KeyOf::Column(column) if column == index) {
                key = Some(field.to_owned());
            }
            object.push(if index == 0 { '{' } else { ',' });
            object.push_str(name);
            object.push_str(&json(field));
        }
        object.push('}');
        let key = match (&self.key, key) {
            (KeyOf::Other(key), _) => key.next(),
            (KeyOf::Column(_), key) => key.unwrap_or_default(),
        };
        Ok(RawRecord::new(key, object.into_bytes()))
    }
}

/// Returns a string as JSON. Strings can always be written.
fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// What the rows and the bytes that they are read from need.
struct Shared<'s> {
    sink: RefCell<&'s mut Reading>,
    /// How many bytes the row may still take: a quote that is not closed would take all of the input.
    left: Cell<usize>,
    /// Why the sink stopped while bytes were read.
    stop: Cell<Option<Stop>>,
    /// What was read last, and how many bytes that was from the start.
    chunk: RefCell<(Vec<u8>, u64)>,
}

impl Shared<'_> {
    /// Returns the line that a row starts in, which has just been read up to `end`. The position that the crate csv states is
    /// before empty lines, and in the middle of CRLF.
    fn line_of(&self, row: &ByteRecord, end: &csv::Position) -> u64 {
        let (chunk, read) = &*self.chunk.borrow();
        let behind = usize::try_from(read.saturating_sub(end.byte())).unwrap_or(usize::MAX);
        let last = chunk.iter().rev().nth(behind);
        let within = row.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        end.line().saturating_sub(within + u64::from(last == Some(&b'\n')))
    }
}

/// The bytes of a file. Before they are waited for, all rows are passed on.
struct Bytes<'s> {
    reader: Box<dyn Read>,
    shared: &'s Shared<'s>,
}

impl Read for Bytes<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Err(stop) = self.shared.sink.borrow_mut().caught_up() {
            self.shared.stop.set(Some(stop));
            return Err(io::Error::other("stopped"));
        }
        let left = self.shared.left.get();
        if left == 0 {
            return Err(io::Error::other(too_long(MAX_RECORD)));
        }
        let len = out.len().min(left);
        let len = self.reader.read(out.get_mut(..len).unwrap_or_default())?;
        self.shared.left.set(left - len);
        if len > 0 {
            let (chunk, read) = &mut *self.shared.chunk.borrow_mut();
            chunk.clear();
            chunk.extend(out.iter().take(len));
            *read += len as u64;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use csv::{Terminator, WriterBuilder};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::reading::{self, LineForm, Message};
    use super::*;

    /// Reads a file. Returns the line, the partition key and the data of each record.
    fn read(csv: &[u8], key: RowKey) -> Vec<(u64, Option<String>, Vec<u8>)> {
        let file = std::env::temp_dir().join(format!("kpl-rows-{}.csv", std::process::id()));
        std::fs::write(&file, csv).unwrap();
        let mut messages = reading::start(vec![file.clone()], LineForm::Rows(key)).unwrap();
        let mut records = Vec::new();
        while let Some(Message::Lines(_, lines)) = messages.blocking_recv() {
            records.extend(lines.into_iter().map(|line| {
                let record = line.record.unwrap().raw().clone();
                (line.line, record.partition_key, record.data)
            }));
        }
        std::fs::remove_file(file).unwrap();
        records
    }

    proptest! {
        #[test]
        fn rows_are_what_was_written_and_where(
            rows in prop::collection::vec(("[a,\"é\r\n ]{0,4}", "[a,\"é\r\n ]{1,4}"), 0..20),
            is_crlf in any::<bool>(),
            has_mark in any::<bool>(),
            has_end in any::<bool>(),
        ) {
            let terminator = if is_crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
            let mut writer = WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
            writer.write_record(["b \"x\"", "user"]).unwrap();
            let mut expected = Vec::new();
            for (one, two) in &rows {
                writer.flush().unwrap();
                let line = 1 + writer.get_ref().iter().filter(|&&byte| byte == b'\n').count() as u64;
                expected.push((line, two.clone(), json!({ "b \"x\"": one, "user": two })));
                writer.write_record([one, two]).unwrap();
            }
            let mut csv = writer.into_inner().unwrap();
            if !has_end {
                csv.truncate(csv.trim_ascii_end().len().max(csv.len() - if is_crlf { 2 } else { 1 }));
            }
            if has_mark {
                csv.splice(0..0, BYTE_ORDER_MARK);
            }
            let seen: Vec<_> = read(&csv, RowKey::Column("user".into()))
                .into_iter()
                .map(|(line, key, data)| (line, key.unwrap(), serde_json::from_slice::<Value>(&data).unwrap()))
                .collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
