import java.util.Map;

/** How each `Main` runs the scenario that it is told to. */
final class Scenarios {
    interface Scenario {
        void run() throws Exception;
    }

    /** Ends the process whatever happened: a scenario that failed, or a library, may have left threads that run. */
    static void run(Map<String, Scenario> scenarios, String[] words) {
        int code = 0;
        try {
            scenarios.get(words[0]).run();
        } catch (Exception failure) {
            failure.printStackTrace();
            code = 1;
        }
        System.out.flush();
        System.exit(code);
    }

    private Scenarios() {}
}
