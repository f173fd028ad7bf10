// Writes the histories of `compacted/`, against a broker whose log directory it may read:
//
//     java -cp 'kafka-clients.jar:...' Compacted.java 127.0.0.1:9092 /path/to/log/dir /path/to/compacted
//
// The broker has log.cleaner.backoff.ms=200. For each topic it notes the files before and after each of two passes of the
// broker's cleaner.

import java.nio.file.*;
import java.util.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.StringSerializer;

public class Compacted {
    static String broker;
    static Path logs, out;
    static Admin admin;

    public static void main(String[] args) throws Exception {
        broker = args[0];
        logs = Path.of(args[1]);
        out = Path.of(args[2]);
        admin = Admin.create(Map.of("bootstrap.servers", broker));
        make("plain", List.of("none"));
        make("codecs", List.of("gzip", "snappy", "lz4", "zstd", "none"));
    }

    static void make(String topic, List<String> codecs) throws Exception {
        Map<String, String> configs = new HashMap<>(Map.of("cleanup.policy", "compact", "internal.segment.bytes", "3000",
                "index.interval.bytes", "400", "segment.ms", "1000000000000", "min.compaction.lag.ms", "1000000000000", "min.cleanable.dirty.ratio", "0.001",
                "delete.retention.ms", "4000"));
        configs.put("segment.index.bytes", "1200");
        configs.put("file.delete.delay.ms", "0");
        admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1).configs(configs))).all().get();
        round(topic, codecs, 1);
        copy(topic, "1-before");
        long end = clean(topic, -1);
        copy(topic, "1-after");
        Thread.sleep(5000); // delete.retention.ms
        round(topic, codecs, 2);
        copy(topic, "2-before");
        clean(topic, end);
        copy(topic, "2-after");
    }

    static Producer<String, String> producer(String codec, String transactionalId) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", broker, "compression.type", codec,
                "linger.ms", "10000", "batch.size", "100000"));
        if (transactionalId != null) config.put("transactional.id", transactionalId);
        Producer<String, String> producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
        if (transactionalId != null) producer.initTransactions();
        return producer;
    }

    static int count = 0;

    static void batch(Producer<String, String> producer, String topic, int records, int keys, boolean tombstones) {
        for (int n = 0; n < records; n++) {
            count++;
            String key = "k" + (count * 7 + n) % keys;
            String value = tombstones && n % 2 == 0 ? null : "v" + count + "-" + "x".repeat(count % 23);
            ProducerRecord<String, String> record = new ProducerRecord<>(topic, 0, 1_700_000_000_000L + count * 1000L, key, value);
            record.headers().add(new RecordHeader("h", ("1-" + count).getBytes()));
            record.headers().add(new RecordHeader("h", null));
            producer.send(record);
        }
        producer.flush();
    }

    static void round(String topic, List<String> codecs, int round) throws Exception {
        Producer<String, String> once = producer(codecs.get(0), null);
        batch(once, topic, 3, 5, false); // all of it is overwritten, and its last sequence must stay
        for (int n = 0; n < 12; n++) {
            String codec = codecs.get(n % codecs.size());
            Producer<String, String> plain = producer(codec, null);
            batch(plain, topic, 4, 9, false);
            batch(plain, topic, 3, 13, n % 3 == 0);
            for (String value : Arrays.asList("x", "y", null)) { // a tombstone among others
                long at = 1_700_000_000_000L + ++count * 1000L;
                plain.send(new ProducerRecord<>(topic, 0, at, "gone-" + round + "-" + n, value));
                plain.send(new ProducerRecord<>(topic, 0, at, "stays-" + n % 5, "z" + count));
            }
            plain.flush();
            Producer<String, String> commits = producer(codec, topic + "-commits-" + n % 3);
            commits.beginTransaction();
            batch(commits, topic, 3, 7, n % 4 == 1);
            Producer<String, String> aborts = producer(codec, topic + "-aborts-" + n % 2);
            aborts.beginTransaction();
            batch(aborts, topic, 2, 11, false);
            batch(commits, topic, 2, 17, false);
            commits.commitTransaction();
            batch(aborts, topic, 2, 11, true);
            aborts.abortTransaction();
            for (Producer<String, String> each : List.of(plain, commits, aborts)) each.close();
        }
        once.close();
        // Fills the segment that is being written with other keys.
        Producer<String, String> last = producer("none", null);
        for (int n = 0; n < 4; n++) {
            last.send(new ProducerRecord<>(topic, 0, 1_700_000_000_000L + ++count * 1000L, "filler" + n, "y".repeat(900)));
            last.flush();
        }
        last.close();
        Thread.sleep(1000);
    }

    /** Lets the broker compact, once; up to where it did. */
    static long clean(String topic, long before) throws Exception {
        alter(topic, "min.compaction.lag.ms", "0");
        while (true) {
            Thread.sleep(20);
            Path file = logs.resolve("cleaner-offset-checkpoint");
            if (!Files.exists(file)) continue;
            for (String line : Files.readAllLines(file)) {
                String[] words = line.split(" ");
                if (words.length == 3 && words[0].equals(topic) && Long.parseLong(words[2]) > before) {
                    long end = Long.parseLong(words[2]);
                    alter(topic, "min.compaction.lag.ms", "1000000000000");
                    Thread.sleep(1000);
                    return end;
                }
            }
        }
    }

    static void alter(String topic, String key, String value) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var op = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(op))).all().get();
    }

    /** The files of the log, one a line: name and bytes in hexadecimal. */
    static void copy(String topic, String name) throws Exception {
        List<Path> files;
        try (Stream<Path> all = Files.list(logs.resolve(topic + "-0"))) {
            files = all.sorted().collect(Collectors.toList());
        }
        StringBuilder text = new StringBuilder();
        for (Path file : files) {
            String fileName = file.getFileName().toString();
            if (fileName.matches("\\d{20}\\.(log|index|timeindex|txnindex)")) {
                text.append(fileName).append(' ').append(HexFormat.of().formatHex(Files.readAllBytes(file))).append('\n');
            }
        }
        Files.writeString(out.resolve(topic + "-" + name + ".txt"), text);
    }
}
