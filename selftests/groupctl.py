#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Consumer groups from outside: streamctl group, consume -g, monitor, and raw netlink."""
import collections
import contextlib
import ctypes
import errno
import json
import os
import random
import select
import signal
import struct
import subprocess
import time

import evgroup as g
import evstest as t
from evgroup import Member
from evstest import Topic, eq, must, ok, running, streamctl
from netlink import DUMP, NESTED, REQUEST, Netlink, attr, refused, text, u32, u64

GROUP_GET, GROUP_DEL, GROUP_SEEK, MEMBER_GET, OFFSET_GET = range(12, 17)
NTF = {17: "new", 18: "del", 19: "join", 20: "leave", 21: "rebalance"}
# Attributes: of groups, of members, of partitions in a group.
TOPIC, NAME, ID, KIND, STATE, MEMBERS, GENERATION = range(1, 8)
M_GROUP, M_ID, M_PID = 2, 3, 4
O_GROUP, O_PARTITION, O_WHENCE, O_VALUE = 2, 3, 18, 19


def listed(*args):
    return json.loads(must("-j", "group", "list", *args))


def shown(topic, group="g"):
    return json.loads(must("-j", "group", "show", topic.name, group))


def committed(topic, group="g"):
    return [p["committed"] for p in shown(topic, group)["partition"]]


def append(topic, partition, values, **fields):
    with contextlib.ExitStack() as stack:
        fd = os.open(topic.path(partition), os.O_WRONLY)
        stack.callback(os.close, fd)
        for value in values:
            t.append(fd, [{"value": value, **fields}])


def fill(topic, count=10):
    """Records 0.0, 0.1, ... in each partition."""
    for p in range(topic.show()["partitions"]):
        append(topic, p, [b"%d.%d" % (p, i) for i in range(count)])


def refusal(*args, attribute=None, code=None, plain=False):
    """streamctl is refused by the kernel: the reason."""
    status, out, err = streamctl("-j", *args)
    eq((status, err), (2, b""), str(args))
    error = json.loads(out)
    if attribute:
        eq(error.get("attribute"), attribute, f"{args}: {error}")
    if code:
        eq(error["errno"], code, f"{args}: {error}")
    ok(error.get("reason"), f"{args}: it says why")
    if plain:
        status, out, err = streamctl(*args)
        eq((status, out), (2, b""), str(args))
        ok(error["reason"].encode() in err, f"{args}: it says why: {err}")
    return error["reason"]


def members(topic, count, group="g"):
    """Wait until a group has so many members and all partitions are where they shall be."""
    def settled():
        found = [x for x in listed(topic.name) if x["name"] == group]
        return found and found[0]["members"] == count and found[0]["state"] != "rebalancing"

    t.wait_for(settled, f"{count} members")


def caught_up(topic, group="g"):
    t.wait_for(lambda: not any(p["lag"] for p in shown(topic, group)["partition"]), "no lag")


# --------------------------------------------------------------- list and show


def test_no_groups():
    topic = Topic()
    eq(listed(), [])
    eq(listed(topic.name), [])
    eq(must("group", "list").split()[:3], [b"TOPIC", b"GROUP", b"KIND"])
    eq(must("-j", "group", "list"), b"[]\n")


def test_list():
    topics = [Topic("-p", "3"), Topic()]
    for topic in topics:
        for name in ("b", "a"):
            Member(topic, name)
    # In the order in which they were made.
    eq([(x["topic"], x["name"]) for x in listed()],
       [(topic.name, name) for topic in topics for name in ("b", "a")])
    eq([x["name"] for x in listed(topics[1].name)], ["b", "a"])
    group = listed(topics[0].name)[0]
    eq((group["kind"], group["state"], group["members"], group["moving"]), ("consumer", "stable", 1, 0))
    ok("empty_since_ms" not in group, "it is not empty")
    out = must("group", "list").decode()
    ok(topics[0].name in out and "consumer" in out and "stable" in out, out)


def test_show():
    topic = Topic("-p", "3")
    fill(topic)
    before = int(time.time() * 1000)
    m = Member(topic)
    after = int(time.time() * 1000)
    group = shown(topic)
    eq({k: group[k] for k in ("topic", "name", "kind", "state", "members", "moving")},
       {"topic": topic.name, "name": "g", "kind": "consumer", "state": "stable", "members": 1, "moving": 0})
    ok(before <= group["created_ms"] <= after, "when it was made")
    eq([(p["partition"], p["owner"], p["committed"], p["end_offset"]) for p in group["partition"]],
       [(p, m.number, 0, 10) for p in range(3)])
    eq([x["id"] for x in group["member"]], [m.number])
    m.leave()
    group = shown(topic)
    eq((group["state"], group["members"], group["member"]), ("empty", 0, []))
    ok(group["empty_since_ms"] >= before, "since when it is empty")
    ok("owner" not in group["partition"][0], "nobody has it")
    out = must("group", "show", topic.name, "g").decode()
    for word in ("state", "empty", "PARTITION", "COMMITTED", "LAG", "MEMBER"):
        ok(word in out, f"{word}: {out}")


def test_positions():
    topic = Topic()
    fill(topic)
    m = Member(topic)
    for _ in range(4):
        m.read()
    m.commit((0, 3))
    part = shown(topic)["partition"][0]
    eq((part["position"], part["committed"], part["lag"]), (4, 3, 7))
    ok(part["committed_ms"] > 0, "when")


def test_members():
    topic = Topic("-p", "2")
    before = int(time.time() * 1000)
    Member(topic)
    Member(topic, flags=g.JOIN_AUTO)
    Member(topic, flags=g.JOIN_ACK)
    Member(topic, "s", static=[1])
    found = shown(topic)["member"]
    with open("/proc/self/comm", encoding="ascii") as file:
        comm = file.read().strip()
    eq([(x["pid"], x["uid"], x["comm"]) for x in found], [(os.getpid(), 0, comm)] * 3)
    eq([x["auto_commit"] for x in found], [False, True, False])
    eq([x["ack_revocation"] for x in found], [False, False, True])
    ok(all(x["joined_ms"] >= before and not x["idle"] for x in found), "when they joined")
    static = shown(topic, "s")
    eq([x["static_partitions"] for x in static["member"]], [True])
    eq([p.get("owner") for p in static["partition"]], [None, 1])
    with open("/proc/self/cgroup", encoding="ascii") as file:
        paths = [line.strip()[3:] for line in file if line.startswith("0::")]
    for x in found if paths else []:
        ok(x["cgroup"] > 0, "its control group")
        eq(x["cgroup_path"], paths[0])


