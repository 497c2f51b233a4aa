//! The helpers for fuzzing one's own types: their checks find what is wrong with a type, accept what is right, and
//! arbitrary damage reaches what it is there to reach.

mod support;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arbitrary::{Arbitrary, Unstructured};
use kpl::arbitrary::{Change, Damage, DamagedBatch, IntactBatch};
use kpl::codec::{Json, Postcard};
use kpl::wire::{AggregatedRecord, Malformed, NotAggregated};
use kpl::{
    AggregateError, Aggregator, AggregatorBuilder, CodecError, DeaggregateErrorKind, Deaggregator, FromKplRecord,
    HashKey, HashKeyRange, KeyError, KplRecord, MalformedPolicy, PartitionKey, Position, RawRecord, ReadError,
    SequenceNumber, ShardMap, StrayPolicy, Tags, UserRecord,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use support::raw_at;

#[derive(Arbitrary, Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Json)]
struct Click {
    #[kpl(partition_key)]
    #[arbitrary(with = kpl::arbitrary::partition_key)]
    user: String,
    #[kpl(explicit_hash_key)]
    place: Option<HashKey>,
    #[kpl(tag = "trace")]
    trace: Option<u32>,
    url: String,
    at_ms: u64,
}

#[derive(Arbitrary, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Postcard)]
struct Elided {
    #[kpl(partition_key, elide)]
    id: u64,
    numbers: Vec<i16>,
}

/// Borrows from the fuzzer's bytes when it is created, and from the record's when it is read.
#[derive(Arbitrary, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Postcard)]
struct View<'a> {
    #[kpl(partition_key)]
    id: u16,
    text: &'a str,
}

/// Returns the panic message of a check that must not pass.
#[track_caller]
fn finding(check: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(check)).expect_err("the check finds it");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).into(),
    }
}

fn click(user: &str, at_ms: u64) -> Click {
    Click {
        user: user.into(),
        place: None,
        trace: None,
        url: "/basket".into(),
        at_ms,
    }
}

fn clicks(options: &AggregatorBuilder<Click>) -> IntactBatch<Click> {
    let batch = IntactBatch::new((0..6).map(|at| click(["anna", "bob"][at as usize % 2], at)), options);
    batch.expect("valid options")
}

mod an_intact_batch {
    use super::*;

    #[test]
    fn holds_what_went_in_and_what_came_out() {
        let options = Aggregator::builder().max_count(4);
        let batch = clicks(&options);
        assert_eq!(batch.values().len(), 6);
        assert_eq!(batch.values()[5], click("bob", 5));
        assert_eq!(batch.options(), &options);
        let inside: Vec<usize> = batch.sealed().iter().map(|sealed| sealed.user_records).collect();
        assert_eq!(inside, [4, 2]);
        let records = batch.kinesis_records();
        assert_eq!(records[1].data, batch.sealed()[1].data);
        assert_eq!(records[1].partition_key, Some("anna"));
        assert_eq!(records[1].sequence_number, Some("2"));
        batch.check();
    }

    #[test]
    fn keeps_what_the_aggregator_refused_apart() {
        let large = Click {
            url: "x".repeat(1000),
            ..click("anna", 1)
        };
        let values = [click("", 0), large, click("bob", 2)];
        let batch = IntactBatch::new(values, &Aggregator::builder().max_size(500)).unwrap();
        assert_eq!(batch.values(), [click("bob", 2)]);
        let [empty, large] = batch.refused() else {
            panic!("{batch:?}");
        };
        assert!(matches!(empty.error, AggregateError::PartitionKey(_)));
        assert!(matches!(large.error, AggregateError::TooLarge { .. }));
        assert_eq!(empty.value, click("", 0));
        batch.check();
    }

    #[test]
    fn takes_valid_options_only() {
        let error = IntactBatch::new([click("anna", 0)], &Aggregator::builder().max_size(0)).unwrap_err();
        assert_eq!(error.option, "max_size");
        let error = IntactBatch::new([click("anna", 0)], &Aggregator::builder().max_count(0)).unwrap_err();
        assert_eq!(error.option, "max_count");
    }

    #[test]
    fn uses_every_option() {
        let key = PartitionKey::new("outer").unwrap();
        let options = Aggregator::builder()
            .wrap_single(true)
            .max_count(1)
            .outer_partition_key(key);
        let batch = clicks(&options);
        assert_eq!(batch.sealed().len(), 6);
        assert!(
            batch
                .sealed()
                .iter()
                .all(|sealed| sealed.aggregated && sealed.partition_key.as_str() == "outer")
        );
        batch.check();
    }

