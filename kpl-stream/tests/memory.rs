//! How much memory the pipeline takes: for 1,000 shards, and with a service that never answers.
#![deny(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kpl_core::RawRecord;
use kpl_stream::client::StreamDescription;
use kpl_stream::pipeline::{Output, Pipeline, StreamId};
use kpl_stream::{BYTES_PER_RECORD, EncodedRecord, Options};
use kpl_testkit::even_shards;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// Counts the bytes that are allocated.
struct Counting;

#[expect(unsafe_code, reason = "an allocator is; it only counts, and passes on")]
// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// Returns a pipeline with a stream of this many shards.
fn pipeline(shards: u128, now: Instant) -> (Pipeline<u64>, StreamId) {
    let mut pipeline = Pipeline::new(Options::default(), 1).unwrap();
    let stream = pipeline.open("clicks", now);
    let Some(Output::ListShards { id, .. }) = pipeline.poll(now) else {
        panic!("shards are listed first");
    };
    pipeline.listed(id, Ok((even_shards(shards), StreamDescription::default())), now);
    (pipeline, stream)
}

fn record(number: u64, size: usize) -> (EncodedRecord, u64) {
    let key = number.to_string();
    let record = EncodedRecord::new(&RawRecord::new(key, vec![b'.'; size])).unwrap();
    (record, number)
}

// One test, because the allocator counts all threads.
#[test]
fn memory_is_bounded() {
    let now = Instant::now();

    let before = held();
    let (mut with_shards, stream) = pipeline(1000, now);
    let idle = held() - before;
    println!("1,000 shards, nothing held: {idle} bytes");
    assert!(idle < 2_000_000, "{idle}");

    with_shards.push(stream, (0..20_000).map(|number| record(number, 100)), now);
    let some = held() - before;
    println!("1,000 shards, 20,000 records of 100 bytes: {some} bytes");
    let budget = 20_000 * (105 + BYTES_PER_RECORD);
    assert!(some - idle < 2 * budget, "{some}");
    drop(with_shards);

    // These requests are never answered: their entries belong to the client, and are still held here.
    let before = held();
    let (mut stalled, stream) = pipeline(4, now);
    stalled.push(stream, (0..10_000).map(|number| record(number, 1000)), now);
    let budget = 10_000 * (1004 + BYTES_PER_RECORD);
    let mut requests = Vec::new();
    let mut most = held() - before;
    for step in 0..200 {
        let then = now + Duration::from_millis(step * 25);
        while let Some(output) = stalled.poll(then) {
            requests.extend(match output {
                Output::PutRecords { entries, .. } => Some(entries),
                _ => None,
            });
            most = most.max(held() - before);
        }
    }
    println!("10,000 records of 1,000 bytes and no answer: {most} bytes, and the budget counts {budget}");
    assert!(!requests.is_empty());
    assert!(most < 2 * budget, "{most}");
}
