#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What groups have committed, on disks: kept, found again, forgotten.

The log of offsets is read with a decoder of its own, of Kafka's formats. Damage is
done to it in goffdamage.py.
"""
import contextlib
import errno
import os
import random
import shutil
import stat
import struct

import evdisk as d
import evgroup as g
import evstest as t
from evdisk import MIB, Disk, Durable
from evgroup import Child, Member
from evstest import Topic, eq, fails, kafka, must, ok, parameter, wait_for

DIR = "evstream.offsets"
GROWTH = 4 * MIB
MS = 1_700_000_000_000


# ------------------------------------------------------ Kafka's __consumer_offsets


class Malformed(Exception):
    """A record that is not what Kafka's schemas say."""


class Bytes:
    """Kafka's primitive types, from a message's bytes."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        size = struct.calcsize(form)
        if len(self.data) - self.at < size:
            raise Malformed(f"cut off at {self.at}")
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return value

    def string(self):
        size = self.take(">h")
        if size < 0 or len(self.data) - self.at < size:
            raise Malformed(f"a string of {size} bytes at {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def end(self):
        if self.at != len(self.data):
            raise Malformed(f"{len(self.data) - self.at} bytes too many")


def decode_key(data):
    """OffsetCommitKey: (group, topic, partition)."""
    data = Bytes(data)
    if data.take(">h") != 1:
        raise Malformed("the key's version")
    key = data.string(), data.string(), data.take(">i")
    data.end()
    return key


def decode_value(data):
    """OffsetCommitValue: (offset, metadata, time)."""
    data = Bytes(data)
    if data.take(">h") != 3:
        raise Malformed("the value's version")
    offset = data.take(">q")
    eq(data.take(">i"), -1, "the leader epoch")
    value = offset, data.string(), data.take(">q")
    data.end()
    return value


def encode_key(group, topic, partition, version=1):
    return (struct.pack(">hh", version, len(group)) + group + struct.pack(">h", len(topic)) +
            topic + struct.pack(">i", partition))


def encode_value(offset, metadata=b"", ms=MS, version=3):
    return (struct.pack(">hqih", version, offset, -1, len(metadata)) + metadata +
            struct.pack(">q", ms))


def log_of(path):
    return f"{path}/{DIR}"


def logs(path):
    return sorted(f for f in os.listdir(log_of(path)) if f.endswith(".log"))


def decode(path, check=False):
    """All records of a log of offsets: (key, value or None)."""
    records = []
    for name in logs(path):
        with open(f"{log_of(path)}/{name}", "rb") as file:
            data = file.read()
        for batch in kafka.decode_batches(data, padding=True, check_crc=check):
            if batch["control"]:
                continue
            for record in batch["records"]:
                value = record["value"]
                records.append((decode_key(record["key"]),
                                None if value is None else decode_value(value)))
    return records


def last(path, check=False):
    """What counts of it: {(group, topic, partition): value}."""
    found = {}
    for key, value in decode(path, check):
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def offset_in(topic, group, partition=0):
    """What the files say now, while they are written."""
    with contextlib.suppress(kafka.Malformed, FileNotFoundError):
        return last(topic.part()).get((group.encode(), topic.name.encode(), partition), (-1,))[0]
    return -1


def size_of(path):
    return sum(os.stat(f"{log_of(path)}/{name}").st_size for name in os.listdir(log_of(path)))


# ------------------------------------------------------------------------- topics


def place():
    return Disk.shared().place()


def fill(topic, records=100):
    """The same records in each partition."""
    for partition in range(topic.show()["partitions"]):
        fd = os.open(topic.path(partition), os.O_WRONLY | os.O_CLOEXEC)
        for number in range(records):
            os.write(fd, b"%d" % number)
        os.fsync(fd)
        os.close(fd)


def fill_up(topic, end):
    """So many records in each partition."""
    fd = topic.open("any")
    for partition in range(t.stat(fd).partitions):
        there = t.end(fd, partition)
        batch = kafka.encode_batch([{"value": b"x"}] * max(end - there, 0))
        if there < end:
            t.append_batch(fd, batch, partition=partition)
    os.fsync(fd)


def make(*options, partitions=3, records=100, path=None):
    topic = Durable(path or place(), "--partitions", partitions, "--retention", "0", *options)
    if records:
        fill(topic, records)
    return topic


def known(topic, group):
    """Whether there is a group: its committed offsets, or None."""
    fd = topic.open("any", os.O_RDWR | os.O_NONBLOCK)
    try:
        g.join(fd, group, flags=g.JOIN_EXISTING)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return None
    finally:
        topic.fds.remove(fd)
        try:
            found = [g.position(fd, n).committed for n in range(t.stat(fd).partitions)]
        except OSError:
            found = None
        os.close(fd)
    return found


def snatch(topic):
    """As if the power were cut: a copy of the files takes the topic's place."""
    copy = f"{topic.dir}.copy"
    shutil.copytree(topic.dir, copy)
    topic.delete()
    shutil.rmtree(topic.dir)
    os.rename(copy, topic.dir)
    topic.fds.clear()
    topic.attach()


