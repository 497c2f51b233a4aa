//! The payload codecs: golden vectors, so that no release changes a byte; nothing left over; nothing copied where the
//! codec allows; nothing that hostile bytes could do.

mod support;

use std::collections::BTreeMap;
use std::fmt::Debug;

use kpl::codec::{Bincode, Decode, Encode, Json, Postcard, Prost, Raw};
use kpl::{
    Aggregator, CodecError, CodecErrorKind, DeaggregateErrorKind, Deaggregator, FromKplRecord, KinesisRecord,
    KplRecord, ReadError, UserRecord,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use support::strategies::cases;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Event {
    id: u64,
    name: String,
    delta: i32,
    ratio: f64,
    flags: Vec<bool>,
    kind: Kind,
    parent: Option<u128>,
    letter: char,
    attributes: BTreeMap<String, u16>,
    #[serde(default)]
    pair: (u8, i8),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    New(u32),
    Tuple(u8, String),
    Struct { at: i64 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct View<'a> {
    text: &'a str,
    bytes: u8,
}

fn event() -> Event {
    Event {
        id: 300,
        name: "é\"\n".into(),
        delta: -2,
        ratio: 0.5,
        flags: vec![true, false],
        kind: Kind::Struct { at: -1_000_000 },
        parent: Some(u128::MAX),
        letter: '𝒳',
        attributes: BTreeMap::from([("a".into(), 1), ("b".into(), 65_535)]),
        pair: (250, -128),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(sint32, optional, tag = "3")]
    delta: Option<i32>,
    #[prost(bytes = "vec", repeated, tag = "16")]
    parts: Vec<Vec<u8>>,
}

fn encode<C: Encode<T>, T>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    C::encode(value, &mut bytes).unwrap();
    bytes
}

/// A value writes exactly these bytes, after whatever is there already, and they read as that value.
#[track_caller]
fn assert_golden<C, T>(value: &T, golden: &[u8])
where
    C: Encode<T> + for<'de> Decode<'de, T>,
    T: PartialEq + core::fmt::Debug,
{
    let mut bytes = b"before".to_vec();
    C::encode(value, &mut bytes).unwrap();
    assert_eq!(&bytes[..6], b"before", "it appends");
    assert_eq!(bytes[6..].escape_ascii().to_string(), golden.escape_ascii().to_string());
    assert_eq!(&C::decode(golden).unwrap(), value);
}

/// Every proper prefix is an error, and so is every extra byte; none of them panics.
#[track_caller]
fn assert_whole<C, T>(golden: &[u8])
where
    C: for<'de> Decode<'de, T>,
    T: PartialEq + core::fmt::Debug,
{
    for length in 0..golden.len() {
        assert!(C::decode(&golden[..length]).is_err(), "{length} bytes");
    }
    for byte in [0, 1, b'x', 0x7F, 0x80, 0xFF] {
        let longer = [golden, &[byte]].concat();
        assert!(C::decode(&longer).is_err(), "byte {byte:#x} is left over");
    }
    assert!(C::decode(&[golden, golden].concat()).is_err(), "a value too many");
}

mod golden_vectors {
    use super::*;

    #[test]
    fn of_json() {
        let golden = r#"{"id":300,"name":"é\"\n","delta":-2,"ratio":0.5,"flags":[true,false],"kind":{"Struct":{"at":-1000000}},"parent":340282366920938463463374607431768211455,"letter":"𝒳","attributes":{"a":1,"b":65535},"pair":[250,-128]}"#;
        assert_golden::<Json, _>(&event(), golden.as_bytes());
        assert_golden::<Json, _>(&(), b"null");
        assert_golden::<Json, _>(
            &vec![Kind::Unit, Kind::New(7), Kind::Tuple(1, "x".into())],
            br#"["Unit",{"New":7},{"Tuple":[1,"x"]}]"#,
        );
        assert_whole::<Json, Event>(golden.as_bytes());
    }

    #[test]
    fn of_postcard() {
        let golden = b"\xAC\x02\x04\xC3\xA9\"\n\x03\0\0\0\0\0\0\xE0?\x02\x01\0\x03\xFF\x88z\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x03\x04\xF0\x9D\x92\xB3\x02\x01a\x01\x01b\xFF\xFF\x03\xFA\x80";
        assert_golden::<Postcard, _>(&event(), golden);
        assert_golden::<Postcard, _>(&(), b"");
        assert_golden::<Postcard, _>(
            &vec![Kind::Unit, Kind::New(300), Kind::Tuple(1, "x".into())],
            b"\x03\0\x01\xAC\x02\x02\x01\x01x",
        );
        assert_whole::<Postcard, Event>(golden);
    }

    #[test]
    fn of_bincode() {
        let golden = b"\xFB\x2C\x01\x04\xC3\xA9\"\n\x03\0\0\0\0\0\0\xE0?\x02\x01\0\x03\xFC\x7F\x84\x1E\0\x01\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xF0\x9D\x92\xB3\x02\x01a\x01\x01b\xFB\xFF\xFF\xFA\x80";
        assert_golden::<Bincode, _>(&event(), golden);
        assert_golden::<Bincode, _>(&(), b"");
        assert_golden::<Bincode, _>(
            &vec![Kind::Unit, Kind::New(300), Kind::Tuple(1, "x".into())],
            b"\x03\0\x01\xFB\x2C\x01\x02\x01\x01x",
        );
        assert_golden::<Bincode, _>(
            &(250_u64, 251_u64, 65_536_u64, u64::MAX),
            b"\xFA\xFB\xFB\0\xFC\0\0\x01\0\xFD\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        );
        assert_whole::<Bincode, Event>(golden);
    }

    #[test]
    fn of_prost() {
        let message = Message {
            id: 300,
            name: "é".into(),
            delta: Some(-2),
            parts: vec![vec![], vec![0xFF]],
        };
        let golden = b"\x08\xAC\x02\x12\x02\xC3\xA9\x18\x03\x82\x01\0\x82\x01\x01\xFF";
        assert_golden::<Prost, _>(&message, golden);
        assert_golden::<Prost, _>(&Message::default(), b"");
    }

    #[test]
    fn of_raw() {
        assert_golden::<Raw, _>(&b"\0\xFFany".to_vec(), b"\0\xFFany");
        assert_golden::<Raw, _>(&Vec::new(), b"");
        assert_golden::<Raw, [u8; 4]>(b"four", b"four");
        assert_whole::<Raw, [u8; 4]>(b"four");
    }
}

mod bytes_left_over {
    use super::*;

    #[test]
    fn say_how_many_they_are() {
        fn left<C: for<'de> Decode<'de, T>, T: Debug>(bytes: &[u8]) -> CodecErrorKind {
            let error = C::decode(bytes).unwrap_err();
            assert!(error.to_string().contains(error.codec()), "{error}");
            error.kind()
        }
        let two_of_three = CodecErrorKind::TrailingBytes { consumed: 1, len: 3 };
        assert_eq!(left::<Postcard, u8>(b"\x01\x02\x03"), two_of_three);
        assert_eq!(left::<Bincode, u8>(b"\x01\x02\x03"), two_of_three);
        let two_of_five = CodecErrorKind::TrailingBytes { consumed: 3, len: 5 };
        assert_eq!(left::<Postcard, u16>(b"\xFF\xFF\x03\x04\x05"), two_of_five);
        assert_eq!(left::<Bincode, u16>(b"\xFB\xFF\xFF\x04\x05"), two_of_five);
        assert_eq!(left::<Json, u8>(b"1 2"), CodecErrorKind::Decode);
    }

    /// White space is a part of JSON, and many streams have a line feed after each value.
    #[test]
    fn of_json_may_be_white_space_and_nothing_else() {
        assert_eq!(<Json as Decode<u8>>::decode(b" 1\r\n\t ").unwrap(), 1);
        for left in ["1,", "1}", "1 1", "1\u{0}", "1//", "1\u{a0}", "1\u{c}"] {
            assert!(<Json as Decode<u8>>::decode(left.as_bytes()).is_err(), "{left:?}");
        }
    }

    /// In protobuf every byte belongs to a field, known or unknown; what does not is an error.
    #[test]
    fn of_prost_that_are_no_field_are_an_error() {
        let golden = b"\x08\xAC\x02\x12\x02hi";
        for left in [
            &b"\0"[..],
            b"\x07",
            b"\xFF",
            b"\x08",
            b"\x12\x05hi",
            b"\x12",
            b"\x0B",
            b"\x0C",
            b"\x08\x80",
        ] {
            let error = <Prost as Decode<Message>>::decode(&[golden, left].concat()).unwrap_err();
            assert_eq!(
                (error.codec(), error.kind()),
                ("Prost", CodecErrorKind::Decode),
                "{left:x?}"
            );
        }
        let unknown = [&golden[..], b"\x48\x01"].concat();
        assert_eq!(<Prost as Decode<Message>>::decode(&unknown).unwrap().name, "hi");
    }
}

mod borrowing {
    use super::*;

    #[track_caller]
    fn assert_inside(bytes: &[u8], text: &str) {
        assert!(bytes.as_ptr_range().contains(&text.as_ptr()), "{text} is a copy");
        assert_eq!(text, "some text");
    }

    fn view<'de, C: Decode<'de, View<'de>>>(bytes: &'de [u8]) -> View<'de> {
        C::decode(bytes).unwrap()
    }

    const VIEW: View<'static> = View {
        text: "some text",
        bytes: 7,
    };

    #[test]
    fn text_is_not_copied_by_json() {
        let bytes = encode::<Json, _>(&VIEW);
        assert_inside(&bytes, view::<Json>(&bytes).text);
    }

    /// Escapes have to be replaced, and a `&str` cannot hold the result: an error, and not a wrong string.
    #[test]
    fn text_with_escapes_is_an_error_in_json() {
        let bytes = encode::<Json, _>(&View { text: "a\nb", bytes: 7 });
        assert!(<Json as Decode<View<'_>>>::decode(&bytes).is_err());
    }

    #[test]
    fn text_is_not_copied_by_postcard() {
        let bytes = encode::<Postcard, _>(&VIEW);
        assert_inside(&bytes, view::<Postcard>(&bytes).text);
    }

    #[test]
    fn text_is_not_copied_by_bincode() {
        let bytes = encode::<Bincode, _>(&VIEW);
        assert_inside(&bytes, view::<Bincode>(&bytes).text);
    }

    #[test]
    fn bytes_are_not_copied_by_raw() {
        let bytes = b"some text".to_vec();
        let slice: &[u8] = Raw::decode(&bytes).unwrap();
        assert_eq!(slice.as_ptr(), bytes.as_ptr());
    }

    /// Through the front door: the text is inside the Kinesis record's data.
    #[test]
    fn text_is_not_copied_on_the_whole_way() {
        struct Line<'a>(View<'a>);
        impl KplRecord for Line<'_> {
            fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, kpl::KeyError> {
                Ok(self.0.text)
            }
            fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
                Postcard::encode(&self.0, buffer)?;
                Ok(buffer)
            }
        }
        impl<'de> FromKplRecord<'de> for Line<'de> {
            fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
                Ok(Self(Postcard::decode(record.data)?))
            }
        }
        let mut aggregator = Aggregator::<Line<'_>>::new();
        for _ in 0..2 {
            aggregator.push(&Line(VIEW)).unwrap();
        }
        let sealed = aggregator.finish().unwrap();
        let batch = [KinesisRecord::from(&sealed)];
        for item in Deaggregator::<Line<'_>>::new().records(&batch) {
            assert_inside(&sealed.data, item.unwrap().value.0.text);
        }
    }
}

