//! A lease table that says what is wrong with a change.

use std::collections::BTreeMap;
use std::sync::Arc;

use kpl_fleet::engine::Updated;
use kpl_fleet::{Checkpoint, Lease, OwnerChange, Update};

use crate::stream::Stream;

/// A process: the number of a worker, and how many it was before.
pub(crate) type Process = (usize, u64);

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) lease: Lease,
    /// Who has taken it last.
    pub(crate) taker: Option<Process>,
    /// When its counter grew last.
    pub(crate) changed: u64,
    /// How it was before, and until when.
    before: Vec<(u64, Option<Lease>)>,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: BTreeMap<Arc<str>, Row>,
    /// When each lease was added that ever was in the table.
    ever: BTreeMap<Arc<str>, u64>,
}

/// How long a read may be behind.
const STALE: u64 = 800_000;

impl Table {
    /// Returns the leases as they were this long ago.
    pub(crate) fn look(&self, at: u64) -> Vec<Lease> {
        let leases = self.rows.values().filter_map(|row| {
            let before = row.before.iter().find(|(until, _)| *until > at);
            before.map_or_else(|| Some(row.lease.clone()), |(_, lease)| lease.clone())
        });
        leases.collect()
    }

    pub(crate) fn create(&mut self, lease: &Lease, now: u64, stream: &mut Stream) -> Result<(), String> {
        if self.rows.contains_key(&lease.key) {
            return Ok(());
        }
        if self.ever.insert(Arc::clone(&lease.key), now).is_some() {
            return Err(format!("{} is added again", lease.key));
        }
        if lease.checkpoint == Checkpoint::Latest {
            // The fleet starts here: nothing of the shards before is read.
            for ancestor in stream.ancestors(&lease.key) {
                if !self.ever.contains_key(&ancestor) {
                    let shard = stream.shards.get_mut(&ancestor).unwrap();
                    shard.handled = shard.records;
                }
            }
        }
        let row = Row {
            lease: lease.clone(),
            taker: None,
            changed: now,
            before: vec![(now, None)],
        };
        self.rows.insert(Arc::clone(&lease.key), row);
        Ok(())
    }

    pub(crate) fn update(
        &mut self,
        update: &Update,
        sender: Process,
        now: u64,
        stream: &Stream,
    ) -> Result<Updated, String> {
        let key = &update.key;
        let Some(row) = self.rows.get(key) else {
            return Ok(Updated::Refused(None));
        };
        if !update.may_change(&row.lease) {
            return Ok(Updated::Refused(Some(Box::new(row.lease.clone()))));
        }
        if let OwnerChange::Take(_) = update.owner {
            for parent in &stream.shards[key].parents {
                let is_ended = self.rows.get(parent).is_none_or(|parent| parent.lease.is_ended());
                if !is_ended && !self.is_late(parent, key) {
                    return Err(format!("{key} is taken before {parent} has ended"));
                }
            }
            if row.lease.is_ended() {
                return Err(format!("{key} is taken, and has ended"));
            }
        } else if row.taker.is_none_or(|taker| taker.0 != sender.0) {
            return Err(format!(
                "{key} is changed by {sender:?}, and was taken by {:?}",
                row.taker
            ));
        }
        if let Some(checkpoint) = &update.checkpoint {
            if *checkpoint <= row.lease.checkpoint {
                return Err(format!("{key} goes back from {} to {checkpoint}", row.lease.checkpoint));
            }
            let shard = &stream.shards[key];
            match checkpoint {
                Checkpoint::After(position) => {
                    let number: u64 = position.sequence_number.as_str().parse().unwrap();
                    if number > shard.handled {
                        return Err(format!("{key}: the checkpoint {number} is after {}", shard.handled));
                    }
                }
                Checkpoint::Ended if shard.is_done() => {}
                checkpoint => return Err(format!("{key}: the checkpoint {checkpoint}: {shard:?}")),
            }
        }
        let row = self.rows.get_mut(key).unwrap();
        row.before.retain(|(until, _)| until + STALE > now);
        row.before.push((now, Some(row.lease.clone())));
        update.change(&mut row.lease);
        row.changed = now;
        match update.owner {
            OwnerChange::Remove => row.taker = None,
            // A process with the name of an earlier one goes on with what that has taken.
            _ => row.taker = Some(sender),
        }
        Ok(Updated::Done)
    }

    /// Returns whether the lease of a shard was added after that of one that came from it. This happens where an application starts at
    /// the latest record while shards are split or merged, so that workers have different lists of them.
    pub(crate) fn is_late(&self, ancestor: &str, shard: &str) -> bool {
        let added = self.ever.get(ancestor).zip(self.ever.get(shard));
        added.is_some_and(|(ancestor, shard)| ancestor > shard)
    }

    /// Returns whether a shard that this one came from, directly or not, has had a lease.
    pub(crate) fn has_had_ancestors(&self, key: &str, stream: &Stream) -> bool {
        stream
            .ancestors(key)
            .iter()
            .any(|ancestor| self.ever.contains_key(ancestor) && !self.is_late(ancestor, key))
    }

    /// Returns whether the lease was removed.
    pub(crate) fn delete(&mut self, key: &str, counter: u64, stream: &Stream) -> Result<bool, String> {
        let Some(row) = self.rows.get(key) else {
            return Ok(false);
        };
        if row.lease.counter != counter || !row.lease.is_ended() {
            return Ok(false);
        }
        let is_needed = |child: &Arc<str>| {
            let lease = self.rows.get(child).map(|row| &row.lease);
            lease.is_none_or(|lease| lease.checkpoint <= Checkpoint::Latest)
        };
        if let Some(child) = stream.shards[key].children.iter().find(|child| is_needed(child)) {
            return Err(format!("{key} is removed, and {child} is not being read"));
        }
        self.rows.remove(key);
        Ok(true)
    }
}
