//! Every shape of event, from AWS's documentation, and what is left of one when any of its values is missing or odd.

use kpl_event::{NoData, Outline, Record, Sink, Stopped, read};
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Default)]
struct Records {
    records: Vec<Record>,
    keep: bool,
}

impl Sink for Records {
    fn record(&mut self, _: u64, record: Record) -> Result<(), Stopped> {
        self.records.push(record);
        Ok(())
    }

    fn keeps_values(&self) -> bool {
        self.keep
    }
}

fn read_text(text: &str) -> (Vec<Record>, Outline) {
    let mut records = Records {
        keep: true,
        ..Records::default()
    };
    let outline = read(&mut records, &mut serde_json::Deserializer::from_str(text)).unwrap();
    (records.records, outline)
}

fn read_json(json: &Value) -> (Vec<Record>, Outline) {
    read_text(&json.to_string())
}

const ARN: &str = "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream";

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html>
fn stream() -> Value {
    let record = |number: &str, data: &str, time: f64| {
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": "1",
                "sequenceNumber": number,
                "data": data,
                "approximateArrivalTimestamp": time,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("shardId-000000000006:{number}"),
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
            "awsRegion": "us-east-2",
            "eventSourceARN": ARN,
        })
    };
    json!({ "Records": [
        record("49590338271490256608559692538361571095921575989136588898", "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==", 1_545_084_650.987),
        record("49590338271490256608559692540925702759324208523137515618", "VGhpcyBpcyBvbmx5IGEgdGVzdC4=", 1_545_084_711.166),
    ] })
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html>
fn window() -> Value {
    let mut event = stream();
    let fields = json!({
        "window": { "start": "2020-12-09T07:04:00Z", "end": "2020-12-09T07:06:00Z" },
        "state": { "1": "282", "2": "715" },
        "shardId": "shardId-000000000006",
        "eventSourceARN": ARN,
        "isFinalInvokeForWindow": false,
        "isWindowTerminatedEarly": false,
    });
    event
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    event
}

/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-kinesis.html>
fn pipes() -> Value {
    let records = stream()["Records"].as_array().unwrap().clone();
    let flat = records.into_iter().map(|mut record| {
        let mut kinesis = record["kinesis"].take();
        let fields = kinesis.as_object_mut().unwrap();
        fields.extend(record.as_object().unwrap().clone());
        fields.remove("kinesis");
        kinesis
    });
    flat.collect()
}

/// <https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html>: with a time in ISO 8601, and an empty
/// string as the sub-sequence number.
fn firehose() -> Value {
    json!({
        "invocationId": "invocationIdExample",
        "deliveryStreamArn": "arn:aws:firehose:us-east-2:123456789012:deliverystream/example",
        "sourceKinesisStreamArn": ARN,
        "region": "us-east-2",
        "records": [{
            "recordId": "49546986683135544286507457936321625675700192471156785154",
            "approximateArrivalTimestamp": "2012-04-23T18:25:43.511Z",
            "data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
            "kinesisRecordMetadata": {
                "shardId": "shardId-000000000006",
                "partitionKey": "1",
                "approximateArrivalTimestamp": "2012-04-23T18:25:43.511Z",
                "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
                "subsequenceNumber": "",
            },
        }],
    })
}

