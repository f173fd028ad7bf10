"""What the soak does to a broker. A load runs until `stop` is set and returns what it counted; it raises `Wrong` when
something that was acknowledged and may not have gone yet is lost or changed.
"""

import random
import threading
import time
import zlib

from confluent_kafka import KafkaException, TopicPartition

from common import admin, consumer, create_topic, name, producer

SMALL_SEGMENTS = {"segment.bytes": 1 << 20}
FILLER = random.Random(7).randbytes(1 << 17)
# How long an answer may take on a machine that is busy with other things.
PATIENCE_S = 90


class Wrong(Exception):
    """The broker broke a promise."""


def value(key, sequence, size):
    """Carries what it should be: key, sequence number, checksum."""
    head, begin = f"{key}|{sequence}|".encode(), sequence * 7919 % (1 << 16)
    body = FILLER[begin:begin + size]
    return head + f"{zlib.crc32(head + body):08x}|".encode() + body


def sequence_of(key, data, where):
    """The sequence number of a value that was written with this key."""
    found, sequence, crc, body = data.split(b"|", 3)
    head = b"%b|%b|" % (found, sequence)
    if found.decode() != key or int(crc, 16) != zlib.crc32(head + body):
        raise Wrong(f"{where} holds another value than was written: {data[:60]!r}")
    return int(sequence)


class Writer:
    """An idempotent producer whose every failure is one of the broker."""

    def __init__(self, **config):
        self.producer = producer(enable_idempotence=True, delivery_timeout_ms=PATIENCE_S * 1000, **config)
        self.sent, self.error = 0, None

    def send(self, topic, key, data, partition=-1):
        while True:
            try:
                self.producer.produce(topic, key=key, value=data, partition=partition, on_delivery=self.delivered)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.sent += 1
        self.poll()

    def delivered(self, error, _):
        self.error = self.error or error

    def poll(self):
        self.producer.poll(0)
        if self.error:
            raise Wrong(f"produce failed: {self.error}")

    def flush(self):
        if self.producer.flush(PATIENCE_S):
            raise Wrong("records are not acknowledged")
        self.poll()


class Pace:
    """So many steps a second, less when the machine cannot."""

    def __init__(self, per_second):
        self.per_second, self.begin, self.done = per_second, time.monotonic(), 0

    def due(self):
        due = int((time.monotonic() - self.begin) * self.per_second) - self.done
        self.done += due
        return min(due, self.per_second)


class Every:
    def __init__(self, seconds):
        self.seconds, self.next = seconds, time.monotonic() + seconds

    def is_due(self):
        if time.monotonic() < self.next:
            return False
        self.next = time.monotonic() + self.seconds
        return True


def checked(message):
    if message.error():
        raise Wrong(f"{message.topic()}-{message.partition()}: {message.error()}")
    return message


def where(message):
    return f"{message.topic()}-{message.partition()} offset {message.offset()}"


def read_all(topic, partition, **config):
    """All messages from the start of the log to where it ends now, and the offset at which it began."""
    reader = consumer("whole", **config)
    try:
        low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_S)
        reader.assign([TopicPartition(topic, partition, low)])
        messages, deadline = [], time.monotonic() + PATIENCE_S
        while low < high and position(reader, topic, partition) < high:
            messages += [checked(message) for message in reader.consume(5000, timeout=0.2)]
            if time.monotonic() > deadline:
                raise Wrong(f"{topic}-{partition} cannot be read from {low} to {high}: {position(reader, topic, partition)}")
        return low, [message for message in messages if message.offset() < high]
    finally:
        reader.close()


def position(reader, topic, partition):
    return reader.position([TopicPartition(topic, partition)])[0].offset


def retained(stop, word, size, per_second, retention_ms=None, retention_bytes=None):
    """A topic whose old segments go: what is read is whole and in order, and only what may go has gone. There is one
    record at each offset, so that offset and sequence number are the same."""
    partitions = 3
    config = {"retention.ms": retention_ms or -1, "retention.bytes": retention_bytes or -1, **SMALL_SEGMENTS}
    topic = create_topic(word, partitions, **config)
    writer, tail, pace, looks = Writer(), consumer(word), Pace(per_second), Every(15)
    tail.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    written, read, whole = [0] * partitions, [0] * partitions, 0

    def check(message):
        if sequence_of(message.key().decode(), message.value(), where(message)) != message.offset():
            raise Wrong(f"{where(message)} holds what was written elsewhere")

    while not stop.is_set():
        for _ in range(pace.due()):
            partition = writer.sent % partitions
            key = f"p{partition}"
            writer.send(topic, key, value(key, written[partition], size), partition)
            written[partition] += 1
        for message in tail.consume(2000, timeout=0.1):
            check(checked(message))
            if message.offset() != read[message.partition()]:
                raise Wrong(f"{where(message)} comes after {read[message.partition()] - 1}")
            read[message.partition()] += 1
        writer.poll()
        if looks.is_due():
            writer.flush()
            partition, now_ms = random.randrange(partitions), time.time() * 1000
            low, messages = read_all(topic, partition)
            whole += 1
            for message in messages:
                check(message)
            offsets = [message.offset() for message in messages]
            if offsets and offsets != list(range(offsets[0], offsets[0] + len(offsets))):
                raise Wrong(f"{topic}-{partition} has gaps")
            if low > 0 and not may_have_gone(messages, now_ms, retention_ms, retention_bytes):
                raise Wrong(f"{topic}-{partition} begins at {low}, too early: {len(messages)} records are left")
    tail.close()
    writer.flush()
    return {"written": writer.sent, "read": sum(read), "read from the start": whole}


