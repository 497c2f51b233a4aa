//! The records that go in and come out, and the two traits that a type needs to be one.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::deaggregate::MalformedPolicy;
use crate::error::{CodecError, KeyError, ReadError};
use crate::key::{HashKey, PartitionKey};
use crate::position::Position;
use crate::wire::{Malformed, Tags, WireRecord};

/// A type that can go into a stream: it has a partition key and a payload.
///
/// Derive it (feature `derive` of the crate `kpl`), or implement it by hand:
///
/// ```
/// use kpl_core::{CodecError, KeyError, KplRecord};
///
/// struct Line { host: String, text: String }
///
/// impl KplRecord for Line {
///     fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, KeyError> {
///         Ok(&self.host)
///     }
///     fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
///         Ok(self.text.as_bytes())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot go into a stream: it has no partition key and payload",
    note = "derive it: `#[derive(KplRecord)] #[kpl(codec = ...)]`, and mark a field with `#[kpl(partition_key)]`"
)]
pub trait KplRecord {
    /// The record's partition key: a text that the record holds, or one that is written to `buffer` and returned
    /// from there. `buffer` is empty.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if there is no key. The length is checked later, by whoever asked.
    fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError>;

    /// The record's explicit hash key, if it has one: it then decides about the shard, not the partition key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the record has one that is no hash key.
    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(None)
    }

    /// Adds the record's tags, if it has any. `tags` is empty.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if a tag cannot be written as text.
    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        let _ = tags;
        Ok(())
    }

    /// The record's payload: bytes that the record holds, or some that are written to `buffer` and returned from
    /// there. `buffer` is empty.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the record cannot be written.
    fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError>;

    /// Whether the record must be inside an aggregate even when it is the only one, because it is read back from
    /// more than its payload.
    ///
    /// A lone record usually travels raw. Then readers do not get its explicit hash key, nor, where the stream's record
    /// distribution strategy is AUTO, its partition key. Records with tags are always inside an aggregate.
    fn always_wrapped(&self) -> bool {
        false
    }
}

impl<T: KplRecord + ?Sized> KplRecord for &T {
    fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError> {
        T::partition_key(self, buffer)
    }

    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        T::explicit_hash_key(self)
    }

    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        T::tags(self, tags)
    }

    fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        T::payload(self, buffer)
    }

    fn always_wrapped(&self) -> bool {
        T::always_wrapped(self)
    }
}

/// A type that can be read from a stream.
///
/// Derive it (feature `derive` of the crate `kpl`), derive [`KplRecord`], which implements both, or implement it by hand.
///
/// The lifetime is that of the bytes: a type may borrow from them, as with serde's `Deserialize<'de>`.
///
/// ```
/// use kpl_core::{FromKplRecord, ReadError, UserRecord};
///
/// struct Line<'a> { text: &'a str }
///
/// impl<'de> FromKplRecord<'de> for Line<'de> {
///     fn from_user_record(record: &UserRecord<'_, 'de>) -> Result<Self, ReadError> {
///         let text = std::str::from_utf8(record.data).map_err(|error| ReadError::new(error.to_string()))?;
///         Ok(Line { text })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a stream",
    note = "derive `FromKplRecord`, or `KplRecord`, which implements both; the codec must be able to read the type"
)]
pub trait FromKplRecord<'de>: Sized {
    /// What a [`Deaggregator`](crate::Deaggregator) of this type does with bytes that carry the magic but are not
    /// a valid aggregate, unless its builder says otherwise.
    const MALFORMED: MalformedPolicy = MalformedPolicy::Error;

    /// Makes a value of a user record.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if its payload or its keys are not those of this type.
    fn from_user_record(record: &UserRecord<'_, 'de>) -> Result<Self, ReadError>;
}

/// A type that can be read from a stream and borrows nothing from it.
///
/// For bounds, as serde's `DeserializeOwned`.
pub trait FromKplRecordOwned: for<'de> FromKplRecord<'de> {}

impl<T: for<'de> FromKplRecord<'de>> FromKplRecordOwned for T {}

