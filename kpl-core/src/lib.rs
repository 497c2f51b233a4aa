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
#[doc(hidden)]
pub mod derive_support;
#[allow(clippy::indexing_slicing, reason = "kernels index arrays of constant lengths")]
pub mod digest;
mod error;
mod key;
#[cfg(feature = "serde")]
mod key_serde;
mod position;
mod record;
mod shard;
pub mod wire;

pub use aggregate::{
    Aggregator, AggregatorBuilder, DEFAULT_MAX_SIZE, LARGEST_MAX_SIZE, Sealed, ShardedAggregator, UnsealedRecord,
    seal_all,
};
pub use deaggregate::{Counts, Deaggregator, MalformedPolicy, Received, Records, StrayPolicy};
pub use error::{
    AggregateError, CodecError, CodecErrorKind, DeaggregateError, DeaggregateErrorKind, InvalidOption, KeyError,
    ReadError,
};
pub use key::{HashKey, HashKeyRange, InvalidHashKey, InvalidHashKeyRange, InvalidPartitionKey, PartitionKey};
pub use position::{InvalidPosition, Position, SequenceNumber};
pub use record::{
    EncryptionType, FromKplRecord, FromKplRecordOwned, KinesisRecord, KplRecord, RawRecord, SealedRecord, UserRecord,
};
pub use shard::{InvalidShardMap, Shard, ShardMap};
pub use wire::{Malformed, Tags};
