"""The file of a shape, for the Python programs. See ../shapes.py."""

import struct


def load(path):
    """Yields each aggregate of a shape, with its user records."""
    with open(path, "rb") as file:
        while head := file.read(4):

            def chunk(head=None):
                return file.read(struct.unpack(">I", head or file.read(4))[0])

            aggregate = chunk(head)
            (count,) = struct.unpack(">I", file.read(4))
            yield aggregate, [(chunk().decode(), chunk()) for _ in range(count)]


def percentiles(values):
    """Returns the median and the 99th percentile."""
    values = sorted(values)
    return {name: values[int((len(values) - 1) * share)] for name, share in (("p50", 0.5), ("p99", 0.99))}
