//! Enhanced fan-out with a real server.

#![cfg(feature = "aws")]

#[path = "common/clicks.rs"]
mod clicks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use kpl_stream::reader::{MemoryPositions, Positions as _, Reader, ReaderBuilder, ReaderError, ShardState, Start};
use kpl_testkit::server::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use self::clicks::{Click, aggregate, by_user, clicks, take, values};

fn reader(server: &Server) -> ReaderBuilder<Click> {
    Reader::builder().load_aws_config(server.config()).fan_out("tests")
}

async fn silent(reader: &mut Reader<Click>) {
    let next = timeout(Duration::from_millis(500), reader.next()).await;
    assert!(next.is_err(), "{next:?}");
}

fn in_order(users: &[String], count: u32) -> BTreeMap<String, Vec<u32>> {
    users.iter().map(|user| (user.clone(), (0..count).collect())).collect()
}

#[tokio::test]
async fn all_shards_are_read_each_in_its_order_in_events_of_any_size() {
    for event_records in [3, 10_000] {
        let server = Server::builder().event_records(event_records).start().await;
        server.create_stream("clicks", 4).await;
        let users: Vec<String> = (0..20).map(|user| format!("user-{user}")).collect();
        for round in 0..3 {
            let records = users
                .iter()
                .map(|user| aggregate(&clicks(user, round * 5..round * 5 + 5)));
            server.put("clicks", records).await;
        }
        let mut reader = reader(&server).build("clicks").await.unwrap();
        let records = take(&mut reader, 20 * 15).await;
        assert_eq!(by_user(&records), in_order(&users, 15));
        assert!(records.iter().all(|record| record.approximate_arrival().is_some()));
        assert!(records.iter().all(|record| record.stream() == Some("clicks")));
        silent(&mut reader).await;
        server.put("clicks", [aggregate(&clicks("late", 0..3))]).await;
        assert_eq!(values(take(&mut reader, 3).await), clicks("late", 0..3));
    }
}

#[tokio::test]
async fn splits_and_merges_while_records_are_written_lose_nothing_and_keep_the_order() {
    const ROUNDS: u32 = 60;
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    let mut reader = reader(&server).start(Start::Latest).build("clicks").await.unwrap();
    let users: Vec<String> = (0..16).map(|user| format!("user-{user}")).collect();
    let shard = |index: u32| format!("shardId-{index:012}");
    let write = async {
        for round in 0..ROUNDS {
            match round {
                10 => server.split("clicks", &shard(0)).await,
                20 => server.merge("clicks", &shard(3), &shard(1)).await,
                30 => server.split("clicks", &shard(4)).await,
                // The second generation, while the first may not be read yet.
                31 => server.split("clicks", &shard(5)).await,
                40 => server.merge("clicks", &shard(2), &shard(7)).await,
                _ => {}
            }
            let round = round * 5..round * 5 + 5;
            let records = users.iter().map(|user| aggregate(&clicks(user, round.clone())));
            server.put("clicks", records).await;
        }
    };
    let count = users.len() * ROUNDS as usize * 5;
    let ((), records) = tokio::join!(write, take(&mut reader, count));
    assert_eq!(by_user(&records), in_order(&users, ROUNDS * 5));
    silent(&mut reader).await;
    let shards: BTreeSet<_> = records.iter().map(|record| record.shard_id()).collect();
    assert!(shards.len() > 6, "{shards:?}");
}

/// Also from the positions of a reader that polls.
#[tokio::test]
async fn a_reader_goes_on_in_the_middle_of_an_aggregate() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    let records = [aggregate(&clicks("anna", 0..10)), aggregate(&clicks("anna", 10..20))];
    server.put("clicks", records).await;
    let positions = MemoryPositions::new();
    let build = || reader(&server).positions(positions.clone()).build("clicks");

    let mut first = build().await.unwrap();
    let records = take(&mut first, 14).await;
    first.save(&records[3]).await.unwrap();
    drop(first);

    let builder = Reader::<Click>::builder().load_aws_config(server.config());
    let mut second = builder.positions(positions.clone()).build("clicks").await.unwrap();
    assert_eq!(values(take(&mut second, 9).await), clicks("anna", 4..13));
    second.commit().await.unwrap();
    drop(second);

    let mut third = build().await.unwrap();
    assert_eq!(values(take(&mut third, 7).await), clicks("anna", 13..20));
    third.commit().await.unwrap();
    drop(third);
    silent(&mut build().await.unwrap()).await;
}

