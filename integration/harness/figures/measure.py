"""What the parts of the benchmark share: loads, and what the broker's process has used."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from harness import clients, places

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def franz(broker, *words):
    """Runs one of the Go client's loads; its figures, and the broker's CPU seconds (from `ready` on, if it says so)."""
    client = clients.load()["franz-go"]
    client.cache.mkdir(parents=True, exist_ok=True)
    subprocess.run(client.setup, cwd=client.directory, env={**os.environ, "CACHE": str(client.cache)}, check=True)
    environment = {**os.environ, "BOOTSTRAP": broker.bootstrap, "RUN_ID": "bench"}
    process = subprocess.Popen(
        [client.cache / "client", "bench", *map(str, words)], stdout=subprocess.PIPE, text=True, env=environment
    )
    before, figures = cpu_seconds(broker), {}
    for line in process.stdout:
        name, _, value = line.rstrip("\n").partition("\t")
        figures[name] = value
        if name == "ready":
            before = cpu_seconds(broker)
    if process.wait() != 0:
        sys.exit(f"bench: {' '.join(map(str, words))} failed")
    return figures, cpu_seconds(broker) - before


def idle_memory(broker):
    """What it holds once it has settled: the smallest of ten looks, a tenth of a second apart."""
    looks = []
    for _ in range(10):
        looks.append(memory(broker))
        time.sleep(0.1)
    return min(looks)


def memory(broker):
    status = Path(f"/proc/{broker.pid()}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def cpu_seconds(broker):
    fields = Path(f"/proc/{broker.pid()}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def tool(name, broker, *words):
    """Runs one of Kafka's tools and returns what it printed."""
    address = ["--bootstrap-server", broker.bootstrap] if broker else []
    done = subprocess.run([places.TOOL, name, *address, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {name}: {done.stdout}{done.stderr}")
    return done.stdout


def last(pattern, text):
    found = re.findall(pattern, text)
    if not found:
        sys.exit(f"bench: nothing like {pattern!r} in:\n{text}")
    return found[-1]


def peak_memory(broker):
    """Resident memory at its most since `forget_peak`."""
    status = Path(f"/proc/{broker.pid()}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def forget_peak(broker):
    Path(f"/proc/{broker.pid()}/clear_refs").write_text("5")


def spawn(broker):
    """The broker's process, which may not serve yet, and when it began."""
    command = broker.command()
    with open(broker.log, "ab") as log:
        begin = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=broker.dir, start_new_session=True
        )
    broker.pid_file.write_text(str(process.pid))
    return process, begin
