//! What the function is called with: a record, or all records of a delivery.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kpl_core::{FromKplRecordOwned, Origin, Received, UserRecord};
use kpl_handler::{Backoff, Concurrency, DeadLetters, Error, Failures, Place};
use tokio::time::sleep;

use super::failed::{Failed, FailedLetters};

/// What a handler calls: [`PerRecord`] or [`PerBatch`]. Nobody else can implement it.
#[expect(private_interfaces, reason = "nobody else can implement it")]
pub trait Kind<T> {
    /// Returns how many calls there may be at a time, and in what order.
    #[doc(hidden)]
    fn concurrency(&self) -> Concurrency;

    /// Returns how many records a call gets, at most.
    #[doc(hidden)]
    fn records_per_call(&self) -> usize;

    /// Calls the function, and returns which of the records are not done. None is tried again whose index is `end` or more.
    #[doc(hidden)]
    fn call(&self, records: Records<'_>, options: &Options, end: &AtomicUsize) -> impl Future<Output = Vec<NotDone>>;
}

/// What both kinds need to know.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) dead_letters: DeadLetters,
    pub(super) failed: Option<FailedLetters>,
    pub(super) retries: u32,
}

/// Records that a call is made with.
pub(super) type Records<'d> = Vec<(UserRecord<'d>, Arc<Origin>)>;

/// Records that a call was made with and that are not done.
#[derive(Debug)]
pub struct NotDone {
    /// Their indexes in the delivery.
    pub(super) indexes: Vec<usize>,
    /// Why they have failed, or `None` if they were left for later.
    pub(super) error: Option<Error>,
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

#[expect(private_interfaces, reason = "nobody else can implement it")]
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

    async fn call(&self, records: Records<'_>, options: &Options, end: &AtomicUsize) -> Vec<NotDone> {
        call(records, options, end, async |mut received| {
            let Some(received) = received.pop() else {
                return Ok(Failures::none());
            };
            (self.f)(received).await.map(Failures::from).map_err(Into::into)
        })
        .await
    }
}

/// Calls a function with all user records of a delivery.
pub struct PerBatch<F>(F);

impl<F> PerBatch<F> {
    pub(super) const fn new(f: F) -> Self {
        Self(f)
    }
}

#[expect(private_interfaces, reason = "nobody else can implement it")]
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

    async fn call(&self, records: Records<'_>, options: &Options, end: &AtomicUsize) -> Vec<NotDone> {
        call(records, options, end, async |received| {
            (self.0)(received).await.map(Into::into).map_err(Into::into)
        })
        .await
    }
}

/// Calls a function with records, and again with those that failed, as often as the options allow.
async fn call<T, F>(mut records: Records<'_>, options: &Options, end: &AtomicUsize, f: F) -> Vec<NotDone>
where
    T: FromKplRecordOwned,
    F: AsyncFn(Vec<Received<T>>) -> Result<Failures, Error>,
{
    let mut not_done = Vec::new();
    let mut attempts = 0;
    loop {
        let mut received = Vec::with_capacity(records.len());
        let mut undecodable = Vec::new();
        records.retain(|(record, origin)| match Received::read(record, Arc::clone(origin)) {
            Ok(value) => {
                received.push(value);
                true
            }
            Err(error) => {
                undecodable.push(error);
                false
            }
        });
        for undecodable in undecodable {
            let indexes = vec![undecodable.kinesis_record_index()];
            if let Err(error) = options.dead_letters.handle(undecodable).await {
                let error = Some(error);
                not_done.push(NotDone { indexes, error });
            }
        }
        if received.is_empty() {
            return not_done;
        }
        let error = match f(received).await {
            Ok(failures) if failures.is_empty() => return not_done,
            Ok(failures) => {
                let named: HashSet<_> = failures
                    .places()
                    .iter()
                    .map(|place| place.kinesis_record_index)
                    .collect();
                // A record that the function was not called with may stand for any of them.
                if records
                    .iter()
                    .any(|(record, _)| named.contains(&record.kinesis_record_index))
                {
                    records.retain(|(record, _)| named.contains(&record.kinesis_record_index));
                }
                "the function names it as one that failed".into()
            }
            Err(error) => error,
        };
        attempts += 1;
        if attempts > options.retries {
            not_done.extend(give_up(&records, options, attempts, error).await);
            return not_done;
        }
        if let Some((record, origin)) = records.first() {
            let shard_id = origin.shard_id.as_deref();
            let sequence_number = record.kinesis_record.sequence_number;
            let sub_sequence_number = record.sub_sequence_number;
            tracing::warn!(shard_id, sequence_number, sub_sequence_number, %error, "a user record is tried again");
        }
        sleep(Backoff::RECORDS.pause(attempts - 1, fastrand::f64())).await;
        let indexes = indexes(&records);
        if indexes.first() >= Some(&end.load(Ordering::Relaxed)) {
            not_done.push(NotDone { indexes, error: None });
            return not_done;
        }
    }
}

/// Passes on records that failed each time, and returns those that nothing took.
async fn give_up(records: &Records<'_>, options: &Options, attempts: u32, error: Error) -> Vec<NotDone> {
    let Some(failed) = &options.failed else {
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
            not_done.push(NotDone {
                indexes: vec![record.kinesis_record_index],
                error: Some(error),
            });
        }
    }
    not_done
}

fn indexes(records: &Records<'_>) -> Vec<usize> {
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
