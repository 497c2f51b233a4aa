// Writes and reads with the Java modules amazon-kinesis-aggregator and amazon-kinesis-deaggregator. See ../../README.md.

import com.amazonaws.kinesis.agg.AggRecord;
import com.amazonaws.kinesis.agg.RecordAggregator;
import com.amazonaws.kinesis.deagg.RecordDeaggregator;
import com.amazonaws.services.kinesis.clientlibrary.types.UserRecord;
import com.amazonaws.services.lambda.runtime.events.KinesisEvent;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;

public class Modules {
    static ObjectNode write(JsonNode set) {
        ObjectNode result = Lines.JSON.createObjectNode();
        ArrayNode records = result.putArray("records");
        ArrayNode errors = result.putArray("errors");
        RecordAggregator aggregator = new RecordAggregator();
        for (JsonNode record : set.get("records")) {
            try {
                add(records, aggregator.addUserRecord(
                        Lines.text(record, "partitionKey"),
                        Lines.text(record, "explicitHashKey"),
                        Lines.bytes(Lines.data(record))));
            } catch (Exception error) {
                errors.add(error.toString());
            }
        }
        add(records, aggregator.clearAndGet());
        return result;
    }

    static void add(ArrayNode records, AggRecord record) {
        if (record != null) {
            records.addObject()
                    .put("partitionKey", record.getPartitionKey())
                    .put("explicitHashKey", record.getExplicitHashKey())
                    .put("data", record.toRecordBytes());
        }
    }

    static ObjectNode read(JsonNode batch) {
        ObjectNode result = Lines.JSON.createObjectNode();
        ArrayNode records = result.putArray("records");
        try {
            List<KinesisEvent.KinesisEventRecord> event = new ArrayList<>();
            for (JsonNode record : batch.get("records")) {
                KinesisEvent.Record kinesis = new KinesisEvent.Record();
                kinesis.setData(Lines.data(record));
                kinesis.setPartitionKey(Lines.text(record, "partitionKey"));
                kinesis.setSequenceNumber(Lines.text(record, "sequenceNumber"));
                KinesisEvent.KinesisEventRecord outer = new KinesisEvent.KinesisEventRecord();
                outer.setKinesis(kinesis);
                event.add(outer);
            }
            for (UserRecord record : RecordDeaggregator.deaggregate(event)) {
                records.addObject()
                        .put("partitionKey", record.getPartitionKey())
                        .put("explicitHashKey", record.getExplicitHashKey())
                        .put("data", Lines.bytes(record.getData()))
                        .put("sequenceNumber", record.getSequenceNumber())
                        .put("subSequenceNumber", record.getSubSequenceNumber())
                        .put("aggregated", record.isAggregated());
            }
        } catch (Exception | Error error) {
            result.put("error", error.toString());
        }
        return result;
    }

    /** An answer to a request of ../../../../conformance/README.md. */
    static ObjectNode conformance(JsonNode request) {
        String operation = request.get("operation").asText();
        if (operation.equals("version")) {
            return Lines.JSON.createObjectNode().put("version", Lines.versions());
        }
        if (operation.equals("read")) {
            String beyond = Lines.beyond(request, 0, "deliver");
            return beyond == null ? read(request) : Lines.unsupported(beyond);
        }
        if (operation.equals("write")) {
            String beyond = Lines.beyond(request, 1 << 20, "wrapped", "first_key");
            return beyond == null ? write(request) : Lines.unsupported(beyond);
        }
        return Lines.unsupported("operation " + operation);
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "write" -> Lines.answer(Modules::write);
            case "read" -> Lines.answer(Modules::read);
            case "conformance" -> Lines.answer(Modules::conformance);
            default -> System.out.println(Lines.versions());
        }
    }
}
