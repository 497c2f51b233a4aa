//! What any command writes, in any form, every reading command takes as what it is, or refuses with one line that says what it is.

use data_encoding::{BASE64, HEXLOWER};
use kpl_core::{Aggregator, RawRecord};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Run, json_lines, kpl, kpl_golden, record};

/// Partition key, explicit hash key and data.
pub(crate) type UserRecord = (String, Option<u128>, Vec<u8>);

/// Data of all kinds, also what looks like something else.
pub(crate) fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        any::<String>().prop_map(String::into_bytes),
        "[a-z]{4}|null|true|5|-1.50e3|\"[a-z]{4}\"|\"\\\\u00e9\"|\\[1,2\\]".prop_map(String::into_bytes),
        r#"\{"(a|type|0|Data|Records)":("[a-z]{4}"|1.10|[0-9]|\[1,2\]|\{\}|"Buffer")\}"#.prop_map(String::into_bytes),
        // An aggregated record, intact and damaged.
        any::<bool>().prop_map(|is_intact| {
            let mut data = kpl_golden().aggregated;
            data.truncate(if is_intact { data.len() } else { data.len() - 1 });
            data
        }),
    ]
}

pub(crate) fn user_records() -> impl Strategy<Value = Vec<UserRecord>> {
    let key = "[a-zé\"]{1,4}".prop_map(String::from);
    let hash_key = prop_oneof![Just(None), Just(Some(0)), any::<u128>().prop_map(Some)];
    prop::collection::vec((key, hash_key, data()), 1..6)
}

/// User records as the lines that are put, with Data in base64.
pub(crate) fn lines_of(records: &[UserRecord]) -> String {
    let line = |(key, hash_key, data): &UserRecord| {
        let hash_key = hash_key.map(|key| key.to_string());
        // Data that is an aggregated record is the data of a user record only if that is said.
        let line =
            json!({"PartitionKey": key, "ExplicitHashKey": hash_key, "Data": BASE64.encode(data), "Aggregated": false});
        format!("{line}\n")
    };
    records.iter().map(line).collect()
}

/// What lines say of user records. White space around JSON may be lost.
pub(crate) fn contents(lines: &[Value], is_exact: bool) -> Vec<UserRecord> {
    let content = |line: &Value| {
        let data = BASE64.decode(line["Data"].as_str().unwrap().as_bytes()).unwrap();
        let hash_key = line["ExplicitHashKey"].as_str().map(|key| key.parse().unwrap());
        let key = line["PartitionKey"].as_str().unwrap().to_owned();
        (key, hash_key, comparable(&data, is_exact))
    };
    lines.iter().map(content).collect()
}

/// `--data json` may remove white space between the tokens of JSON.
pub(crate) fn comparable(data: &[u8], is_exact: bool) -> Vec<u8> {
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok();
    match str::from_utf8(data) {
        Ok(text) if !is_exact && is_json => text.trim_ascii().replace(['\r', '\n'], "").into_bytes(),
        _ => data.to_vec(),
    }
}

/// Kinesis records with these user records: one aggregated record, and the last user record on its own, if that is possible.
fn kinesis_records(records: &[UserRecord]) -> String {
    let mut aggregator = Aggregator::<RawRecord>::builder().wrap_single(true).build().unwrap();
    let mut lines = Vec::new();
    for (key, hash_key, data) in records {
        let mut raw = RawRecord::new(key.as_str(), data.as_slice());
        raw.explicit_hash_key = hash_key.map(Into::into);
        assert!(aggregator.push(&raw).unwrap().is_none());
    }
    lines.push(record(&aggregator.finish().unwrap().data, "1"));
    lines.push(json!({"PartitionKey": "plain", "SequenceNumber": "2", "Data": BASE64.encode(b"plain")}));
    json_lines(&lines)
}

fn figure(run: &Run, what: &str) -> String {
    let row = run.stdout.lines().find_map(|line| line.strip_prefix(what));
    row.unwrap_or_else(|| panic!("{what} in {run:?}")).trim().to_owned()
}

/// Runs `kpl` on input that it takes completely. What is only told is not looked at.
fn taken(arguments: &[&str], input: &str) -> Run {
    let run = kpl(arguments, input);
    assert_eq!(run.code, 0, "{arguments:?} {input} {run:?}");
    run
}

