//! A client that counts what is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use kpl_core::{SealedRecord, Shard};
use kpl_stream::client::{PutResult, RequestError, StreamDescription, WriteClient};

/// How much was sent so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    kinesis_records: AtomicU64,
    aggregated: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    /// Returns how many PutRecords requests were made.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns how many Kinesis records were written.
    pub(crate) fn kinesis_records(&self) -> u64 {
        self.kinesis_records.load(Ordering::Relaxed)
    }

    /// Returns how many of them were aggregated.
    pub(crate) fn aggregated(&self) -> u64 {
        self.aggregated.load(Ordering::Relaxed)
    }

    /// Returns how many bytes they had: their data and their partition keys.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(crate) struct CountingClient {
    pub(crate) client: Arc<dyn WriteClient>,
    pub(crate) sent: Arc<Counters>,
}

impl WriteClient for CountingClient {
    fn put_records<'a>(
        &'a self,
        stream: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        Box::pin(async move {
            self.sent.requests.fetch_add(1, Ordering::Relaxed);
            let sizes: Vec<_> = entries.iter().map(|entry| (entry.size(), entry.aggregated)).collect();
            let answer = self.client.put_records(stream, entries).await;
            let results = answer.as_deref().unwrap_or_default();
            for ((bytes, aggregated), _) in sizes.into_iter().zip(results).filter(|(_, result)| result.is_ok()) {
                self.sent.kinesis_records.fetch_add(1, Ordering::Relaxed);
                self.sent.aggregated.fetch_add(u64::from(aggregated), Ordering::Relaxed);
                self.sent.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            answer
        })
    }

    fn open_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        self.client.open_shards(stream)
    }

    fn describe_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        self.client.describe_stream(stream)
    }
}
