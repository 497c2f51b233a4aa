//! The user records that a dictionary is trained with, and those that are held out.

use kpl_core::{Deaggregator, RawRecord};

use crate::compression::Compression;
use crate::decompress::{Dictionaries, Limit, NotDecompressed, open};
use crate::draw;
use crate::input::{self, Entry, Sink};
use crate::problems::{Location, Problems, Stop, tell};
use crate::user_records::{self, not_an_aggregate};

/// One of this many user records is held out.
const HELD_OUT: usize = 5;

/// Of longer data only the start is kept, as `zstd --train` does it: short data is what a dictionary is for.
const LONGEST: usize = 128 << 10;

#[derive(Debug)]
pub(super) struct Samples<'p> {
    /// The data that is trained with, one after the other.
    pub(super) training: Vec<u8>,
    pub(super) sizes: Vec<usize>,
    pub(super) held_out: Vec<RawRecord>,
    /// How many user records there are, with those that are held out.
    pub(super) count: usize,
    pub(super) problems: &'p mut Problems,
    max_count: usize,
    bytes: usize,
    max_bytes: usize,
    /// How many were compressed.
    compressed: u64,
    /// How many are longer than [`LONGEST`].
    cut: u64,
    dictionaries: Dictionaries,
    reached: Option<Reached>,
}

/// The limit that ended the reading.
#[derive(Clone, Copy, Debug)]
enum Reached {
    Count,
    Bytes,
}

impl<'p> Samples<'p> {
    pub(super) fn new(
        max_count: usize,
        max_bytes: usize,
        dictionaries: Dictionaries,
        problems: &'p mut Problems,
    ) -> Self {
        Self {
            training: Vec::new(),
            sizes: Vec::new(),
            held_out: Vec::new(),
            count: 0,
            problems,
            max_count,
            bytes: 0,
            max_bytes,
            compressed: 0,
            cut: 0,
            dictionaries,
            reached: None,
        }
    }

    /// Takes a user record. It is an end, and not an error, if there are enough.
    pub(super) fn add(&mut self, location: Location<'_>, key: Option<&str>, data: &[u8]) -> Result<(), Stop> {
        // A stream may ignore partition keys; an aggregated record needs one.
        let key = key.filter(|key| !key.is_empty()).unwrap_or("-");
        let left = self.max_bytes.saturating_sub(self.bytes);
        let plain = match Compression::of(data) {
            Some(compression) => {
                let limit = Limit {
                    bytes: left,
                    name: "which is what is left of --max-bytes",
                };
                match open(compression, data, limit, &self.dictionaries) {
                    Ok(plain) => plain,
                    // A record that takes most of what may be read is an exception, and others may follow.
                    Err(NotDecompressed::TooLarge { .. }) if left < self.max_bytes / 2 => {
                        return Err(self.end(Reached::Bytes));
                    }
                    Err(problem) => return self.problems.left_out(location, problem),
                }
            }
            None => data.into(),
        };
        let data = plain.data.get(..LONGEST).unwrap_or(&plain.data);
        let bytes = data.len() + key.len();
        if bytes > left {
            return Err(self.end(Reached::Bytes));
        }
        if data.is_empty() {
            return Ok(());
        }
        self.bytes += bytes;
        self.compressed += u64::from(plain.compression.is_some());
        self.cut += u64::from(data.len() < plain.data.len());
        self.count += 1;
        if self.count.is_multiple_of(HELD_OUT) {
            self.held_out.push(RawRecord::new(key, data));
        } else {
            self.training.extend_from_slice(data);
            self.sizes.push(data.len());
        }
        if self.count >= self.max_count {
            return Err(self.end(Reached::Count));
        }
        Ok(())
    }

    fn end(&mut self, reached: Reached) -> Stop {
        self.reached = Some(reached);
        Stop::Enough
    }

    /// Says what ended the reading, and what was done to some of them.
    pub(super) fn tell(&self) {
        let records = draw::count(self.count as u64, "user record");
        match self.reached {
            Some(Reached::Count) => tell(format_args!("the reading ended after {records}, the limit of --count")),
            Some(Reached::Bytes) => tell(format_args!(
                "the reading ended after {records}: with the next one there would be more than {}, the limit of --max-bytes",
                draw::count(self.max_bytes as u64, "byte")
            )),
            None => {}
        }
        if self.cut > 0 {
            let longest = draw::thousands(LONGEST as u64);
            let (records, of) = match self.cut {
                1 => ("1 user record is".to_owned(), "it"),
                cut => (format!("{} user records are", draw::thousands(cut)), "each of them"),
            };
            tell(format_args!(
                "{records} longer than {longest} bytes; only the start of {of} is used and counted"
            ));
        }
        if self.compressed > 0 {
            let records = draw::count(self.compressed, "user record");
            let were = if self.compressed == 1 { "was" } else { "were" };
            tell(format_args!(
                "{records} {were} compressed; their data is trained with as it was before"
            ));
        }
    }
}

impl Sink for Samples<'_> {
    fn batch(&mut self, file: &str, entries: &mut Vec<Entry>) -> Result<(), Stop> {
        user_records::each(&Deaggregator::new(), entries, |_, entry, record| match record {
            Ok(record) => {
                let user_record = record.aggregated.then_some(record.sub_sequence_number);
                let location = entry.full_location(file, user_record);
                match record.malformed {
                    Some(reason) => self.problems.left_out(location, not_an_aggregate(reason)),
                    None => self.add(location, record.partition_key, record.data),
                }
            }
            Err(error) => {
                let location = entry.full_location(file, Some(error.sub_sequence_number()));
                self.add(location, error.partition_key(), error.data())
            }
        })
        .map(drop)
    }

    fn user_record(&mut self, file: &str, record: input::UserRecord) -> Result<(), Stop> {
        self.add(
            record.location(file),
            record.entry.partition_key.as_deref(),
            &record.entry.data,
        )
    }

    fn unreadable(&mut self, location: Location<'_>, problem: &str) -> Result<(), Stop> {
        self.problems.left_out(location, problem)
    }

    fn caught_up(&mut self) -> Result<(), Stop> {
        Ok(())
    }
}
