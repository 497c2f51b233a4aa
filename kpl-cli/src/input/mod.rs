//! Reads the records of a stream, in any of the shapes that people have them in, one batch after the other.

mod lines;
pub(crate) mod reports;
mod source;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use kpl_core::KinesisRecord;
use kpl_core::wire::MAGIC;
pub(crate) use kpl_event::Arrival;
use kpl_event::{NoData, Record, Stopped, Unpacked};
use serde_json::Deserializer;
use serde_json::error::Category;

pub(crate) use self::lines::{LineSink, each_line};
pub(crate) use self::source::BYTE_ORDER_MARK;
use self::source::Source;
use crate::compression::Compression;
use crate::problems::{Location, Stop};

/// Where records are read from.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// The files to read; the default, and `-`, is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,

    /// Each file is the bytes of one record
    #[arg(long)]
    raw: bool,
}

/// The most bytes that one record may take in the input: more than the largest record takes in base64 with every
/// character escaped.
pub(crate) const MAX_RECORD: usize = 32 * 1024 * 1024;

/// A batch is full with this many records, or this many bytes of data and strings.
const BATCH_RECORDS: usize = 64;
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// A record of a stream, as it was read.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The line that it starts in; `None` in bytes that do not have lines.
    pub(crate) line: Option<u64>,
    /// The number of the record in its file. The first is 1.
    pub(crate) number: u64,
    pub(crate) data: Vec<u8>,
    pub(crate) partition_key: Option<String>,
    pub(crate) sequence_number: Option<String>,
    pub(crate) arrival: Option<Arrival>,
}

impl Entry {
    /// Returns where it is in the input.
    pub(crate) fn location<'a>(&self, file: &'a str) -> Location<'a> {
        Location {
            file,
            line: self.line,
            record: self.line.map(|_| self.number),
            ..Location::default()
        }
    }

    /// Returns where it is, or where one of its user records is, with its sequence number.
    pub(crate) fn full_location<'a>(&'a self, file: &'a str, user_record: Option<u64>) -> Location<'a> {
        Location {
            sequence_number: self.sequence_number.as_deref(),
            user_record,
            ..self.location(file)
        }
    }

    /// Returns how many bytes its data and its strings take: any of them may be as long as a record of the input.
    fn held_bytes(&self) -> usize {
        let arrival = match &self.arrival {
            Some(Arrival::Text(text)) => text.len(),
            _ => 0,
        };
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.data.len() + text(&self.partition_key) + text(&self.sequence_number) + arrival
    }

    pub(crate) fn kinesis_record(&self) -> KinesisRecord<'_> {
        let mut record = KinesisRecord::new(&self.data);
        record.partition_key = self.partition_key.as_deref();
        record.sequence_number = self.sequence_number.as_deref();
        record
    }
}

/// A user record that `kpl deaggregate` or `kpl tail` wrote: its data is not unpacked once more.
#[derive(Debug)]
pub(crate) struct UserRecord {
    pub(crate) entry: Entry,
    pub(crate) sub_sequence_number: u64,
    pub(crate) shard_id: Option<String>,
    pub(crate) unpacked: Unpacked,
}

impl UserRecord {
    /// Returns where it is.
    pub(crate) fn location<'a>(&'a self, file: &'a str) -> Location<'a> {
        let user_record = self.unpacked.aggregated.then_some(self.sub_sequence_number);
        self.entry.full_location(file, user_record)
    }
}

/// Takes the records that are read.
pub(crate) trait Sink {
    /// Takes the next records of a file, in order. Those that it leaves are dropped.
    fn batch(&mut self, file: &str, entries: &mut Vec<Entry>) -> Result<(), Stop>;

    /// Takes a user record that was unpacked before. Everything before it has been passed on.
    fn user_record(&mut self, file: &str, record: UserRecord) -> Result<(), Stop>;

    /// Takes note of something that is not a valid record.
    fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop>;

    /// Everything read so far has been passed on, and more may come much later.
    fn caught_up(&mut self) -> Result<(), Stop>;
}

