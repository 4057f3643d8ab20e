#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""FETCH, SEEK, STAT and GAP, beside a model."""
import bisect
import errno
import os
import random

import evstest as t
from evstest import Topic, eq, fails, kafka, ok

T0 = 1_700_000_000_000
HUGE = (1 << 62) - 1


class Model:
    """A partition as it must be: the batches appended, and where they lie."""

    def __init__(self, segment=1 << 16):
        self.segment = segment
        self.batches = []  # (offset, position, bytes, times of the records)
        self.end_offset = 0
        self.end_position = 0

    def add(self, batch, times):
        room = self.segment - self.end_position % self.segment
        if len(batch) > room:
            self.end_position += room
        data = self.end_offset.to_bytes(8, "big") + batch[8:12] + bytes(4) + batch[16:]
        self.batches.append((self.end_offset, self.end_position, data, times))
        self.end_offset += len(times)
        self.end_position += len(batch)

    def index(self, offset):
        return bisect.bisect_right([b[0] for b in self.batches], offset) - 1

    def fetch(self, offset, room):
        """What FETCH returns: bytes, next offset, position."""
        if offset == self.end_offset:
            return b"", offset, None
        at = self.index(offset)
        data, position = b"", self.batches[at][1]
        while at < len(self.batches) and len(data) + len(self.batches[at][2]) <= room:
            data += self.batches[at][2]
            at += 1
        after = self.batches[at][0] if at < len(self.batches) else self.end_offset
        return data, after, position

    def by_time(self, timestamp):
        for offset, _, _, times in self.batches:
            for delta, when in enumerate(times):
                if when >= timestamp:
                    return offset + delta
        return self.end_offset

    def position(self, offset):
        if offset >= self.end_offset:
            return self.end_position
        return self.batches[self.index(offset)][1]


def filled(fd, batches, when, *, append_time=False, size=400, model=None):
    """Batches of random shapes, in the log and in a model of it."""
    model = model or Model()
    for i in range(batches):
        times = [when(i) for _ in range(random.choice((1, 1, 2, 5)))]
        records = [{"value": bytes(random.randrange(size)), "timestamp": x} for x in times]
        more = {}
        if append_time:
            times = [times[0]] * len(times)
            more = {"attributes": kafka.APPEND_TIME, "max_timestamp": times[0]}
        batch = kafka.encode_batch(records, **more)
        eq(t.append_batch(fd, batch), model.end_offset)
        model.add(batch, times)
    return model


SMALL = ("--segment", "64K", "--ring", "16M", "--max-record", "30000", "--retention", "0")


def test_fetch_against_the_model():
    fd = Topic(*SMALL).open()
    model = filled(fd, 300, lambda i: T0 + i, size=1200)
    ok(model.end_position > 3 << 16, "some segments")
    stat = t.stat(fd)
    eq((stat.end_offset, stat.end_position), (model.end_offset, model.end_position))
    for _ in range(200):
        offset = random.randrange(model.end_offset)
        room = random.choice((7000, 20000, 100000, random.randrange(7000, 200000)))
        a, data = t.fetch_raw(fd, offset=offset, room=room)
        expected, after, position = model.fetch(offset, room)
        ok(data == expected, f"the bytes from {offset} into {room}")
        eq((a.next_offset, a.position, a.bytes), (after, position, len(expected)))
        eq((a.start_offset, a.end_offset), (0, model.end_offset))


def test_fetch_at_the_end():
    fd = Topic().open()
    a, data = t.fetch_raw(fd, offset=0)
    eq((data, a.next_offset, a.end_offset), (b"", 0, 0))
    os.write(fd, b"x")
    a, data = t.fetch_raw(fd, offset=1)
    eq((data, a.next_offset, a.end_offset), (b"", 1, 1))


def test_fetch_out_of_range():
    fd = Topic().open()
    for i in range(10):
        os.write(fd, b"x")
    t.ioctl(fd, t.Trim(offset=4))
    for offset in (0, 3, 11, 1 << 61, (1 << 63) - 1):
        a = t.Fetch(offset=offset, len=0, bytes=5)
        fails(errno.ERANGE, t.ioctl, fd, a)
        eq((a.start_offset, a.end_offset, a.bytes), (4, 10, 0))
        # Waiting does not help.
        fails(errno.ERANGE, t.ioctl, fd, t.Fetch(offset=offset, min_bytes=1, timeout_ms=-1))
    eq(len(kafka.decode_batches(t.fetch_raw(fd, offset=4)[1])), 6)


