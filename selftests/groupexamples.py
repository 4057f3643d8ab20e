#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The examples of consumer groups and queues: two of each, one is killed."""
import os
import signal
import subprocess
import sys
import tempfile
import time

import evgroup as g
import evstest as t
from evstest import Topic, eq, ok, wait_for

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
PARTITIONS = 4
RECORDS = 2000


class Example:
    """A program that runs, and what it prints."""

    def __init__(self, command, *args):
        name, ext = os.path.splitext(command)
        source = os.path.join(TOP, "tools", "examples", command)
        binary = os.path.join(TOP, "build", "tools", "examples", name)
        self.out = tempfile.TemporaryFile()
        self.err = tempfile.TemporaryFile()
        self.at, self.rest, self.lines = 0, b"", []
        self.process = subprocess.Popen(
            [sys.executable, source, *args] if ext == ".py" else [binary, *args],
            stdin=subprocess.DEVNULL,
            stdout=self.out,
            stderr=self.err,
        )
        Topic.stack.callback(self.kill)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()

    def _check(self):
        if self.process.poll() is not None and self.process.returncode != -signal.SIGKILL:
            raise t.Failed(f"it ended with {self.process.returncode}: {self.errors()}")

    def values(self):
        """What it has printed, in whole lines; partition and offset are left out."""
        self._check()
        while data := os.pread(self.out.fileno(), 1 << 20, self.at):
            self.at += len(data)
            *whole, self.rest = (self.rest + data).split(b"\n")
            self.lines += [line.split()[-1] for line in whole]
        return self.lines

    def errors(self):
        return os.pread(self.err.fileno(), 1 << 16, 0)


def append(topic, begin, end):
    for number in range(begin, end):
        os.write(topic.fds[number % PARTITIONS], b"%d" % number)


def append_until(topic, begin, condition):
    """What is there may all be read before another one joins: there is always more."""
    while not condition():
        append(topic, begin, begin + 20)
        begin += 20
        time.sleep(0.01)
    return begin


def make_topic():
    topic = Topic("-p", PARTITIONS)
    for p in range(PARTITIONS):
        topic.open(p, os.O_WRONLY)
    return topic


def committed_all(topic, group):
    """Whether the group is where the topic ends, as a member that reads nothing sees it."""
    fd = topic.open("any", os.O_RDONLY | os.O_NONBLOCK)
    g.join(fd, group, flags=g.JOIN_EXISTING)
    positions = [g.position(fd, p) for p in range(PARTITIONS)]
    topic.fds.remove(fd)
    os.close(fd)
    return all(p.committed == p.end_offset for p in positions)


def both_have(want, first, second):
    def values():
        return first.values() + second.values()

    wait_for(lambda: len(values()) >= len(want) and want <= set(values()), "all was consumed")
    eq(set(values()) - want, set(), "what nobody wrote")


def two_and_one_is_killed(command):
    topic = make_topic()
    append(topic, 0, RECORDS)
    first = Example(command, topic.name, "group")
    wait_for(first.values, "the first one has got something")
    second = Example(command, topic.name, "group")
    appended = append_until(topic, RECORDS, second.values)
    append(topic, appended, appended + RECORDS)
    appended += RECORDS
    first.kill()
    append(topic, appended, appended + 500)
    appended += 500
    want = {b"%d" % n for n in range(appended)}
    both_have(want, first, second)
    # The second one never died: nothing comes twice from it.
    eq(len(second.values()), len(set(second.values())), "records of the survivor")
    wait_for(lambda: committed_all(topic, "group"), "all was committed")
    second.kill()


def test_consumer_epoll():
    two_and_one_is_killed("consumer_epoll.c")


def test_consumer_lib():
    two_and_one_is_killed("consumer_lib.c")


def test_consumer_python():
    two_and_one_is_killed("consumer.py")


def test_the_library_commits_what_it_gives_up():
    """One joins and leaves a member that goes on: none comes twice."""
    topic = make_topic()
    append(topic, 0, RECORDS)
    first = Example("consumer_lib.c", topic.name, "group")
    wait_for(first.values, "the first one has got something")
    second = Example("consumer_lib.c", topic.name, "group")
    appended = append_until(topic, RECORDS, second.values)
    wait_for(lambda: len(first.values()) + len(second.values()) >= appended, "all was consumed")
    eq(sorted([*first.values(), *second.values()], key=int), [b"%d" % n for n in range(appended)])
    ok(b"revoked: partition" in first.errors(), "something was given up")
    ok(b"lost" not in first.errors(), "nothing was taken by force")


def test_queue_worker():
    topic = make_topic()
    dead = Topic()
    os.write(topic.fds[0], b"bad")
    args = "queue_worker.py", topic.name, "queue", dead.name
    first, second = Example(*args), Example(*args)
    appended = append_until(topic, 0, lambda: first.values() and second.values())
    append(topic, appended, appended + 500)
    first.kill()
    append(topic, appended + 500, appended + 1000)
    want = {b"%d" % n for n in range(appended + 1000)}
    both_have(want, first, second)
    eq(len(second.values()), len(set(second.values())), "records of the survivor")
    # It may have died with one record printed and not acknowledged, no more.
    twice = [*first.values(), *second.values()]
    ok(len(twice) - len(set(twice)) <= 1, "one record twice at the most")
    # What nobody could process went where it can be looked at, after five deliveries.
    records = wait_for(lambda: t.end(dead.open()), "the dead letter has come")
    eq(records, 1)
    eq(os.read(dead.open(), 100), b"bad")


if __name__ == "__main__":
    t.main()
