"""Reads Kafka's message definitions out of an installed Kafka's jars into plain Python objects.

A definition is JSON with `//` comments, in `common/message/*.json` or `common/metadata/*.json` inside a jar. Only facts are taken
(names, types, version ranges, defaults, tags); the descriptions stay where they are.
"""

import json
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

NEWEST = 32767  # "5+" has no upper end
NONE = (0, -1)  # the empty range

JARS = ["clients", "metadata", "group-coordinator", "transaction-coordinator", "share-coordinator"]

# Bytes on the wire, then bytes in memory after decoding.
FIXED = {"bool": (1, 1), "int8": (1, 1), "int16": (2, 2), "uint16": (2, 2), "int32": (4, 4), "int64": (8, 8), "uuid": (16, 16), "float64": (8, 8)}


def versions(text):
    """`3-7`, `3+`, `3` or `none` as a pair, both ends included."""
    if text is None or text == "none":
        return NONE
    if text.endswith("+"):
        return (int(text[:-1]), NEWEST)
    low, _, high = text.partition("-")
    return (int(low), int(high or low))



def span(pair):
    """Versions as the generated tables have them."""
    return "NONE" if pair == NONE else f"v({pair[0]}, {pair[1]})"


def constant(name):
    return snake(name).upper()


@dataclass
class Field:
    name: str
    type: str  # a key of FIXED, string, bytes, records, or the name of a struct
    is_array: bool
    versions: tuple
    nullable: tuple
    tag: int | None
    default: object
    ignorable: bool
    entity: str | None

    @property
    def is_struct(self):
        return self.type[0].isupper()


@dataclass
class Message:
    name: str
    jar: str  # one of JARS
    type: str  # request, response, metadata, coordinator-key, coordinator-value, data
    api_key: int | None
    listeners: list
    versions: tuple
    flexible: tuple
    fields: list
    structs: dict = field(default_factory=dict)  # name -> fields, in the order of the definition


def read_jars(libs):
    """All definitions in the jars of a directory, by name."""
    messages = {}
    for name, path in [(name, path) for name in JARS for path in Path(libs).glob(f"kafka-{name}-[0-9]*.jar")]:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                if re.fullmatch(r"common/(message|metadata)/\w+\.json", entry):
                    text = re.sub(r"^\s*//.*$", "", archive.read(entry).decode(), flags=re.M)
                    definition = json.loads(text)
                    if "fields" in definition:  # a retired message has none
                        messages[definition["name"]] = read_message(definition, name)
    return messages


def read_message(definition, jar):
    message = Message(
        name=definition["name"],
        jar=jar,
        type=definition["type"],
        api_key=definition.get("apiKey"),
        listeners=definition.get("listeners", []),
        versions=versions(definition["validVersions"]),
        flexible=versions(definition.get("flexibleVersions")),
        fields=[],
    )
    for struct in definition.get("commonStructs", []):
        message.structs[struct["name"]] = read_fields(message, struct["fields"])
    message.fields = read_fields(message, definition["fields"])
    return message


def read_fields(message, definitions):
    fields = []
    for definition in definitions:
        kind = definition["type"]
        name = kind.removeprefix("[]")
        if "fields" in definition:
            message.structs[name] = read_fields(message, definition["fields"])
        tag = definition.get("tag")
        present = versions(definition["taggedVersions"] if tag is not None else definition["versions"])
        fields.append(
            Field(
                name=definition["name"],
                type=name,
                is_array=kind.startswith("[]"),
                versions=intersect(present, message.versions),
                nullable=intersect(versions(definition.get("nullableVersions")), message.versions),
                tag=tag,
                default=definition.get("default"),
                ignorable=definition.get("ignorable", False),
                entity=definition.get("entityType"),
            )
        )
    return fields


def intersect(a, b):
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else NONE


def snake(name):
    """`ElectionTimeoutMs` as `election_timeout_ms`."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", words).lower()
