//! kpl beside prost + md-5, what a Rust programmer would write without it. One command: `cargo bench --bench codec`.
//!
//! Throughput is in bytes of aggregate. `by_hand` calls the payload codec alone on the same payloads, `raw` packs or
//! unpacks the same payloads without decoding them, `md-5` is the checksum alone of the same bytes, and `limit` is what writing takes at
//! least.

mod compressed;
mod copies;
mod limit;
mod prost_peer;
mod shape;
mod typed;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kpl::digest::{Digest, Lanes, md5_many};
use kpl::{Deaggregator, KinesisRecord, UserRecord, seal_all};
use md5::{Digest as _, Md5};

use self::shape::{Shape, aggregator, shapes};

const BATCH: usize = 200;

/// Reads all user records as a program does that looks at keys and data.
fn read(batch: &[KinesisRecord<'_>]) {
    for record in Deaggregator::<UserRecord<'_>>::new().records(batch) {
        let value = record.expect("the record is valid").value;
        black_box((value.partition_key, value.data));
    }
}

fn decode(c: &mut Criterion) {
    for (name, count) in [("decode_one", 1), ("decode_batch", BATCH)] {
        let mut group = c.benchmark_group(name);
        for shape in shapes(0) {
            let sealed: Vec<_> = (0..count)
                .map(|seed| Shape::new(shape.size, seed).aggregate())
                .collect();
            let batch: Vec<_> = sealed.iter().map(KinesisRecord::from).collect();
            group.throughput(Throughput::Bytes(
                sealed.iter().map(|record| record.data.len() as u64).sum(),
            ));
            group.bench_function(BenchmarkId::new(shape.size.to_string(), "kpl"), |b| {
                b.iter(|| read(&batch))
            });
            group.bench_function(BenchmarkId::new(shape.size.to_string(), "prost"), |b| {
                b.iter(|| batch.iter().for_each(|record| prost_peer::read(record.data)));
            });
            if count == 1 {
                group.bench_function(BenchmarkId::new(shape.size.to_string(), "md-5"), |b| {
                    b.iter(|| Md5::digest(black_box(&sealed[0].data)));
                });
            }
        }
    }
}

fn encode(c: &mut Criterion) {
    for (name, count) in [("encode_one", 1), ("encode_batch", BATCH)] {
        let mut group = c.benchmark_group(name);
        for shape in shapes(0) {
            let shapes: Vec<_> = (0..count).map(|seed| Shape::new(shape.size, seed)).collect();
            let sealed: Vec<_> = shapes.iter().map(Shape::aggregate).collect();
            for (shape, sealed) in shapes.iter().zip(&sealed) {
                assert_eq!(
                    prost_peer::write(&shape.records),
                    sealed.data,
                    "both write the same bytes"
                );
            }
            let batch: Vec<_> = shapes.iter().map(Shape::raw_records).collect();
            let mut aggregator = aggregator(shape.records.len());
            group.throughput(Throughput::Bytes(
                sealed.iter().map(|record| record.data.len() as u64).sum(),
            ));
            group.bench_function(BenchmarkId::new(shape.size.to_string(), "kpl"), |b| {
                b.iter(|| {
                    let full = batch.iter().flatten().filter_map(|record| {
                        let record = black_box(record);
                        aggregator.push_unsealed(record).expect("it fits")
                    });
                    seal_all(full)
                });
            });
            group.bench_function(BenchmarkId::new(shape.size.to_string(), "prost"), |b| {
                b.iter(|| -> Vec<_> {
                    shapes
                        .iter()
                        .map(|shape| prost_peer::write(black_box(&shape.records)))
                        .collect()
                });
            });
            if count == 1 {
                group.bench_function(BenchmarkId::new(shape.size.to_string(), "md-5"), |b| {
                    b.iter(|| Md5::digest(black_box(&sealed[0].data)));
                });
            } else {
                group.bench_function(BenchmarkId::new(shape.size.to_string(), "limit"), |b| {
                    b.iter(|| limit::write(black_box(&batch)));
                });
            }
        }
    }
}

fn digest(c: &mut Criterion) {
    let mut group = c.benchmark_group("digest");
    let sealed: Vec<_> = (0..BATCH).map(|seed| Shape::new(100, seed).aggregate()).collect();
    for count in [1, 8, 16, BATCH] {
        let messages: Vec<&[u8]> = sealed.iter().take(count).map(|record| &*record.data).collect();
        group.throughput(Throughput::Bytes(
            messages.iter().map(|message| message.len() as u64).sum(),
        ));
        group.bench_function(BenchmarkId::new(count.to_string(), "kpl"), |b| {
            let mut digests = vec![Digest::default(); count];
            b.iter(|| md5_many(black_box(&messages), black_box(&mut digests)));
        });
        group.bench_function(BenchmarkId::new(count.to_string(), "md-5"), |b| {
            b.iter(|| {
                black_box(&messages).iter().for_each(|message| {
                    black_box(Md5::digest(message));
                })
            });
        });
    }
}

/// Criterion, in a process whose allocator keeps what is freed, as it does in a long-running program: glibc's returns
/// the 10 MB of a batch to the system otherwise, and page faults are then most of what both sides measure.
fn config() -> Criterion {
    drop(black_box(Vec::<u8>::with_capacity(30 << 20)));
    println!("MD5 of many messages: {}", Lanes::detect());
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = codec;
    config = config();
    targets = decode, encode, digest, typed::decode, typed::encode, compressed::compressed, copies::bytes
}
criterion_main!(codec);