def test_who_joined():
    """A user's name and a command that would move the cursor."""
    topic = Topic("--mode", "0666")

    def joins(child):
        libc = ctypes.CDLL(None)
        libc.prctl(15, b"evil\n\x1b[2J", 0, 0, 0)
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        Member(topic, mode=os.O_RDONLY)
        child.tell()
        child.hear()

    child = g.Child(joins)
    child.hear()
    found = shown(topic)["member"][0]
    eq((found["pid"], found["uid"], found["comm"]), (child.pid, 65534, "evil\n\x1b[2J"))
    out = must("group", "show", topic.name, "g")
    ok(b"\x1b" not in out and b"evil\\x0a\\x1b[2J" in out, f"no control characters: {out}")
    child.tell()
    eq(child.wait(), 0)
    eq(shown(topic)["member"], [])


def test_other_namespace():
    topic = Topic()
    Member(topic)
    done = subprocess.run(["unshare", "-pf", "streamctl", "-j", "group", "show", topic.name, "g"],
                          capture_output=True, check=False)
    if done.returncode:
        raise t.Skip(f"unshare: {done.stderr.decode()}")
    found = json.loads(done.stdout)["member"][0]
    ok("pid" not in found and "cgroup_path" not in found, "it has no number there")
    ok("comm" in found, "but a name")


def test_moving():
    topic = Topic("-p", "2")
    fill(topic)
    first = Member(topic, rebalance_ms=g_day())
    first.read()
    first.read()
    first.read()
    second = Member(topic)
    group = shown(topic)
    if group["state"] == "rebalancing":
        eq(group["moving"], 1)
        moving = [p for p in group["partition"] if p["revoking"]]
        eq([(p["owner"], p["target"]) for p in moving], [(first.number, second.number)])
    first.commit()
    group = shown(topic)
    eq((group["state"], group["moving"]), ("stable", 0))
    eq(sorted(p["owner"] for p in group["partition"]), [first.number, second.number])


def g_day():
    return 86400000


# ------------------------------------------------------------------------- lag


def test_lag():
    topic = Topic("-p", "2")
    Member(topic).leave()
    fd = topic.open()
    then = int(time.time() * 1000) - 3600000
    for i in range(5):
        t.append(fd, [{"value": b"x" * 100, "timestamp": then + i * 1000}])
    before = int(time.time() * 1000)
    part, other = shown(topic)["partition"]
    after = int(time.time() * 1000)
    eq((part["lag"], part["committed"], part["end_offset"]), (5, 0, 5))
    eq(part["lag_bytes"], topic.partition()["end_position"] - topic.partition()["start_position"])
    ok(before - then <= part["lag_ms"] <= after - then, f"an hour: {part['lag_ms']}")
    eq((other["lag"], other["lag_bytes"], other["lag_ms"]), (0, 0, 0))

    must("group", "seek", topic.name, "g", "-p", "0", "--to-offset", "3")
    behind = t.ioctl(fd, t.Seek(whence=t.Seek.OFFSET, value=3)).position
    before = int(time.time() * 1000)
    part = shown(topic)["partition"][0]
    eq((part["lag"], part["lag_bytes"]), (2, topic.partition()["end_position"] - behind))
    ok(part["lag_ms"] >= before - then - 3000, "that of the first record it has not done")
    must("group", "seek", topic.name, "g", "--to-end")
    part = shown(topic)["partition"][0]
    eq((part["lag"], part["lag_bytes"], part["lag_ms"]), (0, 0, 0))


def test_lag_of_lost_records():
    topic = Topic()
    fill(topic)
    Member(topic).leave()
    must("topic", "trim", topic.name, "-p", "0", "end")
    append(topic, 0, [b"new"])
    part = shown(topic)["partition"][0]
    # Kafka's way: what was lost was not done.
    eq((part["committed"], part["start_offset"], part["end_offset"], part["lag"]), (0, 10, 11, 11))
    ok(0 < part["lag_bytes"] < 200, "what there is")


# ------------------------------------------------------------------------ seek


def test_seek():
    topic = Topic("-p", "2")
    for p in range(2):
        for i in range(10):
            append(topic, p, [b"x"], timestamp=1000 + i)
    Member(topic).leave()

    def seek(*args):
        eq(must("group", "seek", topic.name, "g", *args), b"")
        return committed(topic)

    eq(committed(topic), [0, 0])
    eq(seek("--to-end"), [10, 10])
    eq(seek("--to-beginning"), [0, 0])
    eq(seek("--to-offset", "7"), [7, 7])
    eq(seek("--partition", "1", "--to-offset", "10"), [7, 10])
    eq(seek("-p", "0", "--to-time", "1004"), [4, 10])
    eq(seek("--to-time", "1d"), [10, 10])
    eq(seek("--to-time", "2000"), [10, 10])
    eq(seek("-p", "1", "--shift-by", "-3"), [10, 7])
    eq(seek("--shift-by", "2"), [10, 9])
    eq(seek("--shift-by", "-9223372036854775807"), [0, 0])
    eq(seek("--shift-by=+9223372036854775807"), [10, 10])
    must("topic", "trim", topic.name, "-p", "0", "5")
    start = topic.partition()["start_offset"]
    eq(seek("--to-beginning"), [start, 0])
    found = json.loads(must("-j", "group", "seek", topic.name, "g", "--to-offset", "9"))
    eq((found["topic"], found["group"]), (topic.name, "g"))
    eq([(p["partition"], p["committed"]) for p in found["partition"]], [(0, 9), (1, 9)])


