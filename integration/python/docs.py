"""The programs of confluent-kafka's own documentation, with our addresses and names: what its users begin with."""

import asyncio

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic
from confluent_kafka.aio import AIOConsumer, AIOProducer
from confluent_kafka import DeserializingConsumer, SerializingProducer
from confluent_kafka.serialization import IntegerDeserializer, IntegerSerializer, StringDeserializer, StringSerializer

from common import BOOTSTRAP, name, until


def docs():
    topic = name("mytopic")
    produce(topic)
    consume(topic)
    serializers(name("serialized"))
    admin_client()
    asyncio.run(aio(name("aio")))


def produce(topic):
    """Produces to a topic that nobody made."""
    p = Producer({"bootstrap.servers": BOOTSTRAP})

    def delivery_report(err, msg):
        if err is not None:
            print(f"Message delivery failed: {err.name()}")
        else:
            print(f"Message delivered to {msg.topic()} [{msg.partition()}] at {msg.offset()}")

    for data in ("one", "two", "three"):
        p.poll(0)
        p.produce(topic, data.encode("utf-8"), callback=delivery_report)
    p.flush()


def consume(topic):
    c = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": name("mygroup"), "auto.offset.reset": "earliest"})
    c.subscribe([topic])
    received = 0
    while received < 3:
        msg = c.poll(1.0)
        if msg is None:
            continue
        if msg.error():
            if msg.error().code() == KafkaError._PARTITION_EOF:
                continue
            raise KafkaException(msg.error())
        print(f"Received message: {msg.value().decode('utf-8')}")
        received += 1
    c.close()


def serializers(topic):
    string, integer = StringSerializer("utf_8"), IntegerSerializer()
    p = SerializingProducer({"bootstrap.servers": BOOTSTRAP, "key.serializer": string, "value.serializer": integer})
    for i in range(3):
        p.produce(topic, key=f"key {i}", value=i)
    p.flush()
    c = DeserializingConsumer({
        "bootstrap.servers": BOOTSTRAP, "group.id": name("serialized"), "auto.offset.reset": "earliest",
        "key.deserializer": StringDeserializer("utf_8"), "value.deserializer": IntegerDeserializer(),
    })
    c.subscribe([topic])
    received = 0
    while received < 3:
        msg = c.poll(1.0)
        if msg is not None:
            print(msg.key(), msg.value())
            received += 1
    c.close()


def admin_client():
    a = AdminClient({"bootstrap.servers": BOOTSTRAP})
    new_topics = [NewTopic(topic, num_partitions=3, replication_factor=1) for topic in (name("topic1"), name("topic2"))]
    each("created", a.create_topics(new_topics))
    each("grown", a.create_partitions([NewPartitions(name("topic1"), 5)]))
    fs = a.describe_configs([ConfigResource("topic", name("topic1"))])
    for resource, f in fs.items():
        configs = f.result()
        print("Config of", resource.name, "retention.ms =", configs["retention.ms"].value)
    until(lambda: len(a.list_topics(timeout=10).topics[name("topic1")].partitions) == 5, "the topic has grown")
    metadata = a.list_topics(timeout=10)
    print("Brokers:", len(metadata.brokers), "topic1:", len(metadata.topics[name("topic1")].partitions))
    each("deleted", a.delete_topics([name("topic1"), name("topic2")], operation_timeout=30))


def each(what, fs):
    for topic, f in fs.items():
        try:
            f.result()
            print(f"Topic {topic} {what}")
        except KafkaException as e:
            print(f"Failed: topic {topic} not {what}: {e.args[0].name()}")


async def aio(topic):
    producer = AIOProducer({"bootstrap.servers": BOOTSTRAP})
    try:
        deliveries = [await producer.produce(topic=topic, value=f"async {i}".encode()) for i in range(3)]
        await producer.flush()
        for delivery in deliveries:
            message = await delivery
            print(f"Delivered to {message.topic()} [{message.partition()}] at {message.offset()}")
    finally:
        await producer.close()
    consumer = AIOConsumer({"bootstrap.servers": BOOTSTRAP, "group.id": name("aio"), "auto.offset.reset": "earliest"})
    try:
        await consumer.subscribe([topic])
        received = 0
        while received < 3:
            message = await consumer.poll(1.0)
            if message is not None:
                print("Received:", message.value().decode())
                received += 1
    finally:
        await consumer.close()


SCENARIOS = {"docs": docs}
