import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Where reading begins and how it stops: seek, reset, pause. */
final class Reading {
    static void seek() throws Exception {
        String topic = Kit.createTopic("seek", 1);
        TopicPartition place = new TopicPartition(topic, 0);
        long base = 1_600_000_000_000L;
        // Two batches of five, so that 2 and 7 lie in the middle of one.
        for (int first : new int[] {0, 5}) {
            List<ProducerRecord<String, String>> records = new ArrayList<>();
            for (int i = first; i < first + 5; i++) {
                records.add(new ProducerRecord<>(topic, 0, base + i, null, "r" + i));
            }
            Kit.send(records, "linger.ms", 200);
        }
        try (KafkaConsumer<String, String> consumer = Kit.assigned(topic, 0, 0, "max.poll.records", 1)) {
            show("beginning", Kit.take(consumer, 3));
            for (long offset : new long[] {2, 7, 0, 9}) {
                consumer.seek(place, offset);
                show("offset " + offset, Kit.take(consumer, 1));
            }
            consumer.seek(place, consumer.offsetsForTimes(Map.of(place, base + 6)).get(place).offset());
            show("time of r6", Kit.take(consumer, 4));
            consumer.seekToEnd(List.of(place));
            Kit.print("end:", consumer.position(place), "nothing:", Kit.nothingMore(consumer, 500));
            Kit.send(Kit.values(topic, "new", 1));
            show("then", Kit.take(consumer, 1));
            Kit.print("offsets:", consumer.beginningOffsets(List.of(place)).get(place), consumer.endOffsets(List.of(place)).get(place));
        }
        for (String policy : List.of("earliest", "latest", "none")) {
            try (KafkaConsumer<String, String> consumer = Kit.assigned(topic, 0, 1000, "auto.offset.reset", policy, "max.poll.records", 1)) {
                Kit.print("out of range,", policy);
                if (policy.equals("latest")) {
                    Kit.print("nothing:", Kit.nothingMore(consumer, 1000), consumer.position(place));
                } else {
                    show("got", Kit.take(consumer, 1));
                }
            }
        }
    }

    static void reset() throws Exception {
        String topic = Kit.createTopic("reset", 1);
        Kit.send(Kit.values(topic, "r", 5));
        for (String policy : List.of("earliest", "latest", "none")) {
            try (KafkaConsumer<String, String> consumer = Kit.consumer("reset-" + policy, "auto.offset.reset", policy)) {
                consumer.subscribe(List.of(topic));
                Kit.print(policy);
                if (policy.equals("latest")) {
                    Kit.print("nothing:", Kit.nothingMore(consumer, 2000));
                } else {
                    show("got", Kit.take(consumer, 5));
                }
            }
        }
    }

    static void pause() throws Exception {
        String topic = Kit.createTopic("pause", 2);
        TopicPartition first = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = Kit.consumer("unused")) {
            consumer.assign(List.of(first, new TopicPartition(topic, 1)));
            Kit.send(List.of(Kit.record(topic, 0, null, "a"), Kit.record(topic, 1, null, "b")));
            Kit.take(consumer, 2);
            consumer.pause(List.of(first));
            Kit.send(List.of(Kit.record(topic, 0, null, "c"), Kit.record(topic, 1, null, "d")));
            show("partition 0 paused", Kit.take(consumer, 1));
            Kit.print("nothing more:", Kit.nothingMore(consumer, 500));
            consumer.resume(List.of(first));
            show("resumed", Kit.take(consumer, 1));
        }
    }

    private static void show(String what, List<ConsumerRecord<String, String>> records) {
        List<String> texts = new ArrayList<>();
        for (ConsumerRecord<String, String> record : records) {
            texts.add(record.offset() + "=" + record.value());
        }
        Kit.print(what + ":", String.join(" ", texts));
    }
}
