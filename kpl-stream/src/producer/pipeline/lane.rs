//! The way to one shard: whether it may be sent something now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::limiter::Limiter;
use super::record::Times;
use kpl_handler::Backoff;

/// If a shard is sent more than this in one request, it gets its records in bursts, so the request is sent now, as in
/// the KPL.
pub(super) const MAX_BYTES_PER_REQUEST: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Lane {
    /// No other lane of the stream has, or had, this number.
    pub(super) number: u64,
    /// The predicted shard, or `None` if shards cannot be predicted.
    pub(super) shard_id: Option<Arc<str>>,
    pub(super) limiter: Limiter,
    /// How many of its Kinesis records are in flight.
    in_flight: usize,
    /// How many attempts in a row failed, other than for a lack of room.
    failures: u32,
    failed: Option<Instant>,
    paused_until: Option<Instant>,
    /// How many complete Kinesis records wait, as the stream counts them.
    pub(super) full: usize,
    /// How much may wait until that changes.
    pub(super) grows_at: Amount,
}

/// What one answer says about a lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    pub(super) entries: usize,
    pub(super) accepted: Amount,
    pub(super) throttled: Amount,
    /// Whether an entry failed for another reason, and is sent again.
    pub(super) failed: bool,
}

/// A number of records, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Amount {
    pub(super) fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
    }
}

impl Lane {
    pub(super) fn new(number: u64, shard_id: Option<Arc<str>>, limiter: Limiter) -> Self {
        Self {
            number,
            shard_id,
            limiter,
            in_flight: 0,
            failures: 0,
            failed: None,
            paused_until: None,
            full: 0,
            grows_at: Amount::default(),
        }
    }

    /// Returns when something may be sent, or `None` if that depends on an answer. While a shard refuses records, it
    /// has at most one request in flight, so that the refused records are sent again before later ones.
    pub(super) fn free_at(&self) -> Option<Instant> {
        if self.in_flight > 0 && (self.failures > 0 || self.limiter.is_restrained()) {
            return None;
        }
        let free = self.limiter.free_at();
        Some(self.paused_until.map_or(free, |until| until.max(free)))
    }

    /// Notes that a Kinesis record of this size is being sent.
    pub(super) fn sent(&mut self, size: usize, now: Instant, random: &mut Rng) {
        self.in_flight += 1;
        self.limiter.take(size, now, random);
    }

    /// Takes the answer to a request. After a failure nothing is sent for a pause, which grows with each failure that
    /// follows, up to a quarter of the time to live: what fails now must not take later records their attempts.
    pub(super) fn answered(&mut self, verdict: Verdict, times: Times, record_ttl: Duration, random: &mut Rng) {
        self.in_flight = self.in_flight.saturating_sub(verdict.entries);
        self.limiter
            .answered(verdict.accepted, verdict.throttled, times, random);
        if verdict.accepted.records > 0 {
            self.failures = 0;
            self.paused_until = None;
        }
        // Requests that were sent together fail together.
        if verdict.failed && self.failed.is_none_or(|failed| failed <= times.started) {
            let pause = Backoff::RECORDS.pause(self.failures, random.f64()).min(record_ttl / 4);
            self.failures = self.failures.saturating_add(1);
            self.failed = Some(times.ended);
            self.paused_until = Some(times.ended + pause);
        }
    }

    /// Takes over what is known about the same shard.
    pub(super) fn succeed(&mut self, before: Self) {
        *self = Self {
            shard_id: self.shard_id.take(),
            full: 0,
            grows_at: Amount::default(),
            ..before
        };
    }
}
