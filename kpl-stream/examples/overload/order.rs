//! Oldest first: records complete in the order in which they were accepted, but for the width of one request, and if some
//! must expire, they are the oldest.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kpl_core::{Aggregator, RawRecord};
use kpl_stream::{Producer, StreamProducer};
use kpl_testkit::limit::Limit;
use kpl_testkit::throttling::ThrottlingServer;

use crate::Result;
use crate::report::Report;

const LIMITS: [(Limit, &str); 2] = [
    (Limit::TokenBucket, "token bucket"),
    (Limit::FixedWindow, "fixed window"),
];

const MIB: f64 = 1_048_576.0;

/// The most records of 1,000 bytes in one request for a shard, which carries at most 256 KiB.
const WIDTH: usize = (256 * 1024_usize).div_ceil(1000);

/// How many records are sent at once.
const BURST: usize = 12_000;

/// How long twice of what the shard takes is sent, and the time to live of those records.
const OVERLOAD: Duration = Duration::from_secs(12);
const TTL: Duration = Duration::from_secs(5);

pub(crate) async fn measure(server: &ThrottlingServer, report: &mut Report) -> Result<()> {
    let all = LIMITS.map(|(limit, name)| async move {
        let burst = burst(server, limit);
        let overload = overload(server, limit);
        let (burst, overload) = tokio::join!(burst, overload);
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((name, burst?, overload?))
    });
    for one in futures_util::future::join_all(all).await {
        let (name, burst, overload) = one?;
        report_burst(&burst, name, report);
        report_overload(&overload, name, report);
    }
    Ok(())
}

/// What became of a record.
struct Outcome {
    /// How many records were accepted before.
    number: usize,
    accepted: Instant,
    completed: Instant,
    delivered: bool,
}

fn record(number: usize) -> RawRecord {
    RawRecord::new(number.to_string(), vec![b'.'; 1000])
}

async fn open(
    server: &ThrottlingServer,
    name: &str,
    limit: Limit,
    record_ttl: Duration,
) -> Result<StreamProducer<RawRecord>> {
    server.create_stream(name, 1, Some(limit));
    let config = server.config("order").await;
    let producer = Producer::builder().load_aws_config(&config).record_ttl(record_ttl);
    Ok(producer.build()?.stream(name).await?)
}

/// Sends records, all at once or this many per second. Returns their outcomes in the order of completion.
async fn outcomes(stream: &StreamProducer<RawRecord>, count: usize, per_second: Option<f64>) -> Result<Vec<Outcome>> {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    // It returns what is complete in the order in which it was.
    let mut waiting = FuturesUnordered::new();
    let mut complete = Vec::with_capacity(count);
    let mut sent = 0;
    loop {
        tokio::select! {
            _ = ticks.tick(), if sent < count => {
                let due = per_second.map_or(count, |rate| (started.elapsed().as_secs_f64() * rate) as usize);
                for number in sent..due.min(count) {
                    let delivery = stream.send(record(number)).await?;
                    let accepted = Instant::now();
                    waiting.push(async move {
                        let delivered = delivery.await.is_ok();
                        Outcome { number, accepted, completed: Instant::now(), delivered }
                    });
                }
                sent = due.min(count);
            }
            Some(outcome) = waiting.next() => complete.push(outcome),
            else => return Ok(complete),
        }
    }
}

async fn burst(server: &ThrottlingServer, limit: Limit) -> Result<Vec<Outcome>> {
    let name = format!("order-burst-{limit:?}");
    let stream = open(server, &name, limit, Duration::from_secs(60)).await?;
    outcomes(&stream, BURST, None).await
}

