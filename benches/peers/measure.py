"""Measures every peer that is installed: `measure.py codec|producers|readers TARGET NAME...`. `benches/peers/run` starts it.

Each peer is a program of its own that says one line when it is ready, its versions, and then answers each order on its standard input with
one line of JSON: `records`, `failed`, `seconds`, and `p50` and `p99` of its calls in seconds. Its CPU time and its memory are read from
/proc, those of the processes that it has started included. The first order is the warm-up, and is not counted.

An order of a codec is for how many seconds it reads or writes the 200 aggregates of a shape (shapes.py). Orders of a producer are described
in rust/producer.rs, those of a reader say how many records it waits for. Before anything is measured, each peer checks that what it reads and writes is right, and what a producer has sent is
read from the server and compared. Readers say how many bytes they have seen in keys and data.
"""

import base64
import json
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from datetime import datetime, timezone

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "python"))
from shape import load  # noqa: E402

SIZES = ("20", "100", "1000")
TICKS = os.sysconf("SC_CLK_TCK")
# Garbage collectors get what they need, and not a quarter of the machine.
JAVA = ("java", "-Xmx256m")

WARM_UP, ROUNDS, ROUND = 3, 5, 1

STREAM, SHARDS, OUTSTANDING = "peers", 4, 10_000
FULL = {"seconds": 3, "rate": None, "count": None, "outstanding": OUTSTANDING}
FIXED = {"seconds": 8, "rate": 2_000, "count": None, "outstanding": OUTSTANDING}
WARM = {**FULL, "seconds": 8}
CHECKED = {"seconds": 60, "rate": None, "count": 20_000, "outstanding": OUTSTANDING}


def tell(what):
    print(what, file=sys.stderr, flush=True)


class Failed(Exception):
    pass


class Process:
    """A peer, with what it is told and what it answers."""

    def __init__(self, command, environment=()):
        command = [str(word) for word in command]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env={**os.environ, **dict(environment)}
        )
        os.set_blocking(self.process.stderr.fileno(), False)

    def line(self, seconds=300):
        """Returns what it says next."""
        said = b""
        end = time.monotonic() + seconds
        while not said.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            part = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not part:
                raise Failed(f"{'ended' if ready else 'said nothing in time'}: {(self.process.stderr.read() or b'').decode()[-2000:]}")
            said += part
        return said.decode().strip()

    def order(self, order):
        """Gives an order. Returns the answer, with the CPU seconds that it took."""
        before = cpu(self.process.pid)
        self.process.stdin.write(f"{json.dumps(order)}\n".encode())
        answer = json.loads(self.line())
        if answer.get("failed"):
            raise Failed(f"{answer['failed']} records have failed")
        return {**answer, "cpu": cpu(self.process.pid) - before}

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def family(pid):
    """Returns a process and all that it has started."""
    yield pid
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from family(int(child))


