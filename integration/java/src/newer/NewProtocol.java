import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;

/** Groups of the consumer protocol (KIP-848): the broker assigns, and evaluates patterns. */
public final class NewProtocol {
    private static final Object[] NEW = {"group.protocol", "consumer"};

    public static void newProtocol() throws Exception {
        Groups.comeAndGo("new-protocol", NEW);
        assignors();
        pattern();
        staticMembers();
        crash();
    }

    private static Groups.Member member(String group, Object topics, List<String> seen, Object... configs) {
        List<Object> all = new ArrayList<>(List.of(NEW));
        all.addAll(List.of(configs));
        return new Groups.Member(group, topics, seen, all.toArray());
    }

    static String describe(String group) {
        try {
            ConsumerGroupDescription found = Kit.ADMIN.describeConsumerGroups(List.of(Kit.name(group))).all().get().get(Kit.name(group));
            return found.type() + " " + found.groupState() + " " + found.partitionAssignor() + " members " + found.members().size();
        } catch (Exception error) {
            return Kit.errorName(error.getCause());
        }
    }

    /** Two members share a topic as the assignor that they name on the broker has it. */
    private static void assignors() throws Exception {
        String topic = Kit.createTopic("assigned", 4);
        for (String assignor : List.of("range", "uniform")) {
            String group = "assignor-" + assignor;
            List<Groups.Member> members = List.of(
                member(group, topic, new ArrayList<>(), "group.remote.assignor", assignor),
                member(group, topic, new ArrayList<>(), "group.remote.assignor", assignor));
            Kit.until(() -> Groups.shares(members).equals(List.of(2, 2)), assignor + " gives each its share");
            Kit.print(assignor + ":", describe(group));
            if (assignor.equals("range")) {
                Kit.print("side by side:", members.stream()
                    .map(member -> member.partitions.stream().map(TopicPartition::partition).sorted().collect(Collectors.toList()).toString())
                    .sorted().collect(Collectors.toList()));
            }
            for (Groups.Member member : members) {
                member.leave();
            }
            Kit.until(() -> describe(group).contains("Empty"), "the group is empty");
        }
        Groups.Member wrong = member("assignor-unknown", topic, new ArrayList<>(), "group.remote.assignor", "nobody");
        Kit.until(() -> wrong.error != null, "an unknown assignor is refused");
        Kit.print("unknown assignor:", wrong.error);
    }

    /** A pattern that the broker evaluates; a topic made later joins it. */
    private static void pattern() throws Exception {
        String first = Kit.createTopic("pattern-first", 1);
        String other = Kit.createTopic("unlike", 1);
        Kit.send(Kit.values(first, "early-", 3));
        Kit.send(Kit.values(other, "early-", 3));
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        Groups.Member member = member("pattern", matching(Kit.name("pattern-") + ".*"), seen);
        Kit.until(() -> seen.size() == 3, "the first topic is consumed");
        String later = Kit.createTopic("pattern-later", 1);
        Kit.send(Kit.values(later, "late-", 3));
        Kit.until(() -> seen.size() == 6, "the later topic is consumed");
        member.leave();
        seen.stream().sorted().forEach(Kit::print);
        Groups.Member wrong = member("pattern-wrong", matching("((("), new ArrayList<>());
        Kit.until(() -> wrong.error != null, "a wrong pattern is refused");
        Kit.print("wrong pattern:", wrong.error);
    }

    private static Groups.Subscription matching(String pattern) {
        return (consumer, listener) -> consumer.subscribe(new SubscriptionPattern(pattern), listener);
    }

    /** A static member comes back to its own partitions; a second one of its id is refused while it is there. */
    private static void staticMembers() throws Exception {
        String topic = Kit.createTopic("static", 4);
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        Groups.Member first = member("static", topic, seen, "group.instance.id", Kit.name("instance-1"));
        Groups.Member other = member("static", topic, seen, "group.instance.id", Kit.name("instance-2"));
        Kit.until(() -> Groups.shares(List.of(first, other)).equals(List.of(2, 2)), "both have their share");
        Set<TopicPartition> own = new HashSet<>(first.partitions);
        int rebalances = other.rebalances;
        first.leave();
        Groups.Member back = member("static", topic, seen, "group.instance.id", Kit.name("instance-1"));
        Kit.until(() -> back.partitions.size() == 2, "the member is back");
        Kit.print("the same partitions:", back.partitions.equals(own), "rebalances of the other:", other.rebalances - rebalances);
        Groups.Member second = member("static", topic, seen, "group.instance.id", Kit.name("instance-1"));
        Kit.until(() -> second.error != null, "the second of the same id is refused");
        Kit.print("refused:", second.error, describe("static"));
        back.leave();
        other.leave();
    }

    /** A member that is killed loses its partitions when its session ends. */
    private static void crash() throws Exception {
        String topic = Kit.createTopic("crash", 6);
        Groups.Load load = new Groups.Load(topic);
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        Process process = Kit.child("crash-member").start();
        List<String> lines = Collections.synchronizedList(new ArrayList<>(List.of("")));
        Thread listener = new Thread(() -> new BufferedReader(new InputStreamReader(process.getInputStream())).lines().forEach(lines::add));
        listener.setDaemon(true);
        listener.start();
        Groups.Member member = member("crash", topic, seen);
        Kit.until(() -> member.partitions.size() == 3 && lines.get(lines.size() - 1).equals("3"), "both have their share");
        process.destroyForcibly().waitFor();
        Kit.until(() -> member.partitions.size() == 6, "the other has all");
        int sent = load.stop();
        // What the killed one had processed and not committed is there again; nothing is missing.
        Kit.until(() -> Kit.different(seen) == sent, "all records are consumed");
        Kit.print("after a crash:", Groups.shares(List.of(member)), describe("crash"));
        member.leave();
    }

    /** The process that is killed: it commits nothing, and says how many partitions it has. */
    public static void crashMember() {
        KafkaConsumer<String, String> consumer = Kit.consumer("crash", NEW);
        consumer.subscribe(List.of(Kit.name("crash")));
        int told = -1;
        while (true) {
            consumer.poll(Duration.ofMillis(50));
            int count = consumer.assignment().size();
            if (count != told) {
                System.out.println(count);
                System.out.flush();
                told = count;
            }
        }
    }
}
