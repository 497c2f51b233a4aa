//! Kills a process that sends through a spool, at any moment, again and again: what it accepted is in the stream.
//!
//! `KPL_KILLS=200` kills it this often.

#![cfg(feature = "aws")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use kpl_core::RawRecord;
use kpl_stream::Producer;
use kpl_stream::spool::{Durability, Spool, SpoolError, SpoolOutcome};
use kpl_testkit::raw;
use kpl_testkit::server::Server;

mod common;

const FOLDER: &str = "KPL_SPOOL_TEST_FOLDER";
const URL: &str = "KPL_SPOOL_TEST_URL";

/// Opens the spool. A process that another test starts has the files of this one for a moment, and with them the lock.
fn open(folder: &str, on_outcome: impl Fn(SpoolOutcome) + Send + Sync + Clone + 'static) -> Spool {
    let durability = match folder.ends_with("synced") {
        true => Durability::default(),
        false => Durability::Written,
    };
    let spool = Spool::dir(folder).durability(durability).on_outcome(on_outcome);
    let locked = |error: &SpoolError| error.kind == std::io::ErrorKind::WouldBlock;
    loop {
        match spool.clone().open() {
            Err(error) if locked(&error) => thread::sleep(Duration::from_millis(1)),
            spool => return spool.unwrap(),
        }
    }
}

/// Prints which records may be there twice.
fn tell(outcome: SpoolOutcome) {
    let text = String::from_utf8_lossy(outcome.record.data()).into_owned();
    let word = match outcome.result {
        Ok(receipt) if receipt.may_be_duplicated() => "twice",
        Ok(_) => "sent",
        Err(_) => "failed",
    };
    say(word, &text);
}

/// Writes a line at once, as a whole.
fn say(word: &str, text: &str) {
    std::io::stderr()
        .lock()
        .write_all(format!("{word} {text}\n").as_bytes())
        .unwrap();
}

async fn producer(url: &str, spool: Spool) -> Producer {
    let config = kpl_testkit::aws::config(url, "AKIDEXAMPLE").await;
    let builder = Producer::builder()
        .load_aws_config(&config)
        .spool(spool)
        .rate_limit(1_000_000);
    builder
        .record_max_buffered_time(Duration::from_millis(3))
        .build()
        .unwrap()
}

/// The process that is killed: it prints what was accepted, and what became of records.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other tests start it"]
async fn child() {
    let (Ok(folder), Ok(url)) = (std::env::var(FOLDER), std::env::var(URL)) else {
        return;
    };
    let producer = producer(&url, open(&folder, tell)).await;
    let stream = producer.stream::<RawRecord>("clicks").await.unwrap();
    let id = std::process::id();
    let mut tasks = Vec::new();
    for task in 0..4 {
        let stream = stream.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0.. {
                let text = format!("{id}-{task}-{number:06}");
                stream.spool(raw(&text, &text)).await.unwrap();
                say("accepted", &text);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn kill_again_and_again(name: &str) {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    let folder = std::env::temp_dir().join(format!("kpl-stream-kill-{}-{name}", std::process::id()));
    let path = folder.to_str().unwrap();
    let kills = std::env::var("KPL_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let (mut accepted, mut told) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child", "--nocapture"])
            .envs([(FOLDER, path), (URL, server.url())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = tokio::task::spawn_blocking(move || (lines.next().unwrap().unwrap(), lines));
        let (first, lines) = first.await.unwrap();
        // It sends; it may be killed at any moment from here on.
        let reader = thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..100_000))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for line in reader.join().unwrap().into_iter().chain([first]) {
            match line.split_once(' ') {
                Some(("accepted", text)) => drop(accepted.insert(text.to_owned())),
                Some(("twice", text)) => drop(told.insert(text.to_owned())),
                Some(("sent", _)) => {}
                _ => panic!("{line}"),
            }
        }
    }

    // The last one only sends what is left.
    let last = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let outcomes = std::sync::Arc::clone(&last);
    let spool = open(path, move |outcome| outcomes.lock().unwrap().push(outcome));
    producer(server.url(), spool)
        .await
        .close(Duration::from_secs(60))
        .await
        .unwrap();
    for outcome in last.lock().unwrap().drain(..) {
        assert!(outcome.result.unwrap().may_be_duplicated());
        told.insert(String::from_utf8_lossy(outcome.record.data()).into_owned());
    }

    let mut there: BTreeMap<String, usize> = BTreeMap::new();
    for record in common::read::<RawRecord>(&server, "clicks").await {
        *there
            .entry(String::from_utf8_lossy(&record.value.data).into_owned())
            .or_default() += 1;
    }
    let missing: Vec<_> = accepted.iter().filter(|text| !there.contains_key(*text)).collect();
    assert!(missing.is_empty(), "{missing:?} were accepted and are not there");
    let twice: Vec<_> = there.iter().filter(|(_, count)| **count > 1).collect();
    let untold: Vec<_> = twice.iter().filter(|(text, _)| !told.contains(*text)).collect();
    assert!(untold.is_empty(), "{untold:?} are there twice, and it was not told");
    println!(
        "{kills} kills, {} accepted, {} there, {} of them more than once, {} told",
        accepted.len(),
        there.len(),
        twice.len(),
        told.len()
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_delivered_after_kills() {
    kill_again_and_again("written").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_synced_is_delivered_after_kills() {
    kill_again_and_again("synced").await;
}
