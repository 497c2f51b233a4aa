//! Kills a process that writes a log, at any moment, again and again.
//!
//! `KPL_KILLS=200` kills it this often.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use kpl_spool::{Cursor, Directory, Durability, Item, Log, Options};

const FOLDER: &str = "KPL_SPOOL_TEST_FOLDER";

fn open(folder: &Path, durability: Durability) -> Log<Directory> {
    let mut options = Options::default();
    options.durability = durability;
    options.segment_bytes = 20_000;
    for _ in 0..10_000 {
        match Directory::open(folder) {
            Ok(directory) => return Log::open(directory, options).unwrap(),
            // A process that the other test starts has the files of this one for a moment, and with them the lock.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{} stays locked", folder.display());
}

/// Returns the texts of all records that are pending, and settles them.
fn take_all(log: &mut Log<Directory>) -> Vec<String> {
    let (mut cursor, mut texts) = (Cursor::default(), Vec::new());
    loop {
        let items = log.read(&mut cursor, 10_000).unwrap();
        if items.is_empty() {
            log.commit().unwrap();
            return texts;
        }
        for item in items {
            match item {
                Item::Record { number, data } => {
                    log.settle(number);
                    texts.push(String::from_utf8(data).unwrap());
                }
                Item::Lost { numbers, .. } => panic!("{numbers:?} are lost"),
            }
        }
    }
}

/// The process that is killed: it prints what was accepted.
#[test]
#[ignore = "the other test starts it"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let durability = match folder.ends_with("synced") {
        true => Durability::Synced,
        false => Durability::Written,
    };
    let mut log = open(Path::new(&folder), durability);
    let mut out = std::io::stderr();
    let (id, mut rng) = (std::process::id(), Rng::new());
    let mut count = 0u64;
    loop {
        let batch: Vec<String> = (0..rng.u64(1..20)).map(|n| format!("{id}-{:06}", count + n)).collect();
        count += batch.len() as u64;
        for text in &batch {
            log.append(text.as_bytes()).unwrap();
        }
        log.commit().unwrap();
        writeln!(out, "accepted {}", batch.join(" ")).unwrap();
    }
}

fn kill_again_and_again(name: &str, durability: Durability) {
    let folder = std::env::temp_dir().join(format!("kpl-spool-kill-{}-{name}", std::process::id()));
    let kills = std::env::var("KPL_KILLS").map_or(15, |kills| kills.parse().unwrap());
    let mut total = 0;
    for _ in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child", "--nocapture"])
            .env(FOLDER, &folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // It writes; it may be killed at any moment from here on.
        let mut accepted: Vec<String> = vec![lines.next().unwrap().unwrap()];
        let reader = thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        thread::sleep(Duration::from_micros(fastrand::u64(..30_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        accepted.extend(reader.join().unwrap());
        let accepted: BTreeSet<String> = accepted
            .iter()
            .filter_map(|line| line.strip_prefix("accepted "))
            .flat_map(|line| line.split(' ').map(String::from))
            .collect();

        let mut log = open(&folder, durability);
        let texts = take_all(&mut log);
        assert!(texts.is_sorted());
        let there: BTreeSet<String> = texts.iter().cloned().collect();
        assert_eq!(there.len(), texts.len(), "a record is there twice");
        // The last line may have been cut, and the last commit may not have been printed.
        let missing: Vec<_> = accepted
            .difference(&there)
            .filter(|text| text.len() > 7 && text.contains('-'))
            .collect();
        let cut = missing
            .iter()
            .filter(|text| there.iter().any(|there| there.starts_with(&***text)))
            .count();
        assert_eq!(missing.len(), cut, "{missing:?} were accepted and are not there");
        assert!(
            there.len() < accepted.len() + 20,
            "{} are there, {} were accepted",
            there.len(),
            accepted.len()
        );
        assert_eq!(log.pending(), 0);
        total += there.len();
    }
    println!("{total} records, {kills} kills");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_was_accepted_survives_a_killed_process() {
    kill_again_and_again("written", Durability::Written);
}

#[test]
fn what_was_synced_survives_a_killed_process() {
    kill_again_and_again("synced", Durability::Synced);
}
