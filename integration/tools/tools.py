"""Kafka's own command line tools: each scenario is a few calls, whose output is the result."""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

BOOTSTRAP, RUN_ID = os.environ["BOOTSTRAP"], os.environ["RUN_ID"]
TOOL = Path(__file__).resolve().parent.parent / "reference" / "tool"
DEADLINE_S = 60
TOPIC, GROUP = f"{RUN_ID}-topic", f"{RUN_ID}-group"

# What differs from run to run, and what stands for it.
VARYING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"TopicId: \S{22}"), "TopicId: ID"),
    # Ids that clients make themselves.
    (re.compile(rf"(?<= )(?!{RUN_ID})[\w-]{{22}}(?= )"), "ID"),
    (re.compile(r"[ \t]+"), " "),
)

# The APIs whose versions both brokers must agree on; what comes later is not compared yet.
APIS = """
    Produce Fetch ListOffsets Metadata OffsetCommit OffsetFetch FindCoordinator JoinGroup Heartbeat LeaveGroup SyncGroup
    DescribeGroups ListGroups ApiVersions CreateTopics DeleteTopics DeleteRecords InitProducerId OffsetForLeaderEpoch
    DescribeConfigs AlterConfigs DescribeLogDirs CreatePartitions DeleteGroups IncrementalAlterConfigs OffsetDelete
    DescribeCluster DescribeTopicPartitions GetTelemetrySubscriptions ListConfigResources
""".split()


def tool(name, *words, given=""):
    """Runs a tool against the broker; returns its output without what varies."""
    done = subprocess.run(
        [TOOL, name, "--bootstrap-server", BOOTSTRAP, *words], input=given, capture_output=True, text=True, timeout=60,
        check=False,
    )
    sys.stderr.write(f"{name} {' '.join(words)}: {done.returncode}\n{done.stderr}\n")
    text = done.stdout
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    if done.returncode != 0:
        text += f"({name} ended with {done.returncode})\n"
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def show(name, *words, ordered=True, given=""):
    """Runs a tool and prints what it says."""
    lines = tool(name, *words, given=given).splitlines()
    print(f"$ {name} {' '.join(words)}")
    print("\n".join(lines if ordered else sorted(lines)))


def produce(lines, *words, topic=TOPIC):
    tool("console-producer", "--topic", topic, *words, given="".join(f"{line}\n" for line in lines))


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"did not happen: {what}")
        time.sleep(0.1)


