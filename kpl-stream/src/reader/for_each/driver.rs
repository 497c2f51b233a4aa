//! The loop: takes records from the reader, starts calls, and saves positions.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use kpl_core::{FromKplRecordOwned, Received};
use kpl_handler::{Item, OnFailure, Place};
use tokio::time::sleep_until;

use super::ForEach;
use super::error::ForEachError;
use super::kind::{Kind, NotDone, Options, shard_id};
use super::lanes::{Lane, Lanes};
use super::unfinished::{Ticket, Unfinished};
use crate::clock;
use crate::reader::{Reader, ReaderError};

type Panic = Box<dyn Any + Send>;

pub(super) async fn run<T, K>(each: ForEach<T, K>) -> Result<(), ForEachError>
where
    T: FromKplRecordOwned + Send + 'static,
    K: Kind<T>,
{
    let ForEach {
        mut reader,
        kind,
        options,
        saving,
        max_unfinished,
        mut until,
    } = each;
    let max_unfinished = max_unfinished.max(match kind.calls().get() {
        usize::MAX => 0,
        calls => calls,
    });
    let stopped = AtomicBool::new(false);
    let mut work = Work::new(&options, &stopped);
    let mut running = FuturesUnordered::new();
    save(&mut reader, &mut work, &mut running).await;
    let mut save_at = clock::after(clock::now(), saving.interval);
    loop {
        let may_take = |work: &Work<'_, T>, running: usize| {
            let has_room = work.unfinished.count() < max_unfinished;
            work.takes() && has_room && kind.may_take(running, work.lanes.len())
        };
        while may_take(&work, running.len())
            && let Some(next) = caught(reader.next()).now_or_never()
        {
            work.take(next, &kind);
        }
        while running.len() < kind.calls().get()
            && let Some((lane, records)) = work.next_call(&reader, kind.records_per_call())
        {
            running.push(call(&kind, &options, &stopped, lane, records));
        }
        if running.is_empty() && !work.takes() {
            break;
        }
        let is_due = work.unsaved >= saving.after || clock::now() >= save_at;
        if work.unsaved > 0 && is_due {
            save(&mut reader, &mut work, &mut running).await;
            save_at = clock::after(clock::now(), saving.interval);
            continue;
        }
        tokio::select! {
            biased;
            () = &mut until, if !work.is_stopped() => work.stop(),
            Some(called) = running.next() => work.ended(called),
            next = caught(reader.next()), if may_take(&work, running.len()) => work.take(next, &kind),
            () = sleep_until(save_at.into()), if work.unsaved > 0 => {}
        }
    }
    save(&mut reader, &mut work, &mut running).await;
    match work.end {
        None => Ok(()),
        Some(End::Failed(error)) => Err(error),
        Some(End::Panicked(panic)) => resume_unwind(panic),
    }
}

/// A record that was taken from the reader.
struct Taken<T> {
    item: Item<T>,
    ticket: Ticket,
}

/// A call that has ended.
struct Called {
    lane: Lane,
    records: Vec<(Ticket, Place)>,
    result: Result<Vec<NotDone>, Panic>,
}

/// Why the loop ends, unless it was told to, or there is nothing more.
enum End {
    Failed(ForEachError),
    Panicked(Panic),
}

/// What the loop knows of the records that it has taken.
struct Work<'a, T> {
    options: &'a Options,
    /// Whether nothing more is started.
    stopped: &'a AtomicBool,
    /// Whether the reader has ended.
    has_all: bool,
    lanes: Lanes<Taken<T>>,
    unfinished: Unfinished,
    /// How many records were taken.
    taken: u64,
    /// How many records were finished, with all before them, since positions were saved.
    unsaved: usize,
    end: Option<End>,
}

