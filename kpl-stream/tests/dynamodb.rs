//! Positions in DynamoDB: `.ci/dynamodb` starts the server.

#![cfg(all(feature = "aws", feature = "dynamodb"))]
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use kpl::{KplRecord, RawRecord};
use kpl_core::Aggregator;
use kpl_stream::reader::{DynamoPositions, Positions as _, Reader, ReaderError, ShardState, StreamPositions};
use kpl_testkit::server::Server;
use kpl_testkit::{aggregate_into_one_with, aws};
use serde::{Deserialize, Serialize};

const IDENTITY: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks 1700000000.25";

/// Returns the configuration for the server of `.ci/dynamodb`.
async fn config() -> SdkConfig {
    let url = std::env::var("DYNAMODB_URL").expect("DYNAMODB_URL is not set: run .ci/dynamodb");
    aws::config(&url, "key").await
}

/// Returns the name of a table that no other test and no earlier run has.
fn table(test: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{test}-{}", now.as_nanos())
}

fn states(states: &[(&str, &str)]) -> StreamPositions {
    let states = states.iter();
    let states = states.map(|(shard, state)| ((*shard).to_owned(), state.parse().unwrap()));
    StreamPositions::new(None, states.collect())
}

/// Returns the positions of this many shards, all with the same sub-sequence number.
fn many(shards: usize, sub_sequence_number: u64) -> StreamPositions {
    let state = |shard| format!("4954346307657030832230362332617988715242826225072629{shard:04}:{sub_sequence_number}");
    let shards = (0..shards).map(|shard| (format!("shardId-{shard:012}"), state(shard).parse().unwrap()));
    StreamPositions::new(None, shards.collect())
}

async fn load(positions: &DynamoPositions, stream: &str) -> StreamPositions {
    positions.load(stream).await.unwrap()
}

async fn load_error(positions: &DynamoPositions, stream: &str) -> String {
    positions.load(stream).await.unwrap_err().to_string()
}

async fn save_error(positions: &DynamoPositions, stream: &str, saved: &StreamPositions) -> String {
    positions.save(stream, saved).await.unwrap_err().to_string()
}

/// Puts an item that a reader did not write, or not so.
async fn put_item(client: &Client, table: &str, reader: &str, shard: &str, name: &str, value: &str) {
    let text = |text: &str| AttributeValue::S(text.into());
    let request = client.put_item().table_name(table).item("reader", text(reader));
    let request = request.item("shard", text(shard)).item(name, text(value));
    request.send().await.unwrap();
}

/// Returns all items of a table: of each the shard and one attribute.
async fn items(client: &Client, table: &str, name: &str) -> BTreeMap<String, Option<String>> {
    let mut pages = client
        .scan()
        .table_name(table)
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut items = BTreeMap::new();
    while let Some(item) = pages.next().await {
        let item = item.unwrap();
        let text = |name: &str| item.get(name).map(|value| value.as_s().unwrap().clone());
        items.insert(text("shard").unwrap(), text(name));
    }
    items
}

#[tokio::test]
#[ignore = "needs the server that .ci/dynamodb starts"]
async fn positions_come_back_by_reader_and_stream() {
    let (config, table) = (config().await, table("kept"));
    let billing = DynamoPositions::new(&config, &table, "billing");
    assert_eq!(load(&billing, "clicks").await, states(&[]));
    let described = Client::new(&config).describe_table().table_name(&table).send().await;
    let billing_mode = described
        .unwrap()
        .table
        .unwrap()
        .billing_mode_summary
        .unwrap()
        .billing_mode;
    assert_eq!(billing_mode, Some(BillingMode::PayPerRequest));

    let mut clicks = states(&[
        ("a", "TRIM_HORIZON"),
        ("b", "49543463076570308322303623326179887152428262250726293588:3"),
        ("c", "AT_TIMESTAMP 1700000000.25"),
    ]);
    billing.save("clicks", &clicks).await.unwrap();
    clicks.identity = Some(IDENTITY.parse().unwrap());
    clicks.shards.insert("a".into(), ShardState::Ended);
    let mut change = states(&[("a", "SHARD_END")]);
    change.identity = clicks.identity.clone();
    billing.save("clicks", &change).await.unwrap();
    // Without an identity, the one that is known stays; an identity can be saved without a shard.
    billing.save("clicks", &states(&[("d", "7:0")])).await.unwrap();
    clicks.shards.extend(states(&[("d", "7:0")]).shards);
    change.shards.clear();
    billing.save("clicks", &change).await.unwrap();

    // A name that begins like another one, and another stream. No reader has their positions, so they can be saved at once.
    let longer = DynamoPositions::new(&config, &table, "billing clicks");
    longer.save("clicks", &states(&[("a", "1:1")])).await.unwrap();
    billing.save("orders", &states(&[("a", "2:2")])).await.unwrap();

    let later = DynamoPositions::new(&config, &table, "billing");
    assert_eq!(load(&later, "clicks").await, clicks);
    assert_eq!(load(&later, "orders").await, states(&[("a", "2:2")]));
    assert_eq!(load(&longer, "clicks").await, states(&[("a", "1:1")]));

    later.remove("clicks").await.unwrap();
    assert_eq!(load(&later, "clicks").await, states(&[]));
    assert_eq!(load(&later, "orders").await, states(&[("a", "2:2")]));
    later.save("clicks", &states(&[("e", "3:3")])).await.unwrap();
    assert_eq!(load(&later, "clicks").await, states(&[("e", "3:3")]));
}

