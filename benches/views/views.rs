//! Reads the protobuf of an aggregate without checking its digest: `Frame::fields`, views of buffa, and owned messages of prost.
//! `cargo bench --manifest-path benches/views/Cargo.toml`; protoc must be installed.

#[path = "../codec/prost_peer.rs"]
#[allow(dead_code, reason = "the other benchmark writes as well")]
mod prost_peer;
#[path = "../codec/shape.rs"]
#[allow(dead_code, reason = "the other benchmark needs more")]
mod shape;

use std::hint::black_box;

use buffa::MessageView as _;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kpl::wire::{Frame, Part};

#[allow(clippy::all, unused_imports)]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/__buffa.mod.rs"));
}

fn kpl(data: &[u8]) {
    let frame = Frame::new(data).expect("it is aggregated");
    for field in frame.fields() {
        match field.expect("the message is valid").0 {
            Part::UserRecord(record) => {
                black_box((record.partition_key_index, record.data));
            }
            other => {
                black_box(other);
            }
        }
    }
}

fn buffa(body: &[u8]) {
    let aggregate = messages::AggregatedRecordView::decode_view(body).expect("the body is valid");
    for record in aggregate.records.iter() {
        let key = aggregate.partition_key_table[record.partition_key_index as usize];
        black_box((key, record.data));
    }
}

fn without_digest(c: &mut Criterion) {
    let mut group = c.benchmark_group("without_digest");
    for shape in shape::shapes(0) {
        let sealed = shape.aggregate();
        let body = &sealed.data[4..sealed.data.len() - 16];
        group.throughput(Throughput::Bytes(sealed.data.len() as u64));
        let id = |name| BenchmarkId::new(shape.size.to_string(), name);
        group.bench_function(id("kpl"), |b| b.iter(|| kpl(black_box(&sealed.data))));
        group.bench_function(id("buffa"), |b| b.iter(|| buffa(black_box(body))));
        group.bench_function(id("prost"), |b| b.iter(|| prost_peer::read_body(black_box(body))));
    }
}

criterion_group!(benches, without_digest);
criterion_main!(benches);
