//! What the service in memory consists of: a [`Service`] with one stream, whose requests fail as the test requires.
//!
//! The tests of this project use it directly. A test with a clock of its own uses the parts without the client: the
//! [`Stream`] and its [`Faults`].

mod faults;
mod limit;
mod stream;
mod subscription;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures_core::future::BoxFuture;
use kpl_core::SealedRecord;
use tokio::time::Instant;

use crate::client::{
    Consumer, Fetched, FetchedRecord, IteratorStart, PutResult, ReadClient, RequestError, ShardDescription,
    StreamDescription, StreamIdentity, Subscription, WriteClient,
};

pub use faults::{Answer, Fate, Faults};
pub use limit::{Limit, Room};
pub use stream::{Resharding, Shard, Stream, sequence_number};
pub use subscription::{Event, Subscriptions};

/// A service with one stream, which it returns for every name. Clones share it. Its time is tokio's.
#[derive(Clone)]
pub struct Service(Arc<Mutex<State>>);

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// The state of a service, what its next requests will do, and what it was asked for.
#[derive(Debug)]
pub struct State {
    /// The stream.
    pub stream: Stream,
    /// Which requests fail, and how often.
    pub faults: Faults,
    /// The random numbers that decide what fails.
    pub rng: Rng,
    /// The errors of a reader's next requests. `None` means that there is no answer.
    pub failures: VecDeque<Option<RequestError>>,
    /// The errors of a reader's next GetRecords requests.
    pub failing_reads: VecDeque<RequestError>,
    /// The errors of the next PutRecords requests.
    pub failing_puts: VecDeque<RequestError>,
    /// How many of the next PutRecords requests are carried out, and their answers cut off.
    pub cut_answers: usize,
    /// How many more PutRecords requests are carried out and answered. Later ones get no answer.
    pub puts: usize,
    /// How many PutRecords requests there were.
    pub put_requests: usize,
    /// How many more listings do not show shards with parents.
    pub stale_listings: usize,
    /// How long a PutRecords request takes.
    pub latency: Duration,
    /// How long a GetRecords request takes.
    pub read_latency: Duration,
    /// How many user records were written.
    pub user_records: usize,
    /// How often a reader listed the shards.
    pub listings: usize,
    /// Which iterators were requested: the shard's id, and the start.
    pub iterators: Vec<(String, IteratorStart)>,
    /// When records were requested, of which shard, and how many were returned.
    pub fetches: Vec<(Instant, String, usize)>,
    /// The consumers for enhanced fan-out, by name.
    pub consumers: BTreeMap<String, Consumer>,
    /// The errors of DescribeStreamConsumer and RegisterStreamConsumer, by operation.
    pub refused: BTreeMap<&'static str, RequestError>,
    /// How subscriptions behave, and which there were.
    pub subscriptions: Subscriptions,
}

impl Service {
    /// Returns a service with this stream. Nothing fails.
    pub fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(State {
            stream,
            faults: Faults::default(),
            rng: Rng::with_seed(0),
            failures: VecDeque::new(),
            failing_reads: VecDeque::new(),
            failing_puts: VecDeque::new(),
            cut_answers: 0,
            puts: usize::MAX,
            put_requests: 0,
            stale_listings: 0,
            latency: Duration::ZERO,
            read_latency: Duration::ZERO,
            user_records: 0,
            listings: 0,
            iterators: Vec::new(),
            fetches: Vec::new(),
            consumers: BTreeMap::new(),
            refused: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
        })))
    }

    /// Reads or changes the service.
    pub fn state<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the errors of a reader's next requests. `None` means that there is no answer.
    pub fn fail(&self, failures: impl IntoIterator<Item = Option<RequestError>>) {
        self.state(|state| state.failures.extend(failures));
    }

    /// Fails, or never answers, if the test requires it.
    async fn failure(&self) -> Result<(), RequestError> {
        match self.state(|state| state.failures.pop_front()) {
            None => Ok(()),
            Some(Some(error)) => Err(error),
            Some(None) => pending().await,
        }
    }
}

