# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's fault injection, let loose on what the module does and on nothing else.

Every allocation, copy to or from the user and request to a disk asks whether it shall
fail (Documentation/fault-injection of the kernel). Here only those with the module on
the stack do, and requests to disks of ours, whoever makes them.
"""
import atexit
import contextlib
import errno
import os
import random
import sys
import time
from collections import Counter

import evnetlink as nl
import evstest
from evstest import Failed, Skip, eq, ok, put

DEBUG = "/sys/kernel/debug"
KINDS = ("failslab", "fail_page_alloc", "fail_usercopy")
MEMORY = ("failslab", "fail_page_alloc")
REQUEST = "fail_make_request"
# What is called from anywhere.
ALL_CODE = (0, (1 << 64) - 1)
# Callers that are looked at; the kernel's limit.
DEPTH = 32
# No operation has so many things that can fail: it is not the same one each time.
MOST = 3000
# Which fail where not all do. With EVSTREAM_SECONDS there is time for all of them.
SEED = int(os.environ.get("EVSTREAM_SEED") or time.time())
ALL = float(os.environ.get("EVSTREAM_SECONDS") or 0) > 0


def take(path):
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def text_of(name):
    """Where the code of a module lies: [start, end)."""
    places = []
    with open("/proc/kallsyms", encoding="ascii") as file:
        for line in file:
            place, kind, _, *module = line.split()
            if kind in "tTwW" and module == [f"[{name}]"]:
                places.append(int(place, 16))
    if not places or not max(places):
        raise Skip("/proc/kallsyms shows no addresses")
    # The last function ends before the next page but one does.
    return min(places), (max(places) & ~0xFFF) + 0x2000


class Faults:
    """What of KINDS this kernel has."""

    # So many times in a row nothing fails, then there is nothing more.
    patience = 1

    def __init__(self):
        if not os.path.exists("/proc/self/fail-nth"):
            raise Skip("the kernel has no fault injection (CONFIG_FAULT_INJECTION)")
        if not os.path.ismount(DEBUG):
            raise Skip("debugfs is not there")
        self.kinds = [k for k in (*KINDS, REQUEST) if os.path.isdir(f"{DEBUG}/{k}")]
        missing = set(MEMORY) - set(self.kinds)
        if missing:
            raise Skip(f"the kernel has no {', '.join(sorted(missing))}")
        if not os.path.exists(f"{DEBUG}/failslab/require-start"):
            raise Skip("the kernel's fault injection has no stacktrace filter")
        self.saved = {}
        atexit.register(self.restore)
        for kind in self.kinds:
            self.set(kind, "probability", 0)
            self.set(kind, "times", -1)
            self.set(kind, "space", 0)
            self.set(kind, "verbose", 0)
            self.set(kind, "task-filter", "N")
            self.set(kind, "stacktrace-depth", DEPTH)
        for kind in MEMORY:
            self.set(kind, "ignore-gfp-wait", "N")
        self.set("fail_page_alloc", "ignore-gfp-highmem", "N")
        self.set("fail_page_alloc", "min-order", 0)
        # Of the task that opens it, and of nobody else.
        self.nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR | os.O_CLOEXEC)
        self.only(KINDS)

    def set(self, kind, what, value):
        path = f"{DEBUG}/{kind}/{what}"
        if path not in self.saved:
            self.saved[path] = take(path)
        put(path, value)

    def restore(self):
        for path in self.saved:
            if path.endswith("/probability"):
                put(path, 0)
        for path, value in self.saved.items():
            put(path, value)

    def only(self, kinds):
        """What shall fail, below the module's code."""
        ours = text_of("evstream")
        for kind in self.kinds:
            # Nothing is called from nowhere.
            start, end = (0, 0) if kind not in kinds else ALL_CODE if kind == REQUEST else ours
            self.set(kind, "require-start", hex(start))
            self.set(kind, "require-end", hex(end))

    def arm(self, number):
        os.pwrite(self.nth, b"%d" % number, 0)

    def disarm(self):
        """Whether something did fail."""
        self.left = int(os.pread(self.nth, 16, 0))
        os.pwrite(self.nth, b"0", 0)
        return self.left == 0

    def there_were(self, number):
        """How many things could fail, where the one with a number was none of them."""
        return number - self.left

    @contextlib.contextmanager
    def often(self, percent, kinds=MEMORY):
        """For a while things fail at random, whoever does them."""
        self.only(kinds)
        try:
            for kind in kinds:
                self.set(kind, "probability", percent)
            yield
        finally:
            for kind in kinds:
                self.set(kind, "probability", 0)