#[tokio::test]
#[ignore = "needs the server that .ci/dynamodb starts"]
async fn whoever_loads_takes_over_and_the_earlier_reader_changes_nothing() {
    let (config, table) = (config().await, table("owners"));
    let [first, second, third] = [(); 3].map(|()| DynamoPositions::new(&config, &table, "billing"));
    // No reader has them.
    first.save("clicks", &many(120, 1)).await.unwrap();
    // A reader has them.
    for error in [
        save_error(&second, "clicks", &many(1, 2)).await,
        second.remove("clicks").await.unwrap_err().to_string(),
    ] {
        assert!(error.contains("load them first") && error.contains(&table), "{error}");
    }
    first.save("clicks", &many(120, 3)).await.unwrap();

    assert_eq!(load(&second, "clicks").await, many(120, 3));
    let clone = first.clone();
    for earlier in [&first, &clone] {
        let mut positions = many(120, 4);
        for identity in [None, Some(IDENTITY.parse().unwrap())] {
            positions.identity = identity;
            let error = save_error(earlier, "clicks", &positions).await;
            assert!(error.contains("another reader of this name has taken over"), "{error}");
            assert!(error.contains(&table) && error.contains("\"billing\""), "{error}");
        }
        let error = earlier.remove("clicks").await.unwrap_err().to_string();
        assert!(error.contains("has taken over"), "{error}");
    }
    second.clone().save("clicks", &many(2, 5)).await.unwrap();
    let mut saved = many(120, 3);
    saved.shards.extend(many(2, 5).shards);
    assert_eq!(load(&third, "clicks").await, saved);

    // Also after the positions were removed, and back again.
    third.remove("clicks").await.unwrap();
    let error = save_error(&second, "clicks", &many(1, 6)).await;
    assert!(error.contains("has taken over"), "{error}");
    assert_eq!(load(&first, "clicks").await, states(&[]));
    let error = save_error(&third, "clicks", &many(1, 7)).await;
    assert!(error.contains("has taken over"), "{error}");
    first.save("clicks", &many(1, 8)).await.unwrap();
    assert_eq!(load(&first, "clicks").await, many(1, 8));
}

#[tokio::test]
#[ignore = "needs the server that .ci/dynamodb starts"]
async fn two_hundred_fifty_shards_are_saved_at_once_and_removed() {
    let (config, table) = (config().await, table("many"));
    let positions = DynamoPositions::new(&config, &table, "billing");
    for (shards, sub_sequence_number) in [(250, 1), (198, 2), (99, 3), (100, 4), (1, 5)] {
        positions
            .save("clicks", &many(shards, sub_sequence_number))
            .await
            .unwrap();
    }
    let mut saved = many(250, 1);
    for (shards, sub_sequence_number) in [(198, 2), (100, 4), (1, 5)] {
        saved.shards.extend(many(shards, sub_sequence_number).shards);
    }
    assert_eq!(load(&positions, "clicks").await, saved);
    positions.remove("clicks").await.unwrap();
    assert_eq!(load(&positions, "clicks").await, states(&[]));
    let client = Client::new(&config);
    assert_eq!(items(&client, &table, "owner").await.len(), 1);
}

