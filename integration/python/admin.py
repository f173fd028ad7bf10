"""The admin API, and topics that come, grow and go while clients run."""

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, NewPartitions, NewTopic, OffsetSpec, ResourceType
)

import common
from common import DEADLINE_S, consumer, create_topic, name, producer, send, take, until


def outcome(future):
    """What a future of the admin API ends with: a value, or the error's name."""
    try:
        return future.result(timeout=DEADLINE_S)
    except KafkaException as error:
        return error.args[0].name()


def outcomes(futures):
    return [outcome(future) for _, future in sorted(futures.items(), key=lambda item: str(item[0]))]


def topics():
    """Made, grown, deleted and made again under a producer and a consumer that know it."""
    admin, topic = common.admin(), create_topic("topics", 1)
    reader = consumer("topics", topic_metadata_refresh_interval_ms=200)
    writer = producer(topic_metadata_refresh_interval_ms=200)
    reader.subscribe([topic])
    write(writer, topic, 0, 5)
    print("made:", read(reader, 5))
    print("grown:", outcomes(admin.create_partitions([NewPartitions(topic, 3)])))
    until(lambda: len(writer.list_topics(topic).topics[topic].partitions) == 3, "the producer sees the new partitions")
    write(writer, topic, 2, 5)
    print("new partition:", read(reader, 5))
    # A producer that knows the topic would make it again by itself.
    del writer
    print("deleted:", outcomes(admin.delete_topics([topic])))
    until(lambda: topic not in admin.list_topics(timeout=DEADLINE_S).topics, "the topic is gone")
    until(lambda: reader.poll(0.1) is None and not reader.assignment(), "the consumer gives its partitions back")
    print("made again:", outcomes(admin.create_topics([NewTopic(topic, 2, 1)])))
    write(producer(), topic, 1, 3)
    print("new topic:", read(reader, 3))
    reader.close()


def write(writer, topic, partition, count):
    errors = []
    for i in range(count):
        writer.produce(topic, f"{i}", partition=partition, on_delivery=lambda error, _: error and errors.append(error.name()))
    left = writer.flush(DEADLINE_S)
    if errors or left:
        print(f"produce to {partition}: {errors}, {left} without an answer")


def read(reader, count):
    """The next records, past the errors that a vanished topic leaves behind."""
    taken = []

    def more():
        for message in reader.consume(count, 0.2):
            if not message.error():
                taken.append((message.partition(), message.offset()))
        return len(taken) >= count

    until(more, f"{count} records")
    reader.commit(asynchronous=False)
    return sorted(taken)


def admin():
    client = common.admin()
    made_topics(client)
    cluster(client)
    configs_changed(client)
    offsets(client)
    groups(client)


def made_topics(client):
    new = [
        NewTopic(name("three"), 3, 1), NewTopic(name("defaults")), NewTopic(name("many-replicas"), 1, 2),
        NewTopic(name("no-partitions"), 0, 1), NewTopic("in valid", 1, 1), NewTopic(".", 1, 1),
        NewTopic("x" * 250, 1, 1), NewTopic(name("unknown-config"), 1, 1, config={"no.such.config": "1"}),
        NewTopic(name("bad-config"), 1, 1, config={"retention.ms": "soon"}),
        NewTopic(name("assigned"), 2, replica_assignment=[[1], [1]]),
        NewTopic(name("assigned-elsewhere"), 1, replica_assignment=[[77]]),
    ]
    print("validate:", outcomes(client.create_topics(new, validate_only=True)))
    print("create:", outcomes(client.create_topics(new)))
    print("again:", outcomes(client.create_topics(new[:2])))
    # The reference's answer to CreateTopics comes before its brokers know the topic.
    until(lambda: len(own_topics(client)) == 3, "the topics are listed")
    print("topics:", own_topics(client))
    for count in (5, 5, 4):
        print(f"partitions to {count}:", outcomes(client.create_partitions([NewPartitions(name("three"), count)])))
    print("partitions of nothing:", outcomes(client.create_partitions([NewPartitions(name("nothing"), 2)])))
    until(lambda: (name("three"), 5) in own_topics(client), "the new partitions are listed")
    known = client.describe_topics(TopicCollection([name("three"), name("nothing")]))
    for topic, future in sorted(known.items()):
        found = outcome(future)
        if isinstance(found, str):
            print("describe:", topic, found)
        else:
            print("describe:", topic, found.is_internal, [
                (p.id, p.leader.id, [n.id for n in p.replicas], [n.id for n in p.isr]) for p in found.partitions
            ])
    print("delete:", outcomes(client.delete_topics([name("assigned"), name("nothing")])))


