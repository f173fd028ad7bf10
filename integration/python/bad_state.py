"""Requests that are well formed, and wrong about the state of producers and groups: Kafka's errors, and nothing changed."""

import struct

import wire
from bad_input import error_name, show
from common import create_topic, name, until
from transactions import end
from wire import batch, produce, produced, request, string, talk

OFFSET_COMMIT, OFFSET_FETCH = 8, 9
INIT_PRODUCER_ID, ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 22, 24, 25, 26, 28
CONSUMER_HEARTBEAT, SHARE_HEARTBEAT, SHARE_FETCH, SHARE_ACKNOWLEDGE = 68, 76, 78, 79
TRANSACTIONAL = 0x10
MEMBER = "AQIDBAUGBwgJCgsMDQ4PEA"


def bad_state():
    topic = create_topic("bad-state", 1)
    for part in (sequences, transactions, classic_groups, consumer_groups, share_groups):
        part(topic)


def ask(key, version, body, at, flexible=False):
    """The name of the error at a place of the answer's body."""
    answer = talk(request(key, version, body, flexible))
    if isinstance(answer, str):
        return answer
    return error_name(struct.unpack_from(">h", answer, 4 + (1 if flexible else 0) + at)[0])


def init_producer_id(transactional_id=None):
    """(error, producer id, epoch) of InitProducerId 1; asked again while the coordinator gets ready."""
    text = struct.pack(">h", -1) if transactional_id is None else string(transactional_id)
    answers = []

    def is_ready():
        answer = talk(request(INIT_PRODUCER_ID, 1, text + struct.pack(">i", 60_000)))
        answers.append(struct.unpack_from(">hqh", answer, 8))
        return error_name(answers[-1][0]) not in ("NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "CONCURRENT_TRANSACTIONS")

    if transactional_id:
        talk(request(wire.FIND_COORDINATOR, 1, string(transactional_id) + b"\1"))
    until(is_ready, "a producer id")
    return answers[-1]


def sequences(topic):
    """An idempotent producer whose sequences and epochs are not what they should be."""
    _, producer, epoch = init_producer_id()

    def send(what, sequence, epoch=epoch, count=1):
        records = b"".join(wire.record(delta=i) for i in range(count))
        answer = talk(produce(topic, batch(records, count, producer=producer, producer_epoch=epoch, sequence=sequence)))
        error, offset = produced(answer)
        print(f"{what}: {error_name(error)} {offset}")

    send("the first", 0, count=2)
    send("the next", 2)
    send("the next again", 2)
    send("the first again", 0, count=2)
    send("a part of what was sent", 0)
    send("with a gap", 9)
    send("before all", -5)
    send("a new epoch that begins in the middle", 3, epoch=epoch + 1)
    send("a new epoch", 0, epoch=epoch + 1)
    send("the old epoch", 4)
    print("stored:", end(topic, 0, "read_uncommitted"))


def transactions(topic):
    transactional_id = name("bad-state")
    error, producer, epoch = init_producer_id(transactional_id)
    print("init:", error_name(error), epoch)
    before = end(topic, 0, "read_uncommitted")

    def head(producer=producer, epoch=epoch, transactional_id=transactional_id):
        return string(transactional_id) + struct.pack(">qh", producer, epoch)

    def places(topic, *partitions):
        return struct.pack(">i", 1) + string(topic) + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)

    def add(version, where, **wrong):
        return ask(ADD_PARTITIONS, version, head(**wrong) + where, 4 + 4 + 2 + len(topic.encode()) + 4 + 4)

    good = places(topic, 0)
    for version in (0, 2):
        show(f"add with another producer, v{version}", add(version, good, producer=producer + 1000))
        show(f"add with an old epoch, v{version}", add(version, good, epoch=epoch - 1))
        show(f"add with a new epoch, v{version}", add(version, good, epoch=epoch + 1))
    show("add of nobody", add(2, good, transactional_id=name("nobody")))
    show("add of no id", add(2, good, transactional_id=""))
    show("add of a partition that is not there", add(2, places(topic, 99)))
    show("commit of nothing", ask(END_TXN, 2, head() + b"\1", 4))
    show("abort of nothing", ask(END_TXN, 2, head() + b"\0", 4))
    show("write without adding", error_name(produced(talk(transactional(topic, transactional_id, producer, epoch, 0)))[0]))
    show("add offsets of no group", ask(ADD_OFFSETS, 2, head() + string(""), 4))
    show("add offsets with an old epoch", ask(ADD_OFFSETS, 2, head(epoch=epoch - 1) + string(name("bad")), 4))
    print("nothing is written:", end(topic, 0, "read_uncommitted") == before)

    show("add", add(2, good))
    show("write", error_name(produced(talk(transactional(topic, transactional_id, producer, epoch, 0)))[0]))
    show("write with a gap", error_name(produced(talk(transactional(topic, transactional_id, producer, epoch, 7)))[0]))
    show("write of an old epoch", error_name(produced(talk(transactional(topic, transactional_id, producer, epoch - 1, 1)))[0]))
    show("commit with another producer", ask(END_TXN, 2, head(producer=producer + 1000) + b"\1", 4))
    show("commit with an old epoch, v0", ask(END_TXN, 0, head(epoch=epoch - 1) + b"\1", 4))
    show("commit with an old epoch, v2", ask(END_TXN, 2, head(epoch=epoch - 1) + b"\1", 4))
    group = name("bad-state")
    show("offsets with the transaction", ask(ADD_OFFSETS, 2, head() + string(group), 4))

    def commit_offsets(what, partition=0, metadata="", **wrong):
        body = string(wrong.pop("transactional_id", transactional_id)) + string(group)
        body += struct.pack(">qh", wrong.get("producer", producer), wrong.get("epoch", epoch))
        body += struct.pack(">i", 1) + string(topic) + struct.pack(">iiqi", 1, partition, 5, -1) + string(metadata)
        show(what, ask(TXN_OFFSET_COMMIT, 2, body, 4 + 4 + 2 + len(topic.encode()) + 4 + 4))

    talk(request(wire.FIND_COORDINATOR, 1, string(group) + b"\0"))
    until(lambda: committed(group, topic) == -1, "the group has a coordinator")
    commit_offsets("offsets of a partition that is not there", partition=99)
    commit_offsets("offsets with too much metadata", metadata="x" * 5000)
    commit_offsets("offsets of an old epoch", epoch=epoch - 1)
    print("nothing is committed:", committed(group, topic), "stable up to", end(topic, 0, "read_committed") == before)
    show("abort", ask(END_TXN, 2, head() + b"\0", 4))
    until(lambda: end(topic, 0, "read_committed") == before + 2, "the marker")
    show("abort again", ask(END_TXN, 2, head() + b"\0", 4))
    show("commit what is aborted", ask(END_TXN, 2, head() + b"\1", 4))


