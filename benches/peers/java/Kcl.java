// AggregatorUtil of the Amazon Kinesis Client Library, which only reads: `Kcl check|read SHAPE`. See ../measure.py.

import java.nio.ByteBuffer;
import java.util.List;
import software.amazon.kinesis.retrieval.AggregatorUtil;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

public class Kcl {
    static final AggregatorUtil UTIL = new AggregatorUtil();

    static List<KinesisClientRecord> read(byte[] data) {
        KinesisClientRecord record = KinesisClientRecord.builder()
                .partitionKey("a")
                .sequenceNumber("1")
                .data(ByteBuffer.wrap(data))
                .build();
        return UTIL.deaggregate(List.of(record));
    }

    public static void main(String[] args) throws Exception {
        List<Shape> shapes = Shape.load(args[1]);
        if (args[0].equals("check")) {
            for (Shape shape : shapes) {
                List<KinesisClientRecord> read = read(shape.aggregate());
                Shape.check(read.size() == shape.users().size(), read.size() + " records instead of " + shape.users().size());
                for (int index = 0; index < read.size(); index++) {
                    Shape.check(read.get(index).partitionKey(), read.get(index).data(), shape.users().get(index));
                }
            }
            return;
        }
        int[] records = shapes.stream().mapToInt(shape -> shape.users().size()).toArray();
        List<byte[]> data = shapes.stream().map(Shape::aggregate).toList();
        shapes = null;
        Shape.say(Shape.versions("amazon-kinesis-client"));
        Shape.serve(data, records, Kcl::read);
    }
}
