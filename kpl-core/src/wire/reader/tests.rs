//! The fast ways to read a record return what the slow one returns, and are used.

use alloc::vec;
use alloc::vec::Vec;

use super::super::cursor::{Cursor, WireType};
use super::super::writer::{put_bytes, put_number};
use super::{WireRecord, WireRecords, canonical_record, long_record, short_record};

/// What may come after a record.
const REST: &[u8] = b"\x1A\x04\x08\x00\x1A\x00\x1A\x04";

fn message(partition_key_index: u64, explicit_hash_key_index: Option<u64>, data: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    put_number(&mut message, 0x08, partition_key_index);
    if let Some(index) = explicit_hash_key_index {
        put_number(&mut message, 0x10, index);
    }
    put_bytes(&mut message, 0x1A, data);
    message
}

fn slowly(bytes: &[u8]) -> Option<(WireRecord<'_>, &[u8])> {
    let mut cursor = Cursor::new(bytes, 0);
    match cursor.field().ok()? {
        (3, WireType::LengthDelimited) => {
            let record = WireRecord::read(cursor.bytes().ok()?, 0).ok()?;
            Some((record, cursor.rest()))
        }
        _ => None,
    }
}

#[test]
fn usual_records_are_read_the_quick_ways() {
    for index in [0, 1, 127, 128, 300, 16_383, 16_384, 2_097_151] {
        for explicit in [None, Some(0), Some(300), Some(2_097_151)] {
            for len in [0, 1, 2, 100, 121, 122, 123, 124, 127, 128, 16_383, 16_384, 70_000] {
                let message = message(index, explicit, &vec![0xA5; len]);
                let mut bytes = Vec::new();
                put_bytes(&mut bytes, 0x1A, &message);
                bytes.extend_from_slice(REST);

                let expected = slowly(&bytes);
                assert!(expected.is_some_and(|(_, rest)| rest == REST));
                assert_eq!(canonical_record(&bytes), expected);
                let usual = WireRecords::new(&bytes, 0).usual();
                assert_eq!(usual.map(|(record, after)| (record, after.cursor.rest())), expected);
                assert_eq!(long_record(&bytes), expected);
                let is_short = message.len() < 128 && explicit.is_none() && index < 16_384;
                assert_eq!(short_record(&bytes), expected.filter(|_| is_short));
            }
        }
    }
}

#[test]
fn other_bytes_are_read_as_slowly_or_not_at_all() {
    for (index, explicit, len) in [
        (5, None, 9),
        (300, None, 9),
        (0, Some(1), 9),
        (0, None, 0),
        (7, None, 200),
    ] {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, 0x1A, &message(index, explicit, &vec![8; len]));
        bytes.extend_from_slice(REST);
        for place in 0..20.min(bytes.len()) {
            for byte in 0..=u8::MAX {
                let mut changed = bytes.clone();
                changed[place] = byte;
                for quickly in [canonical_record, long_record, short_record] {
                    let found = quickly(&changed);
                    assert!(found.is_none() || found == slowly(&changed), "{changed:x?}");
                }
            }
        }
        for end in 0..bytes.len() {
            let found = canonical_record(&bytes[..end]);
            assert!(found.is_none() || found == slowly(&bytes[..end]), "{end}");
        }
    }
}
