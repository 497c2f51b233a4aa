//! `#[derive(FromKplRecord)]` for types that are only read, and `#[derive(KplRecord)]` for types that are only written:
//! each needs only what its direction needs.
#![cfg(all(
    feature = "derive",
    feature = "std",
    feature = "json",
    feature = "postcard",
    feature = "bincode",
    feature = "prost"
))]

mod support;

use std::borrow::Cow;
use std::fmt::Debug;

use kpl::codec::{Decode, Encode};
use kpl::{
    Aggregator, CodecError, DeaggregateError, DeaggregateErrorKind, Deaggregator, FromKplRecord, FromKplRecordOwned,
    KinesisRecord, KplRecord, RawRecord, ReadError, SealedRecord,
};
use serde::{Deserialize, Serialize};

fn seal<T: KplRecord>(values: &[T]) -> SealedRecord {
    let mut aggregator = Aggregator::<T>::new();
    for value in values {
        assert!(aggregator.push(value).unwrap().is_none());
    }
    aggregator.finish().unwrap()
}

fn read<T: FromKplRecordOwned>(sealed: &SealedRecord) -> Vec<T> {
    let batch = [KinesisRecord::from(sealed)];
    let records = Deaggregator::<T>::new().records(&batch);
    records.map(|record| record.unwrap().value).collect()
}

fn read_one<T: FromKplRecordOwned>(record: KinesisRecord<'_>) -> Result<T, DeaggregateError> {
    let batch = [record];
    let record = Deaggregator::<T>::new().records(&batch).next().unwrap();
    record.map(|record| record.value)
}

/// What is written as one type is read as the other, alone and together.
#[track_caller]
fn assert_crosses<W: KplRecord, R: FromKplRecordOwned + PartialEq + Debug>(written: &[W], expected: &[R]) {
    assert_eq!(read::<R>(&seal(written)), expected);
    for (value, expected) in written.iter().zip(expected) {
        assert_eq!(
            read::<R>(&seal(std::slice::from_ref(value))),
            std::slice::from_ref(expected)
        );
    }
}

mod with_every_codec {
    use super::*;

    macro_rules! crosses {
        ($name:ident, $codec:path) => {
            #[test]
            fn $name() {
                #[derive(Serialize, KplRecord)]
                #[kpl(codec = $codec)]
                struct Written {
                    #[kpl(partition_key)]
                    user: &'static str,
                    at_ms: u64,
                }

                #[derive(Debug, PartialEq, Deserialize, FromKplRecord)]
                #[kpl(codec = $codec)]
                struct Read {
                    user: String,
                    at_ms: u64,
                }

                let of = |user: &str, at_ms| Read {
                    user: user.into(),
                    at_ms,
                };
                assert_crosses(
                    &[
                        Written {
                            user: "ada",
                            at_ms: 1,
                        },
                        Written {
                            user: "bob",
                            at_ms: 300,
                        },
                    ],
                    &[of("ada", 1), of("bob", 300)],
                );
            }
        };
    }

    crosses!(json, kpl::codec::Json);
    crosses!(postcard, kpl::codec::Postcard);
    crosses!(bincode, kpl::codec::Bincode);

    #[test]
    fn prost() {
        #[derive(Clone, PartialEq, prost::Message, KplRecord)]
        #[kpl(codec = kpl::codec::Prost, partition_key = "{user}")]
        struct Written {
            #[prost(string, tag = "1")]
            user: String,
        }

        #[derive(Clone, PartialEq, prost::Message, FromKplRecord)]
        #[kpl(codec = kpl::codec::Prost)]
        struct Read {
            #[prost(string, tag = "1")]
            user: String,
        }

        assert_crosses(&[Written { user: "ada".into() }], &[Read { user: "ada".into() }]);
    }

