// The Java modules amazon-kinesis-aggregator and amazon-kinesis-deaggregator: `Modules check|read|write SHAPE`. See ../measure.py.

import com.amazonaws.kinesis.agg.RecordAggregator;
import com.amazonaws.kinesis.deagg.RecordDeaggregator;
import com.amazonaws.services.kinesis.clientlibrary.types.UserRecord;
import com.amazonaws.services.lambda.runtime.events.KinesisEvent;
import java.nio.ByteBuffer;
import java.util.List;

public class Modules {
    static final RecordAggregator AGGREGATOR = new RecordAggregator();

    static KinesisEvent.KinesisEventRecord delivered(byte[] data) {
        KinesisEvent.Record inner = new KinesisEvent.Record();
        inner.setData(ByteBuffer.wrap(data));
        inner.setPartitionKey("a");
        inner.setSequenceNumber("1");
        KinesisEvent.KinesisEventRecord record = new KinesisEvent.KinesisEventRecord();
        record.setKinesis(inner);
        return record;
    }

    static List<UserRecord> read(byte[] data) {
        return RecordDeaggregator.deaggregate(List.of(delivered(data)));
    }

    static byte[] write(List<Shape.User> users) throws Exception {
        for (Shape.User user : users) {
            Shape.check(AGGREGATOR.addUserRecord(user.key(), user.data()) == null, "the aggregate was full too early");
        }
        return AGGREGATOR.clearAndGet().toRecordBytes();
    }

    static void check(List<UserRecord> read, List<Shape.User> users) {
        Shape.check(read.size() == users.size(), read.size() + " records instead of " + users.size());
        for (int index = 0; index < read.size(); index++) {
            Shape.check(read.get(index).getPartitionKey(), read.get(index).getData(), users.get(index));
        }
    }

    public static void main(String[] args) throws Exception {
        List<Shape> shapes = Shape.load(args[1]);
        int[] records = shapes.stream().mapToInt(shape -> shape.users().size()).toArray();
        switch (args[0]) {
            case "check" -> {
                for (Shape shape : shapes) {
                    check(read(shape.aggregate()), shape.users());
                    // It writes an explicit hash key for every record, so its bytes are others; they must hold the same records.
                    check(read(write(shape.users())), shape.users());
                }
            }
            case "read" -> {
                List<byte[]> data = shapes.stream().map(Shape::aggregate).toList();
                shapes = null;
                Shape.say(Shape.versions("amazon-kinesis-"));
                Shape.serve(data, records, Modules::read);
            }
            default -> {
                List<List<Shape.User>> users = shapes.stream().map(Shape::users).toList();
                shapes = null;
                Shape.say(Shape.versions("amazon-kinesis-"));
                Shape.serve(users, records, Modules::write);
            }
        }
    }
}
