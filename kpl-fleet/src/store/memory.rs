//! Leases in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;

use super::{Changed, LeaseStore, StoreError};
use crate::lease::{Lease, Update};

/// Leases in memory, for tests: the workers of one process share them. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeases {
    leases: Arc<Mutex<BTreeMap<Arc<str>, Lease>>>,
}

impl MemoryLeases {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(std::future::ready(Ok(value)))
}

impl LeaseStore for MemoryLeases {
    fn prepare(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(())
    }

    fn leases(&self) -> BoxFuture<'_, Result<Vec<Lease>, StoreError>> {
        ready(self.lock().values().cloned().collect())
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), StoreError>> {
        self.lock()
            .entry(Arc::clone(&lease.key))
            .or_insert_with(|| lease.clone());
        ready(())
    }

    fn update<'a>(&'a self, update: &'a Update) -> BoxFuture<'a, Result<Changed, StoreError>> {
        ready(match self.lock().get_mut(&update.key) {
            Some(lease) if update.may_change(lease) => {
                update.change(lease);
                Changed::Done
            }
            lease => Changed::Refused(lease.map(|lease| Box::new(lease.clone()))),
        })
    }

    fn delete<'a>(&'a self, key: &'a str, counter: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut leases = self.lock();
        if leases
            .get(key)
            .is_some_and(|lease| lease.counter == counter && lease.is_ended())
        {
            leases.remove(key);
        }
        ready(())
    }
}
