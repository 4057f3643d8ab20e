#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Logs of committed offsets that were damaged while nobody looked.

The topic can be attached and read, and what is found was committed at some time; or
nobody can join, and is told why. EVS_SEEDS says how many times damage is done at random.
"""
import contextlib
import errno
import os
import random
import shutil
import tempfile

import evdisk as d
import evgroup as g
import evstest as t
import goffsets as o
from evdisk import Durable
from evgroup import Member
from evstest import Failed, Topic, eq, ok

SEEDS = int(os.environ.get("EVS_SEEDS", "3"))


class Pristine:
    """A topic with many commits, of which there are copies to damage."""

    made = {}

    def __init__(self, clean):
        self.path = tempfile.mkdtemp(prefix="evs-", dir="/tmp")
        self.values = {}
        outer = Topic.stack
        with contextlib.ExitStack() as Topic.stack:
            self.fill(clean)
        Topic.stack = outer

    def fill(self, clean):
        topic = Durable(self.path, "--partitions", 4, "--retention", "0", "--flush-interval", "0",
                        name="hurt")
        o.fill(topic)
        # Long names, so that there are some segments.
        members = [Member(topic, f"g{n}{o.PADDING}") for n in range(3)]
        for m in members:
            for p in range(4):
                self.values[m.group, p] = {0}
        for number in range(1, 1000):
            for m in members:
                entries = [(p, (number * 7 + p) % 101) for p in range(4)]
                m.commit(*entries)
                for p, offset in entries:
                    self.values[m.group, p].add(offset)
        members[0].commit((0, 99), flags=g.COMMIT_SYNC)
        self.values[members[0].group, 0].add(99)
        ok(len(o.logs(topic.part())) > 2, "there are some segments")
        if not clean:
            shutil.copytree(self.path, f"{self.path}.copy")
        topic.detach()
        if not clean:
            shutil.rmtree(self.path)
            os.rename(f"{self.path}.copy", self.path)

    @classmethod
    def get(cls, clean):
        if clean not in cls.made:
            cls.made[clean] = cls(clean)
        return cls.made[clean]

    def copy(self):
        path = d.memory_place()
        shutil.rmtree(path)
        shutil.copytree(self.path, path)
        topic = Durable.__new__(Durable)
        topic.name, topic.dir, topic.fds, topic.there = "hurt", path, [], False
        Topic.stack.callback(topic.close)
        return topic


def each(clean, damage):
    """Damage copies: what is found was committed at some time, and it goes on."""
    for seed in range(SEEDS):
        with contextlib.ExitStack() as stack:
            outer, Topic.stack = Topic.stack, stack
            pristine = Pristine.get(clean)
            random.seed(seed * 2 + clean)
            topic = pristine.copy()
            try:
                what = damage(o.log_of(topic.part()))
                topic.attach()
                fd = topic.open()
                eq(os.read(fd, 100), b"0")
                look(topic, pristine)
            except (Failed, OSError) as why:
                raise Failed(f"clean {clean}, seed {seed}, {what}: {why}") from why
            finally:
                Topic.stack = outer


def look(topic, pristine):
    """-EUCLEAN: nobody can tell, and nobody makes it worse."""
    try:
        for (group, p), values in pristine.values.items():
            found = o.known(topic, group)
            ok(found is None or found[p] in values, f"{group} {p}: {found}")
        m = Member(topic, f"g0{o.PADDING}")
    except OSError as error:
        eq(error.errno, errno.EUCLEAN)
        topic.delete()
        eq(os.listdir(topic.dir), [], "what is left")
        return
    m.commit(*[(p, 50 + p) for p in range(4)])
    m.close()
    topic.reattach()
    eq(o.known(topic, m.group), [50, 51, 52, 53])


def flip(path, bits=8):
    """Bits of a file that are not the zeroes behind it."""
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        end = len(data.rstrip(b"\0")) or 1
        places = [random.randrange(end) for _ in range(random.randrange(1, bits))]
        for place in places:
            if place < len(data):
                data[place] ^= 1 << random.randrange(8)
        file.seek(0)
        file.write(data)
    return os.path.basename(path), places


def segments(path):
    return sorted(name for name in os.listdir(path) if name.endswith(".log"))


def test_damage_bits_of_the_first_segments():
    for clean in (True, False):
        each(clean, lambda path: flip(f"{path}/{random.choice(segments(path)[:-1])}"))


def test_damage_bits_of_the_last_segment():
    for clean in (True, False):
        each(clean, lambda path: flip(f"{path}/{segments(path)[-1]}"))


def test_damage_bits_of_any_file():
    for clean in (True, False):
        each(clean, lambda path: flip(f"{path}/{random.choice(os.listdir(path))}"))


def test_damage_cut():
    def cut(path):
        name = random.choice(os.listdir(path))
        size = os.stat(f"{path}/{name}").st_size
        to = random.randrange(size + 1)
        os.truncate(f"{path}/{name}", to)
        return name, size, to

    for clean in (True, False):
        each(clean, cut)


def test_damage_missing():
    def remove(path):
        name = random.choice(os.listdir(path))
        os.unlink(f"{path}/{name}")
        return name

    for clean in (True, False):
        each(clean, remove)


def test_damage_garbage():
    def overwrite(path):
        name = random.choice(segments(path))
        size = os.stat(f"{path}/{name}").st_size
        at = random.randrange(size)
        with open(f"{path}/{name}", "r+b") as file:
            file.seek(at)
            file.write(os.urandom(random.randrange(1, 65536)))
        return name, at

    for clean in (True, False):
        each(clean, overwrite)


def test_zz_nothing_is_left():
    for pristine in Pristine.made.values():
        shutil.rmtree(pristine.path, ignore_errors=True)


if __name__ == "__main__":
    t.main()
