#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What is reached by whom: users, roots of user namespaces, containers."""
import ctypes
import errno
import os
import stat
import struct
import subprocess

import evgroup as g
import evstest as t
import evnetlink as nl
from evstest import Failed, Topic, eq, fails, ok

NOBODY = 65534
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
ALL = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
MS_REC, MS_PRIVATE, MS_BIND = 1 << 14, 1 << 18, 1 << 12
# What a container engine leaves to root: no SYS_ADMIN, no SYS_RESOURCE, but MKNOD.
CONTAINER = "chown,dac_override,fsetid,fowner,mknod,net_raw,setgid,setuid,setfcap,setpcap," \
            "net_bind_service,sys_chroot,kill,audit_write"
GROUP_NEW_NTF, GROUP_JOIN_NTF, GROUP_LEAVE_NTF = 17, 19, 20
ATTACH, DETACH, GROUP_GET, GROUP_DEL, GROUP_SEEK = 9, 10, 12, 13, 14
MEMBER_GET, OFFSET_GET = 15, 16
DIR, WHENCE = 15, 18
PARAMETERS = "/sys/module/evstream/parameters"
libc = ctypes.CDLL(None, use_errno=True)


def call(result, what):
    if result:
        number = ctypes.get_errno()
        raise t.Skip(f"{what}: {os.strerror(number)}")


def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def as_nobody(function):
    def body():
        become(NOBODY)
        function()
        return True

    with t.child(body):
        pass


def mapped(flags, outside):
    """Unshare a user namespace and become its root."""
    # Else its own files in /proc are not its own.
    libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE
    call(libc.unshare(CLONE_NEWUSER | flags), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {outside} 1"),
                       ("gid_map", f"0 {outside} 1")):
        t.put(f"/proc/self/{name}", text)
    eq((os.getuid(), os.getgid()), (0, 0))


