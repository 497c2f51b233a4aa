//! Section 4 of the format, writing: every row of its table is a module, quoted, with its tests; and the bytes and
//! sizes of section 1.
//!
//! The format's description is `docs/format.md`; `.ci/book` checks that the quoted sentences are in it.

mod support;

use kpl::{AggregateError, Aggregator, HashKey, PartitionKey, RawRecord, SealedRecord, ShardMap, ShardedAggregator};
use proptest::prelude::*;

use support::bytes::{
    MAGIC, aggregate_of, bytes_field, hash_key, key, record, record_at, record_of, sealed as seal, varint_field,
};
use support::strategies::{self, cases};
use support::{aggregate, aggregate_into_one, contents, effective, raw, raw_at, shards, tags};

type Raw = RawRecord;

fn aggregator_of(max_size: usize) -> Aggregator<Raw> {
    Aggregator::builder().max_size(max_size).build().unwrap()
}

/// Returns what an aggregator would return now, without changing it.
fn would_give(aggregator: &Aggregator<Raw>) -> Option<SealedRecord> {
    aggregator.clone().finish()
}

/// Section 1: "Canonical writing order: partition-key table, explicit-hash-key table, records; inside a record fields
/// 1, 2, 3, 4. Index 0 is written explicitly (`08 00`), empty data as `1A 00`. Tables hold each key once, in first-seen
/// order."
mod bytes {
    use super::*;

    #[test]
    fn are_in_the_canonical_order() {
        let records = [
            raw("b", "one"),
            raw_at("a", 9, "two"),
            raw_at("b", 7, "three").with_tag("t", Some("v")).with_tag("u", None),
            raw_at("a", 9, "four"),
        ];
        let tagged = record_of(&[
            varint_field(1, 0),
            varint_field(2, 1),
            bytes_field(3, "three"),
            bytes_field(4, [bytes_field(1, "t"), bytes_field(2, "v")].concat()),
            bytes_field(4, bytes_field(1, "u")),
        ]);
        let expected = aggregate_of(&[
            key("b"),
            key("a"),
            hash_key("9"),
            hash_key("7"),
            record(0, "one"),
            record_at(1, 0, "two"),
            tagged,
            record_at(1, 0, "four"),
        ]);
        assert_eq!(aggregate_into_one(&records).data, expected);
    }

    #[test]
    fn have_index_0_and_empty_data_written_out() {
        let sealed = aggregate_into_one(&[raw_at("a", 0, "")]);
        let body = b"\x0A\x01a\x12\x010\x1A\x06\x08\x00\x10\x00\x1A\x00";
        assert_eq!(sealed.data, seal(body));
    }

    #[test]
    fn are_those_of_the_oracle() {
        use prost::Message as _;
        let records = [
            raw("b", "one"),
            raw_at("a", 9, ""),
            raw_at("b", u128::MAX, "three").with_tag("t", None),
        ];
        let sealed = aggregate_into_one(&records);
        let body = &sealed.data[4..sealed.data.len() - 16];
        assert_eq!(support::oracle::read(body).unwrap().encode_to_vec(), body);
    }

    /// Indexes and lengths on both sides of where a varint gets longer, with and without an explicit hash key.
    #[test]
    fn are_those_of_the_oracle_at_each_length_of_a_number() {
        use prost::Message as _;
        let lengths = [
            0, 1, 123, 124, 125, 126, 127, 128, 129, 16_376, 16_377, 16_378, 16_379, 16_380, 16_384, 2_097_152,
        ];
        let mut records: Vec<_> = (0..16_390_u32)
            .map(|number| raw(&format!("key {number}"), vec![7; number as usize % 5]))
            .collect();
        for number in [0, 1, 126, 127, 128, 129, 16_382, 16_383, 16_384, 16_385] {
            let keep_small = if number % 2 == 0 { lengths.len() - 1 } else { 10 };
            for length in &lengths[..keep_small] {
                records.push(raw(&format!("key {number}"), vec![8; *length]));
                records.push(raw_at(&format!("key {number}"), number, vec![9; *length]));
            }
        }
        records.push(raw("the last", vec![10; lengths[lengths.len() - 1]]));
        let sealed = aggregate_into_one(&records);
        let body = &sealed.data[4..sealed.data.len() - 16];
        assert!(support::oracle::read(body).unwrap().encode_to_vec() == body);
        assert!(contents(&sealed) == records);
    }

    /// "Size is exact, never estimated": the formula of section 1, for one record and for what each next one adds.
    #[test]
    fn are_as_many_as_the_formula_says() {
        let v = |value: usize| support::bytes::varint(value as u64).len();
        let mut aggregator = aggregator_of(10 << 20);
        let mut total = 4 + 16;
        for number in 0..200_usize {
            let (name, data) = (format!("key {number}"), vec![0; number * 100]);
            let inner = 1 + v(number) + 1 + v(number) + 1 + v(data.len()) + data.len();
            let digits = number.to_string().len();
            total += 1 + v(name.len()) + name.len() + 1 + v(digits) + digits + 1 + v(inner) + inner;
            aggregator.push(&raw_at(&name, number as u128, data)).unwrap();
            if number > 0 {
                assert_eq!(aggregator.data_size(), total, "after record {number}");
                assert_eq!(aggregator.size(), total + "key 0".len(), "after record {number}");
            }
        }
        assert_eq!(aggregator.finish().unwrap().data.len(), total);
    }
}

/// "a lone record | [...] raw by default (wrapping is an option); but a lone record whose own data would be read as an
/// aggregate is always wrapped"
mod a_lone_record {
    use super::*;

