//! Disks that are full, and disks that become read-only. `.ci/spool` runs what is ignored here, on disks that it mounts.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kpl_spool::{CommitError, Cursor, Directory, Folder, Item, Log, Options, Segment, SegmentName};

/// The data of a record with an id.
fn record(id: u64) -> Vec<u8> {
    let mut data = id.to_le_bytes().to_vec();
    data.resize(1000, b'.');
    data
}

fn open<F: Folder>(folder: F) -> Log<F> {
    let mut options = Options::default();
    options.segment_bytes = 64 * 1024;
    Log::open(folder, options).unwrap()
}

fn append(log: &mut Log<impl Folder>, ids: Range<u64>) -> Result<(), CommitError> {
    for id in ids {
        log.append(&record(id)).unwrap();
    }
    log.commit()
}

/// Appends records from an id on until a commit fails. Returns the ids of the records of that commit, and its error.
fn fill(log: &mut Log<impl Folder>, first: u64) -> (Range<u64>, CommitError) {
    let mut ids = first..first + 10;
    loop {
        match append(log, ids.clone()) {
            Ok(()) => ids = ids.end..ids.end + 10,
            Err(error) => return (ids, error),
        }
    }
}

/// Returns the number and the id of each record that is pending.
fn pending(log: &mut Log<impl Folder>) -> Vec<(u64, u64)> {
    let (mut cursor, mut records) = (Cursor::default(), Vec::new());
    loop {
        let items = log.read(&mut cursor, 10_000).unwrap();
        if items.is_empty() {
            assert_eq!(log.pending(), records.len() as u64);
            return records;
        }
        for item in items {
            let Item::Record { number, data } = item else {
                panic!("{item:?}");
            };
            let id = u64::from_le_bytes(*data.first_chunk().unwrap());
            assert!(data == record(id), "record {id} has changed");
            records.push((number, id));
        }
    }
}

fn ids(log: &mut Log<impl Folder>) -> Vec<u64> {
    pending(log).into_iter().map(|(_, id)| id).collect()
}

