#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The netlink family by raw sockets: what it answers, and to what is malformed."""
import contextlib
import errno
import itertools
import os
import random
import struct
import time

import evstest as t
from evnetlink import (
    ACK, CREATED, DEL, DEL_NTF, DUMP, FRAMING, FULL, GET, GID, ID, MAX_RECORD, MODE, NAME, NESTED,
    NEW, NEW_NTF, PARTITION, PARTITIONS, REQUEST, RETENTION_BYTES, RETENTION_MS, RING, SEGMENT,
    SET, SET_NTF, UID, Netlink, attr, attrs_of, text, u32, u64,
)
from evstest import Topic, eq, ok


def refused(answer, code, what="", message=True):
    name = errno.errorcode.get(answer.errno, answer.errno)
    eq(name, errno.errorcode[code], f"{what} ({answer.message!r})")
    if message:
        ok(answer.message, f"{what}: a message says why")


def test_family():
    nl = Netlink()
    ok(nl.family >= 0x13, "its number")
    eq(list(nl.groups), ["topics", "groups"])


def test_create_get_set_delete():
    nl = Netlink()
    answer = nl.ask(NEW, text(NAME, "nl") + u32(PARTITIONS, 3) + u32(RING, 1 << 20) + u64(SEGMENT, 1 << 16))
    eq((answer.errno, answer.message), (0, ""))
    reply = answer.replies[0]
    eq(reply[NAME], b"nl\0")
    eq(struct.unpack("=I", reply[PARTITIONS])[0], 3)
    got = nl.get("nl")
    eq((got.errno, got.replies), (0, [reply]))
    eq(sorted(reply), [*range(ID, CREATED + 1)])
    eq(nl.ask(SET, text(NAME, "nl") + u32(FRAMING, 1)).errno, 0)
    eq(nl.get("nl").replies[0][FRAMING], struct.pack("=I", 1))
    refused(nl.ask(SET, text(NAME, "nl")), errno.EINVAL, "nothing to set")
    eq(nl.ask(DEL, text(NAME, "nl")).errno, 0)
    refused(nl.get("nl"), errno.ENOENT)


def test_dumps():
    nl = Netlink()
    eq(nl.ask(GET, flags=REQUEST | DUMP).replies, [])
    topics = [Topic("-p", "3") for _ in range(40)]
    got = nl.ask(GET, flags=REQUEST | DUMP)
    eq((got.errno, [r[NAME][:-1].decode() for r in got.replies]), (0, [x.name for x in topics]))
    parts = nl.ask(PARTITION, flags=REQUEST | DUMP)
    eq([(r[1][:-1].decode(), r[2][0]) for r in parts.replies],
       [(x.name, p) for x in topics for p in range(3)])
    one = nl.ask(PARTITION, text(1, topics[7].name), flags=REQUEST | DUMP)
    eq([(r[1][:-1].decode(), r[2][0]) for r in one.replies], [(topics[7].name, p) for p in range(3)])
    single = nl.ask(PARTITION, text(1, topics[7].name) + u32(2, 1))
    eq(len(single.replies), 1)
    refused(nl.ask(PARTITION, text(1, "nothing"), flags=REQUEST | DUMP), errno.ENOENT)
    refused(nl.ask(GET, text(NAME, topics[0].name), flags=REQUEST | DUMP), errno.EINVAL)


def test_dump_of_a_large_topic():
    topic = Topic("-p", "1000", "--segment", "64K", "--ring", "128K")
    nl = Netlink()
    got = nl.ask(PARTITION, text(1, topic.name), flags=REQUEST | DUMP)
    eq([struct.unpack("=I", r[2])[0] for r in got.replies], list(range(1000)))


def test_errors_name_their_attribute():
    nl = Netlink()
    good = text(NAME, "nl") + u32(FRAMING, 0)
    for bad in (
        u32(PARTITIONS, 0),
        u32(PARTITIONS, 4097),
        u32(PARTITIONS, 0xFFFFFFFF),
        u64(SEGMENT, 0),
        u64(SEGMENT, 0xFFFF),
        u64(SEGMENT, 0x10001),
        u64(SEGMENT, 1 << 31),
        u64(SEGMENT, 1 << 63),
        u64(SEGMENT, (1 << 64) - 1),
        u64(RING, 0),
        u64(RING, 1),
        u64(RING, 100),
        u64(RING, (1 << 64) - 1),
        u64(RING, 1 << 45),
        u32(MAX_RECORD, 0),
        u32(MAX_RECORD, (16 << 20) + 1),
        u32(MAX_RECORD, 0xFFFFFFFF),
        u32(FULL, 3),
        u32(FULL, 0xFFFFFFFF),
        u32(UID, 0xFFFFFFFF),
        u32(GID, 0xFFFFFFFF),
        u32(MODE, 0o1000),
        u32(MODE, 0o777),
        u32(MODE, 0x10180),
        u64(RETENTION_MS, (1 << 64) - 1),
        u64(RETENTION_MS, (1 << 50) + 1),
        u64(RETENTION_BYTES, (1 << 64) - 1),
    ):
        answer = nl.ask(NEW, good + bad)
        ok(answer.errno in (errno.EINVAL, errno.ERANGE), f"{bad}: {answer.errno}")
        ok(answer.message, f"{bad}: a message says why")
        eq(answer.offset, 20 + len(good), f"{bad}: {answer.message}")
    eq(t.topics(), {})


