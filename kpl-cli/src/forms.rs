//! The forms that options and their values take on the command line.

use clap::ValueEnum;
use kpl_core::{MAX_RECORD_SIZE, PartitionKey};
use serde::{Deserialize, Serialize};

/// How to write Data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataForm {
    /// The exact bytes
    #[default]
    Base64,
    /// The text
    Text,
    /// The JSON, nested
    Json,
}

/// How Data is encoded in a line of JSON. The key `DataEncoding` of the line takes precedence over the option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DataEncoding {
    /// Base64 of the bytes
    #[default]
    Base64,
    /// The text itself
    Text,
    /// JSON, which is the data as it is
    Json,
}

impl DataEncoding {
    /// Returns its name in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// How to write packed records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EntryForm {
    /// JSON Lines, one entry of PutRecords a line
    #[default]
    Lines,
    /// One JSON array of entries of PutRecords
    Array,
    /// A Lambda event, for `cargo lambda invoke --data-file`
    LambdaEvent,
}

/// How to write what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportForm {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For browsers: one page, which loads nothing
    Html,
}

/// What to do with user records outside the range.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Stray {
    /// Leave out every aggregated record that has one, as the KCL does
    DropAggregate,
    /// Leave them out
    #[default]
    Drop,
    /// Deliver them
    Keep,
}

/// The partition key of an aggregated record.
#[derive(Clone, Debug)]
pub(crate) enum OuterKey {
    /// That of its first user record.
    First,
    Fixed(PartitionKey<'static>),
}

pub(crate) fn max_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes @ 1..=MAX_RECORD_SIZE) => Ok(bytes),
        _ => Err(format!("must be from 1 to {MAX_RECORD_SIZE} bytes")),
    }
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err("must be 1 or more".into()),
    }
}

/// The bytes of a dictionary: zstd does not make one of fewer, and its readers should not need more.
pub(crate) fn dictionary_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes @ 256..=2_097_152) => Ok(bytes),
        _ => Err("must be from 256 to 2097152 bytes".into()),
    }
}

pub(crate) fn outer_key(text: &str) -> Result<OuterKey, String> {
    match text.split_once(':') {
        None if text == "first" => Ok(OuterKey::First),
        Some(("fixed", key)) => PartitionKey::new(key.to_owned())
            .map(OuterKey::Fixed)
            .map_err(|error| error.to_string()),
        _ => Err("must be `first`, or `fixed:` and a partition key".into()),
    }
}

pub(crate) fn positive_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => Err("must be a number of bytes above 0".into()),
    }
}

pub(crate) fn positive_seconds(text: &str) -> Result<std::time::Duration, String> {
    match text.parse().map(std::time::Duration::try_from_secs_f64) {
        Ok(Ok(time)) if !time.is_zero() => Ok(time),
        _ => Err("must be a number of seconds above 0".into()),
    }
}
