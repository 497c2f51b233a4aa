//! `kpl aggregate`: JSON Lines into the entries of PutRecords.

use std::borrow::Cow;
use std::io::{BufRead as _, BufReader, Read};

use data_encoding::BASE64;
use kpl_core::{Aggregator, HashKey, RawRecord, SealedRecord, ShardedAggregator};
use serde::Deserialize;

use crate::args::{Aggregate, EntryForm, InputForm, OuterKey};
use crate::input::{self, BYTE_ORDER_MARK, MAX_RECORD};
use crate::output::Lines;
use crate::problems::{Place, Problems, Stop, tell};
use crate::shards;

/// What one PutRecords request takes.
const PUT_RECORDS_ENTRIES: u64 = 500;
const PUT_RECORDS_BYTES: u64 = 10 * 1024 * 1024;

pub(crate) fn run(options: &Aggregate, problems: &mut Problems) -> Result<(), Stop> {
    problems.strict = options.strict;
    let mut packing = Packing {
        packer: Packer::new(options)?,
        entries: Entries::new(options.output),
        data: options.data,
        problems,
    };
    let result = input::each_file(&options.files, |name, reader| packing.file(name, reader));
    // Whatever ended it, what was packed goes out.
    for sealed in packing.packer.finish() {
        packing.entries.write(&sealed)?;
    }
    packing.entries.finish()?;
    result
}

/// A line of the input.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserRecordLine<'a> {
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
    #[serde(borrow, default)]
    explicit_hash_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Cow<'a, str>,
    data_encoding: Option<DataEncoding>,
}

/// What `kpl deaggregate` says of Data that is not in the form that was asked for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DataEncoding {
    Base64,
    Text,
}

impl From<DataEncoding> for InputForm {
    fn from(encoding: DataEncoding) -> Self {
        match encoding {
            DataEncoding::Base64 => Self::Base64,
            DataEncoding::Text => Self::Text,
        }
    }
}

struct Packing<'p> {
    packer: Packer,
    entries: Entries,
    data: InputForm,
    problems: &'p mut Problems,
}

impl Packing<'_> {
    fn file(&mut self, file: &str, reader: impl Read) -> Result<(), Stop> {
        let mut reader = BufReader::with_capacity(256 * 1024, reader);
        let mut text = Vec::new();
        for number in 1.. {
            text.clear();
            // The next read may wait for a long time.
            if reader.buffer().is_empty() {
                self.entries.flush()?;
            }
            let place = Place {
                file,
                line: Some(number),
                record: None,
            };
            match reader.by_ref().take(MAX_RECORD as u64).read_until(b'\n', &mut text) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return self.problems.left_out(place, error),
            }
            if text.len() == MAX_RECORD && !text.ends_with(b"\n") {
                self.problems.left_out(place, input::too_long(MAX_RECORD))?;
                if !skip_line(&mut reader) {
                    break;
                }
                continue;
            }
            let line = match number {
                1 => text.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(&text),
                _ => &text,
            };
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match self.push(line) {
                Ok(Some(sealed)) => self.entries.write(&sealed)?,
                Ok(None) => {}
                Err(problem) => {
                    self.entries.flush()?;
                    let line = String::from_utf8_lossy(line);
                    self.problems.left_out(place, format_args!("{problem}: {line}"))?;
                }
            }
        }
        Ok(())
    }

    /// Packs one line.
    fn push(&mut self, line: &[u8]) -> Result<Option<SealedRecord>, String> {
        let line: UserRecordLine<'_> = serde_json::from_slice(line).map_err(|error| no_line(&error))?;
        let form = line.data_encoding.map_or(self.data, InputForm::from);
        let data: Cow<'_, [u8]> = match (form, &line.data) {
            (InputForm::Base64, text) => {
                let data = BASE64.decode(text.as_bytes());
                data.map_err(|error| format!("its Data is not base64: {error}"))?.into()
            }
            (InputForm::Text, text) => Cow::Borrowed(text.as_bytes()),
        };
        let mut record = RawRecord::from_parts(&*line.partition_key, data);
        if let Some(text) = &line.explicit_hash_key {
            let key: HashKey = text.parse().map_err(|error| format!("its ExplicitHashKey: {error}"))?;
            record = record.with_explicit_hash_key(key);
        }
        self.packer.push(&record).map_err(|error| error.to_string())
    }
}

