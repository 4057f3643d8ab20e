#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Durable topics on disks that fail, fill up, hang or go away."""
import errno
import mmap
import multiprocessing
import os
import select
import shutil
import signal
import subprocess
import time

import evdisk as d
import evstest as t
from evdisk import MIB, Disk, Durable, value
from evstest import Failed, Topic, eq, fails, must, ok

LAZY = ("--segment", "64K", "--retention", "0", "--flush-interval", "0", "--flush-bytes", "0")


def fill(fd, first, count, size=600):
    """Append the records with these numbers: their values."""
    values = [value(number, size) for number in range(first, first + count)]
    for content in values:
        eq(os.write(fd, content), len(content))
    return values


def stopped(topic, fd, partition=0):
    """Writing has stopped, and everybody is told so."""
    for flags in (os.O_WRONLY, os.O_WRONLY | os.O_DSYNC):
        other = topic.open(partition, flags)
        fails(errno.EIO, os.write, other, b"no more")
        fails(errno.EIO, os.writev, other, [b"no ", b"more"])
        fails(errno.EIO, t.append_batch, other, t.kafka.GOLDEN)
        fails(errno.EIO, os.fsync, other)
        fails(errno.EIO, os.fdatasync, other)
    fails(errno.EIO, os.fsync, fd)
    ok("error" in topic.partition(partition), f"{topic.partition(partition)} tells of it")
    text = must("topic", "show", topic.name).decode()
    ok("ERROR" in text, f"so does {text}")


def write_error(fs):
    disk = Disk.shared(fs)
    topic = Durable(disk.place(), "-p", "2", *LAZY)
    fd, other = topic.open(), topic.open(1)
    values = fill(fd, 0, 150)
    os.fsync(fd)
    fill(other, 0, 10)
    os.fsync(other)
    values += fill(fd, 150, 50)
    with d.monitor() as event:
        disk.become("flakey")
        fails(errno.EIO, os.fsync, fd)
        told = event("partition-error")
        eq((told["topic"], told["partition"]), (topic.name, 0))
        ok(told.get("error"), f"{told} has the error")
    # What was said to be durable still is, and nothing more.
    ok(150 <= d.durable(fd) < 200, f"{d.durable(fd)} durable")
    stopped(topic, fd)
    eq(t.end(fd), 200)
    d.check_all(fd, values)
    # For ever: who knows what the disk has kept.
    disk.become("linear")
    fails(errno.EIO, os.write, fd, b"no more")
    fails(errno.EIO, os.fsync, fd)
    d.check_all(fd, values)
    status, _, err = d.streamctl("topic", "detach", topic.name)
    eq(status, 0, err.decode())
    ok(b"records that were not durable are lost" in err, f"it is said: {err.decode()}")
    topic.there = False
    ok(topic.name not in t.topics(), "it is detached")
    fails(errno.ENODEV, os.write, fd, b"x")
    disk.remount()
    topic.attach()
    fd, other = topic.open(), topic.open(1)
    ok("error" not in topic.partition(), "all is well again")
    ok(150 <= t.end(fd) <= 200, f"the end is {t.end(fd)}")
    d.check_all(fd, values[: t.end(fd)])
    d.check_all(other, [value(n) for n in range(10)])
    values = values[: t.end(fd)]
    values += fill(fd, 1000, 10)
    os.fsync(fd)
    topic.reattach()
    d.check_all(topic.open(), values)


def test_write_error_ext4():
    write_error("ext4")


def test_write_error_xfs():
    write_error("xfs")


def produce(topic, acked, size):
    """Append until it fails; acked: how many did not. 0 where it failed with EIO."""
    fd = os.open(topic.path(), os.O_WRONLY | os.O_DSYNC)
    try:
        while True:
            os.write(fd, value(acked.value, size))
            acked.value += 1
    except OSError as error:
        return error.errno


