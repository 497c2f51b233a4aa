//! `kpl tail`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Output;

use data_encoding::BASE64;
use kpl_core::{Aggregator, RawRecord};
use kpl_testkit::aggregate_into_one;
use kpl_testkit::bytes::sealed;
use serde_json::{Value, json};

use super::server::{Server, outside, signal};
#[cfg(target_os = "linux")]
use crate::memory::peak_memory;
use crate::support::{Directory, golden_lines, kpl_golden, run};

fn put(server: &Server, numbers: std::ops::Range<u32>) {
    let input: String = numbers
        .map(|number| format!("{{\"PartitionKey\":\"key {}\",\"Data\":\"{number}\"}}\n", number % 16))
        .collect();
    let put = server.kpl(&["put", "clicks", "--data", "text", "--ordered"], input);
    assert_eq!((put.code, put.stderr.as_str()), (0, ""));
}

#[test]
fn aggregated_records_come_out_as_deaggregate_writes_them() {
    let server = Server::start(1);
    let golden = kpl_golden();
    server.put_record("outer", &golden.aggregated);
    server.put_record("plain", b"\xFF alone");
    let lines = server
        .kpl(&["tail", "clicks", "--from", "trim-horizon", "--idle", "1"], "")
        .lines();
    assert_eq!(lines.len(), golden.user_records.len() + 1);
    let sequence_number = lines[0]["SequenceNumber"].as_str();
    let expected = golden_lines(&golden, sequence_number, &lines[0]["ApproximateArrivalTimestamp"]);
    for (line, mut expected) in lines.iter().zip(expected) {
        expected["ShardId"] = "shardId-000000000000".into();
        assert_eq!(line, &expected);
    }
    assert!(lines[0]["ApproximateArrivalTimestamp"].as_f64().unwrap() > 1.7e9);
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let last = lines.last().unwrap();
    assert_eq!(keys(last), keys(&lines[0]));
    assert_eq!(
        (&last["Aggregated"], &last["PartitionKey"], &last["Data"]),
        (&false.into(), &"plain".into(), &"/yBhbG9uZQ==".into())
    );
}

#[test]
fn splits_and_merges_are_followed() {
    let server = Server::start(1);
    let mut child = server.spawn(&[
        "tail",
        "clicks",
        "--from",
        "trim-horizon",
        "--count",
        "300",
        "--data",
        "text",
    ]);
    put(&server, 0..100);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    // It reads already.
    server.split("shardId-000000000000");
    put(&server, 100..200);
    server.merge("shardId-000000000001", "shardId-000000000002");
    put(&server, 200..300);
    let lines: Vec<Value> = [Ok(first)]
        .into_iter()
        .chain(stdout.lines())
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert_eq!(lines.len(), 300);
    let shards: BTreeSet<_> = lines.iter().map(|line| line["ShardId"].as_str().unwrap()).collect();
    assert_eq!(shards.len(), 4, "{shards:?}");
    for key in 0..16 {
        let key = format!("key {key}");
        let of_key = lines.iter().filter(|line| line["PartitionKey"] == key.as_str());
        let numbers: Vec<u32> = of_key
            .map(|line| line["Data"].as_str().unwrap().parse().unwrap())
            .collect();
        assert!(numbers.len() >= 18 && numbers.is_sorted(), "{key}: {numbers:?}");
    }
}

/// What is written to standard error if nothing goes wrong.
const READING: &str = "kpl: reading stream clicks, 1 shard\n";

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn it_goes_on_at_its_positions() {
    let server = Server::start(1);
    put(&server, 0..10);
    let directory = Directory::new();
    let file = directory.path().join("positions");
    let arguments = [
        "tail",
        "clicks",
        "--from",
        "trim-horizon",
        "--data",
        "text",
        "--positions",
        file.to_str().unwrap(),
    ];
    let data = |more: &[&str]| -> Vec<u32> {
        let lines = server.kpl(&[&arguments[..], more].concat(), "").lines();
        lines
            .iter()
            .map(|line| line["Data"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    // In the middle of an aggregated record.
    assert_eq!(data(&["--count", "4"]), [0, 1, 2, 3]);
    assert_eq!(data(&["--idle", "1"]), [4, 5, 6, 7, 8, 9]);
    assert!(data(&["--idle", "1"]).is_empty());

    std::fs::write(&file, "nonsense").unwrap();
    let run = server.kpl(&arguments, "");
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.stderr.contains("positions: line 1") || run.stderr.contains("line 1"),
        "{run:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_with_its_positions_saved() {
    let server = Server::start(1);
    put(&server, 0..10);
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let directory = Directory::new();
        let file = directory.path().join("positions");
        let arguments = [
            "tail",
            "clicks",
            "--from",
            "trim-horizon",
            "--positions",
            file.to_str().unwrap(),
        ];
        let mut child = server.spawn(&arguments);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.by_ref().take(10).count(), 10);
        signal(&child, name);
        assert_eq!(lines.count(), 0);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*told(&output)), (Some(code), READING));
        let again = server.kpl(&[&arguments[..], &["--idle", "1"]].concat(), "");
        assert_eq!(again.lines().len(), 0);
    }
}

