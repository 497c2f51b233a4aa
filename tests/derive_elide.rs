//! `elide`: the field travels once, as the partition key.
#![cfg(all(
    feature = "derive",
    feature = "std",
    feature = "json",
    feature = "postcard",
    feature = "bincode"
))]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use kpl::codec::{Bincode, Decode, Encode, Json, Postcard};
use kpl::{
    Aggregator, CodecError, DeaggregateError, DeaggregateErrorKind, Deaggregator, FromKplRecordOwned, KinesisRecord,
    KplRecord, PartitionKey, RawRecord, ReadError, SealedRecord,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

fn payload<T: KplRecord>(value: &T) -> Vec<u8> {
    let mut buffer = Vec::new();
    value.payload(&mut buffer).unwrap().to_vec()
}

fn key<T: KplRecord>(value: &T) -> String {
    let mut buffer = String::new();
    value.partition_key(&mut buffer).unwrap().to_owned()
}

fn encode<C: Encode<T>, T>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    C::encode(value, &mut bytes).unwrap();
    bytes
}

fn seal<T: KplRecord>(values: &[T]) -> SealedRecord {
    let mut aggregator = Aggregator::<T>::new();
    for value in values {
        assert!(aggregator.push(value).unwrap().is_none());
    }
    aggregator.finish().unwrap()
}

fn read<T: FromKplRecordOwned>(key: &str, payload: &[u8]) -> Result<T, DeaggregateError> {
    let batch = [KinesisRecord::new(payload).with_partition_key(key)];
    let record = Deaggregator::<T>::new().records(&batch).next().unwrap();
    record.map(|record| record.value)
}

/// Alone and together, the values come back.
fn round_trip<T: KplRecord + FromKplRecordOwned + PartialEq + Debug>(values: &[T]) {
    let mut all: Vec<_> = values.iter().map(|value| seal(std::slice::from_ref(value))).collect();
    all.push(seal(values));
    let batch: Vec<_> = all.iter().map(KinesisRecord::from).collect();
    let got: Vec<T> = Deaggregator::new()
        .records(&batch)
        .map(|record| record.unwrap().value)
        .collect();
    let expected: Vec<_> = values.iter().chain(values).collect();
    assert_eq!(got.iter().collect::<Vec<_>>(), expected);
}

/// The bytes are those of a type that never had the field.
mod bytes_equal_those_of_a_type_without_the_field {
    use super::*;

