//! What the function is called with: a record, or all records of a delivery.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use kpl_core::{FromKplRecordOwned, Origin, Received, UserRecord};
use kpl_handler::{Backoff, Concurrency, DeadLetters, Error, Failures, Hook, OnFailure, Place};
use tokio::time::sleep;

use super::failed::Failed;
use super::records::Records;

/// What a handler calls: [`PerRecord`] or [`PerBatch`]. Other crates cannot implement it.
#[expect(private_interfaces, reason = "other crates cannot implement it")]
pub trait Kind<T> {
    /// Returns how many calls there may be at a time, and in what order.
    #[doc(hidden)]
    fn concurrency(&self) -> Concurrency;

    /// Returns how many records a call gets, at most.
    #[doc(hidden)]
    fn records_per_call(&self) -> usize;

    /// Calls the function with the records of a range, and returns which of them are not done. Those for whose index `may_retry`
    /// returns `false` are not tried again.
    #[doc(hidden)]
    fn call(
        &self,
        records: &Records<'_>,
        range: Range<usize>,
        options: &Options,
        may_retry: impl Fn(usize) -> bool,
    ) -> impl Future<Output = Vec<NotDone>>;
}

/// What both kinds need to know.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) on_failure: OnFailure,
    pub(super) dead_letters: DeadLetters,
    pub(super) failed: Option<Hook<Failed>>,
    pub(super) retries: u32,
}

/// Records that a call was made with and that are not done.
#[derive(Debug)]
pub struct NotDone {
    /// Their indexes in the delivery.
    pub(super) indexes: Vec<usize>,
    /// Why they have failed, or `None` if they were left for later.
    pub(super) error: Option<Error>,
}

impl NotDone {
    fn one(index: usize, error: Error) -> Self {
        Self {
            indexes: vec![index],
            error: Some(error),
        }
    }
}

/// Calls a function with each user record.
pub struct PerRecord<F> {
    f: F,
    pub(super) concurrency: Concurrency,
}

impl<F> PerRecord<F> {
    pub(super) fn new(f: F) -> Self {
        let concurrency = Concurrency::default();
        Self { f, concurrency }
    }
}

#[expect(private_interfaces, reason = "other crates cannot implement it")]
impl<T, F, Fut, E> Kind<T> for PerRecord<F>
where
    T: FromKplRecordOwned,
    F: Fn(Received<T>) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Error>,
{
    fn concurrency(&self) -> Concurrency {
        self.concurrency
    }

    fn records_per_call(&self) -> usize {
        1
    }

    async fn call(
        &self,
        records: &Records<'_>,
        range: Range<usize>,
        options: &Options,
        may_retry: impl Fn(usize) -> bool,
    ) -> Vec<NotDone> {
        let index = range.start;
        let Some((record, origin)) = records.get(index) else {
            return Vec::new();
        };
        let mut attempts = 0;
        loop {
            let error = match Received::read(&record, Arc::clone(&origin)) {
                Ok(received) => match (self.f)(received).await {
                    Ok(()) => return Vec::new(),
                    Err(error) => error.into(),
                },
                Err(undecodable) => match options.dead_letters.handle(undecodable).await {
                    Ok(()) => return Vec::new(),
                    Err(error) => return vec![NotDone::one(index, error)],
                },
            };
            attempts += 1;
            if attempts > options.retries {
                return options.give_up(&[(record, origin)], attempts, error).await;
            }
            before_retry(&record, &origin, attempts, &error).await;
            if !may_retry(index) {
                return vec![NotDone {
                    indexes: vec![index],
                    error: None,
                }];
            }
        }
    }
}

/// Calls a function with all user records of a delivery.
pub struct PerBatch<F>(F);

impl<F> PerBatch<F> {
    pub(super) const fn new(f: F) -> Self {
        Self(f)
    }
}

