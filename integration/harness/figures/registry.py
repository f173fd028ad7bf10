"""The schema registry: registrations and lookups at once, and what 100,000 schemas cost. Kafka has none, so that what stands
beside Ottla is Apicurio Registry, in memory, by the API that it has like Confluent's."""

import http.client
import json
import multiprocessing
import time
import urllib.parse

from harness.apicurio import Apicurio
from harness.brokers import Broker, BrokerError
from harness.figures.measure import cpu_seconds, idle_memory, memory, spawn

CONNECTIONS = 4
# What is registered before anything is measured: both compile or allocate at the first requests.
WARM = 200
# So many schemas; Apicurio would take an hour for them.
MANY = 100_000
SUBJECTS = 1_000
DEADLINE_S = 60


def measure(kind, directory, options, figures):
    registry = Broker.create(kind, directory / "ottla-registry") if kind == "ottla" else Apicurio(directory / "apicurio")
    label = "registry (Apicurio in Kafka's place)"
    registry.start()
    try:
        figures[f"{label}: memory before the first schema, MB"] = f"{idle_memory(registry):.1f}"
        run(registry, register, "warm", count=WARM)
        ids = loaded(registry, figures, f"{label}: registrations", register, "load", options.seconds)
        run(registry, by_id, ids, count=WARM)
        loaded(registry, figures, f"{label}: schemas by id", by_id, ids, options.seconds)
        run(registry, look_up, "warm", count=WARM)
        loaded(registry, figures, f"{label}: lookups of a schema", look_up, "warm", options.seconds)
        figures[f"{label}: memory after the load, MB"] = f"{memory(registry):.1f}"
    finally:
        registry.stop()
    if kind == "ottla":
        many(directory, figures)


def loaded(registry, figures, label, load, what, seconds):
    """Runs a load and writes its figures down; the ids that it saw."""
    before = cpu_seconds(registry)
    ids, times, took = run(registry, load, what, seconds)
    times.sort()
    figures[f"{label} per s ({CONNECTIONS} connections)"] = f"{len(times) / took:.0f}"
    figures[f"{label}: p99 ms"] = f"{times[len(times) * 99 // 100] * 1000:.2f}"
    figures[f"{label}: CPU µs each"] = f"{(cpu_seconds(registry) - before) * 1e6 / len(times):.0f}"
    return ids


def run(registry, load, what, seconds=None, count=None):
    """A load over several connections, each in a process of its own: for so many seconds, or so many requests. What it saw as
    ids, the time of each request, the seconds of the slowest process."""
    tasks = [(registry.registry, load, what, seconds, count and count // CONNECTIONS, number) for number in range(CONNECTIONS)]
    with multiprocessing.get_context("fork").Pool(CONNECTIONS) as pool:
        results = pool.map(part, tasks, 1)
    ids, times = ([each for result in results for each in result[place]] for place in (0, 1))
    return ids, times, max(result[2] for result in results)


def part(task):
    url, load, what, seconds, count, number = task
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE_S)
    ids, times, begin = [], [], time.monotonic()
    while len(times) < count if count else time.monotonic() - begin < seconds:
        method, path, body = load(what, number, len(times))
        start = time.perf_counter()
        answer = ask(connection, method, parts.path + path, body)
        times.append(time.perf_counter() - start)
        ids.append(answer.get("id"))
    return ids, times, time.monotonic() - begin


def ask(connection, method, path, body):
    connection.request(method, path, body, {"Content-Type": "application/vnd.schemaregistry.v1+json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise BrokerError(f"{method} {path}: {answer.status} {text[:200]!r}")
    return json.loads(text)


def schema(what, connection, number):
    """A record of ten fields, like no other."""
    fields = [{"name": f"f{each}", "type": "string"} for each in range(9)] + [{"name": f"{what}_{connection}_{number}", "type": "long"}]
    return json.dumps({"schema": json.dumps({"type": "record", "name": "Order", "namespace": "shop", "fields": fields})})


def register(what, connection, number):
    return "POST", f"/subjects/{what}-{connection}-{number}/versions", schema(what, connection, number)


def look_up(what, connection, number):
    """Among those that the connection has registered while all was cold."""
    number %= WARM // CONNECTIONS
    return "POST", f"/subjects/{what}-{connection}-{number}", schema(what, connection, number)


def by_id(ids, connection, number):
    return "GET", f"/schemas/ids/{ids[(number * CONNECTIONS + connection) % len(ids)]}", None


def many(directory, figures):
    """100,000 schemas, each a version of one of a thousand subjects: their memory, and the start with them."""
    label = f"registry with {MANY:,} schemas"
    broker = Broker.create("ottla", directory / "ottla-registry-many", settings={
        "schema.registry.schema.compatibility.level": "NONE",
    })
    broker.start()
    try:
        empty, before, begin = idle_memory(broker), cpu_seconds(broker), time.monotonic()
        with multiprocessing.get_context("fork").Pool(CONNECTIONS) as pool:
            pool.map(fill, [(broker.registry, number) for number in range(CONNECTIONS)], 1)
        figures[f"{label}: registered in, s"] = f"{time.monotonic() - begin:.1f}"
        figures[f"{label}: registrations, CPU µs each"] = f"{(cpu_seconds(broker) - before) * 1e6 / MANY:.0f}"
        figures[f"{label}: memory over an empty registry, bytes each"] = f"{(memory(broker) - empty) * 2**20 / MANY:.0f}"
        broker.stop()
        figures[f"{label}: start to the first answer, s"] = f"{restarted(broker):.2f}"
        figures[f"{label}: memory after a start, bytes each"] = f"{(idle_memory(broker) - empty) * 2**20 / MANY:.0f}"
        broker.kill9()
        figures[f"{label}: start to the first answer after kill -9, s"] = f"{restarted(broker):.2f}"
    finally:
        broker.stop()


def fill(task):
    url, connection = task
    parts = urllib.parse.urlsplit(url)
    http_connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE_S)
    for number in range(connection, MANY, CONNECTIONS):
        ask(http_connection, "POST", f"/subjects/many-{number % SUBJECTS}/versions", schema("many", connection, number))


def restarted(broker):
    """Seconds from the broker's exec until the registry tells of a subject."""
    _, begin = spawn(broker)
    parts = urllib.parse.urlsplit(broker.registry)
    while time.monotonic() - begin < DEADLINE_S:
        try:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE_S)
            ask(connection, "GET", f"/subjects/many-{SUBJECTS - 1}/versions/latest", None)
            return time.monotonic() - begin
        except OSError:
            time.sleep(0.002)
    raise BrokerError(f"the registry did not answer within {DEADLINE_S} s")
