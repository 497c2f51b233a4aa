#!/usr/bin/env python3
"""Records what a real daemon says to its children: writes the files of kpl-kcl/tests/transcripts.

    target=$(.ci/kcl install)
    INSTALLED=$target $target/moto/bin/python tests/kcl/transcripts.py VERSION...

This program plays the children itself (puppet.py), step by step, each file being one child's life.
"""

import base64
import http.client
import http.server
import json
import os
import pathlib
import queue
import signal
import socket
import sys
import tempfile
import threading
import time

from local import KCL_2, KCL_3, Daemon, Local

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TRANSCRIPTS = ROOT / "kpl-kcl" / "tests" / "transcripts"
STREAM = APPLICATION = "transcripts"


class Child:
    """A child's end of the pipe, and all lines that went through it."""

    def __init__(self, connection):
        self.connection = connection
        self.reader = connection.makefile("r", encoding="utf-8", newline="\n")
        self.lines = []

    def read(self, seconds=90):
        """Returns the daemon's next message, or None at the end."""
        self.connection.settimeout(seconds)
        try:
            line = self.reader.readline()
        except ConnectionResetError:
            line = ""
        if not line:
            return None
        line = line.rstrip("\n")
        self.lines.append({"from": "daemon", "line": line})
        print("  daemon:", line[:200], flush=True)
        return json.loads(line)

    def say(self, **message):
        line = json.dumps(message, separators=(",", ":"))
        self.lines.append({"from": "child", "line": line})
        print("  child: ", line, flush=True)
        self.connection.sendall(line.encode() + b"\n")

    def done(self, message):
        self.say(action="status", responseFor=message["action"])

    def checkpoint(self, *numbers):
        """Asks for a checkpoint, and returns the exception's name or None."""
        self.say(action="checkpoint", **dict(zip(("sequenceNumber", "subSequenceNumber"), numbers)))
        answer = self.read()
        return answer and answer["error"]

    def expect(self, action):
        message = self.read()
        assert message and message["action"] == action, (action, message)
        return message

    def deliver(self, records):
        """Answers messages up to the first one that has at least this many records."""
        while len((message := self.expect("processRecords"))["records"]) < records:
            self.done(message)
        return message

    def until(self, action):
        """Answers messages up to the first one of this action."""
        while True:
            message = self.read()
            if message is None or message["action"] == action:
                return message
            self.done(message)

    def save(self, version, what):
        TRANSCRIPTS.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines)
        (TRANSCRIPTS / f"{version}-{what}.jsonl").write_text(text, encoding="utf-8")
        print(f"== {version}-{what}: {len(text)} bytes", flush=True)


class Puppeteer:
    def __init__(self, path):
        self.children = queue.Queue()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        os.environ["KCL_PUPPETEER"] = str(path)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            self.children.put(Child(self.server.accept()[0]))

    def next(self, seconds=240):
        return self.children.get(timeout=seconds)


def golden(name):
    return base64.b64decode(json.loads((ROOT / "tests" / "golden" / name).read_text())["aggregated"])


