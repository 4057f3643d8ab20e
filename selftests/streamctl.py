#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The tool: exit codes, JSON, produce and consume, monitor, the manual's examples."""
import base64
import json
import os
import signal
import subprocess
import time

import evstest as t
from evstest import Topic, eq, kafka, listening, must, ok, running, streamctl


def produced(topic, lines, *args):
    """produce, to succeed."""
    must("produce", topic.name, *args, data=lines)


def consumed(topic, *args):
    """consume to the end."""
    return must("consume", topic.name, "-e", *args)


def records(topic, *args):
    """consume as JSON."""
    out = must("-j", "consume", topic.name, "-e", *args)
    return [json.loads(line) for line in out.splitlines()]


def test_help_and_version():
    for args in (("-h",), ("--help",), ("help",), ("topic", "help"), ("topic", "create", "-h"),
                 ("produce", "--help"), ("consume", "-h"), ("monitor", "-h"), ("-V",), ("--version",)):
        status, out, err = streamctl(*args)
        eq((status, err), (0, b""), str(args))
        ok(out, f"{args}: it prints something")


def test_create_prints_nothing():
    eq(must("topic", "create", "quiet"), b"")
    eq(must("topic", "delete", "quiet"), b"")


def test_options_of_create():
    topic = Topic("-p", "2", "--segment", "128K", "--ring", "1M", "--max-record", "2K",
                  "--retention", "2h,512K", "--framing", "line", "--full", "fail",
                  "--owner", "1:2", "--mode", "0640")
    shown = topic.show()
    expected = {
        "name": topic.name, "partitions": 2, "segment_size": 128 << 10, "ring_size": 1 << 20,
        "max_record": 2048, "retention_ms": 7200000, "retention_bytes": 512 << 10,
        "framing": "line", "full_policy": "fail", "mode": "0640", "uid": 1, "gid": 2,
    }
    eq({k: shown[k] for k in expected}, expected)
    eq(len(shown["partition"]), 2)
    ok(abs(shown["created_ms"] - time.time() * 1000) < 3600000, "created about now")


def test_sizes_and_times():
    for written, size in (("65536", 65536), ("64k", 65536), ("1m", 1 << 20), ("1G", 1 << 30)):
        topic = Topic("--segment", written, "--ring", "2G")
        eq(topic.show()["segment_size"], size)
    for written, ms in (("5ms", 5), ("2s", 2000), ("3m", 180000), ("1h", 3600000), ("1d", 86400000)):
        topic = Topic("--retention", written)
        eq(topic.show()["retention_ms"], ms)


def test_defaults():
    shown = Topic().show()
    eq((shown["partitions"], shown["segment_size"], shown["ring_size"]), (1, 4 << 20, 64 << 20))
    eq((shown["max_record"], shown["retention_ms"]), (1 << 20, 7 * 86400000))
    eq((shown["framing"], shown["full_policy"], shown["mode"]), ("record", "overwrite", "0660"))


def test_list_and_show():
    topics = [Topic("-p", n) for n in (1, 3)]
    out = must("topic", "list").decode()
    for topic in topics:
        ok(topic.name in out, "it is listed")
    listed = t.topics()
    eq({k: listed[k]["partitions"] for k in listed}, {topics[0].name: 1, topics[1].name: 3})
    text = must("topic", "show", topics[1].name).decode()
    ok(topics[1].name in text and "PARTITION" in text, "all of it")


def test_options_anywhere():
    topic = Topic()
    expected = topic.show()
    for args in (("topic", "show", topic.name, "-j"), ("topic", "-j", "show", topic.name),
                 ("topic", "show", "--json", topic.name), ("--json", "topic", "show", topic.name)):
        status, out, _ = streamctl(*args)
        if args[1] == "-j" and status == 1:
            continue
        eq((status, json.loads(out)), (0, expected), str(args))


def test_lines_in_and_out():
    topic = Topic()
    lines = b"".join(b"line %d\n" % i for i in range(5000))
    produced(topic, lines)
    eq(t.end(topic.open()), 5000)
    eq(consumed(topic), lines)


