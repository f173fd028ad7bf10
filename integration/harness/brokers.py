"""Brokers: Ottla or the reference, each in a directory of its own, on a port that it keeps over restarts.

What there is to know of a broker is in its directory (`broker.json`, `pid`), so that a scenario, which is another
process, can stop and start it too: that is `ctl`, the program behind $BROKER_CTL.
"""

import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import dumplog, places
from harness.smalldisk import DiskError, SmallDisk

# A JVM takes its time on a machine that does other things, too.
START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 60

# What differs from Kafka's defaults, for both brokers: tests do not wait, and there is one broker.
SETTINGS = {
    "node.id": 1,
    "group.initial.rebalance.delay.ms": 0,
    "offsets.topic.num.partitions": 4,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.streams.initial.rebalance.delay.ms": 0,
}
# Modern groups take their pace from the broker; the least that a setting may be is a setting too.
for kind in ("consumer", "share", "streams"):
    SETTINGS[f"group.{kind}.assignment.interval.ms"] = 0
    for key, value in (("heartbeat.interval.ms", 500), ("session.timeout.ms", 10_000)):
        SETTINGS[f"group.{kind}.{key}"] = SETTINGS[f"group.{kind}.min.{key}"] = value


# Where Ottla must keep what it does not enforce, Kafka enforces it and lets everyone in.
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


class BrokerError(Exception):
    """A broker did not start or stop."""


