#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A log that is larger than the memory there is for it.

EVS_LOG_MIB says how large (256), EVS_DEVICE which disk to put it on: without one it
is in memory itself, which bounds it.
"""
import contextlib
import os
import time

import evstest as t
from evdisk import MIB, Disk, Durable, value
from evstest import Topic, eq, ok

LOG = int(os.environ.get("EVS_LOG_MIB", "256")) * MIB
DEVICE = os.environ.get("EVS_DEVICE")
LIMIT = 64 * MIB
SIZE = 60000
RECORDS = LOG // SIZE
TAIL = 100


class Group:
    """A control group whose memory is bounded."""

    def __init__(self, name, limit):
        self.path = f"/sys/fs/cgroup/evs-{name}-{os.getpid()}"
        os.mkdir(self.path)
        Topic.stack.callback(self.close)
        self.write("memory.max", limit)
        with contextlib.suppress(OSError):
            self.write("memory.swap.max", 0)

    def write(self, name, text):
        t.put(f"{self.path}/{name}", text)

    def event(self, name):
        with open(f"{self.path}/memory.events", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(f"{name} "))

    def enter(self):
        self.write("cgroup.procs", os.getpid())

    def peak(self):
        with open(f"{self.path}/memory.peak", encoding="ascii") as file:
            return int(file.read())

    def close(self):
        t.wait_for(self.removed, "it is empty")

    def removed(self):
        try:
            os.rmdir(self.path)
            return True
        except OSError:
            return False


def inside(group, function):
    """A child in a group that must return what is true."""

    def run():
        group.enter()
        return function()

    return t.child(run)


def place():
    size = LOG + LOG // 8 + 48 * MIB
    return Disk.private(size, "ext4", device=DEVICE, full=not DEVICE)


def produce(topic, first, count):
    fd = os.open(topic.path(), os.O_WRONLY)
    for number in range(first, first + count):
        os.write(fd, value(number, SIZE))
    os.fsync(fd)
    os.close(fd)
    return True


def consume(topic, first, count):
    fd = os.open(topic.path(), os.O_RDONLY)
    os.lseek(fd, first, os.SEEK_SET)
    for number in range(first, first + count):
        eq(os.read(fd, SIZE + 1), value(number, SIZE), f"offset {number}")
    os.close(fd)
    return True


def sectors_read(disk):
    node = os.path.basename(os.path.realpath(disk.device))
    with open(f"/sys/block/{node}/stat", encoding="ascii") as file:
        return int(file.read().split()[2])


def test_a_log_larger_than_its_memory():
    disk = place()
    topic = Durable(disk.place(), "--segment", "16M", "--ring", "32M", "--retention", "0")
    group = Group("small", LIMIT)
    # A producer and a reader at its heels share what there is.
    with inside(group, lambda: consume(topic, 0, RECORDS)):
        with inside(group, lambda: produce(topic, 0, RECORDS)):
            pass
    eq(t.end(topic.open()), RECORDS)
    # Then somebody reads all of it, most of it from the disk.
    before = sectors_read(disk)
    with inside(group, lambda: consume(topic, 0, RECORDS)):
        pass
    ok(sectors_read(disk) - before > (LOG - 2 * LIMIT) // 512, "it came from the disk")
    eq(group.event("oom_kill"), 0, "nobody was killed")
    ok(group.peak() <= LIMIT, "the limit held")
    ok(group.event("max") > 0, "the limit was felt")

    # The tail, that is read all the time, is not pushed out by those who read old records.
    tail = Group("tail", LIMIT)
    first = RECORDS - TAIL
    stop = f"{disk.path}/stop"

    def follow():
        while not os.path.exists(stop):
            consume(topic, first, TAIL)
            time.sleep(0.01)
        seen = sectors_read(disk)
        consume(topic, first, TAIL)
        seen = sectors_read(disk) - seen
        ok(seen * 512 < TAIL * SIZE // 4, f"{seen} sectors of the tail came from the disk")
        return True

    with inside(tail, follow):
        with inside(tail, lambda: consume(topic, 0, RECORDS // 2)):
            pass
        with open(stop, "wb"):
            pass
    eq(tail.event("oom_kill"), 0, "nobody was killed")

    # All of that once more after a detach, which ends everybody's claims.
    with inside(group, lambda: topic.reattach() or True):
        pass
    with inside(group, lambda: consume(topic, RECORDS // 2, RECORDS // 4)):
        pass
    eq(group.event("oom_kill"), 0, "nobody was killed")
    ok(topic.partition()["memory"] < LOG // 2, "it is not in memory")


if __name__ == "__main__":
    t.main()
