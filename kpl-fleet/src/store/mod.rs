//! Where the leases of a fleet are kept.

#[cfg(feature = "aws")]
mod dynamo;
mod memory;

use std::fmt;

use futures_core::future::BoxFuture;

#[cfg(feature = "aws")]
pub use self::dynamo::DynamoLeases;
pub use self::memory::MemoryLeases;
use crate::lease::{Lease, Update};

/// Keeps the leases of a fleet: in a table of DynamoDB, in memory, or in a store of yours.
///
/// A store of yours needs one thing that not all have: [`update`](Self::update) and [`create`](Self::create) look at a lease
/// and change it in one step, also while others do so. Every worker reads all leases about once a second.
///
/// A request that fails may have been carried out or not. It may even be carried out later: the leases' counters tell.
pub trait LeaseStore: fmt::Debug + Send + Sync + 'static {
    /// Makes the store ready, before anything else is asked of it: creates what is missing.
    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns all leases, as they are or were a moment ago.
    fn leases(&self) -> BoxFuture<'_, Result<Vec<Lease>, StoreError>>;

    /// Adds a lease, unless there is one of this key.
    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Changes a lease, if it has the owner and the counter that the update expects.
    fn update<'a>(&'a self, update: &'a Update) -> BoxFuture<'a, Result<Changed, StoreError>>;

    /// Removes a lease, if it has this counter and its shard was read to the end.
    fn delete<'a>(&'a self, key: &'a str, counter: u64) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// Whether a lease was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changed {
    /// It was.
    Done,
    /// It was not, because it is not as expected. This is how it is, or `None` if there is none.
    Refused(Option<Box<Lease>>),
}

/// A request to a store that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreError {
    /// What a worker can do about it.
    pub kind: StoreErrorKind,
    /// What has failed, and where.
    pub message: String,
}

/// What a worker can do about a request to a store that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It may succeed later. Whether it was carried out is not known.
    Passing,
    /// It would fail again: the worker ends.
    Final,
    /// Workers of the KCL 3 share the leases in a way that others cannot join: the worker ends.
    LedByKcl3,
}

impl StoreError {
    /// Creates the error of a request that may succeed later.
    pub fn passing(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Passing, message)
    }

    /// Creates the error of a request that would fail again.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Final, message)
    }

    pub(crate) fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}
