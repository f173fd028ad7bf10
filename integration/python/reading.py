"""Where reading begins and how it stops: seek, reset, pause."""

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, TopicPartition

from common import DEADLINE_S, assigned, consumer, create_topic, nothing_more, send, take, values


def seek():
    topic = create_topic("seek")
    base = 1_600_000_000_000
    # Two batches of five, so that 2 and 7 lie in the middle of one.
    for first in (0, 5):
        records = [{"value": f"r{i}", "timestamp": base + i} for i in range(first, first + 5)]
        send(topic, records, linger_ms=200)
    reader = assigned(topic, (0, OFFSET_BEGINNING))
    show("beginning", take(reader, 3))
    for offset in (2, 7, 0, 9):
        reader.seek(TopicPartition(topic, 0, offset))
        show(f"offset {offset}", take(reader, 1))
    found, = reader.offsets_for_times([TopicPartition(topic, 0, base + 6)], timeout=DEADLINE_S)
    reader.seek(found)
    show("time of r6", take(reader, 4))
    reader.seek(TopicPartition(topic, 0, OFFSET_END))
    print("end:", "nothing" if nothing_more(reader) else "something")
    send(topic, values("new", 1))
    show("then", take(reader, 1))
    reader.close()
    print("watermarks:", consumer().get_watermark_offsets(TopicPartition(topic, 0), DEADLINE_S))
    for policy in ("earliest", "latest", "error"):
        reader = assigned(topic, (0, 1000), auto_offset_reset=policy)
        print(f"out of range, {policy}:")
        if policy == "latest":
            print("nothing" if nothing_more(reader) else "something")
        else:
            show("got", take(reader, 1))
        reader.close()


def show(what, messages):
    print(f"{what}:", " ".join(f"{message.offset()}={message.value().decode()}" for message in messages))


def reset():
    topic = create_topic("reset")
    send(topic, values("r", 5))
    for policy in ("earliest", "latest", "error"):
        reader = consumer(f"reset-{policy}", auto_offset_reset=policy)
        reader.subscribe([topic])
        print(f"{policy}:")
        if policy == "latest":
            print("nothing" if nothing_more(reader, 2.0) else "something")
        else:
            show("got", take(reader, 5 if policy == "earliest" else 1))
        reader.close()


def pause():
    topic = create_topic("pause", 2)
    send(topic, [{"value": f"p{partition}-{i}", "partition": partition} for i in range(5) for partition in (0, 1)])
    reader = assigned(topic, (0, 0), (1, 0))
    take(reader, 10)
    reader.pause([TopicPartition(topic, 0)])
    send(topic, [{"value": f"p{partition}-5", "partition": partition} for partition in (0, 1)])
    show("partition 0 paused", take(reader, 1))
    print("more:", not nothing_more(reader))
    reader.resume([TopicPartition(topic, 0)])
    show("resumed", take(reader, 1))
    reader.close()


SCENARIOS = {run.__name__: run for run in (seek, reset, pause)}
