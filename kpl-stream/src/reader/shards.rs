//! Which shards are known, which of them may be read, and how far each of them was read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use kpl_core::Position;

use super::positions::ShardState;
use crate::client::ShardDescription;

#[derive(Debug, Default)]
pub(super) struct Shards {
    shards: BTreeMap<Arc<str>, Shard>,
    /// The saved states of shards that are not known yet: a list of shards can be older than what was saved.
    saved: BTreeMap<String, ShardState>,
}

#[derive(Debug)]
struct Shard {
    parents: Vec<String>,
    /// Whether a list of all shards had it: parents that are not known then have been forgotten by the service.
    /// Otherwise its sibling's end told of it, and a parent may be one that was not known so far.
    listed: bool,
    /// Where reading starts if no record of the shard was saved.
    from: ShardState,
    status: Status,
    /// When the latest request was made whose answer said that it had no more records.
    up_to_date: Option<Instant>,
    /// The last record that the consumer has.
    given: Option<Position>,
    /// The last record that the consumer is done with.
    done: Option<Position>,
    /// Whether its state may differ from what was saved last.
    changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Its parents are being read.
    Waiting,
    Reading,
    /// It was read to its end, and the consumer has all its records.
    Ended,
    /// It has ended, and the service no longer knows it.
    Gone,
}

impl Shards {
    pub(super) fn new(saved: BTreeMap<String, ShardState>) -> Self {
        Self {
            shards: BTreeMap::new(),
            saved,
        }
    }

    /// Adds a shard of a list of all shards, unless it is already known. It is read from where it was saved, or else
    /// from `start`.
    pub(super) fn add(&mut self, description: ShardDescription, start: ShardState) {
        self.insert(description, start).listed = true;
    }

    /// Adds the shards of a list that was made after others had been read: what is new came into being meanwhile, and
    /// is read from its first record.
    pub(super) fn add_listed(&mut self, descriptions: Vec<ShardDescription>) {
        for description in descriptions {
            self.add(description, ShardState::TrimHorizon);
        }
    }

    /// Adds the children of a shard that has ended.
    pub(super) fn add_children(&mut self, descriptions: Vec<ShardDescription>) {
        for description in descriptions {
            self.insert(description, ShardState::TrimHorizon);
        }
    }

    fn insert(&mut self, description: ShardDescription, start: ShardState) -> &mut Shard {
        let saved = self.saved.remove(&description.id);
        let changed = saved.is_none();
        let from = saved.unwrap_or(start);
        let status = match from {
            ShardState::Ended => Status::Ended,
            _ => Status::Waiting,
        };
        self.shards.entry(description.id.into()).or_insert(Shard {
            parents: description.parents,
            listed: false,
            from,
            status,
            up_to_date: None,
            given: None,
            done: None,
            changed,
        })
    }

    /// Returns the shards whose turn it is now, and where they start. Each is returned once.
    pub(super) fn take_ready(&mut self) -> Vec<(Arc<str>, ShardState)> {
        let waiting = self.shards.iter().filter(|(_, shard)| shard.status == Status::Waiting);
        let ready: Vec<_> = waiting
            .filter(|(_, shard)| shard.parents.iter().all(|parent| self.is_over(shard, parent)))
            .map(|(id, shard)| (Arc::clone(id), shard.from.clone()))
            .collect();
        for (id, _) in &ready {
            self.set_status(id, Status::Reading);
        }
        ready
    }

    /// Returns whether nothing more is to be read from a parent of this shard.
    fn is_over(&self, shard: &Shard, parent: &str) -> bool {
        match self.shards.get(parent) {
            Some(parent) => matches!(parent.status, Status::Ended | Status::Gone),
            None => shard.listed,
        }
    }

