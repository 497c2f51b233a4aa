//! Pauses between attempts.

use std::time::Duration;

/// Pauses that grow with each consecutive failure.
///
/// ```
/// use std::time::Duration;
/// use kpl_handler::Backoff;
///
/// assert_eq!(Backoff::RECORDS.pause(0, 1.0), Duration::from_millis(100));
/// assert_eq!(Backoff::RECORDS.pause(9, 0.0), Duration::from_millis(2500));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    growth: f64,
    longest: Duration,
}

impl Backoff {
    /// For sending or handling records again: from 100 ms to 5 s.
    pub const RECORDS: Self = Self {
        first: Duration::from_millis(100),
        growth: 2.0,
        longest: Duration::from_secs(5),
    };

    /// For repeating a request that changes nothing, such as listing shards or reading: from 1 s to 30 s.
    pub const READS: Self = Self {
        first: Duration::from_secs(1),
        growth: 1.5,
        longest: Duration::from_secs(30),
    };

    /// Returns the pause after a failure that follows `failures_before` others. `random` is between 0 and 1, and
    /// spreads the pauses of many clients between half of the full pause and all of it.
    #[must_use]
    pub fn pause(self, failures_before: u32, random: f64) -> Duration {
        let longest = self.longest.as_secs_f64();
        let growth = self.growth.powi(i32::try_from(failures_before).unwrap_or(i32::MAX));
        let full = (self.first.as_secs_f64() * growth).min(longest);
        Duration::from_secs_f64(full * (0.5 + 0.5 * random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_are_at_least_half_of_it() {
        let reads = [(0, 1000), (1, 1500), (2, 2250), (9, 30_000), (u32::MAX, 30_000)];
        let records = [(0, 100), (1, 200), (5, 3200), (6, 5000), (u32::MAX, 5000)];
        for (backoff, full_pauses) in [(Backoff::READS, reads), (Backoff::RECORDS, records)] {
            for (failures_before, full) in full_pauses {
                assert_eq!(backoff.pause(failures_before, 1.0), Duration::from_millis(full));
                assert_eq!(backoff.pause(failures_before, 0.0), Duration::from_millis(full) / 2);
            }
        }
    }
}
