//! Values built from the bytes that a fuzzer provides.
//!
//! Every byte is used from the front, one value after the other, so that a small change of the bytes is a small change
//! of the values, and so that files keep their meaning whatever the version of a library.

use kpl::{HashKey, RawRecord};

use super::bytes;

/// The remaining bytes. If there are none, every value is 0, empty or false.
pub(super) struct Input<'a> {
    rest: &'a [u8],
    /// How many bytes of long values may still be generated, so that no input takes long.
    budget: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            rest: data,
            budget: 128 * 1024,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns all remaining bytes.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        let low = usize::from(self.byte());
        let number = if limit > 256 {
            low << 8 | usize::from(self.byte())
        } else {
            low
        };
        number % limit
    }

    pub(super) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Returns a number, usually a small one.
    pub(super) fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=0xF7 => small.into(),
            long => {
                let mut number = [0; 8];
                let bytes = self.take(usize::from(long & 7) + 1);
                number[..bytes.len()].copy_from_slice(bytes);
                u64::from_le_bytes(number)
            }
        }
    }

    pub(super) fn hash_key(&mut self) -> u128 {
        match self.byte() {
            0 => 0,
            1 => u128::MAX,
            2 => 1 << 127,
            3 => (1 << 127) - 1,
            small @ 4..=0x7F => small.into(),
            0x80..=0xBF => u128::from(self.number()) << 64,
            _ => {
                let mut number = [0; 16];
                let bytes = self.take(16);
                number[..bytes.len()].copy_from_slice(bytes);
                u128::from_be_bytes(number)
            }
        }
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Returns bytes as they are in the input.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let len = self.number().min(0xFFFF) as usize;
        self.take(len)
    }

    /// Returns all remaining bytes, or some of them.
    pub(super) fn rest_or_bytes(&mut self) -> &'a [u8] {
        if self.flag() { self.rest() } else { self.bytes() }
    }

    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// Returns one of these lengths, as long as the budget allows.
    fn long(&mut self, lengths: &[usize]) -> usize {
        let len = self.choose(lengths);
        match self.budget.checked_sub(len) {
            Some(left) => {
                self.budget = left;
                len
            }
            None => 0,
        }
    }

    /// Returns a partition key, or a string that is too long to be one, or too short.
    pub(super) fn key(&mut self) -> String {
        const OFTEN: &[&str] = &["a", "b", "abc", "7", "10", "007", "-1", "__proto__", "é", "\0"];
        match self.byte() {
            often @ 0..=0x5F => OFTEN[usize::from(often) % OFTEN.len()].into(),
            0x60..=0xDF => self.text(),
            0xE0..=0xEF => format!("key {}", self.number()),
            _ => {
                let character = self.choose(&["x", "é", "𝒳"]);
                character.repeat(self.long(&[1, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300]))
            }
        }
    }

    /// Data: any bytes, long ones of one byte, or some that look like an aggregate.
    pub(super) fn data(&mut self) -> Vec<u8> {
        match self.byte() {
            0..=0xBF => self.bytes().to_vec(),
            0xC0..=0xDF => {
                let byte = self.byte();
                vec![
                    byte;
                    self.long(&[
                        1, 105, 127, 128, 129, 300, 2_000, 16_350, 16_383, 16_384, 16_500, 60_000
                    ])
                ]
            }
            0xE0..=0xE7 => [&bytes::MAGIC, self.bytes()].concat(),
            0xE8..=0xEF => bytes::sealed(self.bytes()),
            _ => bytes::aggregate_of(&[bytes::key("inner"), bytes::record(0, self.bytes())]),
        }
    }

    /// Returns a user record. Its partition key may be one that no aggregator accepts.
    pub(super) fn record(&mut self) -> RawRecord {
        let has = self.byte();
        let mut record = RawRecord::new(self.key(), self.data());
        if has & 1 == 1 {
            record.explicit_hash_key = Some(HashKey::new(self.hash_key()));
        }
        if has & 0b1110 == 0b1110 {
            for _ in 0..=self.below(3) {
                let (key, value) = (self.text(), self.flag().then(|| self.text()));
                record.tags.push(&key, value.as_deref());
            }
        }
        record
    }

    /// Returns the string of an explicit hash key as some writer may have put it into a table.
    fn number_text(&mut self) -> String {
        match self.byte() {
            0..=0x7F => self.hash_key().to_string(),
            0x80..=0x8F => format!("{:0>1$}", self.hash_key(), self.below(300)),
            0x90..=0x9F => format!("{}{}", self.choose(&["+", "-", " ", "0x", "--"]), self.hash_key()),
            0xA0..=0xAF => format!("-{}", "0".repeat(self.below(4))),
            0xB0..=0xBF => "340282366920938463463374607431768211456".into(),
            _ => self.text(),
        }
    }

    /// The protobuf bytes of an aggregate: often good ones, in any order, and written unusually now and then.
    pub(super) fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        for _ in 0..self.below(24) {
            let field = match self.byte() {
                0..=0x2F => bytes::key(&self.key()),
                0x30..=0x4F => bytes::hash_key(&self.number_text()),
                0x50..=0xBF => self.body_record(),
                0xC0..=0xCF => self.unknown_field(6),
                0xD0..=0xDF => bytes::bytes_field(self.number() % 6, self.bytes()),
                0xE0..=0xEF => bytes::varint_field(self.number() % 6, self.number()),
                _ => self.bytes().to_vec(),
            };
            body.extend(field);
        }
        body
    }

    fn body_record(&mut self) -> Vec<u8> {
        let shape = self.byte();
        let index = bytes::varint_field(1, self.number() % 9);
        let data = bytes::bytes_field(3, self.bytes());
        let mut fields = match shape & 7 {
            0..=2 => vec![index, data],
            3 => vec![index, bytes::varint_field(2, self.number() % 5), data],
            4 => vec![
                data,
                bytes::varint_field(2, self.number()),
                bytes::varint_field(1, self.number()),
            ],
            5 => vec![index, data, bytes::bytes_field(3, self.bytes())],
            6 => vec![index],
            _ => vec![data],
        };
        if shape & 0x10 == 0x10 {
            for _ in 0..self.below(4) {
                let field = match self.byte() {
                    0..=0x7F => {
                        let tag = [bytes::bytes_field(1, self.bytes()), bytes::bytes_field(2, self.bytes())];
                        bytes::bytes_field(4, tag.concat())
                    }
                    0x80..=0x9F => bytes::bytes_field(4, self.bytes()),
                    0xA0..=0xBF => self.unknown_field(4),
                    0xC0..=0xCF => self.bytes().to_vec(),
                    0xD0..=0xD7 => bytes::bytes_field(3, self.bytes()),
                    0xD8..=0xDF => bytes::varint_field(2, self.number()),
                    _ => {
                        let len = self.below(12);
                        [&[0x08][..], &bytes::padded_varint(self.number(), len)].concat()
                    }
                };
                let place = self.below(fields.len() + 1);
                fields.insert(place, field);
            }
        }
        bytes::record_of(&fields)
    }

    fn unknown_field(&mut self, depth: usize) -> Vec<u8> {
        let number = 4 + self.number() % (1 << 30);
        match self.byte() {
            0..=0x3F => bytes::varint_field(number, self.number()),
            0x40..=0x7F => bytes::bytes_field(number, self.bytes()),
            0x80..=0x9F => [&bytes::field_key(number, 1)[..], &self.number().to_le_bytes()].concat(),
            0xA0..=0xBF => [&bytes::field_key(number, 5)[..], self.take(4)].concat(),
            0xC0..=0xCF => (0..96 + self.below(8)).fold(Vec::new(), |inner, _| bytes::group(number, inner)),
            _ if depth == 0 => Vec::new(),
            _ => bytes::group(number, self.unknown_field(depth - 1)),
        }
    }

    /// Returns the data of a Kinesis record of any kind.
    pub(super) fn kinesis_data(&mut self) -> Vec<u8> {
        match self.byte() {
            0..=0x1F => self.bytes().to_vec(),
            0x20..=0x3F => [&bytes::MAGIC, self.bytes()].concat(),
            0x40..=0x5F => bytes::sealed(self.bytes()),
            0x60..=0xBF => bytes::sealed(self.body()),
            _ => {
                let mut data = bytes::sealed(self.body());
                for _ in 0..=self.below(3) {
                    let place = self.below(data.len().max(1));
                    match self.byte() {
                        0..=0x7F if place < data.len() => data[place] ^= self.byte(),
                        0x80..=0xBF => data.truncate(place),
                        _ => data.insert(place.min(data.len()), self.byte()),
                    }
                }
                data
            }
        }
    }

    /// Returns the string of a sequence number, or one that is not a valid sequence number.
    fn sequence_number(&mut self, count: u64) -> Option<String> {
        match self.byte() {
            0..=0xCF => Some((count * 3).to_string()),
            0xD0..=0xDF => Some(format!("{:0>1$}", count * 3, self.below(64))),
            0xE0..=0xE7 => Some(format!("{}{:020}", self.number(), self.number())),
            0xE8..=0xEF => Some(self.text()),
            _ => None,
        }
    }

    /// Returns Kinesis records of any kind.
    pub(super) fn batch(&mut self) -> Vec<Owned> {
        let mut batch: Vec<Owned> = Vec::new();
        while !self.is_empty() && batch.len() < 100 {
            let shape = self.byte();
            let data = match batch.last() {
                Some(last) if shape & 0xF0 == 0xF0 => last.data.clone(),
                _ => self.kinesis_data(),
            };
            batch.push(Owned {
                data,
                partition_key: (shape & 0xC != 0xC).then(|| if shape & 2 == 2 { self.key() } else { "outer".into() }),
                sequence_number: self.sequence_number(batch.len() as u64),
            });
        }
        batch
    }
}

/// A Kinesis record that owns its parts.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) data: Vec<u8>,
    pub(super) partition_key: Option<String>,
    pub(super) sequence_number: Option<String>,
}

impl Owned {
    pub(super) fn record(&self) -> kpl::KinesisRecord<'_> {
        let mut record = kpl::KinesisRecord::new(&self.data);
        record.partition_key = self.partition_key.as_deref();
        record.sequence_number = self.sequence_number.as_deref();
        record
    }
}