def own_topics(client):
    topics = client.list_topics(timeout=DEADLINE_S).topics.values()
    return sorted((topic.topic, len(topic.partitions)) for topic in topics if topic.topic.startswith(name("")))


def cluster(client):
    found = client.describe_cluster(include_authorized_operations=True).result()
    print("cluster:", bool(found.cluster_id), found.controller.id, [(n.id, f"{n.host}:{n.port}") for n in found.nodes])
    print("operations:", sorted(operation.name for operation in found.authorized_operations))


def configs_changed(client):
    topic = Configs(client, name("three"))
    print("before:", topic.shown)
    for what, key, value, operation in (
        ("set", "retention.ms", "1000", AlterConfigOpType.SET),
        ("append", "cleanup.policy", "compact", AlterConfigOpType.APPEND),
        ("subtract", "cleanup.policy", "delete", AlterConfigOpType.SUBTRACT),
        ("delete", "retention.ms", None, AlterConfigOpType.DELETE),
        ("bad value", "retention.ms", "soon", AlterConfigOpType.SET),
        ("unknown key", "no.such.config", "1", AlterConfigOpType.SET),
        ("append to a number", "retention.ms", "1", AlterConfigOpType.APPEND),
    ):
        entry = ConfigEntry(key, value, incremental_operation=operation)
        asked = ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=[entry])
        topic.changed(what, outcomes(client.incremental_alter_configs([asked])))
    whole = ConfigResource(ResourceType.TOPIC, topic.name, set_config={"max.message.bytes": "5000"})
    topic.changed("alter", outcomes(client.alter_configs([whole])))
    missing = ConfigResource(ResourceType.TOPIC, name("nothing"))
    print("nothing:", outcomes(client.describe_configs([missing])))


class Configs:
    """Some configs of a topic, as last described."""

    def __init__(self, client, topic):
        self.client, self.name = client, topic
        self.shown = self.described()

    def described(self):
        resource = ConfigResource(ResourceType.TOPIC, self.name)
        found = self.client.describe_configs([resource])[resource].result()
        keys = ("retention.ms", "cleanup.policy", "max.message.bytes")
        return [(key, found[key].value, ConfigSource(found[key].source).name, found[key].is_default) for key in keys]

    def changed(self, what, outcome_of_change):
        """Prints what came of a change. The reference answers before its brokers know of it."""
        print(f"{what}:", outcome_of_change)
        if outcome_of_change == [None]:
            before = self.shown
            until(lambda: self.described() != before, "the change is described")
            self.shown = self.described()
            print(self.shown)


