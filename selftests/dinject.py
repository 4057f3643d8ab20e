#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Durable topics while memory, copies and requests to the disk fail.

On files in memory, where a failure is the file system's answer and no more, each thing
that can fail does once: of what the caller does, and of what workers do for it. Disks
whose requests fail are below ext4.
"""
import contextlib
import errno
import multiprocessing
import os
import shutil
import sys
import time

import evdisk as d
import evgroup as g
import evnetlink as nl
import evstest as t
from evdisk import Disk, Durable, value
from evinject import MEMORY, Anywhere, Faults, Operation, disk_fails, main, module_users
from evstest import Failed, eq, fails, ok

NOMEM, FAULT, IO = errno.ENOMEM, errno.EFAULT, errno.EIO
# Segments of which one holds a record, and nothing that is written before it must be.
SIZE = 33000
CONFIG = (nl.u64(nl.SEGMENT, 64 << 10), nl.u32(nl.MAX_RECORD, 60000), nl.u64(nl.RETENTION_MS, 0),
          nl.u64(nl.FLUSH_INTERVAL, 0), nl.u64(nl.FLUSH_BYTES, 0), nl.u32(nl.PARTITIONS, 2))
LAZY = ("--segment", "64K", "--max-record", "60000", "--retention", "0", "--flush-interval", "0",
        "--flush-bytes", "0")
RECORDS = 3
# Producers are forgotten by the time of their last record.
NOW = int(time.time() * 1000)


def everywhere(make):
    """An operation with each fault of the caller's own, and with those of the workers."""
    faults = Faults()
    operation = make()
    operation.run(faults)
    operation.least = 0
    for kind in MEMORY:
        operation.run(Anywhere(faults, kind))
    faults.only(())
    operation.finish()


def each(*makes):
    """A test of operations."""

    def test():
        for make in makes:
            everywhere(make)

    return test


class Request(Operation):
    """A request by netlink about a topic in a directory in memory."""

    NAME = "dinject"
    errors = {NOMEM}

    def __init__(self):
        self.nl = nl.Netlink()
        self.users = module_users()
        self.place = d.memory_place()

    def ask(self, cmd, attrs=b""):
        answer = self.nl.ask(cmd, nl.text(nl.NAME, self.NAME) + attrs)
        if answer.errno:
            raise OSError(answer.errno, answer.message)

    def path(self, partition=0):
        return f"/dev/stream/{self.NAME}/{partition}"

    def there(self):
        return self.NAME in self.nl.topics()

    def absent(self):
        ok(not self.there(), "there is no such topic")
        ok(not os.path.exists(f"/dev/stream/{self.NAME}"), "and it has no nodes")
        eq(module_users(), self.users, "users of the module")

    def config(self):
        return nl.text(nl.DIR, self.place) + b"".join(CONFIG)

    def make(self):
        self.ask(nl.NEW, self.config())

    def fill(self, count=RECORDS):
        """Records, a group that is somewhere, a producer that is known."""
        with open(self.path(), "r+b", buffering=0) as file:
            for number in range(count):
                file.write(value(number, SIZE))
            t.append_batch(file.fileno(), self.batch())
            os.fsync(file.fileno())
        fd = os.open(self.path("any"), os.O_RDWR | os.O_NONBLOCK)
        g.join(fd, "group")
        g.commit(fd, (0, 3), flags=g.COMMIT_SYNC)
        os.close(fd)
        self.count = count + 1

    @staticmethod
    def batch():
        return t.kafka.encode_batch([{"value": b"once", "timestamp": NOW}], producer_id=77,
                                    producer_epoch=1, base_sequence=0)

    def check(self):
        """All of that is there, and it goes on."""
        with open(self.path(), "r+b", buffering=0) as file:
            fd = file.fileno()
            d.check_all(fd, [*(value(n, SIZE) for n in range(self.count - 1)), b"once"])
            eq(t.append_batch(fd, self.batch()), self.count - 1, "a batch that is known")
            eq(t.end(fd), self.count)
        fd = os.open(self.path("any"), os.O_RDWR | os.O_NONBLOCK)
        try:
            g.join(fd, "group", flags=g.JOIN_EXISTING)
            eq(g.position(fd).committed, 3)
        finally:
            os.close(fd)

    def end(self):
        if self.there():
            self.ask(nl.DEL)
        self.absent()
        shutil.rmtree(self.place)
        os.mkdir(self.place)


