"""Very many partitions: made, told of, written to, and found again after a stop and a crash."""

import socket
import time

from harness.brokers import Broker, BrokerError
from harness.figures import wire
from harness.figures.measure import cpu_seconds, franz, idle_memory, memory, spawn

# Topics and partitions of each; what the reference takes minutes for is left out. It has a file open for each partition: where a
# process may have fewer of them (`ulimit -n`), it does not start again.
SHAPES = {
    "ottla": ((1000, 1000), (100_000, 10)),
    "kafka": ((1000, 10), (5000, 10)),
}
# Of so many partitions the end offsets are asked for, a thousand in each request.
OFFSETS_ASKED = 100_000
# So many partitions are written to in turn.
WRITTEN = 100_000
WRITTEN_AT_ONCE = 100
WRITE_SECONDS = 60
# Partitions that nobody uses are put away after a minute, and their memory given back a little later.
IDLE_SECONDS = 100
START_TIMEOUT_S = 600


def measure(kind, directory, options, figures):
    for topics, partitions in SHAPES[kind]:
        label = f"{topics * partitions:,} partitions ({topics:,} topics of {partitions:,})"
        broker = Broker.create(kind, directory / f"{kind}-many-{topics}")
        broker.start()
        try:
            shape(broker, figures, label, topics, partitions)
        except BrokerError as error:
            figures[f"{label}: gave up"] = str(error).partition(";")[0]
        finally:
            broker.kill9()


def shape(broker, figures, label, topics, partitions):
    empty = idle_memory(broker)
    found, _ = franz(broker, "many-create", topics, partitions)
    figures[f"{label}: created in, s"] = found["seconds"]
    figures[f"{label}: memory over an empty broker, bytes each"] = each(broker, empty, topics * partitions)
    found, _ = franz(broker, "many-describe")
    figures[f"{label}: described by paging, s"] = found["paged seconds"]
    figures[f"{label}: all metadata in one answer, s"] = found["metadata seconds"]
    asked = min(topics * partitions, OFFSETS_ASKED)
    found, _ = franz(broker, "many-offsets", asked // partitions, partitions, 1000)
    figures[f"{label}: the ends of {asked:,}, which nobody has used, s"] = found["offsets seconds"]
    figures[f"{label}: clean stop, s"] = stopped(broker)
    figures[f"{label}: first produce after it, s"] = f"{restarted(broker):.2f}"
    broker.kill9()
    figures[f"{label}: first produce after kill -9, s"] = f"{restarted(broker):.2f}"
    figures[f"{label}: memory after a start, bytes each"] = each(broker, empty, topics * partitions)
    if partitions > 10 or broker.kind != "ottla":
        return
    for turn in ("first", "again"):
        before = cpu_seconds(broker)
        found, _ = franz(broker, "many-write", WRITTEN // partitions, partitions, WRITTEN_AT_ONCE, WRITE_SECONDS)
        cpu = (cpu_seconds(broker) - before) * 1e6 / int(found["written"])
        figures[f"{WRITTEN:,} of them written in turn, {turn}: per s"] = found["partitions/s"]
        figures[f"{WRITTEN:,} of them written in turn, {turn}: broker CPU µs each"] = f"{cpu:.0f}"
        for name, value in found.items():
            if name.startswith("at "):
                figures[f"{WRITTEN:,} of them written in turn, {turn}: {name}"] = value
    figures[f"{WRITTEN:,} of them written in turn: memory during it, MB"] = f"{memory(broker):.0f}"
    time.sleep(IDLE_SECONDS)
    figures[f"{WRITTEN:,} of them written in turn: memory {IDLE_SECONDS} s later, MB"] = f"{memory(broker):.0f}"
    figures[f"{WRITTEN:,} of them written in turn: clean stop, s"] = stopped(broker)
    figures[f"{WRITTEN:,} of them written in turn: first produce after it, s"] = f"{restarted(broker):.2f}"
    broker.kill9()
    figures[f"{WRITTEN:,} of them written in turn: first produce after kill -9, s"] = f"{restarted(broker):.2f}"


def stopped(broker):
    """Seconds from SIGTERM to the end of the process. One that takes too long is killed, which is a figure, too."""
    begin = time.monotonic()
    try:
        broker.stop()
    except BrokerError:
        return f"not within {time.monotonic() - begin:.0f}, killed"
    return f"{time.monotonic() - begin:.2f}"


def each(broker, empty, partitions):
    return f"{(idle_memory(broker) - empty) * 2**20 / partitions:.0f}"


def restarted(broker):
    """Seconds from the broker's exec to the answer to a Produce request."""
    process, begin = spawn(broker)
    while time.monotonic() < begin + START_TIMEOUT_S and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", broker.port), timeout=60) as connection:
                if wire.produce(connection, "many-000000"):
                    return time.monotonic() - begin
        except (OSError, EOFError):
            pass
        time.sleep(0.002)
    raise BrokerError("no Produce was acknowledged in time")
