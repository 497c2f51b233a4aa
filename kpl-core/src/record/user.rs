//! User records: borrowed views of what is inside a Kinesis record.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{FromKplRecord, KinesisRecord, KplRecord, MalformedPolicy};
use crate::debug::ByteCount;
use crate::error::{CodecError, KeyError, ReadError};
use crate::key::HashKey;
use crate::position::Position;
use crate::wire::{Malformed, Tags, WireRecord};

/// One user record, and everything that is known about it. It borrows everything from the data of its Kinesis record.
///
/// It is also the type for programs that read or pass on records without decoding or copying them: a
/// [`Deaggregator`](crate::Deaggregator) of `UserRecord` yields it, and an [`Aggregator`](crate::Aggregator) takes it.
/// [`RawRecord`](crate::RawRecord) is its counterpart that owns its bytes.
///
/// ```
/// use kpl_core::{Aggregator, Deaggregator, KinesisRecord, UserRecord};
///
/// let received = [KinesisRecord::new(b"some bytes").with_partition_key("abc")];
/// let mut aggregator = Aggregator::new();
/// for record in Deaggregator::<UserRecord<'_>>::new().records(&received) {
///     aggregator.push(&record?.value)?;
/// }
/// # assert_eq!(aggregator.finish().unwrap().data, b"some bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserRecord<'a> {
    /// The Kinesis record that it is, or that contained it: sequence number, arrival time, encryption type.
    pub kinesis_record: KinesisRecord<'a>,
    /// The index in the batch of that Kinesis record. The first is 0.
    pub kinesis_record_index: usize,
    /// The partition key.
    pub partition_key: Option<&'a str>,
    /// The explicit hash key, if it was transmitted: only records inside an aggregate can have one.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: &'a [u8],
    /// Its index among the records of its aggregate, or 0 if it was not in one.
    pub sub_sequence_number: u64,
    /// Whether it was inside an aggregate.
    pub aggregated: bool,
    /// Why the data is not a valid aggregate, if it carries the magic of one.
    pub malformed: Option<Malformed>,
    pub(crate) tags: &'a [u8],
}

impl<'a> UserRecord<'a> {
    /// Returns a user record to write, with this partition key and payload.
    ///
    /// ```
    /// use kpl_core::{Aggregator, UserRecord};
    ///
    /// let lines = String::from("one\ntwo");
    /// let records = lines.lines().map(|line| UserRecord::new("abc", line.as_bytes()));
    /// for sealed in Aggregator::<UserRecord<'_>>::new().aggregate(records) {
    ///     println!("{} bytes", sealed?.size());
    /// }
    /// # Ok::<(), kpl_core::AggregateError>(())
    /// ```
    #[must_use]
    pub const fn new(partition_key: &'a str, data: &'a [u8]) -> Self {
        Self::plain(KinesisRecord::new(data).with_partition_key(partition_key), 0)
    }

    /// Returns the same record with an explicit hash key.
    #[must_use]
    pub const fn with_explicit_hash_key(mut self, key: HashKey) -> Self {
        self.explicit_hash_key = Some(key);
        self
    }

    /// Returns the Kinesis record as one user record.
    pub(crate) const fn plain(record: KinesisRecord<'a>, index: usize) -> Self {
        Self {
            kinesis_record: record,
            kinesis_record_index: index,
            partition_key: record.partition_key,
            explicit_hash_key: None,
            data: record.data,
            sub_sequence_number: 0,
            aggregated: false,
            malformed: None,
            tags: &[],
        }
    }

    /// Returns a user record inside an aggregate, before its keys are looked up.
    #[inline]
    pub(crate) const fn inner(
        kinesis_record: KinesisRecord<'a>,
        kinesis_record_index: usize,
        wire: &WireRecord<'a>,
        sub_sequence_number: u64,
    ) -> Self {
        Self {
            kinesis_record,
            kinesis_record_index,
            partition_key: None,
            explicit_hash_key: None,
            data: wire.data,
            sub_sequence_number,
            aggregated: true,
            malformed: None,
            tags: wire.tags,
        }
    }

    /// Returns the tags.
    #[must_use]
    pub const fn tags(&self) -> Tags<'a> {
        Tags::of_record(self.tags)
    }

    /// Returns the record's position in its shard, if the Kinesis record has a sequence number that consists of digits.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let number = self.kinesis_record.sequence_number?;
        Position::new(number, self.sub_sequence_number).ok()
    }

    /// Returns the hash key that selected the record's shard, or `None` if the record has neither kind of key.
    #[must_use]
    pub fn effective_hash_key(&self) -> Option<HashKey> {
        self.explicit_hash_key
            .or_else(|| self.partition_key.map(HashKey::of_partition_key))
    }
}

/// A Kinesis record as one user record, whatever its data is: for data that another program has taken out of its aggregate.
impl<'a> From<KinesisRecord<'a>> for UserRecord<'a> {
    fn from(record: KinesisRecord<'a>) -> Self {
        Self::plain(record, 0)
    }
}

impl KplRecord for UserRecord<'_> {
    #[inline]
    fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, KeyError> {
        self.partition_key.ok_or(KeyError::Missing)
    }

    #[inline]
    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(self.explicit_hash_key)
    }

    #[inline]
    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        tags.extend(&self.tags());
        Ok(())
    }

    #[inline]
    fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        Ok(self.data)
    }
}

impl<'de> FromKplRecord<'de> for UserRecord<'de> {
    const MALFORMED: MalformedPolicy = MalformedPolicy::Deliver;

    #[inline]
    fn from_user_record(record: &UserRecord<'de>) -> Result<Self, ReadError> {
        Ok(*record)
    }
}

impl fmt::Debug for UserRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecord")
            .field("kinesis_record", &self.kinesis_record)
            .field("kinesis_record_index", &self.kinesis_record_index)
            .field("partition_key", &self.partition_key)
            .field("explicit_hash_key", &self.explicit_hash_key)
            .field("data", &ByteCount(self.data.len()))
            .field("sub_sequence_number", &self.sub_sequence_number)
            .field("aggregated", &self.aggregated)
            .field("malformed", &self.malformed)
            .field("tags", &self.tags())
            .finish()
    }
}
