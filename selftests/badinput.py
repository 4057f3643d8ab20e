#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Bad input to ioctls, devices and streamctl: a clear error, nothing lost."""
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import random

import evstest as t
from evstest import Topic, eq, fails, kafka, ok, parameter

T0 = 1_700_000_000_000


def raw_ioctl(fd, struct, size, data):
    """An ioctl with a structure of another size: the bytes returned."""
    buf = bytearray(data.ljust(size, b"\0"))
    fcntl.ioctl(fd, t.code(struct, size), buf, True)
    return bytes(buf)


def at_address(fd, number, address):
    """An ioctl with an address of our choice, which fcntl.ioctl() does not take."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ioctl(fd, ctypes.c_ulong(number), ctypes.c_void_p(address)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def good_arguments():
    """Of each ioctl: one that the kernel takes."""
    batch = ctypes.create_string_buffer(kafka.GOLDEN, len(kafka.GOLDEN))
    array, keep = t.record_array([{"value": b"x", "timestamp": T0}])
    good_arguments.keep = batch, array, keep
    return [
        t.Append(records=ctypes.addressof(array), nr_records=1, record_size=64),
        t.AppendBatch(batch=ctypes.addressof(batch), len=len(kafka.GOLDEN)),
        t.Fetch(),
        t.Seek(),
        t.Stat(),
        t.SetFraming(),
        t.Gap(),
        t.Trim(),
    ]


def first(struct):
    return getattr(struct, "FIRST", ctypes.sizeof(struct))


def test_sizes_of_the_first_version():
    eq([first(s) for s in t.STRUCTS], [24, 32, 72, 32, 88, 8, 32, 24])
    eq(ctypes.sizeof(t.Record), 64)


def test_larger_structures_with_zeroes():
    fd = Topic().open()
    for arg in good_arguments():
        size = ctypes.sizeof(arg)
        for more in (8, 1, 100, 4096):
            if isinstance(arg, t.Fetch):
                arg.offset = t.end(fd)
            out = raw_ioctl(fd, type(arg), size + more, bytes(arg))
            # What the kernel does not know stays as it was: zero.
            eq(out[size:], bytes(more))


def test_larger_structures_with_more():
    fd = Topic().open()
    for arg in good_arguments():
        size = ctypes.sizeof(arg)
        for at in (0, 7, 63):
            data = bytes(arg) + bytes(at) + b"\1"
            fails(errno.E2BIG, raw_ioctl, fd, type(arg), size + 64, data)
    eq(t.end(fd), 0)


def test_smaller_structures():
    fd = Topic().open()
    for arg in good_arguments():
        for size in (0, 1, 4, first(type(arg)) - 1):
            fails(errno.EINVAL, raw_ioctl, fd, type(arg), size, bytes(arg)[:size])
    eq(t.end(fd), 0)


def test_structures_of_the_first_version():
    fd = Topic().open()
    for arg in good_arguments():
        size = first(type(arg))
        if size < ctypes.sizeof(arg):
            # As much comes back as was asked for.
            eq(len(raw_ioctl(fd, type(arg), size, bytes(arg)[:size])), size)


def test_directions():
    fd = Topic().open()
    for arg in good_arguments():
        for direction in range(4):
            if direction == type(arg).DIR:
                continue
            number = t.code(type(arg)) & 0x3FFFFFFF | direction << 30
            fails(errno.ENOTTY, fcntl.ioctl, fd, number, bytearray(bytes(arg)), True)


def test_structures_that_are_not_there():
    fd = Topic().open()
    for arg in good_arguments():
        for address in (0, 8, 0x7FFFFFFFF000 - 4):
            fails(errno.EFAULT, at_address, fd, t.code(type(arg)), address)


def test_read_only_structures():
    fd = Topic().open()
    for arg in good_arguments():
        if type(arg).DIR != 3:
            continue
        if isinstance(arg, t.Fetch):
            arg.offset = t.end(fd)
        area = mmap.mmap(-1, 4096)
        area[: ctypes.sizeof(arg)] = bytes(arg)
        view = (ctypes.c_char * 4096).from_buffer(area)
        address = ctypes.addressof(view)
        libc = ctypes.CDLL(None, use_errno=True)
        eq(libc.mprotect(ctypes.c_void_p(address), 4096, 1), 0)
        fails(errno.EFAULT, at_address, fd, t.code(type(arg)), address)


def test_random_ioctls():
    """None of them may do more than fail: the kernel log tells."""
    topic = Topic("-p", "2", "--segment", "64K", "--ring", "128K", "--framing", "line")
    fds = [topic.open(0, os.O_RDWR | os.O_NONBLOCK), topic.open("any", os.O_RDWR | os.O_NONBLOCK)]
    edge = [0, 1, 2, 7, 64, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    for _ in range(2000):
        struct = random.choice(t.STRUCTS)
        arg = struct()
        for name, kind in struct._fields_:
            if random.random() < 0.6:
                value = random.choice(edge)
                if ctypes.sizeof(kind) == 8 and random.random() < 0.5:
                    value = random.getrandbits(64)
                setattr(arg, name, value)
        if isinstance(arg, t.Fetch):
            arg.timeout_ms = random.choice((0, -1, -2, 5))
        with contextlib.suppress(OSError):
            t.ioctl(random.choice(fds), arg)
    for fd in fds:
        s = t.stat(fd, 0)
        ok(s.start_offset <= s.end_offset, "the log is as it should be")


def test_huge_writes():
    topic = Topic("--segment", "64K", "--ring", "128K", "--max-record", "60000")
    fd = topic.open()
    with mmap.mmap(-1, 64 << 20) as area:
        fails(errno.EMSGSIZE, os.write, fd, area)
        fails(errno.EMSGSIZE, os.writev, fd, [memoryview(area)[:40000]] * 1000)
    eq(t.end(fd), 0)
    eq(os.writev(fd, [b"x"] * 1024), 1024)
    eq(t.end(fd), 1)


def test_reading_what_is_not_there_yet():
    fd = Topic().open(0, os.O_RDWR | os.O_NONBLOCK)
    for offset in (0, 1, 1 << 31, (1 << 62) - 1):
        fails(errno.EAGAIN, os.pread, fd, 10, offset)
        eq(os.lseek(fd, offset, os.SEEK_SET), offset)
        fails(errno.EAGAIN, os.read, fd, 10)
    for offset in ((1 << 63) - 1, 1 << 62):
        fails(errno.EINVAL, os.lseek, fd, offset, os.SEEK_SET)


def test_what_devices_do_not_do():
    topic = Topic()
    fd = topic.open()
    fails(errno.EINVAL, os.ftruncate, fd, 0)
    fails(errno.ENODEV, os.posix_fallocate, fd, 0, 10)
    fails(errno.ENOTDIR, os.open, topic.path() + "/x", os.O_RDONLY)
    fails(errno.ENOENT, os.open, topic.path(1), os.O_RDONLY)
    fails(errno.EEXIST, os.open, topic.path(), os.O_CREAT | os.O_EXCL)


def test_direct_io_flags_are_no_matter():
    topic = Topic()
    with contextlib.suppress(OSError):
        fd = topic.open(0, os.O_RDWR | os.O_SYNC | os.O_DSYNC)
        os.write(fd, b"x")
        eq(os.read(fd, 10), b"x")


# -------------------------------------------------------------------- names


def nodes():
    return sorted(os.listdir("/dev/stream")) if os.path.exists("/dev/stream") else []


def refused(*args, status=2):
    """streamctl fails, says why, and leaves no topic."""
    before = nodes()
    got, out, err = t.streamctl(*args)
    eq((got, out), (status, b""), f"{args}: {err}")
    ok(len(err) > 10, f"{args}: it says why")
    eq(nodes(), before)
    return err.decode()


def test_names():
    for name in ("", ".", "..", "a/b", "/", "a b", "ä", "a\n", "a:b", "*", "../x", "x" * 250, "\x7f"):
        refused("topic", "create", "--", name)
    for name in ("a", "A", "0", "-", "_", "...", ".a", "a.", "x" * 249, "any", "0-9_.Z"):
        args = ["topic", "create", "--", name]
        t.must(*args)
        try:
            ok(os.path.exists(f"/dev/stream/{name}/any"), name)
            fd = os.open(f"/dev/stream/{name}/0", os.O_RDWR)
            os.write(fd, b"x")
            os.close(fd)
        finally:
            t.must("topic", "delete", "--", name)
    ok("249" in refused("topic", "create", "x" * 250), "the message tells the limit")


def test_duplicates():
    topic = Topic("-p", "3")
    os.write(topic.open(), b"kept")
    refused("topic", "create", topic.name)
    refused("topic", "create", topic.name, "-p", "3")
    eq(os.read(topic.open(), 10), b"kept")
    # Another case is another name.
    other = Topic(name=topic.name.upper())
    eq(t.end(other.open()), 0)


def test_topics_that_are_not_there():
    for args in (
        ("topic", "show", "nothing"),
        ("topic", "delete", "nothing"),
        ("topic", "set", "nothing", "framing=line"),
        ("topic", "trim", "nothing", "end"),
        ("consume", "nothing", "-e"),
    ):
        refused(*args)
    got, _, err = t.streamctl("produce", "nothing", data=b"x\n")
    eq(got, 2)
    ok(err, "it says why")


def test_configurations():
    wrong = []
    for options in (
        ["-p", "0"],
        ["-p", "4097"],
        ["-p", "4294967295"],
        ["--segment", "0"],
        ["--segment", "32K"],
        ["--segment", "65537"],
        ["--segment", "96K"],
        ["--segment", "2G"],
        ["--segment", "16777215T"],
        ["--segment", "64K", "--ring", "64K"],
        ["--segment", "64K", "--ring", "100K"],
        ["--segment", "64K", "--ring", "131073"],
        ["--ring", "0"],
        ["--ring", "17T"],
        ["--ring", "16777215T"],
        ["--max-record", "0"],
        ["--max-record", "17M"],
        ["--max-record", "3G"],
        ["--segment", "64K", "--ring", "128K", "--max-record", "64K"],
        ["--mode", "0777"],
        ["--mode", "01666"],
        ["--mode", "4000"],
        ["--owner", "4294967295"],
        ["--owner", "0:4294967295"],
        ["--retention", "99999999999d"],
        ["--retention", "1d,17T"],
    ):
        status, _, err = t.streamctl("topic", "create", "wrong", *options)
        if status not in (1, 2) or not err:
            wrong.append((options, status, err))
            t.streamctl("topic", "delete", "wrong")
    eq(wrong, [])


def test_usage():
    for args in (
        ("topic", "create"),
        ("topic", "create", "x", "--nothing"),
        ("topic", "create", "x", "-p"),
        ("topic", "create", "x", "-p", "two"),
        ("topic", "create", "x", "-p", "-1"),
        ("topic", "create", "x", "--segment", "-1"),
        ("topic", "create", "x", "--segment", "64Q"),
        ("topic", "create", "x", "--segment", ""),
        ("topic", "create", "x", "--segment", "99999999999999999999"),
        ("topic", "create", "x", "--retention", "1y"),
        ("topic", "create", "x", "--framing", "word"),
        ("topic", "create", "x", "--full", "maybe"),
        ("topic", "create", "x", "--mode", "rw"),
        ("topic", "create", "x", "--mode", "0999"),
        ("topic", "create", "x", "--owner", "nobody-has-this-name"),
        ("topic", "create", "x", "y"),
        ("topic", "set", "x"),
        ("topic", "set", "x", "framing"),
        ("topic", "set", "x", "colour=red"),
        ("topic", "frobnicate", "x"),
        ("frobnicate",),
        ("topic",),
        (),
        ("consume",),
        ("consume", "x", "-o", "middle"),
        ("consume", "x", "-c", "few"),
        ("produce",),
        ("produce", "x", "-T", "now"),
        ("--nothing",),
    ):
        refused(*args, status=1)


def test_errors_in_json():
    for args, status in ((("topic", "show", "nothing"), 2), (("topic", "create", ".."), 2),
                         (("topic", "create", "x", "-p", "two"), 1)):
        got, out, err = t.streamctl("-j", *args)
        eq(got, status)
        error = json.loads(out or err)
        ok(error["error"], "an object that says why")
        if status == 2:
            ok(error.get("errno") or error.get("reason"), f"and what the kernel said: {error}")


def test_ceiling_of_topics():
    keep = [Topic(), Topic()]
    with parameter("max_topics", 2):
        ok("max_topics" in refused("topic", "create", "third"), "which ceiling it was")
        keep[0].delete()
        Topic(name="third")
        refused("topic", "create", "fourth")


def test_ceiling_of_partitions():
    Topic("-p", "3")
    with parameter("max_partitions", 5):
        ok("max_partitions" in refused("topic", "create", "x", "-p", "3"), "which ceiling it was")
        Topic("-p", "2")
        refused("topic", "create", "x", "-p", "1")
    with parameter("max_partitions", 0):
        refused("topic", "create", "x", "-p", "1")


def test_ceiling_of_bytes():
    with parameter("max_bytes", 1 << 20):
        topic = Topic("--segment", "64K", "--ring", "8M", "--full", "block")
        fd = topic.open(0, os.O_RDWR | os.O_NONBLOCK)
        for _ in range(400):
            try:
                os.write(fd, b"x" * 20000)
            except OSError as error:
                ok(error.errno in (errno.ENOSPC, errno.EAGAIN), f"{error}")
                break
        else:
            raise t.Failed("8 MB went into 1 MiB")
        ok(topic.partition()["memory"] <= 1 << 20, "no more than the ceiling")
        # One that overwrites goes on with less.
        topic.set("full=overwrite")
        for _ in range(100):
            eq(os.write(fd, b"x" * 20000), 20000)
        ok(topic.partition()["memory"] <= 1 << 20, "no more than the ceiling")


# ------------------------------------------------------------------- rights


def as_nobody(function):
    """Run it in a child that is nobody."""

    def body():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        return function()

    with t.child(body):
        pass


def test_nodes_obey_their_mode():
    topic = Topic("-p", "2")

    def none():
        for p in (0, 1, "any"):
            for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
                fails(errno.EACCES, os.open, topic.path(p), flags)
        return True

    as_nobody(none)
    topic.set("mode=0644")

    def read_only():
        fd = os.open(topic.path(), os.O_RDONLY)
        fails(errno.EACCES, os.open, topic.path(), os.O_WRONLY)
        fails(errno.EACCES, os.open, topic.path("any"), os.O_RDWR)
        fails(errno.EBADF, t.append, fd, [{"value": b"x"}])
        fails(errno.EBADF, t.append_batch, fd, kafka.GOLDEN)
        fails(errno.EBADF, t.ioctl, fd, t.Trim(offset=-1))
        return True

    as_nobody(read_only)
    topic.set("mode=0622")

    def write_only():
        fails(errno.EACCES, os.open, topic.path(), os.O_RDONLY)
        fd = os.open(topic.path(), os.O_WRONLY)
        eq(os.write(fd, b"x"), 1)
        fails(errno.EBADF, t.fetch_raw, fd)
        fails(errno.EBADF, t.ioctl, fd, t.Gap())
        fails(errno.EACCES, mmap.mmap, fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
        return True

    as_nobody(write_only)
    topic.set("owner=65534:0", "mode=0600")

    def owner():
        fd = os.open(topic.path("any"), os.O_RDWR)
        return os.write(fd, b"y") == 1

    as_nobody(owner)
    topic.set("owner=0:65534", "mode=0060")
    as_nobody(owner)
    eq(sum(t.end(topic.open("any"), p) for p in range(2)), 3)


def test_streamctl_of_nobody():
    topic = Topic()
    before = topic.show()

    def nobody():
        for args in (
            ("topic", "create", "mine"),
            ("topic", "delete", topic.name),
            ("topic", "set", topic.name, "framing=line"),
        ):
            status, out, err = t.streamctl(*args)
            eq((status, out), (2, b""), str(args))
            ok(b"CAP_SYS_ADMIN" in err, f"it says what is needed: {err}")
        # Looking needs nothing.
        eq(json.loads(t.must("-j", "topic", "show", topic.name))["name"], topic.name)
        ok(topic.name in t.topics(), "listing")
        status, _, err = t.streamctl("consume", topic.name, "-e")
        eq(status, 2)
        ok(b"ermission" in err, f"consume: {err}")
        return True

    as_nobody(nobody)
    eq(topic.show(), before)


def test_root_of_its_own_namespace_is_nobody_here():
    unshare = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-Ur"]
    import subprocess

    probe = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise t.Skip(f"no user namespace: {probe.stderr.strip()}")
    done = subprocess.run([*unshare, "streamctl", "topic", "create", "mine"],
                          capture_output=True, text=True, check=False)
    eq(done.returncode, 2)
    ok("CAP_SYS_ADMIN" in done.stderr, done.stderr)
    eq([n for n in t.topics() if n == "mine"], [])


if __name__ == "__main__":
    t.main()
