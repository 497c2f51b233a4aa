//! The messages of the format as prost's derive understands them.

use prost::Message as _;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AggregatedRecord {
    #[prost(string, repeated, tag = "1")]
    pub(crate) partition_key_table: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) explicit_hash_key_table: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) records: Vec<Record>,
}

/// Required fields are optional here, so that a missing one can be noticed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Record {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) partition_key_index: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(crate) explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(crate) data: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Tag {
    #[prost(string, optional, tag = "1")]
    pub(crate) key: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) value: Option<String>,
}

/// Reads a body. Returns `None` if it does not parse, or if a required field is missing.
pub(crate) fn read(body: &[u8]) -> Option<AggregatedRecord> {
    let message = AggregatedRecord::decode(body).ok()?;
    let complete = message.records.iter().all(|record| {
        record.partition_key_index.is_some() && record.data.is_some() && record.tags.iter().all(|tag| tag.key.is_some())
    });
    complete.then_some(message)
}

/// Returns what this library reads from a body, in the oracle's terms, or `None` if it does not accept it.
pub(crate) fn read_by_us(body: &[u8]) -> Option<AggregatedRecord> {
    let sealed = super::bytes::sealed(body);
    let aggregate = kpl_core::wire::AggregatedRecord::parse(&sealed).ok()?;
    let owned = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>();
    let records = aggregate.records().map(|record| Record {
        partition_key_index: Some(record.partition_key_index),
        explicit_hash_key_index: record.explicit_hash_key_index,
        data: Some(record.data.to_vec()),
        tags: record
            .tags()
            .iter()
            .map(|(key, value)| Tag {
                key: Some(key.to_owned()),
                value: value.map(Into::into),
            })
            .collect(),
    });
    let message = AggregatedRecord {
        partition_key_table: owned(aggregate.partition_keys()),
        explicit_hash_key_table: owned(aggregate.explicit_hash_keys()),
        records: records.collect(),
    };
    assert_eq!(aggregate.len(), message.records.len(), "the count that was announced");
    assert_eq!(aggregate.is_empty(), message.records.is_empty());
    Some(message)
}
