"""The producer of aiokpl: `producer.py SHAPE URL [CERTIFICATE]`. See ../measure.py."""

import asyncio
import json
import platform
import sys
import time
from importlib.metadata import version
from itertools import count, cycle

from shape import load, percentiles


async def send(producer, users, order):
    """Sends the records of a shape, again and again, and waits for every outcome. An order is as in ../rust/producer.rs."""
    loop, limit, rate = asyncio.get_running_loop(), order["seconds"], order["rate"]
    places, times, failed = asyncio.Semaphore(order["outstanding"]), [], 0
    begin = time.perf_counter()

    async def wait(outcome, since):
        nonlocal failed
        result = await outcome.wait()
        places.release()
        if result.success:
            times.append(time.perf_counter() - since)
        else:
            failed += 1

    waiting = set()
    for number, (key, data) in zip(range(order["count"]) if order["count"] else count(), cycle(users)):
        since = begin + number / rate if rate else time.perf_counter()
        if since >= begin + limit:
            break
        if rate and since > time.perf_counter():
            await asyncio.sleep(since - time.perf_counter())
        await places.acquire()
        if not rate:
            since = time.perf_counter()
        outcome = await producer.put_record(stream="peers", partition_key=key, data=data)
        task = loop.create_task(wait(outcome, since))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    while waiting:
        await asyncio.wait(waiting)
    seconds = time.perf_counter() - begin
    return {"records": len(times), "failed": failed, "seconds": seconds, **percentiles(times)}


async def main(path, url, certificate=None):
    from aiokpl import Config, Producer

    users = [user for _, users in load(path) for user in users]
    # The service takes more than Kinesis does. All other options are the defaults, which are the KPL's.
    config = Config(
        region="us-east-1",
        endpoint_url=url,
        verify_ssl=certificate or True,
        rate_limit_records_per_sec_per_shard=1e9,
        rate_limit_bytes_per_sec_per_shard=1e12,
    )
    async with Producer(config) as producer:
        versions = [f"{module} {version(module)}" for module in ("aiokpl", "aiobotocore", "botocore")]
        print(", ".join([*versions, f"Python {platform.python_version()}"]), flush=True)
        loop = asyncio.get_running_loop()
        while order := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await send(producer, users, json.loads(order))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
