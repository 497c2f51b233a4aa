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
pub mod blocking;
mod builder;
pub mod client;
mod delivery;
mod driver;
mod error;
mod intake;
mod metrics;
mod options;
mod outcome;
pub mod pipeline;
mod producer;
pub mod reader;
mod send_all;
mod sink;

pub use builder::ProducerBuilder;
pub use delivery::{Delivery, DeliveryError};
pub use error::{CloseError, OpenError, SendError, SendErrorKind};
pub use intake::{OVERHEAD, Unsent};
pub use options::{InvalidOption, Options};
pub use outcome::{Attempt, AttemptError, Attempts, Failure, FailureReason, Receipt};
pub use producer::{Producer, StreamProducer};
#[doc(inline)]
pub use reader::{Reader, Received};
pub use send_all::{Iter, SendAll, SendAllError};
pub use sink::StreamSink;
