//! Codecs that compress, on events as services log them: how many bytes are left, and what that takes, beside the codec below them.

use std::hint::black_box;
use std::sync::OnceLock;

use criterion::{BenchmarkId, Criterion, Throughput};
use kpl::codec::{CompressionOptions, Decode, Encode, Gzip, Json, Lz4, Zstd, ZstdDictionary};
use kpl::{Aggregator, RawRecord};
use serde_json::{Value, json};

/// Like the default options, and with a dictionary.
struct Trained;

impl CompressionOptions for Trained {
    fn dictionaries() -> &'static [&'static ZstdDictionary] {
        static DICTIONARIES: OnceLock<[&'static ZstdDictionary; 1]> = OnceLock::new();
        DICTIONARIES.get_or_init(|| {
            let samples: Vec<Vec<u8>> = sizes()
                .flat_map(|(_, fields)| (0..2_000).map(move |index| payload(&event(1_000_000 + index, fields))))
                .collect();
            let bytes = zstd::dict::from_samples(&samples, 16 << 10).expect("there are enough samples");
            [Box::leak(Box::new(ZstdDictionary::new(bytes.leak())))]
        })
    }
}

/// The sizes of events in bytes, about, and how many measurements they have.
fn sizes() -> impl Iterator<Item = (usize, usize)> {
    [(200, 0), (2_000, 28)].into_iter()
}

/// Numbers that do not repeat: splitmix64.
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// A request, as a service logs it.
fn event(index: u64, measurements: usize) -> Value {
    const PATHS: [&str; 5] = ["basket", "search", "articles", "checkout", "account"];
    const NAMES: [&str; 6] = [
        "db.query",
        "cache.get",
        "http.client",
        "template.render",
        "auth.verify",
        "queue.publish",
    ];
    let random = |salt: u64| mixed(index * 64 + salt);
    let mut event = json!({
        "id": format!("{:016x}-{:08x}", random(0), random(1) as u32),
        "at": 1_760_000_000_000 + index * 37 + random(2) % 37,
        "user": format!("customer-{:07}", random(3) % 2_000_000),
        "path": format!("/{}/{}", PATHS[random(4) as usize % 5], random(5) % 100_000),
        "status": if random(6) % 20 == 0 { 404 } else { 200 },
        "ms": (random(7) % 100_000) as f64 / 100.0,
        "host": format!("web-{:02}.eu-central-1.example.com", random(60) % 40),
        "version": "2026.11.3",
    });
    if measurements > 0 {
        let spans: Vec<Value> = (0..measurements as u64)
            .map(|span| {
                json!({
                    "name": NAMES[random(8 + span) as usize % 6],
                    "span": format!("{:08x}", random(32 + span) as u32),
                    "us": random(8 + span) % 50_000,
                    "ok": random(32 + span) % 50 != 0,
                })
            })
            .collect();
        event["spans"] = spans.into();
    }
    event
}

fn payload(event: &Value) -> Vec<u8> {
    serde_json::to_vec(event).expect("JSON is JSON")
}

fn codec<C: Encode<Value> + for<'de> Decode<'de, Value>>(c: &mut Criterion, name: &str) {
    for (size, fields) in sizes() {
        let events: Vec<Value> = (0..500).map(|index| event(index, fields)).collect();
        let plain: usize = events.iter().map(|event| payload(event).len()).sum();
        let payloads: Vec<Vec<u8>> = events
            .iter()
            .map(|event| {
                let mut bytes = Vec::new();
                C::encode(event, &mut bytes).expect("it can be written");
                assert_eq!(&C::decode(&bytes).expect("it was written"), event);
                bytes
            })
            .collect();
        let left: usize = payloads.iter().map(Vec::len).sum();
        println!(
            "compressed/{name}/{size}: {} bytes of {}, {:.1} %, {} bytes in an aggregate",
            left / events.len(),
            plain / events.len(),
            100.0 * left as f64 / plain as f64,
            aggregated(&events, &payloads) / events.len(),
        );

        let mut group = c.benchmark_group("compressed_encode");
        group.throughput(Throughput::Elements(events.len() as u64));
        group.bench_function(BenchmarkId::new(name, size), |b| {
            let mut bytes = Vec::new();
            b.iter(|| {
                for event in &events {
                    bytes.clear();
                    C::encode(black_box(event), &mut bytes).expect("it can be written");
                    black_box(&bytes);
                }
            });
        });
        group.finish();
        let mut group = c.benchmark_group("compressed_decode");
        group.throughput(Throughput::Elements(events.len() as u64));
        group.bench_function(BenchmarkId::new(name, size), |b| {
            b.iter(|| {
                for payload in &payloads {
                    black_box(C::decode(black_box(payload)).expect("it was written"));
                }
            });
        });
        group.finish();
    }
}

/// How many bytes the payloads take as user records of aggregates of 50 KB, each under the key of its user.
fn aggregated(events: &[Value], payloads: &[Vec<u8>]) -> usize {
    let mut aggregator = Aggregator::<RawRecord>::builder()
        .max_size(51_200)
        .build()
        .expect("it is valid");
    let mut sealed = Vec::new();
    for (event, payload) in events.iter().zip(payloads) {
        let key = event["user"].as_str().expect("there is a user");
        sealed.extend(
            aggregator
                .push(&RawRecord::new(key, payload.as_slice()))
                .expect("it fits"),
        );
    }
    sealed.extend(aggregator.finish());
    sealed.iter().map(|record| record.size()).sum()
}

pub(crate) fn compressed(c: &mut Criterion) {
    codec::<Json>(c, "Json");
    codec::<Lz4<Json>>(c, "Lz4");
    codec::<Zstd<Json>>(c, "Zstd");
    codec::<Zstd<Json, Trained>>(c, "Zstd_dictionary");
    codec::<Gzip<Json>>(c, "Gzip");
}
