//! The check of the fuzz target `spool_segment`: a log of kpl-spool whose segments are damaged in any way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kpl_spool::{Cursor, Folder, Item, Log, Options, Segment, SegmentName};

/// How many segments and records there are before the damage, at the most.
const SEGMENTS: usize = 3;
const RECORDS: usize = 64;
/// How long a record is, at the most.
const LONGEST: usize = 4096;
/// The sizes of the header of a segment, and of what is before the data of an entry.
const HEADER: usize = 16;
const HEAD: usize = 16;

/// Builds a log, changes the bytes of its segments, and reads it: what is not damaged is read, each record at most once and as it was
/// appended, and the log can be used on.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn spool_segment(data: &[u8]) {
    let mut input = Input { rest: data };
    let memory = Memory::default();
    let mut options = Options::default();
    options.segment_bytes = [64, 300, 2_000, 1 << 20][input.below(4)];
    let max_bytes = [1, 100, 10_000][input.below(3)];
    let is_open = input.flag();
    let mut model = Model::build(&mut input, &memory, &options);

    let before = memory.lock().clone();
    let opened_before = is_open.then(|| open(&memory, &options));
    damage(&mut input, &mut memory.lock());
    let after = memory.lock().clone();
    let mut log = opened_before.unwrap_or_else(|| open(&memory, &options));
    let read = read_all(&mut log, max_bytes);
    model.check(&read, &model.intact(&before, &after));
    let known = match is_open {
        true => model.settled.clone(),
        false => outcomes(&before, &after),
    };
    let is_known = |number| known.contains(number);
    assert!(!read.keys().any(is_known), "a record is read after it was settled");

    // The log goes on, maybe in another process.
    let (settled, mut left): (BTreeSet<u64>, BTreeSet<u64>) = read.keys().partition(|_| input.flag());
    for number in settled {
        log.settle(number);
    }
    if input.flag() {
        log.commit().expect("memory does not fail");
        drop(log);
        log = open(&memory, &options);
    }
    for _ in 0..=input.below(4) {
        let number = model.append(&mut input, &memory, &mut log);
        assert!(!read.contains_key(&number), "{number} is the number of two records");
        left.insert(number);
    }
    log.commit().expect("memory does not fail");
    drop(log);
    let again = read_all(&mut open(&memory, &options), max_bytes);
    assert!(
        again.keys().eq(&left),
        "{:?} are read, {left:?} are pending",
        again.keys()
    );
    model.check(&again, &BTreeSet::new());
}

/// What is known of the log.
#[derive(Default)]
struct Model {
    appended: BTreeMap<u64, Vec<u8>>,
    /// Those whose outcomes were committed.
    settled: BTreeSet<u64>,
}

impl Model {
    fn build(input: &mut Input<'_>, memory: &Memory, options: &Options) -> Self {
        let mut model = Self::default();
        let mut log = open(memory, options);
        let mut unsaved = BTreeSet::new();
        while !input.rest.is_empty() && model.appended.len() < RECORDS && memory.lock().len() < SEGMENTS {
            match input.below(16) {
                0..8 => drop(model.append(input, memory, &mut log)),
                8..11 => log.commit().expect("memory does not fail"),
                11..13 => {
                    let place = input.below(model.appended.len().max(1));
                    if let Some(&number) = model.appended.keys().nth(place) {
                        log.settle(number);
                        unsaved.insert(number);
                    }
                }
                // A process that opens the log begins another segment.
                13 | 14 => {
                    log.commit().expect("memory does not fail");
                    drop(log);
                    log = open(memory, options);
                }
                _ => break,
            }
        }
        log.commit().expect("memory does not fail");
        model.settled = unsaved;
        model
    }