/// Reads all the records of the input.
pub(crate) fn read(input: &Input, sink: &mut dyn Sink) -> Result<(), Stop> {
    each_file(&input.files, |name, reader| {
        if input.raw {
            return read_raw(name, reader, sink);
        }
        match decompressed(reader) {
            Ok(reader) => read_json(name, reader, sink),
            Err(error) => sink.unreadable(
                Location {
                    file: name,
                    ..Location::default()
                },
                &error.to_string(),
            ),
        }
    })
}

/// Opens one file after the other, or standard input if the list is empty.
pub(crate) fn each_file(
    files: &[PathBuf],
    mut read: impl FnMut(&str, Box<dyn Read>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let standard_input = [PathBuf::from("-")];
    let files = if files.is_empty() { &standard_input } else { files };
    files.iter().try_for_each(|file| {
        let (name, reader) = open(file)?;
        read(&name, reader)
    })
}

/// Returns a reader of a file, or of what it was before it was compressed: that is seen by its first bytes.
pub(crate) fn decompressed(mut reader: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    // More is read only if there may be more of a magic: the next read may wait for a long time.
    while Compression::may_start(&start) && reader.by_ref().take(1).read_to_end(&mut start)? > 0 {}
    let compression = Compression::of_file(&start);
    let whole = io::Cursor::new(start).chain(reader);
    Ok(match compression {
        Some(compression) => Box::new(Decompressed {
            reader: compression.reader(BufReader::with_capacity(64 * 1024, whole), None)?,
            compression,
        }),
        None => Box::new(whole),
    })
}

/// What a file was before it was compressed.
struct Decompressed {
    reader: Box<dyn Read>,
    compression: Compression,
}

impl Read for Decompressed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out).map_err(|error| {
            let compression = self.compression;
            io::Error::new(
                error.kind(),
                format!("this is {compression}, and cannot be decompressed: {error}"),
            )
        })
    }
}

/// Opens a file, or standard input for `-`.
pub(crate) fn open(path: &Path) -> Result<(String, Box<dyn Read>), Stop> {
    if path == Path::new("-") {
        return Ok(("standard input".into(), Box::new(io::stdin().lock())));
    }
    let name = path.display().to_string();
    match File::open(path).and_then(|file| Ok((file.metadata()?.is_dir(), file))) {
        Ok((false, file)) => Ok((name, Box::new(file))),
        Ok((true, _)) => Err(Stop::Usage(format!("{name}: this is a directory"))),
        Err(error) => Err(Stop::Usage(format!("{name}: {error}"))),
    }
}

/// Reads one record, whatever is in it.
pub(crate) fn read_raw(name: &str, reader: impl Read, sink: &mut dyn Sink) -> Result<(), Stop> {
    let location = Location {
        file: name,
        ..Location::default()
    };
    let mut data = Vec::new();
    match reader.take(MAX_RECORD as u64 + 1).read_to_end(&mut data) {
        Err(error) => sink.unreadable(location, &error.to_string()),
        Ok(len) if len > MAX_RECORD => sink.unreadable(location, &too_long(MAX_RECORD)),
        Ok(_) => {
            let entry = Entry {
                number: 1,
                data,
                ..Entry::default()
            };
            sink.batch(name, &mut vec![entry])
        }
    }
}

pub(crate) fn too_long(limit: usize) -> String {
    format!(
        "this is longer than {} MiB, the limit for one record",
        limit / (1024 * 1024)
    )
}

/// Reads the records in JSON documents of any shape, one after the other.
pub(crate) fn read_json(name: &str, reader: impl Read + 'static, sink: &mut dyn Sink) -> Result<(), Stop> {
    read_source(name, &Source::new(reader, MAX_RECORD), sink)
}

fn read_source(name: &str, source: &Source, sink: &mut dyn Sink) -> Result<(), Stop> {
    let mut records = Records::new(name, source, sink);
    if let Some(problem) = source.peek(not_json) {
        return records.unreadable(Some(1), None, problem);
    }
    loop {
        let first_line = source.next_line();
        let error = match read_documents(&mut records) {
            Ok(()) => return records.flush(),
            Err(Failure::Sink(stop)) => return Err(stop),
            Err(Failure::Json(error)) => error,
        };
        let line = match error.classify() {
            // An error of reading does not have a position.
            Category::Io => source.next_line(),
            // serde_json counts a line feed as part of the line that it starts.
            _ => first_line + error.line() as u64 - if error.column() == 0 { 2 } else { 1 },
        };
        let goes_on = error.classify() == Category::Syntax && source.next_start();
        let problem = describe(&error, line, goes_on, source.next_line());
        records.unreadable(Some(line), None, &problem)?;
        if !goes_on {
            return Ok(());
        }
    }
}

