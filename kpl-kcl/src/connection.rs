//! The connection with the daemon: lines that come in and go out, one message at a time.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kpl_core::Position;
use kpl_handler::Backoff;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::error::RunError;
use crate::protocol::{CheckpointAt, CheckpointError, Message, Protocol};

/// The longest line that is read. The 10 MiB that a request of the KCL returns at most make a line of about 400 MB if they
/// consist of the smallest user records.
const MAX_LINE: u64 = 1 << 30;

/// How many times a checkpoint is tried while the KCL cannot make it.
const CHECKPOINT_ATTEMPTS: u32 = 8;

/// Why a connection can no longer be used.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The daemon is gone.
    Ended,
    Failed(RunError),
}

impl<E: Into<RunError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

pub(crate) struct Connection {
    protocol: Protocol,
    lines: mpsc::Receiver<io::Result<Vec<u8>>>,
    ended: watch::Receiver<bool>,
    output: Box<dyn Write + Send>,
    /// Why nothing more can come or go.
    stop: Option<Stop>,
    awaits_checkpoint: bool,
    /// Whether a signal has announced that the daemon may stop soon.
    hurried: Arc<AtomicBool>,
}

impl Connection {
    /// Returns a connection whose lines are read by a thread of its own, because standard input blocks.
    pub(crate) fn new(
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
        hurried: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let (lines_in, lines) = mpsc::channel(1);
        let (ended_in, ended) = watch::channel(false);
        thread::Builder::new().name("kpl-kcl input".to_owned()).spawn(move || {
            read_lines(input, &lines_in);
            ended_in.send_replace(true);
        })?;
        Ok(Self {
            protocol: Protocol::new(),
            lines,
            ended,
            output: Box::new(output),
            stop: None,
            awaits_checkpoint: false,
            hurried,
        })
    }

    /// Returns the next line.
    pub(crate) async fn line(&mut self) -> Result<Vec<u8>, Stop> {
        match self.lines.recv().await {
            Some(line) => Ok(line.map_err(RunError::Input)?),
            None => Err(Stop::Ended),
        }
    }

    /// Completes when the input has ended. It does not borrow the connection.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let mut ended = self.ended.clone();
        async move {
            // An error says that the thread is gone, and with it the input.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    pub(crate) fn receive<'a>(&mut self, line: &'a [u8]) -> Result<Option<Message<'a>>, Stop> {
        Ok(self.protocol.receive(line)?)
    }

    /// Returns why the connection can no longer be used, if a checkpoint has found out.
    pub(crate) fn check(&mut self) -> Result<(), Stop> {
        self.stop.take().map_or(Ok(()), Err)
    }

    /// Says that the last message is done.
    pub(crate) async fn answer(&mut self) -> Result<(), Stop> {
        if self.awaits_checkpoint {
            // Its future was dropped.
            let _ = self.answer_to_checkpoint().await;
        }
        self.check()?;
        let line = self.protocol.answer()?;
        self.write(&line)
    }

    fn write(&mut self, line: &str) -> Result<(), Stop> {
        let written = self
            .output
            .write_all(line.as_bytes())
            .and_then(|()| self.output.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Ended,
            _ => RunError::Output(error).into(),
        })
    }

    async fn try_checkpoint(&mut self, at: CheckpointAt<'_>) -> Result<(), CheckpointError> {
        if self.awaits_checkpoint {
            let _ = self.answer_to_checkpoint().await;
        }
        if self.stop.is_some() {
            return Err(CheckpointError::Ended);
        }
        let line = self.protocol.checkpoint(at)?;
        if let Err(stop) = self.write(&line) {
            return self.stopped(stop);
        }
        self.awaits_checkpoint = true;
        self.answer_to_checkpoint().await
    }

    async fn answer_to_checkpoint(&mut self) -> Result<(), CheckpointError> {
        loop {
            let result = match self.line().await {
                Ok(line) => match self.protocol.receive(&line) {
                    Ok(None) => continue,
                    Ok(Some(Message::Checkpointed(result))) => result,
                    // The protocol lets nothing else through.
                    Ok(Some(_)) => Err(CheckpointError::Ended),
                    Err(error) => self.stopped(error.into()),
                },
                Err(stop) => self.stopped(stop),
            };
            self.awaits_checkpoint = false;
            return result;
        }
    }

    fn stopped(&mut self, stop: Stop) -> Result<(), CheckpointError> {
        self.stop = Some(stop);
        Err(CheckpointError::Ended)
    }
}

