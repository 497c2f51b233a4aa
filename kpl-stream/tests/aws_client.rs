//! The AWS SDK's client with a server that ignores the shard filter.

#![cfg(feature = "aws")]

use kpl_core::ShardMap;
use kpl_stream::aws::AwsClient;
use kpl_stream::client::WriteClient as _;
use kpl_testkit::server::Server;

#[tokio::test]
async fn shards_that_were_split_or_merged_are_not_open() {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    server.split("clicks", "shardId-000000000000").await;
    server
        .merge("clicks", "shardId-000000000003", "shardId-000000000001")
        .await;
    assert_eq!(server.shards("clicks").await.len(), 5);

    let open = AwsClient::new(server.config()).open_shards("clicks").await.unwrap();
    let ids: Vec<&str> = open.iter().map(|shard| &*shard.id).collect();
    assert_eq!(ids, ["shardId-000000000002", "shardId-000000000004"]);
    ShardMap::new(open.clone()).unwrap();
}
