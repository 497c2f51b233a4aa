//! The load of each shard, and what it would be if the shard were split.

use std::time::Duration;

use kpl_core::{HashKey, InvalidOption, MAX_RECORD_SIZE, RawRecord, Shard, ShardMap};

use crate::cost::{Cost, Repacked};
use crate::input::Entry;

/// What a shard accepts in a second (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html>).
pub(super) const RECORDS_PER_SECOND: u64 = 1_000;
pub(super) const BYTES_PER_SECOND: u64 = 1024 * 1024;

/// The load of each shard of a stream.
///
/// A Kinesis record is in the shard of its first user record: no program packs records otherwise on purpose, and the key of an
/// aggregated record, which is `a` for those of the KPL, does not tell. It takes memory for each shard, not for each record.
#[derive(Debug)]
pub(super) struct Loads {
    shards: Vec<Load>,
    /// Where each shard would be split.
    middles: Vec<Option<HashKey>>,
    /// Kinesis records of which no hash key is known.
    pub(super) unplaced: u64,
    /// When the first and the last record arrived.
    arrivals: Option<(Duration, Duration)>,
    /// What is in each half of its shard, of the Kinesis record that is being read.
    halves: [Repacked; 2],
    open: Option<Open>,
}

/// A Kinesis record whose user records are being read.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    shard: usize,
    /// How many user records there are in each half.
    halves: [u64; 2],
    /// The bytes of their data and partition keys.
    bytes: u64,
}

/// The load of a shard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) user_records: u64,
    /// The bytes of data and partition keys of user records.
    pub(super) user_bytes: u64,
    pub(super) cost: Cost,
    /// What the cost of its halves would be if it were split: an aggregated record with user records of both becomes two.
    pub(super) halves: [Cost; 2],
    /// The most records and the most bytes that arrived within one second of the clock.
    pub(super) busiest: Cost,
    second: u64,
    in_second: Cost,
}

impl Load {
    /// Returns how much of what a shard accepts this is, in millionths of a second's.
    pub(super) fn weight(cost: &Cost) -> u64 {
        let millionths = |number: u64, limit: u64| {
            let millionths = u128::from(number) * 1_000_000 / u128::from(limit);
            u64::try_from(millionths).unwrap_or(u64::MAX)
        };
        millionths(cost.kinesis_records, RECORDS_PER_SECOND).max(millionths(cost.bytes, BYTES_PER_SECOND))
    }

    fn arrive(&mut self, at: Duration, bytes: u64) {
        if self.second != at.as_secs() {
            self.second = at.as_secs();
            self.in_second = Cost::default();
        }
        self.in_second.add(bytes);
        self.busiest.kinesis_records = self.busiest.kinesis_records.max(self.in_second.kinesis_records);
        self.busiest.bytes = self.busiest.bytes.max(self.in_second.bytes);
    }
}

/// Returns the hash key at which a shard is split in its middle, or `None` if it owns only one.
pub(super) fn middle(shard: &Shard) -> Option<HashKey> {
    let (start, end) = (shard.range.start().value(), shard.range.end().value());
    (start < end).then(|| HashKey::new(start + (end - start) / 2 + 1))
}

/// Returns in which half of a shard a hash key is: 0 or 1.
fn half(middles: &[Option<HashKey>], shard: usize, hash_key: HashKey) -> usize {
    let middle = middles.get(shard).copied().flatten();
    usize::from(middle.is_some_and(|middle| hash_key >= middle))
}

impl Loads {
    pub(super) fn new(shards: &ShardMap) -> Result<Self, InvalidOption> {
        let half = || Repacked::new(MAX_RECORD_SIZE, 1);
        Ok(Self {
            shards: vec![Load::default(); shards.len()],
            middles: shards.shards().map(middle).collect(),
            unplaced: 0,
            arrivals: None,
            halves: [half()?, half()?],
            open: None,
        })
    }

    /// Counts a user record of the Kinesis record that is being read, in the shard with this index.
    pub(super) fn user_record(&mut self, shard: usize, hash_key: HashKey, record: &RawRecord) {
        let open = self.open.get_or_insert(Open {
            shard,
            halves: [0; 2],
            bytes: 0,
        });
        let half = half(&self.middles, open.shard, hash_key);
        open.bytes += record.size() as u64;
        if let (Some(count), Some(repacked)) = (open.halves.get_mut(half), self.halves.get_mut(half)) {
            *count += 1;
            repacked.add(record, 0);
        }
    }

    /// Ends a Kinesis record, after its user records.
    pub(super) fn record(&mut self, shards: &ShardMap, entry: &Entry) {
        let key = entry.partition_key.as_deref();
        let bytes = (entry.data.len() + key.map_or(0, str::len)) as u64;
        let arrival = entry.arrival.as_ref().and_then(|arrival| arrival.timestamp());
        let arrival = arrival.map(|arrival| arrival.since_unix_epoch());
        if let Some(at) = arrival {
            let (first, last) = self.arrivals.unwrap_or((at, at));
            self.arrivals = Some((first.min(at), last.max(at)));
        }
        let mut whole = Cost::default();
        whole.add(bytes);
        let repacked = self.halves.each_mut().map(Repacked::take);
        let open = self.open.take().map(|open| match open.halves {
            [_, 0] => (open.shard, [whole, Cost::default()], open),
            [0, _] => (open.shard, [Cost::default(), whole], open),
            _ => (open.shard, repacked, open),
        });
        let placed = open.or_else(|| {
            // None of its user records has a key that is known.
            let hash_key = HashKey::of_partition_key(key?);
            let shard = shards.index_of(hash_key);
            let mut halves = [Cost::default(); 2];
            *halves.get_mut(half(&self.middles, shard, hash_key))? = whole;
            Some((shard, halves, Open::default()))
        });
        let Some((shard, [lower, upper], open)) = placed else {
            self.unplaced += 1;
            return;
        };
        let Some(load) = self.shards.get_mut(shard) else {
            return;
        };
        load.user_records += open.halves.iter().sum::<u64>();
        load.user_bytes += open.bytes;
        load.cost.add(bytes);
        let [in_lower, in_upper] = &mut load.halves;
        *in_lower += lower;
        *in_upper += upper;
        if let Some(at) = arrival {
            load.arrive(at, bytes);
        }
    }

    /// Returns the load of each shard, in the order of the map.
    pub(super) fn shards(&self) -> &[Load] {
        &self.shards
    }

    /// Returns the seconds between the first and the last arrival, or `None` if they are less than one, which is too short for a rate.
    pub(super) fn seconds(&self) -> Option<f64> {
        let (first, last) = self.arrivals?;
        Some((last - first).as_secs_f64()).filter(|seconds| *seconds >= 1.0)
    }
}
