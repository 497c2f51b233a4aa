//! A Kinesis server in this process, over HTTP, and helpers for its streams.

use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Record, Shard, ShardIteratorType, StreamStatus};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use ferrokinesis::store::StoreOptions;
use kpl_core::SealedRecord;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The service's largest body of a PutRecords request: 10 MiB before base64, plus room for the JSON around it.
const MAX_BODY: usize = 16 << 20;

/// A Kinesis server. It ends when it is dropped, or with the runtime in which it was started.
#[derive(Debug)]
pub struct Server {
    url: String,
    config: SdkConfig,
    sdk: Client,
    _stop: oneshot::Sender<()>,
}

/// The options of a server. By default its streams and shards are available at once, and it accepts any number of
/// records.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    store: StoreOptions,
    body_limit: Option<usize>,
    refused: Option<&'static str>,
}

impl Server {
    /// Starts a server with the default options.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Returns a builder for a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            store: StoreOptions {
                create_stream_ms: 0,
                delete_stream_ms: 0,
                update_stream_ms: 0,
                shard_limit: 10_000,
                ..StoreOptions::default()
            },
            body_limit: Some(MAX_BODY),
            refused: None,
        }
    }

    /// Returns the URL of the server, such as `http://127.0.0.1:4567`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a configuration of the AWS SDK that uses this server.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Returns the SDK's own client.
    pub fn sdk(&self) -> &Client {
        &self.sdk
    }

    /// Creates a stream, and waits until it is active.
    pub async fn create_stream(&self, stream: &str, shards: i32) {
        let request = self.sdk.create_stream().stream_name(stream).shard_count(shards);
        request.send().await.expect("the stream is created");
        self.wait_until_active(stream).await;
    }

    /// Returns every shard of a stream, open or closed, parents before children.
    pub async fn shards(&self, stream: &str) -> Vec<Shard> {
        let answer = self.sdk.list_shards().stream_name(stream).send().await;
        answer.expect("the shards are listed").shards.unwrap_or_default()
    }

    /// Splits a shard in the middle.
    pub async fn split(&self, stream: &str, shard_id: &str) {
        let shards = self.shards(stream).await;
        let shard = shards.iter().find(|shard| shard.shard_id == shard_id);
        let range = shard.and_then(|shard| shard.hash_key_range.as_ref()).expect("a shard");
        let [start, end] =
            [&range.starting_hash_key, &range.ending_hash_key].map(|key| key.parse::<u128>().expect("a hash key"));
        let middle = start + (end - start) / 2 + 1;
        let request = self.sdk.split_shard().stream_name(stream).shard_to_split(shard_id);
        let request = request.new_starting_hash_key(middle.to_string());
        request.send().await.expect("the shard is split");
        self.wait_until_active(stream).await;
    }

    /// Merges two neighbouring shards.
    pub async fn merge(&self, stream: &str, shard_id: &str, adjacent: &str) {
        let request = self.sdk.merge_shards().stream_name(stream).shard_to_merge(shard_id);
        let request = request.adjacent_shard_to_merge(adjacent);
        request.send().await.expect("the shards are merged");
        self.wait_until_active(stream).await;
    }

    async fn wait_until_active(&self, stream: &str) {
        loop {
            let request = self.sdk.describe_stream_summary().stream_name(stream);
            let answer = request.send().await.expect("the stream is described");
            let summary = answer.stream_description_summary.expect("a summary");
            if summary.stream_status == StreamStatus::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Puts records in one request, all of which must be written. Returns the shards that they were written to.
    pub async fn put(&self, stream: &str, records: impl IntoIterator<Item = SealedRecord>) -> Vec<String> {
        let entries = records.into_iter().map(|record| {
            let entry = PutRecordsRequestEntry::builder()
                .data(Blob::new(record.data))
                .partition_key(record.partition_key.into_string())
                .explicit_hash_key(record.explicit_hash_key.to_string());
            entry.build().expect("an entry")
        });
        let request = self.sdk.put_records().stream_name(stream);
        let answer = request.set_records(Some(entries.collect())).send().await;
        let results = answer.expect("the records are put").records;
        let shards = results.into_iter().map(|result| match result.shard_id {
            Some(shard_id) => shard_id,
            None => panic!("not written: {result:?}"),
        });
        shards.collect()
    }

    /// Puts one Kinesis record unchanged.
    pub async fn put_record(&self, stream: &str, partition_key: &str, data: &[u8]) {
        let request = self.sdk.put_record().stream_name(stream).partition_key(partition_key);
        request.data(Blob::new(data)).send().await.expect("the record is put");
    }

    /// Returns all Kinesis records of a stream, shard by shard, parents before children.
    pub async fn records(&self, stream: &str) -> Vec<Record> {
        let mut records = Vec::new();
        for shard in self.shards(stream).await {
            records.extend(self.records_of(stream, &shard.shard_id).await);
        }
        records
    }

    /// Returns all Kinesis records of a shard.
    pub async fn records_of(&self, stream: &str, shard_id: &str) -> Vec<Record> {
        let request = self.sdk.get_shard_iterator().stream_name(stream).shard_id(shard_id);
        let request = request.shard_iterator_type(ShardIteratorType::TrimHorizon);
        let mut iterator = request.send().await.expect("an iterator").shard_iterator;
        let mut records = Vec::new();
        while iterator.is_some() {
            let request = self.sdk.get_records().set_shard_iterator(iterator);
            let answer = request.send().await.expect("the records are read");
            iterator = answer.next_shard_iterator.filter(|_| !answer.records.is_empty());
            records.extend(answer.records);
        }
        records
    }
}

impl ServerBuilder {
    /// Limits what a shard accepts, as the service does: 1,000 records and 1 MiB per second.
    #[must_use]
    pub fn enforce_limits(mut self) -> Self {
        self.store.enforce_limits = true;
        self
    }

    /// Sets how long a shard iterator can be used.
    #[must_use]
    pub fn iterator_ttl_seconds(mut self, seconds: u64) -> Self {
        self.store.iterator_ttl_seconds = seconds;
        self
    }

    /// Sets how long a subscription to a shard lasts. By default it is 5 minutes, as the service's.
    #[must_use]
    pub fn subscription_time(mut self, time: Duration) -> Self {
        self.store.subscribe_to_shard_session_ms = u64::try_from(time.as_millis()).expect("milliseconds");
        self
    }

    /// Sets how many records an event of a subscription has, at most.
    #[must_use]
    pub fn event_records(mut self, records: usize) -> Self {
        self.store.subscribe_to_shard_event_record_limit = records;
        self
    }

    /// Sets the largest body of a request in bytes. By default it is the service's limit of 16 MiB. With `None` it is
    /// axum's own limit of 2 MB, and a larger request is answered with 413.
    ///
    /// Independently of this, ferrokinesis 0.7 refuses a PutRecords request of more than 5 MiB before base64.
    #[must_use]
    pub fn body_limit(mut self, bytes: Option<usize>) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Refuses an operation, such as `ListShards`, as the service does if the caller may not do it:
    /// `AccessDeniedException`.
    #[must_use]
    pub fn refuse(mut self, operation: &'static str) -> Self {
        self.refused = Some(operation);
        self
    }

    /// Starts the server in the current runtime.
    pub async fn start(self) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (mut app, _) = ferrokinesis::create_app(self.store);
        if let Some(bytes) = self.body_limit {
            app = app.layer(DefaultBodyLimit::max(bytes));
        }
        if let Some(operation) = self.refused {
            app = app.layer(from_fn(move |request, next| refuse(operation, request, next)));
        }
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            let served = ferrokinesis::serve_plain_http(listener, app, stopped).await;
            served.expect("the server runs");
        });
        let config = crate::aws::config(&url, "key").await;
        Server {
            url,
            sdk: Client::new(&config),
            config,
            _stop: stop,
        }
    }

    /// Starts the server in a runtime of its own, for code that is not async.
    pub fn start_blocking(self) -> BlockingServer {
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(self.start());
        BlockingServer { server, runtime }
    }
}

