//! Kinesis in the memory of a test: a [`Kinesis`] with streams, which producers and readers take as their client.
//!
//! ```
//! use kpl::KplRecord;
//! use kpl_stream::testing::Kinesis;
//! use kpl_stream::{Producer, StreamProducer};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize, KplRecord)]
//! #[kpl(codec = kpl::codec::Json)]
//! struct Click {
//!     #[kpl(partition_key)]
//!     user: String,
//!     url: String,
//! }
//!
//! // What is tested: it takes the producer from its caller.
//! async fn visit(clicks: &StreamProducer<Click>, user: &str, url: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let click = Click { user: user.into(), url: url.into() };
//!     clicks.send(click).await?.await?;
//!     Ok(())
//! }
//!
//! // In a test: #[tokio::test(start_paused = true)]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kinesis = Kinesis::new();
//! let stream = kinesis.create_stream("clicks", 2);
//! let producer = Producer::builder().client(kinesis).build()?;
//! let clicks = producer.stream("clicks").await?;
//!
//! stream.throttle(1); // the first record is refused once, and sent again
//! visit(&clicks, "anna", "/basket").await?;
//!
//! assert_eq!(stream.values::<Click>()?, [Click { user: "anna".into(), url: "/basket".into() }]);
//! assert_eq!(stream.put_requests(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! Time is tokio's. With a clock that is paused (`#[tokio::test(start_paused = true)]`, the feature `test-util` of
//! tokio), a test of buffering, retries and latencies takes no time: the clock jumps to the next moment for which
//! anything waits.
//!
//! Limitations: no record is trimmed or refused for its size, iterators do not expire, and a reader that starts at a time
//! starts at the oldest record. Sequence numbers are unique and ascending only within a shard. A shard's throughput is
//! limited only after [`Stream::limit_shards`].

mod kinesis;
#[doc(hidden)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "only tests use it, with streams of their own"
)]
pub mod model;
mod stream;

pub use kinesis::Kinesis;
pub use stream::Stream;
