#!/usr/bin/env python3
"""Lets workers of kpl-fleet and real daemons share leases, starts, stops and kills them at random while shards split and merge, and
checks what was handled: see `.ci/fleet`.

    check.py KPL FLEET_RECORDER RECORDER FOLDER

KPL is the command `kpl`, which writes the records; the workers are kpl-fleet/examples/fleet_recorder.rs, and the children of the daemons
are kpl-kcl/examples/recorder.rs; FOLDER keeps the logs. `FLEET_SEED` is where the random choices start, and `FLEET_SECONDS` is how long the
workers are disturbed, 60 by default.
"""

import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from evidence import BREAKS, CHECKS, FAILOVER, Deed, Evidence, Refused
from local import KCL_2, KCL_3, REGION, Daemon, Local, kill_group, wait_for
from proof import Failed, check, prove, read_handled
from table import Proxy, Table

KPL, FLEET_RECORDER, RECORDER, FOLDER = (pathlib.Path(argument).resolve() for argument in sys.argv[1:5])
SEED = int(os.environ.get("FLEET_SEED") or random.randrange(1_000_000))
SECONDS = int(os.environ.get("FLEET_SECONDS") or 60)
SENSORS = 40
MOST_SHARDS = 7
CREDENTIALS = {"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
LIKE_KCL_2 = {"clientVersionConfig": "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X"}

# What the daemons log as an error, or as a warning about leases, and why that is as it should be.
EXPLAINED = {
    r"DrainChildSTDERRTask - Received error line from subprocess \[printed: ": "the example prints it, and the daemon logs all that its children print as errors",
    r"MultiLangDaemon - Encountered an error during shutdown\.\njava\.util\.concurrent\.TimeoutException":
        "a daemon that is stopped waits for all its shards for shutdownGraceMillis, also for those that have ended or wait for a parent, which do not answer",
    r"DynamoDBLeaseCoordinator - Throwable encountered in lease taking thread\njava\.lang\.NullPointerException: .*\"mostLoadedWorkerIdentifier\" is null":
        "leases without an owner are counted as if they were those of a worker, and it fails if that has most; it looks again",
    r"Scheduler - Worker.run caught exception, sleeping for .*\njava.lang.IllegalStateException: LeaderDecider uninitialized": "the daemon was stopped while it started",
    r"ShutdownTask - Lease \S+: Invalid state encountered while shutting down .*\n.*: Lease not owned by the current worker":
        "the lease was lost before the daemon had done with the end of the shard, and its new owner does",
    r"ShutdownTask - Shard \S+: Unable to find the lease for shard": "as the line before",
    r"PrefetchRecordsPublisher - .* Unexpected exception was thrown": "the daemon's reader of records was told to stop, because its lease had been taken",
    r"LeaseAssignmentManager - Not able to assign all expiredOrUnAssignedLeases": "the KCL 3 that leads; it asks again",
}


class Side:
    """A stream, and those that share its leases: daemons of one version, of which there is one at a time, and workers of kpl-fleet."""

    def __init__(self, local, proxy, version, properties):
        self.local, self.version, self.properties = local, version, properties
        self.name = f"readings-{version.replace('.', '-')}"
        self.folder = local.folder / version
        self.folder.mkdir(parents=True)
        self.file = self.folder / "handled"
        self.file.touch()
        self.counted, self.offset = 0, 0
        self.random = random.Random(f"{SEED} {version}")
        self.table = proxy.tables[self.name] = Table(self.lines)
        self.endpoints = {
            "AWS_ENDPOINT_URL_KINESIS": f"http://127.0.0.1:{local.kinesis_port}", "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{proxy.port}",
        }
        self.deeds, self.refused = [], []
        self.daemon, self.workers, self.started = None, {}, 0
        self.counters = 0
        # Records are not put while shards split and merge: an aggregate belongs to one shard.
        self.put_failed = None
        self.resharding, self.fed = threading.Lock(), threading.Event()
        local.create_stream(self.name, 5)

    def tell(self, what):
        print(f"[{time.monotonic() - STARTED:5.1f} s] {self.version}: {what}", file=sys.stderr, flush=True)

    def lines(self):
        """Returns how many records were handled, those that were handled again included."""
        with open(self.file, "rb") as file:
            file.seek(self.offset)
            data = file.read()
        self.offset += len(data)
        self.counted += data.count(b"\n")
        return self.counted

    def deed(self, what, worker):
        with self.table.lock:
            self.deeds.append(Deed(what, worker, time.monotonic(), self.lines()))
        self.tell(f"{what} {worker}: {self.counted} handled, {dict(self.owners())}")

    def owners(self):
        leases = list(self.table.known.values())
        return collections.Counter(owner for owner, checkpoint in leases if checkpoint and not checkpoint.startswith("SHARD_END"))

    def feed(self):
        """Writes a record of each sensor for two counters, in aggregates, again and again."""
        while not self.fed.is_set():
            lines = []
            for counter in (self.counters, self.counters + 1):
                for sensor in range(SENSORS):
                    reading = json.dumps({"sensor": f"sensor-{sensor}", "counter": counter})
                    lines.append(json.dumps({"PartitionKey": f"sensor-{sensor}", "Data": reading}) + "\n")
            with self.resharding:
                put = subprocess.run(
                    [
                        KPL, "put", self.name, "--data", "text", "--ordered", "--strict",
                        "--region", REGION, "--endpoint-url", self.endpoints["AWS_ENDPOINT_URL_KINESIS"],
                    ],
                    input="".join(lines), text=True, capture_output=True, check=False, env={**os.environ, **CREDENTIALS},
                )
            if put.returncode:
                self.put_failed = put.stderr
                return
            self.counters += 2
            self.fed.wait(1)

    def start_worker(self):
        self.started += 1
        name = f"rust-{self.started}"
        settings = {
            **self.endpoints, **CREDENTIALS, "RECORDER_FILE": self.file, "RECORDER_NAME": name, "RECORDER_PAUSE": 20,
            "RECORDER_FAILOVER": FAILOVER * 1000, "RUST_LOG": "info,kpl_fleet=debug",
        }
        self.workers[name] = self.local.start(f"{self.version}/{name}", [FLEET_RECORDER, self.name, self.name], settings=settings)
        self.deed("start", name)

    def some_worker(self):
        """Returns a worker at random, one that has leases if there is one."""
        owners = self.owners()
        return self.random.choice(sorted(name for name in self.workers if owners[name]) or sorted(self.workers))

    def stop_worker(self, name=None):
        name = name or self.some_worker()
        worker = self.workers.pop(name)
        self.deed("stop", name)
        os.kill(worker.pid, signal.SIGTERM)
        if code := worker.wait(60):
            raise Failed(f"{self.version}: {name} ended with {code}")

    def kill_worker(self):
        name = self.some_worker()
        worker = self.workers.pop(name)
        kill_group(worker)
        worker.wait()
        self.deed("kill", name)

    def start_daemon(self, version=None, properties=None):
        self.started += 1
        name = f"java-{self.started}"
        self.daemon = Daemon(
            self.local, f"{self.version}/{name}", version or self.version, self.name, self.name, [RECORDER], worker=name,
            settings={"RECORDER_FILE": self.file, "RECORDER_NAME": name, "RECORDER_PAUSE": 20},
            failoverTimeMillis=FAILOVER * 1000, **(self.properties if properties is None else properties),
        )
        self.daemon.name = name
        self.deed("start", name)

    def stop_daemon(self):
        self.deed("stop", self.daemon.name)
        code = self.daemon.stop()
        if code != 128 + signal.SIGTERM:
            raise Failed(f"{self.version}: {self.daemon.name} ended with {code}")

    def kill_daemon(self):
        self.daemon.kill()
        self.deed("kill", self.daemon.name)

    def open_shards(self):
        shards = [shard for shard in self.local.shards(self.name) if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
        return sorted(shards, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))

    def reshard(self, call, **arguments):
        getattr(self.local.kinesis, call)(StreamName=self.name, **arguments)
        self.local.wait_for_stream(self.name)
        self.tell(f"{call} {', '.join(arguments.values())}")

    def split(self):
        with self.resharding:
            shards = self.open_shards()
            if len(shards) < MOST_SHARDS:
                shard = self.random.choice(shards)
                first, last = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
                self.reshard("split_shard", ShardToSplit=shard["ShardId"], NewStartingHashKey=str((first + last) // 2 + 1))

    def merge(self):
        with self.resharding:
            shards = self.open_shards()
            one = self.random.randrange(len(shards) - 1)
            self.reshard("merge_shards", ShardToMerge=shards[one]["ShardId"], AdjacentShardToMerge=shards[one + 1]["ShardId"])

    def disturb(self):
        """Does something at random every few seconds: all of it in an order, and then in another."""
        def replace(end, start):
            end()
            start()

        deeds = [
            self.split, self.split, self.merge,
            lambda: replace(self.kill_worker, self.start_worker),
            lambda: replace(self.kill_worker, self.start_worker),
            lambda: replace(self.stop_worker, self.start_worker),
            lambda: self.start_worker() if len(self.workers) < 4 else self.stop_worker(),
            lambda: replace(self.kill_daemon, self.start_daemon),
            lambda: replace(self.stop_daemon, self.start_daemon),
        ]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.random.shuffle(deeds)
            for deed in deeds:
                time.sleep(self.random.uniform(2, 6))
                self.workers_live()
                deed()

    def workers_live(self):
        for name, worker in self.workers.items():
            if worker.poll() is not None:
                raise Failed(f"{self.version}: {name} ended with {worker.returncode}")
        if self.daemon.process.poll() is not None:
            raise Failed(f"{self.version}: {self.daemon.name} ended with {self.daemon.process.returncode}")

    def has_leases(self, kind):
        return any(owner and owner.startswith(kind) for owner in self.owners())

    def run(self):
        feeding = threading.Thread(target=self.feed, daemon=True)
        feeding.start()
        self.start_daemon()
        for _ in range(3):
            self.start_worker()
        wait_for(f"{self.version}: the daemon has no lease", 120, lambda: self.has_leases("java"))
        self.disturb()
        self.fed.set()
        feeding.join()
        if self.put_failed:
            raise Failed(f"kpl put: {self.put_failed}")
        sent = self.counters * SENSORS
        self.tell(f"{sent} records are put")
        wait_for(f"{self.version}: {sent} records are not handled", 120, lambda: len({line[3:] for line in read_handled(self.file)}) >= sent)
        self.stop_daemon()
        if self.version == KCL_2:
            self.led_by_kcl_3()
        for name in sorted(self.workers):
            self.stop_worker(name)
            self.deeds.pop()  # there may be no other worker to take its leases

    def led_by_kcl_3(self):
        """Starts a daemon of the KCL 3 as it is by default, which ends the workers."""
        self.start_daemon(KCL_3, {})
        for name, worker in self.workers.items():
            code = worker.wait(120)
            with self.table.lock:
                shards = [shard for shard, (owner, _) in self.table.known.items() if owner == name]
            words = (self.folder / f"{name}.log").read_text()[-2000:]
            self.refused.append(Refused(name, code, words, shards))
            self.tell(f"{name} ended with {code}")
        self.workers.clear()
        self.stop_daemon()

    def evidence(self):
        shards = self.local.shards(self.name)
        parents = {
            shard["ShardId"]: [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard] for shard in shards
        }
        explained, unexplained = collections.Counter(), []
        for log in self.folder.glob("java-*/daemon.log"):
            for line in re.findall(r"^\S+ ((?:ERROR .*|WARN .*[Ll]ease.*)(?:\n(?!\d\d:).*)?)", log.read_text(), re.MULTILINE):
                reason = next((pattern for pattern in EXPLAINED if re.search(pattern, line)), None)
                if reason:
                    explained[reason] += 1
                else:
                    unexplained.append(f"{log.parent.name}: {line}")
        return Evidence(
            SENSORS, self.counters, list(read_handled(self.file)), self.table.changes, self.deeds, parents, unexplained, explained, self.refused,
        )


def together(sides):
    """Runs the sides beside each other, and raises what one of them raises."""
    failed = []

    def run(side):
        try:
            side.run()
        except BaseException as error:  # whatever it is, the program ends with it
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(side,), daemon=True) for side in sides]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not failed:
        time.sleep(0.2)
    if failed:
        raise failed[0]


def main():
    print(f"FLEET_SEED={SEED}", file=sys.stderr)
    shutil.rmtree(FOLDER, ignore_errors=True)
    found, broken = [], 0
    with Local(FOLDER) as local:
        proxy = Proxy(local.dynamodb_port)
        local.dynamodb_port = proxy.port
        sides = [Side(local, proxy, KCL_2, {}), Side(local, proxy, KCL_3, LIKE_KCL_2)]
        together(sides)
        for side in sides:
            evidence = side.evidence()
            deeds = ", ".join(
                f"{whose} killed {evidence.count('kill', kind)} times and stopped {evidence.count('stop', kind)} times"
                for whose, kind in (("workers", "rust"), ("daemons", "java"))
            )
            found.append(f"{check(evidence, CHECKS)}, {deeds}, beside the daemon {side.version}")
            broken += prove(evidence, BREAKS)
    print(f"fleet: {'; '.join(found)}; {broken} broken runs refused")


STARTED = time.monotonic()

if __name__ == "__main__":
    main()
