"""Requests by hand, so that they can be wrong: just enough of the protocol, and no more than the standard library."""

import gzip
import os
import socket
import struct

HOST, PORT = os.environ["BOOTSTRAP"].rsplit(":", 1)
ANSWER_TIMEOUT_S = 10

# API keys.
PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, SYNC_GROUP = 10, 11, 12, 14
API_VERSIONS, CREATE_TOPICS = 18, 19

CLOSED, SILENT = "connection closed", "no answer"


def connect():
    return socket.create_connection((HOST, int(PORT)), timeout=ANSWER_TIMEOUT_S)


def talk(data, half_close=False):
    """Sends bytes on a new connection; returns the first answer after its length, CLOSED or SILENT."""
    with connect() as connection:
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return answer(connection)
        except TimeoutError:
            return SILENT
        except OSError:
            return CLOSED


def answer(connection):
    """The next answer on a connection."""
    length = receive(connection, 4)
    if len(length) < 4:
        return CLOSED
    return receive(connection, struct.unpack(">i", length)[0])


def receive(connection, count):
    data = b""
    while len(data) < count:
        try:
            more = connection.recv(count - len(data))
        except ConnectionError:
            more = b""
        if not more:
            break
        data += more
    return data


def frame(content):
    return struct.pack(">i", len(content)) + content


def request(key, version, body, flexible=False, correlation=7):
    """A request in its frame; `flexible` adds the header's empty tagged fields."""
    header = struct.pack(">hhi", key, version, correlation) + string("bad-input") + (b"\0" if flexible else b"")
    return frame(header + body)


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">h", len(data)) + data


def varint(value):
    """A zigzag varint, as in records."""
    return unsigned((value << 1) ^ (value >> 63))


def unsigned(value):
    out = bytearray()
    value &= 0xFFFFFFFFFFFFFFFF
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def record(value=b"v", delta=0, length=None):
    """A record without a key; `length` says another length than it has."""
    body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body) if length is None else length) + body


def batch(records=None, count=1, **wrong):
    """A record batch, right but for what `wrong` says."""
    records = record() if records is None else records
    fields = {
        "base_offset": 0, "epoch": -1, "magic": 2, "attributes": 0, "last_delta": count - 1, "base_time": 1_600_000_000_000,
        "max_time": 1_600_000_000_000, "producer": -1, "producer_epoch": -1, "sequence": -1, "count": count, **wrong
    }
    checked = struct.pack(
        ">hiqqqhii", fields["attributes"], fields["last_delta"], fields["base_time"], fields["max_time"], fields["producer"],
        fields["producer_epoch"], fields["sequence"], fields["count"],
    ) + records
    crc = fields.get("crc", crc32c(checked))
    rest = struct.pack(">ibI", fields["epoch"], fields["magic"], crc) + checked
    return struct.pack(">qi", fields["base_offset"], fields.get("length", len(rest))) + rest


def gzipped(records):
    return gzip.compress(records, 9, mtime=0)


def produce(topic, records, partition=0, acks=-1, version=7, transactional_id=None):
    """A Produce request of one partition."""
    body = struct.pack(">h", -1) if transactional_id is None else string(transactional_id)
    body += struct.pack(">hii", acks, 10_000, 1) + string(topic) + struct.pack(">ii", 1, partition)
    return request(PRODUCE, version, body + struct.pack(">i", len(records)) + records)


def produced(data):
    """(error code, base offset) of the one partition of an answer to `produce`."""
    at = 4 + 4
    at += 2 + struct.unpack_from(">h", data, at)[0] + 4 + 4
    return struct.unpack_from(">hq", data, at)


def crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF
