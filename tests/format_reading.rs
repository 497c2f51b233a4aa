//! Section 3 of the format, reading: every sentence and every row of its tables is a test. Each module quotes the
//! sentence that its tests are about.
//!
//! The format's description is `docs/format.md`; `.ci/book` checks that the quoted sentences are in it.

mod support;

use std::time::Duration;

use kpl::wire::{AggregatedRecord, Field, Frame, InvalidBody, NotAggregated, Part, Problem};
use kpl::{
    Counts, DeaggregateError, DeaggregateErrorKind, Deaggregator, EncryptionType, HashKeyRange, KinesisRecord,
    Malformed, MalformedPolicy, Position, RawRecord, StrayPolicy, Timestamp, UserRecord,
};

use support::bytes::{
    MAGIC, aggregate_of, bytes_field, field_key, group, hash_key, key, md5, padded_varint, record, record_at,
    record_of, sealed, varint, varint_field,
};
use support::{Text, items, raw, raw_at};

/// Returns the keys and data of the only record of an aggregate.
fn only_record(fields: &[Vec<u8>]) -> RawRecord {
    let mut records = support::user_records(&aggregate_of(fields), "outer");
    assert_eq!(records.len(), 1);
    records.remove(0)
}

/// Reads one Kinesis record, and returns the items and the counts.
fn outcome(deaggregator: &Deaggregator<RawRecord>, data: &[u8]) -> (Vec<Result<RawRecord, DeaggregateError>>, Counts) {
    let record = KinesisRecord::new(data)
        .with_partition_key("outer")
        .with_sequence_number("100");
    let deaggregator = deaggregator.clone();
    let mut records = deaggregator.record(&record);
    let items = records.by_ref().map(|item| item.map(|item| item.value)).collect();
    (items, records.counts())
}

const ARRIVAL: Timestamp = Timestamp::from_unix_epoch(Duration::from_millis(1_700_000_000_123));

/// Checks that bytes are one plain record, and returns the reason that it is marked with.
fn delivered_as_plain(data: &[u8]) -> Option<Malformed> {
    let outer = KinesisRecord::new(data)
        .with_partition_key("outer")
        .with_sequence_number("100")
        .with_approximate_arrival(ARRIVAL)
        .with_encryption_type(EncryptionType::Kms);
    let mut records = Deaggregator::<RawRecord>::new().records(std::slice::from_ref(&outer));
    let received = records.next().expect("it is delivered").expect("it is no error");
    assert!(records.next().is_none(), "it is ONE record");
    assert_eq!(received.value, raw("outer", data), "byte-identical, under its own key");
    assert_eq!(received.record.sub_sequence_number, 0);
    assert!(!received.record.aggregated);
    assert_eq!(received.record.kinesis_record, outer);
    let counts = records.counts();
    assert_eq!(
        (counts.kinesis_records, counts.user_records, counts.delivered),
        (1, 1, 1)
    );
    assert_eq!(
        (counts.plain, counts.malformed),
        match received.record.malformed {
            None => (1, 0),
            Some(_) => (0, 1),
        }
    );
    received.record.malformed
}