    #[test]
    fn is_sent_raw_under_its_own_key() {
        for record in [raw("abc", "data"), raw_at("abc", 7, "data"), raw("abc", "")] {
            let sealed = aggregate(Aggregator::new(), [&record]);
            assert_eq!(sealed.len(), 1);
            assert_eq!(sealed[0].data, *record.data);
            assert_eq!(sealed[0].partition_key.as_str(), "abc");
            assert_eq!(sealed[0].explicit_hash_key, effective(&record));
            assert_eq!((sealed[0].aggregated, sealed[0].user_records), (false, 1));
            assert_eq!(sealed[0].size(), record.data.len() + 3);
            assert_eq!(contents(&sealed[0]), [raw("abc", &record.data)]);
        }
    }

    #[test]
    fn is_wrapped_if_that_is_chosen() {
        let record = raw_at("abc", 7, "data");
        let aggregator = Aggregator::builder().wrap_single(true).build().unwrap();
        let sealed = aggregate(aggregator, [&record]);
        assert_eq!(
            sealed[0].data,
            aggregate_of(&[key("abc"), hash_key("7"), record_at(0, 0, "data")])
        );
        assert!(sealed[0].aggregated);
        assert_eq!(contents(&sealed[0]), [record]);
    }

    #[test]
    fn whose_data_would_be_read_as_an_aggregate_is_always_wrapped() {
        let real = aggregate_of(&[key("inner"), record(0, "data"), record(0, "more")]);
        let empty = aggregate_of(&[key("inner")]);
        for data in [&real[..], &empty] {
            let record = raw("abc", data);
            let sealed = aggregate(Aggregator::new(), [&record]);
            assert!(sealed[0].aggregated, "{data:x?}");
            assert_eq!(contents(&sealed[0]), [record]);
        }
        let almost = raw("abc", &real[1..]);
        let sealed = aggregate(Aggregator::new(), [&almost]);
        assert!(!sealed[0].aggregated, "without the magic there is no danger");
    }

    /// "A lone record that starts with the magic and would not be read as an aggregate may be sent raw or wrapped; we
    /// wrap it."
    #[test]
    fn that_starts_with_the_magic_is_wrapped() {
        let real = aggregate_of(&[key("inner"), record(0, "data")]);
        let broken = [&MAGIC[..], &[7; 20]].concat();
        for data in [&broken[..], &MAGIC, &real[..20]] {
            let record = raw("abc", data);
            let sealed = aggregate(Aggregator::new(), [&record]);
            assert!(sealed[0].aggregated, "{data:x?}");
            assert_eq!(contents(&sealed[0]), [record]);
        }
    }

    /// What travels outside the data would be lost.
    #[test]
    fn with_tags_is_always_wrapped() {
        let record = raw("abc", "data").with_tag("t", None);
        let sealed = aggregate(Aggregator::new(), [&record]);
        assert!(sealed[0].aggregated);
        assert_eq!(contents(&sealed[0]), [record]);
    }

    #[test]
    fn whose_type_asks_for_it_is_always_wrapped() {
        struct Keyed;
        impl kpl::KplRecord for Keyed {
            fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, kpl::KeyError> {
                Ok("abc")
            }
            fn explicit_hash_key(&self) -> Result<Option<HashKey>, kpl::KeyError> {
                Ok(Some(7.into()))
            }
            fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], kpl::CodecError> {
                Ok(b"data")
            }
            fn always_wrapped(&self) -> bool {
                true
            }
        }
        let sealed = aggregate(Aggregator::new(), [&Keyed]);
        assert!(sealed[0].aggregated);
        assert_eq!(contents(&sealed[0]), [raw_at("abc", 7, "data")]);
        let mut sharded = Aggregator::<Keyed>::builder().build_sharded(shards(&[])).unwrap();
        sharded.push(&Keyed).unwrap();
        assert!(sharded.set_shard_map(shards(&[1 << 127])).is_empty());
        assert!(sharded.finish()[0].aggregated, "also after another map");
    }

    /// The last of many, the first after a seal, or the only one of a maximum count of 1.
    #[test]
    fn is_raw_wherever_it_is_alone() {
        let aggregator = Aggregator::builder().max_count(2).build().unwrap();
        let sealed = aggregate(aggregator, &[raw("a", "1"), raw("a", "2"), raw("a", "3")]);
        assert_eq!(
            sealed.iter().map(|record| record.aggregated).collect::<Vec<_>>(),
            [true, false]
        );
        let aggregator = Aggregator::builder().max_count(1).build().unwrap();
        let sealed = aggregate(aggregator, &[raw("a", "1"), raw("b", "2")]);
        assert_eq!(
            sealed.iter().map(|record| &record.data[..]).collect::<Vec<_>>(),
            [b"1", b"2"]
        );
    }
}

/// "outer partition key | [...] the first record's by default, a fixed one as an option"
mod outer_partition_key {
    use super::*;

    #[test]
    fn is_the_first_records() {
        let sealed = aggregate_into_one(&[raw("first", "1"), raw("second", "2")]);
        assert_eq!(sealed.partition_key.as_str(), "first");
    }

    #[test]
    fn is_the_first_records_of_each_aggregate() {
        let aggregator = Aggregator::builder().max_count(2).build().unwrap();
        let records = [raw("a", "1"), raw("b", "2"), raw("c", "3"), raw("a", "4")];
        let sealed = aggregate(aggregator, &records);
        let keys: Vec<_> = sealed.iter().map(|record| record.partition_key.as_str()).collect();
        assert_eq!(keys, ["a", "c"]);
    }

    #[test]
    fn is_a_fixed_one_if_that_is_chosen() {
        let builder = Aggregator::builder().outer_partition_key(PartitionKey::new("a").unwrap());
        let records = [raw("first", "1"), raw("second", "2")];
        let mut aggregator = builder.clone().build().unwrap();
        for record in &records {
            aggregator.push(record).unwrap();
        }
        assert_eq!(aggregator.size(), aggregator.data_size() + 1);
        let sealed = aggregate(builder.build().unwrap(), &records);
        assert_eq!(sealed[0].partition_key.as_str(), "a");
        assert_eq!(
            sealed[0].explicit_hash_key,
            effective(&records[0]),
            "but the shard is the first record's"
        );
        assert_eq!(contents(&sealed[0]), records, "and the inner keys are not touched");
        assert_eq!(sealed[0].size(), sealed[0].data.len() + 1);
    }

