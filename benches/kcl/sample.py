"""amazon_kclpy's own sample, without what it does for each record: it writes a line to standard error."""

from amazon_kclpy import kcl
from samples.sample_kclpy_app import RecordProcessor


class Idle(RecordProcessor):
    def process_record(self, data, partition_key, sequence_number, sub_sequence_number):
        pass


if __name__ == "__main__":
    kcl.KCLProcess(Idle()).run()
