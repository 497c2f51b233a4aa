//! Writing: canonical bytes, and sizes at their limits.

use kpl_conformance::Group;
use kpl_testkit::bytes::{
    MAGIC, aggregate_of, bytes_field, hash_key, key, md5, record, record_at, record_of, varint, varint_field,
};
use serde_json::{Value, json};

use crate::make::{
    any, by_policy, data, golden_files, group, requires, user, user_at, with, write, write_with, written,
};

const ORDER: &str = "A message has the partition-key table, then the explicit-hash-key table, then the records, and each record has its \
                     fields in the order 1, 2, 3, 4.";
const INDEX_0: &str = "Index 0 is written explicitly, as `08 00`, and so is empty data, as `1A 00`.";
const FIRST_SEEN: &str = "A table holds each key once, in the order in which the keys are first used.";
const ANY_TEXT: &str =
    "The order of a key table does not depend on what its keys look like, such as `\"7\"` or `\"__proto__\"`.";
const NO_HASH_KEY: &str = "A user record that was sent without an explicit hash key has none in the aggregate.";
const LONE: &str = "A lone user record is sent as it is by default. Wrapping it in an aggregate is an option.";
const LONE_AGGREGATE: &str = "A lone user record whose data would be read as an aggregate is always wrapped.";
const LONE_MAGIC: &str = "A lone user record whose data starts with the magic and would not be read as an aggregate may be sent as it \
                          is or wrapped.";
const LONE_TAGS: &str = "A lone user record with tags is always wrapped, because they would be lost otherwise.";
const OUTER_KEY: &str =
    "The partition key of an aggregate is that of its first user record by default. A fixed one is an option.";
const OUTER_HASH_KEY: &str =
    "The explicit hash key of an aggregate is always the effective hash key of its first user record.";
const HASH_KEY: &str = "An explicit hash key is `0|[1-9][0-9]{0,38}`, with a value from 0 to 2^128-1. Anything else, such as `+5`, \
                        `007`, `-0`, `\"\"` or `2^128`, is an error when writing.";
const GOLDEN: &str =
    "The bytes of an aggregate are identical to those that the KPL writes for the same user records in the same order.";
const FLUSH: &str = "A flush sends nothing if no user record is held: an empty aggregate is never made.";
const SHARDS: &str =
    "An aggregator that knows the shards never puts user records of several shards into one aggregate.";
const SIZE: &str = "The size of an aggregate is computed exactly: a new key of n bytes adds 1 + v(n) + n bytes, and a record whose \
                    fields take n bytes adds 1 + v(n) + n, where v(n) is the length of n as a varint.";
const LIMIT: &str = "The size limit is exact and includes the outer partition key, because the service counts the data and the \
                     partition key together.";
const NEXT: &str =
    "When a user record does not fit, the sealed aggregate goes out and the user record starts the next one.";
const TOO_LARGE: &str =
    "A user record that is too large on its own is refused with an error, and the aggregator is unchanged.";
const COUNT: &str = "An aggregate holds no more user records than the limit that was set.";

fn hash_of(key: &str) -> String {
    u128::from_be_bytes(md5(key.as_bytes())).to_string()
}

fn two(first: Value, second: Value) -> Value {
    write(json!([first, second]))
}

