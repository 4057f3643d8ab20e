#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""APPEND: arrays of records, each with a fate of its own."""
import ctypes
import errno
import fcntl
import os
import random

import evstest as t
from evstest import Topic, eq, fails, kafka, ok

# Times are given, so that all bytes are known.
T0 = 1_700_000_000_000


def appended_as(records, base_offset=0, **more):
    return kafka.encode_batch(records, base_offset, **more)


def test_one_record_is_the_golden_batch():
    fd = Topic().open()
    for _ in range(42):
        os.write(fd, b"")
    array = t.append(fd, [{"key": b"key", "value": b"value", "timestamp": T0}])
    eq((array[0].offset, array[0].partition, array[0].error), (42, 0, 0))
    eq(t.fetch_all(fd, offset=42), kafka.GOLDEN)


def test_array_is_one_batch():
    fd = Topic().open()
    records = [
        {"key": b"k1", "value": b"v1", "timestamp": T0 + 5},
        {"key": None, "value": b"", "timestamp": T0},
        {"key": b"", "value": None, "timestamp": T0 + 900000},
        {"key": b"gone", "value": None, "timestamp": T0 + 1},
        {"value": b"x" * 5000, "timestamp": T0 + 2},
        {"value": b"h", "timestamp": 0, "headers": [(b"a", b"1"), (b"", None), (b"a", b"")]},
    ]
    array = t.append(fd, records)
    eq([r.offset for r in array], list(range(6)))
    eq([r.error for r in array], [0] * 6)
    eq(t.fetch_all(fd), appended_as(records))


def test_values_come_back_by_read():
    fd = Topic().open()
    t.append(fd, [{"value": b"one", "timestamp": T0}, {"value": None, "timestamp": T0}])
    eq(os.read(fd, 10), b"one")
    # A tombstone reads as an empty value.
    eq(os.read(fd, 10), b"")
    eq(os.lseek(fd, 0, os.SEEK_CUR), 2)


def test_append_time():
    fd = Topic().open()
    t.append(fd, [{"value": b"a"}, {"key": b"k", "value": b"b"}])
    batch = kafka.decode_batches(t.fetch_all(fd))[0]
    ok(batch["append_time"], "all of it at the append time: LogAppendTime")
    eq([r["value"] for r in batch["records"]], [b"a", b"b"])
    same = [{"value": b"a", "timestamp": 0}, {"key": b"k", "value": b"b", "timestamp": 0}]
    now = batch["max_timestamp"]
    for record in same:
        record["timestamp"] = now
    eq(t.fetch_all(fd), appended_as(same, attributes=kafka.APPEND_TIME))


def test_some_times_given():
    fd = Topic().open()
    t.append(fd, [{"value": b"a", "timestamp": T0}, {"value": b"b"}])
    batch = kafka.decode_batches(t.fetch_all(fd))[0]
    ok(not batch["append_time"], "CreateTime")
    eq(batch["records"][0]["timestamp"], T0)
    ok(batch["records"][1]["timestamp"] > T0, "the other one is of now")
    eq(batch["max_timestamp"], batch["records"][1]["timestamp"])


def test_times_far_apart():
    fd = Topic().open()
    far = (1 << 62) - 1
    records = [{"value": b"", "timestamp": x} for x in (far, 0, 1, far - 1)]
    t.append(fd, records)
    eq(t.fetch_all(fd), appended_as(records))


def test_random_arrays_are_the_references():
    fd = Topic("--segment", "1M", "--max-record", "100K").open()
    data = b""
    offset = 0

    def some(limit):
        return random.randbytes(random.choice((0, 1, 62, 63, 64, 65, random.randrange(limit))))

    for _ in range(25):
        records = [
            {
                "key": some(300) if random.random() < 0.5 else None,
                "value": some(900) if random.random() < 0.9 else None,
                "timestamp": T0 + random.randrange(-(10**6), 10**9),
                "headers": [(some(20), some(70)) for _ in range(random.choice((0, 0, 1, 3)))],
            }
            for _ in range(random.randrange(1, 9))
        ]
        array = t.append(fd, records)
        eq([r.offset for r in array], list(range(offset, offset + len(records))))
        data += appended_as(records, offset)
        offset += len(records)
    eq(t.fetch_all(fd), data)


def test_most_records_there_can_be():
    fd = Topic().open()
    records = [{"value": b"%d" % i, "timestamp": T0} for i in range(1024)]
    array, _keep = t.record_array(records)
    eq(t.append_array(fd, array).appended, 1024)
    eq([r.offset for r in array], list(range(1024)))
    eq(t.fetch_all(fd), appended_as(records))


def test_counts_out_of_range():
    fd = Topic().open()
    array, _keep = t.record_array([{"value": b"x"}] * 1025)
    fails(errno.EINVAL, t.append_array, fd, array, 0)
    fails(errno.EINVAL, t.append_array, fd, array, 1025)
    fails(errno.EINVAL, t.append_array, fd, array, 0xFFFFFFFF)
    fails(errno.EINVAL, t.append_array, fd, array, 1, None, 1)
    fails(errno.EINVAL, t.append_array, fd, array, 1, 63)
    fails(errno.EINVAL, t.append_array, fd, array, 1, 0xFFFFFFF8)
    eq(t.end(fd), 0)


