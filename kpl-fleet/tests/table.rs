//! Rows of lease tables: what is read, written and changed, and what is judged to be wrong, against the engine.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kpl_core::{HashKeyRange, Position};
use kpl_fleet::engine::{Engine, Options, Output};
use kpl_fleet::table::{Attribute, Change, Item, LeaseTable, ProblemKind, read_lease, write_lease};
use kpl_fleet::{Checkpoint, Lease, OwnerChange, Update};
use kpl_stream::client::ShardDescription;
use proptest::prelude::*;
use serde_json::Value;

const KNOWN: [&str; 16] = [
    "leaseKey",
    "leaseOwner",
    "leaseCounter",
    "checkpoint",
    "checkpointSubSequenceNumber",
    "ownerSwitchesSinceCheckpoint",
    "parentShardId",
    "childShardIds",
    "startingHashKey",
    "endingHashKey",
    "pendingCheckpoint",
    "pendingCheckpointSubSequenceNumber",
    "pendingCheckpointState",
    "checkpointOwner",
    "entityType",
    "streamName",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("SHARD_END".to_owned()),
        Just("TRIM_HORIZON".to_owned()),
        Just("LEASE".to_owned()),
        "[0-9]{1,40}",
        ".{0,8}"
    ]
}

fn attribute() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        4 => text().prop_map(Attribute::String),
        2 => any::<u64>().prop_map(|number| Attribute::Number(number.to_string())),
        2 => (0..9_u64).prop_map(|number| Attribute::Number(number.to_string())),
        1 => "[-0-9.eE]{0,5}".prop_map(Attribute::Number),
        2 => prop::collection::vec("[ab]{1,3}", 1..3).prop_map(Attribute::Strings),
        1 => Just(Attribute::Other),
    ]
}

fn any_row() -> impl Strategy<Value = Item> {
    let name = prop_oneof![4 => prop::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => "[a-z]{1,6}"];
    prop::collection::btree_map(name, attribute(), 0..16)
}

/// A row of a valid lease, with attributes beside.
fn lease_row() -> impl Strategy<Value = Item> {
    let number = (0..=i64::MAX as u64).prop_map(|number| Attribute::Number(number.to_string()));
    let checkpoint = prop_oneof![
        Just("LATEST".to_owned()),
        Just("SHARD_END".to_owned()),
        "[1-9][0-9]{0,55}"
    ];
    let owner = prop::option::of("[a-c]");
    (any_row(), number, checkpoint, 0..100_u64, owner).prop_map(|(mut row, counter, checkpoint, switches, owner)| {
        for name in &KNOWN[6..] {
            if !name.starts_with("pending") {
                row.remove(*name);
            }
        }
        row.remove("leaseOwner");
        let string = |text: &str| Attribute::String(text.into());
        row.extend(owner.map(|owner| ("leaseOwner".into(), string(&owner))));
        row.insert("leaseKey".into(), string("shard"));
        row.insert("leaseCounter".into(), counter);
        row.insert("checkpoint".into(), string(&checkpoint));
        row.insert("checkpointSubSequenceNumber".into(), Attribute::Number("3".into()));
        row.insert(
            "ownerSwitchesSinceCheckpoint".into(),
            Attribute::Number(switches.to_string()),
        );
        row
    })
}

fn update(lease: &Lease, owner: u8, checkpoint: Option<u64>, children: bool) -> Update {
    let mut update = Update::new(lease);
    update.owner = match owner {
        0 => OwnerChange::Keep,
        1 => OwnerChange::Take("a".into()),
        _ => OwnerChange::Remove,
    };
    update.checkpoint =
        checkpoint.map(|number| Checkpoint::After(Position::new(&number.to_string(), number % 9).unwrap()));
    if children {
        update.children = vec!["c".into(), "d".into()];
    }
    update
}

