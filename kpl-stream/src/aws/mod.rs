//! The service through the AWS SDK, and conversions between the SDK's records and kpl's.

mod convert;
mod error;

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::types::{self, ShardFilterType, ShardIteratorType};
use aws_types::SdkConfig;
use futures_core::future::BoxFuture;
use kpl_core::{SealedRecord, Shard};

pub use self::convert::{FromSdk, InvalidShard, ToSdk};

use self::convert::{child_shard, fetched, is_closed, put_result, shard_description};
use self::error::request_error;
use crate::client::{
    Distribution, Fetched, IteratorStart, PutResult, ReadClient, RequestError, ShardDescription, StreamDescription,
    WriteClient,
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
#[derive(Clone, Debug)]
pub struct AwsClient {
    client: Client,
}

impl AwsClient {
    /// Creates a client with the region, the credentials, the endpoint and the HTTP client of `config`.
    ///
    /// The client never retries: producers and readers retry by themselves, and report each attempt.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self::from_config(aws_sdk_kinesis::config::Builder::from(config))
    }

    /// Creates a client from a configuration with settings that an [`SdkConfig`] does not have. Its retries and its
    /// time-outs of whole operations are switched off.
    #[must_use]
    pub fn from_config(config: aws_sdk_kinesis::config::Builder) -> Self {
        // The caller decides how long an answer may take; only connecting is limited here.
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let config = config
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(config),
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
            let request = self.client.list_shards();
            let request = match next {
                Some(token) => request.next_token(token),
                None => of_stream!(request, stream).set_shard_filter(filter.clone()),
            };
            let page = request.send().await.map_err(request_error)?;
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
            let request = of_stream!(self.client.put_records(), stream).set_records(Some(entries));
            let answer = request.send().await.map_err(request_error)?;
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
            let request = of_stream!(self.client.describe_stream_summary(), stream);
            let answer = request.send().await.map_err(request_error)?;
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
        let request = of_stream!(self.client.get_shard_iterator(), stream).shard_id(shard_id);
        let request = match start {
            IteratorStart::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
            IteratorStart::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            IteratorStart::AtTimestamp(time) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(convert::date_time(time)),
            IteratorStart::AtSequenceNumber(number) => request
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(number),
        };
        Box::pin(async move {
            let answer = request.send().await.map_err(request_error)?;
            answer
                .shard_iterator
                .ok_or_else(|| RequestError::unanswered("NoShardIterator", "the answer has no shard iterator"))
        })
    }

    fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>> {
        Box::pin(async move {
            let request = self.client.get_records().shard_iterator(iterator);
            let request = request.limit(i32::try_from(limit).unwrap_or(i32::MAX));
            let answer = request.send().await.map_err(request_error)?;
            let children = answer.child_shards.unwrap_or_default();
            Ok(Fetched {
                records: answer.records.into_iter().map(fetched).collect(),
                next_iterator: answer.next_shard_iterator,
                behind_latest: answer
                    .millis_behind_latest
                    .and_then(|millis| u64::try_from(millis).ok())
                    .map(Duration::from_millis),
                child_shards: children.iter().map(child_shard).collect::<Result<_, _>>()?,
            })
        })
    }
}
