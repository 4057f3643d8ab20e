# SPDX-License-Identifier: GPL-2.0-only
"""What the Python tests share: TAP, topics, the ioctls."""
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from ctypes import c_int32, c_int64, c_uint32, c_uint64

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "unit"))
import kafka_ref as kafka  # noqa: E402

__all__ = ["kafka"]

ALL = 0xFFFFFFFF
# How many times slower the kernel is in all that it does.
SLOWER = int(os.environ.get("EVSTREAM_SLOWER") or 1)
# No test takes so long: it hangs.
PATIENCE = 90 * SLOWER


class Skip(Exception):
    """A test cannot run here; the message says why."""


class Failed(Exception):
    """A check did not hold."""


def eq(seen, expected, what=""):
    if seen != expected:
        text = f"{what}: " if what else ""
        raise Failed(f"{text}{_short(seen)}, not {_short(expected)}")


def ok(condition, what):
    if not condition:
        raise Failed(f"not so: {what}")


def _short(value):
    text = repr(value)
    return text if len(text) < 400 else f"{text[:200]} ... {text[-150:]} (length {len(value)})"


def fails(code, call, *args):
    """Check that a call fails with an errno."""
    try:
        result = call(*args)
    except OSError as error:
        if error.errno != code:
            name = errno.errorcode.get(error.errno, error.errno)
            raise Failed(f"{name}, not {errno.errorcode[code]}") from error
        return error
    raise Failed(f"{_short(result)}, not {errno.errorcode[code]}")


def _alarm(_signal, _frame):
    raise Failed(f"it hung for {PATIENCE} s")


def main():
    """Run the caller's test_* functions, in their order, and print TAP."""
    module = sys.modules["__main__"]
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
    if len(sys.argv) > 1:
        tests = [(n, f) for n, f in tests if n in sys.argv[1:] or n[5:] in sys.argv[1:]]
    random.seed(1)
    signal.signal(signal.SIGALRM, _alarm)
    print(f"TAP version 13\n1..{len(tests)}", flush=True)
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        name = name[5:]
        signal.alarm(PATIENCE)
        try:
            with contextlib.ExitStack() as stack:
                Topic.stack = stack
                test()
            line = f"ok {number} {name}"
        except Skip as why:
            line = f"ok {number} {name} # SKIP {why}"
        except Exception:  # pylint: disable=broad-except
            failed += 1
            for text in traceback.format_exc().splitlines():
                print(f"# {text}")
            line = f"not ok {number} {name}"
        finally:
            signal.alarm(0)
        print(line, flush=True)
    sys.exit(1 if failed else 0)


# ------------------------------------------------------------------- streamctl


def streamctl(*args, data=None, env=None):
    """Run it: exit status, standard output, standard error, as bytes."""
    done = subprocess.run(
        ["streamctl", *map(str, args)], input=data, capture_output=True, env=env, check=False
    )
    return done.returncode, done.stdout, done.stderr


def must(*args, data=None):
    """Run it, to succeed: its output."""
    status, out, err = streamctl(*args, data=data)
    if status:
        raise Failed(f"streamctl {' '.join(map(str, args))}: {status}: {err.decode()}")
    return out


def topics():
    return {t["name"]: t for t in json.loads(must("-j", "topic", "list"))}


class Topic:
    """A topic that goes away with its test."""

    stack = None
    count = 0

    def __init__(self, *options, name=None):
        Topic.count += 1
        program = os.path.splitext(os.path.basename(sys.argv[0]))[0]
        self.name = name or f"{program}-{os.getpid()}-{Topic.count}"
        self.create(*options)
        self.there = True
        self.fds = []
        Topic.stack.callback(self.close)

    def create(self, *options):
        must("topic", "create", self.name, *options)

    def path(self, partition=0):
        return f"/dev/stream/{self.name}/{partition}"

    def open(self, partition=0, flags=os.O_RDWR):
        """A file; closed with the test."""
        fd = os.open(self.path(partition), flags | os.O_CLOEXEC)
        self.fds.append(fd)
        return fd

    def show(self):
        return json.loads(must("-j", "topic", "show", self.name))

    def partition(self, number=0):
        return self.show()["partition"][number]

    def set(self, *what):
        must("topic", "set", self.name, *what)

    def delete(self):
        must("topic", "delete", self.name)
        self.there = False

    def close(self):
        for fd in self.fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        if self.there:
            self.delete()


