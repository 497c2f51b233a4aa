//! Readers of single shards, for `kpl-fleet`: which shards are read, and from where, is decided elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use kpl_core::{FromKplRecordOwned, HashKeyRange, Timestamp};

use super::Reader;
use super::builder::CLOCKS_DIFFER;
use super::error::ReaderError;
use super::positions::{Positions, ShardState};
use super::progress::Progress;
use super::requests::Requests;
use super::shards::Shards;
use crate::client::{ErrorClass, ShardDescription};

/// Reads single shards of a stream. Its readers share memory and metrics, as the shards of a [`Reader`] do.
pub struct ShardReaders<T> {
    requests: Arc<Requests>,
    marker: PhantomData<fn() -> T>,
}

/// The shards that follow one that was read to its end.
#[derive(Clone, Debug, Default)]
pub struct Children(Arc<OnceLock<Vec<ShardDescription>>>);

impl Children {
    /// Returns the shards, or nothing if the service has not named them, or the end was not reached.
    #[must_use]
    pub fn get(&self) -> &[ShardDescription] {
        self.0.get().map_or(&[], Vec::as_slice)
    }

    pub(super) fn set(&self, children: Vec<ShardDescription>) {
        // A shard ends once.
        let _ = self.0.set(children);
    }
}

impl<T: FromKplRecordOwned + Send + 'static> ShardReaders<T> {
    pub(super) const fn new(requests: Arc<Requests>) -> Self {
        Self {
            requests,
            marker: PhantomData,
        }
    }

    /// Returns all shards that the service knows. It is asked again until it answers.
    ///
    /// # Errors
    ///
    /// [`ReaderError`] if the service refuses the request permanently.
    pub async fn list(&self) -> Result<Vec<ShardDescription>, ReaderError> {
        self.requests.list_shards().await
    }

    /// Returns how many shards are being read, and how far they are behind.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.requests.behind.progress()
    }

    /// Returns a reader of one shard, from this position on, or after its newest record if there is none. It ends with the
    /// shard; `children` has the shards that follow before the reader saves that.
    ///
    /// # Errors
    ///
    /// [`ReaderError`] if the service refuses a request permanently.
    pub async fn read(
        &self,
        shard_id: &str,
        from: Option<ShardState>,
        positions: Arc<dyn Positions>,
        children: Children,
    ) -> Result<Reader<T>, ReaderError> {
        let mut latest = BTreeMap::new();
        let from = match from {
            Some(from) => from,
            None => {
                let before = Timestamp::from(SystemTime::now() - CLOCKS_DIFFER);
                match self.requests.latest(shard_id).await {
                    Ok(found) => drop(latest.insert(shard_id.to_owned(), found)),
                    Err(ReaderError::Request { error, .. }) if error.class == ErrorClass::NotFound => {}
                    Err(error) => return Err(error),
                }
                ShardState::AtTimestamp(before)
            }
        };
        let mut shards = Shards::new(BTreeMap::from([(shard_id.to_owned(), from)]));
        let description = ShardDescription::new(shard_id, HashKeyRange::FULL);
        shards.add(description, ShardState::TrimHorizon);
        Ok(Reader::new(
            Arc::clone(&self.requests),
            positions,
            shards,
            latest,
            Some(children),
        ))
    }

    /// Notes that a shard is not read any more, whether its reader has ended or was dropped.
    pub fn forget(&self, shard_id: &str) {
        self.requests.behind.remove(shard_id);
    }
}

impl<T> fmt::Debug for ShardReaders<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardReaders")
            .field("stream", &self.requests.stream)
            .finish_non_exhaustive()
    }
}
