#!/usr/bin/env python3
"""Size and start time of the example `handler`, built as docs/lambda.md says, in a package of its own.

The time is from the start of the process to its first request for an event (GET .../invocation/next) at a runtime API on
loopback. It needs Python 3 and cargo.
"""

import os
import pathlib
import re
import socket
import statistics
import subprocess
import time

STARTS = 200

root = pathlib.Path(__file__).resolve().parents[2]
folder = root / os.environ.get("CARGO_TARGET_DIR", "target") / "lambda-start"
docs = (root / "docs/lambda.md").read_text()
profile = re.search(r"```toml\n(\[profile\.release\]\n.*?)```", docs, re.DOTALL).group(1)

(folder / "src").mkdir(parents=True, exist_ok=True)
(folder / "src/main.rs").write_text((root / "kpl-lambda/examples/handler.rs").read_text())
(folder / "Cargo.lock").write_text((root / "Cargo.lock").read_text())
(folder / "Cargo.toml").write_text(f"""
[package]
name = "handler"
edition = "2024"

[workspace]

[dependencies]
kpl = {{ path = "{root}" }}
kpl-lambda = {{ path = "{root}/kpl-lambda" }}
serde = {{ version = "1", features = ["derive"] }}
tokio = {{ version = "1", features = ["macros", "rt"] }}

{profile}panic = "abort"
""")
cargo = ["cargo", "build", "--quiet", "--release", "--target-dir", folder / "target"]
subprocess.run(cargo, cwd=folder, check=True)
tree = subprocess.run(
    ["cargo", "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"],
    cwd=folder, check=True, capture_output=True, text=True,
).stdout
binary = folder / "target/release/handler"

server = socket.create_server(("127.0.0.1", 0))
environment = {
    "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.getsockname()[1]}",
    "AWS_LAMBDA_FUNCTION_NAME": "handler",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
}


def start():
    began = time.perf_counter()
    function = subprocess.Popen([binary], env=environment)
    try:
        connection, _ = server.accept()
        request = connection.recv(65536)
        took = time.perf_counter() - began
        assert request.startswith(b"GET /2018-06-01/runtime/invocation/next "), request
        return 1000 * took
    finally:
        function.kill()
        function.wait()


times = sorted(start() for _ in range(STARTS))
crates = len({line.split(" (")[0] for line in tree.splitlines() if line and not line.startswith("handler ")})
print(f"crates, all together: {crates}")
print(f"binary: {binary.stat().st_size / 1e6:.2f} MB")
print(f"start, {STARTS} times: {statistics.median(times):.2f} ms median, {times[0]:.2f} ms best, {times[-1]:.2f} ms worst")
