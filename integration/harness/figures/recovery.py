"""What a start costs: after kill -9 with data that no checkpoint tells of, and until a partition that nobody has used
since the start gives its first byte."""

import os
import socket
import statistics
import struct
import time

from harness import brokers
from harness.brokers import Broker
from harness.figures import wire
from harness.figures.measure import spawn, tool

PARTITIONS = 20
# No checkpoint, no flush: a recovery has to read it all.
SETTINGS = {
    "log.flush.offset.checkpoint.interval.ms": 3_600_000,
    "log.initial.task.delay.ms": 3_600_000,
    "log.retention.check.interval.ms": 3_600_000,
}
DEADLINE_S = 600


def measure(kind, directory, options, figures):
    settings = dict(brokers.SETTINGS)
    brokers.SETTINGS.update(SETTINGS)
    try:
        broker = Broker.create(kind, directory / f"{kind}-recovery")
        broker.start()
        try:
            # A recovery that reads more than this has been saved from it by a flush.
            megabytes = min(options.megabytes, 900)
            crash(broker, figures, megabytes)
            first_byte(broker, figures, megabytes)
        finally:
            broker.stop()
    finally:
        brokers.SETTINGS.clear()
        brokers.SETTINGS.update(settings)


def crash(broker, figures, megabytes):
    fill(broker, "recovery", 1, megabytes)
    gigabytes = sum(path.stat().st_size for path in (broker.data / "recovery-0").glob("*.log")) / 1e9
    broker.kill9()
    warm = until_produced(broker, "recovery")
    broker.kill9()
    drop_cache(broker)
    cold = until_produced(broker, "recovery")
    broker.stop()
    whole = until_produced(broker, "recovery")
    label = f"first produce to a partition after kill -9 with {gigabytes * 1000:.0f} MB unflushed"
    figures[f"{label}, s"] = f"{warm:.2f}"
    figures[f"{label}, page cache dropped, s"] = f"{cold:.2f}"
    figures["the same after a clean stop, s"] = f"{whole:.2f}"
    figures["recovery, s per GB"] = f"{max(warm - whole, 0) / gigabytes:.2f}"


def first_byte(broker, figures, megabytes):
    fill(broker, "cold", PARTITIONS, megabytes)
    broker.restart()
    drop_cache(broker)
    times = []
    for partition in range(PARTITIONS):
        with socket.create_connection(("127.0.0.1", broker.port), timeout=30) as connection:
            wire.metadata(connection)
            begin = time.monotonic()
            size = wire.fetch(connection, "cold", partition, 100)
            times.append((time.monotonic() - begin) * 1000)
            if size < 1000:
                raise brokers.BrokerError(f"cold-{partition} gives {size} bytes")
    figures["first byte of a cold partition, ms (median)"] = f"{statistics.median(times):.1f}"
    figures["first byte of a cold partition, ms (slowest of 20)"] = f"{max(times):.1f}"


def fill(broker, topic, partitions, megabytes):
    # One segment, so that nothing is flushed because it is over.
    config = "segment.bytes=2147483647"
    tool("topics", broker, "--create", "--topic", topic, "--partitions", str(partitions), "--config", config)
    records = megabytes * 1000
    tool(
        "producer-perf-test", None, "--topic", topic, "--num-records", str(records), "--record-size", "1000",
        "--throughput", "-1", "--producer-props", f"bootstrap.servers={broker.bootstrap}",
    )


def until_produced(broker, topic):
    """Seconds from the broker's exec to the answer to a Produce request for the topic's first partition."""
    deadline = time.monotonic() + DEADLINE_S
    process = None
    while time.monotonic() < deadline:
        if process is None or process.poll() is not None:
            # Also once more: the port of one that was killed may not be free yet.
            process, begin = spawn(broker)
        try:
            with socket.create_connection(("127.0.0.1", broker.port), timeout=DEADLINE_S) as connection:
                if wire.produce(connection, topic):
                    return time.monotonic() - begin
        except (OSError, EOFError, struct.error):
            pass
        time.sleep(0.002)
    raise brokers.BrokerError(f"no Produce was acknowledged within {DEADLINE_S} s")


def drop_cache(broker):
    """The system forgets what it holds of the logs' files."""
    for path in broker.data.glob("*-*/*"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
