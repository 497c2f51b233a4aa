//! Which records have an outcome.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of record numbers, as ranges. In a log it grows from below: few ranges are enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Start and end of ranges that neither overlap nor touch.
    ranges: BTreeMap<u64, u64>,
}

impl Numbers {
    /// Adds a range.
    pub(crate) fn add(&mut self, mut range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        if let Some((&start, &end)) = self.ranges.range(..=range.start).next_back()
            && end >= range.start
        {
            range = start..end.max(range.end);
        }
        while let Some((&start, &end)) = self.ranges.range(range.start..=range.end).next() {
            self.ranges.remove(&start);
            range.end = range.end.max(end);
        }
        self.ranges.insert(range.start, range.end);
    }

    /// Returns the end of the range that a number is in.
    pub(crate) fn end_of(&self, number: u64) -> Option<u64> {
        let (_, &end) = self.ranges.range(..=number).next_back()?;
        (number < end).then_some(end)
    }

    /// Returns whether a number is in the set.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.end_of(number).is_some()
    }

    /// Returns how many of the numbers of a range are in the set.
    pub(crate) fn count_in(&self, range: &Range<u64>) -> u64 {
        let before = self.ranges.range(..=range.start).next_back();
        let within = self
            .ranges
            .range(range.start.saturating_add(1)..range.end.max(range.start.saturating_add(1)));
        before
            .into_iter()
            .chain(within)
            .map(|(&start, &end)| end.min(range.end).saturating_sub(start.max(range.start)))
            .sum()
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(ranges in proptest::collection::vec((0u64..60, 0u64..12), 0..12), asked in (0u64..70, 0u64..30)) {
            let (mut numbers, mut model) = (Numbers::default(), BTreeSet::new());
            for (start, count) in ranges {
                numbers.add(start..start + count);
                model.extend(start..start + count);
            }
            let asked = asked.0..asked.0 + asked.1;
            prop_assert_eq!(numbers.count_in(&asked), model.range(asked).count() as u64);
            prop_assert!((0..100).all(|number| numbers.contains(number) == model.contains(&number)));
            let listed: Vec<_> = numbers.iter().collect();
            prop_assert!(listed.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert!(listed.into_iter().flatten().eq(model));
        }
    }
}
