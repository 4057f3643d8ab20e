#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Consumer groups: who is served what, and what is committed."""
import contextlib
import ctypes
import errno
import json
import os
import select
import socket
import struct
import threading
import time

import evgroup as g
import evstest as t
from evgroup import Child, Member
from evstest import Failed, Topic, eq, fails, kafka, ok, parameter, wait_for

T0 = 1_700_000_000_000
BLOCKING = os.O_RDWR


class Call:
    """A call in a thread, that is known to sleep."""

    def __init__(self, number, function, *args):
        self.result = self.error = None
        self.tid = None
        self.thread = threading.Thread(target=self._run, args=(function, args), daemon=True)
        self.thread.start()
        wait_for(lambda: self.tid, "the thread runs")
        ok(t.sleeps_in(self.tid, number), "the call sleeps")

    def _run(self, function, args):
        self.tid = threading.get_native_id()
        try:
            self.result = function(*args)
        except OSError as error:
            self.error = error.errno

    def join(self):
        self.thread.join()
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return self.result

    def fails(self, code):
        fails(code, self.join)


def put(topic, partition, *values):
    """Appends each value as a record of its own."""
    fd = os.open(topic.path(partition), os.O_WRONLY | os.O_CLOEXEC)
    for value in values:
        os.write(fd, value)
    os.close(fd)


def partition_of(value):
    return int(value.split()[0])


def fill(topic, partitions, count, begin=0):
    """COUNT records for each partition: "partition number"."""
    for p in range(partitions):
        put(topic, p, *(b"%d %d" % (p, n) for n in range(begin, begin + count)))


def counts(members):
    return sorted(len(m.owned()) for m in members)


def check_balanced(members, partitions):
    """All is owned, by one each, and nobody has two more than another."""
    owned = [m.owned() for m in members]
    eq(sorted(p for ps in owned for p in ps), list(range(partitions)))
    sizes = [len(ps) for ps in owned]
    ok(max(sizes) - min(sizes) <= 1, f"balanced: {sizes}")
    for m, ps in zip(members, owned):
        for p in ps:
            eq(m.position(p).owner, m.number, f"owner of {p}")
    return owned


def asked(topic, extra=1, **fields):
    """
    A member that has read a record of each of two partitions and committed none,
    a second one, and the partition that the first one is asked for.
    """
    fill(topic, 2, 1 + extra)
    a = Member(topic, **fields)
    got = [a.read(), a.read()]
    eq(sorted(got), [b"0 0", b"1 0"])
    b = Member(topic)
    (p,) = a.revoking()
    eq((b.owned(), a.owned()), ([], [1 - p]))
    return a, b, p


# ------------------------------------------------------------------ assignment


def test_alone():
    topic = Topic("-p", "4")
    a = Member(topic)
    eq(a.owned(), [0, 1, 2, 3])
    seen = a.assignment()
    eq((seen.nr, seen.members, seen.member), (4, 1, a.number))
    eq([(e.offset, e.flags, e.reserved) for e in seen.list], [(0, 0, 0)] * 4)
    ok(seen.generation >= a.joined.generation > 0, "generations begin behind 0")
    at = a.position(2)
    eq((at.owner, at.flags, at.offset, at.committed), (a.number, 0, 0, 0))
    eq((at.start_offset, at.end_offset), (0, 0))


