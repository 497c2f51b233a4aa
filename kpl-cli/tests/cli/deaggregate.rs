//! `kpl deaggregate`: what comes out, and the options.

use data_encoding::BASE64;
use kpl_core::{Aggregator, HashKey, RawRecord};
use kpl_testkit::bytes::sealed;
use kpl_testkit::golden::Golden;
use serde_json::{Value, json};

use crate::support::{json_lines, kpl, kpl_golden, record};

/// A user record in hand-made bytes: key index, and hash key index if there is one.
fn user_record(key: u8, hash_key: Option<u8>, data: &[u8]) -> Vec<u8> {
    let mut message = vec![0x08, key];
    message.extend(hash_key.into_iter().flat_map(|index| [0x10, index]));
    message.extend([0x1A, data.len() as u8]);
    message.extend(data);
    [&[0x1A, message.len() as u8][..], &message].concat()
}

/// Keys `abc` and hash keys `7`, `x`; user records that are right, and one of each that is not.
fn with_unresolved() -> Vec<u8> {
    let mut body = b"\x0A\x03abc\x12\x017\x12\x01x".to_vec();
    body.extend(user_record(0, None, b"right"));
    body.extend(user_record(5, None, b"no such key"));
    body.extend(user_record(0, Some(2), b"no such hash key"));
    body.extend(user_record(0, Some(1), b"no number"));
    body.extend(user_record(0, Some(0), b"right again"));
    sealed(&body)
}

#[test]
fn the_line_has_exactly_these_keys_in_this_order() {
    let aggregate = Aggregator::<RawRecord>::new()
        .aggregate(&[
            RawRecord::new("a \"key\"\u{1}é", b"\xFF\x00").with_explicit_hash_key(u128::MAX),
            RawRecord::new("b", b""),
        ])
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let run = kpl(&["deaggregate"], record(&aggregate[0].data, "123").to_string());
    let expected = concat!(
        r#"{"PartitionKey":"a \"key\"\u0001é","ExplicitHashKey":"340282366920938463463374607431768211455","#,
        r#""SequenceNumber":"123","SubSequenceNumber":0,"Aggregated":true,"#,
        r#""ApproximateArrivalTimestamp":"2026-03-01T12:00:00.123000+01:00","Data":"/wA="}"#,
        "\n",
        r#"{"PartitionKey":"b","ExplicitHashKey":null,"#,
        r#""SequenceNumber":"123","SubSequenceNumber":1,"Aggregated":true,"#,
        r#""ApproximateArrivalTimestamp":"2026-03-01T12:00:00.123000+01:00","Data":""}"#,
        "\n",
    );
    assert_eq!(run.stdout, expected);
    let run = kpl(&["deaggregate", "--raw"], "plain");
    let expected = concat!(
        r#"{"PartitionKey":null,"ExplicitHashKey":null,"SequenceNumber":null,"SubSequenceNumber":0,"#,
        r#""Aggregated":false,"ApproximateArrivalTimestamp":null,"Data":"cGxhaW4="}"#,
        "\n",
    );
    assert_eq!(run.stdout, expected);
}

#[test]
fn the_magic_without_a_valid_aggregate_is_one_line_with_the_reason() {
    let golden = kpl_golden();
    let mut flipped = golden.aggregated.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cut_body = sealed(&golden.aggregated[4..300]);
    for (data, reason) in [
        (&golden.aggregated[..4], "it has fewer than 21 bytes"),
        (&golden.aggregated[..500], "its digest does not match"),
        (&flipped, "its digest does not match"),
        (
            &cut_body,
            "field partition_key_table: it reaches past the end of its message, at byte 271",
        ),
    ] {
        let lines = kpl(&["deaggregate"], record(data, "1").to_string()).lines();
        assert_eq!(lines.len(), 1, "{reason}");
        assert_eq!(lines[0]["Malformed"], reason);
        assert_eq!(lines[0]["Data"], BASE64.encode(data));
        assert_eq!(lines[0]["Aggregated"], false);
        assert_eq!(lines[0]["PartitionKey"], "outer");
        assert_eq!(lines[0].as_object().unwrap().len(), 8);
    }
}

