//! The user records of a batch that are not done.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::{Either, Shared, select};
use tracing::Span;

use crate::trace::in_span;
use crate::{Error, OnFailure, Place, catch_panic};

/// The progress of a batch, such as an event of Lambda, shared by everything that is handled concurrently.
///
/// With [`OnFailure::Stop`], a user record that comes after one that is not done does not begin; those before it do, in
/// whatever order they are handled. Everything before the first one that is not done is therefore done.
#[derive(Debug)]
pub struct Progress {
    on_failure: OnFailure,
    limit: Option<Limit>,
    state: Mutex<State>,
}

/// When handling ends, done or not.
#[derive(Debug)]
struct Limit {
    begin_until: Instant,
    cut: Shared<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

#[derive(Debug, Default)]
struct State {
    /// The lowest sub-sequence number that is not done, for each Kinesis record that has one.
    lowest: BTreeMap<usize, u64>,
    /// Kinesis records that are not done because one before them failed together with them.
    with_others: BTreeSet<usize>,
    /// The first Kinesis record that did not begin because the time was up.
    late: Option<usize>,
}

impl State {
    fn note(&mut self, place: &Place) {
        let sub = place.sub_sequence_number;
        let lowest = self.lowest.entry(place.kinesis_record_index).or_insert(sub);
        *lowest = sub.min(*lowest);
    }
}

/// The records of a batch that are not done, by the index of the Kinesis record in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undone {
    /// The lowest sub-sequence number of each Kinesis record that is to be retried.
    pub lowest: BTreeMap<usize, u64>,
    /// The Kinesis records that a retry starts at: only the first of them if handling stopped there.
    pub reported: Vec<usize>,
    with_others: BTreeSet<usize>,
    /// Nothing is known of the Kinesis records from this one on.
    ended_at: Option<usize>,
}

impl Undone {
    /// Returns whether the Kinesis record at `index` is not done, or not known to be: for what retries records one by
    /// one, not all from the first one on.
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        self.lowest.contains_key(&index)
            || self.with_others.contains(&index)
            || self.ended_at.is_some_and(|ended_at| index >= ended_at)
    }

    /// Returns whether everything is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lowest.is_empty()
    }
}

impl Progress {
    /// Returns the progress of a batch of which nothing has failed.
    #[must_use]
    pub fn new(on_failure: OnFailure) -> Self {
        Self {
            on_failure,
            limit: None,
            state: Mutex::default(),
        }
    }

    /// Ends handling in time: from `begin_until` on, nothing more begins, and when the future `cut` is ready, what is
    /// still running is dropped. Both are not done then.
    #[must_use]
    pub fn ending(mut self, begin_until: Instant, cut: impl Future<Output = ()> + Send + 'static) -> Self {
        let cut: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(cut);
        let cut = cut.shared();
        self.limit = Some(Limit { begin_until, cut });
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether nothing that comes later in the batch would begin.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let state = self.state();
        state.late.is_some() || (self.on_failure == OnFailure::Stop && !state.lowest.is_empty())
    }

    /// Returns whether a user record may begin, and notes that it is not done if it may not.
    pub fn begin(&self, place: &Place) -> bool {
        let index = place.kinesis_record_index;
        let is_late = |limit: &Limit| limit.cut.peek().is_some() || Instant::now() >= limit.begin_until;
        let late = self.limit.as_ref().is_some_and(is_late);
        let mut state = self.state();
        let first = state.lowest.first_key_value();
        let is_after = first.is_some_and(|(at, sub)| (index, place.sub_sequence_number) > (*at, *sub));
        if late {
            state.late = Some(state.late.map_or(index, |late| late.min(index)));
        } else if self.on_failure == OnFailure::Continue || !is_after {
            return true;
        }
        state.note(place);
        false
    }

    /// Calls a function for a user record that has begun, or for all from it on. Returns its result, or `None` if it
    /// failed, panicked or was dropped because the time was up: this is noted then.
    pub async fn call<F, Fut, R, E>(&self, place: &Place, f: F) -> Option<R>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
        E: Into<Error>,
    {
        let called = catch_panic(f);
        let result = match &self.limit {
            None => called.await,
            Some(limit) => match select(pin!(called), limit.cut.clone()).await {
                Either::Left((result, _)) => result,
                Either::Right(((), _)) => Err("it was still running when the time was up".into()),
            },
        };
        result.map_err(|error| self.failed(place, &error)).ok()
    }

    /// As [`call`](Self::call), in a span, which has the report of a failure as well.
    pub(crate) async fn call_in<F, Fut, R, E>(&self, span: Span, place: &Place, f: F) -> Option<R>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
        E: Into<Error>,
    {
        let called = async { self.call(place, f).await.ok_or(()) };
        in_span(span, || called).await.ok()
    }

    /// Notes that a user record was not handled.
    pub fn undone(&self, place: &Place) {
        self.state().note(place);
    }

    /// Notes that a Kinesis record was not handled because one before it failed together with it: a retry that starts
    /// at that one includes it.
    pub(crate) fn undone_with_others(&self, place: &Place) {
        self.state().with_others.insert(place.kinesis_record_index);
    }

    /// Notes that a user record, or every record from it on, could not be handled, and reports it as a `tracing` event at
    /// level `ERROR`.
    pub fn failed(&self, place: &Place, error: &Error) {
        place.log_failure(error);
        self.undone(place);
    }

    /// Returns what is not done.
    #[must_use]
    pub fn into_undone(self) -> Undone {
        let State {
            lowest,
            with_others,
            late,
        } = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let first = lowest.keys().next().copied();
        let (reported, ended_at) = match self.on_failure {
            OnFailure::Stop => (Vec::from_iter(first), first),
            OnFailure::Continue => (lowest.keys().copied().collect(), late),
        };
        Undone {
            lowest,
            reported,
            with_others,
            ended_at,
        }
    }
}
