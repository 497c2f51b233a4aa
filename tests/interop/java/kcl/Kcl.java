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
                        .put("subSequenceNumber", record.subSequenceNumber());
            }
        } catch (Exception | Error error) {
            result.put("error", error.toString());
        }
        return result;
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("read")) {
            Lines.answer(Kcl::read);
        } else {
            Lines.version();
        }
    }
}
