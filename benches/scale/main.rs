//! Time against size: what a user record costs when there are few of them, and when there are ten million.
//!
//! `cargo bench --bench scale` prints one line for each operation and size, and writes them to `target/scale/codec.json` for
//! `benches/scale/picture.py`. Each figure is the best of several passes. `-- NAME` measures the operations whose name contains it.

mod hostile;
mod measure;

use std::hint::black_box;

use kpl::digest::{Digest, md5_many};
use kpl::{
    Aggregator, Deaggregator, HashKey, HashKeyRange, KinesisRecord, RawRecord, SealedRecord, ShardMap, StrayPolicy,
    UserRecord, seal_all,
};
use kpl_testkit::even_shards;

use self::measure::Scale;

const DATA: usize = 100;
/// The most partition keys: with more records, they come again.
const KEYS: usize = 100_000;
/// The largest aggregate, with room for the key tables.
const LARGEST: usize = 10 << 20;

fn record(number: usize) -> RawRecord {
    RawRecord::new(format!("customer-{:08}", number % KEYS), vec![number as u8; DATA])
}

/// Records to take again and again: making ten million of them would take longer than what is measured.
fn records(count: usize) -> Vec<RawRecord> {
    (0..count.min(KEYS)).map(record).collect()
}

fn each(records: &[RawRecord], count: usize) -> impl Iterator<Item = &RawRecord> {
    records.iter().cycle().take(count)
}

fn map(count: usize) -> ShardMap {
    ShardMap::new(even_shards(count as u128)).expect("the ranges hold every key")
}

/// Aggregates of 51,200 bytes with this many user records, but at most as many as there are keys.
fn sealed(count: usize) -> Vec<SealedRecord> {
    let mut aggregator = Aggregator::new();
    aggregator
        .aggregate(records(count))
        .map(|record| record.expect("it fits"))
        .collect()
}

/// One aggregate with that many user records and keys.
fn one(count: usize) -> SealedRecord {
    let mut aggregator = Aggregator::builder()
        .max_size(LARGEST)
        .wrap_single(true)
        .build()
        .expect("valid options");
    for number in 0..count {
        let record = RawRecord::new(format!("customer-{number:08}"), vec![number as u8; 60]);
        assert!(aggregator.push(&record).expect("it fits").is_none(), "one aggregate");
    }
    aggregator.finish().expect("it holds records")
}

fn read(deaggregator: &Deaggregator<UserRecord<'_>>, sealed: &[SealedRecord], count: usize) {
    let batch: Vec<_> = sealed.iter().map(KinesisRecord::from).collect();
    let mut left = count;
    while left > 0 {
        let mut read = 0;
        for record in deaggregator.records(&batch).take(left) {
            black_box(record.expect("it is valid").value.data);
            read += 1;
        }
        left -= read.max(1).min(left);
    }
}

fn writing(scale: &mut Scale) {
    scale.each_size("Aggregator::push", 7, |count| {
        let records = records(count);
        move || {
            let mut aggregator = Aggregator::new();
            for record in each(&records, count) {
                black_box(aggregator.push(record).expect("it fits"));
            }
            black_box(aggregator.finish());
        }
    });
    scale.each_size("push_unsealed, seal_all", 7, |count| {
        let records = records(count);
        move || {
            let mut aggregator = Aggregator::new();
            let mut unsealed = Vec::new();
            for record in each(&records, count) {
                unsealed.extend(aggregator.push_unsealed(record).expect("it fits"));
                if unsealed.len() == 200 {
                    black_box(seal_all(unsealed.drain(..)));
                }
            }
            unsealed.extend(aggregator.finish_unsealed());
            black_box(seal_all(unsealed));
        }
    });
    scale.each_size("ShardedAggregator::push, 1,000 shards", 7, |count| {
        let (records, map) = (records(count), map(1000));
        move || {
            let builder = Aggregator::<RawRecord>::builder();
            let mut aggregator = builder.build_sharded(map.clone()).expect("valid options");
            for record in each(&records, count) {
                black_box(aggregator.push(record).expect("it fits"));
            }
            black_box(aggregator.finish());
        }
    });
    scale.each_size("set_shard_map with records held", 6, |count| {
        let (records, two, three) = (records(count), map(2), map(3));
        move || {
            let builder = Aggregator::<RawRecord>::builder().max_size(LARGEST);
            let mut aggregator = builder.build_sharded(two.clone()).expect("valid options");
            for record in each(&records, count) {
                black_box(aggregator.push(record).expect("it fits"));
            }
            black_box(aggregator.set_shard_map(three.clone()));
        }
    });
    scale.each_size("one aggregate, each record its own key", 5, |count| {
        move || {
            black_box(one(count));
        }
    });
}

fn reading(scale: &mut Scale) {
    scale.each_size("Deaggregator::records", 7, |count| {
        let sealed = sealed(count);
        move || read(&Deaggregator::new(), &sealed, count)
    });
    scale.each_size("Deaggregator::range", 7, |count| {
        let sealed = sealed(count);
        let range = HashKeyRange::new(HashKey::new(0), HashKey::new(u128::MAX - 1)).expect("a range");
        move || {
            read(
                &Deaggregator::new().range(range, StrayPolicy::DropStrays),
                &sealed,
                count,
            )
        }
    });
    scale.each_size("one aggregate, each record its own key, read", 5, |count| {
        let sealed = [one(count)];
        move || read(&Deaggregator::new(), &sealed, count)
    });
}

fn other(scale: &mut Scale) {
    scale.each_size("ShardMap::new, for a shard", 5, |count| {
        let shards = even_shards(count as u128);
        move || {
            black_box(ShardMap::new(shards.iter().cloned()).expect("the ranges hold every key"));
        }
    });
    scale.each_size("ShardMap::index_of, by the number of shards", 5, |count| {
        let map = map(count);
        move || {
            for number in 0..count as u128 {
                // The golden ratio: all over the range, and in no order.
                black_box(map.index_of(HashKey::new(
                    number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835),
                )));
            }
        }
    });
    scale.each_size("md5_many, messages of 100 bytes", 7, |count| {
        let message = vec![7; DATA];
        move || {
            let messages = vec![message.as_slice(); count];
            let mut digests = vec![Digest::default(); count];
            md5_many(&messages, &mut digests);
            black_box(digests);
        }
    });
}

fn main() {
    let mut scale = Scale::new("codec");
    writing(&mut scale);
    reading(&mut scale);
    other(&mut scale);
    hostile::measure(&mut scale);
    scale.finish();
}
