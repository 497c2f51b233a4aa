//! Handlers against a model of Lambda's event source mapping: any event, any failures, any of its retry rules, lost answers
//! and new environments, for every `Concurrency` with every `OnFailure`, with and without checkpoints.
//!
//! The rules are those of <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html> and
//! <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>. They do not say what happens with
//! bisecting when the answer names the first record of the batch: the model has both possibilities.

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use kpl_lambda::{Concurrency, Event, Handler, MemoryCheckpoints, OnFailure, Received};
use proptest::prelude::*;
use serde_json::json;
use support::{Line, SHARD, aggregate, from_json, record};

/// How often a user record fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fails {
    Times(u32),
    Always,
}

/// A user record: its Kinesis record, and its index in that.
type Id = (usize, usize);

#[derive(Clone, Debug)]
struct Mapping {
    /// `MaximumRetryAttempts`, or `None` if it is infinite.
    retries: Option<u32>,
    /// `BisectBatchOnFunctionError`.
    bisect: bool,
    /// Whether a batch is halved if the answer names its first record.
    halves_at_the_first: bool,
}

#[derive(Clone, Debug)]
struct Case {
    /// The keys of the user records of each Kinesis record.
    keys: Vec<Vec<u8>>,
    fails: BTreeMap<Id, Fails>,
    concurrency: Concurrency,
    on_failure: OnFailure,
    checkpoints: bool,
    mapping: Mapping,
    /// The invocations whose answer is lost, and those in a new environment.
    lost: Vec<bool>,
    new: Vec<bool>,
}

/// What has happened to the user records.
#[derive(Default)]
struct World {
    fails: BTreeMap<Id, Fails>,
    done: BTreeSet<Id>,
    discarded: BTreeSet<usize>,
    /// In this invocation: the order in which they began, those that are running, and those that failed.
    begun: Vec<Id>,
    running: BTreeSet<Id>,
    failed: BTreeSet<Id>,
}

