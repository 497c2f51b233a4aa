//! The reader, beside a real server.

#![cfg(feature = "aws")]

mod support;

use self::support::Server;

#[tokio::test]
async fn the_server_splits_and_merges() {
    let server = Server::start().await;
    server.create_stream("clicks", 1).await;
    server.split("clicks", "shardId-000000000000").await;
    let (one, two) = ("shardId-000000000001", "shardId-000000000002");
    server.merge("clicks", one, two).await;
    assert_eq!(server.shards("clicks").await.len(), 4);
}
