use std::collections::BTreeMap;
use std::fmt::Debug;

use super::input::Input;
use super::{bytes, writing};
use kpl::codec::{
    Bincode, CompressionOptions, Decode, Encode, Glue, GlueSchema, Gzip, Json, Lz4, Postcard, Prost, Raw, Zstd,
    ZstdDictionary,
};
use kpl::{
    AggregateError, Aggregator, DeaggregateErrorKind, Deaggregator, FromKplRecordOwned, HashKey, KinesisRecord,
    KplRecord, RawRecord,
};
use serde::{Deserialize, Serialize};

/// Any payload, as values of several types by every codec, alone and on the whole way through a derived type: what can
/// be read is written and reads as the same value, and no codec takes a byte too many or too few.
pub fn typed(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 20 {
        0 => codec::<Json, Event>(input.rest(), Leftover::WhiteSpace),
        1 => codec::<Json, Tree>(input.rest(), Leftover::WhiteSpace),
        2 => codec::<Json, Small>(input.rest(), Leftover::WhiteSpace),
        3 => codec::<Postcard, Event>(input.rest(), Leftover::Error),
        4 => codec::<Postcard, Small>(input.rest(), Leftover::Error),
        5 => codec::<Bincode, Event>(input.rest(), Leftover::Error),
        6 => codec::<Bincode, Small>(input.rest(), Leftover::Error),
        7 => codec::<Prost, Message>(input.rest(), Leftover::Error),
        8 => {
            let payload = input.rest();
            codec::<Raw, Vec<u8>>(payload, Leftover::OtherValue);
            codec::<Raw, [u8; 4]>(payload, Leftover::Error);
            borrowed(payload);
        }
        9 => records::<InJson>(&mut input),
        10 => records::<InPostcard>(&mut input),
        11 => records::<InBincode>(&mut input),
        12 => records::<InProst>(&mut input),
        13 => records::<Envelope>(&mut input),
        14 => records::<Kind>(&mut input),
        15 => codec::<Zstd<Postcard, Short>, Event>(input.rest(), Leftover::Error),
        16 => codec::<Gzip<Postcard, Short>, Event>(input.rest(), Leftover::Error),
        17 => codec::<Lz4<Postcard, Short>, Event>(input.rest(), Leftover::Error),
        18 => {
            let payload = input.rest();
            compressed::<Zstd<Raw, Short>>(payload);
            compressed::<Zstd<Raw, Common>>(payload);
            compressed::<Gzip<Raw, Short>>(payload);
            compressed::<Lz4<Raw, Short>>(payload);
            compressed::<Glue<Raw, Short>>(payload);
        }
        _ => records::<Pair>(&mut input),
    }
}

/// How a codec treats a byte that is left over after a value.
#[derive(Clone, Copy, PartialEq)]
enum Leftover {
    Error,
    /// White space is not an extra byte; a digit may belong to the value.
    WhiteSpace,
    /// Every byte belongs to the value.
    OtherValue,
}

/// Values are compared as strings, so that NaN equals NaN.
fn text(value: &impl Debug) -> String {
    format!("{value:?}")
}

fn encode<C: Encode<T>, T>(value: &T) -> Vec<u8> {
    let mut bytes = b"before".to_vec();
    C::encode(value, &mut bytes).expect("what was read can be written");
    assert!(bytes.starts_with(b"before"));
    bytes.split_off(6)
}

