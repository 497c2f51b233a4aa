//! `kpl inspect`: what it finds, and what it draws.

use data_encoding::BASE64;
use kpl_core::{Aggregator, RawRecord};
use kpl_testkit::bytes::sealed;
use kpl_testkit::golden::Golden;
use serde_json::{Value, json};

use crate::support::{Run, json_lines, kpl, kpl_golden, record};

fn inspect_json(arguments: &[&str], input: impl AsRef<[u8]>) -> Value {
    let run = kpl(&[&["inspect", "--output", "json"], arguments].concat(), input);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

fn text(run: Run) -> String {
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout
}

/// The parts of a record are where they are said to be, and are all of it.
fn check_places(bytes: &[u8], json: &Value) {
    let at = |part: &Value| part["Offset"].as_u64().unwrap() as usize;
    for key in ["PartitionKeys", "ExplicitHashKeys"]
        .iter()
        .flat_map(|table| json[table].as_array().unwrap())
    {
        let text = key["Key"].as_str().unwrap();
        assert!(bytes[at(key)..].windows(text.len()).next().is_some());
        let header = if text.len() < 128 { 2 } else { 3 };
        assert_eq!(&bytes[at(key) + header..][..text.len()], text.as_bytes());
    }
    for user_record in json["UserRecords"].as_array().unwrap() {
        let data = BASE64.decode(user_record["Data"].as_str().unwrap().as_bytes()).unwrap();
        let end = at(user_record) + user_record["Size"].as_u64().unwrap() as usize;
        assert_eq!(bytes[at(user_record)], 0x1A);
        assert_eq!(&bytes[end - data.len()..end], data);
        assert_eq!(user_record["DataSize"], data.len());
    }
    let share = |name: &str| json["Bytes"][name].as_u64().unwrap();
    let sum = share("Keys") + share("Data") + share("Framing") + share("Unknown");
    assert_eq!(sum, bytes.len() as u64);
    assert_eq!(json["Size"], bytes.len());
}

#[test]
fn golden_records_are_taken_apart() {
    for golden in Golden::all() {
        let json = inspect_json(&[], &golden.aggregated);
        check_places(&golden.aggregated, &json);
        assert_eq!(json["Kind"], "aggregated");
        assert_eq!(json["Malformed"], Value::Null);
        assert_eq!(json["Digest"]["Matches"], true);
        assert_eq!(json["Digest"]["Given"], json["Digest"]["Computed"]);
        let records = json["UserRecords"].as_array().unwrap();
        assert_eq!(records.len(), golden.user_records.len());
        let keys = json["PartitionKeys"].as_array().unwrap();
        for (record, expected) in records.iter().zip(golden.json_records()) {
            assert_eq!(record["Data"], expected["data"]);
            let index = record["PartitionKeyIndex"].as_u64().unwrap() as usize;
            assert_eq!(keys[index]["Key"], expected["partitionKey"]);
        }
        let uses: u64 = keys.iter().map(|key| key["UsedBy"].as_u64().unwrap()).sum();
        assert_eq!(uses, records.len() as u64);
    }
}

#[test]
fn the_record_is_found_in_every_kind_of_input() {
    let golden = kpl_golden();
    let expected = inspect_json(&[], &golden.aggregated);
    assert_eq!(expected["PartitionKey"], Value::Null);
    let base64 = format!("\n{}\n", golden.base64());
    assert_eq!(inspect_json(&[], base64), expected);
    let wrapped: Vec<_> = golden.base64().into_bytes().chunks(76).map(<[u8]>::to_vec).collect();
    assert_eq!(
        inspect_json(&[], wrapped.join(&b"\r\n"[..])),
        expected,
        "as base64(1) wraps it"
    );
    assert_eq!(inspect_json(&["--raw"], &golden.aggregated), expected);
    let lines = [
        record(b"plain", "1"),
        record(b"plain too", "2"),
        record(&golden.aggregated, "3"),
    ];
    for input in [
        json_lines(&lines),
        format!("{:#}", json!({ "Records": lines, "MillisBehindLatest": 0 })),
    ] {
        let json = inspect_json(&[], &input);
        assert_eq!(json["SequenceNumber"], "3", "the first that is aggregated");
        assert_eq!(json["PartitionKey"], "outer");
        assert_eq!(json["UserRecords"], expected["UserRecords"]);
        let json = inspect_json(&["--record", "2"], &input);
        assert_eq!((&json["SequenceNumber"], &json["Kind"]), (&json!("2"), &json!("plain")));
    }
    let json = inspect_json(&[], json_lines(&lines[..2]));
    assert_eq!(json["SequenceNumber"], "1", "the first, if none is aggregated");
    assert_eq!(json["Bytes"]["Data"], 5);
}

#[test]
fn json_has_the_control_characters_of_keys() {
    let key = "delete \u{7f}, C1 \u{9b}31m, escape \u{1b}[31m";
    let mut aggregator = Aggregator::<RawRecord>::builder().wrap_single(true).build().unwrap();
    assert!(aggregator.push(&RawRecord::new(key, b"data")).unwrap().is_none());
    let sealed = aggregator.finish().unwrap();
    assert_eq!(inspect_json(&[], &sealed.data)["PartitionKeys"][0]["Key"], key);
    let run = kpl(&["stats", "--raw", "--output", "json"], &sealed.data);
    let stats: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(stats["Keys"]["Top"][0]["PartitionKey"], key);
}

#[test]
fn a_record_that_is_not_there() {
    for (arguments, input, problem) in [
        (
            &["--record", "3"][..],
            json_lines(&[record(b"x", "1")]),
            "there is no record 3, the input has 1 record",
        ),
        (&[], r#"{"Records":[]}"#.into(), "there are no records in it"),
    ] {
        let run = kpl(&[&["inspect"], arguments].concat(), input);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""));
        assert_eq!(run.stderr, format!("kpl: standard input: {problem}\n"));
    }
    assert_eq!(kpl(&["inspect", "--record", "0"], "").code, 2);
    let broken = kpl(&["inspect"], r#"{"Records":["#);
    assert_eq!(broken.code, 1, "the data is what is wrong: {broken:?}");
}

#[test]
fn one_byte_is_not_a_plural() {
    let title = |data: &[u8]| {
        text(kpl(&["inspect", "--raw"], data))
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(title(b""), "a plain record, 0 bytes");
    assert_eq!(title(b"x"), "a plain record, 1 byte");
    assert_eq!(title(b"xy"), "a plain record, 2 bytes");
}

#[test]
fn it_reads_no_further_than_the_record() {
    let golden = kpl_golden();
    let input = format!("{}\n{}", record(&golden.aggregated, "1"), "nonsense ".repeat(100_000));
    assert_eq!(inspect_json(&[], input)["SequenceNumber"], "1");
}

#[test]
fn damaged_bytes_are_drawn_up_to_where_they_stop_making_sense() {
    let golden = kpl_golden().aggregated;
    let body_end = golden.len() - 16;
    for (offset, user_records) in [(500, 5), (4, 0), (308, 0), (346, 1)] {
        let mut damaged = golden.clone();
        damaged[offset] = 0xFF;
        let json = inspect_json(&[], &damaged);
        assert_eq!(json["Kind"], "malformed");
        assert_eq!(json["Digest"]["Matches"], false);
        assert_ne!(json["Digest"]["Given"], json["Digest"]["Computed"]);
        assert_eq!(json["UserRecords"].as_array().unwrap().len(), user_records, "{offset}");
        let place = json["Malformed"]["Offset"].as_u64().unwrap() as usize;
        assert!((offset..body_end).contains(&place), "{offset}: {place}");
        check_places(&damaged, &json);
    }
    // Every cut, and every bit of some bytes: it never fails, and its bytes add up.
    for end in (0..golden.len()).step_by(29) {
        let json = inspect_json(&["--raw"], &golden[..end]);
        check_places(&golden[..end], &json);
    }
    for offset in [0, 3, 5, 309, 310, 311, 312, 313, 620] {
        let mut damaged = golden.clone();
        damaged[offset] ^= 0x10;
        check_places(&damaged, &inspect_json(&["--raw"], &damaged));
    }
}

#[test]
fn the_drawing_points_at_the_byte() {
    let mut damaged = kpl_golden().aggregated;
    damaged[500] = 0xF7;
    let drawing = text(kpl(&["inspect"], &damaged));
    assert!(
        drawing.starts_with("not a valid aggregated record, though it has the magic of one, 628 bytes\n"),
        "{drawing}"
    );
    let (_, problem) = drawing
        .split_once("it stops making sense at byte 500\n")
        .expect(&drawing);
    assert!(problem.starts_with("user record 5, field unknown: "), "{problem}");
    let (row, marks) = problem
        .split_once("000001f0  75 0a 1a 24 f7 ")
        .map(|(_, rest)| rest.split_once('\n').unwrap())
        .unwrap();
    assert!(row.ends_with("RECORD 2"), "{row}");
    assert!(marks.starts_with(&format!("{}^^\n", " ".repeat(24))), "{marks}");
}

#[test]
fn a_wrong_digest_alone_has_no_place() {
    let mut damaged = kpl_golden().aggregated;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let json = inspect_json(&[], &damaged);
    assert_eq!(
        json["Malformed"],
        json!({ "Reason": "its digest does not match", "Offset": null, "UserRecord": null, "Field": null })
    );
    assert_eq!(json["UserRecords"].as_array().unwrap().len(), 8);
    assert!(text(kpl(&["inspect"], &damaged)).contains("\nits digest does not match\n"));
    let json = inspect_json(&["--raw"], b"\xF3\x89\x9A\xC2\x00");
    assert_eq!(json["Malformed"]["Reason"], "it has fewer than 21 bytes");
}

#[test]
fn strict_says_so_in_the_exit_code() {
    let golden = kpl_golden().aggregated;
    assert_eq!(kpl(&["inspect", "--strict"], &golden).code, 0);
    let run = kpl(&["inspect", "--strict"], &golden[..600]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("it stops making sense at byte"), "{}", run.stdout);
    assert_eq!(kpl(&["inspect"], &golden[..600]).code, 0);
}

#[test]
fn keys_that_cannot_be_resolved_and_tags_are_shown() {
    let body = b"\x0A\x03abc\x12\x01x\x1A\x06\x08\x09\x1A\x02hi\x1A\x06\x08\x00\x10\x00\x1A\x00";
    let drawing = text(kpl(&["inspect"], sealed(body)));
    assert!(
        drawing.contains("partition key index 9 is outside its table, which has 1 key\n"),
        "{drawing}"
    );
    assert!(
        drawing.contains("explicit hash key \"x\" is not a number from 0 to 2^128-1\n"),
        "{drawing}"
    );
    let tagged = RawRecord::new("k", b"data")
        .with_tag("trace", Some("4bf92f35"))
        .with_tag("bare", None);
    let sealed = Aggregator::<RawRecord>::new()
        .aggregate(&[tagged])
        .next()
        .unwrap()
        .unwrap();
    let drawing = text(kpl(&["inspect"], &sealed.data));
    assert!(
        drawing.contains(" tag trace = 4bf92f35\n") && drawing.contains(" tag bare\n"),
        "{drawing}"
    );
}

#[test]
fn drawings_fit_80_columns_whatever_is_inside() {
    let long = "é".repeat(256);
    let records: Vec<_> = (0..150_u128)
        .map(|number| {
            RawRecord::new(
                format!("{number}\u{1b}[31m{long}")
                    .chars()
                    .take(256)
                    .collect::<String>(),
                vec![number as u8; 3000],
            )
            .with_explicit_hash_key(u128::MAX - number)
        })
        .collect();
    let mut aggregator = Aggregator::<RawRecord>::builder().max_size(1 << 20).build().unwrap();
    let sealed = aggregator.aggregate(&records).next().unwrap().unwrap();
    let golden = kpl_golden().aggregated;
    for input in [
        &sealed.data,
        &golden,
        &golden[..600].to_vec(),
        &golden[..8].to_vec(),
        &b"plain".repeat(99),
    ] {
        let drawing = text(kpl(&["inspect", "--raw", "--limit", "1000"], input));
        for line in drawing.lines() {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
            assert_eq!(line.trim_end(), line);
        }
        assert!(!drawing.contains('\u{1b}'));
    }
    let drawing = text(kpl(&["inspect", "--limit", "7"], &sealed.data));
    assert_eq!(drawing.matches("and 143 more: --limit 150").count(), 3, "{drawing}");
}
