import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Apicurio's Avro serializers with Confluent's frame (a zero, four bytes of id). Their own client speaks Apicurio's API alone, in all
 * versions; {@link ConfluentApi} stands in its place.
 */
class ApicurioSerde {
    static final Schema SCHEMA = new Schema.Parser().parse("{\"type\":\"record\",\"name\":\"Greeting\",\"namespace\":\"apicurio\","
        + "\"fields\":[{\"name\":\"text\",\"type\":\"string\"},{\"name\":\"times\",\"type\":\"int\"}]}");
    static final Map<String, Object> CONFIG = Map.of(
        "apicurio.registry.url", Main.REGISTRY, "apicurio.registry.auto-register", true,
        "apicurio.registry.artifact-resolver-strategy", "io.apicurio.registry.serde.strategy.TopicIdStrategy");

    static void run() throws Exception {
        String topic = Main.named("greetings");
        ConfluentApi api = new ConfluentApi(Main.REGISTRY);
        AvroKafkaSerializer<GenericRecord> serializer = new AvroKafkaSerializer<>(api);
        serializer.configure(CONFIG, false);
        try (var producer = new KafkaProducer<>(
                Map.<String, Object>of("bootstrap.servers", Main.BOOTSTRAP), new StringSerializer(), serializer)) {
            for (int times = 1; times <= 3; times++) {
                GenericRecord greeting = new GenericData.Record(SCHEMA);
                greeting.put("text", "hello");
                greeting.put("times", times);
                producer.send(new ProducerRecord<>(topic, "key " + times, greeting)).get();
            }
        }
        long id = api.latest(topic + "-value");
        AvroKafkaDeserializer<GenericRecord> deserializer = new AvroKafkaDeserializer<>(new ConfluentApi(Main.REGISTRY));
        deserializer.configure(CONFIG, false);
        for (ConsumerRecord<String, byte[]> record : read(topic, 3)) {
            ByteBuffer frame = ByteBuffer.wrap(record.value());
            boolean framed = frame.get() == 0 && frame.getInt() == id;
            System.out.println(record.key() + " " + deserializer.deserialize(topic, record.headers(), record.value()) + " framed " + framed);
        }
    }

    static List<ConsumerRecord<String, byte[]>> read(String topic, int count) {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", Main.BOOTSTRAP, "group.id", topic, "auto.offset.reset", "earliest");
        List<ConsumerRecord<String, byte[]>> records = new java.util.ArrayList<>();
        try (var consumer = new KafkaConsumer<>(
                config, new StringDeserializer(), new org.apache.kafka.common.serialization.ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic));
            for (long end = System.nanoTime() + 30_000_000_000L; records.size() < count && System.nanoTime() < end;) {
                consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            }
        }
        return records;
    }
}
