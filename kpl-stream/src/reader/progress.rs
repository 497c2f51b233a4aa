//! How far a reader is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How far a [`Reader`](super::Reader) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many shards are being read.
    pub shards: usize,
    /// How far the shard that is furthest behind is behind its latest record, as the service said last. `None` until
    /// it has said so for every shard.
    pub behind_latest: Option<Duration>,
}

/// The shards that are being read, and how far each is behind its latest record.
#[derive(Debug, Default)]
pub(super) struct Behind(Mutex<BTreeMap<Arc<str>, Option<Duration>>>);

impl Behind {
    pub(super) fn set(&self, shard_id: &Arc<str>, behind_latest: Option<Duration>) {
        self.lock().insert(Arc::clone(shard_id), behind_latest);
    }

    pub(super) fn remove(&self, shard_id: &str) {
        self.lock().remove(shard_id);
    }

    pub(super) fn progress(&self) -> Progress {
        let shards = self.lock();
        Progress {
            shards: shards.len(),
            behind_latest: shards
                .values()
                .copied()
                .reduce(|one, other| Some(one?.max(other?)))
                .flatten(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Option<Duration>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_that_is_furthest_behind_counts_once_all_have_answered() {
        let behind = Behind::default();
        let shard = |id: &str| Arc::<str>::from(id);
        let of = |behind: &Behind| (behind.progress().shards, behind.progress().behind_latest);
        assert_eq!(of(&behind), (0, None));
        behind.set(&shard("a"), None);
        behind.set(&shard("b"), Some(Duration::from_secs(1)));
        assert_eq!(of(&behind), (2, None));
        behind.set(&shard("a"), Some(Duration::from_secs(5)));
        assert_eq!(of(&behind), (2, Some(Duration::from_secs(5))));
        behind.remove("a");
        assert_eq!(of(&behind), (1, Some(Duration::from_secs(1))));
    }
}