impl State {
    /// Returns `None` if there is no answer.
    fn put(&mut self, entries: &[SealedRecord]) -> Option<Answer> {
        self.put_requests += 1;
        self.puts = self.puts.checked_sub(1)?;
        if let Some(error) = self.failing_puts.pop_front() {
            return Some(Err(error));
        }
        let mut fate = self.faults.fate(&mut self.rng);
        if self.cut_answers > 0 {
            self.cut_answers -= 1;
            fate = Fate::Cut;
        }
        if matches!(fate, Fate::Lost | Fate::Failed(_)) {
            return fate.deliver(Ok(Vec::new()), &mut self.rng);
        }
        let now = Instant::now().into_std();
        let answer = self.stream.put(entries, &self.faults, &mut self.rng, now);
        for (entry, result) in entries.iter().zip(answer.iter().flatten()) {
            self.user_records += if result.is_ok() { entry.user_records } else { 0 };
        }
        fate.deliver(answer, &mut self.rng)
    }

    fn list(&mut self) -> Result<(Vec<kpl_core::Shard>, StreamDescription), RequestError> {
        if self.rng.f64() < self.faults.unlisted {
            return Err(faults::broken());
        }
        self.stream.list(Instant::now().into_std())
    }

    fn descriptions(&mut self) -> Vec<ShardDescription> {
        self.listings += 1;
        let stale = self.stale_listings > 0;
        self.stale_listings = self.stale_listings.saturating_sub(1);
        let shards = self.stream.shards.iter();
        shards
            .filter(|shard| !shard.forgotten && (!stale || shard.parents.is_empty()))
            .map(Shard::description)
            .collect()
    }

    fn shard(&self, id: &str) -> Result<&Shard, RequestError> {
        let shard = self.stream.shard(id);
        shard.ok_or_else(|| RequestError::refused("ResourceNotFoundException", "no such shard"))
    }

    fn iterator(&mut self, shard_id: &str, start: IteratorStart) -> Result<String, RequestError> {
        self.iterators.push((shard_id.into(), start.clone()));
        let next = self.index(shard_id, start)?;
        Ok(format!("{shard_id} {next}"))
    }

    /// Returns the index of the record at which an iterator or a subscription starts.
    fn index(&self, shard_id: &str, start: IteratorStart) -> Result<usize, RequestError> {
        let shard = self.shard(shard_id)?;
        let at = |number: &str| {
            shard
                .records
                .partition_point(|record| is_before(&record.sequence_number, number))
        };
        let next = match start {
            IteratorStart::Latest => shard.records.len(),
            IteratorStart::TrimHorizon | IteratorStart::AtTimestamp(_) => shard.trimmed,
            IteratorStart::AtSequenceNumber(number) => at(&number),
            IteratorStart::AfterSequenceNumber(number) => shard
                .records
                .partition_point(|record| !is_before(&number, &record.sequence_number)),
        };
        if next < shard.trimmed {
            return Err(RequestError::refused("InvalidArgumentException", "it is trimmed"));
        }
        Ok(next)
    }

    fn fetch(&mut self, iterator: &str, limit: usize) -> Result<Fetched, RequestError> {
        if let Some(error) = self.failing_reads.pop_front() {
            return Err(error);
        }
        let invalid = || RequestError::refused("InvalidArgumentException", "not an iterator");
        let (shard_id, next) = iterator.split_once(' ').ok_or_else(invalid)?;
        let shard = self.shard(shard_id)?;
        let next = next.parse::<usize>().map_err(|_| invalid())?.max(shard.trimmed);
        let mut room = MAX_ANSWER;
        let fits = |record: &&FetchedRecord| {
            room = room.saturating_sub(record.data.len());
            room > 0
        };
        let records: Vec<_> = shard
            .records
            .iter()
            .skip(next)
            .take(limit)
            .take_while(fits)
            .cloned()
            .collect();
        let end = next + records.len();
        let behind = shard.records.len() - end;
        let over = shard.closed && behind == 0;
        let child_shards = if over {
            self.named_children(shard_id)
        } else {
            Vec::new()
        };
        self.fetches.push((Instant::now(), shard_id.into(), records.len()));
        let next_iterator = (!over).then(|| format!("{shard_id} {end}"));
        Ok(Fetched::new(records, next_iterator)
            .with_behind_latest(Duration::from_secs(behind as u64))
            .with_child_shards(child_shards))
    }
}

