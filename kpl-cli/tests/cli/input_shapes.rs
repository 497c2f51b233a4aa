//! Every shape of input that there is, recognised by its content.

use data_encoding::BASE64;
use kpl_testkit::golden::Golden;
use serde_json::{Value, json};

use crate::support::{Directory, data_file, golden_lines, json_lines, kpl, kpl_golden, record, run};

const SEQUENCE_NUMBER: &str = "49590338271490256608559692538361571095921575989136588898";

/// A document with two records, written in each way that JSON can be.
fn check(document: impl Fn(&str) -> Value, arrival: &Value, sequence_number: Option<&str>) {
    for golden in Golden::all() {
        let document = document(&golden.base64());
        let expected = golden_lines(&golden, sequence_number, arrival);
        let compact = document.to_string();
        let pretty = serde_json::to_string_pretty(&document).unwrap();
        for text in [
            compact.clone(),
            pretty.clone(),
            format!("{compact}\n{pretty}\n\n"),
            format!("\u{feff} \r\n{pretty}{compact}"),
        ] {
            let run = kpl(&["deaggregate"], &text);
            let lines = run.lines();
            assert!(!lines.is_empty(), "{}: {text}", golden.name);
            for times in lines.chunks(expected.len()) {
                assert_eq!(times, expected, "{}", golden.name);
            }
        }
    }
}

#[test]
fn get_records_of_the_aws_cli() {
    for arrival in [
        json!("2026-11-23T10:15:30.123000+00:00"), // version 2
        json!(1480641523.477),                     // version 1
        json!(1795458940),
    ] {
        let document = |data: &str| {
            json!({
                "Records": [{
                    "SequenceNumber": SEQUENCE_NUMBER,
                    "ApproximateArrivalTimestamp": arrival,
                    "Data": data,
                    "PartitionKey": "a",
                    "EncryptionType": "KMS",
                }],
                "NextShardIterator": "AAAAAAAAAAHDbgNxji61vtPOiOxCf6VzspHDJzzIndfCDCgEKuJZqfwbVhrMWoLQ1JR6wCOA6EZaW0Fv2c",
                "MillisBehindLatest": 80742000,
                "ChildShards": [{ "ShardId": "shardId-000000000001", "ParentShards": ["shardId-000000000000"] }],
            })
        };
        check(document, &arrival, Some(SEQUENCE_NUMBER));
    }
}

#[test]
fn a_lambda_event_of_kinesis() {
    let document = |data: &str| {
        json!({
            "Records": [{
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "s1",
                    "sequenceNumber": SEQUENCE_NUMBER,
                    "data": data,
                    "approximateArrivalTimestamp": 1480641523.477,
                    "encryptionType": "KMS",
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": format!("shardId-000000000000:{SEQUENCE_NUMBER}"),
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::123456789012:role/LambdaRole",
                "awsRegion": "us-east-1",
                "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/simple-stream",
            }],
        })
    };
    check(document, &json!(1480641523.477), Some(SEQUENCE_NUMBER));
}

#[test]
fn a_lambda_event_of_a_time_window() {
    let document = |data: &str| {
        json!({
            "window": { "start": "2026-12-09T07:04:00Z", "end": "2026-12-09T07:06:00Z" },
            "state": { "1": 282, "records": "715", "data": {} },
            "shardId": "shardId-000000000006",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/lambda-stream",
            "isFinalInvokeForWindow": false,
            "isWindowTerminatedEarly": false,
            "Records": [{
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "1",
                    "sequenceNumber": SEQUENCE_NUMBER,
                    "data": data,
                    "approximateArrivalTimestamp": 1607497475,
                },
                "eventName": "aws:kinesis:record",
            }],
        })
    };
    check(document, &json!(1607497475), Some(SEQUENCE_NUMBER));
}

#[test]
fn firehose_transformation_events_give_milliseconds() {
    let document = |data: &str| {
        json!({
            "invocationId": "invoked123",
            "deliveryStreamArn": "aws:lambda:events",
            "sourceKinesisStreamArn": "arn:aws:kinesis:us-east-1:123456789012:stream/test",
            "region": "us-west-2",
            "records": [{
                "data": data,
                "recordId": "record1",
                "approximateArrivalTimestamp": 1507217624999_u64,
                "kinesisRecordMetadata": {
                    "shardId": "shardId-000000000000",
                    "partitionKey": "4d1ad2b9-24f8-4b9d-a088-76e9947c317a",
                    "approximateArrivalTimestamp": 1507217624302_u64,
                    "sequenceNumber": SEQUENCE_NUMBER,
                    "subsequenceNumber": 123456,
                },
            }],
        })
    };
    check(document, &json!(1507217624.302), Some(SEQUENCE_NUMBER));
}

#[test]
fn firehose_events_of_direct_put_have_no_stream() {
    let document = |data: &str| {
        json!({
            "invocationId": "invoked123",
            "records": [{ "recordId": "record1", "data": data, "approximateArrivalTimestamp": 1510772160000_u64 }],
        })
    };
    check(document, &json!(1510772160), None);
}

