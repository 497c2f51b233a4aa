//! The format by prost's derive, owned data, and md-5.

use std::collections::HashMap;
use std::hint::black_box;

use md5::{Digest as _, Md5};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct AggregatedRecord {
    #[prost(string, repeated, tag = "1")]
    partition_key_table: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_key_table: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<Record>,
}

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(uint64, required, tag = "1")]
    partition_key_index: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "vec", required, tag = "3")]
    data: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, Message)]
struct Tag {
    #[prost(string, required, tag = "1")]
    key: String,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// Reads all user records of an aggregate.
pub(crate) fn read(data: &[u8]) {
    let body = &data[4..data.len() - 16];
    assert_eq!(Md5::digest(body)[..], data[data.len() - 16..]);
    read_body(body);
}

/// Reads all user records of the protobuf bytes of an aggregate.
pub(crate) fn read_body(body: &[u8]) {
    let aggregate = AggregatedRecord::decode(body).expect("the body is valid");
    for record in aggregate.records {
        let key = &aggregate.partition_key_table[record.partition_key_index as usize];
        black_box((key, &record.data));
    }
}

/// Writes user records as an aggregate.
pub(crate) fn write(records: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut aggregate = AggregatedRecord::default();
    let mut indexes = HashMap::new();
    for (key, data) in records {
        let index = *indexes.entry(key.as_str()).or_insert_with(|| {
            aggregate.partition_key_table.push(key.clone());
            aggregate.partition_key_table.len() as u64 - 1
        });
        aggregate.records.push(Record {
            partition_key_index: index,
            explicit_hash_key_index: None,
            data: data.clone(),
            tags: Vec::new(),
        });
    }
    let mut bytes = Vec::with_capacity(20 + aggregate.encoded_len());
    bytes.extend_from_slice(&[0xF3, 0x89, 0x9A, 0xC2]);
    aggregate.encode(&mut bytes).expect("the buffer grows");
    let digest = Md5::digest(&bytes[4..]);
    bytes.extend_from_slice(&digest);
    bytes
}
