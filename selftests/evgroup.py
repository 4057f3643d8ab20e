# SPDX-License-Identifier: GPL-2.0-only
"""What the Python tests of consumer groups share: the ioctls, members, processes."""
import array
import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import traceback
from ctypes import c_int32, c_int64, c_uint32, c_uint64

import evstest as t
from evstest import Failed

JOIN_AUTO, JOIN_STATIC, JOIN_ACK, JOIN_QUEUE, JOIN_KEYED, JOIN_EXISTING = (1 << n for n in range(6))
COMMIT_SYNC = 1
REVOKING = 1
OFFSET, EARLIEST, LATEST, TIMESTAMP = range(4)


class Join(ctypes.Structure):
    NR, DIR = 9, 3
    _fields_ = [
        ("name", c_uint64),
        ("partitions", c_uint64),
        ("name_len", c_uint32),
        ("nr_partitions", c_uint32),
        ("flags", c_uint32),
        ("start", c_uint32),
        ("value", c_int64),
        ("rebalance_ms", c_uint32),
        ("max_poll_ms", c_uint32),
        ("lock_ms", c_uint32),
        ("max_deliveries", c_uint32),
        ("dead_letter", c_int32),
        ("member", c_uint32),
        ("generation", c_uint32),
        ("reserved", c_uint32),
    ]


# _IO(): no structure.
LEAVE = 0xB7 << 8 | 10


class CommitEntry(ctypes.Structure):
    _fields_ = [
        ("partition", c_uint32),
        ("generation", c_uint32),
        ("offset", c_int64),
        ("error", c_int32),
        ("reserved", c_uint32),
    ]


class Commit(ctypes.Structure):
    NR, DIR = 11, 3
    _fields_ = [
        ("entries", c_uint64),
        ("nr_entries", c_uint32),
        ("entry_size", c_uint32),
        ("flags", c_uint32),
        ("committed", c_uint32),
    ]


class Position(ctypes.Structure):
    NR, DIR = 12, 3
    _fields_ = [
        ("partition", c_uint32),
        ("owner", c_uint32),
        ("generation", c_uint32),
        ("flags", c_uint32),
        ("offset", c_int64),
        ("committed", c_int64),
        ("committed_ms", c_int64),
        ("start_offset", c_int64),
        ("end_offset", c_int64),
    ]