impl State {
    fn allow(&self, operation: &str) -> Result<(), RequestError> {
        self.refused.get(operation).cloned().map_or(Ok(()), Err)
    }

    /// Returns the children that the end of a shard names.
    fn named_children(&self, shard_id: &str) -> Vec<ShardDescription> {
        if !self.stream.shard(shard_id).is_some_and(|shard| shard.names_children) {
            return Vec::new();
        }
        let children = self.stream.shards.iter();
        children
            .filter(|child| child.parents.iter().any(|id| id == shard_id))
            .map(Shard::description)
            .collect()
    }
}

/// The most bytes that one answer to GetRecords contains.
const MAX_ANSWER: usize = 10 << 20;

/// Compares decimal numbers of any length.
fn is_before(number: &str, other: &str) -> bool {
    (number.len(), number) < (other.len(), other)
}

impl WriteClient for Service {
    fn put_records<'a>(
        &'a self,
        _: &'a str,
        entries: Vec<SealedRecord>,
    ) -> BoxFuture<'a, Result<Vec<PutResult>, RequestError>> {
        Box::pin(async move {
            let (answer, latency) = self.state(|state| (state.put(&entries), state.latency));
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            match answer {
                Some(answer) => answer,
                None => pending().await,
            }
        })
    }

    fn open_shards<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<kpl_core::Shard>, RequestError>> {
        Box::pin(async { self.state(State::list).map(|(shards, _)| shards) })
    }

    fn describe_stream<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<StreamDescription, RequestError>> {
        Box::pin(async { self.state(State::list).map(|(_, description)| description) })
    }
}

impl ReadClient for Service {
    fn list_shards<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>> {
        Box::pin(async move {
            self.failure().await?;
            Ok(self.state(|state| state.descriptions()))
        })
    }

    fn get_shard_iterator<'a>(
        &'a self,
        _: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<String, RequestError>> {
        Box::pin(async move {
            self.failure().await?;
            self.state(|state| state.iterator(shard_id, start))
        })
    }

    fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>> {
        Box::pin(async move {
            let latency = self.state(|state| state.read_latency);
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            self.failure().await?;
            self.state(|state| state.fetch(iterator, limit))
        })
    }

    fn identify_stream<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<StreamIdentity>, RequestError>> {
        Box::pin(async { Ok(self.state(|state| state.stream.identity.clone())) })
    }

    fn describe_consumer<'a>(
        &'a self,
        _: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Consumer>, RequestError>> {
        Box::pin(async move {
            self.failure().await?;
            self.state(|state| state.allow("DescribeStreamConsumer"))?;
            Ok(self.state(|state| {
                let consumer = state.consumers.get_mut(name)?;
                let found = consumer.clone();
                // It is active when it is looked at again.
                consumer.active = true;
                Some(found)
            }))
        })
    }

    fn register_consumer<'a>(
        &'a self,
        stream_arn: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Consumer, RequestError>> {
        Box::pin(async move {
            self.failure().await?;
            self.state(|state| state.allow("RegisterStreamConsumer"))?;
            let consumer = Consumer::new(format!("{stream_arn}/consumer/{name}:1"), false);
            self.state(|state| match state.consumers.contains_key(name) {
                true => Err(RequestError::refused("ResourceInUseException", "it exists")),
                false => {
                    state.consumers.insert(name.into(), consumer.clone());
                    Ok(consumer)
                }
            })
        })
    }

    fn subscribe_to_shard<'a>(
        &'a self,
        consumer_arn: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, RequestError>> {
        Box::pin(async move {
            let asked = self.state(|state| state.subscriptions.note(shard_id, &start));
            self.failure().await?;
            subscription::subscribe(self, consumer_arn, shard_id, start, asked)
        })
    }
}
