import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.squareup.wire.schema.Location;
import com.squareup.wire.schema.internal.parser.ProtoFileElement;
import com.squareup.wire.schema.internal.parser.ProtoParser;
import io.apicurio.registry.rules.compatibility.protobuf.ProtobufCompatibilityCheckerLibrary;
import io.apicurio.registry.utils.protobuf.schema.ProtobufFile;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads cases, one JSON object per line, and prints them with the answers of Wire (a text) and Apicurio (a pair). */
public class Record {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            ObjectNode record = (ObjectNode) JSON.readTree(line);
            if (record.has("new")) {
                record.set("apicurio", verdict(record.get("old").textValue(), record.get("new").textValue()));
            } else {
                record.remove("wire");
                record.remove("wire_error");
                read(record);
            }
            out.println(JSON.writeValueAsString(record));
        }
        out.flush();
    }

    /** It looks at the two files and never at their imports. */
    private static ArrayNode verdict(String before, String after) {
        ArrayNode lines = JSON.createArrayNode();
        try {
            new ProtobufCompatibilityCheckerLibrary(new ProtobufFile(before), new ProtobufFile(after))
                    .findDifferences()
                    .forEach(difference -> lines.add(difference.getMessage()));
        } catch (Exception e) {
            lines.add("! " + e.getMessage());
        }
        return lines;
    }

    private static void read(ObjectNode record) {
        ProtoFileElement file;
        try {
            file = ProtoParser.Companion.parse(Location.get(""), record.get("text").textValue());
        } catch (Exception e) {
            record.put("wire_error", e.getMessage());
            return;
        }
        try {
            record.put("wire", file.toSchema());
        } catch (ClassCastException e) {
            // It reads a list of numbers as an option's value and cannot write it.
        }
    }
}
