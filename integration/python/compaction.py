"""Compaction: of a history that is the same on every broker, the same records survive, and the same batches."""

import hashlib
import os
import subprocess
import time

from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from common import DEADLINE_S, admin, assigned, consumer, create_topic, log, producer, send, until
from transactions import end as end_of, finish, transactional

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
# The times of records decide when a segment ends, so that it ends at the same record everywhere.
LONG_AGO = 1_600_000_000_000
SEGMENT_MS = 600_000
CONTROL = {  # how a topic is held back until its history is complete, and let go
    "held": "1.0",
    "let go": "0.0",
}


def compaction():
    alter(ResourceType.BROKER, "1", "log.cleaner.backoff.ms", "100")
    topics = [part() for part in (codecs, tombstones, kept_tombstones, segments, transactions_and_sequences, policies)]
    refusals()
    subprocess.run([os.environ["BROKER_CTL"], "restart"], check=True)
    for topic in topics:
        print(f"after a restart, {topic.word}:", topic.survivors() == topic.last_seen)
    for topic in topics:
        # The batches as they are in the files, by Kafka's own dump-log.
        print(f"the files of {topic.word}:")
        dumped = subprocess.run([os.environ["BROKER_CTL"], "dump", topic.name], check=True, stdout=subprocess.PIPE, text=True)
        print(dumped.stdout, end="")


class Topic:
    """A compacted topic of one partition with all that was sent to it, as far as a reader may ever see it."""

    def __init__(self, word, began=LONG_AGO, **config):
        self.word, self.began, self.segment = word, began, 0
        config = {"cleanup_policy": "compact", "segment_ms": SEGMENT_MS, "min_cleanable_dirty_ratio": CONTROL["held"], **config}
        self.name = create_topic(word, message_timestamp_after_max_ms=10**12, **config)
        self.sent = []
        self.last_seen = None

    def stamp(self):
        """A time in the present segment."""
        return self.began + self.segment * 2 * SEGMENT_MS + len(self.sent)

    def send(self, *records, writer=None, aborted=False, **config):
        """One batch: (key, value) or (key, value, headers); then it is sent with the producer given, or one of its own."""
        own = writer or producer(linger_ms=1000, **config)
        # A record that waits for the topic's metadata leaves alone.
        own.list_topics(self.name, DEADLINE_S)
        for key, value, *headers in records:
            entry = {"key": key, "value": value, "segment": self.segment, "aborted": aborted}
            self.sent.append(entry)
            own.produce(
                self.name, value, key, 0, timestamp=self.stamp(), headers=headers[0] if headers else None,
                on_delivery=lambda error, message, entry=entry: entry.update(offset=message.offset(), error=error),
            )
        own.flush(DEADLINE_S)
        failed = [entry["error"].name() for entry in self.sent if entry["error"]]
        if failed:
            print("produce:", failed)

    def roll(self, key="roll"):
        """One record behind the time of the segment: it begins the next one, so that all before it can be compacted."""
        self.segment += 1
        self.send((key, f"segment {self.segment}"))

    def let_go(self):
        alter(ResourceType.TOPIC, self.name, "min.cleanable.dirty.ratio", CONTROL["let go"])

    def expected(self, without_tombstones_before=0):
        """The offsets of the records that a whole pass leaves."""
        closed = [entry for entry in self.sent if entry["segment"] < self.segment]
        latest = {entry["key"]: entry["offset"] for entry in closed if not entry["aborted"]}
        kept = [
            entry["offset"] for entry in closed
            if latest.get(entry["key"]) == entry["offset"]
            and (entry["value"] is not None or entry["segment"] >= without_tombstones_before)
        ]
        return kept + [entry["offset"] for entry in self.sent if entry["segment"] == self.segment]

    def survivors(self, isolation="read_uncommitted"):
        """Every record that can be read, as a text."""
        return [self.shown(message) for message in read_to_end(self.name, isolation)]

    def shown(self, message):
        value, headers = message.value(), message.headers()
        if value is not None and len(value) > 60:
            value = f"{len(value)} bytes {hashlib.sha1(value).hexdigest()[:10]}"
        else:
            value = "null" if value is None else repr(value.decode())
        kind, stamp = message.timestamp()
        return f"{message.offset()} {message.key().decode()} {value} {headers or ''} {kind} {stamp - self.began}".replace("  ", " ")

    def wait(self, what, **expected):
        """Until the pass is over; then prints what is left."""
        wanted = self.expected(**expected)
        until(lambda: [message.offset() for message in read_to_end(self.name)] == wanted, f"{self.word}: {what}")
        print(f"{self.word}, {what}:")
        self.last_seen = self.survivors()
        shown = self.last_seen
        if len(shown) > 40:
            digest = hashlib.sha1("\n".join(shown).encode()).hexdigest()
            shown = [*shown[:5], f"... {len(shown)} records: {digest}", *shown[-5:]]
        for line in shown:
            print(" ", line)


