//! Positions that are kept in a file.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_core::future::BoxFuture;
use tokio::task::spawn_blocking;

use super::error::PositionsError;
use super::positions::{Positions, StreamPositions};

/// Positions in a text file, for use by one process. Each shard has a line: `STREAM SHARD STATE`. If the stream's
/// identity is known, it has a line as well: `STREAM @ ARN SECONDS`.
///
/// ```no_run
/// use kpl_stream::reader::{FilePositions, Reader};
///
/// # async fn read<T>(config: &aws_config::SdkConfig) -> Result<(), kpl_stream::reader::ReaderError>
/// # where
/// #     T: kpl_core::FromKplRecordOwned + Send + 'static,
/// # {
/// let reader = Reader::<T>::builder()
///     .load_aws_config(config)
///     .positions(FilePositions::new("positions.txt"))
///     .build("clicks")
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// # One user at a time
///
/// From its first use until its last clone is dropped, a value holds a lock on an empty file beside the positions, with
/// `.lock` appended to their name. A second value, in this process or in another one, gets an error as long as it is
/// held. The lock ends with the process, however that ends; the file stays. Readers of several streams can share a
/// file: give each a clone of one value.
///
/// # Saving
///
/// The file is never partly written: a new one, with `.new` appended to its name, is written beside it and then takes
/// its place. A save is done when both the file and its directory are on the disk. If the new file cannot be written,
/// the old one stays as it is.
///
/// A file that exists keeps its permissions and, on Unix, its owner. If it or its directory cannot be written, or its
/// owner cannot be kept, saving fails. If the path is a symbolic link, the file that it leads to when the value is first
/// used is the one that is read and replaced, whether it exists or not. Anything but a regular file is refused.
#[derive(Clone, Debug)]
pub struct FilePositions {
    path: Arc<Path>,
    /// The file, once it has been used. Held from before the file is read until it has been written.
    locked: Arc<Mutex<Option<LockedFile>>>,
}

/// The positions, by stream.
type Streams = BTreeMap<String, StreamPositions>;

/// What stands in the place of a shard's id in the line of a stream's identity. No shard has it: the
/// [ids](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Shard.html) consist of letters, digits, `_`, `.`
/// and `-`.
const IDENTITY: &str = "@";

impl FilePositions {
    /// Returns positions that are kept in the file at `path`. The file is created when positions are saved for the
    /// first time; its directory must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            locked: Arc::default(),
        }
    }

    /// Calls `work` with the file, locked. The lock is held until the last clone of this value is dropped.
    fn with_file<T>(
        &self,
        work: impl FnOnce(&Self, &LockedFile) -> Result<T, PositionsError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, PositionsError>>
    where
        T: Send + 'static,
    {
        let positions = self.clone();
        let work = move || {
            let mut locked = positions.locked.lock().unwrap_or_else(PoisonError::into_inner);
            let file = match &mut *locked {
                Some(file) => file,
                none => none.insert(LockedFile::open(&positions.path).map_err(|error| positions.failed(&error))?),
            };
            work(&positions, file)
        };
        Box::pin(async move { spawn_blocking(work).await? })
    }

    fn read(&self, file: &LockedFile) -> Result<Streams, PositionsError> {
        let text = file.read().map_err(|error| self.failed(&error))?;
        let mut streams = Streams::new();
        for (number, line) in (1..).zip(text.lines()) {
            let (stream, shard_id, state) = parts(line)
                .ok_or_else(|| self.failed(&format!("line {number} is not STREAM SHARD STATE, but {line:?}")))?;
            let invalid = |error: &dyn Display| self.failed(&format!("line {number}: {error}"));
            let positions: &mut StreamPositions = streams.entry(stream.into()).or_default();
            if shard_id == IDENTITY {
                positions.identity = Some(state.parse().map_err(|error| invalid(&error))?);
            } else {
                let state = state.parse().map_err(|error| invalid(&error))?;
                positions.shards.insert(shard_id.into(), state);
            }
        }
        Ok(streams)
    }

    fn write(&self, file: &LockedFile, streams: &Streams) -> Result<(), PositionsError> {
        let mut text = String::new();
        for (stream, StreamPositions { identity, shards }) in streams {
            for name in [stream].into_iter().chain(shards.keys()) {
                if name.is_empty() || name.contains(char::is_whitespace) {
                    return Err(self.failed(&format!("{name:?} cannot be a name in its lines")));
                }
            }
            if let Some(identity) = identity {
                writeln!(text, "{stream} {IDENTITY} {identity}")?;
            }
            for (shard_id, state) in shards {
                writeln!(text, "{stream} {shard_id} {state}")?;
            }
        }
        file.replace(text.as_bytes()).map_err(|error| self.failed(&error))
    }

    /// Reads the file, changes what it contains, and writes it.
    fn change(
        &self,
        change: impl FnOnce(&mut Streams) + Send + 'static,
    ) -> BoxFuture<'static, Result<(), PositionsError>> {
        self.with_file(move |positions, file| {
            let mut streams = positions.read(file)?;
            change(&mut streams);
            positions.write(file, &streams)
        })
    }

    fn failed(&self, error: &dyn Display) -> PositionsError {
        format!("file {}: {error}", self.path.display()).into()
    }
}

