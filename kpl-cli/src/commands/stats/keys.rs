//! The most frequent keys and those with the most bytes, counted in bounded memory.

use std::collections::HashMap;

use kpl_core::HashKey;

/// Counts the user records and the bytes of keys: exactly, as long as there are at most [`EXACT`](Self::EXACT) different ones.
///
/// If there are more, the same number is subtracted from all counts of user records, another one from all sums of bytes, and
/// keys of which neither is left are forgotten (the algorithm of Misra and Gries, once for each of the two). So a count is too
/// low by at most the sum of what was subtracted.
#[derive(Debug, Default)]
pub(super) struct Keys {
    held: HashMap<Box<str>, Held>,
    subtracted: Count,
}

/// User records and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) user_records: u64,
    pub(super) bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    count: Count,
    explicit_hash_key: Option<HashKey>,
    /// Whether user records of this key have other explicit hash keys as well, or none.
    has_others: bool,
}

/// One of the most frequent keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'k> {
    pub(super) key: &'k str,
    pub(super) count: Count,
    /// The hash key of its user records, or `None` if they have several.
    pub(super) hash_key: Option<HashKey>,
}

impl Keys {
    /// How many different keys are counted exactly.
    pub(super) const EXACT: usize = 20_000;

    /// How many keys stay at most, of those with the most user records and of those with the most bytes, when others are
    /// forgotten.
    const KEPT: usize = Self::EXACT / 4;

    /// Longer keys are cut off after this many characters: the service does not accept longer ones.
    const CHARACTERS: usize = 256;

    /// Counts a user record with this many bytes.
    pub(super) fn add(&mut self, key: &str, explicit_hash_key: Option<HashKey>, bytes: u64) {
        let end = key
            .char_indices()
            .nth(Self::CHARACTERS)
            .map_or(key.len(), |(end, _)| end);
        let key = key.get(..end).unwrap_or(key);
        if let Some(held) = self.held.get_mut(key) {
            held.count.user_records += 1;
            held.count.bytes += bytes;
            held.has_others |= held.explicit_hash_key != explicit_hash_key;
            return;
        }
        if self.held.len() >= Self::EXACT {
            self.subtract();
        }
        let held = Held {
            count: Count { user_records: 1, bytes },
            explicit_hash_key,
            has_others: false,
        };
        self.held.insert(key.into(), held);
    }

    fn subtract(&mut self) {
        let middle = |number: fn(&Count) -> u64| {
            let mut numbers: Vec<u64> = self.held.values().map(|held| number(&held.count)).collect();
            let (_, &mut middle, _) = numbers.select_nth_unstable_by(Self::KEPT, |one, other| other.cmp(one));
            middle
        };
        let middle = Count {
            user_records: middle(|count| count.user_records),
            bytes: middle(|count| count.bytes),
        };
        self.subtracted.user_records += middle.user_records;
        self.subtracted.bytes += middle.bytes;
        self.held.retain(|_, Held { count, .. }| {
            count.user_records = count.user_records.saturating_sub(middle.user_records);
            count.bytes = count.bytes.saturating_sub(middle.bytes);
            *count != Count::default()
        });
    }

    /// Returns how many different keys there are, or `None` if there are too many to count.
    pub(super) fn different(&self) -> Option<usize> {
        (self.subtracted == Count::default()).then_some(self.held.len())
    }

    /// Returns by how much a count may be too low.
    pub(super) fn error(&self) -> Count {
        self.subtracted
    }

