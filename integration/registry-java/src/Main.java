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

    /** Ends the process whatever happened: Vert.x, which comes with Apicurio's serializers, keeps threads. */
    public static void main(String[] words) {
        Map<String, Scenario> scenarios = Map.of("apicurio-serde", ApicurioSerde::run, "spring", Spring::run);
        int code = 0;
        try {
            scenarios.get(words[0]).run();
        } catch (Exception failure) {
            failure.printStackTrace();
            code = 1;
        }
        System.exit(code);
    }
}
