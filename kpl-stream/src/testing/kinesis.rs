//! The service: which stream a request is for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;
use kpl_core::{SealedRecord, Shard};

use super::Stream;
use crate::client::{
    Consumer, Fetched, IteratorStart, PutResult, ReadClient, RequestError, ShardDescription, StreamDescription,
    StreamIdentity, Subscription, WriteClient,
};

/// Kinesis in memory: the client of producers and readers in tests. Clones share their streams.
///
/// A request for a stream that was not created is refused with `ResourceNotFoundException`.
///
/// ```
/// use kpl_core::RawRecord;
/// use kpl_stream::testing::Kinesis;
/// use kpl_stream::reader::Start;
/// use kpl_stream::{Producer, Reader};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kinesis = Kinesis::new();
/// kinesis.create_stream("clicks", 1);
///
/// let producer = Producer::builder().client(kinesis.clone()).build()?;
/// let clicks = producer.stream("clicks").await?;
/// clicks.send(RawRecord::new("anna", "/basket")).await?.await?;
///
/// let mut reader = Reader::<RawRecord>::builder().client(kinesis).start(Start::TrimHorizon).build("clicks").await?;
/// let record = reader.next().await.ok_or("the stream has not ended")??;
/// assert_eq!(record.partition_key(), Some("anna"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Kinesis {
    streams: Arc<Mutex<BTreeMap<String, Stream>>>,
}

impl Kinesis {
    /// Creates a service without streams.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a stream with this many shards of the same size, named as the service names them:
    /// `shardId-000000000000` and so on. Returns the stream, whose methods show what was written and make requests fail. If
    /// there is a stream of this name, the new one takes its place.
    ///
    /// # Panics
    ///
    /// If `shards` is 0.
    pub fn create_stream(&self, name: impl Into<String>, shards: usize) -> Stream {
        let name = name.into();
        let stream = Stream::new(&name, shards);
        self.streams().insert(name, stream.clone());
        stream
    }

    /// Returns a stream, or `None` if it was not created.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<Stream> {
        self.streams().get(name).cloned()
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Result<Stream, RequestError> {
        let error = || RequestError::refused("ResourceNotFoundException", format!("there is no stream {name}"));
        self.stream(name).ok_or_else(error)
    }

    /// Returns the stream whose ARN, or whose consumer's ARN, this is.
    fn find_by_arn(&self, arn: &str) -> Result<Stream, RequestError> {
        let name = arn.split('/').nth(1).unwrap_or_default();
        self.find(name)
    }
}

impl WriteClient for Kinesis {
    fn put_records<'a>(
        &'a self,
        stream: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        Box::pin(async { self.find(stream)?.service.put_records(stream, entries).await })
    }

    fn open_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<Shard>, RequestError>> {
        Box::pin(async { self.find(stream)?.service.open_shards(stream).await })
    }

    fn describe_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        Box::pin(async { self.find(stream)?.service.describe_stream(stream).await })
    }
}

impl ReadClient for Kinesis {
    fn list_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>> {
        Box::pin(async { self.find(stream)?.service.list_shards(stream).await })
    }

    fn get_shard_iterator<'a>(
        &'a self,
        stream: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<String, RequestError>> {
        Box::pin(async move {
            let service = self.find(stream)?.service;
            let iterator = service.get_shard_iterator(stream, shard_id, start).await?;
            Ok(format!("{stream}/{iterator}"))
        })
    }

    fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>> {
        Box::pin(async move {
            let invalid = || RequestError::refused("InvalidArgumentException", "not an iterator");
            let (stream, iterator) = iterator.split_once('/').ok_or_else(invalid)?;
            let mut fetched = self.find(stream)?.service.get_records(iterator, limit).await?;
            fetched.next_iterator = fetched.next_iterator.map(|next| format!("{stream}/{next}"));
            Ok(fetched)
        })
    }

    fn identify_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Option<StreamIdentity>, RequestError>> {
        Box::pin(async { self.find(stream)?.service.identify_stream(stream).await })
    }

    fn describe_consumer<'a>(
        &'a self,
        stream_arn: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Consumer>, RequestError>> {
        Box::pin(async move {
            let service = self.find_by_arn(stream_arn)?.service;
            service.describe_consumer(stream_arn, name).await
        })
    }

    fn register_consumer<'a>(
        &'a self,
        stream_arn: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Consumer, RequestError>> {
        Box::pin(async move {
            let service = self.find_by_arn(stream_arn)?.service;
            service.register_consumer(stream_arn, name).await
        })
    }

    fn subscribe_to_shard<'a>(
        &'a self,
        consumer_arn: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, RequestError>> {
        Box::pin(async move {
            let service = self.find_by_arn(consumer_arn)?.service;
            service.subscribe_to_shard(consumer_arn, shard_id, start).await
        })
    }
}
