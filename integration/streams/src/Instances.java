import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** An application of two processes, of which one is killed and brought back. */
final class Instances {
    private static final int LINES = 400;

    static void twoInstances() throws Exception {
        for (String protocol : Application.PROTOCOLS) {
            twoInstances(protocol, "at_least_once");
        }
    }

    static void exactlyOnce() throws Exception {
        for (String protocol : Application.PROTOCOLS) {
            twoInstances(protocol, "exactly_once_v2");
        }
    }

    /** A process that works until it is killed or told to stop; says `running` when it does. */
    static void instance() throws Exception {
        String protocol = System.getenv("STREAMS_PROTOCOL");
        String in = Kit.name("lines-" + protocol), out = Kit.name("counts-" + protocol);
        Application application = new Application(
            Kit.name("two-" + protocol), Applications.wordCount(in, out), protocol,
            "processing.guarantee", System.getenv("STREAMS_GUARANTEE"), "num.stream.threads", 2);
        Kit.until(() -> application.streams.state().name().equals("RUNNING"), "an instance runs");
        System.out.println("running");
        System.out.flush();
        System.in.read();
        application.close();
    }

    private static void twoInstances(String protocol, String guarantee) throws Exception {
        String in = Kit.createTopic("lines-" + protocol, 4);
        String out = Kit.createTopic("counts-" + protocol, 2);
        Instance first = new Instance(protocol, guarantee);
        Instance second = new Instance(protocol, guarantee);
        Kit.print(protocol, guarantee, "delivered", Kit.send(Applications.lines(in, 0, LINES)));
        expect("both work", out, guarantee, LINES, in);

        first.process.destroyForcibly().waitFor();
        Kit.send(Applications.lines(in, LINES, 2 * LINES));
        expect("one was killed", out, guarantee, 2 * LINES, in);

        first = new Instance(protocol, guarantee);
        Kit.send(Applications.lines(in, 2 * LINES, 3 * LINES));
        expect("it is back", out, guarantee, 3 * LINES, in);
        first.stop();
        second.stop();
    }

    private static void expect(String what, String out, String guarantee, int lines, String in) throws Exception {
        Map<String, String> counts = Applications.counts(Applications.lines(in, 0, lines));
        if (guarantee.equals("exactly_once_v2")) {
            Application.expect(what, out, 2, counts, "isolation.level", "read_committed");
            return;
        }
        // Whoever is killed may have counted what it had not committed: nothing is lost, some may be counted twice.
        boolean isEnough = Kit.until(() -> {
            Map<String, Integer> last = new java.util.TreeMap<>();
            Kit.readAll(out, 2).forEach(record -> last.put(record.key(), Integer.parseInt(record.value())));
            return counts.entrySet().stream().allMatch(it -> last.getOrDefault(it.getKey(), 0) >= Integer.parseInt(it.getValue()));
        }, what);
        Kit.print(what, counts.keySet(), "nothing lost:", isEnough);
    }

    private static final class Instance {
        final Process process;

        Instance(String protocol, String guarantee) throws Exception {
            ProcessBuilder builder = Kit.child("instance");
            builder.environment().putAll(Map.of("STREAMS_PROTOCOL", protocol, "STREAMS_GUARANTEE", guarantee));
            process = builder.start();
            String line = new BufferedReader(new InputStreamReader(process.getInputStream())).readLine();
            if (!"running".equals(line)) {
                Kit.print("an instance did not start:", line);
            }
        }

        void stop() throws Exception {
            process.getOutputStream().close();
            process.waitFor();
        }
    }
}