    #[test]
    fn shows_values_but_no_thousand_bytes() {
        let shown = format!("{:?}", clicks(&Aggregator::builder()));
        assert!(shown.contains("anna") && shown.contains("sealed_lengths"), "{shown}");
        assert!(shown.len() < 2000, "{shown}");
    }
}

/// A line of text, with a mistake or without: `read` turns the string that was sent into the one that is read.
macro_rules! line {
    ($name:ident, $read:expr) => {
        #[derive(Arbitrary, Clone, Debug, PartialEq)]
        struct $name(String);

        impl KplRecord for $name {
            fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, KeyError> {
                Ok("line")
            }
            fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
                Ok(self.0.as_bytes())
            }
        }

        impl FromKplRecord<'_> for $name {
            fn from_user_record(record: &UserRecord<'_>) -> Result<Self, ReadError> {
                let read: fn(&str) -> Result<String, ReadError> = $read;
                let text = std::str::from_utf8(record.data).map_err(|error| CodecError::decode("Line", error))?;
                Ok(Self(read(text)?))
            }
        }
    };
}

line!(Right, |text| Ok(text.into()));
line!(Trims, |text| Ok(text.trim().into()));
line!(
    RefusesDigits,
    |text| match text.contains(|c: char| c.is_ascii_digit()) {
        true => Err(ReadError::new("no digits, please")),
        false => Ok(text.into()),
    }
);
line!(Panics, |text| match text.as_bytes() {
    [first, ..] if !first.is_ascii_lowercase() => panic!("line is not text"),
    _ => Ok(text.into()),
});

/// Planted mistakes of a type, and the words that report them to its author.
mod the_check_finds_a_type {
    use super::*;

    fn batch<T: KplRecord>(values: impl IntoIterator<Item = T>) -> IntactBatch<T> {
        IntactBatch::new(values, &Aggregator::builder()).unwrap()
    }

    #[test]
    fn that_reads_another_value() {
        batch(["a", "b "].map(|text| Right(text.into()))).check();
        batch(["a", "b"].map(|text| Trims(text.into()))).check();
        let message = finding(|| batch(["a", "b "].map(|text| Trims(text.into()))).check());
        assert_eq!(
            message,
            "value 1 comes back as another one\n  sent: Trims(\"b \")\n  back: Trims(\"b\")\n  payload: b\"b \""
        );
    }

    #[test]
    fn that_refuses_what_it_wrote() {
        let message = finding(|| batch(["a", "b2"].map(|text| RefusesDigits(text.into()))).check());
        assert!(
            message.starts_with("value 1 does not come back: Kinesis record 0"),
            "{message}"
        );
        assert!(
            message.contains("no digits, please") && message.contains("b\"b2\""),
            "{message}"
        );
    }

    #[test]
    fn whose_codec_cannot_hold_its_numbers() {
        #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
        #[kpl(codec = Json, partition_key = "a")]
        struct Ratio {
            ratio: f32,
        }

        batch([Ratio { ratio: 0.5 }]).check();
        let message = finding(|| batch([Ratio { ratio: f32::NAN }]).check());
        assert!(message.contains("value 0 does not come back"), "{message}");
    }

    #[test]
    fn whose_codec_cannot_write_it() {
        #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
        #[kpl(codec = Json, partition_key = "a")]
        struct Counts {
            counts: std::collections::BTreeMap<(u8, u8), u8>,
        }

        let empty = || Counts {
            counts: Default::default(),
        };
        let full = Counts {
            counts: [((1, 2), 3)].into(),
        };
        let batch = batch([empty(), full]);
        assert!(matches!(batch.refused()[0].error, AggregateError::Payload(_)));
        let message = finding(|| batch.check());
        assert!(message.starts_with("a value cannot be written: Json"), "{message}");
        assert!(message.contains("(1, 2): 3"), "{message}");
    }

