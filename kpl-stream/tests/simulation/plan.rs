//! What a seed determines: the options, the streams, the faults.

use std::time::Duration;

use fastrand::Rng;
use kpl_stream::Options;
use kpl_testkit::service::{Faults, Limit};

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) options: Options,
    pub(crate) faults: Faults,
    pub(crate) streams: Vec<StreamPlan>,
    /// How many pipelines share the streams.
    pub(crate) producers: usize,
    pub(crate) records: usize,
    /// Records arrive within this time. After it, nothing changes and nothing fails.
    pub(crate) span: Duration,
    /// The number of splits and merges.
    pub(crate) reshardings: usize,
    /// How many times the clock jumps ahead.
    pub(crate) jumps: usize,
    /// When everything is given up.
    pub(crate) abandoned: Option<Duration>,
    /// When the service does not answer.
    pub(crate) stalled: Option<(Duration, Duration)>,
    /// The chance that a record makes the service refuse the whole request.
    pub(crate) poison: f64,
    /// The most records without an outcome.
    pub(crate) budget: usize,
    pub(crate) body_limit: Option<BodyLimit>,
    pub(crate) outage: Option<Outage>,
    /// Whether most records are so large that they fill a shard.
    pub(crate) large: bool,
}

/// Every request fails for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) kind: OutageKind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum OutageKind {
    Unavailable,
    Throttled,
    Unanswered,
    ExpiredCredentials,
}

/// The service refuses requests that are larger than this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit {
    /// The bytes of all entries.
    pub(crate) bytes: usize,
    /// Whether the answer names the reason, or only says that something is wrong.
    pub(crate) says_so: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct StreamPlan {
    pub(crate) shards: usize,
    pub(crate) auto: bool,
    /// Whether DescribeStreamSummary reports the distribution.
    pub(crate) described: bool,
    /// When the stream comes into being.
    pub(crate) exists_from: Duration,
    /// Whether listing the shards is denied.
    pub(crate) unlistable: bool,
    pub(crate) limit: Option<Limit>,
}

impl Plan {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut options = Options::default();
        options.record_max_buffered_time = Duration::from_millis(rng.u64(0..300));
        options.record_ttl = Duration::from_millis(rng.u64(2_000..60_000));
        options.request_timeout = Duration::from_millis(rng.u64(500..8_000));
        options.aggregation_enabled = rng.u8(0..10) > 0;
        options.aggregation_max_size = *pick(rng, &[600, 2_000, 10_000, 51_200]);
        options.aggregation_max_count = *pick(rng, &[2, 10, 100, usize::MAX]);
        options.collection_max_count = *pick(rng, &[1, 3, 20, 500]);
        options.collection_max_size = *pick(rng, &[2_000, 100_000, 5 << 20]);
        options.max_buffered_bytes = *pick(rng, &[1 << 20, 64 << 20]);
        options.rate_limit = *pick(rng, &[150, 150, 100, 100_000]);
        options.max_connections = *pick(rng, &[1, 2, 24]);
        options.ordered = rng.u8(0..3) == 0;
        options.fail_if_throttled = rng.u8(0..12) == 0;
        options.shard_refresh_interval = Duration::from_secs(rng.u64(3..120));
        let calm = rng.u8(0..6) == 0;
        let chance = |rng: &mut Rng, most: f64| if calm || rng.bool() { 0.0 } else { rng.f64() * most };
        let faults = Faults {
            throttled: chance(rng, 0.3),
            failed: chance(rng, 0.2),
            lost: chance(rng, 0.1),
            cut: chance(rng, 0.15),
            late: chance(rng, 0.05),
            miscounted: chance(rng, 0.1),
            request_throttled: chance(rng, 0.2),
            broken: chance(rng, 0.2),
            unlisted: chance(rng, 0.5),
        };
        let poison = if rng.u8(0..5) == 0 { 0.01 } else { 0.0 };
        // If the answer does not name the reason, an entry that is too large looks like one bad entry: leave room for
        // each.
        let body_limit = (rng.u8(0..5) == 0).then(|| match rng.bool() {
            true => BodyLimit {
                bytes: rng.usize(1_000..60_000),
                says_so: true,
            },
            false => BodyLimit {
                bytes: rng.usize(62_000..200_000),
                says_so: false,
            },
        });
        let large = rng.u8(0..8) == 0;
        let span = Duration::from_millis(rng.u64(100..if large { 4_000 } else { 40_000 }));
        let within = |rng: &mut Rng| Duration::from_millis(rng.u64(0..=span.as_millis() as u64));
        Self {
            streams: (0..rng.usize(1..4)).map(|_| StreamPlan::new(rng, large)).collect(),
            producers: if rng.u8(0..4) == 0 { 2 } else { 1 },
            records: rng.usize(20..400),
            reshardings: if rng.bool() { rng.usize(0..8) } else { 0 },
            jumps: if rng.u8(0..6) == 0 { rng.usize(1..3) } else { 0 },
            abandoned: (rng.u8(0..8) == 0).then(|| within(rng)),
            stalled: (rng.u8(0..6) == 0).then(|| (within(rng), Duration::from_millis(rng.u64(100..15_000)))),
            budget: *pick(rng, &[20, 100, 1_000]),
            outage: (rng.u8(0..5) == 0).then(|| {
                let from = within(rng);
                // Some are shorter than the time to live, and some longer.
                let time = options.record_ttl.mul_f64(rng.f64() * 1.5);
                let kinds = [
                    OutageKind::Unavailable,
                    OutageKind::Throttled,
                    OutageKind::Unanswered,
                    OutageKind::ExpiredCredentials,
                ];
                Outage {
                    from,
                    to: from + time,
                    kind: *pick(rng, &kinds),
                }
            }),
            large,
            options,
            faults,
            span,
            poison,
            body_limit,
        }
    }
}

impl StreamPlan {
    fn new(rng: &mut Rng, large: bool) -> Self {
        let auto = rng.u8(0..8) == 0;
        Self {
            shards: rng.usize(1..if large { 3 } else { 6 }),
            auto,
            described: rng.bool(),
            exists_from: if rng.u8(0..6) == 0 {
                Duration::from_millis(rng.u64(0..8_000))
            } else {
                Duration::ZERO
            },
            unlistable: rng.u8(0..12) == 0,
            limit: *pick(rng, &[None, Some(Limit::TokenBucket), Some(Limit::FixedWindow)]),
        }
    }
}

pub(crate) fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(0..of.len())]
}