/// Fills a disk, twice, and makes room by outcomes alone.
fn a_full_disk<F: Folder>(folder: impl Fn() -> F) {
    let mut log = open(folder());
    let (refused, error) = fill(&mut log, 0);
    assert_eq!(error.error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(
        error.to_string().starts_with("10 records were not written: "),
        "{error}"
    );
    let committed: Vec<u64> = (0..refused.start).collect();
    assert!(committed.len() > 500, "{} records fit", committed.len());
    assert_eq!(ids(&mut log), committed, "this process reads other records");
    drop(log);

    // Some of those that were refused may be there.
    let mut log = open(folder());
    let records = pending(&mut log);
    let ids_now: Vec<u64> = records.iter().map(|(_, id)| *id).collect();
    assert!(ids_now.starts_with(&committed), "the next process reads other records");
    assert!(ids_now[committed.len()..].iter().all(|id| refused.contains(id)));

    // Outcomes do not fit at first, but segments go that are not needed any more.
    let (settled, left) = records.split_at(records.len() / 2);
    for (number, _) in settled {
        log.settle(*number);
    }
    let first_try = log.commit();
    if let Err(error) = &first_try {
        assert!(error.numbers.is_empty(), "{error}");
    }
    log.commit().expect("there is room");
    append(&mut log, 10_000..10_010).expect("there is room");
    let mut expected: Vec<u64> = left.iter().map(|(_, id)| *id).collect();
    expected.extend(10_000..10_010);
    assert_eq!(ids(&mut log), expected);

    // The disk is full again, and the process goes on.
    let (refused, error) = fill(&mut log, 20_000);
    assert_eq!(error.error.kind(), ErrorKind::StorageFull, "{error}");
    expected.extend(20_000..refused.start);
    let records = pending(&mut log);
    assert!(records.iter().map(|(_, id)| *id).eq(expected.iter().copied()));
    for (number, _) in &records {
        log.settle(*number);
    }
    let _ = log.commit();
    log.commit().expect("there is room");
    append(&mut log, 30_000..30_010).expect("there is room");
    drop(log);
    assert!(ids(&mut open(folder())).ends_with(&(30_000..30_010).collect::<Vec<_>>()));
}

/// A folder on a disk with this much room.
#[derive(Debug)]
struct Small {
    folder: Directory,
    room: Arc<AtomicU64>,
}

#[derive(Debug)]
struct SmallSegment {
    file: Box<dyn Segment>,
    room: Arc<AtomicU64>,
}

/// What a file takes is a multiple of this.
const BLOCK: u64 = 4096;

impl Folder for Small {
    fn list(&self) -> io::Result<Vec<(SegmentName, u64)>> {
        self.folder.list()
    }

    fn create(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
        let (file, room) = (self.folder.create(name)?, Arc::clone(&self.room));
        Ok(Box::new(SmallSegment { file, room }))
    }

    fn open(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
        self.folder.open(name)
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        let size = self.folder.open(name)?.size()?;
        self.folder.remove(name)?;
        self.room.fetch_add(size.div_ceil(BLOCK), Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.folder.sync()
    }
}

impl Segment for SmallSegment {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = self.file.size()?;
        let blocks = size.div_ceil(BLOCK);
        let room = self.room.load(Ordering::Relaxed);
        let fits = ((blocks + room) * BLOCK - size).min(bytes.len() as u64);
        let (now, rest) = bytes.split_at(usize::try_from(fits).unwrap());
        self.file.append(now)?;
        self.room
            .store(room - ((size + fits).div_ceil(BLOCK) - blocks), Ordering::Relaxed);
        match rest.is_empty() {
            true => Ok(()),
            false => Err(ErrorKind::StorageFull.into()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

#[test]
fn a_full_disk_has_room_again_when_records_have_outcomes() {
    let path = std::env::temp_dir().join(format!("kpl-spool-disk-{}", std::process::id()));
    let room = Arc::new(AtomicU64::new((1 << 20) / BLOCK));
    a_full_disk(|| Small {
        folder: Directory::open(&path).unwrap(),
        room: Arc::clone(&room),
    });
    fs::remove_dir_all(path).unwrap();
}

/// The folder of a disk that `.ci/spool` has mounted.
fn mounted() -> PathBuf {
    PathBuf::from(std::env::var_os("KPL_SMALL_DISK").expect("KPL_SMALL_DISK, a folder")).join("log")
}

#[test]
#[ignore = ".ci/spool mounts a small disk"]
fn full() {
    a_full_disk(|| Directory::open(mounted()).unwrap());

    // What takes the room belongs to another program, which removes it.
    let other = mounted().with_file_name("other");
    let free = |log: &mut Log<Directory>| {
        for (number, _) in pending(log) {
            log.settle(number);
        }
        let _ = log.commit();
        log.commit().unwrap();
    };
    let mut log = open(Directory::open(mounted()).unwrap());
    free(&mut log);
    fs::write(&other, vec![1; 1 << 20]).unwrap();
    let (refused, error) = fill(&mut log, 0);
    assert_eq!(error.error.kind(), ErrorKind::StorageFull, "{error}");
    fs::remove_file(other).unwrap();
    append(&mut log, 50_000..50_010).expect("there is room");
    let expected: Vec<u64> = (0..refused.start).chain(50_000..50_010).collect();
    assert_eq!(ids(&mut log), expected);
    drop(log);
    let there = ids(&mut open(Directory::open(mounted()).unwrap()));
    assert!(expected.iter().all(|id| there.contains(id)));
}

/// The file that `KPL_DISK_ERROR` names is one of the kernel: writing to it is an error of the disk, which then is read-only.
#[test]
#[ignore = ".ci/spool mounts a disk that becomes read-only"]
fn read_only() {
    let mut log = open(Directory::open(mounted()).unwrap());
    append(&mut log, 0..100).unwrap();
    let trigger = std::env::var_os("KPL_DISK_ERROR").expect("KPL_DISK_ERROR, a file");
    fs::write(trigger, "1").unwrap();
    let error = append(&mut log, 100..110).unwrap_err();
    println!("{error}");
    assert_eq!(error.numbers.end - error.numbers.start, 10);
    // The first error may be another one, of what was being written.
    let error = append(&mut log, 110..120).unwrap_err();
    println!("{error}");
    assert_eq!(error.error.kind(), ErrorKind::ReadOnlyFilesystem, "{error}");
    assert_eq!(ids(&mut log), (0..100).collect::<Vec<_>>());
    drop(log);
    let error = Directory::open(mounted()).unwrap_err();
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{error}");
    assert!(error.to_string().contains(&*mounted().to_string_lossy()), "{error}");
}

#[test]
#[ignore = ".ci/spool mounts the disk of the test before again"]
fn writable_again() {
    let mut log = open(Directory::open(mounted()).unwrap());
    let there = ids(&mut log);
    assert!(there.starts_with(&(0..100).collect::<Vec<_>>()), "{there:?}");
    append(&mut log, 200..210).unwrap();
    assert!(ids(&mut log).ends_with(&(200..210).collect::<Vec<_>>()));
}
