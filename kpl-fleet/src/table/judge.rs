//! What is wrong with the leases of a table.

use std::collections::BTreeMap;
use std::fmt;

use kpl_stream::client::ShardDescription;

use super::LeaseTable;
use crate::engine;
use crate::lease::{Checkpoint, Lease};

/// Something that is wrong with a lease table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The lease, the shard or the worker.
    pub key: String,
    /// A sentence for people, without the key.
    pub message: String,
}

/// What is wrong with a lease table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A row is not a valid lease.
    InvalidRow,
    /// The lease is of another stream, or of one that was deleted and created anew.
    OtherStream,
    /// A shard can be read and does not have a lease. Workers add it when they list the shards.
    ShardWithoutLease,
    /// A lease was not read to its end, and the service does not know its shard any more.
    LeaseWithoutShard,
    /// A shard was read before its parents were read to their end.
    ChildBeforeParent,
    /// A lease can be read, and does not have an owner.
    NoOwner,
    /// A leader of the KCL 3 has given the lease to another worker, and its owner has not handed it over yet.
    HandOver,
    /// One worker has at least two leases more than another.
    UnequalShares,
}

impl ProblemKind {
    /// Returns the name for programs, such as `no-owner`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRow => "invalid-row",
            Self::OtherStream => "other-stream",
            Self::ShardWithoutLease => "shard-without-lease",
            Self::LeaseWithoutShard => "lease-without-shard",
            Self::ChildBeforeParent => "child-before-parent",
            Self::NoOwner => "no-owner",
            Self::HandOver => "hand-over",
            Self::UnequalShares => "unequal-shares",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl LeaseTable {
    /// Returns what is wrong with the table, by kind and key. `shards` are all shards that the service knows of the stream; without
    /// them, the table is compared only with itself.
    ///
    /// Some of it passes while workers run: a lease is without an owner for the moment until one takes it.
    #[must_use]
    pub fn problems(&self, shards: Option<&[ShardDescription]>) -> Vec<Problem> {
        let rows: BTreeMap<&str, &Lease> = self.leases.iter().map(|row| (&*row.lease.key, &row.lease)).collect();
        let mut problems = Vec::new();
        let mut add = |kind, key: &str, message: String| {
            problems.push(Problem {
                kind,
                key: key.into(),
                message,
            });
        };
        for row in &self.invalid {
            add(
                ProblemKind::InvalidRow,
                &row.key,
                format!("not a valid lease: {}", row.reason),
            );
        }
        for row in &self.leases {
            let (lease, key) = (&row.lease, &*row.lease.key);
            let parents = lease.parents.iter().filter_map(|parent| rows.get(&**parent));
            let unfinished: Vec<&str> = parents
                .filter(|parent| !parent.is_ended())
                .map(|parent| &*parent.key)
                .collect();
            if lease.checkpoint > Checkpoint::Latest && !unfinished.is_empty() {
                let unfinished = unfinished.join(" and ");
                let message = format!("it was read before {unfinished} was read to the end");
                add(ProblemKind::ChildBeforeParent, key, message);
            }
            if lease.is_handed_over {
                let from = row.checkpoint_owner.as_deref().unwrap_or("its owner");
                let to = lease.owner.as_deref().unwrap_or("another worker");
                add(
                    ProblemKind::HandOver,
                    key,
                    format!("{from} has not handed it over to {to} yet"),
                );
            } else if lease.owner.is_none() && !lease.is_ended() && unfinished.is_empty() {
                add(ProblemKind::NoOwner, key, "it does not have an owner".into());
            }
        }
        if let Some(shards) = shards {
            compare(&rows, shards, &mut add);
        }
        if let Some((rich, most, poor, least)) = unequal(&rows) {
            let message = format!("it has {most} leases that can be read, and {poor} has {least}");
            add(ProblemKind::UnequalShares, rich, message);
        }
        problems.sort_by(|one, other| (one.kind, &one.key).cmp(&(other.kind, &other.key)));
        problems
    }
}

fn compare(
    rows: &BTreeMap<&str, &Lease>,
    shards: &[ShardDescription],
    add: &mut impl FnMut(ProblemKind, &str, String),
) {
    let listed: BTreeMap<&str, &ShardDescription> = shards.iter().map(|shard| (&*shard.id, shard)).collect();
    for lease in rows.values() {
        match listed.get(&*lease.key) {
            Some(shard) => {
                if let Some(difference) = engine::difference(lease, shard) {
                    add(ProblemKind::OtherStream, &lease.key, difference);
                }
            }
            None if !lease.is_ended() => {
                let message = "it was not read to its end, and the service does not know the shard any more";
                add(ProblemKind::LeaseWithoutShard, &lease.key, message.into());
            }
            None => {}
        }
    }
    for lease in engine::missing_leases(rows, shards) {
        add(
            ProblemKind::ShardWithoutLease,
            &lease.key,
            "the shard does not have a lease".into(),
        );
    }
}

/// Returns the worker with most leases that can be read, and the one with fewest, if workers would exchange some.
fn unequal<'a>(rows: &BTreeMap<&'a str, &'a Lease>) -> Option<(&'a str, usize, &'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for lease in rows.values().filter(|lease| !lease.is_ended()) {
        if let Some(owner) = &lease.owner {
            *counts.entry(owner).or_default() += 1;
        }
    }
    let (rich, most) = counts.iter().max_by_key(|(_, count)| **count)?;
    let (poor, least) = counts.iter().min_by_key(|(_, count)| **count)?;
    (*most >= least + 2).then_some((*rich, *most, *poor, *least))
}