    fn append(&mut self, input: &mut Input<'_>, memory: &Memory, log: &mut Log<Memory>) -> u64 {
        let data = match input.below(8) {
            // A part of a segment. Its entries are not entries of the log.
            7 => {
                let segment = memory.lock().values().next().cloned().unwrap_or_default();
                let from = input.below(64).min(segment.len());
                segment[from..].iter().copied().take(LONGEST).collect()
            }
            size => vec![input.byte(); [0, 1, 8, 16, 100, 500, LONGEST][size]],
        };
        let number = log.append(&data).expect("room");
        self.appended.insert(number, data);
        number
    }

    /// Returns the records whose bytes are where they were.
    fn intact(&self, before: &Contents, after: &Contents) -> BTreeSet<u64> {
        let mut intact = BTreeSet::new();
        for (name, bytes) in before {
            for entry in entries(bytes).into_iter().filter(|entry| entry.kind == 0) {
                let number = name.first + u64::from(entry.index);
                let data = bytes.get(entry.data.clone());
                assert_eq!(
                    self.appended.get(&number).map(Vec::as_slice),
                    data,
                    "record {number} is written as another"
                );
                if entry.is_intact(bytes, &after[name]) {
                    intact.insert(number);
                }
            }
        }
        intact
    }

    fn check(&self, read: &BTreeMap<u64, Vec<u8>>, intact: &BTreeSet<u64>) {
        for (number, data) in read {
            assert_eq!(self.appended.get(number), Some(data), "record {number} has changed");
        }
        for number in intact.difference(&self.settled) {
            assert!(read.contains_key(number), "record {number} is intact and is not read");
        }
    }
}

/// Returns the numbers that have outcomes in entries whose bytes are where they were.
fn outcomes(before: &Contents, after: &Contents) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    for (name, bytes) in before {
        let entries = entries(bytes).into_iter().filter(|entry| entry.kind != 0);
        for entry in entries.filter(|entry| entry.is_intact(bytes, &after[name])) {
            let (ranges, _) = bytes[entry.data].as_chunks::<8>();
            for range in ranges.chunks_exact(2) {
                numbers.extend(u64::from_le_bytes(range[0])..u64::from_le_bytes(range[1]));
            }
        }
    }
    numbers
}

/// An entry of a segment, as the format describes it.
struct Entry {
    kind: u32,
    index: u32,
    start: usize,
    data: Range<usize>,
}

impl Entry {
    fn is_intact(&self, before: &[u8], after: &[u8]) -> bool {
        let place = self.start..self.data.end;
        after.get(place.clone()) == before.get(place)
    }
}

/// Returns the entries of a segment that is not damaged.
fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut start = HEADER;
    while let Some(head) = bytes.get(start..start + HEAD) {
        let field = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (kind, length) = (field(0) >> 30, (field(0) & (u32::MAX >> 2)) as usize);
        let data = start + HEAD..start + HEAD + length;
        let (index, end) = (field(4), data.end);
        entries.push(Entry {
            kind,
            index,
            start,
            data,
        });
        start = end;
    }
    assert_eq!(start, bytes.len(), "a segment ends within an entry");
    entries
}

fn open(memory: &Memory, options: &Options) -> Log<Memory> {
    Log::open(memory.clone(), options.clone()).expect("a log opens however it is damaged")
}

/// Reads all records. They come in order, and none of them is also said to be lost.
fn read_all(log: &mut Log<Memory>, max_bytes: usize) -> BTreeMap<u64, Vec<u8>> {
    let (mut cursor, mut next, mut records) = (Cursor::default(), 0, BTreeMap::new());
    loop {
        let items = log.read(&mut cursor, max_bytes).expect("memory does not fail");
        if items.is_empty() {
            break;
        }
        for item in items {
            let numbers = match item {
                Item::Record { number, data } => {
                    records.insert(number, data);
                    number..number + 1
                }
                Item::Lost { numbers, .. } => numbers,
            };
            assert!(
                numbers.start >= next && !numbers.is_empty(),
                "{numbers:?} come after {next}"
            );
            next = numbers.end;
        }
    }
    assert_eq!(
        log.pending(),
        records.len() as u64,
        "other records are pending than those that are read"
    );
    records
}