proptest! {
    #[test]
    fn any_row_is_read_without_panic_and_what_is_written_is_read_again(row in any_row()) {
        if let Ok(Some(mut lease)) = read_lease(&row) {
            lease.is_handed_over = false;
            prop_assert_eq!(read_lease(&write_lease(&lease)), Ok(Some(lease)));
        }
        let table = LeaseTable::read([row]);
        prop_assert!(table.leases.len() + table.invalid.len() <= 1);
        drop(table.problems(Some(&[])));
    }

    #[test]
    fn an_update_changes_what_it_says_and_nothing_that_is_not_known(
        row in lease_row(), owner in 0..3_u8, checkpoint in prop::option::of(any::<u64>()), children: bool
    ) {
        let mut lease = read_lease(&row).unwrap().unwrap();
        let update = update(&lease, owner, checkpoint, children);
        let mut changed = row.clone();
        Change::of(&update).apply(&mut changed);
        if lease.counter < i64::MAX as u64 {
            update.change(&mut lease);
            prop_assert_eq!(read_lease(&changed), Ok(Some(lease)));
        }
        for (name, value) in &row {
            if !KNOWN.contains(&&**name) || (checkpoint.is_none() && name.starts_with("pending")) {
                prop_assert_eq!(changed.get(name), Some(value));
            }
        }
        prop_assert!(checkpoint.is_none() || !changed.keys().any(|name| name.starts_with("pending")));
    }
}

fn golden(json: &str, part: &str) -> LeaseTable {
    let json: Value = serde_json::from_str(json).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let attribute = |value: &Value| {
        let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
        match &**kind {
            "S" => Attribute::String(text(value)),
            "N" => Attribute::Number(text(value)),
            "SS" => Attribute::Strings(value.as_array().unwrap().iter().map(text).collect()),
            _ => Attribute::Other,
        }
    };
    let row = |row: &Value| {
        let attributes = row.as_object().unwrap().iter();
        attributes
            .map(|(name, value)| (name.clone(), attribute(value)))
            .collect::<Item>()
    };
    LeaseTable::read(json[part].as_array().unwrap().iter().map(row))
}

#[test]
fn nothing_is_wrong_with_tables_of_real_daemons_that_run() {
    for json in [
        include_str!("tables/kcl-2.5.4.json"),
        include_str!("tables/kcl-3.1.3.json"),
    ] {
        for part in ["leases", "after_split"] {
            let table = golden(json, part);
            assert!(table.leases.len() >= 2 && table.invalid.is_empty());
            assert_eq!(table.problems(None), [], "{part}");
        }
    }
}

fn lease(key: &str, owner: Option<&str>, checkpoint: Checkpoint) -> Lease {
    let mut lease = Lease::new(key, checkpoint);
    lease.owner = owner.map(Into::into);
    lease
}

fn after(number: u64) -> Checkpoint {
    Checkpoint::After(Position::new(&number.to_string(), 0).unwrap())
}

fn table(leases: &[Lease]) -> LeaseTable {
    LeaseTable::read(leases.iter().map(write_lease))
}

fn kinds(table: &LeaseTable, shards: Option<&[ShardDescription]>) -> Vec<String> {
    let problems = table.problems(shards);
    problems
        .iter()
        .map(|problem| format!("{} {}", problem.kind.name(), problem.key))
        .collect()
}

#[test]
fn each_problem_is_named_with_its_lease() {
    let shard = |id: &str, closed| ShardDescription::new(id, HashKeyRange::FULL).with_closed(closed);
    let mut child = lease("c", Some("w"), after(9));
    child.parents = vec!["a".into()];
    let leases = [
        lease("a", Some("v"), after(5)),
        child,
        lease("gone", Some("w"), after(5)),
        lease("free", None, after(7)),
        lease("old", Some("w"), after(2)),
    ];
    let mut rows: Vec<Item> = leases.iter().map(write_lease).collect();
    let mut handed = write_lease(&lease("handed", Some("x"), after(5)));
    handed.insert("checkpointOwner".into(), Attribute::String("v".into()));
    let invalid = Item::from([("leaseKey".into(), Attribute::String("odd".into()))]);
    rows.extend([handed, invalid]);
    let table = LeaseTable::read(rows);
    let shards = [
        shard("a", true),
        shard("c", false).with_parent("a"),
        shard("free", false),
        shard("old", false).with_first_sequence_number("3".parse().unwrap()),
        shard("handed", false),
        shard("new", false),
    ];
    let expected = [
        "invalid-row odd",
        "other-stream old",
        "shard-without-lease new",
        "lease-without-shard gone",
        "child-before-parent c",
        "no-owner free",
        "hand-over handed",
        "unequal-shares w",
    ];
    assert_eq!(kinds(&table, Some(&shards)), expected);
    let messages: Vec<_> = table.problems(None).iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "odd: not a valid lease: it has no leaseCounter",
            "c: it was read before a was read to the end",
            "free: it does not have an owner",
            "handed: v has not handed it over to x yet",
            "w: it has 3 leases that can be read, and v has 1",
        ]
    );
}