impl Case {
    fn all(&self) -> impl Iterator<Item = Id> + '_ {
        let of = |(kinesis, keys): (usize, &Vec<u8>)| (0..keys.len()).map(move |sub| (kinesis, sub));
        self.keys.iter().enumerate().flat_map(of)
    }

    fn key(&self, (kinesis, sub): Id) -> u8 {
        self.keys[kinesis][sub]
    }

    fn event(&self, batch: &[usize]) -> Event {
        let records = batch.iter().map(|kinesis| {
            let keys = self.keys[*kinesis].iter().enumerate();
            let texts: Vec<_> = keys
                .map(|(sub, key)| (format!("k{key}"), format!("{kinesis} {sub}")))
                .collect();
            let texts: Vec<_> = texts.iter().map(|(key, text)| (&**key, text)).collect();
            record(SHARD, &(100 + kinesis).to_string(), &aggregate(&texts))
        });
        from_json(&json!({ "Records": records.collect::<Vec<_>>() }))
    }

    /// Returns whether records that come before this one, and that it must not overtake, are all done or given up.
    fn may_be_done(&self, world: &World, id: Id) -> bool {
        let must_wait = |before: &Id| match self.concurrency {
            _ if self.on_failure == OnFailure::Continue => false,
            Concurrency::Sequential => *before < id,
            Concurrency::ByPartitionKey(_) => *before < id && self.key(*before) == self.key(id),
            _ => false,
        };
        self.all()
            .filter(must_wait)
            .all(|before| world.done.contains(&before) || world.discarded.contains(&before.0))
    }

    fn begin(&self, world: &mut World, id: Id) {
        let beside: Vec<Id> = world.running.iter().copied().collect();
        let (most, same_key) = match self.concurrency {
            Concurrency::Sequential => (1, false),
            Concurrency::ByPartitionKey(limit) => (limit.get(), false),
            Concurrency::All(limit) => (limit.get(), true),
            _ => unreachable!(),
        };
        assert!(beside.len() < most, "{beside:?} are running beside {id:?}");
        assert!(
            same_key || beside.iter().all(|other| self.key(*other) != self.key(id)),
            "a key at a time"
        );
        let earlier = |other: &&Id| match self.concurrency {
            Concurrency::Sequential => true,
            Concurrency::ByPartitionKey(_) => self.key(**other) == self.key(id),
            _ => false,
        };
        assert!(world.begun.iter().filter(earlier).all(|other| *other < id), "in order");
        if self.on_failure == OnFailure::Stop {
            assert!(
                world.failed.iter().all(|failed| *failed > id),
                "{id:?} begins after a failure before it"
            );
        }
        world.begun.push(id);
        world.running.insert(id);
    }

    /// Ends with the world when the mapping is done with all records.
    async fn run(&self) -> World {
        let world = Arc::new(Mutex::new(World {
            fails: self.fails.clone(),
            ..World::default()
        }));
        let mut checkpoints = Arc::new(MemoryCheckpoints::new());
        let all: Vec<usize> = (0..self.keys.len()).collect();
        let mut batches = VecDeque::from([(all, 0)]);
        let mut invocations = 0;
        while let Some((batch, attempts)) = batches.pop_front() {
            let flag = |flags: &[bool]| flags.get(invocations).copied().unwrap_or_default();
            if flag(&self.new) {
                checkpoints = Arc::new(MemoryCheckpoints::new());
            }
            let is_lost = flag(&self.lost);
            invocations += 1;
            assert!(invocations < 2000, "it does not come to an end");

            let answer = self
                .invoke(&batch, &world, self.checkpoints.then(|| Arc::clone(&checkpoints)))
                .await;
            let first = answer.iter().map(|number| number.parse::<usize>().unwrap() - 100).min();
            let at = first.map_or(batch.len(), |first| {
                batch.iter().position(|kinesis| *kinesis == first).unwrap()
            });
            {
                let world = world.lock().unwrap();
                let is_done = |id: &Id| world.done.contains(id) || !batch[..at].contains(&id.0);
                assert!(
                    self.all().all(|id| is_done(&id)),
                    "everything before the answer is done"
                );
            }
            match (is_lost, at) {
                (false, at) if at == batch.len() => {}
                (false, at) if at > 0 => {
                    let rest = batch[at..].to_vec();
                    self.again(rest, attempts, self.mapping.bisect, &mut batches, &world);
                }
                (false, _) if !self.mapping.halves_at_the_first => {
                    self.again(batch, attempts, false, &mut batches, &world);
                }
                _ if self.mapping.bisect && batch.len() > 1 => {
                    let (one, two) = batch.split_at(batch.len() / 2);
                    // Splitting does not consume the retry quota.
                    batches.push_front((two.to_vec(), attempts));
                    batches.push_front((one.to_vec(), attempts));
                }
                _ => self.again(batch, attempts, false, &mut batches, &world),
            }
        }
        Arc::into_inner(world).unwrap().into_inner().unwrap()
    }

    fn again(
        &self,
        batch: Vec<usize>,
        attempts: u32,
        is_split: bool,
        batches: &mut VecDeque<(Vec<usize>, u32)>,
        world: &Mutex<World>,
    ) {
        let attempts = attempts + u32::from(!is_split);
        if self.mapping.retries.is_some_and(|retries| attempts > retries) {
            world.lock().unwrap().discarded.extend(batch);
        } else {
            batches.push_front((batch, attempts));
        }
    }

    async fn invoke(
        &self,
        batch: &[usize],
        world: &Arc<Mutex<World>>,
        checkpoints: Option<Arc<MemoryCheckpoints>>,
    ) -> Vec<String> {
        {
            let mut world = world.lock().unwrap();
            world.begun.clear();
            world.failed.clear();
        }
        let (case, shared) = (self.clone(), Arc::clone(world));
        let mut handler = Handler::per_record(move |line: Received<Line>| {
            let (case, world) = (case.clone(), Arc::clone(&shared));
            async move {
                let (kinesis, sub) = line.value.text.split_once(' ').unwrap();
                let id: Id = (kinesis.parse().unwrap(), sub.parse().unwrap());
                case.begin(&mut world.lock().unwrap(), id);
                for _ in 0..(id.0 * 7 + id.1 * 3) % 4 {
                    tokio::task::yield_now().await;
                }
                let mut world = world.lock().unwrap();
                world.running.remove(&id);
                let fails = match world.fails.get_mut(&id) {
                    Some(Fails::Always) => true,
                    Some(Fails::Times(0)) | None => false,
                    Some(Fails::Times(times)) => {
                        *times -= 1;
                        true
                    }
                };
                if fails {
                    world.failed.insert(id);
                    return Err("not now");
                }
                assert!(case.may_be_done(&world, id), "{id:?} overtakes");
                world.done.insert(id);
                Ok(())
            }
        });
        if let Some(checkpoints) = checkpoints {
            handler = handler.checkpoints(checkpoints);
        }
        let handler = handler.concurrency(self.concurrency).on_failure(self.on_failure);
        let answer = handler.handle(&self.event(batch)).await.unwrap();
        // An assertion that fails inside the function is an error of the function.
        let world = world
            .lock()
            .unwrap_or_else(|_| panic!("a promise was broken: see above"));
        assert!(world.running.is_empty());
        answer.identifiers().map(str::to_owned).collect()
    }
}

