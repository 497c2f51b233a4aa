//! What the answer to each kind of event is, and that no record is lost by it.

mod support;

use kpl_lambda::{
    Batch, Error, Event, EventBuilder, EventKind, Handler, HandlerError, OnFailure, Received, Undecodable, transform,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Data, Line, Log, SHARD, failed, from_json, numbered};

fn three() -> Vec<Data> {
    ["a", "b", "c"]
        .map(|text| (text.as_bytes().to_vec(), "k".to_owned()))
        .into()
}

/// The records of [`three`] as EventBridge Pipes have them.
fn flat() -> Vec<Value> {
    let flat = numbered(&three()).into_iter().map(|mut record| {
        let mut kinesis = record["kinesis"].take();
        kinesis
            .as_object_mut()
            .unwrap()
            .extend(record.as_object().unwrap().clone());
        kinesis
    });
    flat.collect()
}

fn queue(bodies: impl IntoIterator<Item = Value>) -> Event {
    let messages = bodies.into_iter().enumerate();
    let messages =
        messages.map(|(number, body)| json!({ "messageId": format!("m{number}"), "body": body.to_string() }));
    from_json(&json!({ "Records": messages.collect::<Vec<_>>() }))
}

async fn handle(event: &Event, bad: &'static str, on_failure: OnFailure) -> Result<Vec<String>, HandlerError> {
    let handler = Handler::per_record(move |line: Received<Line>| async move {
        if line.value.text == bad { Err("bad") } else { Ok(()) }
    });
    let answer = handler.on_failure(on_failure).handle(event).await?;
    Ok(answer.identifiers().map(str::to_owned).collect())
}

#[tokio::test]
async fn an_event_source_mapping_of_kinesis_gets_sequence_numbers() {
    let event: Event = from_json(&json!({ "Records": numbered(&three()) }));
    assert_eq!(event.kind(), EventKind::Stream);
    assert_eq!(handle(&event, "b", OnFailure::Stop).await.unwrap(), ["101"]);
    // The number is in the event id as well.
    let mut records = numbered(&three());
    records[1]["kinesis"]["sequenceNumber"] = Value::Null;
    let event = from_json(&json!({ "Records": records }));
    assert_eq!(handle(&event, "b", OnFailure::Stop).await.unwrap(), ["101"]);
    records[1]["eventID"] = json!("?");
    let event = from_json(&json!({ "Records": records }));
    assert_eq!(handle(&event, "b", OnFailure::Stop).await.unwrap(), [""]);
}

#[tokio::test]
async fn pipes_get_the_event_ids_of_all_that_is_not_done() {
    let event: Event = from_json(&json!(flat()));
    assert_eq!(event.kind(), EventKind::Pipe);
    assert!(handle(&event, "", OnFailure::Stop).await.unwrap().is_empty());
    let id = |number: u32| format!("{SHARD}:{number}");
    assert_eq!(handle(&event, "b", OnFailure::Stop).await.unwrap(), [id(101), id(102)]);
    assert_eq!(handle(&event, "b", OnFailure::Continue).await.unwrap(), [id(101)]);
    let mut records = flat();
    records[1].as_object_mut().unwrap().remove("eventID");
    let error = handle(&from_json(&json!(records)), "b", OnFailure::Stop)
        .await
        .unwrap_err();
    let HandlerError::Failed {
        kind: EventKind::Pipe,
        kinesis_records: 2,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
}

#[tokio::test]
async fn a_queue_gets_the_ids_of_the_messages() {
    let event = queue([
        json!({ "Records": numbered(&three()) }),
        json!(flat()),
        json!("not a record"),
    ]);
    assert_eq!(event.kind(), EventKind::Queue);
    assert_eq!(handle(&event, "c", OnFailure::Stop).await.unwrap(), ["m0", "m1", "m2"]);
    assert_eq!(handle(&event, "", OnFailure::Continue).await.unwrap(), ["m2"]);

    // Those of all records of a shard, if the function handles them together.
    let event = queue(numbered(&three()));
    let handler = Handler::per_batch(async |_: Vec<Received<Line>>| Err::<(), _>("no"));
    assert_eq!(failed(&handler.handle(&event).await.unwrap()), ["m0", "m1", "m2"]);
}

#[tokio::test]
async fn where_nothing_reads_an_answer_the_invocation_fails() {
    let stream = json!({ "Records": numbered(&three()) });
    for event in [
        json!({ "KinesisBatchInfo": {}, "payload": stream.to_string() }),
        json!({ "Records": [{ "Sns": { "MessageId": "a", "Message": stream.to_string() } }] }),
    ] {
        let event: Event = from_json(&event);
        assert_eq!(event.kind(), EventKind::Copy);
        assert!(handle(&event, "", OnFailure::Stop).await.unwrap().is_empty());
        let error = handle(&event, "b", OnFailure::Stop).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 Kinesis records are not done, and nothing reads an answer that says so"
        );
    }
}