def expire(topic, *groups):
    """The groups, which are empty, are gone."""
    # Those without members are looked at when one of them was left.
    with parameter("offsets_retention_ms", 1):
        Member(topic, "expires-as-well").close()
        for group in groups:
            wait_for(lambda name=group: known(topic, name) is None, f"{group} has expired")
        wait_for(lambda: known(topic, "expires-as-well") is None, "what has the others expire")


def delete_group(topic, group):
    must("group", "delete", topic.name, group)


# -------------------------------------------------------------------------- tests

NAMES = ["g", "a group", "n" * 249, "gr\u00fcppe", "\u00e4" * 124, ".hidden", "-", "%s%n", "a\\b"]


def test_kept_by_detach():
    topic = make()
    want = {}
    for number, name in enumerate(NAMES):
        m = Member(topic, name)
        m.commit(*[(p, 10 * number + p) for p in range(3)])
        want[name] = [(m.position(p).committed, m.position(p).committed_ms) for p in range(3)]
        eq([offset for offset, _ in want[name]], [10 * number + p for p in range(3)])
        m.close()
    for _ in range(2):
        topic.reattach()
        for name in NAMES:
            m = Member(topic, name, flags=g.JOIN_EXISTING)
            eq([(m.position(p).committed, m.position(p).committed_ms) for p in range(3)],
               want[name], name)
            m.close()


def test_served_from_there():
    topic = make(partitions=1)
    m = Member(topic)
    eq([m.read() for _ in range(30)][-1], b"29")
    m.commit()
    m.close()
    topic.reattach()
    m = Member(topic, start=g.LATEST)
    eq(m.read(), b"30")


def test_members_there_while_detached():
    topic = make(partitions=1)
    m = Member(topic)
    m.commit((0, 42))
    topic.detach()
    fails(errno.ENODEV, m.commit, (0, 43))
    fails(errno.ENODEV, m.read)
    topic.attach()
    eq(known(topic, "g"), [42])


def test_new_group_is_kept():
    """Where a group begins is settled when it is made, also if nothing is committed."""
    topic = make()
    Member(topic, "late", start=g.LATEST).close()
    Member(topic, "early").close()
    fill(topic, 5)
    topic.reattach()
    eq(known(topic, "late"), [100] * 3)
    eq(known(topic, "early"), [0] * 3)


def test_made_with_the_first_group():
    topic = make(partitions=2)
    ok(not os.path.exists(log_of(topic.part())), "nobody needs it yet")
    topic.reattach()
    ok(not os.path.exists(log_of(topic.part())), "nor now")
    Member(topic).close()
    ok(os.path.isdir(log_of(topic.part())), "it is there")
    ok(not os.path.exists(log_of(topic.part(1))), "just once")
    mode = os.stat(log_of(topic.part())).st_mode
    eq(stat.S_IMODE(mode) & 0o027, 0, "others' permissions")


def test_made_for_anybody():
    """Who may read the topic need not be able to write its directory."""
    topic = make("--mode", "666", partitions=1)
    fd = topic.open("any", os.O_RDONLY)

    def join():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        g.join(fd, "anybody")
        g.commit(fd, (0, 7), flags=g.COMMIT_SYNC)
        return True

    with t.child(join):
        pass
    found = os.stat(log_of(topic.part()))
    eq((found.st_uid, found.st_gid), (0, 0), "owner")
    eq(last(topic.part())[b"anybody", topic.name.encode(), 0][0], 7)


def test_made_by_many_at_once():
    topic = make(partitions=2)
    children = []
    for number in range(12):
        def work(peer, number=number):
            fd = os.open(topic.path("any"), os.O_RDWR | os.O_NONBLOCK)
            peer.hear()
            g.join(fd, f"g{number}")
            g.commit(fd, (0, number), (1, number + 1))

        children.append(Child(work))
    for child in children:
        child.tell()
    eq([child.wait() for child in children], [0] * 12)
    topic.reattach()
    for number in range(12):
        eq(known(topic, f"g{number}"), [number, number + 1])


