//! Lease tables as they are: for tools that show one, check one, or keep leases elsewhere.
//!
//! A worker does not need it: [`DynamoLeases`](crate::DynamoLeases) reads and writes rows.

mod change;
mod judge;
pub(crate) mod row;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::change::Change;
pub use self::judge::{Problem, ProblemKind};
use self::row::Row;
use crate::lease::Lease;

/// A row: its attributes by name.
pub type Item = BTreeMap<String, Attribute>;

/// The value of an attribute, as far as leases have such values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// A string: `S`.
    String(String),
    /// A number, in decimal digits: `N`.
    Number(String),
    /// A set of strings: `SS`.
    Strings(Vec<String>),
    /// A value of another type, which no attribute of a lease has that is read here.
    Other,
}

/// The rows of a lease table, of an application of the KCL or of kpl-fleet.
///
/// ```
/// use kpl_fleet::table::{Attribute, Item, LeaseTable, ProblemKind};
///
/// let row = Item::from([
///     ("leaseKey".into(), Attribute::String("shardId-000000000000".into())),
///     ("leaseCounter".into(), Attribute::Number("7".into())),
///     ("checkpoint".into(), Attribute::String("TRIM_HORIZON".into())),
/// ]);
/// let table = LeaseTable::read([row]);
/// let problems = table.problems(None);
/// assert_eq!(problems[0].kind, ProblemKind::NoOwner);
/// assert_eq!(problems[0].key, "shardId-000000000000");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseTable {
    /// The leases, by their keys.
    pub leases: Vec<TableLease>,
    /// The rows that should be leases and are not valid.
    pub invalid: Vec<InvalidRow>,
    /// The state in which workers of the KCL 3 share the leases, if there is one, such as `CLIENT_VERSION_3X`.
    pub client_version: Option<String>,
}

/// A lease, and what only its row has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableLease {
    /// The lease.
    pub lease: Lease,
    /// The checkpoint that a record processor of the KCL has prepared, if there is one.
    pub pending_checkpoint: Option<String>,
    /// The worker that still has to hand the lease over, if a leader of the KCL 3 has given it to another.
    pub checkpoint_owner: Option<String>,
}

/// A row that is not a valid lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRow {
    /// Its key, or an empty string if it does not have one.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl LeaseTable {
    /// Reads rows, in any order. Those that the KCL 3.5 keeps beside the leases are passed over.
    pub fn read(items: impl IntoIterator<Item = Item>) -> Self {
        let mut table = Self::default();
        for item in items {
            let text = |name| match item.get(name) {
                Some(Attribute::String(text)) => Some(text.clone()),
                _ => None,
            };
            match row::read(&item) {
                Ok(Row::Lease(lease)) => table.leases.push(TableLease {
                    lease: *lease,
                    pending_checkpoint: text(row::PENDING[0]),
                    checkpoint_owner: text(row::CHECKPOINT_OWNER),
                }),
                Ok(Row::State) => table.client_version = Some(text(row::CLIENT_VERSION).unwrap_or_default()),
                Ok(Row::Other) => {}
                Err(reason) => table.invalid.push(InvalidRow {
                    key: text(row::KEY).unwrap_or_default(),
                    reason,
                }),
            }
        }
        table.leases.sort_by_key(|row| Arc::clone(&row.lease.key));
        table.invalid.sort_by(|one, other| one.key.cmp(&other.key));
        table
    }

    /// Returns whether a worker of kpl-fleet joins the workers of this table: whether workers of the KCL 3, if there are any,
    /// share the leases as those of the KCL 2 do.
    #[must_use]
    pub fn can_be_joined(&self) -> bool {
        self.client_version.as_deref().is_none_or(row::joins)
    }
}

/// Reads a row that should be a lease. Returns `None` if it is something else, which the KCL 3.5 keeps in the same table.
///
/// # Errors
///
/// What is wrong with it, if it is not a valid lease.
pub fn read_lease(item: &Item) -> Result<Option<Lease>, String> {
    Ok(match row::read(item)? {
        Row::Lease(lease) => Some(*lease),
        Row::State | Row::Other => None,
    })
}

/// Returns the row of a lease that is not in the table yet.
#[must_use]
pub fn write_lease(lease: &Lease) -> Item {
    row::write(lease)
}
