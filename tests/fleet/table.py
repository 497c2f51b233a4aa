"""Stands between workers and DynamoDB, and writes down what becomes of each lease."""

import collections
import http.client
import http.server
import json
import threading
import time

# What is in a lease's row after a write that has changed the owner or the checkpoint. `lines` is how many records had been handled by
# then: the worker that has asked for the write does not have its answer yet. A row that was deleted has no checkpoint.
Change = collections.namedtuple("Change", "at lines shard owner checkpoint")

WRITES = {"UpdateItem", "PutItem", "DeleteItem"}


class Table:
    """A lease table. Its writes come one after another."""

    def __init__(self, lines):
        self.lines = lines
        self.lock = threading.Lock()
        self.changes = []
        self.known = {}

    def written(self, shard, row):
        """Takes the row after a write, None if it was deleted."""
        owner = row and row.get("leaseOwner", {}).get("S")
        checkpoint = row and f"{row['checkpoint']['S']}:{row['checkpointSubSequenceNumber']['N']}"
        if self.known.get(shard, (None, None)) != (owner, checkpoint):
            self.known[shard] = owner, checkpoint
            self.changes.append(Change(time.monotonic(), self.lines(), shard, owner, checkpoint))


class Proxy:
    """Passes requests on to DynamoDB, and counts them by table and operation."""

    def __init__(self, port):
        self.tables = {}
        self.requests = collections.Counter()
        proxy = self

        class Connection(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                self.upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

            def finish(self):
                self.upstream.close()
                super().finish()

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    status, headers, data = proxy.passed_on(self.upstream, self.path, dict(self.headers), body)
                    self.send_response_only(status)
                    for name, value in headers:
                        if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                            self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (ConnectionError, http.client.HTTPException, TimeoutError):
                    self.close_connection = True  # one of the two was killed

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # a worker that was killed

        self.server = Server(("127.0.0.1", 0), Connection)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def passed_on(self, upstream, path, headers, body):
        operation = headers.get("X-Amz-Target", headers.get("x-amz-target", "")).rpartition(".")[2]
        request = json.loads(body or b"{}")
        name = request.get("TableName", "")
        self.requests[name, operation] += 1
        table = self.tables.get(name)
        if not table or operation not in WRITES:
            return self.answer(upstream, path, headers, body)
        if operation == "UpdateItem":
            body = json.dumps({**request, "ReturnValues": "ALL_NEW"}).encode()
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        with table.lock:
            status, headers, data = self.answer(upstream, path, headers, body)
            if status == 200:
                row = json.loads(data)["Attributes"] if operation == "UpdateItem" else request.get("Item")
                table.written((request.get("Key") or request["Item"])["leaseKey"]["S"], row)
        return status, headers, data

    @staticmethod
    def answer(upstream, path, headers, body):
        upstream.request("POST", path, body, {**headers, "Connection": "keep-alive"})
        answer = upstream.getresponse()
        return answer.status, answer.getheaders(), answer.read()
