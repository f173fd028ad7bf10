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
import shapes
import structs
from definitions import read_jars, snake

SRC = Path(__file__).resolve().parent.parent / "src"

# The requests and responses whose newest version kafka-protocol 0.18 lacks, of the APIs that Ottla serves.
MESSAGES = ["ListOffsets", "OffsetCommit", "OffsetFetch", "DescribeLogDirs"]

# The records of a coordinator's topic that Ottla reads and writes.
GROUP_RECORDS = ["LegacyOffsetCommit", "OffsetCommit", "GroupMetadata"]

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

    pairs = [(messages[f"{name}Key"], messages[f"{name}Value"]) for name in GROUP_RECORDS]
    save("record_formats/group/mod.rs", records.coordinator("__consumer_offsets", "GroupRecord", pairs, release))
    save_structs("record_formats/group", [message for pair in pairs for message in pair], release)

    control = [messages[name] for name in CONTROL_RECORDS]
    save("record_formats/control/mod.rs", "//! The values of control records.\n" + records.GENERATED.format(release=release) + records.modules(control))
    save_structs("record_formats/control", control, release)
    subprocess.run(["cargo", "fmt", "--package", "ottla-protocol"], cwd=SRC, check=True)


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