fn codec<C: Encode<T> + for<'de> Decode<'de, T>, T: Debug>(payload: &[u8], leftover: Leftover) {
    let value: T = match C::decode(payload) {
        Ok(value) => value,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = encode::<C, T>(&value);
    let again = C::decode(&written).expect("what was written can be read");
    assert_eq!(text(&again), text(&value));
    assert_eq!(encode::<C, T>(&again), written);
    for whole in [payload, &written] {
        for byte in *b"\0\x01 \n0e}]\x7F\x80\xFF" {
            match (C::decode(&[whole, &[byte]].concat()), leftover) {
                (Err(_), Leftover::Error) => {}
                (Err(_), Leftover::WhiteSpace) => assert!(!byte.is_ascii_whitespace()),
                (Ok(other), Leftover::WhiteSpace) => {
                    assert!(byte.is_ascii_whitespace() || text(&other) != text(&value))
                }
                (Ok(other), Leftover::OtherValue) => assert_ne!(text(&other), text(&value)),
                (Ok(_), Leftover::Error) => panic!("{byte:#04x} is left over, and that is not an error"),
                (Err(error), Leftover::OtherValue) => panic!("{error}"),
            }
        }
    }
    // Formats without a mark for the end of a value, and JSON of a container, need every byte.
    if written.len() <= 64 && leftover != Leftover::OtherValue {
        for len in 0..written.len() {
            if let Ok(other) = C::decode(&written[..len]) {
                assert_ne!(text(&other), text(&value));
            }
        }
    }
}

/// Everything is compressed, and little is decompressed.
struct Short;

impl CompressionOptions for Short {
    const THRESHOLD: usize = 0;
    const LIMIT: usize = 1 << 20;
}

/// The same with a dictionary.
struct Common;

impl CompressionOptions for Common {
    const THRESHOLD: usize = 0;
    const LIMIT: usize = 1 << 20;

    fn dictionaries() -> &'static [&'static ZstdDictionary] {
        static DICTIONARY: ZstdDictionary = ZstdDictionary::new(
            br#"{"user":"anna","url":"/basket","referrer":"https://example.com/","agent":"Mozilla/5.0"}"#,
        );
        static DICTIONARIES: [&ZstdDictionary; 1] = [&DICTIONARY];
        &DICTIONARIES
    }
}

impl GlueSchema for Short {
    const COMPRESSION: bool = true;
    const LIMIT: usize = 1 << 20;

    fn version_id() -> Option<u128> {
        Some(u128::MAX / 7)
    }
}

/// Any bytes are read, if they are not compressed; and they are not mistaken when they are written.
fn compressed<C: Encode<Vec<u8>> + for<'de> Decode<'de, Vec<u8>>>(payload: &[u8]) {
    let value: Vec<u8> = match C::decode(payload) {
        Ok(value) => value,
        Err(_) => payload.to_vec(),
    };
    assert!(value.len() <= 1 << 20);
    let again: Vec<u8> = C::decode(&encode::<C, _>(&value)).expect("what was written can be read");
    assert!(again == value);
}

/// Views of the payload itself.
fn borrowed(payload: &[u8]) {
    let raw: &[u8] = Raw::decode(payload).expect("bytes are bytes");
    assert_eq!(raw, payload);
    fn view<'de, C: Encode<View<'de>> + Decode<'de, View<'de>>>(payload: &'de [u8]) {
        if let Ok(View { text, number }) = C::decode(payload) {
            assert!(payload.as_ptr_range().contains(&text.as_ptr()) || text.is_empty());
            let mut written = Vec::new();
            C::encode(&View { text, number }, &mut written).expect("what was read can be written");
            assert!(
                written
                    .windows(text.len().max(1))
                    .any(|window| window == text.as_bytes())
                    || text.is_empty()
            );
        }
    }
    view::<Json>(payload);
    view::<Postcard>(payload);
    view::<Bincode>(payload);
}