    /// Returns the keys with the most user records, the most frequent first.
    pub(super) fn most_frequent(&self, count: usize) -> Vec<Key<'_>> {
        self.top(count, |count| count.user_records)
    }

    /// Returns the keys with the most bytes, the largest first.
    pub(super) fn largest(&self, count: usize) -> Vec<Key<'_>> {
        self.top(count, |count| count.bytes)
    }

    fn top(&self, count: usize, number: impl Fn(&Count) -> u64) -> Vec<Key<'_>> {
        let keys = self.held.iter().map(|(key, held)| Key {
            key,
            count: held.count,
            hash_key: (!held.has_others).then(|| HashKey::effective(key, held.explicit_hash_key)),
        });
        let mut keys: Vec<_> = keys.collect();
        keys.sort_unstable_by(|one, other| {
            let order = number(&other.count).cmp(&number(&one.count));
            order.then(one.key.cmp(other.key))
        });
        keys.truncate(count);
        keys
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn add(keys: &mut Keys, key: &str, bytes: u64) {
        keys.add(key, None, bytes);
    }

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut keys = Keys::default();
        for number in 0..3 * Keys::EXACT {
            add(&mut keys, &format!("key {}", number % Keys::EXACT), 2);
        }
        add(&mut keys, "key 7", 3);
        add(&mut keys, "key 9", 0);
        assert_eq!(keys.different(), Some(Keys::EXACT));
        assert_eq!(keys.error(), Count::default());
        let top: Vec<_> = keys
            .most_frequent(3)
            .iter()
            .map(|key| (key.key, key.count.user_records))
            .collect();
        assert_eq!(top, [("key 7", 4), ("key 9", 4), ("key 0", 3)]);
        let top: Vec<_> = keys.largest(2).iter().map(|key| (key.key, key.count.bytes)).collect();
        assert_eq!(top, [("key 7", 9), ("key 0", 6)]);
    }

    #[test]
    fn a_key_may_have_several_hash_keys() {
        let mut keys = Keys::default();
        for (key, hash_key) in [
            ("one", Some(1)),
            ("one", Some(1)),
            ("three", None),
            ("two", Some(1)),
            ("two", Some(2)),
        ] {
            keys.add(key, hash_key.map(HashKey::new), 1);
        }
        let hash_keys: Vec<_> = keys.most_frequent(3).iter().map(|key| key.hash_key).collect();
        assert_eq!(
            hash_keys,
            [Some(HashKey::new(1)), None, Some(HashKey::of_partition_key("three"))]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// Keys that come once, keys that come often and keys that are large, mixed: never more memory, and every count is at
        /// most too low by what is stated, which is small.
        #[test]
        fn many_keys_are_counted_within_the_stated_error(
            frequent in 1_u64..60, large in 1_u64..5_000, rare in 30_000_u64..90_000, seed in any::<u64>(),
        ) {
            let (mut keys, mut exact) = (Keys::default(), HashMap::<String, Count>::new());
            let mut whole = Count::default();
            for number in 0..rare {
                let mixed = (number ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
                let mut one = |key: String, bytes: u64| {
                    add(&mut keys, &key, bytes);
                    for count in [exact.entry(key).or_default(), &mut whole] {
                        count.user_records += 1;
                        count.bytes += bytes;
                    }
                };
                one(format!("rare {number}"), mixed % 50);
                if mixed % 100 < frequent {
                    one(format!("frequent {}", mixed % 3), 1);
                }
                if mixed.is_multiple_of(1_000) {
                    one("large".into(), large * 100);
                }
            }
            prop_assert!(keys.held.len() <= Keys::EXACT);
            prop_assert_eq!(keys.different(), None);
            let error = keys.error();
            prop_assert!(error.user_records <= whole.user_records / Keys::KEPT as u64);
            prop_assert!(error.bytes <= whole.bytes / Keys::KEPT as u64);
            for (key, held) in &keys.held {
                let exact = exact[&**key];
                prop_assert!(held.count.user_records <= exact.user_records && held.count.bytes <= exact.bytes);
            }
            for (key, exact) in exact {
                let held = keys.held.get(&*key).map_or(Count::default(), |held| held.count);
                prop_assert!(held.user_records + error.user_records >= exact.user_records, "{}", key);
                prop_assert!(held.bytes + error.bytes >= exact.bytes, "{}", key);
            }
        }
    }

    #[test]
    fn keys_of_any_length_take_bounded_memory() {
        let mut keys = Keys::default();
        add(&mut keys, &"é".repeat(100_000), 1);
        assert_eq!(keys.most_frequent(1)[0].key.chars().count(), 256);
    }
}
