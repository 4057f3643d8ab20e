#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Durable topics while memory, copies and requests to the disk fail.

Each thing that can fail does once: of what the caller does, and of what workers do for
it. What was acknowledged is there when it is read from the files. These are in memory,
where a failure is the file system's answer and no more, or, where requests fail, on
ext4.
"""
import errno
import os
import shutil
import time

import evdisk as d
import evgroup as g
import evnetlink as nl
import evstest as t
from evdisk import Disk, Durable, value
from evinject import MEMORY, REQUEST, Anywhere, Deletion, Faults, Operation, Request, main
from evstest import eq, fails, ok

NOMEM, FAULT, IO = errno.ENOMEM, errno.EFAULT, errno.EIO
# Segments of which one holds a record, and nothing that is written before it must be.
SIZE = 33000
LAZY = ("--segment", "64K", "--max-record", "60000", "--retention", "0", "--flush-interval", "0",
        "--flush-bytes", "0")
CONFIG = (nl.u64(nl.SEGMENT, 64 << 10), nl.u32(nl.MAX_RECORD, 60000), nl.u64(nl.RETENTION_MS, 0),
          nl.u64(nl.FLUSH_INTERVAL, 0), nl.u64(nl.FLUSH_BYTES, 0), nl.u32(nl.PARTITIONS, 2))
# Producers are forgotten by the time of their last record.
NOW = int(time.time() * 1000)


def own(make):
    """A test of an operation with each fault of the caller's own."""

    def test():
        operation = make()
        operation.run(Faults())
        operation.finish()

    return test


def of_workers(faults, operation):
    """With each fault of whoever does it, and done."""
    for kind in MEMORY:
        operation.run(Anywhere(faults, kind))
    faults.only(())
    operation.finish()


def everywhere(make):
    """The same, and with those of workers."""

    def test():
        faults = Faults()
        operation = make()
        operation.run(faults)
        operation.least = 0
        of_workers(faults, operation)

    return test


def by_workers(make):
    """The workers' only, a sample: they try again a second later."""

    def test():
        operation = make()
        operation.least, operation.first, operation.stride = 2, 8, 4
        of_workers(Faults(), operation)

    return test


# ------------------------------------------------------------------ control plane


class OfDurable(Request):
    """A request about a durable topic."""

    # A file system in memory has no space where there is no memory for an inode.
    errors = {NOMEM, errno.ENOSPC}
    NAME = "dinject-requested"
    RECORDS = 2

    def __init__(self, place=None):
        super().__init__()
        self.place = place or d.memory_place()

    def create(self):
        self.ask(nl.NEW, nl.text(nl.DIR, self.place) + b"".join(CONFIG))

    def attach(self):
        self.ask(nl.ATTACH, nl.text(nl.DIR, self.place))

    def path(self, partition=0):
        return f"/dev/stream/{self.NAME}/{partition}"

    def nothing(self):
        self.absent()
        eq(os.listdir(self.place), [], "the directory")

    @staticmethod
    def batch():
        return t.kafka.encode_batch([{"value": b"once", "timestamp": NOW}], producer_id=77,
                                    producer_epoch=1, base_sequence=0)

    def fill(self):
        """Records, a group that is somewhere, a producer that is known."""
        with open(self.path(), "r+b", buffering=0) as file:
            for number in range(self.RECORDS):
                file.write(value(number, SIZE))
            t.append_batch(file.fileno(), self.batch())
            os.fsync(file.fileno())
        fd = os.open(self.path("any"), os.O_RDWR | os.O_NONBLOCK)
        try:
            g.join(fd, "group")
            g.commit(fd, (0, self.RECORDS), flags=g.COMMIT_SYNC)
        finally:
            os.close(fd)

    def check(self):
        """All of that is there, and it goes on."""
        with open(self.path(), "r+b", buffering=0) as file:
            fd = file.fileno()
            d.check_all(fd, [*(value(n, SIZE) for n in range(self.RECORDS)), b"once"])
            eq(t.append_batch(fd, self.batch()), self.RECORDS, "a batch that is known")
            eq(os.write(fd, b"more"), 4)
            eq(t.end(fd), self.RECORDS + 2)
        fd = os.open(self.path("any"), os.O_RDWR | os.O_NONBLOCK)
        try:
            g.join(fd, "group", flags=g.JOIN_EXISTING)
            eq(g.position(fd).committed, self.RECORDS)
        finally:
            os.close(fd)

    def end(self):
        if self.there():
            self.ask(nl.DEL)
        self.absent()
        shutil.rmtree(self.place)
        os.mkdir(self.place)


