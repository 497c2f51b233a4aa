//! How many records are handled at a time, and what happens after one that failed.

use std::num::NonZeroUsize;

/// What happens to the user records after one that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// They wait. Handling that has already started is finished. In Lambda everything before the failed one is handled as
    /// well, and the retry, which starts at the Kinesis record that failed, handles those that wait. A reader, or a record
    /// processor of the KCL, ends with the error, and one that starts later starts at the user record that failed.
    #[default]
    Stop,
    /// They are handled now. In Lambda they are handled again by the retry, which starts at the first Kinesis record that
    /// failed and includes all records after it. A reader, or a record processor of the
    /// KCL, passes over the record that failed, for nothing retries it.
    Continue,
}

/// How many user records are handled concurrently: those of an event, or of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Concurrency {
    /// One after another, in order.
    #[default]
    Sequential,
    /// The records of one partition key one after another, in order, and at most this many partition keys at a time.
    /// The values of those that wait are in memory: in Lambda these are the values of the whole event.
    ByPartitionKey(NonZeroUsize),
    /// At most this many at a time, in any order.
    All(NonZeroUsize),
}
