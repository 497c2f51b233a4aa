//! The service through the AWS SDK, and conversions between the SDK's records and kpl's.

mod convert;
mod error;
mod notes;
mod session;
mod subscription;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{
    BehaviorVersion, Builder, ProvideCredentials, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::types::{self, ConsumerStatus, ShardFilterType};
use aws_types::SdkConfig;
use futures_core::future::BoxFuture;
use kpl_core::{SealedRecord, Shard};

pub use self::convert::{FromSdk, InvalidShard, ToSdk};

use self::convert::{child_shard, fetched, is_closed, put_result, shard_description, timestamp};
use self::error::request_error;
use self::notes::{NoteTaker, noting};
use self::session::Sessions;
use self::subscription::Events;
use crate::client::{
    Consumer, Distribution, ErrorClass, Fetched, IteratorStart, PutResult, ReadClient, RequestError, ShardDescription,
    StreamDescription, StreamIdentity, Subscription, WriteClient,
};

/// Amazon Kinesis Data Streams, through the AWS SDK. Every method that takes a stream's name also takes its ARN.
///
/// ```
/// use kpl_stream::aws::AwsClient;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
/// let client = AwsClient::new(&config);
/// # drop(client);
/// # }
/// ```
///
/// # Errors
///
/// A request fails with the class [`Configuration`](crate::client::ErrorClass::Configuration), without being sent, and
/// with one of these codes, if the configuration does not allow any request:
///
/// | code | reason |
/// |---|---|
/// | `NoRegion`, `InvalidRegion` | the region is missing, or is not a valid one |
/// | `InvalidEndpoint` | the endpoint URL is not a valid one |
/// | `NoCredentials` | there is no provider of credentials, or it did not find any |
///
/// If the service answers that the credentials have expired or that it does not know them, the client loads them anew.
/// If that returns others, the error is transient. If it returns the same, the error is of that class as well, unless
/// they are known to expire: then their provider is expected to renew them soon.
#[derive(Clone, Debug)]
pub struct AwsClient {
    sessions: Arc<Sessions>,
}

impl AwsClient {
    /// Creates a client with the region, the credentials, the endpoint and the HTTP client of `config`.
    ///
    /// The client never retries: producers and readers retry by themselves, and report each attempt.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        // Without one, the SDK's client panics.
        let version = config.behavior_version().unwrap_or_else(BehaviorVersion::latest);
        let builder = Builder::from(config).behavior_version(version);
        Self::build(builder, config.credentials_provider())
    }

    /// Creates a client from a configuration with settings that an [`SdkConfig`] does not have. Its retries and its
    /// time-outs of whole operations are switched off, and `credentials` take the place of its own: the client must be
    /// able to load them anew.
    ///
    /// # Panics
    ///
    /// Panics, as the SDK's own client does, if `config` does not have a behavior version.
    #[must_use]
    pub fn from_config(config: Builder, credentials: impl ProvideCredentials + 'static) -> Self {
        let credentials = SharedCredentialsProvider::new(credentials);
        Self::build(config.credentials_provider(credentials.clone()), Some(credentials))
    }

    fn build(config: Builder, credentials: Option<SharedCredentialsProvider>) -> Self {
        // The caller decides how long an answer may take; only connecting is limited here.
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let config = config
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .interceptor(NoteTaker {
                has_credentials: credentials.is_some(),
            });
        Self {
            sessions: Arc::new(Sessions::new(config, credentials)),
        }
    }

    /// Makes a request.
    async fn ask<T, E, F>(&self, send: impl FnOnce(&Client) -> F) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let session = self.sessions.current();
        let (answer, notes) = noting(send(&session.client)).await;
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => request_error(&error, &notes),
        };
        match notes.sent {
            Some(sent) if session::refuses_credentials(&error.code) => {
                Err(self.sessions.renew(&session, &sent, error).await)
            }
            _ => Err(error),
        }
    }
}

/// The same as the AWS SDK's own default.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// Names the stream in a request, by its name or its ARN.
macro_rules! of_stream {
    ($request:expr, $stream:expr) => {
        if $stream.starts_with("arn:") {
            $request.stream_arn($stream)
        } else {
            $request.stream_name($stream)
        }
    };
}

impl AwsClient {
    async fn shards(
        &self,
        stream: &str,
        filter: Option<types::ShardFilter>,
    ) -> Result<Vec<types::Shard>, RequestError> {
        let mut shards = Vec::new();
        let mut next: Option<String> = None;
        loop {
            // A request for a page names the stream or a token, never both.
            let list = |client: &Client| match next {
                Some(token) => client.list_shards().next_token(token).send(),
                None => of_stream!(client.list_shards(), stream)
                    .set_shard_filter(filter.clone())
                    .send(),
            };
            let page = self.ask(list).await?;
            shards.extend(page.shards.unwrap_or_default());
            match page.next_token {
                Some(token) if !token.is_empty() => next = Some(token),
                _ => return Ok(shards),
            }
        }
    }
}

