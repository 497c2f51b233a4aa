//! Reading: all shapes that readers accept, and positions.

use kpl_conformance::{Group, Vector};
use kpl_testkit::bytes::{
    MAGIC, aggregate_of, bytes_field, group as group_field, hash_key, key, padded_varint, record, record_at, record_of,
    varint_field,
};
use serde_json::{Value, json};

use crate::make::{any, data, golden_files, group, inner, kinesis, plain, read, read_one, records, requires, with};

const GOLDEN: &str = "The user records of a valid aggregate are delivered in order. Each has the entry of the partition-key table at \
                      its index and, only if it has an explicit hash key index, the entry of the explicit-hash-key table at that index.";
const NO_INDEX: &str = "A user record without an explicit hash key index has no explicit hash key, even if the message has an \
                        explicit-hash-key table.";
const ACCEPTED: &str = "A reader accepts fields in any order, tables after the records, a key that is twice in its table, table entries \
                        that no record uses, unknown fields, tags, non-minimal varints, repeated scalar fields, of which the last one \
                        counts, and an aggregate without records.";
const PLAIN: &str = "A Kinesis record is aggregated if its data has at least 21 bytes, starts with the magic, ends with the MD5 of its \
                     message, and the message is valid and has its required fields. Any other data is delivered unchanged, as one plain \
                     record with the sub-sequence number 0.";
const ONE_LEVEL: &str = "A user record whose data is itself an aggregate is not unpacked again.";
const BATCH: &str = "The records of a batch, plain and aggregated, are delivered in the order of the batch.";
const TAGS: &str = "A reader accepts tags. If it reports them, they are those of the user record, in order.";
const AGGREGATED: &str = "The user records of a valid aggregate are marked as aggregated, and plain records are not.";
const LENIENT: &str = "Leading zeros are allowed in the explicit hash keys that are read, as in the KCL.";
const MANY: &str = "An aggregate may hold thousands of small user records, and each of them is delivered.";
const LARGE: &str = "The data of a user record is delivered byte for byte, even if it fills a Kinesis record of 1 MiB.";
const SUB: &str =
    "The sub-sequence number of a user record is its place among the records of its message, counted from 0.";
const OUTER: &str =
    "The sequence number, the arrival time and the encryption type of a user record are those of its Kinesis record.";
const RESUME: &str = "A reader can resume after any position, also in the middle of an aggregate. A position is a sequence number and a \
                      sub-sequence number.";
const NUMBERS: &str =
    "Positions are compared by their sequence numbers, as integers, and then by their sub-sequence numbers.";

/// One record out of an aggregate under the partition key `k`.
fn one(sub: u64, bytes: impl AsRef<[u8]>) -> Value {
    inner(1, sub, "k", None, bytes)
}