def offsets(client):
    topic = create_topic("offsets", 2)
    base = 1_600_000_000_000
    send(topic, [{"value": f"{i}", "partition": 0, "timestamp": base + (i * 7) % 10} for i in range(10)])
    place = TopicPartition(topic, 0)
    for what, spec in (
        ("earliest", OffsetSpec.earliest()), ("latest", OffsetSpec.latest()), ("max timestamp", OffsetSpec.max_timestamp()),
        ("for a time", OffsetSpec.for_timestamp(base + 6)), ("for a later time", OffsetSpec.for_timestamp(base + 100)),
    ):
        for level in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED):
            found = outcome(client.list_offsets({place: spec}, isolation_level=level)[place])
            print(f"{what}:", found if isinstance(found, str) else (found.offset, found.timestamp))
    for offset in (4, 2, -1, 11):
        found = outcome(client.delete_records([TopicPartition(topic, 0, offset)])[TopicPartition(topic, 0, offset)])
        print(f"delete before {offset}:", found if isinstance(found, str) else found.low_watermark)
    print("watermarks:", consumer().get_watermark_offsets(place, DEADLINE_S))
    nowhere = TopicPartition(topic, 9, 1)
    print("delete elsewhere:", outcome(client.delete_records([nowhere])[nowhere]))


def groups(client):
    topic, group = create_topic("group-topic", 2), name("group")
    send(topic, [{"value": f"{i}", "partition": i % 2} for i in range(10)])
    reader = consumer("group", client_id="a-client")
    reader.subscribe([topic])
    take(reader, 10)
    reader.commit(asynchronous=False)

    def described():
        found = client.describe_consumer_groups([group])[group].result()
        return found.state.name, found.partition_assignor, [
            (member.client_id, sorted((p.topic, p.partition) for p in member.assignment.topic_partitions))
            for member in found.members
        ]

    print("described:", described())
    print("listed:", [(g.group_id, g.is_simple_consumer_group, g.state.name)
                      for g in client.list_consumer_groups().result().valid if g.group_id == group])
    print("delete, not empty:", outcomes(client.delete_consumer_groups([group])))
    alter = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 1)])
    print("alter, not empty:", altered(client, alter))
    reader.close()
    until(lambda: described()[0] == "EMPTY", "the group is empty")
    print("described:", described())

    def group_offsets():
        asked = [ConsumerGroupTopicPartitions(group)]
        found = outcome(client.list_consumer_group_offsets(asked)[group])
        return sorted((p.partition, p.offset) for p in found.topic_partitions)

    print("offsets:", group_offsets())
    print("altered:", altered(client, alter), group_offsets())
    print("deleted:", outcomes(client.delete_consumer_groups([group, name("no-group")])))
    print("then:", client.describe_consumer_groups([group])[group].result().state.name)


def altered(client, alter):
    found = outcome(client.alter_consumer_group_offsets([alter])[alter.group_id])
    if isinstance(found, str):
        return found
    return [(p.partition, p.offset, p.error and p.error.name()) for p in found.topic_partitions]


def topic_configs():
    """The whole table of a new topic's configs."""
    topic = create_topic("configs", 1, retention_ms=5000)
    table(common.admin(), ConfigResource(ResourceType.TOPIC, topic))


def broker_configs():
    """The broker's table, but what says something of the machine."""
    table(common.admin(), ConfigResource(ResourceType.BROKER, "1"))


# These differ between two brokers of the same kind already.
OF_THE_MACHINE = ("listener", "log.dir", "controller.", "node.id", "broker.id", "process.roles", "inter.broker", "config.")


def table(client, resource):
    found = outcome(client.describe_configs([resource])[resource])
    if isinstance(found, str):
        print(resource.restype.name, found)
        return
    for key, entry in sorted(found.items()):
        if any(word in key for word in OF_THE_MACHINE) and resource.restype == ResourceType.BROKER:
            continue
        flags = [word for word in ("is_read_only", "is_sensitive") if getattr(entry, word)]
        synonyms = sorted(f"{s.name}={s.value}({ConfigSource(s.source).name})" for s in entry.synonyms.values())
        if ConfigSource(entry.source) == ConfigSource.STATIC_BROKER_CONFIG:
            # What these tests set, they set because the two brokers' defaults differ.
            synonyms = []
        print(f"{resource.restype.name} {key}={entry.value} {ConfigSource(entry.source).name}", *flags, *synonyms)


SCENARIOS = {"topics": topics, "admin": admin, "topic-configs": topic_configs, "broker-configs": broker_configs}
