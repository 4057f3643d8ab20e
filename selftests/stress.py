#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""stress-ng and trinity on the nodes and beside them, members killed for their memory.

Meanwhile there is traffic in a group of which nothing may be lost, and a canary that
nobody touches. EVSTREAM_SECONDS is for how long in all, EVSTREAM_SEED what the tools
are told.
"""
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

import evgroup as g
import evstest as t
from dmemory import Group, LIMIT
from evdisk import MIB, Disk, Durable, check_all, value
from evgroup import Child, Member
from evstest import Skip, Topic, eq, ok

SECONDS = int(os.environ.get("EVSTREAM_SECONDS", "30"))
SEED = int(os.environ.get("EVSTREAM_SEED", "1"))
NOBODY = 65534
CANARY = 3000
# Beyond it a tool hangs; and a test, which has several of them.
GRACE = 60 * t.SLOWER
t.PATIENCE = SECONDS + 4 * GRACE


def share(part):
    """That part of the time, seconds."""
    return max(2, round(SECONDS * part))


# --------------------------------------------------------------------- traffic


class Lines:
    """A file of lines, each written by one call."""

    def __init__(self, path):
        self.path = path

    def add(self, line):
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, line + b"\n")
        os.close(fd)

    def all(self):
        if not os.path.exists(self.path):
            return []
        with open(self.path, "rb") as file:
            return file.read().splitlines()


def patient(call, *args):
    """A call until there is memory for it."""
    while True:
        try:
            return call(*args)
        except OSError as error:
            if error.errno not in (t.errno.ENOMEM, t.errno.EINTR):
                raise
            time.sleep(0.01)


class Traffic:
    """Producers, members of a group and what they saw; and a canary."""

    def __init__(self, place, *options):
        self.canary = [Topic("-p", "1", "--mode", "0600")]
        self.topic = Topic("-p", "4", "--ring", "64M", "--mode", "0600", *options)
        self.folder = tempfile.mkdtemp(prefix="evs-", dir="/tmp")
        Topic.stack.callback(shutil.rmtree, self.folder, True)
        if place:
            self.canary.append(Durable(place, "-p", "1", "--mode", "0600"))
        self.expected = [value(n, 30 + n % 500) for n in range(CANARY)]
        for topic in self.canary:
            fd = topic.open()
            for record in self.expected:
                os.write(fd, record)
        self.sent, self.seen = Lines(f"{self.folder}/sent"), Lines(f"{self.folder}/seen")
        self.produced = 0
        self.children = []

    def child(self, function):
        self.children.append(Child(function))
        return self.children[-1]

    def producer(self, group=None, eats=False):
        """A process that appends until it is killed, or until it is told to eat."""
        self.produced += 1
        name = self.produced

        def produce(child):
            if group:
                group.enter()
            os.set_blocking(child.inside, False)
            fds = [os.open(self.topic.path(p), os.O_WRONLY) for p in range(4)]
            food = []
            for n in range(1 << 30):
                record = b"%d:%d" % (name, n)
                patient(os.write, fds[n % 4], record)
                self.sent.add(record)
                if eats and n > 20:
                    food.append(os.urandom(MIB))
                time.sleep(0.005)

        return self.child(produce)

    def member(self, group=None):
        """A process that reads and commits; what it hears makes it eat until it is killed."""

        def consume(child):
            if group:
                group.enter()
            os.set_blocking(child.inside, False)
            m = Member(self.topic)
            food, hungry, told = [], False, False
            while True:
                m.poll(100)
                for record in patient(m.read_all):
                    self.seen.add(record)
                    if not told:
                        child.tell()
                        told = True
                patient(m.commit)
                with contextlib.suppress(BlockingIOError):
                    hungry = bool(child.hear()) or hungry
                if hungry:
                    food.append(os.urandom(MIB))

        return self.child(consume)

    def begin(self, members=2, producers=2):
        for _ in range(members):
            self.member()
        for _ in range(producers):
            self.producer()

    def end(self):
        """Nothing is lost, and all of it can be used."""
        for child in self.children:
            child.kill()
        # Another member has what those who were killed had not committed.
        last = Member(self.topic)
        eq(last.owned(), [0, 1, 2, 3], "who comes last owns all")
        for record in last.read_all():
            self.seen.add(record)
        sent, seen = set(self.sent.all()), set(self.seen.all())
        ok(sent, "there was traffic")
        eq(sorted(sent - seen)[:10], [], "records that nobody was given")
        print(f"# {len(sent)} records, {len(self.seen.all()) - len(seen)} given again")
        for topic in self.canary:
            check_all(topic.open(), self.expected)
        usable(self.topic)


def usable(topic):
    """What is appended now can be read, also by a member."""
    for partition in range(len(topic.show()["partition"])):
        fd = topic.open(partition, os.O_RDWR | os.O_NONBLOCK)
        at = t.end(fd)
        eq(os.write(fd, b"after all\n"), 10)
        eq(t.end(fd), at + 1)
        os.lseek(fd, at, os.SEEK_SET)
        eq(os.read(fd, 100).strip(), b"after all")
    m = Member(topic, f"later-{os.getpid()}", start=g.LATEST)
    eq(len(m.owned()), len(topic.show()["partition"]))


class Victims:
    """Topics that anybody may open, of each kind."""

    def __init__(self, place):
        options = ["-p", "2", "--segment", "64K", "--ring", "1M", "--mode", "0666"]
        self.topics = [Topic(*options), Topic(*options, "--framing", "line")]
        if place:
            self.topics.append(Durable(place, *options))
        for topic in self.topics:
            for partition in range(2):
                fd = topic.open(partition)
                for n in range(200):
                    os.write(fd, value(n, 100) + b"\n")

    def nodes(self):
        return [topic.path(part) for topic in self.topics for part in (0, "any")]

    def end(self):
        for topic in self.topics:
            usable(topic)


def place():
    """A directory for durable topics, or None where there cannot be one."""
    try:
        return Disk.private(160 * MIB).place()
    except (Skip, t.Failed) as why:
        print(f"# without durable topics: {why}")
        return None


# ----------------------------------------------------------------------- tools


def tool(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
    if not path:
        raise Skip(f"there is no {name}: scripts/deps stress")
    return path


def alone(command, seconds, user=None, group=None, cwd="/tmp"):
    """Run it and whatever it starts, none of which outlives it: status, output."""
    words = [tool("unshare"), "--pid", "--mount-proc", "--fork", "--kill-child=KILL"]
    if user is not None:
        words += [tool("setpriv"), f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    with tempfile.TemporaryFile() as out:
        with subprocess.Popen(words + command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT, start_new_session=True,
                              preexec_fn=group.enter if group else None) as process:
            try:
                status = process.wait(seconds + GRACE)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        return status, out.read().decode(errors="replace")


def stress(seconds, *options, user=None, path=None, group=None):
    """stress-ng: operations done, by stressor."""
    with contextlib.ExitStack() as stack:
        if not path:
            path = stack.enter_context(tempfile.TemporaryDirectory(prefix="evs-", dir="/tmp"))
            os.chmod(path, 0o777)
        status, out = alone(
            [tool("stress-ng"), "--timeout", f"{seconds}s", "--seed", str(SEED), "--temp-path",
             path, "--metrics-brief", *map(str, options)],
            seconds, user, group, cwd=path)
    done = {m[1]: int(m[2]) for m in re.finditer(r"metrc: \[\d+\] (\S+) +(\d+) ", out)}
    print(f"# stress-ng {' '.join(map(str, options))}: status {status}, "
          + ", ".join(f"{name} {count}" for name, count in done.items()))
    # 1: not even begun. What a stressor thinks of this machine is no matter of ours.
    ok(status not in (None, 1), f"stress-ng runs and ends: {out[-2000:]}")
    return done


def each(*names, workers=1):
    """Options for a worker of each stressor that this stress-ng has."""
    known = subprocess.run([tool("stress-ng"), "--help"], capture_output=True, text=True,
                           check=False).stdout
    return [word for name in names if re.search(rf"--{name} N\b", known)
            for word in (f"--{name}", str(workers))]


# ----------------------------------------------------------------------- tests


def test_the_device_stressor():
    tool("stress-ng")
    disk = place()
    victims, traffic = Victims(disk), Traffic(disk)
    traffic.begin()
    nodes = victims.nodes()
    done = 0
    # Root may do more, to fewer.
    for user, some in (NOBODY, nodes), (None, nodes[-1:]):
        for node in some:
            counts = stress(share(0.03), "--dev", 2, "--dev-file", node, user=user)
            done += counts.get("dev", 0)
    ok(done, "it did something")
    traffic.end()
    victims.end()


def test_netlink_stressors():
    tool("stress-ng")
    traffic = Traffic(None)
    traffic.begin()

    def control():
        """What streamctl does, over and over, as long as the tool runs."""
        stop = time.monotonic() + share(0.12)
        n = 0
        while time.monotonic() < stop:
            name = f"netlink-{os.getpid()}-{n}"
            t.must("topic", "create", name, "-p", "3")
            try:
                t.must("-j", "group", "show", traffic.topic.name, "g")
                t.must("topic", "set", name, "retention=1h")
                eq(name in t.topics(), True)
            finally:
                t.must("topic", "delete", name)
            n += 1
        print(f"# {n} topics made and deleted meanwhile")
        return n > 0

    with t.running("monitor"), t.child(control):
        stress(share(0.12), *each("netlink-task", "netlink-proc", "sockdiag", "netdev"))
    traffic.end()


def test_stressors_beside():
    tool("stress-ng")
    disk = place()
    victims, traffic = Victims(disk), Traffic(disk)
    traffic.begin()
    # On the file system of the durable topics, and all mounts: /dev is one.
    small = ["--hdd-bytes", "4M", "--fallocate-bytes", "4M", "--sync-file-bytes", "4M",
             "--mmap-bytes", "4M", "--mmap-file", "--vm-splice-bytes", "64K"]
    path = f"{disk}/stress" if disk else None
    if path:
        os.mkdir(path)
    stress(share(0.1), *small, *each("hdd", "aio", "aiol", "io-uring", "splice", "sendfile",
                                     "fanotify", "inotify", "fallocate", "sync-file", "mmap"),
           path=path)
    stress(share(0.08), *small, *each("poll", "epoll", "fault", "userfaultfd", "vm-splice",
                                      "dup", "procfs", "sysfs", "mlock", "fork"), user=NOBODY)
    traffic.end()
    victims.end()


def test_no_memory():
    tool("stress-ng")
    disk = place()
    traffic = Traffic(disk)
    group = Group("pressure", LIMIT)
    # Those outside see that nothing is missing; those inside fight for every page.
    traffic.begin(members=1, producers=1)
    inside = [traffic.member(group), traffic.producer(group)]
    # More than once where that has not come far.
    while not group.event("max"):
        stress(share(0.15), "--vm", 2, "--vm-bytes", "256M", "--brk", 1, "--bigheap", 1,
               "--bigheap-growth", "16M", group=group)
    print(f"# {group.event('oom_kill')} killed for their memory, reclaimed "
          f"{group.event('max')} times")
    for child in inside:
        child.kill()
    traffic.end()


def test_members_killed_for_their_memory():
    traffic = Traffic(None)
    group = Group("oom", LIMIT // 2)
    # Nobody else is to be blamed.
    group.write("memory.oom.group", 0)
    stays = Member(traffic.topic)
    traffic.producer()
    stop, killed = time.monotonic() + share(0.1), 0
    while not killed or time.monotonic() < stop:
        victim = traffic.member(group)
        eq(victim.hear(), b".", "it was given a record")
        ok(len(stays.owned()) < 4, "it owns some of them")
        victim.tell()
        eq(victim.wait(), -signal.SIGKILL)
        # Whoever waits for a process knows when its files are closed.
        eq(stays.owned(), [0, 1, 2, 3], "the other one has them at once")
        eq(stays.assignment().members, 1)
        killed += 1
        hungry = traffic.producer(group, eats=True)
        eq(hungry.wait(), -signal.SIGKILL)
        for record in stays.read_all():
            traffic.seen.add(record)
        stays.commit()
    eq(group.event("oom_kill"), 2 * killed)
    print(f"# {killed} members and as many producers were killed")
    stays.close()
    traffic.end()


def test_a_processor_comes_and_goes():
    switch = "/sys/devices/system/cpu/cpu1/online"
    if not os.access(switch, os.W_OK):
        raise Skip("no processor can be taken away here")
    traffic = Traffic(None)
    traffic.begin()

    def turn(on):
        t.put(switch, on)

    stop, times = time.monotonic() + share(0.05), 0
    try:
        while not times or time.monotonic() < stop:
            turn("0")
            time.sleep(random.random() / 5)
            turn("1")
            time.sleep(random.random() / 5)
            times += 1
    finally:
        turn("1")
    print(f"# {times} times")
    traffic.end()


def test_trinity():
    trinity = tool("trinity")
    disk = place()
    victims, traffic = Victims(disk), Traffic(disk)
    traffic.begin()
    calls = 0
    # Making every kind of socket takes longer than all the rest.
    for number, what in enumerate((["--disable-fds=sockets"], ["-P", "NETLINK"])):
        with tempfile.TemporaryDirectory(prefix="evs-", dir="/tmp") as path:
            os.chmod(path, 0o777)
            # Of taints it sees that of a kernel that has died. Interrupted, it sums up.
            seconds = share(0.1) + GRACE // 2
            status, out = alone(
                ["timeout", "-s", "INT", "-k", str(GRACE // 2), str(seconds), trinity, "-q",
                 "-l", "off", "-C", "4", "-s", str(SEED + number), "-N", str(share(0.1) * 200),
                 "-T", "DIE", "-V", "/dev/stream", *what],
                seconds, NOBODY, cwd=path)
        ran = re.search(r"Ran (\d+) syscalls.*", out)
        files = re.search(r"Added (\d+) filenames", out)
        print(f"# trinity {' '.join(what)}: status {status}, "
              f"{ran[0] if ran else 'it does not say'}, {files[0] if files else ''}")
        ok(files and int(files[1]) > 3, f"it knows our nodes: {out[-1500:]}")
        calls += int(ran[1]) if ran else 0
    traffic.end()
    victims.end()
    if not calls:
        raise Skip("trinity had not begun before its time was over")


if __name__ == "__main__":
    if os.geteuid():
        raise SystemExit("run it in the machine")
    t.main()
