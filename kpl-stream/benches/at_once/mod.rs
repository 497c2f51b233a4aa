//! A client that answers at once, and a pipeline with nothing else around it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_core::future::BoxFuture;
use kpl_core::{HashKey, HashKeyRange, SealedRecord, Shard};
use kpl_stream::Options;
use kpl_stream::client::{PutResult, RequestError, StreamDescription, WriteClient, Written};
use kpl_stream::pipeline::{Output, Pipeline};
use kpl_testkit::even_shards;

/// Answers at once that every entry was written.
#[derive(Debug)]
pub(crate) struct AtOnce {
    pub(crate) shards: Vec<Shard>,
    written: Vec<(HashKeyRange, Written)>,
    pub(crate) bytes: AtomicUsize,
}

impl AtOnce {
    pub(crate) fn new(count: u128) -> Self {
        let shards = even_shards(count);
        let written = shards
            .iter()
            .map(|shard| {
                let written = Written::new(&*shard.id, "49590338271490256608559692538361571095921575989136588898");
                (shard.range, written)
            })
            .collect();
        Self {
            shards,
            written,
            bytes: AtomicUsize::new(0),
        }
    }

    pub(crate) fn answer(&self, entries: &[SealedRecord]) -> Vec<PutResult> {
        let bytes: usize = entries
            .iter()
            .map(|entry| entry.data.len() + entry.partition_key.as_str().len())
            .sum();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        entries
            .iter()
            .map(|entry| Ok(self.written(entry.explicit_hash_key)))
            .collect()
    }

    fn written(&self, key: HashKey) -> Written {
        let place = self.written.iter().find(|(range, _)| range.contains(key));
        place.expect("the ranges hold every key").1.clone()
    }
}

impl WriteClient for AtOnce {
    fn put_records<'a>(
        &'a self,
        _: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        Box::pin(async move { Ok(self.answer(&entries)) })
    }

    fn open_shards<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        Box::pin(async { Ok(self.shards.clone()) })
    }

    fn describe_stream<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        Box::pin(async { Ok(StreamDescription::default()) })
    }
}

/// More than any shard of AWS takes: the client is to be the limit.
const RATE_LIMIT: u32 = 1_000_000;

pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.rate_limit = RATE_LIMIT;
    options
}

pub(crate) fn pump<H>(pipeline: &mut Pipeline<H>, client: &AtOnce, now: Instant) -> usize {
    let mut resolved = 0;
    while let Some(output) = pipeline.poll(now) {
        match output {
            Output::PutRecords { id, entries, .. } => pipeline.answered(id, Ok(client.answer(&entries)), now),
            Output::ListShards { id, .. } => {
                let shards = client.shards.clone();
                pipeline.listed(id, Ok((shards, StreamDescription::default())), now);
            }
            Output::Resolved(outcomes) => resolved += outcomes.count(),
            _ => {}
        }
    }
    drop(pipeline.take_measures());
    resolved
}
