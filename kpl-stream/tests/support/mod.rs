//! A Kinesis server in this process, over HTTP, for the tests of one file.

#![allow(dead_code, reason = "each test file needs a part of it")]

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Credentials;
use aws_sdk_kinesis::types::{Shard, StreamStatus};
use ferrokinesis::store::StoreOptions;
use kpl_core::{HashKey, SealedRecord};
use kpl_stream::aws::{AwsClient, ToSdk as _};
use tokio::sync::oneshot;

/// The server. It ends when it is dropped.
pub(crate) struct Server {
    config: SdkConfig,
    sdk: Client,
    _stop: oneshot::Sender<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(options()).await
    }

    pub(crate) async fn with(options: StoreOptions) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (app, _) = ferrokinesis::create_app(options);
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            ferrokinesis::serve_plain_http(listener, app, stopped).await.unwrap();
        });
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(url)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .load()
            .await;
        Self {
            sdk: Client::new(&config),
            config,
            _stop: stop,
        }
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The SDK's own client.
    pub(crate) fn sdk(&self) -> &Client {
        &self.sdk
    }

    pub(crate) fn client(&self) -> Arc<AwsClient> {
        Arc::new(AwsClient::new(&self.config))
    }

    pub(crate) async fn create_stream(&self, stream: &str, shards: i32) {
        let request = self.sdk.create_stream().stream_name(stream).shard_count(shards);
        request.send().await.unwrap();
        self.wait_until_active(stream).await;
    }

    /// Every shard, open or closed.
    pub(crate) async fn shards(&self, stream: &str) -> Vec<Shard> {
        let answer = self.sdk.list_shards().stream_name(stream).send().await.unwrap();
        answer.shards.unwrap_or_default()
    }

    /// Splits a shard in the middle.
    pub(crate) async fn split(&self, stream: &str, shard_id: &str) {
        let shards = self.shards(stream).await;
        let shard = shards.iter().find(|shard| shard.shard_id == shard_id).unwrap();
        let range = shard.hash_key_range.as_ref().unwrap();
        let [start, end] = [&range.starting_hash_key, &range.ending_hash_key].map(|key| key.parse::<u128>().unwrap());
        let middle = HashKey::new(start + (end - start) / 2 + 1);
        let request = self.sdk.split_shard().stream_name(stream).shard_to_split(shard_id);
        let request = request.new_starting_hash_key(middle.to_string());
        request.send().await.unwrap();
        self.wait_until_active(stream).await;
    }

    /// Merges two neighbours.
    pub(crate) async fn merge(&self, stream: &str, shard_id: &str, adjacent: &str) {
        let request = self.sdk.merge_shards().stream_name(stream).shard_to_merge(shard_id);
        request.adjacent_shard_to_merge(adjacent).send().await.unwrap();
        self.wait_until_active(stream).await;
    }

    async fn wait_until_active(&self, stream: &str) {
        loop {
            let request = self.sdk.describe_stream_summary().stream_name(stream);
            let summary = request.send().await.unwrap().stream_description_summary.unwrap();
            if summary.stream_status == StreamStatus::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Puts records in one request, and panics unless every one was written. The shards that took them.
    pub(crate) async fn put(&self, stream: &str, records: impl IntoIterator<Item = SealedRecord>) -> Vec<String> {
        let entries = records.into_iter().map(SealedRecord::to_sdk).collect();
        let request = self.sdk.put_records().stream_name(stream).set_records(Some(entries));
        let answer = request.send().await.unwrap();
        assert_eq!(
            answer.failed_record_count.unwrap_or_default(),
            0,
            "{:?}",
            answer.records
        );
        let shards = answer.records.into_iter().map(|result| result.shard_id.unwrap());
        shards.collect()
    }
}

/// Shards and streams that are there at once.
pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        create_stream_ms: 0,
        delete_stream_ms: 0,
        update_stream_ms: 0,
        shard_limit: 10_000,
        ..StoreOptions::default()
    }
}
