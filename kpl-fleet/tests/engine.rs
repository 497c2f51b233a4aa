//! Rules of the engine, one by one: what it asks for, and when.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::{HashKeyRange, Position};
use kpl_fleet::engine::{Engine, Handling, Loss, Options, Output, Stop, Updated};
use kpl_fleet::{Checkpoint, Lease, OwnerChange, Update};
use kpl_stream::client::ShardDescription;

/// An engine, and the time.
struct Bench {
    engine: Engine,
    begin: Instant,
    now: Instant,
}

fn lease(key: &str, owner: Option<&str>, counter: u64) -> Lease {
    let mut lease = Lease::new(key, Checkpoint::TrimHorizon);
    lease.owner = owner.map(Into::into);
    lease.counter = counter;
    lease
}

fn at(number: u64) -> Checkpoint {
    Checkpoint::After(Position::new(&number.to_string(), 0).unwrap())
}

fn shard(id: &str, parents: &[&str], closed: bool) -> ShardDescription {
    let shard = ShardDescription::new(id, HashKeyRange::FULL).with_closed(closed);
    parents.iter().fold(shard, |shard, parent| shard.with_parent(*parent))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Bench {
    /// Returns an engine that has asked to look and to list.
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let now = Instant::now() + Duration::from_secs(1000);
        let mut options = Options::new("me", Checkpoint::TrimHorizon);
        change(&mut options);
        let mut bench = Self {
            engine: Engine::new(options, now),
            begin: now,
            now,
        };
        assert_eq!(bench.outputs(), [Output::Look, Output::List]);
        bench.engine.listed(now, Some(Vec::new()));
        bench
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.engine.poll(self.now)).collect()
    }

    fn pass(&mut self, millis: u64) -> Vec<Output> {
        self.now += Duration::from_millis(millis);
        self.outputs()
    }

    fn looked(&mut self, leases: &[Lease]) -> Vec<Output> {
        self.engine.looked(self.now, Some(leases.to_vec()));
        self.outputs()
    }

    /// Looks again, a second later.
    fn look(&mut self, leases: &[Lease]) -> Vec<Output> {
        assert_eq!(self.pass(1000), [Output::Look]);
        self.looked(leases)
    }

    fn updated(&mut self, number: u64, updated: Updated) -> Vec<Output> {
        self.engine.updated(self.now, "a", number, updated);
        self.outputs()
    }

    /// Returns a bench whose engine has the lease `a`, which has the counter 1 then, and its handling.
    fn having(from: Checkpoint) -> (Self, Handling) {
        let mut bench = Self::new();
        let mut free = lease("a", None, 0);
        free.checkpoint = from.clone();
        let outputs = bench.looked(&[free]);
        let (number, update) = update(&outputs);
        assert_eq!(update.owner, OwnerChange::Take("me".into()));
        let outputs = bench.updated(number, Updated::Done);
        let [Output::Start(handling, checkpoint)] = &outputs[..] else {
            panic!("{outputs:?}");
        };
        assert_eq!(*checkpoint, from);
        (bench, handling.clone())
    }

    fn since_begin(&self) -> Option<Duration> {
        Some(self.engine.wake_at()?.duration_since(self.begin))
    }

    fn checkpoint(&mut self, handling: &Handling, checkpoint: Checkpoint) -> Vec<Output> {
        self.engine.checkpoint(handling, checkpoint);
        self.outputs()
    }
}

/// Returns the only update.
fn update(outputs: &[Output]) -> (u64, Update) {
    match outputs {
        [Output::Update(number, update)] => (*number, update.clone()),
        outputs => panic!("{outputs:?}"),
    }
}

#[test]
fn what_nobody_has_and_what_was_left_in_its_own_name_is_taken_at_once() {
    for owner in [None, Some("me")] {
        let outputs = Bench::new().looked(&[lease("a", owner, 7)]);
        let (_, update) = update(&outputs);
        assert_eq!(update.owner, OwnerChange::Take("me".into()));
        assert_eq!((update.expected_owner.as_deref(), update.expected_counter), (owner, 7));
        assert!(!update.is_switch());
    }
}

