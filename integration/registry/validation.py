"""Topics that take only records whose schemas are registered."""

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from confluent_kafka.schema_registry import (
    header_schema_id_serializer, record_subject_name_strategy, topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer

from kit import BOOTSTRAP, DEADLINE_S, RUN_ID, client, consume, key_of, name, produce, value_of

# Their names are subjects.
USER = '{"type": "record", "name": "User", "namespace": "of%s", "fields": [{"name": "name", "type": "string"}]}' % RUN_ID
CART = '{"title": "%s-cart", "type": "object", "properties": {"items": {"type": "integer"}}}' % RUN_ID
STRATEGIES = "io.confluent.kafka.serializers.subject."


def schema_validation():
    by_topic()
    by_record()
    settings()


def by_topic():
    registry = client()
    topic = made("validated", key="true", value="true")
    key, value = AvroSerializer(registry, '"string"'), AvroSerializer(registry, USER)
    in_header = AvroSerializer(registry, USER, conf={"schema.id.serializer": header_schema_id_serializer})
    headers = value_of(topic)
    headers.headers = []
    user = {"name": "Ada"}
    good = (key("k", key_of(topic)), value(user, value_of(topic)))
    with_header = in_header(user, headers)
    produce(topic, [good, (good[0], with_header, headers.headers), (good[0], None), (None, good[1])])
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        # With one wrong record, librdkafka tells the others the same.
        refused(topic, "no schema", [good, (good[0], b"text"), (good[0], b"more")], codec)
    refused(topic, "the key's schema", [(good[0], good[0])])
    refused(topic, "an id of nobody", [(None, b"\x00\x7f\xff\xff\xff")])
    refused(topic, "no key's schema", [(b"text", good[1])])
    print("in the topic:", len(consume(topic, 4)))
    registry.delete_subject(f"{topic}-value")
    produce(topic, [good])
    registry.delete_subject(f"{topic}-value", permanent=True)
    refused(topic, "a schema that is deleted", [good])


def by_record():
    registry = client()
    for word, strategy in (
        ("RecordName", record_subject_name_strategy), ("TopicRecordName", topic_record_subject_name_strategy),
    ):
        topic = made("by-" + word, value="true", strategy=f"{STRATEGIES}{word}Strategy")
        conf = {"subject.name.strategy": strategy}
        user, cart = AvroSerializer(registry, USER, conf=conf), JSONSerializer(CART, registry, conf=conf)
        produce(topic, [user({"name": "Ada"}, value_of(topic)), cart({"items": 1}, value_of(topic))])
        other = AvroSerializer(registry, USER.replace("User", "Stranger"))
        refused(topic, f"{word}, under the topic's name", [other({"name": "Ada"}, value_of(topic))])


def settings():
    topic = made("described", value="true")
    admin, resource = AdminClient({"bootstrap.servers": BOOTSTRAP}), ConfigResource("topic", topic)
    told = admin.describe_configs([resource])[resource].result()
    for key in sorted(key for key in told if key.startswith("confluent.")):
        print(key, told[key].value)
    try:
        made("wrong", value="true", strategy="com.example.MyStrategy")
    except Exception as error:
        print(error.args[0].name())


def made(word, key="false", value="false", strategy=None):
    topic, admin = name(word), AdminClient({"bootstrap.servers": BOOTSTRAP})
    config = {"confluent.key.schema.validation": key, "confluent.value.schema.validation": value}
    if strategy:
        config["confluent.value.subject.name.strategy"] = strategy
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result()
    return topic


def refused(topic, what, records, codec="none"):
    """The errors of records that go to the broker in one batch."""
    producer = Producer({
        "bootstrap.servers": BOOTSTRAP, "acks": "all", "linger.ms": 1000, "compression.type": codec, "batch.num.messages": len(records),
    })
    errors = []
    for record in records:
        key, value = record if isinstance(record, tuple) else (None, record)
        producer.produce(topic, value, key, on_delivery=lambda error, _: errors.append(error.name() if error else "delivered"))
    producer.flush(DEADLINE_S)
    print(f"{what} ({codec}):", *sorted(errors))


SCENARIOS = {"schema-validation": schema_validation}
