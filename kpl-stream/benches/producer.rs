//! The producer beside a client that answers at once: `cargo bench -p kpl-stream`.
//!
//! Throughput is in user records of 100 bytes, from `send` to their outcomes. `producer` is all of it, on one thread and on
//! two, and `contention` with several tasks; `pipeline` has no tokio and no senders; `codec_and_digest` is what packing the
//! same records takes at least. Before that it prints the latency that the producer adds at low load, and the bytes on the
//! wire. `spool` is the producer with records on the disk.

mod at_once;

use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kpl_core::{Aggregator, RawRecord, ShardMap, seal_all};
use kpl_stream::pipeline::Pipeline;
use kpl_stream::spool::{Durability, Spool};
use kpl_stream::{EncodedRecord, Options, Producer, StreamProducer};
use tokio::runtime::{Builder, Runtime};

use self::at_once::{AtOnce, options, pump};

const RECORDS: usize = 100_000;
const SIZE: usize = 100;

fn records() -> Vec<RawRecord> {
    (0..RECORDS)
        .map(|number| RawRecord::new(format!("customer-{:05}", number % 10_000), vec![number as u8; SIZE]))
        .collect()
}

async fn open(client: AtOnce) -> StreamProducer<RawRecord> {
    let producer = Producer::builder()
        .client(client)
        .options(options())
        .build()
        .expect("valid options");
    producer.stream("clicks").await.expect("a stream")
}

