# SPDX-License-Identifier: GPL-2.0-only
"""The netlink family by raw sockets."""
import socket
import struct

from evstest import Failed, Topic, eq

NEW, DEL, GET, SET, PARTITION = 1, 2, 3, 4, 5
NEW_NTF, DEL_NTF, SET_NTF, ATTACH, DETACH = 6, 7, 8, 9, 10
GROUP_GET, GROUP_DEL, GROUP_SEEK, MEMBER_GET, GROUP_OFFSET_GET = range(12, 17)
ID, NAME, PARTITIONS, SEGMENT, RING, MAX_RECORD, FRAMING, FULL = range(1, 9)
UID, GID, MODE, RETENTION_MS, RETENTION_BYTES, CREATED, DIR = range(9, 16)
FLUSH_INTERVAL, FLUSH_BYTES = 16, 17
# Of groups, members and offsets.
TOPIC, GROUP, OFFSET_PARTITION, WHENCE = 1, 2, 3, 18
REQUEST, ACK, DUMP = 1, 4, 0x300
ERROR, DONE = 2, 3
NESTED = 0x8000


def attr(number, data, length=None):
    data = bytes(data)
    length = 4 + len(data) if length is None else length
    return struct.pack("=HH", length, number) + data + bytes(-len(data) % 4)


def u32(number, value):
    return attr(number, struct.pack("=I", value))


def u64(number, value):
    return attr(number, struct.pack("=Q", value))


def text(number, value):
    return attr(number, value.encode() + b"\0")


def attrs_of(data):
    found = {}
    while len(data) >= 4:
        length, number = struct.unpack_from("=HH", data)
        found[number & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


class Answer:
    """What a request got: errno (0: fine), the message, the attribute at fault, replies."""

    def __init__(self):
        self.errno = None
        self.message = ""
        self.offset = None
        self.missing = None
        self.replies = []


class Netlink:
    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.sock.setsockopt(270, 11, 1)  # NETLINK_EXT_ACK
        self.sock.setsockopt(270, 12, 1)  # NETLINK_GET_STRICT_CHK
        self.sock.bind((0, 0))
        self.sock.settimeout(30)
        Topic.stack.callback(self.sock.close)
        self.seq = 0
        self.family, self.groups = 0x10, {}
        found = self.ask(3, text(2, "evstream"), version=2).replies[0]
        self.family = struct.unpack("=H", found[1])[0]
        for group in attrs_of(found[7]).values():
            group = attrs_of(group)
            self.groups[group[1][:-1].decode()] = struct.unpack("=I", group[2])[0]

    def message(self, cmd, attrs=b"", flags=REQUEST | ACK, version=1, length=None):
        self.seq += 1
        body = struct.pack("=BBH", cmd, version, 0) + attrs
        length = 16 + len(body) if length is None else length
        return struct.pack("=IHHII", length, self.family, flags, self.seq, 0) + body

    def ask(self, cmd, attrs=b"", flags=REQUEST | ACK, version=1):
        return self.send(self.message(cmd, attrs, flags, version), flags & DUMP)

    def send(self, message, dump=False):
        self.sock.send(message)
        answer = Answer()
        while answer.errno is None:
            data = self.sock.recv(1 << 17)
            while len(data) >= 16:
                length, kind, flags, seq, _ = struct.unpack_from("=IHHII", data)
                body, data = data[16:length], data[(length + 3) & ~3 :]
                eq(seq, self.seq, "the sequence number")
                if kind in (ERROR, DONE):
                    self._result(answer, kind, flags, body, len(message))
                else:
                    answer.replies.append(attrs_of(body[4:]))
        return answer

    @staticmethod
    def _result(answer, kind, flags, body, size):
        answer.errno = -struct.unpack_from("=i", body)[0]
        extra = 4
        if kind == ERROR:
            # An error brings the request back, where it is not capped.
            extra += 16 if flags & 0x100 or not answer.errno else (size + 3) & ~3
        if flags & 0x200:
            tlvs = attrs_of(body[extra:])
            answer.message = tlvs.get(1, b"\0")[:-1].decode()
            if 2 in tlvs:
                answer.offset = struct.unpack("=I", tlvs[2])[0]
            if 5 in tlvs:
                answer.missing = struct.unpack("=I", tlvs[5])[0]

    def get(self, name):
        return self.ask(GET, text(NAME, name))

    def must(self, cmd, attrs=b""):
        """Ask, and be answered: the replies."""
        answer = self.ask(cmd, attrs)
        if answer.errno:
            raise Failed(f"request {cmd}: {answer.errno} {answer.message}")
        return answer.replies

    def topics(self):
        """Names of all there are."""
        found = self.ask(GET, flags=REQUEST | DUMP).replies
        return {reply[NAME][:-1].decode() for reply in found}

    def groups_of(self, topic):
        found = self.ask(GROUP_GET, text(TOPIC, topic), REQUEST | DUMP).replies
        return {reply[GROUP][:-1].decode() for reply in found}


class QuickTopic(Topic):
    """One that is made and deleted without another program. Attributes are its options."""

    def create(self, *options):
        self.link = Netlink()
        self.link.must(NEW, text(NAME, self.name) + b"".join(options))

    def delete(self):
        self.link.must(DEL, text(NAME, self.name))
        self.link.sock.close()
        self.there = False
