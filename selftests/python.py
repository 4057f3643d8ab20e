#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Python reads and writes the devices with nothing but open()."""
import os

import evstest as t
from evstest import Topic, eq, ok


def test_records_unbuffered():
    topic = Topic()
    with open(topic.path(), "wb", buffering=0) as out:
        for i in range(100):
            value = b"record %d" % i
            eq(out.write(value), len(value))
    with open(topic.path(), "rb", buffering=0) as file:
        eq([file.read(100) for _ in range(100)], [b"record %d" % i for i in range(100)])


def test_read_and_write_with_one_file():
    topic = Topic()
    with open(topic.path(), "r+b", buffering=0) as file:
        file.write(b"a")
        file.write(b"bb")
        eq((file.read(9), file.read(9)), (b"a", b"bb"))


def test_seek_and_tell():
    topic = Topic()
    with open(topic.path(), "r+b", buffering=0) as file:
        for i in range(10):
            file.write(b"%d" % i)
        ok(file.seekable(), "a log is seekable")
        eq(file.seek(4), 4)
        eq(file.read(9), b"4")
        eq(file.tell(), 5)
        eq(file.seek(-1, os.SEEK_END), 9)
        eq(file.read(9), b"9")
        eq(file.seek(-8, os.SEEK_CUR), 2)
        eq(file.read(9), b"2")


def test_appending():
    topic = Topic()
    with open(topic.path("any"), "ab", buffering=0) as file:
        file.write(b"x")
    with open(topic.path("any"), "ab", buffering=0) as file:
        file.write(b"y")
    with open(topic.path(), "rb", buffering=0) as file:
        eq((file.read(1), file.read(1)), (b"x", b"y"))


def test_readinto():
    topic = Topic()
    with open(topic.path(), "r+b", buffering=0) as file:
        file.write(b"value")
        buf = bytearray(10)
        eq(file.readinto(buf), 5)
        eq(bytes(buf), b"value" + bytes(5))


def test_nonblocking_reads_are_none():
    topic = Topic()
    with open(topic.path(), "rb", buffering=0) as file:
        os.set_blocking(file.fileno(), False)
        eq(file.read(10), None)


def test_lines_as_text():
    topic = Topic("--framing", "line")
    lines = [f"line {i}: größer\n" for i in range(500)]
    with open(topic.path("any"), "w", encoding="utf-8") as out:
        out.writelines(lines)
    eq(t.end(topic.open()), 500)
    with open(topic.path(), encoding="utf-8") as file:
        eq([file.readline() for _ in range(500)], lines)


def test_print():
    topic = Topic("--framing", "line")
    with open(topic.path("any"), "w", encoding="utf-8") as out:
        print("hello", "world", file=out, flush=True)
        eq(t.end(topic.open()), 1)
        print("no newline", end="", file=out, flush=True)
        eq(t.end(topic.open()), 1)
    eq(t.end(topic.open()), 2)
    with open(topic.path(), "rb", buffering=0) as file:
        eq(file.read(100), b"hello world\nno newline\n")


def test_errors_are_pythons_own():
    topic = Topic("--max-record", "10")
    with open(topic.path(), "r+b", buffering=0) as file:
        for call, error in (
            (lambda: file.write(b"x" * 11), "Message too long"),
            (lambda: (file.write(b"12345"), file.read(2)), "Message too long"),
        ):
            try:
                call()
            except OSError as seen:
                eq(seen.strerror, error)
            else:
                raise t.Failed(f"no {error}")
        topic.delete()
        try:
            file.read(100)
        except OSError as seen:
            eq(seen.strerror, "No such device")
        else:
            raise t.Failed("reads of what was deleted")


if __name__ == "__main__":
    t.main()
