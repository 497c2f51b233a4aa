//! How much memory a large event takes. This is a program of its own because it counts all memory of the process.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use kpl::{Aggregator, RawRecord};
use kpl_lambda::{Concurrency, Error, Event, Handler, Received};
use serde_json::json;
use support::{Line, failed, numbered};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is; it only counts, and passes on")]
// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the peak of allocated memory while `f` ran, beyond what was allocated before.
async fn peak(f: impl Future) -> usize {
    let before = NOW.load(Ordering::SeqCst);
    PEAK.store(before, Ordering::SeqCst);
    f.await;
    PEAK.load(Ordering::SeqCst) - before
}

/// An event of 6 MB, the most that Lambda accepts, with 60,000 user records: one at a time they take next to nothing
/// beside the event itself, and at most 500 bytes each where all of them are in memory.
#[tokio::test]
async fn an_event_of_6_mb_and_60_000_user_records() {
    const RECORDS: usize = 60_000;
    let mut aggregator = Aggregator::<RawRecord>::new();
    let mut sealed = Vec::new();
    for number in 0..RECORDS {
        let (key, data) = (format!("key {}", number % 100), [b'x'; 64]);
        sealed.extend(aggregator.push(&RawRecord::new(&key, data)).unwrap());
    }
    sealed.extend(aggregator.finish());
    let records: Vec<_> = sealed
        .iter()
        .map(|record| (record.data.to_vec(), "k".to_owned()))
        .collect();
    let json = json!({ "Records": numbered(&records) }).to_string();
    let size = json.len();
    assert!((5_500_000..6_291_556).contains(&size), "{size}");
    let event: Event = serde_json::from_str(&json).unwrap();

    let count = std::cell::Cell::new(0);
    let handler = Handler::per_record(|_: Received<Line>| {
        count.set(count.get() + 1);
        async { Ok::<_, Error>(()) }
    });
    let sequential = peak(async { assert!(failed(&handler.handle(&event).await.unwrap()).is_empty()) }).await;
    assert_eq!(count.take(), RECORDS);
    println!("one at a time: {sequential} bytes");
    assert!(sequential < 256 << 10, "{sequential}");

    let lanes = Concurrency::ByPartitionKey(NonZeroUsize::MIN);
    let handler = handler.concurrency(lanes);
    let by_key = peak(async { assert!(failed(&handler.handle(&event).await.unwrap()).is_empty()) }).await;
    println!(
        "by partition key: {by_key} bytes, {} for each user record",
        by_key / RECORDS
    );
    assert!(by_key < RECORDS * 500, "{by_key}");
    assert_eq!(count.take(), RECORDS);

    let handler = Handler::per_batch(|lines: Vec<Received<Line>>| async move {
        assert_eq!(lines.len(), RECORDS);
        Ok::<_, Error>(())
    });
    let at_once = peak(async { assert!(failed(&handler.handle(&event).await.unwrap()).is_empty()) }).await;
    println!(
        "all at once: {at_once} bytes, {} for each user record",
        at_once / RECORDS
    );
    assert!(at_once < RECORDS * 500, "{at_once}");
}