pub(crate) fn reading() -> Group {
    let (k, x, y, z) = (key("k"), record(0, "x"), record(0, "y"), record(0, "z"));
    let three = |second: Vec<u8>| read_one(aggregate_of(&[k.clone(), x.clone(), second, z.clone()]));
    let xyz = || records(vec![one(0, "x"), one(1, "y"), one(2, "z")]);
    let xz = || records(vec![one(0, "x"), one(1, "z")]);
    let accepted = |id: &str, input: Value, expected: Value| any(format!("reading/{id}"), ACCEPTED, input, expected);
    let index_in = |len| record_of(&[vec![8], padded_varint(0, len), bytes_field(3, "y")]);
    let length_in = |len| record_of(&[varint_field(1, 0), vec![0x1A], padded_varint(1, len), b"y".to_vec()]);
    let mut vectors: Vec<Vector> = golden_files()
        .into_iter()
        .map(|golden| {
            let expected = golden
                .user_records
                .iter()
                .zip(&golden.sub_sequence_numbers)
                .map(|(record, &sub)| {
                    let hash_key = record.explicit_hash_key.map(|key| key.to_string());
                    let partition_key = record.partition_key.as_deref().unwrap_or_default();
                    inner(1, sub, partition_key, hash_key.as_deref(), &record.data)
                });
            any(
                format!("reading/golden-{}", golden.name.trim_end_matches(".json")),
                GOLDEN,
                read_one(&golden.aggregated),
                records(expected.collect()),
            )
        })
        .collect();
    vectors.extend([
        any(
            "reading/one-record",
            GOLDEN,
            read_one(aggregate_of(&[k.clone(), x.clone()])),
            records(vec![one(0, "x")]),
        ),
        any("reading/three-records", GOLDEN, three(y.clone()), xyz()),
        any(
            "reading/empty-data",
            GOLDEN,
            read_one(aggregate_of(&[k.clone(), record(0, ""), x.clone(), record(0, "")])),
            records(vec![one(0, ""), one(1, "x"), one(2, "")]),
        ),
        any(
            "reading/keys-by-index",
            GOLDEN,
            read_one(aggregate_of(&[
                key("a"),
                key("b"),
                key("c"),
                hash_key("7"),
                hash_key("8"),
                record(2, "2"),
                record_at(0, 1, "0"),
                record_at(1, 0, "1"),
            ])),
            records(vec![
                inner(1, 0, "c", None, "2"),
                inner(1, 1, "a", Some("8"), "0"),
                inner(1, 2, "b", Some("7"), "1"),
            ]),
        ),
        any(
            "reading/no-hash-key-in-the-second",
            NO_INDEX,
            read_one(aggregate_of(&[
                k.clone(),
                hash_key("7"),
                record_at(0, 0, "x"),
                y.clone(),
                record_at(0, 0, "z"),
            ])),
            records(vec![
                inner(1, 0, "k", Some("7"), "x"),
                one(1, "y"),
                inner(1, 2, "k", Some("7"), "z"),
            ]),
        ),
        any(
            "reading/no-hash-key-in-the-first",
            NO_INDEX,
            read_one(aggregate_of(&[
                k.clone(),
                hash_key("7"),
                x.clone(),
                record_at(0, 0, "y"),
            ])),
            records(vec![one(0, "x"), inner(1, 1, "k", Some("7"), "y")]),
        ),
        any(
            "reading/an-unused-hash-key",
            NO_INDEX,
            read_one(aggregate_of(&[k.clone(), hash_key("7"), x.clone(), y.clone()])),
            records(vec![one(0, "x"), one(1, "y")]),
        ),
        any(
            "reading/hash-key-with-leading-zeros",
            LENIENT,
            read_one(aggregate_of(&[k.clone(), hash_key("007"), record_at(0, 0, "x")])),
            records(vec![inner(1, 0, "k", Some("7"), "x")]),
        ),
        accepted(
            "keys-and-no-records",
            read_one(aggregate_of(&[k.clone(), key("unused")])),
            records(vec![]),
        ),
        accepted(
            "an-unused-key",
            read_one(aggregate_of(&[k.clone(), key("unused"), x.clone()])),
            records(vec![one(0, "x")]),
        ),
        accepted(
            "a-key-twice",
            read_one(aggregate_of(&[k.clone(), k.clone(), x.clone(), record(1, "y")])),
            records(vec![one(0, "x"), one(1, "y")]),
        ),
        accepted(
            "tables-after-records",
            read_one(aggregate_of(&[
                record_at(0, 0, "x"),
                y.clone(),
                hash_key("7"),
                k.clone(),
            ])),
            records(vec![inner(1, 0, "k", Some("7"), "x"), one(1, "y")]),
        ),
        accepted(
            "tables-between-records",
            read_one(aggregate_of(&[x.clone(), k.clone(), record(1, "y"), key("l")])),
            records(vec![one(0, "x"), inner(1, 1, "l", None, "y")]),
        ),
        accepted(
            "data-before-the-index",
            three(record_of(&[bytes_field(3, "y"), varint_field(1, 0)])),
            xyz(),
        ),
        accepted("unknown-bytes-in-the-message", three(bytes_field(9, "new")), xz()),
        accepted("unknown-number-in-the-message", three(varint_field(15, u64::MAX)), xz()),
        accepted(
            "unknown-fixed-64-in-the-message",
            three([&[0x49][..], &[1; 8]].concat()),
            xz(),
        ),
        accepted(
            "unknown-fixed-32-in-the-message",
            three([&[0x4D][..], &[1; 4]].concat()),
            xz(),
        ),
        accepted(
            "unknown-field-of-a-large-number",
            three(varint_field(536_870_911, 1)),
            xz(),
        ),
        accepted("unknown-group", three(group_field(9, varint_field(1, 1))), xz()),
        accepted(
            "unknown-field-in-a-record",
            three(record_of(&[
                varint_field(1, 0),
                bytes_field(3, "y"),
                varint_field(9, 1),
            ])),
            xyz(),
        ),
        accepted(
            "an-index-twice",
            three(record_of(&[
                varint_field(1, 1),
                varint_field(1, 0),
                bytes_field(3, "y"),
            ])),
            xyz(),
        ),
        accepted(
            "data-twice",
            three(record_of(&[
                varint_field(1, 0),
                bytes_field(3, "n"),
                bytes_field(3, "y"),
            ])),
            xyz(),
        ),
        accepted("an-index-in-2-bytes", three(index_in(2)), xyz()),
        accepted("an-index-in-10-bytes", three(index_in(10)), xyz()),
        accepted("a-length-in-5-bytes", three(length_in(5)), xyz()),
        requires(
            any(
                "reading/tags",
                TAGS,
                three(record_of(&[
                    varint_field(1, 0),
                    bytes_field(3, "y"),
                    bytes_field(4, [bytes_field(1, "t"), bytes_field(2, "v")].concat()),
                    bytes_field(4, bytes_field(1, "no value")),
                ])),
                records(vec![
                    one(0, "x"),
                    with(
                        one(1, "y"),
                        "tags",
                        json!([{"key": "t", "value": "v"}, {"key": "no value", "value": null}]),
                    ),
                    one(2, "z"),
                ]),
            ),
            &["tags"],
        ),
        requires(
            any(
                "reading/which-are-aggregated",
                AGGREGATED,
                read(vec![
                    kinesis(1, "plain"),
                    kinesis(2, aggregate_of(&[k.clone(), x.clone()])),
                ]),
                records(vec![plain(1, "plain"), inner(2, 0, "k", None, "x")]),
            ),
            &["aggregated"],
        ),
        any(
            "reading/an-aggregate-as-data",
            ONE_LEVEL,
            read_one(aggregate_of(&[
                k.clone(),
                record(0, aggregate_of(&[k.clone(), x.clone()])),
            ])),
            records(vec![one(0, aggregate_of(&[k.clone(), x.clone()]))]),
        ),
        any(
            "reading/batch",
            BATCH,
            read(vec![
                kinesis(1, "before"),
                kinesis(2, aggregate_of(&[k.clone(), x.clone(), y.clone()])),
                kinesis(3, "between"),
                kinesis(4, aggregate_of(&[k.clone(), z.clone()])),
                kinesis(5, ""),
            ]),
            records(vec![
                plain(1, "before"),
                inner(2, 0, "k", None, "x"),
                inner(2, 1, "k", None, "y"),
                plain(3, "between"),
                inner(4, 0, "k", None, "z"),
                plain(5, ""),
            ]),
        ),
        any("reading/nothing", BATCH, read(vec![]), records(vec![])),
    ]);
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("1-byte", vec![0]),
        ("3-bytes-of-the-magic", MAGIC[..3].to_vec()),
        ("text", b"a plain record of more than 21 bytes".to_vec()),
        (
            "the-magic-later",
            [&b"x"[..], &aggregate_of(&[k.clone(), x.clone()])].concat(),
        ),
        (
            "an-aggregate-without-the-magic",
            aggregate_of(&[k.clone(), x.clone()])[4..].to_vec(),
        ),
        ("every-byte", (0..=255).collect()),
    ] {
        vectors.push(any(
            format!("reading/plain-{name}"),
            PLAIN,
            read_one(&bytes),
            records(vec![plain(1, &bytes)]),
        ));
    }
    let x_times = |count: usize| {
        let body_of_all = [k.clone(), x.repeat(count)];
        let whole = aggregate_of(&body_of_all);
        let end = whole.len() - 16;
        json!([data([&whole[..4], &k].concat()), {"repeat": data(&x), "count": count}, data(&whole[end..])])
    };
    vectors.push(any(
        "reading/many-records",
        MANY,
        json!({"operation": "read", "records": [
            {"partitionKey": "outer", "sequenceNumber": "1", "data": x_times(5_000)}
        ]}),
        json!({"records": [{
            "repeat": {"partitionKey": "k", "explicitHashKey": null, "data": data("x"), "sequenceNumber": "1"},
            "count": 5_000
        }]}),
    ));
    let large = vec![7; (1 << 20) - 100];
    vectors.push(any(
        "reading/1-mib",
        LARGE,
        read_one(aggregate_of(&[k.clone(), record(0, &large)])),
        records(vec![one(0, &large)]),
    ));
    group(
        "reading",
        "Valid aggregates of any shape, and plain records. The golden ones are real records of other writers.",
        vectors,
    )
}

