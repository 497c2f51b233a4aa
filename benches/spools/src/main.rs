//! kpl-spool beside other stores on disk. This prints a Markdown table, in some minutes, with 3 GB of room on the disk of the folder:
//!
//! ```text
//! cargo run --release --manifest-path benches/spools/Cargo.toml -- FOLDER [RECORDS [ROUNDS]]
//! ```
//!
//! Each store is opened in a process of its own. Records are of 100 bytes: a number, and random bytes. They are appended by one thread for
//! 10 ms, then committed, and so on.
#![forbid(unsafe_code)]

mod records;
mod stores;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Instant;

use crate::records::{LEN, Records, number_of, record};
use crate::stores::{STORES, Store};

/// How many records are read at once: about 1 MB.
const READ: usize = 10_000;
/// How many records there are when a byte is flipped.
const FLIPPED: u64 = 1_000_000;
/// The records whose bytes are flipped: an old one, and a new one.
const AT: [u64; 2] = [FLIPPED / 4, FLIPPED * 9 / 10];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["child", job, store, folder, mode, count] => {
            println!(
                "{}",
                child(job, store, Path::new(folder), mode, count.parse().expect("a number"))
            );
            // As if it was killed: nothing is closed.
            process::exit(0);
        }
        [folder, ref rest @ ..] if rest.len() <= 2 => {
            let number =
                |place: usize, default| rest.get(place).map_or(default, |text| text.parse().expect("a number"));
            compare(Path::new(folder), number(0, 10_000_000), number(1, 3));
        }
        _ => {
            eprintln!("usage: spools FOLDER [RECORDS [ROUNDS]]");
            process::exit(2);
        }
    }
}

/// Does one job on a store in this process, and returns its figures.
fn child(job: &str, store: &str, folder: &Path, mode: &str, count: u64) -> String {
    let started = Instant::now();
    let open = || stores::open(store, folder, mode == "synced");
    match job {
        "append" => {
            let mut store = open();
            let started = Instant::now();
            append(&mut *store, count);
            let seconds = started.elapsed().as_secs_f64();
            let memory = peak_memory();
            std::mem::forget(store);
            format!("{} {memory}", count as f64 / seconds)
        }
        "close" => {
            let mut store = open();
            append(&mut *store, count);
            drop(store);
            String::new()
        }
        "open" => {
            let mut store = open();
            let read = store.read(READ);
            let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
            assert!(
                read.iter().enumerate().all(|(n, data)| is_record(data, n as u64)),
                "other records"
            );
            assert_eq!(read.len(), READ, "missing records");
            let memory = peak_memory();
            std::mem::forget(store);
            format!("{milliseconds} {memory}")
        }
        "drain" => {
            let mut store = open();
            let started = Instant::now();
            let mut next = 0;
            while next < count {
                let read = store.read(READ);
                assert!(!read.is_empty() && is_record(&read[0], next), "a record is missing");
                next += read.len() as u64;
                store.remove(read.len());
            }
            let seconds = started.elapsed().as_secs_f64();
            drop(store);
            format!("{}", count as f64 / seconds)
        }
        "damaged" => {
            let mut store = open();
            let (mut right, mut wrong) = (0, 0);
            store.read_what_can_be(count, &mut |number, data| match is_record(data, number) {
                true => right += 1,
                false => wrong += 1,
            });
            std::mem::forget(store);
            format!("{} {wrong}", count - right - wrong)
        }
        _ => panic!("no such job"),
    }
}

fn append(store: &mut dyn Store, count: u64) {
    let mut next = 0;
    while next < count {
        let mut records = Records::new(next, count);
        store.append(&mut records);
        next = records.next;
    }
}

fn is_record(data: &[u8], number: u64) -> bool {
    number_of(data) == Some(number) && data == record(number)
}

/// Returns the most memory that this process has had, in MiB.
fn peak_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("VmHWM");
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes / 1024.0
}

/// Runs a job in a process of its own, and returns its figures: none if it failed.
fn run(job: &str, store: &str, folder: &Path, mode: &str, count: u64) -> Option<Vec<f64>> {
    let output = Command::new(std::env::current_exe().expect("a program"))
        .args(["child", job, store])
        .arg(folder)
        .args([mode, &count.to_string()])
        .output()
        .expect("a process");
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        eprintln!(
            "{store}, {job}: {}",
            error.lines().take(3).collect::<Vec<_>>().join(" ")
        );
        return None;
    }
    let figures = String::from_utf8(output.stdout).expect("text");
    eprintln!("{store}, {job}, {mode}: {}", figures.trim());
    Some(
        figures
            .split_whitespace()
            .map(|figure| figure.parse().expect("a number"))
            .collect(),
    )
}

