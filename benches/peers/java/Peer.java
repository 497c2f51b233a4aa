// Measures the Java modules amazon-kinesis-aggregator and amazon-kinesis-deaggregator:
// `java -cp 'MODULES/*' Peer.java MODULES SHAPES RESULT`. See ../run.sh.

import com.amazonaws.kinesis.agg.RecordAggregator;
import com.amazonaws.kinesis.deagg.RecordDeaggregator;
import com.amazonaws.services.kinesis.clientlibrary.types.UserRecord;
import com.amazonaws.services.lambda.runtime.events.KinesisEvent;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeMap;

public class Peer {
    static final long WARM_UP = 2_000_000_000L;
    static final long MEASURE = 3_000_000_000L;

    record User(String key, byte[] data) {}

    /** The aggregates of a shape, and the user records of each. */
    record Shape(List<byte[]> aggregates, List<List<User>> records) {
        static Shape load(Path path) throws IOException {
            ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(path));
            Shape shape = new Shape(new ArrayList<>(), new ArrayList<>());
            while (file.hasRemaining()) {
                shape.aggregates.add(chunk(file));
                List<User> users = new ArrayList<>();
                for (int count = file.getInt(); count > 0; count--) {
                    users.add(new User(new String(chunk(file), StandardCharsets.UTF_8), chunk(file)));
                }
                shape.records.add(users);
            }
            return shape;
        }

        static byte[] chunk(ByteBuffer file) {
            byte[] data = new byte[file.getInt()];
            file.get(data);
            return data;
        }
    }

    interface Work {
        Object run() throws Exception;
    }

    static volatile Object sink;

    /** The shortest time of one call in seconds, after a warm-up. */
    static double best(Work work) throws Exception {
        long start = System.nanoTime();
        while (System.nanoTime() - start < WARM_UP) {
            sink = work.run();
        }
        long shortest = Long.MAX_VALUE;
        start = System.nanoTime();
        for (int passes = 0; passes < 3 || System.nanoTime() - start < MEASURE; passes++) {
            long before = System.nanoTime();
            sink = work.run();
            shortest = Math.min(shortest, System.nanoTime() - before);
        }
        return shortest / 1e9;
    }

    static List<UserRecord> decode(List<byte[]> aggregates) {
        List<KinesisEvent.KinesisEventRecord> batch = new ArrayList<>();
        for (byte[] data : aggregates) {
            KinesisEvent.Record inner = new KinesisEvent.Record();
            inner.setData(ByteBuffer.wrap(data));
            inner.setPartitionKey("a");
            inner.setSequenceNumber("1");
            KinesisEvent.KinesisEventRecord record = new KinesisEvent.KinesisEventRecord();
            record.setKinesis(inner);
            batch.add(record);
        }
        return RecordDeaggregator.deaggregate(batch);
    }

    static List<byte[]> encode(List<List<User>> records) throws Exception {
        List<byte[]> sealed = new ArrayList<>();
        RecordAggregator aggregator = new RecordAggregator();
        for (List<User> aggregate : records) {
            for (User user : aggregate) {
                check(aggregator.addUserRecord(user.key, user.data) == null, "the aggregate was full too early");
            }
            sealed.add(aggregator.clearAndGet().toRecordBytes());
        }
        return sealed;
    }

    static void check(boolean condition, String otherwise) {
        if (!condition) {
            throw new IllegalStateException(otherwise);
        }
    }

    static void check(List<UserRecord> read, List<List<User>> records) {
        List<User> expected = new ArrayList<>();
        records.forEach(expected::addAll);
        check(read.size() == expected.size(), read.size() + " records instead of " + expected.size());
        Iterator<User> users = expected.iterator();
        for (UserRecord record : read) {
            User user = users.next();
            ByteBuffer data = record.getData().duplicate();
            byte[] bytes = new byte[data.remaining()];
            data.get(bytes);
            check(record.getPartitionKey().equals(user.key), "another partition key");
            check(Arrays.equals(bytes, user.data), "other data");
        }
    }

    static String json(Map<String, ?> figures) {
        StringJoiner fields = new StringJoiner(", ", "{", "}");
        figures.forEach((key, value) -> fields.add(
                "\"" + key + "\": " + (value instanceof String ? "\"" + value + "\"" : value.toString())));
        return fields.toString();
    }

    public static void main(String[] args) throws Exception {
        Map<String, Double> decode = new TreeMap<>();
        Map<String, Double> encode = new TreeMap<>();
        for (String size : List.of("20", "100", "1000")) {
            Shape shape = Shape.load(Path.of(args[1], size + ".bin"));
            check(decode(shape.aggregates), shape.records);
            // It writes an explicit hash key for every record, so its bytes are others; they must hold the same records.
            check(decode(encode(shape.records)), shape.records);
            double total = shape.aggregates.stream().mapToInt(data -> data.length).sum();
            decode.put(size, total / best(() -> decode(shape.aggregates)));
            encode.put(size, total / best(() -> encode(shape.records)));
        }
        Map<String, String> modules = new TreeMap<>();
        try (DirectoryStream<Path> jars = Files.newDirectoryStream(Path.of(args[0]), "*.jar")) {
            for (Path jar : jars) {
                String name = jar.getFileName().toString().replace(".jar", "");
                if (name.startsWith("amazon-kinesis-")) {
                    int dash = name.lastIndexOf('-');
                    modules.put(name.substring(0, dash), name.substring(dash + 1));
                }
            }
        }
        String result = "{\n  \"language\": \"Java\",\n"
                + "  \"language_version\": \"" + System.getProperty("java.version") + "\",\n"
                + "  \"modules\": " + json(modules) + ",\n"
                + "  \"decode\": " + json(decode) + ",\n"
                + "  \"encode\": " + json(encode) + "\n}\n";
        Files.writeString(Path.of(args[2]), result);
    }
}