/// A record as a stream gives it: what GetRecords, SubscribeToShard or a Lambda event calls a record.
///
/// ```
/// use kpl_core::KinesisRecord;
///
/// let record = KinesisRecord::new(b"the bytes").with_partition_key("abc").with_sequence_number("4950");
/// assert_eq!(record.partition_key, Some("abc"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KinesisRecord<'a> {
    /// The data, after base64 where there was any.
    pub data: &'a [u8],
    /// The partition key. Streams whose record distribution strategy is AUTO have records without one.
    pub partition_key: Option<&'a str>,
    /// The sequence number.
    pub sequence_number: Option<&'a str>,
    /// When the record arrived at the stream: the time since the Unix epoch, in UTC.
    pub approximate_arrival: Option<Duration>,
    /// How the stream encrypts the record.
    pub encryption_type: Option<EncryptionType>,
}

impl<'a> KinesisRecord<'a> {
    /// A record with this data, and nothing else known of it.
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

    /// The same record with a partition key.
    #[must_use]
    pub const fn with_partition_key(mut self, key: &'a str) -> Self {
        self.partition_key = Some(key);
        self
    }

    /// The same record with a sequence number.
    #[must_use]
    pub const fn with_sequence_number(mut self, number: &'a str) -> Self {
        self.sequence_number = Some(number);
        self
    }

    /// The same record with its time of arrival, since the Unix epoch in UTC.
    #[must_use]
    pub const fn with_approximate_arrival(mut self, since_epoch: Duration) -> Self {
        self.approximate_arrival = Some(since_epoch);
        self
    }

    /// The same record with its type of encryption.
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

/// How a stream encrypts a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncryptionType {
    /// Not at all.
    None,
    /// With a key of AWS KMS.
    Kms,
}

/// One user record, and all that is known of it.
///
/// Two lifetimes: `'b` is that of the slice of Kinesis records, `'a` that of their data, from which values borrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserRecord<'b, 'a> {
    /// The Kinesis record that it is, or that it was in: sequence number, arrival time, encryption type.
    pub kinesis_record: &'b KinesisRecord<'a>,
    /// The partition key.
    pub partition_key: Option<&'a str>,
    /// The explicit hash key, if it travelled: only records inside an aggregate can have one.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: &'a [u8],
    /// Its position among the records of its aggregate; 0 if it was not in one.
    pub sub_sequence_number: u64,
    /// Whether it was inside an aggregate.
    pub aggregated: bool,
    /// If the data carries the magic but is no valid aggregate: why not.
    pub malformed: Option<Malformed>,
    pub(crate) tags: &'a [u8],
}

impl<'b, 'a> UserRecord<'b, 'a> {
    /// The Kinesis record as one user record.
    pub(crate) const fn plain(record: &'b KinesisRecord<'a>) -> Self {
        Self {
            kinesis_record: record,
            partition_key: record.partition_key,
            explicit_hash_key: None,
            data: record.data,
            sub_sequence_number: 0,
            aggregated: false,
            malformed: None,
            tags: &[],
        }
    }

    /// A user record inside an aggregate, before its keys are looked up.
    #[inline]
    pub(crate) const fn inner(
        kinesis_record: &'b KinesisRecord<'a>,
        wire: &WireRecord<'a>,
        sub_sequence_number: u64,
    ) -> Self {
        Self {
            kinesis_record,
            partition_key: None,
            explicit_hash_key: None,
            data: wire.data,
            sub_sequence_number,
            aggregated: true,
            malformed: None,
            tags: wire.tags,
        }
    }

    /// The tags.
    #[must_use]
    pub const fn tags(&self) -> Tags<'a> {
        Tags::of_record(self.tags)
    }

    /// Where the record stands in its shard, if the Kinesis record has a sequence number that is one.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let number = self.kinesis_record.sequence_number?;
        Position::new(number, self.sub_sequence_number).ok()
    }

    /// The hash key that decided about the record's shard. `None` if it has neither key.
    #[must_use]
    pub fn effective_hash_key(&self) -> Option<HashKey> {
        self.explicit_hash_key
            .or_else(|| self.partition_key.map(HashKey::of_partition_key))
    }
}

