#!/usr/bin/env python3
"""Stands between the daemon and a child, and writes each line down: `tee.py FOLDER COMMAND...`.

Each child has a file FOLDER/PID.jsonl, PID being its own, with lines {"from": "daemon"|"child", "at": seconds, "line"}.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

folder, *command = sys.argv[1:]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
log = open(pathlib.Path(folder) / f"{child.pid}.jsonl", "ab", buffering=0)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)  # as the child, which waits for what the daemon says


def pass_on(sender, lines, to):
    for line in lines:
        at = time.monotonic()
        text = line.decode("utf-8", "backslashreplace").removesuffix("\n")
        log.write(json.dumps({"from": sender, "at": at, "line": text}).encode() + b"\n")
        try:
            to.write(line)
            to.flush()
        except BrokenPipeError:
            break
    try:
        to.close()
    except BrokenPipeError:
        pass


threading.Thread(target=pass_on, args=("daemon", sys.stdin.buffer, child.stdin), daemon=True).start()
pass_on("child", child.stdout, sys.stdout.buffer)
os._exit(child.wait())  # the other thread may still wait for a line