fn state() -> impl Strategy<Value = (Vec<ShardDescription>, Vec<Lease>)> {
    let one = (
        any::<bool>(),
        any::<bool>(),
        prop::option::of((0..3_u8, 0..9_u64)),
        any::<[bool; 2]>(),
    );
    prop::collection::vec(one, 1..7).prop_map(|ones| {
        let (mut shards, mut leases) = (Vec::new(), Vec::new());
        for (n, (listed, closed, row, parents)) in ones.into_iter().enumerate() {
            let parents: Vec<_> = (0..n)
                .rev()
                .zip(parents)
                .filter(|(_, is)| *is)
                .map(|(n, _)| format!("s{n}"))
                .collect();
            let shard = ShardDescription::new(format!("s{n}"), HashKeyRange::FULL).with_closed(closed);
            let mut shard = shard.with_first_sequence_number("1".parse().unwrap());
            shard.parents.clone_from(&parents);
            if listed {
                shards.push(shard);
            }
            if let Some((owner, checkpoint)) = row {
                let checkpoint = match checkpoint {
                    0..3 => Checkpoint::Ended,
                    3 => Checkpoint::TrimHorizon,
                    4 => Checkpoint::Latest,
                    // The last one is before the first sequence number.
                    number => after(8 - number),
                };
                let mut lease = lease(
                    &format!("s{n}"),
                    [None, Some("v"), Some("w")][usize::from(owner)],
                    checkpoint,
                );
                lease.parents = parents;
                leases.push(lease);
            }
        }
        (shards, leases)
    })
}

proptest! {
    /// What workers would do about a table is what is said to be wrong with it.
    #[test]
    fn the_judgement_is_the_engines((shards, leases) in state()) {
        let table = table(&leases);
        let problems = table.problems(Some(&shards));
        let named = |kind| -> BTreeSet<String> {
            problems.iter().filter(|problem| problem.kind == kind).map(|problem| problem.key.clone()).collect()
        };
        let mut now = Instant::now();
        let mut options = Options::new("me", Checkpoint::Latest);
        options.max_steals = 0;
        let mut engine = Engine::new(options, now);
        let (mut created, mut taken, mut other) = (BTreeSet::new(), BTreeSet::new(), false);
        for _ in 0..2 {
            while let Some(output) = engine.poll(now) {
                match output {
                    Output::Create(lease) => drop(created.insert(lease.key.to_string())),
                    Output::Update(_, update) => drop(taken.insert(update.key.to_string())),
                    Output::OtherStream(lease) => {
                        other = true;
                        prop_assert!(named(ProblemKind::OtherStream).contains(&*lease.key));
                    }
                    _ => {}
                }
            }
            engine.listed(now, Some(shards.clone()));
            engine.looked(now, Some(leases.clone()));
            now += Duration::from_secs(1);
        }
        prop_assert_eq!(other, !named(ProblemKind::OtherStream).is_empty());
        if other {
            prop_assert!(created.is_empty() && taken.is_empty());
            return Ok(());
        }
        while let Some(output) = engine.poll(now) {
            match output {
                Output::Create(lease) => drop(created.insert(lease.key.to_string())),
                Output::Update(_, update) => drop(taken.insert(update.key.to_string())),
                _ => {}
            }
        }
        prop_assert_eq!(&created, &named(ProblemKind::ShardWithoutLease));
        prop_assert!(taken.is_subset(&named(ProblemKind::NoOwner)));
        if leases.iter().all(|lease| lease.owner.is_none()) {
            // It may wait for a parent that has a lease only now, or not yet.
            let has_lease = |shard: &String| leases.iter().any(|lease| *lease.key == **shard);
            let may_wait = |key: &String| {
                let lease = leases.iter().find(|lease| *lease.key == **key);
                lease.is_some_and(|lease| lease.parents.iter().any(|parent| !has_lease(parent)))
            };
            let mut free = named(ProblemKind::NoOwner);
            free.retain(|key| !may_wait(key));
            prop_assert!(taken.is_superset(&free), "{:?} instead of {:?}", taken, free);
        }
        let owners: BTreeSet<Arc<str>> = leases.iter().filter_map(|lease| lease.owner.clone()).collect();
        prop_assert!(named(ProblemKind::UnequalShares).iter().all(|owner| owners.contains(owner.as_str())));
    }
}
