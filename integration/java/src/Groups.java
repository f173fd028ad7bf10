import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.utils.AppInfoParser;

/** Consumer groups: members that come and go, both protocols, static members, patterns, commits. */
final class Groups {
    private static final int PARTITIONS = 6;

    /** A subscription of another kind than a topic or a pattern of the client's. */
    interface Subscription {
        void make(KafkaConsumer<String, String> consumer, ConsumerRebalanceListener listener);
    }

    /** A consumer in its own thread, that commits what it has processed before it gives partitions back. */
    static final class Member implements ConsumerRebalanceListener {
        final KafkaConsumer<String, String> consumer;
        final List<String> seen;
        final Set<TopicPartition> partitions = ConcurrentHashMap.newKeySet();
        final Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
        final Thread thread = new Thread(this::run);
        volatile int rebalances;
        volatile String error;
        volatile boolean leaving;

        Member(String group, Object topics, List<String> seen, Object... configs) {
            this.consumer = Kit.consumer(group, configs);
            this.seen = seen;
            if (topics instanceof Pattern) {
                consumer.subscribe((Pattern) topics, this);
            } else if (topics instanceof Subscription) {
                ((Subscription) topics).make(consumer, this);
            } else {
                consumer.subscribe(List.of((String) topics), this);
            }
            thread.start();
        }

        private void run() {
            try {
                while (!leaving || isRebalancing()) {
                    for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                        seen.add(record.topic() + " " + record.value());
                        TopicPartition place = new TopicPartition(record.topic(), record.partition());
                        positions.put(place, new OffsetAndMetadata(record.offset() + 1));
                    }
                }
                consumer.close();
            } catch (RuntimeException failure) {
                error = Kit.errorName(failure);
                consumer.close();
            }
        }

        /** A member that leaves in the middle of a rebalance loses its partitions without being asked to give them back. */
        private boolean isRebalancing() {
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>(positions);
            offsets.keySet().retainAll(partitions);
            try {
                consumer.commitSync(offsets);
                return false;
            } catch (RebalanceInProgressException rebalancing) {
                return true;
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> added) {
            rebalances++;
            partitions.addAll(added);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> gone) {
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            for (TopicPartition place : gone) {
                if (positions.containsKey(place)) {
                    offsets.put(place, positions.remove(place));
                }
            }
            if (!offsets.isEmpty()) {
                consumer.commitSync(offsets);
            }
            partitions.removeAll(gone);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> gone) {
            partitions.removeAll(gone);
        }

        void leave() throws InterruptedException {
            leaving = true;
            thread.join(Kit.DEADLINE_MS);
            if (error != null || thread.isAlive()) {
                System.err.println("a member that left: " + (error != null ? error : "it does not end"));
            }
        }
    }

    static void groups() throws Exception {
        comeAndGo("groups", "partition.assignment.strategy", RangeAssignor.class.getName());
    }

    static void cooperative() throws Exception {
        comeAndGo("cooperative", "partition.assignment.strategy", CooperativeStickyAssignor.class.getName());
    }

    /** 1 to 5 members, up and down again, while a producer runs: each record once. */
    static void comeAndGo(String group, Object... configs) throws Exception {
        String topic = Kit.createTopic(group, PARTITIONS);
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        List<Member> members = new ArrayList<>();
        Load load = new Load(topic);
        for (int count : new int[] {1, 2, 3, 4, 5, 3, 1}) {
            while (members.size() < count) {
                members.add(new Member(group, topic, seen, configs));
            }
            while (members.size() > count) {
                members.remove(0).leave();
            }
            int before = seen.size();
            Kit.until(() -> shares(members).equals(evenShares(count)), count + " members share the partitions");
            Kit.until(() -> seen.size() > before + 50, "records go on");
            Kit.print(count, "members:", evenShares(count));
        }
        int sent = load.stop();
        Kit.until(() -> seen.size() >= sent, "all records are consumed");
        for (Member member : members) {
            member.leave();
        }
        int different = Kit.different(seen);
        Object duplicates = mayReadTwice(configs) ? "perhaps" : seen.size() - different;
        Kit.print("duplicates", duplicates, "lost", sent - different, "errors", load.failed);
    }

    /**
     * KAFKA-14639, in clients before 3.4.1: a member that missed a generation may read a partition on when the assignor has
     * given it to another one already.
     */
    private static boolean mayReadTwice(Object... configs) {
        return AppInfoParser.getVersion().startsWith("2.")
            && List.of(configs).contains(CooperativeStickyAssignor.class.getName());
    }

    static List<Integer> shares(Collection<Member> members) {
        return members.stream().map(member -> member.partitions.size()).sorted().collect(Collectors.toList());
    }

    static List<Integer> evenShares(int count) {
        List<Integer> shares = new ArrayList<>();
        for (int i = count - 1; i >= 0; i--) {
            shares.add(PARTITIONS / count + (i < PARTITIONS % count ? 1 : 0));
        }
        return shares;
    }

    /** A producer that writes until told to stop. */
    static final class Load {
        final KafkaProducer<String, String> producer = Kit.producer();
        final Thread thread;
        volatile boolean stopping;
        volatile int sent;
        volatile int failed;

        Load(String topic) {
            thread = new Thread(() -> {
                try {
                    while (!stopping) {
                        for (int i = 0; i < 5; i++) {
                            producer.send(new ProducerRecord<>(topic, sent % PARTITIONS, null, "" + sent), (metadata, error) -> {
                                if (error != null) {
                                    failed++;
                                }
                            });
                            sent++;
                        }
                        Thread.sleep(10);
                    }
                } catch (InterruptedException ended) {
                    Thread.currentThread().interrupt();
                }
            });
            thread.start();
        }

