#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""No byte that can be read is the kernel's own, or of another topic.

Free memory, pages and small objects, is filled with a pattern, and with the records of
a topic that is deleted then. Whatever is made of it after that is looked at to the last
byte: structures, buffers, mappings, messages, files.
"""
import array
import contextlib
import ctypes
import fcntl
import mmap
import os
import re
import socket
import struct
import threading

import evgroup as g
import evstest as t
import evnetlink as nl
from evdisk import Disk
from evstest import Durable, Failed, Topic, eq, kafka, ok

MIB = 1 << 20
PAGE = 4096
# Of four bytes: so that of any four neighbours it can be told.
UNIT = b"\xc5\xa7\xe1\x9d"
FOREIGN = b"\xb6\xd3\x97\xf8"
OWN = b"This is our own."
# What the caller's memory holds before a call.
SENTINEL = 0x5A
CTL, LOG = 0, 1 << 32
# GROUP_GET, MEMBER_GET, GROUP_OFFSET_GET
DUMPED = (12, 15, 16)
BATCH_HEADER = struct.Struct(">qiibIhiqqqhii")

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_int64]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


# ------------------------------------------------------------------- poisoning


def poison_pages(size):
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        block = UNIT * (MIB // len(UNIT))
        for at in range(0, size, MIB):
            memory[at : at + MIB] = block


def poison_objects():
    """Of every size, of accounted memory and of other: extended attributes and sockets."""
    sizes = [16, 40, 72, 104, 136, 200, 300, 450, 700, 970, 1500, 2000, 3000, 4000, 8000]
    path = f"/dev/shm/canary-{os.getpid()}"
    with open(path, "wb") as file:
        for n, size in enumerate(sizes * 20):
            os.setxattr(file.fileno(), f"trusted.c{n}", (UNIT * size)[:size])
    os.unlink(path)
    with contextlib.ExitStack() as stack:
        for size in sizes:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            for end in pair:
                stack.callback(end.close)
                end.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(60):
                    pair[0].send((UNIT * size)[:size])
        for _ in range(40):
            ends = os.pipe()
            for end in ends:
                stack.callback(os.close, end)
                os.set_blocking(end, False)
            with contextlib.suppress(BlockingIOError):
                os.write(ends[1], UNIT * (65536 // len(UNIT)))


def poison_records():
    """Those of a topic that is gone."""
    topic = Topic("--ring", "8M", "-p", "2")
    for p in range(2):
        fd = topic.open(p)
        for _ in range(12):
            os.write(fd, FOREIGN * (500000 // len(FOREIGN)))
        for size in (10, 100, 1000):
            t.append(fd, [{"key": FOREIGN * 3, "value": FOREIGN * size}] * 50)
    topic.close()


def poison(size=24 * MIB):
    with open("/proc/cmdline", encoding="ascii") as file:
        if "init_on_alloc=0" not in file.read().split():
            raise t.Skip("this kernel zeroes what it allocates")
    poison_records()
    poison_pages(size)
    poison_objects()


# ------------------------------------------------------------------- searching


def rotations(unit):
    return [unit[n:] + unit[:n] for n in range(len(unit))]


STRANGE = re.compile(b"|".join(re.escape(r) for r in rotations(UNIT) + rotations(FOREIGN)))


def pointers(data):
    """Aligned words that are addresses of the kernel's."""
    words = array.array("Q", data[: len(data) & ~7])
    # What is not among them are small negative numbers, of 32 bits too.
    return [(8 * n, hex(w)) for n, w in enumerate(words)
            if 0xFFFF800000000000 <= w < 0xFFFFFF0000000000
            or 0xFFFFFFFF80000000 <= w < 0xFFFFFFFFFF000000]


def clean(data, what):
    """Neither pattern is in it, nor an address."""
    data = bytes(data)
    found = STRANGE.search(data)
    if found:
        raise Failed(f"{what}: at {found.start()} of {len(data)}: "
                     f"{data[max(found.start() - 16, 0) : found.start() + 32].hex()}")
    eq(pointers(data), [], what)


