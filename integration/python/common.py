"""What all scenarios use: clients with the settings of these tests, and waiting with a deadline."""

import functools
import hashlib
import os
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP, RUN_ID = os.environ["BOOTSTRAP"], os.environ["RUN_ID"]
DEADLINE_S = 30


def name(word):
    """A name that is this run's own."""
    return f"{RUN_ID}-{word}"


def log(*words):
    print(*words, file=sys.stderr, flush=True)


@functools.cache
def admin():
    """One for all: a client that nobody holds any more takes its futures with it."""
    return AdminClient({"bootstrap.servers": BOOTSTRAP})


def create_topic(word, partitions=1, **config):
    """Makes a topic; returns its name. Config keys are written with underscores."""
    topic = name(word)
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    made = admin().create_topics([NewTopic(topic, partitions, 1, config=config)])
    made[topic].result()
    return topic


def producer(**config):
    return Producer(settings({"acks": "all", "linger.ms": 5}, config))


def consumer(group=None, **config):
    """A consumer that begins at the start and commits only when told."""
    defaults = {
        "group.id": name(group or "unused"),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.partition.eof": False,
        "fetch.wait.max.ms": 100,
        "heartbeat.interval.ms": 200,
        "session.timeout.ms": 10_000,
    }
    if config.get("group_protocol") == "consumer":
        # Its pace is the broker's.
        del defaults["heartbeat.interval.ms"], defaults["session.timeout.ms"]
    return Consumer(settings(defaults, config))


def settings(defaults, config):
    given = {key.replace("_", "."): value for key, value in config.items()}
    return {"bootstrap.servers": BOOTSTRAP, **defaults, **given}


def send(topic, records, **config):
    """Produces (key, value) pairs or dicts of produce's arguments; prints those that failed, returns how many did not."""
    delivered = []

    def report(error, message):
        if error:
            print(f"produce: {error.name()}")
        else:
            delivered.append(message.offset())

    with_config = producer(**config)
    for record in records:
        arguments = record if isinstance(record, dict) else {"key": record[0], "value": record[1]}
        while True:
            try:
                with_config.produce(topic, on_delivery=report, **arguments)
                break
            except BufferError:
                with_config.poll(0.1)
    left = with_config.flush(DEADLINE_S)
    if left:
        print(f"produce: {left} records without an answer")
    return len(delivered)


def values(prefix, count, first=0):
    """Records without keys: r0, r1, ..."""
    return [(None, f"{prefix}{i}") for i in range(first, first + count)]


def assigned(topic, *places, **config):
    """A consumer that reads given (partition, offset) places of a topic, without a group."""
    reader = consumer(**config)
    reader.assign([TopicPartition(topic, partition, offset) for partition, offset in places or [(0, 0)]])
    return reader


def take(reader, count):
    """The next `count` records; an error, or too few of them, is printed."""
    taken, deadline = [], time.monotonic() + DEADLINE_S
    while len(taken) < count and time.monotonic() < deadline:
        for message in reader.consume(count - len(taken), 0.5):
            if message.error():
                print(f"consume: {message.error().name()}")
                return taken
            taken.append(message)
    if len(taken) < count:
        print(f"consume: {len(taken)} of {count} records came")
    return taken


def nothing_more(reader, seconds=1.0):
    """Whether nothing comes for a while: for what must not happen there is no condition to wait for."""
    message = reader.poll(seconds)
    return message is None


def read_all(topic, partitions=1, **config):
    """Every record of a topic between its first and its last offset."""
    reader = consumer(**config)
    messages = []
    for partition in range(partitions):
        low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), DEADLINE_S)
        reader.assign([TopicPartition(topic, partition, low)])
        messages += take(reader, high - low)
    reader.close()
    return messages


def until(condition, what):
    """Waits for a condition; says so when it does not come."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    print(f"did not happen: {what}")
    return False


def text(data):
    """Bytes or None as text."""
    return "null" if data is None else repr(data.decode())


def checksum(messages):
    digest = hashlib.sha1()
    for message in messages:
        digest.update(repr((message.key(), message.value())).encode())
    return digest.hexdigest()


def error_name(call, *arguments, **named):
    """The name of the error that a call ends with, or "none"."""
    try:
        call(*arguments, **named)
    except KafkaException as error:
        return error.args[0].name()
    return "none"