    #[test]
    fn is_a_raw_records_own_even_if_a_fixed_one_is_chosen() {
        let builder = Aggregator::builder().outer_partition_key(PartitionKey::new("a").unwrap());
        let mut aggregator = builder.build().unwrap();
        aggregator.push(&raw("own", "1")).unwrap();
        assert_eq!(aggregator.size(), 3 + 1);
        let sealed = aggregator.finish().unwrap();
        assert_eq!((sealed.partition_key.as_str(), sealed.aggregated), ("own", false));
    }
}

/// "outer explicit hash key | [...] the first record's effective hash key, always"
#[test]
fn outer_explicit_hash_key_is_the_first_records_effective_hash_key_always() {
    let of_abc = HashKey::of_partition_key("abc");
    let records = [
        ([raw("abc", "1"), raw_at("x", 7, "2")], of_abc),
        ([raw_at("abc", 7, "1"), raw("x", "2")], HashKey::new(7)),
        ([raw_at("abc", 0, "1"), raw("x", "2")], HashKey::MIN),
        ([raw_at("abc", u128::MAX, "1"), raw("x", "2")], HashKey::MAX),
    ];
    for (records, expected) in records {
        assert_eq!(aggregate_into_one(&records).explicit_hash_key, expected);
        let raw = aggregate(Aggregator::new(), &records[..1]);
        assert_eq!((raw[0].explicit_hash_key, raw[0].aggregated), (expected, false));
    }
    let aggregator = Aggregator::builder().max_count(2).build().unwrap();
    let sealed = aggregate(
        aggregator,
        &[raw_at("a", 1, ""), raw("a", ""), raw("abc", ""), raw_at("a", 2, "")],
    );
    assert_eq!(
        sealed[1].explicit_hash_key, of_abc,
        "nothing is left over from the aggregate before"
    );
}

/// "inner explicit hash key where the user gave none | [...] absent"
#[test]
fn inner_explicit_hash_key_where_the_user_gave_none_is_absent() {
    let sealed = aggregate_into_one(&[raw("abc", "1"), raw("x", "2")]);
    let oracle = support::oracle::read(&sealed.data[4..sealed.data.len() - 16]).unwrap();
    assert!(oracle.explicit_hash_key_table.is_empty());
    assert!(
        oracle
            .records
            .iter()
            .all(|record| record.explicit_hash_key_index.is_none())
    );

    let mixed = [raw("abc", "1"), raw_at("abc", 7, "2"), raw("abc", "3")];
    assert_eq!(contents(&aggregate_into_one(&mixed)), mixed);
}

/// "key tables | [...] first-seen order, any key text (`"7"`, `"__proto__"`, ...)"
mod key_tables {
    use super::*;

    #[test]
    fn are_in_first_seen_order_with_each_key_once() {
        let keys = ["10", "9", "7", "b", "a", "10", "7", "1", "a", "0", "-1"];
        let records: Vec<_> = keys.iter().map(|key| raw(key, *key)).collect();
        let sealed = aggregate_into_one(&records);
        let parsed = kpl::wire::AggregatedRecord::parse(&sealed.data).unwrap();
        assert_eq!(parsed.partition_keys(), ["10", "9", "7", "b", "a", "1", "0", "-1"]);
        assert_eq!(contents(&sealed), records);
    }

    #[test]
    fn of_explicit_hash_keys_are_in_first_seen_order_with_each_key_once() {
        let records: Vec<_> = [10, 9, 10, 7, 0, 9]
            .iter()
            .map(|&key| raw_at("a", key, key.to_string()))
            .collect();
        let sealed = aggregate_into_one(&records);
        let parsed = kpl::wire::AggregatedRecord::parse(&sealed.data).unwrap();
        assert_eq!(parsed.explicit_hash_keys(), ["10", "9", "7", "0"]);
        assert_eq!(contents(&sealed), records);
    }

    #[test]
    fn hold_any_key_text() {
        let four_bytes = "𝒳".repeat(256);
        let keys = [
            "7",
            "__proto__",
            "constructor",
            "toString",
            "\u{0}",
            "é",
            "e\u{301}",
            "\u{feff}",
            &four_bytes,
            " ",
            "\n",
            "{}",
            "\u{10ffff}",
            "007",
            "1e3",
        ];
        let records: Vec<_> = keys.iter().map(|key| raw(key, *key)).collect();
        assert_eq!(contents(&aggregate_into_one(&records)), records);
    }

    /// An aggregator starts with empty tables again after each seal.
    #[test]
    fn start_empty_in_the_next_aggregate() {
        let mut aggregator = Aggregator::<Raw>::builder().wrap_single(true).build().unwrap();
        aggregator.push(&raw_at("a", 1, "x")).unwrap();
        aggregator.push(&raw_at("b", 2, "x")).unwrap();
        aggregator.finish().unwrap();
        aggregator.push(&raw_at("b", 2, "y")).unwrap();
        let expected = aggregate_of(&[key("b"), hash_key("2"), record_at(0, 0, "y")]);
        assert_eq!(aggregator.finish().unwrap().data, expected);
    }
}

/// "size limit | [...] exact, outer key counted, default 51,200, settable to 10 MiB"
mod size_limit {
    use super::*;

