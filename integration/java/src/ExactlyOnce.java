import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Consume, transform, produce: each input once in the output, whoever is killed. */
final class ExactlyOnce {
    private static final int PARTITIONS = Durability.PARTITIONS;
    private static final int SLOTS = 2;
    /** How often a worker is killed. */
    private static final int KILLS = 5;
    /** The exit code of a worker that was told that another one has its place. */
    private static final int FENCED = 3;

    /** Workers are killed at random and started again; at last one is only stopped, and is a zombie when it goes on. */
    static void exactlyOnce() throws Exception {
        try (Pipeline pipeline = new Pipeline()) {
            Random chance = new Random();
            for (int kill = 0; kill < KILLS; kill++) {
                pipeline.goesOn("after " + kill + " kills");
                Thread.sleep(chance.nextInt(100));
                pipeline.kill(chance.nextInt(SLOTS));
            }
            pipeline.goesOn("before the zombie");
            Kit.print("killed", KILLS);
            // Before it has begun to work, its return would be that of the newer one.
            pipeline.until(() -> pipeline.workers[0].working, "the zombie-to-be works");
            Worker zombie = pipeline.workers[0];
            zombie.signal("STOP");
            pipeline.workers[0] = new Worker(0);
            pipeline.until(() -> pipeline.workers[0].working, "the replacement works");
            zombie.signal("CONT");
            pipeline.until(() -> !zombie.process.isAlive(), "the zombie ends");
            Kit.print("the zombie is fenced:", !zombie.process.isAlive() && zombie.process.exitValue() == FENCED);
            pipeline.finish();
        }
    }

    /** The broker is killed again and again while transactions run. */
    static void eosKill9() throws Exception {
        int rounds = Integer.parseInt(System.getenv("ROUNDS"));
        try (Pipeline pipeline = new Pipeline()) {
            Random chance = new Random();
            for (int round = 0; round < rounds; round++) {
                pipeline.goesOn("in round " + round);
                Thread.sleep(chance.nextInt(100));
                Durability.control("kill9");
                Durability.control("start");
            }
            pipeline.goesOn("at the end");
            pipeline.finish();
        }
    }

    /** A load on the input, and the workers; at its end it says what is in the output. */
    private static final class Pipeline implements AutoCloseable {
        final String source = Kit.createTopic("in", PARTITIONS);
        final String sink = Kit.createTopic("out", PARTITIONS);
        final Durability.Load load = new Durability.Load(source, 20);
        final Worker[] workers = new Worker[SLOTS];

        Pipeline() throws Exception {
            for (int slot = 0; slot < SLOTS; slot++) {
                workers[slot] = new Worker(slot);
            }
        }

        /** Waits; a worker that ended meanwhile is started again, as whoever runs it would. */
        void until(BooleanSupplier condition, String what) throws InterruptedException {
            Kit.until(() -> {
                for (int slot = 0; slot < SLOTS; slot++) {
                    if (!workers[slot].process.isAlive()) {
                        System.err.println("worker " + slot + " ended with " + workers[slot].process.exitValue());
                        workers[slot] = new Worker(slot);
                    }
                }
                return condition.getAsBoolean();
            }, what);
        }

        void goesOn(String when) throws InterruptedException {
            long before = stable();
            until(() -> stable() > before + 100, "records come out " + when);
        }

        private long stable() {
            return Transactions.ends(sink, PARTITIONS, Transactions.COMMITTED).stream().mapToLong(Long::longValue).sum();
        }

        void kill(int slot) throws InterruptedException {
            workers[slot].process.destroyForcibly().waitFor();
            workers[slot] = new Worker(slot);
        }

        void finish() throws Exception {
            load.stop();
            Kit.print("input failed:", load.failed);
            List<Long> ends = Transactions.ends(source, PARTITIONS, Transactions.UNCOMMITTED);
            until(() -> committed().equals(ends), "all of the input is worked off");
            for (Worker worker : workers) {
                worker.process.destroy();
                worker.process.waitFor(Kit.DEADLINE_MS, TimeUnit.MILLISECONDS);
            }
            List<Long> stable = Transactions.ends(sink, PARTITIONS, Transactions.COMMITTED);
            Kit.print("nothing is left open:", stable.equals(Transactions.ends(sink, PARTITIONS, Transactions.UNCOMMITTED)));
            List<String> out = new ArrayList<>();
            for (ConsumerRecord<String, String> record : Transactions.read(sink, PARTITIONS, Transactions.COMMITTED)) {
                out.add(record.value());
            }
            Kit.print("duplicates", Kit.duplicates(out), "lost", load.produced - Kit.different(out));
        }

