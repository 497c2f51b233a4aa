"""Writes with the Python package aiokpl, and for the conformance vectors reads with its codec. Run by ../node/serve.js, to whose server it sends. See ../README.md."""

import asyncio
import base64
import json
import os
import sys

from aiokpl import Config, Producer
from aiokpl.aggregation import MAGIC, decode_aggregated
from aiokpl.hashing import md5_hash_key, parse_explicit_hash_key

CONFIG = dict(
    region="us-east-1",
    verify_ssl=False,
    aws_access_key_id="any",
    aws_secret_access_key="any",
    record_max_buffered_time_ms=300_000,
    record_ttl_ms=20_000,
    rate_limit_records_per_sec_per_shard=1e6,
    rate_limit_bytes_per_sec_per_shard=1e9,
)


async def send(producer, records):
    """Sends user records, waits for the server's answers, and gives their sequence numbers."""
    numbers, errors, outcomes = [], [], []
    for record in records:
        try:
            outcome = await producer.put_record(
                stream="interop",
                partition_key=record["partitionKey"],
                data=base64.b64decode(record["data"]),
                explicit_hash_key=record.get("explicitHashKey"),
            )
            outcomes.append(outcome)
        except Exception as error:
            errors.append(repr(error))
    # A flush closes one aggregate; what did not fit into it waits for the next.
    while not all(outcome.is_set() for outcome in outcomes):
        await producer.flush()
        await asyncio.sleep(0.001)
    for outcome in outcomes:
        result = await outcome.wait()
        if result.success:
            numbers.append(result.sequence_number)
        else:
            errors.append(str(result.attempts[-1].error_message))
    return {"sequenceNumbers": numbers, "errors": errors}


def read(item):
    """Reads with the package's codec. It knows aggregates only, so that what else a reader does is done here."""
    records, errors = [], []
    for outer in item["records"]:
        data, number = base64.b64decode(outer["data"]), outer["sequenceNumber"]
        if not data.startswith(MAGIC):
            records.append({**outer, "subSequenceNumber": 0})
            continue
        try:
            for sub, record in enumerate(decode_aggregated(data)):
                records.append(
                    {
                        "partitionKey": record.partition_key,
                        "explicitHashKey": record.explicit_hash_key,
                        "data": base64.b64encode(record.data).decode(),
                        "sequenceNumber": number,
                        "subSequenceNumber": sub,
                        "tags": [{"key": tag.key, "value": tag.value} for tag in record.tags],
                    }
                )
        except ValueError as error:
            errors.append({"sequenceNumber": number, "subSequenceNumber": 0, "data": outer["data"], "reason": str(error)})
    return {"records": records, "errors": errors}


def hash_key(item):
    explicit = item.get("explicitHashKey")
    if item.get("policy") == "strict" and explicit is None:
        return {"unsupported": "partition keys are checked elsewhere"}
    try:
        key = md5_hash_key(item["partitionKey"]) if explicit is None else parse_explicit_hash_key(explicit)
    except ValueError as error:
        return {"error": str(error)}
    return {"hashKey": str(key)}


async def conformance(producer, item):
    """An answer to a request of ../../../conformance/README.md, except that serve.js makes the records that were sent."""
    operation, policy = item["operation"], item.get("policy")
    if operation == "version":
        return {"version": version()}
    if operation == "hash_key":
        return hash_key(item)
    if operation == "read":
        if policy not in (None, "error") or "after" in item:
            return {"unsupported": f"policy {policy}" if policy else "resuming"}
        return read(item)
    if operation == "write":
        if policy not in (None, "raw", "fixed_key"):
            return {"unsupported": f"policy {policy}"}
        if any("tags" in record for record in item["records"]):
            return {"unsupported": "tags"}
        if item.get("options", {}) not in ({}, {"maxSize": 51_200}):
            return {"unsupported": f"options {', '.join(item['options'])}"}
        return await send(producer, item["records"])
    return {"unsupported": f"operation {operation}"}


async def write():
    endpoint = f"https://127.0.0.1:{os.environ['KINESIS_PORT']}"
    async with Producer(Config(endpoint_url=endpoint, **CONFIG)) as producer:
        await warm_up(producer)
        for line in sys.stdin.buffer:
            item = json.loads(line)
            answer = await (conformance(producer, item) if "operation" in item else send(producer, item["records"]))
            print(json.dumps({**answer, "id": item["id"]} if "id" in item else answer), flush=True)


async def warm_up(producer):
    """Until the producer knows the stream's shards it aggregates nothing: two records of one aggregate end that."""
    for _ in range(100):
        numbers = (await send(producer, [{"partitionKey": "a", "data": "AA=="}] * 2))["sequenceNumbers"]
        if len(numbers) == 2 and numbers[0] == numbers[1]:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("the producer does not aggregate")


def version():
    from importlib.metadata import version
    from platform import python_version

    return f"aiokpl {version('aiokpl')}, aiobotocore {version('aiobotocore')}, Python {python_version()}"


if __name__ == "__main__":
    if sys.argv[1] == "version":
        print(version())
    else:
        asyncio.run(write())