fn resuming(id: &str, rule: &str, input: Value, after: (&str, u64), expected: Vec<Value>) -> Vector {
    let (number, sub) = after;
    any(
        format!("sub-sequence-numbers/{id}"),
        rule,
        with(
            input,
            "after",
            json!({"sequenceNumber": number, "subSequenceNumber": sub}),
        ),
        records(expected),
    )
}

pub(crate) fn sub_sequence_numbers() -> Group {
    let aggregate = || aggregate_of(&[key("k"), record(0, "x"), record(0, "y"), record(0, "z")]);
    let mut vectors = vec![
        any(
            "sub-sequence-numbers/from-0",
            SUB,
            read_one(aggregate()),
            records(vec![one(0, "x"), one(1, "y"), one(2, "z")]),
        ),
        any(
            "sub-sequence-numbers/of-each-aggregate-anew",
            SUB,
            read(vec![kinesis(1, aggregate()), kinesis(2, aggregate())]),
            records(vec![
                inner(1, 0, "k", None, "x"),
                inner(1, 1, "k", None, "y"),
                inner(1, 2, "k", None, "z"),
                inner(2, 0, "k", None, "x"),
                inner(2, 1, "k", None, "y"),
                inner(2, 2, "k", None, "z"),
            ]),
        ),
        any(
            "sub-sequence-numbers/unknown-fields-do-not-count",
            SUB,
            read_one(aggregate_of(&[
                key("k"),
                record(0, "x"),
                bytes_field(9, "new"),
                record(0, "y"),
            ])),
            records(vec![one(0, "x"), one(1, "y")]),
        ),
        any(
            "sub-sequence-numbers/130-records",
            SUB,
            read_one(aggregate_of(&[key("k"), record(0, "x").repeat(130)])),
            records((0..130).map(|sub| one(sub, "x")).collect()),
        ),
    ];
    let long = "49680498447590481346750955377078265529522180398088454146";
    let outer = json!({"partitionKey": "outer", "sequenceNumber": long, "data": data(aggregate())});
    let of_long = |sub: u64, bytes: &str| with(one(sub, bytes), "sequenceNumber", long.into());
    vectors.push(any(
        "sub-sequence-numbers/sequence-number-of-the-outer-record",
        OUTER,
        read(vec![outer]),
        records(vec![of_long(0, "x"), of_long(1, "y"), of_long(2, "z")]),
    ));
    let batch = || {
        read(vec![
            kinesis(9, aggregate()),
            kinesis(10, "plain"),
            kinesis(11, aggregate()),
        ])
    };
    let of = |number: u64, sub: u64, bytes: &str| inner(number, sub, "k", None, bytes);
    let last = || vec![of(11, 0, "x"), of(11, 1, "y"), of(11, 2, "z")];
    vectors.extend([
        resuming(
            "after-the-first",
            RESUME,
            batch(),
            ("9", 0),
            [vec![of(9, 1, "y"), of(9, 2, "z"), plain(10, "plain")], last()].concat(),
        ),
        resuming(
            "after-the-last-of-an-aggregate",
            RESUME,
            batch(),
            ("9", 2),
            [vec![plain(10, "plain")], last()].concat(),
        ),
        resuming("after-a-plain-record", NUMBERS, batch(), ("10", 0), last()),
        resuming(
            "after-a-lower-number-with-fewer-digits",
            NUMBERS,
            batch(),
            ("8", 5),
            [
                vec![of(9, 0, "x"), of(9, 1, "y"), of(9, 2, "z"), plain(10, "plain")],
                last(),
            ]
            .concat(),
        ),
        resuming(
            "in-the-middle-of-the-last",
            RESUME,
            batch(),
            ("11", 1),
            vec![of(11, 2, "z")],
        ),
        resuming("after-all", RESUME, batch(), ("12", 0), vec![]),
    ]);
    let vectors = vectors
        .into_iter()
        .map(|vector| requires(vector, &["sequenceNumber", "subSequenceNumber"]));
    group(
        "sub-sequence-numbers",
        "Which position each user record has, and resuming `after` a position. A reader that does not report positions cannot be tested.",
        vectors.collect(),
    )
}
