#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Volatile topics while memory and copies fail: one at a time, each of them, and at random.

What fails fails for a reason that is documented and leaves nothing behind, what is
acknowledged is there, and the same again succeeds.
"""
import errno
import mmap
import multiprocessing
import os
import select
import struct
import sys

import evgroup as g
import evnetlink as nl
import evstest as t
from evinject import MEMORY, Deletion, Faults, Operation, Request, main, module_users
from evnetlink import QuickTopic as Quick
from evstest import Failed, Topic, eq, fails, must, ok

NOMEM, FAULT = errno.ENOMEM, errno.EFAULT
# A record of which a segment holds one: each append opens one, with folios and index.
SMALL = (nl.u64(nl.SEGMENT, 64 << 10), nl.u64(nl.RING, 16 << 20), nl.u64(nl.RETENTION_MS, 0),
         nl.u32(nl.MAX_RECORD, 60000))
FULL = (SMALL[0], nl.u64(nl.RING, 256 << 10), *SMALL[2:])
LINES = (*SMALL, nl.u32(nl.FRAMING, 1))
BIG = 33000


def parts(number):
    return (*SMALL, nl.u32(nl.PARTITIONS, number))


def value(number, size):
    head = b"%d:" % number
    return (head * (size // len(head) + 1))[:size]


def records_of(fd, partition=0, start=0):
    """All records of a partition from an offset on, whatever batches they came in."""
    batches = t.kafka.decode_batches(t.fetch_all(fd, partition, start), check_crc=False)
    return [r for r in t.kafka.records_of(batches) if r["offset"] >= start]


def values_of(fd, partition=0, start=0):
    return [r["value"] for r in records_of(fd, partition, start)]


def once(make):
    """A test of an operation."""
    return lambda: make().run(Faults())


# ------------------------------------------------------------------------ appends


class Append(Operation):
    """One record; all that were acknowledged are there, and nothing else."""

    errors = {NOMEM, FAULT}

    def __init__(self, size=BIG, options=SMALL):
        self.topic = Quick(*options)
        self.fd = self.topic.open()
        self.size = size
        self.number = 0

    def begin(self):
        self.number += 1
        self.value = value(self.number, self.size)
        self.before = t.end(self.fd)

    def act(self):
        return os.write(self.fd, self.value)

    def failed(self, error):
        eq(t.end(self.fd), self.before, "the end after a failure")

    def done(self, result):
        eq(result, self.size)
        eq(t.end(self.fd), self.before + 1, "the end")
        eq(os.pread(self.fd, self.size + 1, self.before), self.value, "the record")


class AppendInPlace(Append):
    """The ring is full: the oldest segment goes."""

    def __init__(self):
        super().__init__(options=FULL)
        for _ in range(6):
            os.write(self.fd, bytes(BIG))


class AppendVector(Append):
    least = 3

    def act(self):
        return os.writev(self.fd, [self.value[:7], self.value[7:]])


class AppendBatch(Append):
    """A client's batch; of a producer that is known by its number it is taken once."""

    least = 4

    def __init__(self, producer=None):
        super().__init__()
        self.producer = producer

    def begin(self):
        super().begin()
        who = {}
        if self.producer is not None:
            # Somebody new each time: the kernel has to remember more.
            self.producer += 1
            who = {"producer_id": self.producer, "producer_epoch": 0, "base_sequence": 0}
        self.batch = t.kafka.encode_batch([{"value": self.value}], **who)

    def act(self):
        return t.append_batch(self.fd, self.batch)

    def failed(self, error):
        if error == FAULT and t.end(self.fd) > self.before:
            # Only the answer did not get back.
            if self.producer is None:
                self.done(self.before)
                return True
            eq(self.act(), self.before, "the same batch again")
            eq(t.end(self.fd), self.before + 1, "and it is there once")
            return True
        super().failed(error)
        return False

    def done(self, result):
        eq(result, self.before, "the base offset")
        super().done(self.size)


