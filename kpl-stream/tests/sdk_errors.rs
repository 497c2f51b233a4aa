//! Errors that no local server returns, with a replacement for the service that uses the AWS SDK's own test support.
#![cfg(feature = "aws")]
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::Credentials;
use aws_smithy_http_client::test_util::infallible_client_fn;
use kpl_core::RawRecord;
use kpl_stream::{FailureReason, OpenErrorKind, Producer, Receipt, StreamProducer};
use serde_json::{Value, json};

type Outcome = Result<Receipt, kpl_stream::DeliveryError<RawRecord>>;

/// Returns a configuration for a service that answers PutRecords with this status and body.
async fn config(put_records: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static) -> SdkConfig {
    let http = infallible_client_fn(move |request| {
        let target = request
            .headers()
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let (status, body) = match target.rsplit('.').next() {
            Some("PutRecords") => put_records(&body),
            Some("ListShards") => (200, one_shard().to_string()),
            _ => (400, error("AccessDeniedException")),
        };
        http::Response::builder().status(status).body(body).unwrap()
    });
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .load()
        .await
}

fn one_shard() -> Value {
    json!({"Shards": [{
        "ShardId": "shardId-000000000000",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": u128::MAX.to_string()},
        "SequenceNumberRange": {"StartingSequenceNumber": "1"},
    }]})
}

fn error(code: &str) -> String {
    json!({"__type": code, "message": format!("this is {code}")}).to_string()
}

fn written(number: usize) -> Value {
    json!({"ShardId": "shardId-000000000000", "SequenceNumber": format!("49{number}")})
}

/// Returns the answer that all entries were written.
fn accepted(request: &Value) -> (u16, String) {
    let entries = request["Records"].as_array().map_or(0, Vec::len);
    let results: Vec<Value> = (0..entries).map(written).collect();
    (200, json!({"FailedRecordCount": 0, "Records": results}).to_string())
}

async fn open(config: &SdkConfig) -> StreamProducer<RawRecord> {
    let producer = Producer::builder()
        .load_aws_config(config)
        .aggregation_enabled(false)
        .record_max_buffered_time(Duration::from_millis(20))
        .record_ttl(Duration::from_secs(20))
        .build()
        .unwrap();
    producer.stream("clicks").await.unwrap()
}

