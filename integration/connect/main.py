"""Kafka Connect with two workers: what its REST API says and what its connectors write is the result."""

import sys
import threading
import time

from workers import RUN_ID, Workers, consume, until

SOURCE, SINK, TOPIC = f"{RUN_ID}-source", f"{RUN_ID}-sink", f"{RUN_ID}-lines"
FILE = "org.apache.kafka.connect.file.FileStream"


def source(path):
    return {"connector.class": f"{FILE}SourceConnector", "tasks.max": "1", "file": str(path), "topic": TOPIC}


def sink(path):
    return {"connector.class": f"{FILE}SinkConnector", "tasks.max": "1", "file": str(path), "topics": TOPIC}


def show(what, answered):
    """A status, and the message of an error."""
    status, answer = answered
    message = answer.get("message", "") if isinstance(answer, dict) else ""
    print(f"{what}: {status} {message.replace(RUN_ID, 'T').splitlines()[0] if message else ''}".rstrip())


def append(path, numbers):
    with open(path, "a") as file:
        file.write("".join(f"line {number}\n" for number in numbers))


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def until_lines(path, count):
    until(f"{path.name} has {count} lines", lambda: len(lines(path)) >= count)


def judged(what, found, expected):
    """How often each expected line was found."""
    doubled = len(found) - len(set(found))
    lost = len(set(expected) - set(found))
    in_order = found == [line for line in expected if line in set(found)]
    print(f"{what}: {len(found)} of {len(expected)}, doubled {doubled}, lost {lost}, in order {in_order}")


def connectors():
    """The life of a source and a sink connector."""
    with Workers() as workers:
        given, taken = workers.dir / "given.txt", workers.dir / "taken.txt"
        append(given, range(100))
        plugins = [plugin["class"] for plugin in workers.ask("GET", "/connector-plugins")[1]]
        print("plugins:", sorted(name for name in plugins if name.startswith(FILE)))
        show("a source without a topic", workers.ask("POST", "/connectors", {"name": SOURCE, "config": {"connector.class": f"{FILE}SourceConnector"}}))
        show("create the source", workers.ask("POST", "/connectors", {"name": SOURCE, "config": source(given)}))
        show("create the sink", workers.ask("PUT", f"/connectors/{SINK}/config", sink(taken)))
        show("create the source again", workers.ask("POST", "/connectors", {"name": SOURCE, "config": source(given)}))
        workers.until_state(SOURCE, "RUNNING", "RUNNING")
        workers.until_state(SINK, "RUNNING", "RUNNING")
        until_lines(taken, 100)
        print("connectors:", sorted(name.replace(RUN_ID, "T") for name in workers.ask("GET", "/connectors")[1]))

        show("pause", workers.ask("PUT", f"/connectors/{SINK}/pause"))
        workers.until_state(SINK, "PAUSED", "PAUSED")
        append(given, range(100, 200))
        judged("while the sink is paused, in the topic", consume(TOPIC, 200), [f"line {n}" for n in range(200)])
        print("in the sink's file:", len(lines(taken)))
        show("resume", workers.ask("PUT", f"/connectors/{SINK}/resume"))
        workers.until_state(SINK, "RUNNING", "RUNNING")
        until_lines(taken, 200)

        show("restart", workers.ask("POST", f"/connectors/{SOURCE}/restart?includeTasks=true&onlyFailed=false"))
        workers.until_state(SOURCE, "RUNNING", "RUNNING")
        show("restart a task", workers.ask("POST", f"/connectors/{SOURCE}/tasks/0/restart"))
        workers.until_state(SOURCE, "RUNNING", "RUNNING")
        append(given, range(200, 300))
        until_lines(taken, 300)
        judged("after restarts, in the sink's file", lines(taken), [f"line {n}" for n in range(300)])

        show("alter a running source's offsets", workers.ask("DELETE", f"/connectors/{SOURCE}/offsets"))
        show("stop", workers.ask("PUT", f"/connectors/{SOURCE}/stop"))
        workers.until_state(SOURCE, "STOPPED")
        until("the source's offsets are written", lambda: offsets(workers)[:1] == [len(given.read_bytes())])
        print("offsets:", len(offsets(workers)), "partition, at the file's end")
        show("reset its offsets", workers.ask("DELETE", f"/connectors/{SOURCE}/offsets"))
        print("offsets:", offsets(workers))
        show("delete the source", workers.ask("DELETE", f"/connectors/{SOURCE}"))
        show("delete the sink", workers.ask("DELETE", f"/connectors/{SINK}"))
        until("both are gone", lambda: workers.ask("GET", "/connectors")[1] == [])
        # The workers tell each other through a topic.
        until("nobody knows its status", lambda: workers.state(SOURCE) is None)
        show("status of what is gone", workers.ask("GET", f"/connectors/{SOURCE}/status"))


def offsets(workers):
    """The positions of the source in its file."""
    _, answer = workers.ask("GET", f"/connectors/{SOURCE}/offsets")
    return [entry["offset"]["position"] for entry in answer["offsets"] if entry["offset"]]


def connect_exactly_once():
    """Workers are killed while a source copies a file that grows: each line is in the topic once."""
    count, kills = 3000, 3
    with Workers() as workers:
        given = workers.dir / "given.txt"
        append(given, range(1))
        show("create the source", workers.ask("POST", "/connectors", {"name": SOURCE, "config": {
            **source(given), "exactly.once.support": "required", "transaction.boundary": "poll",
        }}))
        workers.until_state(SOURCE, "RUNNING", "RUNNING")
        writer = threading.Thread(target=grow, args=(given, range(1, count)))
        writer.start()
        for _ in range(kills):
            victim = workers.task_worker(SOURCE)
            workers.kill9(victim)
            workers.start()
            until("another worker runs the task", lambda victim=victim: running_elsewhere(workers, victim))
        writer.join()
        judged(f"after {kills} workers were killed, in the topic", consume(TOPIC, count), [f"line {n}" for n in range(count)])
        more = consume(TOPIC, count + 1, timeout_ms=3000)
        print("no more than that:", len(more) == count)


def grow(path, numbers):
    """Appends over some seconds, so that every kill comes in the middle."""
    for first in range(numbers.start, numbers.stop, 10):
        append(path, range(first, min(first + 10, numbers.stop)))
        time.sleep(0.1)


def running_elsewhere(workers, victim):
    status, answer = workers.ask("GET", f"/connectors/{SOURCE}/status")
    tasks = answer["tasks"] if status == 200 else []
    return [task["state"] for task in tasks] == ["RUNNING"] and tasks[0]["worker_id"] != victim


SCENARIOS = {run.__name__.replace("_", "-"): run for run in (connectors, connect_exactly_once)}

SCENARIOS[sys.argv[1]]()