def alter(kind, of, key, value):
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(kind, of, incremental_configs=[entry])
    admin().incremental_alter_configs([resource])[resource].result()


def read_to_end(topic, isolation="read_uncommitted"):
    reader = assigned(topic, isolation_level=isolation, enable_partition_eof=True)
    messages, deadline = [], time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for message in reader.consume(1000, 0.2):
            if not message.error():
                messages.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                reader.close()
                return messages
            else:
                log("read:", message.error())
    print("the end did not come")
    reader.close()
    return messages


def codecs():
    """Keys that are overwritten from codec to codec, headers with duplicate names, large values."""
    topic = Topic("codecs")
    for round_number in range(2):
        for number, codec in enumerate(CODECS):
            topic.send(
                *[(f"every-{i}", f"{codec} {round_number} {i}") for i in range(3)],
                (f"of-{codec}", f"{round_number}", [("a", b"1"), ("b", None), ("a", b"2"), ("", b"")]),
                (f"large-{number % 3}", f"{codec} {round_number} " * 40_000),
                (f"once-{round_number}-{codec}", "the only one"),
                ("every-0", f"{codec} {round_number} again"),
                compression_type=codec,
            )
        topic.roll()
    topic.let_go()
    topic.wait("after one pass")
    topic.send(("every-1", "new"), ("of-gzip", "new"), ("of-none", None), compression_type="zstd")
    topic.roll()
    topic.wait("after two")
    into_the_gaps(topic)
    return topic


def into_the_gaps(topic):
    """Offsets and times that are no more lead to the next record that is."""
    for offset in (0, 1, 30, 33, 50):
        reader = assigned(topic.name, (0, offset))
        found = reader.consume(1, DEADLINE_S)
        print(f"  from offset {offset}:", [message.offset() for message in found])
        reader.close()
    reader = consumer()
    for stamp in (0, 1, 20, 34, 2 * SEGMENT_MS, 2 * SEGMENT_MS + 40, 9 * SEGMENT_MS):
        found, = reader.offsets_for_times([TopicPartition(topic.name, 0, topic.began + stamp)], timeout=DEADLINE_S)
        print(f"  offset for time {stamp}:", found.offset)
    print("  from", *reader.get_watermark_offsets(TopicPartition(topic.name, 0), DEADLINE_S), "to")
    reader.close()


def tombstones():
    """They go in the second pass, when delete.retention.ms has passed."""
    topic = Topic("tombstones", delete_retention_ms=0)
    topic.send(*[(f"k{i}", f"first {i}") for i in range(6)])
    topic.send(("k0", None), ("k1", "second"), ("k2", None), compression_type="gzip")
    topic.send(("k2", "third"), ("only-null", None))
    topic.send(("k3", None))
    topic.roll()
    topic.let_go()
    topic.wait("after one pass")
    topic.send(("k1", "fourth"), ("k4", None))
    topic.roll()
    topic.wait("after two", without_tombstones_before=1)
    topic.send(("k5", "fifth"), ("k1", None))
    topic.roll()
    topic.wait("after three", without_tombstones_before=2)
    return topic


def kept_tombstones():
    """Within delete.retention.ms they stay, whatever happens to the others."""
    topic = Topic("kept-tombstones")
    topic.send(*[(f"k{i}", f"first {i}") for i in range(4)], ("k0", None))
    topic.send(("k1", None), compression_type="lz4")
    topic.roll()
    topic.let_go()
    topic.wait("after one pass")
    for value in ("second", "third"):
        topic.send(("k2", value))
        topic.roll()
        topic.wait(f"after the {value}")
    topic.send(("k1", "lives again"))
    topic.roll()
    topic.wait("when it lives again")
    return topic


