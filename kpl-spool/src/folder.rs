//! Where the segments are: a folder of a file system.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A place for segments. Tests bring one that crashes.
pub trait Folder: fmt::Debug + Send {
    /// Returns the name and the size of each segment, in bytes.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    fn list(&self) -> io::Result<Vec<(SegmentName, u64)>>;

    /// Creates a segment. It must not exist.
    ///
    /// # Errors
    ///
    /// If it exists, or cannot be created.
    fn create(&self, name: SegmentName) -> io::Result<Box<dyn Segment>>;

    /// Opens a segment to read it.
    ///
    /// # Errors
    ///
    /// If it does not exist, or cannot be opened.
    fn open(&self, name: SegmentName) -> io::Result<Box<dyn Segment>>;

    /// Removes a segment.
    ///
    /// # Errors
    ///
    /// If it does not exist, or cannot be removed.
    fn remove(&self, name: SegmentName) -> io::Result<()>;

    /// Returns once the names of the segments survive a crash of the machine.
    ///
    /// # Errors
    ///
    /// If that cannot be made sure.
    fn sync(&self) -> io::Result<()>;
}

/// The name of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct SegmentName {
    /// The number of its first record. No other segment of the log has the same.
    pub first: u64,
    /// A random number, which no copy of its bytes in another segment has.
    pub salt: u64,
}

impl SegmentName {
    /// Returns a name with a new salt.
    pub(crate) fn new(first: u64) -> Self {
        // The standard library's source of random numbers: the keys of hash maps.
        let salt = RandomState::new().hash_one(first);
        Self { first, salt }
    }
}

/// A file of the log.
pub trait Segment: fmt::Debug + Send {
    /// Reads bytes from an offset on, and returns how many there were: fewer than fit only at the end of the file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all these bytes to the end of the file.
    ///
    /// # Errors
    ///
    /// If they are not all written, or if the file is not in the folder any more.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once everything that was written survives a crash of the machine.
    ///
    /// # Errors
    ///
    /// If that cannot be made sure. It must not be tried again then: what was written may be gone although the next call succeeds.
    fn sync(&mut self) -> io::Result<()>;

    /// Returns the size of the file, in bytes.
    ///
    /// # Errors
    ///
    /// If it cannot be found out.
    fn size(&self) -> io::Result<u64>;
}

const EXTENSION: &str = "kplspool";
const LOCK: &str = "lock";
/// The largest number that the name of a segment states. A file with a larger one is not a segment: no log gets there.
pub(crate) const MAX_FIRST: u64 = u64::MAX / 2;

/// A folder of the file system, locked for this process, or only read.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The lock ends with the file, and so with the process, however that ends.
    lock: Option<File>,
}

impl Directory {
    /// Creates a folder if it does not exist, and locks it for this process.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created or read, or, as [`io::ErrorKind::WouldBlock`], if another process has locked it.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        create(&path).map_err(at)?;
        let lock = path.join(LOCK);
        let lock = OpenOptions::new().create(true).append(true).open(lock).map_err(at)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                let text = format!("{} is in use by another process", path.display());
                io::Error::new(io::ErrorKind::WouldBlock, text)
            }
            TryLockError::Error(error) => at(error),
        })?;
        Ok(Self { path, lock: Some(lock) })
    }

    /// Opens a folder to look at what is in it, also while another process writes to it. A commit that has something to write fails.
    /// A segment may be removed by the other process between two calls.
    ///
    /// # Errors
    ///
    /// If it is not a folder that can be read.
    pub fn look_at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        match fs::read_dir(&path) {
            Ok(_) => Ok(Self { path, lock: None }),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }

    /// Returns an error if the folder is only read.
    fn writable(&self) -> io::Result<()> {
        match self.lock {
            Some(_) => Ok(()),
            None => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the folder is only read",
            )),
        }
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, SegmentName { first, salt }: SegmentName) -> PathBuf {
        self.path.join(format!("{first:020}-{salt:016x}.{EXTENSION}"))
    }
}

/// Creates a folder and those above it that are missing, so that their names survive a crash of the machine.
fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Returns once the names in a folder survive a crash of the machine.
fn sync_folder(path: &Path) -> io::Result<()> {
    // Windows cannot open folders, and writes names with the files.
    match cfg!(unix) {
        true => File::open(path)?.sync_all(),
        false => Ok(()),
    }
}

/// Returns the name of a segment that a file has, if it is one.
fn segment_name(file: &Path) -> Option<SegmentName> {
    let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if file.extension()? != EXTENSION {
        return None;
    }
    let (first, salt) = file.file_stem()?.to_str()?.split_once('-')?;
    if !digits(first, 20) || !digits(salt, 16) {
        return None;
    }
    let (first, salt) = (first.parse().ok()?, u64::from_str_radix(salt, 16).ok()?);
    (first <= MAX_FIRST).then_some(SegmentName { first, salt })
}

impl Folder for Directory {
    fn list(&self) -> io::Result<Vec<(SegmentName, u64)>> {
        let mut segments = Vec::new();
        for file in fs::read_dir(&self.path)? {
            let file = file?;
            if let Some(name) = segment_name(Path::new(&file.file_name())) {
                segments.push((name, file.metadata()?.len()));
            }
        }
        Ok(segments)
    }

    fn create(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
        self.writable()?;
        let path = self.file(name);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .open(&path)?;
        Ok(Box::new(SegmentFile { file, path }))
    }

    fn open(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
        let path = self.file(name);
        let file = File::open(&path)?;
        Ok(Box::new(SegmentFile { file, path }))
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        self.writable()?;
        fs::remove_file(self.file(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync_folder(&self.path)
    }
}

#[derive(Debug)]
struct SegmentFile {
    file: File,
    path: PathBuf,
}

impl Segment for SegmentFile {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(offset))?;
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        // A file that was removed, or whose folder was, still takes bytes, and nothing finds them again.
        fs::metadata(&self.path).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}
