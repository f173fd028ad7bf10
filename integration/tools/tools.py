"""Kafka's own command line tools: each scenario is a few calls, whose output is the result."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BOOTSTRAP, RUN_ID = os.environ["BOOTSTRAP"], os.environ["RUN_ID"]
TOOL = Path(__file__).resolve().parent.parent / "reference" / "tool"
TOPIC, GROUP = f"{RUN_ID}-topic", f"{RUN_ID}-group"

# What differs from run to run, and what stands for it.
VARYING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"TopicId: \S{22}"), "TopicId: ID"),
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
    for run in (console, topics, configs, consumer_groups, get_offsets, delete_records, log_dirs, broker_api_versions)
}

SCENARIOS[sys.argv[1]]()
