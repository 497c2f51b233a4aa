"""What a worker costs beside its handler: `cost.py KPL IDLE CLASSES [RECORDS] [SECONDS]`. `benches/fleet/run` starts it.

A worker of kpl-fleet, one of the KCL 2 and one of the KCL 3, each of an application of its own, read the same stream at the same time: for
SECONDS without records, then all records, then for SECONDS a record a second in each shard.
"""

import base64
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from local import INSTALLED, KCL_2, KCL_3, REGION, Local, wait_for
from table import Proxy

KPL, IDLE, CLASSES = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
RECORDS = int(sys.argv[4]) if len(sys.argv) > 4 else 200_000
SECONDS = int(sys.argv[5]) if len(sys.argv) > 5 else 60
SHARDS = 4
STREAM = "small"
TICKS = os.sysconf("SC_CLK_TCK")
READS = {"GetItem", "Scan", "Query", "BatchGetItem"}
WRITES = {"UpdateItem", "PutItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"}
LOGBACK = '<configuration><appender name="OUT" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%level %logger{0} %msg%n</pattern></encoder></appender><root level="WARN"><appender-ref ref="OUT"/></root></configuration>'


def tell(what):
    print(what, file=sys.stderr, flush=True)


class Worker:
    def __init__(self, name, process):
        self.name, self.process = name, process

    def cpu(self):
        """Returns the seconds that it has used, user and system."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_memory(self):
        """Returns the most MiB that it has had in memory."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def start(local, proxy):
    kinesis, dynamodb = (f"http://127.0.0.1:{port}" for port in (local.kinesis_port, proxy.port))
    settings = {
        "AWS_ENDPOINT_URL_KINESIS": kinesis, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb, "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_CBOR_ENABLED": "false",
    }
    yield Worker("kpl-fleet", local.start("kpl-fleet", [IDLE, "kpl-fleet", STREAM], settings=settings))
    logback = local.folder / "logback.xml"
    logback.write_text(LOGBACK)
    for version in (KCL_2, KCL_3):
        command = [
            "java", "-Xmx256m", f"-Dlogback.configurationFile={logback}", "-Daws.cborEnabled=false",
            "-Dsoftware.amazon.awssdk.http.service.impl=software.amazon.awssdk.http.urlconnection.UrlConnectionSdkHttpService",
            "-cp", f"{CLASSES / version}:{INSTALLED / 'kcl' / version / 'jars' / '*'}", "Idle",
        ]
        name = f"KCL {version}"
        application = f"kcl-{version}"
        yield Worker(name, local.start(application, [*command, application, STREAM, kinesis, dynamodb], settings=settings))


def application(name):
    return name.lower().replace(" ", "-")


def aggregates():
    """Returns user records of 100 bytes, with 1,000 partition keys, in aggregates."""
    lines = (json.dumps({"PartitionKey": f"user-{number % 1000}", "Data": f"{number:0100}"}) for number in range(RECORDS))
    made = subprocess.run(
        [KPL, "aggregate", "--data", "text", "--shards", str(SHARDS)], input="\n".join(lines), text=True, stdout=subprocess.PIPE, check=True,
    )
    return [json.loads(line) for line in made.stdout.splitlines()]


def put(local, record):
    """Writes a record, and returns its shard and its sequence number."""
    arguments = {"StreamName": STREAM, "PartitionKey": record["PartitionKey"], "Data": base64.b64decode(record["Data"])}
    if "ExplicitHashKey" in record:
        arguments["ExplicitHashKey"] = record["ExplicitHashKey"]
    while True:
        try:
            answer = local.kinesis.put_record(**arguments)
            return answer["ShardId"], int(answer["SequenceNumber"])
        except local.kinesis.exceptions.ProvisionedThroughputExceededException:
            time.sleep(0.1)


def caught_up(local, worker, last):
    leases = local.leases(application(worker.name))
    return all(leases[shard]["checkpoint"].isdigit() and int(leases[shard]["checkpoint"]) >= number for shard, number in last.items())


