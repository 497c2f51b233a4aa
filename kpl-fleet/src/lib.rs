#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod checkpoints;
mod driver;
#[doc(hidden)]
pub mod engine;
mod error;
mod fleet;
mod kind;
mod lease;
mod metrics;
mod store;
pub mod table;

pub use error::FleetError;
pub use fleet::{Fleet, FleetBuilder, StopHandle};
pub use kind::{PerRecord, PerShard};
#[doc(inline)]
pub use kpl_core::{InvalidOption, Origin, Received, Undecodable};
#[doc(inline)]
pub use kpl_handler::{Concurrency, Failures, OnFailure, Place, ShardRecords};
#[doc(inline)]
pub use kpl_stream::reader::Start;
#[doc(inline)]
pub use kpl_stream::reader::for_each::ForEachError;
pub use lease::{Checkpoint, Lease, OwnerChange, Update};
#[cfg(feature = "aws")]
#[cfg_attr(docsrs, doc(cfg(feature = "aws")))]
pub use store::DynamoLeases;
pub use store::{Changed, LeaseStore, MemoryLeases, StoreError, StoreErrorKind};

// The examples of the book's chapter.
#[cfg(all(doctest, feature = "aws"))]
#[doc = include_str!("../../docs/fleet.md")]
struct Book;
