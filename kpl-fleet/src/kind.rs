//! What the function is called with: a record, or the records of a shard that are at hand.

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use kpl_core::{FromKplRecordOwned, Received, Undecodable};
use kpl_handler::{Concurrency, DeadLetters, Error, Failures, OnFailure, ShardRecords};
use kpl_stream::Reader;
use kpl_stream::reader::for_each::{ForEach, ForEachError};
use tokio::sync::watch;

/// What a fleet calls: [`PerRecord`] or [`PerShard`]. Other crates cannot implement it.
#[expect(private_interfaces, reason = "other crates cannot implement it")]
pub trait Kind<T>: Send + Sync + 'static {
    /// Handles what a reader returns.
    #[doc(hidden)]
    fn handle(
        &self,
        reader: Reader<T>,
        options: &Options,
        stop: watch::Receiver<bool>,
    ) -> BoxFuture<'static, Result<(), ForEachError>>;
}

/// What both kinds need to know.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) on_failure: OnFailure,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) save_after: usize,
    pub(crate) save_interval: Duration,
    pub(crate) max_unfinished: NonZeroUsize,
}

impl Options {
    fn apply<T, K>(&self, each: ForEach<T, K>, mut stop: watch::Receiver<bool>) -> ForEach<T, K> {
        let dead_letters = self.dead_letters.clone();
        each.on_failure(self.on_failure)
            .save_after(self.save_after)
            .save_interval(self.save_interval)
            .max_unfinished(self.max_unfinished)
            .dead_letters(move |record: Undecodable| {
                let dead_letters = dead_letters.clone();
                async move { dead_letters.handle(record).await }
            })
            .until(async move { drop(stop.wait_for(|stop| *stop).await) })
    }
}

/// Calls a function with each record: [`FleetBuilder::per_record`](crate::FleetBuilder::per_record).
pub struct PerRecord<T, F> {
    f: Arc<F>,
    pub(crate) concurrency: Concurrency,
    pub(crate) retries: Option<Retries<T>>,
}

/// How often a record that failed is tried again, and what copies it.
pub(crate) struct Retries<T> {
    pub(crate) count: u32,
    pub(crate) copy: fn(&Received<T>) -> Received<T>,
}

impl<T, F> PerRecord<T, F> {
    pub(crate) fn new(f: F) -> Self {
        Self {
            f: Arc::new(f),
            concurrency: Concurrency::default(),
            retries: None,
        }
    }
}

#[expect(private_interfaces, reason = "other crates cannot implement it")]
impl<T, F, Fut, E> Kind<T> for PerRecord<T, F>
where
    T: FromKplRecordOwned + Send + Sync + 'static,
    F: Fn(Received<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Error> + Send + 'static,
{
    fn handle(
        &self,
        reader: Reader<T>,
        options: &Options,
        stop: watch::Receiver<bool>,
    ) -> BoxFuture<'static, Result<(), ForEachError>> {
        let f = Arc::clone(&self.f);
        let mut each = reader.for_each(move |record| f(record)).concurrency(self.concurrency);
        if let Some(Retries { count, copy }) = &self.retries {
            each = each.retries_of_copies(*count, *copy);
        }
        Box::pin(options.apply(each, stop).run())
    }
}

/// Calls a function with the records of a shard that are at hand:
/// [`FleetBuilder::per_shard`](crate::FleetBuilder::per_shard).
pub struct PerShard<F>(Arc<F>);

impl<F> PerShard<F> {
    pub(crate) fn new(f: F) -> Self {
        Self(Arc::new(f))
    }
}

#[expect(private_interfaces, reason = "other crates cannot implement it")]
impl<T, F, Fut, R, E> Kind<T> for PerShard<F>
where
    T: FromKplRecordOwned + Send + Sync + 'static,
    F: Fn(ShardRecords<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Into<Failures> + Send + 'static,
    E: Into<Error> + Send + 'static,
{
    fn handle(
        &self,
        reader: Reader<T>,
        options: &Options,
        stop: watch::Receiver<bool>,
    ) -> BoxFuture<'static, Result<(), ForEachError>> {
        let f = Arc::clone(&self.0);
        let each = reader.for_each_shard(move |records| f(records));
        Box::pin(options.apply(each, stop).run())
    }
}

impl<T, F> fmt::Debug for PerRecord<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerRecord")
            .field("concurrency", &self.concurrency)
            .field("retries", &self.retries.as_ref().map_or(0, |retries| retries.count))
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for PerShard<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerShard").finish_non_exhaustive()
    }
}