class Create(Request):
    """All of it is there, or nothing is, in the directory either."""

    least = 15
    first = 12
    stride = 16

    def act(self):
        self.make()

    def failed(self, error):
        self.absent()
        eq(os.listdir(self.place), [], "the directory")

    def done(self, result):
        eq(sorted(os.listdir(f"/dev/stream/{self.NAME}")), ["0", "1", "any"])
        self.fill()
        self.ask(nl.DETACH)
        self.ask(nl.ATTACH, nl.text(nl.DIR, self.place))
        self.check()


class Attach(Request):
    """What was detached comes back as it was, or not at all and the next time."""

    least = 15
    first = 12
    stride = 16

    def __init__(self):
        super().__init__()
        self.make()
        self.fill()
        self.template = d.memory_place()
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
        self.ask(nl.ATTACH, nl.text(nl.DIR, self.place))

    def failed(self, error):
        self.absent()

    def done(self, result):
        self.check()


class Recover(Attach):
    """The same after the machine went down: the files are as they were then."""

    def keep(self):
        self.copy(self.place, self.template)
        self.ask(nl.DEL)


class Adopt(Recover):
    """The same of what has no configuration, as if another program had made it."""

    def keep(self):
        super().keep()
        os.unlink(next(f"{self.template}/{n}" for n in os.listdir(self.template)
                       if not os.path.isdir(f"{self.template}/{n}")))


class Detach(Request):
    """Nothing is lost by it: it is detached, or still there."""

    least = 2
    first = 12
    stride = 8

    def begin(self):
        self.make()
        self.fill()
        with open(self.path(), "wb", buffering=0) as file:
            file.write(b"not written yet")

    def act(self):
        self.ask(nl.DETACH)

    def failed(self, error):
        ok(self.there(), "it is there still")
        with open(self.path(1), "wb", buffering=0) as file:
            file.write(b"x")

    def done(self, result):
        self.absent()
        self.ask(nl.ATTACH, nl.text(nl.DIR, self.place))
        with open(self.path(), "rb", buffering=0) as file:
            eq(t.end(file.fileno()), self.count + 1)
            eq(os.pread(file.fileno(), 100, self.count), b"not written yet")


class Delete(Request):
    """It goes, and its files, whatever is short."""

    least = 1
    first = 12
    stride = 8

    def begin(self):
        self.make()
        self.fill()

    def act(self):
        self.ask(nl.DEL)

    def failed(self, error):
        raise Failed("a topic that cannot be deleted")

    def done(self, result):
        self.absent()


class Set(Request):
    """The file says what the topic says, before and after."""

    least = 4
    first = 12
    stride = 8

    def begin(self):
        self.make()
        self.fill()

    def act(self):
        self.ask(nl.SET, nl.u64(nl.RETENTION_MS, 77777000) + nl.u32(nl.MODE, 0o600))

    def retention(self):
        told = self.nl.must(nl.GET, nl.text(nl.NAME, self.NAME))[0][nl.RETENTION_MS]
        return int.from_bytes(told, sys.byteorder)

    def failed(self, error):
        eq(self.retention(), 0)

    def done(self, result):
        eq(self.retention(), 77777000)
        self.ask(nl.DETACH)
        self.ask(nl.ATTACH, nl.text(nl.DIR, self.place))
        eq(self.retention(), 77777000)
        self.check()


test_create = each(Create)
test_attach = each(Attach)
test_attach_after_a_crash = each(Recover)
test_attach_of_another_programs = each(Adopt)
test_detach = each(Detach)
test_delete = each(Delete)
test_set = each(Set)


# -------------------------------------------------------------- appends and reads


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


class Join(Operation):
    """The first group of a topic, which needs a log of offsets."""

    errors = {NOMEM, FAULT}
    least = 10
    first = 12
    stride = 8

    def begin(self):
        self.topic = Durable(d.memory_place(), "-p", "2", *LAZY)
        os.write(self.topic.open(), b"x")
        self.fd = self.topic.open("any", os.O_RDWR | os.O_NONBLOCK)

    def act(self):
        g.join(self.fd, "group")

    def failed(self, error):
        try:
            g.position(self.fd)
            eq(error, FAULT)
        except OSError as none:
            eq(none.errno, errno.ESTALE)
            eq(nl.Netlink().groups_of(self.topic.name), set())
            return False
        self.done(None)
        return True

    def done(self, result):
        eq(os.read(self.fd, 10), b"x")
        eq(g.commit(self.fd), 2)
        self.topic.reattach()
        again = g.Member(self.topic, "group", flags=g.JOIN_EXISTING)
        eq(again.committed(), 1)

    def end(self):
        self.topic.close()


