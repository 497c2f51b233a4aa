//! What must hold no matter what happened.

use std::collections::{HashMap, HashSet};

use kpl_core::{Deaggregator, KinesisRecord, RawRecord, SealedRecord, StrayPolicy};
use kpl_stream::{FailureReason, Options};
use kpl_testkit::service::Stream;
use kpl_testkit::user_records;

use crate::world::{Accepted, World};

/// Checks a request when it is made.
pub(crate) fn check_request(entries: &[SealedRecord], in_flight: usize, options: &Options) -> Result<(), String> {
    let size: usize = entries.iter().map(SealedRecord::size).sum();
    if in_flight > options.max_connections {
        return Err(format!("{in_flight} requests are under way"));
    }
    if entries.is_empty() || entries.len() > options.collection_max_count {
        return Err(format!("a request of {} entries", entries.len()));
    }
    if entries.len() > 1 && size > options.collection_max_size {
        return Err(format!("a request of {size} bytes"));
    }
    match entries
        .iter()
        .find(|entry| entry.user_records > 1 && entry.size() > options.aggregation_max_size)
    {
        Some(entry) => Err(format!("an aggregate of {} bytes", entry.size())),
        None => Ok(()),
    }
}

/// Checks the world at the end.
pub(crate) fn check(world: &World) -> Result<(), String> {
    let written = written(world);
    let read = read(world)?;
    for (number, record) in world.accepted.iter().enumerate() {
        let of_record = |problem: String| format!("record {number}: {problem}");
        let Some((at, outcome)) = &record.outcome else {
            return Err(of_record("it has no outcome".into()));
        };
        let times = written.get(&number).copied().unwrap_or(0);
        match outcome {
            Ok(receipt) => {
                check_receipt(world, number, record, receipt).map_err(of_record)?;
                if !read.contains(&number) {
                    return Err(of_record("it was delivered, and a reader does not see it".into()));
                }
                if times > 1 && !receipt.may_be_duplicated() {
                    return Err(of_record(format!(
                        "it is in the stream {times} times, and the receipt does not say so"
                    )));
                }
            }
            Err(failure) => {
                let options = &world.plan.options;
                if times > 0 && !failure.may_have_been_written {
                    return Err(of_record("it failed, and is in the stream all the same".into()));
                }
                let legitimate = match &failure.reason {
                    FailureReason::Refused(error) => match &*error.code {
                        "ResourceNotFoundException" => true,
                        "HTTP 413" => is_too_large(world, record),
                        _ => record.poison,
                    },
                    FailureReason::Throttled(_) => options.fail_if_throttled,
                    FailureReason::Expired(_) => *at - record.at >= options.record_ttl,
                    FailureReason::Closed => world.abandoned && record.producer == 0,
                    _ => false,
                };
                if !legitimate {
                    return Err(of_record(format!("it failed without a reason: {failure}")));
                }
            }
        }
    }
    if world.plan.options.ordered {
        check_order(world)?;
    }
    if is_quiet(world) {
        for (number, record) in world.accepted.iter().enumerate() {
            match &record.outcome {
                Some((_, Ok(receipt))) if world.plan.reshardings > 0 || receipt.attempts().len() == 1 => {}
                _ => {
                    return Err(format!(
                        "record {number}: nothing was in its way, and it was not delivered at once"
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Returns whether the service refuses every request with this record. Framing takes less than 200 bytes.
fn is_too_large(world: &World, record: &Accepted) -> bool {
    let size = record.data.len() + record.partition_key.len() + 200;
    world.plan.body_limit.is_some_and(|limit| size > limit.bytes)
}

/// Returns whether nothing prevents a record from being delivered in time.
fn is_quiet(world: &World) -> bool {
    let plan = &world.plan;
    let has_room = plan.options.max_connections > 2 && plan.options.collection_max_count >= 20 && !plan.options.ordered;
    let is_there = plan
        .streams
        .iter()
        .all(|stream| stream.exists_from.is_zero() && !stream.unlistable && stream.limit.is_none());
    let is_calm = plan.faults.is_none()
        && plan.poison == 0.0
        && plan.jumps == 0
        && plan.body_limit.is_none()
        && plan.outage.is_none();
    let is_whole = plan.abandoned.is_none() && plan.stalled.is_none();
    has_room && is_there && is_calm && is_whole && plan.options.record_ttl.as_secs() >= 20
}

/// Checks that the receipt says where the record is.
fn check_receipt(world: &World, number: usize, record: &Accepted, receipt: &kpl_stream::Receipt) -> Result<(), String> {
    let stream = &world.streams[record.stream];
    let shard = stream
        .shards
        .iter()
        .find(|shard| shard.id == receipt.shard_id())
        .ok_or("no such shard")?;
    let stored = shard
        .records
        .iter()
        .find(|stored| stored.sequence_number == receipt.sequence_number());
    let inside = user_records(&stored.ok_or("no such sequence number")?.data, "-");
    let sub = receipt.sub_sequence_number() as usize;
    let found = inside.get(sub).ok_or("no such sub-sequence number")?;
    if id(&found.data) != number || *found.data != *record.data {
        return Err("another record is in its place".into());
    }
    if receipt.is_aggregated()
        && (found.partition_key.as_ref() != Some(&record.partition_key)
            || found.explicit_hash_key != record.explicit_hash_key)
    {
        return Err("its keys changed".into());
    }
    Ok(())
}

pub(crate) fn id(data: &[u8]) -> usize {
    u64::from_be_bytes(data[..8].try_into().expect("8 bytes")) as usize
}

/// Counts how often each record is in its stream.
fn written(world: &World) -> HashMap<usize, usize> {
    let mut written = HashMap::new();
    for stored in world
        .streams
        .iter()
        .flat_map(|stream| &stream.shards)
        .flat_map(|shard| &shard.records)
    {
        for record in user_records(&stored.data, "-") {
            *written.entry(id(&record.data)).or_default() += 1;
        }
    }
    written
}

/// Returns what a reader like the KCL sees of a stream, in order: parents before children, and without aggregates that
/// contain a stray.
fn read_stream(stream: &Stream) -> Result<Vec<usize>, String> {
    let mut seen = Vec::new();
    for shard in &stream.shards {
        let batch: Vec<KinesisRecord<'_>> = shard.records.iter().map(KinesisRecord::from).collect();
        let mut deaggregator = Deaggregator::<RawRecord>::new();
        if !stream.auto {
            deaggregator = deaggregator.range(shard.range, StrayPolicy::DropAggregate);
        }
        for record in deaggregator.records(&batch) {
            seen.push(id(&record.map_err(|error| error.to_string())?.value.data));
        }
    }
    Ok(seen)
}

fn read(world: &World) -> Result<HashSet<usize>, String> {
    let mut read = HashSet::new();
    for stream in &world.streams {
        read.extend(read_stream(stream)?);
    }
    Ok(read)
}

/// Checks that the first reads of a key's delivered records are in the order in which the records were sent. Keys with
/// explicit hash keys are spread over shards, whose order is not known.
fn check_order(world: &World) -> Result<(), String> {
    for stream in world.streams.iter().filter(|stream| !stream.auto) {
        let mut first = HashSet::new();
        let mut last: HashMap<&str, usize> = HashMap::new();
        for number in read_stream(stream)? {
            let record = &world.accepted[number];
            let delivered = matches!(record.outcome, Some((_, Ok(_))));
            if !first.insert(number) || !delivered || record.explicit_hash_key.is_some() {
                continue;
            }
            if let Some(before) = last.insert(&record.partition_key, number)
                && before > number
            {
                return Err(format!(
                    "record {number} of {} is read after record {before}",
                    record.partition_key
                ));
            }
        }
    }
    Ok(())
}
