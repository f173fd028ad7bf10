"""What the serializers ask of a registry beyond their first example."""

from confluent_kafka.schema_registry import (
    Schema, SchemaReference, dual_schema_id_deserializer, header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.timestamp_pb2 import Timestamp

from kit import client, consume, name, produce, refused, value_of

ADDRESS = '{"type": "record", "name": "Address", "namespace": "shop", "fields": [{"name": "street", "type": "string"}]}'
CUSTOMER = """{"type": "record", "name": "Customer", "namespace": "shop", "fields": [
    {"name": "name", "type": "string"}, {"name": "home", "type": "shop.Address"}]}"""
ITEM = '{"$id": "http://shop/item.json", "type": "object", "properties": {"name": {"type": "string"}}}'
CART = """{"$id": "http://shop/cart.json", "type": "object",
    "properties": {"items": {"type": "array", "items": {"$ref": "http://shop/item.json"}}}}"""


def references():
    avro_references()
    json_references()
    protobuf_references()


def avro_references():
    registry, topic = client(), name("customers")
    subject = name("address")
    registry.register_schema(subject, Schema(ADDRESS, "AVRO"))
    schema = Schema(CUSTOMER, "AVRO", [SchemaReference("shop.Address", subject, 1)])
    customer = {"name": "Ada", "home": {"street": "Dorset"}}
    produce(topic, [AvroSerializer(registry, schema)(customer, value_of(topic))])
    print(AvroDeserializer(client())(consume(topic, 1)[0].value(), value_of(topic)))
    told(registry, f"{topic}-value", subject)


def json_references():
    registry, topic = client(), name("carts")
    subject = name("item")
    registry.register_schema(subject, Schema(ITEM, "JSON"))
    schema = Schema(CART, "JSON", [SchemaReference("http://shop/item.json", subject, 1)])
    produce(topic, [JSONSerializer(schema, registry)({"items": [{"name": "tea"}]}, value_of(topic))])
    print(JSONDeserializer(None, schema_registry_client=client())(consume(topic, 1)[0].value(), value_of(topic)))
    told(registry, f"{topic}-value", subject)


def protobuf_references():
    """Files that a message's own file imports are registered by the serializer; the well-known ones are known."""
    registry, topic = client(), name("orders")
    order, money = orders()
    configured = {"use.deprecated.format": False, "reference.subject.name.strategy": lambda _, file: name(file.name)}
    serializer = ProtobufSerializer(order, registry, configured)
    message = order(price=money(cents=995))
    message.at.seconds = 1_700_000_000
    produce(topic, [serializer(message, value_of(topic))])
    got = ProtobufDeserializer(order, {"use.deprecated.format": False})(consume(topic, 1)[0].value(), value_of(topic))
    print(got.price.cents, got.at.seconds)
    for reference in registry.get_latest_version(f"{topic}-value").schema.references:
        print("refers to", reference.name, reference.subject, reference.version)
    print(client().get_version(name("money.proto"), 1).schema.schema_str)


def orders():
    pool = descriptor_pool.DescriptorPool()
    stamp = descriptor_pb2.FileDescriptorProto()
    Timestamp.DESCRIPTOR.file.CopyToProto(stamp)
    money = descriptor_pb2.FileDescriptorProto(name="money.proto", package="shop", syntax="proto3")
    money.message_type.add(name="Money").field.add(name="cents", number=1, type=3, label=1)
    order = descriptor_pb2.FileDescriptorProto(
        name="order.proto", package="shop", syntax="proto3", dependency=["money.proto", stamp.name]
    )
    message = order.message_type.add(name="Order")
    message.field.add(name="price", number=1, type=11, label=1, type_name=".shop.Money")
    message.field.add(name="at", number=2, type=11, label=1, type_name=".google.protobuf.Timestamp")
    for file in (stamp, money, order):
        pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(word)) for word in ("shop.Order", "shop.Money")]


def told(registry, subject, referenced):
    """Who refers to whom, as the registry tells it, and what it protects."""
    latest = registry.get_latest_version(subject)
    print([(each.name, each.subject, each.version) for each in latest.schema.references])
    print("referenced by its schema alone:", registry.get_referenced_by(referenced, 1) == [latest.schema_id])
    with refused("to delete what is referred to"):
        registry.delete_subject(referenced)


