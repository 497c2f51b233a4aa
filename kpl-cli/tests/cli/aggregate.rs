//! `kpl aggregate`: what comes out, the options, and that nothing is lost.

use std::collections::HashMap;

use data_encoding::BASE64;
use kpl_core::wire::AggregatedRecord;
use kpl_core::{HashKey, PartitionKey};
use kpl_testkit::golden::Golden;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Directory, json_lines, kpl, list_shards};

fn aggregate(arguments: &[&str], input: impl AsRef<[u8]>) -> Vec<Value> {
    kpl(&[&["aggregate"], arguments].concat(), input).lines()
}

fn data(entry: &Value) -> Vec<u8> {
    BASE64.decode(entry["Data"].as_str().unwrap().as_bytes()).unwrap()
}

/// Lines with these keys, and texts as data.
fn texts(records: &[(&str, &str)]) -> String {
    let lines: Vec<_> = records
        .iter()
        .map(|(key, text)| json!({ "PartitionKey": key, "Data": text }))
        .collect();
    json_lines(&lines)
}

fn many(count: usize) -> String {
    let lines: Vec<_> = (0..count)
        .map(|number| json!({ "PartitionKey": format!("key {}", number % 37), "Data": format!("record {number}") }))
        .collect();
    json_lines(&lines)
}

#[test]
fn golden_records_are_packed_to_exactly_their_bytes() {
    for golden in Golden::all() {
        let lines: Vec<_> = golden
            .json_records()
            .iter()
            .map(|record| {
                json!({
                    "PartitionKey": record["partitionKey"],
                    "ExplicitHashKey": record["explicitHashKey"],
                    "Data": record["data"],
                })
            })
            .collect();
        let entries = aggregate(&[], json_lines(&lines));
        assert_eq!(entries.len(), 1, "{}", golden.name);
        assert_eq!(data(&entries[0]), golden.aggregated, "{}", golden.name);
        assert_eq!(entries[0]["PartitionKey"], golden.json_records()[0]["partitionKey"]);

        // What `kpl deaggregate` writes is what `kpl aggregate` reads.
        let lines = kpl(&["deaggregate", "--raw"], &golden.aggregated).stdout;
        assert_eq!(aggregate(&[], lines), entries, "{}", golden.name);
    }
}

#[test]
fn the_entry_has_exactly_these_keys_in_this_order() {
    let run = kpl(&["aggregate"], r#"{"Data":"aGk=","PartitionKey":"abc"}"#);
    let expected =
        r#"{"Data":"aGk=","PartitionKey":"abc","ExplicitHashKey":"191415658344158766168031473277922803570"}"#;
    assert_eq!(run.stdout, format!("{expected}\n"));
    let run = kpl(
        &["aggregate"],
        r#"{"PartitionKey":"abc","ExplicitHashKey":"7","Data":"","Other":[1,{}]}"#,
    );
    assert_eq!(
        run.stdout,
        "{\"Data\":\"\",\"PartitionKey\":\"abc\",\"ExplicitHashKey\":\"7\"}\n"
    );
}

#[test]
fn the_array_is_what_put_records_takes() {
    let entries = aggregate(&["--data", "text", "--max-size", "300"], many(50));
    assert!(entries.len() > 3);
    let run = kpl(
        &["aggregate", "--data", "text", "--max-size", "300", "--output", "array"],
        many(50),
    );
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(
        serde_json::from_str::<Value>(&run.stdout).unwrap(),
        Value::Array(entries)
    );
    assert_eq!(kpl(&["aggregate", "--output", "array"], "").stdout, "[]\n");
}

#[test]
fn an_array_that_put_records_does_not_take_at_once_is_reported() {
    let input = many(501);
    let run = kpl(
        &["aggregate", "--data", "text", "--max-count", "1", "--output", "array"],
        &input,
    );
    assert_eq!(run.code, 0);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&run.stdout).unwrap().len(), 501);
    assert!(
        run.stderr.starts_with("kpl: these are 501 entries and "),
        "{}",
        run.stderr
    );
}

