#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""kmod/batch.c, kmod/files.c and libevstream against an encoder and decoder of their own.

usage: test_reference.py BATCH_PEER [ROUNDS [SEED]]
"""
import os
import random
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kafka_ref as ref  # noqa: E402

MAX_RECORD = 1 << 20
S32_MAX = (1 << 31) - 1
S64_MAX = (1 << 63) - 1
SNAPSHOT = struct.Struct("<qhiqiq")
# Those without the transaction's.
SNAPSHOT_FIELDS = ref.SNAPSHOT_FIELDS[:6]


class Peer:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, request):
        self.process.stdin.write(request)
        self.process.stdin.flush()

    def read(self, size):
        data = self.process.stdout.read(size)
        if len(data) != size:
            raise RuntimeError("batch_peer died: %s" % self.process.wait())
        return data

    def number(self, form="<I"):
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]

    def bytes(self):
        length = self.number("<i")
        return None if length < 0 else self.read(length)

    @staticmethod
    def pack(data):
        return struct.pack("<i", -1) if data is None else struct.pack("<i", len(data)) + data

    def encode(self, records):
        request = [b"E", struct.pack("<I", len(records))]
        for record in records:
            request.append(struct.pack("<q", record["timestamp"]))
            request.append(self.pack(record["key"]))
            request.append(self.pack(record["value"]))
            request.append(struct.pack("<I", len(record["headers"])))
            for key, value in record["headers"]:
                request += [self.pack(key), self.pack(value)]
        self.ask(b"".join(request))
        return self.read(self.number())

    def decode(self, batch):
        self.ask(b"D" + struct.pack("<I", len(batch)) + batch)
        verdict = self.number("<i")
        records = []
        for _ in range(self.number()):
            record = {"offset": self.number("<q"), "timestamp": self.number("<q")}
            record["key"] = self.bytes()
            record["value"] = self.bytes()
            record["headers"] = []
            if verdict:
                # Headers that lie end the walk early: the stream would be lost.
                raise AssertionError("records of a batch that was refused")
            for _ in range(self.number()):
                key = self.bytes()
                record["headers"].append((key, self.bytes()))
            records.append(record)
        return verdict, records

    def verdict(self, batch):
        self.ask(b"V" + struct.pack("<I", len(batch)) + batch)
        return self.number("<i")

    def partition(self, key, partitions):
        self.ask(b"M" + struct.pack("<I", len(key)) + key + struct.pack("<I", partitions))
        return self.number()

    def crc(self, data):
        self.ask(b"C" + struct.pack("<I", len(data)) + data)
        return self.number()


    def index(self, kind, form, entries):
        self.ask(kind + struct.pack("<I", len(entries)))
        self.ask(b"".join(struct.pack(form, *entry) for entry in entries))
        return self.read(self.number())

    def encode_snapshot(self, entries):
        self.ask(b"P" + struct.pack("<I", len(entries)))
        for entry in entries:
            self.ask(SNAPSHOT.pack(*(entry[name] for name in SNAPSHOT_FIELDS)))
        return self.read(self.number())

    def decode_snapshot(self, data):
        self.ask(b"S" + struct.pack("<I", len(data)) + data)
        verdict = self.number("<i")
        entries = [SNAPSHOT.unpack(self.read(SNAPSHOT.size)) for _ in range(self.number())]
        return verdict, [dict(zip(SNAPSHOT_FIELDS, entry)) for entry in entries]


def some_bytes(rng, null=True):
    if null and rng.random() < 0.15:
        return None
    edge = rng.choice((0, 1, 5, 62, 63, 64, 65, 100, 127, 128, 300, 8190, 8192, 20000))
    return rng.randbytes(max(0, edge + rng.randint(-1, 1)) if rng.random() < 0.5 else edge % 200)


def some_records(rng, most=12):
    base = rng.choice((0, 1, 1700000000000, S64_MAX - 100000))
    spread = rng.choice((0, 1, 63, 64, 8191, 8192, 100000))
    return [
        {
            "timestamp": base + rng.randint(0, spread),
            "key": some_bytes(rng),
            "value": some_bytes(rng),
            "headers": [
                (some_bytes(rng, null=False)[:300], some_bytes(rng))
                for _ in range(rng.choice((0, 0, 0, 1, 2, 70)) if most > 3 else rng.randint(0, 2))
            ],
        }
        for _ in range(rng.randint(1, most))
    ]


def acceptable(batch):
    """What evs_batch_verify() has to say of a batch with any content."""
    try:
        (decoded,) = ref.decode_batches(batch)
    except (ref.Malformed, ValueError):
        return False
    if decoded["attributes"] & ~0x0F or decoded["count"] < 1:
        return False
    if decoded["base_timestamp"] < 0 or decoded["max_timestamp"] < 0:
        return False
    if decoded["last_offset_delta"] != decoded["count"] - 1:
        return False
    if decoded["codec"] != "none":
        return decoded["size"] - 61 <= MAX_RECORD
    newest = []
    at = 61
    for i, record in enumerate(decoded["records"]):
        if record["offset"] != decoded["base_offset"] + i:
            return False
        own, at = ref.decode_record(batch, at, 0, decoded["base_timestamp"])
        if not -S64_MAX - 1 <= own["timestamp"] <= S64_MAX:
            return False
        newest.append(own["timestamp"])
    return decoded["append_time"] or max(newest) == decoded["max_timestamp"]


def golden(peer, rng, rounds):
    record = {"timestamp": 1700000000000, "key": b"key", "value": b"value", "headers": []}
    assert ref.encode_batch([record], 42) == ref.GOLDEN
    batch = peer.encode([record])
    assert struct.pack(">q", 42) + batch[8:] == ref.GOLDEN
    assert peer.decode(ref.GOLDEN) == (0, [dict(record, offset=42)])


def encoders_agree(peer, rng, rounds):
    for _ in range(rounds):
        records = some_records(rng, rng.choice((3, 12, 150)))
        ours, theirs = peer.encode(records), ref.encode_batch(records)
        assert ours == theirs, (ours.hex(), theirs.hex())


def decoders_agree(peer, rng, rounds):
    for _ in range(rounds):
        records = some_records(rng)
        base = rng.choice((0, 42, 1 << 40, S64_MAX - 1000))
        kwargs = {}
        if rng.random() < 0.3:
            kwargs = {"attributes": ref.APPEND_TIME, "max_timestamp": rng.randint(0, S64_MAX)}
        batch = ref.encode_batch(records, base, **kwargs)
        (decoded,) = ref.decode_batches(batch)
        assert peer.decode(batch) == (0, decoded["records"])


def verdicts_agree(peer, rng, rounds):
    """Batches with bytes changed, then length and CRC made right."""
    taken = 0
    for _ in range(rounds * 20):
        records = some_records(rng, 3)
        for record in records:
            record["key"] = record["key"] and record["key"][:5]
            record["value"] = record["value"] and record["value"][:70]
            record["headers"] = [(k[:3], v and v[:3]) for k, v in record["headers"]]
        batch = bytearray(ref.encode_batch(records))
        for _ in range(rng.randint(0, 2)):
            at = rng.randrange(21, len(batch))
            kind = rng.random()
            if kind < 0.4:
                batch[at] = rng.choice((0, 1, 2, 3, 0x7F, 0x80, 0xFF, batch[at] ^ 1))
            elif kind < 0.7:
                batch[at] ^= 1 << rng.randrange(8)
            elif kind < 0.85 and at >= 61:
                batch[at:at] = rng.randbytes(rng.randint(1, 3))
            elif at >= 61:
                del batch[at : at + rng.randint(1, 3)]
        batch = ref.seal(batch)
        want = acceptable(batch)
        got = peer.verdict(batch)
        assert (got == 0) == want, (got, want, batch.hex())
        taken += want
        if want and not batch[22] & 7:
            assert peer.decode(batch)[1] == ref.decode_batches(batch)[0]["records"]
    print("# %d of %d taken" % (taken, rounds * 20))


def hashes_agree(peer, rng, rounds):
    for _ in range(rounds):
        key = rng.randbytes(rng.randint(0, 70))
        partitions = rng.randint(1, 4096)
        assert peer.partition(key, partitions) == ref.partition_for_key(key, partitions)
        assert peer.crc(key) == ref.crc32c(key)


def some_number(rng, least, most):
    edge = rng.choice((least, most, 0, rng.randint(least, most)))
    return min(max(edge + rng.randint(-1, 1), least), most)


def indexes_agree(peer, rng, rounds):
    for _ in range(rounds):
        n = rng.randint(0, 50)
        entries = [(some_number(rng, 0, S32_MAX), some_number(rng, 0, S32_MAX)) for _ in range(n)]
        data = peer.index(b"I", "<II", entries)
        assert data == ref.encode_index(entries)
        assert ref.decode_index(data) == entries
        entries = [
            (some_number(rng, -1, S64_MAX), some_number(rng, 0, S32_MAX)) for _ in range(n)
        ]
        data = peer.index(b"T", "<qI", entries)
        assert data == ref.encode_timeindex(entries)
        assert ref.decode_timeindex(data) == entries


def snapshots_agree(peer, rng, rounds):
    taken = 0
    for _ in range(rounds):
        entries = [
            {
                "producer_id": some_number(rng, 0, S64_MAX),
                "epoch": some_number(rng, -1, 32767),
                "last_sequence": some_number(rng, -1, S32_MAX),
                "last_offset": some_number(rng, -1, S64_MAX),
                "offset_delta": some_number(rng, 0, S32_MAX),
                "timestamp": some_number(rng, -1, S64_MAX),
            }
            for _ in range(rng.choice((0, 1, 2, 30)))
        ]
        data = peer.encode_snapshot(entries)
        assert data == ref.encode_snapshot(entries), data.hex()
        # Kafka's, of a producer with transactions.
        data = ref.encode_snapshot(
            [dict(e, coordinator_epoch=7, current_txn_first_offset=8) for e in entries]
        )
        assert peer.decode_snapshot(data) == (0, entries)
        for _ in range(10):
            data = bytearray(
                ref.encode_snapshot(
                    entries,
                    version=rng.choice((1,) * 9 + (0, 2, -1)),
                    count=rng.choice((None,) * 9 + (0, len(entries) + 1, -1, -(1 << 31))),
                    crc=rng.choice((None,) * 9 + (0,)),
                )
            )
            if rng.random() < 0.2:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            if rng.random() < 0.2:
                del data[rng.randrange(len(data)) :]
            try:
                decoded = ref.decode_snapshot(data)
                want = [{name: entry[name] for name in SNAPSHOT_FIELDS} for entry in decoded]
            except ref.Malformed:
                want = None
            verdict, got = peer.decode_snapshot(bytes(data))
            assert (verdict == 0) == (want is not None), (verdict, data.hex())
            assert got == (want or [])
            taken += want is not None
    print("# %d of %d taken" % (taken, rounds * 10))


TESTS = (
    golden,
    encoders_agree,
    decoders_agree,
    verdicts_agree,
    hashes_agree,
    indexes_agree,
    snapshots_agree,
)


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 150
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().getrandbits(32)
    print("TAP version 13\n1..%d\n# seed %d" % (len(TESTS), seed), flush=True)
    failed = False
    for i, test in enumerate(TESTS, 1):
        try:
            peer = Peer(sys.argv[1])
            test(peer, random.Random(seed + i), rounds)
            peer.process.stdin.close()
            if peer.process.wait():
                raise RuntimeError("batch_peer exits with %d" % peer.process.returncode)
            word = "ok"
        except Exception as error:  # whatever it is, the test failed
            print("# %s: %s" % (type(error).__name__, str(error)[:2000]))
            word = "not ok"
            failed = True
        print("%s %d - %s" % (word, i, test.__name__), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