#[expect(private_interfaces, reason = "other crates cannot implement it")]
impl<T, F, Fut, R, E> Kind<T> for PerBatch<F>
where
    T: FromKplRecordOwned,
    F: Fn(Vec<Received<T>>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    R: Into<Failures>,
    E: Into<Error>,
{
    fn concurrency(&self) -> Concurrency {
        Concurrency::Sequential
    }

    fn records_per_call(&self) -> usize {
        usize::MAX
    }

    async fn call(
        &self,
        records: &Records<'_>,
        range: Range<usize>,
        options: &Options,
        may_retry: impl Fn(usize) -> bool,
    ) -> Vec<NotDone> {
        let mut records: Vec<_> = range.filter_map(|index| records.get(index)).collect();
        let mut not_done = Vec::new();
        let mut attempts = 0;
        loop {
            let mut received = Vec::with_capacity(records.len());
            let mut readable = Vec::with_capacity(records.len());
            let mut waiting = records.into_iter();
            for (record, origin) in waiting.by_ref() {
                let undecodable = match Received::read(&record, Arc::clone(&origin)) {
                    Ok(value) => {
                        received.push(value);
                        readable.push((record, origin));
                        continue;
                    }
                    Err(undecodable) => undecodable,
                };
                if let Err(error) = options.dead_letters.handle(undecodable).await {
                    not_done.push(NotDone::one(record.kinesis_record_index, error));
                    if options.on_failure == OnFailure::Stop {
                        break;
                    }
                }
            }
            let left = indexes(waiting.as_slice());
            if !left.is_empty() {
                not_done.push(NotDone {
                    indexes: left,
                    error: None,
                });
            }
            records = readable;
            if received.is_empty() {
                return not_done;
            }
            let error = match (self.0)(received).await {
                Ok(failures) => {
                    let failures: Failures = failures.into();
                    if failures.is_empty() {
                        return not_done;
                    }
                    keep(&mut records, &failures);
                    "the function names it as one that failed".into()
                }
                Err(error) => error.into(),
            };
            attempts += 1;
            if attempts > options.retries {
                not_done.extend(options.give_up(&records, attempts, error).await);
                return not_done;
            }
            let Some((first, origin)) = records.first() else {
                return not_done;
            };
            before_retry(first, origin, attempts, &error).await;
            if !may_retry(first.kinesis_record_index) {
                let indexes = indexes(&records);
                not_done.push(NotDone { indexes, error: None });
                return not_done;
            }
        }
    }
}

/// Leaves those records that the function names as failed. One that it was not called with may stand for any of them.
fn keep(records: &mut Vec<(UserRecord<'_>, Arc<Origin>)>, failures: &Failures) {
    let named: HashSet<_> = failures
        .places()
        .iter()
        .map(|place| place.kinesis_record_index)
        .collect();
    if records
        .iter()
        .any(|(record, _)| named.contains(&record.kinesis_record_index))
    {
        records.retain(|(record, _)| named.contains(&record.kinesis_record_index));
    }
}

async fn before_retry(record: &UserRecord<'_>, origin: &Arc<Origin>, attempts: u32, error: &Error) {
    Place::of_user_record(record, Arc::clone(origin)).log_retry(error);
    sleep(Backoff::RECORDS.pause(attempts - 1, fastrand::f64())).await;
}

impl Options {
    /// Passes on records that failed each time, and returns those that nothing took.
    async fn give_up(&self, records: &[(UserRecord<'_>, Arc<Origin>)], attempts: u32, error: Error) -> Vec<NotDone> {
        let Some(failed) = &self.failed else {
            let indexes = indexes(records);
            let error = Some(error);
            return vec![NotDone { indexes, error }];
        };
        let error = Arc::from(error);
        let mut not_done = Vec::new();
        for (record, origin) in records {
            let handled = failed.handle(Failed {
                place: Place::of_user_record(record, Arc::clone(origin)),
                partition_key: record.partition_key.map(Into::into),
                data: record.data.into(),
                error: Arc::clone(&error),
                attempts,
            });
            if let Err(error) = handled.await {
                not_done.push(NotDone::one(record.kinesis_record_index, error));
            }
        }
        not_done
    }
}

fn indexes(records: &[(UserRecord<'_>, Arc<Origin>)]) -> Vec<usize> {
    records.iter().map(|(record, _)| record.kinesis_record_index).collect()
}

impl<F> fmt::Debug for PerRecord<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerRecord")
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for PerBatch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerBatch").finish_non_exhaustive()
    }
}