def test_error_under_load():
    disk = Disk.shared()
    topic = Durable(disk.place(), "--segment", "64K", "--retention", "0")
    counts = [multiprocessing.Value("q", 0) for _ in range(3)]
    parts = [multiprocessing.Process(target=lambda a=a, n=n: os._exit(produce(topic, a, 300 + n)))
             for n, a in enumerate(counts)]
    fd = topic.open()
    for process in parts:
        process.start()
    t.wait_for(lambda: all(a.value > 40 for a in counts), "they work")
    disk.become("error")
    for process in parts:
        process.join()
        eq(process.exitcode, errno.EIO)
    seen = t.end(fd)
    ok(seen >= sum(a.value for a in counts), "what was acknowledged can be read")
    must("topic", "show", topic.name)
    d.streamctl("topic", "detach", topic.name)
    topic.there = False
    disk.become("linear")
    disk.remount()
    topic.attach()
    fd = topic.open(flags=os.O_RDONLY | os.O_NONBLOCK)
    numbers = [0, 0, 0]
    for _ in range(t.end(fd)):
        content = os.read(fd, 1000)
        number = len(content) - 300
        eq(content, value(numbers[number], 300 + number))
        numbers[number] += 1
    for number, acked in zip(numbers, counts):
        ok(acked.value <= number <= acked.value + 1, f"{acked.value} acknowledged, {number} there")


def test_reads_from_a_disk_that_fails():
    disk = Disk.shared()
    topic = Durable(disk.place(), *LAZY)
    fd = topic.open()
    values = fill(fd, 0, 400)
    topic.reattach()
    fd = topic.open(flags=os.O_RDONLY | os.O_NONBLOCK)
    end_of_log = t.stat(fd).end_position
    d.evict(fd)
    disk.become("error")
    for offset in (1, 200):
        os.lseek(fd, offset, os.SEEK_SET)
        fails(errno.EIO, os.read, fd, 1000)
        eq(os.lseek(fd, 0, os.SEEK_CUR), offset, "it did not move")
        fails(errno.EIO, os.pread, fd, 1000, offset)
        fails(errno.EIO, lambda: t.fetch_raw(fd, offset=offset))

    def again(number):
        for n in range(200):
            fails(errno.EIO, os.pread, fd, 1000, (number * 30 + n) % 300)
        os._exit(0)

    # The disk may be done with a request before who made it is.
    readers = [multiprocessing.Process(target=again, args=(n,)) for n in range(8)]
    for process in readers:
        process.start()
    for process in readers:
        process.join()
        eq(process.exitcode, 0)

    def touch():
        with mmap.mmap(fd, 65536, mmap.MAP_SHARED, mmap.PROT_READ, offset=1 << 32) as log:
            return log[0] + log[40960]

    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        touch()
        os._exit(0)
    eq(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), -signal.SIGBUS)
    ok(t.topics(), "others go on")
    # It was not the log's fault.
    disk.become("linear")
    d.check_all(fd, values)
    touch()
    eq(t.stat(fd).end_position, end_of_log)


