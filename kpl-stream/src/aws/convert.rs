//! Conversions between the SDK's records and those of kpl-core, both ways.

use std::fmt;
use std::time::Duration;

use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types;
use kpl_core::{EncryptionType, HashKey, HashKeyRange, KinesisRecord, SealedRecord, SequenceNumber, Shard, Timestamp};

use crate::client::{EntryError, FetchedRecord, IteratorStart, PutResult, RequestError, ShardDescription, Written};

/// Converts a kpl value to the SDK's type.
///
/// ```
/// use aws_sdk_kinesis::types::PutRecordsRequestEntry;
/// use kpl_core::{Aggregator, RawRecord};
/// use kpl_stream::aws::ToSdk;
///
/// let records = [RawRecord::new("anna", "one"), RawRecord::new("bob", "two")];
/// let entries: Vec<PutRecordsRequestEntry> = Aggregator::<RawRecord>::new()
///     .aggregate(&records)
///     .map(|sealed| Ok(sealed?.to_sdk()))
///     .collect::<Result<_, kpl_core::AggregateError>>()?;
/// assert_eq!(entries[0].partition_key(), Some("anna"));
/// # Ok::<(), kpl_core::AggregateError>(())
/// ```
pub trait ToSdk {
    /// The SDK's type.
    type Sdk;

    /// Returns the same value as the SDK's type.
    fn to_sdk(self) -> Self::Sdk;
}

impl ToSdk for SealedRecord {
    type Sdk = types::PutRecordsRequestEntry;

    fn to_sdk(self) -> Self::Sdk {
        let builder = types::PutRecordsRequestEntry::builder()
            .data(Blob::new(self.data))
            .partition_key(self.partition_key.into_string())
            .explicit_hash_key(self.explicit_hash_key.to_string());
        built(builder.build())
    }
}

impl ToSdk for KinesisRecord<'_> {
    type Sdk = types::Record;

    /// Converts the record; without a sequence number, the SDK's record gets an empty one.
    fn to_sdk(self) -> Self::Sdk {
        let builder = types::Record::builder()
            .data(Blob::new(self.data))
            .sequence_number(self.sequence_number.unwrap_or_default())
            .set_partition_key(self.partition_key.map(Into::into))
            .set_approximate_arrival_timestamp(self.approximate_arrival.map(date_time))
            .set_encryption_type(self.encryption_type.and_then(|kind| match kind {
                EncryptionType::None => Some(types::EncryptionType::None),
                EncryptionType::Kms => Some(types::EncryptionType::Kms),
                _ => None,
            }));
        built(builder.build())
    }
}

impl ToSdk for HashKeyRange {
    type Sdk = types::HashKeyRange;

    fn to_sdk(self) -> Self::Sdk {
        let builder = types::HashKeyRange::builder()
            .starting_hash_key(self.start().to_string())
            .ending_hash_key(self.end().to_string());
        built(builder.build())
    }
}

/// Returns what a builder built: it has everything that it requires.
#[expect(
    clippy::expect_used,
    reason = "the builders ask only for what is given to them two lines above"
)]
fn built<T, E: fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("every required field is set")
}

/// Converts a value of the SDK's to kpl's type.
///
/// ```
/// use aws_sdk_kinesis::primitives::Blob;
/// use aws_sdk_kinesis::types::Record;
/// use kpl_core::{Deaggregator, KinesisRecord, RawRecord};
/// use kpl_stream::aws::FromSdk;
///
/// let records = [Record::builder().data(Blob::new("some bytes")).sequence_number("49").build()?]; // of GetRecords
/// let batch: Vec<KinesisRecord<'_>> = records.iter().map(KinesisRecord::from_sdk).collect();
/// for record in Deaggregator::<RawRecord>::new().records(&batch) {
///     assert_eq!(*record?.value.data, *b"some bytes");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait FromSdk<S> {
    /// The result: the type itself, or a `Result` if the SDK's type allows values that kpl's does not.
    type Output;

    /// Returns the same value as kpl's type.
    fn from_sdk(sdk: S) -> Self::Output;
}

impl<'a> FromSdk<&'a types::Record> for KinesisRecord<'a> {
    type Output = Self;

    fn from_sdk(record: &'a types::Record) -> Self {
        let mut kinesis_record = Self::new(record.data.as_ref()).with_sequence_number(&record.sequence_number);
        kinesis_record.partition_key = record.partition_key.as_deref();
        kinesis_record.approximate_arrival = record.approximate_arrival_timestamp.as_ref().and_then(timestamp);
        kinesis_record.encryption_type = record.encryption_type.as_ref().and_then(encryption_type);
        kinesis_record
    }
}

impl FromSdk<&types::HashKeyRange> for HashKeyRange {
    type Output = Result<Self, InvalidShard>;

    fn from_sdk(range: &types::HashKeyRange) -> Self::Output {
        let invalid = || InvalidShard {
            reason: format!(
                "{:?}..={:?} is not a valid range of hash keys",
                range.starting_hash_key, range.ending_hash_key
            ),
        };
        let key = |text: &str| text.parse::<HashKey>().map_err(|_| invalid());
        Self::new(key(&range.starting_hash_key)?, key(&range.ending_hash_key)?).map_err(|_| invalid())
    }
}

