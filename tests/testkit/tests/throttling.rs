//! The throttling server: what its shards accept, what it counts, and how it fails.

use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_kinesis::operation::put_records::{PutRecordsError, PutRecordsOutput};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, RecordDistributionStrategy};
use kpl_testkit::limit::Limit;
use kpl_testkit::throttling::{Fault, ThrottlingServer, Totals};

const THROTTLED: Option<&str> = Some("ProvisionedThroughputExceededException");

async fn client(server: &ThrottlingServer, access_key_id: &str) -> Client {
    let config = server.config(access_key_id).await;
    let config = aws_sdk_kinesis::config::Builder::from(&config).retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

/// Puts entries of this many bytes, with their keys, into the shard that owns the hash key.
async fn put(
    client: &Client,
    hash_key: u128,
    count: usize,
    bytes: usize,
) -> Result<PutRecordsOutput, SdkError<PutRecordsError>> {
    let entries = (0..count).map(|_| {
        let entry = PutRecordsRequestEntry::builder().partition_key("key");
        let entry = entry.explicit_hash_key(hash_key.to_string());
        entry.data(Blob::new(vec![b'x'; bytes - 3])).build().unwrap()
    });
    let request = client.put_records().stream_name("clicks");
    request.set_records(Some(entries.collect())).send().await
}

/// Returns how many entries were accepted. The others must have been throttled.
async fn accepted(client: &Client, hash_key: u128, count: usize, bytes: usize) -> usize {
    let answer = put(client, hash_key, count, bytes).await.unwrap();
    assert_eq!(answer.records.len(), count);
    let refused = answer.records.iter().filter(|result| result.shard_id.is_none());
    assert!(refused.clone().all(|result| result.error_code() == THROTTLED));
    assert_eq!(answer.failed_record_count, Some(refused.count() as i32));
    answer
        .records
        .iter()
        .filter(|result| result.sequence_number.is_some())
        .count()
}

/// Both limiters first take the room of one second, whatever the size; then each shard has its own room.
#[tokio::test]
async fn a_shard_accepts_1000_records_and_1_mib_at_once() {
    for limit in [Limit::TokenBucket, Limit::FixedWindow] {
        let server = ThrottlingServer::start();
        let client = client(&server, "one").await;
        for (bytes, room) in [(262_144, 4), (50_000, 20)] {
            server.create_stream("clicks", 2, Some(limit));
            let started = Instant::now();
            let first = accepted(&client, 0, room + 2, bytes).await;
            // A bucket may have filled up by one more, if the machine was busy.
            let late = started.elapsed().as_millis() as usize * (1 << 20) / 1000 / bytes;
            assert!((room..=room + late).contains(&first), "{limit:?} {bytes}: {first}");
            assert_eq!(accepted(&client, u128::MAX, 1, bytes).await, 1);
        }
        server.create_stream("clicks", 1, Some(limit));
        let started = Instant::now();
        let mut small = 0;
        for _ in 0..3 {
            small += accepted(&client, 0, 500, 10).await;
        }
        let late = started.elapsed().as_millis() as usize;
        assert!((1000..=1000 + late).contains(&small), "{limit:?}: {small}");
    }
}

/// Over some seconds, a bucket fills up steadily and a window all at once.
#[tokio::test]
async fn a_shard_accepts_1_mib_per_second() {
    let server = ThrottlingServer::start();
    let client = client(&server, "one").await;
    for limit in [Limit::TokenBucket, Limit::FixedWindow] {
        server.create_stream("clicks", 1, Some(limit));
        assert!(accepted(&client, 0, 25, 50_000).await >= 20);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let half = accepted(&client, 0, 25, 50_000).await;
        assert!(half >= 9 || limit == Limit::FixedWindow, "{half}");
        tokio::time::sleep(Duration::from_millis(1000)).await;
        accepted(&client, 0, 25, 50_000).await;
        let counts = server.counts("clicks");
        let shard = &counts.shards[0];
        let elapsed = shard.first.unwrap().elapsed().as_secs_f64();
        let bytes = shard.totals().accepted_bytes as f64;
        let most = match limit {
            Limit::TokenBucket => 1.0 + elapsed,
            Limit::FixedWindow => 1.0 + elapsed.floor(),
        };
        assert!(bytes <= most * 1_048_576.0, "{limit:?}: {bytes} in {elapsed} s");
        assert!(bytes >= 2.0 * 1_000_000.0, "{limit:?}: {bytes} in {elapsed} s");
        assert_eq!(shard.seconds.iter().sum::<u64>(), shard.totals().accepted_bytes);
    }
}

#[tokio::test]
async fn entries_are_counted_by_shard_and_by_client() {
    let server = ThrottlingServer::start();
    server.create_stream("clicks", 2, Some(Limit::FixedWindow));
    let (one, two) = (client(&server, "one").await, client(&server, "two").await);
    assert_eq!(accepted(&one, 0, 3, 300_000).await, 3);
    assert_eq!(accepted(&two, 0, 2, 400_000).await, 0);
    assert_eq!(accepted(&two, u128::MAX, 1, 1000).await, 1);
    let counts = server.counts("clicks");
    let of_one = Totals {
        accepted: 3,
        accepted_bytes: 900_000,
        refused: 0,
    };
    let of_two = Totals {
        accepted: 1,
        accepted_bytes: 1000,
        refused: 2,
    };
    assert_eq!(counts.of_client("one"), of_one);
    assert_eq!(counts.of_client("two"), of_two);
    assert_eq!(counts.of_client("three"), Totals::default());
    assert_eq!((counts.totals().accepted, counts.totals().sent()), (4, 6));
    assert_eq!(counts.shards[1].totals().accepted_bytes, 1000);
    assert_eq!(counts.shards[1].seconds, [1000]);
    assert_eq!(counts.requests, 3);
    assert!(counts.request_bytes > 1_701_000 * 4 / 3, "{}", counts.request_bytes);
}

/// The key decides unless there is an explicit hash key, and sequence numbers rise.
#[tokio::test]
async fn a_record_goes_to_the_shard_of_its_key() {
    let server = ThrottlingServer::start();
    server.create_stream("clicks", 3000, None);
    let client = client(&server, "one").await;
    let mut shards = Vec::new();
    let mut next = None;
    loop {
        let request = client.list_shards();
        let request = match next {
            Some(token) => request.next_token(token),
            None => request.stream_arn("arn:aws:kinesis:us-east-1:000000000000:stream/clicks"),
        };
        let page = request.send().await.unwrap();
        shards.extend(page.shards.unwrap());
        next = page.next_token;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(shards.len(), 3000);
    for hash_key in [None, Some("0"), Some("340282366920938463463374607431768211455")] {
        let mut numbers = Vec::new();
        for _ in 0..2 {
            let request = client.put_record().stream_name("clicks").partition_key("key");
            assert_eq!(
                request.data(Blob::new("x")).send().await.unwrap_err().code(),
                Some("UnknownOperationException")
            );
            let entry = PutRecordsRequestEntry::builder()
                .partition_key("key")
                .data(Blob::new("x"));
            let entry = entry.set_explicit_hash_key(hash_key.map(Into::into)).build().unwrap();
            let answer = client.put_records().stream_name("clicks").records(entry).send().await;
            let written = answer.unwrap().records.remove(0);
            let key = kpl_core::HashKey::effective("key", hash_key.map(|key| key.parse().unwrap()));
            let shard = shards.iter().find(|shard| Some(&*shard.shard_id) == written.shard_id());
            let range = shard.unwrap().hash_key_range().unwrap();
            let range = [range.starting_hash_key(), range.ending_hash_key()].map(|key| key.parse::<u128>().unwrap());
            assert!((range[0]..=range[1]).contains(&key.value()));
            numbers.push(written.sequence_number.unwrap());
        }
        assert!(numbers[0] < numbers[1], "{numbers:?}");
    }
}

#[tokio::test]
async fn each_fault_answers_as_it_says() {
    let server = ThrottlingServer::start();
    server.create_stream("clicks", 1, None);
    let client = client(&server, "one").await;
    let one = || put(&client, 0, 1, 10);
    one().await.unwrap();

    server.fail_puts("clicks", Some(Fault::Unavailable));
    let error = one().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 503);
    server.fail_puts("clicks", Some(Fault::Denied));
    assert_eq!(one().await.unwrap_err().code(), Some("AccessDeniedException"));
    server.fail_puts("clicks", Some(Fault::EveryEntry));
    let answer = one().await.unwrap();
    assert_eq!(answer.records[0].error_code(), Some("InternalFailure"));
    server.fail_puts("clicks", Some(Fault::NoAnswer));
    assert!(tokio::time::timeout(Duration::from_millis(300), one()).await.is_err());
    assert_eq!(server.counts("clicks").requests, 5);
    server.fail_puts("clicks", None);
    one().await.unwrap();
    assert_eq!(server.counts("clicks").totals().accepted, 2);
    assert_eq!(server.counts("clicks").totals().refused, 1);

    let list = || client.list_shards().stream_name("clicks").send();
    list().await.unwrap();
    server.fail_listings("clicks", Some(Fault::Denied));
    assert_eq!(list().await.unwrap_err().code(), Some("AccessDeniedException"));
    assert_eq!(server.counts("clicks").listings, 2);

    let missing = client.list_shards().stream_name("missing").send().await;
    assert_eq!(missing.unwrap_err().code(), Some("ResourceNotFoundException"));
}

#[tokio::test]
async fn answers_take_as_long_as_the_latency() {
    let latency = Duration::from_millis(200);
    let server = ThrottlingServer::start_with_latency(latency);
    server.create_stream("clicks", 1, None);
    let client = client(&server, "one").await;
    let started = Instant::now();
    put(&client, 0, 1, 10).await.unwrap();
    assert!(started.elapsed() >= latency);
}

/// The stream says so, and spreads records with one key over all shards.
#[tokio::test]
async fn an_auto_stream_chooses_shards() {
    let server = ThrottlingServer::start();
    server.create_stream("clicks", 4, None);
    let client = client(&server, "one").await;
    let strategy = || async {
        let answer = client.describe_stream_summary().stream_name("clicks").send().await;
        let summary = answer.unwrap().stream_description_summary.unwrap();
        summary.record_distribution_strategy.unwrap()
    };
    assert_eq!(strategy().await, RecordDistributionStrategy::UserPartitionKey);
    server.set_auto("clicks");
    assert_eq!(strategy().await, RecordDistributionStrategy::Auto);
    put(&client, 0, 8, 10).await.unwrap();
    let counts = server.counts("clicks");
    assert!(counts.shards.iter().all(|shard| shard.totals().accepted == 2));
}

/// Code that is not async can start it, and it may end in code that is.
#[test]
fn it_starts_and_ends_anywhere() {
    let server = ThrottlingServer::start();
    let url = server.url().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let address = url.trim_start_matches("http://").to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async move { drop(server) });
    let started = Instant::now();
    while std::net::TcpStream::connect(&address).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(10), "it still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}
