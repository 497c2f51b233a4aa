//! Which leases are missing, and which are no longer needed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kpl_stream::client::ShardDescription;

use crate::lease::{Checkpoint, Lease};

pub(super) type Rows<'a> = BTreeMap<&'a str, &'a Lease>;

/// Returns the lease of a shard that is not read yet.
pub(super) fn lease_of(shard: &ShardDescription, checkpoint: Checkpoint) -> Lease {
    let mut lease = Lease::new(shard.id.as_str(), checkpoint);
    lease.parents.clone_from(&shard.parents);
    lease.range = Some(shard.range);
    lease
}

/// Returns the leases that are missing, given those of the table and all shards that the service knows.
///
/// A shard whose parents have leases is read from its oldest record, once they were read to their end. The first ones of a
/// line of shards are read from the initial position. Of other shards than these, leases come into being when their parents
/// end.
pub(super) fn missing(rows: &Rows<'_>, shards: &[ShardDescription], initial: &Checkpoint) -> Vec<Lease> {
    let listed: BTreeMap<&str, &ShardDescription> = shards.iter().map(|shard| (&*shard.id, shard)).collect();
    // As long as no shard was read: later ones came into being since the fleet started, and nothing of them is left out.
    let is_untouched = rows.values().all(|lease| lease.checkpoint == Checkpoint::Latest);
    let initial = match initial {
        Checkpoint::Latest if !is_untouched => &Checkpoint::TrimHorizon,
        initial => initial,
    };
    let descendants = descendants(rows, shards);
    let settled = settled(rows, &listed);
    let mut missing: BTreeMap<&str, Lease> = BTreeMap::new();
    let mut visited = BTreeSet::new();
    let mut queue: VecDeque<&ShardDescription> = shards.iter().filter(|shard| !shard.closed).collect();
    while let Some(shard) = queue.pop_front() {
        if rows.contains_key(&*shard.id) || !visited.insert(&*shard.id) {
            continue;
        }
        let parents = shard.parents.iter().map(String::as_str);
        let parents: Vec<&str> = parents
            .filter(|parent| rows.contains_key(parent) || (listed.contains_key(parent) && !settled.contains(parent)))
            .collect();
        let is_descendant = parents.iter().any(|parent| descendants.contains(parent));
        let start = match initial {
            _ if is_descendant => {
                let is_over = |parent: &&str| rows.get(parent).is_some_and(|lease| lease.is_ended());
                parents.iter().all(is_over).then_some(&Checkpoint::TrimHorizon)
            }
            Checkpoint::Latest => Some(initial),
            _ => parents.is_empty().then_some(initial),
        };
        match start {
            Some(start) => drop(missing.insert(&shard.id, lease_of(shard, start.clone()))),
            None => queue.extend(parents.iter().filter_map(|parent| listed.get(parent))),
        }
    }
    missing.into_values().collect()
}

/// Returns the shards that those with leases came from, directly or not: if their records were to be read, they were.
fn settled<'a>(rows: &Rows<'a>, listed: &BTreeMap<&'a str, &'a ShardDescription>) -> BTreeSet<&'a str> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut queue: Vec<&str> = rows.keys().copied().collect();
    while let Some(id) = queue.pop() {
        let parents = listed.get(id).into_iter().flat_map(|shard| &shard.parents);
        let parents = parents.map(String::as_str);
        queue.extend(parents.filter(|parent| found.insert(parent)));
    }
    found
}

/// Returns the shards that have leases, and those that came from them, directly or not.
fn descendants<'a>(rows: &Rows<'a>, shards: &'a [ShardDescription]) -> BTreeSet<&'a str> {
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for shard in shards {
        for parent in &shard.parents {
            children.entry(parent).or_default().push(&shard.id);
        }
    }
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut queue: Vec<&str> = rows.keys().copied().collect();
    while let Some(id) = queue.pop() {
        if found.insert(id) {
            queue.extend(children.get(id).into_iter().flatten());
        }
    }
    found
}

/// Returns the leases that the others can do without: of shards that were read to their end, whose parents have no leases
/// any more, and whose children are being read, or which the service no longer knows and that have no children.
pub(super) fn done_with(rows: &Rows<'_>, shards: &[ShardDescription]) -> Vec<Arc<str>> {
    let listed: BTreeSet<&str> = shards.iter().map(|shard| &*shard.id).collect();
    let named = rows
        .values()
        .flat_map(|lease| lease.children.iter().map(|child| (&*lease.key, &**child)));
    let by_rows = rows.values().map(|lease| (&lease.parents, &*lease.key));
    let by_shards = shards.iter().map(|shard| (&shard.parents, &*shard.id));
    let naming = by_rows.chain(by_shards);
    let naming = naming.flat_map(|(parents, child)| parents.iter().map(move |parent| (&**parent, child)));
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (parent, child) in named.chain(naming) {
        children.entry(parent).or_default().push(child);
    }
    let is_read = |child: &&str| {
        rows.get(child)
            .is_some_and(|lease| lease.checkpoint > Checkpoint::Latest)
    };
    let is_done_with = |lease: &&&Lease| {
        let is_first = lease.parents.iter().all(|parent| !rows.contains_key(&**parent));
        let children = children.get(&*lease.key);
        let is_needed = match children {
            Some(children) => !children.iter().all(is_read),
            None => listed.contains(&*lease.key),
        };
        lease.is_ended() && is_first && !is_needed
    };
    let done_with = rows.values().filter(is_done_with);
    done_with.map(|lease| Arc::clone(&lease.key)).collect()
}