/// Why a line is no user record, without the line number that it would have alone.
fn no_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    format!("{text}, at column {}", error.column())
}

/// Passes over the rest of a line. Whether there is another one.
fn skip_line(reader: &mut impl std::io::BufRead) -> bool {
    reader.skip_until(b'\n').is_ok_and(|skipped| skipped > 0)
}

/// With shards or without.
enum Packer {
    Plain(Box<Aggregator<RawRecord<'static>>>),
    Sharded(Box<ShardedAggregator<RawRecord<'static>>>),
}

impl Packer {
    fn new(options: &Aggregate) -> Result<Self, Stop> {
        let mut builder = Aggregator::builder()
            .max_size(options.max_size)
            .wrap_single(options.wrap_single);
        if let Some(count) = options.max_count {
            builder = builder.max_count(count);
        }
        if let OuterKey::Fixed(key) = &options.outer_key {
            builder = builder.outer_partition_key(key.clone());
        }
        let packer = match &options.shards {
            None => builder.build().map(|plain| Self::Plain(Box::new(plain))),
            Some(path) => {
                let shards = shards::load(path)?;
                builder
                    .build_sharded(shards)
                    .map(|sharded| Self::Sharded(Box::new(sharded)))
            }
        };
        packer.map_err(|error| Stop::Usage(error.to_string()))
    }

    fn push(&mut self, record: &RawRecord<'_>) -> Result<Option<SealedRecord>, kpl_core::AggregateError> {
        match self {
            Self::Plain(aggregator) => aggregator.push_as(record),
            Self::Sharded(aggregator) => aggregator.push_as(record),
        }
    }

    fn finish(&mut self) -> Vec<SealedRecord> {
        match self {
            Self::Plain(aggregator) => aggregator.finish().into_iter().collect(),
            Self::Sharded(aggregator) => aggregator.finish(),
        }
    }
}

/// The entries on their way out.
struct Entries {
    lines: Lines,
    form: EntryForm,
    count: u64,
    bytes: u64,
}

impl Entries {
    fn new(form: EntryForm) -> Self {
        Self {
            lines: Lines::new(),
            form,
            count: 0,
            bytes: 0,
        }
    }

    fn write(&mut self, sealed: &SealedRecord) -> Result<(), Stop> {
        let is_array = self.form == EntryForm::Array;
        if is_array {
            self.lines.text(if self.count == 0 { "[\n" } else { ",\n" })?;
        }
        self.count += 1;
        self.bytes += sealed.size() as u64;
        let entry = self
            .lines
            .object()
            .base64("Data", &sealed.data)
            .text("PartitionKey", sealed.partition_key.as_str())
            .hash_key("ExplicitHashKey", Some(sealed.explicit_hash_key));
        if is_array { entry.write_inline() } else { entry.write() }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.lines.flush()
    }

    fn finish(&mut self) -> Result<(), Stop> {
        if self.form == EntryForm::Array {
            self.lines.text(if self.count == 0 { "[]\n" } else { "\n]\n" })?;
            if self.count > PUT_RECORDS_ENTRIES || self.bytes > PUT_RECORDS_BYTES {
                let (count, mebibytes) = (self.count, self.bytes as f64 / (1024.0 * 1024.0));
                tell(format_args!(
                    "these are {count} entries and {mebibytes:.1} MiB; put-records takes 500 and 10 MiB at a time"
                ));
            }
        }
        self.flush()
    }
}
