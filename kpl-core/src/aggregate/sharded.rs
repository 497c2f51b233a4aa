//! Packing typed records into aggregated records that never mix shards.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use super::AggregateError;
use super::options::Options;
use super::pack::{Buffers, Encoded, Packer};
use super::seal::{UnsealedRecord, seal_all};
use crate::key::HashKey;
use crate::record::{KplRecord, SealedRecord};
use crate::shard::{NonEmpty, ShardMap};

/// Packs many records of a type into few records of a stream, each of them for one shard.
///
/// A reader that filters by hash key range, as the KCL does, drops a whole aggregate if one record inside belongs to
/// another shard. Such a reader drops no aggregates of this type, as long as the map is that of the stream.
/// [`AggregatorBuilder::build_sharded`](crate::AggregatorBuilder::build_sharded) builds one.
///
/// ```
/// use kpl_core::{Aggregator, HashKeyRange, RawRecord, Shard, ShardMap};
///
/// let middle = u128::MAX / 2;
/// let shards = ShardMap::new([
///     Shard::new("shardId-000000000000", HashKeyRange::try_from(0..=middle)?),
///     Shard::new("shardId-000000000001", HashKeyRange::try_from(middle + 1..=u128::MAX)?),
/// ])?;
/// let mut aggregator = Aggregator::builder().build_sharded(shards.clone())?;
/// let mut to_send = Vec::new();
/// for key in ["a", "b", "c", "d", "e", "f"] {
///     to_send.extend(aggregator.push(&RawRecord::new(key, "some data"))?);
/// }
/// to_send.extend(aggregator.finish());
/// for sealed in to_send {
///     let shard = shards.shard_of(sealed.explicit_hash_key);
///     println!("{} user records for {}", sealed.user_records, shard.id);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ShardedAggregator<T> {
    buffers: Buffers,
    shards: ShardMap,
    /// One for each shard, in the order of the map.
    packers: NonEmpty<Packer>,
    options: Options,
    marker: PhantomData<fn(&T)>,
}

impl<T> ShardedAggregator<T> {
    pub(crate) fn with_options(options: Options, shards: ShardMap) -> Self {
        Self {
            buffers: Buffers::default(),
            packers: shards.for_each_shard(|| Packer::new(options.clone())),
            shards,
            options,
            marker: PhantomData,
        }
    }

    /// Returns the remaining aggregates: at most one record for each shard.
    ///
    /// The aggregator can be used again afterwards.
    #[must_use = "it holds user records that would be lost"]
    pub fn finish(&mut self) -> Vec<SealedRecord> {
        seal_all(self.packers.iter_mut().filter_map(Packer::take))
    }

    /// Returns the map in use.
    #[must_use]
    pub const fn shard_map(&self) -> &ShardMap {
        &self.shards
    }

    /// Uses another map from now on. Records that are held move to their shards in it; returns the aggregates that this
    /// completed.
    ///
    /// Records keep their order as long as they share a shard in both maps.
    #[must_use = "it holds user records that would be lost"]
    pub fn set_shard_map(&mut self, shards: ShardMap) -> Vec<SealedRecord> {
        let fresh = Self::with_options(self.options.clone(), shards);
        let held = core::mem::replace(&mut self.packers, fresh.packers);
        self.shards = fresh.shards;
        let mut full = Vec::new();
        for packer in held.iter() {
            packer.for_each_record(|mut record| {
                let packer = packer_of(&self.shards, &mut self.packers, &record);
                // Perhaps only a neighbouring record required wrapping, and this one is too large for it.
                record.always_wrapped &= packer.check_alone(&record).is_ok();
                full.extend(packer.add(&record));
            });
        }
        seal_all(full)
    }

    /// Returns whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Returns how many user records are held for all shards.
    #[must_use]
    pub fn count(&self) -> usize {
        self.packers.iter().map(Packer::count).sum()
    }

    /// Returns how many bytes the held records count towards the service's limits, for all shards.
    #[must_use]
    pub fn size(&self) -> usize {
        self.packers.iter().map(Packer::size).sum()
    }
}

impl<T: KplRecord> ShardedAggregator<T> {
    /// Adds a record, and returns the aggregate of its shard if this completed it.
    ///
    /// # Errors
    ///
    /// Those of [`Aggregator::push`](crate::Aggregator::push): the aggregator is then unchanged.
    pub fn push(&mut self, record: &T) -> Result<Option<SealedRecord>, AggregateError> {
        Ok(self.push_unsealed(record)?.map(UnsealedRecord::seal))
    }

    /// Does what [`push`](Self::push) does, without computing the digest: for [`seal_all`].
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn push_unsealed(&mut self, record: &T) -> Result<Option<UnsealedRecord>, AggregateError> {
        let encoded = self.buffers.encode(record)?;
        packer_of(&self.shards, &mut self.packers, &encoded).push(&encoded)
    }
}

/// Returns the packer of a record's shard.
fn packer_of<'p>(shards: &ShardMap, packers: &'p mut NonEmpty<Packer>, record: &Encoded<'_>) -> &'p mut Packer {
    let Encoded { parts, .. } = record;
    packers.get_mut(shards.index_with(|| HashKey::effective(parts.partition_key, parts.explicit_hash_key)))
}

/// The copy holds the same user records: if the output of both is sent, they are in the stream twice.
impl<T> Clone for ShardedAggregator<T> {
    fn clone(&self) -> Self {
        Self {
            buffers: Buffers::default(),
            shards: self.shards.clone(),
            packers: self.packers.clone(),
            options: self.options.clone(),
            marker: PhantomData,
        }
    }
}

impl<T> fmt::Debug for ShardedAggregator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedAggregator")
            .field("options", &self.options)
            .field("shards", &self.shards)
            .field("count", &self.count())
            .field("size", &self.size())
            .finish()
    }
}