def serializers():
    registering_is_off()
    latest_version()
    normalized()
    id_in_the_header()
    other_subjects()
    evolved()


def registering_is_off():
    registry, topic = client(), name("unregistered")
    serializer = AvroSerializer(registry, ADDRESS, conf={"auto.register.schemas": False})
    with refused("a schema that nobody registered"):
        serializer({"street": "x"}, value_of(topic))
    registry.register_schema(f"{topic}-value", Schema(ADDRESS, "AVRO"))
    print("registered:", len(serializer({"street": "x"}, value_of(topic))), "bytes")


def latest_version():
    """With use.latest.version the writer's schema is the subject's newest, not what the program has."""
    registry, topic = client(), name("latest")
    newer = '{"type":"record","name":"V","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":7}]}'
    registry.register_schema(f"{topic}-value", Schema(newer, "AVRO"))
    serializer = AvroSerializer(registry, newer, conf={"auto.register.schemas": False, "use.latest.version": True})
    print("latest:", AvroDeserializer(registry)(serializer({"a": 1, "b": 2}, value_of(topic)), value_of(topic)))


def normalized():
    """What differs in its order only is one schema when schemas are normalized."""
    registry, subject = client(), name("normalized")
    texts = ['{"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}}',
             '{"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "type": "object"}']
    for text in texts:
        registry.register_schema(subject, Schema(text, "JSON"), normalize_schemas=True)
    found = client().lookup_schema(subject, Schema(texts[1], "JSON"), normalize_schemas=True)
    print("normalized:", registry.get_versions(subject), found.version, found.schema.schema_str)
    topic = name("normalizing")
    serializer = JSONSerializer(texts[0], client(), conf={"normalize.schemas": True})
    serializer({"a": 1, "b": "x"}, value_of(topic))
    print("normalizing:", client().get_latest_version(f"{topic}-value").schema.schema_str)


def id_in_the_header():
    """The schema's guid in a header instead of its id in front of the value."""
    registry, topic = client(), name("header")
    serializer = AvroSerializer(registry, ADDRESS, conf={"schema.id.serializer": header_schema_id_serializer})
    context = value_of(topic)
    context.headers = []
    produce(topic, [(None, serializer({"street": "Elm Street"}, context), context.headers)])
    message = consume(topic, 1)[0]
    headers = message.headers()
    guid = registry.get_latest_version(f"{topic}-value").guid
    print("header:", [key for key, _ in headers], headers[0][1][1:].hex() == guid.replace("-", ""))
    context = value_of(topic)
    context.headers = headers
    deserializer = AvroDeserializer(client(), conf={"schema.id.deserializer": dual_schema_id_deserializer})
    print("by its guid:", deserializer(message.value(), context))


def other_subjects():
    """Subjects named after records, which the record's name decides."""
    registry, topic = client(), name("any")
    serializer = AvroSerializer(
        registry, ADDRESS, conf={"subject.name.strategy": lambda context, record: f"{context.topic}-{record}"}
    )
    serializer({"street": "x"}, value_of(topic))
    print("subject:", [each for each in registry.get_subjects(topic)])


def evolved():
    """A reader's newer schema reads older records; a writer's that does not go together is refused."""
    registry, topic = client(), name("evolved")
    older = '{"type":"record","name":"E","fields":[{"name":"a","type":"int"}]}'
    newer = '{"type":"record","name":"E","fields":[{"name":"a","type":"long"},{"name":"b","type":"string","default":"-"}]}'
    other = '{"type":"record","name":"E","fields":[{"name":"a","type":"string"}]}'
    produce(topic, [
        AvroSerializer(registry, older)({"a": 1}, value_of(topic)),
        AvroSerializer(registry, newer)({"a": 2, "b": "two"}, value_of(topic)),
    ])
    reader = AvroDeserializer(client(), newer)
    print("evolved:", [reader(message.value(), value_of(topic)) for message in consume(topic, 2)])
    with refused("a schema that does not go together"):
        AvroSerializer(registry, other)({"a": "x"}, value_of(topic))


SCENARIOS = {"references": references, "serializers": serializers}
