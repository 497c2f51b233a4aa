"""What a run has left behind, the checks of it, and how the evidence is broken to show that they see it."""

import bisect
import collections
import dataclasses
import functools

from proof import Failed, a_record_comes_twice, a_record_is_lost, position

FAILOVER = 8  # seconds
# Beyond these a lease was not handed over, however busy the machine is. The figures are printed.
STOPPED, KILLED = 60, FAILOVER + 60

# What was done to a worker: `start`, `stop` or `kill`. `at` and `lines` are from before a stop, and from after a kill.
Deed = collections.namedtuple("Deed", "what worker at lines")

# How a worker ended when a daemon of the KCL 3 had come that leads: its code, its last words, and the shards that it still had then.
Refused = collections.namedtuple("Refused", "worker code words shards")


@dataclasses.dataclass
class Tenure:
    """A lease and a worker, from the take to the end. `after` is the checkpoint before the take, `left` is the one at the end."""

    worker: str
    shard: str
    at: float
    lines: int
    after: str
    ended_at: float = None
    ended_lines: int = None
    left: str = None
    given_up: bool = False
    next: "Tenure" = None
    handled: set = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class Evidence:
    sensors: int
    counters: int
    handled: list
    changes: list
    deeds: list
    parents: dict  # the parents of each shard
    unexplained: list  # lines of the daemons' logs
    explained: collections.Counter
    refused: list

    def tenures(self):
        """Returns the tenures of each lease, in order."""
        found, current, checkpoints = collections.defaultdict(list), {}, {}
        for change in self.changes:
            tenure = current.get(change.shard)
            if tenure and change.owner != tenure.worker:
                # The row of a shard that has ended is deleted at some time, also while a worker of the KCL has it.
                tenure.ended_at, tenure.ended_lines, tenure.left = change.at, change.lines, change.checkpoint or tenure.left
                tenure.given_up = change.owner is None and change.checkpoint is not None
                current[change.shard] = None
            if change.owner and not current.get(change.shard):
                tenure = Tenure(change.owner, change.shard, change.at, change.lines, checkpoints.get(change.shard, change.checkpoint))
                if found[change.shard]:
                    found[change.shard][-1].next = tenure
                found[change.shard].append(tenure)
                current[change.shard] = tenure
            if current.get(change.shard):
                current[change.shard].left = change.checkpoint
            checkpoints[change.shard] = change.checkpoint
        return found

    def handled_in(self):
        """Yields each line and the tenure that it belongs to."""
        by_worker = collections.defaultdict(list)
        for shard in self.tenures().values():
            for tenure in shard:
                by_worker[tenure.worker, tenure.shard].append(tenure)
        for at, each in enumerate(self.handled):
            tenures = by_worker[each.process, each.shard]
            known = bisect.bisect_right(tenures, at, key=lambda tenure: tenure.lines)
            if not known:
                raise Failed(f"handled by a worker that does not have the lease: {each}")
            yield at, each, tenures[known - 1]

    def count(self, what, kind):
        return sum(deed.what == what and deed.worker.startswith(kind) for deed in self.deeds)


@functools.lru_cache(maxsize=None)
def rank(checkpoint):
    """Returns what compares checkpoints, and checkpoints with positions."""
    if checkpoint[0].isdigit():
        return (1, *position(checkpoint))
    return (2,) if checkpoint.startswith("SHARD_END") else (0,)


def all_handled(evidence):
    """Every record at least once, and nothing else."""
    sent = {(f"sensor-{sensor}", counter) for sensor in range(evidence.sensors) for counter in range(evidence.counters)}
    handled = {(each.sensor, each.counter) for each in evidence.handled}
    if handled != sent:
        raise Failed(f"lost: {sorted(sent - handled)[:9]}, made up: {sorted(handled - sent)[:9]}")
    by = collections.Counter(each.process.split("-")[0] for each in evidence.handled)
    if not (by["java"] and by["rust"]):
        raise Failed(f"not shared: {by}")
    return f"{len(sent)} records, {by['java']} handled under the daemon"


