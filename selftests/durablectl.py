#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Durable topics by the tool: create, show, set, detach, attach, restore, and what is refused."""
import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import tempfile

import evstest as t
from evdisk import Disk
from evstest import Topic, eq, kafka, listening, must, ok, streamctl
from streamctl import running

LISTS = "/etc/evstream/topics.d"
SLOT = 4096


def place():
    """A directory on a file system of its own, which nothing holds when the test is over."""
    path = tempfile.mkdtemp(prefix="durablectl-", dir="/tmp")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)

    def leave():
        done = subprocess.run(["umount", path], capture_output=True, text=True, check=False)
        eq((done.returncode, done.stderr), (0, ""), "nothing is open there any more")
        os.rmdir(path)

    Topic.stack.callback(leave)
    # What a test leaves behind goes before the file system.
    Topic.stack.callback(streamctl, "restore", "--detach")
    return path


class Durable(t.Durable):
    def config(self):
        return f"{self.dir}/{self.name}.evstream"

    def log(self, partition=0):
        return f"{self.part(partition)}/{0:020d}.log"


def fill(topic, *values, partition=0):
    must("produce", topic.name, "-p", partition, data=b"".join(v + b"\n" for v in values))


def values(topic, partition=0):
    return must("consume", topic.name, "-p", partition, "-e").splitlines()


def sync(topic, partition=0):
    fd = os.open(topic.path(partition), os.O_RDWR)
    os.fsync(fd)
    os.close(fd)


def refused(code, *args, says=(), **how):
    """streamctl must say why, and exit with 2: its words."""
    status, out, err = streamctl(*args, **how)
    text = err.decode()
    eq(status, 2, f"{args}: {out} {text}")
    ok(os.strerror(code) in text, f"{args}: {errno.errorcode[code]} in {text}")
    for word in says:
        ok(word in text, f"{args}: '{word}' in {text}")


def attached():
    return sorted(name for name, topic in t.topics().items() if "dir" in topic)


# ------------------------------------------------------------------------- create, show, set


def test_create_and_show():
    path = place()
    topic = Durable(path, "-p", "2", "--segment", "1M", "--ring", "4M", "--flush-interval", "200ms",
                    "--flush-bytes", "2M", "--retention", "1h,8M", "--mode", "0640")
    shown = topic.show()
    expected = {"dir": path, "flush_interval": 200, "flush_bytes": 2 << 20, "segment_size": 1 << 20,
                "ring_size": 4 << 20, "retention_ms": 3600000, "retention_bytes": 8 << 20,
                "mode": "0640", "partitions": 2}
    eq({k: shown.get(k) for k in expected}, expected)
    for partition in shown["partition"]:
        eq((partition["durable_offset"], partition["unwritten"]), (0, 0))
        ok("error" not in partition and "cut_bytes" not in partition, f"all is well: {partition}")
    text = must("topic", "show", topic.name).decode()
    for line in (f"dir {path}", "flush-interval 200ms", "flush-bytes 2M"):
        ok(line.split() in [line.split() for line in text.splitlines()], f"{line} in {text}")
    for word in ("DURABLE", "UNWRITTEN"):
        ok(word in text, f"{word} in {text}")
    for word in ("ERROR", "CUT"):
        ok(word not in text, f"no {word} in {text}")
    ok(path in must("topic", "list").decode(), "the directory is in the list")


def test_defaults():
    shown = Durable(place()).show()
    eq((shown["flush_interval"], shown["flush_bytes"], shown["segment_size"]),
       (1000, 64 << 20, 64 << 20))


def test_off():
    topic = Durable(place(), "--flush-interval", "0", "--flush-bytes", "0")
    shown = topic.show()
    eq((shown["flush_interval"], shown["flush_bytes"]), (0, 0))
    lines = [line.split() for line in must("topic", "show", topic.name).decode().splitlines()]
    ok(["flush-interval", "none"] in lines and ["flush-bytes", "none"] in lines, lines)


