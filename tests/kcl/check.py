#!/usr/bin/env python3
"""Runs a record processor under real daemons, kills them, splits and merges shards, and checks what was handled: see `.ci/kcl`.

    check.py KPL RECORDER FOLDER

KPL is the command `kpl`, which writes the records; RECORDER is kpl-kcl/examples/recorder.rs; FOLDER keeps the logs.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from evidence import BREAKS, CHECKS, Evidence, Start
from local import KCL_2, KCL_3, Daemon, Local, wait_for
from proof import Failed, check, prove

HERE = pathlib.Path(__file__).resolve().parent
KPL, RECORDER, FOLDER = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
SENSORS = 400
PAUSE = 20  # milliseconds for a record, 8 at a time: 400 records a second and shard


class Run:
    """A stream, and the daemons that consume it one after another."""

    def __init__(self, local, version, shards):
        self.local, self.version, self.stream = local, version, f"readings-{version.replace('.', '-')}"
        self.folder = local.folder / version
        (self.folder / "lines").mkdir(parents=True)
        self.file = self.folder / "handled"
        self.file.touch()
        self.evidence = Evidence(handled_file=self.file, lines_folder=self.folder / "lines", sensors=SENSORS)
        self.daemon = None
        self.daemons = 0
        local.create_stream(self.stream, shards)

    def put(self, counters):
        """Writes a record of each sensor for each of these counters, in aggregates."""
        lines = []
        for counter in counters:
            for sensor in range(SENSORS):
                reading = json.dumps({"sensor": f"sensor-{sensor}", "counter": counter})
                lines.append(json.dumps({"PartitionKey": f"sensor-{sensor}", "Data": reading}) + "\n")
        put = subprocess.run(
            [
                KPL, "put", self.stream, "--data", "text", "--ordered", "--max-size", "20000", "--strict",
                "--region", "us-east-1", "--endpoint-url", f"http://127.0.0.1:{self.local.kinesis_port}",
            ],
            input="".join(lines), text=True, capture_output=True, check=False,
            env={**os.environ, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
        )
        if put.returncode:
            raise Failed(f"kpl put: {put.stderr}")
        self.evidence.sent += len(lines)

    def start(self, **properties):
        tell(f"{self.version}: the daemon starts")
        self.evidence.starts.append(Start(self.handled(), self.checkpoints(), self.stopped_gracefully))
        self.daemons += 1
        self.daemon = Daemon(
            self.local, f"{self.version}/daemon-{self.daemons}", self.version, self.stream, self.stream,
            ["python3", HERE / "tee.py", self.folder / "lines", RECORDER], worker="worker",
            settings={"RECORDER_FILE": self.file, "RECORDER_PAUSE": PAUSE},
            # A lease that expires while the machine is busy would look like a restart.
            **{"maxRecords": 3, "failoverTimeMillis": 10000, **properties},
        )

    # Whether the last daemon was asked to stop; there is none before the first one.
    stopped_gracefully = False

    def kill(self):
        self.daemon.kill()
        time.sleep(0.5)  # for what its last requests do
        self.stopped_gracefully = False
        tell(f"{self.version}: the daemon and its children are killed after {self.handled()} records")

    def stop(self):
        code = self.daemon.stop()
        self.stopped_gracefully = True
        tell(f"{self.version}: the daemon has stopped after {self.handled()} records")
        if code != 128 + signal.SIGTERM:
            raise Failed(f"the daemon ended with {code}")

    def checkpoints(self):
        return {shard: lease["checkpoint"] + ":" + lease["checkpointSubSequenceNumber"] for shard, lease in self.local.leases(self.stream).items()}

    def handled(self):
        """Returns how many records were handled, those that were handled again included."""
        return self.file.read_bytes().count(b"\n")

    def wait_until_handled(self, records, seconds=150):
        def alive_and_done():
            if self.daemon.process.poll() is not None:
                raise Failed(f"the daemon ended: see {self.daemon.folder}")
            return self.handled() >= records

        wait_for(f"{records} records are not handled, but {self.handled()}", seconds, alive_and_done)

    def wait_until_all_handled(self, seconds=150):
        wait_for(
            f"not all of {self.evidence.sent} records are handled", seconds,
            lambda: len(self.evidence.handled_once()) >= self.evidence.sent,
        )

    def wait_until_started(self, shards):
        def started():
            return set(shards) <= {each.shard for each in self.evidence.read_handled()}

        wait_for(f"the shards {', '.join(shards)} are not started", 150, started)

    def open_shards(self):
        return [shard["ShardId"] for shard in self.local.shards(self.stream) if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]

    def split(self, shard_id):
        shard = next(shard for shard in self.local.shards(self.stream) if shard["ShardId"] == shard_id)
        first, last = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
        self.reshard("split_shard", ShardToSplit=shard_id, NewStartingHashKey=str((first + last) // 2 + 1))

    def reshard(self, call, **arguments):
        before = self.open_shards()
        getattr(self.local.kinesis, call)(StreamName=self.stream, **arguments)
        self.local.wait_for_stream(self.stream)
        after = self.open_shards()
        self.evidence.ended += [shard for shard in before if shard not in after]
        self.evidence.born += [shard for shard in after if shard not in before]
        tell(f"{self.version}: {call}: the shards are {', '.join(after)}")

    def signal_children(self):
        """SIGTERM for the children alone: they wait for what the daemon says."""
        for file in self.evidence.lines_folder.iterdir():
            try:
                os.kill(int(file.stem), signal.SIGTERM)
                self.evidence.signalled[file.stem] = self.handled()
            except ProcessLookupError:
                pass

    def finish(self):
        self.evidence.read(self.checkpoints(), self.daemon.folder.parent)
        return check(self.evidence, CHECKS)


def tell(what):
    print(f"[{time.monotonic() - STARTED:5.1f} s] {what}", file=sys.stderr, flush=True)


def three(local):
    """A daemon of version 3: killed, with shards that split and merge, and stopped."""
    run = Run(local, KCL_3, 2)
    run.put(range(15))
    run.start()
    run.wait_until_handled(2000)
    run.signal_children()
    run.split(run.open_shards()[0])
    children = run.evidence.born[-2:]
    run.put(range(15, 25))
    run.wait_until_started(children)
    run.reshard("merge_shards", ShardToMerge=children[0], AdjacentShardToMerge=children[1])
    run.put(range(25, 50))
    run.wait_until_started(run.evidence.born[-1:])
    run.wait_until_handled(run.handled() + 1000)
    run.kill()
    run.start()
    run.wait_until_handled(run.handled() + 1500)
    run.stop()
    run.start()
    run.wait_until_all_handled()
    run.stop()
    return run


def two(local):
    """A daemon of version 2: killed, and stopped."""
    run = Run(local, KCL_2, 1)
    run.put(range(5))
    run.start()
    run.wait_until_handled(500)
    run.kill()
    run.start()
    run.wait_until_handled(1200)
    run.stop()
    run.start()
    run.wait_until_all_handled()
    run.stop()
    return run


STARTED = time.monotonic()

if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    found, broken = [], 0
    with Local(FOLDER) as local:
        for part in (three, two):
            run = part(local)
            found.append(f"{run.finish()}, under the daemon {run.version}")
            broken += prove(run.evidence, BREAKS)
    print(f"kcl: {'; '.join(found)}; {broken} broken runs refused")
