#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Durable topics, and the module, come and go while others work."""
import contextlib
import errno
import multiprocessing
import os
import signal
import subprocess
import time

import evdisk as d
import evstest as t
from evdisk import Disk, Durable, value
from evstest import eq, must, ok

PARAMETERS = "/sys/module/evstream/parameters"
SMALL = ("--segment", "64K", "--retention", "0", "--flush-interval", "20ms")
WRITERS = 2


def parameters():
    found = []
    for name in os.listdir(PARAMETERS):
        with open(f"{PARAMETERS}/{name}", encoding="ascii") as file:
            found.append(f"{name}={file.read().strip()}")
    return found


class Crowd:
    """Writers and readers of a topic, who work until it is gone."""

    def __init__(self, topic, sizes):
        self.topic = topic
        self.sizes = sizes
        self.acked = [multiprocessing.Value("q", 0) for _ in range(WRITERS)]
        self.children = []

    def start(self):
        self.begun = sum(a.value for a in self.acked)
        work = [(self.write, n) for n in range(WRITERS)] + [(self.read, 0), (self.sync, 0)]
        for function, number in work:
            pid = os.fork()
            if not pid:
                status = 1
                try:
                    fd = os.open(self.topic.path(), os.O_RDWR | (os.O_DSYNC if number else 0))
                    status = function(fd, number)
                except OSError as error:
                    status = error.errno
                finally:
                    os._exit(status)
            self.children.append(pid)

    def write(self, fd, number):
        while True:
            os.write(fd, value(self.acked[number].value, self.sizes[number]))
            self.acked[number].value += 1
            # All of it is looked at in the end.
            time.sleep(0.005)

    def read(self, fd, _number):
        os.lseek(fd, max(0, t.end(fd) - 100), os.SEEK_SET)
        while True:
            content = os.read(fd, 10000)
            size = len(content)
            if size not in self.sizes or content != value(int(content.split(b":")[0]), size):
                return 2

    def sync(self, fd, _number):
        while True:
            os.fsync(fd)
            # That goes well after a detach, too: all is on the disk.
            t.end(fd)
            time.sleep(0.005)

    def busy(self):
        t.wait_for(lambda: sum(a.value for a in self.acked) > self.begun + 60, "they work")

    def ended(self):
        """Each was told that the topic is gone."""
        for pid in self.children:
            eq(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), errno.ENODEV)
        self.children = []

    def kill(self):
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def check(self):
        """All that was acknowledged is there, once, and in order."""
        fd = self.topic.open(flags=os.O_RDONLY | os.O_NONBLOCK)
        seen = [0] * WRITERS
        for _ in range(t.end(fd)):
            content = os.read(fd, 10000)
            number = self.sizes.index(len(content))
            # One whose writer was told ENODEV may be there: then it was written again.
            if content != value(seen[number], len(content)):
                eq(content, value(seen[number] - 1, len(content)))
                continue
            seen[number] += 1
        for acked, number in zip(self.acked, seen):
            ok(acked.value <= number <= acked.value + 1, f"{acked.value} written, {number} there")


def rounds(count, between):
    disk = Disk.shared()
    place = disk.place()
    topic = Durable(place, *SMALL)
    crowd = Crowd(topic, [700, 1500])
    t.Topic.stack.callback(crowd.kill)
    for _ in range(count):
        crowd.start()
        crowd.busy()
        topic.detach()
        crowd.ended()
        between()
        topic.attach()
    crowd.check()
    topic.detach()
    disk.remount()
    topic.attach()
    crowd.check()


def test_detach_under_load():
    rounds(4, lambda: None)


def test_module_under_load():
    def reload():
        values = parameters()
        d.run("rmmod", "evstream")
        d.run("modprobe", "evstream", *values)

    rounds(3, reload)


def test_delete_under_load():
    disk = Disk.shared()
    place = disk.place()
    for _ in range(3):
        topic = Durable(place, *SMALL)
        crowd = Crowd(topic, [700, 1500])
        t.Topic.stack.callback(crowd.kill)
        crowd.start()
        crowd.busy()
        topic.delete()
        crowd.ended()
        eq(os.listdir(place), [])
    # Nothing holds on to what was deleted.
    disk.remount()


def test_many_come_and_go():
    disk = Disk.shared()
    place = disk.place()

    def churn(number):
        for turn in range(6):
            name = f"churn-{number}"
            must("topic", "create" if not turn else "attach",
                 *([name, "--dir", place, "--segment", "64K"] if not turn else [place, name]))
            fd = os.open(f"/dev/stream/{name}/0", os.O_RDWR)
            eq(t.end(fd), turn)
            os.write(fd, b"x" * 100)
            if turn % 2:
                os.fsync(fd)
            if turn % 3:
                os.close(fd)
            must("topic", "detach", name)
        must("topic", "attach", place, name)
        must("topic", "delete", name)
        return True

    with contextlib.ExitStack() as stack:
        for number in range(4):
            stack.enter_context(t.child(lambda number=number: churn(number)))
    eq(t.topics(), {})
    eq(os.listdir(place), [])


def test_only_one_attaches():
    disk = Disk.shared()
    place = disk.place()
    topic = Durable(place, *SMALL)
    os.write(topic.open(), b"x")
    for _ in range(6):
        topic.detach()
        parts = [subprocess.Popen(["streamctl", "topic", "attach", place, topic.name],
                                  stderr=subprocess.DEVNULL) for _ in range(4)]
        eq(sorted(process.wait() for process in parts), [0, 2, 2, 2])
        topic.there = True
        fd = topic.open()
        eq(os.pread(fd, 10, 0), b"x")
        eq(t.end(fd), 1)
        parts = [subprocess.Popen(["streamctl", "topic", "detach", topic.name],
                                  stderr=subprocess.DEVNULL) for _ in range(4)]
        eq(sorted(process.wait() for process in parts), [0, 2, 2, 2])
        topic.there = False
        topic.attach()


def test_z_file_systems_are_free():
    Disk.close_all()


if __name__ == "__main__":
    t.main()
