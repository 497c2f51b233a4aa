//! Runs a pipeline on tokio: the clock, the requests, the outcomes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use kpl_core::{SealedRecord, Shard};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument as _;

use super::delivery::OutcomeSender;
use super::error::UndeliveredRecord;
use super::intake::{Intake, Message, TOGETHER};
use super::metrics;
use super::outcome::FailureReason;
use super::pipeline::{FlushId, Outcomes, Output, Pipeline, RequestId, Resolved, StreamId, StreamState};
use super::spool::Gate;
use crate::client::{PutResult, RequestError, StreamDescription, WriteClient};
use crate::clock;

pub(crate) struct Driver {
    pipeline: Pipeline<OutcomeSender>,
    client: Arc<dyn WriteClient>,
    intake: Arc<Intake>,
    requests: JoinSet<(RequestId, Answer)>,
    aborts: HashMap<RequestId, AbortHandle>,
    tasks: HashMap<Id, RequestId>,
    flushes: HashMap<FlushId, oneshot::Sender<()>>,
    states: Vec<(StreamId, oneshot::Sender<StreamState>)>,
    /// Those that are being passed on: the rest of them, if passing one on panics.
    outcomes: Option<Outcomes<OutcomeSender>>,
    /// How many records have an outcome whose room was not returned yet, and their bytes.
    freed: (usize, usize),
    messages: Vec<Message>,
    /// Set while everything is being given up: collects the records that had no outcome.
    undelivered: Option<Vec<UndeliveredRecord>>,
    spool: Option<Arc<Gate>>,
    /// The numbers in the spool of records that have outcomes, until the spool is told.
    settled: Vec<u64>,
}

#[derive(Debug)]
enum Answer {
    Put(Result<Vec<PutResult>, RequestError>),
    Listed(Result<(Vec<Shard>, StreamDescription), RequestError>),
}

impl Driver {
    pub(crate) fn new(
        pipeline: Pipeline<OutcomeSender>,
        client: Arc<dyn WriteClient>,
        intake: Arc<Intake>,
        spool: Option<Arc<Gate>>,
    ) -> Self {
        Self {
            pipeline,
            client,
            intake,
            requests: JoinSet::new(),
            aborts: HashMap::new(),
            tasks: HashMap::new(),
            flushes: HashMap::new(),
            states: Vec::new(),
            outcomes: None,
            freed: (0, 0),
            messages: Vec::new(),
            undelivered: None,
            spool,
            settled: Vec::new(),
        }
    }

    /// Runs until everything is given up.
    pub(crate) async fn run(mut self) {
        loop {
            let now = clock::now();
            let worked = self.take_messages(now);
            self.pump(now);
            if self.undelivered.is_some() {
                return;
            }
            // Senders often come in groups: what arrives within a moment is taken together.
            let wake = if worked { Some(now + TOGETHER) } else { None };
            let wake = self.pipeline.wake_at(now).into_iter().chain(wake).min();
            tokio::select! {
                Some(done) = self.requests.join_next_with_id() => self.finished(done),
                () = self.intake.woken() => {}
                () = until(wake) => {}
            }
            while let Some(done) = self.requests.try_join_next_with_id() {
                self.finished(done);
            }
        }
    }

    /// Returns whether there were any.
    fn take_messages(&mut self, now: Instant) -> bool {
        let mut messages = std::mem::take(&mut self.messages);
        self.intake.take(&mut messages);
        let worked = !messages.is_empty();
        let mut messages_left = messages.drain(..);
        while let Some(message) = messages_left.next() {
            match message {
                Message::Record(stream, record, sender) => {
                    let mut next = Some((record, sender));
                    // The records of the same stream that follow it in the queue are taken with it.
                    let records = std::iter::from_fn(|| {
                        next.take().or_else(|| match messages_left.as_slice().first() {
                            Some(Message::Record(other, ..)) if *other == stream => match messages_left.next() {
                                Some(Message::Record(_, record, sender)) => Some((record, sender)),
                                _ => None,
                            },
                            _ => None,
                        })
                    });
                    self.pipeline.push(stream, records, now);
                }
                Message::Open(name, reply) => {
                    // The caller may have stopped waiting.
                    let _ = reply.send(self.pipeline.open(&name, now));
                }
                Message::State(stream, reply) => self.states.push((stream, reply)),
                Message::Flush(reply) => {
                    self.flushes.insert(self.pipeline.flush(now), reply);
                }
                Message::Abandon(reply) => {
                    self.undelivered = Some(Vec::new());
                    self.pipeline.abandon(now);
                    self.pump(now);
                    let _ = reply.send(self.undelivered.replace(Vec::new()).unwrap_or_default());
                }
            }
        }
        drop(messages_left);
        self.messages = messages;
        worked
    }

