//! The clock: tokio's, so that tests can pause it. Times that are too late for it do not overflow.

use std::time::{Duration, Instant};

/// Longer than any process runs, and short enough for the clocks of all platforms.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the time this long after `start`. Durations of more than 30 years count as 30 years.
pub(crate) fn after(start: Instant, duration: Duration) -> Instant {
    start + at_most_forever(duration)
}

/// Returns a duration that is at most 30 years, so that arithmetic with it does not overflow.
pub(crate) fn at_most_forever(duration: Duration) -> Duration {
    duration.min(FOREVER)
}