def test_seek_refused():
    topic = Topic("-p", "2")
    append(topic, 0, [b"x"] * 5)
    Member(topic).leave()
    seek = ("group", "seek", topic.name, "g")
    refusal(*seek, "--to-offset", "6", "-p", "0", attribute="value", code=errno.ERANGE, plain=True)
    # Of all or of none: partition 1 has no 5 records.
    refusal(*seek, "--to-offset", "5", attribute="value", code=errno.ERANGE)
    refusal(*seek, "--to-offset", str(1 << 62), attribute="value", code=errno.ERANGE)
    refusal(*seek, "--to-time", str((1 << 63) - 1), attribute="value", code=errno.ERANGE)
    refusal(*seek, "-p", "2", "--to-end", attribute="partition", code=errno.ENXIO)
    refusal(*seek, "-p", "4294967295", "--to-end", attribute="partition")
    refusal(*seek, "-p", "2", "--shift-by", "1", attribute="partition", code=errno.ENXIO)
    eq(committed(topic), [0, 0])
    for bad in ((), ("--to-end", "--to-beginning"), ("--to-offset", "-1"), ("--to-offset", "x"),
                ("--to-time", "yesterday"), ("--shift-by", "1.5"), ("-p", "-1", "--to-end"),
                ("-p", "4294967296", "--to-end"), ("--to-end", "3"), ("--to-nowhere",), ("--to-offset",)):
        status, out, err = streamctl(*seek, *bad)
        eq((status, out), (1, b""), str(bad))
        ok(err, f"{bad}: it says why")
    eq(committed(topic), [0, 0])


def test_seek_under_a_member():
    topic = Topic()
    fill(topic)
    m = Member(topic)
    eq([m.read() for _ in range(5)], [b"0.%d" % i for i in range(5)])
    m.commit()
    m.assignment()
    must("group", "seek", topic.name, "g", "--to-offset", "2")
    ok(m.poll() & select.POLLPRI, "it is told")
    eq(m.read(), b"0.2")
    must("group", "seek", topic.name, "g", "--to-end")
    eq((m.read_all(), committed(topic)), ([], [10]))


# ---------------------------------------------------------------------- delete


def test_delete():
    topic = Topic("-p", "2")
    fill(topic)
    m = Member(topic)
    m.commit((0, 5))
    reason = refusal("group", "delete", topic.name, "g", attribute="name", code=errno.EBUSY, plain=True)
    ok("members" in reason, reason)
    m.leave()
    eq(must("group", "delete", topic.name, "g"), b"")
    eq(listed(), [])
    refusal("group", "delete", topic.name, "g", attribute="name", code=errno.ENOENT)
    # Nothing is remembered of it.
    Member(topic).leave()
    eq(committed(topic), [0, 0])
    found = json.loads(must("-j", "group", "delete", topic.name, "g"))
    eq(found, {"topic": topic.name, "name": "g", "deleted": True})


def test_what_is_not_there():
    topic = Topic()
    Member(topic).leave()
    for verb, more, where in (("show", (), "name"), ("delete", (), "name"), ("seek", ("--to-end",), "group")):
        refusal("group", verb, topic.name, "other", *more, attribute=where, code=errno.ENOENT)
        refusal("group", verb, "nothing", "g", *more, attribute="topic", code=errno.ENOENT)
        refusal("group", verb, topic.name, "", *more, attribute=where, code=errno.ENOENT)
        refusal("group", verb, topic.name, "x" * 250, *more, attribute=where, code=errno.ENOENT)
        status, _, err = streamctl("group", verb, topic.name, "x" * 60000, *more)
        eq(status, 2)
        ok(b"no such group" in err, "a long one")
    refusal("group", "list", "nothing", attribute="topic", code=errno.ENOENT)


def test_usage():
    for args in ((), ("nothing",), ("show",), ("show", "t"), ("show", "t", "g", "x"), ("delete", "t"),
                 ("list", "a", "b"), ("seek", "t"), ("seek",), ("show", "t", "g", "--nothing")):
        status, out, err = streamctl("group", *args)
        eq((status, out), (1, b""), str(args))
        ok(err, f"{args}: it says what is wrong")
    for args in (("help",), ("-h",), ("list", "-h"), ("show", "--help"), ("seek", "-h"), ("delete", "-h")):
        status, out, err = streamctl("group", *args)
        eq((status, err), (0, b""), str(args))
        ok(b"streamctl group" in out, "the usage")
    ok(b"group seek" in must("help"), "all of it")


def test_names():
    topic = Topic()
    names = [b"with blanks", "gr\u00fc\u00dfe".encode(), b'"quoted"', b"a\\b", b"x" * 249, b"-dash", b"\xff\xfe"]
    for name in names:
        Member(topic, name).leave()
    Member(topic, b"\xc2\x9b2J").leave()
    out = must("group", "list", topic.name)
    ok(b"\\xc2\\x9b2J" in out and b"\\xff\\xfe" in out and "gr\u00fc\u00dfe".encode() in out, f"{out}")
    must("group", "delete", topic.name, b"\xc2\x9b2J".decode())
    found = [x["name"] for x in listed()]
    eq(found[:-1], [name.decode() for name in names[:-1]])
    for name in names:
        done = subprocess.run([b"streamctl", b"-j", b"group", b"show", b"--", topic.name.encode(), name],
                              capture_output=True, check=False)
        eq((done.returncode, done.stderr), (0, b""), str(name))
        subprocess.run([b"streamctl", b"group", b"delete", b"--", topic.name.encode(), name], check=True)
    eq(listed(), [])


def test_unprivileged():
    topic = Topic()
    fill(topic)
    Member(topic).leave()

    def nobody():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        for verb in (("seek", topic.name, "g", "--to-end"), ("delete", topic.name, "g")):
            reason = refusal("group", *verb, code=errno.EPERM, plain=True)
            ok("CAP_SYS_ADMIN" in reason, reason)
        eq(len(listed()), 1)
        eq(committed(topic), [0])
        return True

    with t.child(nobody):
        pass


# --------------------------------------------------------------------- monitor


def events_of(process, topic, plain=False):
    """What monitor says of a topic, line by line."""
    for line in process.stdout:
        if plain and topic.name.encode() in line:
            yield line.decode()
        elif not plain and json.loads(line).get("topic") == topic.name:
            yield json.loads(line)


@contextlib.contextmanager
def monitoring(*args):
    """It listens to groups, too, when it is entered."""
    with running(*args, "monitor") as process:
        t.listening(process.pid)
        probe = Topic()
        number = 0
        while not select.select([process.stdout], [], [], 0.02)[0]:
            number += 1
            Member(probe, f"p{number}").leave()
        yield process