#[tokio::test]
#[ignore = "needs the server that .ci/dynamodb starts"]
async fn many_pages_are_loaded() {
    let (config, table) = (config().await, table("pages"));
    let positions = DynamoPositions::new(&config, &table, "billing");
    let mut saved = many(12, 3);
    positions.save("clicks", &saved).await.unwrap();
    // Attributes of somebody's own make a page of 1 MB end after few items.
    let client = Client::new(&config);
    for shard in 0..12 {
        let text = |text: String| AttributeValue::S(text);
        let shard_id = format!("shardId-{shard:012}");
        let request = client.update_item().table_name(&table);
        let request = request
            .key("reader", text("billing clicks".into()))
            .key("shard", text(shard_id))
            .update_expression("SET note = :note")
            .expression_attribute_values(":note", text("x".repeat(300_000)));
        request.send().await.unwrap();
    }
    let page = client
        .query()
        .table_name(&table)
        .key_condition_expression("reader = :reader")
        .expression_attribute_values(":reader", AttributeValue::S("billing clicks".into()))
        .send()
        .await
        .unwrap();
    assert!(page.last_evaluated_key.is_some(), "all items are on one page");
    assert_eq!(load(&positions, "clicks").await, saved);
    positions.save("clicks", &many(1, 4)).await.unwrap();
    saved.shards.extend(many(1, 4).shards);
    assert_eq!(load(&positions, "clicks").await, saved);
}

#[tokio::test]
#[ignore = "needs the server that .ci/dynamodb starts"]
async fn what_is_not_a_position_is_named_and_kept() {
    let (config, table) = (config().await, table("foreign"));
    let client = Client::new(&config);
    let positions = || DynamoPositions::new(&config, &table, "billing");
    positions().save("clicks", &states(&[("a", "1:1")])).await.unwrap();

    // A state that cannot be read can be removed.
    put_item(&client, &table, "billing clicks", "b", "state", "nowhere").await;
    let owner = positions();
    let error = load_error(&owner, "clicks").await;
    for named in ["\"b\"", "\"nowhere\"", "clicks", "\"billing\"", &table] {
        assert!(error.contains(named), "{error}");
    }
    assert_eq!(items(&client, &table, "state").await["b"].as_deref(), Some("nowhere"));

    // An item without a state cannot be removed, nor overwritten.
    put_item(&client, &table, "billing clicks", "c", "precious", "yes").await;
    for error in [
        load_error(&owner, "clicks").await,
        save_error(&owner, "clicks", &states(&[("a", "2:2"), ("c", "2:2")])).await,
        owner.remove("clicks").await.unwrap_err().to_string(),
    ] {
        assert!(error.contains("the item of \"c\" is not a valid position"), "{error}");
    }
    let kept = items(&client, &table, "state").await;
    assert_eq!(kept["a"].as_deref(), Some("1:1"));
    assert_eq!(kept["b"].as_deref(), Some("nowhere"));
    assert_eq!(items(&client, &table, "precious").await["c"].as_deref(), Some("yes"));
    let key = [("reader", "billing clicks"), ("shard", "c")];
    let mut request = client.delete_item().table_name(&table);
    for (name, value) in key {
        request = request.key(name, AttributeValue::S(value.into()));
    }
    request.send().await.unwrap();
    owner.remove("clicks").await.unwrap();
    assert_eq!(load(&owner, "clicks").await, states(&[]));

    // An item in the place of the owner's.
    put_item(&client, &table, "billing orders", "@", "owner", "somebody").await;
    let error = load_error(&positions(), "orders").await;
    assert!(
        error.contains("\"@\"") && error.contains("an owner and a generation"),
        "{error}"
    );
    let error = save_error(&positions(), "orders", &states(&[("a", "1:1")])).await;
    assert!(error.contains("load them first"), "{error}");
    assert_eq!(items(&client, &table, "owner").await["@"].as_deref(), Some("somebody"));

    for stream in ["", "two words"] {
        let error = load_error(&positions(), stream).await;
        assert!(error.contains("whitespace"), "{error}");
    }
    let error = save_error(&positions(), "clicks", &states(&[("@", "1:1")])).await;
    assert!(error.contains("\"@\" cannot be a shard's id"), "{error}");
    let error = load_error(&DynamoPositions::new(&config, &table, ""), "clicks").await;
    assert!(error.contains("the name of the reader is empty"), "{error}");
}

