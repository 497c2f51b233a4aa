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

pub use lease::{Checkpoint, Lease, OwnerChange, Update};
