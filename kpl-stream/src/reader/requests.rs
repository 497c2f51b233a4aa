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
use super::subscribe::{self, Opened};
use super::task::Latest;
use crate::client::{Consumer, ErrorClass, IteratorStart, ReadClient, RequestError, ShardDescription, StreamIdentity};
use crate::clock;
use kpl_handler::Backoff;

/// What all tasks of a reader share.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) client: Arc<dyn ReadClient>,
    pub(super) stream: Arc<str>,
    /// Which stream it is, if that is known.
    pub(super) identity: Option<StreamIdentity>,
    /// The ARN of the consumer for enhanced fan-out, if the reader uses it.
    pub(super) consumer: Option<Arc<str>>,
    pub(super) options: Options,
    pub(super) budget: Arc<Budget>,
    /// One permit for each iterator or subscription that may be requested at the same time.
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
const RESOURCE_IN_USE: &str = "ResourceInUseException";
const LIMIT_EXCEEDED: &str = "LimitExceededException";

/// How often a consumer that is being created is looked at.
const CONSUMER_POLL: Duration = Duration::from_millis(500);

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
            consumer: None,
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

    /// Returns what points at the end of a shard now.
    pub(super) async fn latest(&self, shard_id: &str) -> Result<Latest, ReaderError> {
        let (latest, operation) = match &self.consumer {
            None => {
                let iterator = self.shard_iterator(shard_id, IteratorStart::Latest).await;
                (iterator.map(Latest::Iterator), "GetShardIterator")
            }
            Some(consumer) => {
                let subscribe = || async {
                    let _permit = self.iterators.acquire().await;
                    let asked = clock::now();
                    let subscribe = self
                        .client
                        .subscribe_to_shard(consumer, shard_id, IteratorStart::Latest);
                    let subscription = self.limited(subscribe).await?;
                    Ok(Opened { subscription, asked })
                };
                let opened = self.retried(Some(shard_id), subscribe::OPERATION, subscribe).await;
                (opened.map(Latest::Subscription), subscribe::OPERATION)
            }
        };
        latest.map_err(|error| self.refused(Some(&shard_id.into()), operation, error))
    }

    /// Returns the ARN of a consumer that can subscribe to shards, given its name or its ARN. If there is none of this
    /// name, it is registered.
    pub(super) async fn active_consumer(&self, name_or_arn: &str) -> Result<Arc<str>, ReaderError> {
        const DESCRIBE: &str = "DescribeStreamConsumer";
        if name_or_arn.starts_with("arn:") {
            return Ok(name_or_arn.into());
        }
        let stream_arn = self.arn()?;
        loop {
            let describe = || self.limited(self.client.describe_consumer(stream_arn, name_or_arn));
            let found = self.retried(None, DESCRIBE, describe).await;
            let found = match found.map_err(|error| self.refused(None, DESCRIBE, error))? {
                Some(consumer) => Some(consumer),
                None => self.register(stream_arn, name_or_arn).await?,
            };
            match found {
                Some(consumer) if consumer.active => return Ok(consumer.arn.into()),
                _ => sleep(CONSUMER_POLL).await,
            }
        }
    }

    /// Registers a consumer. Returns `None` if there is one of this name after all.
    async fn register(&self, stream_arn: &str, name: &str) -> Result<Option<Consumer>, ReaderError> {
        const REGISTER: &str = "RegisterStreamConsumer";
        let register = || async {
            let register = self.client.register_consumer(stream_arn, name);
            match self.limited(register).await {
                Ok(consumer) => Ok(Some(consumer)),
                Err(error) if &*error.code == RESOURCE_IN_USE => Ok(None),
                // Waiting does not lower the number of consumers.
                Err(error) if &*error.code == LIMIT_EXCEEDED => Err(RequestError::permanent(error.code, error.message)),
                Err(error) => Err(error),
            }
        };
        let registered = self.retried(None, REGISTER, register).await;
        registered.map_err(|error| self.refused(None, REGISTER, error))
    }

    /// Returns the stream's ARN.
    fn arn(&self) -> Result<&str, ReaderError> {
        if self.stream.starts_with("arn:") {
            return Ok(&self.stream);
        }
        let identity = self.identity.as_ref();
        identity.map(|identity| &*identity.arn).ok_or_else(|| {
            let error = RequestError::permanent(
                "NoStreamArn",
                "the stream's ARN is not known, and a consumer cannot be found without it: permit the request, or name \
                 the stream or the consumer by its ARN",
            );
            self.refused(None, "DescribeStreamSummary", error)
        })
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
