//! Effective hash keys, and the ranges of them that shards own.

use kpl_conformance::{Group, Vector};
use kpl_testkit::bytes::{aggregate_of, hash_key as table_entry, key, md5, record, record_at};
use serde_json::{Value, json};

use crate::make::{any, by_policy, group, inner, kinesis, plain, read, records, requires, with};

const EFFECTIVE: &str = "The effective hash key of a user record is its explicit hash key if it has one. Otherwise it is the MD5 of its \
                         partition key in UTF-8, read as an unsigned 128-bit big-endian integer.";
const FORM: &str = "An explicit hash key is `0|[1-9][0-9]{0,38}`, with a value from 0 to 2^128-1. Anything else, such as `+5`, `007`, \
                    `-0`, `\"\"` or `2^128`, is an error when writing.";
const KEY: &str = "A partition key has 1 to 256 Unicode characters, however many bytes they take: 256 characters of four bytes are \
                   valid, and 257 characters of any length are not.";
const RANGE: &str = "A shard owns the hash keys from StartingHashKey to EndingHashKey, both inclusive.";
const DROPS: &str = "A reader has three policies for an aggregate with user records outside its range: it delivers all of them, drops \
                     those outside, or drops the whole aggregate, as the KCL does.";
const POSITION: &str = "The sub-sequence number of a user record is its place among the records of its message, even if a neighbour was \
                        left out.";
const PLAIN: &str = "A record that is not aggregated is delivered whatever the range is, as in the KCL.";

fn hash_key(partition_key: &str) -> Value {
    json!({"operation": "hash_key", "partitionKey": partition_key})
}

fn is(value: impl ToString) -> Value {
    json!({"hashKey": value.to_string()})
}

/// A key that is refused where keys are checked.
fn strict(id: String, rule: &str, input: Value) -> Vector {
    by_policy(id, rule, input, [("strict", json!({"error": true}))])
}

pub(crate) fn hash_keys() -> Group {
    let mut vectors = vec![any(
        "hash-keys/of-abc",
        EFFECTIVE,
        hash_key("abc"),
        is("191415658344158766168031473277922803570"),
    )];
    for (id, text) in [
        ("of-one-letter", "a"),
        ("of-a-space", " "),
        ("of-a-zero-character", "\0"),
        ("of-two-bytes", "é"),
        ("of-three-bytes", "語"),
        ("of-four-bytes", "\u{1F980}"),
        ("of-a-byte-order-mark", "\u{FEFF}a"),
        ("of-a-number", "7"),
        (
            "of-a-long-key",
            "a longer partition key, of more bytes than a block of MD5 has, which are 64",
        ),
    ] {
        let expected = u128::from_be_bytes(md5(text.as_bytes()));
        vectors.push(any(format!("hash-keys/{id}"), EFFECTIVE, hash_key(text), is(expected)));
    }
    // Of a key whose digest starts with a zero byte, fewer digits are written.
    let short = (0..)
        .map(|number| format!("key-{number}"))
        .find(|text| md5(text.as_bytes())[..2] == [0, 0])
        .expect("one of them");
    let value = u128::from_be_bytes(md5(short.as_bytes()));
    vectors.push(any(
        "hash-keys/with-zeros-in-front",
        EFFECTIVE,
        hash_key(&short),
        is(value),
    ));
    for (id, value) in [
        ("zero", 0),
        ("one", 1),
        ("2-to-the-63", 1 << 63),
        ("2-to-the-64", 1 << 64),
        ("2-to-the-127", 1 << 127),
        ("largest", u128::MAX),
    ] {
        vectors.push(any(
            format!("hash-keys/explicit-{id}"),
            EFFECTIVE,
            with(hash_key("abc"), "explicitHashKey", value.to_string().into()),
            is(value),
        ));
    }
    for (id, text) in [
        ("plus", "+5"),
        ("leading-zeros", "007"),
        ("two-zeros", "00"),
        ("minus-zero", "-0"),
        ("negative", "-1"),
        ("empty", ""),
        ("2-to-the-128", "340282366920938463463374607431768211456"),
        ("40-digits", "1000000000000000000000000000000000000000"),
        ("exponent", "1e3"),
        ("hexadecimal", "0x10"),
        ("space-in-front", " 5"),
        ("space-behind", "5 "),
        ("line-break", "5\n"),
        ("fraction", "1.5"),
        ("underscore", "1_000"),
        ("arabic-digit", "٣"),
    ] {
        vectors.push(strict(
            format!("hash-keys/refused-{id}"),
            FORM,
            with(hash_key("abc"), "explicitHashKey", text.into()),
        ));
    }
    for (id, text) in [
        ("empty", String::new()),
        ("257-letters", "a".repeat(257)),
        ("257-four-byte-characters", "\u{1F980}".repeat(257)),
    ] {
        vectors.push(strict(
            format!("hash-keys/refused-partition-key-{id}"),
            KEY,
            hash_key(&text),
        ));
    }
    group(
        "hash-keys",
        "The hash key that selects the shard of a user record. Under the policy `strict`, which is that of writers, a key that is not \
         valid is an error.",
        vectors,
    )
}

