//! How much the shards of a stream accept, as two kinds of limiters count it.

use std::time::{Duration, Instant};

/// What a shard accepts per second
/// ([limits](https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html)).
const RECORDS_PER_SECOND: f64 = 1000.0;
const BYTES_PER_SECOND: f64 = 1024.0 * 1024.0;

/// How a shard limits what it accepts: 1,000 records and 1 MiB per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A bucket that holds the room of one second, and fills up steadily.
    TokenBucket,
    /// In each second of the clock, the room of one second.
    FixedWindow,
}

/// The room that is left in a shard.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    records: f64,
    bytes: f64,
    /// When the bucket was last filled up, or the start of the window.
    at: Option<Instant>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            records: RECORDS_PER_SECOND,
            bytes: BYTES_PER_SECOND,
            at: None,
        }
    }
}

impl Room {
    /// Takes the room for a record of this size, if there is enough of it.
    pub fn take(&mut self, limit: Limit, bytes: usize, now: Instant) -> bool {
        let at = *self.at.get_or_insert(now);
        let elapsed = now.saturating_duration_since(at);
        match limit {
            Limit::TokenBucket => {
                let seconds = elapsed.as_secs_f64();
                self.records = (self.records + seconds * RECORDS_PER_SECOND).min(RECORDS_PER_SECOND);
                self.bytes = (self.bytes + seconds * BYTES_PER_SECOND).min(BYTES_PER_SECOND);
                self.at = Some(at.max(now));
            }
            Limit::FixedWindow if elapsed >= Duration::from_secs(1) => {
                *self = Self {
                    at: Some(at + Duration::from_secs(elapsed.as_secs())),
                    ..Self::default()
                };
            }
            Limit::FixedWindow => {}
        }
        let fits = self.records >= 1.0 && self.bytes >= bytes as f64;
        if fits {
            self.records -= 1.0;
            self.bytes -= bytes as f64;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(limit: Limit, bytes: usize, every: Duration, seconds: u64) -> usize {
        let start = Instant::now();
        let mut room = Room::default();
        let mut now = start;
        let mut count = 0;
        while now < start + Duration::from_secs(seconds) {
            count += usize::from(room.take(limit, bytes, now));
            now += every;
        }
        count
    }

    #[test]
    fn a_shard_accepts_so_many_records_and_bytes_per_second() {
        let often = Duration::from_micros(200);
        assert_eq!(accepted(Limit::FixedWindow, 100, often, 3), 3000);
        assert_eq!(accepted(Limit::FixedWindow, 50_000, often, 3), 60);
        // One second's bucket, and three seconds.
        assert!((3998..=4000).contains(&accepted(Limit::TokenBucket, 100, often, 3)));
        assert!((82..=83).contains(&accepted(Limit::TokenBucket, 50_000, often, 3)));
    }
}
