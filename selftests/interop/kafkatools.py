# SPDX-License-Identifier: GPL-2.0-only
"""Apache Kafka's programs: the packages, the broker, and what DumpLogSegments says."""
import base64
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import shapes

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(TOP, "build", "interop")
LIB = os.path.join(WORK, "lib")
CLASSES = os.path.join(WORK, "classes")

COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
# Longer than anything here takes, however slow the machine: it hangs.
PATIENCE = 600


class Problem(Exception):
    """Something is not as it has to be."""


# ---------------------------------------------------------------- the packages


def newer(path, than):
    return os.path.exists(path) and os.path.getmtime(path) >= os.path.getmtime(than)


def prepare():
    """Fetch what pom.xml names, compile Interop.java, where that was not done before."""
    pom, java = os.path.join(HERE, "pom.xml"), os.path.join(HERE, "Interop.java")
    stamp = os.path.join(LIB, ".complete")
    if not newer(stamp, pom):
        shutil.rmtree(LIB, ignore_errors=True)
        command = ["mvn", "-q", "-B", "-Dstyle.color=never", "-f", pom, COPY]
        command += [f"-Dmaven.repo.local={WORK}/repo", "-DincludeScope=runtime"]
        command += [f"-DoutputDirectory={LIB}"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        with open(stamp, "w", encoding="ascii"):
            pass
    compiled = os.path.join(CLASSES, "Interop.class")
    if not newer(compiled, java) or not newer(compiled, stamp):
        shutil.rmtree(CLASSES, ignore_errors=True)
        subprocess.run(["javac", "-cp", f"{LIB}/*", "-d", CLASSES, java], check=True)
    os.makedirs(os.path.join(WORK, "tmp"), exist_ok=True)


def java(*args, level="WARN"):
    """The command that runs a class."""
    return [
        "java",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dfile.encoding=UTF-8",
        f"-Djava.io.tmpdir={WORK}/tmp",
        f"-Dlog4j2.configurationFile={HERE}/log4j2.properties",
        f"-Devstream.level={level}",
        "-cp",
        f"{CLASSES}:{LIB}/*",
        *map(str, args),
    ]


def run(*args):
    """Run a class: exit status, standard output, standard error."""
    # Standard output's encoding is the locale's, up to Java 18.
    done = subprocess.run(
        java(*args),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=False,
    )
    out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    return done.returncode, out, err


def must(*args):
    """Run a class, to succeed: its output."""
    status, out, err = run(*args)
    if status:
        raise Problem(f"{args[0]} {args[1] if args[1:] else ''}: {err or out}")
    return out


def interop(*args):
    return must("Interop", *args)


def decode(wanted):
    """The records that stretches of log hold: [(file, partition)], one list for each."""
    args, outs = [], []
    for number, (path, partition) in enumerate(wanted):
        outs.append(os.path.join(WORK, "tmp", f"decoded-{os.getpid()}-{number}"))
        args += [path, partition, outs[-1]]
    interop("decode", *args)
    lists = [shapes.load(path) for path in outs]
    for path in outs:
        os.unlink(path)
    return lists


# ------------------------------------------------------------------- the broker


def stay_with_parent():
    """A broker must not outlive us, however we end."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Broker:
    """A broker, and its controller, on this machine's loopback; its files are in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.data = os.path.join(folder, "data")
        self.log = os.path.join(folder, "server.log")
        self.config = os.path.join(folder, "server.properties")
        self.process = None
        self.server = None

    def configure(self):
        ports = free_port(), free_port()
        self.server = f"127.0.0.1:{ports[0]}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{ports[1]}",
            "listeners": f"PLAINTEXT://{self.server},CONTROLLER://127.0.0.1:{ports[1]}",
            "advertised.listeners": f"PLAINTEXT://{self.server}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": self.data,
            "metadata.log.dir": os.path.join(self.folder, "metadata"),
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "auto.create.topics.enable": "false",
            # What is in one folder for hours is no failure of a clock.
            "log.retention.ms": "-1",
            "log.cleaner.backoff.ms": "200",
        }
        with open(self.config, "w", encoding="ascii") as out:
            out.writelines(f"{key}={value}\n" for key, value in settings.items())

    def format(self):
        os.makedirs(self.folder)
        self.configure()
        identity = base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()
        # An option could begin with a dash.
        identity = identity.replace("-", "A")
        must("kafka.tools.StorageTool", "format", "-t", identity, "-c", self.config)

    def start(self):
        """Start it, and wait until it answers."""
        self.configure()
        begun = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                java("kafka.Kafka", self.config, level="INFO"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=stay_with_parent,
            )
        end = time.monotonic() + PATIENCE
        while True:
            with open(self.log, "rb") as log:
                log.seek(begun)
                if b"Kafka Server started" in log.read():
                    return self
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise Problem(f"the broker does not start: {self.tail()}")
            time.sleep(0.2)

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            lines = [line for line in log if re.search(r"ERROR|WARN|FATAL|Exception", line)]
        return f"{self.log}:\n" + "".join(lines[-12:])

    def stop(self):
        """Have it end by itself."""
        self.process.terminate()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Problem(f"the broker does not stop: {self.tail()}") from None
        self.process = None
        if status not in (0, 128 + signal.SIGTERM, -signal.SIGTERM):
            raise Problem(f"the broker ended with {status}: {self.tail()}")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextlib.contextmanager
    def running(self):
        self.start()
        try:
            yield self
            self.stop()
        finally:
            self.kill()

    def create(self, *topics):
        """Topics: (name, partitions, {setting: value})."""
        args = []
        for name, partitions, settings in topics:
            args += ["--"] if args else []
            args += [name, partitions, *(f"{k}={v}" for k, v in settings.items())]
        interop("create", self.server, *args)

    def produce(self, steps):
        script = os.path.join(self.folder, "steps")
        shapes.save(script, steps)
        interop("produce", self.server, script)

    def consume(self, topics):
        """All that a consumer gets of topics: {topic: {partition: [record]}}."""
        args = []
        for topic in topics:
            args += [topic, os.path.join(self.folder, f"view-{topic}")]
        interop("consume", self.server, *args)
        return {
            topic: by_partition(shapes.load(os.path.join(self.folder, f"view-{topic}")))
            for topic in topics
        }

    def wait_for_cleaner(self, topic):
        """Until all segments of a compacted topic's partition 0 but the last are."""
        names = os.listdir(os.path.join(self.data, f"{topic}-0"))
        active = max(name for name in names if name.endswith(".log"))
        line = f"{topic} 0 {offset_of(active)}"
        checkpoint = os.path.join(self.data, "cleaner-offset-checkpoint")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with open(checkpoint, encoding="ascii") as file:
                if line in file.read().splitlines():
                    return
            time.sleep(0.2)
        raise Problem(f"the log was not cleaned: {self.tail()}")

    def lookup(self, questions):
        ask, answer = (os.path.join(self.folder, n) for n in ("questions", "answers"))
        shapes.save(ask, questions)
        interop("lookup", self.server, ask, answer)
        return shapes.load(answer)