class Broker:
    """One broker; `start` it first. `kind` is "ottla" or "kafka"."""

    def __init__(self, directory):
        self.dir = Path(directory)
        about = json.loads((self.dir / "broker.json").read_text())
        self.kind, self.port, self.binary = about["kind"], about["port"], about["binary"]
        self.next_kind, self.settings = about["next_kind"], about["settings"]
        self.data, self.log, self.pid_file = self.dir / "data", self.dir / "broker.log", self.dir / "pid"
        self.bootstrap = f"127.0.0.1:{self.port}"
        # Ottla's schema registry; Kafka has none.
        self.registry = f"http://127.0.0.1:{about['registry_port']}"
        # With a disk of its own, `data` is what was on it at the end.
        self.disk = SmallDisk(self.dir / "disk") if about["disk"] else None
        self.log_dirs = self.disk.path if self.disk else self.data

    @classmethod
    def create(cls, kind, directory, next_kind=None, disk=None, settings=None):
        """Makes the directory of a new broker. `next_kind` is what serves it after a hop, and hops back; `disk` is the size of
        a file system of its own; `settings` are Ottla's, beside those that every broker has."""
        directory = Path(directory)
        directory.mkdir(parents=True)
        about = {
            "kind": kind, "next_kind": next_kind, "port": free_port(), "registry_port": free_port(),
            "binary": str(places.OTTLA), "disk": disk, "settings": settings or {},
        }
        (directory / "broker.json").write_text(json.dumps(about))
        ctl = directory / "ctl"
        ctl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{places.INTEGRATION}/run" --ctl "{directory}" "$@"\n')
        ctl.chmod(0o755)
        broker = cls(directory)
        if disk:
            try:
                broker.disk.mount(disk)
            except DiskError as error:
                raise BrokerError(str(error)) from None
        return broker

    @property
    def ctl(self):
        return self.dir / "ctl"

    def pid(self):
        """The process's id, or None when it does not run."""
        try:
            pid = int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if is_alive(pid) else None

    def start(self):
        """Starts it and waits until it serves."""
        inside = self.disk.inside() if self.disk else []
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                [*inside, *self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "LOG_LEVEL": "INFO", "NO_COLOR": "1"}, cwd=self.dir,
            )
        self.pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + START_TIMEOUT_S
        while not serves(self.port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(f"{self.kind} did not start; {self.log} ends with:\n{tail(self.log)}")
            time.sleep(0.02)

    def stop(self):
        """SIGTERM, and waits for the end."""
        self.signal(signal.SIGTERM)

    def kill9(self):
        """SIGKILL, and waits for the end."""
        self.signal(signal.SIGKILL)

    def release(self):
        """Gives its disk back, when it has one of its own. It has ended."""
        if self.disk:
            self.disk.release(self.data)

    def restart(self):
        self.stop()
        self.start()

    def hop(self):
        """Stops, and lets the other kind of broker serve the directory."""
        self.stop()
        self.start_next()

    def hop_kill9(self):
        """The same with SIGKILL."""
        self.kill9()
        self.start_next()

    def start_next(self):
        path = self.dir / "broker.json"
        self.kind, self.next_kind = self.next_kind, self.kind
        about = json.loads(path.read_text())
        path.write_text(json.dumps({**about, "kind": self.kind, "next_kind": self.next_kind}))
        self.start()

    def is_ottlas(self):
        """Whether Ottla has written to the directory."""
        return "ottla" in (self.kind, self.next_kind)

    def signal(self, number):
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, number)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while is_alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                raise BrokerError(f"{self.kind} did not stop within {STOP_TIMEOUT_S} s")
            time.sleep(0.01)

    def memory(self):
        """Prints the greatest resident memory that it had, in MiB."""
        status = Path(f"/proc/{self.pid()}/status").read_text()
        print(next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")))

    def dump(self, topic):
        """Prints what Kafka's dump-log says of the batches of partition 0 of a topic, as far as it is the same everywhere."""
        print("\n".join(dumplog.account(self.data / f"{topic}-0")))

    def command(self):
        if self.kind == "ottla":
            return self.ottla_command()
        return self.kafka_command()

    def ottla_command(self):
        settings = {
            "listeners": f"PLAINTEXT://{self.bootstrap}", "schema.registry.listeners": self.registry,
            "log.dirs": self.log_dirs, **SETTINGS, **self.settings,
        }
        command = [self.binary, "serve"]
        for key, value in settings.items():
            command += ["--override", f"{key}={value}"]
        return command

    def kafka_command(self):
        properties = self.dir / "server.properties"
        if not properties.exists():
            self.format_kafka(properties)
        return [places.TOOL, "server", properties]

    def format_kafka(self, properties):
        controller = f"127.0.0.1:{free_port()}"
        settings = {
            "process.roles": "broker,controller",
            "controller.quorum.bootstrap.servers": controller,
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.log_dirs,
            **SETTINGS,
            **(AUTHORIZER if self.next_kind else {}),
        }
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        done = subprocess.run(
            [places.TOOL, "storage", "format", "--standalone", "-t", "T3R0bGFJbnRlZ3JhdGlvbg", "-c", properties],
            capture_output=True, text=True, check=False,
        )
        if done.returncode != 0:
            properties.unlink()
            raise BrokerError(f"storage format: {done.stdout}{done.stderr}")


def ctl(directory, action, *words):
    """What a scenario asks of its broker through $BROKER_CTL."""
    actions = {
        "start": Broker.start, "stop": Broker.stop, "restart": Broker.restart, "kill9": Broker.kill9,
        "memory": Broker.memory, "dump": Broker.dump, "hop": Broker.hop, "hop-kill9": Broker.hop_kill9,
        "disk": lambda broker, how: broker.disk.change(how),
    }
    if action not in actions:
        print(f"ctl: {action!r} is none of {', '.join(actions)}", file=sys.stderr)
        return 2
    try:
        actions[action](Broker(directory), *words)
    except (BrokerError, DiskError) as error:
        print(f"ctl: {error}", file=sys.stderr)
        return 1
    return 0


def free_port():
    """A port that nobody listens on, below those that the system gives to outgoing connections:
    else one of these could take it while its broker restarts. PORTS=first-last narrows the choice."""
    first, last = map(int, os.environ.get("PORTS", "20000-32000").split("-"))
    with GIVEN_LOCK:
        for port in random.sample(range(first, last + 1), last - first + 1):
            if port not in GIVEN and is_free(port):
                GIVEN.add(port)
                return port
    raise BrokerError(f"no free port in {first}-{last}")


# Ports of brokers that may just now not listen, because they start.
GIVEN = set()
GIVEN_LOCK = threading.Lock()


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def serves(port):
    """Whether a broker answers Metadata v1 about no topics with a broker and a controller."""
    client_id = b"harness"
    body = struct.pack(">hhih", 3, 1, 0, len(client_id)) + client_id + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            length, = struct.unpack(">i", receive(connection, 4))
            answer = receive(connection, length)
    except (OSError, EOFError, struct.error):
        return False
    brokers, = struct.unpack_from(">i", answer, 4)
    return brokers > 0


def receive(connection, count):
    """Exactly `count` bytes of a socket."""
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def is_alive(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        # The first thread may be gone while others still hold the sockets.
        return state not in "ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        pass
    if Path("/proc/self").exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def tail(path, lines=25):
    """The end of a text file."""
    try:
        text = Path(path).read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(line[:300] for line in text)
    except FileNotFoundError:
        return "(there is none)"