const PUT: [&str; 3] = ["put", "clicks", "--dry-run"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn user_records_are_read_in_every_form(records in user_records()) {
        let input = kinesis_records(&records);
        let unpacked = taken(&["deaggregate"], &input).stdout;
        let mut expected = records;
        expected.push(("plain".into(), None, b"plain".to_vec()));
        let number = expected.len();
        for form in ["base64", "text", "json"] {
            let is_exact = form != "json";
            let written = taken(&["deaggregate", "--data", form], &input).stdout;
            let again = taken(&["deaggregate", "--data", form], &written).stdout;
            prop_assert_eq!(&again, &written, "{}", form);
            let lines = taken(&["deaggregate"], &written).lines();
            if is_exact {
                prop_assert_eq!(json_lines(&lines), json_lines(&taken(&["deaggregate"], &unpacked).lines()));
            }
            let wanted: Vec<_> = expected.iter().cloned().map(|(key, hash, data)| (key, hash, comparable(&data, is_exact))).collect();
            prop_assert_eq!(&contents(&lines, is_exact), &wanted, "{}", form);

            let stats: Value = serde_json::from_str(&taken(&["stats", "--output", "json"], &written).stdout).unwrap();
            prop_assert_eq!(&stats["UserRecords"], number);
            prop_assert_eq!(&stats["Unpacked"], number);
            prop_assert_eq!(&stats["KinesisRecords"]["Total"], 0);
            prop_assert_eq!(&stats["Cost"], &Value::Null);

            let packed = taken(&["aggregate"], &written).stdout;
            let packed = taken(&["deaggregate"], &packed).lines();
            prop_assert_eq!(&contents(&packed, is_exact), &wanted, "{}", form);
            prop_assert_eq!(figure(&taken(&PUT, &written), "user records "), number.to_string());

            for index in 1..=number {
                let index = index.to_string();
                let report = taken(&["inspect", "--output", "json", "--record", &index], &written);
                let report: Value = serde_json::from_str(&report.stdout).unwrap();
                let (key, _, data) = &wanted[index.parse::<usize>().unwrap() - 1];
                prop_assert_eq!(&report["PartitionKey"], key);
                if is_exact {
                    prop_assert_eq!(&report["Size"], data.len());
                }
            }
        }
    }

    /// Aggregated records that are to be packed are packed anew, whatever is in them.
    #[test]
    fn packed_records_are_read_in_every_form(records in user_records()) {
        let lines = lines_of(&records);
        for form in ["lines", "array", "lambda-event"] {
            let packed = taken(&["aggregate", "--wrap-single", "--output", form], &lines).stdout;
            let unpacked = taken(&["deaggregate"], &packed).lines();
            prop_assert_eq!(&contents(&unpacked, true), &records);
            let stats: Value = serde_json::from_str(&taken(&["stats", "--output", "json"], &packed).stdout).unwrap();
            prop_assert_eq!(&stats["UserRecords"], records.len());
            prop_assert_eq!(&stats["KinesisRecords"]["Aggregated"], 1);
            let drawing = taken(&["inspect"], &packed).stdout;
            prop_assert!(drawing.starts_with("an aggregated record, "), "{}", drawing);
            if form == "lambda-event" {
                for reader in [&["aggregate"][..], &PUT] {
                    let run = kpl(reader, &packed);
                    let problem = run.stderr.lines().last().unwrap_or_default();
                    prop_assert_eq!(run.code, 1);
                    prop_assert!(problem.starts_with("kpl: standard input:1: this is JSON with an array of records"), "{}", problem);
                }
                continue;
            }
            let again = taken(&["aggregate", "--wrap-single"], &packed).stdout;
            prop_assert_eq!(again, taken(&["aggregate", "--wrap-single"], &lines).stdout);
            prop_assert_eq!(figure(&taken(&PUT, &packed), "user records "), records.len().to_string());
        }
    }
}

