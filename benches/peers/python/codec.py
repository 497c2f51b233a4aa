"""The codecs of aws-kinesis-agg and aiokpl: `codec.py aws-kinesis-agg|aiokpl check|read|write SHAPE`. See ../measure.py."""

import base64
import json
import platform
import sys
import time
from importlib.metadata import version

from shape import load, percentiles


def serve(items, work):
    """Calls the work with one item after the other, again and again, for as long as each order says."""
    for order in sys.stdin:
        limit, count, times, begin = float(order), 0, [], time.perf_counter()
        while time.perf_counter() - begin < limit:
            for item, records in items:
                before = time.perf_counter()
                work(item)
                times.append(time.perf_counter() - before)
                count += records
        seconds = time.perf_counter() - begin
        print(json.dumps({"records": count, "seconds": seconds, **percentiles(times)}), flush=True)


class AwsKinesisAgg:
    modules = ("aws-kinesis-agg", "protobuf")

    def __init__(self):
        from aws_kinesis_agg.aggregator import RecordAggregator
        from aws_kinesis_agg.deaggregator import iter_deaggregate_records

        self.aggregator, self.deaggregate = RecordAggregator(), iter_deaggregate_records

    def records(self, data):
        """Returns the records of an aggregate as the module gives them."""
        record = {"Data": data, "PartitionKey": "a", "SequenceNumber": "1", "ApproximateArrivalTimestamp": 0}
        return self.deaggregate([record], data_format="Boto3")

    def read(self, data):
        for _ in self.records(data):
            pass

    def users(self, data):
        return [(record["kinesis"]["partitionKey"], base64.b64decode(record["kinesis"]["data"])) for record in self.records(data)]

    def prepare(self, users):
        return users

    def write(self, users):
        for key, data in users:
            if self.aggregator.add_user_record(key, data):
                raise RuntimeError("the aggregate was full too early")
        return self.aggregator.clear_and_get().get_contents()[2]


class Aiokpl:
    modules = ("aiokpl",)

    def __init__(self):
        from aiokpl.aggregation import UserRecord, decode_aggregated, encode_aggregated

        self.record, self.read, self.write = UserRecord, decode_aggregated, encode_aggregated

    def users(self, data):
        return [(record.partition_key, record.data) for record in self.read(data)]

    def prepare(self, users):
        return [self.record(key, data) for key, data in users]


def main(name, what, path):
    peer = {"aws-kinesis-agg": AwsKinesisAgg, "aiokpl": Aiokpl}[name]()
    if what == "check":
        for data, users in load(path):
            assert peer.users(data) == users, "other records were read"
            assert peer.write(peer.prepare(users)) == data, "other bytes were written"
        return
    if what == "read":
        items, work = [(data, len(users)) for data, users in load(path)], peer.read
    else:
        items, work = [(peer.prepare(users), len(users)) for _, users in load(path)], peer.write
    versions = [f"{module} {version(module)}" for module in peer.modules]
    print(", ".join([*versions, f"Python {platform.python_version()}"]), flush=True)
    serve(items, work)


if __name__ == "__main__":
    main(*sys.argv[1:])