def transactional(topic, transactional_id, producer, epoch, sequence):
    records = batch(producer=producer, producer_epoch=epoch, sequence=sequence, attributes=TRANSACTIONAL)
    return produce(topic, records, transactional_id=transactional_id)


def committed(group, topic):
    """The offset that OffsetFetch 5 tells of partition 0, or the error's name."""
    body = string(group) + struct.pack(">i", 1) + string(topic) + struct.pack(">ii", 1, 0)
    answer = talk(request(OFFSET_FETCH, 5, body))
    error, = struct.unpack_from(">h", answer, len(answer) - 2)
    if error:
        return error_name(error)
    return struct.unpack_from(">q", answer, 4 + 4 + 4 + 2 + len(topic.encode()) + 4 + 4)[0]


def classic_groups(topic):
    group, instance = name("classic"), name("instance")
    member, generation = join(group, instance)
    show("sync", ask(wire.SYNC_GROUP, 3, string(group) + struct.pack(">i", generation) + string(member) + string(instance) + struct.pack(">i", 0), 4))

    def who(generation=generation, member=member, instance=instance):
        nobody = struct.pack(">h", -1)
        return string(group) + struct.pack(">i", generation) + string(member) + (nobody if instance is None else string(instance))

    def commit(what, partition=0, metadata="", **wrong):
        body = who(**wrong) + struct.pack(">i", 1) + string(topic) + struct.pack(">iiqi", 1, partition, 7, -1) + string(metadata)
        show(f"commit {what}", ask(OFFSET_COMMIT, 7, body, 4 + 4 + 2 + len(topic.encode()) + 4 + 4))

    cases = {
        "of an old generation": {"generation": generation - 1},
        "of a generation to come": {"generation": generation + 1},
        "of nobody": {"member": "nobody", "instance": None},
        "of another member with the instance": {"member": "another"},
        "of an instance that is not there": {"instance": name("no-instance")},
    }
    for what, wrong in cases.items():
        show(f"heartbeat {what}", ask(wire.HEARTBEAT, 3, who(**wrong), 4))
        show(f"sync {what}", ask(wire.SYNC_GROUP, 3, who(**wrong) + struct.pack(">i", 0), 4))
        commit(what, **wrong)
    commit("without a generation", generation=-1, member="", instance=None)
    commit("of a partition that is not there", partition=99)
    commit("of too much metadata", metadata="x" * 5000)
    print("committed:", committed(group, topic))
    show("the member's own heartbeat", ask(wire.HEARTBEAT, 3, who(), 4))
    commit("of the member")
    print("committed:", committed(group, topic))
    body = string(group) + struct.pack(">ii", 10_000, 10_000) + string("") + struct.pack(">h", -1) + string("other") + struct.pack(">i", 1)
    show("join with another protocol type", ask(wire.JOIN_GROUP, 5, body + string("range") + struct.pack(">i", 0), 4))


