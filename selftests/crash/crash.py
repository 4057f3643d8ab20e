# SPDX-License-Identifier: GPL-2.0-only
"""What host and guest both know: marks (crash.h), and logs of a disk's writes."""
import collections
import mmap
import os
import struct

SECTOR = 512
MIB = 1 << 20
# The file system has the disk up to here; marks are behind it.
FS_SIZE = 319 * MIB
DISK_SIZE = 320 * MIB

PARTS = 3
# Of enum crash_producer.
DSYNC, APPEND, FSYNC, PLAIN, HONEST, LIAR, STAT = range(7)
# Marks of the one who makes and detaches topics.
MAKING, CREATED, DETACHED = 13, 14, 15

MARK = struct.Struct("<QHHIII24q")
MARK_MAGIC = 0x314B52414D455645
RECORD = struct.Struct("<QHHHHI")
RECORD_MAGIC = 0x3144524F43455645

Part = collections.namedtuple("Part", "acked offset written start durable end")
Mark = collections.namedtuple("Mark", "boot producer count parts")

_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = _n >> 1 ^ (0x82F63B78 if _n & 1 else 0)
    _TABLE.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def parse_mark(data):
    """The mark in a sector, or None."""
    magic, boot, producer, count, total, pad, *rest = MARK.unpack_from(data)
    if magic != MARK_MAGIC:
        return None
    if crc32c(MARK.pack(magic, boot, producer, count, 0, pad, *rest)) != total:
        return None
    parts = [Part(*rest[n : n + 6]) for n in range(0, 6 * PARTS, 6)]
    return Mark(boot, producer, count, parts)


def write_mark(device, boot, producer):
    """Mark that something was done."""
    fields = [MARK_MAGIC, boot, producer, 0, 0, 0, *[0] * 24]
    fields[4] = crc32c(MARK.pack(*fields))
    buf = mmap.mmap(-1, 4096)
    MARK.pack_into(buf, 0, *fields)
    fd = os.open(device, os.O_WRONLY | os.O_DIRECT)
    os.pwritev(fd, [memoryview(buf)[:SECTOR]], FS_SIZE + producer * 2 * SECTOR)
    os.close(fd)


def read_marks(device):
    """The newest mark of each producer."""
    newest = {}
    with open(device, "rb") as disk:
        disk.seek(FS_SIZE)
        area = disk.read(32 * SECTOR)
    for at in range(0, len(area), SECTOR):
        mark = parse_mark(area[at : at + SECTOR])
        if mark:
            old = newest.get(mark.producer)
            if not old or (mark.boot, mark.count) > (old.boot, old.count):
                newest[mark.producer] = mark
    return newest


class WriteLog:
    """What QEMU's blklogwrites, or dm-log-writes, left."""

    FLUSH, FUA, DISCARD, MARKED = 1, 2, 4, 8
    Entry = collections.namedtuple("Entry", "sector count flags at")

    def __init__(self, path):
        self.file = open(path, "rb")  # pylint: disable=consider-using-with
        magic, version, total, sector = struct.unpack("<QQQI", self.file.read(28))
        if magic != 0x6A736677736872 or version != 1 or sector != SECTOR:
            raise ValueError(f"{path} is no log of writes")
        self.entries = []
        at = SECTOR
        for _ in range(total):
            self.file.seek(at)
            where, count, flags, length = struct.unpack("<4Q", self.file.read(32))
            if flags > 15 or flags & self.MARKED and length > SECTOR - 32:
                raise ValueError(f"{path}: entry {len(self.entries)} is none")
            at += SECTOR
            self.entries.append(self.Entry(where, count, flags, at))
            if not flags & self.DISCARD:
                at += count * SECTOR

    def data(self, entry):
        if entry.flags & self.DISCARD:
            return bytes(entry.count * SECTOR)
        return os.pread(self.file.fileno(), entry.count * SECTOR, entry.at)


def data_extents(path):
    """Where a sparse file has data: (offset, length)."""
    found = []
    with open(path, "rb") as file:
        fd, at = file.fileno(), 0
        while True:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                return found
            end = os.lseek(fd, at, os.SEEK_HOLE)
            found.append((at, end - at))
            at = end
