//! How far inside an aggregate a failed invocation got.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kpl_core::Origin;
use lambda_runtime::{BoxFuture, Error};

/// Remembers the sub-sequence number that was reached inside a Kinesis record whose handling failed, so that the retry
/// continues after it.
///
/// An entry exists from a failure inside an aggregate until the retry that gets past it. Its key is the Kinesis record:
/// [stream](Origin::stream), [shard](Origin::shard_id) and [sequence number](Origin::sequence_number). Batches of
/// one shard that Lambda runs at the same time therefore do not interfere with each other. If Lambda gives up on a record,
/// its entry stays, and the record is continued after it if the stream is read again from its start: let entries expire,
/// for example after a day.
///
/// For each shard of an event, one entry is loaded, that of its first Kinesis record: this is where a retry starts with
/// `ReportBatchItemFailures`. A record without a sequence number does not have an entry.
pub trait Checkpoints: fmt::Debug + Send + Sync + 'static {
    /// Returns the sub-sequence number of the last user record that is done, or `None` if there is no entry.
    ///
    /// If this fails, the invocation fails before any user record is handled.
    fn load<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<Option<u64>, Error>>;

    /// Creates or replaces an entry.
    ///
    /// If this fails, a `tracing` event at level `WARN` reports it, and the retry sees user records again.
    fn save<'a>(&'a self, record: &'a Origin, sub_sequence_number: u64) -> BoxFuture<'a, Result<(), Error>>;

    /// Removes an entry. If this fails, a `tracing` event at level `WARN` reports it.
    fn clear<'a>(&'a self, record: &'a Origin) -> BoxFuture<'a, Result<(), Error>>;
}

/// Keeps entries in the memory of one execution environment. Most retries reach the same environment, but this is not
/// guaranteed: a retry elsewhere sees user records again.
///
/// The newest 1,024 entries are kept.
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
    /// Returns a store without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|entries| entries.len())
    }

    /// Returns whether there are no entries.
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

/// Lets several handlers, or a handler and a test, share one store.
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
