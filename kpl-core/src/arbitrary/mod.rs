//! Fuzz your own record types: batches of arbitrary values as a stream would deliver them, intact or damaged.
//!
//! Your type derives `Arbitrary` of the crate [arbitrary](https://docs.rs/arbitrary), and a fuzz target takes two
//! lines:
//!
//! ```
//! # use arbitrary::{Arbitrary, Unstructured};
//! # use kpl_core::{CodecError, FromKplRecord, KeyError, KplRecord, ReadError, UserRecord};
//! use kpl_core::arbitrary::DamagedBatch;
//!
//! #[derive(Arbitrary, Debug, PartialEq)]
//! struct Line { host: u32, text: String }
//!
//! # impl KplRecord for Line {
//! #     fn partition_key<'a>(&'a self, buffer: &'a mut String) -> Result<&'a str, KeyError> {
//! #         *buffer = self.host.to_string();
//! #         Ok(buffer)
//! #     }
//! #     fn payload<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
//! #         buffer.extend(self.host.to_be_bytes());
//! #         buffer.extend(self.text.bytes());
//! #         Ok(buffer)
//! #     }
//! # }
//! # impl FromKplRecord<'_> for Line {
//! #     fn from_user_record(record: &UserRecord<'_>) -> Result<Self, ReadError> {
//! #         let (host, text) = record.data.split_first_chunk().ok_or(ReadError::new("too short"))?;
//! #         let text = String::from_utf8(text.to_vec()).map_err(|error| ReadError::new(error.to_string()))?;
//! #         Ok(Line { host: u32::from_be_bytes(*host), text })
//! #     }
//! # }
//! // With cargo-fuzz: fuzz_target!(|batch: DamagedBatch<Line>| fuzz(&batch));
//! fn fuzz(batch: &DamagedBatch<Line>) {
//!     batch.intact().check(); // what goes in comes out
//!     batch.check(); // and damage affects nothing else
//! }
//!
//! let bytes: Vec<u8> = (0..=255).collect(); // a fuzzer provides these
//! fuzz(&DamagedBatch::arbitrary_take_rest(Unstructured::new(&bytes))?);
//! # Ok::<(), arbitrary::Error>(())
//! ```
//!
//! Without a fuzzer, a plain test builds batches from its own values: [`IntactBatch::new`], [`DamagedBatch::new`].
//!
//! Keys and other parts of records are arbitrary too, and always valid: [`PartitionKey`](crate::PartitionKey),
//! [`HashKey`](crate::HashKey), [`HashKeyRange`](crate::HashKeyRange), [`Tags`](crate::Tags),
//! [`RawRecord`](crate::RawRecord), [`Timestamp`](crate::Timestamp), [`SequenceNumber`](crate::SequenceNumber),
//! [`Position`](crate::Position), [`ShardMap`](crate::ShardMap), the policies, and the options of an
//! [`AggregatorBuilder`](crate::AggregatorBuilder). For a field that is a `String` and a partition key, use
//! `#[arbitrary(with = kpl::arbitrary::partition_key)]`.
#![expect(clippy::panic, reason = "a check says by a panic what is wrong")]

mod check;
mod damage;
mod damaged;
mod intact;
mod options;
mod values;

pub use self::damage::{Change, Damage};
pub use self::damaged::{DamagedBatch, DamagedRecord};
pub use self::intact::{IntactBatch, Refused};
pub use self::values::partition_key;
