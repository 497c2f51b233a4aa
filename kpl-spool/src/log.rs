//! The log: records are appended, committed, read in order, and settled once they have an outcome.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use crate::error::{AppendError, CommitError, OpenError};
use crate::folder::{Folder, MAX_FIRST, Segment, SegmentName};
use crate::segment::{Entry, HEAD, HeaderProblem, MAX_DATA, Scan, Writer};
use crate::settled::Numbers;

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A commit survives the end of the process, however it ends: the bytes were handed to the operating system.
    Written,
    /// A commit survives a crash of the machine: the bytes are on the disk.
    #[default]
    Synced,
}

/// The options of a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What a commit survives. By default [`Durability::Synced`].
    pub durability: Durability,
    /// The most bytes that records may take on the disk. Beyond it, records are refused as [`AppendError::Full`]. By default 1 GiB.
    pub max_bytes: u64,
    /// From this size on a segment is followed by another, in bytes. Whole segments are removed, so this is about what a log
    /// without pending records takes. At most a quarter of `max_bytes`, and 4 GiB. By default 64 MiB.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            max_bytes: 1 << 30,
            segment_bytes: 64 << 20,
        }
    }
}

/// A log of records on disk. See the [crate's documentation](crate).
#[derive(Debug)]
pub struct Log<F> {
    folder: F,
    options: Options,
    /// Those that exist, from the oldest to the newest.
    segments: VecDeque<Info>,
    /// Their sizes together, in bytes.
    written: u64,
    /// What is to be written, and where. If there is none, the next record begins a segment.
    writer: Option<Writer>,
    /// The segment that is written to, once it exists.
    file: Option<Box<dyn Segment>>,
    next: u64,
    /// The records that were appended since the last commit.
    uncommitted: Range<u64>,
    /// The records that have an outcome, and the numbers that are not those of any record.
    settled: Numbers,
    /// What of it is not in a segment.
    unsaved: Numbers,
    /// How many records are not settled.
    pending: u64,
    /// The first number of the newest segment that is sure to be there. It must stay, and so must those after it. Until one is known, all
    /// stay.
    safe: Option<u64>,
    /// The segment from which [`recover`](Self::recover) has all outcomes.
    recovered: Option<SegmentName>,
}

#[derive(Debug)]
struct Info {
    name: SegmentName,
    size: u64,
}

/// What comes next in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A record that has no outcome.
    Record {
        /// Its number, for [`Log::settle`].
        number: u64,
        /// Its data.
        data: Vec<u8>,
    },
    /// Records that were damaged on the disk. They are settled.
    Lost {
        /// Their numbers.
        numbers: Range<u64>,
        /// The first number of the segment that they were in, with which its name begins.
        segment: u64,
    },
}

/// Where reading goes on. The default is the beginning of the log.
#[derive(Debug, Default)]
pub struct Cursor {
    segment: Option<(Scan, Box<dyn Segment>)>,
    /// The number of the next record.
    next: u64,
    /// A segment and an offset in it: no record from `next` on is before that.
    from: Option<(SegmentName, u64)>,
    /// Whether what the disk cannot read counts as damaged.
    passes_unreadable: bool,
}

impl Cursor {
    /// From now on, blocks of 4 KiB that the disk cannot read count as damaged: the records in them are lost, and reading goes on after them.
    /// Otherwise [`Log::read`] returns the error, and tries again with the next call.
    pub fn pass_unreadable(&mut self) {
        self.passes_unreadable = true;
    }

    /// Leaves out the records before this number.
    pub fn skip_to(&mut self, number: u64) {
        self.next = self.next.max(number);
    }
}

impl<F: Folder> Log<F> {
    /// Opens the log of a folder. This reads the newest segment, and older ones only until one states all outcomes: usually the newest does.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the folder cannot be read, or if a later version has written it.
    pub fn open(folder: F, mut options: Options) -> Result<Self, OpenError> {
        // Whole segments are removed: one must not take all the room.
        options.segment_bytes = options
            .segment_bytes
            .min(options.max_bytes / 4)
            .min(u64::from(u32::MAX));
        let mut segments: Vec<_> = folder
            .list()?
            .into_iter()
            .map(|(name, size)| Info { name, size })
            .collect();
        segments.sort_unstable_by_key(|segment| segment.name);
        let mut log = Self {
            folder,
            options,
            written: segments.iter().map(|segment| segment.size).sum(),
            segments: segments.into(),
            writer: None,
            file: None,
            next: 0,
            uncommitted: 0..0,
            settled: Numbers::default(),
            unsaved: Numbers::default(),
            pending: 0,
            safe: None,
            recovered: None,
        };
        log.recover()?;
        Ok(log)
    }

