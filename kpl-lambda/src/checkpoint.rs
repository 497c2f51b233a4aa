//! How far inside an aggregate a failed invocation got.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kpl_core::Origin;
use lambda_runtime::{BoxFuture, Error};

/// Remembers the sub-sequence number that was reached inside a Kinesis record whose handling failed, so that the retry
/// goes on behind it.
///
/// There is an entry from a failure inside an aggregate to the retry that gets past it. Its key is the Kinesis record:
/// [stream](Origin::stream), [shard](Origin::shard_id) and [sequence number](Origin::sequence_number). So a stream that is read again from its start is read whole, and batches of one shard that Lambda runs at the
/// same time do not disturb each other. If Lambda gives a record up, its entry stays: let entries expire, after a day
/// for example.
///
/// An entry is asked for once for each shard of an event, for its first Kinesis record: that is where a retry starts
/// with `ReportBatchItemFailures`.
pub trait Checkpoints: fmt::Debug + Send + Sync + 'static {
    /// The sub-sequence number of the last user record that is done, if there is an entry.
    ///
    /// If it fails, the invocation fails before any user record was handled.
    fn load<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<Option<u64>, Error>>;

    /// Makes or replaces an entry.
    ///
    /// If it fails, an event of `tracing` at the level `WARN` says so, and the retry sees user records again.
    fn save<'a>(&'a self, record: &'a Origin, sub_sequence_number: u64) -> BoxFuture<'a, Result<(), Error>>;

    /// Removes an entry. If it fails, an event of `tracing` at the level `WARN` says so.
    fn clear<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<(), Error>>;
}

/// Entries in the memory of one execution environment: most retries reach the same one, none has to. A retry elsewhere
/// sees user records again.
///
/// It keeps the newest 1,024 entries.
#[derive(Debug, Default)]
pub struct MemoryCheckpoints(Mutex<VecDeque<(Key, u64)>>);

/// Stream, shard and sequence number.
type Key = (Option<Arc<str>>, Option<Arc<str>>, Option<String>);

const MAX_ENTRIES: usize = 1024;

fn key(record: &Origin) -> Key {
    (
        record.stream.clone(),
        record.shard_id.clone(),
        record.sequence_number.clone(),
    )
}

impl MemoryCheckpoints {
    /// No entries yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|entries| entries.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<R>(&self, f: impl FnOnce(&mut VecDeque<(Key, u64)>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Checkpoints for MemoryCheckpoints {
    fn load<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<Option<u64>, Error>> {
        let key = key(record);
        let entry = self.with(|entries| entries.iter().find(|(of, _)| *of == key).map(|(_, sub)| *sub));
        Box::pin(std::future::ready(Ok(entry)))
    }

    fn save<'a>(&'a self, record: &'a Origin, sub_sequence_number: u64) -> BoxFuture<'a, Result<(), Error>> {
        let key = key(record);
        self.with(|entries| {
            entries.retain(|(of, _)| *of != key);
            if entries.len() == MAX_ENTRIES {
                entries.pop_front();
            }
            entries.push_back((key, sub_sequence_number));
        });
        Box::pin(std::future::ready(Ok(())))
    }

    fn clear<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<(), Error>> {
        let key = key(record);
        self.with(|entries| entries.retain(|(of, _)| *of != key));
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Several handlers, or a test, may share one store.
impl<C: Checkpoints> Checkpoints for Arc<C> {
    fn load<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<Option<u64>, Error>> {
        C::load(self, record)
    }

    fn save<'a>(&'a self, record: &'a Origin, sub_sequence_number: u64) -> BoxFuture<'a, Result<(), Error>> {
        C::save(self, record, sub_sequence_number)
    }

    fn clear<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<(), Error>> {
        C::clear(self, record)
    }
}