async fn refuse(operation: &'static str, request: Request, next: Next) -> Response {
    let target = request.headers().get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok()).unwrap_or_default();
    if target.rsplit('.').next() != Some(operation) {
        return next.run(request).await;
    }
    let body = json!({
        "__type": "AccessDeniedException",
        "message": format!("not authorized to perform kinesis:{operation}"),
    });
    let headers = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    (StatusCode::BAD_REQUEST, headers, body.to_string()).into_response()
}

/// A server for code that is not async: `server.block_on(server.create_stream("clicks", 2))`.
#[derive(Debug)]
pub struct BlockingServer {
    server: Server,
    runtime: Runtime,
}

impl BlockingServer {
    /// Waits for the result of a call to the server.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

impl Deref for BlockingServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Returns the stream that an example uses: the one that the first argument names, in the AWS account of the
/// environment. Without an argument it is a new stream of a server in this process, which has the service's limits and
/// ends with the process.
pub async fn config_and_stream() -> (SdkConfig, String) {
    if let Some(stream) = std::env::args().nth(1) {
        return (aws_config::load_defaults(BehaviorVersion::latest()).await, stream);
    }
    println!("No stream was named: this is a server in this process.");
    let server: &'static Server = Box::leak(Box::new(Server::builder().enforce_limits().start().await));
    server.create_stream("clicks", 2).await;
    (server.config().clone(), "clicks".to_owned())
}
