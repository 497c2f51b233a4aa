//! The golden files: real aggregated records of other writers decode to exactly their user records, and encode back to
//! exactly their bytes.

mod support;

use kpl::wire::{AggregatedRecord, NotAggregated};
use kpl::{Aggregator, Deaggregator, KinesisRecord, RawRecord};

use support::golden::{Golden, names};

#[test]
fn there_are_golden_files() {
    assert!(names().len() >= 10, "{:?}", names());
}

#[test]
fn golden_files_that_do_not_encode_back_are_those_of_sorted_keys() {
    let others: Vec<String> = names()
        .into_iter()
        .filter(|name| !Golden::load(name).encodes_back)
        .collect();
    assert_eq!(others, ["node-number-like-keys.json"]);
    let golden = Golden::load(&others[0]);
    let message = AggregatedRecord::parse(&golden.aggregated).unwrap();
    let keys = message.partition_keys();
    assert_eq!(
        keys,
        ["2", "9", "10", "b", "a"],
        "numbers first, then the others in the order they came"
    );
}

#[test]
fn golden_files_decode_to_exactly_their_user_records() {
    for name in names() {
        let golden = Golden::load(&name);
        let outer = KinesisRecord::new(&golden.aggregated).with_sequence_number("1000");
        let mut received = Vec::new();
        let mut numbers = Vec::new();
        let mut records = Deaggregator::<RawRecord>::new().records(std::slice::from_ref(&outer));
        for item in &mut records {
            let item = item.unwrap();
            assert!(item.record.aggregated, "{name}");
            assert_eq!(item.record.malformed, None, "{name}");
            assert_eq!(item.position().unwrap().sequence_number.as_str(), "1000", "{name}");
            numbers.push(item.record.sub_sequence_number);
            received.push(item.value);
        }
        assert_eq!(numbers, golden.sub_sequence_numbers, "{name}");
        assert_eq!(received, golden.user_records, "{name}");
        assert_eq!(records.counts().delivered, golden.user_records.len() as u64, "{name}");
        assert_eq!(records.counts().aggregated, 1, "{name}");
    }
}

#[test]
fn golden_files_encode_back_to_exactly_their_bytes() {
    for name in names() {
        let golden = Golden::load(&name);
        if !golden.encodes_back {
            continue;
        }
        let mut aggregator = Aggregator::<RawRecord>::new();
        for record in &golden.user_records {
            assert_eq!(aggregator.push(record).unwrap(), None, "{name}");
        }
        assert_eq!(aggregator.data_size(), golden.aggregated.len(), "{name}");
        let sealed = aggregator.finish().unwrap();
        assert_eq!(sealed.data, golden.aggregated, "{name}");
        assert_eq!(sealed.user_records, golden.user_records.len(), "{name}");
        let first = &golden.user_records[0];
        assert_eq!(
            Some(sealed.partition_key.as_str()),
            first.partition_key.as_deref(),
            "{name}"
        );
        assert_eq!(sealed.explicit_hash_key, support::effective(first), "{name}");
    }
}

#[test]
fn golden_files_read_alike_by_the_oracle() {
    for name in names() {
        let golden = Golden::load(&name);
        let body = &golden.aggregated[4..golden.aggregated.len() - 16];
        let oracle = support::oracle::read(body).expect("the oracle reads real records");
        assert_eq!(support::oracle::read_by_us(body), Some(oracle), "{name}");
        assert_eq!(support::bytes::sealed(body), golden.aggregated, "{name}");
    }
}

#[test]
fn golden_files_with_one_bit_flipped_are_no_aggregates() {
    for name in names() {
        let mut bytes = Golden::load(&name).aggregated;
        for place in 0..bytes.len() {
            bytes[place] ^= 0x10;
            let error = AggregatedRecord::parse(&bytes).unwrap_err();
            assert_eq!(
                matches!(error, NotAggregated::Plain),
                place < 4,
                "{name}, byte {place}: {error}"
            );
            bytes[place] ^= 0x10;
        }
    }
}