def test_volatile_topics_have_none():
    topic = Topic("--partitions", "2")
    m = Member(topic)
    fd = topic.open()
    os.write(fd, b"x")
    m.commit((0, 1), flags=g.COMMIT_SYNC)
    eq(m.committed(), 1)


def test_kafkas_format():
    topic = make(partitions=3)
    positions = {}
    members = [Member(topic, name) for name in NAMES]
    for _ in range(20):
        m = random.choice(members)
        m.commit(*[(p, random.randrange(101)) for p in random.sample(range(3), 2)])
    for m in members:
        for p in range(3):
            pos = m.position(p)
            positions[m.group.encode(), topic.name.encode(), p] = (
                pos.committed, b"", pos.committed_ms)
    topic.detach()
    eq(last(topic.part(), check=True), positions)
    topic.attach()


def test_sync_is_on_disk():
    """Without any flush but that one."""
    topic = make("--flush-interval", "0", partitions=1)
    m = Member(topic)
    for offset in range(1, 20):
        m.commit((0, offset), flags=g.COMMIT_SYNC)
        eq(last(topic.part())[b"g", topic.name.encode(), 0][0], offset)
    fd = topic.open("any", os.O_RDWR | os.O_DSYNC)
    g.join(fd, "dsync")
    for offset in range(1, 20):
        g.commit(fd, (0, offset))
        eq(last(topic.part())[b"dsync", topic.name.encode(), 0][0], offset)
    snatch(topic)
    eq((known(topic, "g"), known(topic, "dsync")), ([19], [19]))


def test_on_disk_by_itself():
    topic = make("--flush-interval", "10ms", partitions=1)
    m = Member(topic)
    m.commit((0, 33))
    wait_for(lambda: offset_in(topic, "g") == 33, "the commit is in the files")
    auto = Member(topic, "auto", flags=g.JOIN_AUTO)
    for number in range(50):
        eq(auto.read(), b"%d" % number)
    wait_for(lambda: offset_in(topic, "auto") == 50, "what was read is in the files")
    snatch(topic)
    eq((known(topic, "g"), known(topic, "auto")), ([33], [50]))


def test_auto_is_kept_by_detach():
    topic = make("--flush-interval", "0", partitions=1)
    auto = Member(topic, flags=g.JOIN_AUTO)
    for number in range(50):
        eq(auto.read(), b"%d" % number)
    auto.close()
    topic.reattach()
    eq(known(topic, "g"), [50])


def test_delete_removes_it():
    for attached in (False, True):
        topic = make()
        m = Member(topic)
        m.commit((0, 1))
        if attached:
            m.close()
            topic.reattach()
        topic.delete()
        eq(os.listdir(topic.dir), [], "what is left")


def test_expired_groups():
    topic = make()
    for name in ("goes", "stays"):
        m = Member(topic, name)
        m.commit((0, 5))
        if name == "goes":
            m.close()
    expire(topic, "goes")
    topic.reattach()
    eq(known(topic, "goes"), None)
    eq(known(topic, "stays"), [5, 0, 0])
    # What was attached is empty, too.
    expire(topic, "stays")
    topic.reattach()
    eq((known(topic, "goes"), known(topic, "stays")), (None, None))
    # One of that name begins anew.
    Member(topic, "goes", start=g.LATEST).close()
    topic.reattach()
    eq(known(topic, "goes"), [100] * 3)


def test_expired_groups_are_null():
    topic = make(partitions=2)
    Member(topic, "goes").close()
    stays = Member(topic, "stays")
    expire(topic, "goes")
    stays.commit((0, 1), flags=g.COMMIT_SYNC)
    records = decode(topic.part())
    ok(((b"goes", topic.name.encode(), 1), None) in records, "a null for each partition")
    eq({group for group, _, _ in last(topic.part())}, {b"stays"})


def test_deleted_groups():
    topic = make()
    for name in ("goes", "stays", "again"):
        m = Member(topic, name)
        m.commit((0, 5))
        m.close()
    delete_group(topic, "goes")
    delete_group(topic, "again")
    Member(topic, "again", start=g.LATEST).close()
    topic.reattach()
    eq(known(topic, "goes"), None)
    eq(known(topic, "stays"), [5, 0, 0])
    eq(known(topic, "again"), [100] * 3)


