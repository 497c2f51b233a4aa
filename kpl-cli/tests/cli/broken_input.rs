//! Input of every kind of brokenness: what can be read is read, and the rest is reported with its location.

use serde_json::json;

use crate::support::{Directory, json_lines, kpl, record};

/// The exit code, the data of the user records, and what was reported.
fn deaggregate(input: impl AsRef<[u8]>) -> (i32, Vec<String>, String) {
    let run = kpl(&["deaggregate", "--data", "text"], input);
    let lines = run.lines_despite_problems();
    let data = lines
        .iter()
        .map(|line| line["Data"].as_str().unwrap().to_owned())
        .collect();
    (run.code, data, run.stderr)
}

fn check(input: impl AsRef<[u8]>, data: &[&str], told: &[&str]) {
    let text = String::from_utf8_lossy(input.as_ref()).into_owned();
    let (code, seen, stderr) = deaggregate(input);
    assert_eq!(seen, data, "{text}");
    let expected: String = told
        .iter()
        .map(|line| format!("kpl: standard input:{line}\n"))
        .collect();
    assert_eq!(stderr, expected, "{text}");
    assert_eq!(code, 1, "{text}");
}

#[test]
fn what_is_not_json_at_all() {
    check(
        "hello world",
        &[],
        &["1: this is not valid JSON: expected value, at column 1"],
    );
    check(
        b"\xF3\x89\x9A\xC2rest",
        &[],
        &["1: this starts with the magic of an aggregated record: use --raw to read it as one"],
    );
    check(
        b"\xFF\xFE{\0}\0",
        &[],
        &["1: this is UTF-16, which some shells write: convert it to UTF-8 first"],
    );
    check(
        b"\x1F\x8B\x08",
        &[],
        &["1: this is gzip, and cannot be decompressed: unexpected end of file; the rest is not read"],
    );
    check(
        "{\n,}",
        &[],
        &["2: this is not valid JSON: key must be a string, at column 1"],
    );
}

#[test]
fn a_broken_line_costs_only_itself() {
    let (one, three) = (record(b"one", "1"), record(b"three", "3"));
    check(
        format!("{one}\n{{\"Data\": oops}} {three}\n{three}\n"),
        &["one", "three"],
        &["2: this is not valid JSON: expected value, at column 10"],
    );
    check(
        format!("{one}\n{{\"Data\": \"cut off\n{three}\r\n\nnonsense\n{one}"),
        &["one", "three", "one"],
        &[
            "2: this is not valid JSON: control character (\\u0000-\\u001F) found while parsing a string",
            "5: this is not valid JSON: expected ident, at column 2",
        ],
    );
}

#[test]
fn input_that_is_cut_off_keeps_what_came_before() {
    let document = json!({ "Records": [record(b"one", "1"), record(b"two", "2"), record(b"three", "3")] });
    let text = serde_json::to_string_pretty(&document).unwrap();
    let end = text.rfind("Data").unwrap();
    let line = text[..end].lines().count();
    check(
        &text[..end],
        &["one", "two"],
        &[&format!("{line}: this JSON is cut off: EOF while parsing a string")],
    );
    // Inside a key, whatever the order of the keys.
    let lines = json_lines(&[record(b"one", "1"), record(b"two", "2")]);
    let end = lines.rfind("ata").unwrap();
    check(
        &lines[..end],
        &["one"],
        &["2: this JSON is cut off: EOF while parsing a string"],
    );
}

#[test]
fn a_broken_document_costs_what_follows_in_it() {
    let document = |middle: &str| {
        let (one, two) = (record(b"1", "1"), record(b"2", "2"));
        format!("{{\n  \"Records\": [\n    {one},\n    {two}{middle}\n    {two}\n  ]\n}}\n")
    };
    let (whole, broken) = (document(","), document("oops,"));
    let problem = "this is not valid JSON: expected `,` or `]`, at column";
    let run = kpl(&["deaggregate", "--data", "text"], format!("{broken}{whole}"));
    assert_eq!(run.lines_despite_problems().len(), 5, "{run:?}");
    assert!(
        run.stderr.starts_with(&format!("kpl: standard input:4: {problem} ")),
        "{}",
        run.stderr
    );
    assert!(run.stderr.ends_with("; continuing at line 8\n"), "{}", run.stderr);
    let run = kpl(&["deaggregate", "--data", "text"], &broken);
    assert_eq!((run.code, run.lines_despite_problems().len()), (1, 2));
    assert!(run.stderr.ends_with("; the rest is not read\n"), "{}", run.stderr);
}

#[test]
fn lines_that_are_cut_off_anywhere_cost_at_most_one_other() {
    let fine = record(b"fine", "1").to_string();
    for cut in (1..fine.len()).step_by(3) {
        let input = format!("{fine}\n{}\n{fine}\n{fine}\n{fine}\n", &fine[..cut]);
        let (code, data, stderr) = deaggregate(input);
        assert!(data.len() >= 3, "{cut}: {stderr}");
        assert_eq!(code, 1, "{cut}");
        assert!(stderr.starts_with("kpl: standard input:"), "{stderr}");
    }
}