def test_monitor():
    topic = Topic("-p", "2")
    with monitoring("-j") as process:
        m = Member(topic)
        m.leave()
        must("group", "delete", topic.name, "g")
        events = []
        for event in events_of(process, topic):
            events.append(event)
            if event["event"] == "group-del":
                break
    kinds = [e["event"] for e in events]
    eq([k for k in kinds if k != "group-rebalance"], ["group-new", "group-join", "group-leave", "group-del"])
    ok(kinds.index("group-join") < kinds.index("group-rebalance") < kinds.index("group-leave"), f"{kinds}")
    eq({e["group"] for e in events}, {"g"})
    join, leave = (next(e for e in events if e["event"] == f"group-{what}") for what in ("join", "leave"))
    for e, count in ((join, 1), (leave, 0)):
        eq((e["member"], e["pid"], e["uid"], e["members"]), (m.number, os.getpid(), 0, count))
        ok(e["comm"], "its command")
    rebalance = next(e for e in events if e["event"] == "group-rebalance")
    eq((rebalance["members"], rebalance["kind"]), (1, "consumer"))
    generations = [e["generation"] for e in events]
    eq(generations, sorted(generations))


def test_monitor_for_people():
    topic = Topic()
    with monitoring() as process:
        child = g.Child(lambda child: (Member(topic), child.tell(), child.hear()))
        child.hear()
        child.kill()
        lines = []
        for line in events_of(process, topic, plain=True):
            lines.append(line)
            if line.startswith("group-leave"):
                break
    for word in ("group-new ", "group-join "):
        ok(any(line.startswith(word + topic.name + " group g ") for line in lines), f"{word}: {lines}")
    ok(f" pid {child.pid} " in lines[-1], "a member that was killed has left")


# ----------------------------------------------------------------- raw netlink


def names(topic, group="g"):
    return text(TOPIC, topic.name) + text(NAME, group)


def number(data):
    return int.from_bytes(data, "little")


def test_netlink_get():
    nl = Netlink()
    topic = Topic("-p", "2")
    Member(topic)
    answer = nl.ask(GROUP_GET, names(topic))
    eq((answer.errno, len(answer.replies)), (0, 1))
    reply = answer.replies[0]
    eq((reply[TOPIC], reply[NAME], number(reply[MEMBERS])), (topic.name.encode() + b"\0", b"g\0", 1))
    eq((number(reply[KIND]), number(reply[STATE])), (0, 1))
    answer = nl.ask(OFFSET_GET, names(topic) + u32(O_PARTITION, 1))
    eq((answer.errno, [number(r[O_PARTITION]) for r in answer.replies]), (0, [1]))
    for partition in (2, 0xFFFFFFFF):
        answer = nl.ask(OFFSET_GET, names(topic) + u32(O_PARTITION, partition))
        refused(answer, errno.ENXIO)
        eq(answer.offset, 20 + len(names(topic)))
    answer = nl.ask(OFFSET_GET, names(topic))
    refused(answer, errno.EINVAL)
    eq(answer.missing, O_PARTITION)


def test_netlink_missing():
    nl = Netlink()
    topic = Topic()
    Member(topic).leave()
    for cmd in (GROUP_GET, GROUP_DEL, GROUP_SEEK, OFFSET_GET):
        for attrs, missing in ((b"", TOPIC), (text(NAME, "g"), TOPIC), (text(TOPIC, topic.name), NAME)):
            answer = nl.ask(cmd, attrs)
            refused(answer, errno.EINVAL, f"{cmd}")
            eq(answer.missing, missing)
    for cmd in (MEMBER_GET, OFFSET_GET):
        answer = nl.ask(cmd, text(NAME, "g"), flags=REQUEST | DUMP)
        refused(answer, errno.EINVAL, f"{cmd}")
    for attrs, missing in ((b"", O_WHENCE), (u32(O_WHENCE, 0), O_VALUE), (u32(O_WHENCE, 3), O_VALUE)):
        answer = nl.ask(GROUP_SEEK, names(topic) + attrs)
        refused(answer, errno.EINVAL)
        eq(answer.missing, missing)
    refused(nl.ask(MEMBER_GET, names(topic)), errno.EOPNOTSUPP, "members one by one", message=False)


def test_netlink_seek():
    nl = Netlink()
    topic = Topic()
    fill(topic)
    Member(topic).leave()
    good = names(topic)
    for what, code, attrs in (
        ("an unknown place", errno.EINVAL, u32(O_WHENCE, 4)),
        ("a place far away", errno.EINVAL, u32(O_WHENCE, 0xFFFFFFFF)),
        ("a value for the end", errno.EINVAL, u32(O_WHENCE, 2) + u64(O_VALUE, 1)),
        ("beyond the end", errno.ERANGE, u32(O_WHENCE, 0) + u64(O_VALUE, 11)),
        ("far beyond the end", errno.ERANGE, u32(O_WHENCE, 0) + u64(O_VALUE, 1 << 62)),
        ("a negative offset", errno.ERANGE, u32(O_WHENCE, 0) + u64(O_VALUE, (1 << 64) - 1)),
        ("a negative time", errno.ERANGE, u32(O_WHENCE, 3) + u64(O_VALUE, 1 << 63)),
    ):
        answer = nl.ask(GROUP_SEEK, good + attrs)
        ok(answer.errno in (code, errno.ERANGE), f"{what}: {answer.errno}")
        ok(answer.message and answer.offset, f"{what}: {answer.message}")
    eq(committed(topic), [0])
    for value in (u32(O_VALUE, 7), u64(O_VALUE, 10), u32(O_VALUE, 0)):
        eq(nl.ask(GROUP_SEEK, good + u32(O_WHENCE, 0) + value).errno, 0)


def test_netlink_malformed():
    nl = Netlink()
    topic = Topic()
    Member(topic).leave()
    good = names(topic)
    for cmd in (GROUP_GET, GROUP_DEL, GROUP_SEEK, OFFSET_GET):
        for what, attrs in {
            "a name without NUL": text(TOPIC, topic.name) + attr(NAME, b"g"),
            "an empty name": text(TOPIC, topic.name) + attr(NAME, b""),
            "a nested name": text(TOPIC, topic.name) + attr(NAME | NESTED, text(1, "g")),
            "an unknown attribute": good + u32(100, 1),
            "what is no question": good + u32(5, 1),
            "a length beyond the end": good + attr(3, b"\0\0\0\0", 100),
            "a length of 3": good + attr(3, b"\0\0\0\0", 3),
        }.items():
            answer = nl.ask(cmd, attrs)
            ok(answer.errno in (errno.EINVAL, errno.ERANGE), f"{cmd}: {what}: {answer.errno}")
            ok(answer.message, f"{cmd}: {what}: a message says why")
    for what, attrs in {
        "a partition of 8 bytes": attr(O_PARTITION, bytes(8)) + u32(O_WHENCE, 2),
        "a place of 2 bytes": attr(O_WHENCE, b"\2\0"),
        "a value of 3 bytes": u32(O_WHENCE, 0) + attr(O_VALUE, bytes(3)),
    }.items():
        answer = nl.ask(GROUP_SEEK, good + attrs)
        ok(answer.errno in (errno.EINVAL, errno.ERANGE), f"{what}: {answer.errno}")
    for cmd in NTF:
        refused(nl.ask(cmd, good), errno.EOPNOTSUPP, "a notification", message=False)
    eq([x["name"] for x in listed()], ["g"])


