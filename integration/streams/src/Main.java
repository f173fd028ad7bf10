import java.util.Map;

/** The scenarios of Kafka Streams: each application once with the classic protocol and once with the streams protocol. */
public final class Main {
    private static final Map<String, Scenarios.Scenario> SCENARIOS = Map.ofEntries(
        Map.entry("word-count", Applications::wordCount),
        Map.entry("windowed-join", Applications::windowedJoin),
        Map.entry("table", Applications::table),
        Map.entry("two-instances", Instances::twoInstances),
        Map.entry("exactly-once", Instances::exactlyOnce),
        Map.entry("instance", Instances::instance),
        Map.entry("streams-groups", StreamsGroups::streamsGroups)
    );

    public static void main(String[] words) {
        Scenarios.run(SCENARIOS, words);
    }
}