#[test]
fn reports_are_refused_as_what_they_are() {
    let input = json_lines(&[record(&kpl_golden().aggregated, "1")]);
    let plain = json_lines(&[record(b"plain", "1")]);
    let broken = json_lines(&[record(&kpl_golden().aggregated[..100], "1")]);
    let lines = "{\"PartitionKey\":\"k\",\"Data\":\"AAAA\"}\n";
    let mut reports = vec![(kpl(&PUT, lines).stdout, "these are the figures of `kpl put`")];
    for input in [&input, &plain, &broken] {
        for colour in ["never", "always"] {
            let drawing = kpl(&["inspect", "--color", colour], input).stdout;
            reports.push((drawing, "this is what `kpl inspect` draws for people"));
            let table = kpl(&["stats", "--color", colour], input).stdout;
            reports.push((table, "this is what `kpl stats` writes for people"));
        }
        let report = kpl(&["inspect", "--output", "json"], input).stdout;
        reports.push((report, "is what `kpl inspect --output json` writes: a report"));
        let report = kpl(&["stats", "--output", "json"], input).stdout;
        reports.push((report, "is what `kpl stats --output json` writes: a report"));
    }
    for (report, expected) in reports {
        for reader in [&["deaggregate"][..], &["stats"], &["inspect"], &["aggregate"], &PUT] {
            let run = kpl(reader, &report);
            let is_problem = |line: &&str| {
                let text = line.strip_prefix("kpl: standard input:").unwrap_or_default();
                text.starts_with("1: ") || text.starts_with(" this ") || text.starts_with(" these ")
            };
            let problems: Vec<_> = run.stderr.lines().filter(is_problem).collect();
            assert_eq!((run.code, problems.len()), (1, 1), "{reader:?} {run:?}");
            assert!(problems[0].contains(expected), "{reader:?}: {}", problems[0]);
        }
    }
}

#[test]
fn what_was_unpacked_keeps_all_that_is_known_of_it() {
    let line = concat!(
        r#"{"PartitionKey":null,"ExplicitHashKey":null,"SequenceNumber":"7","SubSequenceNumber":3,"Aggregated":true,"#,
        r#""ApproximateArrivalTimestamp":1795580728.5,"ShardId":"shardId-000000000002","Data":"AAAA","Compression":"gzip","#,
        r#""Malformed":"partition key index 4 is outside the table"}"#,
        "\n"
    );
    assert_eq!(kpl(&["deaggregate"], line).stdout, line);
    let strict = kpl(&["deaggregate", "--strict"], line);
    assert_eq!(
        (strict.code, strict.stderr.as_str()),
        (
            1,
            "kpl: standard input:1: record 1 (sequence number 7), user record 3: partition key index 4 is outside the table\n"
        )
    );
    let stats: Value = serde_json::from_str(&kpl(&["stats", "--output", "json"], line).stdout).unwrap();
    assert_eq!((&stats["WithoutKeys"], &stats["UserRecords"]), (&json!(1), &json!(1)));
    // Without a key it is packed with one that is made from the data.
    let packed = kpl(&["aggregate"], line).lines();
    let key = HEXLOWER.encode(&kpl_core::digest::md5(&[0; 3]));
    assert_eq!(packed[0]["PartitionKey"], key);
}

#[test]
fn positions_and_ranges_apply_to_what_was_unpacked() {
    let golden = json_lines(&[record(&kpl_golden().aggregated, "7"), record(b"plain", "8")]);
    let unpacked = kpl(&["deaggregate"], &golden).stdout;
    let half = "0..=170141183460469231731687303715884105727";
    for options in [
        &["--after", "7:3"][..],
        &["--after", "8:0"],
        &["--after", "6:9"],
        &["--range", half],
        &["--range", half, "--stray", "keep"],
        &["--range", half, "--after", "7:2"],
    ] {
        let arguments = [&["deaggregate"], options].concat();
        let (first, again) = (kpl(&arguments, &golden), kpl(&arguments, &unpacked));
        assert_eq!((again.code, again.stdout), (0, first.stdout), "{options:?}");
        assert_eq!(again.stderr, first.stderr, "{options:?}");
    }
    let run = kpl(
        &["deaggregate", "--range", half, "--stray", "drop-aggregate"],
        &unpacked,
    );
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("needs the aggregated records"), "{}", run.stderr);
}

