//! Bytes built by hand, for tests of data that no writer produces.

use md5::Digest as _;

/// The first bytes of an aggregated record.
pub const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// Returns the MD5 of some bytes, computed by the crate md-5.
pub fn md5(bytes: &[u8]) -> [u8; 16] {
    md5::Md5::digest(bytes).into()
}

/// Returns an aggregated record with this body: magic, body, digest.
pub fn sealed(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&MAGIC, body, &md5(body)].concat()
}

/// Returns a number as a varint, in as few bytes as possible.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Returns a number as a varint of exactly `len` bytes, which may be more than necessary.
pub fn padded_varint(value: u64, len: usize) -> Vec<u8> {
    let mut bytes = varint(value);
    while bytes.len() < len {
        *bytes.last_mut().expect("a varint has a byte") |= 0x80;
        bytes.push(0);
    }
    bytes
}

/// Returns the key of a field: its number and wire type.
pub fn field_key(number: u64, wire_type: u64) -> Vec<u8> {
    varint(number << 3 | wire_type)
}

/// Returns a field that contains a number.
pub fn varint_field(number: u64, value: u64) -> Vec<u8> {
    [field_key(number, 0), varint(value)].concat()
}

/// Returns a field that contains bytes, preceded by their length.
pub fn bytes_field(number: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&field_key(number, 2)[..], &varint(bytes.len() as u64), bytes].concat()
}

/// Returns a group with this content.
pub fn group(number: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    [&field_key(number, 3)[..], content.as_ref(), &field_key(number, 4)].concat()
}

/// Returns an entry of the partition key table.
pub fn key(text: &str) -> Vec<u8> {
    bytes_field(1, text)
}

/// Returns an entry of the explicit hash key table.
pub fn hash_key(text: &str) -> Vec<u8> {
    bytes_field(2, text)
}

/// Returns a record that consists of these encoded fields.
pub fn record_of(fields: &[Vec<u8>]) -> Vec<u8> {
    bytes_field(3, fields.concat())
}

/// Returns a record with its data and the index of its partition key.
pub fn record(key_index: u64, data: impl AsRef<[u8]>) -> Vec<u8> {
    record_of(&[varint_field(1, key_index), bytes_field(3, data)])
}

/// Returns a record with its data and the indexes of its keys.
pub fn record_at(key_index: u64, hash_key_index: u64, data: impl AsRef<[u8]>) -> Vec<u8> {
    let indexes = [varint_field(1, key_index), varint_field(2, hash_key_index)];
    record_of(&[indexes.concat(), bytes_field(3, data)])
}

/// Returns an aggregated record that consists of these encoded fields.
pub fn aggregate_of(fields: &[Vec<u8>]) -> Vec<u8> {
    sealed(fields.concat())
}
