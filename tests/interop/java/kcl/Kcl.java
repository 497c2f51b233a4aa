// Reads with the Amazon Kinesis Client Library's AggregatorUtil. See ../../README.md.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import software.amazon.kinesis.retrieval.AggregatorUtil;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

public class Kcl {
    static List<KinesisClientRecord> deaggregate(JsonNode batch) throws Exception {
        List<KinesisClientRecord> records = new ArrayList<>();
        for (JsonNode record : batch.get("records")) {
            records.add(KinesisClientRecord.builder()
                    .partitionKey(Lines.text(record, "partitionKey"))
                    .sequenceNumber(Lines.text(record, "sequenceNumber"))
                    .data(Lines.data(record))
                    .build());
        }
        JsonNode range = batch.get("range");
        return range == null || range.isNull()
                ? new AggregatorUtil().deaggregate(records)
                : new AggregatorUtil().deaggregate(records, range.get(0).asText(), range.get(1).asText());
    }

    static ObjectNode read(JsonNode batch) {
        ObjectNode result = Lines.JSON.createObjectNode();
        ArrayNode records = result.putArray("records");
        try {
            for (KinesisClientRecord record : deaggregate(batch)) {
                records.addObject()
                        .put("partitionKey", record.partitionKey())
                        .put("explicitHashKey", record.explicitHashKey())
                        .put("data", Lines.bytes(record.data()))
                        .put("sequenceNumber", record.sequenceNumber())
                        .put("subSequenceNumber", record.subSequenceNumber())
                        .put("aggregated", record.aggregated());
            }
        } catch (Exception | Error error) {
            result.put("error", error.toString());
        }
        return result;
    }

    /** The reader's own rule, which it applies to ranges. */
    static class HashKeys extends AggregatorUtil {
        String of(JsonNode keys) throws Exception {
            return effectiveHashKey(Lines.text(keys, "partitionKey"), Lines.text(keys, "explicitHashKey")).toString();
        }
    }

    /** An answer to a request of ../../../../conformance/README.md. */
    static ObjectNode conformance(JsonNode request) throws Exception {
        String operation = request.get("operation").asText();
        switch (operation) {
            case "version":
                return Lines.JSON.createObjectNode().put("version", Lines.versions());
            case "read":
                String beyond = Lines.beyond(request, 0, "deliver", "drop_aggregate");
                return beyond == null ? read(request) : Lines.unsupported(beyond);
            case "hash_key":
                String strict = Lines.beyond(request, 0);
                return strict == null
                        ? Lines.JSON.createObjectNode().put("hashKey", new HashKeys().of(request))
                        : Lines.unsupported(strict);
            default:
                return Lines.unsupported("operation " + operation);
        }
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "read" -> Lines.answer(Kcl::read);
            case "conformance" -> Lines.answer(Kcl::conformance);
            default -> System.out.println(Lines.versions());
        }
    }
}
