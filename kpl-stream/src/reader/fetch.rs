//! Reads a shard with GetRecords.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::FromKplRecordOwned;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::budget::{self, Ask, Held};
use super::requests::{EXPIRED_ITERATOR, Failures, INVALID_ARGUMENT};
use super::task::{End, Event, ShardTask};
use crate::client::{ErrorClass, Fetched};
use crate::clock;

/// What the service delivers of a shard to all readers together
/// ([limits](https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html)).
const SHARD_BYTES_PER_SECOND: usize = 2 << 20;

/// How fast a shard is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Whether the service has refused a request because records were read faster than it allows.
    was_too_fast: bool,
    /// When the last request that was answered was made, and the bytes of the records of its answer.
    last: Option<(Instant, usize)>,
}

/// An answer to GetRecords.
struct Answer {
    fetched: Fetched,
    held: Held,
    /// When the request was made.
    asked: Instant,
    /// Whether the shard had no more records.
    is_up_to_date: bool,
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
            self.ask = Ask::NOTHING;
        }
        loop {
            let current = match iterator.take() {
                Some(iterator) => iterator,
                None => self.new_iterator().await?,
            };
            let Some(answer) = self.fetch(&current).await? else {
                continue;
            };
            let Answer {
                fetched,
                held,
                asked,
                is_up_to_date,
            } = answer;
            let is_empty = fetched.records.is_empty();
            self.deliver(&fetched.records, held, events).await?;
            match fetched.next_iterator {
                Some(next) => iterator = Some(next),
                None => return Ok(End::Children(fetched.child_shards)),
            }
            drop(fetched.records);
            if is_up_to_date && is_empty {
                self.is_up_to_date(asked, events).await?;
            }
            match is_up_to_date {
                true => sleep_until(clock::after(asked, self.requests.options.poll_interval).into()).await,
                false => self.rest().await,
            }
        }
    }

    /// Returns the next records, or `None` if the iterator has expired.
    async fn fetch(&mut self, iterator: &str) -> Result<Option<Answer>, End> {
        const OPERATION: &str = "GetRecords";
        let requests = Arc::clone(&self.requests);
        let limit = self.ask.records(&requests.budget, requests.options.max_records);
        loop {
            let mut held = requests.budget.reserve(self.ask.cost()).await;
            let asked = clock::now();
            let error = match requests.limited(requests.client.get_records(iterator, limit)).await {
                Ok(fetched) => {
                    held.resize(budget::cost(&fetched.records));
                    return Ok(Some(self.take(fetched, held, asked, limit)));
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
            if error.class == ErrorClass::Throttled && !self.pace.was_too_fast && self.pace.last.is_some() {
                tracing::debug!(shard_id = &*self.shard_id, %error, "read more slowly from now on");
                self.pace.was_too_fast = true;
                self.rest().await;
                continue;
            }
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

    /// Takes an answer, and what it says about the shard.
    fn take(&mut self, fetched: Fetched, held: Held, asked: Instant, limit: usize) -> Answer {
        let data_bytes = budget::data_bytes(&fetched.records);
        self.metrics.fetched_in(clock::now().saturating_duration_since(asked));
        self.metrics.received(data_bytes, fetched.behind_latest);
        self.requests.behind.set(&self.shard_id, fetched.behind_latest);
        self.failures = Failures::default();
        self.pace.last = Some((asked, data_bytes));
        let is_full = fetched.records.len() >= limit;
        let is_up_to_date = match fetched.behind_latest {
            // Some servers report that nothing is left to read when the answer was merely cut off at the limit.
            Some(behind) => behind.is_zero() && !is_full,
            None => fetched.records.is_empty(),
        };
        self.ask = self.ask.after(&fetched.records, !is_full && !is_up_to_date);
        Answer {
            fetched,
            held,
            asked,
            is_up_to_date,
        }
    }

    /// Waits until more may be read from a shard that has more records.
    async fn rest(&self) {
        let options = &self.requests.options;
        let Some((asked, bytes)) = self.pace.last else { return };
        let rate = match options.shard_bytes_per_second {
            None if self.pace.was_too_fast => Some(SHARD_BYTES_PER_SECOND),
            rate => rate,
        };
        let seconds = rate.map_or(0.0, |rate| bytes as f64 / rate as f64);
        let pause = options.fetch_interval.max(Duration::from_secs_f64(seconds));
        sleep_until(clock::after(asked, pause).into()).await;
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