    /// Carries out what the pipeline wants done.
    fn pump(&mut self, now: Instant) {
        while let Some(output) = self.pipeline.poll(now) {
            match output {
                Output::PutRecords { id, stream, entries } => {
                    let span = tracing::debug_span!("PutRecords", %stream, entries = entries.len());
                    let answer = put_records(Arc::clone(&self.client), stream, entries).instrument(span);
                    self.start(id, answer);
                }
                Output::ListShards { id, stream } => {
                    let span = tracing::debug_span!("ListShards", %stream);
                    let answer = list_shards(Arc::clone(&self.client), stream).instrument(span);
                    self.start(id, answer);
                }
                Output::Cancel { id } => {
                    if let Some(abort) = self.aborts.remove(&id) {
                        abort.abort();
                    }
                }
                Output::Resolved(outcomes) => self.resolve_all(outcomes),
                Output::Flushed { id } => {
                    self.release();
                    if let Some(reply) = self.flushes.remove(&id) {
                        let _ = reply.send(());
                    }
                }
            }
        }
        self.release();
        self.report_states();
        metrics::record(self.pipeline.take_measures());
    }

    fn resolve_all(&mut self, outcomes: Outcomes<OutcomeSender>) {
        self.outcomes = Some(outcomes);
        while let Some(resolved) = self.outcomes.as_mut().and_then(Iterator::next) {
            self.resolve(resolved);
        }
    }

    /// Passes on the outcome of a record.
    fn resolve(&mut self, resolved: Resolved<OutcomeSender>) {
        let Resolved {
            handle,
            record,
            mut outcome,
            ..
        } = resolved;
        self.freed.0 += 1;
        self.freed.1 += self.intake.cost(&record) as usize;
        let Some(number) = handle.spooled() else {
            if let (Some(undelivered), Err(failure)) = (&mut self.undelivered, &outcome)
                && failure.reason == FailureReason::Closed
            {
                undelivered.push(UndeliveredRecord {
                    stream: Arc::clone(&failure.stream),
                    record,
                    may_have_been_written: failure.may_have_been_written,
                });
            }
            return drop(handle.complete(outcome));
        };
        match &mut outcome {
            Err(failure) if failure.reason == FailureReason::Closed => failure.reason = FailureReason::Spooled,
            _ => self.settled.push(number),
        }
        if let (Some(outcome), Some(spool)) = (handle.complete(outcome), &self.spool) {
            spool.report(record, outcome);
        }
    }

    /// Returns to the budget the room of records that have an outcome, and tells the spool.
    fn release(&mut self) {
        let (records, bytes) = std::mem::take(&mut self.freed);
        if records > 0 {
            self.intake.release(records, bytes);
        }
        if let Some(spool) = self.spool.as_ref().filter(|_| !self.settled.is_empty()) {
            spool.settle(&mut self.settled);
        }
    }

    fn report_states(&mut self) {
        for (stream, reply) in std::mem::take(&mut self.states) {
            match self.pipeline.state(stream) {
                StreamState::Unknown(None) => self.states.push((stream, reply)),
                state => {
                    let _ = reply.send(state);
                }
            }
        }
    }

    fn start(&mut self, id: RequestId, answer: impl Future<Output = Answer> + Send + 'static) {
        let abort = self.requests.spawn(async move { (id, answer.await) });
        self.tasks.insert(abort.id(), id);
        self.aborts.insert(id, abort);
    }

    fn finished(&mut self, done: Result<(Id, (RequestId, Answer)), JoinError>) {
        let now = clock::now();
        match done {
            Ok((task, (id, answer))) => {
                self.tasks.remove(&task);
                self.aborts.remove(&id);
                match answer {
                    Answer::Put(answer) => self.pipeline.answered(id, answer, now),
                    Answer::Listed(answer) => self.pipeline.listed(id, answer, now),
                }
            }
            Err(error) => {
                let Some(id) = self.tasks.remove(&error.id()) else {
                    return;
                };
                self.aborts.remove(&id);
                if error.is_panic() {
                    let failed = || RequestError::unanswered("ClientPanicked", error.to_string());
                    self.pipeline.answered(id, Err(failed()), now);
                    self.pipeline.listed(id, Err(failed()), now);
                }
            }
        }
    }
}

impl Drop for Driver {
    /// Reports outcomes even if the runtime ends before the producer is closed.
    fn drop(&mut self) {
        let now = clock::now();
        if let Some(rest) = self.outcomes.take() {
            self.resolve_all(rest);
        }
        for message in self.intake.close() {
            if let Message::Record(stream, record, sender) = message {
                self.pipeline.push(stream, [(record, sender)], now);
            }
        }
        self.pipeline.abandon(now);
        while let Some(output) = self.pipeline.poll(now) {
            if let Output::Resolved(outcomes) = output {
                self.resolve_all(outcomes);
            }
        }
        self.release();
        if let Some(spool) = &self.spool {
            spool.end();
        }
    }
}

async fn put_records(client: Arc<dyn WriteClient>, stream: Arc<str>, entries: Vec<SealedRecord>) -> Answer {
    Answer::Put(client.put_records(&stream, entries).await)
}

async fn list_shards(client: Arc<dyn WriteClient>, stream: Arc<str>) -> Answer {
    let (shards, description) = tokio::join!(client.open_shards(&stream), client.describe_stream(&stream));
    Answer::Listed(shards.map(|shards| {
        let description = description.unwrap_or_else(|error| {
            tracing::warn!(%stream, %error, "the stream cannot be described: it is taken as one that follows keys");
            StreamDescription::default()
        });
        (shards, description)
    }))
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
