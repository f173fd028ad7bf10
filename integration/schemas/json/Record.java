import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.github.erosb.jsonsKema.IJsonValue;
import com.github.erosb.jsonsKema.JsonParser;
import com.github.erosb.jsonsKema.SchemaClient;
import com.github.erosb.jsonsKema.SchemaLoaderConfig;
import io.apicurio.registry.rules.compatibility.jsonschema.JsonSchemaDiffLibrary;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.everit.json.schema.loader.SchemaLoader;
import org.everit.json.schema.loader.internal.ReferenceResolver;
import org.json.JSONObject;

/** Reads a table of schemas, prints it with the answers of libraries: java -cp ... Record.java pairs|texts TABLE */
public class Record {
    static final Map<Integer, String> META_SCHEMAS = Map.of(
            4, "http://json-schema.org/draft-04/schema#",
            6, "http://json-schema.org/draft-06/schema#",
            7, "http://json-schema.org/draft-07/schema#",
            2019, "https://json-schema.org/draft/2019-09/schema",
            2020, "https://json-schema.org/draft/2020-12/schema");
    /** As Confluent's registry sets Jackson up. */
    static final ObjectMapper MAPPER = mapper(JsonNodeFactory.withExactBigDecimals(true));
    static final ObjectMapper SORTING = mapper(new JsonNodeFactory(true) {
        @Override
        public ObjectNode objectNode() {
            return new ObjectNode(this, new TreeMap<>());
        }
    });

    static ObjectMapper mapper(JsonNodeFactory nodes) {
        ObjectMapper mapper = JsonMapper.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();
        mapper.enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);
        mapper.enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
        mapper.setNodeFactory(nodes);
        return mapper;
    }

    public static void main(String[] args) throws Exception {
        for (String line : Files.readAllLines(Path.of(args[1]))) {
            ObjectNode row = (ObjectNode) MAPPER.readTree(line);
            if (args[0].equals("pairs")) {
                recordPair(row);
            } else {
                recordText(row);
            }
            System.out.println(MAPPER.writeValueAsString(row));
        }
    }

    /** Apicurio knows drafts 4 to 7, and no schema that is true or false. */
    static void recordPair(ObjectNode row) throws Exception {
        row.remove("apicurio");
        int draft = row.get("draft").asInt();
        if (draft > 7 || !row.get("old").isObject() || !row.get("new").isObject()) {
            return;
        }
        String before = schema(row.get("old"), draft);
        String after = schema(row.get("new"), draft);
        row.putArray("apicurio").add(verdict(before, after)).add(verdict(after, before));
    }

    static String schema(JsonNode node, int draft) throws Exception {
        ObjectNode schema = node.deepCopy();
        return MAPPER.writeValueAsString(schema.put("$schema", META_SCHEMAS.get(draft)));
    }

    static String verdict(String before, String after) {
        try {
            return JsonSchemaDiffLibrary.isCompatible(before, after, Map.of()) ? "yes" : "no";
        } catch (Throwable e) {
            return e.getClass().getSimpleName();
        }
    }

    /** Jackson writes the text; everit (drafts 4 to 7) or json-sKema (later ones) says whether it is a schema. */
    static void recordText(ObjectNode row) throws Exception {
        row.remove("canonical");
        row.remove("normalized");
        row.remove("loads");
        String text = row.get("text").asText();
        try {
            row.put("canonical", MAPPER.writeValueAsString(MAPPER.readTree(text)));
            row.put("normalized", SORTING.writeValueAsString(SORTING.readTree(text)));
            row.put("loads", loads(MAPPER.readTree(text), row.path("references")));
        } catch (Exception e) {
            row.put("loads", e.getClass().getSimpleName());
        }
    }

    static String loads(JsonNode schema, JsonNode references) {
        try {
            String meta = schema.path("$schema").asText();
            if (meta.contains("2019-09") || meta.contains("2020-12")) {
                loadModern(schema, references);
            } else {
                loadOld(schema, references);
            }
            return "yes";
        } catch (Throwable e) {
            return e.getClass().getSimpleName();
        }
    }

    static void loadOld(JsonNode schema, JsonNode references) throws Exception {
        String id = schema.has("$id") ? schema.get("$id").asText() : null;
        SchemaLoader.SchemaLoaderBuilder builder = SchemaLoader.builder().useDefaults(true).draftV7Support();
        builder.schemaClient(url -> {
            throw new IllegalStateException(url);
        });
        references.fields().forEachRemaining(reference -> builder.registerSchemaByURI(
                ReferenceResolver.resolve(id == null ? null : URI.create(id), reference.getKey()),
                new JSONObject(reference.getValue().asText())));
        builder.schemaJson(new JSONObject(MAPPER.writeValueAsString(schema))).build().load().build();
    }

    static void loadModern(JsonNode schema, JsonNode references) throws Exception {
        Map<URI, String> known = new HashMap<>();
        META_SCHEMAS.values().forEach(url -> known.put(URI.create(url), "{}"));
        references.fields().forEachRemaining(reference -> {
            known.put(URI.create(reference.getKey()), reference.getValue().asText());
            known.put(URI.create("mem://input").resolve(reference.getKey()), reference.getValue().asText());
        });
        SchemaClient client = new SchemaClient() {
            @Override
            public InputStream get(URI uri) {
                return new ByteArrayInputStream(text(uri).getBytes(StandardCharsets.UTF_8));
            }

            @Override
            public IJsonValue getParsed(URI uri) {
                return new JsonParser(text(uri), uri).parse();
            }

            String text(URI uri) {
                if (!known.containsKey(uri)) {
                    throw new IllegalStateException(uri.toString());
                }
                return known.get(uri);
            }
        };
        SchemaLoaderConfig config = new SchemaLoaderConfig(client, URI.create("mem://input"), known);
        new com.github.erosb.jsonsKema.SchemaLoader(
                new JsonParser(MAPPER.writeValueAsString(schema)).parse(), config).load();
    }
}
