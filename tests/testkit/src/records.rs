//! User records, and helpers that aggregate and deaggregate them.

use kpl_core::{
    Aggregator, CodecError, DeaggregateError, Deaggregator, FromKplRecord, HashKey, KeyError, KinesisRecord, KplRecord,
    MAX_RECORD_SIZE, RawRecord, ReadError, SealedRecord, UserRecord,
};

/// Returns a user record with this partition key and data.
pub fn raw(key: &str, data: impl AsRef<[u8]>) -> RawRecord {
    RawRecord::new(key, data.as_ref())
}

/// Returns a user record with an explicit hash key.
pub fn raw_at(key: &str, hash_key: u128, data: impl AsRef<[u8]>) -> RawRecord {
    raw(key, data).with_explicit_hash_key(hash_key)
}

/// Returns all records of a batch, in order.
pub fn items(batch: &[KinesisRecord<'_>]) -> Vec<Result<RawRecord, DeaggregateError>> {
    Deaggregator::<RawRecord>::new()
        .records(batch)
        .map(|item| item.map(|record| record.value))
        .collect()
}

/// Returns the user records of one Kinesis record with this partition key. None of them may be an error.
pub fn user_records(data: &[u8], key: &str) -> Vec<RawRecord> {
    items(&[KinesisRecord::new(data).with_partition_key(key)])
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("every user record can be read")
}

/// Returns the user records of a sealed record.
pub fn contents(sealed: &SealedRecord) -> Vec<RawRecord> {
    user_records(&sealed.data, sealed.partition_key.as_str())
}

/// Returns the user records of many sealed records, in order.
pub fn all_contents<'a>(sealed: impl IntoIterator<Item = &'a SealedRecord>) -> Vec<RawRecord> {
    sealed.into_iter().flat_map(contents).collect()
}

/// Aggregates records to the end. Each must fit.
pub fn aggregate<'a, T: KplRecord + 'a>(
    mut aggregator: Aggregator<T>,
    records: impl IntoIterator<Item = &'a T>,
) -> Vec<SealedRecord> {
    let mut sealed = Vec::new();
    for record in records {
        sealed.extend(aggregator.push(record).expect("the record fits"));
    }
    sealed.extend(aggregator.finish());
    sealed
}

/// Aggregates records into one sealed record of any size, which is wrapped even if there is only one.
pub fn aggregate_into_one<T: KplRecord>(records: &[T]) -> SealedRecord {
    let builder = Aggregator::builder().wrap_single(true).max_size(MAX_RECORD_SIZE);
    aggregate_into_one_with(builder.build().expect("the options are valid"), records)
}

/// Aggregates records into one sealed record. The aggregator must not produce more than one.
pub fn aggregate_into_one_with<T: KplRecord>(aggregator: Aggregator<T>, records: &[T]) -> SealedRecord {
    let mut sealed = aggregate(aggregator, records);
    let only = sealed.pop().expect("there are records");
    assert!(sealed.is_empty(), "they fit into one");
    only
}

/// Returns records as readers receive them after an aggregator: a raw record does not include its explicit hash key.
pub fn as_readers_get(sealed: &SealedRecord, records: &[RawRecord]) -> Vec<RawRecord> {
    let mut records = records.to_vec();
    if !sealed.aggregated {
        assert_eq!(records.len(), 1, "only a lone record travels raw");
        records[0].explicit_hash_key = None;
    }
    records
}

/// Returns the effective hash key of a user record.
pub fn effective(record: &RawRecord) -> HashKey {
    let key = record.partition_key.as_deref().expect("the record has a partition key");
    HashKey::effective(key, record.explicit_hash_key)
}

/// Returns the tags of a user record, to be compared and printed: `Debug` shows only how many there are.
pub fn tags(record: &RawRecord) -> Vec<(String, Option<String>)> {
    let owned = |(key, value): (&str, Option<&str>)| (key.to_owned(), value.map(str::to_owned));
    record.tags.iter().map(owned).collect()
}

/// A record whose data must be UTF-8, so that malformed aggregates and bad payloads are errors. Its partition key is
/// `text`.
#[derive(Clone, Debug, PartialEq)]
pub struct Text(pub String);

impl KplRecord for Text {
    fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, KeyError> {
        Ok("text")
    }

    fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        Ok(self.0.as_bytes())
    }
}

impl FromKplRecord<'_> for Text {
    fn from_user_record(record: &UserRecord<'_>) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(record.data).map_err(|error| CodecError::decode("Text", error))?;
        Ok(Self(text.to_owned()))
    }
}
