//! A stream whose shards have numbered records, and who has handled how many of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use kpl_core::{HashKey, HashKeyRange};
use kpl_stream::client::ShardDescription;

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) parents: Vec<Arc<str>>,
    pub(crate) children: Vec<Arc<str>>,
    range: (u128, u128),
    /// The records are numbered from 1 on.
    pub(crate) records: u64,
    /// All records up to this one were handled, or need not be.
    pub(crate) handled: u64,
    pub(crate) closed: bool,
}

impl Shard {
    pub(crate) fn is_done(&self) -> bool {
        self.closed && self.handled == self.records
    }
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) shards: BTreeMap<Arc<str>, Shard>,
}

impl Stream {
    pub(crate) fn new(shards: u128) -> Self {
        let mut stream = Self::default();
        let part = u128::MAX / shards;
        for n in 0..shards {
            let end = if n + 1 == shards { u128::MAX } else { (n + 1) * part - 1 };
            stream.add((n * part, end), Vec::new());
        }
        stream
    }

    fn add(&mut self, range: (u128, u128), parents: Vec<Arc<str>>) {
        let id: Arc<str> = format!("shardId-{:012}", self.shards.len()).into();
        for parent in &parents {
            let parent = self.shards.get_mut(parent).unwrap();
            parent.closed = true;
            parent.children.push(Arc::clone(&id));
        }
        let shard = Shard {
            parents,
            children: Vec::new(),
            range,
            records: 0,
            handled: 0,
            closed: false,
        };
        self.shards.insert(id, shard);
    }

    fn open(&self) -> Vec<Arc<str>> {
        let mut open: Vec<_> = self.shards.iter().filter(|(_, shard)| !shard.closed).collect();
        open.sort_by_key(|(_, shard)| shard.range);
        open.into_iter().map(|(id, _)| Arc::clone(id)).collect()
    }

    pub(crate) fn split(&mut self, rng: &mut Rng) {
        let open = self.open();
        let id = &open[rng.usize(..open.len())];
        let (start, end) = self.shards[id].range;
        let middle = start + (end - start) / 2;
        self.add((start, middle), vec![Arc::clone(id)]);
        self.add((middle + 1, end), vec![Arc::clone(id)]);
    }

    pub(crate) fn merge(&mut self, rng: &mut Rng) -> bool {
        let open = self.open();
        if open.len() < 2 {
            return false;
        }
        let at = rng.usize(..open.len() - 1);
        let parents = vec![Arc::clone(&open[at]), Arc::clone(&open[at + 1])];
        let range = (self.shards[&parents[0]].range.0, self.shards[&parents[1]].range.1);
        self.add(range, parents);
        true
    }

    pub(crate) fn put(&mut self, rng: &mut Rng) {
        for shard in self.shards.values_mut().filter(|shard| !shard.closed) {
            shard.records += rng.u64(..4);
        }
    }

    pub(crate) fn ancestors(&self, id: &str) -> Vec<Arc<str>> {
        let parents = &self.shards[id].parents;
        let further = parents.iter().flat_map(|parent| self.ancestors(parent));
        parents.iter().cloned().chain(further).collect()
    }

    pub(crate) fn describe(&self, id: &str) -> ShardDescription {
        let shard = &self.shards[id];
        let range = HashKeyRange::new(HashKey::new(shard.range.0), HashKey::new(shard.range.1)).unwrap();
        let described = ShardDescription::new(id, range).with_closed(shard.closed);
        let parents = shard.parents.iter();
        parents.fold(described, |described, parent| described.with_parent(&**parent))
    }

    pub(crate) fn list(&self) -> Vec<ShardDescription> {
        self.shards.keys().map(|id| self.describe(id)).collect()
    }
}