def test_netlink_damage():
    """Any answer will do, but there is one, and the machine lives."""
    nl = Netlink()
    topic = Topic("-p", "2")
    m = Member(topic)
    good = names(topic) + u32(O_PARTITION, 1) + u32(O_WHENCE, 0) + u64(O_VALUE, 0)
    for _ in range(1000):
        attrs = bytearray(good)
        for _ in range(random.choice((0, 1, 2, 5))):
            attrs[random.randrange(len(attrs))] = random.choice((0, 1, 4, 0x80, 0xFF, random.randrange(256)))
        if random.random() < 0.5:
            del attrs[random.choice((len(names(topic)), random.randrange(len(attrs)))) :]
        cmd = random.choice((GROUP_GET, GROUP_DEL, GROUP_SEEK, MEMBER_GET, OFFSET_GET))
        flags = REQUEST | (DUMP if cmd == MEMBER_GET or random.random() < 0.3 else 4)
        answer = nl.ask(cmd, bytes(attrs), flags=flags)
        if answer.errno not in (0, errno.EOPNOTSUPP):
            ok(answer.message, f"{cmd} {bytes(attrs).hex()}: a message says why")
    eq(m.assignment().nr, 2)


def test_netlink_dumps():
    nl = Netlink()
    for cmd in (GROUP_GET, MEMBER_GET, OFFSET_GET):
        eq(nl.ask(cmd, flags=REQUEST | DUMP).replies, [])
    topics = [Topic("-p", "3") for _ in range(3)]
    wanted = []
    for topic in topics:
        for n in range(40):
            for _ in range(n % 3):
                Member(topic, f"group-{n}")
            if not n % 3:
                Member(topic, f"group-{n}").leave()
            wanted.append((topic.name, f"group-{n}", n % 3))

    def dump(cmd, attrs=b""):
        answer = nl.ask(cmd, attrs, flags=REQUEST | DUMP)
        eq(answer.errno, 0)
        return [(r[1][:-1].decode(), r[2][:-1].decode(), number(r[3])) for r in answer.replies]

    eq([x[:2] for x in dump(GROUP_GET)], [x[:2] for x in wanted])
    eq([x[:2] for x in dump(GROUP_GET, text(TOPIC, topics[1].name))],
       [x[:2] for x in wanted if x[0] == topics[1].name])
    # Numbers of members begin with 1 in each group.
    eq(dump(MEMBER_GET), [(x[0], x[1], i + 1) for x in wanted for i in range(x[2])])
    eq(dump(MEMBER_GET, names(topics[2], "group-2")), [(topics[2].name, "group-2", i) for i in (1, 2)])
    eq(dump(OFFSET_GET), [(x[0], x[1], p) for x in wanted for p in range(3)])
    eq(dump(OFFSET_GET, text(TOPIC, topics[0].name)),
       [(x[0], x[1], p) for x in wanted for p in range(3) if x[0] == topics[0].name])
    eq(dump(OFFSET_GET, names(topics[0], "group-7")), [(topics[0].name, "group-7", p) for p in range(3)])
    for cmd in (MEMBER_GET, OFFSET_GET):
        refused(nl.ask(cmd, names(topics[0], "none"), flags=REQUEST | DUMP), errno.ENOENT)
    refused(nl.ask(GROUP_GET, text(TOPIC, "none"), flags=REQUEST | DUMP), errno.ENOENT)


def test_netlink_dump_of_many():
    """More than any message holds, of one group."""
    nl = Netlink()
    topic = Topic("-p", "1000", "--segment", "64K", "--ring", "128K")
    for _ in range(300):
        Member(topic)
    got = nl.ask(OFFSET_GET, names(topic), flags=REQUEST | DUMP)
    eq([number(r[O_PARTITION]) for r in got.replies], list(range(1000)))
    owned = collections.Counter(number(r[4]) for r in got.replies)
    eq(sorted(owned), list(range(1, 301)))
    ok(max(owned.values()) - min(owned.values()) <= 1, "balanced")
    got = nl.ask(MEMBER_GET, names(topic), flags=REQUEST | DUMP)
    eq([number(r[M_ID]) for r in got.replies], list(range(1, 301)))
    eq({number(r[M_PID]) for r in got.replies}, {os.getpid()})


def test_netlink_dump_while_they_change():
    nl = Netlink()
    topic = Topic("-p", "4")
    stay = [Member(topic, f"stay-{n}") for n in range(50)]

    def churn(child):
        while not select.select([child.inside], [], [], 0)[0]:
            for n in range(20):
                Member(topic, f"go-{n}").close()
            for n in range(20):
                streamctl("group", "delete", topic.name, f"go-{n}")

    child = g.Child(churn)
    for _ in range(30):
        for cmd in (GROUP_GET, OFFSET_GET, MEMBER_GET):
            got = nl.ask(cmd, flags=REQUEST | DUMP)
            eq(got.errno, 0)
            found = [r[2][:-1].decode() for r in got.replies]
            each = 4 if cmd == OFFSET_GET else 1
            eq([x for x in found if x.startswith("stay")],
               [f"stay-{n}" for n in range(len(stay)) for _ in range(each)])
    child.tell()
    eq(child.wait(), 0)


def test_netlink_notifications():
    nl = Netlink()
    listener = Netlink()
    listener.sock.setsockopt(270, 1, listener.groups["groups"])
    topic = Topic()
    m = Member(topic)
    m.leave()
    eq(nl.ask(GROUP_DEL, names(topic)).errno, 0)
    refused(nl.ask(GROUP_DEL, names(topic)), errno.ENOENT)
    seen = []
    while not seen or seen[-1] != "del":
        data = listener.sock.recv(65536)
        kind = struct.unpack_from("=IH", data)[1]
        eq(kind, listener.family)
        seen.append(NTF[data[16]])
    eq([x for x in seen if x != "rebalance"], ["new", "join", "leave", "del"])