    /// Finds out which records have outcomes: from the newest segment that states all of them, and from those after it.
    fn recover(&mut self) -> Result<(), OpenError> {
        for (index, info) in self.segments.iter().enumerate().rev() {
            let mut file = self.folder.open(info.name)?;
            let mut scan = Scan::new(info.name);
            if let Some(HeaderProblem::Version(version)) = scan.header(&mut *file, info.size)? {
                return Err(OpenError::Version {
                    segment: info.name.first,
                    version,
                });
            }
            let mut end = info.name.first;
            let mut states_all = false;
            while let Some(entry) = scan.next(&mut *file, info.size)? {
                match entry {
                    Entry::Record { number, .. } => end = end.max(number.saturating_add(1)),
                    Entry::Outcomes { all, ranges } => {
                        states_all |= all;
                        for range in ranges {
                            let range = range.start..range.end.min(MAX_FIRST);
                            end = end.max(range.end);
                            self.settled.add(range);
                        }
                    }
                    Entry::Damaged(_) | Entry::Torn(_) => {}
                }
            }
            self.next = self.next.max(end);
            // The name of the next segment must be another.
            if index + 1 == self.segments.len() && self.next == info.name.first {
                self.next += 1;
                self.settled.add(info.name.first..self.next);
            }
            if states_all {
                self.recovered = Some(info.name);
                break;
            }
        }
        self.uncommitted = self.next..self.next;
        if let Some(oldest) = self.segments.front() {
            self.settled.add(0..oldest.name.first);
        }
        self.pending = self.next - self.settled.count_in(&(0..self.next));
        Ok(())
    }

    /// Appends a record, and returns its number. It is in the log once [`commit`](Self::commit) has succeeded.
    ///
    /// # Errors
    ///
    /// [`AppendError`] if it does not fit.
    pub fn append(&mut self, data: &[u8]) -> Result<u64, AppendError> {
        let size = (HEAD + data.len()) as u64;
        let limit = self.options.max_bytes.min(MAX_DATA as u64);
        if size > limit {
            return Err(AppendError::TooLarge { size, limit });
        }
        if self.bytes() + size > self.options.max_bytes && self.pending > 0 {
            return Err(AppendError::Full);
        }
        let number = self.next;
        let settled = &self.settled;
        let writer = self
            .writer
            .get_or_insert_with(|| Writer::begin(SegmentName::new(number), settled));
        // A segment has fewer entries than bytes.
        let index = u32::try_from(number - writer.name.first).map_err(|_| AppendError::Full)?;
        writer.record(index, data);
        self.next += 1;
        self.uncommitted.end = self.next;
        self.pending += 1;
        Ok(number)
    }

    /// A record has its outcome: it is not read again, also by a process that opens the log later, from the next commit on.
    pub fn settle(&mut self, number: u64) {
        self.settle_range(number..number.saturating_add(1));
    }

    /// The records with these numbers have their outcomes, as with [`settle`](Self::settle).
    pub fn settle_range(&mut self, numbers: Range<u64>) {
        let numbers = numbers.start..numbers.end.min(self.next);
        if !numbers.is_empty() {
            self.settle_all(numbers);
        }
    }

    fn settle_all(&mut self, numbers: Range<u64>) {
        self.pending -= numbers.end - numbers.start - self.settled.count_in(&numbers);
        self.settled.add(numbers.clone());
        self.unsaved.add(numbers);
    }

