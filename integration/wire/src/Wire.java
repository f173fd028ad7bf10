import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;

/**
 * Sends every request of a script in every version that the line names, and prints the answers as Kafka's own codec
 * reads them, with what differs between two runs replaced.
 *
 * A line is {@code API VERSIONS {json}}, where VERSIONS is {@code 3}, {@code 1-7} or {@code 1,4-5}. In the JSON,
 * {@code $T} is the run's prefix, {@code $V} the version, {@code $batch:N} a batch of N records in base64
 * ({@code $batch:N:PRODUCER_ID:EPOCH:SEQUENCE} an idempotent one, with {@code :t} behind it one of a transaction),
 * {@code $NAME} a remembered value. The JSON may go
 * on in lines that begin with white space. Fields that a version lacks do not count.
 *
 * {@code NAME = /pointer} behind a request remembers a part of its last answer. A line that begins with
 * {@code UNTIL /pointer VALUE} sends its request until the answer has that value, for a broker that works on what it
 * has acknowledged; nothing is printed.
 */
public class Wire {
    static final ObjectMapper JSON = new ObjectMapper();
    static final Pattern UUID = Pattern.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
    static final Pattern BATCH = Pattern.compile("\\$batch:(\\d+)(?::(\\w+):(-?\\d+):(-?\\d+)(:t)?)?");
    /** Fields whose values no two runs share; what is said of them is only whether they are set. */
    static final List<String> UNLIKE = List.of("clusterId", "topicId", "clientInstanceId", "logAppendTimeMs", "subscriptionId",
        "brokerEpoch", "incarnationId", "totalBytes", "usableBytes", "producerId", "logDir", "controllerId", "port", "finalizedFeaturesEpoch",
        "transactionStartTimeMs", "lastTimestamp");

    /** APIs that Ottla does not serve yet: left out of what ApiVersions tells. */
    static final Set<Integer> LATER = Set.of(17, 29, 30, 31, 34, 36, 38, 39, 40, 41, 43, 45, 46, 48, 49, 50, 51, 55, 57, 64, 80, 81);
    /** Features of those APIs, and what the reference finalizes of the others at its own time. */
    static final List<String> LATER_FEATURES = List.of();

    final Map<String, String> known = new TreeMap<>(Comparator.reverseOrder());
    final String host;
    final int port;
    Socket socket;
    int correlation;

    public static void main(String[] args) throws Exception {
        String[] address = System.getenv("BOOTSTRAP").split(":");
        Wire wire = new Wire(address[0], Integer.parseInt(address[1]));
        wire.known.put("T", System.getenv("RUN_ID"));
        for (String statement : statements(Path.of(args[0]))) wire.run(statement);
    }

    Wire(String host, int port) { this.host = host; this.port = port; }

    static List<String> statements(Path script) throws IOException {
        List<String> statements = new ArrayList<>();
        for (String line : Files.readAllLines(script)) {
            if (line.isBlank() || line.startsWith("#")) continue;
            if (Character.isWhitespace(line.charAt(0))) statements.set(statements.size() - 1, statements.get(statements.size() - 1) + line.strip());
            else statements.add(line);
        }
        return statements;
    }

    JsonNode last;

    void run(String statement) throws Exception {
        String[] words = statement.split(" +", 3);
        if (words[0].equals("UNTIL")) {
            await(statement.split(" +", 6));
            return;
        }
        if (words[1].equals("=")) {
            known.put(words[0], last.at(words[2]).asText());
            return;
        }
        ApiKeys api = ApiKeys.valueOf(words[0]);
        for (short version : versions(words[1])) {
            known.put("V", Short.toString(version));
            JsonNode body = JSON.readTree(expand(words.length > 2 ? words[2] : "{}"));
            last = answer(api, version, body);
            System.out.println(words[0] + " v" + version + " " + alike(last, ""));
        }
    }