#[test]
fn sizes_and_counts_are_kept() {
    for max_size in [200_usize, 1_000, 51_200] {
        let entries = aggregate(&["--data", "text", "--max-size", &max_size.to_string()], many(500));
        let sizes = entries
            .iter()
            .map(|entry| data(entry).len() + entry["PartitionKey"].as_str().unwrap().len());
        assert!(sizes.clone().all(|size| size <= max_size));
        assert!(sizes.clone().count() == 1 || sizes.max().unwrap() > max_size * 3 / 4);
    }
    let entries = aggregate(&["--data", "text", "--max-count", "3"], many(10));
    let counts: Vec<_> = entries
        .iter()
        .map(|entry| AggregatedRecord::parse(&data(entry)).map_or(1, |a| a.len()))
        .collect();
    assert_eq!(counts, [3, 3, 3, 1]);
}

#[test]
fn the_outer_key_is_the_first_ones_or_fixed() {
    let input = texts(&[("first", "1"), ("second", "2")]);
    assert_eq!(aggregate(&["--data", "text"], &input)[0]["PartitionKey"], "first");
    assert_eq!(
        aggregate(&["--data", "text", "--outer-key", "first"], &input)[0]["PartitionKey"],
        "first"
    );
    let fixed = aggregate(&["--data", "text", "--outer-key", "fixed:a:b"], &input);
    assert_eq!(fixed[0]["PartitionKey"], "a:b");
    let of_first = PartitionKey::new("first").unwrap().hash_key().to_string();
    assert_eq!(fixed[0]["ExplicitHashKey"], of_first);
    for wrong in ["second", "fixed:", "fixed"] {
        assert_eq!(kpl(&["aggregate", "--outer-key", wrong], &input).code, 2, "{wrong}");
    }
}

#[test]
fn a_lone_record_is_wrapped_only_on_demand() {
    let input = texts(&[("k", "alone")]);
    assert_eq!(data(&aggregate(&["--data", "text"], &input)[0]), b"alone");
    let wrapped = data(&aggregate(&["--data", "text", "--wrap-single"], &input)[0]);
    assert_eq!(AggregatedRecord::parse(&wrapped).unwrap().len(), 1);
}

#[test]
fn with_shards_no_record_mixes_them() {
    let directory = Directory::new();
    let shards = directory.file("shards.json", list_shards(4));
    let entries = aggregate(&["--data", "text", "--max-size", "500", "--shards", &shards], many(400));
    let shard_of = |key: HashKey| key.value() / (u128::MAX / 4);
    let mut of_shard = HashMap::new();
    for entry in &entries {
        let outer: HashKey = entry["ExplicitHashKey"].as_str().unwrap().parse().unwrap();
        let data = data(entry);
        let inner = AggregatedRecord::parse(&data).unwrap();
        for key in inner.partition_keys() {
            assert_eq!(shard_of(PartitionKey::new(*key).unwrap().hash_key()), shard_of(outer));
        }
        *of_shard.entry(shard_of(outer)).or_insert(0) += inner.len();
    }
    assert_eq!((of_shard.len(), of_shard.values().sum::<usize>()), (4, 400));
    let mixed = aggregate(&["--data", "text", "--max-size", "500"], many(400));
    assert_eq!(
        mixed
            .iter()
            .map(|entry| AggregatedRecord::parse(&data(entry)).unwrap().len())
            .sum::<usize>(),
        400
    );
}

#[test]
fn closed_shards_have_nothing_to_say() {
    let directory = Directory::new();
    let mut json: Value = serde_json::from_str(&list_shards(2)).unwrap();
    let parent = json!({
        "ShardId": "shardId-000000000009",
        "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": u128::MAX.to_string() },
        "SequenceNumberRange": { "StartingSequenceNumber": "1", "EndingSequenceNumber": "2" },
    });
    json["Shards"].as_array_mut().unwrap().insert(0, parent);
    let shards = directory.file("shards.json", json.to_string());
    assert_eq!(aggregate(&["--data", "text", "--shards", &shards], many(100)).len(), 2);
}

