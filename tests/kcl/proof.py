"""How evidence is checked, and how each check is shown to fail: what the runs below real daemons have in common."""

import collections
import copy

# A line of a recorder: who has handled which record.
Handled = collections.namedtuple("Handled", "process shard position sensor counter")


class Failed(Exception):
    """What was handled is not what should have been."""


def position(text):
    number, sub = text.split(":")
    return int(number), int(sub)


def read_handled(file):
    for line in file.read_text().splitlines():
        process, shard, at, sensor, counter = line.split(" ")
        yield Handled(process, shard, position(at), sensor, int(counter))


def check(evidence, checks):
    """Returns what the checks have found, as one line."""
    return ", ".join(found for found in (each(evidence) for each in checks) if found)


def prove(evidence, breaks):
    """Breaks the evidence in one way at a time, each of which a check must refuse. Returns how many ways there were.

    A way is the check, the function that breaks, and one that says whether the evidence can be broken so.
    """
    breaks = [breaking for breaking in breaks if breaking[2](evidence)]
    for check_of, breaking, _ in breaks:
        broken = copy.deepcopy(evidence)
        breaking(broken)
        try:
            check_of(broken)
        except Failed:
            continue
        raise Failed(f"{check_of.__name__} does not see {breaking.__name__}")
    return len(breaks)


def a_record_is_lost(evidence):
    gone = evidence.handled[len(evidence.handled) // 2]
    evidence.handled = [each for each in evidence.handled if (each.sensor, each.counter) != (gone.sensor, gone.counter)]


def a_record_comes_twice(evidence):
    evidence.handled.append(evidence.handled[-1])
