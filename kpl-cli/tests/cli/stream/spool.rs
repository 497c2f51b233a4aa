//! `kpl put --spool` and `kpl spool`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Server, interrupt, outside};
use crate::support::{Directory, Run, kpl, run};

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("line {number}\n")).collect()
}

/// The data of all records of the stream, sorted.
fn delivered(server: &Server) -> Vec<String> {
    let mut data: Vec<String> = server.all().iter().map(data).collect();
    data.sort_by_key(|data| data.trim_start_matches("line ").parse::<u32>().unwrap());
    data
}

fn data(line: &Value) -> String {
    line["Data"].as_str().unwrap().to_owned()
}

fn expected(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

/// `kpl`, where no service can be reached.
fn without_service(arguments: &[&str]) -> Command {
    let mut command = outside(arguments);
    command
        .args(["--region", "us-east-1", "--endpoint-url", "http://127.0.0.1:1"])
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Puts lines while the service cannot be reached. They stay in the spool.
fn put_into_nothing(spool: &str, numbers: std::ops::Range<u32>) -> Run {
    let mut command = without_service(&["put", "clicks", "--lines", "--key", "fixed:k", "--spool", spool]);
    run(&mut command, lines(numbers).as_bytes())
}

#[test]
fn what_is_read_during_an_outage_is_sent_by_the_next_run() {
    let (server, directory) = (Server::start(1), Directory::new());
    let spool = directory.path().join("a/spool");
    let spool = spool.to_str().unwrap();
    let put = put_into_nothing(spool, 0..1000);
    assert_eq!(put.code, 0, "{put:?}");
    assert!(put.stdout.contains("left in the spool              1,000\n"), "{put:?}");
    assert!(
        put.stderr.contains(&format!(
            "kpl: 1,000 user records in {spool}: the next `kpl put --spool` sends"
        )),
        "{put:?}"
    );

    let list = kpl(&["spool", "ls", spool], "");
    assert!(
        list.stdout.contains("without an outcome               1,000\n"),
        "{list:?}"
    );
    let verify = kpl(&["spool", "verify", spool], "");
    assert_eq!((verify.code, verify.stderr.as_str()), (0, ""));
    assert!(
        verify.stdout.contains("         1,000           8,890  clicks\n"),
        "{verify:?}"
    );
    let dump = kpl(&["spool", "dump", spool, "--data", "text"], "").lines();
    assert_eq!(dump.iter().map(data).collect::<Vec<_>>(), expected(0..1000));
    assert!(dump.iter().all(|line| line["PartitionKey"] == "k"));
    let other = kpl(&["spool", "dump", spool, "--stream", "other"], "");
    assert_eq!(
        (other.stdout.as_str(), other.stderr.as_str()),
        ("", "kpl: 1,000 user records for clicks left out\n")
    );

    let put = server.kpl(
        &["put", "clicks", "--lines", "--spool", spool, "--wait"],
        lines(1000..1500),
    );
    assert_eq!(put.code, 0, "{put:?}");
    assert_eq!(
        put.stderr,
        format!("kpl: {spool}: 1,000 user records left by earlier runs\n")
    );
    assert!(put.stdout.contains("user records delivered         1,500\n"), "{put:?}");
    assert!(put.stdout.contains("possibly duplicated            1,000\n"), "{put:?}");
    assert!(put.stdout.contains("left in the spool                  0\n"), "{put:?}");
    assert_eq!(delivered(&server), expected(0..1500));
}

#[test]
fn a_spool_is_drained_without_input() {
    let (server, directory) = (Server::start(2), Directory::new());
    let spool = directory.path().join("spool");
    let spool = spool.to_str().unwrap();
    let missing = server.kpl(&["spool", "drain", spool], "");
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("there is no such folder"), "{missing:?}");
    assert_eq!(put_into_nothing(spool, 0..100).code, 0);
    let drain = server.kpl(&["spool", "drain", spool], "");
    assert_eq!(drain.code, 0, "{drain:?}");
    assert!(
        drain.stdout.contains("user records delivered           100\n"),
        "{drain:?}"
    );
    assert_eq!(delivered(&server), expected(0..100));
    let list = kpl(&["spool", "ls", spool], "");
    assert!(
        list.stdout.contains("without an outcome                   0\n"),
        "{list:?}"
    );
}

#[test]
fn a_drain_that_is_interrupted_leaves_the_rest() {
    let directory = Directory::new();
    let spool = directory.path().join("spool");
    let spool = spool.to_str().unwrap();
    assert_eq!(put_into_nothing(spool, 0..10).code, 0);
    let mut command = without_service(&["spool", "drain", spool]);
    command.stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    // It says what is left, and then what is wrong with the service.
    while !line.contains("stream clicks") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0);
    }
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stdout).contains("left in the spool                 10\n"));
}

