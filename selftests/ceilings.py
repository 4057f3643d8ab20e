#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What one user can take leaves enough for the others, and comes back exactly."""
import contextlib
import ctypes
import errno
import os
import signal
import socket
import threading

import evgroup as g
import evstest as t
from evdisk import memory_place
from evgroup import Child, Member
from evstest import Durable, Failed, Topic, eq, fails, ok, parameter, wait_for

ALICE, BOB = 4001, 4002
CLONE_NEWUSER = 0x10000000
libc = ctypes.CDLL(None, use_errno=True)


def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def as_user(uid, function, *args):
    """Run it in a child that is a user, to the end."""

    def body():
        become(uid)
        function(*args)
        return True

    with t.child(body):
        pass


class Holder(Child):
    """A user's process that does something and then keeps what it got until it is killed."""

    def __init__(self, uid, function, *args):
        def body(own):
            become(uid)
            keep = function(*args)
            own.tell()
            own.hear()
            del keep

        super().__init__(body)
        if self.hear() != b".":
            raise Failed("the holder did not get what it was to hold")


def open_topic(topic, partition="any", flags=os.O_RDWR | os.O_NONBLOCK):
    return os.open(topic.path(partition), flags | os.O_CLOEXEC)


def member(topic, group, **fields):
    """A file that has joined."""
    fd = open_topic(topic)
    try:
        g.join(fd, group, **fields)
    except OSError:
        os.close(fd)
        raise
    return fd


def make_groups(topic, *names):
    """Groups that nobody is in any more."""
    for name in names:
        os.close(member(topic, name))


def as_many(call, most=100000):
    """Call it until it is refused for the user's ceiling: what it returned."""
    got = []
    try:
        while len(got) < most:
            got.append(call())
    except OSError as error:
        if error.errno != errno.EDQUOT:
            raise
    return got


def release(fds):
    for fd in fds:
        os.close(fd)


def public(*options):
    return Topic("--mode", "0666", *options)


def test_groups():
    topic, other = public(), public()

    def alice():
        make_groups(topic, "a", "b")
        make_groups(other, "c")
        fails(errno.EDQUOT, make_groups, topic, "d")
        fails(errno.EDQUOT, make_groups, other, "d")
        # The file that was refused can be of a group that is there.
        fd = open_topic(topic)
        fails(errno.EDQUOT, g.join, fd, "d")
        g.join(fd, "a")

    with parameter("max_user_groups", 3):
        as_user(ALICE, alice)
        as_user(BOB, make_groups, topic, "e", "f", "g")
        # Whoever has CAP_SYS_RESOURCE passes.
        make_groups(topic, *"hijkl")
        # Hers are hers, whoever is in them.
        as_user(BOB, lambda: os.close(member(topic, "a")))
        as_user(BOB, fails, errno.EDQUOT, make_groups, topic, "m")
        # One less, and she can make one more; not Bob.
        t.must("group", "delete", topic.name, "a")
        as_user(BOB, fails, errno.EDQUOT, make_groups, topic, "m")
        as_user(ALICE, make_groups, topic, "m")
        as_user(ALICE, fails, errno.EDQUOT, make_groups, topic, "n")


def test_groups_of_a_deleted_topic():
    topic, other = public(), public()
    with parameter("max_user_groups", 2):
        held = Holder(ALICE, lambda: [member(topic, "a"), member(topic, "b")])
        as_user(ALICE, fails, errno.EDQUOT, make_groups, other, "c")
        topic.delete()
        # While the deleted topic's files are open.
        as_user(ALICE, make_groups, other, "c", "d")
        as_user(ALICE, fails, errno.EDQUOT, make_groups, other, "e")
        held.kill()
        as_user(ALICE, fails, errno.EDQUOT, make_groups, other, "e")


def test_groups_that_expire():
    topic = public()
    with parameter("max_user_groups", 1):
        as_user(ALICE, make_groups, topic, "a")
        as_user(ALICE, fails, errno.EDQUOT, make_groups, topic, "b")
        with parameter("offsets_retention_ms", 1):
            # Whoever leaves has the expired ones looked for.
            Member(topic, "own").leave()
            wait_for(lambda: not t.must("-j", "group", "list", topic.name).count(b'"a"'), "gone")
        as_user(ALICE, make_groups, topic, "b")


