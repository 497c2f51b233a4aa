#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod answer;
mod batch;
mod checkpoint;
#[cfg(feature = "dynamodb")]
mod dynamo;
mod event;
pub mod handler;
mod records;
pub mod transform;

pub use batch::Batch;
pub use checkpoint::{Checkpoints, MemoryCheckpoints};
#[cfg(feature = "dynamodb")]
#[cfg_attr(docsrs, doc(cfg(feature = "dynamodb")))]
pub use dynamo::DynamoCheckpoints;
pub use event::{
    BatchItemFailure, BatchResponse, Event, EventBuilder, EventKind, ShardRecordsBuilder, Window, WindowResponse,
};
#[doc(inline)]
pub use handler::{Concurrency, Handler, HandlerError, OnFailure, run};
pub use kpl_core::{Origin, Received, Undecodable};
#[doc(inline)]
pub use kpl_event::{Arrival, NoData, Record};
#[doc(inline)]
pub use kpl_handler::{Failures, Panicked};
pub use lambda_runtime::{BoxFuture, Error};
pub use records::UserRecords;

// The examples of the book's chapter.
#[cfg(doctest)]
#[doc = include_str!("../../docs/lambda.md")]
struct Lambda;