def test_netlink_rights():
    topic = Topic()
    Member(topic).leave()

    def nobody():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        mine = Netlink()
        for cmd, more in ((GROUP_DEL, b""), (GROUP_SEEK, u32(O_WHENCE, 2))):
            answer = mine.ask(cmd, names(topic) + more)
            refused(answer, errno.EPERM)
            ok("CAP_SYS_ADMIN" in answer.message, answer.message)
        for cmd in (GROUP_GET, OFFSET_GET, MEMBER_GET):
            eq(mine.ask(cmd, flags=REQUEST | DUMP).errno, 0)
        mine.sock.setsockopt(270, 1, mine.groups["groups"])
        return True

    with t.child(nobody):
        pass
    eq(len(listed()), 1)


# ------------------------------------------------------------------ consume -g


def test_consume():
    topic = Topic("-p", "3")
    fill(topic)
    everything = sorted(b"%d.%d" % (p, i) for p in range(3) for i in range(10))
    eq(sorted(must("consume", topic.name, "-g", "g", "-e").split()), everything)
    eq(committed(topic), [10, 10, 10])
    eq(must("consume", topic.name, "-g", "g", "-e"), b"")
    append(topic, 1, [b"more"])
    eq(must("consume", topic.name, "-g", "g", "-e"), b"more\n")
    # Another group is another group.
    eq(len(must("consume", topic.name, "-g", "h", "-e").split()), 31)
    eq(shown(topic)["state"], "empty")


def test_consume_count():
    """What was printed is committed, and no more."""
    topic = Topic()
    t.append(topic.open(), [{"value": b"%d" % i} for i in range(250)])
    for options in ((), ("--at-most-once",), ("--commit", "7")):
        group = f"g{len(options)}{options[-1:]}"
        got = b""
        for count in (1, 3, 100, 46, 99):
            got += must("consume", topic.name, "-g", group, "-c", count, *options)
            eq(committed(topic, group), [len(got.split())])
        eq(got + must("consume", topic.name, "-g", group, "-e", *options), b"".join(b"%d\n" % i for i in range(250)))


def test_consume_formats():
    topic = Topic("-p", "2")
    t.append(topic.open(1), [{"key": b"k", "value": b"v", "timestamp": 5, "headers": [(b"h", b"1")]}])
    eq(must("consume", topic.name, "-g", "g", "-e", "-f", r"%t %p %o %k %s %h %T\n"),
       topic.name.encode() + b" 1 0 k v h=1 5\n")
    record = json.loads(must("-j", "consume", topic.name, "-g", "h", "-e"))
    eq((record["partition"], record["offset"], record["key"], record["payload"], record["headers"]),
       (1, 0, "k", "v", ["h", "1"]))


def test_consume_where_it_begins():
    topic = Topic("-p", "2")
    for p in range(2):
        for i in range(10):
            append(topic, p, [b"%d" % i], timestamp=1000 + i)
    for n, (where, count) in enumerate((("beginning", 20), ("end", 0), ("@1004", 12), ("@0", 20), ("@9999", 0))):
        eq(len(must("consume", topic.name, "-g", f"g{n}", "-o", where, "-e").split()), count, where)
    # Only a new group has a beginning.
    eq(must("consume", topic.name, "-g", "g1", "-o", "beginning", "-e"), b"")


def test_consume_usage():
    topic = Topic("-p", "2")
    for args in (("-g", ""), ("-g", "a/b"), ("-g", "a\nb"), ("-g", ".."), ("-g", "x" * 250), ("-g", "g", "-p", "0"),
                 ("-g", "g", "-o", "5"), ("-g", "g", "-o", "-5"), ("--queue",), ("--commit", "5"),
                 ("--static", "0"), ("-g", "g", "--static", "x"), ("-g", "g", "--static", ""),
                 ("-g", "g", "--commit", "0"), ("-g", "g", "--commit", "5", "--at-most-once"),
                 ("-g", "g", "--max-poll", "5"), ("-g", "g", "--max-poll", "2d"), ("-g", "g", "--rebalance", "0"),
                 ("-g", "g", "--keyed"), ("-g", "g", "--lock", "5s"), ("-g", "g", "--queue", "--static", "0"),
                 ("-g", "g", "--queue", "--at-most-once"), ("-g",)):
        status, out, err = streamctl("consume", topic.name, "-e", *args)
        eq((status, out), (1, b""), str(args))
        ok(err, f"{args}: it says why")
    status, _, err = streamctl("consume", topic.name, "-e", "-g", "g", "--static", "2")
    eq(status, 2)
    ok(b"no such partition" in err, f"{err}")
    status, _, err = streamctl("consume", "nothing", "-e", "-g", "g")
    eq(status, 2)
    ok(b"no such topic" in err, f"{err}")
    eq(listed(), [])


def test_consume_static():
    topic = Topic("-p", "4")
    fill(topic)
    got = must("consume", topic.name, "-g", "g", "-e", "--static", "3,1")
    eq(sorted(got.split()), sorted(b"%d.%d" % (p, i) for p in (1, 3) for i in range(10)))
    eq(committed(topic), [0, 10, 0, 10])
    m = Member(topic, static=[2])
    status, _, err = streamctl("consume", topic.name, "-g", "g", "-e", "--static", "2")
    eq(status, 2)
    ok(b"another member" in err, f"{err}")
    m.leave()


def test_consume_follows():
    topic = Topic("-p", "2")
    with running("consume", topic.name, "-g", "g") as process:
        for i in range(10):
            append(topic, i % 2, [b"%d" % i])
            eq(process.stdout.readline(), b"%d\n" % i)
        process.send_signal(signal.SIGTERM)
        eq(process.wait(), 0)
    eq(committed(topic), [5, 5])
    eq(shown(topic)["member"], [])


def test_consume_is_told_of_a_seek():
    topic = Topic()
    fill(topic, 3)
    with running("consume", topic.name, "-g", "g") as process:
        eq([process.stdout.readline() for _ in range(3)], [b"0.%d\n" % i for i in range(3)])
        caught_up(topic)
        must("group", "seek", topic.name, "g", "--to-offset", "1")
        eq([process.stdout.readline() for _ in range(2)], [b"0.1\n", b"0.2\n"])
        caught_up(topic)
        must("group", "seek", topic.name, "g", "--shift-by", "-1")
        eq(process.stdout.readline(), b"0.2\n")
        process.send_signal(signal.SIGINT)
        eq(process.wait(), 0)


