//! The reader beside a client that answers at once: `cargo bench -p kpl-stream --bench reader`.
//!
//! Reads shards that were closed, each with one answer of GetRecords of 10 MB with user records of 100 bytes in aggregates, on one thread,
//! and prints user records in a second, the best and the median of several passes, and the largest memory of the process.

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use kpl_core::{Aggregator, HashKeyRange, RawRecord};
use kpl_stream::client::{Fetched, FetchedRecord, IteratorStart, ReadClient, RequestError, ShardDescription};
use kpl_stream::reader::Reader;

const SHARDS: usize = 20;
/// The most that an answer of GetRecords has.
const ANSWER: usize = 10 << 20;
const PASSES: usize = 11;

/// Closed shards with the same records.
#[derive(Debug)]
struct Same(Vec<FetchedRecord>);

impl ReadClient for Same {
    fn list_shards<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>> {
        let shard =
            |number| ShardDescription::new(format!("shardId-{number:012}"), HashKeyRange::FULL).with_closed(true);
        Box::pin(async move { Ok((0..SHARDS).map(shard).collect()) })
    }

    fn get_shard_iterator<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: IteratorStart,
    ) -> BoxFuture<'a, Result<String, RequestError>> {
        Box::pin(async { Ok("first".into()) })
    }

    fn get_records<'a>(&'a self, _: &'a str, _: usize) -> BoxFuture<'a, Result<Fetched, RequestError>> {
        Box::pin(async { Ok(Fetched::new(self.0.clone(), None).with_behind_latest(Duration::ZERO)) })
    }
}

/// Returns what an answer has, and how many user records that are.
fn answer() -> (Vec<FetchedRecord>, usize) {
    let (mut records, mut size, mut count) = (Vec::new(), 0, 0);
    let mut aggregator = Aggregator::new();
    for number in 0.. {
        let record = RawRecord::new(format!("customer-{:05}", number % 10_000), vec![number as u8; 100]);
        let Some(sealed) = aggregator.push(&record).expect("a record") else {
            continue;
        };
        if size + sealed.data.len() > ANSWER {
            break;
        }
        size += sealed.data.len();
        count += sealed.user_records;
        let sequence_number = format!("4959033827149025660855969253836157{:022}", records.len());
        records.push(
            FetchedRecord::new(sealed.data, sequence_number).with_partition_key(sealed.partition_key.into_string()),
        );
    }
    (records, count)
}

/// Reads this many user records.
async fn pass(records: &[FetchedRecord], count: usize) {
    let builder = Reader::<RawRecord>::builder().client(Same(records.to_vec()));
    let mut reader = builder.build("clicks").await.expect("a stream");
    for _ in 0..count {
        let record = reader.next().await.expect("the reader goes on");
        black_box(record.expect("a record").value);
    }
}

/// The largest resident memory of this process, in MiB, where the system says so.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

fn main() {
    let (records, count) = answer();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let before = peak_memory();
    let mut seconds: Vec<f64> = (0..PASSES)
        .map(|_| {
            let start = Instant::now();
            runtime.block_on(pass(&records, SHARDS * count));
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let rate = |seconds: f64| (SHARDS * count) as f64 / seconds / 1e6;
    println!("{} shards with {count} user records each", SHARDS);
    println!(
        "million records a second: {:.2} best, {:.2} median",
        rate(seconds[0]),
        rate(seconds[PASSES / 2])
    );
    if let (Some(before), Some(peak)) = (before, peak_memory()) {
        println!("peak memory: {peak:.0} MiB, of which {before:.0} MiB are the records that the client answers with");
    }
}