#[test]
fn user_records_without_keys_keep_their_data_and_their_neighbours() {
    let lines = kpl(
        &["deaggregate", "--data", "text"],
        record(&with_unresolved(), "1").to_string(),
    )
    .lines();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            let fields = [
                "PartitionKey",
                "ExplicitHashKey",
                "SubSequenceNumber",
                "Data",
                "Malformed",
            ];
            fields.map(|field| line.get(field).cloned().unwrap_or_default())
        })
        .collect();
    let null = Value::Null;
    assert_eq!(
        seen,
        [
            [json!("abc"), null.clone(), json!(0), json!("right"), null.clone()],
            [
                null.clone(),
                null.clone(),
                json!(1),
                json!("no such key"),
                json!("partition key index 5 is outside its table, which has 1 key"),
            ],
            [
                null.clone(),
                null.clone(),
                json!(2),
                json!("no such hash key"),
                json!(
                    "explicit hash key index 2 is outside its table, which has 2 keys (its partition key is \"abc\")"
                ),
            ],
            [
                null.clone(),
                null.clone(),
                json!(3),
                json!("no number"),
                json!("explicit hash key \"x\" is not a number from 0 to 2^128-1 (its partition key is \"abc\")"),
            ],
            [json!("abc"), json!("7"), json!(4), json!("right again"), null],
        ]
    );
    assert!(
        lines
            .iter()
            .all(|line| line["Aggregated"] == true && line["SequenceNumber"] == "1")
    );
}

#[test]
fn its_own_lines_are_read_again() {
    let data = ["grüße\n", "test", "eyJ9", "{", "\"test\"", "null", ""];
    let input: Vec<_> = (1..)
        .zip(data)
        .map(|(number, data)| record(data.as_bytes(), &format!("{number}")))
        .collect();
    let input = json_lines(&input);
    let expected = kpl(&["deaggregate"], &input);
    for form in ["base64", "text", "json"] {
        let written = kpl(&["deaggregate", "--data", form], &input);
        let again = kpl(&["deaggregate"], &written.stdout);
        assert_eq!((again.code, &again.stdout), (0, &expected.stdout), "{form}");
    }
}

#[test]
fn data_as_text() {
    let input = json_lines(&[
        record("grüße\n".as_bytes(), "1"),
        record(b"\xFF", "2"),
        record(b"", "3"),
        record(b"{}", "4"),
    ]);
    let lines = kpl(&["deaggregate", "--data", "text"], &input).lines();
    let data: Vec<_> = lines
        .iter()
        .map(|line| (&line["Data"], line.get("DataEncoding")))
        .collect();
    assert_eq!(
        data,
        [
            (&json!("grüße\n"), Some(&json!("text"))),
            (&json!("/w=="), Some(&json!("base64"))),
            (&json!(""), Some(&json!("text"))),
            (&json!("{}"), Some(&json!("text"))),
        ]
    );
    let lines = kpl(&["deaggregate", "--data", "base64"], &input).lines();
    assert!(lines.iter().all(|line| line.get("DataEncoding").is_none()));
}

