//! The counts of a deaggregator.

use core::ops::AddAssign;

/// How many records a deaggregator saw, and what it did with them.
///
/// `user_records` is the sum of `delivered`, `failed`, `dropped` and `skipped`.
///
/// ```
/// # use kpl_core::{Deaggregator, KinesisRecord, RawRecord};
/// let batch = [KinesisRecord::new(b"one"), KinesisRecord::new(b"two")];
/// let mut records = Deaggregator::<RawRecord>::new().records(&batch);
/// records.by_ref().for_each(drop);
/// assert_eq!(records.counts().plain, 2);
/// assert_eq!(records.counts().delivered, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Kinesis records seen: `aggregated`, `plain` and `malformed` together.
    pub kinesis_records: u64,
    /// Kinesis records that are aggregates.
    pub aggregated: u64,
    /// Kinesis records that are one user record each.
    pub plain: u64,
    /// Kinesis records that carry the magic but are not valid aggregates.
    pub malformed: u64,
    /// Aggregates without a single user record.
    pub empty_aggregates: u64,
    /// User records seen.
    pub user_records: u64,
    /// User records delivered as values.
    pub delivered: u64,
    /// User records delivered as errors.
    pub failed: u64,
    /// User records left out by the hash key range.
    pub dropped: u64,
    /// User records left out because they come before the position to resume after.
    pub skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Self {
            kinesis_records,
            aggregated,
            plain,
            malformed,
            empty_aggregates,
            user_records,
            delivered,
            failed,
            dropped,
            skipped,
        } = other;
        self.kinesis_records += kinesis_records;
        self.aggregated += aggregated;
        self.plain += plain;
        self.malformed += malformed;
        self.empty_aggregates += empty_aggregates;
        self.user_records += user_records;
        self.delivered += delivered;
        self.failed += failed;
        self.dropped += dropped;
        self.skipped += skipped;
    }
}
