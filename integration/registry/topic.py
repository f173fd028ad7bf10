"""`_schemas`, held against Confluent's registry: a topic that it left is served, and what Ottla writes has its bytes."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

import rest
from kit import BOOTSTRAP, DEADLINE_S, REGISTRY, produce

TOPIC = "_schemas"
LEFT = Path(__file__).with_name("topic") / "confluent.txt"

QUESTIONS = """
GET /subjects
GET /subjects?deleted=true
GET /contexts
GET /config
GET /config/Car
GET /mode/frozen
GET /mode/thawed?defaultToGlobal=true
GET /subjects/Car/versions
GET /subjects/Car/versions/2
GET /subjects/Fruit/versions
GET /subjects/Fruit/versions?deleted=true
GET /schemas/ids/1/subjects
GET /schemas/ids/4
GET /subjects/money.proto/versions/1/referencedby
GET /subjects/carts-value/versions
GET /subjects/gone-value/versions?deleted=true
GET /subjects/:.ctx:c/versions/1
GET /subjects/rules-value/versions/1
GET /schemas/ids/10
""".split("\n")[1:-1]


def topic():
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    made = admin.create_topics([NewTopic(TOPIC, 1, 1, config={"cleanup.policy": "compact"})])
    made[TOPIC].result()
    records = [line.split("\t") for line in LEFT.read_text().splitlines() if not line.startswith("#")]
    produce(TOPIC, [(key, None if value == "-" else value) for key, value in records])
    print("--- served")
    served = ask()
    print(*served, sep="\n")
    others_write()
    writes(len(records) + 1)
    for action in ("restart", "kill9", "start"):
        subprocess.run([os.environ["BROKER_CTL"], action], check=True)
    print("--- after a restart and a kill, the same but for what was written since:")
    print(*[line for line in ask() if line not in served], sep="\n")
    settings(admin)


def ask():
    connection = rest.Connection(REGISTRY)
    lines = []
    for line in QUESTIONS:
        status, body = connection.request(*line.split(" "))
        lines.append(f"{line}\n    {status} {timeless(body.decode())}")
    return lines


def timeless(text):
    return re.sub(r'"ts":\d+', '"ts":0', text)


def others_write():
    """What somebody else appends is seen without a restart."""
    produce(TOPIC, [(
        '{"keytype":"SCHEMA","subject":"elsewhere","version":1,"magic":1}',
        '{"subject":"elsewhere","version":1,"id":12,"schema":"\\"float\\"","deleted":false}',
    )])
    connection, deadline = rest.Connection(REGISTRY), time.monotonic() + DEADLINE_S
    while connection.json("GET", "/subjects/elsewhere/versions")[0] != 200:
        if time.monotonic() > deadline:
            sys.exit("what another one wrote does not show")
        time.sleep(0.02)
    print("--- written elsewhere")
    print(timeless(connection.request("GET", "/schemas/ids/12")[1].decode()))


WRITES = [
    ("POST", "/subjects/w-avro/versions", {"schema": '{"type": "record", "name": "W", "fields": [{"name": "x", "type": "int"}]}'}),
    ("POST", "/subjects/w-avro/versions", {"schema": '{"type": "record", "name": "W", "fields": [{"name": "x", "type": "int"}]}'}),
    ("POST", "/subjects/w-copy/versions", {"schema": '{"type": "record", "name": "W", "fields": [{"name": "x", "type": "int"}]}'}),
    ("POST", "/subjects/w-json/versions", {"schemaType": "JSON", "schema": '{"type": "object"}'}),
    ("POST", "/subjects/w-protobuf/versions", {
        "schemaType": "PROTOBUF", "schema": 'syntax = "proto3";\nimport "money.proto";\nmessage P {\n  shop.Money m = 1;\n}\n',
        "references": [{"name": "money.proto", "subject": "money.proto", "version": 1}]}),
    ("POST", "/subjects/w-contract/versions", {
        "schema": '"double"', "metadata": {"properties": {"k": "v"}},
        "ruleSet": {"domainRules": [{"name": "r", "kind": "CONDITION", "type": "CEL", "mode": "WRITE", "expr": "true"}]}}),
    ("POST", "/subjects/:.w:c/versions", {"schema": '"double"'}),
    ("PUT", "/config", {"compatibility": "NONE"}),
    ("PUT", "/config/w-avro", {"compatibility": "FULL"}),
    ("DELETE", "/config/w-avro", None),
    ("PUT", "/mode/w-json", {"mode": "READONLY"}),
    ("DELETE", "/mode/w-json", None),
    ("DELETE", "/subjects/w-copy/versions/1", None),
    ("DELETE", "/subjects/w-copy/versions/1?permanent=true", None),
    ("DELETE", "/subjects/w-json", None),
    ("DELETE", "/subjects/w-json?permanent=true", None),
]


def writes(offset):
    """Each write, and the records that it made."""
    print("--- written")
    connection = rest.Connection(REGISTRY)
    for method, path, body in WRITES:
        status, answer = connection.json(method, path, body)
        number = answer.get("id") if isinstance(answer, dict) else answer
        print(f"{method} {path}\n    {status} {number}")
        for key, value in records_from(offset):
            print(f"    {key}\t{value}")
            offset += 1


def records_from(offset):
    """The topic's records from an offset to its end, as text."""
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False})
    partition = TopicPartition(TOPIC, 0, offset)
    _, end = consumer.get_watermark_offsets(partition, timeout=DEADLINE_S)
    consumer.assign([partition])
    records, deadline = [], time.monotonic() + DEADLINE_S
    while len(records) < end - offset:
        message = consumer.poll(0.2)
        if message is None and time.monotonic() > deadline:
            sys.exit("the topic cannot be read")
        if message is not None and not message.error():
            value = message.value()
            records.append((message.key().decode(), "-" if value is None else value.decode()))
    consumer.close()
    return records


def settings(admin):
    """The topic that it makes itself, where there is none."""
    admin.delete_topics([TOPIC])[TOPIC].result()
    for action in ("restart",):
        subprocess.run([os.environ["BROKER_CTL"], action], check=True)
    connection = rest.Connection(REGISTRY)
    print("--- without a topic")
    print(connection.json("GET", "/subjects"), TOPIC in admin.list_topics(timeout=DEADLINE_S).topics)
    print(connection.json("POST", "/subjects/first/versions", {"schema": '"int"'})[0])
    described = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, TOPIC)])
    configs = next(iter(described.values())).result()
    print(len(admin.list_topics(TOPIC, timeout=DEADLINE_S).topics[TOPIC].partitions), configs["cleanup.policy"].value)
    for key, value in records_from(0):
        print(f"    {key}\t{value}")


SCENARIOS = {"topic": topic}
