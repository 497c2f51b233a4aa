#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub mod engine;
mod lease;
mod store;

pub use lease::{Checkpoint, Lease, OwnerChange, Update};
#[cfg(feature = "aws")]
#[cfg_attr(docsrs, doc(cfg(feature = "aws")))]
pub use store::DynamoLeases;
pub use store::{Changed, LeaseStore, MemoryLeases, StoreError, StoreErrorKind};