/// A user record whose payload is its own bytes: for programs that do not know, or do not care, what is inside.
///
/// A program that forwards records and must keep every explicit hash key sets
/// [`wrap_single`](crate::AggregatorBuilder::wrap_single): a lone record that travels raw takes its explicit hash key
/// to the stream, but readers do not get it.
///
/// ```
/// use kpl_core::{Aggregator, Deaggregator, KinesisRecord, RawRecord};
///
/// let records = [
///     RawRecord::new("abc", b"one"),
///     RawRecord::new("abc", b"two").with_explicit_hash_key(7),
/// ];
/// let sealed: Vec<_> = Aggregator::new().aggregate(&records).collect::<Result<_, _>>()?;
///
/// let batch: Vec<_> = sealed.iter().map(KinesisRecord::from).collect();
/// let data: Vec<_> = Deaggregator::<RawRecord<'_>>::new()
///     .records(&batch)
///     .map(|record| Ok(record?.value.data))
///     .collect::<Result<_, kpl_core::DeaggregateError>>()?;
/// assert_eq!(data, [&b"one"[..], b"two"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RawRecord<'a> {
    /// The partition key. Empty if the record was read from a stream that gives none.
    pub partition_key: Cow<'a, str>,
    /// The explicit hash key.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: Cow<'a, [u8]>,
    /// The tags.
    pub tags: Tags<'a>,
}

impl<'a> RawRecord<'a> {
    /// A record with this partition key and these bytes.
    pub fn new<D: AsRef<[u8]> + ?Sized>(partition_key: &'a str, data: &'a D) -> Self {
        Self {
            partition_key: Cow::Borrowed(partition_key),
            data: Cow::Borrowed(data.as_ref()),
            ..Self::default()
        }
    }

    /// A record with this partition key and these bytes, borrowed or owned.
    pub fn from_parts(partition_key: impl Into<Cow<'a, str>>, data: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            partition_key: partition_key.into(),
            data: data.into(),
            ..Self::default()
        }
    }

    /// The same record with an explicit hash key.
    #[must_use]
    pub fn with_explicit_hash_key(mut self, key: impl Into<HashKey>) -> Self {
        self.explicit_hash_key = Some(key.into());
        self
    }

    /// The same record with one tag more.
    #[must_use]
    pub fn with_tag(mut self, key: &str, value: Option<&str>) -> Self {
        self.tags.push(key, value);
        self
    }

    /// The same record, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> RawRecord<'static> {
        RawRecord {
            partition_key: Cow::Owned(self.partition_key.into_owned()),
            explicit_hash_key: self.explicit_hash_key,
            data: Cow::Owned(self.data.into_owned()),
            tags: self.tags.into_owned(),
        }
    }
}

impl<'a> From<&UserRecord<'_, 'a>> for RawRecord<'a> {
    #[inline]
    fn from(record: &UserRecord<'_, 'a>) -> Self {
        Self {
            partition_key: Cow::Borrowed(record.partition_key.unwrap_or_default()),
            explicit_hash_key: record.explicit_hash_key,
            data: Cow::Borrowed(record.data),
            tags: record.tags(),
        }
    }
}

impl KplRecord for RawRecord<'_> {
    #[inline]
    fn partition_key<'a>(&'a self, _: &'a mut String) -> Result<&'a str, KeyError> {
        Ok(&self.partition_key)
    }

    #[inline]
    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(self.explicit_hash_key)
    }

    #[inline]
    fn tags(&self, tags: &mut Tags<'_>) -> Result<(), KeyError> {
        if !self.tags.is_empty() {
            self.tags.iter().for_each(|(key, value)| tags.push(key, value));
        }
        Ok(())
    }

    #[inline]
    fn payload<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        Ok(&self.data)
    }
}

impl<'de> FromKplRecord<'de> for RawRecord<'de> {
    const MALFORMED: MalformedPolicy = MalformedPolicy::Deliver;

    #[inline]
    fn from_user_record(record: &UserRecord<'_, 'de>) -> Result<Self, ReadError> {
        Ok(record.into())
    }
}

/// A record that is ready for PutRecords: aggregated, or a lone one as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealedRecord {
    /// The data.
    pub data: Vec<u8>,
    /// The outer partition key.
    pub partition_key: PartitionKey<'static>,
    /// The outer explicit hash key: the effective hash key of the first user record.
    pub explicit_hash_key: HashKey,
    /// How many user records are inside.
    pub user_records: usize,
    /// Whether the data is an aggregate. If not, it is the payload of one user record.
    pub aggregated: bool,
}

impl SealedRecord {
    /// What the record counts towards the service's limits: the data and the partition key, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len() + self.partition_key.as_str().len()
    }
}
