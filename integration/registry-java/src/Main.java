import java.util.Map;

/** The registry's Java clients: the scenario's name is the argument. */
public class Main {
    interface Scenario {
        void run() throws Exception;
    }

    static final String REGISTRY = System.getenv("REGISTRY");
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");

    static String named(String word) {
        return System.getenv("RUN_ID") + "-" + word;
    }

    public static void main(String[] words) throws Exception {
        Map<String, Scenario> scenarios = Map.of("apicurio-serde", ApicurioSerde::run, "spring", Spring::run);
        scenarios.get(words[0]).run();
        // Vert.x, which comes with Apicurio's serializers, keeps threads.
        System.exit(0);
    }
}
