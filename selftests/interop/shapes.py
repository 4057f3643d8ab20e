# SPDX-License-Identifier: GPL-2.0-only
"""Records of many shapes, and how they lie in files between the programs here.

A record is a dict as kafka_ref has it: key, value, headers, timestamp. In a file it is
a line of JSON: p partition, o offset, t timestamp (null: not known), k key, v value (base64
or null), h headers (name and value by turns, in pairs).
"""
import base64
import json
import random
import time

# An hour ago: Kafka forgets producers whose records are older than a day.
T0 = int(time.time() - 3600) * 1000

NAMES = ("trace", "content-type", "", "größe", "a" * 40)


def b64(data):
    return None if data is None else base64.b64encode(data).decode()


def unb64(text):
    return None if text is None else base64.b64decode(text)


def as_json(record, partition=None, offset=None, **more):
    return {
        **({} if partition is None else {"p": partition}),
        **({} if offset is None else {"o": offset}),
        "t": record.get("timestamp"),
        "k": b64(record.get("key")),
        "v": b64(record.get("value")),
        "h": [[name.decode(), b64(value)] for name, value in record.get("headers", [])],
        **more,
    }


def save(path, lines):
    with open(path, "w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line) + "\n")


def load(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _text(rng, size):
    letters = "abcdefghijklmnopqrstuvwxyz 0123456789äß€𝄞"
    return "".join(rng.choices(letters, k=size)).encode()


def _noise(rng, size):
    # Without newlines: the dump of a log has a line for a record.
    return rng.randbytes(size).replace(b"\n", b"\0")


def one(rng, timestamp, largest=3000):
    """A record of some shape."""
    size = rng.choice((0, 1, 7, 63, 64, 100, 500, rng.randrange(largest)))
    value = rng.choice((_text, _text, _noise))(rng, size)
    record = {"timestamp": timestamp, "value": rng.choice((value,) * 7 + (None,))}
    if rng.random() < 0.6:
        record["key"] = rng.choice((b"", b"k", _text(rng, 12), b"customer-%d" % rng.randrange(20)))
    if rng.random() < 0.4:
        record["headers"] = [
            (rng.choice(NAMES).encode(), rng.choice((None, b"", b"text/plain", _noise(rng, 30))))
            for _ in range(rng.choice((1, 2, 5)))
        ]
    return record


def many(seed, count, *, start=T0, disorder=0, largest=3000):
    """Records, each 10 ms after the last, give or take the disorder."""
    rng = random.Random(seed)
    return [
        one(rng, start + 10 * i + (rng.randrange(disorder) if disorder else 0), largest)
        for i in range(count)
    ]
