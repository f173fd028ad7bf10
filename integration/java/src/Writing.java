import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;

/** What is produced comes back: codecs, keys, headers, nulls, timestamps, batches, sizes, idempotence. */
final class Writing {
    /** What a batch of one large record without a key takes beside its value. */
    private static final int BATCH_OVERHEAD = 72;

    static void codecs() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = Kit.createTopic(codec, 1);
            List<ProducerRecord<String, String>> records = new ArrayList<>();
            for (int i = 0; i < 100; i++) {
                records.add(Kit.record(topic, null, "k" + i, (codec + " " + i + " ").repeat(20)));
            }
            int sent = Kit.send(records, "compression.type", codec);
            List<ConsumerRecord<String, String>> got = Kit.readAll(topic, 1);
            Kit.print(codec + ": delivered", sent, "consumed", got.size(), Kit.checksum(got));
        }
    }

    static void keys() throws Exception {
        String topic = Kit.createTopic("keys", 6);
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            records.add(Kit.record(topic, null, "key-" + i, "v"));
        }
        Kit.send(records);
        List<String> lines = new ArrayList<>();
        for (ConsumerRecord<String, String> record : Kit.readAll(topic, 6)) {
            lines.add(record.key() + " " + record.partition());
        }
        lines.stream().sorted().forEach(Kit::print);
    }

    static void headers() throws Exception {
        String topic = Kit.createTopic("headers", 1);
        ProducerRecord<String, String> duplicates = Kit.record(topic, null, null, "duplicates");
        duplicates.headers().add("a", new byte[] {1}).add("b", new byte[] {2}).add("a", new byte[] {3});
        ProducerRecord<String, String> empty = Kit.record(topic, null, null, "null and empty");
        empty.headers().add("null", null).add("empty", new byte[0]).add("", new byte[] {4});
        Kit.send(List.of(duplicates, empty, Kit.record(topic, null, null, "none")));
        for (ConsumerRecord<String, String> record : Kit.readAll(topic, 1)) {
            List<String> headers = new ArrayList<>();
            for (Header header : record.headers()) {
                headers.add("'" + header.key() + "'=" + java.util.Arrays.toString(header.value()));
            }
            Kit.print(record.value(), headers);
        }
    }

    static void nulls() throws Exception {
        String topic = Kit.createTopic("nulls", 1);
        Kit.send(List.of(
            Kit.record(topic, null, "key", null), Kit.record(topic, null, null, "value"),
            Kit.record(topic, null, null, null), Kit.record(topic, null, "", ""),
            Kit.record(topic, null, "key", ""), Kit.record(topic, null, "", "value")));
        for (ConsumerRecord<String, String> record : Kit.readAll(topic, 1)) {
            Kit.print(record.offset(), quoted(record.key()), quoted(record.value()));
        }
    }

    private static String quoted(String text) {
        return text == null ? "null" : "'" + text + "'";
    }

    static void timestamps() throws Exception {
        long base = 1_600_000_000_000L;
        String topic = Kit.createTopic("create-time", 1, "message.timestamp.type", "CreateTime");
        for (int step : new int[] {0, 1000, 2000}) {
            Kit.send(List.of(new ProducerRecord<>(topic, null, base + step, null, "r")));
        }
        for (ConsumerRecord<String, String> record : Kit.readAll(topic, 1)) {
            Kit.print(record.timestampType(), record.timestamp());
        }
        TopicPartition place = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = Kit.consumer("unused")) {
            for (long time : new long[] {base - 1, base + 1000, base + 1001, base + 2001}) {
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(place, time)).get(place);
                Kit.print("offset for", time, found == null ? "none" : found.offset() + " of " + found.timestamp());
            }
        }

        topic = Kit.createTopic("append-time", 1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis();
        Kit.send(List.of(new ProducerRecord<>(topic, null, base, null, "r"), new ProducerRecord<>(topic, null, base, null, "s")));
        long after = System.currentTimeMillis();
        for (ConsumerRecord<String, String> record : Kit.readAll(topic, 1)) {
            Kit.print(record.timestampType(), before <= record.timestamp() && record.timestamp() <= after);
        }
        topic = Kit.createTopic("old", 1, "message.timestamp.before.max.ms", "1000");
        Kit.print("delivered:", Kit.send(List.of(new ProducerRecord<>(topic, null, base, null, "old"))));
    }

    static void batches() throws Exception {
        String topic = Kit.createTopic("one", 1);
        Kit.print("delivered", Kit.send(Kit.values(topic, "r", 1)), "consumed", Kit.readAll(topic, 1).size());
        topic = Kit.createTopic("many", 1);
        int sent = Kit.send(Kit.values(topic, "record ", 10_000), "linger.ms", 500, "batch.size", 900_000);
        List<ConsumerRecord<String, String>> got = Kit.readAll(topic, 1);
        boolean ordered = true;
        for (int i = 0; i < got.size(); i++) {
            ordered &= got.get(i).offset() == i && got.get(i).value().equals("record " + i);
        }
        Kit.print("delivered", sent, "consumed", got.size(), "in order:", ordered, Kit.checksum(got));
    }

    static void sizes() throws Exception {
        sizes(Kit.createTopic("small", 1, "max.message.bytes", "100000"), 100_000);
        sizes(Kit.createTopic("usual", 1), 1_048_588);
        String topic = Kit.createTopic("large", 1, "max.message.bytes", "5000000");
        String value = "x".repeat(3_000_000);
        Kit.print("delivered:", Kit.send(
            List.of(Kit.record(topic, null, null, value), Kit.record(topic, null, null, value)), "max.request.size", 4_000_000));
        Kit.print("stored, read by a consumer of small fetches:",
            lengths(Kit.readAll(topic, 1, "max.partition.fetch.bytes", 1000, "fetch.max.bytes", 1000)));
    }

    private static void sizes(String topic, int limit) throws Exception {
        for (int size : new int[] {limit - BATCH_OVERHEAD, limit - BATCH_OVERHEAD + 1}) {
            Kit.print("limit", limit, "value of", size);
            Kit.print("delivered:", Kit.send(
                List.of(Kit.record(topic, null, null, "x".repeat(size))), "max.request.size", 3_000_000));
        }
        Kit.print("stored:", lengths(Kit.readAll(topic, 1)));
    }

    private static List<Integer> lengths(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(record -> record.value().length()).collect(Collectors.toList());
    }

    static void idempotence() throws Exception {
        String topic = Kit.createTopic("idempotence", 3);
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int i = 0; i < 6000; i++) {
            records.add(Kit.record(topic, i % 3, null, String.valueOf(i)));
        }
        int sent = Kit.send(records, "enable.idempotence", true, "batch.size", 1000);
        List<String> got = new ArrayList<>();
        boolean ordered = true;
        long[] next = {0, 1, 2};
        for (ConsumerRecord<String, String> record : Kit.readAll(topic, 3)) {
            got.add(record.value());
            ordered &= Long.parseLong(record.value()) == next[record.partition()];
            next[record.partition()] += 3;
        }
        Kit.print("delivered", sent, "consumed", got.size(), "duplicates", Kit.duplicates(got), "in order:", ordered);
    }
}
