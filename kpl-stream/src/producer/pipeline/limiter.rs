//! How much may be sent to a shard now.
//!
//! A token bucket, whose rate follows what the shard accepts. It starts at the documented rate, with a small burst. After a
//! refusal nothing is sent for about 150 ms, while tokens keep accruing, so that the pause costs nothing; then one Kinesis
//! record tries whether there is room again. While nothing is refused the rate rises, faster the longer that lasts.
//!
//! What a shard accepts in all is known, so what it accepted lately from this producer says what the others get. A refusal
//! lowers the rate accordingly:
//!
//! - A producer that gets nearly everything is alone, or nearly so: the rate is lowered very little.
//! - One that gets more than half is lowered to half. The others can take what it leaves.
//! - One that gets less than half is lowered to what it gets.
//!
//! So two producers come to equal shares after a few refusals. No refusal lowers the rate below a fixed share of what it
//! was, because a few refusals may be bad luck.
//!
//! Each request waits for a random part of a record more than it needs. Otherwise, a producer that sends exactly as much
//! as a shard accepts takes all the room as soon as there is any, and the single records of another one find none.
//!
//! A shard that accepts nothing for longer than the average looks back says nothing about its limits. Once it accepts
//! something again, the rate and the average are what they were before.
//!
//! The constants were found by simulation, against a token bucket and a fixed window of one second: tests/overload.rs has
//! the claims.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::lane::Amount;
use super::record::Times;

/// How much a shard accepts per second
/// ([limits](https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html)).
const RECORDS_PER_SECOND: f64 = 1000.0;
const BYTES_PER_SECOND: f64 = 1024.0 * 1024.0;

/// With a higher rate than this, the service is expected to accept more than it documents: an emulator, for example.
const DOCUMENTED: f64 = 2.0;
/// The seconds of tokens that a bucket has at first, and at most.
const FIRST_BURST: f64 = 0.10;
const LARGEST_BURST: f64 = 0.35;
/// Small records are sent together: as many as this many seconds of tokens allow.
const SENT_TOGETHER: f64 = 0.025;
const LOWEST_RATE: f64 = 1.0 / 16.0;
/// A refusal lowers the rate to what was accepted lately, but to at most half of what the shards accept. The rate that is
/// left is at least this share of what it was.
const HALF: f64 = 0.5;
const LEAST_KEPT: f64 = 0.5;
/// A producer that gets more than this share of what the shards accept counts as alone: a refusal lowers its rate by this
/// share only, from at most this rate. For one that gets less, this many times what it lacks is taken off as well.
const ALONE: f64 = 0.80;
const ALONE_CUT: f64 = 0.04;
const ALONE_RATE: f64 = 1.02;
const STEEPNESS: f64 = 10.0;
/// How fast the rate rises per second: below the documented rate by this share of its square root, and more after this
/// many seconds without a refusal; above it by this much.
const GROWTH: f64 = 0.036;
const GROWS_FASTER_AFTER: f64 = 2.5;
const GROWTH_ABOVE: f64 = 0.005;
/// What was accepted is averaged over this many seconds.
const LOOKS_BACK: f64 = 1.6;
/// The pauses after a refusal, in seconds: at first, and while nothing has been accepted for long.
const PAUSE: f64 = 0.15;
const LONG_PAUSE: f64 = 0.3;
/// For this long after a refusal, a shard has at most one request in flight.
const RESTRAINED_FOR: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(super) struct Limiter {
    /// The highest rate. Rates are multiples of what the shards accept.
    most: f64,
    /// What the shards accept, as a multiple of what one shard does.
    shards: f64,
    rate: f64,
    /// The tokens, in seconds of what the shards accept.
    records: f64,
    bytes: f64,
    /// How many tokens for bytes the next request waits for.
    enough: f64,
    at: Instant,
    /// How many seconds of what the shards accept were accepted lately.
    accepted: f64,
    first_used: Option<Instant>,
    refused: Option<Instant>,
    /// When the rate was last lowered. Answers to earlier requests do not lower it again.
    lowered: Option<Instant>,
    paused_until: Option<Instant>,
    /// Whether one Kinesis record is sent at a time, to try whether there is room.
    probing: bool,
    /// Since when nothing was accepted, and the rate and the average at that time.
    nothing_accepted: Option<(Instant, f64, f64)>,
}