def by_partition(records):
    found = {}
    for record in records:
        found.setdefault(record["p"], []).append(record)
    return found


# -------------------------------------------------------------- DumpLogSegments

BATCH = re.compile(
    r"baseOffset: (?P<base>-?\d+) lastOffset: (?P<last>-?\d+) count: (?P<count>-?\d+|null) "
    r"baseSequence: (?P<sequence>-?\d+) lastSequence: -?\d+ producerId: (?P<producer>-?\d+) "
    r"producerEpoch: (?P<epoch>-?\d+) partitionLeaderEpoch: (?P<leader>-?\d+) "
    r"isTransactional: (?P<transactional>\w+) isControl: (?P<control>\w+) deleteHorizonMs: \S+ "
    r"position: (?P<position>\d+) (?P<kind>\w+): (?P<time>-?\d+) size: (?P<size>\d+) "
    r"magic: (?P<magic>\d+) compresscodec: (?P<codec>\w+) crc: \d+ isvalid: (?P<valid>\w+)\n"
)
NUMBERS = "base last count sequence producer epoch leader position time size magic".split()
PRODUCER = re.compile(
    r"producerId: (-?\d+) producerEpoch: (-?\d+) coordinatorEpoch: -?\d+ "
    r"currentTxnFirstOffset: \S+ lastTimestamp: (-?\d+)"
    r"(?: firstSequence: -?\d+ lastSequence: (-?\d+) lastOffset: (-?\d+) offsetDelta: -?\d+ .*)?"
)
OPTIONS = {
    "log": ("--deep-iteration", "--print-data-log"),
    "verify": ("--deep-iteration", "--verify-index-only"),
    "sanity": ("--index-sanity-check",),
    "plain": (),
    "offsets": ("--offsets-decoder",),
}


