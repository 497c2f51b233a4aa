"""Writes and reads with the Python module aws-kinesis-agg. See ../README.md."""

import base64
import json
import sys

from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records


def write(item, **options):
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

    aggregator = RecordAggregator(**options)
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
                    "aggregated": bool(kinesis.get("aggregated")),
                }
            )
    except Exception as error:
        return {"records": records, "error": repr(error)}
    return {"records": records}


def version():
    from importlib.metadata import version
    from platform import python_version

    return f"aws-kinesis-agg {version('aws-kinesis-agg')}, protobuf {version('protobuf')}, Python {python_version()}"


def conformance(item):
    """An answer to a request of ../../../conformance/README.md."""
    operation, policy, options = item["operation"], item.get("policy"), item.get("options", {})
    if operation == "version":
        return {"version": version()}
    if operation == "read":
        if policy not in (None, "deliver"):
            return {"unsupported": f"policy {policy}"}
        return {"unsupported": "resuming"} if "after" in item else read(item)
    if operation == "write":
        if policy not in (None, "wrapped", "first_key"):
            return {"unsupported": f"policy {policy}"}
        if any("tags" in record for record in item["records"]):
            return {"unsupported": "tags"}
        size = options.pop("maxSize", 1 << 20)
        if size > 1 << 20 or options:
            return {"unsupported": f"options {', '.join(options) or 'maxSize above 1 MiB'}"}
        return write(item, max_size=size)
    return {"unsupported": f"operation {operation}"}


if __name__ == "__main__":
    if sys.argv[1] == "version":
        print(version())
    else:
        for line in sys.stdin.buffer:
            verbs = {"write": write, "read": read, "conformance": conformance}
            item = json.loads(line)
            answer = verbs[sys.argv[1]](item)
            print(json.dumps({**answer, "id": item["id"]} if "id" in item else answer), flush=True)
