//! The kinds of handlers: what the user's function is called with, for one batch of records.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kpl_core::{Received, Undecodable};

use crate::trace::{span_of_record, span_of_records};
use crate::{Concurrency, DeadLetters, Error, Failures, OnFailure, Place, Progress};

/// A record, or why it cannot be decoded.
pub type Item<T> = Result<Received<T>, Undecodable>;

mod sealed {
    pub trait Sealed {}

    impl<F> Sealed for super::PerRecord<F> {}
    impl<F> Sealed for super::PerBatch<F> {}
    impl<F> Sealed for super::PerShard<F> {}
}

/// A kind of handler: [`PerRecord`], [`PerBatch`] or [`PerShard`].
pub trait Kind<T>: sealed::Sealed {
    /// Returns what happens to the user records after one that failed.
    fn on_failure(&self) -> OnFailure;

    /// Calls the function for the records of a batch, and notes in `progress` what was not done.
    fn process(
        &self,
        items: impl Iterator<Item = Item<T>>,
        dead_letters: &DeadLetters,
        progress: &Progress,
    ) -> impl Future<Output = ()>;
}

/// Calls a function with each user record.
pub struct PerRecord<F> {
    f: F,
    concurrency: Concurrency,
    on_failure: OnFailure,
}

impl<F> PerRecord<F> {
    /// Returns the kind that calls `f`, one after another, until one fails.
    pub fn new(f: F) -> Self {
        Self {
            f,
            concurrency: Concurrency::default(),
            on_failure: OnFailure::default(),
        }
    }

    /// Sets how many user records are handled concurrently. The default is [`Concurrency::Sequential`].
    #[must_use]
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets what happens to the user records after one that failed. The default is [`OnFailure::Stop`].
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    async fn one<T, Fut, E>(&self, item: Item<T>, dead_letters: &DeadLetters, progress: &Progress)
    where
        F: Fn(Received<T>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Error>,
    {
        let place = Place::of(&item);
        if !progress.begin(&place) {
            return;
        }
        match item {
            Ok(received) => {
                let span = span_of_record(&received);
                progress.call_in(span, &place, || (self.f)(received)).await
            }
            Err(undecodable) => progress.call(&place, || dead_letters.handle(undecodable)).await,
        };
    }
}

impl<T, F, Fut, E> Kind<T> for PerRecord<F>
where
    F: Fn(Received<T>) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Error>,
{
    fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    async fn process(&self, items: impl Iterator<Item = Item<T>>, dead_letters: &DeadLetters, progress: &Progress) {
        // What is left in the iterator then comes after a record that is not done.
        let items = items.take_while(|_| !progress.is_over());
        match self.concurrency {
            Concurrency::Sequential => {
                for item in items {
                    self.one(item, dead_letters, progress).await;
                }
            }
            Concurrency::All(limit) => {
                at_the_same_time(items.map(|item| self.one(item, dead_letters, progress)), limit).await;
            }
            Concurrency::ByPartitionKey(limit) => {
                let lanes = by_partition_key(items).into_iter().map(async |lane| {
                    for item in lane {
                        self.one(item, dead_letters, progress).await;
                    }
                });
                at_the_same_time(lanes, limit).await;
            }
        }
    }
}

/// Runs futures to completion, at most `limit` at a time, and starts them in order.
async fn at_the_same_time<F: Future<Output = ()>>(mut futures: impl Iterator<Item = F>, limit: NonZeroUsize) {
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < limit.get()
            && let Some(future) = futures.next()
        {
            running.push(future);
        }
        if running.next().await.is_none() {
            return;
        }
    }
}

/// Returns the records grouped by partition key, in order; those without a key are a group as well.
fn by_partition_key<T>(items: impl Iterator<Item = Item<T>>) -> Vec<Vec<Item<T>>> {
    let mut lanes: Vec<Vec<Item<T>>> = Vec::new();
    let mut lane_of: HashMap<Option<String>, usize> = HashMap::new();
    for item in items {
        let key = match &item {
            Ok(received) => received.partition_key(),
            Err(undecodable) => undecodable.partition_key(),
        };
        let lane = *lane_of.entry(key.map(Into::into)).or_insert(lanes.len());
        match lanes.get_mut(lane) {
            Some(lane) => lane.push(item),
            None => lanes.push(vec![item]),
        }
    }
    lanes
}

/// Calls a function with all user records of a batch.
pub struct PerBatch<F>(F);