    /// Writes what was appended and settled since the last commit, and removes segments that are not needed any more.
    ///
    /// # Errors
    ///
    /// [`CommitError`] with the numbers of the records that are not in the log. They are settled; a process that opens the log later
    /// may find some of them all the same. Records that were settled are written by a later commit. The log can be used on: it
    /// begins another segment. Segments whose records all have outcomes are removed all the same, so that a full disk has room again.
    pub fn commit(&mut self) -> Result<(), CommitError> {
        let next = self.next;
        if !self.unsaved.is_empty() {
            match &mut self.writer {
                Some(writer) => writer.outcomes(&self.unsaved),
                None => self.writer = Some(Writer::begin(SegmentName::new(next), &self.settled)),
            }
        }
        if self.writer.as_ref().is_some_and(|writer| !writer.buffer.is_empty()) {
            if let Err(error) = self.write() {
                let error = self.abandon(error);
                self.make_safe();
                self.remove_settled();
                return Err(error);
            }
            self.unsaved.clear();
            self.uncommitted = self.next..self.next;
            self.safe = self.segments.back().map(|segment| segment.name.first);
        }
        self.remove_settled();
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let is_synced = self.is_synced();
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let (file, is_new) = match &mut self.file {
            Some(file) => (file, false),
            none => (none.insert(self.folder.create(writer.name)?), true),
        };
        file.append(&writer.buffer)?;
        if is_synced {
            file.sync()?;
            if is_new {
                self.folder.sync()?;
            }
        }
        writer.written();
        let (name, size) = (writer.name, writer.offset);
        self.note_size(name, size);
        if size >= self.options.segment_bytes {
            self.skip_name(name.first);
            (self.writer, self.file) = (None, None);
        }
        Ok(())
    }

    /// Nothing more is written to the segment: what is in it after a failure, is not known.
    fn abandon(&mut self, error: io::Error) -> CommitError {
        let file = self.file.take();
        if let Some(writer) = self.writer.take() {
            self.skip_name(writer.name.first);
            // It may exist although creating it has failed.
            if let Some(file) = file.or_else(|| self.folder.open(writer.name).ok()) {
                let size = file.size().unwrap_or_else(|_| writer.end()).max(writer.offset);
                self.note_size(writer.name, size);
            }
        }
        let numbers = self.uncommitted.clone();
        self.settle_all(numbers.clone());
        self.uncommitted = self.next..self.next;
        CommitError { error, numbers }
    }

    fn note_size(&mut self, name: SegmentName, size: u64) {
        match self.segments.back_mut().filter(|info| info.name == name) {
            Some(info) => {
                self.written += size - info.size;
                info.size = size;
            }
            None => {
                self.written += size;
                self.segments.push_back(Info { name, size });
            }
        }
    }

    /// The next segment must not have the name of this one, which may not have any record.
    fn skip_name(&mut self, first: u64) {
        if self.next == first {
            self.next += 1;
            self.settled.add(first..self.next);
            self.uncommitted = self.next..self.next;
        }
    }

    /// Removes segments whose records all have outcomes. What cannot be removed now is tried again with the next commit.
    fn remove_settled(&mut self) {
        if let Some(safe) = self.safe {
            self.remove_oldest(safe);
            // Of the others, only what is written tells that their records have outcomes.
            if self.unsaved.is_empty() {
                self.remove_between(safe);
            }
        }
    }