def test_volatile_topics_have_none_of_it():
    topic = Topic()
    shown = topic.show()
    for member in ("dir", "flush_interval", "flush_bytes"):
        ok(member not in shown, f"no {member}")
    for member in ("durable_offset", "unwritten", "error", "cut_bytes"):
        ok(member not in shown["partition"][0], f"no {member}")
    text = must("topic", "show", topic.name).decode()
    ok("DURABLE" not in text and "flush" not in text, text)
    ok("DIR" not in must("topic", "list").decode(), "nor in the list")


def test_list_of_both():
    path = place()
    durable, volatile = Durable(path), Topic()
    lines = must("topic", "list").decode().splitlines()
    ends = {line.split()[0]: line.split()[-1] for line in lines}
    eq((ends["NAME"], ends[durable.name], ends[volatile.name]), ("DIR", path, "-"))
    listed = t.topics()
    eq((listed[durable.name]["dir"], listed[volatile.name].get("dir")), (path, None))


def test_json_of_create():
    path = place()
    made = json.loads(must("-j", "topic", "create", "made", "--dir", path, "--flush-interval", "2s"))
    eq((made["name"], made["dir"], made["flush_interval"]), ("made", path, 2000))
    must("topic", "delete", "made")


def test_relative_directory():
    path = place()
    os.mkdir(f"{path}/below")
    done = subprocess.run(["streamctl", "topic", "create", "below", "--dir", "below/../below"],
                          cwd=path, capture_output=True, check=False)
    eq((done.returncode, done.stderr), (0, b""))
    eq(t.topics()["below"]["dir"], f"{path}/below")
    must("topic", "detach", "below")
    done = subprocess.run(["streamctl", "topic", "attach", "."], cwd=f"{path}/below",
                          capture_output=True, check=False)
    eq((done.returncode, done.stderr), (0, b""))
    eq(t.topics()["below"]["dir"], f"{path}/below")
    must("topic", "delete", "below")


def test_durable_offset_follows():
    topic = Durable(place(), "-p", "2", "--flush-interval", "0", "--flush-bytes", "0")
    fill(topic, b"one", b"two")
    shown = topic.show()["partition"]
    eq([p["end_offset"] for p in shown], [2, 0])
    sync(topic)
    shown = topic.show()["partition"]
    eq([(p["durable_offset"], p["unwritten"]) for p in shown], [(2, 0), (0, 0)])


def test_set():
    topic = Durable(place())
    must("topic", "set", topic.name, "flush-interval=5s", "flush-bytes=1M")
    shown = topic.show()
    eq((shown["flush_interval"], shown["flush_bytes"]), (5000, 1 << 20))
    changed = json.loads(must("-j", "topic", "set", topic.name, "flush-interval=0"))
    eq(changed["flush_interval"], 0)
    topic.detach()
    topic.attach()
    shown = topic.show()
    eq((shown["flush_interval"], shown["flush_bytes"]), (0, 1 << 20), "it is kept")


def test_set_refused():
    topic, volatile = Durable(place()), Topic()
    before = topic.show()
    refused(errno.EINVAL, "topic", "set", topic.name, f"dir={topic.dir}", says=["(dir)"])
    refused(errno.EINVAL, "topic", "set", topic.name, "flush-bytes=1M", "full=block", says=["(full_policy)"])
    refused(errno.EINVAL, "topic", "set", volatile.name, "flush-interval=1s", says=["(flush_interval)"])
    refused(errno.EINVAL, "topic", "set", volatile.name, "flush-bytes=1M", says=["(flush_bytes)"])
    eq(topic.show(), before, "nothing has changed")


