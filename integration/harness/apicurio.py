"""Apicurio Registry, whose API that is like Confluent's stands beside Ottla's. It keeps what it is told in memory."""

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from harness import places
from harness.brokers import START_TIMEOUT_S, BrokerError, free_port, is_alive, tail

# What its classes are compiled for.
JAVA = 21


class Apicurio:
    """One of them; `start` it first."""

    def __init__(self, directory):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True)
        self.port, self.process, self.log = free_port(), None, self.dir / "apicurio.log"
        self.registry = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def start(self):
        home = subprocess.run([places.APICURIO], check=True, capture_output=True, text=True).stdout.strip()
        environment = {
            **os.environ, "QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(self.port),
            "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false", "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_REST_DELETION_ARTIFACT_ENABLED": "true",
        }
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [java(), "-jar", "quarkus-run.jar"], cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.serves():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(f"Apicurio did not start; {self.log} ends with:\n{tail(self.log)}")
            time.sleep(0.05)

    def serves(self):
        try:
            with urllib.request.urlopen(f"{self.registry}/subjects", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process and is_alive(self.process.pid):
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def java():
    """A Java that is new enough: the one on the path, or one that is installed beside it."""
    installed = sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)
    for candidate in filter(None, [os.environ.get("JAVA_HOME", "") and f"{os.environ['JAVA_HOME']}/bin/java", shutil.which("java"), *installed]):
        told = subprocess.run([candidate, "-version"], capture_output=True, text=True, check=False).stderr
        found = re.search(r'version "(\d+)', told)
        if found and int(found[1]) >= JAVA:
            return candidate
    raise BrokerError(f"Apicurio needs Java {JAVA}: JAVA_HOME says where it is")