impl Limiter {
    /// Creates a limiter for this many shards, with this highest rate.
    pub(super) fn new(most: f64, shards: f64, now: Instant) -> Self {
        let rate = if most > DOCUMENTED { most } else { most.min(1.0) };
        let burst = FIRST_BURST * rate.max(1.0);
        Self {
            most,
            shards,
            rate,
            records: burst,
            bytes: burst,
            enough: 0.0,
            at: now,
            accepted: 0.0,
            first_used: None,
            refused: None,
            lowered: None,
            paused_until: None,
            probing: false,
            nothing_accepted: None,
        }
    }

    /// Returns when the next request may be sent. That is in the past if it may be sent now.
    pub(super) fn free_at(&self) -> Instant {
        let one = 1.0 / (RECORDS_PER_SECOND * self.shards);
        let wait_records = (SENT_TOGETHER * self.rate).max(one) - self.records;
        let wait = wait_records.max(self.enough.max(SMALLEST) - self.bytes) / self.rate;
        let free = self.at + Duration::from_secs_f64(wait.clamp(0.0, 3600.0));
        self.paused_until.map_or(free, |until| until.max(free))
    }

    /// Returns whether there are tokens for another Kinesis record of the same request.
    pub(super) fn has_room(&self) -> bool {
        let one = 1.0 / (RECORDS_PER_SECOND * self.shards);
        // Times are rounded to nanoseconds.
        self.bytes > 0.0 && self.records >= one * 0.999
    }

    /// Returns whether only one Kinesis record may be sent at a time.
    pub(super) const fn is_probing(&self) -> bool {
        self.probing
    }

    /// Returns whether the shard refused something for lack of room not long ago.
    pub(super) fn is_restrained(&self) -> bool {
        let since = |refused| self.at.saturating_duration_since(refused);
        self.refused.is_some_and(|refused| since(refused) < RESTRAINED_FOR)
    }

    /// Takes the tokens for a Kinesis record of this size. One that needs more than there are leaves a debt.
    pub(super) fn take(&mut self, bytes: usize, now: Instant, random: &mut Rng) {
        self.advance(now);
        self.first_used.get_or_insert(now);
        let cost = self.cost(Amount { records: 1, bytes });
        self.records -= 1.0 / (RECORDS_PER_SECOND * self.shards);
        self.bytes -= bytes as f64 / (BYTES_PER_SECOND * self.shards);
        self.enough = if bytes > 1000 {
            (cost * random.f64()).min(ENOUGH * self.most_tokens())
        } else {
            0.0
        };
    }

    /// Takes what an answer says: how much was accepted, and how much was refused for lack of room.
    pub(super) fn answered(&mut self, accepted: Amount, refused: Amount, times: Times, random: &mut Rng) {
        let now = times.ended;
        self.advance(now);
        let is_long =
            |(since, ..): &(Instant, f64, f64)| now.saturating_duration_since(*since).as_secs_f64() > LOOKS_BACK;
        if accepted.records > 0
            && let Some((_, rate, accepted)) = self.nothing_accepted.take().filter(is_long)
        {
            (self.rate, self.accepted) = (rate, accepted);
        }
        self.accepted += self.cost(accepted);
        if refused.records == 0 {
            self.probing &= accepted.records == 0;
            return;
        }
        self.records = self.records.min(0.0);
        self.bytes = self.bytes.min(0.0);
        if self.refused.is_none() {
            self.rate = self.rate.min(1.0);
        }
        self.refused = Some(now);
        if accepted.records == 0 && self.nothing_accepted.is_none() {
            self.nothing_accepted = Some((now, self.rate, self.accepted));
        }
        self.probing = true;
        if self.lowered.is_some_and(|lowered| times.started < lowered) {
            return;
        }
        self.lowered = Some(now);
        let pause = if let Some((_, rate, accepted)) = self.nothing_accepted.filter(is_long) {
            (self.rate, self.accepted) = (rate, accepted);
            LONG_PAUSE
        } else {
            self.lower(now);
            PAUSE
        };
        let pause = pause * (0.75 + 0.5 * random.f64());
        self.paused_until = Some(now + Duration::from_secs_f64(pause));
    }

    fn lower(&mut self, now: Instant) {
        let used_for = self
            .first_used
            .map_or(0.0, |first| now.saturating_duration_since(first).as_secs_f64());
        let average = self.accepted / (LOOKS_BACK * (1.0 - (-used_for.max(0.5) / LOOKS_BACK).exp()));
        let fair = average.min(HALF);
        let alone = self.rate.min(ALONE_RATE) * (1.0 - ALONE_CUT) - STEEPNESS * (ALONE - average).max(0.0);
        let lowered = fair.max(alone).max(LEAST_KEPT * self.rate);
        self.rate = lowered.max(LOWEST_RATE).min(self.rate);
    }

