#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Consumer groups in numbers: of groups, of members, of those who come and go."""
import contextlib
import errno
import os
import resource
import socket
import threading

import evgroup as g
import evstest as t
from evgroup import Member
from evstest import Topic, eq, fails, ok, parameter, wait_for


@contextlib.contextmanager
def many_files(count):
    """As many files, and none of them left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, max(hard, count + 100)))
    fds = []
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_any(topic):
    return os.open(topic.path("any"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def slab_kb():
    """Kernel memory of objects, once all that was freed is: kB."""
    t.put("/proc/sys/vm/drop_caches", 3)
    with open("/proc/meminfo", encoding="ascii") as file:
        found = dict(line.split()[:2] for line in file)
    return int(found["SUnreclaim:"]) + int(found["Percpu:"])


def test_a_thousand_groups():
    topic = Topic("-p", "8")
    for p in range(8):
        os.write(topic.open(p), b"x")
    with many_files(1100) as fds:
        for n in range(1000):
            fds.append(open_any(topic))
            eq(g.join(fds[-1], f"{n:04}" + "g" * 245).member, 1)
        # They do not know each other.
        for n in range(0, 1000, 37):
            eq(len(os.read(fds[n], 9)), 1)
            g.commit(fds[n])
            eq(sum(g.position(fds[n], p).committed for p in range(8)), 1)
        eq(sum(g.position(fds[1], p).committed for p in range(8)), 0)
        # An append is there for all of them.
        os.write(topic.open(3), b"y")
        eq([len(g.assignment(fd).list) for fd in fds[::91]], [8] * 11)
    # All are there still, with what they have committed.
    fd = open_any(topic)
    g.join(fd, "0037" + "g" * 245, flags=g.JOIN_EXISTING)
    eq(sum(g.position(fd, p).committed for p in range(8)), 1)
    os.close(fd)


def test_ten_thousand_members():
    topic = Topic("-p", "8")
    with many_files(10100) as fds:
        for n in range(10000):
            fds.append(open_any(topic))
            eq(g.join(fds[-1], "g").member, n + 1)
        seen = g.assignment(fds[-1])
        eq((seen.members, seen.nr), (10000, 0))
        # Those that came first have the partitions; when they go, others do.
        eq([g.assignment(fd).nr for fd in fds[:9]], [1] * 8 + [0])
        for fd in fds[:20]:
            os.close(fd)
        del fds[:20]
        owners = {g.position(fds[0], p).owner for p in range(8)}
        eq((len(owners), min(owners) > 20), (8, True))
        eq(g.assignment(fds[0]).members, 9980)


def test_memory_comes_back():
    def round_of(groups, members):
        topic = Topic("-p", "64")
        with many_files(groups * members + 100) as fds:
            for n in range(groups):
                for _ in range(members):
                    fds.append(open_any(topic))
                    g.join(fds[-1], f"g{n}")
        topic.close()

    # The first one warms up; what a group of 64 partitions takes is some 10 kB.
    round_of(20, 2)
    before = slab_kb()
    round_of(300, 2)
    wait_for(lambda: slab_kb() < before + 1500, "the memory is back")


def test_ceiling_of_groups():
    topic, other = Topic(), Topic()
    with contextlib.ExitStack() as stack:
        a = Member(topic, "a")
        stack.enter_context(parameter("max_groups", 2))
        b = Member(other, "a")
        fd = topic.open("any")
        fails(errno.ENOSPC, g.join, fd, "b")
        # What is there can be joined, and the file is free to do so.
        g.join(fd, "a")
        eq(a.assignment().members, 2)
        # The group of a deleted topic does not count, whoever has it still.
        other.delete()
        Member(topic, "b")
        fails(errno.ENOSPC, Member, topic, "c")
        b.close()
        fails(errno.ENOSPC, Member, topic, "c")


def test_ceiling_of_members():
    topic = Topic("-p", "4")
    a = Member(topic)
    with parameter("max_members", 3):
        b, c = Member(topic), Member(topic, "other")
        fd = topic.open("any")
        fails(errno.ENOSPC, g.join, fd, "g")
        eq((a.assignment().members, len(a.owned()) + len(b.owned())), (2, 4))
        c.leave()
        g.join(fd, "g")
        eq(a.assignment().members, 3)
        fails(errno.ENOSPC, c.join)
        b.close()
        c.join()


def test_largest_topic():
    topic = Topic("-p", "4096")
    a = Member(topic)
    eq(a.assignment().nr, 4096)
    b = Member(topic)
    eq((a.assignment().nr, b.assignment().nr), (2048, 2048))
    eq(b.commit(), 2048)
    c = Member(topic, static=list(range(0, 4096, 2)))
    eq(c.owned(), list(range(0, 4096, 2)))
    eq((a.assignment().nr, b.assignment().nr), (1024, 1024))
    a.close()
    eq(b.owned(), list(range(1, 4096, 2)))
    eq(len(g.assignment(b.fd, room=100).list), 100)


def storm(workers, work):
    """Threads that do it at the same time; what went wrong."""
    ready = threading.Barrier(workers)
    wrong = []

    def run(number):
        ready.wait()
        try:
            work(number)
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eq(wrong, [])


def test_storm_of_joins():
    topic = Topic("-p", "16")
    stay = Member(topic)

    def work(number):
        for n in range(60):
            fd = open_any(topic)
            g.join(fd, "g")
            if n % 3 == number % 3:
                g.leave(fd)
                g.join(fd, "g")
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 9)
            g.assignment(fd)
            os.close(fd)

    storm(6, work)
    eq((stay.assignment().members, stay.owned()), (1, list(range(16))))


def test_storm_of_groups():
    topic = Topic("-p", "2")

    # They make the same groups, and delete them under each other.
    def work(number):
        for n in range(40):
            fd = open_any(topic)
            g.join(fd, f"g{n % 4}")
            os.close(fd)
            if number == 0 and n % 8 == 7:
                for k in range(4):
                    ok(t.streamctl("group", "delete", topic.name, f"g{k}")[0] in (0, 2), "deleted")

    storm(4, work)


def test_one_file_joins_and_leaves():
    topic = Topic("-p", "2")
    fd = topic.open("any", os.O_RDONLY | os.O_NONBLOCK)

    # All threads have the same file: each call works, or says that another was first.
    def work(number):
        for n in range(150):
            try:
                if (n + number) % 3 == 0:
                    g.join(fd, "g")
                elif (n + number) % 3 == 1:
                    g.leave(fd)
                else:
                    os.read(fd, 9)
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ESTALE, errno.EAGAIN):
                    raise

    storm(4, work)
    with contextlib.suppress(OSError):
        g.leave(fd)
    a = Member(topic)
    eq((a.assignment().members, a.owned()), (1, [0, 1]))


def test_storm_of_passing():
    """A member's file goes round through sockets; it is the same member all the time."""
    topic = Topic("-p", "2")
    a, b = Member(topic), Member(topic)
    (p,) = b.owned()
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(4)]
    g.send_fd(pairs[0][0], b.fd)
    b.close()

    def work(number):
        for _ in range(100):
            fd = g.receive_fd(pairs[number][1])
            eq(g.assignment(fd).member, b.number)
            g.send_fd(pairs[(number + 1) % 4][0], fd)
            os.close(fd)

    storm(4, work)
    eq(a.owned(), [1 - p])
    for pair in pairs:
        pair[0].close()
        pair[1].close()
    eq(a.owned(), [0, 1])


def test_sockets_in_a_ring():
    """A member in a socket that is in a socket that is in the first one."""
    topic = Topic("-p", "2")
    a, b = Member(topic), Member(topic)
    one, two = (socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    g.send_fd(one[0], b.fd)
    g.send_fd(one[0], two[1].fileno())
    g.send_fd(two[0], one[1].fileno())
    b.close()
    for sock in one + two:
        sock.close()
    # The garbage collector of sockets finds it; it is asked when a socket goes.
    def collected():
        for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
            sock.close()
        return a.owned() == [0, 1]

    wait_for(collected, "nobody has it, so it has left")


if __name__ == "__main__":
    t.main()
