import java.util.Map;

/** The scenarios of kafka-clients. The same sources are compiled against several of its versions. */
public final class Main {
    private static final Map<String, Scenarios.Scenario> SCENARIOS = Map.ofEntries(
        Map.entry("codecs", Writing::codecs),
        Map.entry("keys", Writing::keys),
        Map.entry("headers", Writing::headers),
        Map.entry("nulls", Writing::nulls),
        Map.entry("timestamps", Writing::timestamps),
        Map.entry("batches", Writing::batches),
        Map.entry("sizes", Writing::sizes),
        Map.entry("idempotence", Writing::idempotence),
        Map.entry("seek", Reading::seek),
        Map.entry("reset", Reading::reset),
        Map.entry("pause", Reading::pause),
        Map.entry("groups", Groups::groups),
        Map.entry("cooperative", Groups::cooperative),
        Map.entry("static", Groups::staticMembers),
        Map.entry("commit", Groups::commit),
        Map.entry("regex", Groups::regex),
        Map.entry("topics", Admins::topics),
        Map.entry("admin", Admins::admin),
        Map.entry("compaction", Compaction::compaction),
        Map.entry("full-disk", FullDisk::fullDisk),
        Map.entry("restart", Durability::restart),
        Map.entry("kill9", Durability::kill9),
        Map.entry("transactions", Transactions::transactions),
        Map.entry("exactly-once", ExactlyOnce::exactlyOnce),
        Map.entry("eos-kill9", ExactlyOnce::eosKill9),
        Map.entry("worker", ExactlyOnce::worker),
        Map.entry("new-protocol", newer("NewProtocol", "newProtocol")),
        Map.entry("crash-member", newer("NewProtocol", "crashMember")),
        Map.entry("upgrade", newer("Upgrade", "upgrade")),
        Map.entry("share", newer("Share", "share")),
        Map.entry("share-locks", newer("Share", "locks"))
    );

    /** A scenario of newer/, which is compiled only against versions that have what it uses. */
    private static Scenarios.Scenario newer(String type, String method) {
        return () -> Class.forName(type).getMethod(method).invoke(null);
    }

    public static void main(String[] words) {
        Scenarios.run(SCENARIOS, words);
    }
}