def repeats_follow_takes(evidence):
    """A tenure handles a record once, after the checkpoint that it has found. So what is handled twice comes after a lease was taken."""
    before, twice = set(), 0
    for _, each, tenure in evidence.handled_in():
        record = (each.sensor, each.counter)
        if record in tenure.handled:
            raise Failed(f"handled twice, although the lease was not taken in between: {each}")
        if (1, *each.position) <= rank(tenure.after):
            raise Failed(f"handled after a take at the checkpoint {tenure.after}: {each}")
        tenure.handled.add(record)
        twice += record in before
        before.add(record)
    return f"{twice} handled twice after a lease was taken"


def nothing_follows_what_was_given_up(evidence):
    """What a worker of kpl-fleet has handled before it gives a lease up is in the checkpoint, and it handles nothing afterwards."""
    given_up = set()
    for at, each, tenure in evidence.handled_in():
        if tenure.given_up and tenure.worker.startswith("rust"):
            given_up.add((tenure.worker, tenure.shard, tenure.at))
            if at >= tenure.ended_lines or (1, *each.position) > rank(tenure.left):
                raise Failed(f"the lease was given up at {tenure.left}, line {tenure.ended_lines}, without line {at}: {each}")
    return f"{len(given_up)} leases given up with all that was handled"


def order_kept(evidence):
    """Before a record is handled for the first time, those before it with the same key were."""
    next_of = collections.Counter()
    for each in evidence.handled:
        if each.counter > next_of[each.sensor]:
            raise Failed(f"before counter {next_of[each.sensor]} of its sensor: {each}")
        next_of[each.sensor] = max(next_of[each.sensor], each.counter + 1)
    return "order kept"


def checkpoints_go_on(evidence):
    """No checkpoint is lowered, and a take leaves it as it is."""
    last, made = {}, 0
    for change in evidence.changes:
        owner, checkpoint = last.get(change.shard, (None, None))
        if checkpoint and change.checkpoint:
            if rank(change.checkpoint) < rank(checkpoint):
                raise Failed(f"{change} after {checkpoint}")
            if change.owner not in (None, owner) and change.checkpoint != checkpoint:
                raise Failed(f"{change} after {checkpoint} by {owner}")
            made += change.checkpoint != checkpoint
        last[change.shard] = change.owner, change.checkpoint
    return f"{made} checkpoints, none lowered"


def parents_come_first(evidence):
    """Before the first record of a shard is handled, its parents have ended, and all their records were handled."""
    firsts, last_new, ended, seen = {}, {}, {}, set()
    for at, each in enumerate(evidence.handled):
        firsts.setdefault(each.shard, at)
        if (each.sensor, each.counter) not in seen:
            seen.add((each.sensor, each.counter))
            last_new[each.shard] = at
    for change in evidence.changes:
        if change.checkpoint and change.checkpoint.startswith("SHARD_END"):
            ended.setdefault(change.shard, change.lines)
    children = 0
    for shard, parents in evidence.parents.items():
        for parent in parents:
            first = firsts.get(shard, len(evidence.handled))
            if not (last_new.get(parent, -1) < first and ended.get(parent, first + 1) <= first):
                raise Failed(f"{shard} at line {first}, before {parent}, which was handled until {last_new.get(parent)} and ended at {ended.get(parent)}")
        children += bool(parents)
    return f"{children} shards after their parents"


def handed_over(evidence):
    """What a worker gives up when it is stopped, or has when it is killed, is soon another's."""
    found = []
    tenures = [tenure for shard in evidence.tenures().values() for tenure in shard]
    for what, limit, words in (("stop", STOPPED, "given up"), ("kill", KILLED, "of a killed worker")):
        gaps = []
        for deed in evidence.deeds:
            if deed.what != what or what == "stop" and not deed.worker.startswith("rust"):
                continue
            for tenure in tenures:
                if tenure.worker != deed.worker or tenure.ended_at and tenure.ended_at < deed.at or what == "stop" and not tenure.given_up:
                    continue
                # At the end of a shard there is nothing to hand over.
                if tenure.left and tenure.left.startswith("SHARD_END"):
                    continue
                gap = tenure.next and tenure.next.at - (tenure.ended_at if what == "stop" else deed.at)
                if gap is None or gap > limit:
                    raise Failed(f"{what}: {tenure.shard} of {deed.worker} is another's after {gap} s")
                gaps.append(gap)
        if not gaps:
            found.append(f"no lease was {words}")
            continue
        gaps.sort()
        found.append(f"{len(gaps)} leases {words} are another's after {gaps[len(gaps) // 2]:.1f} s (at most {gaps[-1]:.1f} s)")
    return ", ".join(found)


