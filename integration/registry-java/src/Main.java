import java.util.Map;

/** The registry's Java clients: the scenario's name is the argument. */
public class Main {
    static final String REGISTRY = System.getenv("REGISTRY");
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");

    static String named(String word) {
        return System.getenv("RUN_ID") + "-" + word;
    }

    public static void main(String[] words) {
        Scenarios.run(Map.of("apicurio-serde", ApicurioSerde::run, "spring", Spring::run), words);
    }
}
