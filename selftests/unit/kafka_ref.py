# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Apache Kafka's RecordBatch v2, indexes and producer snapshots, written from
their description.

An encoder and a decoder that share no line with kmod/, to check it by.
Records are dicts:

    key        bytes or None (default None)
    value      bytes or None (default None)
    timestamp  milliseconds (default 0)
    headers    list of (bytes, bytes or None) (default [])

decode_batches() adds to each its "offset".
"""
import struct

HEADER = struct.Struct(">qiibIhiqqqhii")  # 61 bytes
assert HEADER.size == 61
SNAPSHOT_ENTRY = struct.Struct(">qhiqiqiq")
SNAPSHOT_FIELDS = (
    "producer_id",
    "epoch",
    "last_sequence",
    "last_offset",
    "offset_delta",
    "timestamp",
    "coordinator_epoch",
    "current_txn_first_offset",
)

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20


class Malformed(ValueError):
    """The bytes are not what Kafka writes."""


def _crc_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC = _crc_table()


def crc32c(data, crc=0):
    """CRC-32C (Castagnoli) of bytes; crc: that of what comes before."""
    crc ^= 0xFFFFFFFF
    table = _CRC
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def murmur2(data):
    """Kafka's murmur2, as an unsigned number."""
    m = 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & 0xFFFFFFFF
    whole = len(data) & ~3
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = k * m & 0xFFFFFFFF
        k = (k ^ k >> 24) * m & 0xFFFFFFFF
        h = (h * m & 0xFFFFFFFF) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & 0xFFFFFFFF
    h = (h ^ h >> 13) * m & 0xFFFFFFFF
    return h ^ h >> 15


def partition_for_key(key, partitions):
    """Kafka's default partitioner."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def encode_varint(number):
    """Zigzag varint of a signed number of up to 64 bits."""
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(number)
    rest = 2 * number if number >= 0 else -2 * number - 1
    out = bytearray()
    while True:
        low = rest % 128
        rest //= 128
        if not rest:
            out.append(low)
            return bytes(out)
        out.append(low + 128)


def decode_varint(data, at, bits=32):
    """The number at data[at:] and where it ends."""
    rest = 0
    for i in range((bits + 6) // 7):
        if at + i >= len(data):
            raise Malformed("varint cut off")
        byte = data[at + i]
        rest += (byte % 128) * 128**i
        if byte < 128:
            if rest >= 1 << bits:
                raise Malformed("varint too large")
            return (-(rest + 1) // 2 if rest % 2 else rest // 2), at + i + 1
    raise Malformed("varint too long")


def _encode_bytes(data):
    if data is None:
        return encode_varint(-1)
    return encode_varint(len(data)) + bytes(data)


def _decode_bytes(data, at, null=True):
    length, at = decode_varint(data, at)
    if length == -1 and null:
        return None, at
    if length < 0 or at + length > len(data):
        raise Malformed("length %d" % length)
    return bytes(data[at : at + length]), at + length


def encode_headers(headers):
    """Headers as they lie in a record, without their count."""
    return b"".join(encode_varint(len(k)) + bytes(k) + _encode_bytes(v) for k, v in headers)


def encode_record(record, offset_delta, base_timestamp):
    """One record, with its length in front."""
    headers = record.get("headers", [])
    body = b"\0"
    body += encode_varint(record.get("timestamp", 0) - base_timestamp)
    body += encode_varint(offset_delta)
    body += _encode_bytes(record.get("key"))
    body += _encode_bytes(record.get("value"))
    body += encode_varint(len(headers))
    body += encode_headers(headers)
    return encode_varint(len(body)) + body


def seal(batch, length=True):
    """The batch with its length and CRC made right."""
    batch = bytearray(batch)
    if length:
        batch[8:12] = struct.pack(">i", len(batch) - 12)
    batch[17:21] = struct.pack(">I", crc32c(batch[21:]))
    return bytes(batch)


def encode_batch(
    records,
    base_offset=0,
    *,
    attributes=0,
    base_timestamp=None,
    max_timestamp=None,
    last_offset_delta=None,
    count=None,
    leader_epoch=0,
    magic=2,
    producer_id=-1,
    producer_epoch=-1,
    base_sequence=-1,
    body=None,
    crc=None,
):
    """A RecordBatch of records.

    Everything that follows from the records can be overridden, to build batches
    that lie. body: the bytes behind the header, as for a compressed batch.
    """
    times = [record.get("timestamp", 0) for record in records] or [0]
    if base_timestamp is None:
        base_timestamp = times[0]
    if max_timestamp is None:
        max_timestamp = max(times)
    if count is None:
        count = len(records)
    if last_offset_delta is None:
        last_offset_delta = count - 1
    if body is None:
        body = b"".join(
            encode_record(record, i, base_timestamp) for i, record in enumerate(records)
        )
    after_crc = struct.pack(
        ">hiqqqhii",
        attributes,
        last_offset_delta,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        count,
    )
    after_crc += body
    if crc is None:
        crc = crc32c(after_crc)
    after_length = struct.pack(">ibI", leader_epoch, magic, crc) + after_crc
    return struct.pack(">qi", base_offset, len(after_length)) + after_length


def decode_record(data, at, base_offset, base_timestamp):
    """The record at data[at:] and where it ends."""
    length, at = decode_varint(data, at)
    end = at + length
    if length < 0 or end > len(data):
        raise Malformed("record length %d" % length)
    data = data[:end]
    if at >= end:
        raise Malformed("record cut off")
    at += 1  # attributes
    delta, at = decode_varint(data, at, 64)
    offset_delta, at = decode_varint(data, at)
    key, at = _decode_bytes(data, at)
    value, at = _decode_bytes(data, at)
    n, at = decode_varint(data, at)
    if n < 0:
        raise Malformed("header count %d" % n)
    headers = []
    for _ in range(n):
        name, at = _decode_bytes(data, at, null=False)
        content, at = _decode_bytes(data, at)
        headers.append((name, content))
    if at != end:
        raise Malformed("%d bytes behind the record's headers" % (end - at))
    return {
        "offset": base_offset + offset_delta,
        "timestamp": base_timestamp + delta,
        "key": key,
        "value": value,
        "headers": headers,
    }, end


def decode_batches(data, *, check_crc=True, padding=False):
    """A list of the batches in data, as dicts.

    Keys: those of the header (base_offset, size, leader_epoch, magic, crc,
    attributes, last_offset_delta, base_timestamp, max_timestamp, producer_id,
    producer_epoch, base_sequence, count), at (where in data), control,
    append_time, codec (a name) and records (of uncompressed batches; of others
    the key "compressed" holds the bytes). padding: zeroes may follow the last
    batch, as in a segment that was preallocated.

    Raises Malformed where the bytes are anything else.
    """
    batches = []
    data = bytes(data)
    at = 0
    while at < len(data):
        if padding and not any(data[at : at + 12]):
            break
        if len(data) - at < HEADER.size:
            raise Malformed("%d bytes behind the last batch" % (len(data) - at))
        (
            base_offset,
            length,
            leader_epoch,
            magic,
            crc,
            attributes,
            last_offset_delta,
            base_timestamp,
            max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            count,
        ) = HEADER.unpack_from(data, at)
        size = length + 12
        if size < HEADER.size or at + size > len(data):
            raise Malformed("batch length %d at %d" % (length, at))
        if magic != 2:
            raise Malformed("magic %d at %d" % (magic, at))
        batch = data[at : at + size]
        if check_crc and crc != crc32c(batch[21:]):
            raise Malformed("CRC at %d" % at)
        if count < 0 or last_offset_delta < 0:
            raise Malformed("counts at %d" % at)
        if attributes & 7 >= len(CODECS):
            raise Malformed("codec at %d" % at)
        out = {
            "at": at,
            "base_offset": base_offset,
            "size": size,
            "leader_epoch": leader_epoch,
            "magic": magic,
            "crc": crc,
            "attributes": attributes,
            "last_offset_delta": last_offset_delta,
            "base_timestamp": base_timestamp,
            "max_timestamp": max_timestamp,
            "producer_id": producer_id,
            "producer_epoch": producer_epoch,
            "base_sequence": base_sequence,
            "count": count,
            "control": bool(attributes & CONTROL),
            "append_time": bool(attributes & APPEND_TIME),
            "codec": CODECS[attributes & 7],
            "records": [],
        }
        if attributes & 7:
            out["compressed"] = batch[HEADER.size :]
        elif count:
            where = HEADER.size
            for _ in range(count):
                record, where = decode_record(batch, where, base_offset, base_timestamp)
                if out["append_time"]:
                    record["timestamp"] = max_timestamp
                out["records"].append(record)
            if where != size:
                raise Malformed("%d bytes behind the last record" % (size - where))
        batches.append(out)
        at += size
    return batches


def records_of(batches):
    """The records that a consumer gets of decode_batches()' batches."""
    return [record for batch in batches if not batch["control"] for record in batch["records"]]


