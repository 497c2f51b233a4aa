//! Section 5 of the format: the edge cases that every change must keep right, by their numbers. What they say about
//! allocations is in `allocations.rs`, about time in `steps`.
//!
//! The format's description is `docs/format.md`; `.ci/book` checks that the quoted sentences are in it.

mod support;

use kpl::wire::{AggregatedRecord, Problem};
use kpl::{AggregateError, Aggregator, Deaggregator, KinesisRecord, Malformed, PartitionKey, RawRecord, SealedRecord};

use support::bytes::{MAGIC, aggregate_of, field_key, hash_key, key, record, record_at, sealed, varint};
use support::{contents, items, raw, raw_at};

type Raw = RawRecord;

/// What an aggregator reports is what comes out.
#[track_caller]
fn assert_reported_is_real(aggregator: &Aggregator<Raw>) -> SealedRecord {
    let sealed = aggregator.clone().finish().expect("something is held");
    assert_eq!(aggregator.data_size(), sealed.data.len());
    assert_eq!(aggregator.size(), sealed.size());
    assert_eq!(aggregator.count(), sealed.user_records);
    sealed
}

/// "1. data of 0, 1, 3 bytes; magic only; magic + 1..16 bytes; magic + MD5("") (20 bytes): one plain record each."
#[test]
fn case_1_short_data_is_one_plain_record() {
    let mut cases: Vec<Vec<u8>> = vec![
        vec![],
        vec![0xF3],
        vec![0],
        MAGIC[..3].to_vec(),
        b"abc".to_vec(),
        MAGIC.to_vec(),
    ];
    cases.extend((1..=16).map(|more| [&MAGIC[..], &vec![0x0A; more]].concat()));
    let empty_body = sealed([]);
    assert_eq!(empty_body.len(), 20);
    cases.push(empty_body);
    for data in cases {
        let batch = [KinesisRecord::new(&data).with_partition_key("outer")];
        let mut records = Deaggregator::<RawRecord>::new().records(&batch);
        let received = records.next().unwrap().unwrap();
        assert_eq!(received.value, raw("outer", &data));
        assert_eq!(
            (received.record.sub_sequence_number, received.record.aggregated),
            (0, false)
        );
        let reason = data.starts_with(&MAGIC).then_some(Malformed::TooShort);
        assert_eq!(received.record.malformed, reason, "{data:x?}");
        assert!(records.next().is_none());
    }
}

/// "2. any byte flipped, any truncation: never a panic, never fewer bytes delivered than came in." Here: every bit and
/// every length of one aggregate. In `properties.rs`: of any.
mod case_2 {
    use super::*;

    fn original() -> Vec<u8> {
        aggregate_of(&[
            key("abc"),
            key("é"),
            hash_key("7"),
            record(0, "one"),
            record_at(1, 0, vec![7; 200]),
            record(1, ""),
        ])
    }

    /// Everything that is delivered, with a right digest or without.
    fn delivered(data: &[u8]) -> usize {
        items(&[KinesisRecord::new(data)])
            .into_iter()
            .map(|item| item.map_or_else(|error| error.data().len(), |record| record.data.len()))
            .sum()
    }

