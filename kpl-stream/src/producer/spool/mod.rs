//! Keep what a producer accepts on disk until it has an outcome: it survives the end of the process, and an outage that is longer than
//! memory would last.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use kpl_core::RawRecord;
//! # #[cfg(feature = "aws")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use kpl_stream::Producer;
//! use kpl_stream::spool::Spool;
//!
//! let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
//! let spool = Spool::dir("/var/lib/clicks/spool").max_bytes(20 << 30).open()?;
//! let producer = Producer::builder().load_aws_config(&config).spool(spool).build()?;
//! let clicks = producer.stream::<RawRecord>("clicks").await?;
//! clicks.spool(RawRecord::new("anna", "/basket")).await?; // returns once the record is on the disk
//! producer.close(Duration::from_secs(5)).await?; // an error says how many records the next start will send
//! # Ok(())
//! # }
//! ```
//!
//! What survives what is in a table of the [crate's documentation](crate#a-spool).
//!
//! A record is accepted when [`send`](crate::StreamProducer::send) or [`spool`](crate::StreamProducer::spool) has returned `Ok`. One that is
//! passed to [`try_send`](crate::StreamProducer::try_send) or [`try_spool`](crate::StreamProducer::try_spool) is accepted a moment later:
//! [`sync_spool`](crate::Producer::sync_spool) waits for that. If it cannot be stored, its outcome says so.
//!
//! # How records leave it
//!
//! An outcome releases a record: a receipt, or a failure that is the record's own, such as one that the service refuses. What is wrong with
//! all records is not: while there are no valid credentials, while the stream does not exist or may not be written to, records stay and are
//! tried again. [`ProducerBuilder::spool`](crate::ProducerBuilder::spool) makes `record_ttl` unlimited; a limit that is set after it holds.
//!
//! Records that are tried again without end take room: first in memory, where those of other streams then wait behind them, and at last on
//! the disk. Streams that must not wait for each other need producers with spools of their own.
//!
//! The next process that opens the folder sends what has no outcome first, in order, and after it what is new. Those records may be there
//! twice: their receipts say `may_be_duplicated`. They have no [`Delivery`](crate::Delivery), so their outcomes go to the function of
//! [`SpoolOptions::on_outcome`], and so do those of records that were sent by [`spool`](crate::StreamProducer::spool), or whose delivery was
//! dropped before. Without such a function, their failures are logged as errors.
//!
//! While memory has room, records are sent from memory, and the disk is only written. When the service does not take them, memory fills, and
//! further records stay on the disk until there is room; they are read again a few at a time, in order. User records are stored, not
//! aggregates: they are packed for the shards that there are when they are sent.
//!
//! # When the disk fails
//!
//! If records cannot be written, because the disk is full or broken or the folder is not there any more, `send` fails with
//! [`SendErrorKind::Spool`](crate::SendErrorKind::Spool), and the error returns the record: nothing is accepted that is not stored. What was
//! accepted before is sent from memory as before. Writing is tried again after a pause of 100 ms that grows to 5 s, in which records are
//! refused at once. After a failed sync it is not known what the disk has, so a later process may find a record all the same that was refused
//! so. When `max_bytes` are in use, `send` waits and `try_send` refuses, as they do without a spool when memory is full; a
//! warning says so once.
//!
//! A part of the disk that cannot be read is tried again for a minute; then the records in it are given up, logged as lost, and counted in
//! [`Spooled::lost`]. If it is a part of the newest file, the spool cannot be opened, and the error says so.
//!
//! The format of the files is described with the crate [`kpl-spool`](https://docs.rs/kpl-spool), that of the records in them in
//! `src/producer/spool/entry.rs`. The command `kpl spool` lists, checks, prints and drains a folder.

mod entry;
mod gate;
mod keeper;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kpl_spool::{Directory, Log};

pub use self::entry::{EntryError, SpooledRecord};
pub(crate) use self::gate::{Append, Gate};
pub(crate) use self::keeper::Keeper;

use super::outcome::{Failure, Receipt};
use super::pipeline::EncodedRecord;

/// What accepted records survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however it ends: the operating system has them.
    Written,
    /// A crash of the machine as well: they are on the disk.
    Synced {
        /// Records that arrive within this time are synced together. The longer it is, the longer `send` takes, and the less often the
        /// disk has to sync. The first record after a pause does not wait.
        every: Duration,
    },
}

impl Default for Durability {
    /// Returns `Synced`, every 10 ms.
    fn default() -> Self {
        Self::Synced {
            every: Duration::from_millis(10),
        }
    }
}

/// Records that arrive within this time are written together.
const WRITTEN_TOGETHER: Duration = Duration::from_millis(1);

type OnOutcome = dyn Fn(SpoolOutcome) + Send + Sync;

