//! A stream of several shards: aggregates that never mix them, also when a shard is split.
//!
//! Why: readers built on the Kinesis Client Library silently drop a whole aggregate if one of its user records
//! does not belong to the shard that they read: class `AggregatorUtil` in
//! <https://github.com/awslabs/amazon-kinesis-client>.
//!
//! ```text
//! cargo run --example sharded_aggregation
//! ```

use std::error::Error;

use kpl::{
    Aggregator, Deaggregator, HashKeyRange, KinesisRecord, KplRecord, SealedRecord, Shard, ShardMap, StrayPolicy,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Json)]
struct Event {
    #[kpl(partition_key)]
    device: String,
    number: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    // What ListShards returns for the stream: here two shards, each with half of the hash keys.
    let middle = u128::MAX / 2;
    let two = ShardMap::new([
        Shard::new("shardId-000000000000", HashKeyRange::try_from(0..=middle)?),
        Shard::new("shardId-000000000001", HashKeyRange::try_from(middle + 1..=u128::MAX)?),
    ])?;
    // Later the second shard is split into two others.
    let three = ShardMap::new([
        Shard::new("shardId-000000000000", HashKeyRange::try_from(0..=middle)?),
        Shard::new(
            "shardId-000000000002",
            HashKeyRange::try_from(middle + 1..=middle + middle / 2)?,
        ),
        Shard::new(
            "shardId-000000000003",
            HashKeyRange::try_from(middle + middle / 2 + 1..=u128::MAX)?,
        ),
    ])?;
    let events: Vec<Event> = (0..3_000)
        .map(|number| Event {
            device: format!("device-{}", number % 40),
            number,
        })
        .collect();

    println!("One aggregator for all shards:");
    let mut aggregator = Aggregator::<Event>::new();
    let mut mixed = Vec::new();
    for event in &events {
        mixed.extend(aggregator.push(event)?);
    }
    mixed.extend(aggregator.finish());
    let read = read_as_the_kcl_does(&mixed, &two)?;
    println!(
        "  a reader that filters by hash key range gets {} of {} events\n",
        read.len(),
        events.len()
    );
    assert!(read.is_empty());

    println!("A sharded aggregator:");
    let mut aggregator = Aggregator::<Event>::builder()
        .max_size(10_000)
        .build_sharded(two.clone())?;
    let mut before = Vec::new();
    for event in &events[..1_500] {
        before.extend(aggregator.push(event)?);
    }
    let held = aggregator.count();
    // The split: held records move to their new shards. Aggregates that become full by this come out.
    let mut after = aggregator.set_shard_map(three.clone());
    println!("  a shard is split while {held} events are held");
    for event in &events[1_500..] {
        after.extend(aggregator.push(event)?);
    }
    after.extend(aggregator.finish());

    let mut read = read_as_the_kcl_does(&before, &two)?;
    read.extend(read_as_the_kcl_does(&after, &three)?);
    println!("  the same reader gets {} of {} events", read.len(), events.len());
    assert_eq!(read.len(), events.len());

    // The events of one device arrive in order.
    for device in 0..40 {
        let device = format!("device-{device}");
        let of_device = |events: &[Event]| -> Vec<Event> {
            events.iter().filter(|event| event.device == device).cloned().collect()
        };
        assert_eq!(of_device(&read), of_device(&events));
    }
    println!("  and those of each device in their order");
    Ok(())
}

/// Puts records into the shards of a map as the service does, and reads each shard the way the KCL does.
fn read_as_the_kcl_does(records: &[SealedRecord], shards: &ShardMap) -> Result<Vec<Event>, Box<dyn Error>> {
    let mut events = Vec::new();
    for shard in shards.shards() {
        let batch: Vec<KinesisRecord<'_>> = records
            .iter()
            .filter(|record| shards.shard_of(record.explicit_hash_key) == shard)
            .map(KinesisRecord::from)
            .collect();
        let reader = Deaggregator::<Event>::new().range(shard.range, StrayPolicy::DropAggregate);
        let mut received = reader.records(&batch);
        for event in received.by_ref() {
            events.push(event?.value);
        }
        let counts = received.counts();
        println!(
            "  {}: {:2} Kinesis records, {:4} events delivered, {:4} dropped",
            shard.id, counts.kinesis_records, counts.delivered, counts.dropped
        );
    }
    Ok(events)
}