#[test]
fn kinesis_analytics_preprocessing_events() {
    let document = |data: &str| {
        json!({
            "invocationId": "00540a87-5050-496a-84e4-e7d92bbaf5e2",
            "applicationArn": "arn:aws:kinesisanalytics:us-east-1:123456789012:application/lambda-test",
            "streamArn": "arn:aws:kinesis:us-east-1:123456789012:stream/test",
            "records": [{
                "recordId": "49572672223665514422805246926656954630972486059535892482",
                "data": data,
                "kinesisStreamRecordMetadata": {
                    "sequenceNumber": SEQUENCE_NUMBER,
                    "partitionKey": "a",
                    "shardId": "shardId-000000000000",
                    "approximateArrivalTimestamp": 1520280173000_u64,
                },
            }],
        })
    };
    check(document, &json!(1520280173), Some(SEQUENCE_NUMBER));
}

#[test]
fn json_lines_and_arrays_of_records() {
    let one = |data: &str| json!({ "Data": data, "PartitionKey": "a", "SequenceNumber": SEQUENCE_NUMBER });
    check(one, &Value::Null, Some(SEQUENCE_NUMBER));
    check(
        |data| json!([one(data), one(data)]),
        &Value::Null,
        Some(SEQUENCE_NUMBER),
    );
    check(|data| json!({ "Data": data }), &Value::Null, None);
}

#[test]
fn the_bytes_of_one_record() {
    for golden in Golden::all() {
        let run = kpl(&["deaggregate", "--raw"], &golden.aggregated);
        assert_eq!(
            run.lines(),
            golden_lines(&golden, None, &Value::Null),
            "{}",
            golden.name
        );
    }
    // Whatever they look like.
    let line = &kpl(&["deaggregate", "--raw"], r#"{"Data":"AAAA"}"#).lines()[0];
    assert_eq!(line["Data"], BASE64.encode(br#"{"Data":"AAAA"}"#));
    let line = &kpl(&["deaggregate", "--raw"], "").lines()[0];
    assert_eq!(line["Data"], "");
}

#[test]
fn what_the_aws_cli_wrote() {
    let file = data_file("get-records-cli-1.46.3.json");
    let json: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let lines = kpl(&["deaggregate", "--data", "json", file.to_str().unwrap()], "").lines();
    assert_eq!(lines.len(), 240);
    assert_eq!(lines[0]["SequenceNumber"], json["Records"][0]["SequenceNumber"]);
    assert_eq!(
        lines[0]["ApproximateArrivalTimestamp"],
        json["Records"][0]["ApproximateArrivalTimestamp"]
    );
    // They count up within each key.
    let mut last = std::collections::HashMap::new();
    for line in &lines {
        let number = line["Data"]["n"].as_u64().unwrap();
        assert!(last.insert(line["PartitionKey"].to_string(), number) < Some(number));
    }
    assert_eq!(last.len(), 12);
}

#[test]
fn shapes_may_be_mixed_and_keep_their_order() {
    let lambda = json!({ "Records": [{ "kinesis": { "data": BASE64.encode(b"2"), "sequenceNumber": "2" } }] });
    let get_records = json!({ "Records": [record(b"3", "3"), record(b"4", "4")], "MillisBehindLatest": 0 });
    let input = format!(
        "{}\n{lambda:#}{get_records}[]{}{}\n",
        record(b"1", "1"),
        json!({ "Records": [] }),
        json!([record(b"5", "5")]),
    );
    let lines = kpl(&["deaggregate", "--data", "text"], input).lines();
    let data: Vec<_> = lines.iter().map(|line| line["Data"].as_str().unwrap()).collect();
    assert_eq!(data, ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_record_may_have_a_key_called_records() {
    let mut odd = record(b"odd", "1");
    odd["Records"] = json!([record(b"inside", "2")]);
    let lines = kpl(&["deaggregate", "--data", "text"], odd.to_string()).lines();
    let data: Vec<_> = lines.iter().map(|line| line["Data"].as_str().unwrap()).collect();
    assert_eq!(data, ["inside", "odd"]);
}

#[test]
fn files_are_read_one_after_the_other() {
    let directory = Directory::new();
    let one = directory.file("one.json", record(b"1", "1").to_string());
    let two = directory.file("two", json_lines(&[record(b"2", "2"), record(b"3", "3")]));
    let run = kpl(
        &["deaggregate", "--data", "text", &one, "-", &two],
        record(b"x", "9").to_string(),
    );
    let data: Vec<_> = run.lines().iter().map(|line| line["Data"].clone()).collect();
    assert_eq!(data, ["1", "x", "2", "3"]);
    let mut in_directory = crate::support::command();
    let run = run_in(in_directory.args(["deaggregate", "two"]), &directory);
    assert_eq!(run.lines().len(), 2);
}

fn run_in(command: &mut std::process::Command, directory: &Directory) -> crate::support::Run {
    run(command.current_dir(directory.path()), b"")
}

#[test]
fn empty_input_unpacks_to_nothing() {
    for input in [
        "",
        "\n \n",
        "[]",
        r#"{"Records":[]}"#,
        r#"{"Records":[],"MillisBehindLatest":80742000}"#,
    ] {
        assert!(kpl(&["deaggregate"], input).lines().is_empty(), "{input}");
    }
}

#[test]
fn streams_that_give_no_partition_keys() {
    let golden = kpl_golden();
    let input = json_lines(&[
        json!({ "Data": golden.base64() }),
        json!({ "Data": "AAAA", "PartitionKey": null }),
    ]);
    let lines = kpl(&["deaggregate"], input).lines();
    assert_eq!(lines[..8], golden_lines(&golden, None, &Value::Null));
    assert_eq!(lines[8]["PartitionKey"], Value::Null);
    assert_eq!(lines[8].get("Malformed"), None);
}
