"""Nothing acknowledged is lost and nothing is there twice, whatever happens to the broker."""

import os
import subprocess
import threading
import time

from common import create_topic, log, producer, read_all, until

PARTITIONS = 3


def restart():
    """The broker restarts twice under load."""
    survive("restart", 2)


def kill9():
    """The broker is killed again and again under load."""
    survive("kill9", int(os.environ["ROUNDS"]))


def survive(how, rounds):
    topic = create_topic(how, PARTITIONS)
    load = Load(topic)
    for number in range(rounds):
        before = load.acknowledged()
        until(lambda: load.acknowledged() > before + 300, f"records are acknowledged in round {number}")
        if how == "kill9":
            control("kill9")
            control("start")
        else:
            control("restart")
        log(f"round {number}: {load.acknowledged()} acknowledged")
        problem = compare(topic, load)
        if problem:
            print(f"round {number}: {problem}")
    before = load.acknowledged()
    until(lambda: load.acknowledged() > before + 300, "records are acknowledged at the end")
    load.stop()
    print("failed:", load.failed)
    print("at the end:", compare(topic, load) or "every acknowledged record once, in order")
    got = [message.value() for message in read_all(topic, PARTITIONS)]
    print(f"duplicates {len(got) - len(set(got))}, all produced are there: {len(got) == load.produced}")


def control(*words):
    subprocess.run([os.environ["BROKER_CTL"], *words], check=True)


def compare(topic, load):
    """What is wrong with the log, given what was acknowledged so far; None when nothing is."""
    acknowledged = [list(numbers) for numbers in load.numbers]
    stored = [[] for _ in range(PARTITIONS)]
    for message in read_all(topic, PARTITIONS):
        stored[message.partition()].append(int(message.value()))
    for partition in range(PARTITIONS):
        own = stored[partition]
        if own != sorted(own):
            return f"partition {partition} is out of order"
        if len(own) != len(set(own)):
            return f"partition {partition} has duplicates"
        lost = set(acknowledged[partition]) - set(own)
        if lost:
            return f"partition {partition} lost {len(lost)} of {len(acknowledged[partition])} acknowledged records"
    return None


class Load:
    """An idempotent producer in its own thread; `numbers` are those acknowledged, by partition."""

    def __init__(self, topic, pause_s=0):
        self.topic, self.pause_s = topic, pause_s
        self.produced = self.failed = 0
        self.numbers = [[] for _ in range(PARTITIONS)]
        self.stopping = threading.Event()
        self.producer = producer(
            enable_idempotence=True, acks="all", batch_num_messages=20, retry_backoff_ms=50,
            reconnect_backoff_ms=20, reconnect_backoff_max_ms=100, message_timeout_ms=120_000,
        )
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping.is_set():
            # Not more under way than a restart can delay, so that a round has an end.
            if len(self.producer) < 2000:
                for _ in range(10):
                    number = self.produced
                    self.producer.produce(self.topic, f"{number}", partition=number % PARTITIONS, on_delivery=self.report)
                    self.produced += 1
            self.producer.poll(0.01)
            self.stopping.wait(self.pause_s)

    def report(self, error, message):
        if error:
            self.failed += 1
            log("produce:", error)
        else:
            self.numbers[message.partition()].append(int(message.value()))

    def acknowledged(self):
        return sum(map(len, self.numbers))

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.producer.flush(60)


SCENARIOS = {run.__name__: run for run in (restart, kill9)}
