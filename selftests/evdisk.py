# SPDX-License-Identifier: GPL-2.0-only
"""Disks that fail, file systems on them, durable topics there."""
import contextlib
import json
import os
import shutil
import subprocess
import tempfile

import evstest as t
from evstest import Failed, Skip, Topic, streamctl

MIB = 1 << 20


def durable(fd, partition=0):
    return t.stat(fd, partition).durable_offset


def run(*command, **how):
    """A command that must succeed: its output."""
    env = {**os.environ, "DM_DISABLE_UDEV": "1"}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env,
                          check=False, **how)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def evict(fd):
    """What can be evicted of a log is read from the disk the next time."""
    os.fsync(fd)
    os.posix_fadvise(fd, 1 << 32, 0, os.POSIX_FADV_DONTNEED)


def memory_place():
    """A directory in memory, away with the test."""
    path = tempfile.mkdtemp(prefix="evs-", dir="/tmp")
    Topic.stack.callback(shutil.rmtree, path, True)
    return path


class Disk:
    """A file system on a device whose faults are ours.

    size: of the device, which is a file in memory, unless there is a device already
    full: none of the file's memory is left to be found later
    """

    MAKE = {
        "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0"],
        "xfs": ["mkfs.xfs", "-q", "-f", "--unsupported", "-l", "size=10m"],
        "btrfs": ["mkfs.btrfs", "-q", "-f"],
    }
    count = 0
    modules = set()
    kept = {}

    def __init__(self, size, fs="ext4", device=None, full=False):
        Disk.count += 1
        self.name = f"evs-{os.getpid()}-{Disk.count}"
        self.fs = fs
        self.stack = contextlib.ExitStack()
        if not shutil.which(f"mkfs.{fs}"):
            raise Skip(f"there is no mkfs.{fs}")
        for module in {"loop", "dm_mod", "dm_flakey", fs} - Disk.modules:
            subprocess.run(["modprobe", "-q", module], check=False)
            Disk.modules.add(module)
        self.path = tempfile.mkdtemp(prefix="evs-", dir="/tmp")
        self.stack.callback(shutil.rmtree, self.path, True)
        if device is None:
            image = f"{self.path}/image"
            with open(image, "wb") as file:
                if full:
                    os.posix_fallocate(file.fileno(), 0, size)
                file.truncate(size)
            device = run("losetup", "--find", "--show", image)
            self.stack.callback(run, "losetup", "-d", device)
        self.device = device
        self.sectors = int(run("blockdev", "--getsz", device))
        self.kind = "linear"
        self.stale = False
        run("dmsetup", "create", self.name, "--table", self.table("linear"))
        self.stack.callback(run, "dmsetup", "remove", self.name)
        self.node = f"/dev/mapper/{self.name}"
        run(*self.MAKE[fs], self.node)
        self.mounted = False
        self.dir = f"{self.path}/mount"
        os.mkdir(self.dir)
        self.mount()

    @classmethod
    def shared(cls, fs="ext4"):
        """One for all tests of the program, of no size in particular."""
        if fs not in cls.kept:
            cls.kept[fs] = cls(300 * MIB, fs)
        disk = cls.kept[fs]
        Topic.stack.callback(disk.heal)
        return disk

    @classmethod
    def private(cls, *args, **options):
        """One that goes away with the test."""
        disk = cls(*args, **options)
        Topic.stack.callback(disk.close)
        return disk

    @classmethod
    def close_all(cls):
        """The program's last test: nobody holds on to any of them."""
        disks = list(cls.kept.values())
        cls.kept.clear()
        for disk in disks:
            disk.close()

    def place(self):
        """A directory for a test, empty, that no fault of the disk takes away."""
        path = tempfile.mkdtemp(prefix="topics-", dir=self.dir)
        fd = os.open(self.dir, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        Topic.stack.callback(self.remove, path)
        return path

    def remove(self, path):
        self.heal()
        shutil.rmtree(path, ignore_errors=True)

    def table(self, kind):
        """linear, error, or flakey: then reads work and writes do not.

        dm's own error target has flushes succeed: after a commit of the journal that failed,
        unseen by any fsync, ext4's next fsync finds nothing left but to flush, and says 0.
        """
        if kind == "error":
            return f"0 {self.sectors} flakey {self.device} 0 0 3600 2 error_reads error_writes"
        if kind == "flakey":
            return f"0 {self.sectors} flakey {self.device} 0 0 3600 1 error_writes"
        return f"0 {self.sectors} linear {self.device} 0"

    def become(self, kind):
        self.suspend()
        run("dmsetup", "reload", self.name, "--table", self.table(kind))
        self.kind = kind
        self.stale = self.stale or kind != "linear"
        self.resume()

    def suspend(self):
        # What is under way need not be waited for: it may be stuck.
        run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)

    def resume(self):
        run("dmsetup", "resume", self.name)

    @contextlib.contextmanager
    def refusing(self):
        """Its requests are some that fail_make_request may make fail."""
        found = os.stat(self.dir).st_dev
        switch = f"/sys/dev/block/{os.major(found)}:{os.minor(found)}/make-it-fail"
        if not os.path.exists(switch):
            raise Skip("the kernel has no fail_make_request")
        try:
            with t.setting(switch, 1):
                yield
        finally:
            self.stale = True

    def mount(self, *options):
        run("mount", *options, self.node, self.dir)
        self.mounted = True
        self.stale = False

    def umount(self):
        """Nothing of it may be in use."""
        run("umount", self.dir)
        self.mounted = False
        if self.stale and self.fs == "ext4" and self.kind == "linear":
            # As one does after a fault; 1: something was mended. Also a journal is read of
            # which ext4's umount, after a write that failed, says that nothing is in it.
            done = subprocess.run(["e2fsck", "-f", "-y", self.node], capture_output=True,
                                  text=True, check=False)
            if done.returncode > 1:
                raise Failed(f"the disk's fault has broken the file system: {done.stdout}")

    def remount(self):
        """As after the machine's next start."""
        self.umount()
        self.mount()

    def heal(self):
        """What a test did to it is over."""
        self.resume()
        if self.kind != "linear":
            self.become("linear")
        if self.mounted and self.stale:
            self.umount()
        if not self.mounted:
            self.mount()

    def close(self):
        self.resume()
        if self.kind != "linear":
            self.become("linear")
        try:
            if self.mounted:
                self.umount()
        except Failed:
            run("umount", "--lazy", self.dir)
            raise
        self.stack.close()