/// An aggregate of records with any keys and payloads, and how a type reads it.
fn records<T: KplRecord + FromKplRecordOwned + Debug>(input: &mut Input<'_>) {
    let mut sent = Vec::new();
    while !input.is_empty() && sent.len() < 8 {
        let mut record = input.record();
        if input.flag() {
            record = record.with_tag("note", Some(&input.text()));
        }
        record.data = input.rest_or_bytes().to_vec();
        if writing::is_key(writing::key(&record)) {
            sent.push(record);
        }
    }
    let mut aggregator = Aggregator::builder()
        .wrap_single(true)
        .max_size(10 << 20)
        .build()
        .expect("valid");
    for record in &sent {
        assert_eq!(aggregator.push(record).expect("it is small"), None);
    }
    let Some(sealed) = aggregator.finish() else {
        return;
    };
    let batch = [KinesisRecord::from(&sealed)];
    let mut received = Deaggregator::<T>::new().records(&batch);
    for sent in &sent {
        match received.next().expect("a record or an error for each") {
            Ok(received) => {
                assert_eq!(received.record.data, &*sent.data);
                assert_eq!(RawRecord::from(&received.record), *sent);
                again(&received.value);
            }
            Err(error) => {
                assert_eq!(error.data(), &*sent.data);
                assert!(matches!(error.kind(), DeaggregateErrorKind::Read(_)), "{error}");
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(received.next().is_none());
    assert_eq!(received.counts().user_records, sent.len() as u64);
}

/// A value that was read is written and read once more. Its key may be one that cannot be written.
fn again<T: KplRecord + FromKplRecordOwned + Debug>(value: &T) {
    let mut aggregator = Aggregator::<T>::builder().max_size(10 << 20).build().expect("valid");
    match aggregator.push(value) {
        Ok(full) => assert_eq!(full, None),
        Err(AggregateError::PartitionKey(error)) => {
            assert!(!writing::is_key(&error.text));
            return;
        }
        Err(error) => panic!("{error}"),
    }
    let sealed = aggregator.finish().expect("it holds a record");
    assert_eq!(sealed.data.starts_with(&bytes::MAGIC), sealed.aggregated);
    let batch = [KinesisRecord::from(&sealed)];
    let mut received = Deaggregator::<T>::new().records(&batch);
    let received = received
        .next()
        .expect("one record")
        .expect("what was written can be read");
    assert_eq!(text(&received.value), text(value));
}

#[derive(Debug, Serialize, Deserialize)]
struct Event {
    id: u64,
    name: String,
    delta: i32,
    ratio: f64,
    flags: Vec<bool>,
    kind: Variant,
    parent: Option<u128>,
    letter: char,
    attributes: BTreeMap<String, u16>,
    #[serde(default)]
    pair: (u8, i8),
    at: Option<HashKey>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Variant {
    Unit,
    New(u32),
    Tuple(u8, String),
    Struct { at: i64 },
}

/// Takes few bytes, so that many payloads are valid.
#[derive(Debug, Serialize, Deserialize)]
struct Small {
    numbers: Vec<u16>,
    text: String,
    float: f32,
    big: i128,
    variant: Variant,
    nothing: (),
}

/// Nested as deeply as the payload says.
#[derive(Debug, Serialize, Deserialize)]
enum Tree {
    Leaf(i8),
    Nodes(Vec<Tree>),
    Named(BTreeMap<String, Tree>),
}

#[derive(Serialize, Deserialize)]
struct View<'a> {
    text: &'a str,
    number: u8,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(sint32, optional, tag = "3")]
    delta: Option<i32>,
    #[prost(double, optional, tag = "4")]
    ratio: Option<f64>,
    #[prost(bytes = "vec", repeated, tag = "16")]
    parts: Vec<Vec<u8>>,
    #[prost(message, optional, boxed, tag = "5")]
    inner: Option<Box<Message>>,
}

#[derive(Debug, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Json)]
struct InJson {
    #[kpl(partition_key, elide)]
    key: String,
    #[kpl(tag = "note")]
    note: Option<String>,
    #[kpl(explicit_hash_key)]
    place: Option<HashKey>,
    numbers: Vec<i64>,
}

#[derive(Debug, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Postcard)]
struct InPostcard {
    #[kpl(partition_key, elide)]
    key: u64,
    #[kpl(tag = "note")]
    note: Option<String>,
    #[kpl(explicit_hash_key)]
    place: Option<u128>,
    variant: Variant,
}

#[derive(Debug, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Bincode)]
struct InBincode {
    #[kpl(partition_key, elide)]
    key: char,
    #[kpl(tag = "note")]
    note: Option<String>,
    #[kpl(explicit_hash_key)]
    place: Option<u128>,
    variant: Variant,
}

#[derive(Clone, PartialEq, prost::Message, KplRecord)]
#[kpl(codec = Prost)]
struct InProst {
    #[prost(string, tag = "1")]
    #[kpl(partition_key)]
    key: String,
    #[prost(string, optional, tag = "2")]
    #[kpl(tag = "note")]
    note: Option<String>,
}

#[derive(Debug, KplRecord)]
struct Envelope {
    #[kpl(partition_key)]
    key: String,
    #[kpl(explicit_hash_key)]
    place: Option<HashKey>,
    #[kpl(tag = "note")]
    note: Option<String>,
    #[kpl(payload)]
    body: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Json)]
enum Kind {
    One {
        #[kpl(partition_key)]
        key: String,
    },
    #[kpl(partition_key = "{0}/{1}")]
    Two(u32, u32),
    #[kpl(partition_key = "three")]
    Three,
}

#[derive(Debug, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Postcard, partition_key = "{tenant}/{user:08x}")]
struct Pair {
    tenant: String,
    user: u32,
}
