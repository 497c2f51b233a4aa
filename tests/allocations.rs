//! What is allocated, and what is not: the reader takes nothing per user record, hostile bytes get no more than their
//! own order, and a warm aggregator takes nothing per record.
#![allow(unsafe_code, reason = "a global allocator cannot be written without it")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kpl::codec::{Bincode, Decode, Postcard};
use kpl::wire::AggregatedRecord;
use kpl::{
    Aggregator, Deaggregator, FromKplRecord, HashKeyRange, KinesisRecord, KplRecord, MalformedPolicy, RawRecord,
    ReadError, StrayPolicy, UserRecord,
};

use support::bytes::{bytes_field, field_key, hash_key, key, record, record_at, sealed, varint};
use support::{Text, raw, raw_at};

/// Counts what the thread that asks for it allocates, so that tests can run in parallel.
struct Counting;

thread_local! {
    static COUNTED: Cell<Counted> = const { Cell::new(Counted { allocations: 0, bytes: 0, largest: 0 }) };
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counted {
    allocations: usize,
    /// All bytes that were requested; what was freed is not subtracted.
    bytes: usize,
    largest: usize,
}

fn count(bytes: usize) {
    // A thread that ends may allocate after its counters are gone.
    let _ = COUNTED.try_with(|counted| {
        let Counted {
            allocations,
            bytes: before,
            largest,
        } = counted.get();
        counted.set(Counted {
            allocations: allocations + 1,
            bytes: before.saturating_add(bytes),
            largest: largest.max(bytes),
        });
    });
}

// SAFETY: every call is passed to the system's allocator unchanged. Counting does not allocate: the counters are
// constants at first, and have no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns what some code allocates.
fn counted<T>(run: impl FnOnce() -> T) -> (T, Counted) {
    COUNTED.set(Counted::default());
    let result = run();
    (result, COUNTED.get())
}

fn read_raw(deaggregator: &Deaggregator<UserRecord<'_>>, data: &[u8]) -> (u64, Counted) {
    let record = KinesisRecord::new(data)
        .with_partition_key("outer")
        .with_sequence_number("100");
    let deaggregator = deaggregator.clone();
    counted(|| {
        let mut records = deaggregator.record(&record);
        records.by_ref().for_each(drop);
        records.counts().user_records
    })
}

#[test]
fn the_allocator_counts() {
    let (vector, counted) = counted(|| Vec::<u8>::with_capacity(1000));
    assert_eq!(
        counted,
        Counted {
            allocations: 1,
            bytes: 1000,
            largest: 1000
        }
    );
    drop(vector);
}

/// The raw read path: the number of allocations for an aggregate does not depend on its number of user records.
mod no_allocation_per_user_record {
    use super::*;

    /// Aggregates of 1000 and of 2000 records, with the same key tables.
    fn pair(one: impl Fn(usize) -> Vec<u8>) -> [Vec<u8>; 2] {
        let tables: Vec<u8> = (0..10)
            .flat_map(|number| [key(&format!("key {number}")), hash_key("7")].concat())
            .collect();
        [1000, 2000].map(|count| {
            let records: Vec<u8> = (0..count).flat_map(&one).collect();
            sealed([tables.clone(), records].concat())
        })
    }

    #[track_caller]
    fn assert_alike(deaggregator: &Deaggregator<UserRecord<'_>>, [few, many]: [Vec<u8>; 2]) {
        let (records, of_few) = read_raw(deaggregator, &few);
        assert_eq!(records, 1000);
        let (records, of_many) = read_raw(deaggregator, &many);
        assert_eq!(records, 2000);
        assert_eq!(of_few, of_many);
        assert!(of_few.allocations < 30, "{of_few:?}");
    }

    #[test]
    fn of_the_most_usual_kind() {
        assert_alike(&Deaggregator::new(), pair(|number| record(number as u64 % 10, "data")));
        assert_alike(
            &Deaggregator::new(),
            pair(|number| record(number as u64 % 10, vec![7; 200])),
        );
    }

    #[test]
    fn with_explicit_hash_keys_and_tags() {
        assert_alike(
            &Deaggregator::new(),
            pair(|number| record_at(number as u64 % 10, 3, "data")),
        );
        let tag = bytes_field(4, [bytes_field(1, "t"), bytes_field(2, "v")].concat());
        let tagged = bytes_field(3, [b"\x08\0\x1A\0".to_vec(), tag].concat());
        assert_alike(&Deaggregator::new(), pair(|_| tagged.clone()));
    }

    #[test]
    fn under_every_policy() {
        for policy in [StrayPolicy::Keep, StrayPolicy::DropStrays, StrayPolicy::DropAggregate] {
            for range in [HashKeyRange::FULL, HashKeyRange::try_from(0..=u128::MAX / 2).unwrap()] {
                let deaggregator = Deaggregator::new().range(range, policy);
                assert_alike(&deaggregator, pair(|number| record(number as u64 % 10, "data")));
            }
        }
    }

    #[test]
    fn when_resuming() {
        let deaggregator = Deaggregator::new().after("100:500".parse().unwrap());
        assert_alike(&deaggregator, pair(|number| record(number as u64 % 10, "data")));
    }

    /// Nor does a record that is read again, wherever it goes.
    #[test]
    fn of_the_wire_reader() {
        let [few, many] = pair(|number| record_at(number as u64 % 10, 3, "data"));
        let read = |data: &[u8]| counted(|| AggregatedRecord::parse(data).unwrap().records().count()).1;
        assert_eq!(read(&few), read(&many));
    }

    /// A batch takes nothing per Kinesis record either, once its tables have room.
    #[test]
    fn per_kinesis_record_of_a_batch() {
        let data = sealed([key("a"), record(0, "x"), record(0, "y")].concat());
        let of = |count: usize| {
            let batch = vec![KinesisRecord::new(&data); count];
            let deaggregator = Deaggregator::<UserRecord<'_>>::new();
            counted(|| deaggregator.records(&batch).for_each(drop)).1
        };
        assert_eq!(of(100), of(1000));
    }
}

/// Section 5, case 7: "declared lengths beyond the input; a million 1-byte records in 1 MiB: linear time, no allocation
/// beyond the input's order."
mod case_7_no_allocation_beyond_the_inputs_order {
    use super::*;

    /// Everything that reading takes, in all: a pointer and a length for each key, which has two bytes at least, with
    /// the room that a growing table leaves; and the same for its hash key.
    const ORDER: usize = 80;

    #[track_caller]
    fn assert_in_order(deaggregator: &Deaggregator<UserRecord<'_>>, data: &[u8]) -> u64 {
        let (records, counted) = read_raw(deaggregator, data);
        assert!(
            counted.bytes <= 4096 + ORDER * data.len(),
            "{counted:?} for {} bytes",
            data.len()
        );
        records
    }

    #[test]
    fn of_a_million_1_byte_records() {
        let records: Vec<u8> = (0..1_000_000).flat_map(|_| record(0, "x")).collect();
        let data = sealed([key("a"), records].concat());
        let (records, counted) = read_raw(&Deaggregator::new(), &data);
        assert_eq!(records, 1_000_000);
        assert!(counted.bytes < 4096, "{counted:?}");
    }

    #[test]
    fn of_declared_lengths_beyond_the_input() {
        for length in [100, 1 << 20, 1 << 31, 1 << 40, i64::MAX as u64, u64::MAX] {
            for number in [1, 2, 3, 9] {
                let data = sealed([field_key(number, 2), varint(length)].concat());
                let (_, counted) = read_raw(&Deaggregator::new(), &data);
                assert!(counted.bytes < 4096, "{counted:?}");
            }
        }
    }

    #[test]
    fn of_keys_that_nobody_uses() {
        for one in [key(""), hash_key("")] {
            let data = sealed(one.repeat(100_000));
            assert_in_order(&Deaggregator::new(), &data);
            let half = HashKeyRange::try_from(0..=u128::MAX / 2).unwrap();
            for policy in [StrayPolicy::DropStrays, StrayPolicy::DropAggregate] {
                let data = sealed([one.repeat(100_000), record(0, "x")].concat());
                assert_in_order(&Deaggregator::new().range(half, policy), &data);
            }
        }
    }

    /// Errors own what they report: a box, the data, and at most 256 characters of a key, for each record.
    #[test]
    fn of_long_keys_that_every_error_refers_to() {
        const PER_ERROR: usize = 1024 * 3;
        let count = 4_000;
        for long in ["0".repeat(100_000), "é".repeat(50_000), "9".repeat(100_000)] {
            let records: Vec<u8> = (0..count).flat_map(|_| record_at(0, 0, "x")).collect();
            let data = sealed([key(&long), hash_key(&long), records].concat());
            let (records, counted) = read_raw(&Deaggregator::new(), &data);
            assert_eq!(records, count as u64);
            assert!(counted.bytes < 4096 + count * PER_ERROR, "{counted:?}");
        }
        let records: Vec<u8> = (0..count).flat_map(|_| record(0, b"\xFF")).collect();
        let data = sealed([key(&"k".repeat(100_000)), records].concat());
        let outer = KinesisRecord::new(&data);
        let (failed, counted) = counted(|| {
            let deaggregator = Deaggregator::<Text>::new();
            deaggregator.record(&outer).filter(Result::is_err).count()
        });
        assert_eq!(failed, count);
        assert!(counted.bytes < 4096 + count * PER_ERROR, "{counted:?}");
    }

    /// Nor do values own a copy each.
    #[test]
    fn of_a_long_key_that_is_a_field_of_every_record() {
        #[derive(KplRecord)]
        #[kpl(codec = Postcard)]
        struct Elided {
            #[kpl(partition_key, elide)]
            _key: String,
        }

        const PER_ERROR: usize = 1024 * 4;
        let count = 4_000;
        let records: Vec<u8> = (0..count).flat_map(|_| record(0, "")).collect();
        let data = sealed([key(&"k".repeat(100_000)), records].concat());
        let outer = KinesisRecord::new(&data);
        let (failed, counted) = counted(|| {
            let records = Deaggregator::<Elided>::new().record(&outer);
            records.filter(Result::is_err).count()
        });
        assert_eq!(failed, count);
        assert!(counted.bytes < 4096 + count * PER_ERROR, "{counted:?}");
    }

    #[test]
    fn of_payloads_with_declared_lengths_beyond_them() {
        for length in [100, 1 << 20, 1 << 31, 1 << 40, i64::MAX as u64, u64::MAX] {
            let bincode = [&[0xFD][..], &length.to_le_bytes()].concat();
            let (result, counted) = counted(|| <Bincode as Decode<String>>::decode(&bincode).is_err());
            assert!(result && counted.largest <= 1 << 20, "{length}: {counted:?}");
            let (result, counted) = self::counted(|| <Postcard as Decode<String>>::decode(&varint(length)).is_err());
            assert!(result && counted.largest <= 1 << 20, "{length}: {counted:?}");
        }
    }
}

/// "A hostile input of n bytes never costs more than a stated small multiple of n in memory": the documentation of
/// `Deaggregator` states it. All that reading takes is counted, also what is given back at once.
mod a_hostile_input_of_n_bytes_costs_at_most_48_n_bytes {
    use super::*;

    /// This much for any input: the digests of 32 records, and the first room of tables.
    const ANYWAY: usize = 4096;
    const PER_BYTE: usize = 48;
    /// An error owns its data, which is counted by `PER_BYTE`, and this.
    const PER_ERROR: usize = 4096;
    /// The list of what the range leaves out, if asked for.
    const PER_DROPPED: usize = 4 * size_of::<UserRecord<'_>>();

    /// A record that is read whatever its bytes are, and holds nothing.
    struct Any;

    impl FromKplRecord<'_> for Any {
        const MALFORMED: MalformedPolicy = MalformedPolicy::Deliver;

        fn from_user_record(_: &UserRecord<'_>) -> Result<Self, ReadError> {
            Ok(Self)
        }
    }

    #[track_caller]
    fn assert_in_proportion<T: for<'de> FromKplRecord<'de>>(
        kind: &str,
        deaggregator: &Deaggregator<T>,
        batch: &[KinesisRecord<'_>],
    ) {
        let deaggregator = deaggregator.clone();
        let (counts, counted) = counted(|| {
            let mut records = deaggregator.records(batch);
            records.by_ref().for_each(drop);
            records.counts()
        });
        let len: usize = batch.iter().map(|record| record.data.len()).sum();
        let most = ANYWAY + PER_BYTE * len + PER_ERROR * counts.failed as usize + PER_DROPPED * counts.dropped as usize;
        assert!(counted.bytes <= most, "{kind}: {counted:?} for {len} bytes, {counts:?}");
    }

    fn assert_all_in_proportion(kind: &str, batch: &[KinesisRecord<'_>]) {
        assert_in_proportion(kind, &Deaggregator::<Any>::new(), batch);
        let nearly_none = HashKeyRange::try_from(1..=1).unwrap();
        for policy in [StrayPolicy::DropStrays, StrayPolicy::DropAggregate] {
            let deaggregator = Deaggregator::<Any>::new().range(nearly_none, policy);
            assert_in_proportion(kind, &deaggregator.list_dropped(true), batch);
        }
        assert_in_proportion(
            kind,
            &Deaggregator::<Any>::new().after("100:50".parse().unwrap()),
            batch,
        );
        assert_in_proportion(kind, &Deaggregator::<Text>::new(), batch);
    }

    #[test]
    fn of_one_record() {
        for (kind, make) in support::hostile::KINDS {
            // The last holds one key more than a table of a power of two.
            for len in [100, 5_000, 16_386] {
                let data = make(len);
                let record = KinesisRecord::new(&data)
                    .with_sequence_number("100")
                    .with_partition_key("outer");
                assert_all_in_proportion(kind, &[record]);
            }
        }
    }

    /// The tables of keys, and nothing else.
    #[test]
    fn of_the_wire_reader_32() {
        for (kind, make) in support::hostile::KINDS {
            for len in [100, 5_000, 16_386] {
                let data = make(len);
                let (_, counted) =
                    counted(|| AggregatedRecord::parse(&data).map(|aggregate| aggregate.records().count()));
                assert!(
                    counted.bytes <= 256 + 32 * data.len(),
                    "{kind}: {counted:?} for {} bytes",
                    data.len()
                );
            }
        }
    }

    #[test]
    fn of_a_batch() {
        for (kind, make) in support::hostile::KINDS {
            for len in [30, 300] {
                let data = make(len);
                let record = KinesisRecord::new(&data)
                    .with_sequence_number("100")
                    .with_partition_key("outer");
                assert_all_in_proportion(kind, &[record; 40]);
            }
        }
    }
}

/// An aggregator that has produced aggregates before allocates only for those that come out.
mod a_warm_aggregator_takes_no_allocation_per_record {
    use super::*;

    fn records() -> Vec<RawRecord> {
        (0..1000_u128)
            .map(|number| {
                let key = format!("key {}", number % 50);
                match number % 3 {
                    0 => raw(&key, vec![7; 20]),
                    1 => raw_at(&key, number % 20, vec![7; 200]),
                    _ => raw(&key, "data").with_tag("t", Some("v")),
                }
            })
            .collect()
    }

    #[test]
    fn pushed() {
        let mut aggregator = Aggregator::<RawRecord>::builder().max_size(10 << 20).build().unwrap();
        let records = records();
        for _ in 0..2 {
            for record in &records {
                assert!(aggregator.push(record).unwrap().is_none());
            }
            aggregator.finish().unwrap();
        }
        let ((), of_pushes) = counted(|| {
            for record in &records {
                assert!(aggregator.push(record).unwrap().is_none());
            }
        });
        assert!(of_pushes.allocations <= 1, "the buffer of the aggregate: {of_pushes:?}");
        let (sealed, of_seal) = counted(|| aggregator.finish().unwrap());
        assert!(of_seal.allocations <= 5, "{of_seal:?}");
        assert!(
            of_seal.bytes <= 2 * sealed.data.len() + 1024,
            "{of_seal:?} for {} bytes",
            sealed.data.len()
        );
    }

    #[test]
    fn pushed_of_a_derived_type_with_tags() {
        #[derive(KplRecord)]
        struct Tagged {
            #[kpl(partition_key)]
            id: u32,
            #[kpl(tag = "kind")]
            kind: String,
            #[kpl(tag = "trace")]
            trace: Option<u64>,
            #[kpl(payload)]
            body: Vec<u8>,
        }

        let records: Vec<_> = (0..1000)
            .map(|number| Tagged {
                id: number % 50,
                kind: ["", "click", "a kind of which there is more to say than of others"][number as usize % 3].into(),
                trace: (number % 2 == 0).then(|| 7_u64.pow(number % 20)),
                body: vec![7; 20],
            })
            .collect();
        let mut aggregator = Aggregator::<Tagged>::builder().max_size(10 << 20).build().unwrap();
        for _ in 0..2 {
            for record in &records {
                assert!(aggregator.push(record).unwrap().is_none());
            }
            aggregator.finish().unwrap();
        }
        let ((), of_pushes) = counted(|| {
            for record in &records {
                assert!(aggregator.push(record).unwrap().is_none());
            }
        });
        assert!(of_pushes.allocations <= 1, "the buffer of the aggregate: {of_pushes:?}");
    }

    #[test]
    fn refused_for_its_size() {
        let mut aggregator = Aggregator::<RawRecord>::builder().max_size(100).build().unwrap();
        let large = raw("a", vec![7; 1000]);
        aggregator.push(&large).unwrap_err();
        let (error, counted) = counted(|| aggregator.push(&large).unwrap_err());
        assert!(error.to_string().contains("\"a\""), "{error}");
        assert!(counted.allocations <= 1, "the key in the error: {counted:?}");
    }

    #[test]
    fn pushed_into_shards() {
        let map = support::shards(&[1 << 126, 1 << 127]);
        let builder = Aggregator::<RawRecord>::builder().max_size(10 << 20);
        let mut aggregator = builder.build_sharded(map).unwrap();
        let records = records();
        for _ in 0..2 {
            for record in &records {
                assert!(aggregator.push(record).unwrap().is_none());
            }
            assert_eq!(aggregator.finish().len(), 3);
        }
        let ((), of_pushes) = counted(|| {
            for record in &records {
                assert!(aggregator.push(record).unwrap().is_none());
            }
        });
        assert!(
            of_pushes.allocations <= 3,
            "the buffers of the aggregates: {of_pushes:?}"
        );
    }
}
