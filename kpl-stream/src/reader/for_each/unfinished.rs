//! Which records were taken and are not finished: what is saved must not pass them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kpl_core::Position;

/// The records that were taken, from the first one of each shard on that is not finished.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    shards: BTreeMap<Arc<str>, Shard>,
    count: usize,
}

#[derive(Debug, Default)]
struct Shard {
    /// The number of the first of `records`. The first record of a shard has the number 0.
    first: u64,
    records: VecDeque<Record>,
    /// The position of the last record of which it and all before it are finished, until somebody asks for it.
    reached: Option<Position>,
}

#[derive(Debug)]
struct Record {
    position: Option<Position>,
    finished: bool,
}

/// A record that was taken.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    shard_id: Arc<str>,
    number: u64,
}

impl Unfinished {
    /// Notes that a record was taken. Those of a shard are taken in order.
    pub(super) fn add(&mut self, shard_id: &Arc<str>, position: Option<Position>) -> Ticket {
        let shard = self.shards.entry(Arc::clone(shard_id)).or_default();
        let number = shard.first + shard.records.len() as u64;
        shard.records.push_back(Record {
            position,
            finished: false,
        });
        self.count += 1;
        Ticket {
            shard_id: Arc::clone(shard_id),
            number,
        }
    }

    /// Notes that a record is finished. Returns how many records more can be saved now.
    pub(super) fn finish(&mut self, ticket: &Ticket) -> usize {
        let Some(shard) = self.shards.get_mut(&ticket.shard_id) else {
            return 0;
        };
        let index = ticket.number.checked_sub(shard.first);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(record) = index.and_then(|index| shard.records.get_mut(index)) {
            record.finished = true;
        }
        let mut more = 0;
        while let Some(record) = shard.records.pop_front_if(|record| record.finished) {
            shard.first += 1;
            shard.reached = record.position.or(shard.reached.take());
            more += 1;
        }
        self.count -= more;
        more
    }

    /// Returns how many records are not finished, or come after one of their shard that is not.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Returns whether some records of a shard are not finished.
    pub(super) fn has(&self, shard_id: &str) -> bool {
        self.shards.get(shard_id).is_some_and(|shard| !shard.records.is_empty())
    }

    /// Returns up to where each shard is finished, if that has changed since the last call.
    pub(super) fn take_reached(&mut self) -> impl Iterator<Item = (&str, Position)> {
        let shards = self.shards.iter_mut();
        shards.filter_map(|(id, shard)| Some((&**id, shard.reached.take()?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In whatever order the records of two shards are finished.
        #[test]
        fn what_is_reached_is_before_the_first_that_is_not_finished(
            order in Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut unfinished = Unfinished::default();
            let shards = ["a", "b"].map(Arc::<str>::from);
            let tickets: Vec<_> = (0..20)
                .map(|n| unfinished.add(&shards[n % 2], Position::new(&format!("{}", 10 + n / 2), 0).ok()))
                .collect();
            let mut finished = [[false; 10]; 2];
            let mut saved = [0; 2];
            for n in order {
                let more = unfinished.finish(&tickets[n]);
                finished[n % 2][n / 2] = true;
                for (id, position) in unfinished.take_reached() {
                    let index: usize = position.sequence_number.as_str().parse().unwrap();
                    saved[usize::from(id == "b")] = index - 9;
                }
                let expected = finished.map(|shard| shard.iter().take_while(|finished| **finished).count());
                prop_assert_eq!(saved, expected);
                prop_assert!(more <= expected[n % 2]);
                prop_assert_eq!(unfinished.count(), 20 - expected[0] - expected[1]);
                prop_assert_eq!(unfinished.has("a"), expected[0] < 10);
            }
            prop_assert!(!unfinished.has("b"));
        }
    }
}
