//! `kpl leases` of tables in DynamoDB: `.ci/dynamodb` starts the server.

#![cfg(feature = "stream")]
#![forbid(unsafe_code)]

use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use kpl_fleet::{Checkpoint, DynamoLeases, Lease, LeaseStore, OwnerChange, Update};
use kpl_stream::aws::AwsClient;
use kpl_stream::client::ReadClient;
use kpl_testkit::server::Server;
use serde_json::{Value, json};

fn kpl(arguments: &[&str], dynamodb: &str, kinesis: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kpl"));
    command
        .arg("leases")
        .args(arguments)
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb)
        .env("AWS_ENDPOINT_URL_KINESIS", kinesis)
        .env("AWS_CONFIG_FILE", "no-such-file")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env_remove("AWS_PROFILE");
    command.output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// The server of the stream answers while the command runs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: .ci/dynamodb"]
async fn a_table_is_compared_with_its_stream_and_with_itself_a_moment_ago() {
    let url = std::env::var("DYNAMODB_URL").expect("DYNAMODB_URL is not set: run .ci/dynamodb");
    let config = kpl_testkit::aws::config(&url, "key").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    server.put_record("clicks", "anna", b"1").await;
    let shards = AwsClient::new(server.config()).list_shards("clicks").await.unwrap();
    let (application, shared) = (format!("app-{now}"), format!("shared-{now}"));
    let stores = [
        DynamoLeases::new(&config, &application),
        DynamoLeases::shared(&config, &shared, &application),
    ];
    let missing = kpl(&[&application], &url, server.url());
    assert_eq!(missing.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("DescribeTable: "),
        "{missing:?}"
    );
    for (store, option) in stores.iter().zip([&[][..], &["--shared", &shared]]) {
        store.prepare().await.unwrap();
        let mut lease = Lease::new(&*shards[0].id, Checkpoint::TrimHorizon);
        lease.range = Some(shards[0].range);
        store.create(&lease).await.unwrap();
        let mut update = Update::new(&lease);
        update.owner = OwnerChange::Take("one".into());
        store.update(&update).await.unwrap();
        let arguments = [
            &[&*application, "clicks", "--lag", "--watch", "0.1", "--output", "lines"],
            option,
        ]
        .concat();
        let output = kpl(&arguments, &url, server.url());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let lines = lines(&output);
        assert_eq!((&lines[0]["Owner"], &lines[0]["Counter"]), (&json!("one"), &json!(1)));
        assert!(lines[0]["MillisBehindLatest"].is_u64() && lines[0]["StoodStillSeconds"].as_f64() >= Some(0.1));
        let problems: Vec<_> = lines[1..].iter().map(|line| (&line["Problem"], &line["Key"])).collect();
        assert_eq!(
            problems,
            [
                (&json!("shard-without-lease"), &json!(shards[1].id)),
                (&json!("stood-still"), &json!(shards[0].id)),
            ]
        );
        // Nothing was changed.
        update.change(&mut lease);
        assert_eq!(store.leases().await.unwrap(), [lease]);
    }
}
