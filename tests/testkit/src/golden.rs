//! The golden files: aggregated records of other writers, with their contents. `CONTRIBUTING.md` names their origins.

use std::fs;
use std::path::PathBuf;

use data_encoding::BASE64;
use kpl_core::{HashKey, RawRecord};
use serde_json::Value;

/// An aggregated record that another writer wrote, and its contents.
#[derive(Debug)]
pub struct Golden {
    /// The name of the file.
    pub name: String,
    /// The program that wrote the record.
    pub origin: String,
    /// The data of the Kinesis record.
    pub aggregated: Vec<u8>,
    /// The user records, in order.
    pub user_records: Vec<RawRecord>,
    /// The sub-sequence number of each user record.
    pub sub_sequence_numbers: Vec<u64>,
    /// Whether we write the same bytes. We do not if the writer sorts keys.
    pub encodes_back: bool,
    /// The whole file.
    pub json: Value,
}

impl Golden {
    /// Reads every golden file, sorted by name.
    pub fn all() -> Vec<Self> {
        names().iter().map(|name| Self::load(name)).collect()
    }

    /// Reads the golden file with this name.
    pub fn load(name: &str) -> Self {
        let file = fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let json: Value = serde_json::from_slice(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let records = json["userRecords"].as_array().expect("a list");
        Self {
            name: name.to_owned(),
            origin: string(&json["origin"]),
            aggregated: bytes(&json["aggregated"]),
            user_records: records.iter().map(user_record).collect(),
            sub_sequence_numbers: records
                .iter()
                .map(|record| record["subSequenceNumber"].as_u64().expect("a number"))
                .collect(),
            encodes_back: json["encodesBack"] != false,
            json,
        }
    }

    /// Returns the data of the Kinesis record as base64.
    pub fn base64(&self) -> String {
        BASE64.encode(&self.aggregated)
    }

    /// Returns the user records as the file contains them: `partitionKey`, `explicitHashKey`, `subSequenceNumber` and
    /// `data`, which is base64.
    pub fn json_records(&self) -> &[Value] {
        self.json["userRecords"].as_array().expect("a list")
    }
}

/// Returns the names of all golden files, sorted. There is at least one.
pub fn names() -> Vec<String> {
    let entries = fs::read_dir(path("")).expect("the folder of golden files");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".json"))
        .collect();
    assert!(!names.is_empty(), "no golden files");
    names.sort();
    names
}

/// Returns the path of the golden file with this name, which need not exist.
pub fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../golden", name].iter().collect()
}

fn user_record(record: &Value) -> RawRecord {
    let raw = crate::raw(&string(&record["partitionKey"]), bytes(&record["data"]));
    match record["explicitHashKey"].as_str() {
        Some(key) => raw.with_explicit_hash_key(key.parse::<HashKey>().expect("a hash key")),
        None => raw,
    }
}

fn string(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64.decode(string(value).as_bytes()).expect("base64")
}