#[test]
fn stats_says_that_records_were_unpacked() {
    let unpacked = kpl(&["deaggregate"], json_lines(&[record(&kpl_golden().aggregated, "7")])).stdout;
    let run = kpl(&["stats"], unpacked);
    assert_eq!(run.code, 0);
    assert_eq!(
        run.stderr,
        "kpl: standard input:1: record 1 (sequence number 7), user record 0: this is a user record that was unpacked before; such \
         records are counted, and the Kinesis records that they were in are not\n"
    );
    assert!(
        run.stdout
            .contains("  unpacked before                     8  100.0 %\n"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("  Kinesis records                         8        not known\n"),
        "{}",
        run.stdout
    );
}

#[test]
fn an_aggregated_record_with_broken_keys_is_packed_as_far_as_it_can_be() {
    let wire = [
        // One partition key, and two user records, of which one refers to a second key.
        &b"\x0a\x01a\x1a\x05\x08\x00\x1a\x01x\x1a\x05\x08\x01\x1a\x01y"[..],
    ]
    .concat();
    let mut data = b"\xF3\x89\x9A\xC2".to_vec();
    data.extend(&wire);
    data.extend(kpl_core::digest::md5(&wire));
    let line = json!({"PartitionKey": "outer", "Data": BASE64.encode(&data)}).to_string();
    let run = kpl(&["aggregate"], &line);
    assert_eq!(run.code, 1);
    let packed = run.lines_despite_problems();
    assert_eq!(
        (&packed[0]["PartitionKey"], &packed[0]["Data"]),
        (&json!("a"), &json!(BASE64.encode(b"x")))
    );
    assert!(
        run.stderr
            .starts_with("kpl: standard input:1: user record 1 of the aggregated record in it: "),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.ends_with(": {\"PartitionKey\":null,\"Data\":\"eQ==\"}\n"),
        "{}",
        run.stderr
    );
    // What only carries the magic is data.
    data.truncate(data.len() - 1);
    let line = json!({"PartitionKey": "outer", "Data": BASE64.encode(&data)}).to_string();
    let run = kpl(&["aggregate"], &line);
    assert_eq!(run.code, 0);
    assert!(
        run.stderr.contains("it is the data of one user record"),
        "{}",
        run.stderr
    );
    let lines = kpl(&["deaggregate"], &run.stdout).lines();
    assert_eq!(lines[0]["Data"], BASE64.encode(&data));
}

#[test]
fn explicit_hash_keys_may_be_numbers_and_errors_name_the_field() {
    let line = |key: &str| {
        format!("{{\"PartitionKey\":\"k\",\"ExplicitHashKey\":{key},\"Data\":\"AAAA\",\"Aggregated\":true}}\n")
    };
    for key in ["0", "\"0\"", "18446744073709551615"] {
        let text = key.trim_matches('"');
        let input = line(key);
        assert_eq!(kpl(&["deaggregate"], &input).lines()[0]["ExplicitHashKey"], text);
        assert_eq!(kpl(&["aggregate"], &input).lines()[0]["ExplicitHashKey"], text);
        let input = input.replace(",\"Aggregated\":true", "");
        assert_eq!(kpl(&["aggregate"], &input).lines()[0]["ExplicitHashKey"], text);
        taken(&PUT, &input);
    }
    for (key, problem) in [
        (
            "-1",
            "its ExplicitHashKey is a number that JSON does not keep exactly: write it as a string",
        ),
        (
            "340282366920938463463374607431768211455",
            "its ExplicitHashKey is a number that JSON does not keep exactly: write it as a string",
        ),
        ("true", "its ExplicitHashKey is a boolean, not a string"),
        ("[]", "its ExplicitHashKey is an array, not a string"),
        ("\"x\"", "its ExplicitHashKey: "),
    ] {
        let input = format!("{}{}", line("1"), line(key));
        for reader in [&["deaggregate"][..], &["aggregate"], &PUT] {
            let run = kpl(reader, &input);
            let told = run.stderr.lines().last().unwrap();
            assert_eq!(run.code, 1, "{reader:?} {key}");
            assert!(
                told.starts_with("kpl: standard input:2: ") && told.contains(problem),
                "{reader:?}: {told}"
            );
        }
    }
}
