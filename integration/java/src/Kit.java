import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What all scenarios use: clients with the settings of these tests, and waiting with a deadline. */
final class Kit {
    static final long DEADLINE_MS = 30_000;
    static final Admin ADMIN = Admin.create(Map.of("bootstrap.servers", System.getenv("BOOTSTRAP")));

    /** A name that is this run's own. */
    static String name(String word) {
        return System.getenv("RUN_ID") + "-" + word;
    }

    static void print(Object... words) {
        List<String> texts = new ArrayList<>();
        for (Object word : words) {
            texts.add(String.valueOf(word));
        }
        System.out.println(String.join(" ", texts));
    }

    /** Makes a topic and returns its name; `configs` are keys and values in turn. */
    static String createTopic(String word, int partitions, String... configs) throws Exception {
        Map<String, String> config = new HashMap<>();
        for (int i = 0; i < configs.length; i += 2) {
            config.put(configs[i], configs[i + 1]);
        }
        ADMIN.createTopics(List.of(new NewTopic(name(word), partitions, (short) 1).configs(config))).all().get();
        return name(word);
    }

    static KafkaProducer<String, String> producer(Object... configs) {
        Map<String, Object> settings = settings("acks", "all", "linger.ms", 5);
        settings.put("key.serializer", StringSerializer.class);
        settings.put("value.serializer", StringSerializer.class);
        settings.putAll(settings(configs));
        return new KafkaProducer<>(settings);
    }

    /** A consumer that begins at the start and commits only when told. */
    static KafkaConsumer<String, String> consumer(String group, Object... configs) {
        Map<String, Object> settings = settings(
            "group.id", name(group), "auto.offset.reset", "earliest", "enable.auto.commit", false,
            "fetch.max.wait.ms", 100, "heartbeat.interval.ms", 200, "session.timeout.ms", 10_000);
        settings.put("key.deserializer", StringDeserializer.class);
        settings.put("value.deserializer", StringDeserializer.class);
        settings.putAll(settings(configs));
        if ("consumer".equals(settings.get("group.protocol"))) {
            // Its pace is the broker's.
            settings.keySet().removeAll(List.of("heartbeat.interval.ms", "session.timeout.ms"));
        }
        return new KafkaConsumer<>(settings);
    }

    private static Map<String, Object> settings(Object... pairs) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
        for (int i = 0; i < pairs.length; i += 2) {
            settings.put((String) pairs[i], pairs[i + 1]);
        }
        return settings;
    }

    static ProducerRecord<String, String> record(String topic, Integer partition, String key, String value) {
        return new ProducerRecord<>(topic, partition, key, value);
    }

    /** `count` records without keys: PREFIX0, PREFIX1, ... */
    static List<ProducerRecord<String, String>> values(String topic, String prefix, int count) {
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            records.add(record(topic, null, null, prefix + i));
        }
        return records;
    }

    /** Produces; prints the errors' names and returns how many records were acknowledged. */
    static int send(List<ProducerRecord<String, String>> records, Object... configs) throws Exception {
        try (KafkaProducer<String, String> producer = producer(configs)) {
            List<Future<RecordMetadata>> answers = new ArrayList<>();
            for (ProducerRecord<String, String> record : records) {
                answers.add(producer.send(record));
            }
            producer.flush();
            int delivered = 0;
            for (Future<RecordMetadata> answer : answers) {
                String error = outcome(answer);
                if (error.equals("ok")) {
                    delivered++;
                } else {
                    print("produce:", error);
                }
            }
            return delivered;
        }
    }

    /** A consumer that reads a partition from an offset on, without a group. */
    static KafkaConsumer<String, String> assigned(String topic, int partition, long offset, Object... configs) {
        KafkaConsumer<String, String> consumer = consumer("unused", configs);
        consumer.assign(List.of(new TopicPartition(topic, partition)));
        consumer.seek(new TopicPartition(topic, partition), offset);
        return consumer;
    }

    /** The next records; an error, or too few of them, is printed. */
    static List<ConsumerRecord<String, String>> take(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> taken = new ArrayList<>();
        long deadline = System.currentTimeMillis() + DEADLINE_MS;
        while (taken.size() < count && System.currentTimeMillis() < deadline) {
            try {
                consumer.poll(Duration.ofMillis(200)).forEach(taken::add);
            } catch (RuntimeException error) {
                print("consume:", errorName(error));
                return taken;
            }
        }
        if (taken.size() < count) {
            print("consume:", taken.size(), "of", count, "records came");
        }
        return taken;
    }

    /** Whether nothing comes for a while: for what must not happen there is no condition to wait for. */
    static boolean nothingMore(KafkaConsumer<String, String> consumer, long millis) {
        return consumer.poll(Duration.ofMillis(millis)).isEmpty();
    }

    /** Every record between the first and the last offset of each partition. */
    static List<ConsumerRecord<String, String>> readAll(String topic, int partitions, Object... configs) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer("unused", configs)) {
            for (int i = 0; i < partitions; i++) {
                TopicPartition place = new TopicPartition(topic, i);
                consumer.assign(List.of(place));
                consumer.seekToBeginning(List.of(place));
                long high = consumer.endOffsets(List.of(place)).get(place);
                long low = consumer.beginningOffsets(List.of(place)).get(place);
                List<ConsumerRecord<String, String>> taken = take(consumer, (int) (high - low));
                taken.removeIf(record -> record.offset() >= high);
                records.addAll(taken);
            }
        }
        return records;
    }

    /** Waits for a condition; says so when it does not come. */
    static boolean until(BooleanSupplier condition, String what) throws InterruptedException {
        long deadline = System.currentTimeMillis() + DEADLINE_MS;
        while (System.currentTimeMillis() < deadline) {
            if (condition.getAsBoolean()) {
                return true;
            }
            Thread.sleep(20);
        }
        print("did not happen:", what);
        return false;
    }

    /** "ok", or the name of the error that a future ends with. */
    static String outcome(Future<?> future) throws Exception {
        try {
            future.get(DEADLINE_MS, TimeUnit.MILLISECONDS);
            return "ok";
        } catch (ExecutionException error) {
            return errorName(error.getCause());
        }
    }

    static String errorName(Throwable error) {
        Errors known = Errors.forException(error);
        return known == Errors.UNKNOWN_SERVER_ERROR ? error.getClass().getSimpleName() : known.name();
    }

    interface Action {
        void run() throws Exception;
    }

    /** "none", or the name of the error that an action ends with, and of the error behind it. */
    static String failure(Action action) {
        try {
            action.run();
            return "none";
        } catch (Exception error) {
            Throwable cause = error.getCause();
            return errorName(error) + (cause == null ? "" : " of " + errorName(cause));
        }
    }

    /** This program again, as a process of its own, with another scenario. */
    static ProcessBuilder child(String scenario) {
        List<String> command = new ArrayList<>(List.of(
            ProcessHandle.current().info().command().orElse("java"), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", System.getProperty("java.class.path"), "Main", scenario));
        return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    }

    static String checksum(List<ConsumerRecord<String, String>> records) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-1");
        for (ConsumerRecord<String, String> record : records) {
            digest.update((record.key() + "=" + record.value() + "\n").getBytes("UTF-8"));
        }
        StringBuilder text = new StringBuilder();
        for (byte b : digest.digest()) {
            text.append(String.format("%02x", b));
        }
        return text.toString();
    }

    static int duplicates(List<String> values) {
        return values.size() - different(values);
    }

    /** How many different values a list has, to which other threads may be adding (a synchronized list is copied under its lock). */
    static int different(List<String> values) {
        return new HashSet<>(Arrays.asList(values.toArray())).size();
    }
}