class Durable(Topic):
    """A topic in a directory, that a test may detach and attach."""

    def __init__(self, path, *options, name=None):
        self.dir = path
        super().__init__("--dir", path, *options, name=name)

    def detach(self):
        must("topic", "detach", self.name)
        self.there = False

    def attach(self, *args):
        must("topic", "attach", self.dir, self.name, *args)
        self.there = True

    def part(self, partition=0):
        return f"{self.dir}/{self.name}-{partition}"


# ---------------------------------------------------------------------- ioctls


class Record(ctypes.Structure):
    _fields_ = [
        ("key", c_uint64),
        ("value", c_uint64),
        ("headers", c_uint64),
        ("key_len", c_int32),
        ("value_len", c_int32),
        ("headers_len", c_uint32),
        ("headers_count", c_uint32),
        ("timestamp", c_int64),
        ("offset", c_int64),
        ("partition", c_uint32),
        ("error", c_int32),
    ]


class Append(ctypes.Structure):
    NR, DIR = 1, 3
    _fields_ = [
        ("records", c_uint64),
        ("nr_records", c_uint32),
        ("record_size", c_uint32),
        ("flags", c_uint32),
        ("appended", c_uint32),
    ]


class AppendBatch(ctypes.Structure):
    NR, DIR = 2, 3
    _fields_ = [
        ("batch", c_uint64),
        ("len", c_uint32),
        ("partition", c_uint32),
        ("flags", c_uint32),
        ("reserved", c_uint32),
        ("base_offset", c_int64),
    ]


class Fetch(ctypes.Structure):
    NR, DIR = 3, 3
    _fields_ = [
        ("buf", c_uint64),
        ("len", c_uint32),
        ("min_bytes", c_uint32),
        ("timeout_ms", c_int32),
        ("partition", c_uint32),
        ("flags", c_uint32),
        ("bytes", c_uint32),
        ("offset", c_int64),
        ("next_offset", c_int64),
        ("start_offset", c_int64),
        ("end_offset", c_int64),
        ("position", c_uint64),
    ]


class Seek(ctypes.Structure):
    NR, DIR = 4, 3
    OFFSET, EARLIEST, LATEST, TIMESTAMP = range(4)
    _fields_ = [
        ("whence", c_uint32),
        ("partition", c_uint32),
        ("value", c_int64),
        ("offset", c_int64),
        ("position", c_uint64),
    ]


class Stat(ctypes.Structure):
    NR, DIR = 5, 3
    # Bytes of its first version: what has grown has one.
    FIRST = 88
    _fields_ = [
        ("partition", c_uint32),
        ("partitions", c_uint32),
        ("framing", c_uint32),
        ("segment_shift", c_uint32),
        ("max_record", c_uint32),
        ("reserved", c_uint32),
        ("offset", c_int64),
        ("start_offset", c_int64),
        ("end_offset", c_int64),
        ("start_position", c_uint64),
        ("end_position", c_uint64),
        ("appended_records", c_uint64),
        ("appended_bytes", c_uint64),
        ("lost_records", c_uint64),
        ("durable_offset", c_int64),
    ]


class SetFraming(ctypes.Structure):
    NR, DIR = 6, 1
    _fields_ = [("framing", c_uint32), ("reserved", c_uint32)]


class Gap(ctypes.Structure):
    NR, DIR = 7, 3
    _fields_ = [
        ("partition", c_uint32),
        ("reserved", c_uint32),
        ("from_", c_int64),
        ("to", c_int64),
        ("lost", c_uint64),
    ]


class Trim(ctypes.Structure):
    NR, DIR = 8, 3
    _fields_ = [
        ("partition", c_uint32),
        ("flags", c_uint32),
        ("offset", c_int64),
        ("start_offset", c_int64),
    ]


STRUCTS = (Append, AppendBatch, Fetch, Seek, Stat, SetFraming, Gap, Trim)


def code(struct, size=None):
    """The number of the ioctl that takes a structure, of any size."""
    size = ctypes.sizeof(struct) if size is None else size
    return struct.DIR << 30 | size << 16 | 0xB7 << 8 | struct.NR


def ioctl(fd, arg):
    """Do it; the structure is changed in place and returned."""
    fcntl.ioctl(fd, code(type(arg)), arg, True)
    return arg


def stat(fd, partition=0):
    return ioctl(fd, Stat(partition=partition))


def end(fd, partition=0):
    return stat(fd, partition).end_offset