#[test]
fn data_as_json_is_nested_on_one_line_as_it_was() {
    let document = " {\r\n  \"b\": 1.10,\n  \"a\": [12345678901234567890123, \"x\\ny\"]\n}\n";
    let input = json_lines(&[
        record(document.as_bytes(), "1"),
        record(b"text", "2"),
        record(b"\xFF{}", "3"),
        record(b"{} {}", "4"),
        record(b"null", "5"),
    ]);
    let run = kpl(&["deaggregate", "--data", "json"], input);
    assert_eq!(run.stdout.lines().count(), 5, "{}", run.stdout);
    let nested = r#""Data":{  "b": 1.10,  "a": [12345678901234567890123, "x\ny"]}}"#;
    assert!(run.stdout.lines().next().unwrap().ends_with(nested), "{}", run.stdout);
    let lines = run.lines();
    let data: Vec<_> = lines
        .iter()
        .map(|line| (&line["Data"], line.get("DataEncoding")))
        .collect();
    assert_eq!(
        data[1..],
        [
            (&json!("text"), Some(&json!("text"))),
            (&json!("/3t9"), Some(&json!("base64"))),
            (&json!("{} {}"), Some(&json!("text"))),
            (&Value::Null, Some(&json!("json"))),
        ]
    );
}

/// Two shards' worth of hash keys in one aggregate, then a plain record.
fn strays() -> String {
    let records = [1_u128, 500, 2, 900].map(|hash_key| {
        RawRecord::new("k", hash_key.to_string().into_bytes()).with_explicit_hash_key(HashKey::new(hash_key))
    });
    let sealed = Aggregator::<RawRecord>::new()
        .aggregate(&records)
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    json_lines(&[record(&sealed[0].data, "1"), record(b"plain", "2")])
}

fn data_of(arguments: &[&str], input: &str) -> (Vec<String>, String) {
    let run = kpl(&[&["deaggregate", "--data", "text"], arguments].concat(), input);
    assert_eq!(run.code, 0, "{run:?}");
    let lines = run.lines_despite_problems();
    let data = lines
        .iter()
        .map(|line| line["Data"].as_str().unwrap().to_owned())
        .collect();
    (data, run.stderr)
}

#[test]
fn a_line_has_these_bytes() {
    let line = |arrival: &str, data: &str, more: &str| {
        format!(
            "{{\"PartitionKey\":\"k \\\"\u{e9}\\\"\",\"ExplicitHashKey\":null,\"SequenceNumber\":null,\"SubSequenceNumber\":0,\
             \"Aggregated\":false,\"ApproximateArrivalTimestamp\":{arrival},\"Data\":{data}{more}}}\n"
        )
    };
    for (arrival, written) in [
        ("1795580728", "1795580728"),
        ("1795580728.0", "1795580728"),
        ("1795580728.125", "1795580728.125"),
        ("1e-7", "0.0000001"),
        ("1e22", "10000000000000000000000"),
        ("null", "null"),
        ("\"a \\\\ b\"", "\"a \\\\ b\""),
    ] {
        for (form, data, expected, more) in [
            ("base64", &b"{ \"a\": 1e0 }"[..], "\"eyAiYSI6IDFlMCB9\"", ""),
            (
                "text",
                b"{ \"a\": 1e0 }",
                "\"{ \\\"a\\\": 1e0 }\"",
                ",\"DataEncoding\":\"text\"",
            ),
            ("json", b"\"a\"", "\"a\"", ",\"DataEncoding\":\"json\""),
            ("text", b"\xFF", "\"/w==\"", ",\"DataEncoding\":\"base64\""),
            ("json", b" \r\n{ \"a\":\r\n1e0 }\n", "{ \"a\":1e0 }", ""),
            (
                "json",
                b"{ \"a\": 1e0",
                "\"{ \\\"a\\\": 1e0\"",
                ",\"DataEncoding\":\"text\"",
            ),
            ("json", b"\xFF", "\"/w==\"", ",\"DataEncoding\":\"base64\""),
        ] {
            let data = BASE64.encode(data);
            let input = format!(
                "{{\"PartitionKey\":\"k \\\"\u{e9}\\\"\",\"ApproximateArrivalTimestamp\":{arrival},\"Data\":\"{data}\"}}"
            );
            let run = kpl(&["deaggregate", "--data", form], input);
            assert_eq!((run.code, run.stdout), (0, line(written, expected, more)));
        }
    }
}

