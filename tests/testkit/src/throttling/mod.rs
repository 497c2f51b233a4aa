//! A Kinesis server in this process that limits what its shards accept, fails on demand, counts, and keeps nothing.
//!
//! [`server`](crate::server) keeps every record, so that it can be read. This one is for overload and outages: it is fast,
//! and its memory does not grow with what it accepts.

mod http;
mod stream;

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::runtime::{Builder, Runtime};

use self::stream::Stream;
use crate::aws;
use crate::limit::Limit;

pub use self::stream::{Counts, ShardCounts, Totals};

/// A server that answers PutRecords, ListShards and DescribeStreamSummary for any number of streams. It runs on a thread
/// of its own, and ends when it is dropped.
pub struct ThrottlingServer {
    url: String,
    streams: Streams,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// The streams by their names.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<HashMap<String, Stream>>>);

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Stream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server does instead of answering a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers with the status 503 and a page of HTML, as a load balancer does.
    Unavailable,
    /// It answers that the caller is not allowed to do this.
    Denied,
    /// It never answers.
    NoAnswer,
    /// It refuses every entry of a PutRecords request with `InternalFailure`. Other requests are answered.
    EveryEntry,
}

impl ThrottlingServer {
    /// Starts a server without streams that answers at once, from code that is async or not.
    pub fn start() -> Self {
        Self::start_with_latency(Duration::ZERO)
    }

    /// Starts a server without streams that answers this long after it has carried out a request.
    pub fn start_with_latency(latency: Duration) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("throttling-server")
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let streams = Streams::default();
        runtime.spawn(http::serve(listener, streams.clone(), latency));
        Self {
            url,
            streams,
            runtime: Some(runtime),
        }
    }

    /// Returns the URL of the server, such as `http://127.0.0.1:4567`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a configuration of the AWS SDK that uses this server. The server counts what each access key id sends.
    pub async fn config(&self, access_key_id: &str) -> SdkConfig {
        aws::config(&self.url, access_key_id).await
    }

    /// Creates a stream of this many shards of the same size, or replaces it. Without a limit it accepts everything.
    pub fn create_stream(&self, name: &str, shards: u128, limit: Option<Limit>) {
        self.streams.lock().insert(name.to_owned(), Stream::new(shards, limit));
    }

    /// Makes a stream choose the shard of each record by itself, and say so.
    pub fn set_auto(&self, name: &str) {
        self.change(name, |stream| stream.auto = true);
    }

    /// Sets what happens to the PutRecords requests of a stream from now on. With `None` they are answered.
    pub fn fail_puts(&self, name: &str, fault: Option<Fault>) {
        self.change(name, |stream| stream.puts_fail = fault);
    }

    /// Sets what happens to the ListShards requests of a stream from now on. With `None` they are answered.
    pub fn fail_listings(&self, name: &str, fault: Option<Fault>) {
        self.change(name, |stream| stream.listings_fail = fault);
    }

    /// Returns what the stream was sent, and what it accepted.
    pub fn counts(&self, name: &str) -> Counts {
        self.change(name, |stream| stream.counts.clone())
    }

    fn change<R>(&self, name: &str, change: impl FnOnce(&mut Stream) -> R) -> R {
        change(self.streams.lock().get_mut(name).expect("the stream was created"))
    }
}

impl Drop for ThrottlingServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It does not wait, so that it may be dropped in async code.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for ThrottlingServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottlingServer")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
