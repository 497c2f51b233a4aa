//! What the function is called with: a record, or the records of a shard.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kpl_core::{Origin, Received};
use kpl_handler::trace::{in_span, span_of_record, span_of_records};
use kpl_handler::{Concurrency, DeadLetters, Error, Failures, Item, OnFailure, Place, ShardRecords};
use tokio::time::sleep;

use super::lanes::Lane;
use kpl_handler::Backoff;

/// What a loop calls: [`EachRecord`] or [`EachShard`]. Other crates cannot implement it.
#[expect(private_interfaces, reason = "other crates cannot implement it")]
pub trait Kind<T> {
    /// Returns how many calls there may be at a time.
    #[doc(hidden)]
    fn calls(&self) -> NonZeroUsize;

    /// Returns whether a record may be taken while this many calls are under way and this many records wait.
    #[doc(hidden)]
    fn may_take(&self, running: usize, waiting: usize) -> bool;

    /// Returns the lane of a record with this number: what it waits for.
    #[doc(hidden)]
    fn lane(&self, item: &Item<T>, number: u64) -> Lane;

    /// Returns how many records of a lane a call gets, at most.
    #[doc(hidden)]
    fn records_per_call(&self) -> usize;

    /// Calls the function, and returns which of the records are not done.
    #[doc(hidden)]
    fn call(&self, items: Vec<Item<T>>, options: &Options, stopped: &AtomicBool) -> impl Future<Output = Vec<NotDone>>;
}

/// What both kinds need to know.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) on_failure: OnFailure,
    pub(super) dead_letters: DeadLetters,
}

/// Records that a call was given and that are not done.
#[derive(Debug)]
pub struct NotDone {
    /// Their indexes.
    pub(super) records: Range<usize>,
    /// Why they have failed, or `None` if they were left for later.
    pub(super) error: Option<Error>,
}

impl NotDone {
    fn one(index: usize, error: Error) -> Self {
        Self {
            records: index..index + 1,
            error: Some(error),
        }
    }
}

/// Calls a function with each record: [`Reader::for_each`](crate::reader::Reader::for_each).
pub struct EachRecord<T, F> {
    f: F,
    pub(super) concurrency: Concurrency,
    pub(super) retries: Option<Retries<T>>,
}

/// How often a record that failed is tried again, and how it is copied.
pub(super) struct Retries<T> {
    pub(super) count: u32,
    pub(super) copy: fn(&Received<T>) -> Received<T>,
}

impl<T, F> EachRecord<T, F> {
    pub(super) fn new(f: F) -> Self {
        Self {
            f,
            concurrency: Concurrency::default(),
            retries: None,
        }
    }