        private List<Long> committed() {
            try {
                Map<Integer, Long> offsets = new TreeMap<>();
                Kit.ADMIN.listConsumerGroupOffsets(Kit.name("eos")).partitionsToOffsetAndMetadata().get()
                    .forEach((place, offset) -> offsets.put(place.partition(), offset.offset()));
                return new ArrayList<>(offsets.values());
            } catch (Exception notNow) {
                System.err.println("committed: " + notNow);
                return List.of();
            }
        }

        @Override
        public void close() throws InterruptedException {
            for (Worker worker : workers) {
                worker.process.destroyForcibly();
            }
            load.stop();
        }
    }

    /** The process of a slot; `working` when it has committed its first transaction. */
    private static final class Worker {
        final Process process;
        volatile boolean working;

        Worker(int slot) {
            ProcessBuilder builder = Kit.child("worker");
            builder.environment().put("SLOT", "" + slot);
            try {
                process = builder.start();
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
            Thread listener = new Thread(() -> {
                try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream()))) {
                    while (lines.readLine() != null) {
                        working = true;
                    }
                } catch (IOException ended) {
                    System.err.println(ended);
                }
            });
            listener.setDaemon(true);
            listener.start();
        }

        void signal(String name) throws Exception {
            new ProcessBuilder("kill", "-" + name, "" + process.pid()).start().waitFor();
        }
    }

    private static volatile boolean stopping;

    /** What runs in a worker's process. */
    static void worker() {
        String place = Kit.name("worker-" + System.getenv("SLOT"));
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            try {
                main.join(10_000);
            } catch (InterruptedException ended) {
                Thread.currentThread().interrupt();
            }
        }));
        // A fenced client takes its time to close: only one that is asked to stop does.
        try {
            KafkaConsumer<String, String> consumer = Kit.consumer("eos", "group.instance.id", place, "isolation.level", "read_committed", "max.poll.records", 50);
            KafkaProducer<String, String> producer = Kit.producer("transactional.id", place, "transaction.timeout.ms", 10_000, "reconnect.backoff.max.ms", 100);
            producer.initTransactions();
            consumer.subscribe(List.of(Kit.name("in")));
            while (!stopping) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
                if (!records.isEmpty()) {
                    work(consumer, producer, records);
                }
            }
            consumer.close();
            producer.close();
        } catch (ProducerFencedException | FencedInstanceIdException | InvalidProducerEpochException fenced) {
            fenced(fenced);
        } catch (KafkaException error) {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
        Runtime.getRuntime().halt(0);
    }

    private static void fenced(Exception reason) {
        System.err.println("worker " + System.getenv("SLOT") + ": " + reason);
        Runtime.getRuntime().halt(FENCED);
    }

    /** What a send ended with. 2.8 waits `max.block.ms` for a transaction's offsets when it learns meanwhile that it is fenced. */
    private static void sent(RecordMetadata metadata, Exception error) {
        if (error instanceof ProducerFencedException) {
            fenced(error);
        }
    }

    /** One transaction: what was read is written and its offsets are committed, or neither. */
    private static void work(KafkaConsumer<String, String> consumer, KafkaProducer<String, String> producer, ConsumerRecords<String, String> records) {
        producer.beginTransaction();
        try {
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            for (ConsumerRecord<String, String> record : records) {
                producer.send(Kit.record(Kit.name("out"), record.partition(), null, record.value()), ExactlyOnce::sent);
                offsets.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
            }
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            producer.commitTransaction();
            System.out.println("working");
            System.out.flush();
        } catch (ProducerFencedException | FencedInstanceIdException fenced) {
            throw fenced;
        } catch (KafkaException error) {
            System.err.println("aborted: " + error);
            producer.abortTransaction();
            rewind(consumer);
        }
    }

    /** Back to what is committed. */
    private static void rewind(KafkaConsumer<String, String> consumer) {
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
        for (TopicPartition place : consumer.assignment()) {
            OffsetAndMetadata offset = committed.get(place);
            consumer.seek(place, offset == null ? 0 : offset.offset());
        }
    }
}
