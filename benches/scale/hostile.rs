//! Aggregates of 10 MiB made to be slow, beside a usual one: each valid, or broken at its end so that all of it is looked at.

use std::hint::black_box;

use kpl::{Deaggregator, KinesisRecord, UserRecord};
use kpl_testkit::bytes::{bytes_field, group, padded_varint, sealed, varint_field};

use super::measure::{Scale, best};

const SIZE: usize = 10 << 20;

/// Repeats a piece of a message up to the size of the largest record, between a beginning and an end.
fn filled(begin: &[u8], piece: impl Fn(usize) -> Vec<u8>, end: &[u8]) -> Vec<u8> {
    let mut body = begin.to_vec();
    let most = SIZE - 4 - 16 - end.len();
    for number in 0.. {
        let piece = piece(number);
        if body.len() + piece.len() > most {
            break;
        }
        body.extend(piece);
    }
    body.extend_from_slice(end);
    sealed(body)
}

/// Returns a record of the key with this index, with this many bytes of data.
fn record(index: usize, data: usize) -> Vec<u8> {
    bytes_field(
        3,
        [varint_field(1, index as u64), bytes_field(3, vec![7; data])].concat(),
    )
}

const KEY: &[u8] = &[0x0A, 0x01, b'a'];

/// Keys, fields that the format does not have, and groups.
const SMALL: [&[u8]; 6] = [b"\x0A\0", b"\x12\0", b"\x50\x01", b"\x52\0", b"\x53\x54", b"\x5B\x5C"];

/// Returns a number in which the processor finds no pattern.
fn random(number: usize) -> usize {
    let mixed = (number as u64 ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    ((mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40) as usize
}

pub(crate) fn measure(scale: &mut Scale) {
    let keys = |count: usize| {
        (0..count)
            .flat_map(|number| bytes_field(1, format!("{number:08}")))
            .collect::<Vec<_>>()
    };
    let last = record(0, 1);
    // With a record at both ends, what is between them is passed a second time, to find the last.
    let first = [KEY, &last].concat();
    let (some, many) = (keys(10_000), keys(400_000));
    let cases: [(&str, Vec<u8>); 16] = [
        (
            "usual: records of 100 bytes",
            filled(&some, |number| record(number % 10_000, 100), &[]),
        ),
        ("records without data", filled(KEY, |_| record(0, 0), &[])),
        (
            "a table of keys, a record at both ends",
            filled(&first, |number| bytes_field(1, number.to_string()), &last),
        ),
        (
            "a table of keys that are empty",
            filled(&first, |_| vec![0x0A, 0], &last),
        ),
        (
            "a table of hash keys that are empty",
            filled(&first, |_| vec![0x12, 0], &last),
        ),
        (
            "keys from all over a large table",
            filled(&many, |number| record(number * 2_654_435_761 % 400_000, 0), &[]),
        ),
        ("a table behind its records", filled(&[], |_| record(0, 0), KEY)),
        ("unknown fields", filled(&first, |_| vec![0x50, 1], &last)),
        (
            "groups, 90 deep",
            filled(&first, |_| (0..90).fold(Vec::new(), |inner, _| group(10, inner)), &last),
        ),
        ("groups, empty", filled(&first, |_| group(10, Vec::new()), &last)),
        (
            "empty groups and records in turns",
            filled(KEY, |_| [group(10, Vec::new()), record(0, 0)].concat(), &[]),
        ),
        (
            "fields of two bytes, at random",
            filled(&first, |number| SMALL[random(number) % SMALL.len()].to_vec(), &last),
        ),
        (
            "records with a tag",
            filled(
                KEY,
                |_| bytes_field(3, [&b"\x08\0\x1A\0"[..], &bytes_field(4, bytes_field(1, ""))].concat()),
                &[],
            ),
        ),
        (
            "records with their data before the index",
            filled(KEY, |_| bytes_field(3, b"\x1A\0\x08\0"), &[]),
        ),
        (
            "numbers that are longer than they need to be",
            filled(
                KEY,
                |_| bytes_field(3, [&[0x08][..], &padded_varint(0, 10), &[0x1A, 0]].concat()),
                &[],
            ),
        ),
        (
            "an index that is out of range at the end",
            filled(KEY, |_| record(0, 0), &record(9, 0)),
        ),
    ];
    let mut usual = None;
    for (name, data) in cases {
        if !scale.is_wanted(name) {
            continue;
        }
        let deaggregator = Deaggregator::<UserRecord<'_>>::new();
        let nanoseconds = best(|| {
            for record in deaggregator.record(&KinesisRecord::new(&data)) {
                black_box(record.is_ok());
            }
        });
        let per_byte = nanoseconds / data.len() as f64;
        let times = per_byte / *usual.get_or_insert(per_byte);
        println!("{name}: {per_byte:.3} ns a byte, {times:.2} times the first");
        let line = serde_json::json!({ "hostile": name, "nanoseconds": per_byte, "times": times });
        scale.lines.push(line);
    }
}
