//! Events in, user records out.

mod support;

use std::time::Duration;

use kpl::{EncryptionType, RawRecord, Timestamp};
use kpl_lambda::{Batch, BatchResponse, Event, WindowResponse};
use kpl_testkit::golden::Golden;
use serde_json::{Value, json};
use support::{ARN, Line, SHARD, aggregate, event, from_json, numbered, record};

/// Every user record of each golden file comes out of an event, with its keys, data and sub-sequence number.
#[test]
fn golden_files_as_events() {
    let files = Golden::all();
    assert!(files.len() >= 10);
    for golden in files {
        let event = event(&[(golden.aggregated.clone(), "a".into())]);
        let batch = Batch::from(&event);
        let received: Vec<Value> = batch
            .user_records::<RawRecord>()
            .map(|record| {
                let record = record.unwrap();
                assert!(record.is_aggregated());
                assert_eq!(record.partition_key(), record.value.partition_key.as_deref());
                assert_eq!(record.explicit_hash_key(), record.value.explicit_hash_key);
                json!({
                    "partitionKey": record.partition_key(),
                    "explicitHashKey": record.explicit_hash_key().map(|key| key.to_string()),
                    "subSequenceNumber": record.position().unwrap().sub_sequence_number,
                    "data": data_encoding::BASE64.encode(&record.value.data),
                })
            })
            .collect();
        assert_eq!(received, golden.json_records(), "{}", golden.name);
    }
}

/// The sample event of the awslabs Lambda modules: one aggregate of 100 user records with the key `abc`.
#[test]
fn the_sample_event_of_the_reference_project() {
    let golden = Golden::load("java-100-records-one-key.json");
    let event: Event = from_json(&json!({ "Records": [record(
        "shardId-000000000000",
        "49545115243490985018280067714973144582180062593244200961",
        &(golden.aggregated, "a".into()),
    )] }));
    let batch = Batch::from(&event);
    let records: Vec<_> = batch.user_records::<Line>().map(Result::unwrap).collect();
    assert_eq!(records.len(), 100);
    for (number, record) in records.iter().enumerate() {
        assert_eq!(record.value.key, "abc");
        let alphabet = "abcdefghijklmnopqrstuvwxyz";
        let expected: String = match number % 2 {
            0 => alphabet.into(),
            _ => alphabet.chars().rev().collect(),
        };
        assert_eq!(record.value.text, expected);
        let position = format!("49545115243490985018280067714973144582180062593244200961:{number}");
        assert_eq!(record.position().unwrap().to_string(), position);
    }
}

#[test]
fn all_outer_metadata_is_kept() {
    let plain = (b"plain".to_vec(), "xyz".to_owned());
    let event = event(&[aggregate(&[("abc", "one"), ("def", "two")]), plain]);
    let batch = Batch::from(&event);
    let records: Vec<_> = batch.user_records::<Line>().map(Result::unwrap).collect();
    let seen: Vec<_> = records
        .iter()
        .map(|record| {
            (
                batch.event_id(record.kinesis_record_index()).unwrap(),
                record.position().unwrap().to_string(),
                record.partition_key().unwrap(),
                record.is_aggregated(),
            )
        })
        .collect();
    let ids = [format!("{SHARD}:100"), format!("{SHARD}:101")];
    assert_eq!(
        seen,
        [
            (&*ids[0], "100:0".to_owned(), "abc", true),
            (&ids[0], "100:1".to_owned(), "def", true),
            (&ids[1], "101:0".to_owned(), "xyz", false),
        ]
    );
    for record in &records {
        assert_eq!(record.shard_id(), Some(SHARD));
        assert_eq!(record.stream(), Some(ARN));
        let arrival = Timestamp::from_unix_epoch(Duration::from_millis(1_545_084_650_987));
        assert_eq!(record.approximate_arrival(), Some(arrival));
        assert_eq!(record.encryption_type(), Some(EncryptionType::Kms));
    }
    assert_eq!(records[1].kinesis_record_index(), 0);
    assert_eq!(records[2].kinesis_record_index(), 1);
    assert_eq!(records[1].origin().partition_key.as_deref(), Some("abc"));
}