class Create(OfDurable):
    """All of it is there, or nothing is, in the directory either."""

    least = 12
    first = 8
    stride = 30

    def act(self):
        self.create()

    def failed(self, error):
        self.nothing()

    def done(self, result):
        eq(sorted(os.listdir(f"/dev/stream/{self.NAME}")), ["0", "1", "any"])
        with open(self.path(1), "r+b", buffering=0) as file:
            file.write(b"works")
            os.fsync(file.fileno())
            eq(file.read(100), b"works")

    def finish(self):
        self.create()
        self.fill()
        self.ask(nl.DETACH)
        self.attach()
        self.check()
        self.end()


class Delete(OfDurable, Deletion):
    """It goes, and its files, whatever is short."""

    least = 8
    first = 12
    stride = 3
    RECORDS = 1

    def begin(self):
        self.create()
        self.fill()

    def done(self, result):
        self.nothing()


class Attach(OfDurable):
    """What was detached comes back as it was, or not at all and the next time."""

    least = 8
    first = 6
    stride = 60

    def __init__(self, place=None):
        super().__init__(place)
        self.template = d.memory_place()
        self.create()
        self.fill()
        self.keep()

    def keep(self):
        self.ask(nl.DETACH)
        self.copy(self.place, self.template)

    @staticmethod
    def copy(source, to):
        shutil.rmtree(to)
        shutil.copytree(source, to)

    def begin(self):
        self.copy(self.template, self.place)

    def act(self):
        self.attach()

    def failed(self, error):
        self.absent()

    def done(self, result):
        self.check()


class Recover(Attach):
    """The same where the machine went down: the files are as they were then."""

    def keep(self):
        self.copy(self.place, self.template)
        self.ask(nl.DEL)


class Adopt(Recover):
    """The same of what has no configuration, as if another program had made it."""

    def keep(self):
        super().keep()
        for name in os.listdir(self.template):
            if not os.path.isdir(f"{self.template}/{name}"):
                os.unlink(f"{self.template}/{name}")


class Detach(OfDurable):
    """Nothing is lost by it: it is detached, or still there and works."""

    least = 2
    first = 8
    stride = 8
    LAST = b"not written yet"

    def begin(self):
        self.create()
        self.fill()
        self.more = 1
        self.write()

    def write(self):
        with open(self.path(), "wb", buffering=0) as file:
            file.write(self.LAST)

    def act(self):
        self.ask(nl.DETACH)

    def failed(self, error):
        ok(self.there(), "it is there still")
        self.more += 1
        self.write()

    def done(self, result):
        self.absent()
        self.attach()
        with open(self.path(), "rb", buffering=0) as file:
            d.check_all(file.fileno(), [*(value(n, SIZE) for n in range(self.RECORDS)), b"once",
                                        *[self.LAST] * self.more])


test_create = own(Create)
test_delete = own(Delete)
test_attach = own(Attach)
test_attach_after_a_crash = own(Recover)
test_attach_of_another_programs = own(Adopt)
test_detach = own(Detach)


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


class AppendInPieces(Append):
    """The same where copying begins before it fails; the segment's times are of its records."""

    def act(self):
        content = value(self.number, SIZE)
        return os.writev(self.fd, [content[:7], content[7:]])

    def finish(self):
        super().finish()
        for name in self.topic.logs()[:-1]:
            path = f"{self.topic.part()}/{name[:20]}"
            with open(f"{path}.log", "rb") as file:
                batches = t.kafka.decode_batches(file.read())
            with open(f"{path}.timeindex", "rb") as file:
                entries = t.kafka.decode_timeindex(file.read())
            newest = max(batches, key=lambda b: b["max_timestamp"])
            eq(entries[-1], (newest["max_timestamp"],
                             newest["base_offset"] + newest["last_offset_delta"] - int(name[:20])))


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


class ReadCold(Operation):
    """A record that is only in the file."""

    errors = {NOMEM, FAULT}
    least = 3

    def __init__(self, place=None):
        self.topic = Durable(place or d.memory_place(), *LAZY)
        fd = self.topic.open()
        self.values = [value(n, SIZE) for n in range(4)]
        for content in self.values:
            os.write(fd, content)
        os.close(fd)
        self.topic.fds.remove(fd)
        self.topic.reattach()
        self.fd = self.topic.open()

    def begin(self):
        d.evict(self.fd)
        os.lseek(self.fd, 2, os.SEEK_SET)

    def act(self):
        return os.read(self.fd, SIZE)

    def failed(self, error):
        eq(t.stat(self.fd).offset, 2, "the position")

    def done(self, result):
        eq(result, self.values[2])
        eq(t.stat(self.fd).offset, 3, "the position")

    def finish(self):
        d.check_all(self.fd, self.values)