    /// Removes segments after the oldest: one record without an outcome keeps its own segment, not those that follow.
    fn remove_between(&mut self, safe: u64) {
        let mut index = 1;
        while let (Some(info), Some(next)) = (self.segments.get(index), self.segments.get(index + 1)) {
            let (name, size) = (info.name, info.size);
            if name.first >= safe {
                return;
            }
            if self.settled.end_of(name.first).is_none_or(|end| end < next.name.first) {
                index += 1;
                continue;
            }
            match self.folder.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return,
                _ => drop(self.segments.remove(index)),
            }
            self.written -= size;
        }
    }

    /// Removes segments from the oldest on.
    fn remove_oldest(&mut self, safe: u64) {
        let low = self.settled.end_of(0).unwrap_or(0);
        while let (Some(oldest), Some(second)) = (self.segments.front(), self.segments.get(1)) {
            if low < second.name.first || oldest.name.first >= safe {
                return;
            }
            let size = oldest.size;
            match self.folder.remove(oldest.name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return,
                _ => drop(self.segments.pop_front()),
            }
            self.written -= size;
            // If the outcomes of its records could not be written, only the absence of the segment tells them. So it must stay absent.
            if !self.unsaved.is_empty() && self.is_synced() && self.folder.sync().is_err() {
                return;
            }
        }
    }

    /// Makes sure that the segment stays from which this process has all outcomes, if it has not written any itself.
    fn make_safe(&mut self) {
        if let (None, Some(name)) = (self.safe, self.recovered) {
            let synced = || {
                self.folder.open(name)?.sync()?;
                self.folder.sync()
            };
            if !self.is_synced() || synced().is_ok() {
                self.safe = Some(name.first);
            }
        }
    }

    fn is_synced(&self) -> bool {
        self.options.durability == Durability::Synced
    }

    /// Returns the next records without an outcome, at least one if there is any, and at most about this many bytes. Only records that
    /// were committed are read. A record that is settled while it is being read may still be returned.
    ///
    /// # Errors
    ///
    /// If a segment cannot be read, and nothing was read before it. The next call tries again.
    pub fn read(&mut self, cursor: &mut Cursor, max_bytes: usize) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        match self.read_into(&mut items, cursor, max_bytes) {
            Err(error) if items.is_empty() => Err(error),
            _ => Ok(items),
        }
    }

    fn read_into(&mut self, items: &mut Vec<Item>, cursor: &mut Cursor, max_bytes: usize) -> io::Result<()> {
        let mut bytes = 0;
        while bytes < max_bytes {
            // What is settled is not even looked at, if it is whole segments.
            cursor.next = self.settled.end_of(cursor.next).unwrap_or(cursor.next);
            if cursor.next >= self.uncommitted.start {
                break;
            }
            let place = self
                .segments
                .partition_point(|segment| segment.name.first <= cursor.next);
            let Some(info) = place.checked_sub(1).and_then(|place| self.segments.get(place)) else {
                break;
            };
            // Where the numbers of this segment end.
            let end = match self.segments.get(place) {
                Some(following) => following.name.first,
                None => self.uncommitted.start,
            };
            if cursor.segment.as_ref().is_none_or(|(scan, _)| scan.name != info.name) {
                let mut scan = Scan::new(info.name);
                if let Some((_, offset)) = cursor.from.take_if(|(name, _)| *name == info.name) {
                    scan.offset = scan.offset.max(offset);
                }
                cursor.segment = Some((scan, self.folder.open(info.name)?));
            }
            let Some((scan, file)) = &mut cursor.segment else {
                break;
            };
            scan.passes_unreadable = cursor.passes_unreadable;
            let segment = info.name.first;
            match scan.next(&mut **file, info.size)? {
                Some(Entry::Record { number, data }) if (cursor.next..end).contains(&number) => {
                    let lost = cursor.next..number;
                    cursor.next = number + 1;
                    let record = (!self.settled.contains(number)).then(|| data.to_vec());
                    self.note_lost(lost, segment, items);
                    if let Some(data) = record {
                        bytes += data.len() + HEAD;
                        items.push(Item::Record { number, data });
                    }
                }
                Some(_) => {}
                // Numbers that no entry has are those of damaged records.
                None => {
                    self.note_lost(cursor.next..end, segment, items);
                    cursor.next = end;
                }
            }
        }
        Ok(())
    }

    fn note_lost(&mut self, mut numbers: Range<u64>, segment: u64, items: &mut Vec<Item>) {
        while !numbers.is_empty() {
            if let Some(end) = self.settled.end_of(numbers.start) {
                numbers.start = end;
                continue;
            }
            let mut end = numbers.start;
            while end < numbers.end && !self.settled.contains(end) {
                end += 1;
            }
            let lost = numbers.start..end;
            self.settle_all(lost.clone());
            numbers.start = end;
            items.push(Item::Lost { numbers: lost, segment });
        }
    }

    /// Returns a cursor for the records that are appended from now on.
    #[must_use]
    pub fn end(&self) -> Cursor {
        Cursor {
            segment: None,
            next: self.next,
            passes_unreadable: false,
            from: self.writer.as_ref().map(|writer| (writer.name, writer.end())),
        }
    }

    /// Returns the number that the next record gets.
    #[must_use]
    pub const fn next_number(&self) -> u64 {
        self.next
    }

    /// Returns the lowest number, from this one on, of a record without an outcome, or [`next_number`](Self::next_number).
    #[must_use]
    pub fn first_pending(&self, from: u64) -> u64 {
        self.settled.end_of(from).unwrap_or(from).min(self.next)
    }

    /// Returns how many records have no outcome.
    #[must_use]
    pub const fn pending(&self) -> u64 {
        self.pending
    }

    /// Returns how many bytes the log takes, with what is not yet committed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.written + self.writer.as_ref().map_or(0, |writer| writer.buffer.len() as u64)
    }
}
