#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod connection;
mod error;
mod handler;
mod processor;
pub mod protocol;
mod stdio;

pub use connection::Checkpointer;
pub use error::RunError;
pub use handler::{Failed, Handler, PerBatch, PerRecord, run};
#[doc(inline)]
pub use kpl_core::{Position, RawRecord, Received, Undecodable};
#[doc(inline)]
pub use kpl_handler::{Concurrency, Error, Failures, OnFailure, Panicked, Place};
pub use processor::{ShardProcessor, run_processor, serve};

// The examples of the book's chapter.
#[cfg(doctest)]
#[doc = include_str!("../../docs/kcl.md")]
struct Kcl;
