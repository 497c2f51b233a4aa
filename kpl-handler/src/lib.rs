#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod backoff;
mod choices;
mod dead_letter;
mod failures;
mod hook;
mod kind;
mod panic;
mod place;
mod progress;
pub mod trace;

pub use backoff::Backoff;
pub use choices::{Concurrency, OnFailure};
pub use dead_letter::DeadLetters;
pub use failures::Failures;
pub use hook::Hook;
pub use kind::{Item, Kind, PerBatch, PerRecord, PerShard, ShardRecords};
pub use panic::{Panicked, catch_panic};
pub use place::Place;
pub use progress::{Progress, Undone};

/// The error of a handler: any error. It is the same type as that of `lambda_runtime`.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
