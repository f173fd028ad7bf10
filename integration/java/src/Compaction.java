import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;

/** Compaction: what is left of a history of transactions in every codec, and a log that is compacted while it is used. */
final class Compaction {
    private static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    // The times of records decide when a segment ends, so that it ends at the same record everywhere.
    private static final long SEGMENT_MS = 600_000;

    static void compaction() throws Exception {
        alter(ConfigResource.Type.BROKER, "1", "log.cleaner.backoff.ms", "100");
        transactions();
        live();
    }

    /** A record that was sent; aborted ones are never seen. */
    private record Sent(String key, long offset, int segment, boolean aborted, boolean tombstone) {
    }

    /** A compacted topic of one partition, and all that was sent to it. */
    private static final class History {
        final String topic;
        final List<Sent> sent = new ArrayList<>();
        final long began = System.currentTimeMillis();
        int segment;

        History(String word) throws Exception {
            topic = Kit.createTopic(word, 1, "cleanup.policy", "compact", "segment.ms", String.valueOf(SEGMENT_MS),
                "min.cleanable.dirty.ratio", "1.0", "delete.retention.ms", "0", "message.timestamp.after.max.ms", "1000000000000");
        }

        /** One batch. */
        void send(KafkaProducer<String, String> producer, boolean aborted, String... keysAndValues) throws Exception {
            Map<String, Future<RecordMetadata>> answers = new LinkedHashMap<>();
            Map<String, Boolean> tombstones = new HashMap<>();
            for (int i = 0; i < keysAndValues.length; i += 2) {
                long stamp = began + segment * 2 * SEGMENT_MS + sent.size() + i / 2;
                String key = keysAndValues[i];
                String value = keysAndValues[i + 1];
                ProducerRecord<String, String> record = new ProducerRecord<>(topic, 0, stamp, key, value);
                record.headers().add("same", new byte[] {1}).add("other", null).add("same", new byte[] {2});
                answers.put(key, producer.send(record));
                tombstones.put(key, value == null);
            }
            producer.flush();
            for (Map.Entry<String, Future<RecordMetadata>> answer : answers.entrySet()) {
                sent.add(new Sent(answer.getKey(), answer.getValue().get().offset(), segment, aborted, tombstones.get(answer.getKey())));
            }
        }

        /** One record behind the time of the segment: it begins the next one, so that all before it can be compacted. */
        void roll() throws Exception {
            segment++;
            try (KafkaProducer<String, String> producer = Kit.producer()) {
                send(producer, false, "roll", "segment " + segment);
            }
        }

        /** The offsets that a whole pass leaves. */
        List<Long> expected(int withoutTombstonesBefore) {
            Map<String, Long> latest = new HashMap<>();
            sent.stream().filter(one -> one.segment < segment && !one.aborted).forEach(one -> latest.put(one.key, one.offset));
            List<Long> kept = new ArrayList<>();
            for (Sent one : sent) {
                boolean isLatest = !one.aborted && Long.valueOf(one.offset).equals(latest.get(one.key));
                boolean stays = isLatest && !(one.tombstone && one.segment < withoutTombstonesBefore);
                if (one.segment == segment || stays) {
                    kept.add(one.offset);
                }
            }
            return kept;
        }

        void await(String what, int withoutTombstonesBefore) throws Exception {
            List<Long> expected = expected(withoutTombstonesBefore);
            Kit.until(() -> {
                try {
                    return offsets(Transactions.read(topic, 1, Transactions.UNCOMMITTED)).equals(expected);
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            }, what);
            Kit.print(what + ":");
            List<ConsumerRecord<String, String>> left = Transactions.read(topic, 1, Transactions.UNCOMMITTED);
            for (ConsumerRecord<String, String> record : left) {
                StringBuilder headers = new StringBuilder();
                for (Header header : record.headers()) {
                    headers.append(' ').append(header.key()).append('=').append(header.value() == null ? "null" : header.value()[0]);
                }
                Kit.print(" ", record.offset(), record.key(), shorten(record.value()), record.timestampType(), record.timestamp() - began + headers.toString());
            }
            Kit.print("  read_committed sees the same:", offsets(Transactions.read(topic, 1, Transactions.COMMITTED)).equals(offsets(left)));
        }
    }

    private static String shorten(String value) {
        return value != null && value.length() > 60 ? value.length() + " characters of " + value.hashCode() : value;
    }

    private static List<Long> offsets(List<ConsumerRecord<String, String>> records) {
        List<Long> offsets = new ArrayList<>();
        records.forEach(record -> offsets.add(record.offset()));
        return offsets;
    }

    private static void alter(ConfigResource.Type type, String name, String key, String value) throws Exception {
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        Kit.ADMIN.incrementalAlterConfigs(Map.of(new ConfigResource(type, name), List.of(change))).all().get();
    }

    private static KafkaProducer<String, String> transactional(String word, String codec) {
        KafkaProducer<String, String> producer = Kit.producer(
            "transactional.id", Kit.name(word), "compression.type", codec, "linger.ms", 1000, "batch.size", 900_000);
        producer.initTransactions();
        return producer;
    }

