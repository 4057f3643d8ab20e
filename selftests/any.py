#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The topic's own device: routing in, merging out."""
import errno
import os
import random
import select

import evstest as t
from dmemory import Group
from evstest import Topic, eq, fails, kafka, ok

T0 = 1_700_000_000_000


def held(fd, partitions):
    """Values by partition."""
    return [
        [r["value"] for r in kafka.records_of(kafka.decode_batches(t.fetch_all(fd, p)))]
        for p in range(partitions)
    ]


def test_kafkas_own_vectors():
    # By the Java client: murmur2("21") = -973932308, murmur2("foobar") = -790332482.
    fd = Topic("-p", "4096").open("any")
    array = t.append(fd, [{"key": b"21", "value": b""}, {"key": b"foobar", "value": b""}])
    eq(array[0].partition, (-973932308 & 0x7FFFFFFF) % 4096)
    eq(array[1].partition, (-790332482 & 0x7FFFFFFF) % 4096)


def test_keys_go_where_kafkas_partitioner_says():
    for partitions in (1, 2, 3, 7, 12):
        topic = Topic("-p", partitions, "--segment", "64K", "--ring", "1M")
        fd = topic.open("any")
        keys = [b"", b"21", b"foobar", b"a", b"ab", b"abc", b"abcd", b"abcde"]
        keys += [bytes([n]) * 5 for n in (0, 127, 128, 255)]
        keys += [random.randbytes(random.randrange(40)) for _ in range(60)]
        records = [{"key": k, "value": b"%d" % i, "timestamp": T0} for i, k in enumerate(keys)]
        array = t.append(fd, records)
        expected = [[] for _ in range(partitions)]
        for record, got in zip(records, array):
            where = kafka.partition_for_key(record["key"], partitions)
            eq((got.error, got.partition), (0, where), f"key {record['key']!r} of {partitions}")
            eq(got.offset, len(expected[where]))
            expected[where].append(record["value"])
        eq(held(fd, partitions), expected)


def test_same_partition_of_one_array_is_one_batch():
    fd = Topic("-p", "2").open("any")
    keys = [b"k%d" % i for i in range(20)]
    t.append(fd, [{"key": k, "value": k, "timestamp": T0} for k in keys])
    for p in range(2):
        mine = [k for k in keys if kafka.partition_for_key(k, 2) == p]
        records = [{"key": k, "value": k, "timestamp": T0} for k in mine]
        eq(t.fetch_all(fd, p), kafka.encode_batch(records))


def test_without_a_key_a_file_keeps_its_partition():
    topic = Topic("-p", "3")
    used = []
    for i in range(6):
        fd = topic.open("any")
        before = [t.end(fd, p) for p in range(3)]
        for _ in range(10):
            os.write(fd, b"x")
        t.append(fd, [{"value": b"y"}] * 5)
        grown = [t.end(fd, p) - before[p] for p in range(3)]
        eq(sorted(grown), [0, 0, 15], f"file {i}")
        used.append(grown.index(15))
    # In turn, so that producers spread.
    eq(sorted(used), [0, 0, 1, 1, 2, 2])


def test_keys_do_not_move_the_file():
    topic = Topic("-p", "5")
    fd = topic.open("any")
    first = t.append(fd, [{"value": b"own"}])[0].partition
    for i in range(30):
        array = t.append(fd, [{"key": b"%d" % i, "value": b""}, {"value": b"own"}])
        eq(array[1].partition, first)


def test_read_merges_all_partitions():
    topic = Topic("-p", "4", "--segment", "64K", "--ring", "1M")
    out = [topic.open(p) for p in range(4)]
    sent = [[] for _ in range(4)]
    for i in range(400):
        p = random.choice((0, 0, 0, 1, 3))
        value = b"%d %d" % (p, len(sent[p]))
        os.write(out[p], value)
        sent[p].append(value)
    fd = topic.open("any", os.O_RDONLY | os.O_NONBLOCK)
    got = [[] for _ in range(4)]
    for _ in range(400):
        value = os.read(fd, 100)
        got[int(value.split()[0])].append(value)
    # All of them, and each partition's in its order.
    eq(got, sent)
    fails(errno.EAGAIN, os.read, fd, 100)