    /// Returns the known shards that a shard came from, directly or not.
    pub(super) fn ancestors(&self, id: &str) -> BTreeSet<&str> {
        let mut ancestors = BTreeSet::new();
        let mut descendants: Vec<&Shard> = self.shards.get(id).into_iter().collect();
        while let Some(shard) = descendants.pop() {
            for (parent, shard) in shard
                .parents
                .iter()
                .filter_map(|id| self.shards.get_key_value(id.as_str()))
            {
                if ancestors.insert(&**parent) {
                    descendants.push(shard);
                }
            }
        }
        ancestors
    }

    /// Notes that a shard had no more records when a request was made at this time.
    pub(super) fn is_up_to_date(&mut self, id: &str, asked: Instant) {
        if let Some(shard) = self.shards.get_mut(id) {
            shard.up_to_date = Some(asked);
        }
    }

    /// Returns whether no shard had more records at this time, and none waits to be read.
    pub(super) fn are_up_to_date(&self, since: Instant) -> bool {
        let mut shards = self.shards.values();
        shards.all(|shard| match shard.status {
            Status::Waiting => false,
            Status::Reading => shard.up_to_date.is_some_and(|asked| asked >= since),
            Status::Ended | Status::Gone => true,
        })
    }

    /// Notes that a shard was read to its end, and that the consumer has all its records.
    pub(super) fn end(&mut self, id: &str) {
        self.set_status(id, Status::Ended);
    }

    /// Notes that a shard has ended, and that the service no longer knows it.
    pub(super) fn forget(&mut self, id: &str) {
        self.set_status(id, Status::Gone);
    }

    fn set_status(&mut self, id: &str, status: Status) {
        if let Some(shard) = self.shards.get_mut(id) {
            shard.status = status;
            shard.changed = true;
        }
    }

    /// Returns whether shards must be listed: one has ended and its children are not known, a parent is not known, or
    /// no shard is, because the list was older than all that the service still knows.
    pub(super) fn are_incomplete(&self) -> bool {
        let parents = self.shards.values().flat_map(|shard| &shard.parents);
        let parents: BTreeSet<&str> = parents.map(String::as_str).collect();
        let misses_some = |(id, shard): (&Arc<str>, &Shard)| {
            let lacks_children = shard.status == Status::Ended && !parents.contains(&**id);
            let is_known = |parent: &String| self.shards.contains_key(parent.as_str());
            lacks_children || (!shard.listed && !shard.parents.iter().all(is_known))
        };
        self.shards.is_empty() || self.shards.iter().any(misses_some)
    }

    /// Notes that the consumer has the record at this position of a shard, and all before it.
    pub(super) fn give(&mut self, shard_id: &str, position: Option<Position>) {
        if let Some(shard) = self.shards.get_mut(shard_id) {
            shard.given = position;
        }
    }

    /// Notes that the consumer is done with the record at this position of a shard, and with all before it.
    pub(super) fn finish(&mut self, shard_id: &str, position: Option<Position>) {
        if let Some(shard) = self.shards.get_mut(shard_id) {
            shard.finish(position);
        }
    }

    /// Notes that the consumer is done with everything that it has.
    pub(super) fn finish_all(&mut self) {
        for shard in self.shards.values_mut() {
            if shard.done < shard.given {
                shard.finish(shard.given.clone());
            }
        }
    }

    /// Returns the states that may differ from what was saved last.
    pub(super) fn unsaved(&self) -> BTreeMap<String, ShardState> {
        let changed = self.shards.iter().filter(|(_, shard)| shard.changed);
        changed.map(|(id, shard)| (id.to_string(), shard.state())).collect()
    }

    /// Notes that the states returned by [`unsaved`](Self::unsaved) were saved.
    pub(super) fn all_saved(&mut self) {
        for shard in self.shards.values_mut() {
            shard.changed = false;
        }
    }
}

impl Shard {
    fn finish(&mut self, position: Option<Position>) {
        if self.done < position {
            self.done = position;
            self.changed = true;
        }
    }

    fn state(&self) -> ShardState {
        let over = matches!(self.status, Status::Ended | Status::Gone);
        match &self.done {
            done if over && *done >= self.given => ShardState::Ended,
            Some(position) => ShardState::After(position.clone()),
            None => self.from.clone(),
        }
    }
}
