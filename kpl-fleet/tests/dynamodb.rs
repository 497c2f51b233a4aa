//! Leases in DynamoDB: `.ci/dynamodb` starts the server.

#![cfg(feature = "aws")]
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription,
};
use fastrand::Rng;
use kpl_core::{FromKplRecord, HashKeyRange, Position, ReadError, UserRecord};
use kpl_fleet::{
    Changed, Checkpoint, DynamoLeases, Fleet, Lease, LeaseStore, MemoryLeases, OwnerChange, Received, StoreErrorKind,
    Update,
};
use kpl_stream::aws::AwsClient;
use kpl_testkit::server::Server;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tokio::time::sleep;

/// Tables of real daemons of the KCL, dumped when their worker ran, after a split, and when it had stopped.
const TABLES: [&str; 2] = [
    include_str!("tables/kcl-2.5.4.json"),
    include_str!("tables/kcl-3.1.3.json"),
];

type Item = HashMap<String, AttributeValue>;

async fn described(client: &Client, name: &str) -> TableDescription {
    let answer = client.describe_table().table_name(name).send().await;
    answer.unwrap().table.unwrap()
}

/// Returns the configuration for the server of `.ci/dynamodb`.
async fn config() -> SdkConfig {
    let url = std::env::var("DYNAMODB_URL").expect("DYNAMODB_URL is not set: run .ci/dynamodb");
    kpl_testkit::aws::config(&url, "key").await
}

/// Returns the name of a table that no other test and no earlier run has.
fn name(test: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{test}-{}", now.as_nanos())
}

async fn table(test: &str) -> (Client, String, DynamoLeases) {
    let (config, name) = (config().await, name(test));
    let leases = DynamoLeases::new(&config, &name);
    leases.prepare().await.unwrap();
    (Client::new(&config), name, leases)
}

/// Returns the value that JSON of DynamoDB stands for.
fn value(json: &Value) -> AttributeValue {
    let (kind, value) = json.as_object().unwrap().iter().next().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match &**kind {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "SS" => AttributeValue::Ss(value.as_array().unwrap().iter().map(text).collect()),
        "M" => AttributeValue::M(item(value)),
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(self::value).collect()),
        kind => panic!("{kind}"),
    }
}

fn item(json: &Value) -> Item {
    let attributes = json.as_object().unwrap().iter();
    attributes.map(|(name, json)| (name.clone(), value(json))).collect()
}

async fn put(client: &Client, table: &str, item: Item) {
    let request = client.put_item().table_name(table).set_item(Some(item));
    request.send().await.unwrap();
}

