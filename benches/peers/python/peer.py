"""Measures the Python module aws-kinesis-agg: `peer.py SHAPES RESULT`. See ../run.sh."""

import base64
import json
import os
import platform
import struct
import sys
import time
from importlib.metadata import version

from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records

WARM_UP = 1.0
MEASURE = 3.0


def load(path):
    """The aggregates of a shape, and the user records of each."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0

    def number():
        nonlocal at
        at += 4
        return struct.unpack_from(">I", data, at - 4)[0]

    def chunk():
        nonlocal at
        length = number()
        at += length
        return data[at - length : at]

    aggregates, records = [], []
    while at < len(data):
        aggregates.append(chunk())
        records.append([(chunk().decode(), chunk()) for _ in range(number())])
    return aggregates, records


def best(work):
    """The shortest time of one call, after a warm-up."""
    passes, shortest, start = 0, float("inf"), time.perf_counter()
    while time.perf_counter() - start < WARM_UP:
        work()
    start = time.perf_counter()
    while passes < 3 or time.perf_counter() - start < MEASURE:
        before = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - before)
        passes += 1
    return shortest


def decode(batch):
    count = 0
    for _ in iter_deaggregate_records(batch, data_format="Boto3"):
        count += 1
    return count


def encode(records):
    sealed = []
    aggregator = RecordAggregator()
    for aggregate in records:
        for key, data in aggregate:
            aggregator.add_user_record(key, data)
        sealed.append(aggregator.clear_and_get().get_contents()[2])
    return sealed


def main(shapes, result):
    figures = {"decode": {}, "encode": {}}
    for size in (20, 100, 1000):
        aggregates, records = load(os.path.join(shapes, f"{size}.bin"))
        batch = [
            {"Data": data, "PartitionKey": "a", "SequenceNumber": "1", "ApproximateArrivalTimestamp": 0}
            for data in aggregates
        ]
        expected = [record for aggregate in records for record in aggregate]
        read = [record["kinesis"] for record in iter_deaggregate_records(batch, data_format="Boto3")]
        assert [(r["partitionKey"], base64.b64decode(r["data"])) for r in read] == expected, "other records were read"
        del read
        assert encode(records) == aggregates, "other bytes were written"
        total = sum(map(len, aggregates))
        figures["decode"][size] = total / best(lambda: decode(batch))
        figures["encode"][size] = total / best(lambda: encode(records))
    figures |= {
        "language": "Python",
        "language_version": platform.python_version(),
        "modules": {name: version(name) for name in ("aws-kinesis-agg", "protobuf")},
    }
    with open(result, "w") as file:
        json.dump(figures, file, indent=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
