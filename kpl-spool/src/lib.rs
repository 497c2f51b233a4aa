#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod error;
mod folder;
mod log;
mod segment;
mod settled;

pub use error::{AppendError, CommitError, OpenError};
pub use folder::{Directory, Folder, Segment, SegmentName};
pub use log::{Cursor, Durability, Item, Log, Options};
pub use segment::MAX_DATA;
