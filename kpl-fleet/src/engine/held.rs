//! A lease that this worker has, or wants: from the request to take it until nothing of its shard is handled any more.
//!
//! Every change grows the counter of the lease, and expects the counter that the one before it left. So there is at most one
//! request at a time, and of requests that were not answered at most one was carried out: the next answer tells which.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kpl_handler::Backoff;
use kpl_stream::client::ShardDescription;

use super::{Handling, Loss, Options, Output, Stop, Updated};
use crate::lease::{Checkpoint, Lease, OwnerChange, Update};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) phase: Phase,
    /// As this worker knows it to be in the table.
    lease: Lease,
    /// Whether shards that it came from have leases.
    ancestors_were_read: bool,
    token: u64,
    request: Option<Request>,
    /// When the first of the requests was made of which it is not known whether they were carried out.
    unknown_since: Option<Instant>,
    /// When the last change was asked for that was carried out.
    renewed: Instant,
    failures: u32,
    /// After a failure.
    retry_at: Option<Instant>,
    /// The last checkpoint that was asked for, if it is not reported as saved.
    wanted: Option<Checkpoint>,
    /// The shards that follow, at the end of the shard.
    children: Vec<String>,
    /// The leases that are to be in the table before the checkpoint at the end.
    missing: Vec<Lease>,
    /// Whether `missing` were asked for, and not all are answered.
    creating: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The table does not say yet that this worker has it.
    Taking,
    Handling,
    /// The handling was told to end.
    Stopping,
    /// Nothing is handled any more, and the lease is to be given up.
    GivingUp,
    /// The lease is not this worker's any more, and the handling has not ended yet.
    Lost,
    Over,
}

#[derive(Debug)]
struct Request {
    number: u64,
    made: Instant,
    update: Update,
}

/// How much of the failover time a worker uses a lease without renewing it. The rest allows for clocks of different speeds.
fn usable(failover: Duration) -> Duration {
    failover - failover / 20
}

impl Held {
    pub(super) fn taking(lease: Lease, ancestors_were_read: bool, number: u64, now: Instant, update: Update) -> Self {
        Self {
            phase: Phase::Taking,
            lease,
            ancestors_were_read,
            token: number,
            request: Some(Request {
                number,
                made: now,
                update,
            }),
            unknown_since: None,
            renewed: now,
            failures: 0,
            retry_at: None,
            wanted: None,
            children: Vec::new(),
            missing: Vec::new(),
            creating: 0,
        }
    }

    /// Returns whether the worker has the lease, or is about to.
    pub(super) fn counts(&self) -> bool {
        !matches!(self.phase, Phase::Lost | Phase::Over)
    }

    pub(super) fn is_handled_as(&self, token: u64) -> bool {
        matches!(self.phase, Phase::Handling | Phase::Stopping) && self.token == token
    }

    fn handling(&self) -> Handling {
        Handling {
            key: Arc::clone(&self.lease.key),
            token: self.token,
        }
    }

    pub(super) fn want(&mut self, checkpoint: Checkpoint) {
        if self.wanted.as_ref() < Some(&checkpoint) {
            self.wanted = Some(checkpoint);
        }
    }

    pub(super) fn shard_ended(&mut self, children: &[ShardDescription], missing: Vec<Lease>) {
        self.children = children.iter().map(|child| child.id.clone()).collect();
        self.missing = missing;
        self.want(Checkpoint::Ended);
    }

    /// Notes whether a lease is in the table that must be before this one ends.
    pub(super) fn created(&mut self, now: Instant, key: &str, is_there: bool, rng: &mut Rng) {
        if self.creating == 0 || !self.missing.iter().any(|lease| *lease.key == *key) {
            return;
        }
        self.creating -= 1;
        if is_there {
            self.missing.retain(|lease| *lease.key != *key);
        } else {
            self.pause(now, rng);
        }
    }

    /// Notes that nothing is handled any more.
    pub(super) fn handling_ended(&mut self, token: u64) {
        if self.token != token {
            return;
        }
        match self.phase {
            Phase::Handling | Phase::Stopping => self.phase = Phase::GivingUp,
            Phase::Lost => self.phase = Phase::Over,
            Phase::Taking | Phase::GivingUp | Phase::Over => {}
        }
    }

    pub(super) fn stop(&mut self, outputs: &mut VecDeque<Output>) {
        if self.phase == Phase::Handling {
            self.phase = Phase::Stopping;
            outputs.push_back(Output::Stop(self.handling(), Stop::Gracefully));
        }
    }

    fn lose(&mut self, loss: Loss, outputs: &mut VecDeque<Output>) {
        match self.phase {
            Phase::Handling | Phase::Stopping => {
                self.phase = Phase::Lost;
                outputs.push_back(Output::Stop(self.handling(), Stop::AtOnce(loss)));
            }
            Phase::Taking | Phase::GivingUp => self.phase = Phase::Over,
            Phase::Lost | Phase::Over => {}
        }
    }

    /// Notes what a look at the table shows, which may be older than what is known.
    pub(super) fn seen(&mut self, lease: &Lease, worker: &Arc<str>, outputs: &mut VecDeque<Output>) {
        let is_later = lease.counter > self.lease.counter;
        // It may be what a request has done that is not answered.
        let is_known = self.request.is_none() && self.unknown_since.is_none();
        if is_known && is_later && lease.owner.as_ref() != Some(worker) {
            self.lose(Loss::Taken, outputs);
        }
    }

