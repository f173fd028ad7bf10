"""Clients: their manifests, their set-up, and one scenario run as one process."""

import json
import os
import random
import signal
import string
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness import places
from harness.brokers import is_alive, tail

TIMEOUT_S = 60

# The processes of the scenarios that run just now.
RUNNING = set()


@dataclass
class Client:
    """One client of a manifest; `directory` is where its commands run."""

    name: str
    run: list
    scenarios: list
    directory: Path
    setup: list
    timeout_s: dict = field(default_factory=dict)
    left_out: dict = field(default_factory=dict)
    # Of the schema registry, which Kafka lacks.
    registry: bool = False
    # Scenarios that have a broker of their own, and its settings.
    own: dict = field(default_factory=dict)

    def own_settings(self, scenario):
        return {key: value.replace("$HERE", str(self.directory)) for key, value in self.own.get(scenario, {}).items()}

    @property
    def cache(self):
        return places.CACHE / "clients" / self.directory.name

    def words(self, command):
        return [word.replace("$CACHE", str(self.cache)) for word in command]


@dataclass
class Result:
    """What became of a scenario: `output` with what varies replaced, and `problem`, None when it ended well."""

    output: str
    problem: str | None
    seconds: float
    log: Path


def load():
    """The clients of every `client.json`, by name."""
    clients = {}
    for path in sorted(places.INTEGRATION.glob("*/client.json")):
        manifest = json.loads(path.read_text())
        for entry in manifest["clients"]:
            client = Client(directory=path.parent, setup=manifest.get("setup", []), **entry)
            assert client.name not in clients, f"two clients are named {client.name}"
            clients[client.name] = client
    return clients


def set_up(client, log):
    """Runs a client's set-up; returns None, or what went wrong."""
    client.cache.mkdir(parents=True, exist_ok=True)
    if not client.setup:
        return None
    with open(log, "wb") as out:
        done = subprocess.run(
            client.words(client.setup), cwd=client.directory, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={**os.environ, "CACHE": str(client.cache)}, check=False,
        )
    if done.returncode == 0:
        return None
    return f"set-up ended with {done.returncode}; {log} ends with:\n{tail(log)}"


def run(client, scenario, broker, directory, rounds):
    """Runs one scenario against a broker, bounded in time."""
    directory.mkdir(parents=True, exist_ok=True)
    out, log = directory / f"{broker.kind}.out", directory / f"{broker.kind}.log"
    run_id = "t" + "".join(random.choices(string.ascii_lowercase + string.digits, k=9))
    limit = client.timeout_s.get(scenario, TIMEOUT_S)
    environment = {
        **os.environ, "BOOTSTRAP": broker.bootstrap, "RUN_ID": run_id, "BROKER_CTL": str(broker.ctl), "REGISTRY": broker.registry,
        "CACHE": str(client.cache), "ROUNDS": str(rounds),
    }
    begin = time.monotonic()
    with open(out, "wb") as stdout, open(log, "wb") as stderr:
        process = subprocess.Popen(
            client.words(client.run) + [scenario], cwd=client.directory, env=environment,
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
        )
        RUNNING.add(process)
        problem = wait(process, limit)
        RUNNING.discard(process)
    seconds = time.monotonic() - begin
    pid = broker.pid()
    if pid is None or not is_alive(pid):
        problem = f"{problem or 'the client ended well'}, but the broker does not run any more"
    output = out.read_text(errors="replace").replace(run_id, "T").replace(broker.bootstrap, "BOOTSTRAP")
    return Result(output, problem, seconds, log)


def wait(process, limit):
    """Waits for a client's end; past the limit it and its children are killed. Returns the problem, or None."""
    try:
        code = process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"hung: not finished after {limit} s"
    return None if code == 0 else f"ended with {code}"


def kill_all():
    """Ends what runs, because the harness is to end."""
    for process in list(RUNNING):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
