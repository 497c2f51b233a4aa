// What the Java programs share: the file of a shape (../shapes.py), and what every program says and is told (../measure.py).

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.StringJoiner;

/** An aggregate, with its user records. */
record Shape(byte[] aggregate, List<User> users) {
    record User(String key, byte[] data) {}

    interface Work<T> {
        Object on(T item) throws Exception;
    }

    static volatile Object sink;

    static List<Shape> load(String path) throws IOException {
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(Path.of(path)));
        List<Shape> shapes = new ArrayList<>();
        while (file.hasRemaining()) {
            byte[] aggregate = chunk(file);
            List<User> users = new ArrayList<>();
            for (int count = file.getInt(); count > 0; count--) {
                users.add(new User(new String(chunk(file), StandardCharsets.UTF_8), chunk(file)));
            }
            shapes.add(new Shape(aggregate, users));
        }
        return shapes;
    }

    private static byte[] chunk(ByteBuffer file) {
        byte[] data = new byte[file.getInt()];
        file.get(data);
        return data;
    }

    /** Calls the work with one item after the other, again and again, for as long as each order says. */
    static <T> void serve(List<T> items, int[] records, Work<T> work) throws Exception {
        for (String order : (Iterable<String>) orders().lines()::iterator) {
            double limit = Double.parseDouble(order);
            double[] times = new double[1 << 20];
            int calls = 0;
            long count = 0;
            long begin = System.nanoTime();
            while (System.nanoTime() - begin < limit * 1e9) {
                for (int index = 0; index < items.size(); index++) {
                    long before = System.nanoTime();
                    sink = work.on(items.get(index));
                    times[calls++] = (System.nanoTime() - before) / 1e9;
                    count += records[index];
                }
            }
            answer(count, 0, (System.nanoTime() - begin) / 1e9, Arrays.copyOf(times, calls));
        }
    }

    static BufferedReader orders() {
        return new BufferedReader(new InputStreamReader(System.in));
    }

    static void answer(long records, long failed, double seconds, double[] times) {
        Arrays.sort(times);
        say(String.format(
                Locale.ROOT, "{\"records\": %d, \"failed\": %d, \"seconds\": %f, \"p50\": %.9f, \"p99\": %.9f}",
                records, failed, seconds, times[(times.length - 1) / 2], times[(int) ((times.length - 1) * 0.99)]));
    }

    static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    /** The libraries on the class path whose names begin so, and Java. */
    static String versions(String prefix) {
        StringJoiner versions = new StringJoiner(", ");
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            String name = new File(path).getName().replace(".jar", "");
            if (name.startsWith(prefix)) {
                int dash = name.lastIndexOf('-');
                versions.add(name.substring(0, dash) + " " + name.substring(dash + 1));
            }
        }
        return versions.add("Java " + System.getProperty("java.version")).toString();
    }

    static void check(boolean condition, String otherwise) {
        if (!condition) {
            throw new IllegalStateException(otherwise);
        }
    }

    /** A user record that was read is the expected one. */
    static void check(String key, ByteBuffer data, User user) {
        check(key.equals(user.key), "another partition key was read");
        check(data.equals(ByteBuffer.wrap(user.data)), "other data was read");
    }
}
