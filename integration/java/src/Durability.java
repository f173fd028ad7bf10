import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Semaphore;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;

/** Nothing acknowledged is lost and nothing is there twice, whatever happens to the broker. */
final class Durability {
    static final int PARTITIONS = 3;

    /** The broker restarts twice under load. */
    static void restart() throws Exception {
        survive("restart", 2);
    }

    /** The broker is killed again and again under load. */
    static void kill9() throws Exception {
        survive("kill9", Integer.parseInt(System.getenv("ROUNDS")));
    }

    private static void survive(String how, int rounds) throws Exception {
        String topic = Kit.createTopic(how, PARTITIONS);
        Load load = new Load(topic, 10);
        for (int round = 0; round < rounds; round++) {
            int before = load.acknowledged.size();
            Kit.until(() -> load.acknowledged.size() > before + 300, "records are acknowledged in round " + round);
            if (how.equals("kill9")) {
                control("kill9");
                control("start");
            } else {
                control("restart");
            }
            compare(topic, load, "round " + round);
        }
        int before = load.acknowledged.size();
        Kit.until(() -> load.acknowledged.size() > before + 300, "records are acknowledged at the end");
        load.stop();
        Kit.print("failed:", load.failed);
        int stored = compare(topic, load, "at the end");
        Kit.print("all produced are there:", stored == load.produced);
    }

    static void control(String... words) throws Exception {
        List<String> command = new ArrayList<>(List.of(System.getenv("BROKER_CTL")));
        command.addAll(List.of(words));
        Process process = new ProcessBuilder(command).redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(new java.io.File("/dev/stderr"))).start();
        if (process.waitFor() != 0) {
            throw new IllegalStateException("the broker does not " + String.join(" ", words));
        }
    }

    /** Says what is wrong with the log, given what was acknowledged so far; returns how many records it has. */
    private static int compare(String topic, Load load, String when) throws Exception {
        Set<Integer> acknowledged = new HashSet<>(load.snapshot());
        int stored = 0;
        int[] last = {-1, -1, -1};
        for (ConsumerRecord<String, String> record : Kit.readAll(topic, PARTITIONS)) {
            int number = Integer.parseInt(record.value());
            if (number <= last[record.partition()]) {
                Kit.print(when, "a duplicate or out of order");
            }
            last[record.partition()] = number;
            acknowledged.remove(number);
            stored++;
        }
        if (!acknowledged.isEmpty()) {
            Kit.print(when, "lost", acknowledged.size(), "acknowledged records");
        }
        return stored;
    }

    /** An idempotent producer in its own thread; `acknowledged` has the numbers of the records. */
    static final class Load {
        final List<Integer> acknowledged = Collections.synchronizedList(new ArrayList<>());
        // Not more under way than a restart can delay, so that a round has an end.
        final Semaphore places = new Semaphore(2000);
        final KafkaProducer<String, String> producer = Kit.producer(
            "enable.idempotence", true, "batch.size", 1000, "retry.backoff.ms", 50, "reconnect.backoff.ms", 20,
            "reconnect.backoff.max.ms", 100);
        final Thread thread;
        volatile boolean stopping;
        volatile int produced;
        volatile int failed;

        /** It rests `pauseMs` after each ten records. */
        Load(String topic, int pauseMs) {
            thread = new Thread(() -> {
                while (!stopping) {
                    places.acquireUninterruptibly();
                    int number = produced++;
                    producer.send(Kit.record(topic, number % PARTITIONS, null, "" + number), (metadata, error) -> {
                        places.release();
                        if (error == null) {
                            acknowledged.add(number);
                        } else {
                            failed++;
                            error.printStackTrace();
                        }
                    });
                    if (number % 10 == 0) {
                        java.util.concurrent.locks.LockSupport.parkNanos(pauseMs * 1_000_000L);
                    }
                }
            });
            thread.start();
        }

        List<Integer> snapshot() {
            synchronized (acknowledged) {
                return new ArrayList<>(acknowledged);
            }
        }

        void stop() throws InterruptedException {
            stopping = true;
            thread.join();
            producer.close();
        }
    }
}