def test_no_partition_starves():
    topic = Topic("-p", "2")
    busy, quiet = topic.open(0), topic.open(1)
    for i in range(100):
        os.write(busy, b"busy")
    os.write(quiet, b"quiet")
    fd = topic.open("any", os.O_RDONLY)
    ok(b"quiet" in [os.read(fd, 10), os.read(fd, 10)], "both partitions have their turn")


def test_each_file_has_its_own_position():
    topic = Topic("-p", "2")
    os.write(topic.open(1), b"one")
    a, b = topic.open("any"), topic.open("any")
    eq((os.read(a, 9), os.read(b, 9)), (b"one", b"one"))
    eq((t.stat(a, 1).offset, t.stat(a, 0).offset, t.stat(b, 1).offset), (1, 0, 1))


def test_blocking_read_is_woken_by_any_partition():
    topic = Topic("-p", "3")
    fd = topic.open("any")
    for p in (2, 0, 1):
        with t.child(lambda: os.read(fd, 10) == b"wake") as pid:
            ok(t.sleeps_in(pid, t.SYS_read), "the reader sleeps")
            os.write(topic.open(p), b"wake")


def test_poll():
    topic = Topic("-p", "3")
    fd, two = topic.open("any"), topic.open(2)
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLOUT)
    eq(poll.poll(0), [(fd, select.POLLOUT)])
    os.write(two, b"x")
    eq(poll.poll(0), [(fd, select.POLLIN | select.POLLOUT)])
    os.read(fd, 10)
    eq(poll.poll(0), [(fd, select.POLLOUT)])
    with t.child(lambda: select.select([fd], [], [])[0] == [fd]) as pid:
        # pselect6 is what the C library makes of it.
        ok(t.sleeps_in(pid, 270), "the selector sleeps")
        os.write(two, b"y")


def test_seek():
    topic = Topic("-p", "2")
    fds = [topic.open(0), topic.open(1)]
    for fd in fds:
        for i in range(3):
            os.write(fd, b"%d" % i)
    fd = topic.open("any", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(fd, 0, os.SEEK_END)
    fails(errno.EAGAIN, os.read, fd, 10)
    os.lseek(fd, 0, os.SEEK_SET)
    eq(sorted(os.read(fd, 10) for _ in range(6)), [b"0", b"0", b"1", b"1", b"2", b"2"])
    fails(errno.EAGAIN, os.read, fd, 10)
    os.lseek(fd, 0, os.SEEK_DATA)
    eq(t.stat(fd, 1).offset, 0)
    for whence in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA):
        fails(errno.EINVAL, os.lseek, fd, 1, whence)
        fails(errno.EINVAL, os.lseek, fd, -1, whence)
    fails(errno.EINVAL, os.lseek, fd, 0, os.SEEK_HOLE)
    fails(errno.ESPIPE, os.pread, fd, 10, 0)


