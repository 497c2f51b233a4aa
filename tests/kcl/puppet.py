#!/usr/bin/env python3
"""A child of the daemon that is played by another program: it hands every line on, to the socket KCL_PUPPETEER and back."""

import os
import socket
import sys
import threading

theirs = socket.socket(socket.AF_UNIX)
theirs.connect(os.environ["KCL_PUPPETEER"])


def to_puppeteer():
    for line in sys.stdin.buffer:
        theirs.sendall(line)
    theirs.shutdown(socket.SHUT_WR)


threading.Thread(target=to_puppeteer, daemon=True).start()
for line in theirs.makefile("rb"):
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
