//! A lease as a row, attribute by attribute: docs/fleet.md says where the KCL defines each.

use kpl_core::{HashKey, HashKeyRange, Position};

use super::{Attribute, Item};
use crate::lease::{Checkpoint, Lease};

/// The partition key of a table that many applications share.
#[cfg(feature = "aws")]
pub(crate) const APPLICATION: &str = "application";
pub(crate) const KEY: &str = "leaseKey";
pub(crate) const OWNER: &str = "leaseOwner";
pub(crate) const COUNTER: &str = "leaseCounter";
pub(crate) const SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const SUB_SEQUENCE_NUMBER: &str = "checkpointSubSequenceNumber";
pub(crate) const CHILDREN: &str = "childShardIds";
pub(crate) const CHECKPOINT_OWNER: &str = "checkpointOwner";
pub(crate) const PENDING: [&str; 3] = [
    "pendingCheckpoint",
    "pendingCheckpointSubSequenceNumber",
    "pendingCheckpointState",
];
const PARENTS: &str = "parentShardId";
const RANGE_START: &str = "startingHashKey";
const RANGE_END: &str = "endingHashKey";
const ENTITY_TYPE: &str = "entityType";
const STREAM_NAME: &str = "streamName";

/// The key of the item in which the KCL 3 says how its workers share leases, and the attribute.
pub(crate) const MIGRATION: &str = "Migration3.0";
pub(crate) const CLIENT_VERSION: &str = "cv";

/// Returns whether workers of the KCL 3 in this state share leases as those of the KCL 2 do.
pub(crate) fn joins(client_version: &str) -> bool {
    ["CLIENT_VERSION_2X", "CLIENT_VERSION_UPGRADE_FROM_2X"].contains(&client_version)
}

/// What an item is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Lease(Box<Lease>),
    /// The item in which the KCL 3 says how its workers share leases.
    State,
    /// Something else.
    Other,
}

/// Reads an item, or says why it is not a valid lease.
pub(crate) fn read(item: &Item) -> Result<Row, String> {
    let key = text(item, KEY)?.ok_or("it has no leaseKey")?;
    match text(item, ENTITY_TYPE)? {
        None | Some("LEASE") => {}
        Some(_) if key == MIGRATION => return Ok(Row::State),
        Some(_) => return Ok(Row::Other),
    }
    if item.contains_key(STREAM_NAME) {
        return Err("it is of an application that reads many streams".into());
    }
    let counter = number(item, COUNTER)?.ok_or("it has no leaseCounter")?;
    let mut lease = Lease::new(key, checkpoint(item)?);
    lease.owner = text(item, OWNER)?.map(Into::into);
    lease.counter = counter;
    lease.owner_switches = number(item, SWITCHES)?.unwrap_or(0);
    lease.parents = texts(item, PARENTS)?;
    lease.children = texts(item, CHILDREN)?;
    lease.is_handed_over = item.contains_key(CHECKPOINT_OWNER);
    if let Some((start, end)) = text(item, RANGE_START)?.zip(text(item, RANGE_END)?) {
        let key = |text: &str| text.parse::<HashKey>().map_err(|error| error.to_string());
        let range = HashKeyRange::new(key(start)?, key(end)?);
        lease.range = Some(range.map_err(|error| error.to_string())?);
    }
    Ok(Row::Lease(Box::new(lease)))
}

fn checkpoint(item: &Item) -> Result<Checkpoint, String> {
    let text = text(item, CHECKPOINT)?.ok_or("it has no checkpoint")?;
    let sub = number(item, SUB_SEQUENCE_NUMBER)?.unwrap_or(0);
    Ok(match text {
        "TRIM_HORIZON" => Checkpoint::TrimHorizon,
        "AT_TIMESTAMP" => Checkpoint::AtTimestamp,
        "LATEST" => Checkpoint::Latest,
        "SHARD_END" => Checkpoint::Ended,
        sequence => {
            Checkpoint::After(Position::new(sequence, sub).map_err(|error| format!("its checkpoint: {error}"))?)
        }
    })
}

/// Returns the item of a lease that is not in the table yet.
pub(crate) fn write(lease: &Lease) -> Item {
    let string = |text: &str| Attribute::String(text.into());
    let number = |number: u64| Attribute::Number(number.to_string());
    let (checkpoint, sub) = write_checkpoint(&lease.checkpoint);
    let mut item = Item::from([
        (KEY.to_owned(), string(&lease.key)),
        (COUNTER.to_owned(), number(lease.counter)),
        (SWITCHES.to_owned(), number(lease.owner_switches)),
        (CHECKPOINT.to_owned(), checkpoint),
        (SUB_SEQUENCE_NUMBER.to_owned(), sub),
    ]);
    if let Some(owner) = &lease.owner {
        item.insert(OWNER.into(), string(owner));
    }
    for (name, ids) in [(PARENTS, &lease.parents), (CHILDREN, &lease.children)] {
        if !ids.is_empty() {
            item.insert(name.into(), Attribute::Strings(ids.clone()));
        }
    }
    if let Some(range) = &lease.range {
        item.insert(RANGE_START.into(), string(&range.start().to_string()));
        item.insert(RANGE_END.into(), string(&range.end().to_string()));
    }
    item
}

/// Returns the sequence number of a checkpoint, or its name, and the sub-sequence number, which the KCL reads as a signed
/// number of 64 bits.
pub(crate) fn write_checkpoint(checkpoint: &Checkpoint) -> (Attribute, Attribute) {
    let (sequence, sub) = match checkpoint {
        Checkpoint::After(position) => (
            position.sequence_number.as_str().to_owned(),
            i64::try_from(position.sub_sequence_number).unwrap_or(i64::MAX),
        ),
        named => (named.to_string(), 0),
    };
    (Attribute::String(sequence), Attribute::Number(sub.to_string()))
}

fn text<'a>(item: &'a Item, name: &str) -> Result<Option<&'a str>, String> {
    match item.get(name) {
        None => Ok(None),
        Some(Attribute::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its {name} is not a string")),
    }
}

/// Returns a number that the KCL can read: it has 64 bits with a sign.
fn number(item: &Item, name: &str) -> Result<Option<u64>, String> {
    match item.get(name) {
        None => Ok(None),
        Some(Attribute::Number(number)) => match number.parse::<i64>().map(u64::try_from) {
            Ok(Ok(number)) => Ok(Some(number)),
            _ => Err(format!(
                "its {name} is {number}, not a whole number from 0 to {}",
                i64::MAX
            )),
        },
        Some(_) => Err(format!("its {name} is not a number")),
    }
}

fn texts(item: &Item, name: &str) -> Result<Vec<String>, String> {
    let mut texts = match item.get(name) {
        None => Vec::new(),
        Some(Attribute::Strings(texts)) => texts.clone(),
        Some(_) => return Err(format!("its {name} is not a set of strings")),
    };
    // A set has no order.
    texts.sort();
    Ok(texts)
}