def may_have_gone(left, now_ms, retention_ms, retention_bytes):
    """Whether what is left allows that something is gone."""
    if retention_bytes is not None:
        # Batches are a little larger than their values.
        return sum(len(message.value()) for message in left) * 1.2 > retention_bytes
    # What has gone was older than the first that is left, by no more than the pause between two records.
    return bool(left) and now_ms - left[0].timestamp()[1] > retention_ms - 5000


def compacted(stop, word, keys, per_second, **config):
    """A compacted topic: each key's last value is there, whatever goes."""
    topic = create_topic(word, 2, **SMALL_SEGMENTS, **config)
    retention_ms = config.get("retention_ms")
    writer, pace, looks, dice = Writer(), Pace(per_second), Every(20), random.Random(word)
    last = [{}, {}]  # by partition: key to sequence, whether it lives, and when it was written
    looked, sizes = 0, []

    def look():
        for partition in range(2):
            low, messages = read_all(topic, partition)
            sizes.append(len(messages))
            found = {}
            for message in messages:
                key = message.key().decode()
                sequence = sequence_of(key, message.value(), where(message)) if message.value() else None
                before = found.get(key)
                if before is not None and sequence is not None and sequence <= before:
                    raise Wrong(f"{where(message)} is older than what comes before it")
                found[key] = sequence
            for key, (sequence, lives, at) in last[partition].items():
                expired = retention_ms is not None and (time.time() - at) * 1000 > retention_ms - 5000
                expected = sequence if lives else None
                if found.get(key) != expected and not (expired and key not in found):
                    raise Wrong(f"{topic}-{partition}: {key} is {found.get(key)}, not {expected}; the log begins at {low}")

    while not stop.is_set():
        for _ in range(pace.due()):
            # A few keys change often, many rarely.
            key, lives = f"k{int(keys * dice.random() ** 2)}", dice.random() > 0.05
            partition = zlib.crc32(key.encode()) % 2
            sequence = writer.sent
            writer.send(topic, key, value(key, sequence, dice.randrange(600)) if lives else None, partition)
            last[partition][key] = (sequence, lives, time.time())
        writer.poll()
        time.sleep(0.02)
        if looks.is_due():
            writer.flush()
            look()
            looked += 1
    writer.flush()
    look()
    return {"written": writer.sent, "looked": looked + 1, "largest": max(sizes), "at the end": sum(sizes[-2:])}