def background(name, *words):
    """A tool that runs until it is ended."""
    return subprocess.Popen([TOOL, name, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=sys.stderr)


def console():
    show(
        "console-producer", "--topic", TOPIC, "--property", "parse.key=true", "--property", "parse.headers=true",
        "--property", "null.marker=NULL", "--compression-codec", "zstd",
        given="h1:a,h2:b\tkey\tvalue\nh1:a,h1:c\tNULL\tno key\nNULL\tkey\tNULL\n",
    )
    printing = [word for what in ("key", "headers", "offset", "partition") for word in ("--property", f"print.{what}=true")]
    show("console-consumer", "--topic", TOPIC, "--from-beginning", "--max-messages", "3", *printing)
    show("console-consumer", "--topic", TOPIC, "--partition", "0", "--offset", "1", "--max-messages", "1")
    show("console-consumer", "--topic", TOPIC, "--group", GROUP, "--from-beginning", "--max-messages", "2")
    show("console-consumer", "--topic", TOPIC, "--group", GROUP, "--max-messages", "1")


def topics():
    show("topics", "--create", "--topic", TOPIC, "--partitions", "3", "--config", "retention.ms=1000")
    show("topics", "--create", "--topic", TOPIC)
    show("topics", "--create", "--topic", f"{RUN_ID}-too-many", "--replication-factor", "2")
    show("topics", "--describe", "--topic", TOPIC)
    show("topics", "--alter", "--topic", TOPIC, "--partitions", "4")
    show("topics", "--describe", "--topic", TOPIC)
    show("topics", "--list", "--topic", f"{RUN_ID}.*")
    show("topics", "--delete", "--topic", TOPIC)
    show("topics", "--describe", "--topic", TOPIC)


def configs():
    tool("topics", "--create", "--topic", TOPIC)
    entity = ["--entity-type", "topics", "--entity-name", TOPIC]
    show("configs", *entity, "--alter", "--add-config", "retention.ms=5000,cleanup.policy=[compact,delete]")
    show("configs", *entity, "--describe", ordered=False)
    show("configs", *entity, "--alter", "--delete-config", "retention.ms")
    show("configs", *entity, "--describe", "--all", ordered=False)
    show("configs", *entity, "--alter", "--add-config", "retention.ms=soon")
    show("configs", "--entity-type", "topics", "--entity-name", f"{RUN_ID}-nothing", "--describe")
    show("configs", "--entity-type", "brokers", "--entity-default", "--alter", "--add-config", "log.cleaner.threads=2")
    show("configs", "--entity-type", "brokers", "--entity-default", "--describe", ordered=False)
    show("configs", "--entity-type", "brokers", "--entity-default", "--alter", "--delete-config", "log.cleaner.threads")


def schema_validation():
    """A topic that takes only records with a schema: what the producer is told, by Kafka's own class."""
    validation = "confluent.value.schema.validation"
    # Apache Kafka's tool looks for itself whether it knows a key; Confluent's knows this one.
    show("topics", "--create", "--topic", TOPIC, "--config", f"{validation}=true")
    tool("topics", "--create", "--topic", TOPIC)
    entity = ["--entity-type", "topics", "--entity-name", TOPIC]
    show("configs", *entity, "--alter", "--add-config", f"{validation}=true")
    show("topics", "--describe", "--topic", TOPIC)
    show("configs", *entity, "--alter", "--add-config", "confluent.value.subject.name.strategy=MyStrategy")
    complaints = refusals("text")
    print("\n".join(complaints))
    show("configs", *entity, "--alter", "--add-config", f"{validation}=false")
    show("configs", *entity, "--describe", ordered=False)
    produce(["taken"])
    show("console-consumer", "--topic", TOPIC, "--from-beginning", "--max-messages", "1")


def refusals(line):
    """What the producer says when a record is refused; it says it in its log."""
    done = subprocess.run(
        [TOOL, "console-producer", "--bootstrap-server", BOOTSTRAP, "--topic", TOPIC], input=f"{line}\n", capture_output=True,
        text=True, timeout=60, check=False,
    )
    told = [told for told in (done.stdout + done.stderr).splitlines() if told.startswith("org.apache.kafka.")]
    return [re.sub(r"timestamp=\d+", "timestamp=MS", told) for told in told]


def consumer_groups():
    produce([f"r{i}" for i in range(10)])
    tool("console-consumer", "--topic", TOPIC, "--group", GROUP, "--from-beginning", "--max-messages", "4")
    group = ["--group", GROUP]
    show("consumer-groups", "--describe", *group)
    show("consumer-groups", "--describe", *group, "--state")
    show("consumer-groups", "--describe", *group, "--members")
    listed = tool("consumer-groups", "--list", "--state").splitlines()
    print("listed:", [line for line in listed if line.startswith((GROUP, "GROUP "))])
    reset = ["--reset-offsets", *group, "--topic", TOPIC]
    show("consumer-groups", *reset, "--to-offset", "2", "--dry-run")
    show("consumer-groups", *reset, "--to-earliest", "--execute")
    show("consumer-groups", *reset, "--shift-by", "100", "--execute")
    show("consumer-groups", "--describe", *group, "--offsets")
    show("consumer-groups", "--delete-offsets", *group, "--topic", TOPIC)
    show("consumer-groups", "--delete", *group)
    show("consumer-groups", "--describe", *group)


def every_kind():
    """A group of each kind, as the tools for groups tell them apart."""
    produce([f"r{i}" for i in range(10)])
    for kind in ("classic", "consumer"):
        group = f"{GROUP}-{kind}"
        tool(
            "console-consumer", "--topic", TOPIC, "--group", group, "--from-beginning", "--max-messages", "4",
            "--consumer-property", f"group.protocol={kind}",
        )
        show("consumer-groups", "--describe", "--group", group)
        show("consumer-groups", "--describe", "--group", group, "--state", "--verbose")
    share = f"{GROUP}-share"
    entity = ["--entity-type", "groups", "--entity-name", share]
    show("configs", *entity, "--alter", "--add-config", "share.auto.offset.reset=earliest")
    show("configs", *entity, "--describe")
    show("console-share-consumer", "--topic", TOPIC, "--group", share, "--max-messages", "4")
    with streams_member(f"{GROUP}-streams"):
        mine = [line for line in tool("groups", "--list").splitlines() if line.startswith((GROUP, "GROUP "))]
        print("groups:", *sorted(mine), sep="\n")
        for kind in ("classic", "consumer", "share", "streams"):
            listed = tool("groups", "--list", "--group-type", kind).splitlines()
            print(f"{kind}:", *sorted(line for line in listed if line.startswith(GROUP)))
    show("consumer-groups", "--delete", "--group", f"{GROUP}-consumer")
    show("consumer-groups", "--describe", "--group", f"{GROUP}-consumer")
    show("consumer-groups", "--describe", "--group", share)


def share_groups():
    produce([f"r{i}" for i in range(10)])
    group = ["--group", GROUP]
    show("share-groups", "--describe", *group)
    tool("configs", "--entity-type", "groups", "--entity-name", GROUP, "--alter", "--add-config", "share.auto.offset.reset=earliest")
    show("console-share-consumer", "--topic", TOPIC, *group, "--max-messages", "10")
    show("share-groups", "--describe", *group)
    show("share-groups", "--describe", *group, "--state")
    show("share-groups", "--describe", *group, "--members")
    listed = tool("share-groups", "--list", "--state").splitlines()
    print("listed:", [line for line in listed if line.startswith((GROUP, "GROUP "))])
    reset = ["--reset-offsets", *group, "--topic", TOPIC]
    show("share-groups", *reset, "--to-earliest", "--dry-run")
    show("share-groups", *reset, "--to-earliest", "--execute")
    show("share-groups", "--describe", *group)
    show("console-share-consumer", "--topic", TOPIC, *group, "--max-messages", "2", "--reject")
    show("console-share-consumer", "--topic", TOPIC, *group, "--max-messages", "2", "--release")
    show("share-groups", "--delete-offsets", *group, "--topic", TOPIC)
    show("share-groups", "--describe", *group)
    show("share-groups", "--delete", *group)
    show("share-groups", "--describe", *group)


def streams_groups():
    """A group of one member that a hand-written heartbeat makes: an application takes seconds to start."""
    group = ["--group", GROUP]
    show("streams-groups", "--describe", *group)
    tool("topics", "--create", "--topic", TOPIC, "--partitions", "2")
    produce([f"k{i}\tr{i}" for i in range(10)], "--property", "parse.key=true")
    with streams_member(GROUP):
        show("streams-groups", "--describe", *group, ordered=False)
        show("streams-groups", "--describe", *group, "--state", "--verbose")
        show("streams-groups", "--describe", *group, "--members", "--verbose")
        listed = tool("streams-groups", "--list", "--state").splitlines()
        print("listed:", [line for line in listed if line.startswith((GROUP, "GROUP "))])
        show("streams-groups", "--delete", *group)
    show("streams-groups", "--describe", *group, "--state")
    show("streams-groups", "--reset-offsets", *group, "--input-topic", TOPIC, "--to-offset", "2", "--execute")
    show("streams-groups", "--describe", *group, "--offsets")
    show("streams-groups", "--delete", *group)
    show("streams-groups", "--describe", *group)


class streams_member:
    """The one member of a streams group that reads TOPIC, with a heartbeat a second; it leaves at the end."""

    def __init__(self, group):
        self.group, self.epoch, self.leaving = group, 0, threading.Event()

    def __enter__(self):
        host, port = BOOTSTRAP.rsplit(":", 1)
        self.connection = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
        # Until the topic of the groups is there, nobody is their coordinator.
        until(lambda: self.heartbeat(0) == 0, "the member joins")
        self.thread = threading.Thread(target=self.stay)
        self.thread.start()
        until(lambda: "Stable" in tool("streams-groups", "--describe", "--group", self.group, "--state"), "the group is stable")

    def __exit__(self, *_):
        self.leaving.set()
        self.thread.join()
        self.heartbeat(-1)
        self.connection.close()

    def stay(self):
        while not self.leaving.wait(1):
            self.heartbeat(self.epoch)

    def heartbeat(self, epoch):
        """Sends StreamsGroupHeartbeat 0; returns the error code."""
        empty_array, null, null_struct = b"\1", b"\0", b"\xff"
        if epoch == 0:
            subtopology = compact("0") + b"\2" + compact(TOPIC) + empty_array * 5 + b"\0"
            topology = b"\1" + struct.pack(">i", 0) + b"\2" + subtopology + b"\0"
            rebalance_timeout_ms, tasks, process, tags = 60_000, empty_array, compact("process"), empty_array
        else:
            topology, rebalance_timeout_ms, tasks, process, tags = null_struct, -1, null, null, null
        body = (
            compact(self.group) + compact("AQIDBAUGBwgJCgsMDQ4PEA") + struct.pack(">ii", epoch, 0) + null + null
            + struct.pack(">i", rebalance_timeout_ms) + topology + tasks * 3 + process + null_struct + tags + null + null + b"\0\0"
        )
        header = struct.pack(">hhih", 88, 0, 7, -1) + b"\0"
        self.connection.sendall(struct.pack(">i", len(header + body)) + header + body)
        length, = struct.unpack(">i", self.receive(4))
        answer = self.receive(length)
        code, = struct.unpack_from(">h", answer, 9)
        if code == 0 and epoch >= 0:
            # Behind a null message and the member's id.
            self.epoch, = struct.unpack_from(">i", answer, 35)
        return code

    def receive(self, count):
        data = b""
        while len(data) < count:
            data += self.connection.recv(count - len(data)) or sys.exit("the broker closed the connection")
        return data


def compact(text):
    return bytes([len(text) + 1]) + text.encode()


def transactions():
    tool("topics", "--create", "--topic", TOPIC)
    produce([f"r{i}" for i in range(20)])
    copied, transactional_id = f"{RUN_ID}-copied", f"{RUN_ID}-id"
    tool("topics", "--create", "--topic", copied)
    # It takes --broker-list, and says how many are left and how far it is.
    subprocess.run(
        [TOOL, "transactional-copier", "--broker-list", BOOTSTRAP, "--input-topic", TOPIC, "--input-partition", "0", "--output-topic", copied,
         "--transactional-id", transactional_id, "--transaction-size", "5", "--consumer-group", GROUP, "--use-group-metadata"],
        stdout=sys.stderr, check=True, timeout=DEADLINE_S,
    )
    show("console-consumer", "--topic", copied, "--from-beginning", "--max-messages", "20", "--isolation-level", "read_committed")
    show("consumer-groups", "--describe", "--group", GROUP)
    print("listed:", columns(mine(tool("transactions", "list")), 0, 3))
    print("described:", columns(tool("transactions", "describe", "--transactional-id", transactional_id).splitlines(), 1, 4, 5))
    show("transactions", "describe", "--transactional-id", f"{RUN_ID}-nobody")
    print("producers:", columns(tool("transactions", "describe-producers", "--topic", copied, "--partition", "0").splitlines(), 2, 5))

    open_id = f"{RUN_ID}-open"
    producer = background(
        "producer-perf-test", "--topic", copied, "--num-records", "100000", "--record-size", "10", "--throughput", "5",
        "--bootstrap-server", BOOTSTRAP, "--transactional-id", open_id, "--transaction-duration-ms", "600000",
    )
    try:
        until(lambda: "Ongoing" in tool("transactions", "describe", "--transactional-id", open_id), "a transaction is open")
        print("open:", columns(mine(tool("transactions", "list")), 0, 3))
        described = tool("transactions", "describe", "--transactional-id", open_id).splitlines()
        print("described:", columns(described, 1, 4, 5), described[-1].split()[-1])
        print("hanging:", tool("transactions", "find-hanging", "--topic", copied, "--partition", "0"))
    finally:
        producer.kill()
        producer.wait()
    show("transactions", "forceTerminateTransaction", "--transactionalId", open_id)
    until(lambda: "Empty" in tool("transactions", "describe", "--transactional-id", open_id), "the transaction is aborted")
    print("terminated:", columns(tool("transactions", "describe", "--transactional-id", open_id).splitlines(), 1, 4))
    # Behind the aborted records; they do not come.
    produce(["the last"], topic=copied)
    show("console-consumer", "--topic", copied, "--from-beginning", "--max-messages", "21", "--isolation-level", "read_committed")


def mine(text):
    """The heading, and what belongs to this run."""
    return [line for line in text.splitlines() if line.startswith((RUN_ID, "TransactionalId"))]


def columns(lines, *kept):
    """Some columns of a table, its rows sorted: ids, epochs and times differ from run to run."""
    rows = [[line.split()[i] for i in kept if i < len(line.split())] for line in lines]
    return rows[:1] + sorted(rows[1:])


def verifiable():
    """What the producer says it has sent is what consumers of both protocols get."""
    sent = events("verifiable-producer", "--topic", TOPIC, "--max-messages", "50", "--acks", "-1")
    print("producer:", [event["name"] for event in sent if event["name"] != "producer_send_success"])
    values = sorted(int(event["value"]) for event in sent if event["name"] == "producer_send_success")
    print("sent:", len(values), values[:1], values[-1:])
    for protocol in ("classic", "consumer"):
        got = events(
            "verifiable-consumer", "--topic", TOPIC, "--group-id", f"{GROUP}-{protocol}", "--group-protocol", protocol,
            "--max-messages", "50", "--reset-policy", "earliest", "--verbose",
        )
        print(f"{protocol}:", sorted({event["name"] for event in got}))
        print("received:", sorted(int(event["value"]) for event in got if event["name"] == "record_data") == values)
        print("committed:", max(event["offsets"][0]["offset"] for event in got if event["name"] == "offsets_committed"))


def verifiable_share():
    """What the producer says it has sent is what a share group gets and acknowledges, in each of the three modes."""
    sent = events("verifiable-producer", "--topic", TOPIC, "--max-messages", "50", "--acks", "-1")
    values = sorted(int(event["value"]) for event in sent if event["name"] == "producer_send_success")
    for mode in ("auto", "sync", "async"):
        group = f"{GROUP}-{mode}"
        got = events(
            "verifiable-share-consumer", "--topic", TOPIC, "--group-id", group, "--acknowledgement-mode", mode,
            "--offset-reset-strategy", "earliest", "--max-messages", "50", "--verbose",
        )
        print(f"{mode}:", sorted({event["name"] for event in got}))
        print("received:", sorted(int(event["value"]) for event in got if event["name"] == "record_data") == values)
        acknowledged = [event for event in got if event["name"] == "offsets_acknowledged"]
        print("acknowledged:", sum(event["count"] for event in acknowledged), {event["success"] for event in acknowledged})


def events(name, *words):
    return [json.loads(line) for line in tool(name, *words).splitlines() if line.startswith("{")]


def get_offsets():
    tool("topics", "--create", "--topic", TOPIC, "--partitions", "2")
    produce([f"r{i}" for i in range(10)], topic=f"{RUN_ID}-other")
    produce([f"k{i}\tr{i}" for i in range(10)], "--property", "parse.key=true")
    for time in ("-1", "-2", "0"):
        show("get-offsets", "--topic", f"{RUN_ID}-other", "--time", time)
    show("get-offsets", "--topic", f"{RUN_ID}.*")
    show("get-offsets", "--topic-partitions", f"{TOPIC}:0,{TOPIC}:1")


def delete_records():
    produce([f"r{i}" for i in range(10)])
    for offset in (4, -1, 99):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            partitions = [{"topic": TOPIC, "partition": 0, "offset": offset}]
            file.write(json.dumps({"version": 1, "partitions": partitions}))
            file.flush()
            text = tool("delete-records", "--offset-json-file", file.name)
        print(f"delete before {offset}:\n{text}")
        show("get-offsets", "--topic", TOPIC, "--time", "earliest")


def log_dirs():
    """Sizes are compared too: both brokers write the same bytes."""
    produce(["one record, so that its time makes no difference"])
    answer = tool("log-dirs", "--describe", "--topic-list", TOPIC).splitlines()
    found = json.loads(answer[-1])
    for broker in found["brokers"]:
        for directory in broker["logDirs"]:
            print("broker", broker["broker"], directory["error"], directory["partitions"])


def broker_api_versions():
    for line in tool("broker-api-versions").splitlines():
        words = line.split("(")
        if words[0].strip() in APIS or "rack" in line:
            print(line)


SCENARIOS = {
    run.__name__.replace("_", "-"): run
    for run in (console, topics, configs, schema_validation, consumer_groups, every_kind, share_groups, streams_groups, transactions, verifiable, verifiable_share, get_offsets, delete_records, log_dirs, broker_api_versions)
}

SCENARIOS[sys.argv[1]]()