class Assigned(ctypes.Structure):
    _fields_ = [
        ("partition", c_uint32),
        ("generation", c_uint32),
        ("offset", c_int64),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class Assignment(ctypes.Structure):
    NR, DIR = 13, 3
    _fields_ = [
        ("assigned", c_uint64),
        ("room", c_uint32),
        ("entry_size", c_uint32),
        ("ack", c_uint32),
        ("flags", c_uint32),
        ("nr", c_uint32),
        ("generation", c_uint32),
        ("members", c_uint32),
        ("member", c_uint32),
    ]


STRUCTS = (Join, Commit, Position, Assignment)


def address(data):
    return ctypes.addressof(data)


def name_buffer(name):
    data = name if isinstance(name, bytes) else name.encode()
    return ctypes.create_string_buffer(data, max(len(data), 1)), len(data)


def join(fd, name, static=None, **fields):
    """JOIN; @static: the partitions named. The structure."""
    text, size = name_buffer(name)
    arg = Join(name=address(text), name_len=size, dead_letter=-1, start=EARLIEST)
    if static is not None:
        numbers = (c_uint32 * max(len(static), 1))(*static)
        arg.partitions, arg.nr_partitions = address(numbers), len(static)
        arg.flags = JOIN_STATIC
    arg.flags |= fields.pop("flags", 0)
    for field, value in fields.items():
        setattr(arg, field, value)
    return t.ioctl(fd, arg)


def leave(fd):
    fcntl.ioctl(fd, LEAVE)


def each(fd, arg, count, entries):
    """An ioctl whose entries have each an error; its count, an exception has both."""
    try:
        t.ioctl(fd, arg)
    except OSError as error:
        setattr(error, count, getattr(arg, count))
        error.errors = [e.error for e in entries]
        raise
    return getattr(arg, count)


def commit(fd, *entries, flags=0):
    """COMMIT of (partition, offset[, generation]); none: all. The entries' errors."""
    found = (CommitEntry * max(len(entries), 1))()
    for e, entry in zip(found, entries):
        e.partition, e.offset, e.error = entry[0], entry[1], 77
        e.generation = entry[2] if len(entry) > 2 else 0
    arg = Commit(
        entries=address(found) if entries else 0,
        nr_entries=len(entries),
        entry_size=ctypes.sizeof(CommitEntry),
        flags=flags,
        committed=77,
    )
    return each(fd, arg, "committed", found[: len(entries)])


def position(fd, partition=0):
    return t.ioctl(fd, Position(partition=partition))


def assignment(fd, ack=0, room=t.ALL):
    """ASSIGNMENT: the structure, with the entries as .list."""
    room = 4096 if room == t.ALL else room
    found = (Assigned * max(room, 1))()
    arg = Assignment(
        assigned=address(found),
        room=room,
        entry_size=ctypes.sizeof(Assigned),
        ack=ack,
    )
    t.ioctl(fd, arg)
    arg.list = found[: min(arg.nr, room)]
    return arg


class Member:
    """A file of `any' that has joined; closed with the test."""

    all = []

    def __init__(self, topic, group="g", mode=os.O_RDWR | os.O_NONBLOCK, **fields):
        self.topic = topic
        self.group = group
        self.fd = topic.open("any", mode)
        self.joined = self.join(**fields)
        Member.all.append(self)

    def join(self, **fields):
        return join(self.fd, self.group, **fields)

    @property
    def number(self):
        return self.joined.member

    def leave(self):
        leave(self.fd)

    def close(self):
        os.close(self.fd)
        self.topic.fds.remove(self.fd)
        self.fd = -1

    def commit(self, *entries, flags=0):
        return commit(self.fd, *entries, flags=flags)

    def position(self, partition=0):
        return position(self.fd, partition)

    def committed(self, partition=0):
        return position(self.fd, partition).committed

    def assignment(self, ack=0, room=t.ALL):
        return assignment(self.fd, ack, room)

    def owned(self):
        """Numbers of the partitions that it owns and is not asked for, in order."""
        return sorted(a.partition for a in self.assignment().list if not a.flags & REVOKING)

    def revoking(self):
        return sorted(a.partition for a in self.assignment().list if a.flags & REVOKING)

    def ack(self):
        """Lets go of all that it is asked for."""
        return self.assignment(ack=self.assignment().generation)

    def generation(self, partition=0):
        for a in self.assignment().list:
            if a.partition == partition:
                return a.generation
        raise Failed(f"it does not own {partition}")

    def read(self, size=65536):
        return os.read(self.fd, size)

    def read_all(self):
        """All there is now."""
        got = []
        with contextlib.suppress(BlockingIOError):
            while True:
                got.append(self.read())
        return got

    def poll(self, timeout=0):
        """What poll() says of the interesting bits."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN | select.POLLPRI)
        events = poll.poll(timeout)
        return events[0][1] if events else 0

    def seek(self, value=0, partition=0, whence=OFFSET):
        return t.ioctl(self.fd, t.Seek(whence=whence, partition=partition, value=value))

    def fetch(self, partition=0, **args):
        args.setdefault("offset", -1)
        return t.fetch_raw(self.fd, partition=partition, **args)


# ------------------------------------------------------------------- processes


class Child:
    """
    A process that runs a function; the two tell each other bytes. Of the caller's
    members it has those of @keep only: else they would live for as long as it does.
    """

    def __init__(self, function, keep=()):
        self.inside, far_out = os.pipe()
        far_in, self.outside = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            status = 1
            try:
                os.close(self.inside)
                os.close(self.outside)
                self.inside, self.outside = far_in, far_out
                for m in Member.all:
                    if m not in keep and m.fd >= 0 and m.topic.there:
                        with contextlib.suppress(OSError):
                            os.close(m.fd)
                function(self)
                status = 0
            except BaseException:  # pylint: disable=broad-except
                for line in traceback.format_exc().splitlines():
                    os.write(1, f"# child: {line}\n".encode())
            finally:
                os._exit(status)
        os.close(far_in)
        os.close(far_out)
        self.status = None
        t.Topic.stack.callback(self.kill)

    def tell(self, what=b"."):
        os.write(self.outside, what)

    def hear(self):
        """A byte of the other one, or b"" when it has ended."""
        return os.read(self.inside, 1)

    def wait(self):
        """Its exit status, or minus the signal that killed it."""
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
            os.close(self.inside)
            os.close(self.outside)
        return self.status

    def kill(self, number=signal.SIGKILL):
        if self.status is None:
            os.kill(self.pid, number)
            self.wait()
        return self.status


def send_fd(sock, fd):
    sock.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])


def receive_fd(sock):
    fds = array.array("i")
    _, ancillary, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(fds.itemsize), socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: fds.itemsize])
            return fds[0]
    raise OSError(errno.ENOMSG, "no descriptor came")


# ---------------------------------------------------------------- queue groups

ACCEPT, RELEASE, REJECT, RENEW = range(4)


class Acquired(ctypes.Structure):
    _fields_ = [
        ("partition", c_uint32),
        ("deliveries", c_uint32),
        ("offset", c_int64),
        ("timestamp", c_int64),
        ("key", c_uint32),
        ("value", c_uint32),
        ("headers", c_uint32),
        ("key_len", c_int32),
        ("value_len", c_int32),
        ("headers_len", c_uint32),
        ("headers_count", c_uint32),
        ("reserved", c_uint32),
    ]


class Acquire(ctypes.Structure):
    NR, DIR = 14, 3
    _fields_ = [
        ("records", c_uint64),
        ("buf", c_uint64),
        ("nr_records", c_uint32),
        ("record_size", c_uint32),
        ("len", c_uint32),
        ("timeout_ms", c_int32),
        ("flags", c_uint32),
        ("nr", c_uint32),
        ("need", c_uint32),
        ("reserved", c_uint32),
    ]


class AckEntry(ctypes.Structure):
    _fields_ = [
        ("partition", c_uint32),
        ("settle", c_uint32),
        ("first", c_int64),
        ("last", c_int64),
        ("error", c_int32),
        ("reserved", c_uint32),
    ]


class Ack(ctypes.Structure):
    NR, DIR = 15, 3
    _fields_ = [
        ("entries", c_uint64),
        ("nr_entries", c_uint32),
        ("entry_size", c_uint32),
        ("flags", c_uint32),
        ("settled", c_uint32),
    ]


STRUCTS += (Acquire, Ack)


class Taken:
    """A record that was taken from a queue."""

    def __init__(self, a, data):
        self.partition, self.offset = a.partition, a.offset
        self.deliveries, self.timestamp = a.deliveries, a.timestamp
        self.key = data[a.key : a.key + a.key_len] if a.key_len >= 0 else None
        self.value = data[a.value : a.value + a.value_len] if a.value_len >= 0 else None
        self.headers = data[a.headers : a.headers + a.headers_len]
        self.headers_count, self.reserved = a.headers_count, a.reserved

    @property
    def at(self):
        return self.partition, self.offset


def acquire(fd, count=1024, room=1 << 20, timeout=0, **fields):
    """ACQUIRE: what was taken. The error of one that fails has its .need."""
    records = (Acquired * max(count, 1))()
    buf = ctypes.create_string_buffer(max(room, 1))
    arg = Acquire(
        records=address(records),
        buf=address(buf),
        nr_records=count,
        record_size=ctypes.sizeof(Acquired),
        len=room,
        timeout_ms=timeout,
        nr=77,
    )
    for field, value in fields.items():
        setattr(arg, field, value)
    try:
        t.ioctl(fd, arg)
    except OSError as error:
        error.need, error.nr = arg.need, arg.nr
        raise
    data = buf.raw if arg.nr else b""
    return [Taken(a, data) for a in records[: arg.nr]]


def settle(fd, how, *entries, flags=0):
    """ACK of (partition, first[, last]), all the same way; none: all that it has is accepted."""
    found = (AckEntry * max(len(entries), 1))()
    for e, entry in zip(found, entries):
        e.partition, e.first, e.last = entry[0], entry[1], entry[-1]
        e.settle, e.error = how, 77
    arg = Ack(
        entries=address(found) if entries else 0,
        nr_entries=len(entries),
        entry_size=ctypes.sizeof(AckEntry),
        flags=flags,
        settled=77,
    )
    return each(fd, arg, "settled", found[: len(entries)])


class QueueMember(Member):
    """A member of a queue group."""

    def join(self, **fields):
        fields["flags"] = fields.get("flags", 0) | JOIN_QUEUE
        return super().join(**fields)

    def acquire(self, *args, **fields):
        return acquire(self.fd, *args, **fields)

    def take(self, *args, **fields):
        """As acquire(), and nothing where there is nothing."""
        try:
            return acquire(self.fd, *args, **fields)
        except BlockingIOError:
            return []

    def accept(self, *entries, flags=0):
        return settle(self.fd, ACCEPT, *entries, flags=flags)

    def release(self, entry, *more):
        return settle(self.fd, RELEASE, entry, *more)

    def reject(self, entry, *more):
        return settle(self.fd, REJECT, entry, *more)

    def renew(self, entry, *more):
        return settle(self.fd, RENEW, entry, *more)