    #[test]
    fn whose_partition_key_changes() {
        use std::sync::atomic::{AtomicU32, Ordering};

        #[derive(Debug, PartialEq)]
        struct Restless;
        impl KplRecord for Restless {
            fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError> {
                static ASKED: AtomicU32 = AtomicU32::new(0);
                *buffer = format!("key {}", ASKED.fetch_add(1, Ordering::Relaxed));
                Ok(buffer)
            }
            fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
                Ok(b"")
            }
        }
        impl FromKplRecord<'_> for Restless {
            fn from_user_record(_: &UserRecord<'_>) -> Result<Self, ReadError> {
                Ok(Self)
            }
        }

        let message = finding(|| batch([Restless]).check());
        assert!(message.starts_with("value 0 has now the partition key"), "{message}");
    }

    /// A lone record travels raw, and its explicit hash key does not come back: nor does a type that needs it.
    #[test]
    fn that_is_not_whole_when_it_is_alone() {
        let record = || raw_at("a", 7, "x");
        IntactBatch::new([record()], &Aggregator::builder().wrap_single(true))
            .unwrap()
            .check();
        IntactBatch::new([record(), record()], &Aggregator::builder())
            .unwrap()
            .check();
        let message = finding(|| IntactBatch::new([record()], &Aggregator::builder()).unwrap().check());
        assert!(message.starts_with("value 0 comes back as another one"), "{message}");
    }

    #[test]
    fn that_panics_on_other_bytes() {
        let damage = |change| {
            let batch = DamagedBatch::new(batch(["a", "b"].map(|text| Panics(text.into()))));
            batch.damage(0, Damage::Payload { user_record: 0, change }).check();
        };
        damage(Change::Truncate { len: 0 });
        let message = finding(|| damage(Change::FlipBit { bit: 5 }));
        assert_eq!(message, "line is not text");
    }

    /// What it makes of damaged bytes is a value that it cannot bring back.
    #[test]
    fn that_reads_a_value_which_it_cannot_write() {
        let damage = |text: &str| {
            let change = Change::Replace { bytes: text.into() };
            let batch = DamagedBatch::new(batch(["a", "b"].map(|text| Doubles(text.into()))));
            batch.damage(0, Damage::Payload { user_record: 0, change }).check();
        };
        line!(Doubles, |text| Ok(text.replace("xy", "xyz")));
        damage("hello");
        let message = finding(|| damage("xyy"));
        assert!(
            message.starts_with("a value that was read from damaged bytes, the one in place 0"),
            "{message}"
        );
        assert!(
            message.contains("sent: Doubles(\"xyzy\")\n  back: Doubles(\"xyzzy\")"),
            "{message}"
        );
    }

    #[test]
    fn by_an_arbitrary_batch() {
        let found = |check: fn(Unstructured<'_>)| {
            (0..200_u32).any(|seed| {
                let bytes = noise(seed, 200);
                catch_unwind(|| check(Unstructured::new(&bytes))).is_err()
            })
        };
        assert!(!found(|u| IntactBatch::<Right>::arbitrary_take_rest(u)
            .unwrap()
            .check()));
        assert!(!found(|u| DamagedBatch::<Right>::arbitrary_take_rest(u)
            .unwrap()
            .check()));
        assert!(found(|u| IntactBatch::<Trims>::arbitrary_take_rest(u).unwrap().check()));
        assert!(found(|u| IntactBatch::<RefusesDigits>::arbitrary_take_rest(u)
            .unwrap()
            .check()));
        assert!(found(|u| DamagedBatch::<Trims>::arbitrary_take_rest(u)
            .unwrap()
            .check()));
        assert!(found(|u| DamagedBatch::<Panics>::arbitrary_take_rest(u)
            .unwrap()
            .check()));
    }
}

/// Values that are not equal to themselves, or come back otherwise on purpose.
#[test]
fn check_by_takes_another_word_for_equal() {
    let same = |sent: &Trims, back: &Trims| sent.0.trim() == back.0;
    let batch = IntactBatch::new([Trims(" a ".into()), Trims("b".into())], &Aggregator::builder()).unwrap();
    batch.check_by(same);
    DamagedBatch::new(batch).check_by(same);

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Postcard, partition_key = "a")]
    struct Ratio {
        ratio: f32,
    }
    let nan = || IntactBatch::new([Ratio { ratio: f32::NAN }], &Aggregator::builder()).unwrap();
    finding(|| nan().check());
    nan().check_by(|sent, back| sent.ratio.to_bits() == back.ratio.to_bits());

    // Damage turns a number into NaN, which is not a finding.
    let one = IntactBatch::new([Ratio { ratio: 1.0 }], &Aggregator::builder().wrap_single(true)).unwrap();
    let bytes = f32::NAN.to_le_bytes().to_vec();
    let damage = Damage::Payload {
        user_record: 0,
        change: Change::Replace { bytes },
    };
    let other = Damage::Payload {
        user_record: 0,
        change: Change::Replace {
            bytes: 3_f32.to_le_bytes().to_vec(),
        },
    };
    DamagedBatch::new(one).damage(0, damage.clone()).check();

    // Each check stands for itself, whatever the one before took for a value.
    let one = || IntactBatch::new([Ratio { ratio: 1.0 }], &Aggregator::builder().wrap_single(true)).unwrap();
    for damages in [[damage.clone(), other.clone()], [other, damage]] {
        let [first, second] = damages;
        let batch = DamagedBatch::new(one()).damage(0, first).plain(1, 3_f32.to_le_bytes());
        let batch = batch.damage(1, second);
        batch.check_by(|sent, back| sent.ratio.to_bits() == back.ratio.to_bits());
        batch.check();
        batch.check_by(|sent, back| sent.ratio.to_bits() == back.ratio.to_bits());
    }
}

