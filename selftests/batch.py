#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""APPEND_BATCH: batches of an independent encoder, right and wrong ones."""
import ctypes
import errno
import os
import random
import struct

import evstest as t
from evstest import Topic, eq, fails, kafka, ok

T0 = 1_700_000_000_000
ONE = [{"key": b"key", "value": b"value", "timestamp": T0}]
TWO = [
    {"value": b"first", "timestamp": T0},
    {"key": b"k", "value": b"second", "timestamp": T0 + 7, "headers": [(b"h", b"v")]},
]


def stored_as(batch, offset):
    """What of a batch the log changes: base offset and leader epoch."""
    return struct.pack(">q", offset) + batch[8:12] + b"\0\0\0\0" + batch[16:]


def test_golden_batch():
    fd = Topic().open()
    eq(t.append_batch(fd, kafka.GOLDEN), 0)
    eq(t.append_batch(fd, kafka.GOLDEN), 1)
    eq(t.fetch_all(fd), stored_as(kafka.GOLDEN, 0) + stored_as(kafka.GOLDEN, 1))
    eq(os.read(fd, 100), b"value")
    for _ in range(40):
        os.write(fd, b"x")
    eq(t.append_batch(fd, kafka.GOLDEN), 42)
    eq(t.fetch_all(fd, offset=42), kafka.GOLDEN)


def test_offset_and_epoch_are_replaced():
    fd = Topic().open()
    batch = kafka.encode_batch(TWO, 123456789, leader_epoch=77)
    eq(t.append_batch(fd, batch), 0)
    eq(t.append_batch(fd, batch), 2)
    eq(t.fetch_all(fd), stored_as(batch, 0) + stored_as(batch, 2))
    batches = kafka.decode_batches(t.fetch_all(fd))
    eq([b["leader_epoch"] for b in batches], [0, 0])
    eq([r["offset"] for b in batches for r in b["records"]], [0, 1, 2, 3])


def test_what_the_log_does_not_know_is_kept():
    fd = Topic().open()
    batch = kafka.encode_batch(TWO, producer_id=5, producer_epoch=3, base_sequence=99)
    t.append_batch(fd, batch)
    eq(t.fetch_all(fd), stored_as(batch, 0))


def test_append_time_batches():
    fd = Topic().open()
    batch = kafka.encode_batch(TWO, attributes=kafka.APPEND_TIME, max_timestamp=T0 + 1000)
    t.append_batch(fd, batch)
    eq(t.fetch_all(fd), stored_as(batch, 0))


def some(limit):
    return random.randbytes(random.choice((0, 1, 63, 64, random.randrange(1, limit))))


def test_many_shapes():
    fd = Topic("--segment", "1M").open()
    data, offset, values = b"", 0, []
    for _ in range(40):
        records = [
            {
                "key": random.choice((None, b"", some(200))),
                "value": random.choice((None, b"", some(400))),
                "timestamp": random.choice((0, T0, T0 + random.randrange(10**6), (1 << 62) - 1)),
                "headers": [
                    (some(9), random.choice((None, some(99))))
                    for _ in range(random.choice((0, 0, 1, 40)))
                ],
            }
            for _ in range(random.choice((1, 2, 30)))
        ]
        batch = kafka.encode_batch(records, random.randrange(1 << 40))
        eq(t.append_batch(fd, batch), offset)
        data += stored_as(batch, offset)
        offset += len(records)
        values += [r["value"] or b"" for r in records]
    eq(t.fetch_all(fd), data)
    eq([os.read(fd, 1000) for _ in values], values)


def test_thousands_of_records():
    fd = Topic().open()
    records = [{"value": b"%d" % i, "timestamp": T0 + i % 7} for i in range(3000)]
    batch = kafka.encode_batch(records)
    t.append_batch(fd, batch)
    eq(t.end(fd), 3000)
    eq(t.fetch_all(fd), stored_as(batch, 0))
    eq(os.pread(fd, 10, 2999), b"2999")
    eq(os.pread(fd, 10, 1234), b"1234")


