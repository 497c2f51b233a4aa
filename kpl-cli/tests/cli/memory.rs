//! Memory does not grow with the input.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::process::{Child, Stdio};
use std::thread;

use data_encoding::BASE64;
use flate2::write::GzEncoder;
use kpl_core::{Aggregator, RawRecord};
use kpl_testkit::bytes::sealed;

use crate::support::{Directory, command};

/// Returns the most memory that a process has held so far, in KiB, without the pages of its executable: how many of those are
/// in memory depends on how it was linked.
pub(crate) fn peak_memory(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let kibibytes = |key: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    kibibytes("VmHWM:")?.checked_sub(kibibytes("RssFile:")?)
}

/// Runs `kpl` on what `write` writes. Returns how many lines came out, and its peak memory in KiB when it had seen nearly all
/// of the input.
fn run(arguments: &[&str], write: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + 'static) -> (u64, u64) {
    let mut child = command()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    let stdout = child.stdout.take().unwrap();
    let lines = thread::spawn(move || {
        let (mut reader, mut count) = (BufReader::with_capacity(1 << 20, stdout), 0);
        while reader.skip_until(b'\n').unwrap() > 0 {
            count += 1;
        }
        count
    });
    let mut stdin = std::io::BufWriter::with_capacity(1 << 20, stdin);
    write(&mut stdin).unwrap();
    stdin.flush().unwrap();
    // All but what a pipe holds was read now, and it waits for more.
    let peak = peak_memory(&child).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    (lines.join().unwrap(), peak)
}

/// An aggregate of a thousand small user records, in base64.
fn a_thousand() -> String {
    let records = vec![RawRecord::new("k", b"x"); 1000];
    let sealed = Aggregator::<RawRecord>::new()
        .aggregate(&records)
        .next()
        .unwrap()
        .unwrap();
    BASE64.encode(&sealed.data)
}

const LIMIT: u64 = 4 * 1024;

#[test]
fn a_million_user_records_in_one_array() {
    let data = a_thousand();
    let (lines, peak) = run(&["deaggregate"], move |out| {
        writeln!(out, "{{\"Records\": [")?;
        for number in 0..1000 {
            let comma = if number == 0 { "" } else { "," };
            writeln!(
                out,
                "{comma}{{\"SequenceNumber\":\"{number}\",\"Data\":\"{data}\",\"PartitionKey\":\"k\"}}"
            )?;
        }
        write!(out, "],\"MillisBehindLatest\":0}}")
    });
    assert_eq!(lines, 1_000_000);
    assert!(peak < LIMIT, "{peak} KiB");
}

#[test]
fn hundred_thousand_lines_of_each_command() {
    let data = a_thousand();
    let (_, peak) = run(&["stats", "--max-size", "51200", "--output", "json"], {
        move |out| (0..100).try_for_each(|_| writeln!(out, "{{\"Data\":\"{data}\"}}"))
    });
    assert!(peak < LIMIT, "{peak} KiB");
    let (lines, peak) = run(&["aggregate", "--max-count", "1000"], |out| {
        let key = "k".repeat(200);
        (0..100_000).try_for_each(|number| writeln!(out, "{{\"Data\":\"AAAA\",\"PartitionKey\":\"{key}{number}\"}}"))
    });
    assert!((100..1_000).contains(&lines), "{lines}");
    assert!(peak < LIMIT, "{peak} KiB");
}

#[test]
fn bombs_are_never_in_memory() {
    let mut bomb = GzEncoder::new(Vec::new(), flate2::Compression::default());
    bomb.write_all(&vec![0; 16 << 20]).unwrap();
    let bomb = BASE64.encode(&bomb.finish().unwrap());
    let arguments = ["deaggregate", "--decompress", "--max-decompressed", "100000"];
    let (lines, peak) = run(&arguments, move |out| {
        (0..10).try_for_each(|_| writeln!(out, "{{\"Data\":\"{bomb}\"}}"))
    });
    assert_eq!(lines, 10);
    assert!(peak < LIMIT, "{peak} KiB");
}

