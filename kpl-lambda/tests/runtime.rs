//! The example `handler` in a process of its own, with the real `lambda_runtime`, against a runtime API on loopback.

#[path = "support/runtime_api.rs"]
mod runtime_api;
mod support;

use std::process::Command;

use kpl::{Aggregator, RawRecord};
use runtime_api::Function;
use serde_json::{Value, json};
use support::{aggregate, numbered};

#[path = "../examples/handler.rs"]
mod example;

/// Not a test: this is what the child process runs.
#[test]
#[ignore = "the other tests start it as a function of Lambda"]
fn function() {
    example::main().unwrap();
}

fn start() -> Function {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "function", "--ignored", "--nocapture", "--quiet"]);
    Function::start(command)
}

fn answer((kind, body): (String, String)) -> Value {
    assert_eq!(kind, "response", "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Returns the lines that the handler printed, without those of the test harness.
fn printed(function: Function) -> Vec<String> {
    let text = function.stop();
    text.lines()
        .filter(|line| line.split(' ').count() == 3 && line.contains(':'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn events_go_in_and_partial_batch_responses_come_out() {
    let click = |user: &str, url: &str| json!({ "user": user, "url": url }).to_string();
    let records = [
        aggregate(&[("anna", click("anna", "/basket")), ("bob", click("bob", "/help"))]),
        aggregate(&[("anna", click("anna", "/pay")), ("bob", click("bob", ""))]),
        aggregate(&[("carl", click("carl", "/"))]),
    ];
    let function = start();
    let event = json!({ "Records": numbered(&records) }).to_string();
    assert_eq!(
        answer(function.invoke(event)),
        json!({ "batchItemFailures": [{ "itemIdentifier": "101" }] })
    );

    // The same process takes the next event.
    let event = json!({ "Records": numbered(&records[..1]) }).to_string();
    assert_eq!(answer(function.invoke(event)), json!({ "batchItemFailures": [] }));
    let (first, second) = ("100:0 anna /basket", "100:1 bob /help");
    assert_eq!(printed(function), [first, second, "101:0 anna /pay", first, second]);
}

/// The records of a stream whose record distribution strategy is AUTO.
#[test]
fn records_without_a_partition_key() {
    let click = json!({ "user": "anna", "url": "/" }).to_string();
    let mut records = numbered(&[
        aggregate(&[("anna", &click)]),
        (click.clone().into_bytes(), String::new()),
    ]);
    for record in &mut records {
        record["kinesis"]["partitionKey"] = Value::Null;
    }
    let function = start();
    let event = json!({ "Records": records }).to_string();
    assert_eq!(answer(function.invoke(event)), json!({ "batchItemFailures": [] }));
    assert_eq!(printed(function), ["100:0 anna /", "101:0 anna /"]);
}

#[test]
fn what_is_not_an_event_is_an_error_of_the_invocation_and_the_function_lives_on() {
    let function = start();
    let (kind, body) = function.invoke(r#"{ "detail-type": "Scheduled Event" }"#.into());
    assert_eq!(kind, "error", "{body}");
    let whole_batch = json!({ "batchItemFailures": [{ "itemIdentifier": "" }] });
    let event = r#"{ "Records": [{ "kinesis": { "data": "%" } }] }"#;
    assert_eq!(answer(function.invoke(event.into())), whole_batch);
    assert_eq!(
        answer(function.invoke(r#"{ "Records": [] }"#.into())),
        json!({ "batchItemFailures": [] })
    );
}

/// The largest possible event: 6 MB in base64, with full aggregates of user records.
#[test]
fn an_event_of_6_mb() {
    let mut aggregator = Aggregator::<RawRecord>::new();
    let mut sealed = Vec::new();
    let mut size = 0;
    for number in 0.. {
        let click = json!({ "user": "anna", "url": format!("/{number}") }).to_string();
        if let Some(record) = aggregator.push(&RawRecord::new("anna", click)).unwrap() {
            size += record.data.len().div_ceil(3) * 4 + 600;
            sealed.push((record.data.to_vec(), "anna".to_owned()));
        }
        if size > 5_900_000 {
            break;
        }
    }
    let event = json!({ "Records": numbered(&sealed) }).to_string();
    assert!((5_900_000..6_291_556).contains(&event.len()), "{}", event.len());
    let function = start();
    assert_eq!(answer(function.invoke(event)), json!({ "batchItemFailures": [] }));
}

/// The event with which the documentation invokes the example.
#[test]
fn the_example_and_its_event() {
    let function = start();
    let event = include_str!("../examples/event.json").to_owned();
    assert_eq!(answer(function.invoke(event)), json!({ "batchItemFailures": [] }));
    let (first, second) = (
        "49590338271490256608559692538361571095921575989136588898",
        "49590338271490256608559692540925702759324208523137515618",
    );
    let expected = [
        format!("{first}:0 anna /basket"),
        format!("{first}:1 bob /help"),
        format!("{first}:2 anna /pay"),
        format!("{second}:0 carl /"),
    ];
    assert_eq!(printed(function), expected);
}
