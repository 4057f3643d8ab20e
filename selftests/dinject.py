#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Durable topics while memory and copies fail, on files in memory.

Each thing that can fail does once: of what the caller does, and of what workers do for
it. What was acknowledged is there when it is read from the files.
"""
import errno
import os

import evdisk as d
import evgroup as g
import evstest as t
from evdisk import Durable, value
from evinject import MEMORY, Anywhere, Faults, Operation, main
from evstest import eq, ok

NOMEM, FAULT = errno.ENOMEM, errno.EFAULT
# Segments of which one holds a record, and nothing that is written before it must be.
SIZE = 33000
LAZY = ("--segment", "64K", "--max-record", "60000", "--retention", "0", "--flush-interval", "0",
        "--flush-bytes", "0")


def own(make):
    """A test of an operation with each fault of the caller's own."""

    def test():
        operation = make()
        operation.run(Faults())
        operation.finish()

    return test


def everywhere(make):
    """The same, and with those of workers."""

    def test():
        faults = Faults()
        operation = make()
        operation.run(faults)
        operation.least = 0
        for kind in MEMORY:
            operation.run(Anywhere(faults, kind))
        faults.only(())
        operation.finish()

    return test


# ---------------------------------------------------------- appends and offsets


class Append(Operation):
    """A record in a segment of its own, on stable storage when it returns."""

    errors = {NOMEM, FAULT}
    flags = os.O_RDWR | os.O_DSYNC

    def __init__(self):
        self.topic = Durable(d.memory_place(), *LAZY)
        self.fd = self.topic.open(flags=self.flags)
        self.number = 0
        # Of each record that may be there: its number.
        self.numbers = []

    def begin(self):
        self.number += 1
        self.before = t.end(self.fd)

    def act(self):
        return os.write(self.fd, value(self.number, SIZE))

    def failed(self, error):
        # It may be there, and be written later: only that it is was not acknowledged.
        more = t.end(self.fd) - self.before
        ok(more in (0, 1), f"{more} records after a failure")
        self.numbers += [self.number] * more
        self.before += more

    def done(self, result):
        eq(result, SIZE)
        self.numbers.append(self.number)
        eq(t.end(self.fd), len(self.numbers))
        eq(d.durable(self.fd), len(self.numbers))
        eq(os.pread(self.fd, SIZE + 1, len(self.numbers) - 1), value(self.number, SIZE))

    def finish(self):
        """What was said to be there still is when it is read from the files."""
        self.topic.reattach()
        d.check_all(self.topic.open(), [value(n, SIZE) for n in self.numbers])


class Trim(Append):
    """The oldest segment's files go."""

    errors = {FAULT}

    def begin(self):
        if not self.number:
            for number in range(3):
                os.write(self.fd, value(number, SIZE))
                self.numbers.append(number)
        self.number += 1
        os.write(self.fd, value(self.number, SIZE))
        self.start = t.stat(self.fd).start_offset + 1

    def act(self):
        t.ioctl(self.fd, t.Trim(offset=self.start))

    def failed(self, error):
        ok(t.stat(self.fd).start_offset in (self.start - 1, self.start), "the start")

    def done(self, result):
        eq(t.stat(self.fd).start_offset, self.start)

    def finish(self):
        start, last = self.start, t.end(self.fd)
        os.fsync(self.fd)
        self.topic.reattach()
        s = t.stat(self.topic.open())
        eq((s.start_offset, s.end_offset), (start, last))


class Commit(Operation):
    """A group's offset, on stable storage when it returns."""

    errors = {NOMEM, FAULT}
    least = 2

    def __init__(self):
        self.topic = Durable(d.memory_place(), "-p", "2", *LAZY)
        fd = self.topic.open()
        for number in range(200):
            os.write(fd, b"%d" % number)
        self.member = g.Member(self.topic)
        self.at = 0

    def begin(self):
        # What comes again and again is not written out of memory that is there already.
        self.at = self.at + 1 if self.at < 199 else 1

    def act(self):
        return self.member.commit((0, self.at), flags=g.COMMIT_SYNC)

    def failed(self, error):
        ok(self.member.committed() in (self.at - 1, self.at), "the offset")

    def done(self, result):
        eq(self.member.committed(), self.at)

    def finish(self):
        self.member.close()
        self.topic.reattach()
        eq(g.Member(self.topic, flags=g.JOIN_EXISTING).committed(), self.at)


test_append = own(Append)
test_trim = everywhere(Trim)
test_commit = everywhere(Commit)


if __name__ == "__main__":
    main()
