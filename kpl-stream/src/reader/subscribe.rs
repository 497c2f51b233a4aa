//! Reads a shard with SubscribeToShard: the service sends what arrives.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::FromKplRecordOwned;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout_at};

use super::budget::{self, Ask, Held};
use super::requests::{Failures, INVALID_ARGUMENT};
use super::task::{End, Event, ShardTask};
use crate::client::{IteratorStart, RequestError, ShardDescription, Subscription, SubscriptionEvent};
use crate::clock;

/// A subscription, and when it was asked for.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) subscription: Box<dyn Subscription>,
    pub(super) asked: Instant,
}

pub(super) const OPERATION: &str = "SubscribeToShard";

/// How long to wait at least before the next SubscribeToShard for the same shard, after one that succeeded and after one
/// that failed ([SubscribeToShard](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html)):
/// within 5 seconds of a success the service answers with `ResourceInUseException`, and it allows one request per second.
const AFTER_SUCCESS: Duration = Duration::from_secs(5);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// When a subscription is renewed. The service ends it after 5 minutes.
const RENEWED_AFTER: Duration = Duration::from_secs(290);

/// How long a subscription may be silent. The service also sends
/// [events without records](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShardEvent.html), and
/// does not say how often; the KCL (`ShardConsumer.MAX_TIME_BETWEEN_REQUEST_RESPONSE`) waits 35 or 60 seconds, depending
/// on its version.
const SILENCE: Duration = Duration::from_secs(60);

/// How long memory is held for an event that does not arrive.
const HELD: Duration = Duration::from_secs(1);

/// How a subscription ended.
enum Over {
    /// The shard was read to its end; these are its children.
    Shard(Vec<ShardDescription>),
    /// It is time for the next one.
    Renewal,
    /// It failed, and was waited for since this time.
    Failed(RequestError, Instant),
}

