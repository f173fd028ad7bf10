import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;

/** Transactions: what they show to whom, what fences them, what ends them. */
final class Transactions {
    static final String COMMITTED = "read_committed";
    static final String UNCOMMITTED = "read_uncommitted";

    static void transactions() throws Exception {
        committedAndAborted();
        interleaved();
        withOffsets();
        zombies();
        leftOpen();
        timedOut();
        abortable();
    }

    /** A producer with its transactional id, ready to begin. */
    private static KafkaProducer<String, String> transactional(String word, Object... configs) {
        List<Object> all = new ArrayList<>(List.of("transactional.id", Kit.name(word)));
        all.addAll(List.of(configs));
        KafkaProducer<String, String> producer = Kit.producer(all.toArray());
        producer.initTransactions();
        return producer;
    }

    /** Records of the transaction that is open; the outcomes. */
    private static Set<String> write(KafkaProducer<String, String> producer, String topic, int partition, String... texts) throws Exception {
        Set<String> outcomes = new TreeSet<>();
        for (String text : texts) {
            try {
                Future<?> answer = producer.send(Kit.record(topic, partition, null, text));
                producer.flush();
                outcomes.add(Kit.outcome(answer));
            } catch (RuntimeException refused) {
                outcomes.add(Kit.errorName(refused));
            }
        }
        return outcomes;
    }

    /** Ends a transaction, and waits for its markers: the coordinator answers before they are written. */
    private static void finish(Runnable end, String topic, int partitions) throws Exception {
        end.run();
        settle(topic, partitions);
    }

    private static void settle(String topic, int partitions) throws Exception {
        Kit.until(() -> ends(topic, partitions, COMMITTED).equals(ends(topic, partitions, UNCOMMITTED)), "the markers");
    }

    /** The last stable offsets, or the high watermarks. */
    static List<Long> ends(String topic, int partitions, String isolation) {
        try (KafkaConsumer<String, String> consumer = Kit.consumer("unused", "isolation.level", isolation)) {
            List<TopicPartition> places = places(topic, partitions);
            return new ArrayList<>(new TreeMap<>(byPartition(consumer.endOffsets(places))).values());
        }
    }

    private static Map<Integer, Long> byPartition(Map<TopicPartition, Long> offsets) {
        Map<Integer, Long> sorted = new TreeMap<>();
        offsets.forEach((place, offset) -> sorted.put(place.partition(), offset));
        return sorted;
    }

    static List<TopicPartition> places(String topic, int partitions) {
        List<TopicPartition> places = new ArrayList<>();
        for (int i = 0; i < partitions; i++) {
            places.add(new TopicPartition(topic, i));
        }
        return places;
    }

