//! The signals that ask a command to end: Ctrl-C, and on Unix SIGTERM and SIGHUP as well.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::problems::Stop;

/// Runs a command that decides itself what these signals do.
pub(crate) fn run<F: Future<Output = Result<(), Stop>>>(command: impl FnOnce(Interrupts) -> F) -> Result<(), Stop> {
    run_on(Runtime::new(), command)
}

/// Does the same on this thread and this many others.
pub(crate) fn run_with_threads<F: Future<Output = Result<(), Stop>>>(
    threads: usize,
    command: impl FnOnce(Interrupts) -> F,
) -> Result<(), Stop> {
    run_on(
        Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
        command,
    )
}

fn run_on<F: Future<Output = Result<(), Stop>>>(
    runtime: io::Result<Runtime>,
    command: impl FnOnce(Interrupts) -> F,
) -> Result<(), Stop> {
    let runtime = runtime.map_err(|error| Stop::Usage(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(async {
        let interrupts = Interrupts::listen()?;
        command(interrupts.clone()).await?;
        match *interrupts.0.borrow() {
            Received { first: Some(code), .. } => Err(Stop::Interrupted(code)),
            Received { first: None, .. } => Ok(()),
        }
    });
    // Requests that are still in flight need not be awaited.
    runtime.shutdown_background();
    result
}

/// Counts these signals.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts(watch::Receiver<Received>);

#[derive(Clone, Copy, Debug, Default)]
struct Received {
    count: u32,
    /// The exit code for the first of them.
    first: Option<u8>,
}

impl Interrupts {
    /// From now on these signals do not end the process.
    fn listen() -> Result<Self, Stop> {
        let (sender, receiver) = watch::channel(Received::default());
        for (code, mut signal) in signals().map_err(|error| Stop::Usage(format!("cannot handle signals: {error}")))? {
            let sender = sender.clone();
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    sender.send_modify(|received| {
                        received.count += 1;
                        received.first.get_or_insert(code);
                    });
                }
            });
        }
        Ok(Self(receiver))
    }

    /// Returns whether there was one.
    pub(crate) fn any(&self) -> bool {
        self.0.borrow().count > 0
    }

    /// Waits until there were this many.
    pub(crate) async fn times(&mut self, times: u32) {
        if self.0.wait_for(|received| received.count >= times).await.is_err() {
            // The listening tasks have ended.
            std::future::pending::<()>().await;
        }
    }
}

/// Returns each signal with its exit code: 128 and its number, as shells have it.
#[cfg(unix)]
fn signals() -> std::io::Result<Vec<(u8, tokio::signal::unix::Signal)>> {
    use tokio::signal::unix::{SignalKind, signal};

    let kinds = [
        (130, SignalKind::interrupt()),
        (143, SignalKind::terminate()),
        (129, SignalKind::hangup()),
    ];
    kinds
        .into_iter()
        .map(|(code, kind)| Ok((code, signal(kind)?)))
        .collect()
}

#[cfg(windows)]
fn signals() -> std::io::Result<Vec<(u8, tokio::signal::windows::CtrlC)>> {
    Ok(vec![(130, tokio::signal::windows::ctrl_c()?)])
}
