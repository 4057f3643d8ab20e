#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Bad input to the ioctls of consumer groups: a clear error, nothing changed."""
import ctypes
import errno
import fcntl
import mmap
import os
import random
from ctypes import c_uint32

import evgroup as g
import evstest as t
from evgroup import Assigned, Assignment, Commit, CommitEntry, Join, Member, Position
from evstest import Topic, eq, fails, ok

# None of these is ours: no page, the first bytes of none, the kernel's, none at all.
NOWHERE = (0, 8, 0x7FFFFFFFF000 - 4, 0xFFFF888000000000, 0xFFFFFFFFFFFFF000, 2**64 - 1)
LIBC = ctypes.CDLL(None, use_errno=True)


def raw(fd, struct, size, data):
    """An ioctl with a structure of another size: the bytes returned."""
    buf = bytearray(data.ljust(size, b"\0"))
    fcntl.ioctl(fd, t.code(struct, size), buf, True)
    return bytes(buf)


def at_address(fd, number, address):
    if LIBC.ioctl(fd, ctypes.c_ulong(number), ctypes.c_void_p(address)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Good:
    """Arguments that the kernel takes, and what they point to."""

    def __init__(self, name=b"g"):
        self.name = ctypes.create_string_buffer(name, len(name))
        self.numbers = (c_uint32 * 4)(0, 1, 2, 3)
        self.entry = CommitEntry(offset=0)
        self.assigned = (Assigned * 8)()

    def join(self, **fields):
        arg = Join(
            name=g.address(self.name), name_len=len(self.name), start=g.EARLIEST, dead_letter=-1
        )
        return self.set(arg, fields)

    def static(self, **fields):
        arg = self.join(flags=g.JOIN_STATIC, partitions=g.address(self.numbers), nr_partitions=1)
        return self.set(arg, fields)

    def commit(self, **fields):
        size = ctypes.sizeof(CommitEntry)
        arg = Commit(entries=g.address(self.entry), nr_entries=1, entry_size=size)
        return self.set(arg, fields)

    def assignment(self, **fields):
        size = ctypes.sizeof(Assigned)
        arg = Assignment(assigned=g.address(self.assigned), room=8, entry_size=size)
        return self.set(arg, fields)

    @staticmethod
    def set(arg, fields):
        for field, value in fields.items():
            setattr(arg, field, value)
        return arg

    def others(self):
        """Those of a member."""
        return [self.commit(), Position(), self.assignment()]


def unchanged(m, members=1):
    """Nothing has come of it."""
    seen = m.assignment()
    eq((seen.members, seen.generation), (members, m.seen), "members, generation")
    eq((m.committed(), m.position().offset), (0, 0))


def member(topic=None):
    m = Member(topic or Topic("-p", "4"))
    m.seen = m.assignment().generation
    return m


def test_sizes_of_the_first_version():
    sizes = [ctypes.sizeof(s) for s in (Join, Commit, CommitEntry, Position, Assignment, Assigned)]
    eq(sizes, [72, 24, 24, 56, 40, 24])


def test_smaller_structures():
    good, m = Good(), member()
    fd = m.topic.open("any")
    for arg in [good.join(), *good.others()]:
        for size in (0, 1, 4, ctypes.sizeof(arg) - 1):
            to = fd if isinstance(arg, Join) else m.fd
            fails(errno.EINVAL, raw, to, type(arg), size, bytes(arg)[:size])
    unchanged(m)


def test_larger_structures():
    good, m = Good(), member()
    for more in (8, 1, 100, 4096):
        for arg in [good.join(), *good.others()]:
            size = ctypes.sizeof(arg)
            fd = m.topic.open("any") if isinstance(arg, Join) else m.fd
            for at in (0, more - 1):
                data = bytes(arg) + bytes(at) + b"\1"
                fails(errno.E2BIG, raw, fd, type(arg), size + more, data)
            # What is not known and zero is left as it is.
            eq(raw(fd, type(arg), size + more, bytes(arg))[size:], bytes(more))
            if isinstance(arg, Join):
                g.leave(fd)
    eq((m.committed(), m.assignment().members), (0, 1))


def test_structures_that_are_not_there():
    good, m = Good(), member()
    fd = m.topic.open("any")
    for arg in [good.join(), *good.others()]:
        for address in NOWHERE:
            to = fd if isinstance(arg, Join) else m.fd
            fails(errno.EFAULT, at_address, to, t.code(type(arg)), address)
    unchanged(m)


def test_directions():
    good, m = Good(), member()
    fd = m.topic.open("any")
    for arg in [good.join(), *good.others()]:
        for direction in range(4):
            if direction == type(arg).DIR:
                continue
            number = t.code(type(arg)) & 0x3FFFFFFF | direction << 30
            to = fd if isinstance(arg, Join) else m.fd
            fails(errno.ENOTTY, fcntl.ioctl, to, number, bytearray(bytes(arg)), True)
    unchanged(m)


def test_leave_takes_nothing():
    m = member()
    # Whatever the argument: there is none.
    at_address(m.fd, g.LEAVE, 0xFFFF888000000000)
    fails(errno.ESTALE, g.leave, m.fd)


def test_join_fields():
    good, m = Good(), member()
    fd = m.topic.open("any")
    bad = [
        ("flags", [1 << n for n in range(6, 32)] + [g.JOIN_AUTO | g.JOIN_ACK, 0xFFFFFFFF]),
        ("flags", [g.JOIN_QUEUE | f for f in (g.JOIN_AUTO, g.JOIN_STATIC, g.JOIN_ACK)]),
        ("flags", [g.JOIN_KEYED, g.JOIN_STATIC]),
        ("name_len", [0, 250, 256, 4096, 0x7FFFFFFF, 0xFFFFFFFF]),
        ("nr_partitions", [1, 4096, 0xFFFFFFFF]),
        ("start", [g.OFFSET, 4, 0xFFFFFFFF]),
        ("value", [1, -1, 2**62, -(2**63), 2**63 - 1]),
        ("rebalance_ms", [86400001, 0xFFFFFFFF]),
        ("max_poll_ms", [86400001, 0xFFFFFFFF]),
        ("lock_ms", [1, 86400001]),
        ("max_deliveries", [1, 0xFFFFFFFF]),
        ("dead_letter", [fd, 1000, -2]),
        ("reserved", [1, 0xFFFFFFFF]),
    ]
    for field, values in bad:
        for value in values:
            try:
                fails(errno.EINVAL, t.ioctl, fd, good.join(**{field: value}))
            except t.Failed as failed:
                raise t.Failed(f"{field} {value}: {failed}") from failed
    for value in (-1, 2**62, -(2**63)):
        fails(errno.EINVAL, t.ioctl, fd, good.join(start=g.TIMESTAMP, value=value))
    for address in NOWHERE:
        fails(errno.EFAULT, t.ioctl, fd, good.join(name=address))
    unchanged(m)
    # The largest numbers that there are.
    arg = good.join(rebalance_ms=86400000, max_poll_ms=86400000, start=g.TIMESTAMP, value=2**62 - 1)
    eq(t.ioctl(fd, arg).member, m.number + 1)


def test_join_partitions():
    good, m = Good(), member()
    fd = m.topic.open("any")
    for nr in (4097, 0x7FFFFFFF, 0xFFFFFFFF):
        fails(errno.EINVAL, t.ioctl, fd, good.static(nr_partitions=nr))
    for address in NOWHERE:
        fails(errno.EFAULT, t.ioctl, fd, good.static(partitions=address, nr_partitions=2))
    for number in (4, 5, 0x7FFFFFFF, t.ALL):
        good.numbers[2] = number
        fails(errno.ENXIO, t.ioctl, fd, good.static(nr_partitions=4))
    unchanged(m)
    good.numbers[2] = 1
    try:
        # The same twice is an error or one.
        t.ioctl(fd, good.static(nr_partitions=3))
        eq(len(g.assignment(fd).list), 2)
    except OSError as error:
        ok(error.errno == errno.EINVAL, f"EINVAL, not {error}")
        unchanged(m)


def test_names_end_where_they_end():
    topic = Topic()
    page = os.sysconf("SC_PAGESIZE")
    LIBC.mmap.restype = ctypes.c_void_p
    # A page, and behind it none.
    at = LIBC.mmap(None, ctypes.c_size_t(2 * page), 3, 0x22, -1, ctypes.c_long(0))
    eq(LIBC.munmap(ctypes.c_void_p(at + page), ctypes.c_size_t(page)), 0)
    ctypes.memmove(at + page - 5, b"names", 5)
    good = Good()
    fd = topic.open("any")
    fails(errno.EFAULT, t.ioctl, fd, good.join(name=at + page - 5, name_len=6))
    t.ioctl(fd, good.join(name=at + page - 5, name_len=5))
    g.join(topic.open("any"), "names", flags=g.JOIN_EXISTING)
    LIBC.munmap(ctypes.c_void_p(at), ctypes.c_size_t(page))


def test_commit_fields():
    good, m = Good(), member()
    os.write(m.topic.open(0), b"x")
    good.entry.offset = 1
    size = ctypes.sizeof(CommitEntry)
    for flag in [1 << n for n in range(1, 32)] + [0xFFFFFFFF]:
        fails(errno.EINVAL, t.ioctl, m.fd, good.commit(flags=flag))
    for nr in (4097, 0x7FFFFFFF, 0xFFFFFFFF):
        fails(errno.EINVAL, t.ioctl, m.fd, good.commit(nr_entries=nr))
    for entry_size in (0, 1, size - 1, os.sysconf("SC_PAGESIZE") + 8, 0x7FFFFFFF, 0xFFFFFFFF):
        fails(errno.EINVAL, t.ioctl, m.fd, good.commit(entry_size=entry_size))
    for address in NOWHERE:
        fails(errno.EFAULT, t.ioctl, m.fd, good.commit(entries=address))
    good.entry.reserved = 1
    fails(errno.EINVAL, t.ioctl, m.fd, good.commit())
    eq(good.entry.error, -errno.EINVAL)
    unchanged(m)


def test_commit_entries_of_another_size():
    good, m = Good(), member()
    for p in range(2):
        os.write(m.topic.open(p), b"x")
    size = ctypes.sizeof(CommitEntry)
    entries = bytearray(2 * (size + 8))
    for p in range(2):
        entries[p * (size + 8) : p * (size + 8) + size] = bytes(CommitEntry(partition=p, offset=1))
    keep = (ctypes.c_char * len(entries)).from_buffer(entries)
    arg = good.commit(entries=g.address(keep), nr_entries=2, entry_size=size + 8)
    eq(t.ioctl(m.fd, arg).committed, 2)
    eq((m.committed(0), m.committed(1)), (1, 1))
    # The second one has something that nobody knows.
    keep[2 * size + 8] = b"\1"
    keep[8] = keep[size + 8 + 8] = b"\0"
    fails(errno.E2BIG, t.ioctl, m.fd, arg)
    eq((m.committed(0), m.committed(1)), (0, 1))


def test_commit_all_needs_no_array():
    m = member()
    os.write(m.topic.open(0), b"x")
    m.read()
    eq(t.ioctl(m.fd, Commit(entries=2**64 - 1, entry_size=7)).committed, 4)
    eq(m.committed(), 1)


def test_commit_to_read_only_memory():
    good, m = Good(), member()
    os.write(m.topic.open(0), b"x")
    LIBC.mmap.restype = ctypes.c_void_p
    at = LIBC.mmap(None, ctypes.c_size_t(4096), 3, 0x22, -1, ctypes.c_long(0))
    entry = bytes(CommitEntry(offset=1))
    ctypes.memmove(at, entry, len(entry))
    LIBC.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(4096), 1)
    fails(errno.EFAULT, t.ioctl, m.fd, good.commit(entries=at))
    LIBC.munmap(ctypes.c_void_p(at), ctypes.c_size_t(4096))
    # Done or not: it is one of the two.
    ok(m.committed() in (0, 1), "a committed offset")
    eq(m.position().offset, 0)