def encode_index(entries):
    """A .index file of (relative offset, position) pairs."""
    return b"".join(struct.pack(">ii", *entry) for entry in entries)


def decode_index(data):
    """The (relative offset, position) pairs of a .index file."""
    if len(data) % 8:
        raise Malformed("%d bytes of index" % len(data))
    return list(struct.iter_unpack(">ii", data))


def encode_timeindex(entries):
    """A .timeindex file of (timestamp, relative offset) pairs."""
    return b"".join(struct.pack(">qi", *entry) for entry in entries)


def decode_timeindex(data):
    """The (timestamp, relative offset) pairs of a .timeindex file."""
    if len(data) % 12:
        raise Malformed("%d bytes of time index" % len(data))
    return list(struct.iter_unpack(">qi", data))


def encode_snapshot(entries, *, version=1, count=None, crc=None):
    """A .snapshot file of dicts with SNAPSHOT_FIELDS; the last two may be missing."""
    body = struct.pack(">i", len(entries) if count is None else count)
    for entry in entries:
        body += SNAPSHOT_ENTRY.pack(*(entry.get(name, -1) for name in SNAPSHOT_FIELDS))
    return struct.pack(">hI", version, crc32c(body) if crc is None else crc) + body


def decode_snapshot(data):
    """The entries of a .snapshot file."""
    data = bytes(data)
    if len(data) < 10:
        raise Malformed("%d bytes of snapshot" % len(data))
    version, crc, count = struct.unpack_from(">hIi", data)
    if version != 1:
        raise Malformed("snapshot version %d" % version)
    if crc != crc32c(data[6:]):
        raise Malformed("CRC of the snapshot")
    if count < 0 or len(data) != 10 + count * SNAPSHOT_ENTRY.size:
        raise Malformed("%d entries in %d bytes of snapshot" % (count, len(data)))
    return [dict(zip(SNAPSHOT_FIELDS, e)) for e in SNAPSHOT_ENTRY.iter_unpack(data[10:])]


GOLDEN = bytes.fromhex(
    "000000000000002a000000400000000002db5e9cdd0000000000000000018bcfe568000000018bcfe56800"
    "ffffffffffffffffffffffffffff000000011c000000066b65790a76616c756500"
)