class Durable(t.Durable):
    """A durable topic that a disk's fault may have taken away."""

    def attach(self, path=None):
        self.dir = path or self.dir
        super().attach()

    def reattach(self):
        self.detach()
        self.attach()

    def logs(self, partition=0):
        """Names of the segments' files, the oldest first."""
        return sorted(f for f in os.listdir(self.part(partition)) if f.endswith(".log"))

    def close(self):
        if self.there and self.name not in t.topics():
            self.there = False
        super().close()


@contextlib.contextmanager
def monitor():
    """What streamctl monitor says: the function returns the next event of a kind."""
    with subprocess.Popen(["streamctl", "-j", "monitor"], stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL) as process:
        try:
            t.listening(process.pid)

            def wanted(kind):
                while True:
                    line = process.stdout.readline()
                    if not line:
                        raise Failed("the monitor ended")
                    event = json.loads(line)
                    if event["event"] == kind:
                        return event

            yield wanted
        finally:
            process.kill()


def refused(*args):
    """streamctl exits with 2, and says why: its words."""
    status, _, err = streamctl(*args)
    t.eq(status, 2, f"{args}: {err.decode()}")
    t.ok(err.strip(), f"{args}: it says why")
    return err.decode()


# --------------------------------------------------------------- records that vouch


def value(number, size=600):
    """The value of a record, by its number."""
    head = b"%d:" % number
    return (head * (size // len(head) + 1))[:size]


def check_all(fd, expected, start=0, partition=0):
    """Records from start on are just these."""
    s = t.stat(fd, partition)
    t.eq((s.start_offset, s.end_offset), (start, start + len(expected)))
    os.lseek(fd, start, os.SEEK_SET)
    for number, content in enumerate(expected, start):
        seen = os.read(fd, len(content) + 1000)
        if seen != content:
            t.eq(seen, content, f"offset {number}")