#[tokio::test]
#[ignore = "needs the server that .ci/dynamodb starts"]
async fn a_table_with_other_keys_is_an_error() {
    let config = config().await;
    let client = Client::new(&config);
    let string = ScalarAttributeType::S;
    for (round, keys) in [
        vec![("leaseKey", KeyType::Hash, string.clone())],
        vec![("reader", KeyType::Hash, string.clone())],
        vec![
            ("reader", KeyType::Hash, string),
            ("shard", KeyType::Range, ScalarAttributeType::N),
        ],
    ]
    .into_iter()
    .enumerate()
    {
        let table = table(&format!("keys-{round}"));
        let mut request = client
            .create_table()
            .table_name(&table)
            .billing_mode(BillingMode::PayPerRequest);
        for (name, key_type, attribute_type) in keys {
            let key = KeySchemaElement::builder().attribute_name(name).key_type(key_type);
            let attribute = AttributeDefinition::builder().attribute_name(name);
            request = request
                .key_schema(key.build().unwrap())
                .attribute_definitions(attribute.attribute_type(attribute_type).build().unwrap());
        }
        request.send().await.unwrap();
        let positions = DynamoPositions::new(&config, &table, "billing");
        for error in [
            load_error(&positions, "clicks").await,
            save_error(&positions, "clicks", &many(1, 1)).await,
        ] {
            assert!(error.contains(&table) && error.contains("its keys are HASH"), "{error}");
        }
        assert!(items(&client, &table, "state").await.is_empty());
    }
}

#[tokio::test]
async fn what_keeps_requests_from_being_answered_is_told() {
    // Nothing listens there.
    let config = aws::config("http://127.0.0.1:1", "key").await;
    let positions = DynamoPositions::new(&config, "positions", "billing");
    let error = load_error(&positions, "clicks").await;
    assert!(error.contains("table positions: DescribeTable: "), "{error}");
    assert!(error.contains("onnect"), "{error}");
}

/// Returns positions in a service that gives these answers, one after another, and a function that returns which requests
/// were made. The SDK does not repeat requests.
async fn answering(answers: &[(u16, &str)]) -> (DynamoPositions, impl Fn() -> Vec<String> + use<>) {
    let events = answers.iter().map(|&(status, body)| {
        let response = http::Response::builder().status(status).body(body.to_owned().into());
        ReplayEvent::new(http::Request::new(String::new().into()), response.unwrap())
    });
    let http = StaticReplayClient::new(events.collect());
    let config = aws::config("http://localhost", "key").await.into_builder();
    let config = config
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .build();
    let requests = move || {
        let targets = http
            .actual_requests()
            .map(|request| request.headers().get("x-amz-target"));
        let operations = targets.map(|target| target.unwrap().rsplit('.').next().unwrap().to_owned());
        operations.collect()
    };
    (DynamoPositions::new(&config, "positions", "billing"), requests)
}

const TABLE: &str = r#"{"Table": {"TableStatus": "ACTIVE",
    "KeySchema": [{"AttributeName": "reader", "KeyType": "HASH"}, {"AttributeName": "shard", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "reader", "AttributeType": "S"}, {"AttributeName": "shard", "AttributeType": "S"}
    ]}}"#;
const OWNED: &str = r#"{"Attributes": {"generation": {"N": "7"}}}"#;

#[tokio::test]
async fn a_missing_table_is_created_and_waited_for() {
    let missing = r#"{"__type": "ResourceNotFoundException", "message": "no table"}"#;
    let created = r#"{"__type": "ResourceInUseException", "message": "another reader creates it"}"#;
    let creating = TABLE.replace("ACTIVE", "CREATING");
    let (positions, requests) = answering(&[
        (400, missing),
        (200, &creating.replace("Table\":", "TableDescription\":")),
        (400, missing),
        (400, created),
        (200, &creating),
        (200, TABLE),
        (200, OWNED),
        (200, "{}"),
    ])
    .await;
    positions.save("clicks", &many(1, 1)).await.unwrap();
    assert_eq!(
        requests(),
        [
            "DescribeTable",
            "CreateTable",
            "DescribeTable",
            "CreateTable",
            "DescribeTable",
            "DescribeTable",
            "UpdateItem",
            "TransactWriteItems"
        ]
    );

    let (positions, _) = answering(&[(200, &TABLE.replace("ACTIVE", "DELETING"))]).await;
    let error = load_error(&positions, "clicks").await;
    assert!(
        error.contains("table positions") && error.contains("DELETING"),
        "{error}"
    );
}