class Window:
    """What the workers use, and ask of DynamoDB, from one moment on."""

    def __init__(self, workers, proxy):
        self.workers, self.proxy = workers, proxy
        self.begin = time.monotonic()
        self.cpu = {worker.name: worker.cpu() for worker in workers}
        self.requests = self.proxy.requests.copy()

    def used(self, worker):
        """Returns how many seconds it took, how many of a processor, and the requests by operation."""
        requests = collections.Counter()
        for (table, operation), count in (self.proxy.requests - self.requests).items():
            # The KCL 3 has other tables as well, whose names begin so.
            if table.startswith(application(worker.name)):
                requests[operation] += count
        return time.monotonic() - self.begin, worker.cpu() - self.cpu[worker.name], requests


def main():
    records = aggregates()
    with tempfile.TemporaryDirectory() as folder, Local(folder) as local:
        proxy = Proxy(local.dynamodb_port)
        local.create_stream(STREAM, SHARDS)
        workers = list(start(local, proxy))

        def has_leases(worker):
            leases = local.leases(application(worker.name)).values()
            return sum("leaseOwner" in lease for lease in leases) == SHARDS

        for worker in workers:
            wait_for(f"{worker.name} does not have its leases", 180, lambda: has_leases(worker))
        time.sleep(15)
        started = {worker.name: (worker.cpu(), worker.peak_memory()) for worker in workers}
        tell(f"they have their leases; {SECONDS} s without records")
        window = Window(workers, proxy)
        time.sleep(SECONDS)
        idle = {worker.name: window.used(worker) for worker in workers}

        tell(f"{RECORDS} user records in {len(records)} Kinesis records")
        window = Window(workers, proxy)
        last = dict(put(local, record) for record in records)
        loaded = {}
        deadline = time.monotonic() + 300
        while len(loaded) < len(workers):
            if time.monotonic() > deadline:
                sys.exit(f"only {list(loaded)} have handled all records")
            for worker in workers:
                if worker.name not in loaded and caught_up(local, worker, last):
                    loaded[worker.name] = window.used(worker)
            time.sleep(0.2)

        tell(f"{SECONDS} s with a record a second in each shard")
        one_of = {}
        for record in records:
            one_of.setdefault(put(local, record)[0], record)
            if len(one_of) == SHARDS:
                break
        window = Window(workers, proxy)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for record in one_of.values():
                put(local, record)
            time.sleep(1)
        busy = {worker.name: window.used(worker) for worker in workers}
        memory = {worker.name: worker.peak_memory() for worker in workers}

    def hourly(found, kinds):
        seconds, _, requests = found
        return sum(count for operation, count in requests.items() if operation in kinds) / seconds * 3600 / SHARDS

    def million(name):
        """What the records took, without what the worker takes in this time anyway."""
        seconds, used, _ = loaded[name]
        return (used - idle[name][1] / idle[name][0] * seconds) / RECORDS * 1e6

    rows = (
        ("CPU seconds for a million user records", million, 2),
        ("CPU seconds per hour without records", lambda name: idle[name][1] / idle[name][0] * 3600, 1),
        ("CPU seconds of the start", lambda name: started[name][0], 2),
        ("peak memory before the first record, MiB", lambda name: started[name][1], 1),
        ("peak memory, MiB", lambda name: memory[name], 1),
        ("reads per shard and hour, without records", lambda name: hourly(idle[name], READS), 0),
        ("writes per shard and hour, without records", lambda name: hourly(idle[name], WRITES), 0),
        ("reads per shard and hour, with records", lambda name: hourly(busy[name], READS), 0),
        ("writes per shard and hour, with records", lambda name: hourly(busy[name], WRITES), 0),
    )
    names = [worker.name for worker in workers]
    print(f"{RECORDS:,} user records of 100 bytes, {SHARDS} shards, one worker each, {SECONDS} s without and with records")
    print("| | " + " | ".join(names) + " |\n|---" + "|--:" * len(names) + "|")
    for label, value, digits in rows:
        print(f"| {label} | " + " | ".join(f"{value(name):,.{digits}f}" for name in names) + " |")
    for name in names:
        tell(f"{name}: idle {dict(idle[name][2])}, with records {dict(busy[name][2])}, all records in {loaded[name][0]:.1f} s")


if __name__ == "__main__":
    main()
