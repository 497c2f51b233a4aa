// The Amazon Kinesis Producer Library, native binary included: `Producer SHAPE URL [CERTIFICATE]`. See ../measure.py.

import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.net.URI;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

public class Producer {
    static KinesisProducer producer(URI url, String certificate) {
        // The service takes more than Kinesis does. All other options are the defaults.
        KinesisProducerConfiguration config = new KinesisProducerConfiguration()
                .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "any")))
                .setRegion("us-east-1")
                .setCloudwatchEndpoint(url.getHost())
                .setCloudwatchPort(url.getPort())
                .setStsEndpoint(url.getHost())
                .setStsPort(url.getPort())
                .setMetricsLevel("none")
                .setLogLevel("error")
                .setRateLimit(Long.MAX_VALUE);
        if (certificate != null) {
            config.setCaCertFile(certificate).setKinesisEndpoint(url.getHost()).setKinesisPort(url.getPort());
        }
        return new KinesisProducer(config);
    }

    /** A number in an order, or -1 where it is null. */
    static double number(String order, String name) {
        Matcher matcher = Pattern.compile("\"" + name + "\": ([0-9.]+)").matcher(order);
        return matcher.find() ? Double.parseDouble(matcher.group(1)) : -1;
    }

    /** Sends the records of a shape, again and again, and waits for every outcome. An order is as in ../rust/producer.rs. */
    static void send(KinesisProducer producer, List<Shape.User> users, String order) throws Exception {
        double limit = number(order, "seconds") * 1e9;
        double rate = number(order, "rate");
        double count = number(order, "count");
        int outstanding = (int) number(order, "outstanding");
        Semaphore places = new Semaphore(outstanding);
        // More than it sends, and no more memory than that takes, since memory is measured.
        double[] times = new double[(int) (number(order, "seconds") * 200_000)];
        AtomicInteger done = new AtomicInteger();
        AtomicInteger failed = new AtomicInteger();
        long begin = System.nanoTime();
        for (int number = 0; count < 0 || number < count; number++) {
            long due = rate < 0 ? System.nanoTime() : begin + (long) (number / rate * 1e9);
            if (due - begin >= limit) {
                break;
            }
            long early = due - System.nanoTime();
            if (early > 0) {
                Thread.sleep(early / 1_000_000, (int) (early % 1_000_000));
            }
            places.acquire();
            long since = rate < 0 ? System.nanoTime() : due;
            Shape.User user = users.get(number % users.size());
            Futures.addCallback(
                    producer.addUserRecord("peers", user.key(), ByteBuffer.wrap(user.data())),
                    new FutureCallback<UserRecordResult>() {
                        @Override
                        public void onSuccess(UserRecordResult result) {
                            int index = done.getAndIncrement();
                            if (index < times.length) {
                                times[index] = (System.nanoTime() - since) / 1e9;
                            }
                            places.release();
                        }

                        @Override
                        public void onFailure(Throwable error) {
                            failed.incrementAndGet();
                            places.release();
                        }
                    },
                    MoreExecutors.directExecutor());
        }
        places.acquire(outstanding);
        Shape.answer(done.get(), failed.get(), (System.nanoTime() - begin) / 1e9, Arrays.copyOf(times, Math.min(done.get(), times.length)));
    }

    public static void main(String[] args) throws Exception {
        List<Shape.User> users = new ArrayList<>();
        Shape.load(args[0]).forEach(shape -> users.addAll(shape.users()));
        KinesisProducer producer = producer(URI.create(args[1]), args.length > 2 ? args[2] : null);
        Shape.say(Shape.versions("amazon-kinesis-producer"));
        for (String order : (Iterable<String>) Shape.orders().lines()::iterator) {
            send(producer, users, order);
        }
        producer.destroy();
        System.exit(0);
    }
}