def test_consume_in_three_terminals():
    """They share the partitions, and go on when one is killed."""
    topic = Topic("-p", "6")
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(running("consume", topic.name, "-g", "g", "-f", r"%p %o\n"))
                     for _ in range(3)]
        members(topic, 3)
        found = shown(topic)
        eq(sorted(x["pid"] for x in found["member"]), sorted(p.pid for p in processes))
        eq([x["partitions"] for x in found["member"]], [2, 2, 2])
        eq({x["comm"] for x in found["member"]}, {"streamctl"})
        pid_of = {x["id"]: x["pid"] for x in found["member"]}
        before = {p["partition"]: pid_of[p["owner"]] for p in found["partition"]}
        fill(topic, 20)
        caught_up(topic)

        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait()
        # Nobody waits for that: it is so when it is dead.
        found = shown(topic)
        eq(sorted(x["partitions"] for x in found["member"]), [3, 3])
        pid_of = {x["id"]: x["pid"] for x in found["member"]}
        after = {p["partition"]: pid_of[p["owner"]] for p in found["partition"]}
        eq([p for p in before if before[p] != processes[0].pid and before[p] != after[p]], [],
           "what the others had they keep")
        fill(topic, 20)
        caught_up(topic)
        for process in processes[1:]:
            process.send_signal(signal.SIGTERM)
            eq(process.wait(), 0)
        seen = collections.defaultdict(list)
        for process in processes:
            for line in process.stdout.read().splitlines():
                partition, offset = map(int, line.split())
                seen[partition].append(offset)
    # All was committed when it was killed: nothing comes twice, and nothing is lost.
    eq({p: sorted(offsets) for p, offsets in seen.items()}, {p: list(range(40)) for p in range(6)})
    eq(committed(topic), [40] * 6)


def test_consume_killed_in_the_middle():
    """What was not committed comes again, to the others, and nothing is lost."""
    topic = Topic("-p", "2")
    lines = [b"%d" % i for i in range(3000)]
    for p in range(2):
        t.append(topic.open(p), [{"value": line} for line in lines[:1000]])
        t.append(topic.open(p), [{"value": line} for line in lines[1000:2000]])
        t.append(topic.open(p), [{"value": line} for line in lines[2000:]])
    seen = [set(), set()]
    for _ in range(5):
        with running("consume", topic.name, "-g", "g", "-f", r"%p %o\n") as process:
            out = b""
            while len(out) < 3000:
                out += os.read(process.stdout.fileno(), 500)
            process.kill()
            # What it had written was in the pipe.
            out += process.stdout.read()
            for line in out.splitlines():
                partition, offset = map(int, line.split())
                seen[partition].add(offset)
    for line in must("consume", topic.name, "-g", "g", "-e", "-f", r"%p %o\n").splitlines():
        partition, offset = map(int, line.split())
        seen[partition].add(offset)
    eq([len(x) for x in seen], [3000, 3000])


def test_consume_joins_one_that_reads():
    """A member that is stopped by its reader keeps what it has printed, and no more."""
    topic = Topic("-p", "2")
    with running("consume", topic.name, "-g", "g", "-f", r"%p %o\n") as first:
        members(topic, 1)
        with running("consume", topic.name, "-g", "g", "-f", r"%p %o\n") as second:
            members(topic, 2)
            fill(topic, 5)
            got = [[process.stdout.readline().split() for _ in range(5)] for process in (first, second)]
            eq(sorted(x[0][0] for x in got), [b"0", b"1"])
            for x in got:
                eq([line[1] for line in x], [b"%d" % i for i in range(5)])
            second.send_signal(signal.SIGTERM)
            eq(second.wait(), 0)
        fill(topic, 5)
        got = sorted(first.stdout.readline() for _ in range(10))
        eq(got, sorted(b"%d %d\n" % (p, i) for p in range(2) for i in range(5, 10)))


def test_consume_stopped():
    """Who does not come for its records loses the partitions, until it comes."""
    topic = Topic("-p", "2")
    with running("consume", topic.name, "-g", "g", "--max-poll", "100ms") as stopped:
        members(topic, 1)
        append(topic, 0, [b"first"])
        eq(stopped.stdout.readline(), b"first\n")
        caught_up(topic)
        with running("consume", topic.name, "-g", "g") as other:
            members(topic, 2)
            stopped.send_signal(signal.SIGSTOP)
            fill(topic, 5)
            eq(sorted(other.stdout.readline() for _ in range(10)),
               sorted(b"%d.%d\n" % (p, i) for p in range(2) for i in range(5)))
            idle = {x["pid"]: x["idle"] for x in shown(topic)["member"]}
            eq(idle, {stopped.pid: True, other.pid: False})
            ok(b"IDLE" in must("group", "show", topic.name, "g"), "it is shown")
            stopped.send_signal(signal.SIGCONT)
            other.send_signal(signal.SIGTERM)
            eq(other.wait(), 0)
        fill(topic, 5)
        eq(sorted(stopped.stdout.readline() for _ in range(10)),
           sorted(b"%d.%d\n" % (p, i) for p in range(2) for i in range(5)))
        stopped.send_signal(signal.SIGTERM)
        eq((stopped.wait(), stopped.stdout.read()), (0, b""))


def test_consume_at_most_once():
    topic = Topic()
    with running("consume", topic.name, "-g", "g", "--at-most-once") as process:
        members(topic, 1)
        eq([x["auto_commit"] for x in shown(topic)["member"]], [True])
        fill(topic)
        eq([process.stdout.readline() for _ in range(10)], [b"0.%d\n" % i for i in range(10)])
        # It was committed before it was printed.
        process.kill()
        process.wait()
    eq(committed(topic), [10])