/// Records of a stream whose record distribution strategy is AUTO do not have partition keys; some tools leave
/// everything else out.
#[test]
fn what_an_event_does_not_tell_is_none() {
    let event: Event = from_json(&json!({ "Records": [
        { "kinesis": { "approximateArrivalTimestamp": 0, "data": "aGk=" } },
    ] }));
    let batch = Batch::from(&event);
    let record = batch.user_records::<RawRecord>().next().unwrap().unwrap();
    assert_eq!(
        (batch.event_id(0), record.stream(), record.shard_id()),
        (None, None, None)
    );
    assert_eq!((record.position(), record.partition_key()), (None, None));
    assert_eq!(&*record.value.data, b"hi");
}

#[test]
fn a_bad_record_is_one_error_and_its_neighbours_follow() {
    let mut cut = aggregate(&[("abc", "lost")]);
    cut.0.pop();
    let event = event(&[
        aggregate(&[("a", &b"one"[..]), ("b", b"\xFF"), ("c", b"three")]),
        cut.clone(),
        aggregate(&[("d", "four")]),
    ]);
    let batch = Batch::from(&event);
    let mut records = batch.user_records::<Line>();
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    for item in &mut records {
        match item {
            Ok(record) => texts.push(record.value.text),
            Err(error) => errors.push(error),
        }
    }
    assert_eq!(texts, ["one", "three", "four"]);
    assert_eq!(records.counts().failed, 2);
    let places: Vec<_> = errors
        .iter()
        .map(|error| error.position().unwrap().to_string())
        .collect();
    assert_eq!(places, ["100:1", "101:0"]);
    assert_eq!(errors[0].data(), b"\xFF");
    assert_eq!(errors[1].data(), cut.0);
    assert!(errors[1].to_string().contains(SHARD), "{}", errors[1]);
}

#[test]
fn an_event_of_a_tumbling_window() {
    let event: Event = from_json(&json!({
        "Records": numbered(&[aggregate(&[("a", "one"), ("a", "two")])]),
        "window": { "start": "2020-12-09T07:04:00Z", "end": "2020-12-09T07:06:00Z" },
        "state": { "count": "40" },
        "shardId": SHARD,
        "eventSourceARN": ARN,
        "isFinalInvokeForWindow": false,
        "isWindowTerminatedEarly": false,
    }));
    let count = Batch::from(&event).user_records::<Line>().filter(Result::is_ok).count();
    let before: usize = event.window().unwrap().state["count"].parse().unwrap();
    let failures = BatchResponse::from_iter(["100"]);
    let state = [("count".to_owned(), (before + count).to_string())].into();
    let response = WindowResponse::new(state).with_failures(failures);
    // The event of https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html.
    let expected = json!({ "state": { "count": "42" }, "batchItemFailures": [{ "itemIdentifier": "100" }] });
    assert_eq!(serde_json::to_value(response).unwrap(), expected);
}

/// Firehose deaggregates what it reads from a stream, and reports the sub-sequence number.
#[test]
fn a_firehose_event_with_the_metadata_of_a_stream() {
    let event: Event = from_json(&json!({
        "invocationId": "i", "deliveryStreamArn": "d", "sourceKinesisStreamArn": ARN, "region": "eu-central-1",
        "records": [{
            "recordId": "r1",
            "approximateArrivalTimestamp": 1_700_000_000_123_u64,
            "data": "aGk=",
            "kinesisRecordMetadata": {
                "shardId": SHARD, "partitionKey": "abc", "sequenceNumber": "100", "subsequenceNumber": 3,
                "approximateArrivalTimestamp": 1_700_000_000_000_u64,
            },
        }],
    }));
    let batch = Batch::from(&event);
    let record = batch.user_records::<Line>().next().unwrap().unwrap();
    assert_eq!(record.position().unwrap().to_string(), "100:3");
    assert_eq!(
        (batch.event_id(0), record.stream(), record.shard_id()),
        (Some("r1"), Some(ARN), Some(SHARD))
    );
    assert_eq!(record.partition_key(), Some("abc"));
    let arrival = Timestamp::from_unix_epoch(Duration::from_secs(1_700_000_000));
    assert_eq!(record.approximate_arrival(), Some(arrival));
}