def fetch_raw(fd, room=1 << 20, **args):
    """FETCH: the structure, and the bytes."""
    buf = ctypes.create_string_buffer(max(room, 1))
    args.setdefault("len", room)
    a = Fetch(buf=ctypes.addressof(buf), **args)
    ioctl(fd, a)
    return a, buf.raw[: a.bytes]


def fetch_all(fd, partition=0, offset=None):
    """All bytes of batches from an offset, the oldest by default."""
    data = b""
    at = stat(fd, partition).start_offset if offset is None else offset
    while at < end(fd, partition):
        a, more = fetch_raw(fd, offset=at, partition=partition)
        data += more
        at = a.next_offset
    return data


def append_batch(fd, batch, partition=0):
    """APPEND_BATCH: the base offset."""
    buf = ctypes.create_string_buffer(bytes(batch), max(len(batch), 1))
    a = AppendBatch(batch=ctypes.addressof(buf), len=len(batch), partition=partition)
    return ioctl(fd, a).base_offset


def record_array(records):
    """struct evstream_record of records as kafka_ref has them; what it points to."""
    array = (Record * max(len(records), 1))()
    keep = []

    def address(data):
        if not data:
            return 0
        keep.append(ctypes.create_string_buffer(bytes(data), len(data)))
        return ctypes.addressof(keep[-1])

    for r, record in zip(array, records):
        key, value = record.get("key"), record.get("value")
        headers = kafka.encode_headers(record.get("headers", []))
        r.key, r.key_len = address(key), -1 if key is None else len(key)
        r.value, r.value_len = address(value), -1 if value is None else len(value)
        r.headers, r.headers_len = address(headers), len(headers)
        r.headers_count = len(record.get("headers", []))
        r.timestamp = record.get("timestamp", -1)
        r.offset, r.partition, r.error = -77, 77, 77
    return array, keep


def append_array(fd, array, count=None, size=None, flags=0):
    a = Append(
        records=ctypes.addressof(array),
        nr_records=len(array) if count is None else count,
        record_size=size or ctypes.sizeof(Record),
        flags=flags,
    )
    return ioctl(fd, a)


def append(fd, records):
    """APPEND: the array, with each record's fate."""
    array, _keep = record_array(records)
    append_array(fd, array)
    return array


# ------------------------------------------------------------------- processes


def sleeps_in(tid, number):
    """Wait until a task sleeps in a system call; False where it ended."""
    while True:
        try:
            with open(f"/proc/{tid}/stat", encoding="ascii", errors="replace") as file:
                state = file.read().rpartition(")")[2].split()[0]
            with open(f"/proc/{tid}/syscall", encoding="ascii") as file:
                call = file.read().split()[0]
        except OSError:
            return False
        if state in "ZX":
            return False
        if state == "S" and call == str(number):
            return True
        time.sleep(0.005)


SYS_read, SYS_write, SYS_poll, SYS_ioctl = 0, 1, 7, 16


@contextlib.contextmanager
def child(function):
    """Run a function in a child; at the end check that it returned what is true."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = 0 if function() else 2
        except BaseException:  # pylint: disable=broad-except
            for line in traceback.format_exc().splitlines():
                os.write(1, f"# child: {line}\n".encode())
        finally:
            os._exit(status)
    try:
        yield pid
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    _, status = os.waitpid(pid, 0)
    if status:
        raise Failed(f"the child ended with {os.waitstatus_to_exitcode(status)}")


def wait_for(condition, what):
    """Wait for what must come true, however long that takes."""
    while True:
        result = condition()
        if result:
            return result
        time.sleep(0.02)


def put(path, text):
    """What a file of the kernel says from now on."""
    with open(path, "w", encoding="ascii") as file:
        file.write(str(text))


@contextlib.contextmanager
def setting(path, value):
    """What a file of the kernel says is another for a while."""
    with open(path, encoding="ascii") as file:
        before = file.read()
    put(path, value)
    try:
        yield
    finally:
        put(path, before)


def parameter(name, value):
    """A parameter of the module is another for a while."""
    return setting(f"/sys/module/evstream/parameters/{name}", value)


@contextlib.contextmanager
def running(*args, stdin=subprocess.PIPE):
    """streamctl in the background, killed in the end."""
    process = subprocess.Popen(["streamctl", *map(str, args)], stdin=stdin,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def listening(pid):
    """Wait until a process' netlink socket is in a multicast group."""

    def joined():
        with open("/proc/net/netlink", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        inodes = set()
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
        return any(row[1] == "16" and int(row[3], 16) and row[9] in inodes for row in rows)

    wait_for(joined, "it listens")