def test_names():
    nl = Netlink()
    for name in ("", ".", "..", "a/b", "a b", "\xe4", "x" * 250, "x" * 60000):
        answer = nl.ask(NEW, text(NAME, name))
        refused(answer, errno.EINVAL, name[:20])
        eq(answer.offset, 20)
        if name:
            ok(nl.get(name).errno in (errno.ENOENT, errno.EINVAL), name[:20])
    refused(nl.ask(NEW, u32(PARTITIONS, 1)), errno.EINVAL)
    eq(nl.ask(NEW, u32(PARTITIONS, 1)).missing, NAME)
    for cmd in (DEL, GET, SET):
        eq(nl.ask(cmd).missing, NAME)
    eq(t.topics(), {})


def test_malformed_attributes():
    nl = Netlink()
    name = text(NAME, "nl")
    for what, attrs in {
        "a name without NUL": attr(NAME, b"nl"),
        "an empty name": attr(NAME, b""),
        "a u32 of nothing": name + attr(PARTITIONS, b""),
        "a u32 of 2 bytes": name + attr(PARTITIONS, b"\1\0"),
        "a u32 of 5 bytes": name + attr(PARTITIONS, b"\1\0\0\0\0"),
        "a u32 of 8 bytes": name + attr(PARTITIONS, b"\1" + bytes(7)),
        "a uint of 2 bytes": name + attr(RING, b"\1\0"),
        "a uint of 7 bytes": name + attr(RING, bytes(7)),
        "a uint of 16 bytes": name + attr(RING, bytes(16)),
        "an unknown attribute": name + u32(100, 1),
        "attribute 0": name + u32(0, 1),
        "attribute 16383": name + u32(0x3FFF, 1),
        "what cannot be set": name + u32(ID, 7),
        "what cannot be set either": name + u64(CREATED, 7),
        "a nested name": attr(NAME | NESTED, text(NAME, "nl")),
        "a nested number": name + attr(PARTITIONS | NESTED, u32(1, 1)),
        "a length of 0": name + attr(PARTITIONS, b"\1\0\0\0", 0),
        "a length of 3": name + attr(PARTITIONS, b"\1\0\0\0", 3),
        "a length beyond the end": name + attr(PARTITIONS, b"\1\0\0\0", 100),
        "a length of 65535": name + attr(PARTITIONS, b"\1\0\0\0", 65535),
        "bytes behind the attributes": name + b"\1\2\3",
    }.items():
        answer = nl.ask(NEW, attrs)
        ok(answer.errno in (errno.EINVAL, errno.ERANGE), f"{what}: {answer.errno}")
        ok(answer.message, f"{what}: a message says why")
    eq(t.topics(), {})


def test_malformed_messages():
    nl = Netlink()
    topic = Topic()
    refused(nl.ask(77), errno.EOPNOTSUPP, "an unknown command", message=False)
    refused(nl.ask(0), errno.EOPNOTSUPP, "command 0", message=False)
    refused(nl.ask(NEW_NTF), errno.EOPNOTSUPP, "a notification", message=False)
    refused(nl.ask(NEW, flags=REQUEST | DUMP), errno.EOPNOTSUPP, "a dump of none", message=False)
    nl.seq += 1
    short = struct.pack("=IHHII", 16, nl.family, REQUEST | ACK, nl.seq, 0)
    refused(nl.send(short), errno.EINVAL, "no generic header", message=False)
    nl.seq += 1
    short = struct.pack("=IHHII", 18, nl.family, REQUEST | ACK, nl.seq, 0) + b"\3\1\0\0"
    refused(nl.send(short), errno.EINVAL, "half a generic header", message=False)
    # Those too short to be messages get no answer: the next one gets its own.
    for size in range(16):
        nl.sock.send(nl.message(GET, text(NAME, topic.name))[:size] or b"\0")
    nl.sock.send(nl.message(GET, text(NAME, topic.name), length=5))
    nl.sock.send(nl.message(GET, text(NAME, topic.name), length=1 << 20))
    eq(nl.get(topic.name).errno, 0)
    # A reserved field is not ours to give a meaning: the kernel refuses it.
    nl.seq += 1
    body = struct.pack("=BBH", GET, 1, 7) + text(NAME, topic.name)
    message = struct.pack("=IHHII", 16 + len(body), nl.family, REQUEST | ACK, nl.seq, 0) + body
    answer = nl.send(message)
    ok(answer.errno in (0, errno.EINVAL), "a reserved field")


