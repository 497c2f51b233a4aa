//! Reads a shard with GetRecords.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::FromKplRecordOwned;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::budget::{self, Expected, Held};
use super::requests::{EXPIRED_ITERATOR, Failures, INVALID_ARGUMENT};
use super::task::{End, Event, ShardTask};
use crate::client::Fetched;
use crate::clock;

/// An answer to GetRecords.
struct Answer {
    fetched: Fetched,
    held: Held,
    /// When the request was made.
    asked: Instant,
}

impl ShardTask {
    /// Reads the shard from an iterator that points at the start position, if there is one.
    pub(super) async fn fetch_to_the_end<T>(
        &mut self,
        mut iterator: Option<String>,
        events: &mpsc::Sender<Event<T>>,
    ) -> Result<End, End>
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        if iterator.is_some() {
            self.expected = Expected::NOTHING;
        }
        loop {
            let current = match iterator.take() {
                Some(iterator) => iterator,
                None => self.new_iterator().await?,
            };
            let Some(Answer { fetched, held, asked }) = self.fetch(&current).await? else {
                continue;
            };
            let is_up_to_date = self.has_no_more(&fetched);
            let is_empty = fetched.records.is_empty();
            let next = clock::after(asked, self.pause(&fetched, is_up_to_date));
            self.deliver(&fetched.records, held, events).await?;
            match fetched.next_iterator {
                Some(next) => iterator = Some(next),
                None => return Ok(End::Children(fetched.child_shards)),
            }
            drop(fetched.records);
            if is_up_to_date && is_empty {
                self.is_up_to_date(asked, events).await?;
            }
            sleep_until(next.into()).await;
        }
    }

    /// Returns the next records, or `None` if the iterator has expired.
    async fn fetch(&mut self, iterator: &str) -> Result<Option<Answer>, End> {
        const OPERATION: &str = "GetRecords";
        let requests = Arc::clone(&self.requests);
        let limit = requests.options.max_records;
        loop {
            let mut held = requests.budget.reserve(self.expected.cost()).await;
            let asked = clock::now();
            let error = match requests.limited(requests.client.get_records(iterator, limit)).await {
                Ok(fetched) => {
                    held.resize(budget::cost(&fetched.records));
                    self.fetched(&fetched, asked);
                    return Ok(Some(Answer { fetched, held, asked }));
                }
                Err(error) => error,
            };
            drop(held);
            self.metrics.fetch_failed(&error.code);
            let refused = |error| End::Refused {
                operation: OPERATION,
                error,
            };
            let has_expired = &*error.code == EXPIRED_ITERATOR;
            let failures = &mut self.failures;
            if error.class.is_final() {
                return Err(refused(error));
            } else if has_expired && failures.are_none() {
                // The consumer took long. A new iterator that has expired as well is a failure.
                tracing::debug!(shard_id = &*self.shard_id, %error, "a new iterator");
                failures.note(asked);
            } else {
                let wait = requests.wait_after(error, failures, asked, Some(&self.shard_id), OPERATION);
                wait.await.map_err(refused)?;
            }
            if has_expired {
                requests.check_identity().await.map_err(End::Failed)?;
                return Ok(None);
            }
        }
    }

    /// Takes what an answer says about the shard.
    fn fetched(&mut self, fetched: &Fetched, asked: Instant) {
        let data_bytes = budget::data_bytes(&fetched.records);
        let took = clock::now().saturating_duration_since(asked);
        self.metrics.fetched_in(took);
        self.metrics.received(data_bytes, fetched.behind_latest);
        self.requests.behind.set(&self.shard_id, fetched.behind_latest);
        self.failures = Failures::default();
        let was_cut_off = fetched.records.len() < self.requests.options.max_records && !self.has_no_more(fetched);
        self.expected = Expected::after(data_bytes, was_cut_off);
    }

    /// Returns whether the shard had no more records.
    fn has_no_more(&self, fetched: &Fetched) -> bool {
        // Some servers report that nothing is left to read when the answer was merely cut off at the limit.
        let is_full = fetched.records.len() >= self.requests.options.max_records;
        match fetched.behind_latest {
            Some(behind) => behind.is_zero() && !is_full,
            None => fetched.records.is_empty(),
        }
    }

    /// Returns how long to wait after one GetRecords before the next.
    fn pause(&self, fetched: &Fetched, is_up_to_date: bool) -> Duration {
        let options = &self.requests.options;
        if is_up_to_date {
            return options.poll_interval;
        }
        let seconds = budget::data_bytes(&fetched.records) as f64 / options.shard_bytes_per_second as f64;
        options.fetch_interval.max(Duration::from_secs_f64(seconds))
    }

    async fn new_iterator(&mut self) -> Result<String, End> {
        let refused = |error| End::Refused {
            operation: "GetShardIterator",
            error,
        };
        let error = match self.requests.shard_iterator(&self.shard_id, self.start()).await {
            Ok(iterator) => return Ok(iterator),
            Err(error) => error,
        };
        if &*error.code != INVALID_ARGUMENT || !self.start_over(&error).await? {
            return Err(refused(error));
        }
        let oldest = self.requests.shard_iterator(&self.shard_id, self.start());
        oldest.await.map_err(refused)
    }
}
