"""Writes the bytes that every peer measures: the 200 aggregates of each shape of `cargo bench --bench codec`.

    python3 shapes.py FOLDER

makes FOLDER/20.bin, 100.bin and 1000.bin. Each holds, for every aggregate, integers as four big-endian bytes:

    length, the aggregate's bytes
    number of user records, and for each: length, partition key; length, data

The formula is that of `Shape::new` in benches/codec/main.rs. The aggregates are encoded here and not by kpl, so that
a peer's agreement says something.
"""

import functools
import hashlib
import os
import struct
import sys

AGGREGATE_SIZE = 50_000
BATCH = 200
SIZES = (20, 100, 1000)


def user_records(size, seed):
    count = AGGREGATE_SIZE // (size + 6)
    keys = -(-count // 10)
    for index in range(count):
        key = b"customer-%08d" % (seed * keys + index % keys)
        yield key, payload(size, (seed + index * 7) % 256)


@functools.cache
def payload(size, first):
    return bytes((first + byte * 13) % 256 for byte in range(size))


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def aggregate(records):
    table = {}
    body = []
    for key, data in records:
        index = table.setdefault(key, len(table))
        body.append(field(3, b"\x08" + varint(index) + field(3, data)))
    message = b"".join([field(1, key) for key in table] + body)
    return b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest()


def prefixed(value):
    return struct.pack(">I", len(value)) + value


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for size in SIZES:
        path = os.path.join(folder, f"{size}.bin")
        with open(path + ".new", "wb") as file:
            for seed in range(BATCH):
                records = list(user_records(size, seed))
                file.write(prefixed(aggregate(records)))
                file.write(struct.pack(">I", len(records)))
                for key, data in records:
                    file.write(prefixed(key) + prefixed(data))
        os.replace(path + ".new", path)


if __name__ == "__main__":
    main(*sys.argv[1:])