def test_disk_that_hangs():
    disk = Disk.shared()
    topic = Durable(disk.place(), "--segment", "256K", "--ring", "512K", "--retention", "0",
                    "--flush-interval", "0", "--flush-bytes", "0")
    fd = topic.open(flags=os.O_RDWR | os.O_NONBLOCK)
    values = fill(fd, 0, 10)
    os.fsync(fd)
    disk.suspend()

    def wait_for_disk():
        os.fsync(fd)
        return d.durable(fd) >= 20

    values += fill(fd, 10, 10)
    with t.child(wait_for_disk) as pid:
        # Meanwhile producers go on, as far as the ring goes.
        def full():
            try:
                content = value(len(values), 6000)
                os.write(fd, content)
                values.append(content)
                return False
            except BlockingIOError:
                return True

        count = 0
        while not full():
            count += 1
            ok(count < 1000, "there is a bound")
        ok(20 < len(values) <= 20 + (512 << 10) // 6000 + 50, f"{len(values)} records taken")
        eq(os.waitpid(pid, os.WNOHANG), (0, 0), "fsync still waits")
        d.check_all(fd, values)
        disk.resume()
    t.wait_for(lambda: not full(), "there is room again")
    os.fsync(fd)
    eq(d.durable(fd), t.end(fd))
    topic.reattach()
    d.check_all(topic.open(), values)


def test_dirty_memory_of_who_does_not_wait():
    """The machine's limit is theirs, too, however large the ring."""
    disk = Disk.shared()
    topic = Durable(disk.place(), "--segment", "64M", "--ring", "128M", "--retention", "0",
                    "--flush-interval", "0", "--flush-bytes", "0")
    fd = topic.open(flags=os.O_RDWR | os.O_NONBLOCK)
    # Now 32 MiB of the file are reserved, which is as far as it goes while the disk hangs.
    values = fill(fd, 0, 300, 60000)
    os.fsync(fd)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    writable = [(fd, select.POLLOUT)]
    with t.setting("/proc/sys/vm/dirty_ratio", 1):
        # Instead of the ratio, which is of the machine's memory, until that comes back.
        t.put("/proc/sys/vm/dirty_bytes", 4 << 20)
        disk.suspend()
        try:
            while len(values) < 500:
                content = value(len(values), 60000)
                os.write(fd, content)
                values.append(content)
            full = False
        except BlockingIOError:
            full = True
        refused = poll.poll(0) != writable
        disk.resume()
        ok(full, "12 MB are more than there may be")
        ok(refused, "poll does not say that it can be written")
        eq(poll.poll(), writable)
        while len(values) < 1000:
            try:
                os.write(fd, value(len(values), 60000))
                values.append(value(len(values), 60000))
            except BlockingIOError:
                eq(poll.poll(), writable)
    os.fsync(fd)
    topic.reattach()
    d.check_all(topic.open(), values)


def test_memory_of_what_is_not_written():
    """Nobody has asked for it to be written, and there is no more: then it is."""
    for ring, most in (("128K", 0), ("64M", MIB)):
        with t.parameter("max_bytes", most):
            for flags in (os.O_RDWR, os.O_RDWR | os.O_NONBLOCK):
                topic = Durable(d.memory_place(), "--ring", ring, "--retention", "0",
                                "--flush-interval", "0", "--flush-bytes", "0")
                fd = topic.open(flags=flags)
                poll = select.poll()
                poll.register(fd, select.POLLOUT)
                values = []
                while len(values) < 100:
                    try:
                        os.write(fd, value(len(values), 60000))
                        values.append(value(len(values), 60000))
                    except BlockingIOError:
                        poll.poll()
                d.check_all(topic.open(), values)
                topic.delete()


def test_producer_whose_io_is_limited():
    """What it may do to the disk is its own affair: others' records do not wait for it."""
    disk = Disk.shared()
    topic = Durable(disk.place(), "--flush-interval", "0", "--flush-bytes", "0")
    group = f"/sys/fs/cgroup/evs-io-{os.getpid()}"

    def control(name, text):
        t.put(f"{group}/{name}", text)

    try:
        t.put("/sys/fs/cgroup/cgroup.subtree_control", "+io")
    except OSError:
        raise t.Skip("no control groups for the io of devices") from None
    os.mkdir(group)
    Topic.stack.callback(os.rmdir, group)
    # Of what is below: Linux 6.12 leaks what io.max has allocated for a disk that goes.
    number = os.stat(disk.device).st_rdev
    device = f"{os.major(number)}:{os.minor(number)}"
    if not os.path.exists(f"{group}/io.max"):
        raise t.Skip("the kernel does not limit io")
    fd = topic.open()
    os.write(fd, value(0))
    os.fsync(fd)

    def write():
        control("cgroup.procs", str(os.getpid()))
        # Two bytes in a second: for ever.
        control("io.max", f"{device} wbps=2")
        os.write(topic.open(flags=os.O_WRONLY | os.O_DSYNC), value(1))
        return True

    with t.child(write):
        t.wait_for(lambda: d.durable(fd) == 2, "it is on the disk")
        os.write(fd, value(2))
        os.fsync(fd)
    d.check_all(fd, [value(n) for n in range(3)])


def fill_up(fd, values, size, most):
    """Append until it fails: the error, and what was not taken."""
    while True:
        content = value(len(values), size)
        try:
            os.write(fd, content)
            values.append(content)
        except OSError as why:
            return why.errno, content
        ok(len(values) < most, "it cannot go on for ever")


def test_no_space():
    disk = Disk.private(32 * MIB)
    topic = Durable(disk.place(), "--segment", "1M", "--retention", "0", "--flush-interval", "0")
    fd = topic.open()
    values = fill(fd, 0, 10, 10000)
    free = os.statvfs(disk.dir)
    free = free.f_bavail * free.f_frsize
    with open(f"{disk.dir}/filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - 6 * MIB)
    error, content = fill_up(fd, values, 10000, 5000)
    eq(error, errno.ENOSPC)
    ok(len(values) > 50, f"{len(values)} went before")
    for _ in range(3):
        fails(errno.ENOSPC, os.write, fd, content)
        other = topic.open(flags=os.O_WRONLY | os.O_DSYNC)
        fails(errno.ENOSPC, os.write, other, content)
    # What was acknowledged is there, and can be made durable.
    d.check_all(fd, values)
    os.fsync(fd)
    eq(d.durable(fd), len(values))
    ok("error" not in topic.partition(), "that is no error")
    # Space returns: that is all it needs.
    os.unlink(f"{disk.dir}/filler")
    for number in range(len(values), len(values) + 300):
        content = value(number, 10000)
        eq(os.write(fd, content), len(content))
        values.append(content)
    os.fsync(fd)
    topic.reattach()
    d.check_all(topic.open(), values)


def test_no_space_by_segments_deleted():
    """Retention makes room on a full disk, as nothing else may."""
    disk = Disk.private(32 * MIB)
    topic = Durable(disk.place(), "--segment", "1M", "--retention", "0")
    fd = topic.open()
    with open(f"{disk.dir}/filler", "wb") as file:
        free = os.statvfs(disk.dir)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - 5 * MIB)
    content = value(1, 50000)
    count = 0
    while True:
        try:
            os.write(fd, content)
            count += 1
        except OSError as error:
            eq(error.errno, errno.ENOSPC)
            break
    trimmed = t.ioctl(fd, t.Trim(offset=count - 5)).start_offset
    eq(trimmed, count - 5)

    def goes_on():
        try:
            return os.write(fd, content)
        except OSError as error:
            eq(error.errno, errno.ENOSPC)
            return 0

    t.wait_for(goes_on, "room")
    os.fsync(fd)
    topic.reattach()
    s = t.stat(topic.open())
    eq((s.start_offset, s.end_offset), (count - 5, count + 1))


def fill_disk(disk):
    """Not a block of it is left."""
    with open(f"{disk.dir}/filler", "ab", buffering=0) as file:
        for size in (MIB, 65536, 4096):
            try:
                while True:
                    file.write(bytes(size))
                    os.fsync(file.fileno())
            except OSError as error:
                eq(error.errno, errno.ENOSPC)


def test_no_space_to_finish():
    """A segment whose indexes have no room goes all the same, and its producers are known."""
    def batch(producer, sequence, size):
        age = 0 if sequence else 7200
        record = {"value": value(sequence, size), "timestamp": int(time.time() - age) * 1000}
        return t.kafka.encode_batch([record], producer_id=producer, producer_epoch=0,
                                    base_sequence=sequence)

    def appended(fd, *what):
        try:
            return t.append_batch(fd, batch(*what))
        except OSError as error:
            eq(error.errno, errno.ENOSPC)
            return False

    for ask in (lambda fd: t.ioctl(fd, t.Trim(offset=2)),
                lambda fd: must("topic", "set", topic.name, "retention=1h")):
        disk = Disk.private(32 * MIB)
        topic = Durable(disk.place(), "--segment", "64K", "--retention", "0", "--max-record", "48K")
        fd = topic.open()
        # To the last block.
        eq([t.append_batch(fd, batch(9, 0, 30000)), t.append_batch(fd, batch(10, 0, 35000))], [0, 1])
        os.fsync(fd)
        fill_disk(disk)
        for _ in range(3):
            fails(errno.ENOSPC, t.append_batch, fd, batch(9, 1, 20000))
            time.sleep(0.1)
        eq(t.stat(fd).start_offset, 0)
        ask(fd)
        t.wait_for(lambda: appended(fd, 9, 1, 20000), "room")
        os.fsync(fd)
        topic.reattach()
        fd = topic.open()
        s = t.stat(fd)
        eq((s.start_offset, s.end_offset), (2, 3))
        eq(os.pread(fd, 20000, 2), value(1, 20000))
        # Known by what was written down when it went.
        eq(t.append_batch(fd, batch(10, 0, 35000)), 1, "the same again")
        eq(t.append_batch(fd, batch(9, 1, 20000)), 2, "the same again")
        fails(errno.EILSEQ, t.append_batch, fd, batch(10, 2, 100))


def test_create_on_a_full_disk():
    disk = Disk.private(16 * MIB)
    path = disk.place()
    with open(f"{disk.dir}/filler", "wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(65536))
        except OSError as error:
            eq(error.errno, errno.ENOSPC)
    status, _, err = d.streamctl("topic", "create", "full", "--dir", path)
    if status:
        eq(status, 2)
        ok(os.strerror(errno.ENOSPC) in err.decode(), f"{err}")
        eq(os.listdir(path), [], "nothing is left of it")
        return
    # Or the first append is what fails.
    fd = os.open("/dev/stream/full/0", os.O_RDWR)
    try:
        for _ in range(4096):
            os.write(fd, bytes(4096))
        raise Failed("it never was full")
    except OSError as error:
        eq(error.errno, errno.ENOSPC)
    os.unlink(f"{disk.dir}/filler")
    eq(os.write(fd, b"x"), 1)
    os.close(fd)
    must("topic", "delete", "full")


def test_attach_of_another_programs_on_a_full_disk():
    """A configuration that there was no room for does not stay, to make no sense later."""
    place = d.memory_place()
    d.run("mount", "-t", "tmpfs", "-o", "size=4m", "none", place)
    Topic.stack.callback(d.run, "umount", place)
    topic = Durable(place, *LAZY)
    values = fill(topic.open(), 0, 5)
    topic.detach()
    os.unlink(f"{place}/{topic.name}.evstream")
    with open(f"{place}/more", "wb", buffering=0) as file:
        error = None
        while not error:
            try:
                file.write(bytes(4096))
            except OSError as why:
                error = why.errno
    eq(error, errno.ENOSPC)
    ok(os.strerror(errno.ENOSPC) in d.refused("topic", "attach", place, topic.name), "why not")
    os.unlink(f"{place}/more")
    topic.attach()
    d.check_all(topic.open(), values)


def gone_wrong(topic, fd, values, codes):
    """Append until it cannot go on; all that was taken can be read."""
    error, _ = fill_up(fd, values, 6000, 3000)
    ok(error in codes, f"{errno.errorcode[error]}")
    d.check_all(fd, values)
    must("topic", "show", topic.name)


def test_directory_removed():
    disk = Disk.shared()
    topic = Durable(disk.place(), *LAZY)
    fd = topic.open()
    values = fill(fd, 0, 200)
    os.fsync(fd)
    d.run("rm", "-rf", topic.part())
    gone_wrong(topic, fd, values, (errno.EIO, errno.ENOENT))
    d.streamctl("topic", "detach", topic.name)
    topic.there = False
    ok(topic.name not in t.topics(), "it is detached")
    d.refused("topic", "attach", topic.dir, topic.name)
    disk.remount()


def test_all_removed_and_deleted():
    disk = Disk.shared()
    topic = Durable(disk.place(), *LAZY)
    fd = topic.open()
    fill(fd, 0, 300)

    def removed():
        shutil.rmtree(topic.dir, ignore_errors=True)
        return not os.path.exists(topic.dir)

    t.wait_for(removed, "also what comes meanwhile is removed")
    topic.delete()
    fails(errno.ENODEV, os.write, fd, b"x")


def test_directory_that_takes_no_files():
    disk = Disk.shared()
    topic = Durable(disk.place(), *LAZY)
    fd = topic.open()
    values = fill(fd, 0, 200)
    os.fsync(fd)
    d.run("chattr", "+i", topic.part())
    Topic.stack.callback(subprocess.run, ["chattr", "-i", topic.part()], check=False)
    synced = len(values)
    gone_wrong(topic, fd, values, (errno.EIO, errno.EPERM, errno.EACCES))
    d.run("chattr", "-i", topic.part())
    d.streamctl("topic", "detach", topic.name)
    topic.there = False
    ok(topic.name not in t.topics(), "it is detached")
    topic.attach()
    fd = topic.open()
    ok(synced <= t.end(fd) <= len(values), f"the end is {t.end(fd)}")
    values = values[: t.end(fd)]
    d.check_all(fd, values)
    values += fill(fd, 5000, 200)
    topic.reattach()
    d.check_all(topic.open(), values)


def test_read_only():
    disk = Disk.shared()
    topic = Durable(disk.place(), *LAZY)
    values = fill(topic.open(), 0, 200)
    topic.detach()
    d.run("mount", "-o", "remount,ro", disk.dir)
    for command in (("attach", topic.dir, topic.name), ("create", "another", "--dir", topic.dir)):
        text = d.refused("topic", *command)
        ok(os.strerror(errno.EROFS) in text, text)
    eq(t.topics(), {})
    d.run("mount", "-o", "remount,rw", disk.dir)
    topic.attach()
    d.check_all(topic.open(), values)


def test_z_file_systems_are_free():
    Disk.close_all()


if __name__ == "__main__":
    t.main()
