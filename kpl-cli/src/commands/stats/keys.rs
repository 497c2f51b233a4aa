//! The most frequent keys, counted in bounded memory.

use std::collections::HashMap;

/// Counts keys: exactly, as long as there are at most [`LIMIT`](Self::LIMIT) different ones.
///
/// Beyond that, whenever twice as many are held, the same number is subtracted from every count, and keys whose count
/// reaches 0 are forgotten (the algorithm of Misra and Gries). So a count is too low by at most the sum of what was
/// subtracted.
#[derive(Debug, Default)]
pub(super) struct Keys {
    counts: HashMap<Box<str>, u64>,
    subtracted: u64,
}

impl Keys {
    /// How many different keys are counted exactly.
    pub(super) const LIMIT: usize = 10_000;

    /// Longer keys are cut off after this many characters: the service does not accept longer ones.
    const CHARACTERS: usize = 256;

    pub(super) fn add(&mut self, key: &str) {
        let end = key
            .char_indices()
            .nth(Self::CHARACTERS)
            .map_or(key.len(), |(end, _)| end);
        let key = key.get(..end).unwrap_or(key);
        if let Some(count) = self.counts.get_mut(key) {
            *count += 1;
            return;
        }
        if self.counts.len() >= 2 * Self::LIMIT {
            self.subtract();
        }
        self.counts.insert(key.into(), 1);
    }

    fn subtract(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let (_, &mut middle, _) = counts.select_nth_unstable_by(Self::LIMIT, |one, other| other.cmp(one));
        self.subtracted += middle;
        self.counts.retain(|_, count| {
            *count -= middle.min(*count);
            *count > 0
        });
    }

    /// Returns how many different keys there are, or `None` if there are too many to count.
    pub(super) fn different(&self) -> Option<usize> {
        (self.subtracted == 0).then_some(self.counts.len())
    }

    /// Returns by how much a count may be too low.
    pub(super) fn error(&self) -> u64 {
        self.subtracted
    }

    /// Returns the most frequent keys, the most frequent first.
    pub(super) fn top(&self, count: usize) -> Vec<(&str, u64)> {
        let mut keys: Vec<(&str, u64)> = self.counts.iter().map(|(key, &count)| (&**key, count)).collect();
        keys.sort_unstable_by(|(key, count), (other_key, other)| other.cmp(count).then(key.cmp(other_key)));
        keys.truncate(count);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut keys = Keys::default();
        for number in 0..30_000_usize {
            keys.add(&format!("key {}", number % Keys::LIMIT));
        }
        keys.add("key 7");
        assert_eq!(keys.different(), Some(Keys::LIMIT));
        assert_eq!(keys.error(), 0);
        assert_eq!(keys.top(2), [("key 7", 4), ("key 0", 3)]);
    }

    #[test]
    fn many_keys_are_counted_within_the_stated_error() {
        let mut keys = Keys::default();
        let total = 200_000_u64;
        for number in 0..total {
            keys.add(&format!("rare {number}"));
            if number % 10 == 0 {
                keys.add("frequent");
            }
        }
        assert_eq!(keys.different(), None);
        assert!(keys.counts.len() <= 2 * Keys::LIMIT);
        let (key, count) = keys.top(1)[0];
        assert_eq!(key, "frequent");
        assert!(
            count <= total / 10 && count + keys.error() >= total / 10,
            "{count} and {}",
            keys.error()
        );
        assert!(keys.error() < total / 100);
    }

    #[test]
    fn keys_of_any_length_take_bounded_memory() {
        let mut keys = Keys::default();
        keys.add(&"é".repeat(100_000));
        assert_eq!(keys.top(1)[0].0.chars().count(), 256);
    }
}
