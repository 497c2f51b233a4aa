//! Bytes that carry the magic and are not a valid aggregate, and aggregates with records whose keys cannot be resolved.

use kpl_conformance::{Group, Vector};
use kpl_testkit::bytes::{
    MAGIC, aggregate_of, bytes_field, field_key, hash_key, key, md5, padded_varint, record, record_at, record_of,
    sealed, varint_field,
};
use serde_json::{Value, json};

use crate::make::{any, by_policy, error, group, inner, kinesis, plain, read, with};

const DELIVERED: &str = "Data that starts with the magic and fails a later check is never dropped: it is delivered as one plain record \
                         or, under the policy `error`, is one error with all of its bytes.";
const NOT_ACCEPTED: &str = "A message is not valid if it has a length or a varint past the end, a varint of more than 10 bytes or above \
                            2^64-1, a known field of the wrong wire type, the wire type 6 or 7, the field number 0, a group that does \
                            not close or was not opened, a missing required field, or a key or a tag that is not UTF-8.";
const TRUNCATED: &str = "A truncated aggregate does not crash the reader, and none of its bytes is lost.";
const OUTSIDE: &str = "A user record whose partition key index or explicit hash key index is outside its table is an error that carries \
                       its data. Its neighbours are delivered.";
const LARGE_INDEX: &str = "An index of 2^31 or more is not truncated: outside its table it is an error like any other.";
const NO_HASH_KEY: &str = "A user record whose entry in the explicit-hash-key table is not a valid hash key is an error that carries \
                           its data. Its neighbours are delivered.";

/// Between two plain records, which have to be delivered in any case.
fn between(bytes: &[u8]) -> Value {
    read(vec![kinesis(1, "before"), kinesis(2, bytes), kinesis(3, "after")])
}

fn malformed_as(id: &str, rule: &str, bytes: &[u8]) -> Vector {
    by_policy(
        format!("malformed/{id}"),
        rule,
        between(bytes),
        [
            (
                "deliver",
                json!({"records": [plain(1, "before"), plain(2, bytes), plain(3, "after")]}),
            ),
            (
                "error",
                json!({"records": [plain(1, "before"), plain(3, "after")], "errors": [error(2, 0, bytes)]}),
            ),
        ],
    )
}

/// An aggregate of which some records are errors.
fn errors(id: &str, rule: &str, bytes: &[u8], good: Vec<Value>, bad: Vec<Value>) -> Vector {
    let mut records = vec![plain(1, "before")];
    records.extend(good);
    records.push(plain(3, "after"));
    any(
        format!("malformed/{id}"),
        rule,
        between(bytes),
        with(json!({ "records": records }), "errors", bad.into()),
    )
}

