"""A disk without room, or read-only: what was acknowledged is served meanwhile, and as soon as it can be written again nothing
but time is lost."""

from common import create_topic, log, producer, read_all
from durability import control

VALUE_BYTES = 100_000
PATIENT = 10


def full_disk():
    history = History(create_topic("full", segment_bytes=1 << 20))
    trouble("full", history, lambda: control("disk", "32m"))
    trouble("full and killed", history, killed)
    # It takes no new files.
    control("disk", "read-only")
    trouble("read-only", history, lambda: control("disk", "writable"))
    control("restart")
    print("after a restart:", history.compare())


def killed():
    control("kill9")
    control("disk", "64m")
    control("start")


def trouble(name, history, mend):
    """Writes until that is refused, reads, and writes again when it is over."""
    impatient = producer(enable_idempotence=False, retries=0, linger_ms=0)
    print(f"{name}: refused with {history.write_until_refused(impatient)}")
    print(f"{name}: {history.compare()}")
    patient = producer(enable_idempotence=True, message_timeout_ms=120_000, retry_backoff_ms=50)
    for _ in range(PATIENT):
        history.send(patient)
    patient.poll(1)
    print(f"{name}: still refused with {history.write(impatient)}")
    mend()
    print(f"{name}: without an answer {patient.flush(60)}, afterwards {history.write(impatient)}")
    print(f"{name}, afterwards: {history.compare()}")


class History:
    """Numbered records in one partition: how many were sent, and which of them were acknowledged."""

    def __init__(self, topic):
        self.topic = topic
        self.sent = 0
        self.acknowledged = set()

    def send(self, client):
        """Sends the next record; the list gets the name of its error, or "none"."""
        number, outcome = self.sent, []
        self.sent += 1

        def report(error, _):
            if not error:
                self.acknowledged.add(number)
            outcome.append(error.name() if error else "none")

        client.produce(self.topic, f"{number} ".ljust(VALUE_BYTES, "."), partition=0, on_delivery=report)
        return outcome

    def write(self, client):
        outcome = self.send(client)
        client.flush(30)
        return outcome[0] if outcome else "no answer"

    def write_until_refused(self, client):
        begin = len(self.acknowledged)
        for _ in range(1000):
            outcome = self.write(client)
            if outcome != "none":
                log(f"{len(self.acknowledged) - begin} acknowledged before {outcome}")
                return outcome
        return "nothing"

    def compare(self):
        """What the log has, beside what was acknowledged."""
        stored = [int(message.value().split()[0]) for message in read_all(self.topic)]
        if stored != sorted(set(stored)):
            return f"out of order or twice: {stored}"
        lost = self.acknowledged - set(stored)
        return f"lost {sorted(lost)}" if lost else "every acknowledged record once, in order"


SCENARIOS = {"full-disk": full_disk}