def test_fetch_tells_what_it_needs():
    fd = Topic().open()
    batch = kafka.encode_batch([{"value": b"x" * 5000, "timestamp": T0}])
    t.append_batch(fd, batch)
    for room in (0, 1, 61, len(batch) - 1):
        buf = t.ctypes.create_string_buffer(len(batch))
        a = t.Fetch(buf=t.ctypes.addressof(buf), len=room, offset=0)
        fails(errno.EMSGSIZE, t.ioctl, fd, a)
        eq((a.bytes, a.next_offset, a.end_offset), (len(batch), 0, 1))
        eq(buf.raw, bytes(len(batch)))
    eq(t.fetch_raw(fd, offset=0, room=len(batch))[1], batch)


def test_fetch_moves_the_position():
    fd = Topic().open()
    for i in range(3):
        t.append_batch(fd, kafka.encode_batch([{"value": b"%d" % i, "timestamp": T0}] * 4))
    a, data = t.fetch_raw(fd, offset=-1, room=100)
    eq((a.next_offset, len(kafka.decode_batches(data))), (4, 1))
    eq(os.lseek(fd, 0, os.SEEK_CUR), 4)
    # From within a batch, all of it comes.
    os.lseek(fd, 6, os.SEEK_SET)
    a, data = t.fetch_raw(fd, offset=-1, room=100)
    eq((a.next_offset, kafka.decode_batches(data)[0]["base_offset"]), (8, 4))
    eq(os.read(fd, 10), b"2")
    # An offset of its own moves nothing.
    t.fetch_raw(fd, offset=0)
    eq(os.lseek(fd, 0, os.SEEK_CUR), 9)
    fails(errno.EMSGSIZE, t.ioctl, fd, t.Fetch(offset=-1, len=10))
    eq(os.lseek(fd, 0, os.SEEK_CUR), 9)


def test_gap():
    fd = Topic().open()
    for i in range(10):
        os.write(fd, b"%d" % i)
    gap = t.ioctl(fd, t.Gap())
    eq((gap.from_, gap.to, gap.lost), (0, 0, 0))
    eq(os.read(fd, 9), b"0")
    t.ioctl(fd, t.Trim(offset=4))
    fails(errno.EPIPE, os.read, fd, 9)
    gap = t.ioctl(fd, t.Gap())
    eq((gap.from_, gap.to, gap.lost), (1, 4, 3))
    eq(os.read(fd, 9), b"4")
    t.ioctl(fd, t.Trim(offset=9))
    fails(errno.EPIPE, t.ioctl, fd, t.Fetch(offset=-1))
    gap = t.ioctl(fd, t.Gap())
    eq((gap.from_, gap.to, gap.lost, t.stat(fd).lost_records), (5, 9, 7, 7))
    eq(os.read(fd, 9), b"9")
    # pread() and FETCH of an offset have no position that could be too late.
    fails(errno.EPIPE, os.pread, fd, 9, 2)
    eq(t.stat(fd).lost_records, 7)


def test_fetch_waits_for_bytes():
    fd = Topic().open()
    size = len(kafka.encode_batch([{"value": b"x" * 100, "timestamp": T0}]))

    def fetch():
        a, data = t.fetch_raw(fd, offset=0, min_bytes=3 * size - 1, timeout_ms=-1)
        return len(data) >= 3 * size and a.next_offset >= 3

    with t.child(fetch) as pid:
        for _ in range(3):
            ok(t.sleeps_in(pid, t.SYS_ioctl), "not enough yet")
            t.append_batch(fd, kafka.encode_batch([{"value": b"x" * 100, "timestamp": T0}]))


def test_fetch_does_not_wait():
    fd = Topic().open()
    os.write(fd, b"x")
    eq(t.fetch_raw(fd, offset=1, min_bytes=0, timeout_ms=-1)[1], b"")
    eq(t.fetch_raw(fd, offset=1, min_bytes=1, timeout_ms=0)[1], b"")
    eq(t.fetch_raw(fd, offset=1, min_bytes=1, timeout_ms=30)[1], b"")
    # What there is when the time is over.
    ok(t.fetch_raw(fd, offset=0, min_bytes=1 << 30, timeout_ms=30)[1], "the record")
    os.set_blocking(fd, False)
    eq(t.fetch_raw(fd, offset=1, min_bytes=1, timeout_ms=-1)[1], b"")


