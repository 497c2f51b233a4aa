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
            out.println(JSON.writeValueAsString(answer.to(JSON.readTree(line))));
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

    /** The libraries on the class path that matter. */
    static void version() {
        StringJoiner versions = new StringJoiner(", ");
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            String name = new File(path).getName().replace(".jar", "");
            if (name.startsWith("amazon-kinesis-") || name.startsWith("protobuf-java-")) {
                int dash = name.lastIndexOf('-');
                versions.add(name.substring(0, dash) + " " + name.substring(dash + 1));
            }
        }
        System.out.println(versions.add("Java " + System.getProperty("java.version")));
    }
}
