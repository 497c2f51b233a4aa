"""The reader of kcl-rs: `reader.py KINESIS DYNAMODB`. See ../measure.py."""

import json
import os
import platform
import queue
import sys
import time
from importlib.metadata import version


def main(kinesis, dynamodb):
    os.environ.update(AWS_ENDPOINT_URL_KINESIS=kinesis, AWS_ENDPOINT_URL=dynamodb)
    # It logs that CloudWatch, which is not there, takes no metrics.
    os.environ.setdefault("RUST_LOG", "off")
    from kcl_rs import RecordProcessorBase, Scheduler

    seen = queue.SimpleQueue()

    class Processor(RecordProcessorBase):
        def initialize(self, initialize_input):
            seen.put((0, 0))

        def process_records(self, process_records_input):
            records = process_records_input.records
            seen.put((len(records), sum(len(record.partition_key) + len(record.binary_data) for record in records)))

        def lease_lost(self, lease_lost_input):
            pass

        def shard_ended(self, shard_ended_input):
            shard_ended_input.checkpointer.checkpoint()

        def shutdown_requested(self, shutdown_requested_input):
            pass

    scheduler = Scheduler(
        stream_name="peers",
        application_name="peers",
        record_processor_factory=Processor,
        initial_position="TRIM_HORIZON",
        retrieval_mode="POLLING",
        idle_time_between_reads_millis=200,
        region="us-east-1",
    )
    scheduler.start()
    seen.get()
    print(f"kcl-rs {version('kcl-rs')}, Python {platform.python_version()}", flush=True)
    for order in sys.stdin:
        wanted, count, total, begin = json.loads(order)["count"], 0, 0, time.perf_counter()
        while count < wanted:
            records, size = seen.get()
            count, total = count + records, total + size
        print(json.dumps({"records": count, "bytes": total, "seconds": time.perf_counter() - begin}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
