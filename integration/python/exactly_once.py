"""Consume, transform, produce: each input once in the output, whoever is killed."""

import os
import random
import signal
import subprocess
import sys
import threading

from confluent_kafka import KafkaException, TopicPartition

import durability
from common import DEADLINE_S, consumer, create_topic, log, name, producer, until
from transactions import end, read_to_end

PARTITIONS = durability.PARTITIONS
SLOTS = 2
# How often a worker is killed.
KILLS = 8
# The exit code of a worker that was told that another one has its place.
FENCED = 3
FENCED_NAMES = {"_FENCED", "FENCED_INSTANCE_ID", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH", "INVALID_PRODUCER_ID_MAPPING", "_FATAL"}


def exactly_once():
    """Workers are killed at random and started again; at last one is only stopped, and is a zombie when it goes on."""
    with Pipeline() as pipeline:
        chance = random.Random()
        for number in range(KILLS):
            pipeline.goes_on(f"after {number} kills")
            threading.Event().wait(chance.random() * 0.1)
            pipeline.kill(chance.randrange(SLOTS))
        pipeline.goes_on("before the zombie")
        print("killed", KILLS)
        # Before it has begun to work, its return would be that of the newer one.
        until(lambda: pipeline.all_work() and pipeline.workers[0].is_working.is_set(), "the zombie-to-be works")
        zombie = pipeline.workers[0]
        zombie.process.send_signal(signal.SIGSTOP)
        pipeline.workers[0] = Worker(0)
        until(lambda: pipeline.workers[0].is_working.is_set(), "the replacement works")
        zombie.process.send_signal(signal.SIGCONT)
        until(lambda: zombie.process.poll() is not None, "the zombie ends")
        print("the zombie is fenced:", zombie.process.returncode == FENCED or zombie.process.returncode)


def eos_kill9():
    """The broker is killed again and again while transactions run."""
    with Pipeline() as pipeline:
        rounds, chance = int(os.environ["ROUNDS"]), random.Random()
        for number in range(rounds):
            pipeline.goes_on(f"in round {number}")
            threading.Event().wait(chance.random() * 0.1)
            durability.control("kill9")
            durability.control("start")
        pipeline.goes_on("at the end")


class Pipeline:
    """A load on the input, and the workers; at its end it says what is in the output."""

    def __enter__(self):
        self.source, self.sink = create_topic("in", PARTITIONS), create_topic("out", PARTITIONS)
        self.load = durability.Load(self.source, pause_s=0.02)
        self.workers = [Worker(slot) for slot in range(SLOTS)]
        return self

    def __exit__(self, failure, *_):
        if failure:
            for worker in self.workers:
                worker.process.kill()
            self.load.stop()
            return
        self.load.stop()
        print("input failed:", self.load.failed)
        ends = [end(self.source, p, "read_uncommitted") for p in range(PARTITIONS)]
        until(lambda: self.all_work() and self.committed() == ends, "all of the input is worked off")
        for worker in self.workers:
            worker.finish()
        stable = [end(self.sink, p, "read_committed") for p in range(PARTITIONS)]
        print("nothing is left open:", stable == [end(self.sink, p, "read_uncommitted") for p in range(PARTITIONS)])
        out = [int(message.value()) for message in read_to_end(self.sink, "read_committed", PARTITIONS)]
        print(f"duplicates {len(out) - len(set(out))}, lost {self.load.produced - len(set(out))}")
        every = [message.value() for message in read_to_end(self.sink, "read_uncommitted", PARTITIONS)]
        log(f"{self.load.produced} inputs, {len(out)} outputs, {len(every) - len(out)} aborted")

    def committed(self):
        reader = consumer("eos")
        places = [TopicPartition(self.source, p) for p in range(PARTITIONS)]
        try:
            return [place.offset for place in reader.committed(places, timeout=5)]
        except KafkaException as error:
            log("committed:", error)
            return None
        finally:
            reader.close()

    def all_work(self):
        """A worker that ended is started again, as whoever runs it would."""
        for slot, worker in enumerate(self.workers):
            if worker.process.poll() is not None:
                log(f"worker {slot} ended with {worker.process.returncode}")
                self.workers[slot] = Worker(slot)
        return True

    def goes_on(self, when):
        """Waits until each worker has committed something since it was asked."""
        before = sum(self.stable())
        until(lambda: self.all_work() and sum(self.stable()) > before + 100, f"records come out {when}")

    def stable(self):
        return [end(self.sink, p, "read_committed") for p in range(PARTITIONS)]

    def kill(self, slot):
        self.workers[slot].process.kill()
        self.workers[slot].process.wait()
        self.workers[slot] = Worker(slot)


class Worker:
    """The process of a slot; `is_working` when it has committed its first transaction."""

    def __init__(self, slot):
        self.is_working = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, sys.argv[0], "worker"], env={**os.environ, "SLOT": str(slot)}, stdout=subprocess.PIPE)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for _ in self.process.stdout:
            self.is_working.set()

    def finish(self):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            print("a worker does not end")
            self.process.kill()


def worker():
    """What runs in a worker's process."""
    place = name(f"worker-{os.environ['SLOT']}")
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    reader = consumer("eos", group_instance_id=place, isolation_level="read_committed")
    # librdkafka 2.16 forgets a broker that it bootstraps anew, but waits for it as the coordinator of the group (#5511).
    writer = producer(transactional_id=place, transaction_timeout_ms=10_000, reconnect_backoff_max_ms=100, retry_backoff_ms=50,
                      metadata_recovery_strategy="none")
    try:
        writer.init_transactions(DEADLINE_S)
        reader.subscribe([name("in")])
        while not stopping.is_set():
            messages = reader.consume(50, 0.2)
            fatal = [m.error() for m in messages if m.error() and (m.error().fatal() or m.error().name() in FENCED_NAMES)]
            if fatal:
                raise KafkaException(fatal[0])
            messages = [message for message in messages if not message.error()]
            if messages:
                work(reader, writer, messages)
    except KafkaException as error:
        log(f"{place}: {error}")
        os._exit(FENCED if error.args[0].name() in FENCED_NAMES else 1)
    reader.close()


def work(reader, writer, messages):
    """One transaction: what was read is written and its offsets are committed, or neither."""
    writer.begin_transaction()
    try:
        for message in messages:
            writer.produce(name("out"), message.value(), partition=message.partition())
        writer.send_offsets_to_transaction(reader.position(reader.assignment()), reader.consumer_group_metadata(), DEADLINE_S)
        writer.commit_transaction(DEADLINE_S)
        print("working", flush=True)
    except KafkaException as error:
        if not error.args[0].txn_requires_abort():
            raise
        log("aborted:", error)
        writer.abort_transaction(DEADLINE_S)
        rewind(reader)


def rewind(reader):
    """Back to what is committed."""
    for place in reader.committed(reader.assignment(), timeout=DEADLINE_S):
        place.offset = max(place.offset, 0)
        reader.seek(place)


SCENARIOS = {"exactly-once": exactly_once, "eos-kill9": eos_kill9, "worker": worker}
