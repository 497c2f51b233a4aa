//! What a process has in common with its daemon: standard input and output, and signals.

#[cfg(unix)]
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Takes standard input and output for the protocol, also from the programs that this one starts. Standard input is empty from
/// now on, and what is printed on standard output goes to standard error.
#[cfg(unix)]
pub(crate) fn take() -> io::Result<(File, File)> {
    hint();
    let input = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let output = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok((File::from(input), File::from(output)))
}

/// Returns standard input and output. Where there are no file descriptors, nothing protects them.
#[cfg(not(unix))]
pub(crate) fn take() -> io::Result<(io::Stdin, io::Stdout)> {
    hint();
    Ok((io::stdin(), io::stdout()))
}

/// Tells what the program is for, if it was started by hand.
fn hint() {
    if io::stdin().is_terminal() {
        eprintln!(
            "This program is started by the MultiLangDaemon of the Kinesis Client Library, and talks with it on standard input."
        );
    }
}

/// Keeps SIGTERM, SIGINT and SIGHUP from ending the process. Returns whether one has arrived.
pub(crate) fn catch_signals() -> Arc<AtomicBool> {
    let arrived = Arc::new(AtomicBool::new(false));
    for signal in signals() {
        tokio::spawn(note(signal, Arc::clone(&arrived)));
    }
    arrived
}

#[cfg(unix)]
fn signals() -> Vec<Signal> {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let caught = kinds.into_iter().filter_map(|kind| match signal(kind) {
        Ok(signal) => Some(signal),
        Err(error) => {
            tracing::warn!(%error, "a signal cannot be caught");
            None
        }
    });
    caught.collect()
}

#[cfg(unix)]
async fn note(mut signal: Signal, arrived: Arc<AtomicBool>) {
    while signal.recv().await.is_some() {
        tracing::info!("a signal asks the process to end: it waits for what the daemon says");
        arrived.store(true, Ordering::Relaxed);
    }
}

#[cfg(not(unix))]
fn signals() -> [(); 1] {
    [()]
}

#[cfg(not(unix))]
async fn note((): (), arrived: Arc<AtomicBool>) {
    while tokio::signal::ctrl_c().await.is_ok() {
        tracing::info!("a signal asks the process to end: it waits for what the daemon says");
        arrived.store(true, Ordering::Relaxed);
    }
}
