//! `kpl stats`: its figures, against what is known of the input.

use kpl_testkit::bytes::sealed;
use serde_json::{Value, json};

use crate::support::{Directory, json_lines, kpl, kpl_golden, list_shards, record};

fn stats_json(arguments: &[&str], input: impl AsRef<[u8]>) -> Value {
    let run = kpl(&[&["stats", "--output", "json"], arguments].concat(), input);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

fn text(arguments: &[&str], input: impl AsRef<[u8]>) -> String {
    let run = kpl(&[&["stats"], arguments].concat(), input);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout
}

/// `kpl aggregate` of user records with these keys and this size.
fn aggregated(arguments: &[&str], count: usize, keys: usize, size: usize) -> String {
    let lines: Vec<_> = (0..count)
        .map(|number| json!({ "PartitionKey": format!("key {}", number % keys), "Data": "x".repeat(size) }))
        .collect();
    let run = kpl(
        &[&["aggregate", "--data", "text"], arguments].concat(),
        json_lines(&lines),
    );
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    run.stdout
}

#[test]
fn every_kind_of_record_is_counted() {
    let golden = kpl_golden().aggregated;
    let unresolved = sealed(b"\x0A\x03abc\x1A\x06\x08\x09\x1A\x02hi\x1A\x06\x08\x00\x1A\x02hi");
    let input = json_lines(&[
        record(&golden, "1"),
        record(b"plain", "2"),
        record(&golden[..600], "3"),
        record(&sealed(b"\x0A\x03abc"), "4"),
        record(&unresolved, "5"),
    ]);
    let json = stats_json(&[], &input);
    assert_eq!(
        json["KinesisRecords"],
        json!({ "Total": 5, "Aggregated": 3, "Plain": 1, "Malformed": 1, "EmptyAggregates": 1 })
    );
    assert_eq!((&json["UserRecords"], &json["WithoutKeys"]), (&json!(12), &json!(1)));
    let per_record = &json["UserRecordsPerKinesisRecord"];
    assert_eq!(
        *per_record,
        json!({ "Count": 5, "Min": 0, "Max": 8, "Sum": 12, "Buckets": [1, 2, 1, 0, 1] })
    );
    assert_eq!(json["DataBytes"]["Sum"], 8 * 32 + 5 + 600 + 2 + 2);
    assert_eq!(json["Keys"]["Different"], 10);
    assert_eq!(
        json["Keys"]["Top"][0],
        json!({ "PartitionKey": "outer", "UserRecords": 2 })
    );
    let drawing = text(&[], &input);
    assert!(
        drawing.starts_with("Kinesis records                       5\n"),
        "{drawing}"
    );
    for line in [
        "  malformed                           1   20.0 %",
        "  without keys                        1    8.3 %",
    ] {
        assert!(drawing.contains(line), "{drawing}");
    }
}

#[test]
fn what_aggregation_saves() {
    // 400 user records of 1,000 bytes of data and 5 or 6 of key.
    let packed = aggregated(&["--max-size", "10000"], 400, 40, 1_000);
    let records = packed.lines().count() as u64;
    let json = stats_json(
        &["--max-size", "10000", "--max-size", "51200", "--max-size", "1048576"],
        &packed,
    );
    assert_eq!(json["CostAlone"]["KinesisRecords"], 400);
    assert_eq!(json["CostAlone"]["PutPayloadUnits"], 400);
    assert_eq!(json["CostAlone"]["Bytes"], 400 * 1_005 + 30 * 10);
    assert_eq!(json["Cost"]["KinesisRecords"], records);
    assert_eq!(json["Cost"]["PutPayloadUnits"], records, "each is below 25 KiB");
    // Packed anew to the same size, it is what it was.
    let sizes: Vec<_> = json["Repacked"]
        .as_array()
        .unwrap()
        .iter()
        .map(|size| size["KinesisRecords"].clone())
        .collect();
    assert_eq!(sizes[0], records);
    let again = aggregated(&["--max-size", "51200"], 400, 40, 1_000);
    assert_eq!(sizes[1], again.lines().count());
    assert_eq!(sizes[2], 1);
    let units: u64 = again
        .lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap();
            let data = data_encoding::BASE64
                .decode(entry["Data"].as_str().unwrap().as_bytes())
                .unwrap();
            ((data.len() + entry["PartitionKey"].as_str().unwrap().len()) as u64).div_ceil(25_600)
        })
        .sum();
    assert_eq!(json["Repacked"][1]["PutPayloadUnits"], units);
    let drawing = text(&[], &packed);
    assert!(drawing.contains("--max-size 102400"), "{drawing}");
    assert!(
        drawing
            .lines()
            .all(|line| line.chars().count() <= 80 && line.trim_end() == line),
        "{drawing}"
    );
}