def test_random_damage():
    """Any answer will do, but there is one, and the machine lives."""
    nl = Netlink()
    good = text(NAME, "nl") + u32(PARTITIONS, 2) + u64(SEGMENT, 1 << 16) + u64(RING, 1 << 17)
    good += u32(MAX_RECORD, 1000) + u32(FRAMING, 1) + u32(MODE, 0o600) + u64(RETENTION_MS, 10**6)
    for _ in range(1500):
        attrs = bytearray(good)
        for _ in range(random.choice((1, 1, 2, 5))):
            attrs[random.randrange(len(attrs))] = random.choice((0, 1, 4, 0x7F, 0x80, 0xFF, random.randrange(256)))
        if random.random() < 0.3:
            del attrs[random.randrange(len(attrs)) :]
        cmd = random.choice((NEW, NEW, SET, GET, PARTITION))
        answer = nl.ask(cmd, bytes(attrs))
        if answer.errno:
            ok(answer.message, f"{cmd} {bytes(attrs).hex()}: a message says why")
        elif cmd == NEW:
            name = answer.replies[0][NAME][:-1].decode()
            partitions = struct.unpack("=I", answer.replies[0][PARTITIONS])[0]
            ok(1 <= partitions <= 4096, f"{partitions} partitions")
            eq(nl.ask(DEL, text(NAME, name)).errno, 0)
    eq(t.topics(), {})


def test_rights():
    topic = Topic()
    nl = Netlink()

    def nobody():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        mine = Netlink()
        for cmd in (NEW, DEL, SET):
            answer = mine.ask(cmd, text(NAME, topic.name) + (u32(FRAMING, 1) if cmd == SET else b""))
            refused(answer, errno.EPERM)
            ok("CAP_SYS_ADMIN" in answer.message, answer.message)
        # Looking needs nothing, nor does listening.
        eq(len(mine.get(topic.name).replies), 1)
        eq(len(mine.ask(GET, flags=REQUEST | DUMP).replies), 1)
        eq(len(mine.ask(PARTITION, flags=REQUEST | DUMP).replies), 1)
        mine.sock.setsockopt(270, 1, mine.groups["topics"])
        return True

    with t.child(nobody):
        pass
    eq(nl.get(topic.name).replies[0][FRAMING], bytes(4))
    # A socket that root opened does not make its user root.
    def borrowed():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        answer = nl.ask(DEL, text(NAME, topic.name))
        refused(answer, errno.EPERM)
        return True

    with t.child(borrowed):
        pass


def test_notifications():
    nl = Netlink()
    listener = Netlink()
    listener.sock.setsockopt(270, 1, listener.groups["topics"])
    nl.ask(NEW, text(NAME, "first"))
    nl.ask(SET, text(NAME, "first") + u32(FRAMING, 1))
    refused(nl.ask(SET, text(NAME, "first") + u32(MODE, 0o7777)), errno.EINVAL)
    refused(nl.ask(NEW, text(NAME, "first")), errno.EEXIST)
    nl.ask(DEL, text(NAME, "first"))
    seen = []
    while len(seen) < 3:
        data = listener.sock.recv(65536)
        length, kind = struct.unpack_from("=IH", data)
        eq(kind, listener.family)
        found = attrs_of(data[20:length])
        seen.append((data[16], found[NAME], found[FRAMING][0]))
    # One for each change, none for what was refused.
    eq(seen, [(NEW_NTF, b"first\0", 0), (SET_NTF, b"first\0", 1), (DEL_NTF, b"first\0", 1)])
    listener.sock.setblocking(False)
    t.fails(errno.EAGAIN, listener.sock.recv, 65536)


def test_changed_while_it_is_made():
    """A topic that was just found may have no nodes yet."""
    end = time.monotonic() + 15

    def change():
        mine, modes = Netlink(), itertools.cycle((0o600, 0o640))
        while time.monotonic() < end:
            mine.ask(SET, text(NAME, "young") + u32(MODE, next(modes)))
        return True

    nl = Netlink()
    made = 0
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(t.child(change))
        while time.monotonic() < end:
            eq(nl.ask(NEW, text(NAME, "young")).errno, 0)
            eq(nl.ask(DEL, text(NAME, "young")).errno, 0)
            made += 1
    ok(made, "some were made")


def test_partition_that_is_not_there():
    nl = Netlink()
    topic = Topic("-p", "2")
    for number in (2, 0xFFFFFFFF):
        answer = nl.ask(PARTITION, text(1, topic.name) + u32(2, number))
        refused(answer, errno.ENXIO)
        ok(answer.offset, "and which attribute")
    answer = nl.ask(PARTITION, text(1, topic.name))
    refused(answer, errno.EINVAL)
    eq(answer.missing, 2)


if __name__ == "__main__":
    t.main()
