#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Queue groups: records are handed out, settled, released and given up."""
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import signal
import threading

import evdisk as d
import evgroup as g
import evstest as t
from evdisk import Durable
from evgroup import Child, QueueMember
from evstest import Topic, eq, fails, kafka, ok, wait_for

T0 = 1_700_000_000_000
IN_FLIGHT_MAX = 2000
BLOCKING = os.O_RDWR
FOREVER = 3600 * 1000


def put(topic, partition, *values):
    """Appends each value as a record of its own."""
    fd = os.open(topic.path(partition), os.O_WRONLY | os.O_CLOEXEC)
    for value in values:
        os.write(fd, value)
    os.close(fd)


def put_keyed(topic, *records, partition="any"):
    """Appends records of (key, value); where they are."""
    fd = os.open(topic.path(partition), os.O_WRONLY | os.O_CLOEXEC)
    array = t.append(fd, [{"key": k, "value": v} for k, v in records])
    os.close(fd)
    return [(r.partition, r.offset) for r in array]


def numbers(count, begin=0):
    return [b"%d" % n for n in range(begin, begin + count)]


def values(taken):
    return [r.value for r in taken]


def offsets(taken):
    return [r.offset for r in taken]


def filled(count, *options, **fields):
    """A topic of one partition with so many records, and a member."""
    topic = Topic(*options)
    put(topic, 0, *numbers(count))
    return topic, QueueMember(topic, **fields)


def letters(topic, count):
    """What is in a dead-letter topic, once so many are."""
    fd = topic.open("any")
    partitions = t.stat(fd).partitions
    wait_for(lambda: sum(t.end(fd, p) for p in range(partitions)) >= count, "dead letters")
    found = []
    for p in range(partitions):
        records = kafka.records_of(kafka.decode_batches(t.fetch_all(fd, p)))
        found += [dict(r, partition=p) for r in records]
    eq(len(found), count)
    return found


def stale(member, entry, how=g.ACCEPT):
    error = fails(errno.ESTALE, g.settle, member.fd, how, entry)
    eq((error.settled, error.errors), (0, [-errno.ESTALE]))


# ------------------------------------------------------------------ handing out


def test_what_is_handed_out():
    topic = Topic()
    records = [
        {"key": b"k", "value": b"value", "headers": [(b"a", b"1"), (b"b", None)], "timestamp": T0},
        {"key": None, "value": None, "timestamp": T0 + 5},
        {"key": b"", "value": b"", "timestamp": T0 + 7},
        {"key": b"x" * 300, "value": b"y" * 5000, "headers": [(b"", b"")], "timestamp": T0},
    ]
    t.append(topic.open(), records)
    a = QueueMember(topic)
    taken = a.acquire()
    eq(len(taken), 4)
    for n, (r, sent) in enumerate(zip(taken, records)):
        eq((r.partition, r.offset, r.deliveries, r.reserved), (0, n, 1, 0))
        eq((r.key, r.value, r.timestamp), (sent["key"], sent["value"], sent["timestamp"]))
        headers = sent.get("headers", [])
        eq((r.headers, r.headers_count), (kafka.encode_headers(headers), len(headers)))
    fails(errno.EAGAIN, a.acquire)
    eq(a.accept((0, 0, 3)), 1)
    at = a.position()
    eq((at.committed, at.owner), (4, 0))


def test_each_to_one_member():
    topic = Topic("-p", "4")
    for p in range(4):
        put(topic, p, *numbers(25))
    members = [QueueMember(topic) for _ in range(3)]
    got = []
    while True:
        more = [r for m in members for r in m.take(7)]
        if not more:
            break
        got += [r.at for r in more]
    eq(sorted(got), [(p, n) for p in range(4) for n in range(25)])
    # Of each partition in its order.
    for p in range(4):
        eq([n for q, n in got if q == p], list(range(25)))


def test_partitions_in_turn():
    topic = Topic("-p", "3")
    for p in range(3):
        put(topic, p, *numbers(10))
    a = QueueMember(topic)
    seen = [a.acquire(1)[0].partition for _ in range(6)]
    eq(sorted(seen[:3]), [0, 1, 2])
    eq(seen[3:], seen[:3])


def test_as_many_as_wanted():
    _, a = filled(10)
    eq(values(a.acquire(3)), numbers(3))
    eq(values(a.acquire(3)), numbers(3, 3))
    eq(values(a.acquire(100)), numbers(4, 6))
    fails(errno.EAGAIN, a.acquire)


def test_as_many_as_fit():
    topic = Topic()
    put(topic, 0, b"a" * 100, b"b" * 100, b"c" * 100)
    a = QueueMember(topic)
    error = fails(errno.EMSGSIZE, a.acquire, 10, 99)
    eq((error.need, error.nr), (100, 0))
    taken = a.acquire(10, 299)
    eq(values(taken), [b"a" * 100, b"b" * 100])
    error = fails(errno.EMSGSIZE, a.acquire, 10, 0)
    eq((error.need, error.nr), (100, 0))
    (last,) = a.acquire(10, 100)
    eq((last.value, last.deliveries), (b"c" * 100, 1))


def test_waits_for_a_record():
    topic = Topic("-p", "2")
    a = QueueMember(topic, mode=BLOCKING)
    eq(a.acquire(timeout=0), [])
    eq(a.acquire(timeout=20), [])
    got = []
    thread = threading.Thread(target=lambda: got.extend(a.acquire(timeout=-1)))
    thread.start()
    wait_for(lambda: thread.native_id and t.sleeps_in(thread.native_id, t.SYS_ioctl), "it waits")
    put(topic, 1, b"late")
    thread.join()
    eq([(r.partition, r.value) for r in got], [(1, b"late")])