def test_ioctls_name_their_partition():
    topic = Topic("-p", "3")
    fd = topic.open("any", os.O_RDWR | os.O_NONBLOCK)
    for p in range(3):
        for i in range(p + 1):
            t.append_batch(fd, kafka.encode_batch([{"value": b"%d" % p, "timestamp": T0 + i}]), p)
    stats = [t.stat(fd, p) for p in range(3)]
    eq([(s.partition, s.partitions, s.end_offset) for s in stats], [(0, 3, 1), (1, 3, 2), (2, 3, 3)])
    eq(t.ioctl(fd, t.Seek(partition=2, value=2)).offset, 2)
    eq([t.stat(fd, p).offset for p in range(3)], [0, 0, 2])
    a, data = t.fetch_raw(fd, partition=2, offset=-1)
    eq((a.next_offset, len(kafka.decode_batches(data))), (3, 1))
    eq(t.ioctl(fd, t.Trim(partition=1, offset=1)).start_offset, 1)
    eq([t.stat(fd, p).start_offset for p in range(3)], [0, 1, 0])
    seek = t.ioctl(fd, t.Seek(whence=t.Seek.LATEST, partition=t.ALL))
    eq((seek.offset, seek.position), (0, 0))
    fails(errno.EAGAIN, os.read, fd, 10)
    t.ioctl(fd, t.Seek(whence=t.Seek.EARLIEST, partition=t.ALL))
    eq([t.stat(fd, p).offset for p in range(3)], [0, 1, 0])
    t.ioctl(fd, t.Seek(whence=t.Seek.TIMESTAMP, value=T0 + 1, partition=t.ALL))
    eq([t.stat(fd, p).offset for p in range(3)], [1, 1, 1])
    t.ioctl(fd, t.Trim(partition=t.ALL, offset=-1))
    eq([t.stat(fd, p).start_offset for p in range(3)], [1, 2, 3])
    for arg in (
        t.Stat(partition=3),
        t.Stat(partition=t.ALL),
        t.Gap(partition=3),
        t.Fetch(partition=3),
        t.Fetch(partition=t.ALL),
        t.Seek(partition=3),
        t.Trim(partition=3),
    ):
        fails(errno.ENXIO, t.ioctl, fd, arg)


def test_deliveries_of_lost_records():
    topic = Topic("-p", "2")
    fd = topic.open("any")
    for p in range(2):
        for i in range(5):
            os.write(topic.open(p), b"%d" % i)
    eq(os.read(fd, 9), b"0")
    t.ioctl(fd, t.Trim(partition=1, offset=3))
    got, lost = [], 0
    while len(got) + lost < 9:
        try:
            got.append(os.read(fd, 9))
        except BrokenPipeError:
            gap = t.ioctl(fd, t.Gap(partition=1))
            lost += gap.to - gap.from_
    eq((len(got), t.ioctl(fd, t.Gap(partition=1)).lost), (9 - lost, lost))
    eq(t.ioctl(fd, t.Gap(partition=0)).lost, 0)
    ok(lost in (2, 3), "as many as had not been read")


def test_mmap_is_of_partitions():
    import mmap

    fd = Topic("-p", "2").open("any")
    fails(errno.ENODEV, mmap.mmap, fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ)


def test_fdinfo():
    topic = Topic()
    fd = topic.open("any")
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        text = file.read()
    ok(f"evstream-topic:\t{topic.name}\n" in text, "the topic's name")
    ok("evstream-partition:\tany\n" in text, "any")


def test_fetch_keeps_no_memory_of_each_partition():
    """What was dropped after somebody has fetched from all partitions is free."""
    partitions = 64
    topic = Topic("-p", partitions, "--segment", "1M", "--ring", "2M", "--max-record", "512K")
    group = Group("fetch", "max")

    def produce():
        group.enter()
        for number in range(partitions):
            for _ in range(2):
                os.write(topic.open(number), bytes(400000))
        return True

    def used():
        # Not memory.stat: what is no page cache any more counts here only.
        with open(f"{group.path}/memory.current", encoding="ascii") as file:
            return int(file.read())

    with t.child(produce):
        pass
    ok(used() > partitions * 800000, "it is charged for the records")
    fd = topic.open("any")
    for number in range(partitions):
        ok(t.fetch_raw(fd, partition=number, offset=-1)[0].bytes > 400000, "a batch is there")
        t.ioctl(topic.open(number), t.Trim(offset=t.end(fd, number)))
    t.wait_for(lambda: used() < 2 << 20, "the memory is free")

if __name__ == "__main__":
    t.main()