/// What a finding says about damage to the same Kinesis record.
#[test]
fn a_finding_beside_damage_says_so() {
    let values = ["a", "b "].map(|text| Trims(text.into()));
    let batch = DamagedBatch::new(IntactBatch::new(values, &Aggregator::builder()).unwrap());
    let bytes = b"z\0".to_vec();
    let message = finding(|| batch.damage(0, Damage::UnknownField { bytes }).check());
    assert!(message.contains("\n  beside: [UnknownField"), "{message}");
    let change = Change::Insert {
        at: 1,
        bytes: b"z\0".to_vec(),
    };
    assert_eq!(format!("{change:?}"), "Insert { at: 1, bytes: b\"z\\x00\" }");
}

/// What each damage is there to reach.
mod damage {
    use super::*;

    fn one(damage: Damage) -> DamagedBatch<Click> {
        DamagedBatch::new(clicks(&Aggregator::builder().max_count(3))).damage(0, damage)
    }

    /// The errors, and which values came out.
    fn read(batch: &DamagedBatch<Click>) -> (Vec<DeaggregateErrorKind>, Vec<u64>) {
        batch.check();
        let (mut errors, mut values) = (Vec::new(), Vec::new());
        for item in Deaggregator::<Click>::new().records(&batch.kinesis_records()) {
            match item {
                Ok(received) => values.push(received.value.at_ms),
                Err(error) => errors.push(match error.kind() {
                    DeaggregateErrorKind::Malformed(reason) => DeaggregateErrorKind::Malformed(*reason),
                    DeaggregateErrorKind::PartitionKeyIndex { index, len } => DeaggregateErrorKind::PartitionKeyIndex {
                        index: *index,
                        len: *len,
                    },
                    DeaggregateErrorKind::ExplicitHashKeyIndex { index, len } => {
                        DeaggregateErrorKind::ExplicitHashKeyIndex {
                            index: *index,
                            len: *len,
                        }
                    }
                    DeaggregateErrorKind::ExplicitHashKey { text } => {
                        DeaggregateErrorKind::ExplicitHashKey { text: text.clone() }
                    }
                    other => DeaggregateErrorKind::Read(ReadError::new(format!("{other:?}"))),
                }),
            }
        }
        (errors, values)
    }

    macro_rules! assert_reaches {
        ($damage:expr, [$($kind:pat),*], $values:expr) => {{
            let batch = one($damage);
            let (errors, values) = read(&batch);
            assert!(matches!(&errors[..], [$($kind),*]), "{errors:?}");
            assert_eq!(values, $values);
            let untouched: Vec<u64> = batch.untouched().map(|click| click.at_ms).collect();
            assert!(untouched.iter().all(|at| values.contains(at)), "{untouched:?}");
            assert!(untouched.ends_with(&[3, 4, 5]));
        }};
    }

    #[test]
    fn no_damage() {
        let batch = DamagedBatch::new(clicks(&Aggregator::builder().max_count(3)));
        let (errors, values) = read(&batch);
        assert!(errors.is_empty());
        assert_eq!(values, [0, 1, 2, 3, 4, 5]);
        assert_eq!(batch.untouched().count(), 6);
    }

    #[test]
    fn of_the_data() {
        use DeaggregateErrorKind::{Malformed as M, Read};
        assert_reaches!(
            Damage::Data(Change::FlipBit { bit: 8 * 40 }),
            [M(Malformed::Digest)],
            [3, 4, 5]
        );
        assert_reaches!(
            Damage::Data(Change::Truncate { len: 12 }),
            [M(Malformed::TooShort)],
            [3, 4, 5]
        );
        assert_reaches!(
            Damage::Data(Change::Remove { at: 40, len: 3 }),
            [M(Malformed::Digest)],
            [3, 4, 5]
        );
        let bytes = b"abc".to_vec();
        assert_reaches!(
            Damage::Data(Change::Insert { at: 40, bytes }),
            [M(Malformed::Digest)],
            [3, 4, 5]
        );
        assert_reaches!(
            Damage::Data(Change::Repeat { at: 40, len: 7 }),
            [M(Malformed::Digest)],
            [3, 4, 5]
        );
        // Without the magic it is a plain record, which the codec refuses.
        assert_reaches!(Damage::Data(Change::FlipBit { bit: 0 }), [Read(_)], [3, 4, 5]);
    }