/// A file that no other reader reads or replaces, because this process has its lock.
#[derive(Debug)]
struct LockedFile {
    /// Where the file is, or will be. Not a link.
    path: PathBuf,
    lock: File,
}

impl LockedFile {
    fn open(path: &Path) -> io::Result<Self> {
        metadata(path)?;
        let path = follow_links(path)?;
        let lock_path = with_suffix(&path, ".lock");
        let failed = |error: &dyn Display| io::Error::other(format!("its lock {}: {error}", lock_path.display()));
        let lock = metadata(&lock_path).and_then(|_| OpenOptions::new().create(true).append(true).open(&lock_path));
        let lock = lock.map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, lock }),
            Err(TryLockError::Error(error)) => Err(failed(&error)),
            Err(TryLockError::WouldBlock) => Err(failed(
                &"it is held: another reader, in this process or in another one, uses the file. Give each its own file, \
                  or clones of one FilePositions",
            )),
        }
    }

    /// Returns what the file contains: nothing, if there is none.
    fn read(&self) -> io::Result<String> {
        match metadata(&self.path)? {
            Some(_) => fs::read_to_string(&self.path),
            None => Ok(String::new()),
        }
    }

    /// Puts a new file in the place of this one. It is on the disk when this returns.
    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let new = with_suffix(&self.path, ".new");
        let cannot_write = |error| cannot("write", &new, &error);
        let replaced = match metadata(&self.path)? {
            // To rename does not need the permission to write to the file.
            Some(_) => {
                let file = OpenOptions::new().write(true).open(&self.path);
                Some(file.map_err(|error| cannot("write", &self.path, &error))?.metadata()?)
            }
            None => None,
        };
        match fs::remove_file(&new) {
            // A process that was killed left it.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot("replace", &new, &error)),
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&new);
        let written = write_new(file.map_err(cannot_write)?, replaced.as_ref(), content)
            .map_err(cannot_write)
            .and_then(|()| fs::rename(&new, &self.path));
        if written.is_err() {
            // If this fails as well, the first error says more.
            drop(fs::remove_file(&new));
            return written;
        }
        sync_directory(&self.path)
    }
}

impl Drop for LockedFile {
    /// To close the file is not enough while a process that is being started has a copy of its handle.
    fn drop(&mut self) {
        // If this fails, closing releases it.
        drop(self.lock.unlock());
    }
}

fn write_new(mut file: File, replaced: Option<&Metadata>, content: &[u8]) -> io::Result<()> {
    if let Some(replaced) = replaced {
        keep_owner(&file, replaced)?;
        file.set_permissions(replaced.permissions())?;
    }
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(unix)]
fn keep_owner(file: &File, replaced: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    let new = file.metadata()?;
    let [owner, group] = [(new.uid(), replaced.uid()), (new.gid(), replaced.gid())]
        .map(|(new, replaced)| (new != replaced).then_some(replaced));
    if owner.is_none() && group.is_none() {
        return Ok(());
    }
    fchown(file, owner, group)
        .map_err(|error| io::Error::new(error.kind(), format!("the owner cannot be kept: {error}")))
}

#[cfg(not(unix))]
fn keep_owner(_file: &File, _replaced: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Waits until the name of a file is on the disk, after a file was renamed to it.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns what is known of the file at `path`, if there is one. It does not open the file: that may block.
fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns where symbolic links lead to, even if there is nothing yet.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MAX_LINKS {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => {
                let target = path.read_link()?;
                path.pop();
                path.push(target);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("there are too many symbolic links"))
}

/// How many links Linux follows.
const MAX_LINKS: usize = 40;

fn cannot(action: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {action} {}: {error}", path.display()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (stream, rest) = line.split_once(' ')?;
    let (shard_id, state) = rest.split_once(' ')?;
    Some((stream, shard_id, state))
}

impl Positions for FilePositions {
    fn load<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>> {
        let stream = stream.to_owned();
        self.with_file(move |positions, file| Ok(positions.read(file)?.remove(&stream).unwrap_or_default()))
    }

    fn save<'a>(
        &'a self,
        stream: &'a str,
        positions: &'a StreamPositions,
    ) -> BoxFuture<'a, Result<(), PositionsError>> {
        let (stream, positions) = (stream.to_owned(), positions.clone());
        self.change(move |streams| streams.entry(stream).or_default().update(positions))
    }

    fn remove<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<(), PositionsError>> {
        let stream = stream.to_owned();
        self.change(move |streams| drop(streams.remove(&stream)))
    }
}
