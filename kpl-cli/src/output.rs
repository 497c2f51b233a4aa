//! JSON Lines on standard output.

use std::io::{self, BufWriter, StdoutLock, Write};

use data_encoding::BASE64;
use kpl_core::HashKey;

use crate::forms::DataForm;
use crate::input::Arrival;
use crate::problems::Stop;

/// A user record that came out.
#[derive(Debug)]
pub(crate) struct Unpacked<'a> {
    pub(crate) partition_key: Option<&'a str>,
    pub(crate) explicit_hash_key: Option<HashKey>,
    pub(crate) sequence_number: Option<&'a str>,
    pub(crate) sub_sequence_number: u64,
    pub(crate) aggregated: bool,
    pub(crate) arrival: Option<&'a Arrival>,
    /// Only a stream tells it.
    pub(crate) shard_id: Option<&'a str>,
    pub(crate) data: &'a [u8],
    /// What is wrong with it.
    pub(crate) malformed: Option<&'a str>,
}

/// Objects, one a line.
#[derive(Debug)]
pub(crate) struct Lines {
    out: BufWriter<StdoutLock<'static>>,
    line: Vec<u8>,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            out: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
            line: Vec::new(),
        }
    }

    /// Starts an object.
    pub(crate) fn object(&mut self) -> Object<'_> {
        self.line.clear();
        self.line.push(b'{');
        Object(self)
    }

    /// Writes a user record.
    pub(crate) fn user_record(&mut self, record: &Unpacked<'_>, form: DataForm) -> Result<(), Stop> {
        let line = self
            .object()
            .optional_text("PartitionKey", record.partition_key)
            .hash_key("ExplicitHashKey", record.explicit_hash_key)
            .optional_text("SequenceNumber", record.sequence_number)
            .number("SubSequenceNumber", record.sub_sequence_number)
            .boolean("Aggregated", record.aggregated)
            .arrival("ApproximateArrivalTimestamp", record.arrival);
        let line = match record.shard_id {
            Some(shard_id) => line.text("ShardId", shard_id),
            None => line,
        };
        let line = line.data(record.data, form);
        match record.malformed {
            Some(reason) => line.text("Malformed", reason).write(),
            None => line.write(),
        }
    }

    /// Writes something that is no object.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Gives everything to whoever reads.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.out.flush()?)
    }
}

/// Writes a JSON document to standard output. What is written through `anstream` may lose control characters, also those
/// that JSON does not escape.
pub(crate) fn document(json: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    out.write_all(json.as_bytes())?;
    Ok(out.flush()?)
}

/// One object in the making.
#[derive(Debug)]
pub(crate) struct Object<'l>(&'l mut Lines);

impl Object<'_> {
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        let line = &mut self.0.line;
        if line.len() > 1 {
            line.push(b',');
        }
        line.push(b'"');
        line.extend_from_slice(key.as_bytes());
        line.extend_from_slice(b"\":");
        line
    }

    pub(crate) fn text(mut self, key: &str, text: &str) -> Self {
        put_text(self.key(key), text);
        self
    }

    pub(crate) fn optional_text(mut self, key: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(key, text),
            None => {
                self.key(key).extend_from_slice(b"null");
                self
            }
        }
    }

    pub(crate) fn hash_key(mut self, key: &str, hash_key: Option<HashKey>) -> Self {
        match hash_key {
            Some(hash_key) => put(self.key(key), format_args!("\"{hash_key}\"")),
            None => self.key(key).extend_from_slice(b"null"),
        }
        self
    }

    pub(crate) fn number(mut self, key: &str, number: u64) -> Self {
        put(self.key(key), format_args!("{number}"));
        self
    }

    pub(crate) fn boolean(mut self, key: &str, value: bool) -> Self {
        put(self.key(key), format_args!("{value}"));
        self
    }

    pub(crate) fn arrival(mut self, key: &str, arrival: Option<&Arrival>) -> Self {
        match arrival {
            Some(Arrival::Text(text)) => put_text(self.key(key), text),
            Some(Arrival::Seconds(seconds)) => put(self.key(key), format_args!("{seconds}")),
            None => self.key(key).extend_from_slice(b"null"),
        }
        self
    }

    /// Data in the form that is wished for, if it has one.
    pub(crate) fn data(self, data: &[u8], form: DataForm) -> Self {
        match (form, std::str::from_utf8(data)) {
            (DataForm::Base64, _) => self.base64("Data", data),
            (_, Err(_)) => self.base64("Data", data).text("DataEncoding", "base64"),
            (DataForm::Text, Ok(text)) => self.text("Data", text),
            (DataForm::Json, Ok(text)) if is_json(text) => self.nested("Data", text),
            (DataForm::Json, Ok(text)) => self.text("Data", text).text("DataEncoding", "text"),
        }
    }

    pub(crate) fn base64(mut self, key: &str, data: &[u8]) -> Self {
        let line = self.key(key);
        line.push(b'"');
        let start = line.len();
        line.resize(start + BASE64.encode_len(data.len()), 0);
        if let Some(room) = line.get_mut(start..) {
            BASE64.encode_mut(data, room);
        }
        line.push(b'"');
        self
    }

    /// JSON as it is, but on one line: a line break in it can only be white space.
    fn nested(mut self, key: &str, json: &str) -> Self {
        let one_line = json.trim_ascii().bytes().filter(|byte| !matches!(byte, b'\r' | b'\n'));
        self.key(key).extend(one_line);
        self
    }

    /// Ends the line.
    pub(crate) fn write(self) -> Result<(), Stop> {
        self.0.line.extend_from_slice(b"}\n");
        Ok(self.0.out.write_all(&self.0.line)?)
    }

    /// Ends the object, and leaves the line to whoever goes on.
    pub(crate) fn write_inline(self) -> Result<(), Stop> {
        self.0.line.push(b'}');
        Ok(self.0.out.write_all(&self.0.line)?)
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

// A vector takes all that is written to it.
fn put(line: &mut Vec<u8>, value: std::fmt::Arguments<'_>) {
    let _ = line.write_fmt(value);
}

fn put_text(line: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(line, text);
}
