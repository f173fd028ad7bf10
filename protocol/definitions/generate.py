#!/usr/bin/env python3
"""Writes the generated parts of ottla-protocol from Kafka's own message definitions.

    ./generate.py LIBS      LIBS is the directory of an installed Kafka's jars

The result is checked in, so a build needs neither Kafka nor Python. Run it again for a newer Kafka, or after adding a name below.
"""

import re
import subprocess
import sys
from pathlib import Path

import shapes
from definitions import read_jars

SRC = Path(__file__).resolve().parent.parent / "src"

EMBEDDED = ["ConsumerProtocolSubscription", "ConsumerProtocolAssignment"]


def main(libs):
    messages = read_jars(libs)
    release = next(re.search(r"kafka-clients-([\d.]+)\.jar", jar.name)[1] for jar in Path(libs).glob("kafka-clients-*.jar"))

    requests = [m for m in messages.values() if m.type == "request" and "broker" in m.listeners]
    save("shapes/requests.rs", shapes.write(requests + [messages[name] for name in EMBEDDED], release))


def save(path, text):
    target = SRC / path
    target.write_text(text)
    subprocess.run(["rustfmt", "--edition", "2024", str(target)], check=True)
    print(target.relative_to(SRC.parent), len(target.read_text().splitlines()), "lines")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
