import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.StreamsGroupDescription;
import org.apache.kafka.clients.admin.StreamsGroupMemberAssignment.TaskIds;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListStreamsGroupOffsetsSpec;

/** What administrators see of an application's group, and may do with it. */
final class StreamsGroups {
    static void streamsGroups() throws Exception {
        String in = Kit.createTopic("lines", 4);
        String out = Kit.createTopic("counts", 1);
        String group = Kit.name("group");
        configure(group, "streams.num.standby.replicas", "1");
        Application first = new Application(group, Applications.wordCount(in, out), "streams", "client.id", "first");
        Application second = new Application(group, Applications.wordCount(in, out), "streams", "client.id", "second");
        Kit.send(Applications.lines(in, 0, 100));
        Application.expect("counts", out, 1, Applications.counts(Applications.lines(in, 0, 100)));
        Kit.until(() -> tasks(group).equals("active 8, standby 4"), "both have their tasks");
        Kit.print(tasks(group));
        describe(group);

        second.close();
        Kit.until(() -> tasks(group).equals("active 8, standby 0"), "one has all tasks");
        Kit.print(tasks(group));
        Kit.print("delete:", Kit.outcome(Kit.ADMIN.deleteStreamsGroups(List.of(group)).all()));
        first.close();
        Kit.until(() -> state(group).equals("Empty"), "nobody is left");
        describe(group);
        list(group);

        offsets(group);
        Map<TopicPartition, OffsetAndMetadata> back = Map.of(new TopicPartition(in, 0), new OffsetAndMetadata(0));
        Kit.print("alter offsets:", Kit.outcome(Kit.ADMIN.alterStreamsGroupOffsets(group, back).all()));
        Kit.print("delete offsets:", Kit.outcome(
            Kit.ADMIN.deleteStreamsGroupOffsets(group, java.util.Set.of(new TopicPartition(in, 1))).all()));
        offsets(group);
        Kit.print("delete:", Kit.outcome(Kit.ADMIN.deleteStreamsGroups(List.of(group)).all()));
        Kit.print("describe:", Kit.outcome(Kit.ADMIN.describeStreamsGroups(List.of(group)).all()));
    }

    private static void configure(String group, String key, String value) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        AlterConfigOp set = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        Kit.print("configure:", Kit.outcome(Kit.ADMIN.incrementalAlterConfigs(Map.of(resource, List.of(set))).all()));
    }

    private static StreamsGroupDescription description(String group) {
        try {
            return Kit.ADMIN.describeStreamsGroups(List.of(group)).all().get().get(group);
        } catch (Exception error) {
            throw new RuntimeException(error);
        }
    }

    private static String state(String group) {
        return description(group).groupState().toString();
    }

    private static String tasks(String group) {
        StreamsGroupDescription description = description(group);
        if (!description.groupState().toString().equals("Stable")) {
            return description.groupState().toString();
        }
        int active = 0, standby = 0;
        for (var member : description.members()) {
            active += count(member.assignment().activeTasks());
            standby += count(member.assignment().standbyTasks());
        }
        return "active " + active + ", standby " + standby;
    }

    private static int count(List<TaskIds> tasks) {
        return tasks.stream().mapToInt(it -> it.partitions().size()).sum();
    }

    private static void describe(String group) {
        StreamsGroupDescription description = description(group);
        Kit.print(description.groupState(), "topology", description.topologyEpoch(), "members", description.members().size());
        description.subtopologies().stream().sorted(Comparator.comparing(it -> it.subtopologyId())).forEach(it -> {
            Kit.print("subtopology", it.subtopologyId(), "reads", it.sourceTopics(), "writes", it.repartitionSinkTopics());
            new TreeMap<>(it.repartitionSourceTopics()).forEach((name, info) ->
                Kit.print("  repartition", name, info.partitions(), new TreeMap<>(info.topicConfigs())));
            new TreeMap<>(it.stateChangelogTopics()).forEach((name, info) ->
                Kit.print("  changelog", name, info.partitions(), new TreeMap<>(info.topicConfigs())));
        });
        description.members().stream().sorted(Comparator.comparing(it -> it.clientId())).forEach(it -> Kit.print(
            "member of", it.clientHost(), "topology", it.topologyEpoch(), "endpoint", it.userEndpoint().isPresent(),
            "reconciled", it.assignment().equals(it.targetAssignment())));
    }

    private static void list(String group) throws Exception {
        for (GroupListing listing : Kit.ADMIN.listGroups(ListGroupsOptions.forStreamsGroups()).all().get()) {
            if (listing.groupId().equals(group)) {
                Kit.print(group, listing.type().get(), listing.protocol(), listing.groupState().get(), listing.isSimpleConsumerGroup());
            }
        }
    }

    private static void offsets(String group) throws Exception {
        var offsets = Kit.ADMIN.listStreamsGroupOffsets(Map.of(group, new ListStreamsGroupOffsetsSpec()))
            .partitionsToOffsetAndMetadata(group).get();
        Map<String, Long> sorted = new TreeMap<>();
        offsets.forEach((place, offset) -> sorted.put(place.toString(), offset == null ? null : offset.offset()));
        Kit.print("offsets", sorted);
    }
}