def cpu(pid):
    """Returns the seconds that a process and all that it has started have used, user and system."""

    def used(pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    return sum(map(used, family(pid)))


def memory(pid):
    """Returns the most MiB that a process and all that it has started have had in memory, each by itself."""

    def peak(pid):
        return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

    return sum(map(peak, family(pid)))


def rust_versions(*names):
    """Returns the versions of crates in the lock file of the Rust programs."""
    lock = (HERE / "rust/Cargo.lock").read_text()
    return ", ".join(f"{name} " + re.search(rf'name = "{name}"\nversion = "(.*?)"', lock)[1] for name in names)


class Peers:
    """The commands of the peers, as benches/peers/run has installed and built them."""

    def __init__(self, target):
        self.installed, self.built = target / "interop", target / "peers"
        self.python = (self.installed / "python/bin/python", "-B")

    def rust(self, program):
        return self.built / "build/release" / program

    def java(self, name, program):
        folder = self.built / "tmp"
        folder.mkdir(exist_ok=True)
        return (*JAVA, f"-Djava.io.tmpdir={folder}", "-cp", f"{self.built / 'classes' / name}:{self.installed / name / 'lib'}/*", program)

    def codecs(self):
        """Returns the command of each codec, and whether it writes."""
        return {
            "kpl": ((self.rust("codec"), "kpl"), True),
            "kpl, 200 at once": ((self.rust("codec"), "kpl-batch"), True),
            "prost and md-5": ((self.rust("codec"), "prost"), True),
            "Java module": (self.java("java-modules", "Modules"), True),
            "AggregatorUtil of the KCL": (self.java("kcl", "Kcl"), False),
            "Go module": ((self.built / "go/codec",), False),
            "Node.js module": (("node", HERE / "node/codec.js", self.installed / "node"), True),
            "Python module": ((*self.python, HERE / "python/codec.py", "aws-kinesis-agg"), True),
            "aiokpl": ((*self.python, HERE / "python/codec.py", "aiokpl"), True),
        }

    def producers(self):
        return {
            "kpl-stream": (self.rust("producer"),),
            "KPL": self.java("kpl", "Producer"),
            "aiokpl": (*self.python, HERE / "python/producer.py"),
        }

    def readers(self):
        return {
            "kpl-stream's Reader": (self.rust("reader"),),
            "kcl-rs": (self.built / "kcl-rs/bin/python", "-B", HERE / "python/reader.py"),
        }


def versions(name, said):
    crates = {
        "kpl": ("kpl",), "kpl, 200 at once": ("kpl",), "prost and md-5": ("prost", "md-5"),
        "kpl-stream": ("kpl-stream", "aws-sdk-kinesis"), "kpl-stream's Reader": ("kpl-stream", "aws-sdk-kinesis"),
    }  # fmt: skip
    return rust_versions(*crates[name]) if name in crates else said


def measure_codecs(peers, shapes, names):
    figures, found, failed = {}, {}, {}
    commands = {name: command for name, command in peers.codecs().items() if name in names}
    for name, (command, _) in commands.items():
        for size in SIZES:
            check = subprocess.run([*map(str, command), "check", str(shapes / f"{size}.bin")], capture_output=True, text=True)
            if check.returncode:
                failed[name] = f"reads or writes something else: {check.stderr[-2000:]}"
        tell(f"{name}: {failed.get(name, 'reads and writes the right records')}")
    for what in ("read", "write"):
        for size in SIZES:
            processes = {}
            for name, (command, writes) in commands.items():
                if name in failed or (what == "write" and not writes):
                    continue
                try:
                    process = processes[name] = Process([*command, what, shapes / f"{size}.bin"])
                    found[name] = versions(name, process.line())
                    process.order(WARM_UP)
                except Failed as error:
                    failed[name] = str(error)
            # One after the other, round by round: what else the machine does in this time is the same for all.
            for _ in range(ROUNDS):
                for name, process in processes.items():
                    if name in failed:
                        continue
                    try:
                        run = process.order(ROUND)
                        run["memory"] = memory(process.process.pid)
                        figures.setdefault(name, {}).setdefault(what, {}).setdefault(size, []).append(run)
                    except Failed as error:
                        failed[name] = str(error)
            for process in processes.values():
                process.end()
            tell(f"{what} {size}: " + ", ".join(
                f"{name} {max(run['records'] / run['seconds'] for run in runs[what][size]) / 1e6:.2f} M/s"
                for name, runs in figures.items() if size in runs.get(what, {})
            ))  # fmt: skip
    return figures, found, failed


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for_port(port):
    """Waits until a server that was started takes connections."""
    for _ in range(300):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    raise Failed("a server does not start")


class Server:
    """A ferrokinesis with one stream, over HTTP or TLS."""

    def __init__(self, target, tls, shards=SHARDS):
        folder = target / "peers"
        port = free_port()
        self.url = f"{'https' if tls else 'http'}://localhost:{port}"
        self.certificate = folder / "tls/certificate.pem" if tls else None
        self.context = ssl.create_default_context(cafile=self.certificate) if tls else None
        options = ["--tls-cert", folder / "tls/server.pem", "--tls-key", folder / "tls/server.key"] if tls else []
        command = [
            folder / "ferrokinesis/bin/ferrokinesis", "--port", port, "--log-level", "error", "--create-stream-ms", "0", "--shard-limit", "100",
            "--max-request-body-mb", "16", *options,
        ]  # fmt: skip
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
        wait_for_port(port)
        self.call("CreateStream", {"StreamName": STREAM, "ShardCount": shards})

    def call(self, operation, body):
        # The server looks whether there is a signature, and not which.
        signature = "AWS4-HMAC-SHA256 Credential=any/20250101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=any"
        headers = {
            "X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Date": "20250101T000000Z", "Authorization": signature,
        }  # fmt: skip
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, context=self.context, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def ends(self):
        """Returns an iterator for each shard, at its end."""
        shards = self.call("ListShards", {"StreamName": STREAM})["Shards"]
        at = {"StreamName": STREAM, "ShardIteratorType": "LATEST"}
        return [self.call("GetShardIterator", {**at, "ShardId": shard["ShardId"]})["ShardIterator"] for shard in shards]

    def since(self, iterators):
        """Yields the Kinesis records that have come since then: key, data."""
        for iterator in iterators:
            while True:
                answer = self.call("GetRecords", {"ShardIterator": iterator})
                if not answer["Records"]:
                    break
                iterator = answer["NextShardIterator"]
                for record in answer["Records"]:
                    yield record["PartitionKey"], base64.b64decode(record["Data"])

    def end(self):
        self.process.kill()
        self.process.wait()


def user_records(key, data):
    """Yields what a Kinesis record holds. Does not use any peer."""
    if not data.startswith(b"\xf3\x89\x9a\xc2"):
        yield key, data
        return

    def fields(message):
        at = 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = message[at]
                at += 1
                value |= (byte & 127) << shift
                if byte < 128:
                    return value
                shift += 7

        while at < len(message):
            tag, value = varint(), varint()
            if tag & 7 == 2:
                value, at = message[at : at + value], at + value
            yield tag >> 3, value

    message = list(fields(data[4:-16]))
    keys = [value.decode() for number, value in message if number == 1]
    for number, value in message:
        if number == 3:
            record = dict(fields(value))
            yield keys[record[1]], record[3]


def check_producer(server, process, users):
    """Returns how many user records were in a Kinesis record, if what has come is what was sent."""
    iterators = server.ends()
    process.order(CHECKED)
    kinesis = list(server.since(iterators))
    count = CHECKED["count"]
    came = Counter(record for key, data in kinesis for record in user_records(key, data))
    if came != Counter(users[number % len(users)] for number in range(count)):
        raise Failed(f"{came.total()} user records came, and {count} were sent, or they differ")
    return count / len(kinesis)


def measure_producers(target, peers, shapes, names):
    figures, found, failed = {}, {}, {}
    shape = shapes / "100.bin"
    users = [user for _, users in load(shape) for user in users]
    commands = {name: command for name, command in peers.producers().items() if name in names}
    for scheme in ("http", "https"):
        for name, command in commands.items():
            server = process = None
            runs = {"full": [], "fixed": []}
            try:
                server = Server(target, scheme == "https")
                environment = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_EC2_METADATA_DISABLED": "true"}
                if scheme == "http":
                    # The KPL has no option for it.
                    environment["AWS_ENDPOINT_URL"] = server.url
                certificate = [server.certificate] if server.certificate else []
                process = Process([*command, shape, server.url, *certificate], environment)
                found[name] = versions(name, process.line())
                process.order(WARM)
                together = check_producer(server, process, users)
                for kind, order, rounds in (("full", FULL, 3), ("fixed", FIXED, 3)):
                    for _ in range(rounds):
                        before = cpu(server.process.pid)
                        run = process.order(order)
                        run["server"] = cpu(server.process.pid) - before
                        run["memory"] = memory(process.process.pid)
                        runs[kind].append(run)
                figures.setdefault(name, {})[scheme] = {**runs, "together": together}
                tell(f"{name}, {scheme}: " + ", ".join(f"{run['records'] / run['seconds']:,.0f}/s" for run in runs["full"]))
            except (Failed, OSError) as error:
                failed[name] = str(error)
                tell(f"{name}, {scheme}: {error}")
            finally:
                if process:
                    process.end()
                if server:
                    server.end()
    return figures, found, failed


def measure_readers(target, peers, shapes, names):
    figures, found, failed = {}, {}, {}
    # As many as it takes to see the CPU time, which the system counts in hundredths of a second.
    aggregates = 5 * list(load(shapes / "100.bin"))
    records = sum(len(users) for _, users in aggregates)
    size = sum(len(key.encode()) + len(data) for _, users in aggregates for key, data in users)
    entries = [{"Data": base64.b64encode(data).decode(), "PartitionKey": str(index)} for index, (data, _) in enumerate(aggregates)]
    environment = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, command in peers.readers().items():
        if name not in names:
            continue
        server = process = dynamodb = None
        try:
            # kcl-rs drops records that are not in the range of their shard, as the KCL does: these would be in all of them.
            server = Server(target, False, shards=1)
            urls = [server.url]
            if name == "kcl-rs":
                port = free_port()
                moto = [target / "moto/bin/moto_server", "-H", "127.0.0.1", "-p", str(port)]
                dynamodb = subprocess.Popen(moto, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                wait_for_port(port)
                urls.append(f"http://127.0.0.1:{port}")
            begin = time.monotonic()
            process = Process([*command, *urls], environment)
            found[name] = versions(name, process.line())
            ready, started, runs = time.monotonic() - begin, cpu(process.process.pid), []
            time.sleep(20)
            idle = (cpu(process.process.pid) - started) / 20
            for _ in range(4):
                before = cpu(process.process.pid)
                for at in range(0, len(entries), 100):
                    server.call("PutRecords", {"StreamName": STREAM, "Records": entries[at : at + 100]})
                run = process.order({"count": records})
                if run["bytes"] != size:
                    raise Failed(f"it has seen {run['bytes']} bytes of {size}")
                run["cpu"] = cpu(process.process.pid) - before
                run["memory"] = memory(process.process.pid)
                runs.append(run)
            # The first is the warm-up.
            figures[name] = {"runs": runs[1:], "ready": ready, "started": started, "idle": idle}
            tell(f"{name}: " + ", ".join(f"{run['cpu'] / run['records'] * 1e6:.2f} CPU s for a million" for run in runs[1:]))
        except (Failed, OSError) as error:
            failed[name] = str(error)
        finally:
            if process:
                process.end()
            if server:
                server.end()
            if dynamodb:
                dynamodb.kill()
                dynamodb.wait()
    return figures, found, failed


def main(part, target, *names):
    target = pathlib.Path(target)
    shapes, results = target / "peers/shapes", target / "peers/results"
    results.mkdir(parents=True, exist_ok=True)
    begin, load_before = datetime.now(timezone.utc), os.getloadavg()[0]
    peers = Peers(target)
    if part == "codec":
        figures, found, failed = measure_codecs(peers, shapes, names)
    elif part == "producers":
        figures, found, failed = measure_producers(target, peers, shapes, names)
    else:
        figures, found, failed = measure_readers(target, peers, shapes, names)
    result = {
        "date": begin.strftime("%Y-%m-%d %H:%M UTC"), "load": [load_before, os.getloadavg()[0]], "cores": os.cpu_count(),
        "minutes": (datetime.now(timezone.utc) - begin).total_seconds() / 60,
        "figures": figures, "versions": found, "failed": failed,
    }  # fmt: skip
    (results / f"{part}.json").write_text(json.dumps(result, indent=1))
    for name, error in failed.items():
        tell(f"{name}: failed: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    # What it has started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(*sys.argv[1:]))