        int stop() throws InterruptedException {
            stopping = true;
            thread.join();
            producer.close();
            return sent - failed;
        }
    }

    /** A member with a group.instance.id comes back without a rebalance; a second one of that id fences it. */
    static void staticMembers() throws Exception {
        String topic = Kit.createTopic("static", 4);
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        Member first = new Member("static", topic, seen, "group.instance.id", Kit.name("instance-1"));
        Member other = new Member("static", topic, seen, "group.instance.id", Kit.name("instance-2"));
        Kit.until(() -> shares(List.of(first, other)).equals(List.of(2, 2)), "both have their share");
        Set<TopicPartition> own = new HashSet<>(first.partitions);
        int rebalances = other.rebalances;
        first.leave();
        Member back = new Member("static", topic, seen, "group.instance.id", Kit.name("instance-1"));
        Kit.until(() -> back.partitions.size() == 2, "the member is back");
        Kit.print("the same partitions:", back.partitions.equals(own));
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            records.add(Kit.record(topic, i % 4, null, "" + i));
        }
        Kit.send(records);
        Kit.until(() -> seen.size() == 40, "all is consumed");
        Kit.print("rebalances of the other:", other.rebalances - rebalances);

        Member second = new Member("static", topic, seen, "group.instance.id", Kit.name("instance-1"));
        Kit.until(() -> back.error != null, "the first of the same id is fenced");
        Kit.print("fenced:", back.error);
        Kit.until(() -> second.partitions.size() == 2, "the second has the partitions");
        ConsumerGroupDescription group = Kit.ADMIN.describeConsumerGroups(List.of(Kit.name("static"))).all().get().get(Kit.name("static"));
        Kit.print("group:", group.state(), group.members().stream().map(member -> member.groupInstanceId().get()).sorted().collect(Collectors.toList()));
        for (Member member : List.of(second, other)) {
            member.leave();
        }
    }

    static void commit() throws Exception {
        String topic = Kit.createTopic("commit", 2);
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            records.add(Kit.record(topic, i % 2, null, "" + i));
        }
        Kit.send(records);
        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);

        try (KafkaConsumer<String, String> consumer = Kit.consumer("auto", "enable.auto.commit", true, "auto.commit.interval.ms", 100)) {
            consumer.subscribe(List.of(topic));
            Kit.take(consumer, 20);
            Kit.until(() -> {
                consumer.poll(Duration.ofMillis(50));
                return committed(consumer, topic).equals("0: 10 '' 1: 10 ''");
            }, "the offsets are committed by themselves");
        }
        try (KafkaConsumer<String, String> consumer = Kit.consumer("auto")) {
            Kit.print("automatic:", committed(consumer, topic));
        }
        try (KafkaConsumer<String, String> consumer = Kit.consumer("manual")) {
            consumer.subscribe(List.of(topic));
            Kit.take(consumer, 20);
            Kit.print("before:", committed(consumer, topic));
            consumer.commitSync(Map.of(zero, new OffsetAndMetadata(3, "a note")));
            Kit.print("synchronous:", committed(consumer, topic));
            List<Object> answers = Collections.synchronizedList(new ArrayList<>());
            consumer.commitAsync(Map.of(one, new OffsetAndMetadata(7, "ä".repeat(100))), (offsets, error) -> answers.add(String.valueOf(error)));
            Kit.until(() -> {
                consumer.poll(Duration.ofMillis(50));
                return !answers.isEmpty();
            }, "the commit's answer");
            Kit.print("asynchronous:", answers, committed(consumer, topic));
            Kit.print("metadata too large:", failure(consumer, zero, new OffsetAndMetadata(5, "x".repeat(5000))));
        }
        try (KafkaConsumer<String, String> consumer = Kit.consumer("manual")) {
            consumer.subscribe(List.of(topic));
            TreeMap<Integer, Integer> count = new TreeMap<>();
            Kit.take(consumer, 10).forEach(record -> count.merge(record.partition(), 1, Integer::sum));
            Kit.print("read again:", count);
        }
    }

    private static String failure(KafkaConsumer<String, String> consumer, TopicPartition place, OffsetAndMetadata offset) {
        try {
            consumer.commitSync(Map.of(place, offset));
            return "none";
        } catch (KafkaException error) {
            return Kit.errorName(error);
        }
    }

    private static String committed(KafkaConsumer<String, String> consumer, String topic) {
        List<String> texts = new ArrayList<>();
        for (int partition = 0; partition < 2; partition++) {
            TopicPartition place = new TopicPartition(topic, partition);
            OffsetAndMetadata found = consumer.committed(Set.of(place)).get(place);
            texts.add(partition + ": " + (found == null ? "none" : found.offset() + " '" + found.metadata() + "'"));
        }
        return String.join(" ", texts);
    }

    /** A subscription by pattern; a topic made later joins it. */
    static void regex() throws Exception {
        String first = Kit.createTopic("regex-first", 1);
        String other = Kit.createTopic("unlike", 1);
        Kit.send(Kit.values(first, "early-", 3));
        Kit.send(Kit.values(other, "early-", 3));
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        Member member = new Member("regex", Pattern.compile(Kit.name("regex-") + ".*"), seen, "metadata.max.age.ms", 200);
        Kit.until(() -> seen.size() == 3, "the first topic is consumed");
        String later = Kit.createTopic("regex-later", 1);
        Kit.send(Kit.values(later, "late-", 3));
        Kit.until(() -> seen.size() == 6, "the later topic is consumed");
        member.leave();
        seen.stream().sorted().forEach(Kit::print);
    }
}
