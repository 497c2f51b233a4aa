//! The shards of a stream, read from the JSON of `aws kinesis list-shards`.

use std::fs;
use std::path::Path;

use kpl_core::{HashKeyRange, Shard, ShardMap};
use serde::Deserialize;

use crate::problems::Stop;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShards {
    shards: Vec<ListedShard>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedShard {
    shard_id: String,
    hash_key_range: ListedRange,
    sequence_number_range: Option<ListedSequenceNumbers>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedSequenceNumbers {
    ending_sequence_number: Option<String>,
}

/// Reads the open shards of a stream.
pub(crate) fn load(path: &Path) -> Result<ShardMap, Stop> {
    read(path).map_err(|problem| Stop::Usage(format!("{}: {problem}", path.display())))
}

fn read(path: &Path) -> Result<ShardMap, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let mut shards = Vec::new();
    for page in serde_json::Deserializer::from_slice(&text).into_iter::<ListShards>() {
        let page = page.map_err(|error| format!("this is not the JSON of `aws kinesis list-shards`: {error}"))?;
        // A closed shard has an ending sequence number; its hash keys belong to its children.
        let open = |shard: &ListedShard| {
            let numbers = shard.sequence_number_range.as_ref();
            numbers.is_none_or(|numbers| numbers.ending_sequence_number.is_none())
        };
        for shard in page.shards.into_iter().filter(open) {
            let range = shard.hash_key_range;
            let hash_key = |text: &str| text.parse().map_err(|error| format!("{}: {error}", shard.shard_id));
            let range = HashKeyRange::new(hash_key(&range.starting_hash_key)?, hash_key(&range.ending_hash_key)?)
                .map_err(|error| format!("{}: {error}", shard.shard_id))?;
            shards.push(Shard::new(shard.shard_id, range));
        }
    }
    ShardMap::new(shards).map_err(|error| format!("the open shards do not make up a whole stream: {error}"))
}
