//! The check of the fuzz target `lease_row`: any row of a lease table, and an update of it.

use kpl_core::Position;
use kpl_fleet::table::{Attribute, Change, Item, LeaseTable, read_lease, write_lease};
use kpl_fleet::{Checkpoint, OwnerChange, Update};
use serde_json::{Map, Value};

/// The attributes that an update may change.
const CHANGED: [&str; 9] = [
    "leaseCounter",
    "leaseOwner",
    "checkpoint",
    "checkpointSubSequenceNumber",
    "ownerSwitchesSinceCheckpoint",
    "childShardIds",
    "pendingCheckpoint",
    "pendingCheckpointSubSequenceNumber",
    "pendingCheckpointState",
];

/// The first byte says what the update is; the rest is the row in the JSON of DynamoDB.
pub fn lease_row(input: &[u8]) {
    let Some((how, json)) = input.split_first() else {
        return;
    };
    let Ok(json) = serde_json::from_slice::<Map<String, Value>>(json) else {
        return;
    };
    let row: Item = json
        .into_iter()
        .map(|(name, value)| (name, attribute(&value)))
        .collect();
    let table = LeaseTable::read([row.clone()]);
    drop(table.problems(Some(&[])));
    let Ok(Some(mut lease)) = read_lease(&row) else {
        assert!(table.leases.is_empty(), "a row is not a lease, and is shown as one");
        return;
    };
    assert_eq!(table.leases[0].lease, lease, "a lease is shown as another");
    assert!(table.invalid.is_empty(), "a lease is not valid");

    let mut update = Update::new(&lease);
    update.owner = match how % 3 {
        0 => OwnerChange::Keep,
        1 => OwnerChange::Take("w".into()),
        _ => OwnerChange::Remove,
    };
    update.checkpoint = match (how >> 2) % 3 {
        0 => None,
        1 => Some(Checkpoint::Ended),
        _ => Some(Checkpoint::After(
            Position::new("49543463076570308322303623326179887152428262250726293588", 7).expect("digits"),
        )),
    };
    if how & 128 != 0 {
        update.children = vec!["c".into(), "d".into()];
    }
    let mut changed = row.clone();
    Change::of(&update).apply(&mut changed);
    for (name, value) in &row {
        let is_same = changed.get(name) == Some(value);
        assert!(is_same || CHANGED.contains(&&**name), "{name} was changed");
    }
    let is_new = |name: &String| !row.contains_key(name) && !CHANGED.contains(&&**name);
    assert!(!changed.keys().any(is_new), "an attribute was added");
    // The next one does not fit into the KCL's number.
    let most = i64::MAX as u64;
    if lease.counter < most && lease.owner_switches < most {
        let mut expected = lease.clone();
        update.change(&mut expected);
        assert_eq!(
            read_lease(&changed),
            Ok(Some(expected)),
            "an update does something else"
        );
    }

    // It is written only when it is added, and then no hand-over is under way.
    lease.is_handed_over = false;
    assert_eq!(
        read_lease(&write_lease(&lease)),
        Ok(Some(lease)),
        "what is written is not what is read"
    );
}

fn attribute(value: &Value) -> Attribute {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let value = value.as_object().and_then(|value| value.iter().next());
    let attribute = value.and_then(|(kind, value)| match kind.as_str() {
        "S" => text(value).map(Attribute::String),
        "N" => text(value).map(Attribute::Number),
        "SS" => Some(Attribute::Strings(value.as_array()?.iter().filter_map(text).collect())),
        _ => None,
    });
    attribute.unwrap_or(Attribute::Other)
}