/// Changes the segments.
fn damage(input: &mut Input<'_>, segments: &mut Contents) {
    let names: Vec<SegmentName> = segments.keys().copied().collect();
    let before = segments.clone();
    while !input.rest.is_empty() && !names.is_empty() {
        let name = names[input.below(names.len())];
        let mut bytes = segments[&name].clone();
        let at = input.below(bytes.len().max(1)).min(bytes.len());
        match input.below(14) {
            0..5 => {
                let change = input.byte();
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= change);
            }
            5 => bytes.truncate(at),
            6 => {
                let end = (at + input.below(600)).min(bytes.len());
                bytes[at..end].fill(input.byte());
            }
            // A part of a segment in the place of another.
            7 => {
                let from = &segments[&names[input.below(names.len())]];
                let start = input.below(from.len().max(1)).min(from.len());
                let length = input.below(600).min(from.len() - start).min(bytes.len() - at);
                bytes[at..at + length].copy_from_slice(&from[start..start + length]);
            }
            8 => drop(bytes.splice(at..at, input.bytes())),
            9 => {
                let end = (at + input.below(300)).min(bytes.len());
                bytes.drain(at..end);
            }
            // The content of two segments changes places.
            10 => {
                let other = names[input.below(names.len())];
                bytes = segments.insert(other, bytes).unwrap_or_default();
            }
            11 => bytes = input.bytes(),
            // An entry in the place of another.
            _ => {
                let from = &before[&names[input.below(names.len())]];
                let (entries, places) = (entries(from), entries(&before[&name]));
                let entry = &entries[input.below(entries.len())];
                let to = places[input.below(places.len())].start;
                let copy = &from[entry.start..entry.data.end];
                bytes.resize(bytes.len().max(to + copy.len()), 0);
                bytes[to..to + copy.len()].copy_from_slice(copy);
            }
        }
        segments.insert(name, bytes);
    }
}

/// The remaining bytes. If there are none, every value is 0 or false.
struct Input<'a> {
    rest: &'a [u8],
}

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn below(&mut self, limit: usize) -> usize {
        let low = usize::from(self.byte());
        let number = match limit > 256 {
            true => low << 8 | usize::from(self.byte()),
            false => low,
        };
        number % limit
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.rest.len());
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        bytes.to_vec()
    }
}

type Contents = BTreeMap<SegmentName, Vec<u8>>;

/// A folder that never fails.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Contents>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: SegmentName) -> Box<dyn Segment> {
        let memory = self.clone();
        Box::new(File { memory, name })
    }
}

impl Folder for Memory {
    fn list(&self) -> io::Result<Vec<(SegmentName, u64)>> {
        let size = |(name, bytes): (&SegmentName, &Vec<u8>)| (*name, bytes.len() as u64);
        Ok(self.lock().iter().map(size).collect())
    }

    fn create(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
        let mut segments = self.lock();
        let is_new = segments.keys().all(|other| other.first != name.first);
        assert!(is_new, "segment {name:?} is created twice");
        segments.insert(name, Vec::new());
        Ok(self.file(name))
    }

    fn open(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
        match self.lock().contains_key(&name) {
            true => Ok(self.file(name)),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        let removed = self.lock().remove(&name);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct File {
    memory: Memory,
    name: SegmentName,
}

impl File {
    fn with<R>(&self, f: impl FnOnce(&mut Vec<u8>) -> R) -> io::Result<R> {
        let mut segments = self.memory.lock();
        let bytes = segments.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?;
        Ok(f(bytes))
    }
}

impl Segment for File {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|bytes| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let read = buffer.len().min(bytes.len() - from);
            buffer[..read].copy_from_slice(&bytes[from..from + read]);
            read
        })
    }

    fn append(&mut self, new: &[u8]) -> io::Result<()> {
        self.with(|bytes| bytes.extend_from_slice(new))
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|bytes| bytes.len() as u64)
    }
}