def test_all_groups_are_not_one_users():
    topic = public()
    with contextlib.ExitStack() as stack:
        stack.enter_context(parameter("max_user_groups", 3))
        stack.enter_context(parameter("max_groups", 5))
        as_user(ALICE, make_groups, topic, *"abc")
        as_user(BOB, make_groups, topic, *"de")
        # The one that is reached first tells.
        as_user(BOB, fails, errno.ENOSPC, make_groups, topic, "f")
        as_user(ALICE, fails, errno.EDQUOT, make_groups, topic, "f")
        # What the module's ceiling refuses is not charged.
        with parameter("max_groups", 100):
            as_user(BOB, make_groups, topic, "f")
            as_user(BOB, fails, errno.EDQUOT, make_groups, topic, "g")


def test_members():
    topic = public("-p", "2")

    def alice():
        fds = as_many(lambda: member(topic, "g"))
        eq(len(fds), 4)
        g.leave(fds[0])
        fds.append(member(topic, "other"))
        fails(errno.EDQUOT, g.join, fds[0], "g")
        os.close(fds.pop(1))
        g.join(fds[0], "g")
        fails(errno.EDQUOT, member, topic, "g")
        release(fds)
        # JOIN that fails for another reason is not charged.
        for _ in range(9):
            fails(errno.EPROTOTYPE, lambda: member(topic, "g", flags=g.JOIN_QUEUE))
            fails(errno.ENXIO, lambda: member(topic, "g", static=[2]))
        eq(len(as_many(lambda: member(topic, "g"))), 4)

    with parameter("max_user_members", 4):
        as_user(ALICE, alice)
        held = Holder(ALICE, as_many, lambda: member(topic, "g"))
        as_user(ALICE, fails, errno.EDQUOT, member, topic, "g")
        as_user(BOB, lambda: eq(len(as_many(lambda: member(topic, "g"))), 4))
        eq(held.kill(signal.SIGKILL), -signal.SIGKILL)
        as_user(ALICE, lambda: eq(len(as_many(lambda: member(topic, "g"))), 4))


def test_whose_file_it_is():
    """Charged is who opened it, not who uses it."""
    topic = public()
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with parameter("max_user_members", 1):

        def bob():
            held = member(topic, "g")
            fails(errno.EDQUOT, member, topic, "g")
            passed = g.receive_fd(there)
            g.join(passed, "g")
            fails(errno.EDQUOT, member, topic, "g")
            return [held, passed]

        def alice():
            fd = open_topic(topic)
            g.send_fd(here, fd)

        as_user(ALICE, alice)
        held = Holder(BOB, bob)
        # Hers is used up by Bob.
        as_user(ALICE, fails, errno.EDQUOT, member, topic, "g")
        held.kill()
        as_user(ALICE, lambda: os.close(member(topic, "g")))
    here.close()
    there.close()


def test_memory_of_files():
    topic = public("-p", "64")

    def readers():
        return as_many(lambda: open_topic(topic, 0, os.O_RDONLY))

    def alice():
        fds = readers()
        # Each may keep a folio of 256 KiB that is gone from the log.
        eq(len(fds), 15)
        release(fds)
        # A writer keeps nothing; who reads all partitions has a place in each.
        writers = [open_topic(topic, 0, os.O_WRONLY) for _ in range(100)]
        whole = as_many(lambda: open_topic(topic, "any", os.O_RDONLY))
        ok(100 < len(whole) < 1000, f"files of all partitions: {len(whole)}")
        release(writers + whole)
        fds = readers()
        eq(len(fds), 15)

    with parameter("max_user_memory", 4 << 20):
        as_user(ALICE, alice)
        held = Holder(ALICE, readers)
        as_user(ALICE, fails, errno.EDQUOT, open_topic, topic, 0)
        as_user(BOB, lambda: eq(len(readers()), 15))
        # No ceiling for whoever has the capability.
        mine = [open_topic(topic, 0, os.O_RDONLY) for _ in range(40)]
        release(mine)
        held.kill()
        as_user(ALICE, lambda: eq(len(readers()), 15))