def test_odd_lines():
    topic = Topic()
    lines = b"\n\nafter two empty ones\n\0binary\xff\n  spaces \t\r\nno newline at the end"
    produced(topic, lines)
    eq(t.end(topic.open()), 6)
    eq(consumed(topic), lines + b"\n")
    # Nothing is nothing.
    produced(topic, b"")
    eq(t.end(topic.open()), 6)


def test_long_lines():
    topic = Topic("--max-record", "100K")
    lines = b"".join(bytes([65 + i % 26]) * n + b"\n" for i, n in enumerate((0, 1, 70000, 102400, 5, 65535)))
    produced(topic, lines)
    eq(consumed(topic), lines)


def test_lines_over_the_limit():
    topic = Topic("--max-record", "10")
    status, _, err = streamctl("produce", topic.name, data=b"short\n" + b"x" * 11 + b"\nend\n")
    eq(status, 2)
    ok(b"2" in err, f"it tells which line: {err}")
    eq(consumed(topic), b"short\nend\n")


def test_files():
    topic = Topic()
    paths = []
    for name, data in (("one", b"1\n2\n"), ("two", b"3\n"), ("none", b"")):
        paths.append(f"/tmp/streamctl-{os.getpid()}-{name}")
        with open(paths[-1], "wb") as file:
            file.write(data)
    must("produce", topic.name, *paths)
    eq(consumed(topic), b"1\n2\n3\n")
    status, _, err = streamctl("produce", topic.name, "/nowhere/to/be/found")
    ok(status in (1, 2) and b"/nowhere/to/be/found" in err, f"{status}: {err}")
    for path in paths:
        os.unlink(path)


def test_keys():
    topic = Topic("-p", "4")
    produced(topic, b"a:1\nb:2\nnone\n:empty\nc:x:y\n", "-K", ":")
    produced(topic, b"all\n", "-k", "the key")
    got = {r["payload"]: (r["key"], r["partition"]) for r in records(topic)}
    own = got["none"][1]
    expected = {"1": b"a", "2": b"b", "empty": b"", "x:y": b"c", "all": b"the key"}
    wanted = {v: (k.decode(), kafka.partition_for_key(k, 4)) for v, k in expected.items()}
    wanted["none"] = (None, own)
    eq(got, wanted)


def test_longer_separators():
    topic = Topic()
    produced(topic, b"k=>v=>w\n=>x\n= >y\n", "-K", "=>")
    eq([(r["key"], r["payload"]) for r in records(topic)], [("k", "v=>w"), ("", "x"), (None, "= >y")])


def test_headers_and_time():
    topic = Topic()
    produced(topic, b"v\n", "-H", "a=1", "-H", "b", "-H", "a=", "-H", "c=x=y", "-T", "1700000000000")
    record = records(topic)[0]
    eq(record["headers"], ["a", "1", "b", None, "a", "", "c", "x=y"])
    eq(record["ts"], 1700000000000)
    batch = kafka.decode_batches(t.fetch_all(topic.open()))[0]
    eq(batch["records"][0]["headers"], [(b"a", b"1"), (b"b", None), (b"a", b""), (b"c", b"x=y")])
    eq((batch["append_time"], batch["max_timestamp"]), (False, 1700000000000))
    eq(consumed(topic, "-f", "%h|%T"), b"a=1,b=NULL,a=,c=x=y|1700000000000")


def test_to_a_partition():
    topic = Topic("-p", "3")
    produced(topic, b"x\ny\n", "-p", "2")
    produced(topic, b"z\n", "-p", "1", "-k", "key")
    eq([t.end(topic.open("any"), p) for p in range(3)], [0, 1, 2])
    eq(consumed(topic, "-p", "2"), b"x\ny\n")
    eq(consumed(topic, "-p", "0"), b"")
    for verb in ("produce", "consume"):
        status, _, err = streamctl(verb, topic.name, "-p", "3", *(["-e"] if verb == "consume" else []),
                                   data=b"")
        ok(status in (1, 2) and err, f"{verb} of what is not there")


