//! The golden files: aggregated records that other writers made.

use data_encoding::BASE64;
use kpl::{HashKey, RawRecord};

/// The names of all golden files.
pub(crate) fn names() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let entries = std::fs::read_dir(folder).expect("the folder of golden files");
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    names
}

#[derive(Debug)]
pub(crate) struct Golden {
    pub(crate) aggregated: Vec<u8>,
    pub(crate) user_records: Vec<RawRecord<'static>>,
    pub(crate) sub_sequence_numbers: Vec<u64>,
    /// Whether we write the same bytes: not if the writer sorts keys.
    pub(crate) encodes_back: bool,
}

impl Golden {
    pub(crate) fn load(name: &str) -> Self {
        let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the golden file");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let bytes = |value: &serde_json::Value| BASE64.decode(text(value).as_bytes()).expect("base64");
        let records = json["userRecords"].as_array().expect("a list");
        Self {
            aggregated: bytes(&json["aggregated"]),
            encodes_back: json["encodesBack"] != false,
            sub_sequence_numbers: records
                .iter()
                .map(|record| record["subSequenceNumber"].as_u64().expect("a number"))
                .collect(),
            user_records: records
                .iter()
                .map(|record| {
                    let mut raw = super::raw(&text(&record["partitionKey"]), bytes(&record["data"]));
                    let hash_key = record["explicitHashKey"].as_str();
                    raw.explicit_hash_key = hash_key.map(|key| key.parse::<HashKey>().expect("a hash key"));
                    raw
                })
                .collect(),
        }
    }
}
