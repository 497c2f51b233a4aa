//! Protobuf without copies: what it would bring.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use kpl::codec::{Decode as _, Prost};
use prost::Message as _;
use prost::bytes::Bytes;

/// A message that is mostly one field of bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct Blob {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
}

/// `copied` is the codec, which reads from a slice; `shared` reads from `Bytes`, of which the field is a part. The payload of a
/// user record is a slice of an aggregate, so it has to become `Bytes` first: `shared_from_slice`.
pub(crate) fn bytes(c: &mut Criterion) {
    let mut group = c.benchmark_group("prost_bytes");
    for size in [100, 1_000, 10_000] {
        let blob = Blob {
            name: "camera-17".into(),
            data: vec![7; size].into(),
        };
        let slice = blob.encode_to_vec();
        let shared = Bytes::from(slice.clone());
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("copied", size), |b| {
            b.iter(|| -> Blob { Prost::decode(black_box(&slice)).expect("it is valid") });
        });
        group.bench_function(BenchmarkId::new("shared", size), |b| {
            b.iter(|| Blob::decode(black_box(&shared).clone()).expect("it is valid"));
        });
        group.bench_function(BenchmarkId::new("shared_from_slice", size), |b| {
            b.iter(|| Blob::decode(Bytes::copy_from_slice(black_box(&slice))).expect("it is valid"));
        });
    }
}
