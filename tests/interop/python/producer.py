"""Writes with the Python package aiokpl. Run by ../node/serve.js, to whose server it sends. See ../README.md."""

import asyncio
import base64
import json
import os
import sys

from aiokpl import Config, Producer

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


async def write():
    endpoint = f"https://127.0.0.1:{os.environ['KINESIS_PORT']}"
    async with Producer(Config(endpoint_url=endpoint, **CONFIG)) as producer:
        await warm_up(producer)
        for line in sys.stdin:
            print(json.dumps(await send(producer, json.loads(line)["records"])), flush=True)


async def warm_up(producer):
    """Until the producer knows the stream's shards it aggregates nothing: two records of one aggregate end that."""
    for _ in range(100):
        numbers = (await send(producer, [{"partitionKey": "a", "data": "AA=="}] * 2))["sequenceNumbers"]
        if len(numbers) == 2 and numbers[0] == numbers[1]:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("the producer does not aggregate")


if __name__ == "__main__":
    if sys.argv[1] == "version":
        from importlib.metadata import version
        from platform import python_version

        print(f"aiokpl {version('aiokpl')}, aiobotocore {version('aiobotocore')}, Python {python_version()}")
    else:
        asyncio.run(write())
