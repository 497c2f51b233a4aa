//! Inputs that cost a careless reader far more than their length, each in any length.

use super::bytes::{
    bytes_field, field_key, group, hash_key, key, padded_varint, record, record_at, record_of, sealed, varint,
    varint_field,
};

/// A kind of input, and a function that returns one of about this many bytes.
pub(crate) type Kind = (&'static str, fn(usize) -> Vec<u8>);

/// Returns as many of these as `len` bytes hold, numbered.
fn many(len: usize, one: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    for number in 0.. {
        let next = one(number);
        if bytes.len() + next.len() > len {
            break;
        }
        bytes.extend(next);
    }
    bytes
}

/// Half of the length for one, half for the other.
fn halves(len: usize, one: impl FnOnce(usize) -> Vec<u8>, other: impl FnOnce(usize) -> Vec<u8>) -> Vec<u8> {
    sealed([one(len / 2), other(len / 2)].concat())
}

fn one_byte_records(len: usize) -> Vec<u8> {
    many(len, |number| record(0, [number as u8]))
}

/// Kinds of single Kinesis records.
pub(crate) const KINDS: &[Kind] = &[
    ("one-byte records", |len| {
        sealed([key("a"), one_byte_records(len)].concat())
    }),
    ("records without data", |len| {
        sealed([key("a"), many(len, |_| record(0, ""))].concat())
    }),
    ("records that refer to no key", |len| sealed(one_byte_records(len))),
    ("records in unusual order", |len| {
        let one = |_| record_of(&[bytes_field(3, "x"), varint_field(1, 0)]);
        sealed([key("a"), many(len, one)].concat())
    }),
    ("keys that no record uses", |len| sealed(many(len, |_| key("")))),
    ("hash keys that no record uses", |len| {
        sealed(many(len, |_| hash_key("")))
    }),
    ("a table of duplicates", |len| {
        let keys = |len| many(len, |_| key("a"));
        halves(len, keys, |len| many(len, |number| record(number as u64, "x")))
    }),
    ("a table of duplicate hash keys", |len| {
        let keys = |len| [key("a"), many(len, |_| hash_key("7"))].concat();
        halves(len, keys, |len| many(len, |number| record_at(0, number as u64, "x")))
    }),
    ("a table of distinct keys", |len| {
        let keys = |len| many(len, |number| key(&number.to_string()));
        halves(len, keys, |len| many(len, |number| record(number as u64, "x")))
    }),
    ("keys between records", |len| {
        sealed(many(len, |number| [key("a"), record(number as u64, "x")].concat()))
    }),
    ("a long key of every record", |len| {
        halves(len, |len| key(&"k".repeat(len)), |len| many(len, |_| record(0, "{}")))
    }),
    ("a long hash key of every record, zeros", |len| {
        halves(
            len,
            |len| [key("a"), hash_key(&"0".repeat(len))].concat(),
            |len| many(len, |_| record_at(0, 0, "x")),
        )
    }),
    ("a long hash key of every record, too large", |len| {
        halves(
            len,
            |len| [key("a"), hash_key(&"9".repeat(len))].concat(),
            |len| many(len, |_| record_at(0, 0, "x")),
        )
    }),
    ("a long hash key of every record, no number", |len| {
        halves(
            len,
            |len| [key("a"), hash_key(&"x".repeat(len))].concat(),
            |len| many(len, |_| record_at(0, 0, "x")),
        )
    }),
    ("tags of one record", |len| {
        let tags = many(len, |_| bytes_field(4, bytes_field(1, "t")));
        sealed([key("a"), bytes_field(3, [b"\x08\0\x1A\0".to_vec(), tags].concat())].concat())
    }),
    ("tags of every record", |len| {
        let tag = || bytes_field(4, [bytes_field(1, "t"), bytes_field(2, "v")].concat());
        let one = |_| record_of(&[varint_field(1, 0), bytes_field(3, "x"), tag(), tag()]);
        sealed([key("a"), many(len, one)].concat())
    }),
    ("one field of a record again and again", |len| {
        let fields = many(len, |number| {
            [varint_field(1, 0), bytes_field(3, [number as u8])].concat()
        });
        sealed([key("a"), bytes_field(3, fields)].concat())
    }),
    ("groups inside each other", |len| {
        let deep = (0..90).fold(Vec::new(), |content, _| group(9, content));
        sealed([key("a"), many(len, |_| [&deep[..], &record(0, "x")].concat())].concat())
    }),
    ("groups that are not closed", |len| {
        sealed(many(len, |_| field_key(9, 3)))
    }),
    ("unknown fields", |len| {
        sealed([key("a"), many(len, |_| varint_field(9, 0)), record(0, "x")].concat())
    }),
    ("numbers of ten bytes", |len| {
        let one = |_| record_of(&[[&[0x08][..], &padded_varint(0, 10)].concat(), bytes_field(3, "x")]);
        sealed([key("a"), many(len, one)].concat())
    }),
    ("a length of 2^63 after many records", |len| {
        let past_the_end = [field_key(3, 2), varint(1 << 63)].concat();
        sealed([key("a"), one_byte_records(len), past_the_end].concat())
    }),
    ("aggregates inside data", |len| {
        let inner = sealed([key("a"), record(0, "x")].concat());
        sealed([key("a"), many(len, |_| record(0, &inner))].concat())
    }),
    ("a wrong digest", |len| {
        [&sealed([key("a"), one_byte_records(len)].concat())[..], b"x"].concat()
    }),
    ("no aggregate", |len| vec![b'['; len]),
];
