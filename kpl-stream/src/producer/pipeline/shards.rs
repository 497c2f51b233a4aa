//! What is known about a stream's shards, and when to list them again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kpl_core::{HashKey, HashKeyRange, Shard, ShardMap};

use crate::client::{Distribution, ErrorClass, RequestError, StreamDescription};
use crate::clock;
use kpl_handler::Backoff;

/// Shards are listed at most this often, no matter how many results indicate that they changed.
const LISTED_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// How records find their shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing is known yet: records wait.
    Waiting,
    /// Shards cannot be listed: records are sent one by one, because an aggregate might mix shards.
    Unpredicted,
    /// The service ignores keys: any record may be aggregated with any other.
    Auto,
    /// The map says which shard a record belongs to.
    Predicted,
}

#[derive(Debug)]
pub(super) struct Shards {
    map: Option<Map>,
    described: Option<Distribution>,
    /// Whether a record was written to a shard that does not own its key.
    keys_ignored: bool,
    /// Why the shards could not be listed the last time.
    pub(super) failed: Option<RequestError>,
    failures: u32,
    listing: Option<Instant>,
    /// When the last answer arrived.
    answered: Instant,
    next: Instant,
    not_before: Instant,
}

#[derive(Debug)]
struct Map {
    map: ShardMap,
    ids: Vec<Arc<str>>,
    /// The index and the range of each shard.
    places: HashMap<Arc<str>, (usize, HashKeyRange)>,
    /// When the request was sent whose answer this map is.
    asked: Instant,
}

impl Shards {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            map: None,
            described: None,
            keys_ignored: false,
            failed: None,
            failures: 0,
            listing: None,
            answered: now,
            next: now,
            not_before: now,
        }
    }

    pub(super) fn mode(&self) -> Mode {
        match (&self.map, &self.failed) {
            (Some(_), _) if self.is_auto() => Mode::Auto,
            (Some(_), _) => Mode::Predicted,
            // A stream that does not exist yet may be created.
            (None, Some(error)) if error.class != ErrorClass::NotFound => Mode::Unpredicted,
            (None, _) => Mode::Waiting,
        }
    }

    fn is_auto(&self) -> bool {
        match self.described {
            Some(Distribution::Auto) => true,
            Some(Distribution::UserPartitionKey) => false,
            None => self.keys_ignored,
        }
    }

    pub(super) fn index_with(&self, key: impl FnOnce() -> HashKey) -> usize {
        self.map.as_ref().map_or(0, |map| map.map.index_with(key))
    }

    pub(super) fn ids(&self) -> &[Arc<str>] {
        self.map.as_ref().map_or(&[], |map| &map.ids)
    }

    pub(super) fn range_of(&self, shard_id: &str) -> Option<HashKeyRange> {
        let (_, range) = self.map.as_ref()?.places.get(shard_id)?;
        Some(*range)
    }

    /// Returns the index of a shard.
    pub(super) fn place_of(&self, shard_id: &str) -> Option<usize> {
        let (index, _) = self.map.as_ref()?.places.get(shard_id)?;
        Some(*index)
    }

    /// Returns whether the map was requested before this moment, so that it cannot reflect what happened after it.
    pub(super) fn is_older_than(&self, moment: Instant) -> bool {
        self.map.as_ref().is_none_or(|map| map.asked <= moment)
    }

    /// Notes that the stream is opened once more. If no request could be made, or there was no such stream, that may have
    /// been mended: its shards are listed again now, unless they were just listed.
    pub(super) fn open_again(&mut self, now: Instant) {
        let is_in_vain = matches!(
            self.failed.as_ref().map(|error| error.class),
            Some(ErrorClass::Configuration | ErrorClass::NotFound)
        );
        if is_in_vain && self.map.is_none() && self.answered + LISTED_AT_MOST_EVERY <= now {
            self.failed = None;
            self.next = now;
        }
    }

    /// Notes that the stream does not exist. One that is created with its name has other shards.
    pub(super) fn forget(&mut self, now: Instant) {
        if self.map.take().is_some() {
            self.next = self.next.min(self.not_before.max(now));
        }
    }

    /// Notes that a shard accepted a record whose key it does not own. A shard's range never changes, so the service
    /// ignores keys, unless it said that it does not. Returns whether it does.
    pub(super) fn saw_key_ignored(&mut self) -> bool {
        self.keys_ignored = true;
        self.is_auto()
    }

    /// Notes that a record that was sent at this moment did not go where the map says.
    pub(super) fn doubt(&mut self, sent: Instant) {
        if self.is_older_than(sent) {
            self.next = self.next.min(self.not_before);
        }
    }

    /// Returns whether shards should be listed now. If so, the caller lists them.
    pub(super) fn start_listing(&mut self, now: Instant) -> bool {
        let start = self.listing.is_none() && self.next <= now;
        if start {
            self.listing = Some(now);
        }
        start
    }

    pub(super) fn next_listing(&self) -> Option<Instant> {
        self.listing.is_none().then_some(self.next)
    }

    /// Takes the answer. Returns whether records must be routed again.
    pub(super) fn listed(
        &mut self,
        answer: Result<(Vec<Shard>, StreamDescription), RequestError>,
        now: Instant,
        interval: Duration,
        random: &mut Rng,
    ) -> bool {
        let asked = self.listing.take().unwrap_or(now);
        self.answered = now;
        let before = (self.mode(), self.map.as_ref().map(|map| map.map.clone()));
        let map = answer.and_then(|(shards, description)| {
            let invalid =
                |error: kpl_core::InvalidShardMap| RequestError::unanswered("InvalidShardMap", error.to_string());
            Ok((Map::new(shards, asked).map_err(invalid)?, description))
        });
        match map {
            Ok((map, description)) => {
                self.map = Some(map);
                self.described = description.distribution;
                // This may have changed: the next answers will show it.
                self.keys_ignored = false;
                self.failed = None;
                self.failures = 0;
                // So that not all producers list shards at the same time.
                self.next = now + clock::at_most_forever(interval).mul_f64(0.8 + 0.4 * random.f64());
                self.not_before = now + LISTED_AT_MOST_EVERY;
            }
            Err(error) => {
                if error.class == ErrorClass::NotFound {
                    self.map = None;
                }
                self.failed = Some(error);
                self.next = now + Backoff::READS.pause(self.failures, random.f64());
                self.failures = self.failures.saturating_add(1);
                self.not_before = self.next;
            }
        }
        before != (self.mode(), self.map.as_ref().map(|map| map.map.clone()))
    }
}

impl Map {
    fn new(shards: Vec<Shard>, asked: Instant) -> Result<Self, kpl_core::InvalidShardMap> {
        let map = ShardMap::new(shards)?;
        let ids: Vec<Arc<str>> = map.shards().map(|shard| shard.id.as_str().into()).collect();
        let places = map.shards().map(|shard| shard.range).enumerate();
        let places = ids.iter().cloned().zip(places).collect();
        Ok(Self {
            map,
            ids,
            places,
            asked,
        })
    }
}
