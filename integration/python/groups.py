"""Consumer groups: members that come and go, both protocols, static members, patterns, commits."""

import threading

from confluent_kafka import Consumer, TopicPartition

from common import (
    BOOTSTRAP, DEADLINE_S, admin, consumer, create_topic, error_name, log, name, producer, send, take, until, values
)

PARTITIONS = 6


class Member:
    """A consumer in its own thread, that commits what it has processed before it gives partitions back."""

    def __init__(self, group, topics, seen, **config):
        self.consumer = consumer(group, **config)
        self.seen = seen
        self.positions = {}
        self.partitions = set()
        self.rebalances = 0
        self.error = None
        self.leaving = threading.Event()
        self.consumer.subscribe(topics, on_assign=self.on_assign, on_revoke=self.on_revoke)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.leaving.is_set():
            message = self.consumer.poll(0.1)
            if message is None:
                continue
            if message.error():
                self.note(message.error())
                continue
            self.seen.append((message.topic(), message.partition(), message.offset(), message.value()))
            self.positions[message.topic(), message.partition()] = message.offset() + 1
        self.consumer.close()

    def on_assign(self, _, partitions):
        self.rebalances += 1
        self.partitions |= {(p.topic, p.partition) for p in partitions}

    def on_revoke(self, _, partitions):
        gone = {(p.topic, p.partition) for p in partitions}
        offsets = [TopicPartition(*key, self.positions.pop(key)) for key in gone if key in self.positions]
        if offsets:
            self.consumer.commit(offsets=offsets, asynchronous=False)
        self.partitions -= gone

    def leave(self):
        self.leaving.set()
        self.thread.join(DEADLINE_S)


    def note(self, error):
        self.error = error.name()
        log("member:", error)

    def leave(self):
        self.leaving.set()
        self.thread.join(DEADLINE_S)


def groups():
    come_and_go("groups", partition_assignment_strategy="range")


def cooperative():
    come_and_go("cooperative", partition_assignment_strategy="cooperative-sticky")


def come_and_go(group, **config):
    """1 to 5 members, up and down again, while a producer runs: each record once."""
    topic = create_topic(group, PARTITIONS)
    load = Load(topic)
    seen, members = [], []
    for count in (1, 2, 3, 4, 5, 3, 1):
        while len(members) < count:
            members.append(Member(group, [topic], seen, **config))
        while len(members) > count:
            members.pop(0).leave()
        before = len(seen)
        until(lambda: shares(members) == even_shares(len(members)), f"{count} members share the partitions")
        until(lambda: len(seen) > before + 50, "records go on")
        print(f"{count} members:", even_shares(count))
    sent = load.stop()
    until(lambda: len(seen) >= sent, "all records are consumed")
    for member in members:
        member.leave()
    values_seen = [value for *_, value in seen]
    print(f"all delivered: {sent == load.produced}, duplicates {len(values_seen) - len(set(values_seen))},",
          f"lost {sent - len(set(values_seen))}")


def shares(members):
    return sorted(len(member.partitions) for member in members)