def record(version, folder):
    puppeteer = Puppeteer(pathlib.Path(folder) / "socket")
    with Local(folder) as local:
        local.create_stream(STREAM, 1)

        def put(*records):
            for key, data in records:
                local.kinesis.put_record(StreamName=STREAM, PartitionKey=key, Data=data)

        daemons = []

        def start(**properties):
            print(f"== {version}: daemon {len(daemons)}", flush=True)
            daemons.append(
                Daemon(
                    local, f"daemon-{len(daemons)}", version, STREAM, APPLICATION, [HERE / "puppet.py"], worker="one",
                    **{"maxRecords": 2, "level": "DEBUG", **properties},
                )
            )
            return daemons[-1]

        ten, eight = golden("node-number-like-keys.json"), golden("kpl-8-records.json")
        put(("plain", b"1"), ("a", ten), ("schl\u00fcssel \U0001f511 \"\\", bytes(range(256))), ("a", eight), ("plain", b""))

        # Which checkpoints are accepted, and when.
        daemon = start()
        child = puppeteer.next()
        message = child.expect("initialize")
        child.checkpoint()
        child.checkpoint("1", 0)
        child.done(message)
        message = child.expect("processRecords")
        first, last = message["records"][0], message["records"][-1]
        number = last["sequenceNumber"]
        child.checkpoint(first["sequenceNumber"], 0)
        child.checkpoint(number, 2)
        child.checkpoint(number, 2)
        child.checkpoint(number, 1)
        child.checkpoint(first["sequenceNumber"], 0)
        child.checkpoint(str(int(number) + 1), 0)
        child.checkpoint(number, last["subSequenceNumber"] + 1)
        child.checkpoint("12x", 0)
        child.checkpoint("TRIM_HORIZON", 0)
        child.checkpoint("SHARD_END", 0)
        child.checkpoint(None, 3)
        child.checkpoint(number)
        child.checkpoint()
        child.done(message)
        message = child.expect("processRecords")
        position = message["records"][-1]["sequenceNumber"]
        child.checkpoint(None, None)
        child.done(message)
        message = child.expect("processRecords")
        child.checkpoint(position, 3)
        child.done(message)
        daemon.kill()
        child.save(version, "checkpoints")

        # Within an aggregate: stop, and go on.
        put(("a", ten))
        daemon = start()
        child = puppeteer.next()
        child.done(child.expect("initialize"))
        message = child.deliver(10)
        child.checkpoint(message["records"][-1]["sequenceNumber"], 4)
        daemon.kill()
        child.save(version, "killed-inside-an-aggregate")

        put(("plain", b"2"))
        daemon = start()
        child = puppeteer.next()
        child.done(child.expect("initialize"))
        message = child.expect("processRecords")
        child.done(message)
        os.kill(daemon.process.pid, signal.SIGTERM)
        message = child.until("shutdownRequested")
        child.checkpoint()
        child.done(message)
        while message := child.read():
            child.done(message)
        child.connection.close()
        daemon.process.wait(60)
        child.save(version, "resumed-and-stopped")

        # SIGTERM without shutdownGraceMillis.
        put(("plain", b"3"))
        daemon = start(shutdownGraceMillis=0)
        child = puppeteer.next()
        child.done(child.expect("initialize"))
        child.done(child.expect("processRecords"))
        os.kill(daemon.process.pid, signal.SIGTERM)
        while message := child.read():
            child.done(message)
        child.connection.close()
        daemon.process.wait(60)
        child.save(version, "stopped-without-grace")

        # A lease that another worker takes, while records are processed.
        put(("a", ten))
        daemon = start()
        child = puppeteer.next()
        child.done(child.expect("initialize"))
        message = child.deliver(10)
        number = message["records"][-1]["sequenceNumber"]
        child.checkpoint(number, 2)
        steal(local)
        time.sleep(4)  # the daemon renews its leases every 1.6 s
        child.checkpoint(number, 2)
        child.checkpoint(number, 5)
        child.checkpoint()
        child.done(message)
        message = child.until("leaseLost")
        child.checkpoint()
        child.done(message)
        child.read()
        child.connection.close()
        child.save(version, "lease-lost")

        # The shard has ended, and the child makes no checkpoint: nothing but its status.
        child = puppeteer.next()
        child.done(child.expect("initialize"))
        local.kinesis.split_shard(StreamName=STREAM, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(1 << 127))
        local.wait_for_stream(STREAM)
        message = child.until("shardEnded")
        child.done(message)
        time.sleep(1)
        try:
            while message := child.read(20):
                child.done(message)
            print("== the end of standard input", flush=True)
        except TimeoutError:
            print("== nothing more", flush=True)
        child.connection.close()
        child.save(version, "shard-ended-without-checkpoint")
        print("== leases", local.leases(APPLICATION), "daemon", daemon.process.poll(), flush=True)

        # The same shard once more, with a checkpoint, and its children.
        if daemon.process.poll() is None:
            try:
                child = puppeteer.next(60)
                print("== the same daemon starts a child again", flush=True)
            except queue.Empty:
                daemon.kill()
                daemon = start()
                child = puppeteer.next()
        else:
            daemon = start()
            child = puppeteer.next()
        child.done(child.expect("initialize"))
        last = child.expect("processRecords")
        child.done(last)
        message = child.until("shardEnded")
        last = last["records"][-1]
        child.checkpoint(last["sequenceNumber"], last["subSequenceNumber"])
        child.checkpoint()
        child.done(message)
        child.read()
        child.connection.close()
        child.save(version, "shard-ended")

        child, other = puppeteer.next(), puppeteer.next()
        messages = {id(each): each.expect("initialize") for each in (child, other)}
        for each in (child, other):
            each.done(messages[id(each)])
        # The lower one goes on: its number tells which.
        if messages[id(child)]["shardId"] > messages[id(other)]["shardId"]:
            child, other = other, child
        local.kinesis.put_record(StreamName=STREAM, PartitionKey="x", ExplicitHashKey="0", Data=b"5")
        message = child.expect("processRecords")
        local.dynamodb.delete_table(TableName=APPLICATION)
        child.checkpoint()
        child.done(message)
        daemon.kill()
        child.save(version, "no-lease-table")


class Throttle(http.server.BaseHTTPRequestHandler):
    """Stands before DynamoDB, and refuses to write checkpoints while it is told to."""

    port, refuses = None, False

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if Throttle.refuses and self.headers["X-Amz-Target"].endswith(".UpdateItem") and b"checkpointSubSequenceNumber" in body:
            status, answer = 400, b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"!"}'
        else:
            connection = http.client.HTTPConnection("127.0.0.1", Throttle.port)
            connection.request("POST", self.path, body, dict(self.headers))
            response = connection.getresponse()
            status, answer = response.status, response.read()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def record_throttled(version, folder):
    puppeteer = Puppeteer(pathlib.Path(folder) / "socket")
    with Local(folder) as local:
        Throttle.port = local.dynamodb_port
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Throttle)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        local.create_stream(STREAM, 1)
        for data in (b"1", b"2"):
            local.kinesis.put_record(StreamName=STREAM, PartitionKey="plain", Data=data)
        daemon = Daemon(
            local, "throttled", version, STREAM, APPLICATION, [HERE / "puppet.py"], worker="one",
            dynamoDBEndpoint=f"http://127.0.0.1:{server.server_address[1]}",
        )
        child = puppeteer.next()
        child.done(child.expect("initialize"))
        message = child.expect("processRecords")
        Throttle.refuses = True
        child.checkpoint(message["records"][0]["sequenceNumber"], 0)
        child.checkpoint()
        Throttle.refuses = False
        child.checkpoint()
        child.done(message)
        daemon.kill()
        child.save(version, "throttled")


def steal(local):
    local.dynamodb.update_item(
        TableName=APPLICATION,
        Key={"leaseKey": {"S": "shardId-000000000000"}},
        UpdateExpression="SET leaseOwner = :other, leaseCounter = leaseCounter + :one",
        ExpressionAttributeValues={":other": {"S": "another"}, ":one": {"N": "1"}},
    )


if __name__ == "__main__":
    for version in sys.argv[1:] or (KCL_3, KCL_2):
        for part in (record, record_throttled):
            with tempfile.TemporaryDirectory() as folder:
                part(version, folder)