class Dump:
    """What DumpLogSegments says of some files, by their names."""

    def __init__(self, kind, files, holes=False):
        self.of = {}
        if not files:
            return
        status, out, err = run(
            "kafka.tools.DumpLogSegments", *OPTIONS[kind], "--files", ",".join(files)
        )
        if holes:
            err = re.sub(r"(?m)^(Non-consecutive offsets in|  \d+ is followed by) .*\n", "", err)
        # The tool tells of most of what it finds on standard error, and exits with 0.
        if status or err:
            raise Problem(f"DumpLogSegments {' '.join(OPTIONS[kind])}: {status}: {err[:2000]}")
        parts = re.split(r"^Dumping (.*)\n", out, flags=re.M)
        if parts[0].strip():
            raise Problem(f"DumpLogSegments: {parts[0][:2000]}")
        for name, text in zip(parts[1::2], parts[2::2]):
            found = re.search(r"^Found .*", text, re.M)
            if found:
                raise Problem(f"{name}: {found[0]}")
            self.of[name] = text
        missing = set(files) - set(self.of)
        if missing:
            raise Problem(f"DumpLogSegments says nothing of {sorted(missing)}")


OFFSET = re.compile(r"^\| offset: .* key: (\{.*?\}\}) payload: (.*)$", re.M)


def committed(path, topic):
    """What groups have committed in a topic, by a log of offsets: {group: offsets}."""
    logs = [os.path.join(path, n) for n in sorted(os.listdir(path)) if n.endswith(".log")]
    dump, found = Dump("offsets", logs), {}
    for log in logs:
        lines = OFFSET.findall(dump.of[log])
        if not lines:
            raise Problem(f"no offsets in a dump: {dump.of[log][:500]!r}")
        for key, payload in lines:
            key = json.loads(key)["data"]
            if key["topic"] != topic:
                raise Problem(f"an offset of another topic: {key}")
            value = json.loads(payload)["data"]["offset"] if payload.startswith("{") else None
            found.setdefault(key["group"], {})[key["partition"]] = value
    return {group: [of[p] for p in sorted(of)] for group, of in found.items()}


def printed(batch, record):
    """The line in which DumpLogSegments prints a record, or its start and None."""
    key, value = shapes.unb64(record["k"]), shapes.unb64(record["v"])
    delta = record["o"] - batch["base"]
    sequence = -1 if batch["sequence"] < 0 else (batch["sequence"] + delta) & 0x7FFFFFFF
    line = f"| offset: {record['o']} {batch['kind']}: {record['t']}"
    line += f" keySize: {-1 if key is None else len(key)}"
    line += f" valueSize: {-1 if value is None else len(value)}"
    line += f" sequence: {sequence} headerKeys: [{','.join(name for name, _ in record['h'])}]"
    try:
        line += "" if key is None else f" key: {key.decode()}"
        line += "" if value is None else f" payload: {value.decode()}"
    except UnicodeDecodeError:
        return line, None
    return line + "\n", True


def parse_log(text, records):
    """The batches of a .log's dump, whose records must be these."""
    head = re.match(r"Log starting offset: (\d+)\n", text)
    if not head:
        raise Problem(f"a dump that begins with {text[:100]!r}")
    at, batches = head.end(), []
    records = iter(records)
    while at < len(text):
        match = BATCH.match(text, at)
        if not match:
            raise Problem(f"in a dump: {text[at:at + 300]!r}")
        at = match.end()
        batch = match.groupdict()
        batch.update((name, int(batch[name])) for name in NUMBERS)
        batches.append(batch)
        if batch["valid"] != "true":
            raise Problem(f"not valid: {match[0]}")
        if batch["control"] == "true":
            while text.startswith("|", at):
                at = text.index("\n", at) + 1
            continue
        for _ in range(batch["count"]):
            record = next(records, None)
            if record is None:
                raise Problem(f"a record that should not be there: {text[at:at + 300]!r}")
            line, whole = printed(batch, record)
            if not text.startswith(line, at):
                raise Problem(f"a record is {text[at:at + 300]!r}, not {line[:300]!r}")
            at = at + len(line) if whole else text.index("\n", at) + 1
    rest = next(records, None)
    if rest:
        raise Problem(f"a record that is missing: {rest}")
    return int(head[1]), batches


