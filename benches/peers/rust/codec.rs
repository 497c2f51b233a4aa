//! kpl, and prost with md-5: `codec kpl|kpl-batch|prost check|read|write SHAPE`. See ../measure.py.
#![forbid(unsafe_code)]

#[path = "../../codec/prost_peer.rs"]
mod prost_peer;
mod say;
mod shape;

use std::hint::black_box;
use std::time::{Duration, Instant};

use kpl::{Aggregator, Deaggregator, KinesisRecord, RawRecord, UserRecord, seal_all};
use serde_json::json;

use self::say::{orders, say};
use self::shape::{load, percentiles};

/// Calls the work with one item after the other, again and again, for as long as each order says.
fn serve<T>(items: &[T], records: impl Fn(&T) -> usize, mut work: impl FnMut(&T)) {
    say("ready");
    for order in orders() {
        let limit = Duration::from_secs_f64(order.parse().expect("an order is a number of seconds"));
        let (mut count, mut times) = (0, Vec::with_capacity(1 << 20));
        let begin = Instant::now();
        while begin.elapsed() < limit {
            for item in items {
                let before = Instant::now();
                work(item);
                times.push(before.elapsed().as_secs_f64());
                count += records(item);
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        let (p50, p99) = percentiles(times);
        say(json!({ "records": count, "seconds": seconds, "p50": p50, "p99": p99 }));
    }
}

/// Reads all user records as a program does that looks at keys and data.
fn read(batch: &[KinesisRecord<'_>]) {
    for record in Deaggregator::<UserRecord<'_>>::new().records(batch) {
        let value = record.expect("the record is valid").value;
        black_box((value.partition_key, value.data));
    }
}

fn aggregator() -> Aggregator<RawRecord> {
    Aggregator::builder()
        .max_size(100_000)
        .build()
        .expect("the options are valid")
}

fn write(aggregator: &mut Aggregator<RawRecord>, records: &[RawRecord]) -> Vec<u8> {
    for record in records {
        let full = aggregator.push(black_box(record)).expect("it is valid");
        assert!(full.is_none(), "the aggregate was full too early");
    }
    aggregator.finish().expect("there are records").data
}

fn write_batch(aggregator: &mut Aggregator<RawRecord>, batch: &[Vec<RawRecord>]) -> Vec<Vec<u8>> {
    let unsealed = batch.iter().map(|records| {
        for record in records {
            let full = aggregator.push_unsealed(black_box(record)).expect("it is valid");
            assert!(full.is_none(), "the aggregate was full too early");
        }
        aggregator.finish_unsealed().expect("there are records")
    });
    seal_all(unsealed).into_iter().map(|sealed| sealed.data).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [who, what, path] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        panic!("codec kpl|kpl-batch|prost check|read|write SHAPE");
    };
    let (data, users): (Vec<_>, Vec<_>) = load(path).into_iter().unzip();
    let counts: Vec<usize> = users.iter().map(Vec::len).collect();
    let raw = || -> Vec<Vec<RawRecord>> {
        let records = users.iter();
        records
            .map(|users| {
                users
                    .iter()
                    .map(|(key, data)| RawRecord::new(key, data.as_slice()))
                    .collect()
            })
            .collect()
    };
    fn kinesis(data: &[u8]) -> KinesisRecord<'_> {
        KinesisRecord::new(data)
    }
    let mut aggregator = aggregator();
    match (who, what) {
        ("kpl", "read") => {
            drop(users);
            let items: Vec<_> = data.iter().map(|data| [kinesis(data)]).zip(counts).collect();
            serve(&items, |item| item.1, |item| read(&item.0));
        }
        ("kpl-batch", "read") => {
            drop(users);
            let batch: Vec<_> = data.iter().map(|data| kinesis(data)).collect();
            serve(&[batch], |_| counts.iter().sum(), |batch| read(batch));
        }
        ("prost", "read") => {
            drop(users);
            let items: Vec<_> = data.iter().zip(counts).collect();
            serve(&items, |item| item.1, |item| prost_peer::read(item.0));
        }
        ("kpl", "write") => {
            let records = raw();
            drop((data, users));
            serve(&records, Vec::len, |records| {
                black_box(write(&mut aggregator, records));
            });
        }
        ("kpl-batch", "write") => {
            let records = raw();
            drop((data, users));
            let count = counts.iter().sum();
            serve(
                &[records],
                |_| count,
                |records| {
                    black_box(write_batch(&mut aggregator, records));
                },
            );
        }
        ("prost", "write") => {
            drop(data);
            serve(&users, Vec::len, |users| {
                black_box(prost_peer::write(black_box(users)));
            });
        }
        (_, "check") => {
            let batch: Vec<_> = data.iter().map(|data| kinesis(data)).collect();
            let read: Vec<_> = Deaggregator::<UserRecord<'_>>::new()
                .records(&batch)
                .map(|record| record.expect("the record is valid").value)
                .map(|record| {
                    (
                        record.partition_key.unwrap_or_default().to_string(),
                        record.data.to_vec(),
                    )
                })
                .collect();
            assert!(read == users.concat(), "other records were read");
            let records = raw();
            for (records, data) in records.iter().zip(&data) {
                assert!(write(&mut aggregator, records) == *data, "other bytes were written");
            }
            assert!(
                write_batch(&mut aggregator, &records) == data,
                "other bytes were written in a batch"
            );
            for (users, data) in users.iter().zip(&data) {
                assert!(prost_peer::write(users) == *data, "prost has written other bytes");
                prost_peer::read(data);
            }
        }
        _ => panic!("neither {who} nor {what} is known"),
    }
}
