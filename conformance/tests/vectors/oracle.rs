//! The messages of the format as prost's derive understands them, and MD5 by the crate md-5: whether they say what a vector expects.

use data_encoding::BASE64;
use kpl_conformance::Case;
use kpl_testkit::bytes::{MAGIC, md5};
use prost::Message as _;
use serde_json::Value;

use super::messages::{self, AggregatedRecord, Record};

/// Returns the message of an aggregate, or `None` if the bytes are not a valid one.
fn message(bytes: &[u8]) -> Option<AggregatedRecord> {
    let body = bytes.strip_prefix(&MAGIC)?;
    let (body, digest) = body.split_last_chunk::<16>()?;
    if body.is_empty() || md5(body) != *digest {
        return None;
    }
    messages::read(body)
}

fn bytes(record: &Value) -> Vec<u8> {
    BASE64.decode(record["data"].as_str().unwrap().as_bytes()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What one user record is: data, and its keys where they can be resolved.
#[derive(Debug, PartialEq)]
struct Expected {
    sequence_number: String,
    data: Vec<u8>,
    keys: Option<(String, Option<String>)>,
}

/// Compares what a case expects with what the oracle reads. Returns `false` where it has nothing to say.
pub(crate) fn agrees(case: &Case<'_>) -> bool {
    let each = case.any_of().iter().map(|expected| Case {
        expected: expected.clone(),
        ..case.clone()
    });
    each.map(|case| agrees_with_one(&case))
        .fold(false, |one, other| one | other)
}

fn agrees_with_one(case: &Case<'_>) -> bool {
    match case.request["operation"].as_str().unwrap() {
        "read" => reading(case),
        "write" => writing(case),
        "hash_key" => hash_key(case),
        other => panic!("{}: {other}", case.vector.id),
    }
}

fn reading(case: &Case<'_>) -> bool {
    if case.request.get("range").is_some() || case.request.get("after").is_some() {
        return left_out(case);
    }
    let mut read = Vec::new();
    for outer in list(&case.request["records"]) {
        let sequence_number = outer["sequenceNumber"].as_str().unwrap().to_owned();
        let data = bytes(outer);
        match message(&data) {
            None if case.policy == Some("error") && data.starts_with(&MAGIC) => read.push(Expected {
                sequence_number,
                data,
                keys: None,
            }),
            None => read.push(Expected {
                sequence_number,
                data,
                keys: Some((outer["partitionKey"].as_str().unwrap().to_owned(), None)),
            }),
            Some(message) => {
                read.extend(message.records.iter().map(|record| Expected {
                    sequence_number: sequence_number.clone(),
                    data: record.data.clone().unwrap(),
                    keys: keys(&message, record),
                }));
            }
        }
    }
    let with_keys = |record: &Value| Expected {
        sequence_number: record["sequenceNumber"].as_str().unwrap().to_owned(),
        data: bytes(record),
        keys: Some((
            record["partitionKey"].as_str().unwrap().to_owned(),
            record["explicitHashKey"].as_str().map(str::to_owned),
        )),
    };
    let without_keys = |record: &Value| Expected {
        sequence_number: record["sequenceNumber"].as_str().unwrap().to_owned(),
        data: bytes(record),
        keys: None,
    };
    let (good, bad): (Vec<_>, Vec<_>) = read.into_iter().partition(|record| record.keys.is_some());
    let expected: Vec<_> = list(&case.expected["records"]).iter().map(with_keys).collect();
    assert!(good == expected, "{} {:?}", case.vector.id, case.policy);
    let expected: Vec<_> = list(&case.expected["errors"]).iter().map(without_keys).collect();
    assert!(bad == expected, "{} {:?}", case.vector.id, case.policy);
    true
}

/// Returns the keys of a record, if both indexes are in their tables and the text of the hash key is one, as Java's `BigInteger` reads it.
fn keys(message: &AggregatedRecord, record: &Record) -> Option<(String, Option<String>)> {
    let partition_key = message
        .partition_key_table
        .get(usize::try_from(record.partition_key_index?).ok()?)?;
    let hash_key = match record.explicit_hash_key_index {
        None => None,
        Some(index) => {
            let text = message.explicit_hash_key_table.get(usize::try_from(index).ok()?)?;
            let value: u128 = text.strip_prefix('+').unwrap_or(text).parse().ok()?;
            Some(value.to_string())
        }
    };
    Some((partition_key.clone(), hash_key))
}

/// With a range or a position: what is expected is some of what the oracle reads, and the rule of the policy by other means.
fn left_out(case: &Case<'_>) -> bool {
    let range = case.request.get("range").map(|range| {
        let end = |index: usize| range[index].as_str().unwrap().parse::<u128>().unwrap();
        end(0)..=end(1)
    });
    let after = case.request.get("after").map(|after| {
        let number = after["sequenceNumber"].as_str().unwrap().parse::<u128>().unwrap();
        (number, after["subSequenceNumber"].as_u64().unwrap())
    });
    let mut read = Vec::new();
    for outer in list(&case.request["records"]) {
        let number = outer["sequenceNumber"].as_str().unwrap().parse::<u128>().unwrap();
        let data = bytes(outer);
        let Some(message) = message(&data) else {
            if after.is_none_or(|after| (number, 0) > after) {
                read.push((number, 0, data));
            }
            continue;
        };
        let is_stray = |record: &Record| {
            let (partition_key, explicit) = keys(&message, record).expect("keys");
            let key = match explicit {
                Some(key) => key.parse().unwrap(),
                None => u128::from_be_bytes(md5(partition_key.as_bytes())),
            };
            range.as_ref().is_some_and(|range| !range.contains(&key))
        };
        let has_stray = message.records.iter().any(is_stray);
        for (sub, record) in (0..).zip(&message.records) {
            let is_dropped = match case.policy {
                Some("drop_aggregate") => has_stray,
                Some("drop_strays") => is_stray(record),
                _ => false,
            };
            if !is_dropped && after.is_none_or(|after| (number, sub) > after) {
                read.push((number, sub, record.data.clone().unwrap()));
            }
        }
    }
    let expected: Vec<_> = list(&case.expected["records"])
        .iter()
        .map(|record| {
            let number = record["sequenceNumber"].as_str().unwrap().parse::<u128>().unwrap();
            (number, record["subSequenceNumber"].as_u64().unwrap(), bytes(record))
        })
        .collect();
    assert!(read == expected, "{} {:?}", case.vector.id, case.policy);
    true
}

/// What has to be written holds what was to be written, in canonical bytes: those that prost writes.
fn writing(case: &Case<'_>) -> bool {
    let sent = list(&case.request["records"]);
    let expected = list(&case.expected["records"]);
    if expected.iter().any(|record| record.get("data").is_none()) {
        return false;
    }
    let mut inside = Vec::new();
    let mut is_all_raw = true;
    for outer in expected {
        let data = bytes(outer);
        let Some(message) = message(&data) else {
            inside.push((None, None, data));
            continue;
        };
        is_all_raw = false;
        assert_eq!(message.encode_to_vec(), data[4..data.len() - 16], "{}", case.vector.id);
        for record in &message.records {
            let (partition_key, hash_key) = keys(&message, record).expect("keys");
            inside.push((Some(partition_key), hash_key, record.data.clone().unwrap()));
        }
    }
    let refused = case.expected.get("errors").and_then(Value::as_u64).unwrap_or(0) as usize;
    assert_eq!(inside.len() + refused, sent.len(), "{}", case.vector.id);
    let is_sharded = case.request["options"].get("shards").is_some();
    let mut sent = sent.iter();
    for (partition_key, hash_key, data) in &inside {
        let is_it = |record: &&Value| {
            bytes(record) == *data
                && partition_key.as_deref().is_none_or(|key| record["partitionKey"] == key)
                && (partition_key.is_none() || record["explicitHashKey"].as_str() == hash_key.as_deref())
        };
        // In their order, unless each shard has an order of its own.
        let found = match is_sharded {
            true => list(&case.request["records"]).iter().find(is_it),
            false => sent.find(is_it),
        };
        assert!(found.is_some(), "{}: {partition_key:?}", case.vector.id);
    }
    !inside.is_empty() && !is_all_raw
}

fn hash_key(case: &Case<'_>) -> bool {
    let Some(expected) = case.expected.get("hashKey").and_then(Value::as_str) else {
        return false;
    };
    let by_key = u128::from_be_bytes(md5(case.request["partitionKey"].as_str().unwrap().as_bytes()));
    let explicit = case.request.get("explicitHashKey").and_then(Value::as_str);
    let explicit = explicit.map(|key| key.parse().unwrap());
    assert_eq!(expected, explicit.unwrap_or(by_key).to_string(), "{}", case.vector.id);
    true
}
