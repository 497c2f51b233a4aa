//! A model of a stream: its shards, and what was written to them.

use std::time::Instant;

use fastrand::Rng;
use kpl_core::{HashKey, HashKeyRange, SealedRecord, SequenceNumber};

use super::Faults;
use super::limit::{Limit, Room};
use crate::client::{
    Distribution, EntryError, FetchedRecord, PutResult, RequestError, ShardDescription, StreamDescription,
    StreamIdentity, Written,
};

/// A stream. If a method takes `now`, that is the time of the caller's clock.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The shards, in the order in which they were created: parents before children.
    pub shards: Vec<Shard>,
    /// Whether the service chooses the shard of each record and ignores keys.
    pub auto: bool,
    /// Whether DescribeStreamSummary says how records are distributed.
    pub described: bool,
    /// When the stream comes into being. `None` means that it already exists.
    pub exists_from: Option<Instant>,
    /// Whether listing the shards is not allowed.
    pub unlistable: bool,
    /// Which stream it is, if a reader may know that.
    pub identity: Option<StreamIdentity>,
    /// How much each shard accepts. `None` means that it accepts everything.
    pub limit: Option<Limit>,
    /// How many of the next records are refused, because there is no room.
    pub refused: usize,
}

/// A shard.
#[derive(Clone, Debug)]
pub struct Shard {
    /// The shard's id.
    pub id: String,
    /// The hash keys that it owns.
    pub range: HashKeyRange,
    /// The ids of the shards that it came from.
    pub parents: Vec<String>,
    /// Whether it no longer accepts records.
    pub closed: bool,
    /// The records. The record at index `n` has the sequence number `sequence_number(n)`.
    pub records: Vec<FetchedRecord>,
    /// Whether the service has forgotten it: it was closed, and all its records have been trimmed.
    pub forgotten: bool,
    /// How many of the first records have been trimmed.
    pub trimmed: usize,
    /// Whether GetRecords names the children at the end of the shard.
    pub names_children: bool,
    /// How much it accepts now, if the stream has a limit.
    pub room: Room,
    /// The error of every record, if it accepts none.
    pub error: Option<EntryError>,
}

/// The result of a resharding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resharding {
    /// A shard was split.
    Split,
    /// Two shards were merged.
    Merge,
    /// The shard was too small to be split.
    Nothing,
}

/// Returns the sequence number of a shard's record.
pub fn sequence_number(index: usize) -> String {
    (1000 + index).to_string()
}

impl Shard {
    /// Returns an open shard that owns all hash keys, with records that contain this data.
    pub fn new(id: &str, data: &[&str]) -> Self {
        let mut shard = Self::of_range(id.to_owned(), HashKeyRange::FULL);
        data.iter().for_each(|data| shard.push(data));
        shard
    }

    fn of_range(id: String, range: HashKeyRange) -> Self {
        Self {
            id,
            range,
            parents: Vec::new(),
            closed: false,
            records: Vec::new(),
            forgotten: false,
            trimmed: 0,
            names_children: false,
            room: Room::default(),
            error: None,
        }
    }

    /// Returns the same shard, closed.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.closed = true;
        self
    }

    /// Returns the same shard with these parents.
    #[must_use]
    pub fn of(mut self, parents: &[&str]) -> Self {
        self.parents = parents.iter().copied().map(Into::into).collect();
        self
    }

    /// Writes a record without a partition key.
    pub fn push(&mut self, data: impl AsRef<[u8]>) {
        self.write(None, data.as_ref().into());
    }

    /// Writes a record, and returns its sequence number.
    pub fn write(&mut self, partition_key: Option<String>, data: Vec<u8>) -> String {
        let sequence_number = sequence_number(self.records.len());
        let mut record = FetchedRecord::new(data, sequence_number.clone());
        record.partition_key = partition_key;
        self.records.push(record);
        sequence_number
    }

    /// Returns the shard as ListShards shows it.
    pub fn description(&self) -> ShardDescription {
        let first = SequenceNumber::new(&sequence_number(0)).expect("digits");
        let description = ShardDescription::new(&*self.id, self.range)
            .with_closed(self.closed)
            .with_first_sequence_number(first);
        self.parents.iter().fold(description, ShardDescription::with_parent)
    }
}

impl Stream {
    /// Returns a stream of these shards.
    pub fn new(shards: impl Into<Vec<Shard>>) -> Self {
        Self {
            shards: shards.into(),
            ..Self::default()
        }
    }

    /// Returns a stream of this many shards of the same size.
    pub fn with_shards(count: u128) -> Self {
        let width = u128::MAX / count;
        let shards = (0..count).map(|number| {
            let last = if number + 1 == count {
                u128::MAX
            } else {
                (number + 1) * width - 1
            };
            let range = HashKeyRange::try_from(number * width..=last).expect("in order");
            Shard::of_range(format!("shardId-{number:012}"), range)
        });
        Self::new(shards.collect::<Vec<_>>())
    }

