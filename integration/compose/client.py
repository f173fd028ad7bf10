"""A stock client in a container or on the host.

    client.py round-trip BOOTSTRAP TOPIC     produces a record, consumes the topic until it has it, prints what it was told
    client.py read BOOTSTRAP TOPIC           consumes for ever and prints each value
    client.py partitions BOOTSTRAP TOPIC     prints the number of partitions, without creating anything
"""

import sys
import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

# A broker that is starting is waited for; a wrong address never answers.
DEADLINE_S = 30


def main(command, bootstrap, topic):
    if command == "round-trip":
        return round_trip(bootstrap, topic)
    if command == "partitions":
        admin = AdminClient({"bootstrap.servers": bootstrap})
        print(len(admin.list_topics(timeout=DEADLINE_S).topics[topic].partitions))
        return 0
    for value in values(bootstrap, topic):
        print(value, flush=True)
    return 1


def round_trip(bootstrap, topic):
    value = uuid.uuid4().hex
    failures = []
    producer = Producer({"bootstrap.servers": bootstrap, "message.timeout.ms": DEADLINE_S * 1000})
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    if producer.flush(DEADLINE_S) or failures:
        sys.exit(f"not delivered by {bootstrap}: {failures}")
    told = sorted(f"{broker.host}:{broker.port}" for broker in producer.list_topics(timeout=10).brokers.values())
    if value not in values(bootstrap, topic, DEADLINE_S):
        sys.exit(f"{value} was produced to {bootstrap} and never consumed")
    print("told", *told)
    return 0


def values(bootstrap, topic, timeout_s=-1):
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest",
        "allow.auto.create.topics": True, "topic.metadata.refresh.interval.ms": 500,
    })
    consumer.subscribe([topic])
    while (message := consumer.poll(timeout_s)) is not None:
        if message.error() is None:
            yield message.value().decode()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
