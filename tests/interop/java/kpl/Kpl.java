// Writes with the Amazon Kinesis Producer Library, native binary included. Run by ../../node/serve.js, to whose server it
// sends. See ../../README.md.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.util.concurrent.ListenableFuture;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordFailedException;
import software.amazon.kinesis.producer.UserRecordResult;

public class Kpl {
    static KinesisProducer producer() {
        long port = Long.parseLong(System.getenv("KINESIS_PORT"));
        return new KinesisProducer(new KinesisProducerConfiguration()
                .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "any")))
                .setRegion("us-east-1")
                .setKinesisEndpoint("localhost")
                .setKinesisPort(port)
                .setCloudwatchEndpoint("localhost")
                .setCloudwatchPort(port)
                .setStsEndpoint("localhost")
                .setStsPort(port)
                .setVerifyCertificate(false)
                .setMetricsLevel("none")
                .setLogLevel("error")
                .setRateLimit(Long.MAX_VALUE)
                .setRecordTtl(600_000)
                .setRecordMaxBufferedTime(300_000));
    }

    /** Sends user records and waits for the server's answers: their sequence numbers. */
    static ObjectNode send(KinesisProducer producer, JsonNode set) throws Exception {
        ObjectNode result = Lines.JSON.createObjectNode();
        ArrayNode numbers = result.putArray("sequenceNumbers");
        ArrayNode errors = result.putArray("errors");
        List<ListenableFuture<UserRecordResult>> futures = new ArrayList<>();
        for (JsonNode record : set.get("records")) {
            try {
                futures.add(producer.addUserRecord(
                        "interop",
                        Lines.text(record, "partitionKey"),
                        Lines.text(record, "explicitHashKey"),
                        Lines.data(record)));
            } catch (RuntimeException error) {
                errors.add(error.toString());
            }
        }
        // As flushSync, which asks twice a second. The pause lets the native process take all records before the first.
        Thread.sleep(50);
        while (!futures.stream().allMatch(ListenableFuture::isDone)) {
            producer.flush();
            Thread.sleep(20);
        }
        for (ListenableFuture<UserRecordResult> future : futures) {
            try {
                numbers.add(future.get().getSequenceNumber());
            } catch (ExecutionException error) {
                StringBuilder reason = new StringBuilder(error.getCause().toString());
                if (error.getCause() instanceof UserRecordFailedException failed) {
                    failed.getResult().getAttempts().forEach(attempt -> reason.append(' ').append(attempt.getErrorMessage()));
                }
                errors.add(reason.toString());
            }
        }
        return result;
    }

    /** Until the producer knows the stream's shards it aggregates nothing: two records of one aggregate end that. */
    static void warmUp(KinesisProducer producer) throws Exception {
        JsonNode two = Lines.JSON.readTree(
                "{\"records\": [{\"partitionKey\": \"a\", \"data\": \"AA==\"}, {\"partitionKey\": \"a\", \"data\": \"AA==\"}]}");
        for (int attempt = 0; attempt < 100; attempt++) {
            JsonNode numbers = send(producer, two).get("sequenceNumbers");
            if (numbers.size() == 2 && numbers.get(0).equals(numbers.get(1))) {
                return;
            }
            Thread.sleep(100);
        }
        throw new IllegalStateException("the producer does not aggregate");
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("write")) {
            KinesisProducer producer = producer();
            warmUp(producer);
            Lines.answer(set -> send(producer, set));
            producer.destroy();
            System.exit(0);
        } else {
            System.out.println(Lines.versions());
        }
    }
}