/// No codec may panic or abort on any bytes: one bad payload would take its whole program along.
mod hostile_bytes {
    use super::*;

    /// Lengths that a value declares and that are not there.
    #[test]
    fn with_declared_lengths_beyond_the_input_are_errors() {
        for length in [
            3,
            250,
            1 << 16,
            1 << 20,
            1 << 31,
            1 << 40,
            1 << 46,
            i64::MAX as u64,
            u64::MAX,
        ] {
            let bincode = [&[0xFD][..], &length.to_le_bytes(), b"x"].concat();
            let varint = [&support::bytes::varint(length)[..], b"x"].concat();
            assert!(<Bincode as Decode<String>>::decode(&bincode).is_err(), "{length}");
            assert!(<Bincode as Decode<&str>>::decode(&bincode).is_err(), "{length}");
            assert!(<Bincode as Decode<Vec<u8>>>::decode(&bincode).is_err(), "{length}");
            assert!(<Bincode as Decode<Vec<u128>>>::decode(&bincode).is_err(), "{length}");
            assert!(
                <Bincode as Decode<BTreeMap<String, u8>>>::decode(&bincode).is_err(),
                "{length}"
            );
            assert!(<Bincode as Decode<ByteBuf>>::decode(&bincode).is_err(), "{length}");
            assert!(<Postcard as Decode<String>>::decode(&varint).is_err(), "{length}");
            assert!(<Postcard as Decode<&str>>::decode(&varint).is_err(), "{length}");
            assert!(<Postcard as Decode<Vec<u8>>>::decode(&varint).is_err(), "{length}");
            assert!(<Postcard as Decode<Vec<u128>>>::decode(&varint).is_err(), "{length}");
            assert!(<Postcard as Decode<ByteBuf>>::decode(&varint).is_err(), "{length}");
            let message = [&[0x12][..], &varint].concat();
            assert!(<Prost as Decode<Message>>::decode(&message).is_err(), "{length}");
        }
    }