def test_formats():
    topic = Topic()
    fd = topic.open()
    t.append(fd, [
        {"key": b"key", "value": b"value", "timestamp": 1234, "headers": [(b"h", b"v")]},
        {"key": None, "value": None, "timestamp": 5},
        {"key": b"", "value": b"", "timestamp": 6},
    ])
    name = topic.name.encode()
    eq(consumed(topic, "-f", r"%t %p %o %T %k %K %s %S %h %%\n"),
       name + b" 0 0 1234 key 3 value 5 h=v %\n" + name + b" 0 1 5  -1  -1  %\n"
       + name + b" 0 2 6  0  0  %\n")
    eq(consumed(topic, "-c", "1", "-f", r"a\tb\r\\\x41\0%s"), b"a\tb\r\\A\0value")
    eq(consumed(topic, "-f", ""), b"")
    for bad in ("%", "%q", "\\", "\\q", "\\x", "\\xg"):
        status, out, err = streamctl("consume", topic.name, "-e", "-f", bad)
        eq((status, out), (1, b""), bad)
        ok(err, "it says why")


def test_where_to_start():
    topic = Topic("-p", "2")
    for p in range(2):
        for i in range(10):
            t.append(topic.open(p), [{"value": b"%d.%d" % (p, i), "timestamp": 1000 + i}])

    def got(*args):
        return sorted(consumed(topic, *args).split())

    def of(start, stop=10):
        return sorted(b"%d.%d" % (p, i) for p in range(2) for i in range(start, stop))

    eq(got(), of(0))
    eq(got("-o", "beginning"), of(0))
    eq(got("-o", "end"), [])
    eq(got("-o", "7"), of(7))
    eq(got("-o", "-3"), of(7))
    eq(got("-o", "-99"), of(0))
    eq(got("-o", "@1004"), of(4))
    eq(got("-o", "@0"), of(0))
    eq(got("-o", "@999999"), [])
    eq(len(got("-c", "3")), 3)
    eq(got("-c", "0"), [])
    eq(consumed(topic, "-p", "1", "-o", "4", "-c", "2"), b"1.4\n1.5\n")


def test_json_of_consume():
    topic = Topic()
    t.append(topic.open(), [
        {"key": b"k\"\n", "value": "größer \u20ac".encode(), "timestamp": 7},
        {"key": b"\xff\xfe", "value": b"\0\x80bytes", "timestamp": 8},
        {"key": None, "value": None, "timestamp": 9},
    ])
    got = records(topic)
    eq([r["offset"] for r in got], [0, 1, 2])
    eq((got[0]["key"], got[0]["payload"]), ('k"\n', "größer \u20ac"))
    eq(base64.b64decode(got[1]["key_base64"]), b"\xff\xfe")
    eq(base64.b64decode(got[1]["payload_base64"]), b"\0\x80bytes")
    eq((got[2]["key"], got[2]["payload"]), (None, None))
    eq({r["topic"] for r in got}, {topic.name})


def test_json_of_produce():
    topic = Topic("--max-record", "10")
    summary = json.loads(must("-j", "produce", topic.name, data=b"a\nbb\n"))
    eq((summary["topic"], summary["records"], summary["failed"]), (topic.name, 2, 0))
    status, out, _ = streamctl("-j", "produce", topic.name, data=b"a\n" + b"x" * 20 + b"\nb\n")
    last = json.loads(out.splitlines()[-1])
    eq((status, last["records"], last["failed"]), (2, 2, 1))


def test_compressed_batches_are_counted():
    topic = Topic()
    fd = topic.open()
    os.write(fd, b"before")
    t.append_batch(fd, kafka.encode_batch([], attributes=4, count=3, last_offset_delta=2, body=b"?"))
    os.write(fd, b"after")
    status, out, err = streamctl("consume", topic.name, "-e")
    eq((status, out), (2, b"before\nafter\n"))
    ok(b"3" in err and b"ompressed" in err, f"it tells of them: {err}")


def test_trim():
    topic = Topic("-p", "2")
    for p in range(2):
        produced(topic, b"1\n2\n3\n4\n", "-p", p)
    must("topic", "trim", topic.name, "-p", "1", "3")
    eq([t.stat(topic.open("any"), p).start_offset for p in range(2)], [0, 3])
    must("topic", "trim", topic.name, "end")
    eq([t.stat(topic.open("any"), p).start_offset for p in range(2)], [4, 4])
    status, _, err = streamctl("topic", "trim", topic.name, "-p", "0", "5")
    ok(status == 2 and err, "beyond the end")