#[tokio::test]
async fn transactions_that_are_throttled_or_meet_another_one_are_repeated() {
    let cancelled = |code: &str| {
        format!(
            r#"{{"__type": "TransactionCanceledException", "message": "Transaction cancelled",
                "CancellationReasons": [{{"Code": "None"}}, {{"Code": "{code}", "Message": "why"}}]}}"#
        )
    };
    let passing = [
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    ]
    .map(cancelled);
    let passing: Vec<(u16, &str)> = passing.iter().map(|body| (400, body.as_str())).collect();
    let answers = [&[(200, TABLE), (200, OWNED)], &passing[..], &[(200, "{}")]].concat();
    let (positions, requests) = answering(&answers).await;
    positions.save("clicks", &many(1, 1)).await.unwrap();
    assert_eq!(requests()[2..], ["TransactWriteItems"; 4]);

    // Not without end, and nothing else is.
    let size = cancelled("ItemCollectionSizeLimitExceeded");
    for (answer, count) in [(passing[0], 6), ((400, size.as_str()), 1)] {
        let answers = [&[(200, TABLE), (200, OWNED)], &vec![answer; count][..]].concat();
        let (positions, requests) = answering(&answers).await;
        let error = save_error(&positions, "clicks", &many(1, 1)).await;
        assert!(
            error.contains("TransactWriteItems: TransactionCanceledException"),
            "{error}"
        );
        assert_eq!(requests().len(), 2 + count);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Click {
    #[kpl(partition_key)]
    user: String,
    n: u32,
}

/// Reads the stream of the server that `KINESIS_URL` names, and says so: `read SHARD POSITION N` for each record, and
/// `saved` after each [`EVERY`] of them. The test below starts it in other processes, and kills them.
#[tokio::test]
async fn in_another_process() {
    let Ok(url) = std::env::var("KINESIS_URL") else {
        return;
    };
    let table = std::env::var("TABLE").unwrap();
    let every: usize = std::env::var("EVERY").unwrap().parse().unwrap();
    let mut reader = Reader::<Click>::builder()
        .load_aws_config(&aws::config(&url, "key").await)
        .poll_interval(Duration::from_millis(20))
        .fetch_interval(Duration::from_millis(5))
        .positions(DynamoPositions::new(&config().await, table, "billing"))
        .build("clicks")
        .await
        .unwrap();
    let say = |line: String| {
        let mut stdout = std::io::stdout().lock();
        // If the output is closed, the test has failed, and this process ends.
        writeln!(stdout, "\n{line}").and_then(|()| stdout.flush()).unwrap();
    };
    let mut unsaved = 0;
    while let Some(record) = reader.next().await {
        let record = record.unwrap();
        let position = record.position().unwrap();
        say(format!(
            "read {} {position} {}",
            record.shard_id().unwrap(),
            record.value.n
        ));
        unsaved += 1;
        if unsaved == every {
            reader.commit().await.unwrap();
            say("saved".into());
            unsaved = 0;
        }
    }
}

/// What a process read before it was killed, in order, and how many of these records it had certainly saved.
struct Killed {
    read: Vec<(String, u32, u64)>,
    saved: usize,
}

/// Starts a process that reads, and kills it once it has said this many lines, after a pause.
fn read_and_kill(kinesis_url: &str, table: &str, every: usize, lines: usize, pause: Duration) -> Killed {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["in_another_process", "--exact", "--nocapture"])
        .env("KINESIS_URL", kinesis_url)
        .env("TABLE", table)
        .env("EVERY", every.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut killed = Killed {
        read: Vec::new(),
        saved: 0,
    };
    let mut said = 0;
    // After the kill, what the process wrote before it is still to be read.
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["read", shard_id, position, n] => {
                let (_, sub_sequence_number) = position.split_once(':').unwrap();
                killed.read.push((
                    shard_id.into(),
                    n.parse().unwrap(),
                    sub_sequence_number.parse().unwrap(),
                ));
            }
            ["saved"] => killed.saved = killed.read.len(),
            _ => continue,
        }
        said += 1;
        if said == lines {
            std::thread::sleep(pause);
            process.kill().unwrap();
        }
    }
    process.wait().unwrap();
    killed
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the server that .ci/dynamodb starts"]
async fn readers_that_are_killed_anywhere_lose_nothing_and_repeat_only_what_was_not_saved() {
    const USERS: u32 = 6;
    const AGGREGATES: u32 = 6;
    const IN_AGGREGATE: u32 = 5;

    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    let mut all = BTreeSet::new();
    for user in 0..USERS {
        for aggregate in 0..AGGREGATES {
            let first = (user * AGGREGATES + aggregate) * IN_AGGREGATE;
            let numbers = first..first + IN_AGGREGATE;
            all.extend(numbers.clone());
            let user = format!("user-{user}");
            let clicks: Vec<Click> = numbers.map(|n| Click { user: user.clone(), n }).collect();
            let record = aggregate_into_one_with(Aggregator::new(), &clicks);
            server.put("clicks", [record]).await;
        }
    }

    for every in [1, 3] {
        let table = table(&format!("killed-{every}"));
        let (mut seen, mut unsaved) = (BTreeSet::new(), BTreeSet::new());
        let (mut restarts, mut in_aggregates, mut repeated) = (0, 0, 0);
        while seen.len() < all.len() {
            assert!(restarts < 200, "{} records are missing", all.len() - seen.len());
            // Every process writes at least this many lines.
            let lines = fastrand::usize(1..12).min(all.len() - seen.len());
            let pause = Duration::from_micros(fastrand::u64(0..20_000));
            let (url, table) = (server.url().to_owned(), table.clone());
            let killed = tokio::task::spawn_blocking(move || read_and_kill(&url, &table, every, lines, pause));
            let Killed { read, saved } = killed.await.unwrap();
            restarts += 1;
            assert!(read.len() - saved <= every);

            // A process reads each record once, and repeats only what was read before and not certainly saved.
            let numbers: BTreeSet<u32> = read.iter().map(|(_, n, _)| *n).collect();
            assert_eq!(numbers.len(), read.len());
            let again: BTreeSet<u32> = numbers.intersection(&seen).copied().collect();
            assert!(again.is_subset(&unsaved), "{again:?} are not among {unsaved:?}");
            repeated += again.len();
            let mut shards = BTreeSet::new();
            for (shard_id, _, sub_sequence_number) in &read {
                if shards.insert(shard_id) && *sub_sequence_number > 0 {
                    in_aggregates += 1;
                }
            }
            seen.extend(numbers);
            // What one process did not save is repeated by a later one, which may be killed before it gets there.
            for (_, n, _) in &read[..saved] {
                unsaved.remove(n);
            }
            unsaved.extend(read[saved..].iter().map(|(_, n, _)| n));
        }
        assert_eq!(seen, all);
        assert!(in_aggregates > 0, "no process began in the middle of an aggregate");
        println!(
            "saved after every {every}: {} records, {restarts} processes, {in_aggregates} began in the middle of an \
             aggregate, {repeated} records repeated",
            all.len()
        );
    }
}