impl WriteClient for AwsClient {
    fn put_records<'a>(
        &'a self,
        stream: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        Box::pin(async move {
            let entries = entries.into_iter().map(ToSdk::to_sdk).collect();
            let put = |client: &Client| {
                of_stream!(client.put_records(), stream)
                    .set_records(Some(entries))
                    .send()
            };
            let answer = self.ask(put).await?;
            Ok(answer.records.into_iter().map(put_result).collect())
        })
    }

    fn open_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        Box::pin(async move {
            let at_latest = types::ShardFilter::builder().r#type(ShardFilterType::AtLatest);
            let shards = self.shards(stream, at_latest.build().ok()).await?;
            // Some servers for local use ignore the filter.
            let open = shards.iter().filter(|shard| !is_closed(shard));
            open.map(|shard| Ok(Shard::from_sdk(shard)?)).collect()
        })
    }

    fn describe_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        Box::pin(async move {
            let describe = |client: &Client| of_stream!(client.describe_stream_summary(), stream).send();
            let answer = self.ask(describe).await?;
            let summary = answer.stream_description_summary;
            let strategy = summary.and_then(|summary| summary.record_distribution_strategy);
            Ok(StreamDescription::new(match strategy {
                Some(types::RecordDistributionStrategy::Auto) => Some(Distribution::Auto),
                Some(types::RecordDistributionStrategy::UserPartitionKey) => Some(Distribution::UserPartitionKey),
                _ => None,
            }))
        })
    }
}

impl ReadClient for AwsClient {
    fn list_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>> {
        Box::pin(async move {
            let shards = self.shards(stream, None).await?;
            shards.iter().map(shard_description).collect()
        })
    }

    fn get_shard_iterator<'a>(
        &'a self,
        stream: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<String, RequestError>> {
        let get = move |client: &Client| {
            let (kind, time, number) = convert::iterator_type(start);
            let request = of_stream!(client.get_shard_iterator(), stream).shard_id(shard_id);
            let request = request.shard_iterator_type(kind).set_timestamp(time);
            request.set_starting_sequence_number(number).send()
        };
        Box::pin(async move {
            let answer = self.ask(get).await?;
            answer
                .shard_iterator
                .ok_or_else(|| RequestError::unanswered("NoShardIterator", "the answer has no shard iterator"))
        })
    }

    fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>> {
        Box::pin(async move {
            let limit = i32::try_from(limit).unwrap_or(i32::MAX);
            let get = |client: &Client| client.get_records().shard_iterator(iterator).limit(limit).send();
            let answer = self.ask(get).await?;
            let children = answer.child_shards.unwrap_or_default();
            Ok(Fetched {
                records: answer.records.into_iter().map(fetched).collect(),
                next_iterator: answer.next_shard_iterator,
                behind_latest: answer.millis_behind_latest.and_then(convert::millis),
                child_shards: children.iter().map(child_shard).collect::<Result<_, _>>()?,
            })
        })
    }

    fn identify_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Option<StreamIdentity>, RequestError>> {
        Box::pin(async move {
            let describe = |client: &Client| of_stream!(client.describe_stream_summary(), stream).send();
            let answer = self.ask(describe).await?;
            Ok(answer.stream_description_summary.map(|summary| StreamIdentity {
                arn: summary.stream_arn.into(),
                created_at: timestamp(&summary.stream_creation_timestamp),
            }))
        })
    }

    fn describe_consumer<'a>(
        &'a self,
        stream_arn: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Consumer>, RequestError>> {
        Box::pin(async move {
            let request = |client: &Client| {
                let request = client.describe_stream_consumer().stream_arn(stream_arn);
                request.consumer_name(name).send()
            };
            match self.ask(request).await {
                Ok(answer) => Ok(answer.consumer_description.map(|found| {
                    let active = found.consumer_status == ConsumerStatus::Active;
                    Consumer::new(found.consumer_arn, active)
                })),
                Err(error) if error.class == ErrorClass::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn register_consumer<'a>(
        &'a self,
        stream_arn: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Consumer, RequestError>> {
        Box::pin(async move {
            let request = |client: &Client| {
                let request = client.register_stream_consumer().stream_arn(stream_arn);
                request.consumer_name(name).send()
            };
            let answer = self.ask(request).await?;
            let registered = answer
                .consumer
                .ok_or_else(|| RequestError::unanswered("NoConsumer", "the answer has no consumer"))?;
            let active = registered.consumer_status == ConsumerStatus::Active;
            Ok(Consumer::new(registered.consumer_arn, active))
        })
    }

    fn subscribe_to_shard<'a>(
        &'a self,
        consumer_arn: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, RequestError>> {
        Box::pin(async move {
            let start = convert::starting_position(start)?;
            // A shard without records is not a connection that has stalled. The reader knows how long to wait.
            let patient = aws_sdk_kinesis::config::Config::builder()
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
            let request = |client: &Client| {
                let request = client
                    .subscribe_to_shard()
                    .consumer_arn(consumer_arn)
                    .shard_id(shard_id);
                let request = request.starting_position(start).customize();
                request.config_override(patient).send()
            };
            let answer = self.ask(request).await?;
            let subscription: Box<dyn Subscription> = Box::new(Events(answer));
            Ok(subscription)
        })
    }
}
