//! A Kinesis server in this process, over HTTP.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Credentials;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{Shard, StreamStatus};
use ferrokinesis::store::StoreOptions;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::support::{Run, command, run};

/// The server. It ends when it is dropped.
pub(crate) struct Server {
    runtime: Runtime,
    url: String,
    sdk: Client,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// A server with a stream `clicks` of so many shards.
    pub(crate) fn start(shards: i32) -> Self {
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (url, sdk) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            // Shards and streams that are there at once.
            let (app, _) = ferrokinesis::create_app(StoreOptions {
                create_stream_ms: 0,
                delete_stream_ms: 0,
                update_stream_ms: 0,
                ..StoreOptions::default()
            });
            tokio::spawn(async move {
                let stopped = async move { drop(stopped.await) };
                ferrokinesis::serve_plain_http(listener, app, stopped).await.unwrap();
            });
            let config = aws_config::defaults(BehaviorVersion::latest())
                .endpoint_url(&url)
                .region(Region::new("us-east-1"))
                .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
                .load()
                .await;
            (url, Client::new(&config))
        });
        let server = Self {
            runtime,
            url,
            sdk,
            _stop: stop,
        };
        server.create_stream(shards);
        server
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn create_stream(&self, shards: i32) {
        self.runtime.block_on(async {
            let request = self.sdk.create_stream().stream_name("clicks").shard_count(shards);
            request.send().await.unwrap();
        });
        self.wait_until_active();
    }

    fn wait_until_active(&self) {
        loop {
            let summary = self.runtime.block_on(async {
                let request = self.sdk.describe_stream_summary().stream_name("clicks");
                request.send().await.unwrap().stream_description_summary.unwrap()
            });
            if summary.stream_status == StreamStatus::Active {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn shards(&self) -> Vec<Shard> {
        let request = self.sdk.list_shards().stream_name("clicks").send();
        self.runtime.block_on(request).unwrap().shards.unwrap()
    }

    /// Splits a shard in the middle.
    pub(crate) fn split(&self, shard_id: &str) {
        let shards = self.shards();
        let shard = shards.iter().find(|shard| shard.shard_id == shard_id).unwrap();
        let range = shard.hash_key_range.as_ref().unwrap();
        let [start, end] = [&range.starting_hash_key, &range.ending_hash_key].map(|key| key.parse::<u128>().unwrap());
        let middle = start + (end - start) / 2 + 1;
        let request = self.sdk.split_shard().stream_name("clicks").shard_to_split(shard_id);
        let request = request.new_starting_hash_key(middle.to_string()).send();
        self.runtime.block_on(request).unwrap();
        self.wait_until_active();
    }

    /// Merges two neighbours.
    pub(crate) fn merge(&self, shard_id: &str, adjacent: &str) {
        let request = self.sdk.merge_shards().stream_name("clicks").shard_to_merge(shard_id);
        let request = request.adjacent_shard_to_merge(adjacent).send();
        self.runtime.block_on(request).unwrap();
        self.wait_until_active();
    }

    /// Puts one Kinesis record as it is.
    pub(crate) fn put_record(&self, partition_key: &str, data: &[u8]) {
        let request = self.sdk.put_record().stream_name("clicks").partition_key(partition_key);
        let request = request.data(Blob::new(data)).send();
        self.runtime.block_on(request).unwrap();
    }

    /// `kpl`, in an environment that leads here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        self.lead(command.args(arguments));
        command
    }

    /// Leads a command here, and nowhere else.
    pub(crate) fn lead(&self, command: &mut Command) {
        forget_aws(command)
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
    }

    pub(crate) fn kpl(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Run {
        run(&mut self.command(arguments), input.as_ref())
    }

    /// Starts `kpl` and goes on.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// All user records of the stream, as `kpl tail` writes them.
    pub(crate) fn all(&self) -> Vec<Value> {
        let arguments = [
            "tail",
            "clicks",
            "--from",
            "trim-horizon",
            "--idle",
            "1",
            "--data",
            "text",
        ];
        self.kpl(&arguments, "").lines()
    }

    /// Waits until there are so many Kinesis records in the shard.
    pub(crate) fn wait_for_records(&self, shard_id: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.count_records(shard_id) < count {
            assert!(Instant::now() < deadline, "{shard_id} has fewer than {count} records");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn count_records(&self, shard_id: &str) -> usize {
        self.runtime.block_on(async {
            let request = self.sdk.get_shard_iterator().stream_name("clicks").shard_id(shard_id);
            let request = request.shard_iterator_type("TRIM_HORIZON".into());
            let iterator = request.send().await.unwrap().shard_iterator.unwrap();
            let records = self.sdk.get_records().shard_iterator(iterator).send().await.unwrap();
            records.records.len()
        })
    }
}

/// `kpl`, in an environment that says nothing of AWS.
pub(crate) fn outside(arguments: &[&str]) -> Command {
    let mut command = command();
    forget_aws(command.args(arguments));
    command
}

fn forget_aws(command: &mut Command) -> &mut Command {
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("AWS_") {
            command.env_remove(variable);
        }
    }
    command
        .env("AWS_CONFIG_FILE", "none")
        .env("AWS_SHARED_CREDENTIALS_FILE", "none")
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

/// Sends the signal of Ctrl-C.
#[cfg(unix)]
pub(crate) fn interrupt(child: &Child) {
    let status = Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}