    /** What a reader of this isolation gets up to the end that it is told of. */
    static List<ConsumerRecord<String, String>> read(String topic, int partitions, String isolation) throws Exception {
        List<Long> ends = ends(topic, partitions, isolation);
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = Kit.consumer("unused", "isolation.level", isolation)) {
            consumer.assign(places(topic, partitions));
            consumer.seekToBeginning(consumer.assignment());
            Kit.until(() -> {
                consumer.poll(Duration.ofMillis(100)).forEach(records::add);
                return consumer.assignment().stream().allMatch(place -> consumer.position(place) >= ends.get(place.partition()));
            }, "the end of " + topic + " as " + isolation);
        }
        records.sort((a, b) -> a.partition() != b.partition() ? a.partition() - b.partition() : Long.compare(a.offset(), b.offset()));
        return records;
    }

    private static List<String> seen(String topic, int partitions, String isolation) throws Exception {
        List<String> texts = new ArrayList<>();
        for (ConsumerRecord<String, String> record : read(topic, partitions, isolation)) {
            texts.add(record.partition() + "/" + record.offset() + " " + record.value());
        }
        return texts;
    }

    private static void committedAndAborted() throws Exception {
        String topic = Kit.createTopic("visible", 2);
        try (KafkaProducer<String, String> producer = transactional("visible")) {
            producer.beginTransaction();
            write(producer, topic, 0, "a0", "a1");
            write(producer, topic, 1, "a2");
            Kit.print("open:", seen(topic, 2, COMMITTED), seen(topic, 2, UNCOMMITTED));
            finish(producer::commitTransaction, topic, 2);
            Kit.print("committed:", seen(topic, 2, COMMITTED));
            producer.beginTransaction();
            write(producer, topic, 0, "b0", "b1");
            finish(producer::abortTransaction, topic, 2);
            producer.beginTransaction();
            write(producer, topic, 0, "c0");
            finish(producer::commitTransaction, topic, 2);
            for (String isolation : List.of(COMMITTED, UNCOMMITTED)) {
                Kit.print("after an abort,", isolation + ":", seen(topic, 2, isolation), ends(topic, 2, isolation));
            }
            producer.beginTransaction();
            producer.commitTransaction();
            Kit.print("an empty one leaves no marker:", ends(topic, 2, UNCOMMITTED));
        }
    }

    /** What is behind an open transaction waits for its end, whoever wrote it. */
    private static void interleaved() throws Exception {
        String topic = Kit.createTopic("interleaved", 1);
        try (KafkaProducer<String, String> one = transactional("one"); KafkaProducer<String, String> other = transactional("other")) {
            one.beginTransaction();
            write(one, topic, 0, "one-0");
            Kit.send(List.of(Kit.record(topic, 0, null, "plain-0")));
            other.beginTransaction();
            write(other, topic, 0, "other-0");
            other.commitTransaction();
            Kit.until(() -> ends(topic, 1, UNCOMMITTED).equals(List.of(4L)), "the marker of the other");
            Kit.print("while one is open:", seen(topic, 1, COMMITTED), "stable up to", ends(topic, 1, COMMITTED));
            write(one, topic, 0, "one-1");
            finish(one::abortTransaction, topic, 1);
            Kit.print("one aborted:", seen(topic, 1, COMMITTED));
            Kit.print("all there is:", seen(topic, 1, UNCOMMITTED));
        }
    }

    /** Offsets in a transaction count when it is committed, and only then. */
    private static void withOffsets() throws Exception {
        String topic = Kit.createTopic("offsets-in", 1);
        String out = Kit.createTopic("offsets-out", 1);
        Kit.send(Kit.values(topic, "i", 10));
        TopicPartition place = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = Kit.consumer("offsets"); KafkaProducer<String, String> producer = transactional("offsets")) {
            consumer.subscribe(List.of(topic));
            Kit.take(consumer, 10);
            for (int offset : new int[] {4, 8, 6}) {
                producer.beginTransaction();
                write(producer, out, 0, "up to " + offset);
                producer.sendOffsetsToTransaction(Map.of(place, new OffsetAndMetadata(offset, "note " + offset)), consumer.groupMetadata());
                String before = committedNow(place);
                finish(offset == 8 ? producer::abortTransaction : producer::commitTransaction, out, 1);
                Kit.print("offset", offset + ": open", before, offset == 8 ? "aborted" : "committed", committed(consumer, place));
            }
            Kit.print("out:", seen(out, 1, COMMITTED));
        }
    }

    /** What is committed now, whatever is pending: a consumer would wait for that. */
    private static String committedNow(TopicPartition place) throws Exception {
        return text(Kit.ADMIN.listConsumerGroupOffsets(Kit.name("offsets")).partitionsToOffsetAndMetadata().get().get(place));
    }

    private static String committed(KafkaConsumer<String, String> consumer, TopicPartition place) {
        return text(consumer.committed(Set.of(place)).get(place));
    }

    private static String text(OffsetAndMetadata found) {
        return found == null ? "none" : found.offset() + " '" + found.metadata() + "'";
    }

    /** A second producer of a transactional id ends the first one's transaction, and fences it. */
    private static void zombies() throws Exception {
        String topic = Kit.createTopic("zombies", 1);
        KafkaProducer<String, String> first = transactional("zombies");
        first.beginTransaction();
        Kit.print("first:", write(first, topic, 0, "first"));
        KafkaProducer<String, String> second = transactional("zombies");
        second.beginTransaction();
        Kit.print("second:", write(second, topic, 0, "second"));
        Kit.print("the first commits:", Kit.failure(first::commitTransaction));
        Kit.print("the first begins again:", Kit.failure(first::beginTransaction));
        finish(second::commitTransaction, topic, 1);
        Kit.print("there is:", seen(topic, 1, COMMITTED), "and was:", seen(topic, 1, UNCOMMITTED));

        KafkaProducer<String, String> third = transactional("zombies");
        second.beginTransaction();
        Kit.print("the second writes:", write(second, topic, 0, "late"));
        Kit.print("the second commits:", Kit.failure(second::commitTransaction));
        third.beginTransaction();
        write(third, topic, 0, "third");
        finish(third::commitTransaction, topic, 1);
        Kit.print("there is:", seen(topic, 1, COMMITTED));
    }

    /** A producer that comes back ends what it left open. */
    private static void leftOpen() throws Exception {
        String topic = Kit.createTopic("left-open", 1);
        KafkaProducer<String, String> left = transactional("left-open");
        left.beginTransaction();
        write(left, topic, 0, "left");
        try (KafkaProducer<String, String> again = transactional("left-open")) {
            settle(topic, 1);
            Kit.print("stable after its return:", ends(topic, 1, COMMITTED), seen(topic, 1, COMMITTED));
            again.beginTransaction();
            write(again, topic, 0, "again");
            finish(again::commitTransaction, topic, 1);
            Kit.print("there is:", seen(topic, 1, COMMITTED));
        }
    }

    /** A transaction that nobody ends is ended by the broker. */
    private static void timedOut() throws Exception {
        String topic = Kit.createTopic("timed-out", 1);
        KafkaProducer<String, String> forgetful = transactional("timed-out", "transaction.timeout.ms", 1000);
        forgetful.beginTransaction();
        write(forgetful, topic, 0, "forgotten");
        Kit.until(() -> ends(topic, 1, COMMITTED).equals(List.of(2L)), "the broker aborts the transaction");
        Kit.print("there is:", seen(topic, 1, COMMITTED), "and was:", seen(topic, 1, UNCOMMITTED));
        Kit.print("it commits:", Kit.failure(forgetful::commitTransaction));
        try (KafkaProducer<String, String> again = transactional("timed-out", "transaction.timeout.ms", 1000)) {
            again.beginTransaction();
            write(again, topic, 0, "again");
            finish(again::commitTransaction, topic, 1);
            Kit.print("there is:", seen(topic, 1, COMMITTED));
        }
        Kit.print("a timeout that is too long:", Kit.failure(() -> transactional("greedy", "transaction.timeout.ms", 900_001)));
    }

    /** Errors after which the transaction can only be aborted, and the next one is good. */
    private static void abortable() throws Exception {
        String topic = Kit.createTopic("abortable", 1);
        Kit.send(Kit.values(topic, "plain-", 1));
        TopicPartition place = new TopicPartition(topic, 0);
        ConsumerGroupMetadata metadata;
        // To this client that error is fatal; whoever comes after it ends its transaction.
        try (KafkaConsumer<String, String> consumer = Kit.consumer("abortable"); KafkaProducer<String, String> producer = transactional("abortable")) {
            consumer.subscribe(List.of(topic));
            Kit.take(consumer, 1);
            metadata = consumer.groupMetadata();
            producer.beginTransaction();
            write(producer, topic, 0, "too much metadata");
            Map<TopicPartition, OffsetAndMetadata> large = Map.of(place, new OffsetAndMetadata(1, "x".repeat(5000)));
            Kit.print("too much metadata:", Kit.failure(() -> producer.sendOffsetsToTransaction(large, metadata)));
        }
        try (KafkaProducer<String, String> producer = transactional("abortable")) {
            producer.beginTransaction();
            Map<TopicPartition, OffsetAndMetadata> good = Map.of(place, new OffsetAndMetadata(1));
            Kit.print("of a member that left:", Kit.failure(() -> producer.sendOffsetsToTransaction(good, metadata)));
            Kit.print("then an abort:", Kit.failure(producer::abortTransaction));
            producer.beginTransaction();
            write(producer, topic, 0, "good");
            finish(producer::commitTransaction, topic, 1);
            Kit.print("there is:", seen(topic, 1, COMMITTED));
        }
    }
}