/// Reads a batch as the reader of a shard with this range, under each of the three policies.
fn within(
    id: &str,
    rule: &str,
    batch: &[Value],
    range: [u128; 2],
    [keep, strays, aggregate]: [Vec<Value>; 3],
) -> Vector {
    by_policy(
        format!("hash-ranges/{id}"),
        rule,
        with(read(batch.to_vec()), "range", json!(range.map(|end| end.to_string()))),
        [
            ("keep", records(keep)),
            ("drop_strays", records(strays)),
            ("drop_aggregate", records(aggregate)),
        ],
    )
}

pub(crate) fn hash_ranges() -> Group {
    // Records with these explicit hash keys.
    let at = |keys: &[u128]| {
        let mut fields = vec![key("k")];
        fields.extend(keys.iter().map(|key| table_entry(&key.to_string())));
        fields.extend(
            keys.iter()
                .enumerate()
                .map(|(index, key)| record_at(0, index as u64, key.to_string())),
        );
        aggregate_of(&fields)
    };
    let of = |keys: &[(u64, u128)]| -> Vec<Value> {
        let one = |&(sub, key): &(u64, u128)| inner(1, sub, "k", Some(&key.to_string()), key.to_string());
        keys.iter().map(one).collect()
    };
    let all = |keys: &[u128]| of(&(0..).zip(keys.iter().copied()).collect::<Vec<_>>());
    let mut vectors = Vec::new();
    for (id, keys, range) in [
        ("both-ends", &[10, 20][..], [10, 20]),
        ("one-key", &[7, 7], [7, 7]),
        ("the-whole-range", &[0, u128::MAX], [0, u128::MAX]),
        ("the-lowest", &[0, 99], [0, 99]),
        ("the-highest", &[u128::MAX - 1, u128::MAX], [u128::MAX - 1, u128::MAX]),
        (
            "around-2-to-the-127",
            &[1 << 127, (1 << 127) + 1],
            [1 << 127, u128::MAX],
        ),
    ] {
        let batch = [kinesis(1, at(keys))];
        vectors.push(within(id, RANGE, &batch, range, [all(keys), all(keys), all(keys)]));
    }
    for (id, keys, range, rest) in [
        ("below", &[9, 10][..], [10, 20], &[(1, 10)][..]),
        ("above", &[20, 21], [10, 20], &[(0, 20)]),
        ("first-of-three", &[5, 10, 11], [10, 20], &[(1, 10), (2, 11)]),
        ("last-of-three", &[10, 11, 500], [10, 20], &[(0, 10), (1, 11)]),
        ("all-of-them", &[1, 2], [10, 20], &[]),
        (
            "2-to-the-127-less-1",
            &[(1 << 127) - 1, 1 << 127],
            [1 << 127, u128::MAX],
            &[(1, 1 << 127)],
        ),
        // As text they would be in the range.
        ("longer-numbers", &[100, 15], [10, 20], &[(1, 15)]),
    ] {
        let batch = [kinesis(1, at(keys))];
        vectors.push(within(id, DROPS, &batch, range, [all(keys), of(rest), vec![]]));
    }
    let middle = [10, 500, 11];
    let of_middle = within(
        "middle-of-three",
        POSITION,
        &[kinesis(1, at(&middle))],
        [10, 20],
        [all(&middle), of(&[(0, 10), (2, 11)]), vec![]],
    );
    vectors.push(requires(of_middle, &["subSequenceNumber"]));

    // By MD5: "abc" is in the upper half, "a" in the lower one.
    let half = 1_u128 << 127;
    assert!(u128::from_be_bytes(md5(b"abc")) >= half && u128::from_be_bytes(md5(b"a")) < half);
    let mixed = aggregate_of(&[key("a"), key("abc"), record(0, "lower"), record(1, "upper")]);
    let lower = || inner(1, 0, "a", None, "lower");
    let upper = || inner(1, 1, "abc", None, "upper");
    vectors.extend([
        within(
            "by-md5-in-the-lower-half",
            DROPS,
            &[kinesis(1, &mixed)],
            [0, half - 1],
            [vec![lower(), upper()], vec![lower()], vec![]],
        ),
        within(
            "by-md5-in-the-upper-half",
            DROPS,
            &[kinesis(1, &mixed)],
            [half, u128::MAX],
            [vec![lower(), upper()], vec![upper()], vec![]],
        ),
    ]);
    let of_abc = u128::from_be_bytes(md5(b"abc"));
    let abc = aggregate_of(&[key("abc"), record(0, "1"), record(0, "2")]);
    let both = || vec![inner(1, 0, "abc", None, "1"), inner(1, 1, "abc", None, "2")];
    vectors.extend([
        within(
            "by-md5-exactly",
            RANGE,
            &[kinesis(1, &abc)],
            [of_abc, of_abc],
            [both(), both(), both()],
        ),
        within(
            "by-md5-one-above",
            RANGE,
            &[kinesis(1, &abc)],
            [of_abc + 1, u128::MAX],
            [both(), vec![], vec![]],
        ),
        within(
            "by-md5-one-below",
            RANGE,
            &[kinesis(1, &abc)],
            [0, of_abc - 1],
            [both(), vec![], vec![]],
        ),
    ]);
    // The explicit one counts, not that of the partition key.
    let explicit = aggregate_of(&[key("abc"), table_entry("7"), record_at(0, 0, "7")]);
    let seven = || vec![inner(1, 0, "abc", Some("7"), "7")];
    vectors.push(within(
        "explicit-before-md5",
        DROPS,
        &[kinesis(1, &explicit)],
        [of_abc, of_abc],
        [seven(), vec![], vec![]],
    ));
    let strays = [kinesis(1, "before"), kinesis(2, at(&[10, 500])), kinesis(3, "after")];
    let of_2 = |sub: u64, key: u128| inner(2, sub, "k", Some(&key.to_string()), key.to_string());
    vectors.push(within(
        "plain-neighbours",
        PLAIN,
        &strays,
        [10, 20],
        [
            vec![plain(1, "before"), of_2(0, 10), of_2(1, 500), plain(3, "after")],
            vec![plain(1, "before"), of_2(0, 10), plain(3, "after")],
            vec![plain(1, "before"), plain(3, "after")],
        ],
    ));
    vectors.push(within(
        "one-aggregate-of-two",
        DROPS,
        &[kinesis(1, at(&[10, 11])), kinesis(2, at(&[10, 500]))],
        [10, 20],
        [
            [all(&[10, 11]), vec![of_2(0, 10), of_2(1, 500)]].concat(),
            [all(&[10, 11]), vec![of_2(0, 10)]].concat(),
            all(&[10, 11]),
        ],
    ));
    group(
        "hash-ranges",
        "Which user records the reader of a shard delivers, whose hash keys are `range`. Policies: `keep` delivers all, `drop_strays` leaves \
         out those outside the range, and `drop_aggregate`, which is what the KCL does, leaves out every aggregate that has one.",
        vectors,
    )
}