class AppendRecords(Operation):
    """Several records to partitions by their keys: each has its own fate."""

    errors = {NOMEM, FAULT}
    least = 8
    PARTITIONS = 3

    def __init__(self):
        self.topic = Quick(*parts(self.PARTITIONS))
        self.fd = self.topic.open("any")
        self.number = 0

    def ends(self):
        return [t.end(self.fd, p) for p in range(self.PARTITIONS)]

    def begin(self):
        self.number += 1
        self.records = [{"key": b"key %d" % i, "value": value(self.number * 10 + i, 20000),
                         "headers": [(b"h", b"v" * i)]} for i in range(6)]
        self.before = self.ends()
        self.array, self.keep = t.record_array(self.records)

    def act(self):
        return t.append_array(self.fd, self.array).appended

    def new(self):
        """What is in the log and was not before: (partition, offset) -> value."""
        return {(p, r["offset"]): r["value"] for p in range(self.PARTITIONS)
                for r in records_of(self.fd, p, self.before[p])}

    def check(self):
        """What is there: (partition, offset) -> value."""
        found = self.new()
        eq(sum(self.ends()) - sum(self.before), len(found), "no holes")
        ours = {r["value"] for r in self.records}
        ok(set(found.values()) <= ours, "what is there was sent")
        eq(len(set(found.values())), len(found), "each once")
        for i, r in enumerate(self.array):
            if not r.error:
                eq(found.get((r.partition, r.offset)), self.records[i]["value"], f"record {i}")
            elif r.error != 77:
                # Else it could not be told.
                eq(r.offset, -1)
                ok(-r.error in self.errors, f"its error is {r.error}")
        return found

    def failed(self, error):
        if error == NOMEM:
            eq(sum(self.ends()), sum(self.before), "nothing was appended")
        self.check()
        self.before = self.ends()

    def done(self, result):
        eq(result, len(self.check()))
        ok(result, "some were")


class AppendLines(Operation):
    """Whole lines are records, the rest waits."""

    errors = {NOMEM, FAULT}
    least = 3

    def begin(self):
        self.topic = Quick(*LINES)
        self.fd = self.topic.open(flags=os.O_RDWR | os.O_NONBLOCK)
        eq(os.write(self.fd, b"begun "), 6)
        self.text = b"first\n" + b"x" * 20000 + b"\n" + b"y" * 20000 + b"\nrest"

    def act(self):
        return os.write(self.fd, self.text)

    def failed(self, error):
        eq(t.end(self.fd), 0, "lines after a failure")

    def done(self, result):
        eq(result, len(self.text))
        eq(values_of(self.fd), [b"begun first", b"x" * 20000, b"y" * 20000])
        eq(os.write(self.fd, b" of it\n"), 7)
        eq(values_of(self.fd, start=3), [b"rest of it"])

    def end(self):
        self.topic.close()


class CloseLine(Operation):
    """A partial line is a record with the last close, or lost: never a part of it."""

    def begin(self):
        self.topic = Quick(*LINES)
        self.fd = self.topic.open()
        self.line = value(7, 30000)
        eq(os.write(self.fd, self.line), len(self.line))

    def act(self):
        self.topic.fds.remove(self.fd)
        os.close(self.fd)

    def done(self, result):
        with open(self.topic.path(), "rb", buffering=0) as file:
            ok(values_of(file.fileno()) in ([self.line], []), "the line or nothing")
            eq(t.end(file.fileno()), len(values_of(file.fileno())))

    def end(self):
        self.topic.close()


test_write = once(Append)
test_write_in_a_full_ring = once(AppendInPlace)
test_writev = once(AppendVector)
test_append_batch = once(AppendBatch)
test_append_batch_of_a_producer = once(lambda: AppendBatch(1000))
test_append_records = once(AppendRecords)
test_append_lines = once(AppendLines)
test_close_with_a_partial_line = once(CloseLine)


# -------------------------------------------------------------------------- reads


class Read(Operation):
    """A record; the position moves on with what arrived only."""

    errors = {FAULT, NOMEM}
    topic = None

    def __init__(self, lines=False):
        self.topic = Quick(*(LINES if lines else SMALL))
        self.fd = self.topic.open(flags=os.O_RDWR | os.O_NONBLOCK)
        self.values = [value(n, 500) for n in range(30)]
        for content in self.values:
            os.write(self.fd, content + (b"\n" if lines else b""))

    def begin(self):
        os.lseek(self.fd, 3, os.SEEK_SET)
        self.buffers = [bytearray(5), bytearray(600)]

    def act(self):
        return os.readv(self.fd, self.buffers)

    def failed(self, error):
        eq(t.stat(self.fd).offset, 3, "the position")

    def done(self, result):
        eq(b"".join(self.buffers)[:result], self.values[3])
        eq(t.stat(self.fd).offset, 4, "the position")


