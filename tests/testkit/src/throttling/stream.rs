//! A stream of the server: which entries its shards accept, and how many there were.

use std::collections::BTreeMap;
use std::time::Instant;

use kpl_core::{HashKey, ShardMap};

use super::Fault;
use crate::limit::{Limit, Room};

pub(super) struct Stream {
    pub(super) shards: ShardMap,
    pub(super) auto: bool,
    pub(super) puts_fail: Option<Fault>,
    pub(super) listings_fail: Option<Fault>,
    pub(super) counts: Counts,
    limit: Option<Limit>,
    rooms: Vec<Room>,
    next_shard: usize,
}

/// What a stream was sent, and what it accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The PutRecords requests, including those that were not answered or failed as a whole.
    pub requests: u64,
    /// The bytes of their bodies.
    pub request_bytes: u64,
    /// The ListShards requests.
    pub listings: u64,
    /// The entries of each shard, in the order of hash keys.
    pub shards: Vec<ShardCounts>,
}

/// What a shard was sent, and what it accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardCounts {
    /// When the first entry came: the start of the first window and of the first second.
    pub first: Option<Instant>,
    /// The bytes that were accepted in each second since then.
    pub seconds: Vec<u64>,
    /// The entries of each client, by its access key id.
    pub clients: BTreeMap<String, Totals>,
}

/// The entries of PutRecords requests that were answered. Those of requests that fail as a whole do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many were accepted.
    pub accepted: u64,
    /// The bytes of those that were accepted: data and partition keys.
    pub accepted_bytes: u64,
    /// How many were refused.
    pub refused: u64,
}

/// What became of an entry.
pub(super) enum Fate {
    /// It was accepted by the shard with this index, and has this number there.
    Accepted(usize, u64),
    /// The shard has no room.
    Throttled,
    /// An internal failure.
    Failed,
}

impl Stream {
    pub(super) fn new(shards: u128, limit: Option<Limit>) -> Self {
        let shards = ShardMap::new(crate::even_shards(shards)).expect("there are no gaps and no overlaps");
        let count = shards.len();
        Self {
            shards,
            auto: false,
            puts_fail: None,
            listings_fail: None,
            counts: Counts {
                shards: vec![ShardCounts::default(); count],
                ..Counts::default()
            },
            limit,
            rooms: vec![Room::default(); count],
            next_shard: 0,
        }
    }

    /// Accepts an entry, if its shard has room. `bytes` counts its data and its partition key.
    pub(super) fn put(&mut self, client: &str, key: HashKey, bytes: usize, now: Instant) -> Fate {
        let index = if self.auto {
            self.next_shard = (self.next_shard + 1) % self.rooms.len();
            self.next_shard
        } else {
            self.shards.index_of(key)
        };
        let (room, counts) = (&mut self.rooms[index], &mut self.counts.shards[index]);
        let fails = self.puts_fail == Some(Fault::EveryEntry);
        let first = *counts.first.get_or_insert(now);
        if !counts.clients.contains_key(client) {
            counts.clients.insert(client.to_owned(), Totals::default());
        }
        let totals = counts.clients.get_mut(client).expect("it was inserted");
        if fails || self.limit.is_some_and(|limit| !room.take(limit, bytes, now)) {
            totals.refused += 1;
            return if fails { Fate::Failed } else { Fate::Throttled };
        }
        totals.accepted += 1;
        totals.accepted_bytes += bytes as u64;
        let second = now.saturating_duration_since(first).as_secs() as usize;
        if counts.seconds.len() <= second {
            counts.seconds.resize(second + 1, 0);
        }
        counts.seconds[second] += bytes as u64;
        Fate::Accepted(index, counts.totals().accepted)
    }
}

impl Counts {
    /// Returns the sum of all shards and clients.
    pub fn totals(&self) -> Totals {
        self.shards.iter().map(ShardCounts::totals).sum()
    }

    /// Returns the sum of all shards for a client, by its access key id.
    pub fn of_client(&self, access_key_id: &str) -> Totals {
        let shards = self.shards.iter();
        shards
            .filter_map(|shard| shard.clients.get(access_key_id))
            .copied()
            .sum()
    }
}

impl ShardCounts {
    /// Returns the sum of all clients.
    pub fn totals(&self) -> Totals {
        self.clients.values().copied().sum()
    }
}

impl Totals {
    /// Returns how many entries there were, accepted or refused.
    pub const fn sent(&self) -> u64 {
        self.accepted + self.refused
    }
}

impl std::iter::Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            accepted: sum.accepted + one.accepted,
            accepted_bytes: sum.accepted_bytes + one.accepted_bytes,
            refused: sum.refused + one.refused,
        })
    }
}
