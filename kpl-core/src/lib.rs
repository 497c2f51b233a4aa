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
pub mod codec;
mod deaggregate;
#[doc(hidden)]
pub mod derive_support;
pub mod digest;
mod error;
mod key;
#[cfg(feature = "serde")]
mod key_serde;
mod record;
mod shard;
mod sharded;
pub mod wire;

pub use aggregate::{Aggregator, AggregatorBuilder, UnsealedRecord, seal_all};
pub use codec::Codec;
pub use deaggregate::{Counts, Deaggregator, MalformedPolicy, Received, Records, StrayPolicy};
pub use error::{
    AggregateError, CodecError, CodecErrorKind, DeaggregateError, DeaggregateErrorKind, InvalidOption, KeyError,
    ReadError,
};
pub use key::{HashKey, HashKeyRange, InvalidHashKey, InvalidHashKeyRange, InvalidPartitionKey, PartitionKey};
pub use record::{
    EncryptionType, FromKplRecord, FromKplRecordOwned, InvalidPosition, KinesisRecord, KplRecord, Position, RawRecord,
    SealedRecord, SequenceNumber, UserRecord,
};
pub use shard::{InvalidShardMap, Shard, ShardMap};
pub use sharded::ShardedAggregator;
pub use wire::{Malformed, Tags};
