//! The whole life of a shard, for programs that want more than a handler.

use std::future::Future;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kpl_handler::Error;

use crate::connection::{Checkpointer, Connection, Stop};
use crate::error::RunError;
use crate::protocol::{CheckpointError, Delivery, Message, Shard};
use crate::stdio;

/// The whole life of a shard: what a process does with each message of the daemon.
///
/// Most programs use a [`Handler`](crate::Handler), which is one. Implement it to decide yourself when checkpoints are made:
///
/// ```no_run
/// use kpl_core::{Origin, RawRecord, Received};
/// use kpl_kcl::{Checkpointer, Error, RunError, ShardProcessor};
/// use kpl_kcl::protocol::{Delivery, Shard};
///
/// struct Lines;
///
/// impl ShardProcessor for Lines {
///     async fn initialize(&mut self, shard: &Shard) -> Result<(), Error> {
///         eprintln!("{}: records start {}", shard.id, shard.start);
///         Ok(())
///     }
///
///     async fn process(&mut self, delivery: &Delivery<'_>, checkpointer: &mut Checkpointer<'_>) -> Result<(), Error> {
///         use kpl_kcl::protocol::CheckpointError;
///
///         for record in delivery.iter() {
///             let line = Received::<RawRecord>::read(&record, Origin::of(&record.kinesis_record))?;
///             eprintln!("{}", String::from_utf8_lossy(&line.value.data));
///         }
///         match checkpointer.checkpoint_all().await {
///             // The next one includes it.
///             Err(CheckpointError::TryAgain(_)) => Ok(()),
///             result => Ok(result?),
///         }
///     }
/// }
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), RunError> {
///     kpl_kcl::run_processor(Lines).await
/// }
/// ```
///
/// The methods are called one after another. If one of them returns an error, the process ends with it, and with the process the
/// daemon. [`CheckpointError::LeaseLost`] is the exception: nothing more is processed, and the daemon takes the process down by
/// [`lease_lost`](Self::lease_lost). If the daemon is gone, the future of the method is dropped.
pub trait ShardProcessor {
    /// Is called once, before everything else. No checkpoint can be made.
    ///
    /// # Errors
    ///
    /// The process ends with the error.
    fn initialize(&mut self, shard: &Shard) -> impl Future<Output = Result<(), Error>>;

    /// Handles records of the shard, in order. There may be none, if the daemon's properties ask for such calls.
    ///
    /// # Errors
    ///
    /// The process ends with the error.
    fn process(
        &mut self,
        delivery: &Delivery<'_>,
        checkpointer: &mut Checkpointer<'_>,
    ) -> impl Future<Output = Result<(), Error>>;

    /// Is called when another worker has the lease of the shard. No checkpoint can be made any more. The default does
    /// nothing.
    ///
    /// # Errors
    ///
    /// The process ends with the error.
    fn lease_lost(&mut self) -> impl Future<Output = Result<(), Error>> {
        async { Ok(()) }
    }

    /// Is called when all records of a shard that has ended were processed. It must make a checkpoint of
    /// everything, or the shards that came from this one never start. The default does that.
    ///
    /// # Errors
    ///
    /// The process ends with the error.
    fn shard_ended(&mut self, checkpointer: &mut Checkpointer<'_>) -> impl Future<Output = Result<(), Error>> {
        async { Ok(checkpointer.checkpoint_all().await?) }
    }

    /// Is called when the daemon was told to stop, if its property `shutdownGraceMillis` is not 0. The daemon waits that long
    /// for a last checkpoint. The default makes none.
    ///
    /// # Errors
    ///
    /// The process ends with the error.
    fn shutdown_requested(&mut self, checkpointer: &mut Checkpointer<'_>) -> impl Future<Output = Result<(), Error>> {
        let _ = checkpointer;
        async { Ok(()) }
    }
}

/// Serves the daemon on standard input and output with a processor, until the daemon ends the process.
///
/// From its first moment, standard input and output belong to the protocol: what the program, or one that it starts, prints goes
/// to standard error, where the daemon logs it, and standard input is empty for them. SIGTERM, SIGINT and SIGHUP do not end the process, because the daemon, which gets them as well or is left
/// running, says what is to be done.
///
/// # Errors
///
/// Returns the error of the processor, or why the daemon cannot be talked with. A `main` that returns it prints it on standard
/// error, where the daemon logs it with the shard.
///
/// # Panics
///
/// Panics outside a tokio runtime with I/O and time enabled, as `#[tokio::main]` has them.
pub async fn run_processor(processor: impl ShardProcessor) -> Result<(), RunError> {
    let (input, output) = stdio::take().map_err(RunError::Output)?;
    talk(processor, input, output, stdio::catch_signals()).await
}

/// Serves a daemon on other input and output than the standard ones, such as those of a test. As a daemon does, keep the input
/// open until the answer to its last message has been read: its end breaks off what is being handled.
///
/// ```
/// use kpl_kcl::{Handler, RawRecord, Received};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let daemon = "{\"action\":\"initialize\",\"shardId\":\"shardId-0\",\"sequenceNumber\":\"LATEST\"}\n";
/// let (reader, writer) = std::io::pipe()?;
/// let handler = Handler::per_record(|_: Received<RawRecord>| async { Ok::<_, std::io::Error>(()) });
/// kpl_kcl::serve(handler, daemon.as_bytes(), writer).await?;
/// assert_eq!(std::io::read_to_string(reader)?, "{\"action\":\"status\",\"responseFor\":\"initialize\"}\n");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns the error of the processor, or why the daemon cannot be talked with.
///
/// # Panics
///
/// Panics outside a tokio runtime with time enabled.
pub async fn serve(
    processor: impl ShardProcessor,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
) -> Result<(), RunError> {
    talk(processor, input, output, Arc::default()).await
}

async fn talk(
    mut processor: impl ShardProcessor,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    hurried: Arc<AtomicBool>,
) -> Result<(), RunError> {
    let mut connection = Connection::new(input, output, hurried).map_err(RunError::Input)?;
    let mut lease_is_lost = false;
    loop {
        match message(&mut processor, &mut connection, &mut lease_is_lost).await {
            Ok(()) => {}
            Err(Stop::Ended) => return Ok(()),
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
}

/// Returns the error of a processor by its kind.
fn classify(error: Error) -> RunError {
    match error.downcast::<RunError>() {
        Ok(error) => *error,
        Err(error) => match error.downcast::<CheckpointError>() {
            Ok(error) => RunError::Checkpoint(*error),
            Err(error) => RunError::Processor(error),
        },
    }
}

/// Waits for a message, and answers it.
async fn message(
    processor: &mut impl ShardProcessor,
    connection: &mut Connection,
    lease_is_lost: &mut bool,
) -> Result<(), Stop> {
    let line = connection.line().await?;
    let Some(message) = connection.receive(&line)? else {
        return Ok(());
    };
    let ended = connection.ended();
    let mut checkpointer = Checkpointer::new(connection);
    let handling = async {
        match &message {
            Message::Initialize(shard) => {
                tracing::info!(shard_id = shard.id, "records start {}", shard.start);
                processor.initialize(shard).await
            }
            Message::LeaseLost => {
                tracing::info!("the lease is lost");
                processor.lease_lost().await
            }
            // The lease was found to be lost by a checkpoint.
            _ if *lease_is_lost => Ok(()),
            Message::Records(delivery) => {
                tracing::debug!(records = delivery.len(), behind_latest = ?delivery.behind_latest(), "a delivery");
                processor.process(delivery, &mut checkpointer).await
            }
            Message::ShardEnded => {
                tracing::info!("the shard has ended");
                processor.shard_ended(&mut checkpointer).await
            }
            Message::ShutdownRequested => {
                tracing::info!("the daemon is told to stop");
                processor.shutdown_requested(&mut checkpointer).await
            }
            // It is an answer, and between messages none is awaited.
            Message::Checkpointed(_) => Ok(()),
        }
    };
    let result = tokio::select! {
        biased;
        result = handling => result,
        () = ended => return Err(Stop::Ended),
    };
    match result.map_err(classify) {
        Ok(()) | Err(RunError::Checkpoint(CheckpointError::Ended)) => {}
        Err(RunError::Checkpoint(CheckpointError::LeaseLost)) => *lease_is_lost = true,
        Err(error) => return Err(Stop::Failed(error)),
    }
    connection.answer().await
}