    #[test]
    fn raw() {
        #[derive(KplRecord)]
        #[kpl(codec = kpl::codec::Raw, partition_key = "all")]
        struct Written(String);

        impl AsRef<[u8]> for Written {
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        #[derive(Debug, PartialEq, FromKplRecord)]
        #[kpl(codec = kpl::codec::Raw)]
        struct Read(usize);

        impl TryFrom<&[u8]> for Read {
            type Error = std::str::Utf8Error;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                std::str::from_utf8(bytes).map(|text| Self(text.chars().count()))
            }
        }

        assert_crosses(&[Written("é".into()), Written("abc".into())], &[Read(1), Read(3)]);
        let error = read_one::<Read>(KinesisRecord::new(b"\xFF")).unwrap_err();
        assert!(matches!(
            error.kind(),
            DeaggregateErrorKind::Read(ReadError::Payload(_))
        ));
    }

    #[test]
    fn codecs_of_the_users_own_that_go_one_way() {
        struct Digits;

        impl Encode<Written> for Digits {
            fn encode(value: &Written, out: &mut Vec<u8>) -> Result<(), CodecError> {
                out.extend(value.0.to_string().bytes());
                Ok(())
            }
        }

        #[derive(KplRecord)]
        #[kpl(codec = Digits, partition_key = "{0}")]
        struct Written(u64);

        struct Length;

        impl Decode<'_, Read> for Length {
            fn decode(bytes: &[u8]) -> Result<Read, CodecError> {
                Ok(Read(bytes.len()))
            }
        }

        #[derive(Debug, PartialEq, FromKplRecord)]
        #[kpl(codec = Length)]
        struct Read(usize);

        assert_crosses(&[Written(7), Written(4950)], &[Read(1), Read(4)]);
    }
}

mod only_written {
    use super::*;

    /// A field that cannot be deserialized.
    #[derive(Serialize)]
    struct Borrowed<'a>(&'a [String]);

    #[derive(Serialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    struct Event<'a, K, T> {
        #[kpl(partition_key)]
        key: K,
        names: Borrowed<'a>,
        body: T,
    }

    #[test]
    fn with_lifetimes_and_parameters() {
        let names = ["a".to_owned(), "b".to_owned()];
        let event = Event {
            key: 7,
            names: Borrowed(&names),
            body: Some("c"),
        };
        let sealed = seal(&[event]);
        assert_eq!(sealed.partition_key.as_str(), "7");
        assert_eq!(sealed.data, br#"{"key":7,"names":["a","b"],"body":"c"}"#);
    }

    #[derive(Serialize, KplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    enum Command {
        Start {
            #[kpl(partition_key, tag = "host")]
            host: &'static str,
        },
        #[kpl(partition_key = "all")]
        Stop,
    }

    #[test]
    fn enums() {
        let sealed = seal(&[Command::Start { host: "web" }, Command::Stop]);
        let written = support::contents(&sealed);
        let written: Vec<_> = written
            .iter()
            .map(|record| (record.partition_key.as_deref().unwrap(), &*record.data))
            .collect();
        assert_eq!(
            written,
            [("web", &br#"{"Start":{"host":"web"}}"#[..]), ("all", br#""Stop""#)]
        );
    }

    #[derive(KplRecord)]
    #[kpl(transparent)]
    struct Newtype(Command);

    #[test]
    fn newtypes_of_types_that_are_only_written() {
        let sealed = seal(&[Newtype(Command::Stop)]);
        assert_eq!(sealed.data, br#""Stop""#);
    }

    /// A type with lifetimes that can be read is read, also through a newtype.
    #[test]
    fn makes_no_difference_to_types_that_can_be_read() {
        #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
        #[kpl(codec = kpl::codec::Postcard)]
        struct Line<'a> {
            #[kpl(partition_key)]
            host: &'a str,
        }

        #[derive(Debug, PartialEq, KplRecord)]
        #[kpl(transparent)]
        struct Wrapped<'a>(Line<'a>);

        let host = String::from("web");
        let sealed = seal(&[Wrapped(Line { host: &host })]);
        let batch = [KinesisRecord::from(&sealed)];
        let record = Deaggregator::<Wrapped<'_>>::new().records(&batch).next();
        assert_eq!(record.unwrap().unwrap().value, Wrapped(Line { host: "web" }));
    }
}

mod only_read {
    use super::*;

    /// Has neither `Display` nor `Serialize`, which only writing needs.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Plain(u8);