pub(crate) fn writing() -> Group {
    let mut vectors = vec![
        any(
            "writing/two-records-of-one-key",
            ORDER,
            two(user("a", "one"), user("a", "two")),
            written([aggregate_of(&[key("a"), record(0, "one"), record(0, "two")])]),
        ),
        any(
            "writing/two-records-of-two-keys",
            ORDER,
            two(user("a", "one"), user("b", "two")),
            written([aggregate_of(&[key("a"), key("b"), record(0, "one"), record(1, "two")])]),
        ),
        any(
            "writing/tables-then-records",
            ORDER,
            write(json!([
                user_at("b", 9, "one"),
                user_at("a", 7, "two"),
                user_at("b", 7, "three"),
                user_at("a", 9, "four")
            ])),
            written([aggregate_of(&[
                key("b"),
                key("a"),
                hash_key("9"),
                hash_key("7"),
                record_at(0, 0, "one"),
                record_at(1, 1, "two"),
                record_at(0, 1, "three"),
                record_at(1, 0, "four"),
            ])]),
        ),
        any(
            "writing/some-explicit-hash-keys",
            NO_HASH_KEY,
            write(json!([user("a", "one"), user_at("a", 7, "two"), user("b", "three")])),
            written([aggregate_of(&[
                key("a"),
                key("b"),
                hash_key("7"),
                record(0, "one"),
                record_at(0, 0, "two"),
                record(1, "three"),
            ])]),
        ),
        any(
            "writing/no-explicit-hash-keys",
            NO_HASH_KEY,
            two(user("abc", "1"), user("x", "2")),
            written([aggregate_of(&[key("abc"), key("x"), record(0, "1"), record(1, "2")])]),
        ),
        any(
            "writing/empty-data",
            INDEX_0,
            two(user("a", ""), user("a", "")),
            written([aggregate_of(&[key("a"), record(0, ""), record(0, "")])]),
        ),
        any(
            "writing/hash-key-index-0",
            INDEX_0,
            two(user_at("a", 0, ""), user_at("a", 0, "")),
            written([aggregate_of(&[
                key("a"),
                hash_key("0"),
                record_at(0, 0, ""),
                record_at(0, 0, ""),
            ])]),
        ),
        any(
            "writing/largest-hash-key",
            FIRST_SEEN,
            two(user_at("a", u128::MAX, "1"), user_at("a", 0, "2")),
            written([aggregate_of(&[
                key("a"),
                hash_key(&u128::MAX.to_string()),
                hash_key("0"),
                record_at(0, 0, "1"),
                record_at(0, 1, "2"),
            ])]),
        ),
        any(
            "writing/each-key-once",
            FIRST_SEEN,
            write(json!([
                user("b", "1"),
                user("a", "2"),
                user("b", "3"),
                user("c", "4"),
                user("a", "5")
            ])),
            written([aggregate_of(&[
                key("b"),
                key("a"),
                key("c"),
                record(0, "1"),
                record(1, "2"),
                record(0, "3"),
                record(2, "4"),
                record(1, "5"),
            ])]),
        ),
        any(
            "writing/number-like-keys",
            ANY_TEXT,
            write(json!([
                user("10", "1"),
                user("9", "2"),
                user("b", "3"),
                user("2", "4"),
                user("10", "5")
            ])),
            written([aggregate_of(&[
                key("10"),
                key("9"),
                key("b"),
                key("2"),
                record(0, "1"),
                record(1, "2"),
                record(2, "3"),
                record(3, "4"),
                record(0, "5"),
            ])]),
        ),
        any(
            "writing/names-of-objects",
            ANY_TEXT,
            write(json!([
                user("__proto__", "1"),
                user("constructor", "2"),
                user("hasOwnProperty", "3"),
                user("toString", "4")
            ])),
            written([aggregate_of(&[
                key("__proto__"),
                key("constructor"),
                key("hasOwnProperty"),
                key("toString"),
                record(0, "1"),
                record(1, "2"),
                record(2, "3"),
                record(3, "4"),
            ])]),
        ),
        any(
            "writing/hash-keys-in-first-seen-order",
            FIRST_SEEN,
            write(json!([
                user_at("a", 10, "1"),
                user_at("a", 9, "2"),
                user_at("a", 10, "3"),
                user_at("a", 2, "4")
            ])),
            written([aggregate_of(&[
                key("a"),
                hash_key("10"),
                hash_key("9"),
                hash_key("2"),
                record_at(0, 0, "1"),
                record_at(0, 1, "2"),
                record_at(0, 0, "3"),
                record_at(0, 2, "4"),
            ])]),
        ),
        any(
            "writing/an-aggregate-as-data",
            ORDER,
            two(user("a", aggregate_of(&[key("inner"), record(0, "x")])), user("a", "y")),
            written([aggregate_of(&[
                key("a"),
                record(0, aggregate_of(&[key("inner"), record(0, "x")])),
                record(0, "y"),
            ])]),
        ),
        any("writing/nothing", FLUSH, write(json!([])), json!({"records": []})),
        by_policy(
            "writing/lone",
            LONE,
            write(json!([user("abc", "data")])),
            [
                (
                    "raw",
                    json!({"records": [{"partitionKey": "abc", "data": data("data")}]}),
                ),
                ("wrapped", written([aggregate_of(&[key("abc"), record(0, "data")])])),
            ],
        ),
        by_policy(
            "writing/lone-and-empty",
            LONE,
            write(json!([user("abc", "")])),
            [
                ("raw", json!({"records": [{"partitionKey": "abc", "data": ""}]})),
                ("wrapped", written([aggregate_of(&[key("abc"), record(0, "")])])),
            ],
        ),
        by_policy(
            "writing/lone-with-explicit-hash-key",
            LONE,
            write(json!([user_at("abc", 7, "data")])),
            [
                (
                    "raw",
                    json!({"records": [{"partitionKey": "abc", "explicitHashKey": "7", "data": data("data")}]}),
                ),
                (
                    "wrapped",
                    written([aggregate_of(&[key("abc"), hash_key("7"), record_at(0, 0, "data")])]),
                ),
            ],
        ),
    ];
    let tagged = |tags: &[Vec<u8>]| record_of(&[varint_field(1, 0), bytes_field(3, "data"), tags.concat()]);
    let tag = |fields: &[Vec<u8>]| bytes_field(4, fields.concat());
    vectors.extend([
        any(
            "writing/lone-with-tags",
            LONE_TAGS,
            write(json!([with(
                user("a", "data"),
                "tags",
                json!([{"key": "t", "value": "v"}])
            )])),
            written([aggregate_of(&[
                key("a"),
                tagged(&[tag(&[bytes_field(1, "t"), bytes_field(2, "v")])]),
            ])]),
        ),
        any(
            "writing/tags",
            ORDER,
            two(
                with(
                    user("a", "data"),
                    "tags",
                    json!([{"key": "t", "value": "v"}, {"key": "no value"}, {"key": "é", "value": ""}]),
                ),
                user("a", "x"),
            ),
            written([aggregate_of(&[
                key("a"),
                tagged(&[
                    tag(&[bytes_field(1, "t"), bytes_field(2, "v")]),
                    tag(&[bytes_field(1, "no value")]),
                    tag(&[bytes_field(1, "é"), bytes_field(2, "")]),
                ]),
                record(0, "x"),
            ])]),
        ),
    ]);
    for (name, bytes) in [
        (
            "an-aggregate",
            aggregate_of(&[key("inner"), record(0, "data"), record(0, "more")]),
        ),
        ("an-aggregate-without-records", aggregate_of(&[key("inner")])),
    ] {
        vectors.push(any(
            format!("writing/lone-{name}"),
            LONE_AGGREGATE,
            write(json!([user("abc", &bytes)])),
            written([aggregate_of(&[key("abc"), record(0, &bytes)])]),
        ));
    }
    for (name, bytes) in [
        ("the-magic", MAGIC.to_vec()),
        ("the-magic-and-more", [&MAGIC[..], &[7; 20]].concat()),
    ] {
        let wrapped = written([aggregate_of(&[key("abc"), record(0, &bytes)])]);
        vectors.push(by_policy(
            format!("writing/lone-{name}"),
            LONE_MAGIC,
            write(json!([user("abc", &bytes)])),
            [
                ("raw", json!({"oneOf": [written([bytes]), wrapped]})),
                ("wrapped", wrapped),
            ],
        ));
    }
    vectors.push(by_policy(
        "writing/outer-partition-key",
        OUTER_KEY,
        two(user("first", "1"), user("second", "2")),
        [
            ("first_key", json!({"records": [{"partitionKey": "first"}]})),
            ("fixed_key", json!({"records": [{"partitionKey": "a"}]})),
        ],
    ));
    for (name, first, second, outer) in [
        (
            "of-partition-key",
            user("abc", "1"),
            user_at("x", 7, "2"),
            hash_of("abc"),
        ),
        ("explicit", user_at("abc", 7, "1"), user("x", "2"), "7".to_owned()),
        ("zero", user_at("abc", 0, "1"), user("x", "2"), "0".to_owned()),
        (
            "largest",
            user_at("abc", u128::MAX, "1"),
            user_at("x", 7, "2"),
            u128::MAX.to_string(),
        ),
    ] {
        let expected = json!({"records": [{"explicitHashKey": outer}]});
        let vector = any(
            format!("writing/outer-hash-key-{name}"),
            OUTER_HASH_KEY,
            two(first, second),
            expected,
        );
        vectors.push(requires(vector, &["explicitHashKey"]));
    }
    for (name, text) in [
        ("plus", "+5"),
        ("leading-zeros", "007"),
        ("minus-zero", "-0"),
        ("empty", ""),
        ("too-large", "340282366920938463463374607431768211456"),
        ("40-digits", "1000000000000000000000000000000000000000"),
        ("text", "seven"),
        ("space", " 5"),
        ("other-digits", "٣"),
    ] {
        vectors.push(any(
            format!("writing/refused-hash-key-{name}"),
            HASH_KEY,
            write(json!([user("a", "1"), user_at("a", text, "refused"), user("a", "2")])),
            with(
                written([aggregate_of(&[key("a"), record(0, "1"), record(0, "2")])]),
                "errors",
                1.into(),
            ),
        ));
    }
    for golden in golden_files() {
        if golden.encodes_back {
            let sent: Vec<Value> = golden
                .user_records
                .iter()
                .map(|record| {
                    let partition_key = record.partition_key.as_deref().unwrap_or_default();
                    match record.explicit_hash_key {
                        Some(at) => user_at(partition_key, at, &record.data),
                        None => user(partition_key, &record.data),
                    }
                })
                .collect();
            vectors.push(any(
                format!("writing/golden-{}", golden.name.trim_end_matches(".json")),
                GOLDEN,
                write(sent.into()),
                written([golden.aggregated]),
            ));
        }
    }
    let shards = json!([["0", "99"], ["100", u128::MAX.to_string()]]);
    vectors.push(any(
        "writing/shards-are-never-mixed",
        SHARDS,
        write_with(
            json!({ "shards": shards }),
            json!([
                user_at("a", 99, "1"),
                user_at("b", 100, "2"),
                user_at("c", 0, "3"),
                user("abc", "4"),
                user_at("a", 99, "5")
            ]),
        ),
        written([
            aggregate_of(&[
                key("a"),
                key("c"),
                hash_key("99"),
                hash_key("0"),
                record_at(0, 0, "1"),
                record_at(1, 1, "3"),
                record_at(0, 0, "5"),
            ]),
            aggregate_of(&[
                key("b"),
                key("abc"),
                hash_key("100"),
                record_at(0, 0, "2"),
                record(1, "4"),
            ]),
        ]),
    ));
    group(
        "writing",
        "The bytes that writers write: the order of fields and keys, lone records, outer keys. Only what is named in `expected` is \
         compared.",
        vectors,
    )
}

