//! Checkpoints in DynamoDB: `.ci/dynamodb` starts the server.

#![cfg(feature = "dynamodb")]

mod support;

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use kpl_core::{KinesisRecord, Origin};
use kpl_lambda::{Checkpoints as _, DynamoCheckpoints, Error, Handler, Received};
use kpl_testkit::aws;
use support::{Data, Line, Log, aggregate, event, failed, retry};

struct Table {
    client: Client,
    name: String,
    checkpoints: DynamoCheckpoints,
}

/// Creates a table that no other test and no earlier run has, as docs/lambda.md does.
async fn table(test: &str) -> Table {
    let url = std::env::var("DYNAMODB_URL").expect("DYNAMODB_URL is not set: run .ci/dynamodb");
    let config = aws::config(&url, "key").await;
    let client = Client::new(&config);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let name = format!("{test}-{}", now.as_nanos());
    let key = KeySchemaElement::builder()
        .attribute_name("record")
        .key_type(KeyType::Hash);
    let attribute = AttributeDefinition::builder()
        .attribute_name("record")
        .attribute_type(ScalarAttributeType::S);
    let request = client
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest);
    let request = request
        .key_schema(key.build().unwrap())
        .attribute_definitions(attribute.build().unwrap());
    request.send().await.unwrap();
    let checkpoints = DynamoCheckpoints::new(&config, &name);
    Table {
        client,
        name,
        checkpoints,
    }
}

impl Table {
    async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let answer = self.client.scan().table_name(&self.name).send().await.unwrap();
        answer.items.unwrap_or_default()
    }
}

fn origin(number: &str) -> Origin {
    let record = KinesisRecord::new(b"").with_sequence_number(number);
    Origin::of(&record).with_stream("arn").with_shard_id("shardId-1")
}

#[tokio::test]
#[ignore = "needs a server: .ci/dynamodb"]
async fn an_entry_is_saved_loaded_and_cleared() {
    let table = table("entry").await;
    let checkpoints = &table.checkpoints;
    let (one, two) = (origin("1"), origin("2"));
    assert_eq!(checkpoints.load(&one).await.unwrap(), None);
    checkpoints.clear(&one).await.unwrap();
    checkpoints.save(&one, 3).await.unwrap();
    checkpoints.save(&two, 0).await.unwrap();
    assert_eq!(checkpoints.load(&one).await.unwrap(), Some(3));
    assert_eq!(checkpoints.load(&two).await.unwrap(), Some(0));
    assert_eq!(
        checkpoints.load(&origin("1").with_shard_id("shardId-2")).await.unwrap(),
        None
    );

    let items = table.items().await;
    let item = items
        .iter()
        .find(|item| item["record"] == AttributeValue::S("arn shardId-1 1".into()))
        .unwrap();
    assert_eq!(item["done"], AttributeValue::N("3".into()));
    let expires: u64 = item["expires"].as_n().unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((now + 80_000..=now + 86_400).contains(&expires), "{expires} at {now}");

    checkpoints.clear(&one).await.unwrap();
    assert_eq!(checkpoints.load(&one).await.unwrap(), None);
    assert_eq!(checkpoints.load(&two).await.unwrap(), Some(0));
}

/// An invocation that saves late must not take back what a later one has done.
#[tokio::test]
#[ignore = "needs a server: .ci/dynamodb"]
async fn an_entry_only_moves_forward_unless_it_has_expired() {
    let table = table("forward").await;
    let record = origin("1");
    table.checkpoints.save(&record, 5).await.unwrap();
    table.checkpoints.save(&record, 3).await.unwrap();
    assert_eq!(table.checkpoints.load(&record).await.unwrap(), Some(5));
    table.checkpoints.save(&record, 6).await.unwrap();
    assert_eq!(table.checkpoints.load(&record).await.unwrap(), Some(6));

    let short = table.checkpoints.clone().expire_after(Duration::ZERO);
    short.save(&record, 9).await.unwrap();
    assert_eq!(short.load(&record).await.unwrap(), None);
    table.checkpoints.save(&record, 2).await.unwrap();
    assert_eq!(table.checkpoints.load(&record).await.unwrap(), Some(2));
}

#[tokio::test]
#[ignore = "needs a server: .ci/dynamodb"]
async fn errors_name_the_table_and_the_operation() {
    let missing = table("missing").await;
    missing
        .client
        .delete_table()
        .table_name(&missing.name)
        .send()
        .await
        .unwrap();
    for error in [
        missing.checkpoints.load(&origin("1")).await.unwrap_err(),
        missing.checkpoints.save(&origin("1"), 1).await.unwrap_err(),
        missing.checkpoints.clear(&origin("1")).await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(
            text.contains(&missing.name) && text.contains("Item") && text.contains("ResourceNotFound"),
            "{text}"
        );
    }

    let foreign = table("foreign").await;
    let put = foreign.client.put_item().table_name(&foreign.name);
    let put = put.item("record", AttributeValue::S("arn shardId-1 1".into()));
    put.item("done", AttributeValue::S("three".into()))
        .send()
        .await
        .unwrap();
    let text = foreign.checkpoints.load(&origin("1")).await.unwrap_err().to_string();
    assert!(text.ends_with("an entry does not have a valid number done"), "{text}");
}

/// Each invocation is one of another environment: only the table remembers.
#[tokio::test]
#[ignore = "needs a server: .ci/dynamodb"]
async fn a_retry_elsewhere_continues_inside_the_aggregate() {
    let table = table("retry").await;
    let records: Vec<Data> = ["a", "b"]
        .map(|name| aggregate(&[("k", format!("{name}0")), ("k", format!("{name}1"))]))
        .into();
    let mut next = Some(event(&records));
    let log = Log::default();
    for bad in ["b1", ""] {
        let seen = log.clone();
        let handler = Handler::per_record(move |line: Received<Line>| {
            seen.add(line.value.text.clone());
            async move {
                if line.value.text == bad {
                    Err(Error::from("bad"))
                } else {
                    Ok(())
                }
            }
        });
        let event = next.unwrap();
        let answer = handler
            .checkpoints(table.checkpoints.clone())
            .handle(&event)
            .await
            .unwrap();
        assert_eq!(failed(&answer).is_empty(), bad.is_empty());
        next = retry(&event, &answer);
    }
    assert_eq!(log.take(), ["a0", "a1", "b0", "b1", "b1"]);
    assert!(next.is_none() && table.items().await.is_empty());
}
