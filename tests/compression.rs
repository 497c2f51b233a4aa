//! The codecs that compress: what they write they read, whatever the options are; they read what other programs write; nothing is
//! ambiguous; and no bytes make them take more memory than they may.

mod support;

use kpl::codec::{CompressionOptions, Decode, Encode, Gzip, Json, Lz4, Postcard, Raw, Zstd, ZstdDictionary};
use kpl::{Aggregator, CodecErrorKind, Deaggregator, KinesisRecord, KplRecord, RawRecord};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use support::strategies::cases;

const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
const GZIP: &[u8] = &[0x1F, 0x8B, 8];
const LZ4: &[u8] = &[0x04, 0x22, 0x4D, 0x18];

static FIRST: ZstdDictionary = ZstdDictionary::new(b"what the payloads have in common");
// `zstd --train` of 400 numbered events, cut to 1 KiB.
static SECOND: ZstdDictionary = ZstdDictionary::at_level(include_bytes!("support/events-1.dictionary"), 9);
static THIRD: ZstdDictionary = ZstdDictionary::new(include_bytes!("support/events-2.dictionary"));

/// Options with other values than the default ones.
macro_rules! options {
    ($($name:ident { $($item:tt)* })*) => {$(
        struct $name;
        impl CompressionOptions for $name { $($item)* }
    )*};
}
options! {
    Everything { const THRESHOLD: usize = 0; const LEVEL: Option<i32> = Some(1); }
    TooHigh { const THRESHOLD: usize = 9; const LEVEL: Option<i32> = Some(99); }
    TooLow { const THRESHOLD: usize = 10; const LEVEL: Option<i32> = Some(i32::MIN); }
    Never { const THRESHOLD: usize = usize::MAX; }
    Small { const LIMIT: usize = 1_000; }
    WithoutId {
        const THRESHOLD: usize = 0;
        fn dictionaries() -> &'static [&'static ZstdDictionary] {
            static ONE: [&ZstdDictionary; 1] = [&FIRST];
            &ONE
        }
    }
    Old {
        const THRESHOLD: usize = 0;
        fn dictionaries() -> &'static [&'static ZstdDictionary] {
            static ONE: [&ZstdDictionary; 1] = [&SECOND];
            &ONE
        }
    }
    New {
        const THRESHOLD: usize = 0;
        fn dictionaries() -> &'static [&'static ZstdDictionary] {
            static BOTH: [&ZstdDictionary; 2] = [&THIRD, &SECOND];
            &BOTH
        }
    }
}

fn encode<C: Encode<T>, T: ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = b"before".to_vec();
    C::encode(value, &mut bytes).unwrap();
    assert_eq!(&bytes[..6], b"before", "it appends");
    bytes.split_off(6)
}

/// Payloads, some of which shrink and some of which look as if they were compressed.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        Just(&b""[..]),
        prop::sample::select(vec![ZSTD, GZIP, LZ4]),
        prop::sample::select(vec![&ZSTD[..3], &GZIP[..2], &LZ4[..1]]),
    ];
    let rest = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(0_u8..3, 0..1_000),
        (0..100_000_usize).prop_map(|len| vec![b'a'; len]),
    ];
    (start, rest).prop_map(|(start, rest)| [start, &rest].concat())
}

