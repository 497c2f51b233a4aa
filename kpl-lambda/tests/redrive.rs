//! The example `redrive`, with what Lambda puts into a destination in S3.

mod support;

#[path = "../examples/redrive.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod example;

use serde_json::json;
use support::{aggregate, numbered};

fn invocation_record(urls: &[&str]) -> String {
    let clicks: Vec<_> = urls
        .iter()
        .map(|url| ("anna", json!({ "user": "anna", "url": url }).to_string()))
        .collect();
    let event = json!({ "Records": numbered(&[aggregate(&clicks)]) });
    json!({ "requestContext": {}, "KinesisBatchInfo": { "batchSize": 1 }, "payload": event.to_string() }).to_string()
}

#[tokio::test]
async fn what_was_given_up_on_is_handled_or_fails_again() {
    example::redrive(&invocation_record(&["/", "/help"])).await.unwrap();
    let error = example::redrive(&invocation_record(&["/", ""])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 Kinesis record is not done, and nothing reads an answer that says so"
    );
    // A queue or a topic as the destination receives only positions: that is not a success.
    let positions = json!({ "requestContext": {}, "KinesisBatchInfo": { "batchSize": 1 } }).to_string();
    example::redrive(&positions).await.unwrap_err();
}