def test_compressed_batches_are_opaque():
    topic = Topic()
    fd = topic.open()
    data = b""
    for codec in (1, 2, 3, 4):
        batch = kafka.encode_batch([], attributes=codec, count=3, last_offset_delta=2,
                                   base_timestamp=T0, max_timestamp=T0 + 9,
                                   body=b"not for the kernel to look into")
        eq(t.append_batch(fd, batch), 3 * (codec - 1))
        data += stored_as(batch, 3 * (codec - 1))
    os.write(fd, b"plain")
    eq(t.fetch_all(fd, offset=0)[: len(data)], data)
    # Any offset within is that batch's.
    eq(t.fetch_raw(fd, offset=4, room=1000)[1][:100], data[len(data) // 4 :][:100])
    fails(errno.EOPNOTSUPP, os.read, fd, 1000)
    fails(errno.EOPNOTSUPP, os.read, fd, 1000)
    fails(errno.EOPNOTSUPP, os.pread, fd, 1000, 7)
    eq(os.lseek(fd, 12, os.SEEK_SET), 12)
    eq(os.read(fd, 1000), b"plain")


def corrupt(batch, at, data):
    return batch[:at] + data + batch[at + len(data) :]


def lies():
    """Batches that must be refused: (why, batch, errno)."""
    good = kafka.encode_batch(TWO)
    bad, inval = errno.EBADMSG, errno.EINVAL
    record = kafka.encode_record(TWO[0], 0, T0)

    def body(data, count=1, **more):
        more = {"base_timestamp": T0, "max_timestamp": T0, "count": count} | more
        return kafka.encode_batch([], body=data, **more)

    yield "nothing", b"", bad
    yield "60 bytes", good[:60], bad
    yield "a header alone", good[:61], bad
    yield "one byte less", good[:-1], bad
    yield "one byte more", good + b"\0", bad
    yield "two batches", good + good, bad
    for magic in (0, 1, 3, 255):
        yield f"magic {magic}", corrupt(good, 16, bytes([magic])), bad
    yield "length 0", corrupt(good, 8, struct.pack(">i", 0)), bad
    yield "length 48", corrupt(good, 8, struct.pack(">i", 48)), bad
    yield "length -1", corrupt(good, 8, struct.pack(">i", -1)), bad
    yield "length 2^31-1", corrupt(good, 8, struct.pack(">i", 0x7FFFFFFF)), bad
    yield "length too small", corrupt(good, 8, struct.pack(">i", len(good) - 13)), bad
    yield "length too large", corrupt(good, 8, struct.pack(">i", len(good) - 11)), bad
    yield "CRC 0", corrupt(good, 17, b"\0\0\0\0"), bad
    for at in (21, 22, 23, 26, 30, 40, 45, 52, 56, 60, 61, 70, len(good) - 1):
        yield f"a bit flipped at {at}", corrupt(good, at, bytes([good[at] ^ 4])), bad
    yield "control", kafka.encode_batch(TWO, attributes=kafka.CONTROL), inval
    yield "transactional", kafka.encode_batch(TWO, attributes=kafka.TRANSACTIONAL), inval
    for codec in (5, 6, 7):
        yield f"codec {codec}", kafka.encode_batch(TWO, attributes=codec), inval
    for bit in (6, 7, 12, 14):
        yield f"attribute bit {bit}", kafka.encode_batch(TWO, attributes=1 << bit), inval
    yield "attribute bit 15", kafka.encode_batch(TWO, attributes=-32768), inval
    yield "a time before the epoch", kafka.encode_batch(TWO, base_timestamp=-1), inval
    yield "a newest time before the epoch", kafka.encode_batch(TWO, max_timestamp=-1), inval
    yield "no records", body(b"", 0), bad
    yield "no records, but an offset", body(b"", 0, last_offset_delta=0), bad
    yield "count too small", kafka.encode_batch(TWO, count=1, last_offset_delta=1), bad
    yield "count too large", kafka.encode_batch(TWO, count=3, last_offset_delta=2), bad
    yield "count -1", kafka.encode_batch(TWO, count=-1, last_offset_delta=1), bad
    yield "count 2^31-1", kafka.encode_batch(TWO, count=2**31 - 1, last_offset_delta=2**31 - 2), bad
    yield "last delta too small", kafka.encode_batch(TWO, last_offset_delta=0), bad
    yield "last delta too large", kafka.encode_batch(TWO, last_offset_delta=2), bad
    yield "last delta -1", kafka.encode_batch(TWO, last_offset_delta=-1), bad
    yield "newest time too old", kafka.encode_batch(TWO, max_timestamp=T0), bad
    yield "newest time too new", kafka.encode_batch(TWO, max_timestamp=T0 + 8), bad
    yield "record length too large", body(b"\x7e" + record[1:]), bad
    yield "record length too small", body(bytes([record[0] - 2]) + record[1:]), bad
    yield "record length negative", body(b"\x01" + record[1:]), bad
    yield "varint without end", body(b"\xff" * 20), bad
    yield "record cut off", body(record[:-1]), bad
    yield "bytes behind the records", body(record + b"\0"), bad
    yield "offset delta 1 first", body(kafka.encode_record(TWO[0], 1, T0)), bad
    yield (
        "offset deltas that do not follow on",
        body(record + kafka.encode_record(TWO[0], 2, T0), 2),
        bad,
    )
    yield "offset delta twice", body(record + record, 2), bad

    def raw(data):
        return body(kafka.encode_varint(len(data)) + data)

    v = kafka.encode_varint
    yield "key length -2", raw(b"\0" + v(0) + v(0) + v(-2) + v(0) + v(0)), bad
    yield "value length -2", raw(b"\0" + v(0) + v(0) + v(-1) + v(-2) + v(0)), bad
    yield "key over the end", raw(b"\0" + v(0) + v(0) + v(100) + v(0) + v(0)), bad
    yield "value over the end", raw(b"\0" + v(0) + v(0) + v(-1) + v(100) + v(0)), bad
    yield "value of 2^31-1", raw(b"\0" + v(0) + v(0) + v(-1) + v(2**31 - 1) + v(0)), bad
    yield "header count -1", raw(b"\0" + v(0) + v(0) + v(-1) + v(0) + v(-1)), bad
    yield "headers missing", raw(b"\0" + v(0) + v(0) + v(-1) + v(0) + v(1)), bad
    yield "headers of 2^31-1", raw(b"\0" + v(0) + v(0) + v(-1) + v(0) + v(2**31 - 1)), bad
    yield "header key null", raw(b"\0" + v(0) + v(0) + v(-1) + v(0) + v(1) + v(-1) + v(0)), bad
    yield "header value -2", raw(b"\0" + v(0) + v(0) + v(-1) + v(0) + v(1) + v(0) + v(-2)), bad
    yield "bytes behind the headers", raw(b"\0" + v(0) + v(0) + v(-1) + v(0) + v(0) + b"\0"), bad
    huge = raw(b"\0" + v(2**63 - 1) + v(0) + v(-1) + v(0) + v(0))
    yield "a time that overflows", huge, bad


def test_lies_are_refused():
    fd = Topic().open()
    os.write(fd, b"before")
    wrong = []
    for why, batch, code in lies():
        try:
            t.append_batch(fd, batch)
            wrong.append(f"{why}: accepted")
        except OSError as error:
            if error.errno != code:
                wrong.append(f"{why}: {errno.errorcode[error.errno]}, not {errno.errorcode[code]}")
        if t.end(fd) != 1:
            wrong.append(f"{why}: {t.end(fd) - 1} records appended")
            break
    eq(wrong, [])
    eq(t.append_batch(fd, kafka.encode_batch(TWO)), 1)


def test_every_bit_counts():
    fd = Topic().open()
    good = kafka.GOLDEN
    accepted = []
    # Base offset and leader epoch are the log's own, all else is not.
    for at in [*range(8, 12), *range(16, len(good))]:
        for bit in range(8):
            try:
                t.append_batch(fd, corrupt(good, at, bytes([good[at] ^ 1 << bit])))
                accepted.append((at, bit))
            except OSError as error:
                eq(error.errno, errno.EBADMSG, f"bit {bit} of byte {at}")
    eq(accepted, [])
    eq(t.end(fd), 0)


def test_record_limit():
    fd = Topic("--max-record", "100").open()

    def size(n, key=0):
        return kafka.encode_batch([{"value": b"x" * n, "key": b"k" * key or None, "timestamp": T0}])

    eq(t.append_batch(fd, size(100)), 0)
    eq(t.append_batch(fd, size(90, 10)), 1)
    fails(errno.EMSGSIZE, t.append_batch, fd, size(101))
    fails(errno.EMSGSIZE, t.append_batch, fd, size(91, 10))
    # Many records within the limit are no matter.
    many = kafka.encode_batch([{"value": b"x" * 100, "timestamp": T0}] * 50)
    eq(t.append_batch(fd, many), 2)
    packed = dict(attributes=1, count=1, base_timestamp=T0, max_timestamp=T0)
    eq(t.append_batch(fd, kafka.encode_batch([], body=b"z" * 100, **packed)), 52)
    fails(errno.EMSGSIZE, t.append_batch, fd, kafka.encode_batch([], body=b"z" * 101, **packed))
    eq(t.end(fd), 53)


def test_segment_is_the_limit_of_a_batch():
    fd = Topic("--segment", "64K", "--ring", "256K", "--max-record", "1000").open()

    def of(size):
        """A batch of just so many bytes."""
        records = [{"value": b"x" * 900, "timestamp": T0}] * 71
        rest = size - len(kafka.encode_batch(records))
        for n in range(rest - 20, rest):
            batch = kafka.encode_batch(records + [{"value": b"y" * n, "timestamp": T0}])
            if len(batch) == size:
                return batch
        raise t.Failed("no such size")

    for _ in range(3):
        t.append_batch(fd, of(65536))
    stat = t.stat(fd)
    eq((stat.end_position, stat.end_offset), (3 << 16, 3 * 72))
    fails(errno.EMSGSIZE, t.append_batch, fd, of(65537))
    eq(t.end(fd), 3 * 72)
    eq(t.append_batch(fd, of(65535)), 3 * 72)
    # One byte is left: the next batch is in the next segment.
    t.append_batch(fd, kafka.GOLDEN)
    eq(t.stat(fd).end_position, (4 << 16) + len(kafka.GOLDEN))
    eq(os.pread(fd, 10, 4 * 72), b"value")


def test_arguments():
    topic = Topic("-p", "3")
    fd, any_fd = topic.open(1), topic.open("any")
    eq(t.append_batch(fd, kafka.GOLDEN, 0), 0)
    eq(t.append_batch(fd, kafka.GOLDEN, 1), 1)
    eq(t.append_batch(any_fd, kafka.GOLDEN, 2), 0)
    fails(errno.ENXIO, t.append_batch, fd, kafka.GOLDEN, 2)
    fails(errno.ENXIO, t.append_batch, any_fd, kafka.GOLDEN, 3)
    fails(errno.ENXIO, t.append_batch, any_fd, kafka.GOLDEN, t.ALL)
    fails(errno.EFAULT, t.ioctl, fd, t.AppendBatch(batch=8, len=100))
    fails(errno.EMSGSIZE, t.ioctl, fd, t.AppendBatch(batch=8, len=0xFFFFFFFF))
    buf = ctypes.create_string_buffer(kafka.GOLDEN, len(kafka.GOLDEN))
    good = dict(batch=ctypes.addressof(buf), len=len(kafka.GOLDEN))
    fails(errno.EINVAL, t.ioctl, fd, t.AppendBatch(**good, flags=1))
    fails(errno.EINVAL, t.ioctl, fd, t.AppendBatch(**good, reserved=1))
    fails(errno.EBADF, t.append_batch, topic.open(0, os.O_RDONLY), kafka.GOLDEN)
    eq([t.end(any_fd, p) for p in range(3)], [0, 2, 1])
    ok(not os.read(any_fd, 100) == b"", "records are there")


if __name__ == "__main__":
    t.main()
