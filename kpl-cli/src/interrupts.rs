//! Ctrl-C.

use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::problems::Stop;

/// Runs a command that decides itself what Ctrl-C does.
pub(crate) fn run<F: Future<Output = Result<(), Stop>>>(command: impl FnOnce(Interrupts) -> F) -> Result<(), Stop> {
    let runtime = Runtime::new().map_err(|error| Stop::Usage(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(async { command(Interrupts::listen()?).await });
    // Requests that are still in flight need not be awaited.
    runtime.shutdown_background();
    result
}

/// Counts how often Ctrl-C was pressed.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts(watch::Receiver<u32>);

impl Interrupts {
    /// From now on Ctrl-C does not end the process.
    fn listen() -> Result<Self, Stop> {
        let mut pressed = signals().map_err(|error| Stop::Usage(format!("cannot handle Ctrl-C: {error}")))?;
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            while pressed.recv().await.is_some() {
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Self(receiver))
    }

    /// Returns whether it was pressed.
    pub(crate) fn any(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until it was pressed this many times.
    pub(crate) async fn pressed(&mut self, times: u32) {
        if self.0.wait_for(|&count| count >= times).await.is_err() {
            // The listening task has ended.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
fn signals() -> std::io::Result<tokio::signal::unix::Signal> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
}

#[cfg(windows)]
fn signals() -> std::io::Result<tokio::signal::windows::CtrlC> {
    tokio::signal::windows::ctrl_c()
}