def test_fetch_arguments():
    topic = Topic()
    fd = topic.open()
    os.write(fd, b"x")
    for bad in (
        t.Fetch(flags=1),
        t.Fetch(timeout_ms=-2),
        t.Fetch(offset=-2),
        t.Fetch(offset=-(1 << 63)),
    ):
        fails(errno.EINVAL, t.ioctl, fd, bad)
    fails(errno.EFAULT, t.ioctl, fd, t.Fetch(buf=8, len=1000))
    fails(errno.EFAULT, t.ioctl, fd, t.Fetch(buf=(1 << 64) - 8, len=1000))
    fails(errno.EFAULT, t.ioctl, fd, t.Fetch(buf=8, len=1000, offset=-1))
    eq(os.lseek(fd, 0, os.SEEK_CUR), 0)
    fails(errno.ENXIO, t.ioctl, fd, t.Fetch(partition=1))
    fails(errno.EBADF, t.ioctl, topic.open(0, os.O_WRONLY), t.Fetch())


def seek(fd, whence, value=0):
    return t.ioctl(fd, t.Seek(whence=whence, value=value))


def test_seek_offsets():
    fd = Topic(*SMALL).open()
    model = filled(fd, 150, lambda i: T0, size=1500)
    for offset in [0, model.end_offset - 1, model.end_offset, model.end_offset + 5, HUGE - 1] + [
        random.randrange(model.end_offset) for _ in range(100)
    ]:
        a = seek(fd, t.Seek.OFFSET, offset)
        eq((a.offset, a.position), (offset, model.position(offset)), f"offset {offset}")
        eq(t.stat(fd).offset, offset)
    a = seek(fd, t.Seek.EARLIEST)
    eq((a.offset, a.position), (0, 0))
    a = seek(fd, t.Seek.LATEST)
    eq((a.offset, a.position), (model.end_offset, model.end_position))


def times_against_the_model(fd, model, times):
    wrong = []
    for when in times:
        a = seek(fd, t.Seek.TIMESTAMP, when)
        expected = model.by_time(when)
        if a.offset != expected or t.stat(fd).offset != expected:
            wrong.append((when - T0, a.offset, expected))
        elif a.position != model.position(expected):
            wrong.append((when - T0, "position", a.position, model.position(expected)))
    eq(wrong, [], "(time, offset, expected)")


def test_seek_by_time_in_order():
    fd = Topic(*SMALL).open()
    model = filled(fd, 250, lambda i: T0 + 10 * i, size=1500)
    ok(model.end_position > 4 << 16, "several segments")
    times = [0, T0 - 1, T0, T0 + 1, T0 + 2489, T0 + 2490, T0 + 2491, HUGE]
    times += [T0 + random.randrange(2500) for _ in range(120)]
    # The first and the last record of each segment.
    for _, position, _, batch in model.batches:
        if position % model.segment == 0:
            times += [batch[0] - 1, batch[0], batch[0] + 1]
    times_against_the_model(fd, model, times)


def test_seek_by_time_out_of_order():
    fd = Topic(*SMALL).open()
    model = filled(fd, 250, lambda i: T0 + random.randrange(5000), size=1500)
    times = [0, T0, HUGE] + [T0 + random.randrange(5100) for _ in range(150)]
    times_against_the_model(fd, model, times)


def test_seek_by_time_backwards():
    fd = Topic(*SMALL).open()
    model = filled(fd, 200, lambda i: T0 - 10 * i, size=1500)
    times_against_the_model(fd, model, [T0 - random.randrange(-20, 2100) for _ in range(100)])


