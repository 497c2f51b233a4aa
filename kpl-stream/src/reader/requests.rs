//! Requests of a reader: each has a time-out, and those that may succeed later are made again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::builder::Options;
use super::error::ReaderError;
use crate::client::{ErrorClass, IteratorStart, ReadClient, RequestError, ShardDescription, ShardFilter};

/// What all tasks of a reader share.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) client: Arc<dyn ReadClient>,
    pub(super) stream: Arc<str>,
    pub(super) options: Options,
    /// One permit for each batch that may be ahead of the consumer, and for each request about a shard.
    pub(super) batches: Arc<Semaphore>,
}

/// The code of an iterator that is older than
/// [five minutes](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html).
pub(super) const EXPIRED_ITERATOR: &str = "ExpiredIteratorException";
pub(super) const INVALID_ARGUMENT: &str = "InvalidArgumentException";
pub(super) const NOT_FOUND: &str = "ResourceNotFoundException";

impl Requests {
    pub(super) async fn list_shards(&self) -> Result<Vec<ShardDescription>, ReaderError> {
        let list = || self.limited(self.client.list_shards(&self.stream, ShardFilter::All));
        let shards = self.retried(None, "ListShards", list).await;
        shards.map_err(|error| self.refused(None, "ListShards", error))
    }

    pub(super) async fn shard_iterator(&self, shard_id: &str, start: IteratorStart) -> Result<String, RequestError> {
        let get = || async {
            let _permit = self.batches.acquire().await;
            let get = self.client.get_shard_iterator(&self.stream, shard_id, start.clone());
            self.limited(get).await
        };
        self.retried(Some(shard_id), "GetShardIterator", get).await
    }

    /// Makes a request until it succeeds, or fails in a way that making it again does not change.
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
                Err(error) if error.class != ErrorClass::Permanent && &*error.code != EXPIRED_ITERATOR => error,
                result => return result,
            };
            let delay = backoff(failures);
            failures = failures.saturating_add(1);
            tracing::warn!(stream = &*self.stream, shard_id, operation, %error, ?delay, failures, "made again later");
            sleep(delay).await;
        }
    }

    /// A request that was not answered in time is one that may be made again: none of them changes anything.
    pub(super) async fn limited<R>(
        &self,
        request: impl Future<Output = Result<R, RequestError>>,
    ) -> Result<R, RequestError> {
        let limit = self.options.request_timeout;
        timeout(limit, request).await.unwrap_or_else(|_| {
            let message = format!("no answer within {limit:?}");
            Err(RequestError::unanswered("TimeoutError", message))
        })
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

/// How long to wait after so many failures and one: 1 s, each time half as long again, up to 30 s; of that, a random part
/// of at least a half.
pub(super) fn backoff(failures: u32) -> Duration {
    let full = (1.5_f64.powi(i32::try_from(failures).unwrap_or(i32::MAX))).min(30.0);
    Duration::from_secs_f64(full * (0.5 + 0.5 * fastrand::f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_thirty_seconds() {
        for (failures, full) in [(0, 1.0), (1, 1.5), (2, 2.25), (8, 25.6), (9, 30.0), (u32::MAX, 30.0)] {
            for _ in 0..100 {
                let delay = backoff(failures).as_secs_f64();
                assert!((full / 2.0..full + 0.1).contains(&delay), "{failures}: {delay}");
            }
        }
    }
}