fn concurrency() -> impl Strategy<Value = Concurrency> {
    let limit = || (1..4_usize).prop_map(|limit| NonZeroUsize::new(limit).unwrap());
    prop_oneof![
        Just(Concurrency::Sequential),
        limit().prop_map(Concurrency::ByPartitionKey),
        limit().prop_map(Concurrency::All),
    ]
}

fn keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0..4_u8, 1..4), 1..8)
}

prop_compose! {
    fn case(retries: BoxedStrategy<Option<u32>>)(
        keys in keys(),
        concurrency in concurrency(),
        on_failure in prop_oneof![Just(OnFailure::Stop), Just(OnFailure::Continue)],
        checkpoints in any::<bool>(),
        retries in retries,
        bisect in any::<bool>(),
        halves_at_the_first in any::<bool>(),
        lost in prop::collection::vec(prop::bool::weighted(0.2), 0..12),
        new in prop::collection::vec(prop::bool::weighted(0.2), 0..12),
    ) -> Case {
        Case {
            keys,
            fails: BTreeMap::new(),
            concurrency,
            on_failure,
            checkpoints,
            mapping: Mapping { retries, bisect, halves_at_the_first },
            lost,
            new,
        }
    }
}

fn run(case: &Case) -> World {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(case.run())
}

fn pick(case: &Case, index: prop::sample::Index) -> Id {
    let all: Vec<Id> = case.all().collect();
    all[index.index(all.len())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Retried without limit, every user record is done in the end.
    #[test]
    fn nothing_is_lost(
        mut case in case(Just(None).boxed()),
        bad in prop::collection::vec((any::<prop::sample::Index>(), 1..4_u32), 0..6),
    ) {
        for (index, times) in bad {
            case.fails.insert(pick(&case, index), Fails::Times(times));
        }
        let world = run(&case);
        prop_assert!(world.discarded.is_empty());
        prop_assert!(case.all().all(|id| world.done.contains(&id)));
    }

    /// Whatever fails and however often, it comes to an end, and each user record is done, or its Kinesis record was given
    /// up on.
    #[test]
    fn what_is_not_done_was_given_up_on(
        mut case in case((0..4_u32).prop_map(Some).boxed()),
        bad in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(1..4_u32)), 0..6),
    ) {
        for (index, times) in bad {
            case.fails.insert(pick(&case, index), times.map_or(Fails::Always, Fails::Times));
        }
        let world = run(&case);
        prop_assert!(case.all().all(|id| world.done.contains(&id) || world.discarded.contains(&id.0)));
    }

    /// One poison record costs no other one, as far as Lambda can leave others out of what it gives up on.
    #[test]
    fn a_poison_record_costs_as_little_as_possible(
        mut case in case((0..4_u32).prop_map(Some).boxed()),
        poison in any::<prop::sample::Index>(),
    ) {
        case.lost.clear();
        let poison = pick(&case, poison);
        case.fails.insert(poison, Fails::Always);
        let world = run(&case);
        prop_assert!(world.discarded.contains(&poison.0));
        let isolated = case.mapping.bisect && case.mapping.halves_at_the_first;
        for id in case.all().filter(|id| *id != poison) {
            let must_be_done = match case.on_failure {
                OnFailure::Continue => true,
                _ => id < poison || (isolated && id.0 != poison.0),
            };
            prop_assert!(world.done.contains(&id) || !must_be_done, "{:?} is not done", id);
        }
        if isolated {
            prop_assert_eq!(world.discarded.len(), 1);
        }
    }
}
