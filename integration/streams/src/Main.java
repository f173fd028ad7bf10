import java.util.Map;

/** The scenarios of Kafka Streams: each application once with the classic protocol and once with the streams protocol. */
public final class Main {
    interface Scenario {
        void run() throws Exception;
    }

    private static final Map<String, Scenario> SCENARIOS = Map.ofEntries(
        Map.entry("word-count", Applications::wordCount),
        Map.entry("windowed-join", Applications::windowedJoin),
        Map.entry("table", Applications::table),
        Map.entry("two-instances", Instances::twoInstances),
        Map.entry("exactly-once", Instances::exactlyOnce),
        Map.entry("instance", Instances::instance),
        Map.entry("streams-groups", StreamsGroups::streamsGroups)
    );

    /** Ends the process whatever happened: a scenario that failed may have left threads that run. */
    public static void main(String[] words) {
        int code = 0;
        try {
            SCENARIOS.get(words[0]).run();
        } catch (Exception failure) {
            failure.printStackTrace();
            code = 1;
        }
        System.out.flush();
        System.exit(code);
    }
}
