//! The reader with a real server.

#![cfg(feature = "aws")]

#[path = "common/clicks.rs"]
mod clicks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use kpl_core::{DeaggregateErrorKind, PartitionKey, SealedRecord};
use kpl_stream::client::ErrorClass;
use kpl_stream::reader::{MemoryPositions, Positions as _, Reader, ReaderBuilder, ReaderError, ShardState, Start};
use kpl_testkit::server::Server;

use self::clicks::{Click, aggregate, by_user, clicks, take, values};

fn click(user: &str, n: u32) -> Click {
    let user = user.to_owned();
    Click { user, n }
}

fn plain(click: &Click) -> SealedRecord {
    aggregate(std::slice::from_ref(click))
}

fn reader(server: &Server) -> ReaderBuilder<Click> {
    Reader::builder()
        .load_aws_config(server.config())
        .poll_interval(Duration::from_millis(20))
        .fetch_interval(Duration::from_millis(5))
}

async fn silent(reader: &mut Reader<Click>) {
    let next = tokio::time::timeout(Duration::from_millis(200), reader.next()).await;
    assert!(next.is_err(), "{next:?}");
}

#[tokio::test]
async fn all_shards_are_read_each_in_its_order() {
    let server = Server::start().await;
    server.create_stream("clicks", 4).await;
    let users: Vec<String> = (0..40).map(|user| format!("user-{user}")).collect();
    for round in 0..5 {
        let records = users.iter().flat_map(|user| {
            let first = round * 10;
            let rest = (first + 7..first + 10).map(|n| plain(&click(user, n)));
            [aggregate(&clicks(user, first..first + 7))].into_iter().chain(rest)
        });
        server.put("clicks", records).await;
    }

    let mut reader = reader(&server).build("clicks").await.unwrap();
    let records = take(&mut reader, 40 * 50).await;
    let in_order: BTreeMap<_, _> = users
        .into_iter()
        .map(|user| (user, (0..50).collect::<Vec<_>>()))
        .collect();
    assert_eq!(by_user(&records), in_order);

    assert_eq!(records.iter().filter(|record| record.is_aggregated()).count(), 40 * 35);
    assert!(records.iter().all(|record| record.approximate_arrival().is_some()));
    assert!(records.iter().all(|record| record.stream() == Some("clicks")));
    let mut last = BTreeMap::new();
    for record in &records {
        let before = last.insert(record.shard_id(), record.position());
        assert!(before.is_none_or(|before| before < record.position()));
    }
    assert_eq!(last.len(), 4);
    silent(&mut reader).await;
}

