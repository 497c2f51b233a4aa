//! Packing all values of an iterator.

use core::fmt;
use core::iter::FusedIterator;

use super::Aggregator;
use crate::error::AggregateError;
use crate::record::{KplRecord, SealedRecord};

/// The records for the stream that hold some values: made by [`Aggregator::aggregate`].
#[must_use = "iterators are lazy"]
pub struct Sealed<'a, T, I> {
    aggregator: &'a mut Aggregator<T>,
    values: I,
    taken: usize,
    ended: bool,
}

impl<'a, T, I> Sealed<'a, T, I> {
    pub(super) const fn new(aggregator: &'a mut Aggregator<T>, values: I) -> Self {
        Self {
            aggregator,
            values,
            taken: 0,
            ended: false,
        }
    }

    /// How many values were taken so far. After an error, the refused one is the last of them.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.taken
    }
}

impl<'v, T: KplRecord + 'v, I: Iterator<Item = &'v T>> Iterator for Sealed<'_, T, I> {
    type Item = Result<SealedRecord, AggregateError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let Some(value) = self.values.next() else {
                self.ended = true;
                break;
            };
            self.taken += 1;
            if let Some(result) = self.aggregator.push(value).transpose() {
                return Some(result);
            }
        }
        self.aggregator.finish().map(Ok)
    }
}

impl<'v, T: KplRecord + 'v, I: Iterator<Item = &'v T>> FusedIterator for Sealed<'_, T, I> {}

impl<T, I> fmt::Debug for Sealed<'_, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { aggregator, taken, .. } = self;
        f.debug_struct("Sealed")
            .field("aggregator", aggregator)
            .field("taken", taken)
            .finish_non_exhaustive()
    }
}
