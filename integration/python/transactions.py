"""Transactions: what they show to whom, what fences them, what ends them."""

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from common import (
    DEADLINE_S, admin, assigned, consumer, create_topic, error_name, log, name, producer, send, take, until, values
)


def transactions():
    for part in (committed_and_aborted, interleaved, with_offsets, zombies, left_open, timed_out, abortable):
        part()


def transactional(word, **config):
    """A producer with its transactional id, ready to begin."""
    made = producer(transactional_id=name(word), **config)
    made.init_transactions(DEADLINE_S)
    return made


def write(writer, topic, *texts, partition=0):
    """Begins nothing and ends nothing: records of the transaction that is open, acknowledged."""
    outcomes = []
    for text in texts:
        writer.produce(topic, text, partition=partition, on_delivery=lambda error, _: outcomes.append(error))
    flushed = error_name(writer.flush, DEADLINE_S)
    return sorted({error.name() for error in outcomes if error} | {flushed} - {"none"})


def commit(writer, topic, partitions=1):
    finish(writer.commit_transaction, topic, partitions)


def finish(call, topic, partitions=1):
    """Ends a transaction, and waits for its markers: the coordinator answers before they are written."""
    call(DEADLINE_S)
    settle(topic, partitions)


def settle(topic, partitions=1):
    levels = ("read_committed", "read_uncommitted")
    until(lambda: all(len({end(topic, p, level) for level in levels}) == 1 for p in range(partitions)), "the markers")


def seen(topic, isolation, partitions=1):
    return [f"{m.partition()}/{m.offset()} {m.value().decode()}" for m in read_to_end(topic, isolation, partitions)]


def read_to_end(topic, isolation, partitions=1):
    """What a reader of this isolation gets up to the end that it is told of."""
    return read_until(topic, partitions, isolation, {p: end(topic, p, isolation) for p in range(partitions)})


def end(topic, partition, isolation):
    """The last stable offset or the high watermark; a new topic, or a broker that starts, is asked again."""
    level = IsolationLevel.READ_COMMITTED if isolation == "read_committed" else IsolationLevel.READ_UNCOMMITTED
    place, found = TopicPartition(topic, partition), []

    def is_known():
        try:
            found.append(admin().list_offsets({place: OffsetSpec.latest()}, isolation_level=level)[place].result().offset)
        except KafkaException as error:
            # An admin client keeps the leader epochs that it once saw; a new one does not.
            log("end:", error)
            admin.cache_clear()
        return found

    until(is_known, f"the end of {topic}")
    return found[0]


def read_until(topic, partitions, isolation, ends):
    """Reads until each position is at its end: control records and aborted records count, but are not given out."""
    reader = assigned(topic, *((p, 0) for p in range(partitions)), isolation_level=isolation)
    messages = []

    def is_there():
        messages.extend(message for message in reader.consume(1000, 0.1) if not message.error())
        return all(p.offset >= ends[p.partition] or not ends[p.partition] for p in reader.position(reader.assignment()))

    until(is_there, f"the end of {topic} as {isolation}")
    reader.close()
    return sorted(messages, key=lambda m: (m.partition(), m.offset()))


def committed_and_aborted():
    topic, writer = create_topic("visible", 2), transactional("visible")
    writer.begin_transaction()
    write(writer, topic, "a0", "a1")
    write(writer, topic, "a2", partition=1)
    print("open:", seen(topic, "read_committed", 2), seen(topic, "read_uncommitted", 2))
    commit(writer, topic, 2)
    print("committed:", seen(topic, "read_committed", 2))
    writer.begin_transaction()
    write(writer, topic, "b0", "b1")
    finish(writer.abort_transaction, topic, 2)
    writer.begin_transaction()
    write(writer, topic, "c0")
    commit(writer, topic, 2)
    for isolation in ("read_committed", "read_uncommitted"):
        print(f"after an abort, {isolation}:", seen(topic, isolation, 2), [end(topic, p, isolation) for p in (0, 1)])
    writer.begin_transaction()
    writer.commit_transaction(DEADLINE_S)
    print("an empty one leaves no marker:", [end(topic, p, "read_uncommitted") for p in (0, 1)])


def interleaved():
    """What is behind an open transaction waits for its end, whoever wrote it."""
    topic, one, other = create_topic("interleaved"), transactional("one"), transactional("other")
    one.begin_transaction()
    write(one, topic, "one-0")
    send(topic, [(None, "plain-0")])
    other.begin_transaction()
    write(other, topic, "other-0")
    other.commit_transaction(DEADLINE_S)
    until(lambda: end(topic, 0, "read_uncommitted") == 4, "the marker of the other")
    print("while one is open:", seen(topic, "read_committed"), "stable up to", end(topic, 0, "read_committed"))
    write(one, topic, "one-1")
    finish(one.abort_transaction, topic)
    print("one aborted:", seen(topic, "read_committed"))
    print("all there is:", seen(topic, "read_uncommitted"))