    /// Bytes that are asked for as an owned buffer.
    #[derive(Debug, PartialEq)]
    struct ByteBuf(Vec<u8>);

    impl Serialize for ByteBuf {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for ByteBuf {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl serde::de::Visitor<'_> for Visitor {
                type Value = ByteBuf;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<ByteBuf, E> {
                    Ok(ByteBuf(bytes))
                }
                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<ByteBuf, E> {
                    Ok(ByteBuf(bytes.to_vec()))
                }
            }
            deserializer.deserialize_byte_buf(Visitor)
        }
    }

    /// The limit that keeps Bincode from allocating is above every value that fits into a record.
    #[test]
    fn do_not_keep_large_values_from_being_read_by_bincode() {
        let largest = 10 * 1024 * 1024 - 5;
        for count in [60_000, 65_533, 65_535, 65_536, 65_537, largest] {
            assert_round_trip(&"x".repeat(count));
            assert_round_trip(&ByteBuf(vec![7; count]));
            let bytes = assert_round_trip(&vec![7_u128; count]);
            assert_eq!(
                bytes.len(),
                count + if count < 65_536 { 3 } else { 5 },
                "16 bytes are written as one"
            );
        }

        fn assert_round_trip<T: Serialize + for<'de> Deserialize<'de> + PartialEq>(value: &T) -> Vec<u8> {
            let bytes = encode::<Bincode, _>(value);
            assert!(bytes.len() <= 10 * 1024 * 1024);
            assert!(Bincode::decode(&bytes).is_ok_and(|again: T| again == *value));
            bytes
        }
    }

    proptest! {
        #![proptest_config(cases(500))]

        #[test]
        fn of_any_kind_give_values_or_errors(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = <Json as Decode<Event>>::decode(&bytes);
            let _ = <Postcard as Decode<Event>>::decode(&bytes);
            let _ = <Bincode as Decode<Event>>::decode(&bytes);
            let _ = <Bincode as Decode<Vec<String>>>::decode(&bytes);
            let _ = <Prost as Decode<Message>>::decode(&bytes);
            let raw: Vec<u8> = Raw::decode(&bytes).unwrap();
            prop_assert_eq!(raw, bytes);
        }
    }
}