pub(crate) fn sizes() -> Group {
    let mut vectors = Vec::new();
    // Around the lengths at which a varint gets longer.
    for len in [0, 127, 128, 16_383, 16_384] {
        vectors.push(any(
            format!("sizes/data-of-{len}-bytes"),
            SIZE,
            two(user("a", vec![7; len]), user("a", "x")),
            written([aggregate_of(&[key("a"), record(0, vec![7; len]), record(0, "x")])]),
        ));
    }
    for len in [127, 128, 256] {
        let long = "k".repeat(len);
        vectors.push(any(
            format!("sizes/key-of-{len}-bytes"),
            SIZE,
            two(user(&long, "1"), user("a", "2")),
            written([aggregate_of(&[key(&long), key("a"), record(0, "1"), record(1, "2")])]),
        ));
    }
    for count in [127_u64, 128, 129] {
        let keys: Vec<String> = (0..count).map(|number| format!("k{number}")).collect();
        let mut fields: Vec<_> = keys.iter().map(|text| key(text)).collect();
        fields.extend((0..count).map(|index| record(index, "x")));
        vectors.push(any(
            format!("sizes/{count}-keys"),
            SIZE,
            write(keys.iter().map(|key| user(key, "x")).collect::<Vec<_>>().into()),
            written([aggregate_of(&fields)]),
        ));
    }
    let many = {
        let mut fields = vec![key("a")];
        fields.resize(2_001, record(0, "x"));
        aggregate_of(&fields)
    };
    vectors.push(any(
        "sizes/2000-records-of-one-key",
        SIZE,
        write(json!([{"repeat": user("a", "x"), "count": 2_000}])),
        json!({"records": [{"data": repeated(&many, &record(0, "x"), 2_000)}]}),
    ));

    // Two records that fill an aggregate to the last byte, and two that would be one byte too many. Their key has as many bytes as the
    // outer partition key `a` of some writers.
    for (name, limit) in [
        ("200", 200),
        ("50-kib", 51_200),
        ("1-mib", 1 << 20),
        ("10-mib", 10 << 20),
    ] {
        let fits = two_of(limit, "k");
        let (first, second) = (vec![1; fits.0], vec![2; fits.1]);
        let whole = aggregate_of(&[key("k"), record(0, &first), record(0, &second)]);
        assert_eq!(whole.len() + 1, limit);
        vectors.push(any(
            format!("sizes/limit-{name}"),
            LIMIT,
            write_with(
                json!({"maxSize": limit}),
                json!([user("k", &first), user("k", &second)]),
            ),
            written([whole]),
        ));
        if limit > 1 << 20 {
            continue; // long lines
        }
        let longer = vec![2; fits.1 + 1];
        vectors.push(by_policy(
            format!("sizes/limit-{name}-and-1"),
            LIMIT,
            write_with(
                json!({"maxSize": limit}),
                json!([user("k", &first), user("k", &longer)]),
            ),
            [
                ("raw", written([first.clone(), longer.clone()])),
                (
                    "wrapped",
                    written([
                        aggregate_of(&[key("k"), record(0, &first)]),
                        aggregate_of(&[key("k"), record(0, &longer)]),
                    ]),
                ),
            ],
        ));
    }
    for (name, limit) in [("200", 200), ("1-mib", 1 << 20)] {
        // Raw: data and key. Wrapped: as much less as the frame takes.
        let raw = vec![1; limit - 1];
        let wrapped = vec![1; alone(limit, "k")];
        assert_eq!(aggregate_of(&[key("k"), record(0, &wrapped)]).len() + 1, limit);
        let options = json!({"maxSize": limit});
        let input = |bytes: &[u8]| write_with(options.clone(), json!([user("k", bytes)]));
        let refused = || json!({"records": [], "errors": 1});
        vectors.extend([
            by_policy(
                format!("sizes/lone-of-{name}"),
                LIMIT,
                input(&raw),
                [("raw", written([raw.clone()])), ("wrapped", refused())],
            ),
            by_policy(
                format!("sizes/lone-of-{name}-wrapped"),
                LIMIT,
                input(&wrapped),
                [
                    ("raw", written([wrapped.clone()])),
                    ("wrapped", written([aggregate_of(&[key("k"), record(0, &wrapped)])])),
                ],
            ),
            any(
                format!("sizes/lone-of-{name}-and-1"),
                TOO_LARGE,
                input(&[&raw[..], &[1]].concat()),
                refused(),
            ),
            by_policy(
                format!("sizes/lone-of-{name}-wrapped-and-1"),
                TOO_LARGE,
                input(&[&wrapped[..], &[1]].concat()),
                [
                    ("raw", written([[&wrapped[..], &[1]].concat()])),
                    ("wrapped", refused()),
                ],
            ),
            any(
                format!("sizes/too-large-between-two-of-{name}"),
                TOO_LARGE,
                write_with(
                    options.clone(),
                    json!([user("k", "1"), user("k", vec![1; limit]), user("k", "2")]),
                ),
                with(
                    written([aggregate_of(&[key("k"), record(0, "1"), record(0, "2")])]),
                    "errors",
                    1.into(),
                ),
            ),
        ]);
    }
    // The key of the third is in the table only until the seal.
    let (one, two, three) = (vec![1; 100], vec![2; 30], vec![3; 60]);
    vectors.extend([
        any(
            "sizes/key-in-the-table-until-the-seal",
            NEXT,
            write_with(
                json!({"maxSize": 200}),
                json!([
                    user("first", &one),
                    user("a longer key", &two),
                    user("a longer key", &three),
                    user("a longer key", "x")
                ]),
            ),
            written([
                aggregate_of(&[key("first"), key("a longer key"), record(0, &one), record(1, &two)]),
                aggregate_of(&[key("a longer key"), record(0, &three), record(0, "x")]),
            ]),
        ),
        by_policy(
            "sizes/count-of-2",
            COUNT,
            write_with(
                json!({"maxCount": 2}),
                json!([user("a", "1"), user("b", "2"), user("b", "3")]),
            ),
            [
                (
                    "raw",
                    written([
                        aggregate_of(&[key("a"), key("b"), record(0, "1"), record(1, "2")]),
                        b"3".to_vec(),
                    ]),
                ),
                (
                    "wrapped",
                    written([
                        aggregate_of(&[key("a"), key("b"), record(0, "1"), record(1, "2")]),
                        aggregate_of(&[key("b"), record(0, "3")]),
                    ]),
                ),
            ],
        ),
        any(
            "sizes/count-of-2-twice",
            COUNT,
            write_with(
                json!({"maxCount": 2}),
                json!([user("a", "1"), user("b", "2"), user("b", "3"), user("a", "4")]),
            ),
            written([
                aggregate_of(&[key("a"), key("b"), record(0, "1"), record(1, "2")]),
                aggregate_of(&[key("b"), key("a"), record(0, "3"), record(1, "4")]),
            ]),
        ),
    ]);
    group(
        "sizes",
        "Sizes are exact: where varints get longer, and at the limits. `maxSize` is the most bytes that data and outer partition key may \
         have together, `maxCount` the most user records in an aggregate.",
        vectors,
    )
}

