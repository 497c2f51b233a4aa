//! Sends through a spool: what `kpl put --spool` and `kpl spool drain` have in common.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use kpl_stream::client::WriteClient;
use kpl_stream::spool::{Durability, Spool, SpoolOutcome};
use kpl_stream::{EncodedRecord, Failure, FailureReason, Producer, ProducerBuilder};
use tokio::time::{Interval, interval};

use super::line_of;
use crate::commands::put::client::{Counters, CountingClient};
use crate::commands::put::figures::{Figures, Progress};
use crate::draw::count;
use crate::interrupts::Interrupts;
use crate::log;
use crate::problems::{Location, Problems, Stop, tell};

/// The folder of a spool, and how records are kept in it.
#[derive(Debug, Args)]
pub(crate) struct Folder {
    /// Keep what is read in this folder until it is delivered: it survives the end of this process and of the machine. What is
    /// left there of earlier runs is sent first
    #[arg(long = "spool", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) path: Option<PathBuf>,

    /// The most bytes that the folder may take. When they are in use, reading stops until some of it is delivered
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, requires = "path")]
    spool_size: u64,

    /// What records in the folder survive
    #[arg(long, value_enum, default_value_t, value_name = "WHAT", requires = "path")]
    durability: Survives,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Survives {
    /// A crash of the machine: the disk syncs every 10 ms
    #[default]
    Synced,
    /// The end of the process
    Written,
}

impl Folder {
    /// Returns it, and leaves none.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            path: self.path.take(),
            ..*self
        }
    }

    /// Returns an existing folder, which may be of any size.
    pub(crate) fn of(path: PathBuf) -> Self {
        Self {
            path: Some(path),
            spool_size: u64::MAX,
            durability: Survives::Synced,
        }
    }
}

/// A producer with a spool, and what has become of records.
pub(crate) struct Sending {
    pub(crate) producer: Producer,
    folder: String,
    outcomes: Arc<Mutex<Outcomes>>,
    progress: Progress,
    ticks: Interval,
}

struct Outcomes {
    figures: Figures,
    failed: Vec<(EncodedRecord, Failure)>,
    /// Those that could not be stored, until they are taken.
    returned: Vec<(EncodedRecord, Failure)>,
}

/// How long deliveries are waited for at the end, unless for all of them.
const GRACE: Duration = Duration::from_secs(5);

impl Sending {
    /// Opens the folder, and builds a producer with this client. The size of the input is known if all of it are files.
    pub(crate) fn start(
        folder: Folder,
        client: impl WriteClient,
        input: Option<u64>,
        options: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Result<Self, Stop> {
        let sent = Arc::new(Counters::default());
        let outcomes = Arc::new(Mutex::new(Outcomes {
            figures: Figures::new(Arc::clone(&sent), false, input),
            failed: Vec::new(),
            returned: Vec::new(),
        }));
        let path = folder.path.unwrap_or_default();
        let spool = Spool::dir(&path)
            .max_bytes(folder.spool_size)
            .durability(match folder.durability {
                Survives::Synced => Durability::default(),
                Survives::Written => Durability::Written,
            })
            .on_outcome({
                let outcomes = Arc::clone(&outcomes);
                move |outcome| lock(&outcomes).note(outcome)
            })
            .open()
            .map_err(|error| Stop::Usage(error.to_string()))?;
        if spool.pending() > 0 {
            let left = count(spool.pending(), "user record");
            tell(format_args!("{}: {left} left by earlier runs", path.display()));
        }
        let client = CountingClient {
            client: Arc::new(client),
            sent,
        };
        let producer = options(Producer::builder().client(client).spool(spool))
            .build()
            .map_err(|error| Stop::Usage(error.to_string()))?;
        let progress = Progress::new();
        log::tell_warnings(progress.bar());
        Ok(Self {
            producer,
            folder: path.display().to_string(),
            outcomes,
            progress,
            ticks: interval(Progress::INTERVAL),
        })
    }

    /// Waits until it is time to call [`tick`](Self::tick).
    pub(crate) async fn ticks(&mut self) {
        self.ticks.tick().await;
    }

    /// Reports the records that were not delivered, and shows the progress.
    pub(crate) fn tick(&mut self, problems: &mut Problems) -> Result<(), Stop> {
        let mut outcomes = lock(&self.outcomes);
        let failed = std::mem::take(&mut outcomes.failed);
        let under_way = self.producer.spooled().unwrap_or_default().records;
        self.progress
            .draw(&outcomes.figures, usize::try_from(under_way).unwrap_or(usize::MAX));
        drop(outcomes);
        let mut result = Ok(());
        for (record, failure) in failed {
            let problem = format!("{failure}: {}", line_of(&record, None));
            let location = Location {
                file: &self.folder,
                ..Location::default()
            };
            let told = self.progress.suspend(|| problems.not_delivered(location, problem));
            result = result.and(told);
        }
        result
    }

    /// Returns the records that were handed over and could not be stored since the last call.
    pub(crate) fn returned(&self) -> Vec<EncodedRecord> {
        let returned = std::mem::take(&mut lock(&self.outcomes).returned);
        returned.into_iter().map(|(record, _)| record).collect()
    }

    pub(crate) fn figures<R>(&self, change: impl FnOnce(&mut Figures) -> R) -> R {
        change(&mut lock(&self.outcomes).figures)
    }

    /// Writes to standard error above the progress.
    pub(crate) fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        self.progress.suspend(write)
    }

