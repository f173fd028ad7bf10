"""The soak: mixed load on one broker for as long as is asked, with small segments, retention, compaction, transactions,
groups, topics that come and go. The loads (integration/python/soak.py) check what they read; here the broker is watched:
its memory, open files, threads and files on the disk must not grow once it has settled.
"""

import argparse
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import brokers, clients, places
from harness.brokers import Broker

# Everything happens every few seconds, so that an hour is as good as weeks.
SETTINGS = {
    "log.segment.delete.delay.ms": 5000,
    "log.retention.check.interval.ms": 5000,
    "log.initial.task.delay.ms": 5000,
    "log.cleaner.backoff.ms": 2000,
    "offsets.topic.segment.bytes": 1 << 20,
    "transaction.state.log.segment.bytes": 1 << 20,
}
SAMPLE_EVERY_S = 10
# What may be added within the last third of the run, beside a share of what is there: noise.
BOUNDS = {
    "rss_mb": (8, 0.10),
    "open_files": (30, 0.10),
    "threads": (6, 0.25),
    "disk_mb": (64, 0.15),
    "files": (150, 0.15),
}


def main(words):
    parser = argparse.ArgumentParser(prog="integration/soak", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--broker", choices=["ottla", "kafka"], default="ottla")
    parser.add_argument("--csv", type=Path, help="where the samples go (by default beside the data)")
    parser.add_argument("--only", nargs="+", help="only these loads")
    parser.add_argument("--keep", action="store_true", help="leaves the data directory")
    options = parser.parse_args(words)
    # Whoever ends it early leaves no loads and no broker behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.broker == "kafka":
        subprocess.run([places.INTEGRATION / "reference" / "install"], check=True, stdout=subprocess.DEVNULL)
    directory = Path(tempfile.mkdtemp(prefix="ottla-soak-"))
    samples_file = options.csv or directory / "samples.csv"
    print(f"data and logs in {directory}, samples in {samples_file}", flush=True)
    client = clients.load()["python"]
    problem = clients.set_up(client, directory / "setup.log")
    if problem:
        sys.exit(f"soak: {problem}")
    brokers.SETTINGS.update(SETTINGS)
    broker = Broker.create(options.broker, directory / "broker")
    broker.start()
    try:
        problems, samples = soak(broker, client, options, samples_file)
    finally:
        broker.stop()
    problems += grown(samples)
    for problem in problems:
        print(f"soak: {problem}")
    print("soak: " + ("FAILED" if problems else "passed"))
    if problems or options.keep or options.csv is None:
        print(f"soak: {directory} is kept")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if problems else 0


def soak(broker, client, options, samples_file):
    """Runs the loads and takes samples beside them. What went wrong, and the samples."""
    environment = {
        **os.environ, "BOOTSTRAP": broker.bootstrap, "RUN_ID": "soak", "CACHE": str(client.cache),
        "SECONDS": str(options.minutes * 60), "ONLY": " ".join(options.only or []),
    }
    loads = subprocess.Popen(
        [client.cache / "venv/bin/python", "soak.py"], cwd=client.directory, env=environment, start_new_session=True
    )
    problems, samples, pid = [], [], broker.pid()
    try:
        with open(samples_file, "w", newline="") as out:
            writer, begin = None, time.monotonic()
            while loads.poll() is None:
                sample = {"seconds": round(time.monotonic() - begin), **look_at(broker, pid)}
                writer = writer or csv.DictWriter(out, sample.keys())
                if not samples:
                    writer.writeheader()
                writer.writerow(sample)
                out.flush()
                samples.append(sample)
                wait(loads, SAMPLE_EVERY_S)
    except (FileNotFoundError, ProcessLookupError):
        problems.append(f"the broker is gone; {broker.log} ends with:\n{brokers.tail(broker.log)}")
    finally:
        if loads.poll() is None:
            # All of them: it has a group of its own.
            os.killpg(loads.pid, signal.SIGKILL)
    if loads.wait() != 0:
        problems.append("a load found something wrong (above)")
    return problems, samples


def wait(process, seconds):
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


def look_at(broker, pid):
    """What the broker has at this moment."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    disk, files = 0, 0
    for parent, _, names in os.walk(broker.data):
        for name in names:
            try:
                disk += os.stat(os.path.join(parent, name)).st_blocks * 512
                files += 1
            except FileNotFoundError:
                pass
    return {
        "rss_mb": round(int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024, 1),
        "open_files": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
        "disk_mb": round(disk / 1e6, 1),
        "files": files,
        "cpu_s": round((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), 1),
    }


def grown(samples):
    """What still grew in the last third of the run: a straight line through its samples says how much."""
    last = samples[len(samples) * 2 // 3:]
    if len(last) < 6:
        return ["too short to judge growth"] if len(samples) < 6 else []
    problems = []
    for name, (noise, share) in BOUNDS.items():
        times, values = [sample["seconds"] for sample in last], [sample[name] for sample in last]
        middle, mean = sum(times) / len(times), sum(values) / len(values)
        slope = sum((t - middle) * (v - mean) for t, v in zip(times, values)) / sum((t - middle) ** 2 for t in times)
        growth = slope * (times[-1] - times[0])
        print(f"soak: {name}: {mean:.1f} in the last third, {growth:+.1f} over it, {max(s[name] for s in samples):.1f} at most")
        if growth > max(noise, mean * share):
            problems.append(f"{name} grew by {growth:.1f} within the last third of the run")
    return problems
