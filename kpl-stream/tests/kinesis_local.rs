//! Records over TLS, records of more than 1 MiB, and enhanced fan-out: `.ci/kinesis-local` starts the server.
#![cfg(feature = "aws")]
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Credentials;
use aws_sdk_kinesis::types::StreamStatus;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use kpl::KplRecord;
use kpl_stream::aws::AwsClient;
use kpl_stream::reader::{MemoryPositions, Reader, Start};
use kpl_stream::{FailureReason, Producer};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
struct Page {
    #[kpl(partition_key)]
    name: String,
    bytes: Vec<u8>,
}

fn page(name: usize, size: usize) -> Page {
    let bytes = (0..size).map(|place| (place * 31 + name) as u8).collect();
    Page {
        name: format!("page {name}"),
        bytes,
    }
}

/// Returns the configuration for the server of `.ci/kinesis-local`, whose certificate is not trusted elsewhere.
async fn config() -> SdkConfig {
    let variable =
        |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run .ci/kinesis-local"));
    let certificate = std::fs::read(variable("KINESIS_LOCAL_CERTIFICATE")).unwrap();
    let trust = TrustStore::empty().with_pem_certificate(certificate);
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(TlsContext::builder().with_trust_store(trust).build().unwrap())
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(variable("KINESIS_LOCAL_URL"))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .load()
        .await
}

async fn create_stream(client: &Client, stream: &str, max_record_kib: Option<i32>) {
    client
        .create_stream()
        .stream_name(stream)
        .shard_count(2)
        .send()
        .await
        .unwrap();
    let arn = wait_until_active(client, stream).await;
    if let Some(kib) = max_record_kib {
        let request = client
            .update_max_record_size()
            .stream_arn(arn)
            .max_record_size_in_kib(kib);
        request.send().await.unwrap();
        wait_until_active(client, stream).await;
    }
}

async fn wait_until_active(client: &Client, stream: &str) -> String {
    loop {
        let answer = client
            .describe_stream_summary()
            .stream_name(stream)
            .send()
            .await
            .unwrap();
        let summary = answer.stream_description_summary.unwrap();
        if summary.stream_status == StreamStatus::Active {
            return summary.stream_arn;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns a producer that waits longer for answers, because the server is slow with large records.
fn producer(config: &SdkConfig) -> Producer {
    Producer::builder()
        .load_aws_config(config)
        .max_user_record_size(10 << 20)
        .request_timeout(Duration::from_secs(60))
        .record_ttl(Duration::from_secs(180))
        .build()
        .unwrap()
}

#[tokio::test]
#[ignore = "needs the server that .ci/kinesis-local starts"]
async fn large_and_small_records_come_back_over_tls() {
    let config = config().await;
    let stream = "large-pages";
    create_stream(&Client::new(&config), stream, Some(10_240)).await;

    let producer = producer(&config);
    let pages = producer.stream::<Page>(stream).await.unwrap();
    let sizes = [3 << 20, (1 << 20) + 1]
        .into_iter()
        .chain((0..1000).map(|number| number % 200));
    let sent: Vec<Page> = sizes.enumerate().map(|(name, size)| page(name, size)).collect();
    let mut deliveries = Vec::new();
    for page in &sent {
        deliveries.push(pages.send(page.clone()).await.unwrap());
    }
    for delivery in deliveries {
        // Not with `unwrap`, which would print the large record.
        if let Err(error) = delivery.await {
            panic!("{error}");
        }
    }
    producer.close(Duration::from_secs(30)).await.unwrap();

    let mut reader = Reader::<Page>::builder()
        .client(Arc::new(AwsClient::new(&config)))
        .start(Start::TrimHorizon)
        .build(stream)
        .await
        .unwrap();
    let mut received = BTreeMap::new();
    while received.len() < sent.len() {
        let next = tokio::time::timeout(Duration::from_secs(60), reader.next()).await;
        let page = next.expect("records are missing").unwrap().unwrap().value;
        received.insert(page.name.clone(), page);
    }
    for page in sent {
        assert!(received.remove(&page.name) == Some(page), "another page came back");
    }
}

#[tokio::test]
#[ignore = "needs the server that .ci/kinesis-local starts"]
async fn a_stream_that_takes_1_mib_refuses_more_and_only_that() {
    let config = config().await;
    let stream = "usual-pages";
    create_stream(&Client::new(&config), stream, None).await;
    let producer = producer(&config);
    let pages = producer.stream::<Page>(stream).await.unwrap();
    let sent = [page(0, 100), page(1, 2 << 20), page(2, 100)];
    let mut outcomes = Vec::new();
    for page in &sent {
        outcomes.push(pages.send(page.clone()).await.unwrap());
    }
    for (page, outcome) in sent.into_iter().zip(outcomes) {
        match outcome.await {
            Ok(_) => assert!(page.bytes.len() < 1 << 20),
            Err(refused) => {
                assert!(matches!(refused.failure.reason, FailureReason::Refused(_)), "{refused}");
                assert!(refused.record == page);
                assert!(page.bytes.len() > 1 << 20, "{refused}");
            }
        }
    }
}

/// Shards that end are tested with the other server: kinesis-local 0.6.2 does not say that a shard has ended, nor which
/// children it has.
#[tokio::test]
#[ignore = "needs the server that .ci/kinesis-local starts"]
async fn records_come_by_fan_out() {
    let config = config().await;
    let (client, stream) = (Client::new(&config), "fan-out-pages");
    create_stream(&client, stream, None).await;
    let producer = producer(&config);
    let pages = producer.stream::<Page>(stream).await.unwrap();
    let reader = || Reader::<Page>::builder().load_aws_config(&config).fan_out("tests");
    let positions = MemoryPositions::new();
    let builder = reader().start(Start::TrimHorizon).positions(positions.clone());
    let mut first = builder.build(stream).await.unwrap();
    let mut sent = 0..;
    let mut read = BTreeSet::new();
    for round in 0..3 {
        let mut deliveries = Vec::new();
        for name in sent.by_ref().take(100) {
            deliveries.push(pages.send(page(name, 100)).await.unwrap());
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        while read.len() < 100 * (round + 1) {
            let next = tokio::time::timeout(Duration::from_secs(60), first.next()).await;
            let page = next.expect("records are missing").unwrap().unwrap().value;
            assert!(read.insert(page.name.clone()), "{} came twice", page.name);
        }
    }
    first.commit().await.unwrap();
    drop(first);
    // The consumer is found again, and the positions are used.
    let mut second = reader().positions(positions).build(stream).await.unwrap();
    pages.send(page(300, 100)).await.unwrap().await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(60), second.next()).await;
    assert_eq!(
        next.expect("a record is missing").unwrap().unwrap().value.name,
        "page 300"
    );
}
