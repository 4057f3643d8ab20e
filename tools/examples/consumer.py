#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A member of a consumer group, with Python's standard library only.

usage: consumer.py TOPIC GROUP

Prints the records of the partitions that it gets, and commits what it has printed.
Start it more than once, and the members share the topic; kill one, and the others
go on.
"""

import ctypes
import errno
import fcntl
import os
import select
import struct
import sys

# From <linux/evstream.h>: numbers of the ioctls, and the structures they take.
JOIN = struct.Struct("=QQIIIIqIIIIiIII")
COMMIT = struct.Struct("=QIIII")
ASSIGNMENT = struct.Struct("=QIIIIIIII")
SEEK_EARLIEST = 1


def request(number, layout):
    return 3 << 30 | layout.size << 16 | 0xB7 << 8 | number


def join(fd, group):
    """Become a member: from here on the open file is one, until it is closed."""
    name = ctypes.create_string_buffer(group.encode())
    start = SEEK_EARLIEST  # of a group that is new
    where = ctypes.addressof(name), 0, len(name) - 1, 0
    arg = JOIN.pack(*where, 0, start, 0, 0, 0, 0, 0, -1, 0, 0, 0)
    fcntl.ioctl(fd, request(0x09, JOIN), arg)


def commit(fd):
    """Commit all partitions that are ours, up to where they were read."""
    fcntl.ioctl(fd, request(0x0B, COMMIT), COMMIT.pack(0, 0, 24, 0, 0))


def assignment(fd):
    """Take note of how things are, which is what EPOLLPRI asks for."""
    arg = fcntl.ioctl(fd, request(0x0D, ASSIGNMENT), ASSIGNMENT.pack(0, 0, 24, 0, 0, 0, 0, 0, 0))
    *_, partitions, _generation, members, member = ASSIGNMENT.unpack(arg)
    text = f"I am member {member}; we are {members}; {partitions} partitions are mine"
    print(text, file=sys.stderr)


def process(fd, most=1000):
    for _ in range(most):
        try:
            # One read is one record, of whichever partition has one.
            record = os.read(fd, 16 << 20)
        except BlockingIOError:
            return
        except BrokenPipeError:
            print("too slow: records were dropped", file=sys.stderr)
            continue
        sys.stdout.buffer.write(record + b"\n")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    topic, group = sys.argv[1:]
    fd = os.open(f"/dev/stream/{topic}/any", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    join(fd, group)
    epoll = select.epoll()
    epoll.register(fd, select.EPOLLIN | select.EPOLLPRI)
    while True:
        _, events = epoll.poll()[0]
        process(fd)
        # After the processing, never before: who dies in between leaves the records
        # to another member, which processes them again. That is "at least once".
        sys.stdout.flush()
        try:
            commit(fd)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        if events & select.EPOLLPRI:
            # What another member waits for goes to it as soon as all that we have read
            # of it is committed. That is so already.
            assignment(fd)


main()