/// The options of a spool: the result of [`Spool::dir`].
#[derive(Clone)]
#[must_use = "options do nothing until the spool is opened"]
pub struct SpoolOptions {
    path: PathBuf,
    durability: Durability,
    max_bytes: u64,
    on_outcome: Option<Arc<OnOutcome>>,
}

impl SpoolOptions {
    /// What accepted records survive. Default: a crash of the machine, synced every 10 ms.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The most bytes that the spool may take on the disk. Default: 1 GiB. A record takes its size, that of its stream's name, and 24 bytes
    /// more.
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// A function that gets the outcomes of records that have no [`Delivery`](crate::Delivery): those of an earlier process, those sent by
    /// [`spool`](crate::StreamProducer::spool), and those whose delivery was dropped before. It must not block: it runs where the producer runs. A panic in it is logged.
    ///
    /// ```no_run
    /// # fn dead_letter(_: kpl_stream::EncodedRecord) {}
    /// use kpl_stream::spool::Spool;
    ///
    /// let spool = Spool::dir("/var/lib/clicks/spool").on_outcome(|outcome| match outcome.result {
    ///     Ok(receipt) if receipt.may_be_duplicated() => println!("{} may be there twice", receipt.sequence_number()),
    ///     Ok(_) => {}
    ///     Err(failure) => {
    ///         eprintln!("{failure}");
    ///         dead_letter(outcome.record);
    ///     }
    /// });
    /// ```
    pub fn on_outcome(mut self, function: impl Fn(SpoolOutcome) + Send + Sync + 'static) -> Self {
        self.on_outcome = Some(Arc::new(function));
        self
    }

    /// Opens the folder, and locks it for this process. Creates it if it does not exist. This reads little, however much is in the spool, but
    /// it may wait for the disk: call it before the async part of a program, or in `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if the folder cannot be opened or created, if another process has it open, or if a later version wrote to it.
    pub fn open(self) -> Result<Spool, SpoolError> {
        let path = self.path.display().to_string();
        let folder = Directory::open(&self.path)?;
        let mut options = kpl_spool::Options::default();
        options.max_bytes = self.max_bytes;
        options.durability = match self.durability {
            Durability::Written => kpl_spool::Durability::Written,
            Durability::Synced { .. } => kpl_spool::Durability::Synced,
        };
        let log = Log::open(folder, options).map_err(|error| SpoolError {
            kind: io::ErrorKind::Other,
            message: format!("{path}: {error}").into(),
        })?;
        Ok(Spool(Arc::new(Opened {
            pending: log.pending(),
            options: self,
            log: Mutex::new(Some(log)),
        })))
    }
}

impl fmt::Debug for SpoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolOptions")
            .field("path", &self.path)
            .field("durability", &self.durability)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// A folder that keeps what one producer accepts, for [`ProducerBuilder::spool`](crate::ProducerBuilder::spool).
#[derive(Clone, Debug)]
pub struct Spool(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    options: SpoolOptions,
    pending: u64,
    /// Taken by the producer.
    log: Mutex<Option<Log<Directory>>>,
}

impl Spool {
    /// Returns the options of a spool in a folder.
    pub fn dir(path: impl Into<PathBuf>) -> SpoolOptions {
        SpoolOptions {
            path: path.into(),
            durability: Durability::default(),
            max_bytes: 1 << 30,
            on_outcome: None,
        }
    }

    /// Returns how many records were left by earlier processes.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.0.pending
    }

    pub(crate) fn max_bytes(&self) -> u64 {
        self.0.options.max_bytes
    }

    /// Returns the log, once.
    pub(crate) fn take(&self) -> Option<Log<Directory>> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns how long records wait to be committed together.
    pub(crate) fn every(&self) -> Duration {
        match self.0.options.durability {
            Durability::Written => WRITTEN_TOGETHER,
            Durability::Synced { every } => every,
        }
    }

    pub(crate) fn on_outcome(&self) -> Option<Arc<OnOutcome>> {
        self.0.options.on_outcome.clone()
    }
}

/// What became of a record of a spool that has no [`Delivery`](crate::Delivery).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpoolOutcome {
    /// The stream's name or ARN, as it was opened.
    pub stream: Arc<str>,
    /// The record.
    pub record: EncodedRecord,
    /// What became of it.
    pub result: Result<Receipt, Failure>,
}

/// What is in a spool at a moment: the result of [`Producer::spooled`](crate::Producer::spooled).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spooled {
    /// How many records have no outcome, those in memory included.
    pub records: u64,
    /// How many bytes the files take.
    pub bytes: u64,
    /// Whether records wait because `max_bytes` are in use.
    pub is_full: bool,
    /// How many records were damaged on the disk, of those that this producer has read.
    pub lost: u64,
}

/// A spool cannot be opened, read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolError {
    /// What kind of error it is.
    pub kind: io::ErrorKind,
    /// What happened, and where.
    pub message: Arc<str>,
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.to_string().into(),
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SpoolError {}