#[test]
fn shards_that_are_not_those_of_a_stream_are_refused() {
    let directory = Directory::new();
    let mut json: Value = serde_json::from_str(&list_shards(3)).unwrap();
    json["Shards"].as_array_mut().unwrap().remove(1);
    let gap = directory.file("gap.json", json.to_string());
    let text = directory.file("text.json", "{}");
    let none = directory.file("none.json", r#"{"Shards":[]}"#);
    for (file, problem) in [
        (
            &gap,
            "the open shards do not make up a whole stream: no shard owns the hash keys 1134",
        ),
        (&none, "the open shards do not make up a whole stream"),
        (
            &text,
            "this is not the JSON of `aws kinesis list-shards`: missing field `Shards`",
        ),
    ] {
        let run = kpl(&["aggregate", "--shards", file], "");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""));
        assert!(
            run.stderr.starts_with(&format!("kpl: {file}: {problem}")),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn data_that_is_base64_by_accident_is_told_once() {
    let input = "{\"PartitionKey\":\"a\",\"Data\":\"AAAA\"}\n{\"PartitionKey\":\"a\",\"Data\":\"test\"}\n".repeat(2);
    let told = "kpl: standard input:2: its Data, \"test\", looks like text, but is read as base64 of 3 bytes; --data says what it is: \
                text or base64\n";
    let accident = kpl(&["aggregate"], &input);
    assert_eq!((accident.code, accident.stderr.as_str()), (0, told));
    for (arguments, input) in [
        (&["aggregate", "--data", "base64"][..], input.clone()),
        (&["aggregate", "--data", "text"], input.clone()),
        (&["aggregate"], input.replace('}', ",\"DataEncoding\":\"base64\"}")),
    ] {
        let run = kpl(arguments, input);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

/// As `kpl deaggregate` and `kpl tail` write them, and `kpl aggregate --output array`.
#[test]
fn lines_of_other_forms_are_read() {
    let unpack = |lines: &str| {
        let packed = kpl(&["aggregate"], lines);
        assert_eq!((packed.code, packed.stderr.as_str()), (0, ""), "{lines}");
        kpl(&["deaggregate", "--data", "text"], packed.stdout).lines()
    };
    for (fields, data) in [
        (r#""Data":{"b": 1.10, "a":[1]}"#, r#"{"b": 1.10, "a":[1]}"#),
        (r#""Data":[{}, null]"#, "[{}, null]"),
        (r#""Data":12345678901234567890123"#, "12345678901234567890123"),
        (r#""Data":"x","DataEncoding":"json""#, r#""x""#),
        (r#""Data":null,"DataEncoding":"json""#, "null"),
        (r#""Data":"x","DataEncoding":"text""#, "x"),
        (r#""Data":"eA==""#, "x"),
    ] {
        let lines = unpack(&format!("{{\"PartitionKey\":\"k\",{fields}}}\n"));
        assert_eq!((lines.len(), lines[0]["Data"].as_str()), (1, Some(data)), "{fields}");
    }
    let hash_keys =
        "{\"PartitionKey\":\"k\",\"ExplicitHashKey\":0,\"Data\":\"\"}\n{\"PartitionKey\":\"k\",\"Data\":\"\"}\n";
    assert_eq!(unpack(hash_keys)[0]["ExplicitHashKey"], "0");

    // The stream did not return a key.
    let without = "{\"PartitionKey\":null,\"Data\":\"eA==\"}\n{\"PartitionKey\":null,\"Data\":\"eQ==\"}\n";
    let lines = unpack(&without.repeat(2));
    let keys: Vec<_> = lines
        .iter()
        .map(|line| line["PartitionKey"].as_str().unwrap())
        .collect();
    assert_eq!((keys[0], keys[1]), (keys[2], keys[3]));
    assert!(keys[0] != keys[1] && !keys[0].is_empty());

    let array = kpl(
        &["aggregate", "--output", "array", "--max-count", "1"],
        hash_keys.repeat(2),
    )
    .stdout;
    let again = kpl(&["aggregate", "--max-count", "1"], &array);
    assert_eq!((again.code, again.stdout.lines().count()), (0, 4), "{again:?}");
}

#[test]
fn a_line_that_cannot_be_packed_comes_back_with_its_number() {
    let long = "k".repeat(257);
    let bad = [
        (
            r#"{"PartitionKey":"","Data":""}"#.to_owned(),
            "a partition key has 1 to 256 characters, this one has 0",
        ),
        (
            format!(r#"{{"PartitionKey":"{long}","Data":""}}"#),
            "a partition key has 1 to 256 characters, this one has 257",
        ),
        (r#"{"Data":""}"#.into(), "it does not have a PartitionKey"),
        (r#"{"PartitionKey":"k"}"#.into(), "it does not have Data"),
        (r#"{"PartitionKey":"k","Data":null}"#.into(), "its Data is null"),
        (
            r#"{"PartitionKey":5,"Data":""}"#.into(),
            "its PartitionKey is a number, not a string",
        ),
        (
            r#"{"PartitionKey":"k","ExplicitHashKey":true,"Data":""}"#.into(),
            "its ExplicitHashKey is a boolean, not a string",
        ),
        (
            r#"{"PartitionKey":"k","ExplicitHashKey":340282366920938463463374607431768211455,"Data":""}"#.into(),
            "its ExplicitHashKey is a number that JSON does not keep exactly: write it as a string",
        ),
        (
            r#"{"PartitionKey":"k","Data":"*"}"#.into(),
            "its Data is not base64: invalid length at 0",
        ),
        (
            r#"{"PartitionKey":"k","ExplicitHashKey":"007","Data":""}"#.into(),
            "its ExplicitHashKey: a hash key is a decimal number from 0 to 2^128-1 without sign or leading zeros, \
             not \"007\"",
        ),
        (
            format!(r#"{{"PartitionKey":"k","Data":"{}"}}"#, "A".repeat(400)),
            "the record with the partition key \"k\" is too large: on its own it counts 301 bytes (data and outer partition key), \
             and max_size is 200",
        ),
        ("nonsense".into(), "expected ident, at column 2"),
        (
            "{\"PartitionKey\":\"k\",".into(),
            "EOF while parsing a value, at column 20",
        ),
    ];
    let good = r#"{"PartitionKey":"k","Data":"AAAA"}"#;
    let mut input = format!("{good}\r\n\n");
    let mut told = String::new();
    for (number, (line, problem)) in bad.iter().enumerate() {
        input.push_str(&format!("{line}\n{good}\n"));
        told.push_str(&format!("kpl: standard input:{}: {problem}: {line}\n", 3 + 2 * number));
    }
    let run = kpl(&["aggregate", "--max-size", "200"], &input);
    assert_eq!(run.stderr, told);
    assert_eq!(run.code, 1);
    let packed: usize = run
        .lines_despite_problems()
        .iter()
        .map(|entry| AggregatedRecord::parse(&data(entry)).unwrap().len())
        .sum();
    assert_eq!(packed, 1 + bad.len());
}

#[test]
fn strict_stops_at_the_first_such_line_and_keeps_what_was_packed() {
    let good = r#"{"PartitionKey":"k","Data":"AAAA"}"#;
    let run = kpl(
        &["aggregate", "--strict", "--output", "array"],
        format!("{good}\n{good}\n?\n{good}\n?\n"),
    );
    assert_eq!(run.code, 1);
    assert_eq!(run.stderr, "kpl: standard input:3: expected value, at column 1: ?\n");
    let entries: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(AggregatedRecord::parse(&data(&entries[0])).unwrap().len(), 2);
}

#[test]
fn what_deaggregate_writes_for_reading_is_packed_to_the_same_data() {
    let line = |data: &[u8]| json!({ "PartitionKey": "key", "Data": BASE64.encode(data) });
    let data: [&[u8]; 3] = [b"text", b"", &[0xFF, 0xFE]];
    let text = kpl(&["deaggregate", "--data", "text"], json_lines(&data.map(line))).stdout;
    let packed = kpl(&["aggregate", "--data", "text"], text).stdout;
    let unpacked = kpl(&["deaggregate"], packed).lines();
    assert_eq!(unpacked.iter().map(self::data).collect::<Vec<_>>(), data);
    let unknown = kpl(
        &["aggregate"],
        r#"{"PartitionKey":"key","Data":"AAAA","DataEncoding":"hex"}"#,
    );
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("unknown variant `hex`"), "{unknown:?}");
}

#[test]
fn a_byte_order_mark_costs_no_record() {
    let input = format!("\u{feff}{}", texts(&[("key", "text")]));
    assert_eq!(data(&aggregate(&["--data", "text"], input)[0]), b"text");
}

#[test]
fn a_line_longer_than_any_record_is_passed_over() {
    let good = r#"{"PartitionKey":"k","Data":"AAAA"}"#;
    let long = "x".repeat(40 * 1024 * 1024);
    let run = kpl(&["aggregate"], format!("{long}\n{good}\n"));
    assert_eq!(run.code, 1);
    assert_eq!(run.lines_despite_problems().len(), 1);
    assert_eq!(
        run.stderr,
        "kpl: standard input:1: this is longer than 32 MiB, the limit for one record\n"
    );
}

#[test]
fn sizes_beyond_those_of_the_service_are_refused() {
    for arguments in [
        ["--max-size", "0"],
        ["--max-size", "10485761"],
        ["--max-count", "0"],
        ["--max-size", "x"],
    ] {
        assert_eq!(
            kpl(&[&["aggregate"], &arguments[..]].concat(), "").code,
            2,
            "{arguments:?}"
        );
    }
}

fn any_record() -> impl Strategy<Value = (String, Option<u128>, Vec<u8>)> {
    let key = prop_oneof![
        "[a-c]",
        "\\PC{1,40}",
        any::<String>().prop_filter("a key", |key| (1..=256).contains(&key.chars().count()))
    ];
    (
        key,
        proptest::option::of(any::<u128>()),
        proptest::collection::vec(any::<u8>(), 0..200),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_goes_in_comes_out(
        records in proptest::collection::vec(any_record(), 1..80),
        max_size in 2_500_usize..20_000,
        array in any::<bool>(),
        sharded in any::<bool>(),
    ) {
        let directory = Directory::new();
        let shards = directory.file("shards.json", list_shards(3));
        let lines: Vec<_> = records
            .iter()
            .map(|(key, hash_key, data)| json!({
                "PartitionKey": key,
                "ExplicitHashKey": hash_key.map(|key| key.to_string()),
                "Data": BASE64.encode(data),
            }))
            .collect();
        let max_size = max_size.to_string();
        let mut arguments = vec!["aggregate", "--data", "base64", "--wrap-single", "--max-size", &max_size];
        if array {
            arguments.extend(["--output", "array"]);
        }
        if sharded {
            arguments.extend(["--shards", &shards]);
        }
        let packed = kpl(&arguments, json_lines(&lines));
        prop_assert_eq!((packed.code, packed.stderr.as_str()), (0, ""));
        let out = kpl(&["deaggregate", "--strict"], &packed.stdout).lines();
        let keep = |line: &Value| [&line["PartitionKey"], &line["ExplicitHashKey"], &line["Data"]].map(Value::to_string);
        let (mut seen, mut expected): (Vec<_>, Vec<_>) = (out.iter().map(keep).collect(), lines.iter().map(keep).collect());
        if sharded {
            // In order within each shard only.
            seen.sort();
            expected.sort();
        }
        prop_assert_eq!(seen, expected);
    }
}

/// An event for a function: what `kpl deaggregate` reads out of it is what went in.
#[test]
fn an_event_of_lambda() {
    let lines = texts(&[("a", "one"), ("b", "two"), ("c", "three")]);
    let arguments = [
        "aggregate",
        "--data",
        "text",
        "--max-count",
        "2",
        "--as",
        "lambda-event",
    ];
    let event = kpl(&arguments, &lines).stdout;
    let json: Value = serde_json::from_str(&event).unwrap();
    let records = json["Records"].as_array().unwrap();
    let numbers: Vec<_> = records
        .iter()
        .map(|record| &record["kinesis"]["sequenceNumber"])
        .collect();
    assert_eq!(numbers, ["1", "2"]);
    assert_eq!(records[0]["eventID"], "shardId-000000000000:1");
    assert_eq!(records[1]["kinesis"]["data"], BASE64.encode(b"three"));
    let read: Vec<_> = kpl(&["deaggregate", "--data", "text"], &event).lines();
    let read = read
        .iter()
        .map(|line| json!({ "PartitionKey": line["PartitionKey"], "Data": line["Data"] }));
    assert_eq!(json_lines(&read.collect::<Vec<_>>()), lines);
    assert_eq!(kpl(&arguments, "").stdout, "{\"Records\":[]}\n");
}