    /// Calls the function until it succeeds, or may not be called again. Returns `None` if the loop stopped before.
    async fn try_again<Fut, E>(&self, record: Received<T>, stopped: &AtomicBool) -> Option<Result<(), Error>>
    where
        F: Fn(Received<T>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Error>,
    {
        let mut failures = 0;
        while let Some(Retries { count, copy }) = &self.retries
            && failures < *count
        {
            let Err(error) = self.call_once(copy(&record)).await else {
                return Some(Ok(()));
            };
            let error: Error = error.into();
            Place::of_received(&record).log_retry(&error);
            sleep(Backoff::RECORDS.pause(failures, fastrand::f64())).await;
            if stopped.load(Ordering::Relaxed) {
                return None;
            }
            failures += 1;
        }
        Some(self.call_once(record).await.map_err(Into::into))
    }

    async fn call_once<Fut, E>(&self, record: Received<T>) -> Result<(), E>
    where
        F: Fn(Received<T>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
    {
        in_span(span_of_record(&record), || (self.f)(record)).await
    }
}

#[expect(private_interfaces, reason = "other crates cannot implement it")]
impl<T, F, Fut, E> Kind<T> for EachRecord<T, F>
where
    F: Fn(Received<T>) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Error>,
{
    fn calls(&self) -> NonZeroUsize {
        match self.concurrency {
            Concurrency::ByPartitionKey(limit) | Concurrency::All(limit) => limit,
            _ => NonZeroUsize::MIN,
        }
    }

    fn may_take(&self, running: usize, waiting: usize) -> bool {
        match self.concurrency {
            // A record of another key may be the next.
            Concurrency::ByPartitionKey(_) => true,
            _ => running + waiting < Kind::<T>::calls(self).get(),
        }
    }

    fn lane(&self, item: &Item<T>, number: u64) -> Lane {
        match self.concurrency {
            Concurrency::ByPartitionKey(_) => {
                let key = match item {
                    Ok(received) => received.partition_key(),
                    Err(undecodable) => undecodable.partition_key(),
                };
                Lane::PartitionKey(key.map(Into::into))
            }
            Concurrency::All(_) => Lane::Record(number),
            _ => Lane::All,
        }
    }

    fn records_per_call(&self) -> usize {
        1
    }

    async fn call(&self, items: Vec<Item<T>>, options: &Options, stopped: &AtomicBool) -> Vec<NotDone> {
        let mut not_done = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let result = match item {
                Ok(received) => self.try_again(received, stopped).await,
                Err(undecodable) => Some(options.dead_letters.handle(undecodable).await),
            };
            match result {
                Some(Ok(())) => {}
                Some(Err(error)) => not_done.push(NotDone::one(index, error)),
                None => not_done.push(NotDone {
                    records: index..index + 1,
                    error: None,
                }),
            }
        }
        not_done
    }
}

/// Calls a function with the records of a shard that are at hand:
/// [`Reader::for_each_shard`](crate::reader::Reader::for_each_shard).
pub struct EachShard<F> {
    f: F,
    pub(super) limit: NonZeroUsize,
}

impl<F> EachShard<F> {
    pub(super) const fn new(f: F) -> Self {
        Self {
            f,
            limit: NonZeroUsize::MAX,
        }
    }
}

#[expect(private_interfaces, reason = "other crates cannot implement it")]
impl<T, F, Fut, R, E> Kind<T> for EachShard<F>
where
    F: Fn(ShardRecords<T>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Failures>,
    E: Into<Error>,
{
    fn calls(&self) -> NonZeroUsize {
        self.limit
    }

    fn may_take(&self, _: usize, _: usize) -> bool {
        true
    }

    fn lane(&self, item: &Item<T>, _: u64) -> Lane {
        let origin = match item {
            Ok(received) => received.origin(),
            Err(undecodable) => undecodable.origin(),
        };
        Lane::Shard(shard_id(origin))
    }

    fn records_per_call(&self) -> usize {
        usize::MAX
    }

    async fn call(&self, items: Vec<Item<T>>, options: &Options, _: &AtomicBool) -> Vec<NotDone> {
        let count = items.len();
        let mut not_done = Vec::new();
        // The records that can be read, and their indexes.
        let (mut records, mut indexes) = (Vec::new(), Vec::new());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Ok(received) => {
                    records.push(received);
                    indexes.push(index);
                }
                Err(undecodable) => {
                    let Err(error) = options.dead_letters.handle(undecodable).await else {
                        continue;
                    };
                    not_done.push(NotDone::one(index, error));
                    if options.on_failure == OnFailure::Stop {
                        let records = index + 1..count;
                        not_done.push(NotDone { records, error: None });
                        break;
                    }
                }
            }
        }
        let (Some(first), Some(last)) = (indexes.first(), indexes.last()) else {
            return not_done;
        };
        let index_of: HashMap<_, _> = records
            .iter()
            .map(|record| Place::of_received(record))
            .map(key)
            .zip(indexes.iter().copied())
            .collect();
        let span = span_of_records(&records);
        match in_span(span, || (self.f)(ShardRecords::new(records))).await {
            Ok(failures) => {
                let failures = failures.into();
                let failed = failures.places().iter().map(|failed| {
                    // A record that it was not called with may stand for any of them.
                    let index = index_of.get(&key(failed.clone())).unwrap_or(first);
                    NotDone::one(*index, "the function names it as one that failed".into())
                });
                not_done.extend(failed);
            }
            Err(error) => not_done.push(NotDone {
                records: *first..*last + 1,
                error: Some(error.into()),
            }),
        }
        not_done
    }
}

impl<T, F> fmt::Debug for EachRecord<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EachRecord")
            .field("concurrency", &self.concurrency)
            .field("retries", &self.retries.as_ref().map_or(0, |retries| retries.count))
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for EachShard<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EachShard")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Returns what distinguishes a record from others of its shard.
fn key(place: Place) -> (Option<String>, u64) {
    (place.origin.sequence_number.clone(), place.sub_sequence_number)
}

/// Returns the shard that an origin names.
pub(super) fn shard_id(origin: &Origin) -> Arc<str> {
    origin.shard_id.clone().unwrap_or_else(|| "".into())
}
