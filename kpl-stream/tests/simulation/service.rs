//! A model of Kinesis: streams, shards, what is written to them.

use std::time::Instant;

use fastrand::Rng;
use kpl_core::{HashKey, HashKeyRange, SealedRecord, Shard};
use kpl_stream::client::{Distribution, EntryError, PutResult, RequestError, StreamDescription, Written};

use crate::plan::{Faults, StreamPlan};

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) plan: StreamPlan,
    pub(crate) exists_from: Instant,
    /// In the order of their creation: parents before children.
    pub(crate) shards: Vec<ShardLog>,
}

#[derive(Debug)]
pub(crate) struct ShardLog {
    pub(crate) id: String,
    pub(crate) range: HashKeyRange,
    pub(crate) open: bool,
    pub(crate) records: Vec<Stored>,
}

#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) sequence_number: String,
    pub(crate) partition_key: String,
    pub(crate) data: Vec<u8>,
}

impl Stream {
    pub(crate) fn new(name: String, plan: StreamPlan, start: Instant) -> Self {
        let count = plan.shards as u128;
        let width = u128::MAX / count;
        let ranges = (0..count).map(|place| {
            let end = if place + 1 == count {
                u128::MAX
            } else {
                width * (place + 1) - 1
            };
            HashKeyRange::try_from(width * place..=end).expect("they do not overlap")
        });
        let mut stream = Self {
            name,
            exists_from: start + plan.exists_from,
            plan,
            shards: Vec::new(),
        };
        for range in ranges.collect::<Vec<_>>() {
            stream.add(range);
        }
        stream
    }

    fn add(&mut self, range: HashKeyRange) {
        self.shards.push(ShardLog {
            id: format!("shardId-{:012}", self.shards.len()),
            range,
            open: true,
            records: Vec::new(),
        });
    }

    fn open(&self) -> Vec<usize> {
        let mut open: Vec<usize> = (0..self.shards.len())
            .filter(|place| self.shards[*place].open)
            .collect();
        open.sort_by_key(|place| self.shards[*place].range.start());
        open
    }

    /// Splits a shard somewhere, or merges two neighbours. Whether it did.
    pub(crate) fn reshard(&mut self, rng: &mut Rng) -> &'static str {
        let open = self.open();
        if rng.bool() && open.len() > 1 {
            let first = rng.usize(0..open.len() - 1);
            let (one, other) = (open[first], open[first + 1]);
            let range = HashKeyRange::new(self.shards[one].range.start(), self.shards[other].range.end());
            self.shards[one].open = false;
            self.shards[other].open = false;
            self.add(range.expect("they are neighbours"));
            return "merge";
        }
        let place = open[rng.usize(0..open.len())];
        let (start, end) = (
            self.shards[place].range.start().value(),
            self.shards[place].range.end().value(),
        );
        if end - start < 10 {
            return "nothing";
        }
        let middle = start + 1 + rng.u128(0..(end - start - 1));
        self.shards[place].open = false;
        self.add(HashKeyRange::try_from(start..=middle - 1).expect("in order"));
        self.add(HashKeyRange::try_from(middle..=end).expect("in order"));
        "split"
    }

    fn shard_for(&mut self, key: HashKey, rng: &mut Rng) -> &mut ShardLog {
        let open = self.open();
        let place = if self.plan.auto {
            open[rng.usize(0..open.len())]
        } else {
            open.into_iter()
                .find(|place| self.shards[*place].range.contains(key))
                .expect("every key has a shard")
        };
        &mut self.shards[place]
    }

    pub(crate) fn list(&self, now: Instant) -> Result<(Vec<Shard>, StreamDescription), RequestError> {
        if now < self.exists_from {
            return Err(missing());
        }
        if self.plan.unlistable {
            return Err(RequestError::refused("AccessDeniedException", "not for you"));
        }
        let shards = self
            .open()
            .into_iter()
            .map(|place| Shard::new(&*self.shards[place].id, self.shards[place].range));
        let distribution = if self.plan.auto {
            Distribution::Auto
        } else {
            Distribution::UserPartitionKey
        };
        Ok((
            shards.collect(),
            StreamDescription::new(self.plan.described.then_some(distribution)),
        ))
    }

    /// Carries out a request.
    pub(crate) fn put(
        &mut self,
        entries: &[SealedRecord],
        faults: &Faults,
        sequence: &mut u64,
        rng: &mut Rng,
        now: Instant,
    ) -> Result<Vec<PutResult>, RequestError> {
        if now < self.exists_from {
            return Err(missing());
        }
        let mut results = Vec::new();
        for entry in entries {
            if rng.f64() < faults.throttled {
                results.push(Err(error("ProvisionedThroughputExceededException")));
                continue;
            }
            if rng.f64() < faults.failed {
                results.push(Err(error("InternalFailure")));
                continue;
            }
            *sequence += 1;
            let sequence_number = format!("4957{sequence:020}");
            let shard = self.shard_for(entry.explicit_hash_key, rng);
            shard.records.push(Stored {
                sequence_number: sequence_number.clone(),
                partition_key: entry.partition_key.as_str().to_owned(),
                data: entry.data.clone(),
            });
            results.push(Ok(Written::new(shard.id.as_str(), sequence_number)));
        }
        Ok(results)
    }
}

fn missing() -> RequestError {
    RequestError::refused("ResourceNotFoundException", "no such stream")
}

fn error(code: &str) -> EntryError {
    EntryError::new(code, "not now")
}