    #[derive(Debug, PartialEq, Deserialize, FromKplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    struct WithFields {
        #[kpl(partition_key, tag = "id", explicit_hash_key)]
        id: Plain,
    }

    #[derive(Debug, PartialEq, Deserialize, FromKplRecord)]
    #[kpl(codec = kpl::codec::Json, partition_key_with = no_such_function, explicit_hash_key_with = no_such_function)]
    struct WithFunction {
        id: Plain,
    }

    #[derive(Debug, PartialEq, Deserialize, FromKplRecord)]
    #[kpl(codec = kpl::codec::Json, partition_key = "{id:?}/{id}")]
    struct WithTemplate {
        id: Plain,
    }

    #[test]
    fn attributes_for_writing_may_be_there() {
        let record = KinesisRecord::new(br#"{"id":7}"#);
        assert_eq!(read_one::<WithFields>(record).unwrap(), WithFields { id: Plain(7) });
        assert_eq!(read_one::<WithFunction>(record).unwrap(), WithFunction { id: Plain(7) });
        assert_eq!(read_one::<WithTemplate>(record).unwrap(), WithTemplate { id: Plain(7) });
    }

    #[derive(Debug, PartialEq, Deserialize, FromKplRecord)]
    #[kpl(codec = kpl::codec::Postcard)]
    enum View<'a, T> {
        Text(&'a str),
        Other(T),
        Nothing,
    }

    #[test]
    fn with_lifetimes_and_parameters() {
        let batch = [
            KinesisRecord::new(b"\0\x02hi"),
            KinesisRecord::new(b"\x01\x07"),
            KinesisRecord::new(b"\x02"),
        ];
        let values: Vec<View<'_, u8>> = Deaggregator::<View<'_, u8>>::new()
            .records(&batch)
            .map(|record| record.unwrap().value)
            .collect();
        assert_eq!(values, [View::Text("hi"), View::Other(7), View::Nothing]);
        let View::Text(text) = values[0] else { unreachable!() };
        assert!(batch[0].data.as_ptr_range().contains(&text.as_ptr()), "not copied");
    }

    #[derive(Debug, PartialEq, Deserialize, FromKplRecord)]
    #[kpl(codec = kpl::codec::Json, bound = "T: serde::de::DeserializeOwned")]
    struct Bounded<T> {
        body: T,
    }

    #[test]
    fn with_a_bound() {
        let value: Bounded<Plain> = read_one(KinesisRecord::new(br#"{"body":7}"#)).unwrap();
        assert_eq!(value, Bounded { body: Plain(7) });
    }

    #[derive(Debug, PartialEq, FromKplRecord)]
    #[kpl(transparent)]
    struct Newtype(WithFunction);

    #[test]
    fn newtypes() {
        let value: Newtype = read_one(KinesisRecord::new(br#"{"id":7}"#)).unwrap();
        assert_eq!(value, Newtype(WithFunction { id: Plain(7) }));
    }

    /// A payload that cannot be written: its type does not implement `AsRef<[u8]>`.
    #[derive(Debug, PartialEq)]
    struct Body<'a>(Cow<'a, str>);

    impl<'a> TryFrom<&'a [u8]> for Body<'a> {
        type Error = std::str::Utf8Error;

        fn try_from(bytes: &'a [u8]) -> Result<Self, Self::Error> {
            std::str::from_utf8(bytes).map(|text| Self(text.into()))
        }
    }

    #[derive(Debug, PartialEq, FromKplRecord)]
    struct PayloadAlone<'a> {
        #[kpl(payload)]
        body: Body<'a>,
    }

    #[derive(Debug, PartialEq, FromKplRecord)]
    struct PayloadAndKeys<'a> {
        #[kpl(partition_key)]
        user: &'a str,
        #[kpl(explicit_hash_key)]
        at: Option<u128>,
        #[kpl(tag = "trace")]
        trace: Option<u8>,
        #[kpl(payload)]
        body: Body<'a>,
    }

    #[test]
    fn payload_fields() {
        let record = RawRecord::new("ada", b"hi")
            .with_explicit_hash_key(7)
            .with_tag("trace", Some("3"));
        let sealed = seal(&[record]);
        let batch = [KinesisRecord::from(&sealed)];
        let body = || Body("hi".into());
        let alone = Deaggregator::<PayloadAlone<'_>>::new().records(&batch).next();
        assert_eq!(alone.unwrap().unwrap().value, PayloadAlone { body: body() });
        let with_keys = Deaggregator::<PayloadAndKeys<'_>>::new().records(&batch).next();
        let expected = PayloadAndKeys {
            user: "ada",
            at: Some(7),
            trace: Some(3),
            body: body(),
        };
        assert_eq!(with_keys.unwrap().unwrap().value, expected);
    }
}