def test_consume_compressed_batches():
    topic = Topic()
    fd = topic.open()
    t.append(fd, [{"value": b"one"}])
    t.append_batch(fd, t.kafka.encode_batch([], attributes=4, count=3, last_offset_delta=2, body=b"?"))
    t.append(fd, [{"value": b"two"}])
    status, out, err = streamctl("consume", topic.name, "-g", "g", "-e")
    eq((status, out), (2, b"one\ntwo\n"))
    ok(b"3 records not shown" in err and b"1 to 3" in err, f"{err}")
    eq(committed(topic), [5])
    # A queue cannot hand them out.
    status, out, err = streamctl("consume", topic.name, "-g", "q", "--queue", "-e")
    eq((status, out), (2, b"one\n"))
    ok(b"group seek" in err, f"{err}")
    must("group", "seek", topic.name, "q", "--to-offset", "4")
    eq(must("consume", topic.name, "-g", "q", "--queue", "-e"), b"two\n")


def test_consume_large_batches():
    """Larger than the room that a fetch has at first."""
    topic = Topic("--max-record", "2M", "--segment", "16M")
    sizes = (10, 300000, 1 << 21, 5)
    append(topic, 0, [b"x" * n for n in sizes])
    eq(must("consume", topic.name, "-g", "g", "-e", "-f", r"%S\n").split(), [b"%d" % n for n in sizes])
    eq(must("consume", topic.name, "-g", "q", "--queue", "-e", "-f", r"%S\n").split(), [b"%d" % n for n in sizes])


def test_consume_of_a_topic_that_goes():
    topic = Topic()
    with running("consume", topic.name, "-g", "g") as process:
        members(topic, 1)
        topic.delete()
        eq(process.wait(), 2)
        ok(b"deleted" in process.stderr.read(), "it says why")


def test_consume_lost_records():
    topic = Topic()
    fill(topic)
    Member(topic).leave()
    must("topic", "trim", topic.name, "-p", "0", "end")
    append(topic, 0, [b"new"])
    status, out, err = streamctl("consume", topic.name, "-g", "g", "-e")
    eq((status, out), (0, b"new\n"))
    ok(b"10 records lost" in err and b"0 to 9" in err, f"{err}")
    eq(committed(topic), [11])


# --------------------------------------------------------------- consume --queue


def test_queue():
    topic = Topic("-p", "2")
    fill(topic)
    dead = Topic()
    got = must("consume", topic.name, "-g", "q", "--queue", "--lock", "1m", "--max-deliveries", "3",
               "--dead-letter", dead.name, "--keyed", "-e", "-c", "15")
    eq(len(set(got.split())), 15)
    group = shown(topic, "q")
    eq({k: group[k] for k in ("kind", "lock_ms", "max_deliveries", "keyed", "dead_letter", "state")},
       {"kind": "queue", "lock_ms": 60000, "max_deliveries": 3, "keyed": True, "dead_letter": dead.name,
        "state": "empty"})
    eq(sum(p["lag"] for p in group["partition"]), 5)
    eq([(p["held"], p["released"]) for p in group["partition"]], [(0, 0)] * 2)
    got += must("consume", topic.name, "-g", "q", "--queue", "-e")
    eq(sorted(got.split()), sorted(b"%d.%d" % (p, i) for p in range(2) for i in range(10)))
    eq(committed(topic, "q"), [10, 10])
    out = must("group", "show", topic.name, "q").decode()
    ok("queue" in out and "HELD" in out, out)


def test_queue_held():
    topic = Topic()
    fill(topic)
    m = Member(topic, "q", flags=g.JOIN_QUEUE)
    eq(m.read(), b"0.0")
    group = shown(topic, "q")
    eq([x["held"] for x in group["member"]], [1])
    eq((group["partition"][0]["held"], group["partition"][0]["committed"]), (1, 0))
    record = json.loads(must("-j", "consume", topic.name, "-g", "q", "--queue", "-c", "1"))
    eq((record["payload"], record["deliveries"]), ("0.1", 1))
    m.leave()
    record = json.loads(must("-j", "consume", topic.name, "-g", "q", "--queue", "-c", "1"))
    eq((record["payload"], record["deliveries"]), ("0.0", 2))
    eq(committed(topic, "q"), [2])


def test_queue_of_two():
    topic = Topic()
    with running("consume", topic.name, "-g", "q", "--queue") as first:
        with running("consume", topic.name, "-g", "q", "--queue") as second:
            members(topic, 2, "q")
            fill(topic, 200)
            caught_up(topic, "q")
            for process in (first, second):
                process.send_signal(signal.SIGTERM)
                eq(process.wait(), 0)
            got = first.stdout.read().split() + second.stdout.read().split()
    eq(sorted(got), sorted(b"0.%d" % i for i in range(200)))


def test_queue_seek():
    topic = Topic()
    fill(topic)
    eq(len(must("consume", topic.name, "-g", "q", "--queue", "-e").split()), 10)
    must("group", "seek", topic.name, "q", "--to-offset", "8")
    eq(must("consume", topic.name, "-g", "q", "--queue", "-e"), b"0.8\n0.9\n")


def test_queue_given_up():
    """By another way than consume's own, which accepts all."""
    topic, dead = Topic(), Topic()
    fill(topic, 2)
    must("consume", topic.name, "-g", "q", "--queue", "--max-deliveries", "2", "--dead-letter", dead.name,
         "-e", "-c", "0")
    for _ in range(2):
        m = Member(topic, "q", flags=g.JOIN_QUEUE)
        eq(m.read(), b"0.0")
        m.leave()
    t.wait_for(lambda: dead.partition()["end_offset"] == 1, "the dead letter")
    record = json.loads(must("-j", "consume", dead.name, "-e"))
    eq(record["payload"], "0.0")
    headers = dict(zip(record["headers"][::2], record["headers"][1::2]))
    eq(headers["evstream.topic"], topic.name)
    eq(must("consume", topic.name, "-g", "q", "--queue", "-e"), b"0.1\n")


def test_examples_of_the_manual():
    topic = Topic(name="orders")
    fill(topic)
    eq(len(must("consume", "orders", "-g", "billing", "-e").split()), 10)
    ok(b"empty" in must("group", "show", "orders", "billing"), "its state")
    must("group", "seek", "orders", "billing", "--to-beginning")
    eq(len(must("consume", "orders", "-g", "billing", "-e").split()), 10)


def test_queue_is_another_kind():
    topic = Topic()
    Member(topic, "q", flags=g.JOIN_QUEUE).leave()
    Member(topic, "g").leave()
    for args, word in ((("-g", "q"), b"--queue"), (("-g", "g", "--queue"), b"no queue")):
        status, _, err = streamctl("consume", topic.name, "-e", *args)
        eq(status, 2)
        ok(word in err, f"{err}")


if __name__ == "__main__":
    t.main()
