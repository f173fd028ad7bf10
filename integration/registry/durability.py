"""kill -9 while eight threads register: what was acknowledged is there, no id stands for two schemas, versions are dense."""

import http.client
import json
import os
import subprocess
import threading
import time
import urllib.parse

import rest
from kit import REGISTRY, RUN_ID

THREADS = 8
KILLS = 10


def kill9():
    work, ended = Work(), threading.Event()
    threads = [threading.Thread(target=work.register, args=(number, ended)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for kill in range(KILLS):
        # So much is to have been acknowledged since the last one.
        work.wait_for(work.count() + 25)
        for action in ("kill9", "start"):
            subprocess.run([os.environ["BROKER_CTL"], action], check=True)
    work.wait_for(work.count() + 25)
    ended.set()
    for thread in threads:
        thread.join()
    work.check()


class Work:
    """What was acknowledged: id by subject and schema."""

    def __init__(self):
        self.lock, self.acknowledged = threading.Lock(), {}

    def count(self):
        with self.lock:
            return len(self.acknowledged)

    def wait_for(self, count):
        deadline = time.monotonic() + 60
        while self.count() < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {self.count()} of {count} registrations were acknowledged")
            time.sleep(0.01)

    def register(self, thread, ended):
        """Every other schema is everybody's, under the same subject; the rest under a subject of the thread's own."""
        connection, number = rest.Connection(REGISTRY, timeout=5), 0
        while not ended.is_set():
            subject = f"{RUN_ID}-all" if number % 2 else f"{RUN_ID}-{thread}"
            schema = text(number if number % 2 else f"{thread}_{number}")
            path = f"/subjects/{urllib.parse.quote(subject)}/versions"
            try:
                status, answer = connection.json("POST", path, {"schema": schema})
            except (http.client.HTTPException, OSError, ValueError):
                time.sleep(0.01)
                continue
            if status == 200:
                with self.lock:
                    self.acknowledged[subject, schema] = answer["id"]
                number += 1
            elif status < 500:
                raise SystemExit(f"{status} {answer}")

    def check(self):
        connection = rest.Connection(REGISTRY)
        schemas = {}
        for (subject, schema), number in sorted(self.acknowledged.items()):
            schemas.setdefault(number, set()).add(schema)
        print("ids that stand for two schemas:", sum(len(texts) > 1 for texts in schemas.values()))
        lost = other = 0
        for number, texts in schemas.items():
            status, answer = connection.json("GET", f"/schemas/ids/{number}")
            lost += status != 200
            other += status == 200 and json.loads(answer["schema"]) not in [json.loads(each) for each in texts]
        print("acknowledged ids that are lost:", lost, "or another schema's:", other)
        self.check_subjects(connection)

    def check_subjects(self, connection):
        missing = sparse = twice = 0
        for subject in {subject for subject, _ in self.acknowledged}:
            versions = connection.json("GET", f"/subjects/{subject}/versions")[1]
            sparse += versions != list(range(1, len(versions) + 1))
            found = [connection.json("GET", f"/subjects/{subject}/versions/{version}")[1] for version in versions]
            ids = [each["id"] for each in found]
            twice += len(set(ids)) != len(ids)
            missing += len({number for (of, _), number in self.acknowledged.items() if of == subject} - set(ids))
        print("subjects with gaps in their versions:", sparse, "with an id twice:", twice, "versions lost:", missing)


def text(word):
    """Schemas that go together in any order: what is added has a default."""
    field = {"name": f"f{word}", "type": "int", "default": 0}
    return json.dumps({"type": "record", "name": "K", "fields": [field]})


SCENARIOS = {"kill9": kill9}
