//! The records that wait for their turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What is handled one after another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Everything.
    All,
    /// A record with this number.
    Record(u64),
    /// The records of a partition key, or those without one.
    PartitionKey(Option<String>),
    /// The records of a shard.
    Shard(Arc<str>),
}

/// Records that wait, by lane. A lane has at most one call at a time.
#[derive(Debug)]
pub(super) struct Lanes<R> {
    lanes: HashMap<Lane, Waiting<R>>,
    /// The lanes that have records and no call, the one that has waited longest first.
    ready: VecDeque<Lane>,
    /// How many records wait.
    len: usize,
}

#[derive(Debug)]
struct Waiting<R> {
    records: VecDeque<R>,
    is_running: bool,
}

impl<R> Lanes<R> {
    pub(super) fn new() -> Self {
        Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            len: 0,
        }
    }

    pub(super) fn push(&mut self, lane: Lane, record: R) {
        let waiting = self.lanes.entry(lane.clone()).or_insert_with(|| Waiting {
            records: VecDeque::new(),
            is_running: false,
        });
        if waiting.records.is_empty() && !waiting.is_running {
            self.ready.push_back(lane);
        }
        waiting.records.push_back(record);
        self.len += 1;
    }

    /// Returns up to `most` records of the first lane that has no call and that `may_start` accepts. The lane's
    /// next records wait until [`ended`](Self::ended).
    pub(super) fn take(&mut self, most: usize, may_start: impl Fn(&Lane) -> bool) -> Option<(Lane, Vec<R>)> {
        let index = self.ready.iter().position(may_start)?;
        let lane = self.ready.remove(index)?;
        let waiting = self.lanes.get_mut(&lane)?;
        waiting.is_running = true;
        let count = waiting.records.len().min(most);
        self.len -= count;
        Some((lane, waiting.records.drain(..count).collect()))
    }

    /// Notes that a lane's call has ended.
    pub(super) fn ended(&mut self, lane: Lane) {
        let Some(waiting) = self.lanes.get_mut(&lane) else {
            return;
        };
        waiting.is_running = false;
        if waiting.records.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.ready.push_back(lane);
        }
    }

    /// Returns how many records wait.
    pub(super) const fn len(&self) -> usize {
        self.len
    }
}