def test_larger_records_of_the_future():
    fd = Topic().open()

    class Wide(ctypes.Structure):
        _fields_ = [("record", t.Record), ("more", ctypes.c_uint64 * 2)]

    plain, _keep = t.record_array([{"value": b"a"}, {"value": b"b"}])
    array = (Wide * 2)()
    for wide, record in zip(array, plain):
        wide.record = record
    a = t.append_array(fd, array, 2, ctypes.sizeof(Wide))
    eq((a.appended, array[0].record.offset, array[1].record.offset), (2, 0, 1))
    array[1].more[1] = 1
    fails(errno.E2BIG, t.append_array, fd, array, 2, ctypes.sizeof(Wide))


def test_each_record_has_its_own_error():
    topic = Topic("--segment", "64K", "--ring", "128K", "--max-record", "1000")
    fd = topic.open()
    good = {"value": b"good", "timestamp": T0}
    array, _keep = t.record_array([good] * 12)
    array[1].value_len = 1001  # over the limit
    array[2].key_len = -2
    array[3].value_len = -2
    array[4].timestamp = -2
    array[5].value = 8  # nothing there
    array[6].headers_count = 1  # without any
    bad = ctypes.create_string_buffer(b"\x02a\x04b", 4)  # a value cut off
    array[7].headers, array[7].headers_len, array[7].headers_count = (
        ctypes.addressof(bad),
        4,
        1,
    )
    array[8].headers, array[8].headers_len, array[8].headers_count = (
        ctypes.addressof(bad),
        4,
        0,
    )
    array[9].key, array[9].key_len = 8, 3
    array[10].key_len = 0x7FFFFFFF
    a = t.append_array(fd, array)
    eq(a.appended, 2)
    errors = [-r.error for r in array]
    expected = [0, errno.EMSGSIZE, errno.EINVAL, errno.EINVAL, errno.EINVAL, errno.EFAULT]
    expected += [errno.EINVAL, errno.EINVAL, errno.EINVAL, errno.EFAULT, errno.EMSGSIZE, 0]
    eq(errors, expected)
    eq([r.offset for r in array], [0] + [-1] * 10 + [1])
    eq(t.fetch_all(fd), appended_as([good, good]))


def test_none_appended_is_the_first_error():
    fd = Topic("--max-record", "100").open()
    array, _keep = t.record_array([{"value": b"x" * 101}, {"value": b"y", "timestamp": T0}])
    array[1].key_len = -5
    fails(errno.EMSGSIZE, t.append_array, fd, array)
    eq([-r.error for r in array], [errno.EMSGSIZE, errno.EINVAL])
    eq(t.end(fd), 0)


def test_limit_counts_key_value_and_headers():
    fd = Topic("--max-record", "100").open()
    headers = [(b"h", b"12345")]
    size = len(kafka.encode_headers(headers))
    exact = {"key": b"k" * 10, "value": b"v" * (90 - size), "headers": headers, "timestamp": T0}
    over = dict(exact, key=b"k" * 11)
    eq(t.append(fd, [exact])[0].error, 0)
    fails(errno.EMSGSIZE, t.append, fd, [over])
    eq(t.end(fd), 1)


def test_array_that_is_not_there():
    fd = Topic().open()
    array, _keep = t.record_array([{"value": b"a"}])
    a = t.Append(records=8, nr_records=1, record_size=64)
    fails(errno.EFAULT, t.ioctl, fd, a)
    a = t.Append(records=(1 << 64) - 64, nr_records=4, record_size=64)
    fails(errno.EFAULT, t.ioctl, fd, a)
    fails(errno.EFAULT, fcntl.ioctl, fd, t.code(t.Append), 8)
    del array
    eq(t.end(fd), 0)


def test_more_than_a_segment():
    topic = Topic("--segment", "64K", "--ring", "1M", "--max-record", "30000")
    fd = topic.open()
    records = [{"value": bytes([65 + i]) * 25000, "timestamp": T0 + i} for i in range(10)]
    array = t.append(fd, records)
    eq([r.error for r in array], [0] * 10)
    eq([r.offset for r in array], list(range(10)))
    batches = kafka.decode_batches(t.fetch_all(fd))
    ok(len(batches) >= 5, "no batch is larger than a segment")
    eq([(r["offset"], r["value"]) for b in batches for r in b["records"]],
       [(i, r["value"]) for i, r in enumerate(records)])


def test_megabytes_in_one_call():
    fd = Topic("--segment", "4M", "--ring", "32M", "--max-record", "1M").open()
    sizes = [1 << 20, 700000, 1 << 20, 0, 5, 600000, 600000, (1 << 20) - 1]
    records = [{"value": bytes([i]) * n, "timestamp": T0} for i, n in enumerate(sizes)]
    array = t.append(fd, records)
    eq([r.error for r in array], [0] * len(sizes))
    eq([r.offset for r in array], list(range(len(sizes))))
    for i, n in enumerate(sizes):
        value = os.read(fd, 1 << 20)
        ok(value == bytes([i]) * n, f"record {i}")


def test_needs_a_writable_file():
    topic = Topic()
    fd = topic.open(0, os.O_RDONLY)
    fails(errno.EBADF, t.append, fd, [{"value": b"x"}])
    eq(t.end(fd), 0)


if __name__ == "__main__":
    t.main()
