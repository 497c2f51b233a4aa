//! Bytes that no correct writer writes, and what each reader does with them.

use super::exchange::{Batch, KinesisRecord, Read, ReadRecord, decode};
use super::judge::shorten;
use crate::support::bytes::{
    MAGIC, aggregate_of, bytes_field, field_key, group, hash_key, key, padded_varint, record, record_at, record_of,
    sealed, varint_field,
};

/// An odd Kinesis record and what is odd about it. Its good user records have the partition key `k`, and their data is
/// one letter each.
pub(crate) fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let (k, x, y, z) = (key("k"), record(0, "x"), record(0, "y"), record(0, "z"));
    let three = |second: Vec<u8>| aggregate_of(&[k.clone(), x.clone(), second, z.clone()]);
    let data = |text: &str| bytes_field(3, text);
    let overlong = |len| record_of(&[vec![8], padded_varint(0, len), data("y")]);
    let hash_keyed = |text: &str| {
        aggregate_of(&[
            k.clone(),
            hash_key(text),
            record_at(0, 0, "x"),
            record_at(0, 0, "y"),
            record_at(0, 0, "z"),
        ])
    };
    vec![
        ("no message at all: magic and digest", sealed("")),
        ("keys and no records", aggregate_of(&[k.clone(), key("unused")])),
        (
            "a key that no record uses",
            aggregate_of(&[k.clone(), key("unused"), x.clone()]),
        ),
        (
            "the same key twice in the table",
            aggregate_of(&[k.clone(), k.clone(), x.clone(), record(1, "y")]),
        ),
        (
            "tables after the records",
            aggregate_of(&[x.clone(), y.clone(), k.clone()]),
        ),
        (
            "data before the indexes",
            three(record_of(&[data("y"), varint_field(1, 0)])),
        ),
        ("an unknown field in the message", three(bytes_field(9, "new"))),
        (
            "an unknown field in a record",
            three(record_of(&[varint_field(1, 0), data("y"), varint_field(9, 1)])),
        ),
        ("an unknown group", three(group(9, varint_field(1, 1)))),
        ("a group that does not end", three(field_key(9, 3))),
        ("an end of a group that did not start", three(field_key(9, 4))),
        ("field number 0", three(varint_field(0, 1))),
        ("wire type 6", three(field_key(9, 6))),
        (
            "an index twice in a record: 1, then 0",
            three(record_of(&[varint_field(1, 1), varint_field(1, 0), data("y")])),
        ),
        (
            "data twice in a record: n, then y",
            three(record_of(&[varint_field(1, 0), data("n"), data("y")])),
        ),
        (
            "a record with a tag",
            three(record_of(&[
                varint_field(1, 0),
                data("y"),
                bytes_field(4, bytes_field(1, "t")),
            ])),
        ),
        (
            "a tag without its key",
            three(record_of(&[
                varint_field(1, 0),
                data("y"),
                bytes_field(4, bytes_field(2, "v")),
            ])),
        ),
        ("a partition key index outside the table", three(record(1, "y"))),
        ("a partition key index of 2^31", three(record(1 << 31, "y"))),
        ("a partition key index of 2^32", three(record(1 << 32, "y"))),
        (
            "an explicit hash key index without a table",
            three(record_at(0, 0, "y")),
        ),
        (
            "an explicit hash key index outside the table",
            aggregate_of(&[
                k.clone(),
                hash_key("7"),
                record_at(0, 0, "x"),
                record_at(0, 1, "y"),
                record_at(0, 0, "z"),
            ]),
        ),
        (
            "no explicit hash key in the second of three",
            aggregate_of(&[
                k.clone(),
                hash_key("7"),
                record_at(0, 0, "x"),
                y.clone(),
                record_at(0, 0, "z"),
            ]),
        ),
        ("the explicit hash key is not a number", hash_keyed("seven")),
        ("the explicit hash key is empty", hash_keyed("")),
        ("the explicit hash key has leading zeros", hash_keyed("007")),
        (
            "the explicit hash key is 2^128",
            hash_keyed("340282366920938463463374607431768211456"),
        ),
        ("an empty partition key", aggregate_of(&[key(""), x.clone()])),
        (
            "a partition key of 257 characters",
            aggregate_of(&[key(&"k".repeat(257)), x.clone()]),
        ),
        (
            "a partition key that is not UTF-8",
            aggregate_of(&[bytes_field(1, [0xFF]), x.clone()]),
        ),
        (
            "an explicit hash key that is not UTF-8",
            aggregate_of(&[k.clone(), bytes_field(2, [0xFF]), record_at(0, 0, "x")]),
        ),
        ("a record without data", three(record_of(&[varint_field(1, 0)]))),
        ("a record without partition key index", three(record_of(&[data("y")]))),
        ("an index in 2 bytes that takes 1", three(overlong(2))),
        ("an index in 10 bytes that takes 1", three(overlong(10))),
        ("an index in 11 bytes", three(overlong(11))),
        (
            "an index over 2^64 whose lower bits are 0",
            three(record_of(&[
                vec![8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
                data("y"),
            ])),
        ),
        (
            "a length in 5 bytes that takes 1",
            three(record_of(&[
                varint_field(1, 0),
                vec![0x1A],
                padded_varint(1, 5),
                b"y".to_vec(),
            ])),
        ),
        (
            "a length in 10 bytes that takes 1",
            three(record_of(&[
                varint_field(1, 0),
                vec![0x1A],
                padded_varint(1, 10),
                b"y".to_vec(),
            ])),
        ),
        ("records of another wire type", three(varint_field(3, 1))),
        (
            "data of another wire type",
            three(record_of(&[varint_field(1, 0), varint_field(3, 1)])),
        ),
        (
            "an index of another wire type",
            three(record_of(&[bytes_field(1, "0"), data("y")])),
        ),
        ("a length past the end", three(vec![0x1A, 100])),
        (
            "an aggregate as data",
            aggregate_of(&[k.clone(), record(0, aggregate_of(&[k.clone(), x.clone()]))]),
        ),
        ("a wrong digest", {
            let mut bytes = three(y.clone());
            *bytes.last_mut().expect("bytes") ^= 1;
            bytes
        }),
        ("cut in the middle", three(y.clone())[..18].to_vec()),
        ("only the magic", MAGIC.to_vec()),
        ("the magic and 16 other bytes", [&MAGIC[..], &[0; 16]].concat()),
        ("the magic's first 3 bytes", MAGIC[..3].to_vec()),
    ]
}

