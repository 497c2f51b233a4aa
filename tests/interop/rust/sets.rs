//! The user records that everyone writes: always the same.

use super::exchange::{Set, UserRecord};
use super::peers::MIB;
use crate::support::bytes;

/// A generator of numbers (SplitMix64), so that the sets never change.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    pub(crate) fn hash_key(&mut self) -> u128 {
        match self.below(8) {
            0 => 0,
            1 => u128::MAX,
            2 => self.below(100) as u128,
            _ => u128::from(self.next()) << 64 | u128::from(self.next()),
        }
    }
}

const MULTI_BYTE: [&str; 8] = [
    "ключ",
    "キー",
    "Größe",
    "e\u{301}",
    "\u{1F980}",
    "\u{1F980}\u{1F980}b",
    "\u{10FFFF}",
    "\u{FEFF}a",
];
const NUMBER_LIKE: [&str; 14] = [
    "9",
    "10",
    "2",
    "7",
    "0",
    "007",
    "-1",
    "1.5",
    "1e3",
    "4294967294",
    "4294967295",
    "+5",
    " 1",
    "b",
];
const NAMES_OF_OBJECTS: [&str; 6] = [
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "toString",
    "valueOf",
    "plain",
];
const ODD_CHARACTERS: [&str; 7] = ["\0", "a\0b", "\n", " ", "\"", "\\", "\u{7F}"];

fn set(name: &str, count: usize, mut record: impl FnMut(usize) -> UserRecord) -> Set {
    Set {
        name: name.to_owned(),
        records: (0..count).map(&mut record).collect(),
    }
}

/// All sets: some 4,500 user records.
pub(crate) fn sets() -> Vec<Set> {
    let mut random = Random(5);
    let r = &mut random;
    let data = |r: &mut Random, most: usize| {
        let len = r.below(most + 1);
        r.bytes(len)
    };
    let mut sets = vec![
        set("plain keys", 400, |_| {
            UserRecord::new(format!("customer-{:04}", r.below(40)), data(r, 200))
        }),
        set("multi-byte keys", 200, |_| {
            let key = format!("{}{}", r.pick(&MULTI_BYTE), r.pick(&["", "", "x", "ß", "\u{1F9A5}"]));
            UserRecord::new(key, data(r, 40))
        }),
        set("keys of 1 to 256 characters", 256, |index| {
            UserRecord::new("k".repeat(index + 1), data(r, 20))
        }),
        set("keys of 1 to 256 multi-byte characters", 256, |index| {
            UserRecord::new(r.pick(&["é", "語", "\u{1F980}"]).repeat(index + 1), data(r, 20))
        }),
        set("number-like keys", 100, |_| {
            UserRecord::new(r.pick(&NUMBER_LIKE), data(r, 20))
        }),
        set("keys that JavaScript's objects have", 60, |_| {
            UserRecord::new(r.pick(&NAMES_OF_OBJECTS), data(r, 20))
        }),
        set("keys of odd characters", 60, |_| {
            UserRecord::new(r.pick(&ODD_CHARACTERS), data(r, 20))
        }),
        set("explicit hash keys", 200, |_| {
            UserRecord::new(format!("key-{}", r.below(20)), data(r, 40)).at(r.hash_key())
        }),
        set("mixed: the first without explicit hash key", 200, |index| {
            let record = UserRecord::new(format!("key-{}", r.below(20)), data(r, 40));
            if index == 0 || r.below(2) == 0 {
                record
            } else {
                record.at(r.hash_key())
            }
        }),
        set("mixed: the first with explicit hash key", 200, |index| {
            let record = UserRecord::new(format!("key-{}", r.below(20)), data(r, 40));
            if index > 0 && r.below(2) == 0 {
                record
            } else {
                record.at(r.hash_key())
            }
        }),
        set("empty data", 50, |index| {
            UserRecord::new(format!("key-{}", index % 3), "")
        }),
        set("many keys", 600, |index| {
            UserRecord::new(format!("device/{index}"), data(r, 10))
        }),
        set("one key", 600, |_| UserRecord::new("the only one", data(r, 100))),
        set("1 byte to 256 KiB", 38, |index| {
            // Twice as long each, and one byte to either side of it.
            let len = (1_usize << (index / 2)) - 1 + index % 2;
            UserRecord::new(format!("size-{}", index % 5), r.bytes(len.max(1)))
        }),
        set("long multi-byte keys", 1_200, |index| {
            UserRecord::new(format!("{index:04}{}", "\u{1F980}".repeat(252)), "x")
        }),
        set("aggregates as data", 3, |_| UserRecord::new("outer", aggregate())),
    ];
    sets.extend(lone(r));
    sets
}

/// Sets of one user record.
fn lone(r: &mut Random) -> Vec<Set> {
    let lone = |name: &str, record: UserRecord| Set {
        name: format!("lone: {name}"),
        records: vec![record],
    };
    let sized = |r: &mut Random, key: &str, size: usize| UserRecord::new(key, r.bytes(size - key.len()));
    vec![
        lone("empty data", UserRecord::new("a", "")),
        lone("1 byte", UserRecord::new("a", "x")),
        lone("number-like key", UserRecord::new("7", "x")),
        lone("multi-byte key", UserRecord::new("\u{1F980}", "x")),
        lone(
            "256 multi-byte characters",
            UserRecord::new("\u{1F980}".repeat(256), "x"),
        ),
        lone("explicit hash key", UserRecord::new("a", "x").at(7)),
        lone("the magic as data", UserRecord::new("a", bytes::MAGIC)),
        lone("an aggregate as data", UserRecord::new("a", aggregate())),
        lone("100 KiB", sized(r, "abc", 100 << 10)),
        // Of an aggregate around such a record, some count the frame of 20 bytes and some do not.
        lone("1 MiB when wrapped", sized(r, "abc", MIB - 40)),
        lone("10 bytes over 1 MiB when wrapped", sized(r, "abc", MIB - 27)),
        lone("1 MiB with its key", sized(r, "abc", MIB)),
    ]
}

/// A valid aggregate of two user records.
fn aggregate() -> Vec<u8> {
    bytes::aggregate_of(&[bytes::key("inner"), bytes::record(0, "one"), bytes::record(0, "two")])
}