#[test]
fn it_starts_where_it_is_told_to() {
    let server = Server::start(1);
    put(&server, 0..10);
    let from = |from: &str| {
        server
            .kpl(&["tail", "clicks", "--from", from, "--idle", "1"], "")
            .lines()
    };
    for time in [
        "1700000000",
        "1700000000.25",
        "2023-11-14T22:13:20Z",
        "2023-11-15T00:13:20+02:00",
        "2023-11-14",
        "1000h",
    ] {
        assert_eq!(from(time).len(), 10, "{time}");
    }
    // The server counts whole seconds.
    let after = from("0").pop().unwrap()["ApproximateArrivalTimestamp"]
        .as_f64()
        .unwrap()
        .floor()
        + 1.0;
    while std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64() < after {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    put(&server, 10..13);
    assert_eq!(from(&after.to_string()).len(), 3);
    assert_eq!(from("latest").len(), 0);
    for wrong in ["yesterday", "-5", "14.11.2023"] {
        let run = server.kpl(&["tail", "clicks", &format!("--from={wrong}")], "");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    }
}

#[test]
fn only_what_is_asked_for_is_written() {
    let server = Server::start(4);
    put(&server, 0..100);
    server.put_record("outer", &sealed_with_bad_digest());
    let lines = |more: &[&str]| {
        let arguments = ["tail", "clicks", "--from", "1h", "--idle", "1", "--data", "text"];
        server.kpl(&[&arguments[..], more].concat(), "").lines()
    };
    let all = lines(&[]);
    assert_eq!(all.len(), 101);
    let of = |key: &str| all.iter().filter(|line| line["PartitionKey"] == key).count();
    assert_eq!(lines(&["--key", "key 3"]).len(), of("key 3"));
    assert_eq!(lines(&["--key", "key 3", "--key", "outer"]).len(), of("key 3") + 1);
    let data = |lines: Vec<Value>| -> BTreeSet<String> {
        let data = lines.iter().map(|line| line["Data"].as_str().unwrap().to_owned());
        data.collect()
    };
    assert_eq!(
        data(lines(&["--grep", "^9[0-2]$"])),
        ["90", "91", "92"].map(str::to_owned).into()
    );
    assert_eq!(
        data(lines(&["--grep", "^9", "--key", "key 3"])),
        ["99".to_owned()].into()
    );
    assert_eq!(lines(&["--grep", "^9", "--count", "2"]).len(), 2);

    let shard = |line: &Value| line["ShardId"].as_str().unwrap().to_owned();
    for (asked, ids) in [
        (&["--shard", "2"][..], &["shardId-000000000002"][..]),
        (
            &["--shard", "shardId-000000000001", "--shard", "3"],
            &["shardId-000000000001", "shardId-000000000003"],
        ),
    ] {
        let expected: Vec<_> = all.iter().filter(|line| ids.contains(&shard(line).as_str())).collect();
        let found = lines(asked);
        assert_eq!(found.len(), expected.len());
        assert!(
            !found.is_empty() && expected.iter().all(|line| found.contains(line)),
            "{asked:?}"
        );
    }
    server.split("shardId-000000000002");
    let with_random_keys: String = (0..200).map(|number| format!("{number}\n")).collect();
    assert_eq!(server.kpl(&["put", "clicks", "--lines"], with_random_keys).code, 0);
    let found: BTreeSet<_> = lines(&["--shard", "2"]).iter().map(shard).collect();
    let expected = ["2", "4", "5"].map(|number| format!("shardId-00000000000{number}"));
    assert_eq!(found, expected.into(), "the shards that it was split into");

    let unknown = server.kpl(&["tail", "clicks", "--shard", "7"], "");
    assert_eq!(unknown.code, 2);
    let expected =
        "kpl: stream clicks does not have a shard shardId-000000000007, but 6 shards: shardId-000000000000, ";
    assert!(unknown.stderr.starts_with(expected), "{}", unknown.stderr);
    let wrong = server.kpl(&["tail", "clicks", "--grep", "("], "");
    assert!(
        wrong.code == 2 && wrong.stderr.contains("unclosed group"),
        "{}",
        wrong.stderr
    );
}

fn sealed_with_bad_digest() -> Vec<u8> {
    let mut bytes = kpl_golden().aggregated;
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

#[test]
fn compressed_data_is_written_and_searched_as_it_was() {
    let server = Server::start(1);
    let compress = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
    let mut damaged = compress("three");
    damaged.pop();
    for data in [compress("{\"a\":1}"), compress("two"), damaged.clone()] {
        server.put_record("k", &data);
    }
    let tail = [
        "tail",
        "clicks",
        "--from",
        "trim-horizon",
        "--idle",
        "1",
        "--decompress",
        "--data",
        "json",
    ];
    let run = server.kpl(&tail, "");
    let lines = run.lines_despite_problems();
    assert_eq!(lines[0]["Data"], json!({ "a": 1 }));
    assert_eq!(lines[0]["Compression"], "zstd");
    assert_eq!(lines[1]["Data"], "two");
    assert_eq!(lines[2]["Data"], BASE64.encode(&damaged));
    let told = run.stderr.lines().find(|line| line.contains("its data stays as it is"));
    assert!(
        told.is_some_and(|line| line.starts_with("kpl: stream clicks, shard shardId-000000000000 (sequence number ")),
        "{run:?}"
    );
    let found = server
        .kpl(&[&tail[..], &["--grep", "^tw"]].concat(), "")
        .lines_despite_problems();
    assert_eq!((found.len(), &found[0]["Data"]), (1, &json!("two")));
}

#[test]
fn an_arn_has_the_region() {
    let server = Server::start(1);
    let arn = |region: &str| format!("arn:aws:kinesis:{region}:000000000000:stream/clicks");
    let tail = |arn: &str, more: &[&str], region: Option<&str>| {
        let arguments = ["tail", arn, "--from", "trim-horizon", "--count", "3"];
        let mut command = server.command(&[&arguments[..], more].concat());
        command.env_remove("AWS_REGION");
        run(command.envs(region.map(|region| ("AWS_REGION", region))), b"")
    };
    let right = arn("us-east-1");
    for (more, region) in [
        (&[][..], None),
        (&[], Some("us-east-1")),
        (&["--region", "us-east-1"], Some("eu-west-1")),
    ] {
        let run = tail(&right, more, region);
        // The request is made; this server does not know ARNs.
        assert!(
            run.code == 3 && run.stderr.contains("StreamName should be provided"),
            "{run:?}"
        );
    }
    for (more, region, name) in [
        (&[][..], Some("eu-west-1"), "AWS_REGION is eu-west-1"),
        (&["--region", "eu-west-1"], Some("us-east-1"), "--region is eu-west-1"),
    ] {
        let run = tail(&right, more, region);
        let expected = format!("kpl: {name}, but the stream is in us-east-1: {right}\n");
        assert_eq!((run.code, run.stderr), (2, expected));
    }
    let run = tail("arn:aws:kinesis:us-east-1:clicks", &[], None);
    assert!(
        run.code == 2 && run.stderr.contains("is not the ARN of a stream, such as arn:"),
        "{run:?}"
    );
    let put = run_put(&server, &right);
    assert!(
        put.stderr
            .starts_with("kpl: AWS_REGION is eu-west-1, but the stream is in us-east-1"),
        "{put:?}"
    );
}

fn run_put(server: &Server, stream: &str) -> crate::support::Run {
    run(server.command(&["put", stream]).env("AWS_REGION", "eu-west-1"), b"")
}

#[test]
fn a_malformed_record_is_marked_and_strict_stops_at_it() {
    let server = Server::start(1);
    let mut damaged = kpl_golden().aggregated;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    server.put_record("first", b"fine");
    server.put_record("outer", &damaged);
    // Of a partition key that is in no table.
    server.put_record("keys", &sealed([0x1A, 0x05, 0x08, 0x09, 0x1A, 0x01, 0x78]));
    let tail = ["tail", "clicks", "--from", "trim-horizon", "--count", "3"];
    let lines = server.kpl(&tail, "").lines();
    assert!(lines[0].get("Malformed").is_none());
    assert_eq!(lines[1]["Malformed"], "its digest does not match");
    assert_eq!(
        (&lines[2]["PartitionKey"], &lines[2]["Data"]),
        (&Value::Null, &"eA==".into())
    );
    assert!(
        lines[2]["Malformed"]
            .as_str()
            .unwrap()
            .contains("partition key index 9")
    );

    let strict = server.kpl(&[&tail[..], &["--strict"]].concat(), "");
    assert_eq!(
        (strict.code, strict.lines_despite_problems().len()),
        (1, 1),
        "{strict:?}"
    );
    let number = lines[1]["SequenceNumber"].as_str().unwrap();
    let place =
        format!("kpl: stream clicks, shard shardId-000000000000 (sequence number {number}): it starts with the magic");
    assert!(strict.stderr.contains(&place), "{strict:?}");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let server = Server::start(1);
    let records = vec![RawRecord::new("k", b"x"); 1000];
    let large = Aggregator::<RawRecord>::new()
        .aggregate(&records)
        .next()
        .unwrap()
        .unwrap();
    // With more to write, and with nothing to write.
    for count in [20, 1] {
        (0..count).for_each(|_| server.put_record("k", &large.data));
        let mut child = server.spawn(&["tail", "clicks", "--from", "trim-horizon"]);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*told(&output)), (Some(0), READING));
    }
}