/// A reader learns that another one has taken over when it saves, and may go on reading.
#[tokio::test]
#[ignore = "needs the server that .ci/dynamodb starts"]
async fn of_two_readers_of_one_name_the_earlier_one_is_told() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    let clicks: Vec<RawRecord> = (0..4).map(|n| RawRecord::new("anna", format!("click {n}"))).collect();
    server
        .put("clicks", [aggregate_into_one_with(Aggregator::new(), &clicks)])
        .await;
    let (config, table) = (config().await, table("two-readers"));
    let build = || {
        Reader::<RawRecord>::builder()
            .load_aws_config(server.config())
            .positions(DynamoPositions::new(&config, &table, "billing"))
            .build("clicks")
    };
    let mut earlier = build().await.unwrap();
    earlier.next().await.unwrap().unwrap();
    earlier.commit().await.unwrap();
    let mut later = build().await.unwrap();
    let record = later.next().await.unwrap().unwrap();
    assert_eq!(record.value.data, b"click 1");

    earlier.next().await.unwrap().unwrap();
    let error = earlier.commit().await.unwrap_err();
    assert!(matches!(error, ReaderError::Positions { .. }), "{error:?}");
    assert!(
        error.to_string().contains("another reader of this name has taken over"),
        "{error}"
    );
    later.commit().await.unwrap();
    assert_eq!(
        build().await.unwrap().next().await.unwrap().unwrap().value.data,
        b"click 2"
    );
}