/// A body that must not be accepted, and why.
#[track_caller]
fn not_accepted(body: impl AsRef<[u8]>) -> InvalidBody {
    let body = body.as_ref();
    assert_eq!(
        support::oracle::read(body),
        None,
        "the oracle does not accept it either"
    );
    match delivered_as_plain(&sealed(body)) {
        Some(Malformed::Body(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// "Is it aggregated? By the rule of the KCL: total length at least 21 bytes, the magic, the MD5 matches, the protobuf
/// parses with its required fields. In every other case the bytes are ONE plain record, byte-identical, with
/// sub-sequence number 0."
mod is_it_aggregated {
    use super::*;

    #[test]
    fn at_least_21_bytes() {
        assert_eq!(
            delivered_as_plain(&sealed([])),
            Some(Malformed::TooShort),
            "20 bytes, with a right digest"
        );
        for body in [[0], [0x0A], [0xFF]] {
            let data = sealed(body);
            assert_eq!(data.len(), 21);
            assert!(
                matches!(delivered_as_plain(&data), Some(Malformed::Body(_))),
                "long enough to be looked at"
            );
        }
        let shortest = sealed([0x0A, 0x00]);
        assert_eq!(AggregatedRecord::parse(&shortest).unwrap().partition_keys(), [""]);
    }

    #[test]
    fn the_magic() {
        let good = aggregate_of(&[key("a"), record(0, "data")]);
        assert_eq!(support::user_records(&good, "outer"), [raw("a", "data")]);
        for place in 0..4 {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[place] ^= 1 << bit;
                assert_eq!(
                    delivered_as_plain(&bad),
                    None,
                    "without the magic nothing is suspicious"
                );
                assert_eq!(AggregatedRecord::parse(&bad).unwrap_err(), NotAggregated::Plain);
            }
        }
        assert_eq!(
            delivered_as_plain(&[&b"x"[..], &good].concat()),
            None,
            "the magic is at the start or not there"
        );
        assert!(NotAggregated::Plain.to_string().contains("the magic is missing"));
        let malformed = NotAggregated::from(Malformed::Digest);
        assert_eq!(malformed.to_string(), Malformed::Digest.to_string());
    }

    #[test]
    fn the_md5_matches() {
        let good = aggregate_of(&[key("a"), record(0, "data")]);
        for place in 4..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[place] ^= 1 << bit;
                assert_eq!(delivered_as_plain(&bad), Some(Malformed::Digest));
            }
        }
        let longer = [&good[..], b"x"].concat();
        assert_eq!(delivered_as_plain(&longer), Some(Malformed::Digest));
    }

    #[test]
    fn the_md5_is_of_the_body_only() {
        let body = [key("a"), record(0, "data")].concat();
        let of_all = [&MAGIC[..], &body, &md5(&[&MAGIC[..], &body].concat())].concat();
        assert_eq!(delivered_as_plain(&of_all), Some(Malformed::Digest));
    }

    #[test]
    fn the_protobuf_parses() {
        assert_eq!(not_accepted(b"just text, with a right digest").record, None);
    }

    #[test]
    fn the_protobuf_has_its_required_fields() {
        for body in [
            record_of(&[]),
            record_of(&[varint_field(1, 0)]),
            record_of(&[bytes_field(3, "data")]),
        ] {
            assert_eq!(not_accepted([key("a"), body].concat()).problem, Problem::Missing);
        }
    }

    /// Plain bytes are one record even where the outer key is not known (streams of the AUTO strategy).
    #[test]
    fn plain_records_without_a_partition_key_are_delivered_too() {
        let batch = [KinesisRecord::new(b"plain")];
        let received = Deaggregator::<RawRecord>::new()
            .records(&batch)
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(received.partition_key(), None);
        assert_eq!(received.value.partition_key, None);
        assert_eq!(received.record.effective_hash_key(), None);
        assert_eq!(received.position(), None);
        assert_eq!(received.record.data, b"plain");
    }
}

/// "Bytes that carry the magic and fail a later check are still delivered (never dropped), marked with the reason."
mod bytes_with_the_magic_that_fail_a_later_check {
    use super::*;

    fn failing() -> [(Vec<u8>, &'static str); 4] {
        [
            (MAGIC.to_vec(), "fewer than 21 bytes"),
            ([&MAGIC[..], &[0; 16]].concat(), "fewer than 21 bytes"),
            ([&MAGIC[..], &[0; 40]].concat(), "digest"),
            (
                sealed([0x1A, 0x00]),
                "record 0, field partition_key_index: the required field is missing, at byte 6",
            ),
        ]
    }

    #[test]
    fn are_delivered_marked_with_the_reason() {
        for (data, reason) in failing() {
            let text = delivered_as_plain(&data).expect("it is marked").to_string();
            assert!(text.contains(reason), "{text}");
        }
    }

    #[test]
    fn are_an_error_with_the_bytes_and_the_reason_for_other_types() {
        for (data, reason) in failing() {
            let outer = [
                KinesisRecord::new(b"before"),
                KinesisRecord::new(&data).with_partition_key("outer"),
            ];
            let mut records = Deaggregator::<Text>::new().records(&outer);
            assert_eq!(records.next().unwrap().unwrap().value.0, "before");
            let error = records.next().unwrap().unwrap_err();
            assert!(matches!(error.kind(), DeaggregateErrorKind::Malformed(_)), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!((error.kinesis_record_index(), error.sub_sequence_number()), (1, 0));
            assert_eq!((error.partition_key(), error.sequence_number()), (Some("outer"), None));
            assert_eq!(error.into_data(), data);
            let counts = records.counts();
            assert_eq!((counts.malformed, counts.failed, counts.delivered), (1, 1, 1));
        }
    }

    #[test]
    fn can_be_chosen_to_be_either_for_every_type() {
        let data = sealed("plain text, and a digest");
        let batch = [KinesisRecord::new(&data)];
        let raw = Deaggregator::<RawRecord>::new().malformed(MalformedPolicy::Error);
        assert_eq!(raw.records(&batch).next().unwrap().unwrap_err().data(), data);
        let typed = Deaggregator::<Bytes>::new().malformed(MalformedPolicy::Deliver);
        let received = typed.records(&batch).next().unwrap().unwrap();
        assert_eq!(received.value.0, data);
        assert!(received.record.malformed.is_some());
        assert!(Deaggregator::<Bytes>::new().records(&batch).next().unwrap().is_err());

        struct Bytes(Vec<u8>);
        impl kpl::FromKplRecord<'_> for Bytes {
            fn from_user_record(record: &kpl::UserRecord<'_>) -> Result<Self, kpl::ReadError> {
                Ok(Self(record.data.to_vec()))
            }
        }
    }
}

/// "Inside a valid aggregate, in order, for every record: partition key = table[index]; explicit hash key =
/// table[index] only if the record has an index (no index in a message with a table -> none [...]); sequence number,
/// arrival time and encryption type of the outer record; sub-sequence number 0, 1, 2, ... = its position among the
/// records of the message, also when a neighbour was left out; aggregated = true."
mod inside_a_valid_aggregate {
    use super::*;

    #[test]
    fn records_are_in_order() {
        let mut fields = vec![key("a")];
        fields.extend((0..300).map(|number| record(0, format!("{number}"))));
        let received = support::user_records(&aggregate_of(&fields), "outer");
        let expected: Vec<_> = (0..300).map(|number| raw("a", format!("{number}"))).collect();
        assert_eq!(received, expected);
    }

    #[test]
    fn records_are_counted_before_they_are_read() {
        // Whatever their size is, and how their fields are written.
        let sizes = [0, 1, 100, 127, 128, 129, 16_383, 16_384, 70_000];
        let mut fields = vec![key("a")];
        for (count, size) in sizes.into_iter().cycle().take(50).enumerate() {
            let data = aggregate_of(&fields);
            let aggregate = AggregatedRecord::parse(&data).unwrap();
            assert_eq!((aggregate.len(), aggregate.is_empty()), (count, count == 0));
            assert_eq!(aggregate.records().count(), count);
            fields.push(match count % 3 {
                0 => record_of(&[bytes_field(3, vec![7; size]), varint_field(1, 0)]),
                _ => record(0, vec![7; size]),
            });
        }
    }

    #[test]
    fn partition_key_is_that_of_the_table() {
        let data = aggregate_of(&[
            key("a"),
            key("b"),
            key("c"),
            record(2, "2"),
            record(0, "0"),
            record(1, "1"),
        ]);
        let expected = [raw("c", "2"), raw("a", "0"), raw("b", "1")];
        assert_eq!(support::user_records(&data, "outer"), expected);
    }

    #[test]
    fn explicit_hash_key_is_that_of_the_table() {
        let data = aggregate_of(&[
            key("a"),
            hash_key("7"),
            hash_key("8"),
            record_at(0, 1, "x"),
            record_at(0, 0, "y"),
        ]);
        assert_eq!(
            support::user_records(&data, "outer"),
            [raw_at("a", 8, "x"), raw_at("a", 7, "y")]
        );
    }

    #[test]
    fn no_explicit_hash_key_index_in_a_message_with_a_table_is_none() {
        let data = aggregate_of(&[
            key("a"),
            hash_key("7"),
            record(0, "x"),
            record_at(0, 0, "y"),
            record(0, "z"),
        ]);
        let expected = [raw("a", "x"), raw_at("a", 7, "y"), raw("a", "z")];
        assert_eq!(support::user_records(&data, "outer"), expected);
    }

    #[test]
    fn sequence_number_arrival_time_and_encryption_type_are_those_of_the_outer_record() {
        let data = aggregate_of(&[key("a"), record(0, "x"), record(0, "y")]);
        let outer = [KinesisRecord::new(&data)
            .with_partition_key("outer")
            .with_sequence_number("4950")
            .with_approximate_arrival(ARRIVAL)
            .with_encryption_type(EncryptionType::Kms)];
        for item in Deaggregator::<RawRecord>::new().records(&outer) {
            let item = item.unwrap();
            assert_eq!(item.partition_key(), Some("a"), "the partition key is its own");
            let record = item.record;
            assert_eq!(record.kinesis_record.sequence_number, Some("4950"));
            assert_eq!(record.kinesis_record.approximate_arrival, Some(ARRIVAL));
            assert_eq!(record.kinesis_record.encryption_type, Some(EncryptionType::Kms));
            assert_eq!(record.partition_key, Some("a"));
        }
    }

    #[test]
    fn sub_sequence_number_is_the_position_and_aggregated_is_true() {
        let data = aggregate_of(&[key("a"), record(0, "x"), record(0, "y"), record(0, "z")]);
        let outer = [KinesisRecord::new(&data).with_sequence_number("4950")];
        let positions: Vec<_> = Deaggregator::<RawRecord>::new()
            .records(&outer)
            .map(|item| {
                let item = item.unwrap();
                assert!(item.record.aggregated);
                assert_eq!(item.record.malformed, None);
                item.position().unwrap().to_string()
            })
            .collect();
        assert_eq!(positions, ["4950:0", "4950:1", "4950:2"]);
    }

    /// Left out because it is an error, because of the range, or because it was read before.
    #[test]
    fn sub_sequence_number_counts_neighbours_that_were_left_out() {
        let data = aggregate_of(&[
            key("a"),
            hash_key("1000"),
            hash_key("5"),
            record_at(0, 1, "skipped"),
            record(9, "an error"),
            record_at(0, 0, "a stray"),
            record_at(0, 1, "delivered"),
        ]);
        let outer = [KinesisRecord::new(&data).with_sequence_number("4950")];
        let mut records = Deaggregator::<RawRecord>::new()
            .range(HashKeyRange::try_from(0..=9).unwrap(), StrayPolicy::DropStrays)
            .list_dropped(true)
            .after("4950:0".parse().unwrap())
            .records(&outer);
        assert_eq!(
            records.next().unwrap().unwrap_err().position().unwrap().to_string(),
            "4950:1"
        );
        let delivered = records.next().unwrap().unwrap();
        assert_eq!(
            (delivered.record.sub_sequence_number, delivered.record.data),
            (3, &b"delivered"[..])
        );
        assert!(records.next().is_none());
        let dropped = records.take_dropped();
        assert_eq!(dropped.len(), 1);
        assert_eq!((dropped[0].sub_sequence_number, dropped[0].data), (2, &b"a stray"[..]));
    }

    /// "One level only: a user record that itself starts with the magic is not unpacked again."
    #[test]
    fn one_level_only() {
        let inner = aggregate_of(&[key("inner"), record(0, "data")]);
        let data = aggregate_of(&[key("a"), record(0, &inner), record(0, MAGIC)]);
        let outer = [KinesisRecord::new(&data)];
        let received: Vec<_> = Deaggregator::<RawRecord>::new()
            .records(&outer)
            .map(Result::unwrap)
            .collect();
        assert_eq!(received.len(), 2);
        assert_eq!(
            (received[0].record.data, received[1].record.data),
            (&inner[..], &MAGIC[..])
        );
        assert!(
            received
                .iter()
                .all(|item| item.record.aggregated && item.record.malformed.is_none())
        );
    }

    #[test]
    fn user_records_are_slices_of_the_input() {
        let data = aggregate_of(&[key("a"), record(0, "some data")]);
        let outer = [KinesisRecord::new(&data)];
        let mut records = Deaggregator::<UserRecord<'_>>::new().records(&outer);
        let received = records.next().unwrap().unwrap();
        assert_eq!(received.value, received.record);
        let input = data.as_ptr_range();
        assert!(input.contains(&received.value.data.as_ptr()));
        assert!(input.contains(&received.value.partition_key.unwrap().as_ptr()));
    }
}

/// "Accepted on reading: fields in any order, tables after records, a key twice in a table, table entries that no record
/// uses, unknown fields, tags, non-minimal varints, a repeated scalar (last wins), an aggregate with no records."
mod accepted {
    use super::*;

    #[test]
    fn fields_in_any_order() {
        let backwards = record_of(&[bytes_field(3, "data"), varint_field(2, 0), varint_field(1, 1)]);
        let fields = [hash_key("7"), key("a"), backwards.clone(), key("b")];
        assert_eq!(only_record(&fields), raw_at("b", 7, "data"));
        let tag_first = record_of(&[
            bytes_field(4, bytes_field(1, "t")),
            bytes_field(3, "data"),
            varint_field(1, 0),
        ]);
        assert_eq!(
            only_record(&[key("a"), tag_first]),
            raw("a", "data").with_tag("t", None)
        );
    }

    #[test]
    fn tables_after_records() {
        let fields = [record_at(1, 0, "data"), hash_key("7"), key("a"), key("b")];
        assert_eq!(only_record(&fields), raw_at("b", 7, "data"));
        let between = aggregate_of(&[record(1, "x"), key("a"), record(0, "y"), key("b"), record(1, "z")]);
        let expected = [raw("b", "x"), raw("a", "y"), raw("b", "z")];
        assert_eq!(support::user_records(&between, "outer"), expected);
    }

    #[test]
    fn a_key_twice_in_a_table() {
        let data = aggregate_of(&[
            key("a"),
            key("a"),
            key("b"),
            hash_key("7"),
            hash_key("7"),
            hash_key("8"),
            record_at(0, 0, "x"),
            record_at(1, 1, "y"),
            record_at(2, 2, "z"),
        ]);
        let expected = [raw_at("a", 7, "x"), raw_at("a", 7, "y"), raw_at("b", 8, "z")];
        assert_eq!(support::user_records(&data, "outer"), expected);
    }

    #[test]
    fn table_entries_nobody_uses() {
        let fields = [
            key("unused"),
            key("a"),
            hash_key("not even a number"),
            hash_key(""),
            record(1, "data"),
        ];
        assert_eq!(only_record(&fields), raw("a", "data"));
    }

    #[test]
    fn unknown_fields_of_every_wire_type_and_everywhere() {
        let unknown = [
            varint_field(5, u64::MAX),
            [field_key(6, 1), vec![0xFF; 8]].concat(),
            bytes_field(7, "unknown"),
            [field_key(8, 5), vec![0xFF; 4]].concat(),
            group(9, [varint_field(1, 1), group(9, bytes_field(3, "x"))].concat()),
            bytes_field((1 << 29) - 1, "the highest number"),
            bytes_field(16, MAGIC),
        ]
        .concat();
        let tag = [
            unknown.clone(),
            bytes_field(1, "t"),
            unknown.clone(),
            bytes_field(2, "v"),
            unknown.clone(),
        ];
        let record = record_of(&[
            unknown.clone(),
            varint_field(1, 0),
            unknown.clone(),
            bytes_field(3, "data"),
            unknown.clone(),
            bytes_field(4, tag.concat()),
            unknown.clone(),
        ]);
        let fields = [unknown.clone(), key("a"), unknown.clone(), record, unknown];
        assert_eq!(only_record(&fields), raw("a", "data").with_tag("t", Some("v")));
    }

    #[test]
    fn unknown_groups_up_to_100_deep_as_in_protobuf_libraries() {
        let nested = |depth| (0..depth).fold(Vec::new(), |content, _| group(9, content));
        let body = |depth| [nested(depth), key("a"), record(0, "data")].concat();
        for depth in [1, 50, 98, 99, 100, 101, 102] {
            let ours = support::oracle::read_by_us(&body(depth));
            assert_eq!(ours, support::oracle::read(&body(depth)), "depth {depth}");
            assert_eq!(ours.is_some(), depth <= 100, "depth {depth}");
        }
        // Each message inside another counts as well: 99 in a record, 98 in a tag.
        let in_record = |depth| record_of(&[varint_field(1, 0), bytes_field(3, "data"), nested(depth)]);
        let in_tag = |depth| {
            let tag = bytes_field(4, [bytes_field(1, "t"), nested(depth)].concat());
            record_of(&[varint_field(1, 0), bytes_field(3, "data"), tag])
        };
        for depth in 95..=102 {
            for (body, most) in [(in_record(depth), 99), (in_tag(depth), 98)] {
                let ours = support::oracle::read_by_us(&body);
                assert_eq!(ours, support::oracle::read(&body), "depth {depth}");
                assert_eq!(ours.is_some(), depth <= most, "depth {depth}");
            }
        }
        let error = not_accepted(nested(20_000));
        assert_eq!(error.problem, Problem::TooDeep);
    }

    #[test]
    fn tags() {
        let tag = |key: &str, value: Option<&str>| {
            let value = value.map_or_else(Vec::new, |value| bytes_field(2, value));
            bytes_field(4, [bytes_field(1, key), value].concat())
        };
        let tags = [
            tag("one", None),
            tag("two", Some("2")),
            tag("", Some("")),
            tag("one", Some("again")),
        ]
        .concat();
        let record = record_of(&[varint_field(1, 0), bytes_field(3, "data"), tags]);
        let expected = raw("a", "data")
            .with_tag("one", None)
            .with_tag("two", Some("2"))
            .with_tag("", Some(""))
            .with_tag("one", Some("again"));
        let received = only_record(&[key("a"), record]);
        assert_eq!(received, expected);
        assert_eq!(received.tags.iter().count(), 4);
        assert_ne!(received, raw("a", "data").with_tag("one", None));
    }

    #[test]
    fn non_minimal_varints() {
        for length in 2..=10 {
            let in_record = [
                padded_varint(1 << 3, 4),
                padded_varint(1, length),
                padded_varint(2 << 3, 3),
                padded_varint(0, length),
                padded_varint(3 << 3 | 2, 2),
                padded_varint(4, length),
                b"data".to_vec(),
            ]
            .concat();
            let record = [
                padded_varint(3 << 3 | 2, 5),
                padded_varint(in_record.len() as u64, length),
                in_record,
            ];
            let fields = [key("a"), key("b"), hash_key("7"), record.concat()];
            assert_eq!(
                only_record(&fields),
                raw_at("b", 7, "data"),
                "varints of {length} bytes"
            );
        }
    }

    #[test]
    fn a_repeated_scalar_where_the_last_wins() {
        let record = record_of(&[
            varint_field(1, 0),
            varint_field(2, 0),
            bytes_field(3, "first"),
            bytes_field(
                4,
                [
                    bytes_field(1, "first"),
                    bytes_field(1, "t"),
                    bytes_field(2, "v"),
                    bytes_field(2, "w"),
                ]
                .concat(),
            ),
            bytes_field(3, "last"),
            varint_field(2, 1),
            varint_field(1, 1),
        ]);
        let fields = [key("a"), key("b"), hash_key("7"), hash_key("8"), record];
        assert_eq!(only_record(&fields), raw_at("b", 8, "last").with_tag("t", Some("w")));
    }

    /// A wrong index that is repeated with a correct one is not an error.
    #[test]
    fn a_repeated_index_where_only_the_last_is_inside_the_table() {
        let record = record_of(&[varint_field(1, u64::MAX), bytes_field(3, "data"), varint_field(1, 0)]);
        assert_eq!(only_record(&[key("a"), record]), raw("a", "data"));
    }

    #[test]
    fn an_aggregate_with_no_records() {
        for body in [
            key("a"),
            hash_key("7"),
            key(""),
            bytes_field(77, ""),
            [key("a"), hash_key("7")].concat(),
        ] {
            let data = sealed(&body);
            assert!(AggregatedRecord::parse(&data).unwrap().is_empty());
            assert_eq!(support::user_records(&data, "outer"), []);
        }
    }

    /// The format does not forbid keys that the service would refuse, so they are read.
    #[test]
    fn keys_that_the_service_would_refuse() {
        let long = "x".repeat(100_000);
        let data = aggregate_of(&[key(""), key(&long), record(0, "x"), record(1, "y")]);
        assert_eq!(support::user_records(&data, "outer"), [raw("", "x"), raw(&long, "y")]);
    }

    #[test]
    fn empty_data() {
        assert_eq!(only_record(&[key("a"), record(0, "")]), raw("a", ""));
    }
}

/// "Not accepted: lengths and varints past the end, varints over 10 bytes or above 2^64-1, wrong wire types for known
/// fields, the wire types 6 and 7, the field number 0, groups that do not close or were not opened, a missing required
/// field, keys and tags that are not UTF-8."
mod not_accepted {
    use super::*;

    #[test]
    fn lengths_past_the_end() {
        for length in [5, 6, 127, 128, 1 << 20, u64::from(u32::MAX), i64::MAX as u64, u64::MAX] {
            let cases = [
                (
                    [field_key(1, 2), varint(length), b"text".to_vec()].concat(),
                    Field::PartitionKeyTable,
                ),
                (
                    [field_key(2, 2), varint(length), b"text".to_vec()].concat(),
                    Field::ExplicitHashKeyTable,
                ),
                (
                    [field_key(3, 2), varint(length), vec![8, 0, 0x1A, 0]].concat(),
                    Field::Records,
                ),
                (
                    [field_key(9, 2), varint(length), b"text".to_vec()].concat(),
                    Field::Unknown,
                ),
            ];
            for (body, field) in cases {
                let error = super::not_accepted(body);
                assert_eq!((error.field, error.problem), (field, Problem::PastTheEnd), "{length}");
            }
        }
    }

    /// Also when there are enough bytes after the message that the field is in.
    #[test]
    fn lengths_past_the_end_of_their_message_but_not_of_the_body() {
        let in_record = [varint_field(1, 0), field_key(3, 2), varint(10), b"data".to_vec()];
        let error = super::not_accepted([record_of(&in_record), key("more bytes that follow")].concat());
        assert_eq!(
            (error.field, error.problem, error.record),
            (Field::Data, Problem::PastTheEnd, Some(0))
        );

        let tag = bytes_field(4, [field_key(1, 2), varint(10), b"tag".to_vec()].concat());
        let in_record = [varint_field(1, 0), tag, bytes_field(3, "data that follows the tag")];
        let error = super::not_accepted([key("a"), record(0, "good"), record_of(&in_record)].concat());
        assert_eq!(
            (error.field, error.problem, error.record),
            (Field::TagKey, Problem::PastTheEnd, Some(1))
        );
    }

    #[test]
    fn numbers_past_the_end() {
        let cases = [
            field_key(1, 2),
            vec![0x80],
            [field_key(9, 0), vec![0x80, 0x80]].concat(),
            [field_key(9, 1), vec![0; 7]].concat(),
            [field_key(9, 5), vec![0; 3]].concat(),
            record_of(&[bytes_field(3, ""), field_key(1, 0)]),
        ];
        for body in cases {
            assert_eq!(super::not_accepted(&body).problem, Problem::PastTheEnd, "{body:x?}");
        }
    }

    #[test]
    fn varints_over_10_bytes() {
        for varint in [
            padded_varint(0, 11),
            padded_varint(1, 11),
            padded_varint(u64::MAX, 11),
            vec![0xFF; 20],
        ] {
            let body = record_of(&[field_key(1, 0), varint.clone(), bytes_field(3, "data")]);
            let error = super::not_accepted([key("a"), body].concat());
            assert_eq!(
                (error.field, error.problem),
                (Field::PartitionKeyIndex, Problem::LongVarint)
            );
            let length = [field_key(1, 2), varint, b"text".to_vec()].concat();
            assert_eq!(super::not_accepted(length).problem, Problem::LongVarint);
        }
    }

    /// Ten bytes hold 70 bits; what does not fit into 64 is not a valid number.
    #[test]
    fn varints_over_64_bits() {
        for last in [2, 3, 0x7F] {
            let varint = [&[0x80; 9][..], &[last]].concat();
            let body = record_of(&[field_key(1, 0), varint.clone(), bytes_field(3, "data")]);
            assert_eq!(
                super::not_accepted([key("a"), body].concat()).problem,
                Problem::LongVarint
            );
            let last_of_all = [field_key(9, 0), varint].concat();
            assert_eq!(super::not_accepted(last_of_all).problem, Problem::LongVarint);
        }
    }

    #[test]
    fn wrong_wire_types_for_known_fields() {
        let value = |wire_type| match wire_type {
            0 => vec![0],
            1 => vec![0; 8],
            2 => vec![1, b'x'],
            _ => vec![0; 4],
        };
        let field = |number, wire_type| match wire_type {
            3 => group(number, []),
            wire_type => [field_key(number, wire_type), value(wire_type)].concat(),
        };
        let wrong = |right: u64| (0..=5).filter(move |&wire_type| wire_type != right && wire_type != 4);
        for (number, name) in [
            (1, Field::PartitionKeyTable),
            (2, Field::ExplicitHashKeyTable),
            (3, Field::Records),
        ] {
            for wire_type in wrong(2) {
                let error = super::not_accepted([key("a"), field(number, wire_type)].concat());
                assert_eq!(
                    (error.field, error.problem),
                    (name, Problem::WireType),
                    "wire type {wire_type}"
                );
            }
        }
        let in_record = [
            (1, 0, Field::PartitionKeyIndex),
            (2, 0, Field::ExplicitHashKeyIndex),
            (3, 2, Field::Data),
            (4, 2, Field::Tags),
        ];
        for (number, right, name) in in_record {
            for wire_type in wrong(right) {
                let fields = [varint_field(1, 0), bytes_field(3, "data"), field(number, wire_type)];
                let error = super::not_accepted([key("a"), record_of(&fields)].concat());
                assert_eq!(
                    (error.field, error.problem),
                    (name, Problem::WireType),
                    "wire type {wire_type}"
                );
            }
        }
        for (number, name) in [(1, Field::TagKey), (2, Field::TagValue)] {
            for wire_type in wrong(2) {
                let tag = [bytes_field(1, "t"), field(number, wire_type)].concat();
                let fields = [varint_field(1, 0), bytes_field(3, "data"), bytes_field(4, tag)];
                let error = super::not_accepted([key("a"), record_of(&fields)].concat());
                assert_eq!(
                    (error.field, error.problem),
                    (name, Problem::WireType),
                    "wire type {wire_type}"
                );
            }
        }
    }

    #[test]
    fn wire_types_and_field_numbers_that_there_are_not() {
        for body in [field_key(9, 6), field_key(9, 7)] {
            assert_eq!(super::not_accepted(body).problem, Problem::WireType);
        }
        for body in [varint_field(0, 7), [field_key(1 << 29, 0), vec![0]].concat()] {
            assert_eq!(super::not_accepted(body).problem, Problem::FieldNumber);
        }
    }

    #[test]
    fn groups_that_do_not_close() {
        let cases = [
            field_key(9, 3),
            [field_key(9, 3), varint_field(1, 1)].concat(),
            [field_key(9, 3), field_key(8, 4)].concat(),
            field_key(9, 4),
            [field_key(9, 3), field_key(8, 3), field_key(9, 4), field_key(8, 4)].concat(),
        ];
        for group in cases {
            let outside = [key("a"), group.clone()].concat();
            assert_eq!(super::not_accepted(&outside).problem, Problem::Group, "{outside:x?}");
            let inside = record_of(&[varint_field(1, 0), bytes_field(3, "data"), group]);
            assert_eq!(super::not_accepted([key("a"), inside].concat()).problem, Problem::Group);
        }
    }

    /// A group that opens in a record and closes after it.
    #[test]
    fn groups_that_close_outside_their_message() {
        let inside = record_of(&[varint_field(1, 0), bytes_field(3, "data"), field_key(9, 3)]);
        assert_eq!(
            super::not_accepted([inside, field_key(9, 4)].concat()).problem,
            Problem::Group
        );
    }

    #[test]
    fn a_missing_required_field() {
        let tag_without_key = bytes_field(4, bytes_field(2, "value"));
        let cases = [
            (record_of(&[]), Field::PartitionKeyIndex),
            (record_of(&[bytes_field(3, "data")]), Field::PartitionKeyIndex),
            (
                record_of(&[varint_field(2, 0), bytes_field(3, "data")]),
                Field::PartitionKeyIndex,
            ),
            (record_of(&[varint_field(1, 0)]), Field::Data),
            (
                record_of(&[varint_field(1, 0), bytes_field(3, "data"), tag_without_key]),
                Field::TagKey,
            ),
            (
                record_of(&[varint_field(1, 0), bytes_field(3, "data"), bytes_field(4, "")]),
                Field::TagKey,
            ),
        ];
        for (record, field) in cases {
            let error = super::not_accepted([key("a"), self::record(0, "a good one"), record].concat());
            assert_eq!(
                (error.field, error.problem, error.record),
                (field, Problem::Missing, Some(1))
            );
        }
    }

    #[test]
    fn partition_keys_that_are_not_utf8() {
        for bytes in [
            &b"\xFF"[..],
            b"abc\xC3",
            b"\xED\xA0\x80",
            b"\xC0\x80",
            b"\xF4\x90\x80\x80",
        ] {
            let error = super::not_accepted([bytes_field(1, bytes), record(0, "data")].concat());
            assert_eq!(
                (error.field, error.problem),
                (Field::PartitionKeyTable, Problem::NotUtf8)
            );
        }
    }

    #[test]
    fn other_texts_that_are_not_utf8() {
        let error = super::not_accepted([key("a"), bytes_field(2, b"\xFF")].concat());
        assert_eq!(
            (error.field, error.problem),
            (Field::ExplicitHashKeyTable, Problem::NotUtf8)
        );
        for (tag, field) in [
            (bytes_field(1, b"\xFF"), Field::TagKey),
            ([bytes_field(1, "t"), bytes_field(2, b"\xFF")].concat(), Field::TagValue),
        ] {
            let record = record_of(&[varint_field(1, 0), bytes_field(3, "data"), bytes_field(4, tag)]);
            let error = super::not_accepted([key("a"), record].concat());
            assert_eq!((error.field, error.problem), (field, Problem::NotUtf8));
        }
    }

    /// The offset in an error is that from the first byte of the magic.
    #[test]
    fn the_error_says_at_which_byte() {
        let start = [key("a"), record(0, "good")].concat();
        let error = super::not_accepted([start.clone(), bytes_field(1, b"ab\xFF")].concat());
        assert_eq!(error.offset, 4 + start.len() + 2 + 2, "the byte that is not UTF-8");
        let error = super::not_accepted([start.clone(), field_key(9, 7)].concat());
        assert_eq!(error.offset, 4 + start.len(), "the key of the field");
        let error = super::not_accepted([start.clone(), record_of(&[varint_field(1, 0)])].concat());
        assert_eq!(
            error.offset,
            4 + start.len() + 4,
            "the end of the record that lacks a field"
        );
        assert_eq!(error.record, Some(1));
    }
}

/// Tools draw the fields of an aggregate, also of one that does not parse.
mod places_of_fields {
    use super::*;

    #[test]
    fn are_ranges_from_the_first_byte_of_the_magic() {
        let fields = [
            (0, key("a")),
            (3, varint_field(9, 300)),
            (1, hash_key("7")),
            (2, record(0, "data")),
            (3, group(9, varint_field(5, 5))),
            (0, key("a")),
        ];
        let data = sealed(fields.iter().flat_map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>());
        let mut end = 4;
        let expected = fields.map(|(part, bytes)| {
            let start = end;
            end += bytes.len();
            (part, start..end)
        });
        let found = Frame::new(&data).unwrap().fields().map(|field| {
            let (part, range) = field.unwrap();
            let part = match part {
                Part::PartitionKey("a") => 0,
                Part::ExplicitHashKey("7") => 1,
                Part::UserRecord(record) if record.data == b"data" => 2,
                Part::Unknown => 3,
                other => panic!("{other:?}"),
            };
            (part, range)
        });
        assert!(found.eq(expected));
    }

    #[test]
    fn end_with_the_first_mistake() {
        let mistakes = [
            (vec![0x0A, 5, b'x'], Field::PartitionKeyTable, Problem::PastTheEnd),
            (field_key(0, 0), Field::Unknown, Problem::FieldNumber),
            (field_key(9, 4), Field::Unknown, Problem::Group),
            (bytes_field(1, b"\xFF"), Field::PartitionKeyTable, Problem::NotUtf8),
        ];
        for (mistake, field, problem) in mistakes {
            let data = sealed([key("a"), mistake, key("b")].concat());
            let mut fields = Frame::new(&data).unwrap().fields();
            assert_eq!(fields.next().unwrap().unwrap(), (Part::PartitionKey("a"), 4..7));
            let error = fields.next().unwrap().unwrap_err();
            assert_eq!((error.field, error.problem, error.record), (field, problem, None));
            assert!(error.offset >= 7, "{error}");
            assert!(fields.next().is_none());
        }
    }
}

/// The table "Where peers lose data on reading, and what we do instead".
mod where_peers_lose_data {
    use super::*;

    /// The neighbours `before` and `after` are delivered; between them is the one error.
    #[track_caller]
    fn one_error(fields: &[Vec<u8>]) -> DeaggregateError {
        let (mut items, counts) = outcome(&Deaggregator::new(), &aggregate_of(fields));
        assert_eq!(items.len(), 3);
        assert_eq!(items.pop().unwrap().unwrap().data, &b"after"[..]);
        let error = items.pop().unwrap().unwrap_err();
        assert_eq!(items.pop().unwrap().unwrap().data, &b"before"[..]);
        assert_eq!((error.kinesis_record_index(), error.sub_sequence_number()), (0, 1));
        assert_eq!(error.sequence_number(), Some("100"));
        assert_eq!(error.position(), Some(Position::new("100", 1).unwrap()));
        assert!(
            error
                .to_string()
                .starts_with("Kinesis record 0 (sequence number 100), user record 1: "),
            "{error}"
        );
        assert_eq!((counts.aggregated, counts.user_records), (1, 3));
        assert_eq!((counts.delivered, counts.failed), (2, 1));
        error
    }

    /// "partition-key [...] index outside its table | [...] that record alone is an error that carries its data; its
    /// neighbours are delivered"
    #[test]
    fn partition_key_index_outside_its_table_is_one_error_with_its_data() {
        for wrong in [2, 3, 1000] {
            let fields = [
                key("a"),
                key("b"),
                record(0, "before"),
                record(wrong, "the data"),
                record(1, "after"),
            ];
            let error = one_error(&fields);
            match error.kind() {
                DeaggregateErrorKind::PartitionKeyIndex { index, len } => assert_eq!((*index, *len), (wrong, 2)),
                other => panic!("{other:?}"),
            }
            assert_eq!((error.data(), error.partition_key()), (&b"the data"[..], None));
            assert!(
                error.to_string().contains(&format!("partition key index {wrong}")),
                "{error}"
            );
            assert_eq!(error.into_data(), b"the data");
        }
    }

    /// "[...] explicit-hash-key index outside its table"
    #[test]
    fn explicit_hash_key_index_outside_its_table_is_one_error_with_its_data() {
        for wrong in [1, 2, 1000] {
            let fields = [
                key("a"),
                hash_key("7"),
                record_at(0, 0, "before"),
                record_at(0, wrong, "the data"),
                record(0, "after"),
            ];
            let error = one_error(&fields);
            match error.kind() {
                DeaggregateErrorKind::ExplicitHashKeyIndex { index, len } => assert_eq!((*index, *len), (wrong, 1)),
                other => panic!("{other:?}"),
            }
            assert_eq!((error.data(), error.partition_key()), (&b"the data"[..], Some("a")));
        }
    }

    #[test]
    fn an_index_into_a_table_that_is_empty_is_one_error_with_its_data() {
        let data = aggregate_of(&[record(0, "x"), record(0, "y")]);
        let (items, counts) = outcome(&Deaggregator::new(), &data);
        let lost: Vec<_> = items.into_iter().map(|item| item.unwrap_err().into_data()).collect();
        assert_eq!(lost, [b"x", b"y"]);
        assert_eq!(counts.failed, 2);
    }

    /// "index of 2^31 or more | [...] as above"
    #[test]
    fn index_over_2_to_the_31_is_one_error_with_its_data_and_never_aliases_a_key() {
        let wide = [1 << 31, 1 << 32, (1 << 32) + 1, 1 << 63, u64::MAX, u64::MAX - 1];
        for wrong in wide {
            let fields = [
                key("a"),
                key("b"),
                record(0, "before"),
                record(wrong, "the data"),
                record(1, "after"),
            ];
            let error = one_error(&fields);
            assert!(
                matches!(error.kind(), DeaggregateErrorKind::PartitionKeyIndex { index, .. } if *index == wrong),
                "{error}"
            );
            assert_eq!(error.data(), b"the data");

            let fields = [
                key("a"),
                hash_key("7"),
                hash_key("8"),
                record(0, "before"),
                record_at(0, wrong, "the data"),
                record(0, "after"),
            ];
            let error = one_error(&fields);
            assert!(
                matches!(error.kind(), DeaggregateErrorKind::ExplicitHashKeyIndex { index, .. } if *index == wrong),
                "{error}"
            );
            assert_eq!(error.data(), b"the data");
        }
    }

    /// "explicit hash key in the table with a text that is not a hash key | [...] that record alone is an error that carries its data and
    /// the text"
    #[test]
    fn explicit_hash_key_that_is_not_a_number_is_one_error_with_its_data_and_the_text() {
        let texts = [
            "", "abc", "1e3", " 7", "7 ", "0x7", "--7", "+-7", "+", "-", "7.0", "٣", "-1",
        ];
        for wrong in texts {
            let fields = [
                key("a"),
                hash_key("7"),
                hash_key(wrong),
                record_at(0, 0, "before"),
                record_at(0, 1, "the data"),
                record(0, "after"),
            ];
            let error = one_error(&fields);
            match error.kind() {
                DeaggregateErrorKind::ExplicitHashKey { text } => assert_eq!(text, wrong),
                other => panic!("{other:?}"),
            }
            assert_eq!((error.data(), error.partition_key()), (&b"the data"[..], Some("a")));
            assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
        }
    }

    #[test]
    fn explicit_hash_key_above_the_highest_is_one_error_with_its_data_and_the_text() {
        for wrong in ["340282366920938463463374607431768211456", &"9".repeat(60)] {
            let fields = [
                key("a"),
                hash_key(wrong),
                record(0, "before"),
                record_at(0, 0, "the data"),
                record(0, "after"),
            ];
            let error = one_error(&fields);
            assert!(
                matches!(error.kind(), DeaggregateErrorKind::ExplicitHashKey { text } if text == wrong),
                "{error}"
            );
        }
    }

    /// What the KCL reads as a number is one here: it costs no record, and is written in the service's form later.
    #[test]
    fn explicit_hash_keys_that_the_kcl_reads_as_numbers_are_read() {
        for (text, value) in [
            ("007", 7),
            ("+7", 7),
            ("-0", 0),
            ("000", 0),
            (&u128::MAX.to_string(), u128::MAX),
        ] {
            let fields = [key("a"), hash_key(text), record_at(0, 0, "data")];
            assert_eq!(only_record(&fields), raw_at("a", value, "data"), "{text}");
        }
    }

    /// "aggregate with zero records | [...] no user records, and it is counted and visible"
    #[test]
    fn aggregate_with_zero_records_is_counted_and_visible() {
        let (items, counts) = outcome(&Deaggregator::new(), &aggregate_of(&[key("a"), hash_key("7")]));
        assert!(items.is_empty());
        assert_eq!(
            (counts.kinesis_records, counts.aggregated, counts.empty_aggregates),
            (1, 1, 1)
        );
        assert_eq!((counts.user_records, counts.plain, counts.malformed), (0, 0, 0));
    }

    /// "magic without a valid body | [...] plain record, with the reason"
    #[test]
    fn magic_without_a_valid_body_is_a_plain_record_with_the_reason() {
        let cases = [
            (MAGIC.to_vec(), Malformed::TooShort),
            ([&MAGIC[..], b"no digest, and long enough"].concat(), Malformed::Digest),
        ];
        for (data, reason) in cases {
            assert_eq!(delivered_as_plain(&data), Some(reason));
        }
        assert!(matches!(
            delivered_as_plain(&sealed(b"no protobuf")),
            Some(Malformed::Body(_))
        ));
    }

    /// Peers fail the whole batch.
    #[test]
    fn magic_without_a_valid_body_does_not_cost_its_batch() {
        let good = aggregate_of(&[key("a"), record(0, "good")]);
        let bad = [&MAGIC[..], &[7; 30]].concat();
        let batch = [&good[..], &bad, &good, &bad[..5]].map(KinesisRecord::new);
        let data: Vec<_> = items(&batch).into_iter().map(|item| item.unwrap().data).collect();
        assert_eq!(data, [&b"good"[..], &bad, b"good", &bad[..5]]);
    }

    /// A payload that its type cannot read is one error as well, and has its data.
    #[test]
    fn a_payload_that_its_type_cannot_read_is_one_error_with_its_data() {
        let data = aggregate_of(&[
            key("a"),
            record(0, "before"),
            record(0, b"\xFF\xFE"),
            record(0, "after"),
        ]);
        let outer = [KinesisRecord::new(&data).with_sequence_number("100")];
        let mut records = Deaggregator::<Text>::new().records(&outer);
        assert_eq!(records.next().unwrap().unwrap().value.0, "before");
        let error = records.next().unwrap().unwrap_err();
        assert!(matches!(error.kind(), DeaggregateErrorKind::Read(_)), "{error}");
        assert_eq!((error.data(), error.partition_key()), (&b"\xFF\xFE"[..], Some("a")));
        assert_eq!(error.position().unwrap().to_string(), "100:1");
        assert_eq!(records.next().unwrap().unwrap().value.0, "after");
        assert!(records.next().is_none());
        assert!(records.next().is_none(), "the end is the end");
        assert_eq!((records.counts().delivered, records.counts().failed), (2, 1));
    }
}

/// "Hash-key range filter [...]: if ANY inner record's effective hash key is outside the range, the KCL drops the WHOLE
/// aggregate, silently. [...] A reader of ours has three policies: no filter (default), `DropAggregate` (the KCL's),
/// `DropStrays`; what is dropped is counted and can be listed."
mod hash_key_range_filter {
    use super::*;

    fn range() -> HashKeyRange {
        HashKeyRange::try_from(10..=20).unwrap()
    }

    /// Explicit hash keys 9, 10, 20 and 21, and "abc" without one: three are outside of 10..=20.
    fn mixed() -> Vec<u8> {
        aggregate_of(&[
            key("abc"),
            hash_key("9"),
            hash_key("10"),
            hash_key("20"),
            hash_key("21"),
            record_at(0, 0, "9"),
            record_at(0, 1, "10"),
            record_at(0, 2, "20"),
            record_at(0, 3, "21"),
            record(0, "of the partition key"),
        ])
    }

    /// All inside of 10..=20.
    fn inside() -> Vec<u8> {
        aggregate_of(&[
            key("abc"),
            hash_key("10"),
            hash_key("20"),
            record_at(0, 0, "x"),
            record_at(0, 1, "y"),
        ])
    }

    fn read(deaggregator: &Deaggregator<RawRecord>, data: &[u8]) -> (Vec<String>, Counts) {
        let (items, counts) = outcome(deaggregator, data);
        let text = |item: Result<RawRecord, _>| match item {
            Ok(record) => String::from_utf8(record.data).unwrap(),
            Err(_) => "error".to_owned(),
        };
        (items.into_iter().map(text).collect(), counts)
    }

    #[test]
    fn no_filter_is_the_default() {
        let (texts, counts) = read(&Deaggregator::new(), &mixed());
        assert_eq!(texts, ["9", "10", "20", "21", "of the partition key"]);
        assert_eq!((counts.delivered, counts.dropped), (5, 0));
        let keep = Deaggregator::new().range(range(), StrayPolicy::Keep);
        assert_eq!(read(&keep, &mixed()).0.len(), 5);
        assert_eq!(StrayPolicy::default(), StrayPolicy::Keep);
    }

    #[test]
    fn drop_strays_leaves_out_what_is_outside_both_ends_inclusive() {
        let strays = Deaggregator::new().range(range(), StrayPolicy::DropStrays);
        let (texts, counts) = read(&strays, &mixed());
        assert_eq!(texts, ["10", "20"]);
        assert_eq!((counts.user_records, counts.delivered, counts.dropped), (5, 2, 3));
        assert_eq!(read(&strays, &inside()).0, ["x", "y"]);
    }

    #[test]
    fn drop_aggregate_leaves_out_the_whole_aggregate_if_any_is_outside() {
        let aggregates = Deaggregator::new().range(range(), StrayPolicy::DropAggregate);
        let (texts, counts) = read(&aggregates, &mixed());
        assert!(texts.is_empty());
        assert_eq!((counts.user_records, counts.delivered, counts.dropped), (5, 0, 5));
        let (texts, counts) = read(&aggregates, &inside());
        assert_eq!(texts, ["x", "y"]);
        assert_eq!((counts.delivered, counts.dropped), (2, 0));
    }

    /// The stray is the last one: records before it are dropped too.
    #[test]
    fn drop_aggregate_looks_ahead_and_only_at_its_own_aggregate() {
        let stray_last = aggregate_of(&[
            key("abc"),
            hash_key("10"),
            hash_key("9"),
            record_at(0, 0, "x"),
            record_at(0, 1, "y"),
        ]);
        let (good, bad) = (inside(), stray_last);
        let batch = [&good[..], &bad, &good].map(KinesisRecord::new);
        let mut records = Deaggregator::<RawRecord>::new()
            .range(range(), StrayPolicy::DropAggregate)
            .records(&batch);
        let data: Vec<_> = records.by_ref().map(|item| item.unwrap().record.data).collect();
        assert_eq!(data, [b"x", b"y", b"x", b"y"]);
        assert_eq!(records.counts().dropped, 2);
    }

    #[test]
    fn the_partition_key_decides_where_there_is_no_explicit_hash_key() {
        let of_abc = 191415658344158766168031473277922803570;
        for (low, high, inside) in [
            (of_abc, of_abc, true),
            (of_abc + 1, u128::MAX, false),
            (0, of_abc - 1, false),
            (0, of_abc, true),
            (of_abc, u128::MAX, true),
        ] {
            let range = HashKeyRange::try_from(low..=high).unwrap();
            let data = aggregate_of(&[key("abc"), record(0, "x"), record(0, "y")]);
            for policy in [StrayPolicy::DropStrays, StrayPolicy::DropAggregate] {
                let (texts, _) = read(&Deaggregator::new().range(range, policy), &data);
                assert_eq!(!texts.is_empty(), inside, "{range}, {policy:?}");
            }
        }
    }

    /// The outer record's keys say nothing about the inner ones, and plain records are not filtered (as the KCL).
    #[test]
    fn plain_and_malformed_records_are_never_dropped() {
        for policy in [StrayPolicy::DropStrays, StrayPolicy::DropAggregate] {
            let deaggregator = Deaggregator::new().range(range(), policy);
            for data in [b"plain".to_vec(), [&MAGIC[..], b"abc"].concat()] {
                let (items, counts) = outcome(&deaggregator, &data);
                assert_eq!((items.len(), counts.delivered, counts.dropped), (1, 1, 0));
            }
        }
    }

    /// A record without a usable key is an error under every policy: it is unknown where it belongs.
    #[test]
    fn errors_are_never_dropped() {
        let bad = [hash_key("x"), record_at(0, 2, "bad hash key"), record(7, "bad index")].concat();
        let outside = aggregate_of(&[
            key("abc"),
            hash_key("9"),
            hash_key("10"),
            bad.clone(),
            record_at(0, 0, "9"),
        ]);
        let inside = aggregate_of(&[key("abc"), hash_key("9"), hash_key("10"), bad, record_at(0, 1, "10")]);
        let with = |policy| Deaggregator::new().range(range(), policy);
        assert_eq!(read(&with(StrayPolicy::DropStrays), &outside).0, ["error", "error"]);
        assert_eq!(
            read(&with(StrayPolicy::DropStrays), &inside).0,
            ["error", "error", "10"]
        );
        assert_eq!(read(&with(StrayPolicy::DropAggregate), &outside).0, ["error", "error"]);
        assert_eq!(
            read(&with(StrayPolicy::DropAggregate), &inside).0,
            ["error", "error", "10"]
        );
    }

    #[test]
    fn what_is_dropped_is_counted_and_can_be_listed() {
        let data = mixed();
        let outer = [KinesisRecord::new(&data).with_sequence_number("100")];
        let strays = Deaggregator::<RawRecord>::new().range(range(), StrayPolicy::DropStrays);
        let listing = strays.clone().list_dropped(true);
        let mut records = listing.records(&outer);
        assert_eq!(records.by_ref().count(), 2);
        let listed: Vec<_> = records
            .take_dropped()
            .iter()
            .map(|record| {
                (
                    record.position().unwrap().to_string(),
                    record.effective_hash_key(),
                    record.data,
                )
            })
            .collect();
        assert_eq!(listed.len(), 3);
        assert_eq!(listed[0], ("100:0".to_owned(), Some(9.into()), &b"9"[..]));
        assert_eq!(listed[1], ("100:3".to_owned(), Some(21.into()), &b"21"[..]));
        assert_eq!(listed[2].0, "100:4");
        assert!(records.take_dropped().is_empty(), "each is listed once");
        assert_eq!(records.counts().dropped, 3);

        let mut silent = strays.records(&outer);
        silent.by_ref().for_each(drop);
        assert!(silent.take_dropped().is_empty(), "only when asked for");
        assert_eq!(silent.counts().dropped, 3);
    }
}

/// "A reader can resume after any position, also in the middle of an aggregate."
mod resuming {
    use super::*;

    /// Sequence numbers 9 (plain), 10 (three records), 11 (plain), 100 (two records).
    fn after(position: &str) -> Vec<String> {
        let three = aggregate_of(&[key("a"), record(0, "10:0"), record(0, "10:1"), record(0, "10:2")]);
        let two = aggregate_of(&[key("a"), record(0, "100:0"), record(0, "100:1")]);
        let batch = [
            KinesisRecord::new(b"9:0").with_sequence_number("9"),
            KinesisRecord::new(&three).with_sequence_number("10"),
            KinesisRecord::new(b"11:0").with_sequence_number("11"),
            KinesisRecord::new(&two).with_sequence_number("100"),
        ];
        let mut records = Deaggregator::<RawRecord>::new()
            .after(position.parse().unwrap())
            .records(&batch);
        let positions: Vec<_> = records
            .by_ref()
            .map(|item| {
                let item = item.unwrap();
                let position = item.position().unwrap().to_string();
                assert_eq!(position.as_bytes(), item.record.data);
                position
            })
            .collect();
        let counts = records.counts();
        assert_eq!(counts.user_records, 7);
        assert_eq!(
            (counts.delivered, counts.skipped),
            (positions.len() as u64, 7 - positions.len() as u64)
        );
        positions
    }

    const ALL: [&str; 7] = ["9:0", "10:0", "10:1", "10:2", "11:0", "100:0", "100:1"];

    #[test]
    fn after_every_position_there_is() {
        for (place, position) in ALL.iter().enumerate() {
            assert_eq!(after(position), ALL[place + 1..], "after {position}");
        }
    }

    #[test]
    fn after_positions_that_there_are_not() {
        for (position, first) in [
            ("0:0", 0),
            ("8:5", 0),
            ("9:3", 1),
            ("10:3", 4),
            ("10:18446744073709551615", 4),
            ("12:0", 5),
            ("99:9", 5),
            ("0100:0", 6),
            ("101:0", 7),
        ] {
            assert_eq!(after(position), ALL[first..], "after {position}");
        }
    }

    #[test]
    fn skipped_records_are_no_errors() {
        let data = aggregate_of(&[key("a"), record(7, "bad"), record(0, "good"), record(8, "bad too")]);
        let outer = [
            KinesisRecord::new(&MAGIC).with_sequence_number("99"),
            KinesisRecord::new(&data).with_sequence_number("100"),
        ];
        let deaggregator = Deaggregator::<Text>::new().after("100:0".parse().unwrap());
        let mut records = deaggregator.records(&outer);
        assert_eq!(records.next().unwrap().unwrap().value.0, "good");
        assert_eq!(records.next().unwrap().unwrap_err().sub_sequence_number(), 2);
        assert!(records.next().is_none());
        assert_eq!((records.counts().skipped, records.counts().failed), (2, 1));
    }

    #[test]
    fn records_without_a_sequence_number_are_delivered() {
        let batch = [
            KinesisRecord::new(b"none"),
            KinesisRecord::new(b"no number").with_sequence_number("LATEST"),
        ];
        let deaggregator = Deaggregator::<RawRecord>::new().after("100:0".parse().unwrap());
        assert_eq!(deaggregator.records(&batch).filter_map(Result::ok).count(), 2);
    }

    /// What decides about the whole aggregate is the whole aggregate, also the part that is skipped.
    #[test]
    fn a_stray_among_the_skipped_records_drops_the_aggregate_as_the_kcl_does() {
        let data = aggregate_of(&[
            key("a"),
            hash_key("9"),
            hash_key("10"),
            record_at(0, 0, "x"),
            record_at(0, 1, "y"),
        ]);
        let outer = [KinesisRecord::new(&data).with_sequence_number("100")];
        let mut records = Deaggregator::<RawRecord>::new()
            .range(HashKeyRange::try_from(10..=20).unwrap(), StrayPolicy::DropAggregate)
            .after("100:0".parse().unwrap())
            .records(&outer);
        assert!(records.next().is_none());
        assert_eq!((records.counts().skipped, records.counts().dropped), (1, 1));
    }
}

/// A deaggregator counts what it saw.
#[test]
fn counts_add_up_and_can_be_summed() {
    let good = aggregate_of(&[key("a"), record(0, "x"), record(7, "y")]);
    let empty = aggregate_of(&[key("a")]);
    let batch = [&good[..], b"plain", &MAGIC, &empty].map(KinesisRecord::new);
    let mut records = Deaggregator::<RawRecord>::new().records(&batch);
    records.by_ref().for_each(drop);
    let counts = records.counts();
    assert_eq!(
        (
            counts.kinesis_records,
            counts.aggregated,
            counts.plain,
            counts.malformed
        ),
        (4, 2, 1, 1)
    );
    assert_eq!(
        (
            counts.user_records,
            counts.delivered,
            counts.failed,
            counts.empty_aggregates
        ),
        (4, 3, 1, 1)
    );

    let all = |number: &mut dyn FnMut() -> u64| {
        let mut counts = Counts::default();
        counts.kinesis_records = number();
        counts.aggregated = number();
        counts.plain = number();
        counts.malformed = number();
        counts.empty_aggregates = number();
        counts.user_records = number();
        counts.delivered = number();
        counts.failed = number();
        counts.dropped = number();
        counts.skipped = number();
        counts
    };
    let numbers = |start: u64, step: usize| {
        let mut numbers = (start..).step_by(step);
        all(&mut || numbers.next().unwrap())
    };
    let mut sum = numbers(1, 1);
    sum += numbers(2, 10);
    assert_eq!(sum, numbers(3, 11));
}

/// A deaggregator is used again and again, and for one record as for a batch.
#[test]
fn a_deaggregator_can_be_used_again() {
    let data = aggregate_of(&[key("a"), record(0, "x")]);
    let deaggregator = Deaggregator::<RawRecord>::new();
    let batch = [KinesisRecord::new(&data), KinesisRecord::new(b"plain")];
    for _ in 0..2 {
        assert_eq!(deaggregator.records(&batch).count(), 2);
        assert_eq!(deaggregator.record(&batch[0]).count(), 1);
    }
    assert_eq!(deaggregator.records(&[]).count(), 0);
}

/// A value may leave the function that put its batch together, as long as the data lives.
#[test]
fn borrowed_values_outlive_the_slice_of_the_batch() {
    fn all(data: &[u8]) -> Vec<RawRecord> {
        let batch = [KinesisRecord::new(data)];
        let records = Deaggregator::<RawRecord>::new().records(&batch);
        records.map(|record| record.unwrap().value).collect()
    }
    assert_eq!(all(b"plain")[0].data, &b"plain"[..]);
}
