//! Counts the steps that hostile inputs cost, and panics where four times the input costs more than about four times
//! the steps.
//!
//! A step is an edge of the control flow that was taken: the compiler puts a call of [`__sanitizer_cov_trace_pc`] on
//! each, in this program and everything it is built from, if asked to. `tests/steps.rs` asks for it, and runs this
//! program. The library's source is unaware of this, and no clock is involved. Functions that come compiled with the
//! standard library count as one step each, however long they take: `tests/allocations.rs` covers what they copy.
#![allow(unsafe_code, reason = "the compiler calls a function by its name")]

#[path = "../../support/hostile.rs"]
mod hostile;

use kpl::codec::{Json, Postcard};
use kpl::wire::AggregatedRecord;
use kpl::{
    Aggregator, Deaggregator, FromKplRecord, HashKeyRange, KinesisRecord, KplRecord, MalformedPolicy, RawRecord, Shard,
    ShardMap, StrayPolicy,
};
use kpl_testkit::bytes;
use serde::{Deserialize, Serialize};

static mut STEPS: u64 = 0;

/// Called at every step. It must take none itself.
// SAFETY: no other function of this program has this name, and it has the signature that the compiler calls.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_pc() {
    // SAFETY: this program has one thread.
    unsafe { STEPS += 1 }
}

/// Returns the number of steps that some code takes.
fn steps(run: impl FnOnce()) -> u64 {
    // SAFETY: this program has one thread.
    let before = unsafe { STEPS };
    run();
    // SAFETY: as above.
    unsafe { STEPS - before }
}

#[derive(Serialize, Deserialize, KplRecord)]
#[kpl(codec = Json)]
struct InJson {
    #[kpl(partition_key)]
    user: String,
    url: String,
}

#[derive(KplRecord)]
#[kpl(codec = Postcard)]
struct Elided {
    #[kpl(partition_key, elide)]
    _user: u64,
    _numbers: Vec<u8>,
}

/// Reads all, and looks at what comes out.
fn read<'a, T: FromKplRecord<'a>>(deaggregator: &Deaggregator<T>, batch: &[KinesisRecord<'a>]) {
    let mut records = deaggregator.records(batch);
    for item in records.by_ref() {
        match item {
            Ok(received) => drop(received.record.position()),
            Err(error) => drop(error.to_string()),
        }
    }
    drop(records.take_dropped());
}

/// Reads, and writes again what was read.
fn forward(batch: &[KinesisRecord<'_>]) {
    let half = u128::MAX / 2;
    let range = |range| HashKeyRange::try_from(range).expect("not empty");
    let shards = [
        Shard::new("0", range(0..=half)),
        Shard::new("1", range(half + 1..=u128::MAX)),
    ];
    let shards = ShardMap::new(shards).expect("no gap");
    let builder = Aggregator::<RawRecord>::builder().max_size(10 << 20);
    let mut small = builder.clone().max_count(3).build().expect("valid");
    let mut sharded = builder.clone().build_sharded(shards.clone()).expect("valid");
    let mut large = builder.build().expect("valid");
    for received in Deaggregator::<RawRecord>::new().records(batch).flatten() {
        let record = received.value;
        drop(small.push(&record));
        drop(large.push(&record));
        drop(sharded.push(&record));
    }
    drop(sharded.set_shard_map(shards));
    drop((small.finish(), large.finish(), sharded.finish()));
}

/// A way to use the library.
type Use = (&'static str, fn(&[KinesisRecord<'_>]));

const USES: &[Use] = &[
    ("read raw", |batch| read(&Deaggregator::<RawRecord>::new(), batch)),
    ("read raw, malformed ones are errors", |batch| {
        read(
            &Deaggregator::<RawRecord>::new().malformed(MalformedPolicy::Error),
            batch,
        );
    }),
    ("drop strays and list them", |batch| {
        let none = HashKeyRange::try_from(1..=1).expect("not empty");
        let deaggregator = Deaggregator::<RawRecord>::new().range(none, StrayPolicy::DropStrays);
        read(&deaggregator.list_dropped(true), batch);
    }),
    ("drop aggregates", |batch| {
        let full = HashKeyRange::FULL;
        read(
            &Deaggregator::<RawRecord>::new().range(full, StrayPolicy::DropAggregate),
            batch,
        );
    }),
    ("resume", |batch| {
        // After the second user record, and after all of them.
        for position in ["1:1", "2:0"] {
            let position = position.parse().expect("a position");
            read(&Deaggregator::<RawRecord>::new().after(position), batch);
        }
    }),
    ("read Json", |batch| read(&Deaggregator::<InJson>::new(), batch)),
    ("read an elided key", |batch| {
        read(&Deaggregator::<Elided>::new(), batch)
    }),
    ("read the bytes", |batch| {
        for aggregate in batch
            .iter()
            .filter_map(|record| AggregatedRecord::parse(record.data).ok())
        {
            for record in aggregate.records() {
                assert!(record.tags().iter().count() <= record.tags().into_owned().iter().count());
            }
        }
    }),
    ("forward", forward),
];

/// A batch of many records of every kind.
fn small_ones(len: usize) -> Vec<Vec<u8>> {
    let aggregate = bytes::sealed([bytes::key("a"), bytes::record(0, "x")].concat());
    let mut wrong = aggregate.clone();
    wrong.push(0);
    let four = [b"{}".to_vec(), aggregate, wrong, bytes::sealed(bytes::key("a"))];
    let each = four.concat().len() / four.len();
    (0..len / each)
        .map(|number| four[number % four.len()].clone())
        .collect()
}

fn main() {
    let mut counted = 0;
    let mut check = |what: &str, batches: [Vec<Vec<u8>>; 2]| {
        for (name, usage) in USES {
            let [(few, small), (many, large)] = batches.each_ref().map(|batch| {
                let numbered = batch
                    .iter()
                    .map(|data| KinesisRecord::new(data).with_sequence_number("1"));
                let batch: Vec<_> = numbered.map(|record| record.with_partition_key("outer")).collect();
                let bytes = batch.iter().map(|record| record.data.len() as u64).sum::<u64>();
                (bytes, steps(|| usage(&batch)))
            });
            // What does not depend on the length is a few thousand steps.
            let most = (small + 10_000) * many / few * 5 / 4;
            println!("{what}, {name}: {small} steps for {few} bytes, {large} for {many}");
            assert!(large <= most, "{what}, {name}: not linear");
            counted += small;
        }
    };
    for (kind, make) in hostile::KINDS {
        check(kind, [1 << 13, 1 << 15].map(|len| vec![make(len)]));
    }
    check("a batch of small records", [1 << 13, 1 << 15].map(small_ones));
    assert!(
        counted > 0,
        "the compiler was not told to count: tests/steps.rs does it"
    );
}
