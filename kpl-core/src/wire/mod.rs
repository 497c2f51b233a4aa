//! The bytes of an aggregated record: layout, a zero-copy reader, a writer.
//!
//! Most programs need [`Aggregator`](crate::Aggregator) and [`Deaggregator`](crate::Deaggregator) instead; this is for
//! tools that examine the bytes themselves.
//!
//! ```text
//! F3 89 9A C2 | AggregatedRecord (protobuf, proto2) | MD5 of the protobuf bytes, 16 bytes
//!
//! message AggregatedRecord {
//!   repeated string partition_key_table     = 1;
//!   repeated string explicit_hash_key_table = 2;
//!   repeated Record records                 = 3;
//! }
//! message Record {
//!   required uint64 partition_key_index     = 1;
//!   optional uint64 explicit_hash_key_index = 2;
//!   required bytes  data                    = 3;
//!   repeated Tag    tags                    = 4;
//! }
//! message Tag { required string key = 1; optional string value = 2; }
//! ```
//!
//! Source: [the KPL's description of the format](https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md).

mod cursor;
mod fields;
mod frame;
mod keys;
mod reader;
mod tags;
mod writer;

pub use cursor::{Field, InvalidBody, Problem};
pub use fields::{Fields, Part};
pub use frame::{Frame, Malformed, NotAggregated};
pub(crate) use keys::{Found, Keys};
pub(crate) use reader::Contents;
pub use reader::{AggregatedRecord, WireRecord, WireRecords};
pub use tags::{TagIter, Tags};
pub(crate) use writer::{Parts, Writer};
#[cfg(feature = "arbitrary")]
pub(crate) use writer::{put_bytes, put_number};

/// The four bytes that every aggregated record starts with.
pub const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// How many bytes the digest at the end has.
pub const DIGEST_LEN: usize = 16;

/// The fewest bytes that can be an aggregated record: the magic, one byte, the digest (the KCL's rule).
pub const MIN_LEN: usize = MAGIC.len() + 1 + DIGEST_LEN;

/// Returns how many bytes a number takes as a varint: 1 to 10.
#[inline]
pub(crate) const fn varint_len(value: u64) -> usize {
    if value < 0x80 {
        return 1;
    }
    value.ilog2() as usize / 7 + 1
}
