//! The header of the AWS Glue Schema Registry: what its library for Java writes is read, and the other way.

use std::fmt::Debug;

use data_encoding::HEXLOWER;
use kpl::CodecErrorKind;
use kpl::codec::{Decode, Encode, Glue, GlueHeader, GlueSchema, Json, Raw};
use proptest::prelude::*;

const ID: u128 = 0xb7b4a7f0_9c96_4e4a_a687_fb5de9ef0c63;

struct Plain;

impl GlueSchema for Plain {
    fn version_id() -> Option<u128> {
        Some(ID)
    }
}

struct Compressed;

impl GlueSchema for Compressed {
    const COMPRESSION: bool = true;
    const LIMIT: usize = 100_000;

    fn version_id() -> Option<u128> {
        Some(ID)
    }
}

struct Unknown;

impl GlueSchema for Unknown {
    fn version_id() -> Option<u128> {
        None
    }
}

fn encode<C: Encode<T>, T: ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = b"before".to_vec();
    C::encode(value, &mut bytes).unwrap();
    assert_eq!(&bytes[..6], b"before", "it appends");
    bytes.split_off(6)
}

fn decode<C: for<'de> Decode<'de, T>, T: Debug>(bytes: &[u8]) -> T {
    C::decode(bytes).unwrap()
}

/// What `SerializationDataEncoder` of schema-registry-serde 1.1.23 wrote.
#[test]
fn what_the_library_for_java_writes_is_read() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("support/glue-schema-registry.json")).unwrap();
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let bytes = |name: &str| HEXLOWER.decode(vector[name].as_str().unwrap().as_bytes()).unwrap();
        let (payload, record) = (bytes("payload"), bytes("record"));
        let is_compressed = vector["compression"] == "ZLIB";
        let (header, rest) = GlueHeader::split(&record).unwrap();
        assert_eq!((header.version_id, header.is_compressed), (ID, is_compressed));
        assert_eq!(decode::<Glue<Raw, Plain>, Vec<u8>>(&record), payload);
        if is_compressed {
            // Another implementation of zlib compresses in another way.
            assert_eq!(encode::<Glue<Raw, Compressed>, _>(&payload)[..18], record[..18]);
            for end in 0..rest.len() {
                assert!(
                    <Glue<Raw, Plain> as Decode<Vec<u8>>>::decode(&record[..18 + end]).is_err(),
                    "{end}"
                );
            }
            let longer = [&record[..], b"\0"].concat();
            assert!(<Glue<Raw, Plain> as Decode<Vec<u8>>>::decode(&longer).is_err());
        } else {
            assert_eq!(encode::<Glue<Raw, Plain>, _>(&payload), record);
        }
    }
}

/// `GlueSchemaRegistryDeserializerDataParser` of schema-registry-serde 1.1.23 read "hello" from these bytes, which are ours.
#[test]
fn what_is_written_has_been_read_by_the_library_for_java() {
    let plain = b"\x03\0\xb7\xb4\xa7\xf0\x9c\x96\x4e\x4a\xa6\x87\xfb\x5d\xe9\xef\x0c\x63hello";
    assert_eq!(encode::<Glue<Raw, Plain>, _>(b"hello"), plain);
    let compressed = b"\x03\x05\xb7\xb4\xa7\xf0\x9c\x96\x4e\x4a\xa6\x87\xfb\x5d\xe9\xef\x0c\x63\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";
    assert_eq!(encode::<Glue<Raw, Compressed>, _>(b"hello"), compressed);
}

#[test]
fn without_an_id_nothing_is_written() {
    let error = Glue::<Json, Unknown>::encode(&7, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Glue: the value cannot be written: the id of the schema version is not known"
    );
    assert_eq!(
        decode::<Glue<Json, Unknown>, u8>(&encode::<Glue<Json, Plain>, _>(&7)),
        7
    );
}

#[test]
fn more_than_the_limit_is_an_error_that_says_so() {
    for (len, is_too_large) in [(100_000, false), (100_001, true), (50 << 20, true)] {
        let bytes = encode::<Glue<Raw, Compressed>, _>(&vec![b'a'; len]);
        let read = <Glue<Raw, Compressed> as Decode<Vec<u8>>>::decode(&bytes);
        match read {
            Ok(read) => assert_eq!((read.len(), is_too_large), (len, false)),
            Err(error) => {
                assert!(is_too_large, "{error}");
                assert_eq!(error.kind(), CodecErrorKind::TooLarge { limit: 100_000 });
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        payload in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(0_u8..4, 0..2_000),
            (0..90_000_usize).prop_map(|len| vec![b'a'; len]),
        ],
    ) {
        prop_assert_eq!(&decode::<Glue<Raw, Compressed>, Vec<u8>>(&encode::<Glue<Raw, Plain>, _>(&payload)), &payload);
        prop_assert_eq!(&decode::<Glue<Raw, Plain>, Vec<u8>>(&encode::<Glue<Raw, Compressed>, _>(&payload)), &payload);
        if GlueHeader::split(&payload).is_none() {
            prop_assert_eq!(&decode::<Glue<Raw, Plain>, Vec<u8>>(&payload), &payload, "without a header");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        start in prop::sample::select(vec![&b"\x03\0"[..], b"\x03\x05", b"\x03\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x78\x9c", b""]),
        rest in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let _ = <Glue<Raw, Compressed> as Decode<Vec<u8>>>::decode(&[start, &rest].concat());
    }
}