#[test]
fn what_another_has_is_taken_when_it_stood_still_for_the_failover_time() {
    let mut bench = Bench::new();
    let theirs = lease("a", Some("other"), 7);
    assert_eq!(bench.looked(std::slice::from_ref(&theirs)), []);
    for _ in 0..9 {
        assert_eq!(bench.look(std::slice::from_ref(&theirs)), []);
    }
    let outputs = bench.look(std::slice::from_ref(&theirs));
    let (_, update) = update(&outputs);
    assert_eq!(
        (update.expected_owner.as_deref(), update.expected_counter),
        (Some("other"), 7)
    );
    assert!(update.is_switch());
    // Its counter or its owner has changed meanwhile.
    for changed in [lease("a", Some("other"), 8), lease("a", Some("third"), 7)] {
        let mut bench = Bench::new();
        bench.looked(std::slice::from_ref(&theirs));
        (0..5).for_each(|_| drop(bench.look(std::slice::from_ref(&theirs))));
        for _ in 0..10 {
            assert_eq!(bench.look(std::slice::from_ref(&changed)), []);
        }
        update_of(&bench.look(std::slice::from_ref(&changed)));
    }
}

fn update_of(outputs: &[Output]) {
    drop(update(outputs));
}

/// The answer of a look may come late: what it shows was so when it was asked for, at the earliest.
#[test]
fn a_late_answer_does_not_make_a_lease_older() {
    let mut bench = Bench::new();
    let theirs = lease("a", Some("other"), 7);
    bench.looked(std::slice::from_ref(&theirs));
    assert_eq!(bench.pass(1000), [Output::Look]);
    bench.now += millis(20_000);
    assert_eq!(bench.looked(&[theirs]), []);
}

#[test]
fn what_has_ended_is_handed_over_or_waits_for_parents_is_not_taken() {
    let mut bench = Bench::new();
    let mut ended = lease("ended", None, 0);
    ended.checkpoint = Checkpoint::Ended;
    let mut handed_over = lease("handed over", None, 0);
    handed_over.is_handed_over = true;
    let parent = lease("parent", Some("other"), 0);
    let mut child = lease("a", None, 0);
    child.parents = vec!["ended".into(), "parent".into()];
    let mut leases = [ended, handed_over, parent, child];
    assert_eq!(bench.looked(&leases), []);
    leases[2].checkpoint = Checkpoint::Ended;
    leases[2].counter = 1;
    assert_eq!(&*update(&bench.look(&leases)).1.key, "a");
}

/// A look is not of one moment.
#[test]
fn a_parent_that_is_not_there_is_over_if_the_child_was_there_before() {
    let mut bench = Bench::new();
    let mut child = lease("a", None, 0);
    child.parents = vec!["parent".into()];
    assert_eq!(bench.looked(&[child.clone()]), []);
    update_of(&bench.look(&[child]));
}

#[test]
fn a_lease_is_renewed_in_time_and_given_up_in_time_if_that_fails() {
    let (mut bench, handling) = Bench::having(Checkpoint::TrimHorizon);
    // The looks are left out.
    assert_eq!(bench.pass(1000), [Output::Look]);
    assert_eq!(bench.pass(2333), []);
    let (number, renewal) = update(&bench.pass(1));
    assert_eq!(
        (renewal.expected_owner.as_deref(), renewal.expected_counter),
        (Some("me"), 1)
    );
    assert_eq!((renewal.owner, renewal.checkpoint), (OwnerChange::Keep, None));
    // It counts from when it was asked for.
    bench.now += millis(100);
    assert_eq!(bench.updated(number, Updated::Done), []);
    let renewed = millis(3334);
    assert_eq!(bench.since_begin(), Some(renewed + millis(10_000) / 3));
    let (number, renewal) = update(&bench.pass(3300));
    assert_eq!(renewal.expected_counter, 2);
    assert_eq!(bench.since_begin(), Some(renewed + millis(9500)));
    let left = (renewed + millis(9500)) - bench.now.duration_since(bench.begin);
    assert_eq!(bench.pass(u64::try_from(left.as_millis()).unwrap() - 1), []);
    let lost = Output::Stop(handling.clone(), Stop::AtOnce(Loss::NotRenewed));
    assert_eq!(bench.pass(1), [lost]);
    assert_eq!(bench.updated(number, Updated::Done), []);
    // Not before its handling has ended.
    bench.engine.looked(bench.now, Some(vec![lease("a", Some("me"), 3)]));
    assert_eq!(bench.outputs(), []);
    bench.engine.handling_ended(&handling);
    update_of(&bench.look(&[lease("a", Some("me"), 3)]));
}