class ReadAt(Read):
    def act(self):
        return os.preadv(self.fd, self.buffers, 3)

    def done(self, result):
        eq(b"".join(self.buffers)[:result], self.values[3])
        self.failed(0)


class ReadLines(Read):
    least = 2

    def begin(self):
        super().begin()
        self.buffers = [bytearray(700), bytearray(700)]

    def done(self, result):
        eq(result % 501, 0)
        many = result // 501
        ok(1 <= many <= 2, f"{many} lines")
        eq(b"".join(self.buffers)[:result], b"".join(v + b"\n" for v in self.values[3:3 + many]))
        eq(t.stat(self.fd).offset, 3 + many, "the position")


class ReadAny(Operation):
    """The topic's next record, of whichever partition."""

    errors = {FAULT, NOMEM}

    def begin(self):
        self.topic = Quick(*parts(2))
        for p in range(2):
            os.write(self.topic.open(p), b"of %d" % p)
        self.fd = self.topic.open("any", os.O_RDWR | os.O_NONBLOCK)
        self.buffers = [bytearray(2), bytearray(600)]

    def act(self):
        return os.readv(self.fd, self.buffers)

    def done(self, result):
        first = b"".join(self.buffers)[:result]
        eq({first, os.read(self.fd, 100)}, {b"of 0", b"of 1"})
        fails(errno.EAGAIN, os.read, self.fd, 100)

    def end(self):
        self.topic.close()


class Fetch(Read):
    """Whole batches, from where the file is."""

    least = 3

    def act(self):
        self.fetched, self.data = t.fetch_raw(self.fd, offset=-1)

    def failed(self, error):
        # Where only the structure did not get back, it has moved.
        ok(3 <= t.stat(self.fd).offset <= len(self.values), "the position")
        os.lseek(self.fd, 3, os.SEEK_SET)

    def done(self, result):
        records = t.kafka.records_of(t.kafka.decode_batches(self.data))
        # Or fewer, where not all of it could be copied; whole batches in any case.
        last = self.fetched.next_offset
        ok(3 < last <= len(self.values), f"up to {last}")
        eq([r["value"] for r in records if r["offset"] >= 3], self.values[3:last])
        eq(t.stat(self.fd).offset, last, "the position")


class Small(Read):
    """An ioctl that changes at most what the same again changes to the same."""

    def __init__(self, struct_, check, prepare=None, **members):
        super().__init__()
        self.check = check
        self.prepare = prepare
        self.make = lambda: struct_(**members)
        self.title = f"Small {struct_.__name__}"

    def begin(self):
        super().begin()
        if self.prepare:
            self.prepare(self)

    def act(self):
        return t.ioctl(self.fd, self.make())

    def failed(self, error):
        eq(error, FAULT)

    def done(self, result):
        self.check(self, result)

    def name(self):
        return self.title


test_read = once(Read)
test_read_at = once(ReadAt)
test_read_lines = once(lambda: ReadLines(lines=True))
test_read_any = once(ReadAny)
test_fetch = once(Fetch)


def test_seek_stat_gap_trim():
    faults = Faults()
    seek = Small(t.Seek, lambda o, r: eq((r.offset, t.stat(o.fd).offset), (9, 9)),
                 whence=t.Seek.OFFSET, value=9)
    seek.run(faults)
    late = Small(t.Seek, lambda o, r: eq(t.stat(o.fd).offset, 0),
                 whence=t.Seek.TIMESTAMP, value=1)
    late.run(faults)
    Small(t.Stat, lambda o, r: eq((r.offset, r.end_offset), (3, 30))).run(faults)
    Small(t.Gap, lambda o, r: eq((r.from_, r.to, r.lost), (0, 0, 0))).run(faults)
    Small(t.SetFraming, lambda o, r: eq(t.stat(o.fd).framing, 0)).run(faults)
    trim = Small(t.Trim, lambda o, r: eq((r.start_offset, t.stat(o.fd).start_offset), (7, 7)),
                 offset=7)
    trim.run(faults)