def test_queues():
    topic = make(partitions=1)
    m = Member(topic, "q", flags=g.JOIN_QUEUE)
    # Each one but the last is settled by the next.
    for number in range(10):
        eq(m.read(), b"%d" % number)
    m.close()
    topic.detach()
    value = last(topic.part())[b"q", topic.name.encode(), 0]
    eq(value[:2], (9, b"queue"))
    topic.attach()
    fails(errno.EPROTOTYPE, Member, topic, "q")
    m = Member(topic, "q", flags=g.JOIN_QUEUE | g.JOIN_EXISTING)
    eq(m.committed(), 9)
    eq(m.read(), b"9")


def test_disk_full():
    """What there is no room for is written when there is."""
    disk = Disk.private(40 * MIB, full=True)
    path = disk.place()
    topic = Durable(path, "--partitions", 16, "--retention", "0", "--segment", "64K",
                    "--flush-interval", "50ms", name=f"goffsets-full{PADDING}")
    other = Durable(path, "--partitions", 1, "--segment", "64K")
    fill(topic, 100)
    m = Member(topic, f"g{PADDING}")
    m.commit(*[(p, 1) for p in range(16)], flags=g.COMMIT_SYNC)
    balloon = f"{disk.dir}/balloon"
    size = MIB
    with open(balloon, "wb") as file:
        at = 0
        while size >= 4096:
            try:
                os.posix_fallocate(file.fileno(), at, size)
                at += size
            except OSError as error:
                eq(error.errno, errno.ENOSPC)
                size //= 2
    fails(errno.ENOSPC, Member, other)
    ok(not os.path.exists(log_of(other.part())), "nothing is left of it")

    def many():
        for number in range(2000):
            m.commit(*[(p, (number + p) % 101) for p in range(16)])

    fails(errno.ENOSPC, many)
    want = [m.committed(p) for p in range(16)]
    os.unlink(balloon)
    # Nobody commits again.
    wait_for(lambda: offset_in(topic, m.group, 15) == want[15], "it is written when there is room")
    m.commit((3, 33), flags=g.COMMIT_SYNC)
    want[3] = 33
    Member(other).close()
    topic.reattach()
    other.reattach()
    eq(known(topic, m.group), want)
    eq(known(other, "g"), [0])


# Long ones: the log grows fast.
PADDING = "-" * 200


def spread(number):
    """A commit's offsets, by its number."""
    return [(p, (number + p) % 61) for p in range(16)]


def big(disk):
    topic = Durable(disk.place(), "--partitions", 16, "--retention", "0", "--flush-interval",
                    "50ms", name=f"goffsets-{random.randrange(1 << 32)}{PADDING}")
    fill(topic, 61)
    return topic


def compact(disk):
    topic = big(disk)
    quiet = Member(topic, "quiet")
    quiet.commit(*spread(0))
    Member(topic, "gone").close()
    expire(topic, "gone")
    busy = [Member(topic, f"busy{n}{PADDING}") for n in range(3)]
    written = number = 0
    before = logs(topic.part())
    while written < 3 * GROWTH:
        number += 1
        for m in busy:
            m.commit(*spread(number))
            # What a record has at least.
            written += 16 * (len(m.group) + len(topic.name) + 50)
    for m in busy:
        m.commit(*spread(number), flags=g.COMMIT_SYNC)
    wait_for(lambda: size_of(topic.part()) < 2 * GROWTH, "the directory stays small")
    ok(not set(before) & set(logs(topic.part())), "the first segment went")
    want = {m.group: spread(number) for m in busy}
    want["quiet"] = spread(0)
    for clean in (False, True):
        if clean:
            topic.reattach()
        else:
            snatch(topic)
        found = last(topic.part())
        eq(len(found), 4 * 16)
        for name, offsets in want.items():
            eq([(p, found[name.encode(), topic.name.encode(), p][0]) for p in range(16)], offsets)
            eq(known(topic, name), [offset for _, offset in offsets], name)
        eq(known(topic, "gone"), None)


def test_written_anew():
    compact(Disk.shared())


def test_written_anew_on_xfs():
    compact(Disk.shared("xfs"))


