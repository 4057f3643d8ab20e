#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Retention by time and by bytes, and topic set of every key."""
import errno
import os
import stat
import time

import evstest as t
from evstest import Topic, eq, fails, kafka, ok

DAY = 24 * 3600 * 1000


def now():
    return int(time.time() * 1000)


def batch(when, size=6000):
    return kafka.encode_batch([{"value": b"x" * size, "timestamp": when}])


def fill(fd, count, size=6000):
    for _ in range(count):
        os.write(fd, b"x" * size)


def test_old_segments_go():
    topic = Topic("--segment", "64K", "--ring", "1M", "--retention", "100ms")
    fd = topic.open()
    fill(fd, 25)
    t.wait_for(lambda: t.stat(fd).start_offset == 25, "all of them, the open one too")
    s = t.stat(fd)
    eq((s.end_offset, s.start_position, s.end_position % (1 << 16)), (25, s.end_position, 0))
    part = topic.partition()
    eq((part["memory"], part["segments"]), (0, 0))
    # And the log goes on.
    os.write(fd, b"more")
    eq(t.end(fd), 26)


def test_an_empty_topic_stays_as_it_is():
    topic = Topic("--segment", "64K", "--ring", "1M", "--retention", "20ms")
    fd = topic.open()
    os.write(fd, b"x")
    t.wait_for(lambda: t.stat(fd).start_offset == 1, "its record gone")
    fails(errno.EPIPE, os.read, fd, 10)
    os.set_blocking(fd, False)
    fails(errno.EAGAIN, os.read, fd, 10)


def test_age_is_that_of_the_newest_record():
    topic = Topic("--segment", "64K", "--ring", "1M", "--retention", "1h")
    fd = topic.open()
    # Three segments: an old one, one with something new, an old one.
    for i in range(27):
        t.append_batch(fd, batch(now() if i == 13 else now() - DAY))
    eq(topic.partition()["segments"], 3)
    fill(fd, 1)
    # Segments go in their order: what is behind a new one stays.
    topic.set("retention=30m")
    t.wait_for(lambda: t.stat(fd).start_offset == 10, "the first segment gone")
    eq(topic.partition()["segments"], 2)


def test_times_of_the_future_are_kept():
    topic = Topic("--segment", "64K", "--ring", "1M", "--retention", "50ms")
    fd = topic.open()
    for _ in range(12):
        t.append_batch(fd, batch(now() + DAY))
    topic.set("retention=20ms")
    eq(t.stat(fd).start_offset, 0)


def test_no_retention():
    topic = Topic("--segment", "64K", "--ring", "1M", "--retention", "0")
    fd = topic.open()
    for _ in range(30):
        t.append_batch(fd, batch(1))
    eq(t.stat(fd).start_offset, 0)
    eq(topic.show()["retention_ms"], 0)


def test_by_bytes():
    topic = Topic("--segment", "64K", "--ring", "1M", "--retention", "7d,128K")
    fd = topic.open()
    for i in range(100):
        fill(fd, 1)
        s = t.stat(fd)
        held = (s.end_position - (s.start_position & ~0xFFFF) + 0xFFFF) & ~0xFFFF
        # As Kafka's: never less than was asked for, and a segment more at the most.
        ok(held <= 3 << 16, f"{held} bytes held after {i}")
        if i >= 30:
            ok(s.end_position - s.start_position >= 128 << 10, f"{held} bytes held after {i}")


def test_fewer_bytes_by_set():
    topic = Topic("--segment", "64K", "--ring", "1M", "--retention", "0")
    fd = topic.open()
    fill(fd, 100)
    eq(t.stat(fd).start_offset, 0)
    topic.set("retention=0,64K")
    eq(topic.partition()["segments"], 2)
    eq(topic.show()["retention_bytes"], 64 << 10)
    fill(fd, 1)
    ok(t.stat(fd).start_offset > 70, "the older ones are gone")