#[test]
fn a_range_filters_by_policy_and_tells_how_many() {
    let told = |count| format!("kpl: {count} user records outside --range were left out\n");
    for (policy, data, stderr) in [
        ("keep", &["1", "500", "2", "900", "plain"][..], String::new()),
        ("drop", &["1", "2", "plain"], told(2)),
        ("drop-aggregate", &["plain"], told(4)),
    ] {
        let seen = data_of(&["--range", "0..=99", "--stray", policy], &strays());
        assert_eq!(
            seen,
            (data.iter().map(ToString::to_string).collect(), stderr),
            "{policy}"
        );
    }
    let (_, stderr) = data_of(&["--range", "0..=500"], &strays());
    assert_eq!(stderr, "kpl: 1 user record outside --range was left out\n");
    let (data, _) = data_of(&["--range", "500..=500"], &strays());
    assert_eq!(data, ["500", "plain"], "drop is the default");
}

#[test]
fn after_resumes_in_the_middle_of_an_aggregate() {
    for (position, data) in [
        ("0:9", &["1", "500", "2", "900", "plain"][..]),
        ("1:0", &["500", "2", "900", "plain"]),
        ("1:2", &["900", "plain"]),
        ("1:99", &["plain"]),
        ("2:0", &[]),
    ] {
        assert_eq!(data_of(&["--after", position], &strays()).0, data, "{position}");
    }
}

#[test]
fn options_that_mean_nothing_are_refused() {
    for arguments in [
        &["--range", "5..=4"][..],
        &["--range", "5-9"],
        &["--range", "007..=9"],
        &["--stray", "drop"],
        &["--after", "LATEST"],
        &["--after", "12"],
        &["--data", "xml"],
        &["--nonsense"],
    ] {
        let run = kpl(&[&["deaggregate"], arguments].concat(), strays());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
}

#[test]
fn strict_stops_at_the_first_malformed_record_with_its_place() {
    let damaged = &kpl_golden().aggregated[..400];
    let input = json_lines(&[record(b"one", "1"), record(damaged, "2"), record(b"three", "3")]);
    let run = kpl(&["deaggregate", "--strict"], &input);
    assert_eq!(run.code, 1);
    assert_eq!(run.lines_despite_problems().len(), 1);
    assert_eq!(
        run.stderr,
        "kpl: standard input:2: record 2 (sequence number 2): \
         it starts with the magic of an aggregate, but its digest does not match\n"
    );

    let input = format!("[\n\n{}]", record(&with_unresolved(), "7"));
    let run = kpl(&["deaggregate", "--strict"], &input);
    assert_eq!(run.code, 1);
    assert_eq!(run.lines_despite_problems().len(), 1);
    assert_eq!(
        run.stderr,
        "kpl: standard input:3: record 1 (sequence number 7), user record 1: \
         partition key index 5 is outside its table, which has 1 key\n"
    );

    let all_right = kpl(
        &["deaggregate", "--strict"],
        record(&kpl_golden().aggregated, "1").to_string(),
    );
    assert_eq!(all_right.lines().len(), 8);
}

#[test]
fn its_own_output_is_read_again() {
    for golden in Golden::all() {
        let once = kpl(&["deaggregate"], record(&golden.aggregated, "1").to_string());
        let twice = kpl(&["deaggregate"], &once.stdout).lines();
        for (again, line) in twice.iter().zip(once.lines()) {
            assert_eq!(again["Data"], line["Data"]);
            assert_eq!(again["PartitionKey"], line["PartitionKey"]);
            assert_eq!(
                again["ApproximateArrivalTimestamp"],
                line["ApproximateArrivalTimestamp"]
            );
        }
        assert_eq!(twice.len(), golden.user_records.len());
    }
}

#[test]
fn an_aggregate_without_user_records_unpacks_to_none() {
    let empty = sealed(b"\x0A\x03abc");
    let lines = kpl(&["deaggregate"], json_lines(&[record(&empty, "1"), record(b"x", "2")])).lines();
    assert_eq!(lines.len(), 1);
}
