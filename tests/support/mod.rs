//! What the tests of the format share: an oracle, bytes made by hand, golden files, and strategies for proptest.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod bytes;
pub(crate) mod golden;
pub(crate) mod hostile;
pub(crate) mod oracle;
pub(crate) mod strategies;

use kpl::{
    Aggregator, DeaggregateError, Deaggregator, FromKplRecord, HashKey, HashKeyRange, KinesisRecord, KplRecord,
    RawRecord, SealedRecord, Shard, ShardMap,
};

/// A user record of a partition key and data.
pub(crate) fn raw(key: &str, data: impl AsRef<[u8]>) -> RawRecord<'static> {
    RawRecord::from_parts(key.to_owned(), data.as_ref().to_owned())
}

/// A user record with an explicit hash key.
pub(crate) fn raw_at(key: &str, hash_key: u128, data: impl AsRef<[u8]>) -> RawRecord<'static> {
    raw(key, data).with_explicit_hash_key(hash_key)
}

/// Everything that is in a batch, in order.
pub(crate) fn items(batch: &[KinesisRecord<'_>]) -> Vec<Result<RawRecord<'static>, DeaggregateError>> {
    Deaggregator::<RawRecord<'_>>::new()
        .records(batch)
        .map(|item| item.map(|record| record.value.into_owned()))
        .collect()
}

/// The user records of one Kinesis record, none of which may be an error.
pub(crate) fn user_records(data: &[u8], key: &str) -> Vec<RawRecord<'static>> {
    items(&[KinesisRecord::new(data).with_partition_key(key)])
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("every user record can be read")
}

/// The user records of what an aggregator made.
pub(crate) fn contents(sealed: &SealedRecord) -> Vec<RawRecord<'static>> {
    user_records(&sealed.data, sealed.partition_key.as_str())
}

/// The user records of many sealed records, in order.
pub(crate) fn all_contents<'a>(sealed: impl IntoIterator<Item = &'a SealedRecord>) -> Vec<RawRecord<'static>> {
    sealed.into_iter().flat_map(contents).collect()
}

/// Aggregates records with an aggregator, to the end.
pub(crate) fn aggregate<'a, T: KplRecord + 'a>(
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

/// Aggregates records into one sealed record, wrapped even if there is only one.
pub(crate) fn aggregate_into_one(records: &[RawRecord<'static>]) -> SealedRecord {
    let builder = Aggregator::builder().wrap_single(true);
    let aggregator = builder.max_size(kpl::LARGEST_MAX_SIZE).build();
    let mut sealed = aggregate(aggregator.expect("options are valid"), records);
    let only = sealed.pop().expect("there are records");
    assert!(sealed.is_empty(), "they fit into one");
    only
}

/// What readers get of a record that an aggregator sent: a raw one does not carry its explicit hash key.
pub(crate) fn as_readers_get(sealed: &SealedRecord, records: &[RawRecord<'static>]) -> Vec<RawRecord<'static>> {
    let mut records = records.to_vec();
    if !sealed.aggregated {
        assert_eq!(records.len(), 1, "only a lone record travels raw");
        records[0].explicit_hash_key = None;
    }
    records
}

/// Shards that start at these hash keys, and at 0.
pub(crate) fn shards(starts: &[u128]) -> ShardMap {
    let mut starts = [&[0], starts].concat();
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([u128::MAX]);
    let shards = starts.iter().zip(ends).enumerate();
    ShardMap::new(shards.map(|(number, (&start, end))| {
        let range = HashKeyRange::try_from(start..=end).expect("starts are in order");
        Shard::new(format!("shardId-{number:012}"), range)
    }))
    .expect("no gap, no overlap")
}

/// The effective hash key of a user record.
pub(crate) fn effective(record: &RawRecord<'_>) -> HashKey {
    HashKey::effective(&record.partition_key, record.explicit_hash_key)
}

/// A type that is read from text, so that malformed aggregates and bad payloads are errors for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text(pub(crate) String);

impl KplRecord for Text {
    fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, kpl::KeyError> {
        Ok("text")
    }

    fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], kpl::CodecError> {
        Ok(self.0.as_bytes())
    }
}

impl FromKplRecord<'_> for Text {
    fn from_user_record(record: &kpl::UserRecord<'_, '_>) -> Result<Self, kpl::ReadError> {
        let text = std::str::from_utf8(record.data).map_err(|error| kpl::CodecError::decode("Text", error))?;
        Ok(Self(text.to_owned()))
    }
}