class ReadCold(Operation):
    """Records that are only in the files."""

    errors = {NOMEM, FAULT, IO}
    least = 3

    def __init__(self, place=None):
        self.topic = Durable(place or d.memory_place(), *LAZY)
        self.fd = self.topic.open()
        self.values = [value(n, SIZE) for n in range(4)]
        for content in self.values:
            os.write(self.fd, content)

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


class FetchCold(ReadCold):
    def act(self):
        return t.fetch_raw(self.fd, offset=2, room=SIZE + 100)

    def done(self, result):
        batches = t.kafka.decode_batches(result[1])
        eq([r["value"] for r in t.kafka.records_of(batches)], [self.values[2]])
        eq(t.stat(self.fd).offset, 2, "the position")


class SeekCold(ReadCold):
    """By time, of which the index is read."""

    def act(self):
        return t.ioctl(self.fd, t.Seek(whence=t.Seek.TIMESTAMP, value=1)).offset

    def failed(self, error):
        pass

    def done(self, result):
        eq(result, 0)
        eq(os.read(self.fd, SIZE), self.values[0])


test_append = each(Append)
test_trim = each(Trim)
test_commit = each(Commit)
test_first_group = each(Join)
test_read_of_files = each(ReadCold, FetchCold, SeekCold)


# ------------------------------------------------------------------- under load


WRITERS, COUNT = 2, 60


def produce(path, number, tries):
    """Each record until it is acknowledged; it may be there more than once."""
    fd = None
    for n in range(COUNT):
        while True:
            try:
                if fd is None:
                    fd = os.open(path, os.O_WRONLY | os.O_DSYNC)
                os.write(fd, value(n, 1000 + number + 5000 * (n % 5)))
                break
            except OSError as error:
                if error.errno not in (NOMEM, FAULT):
                    os.write(1, f"# {n}: {error}\n".encode())
                    return 1
                tries.value += 1
    return 0


def test_under_load():
    """Segments are made, finished and dropped, and offsets committed, one fault in twenty."""
    faults = Faults()
    topic = Durable(d.memory_place(), "--segment", "64K", "--retention", "1h,64M",
                    "--flush-interval", "20ms")
    tries = [multiprocessing.Value("q", 0) for _ in range(WRITERS)]
    member = g.Member(topic)
    pids = []
    with faults.often(5):
        for number in range(WRITERS):
            pid = os.fork()
            if not pid:
                status = 1
                with contextlib.suppress(BaseException):
                    status = produce(topic.path(), number, tries[number])
                os._exit(status)
            pids.append(pid)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                member.read_all()
            with contextlib.suppress(OSError):
                member.commit(flags=g.COMMIT_SYNC)
            time.sleep(0.05)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    faults.only(())
    eq(codes, [0] * WRITERS)
    member.read_all()
    eq(member.commit(), 1)
    ok(sum(c.value for c in tries), "something had to be tried again")
    ok("error" not in topic.partition(), "the partition is well")
    member.close()
    topic.reattach()
    fd = topic.open(flags=os.O_RDONLY | os.O_NONBLOCK)
    seen = [-1] * WRITERS
    for _ in range(t.end(fd)):
        content = os.read(fd, 100000)
        number = (len(content) - 1000) % 5000
        n = int(content.split(b":")[0])
        eq(content, value(n, len(content)))
        # Once more is where it was not known whether it was there.
        ok(n in (seen[number], seen[number] + 1), f"{n} after {seen[number]}")
        seen[number] = n
    eq(seen, [COUNT - 1] * WRITERS)
    eq(g.Member(topic, flags=g.JOIN_EXISTING).committed(), t.end(fd))


# ---------------------------------------------------------------- a disk that fails


@contextlib.contextmanager
def failing(disk):
    disk_fails(disk.dir, True)
    try:
        yield
    finally:
        disk_fails(disk.dir, False)


def test_reads_that_the_disk_refuses():
    faults = Faults()
    disk = Disk.shared()
    with failing(disk):
        for make in ReadCold, FetchCold:
            operation = make(disk.place())
            operation.errors = {IO}
            operation.least = 1
            operation.run(Anywhere(faults, "fail_make_request"))
    faults.only(())


def test_writes_that_the_disk_refuses():
    """A request fails, and each time one later: what was acknowledged is there for all that."""
    faults = Faults()
    disk = Disk.shared()
    topic = Durable(disk.place(), *LAZY)
    requests = Anywhere(faults, "fail_make_request")
    values = []
    failures = 0
    for number in range(1, 13):
        fd = topic.open(flags=os.O_RDWR | os.O_DSYNC)
        with failing(disk):
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


def test_z_file_systems_are_free():
    Disk.close_all()


if __name__ == "__main__":
    main()
