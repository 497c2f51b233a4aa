//! Time against size: `cargo bench -p kpl-stream --bench scale`, as `benches/scale` of the workspace does it for the codec.

mod at_once;
#[path = "../../benches/scale/measure.rs"]
mod measure;

use std::hint::black_box;
use std::time::{Duration, Instant};

use kpl_core::RawRecord;
use kpl_spool::{Cursor, Directory, Durability, Log};
use kpl_stream::client::StreamDescription;
use kpl_stream::pipeline::{Output, Pipeline, StreamId};
use kpl_stream::{EncodedRecord, Options};
use kpl_testkit::even_shards;

use self::at_once::{AtOnce, options, pump};
use self::measure::Scale;

/// The most partition keys: with more records, they come again.
const KEYS: usize = 100_000;
/// How many records are pushed at once.
const TOGETHER: usize = 256;

fn records(count: usize) -> Vec<EncodedRecord> {
    let record = |number| RawRecord::new(format!("customer-{number:08}"), vec![number as u8; 100]);
    let encode = |number| EncodedRecord::new(&record(number)).expect("a record");
    (0..count.min(KEYS)).map(encode).collect()
}

fn ordered() -> Options {
    let mut options = options();
    options.ordered = true;
    options
}

/// Sends this many records, and waits until each has its outcome.
fn send(records: &[EncodedRecord], count: usize, options: Options) {
    let client = AtOnce::new(4);
    let mut now = Instant::now();
    let mut pipeline = Pipeline::<()>::new(options, 1).expect("valid options");
    let stream = pipeline.open("clicks", now);
    let mut left = records.iter().cycle().take(count);
    let mut resolved = 0;
    while resolved < count {
        pipeline.push(
            stream,
            left.by_ref().take(TOGETHER).map(|record| (record.clone(), ())),
            now,
        );
        resolved += pump(&mut pipeline, &client, now);
        now += Duration::from_micros(200);
        if left.size_hint().0 == 0 {
            pipeline.flush(now);
        }
    }
}

/// Holds this many records, and then has them all routed again.
fn reshard(records: &[EncodedRecord], count: usize) {
    let now = Instant::now();
    let mut pipeline = Pipeline::<()>::new(options(), 1).expect("valid options");
    let stream = pipeline.open("clicks", now);
    pipeline.push(
        stream,
        records.iter().cycle().take(count).map(|record| (record.clone(), ())),
        now,
    );
    let Some(Output::ListShards { id, .. }) = pipeline.poll(now) else {
        panic!("the shards are listed first");
    };
    pipeline.listed(id, Ok((even_shards(4), StreamDescription::default())), now);
    black_box(pipeline);
}

/// Opens this many streams, and sends a record to each.
fn streams(record: &EncodedRecord, count: usize) {
    let client = AtOnce::new(1);
    let now = Instant::now();
    let mut pipeline = Pipeline::<()>::new(options(), 1).expect("valid options");
    let streams: Vec<StreamId> = (0..count)
        .map(|number| pipeline.open(&format!("clicks-{number}"), now))
        .collect();
    for stream in streams {
        pipeline.push(stream, [(record.clone(), ())], now);
    }
    pipeline.flush(now);
    let mut resolved = 0;
    while resolved < count {
        resolved += pump(&mut pipeline, &client, now);
    }
}

/// Appends this many records, reads them, and removes them.
fn spool(data: &[u8], count: usize) {
    let folder = std::env::temp_dir().join(format!("kpl-scale-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let mut options = kpl_spool::Options::default();
    options.durability = Durability::Written;
    let mut log = Log::open(Directory::open(&folder).expect("a folder"), options).expect("an empty log");
    for number in 0..count {
        log.append(data).expect("room");
        if number % 10_000 == 9_999 || number + 1 == count {
            log.commit().expect("a disk");
        }
    }
    let mut cursor = Cursor::default();
    let mut read = 0;
    while read < count {
        let items = log.read(&mut cursor, 1 << 20).expect("what was written");
        read += items.len();
        black_box(items);
    }
    log.settle_range(0..count as u64);
    log.commit().expect("a disk");
    drop(log);
    let _ = std::fs::remove_dir_all(&folder);
}

fn main() {
    let mut scale = Scale::new("stream");
    scale.each_size("Pipeline, to 4 shards", 7, |count| {
        let records = records(count);
        move || send(&records, count, options())
    });
    scale.each_size("Pipeline, ordered", 6, |count| {
        let records = records(count);
        move || send(&records, count, ordered())
    });
    scale.each_size("Pipeline, held and routed again", 6, |count| {
        let records = records(count);
        move || reshard(&records, count)
    });
    scale.each_size("Pipeline, for a stream with a record", 5, |count| {
        let records = records(1);
        move || records.iter().for_each(|record| streams(record, count))
    });
    scale.each_size("Log of kpl-spool: append, read, remove", 6, |count| {
        let data = [7; 100];
        move || spool(&data, count)
    });
    scale.finish();
}
