//! Sealing: the digest of one aggregate, or of many at once.

use alloc::vec::Vec;
use core::fmt;

use crate::debug::ByteCount;
use crate::digest::{Digest, md5, md5_many};
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
pub struct UnsealedRecord {
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
    /// Computes the digest of this record alone.
    #[must_use = "it holds user records that would be lost"]
    pub fn seal(self) -> SealedRecord {
        let digest = if self.aggregated {
            md5(self.body())
        } else {
            Digest::default()
        };
        self.seal_with(digest)
    }

    /// Returns the bytes that the digest is computed over; empty if the record is not an aggregate.
    fn body(&self) -> &[u8] {
        let aggregate = if self.aggregated { &self.data[..] } else { &[] };
        aggregate.strip_prefix(&MAGIC).unwrap_or_default()
    }

    fn seal_with(mut self, digest: Digest) -> SealedRecord {
        if self.aggregated {
            self.data.extend_from_slice(&digest);
        }
        SealedRecord {
            data: self.data,
            explicit_hash_key: match self.effective {
                Effective::Explicit(key) => key,
                Effective::OfPartitionKey(key) => key.hash_key(),
            },
            partition_key: self.partition_key,
            user_records: self.user_records,
            aggregated: self.aggregated,
        }
    }

    /// Returns how many user records are inside.
    #[must_use]
    pub const fn user_records(&self) -> usize {
        self.user_records
    }

    /// Returns whether the record is an aggregate. If not, it is the payload of one user record.
    #[must_use]
    pub const fn is_aggregated(&self) -> bool {
        self.aggregated
    }

    /// Returns how many bytes the sealed record will count towards the service's limits: the data and the partition
    /// key.
    #[must_use]
    pub fn size(&self) -> usize {
        let digest = if self.aggregated { size_of::<Digest>() } else { 0 };
        self.data.len() + digest + self.partition_key.as_str().len()
    }
}

impl fmt::Debug for UnsealedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsealedRecord")
            .field("data", &ByteCount(self.data.len()))
            .field("partition_key", &self.partition_key)
            .field("user_records", &self.user_records)
            .field("aggregated", &self.aggregated)
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
        let mut bodies: [&[u8]; SEALED_TOGETHER] = [&[]; SEALED_TOGETHER];
        for (body, record) in bodies.iter_mut().zip(&group) {
            *body = record.body();
        }
        let mut digests = [Digest::default(); SEALED_TOGETHER];
        md5_many(&bodies, &mut digests);
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
