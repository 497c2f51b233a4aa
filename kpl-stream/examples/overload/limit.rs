//! The whole limit: a saturated producer uses what its shards take, with few refused entries, and shares it fairly.

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

/// The seconds after a shard's first entry that are measured: its bucket is empty by then.
const FIRST: usize = 3;
const SECONDS: usize = 10;

/// How much is kept waiting, in seconds of what the shards take.
const BACKLOG: usize = 4;

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
    // So many side by side that the machine is not what limits them.
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
        let counts = join_all(cases.iter().map(|case| case.counts(server))).await;
        for (case, counts) in cases.iter().zip(counts) {
            case.report(&counts?, report);
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

    /// Saturates a stream. Returns what it counted.
    async fn counts(self, server: &ThrottlingServer) -> Result<Counts> {
        let name = format!("limit {}", self.name());
        let name = name.replace([' ', ','], "-");
        server.create_stream(&name, self.shards as u128, Some(self.limit));
        let mut sending = Vec::new();
        for access_key_id in self.producers {
            sending.push(self.saturate(server, &name, access_key_id).await?);
        }
        let counts = self.wait(server, &name).await;
        sending.iter().for_each(JoinHandle::abort);
        counts
    }

    /// Starts a producer whose buffer is always full.
    async fn saturate(self, server: &ThrottlingServer, name: &str, access_key_id: &str) -> Result<JoinHandle<()>> {
        let waiting = BACKLOG * self.shards * MIB as usize / self.bytes;
        let config = server.config(access_key_id).await;
        let producer = Producer::builder()
            .load_aws_config(&config)
            .max_buffered_bytes(waiting * (self.bytes + BYTES_PER_RECORD))
            .max_buffered_records(waiting)
            .record_ttl(Duration::from_secs(60))
            .build()?;
        let stream: StreamProducer<RawRecord> = producer.stream(name).await?;
        let bytes = self.bytes;
        Ok(tokio::spawn(async move {
            for number in 0_u64.. {
                let record = RawRecord::new(format!("{number:08}"), vec![b'.'; bytes]);
                // The server counts what becomes of it.
                if stream.send(record).await.is_err() {
                    return;
                }
            }
        }))
    }

    /// Waits until every shard was measured long enough.
    async fn wait(self, server: &ThrottlingServer, name: &str) -> Result<Counts> {
        let enough = Duration::from_secs((FIRST + SECONDS) as u64);
        let started = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let counts = server.counts(name);
            let is_done = |shard: &ShardCounts| shard.first.is_some_and(|first| first.elapsed() > enough);
            if counts.shards.iter().all(is_done) {
                return Ok(counts);
            }
            if started.elapsed() > enough + Duration::from_secs(10) {
                return Err(format!("{}: not every shard was sent to", self.name()).into());
            }
        }
    }

    fn report(self, counts: &Counts, report: &mut Report) {
        let used: u64 = counts.shards.iter().map(|shard| measured(shard).sum::<u64>()).sum();
        let possible: u64 = counts.shards.iter().map(|shard| self.possible(shard)).sum();
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
    fn possible(self, shard: &ShardCounts) -> u64 {
        match self.limit {
            Limit::TokenBucket => {
                // What is in the bucket at first.
                let before: u64 = shard.seconds.iter().take(FIRST).sum();
                let left = ((1 + FIRST as u64) * MIB).saturating_sub(before).min(MIB);
                left + SECONDS as u64 * MIB
            }
            Limit::FixedWindow => {
                // Large records fill a window only up to the last one that fits whole; small ones fill it.
                let alone = (self.bytes + "00000000".len()) as u64;
                let entry = if self.bytes * 2 > kpl_core::DEFAULT_MAX_SIZE {
                    alone
                } else {
                    1
                };
                SECONDS as u64 * (MIB / entry * entry)
            }
        }
    }
}

/// Returns what a shard accepted in each of the measured seconds.
fn measured(shard: &ShardCounts) -> impl Iterator<Item = u64> {
    shard.seconds.iter().skip(FIRST).take(SECONDS).copied()
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}