impl ShardTask {
    /// Reads the shard from a subscription to its end, if there is one, and otherwise from its start position.
    pub(super) async fn subscribe_to_the_end<T>(
        &mut self,
        consumer: Arc<str>,
        mut latest: Option<Opened>,
        events: &mpsc::Sender<Event<T>>,
    ) -> Result<End, End>
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        self.ask = match latest {
            Some(_) => Ask::NOTHING,
            None => Ask::FIRST_EVENT,
        };
        // The sequence number after the last event that was delivered.
        let mut continuation = None;
        loop {
            let opened = match latest.take() {
                Some(opened) => opened,
                None => self.subscribe(&consumer, &mut continuation).await?,
            };
            let asked = opened.asked;
            match self.follow(opened, &mut continuation, events).await? {
                Over::Shard(children) => return Ok(End::Children(children)),
                Over::Renewal => {}
                Over::Failed(error, since) => self.wait_after_failure(error, since).await?,
            }
            sleep_until((asked + AFTER_SUCCESS).into()).await;
        }
    }

    /// Subscribes to the shard, after the last event or else at the start position.
    async fn subscribe(&mut self, consumer: &str, continuation: &mut Option<String>) -> Result<Opened, End> {
        let requests = Arc::clone(&self.requests);
        loop {
            let start = match &*continuation {
                Some(number) => IteratorStart::AfterSequenceNumber(number.clone()),
                None => self.start(),
            };
            let asked = clock::now();
            let subscribe = requests.client.subscribe_to_shard(consumer, &self.shard_id, start);
            let error = match requests.limited(subscribe).await {
                Ok(subscription) => return Ok(Opened { subscription, asked }),
                Err(error) => error,
            };
            let is_unknown = &*error.code == INVALID_ARGUMENT;
            if is_unknown && continuation.take().is_some() {
                // What was delivered is skipped.
                tracing::warn!(shard_id = &*self.shard_id, %error, "from the last record on");
            } else if !is_unknown || !self.start_over(&error).await? {
                self.wait_after_failure(error, asked).await?;
            }
            sleep_until((asked + AFTER_FAILURE).into()).await;
        }
    }

    /// Delivers the events of a subscription.
    async fn follow<T>(
        &mut self,
        mut opened: Opened,
        continuation: &mut Option<String>,
        events: &mpsc::Sender<Event<T>>,
    ) -> Result<Over, End>
    where
        T: FromKplRecordOwned + Send + 'static,
    {
        let renewed_at = opened.asked + self.renewed_after();
        let mut is_first = true;
        loop {
            // While this waits, nothing more is read from the connection.
            let mut held = self.requests.budget.reserve(self.ask.cost()).await;
            let since = clock::now();
            // Without an event there would be no progress.
            let until = if is_first {
                since + SILENCE
            } else {
                renewed_at.min(since + SILENCE)
            };
            let event = match next_event(&mut *opened.subscription, &mut held, until).await {
                Some(Ok(Some(event))) => event,
                Some(Ok(None)) if is_first => {
                    let error = RequestError::unanswered("NoEvents", "the subscription ended without an event");
                    return Ok(Over::Failed(error, opened.asked));
                }
                Some(Ok(None)) => return Ok(Over::Renewal),
                Some(Err(error)) => return Ok(Over::Failed(error, since)),
                None if !is_first && until == renewed_at => return Ok(Over::Renewal),
                None => return Ok(Over::Failed(RequestError::timed_out(SILENCE), since)),
            };
            is_first = false;
            held.resize(budget::cost(&event.records));
            self.take_note_of(&event);
            self.deliver(&event.records, held, events).await?;
            // Some servers name the children of a closed shard while there are records left.
            let is_over = event.continuation.is_none() || (event.records.is_empty() && !event.child_shards.is_empty());
            if is_over {
                return Ok(Over::Shard(event.child_shards));
            }
            *continuation = event.continuation;
            if event.records.is_empty() && event.behind_latest.is_none_or(|behind| behind.is_zero()) {
                // Events may have waited in the connection for long, but they are younger than the request.
                self.is_up_to_date(opened.asked, events).await?;
            }
        }
    }

    /// Returns how long after it was asked for a subscription is renewed. Only new ones tell that nothing has arrived
    /// for as long as a reader waits that ends then.
    fn renewed_after(&self) -> Duration {
        let idle = self.requests.options.end_when_idle;
        idle.map_or(RENEWED_AFTER, |idle| idle.clamp(AFTER_SUCCESS, RENEWED_AFTER))
    }

    /// Takes what an event says about the shard.
    fn take_note_of(&mut self, event: &SubscriptionEvent) {
        let data_bytes = budget::data_bytes(&event.records);
        self.metrics.received(data_bytes, event.behind_latest);
        self.requests.behind.set(&self.shard_id, event.behind_latest);
        self.failures = Failures::default();
        self.ask = self.ask.after(&event.records, false);
    }

    /// Waits after a failure of something that began at this time. Returns an error if that ends the reader.
    async fn wait_after_failure(&mut self, error: RequestError, since: Instant) -> Result<(), End> {
        self.metrics.subscription_failed(&error.code);
        let refused = |error| End::Refused {
            operation: OPERATION,
            error,
        };
        if error.class.is_final() {
            return Err(refused(error));
        }
        let requests = Arc::clone(&self.requests);
        let wait = requests.wait_after(error, &mut self.failures, since, Some(&self.shard_id), OPERATION);
        wait.await.map_err(refused)
    }
}

/// Returns the next event, or `None` if there is none at this time. The memory for it is held for others only as long as
/// events normally take.
async fn next_event(
    subscription: &mut dyn Subscription,
    held: &mut Held,
    until: Instant,
) -> Option<Result<Option<SubscriptionEvent>, RequestError>> {
    let mut next = pin!(subscription.next());
    if let Ok(event) = timeout_at((until.min(clock::now() + HELD)).into(), &mut next).await {
        return Some(event);
    }
    held.resize(0);
    timeout_at(until.into(), next).await.ok()
}
