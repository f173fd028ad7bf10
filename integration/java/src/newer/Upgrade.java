import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;

/** A group goes from the classic protocol to the consumer protocol and back, one member at a time, while records flow. */
public final class Upgrade {
    private static final int PARTITIONS = 6;
    private static final Object[] CLASSIC = {"partition.assignment.strategy", CooperativeStickyAssignor.class.getName()};
    private static final Object[] CONSUMER = {"group.protocol", "consumer"};

    private final String topic;
    private final List<String> seen = Collections.synchronizedList(new ArrayList<>());
    private final List<Groups.Member> members = new ArrayList<>();

    private Upgrade(String topic) {
        this.topic = topic;
    }

    public static void upgrade() throws Exception {
        Upgrade group = new Upgrade(Kit.createTopic("upgrade", PARTITIONS));
        Groups.Load load = new Groups.Load(group.topic);
        for (int i = 0; i < 3; i++) {
            group.join(CLASSIC);
        }
        group.settles("three classic members");
        for (int i = 1; i <= 3; i++) {
            group.replace(CONSUMER);
            group.settles(i + " of the consumer protocol");
        }
        for (int i = 1; i <= 3; i++) {
            group.replace(CLASSIC);
            group.settles(i + " classic again");
        }
        int sent = load.stop();
        Kit.until(() -> Kit.different(group.seen) == sent, "all records are consumed");
        for (Groups.Member member : group.members) {
            member.leave();
            Kit.print("a member's error:", member.error);
        }
        int different = Kit.different(group.seen);
        Kit.print("duplicates", group.seen.size() - different, "lost", sent - different, "errors", load.failed);
        Kit.until(() -> NewProtocol.describe("upgrade").contains("Empty"), "the group is empty");
        Kit.print("at the end:", NewProtocol.describe("upgrade"));
    }

    private void join(Object... protocol) {
        members.add(new Groups.Member("upgrade", topic, seen, protocol));
    }

    /** The oldest member leaves when a new one has come. */
    private void replace(Object... protocol) throws InterruptedException {
        join(protocol);
        Kit.until(() -> Groups.shares(members).equals(List.of(1, 1, 2, 2)), "the new member has its share");
        members.remove(0).leave();
    }

    private void settles(String when) throws InterruptedException {
        int before = seen.size();
        Kit.until(() -> Groups.shares(members).equals(List.of(2, 2, 2)), "the partitions are shared with " + when);
        Kit.until(() -> seen.size() > before + 50, "records go on with " + when);
        Kit.until(() -> NewProtocol.describe("upgrade").contains("Stable"), "the group is stable with " + when);
        Kit.print(when + ":", NewProtocol.describe("upgrade"));
    }
}