impl<F> PerBatch<F> {
    /// Returns the kind that calls `f` with all user records of a batch, in order, unless there are none.
    pub const fn new(f: F) -> Self {
        Self(f)
    }
}

impl<T, F, Fut, R, E> Kind<T> for PerBatch<F>
where
    F: Fn(Vec<Received<T>>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Failures>,
    E: Into<Error>,
{
    fn on_failure(&self) -> OnFailure {
        OnFailure::Continue
    }

    async fn process(&self, items: impl Iterator<Item = Item<T>>, dead_letters: &DeadLetters, progress: &Progress) {
        let records = readable(items, dead_letters, progress).await;
        many(records, &self.0, progress).await;
    }
}

/// Calls a function with the user records of each shard of a batch.
pub struct PerShard<F>(F);

impl<F> PerShard<F> {
    /// Returns the kind that calls `f` for each shard, one after another, with the shard's user records, in order.
    pub const fn new(f: F) -> Self {
        Self(f)
    }
}

/// The user records of a shard, in order.
#[derive(Debug)]
#[non_exhaustive]
pub struct ShardRecords<T> {
    /// The stream, as its reader named it: see [`Origin::stream`](kpl_core::Origin::stream). In Lambda it is the ARN of the
    /// stream, or of its consumer.
    pub stream: Option<Arc<str>>,
    /// The shard.
    pub shard_id: Option<Arc<str>>,
    /// The user records: at least one.
    pub records: Vec<Received<T>>,
}

impl<T> ShardRecords<T> {
    /// Returns the records of the shard that the first of them is from.
    #[must_use]
    pub fn new(records: Vec<Received<T>>) -> Self {
        let origin = records.first().map(Received::origin);
        Self {
            stream: origin.and_then(|origin| origin.stream.clone()),
            shard_id: origin.and_then(|origin| origin.shard_id.clone()),
            records,
        }
    }
}

impl<T, F, Fut, R, E> Kind<T> for PerShard<F>
where
    F: Fn(ShardRecords<T>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Failures>,
    E: Into<Error>,
{
    fn on_failure(&self) -> OnFailure {
        OnFailure::Continue
    }

    async fn process(&self, items: impl Iterator<Item = Item<T>>, dead_letters: &DeadLetters, progress: &Progress) {
        let mut shards: Vec<Vec<Received<T>>> = Vec::new();
        for record in readable(items, dead_letters, progress).await {
            let id = |record: &Received<T>| (record.origin().stream.clone(), record.origin().shard_id.clone());
            let of_record = id(&record);
            match shards
                .iter_mut()
                .find(|shard| shard.first().map(id).as_ref() == Some(&of_record))
            {
                Some(shard) => shard.push(record),
                None => shards.push(vec![record]),
            }
        }
        for records in shards {
            many(records, |records| (self.0)(ShardRecords::new(records)), progress).await;
        }
    }
}

/// Passes undecodable records to the dead-letter hook, and returns the records that could be read.
async fn readable<T>(
    items: impl Iterator<Item = Item<T>>,
    dead_letters: &DeadLetters,
    progress: &Progress,
) -> Vec<Received<T>> {
    let mut records = Vec::new();
    for item in items {
        match item {
            Ok(received) => records.push(received),
            Err(undecodable) => {
                let place = Place::of_undecodable(&undecodable);
                if progress.begin(&place) {
                    progress.call(&place, || dead_letters.handle(undecodable)).await;
                }
            }
        }
    }
    records
}

/// Calls a function with these records, unless there are none.
async fn many<T, F, Fut, R, E>(records: Vec<Received<T>>, f: F, progress: &Progress)
where
    F: FnOnce(Vec<Received<T>>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Failures>,
    E: Into<Error>,
{
    let mut places: Vec<Place> = records.iter().map(Place::of_received).collect();
    places.dedup_by_key(|place| place.kinesis_record_index);
    let Some((first, rest)) = places.split_first() else {
        return;
    };
    let result = match progress.begin(first) {
        true => {
            let span = span_of_records(&records);
            progress.call_in(span, first, || f(records)).await
        }
        false => None,
    };
    match result {
        Some(failures) => failures.into().places().iter().for_each(|place| progress.undone(place)),
        None => rest.iter().for_each(|place| progress.undone_with_others(place)),
    }
}

impl<F> fmt::Debug for PerRecord<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerRecord")
            .field("concurrency", &self.concurrency)
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for PerBatch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerBatch").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for PerShard<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerShard").finish_non_exhaustive()
    }
}