enum Failure {
    Sink(Stop),
    Json(serde_json::Error),
}

fn read_documents(records: &mut Records<'_>) -> Result<(), Failure> {
    let source = records.source;
    let mut json = Deserializer::from_reader(source);
    loop {
        source.mark();
        match json.end() {
            Ok(()) => return Ok(()),
            Err(error) if error.is_io() => return Err(Failure::Json(error)),
            // There is another document.
            Err(_) => {}
        }
        source.mark();
        if let Err(error) = kpl_event::read(records, &mut json) {
            return Err(records.stop.take().map_or(Failure::Json(error), Failure::Sink));
        }
        records.catch_up().map_err(Failure::Sink)?;
    }
}

/// Says what is wrong with text that is not valid JSON, without its line: that is part of the location.
fn describe(error: &serde_json::Error, line: u64, goes_on: bool, next_line: u64) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&position).unwrap_or(&text);
    let rest = if goes_on && next_line > line + 1 {
        format!("; continuing at line {next_line}")
    } else if !goes_on && error.is_syntax() && next_line > line + 1 {
        "; the rest is not read".into()
    } else {
        String::new()
    };
    match error.classify() {
        Category::Io => format!("{text}; the rest is not read"),
        Category::Eof => format!("this JSON is cut off: {text}"),
        _ if error.column() == 0 => format!("this is not valid JSON: {text}{rest}"),
        _ => format!("this is not valid JSON: {text}, at column {}{rest}", error.column()),
    }
}

/// Recognises input that cannot be JSON by its first bytes, and says what it is.
fn not_json(start: &[u8]) -> Option<&'static str> {
    if start.starts_with(&MAGIC) {
        return Some("this starts with the magic of an aggregated record: use --raw to read it as one");
    }
    if let Some(problem) = reports::for_people(start) {
        return Some(problem);
    }
    match start {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            Some("this is UTF-16, which some shells write: convert it to UTF-8 first")
        }
        _ => None,
    }
}

/// The records of one input on their way to the sink.
struct Records<'a> {
    file: &'a str,
    source: &'a Source,
    sink: &'a mut dyn Sink,
    batch: Vec<Entry>,
    batch_bytes: usize,
    /// How many records have been read so far.
    count: u64,
    /// Why the sink stopped, if it did.
    stop: Option<Stop>,
}

impl<'a> Records<'a> {
    fn new(file: &'a str, source: &'a Source, sink: &'a mut dyn Sink) -> Self {
        Self {
            file,
            source,
            sink,
            batch: Vec::new(),
            batch_bytes: 0,
            count: 0,
            stop: None,
        }
    }

    fn push(&mut self, entry: Entry) -> Result<(), Stop> {
        self.batch_bytes += entry.held_bytes();
        self.batch.push(entry);
        if self.batch.len() >= BATCH_RECORDS || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        self.catch_up()
    }

    /// Passes on everything that is held if the next read may wait.
    fn catch_up(&mut self) -> Result<(), Stop> {
        if !self.source.is_drained() {
            return Ok(());
        }
        self.flush()?;
        self.sink.caught_up()
    }

    /// Takes a record, or what is in the place of one.
    fn take(&mut self, line: u64, record: Record) -> Result<(), Stop> {
        if let Err(NoData::NotAnArray { .. }) = &record.data {
            return self.unreadable(Some(line), None, &problem(&record));
        }
        self.count += 1;
        let number = self.count;
        match record.data {
            Ok(data) if record.wrong_types.is_empty() => {
                let entry = Entry {
                    line: Some(line),
                    number,
                    data,
                    partition_key: record.partition_key,
                    sequence_number: record.sequence_number,
                    arrival: record.arrival,
                };
                let Some(unpacked) = record.unpacked else {
                    return self.push(entry);
                };
                self.flush()?;
                let record = UserRecord {
                    entry,
                    sub_sequence_number: record.sub_sequence_number.unwrap_or_default(),
                    shard_id: record.shard_id,
                    unpacked,
                };
                self.sink.user_record(self.file, record)?;
                self.catch_up()
            }
            _ => self.unreadable(Some(line), Some(number), &problem(&record)),
        }
    }