def zero(data, what):
    if data.count(0) != len(data):
        at = next(n for n, byte in enumerate(data) if byte)
        raise Failed(f"{what}: at {at} of {len(data)}: {bytes(data[at : at + 32]).hex()}")


def untouched(data, what):
    eq(bytes(data).count(SENTINEL), len(data), f"{what}: bytes that no result is in")


def own(value):
    """One of those that own_value() makes."""
    return value == (OWN * (len(value) // len(OWN) + 1))[: len(value)]


def own_value(size):
    return (OWN * (size // len(OWN) + 1))[:size]


def account(data, segment, what):
    """
    Log from a batch or the begin of a segment on: each byte is of a batch with our
    records, or 0. How many records, and how many holes.
    """
    at = records = holes = 0
    while at < len(data):
        room = segment - at % segment
        if room >= BATCH_HEADER.size:
            length = struct.unpack_from(">i", data, at + 8)[0] if at + 12 <= len(data) else 0
        else:
            length = 0
        if not length:
            zero(data[at : at + room], f"{what}: the rest of a segment, from {at}")
            at += room
            continue
        end = at + 12 + length
        ok(length >= 49 and end <= len(data), f"{what}: the batch at {at}")
        batch = data[at:end]
        (_, _, epoch, magic, _, attributes, _, _, _, producer, producer_epoch, sequence,
         count) = BATCH_HEADER.unpack_from(batch)
        eq((epoch, magic, producer, producer_epoch, sequence), (0, 2, -1, -1, -1),
           f"{what}: the header at {at}")
        ok(not attributes & ~0x28, f"{what}: the attributes at {at}")
        if count:
            for decoded in kafka.decode_batches(batch, check_crc=False):
                for r in decoded["records"]:
                    ok(own(r["value"]), f"{what}: a value at {at}: {r['value'][:64]}")
                    records += 1
        else:
            zero(batch[BATCH_HEADER.size :], f"{what}: the hole at {at}")
            holes += 1
        at = end
    return records, holes


# -------------------------------------------------------------------- mappings


class Map:
    """A mapping that is read past all faults."""

    def __init__(self, fd, offset, size):
        self.size = size
        self.at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, offset)
        if self.at == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap")
        self.memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
        Topic.stack.callback(self.close)

    def close(self):
        if self.at:
            libc.munmap(self.at, self.size)
            os.close(self.memory)
        self.at = None

    def read(self, begin, end):
        """The bytes, and None for a page that cannot be read."""
        pages = []
        for at in range(begin, end, PAGE):
            try:
                pages.append(os.pread(self.memory, PAGE, self.at + at))
            except OSError:
                pages.append(None)
        return pages


def below(pages, what):
    ok(None not in pages, f"{what}: all of it can be read")
    return b"".join(pages)


def beyond(pages, what):
    """At the end and behind it: nothing, or zeroes."""
    for n, page in enumerate(pages):
        if page is not None:
            zero(page, f"{what}: page {n} behind the end")


def look(topic, m, what, partition=0, start=None):
    """All of a partition's mapping: below the end accounted for, beyond it zeroes."""
    fd = topic.open(partition)
    st = t.stat(fd, partition)
    segment = 1 << st.segment_shift
    first = st.start_position if start is None else start
    last = st.end_position
    edge = (last + PAGE - 1) & ~(PAGE - 1)
    data = below(m.read(first & ~(PAGE - 1), edge), what)[first % PAGE :]
    # So that segments are where they are in the log.
    data = bytes(first % segment) + data if not first % segment else data
    found = account(data[: last - first], segment, what)
    zero(data[last - first :], f"{what}: behind the end")
    beyond(m.read(edge, m.size), what)
    return found


# ----------------------------------------------------------------------- tests


def test_the_search_finds():
    for strange in (UNIT, FOREIGN):
        for turned in rotations(strange * 4):
            fails_clean(b"\0" * 9 + turned[:5] + b"\0" * 9)
    for address in (0xFFFF888012345678, 0xFFFFFFFF81000000, 0xFFFFC90000000010,
                    0xFFFFFFFFC0A01000):
        fails_clean(struct.pack("=QQ", 0, address))
    clean(struct.pack("=qiiQ", -1, -22, 7, 1 << 61) + OWN, "what is no address")


def fails_clean(data):
    try:
        clean(data, "")
    except Failed:
        return
    raise Failed(f"not found: {data.hex()}")


def raw_ioctl(fd, struct_type, size, **fields):
    """An ioctl whose structure is of another size than ours: all of its bytes."""
    arg = struct_type(**fields)
    buf = (ctypes.c_char * size)()
    ctypes.memmove(buf, ctypes.byref(arg), ctypes.sizeof(arg))
    fcntl.ioctl(fd, t.code(struct_type, size), buf, True)
    return buf.raw


def sentinels(size):
    return ctypes.create_string_buffer(bytes([SENTINEL]) * size, size)


def test_structures():
    poison()
    topic = Topic("-p", "3", "--ring", "128K", "--segment", "64K", "--max-record", "10000")
    for p in range(3):
        for n in range(30):
            os.write(topic.open(p), own_value(n * 300))
    for what in ("any", 0):
        fd = topic.open(what)
        for struct_type, fields in ((t.Stat, {}), (t.Gap, {}), (t.Seek, {"whence": 1}),
                                    (t.Seek, {"whence": 3, "value": 5}),
                                    (t.Trim, {"offset": 3})):
            for more in (0, 8, 200):
                size = ctypes.sizeof(struct_type) + more
                data = raw_ioctl(fd, struct_type, size, **fields)
                clean(data, struct_type.__name__)
                zero(data[size - more :], f"{struct_type.__name__}: what it does not know")


def test_arrays_of_appends():
    poison()
    fd = Topic("-p", "3", "--max-record", "10000").open("any")
    stride, count = 128, 300
    value = ctypes.create_string_buffer(own_value(20000))
    buf = ctypes.create_string_buffer(stride * count)
    for n in range(count):
        r = t.Record.from_buffer(buf, n * stride)
        r.value, r.value_len, r.key_len = ctypes.addressof(value), 20000 if n % 7 == 3 else n, -1
        r.timestamp = -1
    eq(t.append_array(fd, buf, count, stride).appended, 257)
    results = b"".join(buf.raw[n * stride + 48 : (n + 1) * stride] for n in range(count))
    clean(results, "APPEND's results")
    for n in range(count):
        zero(buf.raw[n * stride + 64 : (n + 1) * stride], "behind a result")


def test_groups_structures():
    poison()
    topic = Topic("-p", "5")
    for p in range(5):
        for n in range(50):
            os.write(topic.open(p), own_value(n))
    fd = topic.open("any", os.O_RDWR | os.O_NONBLOCK)
    clean(bytes(g.join(fd, "g")), "JOIN")
    with contextlib.suppress(BlockingIOError):
        while True:
            os.read(fd, 100)
    entry, room = 80, 9
    buf = sentinels(entry * room)
    arg = g.Assignment(assigned=g.address(buf), room=room, entry_size=entry)
    t.ioctl(fd, arg)
    eq(arg.nr, 5)
    clean(buf.raw, "ASSIGNMENT's entries")
    for n in range(5):
        zero(buf.raw[n * entry + ctypes.sizeof(g.Assigned) : (n + 1) * entry], "behind an entry")
    untouched(buf.raw[5 * entry :], "ASSIGNMENT")
    clean(bytes(arg), "ASSIGNMENT")
    for p in range(5):
        clean(raw_ioctl(fd, g.Position, ctypes.sizeof(g.Position) + 64, partition=p), "POSITION")
    entries = (g.CommitEntry * 6)(*[g.CommitEntry(partition=p, offset=1) for p in range(6)])
    arg = g.Commit(entries=g.address(entries), nr_entries=6,
                   entry_size=ctypes.sizeof(g.CommitEntry))
    with contextlib.suppress(OSError):
        t.ioctl(fd, arg)
    eq(arg.committed, 5)
    clean(bytes(arg) + bytes(entries), "COMMIT")


def test_queues_structures():
    poison()
    topic = Topic("-p", "2")
    keyed = [{"key": own_value(5), "value": own_value(n), "headers": [(b"h", own_value(3))]}
             for n in range(20)]
    for p in range(2):
        t.append(topic.open(p), keyed)
    fd = topic.open("any", os.O_RDWR | os.O_NONBLOCK)
    clean(bytes(g.join(fd, "q", flags=g.JOIN_QUEUE)), "JOIN")
    stride, room = 120, 5000
    records, buf = sentinels(stride * 50), sentinels(room)
    arg = g.Acquire(records=g.address(records), buf=g.address(buf), nr_records=50,
                    record_size=stride, len=room)
    t.ioctl(fd, arg)
    ok(arg.nr >= 20, "records came")
    clean(records.raw + buf.raw + bytes(arg), "ACQUIRE")
    used = 0
    for n in range(arg.nr):
        a = g.Acquired.from_buffer_copy(records.raw, n * stride)
        zero(records.raw[n * stride + ctypes.sizeof(a) : (n + 1) * stride], "behind a record")
        used = max(used, a.value + max(a.value_len, 0), a.headers + a.headers_len)
    untouched(records.raw[arg.nr * stride :], "ACQUIRE's records")
    untouched(buf.raw[used:], "ACQUIRE's buffer")
    entries = (g.AckEntry * 3)(*[g.AckEntry(partition=p, first=0, last=3) for p in range(3)])
    arg = g.Ack(entries=g.address(entries), nr_entries=3, entry_size=ctypes.sizeof(g.AckEntry))
    with contextlib.suppress(OSError):
        t.ioctl(fd, arg)
    clean(bytes(arg) + bytes(entries), "ACK")


def test_buffers():
    poison()
    topic = Topic("-p", "2")
    fd = topic.open()
    sizes = [0, 1, 100, 4000, 5000, 70000, 300000, 1000000]
    for size in sizes:
        os.write(fd, own_value(size))
    for size in sizes:
        buf = bytearray([SENTINEL]) * (size + 9000)
        eq(os.readv(fd, [buf]), size)
        eq(bytes(buf[:size]), own_value(size))
        untouched(buf[size:], "read")
    buf = sentinels(4 * MIB)
    arg = t.Fetch(buf=ctypes.addressof(buf), len=len(buf), offset=0)
    t.ioctl(fd, arg)
    eq(account(buf.raw[: arg.bytes], len(buf), "FETCH"), (len(sizes), 0))
    untouched(buf.raw[arg.bytes :], "FETCH")
    clean(bytes(arg), "FETCH")
    # What goes through a pipe comes in pages of the kernel's own.
    for size in (1, 100, 4000, 5000, 60000):
        os.write(fd, own_value(size))
        inside, outside = os.pipe()
        os.splice(fd, outside, 65536)
        eq(os.read(inside, 1 << 20), own_value(size))
        os.close(inside)
        os.close(outside)


def test_control_page():
    poison()
    topic = Topic()
    fd = topic.open()
    for n in range(100):
        os.write(fd, own_value(n))
    m = Map(fd, CTL, PAGE)
    page = below(m.read(0, PAGE), "the control page")
    clean(page, "the control page")
    for begin, end in ((16, 64), (80, 128), (144, PAGE)):
        zero(page[begin:end], "what is no field of the control page")


def test_log():
    """Before and after it is mapped; small records and large ones; the tails of segments."""
    for when in ("before", "after", "both"):
        poison()
        topic = Topic("--segment", "1M", "--ring", "16M", "--max-record", "400K")
        fd = topic.open()

        def fill(fd=fd):
            for n in range(200):
                os.write(fd, own_value(n * 7))
            # They leave tails behind that nothing fits.
            for _ in range(8):
                os.write(fd, own_value(390000))
            t.append(fd, [{"value": own_value(n), "key": None} for n in range(300)])

        if when != "after":
            fill()
        m = Map(fd, LOG, 16 * MIB)
        look(topic, m, f"{when}: at first")
        if when != "before":
            fill()
        records, _ = look(topic, m, when)
        eq(records, t.end(fd))
        topic.close()
        m.close()


def test_folios_of_any_size():
    """Few bytes in what may be a large folio, mapped before or not."""
    poison()
    for size in (1, 3000, 5000, 20000, 70000, 250000, 300000):
        topic = Topic("--segment", "4M")
        fd = topic.open()
        os.write(fd, own_value(size))
        m = Map(fd, LOG, 4 * MIB)
        eq(look(topic, m, f"one record of {size}"), (1, 0))
        os.write(fd, own_value(size))
        eq(look(topic, m, f"two records of {size}"), (2, 0))
        topic.close()
        m.close()


def test_dropped():
    poison()
    topic = Topic("--segment", "256K", "--ring", "512K", "--max-record", "100K")
    fd = topic.open()
    m = Map(fd, LOG, 16 * MIB)
    for n in range(100):
        os.write(fd, own_value(90000 + n))
        if n % 10 == 5:
            poison_objects()
        if n % 10 == 7:
            start = t.stat(fd).start_position
            zero(below(m.read(0, start & ~(PAGE - 1)), "dropped"), "dropped")
    st = t.stat(fd)
    ok(st.start_position > 4 * MIB, "most are dropped")
    zero(below(m.read(0, st.start_position & ~(PAGE - 1)), "dropped"), "dropped")
    end = (st.end_position + PAGE - 1) & ~(PAGE - 1)
    beyond(m.read(end, m.size), "behind")
    # Also when it is gone.
    topic.delete()
    for page in m.read(0, m.size):
        if page is not None:
            zero(page, "deleted")


def torn(size):
    """Memory of which the second half is not there: its address."""
    at = libc.mmap(None, 2 * size, mmap.PROT_READ | mmap.PROT_WRITE,
                   mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    libc.munmap(at + size, size)
    ctypes.memmove(at, own_value(size), size)
    return at


def test_failed_fills():
    """What was reserved and not filled shows nothing: undone, or a hole."""
    poison()
    topic = Topic("--segment", "1M", "--ring", "16M", "--max-record", "200K")
    fd = topic.open()
    m = Map(fd, LOG, 16 * MIB)
    ends = threading.Event()
    libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]

    def faulty():
        at = torn(65536)
        while not ends.is_set():
            for begin, size in ((0, 131072), (65000, 1000), (61440, 8192)):
                eq(libc.write(fd, at + begin, size), -1)
        libc.munmap(at, 65536)

    threads = [threading.Thread(target=faulty) for _ in range(2)]
    for thread in threads:
        thread.start()
    written = 0
    try:
        for n in range(1000):
            os.write(fd, own_value(n))
            written += 1
            if t.stat(fd).end_position > 12 * MIB:
                break
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    holes = topic.partition()["holes"]
    found = look(topic, m, "failed fills")
    eq(found, (written, found[1]))
    ok(found[1] <= holes or not holes, "holes are counted")
    # An array that breaks off, and a batch that is refused.
    at = torn(PAGE)
    rec = (t.Record * 3)()
    for n, r in enumerate(rec):
        r.value, r.value_len, r.key_len = at if n != 1 else at + PAGE - 9, 100, -1
        r.timestamp = -1
    with contextlib.suppress(OSError):
        t.append_array(fd, rec)
    with contextlib.suppress(OSError):
        t.append_batch(fd, bytes(500))
    libc.munmap(at, PAGE)
    look(topic, m, "after them")


def test_lines():
    poison()
    topic = Topic("--framing", "line", "--segment", "1M")
    fd = topic.open()
    for n in range(60):
        os.write(fd, own_value(n * 40) + b"\n" + own_value(n))
        os.write(fd, b"\n" + own_value(n * 200) + b"\n")
    m = Map(fd, LOG, 2 * MIB)
    eq(look(topic, m, "lines"), (180, 0))
    buf = bytearray([SENTINEL]) * 100000
    got = os.readv(fd, [buf])
    clean(buf, "lines that are read")
    untouched(buf[got:], "lines that are read")


def test_compacted_by_trim():
    """What TRIM leaves of a batch is what was there."""
    poison()
    topic = Topic("--segment", "1M")
    fd = topic.open()
    for _ in range(3):
        t.append(fd, [{"value": own_value(1000)} for _ in range(500)])
    t.ioctl(fd, t.Trim(offset=700))
    m = Map(fd, LOG, 4 * MIB)
    st = t.stat(fd)
    eq(st.start_offset, 700)
    pages = m.read(0, st.end_position)
    clean(b"".join(p for p in pages if p), "a trimmed log")


def padding(data, what):
    """The bytes between attributes are 0."""
    while len(data) >= 4:
        length, _ = struct.unpack_from("=HH", data)
        ok(4 <= length <= len(data), f"{what}: an attribute")
        whole = (length + 3) & ~3
        zero(data[length:whole], f"{what}: padding")
        data = data[whole:]
    zero(data, f"{what}: the end")


class Reader(nl.Netlink):
    """Looks at all that comes."""

    def look(self, cmd, attrs, dump, what):
        self.sock.send(self.message(cmd, attrs, nl.REQUEST | nl.ACK | (nl.DUMP if dump else 0)))
        seen = 0
        while True:
            data = self.sock.recv(1 << 17)
            clean(data, what)
            while len(data) >= 16:
                length, kind, _, _, _ = struct.unpack_from("=IHHII", data)
                if kind in (nl.ERROR, nl.DONE):
                    return seen, -struct.unpack_from("=i", data, 16)[0]
                zero(data[18:20], f"{what}: reserved")
                padding(data[20:length], what)
                seen += 1
                zero(data[length : (length + 3) & ~3], f"{what}: between messages")
                data = data[(length + 3) & ~3 :]

    def events(self):
        self.sock.setblocking(False)
        seen = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self.sock.recv(1 << 17)
                clean(data, "an event")
                padding(data[20:], "an event")
                seen += 1
        return seen


def test_netlink():
    reader, listener = Reader(), Reader()
    for group in listener.groups.values():
        listener.sock.setsockopt(270, 1, group)
    poison()
    # Names of any length, for the padding behind them.
    topics = [Topic("-p", str(n), name=f"canary-{'x' * n}") for n in range(1, 9)]
    for n, topic in enumerate(topics):
        os.write(topic.open(), own_value(1000))
        for k in range(5):
            member = g.Member(topic, "g" * (n + k + 1), flags=g.JOIN_QUEUE if k == 4 else 0)
            if k % 2:
                member.leave()
        topic.set("mode=0644")
    poison(8 * MIB)
    # Replies and dumps: topics, partitions, groups, members, offsets.
    for cmd in (nl.GET, nl.PARTITION, *DUMPED):
        seen, err = reader.look(cmd, b"", True, f"a dump of {cmd}")
        eq((seen >= 8, err), (True, 0), f"a dump of {cmd}")
    for topic in topics:
        for cmd in (nl.GET, nl.PARTITION, *DUMPED):
            names = nl.text(nl.NAME if cmd == nl.GET else 1, topic.name)
            reader.look(cmd, names, False, f"an answer to {cmd}")
            reader.look(cmd, nl.text(1, topic.name) + nl.u32(2, 0), False, f"an answer to {cmd}")
        reader.look(nl.NEW, nl.text(nl.NAME, topic.name) + nl.u32(nl.PARTITIONS, 0), False,
                    "a refusal")
    for topic in topics:
        topic.close()
    ok(listener.events() > 40, "events came")


def readable_texts(topic):
    """Paths of all text there is about the module and a topic."""
    for top in ("/sys/class/evstream", "/sys/module/evstream"):
        for folder, _, names in os.walk(top, followlinks=False):
            yield from (os.path.join(folder, name) for name in names)
        for name in os.listdir(top):
            folder = os.path.join(top, name)
            if os.path.islink(folder) and os.path.isdir(folder):
                yield from (os.path.join(folder, x) for x in os.listdir(folder))
    for fd in topic.fds:
        yield f"/proc/self/fdinfo/{fd}"


def test_texts():
    """sysfs, fdinfo and the kernel log show nobody an address."""
    poison()
    topic = Topic("-p", "2", "--mode", "0666")
    for p in (0, 1, "any"):
        topic.open(p)
    g.Member(topic, "g")
    address = re.compile(rb"\b(0x)?ffff[89a-f][0-9a-f]{11}\b")
    read = []

    def nobody():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        for path in readable_texts(topic):
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                try:
                    data = os.read(fd, 65536)
                finally:
                    os.close(fd)
                clean(data, path)
                ok(not address.search(data), f"{path}: {data[:200]}")
                read.append(path)
        return len(read) > 10

    with t.child(nobody):
        pass
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            try:
                line = os.read(log, 8192)
            except BrokenPipeError:
                continue
            if b"evstream" in line:
                ok(not address.search(line), f"the kernel log: {line}")
    os.close(log)


def test_files():
    """Segments to the last byte, what is allocated ahead, indexes, snapshots, offsets."""
    disk = Disk.private(120 * MIB, "ext4")
    poison()
    topic = Durable(disk.place(), "--segment", "1M", "--max-record", "300K")
    fd = topic.open()
    at = torn(PAGE)
    for n in range(100):
        os.write(fd, own_value(n * 150))
        libc.write(fd, ctypes.c_void_p(at), ctypes.c_size_t(2 * PAGE))
        if n % 25 == 24:
            os.write(fd, own_value(290000))
            os.fsync(fd)
            poison_objects()
    libc.munmap(at, PAGE)
    for name in ("g", "other"):
        member = g.Member(topic, name)
        member.commit((0, 5))
        member.commit((0, 7), flags=g.COMMIT_SYNC)
    os.fsync(fd)
    m = Map(fd, LOG, 16 * MIB)
    look(topic, m, "a durable log")
    m.close()
    for when in ("attached", "detached"):
        seen = 0
        for folder, _, names in os.walk(topic.dir):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    data = file.read()
                clean_file(path, data, f"{when}: {name}")
                seen += 1
        ok(seen > 8, f"{when}: {seen} files")
        if when == "attached":
            topic.detach()
    topic.attach()
    m = Map(topic.open(), LOG, 16 * MIB)
    look(topic, m, "attached again")
    topic.delete()


def clean_file(path, data, what):
    if path.endswith(".log") and "evstream.offsets" not in path:
        account(data, MIB, what)
        return
    found = STRANGE.search(data)
    ok(not found, f"{what}: {data[found.start() - 16 : found.start() + 32] if found else ''}")
    # Big-endian numbers of other files can look like any address but these.
    ok(not re.search(rb"[\x80-\xff]\x88\xff\xff|\xff\xff\x88[\x80-\xff]", data), what)


if __name__ == "__main__":
    t.main()
