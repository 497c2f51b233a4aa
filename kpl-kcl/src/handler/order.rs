//! Which records of a delivery are handled next.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;

use kpl_handler::Concurrency;

use crate::protocol::Delivery;

/// The records that were not started, and what they wait for.
pub(super) enum Order {
    /// They start in order, `per_call` of them with each call.
    InTurn { left: Range<usize>, per_call: usize },
    /// The records of a partition key one after another.
    ByPartitionKey {
        lanes: Vec<VecDeque<usize>>,
        /// The lanes that have records and no call, by their first record.
        ready: BTreeSet<(usize, usize)>,
    },
}

/// Records that a call is made with.
pub(super) struct Turn {
    pub(super) records: Range<usize>,
    lane: usize,
}

impl Order {
    pub(super) fn new(delivery: &Delivery<'_>, concurrency: Concurrency, per_call: usize) -> Self {
        let Concurrency::ByPartitionKey(_) = concurrency else {
            let left = 0..delivery.len();
            return Self::InTurn { left, per_call };
        };
        let mut lanes = Vec::<VecDeque<usize>>::new();
        let mut lane_of = HashMap::new();
        for (index, record) in delivery.iter().enumerate() {
            let lane = *lane_of.entry(record.partition_key).or_insert(lanes.len());
            match lanes.get_mut(lane) {
                Some(lane) => lane.push_back(index),
                None => lanes.push(VecDeque::from([index])),
            }
        }
        let firsts = lanes.iter().enumerate();
        let ready = firsts
            .filter_map(|(lane, records)| Some((*records.front()?, lane)))
            .collect();
        Self::ByPartitionKey { lanes, ready }
    }

    /// Returns how many calls can be under way at a time, at most.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::InTurn { left, per_call } => left.len().div_ceil(*per_call),
            Self::ByPartitionKey { ready, .. } => ready.len(),
        }
    }

    /// Returns the first records that may start. None of them has an index of `end` or more.
    pub(super) fn next(&mut self, end: usize) -> Option<Turn> {
        match self {
            Self::InTurn { left, per_call } => {
                let first = left.start;
                let last = left.end.min(end).min(first.saturating_add(*per_call));
                if first >= last {
                    return None;
                }
                left.start = last;
                let records = first..last;
                Some(Turn { records, lane: 0 })
            }
            Self::ByPartitionKey { lanes, ready } => {
                let (index, lane) = *ready.first().filter(|(index, _)| *index < end)?;
                ready.pop_first();
                lanes.get_mut(lane)?.pop_front();
                let records = index..index + 1;
                Some(Turn { records, lane })
            }
        }
    }

    /// Notes that the call of a turn has ended.
    pub(super) fn ended(&mut self, turn: &Turn) {
        if let Self::ByPartitionKey { lanes, ready } = self
            && let Some(next) = lanes.get(turn.lane).and_then(VecDeque::front)
        {
            ready.insert((*next, turn.lane));
        }
    }
}