#[test]
fn damage_is_told_and_costs_only_what_it_hits() {
    let (server, directory) = (Server::start(1), Directory::new());
    let spool = directory.path().join("spool");
    let path = spool.to_str().unwrap();
    assert_eq!(put_into_nothing(path, 0..100).code, 0);
    let file = fs::read_dir(&spool).unwrap().map(|file| file.unwrap().path());
    let file = file.into_iter().find(|file| file.extension().is_some()).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(7).position(|bytes| bytes == b"line 50").unwrap();
    bytes[at] = b'L';
    fs::write(&file, bytes).unwrap();
    for command in ["verify", "dump"] {
        let look = kpl(&["spool", command, path], "");
        assert_eq!(look.code, 1, "{look:?}");
        assert!(
            look.stderr
                .contains(&format!("{path}: 1 record from 50 on, damaged in the file from 0 on")),
            "{look:?}"
        );
    }
    let drain = server.kpl(&["spool", "drain", path], "");
    assert!(drain.stderr.contains("the spool is damaged"), "{drain:?}");
    assert_eq!(drain.code, 1, "{drain:?}");
    let expected: Vec<String> = expected(0..100).into_iter().filter(|data| data != "line 50").collect();
    assert_eq!(delivered(&server), expected);
}

#[test]
fn a_folder_in_use_and_wrong_options_are_2() {
    let (server, directory) = (Server::start(1), Directory::new());
    let spool = directory.path().join("spool");
    let path = spool.to_str().unwrap();
    let mut child = server.spawn(&["put", "clicks", "--lines", "--spool", path]);
    while !spool.join("lock").exists() {
        thread::sleep(Duration::from_millis(5));
    }
    let second = server.kpl(&["put", "clicks", "--lines", "--spool", path], "");
    assert_eq!(second.code, 2);
    assert!(second.stderr.contains("is in use by another process"), "{second:?}");
    // Looking at it is possible all the same.
    assert_eq!(kpl(&["spool", "ls", path], "").code, 0);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for arguments in [
        &["put", "clicks", "--wait"][..],
        &["put", "clicks", "--durability", "written"],
        &["put", "clicks", "--spool", path, "--dry-run"],
        &["put", "clicks", "--spool", path, "--spool-size", "1000"],
        &["spool", "ls", "nowhere"],
    ] {
        let run = server.kpl(arguments, "");
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
    }
}

/// Starts `kpl put` and writes lines to it until it is killed. Returns how many it has certainly read: a pipe holds the rest.
fn kill_while_it_reads(mut child: Child, first: u32, last: u32) -> u32 {
    let mut stdin = child.stdin.take().unwrap();
    let mut written = first;
    for number in first..last {
        if writeln!(stdin, "line {number}").is_err() {
            break;
        }
        written = number + 1;
    }
    thread::sleep(Duration::from_millis(u64::from(first % 70)));
    child.kill().unwrap();
    child.wait().unwrap();
    written
}

#[test]
fn kills_lose_nothing_that_was_stored() {
    let (server, directory) = (Server::start(2), Directory::new());
    let spool = directory.path().join("spool");
    let path = spool.to_str().unwrap();
    let (mut first, mut stored) = (0, BTreeSet::new());
    for durability in ["synced", "written"].into_iter().cycle().take(8) {
        let put = ["put", "clicks", "--lines", "--spool", path, "--durability", durability];
        first = kill_while_it_reads(server.spawn(&put), first, first + 2000);
        if !spool.exists() {
            // It was killed before it began.
            continue;
        }
        let look = kpl(&["spool", "dump", path, "--data", "text"], "");
        assert_eq!(look.code, 0, "{look:?}");
        stored.extend(look.lines().iter().map(data));
    }
    let drain = server.kpl(&["spool", "drain", path], "");
    assert_eq!(drain.code, 0, "{drain:?}");
    let there: BTreeSet<String> = delivered(&server).into_iter().collect();
    let missing: Vec<_> = stored.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(there.iter().all(|data| expected(0..first).contains(data)));
}

