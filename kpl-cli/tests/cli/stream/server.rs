//! `kpl` beside a Kinesis server with one stream.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kpl_testkit::server::{BlockingServer, ServerBuilder};
use serde_json::Value;

use crate::support::{Run, command, run};

const STREAM: &str = "clicks";

/// A server with a stream `clicks`. It ends when it is dropped.
pub(crate) struct Server(BlockingServer);

impl Server {
    /// Starts a server whose stream has this many shards.
    pub(crate) fn start(shards: i32) -> Self {
        Self::with(kpl_testkit::server::Server::builder(), shards)
    }

    /// Starts a server with options.
    pub(crate) fn with(builder: ServerBuilder, shards: i32) -> Self {
        let server = builder.start_blocking();
        server.block_on(server.create_stream(STREAM, shards));
        Self(server)
    }

    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }

    /// Splits a shard in the middle.
    pub(crate) fn split(&self, shard_id: &str) {
        self.0.block_on(self.0.split(STREAM, shard_id));
    }

    /// Merges two neighbours.
    pub(crate) fn merge(&self, shard_id: &str, adjacent: &str) {
        self.0.block_on(self.0.merge(STREAM, shard_id, adjacent));
    }

    /// Puts one Kinesis record as it is.
    pub(crate) fn put_record(&self, partition_key: &str, data: &[u8]) {
        self.0.block_on(self.0.put_record(STREAM, partition_key, data));
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
            .env("AWS_ENDPOINT_URL", self.url())
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

    /// Waits until there are this many Kinesis records in the shard.
    pub(crate) fn wait_for_records(&self, shard_id: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.0.block_on(self.0.records_of(STREAM, shard_id)).len() < count {
            assert!(Instant::now() < deadline, "{shard_id} has fewer than {count} records");
            std::thread::sleep(Duration::from_millis(20));
        }
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
    signal(child, "INT");
}

#[cfg(unix)]
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}
