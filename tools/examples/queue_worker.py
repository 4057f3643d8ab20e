#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A worker of a queue, with Python's standard library only.

usage: queue_worker.py TOPIC GROUP [DEAD_LETTER_TOPIC]

Takes records one by one and prints them. Any number of workers share the work, more
than the topic has partitions, too. What a worker has when it dies, another one gets
at once. A record that begins with "bad" fails: it comes back, and after five
deliveries goes to the dead-letter topic.
"""

import ctypes
import errno
import fcntl
import os
import struct
import sys

# From <linux/evstream.h>: numbers of the ioctls, and the structures they take.
JOIN = struct.Struct("=QQIIIIqIIIIiIII")
ACQUIRE = struct.Struct("=QQIIIiIIII")
ACQUIRED = struct.Struct("=IIqqIIIiiIII")
ACK = struct.Struct("=QIIII")
ACK_ENTRY = struct.Struct("=IIqqiI")
SEEK_EARLIEST = 1
JOIN_QUEUE = 1 << 3
ACCEPT, RELEASE = 0, 1

acquired = ctypes.create_string_buffer(ACQUIRED.size)
buf = ctypes.create_string_buffer(16 << 20)


def request(number, layout):
    return 3 << 30 | layout.size << 16 | 0xB7 << 8 | number


def join(fd, group, dead_letter):
    """Become a member: from here on the open file is one, until it is closed."""
    name = ctypes.create_string_buffer(group.encode())
    start = SEEK_EARLIEST  # of a group that is new
    where = ctypes.addressof(name), 0, len(name) - 1, 0
    arg = JOIN.pack(*where, JOIN_QUEUE, start, 0, 0, 0, 0, 0, dead_letter, 0, 0, 0)
    fcntl.ioctl(fd, request(0x09, JOIN), arg)


def acquire(fd):
    """Wait for a record: where it is, how often it was delivered, its value."""
    # Room for one record; wait for ever.
    where = ctypes.addressof(acquired), ctypes.addressof(buf), 1, ACQUIRED.size, len(buf)
    fcntl.ioctl(fd, request(0x0E, ACQUIRE), ACQUIRE.pack(*where, -1, 0, 0, 0, 0))
    record = ACQUIRED.unpack(acquired.raw)
    partition, deliveries, offset, _time, _key, value, _headers, _key_len, length, *_ = record
    value = ctypes.string_at(ctypes.addressof(buf) + value, max(length, 0))
    return partition, offset, deliveries, value


def settle(fd, partition, offset, how):
    entry = ACK_ENTRY.pack(partition, how, offset, offset, 0, 0)
    entries = ctypes.create_string_buffer(entry, len(entry))
    try:
        arg = ACK.pack(ctypes.addressof(entries), 1, len(entry), 0, 0)
        fcntl.ioctl(fd, request(0x0F, ACK), arg)
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        # It took longer than the acquisition lock (30 s): it is another worker's by now.
        print(f"{partition} {offset}: too late", file=sys.stderr)


def work(partition, offset, value):
    if value.startswith(b"bad"):
        raise ValueError("this one cannot be processed")
    sys.stdout.buffer.write(b"%d %d %s\n" % (partition, offset, value))
    sys.stdout.flush()


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.strip())
    topic, group, *dead_letters = sys.argv[1:]
    fd = os.open(f"/dev/stream/{topic}/any", os.O_RDONLY | os.O_CLOEXEC)
    dead_letter = -1
    if dead_letters:
        dead_letter = os.open(f"/dev/stream/{dead_letters[0]}/any", os.O_WRONLY | os.O_CLOEXEC)
    join(fd, group, dead_letter)
    while True:
        partition, offset, deliveries, value = acquire(fd)
        try:
            work(partition, offset, value)
        except ValueError as error:
            # Somebody gets it again, unless it was the last time.
            print(f"{partition} {offset}, delivery {deliveries}: {error}", file=sys.stderr)
            settle(fd, partition, offset, RELEASE)
        else:
            # After the work, never before.
            settle(fd, partition, offset, ACCEPT)


main()