    #[test]
    fn is_51_200_by_default() {
        assert_eq!(kpl::DEFAULT_MAX_SIZE, 51_200);
        let fits = raw("abc", vec![0; 51_200 - 3]);
        let mut aggregator = Aggregator::new();
        aggregator.push(&fits).unwrap();
        assert_eq!(aggregator.size(), 51_200);
        let too_large = raw("abc", vec![0; 51_200 - 2]);
        let error = aggregator.push(&too_large).unwrap_err();
        assert!(
            matches!(
                error,
                AggregateError::TooLarge {
                    size: 51_201,
                    max_size: 51_200,
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn can_be_set_to_10_mib_and_no_further() {
        let largest = 10 * 1024 * 1024;
        assert_eq!(kpl::MAX_RECORD_SIZE, largest);
        let mut aggregator = aggregator_of(largest);
        aggregator.push(&raw("abc", vec![7; largest - 3])).unwrap();
        let sealed = aggregator.finish().unwrap();
        assert_eq!((sealed.size(), sealed.aggregated), (largest, false));

        let error = Aggregator::<Raw>::builder().max_size(largest + 1).build().unwrap_err();
        assert_eq!(error.option, "max_size");
        assert_eq!(
            error.to_string(),
            "max_size is 10485761, but must be from 1 to 10485760"
        );
        let error = Aggregator::<Raw>::builder()
            .max_size(0)
            .build_sharded(shards(&[]))
            .unwrap_err();
        assert_eq!(error.to_string(), "max_size is 0, but must be from 1 to 10485760");
        let error = Aggregator::<Raw>::builder().max_count(0).build().unwrap_err();
        assert_eq!(error.option, "max_count");
        assert_eq!(error.to_string(), "max_count is 0, but must be at least 1");
    }

    /// Two records that make exactly `size` together, and the options under which they do.
    fn pair(builder: &kpl::AggregatorBuilder<Raw>) -> ([Raw; 2], usize) {
        let records = [raw("key", vec![1; 300]), raw_at("other", 7, vec![2; 200])];
        let mut aggregator = builder.clone().build().unwrap();
        for record in &records {
            assert_eq!(aggregator.push(record).unwrap(), None);
        }
        let sealed = aggregator.finish().unwrap();
        assert_eq!(sealed.user_records, 2);
        (records, sealed.size())
    }

    #[test]
    fn is_exact_with_the_outer_key_counted() {
        let builder = Aggregator::builder();
        let long = PartitionKey::new("x".repeat(200)).unwrap();
        for builder in [builder.clone(), builder.outer_partition_key(long)] {
            let (records, size) = pair(&builder);
            for (limit, together) in [(size - 1, false), (size, true), (size + 1, true)] {
                let sealed = aggregate(builder.clone().max_size(limit).build().unwrap(), &records);
                assert_eq!(sealed.len() == 1, together, "limit {limit}, together they are {size}");
                assert!(sealed.iter().all(|record| record.size() <= limit));
            }
        }
    }

    #[test]
    fn is_exact_for_a_single_record_raw_and_wrapped() {
        let records = [
            raw_at("key", 7, vec![1; 300]),
            raw("k", vec![1; 3000]),
            raw(&"𝒳".repeat(256), ""),
            raw_at(&"𝒳".repeat(256), u128::MAX, "data"),
        ];
        for record in &records {
            let raw_size = record.partition_key.as_ref().unwrap().len() + record.data.len();
            let wrapped = aggregate_into_one(std::slice::from_ref(record)).size();
            for (wrap, size) in [(false, raw_size), (true, wrapped)] {
                for (limit, fits) in [(size - 1, false), (size, true), (size + 1, true)] {
                    let mut aggregator = Aggregator::builder().wrap_single(wrap).max_size(limit).build().unwrap();
                    match aggregator.push(record) {
                        Ok(None) => assert!(fits),
                        Err(AggregateError::TooLarge {
                            size: told, max_size, ..
                        }) => {
                            assert!(!fits);
                            assert_eq!((told, max_size), (size, limit));
                        }
                        other => panic!("{other:?}"),
                    }
                    assert_eq!(aggregator.finish().map(|sealed| sealed.size()), fits.then_some(size));
                }
            }
        }
    }

    #[test]
    fn counts_the_fixed_outer_key_of_a_single_wrapped_record() {
        let record = raw("key", vec![1; 300]);
        let outer = PartitionKey::new("x".repeat(200)).unwrap();
        let size = aggregate_into_one(std::slice::from_ref(&record)).data.len() + 200;
        for (limit, fits) in [(size - 1, false), (size, true)] {
            let builder = Aggregator::builder()
                .wrap_single(true)
                .outer_partition_key(outer.clone());
            let mut aggregator = builder.max_size(limit).build().unwrap();
            assert_eq!(aggregator.push(&record).is_ok(), fits);
        }
    }

    /// A record that only fits raw does not become too large by having a neighbour.
    #[test]
    fn holds_for_records_that_fit_raw_but_not_wrapped() {
        let limit = 100;
        let records: Vec<_> = (0..5).map(|number| raw("abc", vec![number; limit - 3])).collect();
        let sealed = aggregate(aggregator_of(limit), &records);
        assert_eq!(sealed.len(), 5);
        assert!(sealed.iter().all(|record| record.size() == limit && !record.aggregated));
        assert_eq!(support::all_contents(&sealed), records);
        let with_small = [raw("abc", ""), records[0].clone(), raw("abc", "")];
        let sealed = aggregate(aggregator_of(limit), &with_small);
        assert_eq!(support::all_contents(&sealed), with_small);
    }

    #[test]
    fn max_count_is_exact() {
        for count in 1..5 {
            let records: Vec<_> = (0..10).map(|number| raw("abc", format!("{number}"))).collect();
            let sealed = aggregate(Aggregator::builder().max_count(count).build().unwrap(), &records);
            assert!(
                sealed[..sealed.len() - 1]
                    .iter()
                    .all(|record| record.user_records == count)
            );
            assert_eq!(sealed.len(), 10_usize.div_ceil(count));
            assert_eq!(support::all_contents(&sealed), records);
        }
    }

    /// The one that fills it goes out with it, at once.
    #[test]
    fn max_count_seals_with_the_last_record() {
        let mut aggregator = Aggregator::builder().max_count(2).build().unwrap();
        assert_eq!(aggregator.push(&raw("a", "1")).unwrap(), None);
        assert_eq!(aggregator.push(&raw("a", "2")).unwrap().unwrap().user_records, 2);
        assert!(aggregator.is_empty());
    }
}

/// "a record that does not fit | [...] sealed aggregate goes out, a new one starts; nothing is ever lost on an error
/// path"
mod a_record_that_does_not_fit {
    use super::*;

    #[test]
    fn starts_a_new_aggregate_and_the_sealed_one_goes_out() {
        let mut aggregator = aggregator_of(200);
        let records: Vec<_> = (0..4).map(|number| raw("abc", vec![number; 50])).collect();
        for record in &records[..3] {
            assert_eq!(aggregator.push(record).unwrap(), None);
        }
        let before = would_give(&aggregator);
        let sealed = aggregator.push(&records[3]).unwrap();
        assert_eq!(sealed, before, "what goes out is what was held");
        assert_eq!(
            (aggregator.count(), aggregator.size()),
            (1, 53),
            "the record that did not fit is held"
        );
        assert_eq!(contents(&sealed.unwrap()), records[..3]);
        assert_eq!(contents(&aggregator.finish().unwrap()), records[3..]);
    }

    /// Python loses records in a window of 20 bytes below the limit.
    #[test]
    fn is_not_lost_whatever_its_size() {
        let limit = 400;
        for first in 0..limit - 30 {
            for second in [0, 1, 126, 127, 128, 129, limit - 150, limit - 3] {
                let records = [raw("abc", vec![1; first]), raw("abc", vec![2; second])];
                let sealed = aggregate(aggregator_of(limit), &records);
                assert!(sealed.iter().all(|record| record.size() <= limit));
                assert_eq!(support::all_contents(&sealed), records, "{first} and {second} bytes");
            }
        }
    }
}

/// "a record too large on its own | [...] refused with a typed error that gives the record back; the aggregator is
/// unchanged"
mod a_record_too_large_on_its_own {
    use super::*;

    #[test]
    fn is_refused_with_a_typed_error_and_the_aggregator_is_unchanged() {
        let mut aggregator = aggregator_of(200);
        let large = [
            raw("abc", vec![0; 198]),
            raw("abc", vec![0; 10_000]),
            raw_at("abc", 5, vec![0; 5_000]),
            raw("abc", "small").with_tag("t", Some(&"v".repeat(200))),
            raw(&"k".repeat(200), "x"),
            raw("abc", [&MAGIC[..], &[0; 180]].concat()),
        ];
        let good = [raw("abc", "one"), raw_at("def", 8, "two"), raw("ghi", "three")];
        for number in 0..=good.len() {
            for record in &large {
                let before = (
                    would_give(&aggregator),
                    aggregator.count(),
                    aggregator.size(),
                    aggregator.data_size(),
                );
                let copy = record.clone();
                match aggregator.push(record).unwrap_err() {
                    AggregateError::TooLarge { size, max_size, .. } => assert!(size > 200 && max_size == 200),
                    other => panic!("{other}"),
                }
                assert_eq!(*record, copy, "the record is where it was");
                let after = (
                    would_give(&aggregator),
                    aggregator.count(),
                    aggregator.size(),
                    aggregator.data_size(),
                );
                assert_eq!(before, after);
            }
            if let Some(record) = good.get(number) {
                assert_eq!(aggregator.push(record).unwrap(), None);
            }
        }
        assert_eq!(contents(&aggregator.finish().unwrap()), good);
    }

    #[test]
    fn says_how_large_it_is_and_the_limit() {
        let error = aggregator_of(100).push(&raw("abc", vec![0; 500])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("503") && text.contains("100"), "{text}");
    }

    #[test]
    fn leaves_a_sharded_aggregator_unchanged() {
        let builder = Aggregator::<Raw>::builder().max_size(100);
        let mut aggregator = builder.build_sharded(shards(&[1 << 127])).unwrap();
        aggregator.push(&raw_at("a", 0, "x")).unwrap();
        aggregator.push(&raw_at("a", u128::MAX, "y")).unwrap();
        let before = (aggregator.clone().finish(), aggregator.count(), aggregator.size());
        aggregator.push(&raw_at("a", 0, vec![0; 1000])).unwrap_err();
        aggregator.push(&raw_at("", 0, "z")).unwrap_err();
        assert_eq!(
            (aggregator.clone().finish(), aggregator.count(), aggregator.size()),
            before
        );
    }

    /// Any refusal leaves it unchanged: also bad keys, and payloads that cannot be written.
    #[test]
    fn or_that_is_refused_for_another_reason_leaves_the_aggregator_unchanged() {
        enum Item {
            Good,
            NoKey,
            NoHashKey,
            BadTag,
            NoPayload,
        }
        impl kpl::KplRecord for Item {
            fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, kpl::KeyError> {
                buffer.push_str("written until then");
                match self {
                    Self::NoKey => Err(kpl::KeyError::new("no key today")),
                    _ => Ok("abc"),
                }
            }
            fn explicit_hash_key(&self) -> Result<Option<HashKey>, kpl::KeyError> {
                match self {
                    Self::NoHashKey => Err(kpl::KeyError::new("no hash key today")),
                    _ => Ok(None),
                }
            }
            fn tags(&self, tags: &mut kpl::Tags<'_>) -> Result<(), kpl::KeyError> {
                match self {
                    Self::BadTag => {
                        tags.push("left over", Some("from the error"));
                        Err(kpl::KeyError::new("no tag today"))
                    }
                    _ => Ok(()),
                }
            }
            fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], kpl::CodecError> {
                buffer.extend(b"data");
                match self {
                    Self::NoPayload => Err(kpl::CodecError::encode("Test", "no payload today")),
                    _ => Ok(buffer),
                }
            }
        }
        let mut aggregator = Aggregator::<Item>::builder().wrap_single(true).build().unwrap();
        for bad in [Item::NoKey, Item::NoHashKey, Item::BadTag, Item::NoPayload] {
            let before = aggregator.clone().finish();
            let error = aggregator.push(&bad).unwrap_err();
            assert!(error.to_string().contains("today"), "{error}");
            assert_eq!(aggregator.clone().finish(), before);
            assert_eq!(aggregator.push(&Item::Good).unwrap(), None);
        }
        let sealed = aggregator.finish().unwrap();
        assert_eq!(
            contents(&sealed),
            vec![raw("abc", "data"); 4],
            "and nothing is left over in its buffers"
        );
    }
}

/// "flush on empty | [...] `None`; an empty aggregate is never made"
mod flush_on_empty {
    use super::*;

    #[test]
    fn gives_none() {
        for wrap in [false, true] {
            let builder = Aggregator::<Raw>::builder().wrap_single(wrap);
            let mut aggregator = builder
                .outer_partition_key(PartitionKey::new("a").unwrap())
                .build()
                .unwrap();
            assert_eq!(aggregator.finish(), None);
            assert!(aggregator.finish_unsealed().is_none());
            assert_eq!(
                (aggregator.count(), aggregator.size(), aggregator.data_size()),
                (0, 0, 0)
            );
            assert!(aggregator.is_empty());
            aggregator.push(&raw("a", "")).unwrap();
            assert!(!aggregator.is_empty());
            assert!(aggregator.finish().is_some(), "a record without data is a record");
            assert_eq!(aggregator.finish(), None);
            assert_eq!(
                (aggregator.count(), aggregator.size(), aggregator.data_size()),
                (0, 0, 0)
            );
        }
    }

    #[test]
    fn gives_none_after_a_refusal_and_after_a_full_aggregate() {
        let mut aggregator = Aggregator::<Raw>::builder().max_size(100).max_count(1).build().unwrap();
        aggregator.push(&raw("a", vec![0; 100])).unwrap_err();
        assert_eq!(aggregator.finish(), None);
        assert!(aggregator.push(&raw("a", "x")).unwrap().is_some());
        assert_eq!(aggregator.finish(), None);
    }

    #[test]
    fn gives_nothing_when_sharded() {
        let mut aggregator = Aggregator::<Raw>::builder().build_sharded(shards(&[1, 2, 3])).unwrap();
        assert!(aggregator.finish().is_empty());
        assert!(aggregator.set_shard_map(shards(&[7])).is_empty());
        assert_eq!((aggregator.count(), aggregator.size()), (0, 0));
        assert!(aggregator.is_empty());
        aggregator.push(&raw("a", "")).unwrap();
        assert!(!aggregator.is_empty());
    }
}

/// "mixing shards | [...] one aggregator per stream for one shard, and a sharded one that never mixes"
mod mixing_shards {
    use super::*;

    fn sharded(map: ShardMap, options: &strategies::Options) -> ShardedAggregator<Raw> {
        options.builder().build_sharded(map).unwrap()
    }

    fn assert_unmixed(map: &ShardMap, sealed: &SealedRecord) {
        let shard = map.index_of(sealed.explicit_hash_key);
        if sealed.aggregated {
            for record in contents(sealed) {
                assert_eq!(map.index_of(effective(&record)), shard);
            }
        }
    }

    #[test]
    fn one_aggregator_mixes_them_and_a_sharded_one_does_not() {
        let map = shards(&[1 << 127]);
        let records = [
            raw_at("a", 0, "low"),
            raw_at("a", u128::MAX, "high"),
            raw_at("b", 5, "low too"),
        ];
        assert_eq!(aggregate(Aggregator::new(), &records).len(), 1);

        let mut aggregator = Aggregator::<Raw>::builder().build_sharded(map.clone()).unwrap();
        for record in &records {
            assert_eq!(aggregator.push(record).unwrap(), None);
        }
        assert_eq!((aggregator.count(), aggregator.shard_map()), (3, &map));
        let sealed = aggregator.finish();
        assert_eq!(sealed.len(), 2);
        assert_eq!(contents(&sealed[0]), [records[0].clone(), records[2].clone()]);
        assert_eq!(
            (&sealed[1].data[..], sealed[1].explicit_hash_key),
            (&b"high"[..], HashKey::MAX)
        );
        assert_eq!(aggregator.count(), 0);
    }

    #[test]
    fn shards_meet_at_inclusive_borders() {
        let map = shards(&[100, 101]);
        let mut aggregator = Aggregator::<Raw>::builder().build_sharded(map).unwrap();
        for hash_key in [99, 100, 101] {
            aggregator.push(&raw_at("a", hash_key, hash_key.to_string())).unwrap();
        }
        let data: Vec<_> = aggregator.finish().into_iter().map(|sealed| sealed.data).collect();
        assert_eq!(data, [&b"99"[..], b"100", b"101"]);
    }

    #[test]
    fn a_full_shard_does_not_empty_the_others() {
        let builder = Aggregator::<Raw>::builder().max_count(2);
        let mut aggregator = builder.build_sharded(shards(&[1 << 127])).unwrap();
        aggregator.push(&raw_at("a", 0, "low 1")).unwrap();
        aggregator.push(&raw_at("a", u128::MAX, "high 1")).unwrap();
        let full = aggregator.push(&raw_at("a", 1, "low 2")).unwrap().unwrap();
        assert_eq!(full.user_records, 2);
        assert_eq!((aggregator.count(), aggregator.size()), (1, 1 + 6));
        assert_eq!(aggregator.finish()[0].data, b"high 1");
    }

    #[test]
    fn a_new_map_re_buckets_what_is_held() {
        let mut aggregator = Aggregator::<Raw>::builder().build_sharded(shards(&[])).unwrap();
        for hash_key in [10, 30, 20, 40] {
            aggregator.push(&raw_at("a", hash_key, hash_key.to_string())).unwrap();
        }
        let after_split = shards(&[25]);
        assert!(aggregator.set_shard_map(after_split.clone()).is_empty());
        assert_eq!((aggregator.count(), aggregator.shard_map()), (4, &after_split));
        let sealed = aggregator.clone().finish();
        assert_eq!(contents(&sealed[0]), [raw_at("a", 10, "10"), raw_at("a", 20, "20")]);
        assert_eq!(contents(&sealed[1]), [raw_at("a", 30, "30"), raw_at("a", 40, "40")]);

        assert!(aggregator.set_shard_map(shards(&[])).is_empty());
        assert_eq!(aggregator.finish().len(), 1, "and back after a merge");
    }

    #[test]
    fn a_new_map_gives_out_what_gets_full() {
        let builder = Aggregator::<Raw>::builder().max_count(2);
        let mut aggregator = builder.build_sharded(shards(&[10, 20])).unwrap();
        for hash_key in [0, 10, 20] {
            assert_eq!(
                aggregator.push(&raw_at("a", hash_key, hash_key.to_string())).unwrap(),
                None
            );
        }
        let full = aggregator.set_shard_map(shards(&[]));
        assert_eq!(full.iter().map(|sealed| sealed.user_records).collect::<Vec<_>>(), [2]);
        assert_eq!(aggregator.count(), 1);
        assert_eq!(aggregator.finish()[0].data, b"20");
    }

    /// A record that must be wrapped, and a neighbour that fits into the limit beside it or raw, but not wrapped alone.
    #[test]
    fn a_new_map_keeps_the_limit_for_the_neighbour_of_a_record_that_must_be_wrapped() {
        struct Item(&'static str, u128, bool);
        impl kpl::KplRecord for Item {
            fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, kpl::KeyError> {
                buffer.push_str(&self.0.repeat(200));
                Ok(if self.2 { "a" } else { buffer })
            }
            fn explicit_hash_key(&self) -> Result<Option<HashKey>, kpl::KeyError> {
                Ok(Some(self.1.into()))
            }
            fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], kpl::CodecError> {
                Ok(&[7; 50])
            }
            fn always_wrapped(&self) -> bool {
                self.2
            }
        }
        let builder = Aggregator::<Item>::builder().max_size(400);
        let mut aggregator = builder.build_sharded(shards(&[])).unwrap();
        for item in [Item("a", 1, true), Item("k", 2, false)] {
            assert_eq!(aggregator.push(&item).unwrap(), None);
        }
        assert!(aggregator.set_shard_map(shards(&[2])).is_empty());
        let sealed = aggregator.finish();
        let wrapped: Vec<_> = sealed.iter().map(|sealed| sealed.aggregated).collect();
        assert_eq!(wrapped, [true, false]);
        assert!(sealed.iter().all(|sealed| sealed.size() <= 400));
        assert_eq!(contents(&sealed[0]), [raw_at("a", 1, [7; 50])]);
        assert_eq!(contents(&sealed[1]), [raw(&"k".repeat(200), [7; 50])]);
    }

    #[test]
    fn all_values_of_an_iterator_are_packed_by_shard() {
        let (low, high) = (raw_at("a", 0, "low"), raw_at("a", u128::MAX, "high"));
        let refused = raw("", "no key");
        let records = [low.clone(), refused, high.clone(), low.clone()];

        let mut aggregator = Aggregator::<Raw>::builder().build_sharded(shards(&[1 << 127])).unwrap();
        let mut sealed = aggregator.aggregate(&records);
        let error = sealed.next().unwrap().unwrap_err();
        assert!(matches!(error, AggregateError::PartitionKey(_)), "{error:?}");
        assert_eq!(sealed.taken(), 2, "the second was refused");
        let sealed: Vec<_> = sealed.collect::<Result<_, _>>().unwrap();
        assert_eq!(contents(&sealed[0]), [low.clone(), low.clone()]);
        assert_eq!(sealed[1].data, high.data);
        assert!(aggregator.is_empty());

        let owned: Vec<_> = aggregator
            .aggregate([low.clone(), low])
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(owned, [sealed[0].clone()]);
    }

    proptest! {
        #![proptest_config(cases(80))]

        #[test]
        fn never_happens_and_no_map_loses_a_record(
            options in strategies::options(),
            maps in proptest::collection::vec(proptest::collection::vec(strategies::hash_key(), 0..6), 1..4),
            steps in proptest::collection::vec((strategies::record(), 0..12_usize), 0..40),
        ) {
            let maps: Vec<_> = maps.iter().map(|starts| shards(starts)).collect();
            let mut aggregator = sharded(maps[0].clone(), &options);
            let (mut sealed, mut pushed) = (Vec::new(), Vec::new());
            for (record, map) in steps {
                match aggregator.push(&record) {
                    Ok(full) => {
                        pushed.push(record);
                        sealed.extend(full.map(|full| (aggregator.shard_map().clone(), full)));
                    }
                    Err(AggregateError::TooLarge { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
                if let Some(map) = maps.get(map) {
                    let before = aggregator.count();
                    let full = aggregator.set_shard_map(map.clone());
                    let out: usize = full.iter().map(|sealed| sealed.user_records).sum();
                    prop_assert_eq!(before, aggregator.count() + out);
                    sealed.extend(full.into_iter().map(|full| (map.clone(), full)));
                }
                let copy: usize = aggregator.clone().finish().iter().map(SealedRecord::size).sum();
                prop_assert_eq!(aggregator.size(), copy);
            }
            let map = aggregator.shard_map().clone();
            let last = aggregator.finish();
            prop_assert!(last.len() <= map.len());
            sealed.extend(last.into_iter().map(|sealed| (map.clone(), sealed)));

            let mut received = Vec::new();
            for (map, sealed) in &sealed {
                assert_unmixed(map, sealed);
                prop_assert!(sealed.size() <= options.max_size);
                let inside = contents(sealed);
                prop_assert_eq!(inside.len(), sealed.user_records);
                received.extend(inside.into_iter().map(|mut record| {
                    // A raw record's explicit hash key is the outer one.
                    if !sealed.aggregated && effective(&record) != sealed.explicit_hash_key {
                        record.explicit_hash_key = Some(sealed.explicit_hash_key);
                    }
                    (effective(&record), tags(&record), record.partition_key, record.data)
                }));
            }
            let mut expected: Vec<_> = pushed
                .into_iter()
                .map(|record| {
                    (effective(&record), tags(&record), record.partition_key, record.data)
                })
                .collect();
            received.sort();
            expected.sort();
            prop_assert_eq!(received, expected);
        }

        /// If the map never changes, each shard's records keep their order.
        #[test]
        fn never_happens_and_each_shard_keeps_its_order(
            options in strategies::options(),
            starts in proptest::collection::vec(strategies::hash_key(), 0..6),
            records in strategies::records(40),
        ) {
            let map = shards(&starts);
            let mut aggregator = sharded(map.clone(), &options);
            let mut sealed = Vec::new();
            let mut expected = vec![Vec::new(); map.len()];
            for record in records {
                if let Ok(full) = aggregator.push(&record) {
                    sealed.extend(full);
                    expected[map.index_of(effective(&record))].push(record.data);
                }
            }
            sealed.extend(aggregator.finish());
            let mut received = vec![Vec::new(); map.len()];
            for sealed in &sealed {
                assert_unmixed(&map, sealed);
                let data = contents(sealed).into_iter().map(|record| record.data);
                received[map.index_of(sealed.explicit_hash_key)].extend(data);
            }
            prop_assert_eq!(received, expected);
        }
    }
}

/// Sealing many records together returns what sealing each alone returns.
#[test]
fn records_sealed_together_are_those_sealed_alone() {
    let records: Vec<_> = (0..500_usize)
        .map(|number| raw(&format!("{}", number % 7), vec![1; number]))
        .collect();
    let builder = Aggregator::builder().max_size(3000);
    let alone = aggregate(builder.clone().build().unwrap(), &records);
    let mut aggregator = builder.build().unwrap();
    let mut unsealed = Vec::new();
    for record in &records {
        unsealed.extend(aggregator.push_unsealed(record).unwrap());
    }
    unsealed.extend(aggregator.finish_unsealed());
    let counts: Vec<_> = unsealed.iter().map(kpl::UnsealedRecord::user_records).collect();
    let together = kpl::seal_all(unsealed);
    assert_eq!(
        counts,
        together.iter().map(|record| record.user_records).collect::<Vec<_>>()
    );
    assert_eq!(together, alone);
    assert!(kpl::seal_all([]).is_empty());
}

mod whole_iterators {
    use super::*;

    #[test]
    fn are_packed_to_the_last_record_and_a_refused_one_is_an_error_in_its_place() {
        let values = [
            RawRecord::new("a", vec![1; 60]),
            RawRecord::new("", vec![2; 60]),
            RawRecord::new("b", vec![3; 60]),
            RawRecord::new("c", vec![4; 500]),
            RawRecord::new("d", vec![5; 60]),
        ];
        let builder = Aggregator::<RawRecord>::builder().max_size(200);
        let mut aggregator = builder.build().unwrap();
        let mut sealed = aggregator.aggregate(&values);
        let (mut user_records, mut refused) = (0, Vec::new());
        while let Some(result) = sealed.next() {
            match result {
                Ok(record) => user_records += record.user_records,
                Err(_) => refused.push(sealed.taken()),
            }
        }
        assert_eq!((user_records, refused), (3, vec![2, 4]));
        assert!(sealed.next().is_none());
        assert!(aggregator.is_empty());
    }

    #[test]
    fn that_are_dropped_half_way_leave_the_rest_in_the_aggregator() {
        let values = vec![RawRecord::new("a", "data"); 10];
        let builder = Aggregator::<RawRecord>::builder().max_count(4);
        let mut aggregator = builder.build().unwrap();
        let first = aggregator.aggregate(&values[..6]).next().unwrap().unwrap();
        assert_eq!((first.user_records, aggregator.count()), (4, 0));
        let rest: usize = aggregator
            .aggregate(&values[4..])
            .map(|record| record.unwrap().user_records)
            .sum();
        assert_eq!(rest, 6);
    }

    #[test]
    fn sharded_aggregates_are_sealed_together_as_alone() {
        let map = support::shards(&[1 << 127]);
        let builder = Aggregator::<RawRecord>::builder().max_count(3);
        let mut alone = builder.clone().build_sharded(map.clone()).unwrap();
        let mut together = builder.build_sharded(map).unwrap();
        let values: Vec<_> = (0..50)
            .map(|number| RawRecord::new(format!("key {number}"), vec![7; 20]))
            .collect();
        let mut of_alone: Vec<_> = values.iter().filter_map(|value| alone.push(value).unwrap()).collect();
        let unsealed = values.iter().filter_map(|value| together.push_unsealed(value).unwrap());
        let mut of_together = kpl::seal_all(unsealed);
        of_alone.extend(alone.finish());
        of_together.extend(together.finish());
        assert_eq!(of_alone, of_together);
        assert!(alone.is_empty() && together.is_empty());
    }
}
