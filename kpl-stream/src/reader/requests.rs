//! The requests of a reader: each has a time-out, and those that may succeed later are repeated.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::budget::Budget;
use super::builder::Options;
use super::error::ReaderError;
use super::progress::Behind;
use crate::backoff::Backoff;
use crate::client::{ErrorClass, IteratorStart, ReadClient, RequestError, ShardDescription, StreamIdentity};
use crate::clock;

/// What all tasks of a reader share.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) client: Arc<dyn ReadClient>,
    pub(super) stream: Arc<str>,
    /// Which stream it is, if that is known.
    pub(super) identity: Option<StreamIdentity>,
    pub(super) options: Options,
    pub(super) budget: Arc<Budget>,
    /// One permit for each iterator that may be requested at the same time.
    iterators: Semaphore,
    pub(super) behind: Behind,
}

/// Requests that failed one after another.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u32,
    /// When the first of them was made.
    since: Option<Instant>,
}

impl Failures {
    pub(super) const fn are_none(&self) -> bool {
        self.count == 0
    }

    /// Notes that a request failed that was made at this time. Returns when the first one was made.
    pub(super) fn note(&mut self, started: Instant) -> Instant {
        self.count = self.count.saturating_add(1);
        *self.since.get_or_insert(started)
    }
}

/// How many iterators are requested at the same time when a reader of many shards starts.
const ITERATORS: usize = 16;

/// The code for an iterator that is older than
/// [five minutes](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html).
pub(super) const EXPIRED_ITERATOR: &str = "ExpiredIteratorException";
pub(super) const INVALID_ARGUMENT: &str = "InvalidArgumentException";

impl Requests {
    pub(super) fn new(
        client: Arc<dyn ReadClient>,
        stream: Arc<str>,
        options: Options,
        max_buffered_bytes: usize,
    ) -> Self {
        Self {
            client,
            stream,
            identity: None,
            options,
            budget: Arc::new(Budget::new(max_buffered_bytes)),
            iterators: Semaphore::new(ITERATORS),
            behind: Behind::default(),
        }
    }

    pub(super) async fn list_shards(&self) -> Result<Vec<ShardDescription>, ReaderError> {
        let list = || self.limited(self.client.list_shards(&self.stream));
        let shards = self.retried(None, "ListShards", list).await;
        shards.map_err(|error| self.refused(None, "ListShards", error))
    }

    /// Returns which stream has the name now, or `None` if that cannot be found out.
    pub(super) async fn identify(&self) -> Result<Option<StreamIdentity>, ReaderError> {
        const OPERATION: &str = "DescribeStreamSummary";
        let identify = || self.limited(self.client.identify_stream(&self.stream));
        match self.retried(None, OPERATION, identify).await {
            Err(error) if error.class == ErrorClass::Permanent => {
                tracing::debug!(stream = &*self.stream, %error, "which stream it is cannot be found out");
                Ok(None)
            }
            identity => identity.map_err(|error| self.refused(None, OPERATION, error)),
        }
    }

    /// Checks that the stream was not deleted and created anew since the reader was built.
    pub(super) async fn check_identity(&self) -> Result<(), ReaderError> {
        let found = self.identify().await?;
        match self.identity.as_ref().zip(found.as_ref()) {
            Some((identity, other)) if identity.differs_from(other) => Err(ReaderError::OtherStream {
                stream: Arc::clone(&self.stream),
                saved: self.identity.clone(),
                found,
            }),
            _ => Ok(()),
        }
    }

    pub(super) async fn shard_iterator(&self, shard_id: &str, start: IteratorStart) -> Result<String, RequestError> {
        let get = || async {
            let _permit = self.iterators.acquire().await;
            let get = self.client.get_shard_iterator(&self.stream, shard_id, start.clone());
            self.limited(get).await
        };
        self.retried(Some(shard_id), "GetShardIterator", get).await
    }

    /// Makes a request, and repeats it until it succeeds, fails in a way that repeating it does not change, or has
    /// failed for too long.
    pub(super) async fn retried<R, F>(
        &self,
        shard_id: Option<&str>,
        operation: &'static str,
        mut request: impl FnMut() -> F,
    ) -> Result<R, RequestError>
    where
        F: Future<Output = Result<R, RequestError>>,
    {
        let mut failures = Failures::default();
        loop {
            let started = clock::now();
            match request().await {
                Err(error) if !error.class.is_final() => {
                    self.wait_after(error, &mut failures, started, shard_id, operation)
                        .await?;
                }
                result => return result,
            }
        }
    }

    /// Waits before a request that failed is made again. Returns the error if requests have failed for too long.
    pub(super) async fn wait_after(
        &self,
        error: RequestError,
        failures: &mut Failures,
        started: Instant,
        shard_id: Option<&str>,
        operation: &'static str,
    ) -> Result<(), RequestError> {
        let failures_before = failures.count;
        let since = failures.note(started);
        let left = clock::after(since, self.options.give_up_after).saturating_duration_since(clock::now());
        if left.is_zero() {
            return Err(error);
        }
        let delay = backoff(failures_before).min(left);
        let failures = failures.count;
        tracing::warn!(stream = &*self.stream, shard_id, operation, %error, ?delay, failures, "made again later");
        sleep(delay).await;
        Ok(())
    }

    /// Makes a request with a time-out. It may be repeated if it times out: a reader's requests do not change anything.
    pub(super) async fn limited<R>(
        &self,
        request: impl Future<Output = Result<R, RequestError>>,
    ) -> Result<R, RequestError> {
        let limit = self.options.request_timeout;
        let answer = timeout(limit, request).await;
        answer.unwrap_or_else(|_| Err(RequestError::timed_out(limit)))
    }

    pub(super) fn refused(
        &self,
        shard_id: Option<&Arc<str>>,
        operation: &'static str,
        error: RequestError,
    ) -> ReaderError {
        let (stream, shard_id) = (Arc::clone(&self.stream), shard_id.cloned());
        if error.class.is_final() {
            return ReaderError::Request {
                stream,
                shard_id,
                operation,
                error,
            };
        }
        ReaderError::GaveUp {
            stream,
            shard_id,
            operation,
            after: self.options.give_up_after,
            error,
        }
    }
}

/// Returns how long to wait after a failure that follows `failures_before` others.
pub(super) fn backoff(failures_before: u32) -> Duration {
    Backoff::READS.pause(failures_before, fastrand::f64())
}
