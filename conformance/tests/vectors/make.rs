//! What vectors are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use data_encoding::BASE64;
use kpl_conformance::{Group, VERSION, Vector};
use kpl_testkit::golden::Golden;
use serde_json::{Map, Value, json};

pub(crate) fn group(name: &str, about: &str, vectors: Vec<Vector>) -> Group {
    Group {
        version: VERSION,
        group: name.to_owned(),
        about: about.to_owned(),
        vectors,
    }
}

/// The golden files that are short enough for a vector. What two writers have written alike is there once, with the KPL as the first.
pub(crate) fn golden_files() -> Vec<Golden> {
    let mut all = Golden::all();
    all.retain(|golden| golden.aggregated.len() < 3_400);
    all.sort_by_key(|golden| !golden.name.starts_with("kpl-"));
    let mut bytes = BTreeSet::new();
    all.retain(|golden| bytes.insert(golden.aggregated.clone()));
    all
}

/// A vector to which there is one answer under every policy.
pub(crate) fn any(id: impl Into<String>, rule: &str, input: Value, expected: Value) -> Vector {
    by_policy(id, rule, input, [("any", expected)])
}

/// A vector whose answer depends on the policy.
pub(crate) fn by_policy(
    id: impl Into<String>,
    rule: &str,
    input: Value,
    expected: impl IntoIterator<Item = (&'static str, Value)>,
) -> Vector {
    Vector {
        id: id.into(),
        rule: rule.to_owned(),
        input,
        requires: Vec::new(),
        expected: expected
            .into_iter()
            .map(|(policy, expected)| (policy.to_owned(), expected))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// The vector, which is about these fields: an answer without them says nothing.
pub(crate) fn requires(vector: Vector, fields: &[&str]) -> Vector {
    Vector {
        requires: fields.iter().map(|&field| field.to_owned()).collect(),
        ..vector
    }
}

/// Bytes as base64, in which long runs of one byte are shortened.
pub(crate) fn data(bytes: impl AsRef<[u8]>) -> Value {
    const LONG: usize = 96;

    let mut parts: Vec<Value> = Vec::new();
    let mut rest: Vec<u8> = Vec::new();
    let base64 = |bytes: &[u8]| Value::from(BASE64.encode(bytes));
    for run in bytes.as_ref().chunk_by(|one, next| one == next) {
        if run.len() < LONG {
            rest.extend_from_slice(run);
            continue;
        }
        if !rest.is_empty() {
            parts.push(base64(&std::mem::take(&mut rest)));
        }
        parts.push(json!({"repeat": base64(&run[..1]), "count": run.len()}));
    }
    if parts.is_empty() {
        return base64(&rest);
    }
    if !rest.is_empty() {
        parts.push(base64(&rest));
    }
    parts.into()
}

/// A user record to write.
pub(crate) fn user(partition_key: &str, bytes: impl AsRef<[u8]>) -> Value {
    json!({"partitionKey": partition_key, "data": data(bytes)})
}

/// A user record to write, with an explicit hash key.
pub(crate) fn user_at(partition_key: &str, hash_key: impl ToString, bytes: impl AsRef<[u8]>) -> Value {
    json!({"partitionKey": partition_key, "explicitHashKey": hash_key.to_string(), "data": data(bytes)})
}

pub(crate) fn write(records: Value) -> Value {
    json!({"operation": "write", "records": records})
}

pub(crate) fn write_with(options: Value, records: Value) -> Value {
    json!({"operation": "write", "options": options, "records": records})
}

/// What has to be written: only the bytes matter, and how many records there are.
pub(crate) fn written(data_of_each: impl IntoIterator<Item = Vec<u8>>) -> Value {
    let records: Vec<Value> = data_of_each
        .into_iter()
        .map(|bytes| json!({"data": data(bytes)}))
        .collect();
    json!({ "records": records })
}

/// The Kinesis record with this number in a batch.
pub(crate) fn kinesis(number: u64, bytes: impl AsRef<[u8]>) -> Value {
    json!({"partitionKey": "outer", "sequenceNumber": number.to_string(), "data": data(bytes)})
}

pub(crate) fn read(records: Vec<Value>) -> Value {
    json!({"operation": "read", "records": records})
}

/// One Kinesis record, read.
pub(crate) fn read_one(bytes: impl AsRef<[u8]>) -> Value {
    read(vec![kinesis(1, bytes)])
}

/// A user record out of an aggregate.
pub(crate) fn inner(
    number: u64,
    sub: u64,
    partition_key: &str,
    hash_key: Option<&str>,
    bytes: impl AsRef<[u8]>,
) -> Value {
    json!({
        "partitionKey": partition_key,
        "explicitHashKey": hash_key,
        "data": data(bytes),
        "sequenceNumber": number.to_string(),
        "subSequenceNumber": sub,
        "aggregated": true,
    })
}

/// A plain record.
pub(crate) fn plain(number: u64, bytes: impl AsRef<[u8]>) -> Value {
    json!({
        "partitionKey": "outer",
        "explicitHashKey": null,
        "data": data(bytes),
        "sequenceNumber": number.to_string(),
        "subSequenceNumber": 0,
        "aggregated": false,
    })
}

/// An error in the place of a user record.
pub(crate) fn error(number: u64, sub: u64, bytes: impl AsRef<[u8]>) -> Value {
    json!({"sequenceNumber": number.to_string(), "subSequenceNumber": sub, "data": data(bytes)})
}

pub(crate) fn records(records: Vec<Value>) -> Value {
    json!({ "records": records })
}

/// The value with one more field.
pub(crate) fn with(mut value: Value, name: &str, field: Value) -> Value {
    value[name] = field;
    value
}

/// JSON that people can read: what fits into a line is on one.
pub(crate) fn document(value: &Value) -> String {
    let mut text = String::new();
    append(&mut text, value, 0);
    text
}

fn append(text: &mut String, value: &Value, depth: usize) {
    const WIDTH: usize = 130;

    let line = one_line(value);
    let indent = "  ".repeat(depth);
    let is_short = depth > 0 && depth * 2 + line.len() <= WIDTH;
    match value {
        Value::Object(fields) if !is_short && !fields.is_empty() => {
            text.push('{');
            for (index, (name, field)) in ordered(fields).into_iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}\n{indent}  {}: ", Value::from(name));
                append(text, field, depth + 1);
            }
            let _ = write!(text, "\n{indent}}}");
        }
        Value::Array(items) if !is_short && !items.is_empty() => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}\n{indent}  ");
                append(text, item, depth + 1);
            }
            let _ = write!(text, "\n{indent}]");
        }
        _ => text.push_str(&line),
    }
}

fn one_line(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = ordered(fields)
                .into_iter()
                .map(|(name, field)| format!("{}: {}", Value::from(name), one_line(field)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// What a reader looks for first comes first.
fn ordered(fields: &Map<String, Value>) -> Vec<(&str, &Value)> {
    const FIRST: [&str; 11] = [
        "version",
        "group",
        "about",
        "id",
        "rule",
        "operation",
        "policy",
        "input",
        "partitionKey",
        "explicitHashKey",
        "repeat",
    ];

    let mut fields: Vec<_> = fields.iter().map(|(name, field)| (name.as_str(), field)).collect();
    fields.sort_by_key(|(name, _)| {
        (
            FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()),
            *name,
        )
    });
    fields
}
