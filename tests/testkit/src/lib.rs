//! Code that the tests and examples of several crates share. It is not published.
//!
//! | feature | what it adds |
//! |---|---|
//! | none | [golden files](golden), [inputs of the fuzz targets](fuzz), [bytes] built by hand, builders of records and shards, what is [logged](log), the [dashboard] beside a scrape |
#![cfg_attr(
    feature = "server",
    doc = "| `server` | [`server`]: a Kinesis server in this process, over HTTP; [`throttling`]: one that only counts what its shards accept; [`aws`]: the SDK's configuration for them |"
)]
#![cfg_attr(
    feature = "service",
    doc = "| `service` | [`service`]: the fake service behind `kpl_stream::testing`, with everything in it that a test can set |"
)]
//!
//! All functions here panic if they fail: only tests and examples use them.

#[cfg(feature = "server")]
pub mod aws;
pub mod bytes;
pub mod dashboard;
pub mod fuzz;
pub mod golden;
#[cfg(feature = "server")]
pub mod limit {
    //! How much the shards of a stream accept, as two kinds of limiters count it.

    pub use kpl_stream::testing::model::{Limit, Room};
}
pub mod log;
mod records;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "service")]
pub use kpl_stream::testing::model as service;
mod shards;
#[cfg(feature = "server")]
pub mod throttling;

pub use records::{
    Text, aggregate, aggregate_into_one, aggregate_into_one_with, all_contents, as_readers_get, contents, effective,
    items, raw, raw_at, tags, user_records,
};
pub use shards::{even_shards, shard_map, shards};