class FetchCold(ReadCold):
    def act(self):
        return t.fetch_raw(self.fd, offset=2, room=SIZE + 100)

    def done(self, result):
        batches = t.kafka.decode_batches(result[1])
        eq([r["value"] for r in t.kafka.records_of(batches)], [self.values[2]])
        eq(t.stat(self.fd).offset, 2, "the position")


class SeekCold(ReadCold):
    """By time, of which the index is read."""

    least = 1

    def act(self):
        return t.ioctl(self.fd, t.Seek(whence=t.Seek.TIMESTAMP, value=1)).offset

    def failed(self, error):
        ok(t.stat(self.fd).offset in (0, 2), "the position")

    def done(self, result):
        eq(result, 0)
        eq(os.read(self.fd, SIZE), self.values[0])


test_append = own(Append)
test_writev = own(AppendInPieces)
test_append_by_workers = by_workers(Append)
test_read_cold = own(ReadCold)
test_fetch_cold = own(FetchCold)
test_seek_cold = own(SeekCold)
test_trim = everywhere(Trim)
test_commit = everywhere(Commit)


# ---------------------------------------------------------------- a disk that refuses


def refused(make, least=1):
    """A test of an operation with each request of a disk refused."""

    def test():
        faults = Faults()
        disk = Disk.shared()
        with disk.refusing():
            operation = make(disk)
            operation.errors, operation.least = {IO}, least
            operation.run(Anywhere(faults, REQUEST))
        faults.only(())
        operation.finish()

    return test


class AttachRefused(Attach):
    """It reads all that it needs, or there is no topic; nothing is given up for it."""

    first = 6
    stride = 6

    def __init__(self, disk):
        self.disk = disk
        super().__init__(disk.place())

    def begin(self):
        super().begin()
        # Nothing of it is in memory.
        self.disk.remount()

    def failed(self, error):
        super().failed(error)
        # The file system may have given up.
        self.disk.remount()

    def end(self):
        if not self.there():
            self.disk.remount()
        super().end()


class RecoverRefused(AttachRefused, Recover):
    """The same where it writes, too."""


def test_appends_that_the_disk_refuses():
    """One request fails, later each time: what was acknowledged is there for all that."""
    faults = Faults()
    disk = Disk.shared()
    topic = Durable(disk.place(), *LAZY)
    requests = Anywhere(faults, REQUEST)
    faults.only([REQUEST])
    values = []
    failures = 0
    for number in range(1, 13):
        fd = topic.open(flags=os.O_RDWR | os.O_DSYNC)
        with disk.refusing():
            requests.arm(number)
            try:
                for n in range(4):
                    content = value(number * 10 + n, SIZE)
                    os.write(fd, content)
                    values.append(content)
            except OSError as error:
                eq(error.errno, IO)
                failures += 1
                if "error" in topic.partition():
                    # For good: nobody knows what the disk has kept.
                    fails(IO, os.write, fd, b"no more")
                    fails(IO, os.fsync, fd)
            finally:
                requests.disarm()
        t.streamctl("topic", "detach", topic.name)
        topic.there = topic.name in t.topics()
        ok(not topic.there, "it is detached")
        disk.remount()
        topic.attach()
        fd = topic.open()
        # What was not acknowledged may be there.
        eq([os.pread(fd, SIZE, n) for n in range(len(values))], values)
        ok(t.end(fd) - len(values) in (0, 1), f"{t.end(fd)} records, not {len(values)}")
        if t.end(fd) > len(values):
            values.append(os.pread(fd, SIZE, len(values)))
    faults.only(())
    ok(failures, "some failed")


test_read_that_the_disk_refuses = refused(lambda disk: ReadCold(disk.place()))
test_fetch_that_the_disk_refuses = refused(lambda disk: FetchCold(disk.place()))
test_seek_that_the_disk_refuses = refused(lambda disk: SeekCold(disk.place()))
test_attach_that_the_disk_refuses = refused(AttachRefused, 3)
test_recovery_that_the_disk_refuses = refused(RecoverRefused, 3)


def test_z_file_systems_are_free():
    Disk.close_all()


if __name__ == "__main__":
    main()