#[tokio::test]
async fn a_reader_is_a_stream() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    server.put("clicks", [aggregate(&clicks("anna", 0..3))]).await;
    let mut reader = reader(&server).build("clicks").await.unwrap();
    for n in 0..3 {
        assert_eq!(reader.try_next().await.unwrap().unwrap().value, click("anna", n));
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_comes_with_its_bytes_and_reading_goes_on() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    let mut malformed = aggregate(&clicks("anna", 0..2));
    *malformed.data.last_mut().unwrap() ^= 1;
    let mut no_json = plain(&click("anna", 0));
    no_json.data = b"no JSON".to_vec();
    let records = [malformed.clone(), no_json, aggregate(&clicks("anna", 2..4))];
    server.put("clicks", records).await;

    let positions = MemoryPositions::new();
    let mut reader = reader(&server)
        .positions(positions.clone())
        .build("clicks")
        .await
        .unwrap();
    let Some(Err(ReaderError::Record(error))) = reader.next().await else {
        panic!("the first record is malformed");
    };
    assert!(matches!(error.reason(), DeaggregateErrorKind::Malformed(_)), "{error}");
    assert_eq!(error.data(), malformed.data);
    assert_eq!(error.stream(), Some("clicks"));
    assert_eq!(error.shard_id(), Some("shardId-000000000000"));
    let Some(Err(ReaderError::Record(second))) = reader.next().await else {
        panic!("the second record is no JSON");
    };
    assert!(matches!(second.reason(), DeaggregateErrorKind::Read(_)), "{second}");
    assert_eq!(second.data(), b"no JSON");
    assert!(second.position() > error.position());

    reader.commit().await.unwrap();
    let saved = positions.load("clicks").await.unwrap();
    assert_eq!(
        saved.shards["shardId-000000000000"],
        ShardState::After(second.position().unwrap())
    );
    assert_eq!(values(take(&mut reader, 2).await), clicks("anna", 2..4));
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
            server
                .put(
                    "clicks",
                    users.iter().map(|user| aggregate(&clicks(user, round.clone()))),
                )
                .await;
        }
    };
    let count = users.len() * ROUNDS as usize * 5;
    let ((), records) = tokio::join!(write, take(&mut reader, count));

    let in_order: BTreeMap<_, _> = users
        .iter()
        .map(|user| (user.clone(), (0..ROUNDS * 5).collect::<Vec<_>>()))
        .collect();
    assert_eq!(by_user(&records), in_order);
    silent(&mut reader).await;

    let mut parents = BTreeMap::new();
    for shard in server.shards("clicks").await {
        let of_shard = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
        parents.insert(shard.shard_id, of_shard.into_iter().flatten().collect::<Vec<_>>());
    }
    assert_eq!(parents.len(), 10);
    let mut begun = BTreeSet::new();
    for record in &records {
        let shard_id = record.shard_id().unwrap();
        if begun.insert(shard_id) {
            continue;
        }
        let children = parents
            .iter()
            .filter(|(_, parents)| parents.iter().any(|id| id == shard_id));
        for (child, _) in children {
            assert!(
                !begun.contains(&**child),
                "{child} was begun before {shard_id} was over"
            );
        }
    }
    assert!(begun.len() > 6, "{begun:?}");
}

#[tokio::test]
async fn a_reader_goes_on_in_the_middle_of_an_aggregate() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    server
        .put(
            "clicks",
            [aggregate(&clicks("anna", 0..10)), aggregate(&clicks("anna", 10..20))],
        )
        .await;
    let positions = MemoryPositions::new();
    let build = || reader(&server).positions(positions.clone()).build("clicks");

    let mut first = build().await.unwrap();
    let records = take(&mut first, 14).await;
    first.save(&records[3]).await.unwrap();
    drop(first);

    let mut second = build().await.unwrap();
    assert_eq!(values(take(&mut second, 9).await), clicks("anna", 4..13));
    second.commit().await.unwrap();
    take(&mut second, 5).await;
    drop(second);

    let mut third = build().await.unwrap();
    assert_eq!(values(take(&mut third, 7).await), clicks("anna", 13..20));
    third.commit().await.unwrap();
    drop(third);
    silent(&mut build().await.unwrap()).await;
}

#[tokio::test]
async fn iterators_that_expire_are_renewed_after_the_aggregate_that_was_read_last() {
    let server = Server::builder().iterator_ttl_seconds(1).start().await;
    server.create_stream("clicks", 1).await;
    server.put("clicks", [aggregate(&clicks("anna", 0..3))]).await;
    let builder = reader(&server).poll_interval(Duration::from_millis(1200));
    let mut reader = builder.build("clicks").await.unwrap();
    assert_eq!(values(take(&mut reader, 3).await), clicks("anna", 0..3));
    server.put("clicks", [aggregate(&clicks("anna", 3..6))]).await;
    assert_eq!(values(take(&mut reader, 3).await), clicks("anna", 3..6));
}

