//! Bytes made by hand, so that tests can say what no writer would.

use md5::Digest as _;

pub(crate) const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// The MD5 of some bytes, by the crate md-5.
pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    md5::Md5::digest(bytes).into()
}

/// An aggregated record with this body: magic, body, digest.
pub(crate) fn sealed(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&MAGIC, body, &md5(body)].concat()
}

/// A number in as few bytes as it takes.
pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A number in exactly `len` bytes, which may be more than it takes.
pub(crate) fn padded_varint(value: u64, len: usize) -> Vec<u8> {
    let mut bytes = varint(value);
    while bytes.len() < len {
        *bytes.last_mut().expect("a varint has a byte") |= 0x80;
        bytes.push(0);
    }
    bytes
}

/// The key of a field: its number and wire type.
pub(crate) fn field_key(number: u64, wire_type: u64) -> Vec<u8> {
    varint(number << 3 | wire_type)
}

pub(crate) fn varint_field(number: u64, value: u64) -> Vec<u8> {
    [field_key(number, 0), varint(value)].concat()
}

pub(crate) fn bytes_field(number: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&field_key(number, 2)[..], &varint(bytes.len() as u64), bytes].concat()
}

/// A group with this content.
pub(crate) fn group(number: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    [&field_key(number, 3)[..], content.as_ref(), &field_key(number, 4)].concat()
}

/// An entry of the partition-key table.
pub(crate) fn key(text: &str) -> Vec<u8> {
    bytes_field(1, text)
}

/// An entry of the explicit-hash-key table.
pub(crate) fn hash_key(text: &str) -> Vec<u8> {
    bytes_field(2, text)
}

/// A record of fields that are made already.
pub(crate) fn record_of(fields: &[Vec<u8>]) -> Vec<u8> {
    bytes_field(3, fields.concat())
}

pub(crate) fn record(key_index: u64, data: impl AsRef<[u8]>) -> Vec<u8> {
    record_of(&[varint_field(1, key_index), bytes_field(3, data)])
}

pub(crate) fn record_at(key_index: u64, hash_key_index: u64, data: impl AsRef<[u8]>) -> Vec<u8> {
    let indexes = [varint_field(1, key_index), varint_field(2, hash_key_index)];
    record_of(&[indexes.concat(), bytes_field(3, data)])
}

/// An aggregated record of fields that are made already.
pub(crate) fn aggregate_of(fields: &[Vec<u8>]) -> Vec<u8> {
    sealed(fields.concat())
}
