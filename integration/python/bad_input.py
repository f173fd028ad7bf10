"""Bad input: each gets what the reference answers, everyone else is untouched, and memory stays bounded."""

import os
import random
import struct
import subprocess
import threading
import zlib

from confluent_kafka import KafkaError

import wire
from common import DEADLINE_S, assigned, create_topic, log, name, producer, until
from wire import CLOSED, SILENT, batch, frame, gzipped, produce, record, request, string, talk

# More than any of the inputs below may make a broker take. The reference's own heap is 1 GiB.
MEMORY_LIMIT_MIB = 300

# The newest version of each API that has flexible headers, as both brokers have it.
NEWEST = {
    0: 12, 1: 12, 2: 10, 3: 13, 8: 9, 9: 9, 10: 6, 11: 9, 12: 4, 13: 5, 14: 5, 15: 6, 16: 5, 19: 7, 20: 6, 21: 2, 22: 5, 23: 4, 32: 4,
    33: 2, 35: 4, 37: 3, 42: 2, 44: 1, 60: 2, 74: 1, 75: 0,
}


def bad_input():
    topic = create_topic("bad-input", 1)
    before = memory()
    with Bystander():
        half_open = [open_half(data) for data in (b"", b"\0", b"\0\0\0\x20", b"\0\0\0\x20\0\x03") for _ in range(20)]
        for part in (frames, headers, lengths, topics, fields, batches):
            part(topic)
        for connection in half_open:
            connection.close()
    grown = memory() - before
    log("memory grew by", grown, "MiB")
    print("memory bounded:", grown < MEMORY_LIMIT_MIB or f"it grew by {grown} MiB")


def memory():
    """The broker's greatest resident memory so far, in MiB."""
    done = subprocess.run([os.environ["BROKER_CTL"], "memory"], check=True, capture_output=True, text=True)
    return int(done.stdout)


def open_half(data):
    """A connection that stays, with a request that never comes to its end."""
    connection = wire.connect()
    connection.sendall(data)
    return connection


def show(what, outcome):
    print(f"{what}: {outcome if isinstance(outcome, str) else outcome.hex()}", flush=True)


