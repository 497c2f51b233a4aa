//! Packing all values of an iterator.

use alloc::vec::IntoIter;
use core::borrow::Borrow;
use core::fmt;
use core::iter::FusedIterator;

use super::{AggregateError, Aggregator, ShardedAggregator};
use crate::record::{KplRecord, SealedRecord};

impl<T: KplRecord> Aggregator<T> {
    /// Packs all these values, after what was pushed before: returns an iterator over the records for the stream,
    /// including the last one. The values may be owned or references.
    ///
    /// A value that is refused is an error in its place, and the next values follow: [`Aggregate::taken`] says which
    /// one it was. If the iterator is dropped before its end, what it packed stays in the aggregator.
    ///
    /// ```
    /// use kpl_core::{Aggregator, RawRecord};
    ///
    /// let lines = ["one", "two"].map(|line| RawRecord::new("abc", line));
    /// for sealed in Aggregator::<RawRecord>::new().aggregate(&lines) {
    ///     let sealed = sealed?;
    ///     println!("{} bytes under {}", sealed.data.len(), sealed.partition_key);
    /// }
    /// # Ok::<(), kpl_core::AggregateError>(())
    /// ```
    pub fn aggregate<I>(&mut self, values: I) -> Aggregate<'_, T, I::IntoIter>
    where
        I: IntoIterator,
        I::Item: Borrow<T>,
    {
        Aggregate {
            aggregator: self,
            values: Values::new(values.into_iter()),
        }
    }
}

impl<T: KplRecord> ShardedAggregator<T> {
    /// Packs all these values, after what was pushed before: returns an iterator over the records for the stream,
    /// including the last one of each shard. The values may be owned or references.
    ///
    /// A value that is refused is an error in its place, and the next values follow: [`AggregateSharded::taken`] says
    /// which one it was. If the iterator is dropped before it has taken the last value, what it packed stays in the
    /// aggregator.
    ///
    /// ```
    /// use kpl_core::{Aggregator, HashKeyRange, RawRecord, Shard, ShardMap};
    ///
    /// let shards = ShardMap::new([Shard::new("shardId-000000000000", HashKeyRange::FULL)])?;
    /// let mut aggregator = Aggregator::<RawRecord>::builder().build_sharded(shards)?;
    /// let lines = ["one", "two"].map(|line| RawRecord::new("abc", line));
    /// assert_eq!(aggregator.aggregate(lines).count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<I>(&mut self, values: I) -> AggregateSharded<'_, T, I::IntoIter>
    where
        I: IntoIterator,
        I::Item: Borrow<T>,
    {
        AggregateSharded {
            aggregator: self,
            values: Values::new(values.into_iter()),
            last: None,
        }
    }
}

/// An iterator over the records for the stream that hold the values of another iterator, returned by
/// [`Aggregator::aggregate`].
#[must_use = "iterators are lazy"]
pub struct Aggregate<'a, T, I> {
    aggregator: &'a mut Aggregator<T>,
    values: Values<I>,
}

/// An iterator over the records for the stream that hold the values of another iterator, returned by
/// [`ShardedAggregator::aggregate`].
#[must_use = "iterators are lazy"]
pub struct AggregateSharded<'a, T, I> {
    aggregator: &'a mut ShardedAggregator<T>,
    values: Values<I>,
    /// The records that were still held after the last value.
    last: Option<IntoIter<SealedRecord>>,
}

/// Counts the values, and never calls the iterator again after its end.
struct Values<I> {
    values: I,
    taken: usize,
    ended: bool,
}

type Pushed = Result<Option<SealedRecord>, AggregateError>;

impl<I> Values<I> {
    const fn new(values: I) -> Self {
        Self {
            values,
            taken: 0,
            ended: false,
        }
    }

    /// Pushes values until one of them completes an aggregate or is refused. Returns `None` if there are no more
    /// values.
    fn push_each(&mut self, mut push: impl FnMut(I::Item) -> Pushed) -> Option<Result<SealedRecord, AggregateError>>
    where
        I: Iterator,
    {
        while !self.ended {
            let Some(value) = self.values.next() else {
                self.ended = true;
                break;
            };
            self.taken += 1;
            if let Some(result) = push(value).transpose() {
                return Some(result);
            }
        }
        None
    }
}

impl<T, I> Aggregate<'_, T, I> {
    /// Returns how many values were taken so far. After an error, the refused value is the last of them.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.values.taken
    }
}

impl<T, I> AggregateSharded<'_, T, I> {
    /// Returns how many values were taken so far. After an error, the refused value is the last of them.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.values.taken
    }
}

impl<T: KplRecord, I: Iterator<Item: Borrow<T>>> Iterator for Aggregate<'_, T, I> {
    type Item = Result<SealedRecord, AggregateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { aggregator, values } = self;
        values
            .push_each(|value| aggregator.push(value.borrow()))
            .or_else(|| aggregator.finish().map(Ok))
    }
}

impl<T: KplRecord, I: Iterator<Item: Borrow<T>>> Iterator for AggregateSharded<'_, T, I> {
    type Item = Result<SealedRecord, AggregateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self {
            aggregator,
            values,
            last,
        } = self;
        values.push_each(|value| aggregator.push(value.borrow())).or_else(|| {
            let last = last.get_or_insert_with(|| aggregator.finish().into_iter());
            last.next().map(Ok)
        })
    }
}

impl<T: KplRecord, I: Iterator<Item: Borrow<T>>> FusedIterator for Aggregate<'_, T, I> {}

impl<T: KplRecord, I: Iterator<Item: Borrow<T>>> FusedIterator for AggregateSharded<'_, T, I> {}

impl<T, I> fmt::Debug for Aggregate<'_, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregate")
            .field("aggregator", &self.aggregator)
            .field("taken", &self.taken())
            .finish_non_exhaustive()
    }
}

impl<T, I> fmt::Debug for AggregateSharded<'_, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregateSharded")
            .field("aggregator", &self.aggregator)
            .field("taken", &self.taken())
            .finish_non_exhaustive()
    }
}