def test_balanced_and_sticky():
    for partitions in (1, 5, 8):
        topic = Topic("-p", partitions)
        members = []
        before = []
        for n in range(1, partitions + 3):
            members.append(Member(topic))
            owned = check_balanced(members, partitions)
            kept = sum(len(set(x) & set(y)) for x, y in zip(before, owned))
            # The new one has its share, and no others changed hands.
            eq(kept, partitions - len(owned[-1]), f"kept of {partitions} with {n}")
            eq(len(owned[-1]), partitions // n if n > 1 else partitions)
            before = owned
        for victim in (0, -1, partitions // 2):
            victim %= len(members)
            members.pop(victim).close()
            gone = before.pop(victim)
            if not members:
                break
            owned = check_balanced(members, partitions)
            for x, y in zip(before, owned):
                ok(set(x) <= set(y), f"{x} is kept in {y}")
            eq(sum(len(y) - len(x) for x, y in zip(before, owned)), len(gone))
            before = owned


def test_beyond_the_partitions():
    topic = Topic("-p", "2")
    a, b, c = (Member(topic) for _ in range(3))
    eq((counts((a, b)), c.owned()), ([1, 1], []))
    fill(topic, 2, 1)
    fails(errno.EAGAIN, c.read)
    eq(c.poll(), 0)
    fails(errno.ESTALE, c.commit, (0, 0))
    eq(c.commit(), 0)
    (p,) = a.owned()
    a.close()
    ok(c.poll() & select.POLLIN, "it has something to read")
    ok(c.poll() & select.POLLPRI, "its assignment changed")
    eq(c.owned(), [p])
    eq(c.read(), b"%d 0" % p)
    eq(b.read_all(), [b"%d 0" % (1 - p)])


def test_each_record_is_served_once():
    topic = Topic("-p", "6")
    fill(topic, 6, 20)
    members = [Member(topic) for _ in range(4)]
    got = [m.read_all() for m in members]
    everything = sorted(b"%d %d" % (p, n) for p in range(6) for n in range(20))
    eq(sorted(v for values in got for v in values), everything)
    for m, values in zip(members, got):
        for p in m.owned():
            eq([v for v in values if partition_of(v) == p], [b"%d %d" % (p, n) for n in range(20)])
        eq({partition_of(v) for v in values}, set(m.owned()))


def test_generations():
    topic = Topic("-p", "2")
    a = Member(topic)
    first = a.assignment().generation
    b = Member(topic)
    second = a.assignment().generation
    ok(second > first, "it grows")
    (p,) = b.owned()
    eq((a.generation(1 - p), b.generation(p)), (first, b.position(p).generation))
    ok(b.generation(p) > first, "it is new to its owner")
    eq(a.assignment().generation, second, "nothing has changed")


def test_room_for_fewer():
    a = Member(Topic("-p", "5"))
    seen = a.assignment(room=2)
    eq((seen.nr, [e.partition for e in seen.list]), (5, [0, 1]))
    eq(a.assignment(room=0).nr, 5)


def test_pri_until_assignment():
    topic = Topic("-p", "2")
    a = Member(topic)
    a.assignment()
    eq(a.poll(), 0)
    b = Member(topic)
    eq((a.poll(), a.poll()), (select.POLLPRI,) * 2)
    a.position()
    a.commit()
    eq(a.poll(), select.POLLPRI)
    a.assignment()
    eq(a.poll(), 0)
    b.close()
    eq(a.poll(), select.POLLPRI)
    a.assignment()
    # Of what another group does, nothing.
    Member(topic, "other")
    eq(a.poll(), 0)


def test_pri_wakes():
    topic = Topic("-p", "2")
    a = Member(topic)
    a.assignment()
    epoll = select.epoll()
    epoll.register(a.fd, select.EPOLLPRI)
    for join in (True, False):
        # epoll_wait
        call = Call(232, epoll.poll)
        if join:
            b = Member(topic)
        else:
            b.close()
        eq(call.join(), [(a.fd, select.EPOLLPRI)])
        a.assignment()
    epoll.close()


def test_groups_do_not_know_each_other():
    one, two = Topic("-p", "2"), Topic("-p", "2")
    fill(one, 2, 1)
    fill(two, 2, 1, 7)
    a, b, c = Member(one, "a"), Member(one, "b"), Member(two, "a")
    for m in (a, b, c):
        eq(m.owned(), [0, 1])
    eq((sorted(a.read_all()), sorted(b.read_all())), ([b"0 0", b"1 0"],) * 2)
    eq(sorted(c.read_all()), [b"0 7", b"1 7"])
    a.commit()
    eq((a.committed(), b.committed(), c.committed()), (1, 0, 0))


def test_others_read_as_before():
    topic = Topic("-p", "2")
    fill(topic, 2, 1)
    plain = topic.open("any", os.O_RDONLY | os.O_NONBLOCK)
    a = Member(topic)
    eq(len(a.read_all()), 2)
    a.commit()
    eq(sorted((os.read(plain, 9), os.read(plain, 9))), [b"0 0", b"1 0"])
    one = topic.open(1)
    eq(os.read(one, 9), b"1 0")
    # A member writes as anybody.
    os.write(a.fd, b"mine")
    eq(a.read(), b"mine")


# ----------------------------------------------------------------- begin, leave


def test_start():
    topic = Topic("-p", "2")
    for p in range(2):
        fd = topic.open(p)
        for n in range(4):
            t.append_batch(fd, kafka.encode_batch([{"value": b"%d" % n, "timestamp": T0 + n}]))
    for n, (fields, at) in enumerate(
        (
            ({"start": g.EARLIEST}, 0),
            ({"start": g.LATEST}, 4),
            ({"start": g.TIMESTAMP, "value": T0 + 2}, 2),
            ({"start": g.TIMESTAMP, "value": T0 - 9}, 0),
            ({"start": g.TIMESTAMP, "value": T0 + 9}, 4),
        )
    ):
        a = Member(topic, f"g{n}", **fields)
        for p in range(2):
            eq((a.position(p).committed, a.position(p).offset), (at, at), f"{fields}")
        eq(len(a.read_all()), 2 * (4 - at))
    t.ioctl(topic.open(1), t.Trim(offset=3))
    a = Member(topic, "late")
    eq((a.committed(0), a.committed(1)), (0, 3))


def test_start_is_settled_for_all():
    topic = Topic("-p", "3")
    fill(topic, 3, 2)
    a = Member(topic, static=[0], start=g.LATEST)
    fill(topic, 3, 1, 2)
    eq([a.committed(p) for p in range(3)], [2, 2, 2])
    # Nobody owned the others so far.
    eq([a.position(p).owner for p in range(3)], [a.number, 0, 0])
    b = Member(topic, start=g.EARLIEST)
    eq(b.owned(), [1, 2])
    eq(sorted(b.read_all()), [b"1 2", b"2 2"])
    eq(a.read_all(), [b"0 2"])


def test_group_lives_on():
    topic = Topic("-p", "2")
    fill(topic, 2, 3)
    a = Member(topic)
    eq(len(a.read_all()), 6)
    a.commit((0, 3), (1, 1))
    a.close()
    fill(topic, 2, 1, 3)
    b = Member(topic, start=g.LATEST)
    eq(sorted(b.read_all()), [b"0 3", b"1 1", b"1 2", b"1 3"])


def test_existing():
    topic = Topic()
    fd = topic.open("any")
    fails(errno.ENOENT, lambda: g.join(fd, "g", flags=g.JOIN_EXISTING))
    a = Member(topic)
    g.join(fd, "g", flags=g.JOIN_EXISTING)
    eq(a.assignment().members, 2)
    # It is no other group's for having tried.
    other = topic.open("any")
    fails(errno.ENOENT, lambda: g.join(other, "none", flags=g.JOIN_EXISTING))
    g.join(other, "g")


def test_queue_or_not():
    topic = Topic()
    Member(topic)
    Member(topic, "q", flags=g.JOIN_QUEUE)
    fd = topic.open("any")
    fails(errno.EPROTOTYPE, g.join, fd, "q")
    fails(errno.EPROTOTYPE, lambda: g.join(fd, "g", flags=g.JOIN_QUEUE))


def test_leave():
    topic = Topic("-p", "2")
    fill(topic, 2, 2)
    a, b = Member(topic), Member(topic)
    (p,) = a.owned()
    eq(a.read(), b"%d 0" % p)
    a.commit()
    a.leave()
    eq(b.owned(), [0, 1])
    fails(errno.ESTALE, a.read)
    fails(errno.ESTALE, a.commit, (p, 1))
    fails(errno.ESTALE, a.seek, 0, p)
    fails(errno.ESTALE, a.fetch, p)
    fails(errno.EBUSY, g.join, a.fd, "other")
    eq(sorted(b.read_all()), sorted([b"%d 1" % p, b"%d 0" % (1 - p), b"%d 1" % (1 - p)]))
    b.commit()
    old = a.number
    a.joined = a.join()
    ok(a.number != old, "numbers are not used twice")
    eq(counts((a, b)), [1, 1])
    fails(errno.EBUSY, a.join)
    fails(errno.EBUSY, g.join, a.fd, "other")


def test_leave_without_a_group():
    fd = Topic().open("any")
    for call in (g.leave, g.commit, g.position, g.assignment):
        try:
            call(fd)
        except OSError as error:
            ok(error.errno in (errno.EINVAL, errno.ESTALE), f"a clear error, not {error}")
        else:
            raise Failed("it worked")


def test_names():
    topic = Topic()
    good = [b"x", b"a" * 249, "größer".encode(), b" ", b"~", b"...", b"\xff\xfe", b".x", b"a\\b"]
    for name in good:
        fd = topic.open("any")
        g.join(fd, name)
        other = topic.open("any")
        g.join(other, name, flags=g.JOIN_EXISTING)
    bad = [b"", b".", b"..", b"a/b", b"/", b"\0", b"a\0", b"a\nb", b"\x1f", b"\x7f", b"\t"]
    bad.append(b"a" * 250)
    fd = topic.open("any")
    for name in bad:
        fails(errno.EINVAL, g.join, fd, name)
    g.join(fd, b"x")


# -------------------------------------------------------------------- takeover


def test_close():
    topic = Topic("-p", "4")
    fill(topic, 4, 1)
    a, b = Member(topic), Member(topic)
    mine = a.owned()
    eq(len(a.read_all()), 2)
    a.close()
    # They are here already.
    seen = b.assignment()
    eq((seen.nr, seen.members), (4, 1))
    got = b.read_all()
    eq(sorted(got), [b"0 0", b"1 0", b"2 0", b"3 0"])
    ok(set(mine) <= {partition_of(v) for v in got}, "what was not committed comes again")


def in_child(topic, then, before=None):
    """A child that is a member, has read a record and does something with it."""

    def work(child):
        m = Member(topic)
        m.read()
        if before:
            before(m)
        child.tell()
        child.hear()
        then(m)

    child = Child(work)
    eq(child.hear(), b".")
    return child


def takes_over(a, p, value):
    """What another one had is served by A, at this moment."""
    eq(a.owned(), [0, 1])
    eq([v for v in a.read_all() if partition_of(v) == p], [value])


def one_each(topic):
    """A member that waits for the partition that a child will have."""
    fill(topic, 2, 1)
    a = Member(topic)
    return a


def test_exit():
    topic = Topic("-p", "2")
    a = one_each(topic)
    child = in_child(topic, lambda m: None)
    (p,) = a.owned()
    child.tell()
    eq(child.wait(), 0)
    takes_over(a, 1 - p, b"%d 0" % (1 - p))


def test_sigkill():
    topic = Topic("-p", "2")
    a = one_each(topic)
    for commits in (False, True):
        child = in_child(topic, lambda m: None, (lambda m: m.commit()) if commits else None)
        (p,) = a.owned()
        eq(a.position(1 - p).offset, 1)
        eq(child.kill(), -9)
        at = a.position(1 - p)
        eq((at.owner, at.offset, at.committed), (a.number, int(commits), int(commits)))
    eq(a.read_all(), [b"%d 0" % p])


def test_sigkill_in_read():
    topic = Topic("-p", "2")
    a = Member(topic)

    def work(child):
        m = Member(topic, mode=BLOCKING)
        child.tell()
        m.read()

    child = Child(work)
    eq(child.hear(), b".")
    ok(t.sleeps_in(child.pid, t.SYS_read), "it waits")
    child.kill()
    eq(a.owned(), [0, 1])


def test_exec():
    topic = Topic("-p", "2")
    a = one_each(topic)

    def then(m):
        os.set_inheritable(m.fd, inherit)
        os.dup2(child_in, 0)
        os.dup2(child_out, 1)
        os.execv("/bin/sh", ["sh", "-c", "echo; read x"])

    for inherit in (False, True):
        child_in, parent_out = os.pipe()
        parent_in, child_out = os.pipe()
        child = in_child(topic, then)
        (p,) = a.owned()
        child.tell()
        eq(os.read(parent_in, 1), b"\n")
        # The program has begun: what it could not have is gone.
        eq(a.owned(), [p] if inherit else [0, 1])
        os.write(parent_out, b"\n")
        eq(child.wait(), 0)
        eq(a.owned(), [0, 1])
        for fd in (child_in, parent_out, parent_in, child_out):
            os.close(fd)


def test_fork():
    topic = Topic("-p", "2")
    a = Member(topic)
    b = Member(topic)
    (p,) = b.owned()

    def work(child):
        child.tell()
        child.hear()
        # Its parent's file: it is the same member.
        got = b.read_all()
        b.commit()
        os.write(child.outside, b"y" if got == [b"%d 1" % p] else b"n")
        child.hear()

    child = Child(work, keep=[b])
    eq(child.hear(), b".")
    fill(topic, 2, 1)
    eq(b.read(), b"%d 0" % p)
    b.close()
    eq(a.owned(), [1 - p])
    fill(topic, 2, 1, 1)
    child.tell()
    eq(child.hear(), b"y")
    eq(a.owned(), [1 - p])
    child.kill()
    eq(a.owned(), [0, 1])
    eq(a.committed(p), 2)


def test_dup():
    topic = Topic("-p", "2")
    a, b = Member(topic), Member(topic)
    (p,) = b.owned()
    copy = os.dup(b.fd)
    b.close()
    eq(a.owned(), [1 - p])
    put(topic, p, b"x")
    eq(os.read(copy, 9), b"x")
    eq(g.commit(copy), 1)
    os.close(copy)
    eq(a.owned(), [0, 1])
    eq(a.position(p).offset, 1)


def test_passed_over_a_socket():
    topic = Topic("-p", "2")
    a, b = Member(topic), Member(topic)
    (p,) = b.owned()
    mine, yours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def work(child):
        mine.close()
        child.tell()
        child.hear()
        fd = g.receive_fd(yours)
        os.write(child.outside, b"y" if os.read(fd, 9) == b"x" and g.commit(fd) == 1 else b"n")
        child.hear()

    child = Child(work)
    eq(child.hear(), b".")
    put(topic, p, b"x")
    g.send_fd(mine, b.fd)
    b.close()
    # Nobody has it at the moment but the socket.
    eq(a.owned(), [1 - p])
    child.tell()
    eq(child.hear(), b"y")
    eq(a.owned(), [1 - p])
    child.kill()
    eq(a.owned(), [0, 1])
    eq(a.position(p).offset, 1)
    mine.close()
    yours.close()


def test_lost_in_a_socket():
    topic = Topic("-p", "2")
    a, b = Member(topic), Member(topic)
    mine, yours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    g.send_fd(mine, b.fd)
    b.close()
    eq(len(a.owned()), 1)
    mine.close()
    yours.close()
    eq(a.owned(), [0, 1])


def test_takeover_wakes():
    topic = Topic("-p", "1")
    fill(topic, 1, 1)
    a = Member(topic)
    eq(a.read(), b"0 0")
    b = Member(topic, mode=BLOCKING)
    # read, FETCH, poll
    for number, call, expected in (
        (t.SYS_read, b.read, b"0 0"),
        (t.SYS_poll, lambda: bool(b.poll(-1) & select.POLLIN), True),
    ):
        b.assignment()
        waits = Call(number, call)
        a.close()
        eq(waits.join(), expected)
        b.seek(0)
        b.leave()
        a = Member(topic)
        eq(a.read(), b"0 0")
        b.joined = b.join()


# ------------------------------------------------------- one is asked for a partition


def test_asked():
    topic = Topic("-p", "2")
    a, b, p = asked(topic)
    eq(a.poll(), select.POLLIN)
    # It has 1 - p's second record to read, and no more of the other one.
    eq(a.read_all(), [b"%d 1" % (1 - p)])
    eq(a.poll(), 0)
    at = b.position(p)
    eq((at.owner, at.flags, at.offset, at.committed), (a.number, g.REVOKING, 1, 0))
    eq((b.poll() & select.POLLIN, b.read_all()), (0, []))
    fails(errno.ESTALE, a.fetch, p)
    fails(errno.ESTALE, lambda: a.fetch(p, offset=0))
    fails(errno.ESTALE, b.fetch, p)


def test_asked_is_told():
    topic = Topic("-p", "2")
    fill(topic, 2, 1)
    a = Member(topic)
    a.read_all()
    a.assignment()
    eq(a.poll(), 0)
    Member(topic)
    eq(a.poll(), select.POLLPRI)


def test_asked_and_committed():
    topic = Topic("-p", "2")
    a, b, p = asked(topic)
    a.commit((p, 0), (1 - p, 1))
    eq(a.revoking(), [p])
    a.commit((p, -1))
    eq((a.owned(), a.revoking(), b.owned()), ([1 - p], [], [p]))
    at = b.position(p)
    eq((at.owner, at.flags, at.offset, at.committed), (b.number, 0, 1, 1))
    eq(b.read_all(), [b"%d 1" % p])
    ok(b.poll() == 0, "it has seen it")


def test_asked_and_committed_all():
    topic = Topic("-p", "2")
    a, b, p = asked(topic)
    eq(a.commit(), 2)
    eq((b.owned(), b.position(p).offset), ([p], 1))


def test_asked_and_acknowledged():
    topic = Topic("-p", "2")
    a, b, p = asked(topic)
    generation = a.assignment().generation
    a.assignment(ack=1)
    eq((a.revoking(), b.owned()), ([p], []))
    a.assignment(ack=generation)
    eq((a.revoking(), a.owned(), b.owned()), ([], [1 - p], [p]))
    # What was served and not committed comes again.
    eq(b.read_all(), [b"%d 0" % p, b"%d 1" % p])


def test_asked_and_left():
    for dies in (False, True):
        topic = Topic("-p", "2")
        a, b, p = asked(topic)
        if dies:
            a.close()
        else:
            a.leave()
        eq(b.owned(), [0, 1])
        eq(sorted(b.read_all()), [b"0 0", b"0 1", b"1 0", b"1 1"])
        del p


def test_asked_and_forced():
    topic = Topic("-p", "2")
    fill(topic, 2, 2)
    a = Member(topic, rebalance_ms=50)
    a.read()
    a.read()
    old = [a.generation(n) for n in range(2)]
    b = Member(topic)
    (p,) = wait_for(b.owned, "it was moved")
    eq((a.owned(), a.revoking()), ([1 - p], []))
    error = fails(errno.ESTALE, a.commit, (p, -1), (p, 1), (p, 1, old[p]), (1 - p, -1))
    eq((error.errors, error.committed), ([-errno.ESTALE] * 3 + [0], 1))
    eq((b.committed(p), b.committed(1 - p)), (0, 1))
    eq(b.read_all(), [b"%d 0" % p, b"%d 1" % p])


def test_asked_no_more():
    topic = Topic("-p", "2")
    a, b, p = asked(topic)
    b.close()
    eq((a.owned(), a.revoking()), ([0, 1], []))
    # It goes on where it was.
    eq(sorted(a.read_all()), [b"0 1", b"1 1"])
    del p


def test_member_that_waits_dies_and_another_one_comes():
    topic = Topic("-p", "2")
    a, b, p = asked(topic)
    c = Member(topic)
    eq(c.owned(), [])
    b.close()
    a.commit()
    eq((a.owned(), c.owned()), ([1 - p], [p]))


def test_ack_members():
    topic = Topic("-p", "2")
    fill(topic, 2, 1)
    a = Member(topic, flags=g.JOIN_ACK)
    b = Member(topic)
    # Though nothing was served.
    (p,) = a.revoking()
    eq(b.owned(), [])
    a.commit()
    eq((a.revoking(), b.owned()), ([p], []))
    a.ack()
    eq((a.owned(), b.owned()), ([1 - p], [p]))


def test_ack_members_are_forced():
    topic = Topic("-p", "2")
    a = Member(topic, flags=g.JOIN_ACK, rebalance_ms=50)
    b = Member(topic)
    wait_for(b.owned, "it was moved")
    eq(counts((a, b)), [1, 1])


def test_nothing_moves_that_need_not():
    topic = Topic("-p", "8")
    fill(topic, 8, 1)
    a = Member(topic)
    eq(len(a.read_all()), 8)
    members = [a] + [Member(topic) for _ in range(3)]
    eq((len(a.owned()), len(a.revoking())), (2, 6))
    a.commit()
    check_balanced(members, 8)
    for m in members:
        eq(m.read_all(), [])


# --------------------------------------------------------------------- fencing


def test_commit_of_others():
    topic = Topic("-p", "2")
    fill(topic, 2, 3)
    a, b = Member(topic), Member(topic)
    (p,) = a.owned()
    for offset in (0, 1, 3, -1):
        fails(errno.ESTALE, a.commit, (1 - p, offset))
    eq((b.committed(1 - p), b.position(1 - p).offset), (0, 0))


def test_commit_errors():
    topic = Topic("-p", "3")
    fill(topic, 3, 3)
    a = Member(topic)
    for entry, error in (
        ((0, 4), errno.ERANGE),
        ((0, 2**62), errno.ERANGE),
        ((0, 2**63 - 1), errno.ERANGE),
        ((0, -2), errno.EINVAL),
        ((0, -(2**63)), errno.EINVAL),
        ((3, 0), errno.ENXIO),
        ((t.ALL, -1), errno.ENXIO),
    ):
        eq(fails(error, a.commit, entry).errors, [-error], f"{entry}")
    eq([a.committed(p) for p in range(3)], [0, 0, 0])
    # Each entry for itself; the call gives the first one's error.
    error = fails(errno.ERANGE, a.commit, (0, 2), (1, 4), (9, 0), (2, 3), (1, 1), (0, -7))
    eq(error.errors, [0, -errno.ERANGE, -errno.ENXIO, 0, 0, -errno.EINVAL])
    eq((error.committed, [a.committed(p) for p in range(3)]), (3, [2, 1, 3]))


def test_commit_range():
    topic = Topic()
    fill(topic, 1, 3)
    a = Member(topic)
    before = int(time.time() * 1000) - 1
    for offset in (3, 0, 1, 2, 2):
        eq(a.commit((0, offset)), 1)
        at = a.position()
        eq((at.committed, at.offset), (offset, 0))
        ok(before <= at.committed_ms <= time.time() * 1000 + 1, "the time is now")
    eq(a.read(), b"0 0")
    a.commit()
    eq(a.committed(), 1)
    # Lower than before is allowed, and counts.
    a.commit((0, 0))
    eq((a.committed(), a.position().offset), (0, 1))
    a.close()
    eq(Member(topic).read(), b"0 0")


def test_commit_sync():
    topic = Topic()
    fill(topic, 1, 1)
    a = Member(topic)
    a.read()
    # There is no stable storage of a volatile topic.
    eq((a.commit(flags=g.COMMIT_SYNC), a.committed()), (1, 1))


def test_lost_and_regained():
    topic = Topic("-p", "2")
    fill(topic, 2, 2)
    a = Member(topic)
    old = [a.generation(p) for p in range(2)]
    b = Member(topic)
    (p,) = b.owned()
    b.read()
    b.close()
    eq(a.owned(), [0, 1])
    a.read_all()
    fails(errno.ESTALE, a.commit, (p, 1, old[p]))
    eq(a.committed(p), 0)
    new = a.generation(p)
    ok(new > old[p], "its generation is another one")
    a.commit((p, 1, new), (1 - p, 2, old[1 - p]))
    eq((a.committed(p), a.committed(1 - p)), (1, 2))
    a.commit((p, 2))
    eq(a.committed(p), 2)


def test_own_generation_survives_others():
    topic = Topic("-p", "4")
    fill(topic, 4, 1)
    a = Member(topic)
    old = [a.generation(p) for p in range(4)]
    b = Member(topic)
    c = Member(topic)
    b.close()
    c.close()
    kept = [p for p in range(4) if a.generation(p) == old[p]]
    ok(kept, "some did not move")
    a.read_all()
    for p in kept:
        a.commit((p, -1, old[p]))
        eq(a.committed(p), 1)


# ------------------------------------------------------------------------ auto


def test_auto():
    topic = Topic()
    fill(topic, 1, 3)
    a = Member(topic, flags=g.JOIN_AUTO)
    eq(a.committed(), 0)
    eq(a.read(), b"0 0")
    eq((a.committed(), a.position().offset), (1, 1))
    fails(errno.EMSGSIZE, a.read, 1)
    eq(a.committed(), 1)
    b = Member(topic)
    eq(b.owned(), [])
    a.close()
    # At most once.
    eq(b.read_all(), [b"0 1", b"0 2"])


def test_auto_fetch():
    topic = Topic()
    fill(topic, 1, 3)
    a = Member(topic, flags=g.JOIN_AUTO)
    got, _ = a.fetch()
    eq((got.next_offset, a.committed()), (3, 3))


def test_auto_after_a_fault():
    topic = Topic()
    fill(topic, 1, 2)
    a = Member(topic, flags=g.JOIN_AUTO)
    for call in (
        lambda: at_nowhere(a.fd),
        lambda: t.ioctl(a.fd, t.Fetch(buf=8, len=4096, offset=-1)),
    ):
        fails(errno.EFAULT, call)
        eq((a.committed(), a.position().offset), (0, 0))
    eq(a.read(), b"0 0")


def at_nowhere(fd):
    libc = ctypes.CDLL(None, use_errno=True)
    n = libc.read(fd, ctypes.c_void_p(8), ctypes.c_size_t(4096))
    if n < 0:
        raise OSError(ctypes.get_errno(), "read")
    return n


def test_auto_moves_at_once():
    topic = Topic("-p", "2")
    fill(topic, 2, 2)
    a = Member(topic, flags=g.JOIN_AUTO)
    a.read()
    a.read()
    b = Member(topic)
    (p,) = b.owned()
    eq(b.read_all(), [b"%d 1" % p])


# ------------------------------------------------------------- seek, fetch, position


def test_seek():
    topic = Topic("-p", "2")
    fill(topic, 2, 4)
    a, b = Member(topic), Member(topic)
    (p,) = a.owned()
    eq(a.seek(2, p).offset, 2)
    eq((a.position(p).offset, a.committed(p)), (2, 0))
    eq(a.read_all(), [b"%d 2" % p, b"%d 3" % p])
    eq(a.seek(0, p, g.EARLIEST).offset, 0)
    eq(a.read(), b"%d 0" % p)
    eq(a.seek(0, p, g.LATEST).offset, 4)
    fails(errno.EAGAIN, a.read)
    eq(a.seek(0, p, g.TIMESTAMP).offset, 0)
    for whence in range(4):
        fails(errno.ESTALE, a.seek, 0, 1 - p, whence)
    fails(errno.ENXIO, a.seek, 0, 2)
    eq((b.position(1 - p).offset, a.committed(p), a.committed(1 - p)), (0, 0, 0))


def test_seek_all():
    topic = Topic("-p", "3")
    fill(topic, 3, 2)
    a, b = Member(topic), Member(topic)
    a.seek(0, t.ALL, g.LATEST)
    mine = a.owned()
    eq([a.position(p).offset for p in range(3)], [2 if p in mine else 0 for p in range(3)])
    eq([a.committed(p) for p in range(3)], [0, 0, 0])
    a.seek(0, t.ALL, g.OFFSET)
    eq([a.position(p).offset for p in range(3)], [0, 0, 0])
    eq(len(a.read_all()), 2 * len(mine))
    eq(len(b.read_all()), 2 * (3 - len(mine)))


def test_lseek():
    topic = Topic("-p", "2")
    fill(topic, 2, 2)
    a, b = Member(topic), Member(topic)
    (p,) = a.owned()
    os.lseek(a.fd, 0, os.SEEK_END)
    eq((a.position(p).offset, b.position(1 - p).offset, a.committed(p)), (2, 0, 0))
    os.lseek(a.fd, 0, os.SEEK_SET)
    eq(a.read_all(), [b"%d 0" % p, b"%d 1" % p])
    os.lseek(a.fd, 0, os.SEEK_DATA)
    eq(a.position(p).offset, 0)
    fails(errno.ESPIPE, os.pread, a.fd, 9, 0)


def test_seek_is_not_committed():
    topic = Topic()
    fill(topic, 1, 4)
    a = Member(topic)
    a.seek(3)
    a.close()
    eq(Member(topic).read(), b"0 0")


def test_fetch():
    topic = Topic("-p", "2")
    fill(topic, 2, 3)
    a, b = Member(topic), Member(topic)
    (p,) = a.owned()
    got, data = a.fetch(p)
    records = kafka.records_of(kafka.decode_batches(data))
    eq([r["value"] for r in records], [b"%d %d" % (p, n) for n in range(3)])
    eq((got.next_offset, a.position(p).offset, a.committed(p)), (3, 3, 0))
    fails(errno.ESTALE, a.fetch, 1 - p)
    fails(errno.ESTALE, lambda: a.fetch(1 - p, offset=0))
    fails(errno.ENXIO, a.fetch, 2)
    eq(b.position(1 - p).offset, 0)
    a.commit()
    eq(a.committed(p), 3)


def test_fetch_of_an_offset():
    topic = Topic("-p", "2")
    fill(topic, 2, 4)
    a = Member(topic)
    got, _ = a.fetch(1, offset=2)
    # Its position is where it was; yet what it was served is not committed.
    eq((got.next_offset, a.position(1).offset, a.committed(1)), (4, 0, 0))
    b = Member(topic, static=[1])
    eq((a.revoking(), b.owned()), ([1], []))
    a.commit((1, 3))
    eq(a.revoking(), [1])
    a.commit((1, 4))
    eq((b.owned(), b.position(1).offset), ([1], 4))


def test_position():
    topic = Topic("-p", "2")
    fill(topic, 2, 2)
    a, b = Member(topic), Member(topic)
    (p,) = a.owned()
    b.read()
    b.commit()
    t.ioctl(topic.open(1 - p), t.Trim(offset=1))
    at = a.position(1 - p)
    eq((at.partition, at.owner, at.generation, at.flags), (1 - p, b.number, b.generation(1 - p), 0))
    eq((at.offset, at.committed, at.start_offset, at.end_offset), (1, 1, 1, 2))
    fails(errno.ENXIO, a.position, 2)
    fails(errno.ENXIO, a.position, t.ALL)


def test_lines():
    topic = Topic("--framing", "line")
    fd = topic.open("any")
    os.write(fd, b"one\ntwo\nthree\n")
    a = Member(topic)
    eq(a.read(8), b"one\ntwo\n")
    eq(a.commit(), 1)
    eq(a.committed(), 2)
    a.close()
    eq(Member(topic).read(), b"three\n")


def test_signals_interrupt():
    topic = Topic()

    def work(child):
        import signal

        def stop(*_):
            raise InterruptedError(errno.EINTR, "stop")

        signal.signal(signal.SIGUSR1, stop)
        m = Member(topic, mode=BLOCKING)
        child.tell()
        fails(errno.EINTR, m.read)
        eq(m.owned(), [0])

    child = Child(work)
    eq(child.hear(), b".")
    ok(t.sleeps_in(child.pid, t.SYS_read), "it waits")
    os.kill(child.pid, 10)
    eq(child.wait(), 0)


def test_nonblocking():
    topic = Topic("-p", "2")
    a = Member(topic)
    fails(errno.EAGAIN, a.read)
    got, data = a.fetch(min_bytes=1, timeout_ms=-1)
    eq((got.bytes, data), (0, b""))
    eq(a.poll(), a.poll() & select.POLLPRI)


# ------------------------------------------------------------------------ gaps


def test_gap():
    topic = Topic("-p", "2")
    fill(topic, 2, 5)
    a, b = Member(topic), Member(topic)
    (p,) = a.owned()
    eq(a.read(), b"%d 0" % p)
    t.ioctl(topic.open(p), t.Trim(offset=3))
    fails(errno.EPIPE, a.read)
    gap = t.ioctl(a.fd, t.Gap(partition=p))
    eq((gap.from_, gap.to, gap.lost), (1, 3, 2))
    eq(a.read_all(), [b"%d 3" % p, b"%d 4" % p])
    eq(len(b.read_all()), 5)


def test_gap_before_the_committed_offset():
    topic = Topic()
    fill(topic, 1, 5)
    a = Member(topic)
    a.read()
    a.commit()
    a.close()
    t.ioctl(topic.open(), t.Trim(offset=3))
    b = Member(topic)
    eq((b.position().offset, b.committed()), (1, 1))
    ok(b.poll() & select.POLLIN, "a gap is something to read")
    fails(errno.EPIPE, b.fetch)
    gap = t.ioctl(b.fd, t.Gap())
    eq((gap.from_, gap.to), (1, 3))
    eq(b.read_all(), [b"0 3", b"0 4"])
    b.commit()
    eq(b.committed(), 5)


# ---------------------------------------------------------------------- static


def test_static():
    topic = Topic("-p", "4")
    a = Member(topic, static=[1, 3])
    eq(a.owned(), [1, 3])
    b, c = Member(topic), Member(topic)
    eq((a.owned(), counts((b, c))), ([1, 3], [1, 1]))
    fails(errno.EBUSY, lambda: Member(topic, static=[3]))
    d = Member(topic, static=[2])
    # Who named it has it; the others share what is left.
    eq((a.owned(), d.owned()), ([1, 3], [2]))
    eq(sorted(b.owned() + c.owned()), [0])
    a.close()
    eq(d.owned(), [2])
    eq(sorted(b.owned() + c.owned()), [0, 1, 3])
    eq(counts((b, c)), [1, 2])


def test_static_asks():
    topic = Topic("-p", "2")
    fill(topic, 2, 1)
    a = Member(topic)
    a.read_all()
    b = Member(topic, static=[1])
    eq((a.owned(), a.revoking(), b.owned()), ([0], [1], []))
    a.commit()
    eq((a.owned(), b.owned()), ([0], [1]))
    b.close()
    eq(a.owned(), [0, 1])


def test_static_alone():
    topic = Topic("-p", "3")
    fill(topic, 3, 1)
    a = Member(topic, static=[2])
    eq((a.owned(), a.read_all()), ([2], [b"2 0"]))
    eq([a.position(p).owner for p in range(2)], [0, 0])
    fails(errno.ESTALE, a.commit, (0, 0))
    b = Member(topic)
    eq(sorted(b.read_all()), [b"0 0", b"1 0"])
    b.close()
    eq(a.owned(), [2])


def test_static_all():
    topic = Topic("-p", "3")
    a = Member(topic)
    b = Member(topic, static=[0, 1, 2])
    eq((a.owned(), b.owned()), ([], [0, 1, 2]))


# -------------------------------------------------------------- those who make no call


def test_max_poll():
    topic = Topic("-p", "2")
    a, b = Member(topic, max_poll_ms=500), Member(topic)
    eq(counts((a, b)), [1, 1])
    (p,) = a.owned()
    old = a.generation(p)
    fill(topic, 2, 2)
    eq(a.read(), b"%d 0" % p)
    wait_for(lambda: b.owned() == [0, 1], "it lost its partition")
    eq(len(b.read_all()), 4)
    b.commit()
    # It comes back with its next call, and what it had is not what it has.
    fails(errno.ESTALE, a.commit, (p, 1, old))
    eq(b.committed(p), 2)
    eq(counts((a, b)), [1, 1])


def test_max_poll_with_nothing_to_read():
    topic = Topic("-p", "2")
    a, b = Member(topic, max_poll_ms=30), Member(topic)
    time.sleep(0.3)
    eq(len(b.owned()), 1)
    eq(len(a.owned()), 1)


def test_max_poll_within_a_call():
    topic = Topic("-p", "2")
    a, b = Member(topic, max_poll_ms=500, mode=BLOCKING), Member(topic)
    (p,) = a.owned()
    fill(topic, 2, 1)
    eq(a.read(), b"%d 0" % p)
    # It waits for more, and lives.
    call = Call(t.SYS_read, a.read)
    time.sleep(1.2)
    eq(b.owned(), [1 - p])
    put(topic, p, b"more")
    eq(call.join(), b"more")


def test_max_poll_alone():
    topic = Topic()
    fill(topic, 1, 2)
    a = Member(topic, max_poll_ms=30)
    eq(a.read(), b"0 0")
    time.sleep(0.2)
    # Whatever became of it meanwhile, the first call that finds it again begins
    # at the committed offset or goes on.
    eq(a.owned(), [0])
    ok(a.read() in (b"0 0", b"0 1"), "it is served")


# ------------------------------------------------------------------- a full ring


def block_topic():
    return Topic("--segment", "64K", "--ring", "256K", "--max-record", "30000", "--full", "block")


def stuff(topic):
    """Fills the ring: how many records that took."""
    fd = os.open(topic.path(0), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    n = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(fd, b"%05d" % n + bytes(19995))
            n += 1
    os.close(fd)
    return n


def test_commits_make_room():
    topic = block_topic()
    a = Member(topic)
    n = stuff(topic)
    ok(n > 8, "a ring of records")
    eq(stuff(topic), 0)
    got = len(a.read_all())
    eq(got, n)
    # What was read and not committed is still needed.
    eq(stuff(topic), 0)
    a.commit()
    more = stuff(topic)
    ok(more > 0, "there is room")
    eq(len(a.read_all()), more)


def test_the_slowest_group_counts():
    topic = block_topic()
    a, b = Member(topic, "a"), Member(topic, "b")
    n = stuff(topic)
    eq((len(a.read_all()), len(b.read_all())), (n, n))
    a.commit()
    eq(stuff(topic), 0)
    b.commit((0, n // 2))
    some = stuff(topic)
    ok(0 < some < n, f"{some} of {n}")
    b.commit((0, n))
    ok(stuff(topic) > 0, "more room")
    # A group without members counts, too.
    a.close()
    b.read_all()
    b.commit()
    eq(b.committed(), b.position().end_offset)
    stuff(topic)
    start = b.position().start_offset
    ok(start <= n, f"nothing is dropped that a has not committed: {start}")


def test_commit_wakes_a_producer():
    topic = block_topic()
    a = Member(topic)
    n = stuff(topic)
    eq(len(a.read_all()), n)
    fd = topic.open(0)
    call = Call(t.SYS_write, os.write, fd, bytes(20000))
    a.commit()
    eq(call.join(), 20000)


# --------------------------------------------------------------- the topic is deleted


def test_deleted():
    topic = Topic("-p", "2")
    a, b = Member(topic, mode=BLOCKING), Member(topic, mode=BLOCKING)
    c, d = Member(topic, mode=BLOCKING), Member(topic, mode=BLOCKING)
    calls = [
        Call(t.SYS_read, a.read),
        Call(t.SYS_ioctl, lambda: b.fetch(b.owned()[0], min_bytes=1, timeout_ms=-1)),
        Call(t.SYS_read, c.read),
    ]
    polls = Call(t.SYS_poll, lambda: d.poll(-1))
    topic.delete()
    for call in calls:
        call.fails(errno.ENODEV)
    ok(polls.join() & select.POLLHUP, "hung up")
    for call in (
        a.read,
        a.assignment,
        a.position,
        lambda: a.commit((0, 0)),
        a.commit,
        lambda: a.seek(0),
        a.fetch,
        a.join,
    ):
        fails(errno.ENODEV, call)
    with contextlib.suppress(OSError):
        a.leave()
    ok(a.poll() & select.POLLHUP, "hung up")
    b.close()


def test_join_while_deleted():
    for n in range(6):
        topic = Topic("-p", "4")
        fds = [topic.open("any", os.O_RDWR | os.O_NONBLOCK) for _ in range(3)]
        ready = threading.Barrier(4)
        wrong = []

        def work(fd, number):
            ready.wait()
            try:
                while True:
                    g.join(fd, f"g{number % 2}")
                    with contextlib.suppress(BlockingIOError):
                        os.read(fd, 9)
                    g.commit(fd)
                    g.leave(fd)
            except OSError as error:
                if error.errno != errno.ENODEV:
                    wrong.append(error)

        threads = [threading.Thread(target=work, args=(fd, i)) for i, fd in enumerate(fds)]
        for thread in threads:
            thread.start()
        ready.wait()
        time.sleep(0.002 * (n % 5))
        topic.delete()
        for thread in threads:
            thread.join()
        eq(wrong, [])


# -------------------------------------------------------------------- the file's mode


def test_modes():
    topic = Topic()
    fill(topic, 1, 1)
    a = Member(topic, mode=os.O_RDONLY | os.O_NONBLOCK)
    eq((a.owned(), a.read(), a.commit(), a.committed()), ([0], b"0 0", 1, 1))
    fails(errno.EBADF, os.write, a.fd, b"x")
    fd = topic.open("any", os.O_WRONLY)
    fails(errno.EBADF, g.join, fd, "g")
    for call in (g.leave, g.commit, g.position, g.assignment):
        try:
            call(fd)
        except OSError:
            continue
        raise Failed("a file that is not open for reading")
    for flags in (os.O_RDONLY, os.O_RDWR):
        fails(errno.EOPNOTSUPP, g.join, topic.open(0, flags), "g")
    eq(a.assignment().members, 1)


def test_concurrent_readers_of_one_member():
    topic = Topic("-p", "4")
    a = Member(topic)
    fill(topic, 4, 100)
    got = []
    threads = [threading.Thread(target=lambda: got.append(a.read_all())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = sorted(b"%d %d" % (p, n) for p in range(4) for n in range(100))
    eq(sorted(v for values in got for v in values), everything)
    for values in got:
        for p in range(4):
            numbers = [int(v.split()[1]) for v in values if partition_of(v) == p]
            eq(numbers, sorted(numbers))


def test_fetch_that_waits_for_what_goes():
    topic = Topic("-p", "2")
    a = Member(topic, mode=BLOCKING)
    call = Call(t.SYS_ioctl, lambda: a.fetch(0, min_bytes=1, timeout_ms=-1))
    b = Member(topic, static=[0])
    call.fails(errno.ESTALE)
    eq(b.owned(), [0])


# ---------------------------------------------------------------------- expiry


def test_empty_groups_expire():
    with parameter("offsets_retention_ms", 100):
        topic = Topic()
        fill(topic, 1, 3)
        a, keep = Member(topic, "short"), Member(topic, "keeps")
        a.read_all()
        a.commit()
        a.close()
        probe = topic.open("any")

        def expired():
            try:
                g.join(probe, "short", flags=g.JOIN_EXISTING)
            except FileNotFoundError:
                return True
            g.leave(probe)
            time.sleep(1)
            return False

        wait_for(expired, "the group is gone")
        # One with members is not.
        g.join(topic.open("any"), "keeps", flags=g.JOIN_EXISTING)
        eq(keep.assignment().members, 2)
        eq(Member(topic, "short").committed(), 0)


def listed(topic):
    """Names of its groups."""
    groups = json.loads(t.must("-j", "group", "list"))
    return sorted(group["name"] for group in groups if group["topic"] == topic.name)


def test_expiry_that_never_comes():
    topic = Topic()
    # The look that was to be is made, and finds that it is not so late.
    with parameter("offsets_retention_ms", 1000):
        Member(topic).close()
        with parameter("offsets_retention_ms", 2**64 - 1):
            time.sleep(1.5)
            eq(listed(topic), ["g"])


def test_expiry_does_not_look_at_the_clock():
    topic = Topic()
    ahead = 30 * 24 * 3600
    with parameter("offsets_retention_ms", 1000):
        Member(topic).close()
        with parameter("offsets_retention_ms", 24 * 3600 * 1000):
            time.clock_settime(time.CLOCK_REALTIME, time.time() + ahead)
            try:
                time.sleep(1.5)
                eq(listed(topic), ["g"])
            finally:
                time.clock_settime(time.CLOCK_REALTIME, time.time() - ahead)


def test_group_that_nobody_entered_expires():
    topic = Topic()
    with parameter("offsets_retention_ms", 100):
        with parameter("max_members", 0):
            fails(errno.ENOSPC, Member, topic)
        wait_for(lambda: not listed(topic), "it is gone")


# ----------------------------------------------------------- found by reviewers


def test_join_of_another_group_makes_none():
    topic = Topic()
    a = Member(topic)
    a.leave()
    fails(errno.EBUSY, g.join, a.fd, "other")
    eq(listed(topic), ["g"])


def test_deleted_group_of_a_file():
    topic = Topic()
    a = Member(topic)
    fails(errno.EBUSY, g.join, a.fd, "g")
    eq(t.streamctl("group", "delete", topic.name, "g")[0], 2)
    a.leave()
    t.must("group", "delete", topic.name, "g")
    try:
        a.join()
    except OSError as error:
        ok(error.errno in (errno.EBUSY, errno.ENOENT), f"a clear error, not {error}")


def test_seek_all_of_who_left():
    a = Member(Topic("-p", "2"))
    a.leave()
    fails(errno.ESTALE, a.seek, 0, t.ALL, g.EARLIEST)
    fails(errno.ESTALE, os.lseek, a.fd, 0, os.SEEK_END)


def test_epoll_before_join():
    topic = Topic("-p", "2")
    fill(topic, 2, 1)
    a = Member(topic)
    fd = topic.open("any", os.O_RDONLY | os.O_NONBLOCK)
    epoll = select.epoll()
    epoll.register(fd, select.EPOLLIN | select.EPOLLPRI)
    g.join(fd, "g")
    g.assignment(fd)
    os.read(fd, 9)
    fails(errno.EAGAIN, os.read, fd, 9)
    g.commit(fd)
    while epoll.poll(0):
        g.assignment(fd)
    # What the other one had is there to read, and its end is the only news.
    call = Call(232, epoll.poll)
    a.close()
    eq(call.join(), [(fd, select.EPOLLIN | select.EPOLLPRI)])
    epoll.close()


def test_join_beside_a_read():
    topic = Topic()
    a = Member(topic)
    fd = topic.open("any", os.O_RDONLY)
    call = Call(t.SYS_read, os.read, fd, 9)
    g.join(fd, "g")
    put(topic, 0, b"x")
    eq((a.read(), call.result), (b"x", None))
    # It takes over what was not committed.
    a.close()
    eq(call.join(), b"x")


def test_leave_beside_a_read():
    topic = Topic()
    a = Member(topic, mode=BLOCKING)
    call = Call(t.SYS_read, a.read)
    a.leave()
    call.fails(errno.ESTALE)


def test_idle_and_poll():
    topic = Topic("-p", "2")
    a = Member(topic, max_poll_ms=100, flags=g.JOIN_AUTO)
    b = Member(topic, static=[1])
    put(topic, 0, b"1", b"2")
    eq(a.read(), b"1")
    wait_for(lambda: b.position(0).owner == 0, "it has lost its partition")
    # Whoever waits by poll() learns that there is something to do.
    epoll = select.epoll()
    epoll.register(a.fd, select.EPOLLIN)
    eq(epoll.poll(), [(a.fd, select.EPOLLIN)])
    epoll.close()
    eq(wait_for(a.read_all, "it is served"), [b"2"])


def test_replayed_and_committed():
    topic = Topic()
    fill(topic, 1, 10)
    a = Member(topic, rebalance_ms=86400000)
    eq(len(a.read_all()), 10)
    a.commit()
    a.seek(0)
    a.read()
    a.commit()
    # Nothing is left that must be served again.
    b = Member(topic, static=[0])
    eq((a.owned(), b.owned(), b.position().offset), ([], [0], 1))


def test_replayed_on_commit_on_read():
    topic = Topic()
    fill(topic, 1, 10)
    a = Member(topic, rebalance_ms=86400000, flags=g.JOIN_AUTO)
    eq(len(a.read_all()), 10)
    a.seek(3)
    eq((a.read(), a.committed()), (b"0 3", 4))
    b = Member(topic, static=[0])
    eq((a.owned(), b.owned(), b.position().offset), ([], [0], 4))


def test_gap_is_nothing_served():
    topic = Topic()
    fill(topic, 1, 10)
    a = Member(topic, rebalance_ms=86400000)
    t.ioctl(topic.open(0), t.Trim(offset=-1))
    fails(errno.EPIPE, a.read)
    b = Member(topic, static=[0])
    eq((a.owned(), b.owned()), ([], [0]))


def aio_poll(fd):
    """IOCB_CMD_POLL: it is taken, or OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    context = ctypes.c_ulong()
    # data, key, flags, opcode, priority, fd, events; the rest is zero.
    text = struct.pack("=QIIHhIQ", 0, 0, 0, 5, 0, fd, select.POLLIN)
    iocb = ctypes.create_string_buffer(text, 64)
    pointer = ctypes.c_void_p(ctypes.addressof(iocb))

    def call(number, *args):
        if libc.syscall(ctypes.c_long(number), *args) < 0:
            raise OSError(ctypes.get_errno(), f"system call {number}")

    call(206, ctypes.c_uint(4), ctypes.byref(context))
    try:
        call(209, context, ctypes.c_long(1), ctypes.byref(pointer))
    finally:
        call(207, context)


def test_aio_poll():
    topic = Topic("-p", "2")
    for mode in (os.O_RDONLY, os.O_RDWR):
        aio_poll(topic.open("any", mode))
        aio_poll(topic.open(0, mode))
        aio_poll(Member(topic, mode=mode).fd)


if __name__ == "__main__":
    t.main()
