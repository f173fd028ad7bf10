"""What all scenarios use: names of their own, clients, records that go through a topic, errors by their code."""

import contextlib
import os
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

BOOTSTRAP, RUN_ID, REGISTRY = os.environ["BOOTSTRAP"], os.environ["RUN_ID"], os.environ["REGISTRY"]
DEADLINE_S = 30


def name(word):
    """A name that is this run's own."""
    return f"{RUN_ID}-{word}"


def log(*words):
    print(*words, file=sys.stderr, flush=True)


def client(**config):
    """Retries are off: a script would wait for what is an answer here."""
    return SchemaRegistryClient({"url": REGISTRY, "max.retries": 0, **config})


@contextlib.contextmanager
def refused(what):
    """Prints the status and the code with which something is refused; it is wrong if it is not."""
    try:
        yield
    except SchemaRegistryError as error:
        print(f"{what}: {error.http_status_code} {error.error_code}")
    else:
        print(f"{what}: NOT REFUSED")


def value_of(topic):
    return SerializationContext(topic, MessageField.VALUE)


def key_of(topic):
    return SerializationContext(topic, MessageField.KEY)


def produce(topic, records):
    """`records`: bytes, or (key, bytes), or (key, bytes, headers)."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "acks": "all"})
    failed = []
    for record in records:
        key, value, *headers = record if isinstance(record, tuple) else (None, record)
        producer.produce(
            topic, value, key, headers=headers[0] if headers else None,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    producer.flush(DEADLINE_S)
    if failed or len(producer):
        sys.exit(f"not delivered: {failed}, {len(producer)} still wait")


def consume(topic, count):
    """The first `count` records of a topic."""
    consumer = Consumer({
        "bootstrap.servers": BOOTSTRAP, "group.id": name("readers-" + topic), "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })
    consumer.subscribe([topic])
    deadline, messages = time.monotonic() + DEADLINE_S, []
    while len(messages) < count:
        if time.monotonic() > deadline:
            sys.exit(f"{len(messages)} of {count} records of {topic} came")
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        messages.append(message)
    consumer.close()
    return messages


def framed(topic, client_, payload):
    """Whether a record has Confluent's frame, with the id that the topic's subject got."""
    latest = client_.get_latest_version(f"{topic}-value")
    return payload[0] == 0 and int.from_bytes(payload[1:5], "big") == latest.schema_id
