"""Writes and reads with the Python module aws-kinesis-agg. See ../README.md."""

import base64
import json
import sys

from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records


def write(item):
    records, errors = [], []

    def add(sealed):
        if sealed is not None:
            partition_key, hash_key, data = sealed.get_contents()
            records.append(
                {
                    "partitionKey": partition_key,
                    "explicitHashKey": hash_key,
                    "data": base64.b64encode(data).decode(),
                }
            )

    aggregator = RecordAggregator()
    for record in item["records"]:
        try:
            data = base64.b64decode(record["data"])
            add(aggregator.add_user_record(record["partitionKey"], data, record.get("explicitHashKey")))
        except Exception as error:
            errors.append(repr(error))
    add(aggregator.clear_and_get())
    return {"records": records, "errors": errors}


def text(key):
    """A key, which is bytes where it is not UTF-8."""
    return key.decode(errors="backslashreplace") if isinstance(key, bytes) else key


def read(item):
    batch = [
        {
            "Data": base64.b64decode(record["data"]),
            "PartitionKey": record["partitionKey"],
            "SequenceNumber": record["sequenceNumber"],
            "ApproximateArrivalTimestamp": 0,
        }
        for record in item["records"]
    ]
    records = []
    try:
        for record in iter_deaggregate_records(batch, data_format="Boto3"):
            kinesis = record["kinesis"]
            # Records out of an aggregate are in base64, others are not.
            data = kinesis["data"] if kinesis.get("aggregated") else base64.b64encode(kinesis["data"])
            records.append(
                {
                    "partitionKey": text(kinesis["partitionKey"]),
                    "explicitHashKey": text(kinesis.get("explicitHashKey")),
                    "data": data.decode(),
                    "sequenceNumber": kinesis["sequenceNumber"],
                    "subSequenceNumber": kinesis.get("subSequenceNumber"),
                }
            )
    except Exception as error:
        return {"records": records, "error": repr(error)}
    return {"records": records}


if __name__ == "__main__":
    if sys.argv[1] == "version":
        from importlib.metadata import version
        from platform import python_version

        print(f"aws-kinesis-agg {version('aws-kinesis-agg')}, protobuf {version('protobuf')}, Python {python_version()}")
    else:
        for line in sys.stdin:
            print(json.dumps({"write": write, "read": read}[sys.argv[1]](json.loads(line))), flush=True)
