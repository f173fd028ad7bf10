import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;

/** A disk without room, or read-only: what was acknowledged is served meanwhile, and as soon as it can be written again nothing but time is lost. */
final class FullDisk {
    private static final int VALUE_BYTES = 100_000;
    private static final int PATIENT = 10;

    static void fullDisk() throws Exception {
        History history = new History(Kit.createTopic("full", 1, "segment.bytes", "1048576"));
        trouble("full", history, () -> Durability.control("disk", "32m"));
        trouble("full and killed", history, () -> {
            Durability.control("kill9");
            Durability.control("disk", "64m");
            Durability.control("start");
        });
        // It takes no new files.
        Durability.control("disk", "read-only");
        trouble("read-only", history, () -> Durability.control("disk", "writable"));
        Durability.control("restart");
        Kit.print("after a restart:", history.compare());
    }

    /** Writes until that is refused, reads, and writes again when it is over. */
    private static void trouble(String name, History history, Kit.Action mend) throws Exception {
        try (KafkaProducer<String, String> impatient = Kit.producer("enable.idempotence", false, "retries", 0, "linger.ms", 0);
                KafkaProducer<String, String> patient = Kit.producer("enable.idempotence", true, "retry.backoff.ms", 50)) {
            Kit.print(name + ": refused with", history.writeUntilRefused(impatient));
            Kit.print(name + ":", history.compare());
            List<Future<RecordMetadata>> waiting = new ArrayList<>();
            for (int i = 0; i < PATIENT; i++) {
                waiting.add(history.send(patient));
            }
            Kit.print(name + ": still refused with", history.write(impatient));
            mend.run();
            int failed = 0;
            for (Future<RecordMetadata> answer : waiting) {
                failed += Kit.outcome(answer).equals("ok") ? 0 : 1;
            }
            Kit.until(() -> history.writes(impatient), "a record is written again");
            Kit.print(name + ": failed", failed);
        }
        Kit.print(name + ", afterwards:", history.compare());
    }

    /** Numbered records in one partition: how many were sent, and which of them were acknowledged. */
    private static final class History {
        private final String topic;
        private int sent;
        private final Set<Integer> acknowledged = new ConcurrentSkipListSet<>();

        History(String topic) {
            this.topic = topic;
        }

        Future<RecordMetadata> send(KafkaProducer<String, String> producer) {
            int number = sent++;
            String value = number + " " + ".".repeat(VALUE_BYTES);
            return producer.send(Kit.record(topic, 0, null, value), (metadata, error) -> {
                if (error == null) {
                    acknowledged.add(number);
                }
            });
        }

        String write(KafkaProducer<String, String> producer) throws Exception {
            return Kit.outcome(send(producer));
        }

        boolean writes(KafkaProducer<String, String> producer) {
            try {
                return write(producer).equals("ok");
            } catch (Exception error) {
                return false;
            }
        }

        String writeUntilRefused(KafkaProducer<String, String> producer) throws Exception {
            for (int i = 0; i < 1000; i++) {
                String outcome = write(producer);
                if (!outcome.equals("ok")) {
                    return outcome;
                }
            }
            return "nothing";
        }

        /** What the log has, beside what was acknowledged. */
        String compare() {
            Set<Integer> lost = new TreeSet<>(acknowledged);
            int last = -1;
            for (ConsumerRecord<String, String> record : Kit.readAll(topic, 1)) {
                int number = Integer.parseInt(record.value().split(" ")[0]);
                if (number <= last) {
                    return "out of order or twice: " + number + " behind " + last;
                }
                last = number;
                lost.remove(number);
            }
            return lost.isEmpty() ? "every acknowledged record once, in order" : "lost " + lost;
        }
    }
}
