//! A log in a real folder.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use kpl_spool::{AppendError, Cursor, Directory, Item, Log, OpenError, Options};
use proptest::prelude::*;

/// A folder that ends with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("kpl-spool-test-{}-{number}", std::process::id())))
    }

    fn open(&self, options: &Options) -> Log<Directory> {
        Log::open(Directory::open(&self.0).unwrap(), options.clone()).unwrap()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.0).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn small_segments() -> Options {
    let mut options = Options::default();
    options.segment_bytes = 1000;
    options
}

/// Reads everything, a few bytes at a time.
fn read_all(log: &mut Log<Directory>) -> (Vec<Vec<u8>>, u64) {
    let (mut cursor, mut records, mut lost) = (Cursor::default(), Vec::new(), 0);
    loop {
        let items = log.read(&mut cursor, 1).unwrap();
        if items.is_empty() {
            return (records, lost);
        }
        for item in items {
            match item {
                Item::Record { data, .. } => records.push(data),
                Item::Lost { numbers, .. } => lost += numbers.end - numbers.start,
            }
        }
    }
}

fn fill(log: &mut Log<Directory>, count: u8) {
    for number in 0..count {
        log.append(&[number; 100]).unwrap();
        log.commit().unwrap();
    }
}

#[test]
fn what_another_process_writes_can_be_looked_at() {
    let folder = Folder::new();
    assert!(
        Directory::look_at(&folder.0)
            .unwrap_err()
            .to_string()
            .contains("kpl-spool-test")
    );
    let mut log = folder.open(&small_segments());
    fill(&mut log, 30);
    let files = folder.segments();
    let mut other = Log::open(Directory::look_at(&folder.0).unwrap(), small_segments()).unwrap();
    assert_eq!((other.pending(), read_all(&mut other).0.len()), (30, 30));
    for number in 0..30 {
        other.settle(number);
    }
    other.append(b"not written").unwrap();
    let error = other.commit().unwrap_err();
    assert_eq!(error.error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(folder.segments(), files);
    assert_eq!(log.pending(), 30);
}

#[test]
fn a_cursor_at_the_end_reads_what_follows() {
    let folder = Folder::new();
    let mut log = folder.open(&small_segments());
    for before in 0..25 {
        fill(&mut log, before);
        let (mut cursor, first) = (log.end(), log.next_number());
        fill(&mut log, 30);
        cursor.skip_to(first + 7);
        let mut numbers = Vec::new();
        loop {
            let items = log.read(&mut cursor, 500).unwrap();
            if items.is_empty() {
                break;
            }
            numbers.extend(items.into_iter().map(|item| match item {
                Item::Record { number, .. } => number,
                Item::Lost { numbers, .. } => panic!("{numbers:?} are lost"),
            }));
        }
        assert_eq!(numbers.first(), Some(&(first + 7)));
        assert_eq!(numbers.len(), 23);
        assert_eq!(log.first_pending(first), first);
        (0..log.next_number()).for_each(|number| log.settle(number));
        assert_eq!(log.first_pending(0), log.next_number());
        log.commit().unwrap();
    }
}

/// A folder of which some blocks cannot be read.
#[derive(Debug)]
struct BadSectors(Directory, std::ops::Range<u64>);

#[derive(Debug)]
struct BadSegment(Box<dyn kpl_spool::Segment>, std::ops::Range<u64>);

impl kpl_spool::Folder for BadSectors {
    fn list(&self) -> io::Result<Vec<(kpl_spool::SegmentName, u64)>> {
        self.0.list()
    }

    fn create(&self, name: kpl_spool::SegmentName) -> io::Result<Box<dyn kpl_spool::Segment>> {
        self.0.create(name)
    }

    fn open(&self, name: kpl_spool::SegmentName) -> io::Result<Box<dyn kpl_spool::Segment>> {
        Ok(Box::new(BadSegment(self.0.open(name)?, self.1.clone())))
    }

    fn remove(&self, name: kpl_spool::SegmentName) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl kpl_spool::Segment for BadSegment {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match offset < self.1.end && offset + buffer.len() as u64 > self.1.start {
            true => Err(io::Error::other("Input/output error")),
            false => self.0.read_at(buffer, offset),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

#[test]
fn a_sector_that_cannot_be_read_costs_the_records_in_it() {
    let folder = Folder::new();
    let mut log = folder.open(&Options::default());
    fill(&mut log, 250);
    drop(log);
    // The next one begins a segment, which is what the one after it reads first.
    let mut log = folder.open(&Options::default());
    fill(&mut log, 1);
    drop(log);
    let bad = BadSectors(Directory::open(&folder.0).unwrap(), 8192..12_288);
    let mut log = Log::open(bad, Options::default()).unwrap();
    let mut cursor = Cursor::default();
    let error = log.read(&mut cursor, 1_000_000).unwrap_err();
    assert_eq!(error.to_string(), "Input/output error");
    cursor.pass_unreadable();
    let (mut there, mut lost) = (0, 0);
    for item in log.read(&mut cursor, 1_000_000).unwrap() {
        match item {
            Item::Record { .. } => there += 1,
            Item::Lost { numbers, .. } => lost += numbers.end - numbers.start,
        }
    }
    // An entry takes 116 bytes: 4,096 bytes have a part of 36 or 37.
    assert_eq!((there + lost, there >= 251 - 37), (251, true), "{lost} are lost");
}

#[test]
fn a_record_without_an_outcome_keeps_its_own_segment_only() {
    let folder = Folder::new();
    let mut log = folder.open(&small_segments());
    fill(&mut log, 1);
    for _ in 0..10 {
        let first = log.next_number();
        fill(&mut log, 50);
        log.settle_range(first..log.next_number());
        log.commit().unwrap();
    }
    assert!(folder.segments().len() <= 4, "{:?}", folder.segments());
    assert_eq!((log.pending(), read_all(&mut log)), (1, (vec![vec![0; 100]], 0)));
    drop(log);
    let mut log = folder.open(&small_segments());
    assert_eq!((log.pending(), read_all(&mut log)), (1, (vec![vec![0; 100]], 0)));
}

#[test]
fn a_second_process_is_refused() {
    let folder = Folder::new();
    let log = folder.open(&Options::default());
    let error = Directory::open(&folder.0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(error.to_string().contains("in use by another process"));
    drop(log);
    Directory::open(&folder.0).unwrap();
}

#[test]
fn a_full_log_takes_records_again_when_others_are_settled() {
    let folder = Folder::new();
    let mut options = small_segments();
    options.max_bytes = 4000;
    let mut log = folder.open(&options);
    let mut accepted = 0;
    loop {
        match log.append(&[7; 100]) {
            Ok(_) => accepted += 1,
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                break;
            }
        }
        log.commit().unwrap();
    }
    assert!(log.bytes() <= 4000 && accepted > 25, "{accepted}");
    for number in 0..20 {
        log.settle(number);
    }
    log.commit().unwrap();
    log.append(&[7; 100]).unwrap();
    let error = log.append(&[0; 4000]).unwrap_err();
    assert_eq!(
        error,
        AppendError::TooLarge {
            size: 4016,
            limit: 4000
        }
    );
}

#[test]
fn settled_segments_are_removed() {
    let folder = Folder::new();
    let mut log = folder.open(&small_segments());
    fill(&mut log, 100);
    assert!(folder.segments().len() > 10);
    for number in 0..200 {
        log.settle(number);
    }
    log.commit().unwrap();
    assert_eq!(folder.segments().len(), 1);
    drop(log);
    let mut log = folder.open(&small_segments());
    assert_eq!(log.pending(), 0);
    assert_eq!(read_all(&mut log), (vec![], 0));
}

#[test]
fn a_folder_that_is_removed_accepts_nothing() {
    let folder = Folder::new();
    let mut log = folder.open(&Options::default());
    fill(&mut log, 1);
    fs::remove_dir_all(&folder.0).unwrap();
    let number = log.append(b"lost?").unwrap();
    let error = log.commit().unwrap_err();
    assert_eq!(error.numbers, number..number + 1);
    assert_eq!(error.error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_later_version_is_refused() {
    let folder = Folder::new();
    fill(&mut folder.open(&Options::default()), 1);
    let segment = folder.segments().remove(0);
    // A segment as the next version would write it: its checksum is right.
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8] = 2;
    let salt = segment
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .split_once('-')
        .unwrap()
        .1;
    let salt = u64::from_str_radix(salt, 16).unwrap();
    let place = [0, salt, 0].map(u64::to_le_bytes).concat();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&place), &bytes[..12]);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    fs::write(&segment, bytes).unwrap();
    let error = Log::open(Directory::open(&folder.0).unwrap(), Options::default()).unwrap_err();
    assert!(
        matches!(error, OpenError::Version { segment: 0, version: 2 }),
        "{error}"
    );
}

#[test]
fn a_segment_that_was_cut_keeps_what_is_left() {
    let folder = Folder::new();
    let mut log = folder.open(&Options::default());
    fill(&mut log, 3);
    let segment = folder.segments().remove(0);
    let size = fs::metadata(&segment).unwrap().len();
    // Another program cuts the last record while the log is open.
    fs::OpenOptions::new()
        .write(true)
        .open(&segment)
        .unwrap()
        .set_len(size - 50)
        .unwrap();
    assert_eq!(read_all(&mut log), (vec![vec![0; 100], vec![1; 100]], 1));
}

#[test]
fn other_files_are_left_alone() {
    let folder = Folder::new();
    fill(&mut folder.open(&Options::default()), 1);
    for name in [
        "1.kplspool",
        "18446744073709551615-0000000000000000.kplspool",
        "00000000000000000007.kplspool",
        "0000000000000000000x-0000000000000000.kplspool",
        "notes.txt",
    ] {
        fs::write(folder.0.join(name), "not a segment").unwrap();
    }
    assert_eq!(read_all(&mut folder.open(&Options::default())), (vec![vec![0; 100]], 0));
    assert!(Path::new(&folder.0.join("notes.txt")).exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written over a part of a segment, only the records in that part are lost, and those that are lost are told.
    #[test]
    fn damage_costs_what_it_touches(at in any::<prop::sample::Index>(), size in 1usize..200, byte: u8, which in any::<prop::sample::Index>()) {
        let folder = Folder::new();
        fill(&mut folder.open(&small_segments()), 40);
        let segments = folder.segments();
        let segment = which.get(&segments);
        let mut bytes = fs::read(segment).unwrap();
        let start = at.index(bytes.len());
        let end = (start + size).min(bytes.len());
        let changed = bytes[start..end].iter().filter(|old| **old != byte).count();
        bytes[start..end].fill(byte);
        fs::write(segment, &bytes).unwrap();

        let mut log = folder.open(&small_segments());
        let (records, lost) = read_all(&mut log);
        for data in &records {
            prop_assert!(data.len() == 100 && data.iter().all(|byte| *byte == data[0]));
        }
        prop_assert!(records.is_sorted());
        let is_newest = segment == segments.last().unwrap();
        let missing = 40 - records.len();
        prop_assert!(missing <= size / 116 + 2, "{} are missing after {} bytes", missing, size);
        if changed == 0 {
            prop_assert_eq!(missing, 0);
        }
        // At the end of the newest segment, damage looks like what a crash leaves of records that were not committed.
        if !is_newest {
            prop_assert_eq!(missing as u64, lost);
        }
    }

    /// A record whose data is a segment does not become records. After 48 bytes, the copy stands where the bytes were in its own segment.
    #[test]
    fn a_copy_of_a_segment_is_not_one(cut in prop_oneof![0usize..50, Just(48)], torn: bool) {
        let folder = Folder::new();
        fill(&mut folder.open(&Options::default()), 3);
        let copy = fs::read(&folder.segments()[0]).unwrap();
        let other = Folder::new();
        let mut log = other.open(&Options::default());
        log.append(&copy[cut..]).unwrap();
        log.append(b"next").unwrap();
        log.commit().unwrap();
        drop(log);
        let segment = other.segments().remove(0);
        let mut bytes = fs::read(&segment).unwrap();
        // The head of the first record: what follows is searched for the next valid entry.
        if torn {
            bytes[34] ^= 1;
        }
        fs::write(&segment, bytes).unwrap();
        let (records, lost) = read_all(&mut other.open(&Options::default()));
        prop_assert_eq!(records.len() as u64 + lost, 2);
        prop_assert_eq!(records.last().map(Vec::as_slice), Some(&b"next"[..]));
    }
}