def nothing_unexplained(evidence):
    """What the daemons log as an error, or as a warning about leases, is known."""
    if evidence.unexplained:
        raise Failed("in the daemons' logs: " + "\n".join(evidence.unexplained[:9]))
    return f"{sum(evidence.explained.values())} lines of the daemons' logs explained"


def refused_by_name(evidence):
    """With a daemon of the KCL 3 that leads, a worker of kpl-fleet gives its leases up and ends with the error."""
    for each in evidence.refused:
        if each.code != 1 or "LedByKcl3" not in each.words or "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X" not in each.words:
            raise Failed(f"{each.worker} ended with {each.code}: {each.words}")
        if each.shards:
            raise Failed(f"{each.worker} still had {each.shards}")
    return evidence.refused and f"{len(evidence.refused)} workers ended as the KCL 3 leads"


CHECKS = (
    all_handled, repeats_follow_takes, nothing_follows_what_was_given_up, order_kept, checkpoints_go_on, parents_come_first,
    handed_over, nothing_unexplained, refused_by_name,
)


def a_record_is_made_up(evidence):
    evidence.handled.append(evidence.handled[-1]._replace(counter=10_000_000))


def the_daemon_handles_nothing(evidence):
    evidence.handled = [each._replace(process="rust-0") for each in evidence.handled]


def a_worker_does_not_have_the_lease(evidence):
    evidence.handled[-1] = evidence.handled[-1]._replace(process="rust-0")


def a_take_is_at_a_later_checkpoint(evidence):
    """As if the worker had been given records again that a checkpoint had passed."""
    _, each, tenure = next(found for found in evidence.handled_in() if found[2].after[0].isdigit())
    later = "{}:{}".format(*each.position)
    take = next(at for at, change in enumerate(evidence.changes) if (change.at, change.shard) == (tenure.at, tenure.shard))
    before = max(at for at, change in enumerate(evidence.changes[:take]) if change.shard == tenure.shard)
    for at in (before, take):
        evidence.changes[at] = evidence.changes[at]._replace(checkpoint=later)


def given_up(evidence):
    """Returns the place of a change with which a worker of kpl-fleet gives a lease up, in the tenure of the last such line."""
    tenure = [tenure for _, _, tenure in evidence.handled_in() if tenure.given_up and tenure.worker.startswith("rust")][-1]
    return tenure, next(at for at, change in enumerate(evidence.changes) if (change.at, change.shard) == (tenure.ended_at, tenure.shard))


def a_checkpoint_is_not_made(evidence):
    tenure, at = given_up(evidence)
    evidence.changes[at] = evidence.changes[at]._replace(checkpoint=tenure.after)


def a_record_is_handled_after_giving_up(evidence):
    _, at = given_up(evidence)
    evidence.changes[at] = evidence.changes[at]._replace(lines=0)


def two_records_change_places(evidence):
    last = evidence.handled[-1]
    firsts = {}
    for at, each in enumerate(evidence.handled):
        if each.sensor == last.sensor:
            firsts.setdefault(each.counter, at)
    one, other = firsts[last.counter - 1], firsts[last.counter]
    evidence.handled[one], evidence.handled[other] = evidence.handled[other], evidence.handled[one]


def two_checkpoints_change_places(evidence):
    shard = next(change.shard for change in reversed(evidence.changes) if change.checkpoint and change.checkpoint[0].isdigit())
    of = [at for at, change in enumerate(evidence.changes) if change.shard == shard and change.checkpoint]
    one, other = next((one, other) for one, other in zip(of, of[1:]) if evidence.changes[one].checkpoint != evidence.changes[other].checkpoint)
    first, second = evidence.changes[one].checkpoint, evidence.changes[other].checkpoint
    evidence.changes[one], evidence.changes[other] = evidence.changes[one]._replace(checkpoint=second), evidence.changes[other]._replace(checkpoint=first)


