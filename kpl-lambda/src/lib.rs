#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod batch;
mod checkpoint;
mod event;
pub mod handler;
pub mod transform;

pub use batch::Batch;
pub use checkpoint::{Checkpoints, MemoryCheckpoints};
pub use event::{
    AnalyticsEvent, AnalyticsRecord, AnalyticsRecordMetadata, AnalyticsReply, AnalyticsResponse, AnyKinesisEvent,
    WindowResponse,
};
#[doc(inline)]
pub use handler::{Concurrency, Handler, HandlerError, OnFailure, run};
pub use kpl_core::{Origin, Received, ReceivedRecords, Undecodable};
#[doc(inline)]
pub use kpl_handler::Failures;
pub use lambda_runtime::{BoxFuture, Error};