/// Values that cannot be written leave what was there before.
mod values_that_cannot_be_written {
    use super::*;

    struct Refuses;

    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }

    impl<'de> Deserialize<'de> for Refuses {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("not today"))
        }
    }

    #[track_caller]
    fn assert_refused<C: for<'de> Decode<'de, Refuses> + Encode<(String, Refuses)>>(reason: &str) {
        let mut bytes = b"before".to_vec();
        let error = C::encode(&("text".to_owned(), Refuses), &mut bytes).unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::Encode);
        assert!(error.to_string().contains(reason), "{error}");
        assert!(bytes.starts_with(b"before"), "{}", bytes.escape_ascii());
        let error = <C as Decode<'_, Refuses>>::decode(b"").err().unwrap();
        assert_eq!(error.kind(), CodecErrorKind::Decode);
    }

    #[test]
    fn are_errors_of_json() {
        assert_refused::<Json>("not today");
        let mut bytes = Vec::new();
        let no_text_key = BTreeMap::from([(vec![1_u8], 2_u8)]);
        assert!(Json::encode(&no_text_key, &mut bytes).is_err());
    }

    #[test]
    fn are_errors_of_postcard() {
        assert_refused::<Postcard>("Postcard");
    }

    #[test]
    fn are_errors_of_bincode() {
        assert_refused::<Bincode>("not today");
    }
}