mod only_read_with_elide {
    use super::*;

    /// Is restored from the key, and cannot be written as one.
    #[derive(Debug, PartialEq)]
    struct User(u32);

    impl std::str::FromStr for User {
        type Err = std::num::ParseIntError;

        fn from_str(text: &str) -> Result<Self, Self::Err> {
            text.parse().map(Self)
        }
    }

    /// Has `Deserialize` alone.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Url(String);

    macro_rules! elided {
        ($name:ident, $codec:path) => {
            #[test]
            fn $name() {
                #[derive(Serialize, KplRecord)]
                #[kpl(codec = $codec)]
                struct Written {
                    #[kpl(partition_key, elide)]
                    user: u32,
                    url: String,
                }

                #[derive(Debug, PartialEq, FromKplRecord)]
                #[kpl(codec = $codec)]
                struct Read {
                    #[kpl(partition_key, elide)]
                    user: User,
                    url: Url,
                }

                let written = [7, 4950].map(|user| Written {
                    user,
                    url: "/".into(),
                });
                let expected = [7, 4950].map(|user| Read {
                    user: User(user),
                    url: Url("/".into()),
                });
                assert_crosses(&written, &expected);
            }
        };
    }

    elided!(json, kpl::codec::Json);
    elided!(postcard, kpl::codec::Postcard);
    elided!(bincode, kpl::codec::Bincode);

    #[derive(Debug, PartialEq, Deserialize, FromKplRecord)]
    #[kpl(codec = kpl::codec::Json)]
    #[serde(tag = "kind")]
    enum Event<'a, T> {
        Created {
            #[kpl(partition_key, elide)]
            user: Cow<'a, str>,
            body: T,
        },
        Tick,
    }

    /// A variant that restores nothing needs no key.
    #[test]
    fn enums() {
        let batch = [
            KinesisRecord::new(br#"{"kind":"Created","body":7}"#).with_partition_key("ada"),
            KinesisRecord::new(br#"{"kind":"Tick"}"#),
            KinesisRecord::new(br#"{"kind":"Created","body":7}"#),
        ];
        let mut records = Deaggregator::<Event<'_, u8>>::new().records(&batch);
        let created = records.next().unwrap().unwrap().value;
        assert_eq!(
            created,
            Event::Created {
                user: "ada".into(),
                body: 7
            }
        );
        assert_eq!(records.next().unwrap().unwrap().value, Event::Tick);
        let error = records.next().unwrap().unwrap_err();
        assert!(error.to_string().contains("the record has no partition key"), "{error}");
    }

    /// A codec that reads whatever has `Deserialize`, and writes nothing.
    struct OnlyReads;

    impl<'de, T: Deserialize<'de>> Decode<'de, T> for OnlyReads {
        fn decode(bytes: &'de [u8]) -> Result<T, CodecError> {
            kpl::codec::Json::decode(bytes)
        }
    }

    #[derive(Debug, PartialEq, FromKplRecord)]
    #[kpl(codec = OnlyReads)]
    struct Click {
        #[kpl(partition_key, elide)]
        user: User,
        url: Url,
    }

    #[test]
    fn a_codec_of_the_users_own_that_only_reads() {
        let record = KinesisRecord::new(br#"{"url":"/"}"#).with_partition_key("7");
        let click: Click = read_one(record).unwrap();
        assert_eq!(
            click,
            Click {
                user: User(7),
                url: Url("/".into())
            }
        );
        let error = read_one::<Click>(record.with_partition_key("ada")).unwrap_err();
        assert!(matches!(error.kind(), DeaggregateErrorKind::Read(_)), "{error}");
    }
}