/// What one codec wrote, the other reads. Returns the bytes.
fn from_to<W: Encode<Vec<u8>>, R: for<'de> Decode<'de, Vec<u8>>>(payload: &Vec<u8>) -> Vec<u8> {
    let bytes = encode::<W, _>(payload);
    assert!(R::decode(&bytes).unwrap() == *payload);
    bytes
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn what_is_written_is_read_whatever_the_options_are(payload in payload()) {
        macro_rules! check {
            ($($codec:ident),*) => {$(
                from_to::<$codec<Raw>, $codec<Raw>>(&payload);
                let everything = from_to::<$codec<Raw, Everything>, $codec<Raw, Never>>(&payload);
                from_to::<$codec<Raw, TooHigh>, $codec<Raw>>(&payload);
                from_to::<$codec<Raw, TooLow>, $codec<Raw>>(&payload);
                let never = from_to::<$codec<Raw, Never>, $codec<Raw, Everything>>(&payload);
                let magic = encode::<$codec<Raw>, _>(&vec![7; 1_000]);
                // It takes no more than it took, unless it would be mistaken.
                if !payload.starts_with(&magic[..3]) {
                    prop_assert!(everything.len() <= payload.len());
                    prop_assert_eq!(&never, &payload);
                }
            )*};
        }
        check!(Zstd, Gzip, Lz4);
        from_to::<Zstd<Gzip<Lz4<Zstd<Raw, Everything>, Everything>>>, Zstd<Gzip<Lz4<Zstd<Raw>>>>>(&payload);
    }

    #[test]
    fn each_dictionary_is_found(payload in payload()) {
        from_to::<Zstd<Raw, Old>, Zstd<Raw, Old>>(&payload);
        from_to::<Zstd<Raw, Old>, Zstd<Raw, New>>(&payload);
        from_to::<Zstd<Raw, New>, Zstd<Raw, New>>(&payload);
        from_to::<Zstd<Raw>, Zstd<Raw, New>>(&payload);
        from_to::<Zstd<Raw>, Zstd<Raw, WithoutId>>(&payload);
        from_to::<Zstd<Raw, WithoutId>, Zstd<Raw, WithoutId>>(&payload);
    }

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..40_usize, flip in any::<prop::sample::Index>()) {
        macro_rules! check {
            ($($codec:ident $magic:ident),*) => {$(
                let _ = <$codec<Raw, New> as Decode<Vec<u8>>>::decode(&[$magic, &bytes].concat());
                let whole = encode::<$codec<Raw, Everything>, _>(&b"a word and ".repeat(10));
                let cut_off = &whole[..whole.len() - cut.clamp(1, whole.len() - 4)];
                prop_assert!(<$codec<Raw> as Decode<Vec<u8>>>::decode(cut_off).is_err());
                let mut changed = whole.clone();
                let at = flip.index(changed.len());
                changed[at] ^= 1;
                let _ = <$codec<Raw> as Decode<Vec<u8>>>::decode(&changed);
                let longer = [&whole[..], b"more"].concat();
                prop_assert!(<$codec<Raw> as Decode<Vec<u8>>>::decode(&longer).is_err());
            )*};
        }
        check!(Zstd ZSTD, Gzip GZIP, Lz4 LZ4);
    }
}

/// As `gzip`, `zstd` and `lz4` and the libraries of Python write them.
#[test]
fn what_other_programs_compress_is_read() {
    let text = format!("{:?}", "a word and ".repeat(20));
    let expected = "a word and ".repeat(20);
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x53\x4a\x54\x28\xcf\x2f\x4a\x51\x48\xcc\x03\xe2\xe1\xc6\x54\x02\x00\x55\x19\x87\x27\xde\x00\x00\x00";
    assert_eq!(<Gzip<Json> as Decode<String>>::decode(gzip).unwrap(), expected);
    let with_length = b"\x28\xb5\x2f\xfd\x20\xde\xa5\x00\x00\x68\x22\x61\x20\x77\x6f\x72\x64\x20\x61\x6e\x64\x20\x22\x01\x00\x4e\x53\x25\x09";
    let of_a_stream = b"\x28\xb5\x2f\xfd\x04\x00\xa5\x00\x00\x68\x22\x61\x20\x77\x6f\x72\x64\x20\x61\x6e\x64\x20\x22\x01\x00\x4e\x53\x25\x09\x1e\xd3\x40\x6a";
    for zstd in [&with_length[..], of_a_stream] {
        assert_eq!(<Zstd<Json> as Decode<String>>::decode(zstd).unwrap(), expected);
        let two: Vec<u8> = Zstd::<Raw>::decode(&[zstd, zstd].concat()).unwrap();
        assert_eq!(two, text.repeat(2).as_bytes(), "one frame after the other");
    }
    let with_length = b"\x04\x22\x4d\x18\x68\x40\xde\x00\x00\x00\x00\x00\x00\x00\x60\x16\x00\x00\x00\xcf\x22\x61\x20\x77\x6f\x72\x64\x20\x61\x6e\x64\x20\x0b\x00\xba\x50\x61\x6e\x64\x20\x22\x00\x00\x00\x00";
    let with_checksum = b"\x04\x22\x4d\x18\x64\x40\xa7\x16\x00\x00\x00\xcf\x22\x61\x20\x77\x6f\x72\x64\x20\x61\x6e\x64\x20\x0b\x00\xba\x50\x61\x6e\x64\x20\x22\x00\x00\x00\x00\xb3\xde\xea\xbc";
    for lz4 in [&with_length[..], with_checksum] {
        assert_eq!(<Lz4<Json> as Decode<String>>::decode(lz4).unwrap(), expected);
    }
    assert_eq!(
        <Lz4<Json> as Decode<String>>::decode(text.as_bytes()).unwrap(),
        expected,
        "not compressed"
    );
}