impl FromSdk<&types::Shard> for Shard {
    type Output = Result<Self, InvalidShard>;

    fn from_sdk(shard: &types::Shard) -> Self::Output {
        Ok(Self::new(
            &*shard.shard_id,
            range_of(&shard.shard_id, shard.hash_key_range.as_ref())?,
        ))
    }
}

fn range_of(shard_id: &str, range: Option<&types::HashKeyRange>) -> Result<HashKeyRange, InvalidShard> {
    let of_shard = |reason: &dyn fmt::Display| InvalidShard {
        reason: format!("shard {shard_id}: {reason}"),
    };
    let range = range.ok_or_else(|| of_shard(&"it does not have a range of hash keys"))?;
    HashKeyRange::from_sdk(range).map_err(|error| of_shard(&error))
}

/// The service returned a shard that does not have a valid hash key range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidShard {
    reason: String,
}

impl fmt::Display for InvalidShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for InvalidShard {}

pub(super) fn shard_description(shard: &types::Shard) -> Result<ShardDescription, RequestError> {
    let mut description = ShardDescription::new(
        &*shard.shard_id,
        range_of(&shard.shard_id, shard.hash_key_range.as_ref())?,
    )
    .with_closed(is_closed(shard));
    let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
    description.parents = parents.into_iter().flatten().cloned().collect();
    let numbers = shard.sequence_number_range.as_ref();
    description.first_sequence_number =
        numbers.and_then(|numbers| SequenceNumber::new(&numbers.starting_sequence_number).ok());
    Ok(description)
}

pub(super) fn is_closed(shard: &types::Shard) -> bool {
    let numbers = shard.sequence_number_range.as_ref();
    numbers.is_some_and(|numbers| numbers.ending_sequence_number.is_some())
}

pub(super) fn child_shard(shard: &types::ChildShard) -> Result<ShardDescription, RequestError> {
    let range = range_of(&shard.shard_id, shard.hash_key_range.as_ref())?;
    let mut description = ShardDescription::new(&*shard.shard_id, range);
    description.parents.clone_from(&shard.parent_shards);
    Ok(description)
}

pub(super) fn fetched(record: types::Record) -> FetchedRecord {
    FetchedRecord {
        approximate_arrival: record.approximate_arrival_timestamp.as_ref().and_then(timestamp),
        encryption_type: record.encryption_type.as_ref().and_then(encryption_type),
        data: record.data.into_inner(),
        partition_key: record.partition_key,
        sequence_number: record.sequence_number,
    }
}

/// Returns `None` for a negative number.
pub(super) fn millis(millis: i64) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

/// Returns the type of a start, and what else the service is told with it: a time, or a sequence number.
pub(super) fn iterator_type(start: IteratorStart) -> (types::ShardIteratorType, Option<DateTime>, Option<String>) {
    use types::ShardIteratorType as Type;
    match start {
        IteratorStart::Latest => (Type::Latest, None, None),
        IteratorStart::TrimHorizon => (Type::TrimHorizon, None, None),
        IteratorStart::AtTimestamp(time) => (Type::AtTimestamp, Some(date_time(time)), None),
        IteratorStart::AtSequenceNumber(number) => (Type::AtSequenceNumber, None, Some(number)),
        IteratorStart::AfterSequenceNumber(number) => (Type::AfterSequenceNumber, None, Some(number)),
    }
}

pub(super) fn starting_position(start: IteratorStart) -> Result<types::StartingPosition, RequestError> {
    let (kind, time, number) = iterator_type(start);
    let position = types::StartingPosition::builder().r#type(kind);
    let built = position.set_timestamp(time).set_sequence_number(number).build();
    built.map_err(|error| RequestError::permanent("StartingPosition", error.to_string()))
}

pub(super) fn put_result(entry: types::PutRecordsResultEntry) -> PutResult {
    match (entry.shard_id, entry.sequence_number) {
        (Some(shard_id), Some(sequence_number)) if !sequence_number.is_empty() => {
            Ok(Written::new(shard_id, sequence_number))
        }
        _ => Err(EntryError::new(
            entry.error_code.unwrap_or_else(|| "InternalFailure".into()),
            entry.error_message.unwrap_or_default(),
        )),
    }
}

fn encryption_type(kind: &types::EncryptionType) -> Option<EncryptionType> {
    match kind {
        types::EncryptionType::None => Some(EncryptionType::None),
        types::EncryptionType::Kms => Some(EncryptionType::Kms),
        _ => None,
    }
}

/// Returns `None` for times before the epoch.
pub(super) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let since_epoch = Duration::new(u64::try_from(time.secs()).ok()?, time.subsec_nanos());
    Some(Timestamp::from_unix_epoch(since_epoch))
}

pub(super) fn date_time(timestamp: Timestamp) -> DateTime {
    let since_epoch = timestamp.since_unix_epoch();
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    DateTime::from_secs_and_nanos(seconds, since_epoch.subsec_nanos())
}
