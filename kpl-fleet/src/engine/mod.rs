//! What a worker does with a lease table, without input and output: it is told the time and what was answered, and says what
//! to ask, and which shards to read.
//!
//! [`Engine::poll`] returns what is to be done, until there is nothing left, and [`Engine::wake_at`] when to call it again.
//! Every request is answered, with an error if it fails or takes too long, and every handling that was started is reported
//! as [ended](Engine::handling_ended).

mod balance;
mod held;
mod identity;
mod plan;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kpl_stream::client::ShardDescription;

use self::balance::{Holder, Limits};
use self::held::{Held, Phase};
pub use self::identity::OtherShard;
pub(crate) use self::identity::difference;
use self::identity::other_shard;
use crate::lease::{Checkpoint, Lease, OwnerChange, Update};

/// What an engine needs to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The name of this worker. No other one has it.
    pub worker: Arc<str>,
    /// Where the first shards are read from: one of those that are not positions.
    pub initial: Checkpoint,
    /// How long a lease must have stood still before another worker takes it.
    pub failover: Duration,
    /// How long to wait after one look at the table before the next.
    pub look_interval: Duration,
    /// How long to wait after one listing of the shards before the next.
    pub list_interval: Duration,
    /// How many leases this worker has at most.
    pub max_leases: usize,
    /// How many leases it takes at a time from another worker that renews them.
    pub max_steals: usize,
    /// What chance depends on.
    pub seed: u64,
}

impl Options {
    /// Creates the options of a worker, with their defaults.
    pub fn new(worker: impl Into<Arc<str>>, initial: Checkpoint) -> Self {
        Self {
            worker: worker.into(),
            initial,
            failover: Duration::from_secs(10),
            look_interval: Duration::from_secs(1),
            list_interval: Duration::from_secs(60),
            max_leases: usize::MAX,
            max_steals: 1,
            seed: 0,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Read all leases of the table, and report them to [`Engine::looked`].
    Look,
    /// List all shards of the stream, and report them to [`Engine::listed`].
    List,
    /// Add a lease, unless it is there, and report that to [`Engine::created`].
    Create(Lease),
    /// Change a lease if it is as expected, and report that to [`Engine::updated`], with the number of the request.
    Update(u64, Update),
    /// Remove a lease if it has this counter, and its shard was read to the end. This is not reported.
    Delete(Arc<str>, u64),
    /// Handle the records of a shard, from its checkpoint on.
    Start(Handling, Checkpoint),
    /// End the handling of a shard.
    Stop(Handling, Stop),
    /// A checkpoint of a shard is in the table.
    Saved(Handling, Checkpoint),
    /// The leases are not those of the stream. No others are taken, and those that the worker has are given up.
    OtherStream(OtherShard),
}

/// The handling of a shard by one worker, as long as it has the lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Handling {
    /// The shard.
    pub key: Arc<str>,
    /// Tells it from the worker's other handlings of the shard.
    pub token: u64,
}

/// How the handling of a shard ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// What is under way is finished, and a checkpoint is made of it.
    Gracefully,
    /// At once: the lease is another worker's, or may be soon. No checkpoint can be made.
    AtOnce(Loss),
}

/// Why a worker has lost a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Another worker has taken it, or it was removed from the table.
    Taken,
    /// It could not be renewed in time.
    NotRenewed,
}

/// How a request to change a lease ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Updated {
    /// The lease was changed.
    Done,
    /// It was not, because it was not as expected. This is how it is, or `None` if it is not there.
    Refused(Option<Box<Lease>>),
    /// The request has failed, and may or may not have been carried out.
    Unknown,
}

/// Returns the leases that workers of any start position would add, given those of the table and all shards of the stream.
pub fn missing_leases(rows: &BTreeMap<&str, &Lease>, shards: &[ShardDescription]) -> Vec<Lease> {
    plan::missing(rows, shards, &Checkpoint::Latest)
}

/// A lease as looks at the table have shown it.
#[derive(Debug)]
struct Seen {
    lease: Lease,
    /// When the answer came that showed it first.
    first: Instant,
    /// When the answer came that first showed it with this owner and this counter.
    since: Instant,
}

