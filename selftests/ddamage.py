#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Directories of durable topics that were damaged while nobody looked.

Attach refuses and says why, or what can be read afterwards is right. EVS_SEEDS
says how many times damage is done at random.
"""
import contextlib
import errno
import os
import random
import shutil
import stat
import struct
import threading
import time
import zlib

import evdisk as d
import evstest as t
from evdisk import Durable
from evstest import Failed, Topic, eq, fails, kafka, must, ok

SEEDS = int(os.environ.get("EVS_SEEDS", "3"))
# Recent: producers are forgotten after a day.
T0 = (int(time.time()) - 3600) * 1000
RECORDS = 150
NAME = "hurt"
SLOT = 4096
SYS_openat = 257


def content(number):
    return b"%d:" % number * (100 + number * 37 % 700)


class Pristine:
    """A topic's directory, detached or as a crash would leave it; damage is done to copies."""

    made = {}

    def __init__(self, clean):
        self.clean = clean
        self.dir = f"/tmp/damage-{os.getpid()}-{clean}"
        os.mkdir(self.dir)
        must("topic", "create", NAME, "--dir", self.dir, "--segment", "64K", "--retention", "0",
             "--flush-interval", "0")
        fd = os.open(f"/dev/stream/{NAME}/0", os.O_RDWR)
        for number in range(0, RECORDS, 3):
            # One in three comes from a producer of whom there is a snapshot.
            t.append_batch(fd, kafka.encode_batch(
                [{"value": content(number), "timestamp": T0 + number * 1000}], producer_id=9,
                producer_epoch=0, base_sequence=number // 3))
            t.append(fd, [{"value": content(n), "key": b"k%d" % n, "timestamp": T0 + n * 1000}
                          for n in range(number + 1, number + 3)])
        os.fsync(fd)
        self.bytes = t.fetch_all(fd)
        if clean:
            must("topic", "detach", NAME)
        else:
            shutil.copytree(self.dir, f"{self.dir}.copy")
            must("topic", "detach", NAME)
            shutil.rmtree(self.dir)
            os.rename(f"{self.dir}.copy", self.dir)
        os.close(fd)
        batches = kafka.decode_batches(self.bytes)
        # The leader epoch is covered by nothing, and of use to nobody here.
        self.epochs = {b["at"] + i for b in batches for i in range(12, 16)}
        self.at = {record["offset"]: b["at"] for b in batches for record in b["records"]}

    @classmethod
    def get(cls, clean=True):
        if clean not in cls.made:
            cls.made[clean] = cls(clean)
        return cls.made[clean]

    def copy(self):
        """A copy to damage: its topic."""
        path = d.memory_place()
        shutil.rmtree(path)
        shutil.copytree(self.dir, path)
        return Copy(path)

    def same(self, data, offset):
        """FETCHed bytes are the log's own from an offset on."""
        at = self.at[offset]
        if data == self.bytes[at : at + len(data)]:
            return True
        return all(a == b or at + i in self.epochs
                   for i, (a, b) in enumerate(zip(data, self.bytes[at:])))


class Copy(Durable):
    """A damaged topic."""

    def __init__(self, path):  # pylint: disable=super-init-not-called
        self.name = NAME
        self.dir = path
        self.there = False
        self.fds = []
        Topic.stack.callback(self.close)

    def segments(self):
        return [name[:20] for name in self.logs()]

    def file(self, name):
        return f"{self.part()}/{name}"

    def size(self, name):
        return os.path.getsize(self.file(name))

    def config(self):
        return f"{self.dir}/{NAME}.evstream"

    def one(self, which):
        """A file of that kind."""
        return {"log": self.file(self.logs()[0]), "config": self.config(),
                "index": self.file(self.segments()[0] + ".index"),
                "checkpoint": self.file("evstream.checkpoint")}[which]

    def try_attach(self):
        """Whether it could be attached; else it was refused, with words."""
        status, _, err = d.streamctl("topic", "attach", self.dir, self.name)
        self.there = not status
        if status:
            eq(status, 2, err.decode())
            ok(err.strip(), "it says why")
            ok(NAME not in t.topics(), "it is not there")
        return self.there


def edit(path, change):
    """Change a file's bytes in place."""
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        change(data)
        file.seek(0)
        file.truncate()
        file.write(data)


def flip(path, below=None):
    """Other bits at one to three places: where."""
    places = []

    def change(data):
        for _ in range(random.choice((1, 1, 2, 3))):
            place = random.randrange(min(len(data), below or len(data)))
            data[place] ^= random.randrange(1, 256)
            places.append(place)

    edit(path, change)
    return places


def overwrite(path):
    """A stretch of something else, as a lost or misdirected write leaves it."""

    def change(data):
        place = random.randrange(len(data)) & ~511
        size = min(random.choice((512, 4096, 8192)), len(data) - place)
        other = random.randrange(len(data) - size + 1)
        new = random.choice((bytes(size), random.randbytes(size), data[other : other + size]))
        data[place : place + size] = new

    edit(path, change)


def cut(path, below=None):
    os.truncate(path, random.randrange(below or os.path.getsize(path)))


def check(topic, pristine, exact=False, hidden=0):
    """All that can be read is right: how many records cannot, and where the log ends.

    hidden: records that an error keeps from who reads in a row, at the most
    """
    fd = topic.open(flags=os.O_RDWR | os.O_NONBLOCK)
    s = t.stat(fd)
    ok(0 <= s.start_offset <= s.end_offset <= RECORDS, f"{s.start_offset} to {s.end_offset}")
    bad = 0
    for offset in range(s.start_offset, s.end_offset):
        try:
            seen = os.pread(fd, 1 << 17, offset)
        except OSError as error:
            eq(error.errno, errno.EIO, f"offset {offset}")
            bad += 1
            fails(errno.EIO, fetch_one, fd, offset)
            continue
        eq(seen, content(offset), f"offset {offset}")
    # In a row: the position stays where it was, and goes on behind.
    os.lseek(fd, s.start_offset, os.SEEK_SET)
    at, also_bad = s.start_offset, 0
    while at < s.end_offset:
        try:
            eq(os.read(fd, 1 << 17), content(at), f"offset {at} in a row")
        except OSError as error:
            eq(error.errno, errno.EIO, f"offset {at} in a row")
            also_bad += 1
            eq(os.lseek(fd, 0, os.SEEK_CUR), at)
            os.lseek(fd, at + 1, os.SEEK_SET)
        at += 1
    ok(bad <= also_bad <= bad + hidden, f"{bad} cannot be read, or {also_bad}")
    at = s.start_offset
    while at < s.end_offset:
        try:
            a, data = t.fetch_raw(fd, room=random.choice((20000, 200000)), offset=at)
        except OSError as error:
            eq(error.errno, errno.EIO, f"FETCH of {at}")
            at += 1
            continue
        ok(data and a.next_offset > at, f"FETCH of {at}")
        ok(pristine.same(data, struct.unpack_from(">q", data)[0]), f"the bytes of FETCH at {at}")
        at = a.next_offset
    for number in random.sample(range(RECORDS), 12):
        try:
            found = t.ioctl(fd, t.Seek(whence=t.Seek.TIMESTAMP, value=T0 + number * 1000)).offset
        except OSError as error:
            eq(error.errno, errno.EIO)
            ok(not exact, "a time")
            continue
        if exact or not bad:
            eq(found, max(s.start_offset, min(number, s.end_offset)), f"the time of {number}")
    if exact:
        eq((s.start_offset, s.end_offset, bad), (0, RECORDS, 0))
    return bad, s.end_offset


def fetch_one(fd, offset):
    """Just the batch that holds an offset."""
    try:
        return t.fetch_raw(fd, room=1, offset=offset)
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
    return None


def goes_on(topic):
    """It takes records, keeps them, and is the same the next time."""
    fd = topic.open()
    at = t.end(fd)
    os.write(fd, b"after")
    os.fsync(fd)
    topic.reattach()
    fd = topic.open()
    eq(t.end(fd), at + 1)
    eq(os.pread(fd, 100, at), b"after")


def each(clean, damage, exact=False):
    """Damage copies and look at them: (attached, records that cannot be read) of each."""
    results = []
    pristine = Pristine.get(clean)
    for seed in range(SEEDS):
        with contextlib.ExitStack() as stack:
            outer, Topic.stack = Topic.stack, stack
            random.seed(seed * 2 + clean)
            topic = pristine.copy()
            try:
                what = damage(topic)
                if topic.try_attach():
                    bad, end = check(topic, pristine, exact)
                    if end < RECORDS:
                        ok(what == "cut" or topic.partition().get("cut_bytes"), "it says what it cut")
                    if not seed % 4:
                        goes_on(topic)
                    results.append((bad, end))
                else:
                    ok(not exact, "it can be attached")
                    results.append(None)
            except (Failed, OSError) as why:
                raise Failed(f"seed {seed}, {what}: {why}") from why
            finally:
                Topic.stack = outer
    return results


def noticed(results):
    """None of it went by as if nothing had been."""
    for seed, result in enumerate(results):
        ok(result is None or result[0] or result[1] < RECORDS, f"seed {seed}: nobody noticed")


def flip_log(topic, name, below=None):
    """Bits of batches, not of what nothing covers."""
    pristine = Pristine.get()
    base = pristine.at[int(name[:20])]
    before = open(topic.file(name), "rb").read()
    while True:
        places = flip(topic.file(name), below)
        if not any(base + place in pristine.epochs for place in places):
            return places
        with open(topic.file(name), "wb") as file:
            file.write(before)


def test_untouched():
    for clean in (True, False):
        topic = Pristine.get(clean).copy()
        ok(len(topic.segments()) >= 3, f"segments: {topic.segments()}")
        topic.attach()
        check(topic, Pristine.get(clean), exact=True)
        ok("cut_bytes" not in topic.partition(), "nothing was cut")
        goes_on(topic)
        topic.detach()


def test_bits_of_a_sealed_segment():
    noticed(each(True, lambda topic: flip_log(topic, topic.logs()[random.randrange(2)])))


def test_bits_of_a_sealed_segment_after_a_crash():
    noticed(each(False, lambda topic: flip_log(topic, topic.logs()[random.randrange(2)])))


def last_batches(topic):
    """Bytes of the last segment that batches have."""
    pristine = Pristine.get()
    return len(pristine.bytes) - pristine.at[int(topic.segments()[-1])]


def test_bits_of_the_last_segment():
    noticed(each(True, lambda topic: flip_log(topic, topic.logs()[-1], last_batches(topic))))


def test_bits_of_the_last_segment_after_a_crash():
    results = each(False, lambda topic: flip_log(topic, topic.logs()[-1], last_batches(topic)))
    noticed(results)
    ok(any(result and result[1] < RECORDS for result in results), "some of it was cut")


def index(topic):
    name = random.choice(topic.segments()) + random.choice((".index", ".timeindex"))
    return topic.file(name)


def test_indexes_are_not_trusted():
    for clean in (True, False):
        def damage(topic):
            path = index(topic)
            if not os.path.exists(path) or not os.path.getsize(path):
                return f"no {path}"
            random.choice((flip, flip, overwrite, cut))(path)
            return path

        each(clean, damage, exact=True)


def test_indexes_of_another():
    def damage(topic):
        names = topic.segments()
        ending = random.choice((".index", ".timeindex"))
        one, other = random.sample(names, 2)
        shutil.copy(topic.file(one + ending), topic.file(other + ending))
        return one, other, ending

    each(True, damage, exact=True)


def test_snapshot_damaged():
    """It is as if there were none: what can be read of its producers counts."""
    pristine = Pristine.get()
    for how in (flip, cut, flip, overwrite):
        topic = pristine.copy()
        names = [name for name in os.listdir(topic.part()) if name.endswith(".snapshot")]
        ok(names, "there is one")
        for name in names:
            how(topic.file(name))
        topic.attach()
        check(topic, pristine, exact=True)
        again = kafka.encode_batch([{"value": b"again", "timestamp": T0}], producer_id=9,
                                   producer_epoch=0, base_sequence=(RECORDS - 1) // 3)
        eq(t.append_batch(topic.open(), again), (RECORDS - 1) // 3 * 3, "its last is known")
        topic.detach()


def test_snapshot_of_what_is_not_there():
    """A producer's batch that is known, at offsets that no record will ever have."""
    topic = Durable(d.memory_place())
    now = int(time.time() * 1000)

    def send(epoch, sequence):
        return t.append_batch(topic.open(), kafka.encode_batch(
            [{"value": b"once", "timestamp": now}], producer_id=9, producer_epoch=epoch,
            base_sequence=sequence))

    def beyond(data):
        struct.pack_into(">q", data, 10 + 14, 1 << 60)
        struct.pack_into(">I", data, 2, kafka.crc32c(bytes(data[6:])))

    eq([send(0, sequence) for sequence in (0, 1)], [0, 1])
    topic.detach()
    snapshots = [name for name in os.listdir(topic.part()) if name.endswith(".snapshot")]
    ok(snapshots, "there is one")
    for name in snapshots:
        edit(f"{topic.part()}/{name}", beyond)
    topic.attach()
    # The producer's epoch is known, and none of its batches.
    fails(errno.EILSEQ, send, 0, 1)
    eq(send(1, 0), 2)


def test_missing_indexes():
    topic = Pristine.get().copy()
    for name in os.listdir(topic.part()):
        if name.endswith("index"):
            os.unlink(topic.file(name))
    topic.attach()
    check(topic, Pristine.get(), exact=True)
    topic.detach()
    for name in topic.segments():
        ok(topic.size(name + ".index") and topic.size(name + ".timeindex"), "they are made again")


def test_the_small_files():
    for clean in (True, False):
        def damage(topic):
            paths = [topic.file(name) for name in os.listdir(topic.part())
                     if not name.endswith((".log", "index"))]
            path = random.choice(sorted(paths) + [topic.config()])
            if os.path.getsize(path):
                random.choice((flip, flip, flip, cut))(path)
            return "cut", path

        for result in each(clean, damage):
            if result:
                eq(result[0], 0, "records are not concerned")


def test_segments_cut():
    for clean in (True, False):
        def damage(topic):
            name = random.choice(topic.logs())
            # Room that is reserved behind the last batch is nothing.
            cut(topic.file(name), last_batches(topic) if name == topic.logs()[-1] else None)
            return "cut"

        noticed(each(clean, damage))


def test_segments_overwritten():
    for clean in (True, False):
        def damage(topic):
            name = random.choice(topic.logs())
            overwrite(topic.file(name))
            return "cut"

        each(clean, damage)


def test_something_behind_the_end():
    for what in (b"x", b"\0" * 5, b"\0" * 5000, b"garbage" * 1000, kafka.GOLDEN,
                 kafka.encode_batch([{"value": b"later"}], RECORDS + 5)):
        for last in (True, False):
            topic = Pristine.get().copy()
            with open(topic.file(topic.logs()[-1 if last else 0]), "ab") as file:
                file.write(what)
            if topic.try_attach():
                check(topic, Pristine.get(), exact=True, hidden=not last)
                goes_on(topic)
                topic.detach()
            else:
                ok(not last, "the last segment's tail can be cut")
            shutil.rmtree(topic.dir)


def test_a_segment_more():
    """Empty ones, one that is twice there, one from the middle of another."""
    pristine = Pristine.get()
    names = pristine.copy().segments()

    def empty(topic, base):
        open(topic.file(f"{base:020}.log"), "xb").close()

    def twice(topic, base):
        shutil.copy(topic.file(names[0] + ".log"), topic.file(f"{base:020}.log"))

    def rest(topic, base):
        with open(topic.file(f"{base:020}.log"), "xb") as file:
            file.write(pristine.bytes[pristine.at[base] :])

    for make, base in ((empty, 5), (empty, RECORDS), (empty, RECORDS + 1), (empty, 1 << 62),
                       (twice, 5), (twice, RECORDS), (rest, int(names[1]) + 3), (rest, 9),
                       (rest, RECORDS - 3)):
        topic = pristine.copy()
        make(topic, base)
        if topic.try_attach():
            bad, _ = check(topic, pristine)
            eq(bad, 0, f"{make.__name__} {base}")
            topic.detach()
        shutil.rmtree(topic.dir)


def test_a_segment_less():
    for number in (0, 1, -1):
        topic = Pristine.get().copy()
        name = topic.segments()[number]
        for ending in (".log", ".index", ".timeindex"):
            os.unlink(topic.file(name + ending))
        if topic.try_attach():
            check(topic, Pristine.get())
            topic.detach()
        else:
            ok(number != 0, "the oldest may have gone by retention")
        shutil.rmtree(topic.dir)


def test_strangers():
    topic = Pristine.get().copy()
    for name in ("README", "00000000000000000007.log.deleted", "00000000000000000007.txnindex",
                 "0.log", "00000000000000000007.cleaned", "99999999999999999999.log",
                 "0000000000000000000x.log", ".hidden", "00000000000000000150.snapshot.tmp"):
        with open(topic.file(name), "xb") as file:
            file.write(random.randbytes(1000))
    os.mkdir(topic.file("folder"))
    topic.attach()
    check(topic, Pristine.get(), exact=True)
    topic.detach()
    ok({"README", ".hidden", "folder"} <= set(os.listdir(topic.part())), "what is not ours stays")


def test_files_that_are_none():
    """A segment, an index, the configuration: a folder, a pipe, a device, a link to nowhere."""
    kinds = {
        "folder": os.mkdir,
        "pipe": os.mkfifo,
        "device": lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5)),
        "link": lambda path: os.symlink("/nowhere", path),
    }
    pristine = Pristine.get()
    for kind, make in kinds.items():
        for which in ("log", "index", "config", "checkpoint"):
            topic = pristine.copy()
            path = topic.one(which)
            os.unlink(path)
            make(path)
            if topic.try_attach():
                ok(which != "log", f"a {kind} is no log")
                eq(check(topic, pristine)[0], 0, f"{kind} for {which}")
                topic.detach()
            shutil.rmtree(topic.dir)


def test_nothing_else_is_opened():
    """Whoever waits for a pipe's other end waits on: to open a device does something to it."""
    pristine = Pristine.get()
    for which in ("log", "index", "config", "checkpoint"):
        topic = pristine.copy()
        path = topic.one(which)
        os.unlink(path)
        os.mkfifo(path)
        other = threading.Thread(target=lambda: os.close(os.open(path, os.O_WRONLY)), daemon=True)
        other.start()
        ok(t.sleeps_in(other.native_id, SYS_openat), "it waits for a reader")
        there = topic.try_attach()
        ok(other.is_alive(), f"the {which} was opened")
        if there:
            topic.detach()
        ok(other.is_alive(), f"the {which} was opened")
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        other.join()
        shutil.rmtree(topic.dir)


def test_links():
    pristine = Pristine.get()
    topic = pristine.copy()
    other = d.memory_place()
    os.rename(topic.part(), f"{other}/elsewhere")
    os.symlink(f"{other}/elsewhere", topic.part())
    if topic.try_attach():
        check(topic, pristine, exact=True)
        topic.detach()


def test_in_use():
    pristine = Pristine.get()
    topic = pristine.copy()
    topic.attach()
    ok(os.strerror(errno.EEXIST) in d.refused("topic", "attach", topic.dir, NAME), "a second time")
    # The same files by another name.
    place = d.memory_place()
    os.symlink(topic.part(), f"{place}/other-0")
    d.refused("topic", "attach", place, "other")
    os.unlink(f"{place}/other-0")
    os.mkdir(f"{place}/other-0")
    d.run("mount", "--bind", topic.part(), f"{place}/other-0")
    Topic.stack.callback(d.run, "umount", f"{place}/other-0")
    text = d.refused("topic", "attach", place, "other")
    ok(os.strerror(errno.EBUSY) in text, text)
    # That did it no harm.
    check(topic, pristine, exact=True)
    goes_on(topic)
    topic.detach()
    # And once it is free, it is anybody's.
    must("topic", "attach", place, "other")
    must("topic", "detach", "other")


def slot_with(data, at, **changes):
    """A slot's text with other values, and the checksum that goes with it."""
    text = bytes(data[at : at + SLOT]).rstrip(b"\n\0")
    lines = text.split(b"\n")
    ok(lines[-1].startswith(b"checksum="), f"a slot: {lines}")
    body = b""
    for line in lines[:-1]:
        key, _, old = line.partition(b"=")
        body += key + b"=" + changes.get(key.decode(), old.decode()).encode() + b"\n"
    body += b"checksum=%08x" % kafka.crc32c(body)
    return body.ljust(SLOT, b"\n")


def test_a_newer_version():
    for which in ("config", "checkpoint"):
        topic = Pristine.get().copy()
        path = topic.config() if which == "config" else topic.file("evstream.checkpoint")

        def newer(data):
            for at in range(0, len(data), SLOT):
                if data[at : at + SLOT].strip(b"\n\0"):
                    data[at : at + SLOT] = slot_with(data, at, evstream="2")

        edit(path, newer)
        before = open(path, "rb").read()
        text = d.refused("topic", "attach", topic.dir, NAME)
        ok(os.strerror(errno.EPROTONOSUPPORT) in text, text)
        eq(open(path, "rb").read(), before, "it is left alone")
        shutil.rmtree(topic.dir)


def test_wrong_configurations():
    topic = Pristine.get().copy()
    for changes in ({"partitions": "0"}, {"partitions": "2"}, {"partitions": "99999999999"},
                    {"segment-size": "1"}, {"segment-size": "65537"}, {"segment-size": "-1"},
                    {"segment_size": "1"}, {"segment_size": "18446744073709551615"},
                    {"mode": "99999"}, {"max-record": "0"}, {"max_record": "4294967295"}):
        original = open(topic.config(), "rb").read()
        if f"\n{next(iter(changes))}=".encode() not in original:
            continue

        def change(data):
            for at in range(0, len(data), SLOT):
                if data[at : at + SLOT].strip(b"\n\0"):
                    data[at : at + SLOT] = slot_with(data, at, **changes)  # pylint: disable=W0640

        edit(topic.config(), change)
        text = d.refused("topic", "attach", topic.dir, NAME)
        ok(os.strerror(errno.EUCLEAN) in text, f"{changes}: {text}")
        with open(topic.config(), "wb") as file:
            file.write(original)
    topic.attach()
    check(topic, Pristine.get(), exact=True)


def test_a_missing_partition():
    place = d.memory_place()
    topic = Durable(place, "-p", "3")
    topic.detach()
    shutil.rmtree(topic.part(1))
    text = d.refused("topic", "attach", place, topic.name)
    ok(os.strerror(errno.EUCLEAN) in text, text)
    eq(t.topics(), {})


def test_old_message_formats():
    for magic in (0, 1):
        place = d.memory_place()
        os.mkdir(f"{place}/old-0")
        message = struct.pack(">bb", magic, 0) + (struct.pack(">q", T0) if magic else b"")
        message += struct.pack(">ii", -1, 5) + b"value"
        crc = zlib.crc32(message)
        with open(f"{place}/old-0/{0:020}.log", "wb") as file:
            for offset in range(10):
                file.write(struct.pack(">qiI", offset, len(message) + 4, crc) + message)
        text = d.refused("topic", "attach", place, "old")
        ok(os.strerror(errno.EPROTONOSUPPORT) in text, text)


def test_z_clean_up():
    for pristine in Pristine.made.values():
        shutil.rmtree(pristine.dir)


if __name__ == "__main__":
    t.main()