async fn send_all(stream: &StreamProducer<RawRecord>, records: Vec<RawRecord>) {
    let mut deliveries = Vec::with_capacity(records.len());
    for record in records {
        deliveries.push(stream.send(record).await.expect("room"));
    }
    stream.producer().flush().await;
    for delivery in deliveries {
        black_box(delivery.await.expect("written"));
    }
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime")
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("producer");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for shards in [1, 4] {
        for (name, runtime) in [("one_thread", one_thread()), ("two_threads", two_threads())] {
            let stream = runtime.block_on(open(AtOnce::new(shards)));
            group.bench_function(BenchmarkId::new(name, shards), |bencher| {
                bencher.iter_batched(
                    records,
                    |records| {
                        // As a program would: a task of the runtime, not its outermost future.
                        let stream = stream.clone();
                        let sending = runtime.spawn(async move { send_all(&stream, records).await });
                        runtime.block_on(sending).expect("sent");
                    },
                    criterion::BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

/// Several tasks that send at the same time, each its part of the records, on two threads.
fn contention(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("contention");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for tasks in [1, 8, 64] {
        let runtime = two_threads();
        let stream = runtime.block_on(open(AtOnce::new(1)));
        group.bench_function(BenchmarkId::from_parameter(tasks), |bencher| {
            bencher.iter_batched(
                || {
                    let mut parts: Vec<Vec<RawRecord>> = vec![Vec::new(); tasks];
                    for (number, record) in records().into_iter().enumerate() {
                        parts[number % tasks].push(record);
                    }
                    parts
                },
                |parts| {
                    let sending = parts.into_iter().map(|records| {
                        let stream = stream.clone();
                        runtime.spawn(async move { send_all(&stream, records).await })
                    });
                    for task in sending.collect::<Vec<_>>() {
                        runtime.block_on(task).expect("sent");
                    }
                },
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let records = records();
    for shards in [1, 4] {
        group.bench_function(BenchmarkId::from_parameter(shards), |bencher| {
            bencher.iter(|| black_box(through_pipeline(&records, &AtOnce::new(shards))));
        });
    }
    group.finish();
}

fn through_pipeline(records: &[RawRecord], client: &AtOnce) -> usize {
    let mut now = Instant::now();
    let mut pipeline = Pipeline::<usize>::new(options(), 1).expect("valid options");
    let stream = pipeline.open("clicks", now);
    let mut resolved = 0;
    for batch in records.chunks(256) {
        let encoded = batch
            .iter()
            .map(|record| (EncodedRecord::new(record).expect("a record"), 0));
        pipeline.push(stream, encoded, now);
        resolved += pump(&mut pipeline, client, now);
        now += Duration::from_micros(200);
    }
    pipeline.flush(now);
    while resolved < records.len() {
        now += Duration::from_millis(1);
        resolved += pump(&mut pipeline, client, now);
    }
    resolved
}

fn codec_and_digest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec_and_digest");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let records = records();
    for shards in [1, 4] {
        let map = ShardMap::new(AtOnce::new(shards).shards).expect("a whole map");
        group.bench_function(BenchmarkId::from_parameter(shards), |bencher| {
            bencher.iter(|| {
                let mut aggregator = Aggregator::<RawRecord>::builder()
                    .build_sharded(map.clone())
                    .expect("valid options");
                let mut unsealed = Vec::new();
                for record in &records {
                    unsealed.extend(aggregator.push_unsealed(record).expect("a record"));
                }
                black_box((seal_all(unsealed), aggregator.finish()))
            });
        });
    }
    group.finish();
}

const SPOOLED: usize = 1_000_000;

/// The producer with a spool in the folder of `KPL_SPOOL_BENCH`, or else in that for temporary files, beside the same without one. Outcomes
/// are not waited for one by one.
fn spool(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spool");
    group.throughput(Throughput::Elements(SPOOLED as u64)).sample_size(10);
    let folder = std::env::var_os("KPL_SPOOL_BENCH").map_or_else(std::env::temp_dir, Into::into);
    let folder = folder.join(format!("kpl-spool-bench-{}", std::process::id()));
    let durabilities = [
        ("none", None),
        ("written", Some(Durability::Written)),
        ("synced", Some(Durability::default())),
    ];
    for (name, durability) in durabilities {
        let runtime = one_thread();
        let mut builder = Producer::builder().client(AtOnce::new(1)).options(options());
        if let Some(durability) = durability {
            let spool = Spool::dir(&folder).durability(durability).max_bytes(8 << 30);
            builder = builder.spool(spool.open().expect("a folder"));
        }
        let producer = builder.build().expect("valid options");
        let stream = runtime
            .block_on(producer.stream::<RawRecord>("clicks"))
            .expect("a stream");
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || records().into_iter().cycle().take(SPOOLED).collect::<Vec<_>>(),
                |records| {
                    let stream = stream.clone();
                    let sending = async move {
                        for record in records {
                            match durability {
                                None => drop(stream.send(record).await.expect("room")),
                                Some(_) => {
                                    if let Err(error) = stream.try_spool(record) {
                                        stream.spool(error.record).await.expect("room");
                                    }
                                }
                            }
                        }
                        stream.producer().flush().await;
                    };
                    runtime.block_on(runtime.spawn(sending)).expect("sent");
                },
                criterion::BatchSize::LargeInput,
            );
        });
        runtime
            .block_on(producer.close(Duration::from_secs(60)))
            .expect("everything is sent");
    }
    let _ = std::fs::remove_dir_all(folder);
    group.finish();
}

/// One record every 5 ms: how long after `record_max_buffered_time` its outcome is known.
fn added_latency(_: &mut Criterion) {
    let buffered = Options::default().record_max_buffered_time;
    let mut added: Vec<Duration> = two_threads().block_on(async {
        let stream = open(AtOnce::new(4)).await;
        let mut waiting = Vec::new();
        for record in records().into_iter().take(1000) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let stream = stream.clone();
            waiting.push(tokio::spawn(async move {
                let sent = Instant::now();
                let receipt = stream.send(record).await.expect("room").await.expect("written");
                black_box(receipt);
                sent.elapsed()
            }));
        }
        let mut all = Vec::new();
        for one in waiting {
            all.push(one.await.expect("an outcome").saturating_sub(buffered));
        }
        all
    });
    added.sort_unstable();
    let at = |part: usize| added[added.len() * part / 100];
    println!(
        "added latency over record_max_buffered_time: median {:?}, p99 {:?}",
        at(50),
        at(99)
    );
}

fn bytes_on_the_wire(_: &mut Criterion) {
    let records = records();
    let own: usize = records.iter().map(RawRecord::size).sum();
    for shards in [1, 4] {
        let client = AtOnce::new(shards);
        through_pipeline(&records, &client);
        let sent = client.bytes.load(Ordering::Relaxed);
        let share = sent as f64 / own as f64;
        println!("bytes sent to {shards} shards, for each of the records' keys and payloads: {share:.4}");
    }
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
}

criterion_group! {
    name = benches;
    config = config();
    targets = added_latency, bytes_on_the_wire, codec_and_digest, pipeline, whole, contention, spool
}
criterion_main!(benches);