def test_wrong_usage():
    path = place()
    for args in (("topic", "create", "x", "--dir"), ("topic", "create", "x", "--dir", ""),
                 ("topic", "create", "x", "--dir", path, "--flush-interval", "1"),
                 ("topic", "create", "x", "--dir", path, "--flush-interval", "-1s"),
                 ("topic", "create", "x", "--dir", path, "--flush-bytes", "1s"),
                 ("topic", "attach"), ("topic", "attach", "--dir", path), ("topic", "detach"),
                 ("restore", "--nothing"), ("restore", "-x")):
        status, out, err = streamctl(*args)
        eq((status, out), (1, b""), str(args))
        ok(err, f"{args}: it says why")
    eq(os.listdir(path), [], "nothing was made")
    for args in (("topic", "attach", "-h"), ("topic", "detach", "--help"), ("restore", "-h"),
                 ("restore", "help")):
        status, out, err = streamctl(*args)
        eq((status, err), (0, b""), str(args))
        ok(out, f"{args}: it prints something")


def test_create_refused():
    path = place()
    with open(f"{path}/file", "wb"):
        pass
    refused(errno.ENOENT, "topic", "create", "x", "--dir", f"{path}/missing", says=["(dir)"])
    refused(errno.ENOTDIR, "topic", "create", "x", "--dir", f"{path}/file", says=["(dir)"])
    for full in ("overwrite", "block", "fail"):
        refused(errno.EINVAL, "topic", "create", "x", "--dir", path, "--full", full,
                says=["(full_policy)"])
    refused(errno.EINVAL, "topic", "create", "x", "--flush-interval", "1s", says=["(flush_interval)"])
    refused(errno.EINVAL, "topic", "create", "x", "--flush-bytes", "1M", says=["(flush_bytes)"])
    os.mkdir(f"{path}/x-1")
    refused(errno.EEXIST, "topic", "create", "x", "--dir", path, "-p", "2", says=["(dir)"])
    eq(sorted(os.listdir(path)), ["file", "x-1"], "nothing is left of it")
    eq(t.topics(), {})


def test_create_where_one_is():
    topic = Durable(place())
    fill(topic, b"kept")
    refused(errno.EEXIST, "topic", "create", topic.name, "--dir", topic.dir)
    topic.detach()
    refused(errno.EEXIST, "topic", "create", topic.name, "--dir", topic.dir, says=["(dir)"])
    topic.attach()
    eq(values(topic), [b"kept"])


def test_long_names():
    """NAME.evstream is a file's name, too."""
    path = place()
    refused(errno.EINVAL, "topic", "create", "n" * 247, "--dir", path)
    refused(errno.EINVAL, "topic", "attach", path, "n" * 247)
    eq(os.listdir(path), [])
    topic = Durable(path, name="n" * 246)
    topic.detach()
    topic.attach()
    topic.delete()
    eq(os.listdir(path), [])
    Topic(name="n" * 249).delete()


def test_delete_takes_the_files():
    topic = Durable(place(), "-p", "3")
    fill(topic, b"x")
    ok(len(os.listdir(topic.dir)) >= 3, "there are files")
    topic.delete()
    eq(os.listdir(topic.dir), [])


# --------------------------------------------------------------------------- detach, attach


def test_detach_and_attach():
    topic = Durable(place(), "-p", "2", "--framing", "line", "--mode", "0600", "--owner", "1:2")
    fill(topic, b"one", b"two")
    fill(topic, b"three", partition=1)
    before = topic.show()
    fd = topic.open()
    eq(must("topic", "detach", topic.name), b"")
    t.fails(errno.ENODEV, os.write, fd, b"x\n")
    ok(not os.path.exists(f"/dev/stream/{topic.name}"), "the devices are gone")
    eq(attached(), [])
    eq(must("topic", "attach", topic.dir), b"")
    after = topic.show()
    for member in ("name", "partitions", "segment_size", "ring_size", "max_record", "framing", "dir",
                   "retention_ms", "retention_bytes", "mode", "uid", "gid", "flush_interval",
                   "flush_bytes", "created_ms"):
        eq(after[member], before[member], member)
    eq([p["end_offset"] for p in after["partition"]], [2, 1])
    eq([p["durable_offset"] for p in after["partition"]], [2, 1])
    ok(not any("cut_bytes" in p for p in after["partition"]), "nothing was cut")
    eq((values(topic), values(topic, 1)), ([b"one", b"two"], [b"three"]))
    fill(topic, b"more")
    eq(values(topic), [b"one", b"two", b"more"])