#[cfg(test)]
mod tests {
    use kpl_core::{HashKeyRange, Position};

    use super::*;

    fn shard(id: &str, parents: &[&str], closed: bool) -> ShardDescription {
        let shard = ShardDescription::new(id, HashKeyRange::FULL).with_closed(closed);
        parents.iter().fold(shard, |shard, parent| shard.with_parent(*parent))
    }

    fn lease(key: &str, checkpoint: &str) -> Lease {
        let checkpoint = match checkpoint {
            "TRIM_HORIZON" => Checkpoint::TrimHorizon,
            "LATEST" => Checkpoint::Latest,
            "SHARD_END" => Checkpoint::Ended,
            number => Checkpoint::After(Position::new(number, 0).unwrap()),
        };
        Lease::new(key, checkpoint)
    }

    fn rows(leases: &[Lease]) -> Rows<'_> {
        leases.iter().map(|lease| (&*lease.key, lease)).collect()
    }

    fn is_missing(leases: &[(&str, &str)], shards: &[ShardDescription], initial: Checkpoint) -> Vec<String> {
        let leases: Vec<_> = leases.iter().map(|(key, checkpoint)| lease(key, checkpoint)).collect();
        let missing = missing(&rows(&leases), shards, &initial);
        let missing = missing
            .iter()
            .map(|lease| format!("{} {}", lease.key, lease.checkpoint));
        missing.collect()
    }

    /// The shards of the example in the KCL's `HierarchicalShardSyncer`.
    fn example() -> Vec<ShardDescription> {
        vec![
            shard("0", &[], true),
            shard("1", &[], true),
            shard("2", &[], true),
            shard("3", &[], true),
            shard("4", &[], false),
            shard("5", &[], true),
            shard("6", &["0", "1"], true),
            shard("7", &["2", "3"], true),
            shard("8", &["6", "7"], false),
            shard("9", &["5"], false),
            shard("10", &["5"], false),
        ]
    }

    #[test]
    fn an_empty_table_gets_the_first_shards_or_the_open_ones() {
        let oldest = ["0", "1", "2", "3", "4", "5"].map(|id| format!("{id} TRIM_HORIZON"));
        assert_eq!(is_missing(&[], &example(), Checkpoint::TrimHorizon), oldest);
        let oldest = ["0", "1", "2", "3", "4", "5"].map(|id| format!("{id} AT_TIMESTAMP"));
        assert_eq!(is_missing(&[], &example(), Checkpoint::AtTimestamp), oldest);
        let open = ["10", "4", "8", "9"].map(|id| format!("{id} LATEST"));
        assert_eq!(is_missing(&[], &example(), Checkpoint::Latest), open);
    }

    #[test]
    fn the_leases_of_the_kcls_example_are_added() {
        let current = [("4", "100"), ("5", "100"), ("7", "100")];
        let first = ["0 TRIM_HORIZON", "1 TRIM_HORIZON"];
        assert_eq!(is_missing(&current, &example(), Checkpoint::TrimHorizon), first);
        // The KCL would read 6 from its latest record on: what it has was written since the fleet started.
        assert_eq!(is_missing(&current, &example(), Checkpoint::Latest), first);
        let untouched = current.map(|(id, _)| (id, "LATEST"));
        assert_eq!(is_missing(&untouched, &example(), Checkpoint::Latest), ["6 LATEST"]);
    }

    #[test]
    fn a_shard_is_added_once_all_its_parents_have_ended() {
        let shards = [
            shard("a", &[], true),
            shard("b", &[], true),
            shard("c", &["a", "b"], false),
        ];
        let missing = |leases: &[(&str, &str)]| is_missing(leases, &shards, Checkpoint::Latest);
        assert_eq!(missing(&[("a", "SHARD_END"), ("b", "7")]), [""; 0]);
        assert_eq!(missing(&[("a", "SHARD_END"), ("b", "SHARD_END")]), ["c TRIM_HORIZON"]);
        assert_eq!(missing(&[("a", "SHARD_END")]), ["b TRIM_HORIZON"]);
        assert_eq!(missing(&[("c", "7")]), [""; 0]);
        // The service no longer knows the parents.
        assert_eq!(
            is_missing(&[("a", "SHARD_END")], &shards[2..], Checkpoint::Latest),
            ["c TRIM_HORIZON"]
        );
        assert_eq!(is_missing(&[("a", "7")], &shards[2..], Checkpoint::Latest), [""; 0]);
        assert_eq!(
            is_missing(&[("x", "7")], &shards[2..], Checkpoint::Latest),
            ["c TRIM_HORIZON"]
        );
    }

    /// Of two leases that were to be added when the fleet started, only one was.
    #[test]
    fn what_came_before_a_shard_with_a_lease_is_not_read() {
        let shards = [
            shard("a", &[], true),
            shard("b", &["a"], false),
            shard("c", &["a"], false),
        ];
        for (initial, checkpoint) in [
            (Checkpoint::Latest, "TRIM_HORIZON"),
            (Checkpoint::TrimHorizon, "TRIM_HORIZON"),
            (Checkpoint::AtTimestamp, "AT_TIMESTAMP"),
        ] {
            assert_eq!(is_missing(&[("b", "7")], &shards, initial), [format!("c {checkpoint}")]);
        }
        assert_eq!(
            is_missing(&[("b", "LATEST")], &shards, Checkpoint::Latest),
            ["c LATEST"]
        );
    }

    #[test]
    fn a_line_that_is_being_read_is_not_read_from_its_latest_record_on() {
        let shards = [
            shard("a", &[], true),
            shard("b", &["a"], true),
            shard("c", &["b"], false),
        ];
        assert_eq!(is_missing(&[("a", "LATEST")], &shards, Checkpoint::Latest), [""; 0]);
        assert_eq!(is_missing(&[], &shards, Checkpoint::Latest), ["c LATEST"]);
    }

    #[test]
    fn a_list_in_which_shards_are_their_own_parents_ends() {
        let shards = [shard("a", &["b"], false), shard("b", &["a"], false)];
        assert_eq!(is_missing(&[], &shards, Checkpoint::TrimHorizon), [""; 0]);
        assert_eq!(is_missing(&[("a", "7")], &shards, Checkpoint::TrimHorizon), [""; 0]);
    }

    #[test]
    fn a_lease_stays_until_its_children_are_read_and_its_parents_are_gone() {
        let done = |leases: &[(&str, &str, &[&str], &[&str])], shards: &[ShardDescription]| {
            let leases: Vec<_> = leases
                .iter()
                .map(|(key, checkpoint, parents, children)| {
                    let mut lease = lease(key, checkpoint);
                    lease.parents = parents.iter().map(ToString::to_string).collect();
                    lease.children = children.iter().map(ToString::to_string).collect();
                    lease
                })
                .collect();
            let done = done_with(&rows(&leases), shards);
            done.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let none = [""; 0];
        let shards = [
            shard("a", &[], true),
            shard("b", &["a"], false),
            shard("c", &["a"], false),
        ];
        let ended = ("a", "SHARD_END", &[][..], &["b", "c"][..]);
        assert_eq!(
            done(&[ended, ("b", "7", &["a"], &[]), ("c", "7", &["a"], &[])], &shards),
            ["a"]
        );
        assert_eq!(
            done(
                &[ended, ("b", "7", &["a"], &[]), ("c", "TRIM_HORIZON", &["a"], &[])],
                &shards
            ),
            none
        );
        assert_eq!(done(&[ended, ("b", "7", &["a"], &[])], &shards), none);
        assert_eq!(
            done(
                &[("a", "7", &[], &[]), ("b", "7", &["a"], &[]), ("c", "7", &["a"], &[])],
                &shards
            ),
            none
        );
        // Each of the three sources of children counts.
        assert_eq!(done(&[("a", "SHARD_END", &[], &["b"])], &[]), none);
        assert_eq!(
            done(&[("a", "SHARD_END", &[], &[]), ("b", "TRIM_HORIZON", &["a"], &[])], &[]),
            none
        );
        assert_eq!(done(&[("a", "SHARD_END", &[], &[])], &shards[1..]), none);
        // Without children.
        assert_eq!(done(&[("a", "SHARD_END", &[], &[])], &shards[..1]), none);
        assert_eq!(done(&[("a", "SHARD_END", &[], &[])], &[]), ["a"]);
        // Its parent goes first.
        let line = [
            ended,
            ("b", "SHARD_END", &["a"], &["d"]),
            ("c", "7", &["a"], &[]),
            ("d", "7", &["b"], &[]),
        ];
        assert_eq!(done(&line, &shards), ["a"]);
        assert_eq!(done(&line[1..], &shards), ["b"]);
    }
}