    pub(super) fn wake_at(&self, options: &Options) -> Option<Instant> {
        if !self.needs_requests() {
            return None;
        }
        let expires = self.renewed + usable(options.failover);
        if self.request.is_some() {
            return Some(expires);
        }
        Some(self.next_at(options).min(expires))
    }

    fn needs_requests(&self) -> bool {
        matches!(self.phase, Phase::Handling | Phase::Stopping | Phase::GivingUp)
    }

    fn next_at(&self, options: &Options) -> Instant {
        let is_urgent = (self.wanted.is_some() && self.creating == 0) || self.phase == Phase::GivingUp;
        let due = match is_urgent {
            true => self.renewed,
            false => self.renewed + options.failover / 3,
        };
        self.retry_at.map_or(due, |retry_at| retry_at.max(due))
    }

    pub(super) fn advance(
        &mut self,
        now: Instant,
        options: &Options,
        last_number: &mut u64,
        outputs: &mut VecDeque<Output>,
    ) {
        self.report_saved(outputs);
        if self.needs_requests() && now >= self.renewed + usable(options.failover) {
            self.lose(Loss::NotRenewed, outputs);
        }
        if !self.needs_requests() || self.request.is_some() || now < self.next_at(options) {
            return;
        }
        let mut update = Update::new(&self.lease);
        if self.missing.is_empty() {
            update.checkpoint.clone_from(&self.wanted);
            update.children.clone_from(&self.children);
        } else if self.phase != Phase::GivingUp {
            if self.creating == 0 {
                self.creating = self.missing.len();
                outputs.extend(self.missing.iter().cloned().map(Output::Create));
            }
            if now < self.renewed + options.failover / 3 {
                return;
            }
        }
        if update.checkpoint == Some(Checkpoint::Ended) || self.phase == Phase::GivingUp {
            update.owner = OwnerChange::Remove;
        }
        *last_number += 1;
        let number = *last_number;
        outputs.push_back(Output::Update(number, update.clone()));
        self.request = Some(Request {
            number,
            made: now,
            update,
        });
    }

    fn report_saved(&mut self, outputs: &mut VecDeque<Output>) {
        if self
            .wanted
            .as_ref()
            .is_some_and(|wanted| *wanted <= self.lease.checkpoint)
            && let Some(wanted) = self.wanted.take()
        {
            outputs.push_back(Output::Saved(self.handling(), wanted));
        }
    }

    pub(super) fn updated(
        &mut self,
        now: Instant,
        number: u64,
        updated: Updated,
        options: &Options,
        rng: &mut Rng,
        outputs: &mut VecDeque<Output>,
    ) {
        let Some(request) = self.request.take_if(|request| request.number == number) else {
            return;
        };
        let made = self.unknown_since.unwrap_or(request.made);
        match updated {
            Updated::Done => {
                let mut lease = self.lease.clone();
                request.update.change(&mut lease);
                self.carried_out(lease, request.made, options, outputs);
            }
            // One of the requests was carried out whose answer is not known.
            Updated::Refused(Some(lease)) if self.is_ours(&lease, &request.update, options) => {
                self.carried_out(*lease, made, options, outputs);
            }
            Updated::Refused(_) => self.lose(Loss::Taken, outputs),
            // The next look tells whether it is this worker's.
            Updated::Unknown if self.phase == Phase::Taking => self.phase = Phase::Over,
            Updated::Unknown => {
                self.unknown_since = Some(made);
                self.pause(now, rng);
            }
        }
    }

    /// Returns whether a lease is as a request of this worker has left it.
    fn is_ours(&self, lease: &Lease, update: &Update, options: &Options) -> bool {
        let is_next = lease.counter == update.expected_counter + 1;
        let owner = match update.owner {
            OwnerChange::Remove => None,
            _ => Some(&options.worker),
        };
        is_next && (lease.owner.as_ref() == owner || lease.owner.as_ref() == Some(&options.worker))
    }

    /// Notes how the table has the lease after a change that was asked for at this time.
    fn carried_out(&mut self, lease: Lease, made: Instant, options: &Options, outputs: &mut VecDeque<Output>) {
        self.lease = lease;
        self.renewed = made;
        self.unknown_since = None;
        self.failures = 0;
        self.retry_at = None;
        self.report_saved(outputs);
        if self.lease.owner.as_ref() != Some(&options.worker) {
            // With its last checkpoint, or after it.
            self.phase = match self.phase {
                Phase::Handling | Phase::Stopping | Phase::Lost => Phase::Lost,
                Phase::Taking | Phase::GivingUp | Phase::Over => Phase::Over,
            };
        } else if self.phase == Phase::Taking {
            self.phase = Phase::Handling;
            let from = match &self.lease.checkpoint {
                Checkpoint::Latest if self.ancestors_were_read => Checkpoint::TrimHorizon,
                checkpoint => checkpoint.clone(),
            };
            outputs.push_back(Output::Start(self.handling(), from));
        }
    }

    fn pause(&mut self, now: Instant, rng: &mut Rng) {
        self.retry_at = Some(now + Backoff::RECORDS.pause(self.failures, rng.f64()).min(MAX_PAUSE));
        self.failures = self.failures.saturating_add(1);
    }
}

/// The longest pause after a failure, so that several attempts are made before a lease expires.
const MAX_PAUSE: Duration = Duration::from_secs(1);