def test_disk_fails_while_it_is_written():
    """What COMMIT_SYNC returned for is there afterwards, whenever that was."""
    disk = Disk.shared()
    topic = big(disk)
    name = f"g{PADDING}"
    floor = 0
    for round_ in range(3):
        m = Member(topic, name, flags=g.JOIN_EXISTING if round_ else 0)

        def work(peer, m=m, floor=floor):
            number = floor
            with contextlib.suppress(OSError):
                while True:
                    number += 1
                    m.commit(*[(p, number) for p in range(16)],
                             flags=0 if number % 8 else g.COMMIT_SYNC)
                    if not number % 8:
                        peer.tell()

        fill_up(topic, floor + 2000)
        child = Child(work, keep=[m])
        synced = floor - floor % 8
        # More than once all is written anew meanwhile.
        for _ in range(random.randrange(10, 80)):
            eq(child.hear(), b".")
            synced += 8
        disk.become("flakey")
        while child.hear():
            synced += 8
        eq(child.wait(), 0)
        m.close()
        topic.detach()
        disk.heal()
        topic.attach()
        found = known(topic, name)
        ok(found is not None, "the group is there")
        ok(min(found) >= synced, f"{synced} were synced: {found}")
        ok(max(found) - min(found) <= 1, f"all of one commit, or the next: {found}")
        floor = max(found)


# ------------------------------------------------------------- what others wrote


def craft(topic, *batches):
    """The log of offsets of a topic, which is detached, is just these batches."""
    path = log_of(topic.part())
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    data = b""
    offset = 0
    for records in batches:
        if isinstance(records, bytes):
            data += records
            offset += 1
            continue
        data += kafka.encode_batch(records, base_offset=offset)
        offset += len(records)
    with open(f"{path}/{0:020}.log", "wb") as file:
        file.write(data)


def record(group, partition, offset, name=b"any", **options):
    return {"key": encode_key(group, name, partition), "value": encode_value(offset, **options)}


def test_nonsense_is_left_out():
    topic = make()
    topic.detach()
    good = record(b"good", 0, 11)
    hostile = [
        {"key": None, "value": encode_value(1)},
        {"key": b"", "value": encode_value(1)},
        {"key": None, "value": None},
        {"key": b"\0\1", "value": None},
        {"key": encode_key(b"good", b"t", 0, version=2), "value": encode_value(1)},
        {"key": encode_key(b"good", b"t", 0, version=0), "value": encode_value(1)},
        {"key": encode_key(b"good", b"t", 0) + b"x", "value": encode_value(1)},
        {"key": encode_key(b"good", b"t", 0)[:-1], "value": encode_value(1)},
        {"key": encode_key(b"good", b"t", 0), "value": encode_value(1)[:-1]},
        {"key": encode_key(b"good", b"t", 0), "value": encode_value(1) + b"x"},
        {"key": encode_key(b"good", b"t", 0), "value": b""},
        {"key": encode_key(b"good", b"t", 0), "value": encode_value(1, version=4)},
        {"key": encode_key(b"good", b"t", 0), "value": encode_value(1, version=1)},
        {"key": b"\0\1\xff\xff\0\1t\0\0\0\0", "value": encode_value(1)},
        {"key": b"\0\1\x7f\xff\0\1t\0\0\0\0", "value": encode_value(1)},
        record(b"good", 0, -1),
        record(b"good", -1, 5),
        record(b"good", 3, 5),
        record(b"good", 1 << 20, 5),
        record(b"", 0, 5),
        record(b".", 0, 5),
        record(b"..", 0, 5),
        record(b"a/b", 0, 5),
        record(b"nul\0", 0, 5),
        record(b"nl\n", 0, 5),
        record(b"del\x7f", 0, 5),
        record(b"x" * 250, 0, 5),
        record(b"x" * 5000, 0, 5),
        {"key": os.urandom(3000), "value": os.urandom(100000)},
        {"key": encode_key(b"never", b"t", 0), "value": None},
        record(b"metadata", 1, 7, metadata=b"somebody's"),
        {**record(b"headers", 1, 8), "headers": [(b"h", b"v"), (b"", None)]},
    ]
    craft(topic, hostile, [good], kafka.encode_batch(
        [record(b"good", 0, 1)], base_offset=len(hostile) + 1, attributes=1,
        body=b"\x1f\x8b not really"), [record(b"good", 1, 12)])
    topic.attach()
    eq(known(topic, "good"), [11, 12, 0])
    eq(known(topic, "metadata"), [0, 7, 0])
    eq(known(topic, "headers"), [0, 8, 0])
    for name in (".hidden", "never", "x" * 249):
        eq(known(topic, name), None, name)
    m = Member(topic, "good")
    m.commit((2, 13))
    m.close()
    for _ in range(2):
        topic.reattach()
        eq(known(topic, "good"), [11, 12, 13])
    fd = topic.open()
    eq(os.read(fd, 100), b"0")