/// <https://docs.aws.amazon.com/kinesisanalytics/latest/dev/lambda-preprocessing-data-model.html>, with seconds.
fn analytics() -> Value {
    json!({
        "invocationId": "00540a87-5050-496a-84e4-e7d92bbaf5e2",
        "applicationArn": "arn:aws:kinesisanalytics:us-east-1:12345678911:application/lambda-test",
        "streamArn": ARN,
        "records": [{
            "recordId": "49572672223665514422805246926656954630972486059535892482",
            "data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
            "kinesisStreamRecordMetadata": {
                "shardId": "shardId-000000000006",
                "partitionKey": "1",
                "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
                "approximateArrivalTimestamp": 1_545_084_650.987,
            },
        }],
    })
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>
fn invocation_record(payload: Option<Value>) -> Value {
    let mut record = json!({
        "requestContext": {
            "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
            "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
        "version": "1.0",
        "timestamp": "2019-11-14T00:38:06.021Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000006",
            "startSequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "endSequenceNumber": "49590338271490256608559692540925702759324208523137515618",
            "approximateArrivalOfFirstRecord": "2018-12-17T22:10:50.987Z",
            "approximateArrivalOfLastRecord": "2018-12-17T22:11:51.166Z",
            "batchSize": 2,
            "streamArn": ARN,
        },
    });
    if let Some(payload) = payload {
        record["payload"] = payload;
    }
    record
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
fn sqs(bodies: &[Value]) -> Value {
    let message = |(number, body): (usize, &Value)| {
        json!({
            "messageId": format!("message-{number}"),
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
            "body": body,
            "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183" },
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
            "awsRegion": "us-east-2",
        })
    };
    let messages: Value = bodies.iter().enumerate().map(message).collect();
    json!({ "Records": messages })
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>
fn sns(message: &Value) -> Value {
    json!({ "Records": [{
        "EventVersion": "1.0",
        "EventSubscriptionArn": "arn:aws:sns:us-east-2:123456789012:sns-lambda:21be56ed-a058-49f5-8c98-aedd2564c486",
        "EventSource": "aws:sns",
        "Sns": {
            "SignatureVersion": "1",
            "Timestamp": "2019-01-02T12:45:07.000Z",
            "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
            "Message": message,
            "Type": "Notification",
            "TopicArn": "arn:aws:sns:us-east-2:123456789012:sns-lambda",
            "Subject": "TestInvoke",
        },
    }] })
}

fn text(json: &Value) -> Value {
    Value::String(json.to_string())
}

/// Every shape that holds the first record of [`stream`], with the number of its records.
fn shapes() -> Vec<(&'static str, Value, usize)> {
    let notification =
        json!({ "Type": "Notification", "MessageId": "a", "TopicArn": "b", "Message": stream().to_string() });
    vec![
        ("stream", stream(), 2),
        ("window", window(), 2),
        ("pipes", pipes(), 2),
        ("firehose", firehose(), 1),
        ("analytics", analytics(), 1),
        ("one record", stream()["Records"][0].take(), 1),
        ("invocation record", invocation_record(Some(text(&stream()))), 2),
        ("invocation record, as it is", invocation_record(Some(stream())), 2),
        (
            "asynchronous",
            json!({ "requestContext": {}, "requestPayload": sns(&text(&pipes())) }),
            2,
        ),
        (
            "sqs",
            sqs(&[text(&stream()), text(&invocation_record(Some(text(&stream()))))]),
            4,
        ),
        ("sqs of sns", sqs(&[text(&notification)]), 2),
        ("sns", sns(&text(&stream())), 2),
    ]
}

#[test]
fn every_shape_of_aws_is_read() {
    for (name, event, len) in shapes() {
        let (records, outline) = read_json(&event);
        assert_eq!(records.len(), len, "{name}");
        let first = &records[0];
        assert_eq!(first.data.as_deref(), Ok(&b"Hello, this is a test."[..]), "{name}");
        assert_eq!(first.partition_key.as_deref(), Some("1"), "{name}");
        let number = "49590338271490256608559692538361571095921575989136588898";
        assert_eq!(first.sequence_number.as_deref(), Some(number), "{name}");
        let arrival = first.arrival.as_ref().unwrap().timestamp().unwrap().to_string();
        let expected = if name == "firehose" {
            "1335205543.511"
        } else {
            "1545084650.987"
        };
        assert_eq!(arrival, expected, "{name}");
        let arn = first.event_source_arn.as_deref().or(outline.stream_arn.as_deref());
        assert_eq!(arn, Some(ARN), "{name}");
        let id = first.event_id.as_deref().and_then(|id| Some(id.split_once(':')?.0));
        assert_eq!(first.shard_id.as_deref().or(id), Some("shardId-000000000006"), "{name}");
        assert!(records.iter().all(|record| record.wrong_types.is_empty()), "{name}");
        assert_eq!(outline.is_array, name == "pipes", "{name}");
        let wrapped = [
            "invocation record",
            "invocation record, as it is",
            "asynchronous",
            "sns",
        ];
        assert_eq!(outline.is_wrapped, wrapped.contains(&name), "{name}");
        assert_eq!(
            first.message_id.as_deref(),
            name.starts_with("sqs").then_some("message-0"),
            "{name}"
        );
        if name == "sqs" {
            assert_eq!(records[3].message_id.as_deref(), Some("message-1"));
        }
        assert_eq!(outline.window.is_empty(), name != "window", "{name}");
    }
}

/// A message without records is something that could not be read, not nothing.
#[test]
fn what_is_not_a_record_is_one_without_data() {
    let deep = (0..8).fold(stream(), |event, _| json!({ "payload": event }));
    let deep_text = (0..8).fold(stream(), |event, _| json!({ "payload": text(&event) }));
    for (event, problem, input) in [
        (invocation_record(None), "only destinations in Amazon S3", None),
        (
            sqs(&[text(&invocation_record(None))]),
            "only destinations in Amazon S3",
            None,
        ),
        (sqs(&[json!("hello")]), "not valid JSON: expected value", Some("hello")),
        (
            sqs(&[json!("{\"Records\":")]),
            "not valid JSON: EOF",
            Some("{\"Records\":"),
        ),
        (json!({ "Records": null }), "Records key is null", Some("null")),
        (
            json!({ "Records": { "a": [1] } }),
            "Records key is an object",
            Some("{\"a\":[1]}"),
        ),
        (
            json!({ "Records": [[1, "x"]] }),
            "an array is not a record",
            Some("[1,\"x\"]"),
        ),
        (json!({ "Records": ["aGk="] }), "a string is not a record", Some("aGk=")),
        (
            json!({ "detail-type": "Scheduled Event" }),
            "does not have a Data",
            None,
        ),
        (json!("text"), "a string is not a record", Some("text")),
        (
            json!([{ "data": { "a": 1 } }]),
            "its data is an object",
            Some("{\"a\":1}"),
        ),
        (json!([{ "data": "a?" }]), "not base64", Some("a?")),
        (deep, "too deep", None),
        (deep_text, "too deep", None),
    ] {
        let (records, _) = read_json(&event);
        let [record] = &records[..] else {
            panic!("{event}: {records:?}")
        };
        let no_data: NoData = record.data.clone().unwrap_err();
        assert!(no_data.to_string().contains(problem), "{event}: {no_data}");
        if let Some(input) = input {
            assert_eq!(no_data.into_input().as_deref(), Some(input), "{event}");
        }
    }
}

/// Every value in a document, as a JSON pointer.
fn pointers(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                pointers(value, format!("{at}/{index}"), all);
            }
        }
        Value::Object(values) => {
            for (key, value) in values {
                pointers(value, format!("{at}/{key}"), all);
            }
        }
        _ => {}
    }
    all.push(at);
}