# --------------------------------------------------------- files, poll, and the map


class Open(Operation):
    def __init__(self, partition, flags):
        self.topic = Quick(*parts(3))
        self.path = self.topic.path(partition)
        self.flags = flags
        self.before = module_users()

    def act(self):
        return os.open(self.path, self.flags)

    def failed(self, error):
        eq(module_users(), self.before, "users of the module")

    def done(self, result):
        t.stat(result)
        os.close(result)
        eq(module_users(), self.before, "users of the module")
        shown = self.topic.show()["partition"]
        eq([(p["readers"], p["writers"]) for p in shown], [(0, 0)] * 3)


def test_open():
    faults = Faults()
    for partition in 0, "any":
        for flags in os.O_RDONLY, os.O_WRONLY, os.O_RDWR:
            Open(partition, flags).run(faults)


class Epoll(Operation):
    def __init__(self):
        self.topic = Quick(*SMALL)
        self.fd = self.topic.open()
        os.write(self.fd, b"x")

    def begin(self):
        self.epoll = select.epoll()

    def act(self):
        self.epoll.register(self.fd, select.EPOLLIN)

    def failed(self, error):
        eq(self.epoll.poll(0), [])

    def done(self, result):
        eq(self.epoll.poll(0), [(self.fd, select.EPOLLIN)])

    def end(self):
        self.epoll.close()


class Poll(Operation):
    """More files than poll() has room for on its stack."""

    def __init__(self):
        self.topic = Quick(*SMALL)
        self.fds = [self.topic.open() for _ in range(200)]
        self.poll = select.poll()
        for fd in self.fds:
            self.poll.register(fd, select.POLLIN)

    def act(self):
        return self.poll.poll(1)

    def done(self, result):
        eq(result, [])


test_epoll = once(Epoll)
test_poll = once(Poll)


class Map(Operation):
    """The log or the control page, mapped: a new topic's, which has neither yet."""

    errors = {NOMEM, errno.EAGAIN}

    def __init__(self, at):
        self.at = at

    def begin(self):
        self.topic = Quick(*SMALL)
        self.fd = self.topic.open()
        os.write(self.fd, b"seen through the map")
        self.map = None

    def act(self):
        return mmap.mmap(self.fd, 1 << 16 if self.at else 4096, mmap.MAP_SHARED, mmap.PROT_READ,
                         offset=self.at)

    def done(self, result):
        with result:
            if self.at:
                ok(b"seen through the map" in result[:200], "the record")
            else:
                eq(struct.unpack_from("=II", result), (1, 16))
                eq(struct.unpack_from("=Q", result, 128), (1,))

    def end(self):
        self.topic.close()


def test_map():
    faults = Faults()
    for at in 0, 1 << 32:
        Map(at).run(faults)


# ------------------------------------------------------------------------- groups


class Join(Operation):
    """The first member of a new group: nothing of it is there, or it is a member."""

    errors = {NOMEM, FAULT}
    least = 6

    def __init__(self, **fields):
        self.topic = Quick(*parts(3))
        for p in range(3):
            os.write(self.topic.open(p), b"of %d" % p)
        self.fields = fields
        self.number = 0
        self.queue = fields.get("flags", 0) & g.JOIN_QUEUE

    def groups(self):
        return self.topic.link.groups_of(self.topic.name)

    def begin(self):
        self.number += 1
        self.group = f"g{self.number}"
        self.fd = self.topic.open("any", os.O_RDWR | os.O_NONBLOCK)

    def act(self):
        return g.join(self.fd, self.group, **self.fields)

    def failed(self, error):
        if error == FAULT and self.joined():
            self.done(None)
            return True
        ok(not self.joined(), "it is no member")
        ok(self.group not in self.groups(), "there is no such group")
        return False

    def joined(self):
        try:
            g.position(self.fd)
        except OSError as error:
            eq(error.errno, errno.ESTALE)
            return False
        return True

    def done(self, result):
        ok(self.group in self.groups(), "there is such a group")
        got = [os.read(self.fd, 100) for _ in range(len(self.fields.get("static", range(3))))]
        eq(sorted(got), [b"of %d" % p for p in self.fields.get("static", range(3))])
        fails(errno.EAGAIN, os.read, self.fd, 100)

    def end(self):
        os.close(self.fd)
        self.topic.fds.remove(self.fd)
        if self.group in self.groups():
            self.topic.link.must(nl.GROUP_DEL, nl.text(nl.TOPIC, self.topic.name)
                                 + nl.text(nl.GROUP, self.group))