    #[test]
    fn case_2_any_byte_flipped() {
        let mut data = original();
        for place in 0..data.len() {
            for bit in 0..8 {
                data[place] ^= 1 << bit;
                assert_eq!(delivered(&data), data.len(), "bit {bit} of byte {place}");
                data[place] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn case_2_any_truncation() {
        let data = original();
        for length in 0..data.len() {
            assert_eq!(delivered(&data[..length]), length);
            let tail = &data[data.len() - length..];
            assert_eq!(delivered(tail), length);
        }
    }

    /// A body that was changed before its digest was made: records or one plain record.
    #[test]
    fn case_2_any_byte_changed_under_a_right_digest() {
        let original = original();
        let mut body = original[4..original.len() - 16].to_vec();
        for place in 0..body.len() {
            let good = body[place];
            for byte in 0..=255 {
                body[place] = byte;
                let data = sealed(&body);
                match support::oracle::read(&body) {
                    None => assert_eq!(delivered(&data), data.len()),
                    Some(message) => {
                        let inside: usize = message
                            .records
                            .iter()
                            .map(|record| record.data.as_ref().unwrap().len())
                            .sum();
                        assert_eq!(delivered(&data), inside);
                    }
                }
            }
            body[place] = good;
        }
    }

    #[test]
    fn case_2_any_truncation_under_a_right_digest() {
        let original = original();
        let body = &original[4..original.len() - 16];
        for length in 0..body.len() {
            let data = sealed(&body[..length]);
            if support::oracle::read(&body[..length]).is_none() || length == 0 {
                assert_eq!(delivered(&data), data.len());
            }
        }
    }
}

/// "3. reported size == length of the sealed bytes after every push: repeated keys, 127/128/129 and 16,383/16,384
/// distinct keys, data of 0/127/128/16,383/16,384 bytes, multi-byte keys, with and without explicit hash keys, with
/// tags."
mod case_3 {
    use super::*;

    fn large() -> Aggregator<Raw> {
        Aggregator::builder().max_size(10 << 20).build().unwrap()
    }

    #[test]
    fn case_3_size_with_repeated_keys() {
        let mut aggregator = large();
        for number in 0..150 {
            aggregator
                .push(&raw(["a", "b", "a", "cc"][number % 4], "data"))
                .unwrap();
            assert_reported_is_real(&aggregator);
        }
    }

    #[test]
    fn case_3_size_with_127_128_129_distinct_keys() {
        for explicit in [false, true] {
            let mut aggregator = large();
            for number in 0..140_u32 {
                let mut record = raw(&number.to_string(), "data");
                record.explicit_hash_key = explicit.then(|| u128::from(number).into());
                aggregator.push(&record).unwrap();
                assert_reported_is_real(&aggregator);
            }
            for again in [0, 126, 127, 128, 129, 139] {
                aggregator.push(&raw(&again.to_string(), "data")).unwrap();
                assert_reported_is_real(&aggregator);
            }
        }
    }

    #[test]
    fn case_3_size_with_16_383_and_16_384_distinct_keys() {
        let mut aggregator = large();
        let mut records = Vec::new();
        for number in 0..16_390_u32 {
            let record = raw_at(&number.to_string(), number.into(), "");
            aggregator.push(&record).unwrap();
            records.push(record);
            if number >= 16_380 || number % 2_000 == 0 {
                assert_reported_is_real(&aggregator);
            }
        }
        for again in [0, 16_382, 16_383, 16_384] {
            let record = raw_at(&again.to_string(), again, "");
            aggregator.push(&record).unwrap();
            records.push(record);
            assert_reported_is_real(&aggregator);
        }
        assert_eq!(contents(&aggregator.finish().unwrap()), records);
    }

    #[test]
    fn case_3_size_with_data_of_0_127_128_16_383_16_384_bytes() {
        let lengths = [
            0, 1, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 16_373, 16_378, 16_383, 16_384,
        ];
        for wrap in [false, true] {
            for explicit in [None, Some(7)] {
                let mut together = Aggregator::builder()
                    .max_size(10 << 20)
                    .wrap_single(wrap)
                    .build()
                    .unwrap();
                for length in lengths {
                    let mut record = raw("abc", vec![7; length]);
                    record.explicit_hash_key = explicit.map(Into::into);
                    let mut alone = Aggregator::builder().wrap_single(wrap).build().unwrap();
                    alone.push(&record).unwrap();
                    assert_eq!(assert_reported_is_real(&alone).aggregated, wrap);
                    together.push(&record).unwrap();
                    assert_reported_is_real(&together);
                }
            }
        }
    }

    #[test]
    fn case_3_size_with_multi_byte_keys() {
        let mut aggregator = large();
        for text in [
            "é",
            "é",
            &"é".repeat(63),
            &"é".repeat(64),
            &"𝒳".repeat(31),
            &"𝒳".repeat(32),
            &"𝒳".repeat(256),
        ] {
            aggregator.push(&raw(text, "data")).unwrap();
            assert_reported_is_real(&aggregator);
        }
    }

    #[test]
    fn case_3_size_with_and_without_explicit_hash_keys() {
        let mut aggregator = large();
        for hash_key in [
            None,
            Some(0),
            Some(9),
            Some(10),
            None,
            Some(9),
            Some(u128::MAX),
            Some(u128::MAX - 1),
        ] {
            let mut record = raw("abc", "data");
            record.explicit_hash_key = hash_key.map(Into::into);
            aggregator.push(&record).unwrap();
            assert_reported_is_real(&aggregator);
        }
    }

    #[test]
    fn case_3_size_with_tags() {
        let mut aggregator = large();
        let texts = [
            "",
            "t",
            &"t".repeat(123),
            &"t".repeat(125),
            &"é".repeat(100),
            &"t".repeat(20_000),
        ];
        for text in texts {
            for value in [None, Some(""), Some("value"), Some(text)] {
                let record = raw("abc", "data").with_tag(text, value).with_tag("second", None);
                let mut alone = large();
                alone.push(&record).unwrap();
                assert!(assert_reported_is_real(&alone).aggregated);
                aggregator.push(&record).unwrap();
                assert_reported_is_real(&aggregator);
            }
        }
    }
}

/// "4. total size limit-1, limit, limit+1, on an empty and on a non-empty aggregate, and for a key that is in the table
/// now but will not be after the seal."
mod case_4 {
    use super::*;

    fn of(limit: usize) -> Aggregator<Raw> {
        Aggregator::builder().max_size(limit).wrap_single(true).build().unwrap()
    }

    #[test]
    fn case_4_limit_on_an_empty_aggregate() {
        for record in [
            raw("key", vec![7; 100]),
            raw_at("é", u128::MAX, ""),
            raw("key", "x").with_tag("t", None),
        ] {
            let mut aggregator = of(10_000);
            aggregator.push(&record).unwrap();
            let size = aggregator.size();
            assert_eq!(of(size + 1).push(&record).unwrap(), None, "limit+1");
            assert_eq!(of(size).push(&record).unwrap(), None, "limit");
            let error = of(size - 1).push(&record).unwrap_err();
            assert!(
                matches!(error, AggregateError::TooLarge { size: told, max_size, .. } if told == size && max_size == size - 1),
                "{error:?}"
            );
        }
    }

    #[test]
    fn case_4_limit_on_a_non_empty_aggregate() {
        let second = [
            raw("key", vec![7; 100]),
            raw("new", vec![7; 100]),
            raw_at("key", 8, ""),
            raw_at("new", 7, "x"),
        ];
        for record in second {
            let first = raw_at("key", 7, vec![7; 200]);
            let mut aggregator = of(10_000);
            aggregator.push(&first).unwrap();
            aggregator.push(&record).unwrap();
            let size = aggregator.size();
            for (limit, fits) in [(size + 1, true), (size, true), (size - 1, false)] {
                let mut aggregator = of(limit);
                aggregator.push(&first).unwrap();
                let full = aggregator.push(&record).unwrap();
                assert_eq!(full.is_none(), fits, "limit {limit}");
                assert_reported_is_real(&aggregator);
                assert!(aggregator.size() <= limit);
            }
        }
    }

    /// The key costs nothing while it is in the table. After the seal the record needs it again, and is too large.
    #[test]
    fn case_4_limit_for_a_key_that_is_in_the_table_now_but_not_after_the_seal() {
        let long = "k".repeat(200);
        for (explicit, name) in [(None, &long[..]), (Some(u128::MAX), "k"), (Some(u128::MAX), &long[..])] {
            let with_key = |data: Vec<u8>| {
                let mut record = raw(name, data);
                record.explicit_hash_key = explicit.map(Into::into);
                record
            };
            let first = with_key(vec![]);
            let mut alone = of(10_000);
            alone.push(&with_key(vec![7; 300])).unwrap();
            let limit = alone.size();
            let mut aggregator = of(limit);
            aggregator.push(&first).unwrap();
            let before = assert_reported_is_real(&aggregator);

            let error = aggregator.push(&with_key(vec![7; 301])).unwrap_err();
            assert!(
                matches!(error, AggregateError::TooLarge { size, .. } if size == limit + 1),
                "{error:?}"
            );
            assert_eq!(
                assert_reported_is_real(&aggregator),
                before,
                "nothing was sealed for it"
            );

            assert_eq!(aggregator.push(&with_key(vec![7; 300])).unwrap(), Some(before));
            assert_eq!(assert_reported_is_real(&aggregator).size(), limit);
        }
    }

    /// It would fit now, because its key is there: but it may have to go out alone, and so it is refused already.
    #[test]
    fn case_4_limit_decides_alike_whatever_is_held() {
        let (first, second) = (raw("key", ""), raw("key", vec![7; 100]));
        let mut alone = of(10_000);
        alone.push(&second).unwrap();
        let limit = alone.size() - 1;
        assert!(of(limit).push(&second).is_err());
        let mut aggregator = of(limit);
        aggregator.push(&first).unwrap();
        assert!(aggregator.push(&second).is_err());
    }

    #[test]
    fn case_4_limit_with_a_fixed_outer_key() {
        let outer = PartitionKey::new("o".repeat(100)).unwrap();
        let with = |limit| {
            let builder = Aggregator::<Raw>::builder().outer_partition_key(outer.clone());
            builder.max_size(limit).build().unwrap()
        };
        let records = [raw("a", vec![1; 50]), raw("b", vec![2; 50])];
        let mut aggregator = with(10_000);
        for record in &records {
            aggregator.push(record).unwrap();
        }
        let size = assert_reported_is_real(&aggregator).size();
        for (limit, together) in [(size - 1, false), (size, true), (size + 1, true)] {
            let mut aggregator = with(limit);
            aggregator.push(&records[0]).unwrap();
            assert_eq!(aggregator.push(&records[1]).unwrap().is_none(), together);
            assert_reported_is_real(&aggregator);
        }
    }
}

/// "5. an oversize record between two good ones."
#[test]
fn case_5_oversize_record_between_two_good_ones() {
    let mut aggregator = Aggregator::<Raw>::new();
    aggregator.push(&raw("abc", "before")).unwrap();
    let error = aggregator.push(&raw("abc", vec![0; 51_200])).unwrap_err();
    assert!(
        matches!(
            error,
            AggregateError::TooLarge {
                size: 51_203,
                max_size: 51_200,
                ..
            }
        ),
        "{error:?}"
    );
    aggregator.push(&raw("abc", "after")).unwrap();
    let sealed = aggregator.finish().unwrap();
    assert_eq!(
        sealed.data,
        aggregate_of(&[key("abc"), record(0, "before"), record(0, "after")])
    );
}

/// "6. 256 four-byte characters as partition key; 257; empty."
#[test]
fn case_6_partition_keys_of_256_four_byte_characters_257_and_none() {
    let mut aggregator = Aggregator::<Raw>::new();
    let longest = "𝒳".repeat(256);
    aggregator.push(&raw(&longest, "one")).unwrap();
    for bad in ["𝒳".repeat(257), "x".repeat(257), String::new()] {
        match aggregator.push(&raw(&bad, "bad")).unwrap_err() {
            AggregateError::PartitionKey(error) => assert_eq!(error.text, bad),
            other => panic!("{other}"),
        }
    }
    aggregator.push(&raw(&longest, "two")).unwrap();
    let sealed = aggregator.finish().unwrap();
    assert_eq!(sealed.partition_key.as_str(), longest);
    assert_eq!(sealed.size(), sealed.data.len() + 1024);
    assert_eq!(contents(&sealed), [raw(&longest, "one"), raw(&longest, "two")]);
}

/// "7. declared lengths beyond the input; as many 1-byte records as fit in 1 MiB (about 150,000: each takes 7 bytes) and in
/// 10 MiB: linear time, no allocation beyond the input's order." (The allocations are counted in `allocations.rs`.)
mod case_7 {
    use super::*;

    #[test]
    fn case_7_declared_lengths_beyond_the_input() {
        for length in [
            1,
            2,
            0x7F,
            0x80,
            1 << 31,
            u64::from(u32::MAX),
            1 << 32,
            1 << 62,
            i64::MAX as u64,
            u64::MAX,
        ] {
            for number in [1, 2, 3, 9] {
                let data = sealed([field_key(number, 2), varint(length)].concat());
                let received = &items(&[KinesisRecord::new(&data)])[0];
                assert_eq!(*received.as_ref().unwrap().data, data);
                match AggregatedRecord::parse(&data).unwrap_err() {
                    kpl::wire::NotAggregated::Malformed(Malformed::Body(error)) => {
                        assert_eq!(error.problem, Problem::PastTheEnd);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn one_byte_records(count: usize) -> Vec<u8> {
        let mut body = key("a");
        for number in 0..count {
            body.extend([0x1A, 5, 0x08, 0, 0x1A, 1, number as u8]);
        }
        sealed(body)
    }

    fn read_all(data: &[u8]) -> u64 {
        let record = KinesisRecord::new(data);
        let mut records = Deaggregator::<RawRecord>::new().record(&record);
        for (number, item) in records.by_ref().enumerate() {
            assert_eq!(item.unwrap().record.data, [number as u8]);
        }
        records.counts().delivered
    }

    #[test]
    fn case_7_a_million_1_byte_records() {
        let data = one_byte_records(1_000_000);
        assert_eq!(read_all(&data), 1_000_000);
    }

    #[test]
    fn case_7_as_many_1_byte_records_as_1_mib_holds() {
        let count = ((1 << 20) - 23) / 7;
        let data = one_byte_records(count);
        assert!(data.len() <= 1 << 20 && data.len() > (1 << 20) - 7);
        assert_eq!(read_all(&data), count as u64);
    }

    #[test]
    fn case_7_a_million_1_byte_records_written() {
        let record = raw("a", "x");
        let mut aggregator = Aggregator::<Raw>::builder().max_size(10 << 20).build().unwrap();
        for _ in 0..1_000_000 {
            assert_eq!(aggregator.push(&record).unwrap(), None);
        }
        let sealed = aggregator.finish().unwrap();
        assert_eq!(sealed.data.len(), 4 + 3 + 7_000_000 + 16);
        assert_eq!(AggregatedRecord::parse(&sealed.data).unwrap().len(), 1_000_000);
    }
}

/// "8. a batch of plain, aggregated, corrupt and plain records keeps its order."
#[test]
fn case_8_a_mixed_batch_keeps_its_order() {
    let good = aggregate_of(&[key("a"), record(0, "two"), record(5, "three"), record(0, "four")]);
    let mut corrupt = aggregate_of(&[key("a"), record(0, "x"), record(0, "y")]);
    *corrupt.last_mut().unwrap() ^= 1;
    let empty = aggregate_of(&[key("a")]);
    let all = [&b"one"[..], &good, &corrupt, &empty, b"six", &MAGIC, b"eight"];
    let batch = all.map(KinesisRecord::new);
    let data: Vec<_> = items(&batch)
        .into_iter()
        .map(|item| item.map_or_else(|error| error.into_data(), |record| record.data))
        .collect();
    assert_eq!(
        data,
        [
            &b"one"[..],
            b"two",
            b"three",
            b"four",
            &corrupt,
            b"six",
            &MAGIC,
            b"eight"
        ]
    );
}

/// The order is kept also where there are more records than the digests that are computed together.
#[test]
fn case_8_a_large_mixed_batch_keeps_its_order() {
    let mut data = Vec::new();
    let mut expected = Vec::new();
    for number in 0..400_usize {
        let text = |part: usize| format!("{number}:{part}").into_bytes();
        match number % 5 {
            0 | 3 => {
                let records: Vec<u8> = (0..number % 7).flat_map(|part| record(0, text(part))).collect();
                data.push(sealed([key("a"), records].concat()));
                expected.extend((0..number % 7).map(text));
            }
            1 => {
                data.push(text(0));
                expected.push(text(0));
            }
            2 => {
                let mut corrupt = sealed([key("a"), record(0, text(0))].concat());
                corrupt[6 + number % 3] ^= 0x40;
                data.push(corrupt.clone());
                expected.push(corrupt);
            }
            _ => {
                let short = [&MAGIC[..], &text(0)].concat();
                data.push(short.clone());
                expected.push(short);
            }
        }
    }
    let batch: Vec<_> = data.iter().map(|data| KinesisRecord::new(data)).collect();
    let received: Vec<_> = items(&batch).into_iter().map(|item| item.unwrap().data).collect();
    assert_eq!(received, expected);
}

/// "9. input slices with an offset; input never changed."
#[test]
fn case_9_slices_with_an_offset_and_input_never_changed() {
    let good = aggregate_of(&[
        key("abc"),
        hash_key("7"),
        record(0, "one"),
        record_at(0, 0, vec![7; 100]),
    ]);
    for offset in 0..20 {
        for after in [0, 1, 7] {
            let buffer = [&vec![0xEE; offset][..], &good, &vec![0xEE; after]].concat();
            let copy = buffer.clone();
            let received = support::user_records(&buffer[offset..offset + good.len()], "outer");
            assert_eq!(received, [raw("abc", "one"), raw_at("abc", 7, vec![7; 100])]);
            assert_eq!(buffer, copy);
        }
    }
}

#[test]
fn case_9_records_that_are_written_are_never_changed() {
    let records = [
        raw("abc", "one").with_tag("t", None),
        raw_at("abc", 7, "two"),
        raw("", "bad"),
        raw("x", vec![0; 60_000]),
    ];
    let copies = records.clone();
    let mut aggregator = Aggregator::<Raw>::new();
    for record in &records {
        let _ = aggregator.push(record);
    }
    aggregator.finish().unwrap();
    assert_eq!(records, copies);
}
