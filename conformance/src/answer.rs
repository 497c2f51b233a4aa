//! kpl itself as a runner.

use data_encoding::BASE64;
use kpl_core::{
    AggregateError, AggregatorBuilder, Deaggregator, HashKey, HashKeyRange, KinesisRecord, MalformedPolicy,
    PartitionKey, Position, RawRecord, SealedRecord, Shard, ShardMap, StrayPolicy, UserRecord,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Returns kpl's own answer to a request: what a runner reads from a line and writes as a line.
///
/// ```
/// let answer = kpl_conformance::answer(r#"{"operation": "hash_key", "partitionKey": "abc"}"#);
/// assert_eq!(answer, r#"{"hashKey":"191415658344158766168031473277922803570"}"#);
/// ```
#[must_use]
pub fn answer(request: &str) -> String {
    let mut request = serde_json::from_str(request);
    let id = match &mut request {
        Ok(Value::Object(fields)) => fields.remove("id"),
        _ => None,
    };
    let answer = request.map_err(Refusal::error).and_then(answer_of);
    let mut answer = answer.unwrap_or_else(Refusal::into_json);
    if let Some(id) = id {
        answer["id"] = id;
    }
    answer.to_string()
}

/// Why there is no answer.
enum Refusal {
    Unsupported(String),
    Error(String),
}

impl Refusal {
    fn error(error: impl ToString) -> Self {
        Self::Error(error.to_string())
    }

    fn into_json(self) -> Value {
        match self {
            Self::Unsupported(reason) => json!({ "unsupported": reason }),
            Self::Error(error) => json!({ "error": error }),
        }
    }
}

fn answer_of(request: Value) -> Result<Value, Refusal> {
    let Value::Object(mut fields) = request else {
        return Err(Refusal::Error("a request is a JSON object".to_owned()));
    };
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let operation = text(fields.remove("operation")).unwrap_or_default();
    let policy = text(fields.remove("policy"));
    let policy = policy.as_deref();
    let fields = Value::Object(fields);
    match operation.as_str() {
        "version" => Ok(json!({"version": concat!("kpl-core ", env!("CARGO_PKG_VERSION"))})),
        "read" => read(parsed(fields)?, policy),
        "write" => write(parsed(fields)?, policy),
        "hash_key" => hash_key(&parsed(fields)?, policy),
        _ => Err(Refusal::Unsupported(format!("operation {operation:?}"))),
    }
}

/// Reads the fields of a request. One that is not known asks for something that cannot be done here; serde has no other way to tell it
/// from a mistake than the text of the error.
fn parsed<T: DeserializeOwned>(fields: Value) -> Result<T, Refusal> {
    serde_json::from_value(fields).map_err(|error| match error.to_string() {
        text if text.starts_with("unknown field") => Refusal::Unsupported(text),
        text => Refusal::Error(text),
    })
}

fn bytes(base64: &str) -> Result<Vec<u8>, Refusal> {
    BASE64.decode(base64.as_bytes()).map_err(Refusal::error)
}

fn range([start, end]: &[String; 2]) -> Result<HashKeyRange, Refusal> {
    let (start, end) = (start.parse::<HashKey>(), end.parse::<HashKey>());
    let start = start.map_err(Refusal::error)?;
    HashKeyRange::new(start, end.map_err(Refusal::error)?).map_err(Refusal::error)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Read {
    records: Vec<Received>,
    range: Option<[String; 2]>,
    after: Option<After>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Received {
    partition_key: String,
    data: String,
    sequence_number: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct After {
    sequence_number: String,
    sub_sequence_number: u64,
}

fn read(request: Read, policy: Option<&str>) -> Result<Value, Refusal> {
    let mut deaggregator = Deaggregator::<UserRecord<'_>>::new();
    let strays = match policy {
        None | Some("keep") => StrayPolicy::Keep,
        Some("drop_strays") => StrayPolicy::DropStrays,
        Some("drop_aggregate") => StrayPolicy::DropAggregate,
        Some("deliver" | "error") => StrayPolicy::default(),
        Some(other) => return Err(Refusal::Unsupported(format!("policy {other:?}"))),
    };
    match policy {
        Some("deliver") => deaggregator = deaggregator.malformed(MalformedPolicy::Deliver),
        Some("error") => deaggregator = deaggregator.malformed(MalformedPolicy::Error),
        _ => {}
    }
    if let Some(ends) = &request.range {
        deaggregator = deaggregator.range(range(ends)?, strays);
    }
    if let Some(after) = &request.after {
        let position = Position::new(&after.sequence_number, after.sub_sequence_number);
        deaggregator = deaggregator.after(position.map_err(Refusal::error)?);
    }
    let data: Vec<Vec<u8>> = request
        .records
        .iter()
        .map(|record| bytes(&record.data))
        .collect::<Result<_, _>>()?;
    let batch: Vec<KinesisRecord<'_>> = request
        .records
        .iter()
        .zip(&data)
        .map(|(record, data)| {
            KinesisRecord::new(data)
                .with_partition_key(&record.partition_key)
                .with_sequence_number(&record.sequence_number)
        })
        .collect();
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    for item in deaggregator.records(&batch) {
        match item {
            Ok(item) => records.push(delivered(&item.record)),
            Err(error) => errors.push(json!({
                "sequenceNumber": error.sequence_number(),
                "subSequenceNumber": error.sub_sequence_number(),
                "data": BASE64.encode(error.data()),
                "reason": error.kind().to_string(),
            })),
        }
    }
    Ok(json!({ "records": records, "errors": errors }))
}

fn delivered(record: &UserRecord<'_>) -> Value {
    let tags = record.tags();
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    json!({
        "partitionKey": record.partition_key,
        "explicitHashKey": record.explicit_hash_key.map(|key| key.to_string()),
        "data": BASE64.encode(record.data),
        "sequenceNumber": record.kinesis_record.sequence_number,
        "subSequenceNumber": record.sub_sequence_number,
        "aggregated": record.aggregated,
        "tags": tags,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Write {
    records: Vec<ToWrite>,
    #[serde(default)]
    options: WriteOptions,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ToWrite {
    partition_key: String,
    explicit_hash_key: Option<String>,
    data: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tag {
    key: String,
    value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WriteOptions {
    max_size: Option<usize>,
    max_count: Option<usize>,
    shards: Option<Vec<[String; 2]>>,
}

fn write(request: Write, policy: Option<&str>) -> Result<Value, Refusal> {
    let mut builder = AggregatorBuilder::<RawRecord>::default();
    match policy {
        None | Some("raw" | "first_key") => {}
        Some("wrapped") => builder = builder.wrap_single(true),
        Some("fixed_key") => builder = builder.outer_partition_key(PartitionKey::new("a").map_err(Refusal::error)?),
        Some(other) => return Err(Refusal::Unsupported(format!("policy {other:?}"))),
    }
    if let Some(size) = request.options.max_size {
        builder = builder.max_size(size);
    }
    if let Some(count) = request.options.max_count {
        builder = builder.max_count(count);
    }
    let (mut sealed, errors, last);
    if let Some(shards) = &request.options.shards {
        let shards: Vec<Shard> = shards
            .iter()
            .map(|ends| Ok(Shard::new(ends.join("-"), range(ends)?)))
            .collect::<Result<_, Refusal>>()?;
        let shards = ShardMap::new(shards).map_err(Refusal::error)?;
        let mut aggregator = builder.build_sharded(shards).map_err(Refusal::error)?;
        (sealed, errors) = push_all(&request.records, |record| aggregator.push(record))?;
        last = aggregator.finish().into_iter().collect::<Vec<_>>();
    } else {
        let mut aggregator = builder.build().map_err(Refusal::error)?;
        (sealed, errors) = push_all(&request.records, |record| aggregator.push(record))?;
        last = aggregator.finish().into_iter().collect();
    }
    sealed.extend(last);
    let records: Vec<Value> = sealed
        .iter()
        .map(|sealed| {
            json!({
                "partitionKey": sealed.partition_key.as_str(),
                "explicitHashKey": sealed.explicit_hash_key.to_string(),
                "data": BASE64.encode(&sealed.data),
            })
        })
        .collect();
    Ok(json!({ "records": records, "errors": errors }))
}

/// Returns what was sealed, and why user records were refused.
fn push_all(
    records: &[ToWrite],
    mut push: impl FnMut(&RawRecord) -> Result<Option<SealedRecord>, AggregateError>,
) -> Result<(Vec<SealedRecord>, Vec<String>), Refusal> {
    let (mut sealed, mut errors) = (Vec::new(), Vec::new());
    for record in records {
        match to_write(record)?.map(|record| push(&record)) {
            Ok(Ok(full)) => sealed.extend(full),
            Ok(Err(error)) => errors.push(error.to_string()),
            Err(error) => errors.push(error),
        }
    }
    Ok((sealed, errors))
}

/// Returns the user record, or why it is refused.
fn to_write(record: &ToWrite) -> Result<Result<RawRecord, String>, Refusal> {
    let mut raw = RawRecord::new(record.partition_key.as_str(), bytes(&record.data)?);
    if let Some(key) = &record.explicit_hash_key {
        match key.parse::<HashKey>() {
            Ok(key) => raw.explicit_hash_key = Some(key),
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
    for tag in &record.tags {
        raw = raw.with_tag(&tag.key, tag.value.as_deref());
    }
    Ok(Ok(raw))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Keys {
    partition_key: String,
    explicit_hash_key: Option<String>,
}

fn hash_key(keys: &Keys, policy: Option<&str>) -> Result<Value, Refusal> {
    if let Some(other) = policy.filter(|policy| *policy != "strict") {
        return Err(Refusal::Unsupported(format!("policy {other:?}")));
    }
    let partition_key = PartitionKey::new(keys.partition_key.as_str()).map_err(Refusal::error)?;
    let explicit = keys.explicit_hash_key.as_deref().map(str::parse::<HashKey>);
    let explicit = explicit.transpose().map_err(Refusal::error)?;
    let key = HashKey::effective(partition_key.as_str(), explicit);
    Ok(json!({ "hashKey": key.to_string() }))
}
