//! Replies to Firehose and to Kinesis Data Analytics.

mod support;

use data_encoding::BASE64;
use kpl_lambda::transform::{self, Transformed};
use kpl_lambda::{Error, Event, Received};
use serde_json::{Value, json};
use support::{Line, aggregate, from_json};

/// Drops lines of `#`, fails for lines of `!`, and converts the others to upper case.
async fn upper(line: Received<Line>) -> Result<Transformed, Error> {
    match line.value.text {
        text if text.starts_with('#') => Ok(Transformed::Dropped),
        text if text.starts_with('!') => Err("no".into()),
        text => Ok((text.to_uppercase() + "\n").into()),
    }
}

/// Returns the record id, the result and the data.
type Reply = (&'static str, &'static str, Vec<u8>);

fn records() -> (Vec<Value>, Vec<Reply>) {
    let mut cut = aggregate(&[("a", "one")]).0;
    cut.pop();
    let mixed = aggregate(&[("a", "one"), ("b", "# two"), ("c", "three")]).0;
    let failing = aggregate(&[("a", "one"), ("b", "! two"), ("c", "three")]).0;
    let unreadable = aggregate(&[("a", &b"one"[..]), ("a", b"\xFF")]).0;
    let dropped = aggregate(&[("a", "# one"), ("b", "# two")]).0;
    let cases: Vec<(&str, Vec<u8>, &str, Vec<u8>)> = vec![
        ("1", b"plain".to_vec(), "Ok", b"PLAIN\n".to_vec()),
        ("2", mixed, "Ok", b"ONE\nTHREE\n".to_vec()),
        ("3", failing.clone(), "ProcessingFailed", failing),
        ("4", dropped, "Dropped", Vec::new()),
        ("5", cut.clone(), "ProcessingFailed", cut),
        ("6", unreadable.clone(), "ProcessingFailed", unreadable),
        ("7", b"# plain".to_vec(), "Dropped", Vec::new()),
    ];
    let events = cases.iter().map(|(id, data, ..)| {
        json!({
            "recordId": id, "approximateArrivalTimestamp": 1_700_000_000_000_u64, "data": BASE64.encode(data),
        })
    });
    (
        events.collect(),
        cases
            .iter()
            .map(|(id, _, result, data)| (*id, *result, data.clone()))
            .collect(),
    )
}

#[tokio::test]
async fn firehose_gets_one_reply_for_each_record_id() {
    let (records, expected) = records();
    let event: Event =
        from_json(&json!({ "invocationId": "i", "deliveryStreamArn": "d", "region": "r", "records": records }));
    let reply = transform::handle(&event, upper).await;
    let reply = serde_json::to_value(reply).unwrap();
    assert_replies(&reply, &expected);
}

#[tokio::test]
async fn analytics_gets_one_reply_for_each_record_id() {
    let (records, expected) = records();
    let event: Event =
        from_json(&json!({ "invocationId": "i", "applicationArn": "a", "streamArn": "s", "records": records }));
    let reply = transform::handle(&event, upper).await;
    let reply = serde_json::to_value(reply).unwrap();
    assert_replies(&reply, &expected);
}

#[track_caller]
fn assert_replies(reply: &Value, expected: &[(&str, &str, Vec<u8>)]) {
    let replies = reply["records"].as_array().unwrap().iter();
    let replies: Vec<_> = replies
        .map(|reply| {
            (
                reply["recordId"].as_str().unwrap(),
                reply["result"].as_str().unwrap(),
                support::bytes(&reply["data"]),
            )
        })
        .collect();
    assert_eq!(replies, expected);
}

#[tokio::test]
async fn analytics_events_tell_where_a_record_stood() {
    let event: Event = from_json(&json!({
        "invocationId": "i", "applicationArn": "a", "streamArn": support::ARN,
        "records": [{
            "recordId": "r",
            "kinesisStreamRecordMetadata": {
                "sequenceNumber": "100", "partitionKey": "k", "shardId": support::SHARD,
                "approximateArrivalTimestamp": 1_700_000_000_000_u64,
            },
            "data": "aGk=",
        }],
    }));
    let reply = transform::handle(&event, |line: Received<Line>| async move {
        let place = format!(
            "{} {} {}",
            line.position().unwrap(),
            line.shard_id().unwrap(),
            line.value.key
        );
        Ok::<_, Error>(place)
    });
    let data = BASE64.decode(reply.await.records[0].data.as_bytes()).unwrap();
    assert_eq!(data, format!("100:0 {} k", support::SHARD).into_bytes());
}