/// What a worker knows and wants; see [the module](self).
#[derive(Debug)]
pub struct Engine {
    options: Options,
    rng: Rng,
    seen: BTreeMap<Arc<str>, Seen>,
    held: BTreeMap<Arc<str>, Held>,
    outputs: VecDeque<Output>,
    /// The number of the last request or handling.
    last_number: u64,
    /// When to look next, or when the look under way was asked for.
    look: Turn,
    list: Turn,
    /// A list of shards, and when it came. A look that is asked for later shows what it lacks.
    shards: Option<(Vec<ShardDescription>, Instant)>,
    /// The parents of each shard that was listed last.
    parents: BTreeMap<String, Vec<String>>,
    /// Whether the leases were compared with the shards of the stream. Before, none is taken.
    is_compared: bool,
    stopping: bool,
}

/// A request that is made again and again.
#[derive(Clone, Copy, Debug)]
enum Turn {
    At(Instant),
    Asked(Instant),
}

impl Turn {
    fn is_due(self, now: Instant) -> bool {
        matches!(self, Self::At(at) if at <= now)
    }

    fn wake_at(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            Self::Asked(_) => None,
        }
    }
}

impl Engine {
    /// Creates the engine of a worker that starts now.
    #[must_use]
    pub fn new(options: Options, now: Instant) -> Self {
        Self {
            rng: Rng::with_seed(options.seed),
            options,
            seen: BTreeMap::new(),
            held: BTreeMap::new(),
            outputs: VecDeque::new(),
            last_number: 0,
            look: Turn::At(now),
            list: Turn::At(now),
            shards: None,
            parents: BTreeMap::new(),
            is_compared: false,
            stopping: false,
        }
    }

    /// Returns what is to be done next, or `None` if there is nothing until [`wake_at`](Self::wake_at) or a report.
    pub fn poll(&mut self, now: Instant) -> Option<Output> {
        if self.outputs.is_empty() {
            self.advance(now);
        }
        self.outputs.pop_front()
    }

