"""What a run has left behind, the checks of it, and how the evidence is broken to show that they see it."""

import collections
import dataclasses
import functools
import json
import pathlib
import re

from proof import Failed, a_record_comes_twice, a_record_is_lost, position, read_handled


@dataclasses.dataclass
class Start:
    """A daemon's start: how many lines there were before, the leases' checkpoints, and whether the last daemon was asked to stop."""

    lines: int
    checkpoints: dict
    after_graceful_stop: bool


# The same lines are read by each check, and by each again that a break is for.
parsed = functools.lru_cache(maxsize=None)(json.loads)


@dataclasses.dataclass
class Evidence:
    handled_file: pathlib.Path
    lines_folder: pathlib.Path
    sensors: int
    sent: int = 0
    starts: list = dataclasses.field(default_factory=list)
    ended: list = dataclasses.field(default_factory=list)
    born: list = dataclasses.field(default_factory=list)
    # The processes that got a SIGTERM, and how many lines there were then.
    signalled: dict = dataclasses.field(default_factory=dict)
    # Known at the end.
    handled: list = dataclasses.field(default_factory=list)
    lines: dict = dataclasses.field(default_factory=dict)
    checkpoints: dict = dataclasses.field(default_factory=dict)
    printed: int = 0

    def read_handled(self):
        return read_handled(self.handled_file)

    def handled_once(self):
        return {(each.sensor, each.counter) for each in self.read_handled()}

    def read(self, checkpoints, daemons):
        self.handled = list(self.read_handled())
        self.checkpoints = checkpoints
        for file in self.lines_folder.iterdir():
            # The last line may have been cut by a kill.
            lines = file.read_text().split("\n")[:-1]
            self.lines[file.stem] = [json.loads(line) for line in lines]
        self.printed = sum(len(re.findall("printed: the first record of", log.read_text())) for log in daemons.glob("daemon-*/daemon.log"))

    def lives(self):
        """Yields each daemon's start and what its children handled."""
        ends = [start.lines for start in self.starts[1:]] + [len(self.handled)]
        for start, end in zip(self.starts, ends):
            yield start, self.handled[start.lines:end]

    def said(self, process):
        """Returns what the daemon said to a child."""
        return [parsed(line["line"]) for line in self.lines[process] if line["from"] == "daemon"]


def all_handled(evidence):
    """Every record at least once, and nothing else."""
    counters = evidence.sent // evidence.sensors
    sent = {(f"sensor-{sensor}", counter) for sensor in range(evidence.sensors) for counter in range(counters)}
    handled = {(each.sensor, each.counter) for each in evidence.handled}
    if handled != sent:
        raise Failed(f"lost: {sorted(sent - handled)[:9]}, made up: {sorted(handled - sent)[:9]}")
    return f"{len(sent)} records"


def repeats_follow_checkpoints(evidence):
    """What is handled twice was handled after the last checkpoint before its process was killed."""
    before, twice, after_stop = set(), 0, 0
    for start, life in evidence.lives():
        now = set()
        for each in life:
            record = (each.sensor, each.counter)
            checkpoint = start.checkpoints.get(each.shard, "TRIM_HORIZON:0")
            if record in now:
                raise Failed(f"handled twice without a restart: {each}")
            if checkpoint.startswith("SHARD_END") or checkpoint[0].isdigit() and each.position <= position(checkpoint):
                raise Failed(f"handled after a start at the checkpoint {checkpoint}: {each}")
            twice += record in before
            after_stop += start.after_graceful_stop and record in before
            now.add(record)
        before |= now
    if after_stop:
        raise Failed(f"{after_stop} records handled again after a graceful stop")
    if not twice:
        raise Failed("no record was handled twice: the kill hit nothing")
    return f"{twice} handled twice, all after the last checkpoint of a killed process"


def order_kept(evidence):
    """The counters of a sensor go up by one, but for what a restart repeats."""
    first = collections.Counter()
    for _, life in evidence.lives():
        last = {}
        for each in life:
            if each.counter > first[each.sensor]:
                raise Failed(f"before counter {first[each.sensor]} of its sensor: {each}")
            if each.counter != last.get(each.sensor, each.counter - 1) + 1:
                raise Failed(f"after counter {last[each.sensor]} of its sensor: {each}")
            last[each.sensor] = each.counter
            first[each.sensor] = max(first[each.sensor], each.counter + 1)
    return "order kept"