def frames(_):
    """What comes before a request can be read at all."""
    metadata = request(wire.METADATA, 1, struct.pack(">i", 0))
    show("truncated frame", talk(metadata[:-2], half_close=True))
    show("nothing", talk(b"", half_close=True))
    for length in (-1, 0, 1, 7, 104_857_601, 2**31 - 1):
        show(f"frame of length {length}", talk(struct.pack(">i", length) + bytes(max(0, min(length, 7))), half_close=length > 7))
    show("HTTP", talk(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    show("TLS", talk(bytes.fromhex("16030100c8010000c40303") + bytes(190)))
    chance = random.Random(1)
    closed = sum(talk(frame(chance.randbytes(chance.randint(8, 400)))) == CLOSED for _ in range(50))
    print(f"random frames: {closed} of 50 closed")
    with wire.connect() as connection:
        connection.sendall(request(wire.METADATA, 1, struct.pack(">i", 0)) + request(999, 0, b""))
        first = wire.answer(connection)
        show("an unknown API after a good request: then", wire.answer(connection))
        print("the good one was answered:", first not in (CLOSED, SILENT))


def headers(_):
    for key, version in ((999, 0), (-1, 0), (0, 99), (0, -1), (3, 99), (3, -1), (1, 3), (19, 0), (4, 0), (7, 0)):
        show(f"API {key} version {version}", talk(request(key, version, b"")))
    for version in (5, 99, -1):
        outcome = talk(request(wire.API_VERSIONS, version, b"", flexible=version >= 3))
        shown = outcome if isinstance(outcome, str) else f"error {struct.unpack_from('>h', outcome, 4)[0]}"
        show(f"ApiVersions version {version}", shown)
    show("client id of length -2", kind(talk(frame(struct.pack(">hhih", 3, 1, 7, -2) + struct.pack(">i", 0)))))
    show("client id longer than the frame", talk(frame(struct.pack(">hhih", 3, 1, 7, 3000) + b"abc")))
    show("client id that is not UTF-8", kind(talk(frame(struct.pack(">hhih", 3, 1, 7, 2) + b"\xff\xfe" + struct.pack(">i", 0)))))
    many = struct.pack(">hhih", 3, 12, 7, -1) + b"\xff\xff\xff\xff\x0f"
    show("4 billion tagged fields in the header", talk(frame(many)))


def kind(outcome):
    """An answer whose content does not matter here."""
    return outcome if isinstance(outcome, str) else "an answer"


def lengths(_):
    """Absurd lengths: five bytes that say 4 billion."""
    for key, version in NEWEST.items():
        for body in (b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07", b"\x00\xff\xff\xff\xff\x07"):
            outcome = kind(talk(request(key, version, body, flexible=True)))
            if outcome != CLOSED:
                show(f"API {key} version {version} body {body.hex()}", outcome)
    for body in (struct.pack(">i", 2**31 - 1), struct.pack(">ih", 1, -5), struct.pack(">ih", 1, 32767)):
        show(f"Metadata 1 body {body.hex()}", kind(talk(request(wire.METADATA, 1, body))))
    show("Metadata 1 with bytes left over", kind(talk(request(wire.METADATA, 1, struct.pack(">i", 0) + b"left"))))
    show("Metadata 1 without a body", talk(request(wire.METADATA, 1, b"")))
    body = struct.pack(">hhiiih", -1, -1, 1000, 1, 1, 3)
    show("Produce 7 with records longer than the frame", talk(request(wire.PRODUCE, 7, body)))


NAMES = ("", ".", "..", "a b", "a/b", "ä", "x" * 249, "x" * 250, "x" * 32767, b"\xff\xfe", "a\0b")


def topics(_):
    """Topic names that are none."""
    for text in NAMES:
        shown = text if len(text) < 20 else f"{text[0]} x {len(text)}"
        made = talk(request(wire.CREATE_TOPICS, 2, creation(text)))
        show(f"create {shown!r}", made if isinstance(made, str) else error_after_name(made, 4 + 4 + 4))
        known = talk(request(wire.METADATA, 4, struct.pack(">i", 1) + string(text) + b"\0"))
        show(f"metadata of {shown!r}", known if isinstance(known, str) else metadata_error(known))
        sent = talk(produce(text, batch()))
        show(f"produce to {shown!r}", sent if isinstance(sent, str) else error_name(wire.produced(sent)[0]))


def creation(text):
    """CreateTopics v2 of one topic with one partition, only validated."""
    return struct.pack(">i", 1) + string(text) + struct.pack(">ihii", 1, 1, 0, 0) + struct.pack(">ib", 1000, 1)


def error_after_name(data, at):
    """The error code that follows a topic's name at a place of an answer."""
    at += 2 + max(0, struct.unpack_from(">h", data, at)[0])
    return error_name(struct.unpack_from(">h", data, at)[0])


def metadata_error(data):
    """The one topic's error code in an answer to Metadata v4."""
    at = 4 + 4
    brokers, = struct.unpack_from(">i", data, at)
    at += 4
    for _ in range(brokers):
        at += 4
        at += 2 + struct.unpack_from(">h", data, at)[0] + 4
        at += 2 + max(0, struct.unpack_from(">h", data, at)[0])
    at += 2 + struct.unpack_from(">h", data, at)[0] + 4 + 4
    return error_name(struct.unpack_from(">h", data, at)[0])


def error_name(code):
    return "none" if code == 0 else KafkaError(code).name()


def fields(topic):
    """Fields that decode, but make no sense."""
    for acks in (2, -2):
        show(f"produce with acks {acks}", outcome_of(produce(topic, batch(), acks=acks)))
    show("produce to partition 99", outcome_of(produce(topic, batch(), partition=99)))
    show("produce to partition -1", outcome_of(produce(topic, batch(), partition=-1)))
    show("produce with a transactional id", outcome_of(produce(topic, batch(), transactional_id=name("nobody"))))
    group = string(name("group"))
    heartbeat = request(wire.HEARTBEAT, 1, group + struct.pack(">i", 3) + string("nobody"))
    # The first search for a coordinator makes the topic of the groups; until it is there, nobody is their coordinator.
    talk(request(wire.FIND_COORDINATOR, 1, group + b"\0"))
    until(lambda: first_error(talk(heartbeat), 8) == "UNKNOWN_MEMBER_ID", "the group has a coordinator")
    for what, session, kind_of, protocols in (
        ("a short session", 1, "consumer", [("range", b"")]), ("a long session", 2**31 - 1, "consumer", [("range", b"")]),
        ("no protocol", 10_000, "consumer", []), ("no protocol type", 10_000, "", [("range", b"")]),
    ):
        body = group + struct.pack(">ii", session, 10_000) + string("") + string(kind_of) + struct.pack(">i", len(protocols))
        body += b"".join(string(word) + struct.pack(">i", len(data)) + data for word, data in protocols)
        show(f"join with {what}", first_error(talk(request(wire.JOIN_GROUP, 2, body)), 8))
    body = string("") + struct.pack(">ii", 10_000, 10_000) + string("") + string("consumer") + struct.pack(">i", 0)
    show("join of no group", first_error(talk(request(wire.JOIN_GROUP, 2, body)), 8))
    show("heartbeat of nobody", first_error(talk(heartbeat), 8))
    body = group + struct.pack(">i", 3) + string("nobody") + struct.pack(">i", 0)
    show("sync of nobody", first_error(talk(request(wire.SYNC_GROUP, 1, body)), 8))
    show("coordinator of an unknown kind", first_error(talk(request(wire.FIND_COORDINATOR, 1, group + b"\x09")), 8))
    for what, session, epoch in (("an unknown session", 12345, 1), ("a negative session", -5, 3), ("an epoch of no session", 0, 5)):
        body = struct.pack(">iiiibii", -1, 100, 1, 1_000_000, 0, session, epoch) + struct.pack(">ii", 0, 0)
        show(f"fetch of {what}", first_error(talk(request(wire.FETCH, 7, body)), 8))


def first_error(data, at):
    return data if isinstance(data, str) else error_name(struct.unpack_from(">h", data, at)[0])


def outcome_of(data):
    sent = talk(data)
    return sent if isinstance(sent, str) else error_name(wire.produced(sent)[0])


def batches(topic):
    """Batches that are wrong in one way each, then the log as it is."""
    good, compressed = batch(), gzipped(record())
    cases = {
        "a good one": good,
        "wrong CRC": batch(crc=1),
        "a flipped bit": good[:-1] + bytes([good[-1] ^ 1]),
        "no bytes": b"",
        "bytes that are no batch": b"no batch" * 10,
        "a header cut off": good[:40],
        "a batch cut off": good[:-3],
        "length too great": batch(length=5000),
        "length too small": batch(length=20),
        "negative length": batch(length=-1),
        "magic 0": batch(magic=0),
        "magic 1": batch(magic=1),
        "magic 3": batch(magic=3),
        "magic -1": batch(magic=-1),
        "unknown codec": batch(attributes=7),
        "gzip that is none": batch(b"no gzip", attributes=1),
        "snappy that is none": batch(b"no snappy at all", attributes=2),
        "lz4 that is none": batch(b"no lz4 at all...", attributes=3),
        "zstd that is none": batch(b"no zstd at all..", attributes=4),
        "gzip cut off": batch(compressed[:-9], attributes=1),
        "good gzip": batch(compressed, attributes=1),
        "a bomb": batch(gzipped(record(bytes(200_000_000))), attributes=1),
        "a bomb of many records": batch(gzipped(record() * 5_000_000), attributes=1),
        "a bomb of 2 GB in its record's length": batch(gzipped(wire.varint(2**31 - 1) + bytes(100)), attributes=1),
        "count too great": batch(count=5),
        "count of 2 billion": batch(count=2**31 - 1),
        "count too small": batch(record() + record(delta=1), count=1),
        "count 0": batch(b"", count=0),
        "negative count": batch(count=-1, last_delta=0),
        "last offset delta wrong": batch(last_delta=5),
        "offset deltas wrong": batch(record(delta=3) + record(delta=9), count=2),
        "record length wrong": batch(record(length=100)),
        "negative record length": batch(record(length=-5)),
        "record of 2 GB": batch(wire.varint(2**31 - 1) + bytes(10)),
        "control batch": batch(attributes=0x20),
        "transactional batch": batch(attributes=0x10),
        "time in the far future": batch(base_time=2**62, max_time=2**62),
        "base offset not 0": batch(base_offset=1000),
        "two batches": good + good,
        "sequence without a producer": batch(sequence=5),
        "producer without a sequence": batch(producer=5, producer_epoch=0, sequence=-1),
        "producer that begins in the middle": batch(producer=4711, producer_epoch=0, sequence=10),
    }
    for what, records in cases.items():
        show(f"produce {what}", outcome_of(produce(topic, records)))
    show("produce old messages with version 7 of Produce", outcome_of(produce(topic, message_set())))
    reader = assigned(topic)
    _, high = reader.get_watermark_offsets(reader.assignment()[0], DEADLINE_S)
    print("stored:", high)
    reader.close()


def message_set():
    """A message of magic 1, as brokers before 0.11 had them."""
    rest = struct.pack(">bbqii", 1, 0, 1_600_000_000_000, -1, 1) + b"v"
    message = struct.pack(">I", zlib.crc32(rest)) + rest
    return struct.pack(">qi", 0, len(message)) + message


class Bystander:
    """A stock client that produces and consumes all the while, and says whether it noticed anything."""

    def __init__(self):
        self.topic = create_topic("bystander")
        self.stopping = threading.Event()
        self.rounds, self.failures = 0, 0
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        log("bystander:", self.rounds, "rounds")
        print("bystander untouched:", self.rounds > 10 and not self.failures)

    def run(self):
        writer, reader = producer(), assigned(self.topic)
        while not self.stopping.is_set():
            writer.produce(self.topic, f"{self.rounds}")
            left = writer.flush(10)
            message = reader.poll(10)
            if left or message is None or message.error() or message.value() != b"%d" % self.rounds:
                self.failures += 1
                log("bystander:", left, message and message.error(), message and message.value())
            self.rounds += 1
            self.stopping.wait(0.02)
        reader.close()


SCENARIOS = {"bad-input": bad_input}
