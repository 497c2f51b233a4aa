//! How much may be sent to a shard now: a token bucket that slows down when the service throttles.

use std::time::{Duration, Instant};

/// How much a shard accepts per second
/// ([limits](https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html)).
const RECORDS_PER_SECOND: f64 = 1000.0;
const BYTES_PER_SECOND: f64 = 1024.0 * 1024.0;

/// When throttled, halve the rate, at most once per interval and down to a floor; then raise it again by a tenth of the
/// full rate per second.
/// rate in a second.
const HALVED_AT_MOST_EVERY: Duration = Duration::from_millis(250);
const LOWEST_SCALE: f64 = 1.0 / 64.0;
const RECOVERY_PER_SECOND: f64 = 0.1;

#[derive(Clone, Debug)]
pub(super) struct Limiter {
    /// The rate, as a multiple of what one shard accepts.
    rate: f64,
    /// The fraction of the rate that is used now.
    scale: f64,
    records: f64,
    bytes: f64,
    at: Instant,
    halved: Option<Instant>,
}

impl Limiter {
    pub(super) fn new(rate: f64, now: Instant) -> Self {
        Self {
            rate,
            scale: 1.0,
            records: rate * RECORDS_PER_SECOND,
            bytes: rate * BYTES_PER_SECOND,
            at: now,
            halved: None,
        }
    }

    /// Takes the tokens for a record of this size, if there are any. A record that needs more than there are leaves a
    /// debt.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> bool {
        self.refill(now);
        // Times are rounded to nanoseconds.
        let free = self.records >= 0.999 && self.bytes > 0.0;
        if free {
            self.force(bytes);
        }
        free
    }

    /// Takes the tokens whether or not there are any.
    pub(super) fn force(&mut self, bytes: usize) {
        self.records -= 1.0;
        self.bytes -= bytes as f64;
    }

    /// Returns when the next record may be sent. That is in the past if it may be sent now.
    pub(super) fn free_at(&self) -> Instant {
        let scale = self.rate * self.scale;
        let wait_records = (1.0 - self.records) / (scale * RECORDS_PER_SECOND);
        let wait_bytes = (1.0 - self.bytes) / (scale * BYTES_PER_SECOND);
        let wait = wait_records.max(wait_bytes).clamp(0.0, 3600.0);
        self.at + Duration::from_secs_f64(wait)
    }

    /// Slows down: the service had no room.
    pub(super) fn throttled(&mut self, now: Instant) {
        self.refill(now);
        if self
            .halved
            .is_some_and(|at| now.saturating_duration_since(at) < HALVED_AT_MOST_EVERY)
        {
            return;
        }
        self.halved = Some(now);
        self.scale = (self.scale / 2.0).max(LOWEST_SCALE);
        self.records = self.records.min(0.0);
        self.bytes = self.bytes.min(0.0);
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let rate = self.rate * self.scale;
        self.records = (self.records + seconds * rate * RECORDS_PER_SECOND).min(rate * RECORDS_PER_SECOND);
        self.bytes = (self.bytes + seconds * rate * BYTES_PER_SECOND).min(rate * BYTES_PER_SECOND);
        self.scale = (self.scale + seconds * RECOVERY_PER_SECOND).min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_the_rate_through_and_no_more() {
        let start = Instant::now();
        let mut limiter = Limiter::new(1.5, start);
        let mut sent = 0;
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            while limiter.take(100, now) {
                sent += 1;
            }
            assert!(limiter.free_at() > now);
        }
        // One second's bucket, and ten seconds.
        assert!((16_490..=16_510).contains(&sent), "{sent}");
    }

    #[test]
    fn slows_down_and_recovers() {
        let start = Instant::now();
        let mut limiter = Limiter::new(1.0, start);
        limiter.throttled(start);
        limiter.throttled(start);
        assert!(!limiter.take(100, start));
        let mut second = |from: u64| {
            (0..1000)
                .filter(|ms| limiter.take(1, start + Duration::from_millis(from * 1000 + ms)))
                .count()
        };
        let first = second(0);
        assert!((400..700).contains(&first), "{first}");
        let later = second(20);
        assert!(later >= 999, "{later}");
    }

    #[test]
    fn a_record_larger_than_the_bucket_goes_as_a_debt() {
        let start = Instant::now();
        let mut limiter = Limiter::new(1.0, start);
        assert!(limiter.take(10 << 20, start));
        assert!(!limiter.take(1, start + Duration::from_secs(8)));
        assert!(limiter.free_at() > start + Duration::from_secs(8));
        assert!(limiter.take(1, start + Duration::from_secs(10)));
    }
}
