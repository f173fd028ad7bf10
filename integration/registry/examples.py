"""What confluent-kafka's documentation begins with: users as Avro, JSON and Protobuf, serialized, produced, consumed."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import StringDeserializer, StringSerializer

from kit import client, consume, framed, key_of, name, produce, value_of

AVRO = """
{
  "namespace": "confluent.io.examples.serialization.avro",
  "name": "User",
  "type": "record",
  "fields": [
    {"name": "name", "type": "string"},
    {"name": "favorite_number", "type": "long"},
    {"name": "favorite_color", "type": "string"}
  ]
}
"""
JSON = """
{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "title": "User",
  "description": "A Confluent Kafka Python User",
  "type": "object",
  "properties": {
    "name": {"description": "User's name", "type": "string"},
    "favorite_number": {"description": "User's favorite number", "type": "number", "exclusiveMinimum": 0},
    "favorite_color": {"description": "User's favorite color", "type": "string"}
  },
  "required": ["name", "favorite_number", "favorite_color"]
}
"""


class User:
    def __init__(self, name, favorite_number, favorite_color):
        self.name, self.favorite_number, self.favorite_color = name, favorite_number, favorite_color

    @classmethod
    def of(cls, fields, _context):
        return cls(**fields)

    def fields(self, _context=None):
        return {"name": self.name, "favorite_number": self.favorite_number, "favorite_color": self.favorite_color}


USERS = [User("Ada", 7, "green"), User("Grace", 1906, "navy"), User("Jürgen", 3, "orange")]


def avro():
    registry = client()
    go_round(
        registry, name("users-avro"), USERS, AvroSerializer(registry, AVRO, User.fields),
        AvroDeserializer(registry, AVRO, User.of), User.fields,
    )


def json():
    registry = client()
    go_round(
        registry, name("users-json"), USERS, JSONSerializer(JSON, registry, User.fields),
        JSONDeserializer(JSON, User.of), User.fields,
    )


def protobuf():
    registry = client()
    user = message_class("user.proto", "User", name=9, favorite_number=3, favorite_color=9)
    users = [user(**each.fields()) for each in USERS]
    deserializer = ProtobufDeserializer(user, {"use.deprecated.format": False})
    go_round(
        registry, name("users-protobuf"), users,
        ProtobufSerializer(user, registry, {"use.deprecated.format": False}), deserializer, User.fields,
    )


def message_class(file, word, **fields):
    """What protoc would generate of a file with one message; `fields` are their types, by name."""
    described = descriptor_pb2.FileDescriptorProto(name=file, syntax="proto3")
    message = described.message_type.add(name=word)
    for number, (field, kind) in enumerate(fields.items(), 1):
        message.field.add(name=field, number=number, type=kind, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(word))


def go_round(registry, topic, users, serializer, deserializer, fields):
    string = StringSerializer("utf_8")
    produce(topic, [
        (string(f"key {number}", key_of(topic)), serializer(user, value_of(topic))) for number, user in enumerate(users)
    ])
    subject = f"{topic}-value"
    for message in consume(topic, len(users)):
        user = deserializer(message.value(), value_of(topic))
        print(StringDeserializer()(message.key()), fields(user), framed(topic, registry, message.value()))
    latest = registry.get_latest_version(subject)
    print(registry.get_versions(subject), latest.schema.schema_type, latest.schema.schema_str)


SCENARIOS = {"avro": avro, "json": json, "protobuf": protobuf}
