//! A client that knows only some shards of a stream.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use kpl_stream::client::{Fetched, IteratorStart, ReadClient, RequestError, ShardDescription, StreamIdentity};

use crate::draw::count;
use crate::problems::Stop;

/// Returns a client for the shards that are asked for, or for all if none is.
pub(super) async fn client(
    client: impl ReadClient,
    stream: &str,
    asked: &[String],
) -> Result<Arc<dyn ReadClient>, Stop> {
    if asked.is_empty() {
        return Ok(Arc::new(client));
    }
    let asked: Vec<String> = asked.iter().map(|shard| id(shard)).collect();
    let shards = client
        .list_shards(stream)
        .await
        .map_err(|error| Stop::Service(format!("stream {stream}: its shards cannot be listed: {error}")))?;
    if let Some(unknown) = asked.iter().find(|id| shards.iter().all(|shard| shard.id != **id)) {
        let shards_of_it = count(shards.len() as u64, "shard");
        let ids: Vec<_> = shards.iter().take(10).map(|shard| shard.id.as_str()).collect();
        let more = if shards.len() > ids.len() { ", ..." } else { "" };
        let problem = format!(
            "stream {stream} does not have a shard {unknown}, but {shards_of_it}: {}{more}",
            ids.join(", ")
        );
        return Err(Stop::Usage(problem));
    }
    Ok(Arc::new(SomeShards { client, asked }))
}

/// Returns the ID of a shard that may be named by its number.
fn id(shard: &str) -> String {
    match shard.parse::<u64>() {
        Ok(number) => format!("shardId-{number:012}"),
        Err(_) => shard.to_owned(),
    }
}

#[derive(Debug)]
struct SomeShards<C> {
    client: C,
    asked: Vec<String>,
}

impl<C> SomeShards<C> {
    /// Leaves the shards that are asked for, and those that came from them.
    fn select(&self, shards: Vec<ShardDescription>) -> Vec<ShardDescription> {
        let mut selected: BTreeSet<String> = self.asked.iter().cloned().collect();
        loop {
            let before = selected.len();
            for shard in &shards {
                if shard.parents.iter().any(|parent| selected.contains(parent)) {
                    selected.insert(shard.id.clone());
                }
            }
            if selected.len() == before {
                break;
            }
        }
        shards
            .into_iter()
            .filter(|shard| selected.contains(&shard.id))
            .collect()
    }
}

impl<C: ReadClient> ReadClient for SomeShards<C> {
    fn list_shards<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Vec<ShardDescription>, RequestError>> {
        Box::pin(async move { Ok(self.select(self.client.list_shards(stream).await?)) })
    }

    fn get_shard_iterator<'a>(
        &'a self,
        stream: &'a str,
        shard_id: &'a str,
        start: IteratorStart,
    ) -> BoxFuture<'a, Result<String, RequestError>> {
        self.client.get_shard_iterator(stream, shard_id, start)
    }

    fn get_records<'a>(&'a self, iterator: &'a str, limit: usize) -> BoxFuture<'a, Result<Fetched, RequestError>> {
        self.client.get_records(iterator, limit)
    }

    fn identify_stream<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<Option<StreamIdentity>, RequestError>> {
        self.client.identify_stream(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_enough() {
        assert_eq!(id("3"), "shardId-000000000003");
        assert_eq!(id("shardId-000000000003"), "shardId-000000000003");
    }
}
