import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.apicurio.registry.resolver.client.RegistryArtifactReference;
import io.apicurio.registry.resolver.client.RegistryClientFacade;
import io.apicurio.registry.resolver.client.RegistryVersionCoordinates;
import io.apicurio.registry.resolver.strategy.ArtifactReference;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What Apicurio's serializers ask of a registry, asked by Confluent's API: an artifact is a subject, both of its ids are the schema's. */
class ConfluentApi implements RegistryClientFacade {
    private static final ObjectMapper JSON = new ObjectMapper();
    private final HttpClient http = HttpClient.newHttpClient();
    private final String url;

    ConfluentApi(String url) {
        this.url = url;
    }

    long latest(String subject) {
        return get("/subjects/" + subject + "/versions/latest").get("id").asLong();
    }

    @Override
    public RegistryVersionCoordinates createSchema(
            String type, String group, String artifact, String version, String ifExists, boolean canonical, String schema,
            Set<RegistryArtifactReference> references) {
        long id = post("/subjects/" + artifact + "/versions", schema, type).get("id").asLong();
        return coordinates(id, post("/subjects/" + artifact, schema, type));
    }

    @Override
    public List<RegistryVersionCoordinates> searchVersionsByContent(
            String schema, String type, ArtifactReference reference, boolean canonical) {
        JsonNode found = post("/subjects/" + reference.getArtifactId(), schema, type);
        return List.of(coordinates(found.get("id").asLong(), found));
    }

    @Override
    public RegistryVersionCoordinates getVersionCoordinatesByGAV(String group, String artifact, String version) {
        JsonNode found = get("/subjects/" + artifact + "/versions/" + (version == null ? "latest" : version));
        return coordinates(found.get("id").asLong(), found);
    }

    @Override
    public String getSchemaByContentId(Long id) {
        return get("/schemas/ids/" + id).get("schema").asText();
    }

    @Override
    public String getSchemaByGlobalId(long id, boolean dereferenced) {
        return getSchemaByContentId(id);
    }

    @Override
    public String getSchemaByGAV(String group, String artifact, String version) {
        return get("/subjects/" + artifact + "/versions/" + version).get("schema").asText();
    }

    @Override
    public String getSchemaByContentHash(String hash) {
        throw new UnsupportedOperationException("Confluent's registry has no hashes");
    }

    @Override
    public List<RegistryArtifactReference> getReferencesByContentId(long id) {
        return List.of();
    }

    @Override
    public List<RegistryArtifactReference> getReferencesByGlobalId(long id) {
        return List.of();
    }

    @Override
    public List<RegistryArtifactReference> getReferencesByGAV(String group, String artifact, String version) {
        return List.of();
    }

    @Override
    public List<RegistryArtifactReference> getReferencesByContentHash(String hash) {
        return List.of();
    }

    @Override
    public Object getClient() {
        return http;
    }

    private static RegistryVersionCoordinates coordinates(long id, JsonNode found) {
        return RegistryVersionCoordinates.create(id, id, null, found.get("subject").asText(), found.get("version").asText());
    }

    private JsonNode get(String path) {
        return ask(HttpRequest.newBuilder(URI.create(url + path)).GET());
    }

    private JsonNode post(String path, String schema, String type) {
        try {
            String body = JSON.writeValueAsString(Map.of("schema", schema, "schemaType", type));
            return ask(HttpRequest.newBuilder(URI.create(url + path)).POST(HttpRequest.BodyPublishers.ofString(body)));
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }

    private JsonNode ask(HttpRequest.Builder request) {
        try {
            HttpResponse<String> answer = http.send(
                request.header("Content-Type", "application/vnd.schemaregistry.v1+json").build(), HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new IllegalStateException(answer.statusCode() + " " + answer.body());
            }
            return JSON.readTree(answer.body());
        } catch (IOException | InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }
}
