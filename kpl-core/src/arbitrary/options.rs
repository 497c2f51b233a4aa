//! How an arbitrary batch is aggregated.

use ::arbitrary::{Arbitrary, Result, Unstructured};

use crate::{AggregatorBuilder, DEFAULT_MAX_SIZE, MAX_RECORD_SIZE, PartitionKey};

/// The default options or small limits, so that a few values fill several Kinesis records. They are always valid.
impl<T> Arbitrary<'_> for AggregatorBuilder<T> {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let max_size = match u.arbitrary::<u8>()? {
            0..=127 => DEFAULT_MAX_SIZE,
            128..=191 => u.int_in_range(30..=400)?,
            192..=223 => u.int_in_range(400..=4_000)?,
            224.. => MAX_RECORD_SIZE,
        };
        let max_count = match u.arbitrary::<u8>()? {
            0..=127 => usize::MAX,
            128.. => u.int_in_range(1..=5)?,
        };
        let builder = Self::default().max_size(max_size).max_count(max_count);
        let builder = builder.wrap_single(u.arbitrary()?);
        Ok(match u.arbitrary::<u8>()? {
            0..=191 => builder,
            192.. => builder.outer_partition_key(u.arbitrary::<PartitionKey<'static>>()?),
        })
    }
}
