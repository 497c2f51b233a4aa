//! Subscriptions to shards, with faults.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::{Service, sequence_number};
use crate::client::{IteratorStart, RequestError, Subscription, SubscriptionEvent};

/// What happens instead of a subscription's next event.
#[derive(Clone, Debug)]
pub enum Event {
    /// The event comes.
    Comes,
    /// There is none, for as long as anybody waits.
    Silence,
    /// The subscription ends.
    End,
    /// The subscription fails. No part of the event is received.
    Failure(RequestError),
}

/// How subscriptions behave, and which there were.
#[derive(Debug)]
pub struct Subscriptions {
    /// How long the service waits after one event before the next.
    pub event_interval: Duration,
    /// How many records an event has, at most.
    pub event_records: usize,
    /// After what time the service ends a subscription.
    pub time: Duration,
    /// What happens to the next events, of whatever shard.
    pub events: VecDeque<Event>,
    /// Which subscriptions were asked for: when, of which shard, and the start.
    pub asked: Vec<(Instant, String, IteratorStart)>,
    /// When the last subscription to a shard began, by consumer and shard, and how many there were.
    begun: BTreeMap<(String, String), (Instant, usize)>,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            event_interval: Duration::from_millis(200),
            event_records: 10_000,
            time: Duration::from_secs(300),
            events: VecDeque::new(),
            asked: Vec::new(),
            begun: BTreeMap::new(),
        }
    }
}

/// The service refuses a subscription that follows another one sooner.
const APART: Duration = Duration::from_secs(5);

impl Subscriptions {
    pub(super) fn note(&mut self, shard_id: &str, start: &IteratorStart) -> Instant {
        let now = Instant::now();
        self.asked.push((now, shard_id.into(), start.clone()));
        now
    }

    /// Returns the number of a subscription that begins, which ends the one before.
    fn begin(&mut self, key: (String, String), now: Instant) -> Result<usize, RequestError> {
        let before = self.begun.get(&key).copied();
        if before.is_some_and(|(begun, _)| now < begun + APART) {
            return Err(RequestError::refused(
                "ResourceInUseException",
                "there is a younger one",
            ));
        }
        let number = before.map_or(0, |(_, number)| number + 1);
        self.begun.insert(key, (now, number));
        Ok(number)
    }
}

#[derive(Debug)]
struct Subscribed {
    service: Service,
    /// The consumer and the shard.
    key: (String, String),
    number: usize,
    /// The index of the next record.
    next: usize,
    begun: Instant,
    /// When the next event comes.
    due: Instant,
}

pub(super) fn subscribe(
    service: &Service,
    consumer_arn: &str,
    shard_id: &str,
    start: IteratorStart,
    asked: Instant,
) -> Result<Box<dyn Subscription>, RequestError> {
    let key = (consumer_arn.to_owned(), shard_id.to_owned());
    let (next, number) = service.state(|state| {
        let next = state.index(shard_id, start)?;
        let number = state.subscriptions.begin(key.clone(), asked)?;
        Ok::<_, RequestError>((next, number))
    })?;
    Ok(Box::new(Subscribed {
        service: service.clone(),
        key,
        number,
        next,
        begun: asked,
        due: asked,
    }))
}

impl Subscription for Subscribed {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SubscriptionEvent>, RequestError>> {
        Box::pin(async {
            sleep_until(self.due).await;
            let (event, interval, time) = self.service.state(|state| {
                let subscriptions = &mut state.subscriptions;
                let event = subscriptions.events.pop_front().unwrap_or(Event::Comes);
                (event, subscriptions.event_interval, subscriptions.time)
            });
            self.due = Instant::now() + interval;
            match event {
                Event::Silence => pending().await,
                Event::Failure(error) => Err(error),
                Event::End => Ok(None),
                Event::Comes if self.begun.elapsed() >= time => Ok(None),
                Event::Comes => self.event().map(Some),
            }
        })
    }
}

impl Subscribed {
    fn event(&mut self) -> Result<SubscriptionEvent, RequestError> {
        let service = self.service.clone();
        service.state(|state| {
            if state
                .subscriptions
                .begun
                .get(&self.key)
                .is_some_and(|(_, number)| *number != self.number)
            {
                return Err(RequestError::refused("ResourceInUseException", "there is a later one"));
            }
            let shard_id = &*self.key.1;
            let shard = state.shard(shard_id)?;
            let first = self.next.max(shard.trimmed);
            let limit = state.subscriptions.event_records;
            let records: Vec<_> = shard.records.iter().skip(first).take(limit).cloned().collect();
            self.next = first + records.len();
            let behind = shard.records.len() - self.next;
            let is_over = shard.closed && behind == 0;
            // Of the record before the next one, even if there is none.
            let continuation = (!is_over).then(|| match self.next {
                0 => "999".into(),
                next => sequence_number(next - 1),
            });
            let children = if is_over {
                state.named_children(shard_id)
            } else {
                Vec::new()
            };
            Ok(SubscriptionEvent::new(records, continuation)
                .with_behind_latest(Duration::from_secs(behind as u64))
                .with_child_shards(children))
        })
    }
}
