//! The requests of a reader: each has a time-out, and those that may succeed later are repeated.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::builder::Options;
use super::error::ReaderError;
use crate::backoff::Backoff;
use crate::client::{ErrorClass, IteratorStart, ReadClient, RequestError, ShardDescription, StreamIdentity};

/// What all tasks of a reader share.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) client: Arc<dyn ReadClient>,
    pub(super) stream: Arc<str>,
    /// Which stream it is, if that is known.
    pub(super) identity: Option<StreamIdentity>,
    pub(super) options: Options,
    /// One permit for each batch that may be ahead of the consumer, and for each request about a shard.
    pub(super) batches: Arc<Semaphore>,
}

/// The code for an iterator that is older than
/// [five minutes](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html).
pub(super) const EXPIRED_ITERATOR: &str = "ExpiredIteratorException";
pub(super) const INVALID_ARGUMENT: &str = "InvalidArgumentException";

impl Requests {
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
            let _permit = self.batches.acquire().await;
            let get = self.client.get_shard_iterator(&self.stream, shard_id, start.clone());
            self.limited(get).await
        };
        self.retried(Some(shard_id), "GetShardIterator", get).await
    }

    /// Makes a request, and repeats it until it succeeds or fails in a way that repeating it does not change.
    pub(super) async fn retried<R, F>(
        &self,
        shard_id: Option<&str>,
        operation: &'static str,
        mut request: impl FnMut() -> F,
    ) -> Result<R, RequestError>
    where
        F: Future<Output = Result<R, RequestError>>,
    {
        let mut failures = 0;
        loop {
            let error = match request().await {
                Err(error) if !error.class.is_final() && &*error.code != EXPIRED_ITERATOR => error,
                result => return result,
            };
            let delay = backoff(failures);
            failures = failures.saturating_add(1);
            tracing::warn!(stream = &*self.stream, shard_id, operation, %error, ?delay, failures, "made again later");
            sleep(delay).await;
        }
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
        ReaderError::Request {
            stream: Arc::clone(&self.stream),
            shard_id: shard_id.cloned(),
            operation,
            error,
        }
    }
}

/// Returns how long to wait after a failure that follows `failures_before` others.
pub(super) fn backoff(failures_before: u32) -> Duration {
    Backoff::READS.pause(failures_before, fastrand::f64())
}
