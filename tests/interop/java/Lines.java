// What the Java programs share: answers one line of JSON with another, and tells versions. See ../README.md.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.List;
import java.util.StringJoiner;

class Lines {
    static final ObjectMapper JSON = new ObjectMapper();

    interface Answer {
        ObjectNode to(JsonNode line) throws Exception;
    }

    static void answer(Answer answer) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        String line;
        while ((line = in.readLine()) != null) {
            JsonNode request = JSON.readTree(line);
            ObjectNode result = answer.to(request);
            if (request.has("id")) {
                result.set("id", request.get("id"));
            }
            out.println(JSON.writeValueAsString(result));
            out.flush();
        }
    }

    /** A text of a record, or null. */
    static String text(JsonNode record, String name) {
        JsonNode value = record.get(name);
        return value == null || value.isNull() ? null : value.asText();
    }

    static ByteBuffer data(JsonNode record) throws Exception {
        return ByteBuffer.wrap(record.get("data").binaryValue());
    }

    static byte[] bytes(ByteBuffer data) {
        byte[] bytes = new byte[data.remaining()];
        data.duplicate().get(bytes);
        return bytes;
    }

    static ObjectNode unsupported(String what) {
        return JSON.createObjectNode().put("unsupported", what);
    }

    /** What a request asks for beside what every implementation does, or null. Known are the policies, and perhaps a size. */
    static String beyond(JsonNode request, int maxSize, String... policies) {
        String policy = text(request, "policy");
        if (policy != null && !List.of(policies).contains(policy)) {
            return "policy " + policy;
        }
        if (request.has("after")) {
            return "resuming";
        }
        for (JsonNode record : request.path("records")) {
            if (record.has("tags")) {
                return "tags";
            }
        }
        for (Iterator<String> names = request.path("options").fieldNames(); names.hasNext(); ) {
            String name = names.next();
            if (!name.equals("maxSize") || request.get("options").get(name).asInt() != maxSize) {
                return "options " + name;
            }
        }
        return null;
    }

    /** The libraries on the class path that matter. */
    static String versions() {
        StringJoiner versions = new StringJoiner(", ");
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            String name = new File(path).getName().replace(".jar", "");
            if (name.startsWith("amazon-kinesis-") || name.startsWith("protobuf-java-")) {
                int dash = name.lastIndexOf('-');
                versions.add(name.substring(0, dash) + " " + name.substring(dash + 1));
            }
        }
        return versions.add("Java " + System.getProperty("java.version")).toString();
    }
}