def another_makes_a_checkpoint(evidence):
    evidence.changes.append(next(
        change._replace(owner="rust-0", checkpoint="9" * 60 + ":0")
        for change in reversed(evidence.changes) if change.checkpoint and change.checkpoint[0].isdigit()
    ))


def a_parent_does_not_end(evidence):
    parent = next(parents[0] for parents in evidence.parents.values() if parents)
    evidence.changes = [change for change in evidence.changes if change.shard != parent or not (change.checkpoint or "").startswith("SHARD_END")]


def a_child_comes_early(evidence):
    child = next(shard for shard, parents in evidence.parents.items() if parents)
    evidence.handled.insert(0, evidence.handled[-1]._replace(shard=child))


def last_lease(evidence, what):
    """Returns the last tenure of a worker that was stopped or killed, of a lease that another worker has had afterwards."""
    for deed in reversed(evidence.deeds):
        for tenures in evidence.tenures().values():
            for tenure in tenures:
                over = (tenure.left or "").startswith("SHARD_END")
                late = tenure.ended_at is None or tenure.ended_at >= deed.at
                if deed.what == what and deed.worker.startswith("rust") and tenure.worker == deed.worker and tenure.next and not over and late:
                    return tenure
    return None


def no_worker_takes(what):
    """Leaves out what comes after the last lease of a worker that was stopped or killed."""
    def breaking(evidence):
        tenure = last_lease(evidence, what)
        evidence.changes = [change for change in evidence.changes if change.shard != tenure.shard or change.at < tenure.next.at]

    breaking.__name__ = f"no_worker_takes_after_a_{what}"
    return breaking


def a_daemon_logs_something_new(evidence):
    evidence.unexplained.append("ERROR LeaseTaker - no pattern for this")


def a_worker_ends_well(evidence):
    evidence.refused[0] = evidence.refused[0]._replace(code=0)


def a_worker_does_not_say_why(evidence):
    evidence.refused[0] = evidence.refused[0]._replace(words="it ended")


def a_worker_keeps_a_lease(evidence):
    evidence.refused[0] = evidence.refused[0]._replace(shards=["shardId-000000000000"])


def always(_):
    return True


def refused(evidence):
    return evidence.refused


def worker_gave_up(evidence):
    return any(tenure.given_up and tenure.worker.startswith("rust") for _, _, tenure in evidence.handled_in())


def another_took_after(what):
    """Returns whether a worker of kpl-fleet had a lease that is another's after it was stopped or killed."""
    return lambda evidence: last_lease(evidence, what) is not None


# Which check refuses what, and in which runs it can happen.
BREAKS = (
    (all_handled, a_record_is_lost, always),
    (all_handled, a_record_is_made_up, always),
    (all_handled, the_daemon_handles_nothing, always),
    (repeats_follow_takes, a_record_comes_twice, always),
    (repeats_follow_takes, a_worker_does_not_have_the_lease, always),
    (repeats_follow_takes, a_take_is_at_a_later_checkpoint, always),
    (nothing_follows_what_was_given_up, a_checkpoint_is_not_made, worker_gave_up),
    (nothing_follows_what_was_given_up, a_record_is_handled_after_giving_up, worker_gave_up),
    (order_kept, two_records_change_places, always),
    (checkpoints_go_on, two_checkpoints_change_places, always),
    (checkpoints_go_on, another_makes_a_checkpoint, always),
    (parents_come_first, a_parent_does_not_end, always),
    (parents_come_first, a_child_comes_early, always),
    (handed_over, no_worker_takes("stop"), another_took_after("stop")),
    (handed_over, no_worker_takes("kill"), another_took_after("kill")),
    (nothing_unexplained, a_daemon_logs_something_new, always),
    (refused_by_name, a_worker_ends_well, refused),
    (refused_by_name, a_worker_does_not_say_why, refused),
    (refused_by_name, a_worker_keeps_a_lease, refused),
)
