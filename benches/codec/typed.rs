//! The typed layer's own cost: what the derive, the typed aggregator and deaggregator add to a codec and to raw bytes.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use kpl::codec::{Bincode, Decode, Encode, Json, Postcard, Prost};
use kpl::{Aggregator, Deaggregator, FromKplRecordOwned, KinesisRecord, KplRecord, SealedRecord, UserRecord, seal_all};

const AGGREGATES: usize = 16;

macro_rules! event {
    ($name:ident, $codec:ident) => {
        #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize, prost::Message, KplRecord)]
        #[kpl(codec = $codec)]
        struct $name {
            #[kpl(partition_key)]
            #[prost(string, tag = "1")]
            user: String,
            #[prost(string, tag = "2")]
            url: String,
            #[prost(uint64, tag = "3")]
            at_ms: u64,
            #[prost(uint32, tag = "4")]
            status: u32,
            #[prost(double, tag = "5")]
            seconds: f64,
        }

        impl $name {
            fn new(index: u64) -> Self {
                Self {
                    user: format!("customer-{:08}", index % 47),
                    url: format!("/articles/{}/comments?page={}", index * 7919 % 100_000, index % 9),
                    at_ms: 1_700_000_000_000 + index * 17,
                    status: 200,
                    seconds: index as f64 / 64.0,
                }
            }
        }
    };
}

event!(JsonEvent, Json);
event!(PostcardEvent, Postcard);
event!(BincodeEvent, Bincode);
event!(ProstEvent, Prost);

/// Values, their payloads, and the aggregates that hold them.
struct Sample<T> {
    values: Vec<T>,
    payloads: Vec<(String, Vec<u8>)>,
    sealed: Vec<SealedRecord>,
}

impl<T: KplRecord> Sample<T> {
    fn new(make: impl Fn(u64) -> T) -> Self {
        let mut aggregator = Aggregator::new();
        let (mut values, mut payloads, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        while sealed.len() < AGGREGATES {
            let value = make(values.len() as u64);
            sealed.extend(aggregator.push(&value).expect("it fits"));
            let (mut key, mut payload) = (String::new(), Vec::new());
            let key = value.partition_key(&mut key).expect("there is a key").to_owned();
            let payload = value.payload(&mut payload).expect("it can be written").to_owned();
            payloads.push((key, payload));
            values.push(value);
        }
        sealed.extend(aggregator.finish());
        Self {
            values,
            payloads,
            sealed,
        }
    }

    fn throughput(&self) -> Throughput {
        Throughput::Bytes(self.sealed.iter().map(|record| record.data.len() as u64).sum())
    }
}

fn aggregate<'a, T: KplRecord + 'a>(aggregator: &mut Aggregator<T>, values: impl Iterator<Item = &'a T>) -> usize {
    let mut full: Vec<_> = values
        .filter_map(|value| aggregator.push_unsealed(black_box(value)).expect("it fits"))
        .collect();
    full.extend(aggregator.finish_unsealed());
    seal_all(full).len()
}

fn decode_with<T, C>(c: &mut Criterion, name: &str, make: impl Fn(u64) -> T)
where
    T: KplRecord + FromKplRecordOwned,
    C: Encode<T> + for<'de> Decode<'de, T>,
{
    let sample = Sample::new(make);
    let batch: Vec<_> = sample.sealed.iter().map(KinesisRecord::from).collect();
    let mut group = c.benchmark_group("typed_decode");
    group.throughput(sample.throughput());
    group.bench_function(BenchmarkId::new(name, "kpl"), |b| {
        b.iter(|| {
            for record in Deaggregator::<T>::new().records(&batch) {
                black_box(record.expect("the record is valid").value);
            }
        });
    });
    group.bench_function(BenchmarkId::new(name, "by_hand"), |b| {
        b.iter(|| {
            for (_, payload) in &sample.payloads {
                black_box(C::decode(black_box(payload)).expect("the payload is valid"));
            }
        });
    });
    group.bench_function(BenchmarkId::new(name, "raw"), |b| b.iter(|| crate::read(&batch)));
}

fn encode_with<T, C>(c: &mut Criterion, name: &str, make: impl Fn(u64) -> T)
where
    T: KplRecord,
    C: Encode<T>,
{
    let sample = Sample::new(make);
    let mut group = c.benchmark_group("typed_encode");
    group.throughput(sample.throughput());
    group.bench_function(BenchmarkId::new(name, "kpl"), |b| {
        let mut aggregator = Aggregator::new();
        b.iter(|| aggregate(&mut aggregator, sample.values.iter()));
    });
    group.bench_function(BenchmarkId::new(name, "by_hand"), |b| {
        let mut payload = Vec::new();
        b.iter(|| {
            for value in &sample.values {
                payload.clear();
                C::encode(black_box(value), &mut payload).expect("it can be written");
                black_box(&payload);
            }
        });
    });
    group.bench_function(BenchmarkId::new(name, "raw"), |b| {
        let raw = sample
            .payloads
            .iter()
            .map(|(key, payload)| UserRecord::new(key, payload));
        let raw: Vec<_> = raw.collect();
        let mut aggregator = Aggregator::new();
        b.iter(|| aggregate(&mut aggregator, raw.iter()));
    });
}

pub(crate) fn decode(c: &mut Criterion) {
    decode_with::<JsonEvent, Json>(c, "json", JsonEvent::new);
    decode_with::<PostcardEvent, Postcard>(c, "postcard", PostcardEvent::new);
    decode_with::<BincodeEvent, Bincode>(c, "bincode", BincodeEvent::new);
    decode_with::<ProstEvent, Prost>(c, "prost", ProstEvent::new);
}

pub(crate) fn encode(c: &mut Criterion) {
    encode_with::<JsonEvent, Json>(c, "json", JsonEvent::new);
    encode_with::<PostcardEvent, Postcard>(c, "postcard", PostcardEvent::new);
    encode_with::<BincodeEvent, Bincode>(c, "bincode", BincodeEvent::new);
    encode_with::<ProstEvent, Prost>(c, "prost", ProstEvent::new);
}