def test_json_of_detach_and_attach():
    topic = Durable(place())
    fill(topic, b"one")
    eq(json.loads(must("-j", "topic", "detach", topic.name)), {"name": topic.name, "detached": True})
    out = must("-j", "topic", "attach", topic.dir, topic.name)
    shown = topic.show()
    eq(json.loads(out), shown)
    eq((shown["dir"], shown["partition"][0]["end_offset"]), (topic.dir, 1))


def test_many_in_one_directory():
    path = place()
    topics = [Durable(path, "-p", n, name=f"many.{n}") for n in (1, 12)]
    topics.append(Durable(path, name="many-2"))
    for topic in topics:
        fill(topic, topic.name.encode())
    eq(must("topic", "detach", *[topic.name for topic in topics]), b"")
    for other in ("lost+found", "many", "many-", "many-00", "many-x", "other-4096"):
        os.mkdir(f"{path}/{other}")
    with open(f"{path}/cleaner-offset-checkpoint", "wb"):
        pass
    must("topic", "attach", path)
    eq(attached(), sorted(topic.name for topic in topics))
    for topic in topics:
        eq(values(topic), [topic.name.encode()])


def test_attach_by_name():
    path = place()
    topics = {name: Durable(path, name=name) for name in ("first", "second", "third")}
    must("topic", "detach", *topics)
    must("topic", "attach", path, "second")
    eq(attached(), ["second"])
    # One that is not there keeps no other from it.
    status, _, err = streamctl("topic", "attach", path, "first", "missing", "third")
    eq(status, 2)
    ok(b"'missing'" in err and os.strerror(errno.ENOENT).encode() in err, f"{err}")
    eq(attached(), ["first", "second", "third"])


def test_detach_goes_on():
    path = place()
    for name in ("first", "second"):
        Durable(path, name=name).there = False
    status, _, err = streamctl("topic", "detach", "first", "missing", "second")
    eq(status, 2)
    ok(b"'missing'" in err, f"{err}")
    eq(attached(), [])


def test_attach_refused():
    path = place()
    refused(errno.ENOENT, "topic", "attach", f"{path}/missing")
    refused(errno.ENOENT, "topic", "attach", f"{path}/missing", "name", says=["(dir)"])
    refused(errno.ENOENT, "topic", "attach", path)
    refused(errno.ENOENT, "topic", "attach", path, "missing")
    refused(errno.EINVAL, "topic", "attach", path, "no/name", says=["(name)"])
    refused(errno.EINVAL, "topic", "attach", path, "..", says=["(name)"])
    refused(errno.ENOENT, "topic", "detach", "missing", says=["(name)"])
    refused(errno.EINVAL, "topic", "detach", Topic().name, says=["(name)"])
    eq(os.listdir(path), [])


def test_json_of_refusals():
    path, topic = place(), Topic()
    for args, code, attribute in (
        (("topic", "create", "x", "--dir", f"{path}/missing"), errno.ENOENT, "dir"),
        (("topic", "attach", path, "x"), errno.ENOENT, "name"),
        (("topic", "attach", path, topic.name), errno.EEXIST, "name"),
        (("topic", "attach", path), errno.ENOENT, None),
        (("topic", "detach", topic.name), errno.EINVAL, "name"),
        (("restore", "/missing"), errno.ENOENT, None),
    ):
        status, out, err = streamctl("-j", *args)
        error = json.loads(out)
        eq((status, err, error["errno"], error.get("attribute")), (2, b"", code, attribute), str(args))
        ok(os.strerror(code) in error["error"], f"{error}")


def test_attach_twice():
    topic = Durable(place())
    fill(topic, b"kept")
    refused(errno.EEXIST, "topic", "attach", topic.dir, says=[topic.name])
    topic.detach()
    volatile = Topic(name=topic.name)
    refused(errno.EEXIST, "topic", "attach", topic.dir, says=["(name)"])
    volatile.delete()
    topic.attach()
    eq(values(topic), [b"kept"])