/// An aggregate whose records are all the same, in its short form.
fn repeated(aggregate: &[u8], record: &[u8], count: usize) -> Value {
    let end = aggregate.len() - 16;
    let start = end - record.len() * count;
    let parts = [&aggregate[..start], record, &aggregate[end..]].map(data);
    let [head, record, digest] = parts;
    json!([head, {"repeat": record, "count": count}, digest])
}

/// How many bytes the data of a lone record may have, so that it fits when wrapped.
fn alone(limit: usize, partition_key: &str) -> usize {
    let len = |data: usize| {
        let inner = 2 + 1 + varint(data as u64).len() + data;
        20 + 2 + partition_key.len() + 1 + varint(inner as u64).len() + inner + partition_key.len()
    };
    (0..limit).rev().find(|&data| len(data) <= limit).expect("some fit")
}

/// How many bytes the data of two records of one key have that fill an aggregate to its limit. Neither is near the length at which a
/// varint gets longer.
fn two_of(limit: usize, partition_key: &str) -> (usize, usize) {
    let first = limit / 3;
    let rest = alone(limit, partition_key) - record(0, vec![0; first]).len();
    // The framing of the second is the same as if it were alone, or one byte shorter for each varint that is.
    let of = |second: usize| {
        aggregate_of(&[
            key(partition_key),
            record(0, vec![0; first]),
            record(0, vec![0; second]),
        ])
        .len()
            + partition_key.len()
    };
    let second = (rest.saturating_sub(4)..rest + 8)
        .find(|&second| of(second) == limit)
        .expect("a length that fills it");
    (first, second)
}