#[test]
fn the_next_file_is_read_whatever_was_in_the_one_before() {
    let directory = Directory::new();
    let broken = directory.file("broken.json", "{\n\"Data\": oops");
    let fine = directory.file("fine.json", record(b"fine", "1").to_string());
    let run = kpl(&["deaggregate", "--data", "text", &broken, &fine], "");
    assert_eq!(run.code, 1);
    assert_eq!(run.lines_despite_problems().len(), 1);
    assert!(
        run.stderr
            .starts_with(&format!("kpl: {broken}:2: this is not valid JSON")),
        "{}",
        run.stderr
    );

    let strict = kpl(&["deaggregate", "--strict", &broken, &fine], "");
    assert_eq!((strict.code, strict.stdout.as_str()), (1, ""));
}

#[test]
fn json_that_is_not_a_record() {
    let fine = record(b"fine", "1");
    for (value, problem) in [
        ("7", "a number is not a record"),
        ("-7.5", "a number is not a record"),
        ("true", "a boolean is not a record"),
        ("null", "null is not a record"),
        ("\"text\"", "a string is not a record"),
        ("{}", "it does not have a Data, data or kinesis.data key"),
        (
            r#"{"body":"SQS","messageId":"x"}"#,
            "it is a message whose text is not valid JSON: expected value at line 1 column 1",
        ),
        (
            r#"{"KinesisBatchInfo":{"shardId":"shardId-1"}}"#,
            "it is an invocation record with the positions of records, not their data: only destinations in Amazon S3 receive that",
        ),
        (
            r#"{"kinesis":"text"}"#,
            "it does not have a Data, data or kinesis.data key",
        ),
        (r#"{"Data":null}"#, "it does not have a Data, data or kinesis.data key"),
        (r#"{"Data":7}"#, "its data is a number, not a base64 string"),
        (
            r#"{"Data":{"Data":"AAAA"}}"#,
            "its data is an object, not a base64 string",
        ),
        (r#"{"Data":"AAA"}"#, "its data is not base64: invalid length at 0"),
        (r#"{"Data":"AA*A"}"#, "its data is not base64: invalid symbol at 2"),
        (
            r#"{"Data":"AAAA","PartitionKey":7}"#,
            "its partition key is a number, not a string",
        ),
        (
            r#"{"Data":"AAAA","SequenceNumber":7}"#,
            "its sequence number is a number, not a string",
        ),
        (
            r#"{"Data":"AAAA","ApproximateArrivalTimestamp":[]}"#,
            "its time of arrival is an array, not a string or a number",
        ),
    ] {
        check(
            format!("{fine}\n{value}\n{fine}\n"),
            &["fine", "fine"],
            &[&format!("2: record 2: {problem}")],
        );
        let inside = format!("{{\"Records\":[{fine},\n\n{value},{fine}]}}");
        check(inside, &["fine", "fine"], &[&format!("3: record 2: {problem}")]);
    }
    check("[[]]", &[], &["1: record 1: an array is not a record"]);
    check(
        r#"{"Records":{"Data":"AAAA"}}"#,
        &[],
        &["1: its Records key is an object, not an array"],
    );
    check(
        r#"{"Records":null}"#,
        &[],
        &["1: its Records key is null, not an array"],
    );
}

#[test]
fn strict_stops_at_the_first_record_that_cannot_be_read() {
    let input = json_lines(&[record(b"one", "1"), json!({ "Data": "?" }), record(b"three", "3")]);
    let run = kpl(&["deaggregate", "--strict"], input);
    assert_eq!(run.code, 1);
    assert_eq!(run.lines_despite_problems().len(), 1);
    assert_eq!(
        run.stderr,
        "kpl: standard input:2: record 2: its data is not base64: invalid length at 0\n"
    );
}

#[test]
fn no_record_is_longer_than_any_can_be() {
    let run = kpl(&["deaggregate", "--raw"], vec![b'A'; 32 * 1024 * 1024 + 1]);
    let told = "kpl: standard input: this is longer than 32 MiB, the limit for one record\n";
    assert_eq!((run.code, run.stderr.as_str()), (1, told));
}

#[test]
fn json_may_be_nested_as_deep_as_it_likes() {
    let (open, close) = ("[".repeat(300_000), "]".repeat(300_000));
    let fine = record(b"fine", "1");
    let deep = format!("{{\"Other\":{open}{close},{}\n", &fine.to_string()[1..]);
    assert_eq!(kpl(&["deaggregate"], deep).lines().len(), 1);
    check(
        format!("{open}{close}\n{fine}"),
        &["fine"],
        &["1: record 1: an array is not a record"],
    );
    check(open, &[], &["1: this JSON is cut off: EOF while parsing a list"]);
}

#[test]
fn files_that_are_not_there() {
    let directory = Directory::new();
    for command in ["deaggregate", "aggregate", "stats", "inspect"] {
        let missing = directory.path().join("missing");
        let run = kpl(&[command, missing.to_str().unwrap()], "");
        assert_eq!((run.code, run.stdout.trim_end()), (2, ""), "{command}");
        let told = format!("kpl: {}: No such file or directory", missing.display());
        assert!(run.stderr.starts_with(&told), "{}", run.stderr);
        let run = kpl(&[command, directory.path().to_str().unwrap()], "");
        assert_eq!((run.code, run.stdout.trim_end()), (2, ""), "{command}");
        assert!(run.stderr.ends_with(": this is a directory\n"), "{}", run.stderr);
    }
}