class JoinMany(Join):
    """The ninth member of a group, for which it has to grow."""

    least = 2

    def begin(self):
        super().begin()
        self.others = [self.topic.open("any") for _ in range(8)]
        for fd in self.others:
            g.join(fd, self.group)

    def failed(self, error):
        if error == FAULT and self.joined():
            return True
        ok(not self.joined(), "it is no member")
        eq(g.assignment(self.others[0]).members, 8)
        return False

    def done(self, result):
        eq(g.assignment(self.fd).members, 9)

    def end(self):
        for fd in self.others:
            os.close(fd)
            self.topic.fds.remove(fd)
        super().end()


class JoinQueue(Join):
    def __init__(self):
        super().__init__(flags=g.JOIN_QUEUE)
        self.dead = Quick(*SMALL)
        self.fields["dead_letter"] = self.dead.open()


test_join = once(Join)
test_join_static = once(lambda: Join(static=[0, 2]))
test_join_a_group_that_grows = once(JoinMany)
test_join_queue = once(JoinQueue)


class GroupCall(Operation):
    """What a member may call: twice is as good as once."""

    errors = {NOMEM, FAULT}
    flags = 0

    def begin(self):
        self.topic = Quick(*parts(2))
        for p in range(2):
            fd = self.topic.open(p)
            for n in range(4):
                os.write(fd, b"%d of %d" % (n, p))
        self.make()

    def make(self):
        self.member = g.Member(self.topic)
        while True:
            try:
                self.member.read()
            except BlockingIOError:
                return

    def end(self):
        self.topic.close()


class Commit(GroupCall):
    def act(self):
        return self.member.commit((0, 2), (1, 3))

    def failed(self, error):
        eq(error, FAULT)
        ok(self.member.committed(0) in (0, 2), "committed or not")
        ok(self.member.committed(1) in (0, 3), "committed or not")

    def done(self, result):
        eq(result, 2)
        eq((self.member.committed(0), self.member.committed(1)), (2, 3))


class CommitAll(Commit):
    def act(self):
        return self.member.commit()

    def failed(self, error):
        ok(self.member.committed(0) in (0, 4), "committed or not")

    def done(self, result):
        eq((self.member.committed(0), self.member.committed(1)), (4, 4))


class Where(GroupCall):
    least = 2

    def act(self):
        return self.member.assignment(), self.member.position(1)

    def done(self, result):
        eq([a.offset for a in result[0].list], [4, 4])
        eq(result[1].offset, 4)


class Leave(GroupCall):
    least = 0

    def act(self):
        self.member.leave()

    def done(self, result):
        fails(errno.ESTALE, self.member.read)
        other = g.Member(self.topic)
        eq(other.owned(), [0, 1])


class Acquire(GroupCall):
    """Records of a queue: they are the member's, or they are handed out again."""

    least = 4

    def make(self):
        self.member = g.QueueMember(self.topic)

    def act(self):
        return self.member.acquire()

    def failed(self, error):
        if error == FAULT:
            # Where only the structure did not get back they are the member's.
            self.member.leave()
            self.member = g.QueueMember(self.topic)

    def done(self, result):
        # Where memory was short, some; they come in order, and all of them come.
        for p in range(2):
            eq([r.value for r in result if r.partition == p],
               [b"%d of %d" % (n, p) for n in range(len([r for r in result if r.partition == p]))])
        rest = self.member.take()
        eq(sorted(r.value for r in result + rest),
           sorted(b"%d of %d" % (n, p) for n in range(4) for p in range(2)))
        self.member.accept()
        eq(self.member.take(), [])


class ReadQueue(Acquire):
    least = 2

    def act(self):
        buffers = [bytearray(3), bytearray(100)]
        many = os.readv(self.member.fd, buffers)
        return b"".join(buffers)[:many]

    def done(self, result):
        got = [result, *self.member.read_all()]
        eq(sorted(got), sorted(b"%d of %d" % (n, p) for n in range(4) for p in range(2)))