def join(group, instance):
    """(member id, generation) of a static member that is the only one."""
    talk(request(wire.FIND_COORDINATOR, 1, string(group) + b"\0"))
    body = string(group) + struct.pack(">ii", 30_000, 30_000) + string("") + string(instance) + string("consumer")
    body += struct.pack(">i", 1) + string("range") + struct.pack(">i", 0)
    found = []

    def has_joined():
        answer = talk(request(wire.JOIN_GROUP, 5, body))
        error, generation = struct.unpack_from(">hi", answer, 8)
        if error == 0:
            at = 14
            # The protocol, then the leader, which is this member.
            at += 2 + struct.unpack_from(">h", answer, at)[0]
            length, = struct.unpack_from(">h", answer, at)
            found.append((answer[at + 2:at + 2 + length].decode(), generation))
        return found

    until(has_joined, "the member joins")
    return found[0]


def compact(text):
    data = text.encode()
    return wire.unsigned(len(data) + 1) + data


def consumer_groups(topic):
    group = name("consumer")

    def heartbeat(epoch, member=MEMBER, instance=None, topics=(topic,), pattern=None, assignor=None, timeout=60_000, owned=b"\1"):
        """(error, epoch) of ConsumerGroupHeartbeat 1."""
        body = compact(group) + compact(member) + struct.pack(">i", epoch) + optional(instance) + b"\0" + struct.pack(">i", timeout)
        body += b"\0" if topics is None else bytes([len(topics) + 1]) + b"".join(map(compact, topics))
        body += optional(pattern) + optional(assignor) + owned + b"\0"
        answer = talk(request(CONSUMER_HEARTBEAT, 1, body, flexible=True))
        error, = struct.unpack_from(">h", answer, 9)
        if error:
            return error_name(error)
        return struct.unpack_from(">i", answer, 9 + 2 + 1 + 1 + (answer[12] - 1 if answer[12] else 0))[0]

    instance = name("instance")
    epoch = heartbeat(0, instance=instance)
    print("joined:", isinstance(epoch, int))
    cases = {
        "of nobody": (3, {"member": "BBBBBBBBBBBBBBBBBBBBBB", "instance": None}),
        "of no member id": (0, {"member": ""}),
        "of an epoch to come": (epoch + 5, {}),
        "of an impossible epoch": (-3, {}),
        "of a static leave without an instance": (-2, {"instance": None}),
        "of an instance that is taken": (0, {"member": "CCCCCCCCCCCCCCCCCCCCCC"}),
        "of another member with the instance": (epoch, {"member": "CCCCCCCCCCCCCCCCCCCCCC"}),
        "without topics": (0, {"member": "DDDDDDDDDDDDDDDDDDDDDD", "instance": None, "topics": None}),
        "without a timeout": (0, {"member": "DDDDDDDDDDDDDDDDDDDDDD", "instance": None, "timeout": -1}),
        "without an empty assignment": (0, {"member": "DDDDDDDDDDDDDDDDDDDDDD", "instance": None, "owned": b"\0"}),
        "with an unknown assignor": (0, {"member": "DDDDDDDDDDDDDDDDDDDDDD", "instance": None, "assignor": "nobody"}),
        "with a wrong pattern": (0, {"member": "DDDDDDDDDDDDDDDDDDDDDD", "instance": None, "topics": (), "pattern": "((("}),
        "with an empty instance": (0, {"member": "DDDDDDDDDDDDDDDDDDDDDD", "instance": ""}),
    }
    for what, (wrong_epoch, wrong) in cases.items():
        print(f"heartbeat {what}:", heartbeat(wrong_epoch, **{"instance": instance, **wrong}))

    def commit(what, epoch, member=MEMBER, partition=0, metadata=""):
        place = struct.pack(">iqi", partition, 7, -1) + compact(metadata) + b"\0"
        body = compact(group) + struct.pack(">i", epoch) + compact(member) + b"\0" + b"\2" + compact(topic) + b"\2" + place + b"\0\0"
        show(f"commit {what}", ask(OFFSET_COMMIT, 9, body, 4 + 1 + len(compact(topic)) + 1 + 4, flexible=True))

    commit("of an old epoch", epoch - 1)
    commit("of an epoch to come", epoch + 1)
    commit("of nobody", epoch, member="nobody")
    commit("without an epoch", -1, member="")
    commit("of a partition that is not there", epoch, partition=99)
    commit("of too much metadata", epoch, metadata="x" * 5000)
    print("committed:", committed(group, topic))
    commit("of the member", epoch)
    print("committed:", committed(group, topic), "the epoch is the same:", heartbeat(epoch, instance=instance) == epoch)
    body = string(group) + struct.pack(">ii", 10_000, 10_000) + string("") + string(name("classic-one")) + string("other") + struct.pack(">i", 1)
    show("join of another protocol type", ask(wire.JOIN_GROUP, 5, body + string("range") + struct.pack(">i", 0), 4))
    print("leave:", heartbeat(-1))


