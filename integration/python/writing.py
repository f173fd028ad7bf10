"""What is produced comes back: codecs, keys, headers, nulls, timestamps, batches, sizes, idempotence."""

import time

from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, OFFSET_END, TopicPartition

from common import DEADLINE_S, checksum, consumer, create_topic, read_all, send, text, values

# A batch of one record without a key takes this much beside its value, when that is of 8 KiB to 1 MiB:
# 61 bytes of header, 3 of the record's length, 8 of the record (of which 3 are the value's length).
BATCH_OVERHEAD = 72
DEFAULT_LIMIT = 1_048_588


def codecs():
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic = create_topic(codec)
        sent = send(topic, [(f"k{i}", f"{codec} {i} " * 20) for i in range(100)], compression_type=codec)
        got = read_all(topic)
        print(f"{codec}: delivered {sent}, consumed {len(got)}, {checksum(got)}")


def keys():
    topic = create_topic("keys", 6)
    send(topic, [(f"key-{i}", f"{i}") for i in range(20)])
    for message in sorted(read_all(topic, 6), key=lambda message: int(message.value())):
        print(message.key().decode(), message.partition())


def headers():
    topic = create_topic("headers")
    send(topic, [
        {"value": "duplicates", "headers": [("a", b"1"), ("b", b"2"), ("a", b"3")]},
        {"value": "null and empty", "headers": [("null", None), ("empty", b""), ("", b"no key")]},
        {"value": "binary", "headers": [("bytes", bytes(range(256)))]},
        {"value": "none"},
    ])
    for message in read_all(topic):
        print(message.value().decode(), message.headers())


def nulls():
    topic = create_topic("nulls")
    send(topic, [("key", None), (None, "value"), (None, None), ("", ""), ("key", ""), ("", "value")])
    for message in read_all(topic):
        print(message.offset(), text(message.key()), text(message.value()))


def timestamps():
    base = 1_600_000_000_000
    topic = create_topic("create-time", message_timestamp_type="CreateTime")
    for step in (0, 1000, 2000):
        send(topic, [{"value": "r", "timestamp": base + step}])
    for message in read_all(topic):
        kind, stamp = message.timestamp()
        print("create time:", kind == TIMESTAMP_CREATE_TIME, stamp)
    reader = consumer()
    for what, stamp in (
        ("before the first", base - 1), ("exactly", base + 1000), ("between", base + 1001), ("after the last", base + 2001)
    ):
        found, = reader.offsets_for_times([TopicPartition(topic, 0, stamp)], timeout=DEADLINE_S)
        print(f"offset for time {what}:", "end" if found.offset == OFFSET_END else found.offset)
    reader.close()

    topic = create_topic("append-time", message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    send(topic, [{"value": "r", "timestamp": base}, {"value": "s", "timestamp": base + 1}])
    after = int(time.time() * 1000)
    for message in read_all(topic):
        kind, stamp = message.timestamp()
        print("append time:", kind == TIMESTAMP_LOG_APPEND_TIME, "the broker's:", before <= stamp <= after)

    topic = create_topic("old", message_timestamp_before_max_ms=1000)
    print("delivered:", send(topic, [{"value": "old", "timestamp": base}]))


def batches():
    topic = create_topic("one")
    print("delivered", send(topic, values("r", 1)), "consumed", len(read_all(topic)))
    topic = create_topic("many")
    sent = send(topic, values("record ", 10_000), linger_ms=500, batch_num_messages=10_000, batch_size=1_000_000)
    got = read_all(topic)
    in_order = [message.value().decode() for message in got] == [value for _, value in values("record ", 10_000)]
    print(f"delivered {sent}, consumed {len(got)}, in order: {in_order}, {checksum(got)}")
    print("offsets without a gap:", [message.offset() for message in got] == list(range(10_000)))


def sizes():
    for topic, limit in ((create_topic("small", max_message_bytes=100_000), 100_000), (create_topic("usual"), DEFAULT_LIMIT)):
        for size in (limit - BATCH_OVERHEAD, limit - BATCH_OVERHEAD + 1):
            print(f"limit {limit}, value of {size}:")
            print("delivered:", send(topic, [(None, "x" * size)], message_max_bytes=3_000_000))
        print("stored:", [len(message.value()) for message in read_all(topic)])
    topic = create_topic("large", max_message_bytes=5_000_000)
    print("delivered:", send(topic, [(None, "x" * 3_000_000)] * 2, message_max_bytes=4_000_000))
    got = read_all(topic, fetch_message_max_bytes=1000)
    print("stored, read by a consumer of small fetches:", [len(message.value()) for message in got])


def idempotence():
    topic = create_topic("idempotence", 3)
    records = [{"key": f"{i % 3}", "value": f"{i}", "partition": i % 3} for i in range(6000)]
    sent = send(topic, records, enable_idempotence=True, batch_num_messages=50)
    got = read_all(topic, 3)
    print(f"delivered {sent}, consumed {len(got)}, duplicates {len(got) - len({message.value() for message in got})}")
    for partition in range(3):
        own = [int(message.value()) for message in got if message.partition() == partition]
        print(f"partition {partition}: in order {own == list(range(partition, 6000, 3))}")


SCENARIOS = {run.__name__: run for run in (codecs, keys, headers, nulls, timestamps, batches, sizes, idempotence)}