class Settle(Acquire):
    """Each record goes one of the ways there are."""

    least = 2

    def make(self):
        self.dead = Quick(*SMALL)
        self.member = g.QueueMember(self.topic, dead_letter=self.dead.open())
        self.taken = self.member.acquire()

    def act(self):
        self.member.renew((0, 3))
        self.member.release((0, 1))
        self.member.reject((0, 0))
        return self.member.accept((1, 0, 2))

    def failed(self, error):
        eq(error, FAULT)
        # What was settled is not the member's any more, and is said to be stale.
        for how, at in (self.member.release, (0, 1)), (self.member.reject, (0, 0)), (
                self.member.accept, (1, 0, 2)):
            try:
                how(at)
            except OSError as stale:
                eq(stale.errno, errno.ESTALE)
        self.done(None)
        return True

    def done(self, result):
        eq([r.at for r in self.member.take()], [(0, 1)])
        fd = self.dead.open()
        t.wait_for(lambda: t.end(fd), "the record given up is in the other topic")
        eq(values_of(fd), [b"0 of 0"])

    def end(self):
        super().end()
        self.dead.close()


test_commit = once(Commit)
test_commit_of_all = once(CommitAll)
test_position_and_assignment = once(Where)
test_leave = once(Leave)
test_acquire = once(Acquire)
test_read_of_a_queue = once(ReadQueue)
test_settle = once(Settle)


# ------------------------------------------------------------------ control plane


class Create(Request):
    """A topic: all of it or nothing."""

    least = 20
    first = 12
    stride = 6
    NAME = "inject-created"

    def act(self):
        return self.ask(nl.NEW, nl.u32(nl.PARTITIONS, 3))

    def failed(self, error):
        self.absent()

    def done(self, result):
        eq(result[0][nl.NAME], self.NAME.encode() + b"\0")
        eq(sorted(os.listdir(f"/dev/stream/{self.NAME}")), ["0", "1", "2", "any"])
        with open(f"/dev/stream/{self.NAME}/any", "r+b", buffering=0) as file:
            file.write(b"works")
            eq(file.read(100), b"works")

    def end(self):
        if self.there():
            self.ask(nl.DEL)
        self.absent()


class Delete(Deletion):
    NAME = "inject-deleted"

    def begin(self):
        self.ask(nl.NEW, nl.u32(nl.PARTITIONS, 3))
        with open(f"/dev/stream/{self.NAME}/0", "wb", buffering=0) as file:
            file.write(b"x")

    def done(self, result):
        self.absent()


class Set(Request):
    """A topic's nodes get another mode and owner, and its ring another size; or none does."""

    least = 4
    first = 12
    stride = 6

    def begin(self):
        self.topic = Quick(*parts(2), nl.u32(nl.MODE, 0o600))
        self.NAME = self.topic.name
        self.fd = self.topic.open()
        os.write(self.fd, b"one")

    def act(self):
        return self.ask(nl.SET, nl.u32(nl.MODE, 0o640) + nl.u32(nl.GID, 7)
                        + nl.u64(nl.RING, 1 << 20))

    def nodes(self):
        found = {os.stat(self.topic.path(p)) for p in (0, 1, "any")}
        return {(s.st_mode & 0o777, s.st_gid) for s in found}

    def settled(self, mode, group, ring):
        told = self.nl.must(nl.GET, nl.text(nl.NAME, self.topic.name))[0]
        eq([int.from_bytes(told[a], sys.byteorder) for a in (nl.MODE, nl.GID, nl.RING)],
           [mode, group, ring])
        t.wait_for(lambda: self.nodes() == {(mode, group)}, "the nodes")
        os.write(self.fd, b"more")
        for p in 0, 1, "any":
            with open(self.topic.path(p), "rb", buffering=0) as file:
                t.stat(file.fileno())

    def failed(self, error):
        self.settled(0o600, 0, 16 << 20)

    def done(self, result):
        self.settled(0o640, 7, 1 << 20)

    def end(self):
        self.topic.close()


class Get(Request):
    """Requests that only ask."""

    def __init__(self, cmd, attrs):
        super().__init__()
        self.question = cmd, attrs
        self.expected = self.ask(*self.question)
        ok(self.expected, "there is an answer")

    def act(self):
        return self.ask(*self.question)

    def done(self, result):
        eq(len(result), len(self.expected))

    def name(self):
        return f"Get {self.question[0]}"


