//! The whole limit: a saturated producer uses what its shards take, with few refused entries, and shares it fairly.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kpl_core::RawRecord;
use kpl_stream::{BYTES_PER_RECORD, Producer, StreamProducer};
use kpl_testkit::limit::Limit;
use kpl_testkit::throttling::{Counts, ShardCounts, ThrottlingServer};
use tokio::task::JoinHandle;

use crate::Result;
use crate::report::Report;

const MIB: u64 = 1 << 20;

/// How many seconds are measured, once the producers' buffers are full.
const SECONDS: usize = 10;

/// How long it may take to fill the buffers, and to send to every shard.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much is kept waiting, in seconds of what the shards take.
const BACKLOG: usize = 4;

/// Keys have this many bytes.
const KEY: usize = 8;

/// Records of one size for one stream.
#[derive(Clone, Copy)]
struct Case {
    bytes: usize,
    shards: usize,
    limit: Limit,
    producers: &'static [&'static str],
}

const ONE: &[&str] = &["one"];
const TWO: &[&str] = &["one", "two"];

pub(crate) async fn measure(server: &ThrottlingServer, report: &mut Report) -> Result<()> {
    // The cases of a group run side by side. A group is small enough that the machine does not limit it.
    for side_by_side in [&[(1, ONE), (1, TWO)][..], &[(8, ONE)]] {
        let mut cases = Vec::new();
        for &(shards, producers) in side_by_side {
            for bytes in [100, 1000, 50_000] {
                for limit in [Limit::TokenBucket, Limit::FixedWindow] {
                    cases.push(Case {
                        bytes,
                        shards,
                        limit,
                        producers,
                    });
                }
            }
        }
        let saturated = join_all(cases.iter().map(|case| case.saturate(server))).await;
        for (case, saturated) in cases.iter().zip(saturated) {
            case.report(&saturated?, report);
        }
    }
    Ok(())
}

impl Case {
    fn name(self) -> String {
        let limit = match self.limit {
            Limit::TokenBucket => "token bucket",
            Limit::FixedWindow => "fixed window",
        };
        let (shards, s) = (self.shards, if self.shards == 1 { "" } else { "s" });
        let producers = if self.producers.len() == 1 {
            ""
        } else {
            ", two producers"
        };
        format!("{} B, {shards} shard{s}, {limit}{producers}", self.bytes)
    }

    /// Sends more than the stream takes, until every shard was saturated long enough.
    async fn saturate(self, server: &ThrottlingServer) -> Result<Saturated> {
        let name = format!("limit {}", self.name());
        let name = name.replace([' ', ','], "-");
        server.create_stream(&name, self.shards as u128, Some(self.limit));
        let mut sending = Vec::new();
        for access_key_id in self.producers {
            sending.push(self.send(server, &name, access_key_id).await?);
        }
        let saturated = self.wait(server, &name, &sending).await;
        sending.iter().for_each(|sending| sending.task.abort());
        saturated
    }