/// Makes checkpoints while a message is answered.
///
/// A checkpoint says that everything up to a position is handled: the next process for the shard starts after it. A
/// [`ShardProcessor`](crate::ShardProcessor) is given it with each message that allows one.
pub struct Checkpointer<'c>(&'c mut Connection);

impl<'c> Checkpointer<'c> {
    pub(crate) fn new(connection: &'c mut Connection) -> Self {
        Self(connection)
    }

    /// Makes a checkpoint after the user record with this position. It may be inside an aggregate.
    ///
    /// If the lease table is overloaded, it tries up to 8 times. The pauses between the tries are 6 to 11 seconds together; the KCL
    /// itself tries for some seconds each time.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::TryAgain`] if the lease table is still overloaded then; [`CheckpointError::LeaseLost`] if another worker
    /// has the shard: stop handling; [`CheckpointError::OutOfRange`] if the record was not delivered or is before the last
    /// checkpoint; [`CheckpointError::NotNow`] without a lease table; [`CheckpointError::Other`] for other exceptions of the KCL;
    /// [`CheckpointError::Ended`] if the daemon is gone.
    pub async fn checkpoint(&mut self, position: &Position) -> Result<(), CheckpointError> {
        self.try_repeatedly(CheckpointAt::Position(position)).await
    }

    /// Makes a checkpoint after everything that was delivered. At the end of a shard, this lets the shards start that came
    /// from it.
    ///
    /// # Errors
    ///
    /// As [`checkpoint`](Self::checkpoint).
    pub async fn checkpoint_all(&mut self) -> Result<(), CheckpointError> {
        self.try_repeatedly(CheckpointAt::All).await
    }

    /// Returns whether a signal, such as SIGTERM, has announced that the daemon may stop soon: a checkpoint made now spares
    /// others from handling records again.
    #[must_use]
    pub fn is_hurried(&self) -> bool {
        self.0.hurried.load(Ordering::Relaxed)
    }

    async fn try_repeatedly(&mut self, at: CheckpointAt<'_>) -> Result<(), CheckpointError> {
        let mut failures = 0;
        loop {
            match self.0.try_checkpoint(at).await {
                Err(CheckpointError::TryAgain(exception)) if failures + 1 < CHECKPOINT_ATTEMPTS => {
                    tracing::warn!(exception, "a checkpoint is tried again");
                    sleep(Backoff::RECORDS.pause(failures, fastrand::f64())).await;
                    failures += 1;
                }
                result => return result,
            }
        }
    }
}

/// Reads lines until the input ends or the receiver is dropped.
fn read_lines(input: impl Read, lines: &mpsc::Sender<io::Result<Vec<u8>>>) {
    let mut input = BufReader::with_capacity(1 << 16, input);
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        let line = match read {
            Ok(_) if line.ends_with(b"\n") => Ok(line),
            Ok(read) if read as u64 == MAX_LINE => Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("a line has more than {MAX_LINE} bytes; a lower maxRecords makes lines shorter"),
            )),
            // A line without its line break was cut: the daemon is gone.
            Ok(_) => return,
            Err(error) => Err(error),
        };
        let failed = line.is_err();
        if lines.blocking_send(line).is_err() || failed {
            return;
        }
    }
}

impl std::fmt::Debug for Checkpointer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpointer")
            .field("protocol", &self.0.protocol)
            .finish_non_exhaustive()
    }
}