def even_shares(count):
    return sorted(PARTITIONS // count + (i < PARTITIONS % count) for i in range(count))


class Load:
    """A producer that writes until told to stop."""

    def __init__(self, topic):
        self.topic = topic
        self.produced = self.delivered = 0
        self.stopping = threading.Event()
        self.producer = producer()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping.is_set():
            for _ in range(5):
                self.producer.produce(self.topic, f"{self.produced}", partition=self.produced % PARTITIONS, on_delivery=self.report)
                self.produced += 1
            self.producer.poll(0.01)

    def report(self, error, _):
        if not error:
            self.delivered += 1

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.producer.flush(DEADLINE_S)
        return self.delivered


def static():
    """A member with a group.instance.id comes back without a rebalance; a second one of that id fences it."""
    topic = create_topic("static", 4)
    seen = []
    members = {i: Member("static", [topic], seen, group_instance_id=name(f"instance-{i}")) for i in (1, 2)}
    until(lambda: shares(members.values()) == [2, 2], "both have their share")
    own, rebalances = set(members[1].partitions), members[2].rebalances
    members[1].leave()
    members[1] = Member("static", [topic], seen, group_instance_id=name("instance-1"))
    until(lambda: len(members[1].partitions) == 2, "the member is back")
    print("the same partitions:", members[1].partitions == own)
    send(topic, [{"value": f"{i}", "partition": i % 4} for i in range(40)])
    until(lambda: len(seen) == 40, "all is consumed")
    print("rebalances of the other:", members[2].rebalances - rebalances)

    second = Member("static", [topic], seen, group_instance_id=name("instance-1"))
    until(lambda: members[1].error, "the first of the same id is fenced")
    print("fenced:", members[1].error)
    until(lambda: len(second.partitions) == 2, "the second has the partitions")
    group = admin().describe_consumer_groups([name("static")])[name("static")].result()
    print("group:", group.state.name, sorted(member.group_instance_id for member in group.members))
    for member in (second, *members.values()):
        member.leave()


def commit():
    topic = create_topic("commit", 2)
    send(topic, [{"value": f"{i}", "partition": i % 2} for i in range(20)])

    reader = consumer("auto", enable_auto_commit=True, auto_commit_interval_ms=100)
    reader.subscribe([topic])
    take(reader, 20)
    until(lambda: committed(reader, topic) == [(10, None), (10, None)], "the offsets are committed by themselves")
    reader.close()
    print("automatic:", committed(consumer("auto"), topic))

    answers = []
    reader = Consumer({
        "bootstrap.servers": BOOTSTRAP, "group.id": name("manual"), "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "on_commit": lambda error, offsets: answers.append((error, offsets)),
    })
    reader.subscribe([topic])
    take(reader, 20)
    print("before:", committed(reader, topic))
    done = reader.commit(offsets=[TopicPartition(topic, 0, 3, "a note")], asynchronous=False)
    print("synchronous:", [(p.partition, p.offset, p.error) for p in done], committed(reader, topic))
    answers.clear()
    reader.commit(offsets=[TopicPartition(topic, 1, 7, "ä" * 100)], asynchronous=True)
    until(lambda: reader.poll(0.1) is None and answers, "the commit's answer")
    print("asynchronous:", [error for error, _ in answers], committed(reader, topic))
    print("metadata too large:", error_name(
        reader.commit, offsets=[TopicPartition(topic, 0, 5, "x" * 5000)], asynchronous=False))
    print("unknown partition:", error_name(reader.commit, offsets=[TopicPartition(topic, 99, 5)], asynchronous=False))
    reader.close()
    print("after closing:", committed(consumer("manual"), topic))

    reader = consumer("manual")
    reader.subscribe([topic])
    again = sorted((message.partition(), message.offset()) for message in take(reader, 10))
    print("read again:", again)
    reader.close()


def committed(reader, topic):
    found = reader.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=DEADLINE_S)
    return [(p.offset, p.metadata) for p in found]


def regex():
    """A subscription by pattern; a topic made later joins it."""
    first, other = create_topic("regex-first"), create_topic("unlike")
    for topic in (first, other):
        send(topic, values("early-", 3))
    seen = []
    member = Member("regex", [f"^{name('regex-')}.*"], seen, topic_metadata_refresh_interval_ms=200)
    until(lambda: len(seen) == 3, "the first topic is consumed")
    later = create_topic("regex-later")
    send(later, values("late-", 3))
    until(lambda: len(seen) == 6, "the later topic is consumed")
    for topic, partition, offset, value in sorted(seen):
        print(topic, partition, offset, value.decode())
    member.leave()


SCENARIOS = {run.__name__: run for run in (groups, cooperative, static, commit, regex)}