class Anywhere:
    """
    As Faults, for one kind of fault, of whichever task: so also what a worker does for
    somebody who waits, and what it does later. Which one of the first so many fails
    is not known, and how many there are, neither: so not each of them does.
    """

    patience = 3

    def __init__(self, faults, kind):
        self.faults, self.kind = faults, kind
        if kind not in faults.kinds:
            raise Skip(f"the kernel has no {kind}")
        faults.only([kind])

    def arm(self, number):
        self.faults.set(self.kind, "interval", max(number, int(1.3 ** number)))
        self.faults.set(self.kind, "times", 1)
        self.faults.set(self.kind, "probability", 100)

    def disarm(self):
        self.faults.set(self.kind, "probability", 0)
        left = take(f"{DEBUG}/{self.kind}/times")
        self.faults.set(self.kind, "times", -1)
        self.faults.set(self.kind, "interval", 1)
        return left == "0"

    @staticmethod
    def there_were(_number):
        return None


class Operation:
    """
    What is done again and again, and each time the next thing of it fails.

    errors: what it may fail with
    least: so many things of it can fail, or this tests nothing
    first: so many of them fail one after the other
    stride: of what comes then, one of so many does, where it takes long
    """

    errors = {errno.ENOMEM}
    least = 1
    first = 30
    stride = 1

    def begin(self):
        """As it shall be before; what can fail in here does not."""

    def act(self):
        """The operation: a result, or an OSError."""

    def failed(self, error):
        """Check what is left of it. True: it has been done for all that."""

    def done(self, result):
        """Check what it did."""

    def end(self):
        """Away with it."""

    def finish(self):
        """In the end."""

    def attempt(self, faults, number):
        """With this fault: whether there was one, and what came of it."""
        result, code = None, 0
        faults.arm(number)
        try:
            result = self.act()
        except OSError as error:
            code = error.errno
        finally:
            fault = faults.disarm()
        if not code:
            self.done(result)
            return fault, 0
        name = errno.errorcode.get(code, code)
        if not fault:
            raise Failed(f"{name}, and nothing was made to fail")
        if code not in self.errors:
            raise Failed(f"fault {number}: {name}")
        try:
            if not self.failed(code):
                self.done(self.act())
        except (Failed, OSError) as why:
            raise Failed(f"{name}, and then {why}") from why
        return fault, code

    def run(self, faults):
        """Until nothing is left that could fail."""
        count, number, missed = Counter(), 0, 0
        begun, chance = time.monotonic(), random.Random(SEED)
        stride = 1 if ALL else self.stride
        while missed < faults.patience:
            number += 1 if number < self.first or missed else chance.randint(1, 2 * stride - 1)
            try:
                self.begin()
                fault, code = self.attempt(faults, number)
            except (Failed, OSError) as why:
                raise Failed(f"{self.name()}, fault {number}: {why}") from why
            finally:
                self.end()
            missed = 0 if fault else missed + 1
            if fault:
                count[errno.errorcode[code] if code else "no error"] += 1
            if number > MOST:
                raise Failed(f"{self.name()}: there is no end of faults")
        told = ", ".join(f"{n} {what}" for what, n in sorted(count.items()))
        there = faults.there_were(number)
        of = f" of {there}, EVSTREAM_SEED={SEED}" if stride > 1 and there else ""
        print(f"# {self.name()}: {sum(count.values())} faults{of}: {told or 'none'}"
              f" ({time.monotonic() - begun:.1f} s)", flush=True)
        if sum(count.values()) < self.least:
            raise Failed(f"{self.name()}: too little can fail, not {self.least} times")

    def name(self):
        return type(self).__name__


class Request(Operation):
    """A request by netlink, of the topic NAME where it is of one."""

    NAME = None

    def __init__(self):
        self.nl = nl.Netlink()
        self.users = module_users()

    def ask(self, cmd, attrs=b""):
        answer = self.nl.ask(cmd, (nl.text(nl.NAME, self.NAME) if self.NAME else b"") + attrs)
        if answer.errno:
            raise OSError(answer.errno, answer.message)
        return answer.replies

    def there(self):
        return self.NAME in self.nl.topics()

    def absent(self):
        ok(not self.there(), "there is no such topic")
        ok(not os.path.exists(f"/dev/stream/{self.NAME}"), "and it has no nodes")
        eq(module_users(), self.users, "users of the module")


class Deletion(Request):
    """Deleting takes memory, too, for telling of it: but it does not need it."""

    def act(self):
        return self.ask(nl.DEL)

    def failed(self, error):
        raise Failed("a topic that cannot be deleted")


def module_users():
    return int(take("/sys/module/evstream/refcnt"))


def main():
    """The caller's tests, where anything can be made to fail."""
    try:
        Faults()
    except Skip as why:
        print(f"TAP version 13\n1..0 # SKIP {why}")
        sys.exit(4)
    # Each operation is done for all that can fail of it.
    evstest.PATIENCE = 600
    evstest.main()