def drop(kept=""):
    """Only these capabilities are left, and no others can be had."""
    names = {line.split()[2][4:].lower(): int(line.split()[1])
             for line in CAPABILITIES.splitlines()}
    mask = 0
    for name in filter(None, kept.split(",")):
        mask |= 1 << names[name]
    for number in range(64):
        if not mask >> number & 1:
            libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP
    header = struct.pack("=Ii", 0x20080522, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    call(libc.syscall(126, header, data), "capset")


CAPABILITIES = """c 0 cap_chown
c 1 cap_dac_override
c 3 cap_fowner
c 4 cap_fsetid
c 5 cap_kill
c 6 cap_setgid
c 7 cap_setuid
c 8 cap_setpcap
c 10 cap_net_bind_service
c 12 cap_net_admin
c 13 cap_net_raw
c 18 cap_sys_chroot
c 27 cap_mknod
c 29 cap_audit_write
c 31 cap_setfcap"""


def user():
    become(NOBODY)


def namespace_root():
    become(NOBODY)
    mapped(0, NOBODY)


def namespace_root_of_a_network():
    become(NOBODY)
    mapped(CLONE_NEWNET, NOBODY)


def rootless_container():
    become(NOBODY)
    mapped(ALL, NOBODY)


def container():
    call(libc.unshare(ALL), "unshare")
    call(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount")
    drop(CONTAINER)


def user_0_without_capabilities():
    drop()


def user_0_with_all_but_one():
    """CAP_NET_ADMIN is not what it takes."""
    drop("net_admin,mknod,dac_override")


WHO = (user, namespace_root, namespace_root_of_a_network, rootless_container, container,
       user_0_without_capabilities, user_0_with_all_but_one)


def for_each(function):
    """Run it as each of them, who has become that already."""
    skipped = []
    for who in WHO:

        def body(who=who):
            try:
                who()
            except t.Skip as why:
                os.write(1, f"# {who.__name__}: {why}\n".encode())
                os._exit(77)
            # In a new process namespace the children are.
            pid = os.fork()
            if not pid:
                status = 1
                try:
                    function(who)
                    status = 0
                except BaseException as error:  # pylint: disable=broad-except
                    os.write(1, f"# {who.__name__}: {error!r}\n".encode())
                finally:
                    os._exit(status)
            return not os.waitpid(pid, 0)[1]

        try:
            with t.child(body):
                pass
        except Failed as failure:
            if "ended with 77" not in str(failure):
                raise Failed(f"{who.__name__}: {failure}") from failure
            skipped.append(who.__name__)
    ok(len(skipped) < 4, f"too few of them can be had here: not {skipped}")


def changes(topic):
    """All requests that change something."""
    yield nl.NEW, nl.text(nl.NAME, "mine")
    yield nl.NEW, nl.text(nl.NAME, "mine") + nl.text(DIR, "/tmp")
    yield nl.SET, nl.text(nl.NAME, topic.name) + nl.u32(nl.MODE, 0o666)
    yield nl.DEL, nl.text(nl.NAME, topic.name)
    yield ATTACH, nl.text(nl.NAME, "mine") + nl.text(DIR, "/tmp")
    yield DETACH, nl.text(nl.NAME, topic.name)
    yield GROUP_DEL, nl.text(1, topic.name) + nl.text(2, "g")
    yield GROUP_SEEK, nl.text(1, topic.name) + nl.text(2, "g") + nl.u32(WHENCE, 2)


def refused(sock, topic):
    for cmd, attrs in changes(topic):
        answer = sock.ask(cmd, attrs)
        eq((cmd, errno.errorcode.get(answer.errno)), (cmd, "EPERM"))
        ok("CAP_SYS_ADMIN" in answer.message, f"{cmd}: it says why: {answer.message!r}")


def test_changes_are_refused():
    topic = Topic()
    g.Member(topic).leave()
    before = topic.show()
    for_each(lambda who: refused(nl.Netlink(), topic))
    eq(topic.show(), before)
    ok("mine" not in t.topics(), "nothing was made")


def test_all_can_look():
    topic = Topic("-p", "2")
    os.write(topic.open(), b"secret value")
    member = g.Member(topic, "g")

    def look(who):
        sock = nl.Netlink()
        got = sock.get(topic.name)
        eq((got.errno, len(got.replies)), (0, 1))
        for cmd in (nl.GET, nl.PARTITION, GROUP_GET, MEMBER_GET, OFFSET_GET):
            answer = sock.ask(cmd, flags=nl.REQUEST | nl.DUMP)
            eq((cmd, answer.errno), (cmd, 0))
            ok(answer.replies, f"{cmd}: it is listed")
            for reply in answer.replies:
                ok(b"secret" not in b"".join(reply.values()), "no record's bytes")
        reply = sock.ask(MEMBER_GET, flags=nl.REQUEST | nl.DUMP).replies[0]
        hidden = who in (container, rootless_container)
        # Its number is not known where the process cannot be seen.
        pids = [v for v in reply.values() if v == struct.pack("=I", OWN_PID)]
        eq(bool(pids), not hidden, "the process")

    for_each(look)
    member.leave()


OWN_PID = os.getpid()


def test_events_for_all():
    """Whoever listens learns what a list shows, and no more."""
    topic = Topic()
    ready, far = os.pipe()

    def listen(who):
        sock = nl.Netlink()
        for group in sock.groups.values():
            sock.sock.setsockopt(270, 1, group)
        os.write(far, b".")
        kinds = set()
        while not kinds >= {GROUP_NEW_NTF, GROUP_JOIN_NTF, GROUP_LEAVE_NTF}:
            data = sock.sock.recv(65536)
            kinds.add(data[16])
            found = nl.attrs_of(data[20:])
            ok(b"secret" not in b"".join(found.values()), "no record's bytes")
            ok(found[1] == topic.name.encode() + b"\0", "its topic")

    for who in (user, rootless_container):

        def body(who=who):
            who()
            pid = os.fork()
            if not pid:
                status = 1
                try:
                    listen(who)
                    status = 0
                finally:
                    os._exit(status)
            return not os.waitpid(pid, 0)[1]

        with t.child(body):
            os.read(ready, 1)
            os.write(topic.open(), b"secret")
            g.Member(topic, who.__name__).leave()
    os.close(ready)
    os.close(far)


def test_sockets_of_others():
    """Both who opened the socket and who sends must have the capability."""
    topic = Topic()
    g.Member(topic).leave()

    # What a set-user-ID program is made to write to is such a socket.
    os.seteuid(NOBODY)
    try:
        sock = nl.Netlink()
    finally:
        os.seteuid(0)
    refused(sock, topic)

    ours = nl.Netlink()

    def sends():
        refused(ours, topic)

    as_nobody(sends)
    eq(ours.ask(nl.SET, nl.text(nl.NAME, topic.name) + nl.u32(nl.MODE, 0o600)).errno, 0)


def test_nodes():
    """The mode is obeyed by all but who has CAP_DAC_OVERRIDE outside."""
    topic = Topic("-p", "2", "--mode", "0600")
    may = (container, user_0_without_capabilities, user_0_with_all_but_one)

    def closed(who):
        for p in (0, 1, "any"):
            for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
                if who in may:
                    os.close(os.open(topic.path(p), flags))
                else:
                    fails(errno.EACCES, os.open, topic.path(p), flags)

    for_each(closed)
    topic.set("mode=0644")

    def readable(who):
        fd = os.open(topic.path(), os.O_RDONLY)
        eq(t.stat(fd).end_offset, 0)
        if who not in may:
            fails(errno.EACCES, os.open, topic.path(), os.O_WRONLY)

    for_each(readable)


def test_calls_need_the_mode():
    """As the documentation says, of each ioctl."""
    source, letters = Topic("--mode", "0666"), Topic("--mode", "0644")

    def nobody():
        for what in (0, "any"):
            r, w = os.open(source.path(what), os.O_RDONLY), os.open(source.path(what), os.O_WRONLY)
            for arg in (t.Append(), t.AppendBatch(), t.Trim()):
                fails(errno.EBADF, t.ioctl, r, arg)
            fails(errno.EBADF, os.write, r, b"x")
            for arg in (t.Fetch(), t.Seek(), t.Gap(), g.Join(), g.Commit(), g.Position(),
                        g.Assignment(), g.Acquire(), g.Ack()):
                fails(errno.EBADF, t.ioctl, w, arg)
            fails(errno.EBADF, g.leave, w)
            fails(errno.EBADF, os.read, w, 10)
            fails(errno.EBADF, os.pread, w, 10, 0)
            for fd in (r, w):
                eq(t.stat(fd).end_offset, 0)
            path = os.open(source.path(what), os.O_PATH)
            fails(errno.EBADF, t.stat, path)
        # Where letters go must be open for writing.
        mine = os.open(source.path("any"), os.O_RDWR)
        for fd in (os.open(letters.path(), os.O_RDONLY), os.open(letters.path(), os.O_PATH), 999):
            fails(errno.EBADF, lambda fd=fd: g.join(mine, "q", flags=g.JOIN_QUEUE, dead_letter=fd))
        fails(errno.EACCES, os.open, letters.path(), os.O_WRONLY)

    as_nobody(nobody)
    eq(t.end(letters.open()), 0)


def test_what_was_opened_stays_open():
    """The mode counts when a node is opened: passed on, inherited, changed later."""
    topic = Topic("--mode", "0600")
    r, w = topic.open(0, os.O_RDONLY), topic.open(0, os.O_WRONLY)

    def nobody():
        fails(errno.EACCES, os.open, topic.path(), os.O_RDONLY)
        eq(os.write(w, b"passed"), 6)
        eq(os.read(r, 100), b"passed")
        fails(errno.EBADF, os.write, r, b"x")
        fails(errno.EBADF, os.read, w, 1)
        # Nor is it opened for more by another name.
        fails(errno.EACCES, os.open, f"/proc/self/fd/{r}", os.O_WRONLY)

    as_nobody(nobody)
    topic.set("mode=0000")
    as_nobody(lambda: eq(os.write(w, b"again"), 5))


def test_privileged_writers_are_not_asked():
    """A program with set-user-ID that writes where it is told: nothing is gained."""
    topic = Topic("--mode", "0222")
    fds = []
    os.seteuid(NOBODY)
    try:
        fds.append(os.open(topic.path(), os.O_WRONLY))
        fails(errno.EACCES, os.open, topic.path(), os.O_RDWR)
    finally:
        os.seteuid(0)
    # Here it is root that uses it, and gets no more than the opener.
    fd = fds[0]
    eq(os.write(fd, b"x"), 1)
    fails(errno.EBADF, t.fetch_raw, fd)
    fails(errno.EBADF, g.join, fd, "g")
    with t.parameter("max_user_members", 0):
        topic.set("mode=0666")
        os.seteuid(NOBODY)
        try:
            fds.append(os.open(topic.path("any"), os.O_RDWR))
        finally:
            os.seteuid(0)
        fails(errno.EDQUOT, g.join, fds[1], "g")
    for fd in fds:
        os.close(fd)


def test_owner_and_acl_after_set():
    topic = Topic("-p", "2", "--mode", "0600")
    acl = struct.pack("=I", 2) + b"".join(
        struct.pack("=HHI", tag, perm, who) for tag, perm, who in
        ((1, 6, 0xFFFFFFFF), (2, 6, NOBODY), (4, 0, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF),
         (32, 0, 0xFFFFFFFF)))
    try:
        os.setxattr(topic.path(), "system.posix_acl_access", acl)
    except OSError as error:
        raise t.Skip(f"/dev has no ACLs: {error.strerror}") from error
    as_nobody(lambda: os.close(os.open(topic.path(), os.O_RDWR)))
    topic.set("retention=1h")
    as_nobody(lambda: os.close(os.open(topic.path(), os.O_RDWR)))
    # Nodes that are made anew have what was asked for, and nothing else.
    topic.set("owner=1:2", "mode=0640")
    for p in (0, 1, "any"):
        st = os.stat(topic.path(p))
        eq((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (1, 2, 0o640))
        eq(os.listxattr(topic.path(p)), [])
    as_nobody(lambda: fails(errno.EACCES, os.open, topic.path(), os.O_RDONLY))


def test_nodes_of_ones_own():
    """mknod(2) is for who has CAP_MKNOD outside; a number stays a topic's."""
    topic = Topic("--mode", "0600")
    number = os.stat(topic.path()).st_rdev

    def make(who):
        if who in (container, user_0_with_all_but_one):
            # As it may: it is root outside, and the device control group did not say no.
            path = f"/tmp/evs-node-{os.getpid()}"
            os.mknod(path, stat.S_IFCHR | 0o600, number)
            os.close(os.open(path, os.O_RDWR))
            os.unlink(path)
        else:
            path = f"/tmp/evs-node-{os.getpid()}"
            fails(errno.EPERM, os.mknod, path, stat.S_IFCHR | 0o666, number)

    for_each(make)
    # One that outlives its topic leads nowhere, and not to the next one.
    path = f"/tmp/evs-node-{os.getpid()}"
    os.mknod(path, stat.S_IFCHR | 0o666, number)
    try:
        os.chmod(path, 0o666)
        as_nobody(lambda: os.close(os.open(path, os.O_RDWR)))
        topic.delete()
        later = [Topic("--mode", "0600") for _ in range(5)]
        as_nobody(lambda: fails(errno.ENXIO, os.open, path, os.O_RDWR))
        ok(number not in [os.stat(x.path()).st_rdev for x in later], "the number is not used again")
    finally:
        os.unlink(path)


def test_devices_on_ones_own_mount():
    """What a user namespace has mounted opens no devices."""
    topic = Topic("--mode", "0666")
    number = os.stat(topic.path()).st_rdev

    def body():
        become(NOBODY)
        mapped(CLONE_NEWNS | CLONE_NEWPID, NOBODY)
        call(libc.mount(b"tmpfs", b"/mnt", b"tmpfs", 0, None), "mount")
        fails(errno.EPERM, os.mknod, "/mnt/x", stat.S_IFCHR | 0o666, number)
        # A node that is bound there is itself, with its own mode.
        with open("/mnt/node", "wb"):
            pass
        call(libc.mount(topic.path().encode(), b"/mnt/node", None, MS_BIND, None), "mount")
        fd = os.open("/mnt/node", os.O_RDWR)
        return os.write(fd, b"bound") == 5

    with t.child(body):
        pass
    eq(t.end(topic.open()), 1)


def test_parameters():
    names = os.listdir(PARAMETERS)
    ok("max_user_memory" in names, "the ceilings are there")

    def write(who):
        for name in names:
            path = os.path.join(PARAMETERS, name)
            with open(path, encoding="ascii") as file:
                file.read()
            if who in (user, namespace_root, namespace_root_of_a_network, rootless_container):
                fails(errno.EACCES, os.open, path, os.O_WRONLY)

    for_each(write)


def test_attach_is_not_for_readers():
    """What a directory holds is not to be had by who cannot attach it."""
    done = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "streamctl",
         "topic", "attach", "/root", "x"], capture_output=True, text=True, check=False)
    eq(done.returncode, 2)
    ok("CAP_SYS_ADMIN" in done.stderr, done.stderr)


if __name__ == "__main__":
    t.main()
