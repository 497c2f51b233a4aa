//! How large the requests of a stream may be: smaller than the options say if the service refused less.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a limit that was learned holds before it doubles: whatever refused the requests may have changed.
const HELD_FOR: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct RequestSize {
    /// `collection_max_size`.
    most: usize,
    limit: usize,
    /// When the limit was learned or last raised, if it is below `most`.
    since: Option<Instant>,
    told: bool,
}

impl RequestSize {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            limit: most,
            since: None,
            told: false,
        }
    }

    /// Returns the most bytes that a request may have now if it has more than one entry.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Lowers the limit: a request of more than one entry was refused for its size, so later requests have at most half
    /// of it. Requests that were sent before this is known are refused as well, but change the limit little.
    pub(super) fn refused(&mut self, size: usize, stream: &str, now: Instant) {
        self.limit = self.limit.min(size / 2);
        self.since = Some(now);
        let limit = self.limit;
        if self.told {
            tracing::debug!(stream, size, limit, "a request was refused for its size");
        } else {
            self.told = true;
            tracing::warn!(
                stream,
                size,
                limit,
                "a request was refused for its size: further requests to this stream are smaller"
            );
        }
    }

    pub(super) fn grow(&mut self, now: Instant) {
        if self.since.is_some_and(|since| since + HELD_FOR <= now) {
            self.limit = self.limit.max(1).saturating_mul(2).min(self.most);
            self.since = (self.limit < self.most).then_some(now);
        }
    }
}

/// A request that was refused either for its size or because of one of its entries, and is sent again in two halves. If
/// the service accepts both, it was refused for its size.
#[derive(Debug)]
pub(super) struct Suspect {
    size: usize,
    halves_taken: AtomicUsize,
}

impl Suspect {
    pub(super) const fn new(size: usize) -> Self {
        Self {
            size,
            halves_taken: AtomicUsize::new(0),
        }
    }

    /// Notes that one of the halves was accepted. Returns the size of the whole if the other half was accepted
    /// before.
    pub(super) fn half_taken(&self) -> Option<usize> {
        (self.halves_taken.fetch_add(1, Ordering::Relaxed) == 1).then_some(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_half_of_what_was_refused_and_doubles_after_ten_minutes() {
        let start = Instant::now();
        let mut size = RequestSize::new(5000);
        size.refused(4000, "clicks", start);
        assert_eq!(size.limit(), 2000);
        // Sent before the limit was known.
        size.refused(4800, "clicks", start);
        assert_eq!(size.limit(), 2000);
        for (seconds, limit) in [(599, 2000), (600, 4000), (1199, 4000), (1200, 5000), (9000, 5000)] {
            size.grow(start + Duration::from_secs(seconds));
            assert_eq!(size.limit(), limit, "after {seconds} s");
        }
    }

    #[test]
    fn a_request_whose_halves_are_both_taken_was_too_large() {
        let suspect = Suspect::new(4000);
        assert_eq!(suspect.half_taken(), None);
        assert_eq!(suspect.half_taken(), Some(4000));
    }
}