#[tokio::test]
async fn the_children_of_a_shard_that_ended_are_read_and_it_is_saved_as_ended() {
    let server = Server::builder().event_records(1).start().await;
    server.create_stream("clicks", 1).await;
    let before = (0..3).map(|n| aggregate(&clicks("anna", n..n + 1)));
    server.put("clicks", before).await;
    server.split("clicks", "shardId-000000000000").await;
    server.put("clicks", [aggregate(&clicks("anna", 3..6))]).await;
    let positions = MemoryPositions::new();
    let builder = reader(&server).positions(positions.clone());
    let mut reader = builder
        .end_when_idle(Duration::from_secs(1))
        .build("clicks")
        .await
        .unwrap();
    assert_eq!(values(take(&mut reader, 6).await), clicks("anna", 0..6));
    assert_eq!(reader.progress().shards, 2);
    assert!(
        timeout(Duration::from_secs(20), reader.next())
            .await
            .expect("it ends")
            .is_none()
    );
    reader.commit().await.unwrap();
    let saved = positions.load("clicks").await.unwrap();
    assert_eq!(saved.shards["shardId-000000000000"], ShardState::Ended);
    assert_eq!(saved.shards.len(), 3);
}

#[tokio::test]
async fn subscriptions_that_end_early_lose_nothing() {
    let server = Server::builder()
        .subscription_time(Duration::from_millis(700))
        .start()
        .await;
    server.create_stream("clicks", 1).await;
    let mut reader = reader(&server).start(Start::Latest).build("clicks").await.unwrap();
    let begin = Instant::now();
    let write = async {
        for n in 0..30 {
            server
                .put("clicks", [aggregate(&clicks("anna", n * 3..n * 3 + 3))])
                .await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let ((), records) = tokio::join!(write, take(&mut reader, 90));
    assert_eq!(values(records), clicks("anna", 0..90));
    // The next subscription is at the earliest 5 seconds after the last.
    assert!(begin.elapsed() > Duration::from_secs(9), "{:?}", begin.elapsed());
    silent(&mut reader).await;
}

#[tokio::test]
async fn records_since_a_time_are_read() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    server.put("clicks", [aggregate(&clicks("anna", 0..3))]).await;
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let mut reader = reader(&server)
        .start(Start::At(hour_ago))
        .build("clicks")
        .await
        .unwrap();
    assert_eq!(values(take(&mut reader, 3).await), clicks("anna", 0..3));
}

#[tokio::test]
async fn what_was_there_before_is_not_read_from_the_latest_record_on() {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    for n in 0..10 {
        let user = format!("user-{n}");
        server.put("clicks", [aggregate(&clicks(&user, 0..3))]).await;
        let mut reader = reader(&server).start(Start::Latest).build("clicks").await.unwrap();
        server.put("clicks", [aggregate(&clicks(&user, 3..6))]).await;
        assert_eq!(values(take(&mut reader, 3).await), clicks(&user, 3..6));
    }
}

#[tokio::test]
async fn a_consumer_is_found_again_and_one_that_does_not_exist_is_told() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    server.put("clicks", [aggregate(&clicks("anna", 0..1))]).await;
    for _ in 0..2 {
        let mut reader = reader(&server).build("clicks").await.unwrap();
        take(&mut reader, 1).await;
    }
    let summary = server
        .sdk()
        .describe_stream_summary()
        .stream_name("clicks")
        .send()
        .await;
    let arn = summary.unwrap().stream_description_summary.unwrap().stream_arn;
    let consumers = server.sdk().list_stream_consumers().stream_arn(&arn).send().await;
    let consumers = consumers.unwrap().consumers.unwrap_or_default();
    let [consumer] = &consumers[..] else {
        panic!("{consumers:?}");
    };
    let by_arn = self::reader(&server).fan_out(&consumer.consumer_arn);
    let mut reader = by_arn.build("clicks").await.unwrap();
    take(&mut reader, 1).await;

    let unknown = format!("{arn}/consumer/unknown:1");
    let mut reader = self::reader(&server).fan_out(unknown).build("clicks").await.unwrap();
    let error = reader.next().await.unwrap().unwrap_err();
    let told = "stream clicks, shard shardId-000000000000: SubscribeToShard: ResourceNotFoundException";
    assert!(error.to_string().starts_with(told), "{error}");
}