def test_all_who_wait_get_one():
    topic = Topic()
    members = [QueueMember(topic, mode=BLOCKING) for _ in range(5)]
    got = []

    def run(m):
        got.append(m.acquire(1, timeout=-1)[0].offset)

    threads = [threading.Thread(target=run, args=(m,)) for m in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        wait_for(lambda: thread.native_id and t.sleeps_in(thread.native_id, t.SYS_ioctl), "")
    put(topic, 0, *numbers(5))
    for thread in threads:
        thread.join()
    eq(sorted(got), list(range(5)))


def test_poll():
    topic = Topic()
    a, b = QueueMember(topic), QueueMember(topic)
    eq(a.poll(), 0)
    put(topic, 0, b"one")
    eq((a.poll(), b.poll()), (select.POLLIN, select.POLLIN))
    a.acquire()
    # Nobody can have it now.
    eq((a.poll(), b.poll()), (0, 0))
    a.release((0, 0))
    eq(b.poll(-1), select.POLLIN)
    b.acquire()
    b.accept()
    eq((a.poll(), b.poll()), (0, 0))


def test_poll_wakes():
    topic = Topic("-p", "3")
    members = [QueueMember(topic) for _ in range(3)]
    with t.child(lambda: all(m.poll(-1) == select.POLLIN for m in members)) as pid:
        ok(t.sleeps_in(pid, t.SYS_poll), "it waits")
        put(topic, 2, b"one")


def test_a_fault_acquires_nothing():
    topic, a = filled(3)
    # A page that is not there behind one that is.
    area = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    size = ctypes.sizeof(g.Acquired)
    base = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    eq(libc.mprotect(ctypes.c_void_p(base + mmap.PAGESIZE), mmap.PAGESIZE, 0), 0)
    # The third record's value, the second one's entry, all, none of the buffer.
    edge = base + mmap.PAGESIZE
    for fields in ({"buf": edge - 2}, {"buf": edge}, {"records": edge - size - 8},
                   {"records": edge}, {"records": 0}):
        fails(errno.EFAULT, lambda: a.acquire(3, 100, **fields))
    stale(a, (0, 0))
    eq([(r.value, r.deliveries) for r in a.acquire()], [(v, 1) for v in numbers(3)])
    # Read, too.
    b = QueueMember(topic)
    put(topic, 0, b"fault")
    eq(libc.read(b.fd, ctypes.c_void_p(edge - 2), ctypes.c_size_t(100)), -1)
    eq(ctypes.get_errno(), errno.EFAULT)
    eq([(r.value, r.deliveries) for r in b.acquire()], [(b"fault", 1)])


class Uffd(ctypes.Structure):
    """struct uffdio_api, _register (with its range) and _zeropage, as far as they go."""

    _fields_ = [("a", ctypes.c_uint64), ("b", ctypes.c_uint64), ("c", ctypes.c_uint64),
                ("d", ctypes.c_uint64)]


@contextlib.contextmanager
def stalled(member, count):
    """An ACQUIRE that waits for the user's memory while the body runs: what it took."""
    libc = ctypes.CDLL(None, use_errno=True)
    uffd = libc.syscall(323, os.O_CLOEXEC | os.O_NONBLOCK)
    if uffd < 0:
        raise t.Skip("there is no userfaultfd here")
    area = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = ctypes.addressof(ctypes.c_char.from_buffer(area))

    def control(number, size, *what):
        fcntl.ioctl(uffd, 3 << 30 | size << 16 | 0xAA << 8 | number, Uffd(*what), True)

    control(0x3F, 24, 0xAA)
    control(0x00, 32, base, mmap.PAGESIZE, 1)
    got = []
    thread = threading.Thread(target=lambda: got.extend(member.acquire(count, 100, buf=base)))
    thread.start()
    try:
        # It is there, and waits.
        ok(select.select([uffd], [], [])[0], "it has faulted")
        os.read(uffd, 32)
        yield got
    finally:
        control(0x04, 32, base, mmap.PAGESIZE)
        thread.join()
        os.close(uffd)


def test_a_slow_buffer_is_its_owners():
    """Who has a record copied to where it never arrives holds up nobody."""
    topic, a = filled(4, lock_ms=50, max_deliveries=1000, mode=BLOCKING)
    b = QueueMember(topic, mode=BLOCKING)
    with stalled(a, 2) as got:
        # Others have what is behind it, and, in the end, what it had.
        seen = {}
        while b.position().committed < 4:
            for r in b.acquire(timeout=100):
                seen[r.offset] = r.deliveries
            b.accept()
        eq(sorted(seen), [0, 1, 2, 3])
        ok(seen[0] > 1, f"it was handed out again: {seen}")
    for r in got:
        stale(a, r.at)
    eq(b.position().committed, 4)


def test_copy_that_waits_for_longer_than_its_lock():
    """What it had is not handed out to the same call again."""
    topic, a = filled(1, lock_ms=50, max_deliveries=1000, mode=BLOCKING)
    b = QueueMember(topic)
    with stalled(a, 2) as got:
        ok(select.select([b.fd], [], [])[0], "its lock has ended")
    eq([(r.offset, r.deliveries) for r in got], [(0, 1)])
    stale(a, (0, 0))
    eq([(r.offset, r.deliveries) for r in b.acquire()], [(0, 2)])


def test_larger_entries():
    _, a = filled(2)
    size = ctypes.sizeof(g.Acquired) + 24
    area = ctypes.create_string_buffer(b"\xff" * (2 * size), 2 * size)
    buf = ctypes.create_string_buffer(100)
    arg = g.Acquire(records=g.address(area), buf=g.address(buf), nr_records=2, record_size=size,
                    len=100)
    t.ioctl(a.fd, arg)
    eq(arg.nr, 2)
    for n in range(2):
        entry = area.raw[n * size : (n + 1) * size]
        eq(g.Acquired.from_buffer_copy(entry).offset, n)
        eq(entry[-24:], b"\0" * 24)


# --------------------------------------------------------------------- settling


def test_committed_is_the_first_not_settled():
    topic, a = filled(6)
    b = QueueMember(topic)
    a.acquire()
    eq(a.position().committed, 0)
    for what, committed in (((0, 1), 0), ((0, 3, 4), 0), ((0, 0), 2), ((0, 2), 5), ((0, 5), 6)):
        eq(a.accept(what), 1)
        eq(b.position().committed, committed, f"after {what}")
    fails(errno.EAGAIN, b.acquire)


def test_accept_all():
    topic = Topic("-p", "3")
    a, b = QueueMember(topic), QueueMember(topic)
    for p in range(3):
        put(topic, p, *numbers(100))
    mine, other = a.acquire(150), b.acquire(150)
    eq((len(mine), len(other)), (150, 150))
    a.accept()
    stale(a, mine[0].at)
    b.accept()
    eq([a.position(p).committed for p in range(3)], [100] * 3)
    # Nothing is not an error.
    a.accept()


def test_release():
    topic, a = filled(5)
    b = QueueMember(topic)
    eq(offsets(a.acquire(4)), [0, 1, 2, 3])
    a.release((0, 2), (0, 1))
    # The first ones first, before what is new.
    eq([(r.offset, r.deliveries) for r in b.acquire()], [(1, 2), (2, 2), (4, 1)])
    stale(a, (0, 1))
    b.accept((0, 1, 2))
    a.release((0, 0))
    eq([(r.offset, r.deliveries) for r in a.acquire()], [(0, 2)])


def test_reject():
    _, a = filled(3)
    a.acquire()
    a.reject((0, 0, 1))
    eq(a.position().committed, 2)
    a.reject((0, 2))
    eq(a.position().committed, 3)
    fails(errno.EAGAIN, a.acquire)


def test_stale():
    topic, a = filled(10)
    b = QueueMember(topic)
    a.acquire(4)
    eq(offsets(b.acquire(2)), [4, 5])
    for how in (g.ACCEPT, g.RELEASE, g.REJECT, g.RENEW):
        # Another one's, nobody's, one of each, not there yet.
        for what in ((0, 4), (0, 6), (0, 0, 4), (0, 3, 4), (0, 0, 6), (0, 77), (0, 0, 2**62)):
            stale(a, what, how)
    eq(a.accept((0, 1)), 1)
    # Twice, and around what was settled.
    stale(a, (0, 1))
    stale(a, (0, 0, 3))
    error = fails(errno.ESTALE, a.accept, (0, 0), (0, 1), (0, 2))
    eq((error.settled, error.errors), (2, [0, -errno.ESTALE, 0]))
    eq(a.position().committed, 3)
    b.accept((0, 4, 5))
    eq(a.accept((0, 3)), 1)
    eq(a.position().committed, 6)


def test_bad_input():
    topic, a = filled(2)
    a.acquire(1)
    for entry in ((0, -1), (0, 1, 0), (0, 0, -1)):
        error = fails(errno.EINVAL, a.accept, entry)
        eq(error.errors, [-errno.EINVAL])
    fails(errno.EINVAL, g.settle, a.fd, 4, (0, 0))
    fails(errno.ENXIO, a.accept, (1, 0))
    fails(errno.ENXIO, a.accept, (t.ALL, 0))
    fails(errno.EINVAL, lambda: a.accept((0, 0), flags=2))
    for bad in ({"flags": 1}, {"reserved": 1}, {"nr_records": 0}, {"nr_records": 1025},
                {"record_size": 55}, {"record_size": 4097}, {"timeout_ms": -2},
                {"len": 0xFFFFFFFF}):
        fails(errno.EINVAL, lambda: a.acquire(**bad))
    # No member, and one of a group that has partitions.
    plain = topic.open("any")
    fails(errno.ESTALE, g.acquire, plain)
    fails(errno.ESTALE, g.settle, plain, g.ACCEPT, (0, 0))
    other = g.Member(topic, "partitions")
    fails(errno.EPROTOTYPE, g.acquire, other.fd)
    fails(errno.EPROTOTYPE, g.settle, other.fd, g.ACCEPT, (0, 0))
    # And what a queue's member cannot do.
    fails(errno.EPROTOTYPE, a.commit, (0, 0))
    fails(errno.EPROTOTYPE, a.commit)
    fails(errno.EPROTOTYPE, a.fetch)
    fails(errno.EPROTOTYPE, lambda: a.fetch(offset=0))
    fails(errno.EPROTOTYPE, a.seek)
    fails(errno.EPROTOTYPE, g.join, plain, "g")
    fails(errno.EPROTOTYPE, lambda: g.join(plain, "partitions", flags=g.JOIN_QUEUE))
    fails(errno.EINVAL, lambda: g.join(plain, "q", flags=g.JOIN_QUEUE | g.JOIN_AUTO))
    fails(errno.EINVAL, lambda: g.join(plain, "q", flags=g.JOIN_KEYED))
    fails(errno.EBADF, lambda: g.join(plain, "q", flags=g.JOIN_QUEUE, dead_letter=1 << 20))
    fails(errno.EINVAL, lambda: g.join(plain, "q", flags=g.JOIN_QUEUE, dead_letter=0))
    fails(errno.EINVAL, lambda: g.join(plain, "q", flags=g.JOIN_QUEUE, dead_letter=plain))
    reader = Topic().open(0, os.O_RDONLY)
    fails(errno.EBADF, lambda: g.join(plain, "q", flags=g.JOIN_QUEUE, dead_letter=reader))
    # Nothing of that has changed anything.
    eq(offsets(a.acquire()), [1])
    eq(a.accept((0, 0, 1)), 1)


def test_in_flight_window():
    topic = Topic()
    fd = topic.open()
    t.append(fd, [{"value": b"%d" % n} for n in range(1000)])
    t.append(fd, [{"value": b"%d" % n} for n in range(1000, 2000)])
    t.append(fd, [{"value": b"%d" % n} for n in range(2000, 2100)])
    a, b = QueueMember(topic), QueueMember(topic, mode=BLOCKING)
    eq(len(a.acquire()) + len(a.acquire()), IN_FLIGHT_MAX)
    fails(errno.EAGAIN, a.acquire)
    eq(b.poll(), 0)
    # What is settled makes room, wherever it is, and wakes who waits.
    got = []
    thread = threading.Thread(target=lambda: got.extend(b.acquire(timeout=-1)))
    thread.start()
    wait_for(lambda: thread.native_id and t.sleeps_in(thread.native_id, t.SYS_ioctl), "it waits")
    a.accept((0, 1500))
    thread.join()
    eq(offsets(got), [2000])
    a.accept((0, 0, 1499))
    eq(a.position().committed, 1501)
    eq(offsets(a.acquire()), list(range(2001, 2100)))
    b.accept()
    a.accept()
    eq(a.position().committed, 2100)


# -------------------------------------------------------------- what comes again


def test_lock_timeout():
    topic, a = filled(3, lock_ms=50, max_deliveries=1000)
    b = QueueMember(topic, mode=BLOCKING)
    a.acquire(2)
    again = {}
    while len(again) < 3:
        again |= {r.offset: r.deliveries for r in b.acquire(timeout=-1)}
    ok(again[0] > 1 and again[1] > 1, f"it was handed out again: {again}")
    stale(a, (0, 0))
    stale(a, (0, 0), g.RENEW)


def test_renew():
    topic, a = filled(2, lock_ms=FOREVER)
    b = QueueMember(topic)
    a.acquire(1)
    eq(a.renew((0, 0)), 1)
    fails(errno.ESTALE, b.renew, (0, 0))
    # It is a's still.
    eq(offsets(b.acquire()), [1])
    eq(a.accept((0, 0)), 1)
    fails(errno.ESTALE, a.renew, (0, 0))


def test_renew_for_as_long_as_one_likes():
    topic, a = filled(1, lock_ms=2000, max_deliveries=1)
    a.acquire()
    # Another queue's clock, that is no other than this one's.
    clock = QueueMember(topic, "clock", lock_ms=1500, max_deliveries=100)
    ticks = 0
    while ticks < 2:
        if clock.take():
            ticks += 1
        try:
            a.renew((0, 0))
        except OSError:
            # The machine was too slow, and that is not what is tested.
            raise t.Skip("it took more than a second to come back") from None
    eq(a.position().committed, 0)
    eq(a.accept((0, 0)), 1)


def test_death():
    topic = Topic("-p", "3")
    for p in range(3):
        put(topic, p, *numbers(5))
    b = QueueMember(topic, mode=BLOCKING, lock_ms=FOREVER)

    def life(child):
        m = QueueMember(topic)
        ok(len(m.acquire()) == 15, "it has them all")
        child.tell()
        signal.pause()

    child = Child(life)
    child.hear()
    got = []
    eq(b.acquire(timeout=0), [])
    thread = threading.Thread(target=lambda: got.extend(b.acquire(timeout=-1)))
    thread.start()
    wait_for(lambda: thread.native_id and t.sleeps_in(thread.native_id, t.SYS_ioctl), "it waits")
    child.kill()
    thread.join()
    got += b.acquire(timeout=0)
    eq(sorted((*r.at, r.deliveries) for r in got), [(p, n, 2) for p in range(3) for n in range(5)])


def test_death_at_once():
    """When close() returns, the others can have it."""
    topic, a = filled(3, lock_ms=FOREVER)
    b = QueueMember(topic)
    a.acquire()
    fails(errno.EAGAIN, b.acquire)
    a.close()
    eq([(r.offset, r.deliveries) for r in b.acquire()], [(0, 2), (1, 2), (2, 2)])


def test_leave():
    topic, a = filled(3, lock_ms=FOREVER)
    b = QueueMember(topic)
    a.acquire(2)
    a.leave()
    for call in (a.acquire, a.accept, lambda: a.accept((0, 0)), a.read, a.position):
        fails(errno.ESTALE, call)
    eq(offsets(b.acquire(2)), [0, 1])
    a.join()
    fails(errno.ESTALE, a.accept, (0, 0))
    eq(offsets(a.acquire()), [2])
    a.accept()
    b.accept()
    eq(a.position().committed, 3)


def test_without_members():
    """A group goes on where it was."""
    topic, a = filled(4, lock_ms=FOREVER, max_deliveries=3)
    a.acquire(3)
    a.accept((0, 1))
    a.close()
    b = QueueMember(topic)
    eq([(r.offset, r.deliveries) for r in b.acquire()], [(0, 2), (2, 2), (3, 1)])
    b.accept()
    eq(b.position().committed, 4)


def test_deliveries():
    topic, a = filled(2, max_deliveries=3)
    for n in range(3):
        eq([(r.offset, r.deliveries) for r in a.acquire(1)], [(0, n + 1)])
        eq(a.position().committed, 0)
        a.release((0, 0))
    # Given up, as there is nowhere to put it.
    eq(a.position().committed, 1)
    eq(offsets(a.acquire()), [1])
    # By death, too.
    b = QueueMember(topic)
    for n in range(2, 4):
        a.close()
        a, b = b, QueueMember(topic)
        eq([(r.offset, r.deliveries) for r in a.acquire()], [(1, n)])
    a.close()
    fails(errno.EAGAIN, b.acquire)
    eq(b.position().committed, 2)


# ---------------------------------------------------------------- dead letters


def letter_headers(topic, partition, offset, deliveries, reason):
    return [
        (b"evstream.topic", topic.name.encode()),
        (b"evstream.partition", b"%d" % partition),
        (b"evstream.offset", b"%d" % offset),
        (b"evstream.deliveries", b"%d" % deliveries),
        (b"evstream.reason", reason),
    ]


def test_dead_letters():
    topic, dead = Topic("-p", "2"), Topic("-p", "5")
    own = [(b"mine", b"1"), (b"", None)]
    where = t.append(topic.open("any"), [
        {"key": b"rejected", "value": b"v" * 3000, "headers": own, "timestamp": T0},
        {"key": None, "value": None},
        {"key": b"released", "value": b""},
    ])
    a = QueueMember(topic, dead_letter=dead.open("any"), max_deliveries=2)
    eq(len(a.acquire()), 3)
    at = {i: (r.partition, r.offset) for i, r in enumerate(where)}
    a.reject(at[0], at[1])
    a.release(at[2])
    (again,) = a.acquire()
    eq(again.at, at[2])
    a.release(at[2])
    found = letters(dead, 3)
    by_key = {r["key"]: r for r in found}
    eq(by_key[b"rejected"]["value"], b"v" * 3000)
    eq(by_key[b"rejected"]["headers"], own + letter_headers(topic, *at[0], 1, b"rejected"))
    eq(by_key[b"rejected"]["partition"], kafka.partition_for_key(b"rejected", 5))
    eq(by_key[None]["value"], None)
    eq(by_key[None]["headers"], letter_headers(topic, *at[1], 1, b"rejected"))
    eq(by_key[b"released"]["value"], b"")
    eq(by_key[b"released"]["headers"], letter_headers(topic, *at[2], 2, b"deliveries"))
    wait_for(lambda: all(a.position(p).committed == a.position(p).end_offset for p in range(2)),
             "all is settled")
    fails(errno.EAGAIN, a.acquire)


def test_rejected_is_there_when_the_call_returns():
    topic, dead = Topic(), Topic()
    put(topic, 0, *numbers(3))
    a = QueueMember(topic, dead_letter=dead.open())
    a.acquire()
    a.reject((0, 0, 2))
    eq((t.end(dead.open()), a.position().committed), (3, 3))


def test_dead_letters_of_the_dead():
    topic, dead = Topic(), Topic("-p", "3")
    put(topic, 0, *numbers(3))
    # To one partition, whatever the key.
    first = QueueMember(topic, dead_letter=dead.open(1), max_deliveries=1, lock_ms=FOREVER)
    first.acquire()
    first.close()
    found = letters(dead, 3)
    eq([(r["partition"], r["value"]) for r in found], [(1, v) for v in numbers(3)])
    eq(found[2]["headers"], letter_headers(topic, 0, 2, 1, b"deliveries"))
    b = QueueMember(topic)
    wait_for(lambda: b.position().committed == 3, "all is settled")


def test_dead_letters_of_timeouts():
    topic, dead = Topic(), Topic()
    put(topic, 0, b"late")
    a = QueueMember(topic, dead_letter=dead.open(), max_deliveries=1, lock_ms=20)
    a.acquire()
    (found,) = letters(dead, 1)
    eq(found["headers"], letter_headers(topic, 0, 0, 1, b"deliveries"))
    stale(a, (0, 0))


def test_dead_letters_wait_for_room():
    topic, dead = Topic(), Topic("--segment", "64K", "--ring", "128K", "--full", "fail")
    out = dead.open()
    while True:
        try:
            os.write(out, b"x" * 4000)
        except OSError as error:
            eq(error.errno, errno.ENOSPC)
            break
    put(topic, 0, b"r" * 4000, b"next")
    a = QueueMember(topic, dead_letter=out)
    eq(offsets(a.acquire(1)), [0])
    eq(a.reject((0, 0)), 1)
    # Nobody's, and not settled.
    eq(offsets(a.acquire()), [1])
    a.accept((0, 1))
    eq(a.position().committed, 0)
    stale(a, (0, 0))
    end = t.end(out)
    t.ioctl(out, t.Trim(offset=-1))
    wait_for(lambda: a.position().committed == 2, "the letter is there")
    batches = kafka.decode_batches(t.fetch_all(out, offset=end))
    eq([r["value"] for r in kafka.records_of(batches)], [b"r" * 4000])


def test_dead_letters_that_cannot_be():
    """They do not hold up what is behind them."""
    topic = Topic("-p", "2", "--segment", "1M", "--max-record", "200K")
    dead = Topic("--segment", "64K", "--max-record", "32K")
    put(topic, 0, b"x" * 100000, *numbers(3, 1))
    out = dead.open()
    a = QueueMember(topic, dead_letter=out, max_deliveries=1)
    eq(len(a.acquire()), 4)
    # Larger than any segment there.
    a.reject((0, 0))
    eq((a.position().committed, t.end(out)), (1, 0))
    a.reject((0, 1))
    eq((a.position().committed, t.end(out)), (2, 1))
    dead.delete()
    a.reject((0, 2))
    eq(a.position().committed, 3)
    a.release((0, 3))
    wait_for(lambda: a.position().committed == 4, "it is settled")


def test_each_others_dead_letters():
    """Two topics, each the other's: both can go."""
    a, b = Topic(), Topic()
    x = QueueMember(a, dead_letter=b.open())
    y = QueueMember(b, dead_letter=a.open())
    put(a, 0, b"one")
    x.acquire()
    x.reject((0, 0))
    (back,) = y.acquire()
    eq(back.value, b"one")
    y.reject((0, 0))
    (again,) = x.acquire()
    eq((again.value, again.offset, again.headers_count), (b"one", 1, 10))


# -------------------------------------------------------------------- keyed


def test_keyed():
    topic = Topic()
    put_keyed(topic, (b"a", b"a1"), (b"a", b"a2"), (b"b", b"b1"), (None, b"n1"), (b"a", b"a3"),
              (None, b"n2"), (b"b", b"b2"), (b"", b"e1"), (b"", b"e2"), partition=0)
    a, b = QueueMember(topic, flags=g.JOIN_KEYED), QueueMember(topic)
    eq(values(a.acquire()), [b"a1", b"b1", b"n1", b"n2", b"e1"])
    fails(errno.EAGAIN, b.acquire)
    eq(b.poll(), 0)
    # What is released comes before what is behind it.
    a.release((0, 0))
    eq([(r.value, r.deliveries) for r in b.acquire()], [(b"a1", 2)])
    b.accept((0, 0))
    eq(values(a.acquire()), [b"a2"])
    a.reject((0, 1))
    eq(values(b.acquire()), [b"a3"])
    a.accept((0, 2), (0, 7))
    eq(values(b.acquire()), [b"b2", b"e2"])
    eq(a.position().committed, 3)
    put_keyed(topic, (b"a", b"a4"), (b"c", b"c1"), partition=0)
    eq(values(a.acquire()), [b"c1"])
    b.accept((0, 4))
    eq(values(b.acquire()), [b"a4"])
    a.accept()
    b.accept()
    eq(a.position().committed, 11)


def test_keyed_goes_on_after_death():
    topic = Topic("-p", "4")
    keys = [b"key %d" % n for n in range(8)]
    for n in range(5):
        put_keyed(topic, *((k, b"%d" % n) for k in keys))
    a = QueueMember(topic, flags=g.JOIN_KEYED, lock_ms=FOREVER, max_deliveries=100)
    b = QueueMember(topic)
    seen = {k: [] for k in keys}
    for n in range(20):
        taken = a.acquire()
        eq(len({r.key for r in taken}), len(taken), "one of each key")
        eq(sorted(r.key for r in taken), sorted(k for k in keys if len(seen[k]) < 5))
        if n % 4:
            for r in taken:
                seen[r.key].append(r.value)
            a.accept()
        else:
            a.close()
            a, b = b, QueueMember(topic)
        if all(len(s) == 5 for s in seen.values()):
            break
    eq(seen, {k: numbers(5) for k in keys})
    eq(sum(a.position(p).committed for p in range(4)), 40)


def test_keyed_window():
    """One key's records fill the window: others behind it wait, and come."""
    topic = Topic()
    fd = topic.open()
    for n in range(3):
        t.append(fd, [{"key": b"k", "value": b"%d" % (n * 1000 + i)} for i in range(1000)])
    put_keyed(topic, (b"other", b"other"), partition=0)
    a = QueueMember(topic, flags=g.JOIN_KEYED)
    eq(values(a.acquire()), [b"0"])
    fails(errno.EAGAIN, a.acquire)
    eq(a.poll(), 0)
    for n in range(1100):
        a.accept((0, n))
        taken = a.acquire(4, 100)
        eq(values(taken)[0], b"%d" % (n + 1))
        if len(taken) > 1:
            eq(values(taken), [b"%d" % (n + 1), b"other"])
            # As soon as the window reaches it.
            eq(n + 1, 3001 - IN_FLIGHT_MAX)
            return
    ok(False, "the other key's record came")


def test_long_keys():
    topic = Topic("--segment", "1M")
    keys = [b"x" * 100000 + b"%d" % (n % 2) for n in range(4)]
    put_keyed(topic, *((k, b"%d" % n) for n, k in enumerate(keys)), partition=0)
    a = QueueMember(topic, flags=g.JOIN_KEYED)
    eq(values(a.acquire()), [b"0", b"1"])
    a.accept()
    taken = a.acquire()
    eq([(r.key, r.value) for r in taken], [(keys[2], b"2"), (keys[3], b"3")])


# -------------------------------------------------------------------- read()


def test_read():
    topic, a = filled(3)
    b = QueueMember(topic)
    eq((a.read(), a.position().committed), (b"0", 0))
    eq(b.read(), b"1")
    # The next one accepts what the one before it returned.
    eq((a.read(), a.position().committed), (b"2", 1))
    fails(errno.EAGAIN, b.read)
    eq(a.position().committed, 2)
    stale(b, (0, 1))
    fails(errno.EAGAIN, a.read)
    eq(a.position().committed, 3)


def test_read_and_settle():
    _, a = filled(4)
    eq(a.read(), b"0")
    a.release((0, 0))
    # It is not accepted by this, since it is not a's any more.
    eq(a.read(), b"0")
    (other,) = a.acquire(1)
    eq(other.offset, 1)
    # What ACQUIRE took is not read()'s to accept.
    eq(a.read(), b"2")
    eq(a.position().committed, 1)
    a.accept()
    eq(a.position().committed, 3)


def test_short_buffer():
    topic = Topic()
    put(topic, 0, b"long value", b"", b"x")
    a, b = QueueMember(topic), QueueMember(topic)
    fails(errno.EMSGSIZE, a.read, 9)
    (r,) = b.acquire(1)
    eq((r.offset, r.deliveries), (0, 1))
    b.release((0, 0))
    eq(a.read(10), b"long value")
    eq(a.read(10), b"")
    eq(a.read(10), b"x")


def test_read_lines():
    topic = Topic("--framing", "line")
    os.write(topic.open(), b"one\ntwo\n")
    a = QueueMember(topic)
    fails(errno.EMSGSIZE, a.read, 3)
    eq((a.read(4), a.read()), (b"one\n", b"two\n"))
    fails(errno.EAGAIN, a.read)


def test_reader_dies():
    topic, b = filled(3, lock_ms=FOREVER)

    def life(child):
        m = QueueMember(topic)
        m.read()
        m.read()
        child.tell()
        signal.pause()

    child = Child(life)
    child.hear()
    child.kill()
    # The first one was accepted by the second read, the second by none.
    eq([(r.offset, r.deliveries) for r in b.acquire()], [(1, 2), (2, 1)])


def test_read_waits():
    topic = Topic("-p", "2")
    a = QueueMember(topic, mode=BLOCKING)
    with t.child(lambda: os.read(a.fd, 10) == b"late") as pid:
        ok(t.sleeps_in(pid, t.SYS_read), "it waits")
        put(topic, 1, b"late")


# ------------------------------------------------------- what happens to the log


def test_seek():
    topic, a = filled(10)
    a.acquire(6)
    a.accept((0, 0, 2))
    eq(a.position().committed, 3)
    t.must("group", "seek", topic.name, "g", "--to-offset", "1")
    at = a.position()
    eq(at.committed, 1)
    # Who has some of before has nothing.
    for n in range(3, 6):
        stale(a, (0, n))
    eq([(r.offset, r.deliveries) for r in a.acquire(3)], [(1, 1), (2, 1), (3, 1)])
    t.must("group", "seek", topic.name, "g", "--to-end")
    fails(errno.EAGAIN, a.acquire)
    put(topic, 0, b"new")
    eq(offsets(a.acquire()), [10])
    a.accept()
    t.must("group", "seek", topic.name, "g", "--to-beginning")
    eq(offsets(a.acquire()), list(range(11)))


def test_seek_wakes():
    topic, a = filled(3, mode=BLOCKING)
    a.acquire()
    a.accept()
    got = []
    thread = threading.Thread(target=lambda: got.extend(a.acquire(timeout=-1)))
    thread.start()
    wait_for(lambda: thread.native_id and t.sleeps_in(thread.native_id, t.SYS_ioctl), "it waits")
    t.must("group", "seek", topic.name, "g", "--to-beginning")
    thread.join()
    eq(offsets(got), [0, 1, 2])


def test_gone_from_the_log():
    topic, a = filled(10)
    fd = topic.open()
    a.acquire(4)
    a.release((0, 1))
    t.ioctl(fd, t.Trim(offset=6))
    # What is held can be settled; what is not and is gone is.
    eq(offsets(a.acquire()), [6, 7, 8, 9])
    eq(a.accept((0, 0), (0, 2)), 2)
    eq(a.position().committed, 3)
    a.release((0, 3))
    fails(errno.EAGAIN, a.acquire)
    eq(a.position().committed, 6)
    a.accept()
    eq(a.position().committed, 10)


def test_gone_while_nobody_looks():
    topic, a = filled(5)
    t.ioctl(topic.open(), t.Trim(offset=-1))
    fails(errno.EAGAIN, a.acquire)
    eq((a.poll(), a.position().committed), (0, 5))
    put(topic, 0, b"new")
    eq(offsets(a.acquire()), [5])


def test_compressed():
    topic = Topic("-p", "2")
    fd = topic.open("any")
    put(topic, 0, b"before")
    batch = kafka.encode_batch([], attributes=1, count=3, last_offset_delta=2,
                               base_timestamp=T0, max_timestamp=T0, body=b"who knows")
    t.append_batch(fd, batch, 0)
    put(topic, 0, b"behind")
    put(topic, 1, *numbers(2))
    a = QueueMember(topic)
    eq(sorted(values(a.acquire())), [b"0", b"1", b"before"])
    fails(errno.EOPNOTSUPP, a.acquire)
    fails(errno.EOPNOTSUPP, a.read)
    # The other partition goes on.
    put(topic, 1, b"2")
    eq(values(a.acquire()), [b"2"])
    a.accept()
    eq(a.position(0).committed, 1)
    t.must("group", "seek", topic.name, "g", "-p", "0", "--to-offset", "4")
    eq(values(a.acquire()), [b"behind"])


def test_batches_of_many():
    topic = Topic()
    fd = topic.open()
    t.append_batch(fd, kafka.encode_batch(
        [{"value": b"%d" % n, "timestamp": T0 + n} for n in range(500)]))
    a = QueueMember(topic)
    taken = a.acquire()
    eq([(r.offset, r.value, r.timestamp) for r in taken],
       [(n, b"%d" % n, T0 + n) for n in range(500)])
    a.release((0, 100, 299))
    a.accept((0, 300, 499), (0, 0, 99))
    eq(a.position().committed, 100)
    eq([(r.offset, r.value) for r in a.acquire()], [(n, b"%d" % n) for n in range(100, 300)])


def test_makes_room_for_producers():
    """What is settled in a topic that blocks its producers can go."""
    topic = Topic("--segment", "64K", "--ring", "128K", "--full", "block")
    a = QueueMember(topic)
    out = topic.open(0, os.O_WRONLY | os.O_NONBLOCK)
    sent = 0
    while sent < 200:
        try:
            os.write(out, b"%04d" % sent + b"." * 4000)
            sent += 1
            continue
        except BlockingIOError:
            pass
        taken = a.acquire()
        ok(taken, "there is something to settle")
        a.accept()
    got = a.take()
    eq(got[-1].value[:4], b"0199")


def test_read_back_from_files():
    topic = Durable(d.memory_place(), "-p", "1", "--segment", "64K")
    fd = topic.open()
    values_sent = [b"%d " % n + b"." * 700 for n in range(900)]
    for n in range(0, 900, 30):
        t.append(fd, [{"key": b"%d" % (i % 50), "value": values_sent[i]} for i in range(n, n + 30)])
    a = QueueMember(topic, flags=g.JOIN_KEYED)
    b = QueueMember(topic, "unkeyed")
    seen, turn = {}, 0
    while len(seen) < 900:
        d.evict(fd)
        # In pieces, of which every third one comes back.
        taken = a.acquire(20)
        turn += 1
        for r in taken:
            eq(r.value, values_sent[r.offset])
            if turn % 3:
                ok(r.offset not in seen, f"{r.offset} comes once")
                ok(all(n in seen for n in range(r.offset % 50, r.offset, 50)), "in its order")
                seen[r.offset] = True
                a.accept(r.at)
            else:
                a.release(r.at)
    eq(a.position().committed, 900)
    got = b.acquire()
    eq(values(got), values_sent)
    b.release((0, 0, 899))
    d.evict(fd)
    eq([(r.value, r.deliveries) for r in b.acquire()], [(v, 2) for v in values_sent])


def test_dead_letters_that_cannot_be_read():
    topic, dead = Durable(d.memory_place(), "-p", "1", "--segment", "64K"), Topic()
    fd = topic.open()
    for n in range(100):
        os.write(fd, b"%d " % n + b"." * 2000)
    a = QueueMember(topic, dead_letter=dead.open())
    eq(len(a.acquire()), 100)
    d.evict(fd)
    with open(f"{topic.part()}/{topic.logs()[0]}", "r+b", buffering=0) as file:
        file.seek(1000)
        file.write(b"damage")
    a.reject((0, 0, 9))
    eq((a.position().committed, t.end(dead.open())), (10, 9))


def test_attached_again():
    """What was committed counts, and nothing else."""
    topic, dead = Durable(d.memory_place(), "-p", "2"), Topic()
    put(topic, 0, *numbers(10))
    out = dead.open()
    a = QueueMember(topic, dead_letter=out, max_deliveries=2, lock_ms=FOREVER)
    a.acquire(7)
    a.accept((0, 0, 2), (0, 4))
    a.release((0, 5))
    eq(a.position().committed, 3)
    a.close()
    topic.detach()
    topic.attach()
    # Who joins first says what the queue is like from now on.
    a = QueueMember(topic, flags=g.JOIN_EXISTING, max_deliveries=1, dead_letter=out)
    eq([(r.offset, r.deliveries) for r in a.acquire()], [(n, 1) for n in range(3, 10)])
    a.release((0, 3))
    (letter,) = letters(dead, 1)
    eq(letter["headers"], letter_headers(topic, 0, 3, 1, b"deliveries"))
    a.accept((0, 4, 9))
    wait_for(lambda: a.position().committed == 10, "all is settled")
    a.close()
    topic.detach()
    topic.attach()
    a = QueueMember(topic, flags=g.JOIN_EXISTING)
    eq((a.position().committed, a.take()), (10, []))


def test_topic_goes():
    topic, a = filled(2)
    a.acquire(1)
    with t.child(lambda: bool(QueueMember(topic, "other", mode=BLOCKING).acquire())):
        pass
    b = QueueMember(topic, "waits", mode=BLOCKING)
    b.acquire()
    errors = []

    def wait():
        try:
            b.acquire(timeout=-1)
        except OSError as error:
            errors.append(error.errno)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_for(lambda: thread.native_id and t.sleeps_in(thread.native_id, t.SYS_ioctl), "it waits")
    topic.delete()
    thread.join()
    eq(errors, [errno.ENODEV])
    for call in (a.acquire, a.accept, lambda: a.accept((0, 0)), a.read):
        fails(errno.ENODEV, call)
    ok(a.poll() & select.POLLHUP, "it hangs up")


def test_group_goes():
    topic, a = filled(2)
    a.acquire()
    status, _, err = t.streamctl("group", "delete", topic.name, "g")
    ok(status and b"usy" in err, f"it has members: {err}")
    a.close()
    t.must("group", "delete", topic.name, "g")
    b = QueueMember(topic)
    eq([(r.offset, r.deliveries) for r in b.acquire()], [(0, 1), (1, 1)])


def test_group_show():
    topic, dead = Topic("-p", "2"), Topic()
    a = QueueMember(topic, dead_letter=dead.open(), lock_ms=1234567, max_deliveries=7,
                    flags=g.JOIN_KEYED)
    for n in range(6):
        put_keyed(topic, (b"%d" % n, b"x"), partition=0)
    a.acquire(4)
    a.release((0, 1))
    a.accept((0, 0))
    show = json.loads(t.must("-j", "group", "show", topic.name, "g"))
    eq((show["lock_ms"], show["max_deliveries"], show["keyed"], show["dead_letter"]),
       (1234567, 7, True, dead.name))
    eq([m["held"] for m in show["member"]], [2])
    eq([(o["committed"], o["position"], o["held"], o["released"]) for o in show["partition"]],
       [(1, 4, 2, 1), (0, 0, 0, 0)])


def test_inherited():
    """A child that has the file is the member, too."""
    topic, a = filled(2, lock_ms=FOREVER)
    b = QueueMember(topic)
    a.acquire()
    child = Child(lambda c: (c.tell(), c.hear()), keep=(a,))
    child.hear()
    a.close()
    fails(errno.EAGAIN, b.acquire)
    child.tell()
    eq(child.wait(), 0)
    eq(offsets(b.acquire()), [0, 1])


def test_nonblocking_by_flag():
    topic, a = filled(1, mode=BLOCKING)
    a.acquire()
    flags = fcntl.fcntl(a.fd, fcntl.F_GETFL)
    fcntl.fcntl(a.fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    fails(errno.EAGAIN, lambda: a.acquire(timeout=-1))
    put(topic, 0, b"more")
    eq(values(a.acquire(timeout=-1)), [b"more"])


if __name__ == "__main__":
    t.main()