def test_memory_of_lines():
    topic = Topic("--mode", "0666", "--framing", "line", "--segment", "8M",
                  "--ring", "32M", "--max-record", "4M")

    def alice():
        a, b = (open_topic(topic, 0, os.O_WRONLY) for _ in range(2))
        eq(os.write(a, b"a" * 600000), 600000)
        eq(os.write(b, b"b" * 900000), 900000)
        fails(errno.EDQUOT, os.write, b, b"b" * 600000)
        # What it has is there still, and what there is room for goes.
        eq(os.write(b, b"b\n"), 2)
        eq(os.write(a, b"a" * 300000 + b"\n"), 300001)
        eq(os.write(b, b"b" * 1000000), 1000000)
        os.close(a)
        os.close(b)

    with parameter("max_user_memory", 2 << 20):
        as_user(ALICE, alice)
        as_user(ALICE, alice)
    fd = topic.open()
    whole = 2 * (900002 + 900001 + 1000001)
    lengths = []
    for _ in range(6):
        lengths.append(len(os.read(fd, 8 << 20)))
        if sum(lengths) >= whole:
            break
    eq(sum(lengths), whole)


def test_memory_of_queues():
    topic = public()
    fd = topic.open()
    count = 1200
    for n in range(count):
        os.write(fd, b"%d" % n)

    def acquire_all(q):
        taken = []
        with contextlib.suppress(BlockingIOError):
            while True:
                taken += g.acquire(q, 100)
        return taken

    def alice():
        q = member(topic, "q", flags=g.JOIN_QUEUE)
        try:
            taken = acquire_all(q)
        except OSError as error:
            eq(error.errno, errno.EDQUOT)
        else:
            raise Failed(f"it got {len(taken)} records")

    def bob():
        # A queue's records are charged to who made it: here they are as few.
        q = member(topic, "q", flags=g.JOIN_QUEUE)
        offsets = []
        with contextlib.suppress(BlockingIOError):
            while True:
                got = g.acquire(q, 100)
                ok(got, "room for one at least")
                offsets += [r.offset for r in got]
                g.settle(q, g.ACCEPT, (0, got[0].offset, got[-1].offset))
        eq(sorted(offsets), list(range(count)))

    with parameter("max_user_memory", 100000):
        as_user(ALICE, alice)
        # All of them are there, and come once settled ones have made room.
        as_user(BOB, bob)


def test_memory_of_groups():
    topic = public("-p", "512")

    def alice():
        made = []

        def one():
            fd = open_topic(topic, "any", os.O_RDONLY)
            try:
                g.join(fd, f"g{len(made)}")
                made.append(1)
            finally:
                os.close(fd)

        as_many(one, 1000)
        ok(10 < len(made) < 100, f"groups: {len(made)}")

    with parameter("max_user_memory", 2 << 20):
        as_user(ALICE, alice)
        as_user(ALICE, fails, errno.EDQUOT, make_groups, topic, "more")
        as_user(BOB, make_groups, topic, "more")
        t.must("group", "delete", topic.name, "g0")
        as_user(ALICE, make_groups, topic, "again")