def transactions(stop):
    """Transactions of 20 records, a quarter of them aborted: readers see each committed record once, in order, and no
    other. The reader's group lives on while its members do not."""
    topic = create_topic("transactions", 2, **{"retention.ms": 90_000}, **SMALL_SEGMENTS)
    writer = producer(transactional_id=name("writer"), transaction_timeout_ms=60_000)
    writer.init_transactions(PATIENCE_S)
    pace, members, dice = Pace(10), Every(20), random.Random(3)
    committed, read, done = [0, 0], [0, 0], {True: 0, False: 0}
    reader = committed_reader(topic)
    while not stop.is_set():
        for _ in range(pace.due()):
            commits = dice.random() > 0.25
            writer.begin_transaction()
            for n in range(20):
                partition = n % 2
                key = "committed" if commits else "aborted"
                data = value(key, committed[partition] + n // 2, dice.randrange(400))
                writer.produce(topic, key=key, value=data, partition=partition)
            if commits:
                writer.commit_transaction(PATIENCE_S)
                committed = [count + 10 for count in committed]
            else:
                writer.flush(PATIENCE_S)
                writer.abort_transaction(PATIENCE_S)
            done[commits] += 1
        read_committed(reader, read)
        if members.is_due():
            reader.commit(asynchronous=False)
            reader.close()
            reader = committed_reader(topic)
    deadline = time.monotonic() + PATIENCE_S
    while read != committed:
        read_committed(reader, read)
        if time.monotonic() > deadline:
            raise Wrong(f"{topic}: {committed} were committed, {read} are read")
    reader.close()
    return {"committed": done[True], "aborted": done[False], "read": sum(read)}


def committed_reader(topic):
    reader = consumer("committed", isolation_level="read_committed", auto_offset_reset="earliest")
    reader.subscribe([topic])
    return reader


def read_committed(reader, read):
    for message in reader.consume(2000, timeout=0.1):
        checked(message)
        key, partition = message.key().decode(), message.partition()
        sequence = sequence_of(key, message.value(), where(message))
        if key != "committed" or sequence != read[partition]:
            raise Wrong(f"{where(message)} is {key} {sequence}, not committed {read[partition]}")
        read[partition] += 1


def members(stop, protocol):
    """A group whose members come and go: among them they read everything, in order."""
    partitions = 6
    topic = create_topic(f"members-{protocol}", partitions, **{"retention.ms": 300_000}, **SMALL_SEGMENTS)
    lock, read, repeated, faults = threading.Lock(), [0] * partitions, [0], []

    def member(seed):
        dice = random.Random(seed)
        while not stop.is_set() and not faults:
            config = {"group_protocol": protocol} if protocol == "consumer" else {}
            with_group = consumer(f"group-{protocol}", **config)
            with_group.subscribe([topic])
            leaves = time.monotonic() + dice.uniform(8, 30)
            try:
                while time.monotonic() < leaves and not stop.is_set():
                    for message in with_group.consume(500, timeout=0.2):
                        take(checked(message))
                    commit(with_group)
                with_group.close()
            except Wrong as wrong:
                faults.append(wrong)

    def take(message):
        sequence_of(message.key().decode(), message.value(), where(message))
        with lock:
            expected = read[message.partition()]
            if message.offset() > expected:
                raise Wrong(f"{where(message)} comes when {expected} was not read yet")
            if message.offset() == expected:
                read[message.partition()] += 1
            else:
                repeated[0] += 1

    threads = [threading.Thread(target=member, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    writer, pace, written = Writer(), Pace(200), [0] * partitions
    while not stop.is_set() and not faults:
        for _ in range(pace.due()):
            partition = writer.sent % partitions
            writer.send(topic, f"p{partition}", value(f"p{partition}", written[partition], 150), partition)
            written[partition] += 1
        writer.poll()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    if sum(written) - sum(read) > 200 * PATIENCE_S:
        raise Wrong(f"{topic}: the group has read {sum(read)} of {sum(written)}")
    return {"written": sum(written), "read": sum(read), "read again": repeated[0]}


def commit(member):
    try:
        member.commit(asynchronous=False)
    except KafkaException:
        pass  # nothing to commit, or a rebalance: whoever is next reads it again


def churn(stop):
    """Topics that are made, filled, read and deleted, again and again by the same names."""
    rounds = 0
    while not stop.is_set():
        word = f"churn-{rounds % 3}"
        topic = create_topic(word, 3, **SMALL_SEGMENTS)
        writer = Writer()
        for n in range(300):
            writer.send(topic, f"r{rounds}", value(f"r{rounds}", n, 1000), n % 3)
        writer.flush()
        low, messages = read_all(topic, 1)
        found = [sequence_of(f"r{rounds}", message.value(), where(message)) for message in messages]
        if low != 0 or found != list(range(1, 300, 3)):
            raise Wrong(f"{topic}-1 of round {rounds} begins at {low} and holds {len(found)} records")
        admin().delete_topics([topic], operation_timeout=PATIENCE_S)[topic].result()
        rounds += 1
        stop.wait(1)
    return {"topics": rounds}


def trimmed(stop):
    """DeleteRecords: the log begins where it was told to, and keeps the rest."""
    topic = create_topic("trimmed", 1, **{"retention.ms": -1}, **SMALL_SEGMENTS)
    writer, pace, cuts = Writer(), Pace(300), Every(5)
    start = 0
    while not stop.is_set():
        for _ in range(pace.due()):
            writer.send(topic, "trimmed", value("trimmed", writer.sent, 900), 0)
        time.sleep(0.05)
        if cuts.is_due():
            writer.flush()
            start = max(start, writer.sent - 1000)
            deleted = admin().delete_records([TopicPartition(topic, 0, start)])
            for answer in deleted.values():
                if answer.result().low_watermark != start:
                    raise Wrong(f"{topic} begins at {answer.result().low_watermark}, not {start}")
            low, messages = read_all(topic, 0)
            found = [sequence_of("trimmed", message.value(), where(message)) for message in messages]
            if low != start or found != list(range(start, start + len(found))) or len(found) < writer.sent - start:
                raise Wrong(f"{topic} holds {len(found)} records from {low}, not those from {start} on")
    return {"written": writer.sent, "deleted": start}


LOADS = {
    "by-size": lambda stop: retained(stop, "by-size", 1000, 400, retention_bytes=4 << 20),
    "by-time": lambda stop: retained(stop, "by-time", 3000, 150, retention_ms=60_000),
    "compacted": lambda stop: compacted(
        stop, "compacted", 2000, 250, cleanup_policy="compact", min_cleanable_dirty_ratio=0.2,
        delete_retention_ms=10_000, max_compaction_lag_ms=60_000,
    ),
    "compacted-and-deleted": lambda stop: compacted(
        stop, "both", 5000, 100, cleanup_policy="compact,delete", min_cleanable_dirty_ratio=0.2, retention_ms=60_000,
        delete_retention_ms=10_000, segment_ms=20_000,
    ),
    "transactions": transactions,
    "members-classic": lambda stop: members(stop, "classic"),
    "members-consumer": lambda stop: members(stop, "consumer"),
    "churn": churn,
    "trimmed": trimmed,
}
