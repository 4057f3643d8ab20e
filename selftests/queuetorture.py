#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Members of queues that are killed, stopped, leave, release and reject at random, while
producers write. What must be true is checked from outside: the logs that producers and
members kept of what they were told, and the dead-letter topic, are all that the checker
knows.

EVSTREAM_SEED chooses what is done (when, the machine chooses), and EVSTREAM_SECONDS for
how long each queue is tortured.
"""
import collections
import contextlib
import errno
import os
import random
import shutil
import signal
import tempfile
import time
import traceback

import evgroup as g
import evstest as t
from evstest import Topic, eq, kafka, ok

SEED = int(os.environ.get("EVSTREAM_SEED", "1"))
SECONDS = float(os.environ.get("EVSTREAM_SECONDS", "7"))
PARTITIONS = 4
PRODUCERS = 2
MEMBERS = 7
LOCK_MS = 300
DELIVERIES = 4
KEYS = 12
HOW = {g.ACCEPT: "accept", g.RELEASE: "release", g.REJECT: "reject", g.RENEW: "renew"}


class Log:
    """What one process says; it is kept when that dies."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def write(self, *lines):
        """Each line: a word, and what it is about; with the time."""
        now = time.monotonic_ns()
        text = "".join(f"{' '.join(map(str, line))} {now}\n" for line in lines)
        os.write(self.fd, text.encode())


# -------------------------------------------------------------------- processes


def producer(log, rng, topic, number):
    """sent PARTITION OFFSET KEY VALUE"""
    fd = topic.open("any", os.O_WRONLY)
    seq = 0
    while True:
        batch = []
        for _ in range(rng.randint(1, 6)):
            key = None if rng.random() < 0.3 else b"k%d" % rng.randrange(KEYS)
            batch.append({"key": key, "value": b"%d.%d" % (number, seq)})
            seq += 1
        array = t.append(fd, batch)
        log.write(*(
            ("sent", a.partition, a.offset, (r["key"] or b"-").decode(), r["value"].decode())
            for r, a in zip(batch, array)
        ))
        time.sleep(rng.random() * 0.02)


class Life:
    """A member: what it takes, and what it does to that."""

    def __init__(self, log, rng, topic, keyed, dead):
        self.log, self.rng, self.topic = log, rng, topic
        self.flags = g.JOIN_QUEUE | (g.JOIN_KEYED if keyed else 0)
        self.dead = dead.open("any", os.O_WRONLY)
        self.fd = -1

    def join(self):
        self.fd = self.topic.open("any", os.O_RDONLY)
        g.join(self.fd, "g", flags=self.flags, lock_ms=LOCK_MS, max_deliveries=DELIVERIES,
               dead_letter=self.dead)

    def settle(self, how, records):
        """try-HOW and then done-HOW or stale-HOW, PARTITION OFFSET DELIVERIES"""
        def lines(what):
            return [(f"{what}-{HOW[how]}", *r.at, r.deliveries) for r in records]

        self.log.write(*lines("try"))
        try:
            g.settle(self.fd, how, (records[0].partition, records[0].offset, records[-1].offset))
        except OSError as error:
            eq(error.errno, errno.ESTALE)
            self.log.write(*lines("stale"))
        else:
            self.log.write(*lines("done"))

    def runs(self, taken):
        """What is next to each other, in pieces."""
        run = []
        for r in taken:
            if run and (r.partition != run[0].partition or r.offset != run[-1].offset + 1 or
                        self.rng.random() < 0.4):
                yield run
                run = []
            run.append(r)
        if run:
            yield run

    def work(self):
        """took PARTITION OFFSET DELIVERIES KEY VALUE"""
        taken = g.acquire(self.fd, self.rng.choice((1, 3, 10, 40)), timeout=100)
        if not taken:
            return
        self.log.write(*(
            ("took", *r.at, r.deliveries, (r.key or b"-").decode(), r.value.decode())
            for r in taken
        ))
        runs = list(self.runs(taken))
        if self.rng.random() < 0.2:
            self.rng.shuffle(runs)
        for run in runs:
            what = self.rng.random()
            if what < 0.02:
                time.sleep(self.rng.random() * 2 * LOCK_MS / 1000)
            if what < 0.07:
                self.settle(g.RENEW, run)
            if what < 0.80:
                self.settle(g.ACCEPT, run)
            elif what < 0.90:
                self.settle(g.RELEASE, run)
            elif what < 0.93:
                self.settle(g.REJECT, run)
            # Else it forgets about them.

    def run(self):
        self.join()
        while True:
            self.work()
            what = self.rng.random()
            if what < 0.02:
                g.leave(self.fd)
                os.close(self.fd)
                self.join()
            elif what < 0.04:
                os.close(self.fd)
                self.join()