    fn unreadable(&mut self, line: Option<u64>, record: Option<u64>, problem: &str) -> Result<(), Stop> {
        self.flush()?;
        let file = self.file;
        let location = Location {
            file,
            line,
            record,
            ..Location::default()
        };
        self.sink.unreadable(location, problem)
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if !self.batch.is_empty() {
            self.sink.batch(self.file, &mut self.batch)?;
        }
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }
}

/// Returns the first thing that is wrong with a record.
fn problem(record: &Record) -> String {
    match (&record.data, record.wrong_types.first()) {
        (Err(no_data @ NoData::NotBase64 { text, .. }), _) => match kpl_event::looks_like(text) {
            Some(what) => format!("{no_data}; it looks like {what}"),
            None => no_data.to_string(),
        },
        (Err(no_data), _) => no_data.to_string(),
        (Ok(_), wrong) => wrong.cloned().unwrap_or_default(),
    }
}

impl kpl_event::Sink for Records<'_> {
    /// Returns the line.
    fn place(&mut self) -> u64 {
        self.source.last_line()
    }

    fn mark_value(&mut self) {
        self.source.mark_value();
    }

    fn value(&mut self, take: &mut dyn FnMut(&[u8])) {
        self.source.value(take);
    }

    fn reads_other_forms(&self) -> bool {
        true
    }

    fn record(&mut self, line: u64, record: Record) -> Result<(), Stopped> {
        let result = self.take(line, record);
        self.source.mark();
        result.map_err(|stop| {
            self.stop = Some(stop);
            Stopped
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// The data of the records, and the problems.
    #[derive(Default)]
    struct Seen(Vec<Vec<u8>>, Vec<String>);

    impl Sink for Seen {
        fn batch(&mut self, _: &str, entries: &mut Vec<Entry>) -> Result<(), Stop> {
            self.0.extend(entries.drain(..).map(|entry| entry.data));
            Ok(())
        }

        fn user_record(&mut self, _: &str, record: UserRecord) -> Result<(), Stop> {
            self.0.push(record.entry.data);
            Ok(())
        }

        fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop> {
            self.1.push(format!("{location}: {problem}"));
            Ok(())
        }

        fn caught_up(&mut self) -> Result<(), Stop> {
            Ok(())
        }
    }

    fn read_with_limit(text: impl Into<Vec<u8>>) -> Seen {
        let mut seen = Seen::default();
        let source = Source::new(Cursor::new(text.into()), 1 << 20);
        read_source("file", &source, &mut seen).unwrap();
        seen
    }

    #[test]
    fn each_record_may_be_as_long_as_the_limit_and_no_longer() {
        let long = "A".repeat(1_000_000);
        let fine = format!("{{\"Records\":[{0},{0},{0}]}}", format_args!("{{\"Data\":\"{long}\"}}"));
        let seen = read_with_limit(fine);
        assert_eq!((seen.0.len(), seen.1.as_slice()), (3, &[][..]));
        let seen = read_with_limit(format!("{{\"Data\":\"AAAA\"}}\n{{\"Data\":\"{long}{long}\"}}"));
        assert_eq!(seen.0, [[0; 3]]);
        assert_eq!(
            seen.1,
            ["file:2: this is longer than 1 MiB, the limit for one record; the rest is not read"]
        );
    }

    #[test]
    fn input_that_fails_is_reported_with_its_line() {
        struct Failing;

        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }

        let before = [
            ("", 1),
            ("{\"Data\":\"AAAA\"}\n", 2),
            ("{\"Data\":\"AAAA\"}\n\n{\"Da", 3),
        ];
        for (before, line) in before {
            let mut seen = Seen::default();
            let source = Source::new(Cursor::new(before).chain(Failing), 1 << 20);
            read_source("file", &source, &mut seen).unwrap();
            assert_eq!(seen.0.len(), usize::from(!before.is_empty()));
            assert_eq!(seen.1, [format!("file:{line}: the disk is gone; the rest is not read")]);
        }
        let seen = read_with_limit(" ".repeat((1 << 20) + 1));
        assert_eq!(
            seen.1,
            ["file:1: this is longer than 1 MiB, the limit for one record; the rest is not read"]
        );
    }

    proptest! {
        /// JSON in the place of base64 is the data, byte by byte, also where it ends or begins outside the buffer.
        #[test]
        fn json_that_is_nested_comes_out_as_it_is(
            before in 0..300_000_usize,
            len in prop::sample::select(vec![1, 100, 300_000]),
            kind in 0..6_usize,
            is_last in any::<bool>(),
        ) {
            let json = match kind {
                0 => format!("{{ \"a\": \"{}\" }}", "b".repeat(len)),
                1 => format!("[1.50,\"{}\"]", "b".repeat(len)),
                2 => format!("1{}", "0".repeat(len.min(300))),
                3 => format!("\"\\u00e9{}\"", "b".repeat(len)),
                4 => format!("\"{}\"", "b".repeat(len)),
                _ => "true".into(),
            };
            let data = format!("\"Data\": {json} ");
            let encoding = "\"DataEncoding\":\"json\",\"Aggregated\":true";
            let fields = if is_last { format!("{encoding},{data}") } else { format!("{data},{encoding}") };
            let Seen(records, problems) = read_with_limit(format!("{}{{{fields}}}", " ".repeat(before)));
            prop_assert_eq!(problems, Vec::<String>::new());
            prop_assert_eq!(records, [json.into_bytes()]);
        }
    }

    #[test]
    fn a_batch_holds_few_records_with_long_strings() {
        struct Longest(usize);

        impl Sink for Longest {
            fn batch(&mut self, _: &str, entries: &mut Vec<Entry>) -> Result<(), Stop> {
                self.0 = self.0.max(entries.len());
                Ok(())
            }

            fn user_record(&mut self, _: &str, record: UserRecord) -> Result<(), Stop> {
                panic!("{record:?}")
            }

            fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop> {
                panic!("{location}: {problem}")
            }

            fn caught_up(&mut self) -> Result<(), Stop> {
                Ok(())
            }
        }

        let text = "k".repeat(BATCH_BYTES / 2);
        for key in ["PartitionKey", "SequenceNumber", "ApproximateArrivalTimestamp"] {
            let record = format!("{{\"Data\":\"\",\"{key}\":\"{text}\"}}\n");
            let mut sink = Longest(0);
            let source = Source::new(Cursor::new(record.repeat(5)), MAX_RECORD);
            read_source("file", &source, &mut sink).unwrap();
            assert!(sink.0 <= 2, "{key}: {} records", sink.0);
        }
    }

    const EVENT: &str = r#"{"Records":[{"kinesis":{"data":"AAAA","partitionKey":"k","sequenceNumber":"1"}},
{"kinesis":{"data":"AAAA","approximateArrivalTimestamp":1.5}}],"window":{"start":"2026-12-09T07:04:00Z"}}
{"Data":"AAAA","PartitionKey":"k","ApproximateArrivalTimestamp":"then"}
[{"recordId":"1","data":"AAAA","kinesisRecordMetadata":{"partitionKey":"k"}}]
"#;

    proptest! {
        #[test]
        fn damaged_input_costs_records_but_nothing_else(
            changes in proptest::collection::vec((0..EVENT.len(), any::<u8>()), 1..4),
            end in 0..EVENT.len(),
        ) {
            let mut bytes = EVENT.as_bytes().to_vec();
            for (index, byte) in changes {
                bytes[index] = byte;
            }
            bytes.truncate(end);
            // Nothing before the damage is lost, and what follows on lines of its own is read.
            bytes.splice(0..0, *b"{\"Data\":\"BBBB\"}\n");
            bytes.extend(b"\n{}}\n{\"Data\":\"CCCC\"}\n");
            let Seen(records, _) = read_with_limit(bytes);
            prop_assert_eq!(records.first().map(Vec::as_slice), Some(&[4, 16, 65][..]));
            prop_assert!(records.len() <= 6);
            prop_assert_eq!(records.last().map(Vec::as_slice), Some(&[8, 32, 130][..]));
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let Seen(records, problems) = read_with_limit(bytes.clone());
            prop_assert!(records.is_empty());
            prop_assert_eq!(problems.is_empty(), bytes.trim_ascii().is_empty());
        }
    }
}