/// At each step a reader is built, takes some records, saves them, and is dropped, even in the middle of shards that
/// end.
#[tokio::test]
async fn resuming_across_splits_and_merges_gives_every_record_once() {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    let users: Vec<String> = (0..10).map(|user| format!("user-{user}")).collect();
    let put = async |round: u32| {
        let numbers = round * 10..round * 10 + 10;
        server
            .put(
                "clicks",
                users.iter().map(|user| aggregate(&clicks(user, numbers.clone()))),
            )
            .await;
    };
    put(0).await;
    server.split("clicks", "shardId-000000000000").await;
    put(1).await;
    server
        .merge("clicks", "shardId-000000000003", "shardId-000000000001")
        .await;
    put(2).await;

    let positions = MemoryPositions::new();
    let mut records = Vec::new();
    for _ in 0..30 {
        // If positions are saved, the start does not matter.
        let start = if records.is_empty() {
            Start::TrimHorizon
        } else {
            Start::Latest
        };
        let build = reader(&server)
            .start(start)
            .positions(positions.clone())
            .build("clicks");
        let mut reader = build.await.unwrap();
        records.extend(take(&mut reader, 10).await);
        reader.commit().await.unwrap();
    }
    let in_order: BTreeMap<_, _> = users
        .iter()
        .map(|user| (user.clone(), (0..30).collect::<Vec<_>>()))
        .collect();
    assert_eq!(by_user(&records), in_order);

    let mut last = reader(&server)
        .positions(positions.clone())
        .build("clicks")
        .await
        .unwrap();
    silent(&mut last).await;
    last.commit().await.unwrap();
    let saved = positions.load("clicks").await.unwrap();
    let ended: Vec<_> = saved
        .shards
        .iter()
        .filter(|(_, state)| **state == ShardState::Ended)
        .map(|(id, _)| &**id)
        .collect();
    assert_eq!(saved.shards.len(), 5);
    assert_eq!(
        ended,
        ["shardId-000000000000", "shardId-000000000001", "shardId-000000000003"]
    );
}

#[tokio::test]
async fn from_latest_only_what_is_new_is_read_and_shards_without_records_are_resumed_too() {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    let positions = MemoryPositions::new();
    let build = || {
        reader(&server)
            .start(Start::Latest)
            .positions(positions.clone())
            .build("clicks")
    };
    let at = |n: u32, shard: u32| {
        let mut record = plain(&click("anna", n));
        record.explicit_hash_key = (u128::MAX * u128::from(shard)).into();
        record
    };
    server.put("clicks", [at(0, 0)]).await;

    let mut first = build().await.unwrap();
    server.put("clicks", [at(1, 0)]).await;
    assert_eq!(values(take(&mut first, 1).await), [click("anna", 1)]);
    first.commit().await.unwrap();
    drop(first);

    server.put("clicks", [at(2, 1), at(3, 0)]).await;
    let mut numbers: Vec<u32> = values(take(&mut build().await.unwrap(), 2).await)
        .iter()
        .map(|click| click.n)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

#[tokio::test]
async fn shards_that_were_closed_before_the_latest_record_are_not_read() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    server.put("clicks", [plain(&click("anna", 0))]).await;
    server.split("clicks", "shardId-000000000000").await;
    let positions = MemoryPositions::new();
    let build = || {
        reader(&server)
            .start(Start::Latest)
            .positions(positions.clone())
            .build("clicks")
    };
    let mut first = build().await.unwrap();
    server.put("clicks", [plain(&click("anna", 1))]).await;
    assert_eq!(values(take(&mut first, 1).await), [click("anna", 1)]);
    first.commit().await.unwrap();
    drop(first);
    silent(&mut build().await.unwrap()).await;
}

#[tokio::test]
async fn from_a_time_what_came_before_is_not_read() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    server.put("clicks", [aggregate(&clicks("anna", 0..5))]).await;
    // The server's times of arrival are whole seconds.
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let time = Duration::from_secs(now().as_secs() + 1);
    while now() < time {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.put("clicks", [aggregate(&clicks("anna", 5..10))]).await;
    let mut reader = reader(&server)
        .start(Start::At(UNIX_EPOCH + time))
        .build("clicks")
        .await
        .unwrap();
    assert_eq!(values(take(&mut reader, 5).await), clicks("anna", 5..10));
}

#[tokio::test]
async fn what_the_service_refuses_for_good_is_the_end() {
    let server = Server::start().await;
    let Err(ReaderError::Request { operation, error, .. }) = reader(&server).build("clicks").await else {
        panic!("there is no stream");
    };
    assert_eq!((operation, error.class), ("ListShards", ErrorClass::NotFound));

    server.create_stream("clicks", 2).await;
    let mut reader = reader(&server).build("clicks").await.unwrap();
    silent(&mut reader).await;
    server.sdk().delete_stream().stream_name("clicks").send().await.unwrap();
    let Some(Err(ReaderError::Request { stream, error, .. })) = reader.next().await else {
        panic!("there is no stream any more");
    };
    assert_eq!((&*stream, &*error.code), ("clicks", "ResourceNotFoundException"));
    assert!(reader.next().await.is_none());
}

