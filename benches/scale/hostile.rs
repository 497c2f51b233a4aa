//! Aggregates of 10 MiB made to be slow, beside a usual one: each valid, or broken at its end so that all of it is looked at.

use std::hint::black_box;

use kpl::digest::md5;
use kpl::{Deaggregator, KinesisRecord, UserRecord};

use super::measure::{Scale, best};

const SIZE: usize = 10 << 20;
const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// Repeats a piece of a message up to the size of the largest record, between a beginning and an end.
fn filled(begin: &[u8], piece: impl Fn(usize) -> Vec<u8>, end: &[u8]) -> Vec<u8> {
    let mut data = [&MAGIC[..], begin].concat();
    let most = SIZE - 16 - end.len();
    for number in 0.. {
        let piece = piece(number);
        if data.len() + piece.len() > most {
            break;
        }
        data.extend(piece);
    }
    data.extend_from_slice(end);
    let digest = md5(&data[4..]);
    data.extend(digest);
    data
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag][..], &varint(content.len()), content].concat()
}

/// A record of the key with this index, in so many bytes of data.
fn record(index: usize, data: usize) -> Vec<u8> {
    let numbers = [&[0x08][..], &varint(index)].concat();
    field(0x1A, &[numbers, field(0x1A, &vec![7; data])].concat())
}

const KEY: &[u8] = &[0x0A, 0x01, b'a'];

pub(crate) fn measure(scale: &mut Scale) {
    let keys = |count: usize| {
        (0..count)
            .flat_map(|number| field(0x0A, format!("{number:08}").as_bytes()))
            .collect::<Vec<_>>()
    };
    let last = record(0, 1);
    let usual = keys(10_000);
    let many = keys(400_000);
    let cases: [(&str, Vec<u8>); 10] = [
        (
            "usual: records of 100 bytes",
            filled(&usual, |number| record(number % 10_000, 100), &[]),
        ),
        ("records without data", filled(KEY, |_| record(0, 0), &[])),
        (
            "a table of keys, no record but one",
            filled(KEY, |number| field(0x0A, number.to_string().as_bytes()), &last),
        ),
        (
            "a table of keys that are empty",
            filled(&[], |_| vec![0x0A, 0], &[KEY, &record(0, 1)].concat()),
        ),
        (
            "keys from all over a large table",
            filled(&many, |number| record(number * 2_654_435_761 % 400_000, 0), &[]),
        ),
        ("a table behind its records", filled(&[], |_| record(0, 0), KEY)),
        ("fields that nobody knows", filled(KEY, |_| vec![0x50, 1], &last)),
        (
            "groups, 90 deep",
            filled(KEY, |_| [vec![0x53; 90], vec![0x54; 90]].concat(), &last),
        ),
        (
            "numbers that are longer than they need to be",
            filled(
                KEY,
                |_| {
                    let index = [&[0x08][..], &[0x80; 9], &[0]].concat();
                    field(0x1A, &[index, vec![0x1A, 0]].concat())
                },
                &[],
            ),
        ),
        (
            "an index that is out of range at the end",
            filled(KEY, |_| record(0, 0), &record(9, 0)),
        ),
    ];
    let mut first = None;
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
        let times = per_byte / *first.get_or_insert(per_byte);
        println!("{name}: {per_byte:.3} ns a byte, {times:.2} times the first");
        let line = serde_json::json!({ "hostile": name, "nanoseconds": per_byte, "times": times });
        scale.lines.push(line);
    }
}