def resumed_inside(evidence):
    """Processes start where the lease says, also within an aggregate, and leave out nothing that follows."""
    inside = 0
    first_of = {}
    for each in evidence.handled:
        known = first_of.get(each.process)
        first_of[each.process] = min(known, each.position) if known else each.position
    children = {process: evidence.said(process)[0] for process in evidence.lines if evidence.said(process)}
    for start in evidence.starts:
        for shard, checkpoint in start.checkpoints.items():
            if not checkpoint[0].isdigit():
                continue
            number, sub = position(checkpoint)
            told = [
                process for process, message in children.items()
                if (message["shardId"], message["sequenceNumber"], message["subSequenceNumber"]) == (shard, str(number), sub)
            ]
            if not told:
                raise Failed(f"no process was started for {shard} after {checkpoint}")
            firsts = [first_of[process] for process in told if process in first_of]
            inside += (number, sub + 1) in firsts
            for first in firsts:
                if first[0] == number and first[1] != sub + 1 or first[0] > number and first[1] != 0:
                    raise Failed(f"{shard} went on after {checkpoint} with {first}")
    if not inside:
        raise Failed("no process resumed inside an aggregate")
    return f"{inside} of the starts inside an aggregate"


def only_protocol(evidence):
    """Nothing but the protocol is on standard output, although the handler prints."""
    lines = 0
    for process in evidence.lines:
        last = None
        for line in evidence.lines[process]:
            try:
                message = parsed(line["line"])
                if line["from"] == "daemon":
                    last = message["action"] if message["action"] != "checkpoint" else last
                    continue
                lines += 1
                fine = (
                    message == {"action": "status", "responseFor": last}
                    or message["action"] == "checkpoint" and set(message) <= {"action", "sequenceNumber", "subSequenceNumber"}
                )
            except (ValueError, KeyError, TypeError):
                fine = False
            if not fine:
                raise Failed(f"not a line of the protocol, after {last}: {line}")
    if not evidence.printed:
        raise Failed("what the handler printed is not in the daemon's log")
    return f"{lines} lines on standard output, all of the protocol"


def checkpoints_accepted(evidence):
    """The daemon has refused no checkpoint."""
    refused = [
        message for process in evidence.lines for message in evidence.said(process)
        if message["action"] == "checkpoint" and message["error"]
    ]
    if refused:
        raise Failed(f"refused: {refused[:3]}")
    return f"{len(evidence.starts)} starts"


def children_of_shards_started(evidence):
    """Shards that have ended say so in their leases, and those that came from them are consumed."""
    for shard in evidence.ended:
        # A lease may have been removed once its children were started.
        if not evidence.checkpoints.get(shard, "SHARD_END").startswith("SHARD_END"):
            raise Failed(f"{shard} has ended, its lease says {evidence.checkpoints[shard]}")
        if not any(message["action"] == "shardEnded" for process in evidence.lines for message in evidence.said(process) if evidence.said(process)[0]["shardId"] == shard):
            raise Failed(f"no process was told that {shard} has ended")
    for shard in evidence.born:
        if not any(each.shard == shard for each in evidence.handled):
            raise Failed(f"nothing of {shard} was handled")
    return evidence.born and f"{len(evidence.born)} children of split and merged shards started"


def stopped_gracefully(evidence):
    """Processes that were asked to shut down were told so, and made a last checkpoint or had nothing to say."""
    asked = sum(message["action"] == "shutdownRequested" for process in evidence.lines for message in evidence.said(process))
    if not asked:
        raise Failed("no process was asked to shut down")
    return f"{asked} processes stopped gracefully"


def survived_signals(evidence):
    """SIGTERM to a child alone does not end it."""
    if not evidence.signalled:
        return None
    for process, lines in evidence.signalled.items():
        # Those of another process, and those that were under way, may come next.
        if not any(each.process == process for each in evidence.handled[lines + 100:]):
            raise Failed(f"SIGTERM ended {process}")
    return f"SIGTERM survived by {len(evidence.signalled)} processes"


CHECKS = (
    all_handled, repeats_follow_checkpoints, order_kept, checkpoints_accepted, resumed_inside, only_protocol,
    children_of_shards_started, stopped_gracefully, survived_signals,
)


def a_record_is_made_up(evidence):
    evidence.handled.append(evidence.handled[-1]._replace(counter=10_000))