impl<'a, T> Work<'a, T> {
    fn new(options: &'a Options, stopped: &'a AtomicBool) -> Self {
        Self {
            options,
            stopped,
            has_all: false,
            lanes: Lanes::new(),
            unfinished: Unfinished::default(),
            taken: 0,
            unsaved: 0,
            end: None,
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Returns whether there may be more to take.
    fn takes(&self) -> bool {
        !self.has_all && !self.is_stopped()
    }

    fn end(&mut self, end: End) {
        match &end {
            End::Failed(ForEachError::Reader(error)) if self.end.is_some() => {
                tracing::error!(%error, "while the loop was ending");
            }
            // Failed records have been logged, and panics report themselves.
            _ => {}
        }
        self.end.get_or_insert(end);
    }

    /// Takes what the reader returned.
    fn take<K: Kind<T>>(&mut self, next: Result<Option<Result<Received<T>, ReaderError>>, Panic>, kind: &K) {
        let item = match next {
            Ok(Some(Ok(received))) => Ok(received),
            Ok(Some(Err(ReaderError::Record(undecodable)))) => Err(undecodable),
            Ok(Some(Err(error))) => {
                self.has_all = true;
                return self.end(End::Failed(error.into()));
            }
            Ok(None) => {
                self.has_all = true;
                return;
            }
            Err(panic) => {
                self.has_all = true;
                return self.end(End::Panicked(panic));
            }
        };
        let (origin, position) = match &item {
            Ok(received) => (received.origin(), received.position()),
            Err(undecodable) => (undecodable.origin(), undecodable.position()),
        };
        let ticket = self.unfinished.add(&shard_id(origin), position);
        let lane = kind.lane(&item, self.taken);
        self.taken += 1;
        self.lanes.push(lane, Taken { item, ticket });
    }

    /// Returns what is to be called next, if anything may be.
    fn next_call(&mut self, reader: &Reader<T>, most: usize) -> Option<(Lane, Vec<Taken<T>>)> {
        if self.is_stopped() {
            return None;
        }
        let unfinished = &self.unfinished;
        self.lanes.take(most, |lane| match lane {
            Lane::Shard(id) => !reader.shards.ancestors(id).into_iter().any(|id| unfinished.has(id)),
            _ => true,
        })
    }

    /// Notes the result of a call.
    fn ended(&mut self, called: Called) {
        let Called { lane, records, result } = called;
        self.lanes.ended(lane);
        let mut not_done = match result {
            Ok(not_done) => not_done,
            Err(panic) => {
                self.stop();
                return self.end(End::Panicked(panic));
            }
        };
        not_done.sort_by_key(|not_done| not_done.records.start);
        let mut left = vec![false; records.len()];
        for NotDone { records: range, error } in not_done {
            let failed = records.get(range.clone()).unwrap_or_default();
            match (error, failed.first()) {
                (Some(error), _) if self.options.on_failure == OnFailure::Continue => {
                    // Nothing else tells which records these are.
                    failed.iter().for_each(|(_, place)| place.log_failure(&error));
                    continue;
                }
                (Some(error), Some((_, place))) => {
                    place.log_failure(&error);
                    let place = place.clone();
                    self.stop();
                    self.end(End::Failed(ForEachError::Handler { place, error }));
                }
                _ => {}
            }
            left.get_mut(range).unwrap_or_default().fill(true);
        }
        for ((ticket, _), left) in records.iter().zip(left) {
            if !left {
                self.unsaved += self.unfinished.finish(ticket);
            }
        }
    }
}

/// Calls the function with records of a lane.
async fn call<T, K: Kind<T>>(
    kind: &K,
    options: &Options,
    stopped: &AtomicBool,
    lane: Lane,
    records: Vec<Taken<T>>,
) -> Called {
    let mut items = Vec::with_capacity(records.len());
    let mut places = Vec::with_capacity(records.len());
    for Taken { item, ticket } in records {
        places.push((ticket, Place::of(&item)));
        items.push(item);
    }
    let result = caught(kind.call(items, options, stopped)).await;
    Called {
        lane,
        records: places,
        result,
    }
}

/// Saves up to where each shard is finished. Calls go on meanwhile. If saving fails, the loop stops.
async fn save<T, F>(reader: &mut Reader<T>, work: &mut Work<'_, T>, running: &mut FuturesUnordered<F>)
where
    T: FromKplRecordOwned + Send + 'static,
    F: Future<Output = Called>,
{
    work.unsaved = 0;
    reader.note_given();
    for (shard_id, position) in work.unfinished.take_reached() {
        reader.shards.finish(shard_id, Some(position));
    }
    let mut saving = pin!(reader.save_states());
    let saved = loop {
        tokio::select! {
            biased;
            saved = &mut saving => break saved,
            Some(called) = running.next() => work.ended(called),
        }
    };
    if let Err(error) = saved {
        work.stop();
        work.end(End::Failed(error.into()));
    }
}

/// Returns the output of a future, or its panic. Nothing that the future leaves behind is used after a panic, except the
/// reader, which has ended then, and the user's function, which is no longer called.
async fn caught<F: Future>(future: F) -> Result<F::Output, Panic> {
    AssertUnwindSafe(future).catch_unwind().await
}