#[tokio::test]
async fn what_is_not_permitted_or_too_many_is_told() {
    for operation in ["DescribeStreamConsumer", "RegisterStreamConsumer", "SubscribeToShard"] {
        let server = Server::builder().refuse(operation).start().await;
        server.create_stream("clicks", 1).await;
        let error = reader(&server).start(Start::Latest).build("clicks").await.unwrap_err();
        let told = format!("{operation}: AccessDeniedException: not authorized to perform kinesis:{operation}");
        assert!(error.to_string().ends_with(&told), "{error}");
    }
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    for n in 0..20 {
        let builder = reader(&server).fan_out(format!("consumer-{n}"));
        tokio::spawn(builder.build("clicks"));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let error = reader(&server).build("clicks").await.unwrap_err();
    let ReaderError::Request { operation, error, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(
        (operation, &*error.code),
        ("RegisterStreamConsumer", "LimitExceededException")
    );
}

/// Forwards connections to a server. Once `cut` is set, the connection that receives the next answer is closed after
/// this many bytes of it.
async fn cutting_proxy(server: &Server, cut: Arc<AtomicUsize>) -> String {
    let target = server.url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&target).await.unwrap();
            let cut = Arc::clone(&cut);
            tokio::spawn(async move {
                let (mut asked, mut answered) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let asking = tokio::spawn(async move { tokio::io::copy(&mut asked, &mut to_server).await });
                let mut buffer = vec![0; 8 << 10];
                while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                    let left = cut.load(Ordering::SeqCst);
                    if answered.write_all(&buffer[..count.min(left)]).await.is_err() {
                        break;
                    }
                    if count >= left {
                        cut.store(usize::MAX, Ordering::SeqCst);
                        break;
                    }
                    if left != usize::MAX {
                        cut.store(left - count, Ordering::SeqCst);
                    }
                }
                asking.abort();
            });
        }
    });
    url
}

#[tokio::test]
async fn a_connection_that_is_lost_in_the_middle_of_an_event_loses_nothing_and_gives_nothing_twice() {
    const EACH: u32 = 5_000;
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    let cut = Arc::new(AtomicUsize::new(usize::MAX));
    let url = cutting_proxy(&server, Arc::clone(&cut)).await;
    let config = kpl_testkit::aws::config(&url, "key").await;
    let builder = Reader::<Click>::builder().load_aws_config(&config).fan_out("tests");
    let mut reader = builder.build("clicks").await.unwrap();
    server.put("clicks", [aggregate(&clicks("anna", 0..10))]).await;
    assert_eq!(values(take(&mut reader, 10).await), clicks("anna", 0..10));
    let mut next = 10;
    for after in [60_000, 1_000] {
        cut.store(after, Ordering::SeqCst);
        let records = (0..10).map(|n| aggregate(&clicks("anna", next + n * EACH / 10..next + (n + 1) * EACH / 10)));
        server.put("clicks", records).await;
        assert_eq!(
            values(take(&mut reader, EACH as usize).await),
            clicks("anna", next..next + EACH)
        );
        assert_eq!(cut.load(Ordering::SeqCst), usize::MAX, "the connection was cut");
        next += EACH;
    }
    silent(&mut reader).await;
}