#[tokio::test]
async fn a_transformation_is_not_handled() {
    let event = from_json(&json!({ "records": [{ "recordId": "r", "data": "aGk=" }] }));
    let log = Log::default();
    let seen = log.clone();
    let handler = Handler::per_record(move |line: Received<Line>| {
        seen.add(line.value.text);
        async { Ok::<_, Error>(()) }
    });
    assert!(matches!(
        handler.handle(&event).await,
        Err(HandlerError::Transformation)
    ));
    assert!(log.take().is_empty());
}

/// What is not an event at all is not a success, whether an answer is read or not.
#[tokio::test]
async fn what_is_not_an_event_is_not_a_success() {
    for event in [
        json!({ "Records": null }),
        json!({ "Records": [{}] }),
        json!({ "Records": ["x"] }),
    ] {
        assert_eq!(
            handle(&from_json(&event), "", OnFailure::Stop).await.unwrap(),
            [""],
            "{event}"
        );
    }
    for event in [
        json!({}),
        json!(null),
        json!("x"),
        json!({ "detail-type": "Scheduled Event" }),
    ] {
        let error = handle(&from_json(&event), "", OnFailure::Stop).await.unwrap_err();
        assert!(
            matches!(
                error,
                HandlerError::Failed {
                    kind: EventKind::Copy,
                    ..
                }
            ),
            "{event}: {error}"
        );
    }
    let none = from_json(&json!({ "Records": [] }));
    assert!(handle(&none, "", OnFailure::Stop).await.unwrap().is_empty());
}