def optional(text):
    return b"\0" if text is None else compact(text)


def share_groups(topic):
    group = name("share")

    def heartbeat(what, epoch, member=MEMBER, topics=(topic,)):
        body = compact(group) + compact(member) + struct.pack(">i", epoch) + b"\0"
        body += b"\0" if topics is None else bytes([len(topics) + 1]) + b"".join(map(compact, topics))
        answers = []

        def is_ready():
            answers.append(ask(SHARE_HEARTBEAT, 1, body + b"\0", 4, flexible=True))
            return answers[-1] not in ("NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS")

        until(is_ready, "the group has a coordinator")
        show(f"share heartbeat {what}", answers[-1])

    heartbeat("of nobody", 3)
    heartbeat("of no member id", 0, member="")
    heartbeat("of an impossible epoch", -2)
    heartbeat("without topics", 0, topics=None)
    heartbeat("that joins", 0)
    heartbeat("of an epoch to come", 99)

    def fetch(what, key, epoch):
        body = compact(group) + compact(MEMBER) + struct.pack(">i", epoch)
        if key == SHARE_FETCH:
            body += struct.pack(">iiiiibb", 0, 0, 1_000_000, 10, 10, 0, 0) + b"\1\1\0"
        else:
            body += b"\0\1\0"
        show(what, ask(key, 2, body, 4, flexible=True))

    fetch("fetch of a session that is not there", SHARE_FETCH, 5)
    fetch("acknowledge of a session that is not there", SHARE_ACKNOWLEDGE, 5)
    fetch("acknowledge that opens a session", SHARE_ACKNOWLEDGE, 0)
    heartbeat("that leaves", -1)


SCENARIOS = {"bad-state": bad_state}