#[test]
fn raw_says_why_bytes_cannot_be_read() {
    let error = <Raw as Decode<[u8; 4]>>::decode(b"five!").unwrap_err();
    assert_eq!((error.codec(), error.kind()), ("Raw", CodecErrorKind::Decode));
    assert!(error.cause().is_some());
}

mod one_direction {
    use super::*;

    #[derive(Serialize)]
    struct Written {
        id: u8,
        text: &'static str,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Read {
        id: u8,
        text: String,
    }

    /// What a type with `Serialize` alone writes, a type with `Deserialize` alone reads.
    #[track_caller]
    fn assert_crosses<C: Encode<Written> + for<'de> Decode<'de, Read>>() {
        let bytes = encode::<C, _>(&Written { id: 7, text: "a" });
        let read: Read = C::decode(&bytes).unwrap();
        assert_eq!(
            read,
            Read {
                id: 7,
                text: "a".into()
            }
        );
    }

    #[test]
    fn needs_one_trait_of_serde() {
        assert_crosses::<Json>();
        assert_crosses::<Postcard>();
        assert_crosses::<Bincode>();
    }

    #[test]
    fn needs_one_conversion_for_raw() {
        struct Written;

        impl AsRef<[u8]> for Written {
            fn as_ref(&self) -> &[u8] {
                b"bytes"
            }
        }

        #[derive(Debug, PartialEq)]
        struct Read(usize);

        impl TryFrom<&[u8]> for Read {
            type Error = String;

            fn try_from(bytes: &[u8]) -> Result<Self, String> {
                Ok(Self(bytes.len()))
            }
        }

        let bytes = encode::<Raw, _>(&Written);
        assert_eq!(bytes, b"bytes");
        assert_eq!(<Raw as Decode<Read>>::decode(&bytes).unwrap(), Read(5));
    }

    /// A message that is only written needs no `Default`.
    #[test]
    fn needs_no_default_to_be_written_by_prost() {
        #[derive(Debug)]
        struct Written(u64);

        impl prost::Message for Written {
            fn encode_raw(&self, out: &mut impl prost::bytes::BufMut) {
                prost::encoding::uint64::encode(1, &self.0, out);
            }

            fn merge_field(
                &mut self,
                _: u32,
                _: prost::encoding::WireType,
                _: &mut impl prost::bytes::Buf,
                _: prost::encoding::DecodeContext,
            ) -> Result<(), prost::DecodeError> {
                unreachable!("it is only written")
            }

            fn encoded_len(&self) -> usize {
                prost::encoding::uint64::encoded_len(1, &self.0)
            }

            fn clear(&mut self) {
                self.0 = 0;
            }
        }

        let bytes = encode::<Prost, _>(&Written(300));
        assert_eq!(bytes, b"\x08\xAC\x02");
        assert_eq!(<Prost as Decode<Message>>::decode(&bytes).unwrap().id, 300);
    }

    #[test]
    fn writes_values_without_a_known_size() {
        fn written<C: Encode<str>>() -> Vec<u8> {
            let mut bytes = Vec::new();
            C::encode("a", &mut bytes).unwrap();
            bytes
        }
        assert_eq!(written::<Json>(), b"\"a\"");
        assert_eq!(written::<Postcard>(), b"\x01a");
        assert_eq!(written::<Bincode>(), b"\x01a");
        assert_eq!(written::<Raw>(), b"a");
    }
}