#[test]
fn records_that_mix_shards_are_warned_of() {
    let directory = Directory::new();
    let shards = directory.file("shards.json", list_shards(4));
    let safe = aggregated(&["--shards", &shards, "--max-size", "2000"], 300, 40, 20);
    let json = stats_json(&["--shards", &shards], &safe);
    assert_eq!(json["Shards"]["Mixed"], 0);
    let by_shard = json["Shards"]["Shards"].as_array().unwrap();
    assert_eq!(
        by_shard
            .iter()
            .map(|shard| shard["UserRecords"].as_u64().unwrap())
            .sum::<u64>(),
        300
    );
    assert!(text(&["--shards", &shards], &safe).ends_with("\nNo aggregated record mixes shards.\n"));

    let mixed = aggregated(&["--max-size", "2000"], 300, 40, 20);
    let json = stats_json(&["--shards", &shards], &mixed);
    assert_eq!(json["Shards"]["Mixed"], mixed.lines().count());
    assert_eq!(
        json["Shards"]["FirstMixed"][0]["Location"],
        "standard input:1: record 1"
    );
    let drawing = text(&["--shards", &shards], format!("{}\n{mixed}", record(b"plain", "1")));
    let (_, warning) = drawing.split_once("warning: ").expect(&drawing);
    assert!(warning.contains(" aggregated records mix shards.\n"), "{warning}");
    assert!(
        warning.contains("\n  standard input:2: record 2: shardId-00000000000"),
        "{warning}"
    );
    // Packed for shards, it never mixes: so there are more records than without.
    let plain = stats_json(&[], &mixed)["Repacked"][0]["KinesisRecords"].clone();
    assert_eq!((plain, &json["Repacked"][0]["KinesisRecords"]), (json!(1), &json!(4)));
}

#[test]
fn too_many_keys_are_counted_within_a_stated_error() {
    let exact = stats_json(&["--keys", "3"], aggregated(&[], 12_000, 8_000, 1));
    assert_eq!(
        (&exact["Keys"]["Different"], &exact["Keys"]["Error"]),
        (&json!(8_000), &json!(0))
    );
    assert_eq!(exact["Keys"]["Top"].as_array().unwrap().len(), 3);
    let input = aggregated(&[], 25_000, 25_000, 1) + &aggregated(&[], 500, 1, 1);
    let json = stats_json(&["--keys", "1"], &input);
    assert_eq!(json["Keys"]["Different"], Value::Null);
    let (top, error) = (&json["Keys"]["Top"][0], json["Keys"]["Error"].as_u64().unwrap());
    assert_eq!(top["PartitionKey"], "key 0");
    let count = top["UserRecords"].as_u64().unwrap();
    assert!(count <= 501 && 501 <= count + error, "{json}");
    let drawing = text(&["--keys", "1"], &input);
    assert!(
        drawing.contains("partition keys: more than 10,000 different\n"),
        "{drawing}"
    );
    assert!(
        drawing.contains(&format!("these counts may be too low by {error}.")),
        "{drawing}"
    );
}

#[test]
fn problems_are_reported_and_counted() {
    let input = format!("{}\nnonsense\n{{}}\n{}", record(b"x", "1"), record(b"y", "2"));
    let run = kpl(&["stats", "--output", "json"], &input);
    assert_eq!(run.code, 1);
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&json["Unreadable"], &json["UserRecords"]), (&json!(2), &json!(2)));
    let strict = kpl(&["stats", "--strict"], &input);
    assert_eq!((strict.code, strict.stdout.as_str()), (1, ""));
    let malformed = json_lines(&[record(b"x", "1"), record(b"\xF3\x89\x9A\xC2", "2")]);
    let strict = kpl(&["stats", "--strict"], malformed);
    assert_eq!(strict.code, 1);
    assert_eq!(
        strict.stderr,
        "kpl: standard input:2: record 2 (sequence number 2): \
         it starts with the magic of an aggregate, but it has fewer than 21 bytes\n"
    );
}

#[test]
fn no_records_are_no_division_by_zero() {
    let drawing = text(&[], "");
    assert!(
        drawing.contains("user records                          0\n"),
        "{drawing}"
    );
    assert!(!drawing.contains("NaN"), "{drawing}");
    assert_eq!(stats_json(&[], "")["UserRecordsPerKinesisRecord"]["Count"], 0);
}
