#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "aws")]
#[cfg_attr(docsrs, doc(cfg(feature = "aws")))]
pub mod aws;
pub mod client;
mod clock;
mod labels;
mod producer;
pub mod reader;
#[cfg(any(feature = "aws", feature = "dynamodb"))]
#[doc(hidden)]
pub mod sdk_error;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

#[doc(inline)]
pub use kpl_core::{InvalidOption, Origin, Received, Undecodable};
#[doc(inline)]
pub use kpl_handler::{Concurrency, Failures, OnFailure, ShardRecords};
#[doc(inline)]
pub use producer::blocking;
#[doc(hidden)]
pub use producer::pipeline;
pub use producer::spool;
pub use producer::{
    Attempt, AttemptError, Attempts, BYTES_PER_RECORD, Buffered, CloseError, Delivery, DeliveryError, EncodedRecord,
    Failure, FailureReason, OpenError, OpenErrorKind, Options, Producer, ProducerBuilder, Receipt, SendAll,
    SendAllError, SendError, SendErrorKind, StreamProducer, StreamSink, StreamState, UndeliveredRecord,
};
#[doc(inline)]
pub use reader::Reader;

// The examples of the book's chapters.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../docs/start.md")]
    struct Start;
    #[doc = include_str!("../../docs/producing.md")]
    struct Producing;
    #[doc = include_str!("../../docs/consuming.md")]
    struct Consuming;
    #[doc = include_str!("../../docs/operations.md")]
    struct Operations;
    #[doc = include_str!("../../docs/testing.md")]
    struct Testing;
    #[doc = include_str!("../../docs/migrating.md")]
    struct Migrating;
}
