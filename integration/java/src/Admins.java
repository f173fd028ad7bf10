import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** The admin API, and topics that come, grow and go while clients run. */
final class Admins {
    private static final Admin ADMIN = Kit.ADMIN;

    /** Made, grown, deleted and made again under a consumer that knows it. */
    static void topics() throws Exception {
        String topic = Kit.createTopic("topics", 1);
        try (KafkaConsumer<String, String> consumer = Kit.consumer(
            "topics", "metadata.max.age.ms", 200, "allow.auto.create.topics", false)) {
            consumer.subscribe(List.of(topic));
            Kit.send(List.of(Kit.record(topic, 0, null, "made")));
            Kit.print("made:", places(Kit.take(consumer, 1)));
            consumer.commitSync();
            Kit.print("grown:", Kit.outcome(ADMIN.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all()));
            Kit.send(List.of(Kit.record(topic, 2, null, "grown")), "metadata.max.age.ms", 200);
            Kit.print("new partition:", places(Kit.take(consumer, 1)));
            consumer.commitSync();
            Kit.print("deleted:", Kit.outcome(ADMIN.deleteTopics(List.of(topic)).all()));
            Kit.until(() -> {
                consumer.poll(Duration.ofMillis(100));
                return consumer.assignment().isEmpty();
            }, "the consumer gives its partitions back");
            Kit.until(() -> !topicNames().contains(topic), "the topic is gone");
            Kit.print("made again:", Kit.outcome(ADMIN.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).all()));
            Kit.send(List.of(Kit.record(topic, 1, null, "again")));
            Kit.print("new topic:", places(Kit.take(consumer, 1)));
        }
    }

    private static List<String> places(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(record -> record.partition() + "/" + record.offset() + "=" + record.value()).collect(Collectors.toList());
    }

    private static Set<String> topicNames() {
        try {
            return ADMIN.listTopics().names().get().stream().filter(name -> name.startsWith(Kit.name(""))).collect(Collectors.toCollection(TreeSet::new));
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    static void admin() throws Exception {
        create();
        cluster();
        configs();
        offsets();
        groups();
    }

    private static void create() throws Exception {
        List<NewTopic> topics = List.of(
            new NewTopic(Kit.name("three"), 3, (short) 1).configs(Map.of("retention.ms", "5000")),
            new NewTopic(Kit.name("defaults"), Optional.empty(), Optional.empty()),
            new NewTopic(Kit.name("assigned"), Map.of(0, List.of(1), 1, List.of(1))),
            new NewTopic(Kit.name("many-replicas"), 1, (short) 2),
            new NewTopic(Kit.name("no-partitions"), 0, (short) 1),
            new NewTopic("in valid", 1, (short) 1),
            new NewTopic(Kit.name("bad-config"), 1, (short) 1).configs(Map.of("retention.ms", "soon")));
        for (boolean only : new boolean[] {true, false}) {
            CreateTopicsResult result = ADMIN.createTopics(topics, new CreateTopicsOptions().validateOnly(only));
            for (NewTopic topic : topics) {
                String outcome = Kit.outcome(result.values().get(topic.name()));
                String details = "";
                if (outcome.equals("ok")) {
                    details = result.numPartitions(topic.name()).get() + " partitions, " + result.replicationFactor(topic.name()).get()
                        + " replicas, " + result.config(topic.name()).get().get("retention.ms").value() + " ms";
                }
                Kit.print(only ? "validate" : "create", topic.name(), outcome, details);
            }
        }
        Kit.print("again:", Kit.outcome(ADMIN.createTopics(topics.subList(0, 1)).all()));
        // The reference's answer to CreateTopics comes before its brokers know the topic.
        Kit.until(() -> topicNames().size() == 3, "the topics are listed");
        Kit.print("topics:", topicNames());
        for (int count : new int[] {5, 5, 4}) {
            Kit.print("partitions to", count, Kit.outcome(ADMIN.createPartitions(Map.of(Kit.name("three"), NewPartitions.increaseTo(count))).all()));
        }
        Kit.print("partitions of nothing:", Kit.outcome(ADMIN.createPartitions(Map.of(Kit.name("nothing"), NewPartitions.increaseTo(2))).all()));
        Kit.print("delete:", Kit.outcome(ADMIN.deleteTopics(List.of(Kit.name("assigned"))).all()));
        Kit.print("delete nothing:", Kit.outcome(ADMIN.deleteTopics(List.of(Kit.name("nothing"))).all()));
    }

    private static void cluster() throws Exception {
        DescribeClusterResult result = ADMIN.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        Kit.print("cluster:", result.controller().get().id(), result.nodes().get().size(), result.clusterId().get().length() > 0,
            new TreeSet<>(result.authorizedOperations().get()));
        Kit.until(() -> logDirs().get(0).endsWith("[0, 1, 2, 3, 4]"), "the partitions are in the log directory");
        Kit.print("log dirs:", logDirs());
    }

    /** Of each log directory, its error and which partitions of a topic it has. */
    private static List<String> logDirs() {
        List<String> texts = new ArrayList<>();
        try {
            for (LogDirDescription directory : ADMIN.describeLogDirs(List.of(1)).allDescriptions().get().get(1).values()) {
                texts.add(directory.error() + " " + directory.replicaInfos().keySet().stream()
                    .filter(place -> place.topic().equals(Kit.name("three"))).map(TopicPartition::partition).sorted().collect(Collectors.toList()));
            }
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
        return texts;
    }

    private static void configs() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, Kit.name("three"));
        Kit.print("before:", described(topic));
        alter(topic, "max.message.bytes", "5000", AlterConfigOp.OpType.SET);
        alter(topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
        alter(topic, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT);
        alter(topic, "retention.ms", null, AlterConfigOp.OpType.DELETE);
        alter(topic, "retention.ms", "soon", AlterConfigOp.OpType.SET);
        alter(topic, "no.such.config", "1", AlterConfigOp.OpType.SET);
        ConfigResource missing = new ConfigResource(ConfigResource.Type.TOPIC, Kit.name("nothing"));
        Kit.print("nothing:", Kit.outcome(ADMIN.describeConfigs(List.of(missing)).all()));
    }

    private static void alter(ConfigResource topic, String key, String value, AlterConfigOp.OpType type) throws Exception {
        Collection<AlterConfigOp> operations = List.of(new AlterConfigOp(new ConfigEntry(key, value), type));
        String before = described(topic);
        String outcome = Kit.outcome(ADMIN.incrementalAlterConfigs(Map.of(topic, operations)).all());
        Kit.print(type, key, outcome);
        if (outcome.equals("ok")) {
            // The reference answers before its brokers know of it.
            Kit.until(() -> !described(topic).equals(before), "the change is described");
            Kit.print(described(topic));
        }
    }

    private static String described(ConfigResource topic) {
        List<String> texts = new ArrayList<>();
        try {
            Config config = ADMIN.describeConfigs(List.of(topic)).all().get().get(topic);
            for (String key : List.of("retention.ms", "cleanup.policy", "max.message.bytes")) {
                ConfigEntry entry = config.get(key);
                texts.add(key + "=" + entry.value() + " " + entry.source());
            }
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
        return texts.toString();
    }

    private static void offsets() throws Exception {
        String topic = Kit.createTopic("offsets", 2);
        long base = 1_600_000_000_000L;
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            records.add(new ProducerRecord<>(topic, 0, base + (i * 7) % 10, null, "" + i));
        }
        Kit.send(records);
        TopicPartition place = new TopicPartition(topic, 0);
        for (OffsetSpec spec : List.of(OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.forTimestamp(base + 6), OffsetSpec.forTimestamp(base + 100))) {
            var found = ADMIN.listOffsets(Map.of(place, spec)).all().get().get(place);
            Kit.print(spec.getClass().getSimpleName(), found.offset(), found.timestamp(), found.leaderEpoch());
        }
        for (long offset : new long[] {4, 2, -1, 11}) {
            KafkaFuture<?> deleted = ADMIN.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(offset))).lowWatermarks().get(place);
            Kit.print("delete before", offset, Kit.outcome(deleted));
        }
        Kit.print("earliest:", ADMIN.listOffsets(Map.of(place, OffsetSpec.earliest())).all().get().get(place).offset());
    }

    private static void groups() throws Exception {
        String topic = Kit.createTopic("group-topic", 2);
        String group = Kit.name("group");
        Kit.send(Arrays.asList(Kit.record(topic, 0, null, "a"), Kit.record(topic, 1, null, "b")));
        TopicPartition zero = new TopicPartition(topic, 0);
        Map<TopicPartition, OffsetAndMetadata> change = Map.of(zero, new OffsetAndMetadata(0, "altered"));
        try (KafkaConsumer<String, String> consumer = Kit.consumer("group", "client.id", "a-client")) {
            consumer.subscribe(List.of(topic));
            Kit.take(consumer, 2);
            consumer.commitSync();
            describe(group);
            Kit.print("delete, not empty:", Kit.outcome(ADMIN.deleteConsumerGroups(List.of(group)).all()));
            Kit.print("alter, not empty:", Kit.outcome(ADMIN.alterConsumerGroupOffsets(group, change).all()));
            Kit.print("delete offsets, subscribed:", Kit.outcome(ADMIN.deleteConsumerGroupOffsets(group, Set.of(zero)).partitionResult(zero)));
        }
        describe(group);
        Kit.print("listed:", ADMIN.listConsumerGroups().all().get().stream().filter(listed -> listed.groupId().equals(group))
            .map(listed -> listed.isSimpleConsumerGroup() + " " + listed.state()).collect(Collectors.toList()));
        committed(group);
        Kit.print("alter:", Kit.outcome(ADMIN.alterConsumerGroupOffsets(group, change).all()));
        committed(group);
        Kit.print("delete offsets:", Kit.outcome(ADMIN.deleteConsumerGroupOffsets(group, Set.of(zero)).all()));
        committed(group);
        Kit.print("delete:", Kit.outcome(ADMIN.deleteConsumerGroups(List.of(group)).all()));
        Kit.print("delete nothing:", Kit.outcome(ADMIN.deleteConsumerGroups(List.of(group)).all()));
    }

    private static void describe(String group) throws Exception {
        ConsumerGroupDescription found = ADMIN.describeConsumerGroups(List.of(group)).all().get().get(group);
        Kit.print("described:", found.state(), "'" + found.partitionAssignor() + "'", found.members().stream()
            .map(member -> member.clientId() + " " + member.host() + " " + new TreeSet<>(member.assignment().topicPartitions().stream()
                .map(TopicPartition::toString).collect(Collectors.toSet()))).collect(Collectors.toList()));
    }

    private static void committed(String group) throws Exception {
        TreeMap<String, String> offsets = new TreeMap<>();
        ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
            .forEach((place, offset) -> offsets.put(place.toString(), offset.offset() + " '" + offset.metadata() + "'"));
        Kit.print("offsets:", offsets);
    }
}
