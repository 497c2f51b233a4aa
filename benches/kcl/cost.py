"""What a child of the Amazon KCL costs: `cost.py KPL IDLE AMAZON_KCLPY [RECORDS]`. `benches/kcl/run` starts it.

A stream of one shard with small user records in aggregates is consumed by a real daemon with one child, and then with the other. The same
messages are handed to each child once more, as fast as it takes them, which tells how long it takes for one.
"""

import base64
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from local import KCL_3, Daemon, Local, wait_for

HERE = pathlib.Path(__file__).resolve().parent
TEE = HERE.parent.parent / "tests" / "kcl" / "tee.py"
KPL, IDLE, KCLPY = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
RECORDS = int(sys.argv[4]) if len(sys.argv) > 4 else 200_000
PYTHONPATH = {"PYTHONPATH": str(KCLPY), "PYTHONDONTWRITEBYTECODE": "1"}
CHILDREN = {"kpl-kcl": [IDLE], "amazon_kclpy": ["python3", HERE / "sample.py"]}
MAX_RECORDS = 10  # Kinesis records in a message, at most: each is an aggregate of 437 user records
TICKS = os.sysconf("SC_CLK_TCK")


def tell(what):
    print(what, file=sys.stderr, flush=True)


def put(local, stream):
    """Writes user records of 100 bytes, with 1,000 partition keys, in aggregates. One request at a time: kinesis-local is slow."""
    lines = (json.dumps({"PartitionKey": f"user-{number % 1000}", "Data": f"{number:0100}"}) for number in range(RECORDS))
    aggregated = subprocess.run(
        [KPL, "aggregate", "--data", "text"], input="\n".join(lines), text=True, stdout=subprocess.PIPE, check=True,
    )
    for line in aggregated.stdout.splitlines():
        record = json.loads(line)
        data = base64.b64decode(record["Data"])
        while True:
            try:
                local.kinesis.put_record(StreamName=stream, PartitionKey=record["PartitionKey"], Data=data)
                break
            except local.kinesis.exceptions.ProvisionedThroughputExceededException:
                time.sleep(0.1)


def children_of(process):
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == process:
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def cpu(process):
    """Returns the seconds that a process has used, user and system."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_memory(process):
    """Returns the most MiB that a process has had in memory."""
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def start(local, name, stream, command):
    return Daemon(
        local, name, KCL_3, stream, name, command, worker="worker",
        settings=PYTHONPATH, idleTimeBetweenReadsInMillis=200, maxRecords=MAX_RECORDS,
    )


def under_daemon(local, name, stream):
    """Returns the child's CPU seconds and peak memory for all records, and where it has come to."""
    daemon = start(local, name, stream, CHILDREN[name])
    (child,) = wait_for("the daemon starts no child", 240, lambda: children_of(daemon.process.pid))

    def is_under_way():
        return any(lease["checkpoint"].isdigit() for lease in local.leases(name).values())

    wait_for("the child makes no checkpoint", 120, is_under_way)
    used, since = 0, time.monotonic()
    while time.monotonic() - since < 15:
        time.sleep(0.5)
        now = cpu(child)
        if now != used:
            used, since = now, time.monotonic()
    memory = peak_memory(child)
    daemon.stop()
    (lease,) = local.leases(name).values()
    return (used, memory), (lease["checkpoint"], lease["checkpointSubSequenceNumber"])


def messages(local, stream, last):
    """Returns what the daemon says to a child, line by line, up to the record with this sequence number."""
    folder = local.folder / "lines"
    folder.mkdir()
    daemon = start(local, "recorded", stream, ["python3", TEE, folder, IDLE])

    def records():
        said = [json.loads(line) for file in folder.iterdir() for line in file.read_text().split("\n")[:-1]]
        lines = [line["line"] for line in said if line["from"] == "daemon"]
        return lines if lines and last in lines[-1] else None

    lines = wait_for("not all records have come", 300, records)
    daemon.kill()
    return [line for line in lines if json.loads(line)["action"] in ("initialize", "processRecords")]


def replayed(name, lines):
    """Hands the messages to a child. Returns milliseconds for each of them, and the child's CPU seconds and peak memory."""
    child = subprocess.Popen(
        CHILDREN[name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **PYTHONPATH},
    )
    times = []
    for line in lines:
        data = line.encode() + b"\n"
        begin = time.monotonic()
        child.stdin.write(data)
        child.stdin.flush()
        while b"status" not in (answer := child.stdout.readline()):
            if b"checkpoint" in answer:
                child.stdin.write(b'{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null,"error":null}\n')
                child.stdin.flush()
        times.append((time.monotonic() - begin) * 1000)
    used, memory = cpu(child.pid), peak_memory(child.pid)
    child.stdin.close()
    child.wait()
    return times, used, memory


def main():
    figures, ends = {}, set()
    with tempfile.TemporaryDirectory() as folder, Local(folder) as local:
        stream = "small"
        local.create_stream(stream, 1)
        tell(f"{RECORDS} user records are put")
        put(local, stream)
        for name in CHILDREN:
            figures[name], end = under_daemon(local, name, stream)
            ends.add(end)
            tell(f"{name} below the daemon: {figures[name]}, up to {end}")
        if len(ends) != 1:
            sys.exit(f"they have not handled the same: {ends}")
        tell("the daemon's messages are recorded")
        lines = messages(local, stream, ends.pop()[0])
    records = sum(line.count('"action":"record"') for line in lines)
    if records != RECORDS:
        sys.exit(f"{records} records of {RECORDS} are in the daemon's messages")
    # The best of five, for both.
    replays = {name: min((replayed(name, lines) for _ in range(5)), key=lambda replay: replay[1]) for name in CHILDREN}
    started = {name: min((replayed(name, lines[:1]) for _ in range(5)), key=lambda replay: replay[1]) for name in CHILDREN}

    def million(seconds):
        return seconds / records * 1e6

    largest = max(line.count('"action":"record"') for line in lines)
    rows = (
        ("CPU seconds for a million user records", lambda name: million(figures[name][0] - started[name][1]), 2),
        ("the same, the daemon's messages replayed", lambda name: million(replays[name][1] - started[name][1]), 2),
        (f"ms for a message of {largest:,} user records, replayed", lambda name: statistics.median(replays[name][0][1:]), 2),
        ("CPU seconds of the start", lambda name: started[name][1], 2),
        ("peak memory before the first record, MiB", lambda name: started[name][2], 1),
        ("peak memory, MiB", lambda name: figures[name][1], 1),
    )
    print(f"{records:,} user records of 100 bytes, one shard, daemon {KCL_3}; the longest message has {max(map(len, lines)) / 1e6:.1f} MB")
    print("| | " + " | ".join(CHILDREN) + " | ratio |\n| --- | --: | --: | --: |")
    for label, value, digits in rows:
        ours, theirs = (value(name) for name in CHILDREN)
        ratio = f"{theirs / ours:.1f}x" if ours >= 0.01 else "–"
        print(f"| {label} | {ours:.{digits}f} | {theirs:.{digits}f} | {ratio} |")


if __name__ == "__main__":
    main()
