#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod batch;
mod checkpoint;
mod dead_letter;
mod event;
mod failures;
pub mod handler;
mod place;
mod received;
pub mod transform;
mod window;

pub use batch::{Batch, UserRecords};
pub use checkpoint::{Checkpoints, MemoryCheckpoints};
pub use dead_letter::DeadLetter;
pub use event::AnyKinesisEvent;
pub use failures::Failures;
#[doc(inline)]
pub use handler::{Concurrency, HandleError, Handler, OnFailure, run};
pub use lambda_runtime::{BoxFuture, Error};
pub use place::{Origin, Place};
pub use received::{Received, Undecodable};
pub use window::WindowResponse;