def in_user_namespace(uid, function):
    """As the root of a user namespace that @uid made and in which there are many users."""
    ready_in, ready_out = os.pipe()
    mapped_in, mapped_out = os.pipe()

    def body():
        become(uid)
        if libc.unshare(CLONE_NEWUSER):
            os.write(ready_out, b"-")
            return True
        os.write(ready_out, b"+")
        os.read(mapped_in, 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        function()
        return True

    with t.child(body) as pid:
        there = os.read(ready_in, 1) == b"+"
        if there:
            for kind in ("uid", "gid"):
                t.put(f"/proc/{pid}/{kind}_map", f"0 {uid} 1\n1 200000 1000\n")
        os.write(mapped_out, b".")
    for fd in (ready_in, ready_out, mapped_in, mapped_out):
        os.close(fd)
    if not there:
        raise t.Skip("no user namespace can be made")


def test_users_of_a_user_namespace():
    topic = public()

    def groups_of(uid, *names):
        made = []

        def body():
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            for name in names:
                try:
                    make_groups(topic, name)
                    made.append(name)
                except OSError as error:
                    eq(error.errno, errno.EDQUOT)
            os._exit(len(made))

        pid = os.fork()
        if not pid:
            try:
                body()
            finally:
                os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def root():
        # Many users, one purse: that of who made the namespace.
        eq([groups_of(uid, f"{uid}-a", f"{uid}-b") for uid in (1, 2, 3, 0)], [2, 1, 0, 0])

        def deeper():
            if libc.unshare(CLONE_NEWUSER):
                return False
            fails(errno.EDQUOT, make_groups, topic, "deep")
            return True

        with t.child(deeper):
            pass

    with parameter("max_user_groups", 3):
        in_user_namespace(ALICE, root)
        as_user(ALICE, fails, errno.EDQUOT, make_groups, topic, "more")
        # The user whose number a namespace's user has is another one.
        as_user(200000, make_groups, topic, "own")
        as_user(BOB, make_groups, topic, "b")


def test_restored_groups():
    """What is restored is charged to who joins first."""
    topic = Durable(memory_place(), "--mode", "0666")

    def again():
        topic.detach()
        topic.attach()

    with parameter("max_user_groups", 2):
        as_user(ALICE, make_groups, topic, "a", "b")
        again()
        as_user(ALICE, make_groups, topic, "a", "b")
        as_user(ALICE, fails, errno.EDQUOT, make_groups, topic, "c")
        again()
        as_user(BOB, make_groups, topic, "a", "c")
        as_user(BOB, fails, errno.EDQUOT, make_groups, topic, "b")
        as_user(ALICE, make_groups, topic, "b", "d")
        as_user(ALICE, fails, errno.EDQUOT, make_groups, topic, "e")
        # Nothing is kept for who was refused.
        again()
        as_user(ALICE, make_groups, topic, "x", "y")
        as_user(ALICE, fails, errno.EDQUOT, lambda: member(topic, "a", static=[0]))
        as_user(BOB, lambda: [member(topic, "a"), member(topic, "a", static=[0])])
        # What whoever has the capability joins first is nobody's.
        again()
        fd = member(topic, "a")
        as_user(ALICE, make_groups, topic, "a", "b", "c")
        as_user(ALICE, fails, errno.EDQUOT, make_groups, topic, "d")
        os.close(fd)


def test_exactly_what_was_taken():
    """Many who join, leave, close and delete at the same time: nothing is lost or gained."""
    topic = public("-p", "4")
    ends = threading.Event()
    wrong = []

    def deleter():
        try:
            while not ends.is_set():
                for n in range(6):
                    t.streamctl("group", "delete", topic.name, f"s{n}")
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(error)

    def storm():
        def work(number):
            for n in range(60):
                fd = open_topic(topic)
                try:
                    g.join(fd, f"s{(n + number) % 6}")
                    if n % 3 == 0:
                        g.leave(fd)
                except OSError as error:
                    if error.errno not in (errno.EDQUOT, errno.EBUSY, errno.ESTALE):
                        wrong.append(error)
                os.close(fd)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eq(wrong, [])

    with contextlib.ExitStack() as stack:
        stack.enter_context(parameter("max_user_groups", 4))
        stack.enter_context(parameter("max_user_members", 3))
        thread = threading.Thread(target=deleter)
        held = Holder(ALICE, lambda: [open_topic(topic)])
        thread.start()
        as_user(ALICE, storm)
        ends.set()
        thread.join()
        eq(wrong, [])
        for n in range(6):
            t.streamctl("group", "delete", topic.name, f"s{n}")
        as_user(ALICE, make_groups, topic, *"abcd")
        as_user(ALICE, fails, errno.EDQUOT, make_groups, topic, "e")
        as_user(ALICE, lambda: eq(len(as_many(lambda: member(topic, "a"))), 3))
        held.kill()


def test_streamctl_says_so():
    topic = public()
    with parameter("max_user_groups", 0):

        def alice():
            status, _, err = t.streamctl("consume", "-g", "mine", topic.name, "-e")
            eq(status, 2)
            ok(b"one user" in err, f"it says whose ceiling it is: {err}")

        as_user(ALICE, alice)


if __name__ == "__main__":
    t.main()