#[derive(Default)]
struct Row {
    synced: Vec<f64>,
    written: Vec<f64>,
    memory: f64,
    bytes: f64,
    opened: f64,
    opened_memory: f64,
    drained: f64,
    damaged: Vec<String>,
}

/// A folder that ends with its name.
struct Fresh(PathBuf);

impl Fresh {
    fn new(parent: &Path) -> Self {
        let folder = parent.join(format!("spools-{}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn compare(parent: &Path, count: u64, rounds: u64) {
    let mut rows: Vec<Row> = STORES.iter().map(|_| Row::default()).collect();
    // The stores in turn, so that what else the machine does slows down all of them.
    for _ in 0..rounds {
        for (store, row) in STORES.iter().zip(&mut rows) {
            let rate = |mode| {
                let folder = Fresh::new(parent);
                run("append", store.name, &folder.0, mode, count).map(|figures| figures[0])
            };
            row.synced.extend(rate("synced"));
            if store.can_write {
                row.written.extend(rate("written"));
            }
        }
    }
    for (store, row) in STORES.iter().zip(&mut rows) {
        let folder = Fresh::new(parent);
        let Some(figures) = run("append", store.name, &folder.0, "synced", count) else {
            continue;
        };
        row.memory = figures[1];
        row.bytes = files(&folder.0).iter().map(|file| file.1).sum::<u64>() as f64 / count as f64;
        if !store.can_read {
            continue;
        }
        forget_cached(&folder.0);
        if let Some(figures) = run("open", store.name, &folder.0, "synced", count) {
            (row.opened, row.opened_memory) = (figures[0], figures[1]);
        }
        if let Some(figures) = run("drain", store.name, &folder.0, "synced", count) {
            row.drained = figures[0];
        }
        for at in AT {
            let folder = Fresh::new(parent);
            run("close", store.name, &folder.0, "synced", FLIPPED);
            let lost = match flip(&folder.0, at) {
                true => match run("damaged", store.name, &folder.0, "synced", FLIPPED) {
                    Some(figures) if figures[1] > 0.0 => format!("{} lost, {} wrong", figures[0], figures[1]),
                    Some(figures) => format!("{} lost", figures[0]),
                    None => "all".into(),
                },
                false => "not found".into(),
            };
            row.damaged.push(lost);
        }
    }
    print(&mut rows, count);
}

/// Returns the files below a folder, and how many bytes of the disk each takes.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("a file");
        let data = entry.metadata().expect("a file");
        match data.is_dir() {
            true => files.extend(self::files(&entry.path())),
            false => files.push((entry.path(), data.blocks() * 512)),
        }
    }
    files.sort();
    files
}

/// The next process reads from the disk.
fn forget_cached(folder: &Path) {
    for (file, _) in files(folder) {
        let input = format!("if={}", file.display());
        let status = Command::new("dd")
            .args([&input, "iflag=nocache", "count=0", "status=none"])
            .status();
        assert!(status.expect("dd").success(), "dd");
    }
}

/// Flips a bit in the data of a record, in the last file that has it.
fn flip(folder: &Path, number: u64) -> bool {
    let wanted = &record(number)[LEN / 2..];
    for (file, _) in files(folder).into_iter().rev() {
        let mut bytes = fs::read(&file).expect("a file");
        let Some(at) = bytes.windows(wanted.len()).position(|bytes| bytes == wanted) else {
            continue;
        };
        bytes[at] ^= 1;
        fs::write(file, bytes).expect("a file");
        return true;
    }
    false
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn print(rows: &mut [Row], count: u64) {
    let (mut synced, mut written) = (Vec::new(), Vec::new());
    for row in rows.iter_mut() {
        synced.push(median(&mut row.synced));
        written.push(median(&mut row.written));
    }
    println!(
        "| {count} records of {LEN} bytes | appended, synced, million/s | appended, written, million/s | \
         read and removed, million/s | memory, MiB | bytes on disk for a record | opened and 1 MB read, ms | memory, MiB | \
         a bit flipped in an old record | in a new one |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let rate = |figure: f64, own: f64| match figure {
        0.0 => "–".into(),
        figure => format!("{:.2} ({:.2}x)", figure / 1e6, figure / own),
    };
    let plain = |figure: f64, digits: usize| match figure {
        0.0 => "–".into(),
        figure => format!("{figure:.digits$}"),
    };
    let drained = rows[0].drained;
    for (place, (store, row)) in STORES.iter().zip(rows.iter()).enumerate() {
        let damage = |which: usize| row.damaged.get(which).map_or("–", String::as_str);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            store.name,
            rate(synced[place], synced[0]),
            rate(written[place], written[0]),
            rate(row.drained, drained),
            plain(row.memory, 0),
            plain(row.bytes, 1),
            plain(row.opened, 1),
            plain(row.opened_memory, 0),
            damage(0),
            damage(1),
        );
    }
}
