//! `kpl put`.

use std::collections::BTreeSet;
use std::io::Write as _;

use data_encoding::BASE64;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::server::{Server, interrupt, outside, signal};
use crate::own_output::{self, UserRecord, user_records};
use crate::support::{Directory, Run, data_file, run};

/// What the table says of something.
fn figure(run: &Run, what: &str) -> u64 {
    let row = run.stdout.lines().find_map(|line| line.strip_prefix(what));
    let row = row.unwrap_or_else(|| panic!("{what} in {run:?}"));
    row.trim().replace(',', "").parse().unwrap()
}

/// Partition key and data of each line, sorted.
fn contents(lines: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut contents: Vec<_> = lines
        .iter()
        .map(|line| (text(&line["PartitionKey"]), text(&line["Data"])))
        .collect();
    contents.sort();
    contents
}

#[test]
fn json_lines_come_out_as_they_went_in() {
    let server = Server::start(2);
    let file = data_file("clicks.jsonl");
    let put = server.kpl(&["put", "clicks", file.to_str().unwrap(), "--data", "text"], "");
    assert_eq!((put.code, put.stderr.as_str()), (0, ""), "{put:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let sent: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(figure(&put, "user records delivered"), sent.len() as u64);
    assert_eq!((figure(&put, "retries"), figure(&put, "not delivered")), (0, 0));
    let kinesis_records = figure(&put, "Kinesis records");
    assert!((1..=2).contains(&kinesis_records), "{put:?}");
    assert!((1..=kinesis_records).contains(&figure(&put, "requests")), "{put:?}");
    let received = server.all();
    assert_eq!(contents(&received), contents(&sent));
    assert!(received.iter().any(|line| line["Aggregated"] == true));
}

#[test]
fn what_tail_writes_can_be_put_again() {
    let server = Server::start(1);
    let line = json!({"PartitionKey": "anna", "ExplicitHashKey": "7", "Data": "/wD+", "ShardId": "other"});
    let text = json!({"PartitionKey": "bob", "Data": "plain", "DataEncoding": "text"});
    let put = server.kpl(&["put", "clicks"], format!("{line}\n\n{text}\n"));
    assert_eq!((put.code, figure(&put, "user records delivered")), (0, 2), "{put:?}");
    let tail = ["tail", "clicks", "--from", "trim-horizon", "--count"];
    let first = server.kpl(&[&tail[..], &["2"]].concat(), "");
    assert_eq!(first.lines()[0]["ExplicitHashKey"], "7");
    assert_eq!(first.lines()[0]["Data"], "/wD+");
    assert_eq!(server.kpl(&["put", "clicks"], &first.stdout).code, 0);
    let both = server.kpl(&[&tail[..], &["4"]].concat(), "").lines();
    for key in ["PartitionKey", "ExplicitHashKey", "Data"] {
        assert_eq!([&both[0][key], &both[1][key]], [&both[2][key], &both[3][key]]);
    }
}

#[test]
fn put_tail_and_put_again_is_the_identity_in_every_form() {
    let data = [
        r#"{"a":1.10}"#,
        "[1,2]",
        "test",
        "\"test\"",
        "null",
        "5",
        "",
        "grüße\n\u{1b}",
        "{",
    ];
    let lines: String = data
        .iter()
        .map(|data| format!("{}\n", json!({"PartitionKey": "k", "Data": data})))
        .collect();
    for form in ["base64", "text", "json"] {
        let server = Server::start(1);
        assert_eq!(server.kpl(&["put", "clicks", "--data", "text"], &lines).code, 0);
        let tail = ["tail", "clicks", "--from", "trim-horizon", "--idle", "1", "--data"];
        let first = server.kpl(&[&tail[..], &[form]].concat(), "");
        let again = server.kpl(&["put", "clicks"], &first.stdout);
        assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{form}");
        let both = server.all();
        let both: Vec<_> = both.iter().map(|line| line["Data"].as_str().unwrap()).collect();
        assert_eq!(both, [data, data].concat(), "{form}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Keys, explicit hash keys and data are the same, also those of aggregated records that were packed before.
    #[test]
    fn put_tail_and_put_again_is_the_identity(records in user_records(), form in 0..3_usize) {
        let form = ["base64", "text", "json"][form];
        let comparable = |records: &[UserRecord]| {
            let mut records: Vec<_> = records.to_vec();
            records.iter_mut().for_each(|(_, _, data)| *data = own_output::comparable(data, form != "json"));
            records.sort();
            records
        };
        let lines = own_output::lines_of(&records);
        let packed = crate::support::kpl(&["aggregate", "--wrap-single"], &lines).stdout;
        for input in [lines, packed] {
            let (first, second) = (Server::start(2), Server::start(1));
            prop_assert_eq!(first.kpl(&["put", "clicks"], input).code, 0);
            let count = records.len().to_string();
            let tail = ["tail", "clicks", "--from", "trim-horizon", "--count", &count];
            let tailed = first.kpl(&[&tail[..], &["--data", form]].concat(), "").stdout;
            prop_assert_eq!(second.kpl(&["put", "clicks"], tailed).code, 0);
            for server in [first, second] {
                let read = own_output::contents(&server.kpl(&tail, "").lines(), form != "json");
                prop_assert_eq!(comparable(&read), comparable(&records), "{}", form);
            }
        }
    }
}

#[test]
fn a_dry_run_sends_nothing_and_says_what_records_would_become() {
    let file = data_file("clicks.jsonl");
    let shards = data_file("shards.json");
    let arguments = ["put", "clicks", file.to_str().unwrap(), "--data", "text", "--dry-run"];
    let with_shards = [&arguments[..], &["--shards", shards.to_str().unwrap()]].concat();
    for (arguments, kinesis_records, aggregated) in [(&arguments[..], 1, 1), (&with_shards, 2, 1)] {
        // Nothing says where the service is.
        let put = run(&mut outside(arguments), b"");
        assert_eq!(
            (put.code, put.stderr.as_str()),
            (0, "kpl: a dry run: nothing is sent\n")
        );
        assert_eq!(
            (figure(&put, "user records"), figure(&put, "Kinesis records")),
            (6, kinesis_records)
        );
        assert_eq!(
            (figure(&put, "  aggregated"), figure(&put, "requests")),
            (aggregated, 1),
            "{put:?}"
        );
    }
    // The records are those that `kpl aggregate` writes.
    let packed = crate::support::kpl(&["aggregate", "--data", "text", file.to_str().unwrap()], "").lines();
    let bytes = BASE64
        .decode(packed[0]["Data"].as_str().unwrap().as_bytes())
        .unwrap()
        .len();
    let put = run(&mut outside(&arguments), b"");
    let bytes = bytes + packed[0]["PartitionKey"].as_str().unwrap().len();
    let rows: Vec<_> = put.stdout.lines().filter(|line| line.starts_with("  bytes ")).collect();
    assert_eq!(rows.len(), 2, "of the user records and of the Kinesis records: {put:?}");
    assert!(rows[1].ends_with(&format!(" {bytes}")), "{bytes} in {put:?}");
    let put = run(
        &mut outside(&["put", "clicks", "--dry-run"]),
        b"{\"PartitionKey\":\"\",\"Data\":\"AAAA\"}\n",
    );
    assert_eq!(
        (put.code, figure(&put, "lines left out"), figure(&put, "user records")),
        (1, 1, 0)
    );
    assert_eq!(
        run(&mut outside(&["put", "clicks", "--shards", "shards.json"]), b"").code,
        2
    );
}

#[test]
fn plain_lines_have_a_key_of_their_own_or_the_one_that_is_given() {
    let server = Server::start(2);
    let put = server.kpl(&["put", "clicks", "--lines"], "{\"a\": 1}\r\n\nlast");
    assert_eq!((put.code, figure(&put, "user records delivered")), (0, 3), "{put:?}");
    let lines = server.all();
    let keys: BTreeSet<_> = lines
        .iter()
        .map(|line| line["PartitionKey"].as_str().unwrap())
        .collect();
    assert_eq!(keys.len(), 3);
    let data: BTreeSet<_> = lines.iter().map(|line| line["Data"].as_str().unwrap()).collect();
    assert_eq!(data, BTreeSet::from(["", "last", "{\"a\": 1}"]));

    let server = Server::start(2);
    let put = server.kpl(&["put", "clicks", "--lines", "--key", "fixed:host"], "one\ntwo\n");
    assert_eq!(put.code, 0, "{put:?}");
    let expected = [("host", "one"), ("host", "two")].map(|(key, data)| (key.to_owned(), data.to_owned()));
    assert_eq!(contents(&server.all()), expected);
}

#[test]
fn an_object_is_put_as_a_whole_with_the_key_of_a_field() {
    let server = Server::start(2);
    let input = concat!(
        r#"{"user": {"id": "anna"}, "n": 1.50}"#,
        "\n\n",
        r#"  {"n":2,"user":{"id":7}}  "#,
        "\r\n",
        r#"{"user":"bob"}"#,
        "\n",
        r#"{"user":{"id":null}}"#,
        "\nnothing\n",
    );
    let put = server.kpl(&["put", "clicks", "--key-field", "/user/id"], input);
    assert_eq!((put.code, figure(&put, "user records delivered")), (1, 2), "{put:?}");
    let told: Vec<_> = put.stderr.lines().collect();
    assert_eq!(
        told[..2],
        [
            r#"kpl: standard input:4: it does not have the field /user/id: {"user":"bob"}"#,
            r#"kpl: standard input:5: its field /user/id is null, not a string: {"user":{"id":null}}"#,
        ]
    );
    assert!(
        told[2].starts_with("kpl: standard input:6: it is not a JSON object: ") && told[2].ends_with(": nothing"),
        "{put:?}"
    );
    let expected = [
        ("7", r#"{"n":2,"user":{"id":7}}"#),
        ("anna", r#"{"user": {"id": "anna"}, "n": 1.50}"#),
    ];
    let expected = expected.map(|(key, data)| (key.to_owned(), data.to_owned()));
    assert_eq!(contents(&server.all()), expected);

    let server = Server::start(2);
    let put = server.kpl(&["put", "clicks", "--key", "fixed:k"], "{\"PartitionKey\":1}\n[1]\n");
    assert_eq!((put.code, figure(&put, "user records delivered")), (1, 1), "{put:?}");
    assert_eq!(
        contents(&server.all()),
        [("k".to_owned(), "{\"PartitionKey\":1}".to_owned())]
    );
}

#[test]
fn a_row_of_csv_is_an_object() {
    let csv = "\u{feff}user,\"the \"\"text\"\"\"\r\nanna,\"a, b\nc\"\r\nbob\r\nanna,é\n,x\n";
    let server = Server::start(2);
    let put = server.kpl(&["put", "clicks", "--csv", "--key-column", "user"], csv);
    assert_eq!((put.code, figure(&put, "user records delivered")), (1, 2), "{put:?}");
    assert_eq!(
        put.stderr,
        "kpl: standard input:4: it has 1 field, and the header has 2: bob\n\
         kpl: standard input:6: a partition key has 1 to 256 characters, this one has 0: \
         {\"user\":\"\",\"the \\\"text\\\"\":\"x\"}\n"
    );
    // Lines are counted the same with any ends, and over empty ones.
    let put = server.kpl(
        &["put", "clicks", "--csv", "--key-column", "user", "--strict"],
        "user,a\n\n\nbob\n",
    );
    assert!(put.stderr.starts_with("kpl: standard input:4: "), "{put:?}");
    let put = server.kpl(&["put", "clicks", "--csv", "--strict"], "user,a\r\n\r\nbob");
    assert!(put.stderr.starts_with("kpl: standard input:3: "), "{put:?}");
    let expected = [
        ("anna", r#"{"user":"anna","the \"text\"":"a, b\nc"}"#),
        ("anna", r#"{"user":"anna","the \"text\"":"é"}"#),
    ];
    let expected = expected.map(|(key, data)| (key.to_owned(), data.to_owned()));
    assert_eq!(contents(&server.all()), expected);

    for (csv, expected) in [
        ("a,b\n1,2\n", "there is no column \"user\"; the columns are a, b"),
        ("user,user\n", "there are two columns \"user\""),
    ] {
        let put = server.kpl(&["put", "clicks", "--csv", "--key-column", "user"], csv);
        assert_eq!(put.code, 2, "{put:?}");
        assert!(put.stderr.contains(expected), "{put:?}");
    }
    // A quote that is not closed does not take all of the input.
    let endless = format!("user\nanna\n\"{}", "x".repeat(33 << 20));
    let put = server.kpl(&["put", "clicks", "--csv", "--key", "fixed:k"], endless);
    assert_eq!((put.code, figure(&put, "user records delivered")), (1, 1), "{put:?}");
    assert_eq!(
        put.stderr,
        "kpl: standard input:3: this is longer than 32 MiB, the limit for one record; the rest is not read\n"
    );
}

/// A row is sent without waiting for the next ones.
#[test]
fn rows_from_a_pipe_are_sent_as_they_come() {
    let server = Server::start(1);
    let mut child = server.spawn(&["put", "clicks", "--csv", "--key-column", "user"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"user\nanna\n").unwrap();
    server.wait_for_records("shardId-000000000000", 1);
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn in_order_a_key_keeps_its_order() {
    let server = Server::start(2);
    let input: String = (0..2000)
        .map(|number| format!("{{\"PartitionKey\":\"key {}\",\"Data\":\"{number}\"}}\n", number % 7))
        .collect();
    let put = server.kpl(
        &["put", "clicks", "--data", "text", "--ordered", "--max-size", "500"],
        input,
    );
    assert_eq!((put.code, figure(&put, "user records delivered")), (0, 2000), "{put:?}");
    assert!(figure(&put, "Kinesis records") > 20, "{put:?}");
    let lines = server.all();
    for key in 0..7 {
        let key = format!("key {key}");
        let of_key = lines.iter().filter(|line| line["PartitionKey"] == key.as_str());
        let numbers: Vec<u32> = of_key
            .map(|line| line["Data"].as_str().unwrap().parse().unwrap())
            .collect();
        assert!(numbers.len() >= 285 && numbers.is_sorted(), "{key}: {numbers:?}");
    }
}

#[test]
fn a_line_that_cannot_be_sent_is_reported_and_the_next_one_follows() {
    let server = Server::start(1);
    let large = "x".repeat(200);
    let input = format!(
        "{{\"PartitionKey\":\"a\",\"Data\":\"one\"}}\nno JSON\n{{\"PartitionKey\":\"b\",\"Data\":\"{large}\"}}\n\
         {{\"PartitionKey\":\"c\",\"Data\":\"four\"}}\n"
    );
    let arguments = ["put", "clicks", "--data", "text", "--max-record-size", "100"];
    let put = server.kpl(&arguments, &input);
    assert_eq!(put.code, 1, "{put:?}");
    assert_eq!(
        (figure(&put, "user records delivered"), figure(&put, "lines left out")),
        (2, 2)
    );
    let told: Vec<_> = put.stderr.lines().collect();
    assert_eq!(told.len(), 2, "{put:?}");
    assert!(
        told[0].starts_with("kpl: standard input:2: ") && told[0].ends_with(": no JSON"),
        "{put:?}"
    );
    assert!(
        told[1].starts_with("kpl: standard input:3: ") && told[1].contains(&large),
        "{put:?}"
    );

    let strict = server.kpl(&[&arguments[..], &["--strict"]].concat(), &input);
    assert_eq!(
        (strict.code, figure(&strict, "user records delivered")),
        (1, 1),
        "{strict:?}"
    );
    assert_eq!(strict.stderr.lines().collect::<Vec<_>>(), told[..1]);
    assert_eq!(server.all().len(), 3);
}

#[test]
fn a_missing_file_is_2_and_what_was_read_before_is_sent() {
    let server = Server::start(1);
    let directory = Directory::new();
    let file = directory.file("lines", "one\n");
    let put = server.kpl(&["put", "clicks", "--lines", &file, "nowhere"], "");
    assert_eq!((put.code, figure(&put, "user records delivered")), (2, 1), "{put:?}");
    assert!(put.stderr.contains("nowhere"), "{put:?}");
}

#[test]
fn a_wrong_command_line_is_2_before_anything_is_read() {
    let long = format!("fixed:{}", "k".repeat(257));
    for wrong in [
        &["--key", "k"][..],
        &["--lines", "--key", "fixed:"],
        &["--lines", "--key", &long],
        &["--key-field", ""],
        &["--csv", "--key-field", "a"],
        &["--lines", "--key-field", "a"],
        &["--data", "text", "--key", "random"],
        &["--csv", "--data", "text"],
        &["--key-column", "a"],
        &["--lines", "--data", "text"],
        &["--record-ttl", "0"],
        &["--max-size", "0"],
        &["--region", "us-east-1", "--endpoint-url", "localhost:4567"],
    ] {
        let run = run(&mut outside(&[&["put", "clicks"], wrong].concat()), b"one\n");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
        assert!(run.stderr.contains(wrong[wrong.len() - 2]), "{run:?}");
    }
}

#[test]
fn a_stream_that_does_not_exist_is_3() {
    let server = Server::start(1);
    for arguments in [&["put", "nothing"][..], &["tail", "nothing"]] {
        let run = server.kpl(arguments, "");
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:?}");
        assert!(
            run.stderr.starts_with("kpl: stream nothing") && run.stderr.contains("ResourceNotFoundException"),
            "{run:?}"
        );
    }
}

#[test]
fn if_shards_may_not_be_listed_it_says_once_that_nothing_is_aggregated() {
    let server = Server::with(kpl_testkit::server::Server::builder().refuse("ListShards"), 1);
    let input: String = (0..100).map(|number| format!("{number}\n")).collect();
    let mut child = server.spawn(&["put", "clicks", "--lines"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    // Shards are listed again and again meanwhile.
    std::thread::sleep(std::time::Duration::from_secs(4));
    drop(stdin);
    let put = ended(child);
    let told = "kpl: stream clicks: its shards cannot be listed, so records are sent one by one, not aggregated (grant \
                kinesis:ListShards): AccessDeniedException: not authorized to perform kinesis:ListShards\n";
    assert_eq!((put.code, put.stderr.as_str()), (0, told));
    assert_eq!(figure(&put, "user records delivered"), 100);
    assert_eq!(figure(&put, "Kinesis records"), 100);
    server.wait_for_records("shardId-000000000000", 100);
}

#[test]
fn an_endpoint_that_is_not_a_url_is_2_and_says_what_to_set() {
    for arguments in [&["put", "clicks", "--lines"][..], &["tail", "clicks"]] {
        let mut command = outside(arguments);
        command
            .env("AWS_ENDPOINT_URL", "localhost:4567")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        let run = run(&mut command, b"one\n");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
        let told = "InvalidEndpoint: \"localhost:4567\" is not a valid endpoint URL: set AWS_ENDPOINT_URL, ";
        assert!(run.stderr.contains(told) && run.stderr.lines().count() == 1, "{run:?}");
    }
}

#[test]
fn what_is_not_delivered_goes_to_standard_error_and_is_3() {
    // There is no server there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let mut command = outside(&[
        "put",
        "clicks",
        "--lines",
        "--record-ttl",
        "0.5",
        "--endpoint-url",
        &url,
    ]);
    command.args(["--region", "eu-central-1"]);
    command
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret");
    let put = run(&mut command, b"one\ntwo\n");
    assert_eq!(put.code, 3, "{put:?}");
    assert_eq!(
        (figure(&put, "user records delivered"), figure(&put, "not delivered")),
        (0, 2)
    );
    for (number, text) in [(1, "one"), (2, "two")] {
        let told = |line: &str| line.starts_with(&format!("kpl: standard input:{number}: ")) && line.ends_with(text);
        assert!(put.stderr.lines().any(told), "{put:?}");
    }
}

#[test]
fn a_profile_has_region_and_credentials() {
    let server = Server::start(1);
    let directory = Directory::new();
    let profile = "[profile other]\nregion = us-east-1\naws_access_key_id = key\naws_secret_access_key = secret\n";
    let config = directory.file("config", profile);
    let arguments = ["put", "clicks", "--lines", "--endpoint-url", server.url()];
    let put = |more: &[&str]| {
        let mut command = outside(&[&arguments[..], more].concat());
        run(command.env("AWS_CONFIG_FILE", &config), b"one\n")
    };
    assert_eq!(put(&["--profile", "other"]).code, 0);
    let without = put(&[]);
    assert_eq!(without.code, 2, "{without:?}");
    assert!(without.stderr.contains("--region"), "{without:?}");
    for arguments in [
        &["--region", "us-east-1"][..],
        &["--region", "us-east-1", "--profile", "unknown"],
    ] {
        let without = put(arguments);
        assert_eq!((without.code, without.stdout.as_str()), (2, ""), "{without:?}");
        assert!(
            without.stderr.starts_with("kpl: there are no credentials: "),
            "{without:?}"
        );
        assert_eq!(without.stderr.lines().count(), 1, "{without:?}");
    }
    assert_eq!(server.all().len(), 1);
}

#[test]
fn retries_are_counted_with_their_reasons() {
    let mut command = outside(&["put", "clicks", "--lines", "--record-ttl", "1"]);
    // Nothing listens there.
    command.args(["--endpoint-url", "http://127.0.0.1:1", "--region", "us-east-1"]);
    command.envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
    let put = run(&mut command, b"one\n");
    assert_eq!((put.code, figure(&put, "not delivered")), (3, 1), "{put:?}");
    let retries = figure(&put, "retries");
    assert!(retries > 0, "{put:?}");
    let reason = format!("retries                 {retries:>12}\n{retries:>36}  DispatchFailure\n");
    assert!(put.stdout.contains(&reason), "{put:?}");
    for line in put.stderr.lines() {
        assert!(line.starts_with("kpl: ") && !line.contains("=\""), "{put:?}");
    }
}

fn ended(child: std::process::Child) -> Run {
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// How many lines were read before Ctrl-C.
#[cfg(unix)]
fn read_lines(put: &Run) -> u64 {
    let told = "kpl: interrupted after standard input:";
    let line = put.stderr.lines().find_map(|line| line.strip_prefix(told));
    line.unwrap_or_else(|| panic!("{put:?}")).parse().unwrap()
}

#[cfg(unix)]
#[test]
fn a_signal_sends_what_was_read() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let server = Server::start(1);
        let arguments = [
            "put",
            "clicks",
            "--lines",
            "--buffer-time",
            "3600000",
            "--record-ttl",
            "7200",
        ];
        let mut child = server.spawn(&arguments);
        let mut stdin = child.stdin.take().unwrap();
        let lines: String = (0..600)
            .map(|number| format!("{number}{}\n", "x".repeat(1000)))
            .collect();
        stdin.write_all(lines.as_bytes()).unwrap();
        // A full request goes at once; what comes after it would wait for an hour.
        server.wait_for_records("shardId-000000000000", 1);
        signal(&child, name);
        let put = ended(child);
        let last = read_lines(&put);
        assert_eq!((put.code, put.stderr.lines().count()), (code, 1), "{}", put.stderr);
        assert!((256..=600).contains(&last), "{}", put.stderr);
        assert_eq!(figure(&put, "user records delivered"), last);
        assert_eq!(server.all().len() as u64, last);
        drop(stdin);
    }
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_gives_up_on_records_without_an_outcome() {
    let server = Server::start(1);
    // A hundredth of what a shard takes: 10 KiB a second.
    let arguments = ["put", "clicks", "--lines", "--rate-limit", "1", "--record-ttl", "3600"];
    let mut child = server.spawn(&arguments);
    let mut stdin = child.stdin.take().unwrap();
    for number in 0..10 {
        writeln!(stdin, "{number}{}", "x".repeat(50_000)).unwrap();
    }
    server.wait_for_records("shardId-000000000000", 1);
    interrupt(&child);
    // The second one counts when the first was seen, or else nothing ends it before the rate limit does.
    std::thread::sleep(std::time::Duration::from_millis(300));
    interrupt(&child);
    let put = ended(child);
    assert_eq!(put.code, 3, "{}", put.stdout);
    let told = put
        .stderr
        .lines()
        .filter(|line| line.contains("was not delivered"))
        .count() as u64;
    assert!(told > 0 && told == figure(&put, "not delivered"), "{}", put.stdout);
    assert_eq!(figure(&put, "user records delivered") + told, read_lines(&put));
    drop(stdin);
}

#[cfg(unix)]
#[test]
fn reading_waits_for_room_and_ctrl_c_ends_that_as_well() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    let server = Server::start(1);
    let mut child = server.spawn(&["put", "clicks", "--lines", "--rate-limit", "1", "--record-ttl", "3600"]);
    let mut stdin = child.stdin.take().unwrap();
    let written = Arc::new(AtomicU64::new(0));
    let writer = std::thread::spawn({
        let (written, line) = (Arc::clone(&written), "x".repeat(1_000_000) + "\n");
        move || {
            // It ends when the pipe has been closed.
            while stdin.write_all(line.as_bytes()).is_ok() {
                written.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut before = 0;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = written.load(Ordering::Relaxed);
        assert!(now < 40, "{now} MB were read, and the service took none");
        if now > 20 && now == before {
            break;
        }
        before = now;
    }
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(300));
    interrupt(&child);
    let put = ended(child);
    writer.join().unwrap();
    assert_eq!(put.code, 3, "{}", put.stdout);
    // Three quarters of 64 MiB have room for this many, each counted twice; what was delivered made room for others.
    let held = figure(&put, "not delivered");
    assert!((24..=27).contains(&held), "{}", put.stdout);
    let read = figure(&put, "user records delivered") + held;
    assert_eq!(read_lines(&put), read);
}

/// util-linux's `script` runs a command on a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_the_progress() {
    let server = Server::start(1);
    let put = format!("{} put clicks --lines --buffer-time 60000", env!("CARGO_BIN_EXE_kpl"));
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &format!("(echo one; sleep 2) | {put}"), "/dev/null"]);
    server.lead(&mut command);
    command.env("TERM", "xterm-256color").stdin(std::process::Stdio::null());
    let output = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        output => String::from_utf8(output.unwrap().stdout).unwrap(),
    };
    assert!(output.contains("1 under way"), "{output:?}");
    assert!(output.contains("user records delivered             1"), "{output:?}");
}
