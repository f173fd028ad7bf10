import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ShareGroupDescription;
import org.apache.kafka.clients.admin.SharePartitionOffsetInfo;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Share groups (KIP-932): records are given to members one by one, and taken back. */
public final class Share {
    private static final Duration SOON = Duration.ofMillis(200);

    public static void share() throws Exception {
        implicit();
        explicit();
        deliveries();
        together();
        leaving();
        committedOnly();
        limits();
        beginnings();
    }

    static void configure(String group, String... settings) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        for (int i = 0; i < settings.length; i += 2) {
            changes.add(new AlterConfigOp(new ConfigEntry(settings[i], settings[i + 1]), AlterConfigOp.OpType.SET));
        }
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, Kit.name(group));
        Kit.ADMIN.incrementalAlterConfigs(Map.of(resource, changes)).all().get();
    }

    /** A member of a group that begins at the start. */
    static KafkaShareConsumer<String, String> member(String group, String topic, Object... configs) {
        Map<String, Object> settings = new HashMap<>(Map.of(
            "bootstrap.servers", System.getenv("BOOTSTRAP"), "group.id", Kit.name(group), "fetch.max.wait.ms", 100,
            "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class));
        for (int i = 0; i < configs.length; i += 2) {
            settings.put((String) configs[i], configs[i + 1]);
        }
        KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(settings);
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    private static KafkaShareConsumer<String, String> explicitMember(String group, String topic, Object... configs) {
        List<Object> all = new ArrayList<>(List.of("share.acknowledgement.mode", "explicit"));
        all.addAll(Arrays.asList(configs));
        return member(group, topic, all.toArray());
    }

    /** The records of the first poll that brings any. */
    static List<ConsumerRecord<String, String>> next(KafkaShareConsumer<String, String> consumer) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long deadline = System.currentTimeMillis() + Kit.DEADLINE_MS;
        while (records.isEmpty() && System.currentTimeMillis() < deadline) {
            consumer.poll(SOON).forEach(records::add);
        }
        return records;
    }

    /** VALUE x DELIVERIES, in order. */
    static String shown(Collection<ConsumerRecord<String, String>> records) {
        return records.stream().map(record -> record.value() + "x" + record.deliveryCount().orElse((short) 0)).collect(Collectors.joining(" "));
    }

    static String committed(Map<TopicIdPartition, java.util.Optional<KafkaException>> results) {
        return new TreeSet<>(results.values().stream().map(error -> error.map(Kit::errorName).orElse("ok")).toList()).toString();
    }

    /** What the group has done with a partition, as its coordinator knows it. */
    private static String offset(String group, String topic) throws Exception {
        TopicPartition place = new TopicPartition(topic, 0);
        Map<String, ListShareGroupOffsetsSpec> wanted = Map.of(Kit.name(group), new ListShareGroupOffsetsSpec());
        SharePartitionOffsetInfo info = Kit.ADMIN.listShareGroupOffsets(wanted).partitionsToOffsetInfo(Kit.name(group)).get().get(place);
        return info == null ? "none" : "lag " + info.lag().map(String::valueOf).orElse("unknown");
    }

    private static String describe(String group) throws Exception {
        ShareGroupDescription found = Kit.ADMIN.describeShareGroups(List.of(Kit.name(group))).all().get().get(Kit.name(group));
        return found.groupState() + " members " + found.members().size();
    }

    private static boolean is(String group, String description) {
        try {
            return describe(group).equals(description);
        } catch (Exception error) {
            return false;
        }
    }

    /** What is polled is accepted by the next poll. */
    private static void implicit() throws Exception {
        String topic = Kit.createTopic("implicit", 2);
        configure("implicit", "share.auto.offset.reset", "earliest");
        Kit.send(Kit.values(topic, "v", 200));
        List<String> seen = new ArrayList<>();
        try (KafkaShareConsumer<String, String> consumer = member("implicit", topic)) {
            long deadline = System.currentTimeMillis() + Kit.DEADLINE_MS;
            while (seen.size() < 200 && System.currentTimeMillis() < deadline) {
                consumer.poll(SOON).forEach(record -> seen.add(record.value()));
            }
            // Nothing follows that would accept the last ones.
            Kit.print("implicit:", committed(consumer.commitSync()), describe("implicit"));
        }
        Kit.print("implicit:", Kit.different(seen), "records, duplicates", Kit.duplicates(seen));
        try (KafkaShareConsumer<String, String> consumer = member("implicit", topic)) {
            Kit.send(Kit.values(topic, "w", 3));
            Set<String> later = new TreeSet<>();
            Kit.until(() -> {
                consumer.poll(SOON).forEach(record -> later.add(record.value()));
                return later.size() >= 3;
            }, "the later records come");
            consumer.commitSync();
            Kit.print("afterwards:", later);
        }
        Kit.until(() -> is("implicit", "Empty members 0"), "the group is empty");
    }

    /** Accept, release and reject, record by record. */
    private static void explicit() throws Exception {
        String topic = Kit.createTopic("explicit", 1);
        configure("explicit", "share.auto.offset.reset", "earliest");
        Kit.send(Kit.values(topic, "v", 10));
        Map<String, String> errors = new TreeMap<>();
        try (KafkaShareConsumer<String, String> consumer = explicitMember("explicit", topic)) {
            consumer.setAcknowledgementCommitCallback((offsets, error) -> errors.put("callback", error == null ? "ok" : Kit.errorName(error)));
            List<ConsumerRecord<String, String>> first = next(consumer);
            Kit.print("explicit:", shown(first));
            Kit.print("poll before all is acknowledged:", Kit.failure(() -> consumer.poll(SOON)));
            for (ConsumerRecord<String, String> record : first) {
                consumer.acknowledge(record, List.of(AcknowledgeType.ACCEPT, AcknowledgeType.RELEASE, AcknowledgeType.REJECT).get((int) record.offset() % 3));
            }
            Kit.print("committed:", committed(consumer.commitSync()));
            List<ConsumerRecord<String, String>> second = next(consumer);
            Kit.print("released:", shown(second));
            second.forEach(record -> consumer.acknowledge(record, AcknowledgeType.ACCEPT));
            Kit.print("committed:", committed(consumer.commitSync()), errors);
            Kit.print("not acquired:", Kit.failure(() -> consumer.acknowledge(first.get(0), AcknowledgeType.ACCEPT)));
            Kit.print("lock:", consumer.acquisitionLockTimeoutMs().orElse(-1));
        }
        Kit.print("explicit:", offset("explicit", topic));
    }

    /** A record that is released again and again is given up; towards its end it comes in smaller company. */
    private static void deliveries() throws Exception {
        String topic = Kit.createTopic("deliveries", 1);
        configure("deliveries", "share.auto.offset.reset", "earliest");
        Kit.send(Kit.values(topic, "v", 4));
        Map<String, Integer> deliveries = new TreeMap<>();
        try (KafkaShareConsumer<String, String> consumer = explicitMember("deliveries", topic)) {
            long deadline = System.currentTimeMillis() + Kit.DEADLINE_MS;
            while (deliveries.values().stream().mapToInt(count -> count).sum() < 20 && System.currentTimeMillis() < deadline) {
                List<ConsumerRecord<String, String>> records = next(consumer);
                if (records.stream().anyMatch(record -> record.deliveryCount().orElse((short) 0) > 3)) {
                    Kit.print("few at a time:", shown(records));
                }
                records.forEach(record -> {
                    deliveries.merge(record.value(), 1, Integer::sum);
                    consumer.acknowledge(record, AcknowledgeType.RELEASE);
                });
                consumer.commitSync();
            }
            Kit.print("delivered:", deliveries);
            Kit.send(Kit.values(topic, "w", 1));
            List<ConsumerRecord<String, String>> last = next(consumer);
            Kit.print("then:", shown(last));
            last.forEach(record -> consumer.acknowledge(record, AcknowledgeType.ACCEPT));
        }
    }

    /** Several members of one group share one partition: each record goes to one of them. */
    private static void together() throws Exception {
        String topic = Kit.createTopic("together", 1);
        configure("together", "share.auto.offset.reset", "earliest");
        List<String> seen = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Thread thread = new Thread(() -> {
                try (KafkaShareConsumer<String, String> consumer = member("together", topic, "max.poll.records", 20)) {
                    long deadline = System.currentTimeMillis() + Kit.DEADLINE_MS;
                    while (System.currentTimeMillis() < deadline) {
                        List<ConsumerRecord<String, String>> records = new ArrayList<>();
                        consumer.poll(SOON).forEach(records::add);
                        synchronized (seen) {
                            records.forEach(record -> seen.add(record.value()));
                            if (seen.size() >= 1000) {
                                break;
                            }
                        }
                    }
                    consumer.commitSync();
                }
            });
            thread.start();
            threads.add(thread);
        }
        for (int i = 0; i < 10; i++) {
            Kit.send(Kit.values(topic, "v" + i + "-", 100));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        Kit.print("together:", Kit.different(seen), "records, duplicates", Kit.duplicates(seen));
    }

    /** Who closes without a word gives its records back. */
    private static void leaving() throws Exception {
        String topic = Kit.createTopic("leaving", 1);
        configure("leaving", "share.auto.offset.reset", "earliest");
        Kit.send(Kit.values(topic, "v", 5));
        KafkaShareConsumer<String, String> first = explicitMember("leaving", topic);
        List<ConsumerRecord<String, String>> records = next(first);
        first.acknowledge(records.get(0), AcknowledgeType.ACCEPT);
        first.close();
        try (KafkaShareConsumer<String, String> second = explicitMember("leaving", topic)) {
            List<ConsumerRecord<String, String>> left = next(second);
            Kit.print("left behind:", shown(left));
            left.forEach(record -> second.acknowledge(record, AcknowledgeType.ACCEPT));
        }
    }

    /** Records of aborted transactions are for groups that read all. */
    private static void committedOnly() throws Exception {
        String topic = Kit.createTopic("committed", 1);
        configure("committed", "share.auto.offset.reset", "earliest", "share.isolation.level", "read_committed");
        configure("uncommitted", "share.auto.offset.reset", "earliest");
        try (KafkaProducer<String, String> producer = Kit.producer("transactional.id", Kit.name("share"))) {
            producer.initTransactions();
            for (String outcome : List.of("kept", "lost", "kept-too")) {
                producer.beginTransaction();
                Kit.values(topic, outcome, 3).forEach(producer::send);
                producer.flush();
                if (outcome.equals("lost")) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
        for (String group : List.of("committed", "uncommitted")) {
            Set<String> seen = new TreeSet<>();
            try (KafkaShareConsumer<String, String> consumer = member(group, topic)) {
                Kit.until(() -> {
                    consumer.poll(SOON).forEach(record -> seen.add(record.value()));
                    return seen.contains("kept-too2");
                }, "the last record comes");
                consumer.commitSync();
            }
            Kit.print(group + ":", seen);
        }
    }

    /** No more than asked for, where the member wants it so. */
    private static void limits() throws Exception {
        String topic = Kit.createTopic("limits", 1);
        configure("limits", "share.auto.offset.reset", "earliest");
        Kit.send(Kit.values(topic, "v", 20), "linger.ms", 1000);
        try (KafkaShareConsumer<String, String> consumer = explicitMember("limits", topic, "share.acquire.mode", "record_limit", "max.poll.records", 7)) {
            for (int polls = 0; polls < 3; polls++) {
                List<ConsumerRecord<String, String>> records = next(consumer);
                Kit.print("limited:", shown(records));
                records.forEach(record -> consumer.acknowledge(record, AcknowledgeType.ACCEPT));
                consumer.commitSync();
            }
        }
    }

    /** Where a group begins: at the end, unless it says otherwise. */
    private static void beginnings() throws Exception {
        String topic = Kit.createTopic("beginnings", 1);
        Kit.send(Kit.values(topic, "old", 3));
        configure("by-duration", "share.auto.offset.reset", "by_duration:PT1H");
        for (String group : List.of("at-the-end", "by-duration")) {
            Set<String> seen = new TreeSet<>();
            try (KafkaShareConsumer<String, String> consumer = member(group, topic)) {
                consumer.poll(SOON);
                Kit.until(() -> is(group, "Stable members 1"), "the group has begun");
                // Its place is chosen by its first fetch.
                for (int polls = 0; polls < 10; polls++) {
                    consumer.poll(SOON).forEach(record -> seen.add(record.value()));
                }
                Kit.send(Kit.values(topic, "new-" + group, 1));
                Kit.until(() -> {
                    consumer.poll(SOON).forEach(record -> seen.add(record.value()));
                    return seen.contains("new-" + group + "0");
                }, "the new record comes");
            }
            Kit.print(group + ":", seen);
        }
    }

    /** Locks that end in time, and locks that are renewed. */
    public static void locks() throws Exception {
        String topic = Kit.createTopic("locks", 1);
        configure("locks", "share.auto.offset.reset", "earliest", "share.record.lock.duration.ms", "15000");
        Kit.send(Kit.values(topic, "v", 4));
        Object[] two = {"share.acquire.mode", "record_limit", "max.poll.records", 2};
        try (KafkaShareConsumer<String, String> renewing = explicitMember("locks", topic, two);
             KafkaShareConsumer<String, String> slow = explicitMember("locks", topic, two);
             KafkaShareConsumer<String, String> other = explicitMember("locks", topic)) {
            List<ConsumerRecord<String, String>> kept = next(renewing);
            List<ConsumerRecord<String, String>> held = next(slow);
            Kit.print("held:", shown(kept), "and", shown(held), "for", slow.acquisitionLockTimeoutMs().orElse(-1));
            long begin = System.currentTimeMillis();
            List<ConsumerRecord<String, String>> taken = new ArrayList<>();
            boolean isRenewed = false;
            while (taken.size() < 2 && System.currentTimeMillis() < begin + Kit.DEADLINE_MS) {
                other.poll(SOON).forEach(record -> {
                    taken.add(record);
                    other.acknowledge(record, AcknowledgeType.ACCEPT);
                });
                if (!isRenewed && System.currentTimeMillis() > begin + 8000) {
                    kept.forEach(record -> renewing.acknowledge(record, AcknowledgeType.RENEW));
                    Kit.print("renewed:", committed(renewing.commitSync()));
                    kept = next(renewing);
                    isRenewed = true;
                }
            }
            Kit.print("taken over:", shown(taken), "in time", System.currentTimeMillis() - begin < 22_000);
            Kit.print("by the other:", committed(other.commitSync()));
            held.forEach(record -> slow.acknowledge(record, AcknowledgeType.ACCEPT));
            Kit.print("by the second, too late:", committed(slow.commitSync()));
            Kit.print("still held:", shown(kept));
            kept.forEach(record -> renewing.acknowledge(record, AcknowledgeType.ACCEPT));
            Kit.print("by the first, in time:", committed(renewing.commitSync()));
        }
    }
}
