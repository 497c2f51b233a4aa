//! How much may be sent to a shard now: a token bucket that slows down when the service throttles.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::lane::Amount;
use super::record::Times;

/// How much a shard accepts per second
/// ([limits](https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html)).
const RECORDS_PER_SECOND: f64 = 1000.0;
const BYTES_PER_SECOND: f64 = 1024.0 * 1024.0;

#[derive(Clone, Debug)]
pub(super) struct Limiter {
    /// The highest rate, as a multiple of what one shard accepts.
    most: f64,
    /// The rate now.
    rate: f64,
    records: f64,
    bytes: f64,
    at: Instant,
    paused_until: Option<Instant>,
    throttled: Option<Instant>,
    in_a_row: i32,
}

impl Limiter {
    pub(super) fn new(rate: f64, shards: f64, now: Instant) -> Self {
        let most = rate * shards;
        Self {
            most,
            rate: most,
            records: most * RECORDS_PER_SECOND,
            bytes: most * BYTES_PER_SECOND,
            at: now,
            paused_until: None,
            throttled: None,
            in_a_row: 0,
        }
    }

    /// Returns when the next record may be sent. That is in the past if it may be sent now.
    pub(super) fn free_at(&self) -> Instant {
        let wait_records = (1.0 - self.records) / (self.rate * RECORDS_PER_SECOND);
        let wait_bytes = (1.0 - self.bytes) / (self.rate * BYTES_PER_SECOND);
        let wait = wait_records.max(wait_bytes).clamp(0.0, 3600.0);
        let free = self.at + Duration::from_secs_f64(wait);
        self.paused_until.map_or(free, |until| until.max(free))
    }

    /// Returns whether the shard refused something for lack of room not long ago.
    pub(super) fn is_restrained(&self) -> bool {
        self.throttled.is_some()
    }

    /// Takes the tokens for a record of this size. One that needs more than there are leaves a debt.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) {
        self.refill(now);
        self.records -= 1.0;
        self.bytes -= bytes as f64;
    }

    /// Takes what an answer says: how much was accepted, and how much was refused for lack of room.
    pub(super) fn answered(&mut self, accepted: Amount, refused: Amount, times: Times, random: &mut Rng) {
        let now = times.ended;
        self.refill(now);
        if accepted.records > 0 {
            self.in_a_row = 0;
        }
        if refused.records == 0 {
            return;
        }
        if self.throttled.is_none_or(|throttled| throttled <= times.started) {
            self.rate = (self.rate.min(1.05) * 0.94).max(1.0 / 64.0);
            let pause = (0.04 * 2_f64.powi(self.in_a_row)).min(0.2) * (0.75 + 0.5 * random.f64());
            self.paused_until = Some(now + Duration::from_secs_f64(pause));
            self.in_a_row += 1;
            self.throttled = Some(now);
        }
        self.records = self.records.min(0.0);
        self.bytes = self.bytes.min(0.0);
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.records = (self.records + seconds * self.rate * RECORDS_PER_SECOND).min(self.rate * RECORDS_PER_SECOND);
        self.bytes = (self.bytes + seconds * self.rate * BYTES_PER_SECOND).min(self.rate * BYTES_PER_SECOND);
        self.rate = (self.rate + seconds * 0.03).min(self.most);
    }
}