fn odd_value() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        any::<bool>().prop_map(|value| Some(value.into())),
        any::<i64>().prop_map(|number| Some(number.into())),
        any::<f64>().prop_map(|number| Some(number.into())),
        ".{0,8}".prop_map(|text| Some(text.into())),
        Just(Some(json!([1, "x"]))),
        Just(Some(json!({ "data": 1, "Records": {} }))),
    ]
}

proptest! {
    /// Whatever one value of a record is, the other records come out as they are, and that one is not lost: it is a record
    /// with or without data.
    #[test]
    fn an_odd_value_costs_no_other_record(
        shape in 0..3_usize,
        odd in 0..3_usize,
        pick in any::<prop::sample::Index>(),
        value in odd_value(),
    ) {
        let one = match shape {
            0 => stream()["Records"][0].take(),
            1 => pipes()[0].take(),
            _ => firehose()["records"][0].take(),
        };
        let mut all = Vec::new();
        pointers(&one, String::new(), &mut all);
        let pointer = &all[pick.index(all.len())];
        let mut changed = one.clone();
        match (value, pointer.rsplit_once('/')) {
            (None, Some((parent, key))) => drop(changed.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key)),
            (value, _) => *changed.pointer_mut(pointer).unwrap() = value.unwrap_or(Value::Null),
        }
        let mut records = vec![one.clone(), one.clone(), one.clone()];
        records[odd] = changed;
        let event = match shape {
            0 => json!({ "Records": records }),
            1 => json!(records),
            _ => json!({ "records": records, "region": "eu-central-1" }),
        };
        let (expected, _) = read_json(&json!([one]));
        for event in [event.clone(), sqs(&[text(&event)]), invocation_record(Some(text(&event)))] {
            let (read, _) = read_json(&event);
            prop_assert_eq!(read.len(), 3);
            for (index, mut record) in read.into_iter().enumerate() {
                record.message_id = None;
                prop_assert!(index == odd || record == expected[0], "{:?}", record);
            }
        }
    }

    /// Nothing in a document can make reading panic, and nothing is read as nothing unless there is an empty array.
    #[test]
    fn any_value_anywhere_is_read(
        shape in 0..12_usize,
        pick in any::<prop::sample::Index>(),
        value in odd_value(),
    ) {
        let (_, mut event, _) = shapes().swap_remove(shape);
        let mut all = Vec::new();
        pointers(&event, String::new(), &mut all);
        *event.pointer_mut(&all[pick.index(all.len())]).unwrap() = value.unwrap_or(Value::Null);
        let (records, _) = read_json(&event);
        prop_assert!(!records.is_empty());
    }
}