    /// Returns when to call [`poll`](Self::poll) next, if nothing is reported before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let held = self.held.values().filter_map(|held| held.wake_at(&self.options));
        let turns = [self.look, self.list].into_iter().filter_map(Turn::wake_at);
        held.chain(turns.filter(|_| !self.stopping)).min()
    }

    /// Reports all leases of the table, or that they could not be read.
    pub fn looked(&mut self, now: Instant, leases: Option<Vec<Lease>>) {
        let Turn::Asked(asked) = self.look else {
            return;
        };
        self.look = Turn::At(now + self.options.look_interval);
        let Some(leases) = leases else {
            return;
        };
        let mut before = std::mem::take(&mut self.seen);
        for lease in leases {
            let before = before.remove(&lease.key);
            let first = before.as_ref().map_or(now, |seen| seen.first);
            let since = match before {
                Some(seen) if (&seen.lease.owner, seen.lease.counter) == (&lease.owner, lease.counter) => seen.since,
                _ => now,
            };
            self.seen.insert(Arc::clone(&lease.key), Seen { lease, first, since });
        }
        self.note_losses();
        if self.stopping {
            return;
        }
        if let Some((shards, listed)) = &self.shards {
            let leases = self.seen.values().map(|seen| {
                let stood_still = listed.saturating_duration_since(seen.since);
                (
                    &seen.lease,
                    seen.lease.is_ended() && stood_still >= self.options.failover,
                )
            });
            if let Some(other) = other_shard(leases, shards) {
                self.outputs.push_back(Output::OtherStream(other));
                self.stop();
                return;
            }
            self.is_compared = true;
        }
        if self.is_compared {
            self.take_leases(now, asked);
        }
        self.compare_with_shards(now, asked);
    }

    /// Reports all shards of the stream, or that they could not be listed.
    pub fn listed(&mut self, now: Instant, shards: Option<Vec<ShardDescription>>) {
        let pause = match &shards {
            Some(_) => self.options.list_interval,
            None => self.options.look_interval,
        };
        self.list = Turn::At(now + pause);
        if let Some(shards) = shards {
            let parents = shards.iter().map(|shard| (shard.id.clone(), shard.parents.clone()));
            self.parents = parents.collect();
            self.shards = Some((shards, now));
            if let Turn::At(_) = self.look {
                self.look = Turn::At(now);
            }
        }
    }

    /// Reports whether a lease is in the table now: it was added, or was there before.
    pub fn created(&mut self, now: Instant, key: &str, is_there: bool) {
        for held in self.held.values_mut() {
            held.created(now, key, is_there, &mut self.rng);
        }
        if let (true, Turn::At(_)) = (is_there, self.look) {
            self.look = Turn::At(now);
        }
    }

    /// Reports how a request to change a lease ended.
    pub fn updated(&mut self, now: Instant, key: &str, number: u64, updated: Updated) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if let Updated::Refused(Some(lease)) = &updated
            && let Some(seen) = self.seen.get_mut(key)
            && lease.counter > seen.lease.counter
        {
            seen.lease = (**lease).clone();
            seen.since = now;
        }
        held.updated(now, number, updated, &self.options, &mut self.rng, &mut self.outputs);
        if self.stopping && held.phase == Phase::Handling {
            held.stop(&mut self.outputs);
        }
        self.forget_what_is_over();
    }

    /// Asks for a checkpoint. [`Output::Saved`] says when it is in the table; if the lease is lost before, [`Output::Stop`]
    /// says so. Checkpoints that are not after the last one change nothing, and count as saved.
    pub fn checkpoint(&mut self, handling: &Handling, checkpoint: Checkpoint) {
        if let Some(held) = self.handled(handling) {
            held.want(checkpoint);
        }
    }

    /// Asks for the checkpoint at the end of a shard, given the shards that follow it, if they are known. Their leases are
    /// added before, and the lease is given up with it.
    pub fn shard_ended(&mut self, now: Instant, handling: &Handling, children: &[ShardDescription]) {
        // A shard that was merged with this one and has no lease would never get one if its child had: the list of shards shows
        // what is to be read before.
        let is_known = |parent: &String| **parent == *handling.key || self.seen.contains_key(&**parent);
        let (known, others): (Vec<_>, Vec<_>) = children.iter().partition(|child| child.parents.iter().all(is_known));
        let missing = known
            .into_iter()
            .map(|child| plan::lease_of(child, Checkpoint::TrimHorizon));
        let missing = missing.collect();
        if (children.is_empty() || !others.is_empty()) && matches!(self.list, Turn::At(_)) {
            self.list = Turn::At(now);
        }
        if let Some(held) = self.handled(handling) {
            held.shard_ended(children, missing);
        }
    }

    /// Reports that nothing more of a shard is handled: it was told to stop, has failed, or has reached the end.
    pub fn handling_ended(&mut self, handling: &Handling) {
        if let Some(held) = self.held.get_mut(&handling.key) {
            held.handling_ended(handling.token);
        }
        self.forget_what_is_over();
    }

    /// Gives all leases up, one by one, as soon as nothing of their shards is handled any more. No others are taken.
    pub fn stop(&mut self) {
        self.stopping = true;
        for held in self.held.values_mut() {
            held.stop(&mut self.outputs);
        }
    }

    /// Returns whether the worker was stopped, and has no leases any more.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.stopping && self.held.is_empty() && self.outputs.is_empty()
    }

    fn handled(&mut self, handling: &Handling) -> Option<&mut Held> {
        let held = self.held.get_mut(&handling.key)?;
        held.is_handled_as(handling.token).then_some(held)
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn advance(&mut self, now: Instant) {
        for held in self.held.values_mut() {
            held.advance(now, &self.options, &mut self.last_number, &mut self.outputs);
        }
        self.forget_what_is_over();
        if self.stopping {
            return;
        }
        if self.look.is_due(now) {
            self.look = Turn::Asked(now);
            self.outputs.push_back(Output::Look);
        }
        if self.list.is_due(now) {
            self.list = Turn::Asked(now);
            self.outputs.push_back(Output::List);
        }
    }

    fn forget_what_is_over(&mut self) {
        self.held.retain(|_, held| held.phase != Phase::Over);
    }

    /// Learns from a look which leases other workers have taken.
    fn note_losses(&mut self) {
        for (key, held) in &mut self.held {
            if let Some(seen) = self.seen.get(key) {
                held.seen(&seen.lease, &self.options.worker, &mut self.outputs);
            }
        }
        self.forget_what_is_over();
    }

    fn take_leases(&mut self, now: Instant, asked: Instant) {
        let has = |key: &str| self.held.get(key).is_some_and(Held::counts);
        // A look may be older than what this worker has taken.
        let mine = self.held.keys().filter(|key| has(key));
        let mine = mine.map(|key| (Arc::clone(key), Holder::Me));
        let others = self
            .seen
            .values()
            .filter(|seen| !has(&seen.lease.key) && self.can_be_read(seen, asked))
            .map(|seen| (Arc::clone(&seen.lease.key), self.holder(seen, asked)));
        let leases: Vec<_> = mine.chain(others).collect();
        let limits = Limits {
            leases: self.options.max_leases,
            steals: self.options.max_steals,
        };
        for key in balance::choose(&leases, limits, &mut self.rng) {
            let number = self.number();
            let Some(seen) = self.seen.get(&key) else {
                continue;
            };
            let mut update = Update::new(&seen.lease);
            update.owner = OwnerChange::Take(Arc::clone(&self.options.worker));
            // What its ancestors have was read, so what it has is read from the beginning.
            let ancestors_were_read = seen.lease.parents.iter().any(|parent| self.has_line(parent));
            let held = Held::taking(seen.lease.clone(), ancestors_were_read, number, now, update.clone());
            self.held.insert(key, held);
            self.outputs.push_back(Output::Update(number, update));
        }
    }

    /// Returns whether a shard has something to read, and those before it have not.
    fn can_be_read(&self, seen: &Seen, asked: Instant) -> bool {
        let lease = &seen.lease;
        let is_over = |parent: &String| match self.seen.get(&**parent) {
            Some(parent) => parent.lease.is_ended(),
            // It is added when those before it have ended. Leases are removed from the oldest on.
            None if lease.checkpoint == Checkpoint::Latest && self.has_line(parent) => false,
            // A look is not of one moment: it may have missed a parent that was added together with the shard.
            None => seen.first < asked,
        };
        !lease.is_ended() && !lease.is_handed_over && lease.parents.iter().all(is_over)
    }

    /// Returns whether a shard or one of those that it came from has a lease.
    fn has_line(&self, shard: &str) -> bool {
        let (mut line, mut known) = (vec![shard], BTreeSet::new());
        while let Some(shard) = line.pop() {
            if self.seen.contains_key(shard) {
                return true;
            }
            if known.insert(shard) {
                line.extend(self.parents.get(shard).into_iter().flatten().map(String::as_str));
            }
        }
        false
    }

    fn holder(&self, seen: &Seen, asked: Instant) -> Holder {
        let failover = self.options.failover;
        let stood_still = asked.saturating_duration_since(seen.since);
        match (&seen.lease.owner, self.held.get(&seen.lease.key)) {
            // It must not be taken as long as its records are being handled.
            (owner, Some(_)) => Holder::Other(owner.clone().unwrap_or_else(|| "".into())),
            (Some(owner), None) if *owner != self.options.worker => match stood_still >= failover {
                true => Holder::Vacant {
                    overdue: stood_still >= 2 * failover,
                },
                false => Holder::Other(Arc::clone(owner)),
            },
            _ => Holder::Vacant {
                overdue: stood_still >= failover,
            },
        }
    }

    /// Adds leases that are missing, and removes those that are no longer needed.
    fn compare_with_shards(&mut self, now: Instant, asked: Instant) {
        let Some((shards, listed)) = self.shards.take_if(|(_, listed)| *listed <= asked) else {
            return;
        };
        // What has happened meanwhile may have made the list wrong.
        let is_old = asked.saturating_duration_since(listed) > self.options.failover / 4;
        if is_old || now.saturating_duration_since(listed) > self.options.failover {
            self.list = Turn::At(now);
            return;
        }
        let rows = self.seen.values().map(|seen| (&*seen.lease.key, &seen.lease)).collect();
        for lease in plan::missing(&rows, &shards, &self.options.initial) {
            self.outputs.push_back(Output::Create(lease));
        }
        for key in plan::done_with(&rows, &shards) {
            // Not at once: other workers may not know yet that it has ended.
            if let Some(seen) = self.seen.get(&key)
                && asked.saturating_duration_since(seen.since) >= 6 * self.options.failover
            {
                self.outputs.push_back(Output::Delete(key, seen.lease.counter));
            }
        }
    }
}
