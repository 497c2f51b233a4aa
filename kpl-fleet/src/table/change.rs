//! What an update changes in a row. All other attributes stay as they are.

use super::row::{self, write_checkpoint};
use super::{Attribute, Item};
use crate::lease::{OwnerChange, Update};

/// What an update changes in a row, attribute by attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The attributes that get a value.
    pub set: Vec<(&'static str, Attribute)>,
    /// The attributes that are removed.
    pub remove: Vec<&'static str>,
    /// Whether `ownerSwitchesSinceCheckpoint` grows by 1.
    pub is_switch: bool,
}

impl Change {
    /// Returns what an update changes.
    #[must_use]
    pub fn of(update: &Update) -> Self {
        let mut change = Self::default();
        let mut set = |name, value| change.set.push((name, value));
        let number = |number: u64| Attribute::Number(number.to_string());
        set(row::COUNTER, number(update.expected_counter.saturating_add(1)));
        match &update.owner {
            OwnerChange::Keep => {}
            OwnerChange::Take(owner) => set(row::OWNER, Attribute::String(owner.to_string())),
            OwnerChange::Remove => change.remove.push(row::OWNER),
        }
        if let Some(checkpoint) = &update.checkpoint {
            let (sequence, sub) = write_checkpoint(checkpoint);
            change.set.push((row::CHECKPOINT, sequence));
            change.set.push((row::SUB_SEQUENCE_NUMBER, sub));
            change.set.push((row::SWITCHES, number(0)));
            change.remove.extend(row::PENDING);
        } else {
            change.is_switch = update.is_switch();
        }
        if !update.children.is_empty() {
            let children = Attribute::Strings(update.children.clone());
            change.set.push((row::CHILDREN, children));
        }
        change
    }

    /// Changes a row, whatever it was before.
    pub fn apply(&self, item: &mut Item) {
        if self.is_switch {
            let switches = match item.get(row::SWITCHES) {
                Some(Attribute::Number(number)) => number.parse().unwrap_or(0_u64),
                _ => 0,
            };
            let switches = Attribute::Number(switches.saturating_add(1).to_string());
            item.insert(row::SWITCHES.into(), switches);
        }
        for (name, value) in &self.set {
            item.insert((*name).into(), value.clone());
        }
        for name in &self.remove {
            item.remove(*name);
        }
    }
}