    #[test]
    fn of_the_body_under_a_right_digest() {
        use DeaggregateErrorKind::{Malformed as M, PartitionKeyIndex};
        let body = |change| Damage::Body(change);
        assert_reaches!(body(Change::Truncate { len: 30 }), [M(Malformed::Body(_))], [3, 4, 5]);
        assert_reaches!(
            body(Change::Replace { bytes: vec![0xFF] }),
            [M(Malformed::Body(_))],
            [3, 4, 5]
        );
        // The keys are gone, and the records are left.
        assert_reaches!(
            body(Change::Remove { at: 0, len: 11 }),
            [
                PartitionKeyIndex { len: 0, .. },
                PartitionKeyIndex { .. },
                PartitionKeyIndex { .. }
            ],
            [3, 4, 5]
        );
        // Still an aggregate: the table has one more key.
        assert_reaches!(body(Change::Repeat { at: 0, len: 6 }), [], [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn of_a_payload_costs_that_user_record_alone() {
        let payload = |change| Damage::Payload { user_record: 1, change };
        assert_reaches!(
            payload(Change::Truncate { len: 5 }),
            [DeaggregateErrorKind::Read(_)],
            [0, 2, 3, 4, 5]
        );
        let bytes = br#"{"user":"eve","place":null,"trace":null,"url":"","at_ms":99}"#.to_vec();
        assert_reaches!(payload(Change::Replace { bytes }), [], [0, 99, 2, 3, 4, 5]);
    }

    #[test]
    fn of_keys_costs_that_user_record_alone() {
        use DeaggregateErrorKind::{ExplicitHashKey, ExplicitHashKeyIndex, PartitionKeyIndex};
        assert_reaches!(
            Damage::PartitionKeyIndex {
                user_record: 1,
                index: 9
            },
            [PartitionKeyIndex { index: 9, len: 2 }],
            [0, 2, 3, 4, 5]
        );
        assert_reaches!(
            Damage::ExplicitHashKeyIndex {
                user_record: 2,
                index: u64::MAX
            },
            [ExplicitHashKeyIndex {
                index: u64::MAX,
                len: 0
            }],
            [0, 1, 3, 4, 5]
        );
        assert_reaches!(
            Damage::ExplicitHashKey {
                user_record: 0,
                text: "x".into()
            },
            [ExplicitHashKey { .. }],
            [1, 2, 3, 4, 5]
        );
        assert_reaches!(
            Damage::ExplicitHashKey {
                user_record: 0,
                text: "7".into()
            },
            [],
            [0, 1, 2, 3, 4, 5]
        );
    }

    #[test]
    fn of_fields() {
        use DeaggregateErrorKind::Malformed as M;
        assert_reaches!(Damage::NoPayload { user_record: 1 }, [M(Malformed::Body(_))], [3, 4, 5]);
        assert_reaches!(Damage::NoUserRecords, [], [3, 4, 5]);
        assert_reaches!(Damage::UnknownField { bytes: vec![1] }, [], [0, 1, 2, 3, 4, 5]);
        assert_reaches!(Damage::NoPartitionKey, [], [0, 1, 2, 3, 4, 5]);
        assert_eq!(one(Damage::NoPartitionKey).untouched().count(), 6);
        assert_eq!(one(Damage::UnknownField { bytes: vec![1] }).untouched().count(), 6);
    }

    #[test]
    fn of_a_lone_record_that_travels_raw() {
        let lone = || DamagedBatch::new(IntactBatch::new([click("anna", 7)], &Aggregator::builder()).unwrap());
        assert!(!lone().intact().sealed()[0].aggregated);
        let change = Change::Truncate { len: 3 };
        for damage in [Damage::Data(change.clone()), Damage::Payload { user_record: 0, change }] {
            let (errors, values) = read(&lone().damage(0, damage));
            assert!(matches!(errors[..], [DeaggregateErrorKind::Read(_)]) && values.is_empty());
        }
        assert_eq!(read(&lone().damage(0, Damage::NoUserRecords)).1, [7]);
    }

    #[test]
    fn of_the_batch() {
        let batch = DamagedBatch::new(clicks(&Aggregator::builder().max_count(3)));
        let batch = batch
            .plain(1, "from someone else")
            .repeat(2)
            .damage(0, Damage::NoPayload { user_record: 0 });
        let numbers: Vec<_> = batch
            .kinesis_records()
            .iter()
            .map(|record| record.sequence_number.unwrap().to_owned())
            .collect();
        assert_eq!(numbers, ["1", "2", "3", "4"]);
        let (errors, values) = read(&batch);
        assert!(matches!(
            errors[..],
            [DeaggregateErrorKind::Malformed(_), DeaggregateErrorKind::Read(_)]
        ));
        assert_eq!(values, [3, 4, 5, 3, 4, 5]);
        assert_eq!(batch.records()[0].damages, [Damage::NoPayload { user_record: 0 }]);
        assert!(format!("{batch:?}").contains("NoPayload"));
    }

    #[test]
    fn is_what_it_says() {
        let data = |damage: &Damage| one(damage.clone()).records()[0].data.clone();
        let intact = one(Damage::NoPartitionKey).records()[0].data.clone();
        for bit in [0, 37, 8 * intact.len() - 1] {
            let flipped = data(&Damage::Data(Change::FlipBit { bit }));
            let differences = intact.iter().zip(&flipped).map(|(a, b)| (a ^ b).count_ones());
            assert_eq!((flipped.len(), differences.sum::<u32>()), (intact.len(), 1));
        }
        let unknown = data(&Damage::UnknownField {
            bytes: b"anything".to_vec(),
        });
        assert!(unknown.windows(8).any(|bytes| bytes == b"anything"));
        assert_eq!(unknown.len(), intact.len() + 10);

        // A lone record that travels raw has its key from the stream only.
        let lone = IntactBatch::new([RawRecord::new("a", "x")], &Aggregator::builder()).unwrap();
        DamagedBatch::new(lone).damage(0, Damage::NoPartitionKey).check();
    }

    #[test]
    fn of_an_empty_batch() {
        let empty = || DamagedBatch::new(IntactBatch::new(Vec::<Click>::new(), &Aggregator::builder()).unwrap());
        empty().damage(3, Damage::NoUserRecords).repeat(2).check();
        let one = empty().plain(9, "x");
        assert_eq!(one.records().len(), 1);
        one.check();
    }

    /// Several, one after the other.
    #[test]
    fn upon_damage() {
        let batch = one(Damage::NoUserRecords);
        let batch = batch.damage(
            0,
            Damage::Payload {
                user_record: 4,
                change: Change::Truncate { len: 0 },
            },
        );
        assert_eq!(read(&batch).1, [3, 4, 5]);
        let batch = one(Damage::Payload {
            user_record: 0,
            change: Change::Truncate { len: 1 },
        });
        let batch = batch.damage(
            0,
            Damage::PartitionKeyIndex {
                user_record: 2,
                index: 7,
            },
        );
        let (errors, values) = read(&batch);
        assert_eq!(errors.len(), 2);
        assert_eq!(values, [1, 3, 4, 5]);
        let batch = batch.damage(0, Damage::Data(Change::FlipBit { bit: 99 }));
        assert_eq!(read(&batch).1, [3, 4, 5]);
    }

    /// Nor is any number out of place.
    #[test]
    fn anywhere() {
        let numbers = [0, 1, 2, 3, 7, 40, 41, 1000, usize::MAX];
        for at in numbers {
            for len in numbers {
                for change in [
                    Change::FlipBit { bit: at },
                    Change::Truncate { len: at },
                    Change::Remove { at, len },
                    Change::Insert {
                        at,
                        bytes: vec![7; len.min(50)],
                    },
                    Change::Repeat { at, len },
                    Change::Replace {
                        bytes: vec![7; len.min(50)],
                    },
                ] {
                    one(Damage::Data(change.clone())).check();
                    one(Damage::Body(change.clone())).check();
                    one(Damage::Payload {
                        user_record: at,
                        change,
                    })
                    .check();
                }
            }
            one(Damage::NoPayload { user_record: at })
                .damage(at, Damage::NoUserRecords)
                .check();
            one(Damage::PartitionKeyIndex {
                user_record: at,
                index: at as u64,
            })
            .check();
        }
    }
}

/// Bytes of a simple generator.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut byte = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| byte()).collect()
}

/// Of a thousand arbitrary damaged batches, some reach each of these.
#[test]
fn arbitrary_damage_reaches_everything() {
    let mut reached = BTreeSet::new();
    for seed in 0..1000 {
        let bytes = noise(seed, 300);
        let batch = DamagedBatch::<Click>::arbitrary_take_rest(Unstructured::new(&bytes)).unwrap();
        batch.intact().check();
        batch.check();
        for record in batch.records() {
            let place = match AggregatedRecord::parse(&record.data) {
                Ok(_) if record.damages.is_empty() => "an intact aggregate",
                Ok(aggregate) if aggregate.is_empty() => "no user records",
                Ok(_) => "an aggregate after damage",
                Err(NotAggregated::Malformed(Malformed::TooShort)) => "too short",
                Err(NotAggregated::Malformed(Malformed::Digest)) => "a wrong digest",
                Err(NotAggregated::Malformed(Malformed::Body(_))) => "unparseable under a right digest",
                Err(_) => "plain",
            };
            reached.insert(place);
        }
        let batch_records = batch.kinesis_records();
        let errors = Deaggregator::<Click>::new()
            .records(&batch_records)
            .filter_map(Result::err);
        for error in errors {
            reached.insert(match error.kind() {
                DeaggregateErrorKind::PartitionKeyIndex { .. } => "partition key index",
                DeaggregateErrorKind::ExplicitHashKeyIndex { .. } => "explicit hash key index",
                DeaggregateErrorKind::ExplicitHashKey { .. } => "explicit hash key",
                DeaggregateErrorKind::Read(_) => "the codec",
                _ => "malformed",
            });
        }
    }
    let all = [
        "an aggregate after damage",
        "an intact aggregate",
        "explicit hash key",
        "explicit hash key index",
        "malformed",
        "no user records",
        "a wrong digest",
        "partition key index",
        "plain",
        "the codec",
        "too short",
        "unparseable under a right digest",
    ];
    let missing: Vec<_> = all.into_iter().filter(|place| !reached.contains(place)).collect();
    assert!(missing.is_empty(), "not reached: {missing:?}");
}

/// Of some thousand arbitrary values of each part, enough are of each kind.
mod arbitrary_parts_are_of_every_kind {
    use std::collections::BTreeMap;

    use super::*;

    fn some<T>(make: impl Fn(&mut Unstructured<'_>) -> arbitrary::Result<T>) -> Vec<T> {
        (0..4000)
            .map(|seed| make(&mut Unstructured::new(&noise(seed, 200))).unwrap())
            .collect()
    }

    fn counts<T>(values: &[T], kind: impl Fn(&T) -> String) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for value in values {
            *counts.entry(kind(value)).or_default() += 1;
        }
        counts
    }

    /// The name of an enum's variant.
    fn name(value: &impl std::fmt::Debug) -> String {
        let shown = format!("{value:?}");
        shown.split([' ', '(']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn damages() {
        let damages = some(|u| u.arbitrary::<Damage>());
        let kinds = counts(&damages, name);
        assert_eq!(kinds.len(), 10, "{kinds:?}");
        assert!(kinds.values().all(|&count| count > 4000 / 32), "{kinds:?}");
        for often in ["Data", "Body", "Payload"] {
            assert!(kinds[often] > 4000 / 8, "{kinds:?}");
        }
        let indexes: BTreeSet<u64> = damages
            .iter()
            .filter_map(|damage| match damage {
                Damage::PartitionKeyIndex { index, .. } | Damage::ExplicitHashKeyIndex { index, .. } => Some(*index),
                _ => None,
            })
            .collect();
        assert!(
            indexes.is_superset(&[0, 1, 200, 1 << 31, u64::MAX].into()),
            "{indexes:?}"
        );
        let texts = damages.iter().filter_map(|damage| match damage {
            Damage::ExplicitHashKey { text, .. } => Some(text.as_str()),
            _ => None,
        });
        let (of_the_list, others): (Vec<_>, Vec<_>) = texts.partition(|text| ["x", "-1", "+7", "007"].contains(text));
        assert!(of_the_list.len() > 20 && others.len() > 20);
    }

    #[test]
    fn changes() {
        let changes = some(|u| u.arbitrary::<Change>());
        let kinds = counts(&changes, name);
        assert_eq!(kinds.len(), 6, "{kinds:?}");
        assert!(kinds.values().all(|&count| count > 4000 / 12), "{kinds:?}");
        let mut longest = 0;
        for change in &changes {
            match change {
                Change::Remove { len, .. } | Change::Repeat { len, .. } => assert!(*len > 0, "{change:?}"),
                Change::Insert { bytes, .. } | Change::Replace { bytes } => longest = longest.max(bytes.len()),
                _ => {}
            }
        }
        assert_eq!(longest, 39);
    }

    #[test]
    fn keys() {
        let keys = some(|u| u.arbitrary::<HashKey>());
        for key in [0, u128::MAX, 1 << 127, (1 << 127) - 1] {
            assert!(keys.contains(&HashKey::new(key)), "{key}");
        }
        assert!(keys.iter().filter(|key| key.value() < 128).count() > 4000 / 3);
        assert!(keys.iter().filter(|key| key.value() > u128::MAX / 1000).count() > 4000 / 3);

        let keys = some(kpl::arbitrary::partition_key);
        assert!(keys.iter().filter(|key| *key == "abc").count() > 100);
        assert!(keys.iter().any(|key| key.chars().count() > 200));
        assert!(keys.iter().collect::<BTreeSet<_>>().len() > 500);
    }

    #[test]
    fn tags_and_policies() {
        let with_tags =
            some(|u| Ok(Tags::arbitrary(u).is_ok_and(|tags| tags.iter().any(|(_, value)| value.is_some()))));
        assert!(with_tags.contains(&true));
        assert_eq!(counts(&some(|u| u.arbitrary::<StrayPolicy>()), name).len(), 3);
        assert_eq!(counts(&some(|u| u.arbitrary::<MalformedPolicy>()), name).len(), 2);
    }
}

proptest! {
    /// Right types pass, whatever the bytes.
    #[test]
    fn right_types_pass(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let u = || Unstructured::new(&bytes);
        IntactBatch::<Click>::arbitrary_take_rest(u()).unwrap().check();
        DamagedBatch::<Click>::arbitrary(&mut u()).unwrap().check();
        DamagedBatch::<Elided>::arbitrary_take_rest(u()).unwrap().check();
        DamagedBatch::<Right>::arbitrary_take_rest(u()).unwrap().check();
        DamagedBatch::<View<'_>>::arbitrary_take_rest(u()).unwrap().check();
        IntactBatch::<View<'_>>::arbitrary_take_rest(u()).unwrap().check();
        let raw = DamagedBatch::<RawRecord>::arbitrary_take_rest(u()).unwrap();
        raw.check_by(|sent, back| (&sent.partition_key, &sent.data) == (&back.partition_key, &back.data));
    }

    /// Arbitrary keys and other parts of records are valid ones.
    #[test]
    fn arbitrary_parts_are_valid(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let u = || Unstructured::new(&bytes);
        let key = PartitionKey::arbitrary(&mut u()).unwrap();
        prop_assert!(PartitionKey::new(key.as_str()).is_ok());
        prop_assert_eq!(kpl::arbitrary::partition_key(&mut u()).unwrap(), key.as_str());
        let key = HashKey::arbitrary(&mut u()).unwrap();
        prop_assert_eq!(key.to_string().parse::<HashKey>().unwrap(), key);
        let range = HashKeyRange::arbitrary(&mut u()).unwrap();
        prop_assert!(range.start() <= range.end());
        let number = SequenceNumber::arbitrary(&mut u()).unwrap();
        prop_assert_eq!(&SequenceNumber::new(number.as_str()).unwrap(), &number);
        let position = Position::arbitrary(&mut u()).unwrap();
        prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        let map = ShardMap::arbitrary(&mut u()).unwrap();
        prop_assert_eq!(ShardMap::new(map.shards().cloned()).unwrap(), map);
        if let Ok(tags) = Tags::arbitrary(&mut u()) {
            prop_assert_eq!(tags.iter().collect::<Tags<'_>>(), tags);
        }
        if let Ok(record) = RawRecord::arbitrary(&mut u()) {
            let batch = IntactBatch::new([record], &Aggregator::builder().wrap_single(true)).unwrap();
            prop_assert_eq!(batch.values().len(), 1);
            batch.check();
        }
    }
}

/// An empty input yields a batch as well: a fuzzer starts with one.
#[test]
fn no_bytes_make_an_empty_batch() {
    let batch = DamagedBatch::<Click>::arbitrary_take_rest(Unstructured::new(&[])).unwrap();
    assert!(batch.intact().values().is_empty() && batch.records().is_empty());
    assert_eq!(batch.intact().options(), &Aggregator::builder());
    batch.check();
}