    /** UNTIL pointer value API version json */
    void await(String[] words) throws Exception {
        long deadline = System.nanoTime() + 20_000_000_000L;
        do {
            last = answer(ApiKeys.valueOf(words[3]), Short.parseShort(words[4]), JSON.readTree(expand(words[5])));
            if (last.at(words[1]).asText().equals(words[2])) return;
            Thread.sleep(20);
        } while (System.nanoTime() < deadline);
        System.out.println("waited in vain for " + words[1] + " = " + words[2] + " in " + last);
    }

    static List<Short> versions(String text) {
        List<Short> versions = new ArrayList<>();
        for (String range : text.split(",")) {
            String[] ends = range.split("-");
            for (short v = Short.parseShort(ends[0]); v <= Short.parseShort(ends[ends.length - 1]); v++) versions.add(v);
        }
        return versions;
    }

    String expand(String text) {
        for (Map.Entry<String, String> entry : known.entrySet()) text = text.replace("$" + entry.getKey(), entry.getValue());
        Matcher matcher = BATCH.matcher(text);
        return matcher.replaceAll(found -> batch(Integer.parseInt(found.group(1)), found.group(2), found.group(3), found.group(4), found.group(5) != null));
    }

    String batch(int count, String producerId, String epoch, String sequence, boolean isTransactional) {
        SimpleRecord[] records = new SimpleRecord[count];
        for (int i = 0; i < count; i++) records[i] = new SimpleRecord(1_700_000_000_000L + i, ("k" + i).getBytes(), ("v" + i).getBytes());
        MemoryRecords batch;
        if (producerId == null) batch = MemoryRecords.withRecords(Compression.NONE, records);
        else {
            long id = Long.parseLong(known.getOrDefault(producerId, producerId));
            short at = Short.parseShort(epoch);
            int first = Integer.parseInt(sequence);
            batch = isTransactional ? MemoryRecords.withTransactionalRecords(Compression.NONE, id, at, first, records)
                : MemoryRecords.withIdempotentRecords(Compression.NONE, id, at, first, records);
        }
        byte[] bytes = new byte[batch.sizeInBytes()];
        batch.buffer().get(bytes);
        return Base64.getEncoder().encodeToString(bytes);
    }

    JsonNode answer(ApiKeys api, short version, JsonNode body) throws Exception {
        try {
            if (socket == null) {
                socket = new Socket(host, port);
                socket.setTcpNoDelay(true);
                socket.setSoTimeout(15_000);
            }
            send(api, version, body);
            if (api == ApiKeys.PRODUCE && body.path("acks").asInt() == 0) return problem("none expected");
            ByteBufferAccessor readable = new ByteBufferAccessor(ByteBuffer.wrap(receive()));
            ResponseHeaderData header = new ResponseHeaderData(readable, api.responseHeaderVersion(version));
            if (header.correlationId() != correlation) return problem("correlation id " + header.correlationId() + " for " + correlation);
            ApiMessage response = api.messageType.newResponse();
            response.read(readable, version);
            JsonNode answer = write("Response", api, response, version);
            if (readable.remaining() > 0) ((ObjectNode) answer).put("bytesLeftOver", readable.remaining());
            return answer;
        } catch (EOFException | SocketException closed) {
            drop();
            return problem("connection closed");
        } catch (SocketTimeoutException silent) {
            drop();
            return problem("no answer in time");
        } catch (InvocationTargetException unfit) {
            return problem("not sent: " + unfit.getCause().getMessage());
        } catch (UnsupportedVersionException unfit) {
            return problem("not sent: " + unfit.getMessage());
        }
    }