#[test]
fn a_lost_answer_is_recognized_and_counts_from_the_first_request() {
    let (mut bench, handling) = Bench::having(at(5));
    let (number, first) = update(&bench.checkpoint(&handling, at(7)));
    assert_eq!((first.expected_counter, first.checkpoint), (1, Some(at(7))));
    bench.now += millis(200);
    assert_eq!(bench.updated(number, Updated::Unknown), []);
    // Meanwhile more is to be saved.
    assert_eq!(bench.checkpoint(&handling, at(8)), []);
    bench.now += millis(300);
    let (number, second) = update(&bench.outputs());
    assert_eq!((second.expected_counter, second.checkpoint), (1, Some(at(8))));
    let mut found = lease("a", Some("me"), 2);
    found.checkpoint = at(7);
    // The first was carried out, so the second must be made again.
    let (number, third) = update(&bench.updated(number, Updated::Refused(Some(Box::new(found)))));
    assert_eq!((third.expected_counter, third.checkpoint), (2, Some(at(8))));
    assert_eq!(bench.pass(500), [Output::Look]);
    assert_eq!(bench.since_begin(), Some(millis(9500)));
    assert_eq!(bench.updated(number, Updated::Done), [Output::Saved(handling, at(8))]);
}

#[test]
fn a_refused_request_loses_the_lease_unless_it_was_this_workers() {
    let others = [
        None,
        Some(lease("a", Some("other"), 2)),
        Some(lease("a", None, 2)),
        Some(lease("a", Some("me"), 3)),
        Some(lease("a", Some("me"), 1)),
    ];
    for other in others {
        let (mut bench, handling) = Bench::having(at(5));
        let (number, _) = update(&bench.checkpoint(&handling, at(7)));
        let outputs = bench.updated(number, Updated::Refused(other.map(Box::new)));
        assert_eq!(outputs, [Output::Stop(handling, Stop::AtOnce(Loss::Taken))]);
    }
}

#[test]
fn checkpoints_do_not_go_back_and_those_of_an_earlier_handling_do_not_count() {
    let (mut bench, handling) = Bench::having(at(5));
    assert_eq!(
        bench.checkpoint(&handling, at(4)),
        [Output::Saved(handling.clone(), at(4))]
    );
    assert_eq!(
        bench.checkpoint(&handling, at(5)),
        [Output::Saved(handling.clone(), at(5))]
    );
    let (number, _) = update(&bench.checkpoint(&handling, at(7)));
    assert_eq!(bench.checkpoint(&handling, at(6)), []);
    assert_eq!(
        bench.updated(number, Updated::Done),
        [Output::Saved(handling.clone(), at(7))]
    );
    // It is lost, and taken again.
    let other = lease("a", Some("other"), 9);
    let lost = Output::Stop(handling.clone(), Stop::AtOnce(Loss::Taken));
    assert_eq!(bench.look(&[other]), [lost]);
    bench.engine.handling_ended(&handling);
    let (number, _) = update(&bench.look(&[lease("a", None, 10)]));
    let outputs = bench.updated(number, Updated::Done);
    assert!(matches!(&outputs[..], [Output::Start(again, _)] if *again != handling));
    assert_eq!(bench.checkpoint(&handling, at(9)), []);
    bench.engine.handling_ended(&handling);
    assert_eq!(bench.outputs(), []);
}

