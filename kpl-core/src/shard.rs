//! Finds the shard that owns a hash key.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::key::{HashKey, HashKeyRange};

/// An open shard of a stream: its id and the hash keys that it owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Shard {
    /// The shard's id, such as `shardId-000000000007`.
    pub id: String,
    /// The hash keys that the shard owns.
    pub range: HashKeyRange,
}

impl Shard {
    /// Returns the shard with this id and range.
    pub fn new(id: impl Into<String>, range: HashKeyRange) -> Self {
        Self { id: id.into(), range }
    }
}

/// Finds the shard of a hash key.
///
/// It holds the open shards of a stream (ListShards with the filter `AT_LATEST`), which together own every hash key
/// exactly once. Its predictions hold only for streams whose record distribution follows the keys; if the stream's
/// strategy is AUTO, the service ignores keys.
///
/// ```
/// use kpl_core::{HashKey, HashKeyRange, PartitionKey, Shard, ShardMap};
///
/// let middle = u128::MAX / 2;
/// let map = ShardMap::new([
///     Shard::new("shardId-000000000001", HashKeyRange::try_from(middle + 1..=u128::MAX)?),
///     Shard::new("shardId-000000000000", HashKeyRange::try_from(0..=middle)?),
/// ])?;
/// assert_eq!(map.shard_of(HashKey::new(7)).id, "shardId-000000000000");
/// assert_eq!(map.shard_of(PartitionKey::new("abc")?.hash_key()).id, "shardId-000000000001");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMap {
    /// Ordered by hash key: each shard owns the keys from its start up to the start of the next one.
    shards: NonEmpty<Shard>,
}

impl ShardMap {
    /// Returns the map of the open shards of a stream, which may be in any order.
    ///
    /// # Errors
    ///
    /// [`InvalidShardMap`] if there are no shards, if some hash keys do not belong to any shard, or if two shards own
    /// the same ones. The error names them.
    pub fn new(shards: impl IntoIterator<Item = Shard>) -> Result<Self, InvalidShardMap> {
        let mut shards: Vec<Shard> = shards.into_iter().collect();
        shards.sort_by_key(|shard| (shard.range.start(), shard.range.end()));
        let mut shards = shards.into_iter();
        let Some(first) = shards.next() else {
            return Err(InvalidShardMap::Gap {
                range: HashKeyRange::FULL,
            });
        };
        let rest: Vec<Shard> = shards.collect();

        gap(Some(0), first.range.start().value().checked_sub(1))?;
        let mut previous = &first;
        for shard in &rest {
            let (end, start) = (previous.range.end(), shard.range.start());
            if start <= end {
                return Err(InvalidShardMap::Overlap {
                    shards: [previous.clone(), shard.clone()].into(),
                });
            }
            gap(end.value().checked_add(1), start.value().checked_sub(1))?;
            previous = shard;
        }
        gap(previous.range.end().value().checked_add(1), Some(u128::MAX))?;
        Ok(Self {
            shards: NonEmpty { first, rest },
        })
    }

    /// Returns the shard that owns a hash key.
    #[must_use]
    pub fn shard_of(&self, key: HashKey) -> &Shard {
        self.shards.get(self.index_of(key))
    }

    /// Returns the index in [`shards`](Self::shards) of a hash key's shard, which identifies the shard cheaply.
    #[must_use]
    pub fn index_of(&self, key: HashKey) -> usize {
        self.shards.rest.partition_point(|shard| shard.range.start() <= key)
    }

    /// Returns the same for a hash key that is computed only if there are several shards: the MD5 of a partition key is most of
    /// what it takes to find its shard.
    ///
    /// ```
    /// # use kpl_core::{HashKey, HashKeyRange, Shard, ShardMap};
    /// let map = ShardMap::new([Shard::new("shardId-000000000000", HashKeyRange::FULL)])?;
    /// assert_eq!(map.index_with(|| HashKey::of_partition_key("abc")), 0);
    /// # Ok::<(), kpl_core::InvalidShardMap>(())
    /// ```
    #[must_use]
    pub fn index_with(&self, key: impl FnOnce() -> HashKey) -> usize {
        if self.shards.rest.is_empty() {
            return 0;
        }
        self.index_of(key())
    }

    /// Returns the shards, ordered by their hash keys.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> + Clone {
        self.shards.iter()
    }

    /// Returns a value for each shard, in the order of the map.
    pub(crate) fn for_each_shard<T>(&self, make: impl Fn() -> T) -> NonEmpty<T> {
        NonEmpty {
            first: make(),
            rest: self.shards.rest.iter().map(|_| make()).collect(),
        }
    }

    /// Returns how many shards there are: at least one.
    #[expect(clippy::len_without_is_empty, reason = "a map is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        1 + self.shards.rest.len()
    }
}

/// One or more items: a stream has at least one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NonEmpty<T> {
    first: T,
    rest: Vec<T>,
}

impl<T> NonEmpty<T> {
    /// Returns the item at `index`, or the first if there is none.
    fn get(&self, index: usize) -> &T {
        match index.checked_sub(1).and_then(|index| self.rest.get(index)) {
            Some(one) => one,
            None => &self.first,
        }
    }

    /// Returns the item at `index`, or the first if there is none.
    pub(crate) fn get_mut(&mut self, index: usize) -> &mut T {
        match index.checked_sub(1).and_then(|index| self.rest.get_mut(index)) {
            Some(one) => one,
            None => &mut self.first,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        core::iter::once(&self.first).chain(&self.rest)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        core::iter::once(&mut self.first).chain(&mut self.rest)
    }
}

/// Returns an error if there are hash keys from `start` to `end`. `None` stands for the far side of either end of all
/// hash keys.
fn gap(start: Option<u128>, end: Option<u128>) -> Result<(), InvalidShardMap> {
    match start.zip(end).map(|(start, end)| HashKeyRange::try_from(start..=end)) {
        Some(Ok(range)) => Err(InvalidShardMap::Gap { range }),
        _ => Ok(()),
    }
}

/// Why shards cannot form a [`ShardMap`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidShardMap {
    /// These hash keys do not belong to any shard.
    Gap {
        /// The first gap.
        range: HashKeyRange,
    },
    /// Two shards own the same hash keys.
    Overlap {
        /// The first two shards that do.
        shards: alloc::boxed::Box<[Shard; 2]>,
    },
}

impl fmt::Display for InvalidShardMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { range } => write!(f, "no shard owns the hash keys {range}"),
            Self::Overlap { shards } => {
                let [one, other] = &**shards;
                write!(
                    f,
                    "the shards {} ({}) and {} ({}) overlap",
                    one.id, one.range, other.id, other.range
                )
            }
        }
    }
}

impl core::error::Error for InvalidShardMap {}