#[tokio::test]
async fn a_large_stream_is_read_in_batches_of_any_size() {
    let server = Server::start().await;
    server.create_stream("clicks", 3).await;
    let key = |user: u32| PartitionKey::new(format!("user-{user}")).unwrap();
    for round in 0..4 {
        let records = (0..250).map(|user| {
            let mut record = plain(&click(&format!("user-{user}"), round));
            record.partition_key = key(user);
            record
        });
        server.put("clicks", records).await;
    }
    // The server reports that nothing is left behind answers that are merely full. The reader must not wait after them.
    let mut reader = reader(&server)
        .max_records(7)
        .max_buffered_bytes(1)
        .poll_interval(Duration::from_secs(3600))
        .build("clicks")
        .await
        .unwrap();
    let users = by_user(&take(&mut reader, 1000).await);
    assert_eq!(users.len(), 250);
    assert!(users.values().all(|numbers| *numbers == [0, 1, 2, 3]));
}

/// Streams know the second in which they were created.
const NEXT_SECOND: Duration = Duration::from_millis(1010);

/// A stream that has the name, the region and the account of another one, but not its records.
#[tokio::test]
async fn positions_of_another_stream_are_not_used() {
    let (first, second) = (Server::start().await, Server::start().await);
    let positions = MemoryPositions::new();
    let build = async |server: &Server| reader(server).positions(positions.clone()).build("clicks").await;

    first.create_stream("clicks", 1).await;
    first.put("clicks", clicks("anna", 0..5).iter().map(plain)).await;
    tokio::time::sleep(NEXT_SECOND).await;
    second.create_stream("clicks", 1).await;
    second.put("clicks", clicks("bob", 0..3).iter().map(plain)).await;

    let mut of_second = build(&second).await.unwrap();
    assert_eq!(values(take(&mut of_second, 3).await), clicks("bob", 0..3));
    of_second.commit().await.unwrap();

    let error = build(&first).await.unwrap_err();
    assert!(matches!(error, ReaderError::OtherStream { .. }), "{error:?}");
    assert!(error.to_string().contains("reset_positions"), "{error}");
    let again = reader(&first).positions(positions.clone()).reset_positions(true);
    let mut of_first = again.build("clicks").await.unwrap();
    assert_eq!(values(take(&mut of_first, 5).await), clicks("anna", 0..5));
    of_first.commit().await.unwrap();

    // What was saved is now of the first stream, and an option that is still set does not discard it.
    assert!(matches!(build(&second).await, Err(ReaderError::OtherStream { .. })));
    let again = reader(&first).positions(positions.clone()).reset_positions(true);
    silent(&mut again.build("clicks").await.unwrap()).await;
}

#[tokio::test]
async fn positions_of_a_stream_that_was_deleted_are_not_used_for_a_new_one_of_its_name() {
    let server = Server::start().await;
    let positions = MemoryPositions::new();
    server.create_stream("clicks", 2).await;
    server.put("clicks", clicks("anna", 0..5).iter().map(plain)).await;
    let build = async || reader(&server).positions(positions.clone()).build("clicks").await;
    let mut before = build().await.unwrap();
    take(&mut before, 5).await;
    before.commit().await.unwrap();

    server.sdk().delete_stream().stream_name("clicks").send().await.unwrap();
    // The reader that was reading it ends with an error.
    let next = tokio::time::timeout(Duration::from_secs(20), before.next()).await;
    assert!(matches!(next.unwrap(), Some(Err(_))));
    tokio::time::sleep(NEXT_SECOND).await;
    server.create_stream("clicks", 2).await;
    server.put("clicks", clicks("bob", 0..3).iter().map(plain)).await;
    assert!(matches!(build().await, Err(ReaderError::OtherStream { .. })));
}