    /// Returns the shard with this id, unless it has been forgotten.
    pub fn shard(&self, id: &str) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.id == id && !shard.forgotten)
    }

    /// Returns the indexes of the open shards, ordered by hash key.
    pub fn open(&self) -> Vec<usize> {
        let mut open: Vec<usize> = (0..self.shards.len())
            .filter(|index| !self.shards[*index].closed)
            .collect();
        open.sort_by_key(|index| self.shards[*index].range.start());
        open
    }

    /// Closes the parents, and adds a shard that came from them.
    fn add(&mut self, range: HashKeyRange, parents: &[usize]) {
        let mut shard = Shard::of_range(format!("shardId-{:012}", self.shards.len()), range);
        for parent in parents {
            let parent = &mut self.shards[*parent];
            parent.closed = true;
            shard.names_children |= parent.names_children;
            shard.parents.push(parent.id.clone());
        }
        self.shards.push(shard);
    }

    /// Splits a shard at some point, or merges two neighbouring shards.
    pub fn reshard(&mut self, rng: &mut Rng) -> Resharding {
        let open = self.open();
        if rng.bool() && open.len() > 1 {
            let first = rng.usize(0..open.len() - 1);
            self.merge(open[first], open[first + 1]);
            return Resharding::Merge;
        }
        let parent = open[rng.usize(0..open.len())];
        let range = self.shards[parent].range;
        let (start, end) = (range.start().value(), range.end().value());
        if end - start < 10 {
            return Resharding::Nothing;
        }
        self.split(parent, start + 1 + rng.u128(0..(end - start - 1)));
        Resharding::Split
    }

    /// Splits the shard with this index, so that the second child starts at this hash key.
    pub fn split(&mut self, parent: usize, middle: u128) {
        let range = self.shards[parent].range;
        for half in [range.start().value()..=middle - 1, middle..=range.end().value()] {
            self.add(HashKeyRange::try_from(half).expect("in order"), &[parent]);
        }
    }

    /// Merges the shards with these indexes, of which the first one ends where the other one starts.
    pub fn merge(&mut self, one: usize, other: usize) {
        let range = HashKeyRange::new(self.shards[one].range.start(), self.shards[other].range.end());
        self.add(range.expect("they are neighbours"), &[one, other]);
    }

    /// Returns the shard that a record with this hash key goes to.
    pub fn shard_for(&mut self, key: HashKey, rng: &mut Rng) -> &mut Shard {
        let open = self.open();
        let index = if self.auto {
            open[rng.usize(0..open.len())]
        } else {
            open.into_iter()
                .find(|index| self.shards[*index].range.contains(key))
                .expect("every key has a shard")
        };
        &mut self.shards[index]
    }

    fn check_exists(&self, now: Instant) -> Result<(), RequestError> {
        match self.exists_from {
            Some(from) if now < from => Err(RequestError::refused("ResourceNotFoundException", "no such stream")),
            _ => Ok(()),
        }
    }

    /// Returns the open shards and the description of the stream.
    pub fn list(&self, now: Instant) -> Result<(Vec<kpl_core::Shard>, StreamDescription), RequestError> {
        self.check_exists(now)?;
        if self.unlistable {
            return Err(RequestError::refused("AccessDeniedException", "not allowed"));
        }
        let shards = self.open().into_iter().map(|index| {
            let shard = &self.shards[index];
            kpl_core::Shard::new(&*shard.id, shard.range)
        });
        let distribution = if self.auto {
            Distribution::Auto
        } else {
            Distribution::UserPartitionKey
        };
        let description = StreamDescription::new(self.described.then_some(distribution));
        Ok((shards.collect(), description))
    }

    /// Carries out a PutRecords request, with the faults of entries.
    pub fn put(
        &mut self,
        entries: &[SealedRecord],
        faults: &Faults,
        rng: &mut Rng,
        now: Instant,
    ) -> Result<Vec<PutResult>, RequestError> {
        self.check_exists(now)?;
        let results = entries.iter().map(|entry| {
            if rng.f64() < faults.throttled {
                return Err(error("ProvisionedThroughputExceededException"));
            }
            if rng.f64() < faults.failed {
                return Err(error("InternalFailure"));
            }
            if self.refused > 0 {
                self.refused -= 1;
                return Err(error("ProvisionedThroughputExceededException"));
            }
            let limit = self.limit;
            let shard = self.shard_for(entry.explicit_hash_key, rng);
            if let Some(error) = &shard.error {
                return Err(error.clone());
            }
            if limit.is_some_and(|limit| !shard.room.take(limit, entry.size(), now)) {
                return Err(error("ProvisionedThroughputExceededException"));
            }
            let partition_key = entry.partition_key.as_str().to_owned();
            let sequence_number = shard.write(Some(partition_key), entry.data.clone());
            Ok(Written::new(shard.id.as_str(), sequence_number))
        });
        Ok(results.collect())
    }
}

fn error(code: &str) -> EntryError {
    EntryError::new(code, "not now")
}