fn report_burst(outcomes: &[Outcome], limit: &str, report: &mut Report) {
    let delivered = outcomes.iter().filter(|outcome| outcome.delivered).count();
    report.figure(
        format_args!("12,000 records at once, {limit}: delivered"),
        delivered,
        BURST,
        delivered == BURST,
    );
    let overtaken = most_overtaken(outcomes);
    report.figure(
        format_args!("12,000 records at once, {limit}: a record was overtaken by"),
        format_args!("at most {overtaken}"),
        format_args!("<= {WIDTH}"),
        overtaken <= WIDTH,
    );
    let Some(slowest) = outcomes
        .iter()
        .max_by_key(|outcome| outcome.completed - outcome.accepted)
    else {
        return;
    };
    let first = BURST - WIDTH;
    let all = outcomes.iter().map(|outcome| outcome.completed).max();
    let all = all.map_or(0.0, |last| (last - slowest.accepted).as_secs_f64());
    report.figure(
        format_args!("12,000 records at once, {limit}: the slowest record"),
        format_args!(
            "number {}, after {:.1} s of {all:.1} s",
            slowest.number,
            (slowest.completed - slowest.accepted).as_secs_f64()
        ),
        format_args!("number >= {first}"),
        slowest.number >= first,
    );
}

/// Returns how many records that were accepted later completed before a record, for the record with the most.
fn most_overtaken(outcomes: &[Outcome]) -> usize {
    let mut complete: Vec<usize> = Vec::with_capacity(outcomes.len());
    let mut most = 0;
    for outcome in outcomes {
        let place = complete.partition_point(|number| *number < outcome.number);
        most = most.max(complete.len() - place);
        complete.insert(place, outcome.number);
    }
    most
}

/// The outcomes under twice of what the shard takes, and how many of them can be deliveries.
struct Overload {
    outcomes: Vec<Outcome>,
    possible: f64,
}

async fn overload(server: &ThrottlingServer, limit: Limit) -> Result<Overload> {
    let name = format!("order-overload-{limit:?}");
    let stream = open(server, &name, limit, TTL).await?;
    let per_second = 2.0 * MIB / bytes_per_record();
    let offered = (per_second * OVERLOAD.as_secs_f64()) as usize;
    let started = Instant::now();
    let outcomes = outcomes(&stream, offered, Some(per_second)).await?;
    // From the first entry until the last record expires.
    let first = server.counts(&name).shards[0].first.ok_or("nothing was sent")?;
    let seconds = (started + OVERLOAD + TTL - first).as_secs_f64();
    let taken = match limit {
        Limit::TokenBucket => 1.0 + seconds,
        Limit::FixedWindow => 1.0 + seconds.floor(),
    };
    Ok(Overload {
        outcomes,
        possible: taken * MIB / bytes_per_record(),
    })
}

/// Returns how much of a shard's room a record takes as part of an aggregate.
fn bytes_per_record() -> f64 {
    let records: Vec<RawRecord> = (10_000..20_000).map(record).collect();
    let sealed = kpl_testkit::aggregate(Aggregator::new(), &records);
    sealed.iter().map(|sealed| sealed.size()).sum::<usize>() as f64 / records.len() as f64
}

fn report_overload(overload: &Overload, limit: &str, report: &mut Report) {
    let Overload { outcomes, possible } = overload;
    let expired = outcomes.iter().filter(|outcome| !outcome.delivered).count() as f64;
    let must_expire = outcomes.len() as f64 - possible;
    report.figure(
        format_args!("2 MiB/s for 12 s, TTL 5 s, {limit}: expired"),
        format_args!("{expired} of {}", outcomes.len()),
        format_args!("{must_expire:.0} +- 10 %"),
        (expired - must_expire).abs() <= must_expire * 0.1,
    );
    let ahead = most_delivered_ahead(outcomes);
    report.figure(
        format_args!("2 MiB/s for 12 s, TTL 5 s, {limit}: newest delivered before one expired"),
        format_args!("accepted at most {ahead} later"),
        format_args!("<= {WIDTH}"),
        ahead <= WIDTH,
    );
}

/// Returns how much later than a record that expired one was accepted that had been delivered by then, in records, for
/// the most.
fn most_delivered_ahead(outcomes: &[Outcome]) -> usize {
    let mut newest = 0;
    let mut most = 0;
    for outcome in outcomes {
        if outcome.delivered {
            newest = newest.max(outcome.number);
        } else {
            most = most.max(newest.saturating_sub(outcome.number));
        }
    }
    most
}