/// "Implement it to use a format of your own."
#[test]
fn a_codec_of_the_users_own_works() {
    struct Upper;

    impl Encode<String> for Upper {
        fn encode(value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
            out.extend(value.to_uppercase().bytes());
            Ok(())
        }
    }

    impl Decode<'_, String> for Upper {
        fn decode(bytes: &[u8]) -> Result<String, CodecError> {
            let text = std::str::from_utf8(bytes).map_err(|error| CodecError::decode("Upper", error))?;
            match text.chars().position(char::is_lowercase) {
                Some(place) => Err(CodecError::trailing_bytes("Upper", place, bytes.len())),
                None => Ok(text.to_lowercase()),
            }
        }
    }

    #[derive(Debug)]
    struct Shout(String);

    impl KplRecord for Shout {
        fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, kpl::KeyError> {
            Ok("crowd")
        }
        fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
            Upper::encode(&self.0, buffer)?;
            Ok(buffer)
        }
    }

    impl FromKplRecord<'_> for Shout {
        fn from_user_record(record: &UserRecord<'_>) -> Result<Self, ReadError> {
            Ok(Self(Upper::decode(record.data)?))
        }
    }

    let shouts = [Shout("one".into()), Shout("two".into())];
    let sealed = support::aggregate(Aggregator::new(), &shouts).remove(0);
    assert_eq!(support::contents(&sealed)[0].data, b"ONE");
    let mut records = support::contents(&sealed);
    records.insert(1, support::raw("crowd", "lower"));
    let sealed = support::aggregate_into_one(&records);
    let batch = [KinesisRecord::from(&sealed)];
    let items: Vec<_> = Deaggregator::<Shout>::new().records(&batch).collect();
    assert_eq!(items[0].as_ref().unwrap().value.0, "one");
    match items[1].as_ref().unwrap_err().kind() {
        DeaggregateErrorKind::Read(ReadError::Payload(error)) => assert_eq!(error.codec(), "Upper"),
        other => panic!("{other:?}"),
    }
    assert_eq!(items[2].as_ref().unwrap().value.0, "two");
}

fn any_event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        Just(Kind::Unit),
        any::<u32>().prop_map(Kind::New),
        (any::<u8>(), "\\PC{0,4}").prop_map(|(number, text)| Kind::Tuple(number, text)),
        any::<i64>().prop_map(|at| Kind::Struct { at }),
    ];
    let attributes = proptest::collection::btree_map("\\PC{0,4}", any::<u16>(), 0..4);
    let numbers = (
        any::<u64>(),
        0..64_u32,
        any::<i32>(),
        -1e9..1e9_f64,
        any::<Option<u128>>(),
        any::<(u8, i8)>(),
    );
    let rest = (".{0,20}", any::<Vec<bool>>(), kind, any::<char>(), attributes);
    (numbers, rest).prop_map(
        |((id, shift, delta, ratio, parent, pair), (name, flags, kind, letter, attributes))| Event {
            id: id >> shift,
            name,
            delta,
            ratio,
            flags,
            kind,
            parent,
            letter,
            attributes,
            pair,
        },
    )
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_value_survives_every_codec(event in any_event()) {
        prop_assert_eq!(&<Json as Decode<Event>>::decode(&encode::<Json, _>(&event)).unwrap(), &event);
        prop_assert_eq!(&<Postcard as Decode<Event>>::decode(&encode::<Postcard, _>(&event)).unwrap(), &event);
        prop_assert_eq!(&<Bincode as Decode<Event>>::decode(&encode::<Bincode, _>(&event)).unwrap(), &event);
    }

    /// The documented alternative to the crate bincode, which is no longer maintained.
    #[test]
    fn bincode_next_writes_and_reads_the_same_bytes(event in any_event()) {
        let bytes = encode::<Bincode, _>(&event);
        let config = bincode_next::config::standard();
        prop_assert_eq!(&bincode_next::serde::encode_to_vec(&event, config).unwrap(), &bytes);
        let (again, consumed) = bincode_next::serde::decode_from_slice::<Event, _>(&bytes, config).unwrap();
        prop_assert_eq!((&again, consumed), (&event, bytes.len()));
    }

    #[test]
    fn bytes_left_over_are_refused_by_every_codec(event in any_event(), left in proptest::collection::vec(any::<u8>(), 1..9)) {
        let longer = |bytes: Vec<u8>| [bytes, left.clone()].concat();
        prop_assert!(<Postcard as Decode<Event>>::decode(&longer(encode::<Postcard, _>(&event))).is_err());
        prop_assert!(<Bincode as Decode<Event>>::decode(&longer(encode::<Bincode, _>(&event))).is_err());
        let white = left.iter().all(|byte| b" \t\r\n".contains(byte));
        prop_assert_eq!(<Json as Decode<Event>>::decode(&longer(encode::<Json, _>(&event))).is_ok(), white);
    }
}
