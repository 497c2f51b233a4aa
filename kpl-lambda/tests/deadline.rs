//! Handling ends before the invocation does, and the answer says what is not done.

mod support;

use std::future::pending;
use std::time::{Duration, SystemTime};

use kpl_lambda::{Concurrency, Error, Event, Handler, OnFailure, Received};
use serde_json::json;
use support::{Data, Line, Log, aggregate, event, failed, from_json, numbered};

fn three() -> Vec<Data> {
    let of = |name: &str| aggregate(&[(name, format!("{name}0")), ("other", format!("{name}1"))]);
    vec![of("a"), of("b"), of("c")]
}

fn in_an_hour() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

/// The function that hangs is dropped, and nothing begins after it: everything before the answer is done.
#[tokio::test(start_paused = true)]
async fn a_record_that_hangs_is_answered() {
    for on_failure in [OnFailure::Stop, OnFailure::Continue] {
        for concurrency in [
            Concurrency::Sequential,
            Concurrency::All(2.try_into().unwrap()),
            Concurrency::ByPartitionKey(2.try_into().unwrap()),
        ] {
            let log = Log::default();
            let seen = log.clone();
            let handler = Handler::per_record(move |line: Received<Line>| {
                let seen = seen.clone();
                async move {
                    if line.value.text == "b0" {
                        pending::<()>().await;
                    }
                    seen.add(line.value.text);
                    Ok::<_, Error>(())
                }
            });
            let handler = handler.on_failure(on_failure).concurrency(concurrency);
            let answer = handler.handle_until(&event(&three()), in_an_hour()).await.unwrap();
            let case = format!("{on_failure:?} {concurrency:?}");
            assert_eq!(failed(&answer), ["101"], "{case}");
            let done = log.take();
            assert!(
                ["a0", "a1"].iter().all(|text| done.iter().any(|done| done == text)),
                "{case}: {done:?}"
            );
            if concurrency == Concurrency::Sequential {
                assert_eq!(done.len(), 2, "{case}: {done:?}");
            }
        }
    }
    let batch = Handler::per_batch(|_: Vec<Received<Line>>| pending::<Result<(), Error>>());
    let answer = batch.handle_until(&event(&three()), in_an_hour()).await.unwrap();
    assert_eq!(failed(&answer), ["100"]);
    let shard = Handler::per_shard(|_: kpl_lambda::handler::ShardRecords<Line>| pending::<Result<(), Error>>());
    let answer = shard.handle_until(&event(&three()), in_an_hour()).await.unwrap();
    assert_eq!(failed(&answer), ["100"]);
}

/// What deletes message by message is told of all those that did not begin.
#[tokio::test(start_paused = true)]
async fn every_message_that_did_not_begin_is_answered() {
    let messages = numbered(&three()).into_iter().enumerate();
    let messages =
        messages.map(|(number, record)| json!({ "messageId": format!("m{number}"), "body": record.to_string() }));
    let event: Event = from_json(&json!({ "Records": messages.collect::<Vec<_>>() }));
    for on_failure in [OnFailure::Stop, OnFailure::Continue] {
        let handler = Handler::per_record(|line: Received<Line>| async move {
            if line.value.text == "b0" {
                pending::<()>().await;
            }
            Ok::<_, Error>(())
        });
        let handler = handler.on_failure(on_failure);
        let answer = handler.handle_until(&event, in_an_hour()).await.unwrap();
        assert_eq!(failed(&answer), ["m1", "m2"], "{on_failure:?}");
    }
}

/// A margin of more than half of the time is half of it, so that something begins.
#[tokio::test]
async fn nothing_begins_when_the_margin_has_begun() {
    for on_failure in [OnFailure::Stop, OnFailure::Continue] {
        let log = Log::default();
        let seen = log.clone();
        let handler = Handler::per_record(move |line: Received<Line>| {
            seen.add(line.value.text);
            std::thread::sleep(Duration::from_millis(400));
            async { Ok::<_, Error>(()) }
        });
        let handler = handler.on_failure(on_failure).deadline_margin(Duration::MAX);
        let deadline = SystemTime::now() + Duration::from_millis(600);
        let answer = handler.handle_until(&event(&three()), deadline).await.unwrap();
        assert_eq!(failed(&answer), ["100"]);
        let done = log.take();
        assert!(done.is_empty() || done == ["a0"], "{done:?}");
    }
}

/// Emulators do not always send one that is ahead.
#[tokio::test]
async fn a_deadline_that_has_passed_is_not_one() {
    let log = Log::default();
    let seen = log.clone();
    let handler = Handler::per_record(move |line: Received<Line>| {
        seen.add(line.value.text);
        async { Ok::<_, Error>(()) }
    });
    let answer = handler
        .handle_until(&event(&three()), SystemTime::UNIX_EPOCH)
        .await
        .unwrap();
    assert!(answer.is_success());
    assert_eq!(log.take().len(), 6);
}