def test_consume_follows():
    topic = Topic("-p", "2")
    produced(topic, b"early\n", "-p", "0")
    with running("consume", topic.name) as process:
        eq(process.stdout.readline(), b"early\n")
        for i in range(5):
            produced(topic, b"%d\n" % i, "-p", i % 2)
            eq(process.stdout.readline(), b"%d\n" % i)
        process.send_signal(signal.SIGTERM)
        eq(process.wait(), 0)


def test_consume_of_what_is_deleted():
    topic = Topic()
    produced(topic, b"x\n")
    with running("consume", topic.name) as process:
        eq(process.stdout.readline(), b"x\n")
        topic.delete()
        _, err = process.communicate()
        eq(process.returncode, 2)
        ok(err, "it says why it ends")


def test_produce_does_not_hold_lines_back():
    topic = Topic()
    fd = topic.open()
    with running("produce", topic.name) as process:
        for i in range(3):
            process.stdin.write(b"%d\n" % i)
            process.stdin.flush()
            eq(os.read(fd, 10), b"%d" % i)
        process.stdin.write(b"part")
        process.stdin.close()
        eq(os.read(fd, 10), b"part")
        eq(process.wait(), 0)
        process.stdin = None


def test_consume_into_a_closed_pipe():
    topic = Topic()
    produced(topic, b"line\n" * 20000)
    done = subprocess.run(f"streamctl consume {topic.name} | head -n 1", shell=True,
                          capture_output=True, check=False)
    eq((done.stdout, done.returncode), (b"line\n", 0))


def test_output_that_fails():
    topic = Topic()
    produced(topic, b"line\n")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(["streamctl", "consume", topic.name, "-e"], stdout=full,
                              stderr=subprocess.PIPE, check=False)
    ok(done.returncode != 0, "what could not be written is no success")
    ok(done.stderr, "and it says so")


def test_monitor():
    with running("-j", "monitor") as process, running("monitor") as plain:
        # Until they listen, nothing is heard.
        listening(process.pid)
        listening(plain.pid)
        topic = Topic("-p", "2")
        topic.set("framing=line")
        topic.delete()
        events = [json.loads(process.stdout.readline()) for _ in range(3)]
        eq([e["event"] for e in events], ["topic-new", "topic-set", "topic-del"])
        eq({e["name"] for e in events}, {topic.name})
        eq([e["framing"] for e in events], ["record", "line", "line"])
        eq(events[0]["partitions"], 2)
        for word in (b"topic-new", b"topic-set", b"topic-del"):
            line = plain.stdout.readline()
            ok(line.startswith(word + b" " + topic.name.encode()), f"{line}")
        process.send_signal(signal.SIGINT)
        process.wait()


def test_examples_of_the_manual():
    try:
        must("topic", "create", "logs", "-p", "4", "--framing", "line", "--retention", "1d")
        must("topic", "create", "orders")

        def shell(command):
            done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True,
                                  check=False)
            eq((done.returncode, done.stderr), (0, b""), command)
            return done.stdout

        shell("seq 1000 > /tmp/log && cat /tmp/log > /dev/stream/logs/any")
        lines = shell(r"streamctl consume logs -e -f '%p:%o %s\n'").splitlines()
        eq([line.split()[1] for line in lines], [b"%d" % i for i in range(1, 1001)])
        shell("echo 'alice:two apples' | streamctl produce orders -K :")
        eq(json.loads(shell("streamctl -j consume orders -e"))["key"], "alice")
        shell("seq 20 | streamctl produce orders")
        eq(shell("streamctl consume orders -o -10 -e"), b"".join(b"%d\n" % i for i in range(11, 21)))
    finally:
        streamctl("topic", "delete", "logs")
        streamctl("topic", "delete", "orders")


def test_without_the_module():
    """What is told where there is no family; tried by name, not by unloading."""
    # An unshared network namespace has no family of another one's: evstream is of all.
    probe = subprocess.run(["unshare", "-n", "streamctl", "topic", "list"], capture_output=True,
                           check=False)
    ok(probe.returncode in (0, 2), f"{probe.returncode}: {probe.stderr}")
    if probe.returncode:
        ok(probe.stderr, "it says why")


if __name__ == "__main__":
    t.main()
