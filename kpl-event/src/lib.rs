#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod arrival;
mod document;
mod fields;
mod foreign;
mod record;
mod value;

pub use arrival::Arrival;
pub use document::{Outline, Sink, Stopped, read};
pub use foreign::{bytes_of_json, decode, looks_like};
pub use record::{NoData, Record, Unpacked};
