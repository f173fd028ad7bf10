import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.StreamJoined;

/** One instance each: what comes out does not depend on who works on what. */
final class Applications {
    private static final String[] WORDS = {"ox", "ant", "bee", "cat", "dog", "elk", "fox"};

    /** A repartition topic, and a table that is kept in a changelog. */
    static Topology wordCount(String in, String out) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(in)
            .flatMapValues(line -> List.of(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.as("words"))
            .count(Materialized.as("counts"))
            .toStream().mapValues(Object::toString).to(out);
        return builder.build();
    }

    /** Lines, and how often each word is in them. */
    static List<ProducerRecord<String, String>> lines(String topic, int from, int to) {
        List<ProducerRecord<String, String>> lines = new ArrayList<>();
        for (int i = from; i < to; i++) {
            String line = WORDS[i % 7] + " " + WORDS[i % 5] + " " + WORDS[i % 3];
            lines.add(Kit.record(topic, null, "line" + i, line));
        }
        return lines;
    }

    static Map<String, String> counts(List<ProducerRecord<String, String>> lines) {
        Map<String, Integer> counts = new TreeMap<>();
        lines.forEach(line -> List.of(line.value().split(" ")).forEach(word -> counts.merge(word, 1, Integer::sum)));
        return counts.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, it -> it.getValue().toString(), (a, b) -> a, TreeMap::new));
    }

    static void wordCount() throws Exception {
        for (String protocol : Application.PROTOCOLS) {
            String in = Kit.createTopic("lines-" + protocol, 3);
            String out = Kit.createTopic("counts-" + protocol, 2);
            try (Application application = new Application(Kit.name("words-" + protocol), wordCount(in, out), protocol)) {
                Kit.print(protocol, "delivered", Kit.send(lines(in, 0, 500)));
                Application.expect("counts", out, 2, counts(lines(in, 0, 500)));
                application.printInternalTopics();
            }
            // The same application again, without its state on disk: what it counted comes back from the changelog.
            Kit.send(lines(in, 500, 700));
            try (Application again = new Application(Kit.name("words-" + protocol), wordCount(in, out), protocol)) {
                Application.expect("counts after a restart", out, 2, counts(lines(in, 0, 700)));
            }
        }
    }

    /** Two streams that have to be partitioned alike, one of them by a repartition topic, joined within ten seconds. */
    static void windowedJoin() throws Exception {
        for (String protocol : Application.PROTOCOLS) {
            String orders = Kit.createTopic("orders-" + protocol, 3);
            String payments = Kit.createTopic("payments-" + protocol, 2);
            String out = Kit.createTopic("joined-" + protocol, 1);
            StreamsBuilder builder = new StreamsBuilder();
            KStream<String, String> rekeyed = builder.<String, String>stream(payments)
                .selectKey((key, value) -> value.split(":")[0], Named.as("by-order"));
            builder.<String, String>stream(orders).join(
                rekeyed, (order, payment) -> order + "+" + payment,
                JoinWindows.ofTimeDifferenceWithNoGrace(Duration.ofSeconds(10)),
                StreamJoined.<String, String, String>as("join").withName("matched")
            ).to(out);
            Map<String, String> expected = new TreeMap<>();
            List<ProducerRecord<String, String>> records = new ArrayList<>();
            long start = 1_700_000_000_000L;
            for (int i = 0; i < 60; i++) {
                long time = start + i * 100;
                records.add(new ProducerRecord<>(orders, null, time, "order" + i, "o" + i));
                // Every third payment comes too late.
                boolean late = i % 3 == 0;
                records.add(new ProducerRecord<>(payments, null, late ? time + 60_000 : time + 1_000, "p" + i, "order" + i + ":p" + i));
                if (!late) {
                    expected.put("order" + i, "o" + i + "+order" + i + ":p" + i);
                }
            }
            // By time, so that no stream runs ahead of its window.
            records.sort((a, b) -> Long.compare(a.timestamp(), b.timestamp()));
            Kit.print(protocol, "delivered", Kit.send(records));
            try (Application application = new Application(Kit.name("join-" + protocol), builder.build(), protocol)) {
                Application.expect("joined", out, 1, expected);
                application.printInternalTopics();
            }
        }
    }

    /** A stream enriched from a table, and a table of a table. */
    static void table() throws Exception {
        for (String protocol : Application.PROTOCOLS) {
            String users = Kit.createTopic("users-" + protocol, 2, "cleanup.policy", "compact");
            String clicks = Kit.createTopic("clicks-" + protocol, 2);
            String out = Kit.createTopic("enriched-" + protocol, 1);
            String regions = Kit.createTopic("regions-" + protocol, 1);
            StreamsBuilder builder = new StreamsBuilder();
            KTable<String, String> table = builder.table(users, Materialized.as("users"));
            builder.<String, String>stream(clicks).join(table, (click, region) -> click + "@" + region).to(out);
            table.groupBy((user, region) -> KeyValue.pair(region, user), Grouped.as("by-region"))
                .count(Materialized.as("regions")).toStream().mapValues(Object::toString).to(regions);

            List<ProducerRecord<String, String>> profiles = new ArrayList<>();
            Map<String, Integer> count = new TreeMap<>();
            Map<String, String> expected = new TreeMap<>();
            for (int i = 0; i < 30; i++) {
                profiles.add(Kit.record(users, null, "user" + i, "old"));
            }
            for (int i = 0; i < 30; i++) {
                String region = "region" + i % 4;
                profiles.add(Kit.record(users, null, "user" + i, region));
                count.merge(region, 1, Integer::sum);
                expected.put("user" + i, "click" + i + "@" + region);
            }
            Map<String, String> counted = new TreeMap<>(Map.of("old", "0"));
            count.forEach((region, n) -> counted.put(region, n.toString()));
            Kit.print(protocol, "delivered", Kit.send(profiles));
            try (Application application = new Application(Kit.name("table-" + protocol), builder.build(), protocol)) {
                Application.expect("regions", regions, 1, counted);
                List<ProducerRecord<String, String>> all = new ArrayList<>();
                for (int i = 0; i < 30; i++) {
                    all.add(Kit.record(clicks, null, "user" + i, "click" + i));
                }
                Kit.print("delivered", Kit.send(all));
                Application.expect("enriched", out, 1, expected);
                application.printInternalTopics();
            }
        }
    }
}