def test_directory_in_use():
    topic = Durable(place())
    fill(topic, b"kept")
    os.rename(topic.config(), f"{topic.dir}/renamed.evstream")
    os.rename(topic.part(), f"{topic.dir}/renamed-0")
    refused(errno.EBUSY, "topic", "attach", topic.dir, "renamed")
    os.rename(f"{topic.dir}/renamed-0", topic.part())
    os.rename(f"{topic.dir}/renamed.evstream", topic.config())
    topic.detach()
    topic.attach()
    eq(values(topic), [b"kept"])


def test_missing_partition():
    topic = Durable(place(), "-p", "3")
    topic.detach()
    os.rename(topic.part(1), f"{topic.dir}/away")
    refused(errno.EUCLEAN, "topic", "attach", topic.dir)
    os.rename(f"{topic.dir}/away", topic.part(1))
    topic.attach()


def slot(lines):
    """A slot of a configuration as a module would write it."""
    text = "".join(f"{line}\n" for line in lines).encode()
    text += f"checksum={kafka.crc32c(text):08x}\n".encode()
    return text + b"\n" * (SLOT - len(text))


def slots(path):
    """The lines of each slot that has some, but for their checksum."""
    with open(path, "rb") as file:
        data = file.read()
    found = []
    for at in range(0, len(data), SLOT):
        lines = data[at : at + SLOT].rstrip(b"\n\0").decode().splitlines()
        if lines:
            eq(data[at : at + SLOT], slot(lines[:-1]), "the slot is as it is documented")
            found.append(lines[:-1])
    return found


def test_newer_version():
    topic = Durable(place())
    topic.detach()
    newest = max(slots(topic.config()), key=lambda lines: int(dict(x.split("=", 1) for x in lines)["sequence"]))
    with open(topic.config(), "rb") as file:
        kept = file.read()
    with open(topic.config(), "wb") as file:
        file.write(slot(["evstream=2", *newest[1:]]) * 2)
    refused(errno.EPROTONOSUPPORT, "topic", "attach", topic.dir)
    with open(topic.config(), "wb") as file:
        file.write(kept)
    topic.attach()


def test_damaged_configuration():
    topic = Durable(place(), "--flush-interval", "3s")
    topic.set("flush-bytes=3M")
    topic.detach()
    with open(topic.config(), "rb") as file:
        kept = file.read()
    # One slot is enough, whichever it is.
    for at in range(0, len(kept), SLOT):
        broken = bytearray(kept)
        broken[at + 3] ^= 1
        with open(topic.config(), "wb") as file:
            file.write(broken)
        topic.attach()
        eq(topic.show()["flush_interval"], 3000)
        topic.detach()
    for broken in (bytes(len(kept)), b"x" * len(kept), b"", kept[:100]):
        with open(topic.config(), "wb") as file:
            file.write(broken)
        refused(errno.EUCLEAN, "topic", "attach", topic.dir)
    with open(topic.config(), "wb") as file:
        file.write(kept)
    topic.attach()
    eq(topic.show()["flush_bytes"], 3 << 20)


def test_directory_without_our_files():
    topic = Durable(place(), "-p", "2")
    fill(topic, b"one", b"two")
    topic.detach()
    os.unlink(topic.config())
    for partition in range(2):
        os.unlink(f"{topic.part(partition)}/evstream.checkpoint")
    must("topic", "attach", topic.dir)
    topic.there = True
    eq(topic.show()["partitions"], 2)
    eq((values(topic), values(topic, 1)), ([b"one", b"two"], []))