/// The odd record between two plain ones.
pub(crate) fn batch(odd: &[u8]) -> Batch {
    let record = |number: u64, data: &[u8]| KinesisRecord {
        partition_key: "outer".to_owned(),
        explicit_hash_key: None,
        data: data_encoding::BASE64.encode(data),
        sequence_number: number.to_string(),
        shard: None,
    };
    Batch {
        records: vec![record(1, b"before"), record(2, odd), record(3, b"after")],
        range: None,
    }
}

/// Describes the result in a few words.
pub(crate) fn outcome(odd: &[u8], read: &Read) -> String {
    let of = |number: &str| {
        let number = Some(number.to_owned());
        read.records
            .iter()
            .filter(move |record| record.sequence_number == number)
    };
    let neighbours = of("1").count() + of("3").count();
    let mut words: Vec<String> = of("2").map(|record| one(odd, record)).collect();
    if words.is_empty() && neighbours == 2 {
        words.push(if read.error.is_some() {
            "error".to_owned()
        } else {
            "nothing".to_owned()
        });
    } else if read.error.is_some() && neighbours == 2 {
        words.push("and an error".to_owned());
    }
    if neighbours < 2 {
        let error = read.error.as_deref().map(|error| format!(": {}", shorten(error, 60)));
        words.push(format!("**the batch is lost**{}", error.unwrap_or_default()));
    }
    words.join(" ")
}

fn one(odd: &[u8], record: &ReadRecord) -> String {
    let Some(data) = record.data.as_deref().map(decode) else {
        return "no data".to_owned();
    };
    if data == odd {
        return "plain".to_owned();
    }
    let mut word = match &data[..] {
        [] => "(empty)".to_owned(),
        [letter] => char::from(*letter).to_string(),
        data if data.starts_with(&MAGIC) => "(the inner aggregate)".to_owned(),
        data => format!("({} bytes)", data.len()),
    };
    match record.partition_key.as_deref() {
        Some("k") => {}
        Some(key) if key.len() > 100 => word.push_str(" of the long key"),
        Some(key) => word.push_str(&format!(" of `{}`", key.escape_default())),
        None => word.push_str(" of no key"),
    }
    if let Some(hash_key) = &record.explicit_hash_key {
        word.push_str(&format!(" at `{}`", hash_key.escape_default()));
    }
    word
}
