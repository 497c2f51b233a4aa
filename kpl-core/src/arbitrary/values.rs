//! Arbitrary keys, tags, raw records, positions and maps: valid ones only.

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ::arbitrary::{Arbitrary, Error, Result, Unstructured};

use crate::{
    EncryptionType, HashKey, HashKeyRange, MalformedPolicy, PartitionKey, Position, RawRecord, SequenceNumber, Shard,
    ShardMap, StrayPolicy, Tags, Timestamp,
};

/// Returns an arbitrary string that is a valid partition key: 1 to 256 characters, and often one that occurred before.
///
/// Use it as `#[arbitrary(with = kpl::arbitrary::partition_key)]` on a field of type `String`. An arbitrary `String` is
/// often empty, and the aggregator would refuse the record.
///
/// ```
/// use arbitrary::{Arbitrary, Unstructured};
///
/// #[derive(Arbitrary)]
/// struct Click {
///     #[arbitrary(with = kpl_core::arbitrary::partition_key)]
///     user: String,
/// }
///
/// let click = Click::arbitrary(&mut Unstructured::new(&[]))?;
/// assert!(!click.user.is_empty());
/// # Ok::<(), arbitrary::Error>(())
/// ```
///
/// # Errors
///
/// Those of the crate arbitrary, if there are not enough bytes.
pub fn partition_key(u: &mut Unstructured<'_>) -> Result<String> {
    const OFTEN: &[&str] = &["a", "b", "abc", "7", "10", "007", "é", "\0"];
    const LONG: &[&str] = &["x", "é", "𝒳"];
    Ok(match u.arbitrary::<u8>()? {
        0..=95 => (*u.choose(OFTEN)?).to_owned(),
        96..=103 => u
            .choose(LONG)?
            .repeat(u.int_in_range(120..=PartitionKey::MAX_CHARACTERS)?),
        other => {
            let text: &str = u.arbitrary()?;
            let key: String = text.chars().take(PartitionKey::MAX_CHARACTERS).collect();
            if key.is_empty() { format!("{other}") } else { key }
        }
    })
}

impl Arbitrary<'_> for PartitionKey<'_> {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        PartitionKey::new(partition_key(u)?).map_err(|_| Error::IncorrectFormat)
    }
}

impl Arbitrary<'_> for HashKey {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self::new(match u.arbitrary::<u8>()? {
            0 => 0,
            1 => u128::MAX,
            2 => 1 << 127,
            3 => (1 << 127) - 1,
            small @ 4..=127 => small.into(),
            _ => u.arbitrary()?,
        }))
    }
}

impl Arbitrary<'_> for HashKeyRange {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let (one, other) = u.arbitrary::<(HashKey, HashKey)>()?;
        Self::new(one.min(other), one.max(other)).map_err(|_| Error::IncorrectFormat)
    }
}

impl<'a> Arbitrary<'a> for Tags<'_> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let tags = u.arbitrary_iter::<(&str, Option<&str>)>()?;
        tags.collect()
    }
}

impl Arbitrary<'_> for RawRecord {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut record = Self::new(partition_key(u)?, u.arbitrary::<Vec<u8>>()?);
        record.explicit_hash_key = u.arbitrary()?;
        record.tags = u.arbitrary()?;
        Ok(record)
    }
}

impl Arbitrary<'_> for SequenceNumber {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        // The service's sequence numbers have 56 digits; those of some tests have few.
        let mut text = format!("{}", u.arbitrary::<u32>()?);
        if u.arbitrary()? {
            text.push_str(&format!("{:046}", u.arbitrary::<u128>()?));
        }
        Self::new(&text).map_err(|_| Error::IncorrectFormat)
    }
}

impl Arbitrary<'_> for Position {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            sequence_number: u.arbitrary()?,
            sub_sequence_number: u.arbitrary()?,
        })
    }
}

impl Arbitrary<'_> for ShardMap {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut starts = u.arbitrary_iter()?.collect::<Result<BTreeSet<HashKey>>>()?;
        starts.insert(HashKey::MIN);
        let starts: Vec<HashKey> = starts.into_iter().collect();
        let ends = starts
            .iter()
            .skip(1)
            .map(|next| HashKey::new(next.value().saturating_sub(1)));
        let ranges = starts.iter().zip(ends.chain([HashKey::MAX]));
        let shards = ranges.enumerate().map(|(number, (&start, end))| {
            let range = HashKeyRange::new(start, end).map_err(|_| Error::IncorrectFormat)?;
            Ok(Shard::new(format!("shardId-{number:012}"), range))
        });
        Self::new(shards.collect::<Result<Vec<_>>>()?).map_err(|_| Error::IncorrectFormat)
    }
}

impl Arbitrary<'_> for Timestamp {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        u.arbitrary().map(Self::from_unix_epoch)
    }
}

impl Arbitrary<'_> for StrayPolicy {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        u.choose(&[Self::Keep, Self::DropStrays, Self::DropAggregate]).copied()
    }
}

impl Arbitrary<'_> for MalformedPolicy {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        u.choose(&[Self::Deliver, Self::Error]).copied()
    }
}

impl Arbitrary<'_> for EncryptionType {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        u.choose(&[Self::None, Self::Kms]).copied()
    }
}