#[test]
fn a_look_that_is_older_than_what_is_known_does_not_count() {
    let (mut bench, handling) = Bench::having(at(5));
    assert_eq!(bench.look(&[lease("a", None, 0)]), []);
    assert_eq!(bench.look(&[lease("a", Some("other"), 1)]), []);
    // Nor while it is not known what a request has done: giving the lease up, here.
    bench.engine.handling_ended(&handling);
    let (number, released) = update(&bench.outputs());
    assert_eq!(released.owner, OwnerChange::Remove);
    assert_eq!(bench.updated(number, Updated::Unknown), []);
    assert_eq!(bench.pass(50), []);
    let (number, again) = update(&bench.pass(100));
    assert_eq!(again, released);
    let released = lease("a", None, 2);
    assert_eq!(bench.updated(number, Updated::Refused(Some(Box::new(released)))), []);
}

#[test]
fn a_shard_ends_once_its_children_have_leases() {
    let (mut bench, handling) = Bench::having(at(5));
    let children = [shard("b", &["a"], false), shard("c", &["a"], false)];
    bench.engine.shard_ended(bench.now, &handling, &children);
    let outputs = bench.outputs();
    let [Output::Create(b), Output::Create(c)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(
        (&*b.key, &b.parents[..], &b.checkpoint),
        ("b", &["a".to_owned()][..], &Checkpoint::TrimHorizon)
    );
    assert_eq!(b.range, Some(HashKeyRange::FULL));
    bench.engine.created(bench.now, &b.key, true);
    bench.engine.created(bench.now, &c.key, false);
    // One of them is there now, and may be looked for.
    bench.engine.looked(bench.now, None);
    bench.outputs();
    let outputs = bench.pass(150);
    assert!(
        matches!(&outputs[..], [Output::Create(again)] if *again == *c),
        "{outputs:?}"
    );
    bench.engine.created(bench.now, &c.key, true);
    let outputs: Vec<_> = bench
        .outputs()
        .into_iter()
        .filter(|output| *output != Output::Look)
        .collect();
    let (number, end) = update(&outputs);
    assert_eq!(
        (&end.checkpoint, &end.owner),
        (&Some(Checkpoint::Ended), &OwnerChange::Remove)
    );
    assert_eq!(end.children, ["b", "c"]);
    assert_eq!(
        bench.updated(number, Updated::Done),
        [Output::Saved(handling.clone(), Checkpoint::Ended)]
    );
    // It is forgotten with its handling.
    bench.engine.stop();
    assert!(!bench.engine.has_stopped());
    bench.engine.handling_ended(&handling);
    assert!(bench.engine.has_stopped());
}

/// What a look shows may be what the request has done whose answer was lost.
#[test]
fn an_unanswered_end_is_decided_by_the_next_request() {
    let (mut bench, handling) = Bench::having(at(5));
    bench.engine.shard_ended(bench.now, &handling, &[]);
    let outputs = bench.outputs();
    let (number, end) = update(&outputs[..1]);
    assert_eq!(outputs[1..], [Output::List]);
    let mut ended = lease("a", None, 2);
    ended.checkpoint = Checkpoint::Ended;
    assert_eq!(bench.look(std::slice::from_ref(&ended)), []);
    assert_eq!(bench.updated(number, Updated::Unknown), []);
    let (number, again) = update(&bench.pass(100));
    assert_eq!(again, end);
    assert_eq!(bench.updated(number, Updated::Unknown), []);
    assert_eq!(bench.pass(50), []);
    bench.now += millis(850);
    let outputs = bench.outputs();
    let [Output::Update(number, _), Output::Look] = outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(bench.updated(number, Updated::Unknown), []);
    assert_eq!(bench.looked(std::slice::from_ref(&ended)), []);
    let (number, _) = update(&bench.pass(400));
    let saved = Output::Saved(handling, Checkpoint::Ended);
    assert_eq!(bench.updated(number, Updated::Refused(Some(Box::new(ended)))), [saved]);
}

#[test]
fn a_child_whose_other_parent_is_not_known_is_left_to_the_list() {
    let (mut bench, handling) = Bench::having(at(5));
    bench.engine.listed(bench.now, Some(Vec::new()));
    bench.outputs();
    bench
        .engine
        .shard_ended(bench.now, &handling, &[shard("c", &["a", "b"], false)]);
    let outputs = bench.outputs();
    let [Output::Update(_, end), Output::List] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(
        (&end.checkpoint, &end.children[..]),
        (&Some(Checkpoint::Ended), &["c".to_owned()][..])
    );
}

#[test]
fn a_list_is_compared_with_a_look_that_is_younger_and_only_soon() {
    let shards = [shard("x", &[], false)];
    // The look was asked for before the list came.
    let mut bench = Bench::new();
    bench.now += millis(10);
    bench.engine.listed(bench.now, Some(shards.to_vec()));
    assert_eq!(bench.looked(&[]), []);
    let outputs = bench.look(&[]);
    assert!(
        matches!(&outputs[..], [Output::Create(lease)] if &*lease.key == "x"),
        "{outputs:?}"
    );
    // It took so long that the list may be wrong.
    let mut bench = Bench::new();
    assert_eq!(bench.looked(&[]), []);
    bench.engine.listed(bench.now, Some(shards.to_vec()));
    assert_eq!(bench.outputs(), [Output::Look]);
    bench.now += millis(10_001);
    bench.engine.looked(bench.now, Some(Vec::new()));
    assert_eq!(bench.outputs(), [Output::List]);
    bench.engine.listed(bench.now, Some(shards.to_vec()));
    assert_eq!(bench.outputs(), [Output::Look]);
    assert!(matches!(&bench.looked(&[])[..], [Output::Create(_)]));
}

#[test]
fn an_ended_lease_is_removed_after_six_failover_times() {
    let mut bench = Bench::with(|options| options.list_interval = Duration::from_secs(1));
    let mut ended = lease("x", Some("gone"), 4);
    ended.checkpoint = Checkpoint::Ended;
    bench.looked(std::slice::from_ref(&ended));
    let mut removed = None;
    for _ in 0..70 {
        bench.engine.listed(bench.now, Some(Vec::new()));
        bench.outputs();
        let outputs = bench.looked(std::slice::from_ref(&ended));
        if let Some(Output::Delete(key, counter)) = outputs.first() {
            assert_eq!((&**key, *counter), ("x", 4));
            removed.get_or_insert(bench.now.duration_since(bench.begin));
        }
        bench.pass(1000);
    }
    assert_eq!(removed, Some(Duration::from_secs(60)));
}

#[test]
fn a_worker_that_is_told_to_stop_gives_its_leases_up_after_their_last_checkpoints() {
    let (mut bench, handling) = Bench::having(at(5));
    bench.engine.stop();
    assert_eq!(bench.outputs(), [Output::Stop(handling.clone(), Stop::Gracefully)]);
    // Once.
    bench.engine.stop();
    assert_eq!(bench.outputs(), []);
    assert_eq!(bench.pass(3000), []);
    // What is under way takes its time.
    let (number, renewal) = update(&bench.pass(400));
    assert_eq!(renewal.owner, OwnerChange::Keep);
    assert_eq!(bench.updated(number, Updated::Done), []);
    let (number, last) = update(&bench.checkpoint(&handling, at(7)));
    assert_eq!((&last.checkpoint, &last.owner), (&Some(at(7)), &OwnerChange::Keep));
    assert_eq!(
        bench.updated(number, Updated::Done),
        [Output::Saved(handling.clone(), at(7))]
    );
    assert!(!bench.engine.has_stopped());
    bench.engine.handling_ended(&handling);
    let (number, released) = update(&bench.outputs());
    assert_eq!((released.owner, released.checkpoint), (OwnerChange::Remove, None));
    assert!(!bench.engine.has_stopped());
    assert_eq!(bench.updated(number, Updated::Done), []);
    assert!(bench.engine.has_stopped());
    assert_eq!(bench.engine.wake_at(), None);
}

#[test]
fn a_lease_that_comes_when_the_worker_is_to_stop_is_given_up_and_no_other_is_taken() {
    let mut bench = Bench::new();
    let (number, _) = update(&bench.looked(&[lease("a", None, 0)]));
    assert_eq!(bench.pass(1000), [Output::Look]);
    bench.engine.stop();
    assert_eq!(bench.looked(&[lease("a", None, 0), lease("b", None, 0)]), []);
    let outputs = bench.updated(number, Updated::Done);
    let [Output::Start(handling, _), Output::Stop(stopped, Stop::Gracefully)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(handling, stopped);
    bench.engine.handling_ended(handling);
    assert_eq!(update(&bench.outputs()).1.owner, OwnerChange::Remove);
    // An answer to a request that is not under way changes nothing.
    assert_eq!(bench.updated(number, Updated::Unknown), []);
}

#[test]
fn an_unanswered_take_is_decided_by_the_next_look() {
    let mut bench = Bench::new();
    let (number, _) = update(&bench.looked(&[lease("a", None, 0)]));
    assert_eq!(bench.updated(number, Updated::Unknown), []);
    let (_, again) = update(&bench.look(&[lease("a", Some("me"), 1)]));
    assert_eq!(
        (again.expected_owner, again.expected_counter),
        (Some(Arc::from("me")), 1)
    );
}

/// Another worker is told to stop, does not take any more, and finishes its last record slowly.
#[test]
fn what_nobody_has_for_long_is_taken_beyond_the_share() {
    let mut table = [
        lease("a", None, 0),
        lease("b", None, 0),
        lease("c", None, 0),
        lease("d", Some("slow"), 0),
    ];
    let mut bench = Bench::new();
    let mut outputs = bench.looked(&table);
    let mut taken = Vec::new();
    for second in 1..=12 {
        while let Some(output) = outputs.pop() {
            match output {
                Output::Look => bench.engine.looked(bench.now, Some(table.to_vec())),
                Output::Update(number, update) => {
                    if matches!(update.owner, OwnerChange::Take(_)) {
                        taken.push(second);
                    }
                    let lease = table.iter_mut().find(|lease| lease.key == update.key).unwrap();
                    update.change(lease);
                    bench.engine.updated(bench.now, &update.key, number, Updated::Done);
                }
                _ => {}
            }
            outputs.extend(bench.outputs());
        }
        table[3].counter += 1;
        outputs = bench.pass(1000);
    }
    assert_eq!(taken, [1, 1, 11]);
}

/// Such a lease was added when the fleet started, later than one of its parents.
#[test]
fn a_lease_at_the_latest_record_is_read_from_the_beginning_if_its_parents_were_read() {
    // Without its parents in the table it waits for a second look: the first may have missed them.
    for (parent, from, waits) in [
        ("parent", Checkpoint::TrimHorizon, 0),
        ("another", Checkpoint::Latest, 1),
    ] {
        let mut bench = Bench::new();
        let mut ended = lease(parent, None, 0);
        ended.checkpoint = Checkpoint::Ended;
        let mut child = lease("a", None, 0);
        child.checkpoint = Checkpoint::Latest;
        child.parents = vec!["parent".into()];
        let leases = [ended, child];
        let mut outputs = bench.looked(&leases);
        for _ in 0..waits {
            assert_eq!(outputs, [], "{parent}");
            outputs = bench.look(&leases);
        }
        let (number, _) = update(&outputs);
        let outputs = bench.updated(number, Updated::Done);
        assert!(
            matches!(&outputs[..], [Output::Start(_, start)] if *start == from),
            "{outputs:?}"
        );
    }
}

#[test]
fn nothing_is_taken_before_the_leases_were_compared_with_the_shards() {
    let now = Instant::now();
    let mut engine = Engine::new(Options::new("me", Checkpoint::TrimHorizon), now);
    let outputs = |engine: &mut Engine| std::iter::from_fn(|| engine.poll(now)).collect::<Vec<_>>();
    assert_eq!(outputs(&mut engine), [Output::Look, Output::List]);
    engine.looked(now, Some(vec![lease("a", None, 0)]));
    assert_eq!(outputs(&mut engine), []);
    engine.listed(now, Some(vec![shard("a", &[], false)]));
    assert_eq!(outputs(&mut engine), [Output::Look]);
    engine.looked(now, Some(vec![lease("a", None, 0)]));
    update_of(&outputs(&mut engine));
}

#[test]
fn leases_of_another_stream_stop_the_worker_before_it_takes_any() {
    let mut bench = Bench::new();
    let mut other = lease("b", None, 0);
    other.range = Some(HashKeyRange::new(0.into(), 9.into()).unwrap());
    let shards = vec![shard("a", &[], false), shard("b", &[], false)];
    bench.engine.listed(bench.now, Some(shards));
    let outputs = bench.looked(&[lease("a", None, 0), other]);
    assert!(
        matches!(&outputs[..], [Output::OtherStream(other)] if &*other.key == "b"),
        "{outputs:?}"
    );
    assert!(bench.engine.has_stopped());
}

#[test]
fn a_worker_whose_stream_is_created_anew_gives_its_leases_up() {
    let (mut bench, handling) = Bench::having(at(5));
    let anew = shard("a", &[], false).with_first_sequence_number("7".parse().unwrap());
    bench.engine.listed(bench.now, Some(vec![anew]));
    assert_eq!(bench.outputs(), [Output::Look]);
    let mut mine = lease("a", Some("me"), 1);
    mine.checkpoint = at(5);
    let outputs = bench.looked(&[mine]);
    assert!(
        matches!(&outputs[..], [Output::OtherStream(_), Output::Stop(stopped, Stop::Gracefully)] if *stopped == handling),
        "{outputs:?}"
    );
}

#[test]
fn a_lease_that_has_ended_is_not_that_of_an_open_shard() {
    let mut bench = Bench::new();
    let mut ended = lease("a", None, 7);
    ended.checkpoint = Checkpoint::Ended;
    // The shard may just have been closed, and the list may be older.
    bench.engine.listed(bench.now, Some(vec![shard("a", &[], false)]));
    assert_eq!(bench.looked(&[ended.clone()]), []);
    for _ in 0..10 {
        bench.look(&[ended.clone()]);
    }
    bench.engine.listed(bench.now, Some(vec![shard("a", &[], true)]));
    bench.outputs();
    assert_eq!(bench.looked(&[ended.clone()]), []);
    bench.engine.listed(bench.now, Some(vec![shard("a", &[], false)]));
    bench.outputs();
    let outputs = bench.looked(&[ended]);
    assert!(
        matches!(&outputs[..], [Output::OtherStream(other)] if other.difference == "the lease has ended, and the shard is open"),
        "{outputs:?}"
    );
}

#[test]
fn a_lease_at_the_latest_record_waits_for_its_line_and_is_read_from_the_beginning() {
    let mut bench = Bench::new();
    let closed = [shard("old", &[], true), shard("parent", &["old"], true)];
    let shards = closed.into_iter().chain([shard("a", &["parent"], false)]);
    let ended = |key| {
        let mut lease = lease(key, None, 0);
        lease.checkpoint = Checkpoint::Ended;
        lease
    };
    let mut child = lease("a", None, 0);
    child.checkpoint = Checkpoint::Latest;
    child.parents = vec!["parent".into()];
    bench.engine.listed(bench.now, Some(shards.collect()));
    // The request to add the child was under way for long: the fleet has read the oldest shard meanwhile, and the next one is to be added.
    let mut leases = vec![ended("old"), child];
    bench.looked(&leases);
    for _ in 0..3 {
        bench.pass(1000);
        let outputs = bench.looked(&leases);
        assert!(
            !outputs.iter().any(|output| matches!(output, Output::Update(..))),
            "{outputs:?}"
        );
    }
    leases.push(ended("parent"));
    bench.pass(1000);
    let outputs = bench.looked(&leases);
    let (number, _) = update(&outputs);
    let outputs = bench.updated(number, Updated::Done);
    let is_start = |output: &Output| matches!(output, Output::Start(_, Checkpoint::TrimHorizon));
    assert!(outputs.iter().any(is_start), "{outputs:?}");
}