def test_the_last_one_counts():
    topic = make()
    topic.detach()
    batches = []
    want = {}
    for _ in range(300):
        records = []
        for _ in range(random.randrange(1, 20)):
            group, partition = b"g%d" % random.randrange(40), random.randrange(3)
            if random.random() < 0.3:
                records.append({"key": encode_key(group, b"t", partition), "value": None})
                want.pop((group, partition), None)
            else:
                offset = random.randrange(101)
                records.append(record(group, partition, offset))
                want[group, partition] = offset
        batches.append(records)
    craft(topic, *batches)
    topic.attach()
    for number in range(40):
        group = b"g%d" % number
        if any((group, p) in want for p in range(3)):
            eq(known(topic, group), [want.get((group, p), 0) for p in range(3)], group)
        else:
            eq(known(topic, group), None, group)


def test_beyond_the_end():
    """Records that were lost are not committed, and what gets their offsets is served."""
    topic = make("--flush-interval", "0", partitions=2)
    topic.detach()
    craft(topic, [record(b"g", 0, 150), record(b"g", 1, (1 << 63) - 1), record(b"h", 1, 100)])
    topic.attach()
    # No commit, no flush but that of the records, no detach.
    fill(topic, 100)
    snatch(topic)
    eq(known(topic, "g"), [100, 100])
    eq(known(topic, "h"), [0, 100])
    m = Member(topic)
    eq(sorted(m.read() for _ in range(4)), [b"0", b"0", b"1", b"1"])


def test_as_many_groups_as_allowed():
    topic = make(partitions=1)
    for number in range(20):
        m = Member(topic, f"g{number}")
        m.commit((0, number))
        m.close()
    topic.detach()
    with parameter("max_groups", 10):
        d.refused("topic", "attach", topic.dir, topic.name)
    topic.attach()
    eq([known(topic, f"g{number}") for number in range(20)], [[n] for n in range(20)])


def test_more_groups_at_a_time_than_there_can_be():
    """Of deleted ones it may be told late, but each takes memory until then."""
    topic = make(partitions=1)
    topic.detach()
    for at_once in (20, 21):
        craft(topic, [record(b"g%d" % n, 0, 1) for n in range(at_once)],
              [{"key": encode_key(b"g%d" % n, b"t", 0), "value": None} for n in range(at_once)])
        with parameter("max_groups", 10):
            if at_once > 20:
                d.refused("topic", "attach", topic.dir, topic.name)
            else:
                topic.attach()
                eq(known(topic, "g1"), None)
                topic.detach()
    topic.attach()


def test_no_log_at_all():
    """Something else has its name: the topic is there, groups are not."""
    for kind in ("file", "link", "loop"):
        topic = make(partitions=1)
        topic.detach()
        path = log_of(topic.part())
        if kind == "file":
            with open(path, "wb") as file:
                file.write(b"not a directory")
        else:
            os.symlink("/tmp" if kind == "link" else DIR, path)
        topic.attach()
        fd = topic.open()
        eq(os.read(fd, 100), b"0")
        fails(errno.EUCLEAN, Member, topic)
        topic.detach()
        os.unlink(path)
        topic.attach()
        Member(topic).close()


def test_half_made():
    """Nobody got further than the directory."""
    for files in ((), ("partition.metadata",), ("leader-epoch-checkpoint", "partition.metadata")):
        for later in (False, True):
            topic = make(partitions=1)
            topic.detach()
            if later:
                topic.attach()
            os.mkdir(log_of(topic.part()))
            for name in files:
                with open(f"{log_of(topic.part())}/{name}", "wb"):
                    pass
            if not later:
                topic.attach()
            m = Member(topic)
            m.commit((0, 9))
            m.close()
            topic.reattach()
            eq(known(topic, "g"), [9])


def test_disk_error():
    """Commits fail, and say so; the topic is as it was."""
    disk = Disk.shared()
    topic = make("--flush-interval", "0", partitions=1, path=disk.place())
    m = Member(topic)
    m.commit((0, 1), flags=g.COMMIT_SYNC)
    disk.become("flakey")
    fails(errno.EIO, lambda: m.commit((0, 2), flags=g.COMMIT_SYNC))
    fails(errno.EIO, lambda: m.commit((0, 3)))
    eq(m.read(), b"0")
    topic.detach()
    disk.heal()
    topic.attach()
    ok(known(topic, "g")[0] in (1, 2), "the last that was written")


def test_zz_nobody_holds_the_disks():
    Disk.close_all()


if __name__ == "__main__":
    t.main()
