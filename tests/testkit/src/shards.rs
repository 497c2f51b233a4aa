//! Shards that together own all hash keys.

use kpl_core::{HashKeyRange, Shard, ShardMap};

/// Returns shards that start at these hash keys, and at 0.
pub fn shards(starts: &[u128]) -> Vec<Shard> {
    let mut starts = [&[0], starts].concat();
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([u128::MAX]);
    let ranges = starts.iter().zip(ends).enumerate();
    ranges
        .map(|(number, (&start, end))| {
            let range = HashKeyRange::try_from(start..=end).expect("the starts are sorted");
            Shard::new(format!("shardId-{number:012}"), range)
        })
        .collect()
}

/// Returns this many shards of the same size.
pub fn even_shards(count: u128) -> Vec<Shard> {
    let width = u128::MAX / count;
    shards(&(0..count).map(|number| number * width).collect::<Vec<_>>())
}

/// Returns a map of shards that start at these hash keys, and at 0.
pub fn shard_map(starts: &[u128]) -> ShardMap {
    ShardMap::new(shards(starts)).expect("there are no gaps and no overlaps")
}