def test_position_fields():
    m = member()
    for p in (4, 0x7FFFFFFF, t.ALL):
        fails(errno.ENXIO, t.ioctl, m.fd, Position(partition=p))
    # What it returns does not matter before.
    arg = Position(owner=9, generation=9, flags=9, offset=9, committed=9, end_offset=9)
    at = t.ioctl(m.fd, arg)
    eq((at.owner, at.flags, at.offset, at.committed, at.end_offset), (m.number, 0, 0, 0, 0))


def test_assignment_fields():
    good, m = Good(), member()
    size = ctypes.sizeof(Assigned)
    for flag in [1 << n for n in range(32)]:
        fails(errno.EINVAL, t.ioctl, m.fd, good.assignment(flags=flag))
    for room in (4097, 0x7FFFFFFF, 0xFFFFFFFF):
        fails(errno.EINVAL, t.ioctl, m.fd, good.assignment(room=room))
    for entry_size in (0, 1, size - 1, os.sysconf("SC_PAGESIZE") + 8, 0x7FFFFFFF, 0xFFFFFFFF):
        fails(errno.EINVAL, t.ioctl, m.fd, good.assignment(entry_size=entry_size))
    for address in NOWHERE:
        fails(errno.EFAULT, t.ioctl, m.fd, good.assignment(assigned=address))
    # Of generations that never were, and of nothing that it was asked for.
    for ack in (1, 2**31 - 1, 2**31, 2**32 - 1):
        eq(t.ioctl(m.fd, good.assignment(ack=ack)).nr, 4)
    unchanged(m)