    /** Transactions of two producers in each codec, every other one aborted, with a plain idempotent producer between them. */
    private static void transactions() throws Exception {
        History history = new History("history");
        KafkaProducer<String, String> plain = Kit.producer("enable.idempotence", true, "linger.ms", 1000);
        for (String codec : CODECS) {
            KafkaProducer<String, String> good = transactional("good-" + codec, codec);
            KafkaProducer<String, String> bad = transactional("bad-" + codec, codec);
            good.beginTransaction();
            bad.beginTransaction();
            history.send(good, false, "every", codec, "of-" + codec, codec.repeat(20_000), "gone", "not yet");
            history.send(bad, true, "every", "aborted " + codec, "of-" + codec, "aborted", "bad-" + codec, codec.repeat(1000));
            history.send(plain, false, "plain", codec, "plain-" + codec, null);
            history.send(good, false, "gone", null, "second-of-" + codec, codec);
            good.commitTransaction();
            bad.abortTransaction();
            settle(history.topic);
            good.close();
            bad.close();
        }
        Kit.print("before:", Transactions.read(history.topic, 1, Transactions.UNCOMMITTED).size(), "records,",
            Transactions.read(history.topic, 1, Transactions.COMMITTED).size(), "of them committed");
        history.roll();
        alter(ConfigResource.Type.TOPIC, history.topic, "min.cleanable.dirty.ratio", "0.0");
        history.await("after one pass", 0);
        // The producer of a transaction whose records are all gone goes on.
        KafkaProducer<String, String> again = transactional("good-zstd", "lz4");
        again.beginTransaction();
        history.send(again, false, "of-zstd", "again", "every", "again");
        again.commitTransaction();
        settle(history.topic);
        history.send(plain, false, "plain", "again");
        history.roll();
        history.await("after two", 1);
        again.close();
        plain.close();
    }

    /** Waits for the markers: the coordinator answers before they are written. */
    private static void settle(String topic) throws Exception {
        Kit.until(() -> Transactions.ends(topic, 1, Transactions.COMMITTED).equals(Transactions.ends(topic, 1, Transactions.UNCOMMITTED)), "the markers");
    }

    /** Written, read and compacted at once: a reader never goes back and never misses the last value of a key. */
    private static void live() throws Exception {
        String topic = Kit.createTopic("live", 1, "cleanup.policy", "compact", "segment.bytes", "1048576",
            "min.cleanable.dirty.ratio", "0.01", "delete.retention.ms", "0");
        AtomicBoolean written = new AtomicBoolean();
        Map<String, String> last = new TreeMap<>();
        List<String> problems = new ArrayList<>();
        Thread reader = new Thread(() -> {
            while (!written.get() && problems.isEmpty()) {
                readOnce(topic, problems);
            }
        });
        reader.start();
        Random random = new Random(1);
        int count = 0;
        for (int round = 0; round < 40; round++) {
            try (KafkaProducer<String, String> producer = Kit.producer("compression.type", CODECS[round % CODECS.length], "enable.idempotence", true)) {
                for (int i = 0; i < 500; i++, count++) {
                    String key = "key-" + random.nextInt(300);
                    String value = random.nextInt(20) == 0 ? null : count + " " + Long.toHexString(random.nextLong()).repeat(30);
                    producer.send(new ProducerRecord<>(topic, 0, key, value));
                    last.put(key, value == null ? "" : value);
                }
            }
        }
        written.set(true);
        reader.join();
        Kit.print("problems:", problems);
        boolean shrank = Kit.until(() -> Transactions.ends(topic, 1, Transactions.UNCOMMITTED).get(0) == 20_000L && size(topic) < 10_000, "it is compacted");
        Kit.print("written:", count, "shrank:", shrank);
        Map<String, String> left = new TreeMap<>();
        for (ConsumerRecord<String, String> record : Transactions.read(topic, 1, Transactions.UNCOMMITTED)) {
            left.put(record.key(), record.value() == null ? "" : record.value());
        }
        // A tombstone and its key may be gone altogether.
        last.values().removeIf(String::isEmpty);
        left.values().removeIf(String::isEmpty);
        Kit.print("the last values are", left.equals(last) ? "right" : "wrong");
    }

    private static int size(String topic) {
        try {
            return Transactions.read(topic, 1, Transactions.UNCOMMITTED).size();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    /** From the beginning to what was the end; offsets must rise, and the end must come. */
    private static void readOnce(String topic, List<String> problems) {
        TopicPartition place = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = Kit.consumer("unused")) {
            consumer.assign(List.of(place));
            consumer.seekToBeginning(List.of(place));
            long end = consumer.endOffsets(List.of(place)).get(place);
            long before = -1;
            long deadline = System.currentTimeMillis() + Kit.DEADLINE_MS;
            while (consumer.position(place) < end) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    if (record.offset() <= before) {
                        problems.add("offset " + record.offset() + " after " + before);
                    }
                    before = record.offset();
                }
                if (System.currentTimeMillis() > deadline) {
                    problems.add("the end did not come");
                    return;
                }
            }
        } catch (RuntimeException error) {
            problems.add(error.toString());
        }
    }
}
