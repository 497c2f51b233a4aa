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
}

#[derive(Debug)]
struct Shard {
    parents: Vec<String>,
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
    /// Adds a shard, unless it is already known.
    pub(super) fn add(&mut self, description: ShardDescription, from: ShardState, saved: bool) {
        let status = match from {
            ShardState::Ended => Status::Ended,
            _ => Status::Waiting,
        };
        self.shards.entry(description.id.into()).or_insert(Shard {
            parents: description.parents,
            from,
            status,
            up_to_date: None,
            given: None,
            done: None,
            changed: !saved,
        });
    }

    /// Adds shards that came into being while others were read: they are read from their first record.
    pub(super) fn add_new(&mut self, descriptions: Vec<ShardDescription>) {
        for description in descriptions {
            self.add(description, ShardState::TrimHorizon, false);
        }
    }

    /// Returns the shards whose turn it is now, and where they start. Each is returned once.
    pub(super) fn take_ready(&mut self) -> Vec<(Arc<str>, ShardState)> {
        let over = |parent: &String| {
            let parent = self.shards.get(parent.as_str());
            parent.is_none_or(|parent| matches!(parent.status, Status::Ended | Status::Gone))
        };
        let waiting = self.shards.iter().filter(|(_, shard)| shard.status == Status::Waiting);
        let ready: Vec<_> = waiting
            .filter(|(_, shard)| shard.parents.iter().all(over))
            .map(|(id, shard)| (Arc::clone(id), shard.from.clone()))
            .collect();
        for (id, _) in &ready {
            self.set_status(id, Status::Reading);
        }
        ready
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

    /// Returns whether there is a shard that has ended and whose children are not known.
    pub(super) fn lacks_children(&self) -> bool {
        let parents = self.shards.values().flat_map(|shard| &shard.parents);
        let parents: BTreeSet<&str> = parents.map(String::as_str).collect();
        let mut ended = self.shards.iter().filter(|(_, shard)| shard.status == Status::Ended);
        ended.any(|(id, _)| !parents.contains(&**id))
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
