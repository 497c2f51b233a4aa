//! The rows of a lease table, and the changes that workers make to them.

use std::fmt;
use std::sync::Arc;

use kpl_core::{HashKeyRange, Position};

/// A row of a lease table: who reads a shard, and how far it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The shard's id.
    pub key: Arc<str>,
    /// The worker that reads the shard, if there is one.
    pub owner: Option<Arc<str>>,
    /// Grows with each change by the owner, and when a worker takes the lease. If it stands still, the owner is gone.
    pub counter: u64,
    /// How far the shard was read.
    pub checkpoint: Checkpoint,
    /// How often the lease was taken from another worker since the checkpoint was set.
    pub owner_switches: u64,
    /// The shards that this one came from, known or not.
    pub parents: Vec<String>,
    /// The shards that follow this one, once they are known.
    pub children: Vec<String>,
    /// The hash keys of the shard.
    pub range: Option<HashKeyRange>,
    /// Whether a leader of the KCL 3 has given the lease to another worker, and its owner has not handed it over yet.
    pub is_handed_over: bool,
}

impl Lease {
    /// Creates the lease of a shard that is not read yet.
    pub fn new(key: impl Into<Arc<str>>, checkpoint: Checkpoint) -> Self {
        Self {
            key: key.into(),
            owner: None,
            counter: 0,
            checkpoint,
            owner_switches: 0,
            parents: Vec::new(),
            children: Vec::new(),
            range: None,
            is_handed_over: false,
        }
    }

    /// Returns whether the shard was read to its end.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.checkpoint == Checkpoint::Ended
    }
}

/// How far a shard was read. Later ones are greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Checkpoint {
    /// Not at all: it is read from its oldest record.
    TrimHorizon,
    /// Not at all: it is read from the time on that the worker is configured with.
    AtTimestamp,
    /// Not at all: it is read from the record on that comes next.
    Latest,
    /// Up to this user record, and with it.
    After(Position),
    /// To its end.
    Ended,
}

/// As the KCL names it, and for a position its sequence number and sub-sequence number.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::AtTimestamp => f.write_str("AT_TIMESTAMP"),
            Self::Latest => f.write_str("LATEST"),
            Self::After(position) => position.fmt(f),
            Self::Ended => f.write_str("SHARD_END"),
        }
    }
}

/// A conditional change of a lease. The counter grows by 1 with each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// The lease.
    pub key: Arc<str>,
    /// The owner that the lease must have, or `None` if it must not have one.
    pub expected_owner: Option<Arc<str>>,
    /// The counter that the lease must have.
    pub expected_counter: u64,
    /// What becomes of the owner.
    pub owner: OwnerChange,
    /// The new checkpoint. With it, the number of switches becomes 0, and what the KCL has pending is removed.
    pub checkpoint: Option<Checkpoint>,
    /// The shards that follow this one. If there are none, those of the row stay.
    pub children: Vec<String>,
}

/// What becomes of the owner of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerChange {
    /// It stays.
    Keep,
    /// This worker takes the lease. That counts as a switch if another one had it.
    Take(Arc<str>),
    /// The lease has no owner any more.
    Remove,
}

impl Update {
    /// Creates the update of a lease, as it was last seen, that changes only its counter.
    #[must_use]
    pub fn new(lease: &Lease) -> Self {
        Self {
            key: Arc::clone(&lease.key),
            expected_owner: lease.owner.clone(),
            expected_counter: lease.counter,
            owner: OwnerChange::Keep,
            checkpoint: None,
            children: Vec::new(),
        }
    }

    /// Returns whether the lease is as it must be. A store for tests can use it.
    #[must_use]
    pub fn may_change(&self, lease: &Lease) -> bool {
        lease.owner == self.expected_owner && lease.counter == self.expected_counter
    }

    /// Returns whether another worker than the new owner had the lease.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        match (&self.owner, &self.expected_owner) {
            (OwnerChange::Take(owner), Some(before)) => owner != before,
            _ => false,
        }
    }

    /// Changes the lease, whatever it was before. A store for tests can use it.
    pub fn change(&self, lease: &mut Lease) {
        lease.counter = self.expected_counter + 1;
        match &self.owner {
            OwnerChange::Keep => {}
            OwnerChange::Take(owner) => lease.owner = Some(Arc::clone(owner)),
            OwnerChange::Remove => lease.owner = None,
        }
        if self.is_switch() {
            lease.owner_switches += 1;
        }
        if let Some(checkpoint) = &self.checkpoint {
            lease.checkpoint = checkpoint.clone();
            lease.owner_switches = 0;
        }
        if !self.children.is_empty() {
            lease.children.clone_from(&self.children);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_expects_the_owner_and_the_counter() {
        let mut lease = Lease::new("a", Checkpoint::TrimHorizon);
        lease.owner = Some("me".into());
        lease.counter = 7;
        let update = Update::new(&lease);
        assert!(update.may_change(&lease));
        for (owner, counter) in [(Some("me"), 8), (Some("other"), 7), (None, 7)] {
            let owner = owner.map(Into::into);
            assert!(!update.may_change(&Lease {
                owner,
                counter,
                ..lease.clone()
            }));
        }
    }

    #[test]
    fn only_a_take_from_another_is_a_switch_and_a_checkpoint_forgets_them() {
        let mut lease = Lease::new("a", Checkpoint::TrimHorizon);
        let mut take = |by: &str| {
            let mut update = Update::new(&lease);
            update.owner = OwnerChange::Take(by.into());
            update.change(&mut lease);
            (lease.owner_switches, lease.counter)
        };
        assert_eq!(take("me"), (0, 1));
        assert_eq!(take("me"), (0, 2));
        assert_eq!(take("other"), (1, 3));
        let mut update = Update::new(&lease);
        update.checkpoint = Some(Checkpoint::Latest);
        update.change(&mut lease);
        assert_eq!((lease.owner_switches, lease.owner.as_deref()), (0, Some("other")));
    }

    #[test]
    fn checkpoints_have_an_order() {
        let at = |number: &str, sub| Checkpoint::After(Position::new(number, sub).unwrap());
        let order = [
            Checkpoint::TrimHorizon,
            Checkpoint::AtTimestamp,
            Checkpoint::Latest,
            at("9", 5),
            at("10", 0),
            at("10", 3),
            Checkpoint::Ended,
        ];
        assert!(order.is_sorted());
    }
}
