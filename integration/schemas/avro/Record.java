import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaNormalization;

/** Reads cases, one JSON object per line, and prints them with the answers of Java Avro. */
public class Record {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            ObjectNode record = (ObjectNode) JSON.readTree(line);
            if (record.has("new")) {
                record.set("backward", verdict(record.get("new"), record.get("old")));
                record.set("forward", verdict(record.get("old"), record.get("new")));
            } else {
                texts(record);
            }
            out.println(JSON.writeValueAsString(record));
        }
        out.flush();
    }

    /** Each incompatibility as its type, its place and its message. */
    private static JsonNode verdict(JsonNode reader, JsonNode writer) {
        ArrayNode lines = JSON.createArrayNode();
        try {
            SchemaCompatibility.checkReaderWriterCompatibility(parse(reader.toString()), parse(writer.toString()))
                    .getResult().getIncompatibilities()
                    .forEach(found -> lines.add(found.getType() + " " + found.getLocation() + " " + found.getMessage()));
        } catch (Exception e) {
            lines.add("! " + e.getMessage());
        }
        return lines;
    }

    private static Schema parse(String text) {
        return new Schema.Parser().setValidateDefaults(false).parse(text);
    }

    @SuppressWarnings("deprecation")
    private static void texts(ObjectNode record) throws Exception {
        record.remove(List.of("error", "canonical", "resolved", "parsing_form", "crc", "bad_default"));
        Schema schema;
        Collection<Schema> tops = new ArrayList<>();
        try {
            schema = parse(record, false, tops);
        } catch (Exception e) {
            record.remove("normalized");
            record.put("error", String.valueOf(e.getMessage()));
            return;
        }
        record.put("canonical", schema.toString(tops, false));
        if (record.has("dependencies")) {
            record.put("resolved", schema.toString());
        }
        record.put("parsing_form", SchemaNormalization.toParsingForm(schema));
        record.put("crc", String.format("%016x", SchemaNormalization.parsingFingerprint64(schema)));
        try {
            parse(record, true, new ArrayList<>());
        } catch (Exception e) {
            record.put("bad_default", e.getMessage());
        }
    }

    private static Schema parse(JsonNode record, boolean validateDefaults, Collection<Schema> tops) {
        Schema.Parser parser = new Schema.Parser().setValidateDefaults(validateDefaults);
        for (JsonNode dependency : record.path("dependencies")) {
            tops.add(parser.parse(dependency.textValue()));
        }
        return parser.parse(record.get("text").textValue());
    }
}
