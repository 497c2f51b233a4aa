//! The codec and the typed layer of [kpl](https://docs.rs/kpl): the Amazon Kinesis aggregated record format.
//!
//! Programs use the crate `kpl`, which adds the derive and re-exports everything here.
#![no_std]
#![cfg_attr(
    not(test),
    warn(
        clippy::cast_possible_truncation,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod aggregate;
#[cfg(feature = "arbitrary")]
#[cfg_attr(docsrs, doc(cfg(feature = "arbitrary")))]
pub mod arbitrary;
pub mod codec;
mod deaggregate;
mod debug;
#[doc(hidden)]
pub mod derive_support;
#[allow(clippy::indexing_slicing, reason = "kernels index arrays of constant lengths")]
pub mod digest;
mod error;
mod key;
mod position;
mod received;
mod record;
#[cfg(feature = "serde")]
mod serde_impls;
mod shard;
mod timestamp;
mod trace;
pub mod wire;

pub use aggregate::{
    Aggregate, AggregateError, AggregateSharded, Aggregator, AggregatorBuilder, DEFAULT_MAX_SIZE, MAX_RECORD_SIZE,
    ShardedAggregator, UnsealedRecord, seal_all,
};
pub use deaggregate::{
    Counts, DeaggregateError, DeaggregateErrorKind, Deaggregated, Deaggregator, Records, StrayPolicy,
};
#[doc(hidden)]
pub use debug::ByteCount;
pub use error::{CodecError, CodecErrorKind, InvalidOption, KeyError, ReadError};
pub use key::{HashKey, HashKeyRange, InvalidHashKey, InvalidHashKeyRange, InvalidPartitionKey, PartitionKey};
pub use position::{InvalidPosition, InvalidSequenceNumber, Position, SequenceNumber};
pub use received::{Origin, Received, ReceivedRecords, Undecodable};
pub use record::{
    EncryptionType, FromKplRecord, FromKplRecordOwned, KinesisRecord, KplRecord, MalformedPolicy, RawRecord,
    SealedRecord, UserRecord,
};
pub use shard::{InvalidShardMap, Shard, ShardMap};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use trace::{InvalidTraceContext, TraceContext};
pub use wire::{Malformed, Tags};
