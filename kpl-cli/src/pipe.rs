//! Whether anybody reads the output.

use std::time::Duration;

use tokio::time::sleep;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// Waits until standard output is a pipe that nobody reads any more. Writing would tell as well, but there may be nothing
/// to write for long.
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