class Partition:
    """The files of a partition's directory."""

    def __init__(self, folder):
        self.folder = folder
        self.number = int(folder.rpartition("-")[2])
        names = sorted(os.listdir(folder))
        self.logs = self._files(names, "log")
        self.indexes = self._files(names, "index|timeindex|txnindex")
        self.snapshots = self._files(names, "snapshot")
        if not self.logs:
            raise Problem(f"{folder}: no segments: {names}")
        self.start = offset_of(self.logs[0])
        self.batches = []  # those of each segment
        self.records = []

    def _files(self, names, endings):
        pattern = re.compile(rf"\d{{20}}\.({endings})")
        return [os.path.join(self.folder, name) for name in names if pattern.fullmatch(name)]

    def end(self):
        last = [found[-1]["last"] + 1 for found in self.batches if found]
        return last[-1] if last else self.start


def offset_of(path):
    """The offset that a file is named by."""
    return int(os.path.basename(path).partition(".")[0])


class Topic:
    """The directories of a topic's partitions, as Kafka sees them.

    The checks build on each other, in their order.
    """

    def __init__(self, folder, name):
        pattern = re.compile(re.escape(name) + r"-\d+")
        names = [n for n in os.listdir(folder) if pattern.fullmatch(n)]
        self.partitions = sorted(
            (Partition(os.path.join(folder, n)) for n in names), key=lambda p: p.number
        )
        if [p.number for p in self.partitions] != list(range(len(names))) or not names:
            raise Problem(f"{folder}: partitions {sorted(names)}")
        self.logs = [log for p in self.partitions for log in p.logs]
        self.indexes = [index for p in self.partitions for index in p.indexes]

    def records(self):
        """What a consumer would get: {partition: [record]}."""
        return {p.number: p.records for p in self.partitions if p.records}

    def check_logs(self, holes=False, gaps=False):
        """Each batch is valid, and they follow on.

        holes: batches without records may lie between the others.
        gaps: records were compacted away.
        """
        decoded = iter(decode([(log, p.number) for p in self.partitions for log in p.logs]))
        dump = Dump("log", self.logs, holes or gaps)
        for p in self.partitions:
            p.batches, p.records = [], []
            expected = p.start
            for log in p.logs:
                held = next(decoded)
                base, found = parse_log(dump.of[log], held)
                if base != offset_of(log):
                    raise Problem(f"{log}: starts at {base}")
                position = 0
                for batch in found:
                    if batch["position"] != position or batch["magic"] != 2:
                        raise Problem(f"{log}: {batch}")
                    if batch["base"] < expected or (batch["base"] > expected and not gaps):
                        raise Problem(f"{log}: {batch['base']} follows {expected - 1}")
                    position += batch["size"]
                    expected = batch["last"] + 1
                if position != os.path.getsize(log):
                    raise Problem(f"{log}: {os.path.getsize(log)} bytes, {position} in batches")
                if not found and log != p.logs[-1] and not gaps:
                    raise Problem(f"{log}: an empty segment before the last")
                p.batches.append(found)
                p.records += held
            leaders = [batch["leader"] for found in p.batches for batch in found]
            if leaders != sorted(leaders):
                raise Problem(f"{p.folder}: leader epochs go back: {leaders}")

    def check_indexes(self):
        """Kafka takes them as they are, and they are as dense as it makes them."""
        for log in self.logs:
            for ending in ".index", ".timeindex":
                if log[:-4] + ending not in self.indexes:
                    raise Problem(f"there is no {log[:-4]}{ending}")
        dump = Dump("sanity", [n for n in self.indexes if not n.endswith(".txnindex")])
        for name, text in dump.of.items():
            if not re.fullmatch(r".* (passed sanity check|is empty)\.", text.strip()):
                raise Problem(f"{name}: {text[:300]}")
        Dump("verify", self.indexes)
        dump = Dump("plain", self.indexes)
        for p in self.partitions:
            for log, batches in zip(p.logs, p.batches):
                check_offset_index(log, batches, dump.of[log[:-4] + ".index"])
                check_time_index(log, batches, dump.of[log[:-4] + ".timeindex"])

    def check_snapshots(self):
        """Each tells of the producers of the batches below it; there is one at the end."""
        dump = Dump("plain", [name for p in self.partitions for name in p.snapshots])
        for p in self.partitions:
            batches = [batch for found in p.batches for batch in found]
            for name in p.snapshots:
                check_snapshot(name, p.start, batches, dump.of[name])
            if any(batch["producer"] >= 0 for batch in batches):
                if p.end() not in map(offset_of, p.snapshots):
                    raise Problem(f"{p.folder}: no snapshot at {p.end()}: {p.snapshots}")

    def check_small_files(self):
        """partition.metadata and leader-epoch-checkpoint, as Kafka reads them: the topic's id."""
        lines = interop("metadata", *(p.folder for p in self.partitions)).splitlines()
        seen = [json.loads(line) for line in lines]
        if len({entry["id"] for entry in seen}) != 1 or len(seen) != len(self.partitions):
            raise Problem(f"topic ids: {seen}")
        for p, entry in zip(self.partitions, seen):
            epochs = entry["epochs"]
            used = {b["leader"] for found in p.batches for b in found}
            if epochs != sorted(epochs) or not used <= {epoch for epoch, _ in epochs}:
                raise Problem(f"{p.folder}: leader epochs {epochs}, in batches {sorted(used)}")
        return seen[0]["id"]