class GroupDelete(Request):
    def __init__(self):
        super().__init__()
        self.topic = Quick(*parts(2))

    def begin(self):
        fd = self.topic.open("any")
        g.join(fd, "g")
        os.close(fd)
        self.topic.fds.remove(fd)

    def act(self):
        return self.ask(nl.GROUP_DEL, nl.text(nl.TOPIC, self.topic.name) + nl.text(nl.GROUP, "g"))

    def failed(self, error):
        raise Failed("a group that cannot be deleted")

    def done(self, result):
        eq(self.nl.groups_of(self.topic.name), set())


test_create = once(Create)
test_delete = once(Delete)
test_set = once(Set)
test_delete_a_group = once(GroupDelete)


def test_questions():
    faults = Faults()
    topic = Quick(*parts(2))
    member = g.Member(topic)
    ok(member.number, "a member")
    name = nl.text(nl.NAME, topic.name)
    group = nl.text(nl.TOPIC, topic.name) + nl.text(nl.GROUP, "g")
    Get(nl.GET, name).run(faults)
    Get(nl.PARTITION, nl.text(nl.TOPIC, topic.name) + nl.u32(2, 1)).run(faults)
    Get(nl.GROUP_GET, group).run(faults)
    Get(nl.GROUP_OFFSET_GET, group + nl.u32(nl.OFFSET_PARTITION, 1)).run(faults)


# -------------------------------------------------------------------- under load


WRITERS, RECORDS = 3, 100


def insist(call, *args):
    """Until it does not fail for want of memory; how often it did."""
    failures = 0
    while True:
        try:
            return call(*args), failures
        except OSError as error:
            if error.errno != NOMEM:
                raise
            failures += 1


def produce(path, number, failures):
    fd, count = insist(os.open, path, os.O_WRONLY)
    for n in range(RECORDS):
        _, more = insist(os.write, fd, value(n, 100 + number + 3000 * (n % 7)))
        count += more
    failures.value += count
    return 0


def consume(path, group, stop):
    """Takes part in a group for as long as the others produce."""
    while not stop.value:
        fd, _ = insist(os.open, path, os.O_RDWR | os.O_NONBLOCK)
        insist(g.join, fd, group)
        for _ in range(8):
            try:
                insist(os.read, fd, 100000)
            except BlockingIOError:
                select.select([fd], [], [], 0.01)
        insist(g.commit, fd)
        os.close(fd)
    return 0


def child(function, *args):
    """A process that never comes back."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = function(*args)
        except OSError as error:
            os.write(1, f"# {function.__name__}: {error}\n".encode())
        finally:
            os._exit(status)
    return pid


def test_under_load():
    """Also what has no caller: timers and workers. Memory is short one time in ten."""
    faults = Faults()
    topic = Topic("--segment", "64K", "--ring", "64M", "--retention", "1h")
    failures = [multiprocessing.Value("q", 0) for _ in range(WRITERS)]
    stop = multiprocessing.Value("b", 0)
    with faults.often(10):
        writers = [child(produce, topic.path(), n, failures[n]) for n in range(WRITERS)]
        readers = [child(consume, topic.path("any"), f"g{n}", stop) for n in range(2)]
        for _ in range(8):
            # Topics come and go, or cannot.
            t.streamctl("topic", "create", "inject-load", "-p", "2")
            t.streamctl("topic", "set", "inject-load", "--mode", "640")
            t.streamctl("topic", "delete", "inject-load")
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in writers]
        stop.value = 1
        codes += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in readers]
    faults.only(MEMORY)
    if "inject-load" in t.topics():
        must("topic", "delete", "inject-load")
    eq(codes, [0] * 5)
    ok(all(f.value for f in failures), f"writers had to try again: {[f.value for f in failures]}")
    seen = [0] * WRITERS
    for content in values_of(topic.open()):
        number = (len(content) - 100) % 3000
        eq(content, value(seen[number], len(content)), f"record {seen[number]} of {number}")
        seen[number] += 1
    eq(seen, [RECORDS] * WRITERS)


if __name__ == "__main__":
    main()
