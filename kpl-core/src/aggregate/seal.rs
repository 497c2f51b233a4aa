//! Sealing: the digest of one aggregate, or of many at once.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::debug::ByteCount;
use crate::digest::{Digest, md5, md5_each};
use crate::key::{HashKey, PartitionKey};
use crate::record::SealedRecord;
use crate::wire::MAGIC;

/// A finished record whose digest has not been computed yet.
///
/// ```
/// use kpl_core::{Aggregator, RawRecord, seal_all};
///
/// let mut aggregator = Aggregator::builder().max_count(100).build()?;
/// let mut unsealed = Vec::new();
/// for number in 0..1000 {
///     unsealed.extend(aggregator.push_unsealed(&RawRecord::new("abc", format!("record {number}")))?);
/// }
/// unsealed.extend(aggregator.finish_unsealed());
/// let sealed = seal_all(unsealed);
/// assert_eq!(sealed.len(), 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "it holds user records that would be lost"]
pub struct UnsealedRecord(Box<Unsealed>);

/// What an [`UnsealedRecord`] points to: a pointer is returned by each push at less cost than all of this.
#[derive(Clone)]
pub(super) struct Unsealed {
    pub(super) data: Vec<u8>,
    pub(super) partition_key: PartitionKey<'static>,
    pub(super) effective: Effective,
    pub(super) user_records: usize,
    pub(super) aggregated: bool,
}

/// Where the outer explicit hash key comes from.
#[derive(Clone, Debug)]
pub(super) enum Effective {
    Explicit(HashKey),
    OfPartitionKey(PartitionKey<'static>),
}

impl UnsealedRecord {
    pub(super) fn new(unsealed: Unsealed) -> Self {
        Self(Box::new(unsealed))
    }

    /// Computes the digest of this record alone.
    #[must_use = "it holds user records that would be lost"]
    pub fn seal(self) -> SealedRecord {
        let digest = if self.0.aggregated {
            md5(self.body())
        } else {
            Digest::default()
        };
        self.seal_with(digest)
    }

    /// Returns the bytes that the digest is computed over; empty if the record is not an aggregate.
    fn body(&self) -> &[u8] {
        let aggregate = if self.0.aggregated { &self.0.data[..] } else { &[] };
        aggregate.strip_prefix(&MAGIC).unwrap_or_default()
    }

    fn seal_with(self, digest: Digest) -> SealedRecord {
        let mut unsealed = *self.0;
        if unsealed.aggregated {
            unsealed.data.extend_from_slice(&digest);
        }
        SealedRecord {
            data: unsealed.data,
            explicit_hash_key: match unsealed.effective {
                Effective::Explicit(key) => key,
                Effective::OfPartitionKey(key) => key.hash_key(),
            },
            partition_key: unsealed.partition_key,
            user_records: unsealed.user_records,
            aggregated: unsealed.aggregated,
        }
    }

    /// Returns how many user records are inside.
    #[must_use]
    pub const fn user_records(&self) -> usize {
        self.0.user_records
    }

    /// Returns whether the record is an aggregate. If not, it is the payload of one user record.
    #[must_use]
    pub const fn is_aggregated(&self) -> bool {
        self.0.aggregated
    }

    /// Returns how many bytes the sealed record will count towards the service's limits: the data and the partition
    /// key.
    #[must_use]
    pub fn size(&self) -> usize {
        let digest = if self.0.aggregated { size_of::<Digest>() } else { 0 };
        self.0.data.len() + digest + self.0.partition_key.as_str().len()
    }
}

impl fmt::Debug for UnsealedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsealedRecord")
            .field("data", &ByteCount(self.0.data.len()))
            .field("partition_key", &self.0.partition_key)
            .field("user_records", &self.0.user_records)
            .field("aggregated", &self.0.aggregated)
            .finish_non_exhaustive()
    }
}

/// Computes the digests of many records together, in the lanes of the processor's vector registers.
///
/// Returns what [`UnsealedRecord::seal`] returns for each, in the same order, in a fraction of the time.
#[must_use = "it holds user records that would be lost"]
pub fn seal_all(records: impl IntoIterator<Item = UnsealedRecord>) -> Vec<SealedRecord> {
    let mut records = records.into_iter();
    let mut sealed = Vec::with_capacity(records.size_hint().0);
    let mut group = Vec::new();
    loop {
        group.extend(records.by_ref().take(SEALED_TOGETHER));
        if group.is_empty() {
            return sealed;
        }
        let mut digests = [Digest::default(); SEALED_TOGETHER];
        md5_each(group.iter().map(UnsealedRecord::body), |index, digest| {
            if let Some(place) = digests.get_mut(index) {
                *place = digest;
            }
        });
        sealed.extend(
            group
                .drain(..)
                .zip(digests)
                .map(|(record, digest)| record.seal_with(digest)),
        );
    }
}

/// Two groups of the widest lanes: few enough that what was just packed is still in the cache.
const SEALED_TOGETHER: usize = 32;
