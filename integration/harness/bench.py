"""The figures: both brokers one after the other, on the same machine, with the same load, as one table.

The load is Kafka's own producer and consumer performance tools; for transactions and groups, which these do not have,
franz-go (integration/go/bench.go). Nothing here passes or fails: a figure that is worse
than the reference's is printed like any other.
"""

import argparse
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from harness import brokers, places
from harness.brokers import Broker
from harness.figures import compaction, many, recovery, registry, wire
from harness.figures.measure import cpu_seconds, franz, idle_memory, last, memory, spawn, tool

# So that the members of all protocols are missed after the same time.
SESSIONS = {
    "group.consumer.min.session.timeout.ms": 6000,
    "group.consumer.session.timeout.ms": 6000,
    "group.consumer.min.heartbeat.interval.ms": 1000,
    "group.consumer.heartbeat.interval.ms": 1000,
}


def main(words):
    parser = argparse.ArgumentParser(prog="integration/bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--broker", choices=["ottla", "kafka", "both"], default="both")
    parser.add_argument("--megabytes", type=int, default=500, help="how much each throughput figure moves")
    parser.add_argument("--starts", type=int, default=5, help="how often each broker is started")
    parser.add_argument("--latency-seconds", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=10, help="how long each load of transactions and heartbeats takes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="only these parts of the figures")
    options = parser.parse_args(words)
    if options.starts < 1 or options.megabytes < 1 or options.latency_seconds < 1:
        parser.error("the numbers begin at 1")
    kinds = ["ottla", "kafka"] if options.broker == "both" else [options.broker]
    subprocess.run([places.INTEGRATION / "reference" / "install"], check=True, stdout=subprocess.DEVNULL)
    directory = Path(tempfile.mkdtemp(prefix="ottla-bench-"))
    try:
        columns = {kind: measure(kind, directory, options) for kind in kinds}
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print_table(columns)
    return 0


def measure(kind, directory, options):
    """All figures of one broker, by row."""
    figures = {}
    for part in options.only:
        PARTS[part](kind, directory, options, figures)
    return figures


def measure_log(kind, directory, options, figures):
    starts = [started(kind, directory / f"{kind}-start-{n}") for n in range(options.starts)]
    figures["start to first acknowledged produce, ms (median)"] = f"{sorted(starts)[len(starts) // 2] * 1000:.0f}"
    broker = Broker.create(kind, directory / kind)
    broker.start()
    try:
        figures["memory when idle, MB"] = f"{idle_memory(broker):.1f}"
        for size in (100, 1000):
            for codec in ("none", "lz4"):
                throughput(broker, figures, size, codec, options.megabytes)
        latency(broker, figures, options.latency_seconds)
        figures["memory after the load, MB"] = f"{memory(broker):.1f}"
    finally:
        broker.stop()


def measure_groups(kind, directory, options, figures):
    """Transactions, and groups of both consumer protocols."""
    brokers.SETTINGS.update(SESSIONS)
    broker = Broker.create(kind, directory / f"{kind}-groups")
    broker.start()
    try:
        for producers in (1, 50):
            found, cpu = franz(broker, "transactions", producers, options.seconds)
            label = "1 producer" if producers == 1 else f"{producers} producers"
            figures[f"transactions of 10 records, {label}: per s"] = found["transactions/s"]
            figures[f"transactions of 10 records, {label}: commit p50 ms"] = found["commit p50 ms"]
            figures[f"transactions of 10 records, {label}: commit p99 ms"] = found["commit p99 ms"]
            figures[f"transactions of 10 records, {label}: broker CPU ms each"] = f"{cpu * 1000 / int(found['count']):.2f}"
        for protocol in ("classic", "consumer"):
            found, _ = franz(broker, "rebalance", protocol)
            figures[f"{protocol}: a member of 4 killed, the others own its partitions (session 6 s), s"] = found["seconds"]
            found, cpu = franz(broker, "settle", protocol, 500, 1000)
            figures[f"{protocol}: 500 members settle on 1,000 partitions, s"] = found["seconds"]
            figures[f"{protocol}: 500 members settle on 1,000 partitions, broker CPU s"] = f"{cpu:.2f}"
            found, cpu = franz(broker, "heartbeats", protocol, options.seconds)
            figures[f"{protocol}: heartbeats per s"] = found["heartbeats/s"]
            figures[f"{protocol}: heartbeats per broker CPU s"] = f"{int(found['heartbeats']) / cpu:.0f}"
    finally:
        broker.stop()


def started(kind, directory):
    """Seconds from the broker's exec to the answer to a Produce request of a client that was waiting for it."""
    broker = Broker.create(kind, directory)
    process, begin = spawn(broker)
    try:
        first_produce(broker.port, begin + brokers.START_TIMEOUT_S)
        return time.monotonic() - begin
    finally:
        broker.stop()
        process.wait()


def first_produce(port, deadline):
    """Creates a topic and produces one record with acks=all, trying again until both are acknowledged."""
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                if wire.create_topic(connection, "b") and wire.produce(connection, "b"):
                    return
        except (OSError, EOFError):
            pass
        time.sleep(0.001)
    raise brokers.BrokerError("no Produce was acknowledged in time")


def throughput(broker, figures, size, codec, megabytes):
    """Producer and consumer throughput, and what it costs the broker, at one record size and codec."""
    topic = f"throughput-{size}-{codec}"
    records = megabytes * 1_000_000 // size
    tool("topics", broker, "--create", "--topic", topic, "--partitions", "4")
    label = f"{size} B, {codec}"
    before = cpu_seconds(broker)
    text = produce_tool(broker, topic, records, size, -1, f"compression.type={codec}")
    figures[f"produce {label}: MB/s"] = last(r"\(([\d.]+) MB/sec\)", text)
    figures[f"produce {label}: broker CPU s per GB"] = f"{(cpu_seconds(broker) - before) * 1000 / megabytes:.2f}"
    before = cpu_seconds(broker)
    text = tool("consumer-perf-test", broker, "--topic", topic, "--num-records", str(records), "--timeout", "60000")
    # start.time, end.time, data.consumed.in.MB, MB.sec, ...
    figures[f"consume {label}: MB/s"] = text.strip().splitlines()[-1].split(", ")[3]
    figures[f"consume {label}: broker CPU s per GB"] = f"{(cpu_seconds(broker) - before) * 1000 / megabytes:.2f}"


def latency(broker, figures, seconds):
    tool("topics", broker, "--create", "--topic", "latency", "--partitions", "1")
    # The first seconds warm up the tool's own JVM.
    produce_tool(broker, "latency", 2000, 1000, 1000, "acks=all")
    text = produce_tool(broker, "latency", 1000 * seconds, 1000, 1000, "acks=all")
    for percentile, name in (("50th", "p50"), ("99th", "p99"), ("99.9th", "p99.9")):
        figures[f"produce latency at 1,000 records/s, acks=all: {name} ms"] = last(rf"(\d+) ms {percentile}", text)


def produce_tool(broker, topic, records, size, rate, *properties):
    return tool(
        "producer-perf-test", None, "--topic", topic, "--num-records", str(records), "--record-size", str(size),
        "--throughput", str(rate), "--producer-props", f"bootstrap.servers={broker.bootstrap}", *properties,
    )


def print_table(columns):
    kinds = list(columns)
    rows = list(dict.fromkeys(row for figures in columns.values() for row in figures))
    print("| figure | " + " | ".join(kinds) + " |")
    print("|---|" + "---:|" * len(kinds))
    for row in rows:
        print(f"| {row} | " + " | ".join(columns[kind].get(row, "") for kind in kinds) + " |")


# Each adds its rows to the figures of one broker.
PARTS = {
    "log": measure_log,
    "groups": measure_groups,
    "compaction": compaction.measure,
    "recovery": recovery.measure,
    "many": many.measure,
    "registry": registry.measure,
}