def with_offsets():
    """Offsets in a transaction count when it is committed, and only then."""
    topic, out = create_topic("offsets-in"), create_topic("offsets-out")
    send(topic, values("i", 10))
    reader, writer = consumer("offsets"), transactional("offsets")
    reader.subscribe([topic])
    take(reader, 10)
    for offset, last in ((4, writer.commit_transaction), (8, writer.abort_transaction), (6, writer.commit_transaction)):
        writer.begin_transaction()
        write(writer, out, f"up to {offset}")
        place = TopicPartition(topic, 0, offset, f"note {offset}")
        writer.send_offsets_to_transaction([place], reader.consumer_group_metadata(), DEADLINE_S)
        before = committed(topic, "read_uncommitted")
        finish(last, out)
        print(f"offset {offset}: open {before}, after {last.__name__} {committed(topic, 'read_committed')}")
    writer.begin_transaction()
    place = TopicPartition(topic, 0, 9)
    writer.send_offsets_to_transaction([place], reader.consumer_group_metadata(), DEADLINE_S)
    strict = consumer("offsets", isolation_level="read_committed")
    print("asked for while they are pending, read_committed:", error_name(strict.committed, [TopicPartition(topic, 0)], timeout=2))
    writer.commit_transaction(DEADLINE_S)
    found = strict.committed([TopicPartition(topic, 0)], timeout=DEADLINE_S)
    print("and when they are committed:", found[0].offset, "out:", seen(out, "read_committed"))
    strict.close()
    reader.close()


def committed(topic, isolation):
    """As read_committed, the broker is asked until no transaction has offsets pending."""
    reader = consumer("offsets", isolation_level=isolation)
    found, = reader.committed([TopicPartition(topic, 0)], timeout=DEADLINE_S)
    reader.close()
    return found.offset, found.metadata


def failure(call, *arguments):
    """How a call fails: the error's name, and what the library says is to be done about it."""
    try:
        call(*arguments)
    except KafkaException as error:
        what = error.args[0]
        kinds = [kind for kind, holds in (("fatal", what.fatal()), ("abort", what.txn_requires_abort()), ("retry", what.retriable())) if holds]
        return " ".join([what.name(), *kinds])
    return "none"


def zombies():
    """A second producer of a transactional id ends the first one's transaction, and fences it."""
    topic, first = create_topic("zombies"), transactional("zombies")
    first.begin_transaction()
    print("first:", write(first, topic, "first"))
    second = transactional("zombies")
    second.begin_transaction()
    print("second:", write(second, topic, "second"))
    print("the first commits:", failure(first.commit_transaction, DEADLINE_S))
    print("the first begins again:", failure(first.begin_transaction))
    commit(second, topic)
    print("there is:", seen(topic, "read_committed"), "and was:", seen(topic, "read_uncommitted"))

    third = transactional("zombies")
    second.begin_transaction()
    print("the second is refused:", bool(write(second, topic, "late")))
    print("the second commits:", failure(second.commit_transaction, DEADLINE_S))
    third.begin_transaction()
    write(third, topic, "third")
    commit(third, topic)
    print("there is:", seen(topic, "read_committed"))


def left_open():
    """A producer that comes back ends what it left open."""
    topic, writer = create_topic("left-open"), transactional("left-open")
    writer.begin_transaction()
    write(writer, topic, "left")
    again = transactional("left-open")
    settle(topic)
    print("stable after its return:", end(topic, 0, "read_committed"), seen(topic, "read_committed"))
    again.begin_transaction()
    write(again, topic, "again")
    commit(again, topic)
    print("there is:", seen(topic, "read_committed"))


def timed_out():
    """A transaction that nobody ends is ended by the broker."""
    topic, writer = create_topic("timed-out"), transactional("timed-out", transaction_timeout_ms=1000)
    writer.begin_transaction()
    write(writer, topic, "forgotten")
    until(lambda: end(topic, 0, "read_committed") == 2, "the broker aborts the transaction")
    print("there is:", seen(topic, "read_committed"), "and was:", seen(topic, "read_uncommitted"))
    print("it commits:", failure(writer.commit_transaction, DEADLINE_S))
    again = transactional("timed-out", transaction_timeout_ms=1000)
    again.begin_transaction()
    write(again, topic, "again")
    commit(again, topic)
    print("there is:", seen(topic, "read_committed"))
    greedy = producer(transactional_id=name("greedy"), transaction_timeout_ms=900_001)
    print("a timeout that is too long:", failure(greedy.init_transactions, DEADLINE_S))


def abortable():
    """Errors after which the transaction can only be aborted, and the next one is good."""
    topic, writer = create_topic("abortable"), transactional("abortable")
    reader = consumer("abortable")
    reader.subscribe([topic])
    send(topic, values("plain-", 1))
    take(reader, 1)
    for what, place in (
        ("too much metadata", TopicPartition(topic, 0, 1, "x" * 5000)),
        ("a partition that is not there", TopicPartition(topic, 99, 1)),
    ):
        writer.begin_transaction()
        write(writer, topic, what)
        print(f"{what}:", failure(writer.send_offsets_to_transaction, [place], reader.consumer_group_metadata(), 5))
        print("then a commit:", failure(writer.commit_transaction, DEADLINE_S))
        print("then an abort:", failure(writer.abort_transaction, DEADLINE_S))
    metadata = reader.consumer_group_metadata()
    reader.close()
    writer.begin_transaction()
    print("of a member that left:", failure(writer.send_offsets_to_transaction, [TopicPartition(topic, 0, 1)], metadata, 5))
    print("then an abort:", failure(writer.abort_transaction, DEADLINE_S))
    writer.begin_transaction()
    write(writer, topic, "good")
    commit(writer, topic)
    print("there is:", seen(topic, "read_committed"))


SCENARIOS = {"transactions": transactions}
