//! The tables of keys that user records refer to.

use alloc::vec::Vec;

/// How many keys at the start of a table are kept as texts, which are found in the fewest steps. Usual tables are smaller.
const FIRST: usize = 1 << 16;

/// The other keys are kept as texts only if they are longer than this: shorter ones take less time to check again when a
/// record refers to them than the memory for the text takes.
const SHORT: usize = 7;

/// Marks a place in the list of texts, beside those in the body.
const KEPT: u32 = 1 << 31;

/// Bodies below this length have places of 27 bits, which leaves 4 bits for the length of a key.
const MOST: usize = 1 << 27;

/// The keys of a table, in their order.
///
/// A text takes 16 bytes of memory, and a key without characters takes 2 bytes of an aggregate, which may have millions of them.
/// Writing so much memory takes several times as long as reading the aggregate, so in a large table a short key takes 4 bytes, and
/// one without characters only its part of a [`Block`].
#[derive(Clone, Default)]
pub(crate) struct Keys<'a> {
    body: &'a [u8],
    /// How many keys have the same index here and in the texts.
    first: usize,
    texts: Vec<&'a str>,
    /// How many other keys there are.
    others: usize,
    /// Which of them have a place.
    blocks: Vec<Block>,
    /// Where each other key that has characters is: in the texts, or in the body.
    places: Vec<u32>,
}

/// Some of the keys, as many as there are bits in a number.
#[derive(Clone, Copy)]
struct Block {
    /// How many places come before those of these keys.
    before: u32,
    /// A bit for each of these keys, which is set if the key has a place.
    placed: u32,
}

/// Where a key is.
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    /// In [`Keys::texts`] at this index, if it is there.
    Kept(usize),
    /// Only in the body. It has few characters.
    Short(&'a str),
}

impl<'a> Keys<'a> {
    /// Removes all keys, to hold those of another body.
    pub(super) fn clear(&mut self, body: &'a [u8]) {
        self.body = body;
        self.first = if body.len() < MOST { FIRST } else { usize::MAX };
        self.texts.clear();
        self.others = 0;
        self.blocks.clear();
        self.places.clear();
    }

    /// Adds a key, which is in the body in front of `rest`.
    #[inline]
    pub(super) fn push(&mut self, key: &'a str, rest: &[u8]) {
        if self.texts.len() < self.first {
            self.texts.push(key);
        } else {
            self.push_other(key, self.body.len() - rest.len() - key.len());
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the body is shorter than MOST")]
    fn push_other(&mut self, key: &'a str, start: usize) {
        let bit = self.others % u32::BITS as usize;
        if bit == 0 {
            self.blocks.push(Block {
                before: self.places.len() as u32,
                placed: 0,
            });
        }
        self.others += 1;
        if key.is_empty() {
            return;
        }
        if let Some(block) = self.blocks.last_mut() {
            block.placed |= 1 << bit;
        }
        if key.len() <= SHORT {
            self.places.push((start << 4 | key.len()) as u32);
        } else {
            self.places.push(KEPT | self.texts.len() as u32);
            self.texts.push(key);
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.texts.len().min(self.first) + self.others
    }

    /// Returns the keys that are kept as texts: nearly always all.
    pub(crate) fn texts(&self) -> &[&'a str] {
        &self.texts
    }

    /// Returns the key with this index.
    #[inline]
    pub(crate) fn get(&self, index: u64) -> Option<&'a str> {
        match self.find(index)? {
            Found::Kept(place) => self.texts.get(place).copied(),
            Found::Short(key) => Some(key),
        }
    }

    /// Returns where the key with this index is.
    #[inline]
    pub(crate) fn find(&self, index: u64) -> Option<Found<'a>> {
        let index = usize::try_from(index).ok()?;
        if index < self.first {
            return Some(Found::Kept(index));
        }
        self.find_other(index - self.first)
    }

    #[cold]
    fn find_other(&self, other: usize) -> Option<Found<'a>> {
        if other >= self.others {
            return None;
        }
        let block = self.blocks.get(other / u32::BITS as usize)?;
        let bit = 1 << (other % u32::BITS as usize);
        if block.placed & bit == 0 {
            return Some(Found::Short(""));
        }
        let earlier = (block.placed & (bit - 1)).count_ones();
        let place = *self.places.get((block.before + earlier) as usize)?;
        if place & KEPT != 0 {
            return Some(Found::Kept((place & !KEPT) as usize));
        }
        let (start, len) = ((place >> 4) as usize, (place & 0xF) as usize);
        let key = self.body.get(start..start + len)?;
        Some(Found::Short(core::str::from_utf8(key).ok()?))
    }

    /// Returns all keys as texts.
    pub(super) fn into_texts(self) -> Vec<&'a str> {
        if self.others == 0 {
            return self.texts;
        }
        let mut texts = Vec::with_capacity(self.len());
        texts.extend((0..self.len() as u64).filter_map(|index| self.get(index)));
        texts
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    /// Returns a table of this many keys, of 0 to 17 bytes, and the keys.
    fn table(body: &mut String, count: usize) -> (Keys<'_>, Vec<&str>) {
        let mut ends = Vec::new();
        for number in 0..count {
            let key = format!("é{number}");
            body.push_str(&key[..0]);
            body.push_str(&key.repeat(number % 3));
            ends.push(body.len());
        }
        let mut table = Keys::default();
        table.clear(body.as_bytes());
        let mut start = 0;
        let mut keys = Vec::new();
        for end in ends {
            let (key, rest) = (&body[start..end], &body.as_bytes()[end..]);
            table.push(key, rest);
            keys.push(key);
            start = end;
        }
        (table, keys)
    }

    #[test]
    fn every_key_is_found_whatever_the_size_of_the_table() {
        for count in [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + 1000] {
            let mut body = String::new();
            let (table, keys) = table(&mut body, count);
            assert_eq!(table.len(), count);
            assert!(
                keys.iter()
                    .enumerate()
                    .all(|(index, key)| table.get(index as u64) == Some(*key))
            );
            for beyond in [count as u64, count as u64 + 1, u64::from(u32::MAX), u64::MAX] {
                assert_eq!(table.get(beyond), None);
            }
            assert_eq!(table.into_texts(), keys);
        }
    }

    #[test]
    fn in_a_large_table_few_short_keys_are_texts() {
        let mut body = String::new();
        let (table, keys) = table(&mut body, FIRST + 999);
        let long = keys[FIRST..].iter().filter(|key| key.len() > SHORT).count();
        assert!(long > 0 && long < 999);
        assert_eq!(table.texts().len(), FIRST + long);
    }
}