def test_what_was_cut_is_told():
    topic = Durable(place())
    fill(topic, b"one", b"two")
    sync(topic)
    copy = f"{topic.dir}/copy"
    os.mkdir(copy)
    # As after a crash: what is on stable storage, and a torn batch behind it.
    for name in (os.path.basename(topic.config()), os.path.basename(topic.part())):
        subprocess.run(["cp", "-r", f"{topic.dir}/{name}", copy], check=True)
    fill(topic, b"three")
    sync(topic)
    with open(topic.log(), "rb") as file:
        first, second = split(file.read(1 << 16))
    torn = second[:-3] + b"???"
    with open(f"{copy}/{topic.name}-0/{0:020d}.log", "r+b") as file:
        file.seek(len(first))
        file.write(torn)
    topic.detach()
    status, out, err = streamctl("topic", "attach", copy)
    eq((status, out), (0, b""), f"{err}")
    ok(f"{topic.name}/0: recovery cut {len(torn)} bytes".encode() in err, f"{err}")
    shown = json.loads(must("-j", "topic", "show", topic.name))["partition"][0]
    eq((shown["cut_bytes"], shown["end_offset"]), (len(torn), 2))
    text = must("topic", "show", topic.name).decode()
    ok("CUT" in text and str(len(torn)) in text, text)
    eq(values(topic), [b"one", b"two"])
    # It is told once.
    must("topic", "detach", topic.name)
    status, out, err = streamctl("topic", "attach", copy)
    eq((status, out, err), (0, b"", b""))
    must("topic", "detach", topic.name)
    topic.attach()
    eq(values(topic), [b"one", b"two", b"three"])


def split(data):
    """The batches at the beginning of a file."""
    found = []
    while len(data) >= 12 and int.from_bytes(data[8:12], "big"):
        size = 12 + int.from_bytes(data[8:12], "big")
        found.append(data[:size])
        data = data[size:]
    return found


# -------------------------------------------------------------------------------- permission


