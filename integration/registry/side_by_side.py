"""The same requests to two registries: Ottla's answers against those of Apicurio Registry (its API that is like Confluent's).

What is asked stands in `requests/*.txt`, what Apicurio answered in `apicurio/*.jsonl`, line by line. Confluent's registry is the
judge, not Apicurio: where the two are known to differ, `judged/*.jsonl` has Confluent's answer, and why.

    let NAME JSON                          a value, for $NAME in bodies
    METHOD PATH [Header: value] BODY       a request; a schema that is an object is sent as its text
    METHOD PATH [-> name] BODY             names the id of the answer, for <name> in paths
    METHOD PATH raw:TEXT                   sends a body that is no JSON

Ids are a registry's own: in answers each becomes the name, or the number of the request in whose answer it was first seen.
"""

import json
import re
import sys
from pathlib import Path

import rest

HERE = Path(__file__).resolve().parent
REQUEST = re.compile(r"(?P<method>[A-Z]+) (?P<path>\S+)(?: \[(?P<option>[^\]]*)\])?(?: (?P<body>.*))?")


def files():
    """The names of the files of requests, in their order."""
    return [path.stem for path in sorted((HERE / "requests").glob("*.txt"))]


def requests(name):
    """The requests of a file: method, path, option, body as it is written."""
    values = {}
    for number, line in enumerate((HERE / "requests" / f"{name}.txt").read_text().splitlines(), 1):
        if line.startswith("let "):
            _, key, value = line.split(" ", 2)
            values[key] = value
        elif line and not line.startswith("#"):
            found = REQUEST.fullmatch(line)
            if not found:
                raise ValueError(f"{name}.txt:{number}: no request: {line}")
            body = re.sub(r"\$([A-Z]\w*)", lambda match: values.get(match[1], match[0]), found["body"] or "")
            yield line, found["method"], found["path"], found["option"], body


class Registry:
    """One that is asked; knows the names of the ids that it gave."""

    def __init__(self, url):
        self.connection = rest.Connection(url)
        self.names, self.ids, self.context, self.asked = {}, {}, None, 0

    def ask(self, method, path, option, body):
        """The answer, comparable: {"status", "body"}."""
        self.asked += 1
        header, _, value = (option or "").partition(": ")
        name = option[3:] if option and option.startswith("-> ") else None
        path = re.sub(r"<(\w+)>", lambda match: str(self.ids.get(match[1], match[0])), path)
        self.context = re.search(r":(\.[^:/]+):|$", path)[1]
        headers = {header: value} if value else {}
        status, body = self.connection.request(method, path, payload(body), headers)
        ids = "id" if path.endswith("/referencedby") and status == 200 else None
        return {"status": status, "body": self.name_ids(parsed(body), name, ids)}

    def name_ids(self, value, name, under=None):
        if isinstance(value, dict):
            return {key: self.name_ids(inner, name, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.name_ids(inner, name, under) for inner in value]
        if under in ("ts", "kafka-cluster"):
            return f"<{under}>"
        return self.name_id(value, name) if under in ("id", "maxId") else value

    def name_id(self, value, name):
        # Ids that a request has chosen are the same everywhere.
        if not isinstance(value, int) or value > 4000:
            return value
        # Each context has ids of its own.
        known = self.names.setdefault((self.context, value), f"<{name or self.asked}>")
        if name:
            self.ids.setdefault(name, value)
        return known


def payload(body):
    if body.startswith("raw:"):
        return body[4:].encode()
    if not body:
        return None
    value = json.loads(body)
    if isinstance(value.get("schema"), (dict, list)):
        value["schema"] = json.dumps(value["schema"])
    return json.dumps(value).encode()


def parsed(body):
    text = body.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text[:200] if not text.lstrip().startswith("<") else "(a page)"


def ask_all(url, name_filter=None):
    """Every answer of a registry, by file: (line, answer)."""
    registry = Registry(url)
    return {
        name: [(line, registry.ask(*request)) for line, *request in requests(name)]
        for name in files() if not name_filter or name in name_filter
    }


def recorded(name):
    """What Apicurio answered to a file's requests."""
    return [json.loads(line) for line in (HERE / "apicurio" / f"{name}.jsonl").read_text().splitlines()]


def judgements():
    """By file and number of the request, where Apicurio is known to differ: Confluent's answer, and why."""
    found = {name: {} for name in files()}
    for line in (HERE / "judged.jsonl").read_text().splitlines():
        judged = json.loads(line)
        found[judged["file"]][judged["number"]] = judged
    return found


def verdict(answer, theirs, judged):
    """In words, what an answer is beside Apicurio's and beside a judgement, if there is one."""
    if judged:
        right = answer["status"] == judged["status"] and answer["body"] == judged["body"]
        return f"as Confluent's: {judged['why']}" if right else "other than judged"
    if answer == theirs:
        return "the same"
    if answer["status"] == theirs["status"] and told_by_both(answer["body"], theirs["body"]):
        return "the same in what both tell"
    return "other than Apicurio's"


# What Confluent's registry tells, since its 8th version, and Apicurio's does not.
UNTOLD = {"subject", "version", "guid", "schemaType", "references", "metadata", "ruleSet", "schema", "ts", "deleted"}


def told_by_both(ours, theirs):
    """Whether two bodies are the same but for what Apicurio leaves out of an entity, and the text of a schema as JSON."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        # In the answer to a PUT it tells this also where nobody said it.
        known = {key: value for key, value in theirs.items() if key in ours or (key, value) != ("normalize", False)}
        return known.keys() <= ours.keys() and ours.keys() - known.keys() <= UNTOLD and all(
            same_schema(ours[key], value) if key == "schema" else told_by_both(ours[key], value)
            for key, value in known.items()
        )
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(told_by_both, ours, theirs))
    return ours == theirs


def same_schema(ours, theirs):
    """Apicurio gives a text back as it came; Confluent's registry as its parser writes it."""
    try:
        return json.loads(ours) == json.loads(theirs)
    except (TypeError, ValueError):
        return ours == theirs


def judge(url, why, chosen):
    """Writes a registry's present answers down as Confluent's, which whoever calls this has looked up. `chosen`: NAME:NUMBER."""
    answers = ask_all(url)
    known = {(judged["file"], judged["number"]): judged for found in judgements().values() for judged in found.values()}
    for each in chosen:
        name, number = each.split(":")
        line, answer = answers[name][int(number)]
        known[name, int(number)] = {"file": name, "number": int(number), "request": line[:120], "why": why, **answer}
    with open(HERE / "judged.jsonl", "w") as out:
        for _, judged in sorted(known.items()):
            out.write(json.dumps(judged, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    judge(sys.argv[1], sys.argv[2], sys.argv[3:])