    macro_rules! same_bytes {
        ($test:ident, $codec:ident $(, #[$attribute:meta])?) => {
            #[test]
            fn $test() {
                #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
                #[kpl(codec = $codec)]
                #[serde(rename_all = "camelCase")]
                struct Click {
                    at_ms: u64,
                    #[kpl(partition_key, elide)]
                    user: String,
                    $(#[$attribute])?
                    url: Option<String>,
                }

                #[derive(Serialize, Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct Without {
                    at_ms: u64,
                    url: Option<String>,
                }

                #[derive(Debug, PartialEq, KplRecord)]
                #[kpl(codec = $codec)]
                enum Event {
                    Click {
                        #[kpl(partition_key, elide)]
                        user: String,
                        url: String,
                    },
                    Both(#[kpl(partition_key)] u8, u8),
                    Move(u8, #[kpl(partition_key, elide)] u64, u8),
                    Only(#[kpl(partition_key, elide)] u64),
                    #[kpl(partition_key = "tick")]
                    Tick,
                }

                #[derive(Serialize, Deserialize)]
                enum WithoutKeys {
                    Click { url: String },
                    Both(u8, u8),
                    Move(u8, u8),
                    Only,
                    Tick,
                }

                #[derive(Debug, PartialEq, KplRecord)]
                #[kpl(codec = $codec)]
                struct Triple(u8, #[kpl(partition_key, elide)] String, u8);

                #[derive(Debug, PartialEq, KplRecord)]
                #[kpl(codec = $codec)]
                struct Key {
                    #[kpl(partition_key, elide)]
                    key: u128,
                }

                #[derive(Serialize, Deserialize)]
                struct Nothing {}

                for url in [None, Some("/")] {
                    let url = url.map(String::from);
                    let click = Click {
                        at_ms: 300,
                        user: "ada".into(),
                        url: url.clone(),
                    };
                    assert_eq!(payload(&click), encode::<$codec, _>(&Without { at_ms: 300, url }));
                    assert_eq!(key(&click), "ada");
                    round_trip(&[click]);
                }

                let url = String::from("/");
                let events = [
                    (
                        Event::Click {
                            user: "ada".into(),
                            url: url.clone(),
                        },
                        WithoutKeys::Click { url },
                        "ada",
                    ),
                    (Event::Both(1, 2), WithoutKeys::Both(1, 2), "1"),
                    (Event::Move(1, 2, 3), WithoutKeys::Move(1, 3), "2"),
                    (Event::Only(4), WithoutKeys::Only, "4"),
                    (Event::Tick, WithoutKeys::Tick, "tick"),
                ];
                for (event, without, expected) in &events {
                    assert_eq!(payload(event), encode::<$codec, _>(without));
                    assert_eq!(key(event), *expected);
                }
                round_trip(&events.map(|(event, _, _)| event));

                let triple = Triple(1, "two".into(), 3);
                assert_eq!(payload(&triple), encode::<$codec, _>(&(1_u8, 3_u8)));
                round_trip(&[triple]);

                let only = Key { key: u128::MAX };
                assert_eq!(payload(&only), encode::<$codec, _>(&Nothing {}));
                round_trip(&[only]);
            }
        };
    }

    fn is_never(_: &Option<String>) -> bool {
        false
    }

    same_bytes!(json, Json, #[serde(skip_serializing_if = "is_never")]);
    same_bytes!(postcard, Postcard);
    same_bytes!(bincode, Bincode);
}

/// The figures that the documentation gives.
#[test]
fn what_it_saves_of_a_uuid() {
    macro_rules! payload_sizes {
        ($codec:ident) => {{
            #[derive(Serialize, Deserialize, KplRecord)]
            #[kpl(codec = $codec)]
            struct Whole {
                #[kpl(partition_key)]
                user: String,
                at_ms: u64,
            }

            #[derive(KplRecord)]
            #[kpl(codec = $codec)]
            struct Elided {
                #[kpl(partition_key, elide)]
                user: String,
                at_ms: u64,
            }

            let user = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
            let whole = payload(&Whole {
                user: user.into(),
                at_ms: 1,
            })
            .len();
            let elided = payload(&Elided {
                user: user.into(),
                at_ms: 1,
            })
            .len();
            whole - elided
        }};
    }
    assert_eq!(
        payload_sizes!(Json),
        r#""user":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","#.len()
    );
    assert_eq!(payload_sizes!(Json), 46);
    assert_eq!(payload_sizes!(Postcard), 37);
    assert_eq!(payload_sizes!(Bincode), 37);
}

mod reading {
    use super::*;

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    struct Numbered {
        #[kpl(partition_key, elide)]
        number: u16,
        body: String,
    }

    #[test]
    fn a_key_that_does_not_parse_is_an_error_with_all_that_is_known() {
        let mut aggregator = Aggregator::<RawRecord>::new();
        aggregator.push(&RawRecord::new("1", r#"{"body":"a"}"#)).unwrap();
        aggregator.push(&RawRecord::new("65536", r#"{"body":"b"}"#)).unwrap();
        aggregator.push(&RawRecord::new("3", r#"{"body":"c"}"#)).unwrap();
        let sealed = aggregator.finish().unwrap();
        let batch = [KinesisRecord::from(&sealed).with_sequence_number("49")];
        let records: Vec<_> = Deaggregator::<Numbered>::new().records(&batch).collect();

        let values: Vec<_> = records.iter().flatten().map(|record| record.value.number).collect();
        assert_eq!(values, [1, 3], "its neighbours are delivered");
        let error = records[1].as_ref().unwrap_err();
        let DeaggregateErrorKind::Read(ReadError::Field {
            field, text, reason, ..
        }) = error.kind()
        else {
            panic!("{error}");
        };
        assert_eq!(*field, "number");
        assert_eq!(text.as_deref(), Some("65536"));
        assert_eq!(reason, "number too large to fit in target type");
        assert_eq!(error.data(), br#"{"body":"b"}"#);
        assert_eq!(error.partition_key(), Some("65536"));
        assert_eq!(error.sub_sequence_number(), 1);
    }

    #[test]
    fn a_record_without_a_key_is_an_error() {
        let batch = [KinesisRecord::new(br#"{"body":"a"}"#)];
        let error = Deaggregator::<Numbered>::new()
            .records(&batch)
            .next()
            .unwrap()
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("field number: the record has no partition key"),
            "{error}"
        );
    }

    #[test]
    fn a_payload_that_does_not_decode_is_a_payload_error() {
        let error = read::<Numbered>("1", b"{}").unwrap_err();
        assert!(
            matches!(error.kind(), DeaggregateErrorKind::Read(ReadError::Payload(_))),
            "{error}"
        );
        let error = read::<Numbered>("1", br#"{"body":"a"} "a""#).unwrap_err();
        assert!(
            matches!(error.kind(), DeaggregateErrorKind::Read(ReadError::Payload(_))),
            "{error}"
        );
    }

    #[test]
    fn the_field_in_an_old_payload_is_passed_over_and_the_key_counts() {
        assert_eq!(
            read::<Numbered>("2", br#"{"number":1,"body":"a"}"#).unwrap(),
            Numbered {
                number: 2,
                body: "a".into()
            }
        );
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Postcard)]
    struct View<'a> {
        #[kpl(partition_key, elide)]
        user: &'a str,
        url: &'a str,
        bytes: &'a [u8],
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    struct CowView<'a> {
        #[kpl(partition_key, elide)]
        user: Cow<'a, str>,
        #[serde(borrow)]
        url: Cow<'a, str>,
    }

    #[test]
    fn views_borrow_the_key_and_the_payload() {
        let view = |user| View {
            user,
            url: "/",
            bytes: b"b",
        };
        let sealed = seal(&[view("ada"), view("bob")]);
        let batch = [KinesisRecord::from(&sealed)];
        let range = sealed.data.as_ptr_range();
        let views: Vec<_> = Deaggregator::<View<'_>>::new()
            .records(&batch)
            .map(|view| view.unwrap().value)
            .collect();
        assert_eq!(views, [view("ada"), view("bob")]);
        for view in views {
            assert!(range.contains(&view.user.as_ptr()));
            assert!(range.contains(&view.url.as_ptr()));
            assert!(range.contains(&view.bytes.as_ptr()));
        }

        let sealed = seal(&[CowView {
            user: "ada".into(),
            url: "/".into(),
        }]);
        let batch = [KinesisRecord::from(&sealed)];
        let view = Deaggregator::<CowView<'_>>::new()
            .records(&batch)
            .next()
            .unwrap()
            .unwrap()
            .value;
        assert_eq!(
            view,
            CowView {
                user: "ada".into(),
                url: "/".into()
            }
        );
        assert!(matches!((view.user, view.url), (Cow::Borrowed(_), Cow::Borrowed(_))));
    }

    #[test]
    fn the_aggregators_outer_key_is_not_the_records_key() {
        for wrap_single in [false, true] {
            for count in 1..=2 {
                let mut aggregator = Aggregator::<Numbered>::builder()
                    .outer_partition_key(PartitionKey::new("a").unwrap())
                    .wrap_single(wrap_single)
                    .build()
                    .unwrap();
                for number in 0..count {
                    aggregator
                        .push(&Numbered {
                            number,
                            body: "a".into(),
                        })
                        .unwrap();
                }
                let sealed = aggregator.finish().unwrap();
                let batch = [KinesisRecord::from(&sealed)];
                let numbers: Vec<_> = Deaggregator::<Numbered>::new()
                    .records(&batch)
                    .map(|record| record.unwrap().value.number)
                    .collect();
                assert_eq!(numbers, (0..count).collect::<Vec<_>>());
            }
        }
    }
}

/// A stream need not give a record's outer key back to its readers.
mod without_the_outer_key {
    use super::*;

    fn read_without_key<T: FromKplRecordOwned>(sealed: &SealedRecord) -> T {
        let batch = [KinesisRecord::new(&sealed.data)];
        Deaggregator::new().records(&batch).next().unwrap().unwrap().value
    }

    fn lone<T: KplRecord>(value: &T) -> SealedRecord {
        let mut sealed: Vec<_> = Aggregator::<T>::new().aggregate([value]).map(Result::unwrap).collect();
        assert_eq!(sealed.len(), 1);
        sealed.remove(0)
    }

    #[test]
    fn a_lone_elided_record_survives() {
        #[derive(Debug, PartialEq, KplRecord)]
        #[kpl(codec = Json)]
        struct Click {
            #[kpl(partition_key, elide)]
            user: String,
            url: String,
        }

        let click = Click {
            user: "ada".into(),
            url: "/".into(),
        };
        assert!(click.always_wrapped());
        let sealed = lone(&click);
        assert!(sealed.aggregated);
        assert_eq!(
            sealed.data.len(),
            28 + "ada".len() + payload(&click).len(),
            "what the documentation says that it costs"
        );
        assert_eq!(read_without_key::<Click>(&sealed), click);
    }

    #[test]
    fn a_variant_that_leaves_nothing_out_is_not_wrapped() {
        #[derive(Debug, PartialEq, KplRecord)]
        #[kpl(codec = Postcard)]
        enum Event {
            Named {
                #[kpl(partition_key, elide)]
                key: u64,
                body: u8,
            },
            Tuple(u8, #[kpl(partition_key, elide)] String),
            Whole(#[kpl(partition_key)] String),
            #[kpl(partition_key = "tick")]
            Tick,
        }

        for (event, wrapped) in [
            (Event::Named { key: 1, body: 2 }, true),
            (Event::Tuple(1, "two".into()), true),
            (Event::Whole("w".into()), false),
            (Event::Tick, false),
        ] {
            let sealed = lone(&event);
            assert_eq!(sealed.aggregated, wrapped, "{event:?}");
            assert_eq!(event.always_wrapped(), wrapped, "{event:?}");
            assert_eq!(read_without_key::<Event>(&sealed), event);
        }
    }

    #[test]
    fn a_key_beside_a_payload_survives() {
        #[derive(Debug, PartialEq, KplRecord)]
        struct Envelope {
            #[kpl(partition_key)]
            customer: u64,
            #[kpl(payload)]
            body: Vec<u8>,
        }

        let envelope = Envelope {
            customer: 7,
            body: b"hello".to_vec(),
        };
        assert!(envelope.always_wrapped());
        assert_eq!(read_without_key::<Envelope>(&lone(&envelope)), envelope);
    }
}

/// Only a record inside an aggregate can have such a key.
mod a_key_that_is_too_long {
    use super::*;
    use std::fmt::{self, Display};
    use std::str::FromStr;

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    struct Owned {
        #[kpl(partition_key, elide)]
        user: String,
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    struct Borrowed<'a> {
        #[kpl(partition_key, elide)]
        user: &'a str,
    }

    #[test]
    fn is_an_error_with_a_part_of_it() {
        for character in ["k", "é", "語", "🦀"] {
            let longest = character.repeat(256);
            let batch = [KinesisRecord::new(b"{}").with_partition_key(&longest)];
            assert_eq!(read::<Owned>(&longest, b"{}").unwrap().user, longest);
            let view = Deaggregator::<Borrowed<'_>>::new().records(&batch).next().unwrap();
            assert_eq!(view.unwrap().value.user, longest);

            for count in [257, 1024, 1025, 100_000] {
                let long = character.repeat(count);
                let batch = [KinesisRecord::new(b"{}").with_partition_key(&long)];
                let owned = read::<Owned>(&long, b"{}").unwrap_err();
                let view = Deaggregator::<Borrowed<'_>>::new().records(&batch).next().unwrap();
                for error in [owned, view.unwrap_err()] {
                    let DeaggregateErrorKind::Read(ReadError::Field {
                        field, text, reason, ..
                    }) = error.kind()
                    else {
                        panic!("{error}");
                    };
                    assert_eq!(*field, "user");
                    assert_eq!(text.as_deref(), Some(&*longest));
                    assert_eq!(
                        reason,
                        "a partition key has at most 256 characters, and the record's has more"
                    );
                    assert_eq!(error.data(), b"{}");
                }
            }
        }
    }

    #[derive(Debug, PartialEq)]
    struct Talkative;

    impl Display for Talkative {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("t")
        }
    }

    impl FromStr for Talkative {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            Err(text.repeat(1000))
        }
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    struct Reason {
        #[kpl(partition_key, elide)]
        key: Talkative,
    }

    #[test]
    fn nor_is_the_reason_longer() {
        let error = read::<Reason>("é", b"{}").unwrap_err();
        let DeaggregateErrorKind::Read(ReadError::Field { reason, .. }) = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(*reason, "é".repeat(256));
    }
}

mod generic {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct Event<K, T: Clone = u8, const N: usize = 1>
    where
        K: Clone,
    {
        #[kpl(partition_key, elide)]
        key: K,
        body: Vec<T>,
        #[serde(with = "bytes")]
        more: [u8; N],
    }

    mod bytes {
        use super::*;

        pub(super) fn serialize<const N: usize, S: serde::Serializer>(
            bytes: &[u8; N],
            to: S,
        ) -> Result<S::Ok, S::Error> {
            bytes.as_slice().serialize(to)
        }

        pub(super) fn deserialize<'de, const N: usize, D: serde::Deserializer<'de>>(
            from: D,
        ) -> Result<[u8; N], D::Error> {
            let bytes = Vec::<u8>::deserialize(from)?;
            bytes.try_into().map_err(|_| serde::de::Error::custom("another length"))
        }
    }

    /// Compiles only if the where clauses of the impls are no stronger than this: the key needs nothing of serde's.
    fn through<K, T>(event: Event<K, T, 3>)
    where
        K: Clone + Debug + PartialEq + std::fmt::Display + std::str::FromStr<Err: std::fmt::Display>,
        T: Clone + Debug + PartialEq + Serialize + DeserializeOwned,
    {
        round_trip(&[event]);
    }

    #[test]
    fn types_constants_bounds_and_defaults() {
        through(Event {
            key: 7_u32,
            body: vec!["a".to_string()],
            more: [1, 2, 3],
        });
        through(Event {
            key: std::net::Ipv4Addr::LOCALHOST,
            body: vec![1],
            more: [1, 2, 3],
        });
        let event: Event<u8> = Event {
            key: 1,
            body: vec![2],
            more: [3],
        };
        assert_eq!(payload(&event), br#"{"body":[2],"more":[3]}"#);
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Postcard)]
    struct Both<'a, T> {
        #[kpl(partition_key, elide)]
        key: &'a str,
        url: &'a str,
        body: Option<T>,
    }

    #[test]
    fn a_lifetime_and_a_type() {
        let sealed = seal(&[Both {
            key: "a",
            url: "/",
            body: Some(7_u8),
        }]);
        let batch = [KinesisRecord::from(&sealed)];
        let got = Deaggregator::<Both<'_, u8>>::new()
            .records(&batch)
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(
            got.value,
            Both {
                key: "a",
                url: "/",
                body: Some(7)
            }
        );
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    enum Either<K, T> {
        A {
            #[kpl(partition_key, elide)]
            key: K,
            body: T,
        },
        B(#[kpl(partition_key)] u8, T),
    }

    #[test]
    fn enums() {
        round_trip(&[Either::A { key: 1_u64, body: 'a' }, Either::B(1, 'b')]);
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json, bound = "T: Serialize + DeserializeOwned")]
    struct Bound<T> {
        #[kpl(partition_key, elide)]
        key: u8,
        body: T,
    }

    #[test]
    fn a_bound_of_the_users_own() {
        round_trip(&[Bound { key: 1, body: 'a' }]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    #[serde(bound(serialize = "T: ToString", deserialize = "T: From<String>"))]
    struct SerdeBound<T> {
        #[kpl(partition_key, elide)]
        key: u8,
        #[serde(with = "text")]
        body: T,
    }

    /// The bounds for one direction are the user's, those for the other are not.
    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    #[serde(bound(deserialize = "T: From<String>"))]
    struct HalfBound<T> {
        #[kpl(partition_key, elide)]
        key: u8,
        #[serde(deserialize_with = "text::deserialize")]
        body: T,
    }

    /// As before, of a field.
    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    enum FieldBound<T, U> {
        A {
            #[kpl(partition_key, elide)]
            key: u8,
            #[serde(with = "text", bound(serialize = "T: ToString", deserialize = "T: From<String>"))]
            body: T,
            other: U,
        },
    }

    mod text {
        use super::*;

        pub(super) fn serialize<T: ToString, S: serde::Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_str(&value.to_string())
        }

        pub(super) fn deserialize<'de, T: From<String>, D: serde::Deserializer<'de>>(from: D) -> Result<T, D::Error> {
            String::deserialize(from).map(T::from)
        }
    }

    #[derive(Debug, PartialEq)]
    struct Text(String);

    impl From<String> for Text {
        fn from(text: String) -> Self {
            Self(text)
        }
    }

    impl std::fmt::Display for Text {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }

    #[test]
    fn a_bound_for_serde() {
        round_trip(&[SerdeBound {
            key: 1,
            body: Text("a".into()),
        }]);
        round_trip(&[HalfBound {
            key: 1,
            body: "a".to_string(),
        }]);
        round_trip(&[FieldBound::A {
            key: 1,
            body: Text("a".into()),
            other: 7,
        }]);
    }
}

mod with_the_attributes_of_serde {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    #[serde(rename_all = "SCREAMING-KEBAB-CASE", deny_unknown_fields)]
    struct Renamed {
        #[serde(rename = "k")]
        #[kpl(partition_key, elide)]
        the_key: u8,
        #[serde(alias = "old", default)]
        first_field: u8,
        #[serde(rename = "x")]
        second_field: u8,
        #[serde(skip)]
        third_field: u8,
    }

    #[test]
    fn names_defaults_and_skipped_fields() {
        let renamed = Renamed {
            the_key: 1,
            first_field: 2,
            second_field: 3,
            third_field: 0,
        };
        assert_eq!(payload(&renamed), br#"{"FIRST-FIELD":2,"x":3}"#);
        round_trip(&[renamed]);
        let got: Renamed = read("9", br#"{"old":2,"x":3}"#).unwrap();
        assert_eq!(
            got,
            Renamed {
                the_key: 9,
                first_field: 2,
                second_field: 3,
                third_field: 0
            }
        );
        assert_eq!(read::<Renamed>("9", br#"{"x":3}"#).unwrap().first_field, 0);
        assert!(
            read::<Renamed>("9", br#"{"x":3,"k":9}"#).is_err(),
            "deny_unknown_fields"
        );
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    struct Flat {
        #[kpl(partition_key, elide)]
        key: String,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }

    #[test]
    fn flatten_also_where_the_type_does_not_derive_serdes_traits() {
        let flat = Flat {
            key: "a".into(),
            rest: [("b".to_string(), 1)].into(),
        };
        assert_eq!(payload(&flat), br#"{"b":1}"#);
        round_trip(&[flat]);
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Json)]
    #[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
    enum Tagged {
        FirstKind {
            #[kpl(partition_key, elide)]
            user_id: u8,
            at_ms: u8,
        },
        #[serde(rename = "2")]
        #[kpl(partition_key = "second")]
        SecondKind,
    }

    /// A type of the same name for each of serde's ways to tell variants, with each kind of variant that it takes.
    macro_rules! representation {
        ($test:ident, $(#[$attribute:meta],)? { $($more:tt)* }, $($value:expr => $json:literal,)*) => {
            #[test]
            fn $test() {
                #[derive(Debug, PartialEq, KplRecord)]
                #[kpl(codec = Json)]
                $(#[$attribute])?
                enum Event {
                    #[kpl(partition_key = "unit")]
                    Unit,
                    NamedOnly {
                        #[kpl(partition_key, elide)]
                        key: String,
                    },
                    NamedFirst {
                        #[kpl(partition_key, elide)]
                        key: String,
                        body: u8,
                    },
                    NamedLast {
                        body: Option<u8>,
                        #[kpl(partition_key, elide)]
                        key: u64,
                    },
                    $($more)*
                }
                use Event::*;

                let key = || String::from("k");
                let common = [
                    Unit,
                    NamedOnly { key: key() },
                    NamedFirst { key: key(), body: 1 },
                    NamedLast { body: None, key: 2 },
                ];
                round_trip(&common);
                $(assert_eq!(String::from_utf8(payload(&$value)).unwrap(), $json);)*
                round_trip(&[$($value),*]);
            }
        };
    }

    representation!(
        an_external_tag,
        {
            TupleOnly(#[kpl(partition_key, elide)] String),
            TupleFirst(#[kpl(partition_key, elide)] String, u8),
            TupleMiddle(u8, #[kpl(partition_key, elide)] u64, u8),
            Whole(#[kpl(partition_key)] String),
        },
        Unit => r#""Unit""#,
        NamedOnly { key: "k".into() } => r#"{"NamedOnly":{}}"#,
        NamedFirst { key: "k".into(), body: 1 } => r#"{"NamedFirst":{"body":1}}"#,
        TupleOnly("k".into()) => r#""TupleOnly""#,
        TupleFirst("k".into(), 1) => r#"{"TupleFirst":[1]}"#,
        TupleMiddle(1, 2, 3) => r#"{"TupleMiddle":[1,3]}"#,
        Whole("k".into()) => r#"{"Whole":"k"}"#,
    );

    // serde takes no tuple variants of several fields here.
    representation!(
        an_internal_tag,
        #[serde(tag = "t")],
        {
            TupleOnly(#[kpl(partition_key, elide)] String),
        },
        Unit => r#"{"t":"Unit"}"#,
        NamedOnly { key: "k".into() } => r#"{"t":"NamedOnly"}"#,
        NamedFirst { key: "k".into(), body: 1 } => r#"{"t":"NamedFirst","body":1}"#,
        TupleOnly("k".into()) => r#"{"t":"TupleOnly"}"#,
    );

    // `TupleOnly` is a mistake here: `tests/ui/elide/misplaced.rs`.
    representation!(
        an_adjacent_tag,
        #[serde(tag = "t", content = "c")],
        {
            TupleFirst(#[kpl(partition_key, elide)] String, u8),
            TupleMiddle(u8, #[kpl(partition_key, elide)] u64, u8),
            Whole(#[kpl(partition_key)] String),
        },
        Unit => r#"{"t":"Unit"}"#,
        NamedOnly { key: "k".into() } => r#"{"t":"NamedOnly","c":{}}"#,
        NamedFirst { key: "k".into(), body: 1 } => r#"{"t":"NamedFirst","c":{"body":1}}"#,
        TupleFirst("k".into(), 1) => r#"{"t":"TupleFirst","c":[1]}"#,
        TupleMiddle(1, 2, 3) => r#"{"t":"TupleMiddle","c":[1,3]}"#,
        Whole("k".into()) => r#"{"t":"Whole","c":"k"}"#,
    );

    #[test]
    fn names_of_variants_and_their_fields() {
        let tagged = [Tagged::FirstKind { user_id: 1, at_ms: 2 }, Tagged::SecondKind];
        assert_eq!(payload(&tagged[0]), br#"{"kind":"first_kind","atMs":2}"#);
        assert_eq!(payload(&tagged[1]), br#"{"kind":"2"}"#);
        round_trip(&tagged);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
    #[kpl(codec = Json)]
    struct Tree {
        #[kpl(partition_key, elide)]
        id: u8,
        children: Vec<Self>,
    }

    #[test]
    fn a_type_that_holds_itself_elides_the_outermost_key_only() {
        let tree = Tree {
            id: 1,
            children: vec![Tree {
                id: 2,
                children: vec![],
            }],
        };
        assert_eq!(payload(&tree), br#"{"children":[{"id":2,"children":[]}]}"#);
        round_trip(&[tree]);
    }
}

mod codecs {
    use super::*;

    /// JSON after a version byte.
    struct Versioned;

    impl<T: Serialize> Encode<T> for Versioned {
        fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
            out.push(1);
            Json::encode(value, out)
        }
    }

    impl<'de, T: Deserialize<'de>> Decode<'de, T> for Versioned {
        fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
            match bytes {
                [1, json @ ..] => Json::decode(json),
                _ => Err(CodecError::decode("Versioned", "another version")),
            }
        }
    }

    #[derive(Debug, PartialEq, KplRecord)]
    #[kpl(codec = Versioned)]
    struct Click {
        #[kpl(partition_key, elide, tag = "u", explicit_hash_key)]
        user: u128,
        url: String,
    }

    #[test]
    fn a_codec_of_the_users_own_that_goes_through_serde() {
        let click = Click {
            user: 7,
            url: "/".into(),
        };
        assert_eq!(payload(&click), b"\x01{\"url\":\"/\"}");
        round_trip(&[click]);
    }
}
