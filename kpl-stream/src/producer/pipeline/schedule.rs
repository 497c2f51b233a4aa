//! When each of a row of things wants attention: the earliest is found without looking at the others.

use std::collections::BTreeSet;
use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Schedule {
    times: Vec<Option<Instant>>,
    by_time: BTreeSet<(Instant, usize)>,
}

impl Schedule {
    /// Sets when the thing at this index wants attention, or that it wants none.
    pub(super) fn set(&mut self, index: usize, at: Option<Instant>) {
        if index >= self.times.len() {
            self.times.resize(index + 1, None);
        }
        let Some(time) = self.times.get_mut(index) else { return };
        if *time == at {
            return;
        }
        if let Some(before) = std::mem::replace(time, at) {
            self.by_time.remove(&(before, index));
        }
        if let Some(at) = at {
            self.by_time.insert((at, index));
        }
    }

    /// Returns the earliest time, and the index.
    pub(super) fn first(&self) -> Option<(Instant, usize)> {
        self.by_time.first().copied()
    }

    /// Returns the indexes that want attention at this time, the earliest first.
    pub(super) fn due(&self, now: Instant) -> impl Iterator<Item = usize> {
        self.by_time.range(..=(now, usize::MAX)).map(|(_, index)| *index)
    }

    /// Returns the indexes that want attention at any time, the earliest first.
    pub(super) fn all(&self) -> impl Iterator<Item = usize> {
        self.by_time.iter().map(|(_, index)| *index)
    }

    /// Returns the indexes that want attention after this time.
    pub(super) fn later(&self, now: Instant) -> impl Iterator<Item = usize> {
        let after = self.by_time.range((now, usize::MAX)..);
        after.filter(move |(at, _)| *at > now).map(|(_, index)| *index)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_is_first_and_times_change() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::default();
        for (index, seconds) in [(3, 5), (0, 7), (9, 1)] {
            schedule.set(index, Some(at(seconds)));
        }
        assert_eq!(schedule.first(), Some((at(1), 9)));
        schedule.set(9, Some(at(6)));
        assert_eq!(schedule.due(at(6)).collect::<Vec<_>>(), [3, 9]);
        assert_eq!(schedule.later(at(6)).collect::<Vec<_>>(), [0]);
        assert_eq!(schedule.all().collect::<Vec<_>>(), [3, 9, 0]);
        schedule.set(3, None);
        assert_eq!(schedule.due(at(9)).collect::<Vec<_>>(), [9, 0]);
    }
}
