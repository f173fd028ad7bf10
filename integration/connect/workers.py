"""Kafka Connect's distributed workers, and their REST API."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

BOOTSTRAP, RUN_ID = os.environ["BOOTSTRAP"], os.environ["RUN_ID"]
CACHE = Path(os.environ["CACHE"])
REFERENCE = Path(__file__).resolve().parent.parent / "reference"
DEADLINE_S = 60

# Stock settings but for the names, the number of replicas, and time-outs that make a killed worker noticed soon.
SETTINGS = {
    "bootstrap.servers": BOOTSTRAP,
    "group.id": f"{RUN_ID}-connect",
    "config.storage.topic": f"{RUN_ID}-connect-configs",
    "offset.storage.topic": f"{RUN_ID}-connect-offsets",
    "status.storage.topic": f"{RUN_ID}-connect-status",
    "config.storage.replication.factor": 1,
    "offset.storage.replication.factor": 1,
    "status.storage.replication.factor": 1,
    "offset.storage.partitions": 3,
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "exactly.once.source.support": "enabled",
    "offset.flush.interval.ms": 500,
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 1000,
    "scheduled.rebalance.max.delay.ms": 0,
    "plugin.discovery": "hybrid_warn",
}


class Workers:
    """Two workers of one Connect cluster; a context, so that none outlives the scenario."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="ottla-connect-"))
        self.processes = {}

    def __enter__(self):
        self.start()
        self.start()
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()
        subprocess.run(["rm", "-rf", self.dir], check=True)

    def start(self):
        """Starts one more worker and waits until it is in the group."""
        port = free_port()
        properties = self.dir / f"{port}.properties"
        settings = {**SETTINGS, "listeners": f"http://127.0.0.1:{port}", "rest.advertised.host.name": "127.0.0.1"}
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        command = [
            "java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-Dlog.level=WARN",
            f"-Dlog4j2.configurationFile={REFERENCE}/log4j2.properties", "-cp", f"{CACHE}/libs/*",
            "org.apache.kafka.connect.cli.ConnectDistributed", str(properties),
        ]
        self.processes[port] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        until("the worker serves", lambda: request("GET", port, "/connectors", quiet=True)[0] == 200)

    def kill9(self, worker_id):
        """Kills the worker that Connect knows by this id, and forgets it."""
        port = int(worker_id.rpartition(":")[2])
        process = self.processes.pop(port)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def ask(self, method, path, body=None):
        """One request to any worker, again while the cluster rebalances; status and decoded answer."""
        end = time.monotonic() + DEADLINE_S
        while True:
            status, answer = request(method, next(iter(self.processes)), path, body)
            is_busy = status in (0, 500) or (status == 409 and "rebalance" in json.dumps(answer))
            if not is_busy or time.monotonic() > end:
                return status, answer
            time.sleep(0.2)

    def state(self, connector):
        """States of a connector and of its tasks, in order; None where there is none."""
        status, answer = self.ask("GET", f"/connectors/{connector}/status")
        if status != 200:
            return None
        return [answer["connector"]["state"]] + [task["state"] for task in answer["tasks"]]

    def until_state(self, connector, *states):
        until(f"{connector} is {states}", lambda: self.state(connector) == list(states))
        print(f"{connector.replace(RUN_ID, 'T')}: {' '.join(states)}")

    def task_worker(self, connector):
        """The id of the worker that runs the connector's first task."""
        return self.ask("GET", f"/connectors/{connector}/status")[1]["tasks"][0]["worker_id"]


def request(method, port, path, body=None, quiet=False):
    """Status and decoded body; status 0 when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=data, method=method, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=90) as answer:
            return answer.status, decoded(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, decoded(error.read())
    except OSError as error:
        if not quiet:
            print(f"{method} {path}: {error}", file=sys.stderr)
        return 0, None


def decoded(body):
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def until(what, holds):
    """Waits for a condition."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"waited in vain until {what}")
        time.sleep(0.1)


def consume(topic, count, timeout_ms=20000):
    """The committed values of a topic: up to `count`, and fewer if no more come in time."""
    done = subprocess.run(
        [REFERENCE / "tool", "console-consumer", "--bootstrap-server", BOOTSTRAP, "--topic", topic, "--from-beginning",
         "--isolation-level", "read_committed", "--max-messages", str(count), "--timeout-ms", str(timeout_ms)],
        capture_output=True, text=True, check=False,
    )
    sys.stderr.write(done.stderr)
    return done.stdout.splitlines()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