    /// Waits for the outcomes of all records, or only for a moment, and closes the producer. A second signal ends it at once, or the first
    /// one if nothing else is under way.
    pub(crate) async fn end(
        &mut self,
        waits: bool,
        mut interrupts: Interrupts,
        problems: &mut Problems,
    ) -> Result<(), Stop> {
        let producer = self.producer.clone();
        let signals = 1 + u32::from(interrupts.any());
        let mut result = Ok(());
        {
            let flushed = async {
                match waits {
                    true => producer.flush().await,
                    false => drop(tokio::time::timeout(GRACE, producer.flush()).await),
                }
            };
            let mut flushed = pin!(flushed);
            loop {
                tokio::select! {
                    biased;
                    () = interrupts.times(signals) => break,
                    () = &mut flushed => break,
                    () = self.ticks() => result = result.and(self.tick(problems)),
                }
            }
        }
        let left = producer
            .close(Duration::ZERO)
            .await
            .map_or_else(|error| error.spooled, |()| 0);
        {
            let mut outcomes = lock(&self.outcomes);
            let returned = std::mem::take(&mut outcomes.returned);
            outcomes.figures.not_delivered += returned.len() as u64;
            outcomes.failed.extend(returned);
        }
        if producer.spooled().is_some_and(|spooled| spooled.lost > 0) {
            problems.found();
        }
        result = result.and(self.tick(problems));
        self.progress.end();
        if left > 0 {
            tell(format_args!(
                "{} in {}: the next `kpl put --spool` sends what is there, and so does `kpl spool drain`",
                count(left, "user record"),
                self.folder
            ));
        }
        self.figures(|figures| figures.spooled = Some(left));
        result
    }

    /// Writes the figures.
    pub(crate) fn finish(self, result: Result<(), Stop>) -> Result<(), Stop> {
        let written = io::stdout().write_all(self.figures(|figures| figures.table()).as_bytes());
        result?;
        Ok(written?)
    }
}

impl Outcomes {
    fn note(&mut self, outcome: SpoolOutcome) {
        let SpoolOutcome { record, result, .. } = outcome;
        match result {
            Ok(receipt) => self.figures.deliver(&receipt, record.size()),
            Err(failure) if matches!(failure.reason, FailureReason::NotStored(_)) => {
                self.returned.push((record, failure))
            }
            Err(failure) => {
                self.figures.give_up(&failure);
                self.failed.push((record, failure));
            }
        }
    }
}

fn lock(outcomes: &Mutex<Outcomes>) -> MutexGuard<'_, Outcomes> {
    outcomes.lock().unwrap_or_else(PoisonError::into_inner)
}