def test_assignment_that_fails_tells_again():
    m = member()
    other = Member(m.topic)
    eq(m.poll(), 2)
    fails(errno.EFAULT, t.ioctl, m.fd, Good().assignment(assigned=8))
    eq(len(m.owned() + other.owned()), 4)


def test_assignment_entries_of_another_size():
    m = member()
    size = ctypes.sizeof(Assigned)
    buf = ctypes.create_string_buffer(b"\xff" * 200, 200)
    arg = Assignment(assigned=g.address(buf), room=3, entry_size=size + 8)
    eq(t.ioctl(m.fd, arg).nr, 4)
    for p in range(3):
        at = p * (size + 8)
        eq(Assigned.from_buffer_copy(buf.raw[at : at + size]).partition, p)
        eq(buf.raw[at + size : at + size + 8], bytes(8))
    eq(buf.raw[3 * (size + 8) :], b"\xff" * (200 - 3 * (size + 8)))


def test_random():
    topic = Topic("-p", "4")
    m = Member(topic)
    fds = [topic.open("any", os.O_RDWR | os.O_NONBLOCK) for _ in range(8)]
    # As much as the largest arrays take, whatever their numbers become.
    arena = mmap.mmap(-1, 2 * 4096 * 4096)
    inside = g.address(ctypes.c_char.from_buffer(arena))
    good = Good()
    for n in range(3000):
        arena[:4] = b"r%d\0\0" % random.randrange(3)
        kind = random.choice(("join", "static", "commit", "position", "assignment"))
        arg = Position() if kind == "position" else getattr(good, kind)()
        addresses = ("name", "partitions", "entries", "assigned")
        addresses = [f for f in addresses if hasattr(arg, f) and getattr(arg, f)]
        for field in addresses:
            setattr(arg, field, random.choice((inside,) * 20 + NOWHERE))
        data = bytearray(bytes(arg))
        for _ in range(random.randrange(4)):
            at = random.randrange(8 * len(addresses), len(data))
            data[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        fd = random.choice(fds)
        try:
            if n % 50:
                fcntl.ioctl(fd, t.code(type(arg)), data, True)
            else:
                g.leave(fd)
        except OSError as error:
            ok(
                error.errno
                in (
                    errno.EINVAL,
                    errno.EFAULT,
                    errno.EBUSY,
                    errno.ESTALE,
                    errno.ENXIO,
                    errno.ERANGE,
                    errno.ENOENT,
                    errno.EBADF,
                    errno.EPROTOTYPE,
                    errno.E2BIG,
                ),
                f"{error}: {type(arg).__name__} {data.hex()}",
            )
    seen = m.assignment()
    eq((seen.nr, seen.members), (4, 1))
    for fd in fds:
        os.close(fd)
        topic.fds.remove(fd)


if __name__ == "__main__":
    t.main()