#[test]
fn positions_of_another_stream_are_an_error_unless_they_are_to_be_reset() {
    let (first, second) = (Server::start(1), Server::start(1));
    put(&first, 0..5);
    put(&second, 0..3);
    let directory = Directory::new();
    let file = directory.path().join("positions");
    let file = file.to_str().unwrap();
    // The streams were created in the same second, so the name has to tell them apart.
    let tail = |server: &Server, more: &[&str]| {
        let arguments = [
            "tail",
            "clicks",
            "--from",
            "trim-horizon",
            "--idle",
            "1",
            "--positions",
            file,
        ];
        server.kpl(&[&arguments[..], more].concat(), "")
    };
    assert_eq!(tail(&second, &[]).lines().len(), 3);
    let saved = std::fs::read_to_string(file).unwrap();
    let other = saved.replace("stream/clicks", "stream/clocks");
    std::fs::write(file, &other).unwrap();
    let run = tail(&first, &[]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    assert!(
        run.stderr.contains("are of another stream, arn:aws:kinesis:us-east-1:"),
        "{run:?}"
    );
    assert!(run.stderr.ends_with("; --reset-positions discards them\n"), "{run:?}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), other);
    let run = tail(&first, &["--reset-positions"]);
    assert_eq!((run.code, run.lines_despite_problems().len()), (0, 5), "{run:?}");
    assert_eq!(tail(&first, &[]).lines().len(), 0);
}

#[test]
fn it_gives_up_when_the_service_cannot_be_reached() {
    // A port on which nothing listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{port}");
    let mut command = outside(&[
        "tail",
        "clicks",
        "--endpoint-url",
        &url,
        "--give-up-after",
        "1",
        "--idle",
        "1",
    ]);
    command.envs([
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
    ]);
    let run = run(&mut command, b"");
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.stderr.contains("given up after 1s: ListShards: DispatchFailure"),
        "{run:?}"
    );
    let again = "kpl: stream clicks: ListShards: made again later: DispatchFailure: cannot connect to ";
    let first = run.stderr.lines().next().unwrap();
    assert!(first.starts_with(again) && first.ends_with(" (failures 1)"), "{first}");
}

/// util-linux's `script` runs a command on a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_how_far_it_is() {
    let server = Server::start(2);
    put(&server, 0..10);
    let inner = server.command(&[]);
    let kpl = inner.get_program().to_str().unwrap();
    let tail = format!(
        "{kpl} tail clicks --from trim-horizon --idle 2 --endpoint-url {}",
        server.url()
    );
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &tail, "/dev/null"]).env("TERM", "xterm-256color");
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = match command.stdin(std::process::Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        output => output.unwrap(),
    };
    let drawing = String::from_utf8_lossy(&output.stdout);
    assert!(
        drawing.contains("clicks: 2 shards, 10 user records, up to date"),
        "{drawing}"
    );
    assert!(!drawing.contains("kpl: reading"), "{drawing}");
    // The line is gone before a record is written.
    assert_eq!(drawing.matches("\"SequenceNumber\"").count(), 10, "{drawing}");
}

/// The server answers with as many bytes as there are, so the number of records that is asked for must limit them.
#[cfg(target_os = "linux")]
#[test]
fn memory_keeps_to_what_may_be_buffered() {
    const MIB: u64 = 1024 * 1024;
    let server = Server::start(1);
    let records = vec![RawRecord::new("k", [b'x'; 40]); 1000];
    let aggregate = aggregate_into_one(&records).data;
    (0..300).for_each(|_| server.put_record("k", &aggregate));
    let arguments = [
        "tail",
        "clicks",
        "--from",
        "trim-horizon",
        "--max-buffered-bytes",
        "4194304",
    ];
    let mut child = server.spawn(&arguments);
    let mut stdout = BufReader::with_capacity(1 << 20, child.stdout.take().unwrap());
    for _ in 0..300_000 {
        assert!(stdout.skip_until(b'\n').unwrap() > 0);
    }
    let peak = peak_memory(&child).unwrap() * 1024;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(peak < 25 * MIB, "{peak}");
}