#[test]
fn what_is_passed_over_takes_no_memory() {
    let (lines, peak) = run(&["deaggregate"], |out| {
        let filler = [b' '; 1 << 20];
        (0..12).try_for_each(|_| out.write_all(&filler))?;
        write!(out, "{{\"Other\":\"")?;
        (0..12).try_for_each(|_| out.write_all(&filler))?;
        write!(out, "\",\"Data\":\"AAAA\"}}")
    });
    assert_eq!(lines, 1);
    assert!(peak < LIMIT, "{peak} KiB");
}

/// The most bytes of memory that `kpl inspect` may take for each byte of an aggregated record.
const TIMES: u64 = 5;

/// Aggregated records of 4 MB, most of which is one thing as often as it fits, and one with data of 10 MB.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    const SIZE: usize = 4_000_000;
    const DATA: usize = 10_000_000;
    let of = |start: &[u8], unit: &[u8]| sealed([start, &unit.repeat(SIZE / unit.len())].concat());
    let varint = |number: usize| {
        let bits = |place: usize| (number >> (7 * place) & 0x7F) as u8;
        [bits(0) | 0x80, bits(1) | 0x80, bits(2) | 0x80, bits(3)]
    };
    let one_record = |fields: &[u8]| sealed([b"\x0A\x01a\x1A", &varint(fields.len())[..], fields].concat());
    // As many explicit hash keys as user records, each of which refers to another one, and none is valid.
    let count = SIZE / 12;
    let references: Vec<u8> = (0..count)
        .flat_map(|index| [&b"\x1A\x09\x08\x00\x10"[..], &varint(index), b"\x1A\x00"].concat())
        .collect();
    let distinct = [b"\x12\x00".repeat(count), b"\x0A\x01a".to_vec(), references].concat();
    vec![
        ("user records", of(b"\x0A\x01a", b"\x1A\x04\x08\x00\x1A\x00")),
        ("keys", of(b"", b"\x0A\x00")),
        ("explicit hash keys", of(b"", b"\x12\x00")),
        ("references", sealed(&distinct)),
        ("unknown fields", of(b"\x0A\x01a", b"\x22\x00")),
        (
            "tags",
            one_record(&[b"\x08\x00\x1A\x00", &b"\x22\x03\x0A\x01t".repeat(SIZE / 5)[..]].concat()),
        ),
        (
            "data",
            one_record(&[b"\x08\x00\x1A", &varint(DATA)[..], &vec![0xFF; DATA]].concat()),
        ),
    ]
}

/// Returns the most memory in KiB that `kpl inspect` has held when it has written the first megabytes.
fn inspected(file: &str) -> u64 {
    let mut child = command()
        .args(["inspect", "--output", "json", file])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut peak, mut buffer) = (child.stdout.take().unwrap(), 0, vec![0; 64 * 1024]);
    for _ in 0..64 {
        if stdout.read(&mut buffer).unwrap() == 0 {
            break;
        }
        // It waits, or has ended.
        peak = peak_memory(&child).unwrap_or(peak).max(peak);
    }
    drop(stdout);
    child.wait().unwrap();
    assert!(peak > 0);
    peak
}

#[test]
fn inspecting_a_hostile_aggregate_takes_five_times_its_size_at_most() {
    let directory = Directory::new();
    for (name, bytes) in hostile() {
        let limit = TIMES * bytes.len() as u64 / 1024;
        let input = match name {
            "data" => format!("{{\"Data\":\"{}\"}}\n", BASE64.encode(&bytes)).into_bytes(),
            _ => bytes,
        };
        let peak = inspected(&directory.file("input", input));
        assert!(peak < limit, "{name}: {peak} KiB, at most {limit}");
    }
}