def check_offset_index(log, batches, text):
    """The last offsets of batches where they are, one about every 4 KiB as Kafka has them."""
    name = log[:-4] + ".index"
    entries = re.findall(r"^offset: (-?\d+) position: (\d+)$", text, re.M)
    if os.path.getsize(name) != 8 * len(entries):
        raise Problem(f"{name}: {os.path.getsize(name)} bytes for {len(entries)} entries")
    at = {batch["position"]: batch["last"] for batch in batches}
    room = 4096 + 2 * max((batch["size"] for batch in batches), default=0)
    last = 0
    for offset, position in ((int(o), int(p)) for o, p in entries):
        if at.get(position) != offset:
            raise Problem(f"{name}: {offset} is not at {position}")
        if position <= last or position - last > room:
            raise Problem(f"{name}: {position} comes after {last}")
        last = position
    if os.path.getsize(log) - last > room:
        raise Problem(f"{name}: nothing between {last} and the end at {os.path.getsize(log)}")


def check_time_index(log, batches, text):
    name = log[:-4] + ".timeindex"
    entries = re.findall(r"^timestamp: (-?\d+) offset: (-?\d+)$", text, re.M)
    if os.path.getsize(name) != 12 * len(entries):
        raise Problem(f"{name}: {os.path.getsize(name)} bytes for {len(entries)} entries")
    # What is closed ends with the newest time of all, markers of transactions included.
    newest = {
        max(b["time"] for b in some)
        for some in (batches, [b for b in batches if b["control"] == "false"])
        if some
    }
    if newest and (not entries or int(entries[-1][0]) not in newest):
        raise Problem(f"{name}: ends with {entries[-1:]}, not with {newest}")


def check_snapshot(name, start, batches, text):
    expected, transactional = {}, set()
    for batch in batches:
        if batch["producer"] < 0 or batch["last"] >= offset_of(name):
            continue
        if batch["transactional"] == "true":
            # Their markers are in it as well.
            transactional.add(batch["producer"])
        last = (batch["sequence"] + batch["last"] - batch["base"]) & 0x7FFFFFFF
        expected[batch["producer"]] = (batch["epoch"], batch["time"], last, batch["last"])
    seen = {}
    for line in text.splitlines():
        match = PRODUCER.fullmatch(line.rstrip())
        if not match:
            raise Problem(f"{name}: {line}")
        if match[4] is not None:
            number, *state = map(int, match.groups())
            seen[number] = tuple(state)
    for number in seen.keys() | expected.keys():
        state = seen.get(number)
        if state == expected.get(number) or number in transactional:
            continue
        # It may know producers whose batches were deleted since.
        if number in expected or state[3] >= start:
            raise Problem(f"{name}: producer {number}: {state}, not {expected.get(number)}")
