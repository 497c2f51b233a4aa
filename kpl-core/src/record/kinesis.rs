//! Kinesis records, as a stream delivers them.

use core::fmt;

use super::SealedRecord;
use crate::debug::ByteCount;
use crate::timestamp::Timestamp;

/// A record as a stream delivers it: a record of GetRecords, SubscribeToShard or a Lambda event.
///
/// ```
/// use kpl_core::KinesisRecord;
///
/// let record = KinesisRecord::new(b"the bytes").with_partition_key("abc").with_sequence_number("4950");
/// assert_eq!(record.partition_key, Some("abc"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KinesisRecord<'a> {
    /// The data. If it arrived as base64, this is the decoded data.
    pub data: &'a [u8],
    /// The partition key. Records of streams whose record distribution strategy is AUTO may not have one.
    pub partition_key: Option<&'a str>,
    /// The sequence number.
    pub sequence_number: Option<&'a str>,
    /// When the record arrived at the stream.
    pub approximate_arrival: Option<Timestamp>,
    /// How the stream encrypts the record.
    pub encryption_type: Option<EncryptionType>,
}

impl<'a> KinesisRecord<'a> {
    /// Returns a record with this data and nothing else.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            partition_key: None,
            sequence_number: None,
            approximate_arrival: None,
            encryption_type: None,
        }
    }

    /// Returns the same record with a partition key.
    #[must_use]
    pub const fn with_partition_key(mut self, key: &'a str) -> Self {
        self.partition_key = Some(key);
        self
    }

    /// Returns the same record with a sequence number.
    #[must_use]
    pub const fn with_sequence_number(mut self, number: &'a str) -> Self {
        self.sequence_number = Some(number);
        self
    }

    /// Returns the same record with its time of arrival.
    #[must_use]
    pub const fn with_approximate_arrival(mut self, time: Timestamp) -> Self {
        self.approximate_arrival = Some(time);
        self
    }

    /// Returns the same record with its type of encryption.
    #[must_use]
    pub const fn with_encryption_type(mut self, encryption_type: EncryptionType) -> Self {
        self.encryption_type = Some(encryption_type);
        self
    }
}

impl<'a> From<&'a SealedRecord> for KinesisRecord<'a> {
    fn from(record: &'a SealedRecord) -> Self {
        Self::new(&record.data).with_partition_key(record.partition_key.as_str())
    }
}

impl fmt::Debug for KinesisRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisRecord")
            .field("data", &ByteCount(self.data.len()))
            .field("partition_key", &self.partition_key)
            .field("sequence_number", &self.sequence_number)
            .field("approximate_arrival", &self.approximate_arrival)
            .field("encryption_type", &self.encryption_type)
            .finish()
    }
}

/// How a stream encrypts a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncryptionType {
    /// The record is not encrypted.
    None,
    /// With a key of AWS KMS.
    Kms,
}