def as_nobody(*args):
    done = subprocess.run(["streamctl", *args], capture_output=True, user=65534, group=65534,
                          extra_groups=[], check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def test_unprivileged():
    path = place()
    os.chmod(path, 0o777)
    topic = Durable(path, "--mode", "0666")
    must("topic", "create", "away", "--dir", path)
    must("topic", "detach", "away")
    # Changing needs the capability, whoever may write to the directory.
    for args in (("topic", "create", "x", "--dir", path), ("topic", "attach", path, "away"),
                 ("topic", "detach", topic.name), ("topic", "set", topic.name, "flush-interval=0"),
                 ("topic", "delete", topic.name)):
        status, _, err = as_nobody(*args)
        eq(status, 2, f"{args}: {err}")
        ok(os.strerror(errno.EPERM) in err, f"{args}: {err}")
    # Looking, appending and flushing does not.
    status, out, _ = as_nobody("-j", "topic", "show", topic.name)
    eq((status, json.loads(out)["dir"]), (0, path))
    with t.child(lambda: os.setuid(65534) or use(topic.path())):
        pass
    eq(values(topic), [b"theirs"])
    must("topic", "attach", path, "away")
    must("topic", "delete", "away")


def use(path):
    fd = os.open(path, os.O_WRONLY | os.O_DSYNC)
    return os.write(fd, b"theirs") == 6


def test_files_are_not_for_others():
    topic = Durable(place(), "--mode", "0666")
    for folder, _, files in os.walk(topic.part()):
        for name in files:
            mode = os.stat(f"{folder}/{name}").st_mode
            ok(not mode & 0o022, f"only its owner writes {name}: {mode:o}")


# ----------------------------------------------------------------------------------- restore


@contextlib.contextmanager
def lists(**texts):
    """The drop-in lists of the machine."""
    os.makedirs(LISTS)
    try:
        for name, text in texts.items():
            with open(f"{LISTS}/{name.replace('_', '.')}", "w", encoding="utf-8") as file:
                file.write(text)
        yield
    finally:
        shutil.rmtree(os.path.dirname(LISTS))


def test_restore():
    path, other = place(), place()
    for name, where in (("first", path), ("second", path), ("third", other)):
        Durable(where, name=name).there = False
        must("produce", name, data=name.encode())
    volatile = Topic()
    must("topic", "detach", "first", "second", "third")
    with lists(b_conf=f"# of the shop\n\n  {path}\t# both of them\n", a_conf=f"{other}\n",
               c_list="/missing\n", d_conf=""):
        for _ in range(2):
            # The second time they are there, and that is fine.
            eq(streamctl("restore"), (0, b"", b""))
            eq(attached(), ["first", "second", "third"])
        for name in attached():
            eq(must("consume", name, "-e"), name.encode() + b"\n")
        must("topic", "detach", "second")
        eq(streamctl("restore"), (0, b"", b""))
        eq(attached(), ["first", "second", "third"], "what is missing comes back")
        eq(streamctl("restore", "--detach"), (0, b"", b""))
        eq(attached(), [])
        ok(volatile.name in t.topics(), "the volatile one stays")


def test_restore_goes_on():
    path, other = place(), place()
    for name, where in (("broken", path), ("fine", path), ("last", other)):
        Durable(where, name=name).there = False
    must("topic", "detach", "broken", "fine", "last")
    shutil.rmtree(f"{path}/broken-0")
    with lists(x_conf=f"/missing\n{path}\nrelative\n{other}\n"):
        status, out, err = streamctl("restore")
        eq((status, out), (2, b""))
        words = ("/missing", "'broken'", f"{LISTS}/x.conf:3")
        for word in words:
            ok(word.encode() in err, f"{word} in {err}")
        eq(len(err.splitlines()), len(words), f"{err}")
        eq(attached(), ["fine", "last"])
        status, out, err = streamctl("-j", "restore")
        eq((status, err), (2, b""))
        errors = [json.loads(line) for line in out.splitlines()]
        eq(sorted(e["errno"] for e in errors), sorted([errno.ENOENT, errno.EUCLEAN, errno.EINVAL]))


def test_restore_of_nothing():
    ok(not os.path.exists(LISTS), "there are no lists")
    eq(streamctl("restore"), (0, b"", b""))
    eq(streamctl("restore", "--detach"), (0, b"", b""))
    with lists():
        eq(streamctl("restore"), (0, b"", b""))
    empty = place()
    with lists(x_conf=f"{empty}\n"):
        eq(streamctl("restore"), (0, b"", b""), "a directory without topics")
    status, _, err = streamctl("restore", "/missing")
    eq(status, 2)
    ok(b"/missing" in err, f"{err}")


def test_restore_of_lists():
    path, other = place(), place()
    for name, where in (("first", path), ("second", other)):
        Durable(where, name=name).there = False
    must("topic", "detach", "first", "second")
    os.mkdir(f"{path}/lists")
    with open(f"{path}/lists/x.conf", "w", encoding="utf-8") as file:
        file.write(f"{path}\n")
    with open(f"{path}/list", "w", encoding="utf-8") as file:
        file.write(other)
    must("restore", f"{path}/lists")
    eq(attached(), ["first"])
    must("restore", f"{path}/list")
    eq(attached(), ["first", "second"])
    # The other names of a directory are this directory.
    os.symlink(path, f"{other}/link")
    with open(f"{path}/list", "w", encoding="utf-8") as file:
        file.write(f"{other}/link\n{path}/../{os.path.basename(path)}/\n")
    eq(streamctl("restore", f"{path}/list"), (0, b"", b""))
    must("restore", "--detach", f"{path}/list")
    eq(attached(), ["second"])
    shown = [json.loads(line) for line in must("-j", "restore", f"{path}/list").splitlines()]
    eq([(s["name"], s["dir"], len(s["partition"])) for s in shown], [("first", path, 1)])
    gone = [json.loads(line) for line in must("-j", "restore", "--detach").splitlines()]
    eq(sorted(g["name"] for g in gone), ["first", "second"])


def test_name_that_another_topic_has():
    path, other = place(), place()
    Durable(path, name="same").there = False
    must("topic", "detach", "same")
    Durable(other, name="same").there = False
    with lists(x_conf=f"{path}\n"):
        status, _, err = streamctl("restore")
        eq(status, 2)
        ok(os.strerror(errno.EEXIST).encode() in err, f"{err}")
    eq(t.topics()["same"]["dir"], other)


# ----------------------------------------------------------------------------------- monitor


def test_monitor():
    topic = Durable(place())
    with running("-j", "monitor") as process, running("monitor") as plain:
        listening(process.pid)
        listening(plain.pid)
        topic.detach()
        topic.attach()
        topic.set("flush-interval=2s")
        events = [json.loads(process.stdout.readline()) for _ in range(3)]
        eq([e["event"] for e in events], ["topic-del", "topic-new", "topic-set"])
        eq({(e["name"], e["dir"]) for e in events}, {(topic.name, topic.dir)})
        eq([e["flush_interval"] for e in events], [1000, 1000, 2000])
        for word in ("topic-del", "topic-new", "topic-set"):
            line = plain.stdout.readline().decode()
            ok(line.startswith(f"{word} {topic.name} ") and line.endswith(f" dir {topic.dir}\n"), line)
        process.send_signal(signal.SIGINT)
        process.wait()


def failing_disk():
    """A disk that can be made to fail; no topic of it is left."""
    disk = Disk.private(256 << 20)
    Topic.stack.callback(streamctl, "restore", "--detach")
    return disk


def test_write_error_is_told():
    disk = failing_disk()
    topic = Durable(disk.dir, "-p", "2", "--flush-interval", "0")
    fill(topic, b"one")
    sync(topic)
    with running("-j", "monitor") as process, running("monitor") as plain:
        listening(process.pid)
        listening(plain.pid)
        fill(topic, b"two")
        disk.become("error")
        fd = topic.open()
        t.fails(errno.EIO, os.fsync, fd)
        t.fails(errno.EIO, os.write, fd, b"three")
        event = json.loads(process.stdout.readline())
        eq(event, {"event": "partition-error", "topic": topic.name, "partition": 0, "error": "EIO"})
        eq(plain.stdout.readline().decode(), f"partition-error {topic.name} partition 0 error EIO\n")
    shown = topic.show()["partition"]
    eq([p.get("error") for p in shown], ["EIO", None])
    ok(shown[0]["durable_offset"] == 1 and shown[0]["unwritten"], f"{shown[0]}")
    text = must("topic", "show", topic.name).decode()
    ok("ERROR" in text and "EIO" in text, text)
    status, _, err = streamctl("produce", topic.name, "-p", "0", data=b"x\n")
    ok(status == 2 and os.strerror(errno.EIO).encode() in err, f"{status} {err}")
    eq(values(topic), [b"one", b"two"], "it is served on")
    disk.become("linear")
    # What the disk did not take is lost, which is said.
    warning = "the storage has failed: records that were not durable are lost"
    eq(streamctl("topic", "detach", topic.name),
       (0, b"", f"streamctl: warning: detach topic '{topic.name}': {warning}\n".encode()))
    topic.there = False


def test_consume_when_the_storage_fails():
    disk = failing_disk()
    topic = Durable(disk.dir, "--segment", "1M", "--max-record", "64K")
    lines = [b"%06d " % i + b"x" * 50000 for i in range(60)]
    fill(topic, *lines)
    sync(topic)
    eq(values(topic), lines)
    t.put("/proc/sys/vm/drop_caches", 3)
    # The beginning is in memory again; the end is not.
    eq(must("consume", topic.name, "-c", "3").splitlines(), lines[:3])
    disk.become("error")
    status, out, err = streamctl("consume", topic.name, "-e")
    ok(status == 2 and b"storage" in err and os.strerror(errno.EIO).encode() in err, f"{status}: {err}")
    seen = out.splitlines()
    eq(seen, lines[: len(seen)], "what was read is whole")
    ok(len(seen) < len(lines), "not all of it could be")
    disk.become("linear")
    eq(values(topic), lines, "it is there again")
    topic.delete()


if __name__ == "__main__":
    t.main()
