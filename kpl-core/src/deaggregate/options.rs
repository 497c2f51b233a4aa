//! The options of deaggregators: what they leave out, and what they do with malformed bytes.

use crate::key::HashKeyRange;
use crate::position::Position;
use crate::record::MalformedPolicy;

#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) range: Option<HashKeyRange>,
    pub(super) strays: StrayPolicy,
    pub(super) list_dropped: bool,
    pub(super) after: Option<Position>,
    pub(super) malformed: Option<MalformedPolicy>,
}

/// What happens to the user records of an aggregate that are outside the hash key range.
///
/// Records whose keys cannot be resolved are errors under every policy, and Kinesis records that are not aggregates are
/// delivered under every policy, as the KCL does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum StrayPolicy {
    /// They are delivered.
    #[default]
    Keep,
    /// They are left out, and the others are delivered.
    DropStrays,
    /// If there is one, the whole aggregate is left out. This is what the KCL does.
    DropAggregate,
}
