//! The shards of a stream, read from the JSON of `aws kinesis list-shards`, or as many of the same size as a new stream has.

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

/// The most shards of the same size.
const MAX_SHARDS: u128 = 100_000;

/// Returns the open shards in a file, or as many shards as a number says, of the same size.
pub(crate) fn load(path: &Path) -> Result<ShardMap, Stop> {
    if let Some(Ok(count)) = path.to_str().map(str::parse) {
        return even(count).map_err(Stop::Usage);
    }
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

/// Returns the shards of a new stream: each starts at a multiple of the same number.
fn even(count: u128) -> Result<ShardMap, String> {
    if !(1..=MAX_SHARDS).contains(&count) {
        return Err(format!(
            "--shards {count}: must be from 1 to {MAX_SHARDS} shards, or a file"
        ));
    }
    // 2^128 by the number of shards, rounded down. It does not fit for a single shard, which needs no size.
    let size = (u128::MAX / count).saturating_add(u128::from(u128::MAX % count == count - 1));
    let shards = (0..count).map(|number| {
        let end = if number == count - 1 {
            u128::MAX
        } else {
            (number + 1) * size - 1
        };
        let range = HashKeyRange::new((number * size).into(), end.into()).map_err(|error| error.to_string())?;
        Ok(Shard::new(format!("shardId-{number:012}"), range))
    });
    ShardMap::new(shards.collect::<Result<Vec<_>, String>>()?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_the_same_size_are_those_of_a_new_stream() {
        let starts = |count| -> Vec<u128> {
            let map = even(count).unwrap();
            map.shards().map(|shard| shard.range.start().value()).collect()
        };
        assert_eq!(starts(1), [0]);
        assert_eq!(starts(2), [0, 1 << 127]);
        assert_eq!(starts(4), [0, 1 << 126, 1 << 127, 3 << 126]);
        // As ListShards answers.
        let thirds = [
            0,
            113427455640312821154458202477256070485,
            226854911280625642308916404954512140970,
        ];
        assert_eq!(starts(3), thirds);
        assert_eq!(starts(MAX_SHARDS).len(), 100_000);
        for count in [0, MAX_SHARDS + 1] {
            assert!(even(count).unwrap_err().contains("must be from 1 to 100000 shards"));
        }
    }
}