#[test]
fn more_than_the_limit_is_an_error_that_says_so() {
    macro_rules! check {
        ($($codec:ident),*) => {$(
            for len in [1_000, 1_001, 60 << 20] {
                let bytes = encode::<$codec<Raw>, _>(&vec![b'a'; len]);
                let read = <$codec<Raw, Small> as Decode<Vec<u8>>>::decode(&bytes);
                if len == 1_000 {
                    assert_eq!(read.unwrap().len(), len);
                    continue;
                }
                let error = read.unwrap_err();
                assert_eq!(error.kind(), CodecErrorKind::TooLarge { limit: 1_000 });
                assert_eq!(
                    error.to_string(),
                    format!("{}: decompressed, the bytes are longer than the limit of 1000 bytes", stringify!($codec))
                );
            }
        )*};
    }
    check!(Zstd, Gzip, Lz4);
}

/// A frame of some bytes that states to be 4 GiB.
#[test]
fn a_length_is_not_believed() {
    let claims = [ZSTD, &[0xE0], &u64::to_le_bytes(1 << 32), b"\x01\0\0"].concat();
    let error = <Zstd<Raw> as Decode<Vec<u8>>>::decode(&claims).unwrap_err();
    assert_eq!(error.kind(), CodecErrorKind::TooLarge { limit: 64 << 20 });
}

#[test]
fn an_unknown_dictionary_is_named() {
    let bytes = encode::<Zstd<Raw, New>, _>(&b"a word and ".repeat(10));
    let id = THIRD.id().unwrap();
    let error = <Zstd<Raw, Old> as Decode<Vec<u8>>>::decode(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Zstd: the bytes cannot be read: there is no dictionary with the id {id}")
    );
    assert_ne!(SECOND.id(), THIRD.id());
    assert_eq!(FIRST.id(), None);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Zstd<Json>)]
struct Event {
    #[kpl(partition_key, elide)]
    user: String,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = Zstd<Postcard, New>)]
struct Generic<T> {
    #[kpl(partition_key)]
    user: String,
    values: Vec<T>,
}

/// Through the front door, elided key and type parameters included.
#[test]
fn records_are_compressed_one_by_one() {
    let events: Vec<Event> = (0..10)
        .map(|number| Event {
            user: format!("user-{number}"),
            text: "a word and ".repeat(number * number),
        })
        .collect();
    let mut aggregator = Aggregator::<Event>::new();
    for event in &events {
        assert!(aggregator.push(event).unwrap().is_none());
    }
    let sealed = aggregator.finish().unwrap();
    let batch = [KinesisRecord::from(&sealed)];
    let read: Result<Vec<_>, _> = Deaggregator::<Event>::new().records(&batch).collect();
    let read: Vec<Event> = read.unwrap().into_iter().map(|event| event.value).collect();
    assert_eq!(read, events);
    for (record, event) in Deaggregator::<RawRecord>::new().records(&batch).zip(&events) {
        let data = record.unwrap().value.data;
        let json = format!("{{\"text\":{:?}}}", event.text);
        assert_eq!(data.starts_with(ZSTD), json.len() >= 128, "{json}");
    }

    let generic = Generic {
        user: "anna".into(),
        values: vec![1_u64; 500],
    };
    let mut aggregator = Aggregator::<Generic<u64>>::new();
    aggregator.push(&generic).unwrap();
    let sealed = aggregator.finish().unwrap();
    assert!(sealed.data.len() < 60, "{}", sealed.data.len());
    let batch = [KinesisRecord::from(&sealed)];
    let read = Deaggregator::<Generic<u64>>::new()
        .records(&batch)
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(read.value, generic);
}
