"""Groups of the consumer protocol (KIP-848): the broker assigns, and evaluates patterns."""

import subprocess
import sys
import threading

from common import admin, consumer, create_topic, name, send, until, values
from groups import Load, Member, come_and_go, even_shares, shares

NEW = {"group_protocol": "consumer"}


def new_protocol():
    come_and_go("new-protocol", **NEW)
    for part in (assignors, pattern, static, crash):
        part()


def describe(group):
    found = admin().describe_consumer_groups([name(group)])[name(group)].result()
    return f"{found.type.name} {found.state.name} {found.partition_assignor} members {len(found.members)}"


def assignors():
    """Two members, two topics: range gives each the same partitions of both."""
    topics = [create_topic(f"assigned-{i}", 4) for i in (1, 2)]
    for assignor in ("range", "uniform"):
        group = f"assignor-{assignor}"
        members = [Member(group, topics, [], group_remote_assignor=assignor, **NEW) for _ in range(2)]
        until(lambda: shares(members) == [4, 4], f"{assignor} gives each its share")
        print(f"{assignor}:", describe(group))
        if assignor == "range":
            print("side by side:", sorted(sorted(f"{t[-1]}/{p}" for t, p in member.partitions) for member in members))
        for member in members:
            member.leave()
        until(lambda: "EMPTY" in describe(group), "the group is empty")
    wrong = Member("assignor-unknown", topics, [], group_remote_assignor="nobody", **NEW)
    until(lambda: wrong.error, "an unknown assignor is refused")
    print("unknown assignor:", wrong.error)
    wrong.leave()


def pattern():
    """A pattern that the broker evaluates; a topic made later joins it."""
    first, other = create_topic("pattern-first"), create_topic("unlike")
    for topic in (first, other):
        send(topic, values("early-", 3))
    seen = []
    member = Member("pattern", [f"^{name('pattern-')}.*"], seen, **NEW)
    until(lambda: len(seen) == 3, "the first topic is consumed")
    send(create_topic("pattern-later"), values("late-", 3))
    until(lambda: len(seen) == 6, "the later topic is consumed")
    for topic, partition, offset, value in sorted(seen):
        print(topic, partition, offset, value.decode())
    member.leave()
    wrong = Member("pattern-wrong", ["^(a)\\1"], [], **NEW)
    until(lambda: wrong.error, "a wrong pattern is refused")
    print("wrong pattern:", wrong.error)
    wrong.leave()


def static():
    """A static member comes back to its own partitions; a second one of its id is refused while it is there."""
    topic = create_topic("static", 4)
    members = {i: Member("static", [topic], [], group_instance_id=name(f"instance-{i}"), **NEW) for i in (1, 2)}
    until(lambda: shares(members.values()) == [2, 2], "both have their share")
    own, rebalances = set(members[1].partitions), members[2].rebalances
    members[1].leave()
    members[1] = Member("static", [topic], [], group_instance_id=name("instance-1"), **NEW)
    until(lambda: len(members[1].partitions) == 2, "the member is back")
    print("the same partitions:", members[1].partitions == own, "rebalances of the other:", members[2].rebalances - rebalances)
    second = Member("static", [topic], [], group_instance_id=name("instance-1"), **NEW)
    until(lambda: second.error, "the second of the same id is refused")
    print("refused:", second.error, describe("static"))
    for member in (second, *members.values()):
        member.leave()


def crash():
    """A member that is killed loses its partitions when its session ends."""
    topic = create_topic("crash", 6)
    load, seen = Load(topic), []
    process = subprocess.Popen([sys.executable, sys.argv[0], "crash-member"], stdout=subprocess.PIPE)
    lines = []
    threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, b"")), daemon=True).start()
    member = Member("crash", [topic], seen, **NEW)
    until(lambda: len(member.partitions) == 3 and lines and lines[-1] == b"3\n", "both have their share")
    process.kill()
    process.wait()
    until(lambda: len(member.partitions) == 6, "the other has all")
    sent = load.stop()
    # What the killed one had processed and not committed is there again; nothing is missing.
    until(lambda: len({value for *_, value in seen}) == sent, "all records are consumed")
    print("after a crash:", even_shares(1), describe("crash"))
    member.leave()


def crash_member():
    """The process that is killed: it commits nothing, and says how many partitions it has."""
    reader, told = consumer("crash", **NEW), None
    reader.subscribe([name("crash")])
    while True:
        reader.poll(0.05)
        count = len(reader.assignment())
        if count != told:
            print(count, flush=True)
            told = count


SCENARIOS = {"new-protocol": new_protocol, "crash-member": crash_member}
