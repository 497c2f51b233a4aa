//! Positions that are kept in a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
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
/// The file is never partly written: a new one, with `.new` appended to its name, is written beside it and then takes
/// its place.
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
#[derive(Clone, Debug)]
pub struct FilePositions {
    path: Arc<Path>,
    /// Held from before the file is read until it has been written.
    lock: Arc<Mutex<()>>,
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
            lock: Arc::default(),
        }
    }

    fn read(&self) -> Result<Streams, PositionsError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Streams::new()),
            Err(error) => return Err(self.failed(&error)),
        };
        let mut streams = Streams::new();
        for (number, line) in (1..).zip(text.lines()) {
            let (stream, shard_id, state) = parts(line)
                .ok_or_else(|| self.failed(&format!("line {number} is not STREAM SHARD STATE, but {line:?}")))?;
            let invalid = |error: &dyn std::fmt::Display| self.failed(&format!("line {number}: {error}"));
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

    fn write(&self, streams: &Streams) -> Result<(), PositionsError> {
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
        let mut new = self.path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)
        };
        write().map_err(|error| self.failed(&error))
    }

    /// Reads the file, changes what it contains, and writes it.
    fn change(
        &self,
        change: impl FnOnce(&mut Streams) + Send + 'static,
    ) -> BoxFuture<'static, Result<(), PositionsError>> {
        let positions = self.clone();
        let change = move || {
            let _held = positions.lock.lock().unwrap_or_else(PoisonError::into_inner);
            let mut streams = positions.read()?;
            change(&mut streams);
            positions.write(&streams)
        };
        Box::pin(async move { spawn_blocking(change).await? })
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> PositionsError {
        format!("file {}: {error}", self.path.display()).into()
    }
}

fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (stream, rest) = line.split_once(' ')?;
    let (shard_id, state) = rest.split_once(' ')?;
    Some((stream, shard_id, state))
}

impl Positions for FilePositions {
    fn load<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamPositions, PositionsError>> {
        let positions = self.clone();
        Box::pin(async move {
            let mut streams = spawn_blocking(move || positions.read()).await??;
            Ok(streams.remove(stream).unwrap_or_default())
        })
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