def test_seek_by_append_time():
    fd = Topic(*SMALL).open()
    model = filled(fd, 200, lambda i: T0 + 10 * (i // 3), append_time=True, size=1500)
    times_against_the_model(fd, model, [T0 + random.randrange(-5, 700) for _ in range(100)])


def test_seek_by_time_in_what_is_left():
    fd = Topic(*SMALL).open()
    # The newest of all are the ones that go.
    model = filled(fd, 60, lambda i: T0 + 10**6 + random.randrange(1000), size=2500)
    kept = model.end_offset
    filled(fd, 200, lambda i: T0 + random.randrange(1000), size=1500, model=model)
    t.ioctl(fd, t.Trim(offset=kept))
    model.batches = [b for b in model.batches if b[0] >= kept]
    times_against_the_model(fd, model, [T0 + random.randrange(1100) for _ in range(80)] + [HUGE])


def test_seek_by_time_of_the_clock():
    import time

    fd = Topic().open()
    eq(seek(fd, t.Seek.TIMESTAMP, 0).offset, 0)
    os.write(fd, b"a")
    stamp = kafka.decode_batches(t.fetch_all(fd))[0]["max_timestamp"]
    t.wait_for(lambda: int(time.time() * 1000) > stamp + 2, "the clock to go on")
    os.write(fd, b"b")
    later = kafka.decode_batches(t.fetch_all(fd))[1]["max_timestamp"]
    eq(seek(fd, t.Seek.TIMESTAMP, stamp).offset, 0)
    eq(seek(fd, t.Seek.TIMESTAMP, stamp + 1).offset, 1)
    eq(seek(fd, t.Seek.TIMESTAMP, later).offset, 1)
    eq(seek(fd, t.Seek.TIMESTAMP, later + 1).offset, 2)


def test_seek_arguments():
    topic = Topic()
    fd = topic.open()
    for bad in (
        t.Seek(whence=4),
        t.Seek(whence=0xFFFFFFFF),
        t.Seek(value=-1),
        t.Seek(value=-(1 << 63)),
        t.Seek(value=(1 << 63) - 1),
        t.Seek(whence=t.Seek.TIMESTAMP, value=-1),
        t.Seek(whence=t.Seek.TIMESTAMP, value=(1 << 63) - 1),
    ):
        fails(errno.EINVAL, t.ioctl, fd, bad)
    fails(errno.ENXIO, t.ioctl, fd, t.Seek(partition=1))
    fails(errno.ENXIO, t.ioctl, fd, t.Seek(partition=t.ALL))
    fails(errno.EBADF, t.ioctl, topic.open(0, os.O_WRONLY), t.Seek())
    eq(t.stat(fd).offset, 0)


def test_seek_before_the_start_is_a_gap():
    fd = Topic().open()
    for i in range(6):
        os.write(fd, b"%d" % i)
    t.ioctl(fd, t.Trim(offset=3))
    eq(seek(fd, t.Seek.OFFSET, 1).offset, 1)
    fails(errno.EPIPE, os.read, fd, 9)
    gap = t.ioctl(fd, t.Gap())
    eq((gap.from_, gap.to, gap.lost), (1, 3, 2))
    eq(os.read(fd, 9), b"3")


def test_stat():
    topic = Topic("-p", "2", "--segment", "128K", "--ring", "1M", "--max-record", "777")
    fd = topic.open(1)
    eq((t.stat(fd).segment_shift, t.stat(fd).max_record), (17, 777))
    eq((t.stat(fd).partition, t.stat(fd).partitions, t.stat(fd).framing), (1, 2, 0))
    for i in range(5):
        os.write(fd, b"x")
    os.read(fd, 1)
    t.ioctl(fd, t.Trim(partition=1, offset=2))
    stat = t.stat(fd, 1)
    eq((stat.offset, stat.start_offset, stat.end_offset), (1, 2, 5))
    eq((stat.start_position, stat.end_position), (2 * stat.end_position // 5, stat.end_position))
    eq((stat.appended_records, stat.appended_bytes), (5, stat.end_position))
    eq(t.stat(topic.open(1, os.O_WRONLY)).offset, -1)
    fails(errno.ENXIO, t.stat, fd, 2)
    # The same by netlink.
    part = topic.partition(1)
    eq((part["start_offset"], part["end_offset"]), (2, 5))
    eq((part["start_position"], part["end_position"]), (stat.start_position, stat.end_position))
    eq((part["appended_records"], part["dropped_records"]), (5, 2))
    eq((part["readers"], part["writers"]), (1, 2))


if __name__ == "__main__":
    t.main()