def a_checkpoint_is_later(evidence):
    """As if a process had been given records again that a checkpoint had passed."""
    start = next(start for start in evidence.starts[1:] if not start.after_graceful_stop)
    first = evidence.handled[start.lines]
    number, sub = first.position
    start.checkpoints[first.shard] = f"{number}:{sub}"


def the_kill_was_a_graceful_stop(evidence):
    for start in evidence.starts:
        start.after_graceful_stop = True


def nothing_comes_twice(evidence):
    seen = set()
    evidence.handled = [each for each in evidence.handled if not ((each.sensor, each.counter) in seen or seen.add((each.sensor, each.counter)))]
    for start in evidence.starts:
        start.lines = min(start.lines, len(evidence.handled))


def two_records_change_places(evidence):
    last = evidence.handled[-1]
    before = max(at for at, each in enumerate(evidence.handled[:-1]) if each.sensor == last.sensor)
    evidence.handled[-1], evidence.handled[before] = evidence.handled[before], last


def a_process_starts_elsewhere(evidence):
    start = next(start for start in evidence.starts if any(value[0].isdigit() for value in start.checkpoints.values()))
    shard, value = next(item for item in start.checkpoints.items() if item[1][0].isdigit())
    number, sub = position(value)
    start.checkpoints[shard] = f"{number}:{sub + 1}"


def a_process_leaves_records_out(evidence):
    """As if it had gone on one record later than it should."""
    firsts = {}
    for each in evidence.handled:
        firsts[each.process] = min(firsts.get(each.process, each.position), each.position)
    process = next(
        process for process, first in firsts.items()
        if evidence.said(process)[0]["sequenceNumber"] == str(first[0]) and first[1] == evidence.said(process)[0]["subSequenceNumber"] + 1
    )
    evidence.handled = [each for each in evidence.handled if (each.process, each.position) != (process, firsts[process])]


def something_is_printed(evidence):
    next(iter(evidence.lines.values())).append({"from": "child", "line": "printed"})


def json_is_printed(evidence):
    next(iter(evidence.lines.values())).append({"from": "child", "line": '{"action":"status","responseFor":"nothing"}'})


def nothing_was_printed(evidence):
    evidence.printed = 0


def a_checkpoint_is_refused(evidence):
    answer = {"action": "checkpoint", "sequenceNumber": "1", "subSequenceNumber": 0, "error": "IllegalArgumentException"}
    next(iter(evidence.lines.values())).append({"from": "daemon", "line": json.dumps(answer)})


def a_shard_does_not_end(evidence):
    evidence.checkpoints[evidence.ended[0]] = "1:0"


def a_child_does_not_start(evidence):
    evidence.handled = [each for each in evidence.handled if each.shard != evidence.born[-1]]


def nothing_is_asked(evidence):
    for process, lines in evidence.lines.items():
        evidence.lines[process] = [line for line in lines if "shutdownRequested" not in line["line"]]


def a_signal_ends_a_process(evidence):
    process, lines = next(iter(evidence.signalled.items()))
    evidence.handled = [each for at, each in enumerate(evidence.handled) if at < lines + 100 or each.process != process]


def always(_):
    return True


def reshards(evidence):
    return evidence.ended


def signals(evidence):
    return evidence.signalled


# Which check refuses what, and in which runs it can happen.
BREAKS = (
    (all_handled, a_record_is_lost, always),
    (all_handled, a_record_is_made_up, always),
    (repeats_follow_checkpoints, a_record_comes_twice, always),
    (repeats_follow_checkpoints, a_checkpoint_is_later, always),
    (repeats_follow_checkpoints, the_kill_was_a_graceful_stop, always),
    (repeats_follow_checkpoints, nothing_comes_twice, always),
    (order_kept, two_records_change_places, always),
    (resumed_inside, a_process_starts_elsewhere, always),
    (resumed_inside, a_process_leaves_records_out, always),
    (only_protocol, something_is_printed, always),
    (only_protocol, json_is_printed, always),
    (only_protocol, nothing_was_printed, always),
    (checkpoints_accepted, a_checkpoint_is_refused, always),
    (children_of_shards_started, a_shard_does_not_end, reshards),
    (children_of_shards_started, a_child_does_not_start, reshards),
    (stopped_gracefully, nothing_is_asked, always),
    (survived_signals, a_signal_ends_a_process, signals),
)
