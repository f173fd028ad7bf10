#!/usr/bin/env python3
"""Writes the generated parts of ottla-protocol from Kafka's own message definitions.

    ./generate.py LIBS      LIBS is the directory of an installed Kafka's jars

The result is checked in, so a build needs neither Kafka nor Python. Run it again for a newer Kafka, or after adding a name below.
"""

import re
import subprocess
import sys
from pathlib import Path

import records
import schemas
import shapes
import structs
from definitions import read_jars, snake

SRC = Path(__file__).resolve().parent.parent / "src"

# The requests and responses whose newest version kafka-protocol 0.18 lacks, of the APIs that Ottla serves.
MESSAGES = [
    "ListOffsets",
    "OffsetCommit",
    "OffsetFetch",
    "DescribeLogDirs",
    "WriteTxnMarkers",
    "ShareFetch",
    "ShareAcknowledge",
    "WriteShareGroupState",
    "ReadShareGroupStateSummary",
    "DescribeShareGroupOffsets",
    "StreamsGroupHeartbeat",
    "StreamsGroupDescribe",
]

# The coordinators: the module of their records, their topic, the enum over its records, and the jar with their definitions.
COORDINATORS = [
    ("group", "__consumer_offsets", "GroupRecord", "group-coordinator"),
    ("transaction", "__transaction_state", "TransactionRecord", "transaction-coordinator"),
    ("share", "__share_group_state", "ShareRecord", "share-coordinator"),
]

# What consumers of the classic protocol say to each other; the broker reads it when it changes their group's protocol.
CONSUMER_PROTOCOL = ["ConsumerProtocolSubscription", "ConsumerProtocolAssignment"]

CONTROL_RECORDS = ["LeaderChangeMessage", "SnapshotHeaderRecord", "SnapshotFooterRecord", "KRaftVersionRecord", "VotersRecord", "EndTxnMarker"]


def main(libs):
    messages = read_jars(libs)
    release = next(re.search(r"kafka-clients-([\d.]+)\.jar", jar.name)[1] for jar in Path(libs).glob("kafka-clients-*.jar"))

    requests = [m for m in messages.values() if m.type == "request" and "broker" in m.listeners]
    save("shapes/requests.rs", shapes.write(requests, release))

    for name in MESSAGES:
        for message in (messages[f"{name}Request"], messages[f"{name}Response"]):
            save(f"messages/{snake(message.name)}.rs", structs.write(message, release, for_handlers=True))

    metadata = [m for m in messages.values() if m.type == "metadata"]
    save("record_formats/metadata/mod.rs", records.metadata(metadata, release))
    save_structs("record_formats/metadata", metadata, release)

    coordinators = []
    for module, topic, enum, jar in COORDINATORS:
        keys = [m for m in messages.values() if m.jar == jar and m.type == "coordinator-key"]
        pairs = [(key, messages[key.name.removesuffix("Key") + "Value"]) for key in keys]
        coordinators.append((module, pairs))
        save(f"record_formats/{module}/mod.rs", records.coordinator(topic, enum, pairs, release))
        save_structs(f"record_formats/{module}", [message for pair in pairs for message in pair], release)

    plain = [messages[name] for name in CONTROL_RECORDS + CONSUMER_PROTOCOL]
    save("record_formats/schema/table.rs", schemas.write(metadata, coordinators, plain, release))

    save_plain("control", "The values of control records.", [messages[name] for name in CONTROL_RECORDS], release)
    save_plain("consumer_protocol", "What the members of a classic group of consumers tell each other.", [messages[name] for name in CONSUMER_PROTOCOL], release)
    subprocess.run(["cargo", "fmt", "--package", "ottla-protocol"], cwd=SRC, check=True)


def save_plain(module, title, messages, release):
    """Structs whose frames are written by hand."""
    save(f"record_formats/{module}/mod.rs", f"//! {title}\n" + records.GENERATED.format(release=release) + records.modules(messages))
    save_structs(f"record_formats/{module}", messages, release)


def save_structs(folder, messages, release):
    for message in messages:
        save(f"{folder}/{snake(message.name)}.rs", structs.write(message, release, for_handlers=False))


def save(path, text):
    target = SRC / path
    target.parent.mkdir(exist_ok=True)
    target.write_text(text)
    print(target.relative_to(SRC.parent))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