    /// Returns how many seconds it takes the shards to accept this.
    fn cost(&self, amount: Amount) -> f64 {
        let records = amount.records as f64 / RECORDS_PER_SECOND;
        records.max(amount.bytes as f64 / BYTES_PER_SECOND) / self.shards
    }

    /// Returns how many tokens the bucket holds at most.
    fn most_tokens(&self) -> f64 {
        let burst = if self.rate > DOCUMENTED {
            self.rate
        } else {
            self.rate.clamp(0.1, 1.0)
        };
        LARGEST_BURST * burst
    }

    fn advance(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let most = self.most_tokens();
        self.records = (self.records + seconds * self.rate).min(most);
        self.bytes = (self.bytes + seconds * self.rate).min(most);
        self.accepted *= (-seconds / LOOKS_BACK).exp();
        if self.nothing_accepted.is_some() {
            return;
        }
        if self.rate < 1.0 {
            let since = self.refused.or(self.first_used);
            let quiet = since.map_or(0.0, |since| self.at.saturating_duration_since(since).as_secs_f64());
            let growth = GROWTH * self.rate.sqrt() * (1.0 + (quiet / GROWS_FASTER_AFTER).powi(2)) * seconds;
            self.rate = (self.rate + growth).min(self.most.min(1.0));
        } else {
            self.rate = (self.rate + GROWTH_ABOVE * seconds).min(self.most);
        }
    }
}

/// The fewest seconds of tokens with which anything is sent.
const SMALLEST: f64 = 1e-6;
/// A request waits for at most this share of the tokens that a bucket can hold.
const ENOUGH: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_in(limiter: &mut Limiter, from: Instant, milliseconds: u64, bytes: usize) -> usize {
        let mut random = Rng::with_seed(1);
        let mut sent = 0;
        for millisecond in 0..milliseconds {
            let now = from + Duration::from_millis(millisecond);
            if limiter.free_at() > now {
                continue;
            }
            limiter.advance(now);
            while limiter.has_room() {
                limiter.take(bytes, now, &mut random);
                sent += 1;
            }
            assert!(limiter.free_at() > now);
        }
        sent
    }

    #[test]
    fn lets_the_documented_rate_through_and_hardly_more() {
        let start = Instant::now();
        let sent = sent_in(&mut Limiter::new(1.5, 1.0, start), start, 10_000, 100);
        assert!((9_900..=10_500).contains(&sent), "{sent}");
        let sent = sent_in(&mut Limiter::new(0.5, 1.0, start), start, 10_000, 100);
        assert!((4_900..=5_200).contains(&sent), "{sent}");
        let sent = sent_in(&mut Limiter::new(1.5, 4.0, start), start, 10_000, 50_000);
        assert!((820..=890).contains(&sent), "{sent}");
    }

    #[test]
    fn slows_down_and_recovers() {
        let start = Instant::now();
        let mut limiter = Limiter::new(1.0, 1.0, start);
        let mut random = Rng::with_seed(1);
        let refused = Amount {
            records: 5,
            bytes: 250_000,
        };
        for millis in [0, 400, 800] {
            let at = |millis| start + Duration::from_millis(millis);
            let times = Times {
                started: at(millis),
                ended: at(millis + 20),
            };
            limiter.take(250_000, at(millis), &mut random);
            limiter.answered(
                Amount {
                    records: 1,
                    bytes: 50_000,
                },
                refused,
                times,
                &mut random,
            );
            assert!(limiter.free_at() > times.ended + Duration::from_millis(100));
        }
        assert!(limiter.rate < 0.6, "{}", limiter.rate);
        limiter.advance(start + Duration::from_secs(20));
        assert!(limiter.rate > 0.99, "{}", limiter.rate);
    }

    #[test]
    fn a_record_larger_than_the_bucket_goes_as_a_debt() {
        let start = Instant::now();
        let mut limiter = Limiter::new(1.0, 1.0, start);
        limiter.take(10 << 20, start, &mut Rng::with_seed(1));
        assert!(limiter.free_at() > start + Duration::from_secs(9));
        assert!(limiter.free_at() < start + Duration::from_secs(11));
    }
}
