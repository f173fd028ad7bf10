"""How fast a log is compacted and what that takes: several histories, each of ten records for each key."""

import re
import time

from harness import brokers
from harness.brokers import Broker
from harness.figures.measure import cpu_seconds, forget_peak, franz, memory, peak_memory, tool

CASES = ((1000, "none"), (1000, "lz4"), (100, "none"), (100, "lz4"))
DEADLINE_S = 300

# What each broker says of a pass: its seconds.
ACCOUNTS = {"ottla": r"compacted .*: ([\d.]+) s,", "kafka": r"MB of log processed in ([\d.,]+) seconds"}


def measure(kind, directory, options, figures):
    settings = dict(brokers.SETTINGS)
    brokers.SETTINGS["log.cleaner.backoff.ms"] = 100
    try:
        broker = Broker.create(kind, directory / f"{kind}-compaction")
        broker.start()
        try:
            for size, codec in CASES:
                compact(broker, figures, size, codec, options.megabytes)
        finally:
            broker.stop()
    finally:
        brokers.SETTINGS.clear()
        brokers.SETTINGS.update(settings)


def compact(broker, figures, size, codec, megabytes):
    topic = f"compaction-{size}-{codec}"
    records = megabytes * 1_000_000 // size
    franz(broker, "keyed", topic, records, size, codec, records // 10)
    before = log_sizes(broker, topic)
    # The last segment is not compacted.
    active = max(before)
    dirty_mb = sum(size for base, size in before.items() if base != active) / 1e6
    told = len(accounts(broker))
    rest, cpu = memory(broker), cpu_seconds(broker)
    forget_peak(broker)
    configs = ("--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "min.cleanable.dirty.ratio=0.0")
    tool("configs", broker, *configs)
    wait(lambda: cleaned_to(broker, topic) == active and len(accounts(broker)) > told, f"{topic} is compacted")
    cpu, peak = cpu_seconds(broker) - cpu, peak_memory(broker)
    seconds = float(accounts(broker)[-1].replace(",", ""))
    label = f"compact {size} B, {codec}"
    figures[f"{label}: MB/s of the log"] = f"{dirty_mb / seconds:.0f}"
    figures[f"{label}: broker CPU s per GB"] = f"{cpu * 1000 / dirty_mb:.2f}"
    figures[f"{label}: memory over what it had, MB"] = f"{peak - rest:.1f}"
    figures[f"{label}: left of the log"] = f"{sum(log_sizes(broker, topic).values()) / sum(before.values()):.0%}"


def accounts(broker):
    return re.findall(ACCOUNTS[broker.kind], broker.log.read_text(errors="replace"))


def log_sizes(broker, topic):
    """Bytes of each segment, by its base offset."""
    files = (broker.data / f"{topic}-0").glob("*.log")
    return {int(path.stem): path.stat().st_size for path in files}


def cleaned_to(broker, topic):
    """Of the brokers' own note of how far a log has been compacted."""
    path = broker.data / "cleaner-offset-checkpoint"
    text = path.read_text() if path.exists() else ""
    found = re.search(rf"^{re.escape(topic)} 0 (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None


def wait(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise brokers.BrokerError(f"did not happen: {what}")
        time.sleep(0.01)