def spawn(function, *args):
    pid = os.fork()
    if pid:
        return pid
    try:
        function(*args)
    except BaseException:  # pylint: disable=broad-except
        with open(os.path.join(args[0], f"failed-{os.getpid()}"), "w", encoding="ascii") as file:
            traceback.print_exc(file=file)
    os._exit(1)


def run_producer(folder, topic, number):
    rng = random.Random(f"{SEED} producer {number}")
    producer(Log(os.path.join(folder, f"producer-{number}")), rng, topic, number)


def run_member(folder, topic, number, keyed, dead):
    rng = random.Random(f"{SEED} member {number}")
    Life(Log(os.path.join(folder, f"member-{number}")), rng, topic, keyed, dead).run()


class Torture:
    def __init__(self, keyed):
        self.rng = random.Random(f"{SEED} torture {keyed}")
        self.keyed = keyed
        self.topic = Topic("-p", PARTITIONS)
        self.dead = Topic("-p", 3)
        self.folder = tempfile.mkdtemp()
        Topic.stack.callback(shutil.rmtree, self.folder)
        self.alive = {}
        self.count = 0

    def start(self):
        args = self.folder, self.topic, self.count, self.keyed, self.dead
        self.alive[spawn(run_member, *args)] = None
        self.count += 1

    def end(self, pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.alive.pop(pid, None)

    def act(self):
        """Does something to somebody."""
        pid = self.rng.choice(sorted(self.alive))
        what = self.rng.random()
        if what < 0.5:
            self.end(pid)
            self.start()
        elif not self.alive[pid]:
            os.kill(pid, signal.SIGSTOP)
            self.alive[pid] = time.monotonic() + self.rng.random() * 3 * LOCK_MS / 1000
        time.sleep(self.rng.random() * 0.1)
        for stopped, until in self.alive.items():
            if until and time.monotonic() >= until:
                os.kill(stopped, signal.SIGCONT)
                self.alive[stopped] = None

    def run(self):
        producers = [spawn(run_producer, self.folder, self.topic, n) for n in range(PRODUCERS)]
        try:
            for _ in range(MEMBERS):
                self.start()
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                self.act()
        finally:
            # Stopped, so that what was appended is in their logs.
            for pid in producers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            for pid in list(self.alive):
                self.end(pid)
        failed = [f for f in os.listdir(self.folder) if f.startswith("failed-")]
        for name in failed:
            with open(os.path.join(self.folder, name), encoding="ascii") as file:
                print("".join(f"# {line}" for line in file))
        eq(failed, [])

    def drain(self):
        """The last member accepts all there is."""
        life = Life(Log(os.path.join(self.folder, "member-last")), self.rng, self.topic,
                    self.keyed, self.dead)
        life.join()
        fd = life.fd

        def settled():
            taken = g.acquire(fd, timeout=50)
            if taken:
                life.log.write(*(
                    ("took", *r.at, r.deliveries, (r.key or b"-").decode(), r.value.decode())
                    for r in taken
                ))
                for run in life.runs(taken):
                    life.settle(g.ACCEPT, run)
            at = [g.position(fd, p) for p in range(PARTITIONS)]
            return all(a.committed == a.end_offset for a in at)

        t.wait_for(settled, "all is settled")

    def letters(self):
        """What is in the dead-letter topic."""
        fd = self.dead.open("any", os.O_RDWR)
        found = []
        for p in range(3):
            found += kafka.records_of(kafka.decode_batches(t.fetch_all(fd, p)))
        return found


# ---------------------------------------------------------------------- the checker

Took = collections.namedtuple("Took", "deliveries key value time who")
Settle = collections.namedtuple("Settle", "what how deliveries time who")


class Seen:
    """All that is known of a record."""

    def __init__(self):
        self.key = self.value = None
        self.took, self.settles = [], []
        self.letter = None

    def done(self, how):
        return [s for s in self.settles if (s.what, s.how) == ("done", how)]

    def tried(self, how, who, deliveries):
        return min(s.time for s in self.settles
                   if (s.what, s.how, s.who, s.deliveries) == ("try", how, who, deliveries))

    def unknown(self):
        """Accepts of those that died before they could say what became of them."""
        known = {(s.who, s.deliveries, s.how) for s in self.settles if s.what != "try"}
        return [s for s in self.settles if s.what == "try" and s.how == "accept" and
                (s.who, s.deliveries, s.how) not in known]


def read_logs(folder):
    seen = collections.defaultdict(Seen)
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="ascii") as file:
            text = file.read()
        for line in text.split("\n")[:-1]:
            what, partition, offset, *rest, when = line.split(" ")
            r = seen[int(partition), int(offset)]
            if what == "sent":
                r.key, r.value = rest
            elif what == "took":
                r.took.append(Took(int(rest[0]), rest[1], rest[2], int(when), name))
            else:
                r.settles.append(Settle(*what.split("-"), int(rest[0]), int(when), name))
    return seen