#[test]
fn records_that_the_service_refuses_are_reported() {
    let (server, directory) = (Server::start(1), Directory::new());
    let path = directory.path().join("spool");
    let put = [
        "put",
        "clicks",
        "--spool",
        path.to_str().unwrap(),
        "--record-ttl",
        "0.3",
        "--wait",
    ];
    let mut command = without_service(&put);
    let line = json!({"PartitionKey": "anna", "ExplicitHashKey": "7", "Data": "/wD+"});
    let put = run(&mut command, format!("{line}\n").as_bytes());
    assert_eq!(put.code, 3, "{put:?}");
    let told = put
        .stderr
        .lines()
        .find(|line| line.contains("its time to live ended"))
        .unwrap();
    let again = told.split_once(r#"{"PartitionKey""#).unwrap().1;
    let again = format!(r#"{{"PartitionKey"{again}"#);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), line);
    assert_eq!(server.kpl(&["put", "clicks"], &again).code, 0);
}

/// `kpl put` with a small spool, while the service cannot be reached.
fn put_into_little(spool: &str) -> Child {
    let arguments = [
        "put",
        "clicks",
        "--lines",
        "--spool",
        spool,
        "--spool-size",
        "300000",
        "--max-record-size",
        "1000",
    ];
    without_service(&arguments).spawn().unwrap()
}

#[test]
fn two_signals_end_it_although_the_spool_is_full() {
    let directory = Directory::new();
    let spool = directory.path().join("spool");
    let path = spool.to_str().unwrap();
    let mut child = put_into_little(path);
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        // The pipe fills when nothing more is read.
        (0..)
            .take_while(|number| writeln!(stdin, "line {number}").is_ok())
            .last()
    });
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told: Vec<String> = Vec::new();
    while !told.iter().any(|line| line.contains("the spool is full")) {
        told.push(lines.next().unwrap().unwrap());
    }
    let rest = thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<String>>());
    interrupt(&child);
    thread::sleep(Duration::from_millis(300));
    interrupt(&child);
    let code = child.wait().unwrap().code();
    writer.join().unwrap();
    told.extend(rest.join().unwrap());

    // Each line that was read is in the spool, or was reported.
    let interrupted = told
        .iter()
        .find_map(|line| line.strip_prefix("kpl: interrupted after standard input:"));
    let last: u32 = interrupted.unwrap().parse().unwrap();
    let stored = kpl(&["spool", "dump", path, "--data", "text"], "").lines();
    let mut accounted: BTreeSet<String> = stored.iter().map(data).collect();
    assert!(accounted.len() > 1000, "{}", accounted.len());
    let mut reported = 0;
    for line in &told {
        if let Some((_, json)) = line.split_once("{\"PartitionKey\"") {
            let json: Value = serde_json::from_str(&format!("{{\"PartitionKey\"{json}")).unwrap();
            let bytes = data_encoding::BASE64.decode(data(&json).as_bytes()).unwrap();
            accounted.insert(String::from_utf8(bytes).unwrap());
            reported += 1;
        }
    }
    let missing: Vec<String> = expected(0..last)
        .into_iter()
        .filter(|line| !accounted.contains(line))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {last}: {:?}",
        missing.len(),
        &missing[..3.min(missing.len())]
    );
    assert_eq!(code, Some(if reported > 0 { 3 } else { 130 }));
}

#[test]
fn nothing_is_read_while_it_cannot_be_stored() {
    let (server, directory) = (Server::start(1), Directory::new());
    let spool = directory.path().join("spool");
    let path = spool.to_str().unwrap();
    let mut child = server.spawn(&[
        "put", "clicks", "--lines", "--key", "fixed:k", "--spool", path, "--wait",
    ]);
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "line 0").unwrap();
    server.wait_for_records("shardId-000000000000", 1);
    fs::remove_dir_all(&spool).unwrap();
    for number in 1..100 {
        writeln!(stdin, "line {number}").unwrap();
    }
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines.find(|line| {
        line.as_ref()
            .unwrap()
            .contains("nothing is read until the spool can be written")
    });
    assert!(told.is_some());
    // The folder comes back, and everything is stored and sent, in whatever order.
    fs::create_dir(&spool).unwrap();
    drop(stdin);
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    assert_eq!(delivered(&server), expected(0..100));
}
