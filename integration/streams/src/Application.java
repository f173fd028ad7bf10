import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;

/** An application that runs in this process, with its state in a directory of its own. */
final class Application implements AutoCloseable {
    /** How an application's members share its work. */
    static final List<String> PROTOCOLS = List.of("classic", "streams");

    final String id;
    final Path state;
    final KafkaStreams streams;

    Application(String id, Topology topology, String protocol, Object... configs) throws Exception {
        this.id = id;
        state = Files.createTempDirectory("ottla-streams");
        streams = new KafkaStreams(topology, settings(id, state, protocol, configs));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Kit.print("the application failed:", error.getClass().getSimpleName());
            return StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
    }

    static Properties settings(String id, Path state, String protocol, Object... configs) {
        Map<String, Object> settings = new HashMap<>(Map.of(
            StreamsConfig.APPLICATION_ID_CONFIG, id, "bootstrap.servers", System.getenv("BOOTSTRAP"), "group.protocol", protocol,
            "state.dir", state.toString(), "commit.interval.ms", 100, "auto.offset.reset", "earliest", "replication.factor", -1,
            "default.key.serde", Serdes.StringSerde.class, "default.value.serde", Serdes.StringSerde.class,
            "statestore.cache.max.bytes", 0));
        if (protocol.equals("classic")) {
            settings.put("session.timeout.ms", 10_000);
            settings.put("heartbeat.interval.ms", 200);
        }
        for (int i = 0; i < configs.length; i += 2) {
            settings.put((String) configs[i], configs[i + 1]);
        }
        Properties properties = new Properties();
        properties.putAll(settings);
        return properties;
    }

    /** Waits until a topic's last values are as expected, and prints them. */
    static void expect(String what, String topic, int partitions, Map<String, String> expected, Object... configs) throws Exception {
        Map<String, String> last = new TreeMap<>();
        long deadline = System.currentTimeMillis() + 2 * Kit.DEADLINE_MS;
        while (!last.equals(expected) && System.currentTimeMillis() < deadline) {
            Thread.sleep(200);
            last.clear();
            readTo(topic, partitions, last, configs);
        }
        Kit.print(what, last.equals(expected) ? last : "expected " + expected + " and got " + last);
    }

    /** The last value of each key. What a transaction's marker takes of the offsets is no record. */
    private static void readTo(String topic, int partitions, Map<String, String> last, Object... configs) {
        try (KafkaConsumer<String, String> consumer = Kit.consumer("unused", configs)) {
            for (int i = 0; i < partitions; i++) {
                TopicPartition place = new TopicPartition(topic, i);
                consumer.assign(List.of(place));
                consumer.seekToBeginning(List.of(place));
                long end = consumer.endOffsets(List.of(place)).get(place);
                long deadline = System.currentTimeMillis() + Kit.DEADLINE_MS;
                while (consumer.position(place) < end && System.currentTimeMillis() < deadline) {
                    consumer.poll(Duration.ofMillis(100)).forEach(record -> last.put(record.key(), record.value()));
                }
            }
        }
    }

    /** The topics that the application, or the broker for it, made: partitions and what they were given. */
    void printInternalTopics() throws Exception {
        List<String> names = Kit.ADMIN.listTopics().names().get().stream().filter(name -> name.startsWith(id + "-")).sorted().toList();
        for (String name : names) {
            var resource = new org.apache.kafka.common.config.ConfigResource(
                org.apache.kafka.common.config.ConfigResource.Type.TOPIC, name);
            var config = Kit.ADMIN.describeConfigs(List.of(resource)).all().get().get(resource);
            List<String> own = config.entries().stream().filter(entry -> !entry.isDefault())
                .filter(entry -> entry.source() == org.apache.kafka.clients.admin.ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                .map(entry -> entry.name() + "=" + entry.value()).sorted().toList();
            int partitions = Kit.ADMIN.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size();
            Kit.print(name, partitions, own);
        }
    }

    /** Stops, and leaves its group at once. */
    @Override
    public void close() throws Exception {
        streams.close(CloseOptions.timeout(Duration.ofSeconds(30))
            .withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
        removeState();
    }

    /** Forgets what it kept on disk. */
    void removeState() throws Exception {
        try (Stream<Path> files = Files.walk(state)) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        }
    }
}
