"""One data directory, served in turn by two brokers: each goes on where the other one stopped."""

from confluent_kafka import TopicCollection
from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, ConfigResource, ResourcePatternType, ResourceType,
    ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion,
)

from common import DEADLINE_S, admin, consumer, create_topic, error_name, name, producer, read_all, send, take
from durability import control
from transactions import finish, read_to_end, transactional, write

# How a broker ends before the other one takes its directory. The first one is Kafka, as is every other one after it.
HOPS = ("hop", "hop-kill9", "hop-kill9", "hop")
RECORDS_A_VISIT = 50
COMMITTED_A_VISIT = 10
USER = name("alice")


def data_directory():
    visitor = Visitor()
    ids = visitor.ids()
    for number in range(len(HOPS) + 1):
        print(f"visit {number}; the ids are the same: {visitor.ids() == ids}")
        visitor.visit(number)
        if number % 2 == 0:
            print("kept for Kafka:", *visitor.kept())
        if number < len(HOPS):
            control(HOPS[number])


class Visitor:
    """Producers that outlive the brokers, and what must be in the directory."""

    def __init__(self):
        self.numbers, self.transacted = create_topic("numbers", retention_ms=777_777_777), create_topic("transacted")
        self.sent, self.failed, self.made = [], [], []
        self.idempotent = producer(enable_idempotence=True)
        self.living = transactional("living", transaction_timeout_ms=600_000)
        rule = AclBinding(
            ResourceType.TOPIC, self.numbers, ResourcePatternType.LITERAL, f"User:{USER}", "*", AclOperation.READ, AclPermissionType.ALLOW
        )
        secret = UserScramCredentialUpsertion(USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), b"secret")
        for future in [*admin().create_acls([rule]).values(), *admin().alter_user_scram_credentials([secret]).values()]:
            future.result()

    def ids(self):
        """Of the cluster, of its node, of a topic."""
        cluster = admin().describe_cluster().result()
        topic = admin().describe_topics(TopicCollection([self.numbers]))[self.numbers].result()
        return cluster.cluster_id, [node.id for node in cluster.nodes], str(topic.topic_id)

    def kept(self):
        anything = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
        )
        rules = [f"{rule.operation.name} {rule.permission_type.name}" for rule in admin().describe_acls(anything).result() if rule.name == self.numbers]
        user = admin().describe_user_scram_credentials([USER])[USER].result()
        return rules, [(info.mechanism.name, info.iterations) for info in user.scram_credential_infos]

    def visit(self, number):
        if number:
            self.end_what_was_left_open(number)
        self.write(number)
        self.read(number)
        if number < len(HOPS):
            self.open_for_the_next(number)

    def write(self, number):
        """Records of a producer whose sequence goes on, and a topic of this visit's own."""
        for value in range(number * RECORDS_A_VISIT, (number + 1) * RECORDS_A_VISIT):
            self.sent.append(value)
            self.idempotent.produce(self.numbers, str(value), on_delivery=self.delivered)
        print("without an answer:", self.idempotent.flush(DEADLINE_S), "failed:", self.failed)
        self.made.append(create_topic(f"made-{number}", 2))
        print("written to a new topic:", send(self.made[-1], [(f"k{i}", f"v{i}") for i in range(20)]))

    def delivered(self, error, _):
        if error:
            self.failed.append(error.name())

    def read(self, number):
        """Everything from the start; and what each group has not had."""
        print("every record once, in order:", [int(m.value()) for m in read_all(self.numbers)] == self.sent)
        print("in the topics of all visits:", [len(read_all(topic, 2)) for topic in self.made])
        print("committed:", [m.value().decode() for m in read_to_end(self.transacted, "read_committed")])
        retention = admin().describe_configs([ConfigResource(ConfigResource.Type.TOPIC, self.numbers)])
        print("configured:", *(future.result()["retention.ms"].value for future in retention.values()))
        for protocol in ("classic", "consumer"):
            reader = consumer(protocol, group_protocol=protocol)
            reader.subscribe([self.numbers])
            got = [m.value().decode() for m in take(reader, COMMITTED_A_VISIT)]
            print(f"the {protocol} group goes on with", got[:1], "to", got[-1:])
            reader.commit(asynchronous=False)
            reader.close()

    def open_for_the_next(self, number):
        """One transaction whose producer lives on, and one whose producer is gone."""
        self.living.begin_transaction()
        print("begun:", write(self.living, self.transacted, f"living-{number}"))
        dead = transactional("dead", transaction_timeout_ms=600_000)
        dead.begin_transaction()
        print("begun and left:", write(dead, self.transacted, f"dead-{number}"))

    def end_what_was_left_open(self, number):
        print("the living one goes on:", write(self.living, self.transacted, f"living-{number - 1}-goes-on"))
        print("it commits:", error_name(self.living.commit_transaction, DEADLINE_S))
        heir = transactional("dead")
        heir.begin_transaction()
        print("the heir begins:", write(heir, self.transacted, f"heir-{number}"))
        print("it commits:", error_name(finish, heir.commit_transaction, self.transacted))


SCENARIOS = {"data-directory": data_directory}