pub(crate) fn malformed() -> Group {
    let (k, x, y, z) = (key("k"), record(0, "x"), record(0, "y"), record(0, "z"));
    let three = |second: Vec<u8>| aggregate_of(&[k.clone(), x.clone(), second, z.clone()]);
    let good = three(y.clone());
    let flipped = |place: usize| {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        bytes
    };
    let body = &good[4..good.len() - 16];
    let mut vectors = Vec::new();
    for (id, bytes) in [
        ("only-the-magic", MAGIC.to_vec()),
        ("the-magic-and-1-byte", [&MAGIC[..], &[0x0A]].concat()),
        ("the-magic-and-15-bytes", [&MAGIC[..], &[0x0A; 15]].concat()),
        ("the-magic-and-16-bytes", [&MAGIC[..], &[0; 16]].concat()),
        ("no-message", sealed([])),
        ("zeros-for-a-digest", [&MAGIC[..], body, &[0; 16]].concat()),
        ("a-bit-of-the-digest", flipped(good.len() - 1)),
        ("the-first-bit-of-the-digest", flipped(good.len() - 16)),
        ("a-bit-of-the-message", flipped(5)),
        ("a-bit-of-the-data", flipped(good.len() - 17)),
        ("one-byte-more", [&good[..], b"x"].concat()),
        (
            "the-digest-of-the-magic-too",
            [&MAGIC[..], body, &md5(&[&MAGIC[..], body].concat())].concat(),
        ),
        ("the-digest-first", [&MAGIC[..], &md5(body), body].concat()),
        ("the-digest-backwards", {
            let mut digest = md5(body);
            digest.reverse();
            [&MAGIC[..], body, &digest].concat()
        }),
    ] {
        vectors.push(malformed_as(id, DELIVERED, &bytes));
    }
    for len in 5..good.len() {
        vectors.push(malformed_as(&format!("the-first-{len}-bytes"), TRUNCATED, &good[..len]));
    }
    // Under a right digest. The key takes 3 bytes and each record 7: between two of them a shorter message ends as it should.
    for len in 1..body.len() {
        let cut = &body[..body.len() - len];
        if cut.len() % 7 != 3 {
            vectors.push(malformed_as(
                &format!("a-message-cut-by-{len}"),
                TRUNCATED,
                &sealed(cut),
            ));
        }
    }
    let data = |text: &str| bytes_field(3, text);
    let tagged = |tag: Vec<u8>| record_of(&[varint_field(1, 0), data("y"), tag]);
    for (id, bytes) in [
        ("text-with-a-right-digest", sealed("just text, with a right digest")),
        ("one-zero-with-a-right-digest", sealed([0])),
        ("a-length-past-the-end", three(vec![0x1A, 100])),
        (
            "a-length-of-2-to-the-63",
            three([&[0x1A][..], &padded_varint(1 << 63, 10)].concat()),
        ),
        ("a-key-past-the-end", sealed([x.clone(), vec![0x0A, 5, b'k']].concat())),
        (
            "data-past-the-end-of-its-record",
            three(record_of(&[varint_field(1, 0), vec![0x1A, 2, b'y']])),
        ),
        (
            "a-varint-that-does-not-end",
            sealed([k.clone(), x.clone(), vec![0x48, 0x80]].concat()),
        ),
        (
            "an-index-in-11-bytes",
            three(record_of(&[vec![8], padded_varint(0, 11), data("y")])),
        ),
        (
            "an-index-over-2-to-the-64",
            three(record_of(&[
                vec![8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
                data("y"),
            ])),
        ),
        ("records-of-another-wire-type", three(varint_field(3, 1))),
        ("keys-of-another-wire-type", three(varint_field(1, 1))),
        ("hash-keys-of-another-wire-type", three(varint_field(2, 1))),
        (
            "data-of-another-wire-type",
            three(record_of(&[varint_field(1, 0), varint_field(3, 1)])),
        ),
        (
            "an-index-of-another-wire-type",
            three(record_of(&[bytes_field(1, "0"), data("y")])),
        ),
        (
            "a-hash-key-index-of-another-wire-type",
            three(record_of(&[varint_field(1, 0), bytes_field(2, "0"), data("y")])),
        ),
        ("tags-of-another-wire-type", three(tagged(varint_field(4, 1)))),
        ("wire-type-6", three(field_key(9, 6))),
        ("wire-type-7", three(field_key(9, 7))),
        ("field-number-0", three(varint_field(0, 1))),
        ("a-group-that-does-not-end", three(field_key(9, 3))),
        ("an-end-of-a-group-that-did-not-start", three(field_key(9, 4))),
        (
            "a-group-that-ends-as-another",
            three([field_key(9, 3), field_key(8, 4)].concat()),
        ),
        ("a-record-without-data", three(record_of(&[varint_field(1, 0)]))),
        ("a-record-without-partition-key-index", three(record_of(&[data("y")]))),
        ("an-empty-record", three(record_of(&[]))),
        (
            "a-tag-without-its-key",
            three(tagged(bytes_field(4, bytes_field(2, "v")))),
        ),
        (
            "a-tag-that-is-not-utf-8",
            three(tagged(bytes_field(4, bytes_field(1, [0xFF])))),
        ),
        (
            "a-partition-key-that-is-not-utf-8",
            aggregate_of(&[bytes_field(1, [0xFF]), x.clone()]),
        ),
        (
            "a-surrogate-as-partition-key",
            aggregate_of(&[bytes_field(1, [0xED, 0xA0, 0x80]), x.clone()]),
        ),
        (
            "an-overlong-partition-key",
            aggregate_of(&[bytes_field(1, [0xC0, 0x80]), x.clone()]),
        ),
        (
            "a-partition-key-that-is-cut",
            aggregate_of(&[bytes_field(1, [0xF0, 0x9F, 0xA6]), x.clone()]),
        ),
        (
            "a-hash-key-that-is-not-utf-8",
            aggregate_of(&[k.clone(), bytes_field(2, [0xFF]), record_at(0, 0, "x")]),
        ),
    ] {
        vectors.push(malformed_as(id, NOT_ACCEPTED, &bytes));
    }

    let xz = || vec![inner(2, 0, "k", None, "x"), inner(2, 2, "k", None, "z")];
    for (id, index, rule) in [
        ("a-partition-key-index-outside", 1, OUTSIDE),
        ("a-partition-key-index-of-2-to-the-31", 1 << 31, LARGE_INDEX),
        ("a-partition-key-index-of-2-to-the-32", 1 << 32, LARGE_INDEX),
        ("the-largest-partition-key-index", u64::MAX, LARGE_INDEX),
    ] {
        let bytes = three(record(index, "y"));
        vectors.push(errors(id, rule, &bytes, xz(), vec![error(2, 1, "y")]));
    }
    vectors.extend([
        errors(
            "no-partition-keys",
            OUTSIDE,
            &sealed(x.clone()),
            vec![],
            vec![error(2, 0, "x")],
        ),
        errors(
            "a-hash-key-index-without-a-table",
            OUTSIDE,
            &three(record_at(0, 0, "y")),
            xz(),
            vec![error(2, 1, "y")],
        ),
        errors(
            "a-hash-key-index-outside",
            OUTSIDE,
            &aggregate_of(&[
                k.clone(),
                hash_key("7"),
                record_at(0, 0, "x"),
                record_at(0, 1, "y"),
                record_at(0, 0, "z"),
            ]),
            vec![inner(2, 0, "k", Some("7"), "x"), inner(2, 2, "k", Some("7"), "z")],
            vec![error(2, 1, "y")],
        ),
    ]);
    for (id, text) in [
        ("a-hash-key-that-is-text", "seven"),
        ("an-empty-hash-key", ""),
        ("a-hash-key-with-a-space", " 7"),
        ("a-hash-key-that-is-hexadecimal", "0x7"),
        ("a-hash-key-of-2-to-the-128", "340282366920938463463374607431768211456"),
        ("a-negative-hash-key", "-1"),
    ] {
        vectors.push(errors(
            id,
            NO_HASH_KEY,
            &aggregate_of(&[k.clone(), hash_key(text), x.clone(), record_at(0, 0, "y"), z.clone()]),
            xz(),
            vec![error(2, 1, "y")],
        ));
    }
    group(
        "malformed",
        "Bytes that carry the magic and are not a valid aggregate, and records whose keys cannot be resolved, each between two plain \
         records that have to be delivered. Policies: `deliver` makes malformed bytes one plain record, `error` makes them one error.",
        vectors,
    )
}