def add_letters(seen, letters):
    for letter in letters:
        headers = dict(letter["headers"])
        at = int(headers[b"evstream.partition"]), int(headers[b"evstream.offset"])
        r = seen[at]
        ok(r.letter is None, f"{at} is a dead letter once")
        r.letter = headers
        eq(((letter["key"] or b"-").decode(), letter["value"].decode()), (r.key, r.value), at)


def check_record(at, r):
    """One record: handed out as often as it says, settled once, and not lost."""
    if r.value is None:
        # Its producer was killed before it could say so.
        ok(all(took.value == r.took[0].value for took in r.took), f"{at} is always the same")
    else:
        for took in r.took:
            eq((took.key, took.value), (r.key, r.value), f"{at} as it was sent")
    numbers = [took.deliveries for took in r.took]
    eq(len(set(numbers)), len(numbers), f"deliveries of {at} are counted: {numbers}")
    ok(all(1 <= n <= DELIVERIES for n in numbers), f"deliveries of {at}: {numbers}")
    accepted = r.done("accept")
    ok(len(accepted) <= 1, f"{at} is accepted once: {accepted}")
    # Nothing is done twice to what was taken once, but for renewing it.
    ends = [s.deliveries for s in r.settles if s.what == "done" and s.how != "renew"]
    eq(len(set(ends)), len(ends), f"{at} is settled once for each delivery")
    for s in accepted + r.done("reject"):
        ok(max(numbers) <= s.deliveries, f"{at} is not handed out again: {numbers} {s}")
    if r.letter:
        last = int(r.letter[b"evstream.deliveries"])
        ok(max(numbers, default=0) <= last, f"{at} was not handed out again: {numbers}, {last}")
        ok(not accepted, f"{at} is accepted or a dead letter")
        if r.letter[b"evstream.reason"] == b"rejected":
            ok(any((s.what, s.how, s.deliveries) == ("try", "reject", last) for s in r.settles),
               f"{at} was rejected")
        else:
            eq(last, DELIVERIES, f"{at}'s deliveries")
    else:
        ok(not r.done("reject"), f"{at} was rejected and is a dead letter")
        ok(accepted or r.unknown(), f"{at} is not lost: {r.took} {r.settles}")


def check_keys(seen):
    """What comes later of a key is handed out when what was before it is settled."""
    by_key = collections.defaultdict(list)
    for at, r in sorted(seen.items()):
        if r.key not in (None, "-"):
            by_key[at[0], r.key].append((at, r))
    checked = 0
    for records in by_key.values():
        for (_, before), (at, r) in zip(records, records[1:]):
            done = before.done("accept") or before.done("reject")
            if not done or not r.took:
                continue
            (s,) = done
            begun = before.tried(s.how, s.who, s.deliveries)
            ok(min(took.time for took in r.took) > begun, f"{at} waits for the one before it")
            checked += 1
    ok(checked, "there was something to check")


def check_holes(seen):
    """Of each partition all offsets are known."""
    for p in range(PARTITIONS):
        offsets = sorted(o for q, o in seen if q == p)
        eq(offsets, list(range(len(offsets))), f"offsets of {p}")


def torture(keyed):
    it = Torture(keyed)
    it.run()
    it.drain()
    seen = read_logs(it.folder)
    letters = it.letters()
    add_letters(seen, letters)
    check_holes(seen)
    for at, r in sorted(seen.items()):
        check_record(at, r)
    if keyed:
        check_keys(seen)
    again = sum(len(r.took) > 1 for r in seen.values())
    stale = sum(s.what == "stale" for r in seen.values() for s in r.settles)
    print(f"# {len(seen)} records, {again} handed out again, {len(letters)} dead letters, "
          f"{stale} settled too late, {it.count} members")
    for what, count in (("records", len(seen)), ("again", again), ("letters", len(letters))):
        ok(count, f"there were some: {what}")


def test_queue():
    torture(False)


def test_keyed_queue():
    torture(True)


if __name__ == "__main__":
    t.main()