async fn send(clicks: &StreamProducer<RawRecord>, data: &[&'static str]) -> Vec<Outcome> {
    let mut deliveries = Vec::new();
    for data in data {
        deliveries.push(clicks.send(RawRecord::new("key", *data)).await.unwrap());
    }
    let mut outcomes = Vec::new();
    for delivery in deliveries {
        outcomes.push(delivery.await);
    }
    outcomes
}

fn codes(receipt: &Receipt) -> Vec<Option<String>> {
    receipt
        .attempts()
        .iter()
        .map(|attempt| attempt.error.map(|error| error.code.to_string()))
        .collect()
}

#[tokio::test]
async fn an_entry_that_fails_for_now_is_sent_again_and_its_neighbour_is_not() {
    let requests = AtomicUsize::new(0);
    let config = config(move |request| match requests.fetch_add(1, Ordering::Relaxed) {
        0 => {
            assert_eq!(request["Records"].as_array().map(Vec::len), Some(2));
            let failed = json!({"ErrorCode": "InternalFailure", "ErrorMessage": "Internal service failure."});
            (
                200,
                json!({"FailedRecordCount": 1, "Records": [failed, written(0)]}).to_string(),
            )
        }
        1 => {
            let throttled =
                json!({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"});
            (200, json!({"FailedRecordCount": 1, "Records": [throttled]}).to_string())
        }
        _ => accepted(request),
    })
    .await;
    let outcomes = send(&open(&config).await, &["one", "two"]).await;
    let receipts: Vec<&Receipt> = outcomes.iter().map(|outcome| outcome.as_ref().unwrap()).collect();
    let expected = [
        Some("InternalFailure".into()),
        Some("ProvisionedThroughputExceededException".into()),
        None,
    ];
    assert_eq!(codes(receipts[0]), expected);
    assert_eq!(codes(receipts[1]), [None]);
    assert!(receipts.iter().all(|receipt| !receipt.may_be_duplicated()));
}

#[tokio::test]
async fn what_is_refused_for_good_fails_at_once() {
    for code in [
        "AccessDeniedException",
        "ResourceNotFoundException",
        "KMSDisabledException",
        "KMSAccessDeniedException",
    ] {
        let config = config(move |_| (400, error(code))).await;
        for outcome in send(&open(&config).await, &["one", "two"]).await {
            let failed = outcome.unwrap_err();
            assert!(
                matches!(&failed.failure.reason, FailureReason::Refused(error) if &*error.code == code),
                "{failed}"
            );
            assert_eq!(failed.failure.attempts.len(), 1, "{code}");
            assert!(!failed.failure.may_have_been_written);
            assert!(matches!(&*failed.record.data, b"one" | b"two"));
        }
    }
}

#[tokio::test]
async fn a_request_is_refused_for_one_entry_and_only_that_fails() {
    let poison = "cG9pc29u"; // base64 of it
    let config = config(move |request| {
        let records = request["Records"].as_array().cloned().unwrap_or_default();
        if records.iter().any(|record| record["Data"] == poison) {
            return (400, error("ValidationException"));
        }
        accepted(request)
    })
    .await;
    let data = ["a", "b", "c", "poison", "d", "e", "f"];
    let outcomes = send(&open(&config).await, &data).await;
    for (data, outcome) in data.iter().zip(outcomes) {
        match outcome {
            Ok(_) => assert_ne!(*data, "poison"),
            Err(failed) => {
                assert_eq!(*data, "poison", "{failed}");
                assert_eq!(*failed.record.data, *b"poison");
            }
        }
    }
}

#[tokio::test]
async fn what_has_no_clear_answer_is_sent_again_and_may_be_there_twice() {
    let answers: [(u16, String); 3] = [
        (500, error("InternalFailure")),
        (503, String::new()),
        (200, "this is no JSON".into()),
    ];
    for (status, body) in answers {
        let requests = AtomicUsize::new(0);
        let text = body.clone();
        let config = config(move |request| match requests.fetch_add(1, Ordering::Relaxed) {
            0 => (status, body.clone()),
            _ => accepted(request),
        })
        .await;
        let outcomes = send(&open(&config).await, &["one"]).await;
        let receipt = outcomes[0].as_ref().unwrap();
        assert_eq!(receipt.attempts().len(), 2, "{status} {text}");
        assert!(receipt.may_be_duplicated(), "{status} {text}");
    }
}

#[tokio::test]
async fn credentials_that_expired_and_too_many_requests_are_tried_again() {
    for code in [
        "ExpiredTokenException",
        "ProvisionedThroughputExceededException",
        "KMSThrottlingException",
    ] {
        let requests = AtomicUsize::new(0);
        let config = config(move |request| match requests.fetch_add(1, Ordering::Relaxed) {
            0 => (400, error(code)),
            _ => accepted(request),
        })
        .await;
        let outcomes = send(&open(&config).await, &["one"]).await;
        let receipt = outcomes[0].as_ref().unwrap();
        assert_eq!(codes(receipt), [Some(code.into()), None]);
        assert!(!receipt.may_be_duplicated());
    }
}

#[tokio::test]
async fn a_stream_that_is_not_there_cannot_be_opened() {
    let http = infallible_client_fn(|_| {
        http::Response::builder()
            .status(400)
            .body(error("ResourceNotFoundException"))
            .unwrap()
    });
    let config = config(accepted).await.into_builder().http_client(http).build();
    let producer = Producer::builder().load_aws_config(&config).build().unwrap();
    let refused = producer.stream::<RawRecord>("clicks").await.unwrap_err();
    assert!(
        matches!(&refused.kind, OpenErrorKind::NotFound(error) if &*error.code == "ResourceNotFoundException"),
        "{refused}"
    );
}
