//! Whether the output still has a reader.

use std::time::Duration;

use tokio::time::sleep;

/// The time between two checks.
const INTERVAL: Duration = Duration::from_millis(250);

/// Waits until standard output is a pipe whose reader has gone. Writing would fail then, but there may be nothing to
/// write for a long time.
pub(super) async fn closed() {
    while !is_closed() {
        sleep(INTERVAL).await;
    }
}

#[cfg(unix)]
fn is_closed() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let stdout = std::io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = poll(&mut watched, Some(&at_once)).is_ok();
    polled && watched.iter().any(|watched| watched.revents().contains(PollFlags::ERR))
}

#[cfg(not(unix))]
fn is_closed() -> bool {
    false
}