async fn get(client: &Client, table: &str, key: &str) -> Item {
    let request = client.get_item().table_name(table).key("leaseKey", text(key));
    request.send().await.unwrap().item.unwrap()
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

async fn leases(store: &dyn LeaseStore) -> Vec<Lease> {
    let mut leases = store.leases().await.unwrap();
    leases.sort_by(|one, other| one.key.cmp(&other.key));
    leases
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn what_real_daemons_have_written_is_read_and_left_as_it_is() {
    for (number, json) in TABLES.into_iter().enumerate() {
        let json: Value = serde_json::from_str(json).unwrap();
        let (client, name, store) = table(&format!("golden-{number}")).await;
        for row in json["after_split"].as_array().unwrap() {
            put(&client, &name, item(row)).await;
        }
        let read = leases(&store).await;
        let ids = read.iter().map(|lease| &*lease.key).collect::<Vec<_>>();
        let id = |n| format!("shardId-00000000000{n}");
        assert_eq!(ids, [id(0), id(1), id(2), id(3)]);
        assert!(read.iter().all(|lease| lease.owner.as_deref() == Some("worker-1")));
        assert!(read.iter().all(|lease| lease.counter > 4 && !lease.is_handed_over));
        assert!(read[0].is_ended());
        assert_eq!(read[0].children, [id(2), id(3)]);
        assert_eq!(read[2].parents, [id(0)]);
        assert!(matches!(&read[1].checkpoint, Checkpoint::After(position) if position.sub_sequence_number == 0));
        assert_eq!(
            read[1].range.unwrap().end().to_string(),
            "340282366920938463463374607431768211455"
        );

        // A change touches nothing else.
        let mut update = Update::new(&read[1]);
        update.owner = OwnerChange::Take("me".into());
        assert_eq!(store.update(&update).await.unwrap(), Changed::Done);
        let mut expected = item(
            json["after_split"]
                .as_array()
                .unwrap()
                .iter()
                .find(|row| row["leaseKey"]["S"] == id(1))
                .unwrap(),
        );
        expected.insert("leaseOwner".into(), text("me"));
        expected.insert(
            "leaseCounter".into(),
            AttributeValue::N((read[1].counter + 1).to_string()),
        );
        expected.insert("ownerSwitchesSinceCheckpoint".into(), AttributeValue::N("1".into()));
        assert_eq!(get(&client, &name, &id(1)).await, expected);
    }
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn a_table_and_memory_do_the_same() {
    let (_, _, store) = table("same").await;
    let memory = MemoryLeases::new();
    let mut rng = Rng::with_seed(1);
    let workers: [Arc<str>; 2] = ["a".into(), "b".into()];
    let checkpoints = [
        Checkpoint::TrimHorizon,
        Checkpoint::AtTimestamp,
        Checkpoint::Latest,
        Checkpoint::After(Position::new("49543463076570308322303623326179887152428262250726293588", 7).unwrap()),
        Checkpoint::Ended,
    ];
    let mut done = 0;
    for _ in 0..200 {
        let mut lease = Lease::new(format!("shard-{}", rng.u8(..4)), checkpoints[rng.usize(..5)].clone());
        let known = memory.leases().await.unwrap();
        match rng.u8(..8) {
            0 => {
                lease.parents = vec!["p".into(), "q".into()][..rng.usize(..3)].to_vec();
                lease.children = vec!["c".into(), "d".into()][..rng.usize(..3)].to_vec();
                lease.owner = rng.bool().then(|| Arc::clone(&workers[0]));
                lease.counter = rng.u64(..3);
                lease.range = rng.bool().then_some(HashKeyRange::FULL);
                store.create(&lease).await.unwrap();
                memory.create(&lease).await.unwrap();
            }
            1 if !known.is_empty() => {
                let lease = &known[rng.usize(..known.len())];
                let counter = lease.counter + u64::from(rng.u8(..4) == 0);
                store.delete(&lease.key, counter).await.unwrap();
                memory.delete(&lease.key, counter).await.unwrap();
            }
            _ => {
                let known = known.into_iter().find(|known| known.key == lease.key).unwrap_or(lease);
                let mut update = Update::new(&known);
                match rng.u8(..8) {
                    0 => update.expected_counter += 1,
                    1 => update.expected_owner = Some("c".into()),
                    2 => update.expected_owner = None,
                    _ => {}
                }
                match rng.u8(..4) {
                    0 => update.owner = OwnerChange::Remove,
                    1 => update.owner = OwnerChange::Take(Arc::clone(&workers[rng.usize(..2)])),
                    _ => update.checkpoint = rng.bool().then(|| checkpoints[rng.usize(..5)].clone()),
                }
                if rng.u8(..4) == 0 {
                    update.children = vec!["c".into(), "e".into()];
                }
                let changed = store.update(&update).await.unwrap();
                done += usize::from(changed == Changed::Done);
                assert_eq!(changed, memory.update(&update).await.unwrap(), "{update:?}");
            }
        }
        assert_eq!(leases(&store).await, leases(&memory).await);
    }
    assert!(done > 50, "{done}");
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn attributes_that_are_not_known_stay_and_those_that_are_pending_go() {
    let (client, name, store) = table("unknown").await;
    let mut lease = Lease::new("shard", Checkpoint::TrimHorizon);
    lease.owner = Some("me".into());
    store.create(&lease).await.unwrap();
    let mut row = get(&client, &name, "shard").await;
    row.insert("pendingCheckpoint".into(), text("123"));
    row.insert(
        "pendingCheckpointSubSequenceNumber".into(),
        AttributeValue::N("0".into()),
    );
    row.insert("pendingCheckpointState".into(), AttributeValue::B(Blob::new([1])));
    row.insert("throughputKBps".into(), AttributeValue::N("0.5".into()));
    row.insert("somethingElse".into(), text("x"));
    put(&client, &name, row).await;
    let mut update = Update::new(&lease);
    assert_eq!(store.update(&update).await.unwrap(), Changed::Done);
    let row = get(&client, &name, "shard").await;
    assert_eq!(
        (row.len(), row["leaseCounter"].as_n().unwrap().as_str()),
        (11, "1"),
        "{row:?}"
    );
    update.expected_counter = 1;
    update.checkpoint = Some(Checkpoint::After(Position::new("124", u64::MAX).unwrap()));
    assert_eq!(store.update(&update).await.unwrap(), Changed::Done);
    let row = get(&client, &name, "shard").await;
    assert_eq!(row.len(), 8, "{row:?}");
    assert_eq!(row["checkpoint"], text("124"));
    // The KCL reads a signed number.
    assert_eq!(
        row["checkpointSubSequenceNumber"],
        AttributeValue::N(i64::MAX.to_string())
    );
    assert_eq!(
        (&row["throughputKBps"], &row["somethingElse"]),
        (&AttributeValue::N("0.5".into()), &text("x"))
    );
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn rows_that_are_not_leases_are_passed_over_and_odd_leases_are_errors() {
    let (client, name, store) = table("others").await;
    let lease = Lease::new("shard", Checkpoint::Latest);
    store.create(&lease).await.unwrap();
    let row = |key: &str, attributes: &[(&str, &str)]| {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), text(value)));
        attributes.chain([("leaseKey".to_owned(), text(key))]).collect::<Item>()
    };
    put(&client, &name, row("worker", &[("entityType", "WORKER_METRIC_STATS")])).await;
    put(
        &client,
        &name,
        row(
            "Migration3.0",
            &[("entityType", "CLIENT_VERSION_MIGRATION"), ("cv", "CLIENT_VERSION_2X")],
        ),
    )
    .await;
    assert_eq!(leases(&store).await, std::slice::from_ref(&lease));

    // A lease that a leader of the KCL 3 has given to another worker is not changed.
    let mut handed = get(&client, &name, "shard").await;
    handed.insert("checkpointOwner".into(), text("x"));
    handed.insert("entityType".into(), text("LEASE"));
    put(&client, &name, handed.clone()).await;
    assert!(leases(&store).await[0].is_handed_over);
    let refused = store.update(&Update::new(&lease)).await.unwrap();
    assert!(matches!(refused, Changed::Refused(Some(lease)) if lease.is_handed_over));
    assert_eq!(get(&client, &name, "shard").await, handed);

    for (attributes, problem) in [
        (&[][..], "it has no leaseCounter"),
        (&[("leaseCounter", "1")], "its leaseCounter is not a number"),
        (
            &[("streamName", "1:clicks:1")],
            "it is of an application that reads many streams",
        ),
    ] {
        put(&client, &name, row("odd", attributes)).await;
        let error = store.leases().await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Final);
        assert_eq!(
            error.message,
            format!("table {name}: the item \"odd\" is not a valid lease: {problem}")
        );
    }
    let mut odd = row("odd", &[("checkpoint", "x")]);
    odd.insert("leaseCounter".into(), AttributeValue::N("1".into()));
    put(&client, &name, odd).await;
    let error = store.leases().await.unwrap_err().message;
    assert!(
        error.contains("\"odd\" is not a valid lease: its checkpoint: "),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn a_fleet_that_the_kcl_3_leads_is_not_joined() {
    let json: Value = serde_json::from_str(TABLES[1]).unwrap();
    let state = item(&json["others"]["clicks-CoordinatorState"][0]);
    let (config, name) = (config().await, name("led"));
    let client = Client::new(&config);
    let states = format!("{name}-CoordinatorState");
    create(&client, &states, "key").await;
    let prepare = async |version: &str| {
        let mut state = state.clone();
        state.insert("cv".into(), text(version));
        put(&client, &states, state).await;
        DynamoLeases::new(&config, &name).prepare().await
    };
    for joined in ["CLIENT_VERSION_2X", "CLIENT_VERSION_UPGRADE_FROM_2X"] {
        prepare(joined).await.unwrap();
    }
    for refused in [
        "CLIENT_VERSION_3X",
        "CLIENT_VERSION_3X_WITH_ROLLBACK",
        "CLIENT_VERSION_INIT",
        "CLIENT_VERSION_4X",
    ] {
        let error = prepare(refused).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::LedByKcl3);
        assert!(
            error.message.contains(&format!("Migration3.0 is {refused})")),
            "{error}"
        );
    }
    // The KCL 3.5 can have the state in the table of leases.
    let store = DynamoLeases::new(&config, &name);
    prepare("CLIENT_VERSION_2X").await.unwrap();
    let mut state = state.clone();
    state.remove("key");
    state.insert("leaseKey".into(), text("Migration3.0"));
    state.insert("entityType".into(), text("CLIENT_VERSION_MIGRATION"));
    put(&client, &name, state).await;
    assert_eq!(store.leases().await.unwrap_err().kind, StoreErrorKind::LedByKcl3);
}

async fn create(client: &Client, table: &str, key: &str) {
    let schema = KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash);
    let attribute = AttributeDefinition::builder()
        .attribute_name(key)
        .attribute_type(ScalarAttributeType::S);
    let request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest);
    let request = request
        .key_schema(schema.build().unwrap())
        .attribute_definitions(attribute.build().unwrap());
    request.send().await.unwrap();
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn a_table_of_something_else_is_refused() {
    let (config, name) = (config().await, name("else"));
    create(&Client::new(&config), &name, "id").await;
    let error = DynamoLeases::new(&config, &name).prepare().await.unwrap_err();
    assert_eq!(
        error.message,
        format!("table {name}: its keys are HASH id, not HASH leaseKey: it is not a table of leases")
    );
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn many_applications_share_a_table_and_each_has_its_own_rows() {
    let (config, name) = (config().await, name("shared"));
    let client = Client::new(&config);
    let stores = ["one", "other"].map(|application| DynamoLeases::shared(&config, &name, application));
    for store in &stores {
        store.prepare().await.unwrap();
    }
    let described = described(&client, &name).await;
    let keys: Vec<_> = described
        .key_schema()
        .iter()
        .map(|key| format!("{} {}", key.key_type(), key.attribute_name()))
        .collect();
    assert_eq!(keys, ["HASH application", "RANGE leaseKey"]);
    let billing = described.billing_mode_summary.unwrap().billing_mode;
    assert_eq!(billing, Some(BillingMode::PayPerRequest));

    let lease = Lease::new("shard", Checkpoint::Latest);
    for store in &stores {
        store.create(&lease).await.unwrap();
    }
    let mut update = Update::new(&lease);
    update.owner = OwnerChange::Take("me".into());
    update.checkpoint = Some(Checkpoint::Ended);
    assert_eq!(stores[0].update(&update).await.unwrap(), Changed::Done);
    let Changed::Refused(Some(refused)) = stores[0].update(&update).await.unwrap() else {
        panic!("it is refused");
    };
    assert_eq!((refused.owner.as_deref(), refused.counter), (Some("me"), 1));
    assert_eq!(leases(&stores[0]).await, [*refused]);
    assert_eq!(leases(&stores[1]).await, std::slice::from_ref(&lease));
    let shown = stores[1].read_table().await.unwrap();
    assert_eq!((shown.leases.len(), &shown.leases[0].lease), (1, &lease));
    stores[0].delete("shard", 1).await.unwrap();
    assert_eq!(leases(&stores[0]).await, []);
    assert_eq!(leases(&stores[1]).await, [lease]);

    let error = DynamoLeases::new(&config, &name).prepare().await.unwrap_err();
    assert_eq!(
        error.message,
        format!(
            "table {name}: its keys are HASH application and RANGE leaseKey, not HASH leaseKey: it is a table of many applications: \
             DynamoLeases::shared"
        )
    );
    let (_, alone, _) = table("alone").await;
    let error = DynamoLeases::shared(&config, &alone, "one")
        .prepare()
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .contains("it is the table of one application: DynamoLeases::new"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn requests_are_counted_by_operation() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (_, _, store) = table("counted").await;
    let lease = Lease::new("shard", Checkpoint::Latest);
    store.create(&lease).await.unwrap();
    for _ in 0..2 {
        assert_eq!(leases(&store).await, std::slice::from_ref(&lease));
    }
    let scrape = recorder.handle().render();
    for line in [
        "LeaseTableRequests{Operation=\"CreateTable\"} 1",
        "LeaseTableRequests{Operation=\"PutItem\"} 1",
        "LeaseTableRequests{Operation=\"Scan\"} 2",
    ] {
        assert!(scrape.contains(line), "{line} is not in\n{scrape}");
    }
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn a_table_is_created_on_demand_and_without_deletion_protection() {
    let (client, name, _) = table("created").await;
    let described = described(&client, &name).await;
    let billing = described.billing_mode_summary.unwrap().billing_mode;
    assert_eq!(billing, Some(BillingMode::PayPerRequest));
    assert_ne!(described.deletion_protection_enabled, Some(true));
}

#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn to_read_a_table_changes_and_creates_nothing() {
    let (config, name) = (config().await, name("missing"));
    let store = DynamoLeases::new(&config, &name);
    let error = store.read_table().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Final);
    let client = Client::new(&config);
    assert!(client.describe_table().table_name(&name).send().await.is_err());

    let (client, name, store) = table("read").await;
    let row = |key: &str| Item::from([("leaseKey".to_owned(), text(key))]);
    put(&client, &name, row("odd")).await;
    store.create(&Lease::new("shard", Checkpoint::Latest)).await.unwrap();
    create(&client, &format!("{name}-CoordinatorState"), "key").await;
    let state = [("key", "Migration3.0"), ("cv", "CLIENT_VERSION_3X")];
    let state = state.map(|(name, value)| (name.to_owned(), text(value)));
    put(&client, &format!("{name}-CoordinatorState"), state.into()).await;
    let read = store.read_table().await.unwrap();
    assert_eq!(read.leases.len(), 1);
    assert_eq!(
        (&*read.invalid[0].key, &*read.invalid[0].reason),
        ("odd", "it has no leaseCounter")
    );
    assert_eq!(read.client_version.as_deref(), Some("CLIENT_VERSION_3X"));
    assert!(!read.can_be_joined());
}

/// A line of UTF-8.
struct Line(String);

impl<'de> FromKplRecord<'de> for Line {
    fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(record.data).map_err(|error| ReadError::new(error.to_string()))?;
        Ok(Self(text.into()))
    }
}

/// Workers on a real table and a real stream, which is resharded.
#[tokio::test]
#[ignore = "needs moto: .ci/dynamodb"]
async fn workers_share_a_stream() {
    let (config, application) = (config().await, name("app"));
    let server = Server::start().await;
    server.create_stream("lines", 2).await;
    let handled = Arc::new(Mutex::new(BTreeSet::new()));
    let start = |worker: &str| {
        let handled = Arc::clone(&handled);
        let builder = Fleet::<Line>::builder(&application, "lines")
            .client(AwsClient::new(server.config()))
            .leases(DynamoLeases::new(&config, &application))
            .reader(|reader| reader.poll_interval(Duration::from_millis(200)))
            .look_interval(Duration::from_millis(300))
            .worker(worker);
        let stop = builder.stop_handle();
        let run = builder.run(move |line: Received<Line>| {
            handled.lock().unwrap().insert(line.value.0);
            async { Ok::<_, Infallible>(()) }
        });
        (stop, tokio::spawn(run))
    };
    let wait_for = async |what: &str, is_so: &dyn Fn() -> bool| {
        for _ in 0..600 {
            if is_so() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}: {:?}", handled.lock().unwrap());
    };
    let workers = [start("one"), start("two")];
    for n in 0..20 {
        server
            .put_record("lines", &n.to_string(), n.to_string().as_bytes())
            .await;
    }
    wait_for("the first", &|| handled.lock().unwrap().len() == 20).await;
    let shard = server.shards("lines").await[0].shard_id.clone();
    server.split("lines", &shard).await;
    for n in 20..40 {
        server
            .put_record("lines", &n.to_string(), n.to_string().as_bytes())
            .await;
    }
    wait_for("after the split", &|| handled.lock().unwrap().len() == 40).await;
    for (stop, worker) in workers {
        stop.stop();
        worker.await.unwrap().unwrap();
    }
    let store = DynamoLeases::new(&config, &application);
    let leases = leases(&store).await;
    assert_eq!(leases.len(), 4);
    assert!(leases.iter().all(|lease| lease.owner.is_none()), "{leases:?}");
    assert_eq!(leases.iter().filter(|lease| lease.is_ended()).count(), 1);
    assert!(
        leases.iter().all(|lease| lease.checkpoint > Checkpoint::Latest),
        "{leases:?}"
    );
}