def test_ring():
    topic = Topic("--segment", "64K", "--ring", "256K")
    fd = topic.open()
    fill(fd, 40)
    eq((t.stat(fd).start_offset, topic.partition()["segments"]), (0, 4))
    fill(fd, 1)
    eq((t.stat(fd).start_offset, topic.partition()["segments"]), (10, 4))
    topic.set("ring=128K")
    eq(topic.show()["ring_size"], 128 << 10)
    eq((t.stat(fd).start_offset, topic.partition()["segments"]), (30, 2))
    eq(os.pread(fd, 6000, 30), b"x" * 6000)
    topic.set("ring=512K")
    fill(fd, 59)
    eq(t.stat(fd).start_offset, 30)


def test_memory_is_given_back():
    topic = Topic("--segment", "64K", "--ring", "256K")
    fd = topic.open()
    eq(topic.partition()["memory"], 0)
    fill(fd, 200)
    ok(0 < topic.partition()["memory"] <= 256 << 10, "no more than the ring")
    t.ioctl(fd, t.Trim(offset=-1))
    part = topic.partition()
    eq((part["memory"], part["start_offset"], part["end_offset"]), (0, 200, 200))
    eq((part["dropped_records"], part["appended_records"]), (200, 200))


def test_max_record():
    topic = Topic("--segment", "64K", "--ring", "256K", "--max-record", "1000")
    fd = topic.open()
    fails(errno.EMSGSIZE, os.write, fd, b"x" * 1001)
    topic.set("max-record=1001")
    eq(os.write(fd, b"x" * 1001), 1001)
    topic.set("max-record=10")
    fails(errno.EMSGSIZE, os.write, fd, b"x" * 11)
    # What is there can still be read.
    eq(len(os.read(fd, 2000)), 1001)
    eq(topic.show()["max_record"], 10)


def test_framing():
    topic = Topic()
    topic.set("framing=line")
    eq((topic.show()["framing"], t.stat(topic.open()).framing), ("line", 1))
    topic.set("framing=record")
    eq(topic.show()["framing"], "record")


def test_full():
    topic = Topic("--segment", "64K", "--ring", "128K")
    for policy in ("block", "fail", "overwrite"):
        topic.set(f"full={policy}")
        eq(topic.show()["full_policy"], policy)


def node(topic):
    s = os.stat(topic.path())
    return stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid


def test_owner_and_mode():
    topic = Topic("-p", "2", "--mode", "0600", "--owner", "12:34")
    eq(node(topic), (0o600, 12, 34))
    fd = topic.open()
    os.write(fd, b"kept")
    topic.set("mode=0644")
    eq(node(topic), (0o644, 12, 34))
    topic.set("owner=nobody")
    ok(node(topic)[1] != 12, "another owner")
    topic.set("owner=0:0", "mode=0")
    eq(node(topic), (0, 0, 0))
    shown = topic.show()
    eq((shown["uid"], shown["gid"], shown["mode"]), (0, 0, "0000"))
    # The nodes are others, the records and open files are as before.
    eq(sorted(os.listdir(f"/dev/stream/{topic.name}")), ["0", "1", "any"])
    os.write(fd, b"more")
    eq(os.read(topic.open(), 10), b"kept")


def test_nothing_changes_where_one_is_refused():
    topic = Topic("--segment", "64K", "--ring", "256K", "--max-record", "1000")
    before = topic.show()
    for bad in ("ring=100K", "ring=64K", "max-record=64K", "mode=0777", "retention=40000000d"):
        status, _, err = t.streamctl("topic", "set", topic.name, "framing=line", "full=fail", bad)
        ok(status in (1, 2), f"{bad}: {status}")
        ok(err, "it says why")
        eq(topic.show(), before)
    status, _, err = t.streamctl("topic", "set", topic.name, "segment=128K")
    ok(status in (1, 2) and err, "the segment size stays")
    status, _, err = t.streamctl("topic", "set", topic.name, "partitions=2")
    ok(status in (1, 2) and err, "the partitions stay")
    eq(topic.show(), before)


if __name__ == "__main__":
    t.main()