/// Firehose gets what could not be read as it came.
#[tokio::test]
async fn a_transformation_returns_what_cannot_be_read() {
    let event: Event = from_json(&json!({ "records": [
        { "recordId": "1", "data": "a?", "approximateArrivalTimestamp": "2012-04-23T18:25:43.511Z" },
        { "recordId": "2", "data": "aGk=", "kinesisRecordMetadata": { "subsequenceNumber": "" } },
        { "recordId": "3" },
        { "recordId": "4", "data": "cGFuaWM=" },
    ] }));
    let answer = transform::handle(&event, |line: Received<Line>| async move {
        assert_ne!(line.value.text, "panic");
        Ok::<_, Error>(line.value.text)
    });
    let answer = answer.await;
    let replies = answer
        .records
        .iter()
        .map(|reply| (&*reply.record_id, &*reply.result, &*reply.data));
    let failed = "ProcessingFailed";
    let expected = [
        ("1", failed, "a?"),
        ("2", "Ok", "aGk="),
        ("3", failed, ""),
        ("4", failed, "cGFuaWM="),
    ];
    assert_eq!(replies.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn what_cannot_be_read_goes_to_the_dead_letters_in_its_place() {
    let mut records = numbered(&three());
    records[1]["kinesis"]["data"] = json!("a?");
    records.push(json!(7));
    let event = from_json(&json!({ "Records": records }));
    let log = Log::default();
    let (seen, letters) = (log.clone(), log.clone());
    let handler = Handler::per_record(move |line: Received<Line>| {
        seen.add(line.value.text);
        async { Ok::<_, Error>(()) }
    });
    let handler = handler.dead_letters(move |letter: Undecodable| {
        letters.add(format!("{} {letter}", String::from_utf8_lossy(letter.data())));
        async { Ok::<_, Error>(()) }
    });
    assert!(handler.handle(&event).await.unwrap().is_success());
    let log = log.take();
    assert_eq!((&*log[0], &*log[2]), ("a", "c"));
    assert!(
        log[1].starts_with("a? ") && log[1].contains("sequence number 101") && log[1].contains("not base64"),
        "{}",
        log[1]
    );
    assert!(
        log[3].starts_with("7 ") && log[3].ends_with("Kinesis record 3: a number is not a record"),
        "{}",
        log[3]
    );
}

/// The event that a builder makes, and the file that it writes, are the same.
#[tokio::test]
async fn a_built_event_is_like_one_of_lambda() {
    let line = |key: &str, text: &str| kpl::RawRecord::new(key, text);
    let builder = EventBuilder::new().shard(SHARD, |shard| {
        shard.aggregate([line("a", "one"), line("b", "two")])?;
        shard.record(&line("c", "three"))
    });
    let builder = builder.unwrap().shard("shardId-000000000007", |shard| {
        shard.kinesis_record("d", b"\xFF");
        Ok::<_, Error>(())
    });
    let builder = builder.unwrap();
    let read: Event = serde_json::from_str(&builder.to_json()).unwrap();
    for event in [builder.build(), read] {
        let batch = Batch::from(&event);
        let records: Vec<_> = batch.user_records::<Line>().collect();
        let places = records.iter().map(|record| match record {
            Ok(record) => format!(
                "{} {} {}",
                record.shard_id().unwrap(),
                record.position().unwrap(),
                record.value.text
            ),
            Err(error) => format!("{} {}", error.shard_id().unwrap(), error.position().unwrap()),
        });
        let expected = [
            "shardId-000000000006 1:0 one",
            "shardId-000000000006 1:1 two",
            "shardId-000000000006 2:0 three",
            "shardId-000000000007 3:0",
        ];
        assert_eq!(places.collect::<Vec<_>>(), expected);
    }
}

proptest! {
    /// Whatever is in one record's place, the others are handled, and it is not taken for done unless it was handled.
    #[test]
    fn an_odd_record_costs_no_other(
        odd in 0..3_usize,
        field in 0..12_usize,
        value in prop_oneof![
            Just(Value::Null), any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from), Just(json!([1])), Just(json!({ "data": [] })), any::<bool>().prop_map(Value::from),
        ],
        missing in any::<bool>(),
    ) {
        let mut records = numbered(&three());
        let names = ["kinesisSchemaVersion", "partitionKey", "sequenceNumber", "data", "approximateArrivalTimestamp", "encryptionType"];
        let (object, name) = match names.get(field) {
            Some(name) => (records[odd]["kinesis"].as_object_mut().unwrap(), *name),
            None => {
                let names = ["kinesis", "eventSource", "eventID", "eventName", "awsRegion", "eventSourceARN"];
                (records[odd].as_object_mut().unwrap(), names[field - 6])
            }
        };
        if missing { object.remove(name); } else { object.insert(name.into(), value); }
        let event: Event = from_json(&json!({ "Records": records }));
        let log = Log::default();
        let seen = log.clone();
        let handler = Handler::per_record(move |line: Received<Line>| {
            seen.add(line.value.text);
            async { Ok::<_, Error>(()) }
        });
        let handler = handler.on_failure(OnFailure::Continue);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(handler.handle(&event)).unwrap();
        let handled = log.take();
        let texts = ["a", "b", "c"];
        for (index, text) in texts.iter().enumerate() {
            prop_assert!(index == odd || handled.iter().any(|handled| handled == text));
        }
        prop_assert!(handled.len() == 3 || !answer.is_success());
    }
}