def segments():
    """More than a segment holds: several before, fewer afterwards."""
    topic = Topic("segments", segment_bytes=1_048_576)
    for number in range(40):
        topic.send(*[(f"key-{(number * 7 + i * 3) % 90}", noise(number, i)) for i in range(6)], batch_size=1_000_000)
    topic.roll()
    topic.let_go()
    topic.wait("after one pass")
    # Together less than a segment: only the last record makes them ready.
    for number in range(40, 47):
        topic.send(*[(f"key-{(number + i) % 20}", noise(number, i)) for i in range(6)], batch_size=1_000_000)
    topic.roll()
    topic.wait("after two")
    return topic


def noise(number, i):
    """20,000 characters that no codec makes small."""
    return "".join(hashlib.sha256(f"{number} {i} {part}".encode()).hexdigest() for part in range(313))[:20_000]


def transactions_and_sequences():
    """Committed, aborted and interleaved ones, and what remains of producers whose records are all overwritten."""
    # Markers have the time of the broker: the records' must not be far from it.
    topic = Topic("transactions", began=int(time.time() * 1000), delete_retention_ms=0)
    first, second = transactional("first", linger_ms=1000), transactional("second", linger_ms=1000)
    idempotent = producer(enable_idempotence=True, linger_ms=1000)
    first.begin_transaction()
    topic.send(("a", "first 1"), ("b", "first 1"), writer=first)
    second.begin_transaction()
    topic.send(("b", "aborted"), ("c", "aborted"), writer=second, aborted=True)
    topic.send(("c", "plain"), ("d", "plain"), writer=idempotent)
    # Its records stay behind the last stable offset, as long as the second is open.
    first.commit_transaction(DEADLINE_S)
    until(lambda: end_of(topic.name, 0, "read_uncommitted") == 7, "the first marker")
    end(second.abort_transaction, topic)
    for number in range(3):
        first.begin_transaction()
        topic.send(("a", f"round {number}"), ("e", f"round {number}"), writer=first, aborted=number == 1)
        end(first.abort_transaction if number == 1 else first.commit_transaction, topic)
    topic.send(("d", "plain again"), compression_type="snappy")
    print("before, committed:", [line.split(" ", 2)[:2] for line in topic.survivors("read_committed")])
    topic.roll()
    topic.let_go()
    both(topic, "after one pass")
    # The idempotent producer goes on although nothing of its own is left.
    topic.send(("d", "goes on"), writer=idempotent)
    second.begin_transaction()
    topic.send(("a", "second 2"), ("b", None), writer=second)
    end(second.commit_transaction, topic)
    topic.roll()
    both(topic, "after two")
    topic.send(("e", "last"), writer=idempotent)
    topic.roll()
    both(topic, "after three", without_tombstones_before=2)
    return topic


def end(call, topic):
    finish(call, topic.name)


def both(topic, what, **expected):
    topic.wait(what, **expected)
    print("  read_committed sees the same:", topic.survivors("read_committed") == topic.last_seen)


def policies():
    """From delete to compact while data is there, and back."""
    topic = Topic("policies", cleanup_policy="delete", min_cleanable_dirty_ratio=CONTROL["let go"], retention_ms=-1)
    topic.send(("a", "1"), ("b", "1"), ("a", "2"))
    topic.roll()
    topic.send(("a", "3"))
    alter(ResourceType.TOPIC, topic.name, "cleanup.policy", "compact")
    topic.wait("when it is compacted")
    alter(ResourceType.TOPIC, topic.name, "cleanup.policy", "delete")
    topic.send(("c", "1"), ("a", "4"))
    topic.roll()
    print("  kept:", len(topic.survivors()))
    alter(ResourceType.TOPIC, topic.name, "cleanup.policy", "compact,delete")
    topic.wait("when it is compacted again")
    return topic


def refusals():
    """What a compacted topic does not take."""
    topic = create_topic("refusals", cleanup_policy="compact")
    for codec in CODECS:
        print(f"without a key, {codec}:", send(topic, [("k", "v"), (None, "v"), ("k", "w")], compression_type=codec, linger_ms=1000))
    print("with an empty key:", send(topic, [("", "v")]))
    deleted = admin().delete_records([TopicPartition(topic, 0, 1)])
    for future in deleted.values():
        try:
            print("delete records:", future.result().low_watermark)
        except Exception as error:  # noqa: BLE001
            print("delete records:", error.args[0].name())


SCENARIOS = {"compaction": compaction}
