//! Which leases a worker takes: those without an owner that is alive, and, so that all have about as many, those of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

/// Whose a lease is that can be read, as a look at the table shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Me,
    /// A worker that renews it.
    Other(Arc<str>),
    /// No worker, or one that does not renew it.
    Vacant {
        /// Whether that has lasted so long that another worker will hardly take it.
        overdue: bool,
    },
}

/// How many leases a worker may have, and take from another at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) leases: usize,
    pub(super) steals: usize,
}

/// Returns the leases to take.
pub(super) fn choose(leases: &[(Arc<str>, Holder)], limits: Limits, rng: &mut Rng) -> Vec<Arc<str>> {
    let mut mine = 0;
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut free, mut overdue) = (Vec::new(), Vec::new());
    for (key, holder) in leases {
        match holder {
            Holder::Me => mine += 1,
            Holder::Other(owner) => *others.entry(owner).or_default() += 1,
            Holder::Vacant { overdue: false } => free.push(Arc::clone(key)),
            Holder::Vacant { overdue: true } => overdue.push(Arc::clone(key)),
        }
    }
    let room = limits.leases.saturating_sub(mine);
    let share = leases.len().div_ceil(others.len() + 1);
    if !free.is_empty() || !overdue.is_empty() {
        // At random, so that workers do not all want the same.
        rng.shuffle(&mut overdue);
        rng.shuffle(&mut free);
        let wanted = share.saturating_sub(mine).max(overdue.len());
        overdue.append(&mut free);
        overdue.truncate(wanted.min(room));
        return overdue;
    }
    let Some((&richest, &most)) = others.iter().max_by_key(|(_, count)| **count) else {
        return Vec::new();
    };
    // With a difference of one, to take a lease would only exchange the parts.
    let wanted = (most.saturating_sub(mine) / 2).min(limits.steals).min(room);
    if wanted == 0 {
        return Vec::new();
    }
    // Those who could take one all see the same richest worker, and must not take all that it has.
    let poor = 1 + others.values().filter(|count| **count + 2 <= most).count();
    let excess = most.saturating_sub(share).max(1);
    if rng.usize(..poor) >= excess {
        return Vec::new();
    }
    let mut theirs: Vec<_> = leases
        .iter()
        .filter(|(_, holder)| matches!(holder, Holder::Other(owner) if **owner == *richest))
        .map(|(key, _)| Arc::clone(key))
        .collect();
    rng.shuffle(&mut theirs);
    theirs.truncate(wanted);
    theirs
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        leases: usize::MAX,
        steals: 1,
    };

    /// Leases of me, of others, and of no worker, overdue and not.
    fn leases(mine: usize, others: &[usize], overdue: usize, free: usize) -> Vec<(Arc<str>, Holder)> {
        let others = others
            .iter()
            .enumerate()
            .flat_map(|(n, count)| vec![Holder::Other(format!("w{n}").into()); *count]);
        let vacant = [(overdue, true), (free, false)];
        let vacant = vacant.map(|(count, overdue)| vec![Holder::Vacant { overdue }; count]);
        let holders = vec![Holder::Me; mine].into_iter().chain(others);
        let holders = holders.chain(vacant.into_iter().flatten());
        holders
            .enumerate()
            .map(|(n, holder)| (n.to_string().into(), holder))
            .collect()
    }

    fn chosen(mine: usize, others: &[usize], overdue: usize, free: usize, limits: Limits) -> Vec<Holder> {
        let leases = leases(mine, others, overdue, free);
        let mut choices = (0..50).map(|seed| choose(&leases, limits, &mut Rng::with_seed(seed)));
        let chosen = choices.find(|chosen| !chosen.is_empty()).unwrap_or_default();
        let holder = |key: &Arc<str>| leases.iter().find(|(other, _)| other == key).unwrap().1.clone();
        chosen.iter().map(holder).collect()
    }

    fn count(mine: usize, others: &[usize], overdue: usize, free: usize) -> usize {
        chosen(mine, others, overdue, free, LIMITS).len()
    }

    #[test]
    fn a_worker_takes_its_share_of_what_nobody_has() {
        assert_eq!(count(0, &[], 0, 0), 0);
        assert_eq!(count(0, &[], 0, 5), 5);
        assert_eq!(count(0, &[1], 0, 4), 3);
        assert_eq!(count(3, &[1], 0, 1), 0);
        assert_eq!(count(2, &[1], 0, 1), 0);
        assert_eq!(count(1, &[2], 0, 1), 1);
    }

    #[test]
    fn what_is_overdue_is_taken_beyond_the_share() {
        assert_eq!(count(5, &[1], 4, 0), 4);
        let chosen = chosen(5, &[1], 2, 2, LIMITS);
        assert_eq!(
            chosen,
            [Holder::Vacant { overdue: true }, Holder::Vacant { overdue: true }]
        );
    }

    #[test]
    fn the_limit_holds_for_everything() {
        let limits = |leases| Limits { leases, steals: 9 };
        assert_eq!(chosen(0, &[], 0, 5, limits(3)).len(), 3);
        assert_eq!(chosen(2, &[], 5, 0, limits(3)).len(), 1);
        assert_eq!(chosen(3, &[], 5, 0, limits(3)).len(), 0);
        assert_eq!(chosen(0, &[8], 0, 0, limits(3)).len(), 3);
        assert_eq!(chosen(1, &[8], 0, 0, limits(1)).len(), 0);
    }

    #[test]
    fn leases_of_the_richest_are_taken_if_that_makes_the_parts_more_equal() {
        assert_eq!(count(0, &[1], 0, 0), 0);
        assert_eq!(count(0, &[2], 0, 0), 1);
        assert_eq!(count(4, &[5], 0, 0), 0);
        assert_eq!(count(4, &[6], 0, 0), 1);
        assert_eq!(count(6, &[4], 0, 0), 0);
        let leases_of_three = leases(4, &[4, 6], 0, 0);
        for seed in 0..50 {
            for key in choose(&leases_of_three, LIMITS, &mut Rng::with_seed(seed)) {
                assert!(leases_of_three.contains(&(key, Holder::Other("w1".into()))));
            }
        }
        let limits = |steals| Limits { steals, ..LIMITS };
        assert_eq!(chosen(0, &[20], 0, 0, limits(4)).len(), 4);
        assert_eq!(chosen(0, &[20], 0, 0, limits(99)).len(), 10);
        // Not while a lease waits for a worker.
        assert_eq!(count(4, &[9], 0, 1), 1);
        assert_eq!(chosen(4, &[9], 0, 1, LIMITS), [Holder::Vacant { overdue: false }]);
    }

    #[test]
    fn of_many_who_could_take_a_lease_few_do() {
        let leases = leases(5, &[[5; 18].as_slice(), &[10]].concat(), 0, 0);
        let takes = (0..1000).filter(|seed| !choose(&leases, LIMITS, &mut Rng::with_seed(*seed)).is_empty());
        let takes = takes.count();
        // Four of nineteen: 10 leases, of which 6 are a share.
        assert!((150..300).contains(&takes), "{takes}");
    }
}