    /// Starts a producer whose buffer is always full.
    async fn send(self, server: &ThrottlingServer, name: &str, access_key_id: &str) -> Result<Sending> {
        let waiting = BACKLOG * self.shards * MIB as usize / self.bytes;
        let config = server.config(access_key_id).await;
        let producer = Producer::builder()
            .load_aws_config(&config)
            .max_buffered_bytes(waiting * (2 * self.bytes + BYTES_PER_RECORD) / 3 * 4)
            .max_buffered_records(waiting)
            .record_ttl(Duration::from_secs(60))
            .build()?;
        let stream: StreamProducer<RawRecord> = producer.stream(name).await?;
        let bytes = self.bytes;
        let full = Arc::new(OnceLock::new());
        let is_full = Arc::clone(&full);
        let task = tokio::spawn(async move {
            for number in 0_u64.. {
                let record = RawRecord::new(format!("{number:0KEY$}"), vec![b'.'; bytes]);
                // The server counts what becomes of it.
                if let Err(error) = stream.try_send(record) {
                    is_full.get_or_init(Instant::now);
                    if stream.send(error.record).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Sending { task, full })
    }

    async fn wait(self, server: &ThrottlingServer, name: &str, sending: &[Sending]) -> Result<Saturated> {
        let started = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let full: Option<Vec<Instant>> = sending.iter().map(|sending| sending.full.get().copied()).collect();
            if let Some(full) = full.and_then(|full| full.into_iter().max()) {
                let saturated = Saturated {
                    counts: server.counts(name),
                    full,
                };
                if saturated.counts.shards.iter().all(|shard| saturated.is_measured(shard)) {
                    return Ok(saturated);
                }
            }
            if started.elapsed() > PATIENCE + Duration::from_secs(SECONDS as u64) {
                return Err(format!("{}: it was not saturated", self.name()).into());
            }
        }
    }

    fn report(self, saturated: &Saturated, report: &mut Report) {
        let counts = &saturated.counts;
        let used: u64 = counts.shards.iter().map(|shard| saturated.used(shard)).sum();
        let possible = counts
            .shards
            .iter()
            .map(|shard| self.possible(shard, saturated.first_second(shard)));
        let possible: u64 = possible.sum();
        let of_possible = percent(used, possible);
        let of_nominal = percent(used, MIB * (SECONDS * self.shards) as u64);
        let possible_of_nominal = percent(possible, MIB * (SECONDS * self.shards) as u64);
        let totals = counts.totals();
        let refused = percent(totals.refused, totals.sent());
        let mut shown = format!(
            "{of_possible:.1} % ({of_nominal:.1} of {possible_of_nominal:.1} % of 1 MiB/s), refused {refused:.1} %"
        );
        let mut wanted = ">= 95 %, refused <= 10 %".to_owned();
        let mut ok = of_possible >= 95.0 && refused <= 10.0;
        if let [one, two] = self.producers {
            let [one, two] = [one, two].map(|name| counts.of_client(name).accepted_bytes);
            let share = percent(one, one + two);
            shown += &format!(", shares {share:.0} : {:.0}", 100.0 - share);
            wanted += ", 40..60 %";
            ok &= (40.0..=60.0).contains(&share);
        }
        report.figure(self.name(), shown, wanted, ok);
    }

    /// Returns how many bytes the limiter of a shard could accept in the measured seconds.
    fn possible(self, shard: &ShardCounts, first_second: usize) -> u64 {
        let seconds = SECONDS as u64;
        match self.limit {
            Limit::TokenBucket => {
                // What is in the bucket at first: it starts full, and cannot hold more than one second's room.
                let before = shard.seconds.iter().take(first_second);
                let left = before.fold(MIB, |left, taken| (left + MIB).saturating_sub(*taken).min(MIB));
                left + seconds * MIB
            }
            Limit::FixedWindow if self.bytes * 2 > kpl_core::DEFAULT_MAX_SIZE => {
                // Each record is alone, and a window holds only whole ones.
                let entry = (self.bytes + KEY) as u64;
                seconds * (MIB / entry * entry)
            }
            Limit::FixedWindow => seconds * MIB,
        }
    }
}

/// A producer that is at work.
struct Sending {
    task: JoinHandle<()>,
    /// When its buffer was full for the first time.
    full: Arc<OnceLock<Instant>>,
}

/// What a stream counted, and since when there was more than it takes.
struct Saturated {
    counts: Counts,
    full: Instant,
}

impl Saturated {
    /// Returns the first second that is measured, counted from the shard's first entry.
    fn first_second(&self, shard: &ShardCounts) -> usize {
        let before = shard
            .first
            .map_or(Duration::ZERO, |first| self.full.saturating_duration_since(first));
        before.as_secs() as usize + 1
    }

    fn is_measured(&self, shard: &ShardCounts) -> bool {
        let end = Duration::from_secs((self.first_second(shard) + SECONDS) as u64);
        shard.first.is_some_and(|first| first.elapsed() > end)
    }

    /// Returns how many bytes a shard accepted in the measured seconds.
    fn used(&self, shard: &ShardCounts) -> u64 {
        shard.seconds.iter().skip(self.first_second(shard)).take(SECONDS).sum()
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}