    void send(ApiKeys api, short version, JsonNode given) throws Exception {
        ObjectNode body = (ObjectNode) write("Request", api, api.messageType.newRequest(), version);
        body.setAll((ObjectNode) given);
        ApiMessage message = (ApiMessage) converter("Request", api).getMethod("read", JsonNode.class, short.class).invoke(null, body, version);
        RequestHeaderData header = new RequestHeaderData().setRequestApiKey(api.id).setRequestApiVersion(version)
            .setCorrelationId(++correlation).setClientId("wire");
        ByteBuffer head = MessageUtil.toByteBufferAccessor(header, api.requestHeaderVersion(version)).buffer();
        ByteBuffer rest = MessageUtil.toByteBufferAccessor(message, version).buffer();
        ByteBuffer frame = ByteBuffer.allocate(4 + head.remaining() + rest.remaining());
        frame.putInt(head.remaining() + rest.remaining()).put(head).put(rest);
        socket.getOutputStream().write(frame.array());
    }

    byte[] receive() throws IOException {
        DataInputStream in = new DataInputStream(socket.getInputStream());
        byte[] frame = new byte[in.readInt()];
        in.readFully(frame);
        return frame;
    }

    void drop() throws IOException {
        if (socket != null) socket.close();
        socket = null;
    }

    static JsonNode write(String kind, ApiKeys api, ApiMessage message, short version) throws Exception {
        Class<?> converter = converter(kind, api);
        boolean isRequest = kind.equals("Request");
        // With records left out, the converter says how many bytes they are.
        Method write = isRequest ? converter.getMethod("write", message.getClass(), short.class)
            : converter.getMethod("write", message.getClass(), short.class, boolean.class);
        return (JsonNode) (isRequest ? write.invoke(null, message, version) : write.invoke(null, message, version, false));
    }

    static Class<?> converter(String kind, ApiKeys api) throws ClassNotFoundException {
        ApiMessage message = kind.equals("Request") ? api.messageType.newRequest() : api.messageType.newResponse();
        return Class.forName(message.getClass().getName() + "JsonConverter");
    }

    static JsonNode problem(String what) { return JSON.createObjectNode().put("problem", what); }

    /** The answer with what no two runs share replaced, and lists whose order means nothing sorted. */
    JsonNode alike(JsonNode node, String name) {
        if (node instanceof ObjectNode object) {
            ObjectNode copy = JSON.createObjectNode();
            object.fields().forEachRemaining(field -> copy.set(field.getKey(), alike(field.getValue(), field.getKey())));
            return copy;
        }
        if (node instanceof ArrayNode array) {
            List<JsonNode> items = new ArrayList<>();
            array.forEach(item -> {
                if (!isLater(item) && !isForeign(item)) items.add(alike(item, name));
            });
            items.sort(Comparator.comparing(Wire::sortKey));
            return JSON.createArrayNode().addAll(items);
        }
        if (name.equals("sessionId")) return new TextNode(node.asInt() == 0 ? "none" : "a session");
        if (UNLIKE.contains(name)) return new TextNode(isUnset(node) ? "unset" : "set");
        return node.isTextual() ? new TextNode(UUID.matcher(node.asText()).replaceAll("UUID")) : node;
    }

    /** Another scenario's group, beside this one on the same broker. */
    boolean isForeign(JsonNode item) {
        return item.has("protocolType") && item.has("groupId") && item.size() <= 4 && !item.get("groupId").asText().startsWith(known.get("T"));
    }

    static boolean isLater(JsonNode item) {
        return item.has("apiKey") ? LATER.contains(item.get("apiKey").asInt()) : LATER_FEATURES.contains(item.path("name").asText());
    }

    static boolean isUnset(JsonNode node) {
        return node.isNull() || node.asText().equals("-1") || node.asText().equals("AAAAAAAAAAAAAAAAAAAAAA");
    }

    /** Numbers as numbers: partition 10 comes after partition 9. */
    static String sortKey(JsonNode item) {
        StringBuilder key = new StringBuilder();
        for (String name : List.of("name", "topic", "groupId", "resourceName", "partitionIndex", "partition", "index", "apiKey"))
            if (item.has(name)) key.append(padded(item.get(name))).append(' ');
        return key.append(item).toString();
    }

    static String padded(JsonNode value) {
        return value.isNumber() ? String.format("%010d", value.asLong()) : value.asText();
    }
}
